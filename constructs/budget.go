package constructs

import (
	"github.com/aws/aws-cdk-go/awscdk/v2/awsbudgets"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"

	"payments-dr/internal/settings"
)

const (
	// budgetSpentPercent and budgetForecastPercent of the month's budget are when the addresses are told.
	budgetSpentPercent    = 80
	budgetForecastPercent = 100
)

// NewBudget makes a monthly budget, if the settings have one, and tells their e-mail addresses when it is nearly spent or is
// forecast to be. Budgets are an account's, so this belongs to the global stack.
//
// It is over the whole account and not over the settings' tags. A tag filters costs only once somebody has activated it as a cost
// allocation tag in the billing console, which no template can do, and until then a budget by tag sees nothing at all and is
// never spent ("Activating user-defined cost allocation tags", AWS Billing User Guide).
func NewBudget(scope constructs.Construct, id string, s *settings.Settings) {
	if s.Alerts.MonthlyBudgetUSD == 0 {
		return
	}
	var subscribers []*awsbudgets.CfnBudget_SubscriberProperty
	for _, address := range s.Alerts.EmailAddresses {
		subscribers = append(subscribers, &awsbudgets.CfnBudget_SubscriberProperty{SubscriptionType: text("EMAIL"), Address: text(address)})
	}
	var notifications []*awsbudgets.CfnBudget_NotificationWithSubscribersProperty
	for _, n := range []struct {
		kind    string
		percent float64
	}{{"ACTUAL", budgetSpentPercent}, {"FORECASTED", budgetForecastPercent}} {
		notifications = append(notifications, &awsbudgets.CfnBudget_NotificationWithSubscribersProperty{
			Notification: &awsbudgets.CfnBudget_NotificationProperty{
				NotificationType: text(n.kind), ComparisonOperator: text("GREATER_THAN"),
				Threshold: jsii.Number(n.percent), ThresholdType: text("PERCENTAGE"),
			},
			Subscribers: subscribers,
		})
	}
	awsbudgets.NewCfnBudget(scope, text(id), &awsbudgets.CfnBudgetProps{
		Budget: &awsbudgets.CfnBudget_BudgetDataProperty{
			BudgetName: text("payment-" + s.Environment), BudgetType: text("COST"), TimeUnit: text("MONTHLY"),
			BudgetLimit: &awsbudgets.CfnBudget_SpendProperty{Amount: jsii.Number(s.Alerts.MonthlyBudgetUSD), Unit: text("USD")},
		},
		NotificationsWithSubscribers: notifications,
	})
}
