package settings_test

import (
	"encoding/json"
	"errors"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"payments-dr/internal/settings"
)

// context reads the app's own context, so that every test starts from what is shipped.
func context(t *testing.T) map[string]any {
	t.Helper()
	context, err := settings.ReadContext("../../cdk.json")
	if err != nil {
		t.Fatal(err)
	}
	return context
}

// set puts a value at a dotted path below environments.dev; removed takes the key out.
func set(t *testing.T, context map[string]any, path string, value any) {
	t.Helper()
	object := context["environments"].(map[string]any)["dev"].(map[string]any)
	parts := strings.Split(path, ".")
	for _, part := range parts[:len(parts)-1] {
		if _, ok := object[part]; !ok {
			object[part] = map[string]any{}
		}
		object = object[part].(map[string]any)
	}
	if value == (removed{}) {
		delete(object, parts[len(parts)-1])
		return
	}
	object[parts[len(parts)-1]] = value
}

type removed struct{}

func TestShippedEnvironmentsAreValid(t *testing.T) {
	for _, name := range settings.Environments(context(t)) {
		t.Run(name, func(t *testing.T) {
			c := context(t)
			c["env"] = name
			s, err := settings.Load(c, "")
			if err != nil {
				t.Fatal(err)
			}
			if s.Environment != name || s.Production != (name == "prod") {
				t.Errorf("environment %q, production %v", s.Environment, s.Production)
			}
			if s.Account != settings.PlaceholderAccount {
				t.Errorf("account %q, want the placeholder", s.Account)
			}
			if got, want := s.StackName("primary"), "payment-"+name+"-primary"; got != want {
				t.Errorf("stack %q, want %q", got, want)
			}
			if s.Database.InstanceClass != "db.r5.large" || s.Objectives != (settings.Objectives{RPOMinutes: 5, RTOMinutes: 15}) {
				t.Errorf("database %+v, objectives %+v", s.Database, s.Objectives)
			}
		})
	}
}

// An environment lists only what differs from the defaults, and objects are completed, not replaced.
func TestWhatAnEnvironmentLeavesOutHasItsDefault(t *testing.T) {
	c := context(t)
	environments := c["environments"].(map[string]any)
	dev := environments["dev"].(map[string]any)
	environments["staging"] = map[string]any{
		"production": false, "regions": dev["regions"], "dns": map[string]any{"zoneName": "staging.payments.acme-bank.com"},
		"session":  map[string]any{"witnessRegion": "us-east-2"},
		"recovery": map[string]any{"stepMinutes": map[string]any{"promotion": 6.0}},
	}
	c["env"] = "staging"
	s, err := settings.Load(c, "")
	if err != nil {
		t.Fatal(err)
	}
	if want := (settings.StepMinutes{Approval: 2, Promotion: 6, Ledger: 3, Reconciliation: 2, Traffic: 1}); s.Recovery.StepMinutes != want {
		t.Errorf("steps %+v, want %+v", s.Recovery.StepMinutes, want)
	}
	if s.Database.InstanceClass != "db.r5.large" || s.Backup.Lock != settings.LockGovernance || s.Session.Consistency != settings.ConsistencyStrong {
		t.Errorf("%+v, %+v, %+v", s.Database, s.Backup, s.Session)
	}
	if want := map[string]string{"application": "payments", "environment": "staging"}; !maps.Equal(s.Tags, want) {
		t.Errorf("tags %v, want %v", s.Tags, want)
	}
	if got := settings.Environments(c); !slices.Equal(got, []string{"dev", "prod", "staging"}) {
		t.Errorf("environments %v", got)
	}
	environments["staging"].(map[string]any)["tags"] = map[string]any{"team": "ledger"}
	if s, err := settings.Load(c, ""); err != nil || !maps.Equal(s.Tags, map[string]string{"team": "ledger"}) {
		t.Errorf("tags %+v, %v", s, err)
	}
}

