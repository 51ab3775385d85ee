package constructs

import (
	"time"

	"github.com/aws/constructs-go/constructs/v10"

	"payments-dr/internal/settings"
)

// tableSystemErrors a minute are more than the few that every service has at times and the client's retries hide.
const tableSystemErrors = 3

// newSessionTableAlarms makes the alarms on the session table as this Region uses it.
//
// DynamoDB keeps errors and throttles by table and operation, and nothing by table alone ("DynamoDB metrics and dimensions", Amazon
// DynamoDB Developer Guide): an alarm with the table as its only dimension never sees data. A query adds the operations up,
// those included that somebody adds to the code later. Alarms on DynamoDB's metrics ignore missing data unless told otherwise.
func newSessionTableAlarms(scope constructs.Construct, s *settings.Settings, other settings.Region) {
	newAlarm(scope, s, alarm{
		name: "table-errors", section: "Table errors",
		says:  "DynamoDB answers requests for the session table with errors of its own.",
		query: tableSumQuery(s, "SystemErrors"), is: above, threshold: tableSystemErrors, periods: 5, points: 2, missing: missingIsGood,
	})
	newAlarm(scope, s, alarm{
		name: "table-throttled", section: "Table throttled",
		says:  "DynamoDB throttles requests for the session table.",
		query: tableSumQuery(s, "ThrottledRequests"), is: atLeast, threshold: 1, periods: 5, points: 2, missing: missingIsGood,
	})
	if s.Session.Consistency != settings.ConsistencyEventual {
		return // a strongly consistent table acknowledges what is in both Regions, and has no such metric
	}
	newAlarm(scope, s, alarm{
		name: "table-replication-behind", section: "Table replication behind",
		says: "Payments accepted in this Region take long to reach the table in " + other.Name + ".",
		of:   tableMetric(s, "ReplicationLatency", average, dimension{"ReceivingRegion", other.Name}), is: above,
		threshold: float64((time.Duration(s.Alarms.ReplicationLagSeconds) * time.Second).Milliseconds()), periods: 5, missing: missingIsGood,
	})
}
