package policy_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssqs"
	"github.com/aws/jsii-runtime-go"

	"payments-dr/internal/assembly"
	"payments-dr/internal/assembly/policy"
	"payments-dr/internal/assembly/policy/packs"
	"payments-dr/internal/assembly/policy/validator"
	"payments-dr/stacks"
	"payments-dr/stacks/stackstest"
)

// The tests' syntheses go on whatever is found, so that each test can say what is wrong with what it looks at.
func TestNothingIsFoundInvalid(t *testing.T) {
	for _, env := range stackstest.Environments {
		data, err := os.ReadFile(filepath.Join(stackstest.Assembly(t, env).Dir, "validation-report.json"))
		if err != nil {
			t.Fatal(err)
		}
		var report struct {
			PluginReports []struct {
				PluginName, Conclusion string
				Violations             []struct {
					RuleName, Description string
					ViolatingConstructs   []struct{ ConstructPath string }
				}
			}
		}
		if err := json.Unmarshal(data, &report); err != nil {
			t.Fatal(err)
		}
		if len(report.PluginReports) == 0 {
			t.Errorf("%s: nothing has validated it: %s", env, data)
		}
		for _, plugin := range report.PluginReports {
			if plugin.Conclusion != "success" {
				t.Errorf("%s: %s: %s: %+v", env, plugin.PluginName, plugin.Conclusion, plugin.Violations)
			}
		}
	}
}

func TestTemplatesKeepThePlatformsRules(t *testing.T) {
	for _, env := range stackstest.Environments {
		for _, violation := range policy.Check(stackstest.Assembly(t, env)) {
			t.Error(violation)
		}
	}
}