// An environment in cdk.json does not repeat a default: nobody could tell what differs.
func TestNoEnvironmentRepeatsADefault(t *testing.T) {
	c := context(t)
	var repeated func(path string, given, defaults map[string]any)
	repeated = func(path string, given, defaults map[string]any) {
		for name, value := range given {
			below, _ := value.(map[string]any)
			if defaultBelow, ok := defaults[name].(map[string]any); ok && below != nil {
				repeated(path+"."+name, below, defaultBelow)
			} else if byDefault, ok := defaults[name]; ok && reflect.DeepEqual(value, byDefault) {
				t.Errorf("%s.%s repeats its default", path, name)
			}
		}
	}
	for _, name := range settings.Environments(c) {
		repeated(name, c["environments"].(map[string]any)[name].(map[string]any), settings.Defaults(name))
	}
}

func TestAccountComesFromContextThenCredentialsThenPlaceholder(t *testing.T) {
	for _, tt := range []struct{ given, ambient, want string }{
		{"111122223333", "444455556666", "111122223333"},
		{"", "444455556666", "444455556666"},
		{"", "", settings.PlaceholderAccount},
	} {
		c := context(t)
		set(t, c, "account", tt.given)
		s, err := settings.Load(c, tt.ambient)
		if err != nil {
			t.Fatal(err)
		}
		if s.Account != tt.want {
			t.Errorf("given %q, ambient %q: account %q, want %q", tt.given, tt.ambient, s.Account, tt.want)
		}
	}
}

// The CDK's command line hands over a context value as text.
func TestEnvironmentsMayBeText(t *testing.T) {
	c := context(t)
	want, err := settings.Load(c, "")
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(c["environments"])
	if err != nil {
		t.Fatal(err)
	}
	c["environments"] = string(text)
	if got, err := settings.Load(c, ""); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v, %+v", err, got)
	}
	c["environments"] = string(text[1:])
	if _, err := settings.Load(c, ""); err == nil || !strings.Contains(err.Error(), "allowed: an object with one entry an environment") {
		t.Errorf("text that is no JSON: %v", err)
	}
}

