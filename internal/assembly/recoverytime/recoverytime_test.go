package recoverytime_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"payments-dr/internal/assembly"
	"payments-dr/internal/assembly/recoverytime"
)

// small is a made-up assembly with an automatic plan, just large enough for its recovery times.
func small(t *testing.T) *assembly.Assembly {
	t.Helper()
	a, err := assembly.Load("testdata/small")
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// set changes a property of a resource, given as Id.Name.Name[0].Name, in the stack of a role. Nil takes it away.
func set(t *testing.T, a *assembly.Assembly, role, path string, value any) {
	t.Helper()
	stack, err := a.Stack(role)
	if err != nil {
		t.Fatal(err)
	}
	id, rest, _ := strings.Cut(path, ".")
	resource, ok := stack.Template.Resources[id]
	if !ok {
		t.Fatalf("there is no %s in %s", id, role)
	}
	keys := regexp.MustCompile(`[^.\[\]]+`).FindAllString(rest, -1)
	var at any = resource.Properties
	for i, key := range keys {
		last := i == len(keys)-1
		switch part := at.(type) {
		case map[string]any:
			if !last {
				at = part[key]
			} else if value == nil {
				delete(part, key)
			} else {
				part[key] = value
			}
		case []any:
			n, err := strconv.Atoi(key)
			if err != nil || n >= len(part) {
				t.Fatalf("%s has no %s", path, key)
			}
			at = part[n]
			if last {
				part[n] = value
			}
		default:
			t.Fatalf("%s has no %s", path, key)
		}
	}
}

func of(t *testing.T, a *assembly.Assembly) *recoverytime.Report {
	t.Helper()
	b, err := recoverytime.Of(a)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func path(t *testing.T, b *recoverytime.Report, kind recoverytime.Kind, region string) recoverytime.Path {
	t.Helper()
	for _, p := range b.Paths {
		if p.Kind == kind && p.Region == region {
			return p
		}
	}
	t.Fatalf("there is no path %s of %s", kind, region)
	return recoverytime.Path{}
}

func TestTotals(t *testing.T) {
	b := of(t, small(t))
	if len(b.Paths) != 6 {
		t.Errorf("%d paths, want three kinds for two Regions", len(b.Paths))
	}
	for _, region := range []string{"us-east-1", "us-west-2"} {
		for kind, want := range map[recoverytime.Kind]recoverytime.Time{
			// Half an interval, two waits for a connection, an interval between; at the most twice (10 + 4 + 2). Then 5 or 10 for
			// Route 53, 5 or 10 for resolvers.
			recoverytime.PaymentsLost: {Expected: (5 + 2*4 + 10 + 5 + 5) * time.Second, Worst: (2*16 + 10 + 10) * time.Second},
			// Two periods, and half of one or one more; 60 or 120 for CloudWatch; then as above.
			recoverytime.PaymentsFailing: {Expected: (150 + 60 + 10) * time.Second, Worst: (180 + 120 + 20) * time.Second},
			// Three periods and two of silence, and half of one or one more; half of CloudWatch's time; the plan's start; promotion,
			// mapping, first batch.
			recoverytime.LedgerLost: {Expected: 330*time.Second + 30*time.Second + 10*time.Second + 3*time.Minute + 20*time.Second + 1500*time.Millisecond,
				Worst: 360*time.Second + 60*time.Second + 30*time.Second + 5*time.Minute + time.Minute + 61*time.Second},
		} {
			if got := path(t, b, kind, region).Total(); got != want {
				t.Errorf("%s, %s: %+v, want %+v", kind, region, got, want)
			}
		}
		// An hour of 100 payments a second, or of a tenth, at five times 500 in half a second.
		beside := path(t, b, recoverytime.LedgerLost, region).Beside
		if got, want := beside[len(beside)-1].Takes, (recoverytime.Time{Expected: 7200 * time.Millisecond, Worst: 72 * time.Second}); got != want {
			t.Errorf("%s: the queue takes %+v, want %+v", region, got, want)
		}
	}
	if err := b.Check(); err != nil {
		t.Errorf("the objectives are missed: %v", err)
	}
	if got := path(t, b, recoverytime.PaymentsLost, "us-east-1").Objective.Limit; got != time.Minute {
		t.Errorf("payments may be away for %s", got)
	}
}

func TestPaymentsAreHeldAgainstTheShorterObjective(t *testing.T) {
	a := small(t)
	a.Settings.Objectives.RTOMinutes = 1
	set(t, a, "global", "EndpointEast.HealthCheckConfig.FailureThreshold", 4.0)
	err := of(t, a).Check()
	misses, ok := errors.AsType[recoverytime.Misses](err)
	if !ok || len(misses) != 3 {
		t.Fatalf("%v, want three misses", err)
	}
	if want := "payments, Region lost (us-east-1): up to 1m24s, 24s more than the objective of 1m (objectives.rtoMinutes of the settings)"; !strings.Contains(err.Error(), want) {
		t.Errorf("%v, want %s", err, want)
	}
}

// number is one number of the templates: where it is, what a fault calls it, a value that breaks the objective, and the path and
// item that the error then has to name. Without a kind it is a number of what runs beside.
type number struct {
	role, path, called string
	bad                float64
	kind               recoverytime.Kind
	item               string
}

const steps = "Plan.Workflows[0].Steps"

var numbers = []number{
	{"global", "EndpointEast.HealthCheckConfig.RequestInterval", "EndpointEast.HealthCheckConfig.RequestInterval", 30, recoverytime.PaymentsLost, "health check: 2 in a row fail, 30s apart, up to 1m12s"},
	{"global", "EndpointEast.HealthCheckConfig.FailureThreshold", "EndpointEast.HealthCheckConfig.FailureThreshold", 10, recoverytime.PaymentsLost, "health check: 10 in a row fail, 10s apart, up to 2m40s"},
	{"primary", "Errors.Period", "Errors.Period", 300, recoverytime.PaymentsFailing, "alarm errors: 2 periods of 5m, up to 15m"},
	{"primary", "Errors.EvaluationPeriods", "Errors.EvaluationPeriods", 12, recoverytime.PaymentsFailing, "alarm errors: 12 periods of 1m, up to 13m"},
	{"secondary", "Unreachable.Period", "Unreachable.Period", 300, recoverytime.LedgerLost, "alarm payment-small-other-region-unreachable: 3 periods of 5m, up to 20m"},
	{"secondary", "Unreachable.EvaluationPeriods", "Unreachable.EvaluationPeriods", 10, recoverytime.LedgerLost, "alarm payment-small-other-region-unreachable: 10 periods of 1m, up to 11m"},
	{"secondary", "Lag.EvaluationPeriods", "Lag.EvaluationPeriods", 5, recoverytime.LedgerLost, "alarm lag: 5 periods of 1m, in silence, up to 8m"},
	{"secondary", "Lag.Threshold", "Lag.Threshold", 600_000, recoverytime.LedgerLost, "the lag grows to 10m, up to 10m"},
	{"secondary", "Lag.Metrics[0].Period", "Lag.Metrics[0].Period", 300, recoverytime.LedgerLost, "alarm lag: 3 periods of 5m, in silence, up to 30m"},
	{"global", steps + "[0].ExecutionBlockConfiguration.GlobalAuroraConfig.TimeoutMinutes", `Plan step "promote".TimeoutMinutes`, 20, recoverytime.LedgerLost, `step "promote", up to 20m`},
	{"secondary", "Mapping.MaximumBatchingWindowInSeconds", "Mapping.MaximumBatchingWindowInSeconds", 400, recoverytime.LedgerLost, "the ledger records its first batch, up to 7m40s"},
	{"secondary", "Ledger.Timeout", "Ledger.Timeout", 900, recoverytime.LedgerLost, "the ledger records its first batch, up to 15m1s"},
	{"secondary", "Queue.MessageRetentionPeriod", "Queue.MessageRetentionPeriod", 36000, "", "the standby's queue of 10h is worked off"},
	{"secondary", "Mapping.BatchSize", "Mapping.BatchSize", 5, "", "the standby's queue of 1h is worked off"},
	{"secondary", "Mapping.ScalingConfig.MaximumConcurrency", "Mapping.ScalingConfig.MaximumConcurrency", 2, "", "the standby's queue of 1h is worked off"},
	{"global", steps + "[2].ExecutionBlockConfiguration.ParallelConfig.Steps[0].ExecutionBlockConfiguration.CustomActionLambdaConfig.TimeoutMinutes", `Plan step "reconcile".TimeoutMinutes`, 20, "", `step "rest"`},
}

// A mapping's step may take its limit before it counts as failed. The change of a mapping takes a minute at most, as far as is known.
func TestTheLimitOfAMappingsStepIsNotItsWorstCase(t *testing.T) {
	for limit, want := range map[float64]time.Duration{1: time.Minute, 3: time.Minute, 10: time.Minute} {
		a := small(t)
		set(t, a, "global", steps+"[1].ExecutionBlockConfiguration.LambdaEventSourceMappingConfig.TimeoutMinutes", limit)
		items := path(t, of(t, a), recoverytime.LedgerLost, "us-east-1").Items
		i := slices.IndexFunc(items, func(i recoverytime.Item) bool { return i.What == `step "ledger on"` })
		if i < 0 || items[i].Takes.Worst != want {
			t.Errorf("limit %v min: %+v, want the worst case %v", limit, items, want)
		}
	}
}

func TestEachNumberCanBreakItsPath(t *testing.T) {
	before := of(t, small(t))
	for _, n := range numbers {
		t.Run(n.called, func(t *testing.T) {
			a := small(t)
			set(t, a, n.role, n.path, n.bad)
			b := of(t, a)
			if n.kind == "" {
				for i, item := range path(t, b, recoverytime.LedgerLost, "us-east-1").Beside {
					was := path(t, before, recoverytime.LedgerLost, "us-east-1").Beside[i]
					if strings.Contains(item.What, n.item) && item.Takes.Worst <= was.Takes.Worst {
						t.Errorf("%s takes %s, as before", item.What, item.Takes.Worst)
					} else if strings.Contains(item.What, n.item) {
						return
					}
				}
				t.Fatalf("nothing beside the way is %s", n.item)
			}
			misses, ok := errors.AsType[recoverytime.Misses](b.Check())
			if !ok || len(misses) != 1 || misses[0].Kind != n.kind || misses[0].Region != "us-east-1" {
				t.Fatalf("misses %v, want %s of us-east-1 alone", b.Check(), n.kind)
			}
			if text := misses.Error(); !strings.Contains(text, "the largest item is "+n.item) {
				t.Errorf("%s\nwant the item %s", text, n.item)
			}
			over := misses[0].Total().Worst - misses[0].Objective.Limit
			if text := misses.Error(); !strings.Contains(text, recoverytime.Spell(over)+" more than the objective of") {
				t.Errorf("%s\ndoes not say that it is %s too long", text, over)
			}
		})
	}
}

func TestANumberThatIsMissingIsNamed(t *testing.T) {
	for _, n := range numbers {
		for value, want := range map[any]string{nil: " is missing in the templates", "soon": ` is "soon", and no number`, -1.0: " is -1, and has to be", true: " is no number but true"} {
			a := small(t)
			set(t, a, n.role, n.path, value)
			_, err := recoverytime.Of(a)
			faults, ok := errors.AsType[recoverytime.Faults](err)
			if !ok || len(faults) != 1 || !strings.HasPrefix(faults[0], n.called+want) {
				t.Errorf("%s = %v: %v, want %s%s", n.path, value, err, n.called, want)
			}
		}
	}
}

func TestAllThatIsMissingIsNamedAtOnce(t *testing.T) {
	a := small(t)
	for _, n := range numbers {
		set(t, a, n.role, n.path, nil)
	}
	_, err := recoverytime.Of(a)
	for _, n := range numbers {
		if !strings.Contains(fmt.Sprint(err), n.called+" is missing") {
			t.Errorf("%s is not named in %v", n.called, err)
		}
	}
}

// TestWayThatIsNone is about templates whose numbers are all there, while the recovery would not go the way that they are added
// up for.
func TestWayThatIsNone(t *testing.T) {
	region := "Workflows[0].Steps[1].ExecutionBlockConfiguration.LambdaEventSourceMappingConfig.RegionEventSourceMappings"
	for name, tt := range map[string]struct {
		role, path string
		value      any
		want       string
	}{
		"one child of two is enough":   {"global", "ServingEast.HealthCheckConfig.HealthThreshold", 1.0, "api.example.org goes on answering us-east-1 when health check EndpointEast is unhealthy"},
		"no threshold":                 {"global", "ServingWest.HealthCheckConfig.HealthThreshold", nil, "api.example.org goes on answering us-west-2 when health check ErrorsWest is unhealthy"},
		"alias that is always healthy": {"global", "Public.RecordSets[0].AliasTarget.EvaluateTargetHealth", false, "api.example.org goes on answering us-east-1"},
		"record without check":         {"global", "RecordsEast.RecordSets[0].HealthCheckId", nil, "no health check of the kind HTTPS takes payments out of us-east-1"},
		"record of nothing":            {"global", "RecordsEast.RecordSets[0].ResourceRecords", nil, "the public name cannot be read"},
		"check that is not there":      {"global", "RecordsEast.RecordSets[0].HealthCheckId", map[string]any{"Ref": "Lost"}, "there is no resource Lost"},
		"no name":                      {"global", "Public.RecordSets[0].Name", "other.example.org", "goes on answering"},
		"no check of the endpoint":     {"global", "ServingEast.HealthCheckConfig.ChildHealthChecks[0]", map[string]any{"Ref": "ErrorsEast"}, "no health check of the kind HTTPS takes payments out of us-east-1"},
		"alarm of another Region":      {"global", "ErrorsEast.HealthCheckConfig.AlarmIdentifier.Region", "us-west-2", "no health check of the kind CLOUDWATCH_METRIC takes payments out of us-east-1"},
		"alarm that is not there":      {"primary", "Errors.AlarmName", "other", "alarm errors is missing in payment-small-primary"},
		"no alarm on a lost Region":    {"secondary", "Impaired.AlarmName", "other", "alarm payment-small-us-east-1-impaired is missing in payment-small-secondary"},
		"no such part":                 {"secondary", "Lag.AlarmName", "other", "alarm lag is missing in payment-small-secondary"},
		"rule that cannot be read":     {"secondary", "Impaired.AlarmRule", `ALARM("lag") AND NOT ALARM("behind")`, "Impaired.AlarmRule is "},
		"rule of nothing":              {"secondary", "Impaired.AlarmRule", "", "Impaired.AlarmRule is "},
		"query without period":         {"secondary", "Lag.Metrics[0].Expression", "a / b", "Lag.Metrics has no period"},
		"too short for a promotion":    {"global", steps + "[0].ExecutionBlockConfiguration.GlobalAuroraConfig.TimeoutMinutes", 2.0, `Plan step "promote".TimeoutMinutes is 2, less than the 3m`},
		"no promotion":                 {"global", steps + "[0].ExecutionBlockType", "CustomActionLambda", "Plan does not promote the database"},
		"step of another kind":         {"global", steps + "[0].ExecutionBlockType", "ECSServiceScaling", `Plan has the step "promote" of the kind "ECSServiceScaling"`},
		"ledger not switched on":       {"global", "Plan." + region + ".us-west-2", nil, "Plan has no step that switches the ledger of us-west-2 on"},
		"no workflow for the Region":   {"global", "Plan.Workflows[0].WorkflowTargetRegion", "us-east-1", "Plan has no step that switches the ledger of us-west-2 on"},
		"trigger of one Region alone":  {"global", "Plan.Triggers[0].TargetRegion", "us-west-2", "Plan has triggers, and none activates us-east-1 when us-west-2 is lost"},
		"trigger's alarm in the ruins": {"global", "Plan.AssociatedAlarms.us-east-1-impaired.ResourceIdentifier", "arn:aws:cloudwatch:us-east-1:111122223333:alarm:x", "has to be an alarm in us-west-2"},
		"no ledger":                    {"secondary", "Ledger.FunctionName", "payment-small-other", "function payment-small-ledger is missing in payment-small-secondary"},
		"no mapping":                   {"secondary", "Mapping.FunctionName", map[string]any{"Ref": "Other"}, "function payment-small-ledger has no event source mapping"},
		"no queue":                     {"secondary", "Mapping.EventSourceArn", map[string]any{"Fn::GetAtt": []any{"Ledger", "Arn"}}, "Mapping.EventSourceArn is no queue"},
	} {
		t.Run(name, func(t *testing.T) {
			a := small(t)
			set(t, a, tt.role, tt.path, tt.value)
			if _, err := recoverytime.Of(a); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, want %s", err, tt.want)
			}
		})
	}
	t.Run("no stack", func(t *testing.T) {
		a := small(t)
		a.Stacks = a.Stacks[:0]
		if _, err := recoverytime.Of(a); err == nil || !strings.Contains(err.Error(), "there is no payment-small-global") {
			t.Errorf("%v", err)
		}
	})
}

// manual is small as if a person started the plan and another approved it.
func manual(t *testing.T) *assembly.Assembly {
	t.Helper()
	a := small(t)
	set(t, a, "global", "Plan.Triggers", nil)
	global, _ := a.Stack("global")
	workflow := global.Template.Resources["Plan"].Properties["Workflows"].([]any)[0].(map[string]any)
	approval := map[string]any{"Name": "agree", "ExecutionBlockType": "ManualApproval", "ExecutionBlockConfiguration": map[string]any{
		"ExecutionApprovalConfig": map[string]any{"TimeoutMinutes": 2.0},
	}}
	workflow["Steps"] = append([]any{approval}, workflow["Steps"].([]any)...)
	for _, role := range []string{"primary", "secondary"} {
		set(t, a, role, "Unreachable.EvaluationPeriods", 2.0)
	}
	return a
}

// TestManualRecovery has the alarm that tells a person in place of the one that a trigger waits for, and the approval. What a person
// takes before is beside the way.
func TestManualRecovery(t *testing.T) {
	b := of(t, manual(t))
	for _, region := range []string{"us-east-1", "us-west-2"} {
		p := path(t, b, recoverytime.LedgerLost, region)
		// Two periods, and half of one or one more; CloudWatch's time; the plan's start; approval, promotion, mapping, first batch.
		want := recoverytime.Time{Expected: 150*time.Second + time.Minute + 10*time.Second + time.Minute + 3*time.Minute + 20*time.Second + 1500*time.Millisecond,
			Worst: 3*time.Minute + 2*time.Minute + 30*time.Second + 2*time.Minute + 5*time.Minute + time.Minute + 61*time.Second}
		if p.Total() != want {
			t.Errorf("%s: %+v, want %+v", region, p.Total(), want)
		}
		if p.Items[0].What != "alarm payment-small-other-region-unreachable: 2 periods of 1m" {
			t.Errorf("%s: a person is told by %s", region, p.Items[0].What)
		}
		if len(p.Beside) != 3 || !p.Beside[0].Decides || p.Beside[0].What != "beside: a person who has been told looks, decides and starts the plan" {
			t.Errorf("%s: beside the way are %+v", region, p.Beside)
		}
		left, ok := p.LeftForPeople()
		if want := (recoverytime.Time{Expected: 15*time.Minute - want.Expected, Worst: 29 * time.Second}); !ok || left != want {
			t.Errorf("%s: for people are left %+v, want %+v", region, left, want)
		}
		if want := "in all 8m2s, at the most 14m31s; the objective is 15m: kept, and leaves 29s for people to start the plan, 6m59s as a rule"; p.Verdict() != want {
			t.Errorf("%s, want %s", p.Verdict(), want)
		}
	}
	if err := b.Check(); err != nil {
		t.Error(err)
	}
	data, err := json.Marshal(path(t, b, recoverytime.LedgerLost, "us-east-1"))
	if err != nil || !strings.Contains(string(data), `"leftForPeople":{"expectedSeconds":418.5,"worstSeconds":29}`) {
		t.Errorf("%v: %s", err, data)
	}
}

func TestNothingLeftForPeopleIsAMiss(t *testing.T) {
	a := manual(t)
	set(t, a, "secondary", "Unreachable.EvaluationPeriods", 3.0)
	err := of(t, a).Check()
	if want := "ledger, Region lost (us-east-1): up to 15m31s, 31s more than the objective of 15m"; err == nil || !strings.Contains(err.Error(), want) ||
		!strings.HasSuffix(err.Error(), "; nothing is left for people to start the plan") {
		t.Errorf("%v, want %s", err, want)
	}
	p := path(t, of(t, a), recoverytime.LedgerLost, "us-east-1")
	if want := "kept as a rule, missed in the worst case by 31s"; !strings.HasSuffix(p.Verdict(), want) {
		t.Errorf("%s, want %s", p.Verdict(), want)
	}
	if _, ok := path(t, of(t, small(t)), recoverytime.LedgerLost, "us-east-1").LeftForPeople(); ok {
		t.Error("a recovery that starts by itself leaves time for people")
	}
}

func TestSomebodyHasToBeTold(t *testing.T) {
	for name, tt := range map[string]struct {
		path  string
		value any
		want  string
	}{
		"no alarm":          {"Unreachable.AlarmName", "other", "alarm payment-small-other-region-unreachable is missing in payment-small-secondary"},
		"nobody is told":    {"Unreachable.AlarmActions", []any{}, "Unreachable.AlarmActions is empty: the alarm payment-small-other-region-unreachable tells nobody that us-east-1 is lost"},
		"no actions at all": {"Unreachable.AlarmActions", nil, "Unreachable.AlarmActions is empty"},
	} {
		a := manual(t)
		set(t, a, "secondary", tt.path, tt.value)
		_, err := recoverytime.Of(a)
		if faults, ok := errors.AsType[recoverytime.Faults](err); !ok || len(faults) != 1 || !strings.HasPrefix(faults[0], tt.want) {
			t.Errorf("%s: %v, want %s", name, err, tt.want)
		}
	}
}

func TestAlarmsThatAreReadOtherwise(t *testing.T) {
	worst := func(change func(a *assembly.Assembly)) time.Duration {
		a := small(t)
		change(a)
		return path(t, of(t, a), recoverytime.LedgerLost, "us-east-1").Total().Worst
	}
	before := worst(func(*assembly.Assembly) {})
	for name, tt := range map[string]struct {
		change func(a *assembly.Assembly)
		want   time.Duration
	}{
		"some of the points": {func(a *assembly.Assembly) { set(t, a, "secondary", "Lag.DatapointsToAlarm", 2.0) }, -time.Minute},
		// Silence keeps this one quiet, so that the other counts: as long, with a minute more for the metric, and two periods less.
		"missing is good": {func(a *assembly.Assembly) {
			set(t, a, "secondary", "Lag.TreatMissingData", "notBreaching")
			set(t, a, "secondary", "Lag.Metrics[0].Expression", "SELECT MAX(Other)")
		}, -time.Minute},
		// What grows has to reach the threshold first.
		"missing is good, and the lag grows":  {func(a *assembly.Assembly) { set(t, a, "secondary", "Lag.TreatMissingData", "notBreaching") }, 0},
		"a lag that is long before it is one": {func(a *assembly.Assembly) { set(t, a, "secondary", "Lag.Threshold", 180_000.0) }, 2 * time.Minute},
		"the lag itself, and no query": {func(a *assembly.Assembly) {
			set(t, a, "secondary", "Lag.Threshold", 120_000.0)
			set(t, a, "secondary", "Lag.Metrics", nil)
			set(t, a, "secondary", "Lag.Period", 60.0)
			set(t, a, "secondary", "Lag.MetricName", "AuroraGlobalDBRPOLag")
		}, time.Minute},
		"the lag itself, among others": {func(a *assembly.Assembly) {
			set(t, a, "secondary", "Lag.Threshold", 120_000.0)
			set(t, a, "secondary", "Lag.Metrics", []any{
				map[string]any{"MetricStat": map[string]any{"Period": 60.0, "Metric": map[string]any{"MetricName": "AuroraGlobalDBRPOLag"}}},
			})
		}, time.Minute},
		"by metric": {func(a *assembly.Assembly) {
			set(t, a, "secondary", "Lag.Metrics", []any{
				map[string]any{"MetricStat": map[string]any{"Period": 60.0}}, map[string]any{"MetricStat": map[string]any{"Period": 120.0}}, map[string]any{"Expression": "m1 / 2"},
			})
		}, 6 * time.Minute},
		"by ARN": {func(a *assembly.Assembly) {
			set(t, a, "secondary", "Behind.AlarmRule", "(ALARM(arn:aws:cloudwatch:us-west-2:111122223333:alarm:lag))")
		}, 0},
	} {
		if got := worst(tt.change); got != before+tt.want {
			t.Errorf("%s: %s, want %s", name, got, before+tt.want)
		}
	}
}

func TestParallelStepsTakeAsLongAsTheLongest(t *testing.T) {
	a := small(t)
	global, _ := a.Stack("global")
	workflow := global.Template.Resources["Plan"].Properties["Workflows"].([]any)[0].(map[string]any)
	all := workflow["Steps"].([]any)
	workflow["Steps"] = []any{all[2], all[0], all[1]}
	before, after := path(t, of(t, small(t)), recoverytime.LedgerLost, "us-east-1"), path(t, of(t, a), recoverytime.LedgerLost, "us-east-1")
	if want := before.Total().Plus(recoverytime.Time{Expected: 30 * time.Second, Worst: 2 * time.Minute}); after.Total() != want {
		t.Errorf("%+v, want %+v", after.Total(), want)
	}
	if len(after.Beside) != 1 {
		t.Errorf("beside the way are %+v, want the queue alone", after.Beside)
	}
}

func TestTheSlowerRegionCounts(t *testing.T) {
	a := small(t)
	set(t, a, "global", "EndpointWest.HealthCheckConfig.FailureThreshold", 4.0)
	if text := fmt.Sprint(of(t, a).Check()); !strings.Contains(text, "payments, Region lost (us-west-2): up to 1m24s, 24s more") {
		t.Error(text)
	}
}

func TestTheTTLOfTheRegionsRecordCounts(t *testing.T) {
	global, err := small(t).Stack("global")
	if err != nil {
		t.Fatal(err)
	}
	for id, resource := range global.Template.Resources {
		record := assembly.Object(assembly.At(resource.Properties["RecordSets"], 0))
		if record["TTL"] == nil {
			continue
		}
		for ttl, want := range map[any]string{
			"600": "payments, Region lost (" + fmt.Sprint(record["SetIdentifier"]) + "): up to 10m42s",
			"ten": "has the TTL ten and 1 values", nil: "has the TTL <nil> and 1 values",
		} {
			a := small(t)
			set(t, a, "global", id+".RecordSets[0].TTL", ttl)
			times, err := recoverytime.Of(a)
			if err == nil {
				err = times.Check()
			}
			if !strings.Contains(fmt.Sprint(err), want) {
				t.Errorf("TTL %v of %s: %v, want in it %q", ttl, id, err, want)
			}
		}
		a := small(t)
		set(t, a, "global", id+".RecordSets[0].Type", "A")
		if _, err := recoverytime.Of(a); !strings.Contains(fmt.Sprint(err), `is of the type "A"; allowed is CNAME`) {
			t.Errorf("error %v", err)
		}
	}
}

func TestEveryNumberHasASource(t *testing.T) {
	form := regexp.MustCompile(`^(template: \S.* = \d+|AWS: .*".+", .+ Guide.*|assumption: .+)$`)
	for _, p := range of(t, small(t)).Paths {
		for _, item := range append(p.Items, p.Beside...) {
			if item.What == "" || item.Takes.Worst <= 0 || item.Takes.Expected <= 0 || item.Takes.Expected > item.Takes.Worst || len(item.Sources) == 0 {
				t.Errorf("%s: %+v", p.Name(), item)
			}
			for _, source := range item.Sources {
				if !form.MatchString(source) {
					t.Errorf("%s, %s: the source %q", p.Name(), item.What, source)
				}
			}
		}
	}
}

func TestTable(t *testing.T) {
	var out strings.Builder
	if err := of(t, small(t)).WriteTable(&out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"small: payments, Region lost (us-east-1). The other Region takes no longer.\n",
		"health check: 2 in a row fail, 10s apart",
		"EndpointEast.HealthCheckConfig.FailureThreshold = 2\n",
		"  in all 33s, at the most 52s; the objective is 1m: kept, with 8s to spare\n",
		"  (3s)      (10s)  beside: the client's own retry",
		"  in all 9m32s, at the most 14m31s; the objective is 15m: kept, with 29s to spare\n",
		"  (30s)     (2m)     beside or after: step \"rest\"",
		"\n 1  AWS: ",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in\n%s", want, &out)
		}
	}
	if strings.Contains(out.String(), " \n") {
		t.Error("lines end in spaces")
	}
	if err := of(t, small(t)).WriteTable(full{}); err == nil {
		t.Error("a table that could not be written is no error")
	}
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("no space left") }

