package budget

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"payments-dr/internal/settings"
)

// paymentsLost is the way of payments out of a Region in which nothing answers.
func (t *templates) paymentsLost(region settings.Region) []Item {
	var detection *Item
	for _, id := range t.healthChecks(region) {
		if item, ok := t.endpointCheck(id); ok && (detection == nil || item.Takes.Worst < detection.Takes.Worst) {
			detection = &item
		}
	}
	if detection == nil {
		t.fault("no health check of %s asks an endpoint, so that nobody notices when nothing answers", t.assembly.Settings.RegionalAPIName(region))
		return nil
	}
	return []Item{*detection, dnsSpread, t.resolvers(region), clientRetry}
}

// paymentsFailing is the way of payments out of a Region that answers with server errors. The endpoint's check may notice first;
// it is not counted on, because its path may be one that works.
func (t *templates) paymentsFailing(region settings.Region) []Item {
	var detection []Item
	for _, id := range t.healthChecks(region) {
		config := t.healthCheck(id)
		if config["Type"] != "CLOUDWATCH_METRIC" {
			continue
		}
		alarm := object(config["AlarmIdentifier"])
		name, in := text(alarm["Name"]), text(alarm["Region"])
		stack := t.regional(region)
		if in != region.Name {
			t.fault("health check %s follows an alarm in %q, and has to follow one in %s", id, in, region.Name)
			continue
		}
		if items, ok := t.alarm(stack, name); ok {
			detection = slower(detection, items)
		}
	}
	if detection == nil {
		t.fault("no health check of %s follows an alarm on server errors", t.assembly.Settings.RegionalAPIName(region))
		return nil
	}
	return append(detection, dnsSpread, t.resolvers(region), clientRetry)
}

// endpointCheck is how long the check of an endpoint takes to find that it is gone. Each checker waits its interval from the end
// of one request to the next, and a loss just after a good answer is noticed by nobody for a whole interval.
func (t *templates) endpointCheck(id string) (Item, bool) {
	config := t.healthCheck(id)
	kind := text(config["Type"])
	connect, answer := checkConnect, checkAnswer
	switch kind {
	case "HTTP", "HTTPS":
	case "HTTP_STR_MATCH", "HTTPS_STR_MATCH":
		answer += checkBody
	case "TCP":
		connect, answer = checkConnectTCP, 0
	default:
		return Item{}, false
	}
	interval, intervalSource := t.number(id+".HealthCheckConfig", config, "RequestInterval", 10)
	threshold, thresholdSource := t.number(id+".HealthCheckConfig", config, "FailureThreshold", 1)
	between, failures := seconds(interval), time.Duration(threshold)
	return Item{
		What: fmt.Sprintf("health check: %d in a row fail, %s apart", failures, Spell(between)),
		Takes: Time{
			// Half an interval until the first; nothing answers, so that each waits for a connection and no longer.
			Expected: between/2 + failures*connect + (failures-1)*between,
			Worst:    failures * (between + connect + answer),
		},
		Sources: []string{thresholdSource, intervalSource, sourceCheck},
	}, true
}

// resolvers is how long a resolver may give the old answer.
func (t *templates) resolvers(region settings.Region) Item {
	item := Item{What: "resolvers' caches", Takes: Time{aliasTTL / 2, aliasTTL}, Sources: []string{sourceAliasTTL}}
	for _, record := range t.records()[t.assembly.Settings.RegionalAPIName(region)] {
		if object(record.set["AliasTarget"])["DNSName"] != nil {
			continue
		}
		ttl, source := t.number(record.name, record.set, "TTL", 0)
		item.Takes, item.Sources = Time{seconds(ttl) / 2, seconds(ttl)}, []string{source, "assumption: resolvers and clients obey it"}
	}
	return item
}

// record is one record set, and what a reader finds it under.
type record struct {
	name string
	set  map[string]any
}

// records are the global stack's record sets, by their DNS names.
func (t *templates) records() map[string][]record {
	all := map[string][]record{}
	resources := t.global().Template.Resources
	for _, id := range slices.Sorted(maps.Keys(resources)) {
		resource := resources[id]
		sets := []any{resource.Properties}
		switch resource.Type {
		case "AWS::Route53::RecordSet":
		case "AWS::Route53::RecordSetGroup":
			sets = list(resource.Properties["RecordSets"])
		default:
			continue
		}
		for _, part := range sets {
			set := object(part)
			name := dnsName(set["Name"])
			all[name] = append(all[name], record{fmt.Sprintf("%s %s %s", id, name, text(set["Type"])), set})
		}
	}
	return all
}

func dnsName(part any) string { return strings.TrimSuffix(strings.ToLower(text(part)), ".") }

// healthChecks are the logical ids of the health checks, each of which leads payments away from a Region: those that its record
// follows. It makes sure that they do, on the whole way from the public name down.
func (t *templates) healthChecks(region settings.Region) []string {
	s := &t.assembly.Settings
	records := t.records()
	name := s.RegionalAPIName(region)
	if !t.leads(records, s.APIName(), name, nil) {
		t.fault("no record leads from %s to %s", s.APIName(), name)
		return nil
	}
	var checks []string
	for _, record := range records[name] {
		id := referred(record.set["HealthCheckId"])
		if id == "" {
			t.fault("%s.HealthCheckId is missing in the templates: DNS would go on answering a lost Region", record.name)
			continue
		}
		if !slices.Contains(checks, id) {
			checks = append(checks, id)
		}
	}
	if len(checks) > 1 {
		t.fault("the records of %s follow several health checks: %s", name, strings.Join(checks, ", "))
	}
	var each []string
	for _, id := range checks {
		each = append(each, t.decisive(id, nil)...)
	}
	return each
}

// leads reports whether a name's records point to another, over any number of aliases within the zone, each of which has to be
// as healthy as what it points to. over are the names on the way so far.
func (t *templates) leads(records map[string][]record, from, to string, over []string) bool {
	if from == to {
		return true
	}
	found, over := false, append(slices.Clip(over), from)
	for _, record := range records[from] {
		alias := object(record.set["AliasTarget"])
		target := dnsName(alias["DNSName"])
		if slices.Contains(over, target) || records[target] == nil || !t.leads(records, target, to, over) {
			continue
		}
		found = true
		if alias["EvaluateTargetHealth"] != true {
			t.fault("%s.AliasTarget.EvaluateTargetHealth is not true: DNS would go on answering a lost Region", record.name)
		}
	}
	return found
}

// decisive are the health checks that make one unhealthy, each by itself: itself, or the children of a calculated one that needs
// them all. above are the checks that have it as their child.
func (t *templates) decisive(id string, above []string) []string {
	config := t.healthCheck(id)
	if config["Type"] != "CALCULATED" {
		return []string{id}
	}
	children := list(config["ChildHealthChecks"])
	threshold, _ := t.number(id+".HealthCheckConfig", config, "HealthThreshold", 1)
	if int(threshold) != len(children) {
		t.fault("%s.HealthCheckConfig.HealthThreshold is %v of %d: the check stays healthy when one of its children is not", id, threshold, len(children))
	}
	var all []string
	above = append(slices.Clip(above), id)
	for _, child := range children {
		if !slices.Contains(above, referred(child)) {
			all = append(all, t.decisive(referred(child), above)...)
		}
	}
	return all
}

func (t *templates) healthCheck(id string) map[string]any {
	resource, ok := t.global().Template.Resources[id]
	if !ok || resource.Type != "AWS::Route53::HealthCheck" {
		t.fault("health check %q is missing in the templates", id)
		return nil
	}
	return object(resource.Properties["HealthCheckConfig"])
}
