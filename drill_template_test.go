package main

import (
	"slices"
	"testing"

	"payments-dr/internal/payment"
)

// The operator's role may do what dr drill and dr pay ask for, each on the one resource.
func TestOperatorMayHoldADrill(t *testing.T) {
	each(t, func(t *testing.T, v view) {
		s, region := v.assembly.Settings, v.stack.Region
		_, id := roleNamed(t, v, "payment-"+s.Environment+"-operator-"+region)
		statements := map[string]map[string]any{}
		for _, statement := range v.statements()[id] {
			if sid, _ := statement["Sid"].(string); sid != "" {
				statements[sid] = statement
			}
		}
		here := map[string]any{"aws:RequestedRegion": region}
		want := map[string]map[string]any{
			"FindTestPayments": {"Sid": "FindTestPayments", "Effect": "Allow", "Action": "dynamodb:Query",
				"Resource": "arn:aws:dynamodb:" + region + ":" + s.Account + ":table/payment-" + s.Environment + "-sessions",
				"Condition": map[string]any{
					"StringEquals": here, "ForAllValues:StringLike": map[string]any{"dynamodb:LeadingKeys": []any{payment.DrillSession + "*"}},
					"Null": map[string]any{"dynamodb:LeadingKeys": "false"},
				}},
			"CompareTableAndLedger": {"Sid": "CompareTableAndLedger", "Effect": "Allow", "Action": "lambda:InvokeFunction",
				"Resource": "arn:aws:lambda:" + region + ":" + s.Account + ":function:payment-" + s.Environment + "-reconcile", "Condition": map[string]any{"StringEquals": here}},
		}
		for sid, statement := range want {
			same(t, sid, statements[sid], statement)
		}
		// The public name leads to either Region, also for the role of the other one.
		var paid []string
		for _, resource := range resourcesOf(statements["PayTestPayments"]) {
			paid = append(paid, text(resource))
		}
		slices.Sort(paid)
		var apis []string
		for _, one := range s.Both() {
			apis = append(apis, text("arn:aws:execute-api:"+one.Name+":"+s.Account+":*/live/POST/payments"))
		}
		slices.Sort(apis)
		same(t, "where it may pay", paid, apis)
		same(t, "how it may pay", actionsOf(statements["PayTestPayments"]), []string{"execute-api:Invoke"})
	})
}