func TestEachFaultIsNamed(t *testing.T) {
	zones := func(names ...any) []any { return names }
	for _, tt := range []struct {
		name, path string
		value      any
		want       string
	}{
		{"same Region twice", "regions.secondary.name", "us-east-1", `environments.dev.regions.secondary.name = "us-east-1"; allowed: another Region than the primary`},
		{"overlapping ranges", "regions.secondary.cidr", "10.10.128.0/17", `environments.dev.regions.secondary.cidr = "10.10.128.0/17"; allowed: a range that does not overlap the primary's 10.10.0.0/16`},
		{"no range", "regions.primary.cidr", "10.10.0.0", `regions.primary.cidr = "10.10.0.0"; allowed: a private IPv4 range`},
		{"range not by its first address", "regions.primary.cidr", "10.10.1.0/16", `regions.primary.cidr = "10.10.1.0/16"; allowed: `},
		{"public range", "regions.primary.cidr", "8.8.0.0/16", `regions.primary.cidr = "8.8.0.0/16"; allowed: `},
		{"range too small", "regions.primary.cidr", "10.10.0.0/24", `regions.primary.cidr = "10.10.0.0/24"; allowed: `},
		{"zone of another Region", "regions.primary.availabilityZones", zones("us-east-1a", "us-east-1b", "us-west-2c"), `regions.primary.availabilityZones[2] = "us-west-2c"; allowed: a zone of the Region, each once: us-east-1 and a letter`},
		{"zone twice", "regions.primary.availabilityZones", zones("us-east-1a", "us-east-1a", "us-east-1c"), `availabilityZones[1] = "us-east-1a"`},
		{"two zones", "regions.primary.availabilityZones", zones("us-east-1a", "us-east-1b"), `availabilityZones = ["us-east-1a","us-east-1b"]; allowed: three`},
		{"unknown key", "database.instanceClas", "db.r5.large", `environments.dev.database.instanceClas = "db.r5.large"; allowed: the keys engineVersion, globalClusterEngineVersion, instanceClass,`},
		{"unknown group", "databse", map[string]any{}, `environments.dev.databse = {}; allowed: the keys`},
		{"reserved key", "environment", "dev", `environments.dev.environment = "dev"; allowed: the keys`},
		{"missing key", "dns.zoneName", removed{}, `dns.zoneName = (missing); allowed: a string`},
		{"missing group", "regions", removed{}, `regions = (missing); allowed: an object`},
		{"null for a default", "objectives", nil, `objectives = null; allowed: an object`},
		{"wrong type", "database.backupRetentionDays", "seven", `database.backupRetentionDays = "seven"; allowed: a whole number`},
		{"not whole", "database.backupRetentionDays", 7.5, `database.backupRetentionDays = 7.5; allowed: a whole number`},
		{"wrong type in a list", "alerts.emailAddresses", zones(float64(3)), `alerts.emailAddresses[0] = 3; allowed: a string`},
		{"value for an object", "dns", "example.com", `dns = "example.com"; allowed: an object`},
		{"string for a boolean", "production", "yes", `production = "yes"; allowed: true or false`},
		{"retention under the restore window", "database.backupRetentionDays", float64(2), `database.backupRetentionDays = 2; allowed: 3 to 35, the 72-hour restore window to Aurora's limit`},
		{"burstable class", "database.instanceClass", "db.t4g.medium", `database.instanceClass = "db.t4g.medium"; allowed: a class that a global database takes, such as db.r5.large`},
		{"old class", "database.instanceClass", "db.r4.large", `database.instanceClass = "db.r4.large"; allowed: `},
		{"no class", "database.instanceClass", "r5.large", `database.instanceClass = "r5.large"; allowed: `},
		{"inexact version at creation", "database.globalClusterEngineVersion", "8.0", `database.globalClusterEngineVersion = "8.0"; allowed: the exact version`},
		{"inexact version", "database.engineVersion", "8.0", `database.engineVersion = "8.0"; allowed: an exact version`},
		{"no caching", "dns.ttlSeconds", float64(0), `dns.ttlSeconds = 0; allowed: 1 to 60 seconds`},
		{"one lost packet", "dns.failureThreshold", float64(1), `dns.failureThreshold = 1; allowed: 2 to 10 failed checks in a row`},
		{"step without time", "recovery.stepMinutes.ledger", float64(0), `recovery.stepMinutes.ledger = 0; allowed: 1 to 15 minutes`},
		{"step over the objective", "recovery.stepMinutes.promotion", float64(16), `recovery.stepMinutes.promotion = 16; allowed: 1 to 15 minutes`},
		{"steps over the objective", "recovery.stepMinutes.promotion", float64(11), `recovery.stepMinutes = 19; allowed: steps that add up to objectives.rtoMinutes (15) at the most: approval, promotion, ledger and`},
		{"steps over a smaller objective", "objectives.rtoMinutes", float64(9), `recovery.stepMinutes = 13; allowed: steps that add up to objectives.rtoMinutes (9)`},
		{"missing step", "recovery.stepMinutes.traffic", nil, `recovery.stepMinutes.traffic = null; allowed: a whole number`},
		{"anybody as operator", "operators.principals", zones("*"), `operators.principals[0] = "*"; allowed: the ARN of an IAM role or user`},
		{"person as approver", "operators.approvers", zones("arn:aws:iam::111122223333:role/lead", "ann"), `operators.approvers[1] = "ann"; allowed: the ARN`},
		{"no instance", "database.instancesPerRegion", float64(0), `database.instancesPerRegion = 0; allowed: 1 to 15`},
		{"no address", "alerts.emailAddresses", zones("oncall@payments.example.com", "on call"), `alerts.emailAddresses[1] = "on call"; allowed: an e-mail address`},
		{"address with a name", "alerts.emailAddresses", zones("On Call <oncall@payments.example.com>"), `alerts.emailAddresses[0] = "On Call <oncall@payments.example.com>"; allowed: an e-mail address`},
		{"zone with a dot", "dns.zoneName", "payments.example.com.", `dns.zoneName = "payments.example.com."; allowed: a domain name`},
		{"zone in capitals", "dns.zoneName", "Payments.example.com", `dns.zoneName = "Payments.example.com"; allowed: `},
		{"zone of one label", "dns.zoneName", "payments", `dns.zoneName = "payments"; allowed: `},
		{"hosted zone id", "dns.hostedZoneId", "/hostedzone/Z1", `dns.hostedZoneId = "/hostedzone/Z1"; allowed: a public hosted zone's id`},
		{"NAT gateways", "network.natGatewaysPerRegion", float64(4), `network.natGatewaysPerRegion = 4; allowed: 0 to 3`},
		{"consistency", "session.consistency", "Strong", `session.consistency = "Strong"; allowed: strong or eventual`},
		{"witness is a replica", "session.witnessRegion", "us-west-2", `session.witnessRegion = "us-west-2"; allowed: another Region of [us-east-1 us-east-2 us-west-2]`},
		{"witness of another set", "session.witnessRegion", "eu-west-1", `session.witnessRegion = "eu-west-1"; allowed: `},
		{"witness without need", "session.consistency", "eventual", `session.witnessRegion = "us-east-2"; allowed: nothing`},
		{"rate", "api.throttlingRateLimit", float64(0), `api.throttlingRateLimit = 0; allowed: 1 to 10000 requests a second`},
		{"burst", "api.throttlingBurstLimit", float64(5001), `api.throttlingBurstLimit = 5001; allowed: 1 to 5000`},
		{"address limit", "api.requestsPerAddress", float64(10), `api.requestsPerAddress = 10; allowed: 100 to`},
		{"processors below a burst", "api.processorConcurrency", float64(199), `api.processorConcurrency = 199; allowed: 0 for no limit, or 200 to 100000: at least api.throttlingBurstLimit, and half of api.throttlingRateLimit`},
		{"processors below zero", "api.processorConcurrency", float64(-1), `api.processorConcurrency = -1; allowed: 0 for no limit, or 200 to`},
		{"too many processors", "api.processorConcurrency", float64(100_001), `api.processorConcurrency = 100001; allowed: 0 for no limit, or 200 to 100000`},
		{"active Region", "ledger.activeRegion", "us-east-1", `ledger.activeRegion = "us-east-1"; allowed: primary or secondary`},
		{"queue retention", "ledger.queueRetentionHours", float64(337), `ledger.queueRetentionHours = 337; allowed: 1 to 336 hours`},
		{"runbook", "alerts.alarmPagesURL", "docs/operate/alarms.md", `alerts.alarmPagesURL = "docs/operate/alarms.md"; allowed: an address that starts with https://`},
		{"runbook with a section", "alerts.alarmPagesURL", "https://wiki.payments.example.com/alarms#x", `alerts.alarmPagesURL = "https://wiki.payments.example.com/alarms#x"; allowed: `},
		{"budget", "alerts.monthlyBudgetUSD", float64(-1), `alerts.monthlyBudgetUSD = -1; allowed: 0 to 10000000 US dollars`},
		{"budget without an address", "alerts.monthlyBudgetUSD", float64(500), `alerts.emailAddresses = []; allowed: 1 to 10 addresses with a budget`},
		{"API errors", "alarms.apiErrorPercent", float64(0), `alarms.apiErrorPercent = 0; allowed: 1 to 100 percent`},
		{"API latency", "alarms.apiLatencyMilliseconds", float64(30000), `alarms.apiLatencyMilliseconds = 30000; allowed: 100 to 29000 milliseconds`},
		{"API throttled", "alarms.apiThrottledRequests", float64(0), `alarms.apiThrottledRequests = 0; allowed: 1 to`},
		{"relay", "alarms.relayDelaySeconds", float64(3601), `alarms.relayDelaySeconds = 3601; allowed: 1 to 3600 seconds`},
		{"ledger delay", "alarms.ledgerDelayMinutes", float64(0), `alarms.ledgerDelayMinutes = 0; allowed: 1 to 720 minutes`},
		{"ledger backlog", "alarms.ledgerBacklogMessages", float64(0), `alarms.ledgerBacklogMessages = 0; allowed: 1 to`},
		{"replication beyond the objective", "alarms.replicationLagSeconds", float64(301), `alarms.replicationLagSeconds = 301; allowed: 1 to 300 seconds, the recovery point objective`},
		{"processors", "alarms.databaseCPUPercent", float64(101), `alarms.databaseCPUPercent = 101; allowed: 1 to 100`},
		{"connections", "alarms.databaseConnectionPercent", float64(0), `alarms.databaseConnectionPercent = 0; allowed: 1 to 100`},
		{"memory", "alarms.databaseFreeMemoryPercent", float64(51), `alarms.databaseFreeMemoryPercent = 51; allowed: 1 to 50`},
		{"missing threshold", "alarms.relayDelaySeconds", nil, `alarms.relayDelaySeconds = null; allowed: a whole number`},
		{"RPO", "objectives.rpoMinutes", float64(6), `objectives.rpoMinutes = 6; allowed: 1 to 5`},
		{"RTO", "objectives.rtoMinutes", float64(16), `objectives.rtoMinutes = 16; allowed: 1 to 15`},
		{"backup", "backup.retentionDays", float64(1), `backup.retentionDays = 1; allowed: 3 to 365`},
		{"backup for years", "backup.retentionDays", float64(366), `backup.retentionDays = 366; allowed: 3 to 365 days`},
		{"no lock", "backup.lock", nil, `backup.lock = null; allowed: a string`},
		{"unknown lock", "backup.lock", "none", `backup.lock = "none"; allowed: governance or compliance; after its grace days the latter cannot be undone by anybody, not by AWS either`},
		{"grace of a lock that needs none", "backup.lockGraceDays", float64(3), `backup.lockGraceDays = 3; allowed: nothing with governance`},
		{"compliance without grace", "backup", map[string]any{"retentionDays": 7.0, "lock": "compliance"}, `backup.lockGraceDays = 0; allowed: 3 to 365 days with compliance, after which nobody, not AWS either, can undo the lock`},
		{"compliance with too little", "backup", map[string]any{"retentionDays": 7.0, "lock": "compliance", "lockGraceDays": 2.0}, `backup.lockGraceDays = 2; allowed: 3 to 365`},
		{"log retention", "logs.retentionDays", float64(31), `logs.retentionDays = 31; allowed: one of [3 5 7 14 30`},
		{"tag", "tags", map[string]any{"aws:owner": "me"}, `tags.aws:owner = "me"; allowed: a key of 1 to 128 characters that does not start with "aws:"`},
		{"account", "account", "12345", `account = "12345"; allowed: the 12 digits`},
		{"production without protection", "production", true, `database.deletionProtection = false; allowed: true in production`},
		{"production without alerts", "production", true, `alerts.emailAddresses = []; allowed: at least one address in production`},
		{"Region without certificates", "regions.primary.name", "mx-central-1", `regions.primary.name = "mx-central-1"; allowed: a Region whose database certificates are in internal/payment/ledger/rdscertificates`},
		{"Region of another partition", "regions.primary.name", "cn-north-1", `regions.primary.name = "cn-north-1"; allowed: the code of a commercial AWS Region`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := context(t)
			set(t, c, tt.path, tt.value)
			_, err := settings.Load(c, "")
			if err == nil {
				t.Fatal("no fault was found")
			}
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got:\n%v\nwant in it:\n%s", err, tt.want)
			}
		})
	}
}

