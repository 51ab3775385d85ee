package constructs

import (
	"github.com/aws/constructs-go/constructs/v10"

	"payments-dr/internal/settings"
)

// HealthCheck is a health check that gets an alarm.
type HealthCheck struct {
	// Name becomes part of the alarm's name: lower-case words and hyphens.
	Name string
	// Says what is unhealthy when it is: the subject of a sentence.
	Says string
	// ID is Route 53's.
	ID *string
}

// alarmUnhealthy is the alarm on a health check.
func alarmUnhealthy(check string) string { return check + "-unhealthy" }

// NewHealthCheckAlarms makes an alarm for each health check. They belong to the global stack: Route 53 publishes the metric in
// us-east-1 alone, and they tell that Region's topic.
func NewHealthCheckAlarms(scope constructs.Construct, id string, s *settings.Settings, checks []HealthCheck) {
	scope = constructs.NewConstruct(scope, text(id))
	for _, check := range checks {
		newAlarm(scope, s, alarm{
			name: alarmUnhealthy(check.Name), section: "Health check unhealthy",
			says: check.Says + " is unhealthy in the eyes of Route 53, which answers clients with the other Region.",
			of:   healthCheckMetric(*check.ID, "HealthCheckStatus", minimum), is: below, threshold: 1, periods: 2, missing: missingIsBad,
		})
	}
}
