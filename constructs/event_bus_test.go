package constructs_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"payments-dr/internal/assembly"
	"payments-dr/internal/payment"
	"payments-dr/internal/simulation/eventbus"
	"payments-dr/stacks/stackstest"
)

// topology is what the templates of an environment's two Regions say about buses, rules and queues. change may change a
// template before it is read.
func topology(t *testing.T, env string, change func(resources map[string]assembly.Resource)) []eventbus.Topology {
	t.Helper()
	var regions []eventbus.Topology
	for _, role := range stackstest.RegionalRoles {
		stack := stackstest.ViewOf(t, env, role).Stack
		resources := maps.Clone(stack.Template.Resources)
		for id, resource := range resources { // schedules and AWS's own events are of the default bus, and no payment's event
			if resource.Type == "AWS::Events::Rule" && resource.Properties["EventBusName"] == nil {
				delete(resources, id)
			}
		}
		if change != nil {
			change(resources)
		}
		read, err := eventbus.ReadTemplate([]byte(stackstest.Text(map[string]any{"Resources": resources})), stack.Region, stack.Account)
		if err != nil {
			t.Fatal(err)
		}
		regions = append(regions, read)
	}
	return regions
}

func paymentEvent(env string) func(region string) eventbus.Entry {
	return func(region string) eventbus.Entry {
		p, err := payment.Parse(payment.Values{
			"session_id": "s", "transaction_id": "t",
			"amount": "1.00", "currency": "USD",
			"region": region, "timestamp": "2026-11-22T03:04:05.678901Z",
			"status": payment.StatusProcessed,
		})
		if err != nil {
			panic(err) // constants
		}
		detail, err := payment.MarshalEventDetail(p)
		if err != nil {
			panic(err) // strings always marshal
		}
		return eventbus.Entry{EventBusName: "payment-" + env, Source: payment.EventSource, DetailType: payment.EventDetailType, Detail: string(detail)}
	}
}

func TestEachEventReachesEachBusAndLedgerQueueOnce(t *testing.T) {
	for _, env := range stackstest.Environments {
		routes, err := eventbus.CheckRouting(t.Context(), stackstest.Assembly(t, env).Settings.Account, topology(t, env, nil), paymentEvent(env))
		if err != nil {
			t.Errorf("%s: %v", env, err)
		}
		for _, route := range routes {
			ledgers := 0
			for queue, count := range route.Queues {
				if strings.HasSuffix(queue, ":payment-"+env+"-ledger") {
					ledgers += count
				}
			}
			if ledgers != 2 || len(route.Buses) != 2 {
				t.Errorf("%s: an event of %s reaches %d ledger queues over %d buses, want 2 and 2", env, route.Origin, ledgers, len(route.Buses))
			}
		}
	}
}

func TestTheGuardIsWhatKeepsEventsFromGoingInCircles(t *testing.T) {
	regions := topology(t, stackstest.Dev, func(resources map[string]assembly.Resource) {
		for id, resource := range resources {
			if resource.Properties["Name"] != "payment-dev-forward" {
				continue
			}
			pattern := maps.Clone(assembly.Object(resource.Properties["EventPattern"]))
			delete(pattern, "region")
			delete(pattern, "detail")
			resource.Properties = maps.Clone(resource.Properties)
			resource.Properties["EventPattern"] = pattern
			resources[id] = resource
		}
	})
	if _, err := eventbus.CheckRouting(t.Context(), stackstest.Assembly(t, stackstest.Dev).Settings.Account, regions, paymentEvent(stackstest.Dev)); err == nil {
		t.Error("without the guard nothing was found")
	}
}