func TestStrongConsistencyNeedsOneRegionSet(t *testing.T) {
	c := context(t)
	set(t, c, "regions.secondary", map[string]any{
		"name": "eu-west-1", "cidr": "10.11.0.0/16", "availabilityZones": []any{"eu-west-1a", "eu-west-1b", "eu-west-1c"},
	})
	_, err := settings.Load(c, "")
	if err == nil || !strings.Contains(err.Error(), `session.consistency = "strong"; allowed: eventual for the Regions us-east-1 and eu-west-1`) {
		t.Fatalf("got %v", err)
	}
	set(t, c, "session", map[string]any{"consistency": "eventual"})
	if _, err := settings.Load(c, ""); err != nil {
		t.Errorf("eventual over two sets: %v", err)
	}
}

func TestAllFaultsComeAtOnceAndEachKeyOnce(t *testing.T) {
	c := context(t)
	set(t, c, "regions.secondary.name", "us-east-1")
	set(t, c, "database.instanceClass", "db.t3.medium")
	set(t, c, "database.backupRetentionDays", "2")
	set(t, c, "database.colour", "blue")
	set(t, c, "objectives.rtoMinutes", nil)
	set(t, c, "dns.zoneName", "no zone")
	c["evn"] = "prod"
	_, err := settings.Load(c, "12")
	faults, ok := errors.AsType[settings.Faults](err)
	if !ok {
		t.Fatalf("error is %T", err)
	}
	keys := map[string]int{}
	for _, fault := range faults {
		keys[fault.Key]++
	}
	for _, key := range []string{
		"evn", "environments.dev.account", "environments.dev.regions.secondary.name", "environments.dev.database.instanceClass",
		"environments.dev.database.backupRetentionDays", "environments.dev.database.colour",
		"environments.dev.objectives.rtoMinutes", "environments.dev.dns.zoneName",
	} {
		if keys[key] != 1 {
			t.Errorf("%s is named %d times, want once", key, keys[key])
		}
	}
	if !strings.Contains(err.Error(), "settings are wrong:\n  ") {
		t.Errorf("message: %v", err)
	}
}

