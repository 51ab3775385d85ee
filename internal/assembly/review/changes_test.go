package review_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"payments-dr/internal/assembly/document"
	"payments-dr/internal/assembly/golden"
	"payments-dr/internal/assembly/review"
	"payments-dr/internal/settings"
	"payments-dr/stacks/stackstest"
)

// settingChange is a change of one setting of a deployed environment.
type settingChange struct {
	// with are settings that have to change along.
	to   any
	with map[string]any
	// group is the synthesis that verifies it. Changes of a group do not touch the same resources in ways that hide each other.
	group int
	// note is what an operator has to know, beyond what CloudFormation does.
	note string
}

const (
	newEnvironment = "Another deployment. Make a new environment and restore the data into it."
	inPlace        = ""
)

// settingChanges are all settings that can change, by their path, each with another value for dev.
var settingChanges = map[string]settingChange{
	"production": {true, map[string]any{"database.deletionProtection": true, "alerts.emailAddresses": []any{"oncall@payments.example.com"}}, 0,
		"Also changes what is kept when a stack is deleted. Sign-in to the operators' roles then needs multi-factor authentication."},
	"regions.primary.cidr":              {"10.40.0.0/16", nil, 1, "The cluster cannot move to another network."},
	"regions.secondary.cidr":            {"10.41.0.0/16", nil, 1, "The cluster cannot move to another network."},
	"regions.primary.availabilityZones": {[]any{"us-east-1a", "us-east-1b", "us-east-1d"}, nil, 2, "A subnet cannot move to another zone, and its range of addresses is in use."},
	"regions.secondary.availabilityZones": {[]any{"us-west-2a", "us-west-2b", "us-west-2d"}, nil, 2,
		"A subnet cannot move to another zone, and its range of addresses is in use."},
	"dns.zoneName": {"payments.example.org", nil, 3,
		"Clients pay at another name. The deployment waits until the new zone is delegated; the old one stays. Move the clients first, or deploy another environment."},
	"dns.hostedZoneId": {"Z0123456789ABCDEFGHIJ", nil, 0,
		"The records move to this zone while the parent domain still delegates to the old one. Only for a zone that the stack itself had made and that is kept, or before the first payment."},
	"dns.ttlSeconds":                      {30.0, nil, 0, inPlace},
	"dns.failureThreshold":                {2.0, nil, 0, inPlace},
	"network.natGatewaysPerRegion":        {3.0, nil, 0, "Connections through the gateways break when their routes change."},
	"database.engineVersion":              {"8.0.mysql_aurora.3.11.0", nil, 3, "See [Raise the engine version](deploy.md#raise-the-engine-version). Set `database.globalClusterEngineVersion` to the old version first."},
	"database.globalClusterEngineVersion": {"8.0.mysql_aurora.3.10.1", nil, 4, "Never change it after the first deployment. Set it once, to the version that the global cluster was created with, before `database.engineVersion` changes."},
	"database.instanceClass":              {"db.r6g.large", nil, 0, "Each instance restarts. Change it in the secondary first, and the writer in a quiet hour: payments are accepted meanwhile, the ledger follows."},
	"database.instancesPerRegion":         {2.0, nil, 1, inPlace},
	"database.backupRetentionDays":        {14.0, nil, 0, inPlace},
	"database.deletionProtection":         {true, nil, 2, inPlace},
	"session.consistency":                 {"eventual", map[string]any{"session.witnessRegion": ""}, 0, "Back up and restore into another environment."},
	"api.throttlingRateLimit":             {200.0, nil, 0, inPlace},
	"api.throttlingBurstLimit":            {300.0, nil, 1, inPlace},
	"api.requestsPerAddress":              {20000.0, nil, 0, inPlace},
	"api.processorConcurrency":            {250.0, nil, 3, "The account's quota has to allow it in both Regions: `dr preflight` tells."},
	"ledger.activeRegion":                 {"secondary", nil, 2, "Follows a recovery that is to last; it does not make one. Move the ledger with the recovery plan first."},
	"ledger.queueRetentionHours":          {8.0, nil, 3, inPlace},
	"alerts.emailAddresses":               {[]any{"oncall@payments.example.org"}, nil, 1, "Each new address has to confirm its subscription."},
	"alerts.alarmPagesURL":                {"https://runbooks.example.org/alarms", nil, 4, inPlace},
	"alerts.monthlyBudgetUSD":             {4000.0, map[string]any{"alerts.emailAddresses": []any{"oncall@payments.example.org"}}, 0, inPlace},
	"alarms.apiErrorPercent":              {3.0, nil, 0, inPlace},
	"alarms.apiLatencyMilliseconds":       {3000.0, nil, 0, inPlace},
	"alarms.apiThrottledRequests":         {20.0, nil, 0, inPlace},
	"alarms.relayDelaySeconds":            {90.0, nil, 0, inPlace},
	"alarms.ledgerDelayMinutes":           {6.0, nil, 0, inPlace},
	"alarms.ledgerBacklogMessages":        {20000.0, nil, 0, inPlace},
	"alarms.replicationLagSeconds":        {90.0, nil, 0, inPlace},
	"alarms.databaseCPUPercent":           {90.0, nil, 0, inPlace},
	"alarms.databaseConnectionPercent":    {90.0, nil, 0, inPlace},
	"alarms.databaseFreeMemoryPercent":    {20.0, nil, 0, inPlace},
	"objectives.rpoMinutes":               {4.0, nil, 0, "A promise, against which the platform is measured."},
	"objectives.rtoMinutes":               {14.0, nil, 0, inPlace},
	"recovery.automatic":                  {true, nil, 1, "Not while an execution of the plan runs."},
	"recovery.stepMinutes.approval":       {1.0, nil, 2, inPlace},
	"recovery.stepMinutes.promotion":      {6.0, nil, 2, inPlace},
	"recovery.stepMinutes.ledger":         {2.0, nil, 2, inPlace},
	"recovery.stepMinutes.reconciliation": {1.0, nil, 2, inPlace},
	"recovery.stepMinutes.traffic":        {2.0, nil, 2, inPlace},
	"operators.principals":                {[]any{"arn:aws:iam::000000000000:role/on-call"}, nil, 1, inPlace},
	"operators.approvers":                 {[]any{"arn:aws:iam::000000000000:role/second"}, nil, 2, inPlace},
	"backup.retentionDays":                {14.0, nil, 3, "Recovery points keep the retention that they were made with. Under a compliance lock it can be raised and not lowered."},
	"backup.lock":                         {"compliance", map[string]any{"backup.lockGraceDays": 14.0}, 4, "After the grace days nobody can undo it."},
	"logs.retentionDays":                  {60.0, nil, 0, "What is older than a shorter retention is deleted."},
	"tags":                                {map[string]any{"application": "payments", "environment": "dev", "team": "ledger"}, nil, 4, inPlace},
}