// Each rule is broken once, by a change that somebody might make, and names what is wrong.
func TestEachRuleCanBeBroken(t *testing.T) {
	const primary, global = stacks.RolePrimary, stacks.RoleGlobal
	named := func(property, name string) func(map[string]any) bool {
		return func(p map[string]any) bool { return p[property] == "payment-"+stackstest.Prod+"-"+name }
	}
	says := func(part string) func(map[string]any) bool {
		return func(p map[string]any) bool { return strings.Contains(stackstest.Text(p), part) }
	}
	ofProcessor := func(p map[string]any) bool { return strings.Contains(stackstest.Text(p["Description"]), "processor") }
	statementsOf := func(t *testing.T, a *assembly.Assembly) []any {
		_, p := stackstest.ResourceOf(t, a, primary, "AWS::IAM::Policy", says("dynamodb:PutItem"))
		return assembly.List(assembly.At(p["PolicyDocument"], "Statement"))
	}
	// environment are the variables of a function, with which it is changed.
	environment := func(t *testing.T, a *assembly.Assembly, name string) (id string, variables map[string]any) {
		id, p := stackstest.ResourceOf(t, a, primary, "AWS::Lambda::Function", named("FunctionName", name))
		return id, assembly.Object(assembly.At(p["Environment"], "Variables"))
	}
	// changed changes the properties of one resource, which is then wrong.
	changed := func(role, kind string, match func(map[string]any) bool, change func(map[string]any)) func(*testing.T, *assembly.Assembly) string {
		return func(t *testing.T, a *assembly.Assembly) string {
			t.Helper()
			id, p := stackstest.ResourceOf(t, a, role, kind, match)
			change(p)
			return id
		}
	}
	broken := map[string]bool{}
	for _, test := range []struct {
		rule, change string
		// breaks changes the templates, and returns the resource that is then wrong.
		breaks func(t *testing.T, a *assembly.Assembly) string
		found  string
	}{
		{"alarm-with-action", "an alarm without actions", changed(primary, "AWS::CloudWatch::Alarm", named("AlarmName", "api-errors"), func(p map[string]any) {
			delete(p, "AlarmActions")
		}), "no action"},
		{"alarm-with-action", "actions that are switched off", changed(primary, "AWS::CloudWatch::Alarm", named("AlarmName", "api-errors"), func(p map[string]any) {
			p["ActionsEnabled"] = false
		}), "no action"},
		{"alarm-with-action", "a composite alarm that speaks for another no more", func(t *testing.T, a *assembly.Assembly) string {
			_, p := stackstest.ResourceOf(t, a, primary, "AWS::CloudWatch::CompositeAlarm", named("AlarmName", "ledger-behind"))
			p["AlarmRule"] = strings.ReplaceAll(p["AlarmRule"].(string), "ledger-backlog", "ledger-delay")
			id, _ := stackstest.ResourceOf(t, a, primary, "AWS::CloudWatch::Alarm", named("AlarmName", "ledger-backlog"))
			return id
		}, "no composite alarm"},
		{"dead-letter-queue-alarm", "a dead-letter queue of another name", changed(primary, "AWS::SQS::Queue", named("QueueName", "relay-failures"), func(p map[string]any) {
			p["QueueName"] = "payment-prod-relay-dead-letters"
		}), "payment-prod-relay-dead-letters"},
		{"dead-letter-path", "a scheduled function whose invocations go nowhere", func(t *testing.T, a *assembly.Assembly) string {
			canary, _ := environment(t, a, "canary")
			_, p := stackstest.ResourceOf(t, a, primary, "AWS::Lambda::EventInvokeConfig", func(p map[string]any) bool {
				return stackstest.Text(p["FunctionName"]) == stackstest.Text(stackstest.Ref(canary))
			})
			delete(p, "DestinationConfig")
			return canary
		}, "a rule invokes it asynchronously"},
		{"dead-letter-path", "a function that nothing in the template invokes", func(t *testing.T, a *assembly.Assembly) string {
			relay, _ := environment(t, a, "relay")
			id, _ := stackstest.ResourceOf(t, a, primary, "AWS::Lambda::EventSourceMapping", func(p map[string]any) bool {
				return stackstest.Text(p["FunctionName"]) == stackstest.Text(stackstest.Ref(relay))
			})
			stack, _ := a.Stack(primary)
			delete(stack.Template.Resources, id)
			return relay
		}, "nothing in the template invokes it"},
		{"mapping-dead-letter-queue", "a stream's mapping without a destination", changed(primary, "AWS::Lambda::EventSourceMapping", func(p map[string]any) bool { return p["DestinationConfig"] != nil }, func(p map[string]any) {
			delete(p, "DestinationConfig")
		}), "no on-failure destination"},
		{"queue-dead-letter-queue", "the ledger's queue without a redrive policy", changed(primary, "AWS::SQS::Queue", named("QueueName", "ledger"), func(p map[string]any) {
			delete(p, "RedrivePolicy")
		}), "none, and nothing has it"},
		{"rule-dead-letter-queue", "a target without a dead-letter queue", changed(primary, "AWS::Events::Rule", named("Name", "forward"), func(p map[string]any) {
			delete(assembly.Object(assembly.List(p["Targets"])[0]), "DeadLetterConfig")
		}), "event-bus/payment-prod"},
		{"own-region", "a processor that is told of the other Region", func(t *testing.T, a *assembly.Assembly) string {
			id, variables := environment(t, a, "processor")
			variables["FALLBACK_REGION"] = "us-west-2"
			return id
		}, "us-west-2"},
		{"own-region", "a relay with a permission in the other Region", changed(primary, "AWS::IAM::Policy", says("dynamodb:GetShardIterator"), func(p map[string]any) {
			assembly.Object(assembly.List(assembly.At(p["PolicyDocument"], "Statement"))[0])["Resource"] = "arn:aws:events:us-west-2:000000000000:event-bus/payment-prod"
		}), "of us-west-2"},
		{"own-region", "a ledger that is given the other Region's endpoint, by a strong reference", func(t *testing.T, a *assembly.Assembly) string {
			// The secondary's stack has the primary's endpoint for a parameter already.
			stack, _ := a.Stack(stacks.RoleSecondary)
			for reader, r := range stack.Template.Resources {
				if r.Type != "Custom::CrossRegionExportReader" {
					continue
				}
				for export := range assembly.Object(assembly.At(r.Properties["ReaderProps"], "imports")) {
					if strings.Contains(export, "EndpointAddress") {
						id, p := stackstest.ResourceOf(t, a, stacks.RoleSecondary, "AWS::Lambda::Function", named("FunctionName", "ledger"))
						assembly.Object(assembly.At(p["Environment"], "Variables"))["DATABASE_HOST"] = stackstest.GetAtt(reader, export)
						return id
					}
				}
			}
			t.Fatal("the secondary reads no endpoint")
			return ""
		}, "in us-east-1"},
		{"strong-reference", "a weak reference", changed(global, "AWS::CloudWatch::Alarm", stackstest.AnyOf, func(p map[string]any) {
			p["AlarmDescription"] = map[string]any{"Fn::GetStackOutput": map[string]any{"StackName": "payment-prod-secondary", "OutputName": "ApiUrl", "Region": "us-west-2"}}
		}), "Fn::GetStackOutput"},
		{"strong-reference", "values that are read from another Region", changed(stacks.RoleSecondary, "Custom::CrossRegionExportReader", stackstest.AnyOf, func(p map[string]any) {
			assembly.Object(p["ReaderProps"])["region"] = "us-east-1"
		}), "us-east-1"},
		{"managed-policy", "a policy for every table of the account", changed(primary, "AWS::IAM::Role", ofProcessor, func(p map[string]any) {
			p["ManagedPolicyArns"] = []any{map[string]any{"Fn::Join": []any{"", []any{"arn:", stackstest.Ref("AWS::Partition"), ":iam::aws:policy/AmazonDynamoDBFullAccess"}}}}
		}), "AmazonDynamoDBFullAccess"},
		{"managed-policy", "the library's policy for functions, which lets them create log groups", changed(primary, "AWS::IAM::Role", says("ssm:PutParameter"), func(p map[string]any) {
			p["ManagedPolicyArns"] = []any{map[string]any{"Fn::Sub": "arn:${AWS::Partition}:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"}}
		}), "AWSLambdaBasicExecutionRole"},
		{"named-resources", "an action on every resource", changed(primary, "AWS::IAM::Policy", says("dynamodb:PutItem"), func(p map[string]any) {
			for _, statement := range assembly.List(assembly.At(p["PolicyDocument"], "Statement")) {
				assembly.Object(statement)["Resource"] = "*"
			}
		}), "dynamodb:PutItem on every resource"},
		{"named-resources", "every action of a service", func(t *testing.T, a *assembly.Assembly) string {
			assembly.Object(statementsOf(t, a)[0])["Action"] = "dynamodb:*"
			id, _ := stackstest.ResourceOf(t, a, primary, "AWS::IAM::Policy", says(`"dynamodb:*"`))
			return id
		}, "dynamodb:*"},
		{"all-alarms", "a policy for the plan's own alarms", func(t *testing.T, a *assembly.Assembly) string {
			id, p := stackstest.ResourceOf(t, a, global, "AWS::IAM::Policy", says("cloudwatch:DescribeAlarmHistory"))
			for _, statement := range assembly.List(assembly.At(p["PolicyDocument"], "Statement")) {
				if strings.Contains(stackstest.Text(statement), "cloudwatch:DescribeAlarms") {
					assembly.Object(statement)["Resource"] = "arn:aws:cloudwatch:us-east-1:000000000000:alarm:payment-prod-api-failing"
				}
			}
			return id
		}, "cloudwatch:DescribeAlarms on arn:aws:cloudwatch"},
		{"present-keys", "a condition that holds where its key is missing", changed(primary, "AWS::IAM::Policy", says("dynamodb:LeadingKeys"), func(p map[string]any) {
			for _, statement := range assembly.List(assembly.At(p["PolicyDocument"], "Statement")) {
				if conditions := assembly.Object(assembly.At(statement, "Condition")); conditions["ForAllValues:StringLike"] != nil {
					delete(conditions, "Null")
				}
			}
		}), "ForAllValues:StringLike of dynamodb:LeadingKeys, which may be missing"},
		{"no-log-group-creation", "a function that creates its log group", changed(primary, "AWS::IAM::Role", ofProcessor, func(p map[string]any) {
			document := assembly.At(assembly.List(p["Policies"])[0], "PolicyDocument")
			assembly.Object(assembly.List(assembly.At(document, "Statement"))[0])["Action"] = []any{"logs:CreateLogGroup", "logs:PutLogEvents"}
		}), "logs:CreateLogGroup"},
		{"no-password", "a secret's value in an environment", func(t *testing.T, a *assembly.Assembly) string {
			id, variables := environment(t, a, "ledger")
			variables["DATABASE_LOGIN"] = "{{resolve:secretsmanager:payment/prod/db/master:SecretString:password}}"
			return id
		}, "a secret's value"},
		{"no-password", "a password in a template", changed(primary, "AWS::RDS::DBCluster", stackstest.AnyOf, func(p map[string]any) {
			p["MasterUserPassword"] = "correct horse battery staple"
		}), "a text"},
		{"one-role-per-function", "a function with another's role", func(t *testing.T, a *assembly.Assembly) string {
			_, relay := stackstest.ResourceOf(t, a, primary, "AWS::Lambda::Function", named("FunctionName", "relay"))
			id, canary := stackstest.ResourceOf(t, a, primary, "AWS::Lambda::Function", named("FunctionName", "canary"))
			relayID, _ := stackstest.ResourceOf(t, a, primary, "AWS::Lambda::Function", named("FunctionName", "relay"))
			canary["Role"] = relay["Role"]
			return max(id, relayID) // the second, in the order of ids
		}, "is"},
		{"one-role-per-function", "a role that others may assume", changed(primary, "AWS::IAM::Role", ofProcessor, func(p map[string]any) {
			assembly.Object(assembly.List(assembly.At(p["AssumeRolePolicyDocument"], "Statement"))[0])["Principal"] = map[string]any{"AWS": "*"}
		}), "*"},
		{"no-backtrack", "Backtrack", changed(stacks.RoleSecondary, "AWS::RDS::DBCluster", stackstest.AnyOf, func(p map[string]any) {
			p["BacktrackWindow"] = 259200.0
		}), "259200"},
		{"one-engine-version", "a member without a version", changed(stacks.RoleSecondary, "AWS::RDS::DBCluster", stackstest.AnyOf, func(p map[string]any) {
			delete(p, "EngineVersion")
		}), "nothing"},
		{"one-engine-version", "a member with another version", changed(primary, "AWS::RDS::DBCluster", stackstest.AnyOf, func(p map[string]any) {
			p["EngineVersion"] = "8.0.mysql_aurora.3.10.3"
		}), "3.10.3"},
		{"one-engine-version", "a global cluster with a version that it was not created with", changed(primary, "AWS::RDS::GlobalCluster", stackstest.AnyOf, func(p map[string]any) {
			p["EngineVersion"] = "8.0.mysql_aurora.3.10.3"
		}), "3.10.3"},
		{"one-engine-version", "an instance with a version", changed(primary, "AWS::RDS::DBInstance", stackstest.AnyOf, func(p map[string]any) {
			p["EngineVersion"] = "8.0.mysql_aurora.3.10.4"
		}), "3.10.4"},
		{"one-engine-version", "an instance that upgrades by itself", changed(primary, "AWS::RDS::DBInstance", stackstest.AnyOf, func(p map[string]any) {
			delete(p, "AutoMinorVersionUpgrade")
		}), "nothing"},
		{"physical-name", "a bus with a role in its name", changed(primary, "AWS::Events::EventBus", stackstest.AnyOf, func(p map[string]any) {
			p["Name"] = "payment-prod-primary"
		}), "payment-prod-primary"},
		{"physical-name", "a cluster without its Region", changed(primary, "AWS::RDS::DBCluster", stackstest.AnyOf, func(p map[string]any) {
			p["DBClusterIdentifier"] = "payment-prod"
		}), "without us-east-1"},
		{"retain-except-on-create", "a vault that a failed creation leaves behind", func(t *testing.T, a *assembly.Assembly) string {
			id, _ := stackstest.ResourceOf(t, a, primary, "AWS::Backup::BackupVault", stackstest.AnyOf)
			retain(t, a, primary, id, "Retain")
			return id
		}, "Retain"},
		{"key-outlives-data", "a key that is deleted while a final snapshot needs it", func(t *testing.T, a *assembly.Assembly) string {
			_, cluster := stackstest.ResourceOf(t, a, primary, "AWS::RDS::DBCluster", stackstest.AnyOf)
			id := assembly.Referred(cluster["KmsKeyId"])
			retain(t, a, primary, id, "Delete")
			return id
		}, "has Snapshot"},
		{"restore-window", "two days of backups", changed(primary, "AWS::RDS::DBCluster", stackstest.AnyOf, func(p map[string]any) { p["BackupRetentionPeriod"] = 2.0 }), "2"},
		{"restore-window", "a replica without point-in-time recovery", changed(primary, "AWS::DynamoDB::GlobalTable", stackstest.AnyOf, func(p map[string]any) {
			delete(assembly.Object(assembly.List(p["Replicas"])[1]), "PointInTimeRecoverySpecification")
		}), "nothing"},
	} {
		broken[test.rule] = true
		t.Run(test.rule+"/"+test.change, func(t *testing.T) {
			a := stackstest.Copy(t, stackstest.Prod)
			id := test.breaks(t, a)
			violations := policy.Check(a)
			if !slices.ContainsFunc(violations, func(v policy.Violation) bool {
				message := v.String()
				return v.Rule.Name == test.rule && v.LogicalID == id && strings.Contains(v.Found, test.found) &&
					strings.Contains(message, v.Rule.Allowed) && strings.Contains(message, v.Rule.Fix) && strings.Contains(message, v.Property)
			}) {
				t.Errorf("want %s on %s for %q, found %v", test.rule, id, test.found, violations)
			}
			for _, v := range violations {
				// What a queue or a mapping lacks shows at both ends of it.
				if v.Rule.Name != test.rule && !strings.Contains(v.Rule.Name, "dead-letter") {
					t.Errorf("another rule is broken too: %s", v)
				}
			}
		})
	}
	for _, rule := range policy.Rules() {
		if !broken[rule.Name] {
			t.Errorf("%s is not broken here", rule.Name)
		}
	}
}

