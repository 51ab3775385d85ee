package recoverytime

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"payments-dr/internal/assembly"
	"payments-dr/internal/settings"
)

// ledgerLost is the way of the ledger from a lost Region to another, and what runs beside it or after it. The way ends when the
// other Region's ledger has recorded its first batch.
func (t *templates) ledgerLost(lost, other settings.Region) (way, beside []Item) {
	planID, plan := t.plan()
	if planID == "" {
		return nil, nil
	}
	way, manual := t.ledgerDetection(planID, plan, lost, other)
	if manual {
		beside = append(beside, people)
	}
	way = append(way, planStart)
	steps, after := t.steps(planID, plan, other)
	way = append(way, steps...)

	mappingID, mapping, functionID, function := t.mapping(t.regional(other), "ledger")
	if mappingID == "" {
		return nil, nil
	}
	window, windowSource := t.number(mappingID, mapping, "MaximumBatchingWindowInSeconds", 0)
	timeout, timeoutSource := t.number(functionID, function, "Timeout", 1)
	way = append(way, Item{
		What:    "the ledger records its first batch",
		Takes:   Time{seconds(window) + batchExpected, seconds(window + timeout)},
		Sources: []string{windowSource, timeoutSource, sourceBatch},
	})
	return way, append(append(beside, after...), t.backlog(other, mappingID, mapping))
}

// plan is the recovery plan's logical id and properties.
func (t *templates) plan() (string, map[string]any) {
	resources := t.global().Template.Resources
	for _, id := range slices.Sorted(maps.Keys(resources)) {
		if resources[id].Type == "AWS::ARCRegionSwitch::Plan" {
			return id, resources[id].Properties
		}
	}
	t.fault("the recovery plan is missing in the templates")
	return "", nil
}

// ledgerDetection is from the loss until the plan is triggered, or until a person is told. The alarms are in the other Region: what
// is lost calls nobody.
func (t *templates) ledgerDetection(planID string, plan map[string]any, lost, other settings.Region) (items []Item, manual bool) {
	stack := t.regional(other)
	if triggers := assembly.List(plan["Triggers"]); len(triggers) > 0 {
		return t.triggered(planID, plan, stack, lost, other), false
	}
	// The canary's alarm is the first to tell a person. The composite one, which a trigger waits for, wants the replication too.
	name := fmt.Sprintf("payment-%s-other-region-unreachable", t.assembly.Settings.Environment)
	items, ok := t.alarm(stack, name)
	if id, alarm := find(stack, "AWS::CloudWatch::Alarm", "AlarmName", name); ok && len(assembly.List(alarm.Properties["AlarmActions"])) == 0 {
		t.fault("%s.AlarmActions is empty: the alarm %s tells nobody that %s is lost", id, name, lost.Name)
	}
	return items, true
}

// triggered is the alarm that starts the plan by itself, the slowest if a trigger waits for several.
func (t *templates) triggered(planID string, plan map[string]any, stack assembly.Stack, lost, other settings.Region) (items []Item) {
	associated := assembly.Object(plan["AssociatedAlarms"])
	waits := false
	for _, part := range assembly.List(plan["Triggers"]) {
		trigger := assembly.Object(part)
		if trigger["TargetRegion"] != other.Name || trigger["Action"] != "activate" {
			continue
		}
		for _, condition := range assembly.List(trigger["Conditions"]) {
			waits = true
			key := assembly.Text(assembly.At(condition, "AssociatedAlarmName"))
			arn := assembly.Text(assembly.At(associated[key], "ResourceIdentifier"))
			before, name, ok := strings.Cut(arn, ":alarm:")
			if !ok || !strings.Contains(before, ":cloudwatch:"+other.Name+":") {
				t.fault("%s.AssociatedAlarms.%s is %q, and has to be an alarm in %s, the Region that it activates", planID, key, arn, other.Name)
				continue
			}
			alarm, _ := t.alarm(stack, name)
			items = slower(items, alarm)
		}
	}
	if !waits {
		t.fault("%s has triggers, and none activates %s when %s is lost", planID, other.Name, lost.Name)
	}
	return items
}

// steps are the plan's steps up to the one that switches the ledger of a Region on, and those after it.
func (t *templates) steps(planID string, plan map[string]any, other settings.Region) (way, after []Item) {
	var promoted, started bool
	for _, part := range assembly.List(plan["Workflows"]) {
		workflow := assembly.Object(part)
		if target := assembly.Text(workflow["WorkflowTargetRegion"]); workflow["WorkflowTargetAction"] != "activate" || (target != "" && target != other.Name) {
			continue
		}
		for _, part := range assembly.List(workflow["Steps"]) {
			step := assembly.Object(part)
			item := t.step(planID, step)
			if started {
				item.What = "beside or after: " + item.What
				after = append(after, item)
				continue
			}
			way = append(way, item)
			promoted = promoted || has(step, func(s map[string]any) bool { return s["ExecutionBlockType"] == "AuroraGlobalDatabase" })
			started = has(step, func(s map[string]any) bool {
				config := assembly.Object(assembly.At(s["ExecutionBlockConfiguration"], "LambdaEventSourceMappingConfig"))
				return config["Action"] == "enable" && assembly.At(config["RegionEventSourceMappings"], other.Name) != nil
			})
		}
	}
	if !promoted {
		t.fault("%s does not promote the database before it switches the ledger on", planID)
	}
	if !started {
		t.fault("%s has no step that switches the ledger of %s on", planID, other.Name)
	}
	return way, after
}