// notChanged are settings that no deployed environment changes by itself, with the reason.
var notChanged = map[string]string{
	"environment":            "Part of all names. " + newEnvironment,
	"account":                newEnvironment,
	"regions.primary.name":   newEnvironment,
	"regions.secondary.name": newEnvironment,
	"session.witnessRegion":  "Follows `session.consistency`.",
	"backup.lockGraceDays":   "Follows `backup.lock`.",
}

// settingPaths are the paths of all settings.
func settingPaths(of reflect.Type, prefix string) []string {
	var all []string
	for i := range of.NumField() {
		field := of.Field(i)
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if field.Type.Kind() == reflect.Struct {
			all = append(all, settingPaths(field.Type, prefix+name+".")...)
		} else {
			all = append(all, prefix+name)
		}
	}
	return all
}

// changedContext is the app's context with changes of dev.
func changedContext(changes map[string]any) map[string]any {
	context := stackstest.Context(stackstest.Dev)
	dev := context["environments"].(map[string]any)[stackstest.Dev].(map[string]any)
	for path, value := range changes {
		steps := strings.Split(path, ".")
		at := dev
		for _, step := range steps[:len(steps)-1] {
			below, _ := at[step].(map[string]any)
			if below == nil {
				below = map[string]any{}
				at[step] = below
			}
			at = below
		}
		at[steps[len(steps)-1]] = value
	}
	return context
}