// retain gives a resource a deletion policy.
func retain(t *testing.T, a *assembly.Assembly, role, id, policy string) {
	t.Helper()
	stack, err := a.Stack(role)
	if err != nil {
		t.Fatal(err)
	}
	r := stack.Template.Resources[id]
	r.DeletionPolicy = policy
	stack.Template.Resources[id] = r
}

// templates are what the library hands to a plug-in.
type templates struct {
	awscdk.IPolicyValidationContext
	paths []*string
}

func (t templates) TemplatePaths() *[]*string { return &t.paths }

func TestTheLibraryIsToldWhatBreaksARule(t *testing.T) {
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(stackstest.Assembly(t, stackstest.Prod).Dir)); err != nil {
		t.Fatal(err)
	}
	path := func(role string) string {
		return filepath.Join(dir, "payment-"+stackstest.Prod+"-"+role+".template.json")
	}
	data, err := os.ReadFile(path(stacks.RoleSecondary))
	if err != nil {
		t.Fatal(err)
	}
	changed := strings.Replace(string(data), `"DBClusterIdentifier"`, `"BacktrackWindow": 3600, "DBClusterIdentifier"`, 1)
	if err := os.WriteFile(path(stacks.RoleSecondary), []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
	plugin := validator.New()
	// One call for the stacks of each Region.
	if report := plugin.Validate(templates{paths: []*string{jsii.String(path(stacks.RolePrimary)), jsii.String(path(stacks.RoleGlobal))}}); !*report.Success || len(*report.Violations) > 0 {
		t.Errorf("of the other Region's stacks: %s", stackstest.Text(report))
	}
	report := plugin.Validate(templates{paths: []*string{jsii.String(path(stacks.RoleSecondary))}})
	if *report.Success || len(*report.Violations) != 1 {
		t.Fatalf("report %s", stackstest.Text(report))
	}
	violation := (*report.Violations)[0]
	resource := (*violation.ViolatingResources)[0]
	id, _ := stackstest.ViewOf(t, stackstest.Prod, stacks.RoleSecondary).One(t, "AWS::RDS::DBCluster")
	stackstest.Same(t, "rule, severity, resource and template", []string{*violation.RuleName, *violation.Severity, *resource.ResourceLogicalId, *resource.TemplatePath, *(*resource.Locations)[0]},
		[]string{"no-backtrack", "fatal", id, path(stacks.RoleSecondary), "Properties/BacktrackWindow"})
	for _, part := range []string{"Backtrack", "3600", "point-in-time recovery"} {
		if !strings.Contains(*violation.Description, part) {
			t.Errorf("the description does not say %q: %s", part, *violation.Description)
		}
	}
	if !strings.Contains(*violation.Fix, "constructs/aurora.go") {
		t.Errorf("fix: %s", *violation.Fix)
	}
}

