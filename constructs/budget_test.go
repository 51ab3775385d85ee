package constructs_test

import (
	"fmt"
	"testing"

	"payments-dr/internal/assembly"
	"payments-dr/stacks"
	"payments-dr/stacks/stackstest"
)

func TestBudgetIsForThoseWhoSetOne(t *testing.T) {
	for env, want := range map[string]int{stackstest.Dev: 0, stackstest.Prod: 0, stackstest.Europe: 1} {
		v := stackstest.ViewOf(t, env, stacks.RoleGlobal)
		if n := len(v.Of("AWS::Budgets::Budget")); n != want {
			t.Fatalf("%s: %d budgets", env, n)
		}
		if want == 0 {
			continue
		}
		_, budget := v.One(t, "AWS::Budgets::Budget")
		stackstest.Same(t, "budget", budget.Properties["Budget"], map[string]any{
			"BudgetName": "payment-europe", "BudgetType": "COST", "TimeUnit": "MONTHLY", "BudgetLimit": map[string]any{"Amount": 4000, "Unit": "USD"},
		})
		var told []string
		for _, one := range assembly.List(budget.Properties["NotificationsWithSubscribers"]) {
			n := assembly.Object(assembly.At(one, "Notification"))
			told = append(told, fmt.Sprintf("%v %v %v", n["NotificationType"], n["ComparisonOperator"], n["Threshold"]))
			stackstest.Same(t, "subscribers", assembly.At(one, "Subscribers"), []any{
				map[string]any{"Address": "oncall@acme-bank.eu", "SubscriptionType": "EMAIL"}, map[string]any{"Address": "payments@acme-bank.eu", "SubscriptionType": "EMAIL"},
			})
		}
		stackstest.Same(t, "told at", told, []string{"ACTUAL GREATER_THAN 80", "FORECASTED GREATER_THAN 100"})
	}
}
