package constructs

import (
	"time"

	"github.com/aws/constructs-go/constructs/v10"

	"payments-dr/internal/settings"
)

// newRelayAlarms makes the alarm that accepted payments wait in the table's stream.
func newRelayAlarms(scope constructs.Construct, s *settings.Settings) {
	newAlarm(scope, s, alarm{
		name: "relay-behind", section: "Relay behind",
		says: "Accepted payments wait in the table's stream before they reach the bus.",
		of:   functionMetric(FunctionName(s, "relay"), "IteratorAge", maximum), is: above,
		threshold: float64((time.Duration(s.Alarms.RelayDelaySeconds) * time.Second).Milliseconds()), periods: 3, missing: missingIsGood,
	})
}