func TestEnvironmentMustExist(t *testing.T) {
	c := context(t)
	c["env"] = "stage"
	if _, err := settings.Load(c, ""); err == nil || !strings.Contains(err.Error(), `env = "stage"; allowed: the name of an environment: dev or prod`) {
		t.Errorf("got %v", err)
	}
	delete(c, "env")
	if _, err := settings.Load(c, ""); err == nil || !strings.Contains(err.Error(), `env = (missing)`) {
		t.Errorf("got %v", err)
	}
	if _, err := settings.Load(map[string]any{}, ""); err == nil || !strings.Contains(err.Error(), `environments = (missing)`) {
		t.Errorf("got %v", err)
	}
	c = context(t)
	environments := c["environments"].(map[string]any)
	environments["Pre-Production"] = environments["dev"]
	c["env"] = "Pre-Production"
	if _, err := settings.Load(c, ""); err == nil || !strings.Contains(err.Error(), `env = "Pre-Production"; allowed: a lower-case letter`) {
		t.Errorf("got %v", err)
	}
}

func TestReservedName(t *testing.T) {
	for name, want := range map[string]bool{
		"payments.example.com": true, "example.org": true, "pay.test": true, "a.b.invalid": true, "host.local": true,
		"bank.internal": true, "Pay.EXAMPLE.": true, "single": true,
		"payments.acme-bank.com": false, "examples.com": false, "test.acme.io": false,
	} {
		if got := settings.ReservedName(name); got != want {
			t.Errorf("ReservedName(%q) = %v, want %v", name, got, want)
		}
	}
}

