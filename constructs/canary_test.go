package constructs_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"payments-dr/internal/assembly"
	"payments-dr/internal/payment/canary"
	"payments-dr/stacks/stackstest"
)

func TestCanaryRunsEveryMinuteAndItsFailuresAreKept(t *testing.T) {
	stackstest.Each(t, func(t *testing.T, v stackstest.View) {
		s := v.Assembly.Settings
		rule := v.Named(t, "AWS::Events::Rule", "Name", "payment-"+s.Environment+"-canary").Properties
		stackstest.Same(t, "schedule", rule["ScheduleExpression"], "rate(1 minute)")
		stackstest.Same(t, "state", rule["State"], "ENABLED") // in both Regions: each is watched by the other
		targets := assembly.List(rule["Targets"])
		if len(targets) != 1 {
			t.Fatalf("%d targets", len(targets))
		}
		target := assembly.Object(targets[0])
		if input, ok := target["Input"]; ok {
			t.Errorf("the rule says %v, to a function that listens to nothing", input)
		}
		// What could not be delivered or done within the minute is put aside: the next run is due.
		stackstest.Same(t, "retries", target["RetryPolicy"], map[string]any{"MaximumEventAgeInSeconds": 60, "MaximumRetryAttempts": 0})
		queueID := ""
		for id, queue := range v.Of("AWS::SQS::Queue") {
			if queue.Properties["QueueName"] == "payment-"+s.Environment+"-canary-failures" {
				queueID = id
			}
		}
		stackstest.Same(t, "dead letters", target["DeadLetterConfig"], map[string]any{"Arn": stackstest.GetAtt(queueID, "Arn")})
		async := v.InvokeConfigOf(t, "canary").Properties
		stackstest.Same(t, "retries of a failed run", async["MaximumRetryAttempts"], 0)
		stackstest.Same(t, "age of a run", async["MaximumEventAgeInSeconds"], 60)
		stackstest.Same(t, "failed runs", async["DestinationConfig"], map[string]any{"OnFailure": map[string]any{"Destination": stackstest.GetAtt(queueID, "Arn")}})

		function := v.Function(t, "canary")
		var functionID string
		for id, f := range v.Of("AWS::Lambda::Function") {
			if f.Properties["FunctionName"] == function.Properties["FunctionName"] {
				functionID = id
			}
		}
		stackstest.Same(t, "target", target["Arn"], stackstest.GetAtt(functionID, "Arn"))
		invoked := false
		for _, permission := range v.Of("AWS::Lambda::Permission") {
			p := permission.Properties
			if stackstest.Text(p["FunctionName"]) == stackstest.Text(stackstest.GetAtt(functionID, "Arn")) {
				invoked = p["Principal"] == "events.amazonaws.com" && strings.Contains(stackstest.Text(p["SourceArn"]), "CanarySchedule")
			}
		}
		if !invoked {
			t.Error("the rule may not invoke the canary, or another may")
		}
	})
}

func TestCanaryComesFromOutside(t *testing.T) {
	stackstest.Each(t, func(t *testing.T, v stackstest.View) {
		s := v.Assembly.Settings
		own := s.Both()[slices.Index(stackstest.RegionalRoles, v.Role)]
		function := v.Function(t, "canary").Properties
		if config, inside := function["VpcConfig"]; inside {
			t.Errorf("the canary is in the network: %s", stackstest.Text(config))
		}
		stackstest.Same(t, "environment", function["Environment"], map[string]any{"Variables": map[string]any{
			"API_NAME": "api." + s.DNS.ZoneName, "METRICS_NAMESPACE": "Payment/" + s.Environment,
			"OTHER_REGION": s.Other(own).Name, "OTHER_REGION_API_NAME": s.Other(own).Name + ".region.api." + s.DNS.ZoneName,
		}})
		if timeout := function["Timeout"].(float64); timeout > 30 || timeout < canary.Timeout.Seconds()+5 {
			t.Errorf("the function's time is %v s, a run's %v", timeout, canary.Timeout)
		}
	})
}

func TestCanaryMayPayAndReadAndNothingElse(t *testing.T) {
	for _, env := range stackstest.Environments {
		var policies []string
		for _, role := range stackstest.RegionalRoles {
			v := stackstest.ViewOf(t, env, role)
			s := v.Assembly.Settings
			var invoke []any
			queue := ""
			for _, statement := range v.Statements()[roleOf(v.Function(t, "canary"))] {
				for _, action := range stackstest.ActionsOf(statement) {
					switch service, _, _ := strings.Cut(action, ":"); service {
					case "execute-api":
						stackstest.Same(t, "action", statement["Action"], "execute-api:Invoke")
						stackstest.Same(t, "effect", statement["Effect"], "Allow")
						invoke = append(invoke, assembly.List(statement["Resource"])...)
					case "sqs": // its own failed runs
						queue = stackstest.Text(statement["Resource"])
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
					want = append(want, "arn:aws:execute-api:"+region.Name+":"+v.Stack.Account+":*/live/"+method)
				}
			}
			for _, arns := range [][]any{invoke, want} { // the library sorts them
				slices.SortFunc(arns, func(a, b any) int { return strings.Compare(a.(string), b.(string)) })
			}
			stackstest.Same(t, env+" "+role+": may call", invoke, want)
			if !strings.Contains(queue, "CanaryFailures") {
				t.Errorf("%s %s: the canary may send to %s", env, role, queue)
			}
			policies = append(policies, stackstest.Text(invoke))
		}
		if policies[0] != policies[1] {
			t.Errorf("%s: the Regions' canaries may do different things", env)
		}
	}
}

// TestCanaryIsTheSameInBothRegions but for the names of Regions and stacks.
func TestCanaryIsTheSameInBothRegions(t *testing.T) {
	ofStack := regexp.MustCompile(`(AllowEventRule)payment[a-z]+(primary|secondary)\w+`) // the library's own names
	for _, env := range stackstest.Environments {
		var made [2][]string
		for i, role := range stackstest.RegionalRoles {
			v := stackstest.ViewOf(t, env, role)
			own := v.Assembly.Settings.Both()[i]
			names := strings.NewReplacer(own.Name, "<own>", v.Assembly.Settings.Other(own).Name, "<other>")
			for id, resource := range v.Stack.Template.Resources {
				if strings.HasPrefix(id, "Canary") && resource.Type != "AWS::IAM::Policy" { // which names both Regions, in both
					made[i] = append(made[i], names.Replace(ofStack.ReplaceAllString(id+" "+resource.Type+" "+stackstest.Text(resource.Properties), "$1")))
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