func TestVerdict(t *testing.T) {
	for limit, want := range map[time.Duration]string{
		3 * time.Minute:  "in all 1m, at the most 2m; the objective is 3m: kept, with 1m to spare",
		2 * time.Minute:  "in all 1m, at the most 2m; the objective is 2m: kept, with 0s to spare",
		90 * time.Second: "in all 1m, at the most 2m; the objective is 1m30s: kept as a rule, missed in the worst case by 30s",
		30 * time.Second: "in all 1m, at the most 2m; the objective is 30s: missed by 30s, in the worst case by 1m30s",
	} {
		p := recoverytime.Path{Items: []recoverytime.Item{{Takes: recoverytime.Time{Expected: time.Minute, Worst: 2 * time.Minute}}}, Objective: recoverytime.Objective{Limit: limit}}
		if got := p.Verdict(); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

func TestSpell(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0s", 1500 * time.Millisecond: "2s", 10 * time.Second: "10s", time.Minute: "1m", 70 * time.Second: "1m10s",
		time.Hour: "1h", 90 * time.Minute: "1h30m", time.Hour + time.Second: "1h0m1s", 24 * time.Hour: "24h",
	} {
		if got := recoverytime.Spell(d); got != want {
			t.Errorf("%v is %s, want %s", d, got, want)
		}
	}
}

func TestJSON(t *testing.T) {
	data, err := json.Marshal(of(t, small(t)))
	if err != nil {
		t.Fatal(err)
	}
	type seconds struct{ ExpectedSeconds, WorstSeconds float64 }
	var read struct {
		Environment string
		Paths       []struct {
			Kind, Region string
			Items        []struct {
				What    string
				Takes   seconds
				Sources []string
			}
			Objective struct {
				Name         string
				LimitSeconds float64
			}
			Total seconds
			Kept  bool
		}
	}
	if err := json.Unmarshal(data, &read); err != nil {
		t.Fatal(err)
	}
	p := read.Paths[0]
	if read.Environment != "small" || len(read.Paths) != 6 || p.Kind != string(recoverytime.PaymentsLost) || p.Region != "us-east-1" || len(p.Items) != 3 || p.Items[0].Takes.WorstSeconds != 32 ||
		p.Total != (seconds{33, 52}) || p.Objective.LimitSeconds != 60 || !p.Kept {
		t.Errorf("%s", data)
	}
}