// changedSet are the templates of dev with changes.
func changedSet(t *testing.T, changes map[string]any) golden.Set {
	t.Helper()
	set, err := golden.Read(os.DirFS(stackstest.Synthesize(t, changedContext(changes)).Dir))
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// effects are what a deployment of changes does, a line each, without what differs in metadata and outputs alone.
func effects(t *testing.T, base golden.Set, changes map[string]any) []string {
	t.Helper()
	changed, err := review.Compare(t.Context(), stackstest.Root, base, changedSet(t, changes))
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	for _, o := range review.Obstacles(changed) {
		kind, _, _ := strings.Cut(o.Resource, " ")
		why, _, _ := strings.Cut(o.Why, ", and both are called ")
		found[map[bool]string{true: "refused ", false: "procedure "}[o.Refused]+kind+": "+strings.TrimSuffix(why, ".")] = true
	}
	for _, stack := range changed {
		for _, p := range stack.Rest {
			if !strings.HasPrefix(p.Path, "Metadata.") && !strings.HasPrefix(p.Path, "Outputs.") {
				found["updates the stack: "+p.Path] = true
			}
		}
		for _, r := range stack.Resources {
			of := r.Type
			if of == "AWS::CloudWatch::Alarm" {
				of += " " + r.OldName
			}
			switch r.Action {
			case review.Added, review.Removed:
				found[map[review.Action]string{review.Added: "adds ", review.Removed: "removes "}[r.Action]+r.Type] = true
				continue
			case review.Unchanged:
				continue
			}
			for _, p := range r.Properties {
				name, _, _ := strings.Cut(strings.SplitN(p.Path, "[", 2)[0], ".")
				how := "updates "
				switch {
				case name == "Metadata" || name == "DependsOn":
					continue
				case p.Replaces && r.Action == review.MayBeReplaced:
					how = "may replace "
				case p.Replaces:
					how = "replaces "
				case p.Interrupts:
					how = "interrupts "
				}
				if name == "Tags" {
					of = r.Type
				}
				found[how+of+": "+name] = true
			}
			if r.NewLogicalID != "" {
				found["replaces "+r.Type+": its logical id"] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// changesFile has what each change does, by the setting.
const changesFile = "internal/assembly/review/testdata/changes.json"

// Every setting that a user can change has a row in docs/use/changes.md, which says what the deployment does with it. A few syntheses
// change many settings each, and have to do what the rows say together. If one does not, -update halves its settings until it has
// found those whose rows are stale, and writes them.
func TestEverySettingsChangeIsKnown(t *testing.T) {
	for _, path := range settingPaths(reflect.TypeFor[settings.Settings](), "") {
		_, changes := settingChanges[path]
		if _, not := notChanged[path]; changes == not {
			t.Errorf("%s: add another value for dev to settingChanges, or a reason to notChanged", path)
		}
	}
	groups := map[int][]string{}
	for _, setting := range slices.Sorted(maps.Keys(settingChanges)) {
		c := settingChanges[setting]
		if _, err := settings.Load(changedContext(withAll(setting, c)), ""); err != nil {
			t.Fatalf("%s: %v", setting, err)
		}
		groups[c.group] = append(groups[c.group], setting)
	}
	base, err := golden.Read(os.DirFS(stackstest.Assembly(t, stackstest.Dev).Dir))
	if err != nil {
		t.Fatal(err)
	}
	known := settingRows{base: base}
	if err := json.Unmarshal([]byte(stackstest.File(t, changesFile)), &known.rows); err != nil {
		t.Fatal(err)
	}
	rows := known.rows
	maps.DeleteFunc(rows, func(setting string, _ []string) bool { _, ok := settingChanges[setting]; return !ok })
	t.Run("together", func(t *testing.T) {
		for group, names := range groups {
			t.Run(fmt.Sprint(group), func(t *testing.T) {
				t.Parallel()
				known.check(t, names)
			})
		}
	})
	if *stackstest.Update {
		data, err := json.MarshalIndent(rows, "", " ")
		if err != nil {
			t.Fatal(err)
		}
		stackstest.Current(t, changesFile, string(data)+"\n")
	}
	const page = "docs/use/changes.md"
	text, err := document.Replace(stackstest.File(t, page), "changes", changesTable(rows))
	if err != nil {
		t.Fatal(err)
	}
	stackstest.Current(t, page, text)
}

// settingRows are what a deployment does with a change of each setting.
type settingRows struct {
	base golden.Set
	mu   sync.Mutex
	rows map[string][]string
}

// check changes settings together, and compares what that does with their rows.
func (k *settingRows) check(t *testing.T, names []string) {
	t.Helper()
	changes := map[string]any{}
	for _, setting := range names {
		maps.Copy(changes, withAll(setting, settingChanges[setting]))
	}
	got := effects(t, k.base, changes)
	stale := k.stale(names, got)
	switch {
	case len(stale) == 0:
	case !*stackstest.Update:
		t.Errorf("%s is stale: run make generate\n%s", changesFile, strings.Join(stale, "\n"))
	case len(names) == 1:
		k.mu.Lock()
		defer k.mu.Unlock()
		k.rows[names[0]] = got
	default:
		half := len(names) / 2
		k.check(t, names[:half])
		k.check(t, names[half:])
	}
}

// stale says in which ways the rows of settings are not what their change has done.
func (k *settingRows) stale(names, got []string) (stale []string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	want := map[string]string{}
	for _, setting := range names {
		if _, ok := k.rows[setting]; !ok {
			stale = append(stale, setting+" has no row")
		}
		for _, effect := range k.rows[setting] {
			want[effect] = setting
		}
	}
	for _, effect := range got {
		if want[effect] == "" {
			stale = append(stale, "no row has: "+effect)
		}
	}
	for _, effect := range slices.Sorted(maps.Keys(want)) {
		if !slices.Contains(got, effect) {
			stale = append(stale, want[effect]+" has a row that does not happen: "+effect)
		}
	}
	return stale
}

func withAll(setting string, c settingChange) map[string]any {
	all := maps.Clone(c.with)
	if all == nil {
		all = map[string]any{}
	}
	all[setting] = c.to
	return all
}

// changesTable has a row a setting.
func changesTable(rows map[string][]string) string {
	var b strings.Builder
	b.WriteString("\n| setting | what the deployment does | what to know |\n| --- | --- | --- |\n")
	for _, setting := range slices.Sorted(maps.Keys(rows)) {
		c := settingChanges[setting]
		name := "`" + setting + "`"
		for _, with := range slices.Sorted(maps.Keys(c.with)) {
			name += ", with `" + with + "`"
		}
		fmt.Fprintf(&b, "| %s | %s | %s |\n", name, summary(rows[setting]), c.note)
	}
	for _, setting := range slices.Sorted(maps.Keys(notChanged)) {
		fmt.Fprintf(&b, "| `%s` | does not change by itself | %s |\n", setting, notChanged[setting])
	}
	return b.String() + "\n"
}

// summary says the gravest first.
func summary(effects []string) string {
	kinds := []struct{ prefix, word string }{
		{"refused ", "**is refused**"}, {"procedure ", "**needs a procedure**"}, {"replaces ", "replaces"}, {"may replace ", "may replace"}, {"interrupts ", "changes in place, with an outage,"},
		{"removes ", "removes"}, {"adds ", "adds"}, {"updates ", "changes in place"},
	}
	var parts []string
	for _, kind := range kinds {
		var of []string
		for _, effect := range effects {
			if rest, ok := strings.CutPrefix(effect, kind.prefix); ok {
				name, _, _ := strings.Cut(rest, ": ")
				name, _, _ = strings.Cut(strings.TrimPrefix(name, "AWS::"), " payment-")
				if !slices.Contains(of, name) {
					of = append(of, name)
				}
			}
		}
		if len(of) > 8 {
			of = append(of[:7:7], fmt.Sprintf("%d more types", len(of)-7))
		}
		if len(of) > 0 {
			parts = append(parts, kind.word+" "+strings.Join(of, ", "))
		}
	}
	if len(parts) == 0 {
		return "changes nothing in AWS but the settings kept with the templates"
	}
	return strings.Join(parts, "; ")
}
