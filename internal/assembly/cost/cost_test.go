package cost_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"payments-dr/internal/assembly"
	"payments-dr/internal/assembly/cost"
	"payments-dr/internal/settings"
)

// resources are made from JSON, as templates are.
func resources(t *testing.T, text string) map[string]assembly.Resource {
	t.Helper()
	var r map[string]assembly.Resource
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		t.Fatal(err)
	}
	return r
}

// regionalTemplate is just enough of a Region's platform. OTHER is the other Region.
const regionalTemplate = `{
	"Instance": {"Type": "AWS::RDS::DBInstance", "Properties": {"DBInstanceClass": "db.r5.large"}},
	"Cluster": {"Type": "AWS::RDS::DBCluster", "Properties": {"BackupRetentionPeriod": 3}},
	"Gateway": {"Type": "AWS::EC2::NatGateway", "Properties": {}},
	"Gateway2": {"Type": "AWS::EC2::NatGateway", "Properties": {}},
	"Address": {"Type": "AWS::EC2::EIP", "Properties": {}},
	"Address2": {"Type": "AWS::EC2::EIP", "Properties": {}},
	"Acl": {"Type": "AWS::WAFv2::WebACL", "Properties": {"Rules": [{}, {}]}},
	"Stage": {"Type": "AWS::ApiGateway::Stage", "Properties": {"TracingEnabled": true}},
	"Logs": {"Type": "AWS::Logs::LogGroup", "Properties": {"LogGroupName": "logs", "RetentionInDays": 365}},
	"Processor": {"Type": "AWS::Lambda::Function", "Properties": {"FunctionName": "payment-small-processor", "Architectures": ["arm64"], "MemorySize": 1024}},
	"Relay": {"Type": "AWS::Lambda::Function", "Properties": {"FunctionName": "payment-small-relay", "Architectures": ["arm64"], "MemorySize": 512}},
	"Ledger": {"Type": "AWS::Lambda::Function", "Properties": {"FunctionName": "payment-small-ledger", "Architectures": ["arm64"], "MemorySize": 1024}},
	"Canary": {"Type": "AWS::Lambda::Function", "Properties": {"FunctionName": "payment-small-canary", "Architectures": ["arm64"], "MemorySize": 1024}},
	"Validate": {"Type": "AWS::Lambda::Function", "Properties": {"FunctionName": "payment-small-validate", "Architectures": ["arm64"], "MemorySize": 1024,
		"Environment": {"Variables": {"INSTANCE_CLASS": "db.r5.xlarge"}}}},
	"Queue": {"Type": "AWS::SQS::Queue", "Properties": {}},
	"Mapping": {"Type": "AWS::Lambda::EventSourceMapping", "Properties": {"EventSourceArn": {"Fn::GetAtt": ["Queue", "Arn"]}}},
	"Off": {"Type": "AWS::Lambda::EventSourceMapping", "Properties": {"Enabled": false, "EventSourceArn": {"Fn::GetAtt": ["Queue", "Arn"]}}},
	"Schedule": {"Type": "AWS::Events::Rule", "Properties": {"Name": "payment-small-canary", "ScheduleExpression": "rate(2 minutes)", "Targets": [{"Arn": {"Fn::GetAtt": ["Canary", "Arn"]}}]}},
	"Alarm": {"Type": "AWS::CloudWatch::Alarm", "Properties": {"Namespace": "Payment/small", "MetricName": "Reads"}},
	"Alarm2": {"Type": "AWS::CloudWatch::Alarm", "Properties": {"Namespace": "Payment/small", "MetricName": "Reads"}},
	"Sum": {"Type": "AWS::CloudWatch::Alarm", "Properties": {"Metrics": [{"MetricStat": {"Metric": {"Namespace": "AWS/SQS"}}}, {"MetricStat": {"Metric": {}}}, {"Expression": "a+b"}]}},
	"Query": {"Type": "AWS::CloudWatch::Alarm", "Properties": {"Metrics": [{"Expression": "SELECT MAX(x) FROM \"y\""}]}},
	"Plan": {"Type": "AWS::Backup::BackupPlan", "Properties": {"BackupPlan": {"BackupPlanRule": [{"ScheduleExpression": "cron(0 11 ? * * *)", "Lifecycle": {"DeleteAfterDays": 5},
		"CopyActions": [{"DestinationBackupVaultArn": "arn:aws:backup:OTHER:1:backup-vault:x", "Lifecycle": {"DeleteAfterDays": 4}}]}]}}},
	"Tests": {"Type": "AWS::Backup::RestoreTestingPlan", "Properties": {"ScheduleExpression": "cron(0 13 ? * MON *)"}},
	"Test": {"Type": "AWS::Backup::RestoreTestingSelection", "Properties": {"ProtectedResourceType": "Aurora"}},
	"Role": {"Type": "AWS::IAM::Role", "Properties": {}}
}`

