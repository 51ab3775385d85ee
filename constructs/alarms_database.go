package constructs

import (
	"math"
	"strconv"
	"time"

	"github.com/aws/constructs-go/constructs/v10"

	"payments-dr/internal/payment/telemetry"
	"payments-dr/internal/settings"
)

// The alarms that others refer to.
const (
	// alarmDatabaseReader is in the state of alarm while this Region's cluster takes no writes. It is a state and no fault.
	alarmDatabaseReader = "database-reader"
	// alarmReplicationLag is part of AlarmReplicationBehind and has no actions of its own.
	alarmReplicationLag = "replication-lag"
	// AlarmReplicationBehind is the alarm that this Region's cluster, a reader, falls behind the writer.
	AlarmReplicationBehind = "replication-behind"
)

// newDatabaseAlarms makes the alarms on a Region's member of the global database, and returns what others depend on: the alarm that
// tells the reader, and the one on the replication.
//
// The lag between the Regions is measured in the Region that is the secondary at the moment, and there alone; in the writer's the
// metric does not exist ("Amazon CloudWatch metrics for Amazon Aurora", Amazon Aurora User Guide). So its silence means two things:
// nothing, in the writer's Region; and in the other that nobody knows how far behind it is, which is as bad as being behind. No
// treatment of missing data is right for both, and roles swap. So three alarms say it together:
//
//   - replication-lag is in alarm when the lag is long or there is no data; it has no actions;
//   - database-reader is in alarm while the Region's cluster is found to be a reader; it has no actions;
//   - replication-behind pages when both are.
//
// Who is the reader comes from a question that the function reconcile puts to the database itself each minute, and not from a
// metric of RDS that might go silent together with the one in doubt. While the question has no answer, the last one stands, and
// database-unreachable pages.
func newDatabaseAlarms(scope constructs.Construct, s *settings.Settings, region settings.Region) (reader, replication constructs.IDependable) {
	for i := range s.Database.InstancesPerRegion {
		newInstanceAlarms(scope, s, InstanceIdentifier(s, region, i+1), strconv.Itoa(i+1))
	}
	newAlarm(scope, s, alarm{
		name: "database-unreachable", section: "Database unreachable",
		says: "The database of this Region does not answer the question whether it takes writes.",
		of:   ownMetric(s, "reconcile", telemetry.MetricDatabaseUnreachable, maximum), is: atLeast, threshold: 1, periods: 3, missing: missingIsBad,
	})
	isReader := newAlarm(scope, s, alarm{
		name: alarmDatabaseReader, section: "Database reader", silent: true,
		says: "No fault but a state: the database of this Region takes no writes, because the other Region's does.",
		of:   ownMetric(s, "reconcile", telemetry.MetricDatabaseReader, minimum), is: atLeast, threshold: 1, periods: 3, missing: missingKeepsState,
	})
	lag := newAlarm(scope, s, alarm{
		name: alarmReplicationLag, section: "Replication behind", silent: true,
		says:  "Part of replication-behind, and normal in the writer's Region: the lag behind the other Region is long, or not known.",
		query: replicationLagQuery(s, region), is: above,
		threshold: float64((time.Duration(s.Alarms.ReplicationLagSeconds) * time.Second).Milliseconds()), periods: 3, missing: missingIsBad,
	})
	behind := newCompositeAlarm(scope, s, compositeAlarm{
		name: AlarmReplicationBehind, section: "Replication behind",
		says:     "The database of this Region, a reader, is behind the other Region's, or nobody knows how far: its loss now would lose what the ledger has.",
		rule:     alarmIs(s, alarmReplicationLag) + " AND " + alarmIs(s, alarmDatabaseReader),
		operands: []constructs.IDependable{lag, isReader},
	})
	return isReader, behind
}

func newInstanceAlarms(scope constructs.Construct, s *settings.Settings, instance, number string) {
	newAlarm(scope, s, alarm{
		name: "database-" + number + "-busy", section: "Database busy",
		says: "The processors of " + instance + " are busy, or the instance reports nothing.",
		of:   instanceMetric(instance, "CPUUtilization", average), is: above, threshold: float64(s.Alarms.DatabaseCPUPercent), periods: 10, missing: missingIsBad,
	})
	newAlarm(scope, s, alarm{
		name: "database-" + number + "-connections", section: "Database connections",
		says: "Most of the connections that " + instance + " takes are in use.",
		of:   instanceMetric(instance, "DatabaseConnections", maximum), is: above,
		threshold: connectionThreshold(s), periods: 3, missing: missingIsGood,
	})
	newAlarm(scope, s, alarm{
		name: "database-" + number + "-memory", section: "Database memory",
		says: "The memory of " + instance + " is nearly used up.",
		of:   instanceMetric(instance, "FreeableMemory", average), is: below,
		threshold: freeMemoryThreshold(s), periods: 10, missing: missingIsGood,
	})
}

// connectionThreshold is how many connections of an instance are too many.
func connectionThreshold(s *settings.Settings) float64 {
	return math.Floor(float64(s.Alarms.DatabaseConnectionPercent) / 100 * float64(s.Database.MaxConnections()))
}

// freeMemoryThreshold is how many bytes of an instance's memory have to be free.
func freeMemoryThreshold(s *settings.Settings) float64 {
	return math.Floor(float64(s.Alarms.DatabaseFreeMemoryPercent) / 100 * float64(s.Database.InstanceMemoryBytes()))
}
