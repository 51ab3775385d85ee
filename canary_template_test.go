package main

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"payments-dr/internal/assembly"
	"payments-dr/internal/payment/canary"
)

func TestCanaryRunsEveryMinuteAndItsFailuresAreKept(t *testing.T) {
	each(t, func(t *testing.T, v view) {
		s := v.assembly.Settings
		rule := v.named(t, "AWS::Events::Rule", "Name", "payment-"+s.Environment+"-canary").Properties
		same(t, "schedule", rule["ScheduleExpression"], "rate(1 minute)")
		same(t, "state", rule["State"], "ENABLED") // in both Regions: each is watched by the other
		targets := assembly.List(rule["Targets"])
		if len(targets) != 1 {
			t.Fatalf("%d targets", len(targets))
		}
		target := assembly.Object(targets[0])
		if input, ok := target["Input"]; ok {
			t.Errorf("the rule says %v, to a function that listens to nothing", input)
		}
		// What could not be delivered or done within the minute is put aside: the next run is due.
		same(t, "retries", target["RetryPolicy"], map[string]any{"MaximumEventAgeInSeconds": 60, "MaximumRetryAttempts": 0})
		queueID := ""
		for id, queue := range v.of("AWS::SQS::Queue") {
			if queue.Properties["QueueName"] == "payment-"+s.Environment+"-canary-failures" {
				queueID = id
			}
		}
		same(t, "dead letters", target["DeadLetterConfig"], map[string]any{"Arn": getAtt(queueID, "Arn")})
		async := v.invokeConfigOf(t, "canary").Properties
		same(t, "retries of a failed run", async["MaximumRetryAttempts"], 0)
		same(t, "age of a run", async["MaximumEventAgeInSeconds"], 60)
		same(t, "failed runs", async["DestinationConfig"], map[string]any{"OnFailure": map[string]any{"Destination": getAtt(queueID, "Arn")}})

		function := v.function(t, "canary")
		var functionID string
		for id, f := range v.of("AWS::Lambda::Function") {
			if f.Properties["FunctionName"] == function.Properties["FunctionName"] {
				functionID = id
			}
		}
		same(t, "target", target["Arn"], getAtt(functionID, "Arn"))
		invoked := false
		for _, permission := range v.of("AWS::Lambda::Permission") {
			p := permission.Properties
			if text(p["FunctionName"]) == text(getAtt(functionID, "Arn")) {
				invoked = p["Principal"] == "events.amazonaws.com" && strings.Contains(text(p["SourceArn"]), "CanarySchedule")
			}
		}
		if !invoked {
			t.Error("the rule may not invoke the canary, or another may")
		}
	})
}

func TestCanaryComesFromOutside(t *testing.T) {
	each(t, func(t *testing.T, v view) {
		s := v.assembly.Settings
		own := s.Both()[slices.Index(regionalRoles, v.role)]
		function := v.function(t, "canary").Properties
		if config, inside := function["VpcConfig"]; inside {
			t.Errorf("the canary is in the network: %s", text(config))
		}
		same(t, "environment", function["Environment"], map[string]any{"Variables": map[string]any{
			"API_NAME": "api." + s.DNS.ZoneName, "METRICS_NAMESPACE": "Payment/" + s.Environment,
			"OTHER_REGION": s.Other(own).Name, "OTHER_REGION_API_NAME": s.Other(own).Name + ".api." + s.DNS.ZoneName,
		}})
		if timeout := function["Timeout"].(float64); timeout > 30 || timeout < canary.Timeout.Seconds()+5 {
			t.Errorf("the function's time is %v s, a run's %v", timeout, canary.Timeout)
		}
	})
}

func TestCanaryMayPayAndReadAndNothingElse(t *testing.T) {
	for _, env := range environments {
		var policies []string
		for _, role := range regionalRoles {
			v := viewOf(t, env, role)
			s := v.assembly.Settings
			var invoke []any
			queue := ""
			for _, statement := range v.statements()[roleOf(v.function(t, "canary"))] {
				for _, action := range actionsOf(statement) {
					switch service, _, _ := strings.Cut(action, ":"); service {
					case "execute-api":
						same(t, "action", statement["Action"], "execute-api:Invoke")
						same(t, "effect", statement["Effect"], "Allow")
						invoke = append(invoke, assembly.List(statement["Resource"])...)
					case "sqs": // its own failed runs
						queue = text(statement["Resource"])
						if strings.Contains(action, "Receive") || strings.Contains(action, "Delete") || strings.Contains(action, "Purge") {
							t.Errorf("%s %s: the canary may %s", env, role, action)
						}
					case "logs", "xray", "kms":
					default:
						t.Errorf("%s %s: the canary may %s", env, role, action)
					}
				}
			}
			var want []any
			for _, region := range s.Both() {
				for _, method := range []string{"POST/payments", "GET/payments/*"} {
					want = append(want, "arn:aws:execute-api:"+region.Name+":"+v.stack.Account+":*/live/"+method)
				}
			}
			for _, arns := range [][]any{invoke, want} { // the library sorts them
				slices.SortFunc(arns, func(a, b any) int { return strings.Compare(a.(string), b.(string)) })
			}
			same(t, env+" "+role+": may call", invoke, want)
			if !strings.Contains(queue, "CanaryFailures") {
				t.Errorf("%s %s: the canary may send to %s", env, role, queue)
			}
			policies = append(policies, text(invoke))
		}
		if policies[0] != policies[1] {
			t.Errorf("%s: the Regions' canaries may do different things", env)
		}
	}
}

// TestCanaryIsTheSameInBothRegions but for the names of Regions and stacks.
func TestCanaryIsTheSameInBothRegions(t *testing.T) {
	ofStack := regexp.MustCompile(`(AllowEventRule)payment[a-z]+(primary|secondary)\w+`) // the library's own names
	for _, env := range environments {
		var made [2][]string
		for i, role := range regionalRoles {
			v := viewOf(t, env, role)
			own := v.assembly.Settings.Both()[i]
			names := strings.NewReplacer(own.Name, "<own>", v.assembly.Settings.Other(own).Name, "<other>")
			for id, resource := range v.stack.Template.Resources {
				if strings.HasPrefix(id, "Canary") && resource.Type != "AWS::IAM::Policy" { // which names both Regions, in both
					made[i] = append(made[i], names.Replace(ofStack.ReplaceAllString(id+" "+resource.Type+" "+text(resource.Properties), "$1")))
				}
			}
			slices.Sort(made[i])
		}
		if len(made[0]) < 8 || len(made[0]) != len(made[1]) {
			t.Fatalf("%s: the canaries are of %d and %d resources", env, len(made[0]), len(made[1]))
		}
		for i := range made[0] {
			if made[0][i] != made[1][i] {
				t.Errorf("%s: in the primary\n%s\nin the secondary\n%s", env, made[0][i], made[1][i])
			}
		}
	}
}
