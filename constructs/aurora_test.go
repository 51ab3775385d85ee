package constructs_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/aws/jsii-runtime-go"

	"payments-dr/internal/assembly"
	"payments-dr/stacks"
	"payments-dr/stacks/stackstest"
)

func TestDatabaseAdmitsTheFunctionsAlone(t *testing.T) {
	stackstest.Each(t, func(t *testing.T, v stackstest.View) {
		groups := map[string]string{}
		for id, group := range v.Of("AWS::EC2::SecurityGroup") {
			for _, name := range []string{"Functions", "Database"} {
				if strings.HasPrefix(group.Properties["GroupDescription"].(string), name) {
					groups[name] = id
				}
			}
			if inline, ok := group.Properties["SecurityGroupIngress"]; ok {
				t.Errorf("%s admits %s", id, stackstest.Text(inline))
			}
		}
		var admitted []assembly.Resource
		for _, ingress := range v.Of("AWS::EC2::SecurityGroupIngress") {
			if stackstest.Text(ingress.Properties["GroupId"]) == stackstest.Text(stackstest.GetAtt(groups["Database"], "GroupId")) {
				admitted = append(admitted, ingress)
			} else if stackstest.Text(ingress.Properties["GroupId"]) == stackstest.Text(stackstest.GetAtt(groups["Functions"], "GroupId")) {
				t.Errorf("the functions' group admits %s", stackstest.Text(ingress.Properties))
			}
		}
		if len(admitted) != 1 {
			t.Fatalf("%d rules let in to the database, want 1", len(admitted))
		}
		ingress := admitted[0]
		for name, want := range map[string]any{
			"GroupId": stackstest.GetAtt(groups["Database"], "GroupId"), "SourceSecurityGroupId": stackstest.GetAtt(groups["Functions"], "GroupId"),
			"FromPort": 3306, "ToPort": 3306, "IpProtocol": "tcp",
		} {
			stackstest.Same(t, name, ingress.Properties[name], want)
		}
		_, cluster := v.One(t, "AWS::RDS::DBCluster")
		stackstest.Same(t, "the cluster's groups", cluster.Properties["VpcSecurityGroupIds"], []any{stackstest.GetAtt(groups["Database"], "GroupId")})
		_, subnets := v.One(t, "AWS::RDS::DBSubnetGroup")
		if ids := stackstest.Text(subnets.Properties["SubnetIds"]); strings.Count(ids, "databaseSubnet") != 3 {
			t.Errorf("the cluster's subnets are %s", ids)
		}
		stackstest.Same(t, "the processor's groups", assembly.At(v.Function(t, "processor").Properties["VpcConfig"], "SecurityGroupIds"), []any{stackstest.GetAtt(groups["Functions"], "GroupId")})
	})
}

func TestGlobalDatabaseIsBuiltByEngine(t *testing.T) {
	for _, env := range stackstest.Environments {
		v := stackstest.ViewOf(t, env, stacks.RolePrimary)
		id, global := v.One(t, "AWS::RDS::GlobalCluster")
		// The one that is unlike the others was created with an older version than its members have now.
		created := map[bool]string{true: "8.0.mysql_aurora.3.10.1", false: "8.0.mysql_aurora.3.10.4"}[env == stackstest.Europe]
		want := map[string]any{
			"GlobalClusterIdentifier": "payment-" + env, "Engine": "aurora-mysql", "EngineVersion": created,
			"StorageEncrypted": true, "DeletionProtection": env == stackstest.Prod,
		}
		stackstest.Same(t, env+": global cluster", global.Properties, want)
		_, first := v.One(t, "AWS::RDS::DBCluster")
		stackstest.Same(t, env+": the writer joins", first.Properties["GlobalClusterIdentifier"], stackstest.Ref(id))
		_, second := stackstest.ViewOf(t, env, stacks.RoleSecondary).One(t, "AWS::RDS::DBCluster")
		stackstest.Same(t, env+": the reader joins by name", second.Properties["GlobalClusterIdentifier"], "payment-"+env)
		stackstest.Same(t, env+": the reader's source", second.Properties["SourceRegion"], v.Stack.Region)
		if n := len(stackstest.ViewOf(t, env, stacks.RoleSecondary).Of("AWS::RDS::GlobalCluster")); n != 0 {
			t.Errorf("%s: the secondary makes %d global clusters", env, n)
		}
		if first.Properties["DBClusterIdentifier"] == second.Properties["DBClusterIdentifier"] {
			t.Errorf("%s: both clusters are called %v", env, first.Properties["DBClusterIdentifier"])
		}
		for _, property := range []string{"MasterUsername", "MasterUserPassword", "DatabaseName"} {
			if _, ok := first.Properties[property]; !ok {
				t.Errorf("%s: the writer has no %s", env, property)
			}
			if _, ok := second.Properties[property]; ok {
				t.Errorf("%s: the reader has a %s, which RDS refuses", env, property)
			}
		}
	}
}

