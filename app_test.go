package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/assertions"
	"github.com/aws/jsii-runtime-go"

	"payments-dr/internal/assembly"
	"payments-dr/internal/assembly/policy/packs"
	"payments-dr/internal/settings"
	"payments-dr/stacks"
)

// Environments that tests name: two of cdk.json, and one that differs from them in every choice that changes the shape of a template.
const (
	envDev  = "dev"
	envProd = "prod"
	// envEurope has its primary Region away from the global stack's, an eventually consistent table, no NAT gateways, an
	// existing hosted zone, three instances, a budget, the secondary as the ledger's active Region, a recovery that an alarm
	// starts, and backups that nobody can delete.
	envEurope = "europe"
)

// shippedEnvironments are those of cdk.json, and environments are all that are synthesized here.
var (
	shippedEnvironments = mustListEnvironments()
	environments        = append(slices.Clone(shippedEnvironments), envEurope)
)

func mustListEnvironments() []string {
	context, err := shippedContext()
	if err != nil {
		panic(err)
	}
	return settings.Environments(context)
}

var regionalRoles = []string{stacks.RolePrimary, stacks.RoleSecondary}

// synthesized are the environments' assemblies, and folders where they are. All tests share them: synthesis is what costs.
var (
	synthesized = map[string]*assembly.Assembly{}
	folders     = map[string]string{}
)

// synthesizedIn is the folder that they are in, each under its name.
var synthesizedIn string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		defer jsii.Close()
		dir, err := os.MkdirTemp("", "app-test-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		synthesizedIn = dir
		for _, env := range environments {
			folders[env] = filepath.Join(dir, env)
			if synthesized[env], err = synthesizeEnvironment(env, folders[env]); err != nil {
				fmt.Fprintf(os.Stderr, "synthesize %s: %v\n", env, err)
				return 1
			}
		}
		return m.Run()
	}())
}

func synthesizeEnvironment(env, dir string) (*assembly.Assembly, error) {
	context, err := shippedContext()
	if err != nil {
		return nil, err
	}
	context["environments"].(map[string]any)[envEurope] = european()
	context["env"] = env
	packs.Tell(context) // what the library, the rules or the packs find is a test's to say: see TestNothingIsFoundInvalid
	app, err := newApp(context, dir)
	if err != nil {
		return nil, err
	}
	packs.Add(app)
	app.Synth(nil)
	return assembly.Load(dir)
}

// newApp builds the stacks of the environment that the context names. The templates go to dir.
func newApp(context map[string]any, dir string) (awscdk.App, error) {
	s, err := settings.Load(context, "")
	if err != nil {
		return nil, err
	}
	context = maps.Clone(context)
	delete(context, "environments")                 // the library would take it for objects of its own
	context["aws:cdk:bundling-stacks"] = []string{} // no test here looks into the functions' code
	context["aws:cdk:enable-path-metadata"] = true  // as the CLI has it: golden templates name the constructs
	app := awscdk.NewApp(&awscdk.AppProps{Context: &context, Outdir: &dir})
	stacks.Build(app, s)
	return app, nil
}

// shippedContext is the context of cdk.json, as the CDK CLI hands it to the app.
func shippedContext() (map[string]any, error) {
	return settings.ReadContext("cdk.json")
}

func european() map[string]any {
	region := func(name, cidr string) map[string]any {
		return map[string]any{"name": name, "cidr": cidr, "availabilityZones": []any{name + "a", name + "b", name + "c"}}
	}
	return map[string]any{
		"production": false,
		"account":    "111122223333",
		"regions":    map[string]any{"primary": region("eu-west-1", "10.30.0.0/16"), "secondary": region("eu-central-1", "10.31.0.0/16")},
		"session":    map[string]any{"consistency": "eventual"},
		"network":    map[string]any{"natGatewaysPerRegion": 0.0},
		"dns":        map[string]any{"zoneName": "payments.acme-bank.eu", "hostedZoneId": "Z0123456789ABCDEFGHIJ"},
		"alerts": map[string]any{
			"emailAddresses": []any{"oncall@acme-bank.eu", "payments@acme-bank.eu"}, "runbookURL": "https://runbooks.acme-bank.eu/alarms", "monthlyBudgetUSD": 4000.0,
		},
		"recovery":  map[string]any{"automatic": true, "reconcileMinutes": 180.0},
		"operators": map[string]any{"principals": []any{"arn:aws:iam::111122223333:role/on-call", "444455556666"}},
		"ledger":    map[string]any{"activeRegion": "secondary", "queueRetentionHours": 300.0},
		"backup":    map[string]any{"retentionDays": 35.0, "lock": "compliance", "lockGraceDays": 14.0},
		// The members have been upgraded since the global cluster was created.
		"database": map[string]any{"instancesPerRegion": 3.0, "globalClusterEngineVersion": "8.0.mysql_aurora.3.10.1"},
	}
}

