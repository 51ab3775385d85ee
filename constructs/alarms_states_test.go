package constructs_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"payments-dr/internal/assembly"
	"payments-dr/internal/payment/telemetry"
	"payments-dr/stacks"
	"payments-dr/stacks/stackstest"
)

// The tests below run the alarms of the templates over made-up minutes of metrics and see who is told. The evaluation is a model of
// CloudWatch's, from "Alarm evaluation", "Configuring how CloudWatch alarms treat missing data" and "Composite alarms" (Amazon
// CloudWatch User Guide). CloudWatch itself is not part of it.

// world is what the metrics of a made-up environment are: the value of a metric in a Region in a minute, and whether there is one.
type world func(region string, minute int, s series) (value float64, ok bool)

// evaluation is the alarms of one Region and the states that they are in.
type evaluation struct {
	region string
	alarms map[string]assembly.Resource
	series map[string]series // of the alarms on metrics
	states map[string]bool   // in alarm
	// told counts how often each alarm with actions went into alarm.
	told map[string]int
}

func newEvaluation(t *testing.T, env, role string) *evaluation {
	t.Helper()
	v := stackstest.ViewOf(t, env, role)
	e := &evaluation{region: v.Stack.Region, alarms: v.Alarms(t), series: map[string]series{}, states: map[string]bool{}, told: map[string]int{}}
	for name, alarm := range e.alarms {
		if alarm.Type != stackstest.MetricAlarm {
			continue
		}
		var err error
		if e.series[name], err = seriesOf(alarm); err != nil {
			t.Fatal(err)
		}
	}
	return e
}

// clone is the same alarms in the same states, to go on from in another way.
func (e *evaluation) clone() *evaluation {
	other := *e
	other.states, other.told = maps.Clone(e.states), maps.Clone(e.told)
	return &other
}

// run evaluates minute after minute and keeps the states.
func (e *evaluation) run(t *testing.T, w world, from, to int) {
	t.Helper()
	for minute := from; minute < to; minute++ {
		next := map[string]bool{}
		for name, alarm := range e.alarms {
			if alarm.Type == stackstest.MetricAlarm {
				next[name] = e.metric(t, w, minute, alarm, e.series[name], e.states[name])
			}
		}
		var state func(name string) bool
		state = func(name string) bool {
			alarm, ok := e.alarms[name]
			if !ok {
				t.Fatalf("there is no alarm %s", name)
			}
			if alarm.Type == stackstest.MetricAlarm {
				return next[name]
			}
			return evaluateRule(t, alarm.Properties["AlarmRule"].(string), state)
		}
		for name := range e.alarms {
			next[name] = state(name)
			if next[name] && !e.states[name] && e.alarms[name].Properties["AlarmActions"] != nil {
				e.told[name]++
			}
		}
		e.states = next
	}
}

// settle runs the first hours after a deployment, in which alarms on data that are not there yet ring, up to where none does.
func (e *evaluation) settle(t *testing.T, w world, until int) {
	t.Helper()
	e.run(t, w, 0, until)
	for name, alarm := range e.alarms {
		if e.states[name] && alarm.Properties["AlarmActions"] != nil {
			t.Fatalf("%s is on in %s while all is well", name, e.region)
		}
	}
	clear(e.told)
}

// metric is whether an alarm on a metric is in alarm, given whether it was.
//
// An alarm looks at a few points more than it needs. If enough of them have data, the newest of those count and gaps are nothing;
// otherwise the missing ones are filled as the alarm says, or its state stays.
func (e *evaluation) metric(t *testing.T, w world, minute int, alarm assembly.Resource, s series, before bool) bool {
	t.Helper()
	number := func(property string, or float64) int {
		if n, ok := alarm.Properties[property].(float64); ok {
			return int(n)
		}
		return int(or)
	}
	statistic, _ := alarm.Properties["Statistic"].(string)
	period, periods, points := number("Period", 60)/60, number("EvaluationPeriods", 0), number("DatapointsToAlarm", float64(number("EvaluationPeriods", 0)))
	const more = 2
	var bad []bool // of the points with data, the newest first
	for i := 0; i < periods+more && len(bad) < periods; i++ {
		var values []float64
		for m := minute - (i+1)*period + 1; m <= minute-i*period; m++ {
			if value, ok := w(e.region, m, s); ok && m >= 0 {
				values = append(values, value)
			}
		}
		if len(values) > 0 {
			bad = append(bad, breaches(t, alarm, aggregate(statistic, values)))
		}
	}
	missing := periods - len(bad)
	if missing > 0 {
		switch alarm.Properties["TreatMissingData"] {
		case "ignore":
			return before
		case "breaching":
			bad = append(bad, slices.Repeat([]bool{true}, missing)...)
		}
	}
	count := 0
	for _, one := range bad {
		if one {
			count++
		}
	}
	return count >= points
}