func TestAnOpenFindingEndsASynthesisWithThePacks(t *testing.T) {
	context := stackstest.Context(stackstest.Dev)
	delete(context, "environments")
	app := awscdk.NewApp(&awscdk.AppProps{Context: &context, Outdir: jsii.String(t.TempDir()), AnalyticsReporting: jsii.Bool(false)})
	awssqs.NewQueue(awscdk.NewStack(app, jsii.String("open"), nil), jsii.String("Queue"), nil)
	packs.Add(app)
	defer func() {
		if ended := fmt.Sprint(recover()); !strings.Contains(ended, "ValidationFailed") {
			t.Errorf("a queue that takes requests without TLS: %s", ended)
		}
	}()
	app.Synth(nil)
}

func TestEachRuleSaysWhatToDo(t *testing.T) {
	seen := map[string]bool{}
	for _, rule := range policy.Rules() {
		if rule.Name == "" || seen[rule.Name] || len(rule.Forbids) < 20 || len(rule.Allowed) < 20 || len(rule.Fix) < 20 || len(rule.Why) < 20 {
			t.Errorf("rule %+v", rule)
		}
		seen[rule.Name] = true
	}
}

func TestRulePacksFindNothingWithoutAReason(t *testing.T) {
	for _, fault := range policy.Faults(stackstest.Reports(t, stackstest.Environments)...) {
		t.Error(fault)
	}
}