// has reports whether a step, or one that runs within it, is such.
func has(step map[string]any, such func(map[string]any) bool) bool {
	inner := assembly.List(assembly.At(step["ExecutionBlockConfiguration"], "ParallelConfig", "Steps"))
	return such(step) || slices.ContainsFunc(inner, func(part any) bool { return has(assembly.Object(part), such) })
}

// step is what a step takes: in the worst case its limit or less, and the steps of a parallel one as long as the longest of them.
func (t *templates) step(planID string, step map[string]any) Item {
	name, kind := assembly.Text(step["Name"]), assembly.Text(step["ExecutionBlockType"])
	blocks := assembly.Object(step["ExecutionBlockConfiguration"])
	what := fmt.Sprintf("step %q", name)
	if kind == "Parallel" {
		longest := Item{What: what, Sources: []string{}}
		for _, part := range assembly.List(assembly.At(blocks["ParallelConfig"], "Steps")) {
			inner := t.step(planID, assembly.Object(part))
			longest.Takes = Time{max(longest.Takes.Expected, inner.Takes.Expected), max(longest.Takes.Worst, inner.Takes.Worst)}
			longest.Sources = append(longest.Sources, inner.Sources[0])
		}
		return longest
	}
	known := map[string]struct {
		block           string
		expected, worst time.Duration // no worst: the limit
		source          string
	}{
		"ManualApproval":           {"ExecutionApprovalConfig", 0, 0, sourceApproval},
		"AuroraGlobalDatabase":     {"GlobalAuroraConfig", promotionExpected, 0, sourcePromotion},
		"LambdaEventSourceMapping": {"LambdaEventSourceMappingConfig", mappingExpected, mappingWorst, sourceMapping},
		"CustomActionLambda":       {"CustomActionLambdaConfig", functionExpected, 0, sourceFunction},
		"Route53HealthCheck":       {"Route53HealthCheckConfig", trafficExpected, 0, sourceTraffic},
	}
	block, ok := known[kind]
	if !ok {
		t.fault("%s has the step %q of the kind %q, of which nothing is known here", planID, name, kind)
		return Item{What: what, Sources: []string{""}}
	}
	limit, source := t.number(planID+" "+what, assembly.Object(blocks[block.block]), "TimeoutMinutes", 1)
	takes := Time{block.expected, minutes(limit)}
	if block.worst > 0 {
		takes.Worst = min(takes.Worst, block.worst)
	}
	if kind == "ManualApproval" {
		takes.Expected = takes.Worst / 2
	}
	// Else a short limit would make recovery times that add up and a step that fails.
	if limit >= 1 && takes.Expected > takes.Worst {
		t.fault("%s %s.TimeoutMinutes is %v, less than the %s that the step takes as a rule", planID, what, limit, Spell(takes.Expected))
	}
	return Item{What: what, Takes: takes, Sources: []string{source, block.source}}
}

// backlog is how long the ledger works on what the queue of a standby has kept, almost all of it recorded already. A queue has no
// strict order, so that until then a new payment may wait behind old ones; what was missing before, the reconciliation records.
func (t *templates) backlog(other settings.Region, mappingID string, mapping map[string]any) Item {
	queueID := assembly.Referred(mapping["EventSourceArn"])
	queue := t.regional(other).Template.Resources[queueID]
	if queue.Type != "AWS::SQS::Queue" {
		t.fault("%s.EventSourceArn is no queue of %s", mappingID, t.regional(other).Name)
		return Item{}
	}
	retention, retentionSource := t.number(queueID, queue.Properties, "MessageRetentionPeriod", 60)
	batch, batchSource := t.number(mappingID, mapping, "BatchSize", 1)
	lanes, lanesSource := t.number(mappingID+".ScalingConfig", assembly.Object(mapping["ScalingConfig"]), "MaximumConcurrency", 2)
	limit := float64(t.assembly.Settings.API.ThrottlingRateLimit)
	perSecond := batch * lanes / batchExpected.Seconds()
	if perSecond == 0 {
		return Item{}
	}
	return Item{
		What:    fmt.Sprintf("beside or after: the standby's queue of %s is worked off", Spell(seconds(retention))),
		Takes:   Time{seconds(retention * limit * ordinaryShare / perSecond), seconds(retention * limit / perSecond)},
		Sources: []string{retentionSource, batchSource, lanesSource, sourceBatch, sourceBacklog},
	}
}