func aggregate(statistic string, values []float64) float64 {
	switch statistic {
	case "Sum":
		total := 0.0
		for _, value := range values {
			total += value
		}
		return total
	case "SampleCount":
		return float64(len(values))
	case "Minimum":
		return slices.Min(values)
	}
	return slices.Max(values) // of made-up values that are all alike, also the average and every percentile
}

func breaches(t *testing.T, alarm assembly.Resource, value float64) bool {
	t.Helper()
	threshold := alarm.Properties["Threshold"].(float64)
	switch comparison := alarm.Properties["ComparisonOperator"]; comparison {
	case "GreaterThanThreshold":
		return value > threshold
	case "GreaterThanOrEqualToThreshold":
		return value >= threshold
	case "LessThanThreshold":
		return value < threshold
	default:
		t.Fatalf("comparison %v", comparison)
		return false
	}
}

// evaluateRule evaluates a composite alarm's rule: ALARM("name") with NOT, AND, OR and brackets, NOT binding closest and then AND.
func evaluateRule(t *testing.T, rule string, state func(name string) bool) bool {
	t.Helper()
	rest := rule
	next := func(token string) bool {
		rest = strings.TrimLeft(rest, " ")
		after, ok := strings.CutPrefix(rest, token)
		if ok {
			rest = after
		}
		return ok
	}
	var or func() bool
	var term func() bool
	term = func() bool {
		switch {
		case next("NOT "):
			return !term()
		case next("("):
			value := or()
			if !next(")") {
				t.Fatalf("rule %s: a bracket is open at %q", rule, rest)
			}
			return value
		case next(`ALARM("`):
			name, after, ok := strings.Cut(rest, `")`)
			if !ok {
				t.Fatalf("rule %s is not understood at %q", rule, rest)
			}
			rest = after
			return state(name)
		}
		t.Fatalf("rule %s is not understood at %q", rule, rest)
		return false
	}
	and := func() bool {
		value := term()
		for next("AND ") {
			other := term()
			value = value && other
		}
		return value
	}
	or = func() bool {
		value := and()
		for next("OR ") {
			other := and()
			value = value || other
		}
		return value
	}
	value := or()
	if strings.TrimSpace(rest) != "" {
		t.Fatalf("rule %s goes on with %q", rule, rest)
	}
	return value
}

func TestRulesAreEvaluatedAsWritten(t *testing.T) {
	on := func(name string) bool { return name == "a" || name == "b" }
	for rule, want := range map[string]bool{
		`ALARM("a") AND ALARM("b")`: true, `ALARM("a") AND ALARM("c")`: false, `ALARM("c") OR ALARM("a") AND ALARM("b")`: true,
		`(ALARM("a") OR ALARM("c")) AND NOT ALARM("b")`: false, `(ALARM("c") OR ALARM("a")) AND NOT ALARM("d")`: true, `NOT (ALARM("a") AND ALARM("c"))`: true,
	} {
		if got := evaluateRule(t, rule, on); got != want {
			t.Errorf("%s is %v", rule, got)
		}
	}
}