func TestReportsTellWhatIsWrong(t *testing.T) {
	for name, test := range map[string]struct {
		breaks func(r *policy.Report) (on string)
		want   string
	}{
		"a finding that nobody has decided": {func(r *policy.Report) string {
			r.Findings = append(r.Findings, policy.Finding{Rule: "AwsSolutions-SQS4", Path: "stack/Queue", State: "Non-Compliant", Says: "The queue does not want TLS."})
			return "stack/Queue"
		}, "AwsSolutions-SQS4: Non-Compliant"},
		"a rule that could not tell": {func(r *policy.Report) string {
			r.Findings[0].State = "UNKNOWN"
			return r.Findings[0].Path
		}, "UNKNOWN"},
		"a suppression of what is not found": {func(r *policy.Report) string {
			r.Suppressions[0].Findings = 0
			return r.Suppressions[0].Path
		}, "suppresses nothing"},
		"a suppression of a part that is not found": {func(r *policy.Report) string {
			for i, s := range r.Suppressions {
				if len(s.Parts) > 0 {
					r.Suppressions[i].Parts = append(slices.Clone(s.Parts), `^Resource::arn:aws:s3:::\*$`)
					return s.Path
				}
			}
			return "no suppression with parts"
		}, "which is not found there"},
		"no reason": {func(r *policy.Report) string {
			r.Suppressions[0].Reason = " "
			return r.Suppressions[0].Path
		}, "too short to be argued with"},
		"a reason that is none": {func(r *policy.Report) string {
			r.Suppressions[0].Reason = "Not needed here."
			return r.Suppressions[0].Path
		}, "too short to be argued with"},
		"one reason for everything": {func(r *policy.Report) string {
			const all = "This has been looked at, and it has been decided that it is right as it is, for reasons that are known."
			for i := range r.Suppressions {
				r.Suppressions[i].Reason = all
			}
			return "DeploymentStage.live"
		}, "one reason is given for what is not alike"},
	} {
		t.Run(name, func(t *testing.T) {
			report := stackstest.Reports(t, stackstest.Shipped)[0]
			on := test.breaks(report)
			if faults := policy.Faults(report); !slices.ContainsFunc(faults, func(fault string) bool { return strings.Contains(fault, test.want) && strings.Contains(fault, on) }) {
				t.Errorf("want %q on %s, found %q", test.want, on, faults)
			}
		})
	}
}

