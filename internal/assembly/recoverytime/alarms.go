package recoverytime

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"payments-dr/internal/assembly"
)

// alarm is how long an alarm of a stack takes to go off: the metric alarm's periods, and what CloudWatch takes. Of a composite
// alarm it is the slowest of its parts: right where all of them are wanted, and careful where one would do. ok is false after a
// fault. above are the composite alarms that have it as their part.
func (t *templates) alarm(stack assembly.Stack, name string, above ...string) (items []Item, ok bool) {
	if id, metric := find(stack, "AWS::CloudWatch::Alarm", "AlarmName", name); id != "" {
		return t.metricAlarm(id, name, metric.Properties), true
	}
	id, composite := find(stack, "AWS::CloudWatch::CompositeAlarm", "AlarmName", name)
	if id == "" {
		t.fault("alarm %s is missing in %s", name, stack.Name)
		return nil, false
	}
	rule := assembly.Text(composite.Properties["AlarmRule"])
	parts := alarmInRule.FindAllStringSubmatch(rule, -1)
	if rest := alarmInRule.ReplaceAllString(rule, ""); len(parts) == 0 || !onlyOperators.MatchString(rest) {
		t.fault("%s.AlarmRule is %q, and has to be made of ALARM(…), AND and OR", id, rule)
		return nil, false
	}
	above = append(slices.Clip(above), name)
	for _, part := range parts {
		if slices.Contains(above, part[1]) {
			continue
		}
		more, known := t.alarm(stack, part[1], above...)
		if !known {
			return nil, false
		}
		items = slower(items, more)
	}
	return items, true
}

var (
	alarmInRule   = regexp.MustCompile(`\bALARM\(\s*["']?(?:arn:[^"')]*:alarm:)?([^"')]+?)["']?\s*\)`)
	onlyOperators = regexp.MustCompile(`^(\s|\(|\)|\bAND\b|\bOR\b)*$`)
)

// metricAlarm is a metric alarm's own time. A period that was good when the Region went is good as a whole, so that up to one
// period passes before the first bad one begins.
func (t *templates) metricAlarm(id, name string, properties map[string]any) []Item {
	period, periodSource := t.period(id, properties)
	count, countSource := t.number(id, properties, "EvaluationPeriods", 1)
	if _, some := properties["DatapointsToAlarm"]; some {
		count, countSource = t.number(id, properties, "DatapointsToAlarm", 1)
	}
	all := time.Duration(count) * period
	loud := Item{
		What:    fmt.Sprintf("alarm %s: %v periods of %s", name, count, Spell(period)),
		Takes:   Time{all + period/2, all + period},
		Sources: []string{countSource, periodSource},
	}
	items := []Item{loud, metricDelay}
	if asks(properties, lagMetric) {
		threshold, source := t.number(id, properties, "Threshold", 0)
		grown := time.Duration(threshold) * time.Millisecond
		items = slices.Insert(items, 0, Item{What: "the lag grows to " + Spell(grown), Takes: Time{grown, grown}, Sources: []string{source}})
	}
	if properties["TreatMissingData"] != "breaching" {
		return items
	}
	// The loss may as well end the metric. Nothing has to arrive then, but the last good values have to be out of sight.
	silent := loud
	silent.What += ", in silence"
	silent.Takes = silent.Takes.Plus(Time{silentPeriods * period, silentPeriods * period})
	silent.Sources = append(silent.Sources[:2:2], sourceSilent)
	looked := metricDelay
	looked.Takes = Time{metricDelay.Takes.Expected / 2, metricDelay.Takes.Worst / 2}
	looked.What, looked.Sources = "CloudWatch: the silence is looked at", metricDelay.Sources[1:2]
	return slower(items, []Item{silent, looked})
}

// period is an alarm's own, or that of the metrics or the query that it asks.
func (t *templates) period(id string, properties map[string]any) (time.Duration, string) {
	metrics := assembly.List(properties["Metrics"])
	if len(metrics) == 0 {
		n, source := t.number(id, properties, "Period", 1)
		return seconds(n), source
	}
	var longest time.Duration
	var longestSource string
	asked := false
	for i, part := range metrics {
		metric, name := assembly.Object(part), fmt.Sprintf("%s.Metrics[%d]", id, i)
		if stat := assembly.Object(metric["MetricStat"]); stat != nil {
			metric, name = stat, name+".MetricStat"
		} else if expression := assembly.Text(metric["Expression"]); !strings.HasPrefix(strings.TrimSpace(expression), "SELECT") {
			continue // arithmetic over the others
		}
		asked = true
		n, source := t.number(name, metric, "Period", 1)
		if d := seconds(n); d > longest {
			longest, longestSource = d, source
		}
	}
	if !asked {
		t.fault("%s.Metrics has no period", id)
	}
	return longest, longestSource
}

// asks reports whether an alarm is on a metric, by itself or in a query.
func asks(alarm map[string]any, metric string) bool {
	return alarm["MetricName"] == metric || slices.ContainsFunc(assembly.List(alarm["Metrics"]), func(part any) bool {
		own := assembly.Text(assembly.At(part, "MetricStat", "Metric", "MetricName"))
		return own == metric || strings.Contains(assembly.Text(assembly.At(part, "Expression")), metric)
	})
}

// slower is whichever takes longer in the worst case, and as a rule if both take as long.
func slower(a, b []Item) []Item {
	left, right := (Path{Items: a}).Total(), (Path{Items: b}).Total()
	if right.Worst > left.Worst || (right.Worst == left.Worst && right.Expected > left.Expected) {
		return b
	}
	return a
}