// healthy is an environment in which all is as it should be, with the database's writer in a Region.
func healthy(t *testing.T, env, writer string) world {
	return func(region string, minute int, s series) (float64, bool) {
		standby := region != writer
		isLedgerQueue := s.dimensions["QueueName"] == "payment-"+env+"-ledger"
		switch s.name {
		case "AuroraGlobalDBRPOLag":
			return 300, standby // in the writer's Region there is no such metric
		case telemetry.MetricDatabaseReader:
			if standby {
				return 1, true
			}
			return 0, true
		case telemetry.MetricDatabaseUnreachable, telemetry.MetricOtherRegionUnreachable, telemetry.MetricCanaryPaymentFailed:
			return 0, true
		case telemetry.MetricReconcileRuns:
			return 1, minute%60 == 7
		case telemetry.MetricUnreconciledSeconds:
			return float64(60 + 60*((minute+53)%60)), !standby
		case telemetry.MetricReconcileMissing, telemetry.MetricReconcileConflicting,
			telemetry.MetricReconcileDiffering, telemetry.MetricReconcileUnaccounted, telemetry.MetricReconcileUnreadable:
			return 0, !standby && minute%60 == 7 // once an hour, and not in the standby
		case telemetry.MetricCanaryPaymentSucceeded:
			return 1, true
		case telemetry.MetricCanaryPaymentLatency, "Latency":
			return 80, true
		case "ApproximateAgeOfOldestMessage":
			if isLedgerQueue && standby {
				return float64(stackstest.Assembly(t, env).Settings.Ledger.QueueRetentionHours)*3600 - 60, true // a buffer of the last hours
			}
			return 1, isLedgerQueue
		case "ApproximateNumberOfMessagesVisible":
			if isLedgerQueue && standby {
				return 5_000_000, true
			}
			return 0, true
		case "CPUUtilization":
			return 20, true
		case "DatabaseConnections":
			return 7, true
		case "FreeableMemory":
			return 4 << 30, true
		case "5XXError", "Errors", "Throttles", "IteratorAge", "ApiThrottled":
			return 0, true
		case "Duration":
			return 30, true
		case "ReplicationLatency":
			return 900, true
		}
		return 0, false // what is sent only when something is wrong
	}
}

// with changes a world from a minute on.
func with(w world, from int, change func(region string, s series) (value float64, ok, changed bool)) world {
	return func(region string, minute int, s series) (float64, bool) {
		if minute >= from {
			if value, ok, changed := change(region, s); changed {
				return value, ok
			}
		}
		return w(region, minute, s)
	}
}

// silenced takes a metric away in a Region.
func silenced(w world, from int, region, name string) world {
	return with(w, from, func(r string, s series) (float64, bool, bool) { return 0, false, r == region && s.name == name })
}

// replaced gives a metric another value in a Region.
func replaced(w world, from int, region, name string, value float64) world {
	return with(w, from, func(r string, s series) (float64, bool, bool) { return value, true, r == region && s.name == name })
}

// TestWhoIsToldInEachState has each Region as the database's writer in turn, and lets things go wrong after four hours.
func TestWhoIsToldInEachState(t *testing.T) {
	const before, after = 240, 430
	for _, env := range []string{stackstest.Dev, stackstest.Europe} {
		regions := stackstest.Assembly(t, env).Settings.Both()
		for i, writer := range regions {
			standby := regions[1-i].Name
			name := func(alarm string) string { return "payment-" + env + "-" + alarm }
			w := healthy(t, env, writer.Name)
			settled := map[string]*evaluation{}
			for _, region := range regions {
				settled[region.Name] = newEvaluation(t, env, roleIn(t, env, region.Name))
				settled[region.Name].settle(t, w, before)
			}
			gone := func(w world) world { // nothing is heard any more from where the writer is
				return silenced(replaced(w, before, standby, telemetry.MetricOtherRegionUnreachable, 1), before, standby, "AuroraGlobalDBRPOLag")
			}
			for _, tt := range []struct {
				name string
				w    world
				// told are those in the standby and in the writer's Region.
				standby, writer []string
			}{
				{"all is well", w, nil, nil},
				{"replication has stopped and says so", replaced(w, before, standby, "AuroraGlobalDBRPOLag", 400_000), []string{"replication-behind"}, nil},
				{"replication has stopped and says nothing", silenced(w, before, standby, "AuroraGlobalDBRPOLag"), []string{"replication-behind"}, nil},
				{"replication has stopped and nobody knows the role any more",
					silenced(silenced(silenced(w, before, standby, "AuroraGlobalDBRPOLag"), before, standby, telemetry.MetricDatabaseReader), before, standby, telemetry.MetricDatabaseUnreachable),
					[]string{"database-unreachable", "replication-behind"}, nil},
				{"the writer's database does not answer",
					silenced(replaced(w, before, writer.Name, telemetry.MetricDatabaseUnreachable, 1), before, writer.Name, telemetry.MetricDatabaseReader),
					nil, []string{"database-unreachable"}},
				{"the writer's Region is gone", gone(w), []string{"other-region-unreachable", "replication-behind", writer.Name + "-impaired"}, nil},
				{"the standby's Region is gone", replaced(w, before, writer.Name, telemetry.MetricOtherRegionUnreachable, 1), nil, []string{"other-region-unreachable"}},
				{"the standby's way out is broken", replaced(w, before, standby, telemetry.MetricOtherRegionUnreachable, 1), []string{"other-region-unreachable"}, nil},
				{"the canary does not run", with(w, before, func(r string, s series) (float64, bool, bool) {
					return 0, false, r == standby && s.dimensions["Function"] == "canary"
				}), []string{"canary-stopped"}, nil},
				{"the writer's ledger function is off", with(w, before, func(r string, s series) (float64, bool, bool) {
					return 3600, true, r == writer.Name && s.name == "ApproximateAgeOfOldestMessage" && s.dimensions["QueueName"] == "payment-"+env+"-ledger"
				}), nil, []string{"ledger-behind"}},
				{"the reconciliation does not run", silenced(w, before, writer.Name, telemetry.MetricReconcileRuns), nil, []string{"reconciliation-stopped"}},
				{"the standby's reconciliation does not run", silenced(w, before, standby, telemetry.MetricReconcileRuns), []string{"reconciliation-stopped"}, nil},
				{"the ledger was away for fifteen hours", replaced(w, before, writer.Name, telemetry.MetricUnreconciledSeconds, 54_000), nil, []string{"payments-unreconciled"}},
				{"a payment was missing", replaced(w, before, writer.Name, telemetry.MetricReconcileMissing, 1), nil, []string{"payments-missing"}},
			} {
				t.Run(env+"/writer "+writer.Name+"/"+tt.name, func(t *testing.T) {
					for region, want := range map[string][]string{standby: tt.standby, writer.Name: tt.writer} {
						e := settled[region].clone()
						e.run(t, tt.w, before, after)
						var names []string
						for _, one := range want {
							names = append(names, name(one))
						}
						slices.Sort(names)
						if got := slices.Sorted(maps.Keys(e.told)); !slices.Equal(got, names) {
							t.Errorf("%s tells %v, want %v", region, got, names)
						}
					}
				})
			}
		}
	}
}

