package constructs_test

import (
	"strings"
	"testing"

	"payments-dr/stacks"
	"payments-dr/stacks/stackstest"
)

func TestLedgerMappingIsOnInTheActiveRegionAlone(t *testing.T) {
	for env, active := range map[string]string{stackstest.Dev: stacks.RolePrimary, stackstest.Prod: stacks.RolePrimary, stackstest.Europe: stacks.RoleSecondary} {
		for _, role := range stackstest.RegionalRoles {
			v := stackstest.ViewOf(t, env, role)
			p := v.MappingOf(t, "ledger").Properties
			stackstest.Same(t, env+" "+role+": enabled", p["Enabled"], role == active)
			for name, want := range map[string]any{
				"BatchSize": 500, "MaximumBatchingWindowInSeconds": 1, "FunctionResponseTypes": []string{"ReportBatchItemFailures"},
				"ScalingConfig": map[string]any{"MaximumConcurrency": 5},
			} {
				stackstest.Same(t, name, p[name], want)
			}
			if source := stackstest.Text(p["EventSourceArn"]); !strings.Contains(source, "LedgerQueue") {
				t.Errorf("the ledger reads %s", source)
			}
			if after := stackstest.Text(v.MappingOf(t, "ledger").DependsOn); !strings.Contains(after, "MigrationRun") {
				t.Errorf("the mapping comes after %s, want after the schema", after)
			}
		}
	}
}