func TestDatabaseMembersDifferInTheirRoleAlone(t *testing.T) {
	stackstest.Each(t, func(t *testing.T, v stackstest.View) {
		s := v.Assembly.Settings
		keyID, _ := v.KeyOf(t, "")
		_, cluster := v.One(t, "AWS::RDS::DBCluster")
		for name, want := range map[string]any{
			"DBClusterIdentifier": "payment-" + s.Environment + "-" + v.Stack.Region, "Engine": "aurora-mysql", "Port": 3306,
			"StorageEncrypted": true, "KmsKeyId": stackstest.GetAtt(keyID, "Arn"), "EnableIAMDatabaseAuthentication": true,
			"EnableCloudwatchLogsExports": []string{"audit", "error", "slowquery"}, "BackupRetentionPeriod": 7, "CopyTagsToSnapshot": true,
			"DeletionProtection": s.Production, "EngineVersion": s.Database.EngineVersion,
		} {
			stackstest.Same(t, name, cluster.Properties[name], want)
		}
		// Backtrack does not exist in a global database; RDS cannot manage the password.
		for _, name := range []string{"BacktrackWindow", "ManageMasterUserPassword", "SnapshotIdentifier", "SourceDBClusterIdentifier"} {
			if value, ok := cluster.Properties[name]; ok {
				t.Errorf("the cluster has %s: %v", name, value)
			}
		}
		if cluster.DeletionPolicy != "Snapshot" || cluster.UpdateReplacePolicy != "Snapshot" {
			t.Errorf("policies %s and %s, want a final snapshot", cluster.DeletionPolicy, cluster.UpdateReplacePolicy)
		}
		clusterID, _ := v.One(t, "AWS::RDS::DBCluster")
		instances := v.Of("AWS::RDS::DBInstance")
		if len(instances) != s.Database.InstancesPerRegion {
			t.Errorf("%d instances, want %d", len(instances), s.Database.InstancesPerRegion)
		}
		for id, instance := range instances {
			for name, want := range map[string]any{
				"DBClusterIdentifier": stackstest.Ref(clusterID), "DBInstanceClass": "db.r5.large", "Engine": "aurora-mysql",
				"PubliclyAccessible": false, "AutoMinorVersionUpgrade": false, "EnablePerformanceInsights": true,
				"PerformanceInsightsKMSKeyId": stackstest.GetAtt(keyID, "Arn"),
			} {
				stackstest.Same(t, id+": "+name, instance.Properties[name], want)
			}
			if _, ok := instance.Properties["EngineVersion"]; ok {
				t.Errorf("%s has an engine version of its own", id)
			}
		}
		_, parameters := v.One(t, "AWS::RDS::DBClusterParameterGroup")
		values := assembly.Object(parameters.Properties["Parameters"])
		for name, want := range map[string]any{"require_secure_transport": "ON", "server_audit_logging": "1", "slow_query_log": "1"} {
			stackstest.Same(t, name, values[name], want)
		}
		if events := values["server_audit_events"].(string); strings.Contains(events, "DML") || strings.Contains(events, "QUERY,") || strings.HasSuffix(events, "QUERY") {
			t.Errorf("audited are %s: payments would be in the log", events)
		}
		for _, name := range []string{"audit", "error", "slowquery"} {
			template(t, v).HasResourceProperties(jsii.String("AWS::Logs::LogGroup"), map[string]any{
				"LogGroupName": "/aws/rds/cluster/payment-" + s.Environment + "-" + v.Stack.Region + "/" + name,
			})
		}
	})
}

func TestMasterPasswordIsGeneratedAndReplicated(t *testing.T) {
	for env, a := range stackstest.Assemblies(t) {
		v := stackstest.ViewOf(t, env, stacks.RolePrimary)
		_, secret := v.One(t, "AWS::SecretsManager::Secret")
		stackstest.Same(t, "replicas of the secret", secret.Properties["ReplicaRegions"], []any{map[string]any{"Region": a.Settings.Regions.Secondary.Name}})
		if generated := assembly.Object(secret.Properties["GenerateSecretString"]); generated["GenerateStringKey"] != "password" {
			t.Errorf("%s: the secret is generated as %v", env, generated)
		}
	}
}

// roleOf is the logical id of a function's role.
func roleOf(function assembly.Resource) string {
	arn := assembly.List(assembly.At(function.Properties["Role"], "Fn::GetAtt"))
	return arn[0].(string)
}

func TestDatabaseFunctionsConnectToTheirOwnRegionsCluster(t *testing.T) {
	stackstest.Each(t, func(t *testing.T, v stackstest.View) {
		clusterID, _ := v.One(t, "AWS::RDS::DBCluster")
		for _, name := range []string{"ledger", "reconcile", "migrate"} {
			function := v.Function(t, name)
			variables := assembly.Object(assembly.At(function.Properties["Environment"], "Variables"))
			stackstest.Same(t, name+": host", variables["DATABASE_HOST"], stackstest.GetAtt(clusterID, "Endpoint.Address"))
			stackstest.Same(t, name+": reader", variables["DATABASE_READER_HOST"], stackstest.GetAtt(clusterID, "ReadEndpoint.Address"))
			stackstest.Same(t, name+": database", variables["DATABASE_NAME"], "payments")
			for _, local := range []string{"DATABASE_PASSWORD", "DATABASE_TLS"} {
				if value, ok := variables[local]; ok {
					t.Errorf("%s has %s: %v", name, local, value)
				}
			}
			if _, ok := function.Properties["VpcConfig"]; !ok {
				t.Errorf("%s is outside the network", name)
			}
			var connect []any
			for _, statement := range v.Statements()[roleOf(function)] {
				if slices.Contains(stackstest.ActionsOf(statement), "rds-db:connect") {
					connect = append(connect, statement["Resource"])
				}
			}
			if name == "migrate" { // it signs in with the master's password
				if len(connect) != 0 || variables["DATABASE_USER"] != nil {
					t.Errorf("migrate may connect as %s", stackstest.Text(connect))
				}
				continue
			}
			stackstest.Same(t, name+": user", variables["DATABASE_USER"], "payments_ledger")
			stackstest.Same(t, name+": may connect as", connect, []any{map[string]any{"Fn::Join": []any{"", []any{
				"arn:aws:rds-db:" + v.Stack.Region + ":" + v.Stack.Account + ":dbuser:", stackstest.GetAtt(clusterID, "DBClusterResourceId"), "/payments_ledger",
			}}}})
		}
	})
}
