package operate_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"payments-dr/internal/assembly"
	"payments-dr/internal/operate"
	"payments-dr/stacks/stackstest"
)

// What the operator's tool calls too old is what the plans can no longer explain.
func TestStatusKnowsHowOldABackupMayBe(t *testing.T) {
	stackstest.Each(t, func(t *testing.T, v stackstest.View) {
		_, plan := v.One(t, "AWS::Backup::BackupPlan")
		rule := assembly.Object(assembly.List(assembly.At(plan.Properties["BackupPlan"], "BackupPlanRule"))[0])
		minutes := rule["StartWindowMinutes"].(float64) + rule["CompletionWindowMinutes"].(float64)
		if daily := 24*time.Hour + time.Duration(minutes)*time.Minute; operate.BackupAge != daily {
			t.Errorf("a backup may be %s old, and dr status says %s", daily, operate.BackupAge)
		}
		_, testing := v.One(t, "AWS::Backup::RestoreTestingPlan")
		s := v.Assembly.Settings
		stackstest.Same(t, "the restore testing plan's name", testing.Properties["RestoreTestingPlanName"], operate.RestoreTestingPlan(&s))
		hours := 0.0
		for _, selection := range v.Of("AWS::Backup::RestoreTestingSelection") {
			hours = max(hours, selection.Properties["ValidationWindowHours"].(float64))
		}
		start := testing.Properties["StartWindowHours"].(float64)
		if weekly := 7*24*time.Hour + time.Duration(start+hours)*time.Hour; hours == 0 || operate.RestoreAge < weekly {
			t.Errorf("a test has its verdict within %s, and dr status waits %s", weekly, operate.RestoreAge)
		}
	})
}

// The operator's tool knows every dead-letter queue that there is, and brings back what is in it the way that is right for what sends
// messages there.
func TestEveryDeadLetterQueueHasItsWay(t *testing.T) {
	stackstest.Each(t, func(t *testing.T, v stackstest.View) {
		s := v.Assembly.Settings
		name := func(id string) string {
			short, _ := strings.CutPrefix(v.Stack.Template.Resources[id].Properties["QueueName"].(string), "payment-"+s.Environment+"-")
			return short
		}
		// Who sends to which queue: queues by their redrive policy, rules by the dead-letter queue of a target, functions and mappings by
		// their destination.
		senders := map[string][]string{}
		referred := func(value any) (string, bool) {
			attribute := assembly.List(assembly.At(value, "Fn::GetAtt"))
			if len(attribute) != 2 {
				return "", false
			}
			id := attribute[0].(string)
			return id, v.Stack.Template.Resources[id].Type == "AWS::SQS::Queue"
		}
		note := func(target any, kind string) {
			if id, ok := referred(target); ok {
				senders[name(id)] = append(senders[name(id)], kind)
			}
		}
		for _, queue := range v.Of("AWS::SQS::Queue") {
			note(assembly.At(queue.Properties["RedrivePolicy"], "deadLetterTargetArn"), "queue")
		}
		for _, rule := range v.Of("AWS::Events::Rule") {
			kind := "rule"
			if stackstest.Text(rule.Properties["EventBusName"]) != "null" {
				kind = "bus"
			}
			for _, target := range assembly.List(rule.Properties["Targets"]) {
				note(assembly.At(target, "DeadLetterConfig", "Arn"), kind)
			}
		}
		for _, config := range v.Of("AWS::Lambda::EventInvokeConfig") {
			note(assembly.At(config.Properties["DestinationConfig"], "OnFailure", "Destination"), "function")
		}
		for _, mapping := range v.Of("AWS::Lambda::EventSourceMapping") {
			note(assembly.At(mapping.Properties["DestinationConfig"], "OnFailure", "Destination"), "stream")
		}
		var known []string
		for _, q := range operate.DeadLetterQueues {
			known = append(known, q.Name)
			from := senders[q.Name]
			slices.Sort(from)
			from = slices.Compact(from)
			switch q.Remedy {
			case operate.RemedyMove: // what SQS moves
				stackstest.Same(t, q.Name, from, []string{"queue"})
			case operate.RemedyPut: // what a rule of the platform's bus could not deliver, and is an event
				stackstest.Same(t, q.Name, from, []string{"bus"})
			case operate.RemedyReconcile:
				if slices.Contains(from, "bus") || slices.Contains(from, "queue") || !slices.Contains([]string{"relay-failures", "reconcile-failures"}, q.Name) {
					t.Errorf("%s is filled by %v", q.Name, from)
				}
			}
		}
		var filled []string
		for queue := range senders {
			filled = append(filled, queue)
		}
		slices.Sort(filled)
		slices.Sort(known)
		stackstest.Same(t, "dead-letter queues", known, filled)
	})
}
