package constructs

import (
	"github.com/aws/constructs-go/constructs/v10"

	"payments-dr/internal/settings"
	"payments-dr/internal/telemetry"
)

// alarmReconciliationSilent is part of reconciliation-stopped and has no actions of its own.
const alarmReconciliationSilent = "reconciliation-silent"

// newReconciliationAlarms makes the alarms on what the reconciliation finds, and on its not running at all.
//
// It reports in the Region whose cluster is the writer, and finds a reader in the other and says nothing. So its silence counts
// where the database is not a reader.
func newReconciliationAlarms(scope constructs.Construct, s *settings.Settings, reader constructs.IDependable) {
	for _, found := range []struct{ name, section, metric, says string }{
		{"payments-missing", "Payments missing", telemetry.MetricReconcileMissing,
			"Accepted payments were not in the ledger when the reconciliation looked, and have been recorded by it."},
		{"payments-conflicting", "Payments conflicting", telemetry.MetricReconcileConflicting,
			"The ledger has another amount or currency for payments than the table that accepted them."},
		{"payments-unaccounted", "Payments unaccounted", telemetry.MetricReconcileUnaccounted,
			"The ledger has payments that the table never accepted."},
		{"payments-differing", "Payments differing", telemetry.MetricReconcileDiffering,
			"Ledger and table have the same money for payments, and another Region or time."},
	} {
		newAlarm(scope, s, alarm{
			name: found.name, section: found.section, says: found.says,
			of: ownMetric(s, "reconcile", found.metric, maximum).every(reconcileEvery), is: atLeast, threshold: 1, periods: 1, missing: missingIsGood,
		})
	}
	silent := newAlarm(scope, s, alarm{
		name: alarmReconciliationSilent, section: "Reconciliation stopped", silent: true,
		says: "Part of reconciliation-stopped, and normal in the standby: no reconciliation has come to its end.",
		of:   ownMetric(s, "reconcile", telemetry.MetricReconcileTablePayments, samples).every(reconcileEvery), is: below, threshold: 1, periods: 2, missing: missingIsBad,
	})
	newCompositeAlarm(scope, s, compositeAlarm{
		name: "reconciliation-stopped", section: "Reconciliation stopped",
		says:     "No reconciliation has come to its end for two hours, in the Region whose database takes writes.",
		rule:     alarmIs(s, alarmReconciliationSilent) + " AND NOT " + alarmIs(s, alarmDatabaseReader),
		operands: []constructs.IDependable{silent, reader},
	})
}