// A suppression is read from the template and compared with the packs' reports: a template that says more than they found is told.
func TestASuppressionThatMatchesNothingIsTold(t *testing.T) {
	a := stackstest.Copy(t, stackstest.Prod)
	id, _ := stackstest.ResourceOf(t, a, stacks.RolePrimary, "AWS::RDS::DBCluster", stackstest.AnyOf)
	stack, err := a.Stack(stacks.RolePrimary)
	if err != nil {
		t.Fatal(err)
	}
	metadata := assembly.Object(stack.Template.Resources[id].Metadata["cdk_nag"])
	const reason = "A cluster whose storage is not encrypted would be excused by this, if there were one; but the storage of this one is encrypted."
	metadata["rules_to_suppress"] = append(assembly.List(metadata["rules_to_suppress"]), map[string]any{"id": "AwsSolutions-RDS2", "reason": reason})
	report, err := policy.ReadReport(stackstest.Assembly(t, stackstest.Prod).Dir, a)
	if err != nil {
		t.Fatal(err)
	}
	faults := policy.Faults(report)
	if len(faults) != 1 || !strings.Contains(faults[0], "AwsSolutions-RDS2 suppresses nothing") {
		t.Errorf("faults %q", faults)
	}
}

func TestThePacksAreAskedForByTheContext(t *testing.T) {
	for _, wanted := range []any{nil, "false", false, "true", true} {
		if got, want := packs.Wanted(map[string]any{packs.ContextKey: wanted}), fmt.Sprint(wanted) == "true"; got != want {
			t.Errorf("policy=%v: %v", wanted, got)
		}
	}
}