func TestWhoStartsARecoveryDoesNotApproveIt(t *testing.T) {
	const ann, lead = "arn:aws:iam::111122223333:user/ann", "arn:aws:iam::111122223333:role/lead"
	c := context(t)
	set(t, c, "operators.principals", []any{ann, lead})
	set(t, c, "operators.approvers", []any{ann})
	_, err := settings.Load(c, "")
	if err == nil || !strings.Contains(err.Error(), `operators.approvers[0] = "`+ann+`"; allowed: somebody who is not among operators.principals`) {
		t.Errorf("error %v", err)
	}
	// A role's session carries no second factor.
	set(t, c, "operators.approvers", []any{})
	if _, err := settings.Load(c, ""); err != nil {
		t.Error(err)
	}
	set(t, c, "production", true)
	_, err = settings.Load(c, "")
	if err == nil || !strings.Contains(err.Error(), `operators.principals[1] = "`+lead+`"; allowed: the ARN of an IAM user, or an account`) {
		t.Errorf("error %v", err)
	}
}

// Approval is no step of an automatic recovery, and does not count.
func TestAutomaticRecoveryHasNoApprovalToWaitFor(t *testing.T) {
	c := context(t)
	set(t, c, "recovery.stepMinutes.promotion", float64(9))
	if _, err := settings.Load(c, ""); err == nil {
		t.Fatal("17 minutes are within 15")
	}
	set(t, c, "recovery.automatic", true)
	s, err := settings.Load(c, "")
	if err != nil {
		t.Fatal(err)
	}
	if way := s.Recovery.LongestWay(); way != 15 {
		t.Errorf("longest way %d, want 15", way)
	}
}