// each runs a test on the template of every regional stack of every environment.
func each(t *testing.T, test func(t *testing.T, view view)) {
	t.Helper()
	for _, env := range environments {
		for _, role := range regionalRoles {
			t.Run(env+"/"+role, func(t *testing.T) { test(t, viewOf(t, env, role)) })
		}
	}
}

// view is one stack, with what tests ask of it.
type view struct {
	assembly *assembly.Assembly
	stack    assembly.Stack
	role     string
}

func viewOf(t *testing.T, env, role string) view {
	t.Helper()
	stack, err := synthesized[env].Stack(role)
	if err != nil {
		t.Fatal(err)
	}
	return view{assembly: synthesized[env], stack: stack, role: role}
}

// template is the stack's template for the library's own assertions.
func (v view) template(t *testing.T) assertions.Template {
	t.Helper()
	data, err := json.Marshal(v.stack.Template)
	if err != nil {
		t.Fatal(err)
	}
	var object map[string]any
	if err := json.Unmarshal(data, &object); err != nil {
		t.Fatal(err)
	}
	return assertions.Template_FromJSON(&object, nil)
}

// of are the resources of a type, by logical id.
func (v view) of(kind string) map[string]assembly.Resource {
	found := map[string]assembly.Resource{}
	for id, resource := range v.stack.Template.Resources {
		if resource.Type == kind {
			found[id] = resource
		}
	}
	return found
}

// one is the only resource of a type.
func (v view) one(t *testing.T, kind string) (string, assembly.Resource) {
	t.Helper()
	found := v.of(kind)
	if len(found) != 1 {
		t.Fatalf("%d resources of type %s, want 1", len(found), kind)
	}
	for id, resource := range found {
		return id, resource
	}
	panic("unreachable")
}

// keyOf is the platform's own key, or with "-backup" the one of the backup vault, by its alias.
func (v view) keyOf(t *testing.T, suffix string) (string, assembly.Resource) {
	t.Helper()
	alias := v.named(t, "AWS::KMS::Alias", "AliasName", "alias/payment-"+v.assembly.Settings.Environment+suffix)
	target := assembly.List(assembly.At(alias.Properties["TargetKeyId"], "Fn::GetAtt"))
	if len(target) != 2 {
		t.Fatalf("the alias is of %s", text(alias.Properties["TargetKeyId"]))
	}
	id := target[0].(string)
	return id, v.stack.Template.Resources[id]
}

// function is the platform's function of a name.
func (v view) function(t *testing.T, name string) assembly.Resource {
	t.Helper()
	for _, function := range v.of("AWS::Lambda::Function") {
		if function.Properties["FunctionName"] == "payment-"+v.assembly.Settings.Environment+"-"+name {
			return function
		}
	}
	t.Fatalf("there is no function %s", name)
	return assembly.Resource{}
}

// text is any part of a template as JSON, to be searched and compared.
func text(part any) string {
	data, err := json.Marshal(part)
	if err != nil {
		return err.Error()
	}
	return string(data)
}

// same fails the test unless a part of a template is exactly what is wanted.
func same(t *testing.T, what string, got, want any) {
	t.Helper()
	if g, w := text(got), text(want); g != w {
		t.Errorf("%s is %s, want %s", what, g, w)
	}
}

// ref and getAtt are the intrinsic functions.
func ref(id string) any          { return map[string]any{"Ref": id} }
func getAtt(id, name string) any { return map[string]any{"Fn::GetAtt": []any{id, name}} }

func TestThreeStacksInTheirRegionsAndOrder(t *testing.T) {
	for env, regions := range map[string][3]string{
		envDev:    {"us-east-1", "us-west-2", "us-east-1"},
		envProd:   {"us-east-1", "us-west-2", "us-east-1"},
		envEurope: {"eu-west-1", "eu-central-1", "us-east-1"},
	} {
		if n := len(synthesized[env].Stacks); n != 3 {
			t.Errorf("%s has %d stacks", env, n)
		}
		for i, role := range []string{stacks.RolePrimary, stacks.RoleSecondary, stacks.RoleGlobal} {
			v := viewOf(t, env, role)
			if v.stack.Name != "payment-"+env+"-"+role || v.stack.Region != regions[i] {
				t.Errorf("%s in %s, want payment-%s-%s in %s", v.stack.Name, v.stack.Region, env, role, regions[i])
			}
			want := [][]string{nil, {"payment-" + env + "-primary"}, {"payment-" + env + "-primary", "payment-" + env + "-secondary"}}[i]
			if !slices.Equal(v.stack.Dependencies, want) {
				t.Errorf("%s is deployed after %v, want %v", v.stack.Name, v.stack.Dependencies, want)
			}
			if v.stack.TerminationProtection != (env == envProd) {
				t.Errorf("%s: termination protection %v", v.stack.Name, v.stack.TerminationProtection)
			}
		}
	}
	if account := viewOf(t, envDev, stacks.RolePrimary).stack.Account; account != "000000000000" {
		t.Errorf("account %s without credentials, want the placeholder", account)
	}
	if account := viewOf(t, envEurope, stacks.RolePrimary).stack.Account; account != "111122223333" {
		t.Errorf("account %s, want that of the settings", account)
	}
}

