package constructs_test

import (
	"testing"

	"payments-dr/constructs"
	"payments-dr/internal/operate"
	"payments-dr/internal/payment/ledger"
	"payments-dr/internal/settings"
)

// The operator's tool asks for what the constructs have made, and does not link them.
func TestOperatorsToolKnowsTheNames(t *testing.T) {
	t.Parallel()
	s := &settings.Settings{Environment: "dev"}
	region := settings.Region{Name: "us-west-2"}
	for _, name := range []struct{ tool, construct string }{
		{operate.PlanParameter(s), constructs.ParameterName(s, constructs.ParameterRecoveryPlan)},
		{operate.GlobalCluster(s), constructs.GlobalClusterIdentifier(s)},
		{operate.Cluster(s, region.Name), constructs.ClusterIdentifier(s, region)},
		{operate.LedgerQueue(s), constructs.QueueName(s, "ledger")},
		{operate.LedgerDeadLetters(s), constructs.QueueName(s, "ledger-dead-letters")},
		{operate.Namespace(s), constructs.MetricsNamespace(s)},
		{operate.AlarmPrefix(s), constructs.AlarmName(s, "")},
		{operate.OperatorRole(s.Environment, region.Name), constructs.OperatorRoleName(s, region)},
		{operate.ApproverRole(s), constructs.ApproverRoleName(s)},
		{operate.BackupVault(s), constructs.BackupVaultName(s)},
		{ledger.DatabaseName, constructs.DatabaseName},
		{operate.SessionTable(s), constructs.SessionTableName(s)},
		{operate.ReconcileFunction(s), constructs.FunctionName(s, "reconcile")},
		{operate.EndpointParameter(s, region.Name), constructs.ParameterName(s, constructs.ParameterSecondaryEndpoint)},
		{operate.EventBus(s), constructs.EventBusName(s)},
		{operate.LedgerRule(s), constructs.EventBusName(s) + "-ledger"},
		{operate.StepApprove, constructs.StepApprove},
		{operate.StepPromote, constructs.StepPromote},
		{operate.StepStartLedger, constructs.StepStartLedger},
		{operate.StepReconcile, constructs.StepReconcile},
		{operate.StepTraffic, constructs.StepTraffic},
		{operate.StepStopLedger, constructs.StepStopLedger},
	} {
		if name.tool != name.construct {
			t.Errorf("the tool says %q, the constructs say %q", name.tool, name.construct)
		}
	}
}
