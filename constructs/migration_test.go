package constructs_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"payments-dr/internal/assembly"
	"payments-dr/internal/payment/ledger/schema"
	"payments-dr/internal/payment/variables"
	"payments-dr/stacks"
	"payments-dr/stacks/stackstest"
)

func TestTheMigrationAloneReadsTheMasterSecret(t *testing.T) {
	for env, a := range stackstest.Assemblies(t) {
		for _, stack := range a.Stacks {
			v := stackstest.View{Assembly: a, Stack: stack}
			var readers []string
			for role, statements := range v.Statements() {
				for _, statement := range statements {
					if strings.Contains(stackstest.Text(statement["Action"]), "secretsmanager:") {
						readers = append(readers, role)
						stackstest.Same(t, env+": action", statement["Action"], "secretsmanager:GetSecretValue")
						stackstest.Same(t, env+": secret", statement["Resource"], "arn:aws:secretsmanager:"+stack.Region+":"+stack.Account+":secret:payment/"+env+"/db/master-??????")
					}
				}
			}
			var want []string
			if stack.Name != a.Settings.StackName(stacks.RoleGlobal) {
				want = []string{roleOf(v.Function(t, "migrate"))}
			}
			if !slices.Equal(readers, want) {
				t.Errorf("%s: the master secret is read by %v, want %v", stack.Name, readers, want)
			}
		}
	}
}

// A function that starts before the migration runs new code on the old schema.
func TestEveryFunctionOfTheLedgerWaitsForItsSchema(t *testing.T) {
	stackstest.Each(t, func(t *testing.T, v stackstest.View) {
		migration, _ := v.One(t, "Custom::LedgerMigration")
		statements := v.Statements()
		var waiting []string
		for id, function := range v.Of("AWS::Lambda::Function") {
			uses := assembly.At(function.Properties["Environment"], "Variables", variables.DatabaseName) != nil
			for _, statement := range statements[roleOf(function)] {
				uses = uses || slices.Contains(stackstest.ActionsOf(statement), "rds-db:connect")
			}
			name := assembly.Text(function.Properties["FunctionName"])
			if !uses || name == "payment-"+v.Assembly.Settings.Environment+"-migrate" {
				continue
			}
			waiting = append(waiting, name)
			if !slices.Contains(assembly.List(function.DependsOn), any(migration)) {
				t.Errorf("%s uses the ledger and depends on %v, want also on %s: set Schema in its FunctionProps", id, function.DependsOn, migration)
			}
		}
		if len(waiting) < 3 {
			t.Errorf("only %v use the ledger", waiting)
		}
	})
}

func TestMigrationRunsWhenItsFilesChange(t *testing.T) {
	stackstest.Each(t, func(t *testing.T, v stackstest.View) {
		_, run := v.One(t, "Custom::LedgerMigration")
		stackstest.Same(t, "migrations", run.Properties["Migrations"], schema.Digest())
		for i := range v.Assembly.Settings.Database.InstancesPerRegion {
			if want := fmt.Sprintf("DatabaseInstance%d", i+1); !strings.Contains(stackstest.Text(run.DependsOn), want) {
				t.Errorf("the migration comes after %s, want after %s", stackstest.Text(run.DependsOn), want)
			}
		}
		variables := assembly.Object(assembly.At(v.Function(t, "migrate").Properties["Environment"], "Variables"))
		stackstest.Same(t, "secret", variables["SECRET_NAME"], "payment/"+v.Assembly.Settings.Environment+"/db/master")
		// It reads the secret from inside the network: through NAT, or through an endpoint of its own.
		endpoint := false
		for _, e := range v.Of("AWS::EC2::VPCEndpoint") {
			endpoint = endpoint || strings.Contains(stackstest.Text(e.Properties["ServiceName"]), "secretsmanager")
		}
		if hasNAT := v.Assembly.Settings.Network.NATGatewaysPerRegion > 0; hasNAT == endpoint {
			t.Errorf("NAT %v, endpoint %v; want one of them", hasNAT, endpoint)
		}
	})
}