func TestGlobalTemplateHoldsTheSettings(t *testing.T) {
	s := synthesized[envProd].Settings
	if s.Environment != envProd || s.Objectives.RTOMinutes != 15 || s.Database.InstanceClass != "db.r5.large" || s.Regions.Secondary.Name != "us-west-2" {
		t.Errorf("settings in the template: %+v", s)
	}
}

func TestNetworkInThreeNamedZones(t *testing.T) {
	each(t, func(t *testing.T, v view) {
		region := v.assembly.Settings.Both()[slices.Index(regionalRoles, v.role)]
		_, vpc := v.one(t, "AWS::EC2::VPC")
		same(t, "range", vpc.Properties["CidrBlock"], region.CIDR)
		zones, tiers := map[string]int{}, map[string]int{}
		for id, subnet := range v.of("AWS::EC2::Subnet") {
			zones[subnet.Properties["AvailabilityZone"].(string)]++
			for _, tier := range []string{"public", "private", "database"} {
				if strings.Contains(id, "Vpc"+tier+"Subnet") {
					tiers[tier]++
				}
			}
			same(t, id+": public addresses at launch", subnet.Properties["MapPublicIpOnLaunch"], false)
		}
		for _, zone := range region.AvailabilityZones {
			if zones[zone] != 3 {
				t.Errorf("%d subnets in %s, want 3", zones[zone], zone)
			}
		}
		if len(zones) != 3 || tiers["public"] != 3 || tiers["private"] != 3 || tiers["database"] != 3 {
			t.Errorf("zones %v, tiers %v", zones, tiers)
		}
		template := v.template(t)
		template.ResourceCountIs(jsii.String("AWS::EC2::NatGateway"), jsii.Number(v.assembly.Settings.Network.NATGatewaysPerRegion))
		template.ResourceCountIs(jsii.String("AWS::EC2::InternetGateway"), jsii.Number(1))
		template.HasResourceProperties(jsii.String("AWS::EC2::FlowLog"), map[string]any{"TrafficType": "ALL", "LogDestinationType": "cloud-watch-logs"})

		// A default route leads from the private subnets to NAT, and from the database's nowhere.
		for id, route := range v.of("AWS::EC2::Route") {
			_, viaNAT := route.Properties["NatGatewayId"]
			_, viaInternet := route.Properties["GatewayId"]
			if strings.Contains(id, "database") || (strings.Contains(id, "private") && !viaNAT) || (strings.Contains(id, "public") && !viaInternet) {
				t.Errorf("route %s: %s", id, text(route.Properties))
			}
		}
		services := map[string]int{}
		for _, endpoint := range v.of("AWS::EC2::VPCEndpoint") {
			name := text(endpoint.Properties["ServiceName"])
			for _, service := range []string{".s3", ".dynamodb"} {
				if strings.Contains(name, service) && endpoint.Properties["VpcEndpointType"] == "Gateway" {
					services[service] = len(assembly.List(endpoint.Properties["RouteTableIds"]))
				}
			}
		}
		if services[".s3"] != 9 || services[".dynamodb"] != 9 {
			t.Errorf("gateway endpoints with route tables: %v, want both with 9", services)
		}
	})
}

func TestDatabaseAdmitsTheFunctionsAlone(t *testing.T) {
	each(t, func(t *testing.T, v view) {
		groups := map[string]string{}
		for id, group := range v.of("AWS::EC2::SecurityGroup") {
			for _, name := range []string{"Functions", "Database"} {
				if strings.HasPrefix(group.Properties["GroupDescription"].(string), name) {
					groups[name] = id
				}
			}
			if inline, ok := group.Properties["SecurityGroupIngress"]; ok {
				t.Errorf("%s admits %s", id, text(inline))
			}
		}
		var admitted []assembly.Resource
		for _, ingress := range v.of("AWS::EC2::SecurityGroupIngress") {
			if text(ingress.Properties["GroupId"]) == text(getAtt(groups["Database"], "GroupId")) {
				admitted = append(admitted, ingress)
			} else if text(ingress.Properties["GroupId"]) == text(getAtt(groups["Functions"], "GroupId")) {
				t.Errorf("the functions' group admits %s", text(ingress.Properties))
			}
		}
		if len(admitted) != 1 {
			t.Fatalf("%d rules let in to the database, want 1", len(admitted))
		}
		ingress := admitted[0]
		for name, want := range map[string]any{
			"GroupId": getAtt(groups["Database"], "GroupId"), "SourceSecurityGroupId": getAtt(groups["Functions"], "GroupId"),
			"FromPort": 3306, "ToPort": 3306, "IpProtocol": "tcp",
		} {
			same(t, name, ingress.Properties[name], want)
		}
		_, cluster := v.one(t, "AWS::RDS::DBCluster")
		same(t, "the cluster's groups", cluster.Properties["VpcSecurityGroupIds"], []any{getAtt(groups["Database"], "GroupId")})
		_, subnets := v.one(t, "AWS::RDS::DBSubnetGroup")
		if ids := text(subnets.Properties["SubnetIds"]); strings.Count(ids, "databaseSubnet") != 3 {
			t.Errorf("the cluster's subnets are %s", ids)
		}
		same(t, "the processor's groups", assembly.At(v.function(t, "processor").Properties["VpcConfig"], "SecurityGroupIds"), []any{getAtt(groups["Functions"], "GroupId")})
	})
}

