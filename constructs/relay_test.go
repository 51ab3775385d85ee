package constructs_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"payments-dr/internal/assembly"
	"payments-dr/internal/simulation/eventbus"
	"payments-dr/stacks"
	"payments-dr/stacks/stackstest"
)

func TestRelayMapping(t *testing.T) {
	stackstest.Each(t, func(t *testing.T, v stackstest.View) {
		p := v.MappingOf(t, "relay").Properties
		for name, want := range map[string]any{
			"BatchSize": 100, "StartingPosition": "TRIM_HORIZON", "BisectBatchOnFunctionError": true,
			"FunctionResponseTypes": []string{"ReportBatchItemFailures"}, "MaximumRecordAgeInSeconds": 12 * 3600,
		} {
			stackstest.Same(t, name, p[name], want)
		}
		if attempts, ok := p["MaximumRetryAttempts"]; ok {
			t.Errorf("a record is given up after %v attempts, and not by its age alone", attempts)
		}
		failures := assembly.List(assembly.At(p["DestinationConfig"], "OnFailure", "Destination", "Fn::GetAtt"))
		if len(failures) == 0 || !strings.HasPrefix(failures[0].(string), "RelayFailures") {
			t.Errorf("failures go to %v", failures)
		}
		// The stream of this Region's own replica, found out in this Region.
		source := assembly.List(assembly.At(p["EventSourceArn"], "Fn::GetAtt"))
		if v.Role == stacks.RolePrimary {
			id, _ := v.One(t, "AWS::DynamoDB::GlobalTable")
			stackstest.Same(t, "source", source, []any{id, "StreamArn"})
		} else {
			id, _ := v.One(t, "Custom::SessionTableStream")
			stackstest.Same(t, "source", source, []any{id, "StreamArn"})
		}
		if _, inside := v.Function(t, "relay").Properties["VpcConfig"]; inside {
			t.Error("the relay is in the network, where it would need a way out")
		}
	})
}

func TestRelayMappingLetsOwnPaymentsThroughAlone(t *testing.T) {
	const record = `{"eventID":"1","eventName":%q,"eventSource":"aws:dynamodb","awsRegion":%q,"dynamodb":{"SequenceNumber":"1","NewImage":{%s}}}`
	item := func(region string) string {
		return fmt.Sprintf(`"session_id":{"S":"s"},"region":{"S":%q},"status":{"S":"processed"}`, region)
	}
	stackstest.Each(t, func(t *testing.T, v stackstest.View) {
		own := v.Stack.Region
		other := v.Assembly.Settings.Other(v.Assembly.Settings.Both()[slices.Index(stackstest.RegionalRoles, v.Role)]).Name
		filters := assembly.List(assembly.At(v.MappingOf(t, "relay").Properties["FilterCriteria"], "Filters"))
		if len(filters) != 1 {
			t.Fatalf("%d filters, which would be alternatives", len(filters))
		}
		pattern, err := eventbus.ParsePattern([]byte(assembly.At(filters[0], "Pattern").(string)))
		if err != nil {
			t.Fatal(err)
		}
		for _, tt := range []struct {
			name, record string
			want         bool
		}{
			{"own payment", fmt.Sprintf(record, "INSERT", own, item(own)), true},
			{"replicated payment", fmt.Sprintf(record, "INSERT", own, item(other)), false},
			{"change of a payment", fmt.Sprintf(record, "MODIFY", own, item(own)), false},
			{"removal", fmt.Sprintf(record, "REMOVE", own, item(own)), false},
			{"health probe", fmt.Sprintf(record, "INSERT", own, `"session_id":{"S":"\u0001"},"transaction_id":{"S":"`+own+`"},"probe":{"N":"1"}`), false},
		} {
			got, err := pattern.Matches([]byte(tt.record))
			if err != nil || got != tt.want {
				t.Errorf("%s: let through %v, %v; want %v", tt.name, got, err, tt.want)
			}
		}
	})
}