func TestComplianceIsAskedForInSoManyWords(t *testing.T) {
	for _, name := range settings.Environments(context(t)) {
		c := context(t)
		c["env"] = name
		s, err := settings.Load(c, "")
		if err != nil || s.Backup.Lock != settings.LockGovernance {
			t.Errorf("%s ships the lock %q, %v", name, s.Backup.Lock, err)
		}
	}
	c := context(t)
	set(t, c, "backup", map[string]any{"retentionDays": 30.0, "lock": "compliance", "lockGraceDays": 3.0})
	if s, err := settings.Load(c, ""); err != nil || s.Backup != (settings.Backup{RetentionDays: 30, Lock: settings.LockCompliance, LockGraceDays: 3}) {
		t.Errorf("%+v, %v", s, err)
	}
}

// The way 72 hours back is the table's and the cluster's own window, whatever the backup plan keeps.
func TestThePointInTimeWindowCoversTheRestore(t *testing.T) {
	for days := range 40 {
		c := context(t)
		set(t, c, "database.backupRetentionDays", float64(days))
		_, err := settings.Load(c, "")
		if allowed := days*24 >= settings.RestoreWindowHours && days <= 35; (err == nil) != allowed {
			t.Errorf("%d days: %v", days, err)
		}
	}
}

// A limit on the processors is above what the throttling lets through, and the shipped ones fit Lambda's default quota of 1,000, of
// which 100 stay unreserved.
func TestProcessorsAreNotLimitedBelowTheThrottling(t *testing.T) {
	for _, tt := range []struct {
		rate, burst, processors float64
		ok                      bool
	}{
		{100, 200, 200, true}, {100, 200, 199, false}, {100, 200, 0, true},
		{1000, 10, 500, true}, {1000, 10, 499, false}, {1001, 10, 500, false}, {10_000, 5000, 100_000, true},
	} {
		c := context(t)
		set(t, c, "api", map[string]any{"throttlingRateLimit": tt.rate, "throttlingBurstLimit": tt.burst, "requestsPerAddress": 1000.0, "processorConcurrency": tt.processors})
		if _, err := settings.Load(c, ""); (err == nil) != tt.ok {
			t.Errorf("%+v: %v", tt, err)
		}
	}
	for _, name := range settings.Environments(context(t)) {
		c := context(t)
		c["env"] = name
		s, err := settings.Load(c, "")
		if err != nil || s.API.ProcessorConcurrency > 900 || s.Production == (s.API.ProcessorConcurrency == 0) {
			t.Errorf("%s ships the limit %d, %v", name, s.API.ProcessorConcurrency, err)
		}
	}
}
