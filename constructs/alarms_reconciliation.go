package constructs

import (
	"github.com/aws/constructs-go/constructs/v10"

	"payments-dr/internal/payment/reconcile"
	"payments-dr/internal/payment/telemetry"
	"payments-dr/internal/settings"
)

// newReconciliationAlarms makes the alarms on what the reconciliation finds, and on its not running at all.
//
// It runs in both Regions, and in the standby it reports that it has run and nothing else. So its silence is a fault in either: one
// that is found only when the roles have swapped is found too late.
func newReconciliationAlarms(scope constructs.Construct, s *settings.Settings) {
	for _, found := range []struct{ name, section, metric, says string }{
		{"payments-missing", "Payments missing", telemetry.MetricReconcileMissing,
			"Accepted payments were not in the ledger when the reconciliation looked, and have been recorded by it."},
		{"payments-conflicting", "Payments conflicting", telemetry.MetricReconcileConflicting,
			"The ledger has another amount or currency for payments than the table that accepted them."},
		{"payments-unaccounted", "Payments unaccounted", telemetry.MetricReconcileUnaccounted,
			"The ledger has payments that the table never accepted."},
		{"payments-differing", "Payments differing", telemetry.MetricReconcileDiffering,
			"Ledger and table have the same money for payments, and another Region or time."},
		{"payments-unreadable", "Payments unreadable", telemetry.MetricReconcileUnreadable,
			"The table or the ledger has payments that cannot be read. They are not reconciled."},
	} {
		newAlarm(scope, s, alarm{
			name: found.name, section: found.section, says: found.says,
			of: ownMetric(s, "reconcile", found.metric, maximum).every(reconcileEvery), is: atLeast, threshold: 1, periods: 1, missing: missingIsGood,
		})
	}
	newAlarm(scope, s, alarm{
		name: "payments-unreconciled", section: "Payments unreconciled",
		says: "There are payments that were accepted more than two hours ago and that no reconciliation has compared with the ledger.",
		of:   ownMetric(s, "reconcile", telemetry.MetricUnreconciledSeconds, maximum), is: above, threshold: reconcile.LongestGap.Seconds(), periods: 3, missing: missingIsGood,
	})
	newAlarm(scope, s, alarm{
		name: "reconciliation-stopped", section: "Reconciliation stopped",
		says: "No reconciliation has come to its end for two hours.",
		of:   ownMetric(s, "reconcile", telemetry.MetricReconcileRuns, sum).every(reconcileEvery), is: below, threshold: 1, periods: 2, missing: missingIsBad,
	})
}