const tableTemplate = `{"Table": {"Type": "AWS::DynamoDB::GlobalTable", "Properties": {"BillingMode": "PAY_PER_REQUEST", "GlobalSecondaryIndexes": [{}],
	"GlobalTableWitnesses": [{"Region": "us-east-2"}],
	"Replicas": [{"Region": "us-east-1", "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": true}}, {"Region": "us-west-2"}]}}}`

const globalTemplate = `{
	"East": {"Type": "AWS::Route53::HealthCheck", "Properties": {"HealthCheckConfig": {"Type": "HTTPS", "RequestInterval": 10, "MeasureLatency": true,
		"Regions": ["a", "b", "c", "d"], "FullyQualifiedDomainName": {"Fn::Join": ["", ["x", ".execute-api.us-east-1.amazonaws.com"]]}}}},
	"West": {"Type": "AWS::Route53::HealthCheck", "Properties": {"HealthCheckConfig": {"Type": "HTTPS", "RequestInterval": 30,
		"Regions": ["a", "b", "c"], "FullyQualifiedDomainName": {"Fn::Join": ["", ["x", ".execute-api.us-west-2.amazonaws.com"]]}}}},
	"Both": {"Type": "AWS::Route53::HealthCheck", "Properties": {"HealthCheckConfig": {"Type": "CALCULATED"}}},
	"Plan": {"Type": "AWS::ARCRegionSwitch::Plan", "Properties": {}}
}`

// small is a made-up environment, just large enough.
func small(t *testing.T) *assembly.Assembly {
	t.Helper()
	a := &assembly.Assembly{Settings: settings.Settings{Environment: "small", Ledger: settings.Ledger{ActiveRegion: "primary"},
		Regions: settings.Regions{Primary: settings.Region{Name: "us-east-1"}, Secondary: settings.Region{Name: "us-west-2"}}}}
	for _, stack := range []struct{ role, region, text string }{
		{"global", "us-east-1", globalTemplate},
		{"primary", "us-east-1", strings.ReplaceAll(regionalTemplate, "OTHER", "us-west-2")},
		{"secondary", "us-west-2", strings.ReplaceAll(regionalTemplate, "OTHER", "us-east-1")},
	} {
		s := assembly.Stack{Name: a.Settings.StackName(stack.role), Region: stack.region}
		s.Template.Resources = resources(t, stack.text)
		if stack.role == "primary" {
			s.Template.Resources["Table"] = resources(t, tableTemplate)["Table"]
		}
		a.Stacks = append(a.Stacks, s)
	}
	return a
}