func TestForwardingRule(t *testing.T) {
	stackstest.Each(t, func(t *testing.T, v stackstest.View) {
		s := v.Assembly.Settings
		own := s.Both()[slices.Index(stackstest.RegionalRoles, v.Role)]
		other := "arn:aws:events:" + s.Other(own).Name + ":" + v.Stack.Account + ":event-bus/payment-" + s.Environment
		busID, bus := v.One(t, "AWS::Events::EventBus")
		stackstest.Same(t, "bus", bus.Properties["Name"], "payment-"+s.Environment)
		rule := v.Named(t, "AWS::Events::Rule", "Name", "payment-"+s.Environment+"-forward")
		stackstest.Same(t, "bus of the rule", rule.Properties["EventBusName"], stackstest.Ref(busID))
		stackstest.Same(t, "pattern", rule.Properties["EventPattern"], map[string]any{
			"source": []string{"payment.processor"}, "detail-type": []string{"Payment Transaction"},
			"region": []string{own.Name}, "detail": map[string]any{"region": []string{own.Name}},
		})
		target := assembly.Object(assembly.List(rule.Properties["Targets"])[0])
		stackstest.Same(t, "target", target["Arn"], other)
		if target["DeadLetterConfig"] == nil {
			t.Error("the forwarding rule has no dead-letter queue")
		}
		// The service's own: 24 hours, 185 times. The ledger's target says the same aloud.
		if policy, ok := target["RetryPolicy"]; ok {
			t.Errorf("the forwarding rule tries again as %s says", stackstest.Text(policy))
		}
		ledger := v.Named(t, "AWS::Events::Rule", "Name", "payment-"+s.Environment+"-ledger")
		stackstest.Same(t, "the ledger target's retries", assembly.At(assembly.List(ledger.Properties["Targets"])[0], "RetryPolicy"), map[string]any{"MaximumEventAgeInSeconds": 24 * 3600, "MaximumRetryAttempts": 185})
		role := assembly.List(assembly.At(target["RoleArn"], "Fn::GetAtt"))[0].(string)
		stackstest.Same(t, "the forwarding role's permissions", v.Statements()[role], []any{map[string]any{"Action": "events:PutEvents", "Effect": "Allow", "Resource": other}})

		_, archive := v.One(t, "AWS::Events::Archive")
		stackstest.Same(t, "archive of", archive.Properties["SourceArn"], stackstest.GetAtt(busID, "Arn"))
		stackstest.Same(t, "archive's days", archive.Properties["RetentionDays"], s.Backup.RetentionDays)
	})
}

func TestEveryRuleTargetHasADeadLetterQueueThatTakesItsEvents(t *testing.T) {
	stackstest.Each(t, func(t *testing.T, v stackstest.View) {
		rules := v.Of("AWS::Events::Rule")
		if len(rules) < 9 {
			t.Errorf("%d rules, want at least forward, ledger, three of reconcile, canary, two of notices, and restore-validation", len(rules))
		}
		for id, rule := range rules {
			for _, target := range assembly.List(rule.Properties["Targets"]) {
				config := assembly.Object(assembly.At(target, "DeadLetterConfig"))
				queue, ok := assembly.List(assembly.At(config["Arn"], "Fn::GetAtt")), config["Arn"] != nil
				if !ok {
					t.Errorf("rule %s has a target without a dead-letter queue", id)
					continue
				}
				if !mayBeSentBy(v, queue[0].(string), id) {
					t.Errorf("rule %s may not send to its dead-letter queue %s", id, queue[0])
				}
			}
		}
		keyID, key := v.KeyOf(t, "")
		policy := stackstest.Text(key.Properties["KeyPolicy"])
		for _, name := range []string{"/*", "-reconcile*", "-canary", "-backup-notices", "-recovery-plan-notices", "-restore-validation"} {
			resource := "rule/payment-" + v.Assembly.Settings.Environment + name
			if want := "arn:aws:events:" + v.Stack.Region + ":" + v.Stack.Account + ":" + resource; !strings.Contains(policy, want) {
				t.Errorf("key %s does not let rules %s use it", keyID, want)
			}
		}
	})
}

// mayBeSentBy reports whether a queue's policy lets a rule send to it, by the rule's ARN.
func mayBeSentBy(v stackstest.View, queue, rule string) bool {
	for _, policy := range v.Of("AWS::SQS::QueuePolicy") {
		for _, statement := range assembly.List(assembly.At(policy.Properties["PolicyDocument"], "Statement")) {
			s := assembly.Object(statement)
			if slices.Contains(stackstest.ActionsOf(s), "sqs:SendMessage") && stackstest.Text(s["Resource"]) == stackstest.Text(stackstest.GetAtt(queue, "Arn")) &&
				stackstest.Text(assembly.At(s["Condition"], "ArnEquals", "aws:SourceArn")) == stackstest.Text(stackstest.GetAtt(rule, "Arn")) &&
				assembly.At(s["Principal"], "Service") == "events.amazonaws.com" {
				return true
			}
		}
	}
	return false
}
