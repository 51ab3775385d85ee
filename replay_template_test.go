package main

import (
	"slices"
	"strings"
	"testing"

	"payments-dr/internal/assembly"
	"payments-dr/internal/operate"
	"payments-dr/internal/payment"
)

// The operator's tool knows every dead-letter queue that there is, and brings back what is in it the way that is right for what sends
// messages there.
func TestEveryDeadLetterQueueHasItsWay(t *testing.T) {
	each(t, func(t *testing.T, v view) {
		s := v.assembly.Settings
		name := func(id string) string {
			short, _ := strings.CutPrefix(v.stack.Template.Resources[id].Properties["QueueName"].(string), "payment-"+s.Environment+"-")
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
			return id, v.stack.Template.Resources[id].Type == "AWS::SQS::Queue"
		}
		note := func(target any, kind string) {
			if id, ok := referred(target); ok {
				senders[name(id)] = append(senders[name(id)], kind)
			}
		}
		for _, queue := range v.of("AWS::SQS::Queue") {
			note(assembly.At(queue.Properties["RedrivePolicy"], "deadLetterTargetArn"), "queue")
		}
		for _, rule := range v.of("AWS::Events::Rule") {
			kind := "rule"
			if text(rule.Properties["EventBusName"]) != "null" {
				kind = "bus"
			}
			for _, target := range assembly.List(rule.Properties["Targets"]) {
				note(assembly.At(target, "DeadLetterConfig", "Arn"), kind)
			}
		}
		for _, config := range v.of("AWS::Lambda::EventInvokeConfig") {
			note(assembly.At(config.Properties["DestinationConfig"], "OnFailure", "Destination"), "function")
		}
		for _, mapping := range v.of("AWS::Lambda::EventSourceMapping") {
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
				same(t, q.Name, from, []string{"queue"})
			case operate.RemedyPut: // what a rule of the platform's bus could not deliver, and is an event
				same(t, q.Name, from, []string{"bus"})
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
		same(t, "dead-letter queues", known, filled)
	})
}

// What the tool calls to reconcile and to replay, the operator may, on what it is about and on nothing else.
func TestOperatorMayBringBackWhatWasNotDelivered(t *testing.T) {
	each(t, func(t *testing.T, v view) {
		s, region := v.assembly.Settings, v.stack.Region
		_, id := roleNamed(t, v, "payment-"+s.Environment+"-operator-"+region)
		statements := v.statements()[id]
		arn := func(service, rest string) string {
			return "arn:aws:" + service + ":" + region + ":" + s.Account + ":" + rest
		}
		queue := func(name string) string { return arn("sqs", "payment-"+s.Environment+"-"+name) }
		bus := "payment-" + s.Environment
		may, mayNot := map[string][]string{
			"lambda:InvokeFunction":  {arn("lambda", "function:"+operate.ReconcileFunction(&s))},
			"events:PutEvents":       {arn("events", "event-bus/"+bus)},
			"events:DescribeArchive": {arn("events", "archive/"+bus)},
			"events:StartReplay":     {arn("events", "archive/"+bus), arn("events", "event-bus/"+bus), arn("events", "replay/"+bus+"-20261120T030000Z-20261120T053000Z-2")},
			"events:DescribeReplay":  {arn("events", "replay/"+bus+"-20261120T030000Z-20261120T053000Z")},
			"events:CancelReplay":    {arn("events", "replay/"+bus+"-20261120T030000Z-20261120T053000Z")},
			"sqs:SendMessage":        {queue("ledger")},
			"dynamodb:ListTables":    {"*"},
			"rds:DescribeDBClusters": {arn("rds", "cluster:*")},
		}, map[string][]string{
			"lambda:InvokeFunction": {arn("lambda", "function:payment-"+s.Environment+"-processor"), arn("lambda", "function:payment-"+s.Environment+"-migrate")},
			"events:PutEvents":      {arn("events", "event-bus/default")},
			"events:StartReplay":    {arn("events", "archive/somebody-elses"), arn("events", "event-bus/default")},
			"sqs:ReceiveMessage":    {queue("ledger")},
			"sqs:DeleteMessage":     {queue("ledger")},
			"rds:DeleteDBCluster":   {arn("rds", "cluster:payment-"+s.Environment+"-"+region)},
		}
		for _, q := range operate.DeadLetterQueues {
			for _, action := range []string{"sqs:GetQueueUrl", "sqs:GetQueueAttributes"} {
				may[action] = append(may[action], queue(q.Name), queue("ledger"))
			}
			mayNot["sqs:SendMessage"] = append(mayNot["sqs:SendMessage"], queue(q.Name))
			receive := []string{"sqs:ReceiveMessage", "sqs:DeleteMessage"}
			switch q.Remedy {
			case operate.RemedyMove:
				receive = append(receive, "sqs:StartMessageMoveTask", "sqs:ListMessageMoveTasks", "sqs:CancelMessageMoveTask")
			case operate.RemedyPut, operate.RemedyReconcile:
				receive = append(receive, "sqs:ChangeMessageVisibility")
			case operate.RemedyNone:
				for _, action := range receive {
					mayNot[action] = append(mayNot[action], queue(q.Name))
				}
				continue
			}
			for _, action := range receive {
				may[action] = append(may[action], queue(q.Name))
			}
		}
		for action, resources := range may {
			for _, resource := range resources {
				if !permits(statements, action, resource) {
					t.Errorf("%s on %s is not allowed", action, resource)
				}
			}
		}
		for action, resources := range mayNot {
			for _, resource := range resources {
				if permits(statements, action, resource) {
					t.Errorf("%s on %s is allowed", action, resource)
				}
			}
		}
		known := map[string]bool{}
		for action := range may {
			known[action] = true
		}
		for _, statement := range statements {
			for _, action := range actionsOf(statement) {
				service, _, _ := strings.Cut(action, ":")
				if slices.Contains([]string{"lambda", "sqs", "events"}, service) && !known[action] {
					t.Errorf("%s is allowed", action)
				}
				if action == "events:PutEvents" {
					only := assembly.Object(assembly.At(statement["Condition"], "ForAllValues:StringEquals"))
					if only["events:source"] != payment.EventSource || only["events:detail-type"] != payment.EventDetailType {
						t.Errorf("events of %v may be put", only)
					}
					same(t, "keys that have to be there", assembly.At(statement, "Condition", "Null"), map[string]any{"events:source": "false", "events:detail-type": "false"})
				}
				if slices.Contains([]string{"kms:Decrypt", "kms:GenerateDataKey"}, action) {
					if via := assembly.At(statement["Condition"], "StringEquals", "kms:ViaService"); via != "sqs."+region+".amazonaws.com" {
						t.Errorf("%s by way of %v", action, via)
					}
					known[action] = true
				}
			}
		}
		// Messages are encrypted: they are read, and sent on, with the key.
		if !known["kms:Decrypt"] || !known["kms:GenerateDataKey"] {
			t.Error("the key may not be used")
		}
	})
}