func of(t *testing.T, a *assembly.Assembly) *cost.Estimate {
	t.Helper()
	e, err := cost.Of(a, cost.Usage{TableGB: 10, DatabaseGB: 100, CheckersPerRegion: 2})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func set(t *testing.T, a *assembly.Assembly, role, id, property string, value any) {
	t.Helper()
	stack, err := a.Stack(role)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := stack.Template.Resources[id]; !ok {
		t.Fatalf("there is no %s in %s", id, role)
	}
	stack.Template.Resources[id].Properties[property] = value
}

// usd is the exact sum of the rows with a name, in a Region.
func usd(rows []cost.Row, what, region string) string {
	var sum cost.Decimal
	for _, row := range rows {
		if row.What == what && row.Region == region {
			sum = sum.Plus(row.USD)
		}
	}
	return sum.Short(10)
}

// TestIdleByHand holds rows against what comes out on paper.
func TestIdleByHand(t *testing.T) {
	e := of(t, small(t))
	for _, test := range []struct{ what, region, want string }{
		{"instances db.r5.large", "us-east-1", "211.7"},                                     // 730 x 0.29
		{"NAT gateways", "us-west-2", "65.7"},                                               // 2 x 730 x 0.045
		{"public addresses", "us-west-2", "7.3"},                                            // 2 x 730 x 0.005
		{"storage", "us-east-1", "12.5"},                                                    // 10 x 0.25, 100 x 0.10
		{"point-in-time recovery", "us-east-1", "1"},                                        // half of 10, x 0.20
		{"point-in-time recovery", "us-west-2", "0"},                                        // switched off
		{"Aurora's recovery points beyond the cluster's own retention", "us-east-1", "4.2"}, // (5 - 3) x 100 x 0.021
		{"copies of Aurora's recovery points", "us-east-1", "8.4"},                          // 4 x 100 x 0.021, of the other Region's
		{"the table's recovery points", "us-east-1", "2.5"},                                 // 5 x 5 x 0.10
		{"instances of restored clusters", "us-west-2", "5.0266666667"},                     // 52/12 x 2 x 0.58
		{"alarms", "us-east-1", "0.4"},                                                      // two of one metric, one of two
		{"alarms by Metrics Insights", "us-east-1", "0.5"},                                  // one, of five metrics
		{"the platform's own metrics that alarms watch", "us-east-1", "0.3"},                // two alarms, one metric
		{"endpoint checks", cost.Global, "1"},
		{"options: HTTPS, text in the answer, fast interval, latency", cost.Global, "4"}, // three and one
		{"calculated and metric checks", cost.Global, "0.5"},
		{"plans", cost.Global, "70"},
		{"rules and managed groups", "us-east-1", "2"},
		{"Lambda asking empty queues", "us-east-1", "0.2628"}, // 5 x 2,628,000 / 20 x 0.40 / 1,000,000: the one that is on
		// 2,628,000 s x 4 Regions x 2 checkers / 10 s = 2,102,400 requests; in the west 3 x 2 / 30 s = 525,600.
		{"health checks", "us-east-1", "7.3584"},
		{"health checks", "us-west-2", "1.8396"},
		{"time: health checks", "us-east-1", "5.606428032"},         // x 0.2 s x 1 GB x 0.0000133334
		{"replicated writes: health checks", "us-east-1", "1.6425"}, // those of both Regions x 0.625
		{"writes at the witness: health checks", "us-east-2", "1.6425"},
		{"the canary's payments", "us-east-1", "0.07665"}, // 21,900 x 3.50
		{"time: canary", "us-east-1", "0.43800219"},       // 21,900 x 1.5 x 0.0000133334
		// Health checks, 21,900 invocations and five requests of each, below one a second: all of them.
		{"traces of health checks, canary and schedules", "us-east-1", "11.169"},
	} {
		if got := usd(e.Idle, test.what, test.region); got != test.want {
			t.Errorf("%s in %s: %s, want %s", test.what, test.region, got, test.want)
		}
	}
	if len(e.NotPriced) != 0 {
		t.Errorf("not priced: %v", e.NotPriced)
	}
}

// TestMillionByHand holds what a million payments cost against paper.
func TestMillionByHand(t *testing.T) {
	e := of(t, small(t))
	for _, test := range []struct{ what, region, want string }{
		{"payments", "us-east-1", "3.5"},
		{"payments", "us-west-2", "0"},
		{"requests: payments", "us-east-1", "0.8"}, // API Gateway's WAF 0.60, Lambda 0.20
		{"time: payments", "us-east-1", "1.33334"},
		{"time: relay, payments", "us-east-1", "0.0333335"}, // 100,000 x 0.05 s x 0.5 GB
		{"replicated writes: payments", "us-west-2", "0.625"},
		{"index writes: payments", "us-west-2", "0.625"},
		{"writes at the witness: payments", "us-east-2", "0.625"},
		{"events: payments", "us-east-1", "1"},
		{"into the ledgers' queues: payments", "us-west-2", "0.4"},
		{"out of the ledger's queue: payments", "us-east-1", "0.08"},
		{"out of the ledger's queue: payments", "us-west-2", "0"},
		{"I/O: payments", "us-east-1", "0.8"},
		{"replicated write I/O: payments", "us-west-2", "0.8"},
		{"traces of payments", "us-east-1", "0.25"},
	} {
		if got := usd(e.Million, test.what, test.region); got != test.want {
			t.Errorf("%s in %s: %s, want %s", test.what, test.region, got, test.want)
		}
	}
}

// changed are the rows that are not alike in two estimates, as service, name and Region.
func changed(before, after []cost.Row) []string {
	sum := func(rows []cost.Row) map[string]cost.Decimal {
		all := map[string]cost.Decimal{}
		for _, row := range rows {
			key := row.Service + ": " + row.What + ": " + row.Region
			all[key] = all[key].Plus(row.USD)
		}
		return all
	}
	x, y := sum(before), sum(after)
	var keys []string
	for key, amount := range x {
		if amount.Cmp(y[key]) != 0 {
			keys = append(keys, key)
		}
	}
	for key := range y {
		if _, ok := x[key]; !ok {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}

func TestAChangeInTheTemplatesChangesItsRowsAlone(t *testing.T) {
	for _, test := range []struct {
		name  string
		apply func(a *assembly.Assembly)
		want  []string
	}{
		{"instance class", func(a *assembly.Assembly) { set(t, a, "primary", "Instance", "DBInstanceClass", "db.r6g.large") },
			[]string{"Aurora: instances db.r5.large: us-east-1", "Aurora: instances db.r6g.large: us-east-1"}},
		{"secret", func(a *assembly.Assembly) {
			stack, _ := a.Stack("primary")
			stack.Template.Resources["Secret"] = assembly.Resource{Type: "AWS::SecretsManager::Secret", Properties: map[string]any{"ReplicaRegions": []any{map[string]any{"Region": "us-west-2"}}}}
		}, []string{"Secrets Manager: secrets and replicas: us-east-1", "Secrets Manager: secrets and replicas: us-west-2"}},
		{"interface endpoint", func(a *assembly.Assembly) {
			stack, _ := a.Stack("primary")
			stack.Template.Resources["Endpoint"] = assembly.Resource{Type: "AWS::EC2::VPCEndpoint", Properties: map[string]any{"VpcEndpointType": "Interface", "SubnetIds": []any{"a", "b"}}}
		}, []string{"NAT gateways, endpoints: interface endpoints: us-east-1"}},
		{"queue off", func(a *assembly.Assembly) { set(t, a, "primary", "Mapping", "Enabled", false) }, []string{"SQS: Lambda asking empty queues: us-east-1"}},
		{"gateway endpoint", func(a *assembly.Assembly) {
			stack, _ := a.Stack("primary")
			stack.Template.Resources["Endpoint"] = assembly.Resource{Type: "AWS::EC2::VPCEndpoint", Properties: map[string]any{"VpcEndpointType": "Gateway"}}
		}, nil},
	} {
		a := small(t)
		before := of(t, a)
		test.apply(a)
		after := of(t, a)
		if got := changed(before.Idle, after.Idle); !slices.Equal(got, test.want) {
			t.Errorf("%s changes %q, want %q", test.name, got, test.want)
		}
		if test.name == "instance class" {
			if got := usd(after.Idle, "instances db.r6g.large", "us-east-1"); got != "189.8" { // 730 x 0.26
				t.Errorf("the other class costs %s", got)
			}
		}
		if got := changed(before.Million, after.Million); len(got) > 0 {
			t.Errorf("%s changes %q of a million payments", test.name, got)
		}
	}
}

func TestUnknownTypesAreNotPriced(t *testing.T) {
	a := small(t)
	stack, _ := a.Stack("secondary")
	for _, id := range []string{"X", "Y"} {
		stack.Template.Resources[id] = assembly.Resource{Type: "AWS::Kinesis::Stream"}
	}
	stack.Template.Resources["Z"] = assembly.Resource{Type: "AWS::EC2::VPCEndpoint", Properties: map[string]any{"VpcEndpointType": "GatewayLoadBalancer"}}
	e := of(t, a)
	if len(e.NotPriced) != 2 {
		t.Fatalf("not priced: %+v", e.NotPriced)
	}
	for _, u := range e.NotPriced {
		if (u.Type != "AWS::Kinesis::Stream" || u.Count != 2) && (u.Type != "AWS::EC2::VPCEndpoint" || !strings.Contains(u.Why, "GatewayLoadBalancer")) {
			t.Errorf("%+v", u)
		}
	}
	var out strings.Builder
	if err := (cost.Report{Estimate: e}).WriteTable(&out); err != nil || !strings.Contains(out.String(), "not priced: AWS::Kinesis::Stream (2)") {
		t.Errorf("%v\n%s", err, out.String())
	}
}

// TestEveryPriceThatIsMissingIsNamed takes each price that the environment needs away in turn.
func TestEveryPriceThatIsMissingIsNamed(t *testing.T) {
	a := small(t)
	needed := map[string]bool{}
	e := of(t, a)
	for _, row := range slices.Concat(e.Idle, e.Million) {
		needed[row.Price] = true
	}
	if len(needed) < 30 {
		t.Errorf("only %d prices are needed", len(needed))
	}
	for key := range needed {
		prices, err := cost.Published()
		if err != nil {
			t.Fatal(err)
		}
		prices.Prices = slices.DeleteFunc(prices.Prices, func(p cost.Price) bool { return p.Key == key })
		if _, err := cost.At(prices, a, cost.DefaultUsage()); err == nil || !strings.Contains(err.Error(), "there is no price "+key) {
			t.Errorf("without %s: %v", key, err)
		}
	}
}

func TestFaults(t *testing.T) {
	for _, test := range []struct {
		name  string
		apply func(a *assembly.Assembly)
		want  string
	}{
		{"Region", func(a *assembly.Assembly) { a.Settings.Regions.Secondary.Name = "eu-west-1" }, "there are no prices for eu-west-1, only for us-east-1 and us-west-2"},
		{"witness", func(a *assembly.Assembly) {
			set(t, a, "primary", "Table", "GlobalTableWitnesses", []any{map[string]any{"Region": "eu-north-1"}})
		}, "there is no price dynamodb.replicated-write for eu-north-1, only for us-east-1, us-east-2, us-west-2"},
		{"class", func(a *assembly.Assembly) { set(t, a, "primary", "Instance", "DBInstanceClass", "db.x2g.large") }, "there is no price aurora.instance.db.x2g.large"},
		{"schedule", func(a *assembly.Assembly) { set(t, a, "primary", "Schedule", "ScheduleExpression", "cron(x)") }, `the schedule "cron(x)" is not understood`},
		{"memory", func(a *assembly.Assembly) { set(t, a, "primary", "Relay", "MemorySize", nil) }, "MemorySize is <nil>: want a whole number, 128 or more"},
		{"architecture", func(a *assembly.Assembly) { set(t, a, "primary", "Relay", "Architectures", []any{"x86_64"}) }, "is not of the architecture arm64"},
		{"function", func(a *assembly.Assembly) { set(t, a, "secondary", "Processor", "FunctionName", "other") }, "payment-small-secondary has no function processor"},
		{"checks", func(a *assembly.Assembly) {
			set(t, a, "global", "West", "HealthCheckConfig", map[string]any{"Type": "CALCULATED"})
		}, "there is no health check of the API in us-west-2"},
		{"billing", func(a *assembly.Assembly) { set(t, a, "primary", "Table", "BillingMode", "PROVISIONED") }, "only PAY_PER_REQUEST is priced"},
		{"restore test", func(a *assembly.Assembly) { set(t, a, "primary", "Test", "ProtectedResourceType", "EFS") }, `restore tests of "EFS" are not priced`},
	} {
		a := small(t)
		test.apply(a)
		if _, err := cost.Of(a, cost.DefaultUsage()); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %s", test.name, err, test.want)
		}
	}
	if _, err := cost.Of(small(t), cost.Usage{TableGB: -1, DatabaseGB: -2}); err == nil ||
		!strings.Contains(err.Error(), "table GB is -1: want 0 or more") || !strings.Contains(err.Error(), "database GB is -2") || !strings.Contains(err.Error(), "checkers a Region is 0: want 1 or more") {
		t.Errorf("usage: %v", err)
	}
}

func TestLevers(t *testing.T) {
	prices, err := cost.Published()
	if err != nil {
		t.Fatal(err)
	}
	a := small(t)
	before, err := json.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	found, err := cost.Levers(prices, a, cost.DefaultUsage())
	if err != nil {
		t.Fatal(err)
	}
	if after, _ := json.Marshal(a); string(after) != string(before) {
		t.Error("the assembly has been changed")
	}
	got := map[string]string{}
	for _, lever := range found {
		got[lever.What] = lever.USD.Short(4)
	}
	for what, want := range map[string]string{
		"one NAT gateway less a Region":                              "-73.09",   // two x (730 x 0.05 + 1 GB)
		"instances of db.r6g of the same size":                       "-44.8573", // two x (730 x 0.03, and 52/12 x 2 x (0.58 - 0.519))
		"health checks without latency":                              "-1",
		"interface endpoints of three services, and no NAT gateways": "-14.78", // two x (9 x 7.30 - 2 x 36.545)
		"one instance a Region":                                      "",
		"the canary every five minutes":                              "",      // every two already
		"recovery points kept for 3 days":                            "-4.26", // two x (2 x 0.21 + 0.21 + 2 x 0.50 + 0.50)
	} {
		if got[what] != want {
			t.Errorf("%s: %q, want %q", what, got[what], want)
		}
	}
	for i := 1; i < len(found); i++ {
		if found[i].USD.Cmp(found[i-1].USD) < 0 {
			t.Errorf("%s comes after %s", found[i].What, found[i-1].What)
		}
	}
}

func TestTableAddsUp(t *testing.T) {
	e := of(t, small(t))
	var all cost.Decimal
	for _, service := range cost.ByService(e.Idle) {
		if service.USD.Cmp(cost.Total(service.Rows)) != 0 {
			t.Errorf("%s is not the sum of its rows", service.Name)
		}
		all = all.Plus(service.USD)
	}
	if all.Cmp(cost.Total(e.Idle)) != 0 {
		t.Error("the services are not the whole")
	}
	var out strings.Builder
	if err := (cost.Report{Estimate: e}).WriteTable(&out); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "small: a month without payments: $"+all.Text(2)) || strings.Contains(out.String(), " \n") {
		t.Errorf("%s", out.String())
	}
	for _, row := range slices.Concat(e.Idle, e.Million) {
		if row.USD.Cmp(row.Quantity.Times(row.Each)) != 0 || len(row.Sources) == 0 || row.Unit == "" {
			t.Errorf("%+v", row)
		}
	}
}

func TestDecimal(t *testing.T) {
	parse := func(text string) cost.Decimal {
		d, err := cost.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	tenth := parse("0.1")
	if tenth.Plus(parse("0.2")).Cmp(parse("0.3")) != 0 {
		t.Error("0.1 + 0.2 is not 0.3")
	}
	for text, want := range map[string]string{"0.005": "0.01", "-0.005": "-0.01", "1.005": "1.01", "2.675": "2.68", "0.0049": "0.00", "-0.0049": "0.00", "1234567.891": "1,234,567.89", "-1234": "-1,234.00", "999.995": "1,000.00"} {
		if got := parse(text).Text(2); got != want {
			t.Errorf("%s is written %s, want %s", text, got, want)
		}
	}
	if got := parse("100").Short(3); got != "100" {
		t.Errorf("100 is written %s", got)
	}
	if data, err := json.Marshal(parse("1234.50")); err != nil || string(data) != `"1234.5"` {
		t.Errorf("%s, %v", data, err)
	}
	for _, text := range []string{"", "x", "1/3", "1e3", "0x1"} {
		if _, err := cost.Parse(text); err == nil {
			t.Errorf("%q is a decimal number", text)
		}
	}
}

func TestDuring(t *testing.T) {
	month := cost.Whole(730)
	for while, want := range map[time.Duration]string{730 * time.Hour: "730.00", 90 * time.Minute: "1.50", 18 * time.Second: "0.01", 0: "0.00"} {
		if got := cost.During(month, while).Text(2); got != want {
			t.Errorf("%v of $730 a month cost %s, want %s", while, got, want)
		}
	}
}

func TestReadPrices(t *testing.T) {
	good := `{"regions":["a"],"sources":{"s":{"date":"2026-01-02","text":"t","page":"p"}},"prices":[{"key":"k","unit":"u","usd":"1","sources":{"a":"s"}}]}`
	if _, err := cost.ReadPrices([]byte(good)); err != nil {
		t.Error(err)
	}
	for _, test := range []struct{ old, new, want string }{
		{`"usd":"1"`, `"usd":"0"`, `k: "0" is not a positive decimal number`},
		{`"usd":"1"`, `"usd":"x"`, `k: "x" is not a positive decimal number`},
		{`"unit":"u"`, `"unit":""`, "k has no unit"},
		{`{"a":"s"}`, `{"a":"z"}`, `k in a: there is no source "z"`},
		{`"2026-01-02"`, `""`, "source s needs a date"},
		{`,"page":"p"`, ``, "source s needs a date, a text, and a page"},
		{`"prices":[`, `"prices":[{"key":"k","unit":"u","usd":"2","sources":{"a":"s"}},`, "k in a is there twice"},
		{`"sources":{"s"`, `"sources":{"z":{"date":"2026-01-02","text":"t","page":"p"},"s"`, "no price has the source z"},
		{`"regions"`, `"other":1,"regions"`, "unknown field"},
	} {
		if _, err := cost.ReadPrices([]byte(strings.Replace(good, test.old, test.new, 1))); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %s", test.new, err, test.want)
		}
	}
}

// TestJSON has amounts as strings, whole, and both parts by service.
func TestJSON(t *testing.T) {
	report, err := cost.Make(small(t), cost.Usage{TableGB: 10, DatabaseGB: 100, CheckersPerRegion: 2})
	if err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(report)
	if err != nil {
		t.Fatal(err)
	}
	type part struct {
		USD      string
		Services []struct{ Service, USD string }
		Rows     []struct{ What, Region, USD, Each, Quantity string }
	}
	var read struct {
		Environment                string
		IdleMonth, MillionPayments part
		Levers                     []struct{ What, USD string }
		NotPriced                  []struct{ Type string }
	}
	if err := json.Unmarshal(data, &read); err != nil {
		t.Fatal(err)
	}
	if read.Environment != "small" || len(read.Levers) == 0 || read.NotPriced == nil {
		t.Errorf("%s", data)
	}
	for _, p := range []part{read.IdleMonth, read.MillionPayments} {
		var services cost.Decimal
		for _, service := range p.Services {
			usd, err := cost.Parse(service.USD)
			if err != nil {
				t.Fatal(err)
			}
			services = services.Plus(usd)
		}
		if total, err := cost.Parse(p.USD); err != nil || total.Text(2) != services.Text(2) || len(p.Rows) == 0 || p.Rows[0].Each == "" {
			t.Errorf("%v: %s, of services %s", err, p.USD, services.Text(2))
		}
	}
}
