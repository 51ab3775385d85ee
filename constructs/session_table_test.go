package constructs_test

import (
	"slices"
	"strings"
	"testing"

	"payments-dr/internal/assembly"
	"payments-dr/stacks"
	"payments-dr/stacks/stackstest"
)

func TestSessionTable(t *testing.T) {
	for _, env := range stackstest.Environments {
		v := stackstest.ViewOf(t, env, stacks.RolePrimary)
		s := v.Assembly.Settings
		_, table := v.One(t, "AWS::DynamoDB::GlobalTable")
		p := table.Properties
		stackstest.Same(t, "name", p["TableName"], "payment-"+env+"-sessions")
		stackstest.Same(t, "keys", p["KeySchema"], []any{
			map[string]any{"AttributeName": "session_id", "KeyType": "HASH"}, map[string]any{"AttributeName": "transaction_id", "KeyType": "RANGE"},
		})
		stackstest.Same(t, "stream", p["StreamSpecification"], map[string]any{"StreamViewType": "NEW_AND_OLD_IMAGES"})
		stackstest.Same(t, "encryption", p["SSESpecification"], map[string]any{"SSEEnabled": true, "SSEType": "KMS"})
		if env == stackstest.Europe {
			for _, name := range []string{"MultiRegionConsistency", "GlobalTableWitnesses"} {
				if value, ok := p[name]; ok && value != "EVENTUAL" {
					t.Errorf("an eventually consistent table has %s: %v", name, value)
				}
			}
		} else {
			stackstest.Same(t, "consistency", p["MultiRegionConsistency"], "STRONG")
			stackstest.Same(t, "witness", p["GlobalTableWitnesses"], []any{map[string]any{"Region": s.Session.WitnessRegion}})
			// A strongly consistent table has neither.
			for _, name := range []string{"TimeToLiveSpecification", "LocalSecondaryIndexes"} {
				if value, ok := p[name]; ok {
					t.Errorf("the table has %s: %v", name, value)
				}
			}
		}
		var regions []string
		for _, replica := range assembly.List(p["Replicas"]) {
			r := assembly.Object(replica)
			regions = append(regions, r["Region"].(string))
			stackstest.Same(t, "point-in-time recovery", r["PointInTimeRecoverySpecification"], map[string]any{"PointInTimeRecoveryEnabled": true, "RecoveryPeriodInDays": 7})
			stackstest.Same(t, "deletion protection", r["DeletionProtectionEnabled"], s.Production)
		}
		slices.Sort(regions)
		if want := []string{s.Regions.Primary.Name, s.Regions.Secondary.Name}; !slices.Equal(regions, slices.Sorted(slices.Values(want))) {
			t.Errorf("%s: replicas in %v, want %v", env, regions, want)
		}
		if want := map[bool]string{true: "RetainExceptOnCreate", false: "Delete"}[s.Production]; table.DeletionPolicy != want {
			t.Errorf("%s: deletion policy %s, want %s", env, table.DeletionPolicy, want)
		}
	}
}

// CloudFormation may or may not enable the stream on the replica.
func TestTheReplicasStreamIsEnabledInItsOwnRegion(t *testing.T) {
	for _, env := range stackstest.Environments {
		primary, v := stackstest.ViewOf(t, env, stacks.RolePrimary), stackstest.ViewOf(t, env, stacks.RoleSecondary)
		_, table := primary.One(t, "AWS::DynamoDB::GlobalTable")
		_, stream := v.One(t, "Custom::SessionTableStream")
		stackstest.Same(t, env+": table", stream.Properties["TableName"], table.Properties["TableName"])
		stackstest.Same(t, env+": view type", stream.Properties["StreamViewType"], assembly.At(table.Properties["StreamSpecification"], "StreamViewType"))
		function := v.Function(t, "table-stream")
		stackstest.Same(t, env+": timeout", function.Properties["Timeout"], 600) // Lambda allows 900
		stackstest.Same(t, env+": CloudFormation waits", stream.Properties["ServiceTimeout"], "1200")
		var permissions []map[string]any
		for _, statement := range v.Statements()[roleOf(function)] {
			if !strings.HasPrefix(stackstest.ActionsOf(statement)[0], "logs:") && !strings.HasPrefix(stackstest.ActionsOf(statement)[0], "xray:") {
				permissions = append(permissions, statement)
			}
		}
		want := statement(nil, "arn:aws:dynamodb:"+v.Stack.Region+":"+v.Stack.Account+":table/payment-"+env+"-sessions", "dynamodb:DescribeTable", "dynamodb:UpdateTable")
		want["Sid"] = "EnableTheStream"
		stackstest.Same(t, env+": permissions", permissions, []map[string]any{want})
	}
}