func TestGlobalDatabaseIsBuiltByEngine(t *testing.T) {
	for _, env := range environments {
		v := viewOf(t, env, stacks.RolePrimary)
		id, global := v.one(t, "AWS::RDS::GlobalCluster")
		// The one that is unlike the others was created with an older version than its members have now.
		created := map[bool]string{true: "8.0.mysql_aurora.3.10.1", false: "8.0.mysql_aurora.3.10.4"}[env == envEurope]
		want := map[string]any{
			"GlobalClusterIdentifier": "payment-" + env, "Engine": "aurora-mysql", "EngineVersion": created,
			"StorageEncrypted": true, "DeletionProtection": env == envProd,
		}
		same(t, env+": global cluster", global.Properties, want)
		_, first := v.one(t, "AWS::RDS::DBCluster")
		same(t, env+": the writer joins", first.Properties["GlobalClusterIdentifier"], ref(id))
		_, second := viewOf(t, env, stacks.RoleSecondary).one(t, "AWS::RDS::DBCluster")
		same(t, env+": the reader joins by name", second.Properties["GlobalClusterIdentifier"], "payment-"+env)
		same(t, env+": the reader's source", second.Properties["SourceRegion"], v.stack.Region)
		if n := len(viewOf(t, env, stacks.RoleSecondary).of("AWS::RDS::GlobalCluster")); n != 0 {
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
	each(t, func(t *testing.T, v view) {
		s := v.assembly.Settings
		keyID, _ := v.keyOf(t, "")
		_, cluster := v.one(t, "AWS::RDS::DBCluster")
		for name, want := range map[string]any{
			"DBClusterIdentifier": "payment-" + s.Environment + "-" + v.stack.Region, "Engine": "aurora-mysql", "Port": 3306,
			"StorageEncrypted": true, "KmsKeyId": getAtt(keyID, "Arn"), "EnableIAMDatabaseAuthentication": true,
			"EnableCloudwatchLogsExports": []string{"audit", "error", "slowquery"}, "BackupRetentionPeriod": 7, "CopyTagsToSnapshot": true,
			"DeletionProtection": s.Production, "EngineVersion": s.Database.EngineVersion,
		} {
			same(t, name, cluster.Properties[name], want)
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
		clusterID, _ := v.one(t, "AWS::RDS::DBCluster")
		instances := v.of("AWS::RDS::DBInstance")
		if len(instances) != s.Database.InstancesPerRegion {
			t.Errorf("%d instances, want %d", len(instances), s.Database.InstancesPerRegion)
		}
		for id, instance := range instances {
			for name, want := range map[string]any{
				"DBClusterIdentifier": ref(clusterID), "DBInstanceClass": "db.r5.large", "Engine": "aurora-mysql",
				"PubliclyAccessible": false, "AutoMinorVersionUpgrade": false, "EnablePerformanceInsights": true,
				"PerformanceInsightsKMSKeyId": getAtt(keyID, "Arn"),
			} {
				same(t, id+": "+name, instance.Properties[name], want)
			}
			if _, ok := instance.Properties["EngineVersion"]; ok {
				t.Errorf("%s has an engine version of its own", id)
			}
		}
		_, parameters := v.one(t, "AWS::RDS::DBClusterParameterGroup")
		values := assembly.Object(parameters.Properties["Parameters"])
		for name, want := range map[string]any{"require_secure_transport": "ON", "server_audit_logging": "1", "slow_query_log": "1"} {
			same(t, name, values[name], want)
		}
		if events := values["server_audit_events"].(string); strings.Contains(events, "DML") || strings.Contains(events, "QUERY,") || strings.HasSuffix(events, "QUERY") {
			t.Errorf("audited are %s: payments would be in the log", events)
		}
		for _, name := range []string{"audit", "error", "slowquery"} {
			v.template(t).HasResourceProperties(jsii.String("AWS::Logs::LogGroup"), map[string]any{
				"LogGroupName": "/aws/rds/cluster/payment-" + s.Environment + "-" + v.stack.Region + "/" + name,
			})
		}
	})
}

func TestMasterPasswordIsGeneratedAndReplicated(t *testing.T) {
	for env, a := range synthesized {
		v := viewOf(t, env, stacks.RolePrimary)
		_, secret := v.one(t, "AWS::SecretsManager::Secret")
		same(t, "replicas of the secret", secret.Properties["ReplicaRegions"], []any{map[string]any{"Region": a.Settings.Regions.Secondary.Name}})
		if generated := assembly.Object(secret.Properties["GenerateSecretString"]); generated["GenerateStringKey"] != "password" {
			t.Errorf("%s: the secret is generated as %v", env, generated)
		}
	}
}

func TestSessionTable(t *testing.T) {
	for _, env := range environments {
		v := viewOf(t, env, stacks.RolePrimary)
		s := v.assembly.Settings
		_, table := v.one(t, "AWS::DynamoDB::GlobalTable")
		p := table.Properties
		same(t, "name", p["TableName"], "payment-"+env+"-sessions")
		same(t, "keys", p["KeySchema"], []any{
			map[string]any{"AttributeName": "session_id", "KeyType": "HASH"}, map[string]any{"AttributeName": "transaction_id", "KeyType": "RANGE"},
		})
		same(t, "stream", p["StreamSpecification"], map[string]any{"StreamViewType": "NEW_AND_OLD_IMAGES"})
		same(t, "encryption", p["SSESpecification"], map[string]any{"SSEEnabled": true, "SSEType": "KMS"})
		if env == envEurope {
			for _, name := range []string{"MultiRegionConsistency", "GlobalTableWitnesses"} {
				if value, ok := p[name]; ok && value != "EVENTUAL" {
					t.Errorf("an eventually consistent table has %s: %v", name, value)
				}
			}
		} else {
			same(t, "consistency", p["MultiRegionConsistency"], "STRONG")
			same(t, "witness", p["GlobalTableWitnesses"], []any{map[string]any{"Region": s.Session.WitnessRegion}})
			// A strongly consistent table has neither.
			for _, name := range []string{"TimeToLiveSpecification", "LocalSecondaryIndexes"} {
				if value, ok := p[name]; ok {
					t.Errorf("the table has %s: %v", name, value)
				}
			}
		}
		var regions []string
		for _, replica := range assembly.List(p["Replicas"]) {
			r := assembly.Object(replica)
			regions = append(regions, r["Region"].(string))
			same(t, "point-in-time recovery", r["PointInTimeRecoverySpecification"], map[string]any{"PointInTimeRecoveryEnabled": true, "RecoveryPeriodInDays": 7})
			same(t, "deletion protection", r["DeletionProtectionEnabled"], s.Production)
		}
		slices.Sort(regions)
		if want := []string{s.Regions.Primary.Name, s.Regions.Secondary.Name}; !slices.Equal(regions, slices.Sorted(slices.Values(want))) {
			t.Errorf("%s: replicas in %v, want %v", env, regions, want)
		}
		if want := map[bool]string{true: "RetainExceptOnCreate", false: "Delete"}[s.Production]; table.DeletionPolicy != want {
			t.Errorf("%s: deletion policy %s, want %s", env, table.DeletionPolicy, want)
		}
	}
}

// statements are all statements of all policies that a role has, with the role's logical id.
func (v view) statements() map[string][]map[string]any {
	all := map[string][]map[string]any{}
	add := func(role string, document any) {
		for _, statement := range assembly.List(assembly.At(document, "Statement")) {
			all[role] = append(all[role], assembly.Object(statement))
		}
	}
	for id, role := range v.of("AWS::IAM::Role") {
		for _, policy := range assembly.List(role.Properties["Policies"]) {
			add(id, assembly.At(policy, "PolicyDocument"))
		}
	}
	for _, policy := range v.of("AWS::IAM::Policy") {
		for _, role := range assembly.List(policy.Properties["Roles"]) {
			add(assembly.At(role, "Ref").(string), policy.Properties["PolicyDocument"])
		}
	}
	return all
}

// roleOf is the logical id of a function's role.
func roleOf(function assembly.Resource) string {
	arn := assembly.List(assembly.At(function.Properties["Role"], "Fn::GetAtt"))
	return arn[0].(string)
}

func actionsOf(statement map[string]any) []string {
	var actions []string
	switch a := statement["Action"].(type) {
	case string:
		actions = []string{a}
	case []any:
		for _, action := range a {
			actions = append(actions, action.(string))
		}
	}
	return actions
}

func TestProcessorTouchesItsOwnRegionsReplicaAlone(t *testing.T) {
	each(t, func(t *testing.T, v view) {
		var granted []string
		for _, statement := range v.statements()[roleOf(v.function(t, "processor"))] {
			for _, action := range actionsOf(statement) {
				if !strings.HasPrefix(action, "dynamodb:") {
					continue
				}
				granted = append(granted, action)
				// In the stack that makes the table by reference, in the other by name and Region.
				resource := text(statement["Resource"])
				if strings.Contains(resource, "GetAtt") {
					id, _ := v.one(t, "AWS::DynamoDB::GlobalTable")
					same(t, "resource", statement["Resource"], getAtt(id, "Arn"))
				} else {
					same(t, "resource", statement["Resource"], "arn:aws:dynamodb:"+v.stack.Region+":"+v.stack.Account+":table/payment-"+v.assembly.Settings.Environment+"-sessions")
				}
			}
		}
		slices.Sort(granted)
		if want := []string{"dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:Query"}; !slices.Equal(granted, want) {
			t.Errorf("granted %v, want %v", granted, want)
		}
	})
}

func TestProcessor(t *testing.T) {
	each(t, func(t *testing.T, v view) {
		function := v.function(t, "processor")
		for name, want := range map[string]any{
			"Architectures": []string{"arm64"}, "Runtime": "provided.al2023", "Handler": "bootstrap", "MemorySize": 1024, "Timeout": 30,
			"TracingConfig": map[string]any{"Mode": "Active"},
			"Environment": map[string]any{"Variables": map[string]any{
				"METRICS_NAMESPACE": "Payment/" + v.assembly.Settings.Environment, "TABLE_NAME": "payment-" + v.assembly.Settings.Environment + "-sessions",
			}},
		} {
			same(t, name, function.Properties[name], want)
		}
		if subnets := text(assembly.At(function.Properties["VpcConfig"], "SubnetIds")); strings.Count(subnets, "privateSubnet") != 3 {
			t.Errorf("the processor's subnets are %s", subnets)
		}
		// The interfaces are for Lambda to make, not for the function's own code.
		denied := 0
		for _, statement := range v.statements()[roleOf(function)] {
			if statement["Effect"] == "Deny" {
				denied++
				same(t, "condition", statement["Condition"], map[string]any{"ArnEquals": map[string]any{
					"lambda:SourceFunctionArn": "arn:aws:lambda:" + v.stack.Region + ":" + v.stack.Account + ":function:payment-" + v.assembly.Settings.Environment + "-processor",
				}})
			}
		}
		if denied != 1 {
			t.Errorf("%d statements deny, want 1", denied)
		}
	})
}

func TestEveryLogGroupIsEncryptedAndEnds(t *testing.T) {
	each(t, func(t *testing.T, v view) {
		keyID, key := v.keyOf(t, "")
		for id, key := range v.of("AWS::KMS::Key") {
			same(t, id+": rotation", key.Properties["EnableKeyRotation"], true)
		}
		groups := v.of("AWS::Logs::LogGroup")
		if len(groups) < 8 {
			t.Errorf("%d log groups", len(groups))
		}
		for id, group := range groups {
			same(t, id+": retention", group.Properties["RetentionInDays"], v.assembly.Settings.Logs.RetentionDays)
			same(t, id+": key", group.Properties["KmsKeyId"], getAtt(keyID, "Arn"))
		}
		policy := text(key.Properties["KeyPolicy"])
		if !strings.Contains(policy, "logs."+v.stack.Region+".amazonaws.com") || !strings.Contains(policy, "arn:aws:logs:"+v.stack.Region+":"+v.stack.Account+":log-group:*") {
			t.Errorf("the key's policy does not let this Region's log groups use it: %s", policy)
		}
	})
}

// routes are the API's methods as "METHOD /path", with their authorization.
func (v view) routes(t *testing.T) map[string]string {
	t.Helper()
	resources := v.of("AWS::ApiGateway::Resource")
	var path func(part any) string
	path = func(part any) string {
		id, ok := assembly.At(part, "Ref").(string)
		if !ok {
			return "" // the root: an attribute of the API
		}
		return path(resources[id].Properties["ParentId"]) + "/" + resources[id].Properties["PathPart"].(string)
	}
	routes := map[string]string{}
	for _, method := range v.of("AWS::ApiGateway::Method") {
		at := path(method.Properties["ResourceId"])
		if at == "" {
			at = "/"
		}
		routes[method.Properties["HttpMethod"].(string)+" "+at] = method.Properties["AuthorizationType"].(string)
		if kind := assembly.At(method.Properties["Integration"], "Type"); kind != "AWS_PROXY" {
			t.Errorf("%s is integrated by %v", at, kind)
		}
	}
	return routes
}

func TestPaymentAPI(t *testing.T) {
	each(t, func(t *testing.T, v view) {
		same(t, "routes", v.routes(t), map[string]string{
			"ANY /": "AWS_IAM", "ANY /payments": "AWS_IAM", "ANY /payments/{session_id}": "AWS_IAM",
			"ANY /payments/{session_id}/{transaction_id}": "AWS_IAM", "ANY /{proxy+}": "AWS_IAM",
			"ANY /health": "AWS_IAM", "GET /health": "NONE",
		})
		api := v.assembly.Settings.API
		template := v.template(t)
		template.HasResourceProperties(jsii.String("AWS::ApiGateway::RestApi"), map[string]any{"EndpointConfiguration": map[string]any{"Types": []string{"REGIONAL"}}})
		template.HasResourceProperties(jsii.String("AWS::ApiGateway::Stage"), map[string]any{
			"StageName": "live", "TracingEnabled": true,
			"MethodSettings": []any{map[string]any{
				"HttpMethod": "*", "ResourcePath": "/*", "MetricsEnabled": true, "DataTraceEnabled": false, "LoggingLevel": "ERROR",
				"ThrottlingRateLimit": api.ThrottlingRateLimit, "ThrottlingBurstLimit": api.ThrottlingBurstLimit,
			}},
		})
		stageID, stage := v.one(t, "AWS::ApiGateway::Stage")
		if format := text(assembly.At(stage.Properties["AccessLogSetting"], "Format")); !strings.Contains(format, "$context.requestId") || strings.Contains(format, "$context.path") {
			t.Errorf("access log format %s", format)
		}
		// Without the account's role, API Gateway refuses a stage that logs.
		if _, account := v.one(t, "AWS::ApiGateway::Account"); account.Properties["CloudWatchRoleArn"] == nil {
			t.Error("the account has no role for logs")
		}
		apiID, _ := v.one(t, "AWS::ApiGateway::RestApi")
		template.HasResourceProperties(jsii.String("AWS::Logs::LogGroup"), map[string]any{
			"LogGroupName": map[string]any{"Fn::Join": []any{"", []any{"API-Gateway-Execution-Logs_", ref(apiID), "/live"}}},
		})
		_, association := v.one(t, "AWS::WAFv2::WebACLAssociation")
		if arn := text(association.Properties["ResourceArn"]); !strings.Contains(arn, stageID) {
			t.Errorf("the Web ACL stands before %s, want the stage %s", arn, stageID)
		}
		for _, permission := range v.of("AWS::Lambda::Permission") {
			source := text(permission.Properties["SourceArn"])
			processor := strings.Contains(text(permission.Properties["FunctionName"]), "PaymentApiProcessor")
			if processor && (permission.Properties["Principal"] != "apigateway.amazonaws.com" || !strings.Contains(source, apiID)) {
				t.Errorf("%v may invoke the processor from %s", permission.Properties["Principal"], source)
			}
		}
	})
}

func TestAPIGatewaysOwnAnswersKeepTheContract(t *testing.T) {
	each(t, func(t *testing.T, v view) {
		kinds := map[string]bool{}
		for id, response := range v.of("AWS::ApiGateway::GatewayResponse") {
			p := response.Properties
			kinds[p["ResponseType"].(string)] = true
			headers := assembly.Object(p["ResponseParameters"])
			same(t, id+": region", headers["gatewayresponse.header.X-Region"], "'"+v.stack.Region+"'")
			template := assembly.At(p["ResponseTemplates"], "application/json").(string)
			filled := strings.ReplaceAll(template, "$context.error.messageString", `"x"`)
			var body map[string]string
			if err := json.Unmarshal([]byte(filled), &body); err != nil || len(body) != 2 || body["error"] == "" || body["region"] != v.stack.Region {
				t.Errorf("%s answers %s", id, template)
			}
			if p["StatusCode"] == "503" && headers["gatewayresponse.header.Retry-After"] == nil {
				t.Errorf("%s is a 503 without Retry-After", id)
			}
		}
		for _, kind := range []string{"DEFAULT_4XX", "DEFAULT_5XX", "ACCESS_DENIED", "THROTTLED", "INTEGRATION_TIMEOUT", "INTEGRATION_FAILURE"} {
			if !kinds[kind] {
				t.Errorf("there is no answer for %s", kind)
			}
		}
	})
}

func TestWebACL(t *testing.T) {
	each(t, func(t *testing.T, v view) {
		_, acl := v.one(t, "AWS::WAFv2::WebACL")
		same(t, "scope", acl.Properties["Scope"], "REGIONAL")
		bodies := assembly.Object(acl.Properties["CustomResponseBodies"])
		var names []string
		for _, r := range assembly.List(acl.Properties["Rules"]) {
			rule := assembly.Object(r)
			names = append(names, rule["Name"].(string))
			if limited := assembly.At(rule["Statement"], "RateBasedStatement"); limited != nil {
				same(t, "limit", assembly.At(limited, "Limit"), v.assembly.Settings.API.RequestsPerAddress)
				response := assembly.Object(assembly.At(rule["Action"], "Block", "CustomResponse"))
				same(t, "status", response["ResponseCode"], 429)
				body := assembly.Object(bodies[response["CustomResponseBodyKey"].(string)])
				if content, _ := body["Content"].(string); body["ContentType"] != "APPLICATION_JSON" || !strings.Contains(content, `"region":"`+v.stack.Region+`"`) {
					t.Errorf("the body of a 429 is %s", text(body))
				}
			}
			if managed := assembly.At(rule["Statement"], "ManagedRuleGroupStatement"); managed != nil && rule["Name"] == "AWSManagedRulesCommonRuleSet" {
				// It would refuse bodies over 8 KB, and the contract takes 16.
				same(t, "overrides", assembly.At(managed, "RuleActionOverrides"), []any{map[string]any{"Name": "SizeRestrictions_BODY", "ActionToUse": map[string]any{"Count": map[string]any{}}}})
			}
		}
		same(t, "rules", names, []string{"RequestsPerAddress", "AWSManagedRulesCommonRuleSet", "AWSManagedRulesKnownBadInputsRuleSet"})
		_, logging := v.one(t, "AWS::WAFv2::LoggingConfiguration")
		same(t, "redacted", logging.Properties["RedactedFields"], []any{
			map[string]any{"SingleHeader": map[string]any{"Name": "authorization"}},
			map[string]any{"SingleHeader": map[string]any{"Name": "x-amz-security-token"}},
			map[string]any{"UriPath": map[string]any{}},
		})
		if filter := assembly.Object(logging.Properties["LoggingFilter"]); filter["DefaultBehavior"] != "DROP" || !strings.Contains(text(filter["Filters"]), `"Action":"BLOCK"`) {
			t.Errorf("logged is %s", text(filter))
		}
		v.template(t).HasResourceProperties(jsii.String("AWS::Logs::LogGroup"), map[string]any{"LogGroupName": "aws-waf-logs-payment-" + v.assembly.Settings.Environment})
	})
}

func TestParametersAreInBothRegions(t *testing.T) {
	for _, env := range environments {
		prefix := "/payment/" + env + "/"
		in := map[string]map[string]any{} // Region, then name
		for _, role := range []string{stacks.RolePrimary, stacks.RoleSecondary, stacks.RoleGlobal} {
			v := viewOf(t, env, role)
			for id, parameter := range v.of("AWS::SSM::Parameter") {
				same(t, id+": type", parameter.Properties["Type"], "String") // CloudFormation makes no other
				put(in, v.stack.Region, strings.TrimPrefix(parameter.Properties["Name"].(string), prefix), parameter.Properties["Value"])
			}
			for _, custom := range v.of("Custom::AWS") {
				var call struct {
					Service, Action, Region string
					Parameters              struct{ Name, Type string }
				}
				if err := json.Unmarshal([]byte(flatten(custom.Properties["Create"])), &call); err != nil {
					t.Fatal(err)
				}
				if call.Service != "ssm" || call.Action != "PutParameter" || call.Parameters.Type != "String" {
					t.Errorf("custom call %+v", call)
				}
				put(in, call.Region, strings.TrimPrefix(call.Parameters.Name, prefix), custom.Properties["Create"])
			}
		}
		s := synthesized[env].Settings
		for _, region := range s.Both() {
			for _, name := range []string{"db/primary-endpoint", "db/secondary-endpoint", "db/table-name", "recovery/plan-arn"} {
				value, ok := in[region.Name][name]
				if !ok {
					t.Errorf("%s: %s%s is not in %s", env, prefix, name, region.Name)
				}
				if name == "db/table-name" {
					same(t, name, value, "payment-"+env+"-sessions")
				} else if name == "recovery/plan-arn" {
					if !strings.Contains(text(value), "RecoveryPlan") {
						t.Errorf("%s: %s in %s is %s", env, name, region.Name, text(value))
					}
				} else if !strings.Contains(text(value), "Endpoint") {
					t.Errorf("%s: %s in %s is %s", env, name, region.Name, text(value))
				}
			}
			if n := len(in[region.Name]); n != 4 {
				t.Errorf("%s: %d parameters in %s, want 4", env, n, region.Name)
			}
		}
	}
}

func put(in map[string]map[string]any, region, name string, value any) {
	if in[region] == nil {
		in[region] = map[string]any{}
	}
	in[region][name] = value
}

// flatten is a string that CloudFormation would join, with each reference in it as text.
func flatten(part any) string {
	if s, ok := part.(string); ok {
		return s
	}
	parts := assembly.List(assembly.At(part, "Fn::Join"))
	if len(parts) != 2 {
		return "reference"
	}
	var joined strings.Builder
	for _, piece := range assembly.List(parts[1]) {
		joined.WriteString(flatten(piece))
	}
	return joined.String()
}

// TestSecondaryReadsItsOwnRegionAlone holds the rule that a stack can be updated while the other Region is gone: what
// crosses was written into the reading stack's Region when it was produced.
func TestSecondaryReadsItsOwnRegionAlone(t *testing.T) {
	for env, a := range synthesized {
		for _, stack := range a.Stacks {
			v := view{assembly: a, stack: stack}
			for id, writer := range v.of("Custom::CrossRegionExportWriter") {
				if assembly.At(writer.Properties["WriterProps"], "region") == stack.Region {
					t.Errorf("%s %s writes to its own Region", env, id)
				}
			}
		}
		if n := len(viewOf(t, env, stacks.RolePrimary).of("Custom::CrossRegionExportReader")); n != 0 {
			t.Errorf("%s: the primary reads from another Region", env)
		}
	}
}
