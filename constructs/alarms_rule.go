package constructs

import (
	"time"

	"github.com/aws/constructs-go/constructs/v10"

	"payments-dr/internal/settings"
)

// newRuleAlarms makes the alarms that every rule has. bus is the rule's bus by its full name, or nothing for the account's default
// bus, and rule is the rule's full name, which begins with "payment-<env>".
//
// EventBridge counts as failed what it has given up after all its tries, and as lost what then did not even reach the rule's
// dead-letter queue.
func newRuleAlarms(scope constructs.Construct, s *settings.Settings, bus, rule string) {
	short := rule[len(AlarmName(s, "")):]
	newAlarm(scope, s, alarm{
		name: short + "-rule-failed", section: "Rule failed",
		says: "Events that match the rule " + rule + " could not be delivered and are in its dead-letter queue.",
		of:   ruleMetric(bus, rule, "FailedInvocations", sum).every(5 * time.Minute), is: atLeast, threshold: 1, periods: 1, missing: missingIsGood,
	})
	newAlarm(scope, s, alarm{
		name: short + "-rule-lost", section: "Rule lost events",
		says: "Events that match the rule " + rule + " could neither be delivered nor be kept in its dead-letter queue.",
		of:   ruleMetric(bus, rule, "InvocationsFailedToBeSentToDlq", sum).every(5 * time.Minute), is: atLeast, threshold: 1, periods: 1, missing: missingIsGood,
	})
}
