package constructs_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"payments-dr/internal/assembly"
	"payments-dr/stacks"
	"payments-dr/stacks/stackstest"
)

func TestReconciliationIsScheduledAndItsFailuresAreKept(t *testing.T) {
	stackstest.Each(t, func(t *testing.T, v stackstest.View) {
		s := v.Assembly.Settings
		rule := v.Named(t, "AWS::Events::Rule", "Name", "payment-"+s.Environment+"-reconcile").Properties
		stackstest.Same(t, "schedule", rule["ScheduleExpression"], "rate(1 hour)")
		stackstest.Same(t, "state", rule["State"], "ENABLED") // in both Regions: the function knows which of them is the standby
		target := assembly.Object(assembly.List(rule["Targets"])[0])
		stackstest.Same(t, "input", target["Input"], `{"scheduled":true}`)
		stackstest.Same(t, "retries", target["RetryPolicy"], map[string]any{"MaximumEventAgeInSeconds": 3600, "MaximumRetryAttempts": 2})
		role := v.Named(t, "AWS::Events::Rule", "Name", "payment-"+s.Environment+"-reconcile-role").Properties
		stackstest.Same(t, "schedule of the question for the role", role["ScheduleExpression"], "rate(1 minute)") // the period of the alarms on its answer
		stackstest.Same(t, "its state", role["State"], "ENABLED")
		stackstest.Same(t, "its input", assembly.At(assembly.List(role["Targets"])[0], "Input"), `{"role":true}`)
		// And whenever this Region's cluster has been promoted: however that was started, and whatever the plan skips.
		promotion := v.Named(t, "AWS::Events::Rule", "Name", "payment-"+s.Environment+"-reconcile-promotion").Properties
		stackstest.Same(t, "promotion", promotion["EventPattern"], map[string]any{
			"source": []any{"aws.rds"}, "detail-type": []any{"RDS DB Cluster Event"},
			"detail": map[string]any{
				"EventID":          []any{"RDS-EVENT-0185", "RDS-EVENT-0238"},
				"SourceIdentifier": []any{"payment-" + s.Environment + "-" + v.Stack.Region},
			},
		})
		stackstest.Same(t, "promotion's state", promotion["State"], "ENABLED")
		stackstest.Same(t, "promotion's function", assembly.At(assembly.List(promotion["Targets"])[0], "Arn"), target["Arn"])
		// The message tells which cluster was promoted, and the function has to know its own.
		stackstest.Same(t, "promotion's input", assembly.At(assembly.List(promotion["Targets"])[0], "InputTransformer"), map[string]any{
			"InputPathsMap": map[string]any{"detail-Message": "$.detail.Message"},
			"InputTemplate": `{"cluster":"payment-` + s.Environment + "-" + v.Stack.Region + `","message":<detail-Message>,"promotion":true}`,
		})
		function := v.Function(t, "reconcile")
		stackstest.Same(t, "timeout", function.Properties["Timeout"], 900)
		async := v.InvokeConfigOf(t, "reconcile")
		stackstest.Same(t, "retries of a failed run", async.Properties["MaximumRetryAttempts"], 0) // the next run looks back over it
		if destination := stackstest.Text(assembly.At(async.Properties["DestinationConfig"], "OnFailure")); !strings.Contains(destination, "ReconciliationFailures") {
			t.Errorf("failed runs go to %s", destination)
		}
		granted := map[string]string{}
		for _, statement := range v.Statements()[roleOf(function)] {
			for _, action := range stackstest.ActionsOf(statement) {
				if strings.HasPrefix(action, "dynamodb:") {
					granted[action] = stackstest.Text(statement["Resource"])
				}
			}
		}
		if !slices.Equal(slices.Sorted(maps.Keys(granted)), []string{"dynamodb:BatchGetItem", "dynamodb:Query"}) || !strings.Contains(granted["dynamodb:Query"], "/index/by-acceptance") {
			t.Errorf("granted %v", granted)
		}
	})
	for _, env := range stackstest.Environments {
		_, table := stackstest.ViewOf(t, env, stacks.RolePrimary).One(t, "AWS::DynamoDB::GlobalTable")
		var index struct {
			IndexName  string
			KeySchema  []struct{ AttributeName, KeyType string }
			Projection struct{ ProjectionType string }
		}
		if err := json.Unmarshal([]byte(stackstest.Text(assembly.List(table.Properties["GlobalSecondaryIndexes"])[0])), &index); err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(index); got != "{by-acceptance [{accepted_bucket HASH} {timestamp RANGE}] {ALL}}" {
			t.Errorf("%s: index %s", env, got)
		}
	}
}