// TestALostRegionIsToldInTime measures, in minutes of the model, from the last word of the writer's Region to the alarm that starts a
// recovery. The plan has what is left of the recovery time objective.
func TestALostRegionIsToldInTime(t *testing.T) {
	for _, env := range stackstest.Environments {
		s := stackstest.Assembly(t, env).Settings
		writer, standby := s.Regions.Primary.Name, s.Regions.Secondary.Name
		const lost = 240
		well := healthy(t, env, writer)
		gone := silenced(replaced(well, lost, standby, telemetry.MetricOtherRegionUnreachable, 1), lost, standby, "AuroraGlobalDBRPOLag")
		e := newEvaluation(t, env, roleIn(t, env, standby))
		e.settle(t, well, lost)
		after := 0
		for alarm := "payment-" + env + "-" + writer + "-impaired"; !e.states[alarm] && after < 60; after++ {
			e.run(t, gone, lost+after, lost+after+1)
		}
		if after > 5 || after >= s.Objectives.RTOMinutes {
			t.Errorf("%s: it is told after %d minutes", env, after)
		}
	}
}

// roleIn is the role of the regional stack in a Region.
func roleIn(t *testing.T, env, region string) string {
	if stackstest.Assembly(t, env).Settings.Regions.Primary.Name == region {
		return stacks.RolePrimary
	}
	return stacks.RoleSecondary
}

// TestAlarmsFollowTheWriter swaps the roles, and back, while all is well: the alarms go along without anybody being told, the hours
// in the queue of the new writer apart, which it works off.
func TestAlarmsFollowTheWriter(t *testing.T) {
	regions := stackstest.Assembly(t, stackstest.Dev).Settings.Both()
	first, second := healthy(t, stackstest.Dev, regions[0].Name), healthy(t, stackstest.Dev, regions[1].Name)
	at := func(region string, minute int, s series) (float64, bool) {
		if minute < 240 || minute >= 480 {
			return first(region, minute, s)
		}
		return second(region, minute, s)
	}
	for _, region := range regions {
		e := newEvaluation(t, stackstest.Dev, roleIn(t, stackstest.Dev, region.Name))
		e.settle(t, at, 240)
		e.run(t, at, 240, 720)
		if len(e.told) > 0 {
			t.Errorf("%s tells %v", region.Name, e.told)
		}
		// And what goes wrong after that is told.
		e.run(t, silenced(at, 720, regions[1].Name, "AuroraGlobalDBRPOLag"), 720, 740)
		if want := min(e.told["payment-dev-replication-behind"], 1); (region.Name == regions[1].Name) != (want == 1) {
			t.Errorf("%s tells %v", region.Name, e.told)
		}
	}
}
