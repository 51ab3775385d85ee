package review_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"payments-dr/internal/assembly/golden"
	"payments-dr/internal/assembly/review"
)

const moduleDir = "../../.."

// read are the golden templates of an environment: what the changes of these tests are made to.
func read(t *testing.T, env string) golden.Set {
	t.Helper()
	set, err := golden.Read(os.DirFS(filepath.Join(moduleDir, review.Folder, env)))
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// resource is the first resource of a type, by logical id, that a test is true of, in the stack of a role.
func resource(t *testing.T, set golden.Set, role, kind string, is func(properties map[string]any) bool) (id string, found map[string]any) {
	t.Helper()
	resources := section(t, set, role, "Resources")
	for name, r := range resources {
		r := r.(map[string]any)
		properties, _ := r["Properties"].(map[string]any)
		if r["Type"] == kind && (id == "" || name < id) && is(properties) {
			id, found = name, r
		}
	}
	if id == "" {
		t.Fatalf("%s has no such %s", role, kind)
	}
	return id, found
}

func section(t *testing.T, set golden.Set, role, name string) map[string]any {
	t.Helper()
	for _, stack := range set.Stacks {
		if strings.HasSuffix(stack.Name, "-"+role) {
			return stack.Template[name].(map[string]any)
		}
	}
	t.Fatalf("there is no stack %s", role)
	return nil
}

func properties(resource map[string]any) map[string]any {
	return resource["Properties"].(map[string]any)
}

func anyOf(map[string]any) bool { return true }

func named(key, value string) func(map[string]any) bool {
	return func(properties map[string]any) bool { return properties[key] == value }
}

// changed is what a change of the environment prod does, and the comment on it.
func changed(t *testing.T, change func(now golden.Set)) (review.Environment, string) {
	t.Helper()
	now := read(t, "prod")
	change(now)
	e, err := review.Of(t.Context(), moduleDir, "prod", read(t, "prod"), now)
	if err != nil {
		t.Fatal(err)
	}
	text, err := review.Comment{Old: "old", New: "new", Environments: []review.Environment{e}}.Markdown(review.MaxComment)
	if err != nil {
		t.Fatal(err)
	}
	return e, text
}

// one is the only resource that changes.
func one(t *testing.T, e review.Environment) review.Resource {
	t.Helper()
	if len(e.Stacks) != 1 || len(e.Stacks[0].Resources) != 1 {
		t.Fatalf("want one resource in one stack:\n%s", e.Text())
	}
	return e.Stacks[0].Resources[0]
}

func wants(t *testing.T, text string, wanted ...string) {
	t.Helper()
	for _, want := range wanted {
		if !strings.Contains(text, want) {
			t.Errorf("there is no %q in\n%s", want, text)
		}
	}
}

func TestNothingChanges(t *testing.T) {
	e, text := changed(t, func(golden.Set) {})
	if len(e.Stacks) != 0 || len(e.Order.Reasons)+len(e.Order.Refused) != 0 {
		t.Errorf("something changes:\n%s", e.Text())
	}
	wants(t, text, review.Marker+"\n", "**Nothing changes in the templates**")
}

func TestAlarmThreshold(t *testing.T) {
	e, text := changed(t, func(now golden.Set) {
		_, alarm := resource(t, now, "primary", "AWS::CloudWatch::Alarm", named("AlarmName", "payment-prod-replication-lag"))
		properties(alarm)["Threshold"] = json.Number("30")
	})
	r := one(t, e)
	if r.Action != review.Updated || r.Fate != "" || len(r.Properties) != 1 || r.Properties[0].Path != "Threshold" || r.Properties[0].New != "30" {
		t.Errorf("%+v", r)
	}
	wants(t, text, "### Replaced, removed or interrupted\n\nNothing is.", "No permission, no rule", "<code>Threshold</code>: <code>60000</code> → <code>30</code>",
		"1 updated", "each can be deployed without the others: payment-prod-secondary, payment-prod-primary, payment-prod-global", "| **same** |")
}

// TestInstanceClass holds what the schema says, that an instance changes its class in place, and what it does not say.
func TestInstanceClass(t *testing.T) {
	e, text := changed(t, func(now golden.Set) {
		for _, role := range []string{"primary", "secondary"} {
			for _, r := range section(t, now, role, "Resources") {
				if r := r.(map[string]any); r["Type"] == "AWS::RDS::DBInstance" {
					properties(r)["DBInstanceClass"] = "db.r5.xlarge"
				}
			}
		}
	})
	if n := e.Count(review.Updated); n != 4 || e.Count(review.Replaced)+e.Count(review.MayBeReplaced) != 0 {
		t.Errorf("%d instances are updated, want 4 and nothing replaced:\n%s", n, e.Text())
	}
	wants(t, text, "updated: **in place, with an outage** | <code>DBInstanceClass</code>: <code>db.r5.large</code> → <code>db.r5.xlarge</code> **with an outage** |", "| prod | a month without payments: Aurora | ")
	if sum := review.Sum(e.Costs.Idle); sum.New.Cmp(sum.Old) <= 0 {
		t.Errorf("a month costs $%s and then $%s", sum.Old.Text(2), sum.New.Text(2))
	}
}

func TestReplacementComesFirst(t *testing.T) {
	e, text := changed(t, func(now golden.Set) {
		_, cluster := resource(t, now, "primary", "AWS::RDS::DBCluster", anyOf)
		properties(cluster)["StorageEncrypted"] = false
	})
	replaced := e.Stacks[0].Of(review.Replaced)
	if len(replaced) == 0 || replaced[0].Type != "AWS::RDS::DBCluster" || !replaced[0].HoldsData {
		t.Fatalf("the cluster is not replaced:\n%s", e.Text())
	}
	wants(t, text, "replaced: **the old one is deleted, a snapshot stays, with its data**", "<code>StorageEncrypted</code>: <code>true</code> → <code>false</code> **replaces**",
		"- **less protection**: ", "**cannot be deployed as it is**", "the library does not write a changed value to the other Region again")
	if strings.Index(text, "with its data") > strings.Index(text, "<details>") {
		t.Error("the replacement is not on top")
	}
	// The instances are of the cluster, and go with it.
	follows := 0
	for _, r := range replaced {
		for _, p := range r.Properties {
			if p.Follows && p.Path == "DBClusterIdentifier" {
				follows++
			}
		}
	}
	if follows != 2 {
		t.Errorf("%d instances follow the cluster, want 2:\n%s", follows, e.Text())
	}
}

// TestWhatBecomesOfTheOldOne has policies that differ for a resource that is replaced and one that is removed.
func TestWhatBecomesOfTheOldOne(t *testing.T) {
	old, now := read(t, "dev"), read(t, "dev")
	for _, set := range []golden.Set{old, now} {
		for _, kind := range []string{"AWS::RDS::DBCluster", "AWS::DynamoDB::GlobalTable"} {
			_, r := resource(t, set, "primary", kind, anyOf)
			r["UpdateReplacePolicy"], r["DeletionPolicy"] = "Retain", "Delete"
		}
	}
	_, cluster := resource(t, now, "primary", "AWS::RDS::DBCluster", anyOf)
	properties(cluster)["DBClusterIdentifier"] = "another"
	table, _ := resource(t, now, "primary", "AWS::DynamoDB::GlobalTable", anyOf)
	delete(section(t, now, "primary", "Resources"), table)
	stacks, err := review.Compare(t.Context(), moduleDir, old, now)
	if err != nil {
		t.Fatal(err)
	}
	text := review.Text(stacks)
	wants(t, text, "! replaced, the old one stays, and is nobody's, WITH ITS DATA: AWS::RDS::DBCluster", "- removed, the old one is deleted, WITH ITS DATA: AWS::DynamoDB::GlobalTable "+table)
}

func TestWidenedStatement(t *testing.T) {
	e, text := changed(t, func(now golden.Set) {
		_, policy := resource(t, now, "primary", "AWS::IAM::Policy", func(p map[string]any) bool {
			return strings.Contains(fmt.Sprint(p["PolicyDocument"]), "dynamodb:GetItem")
		})
		for _, s := range properties(policy)["PolicyDocument"].(map[string]any)["Statement"].([]any) {
			if s := s.(map[string]any); strings.Contains(fmt.Sprint(s["Action"]), "dynamodb:GetItem") {
				s["Action"] = "dynamodb:*"
				s["Resource"] = "*"
				return
			}
		}
		t.Fatal("no such statement")
	})
	if !e.Stacks[0].Security.Broadened {
		t.Errorf("nobody may do more:\n%s", e.Text())
	}
	wants(t, text, "| permissions or protections | **weaker** |", "**somebody may do more than before**", "\n+ Allow AWS:${", ": dynamodb:* on *", "\n- Allow AWS:${", "dynamodb:GetItem")
	if strings.Index(text, "### Security") > strings.Index(text, "### Resources") {
		t.Error("security is not on top")
	}
}

func TestNarrowerStatement(t *testing.T) {
	e, text := changed(t, func(now golden.Set) {
		_, policy := resource(t, now, "primary", "AWS::IAM::Policy", func(p map[string]any) bool {
			return strings.Contains(fmt.Sprint(p["PolicyDocument"]), "dynamodb:GetItem")
		})
		for _, s := range properties(policy)["PolicyDocument"].(map[string]any)["Statement"].([]any) {
			if s := s.(map[string]any); strings.Contains(fmt.Sprint(s["Action"]), "dynamodb:GetItem") {
				s["Action"] = s["Action"].([]any)[1:]
				return
			}
		}
		t.Fatal("no such statement")
	})
	if e.Stacks[0].Security.Broadened {
		t.Errorf("somebody may do more:\n%s", e.Text())
	}
	wants(t, text, "| permissions or protections | changed |", "nobody may do more than before")
}

func TestSecurityGroupRule(t *testing.T) {
	e, text := changed(t, func(now golden.Set) {
		_, rule := resource(t, now, "secondary", "AWS::EC2::SecurityGroupIngress", anyOf)
		delete(properties(rule), "SourceSecurityGroupId")
		properties(rule)["CidrIp"] = "0.0.0.0/0"
	})
	if !e.Stacks[0].Security.Broadened {
		t.Errorf("nothing more comes in:\n%s", e.Text())
	}
	wants(t, text, "+ security group ", "in from Everyone (IPv4), TCP 3306")
}

func TestRemovedResources(t *testing.T) {
	var alarm, table string
	e, text := changed(t, func(now golden.Set) {
		alarm, _ = resource(t, now, "secondary", "AWS::CloudWatch::Alarm", named("AlarmName", "payment-prod-replication-lag"))
		delete(section(t, now, "secondary", "Resources"), alarm)
		table, _ = resource(t, now, "primary", "AWS::DynamoDB::GlobalTable", anyOf)
		delete(section(t, now, "primary", "Resources"), table)
	})
	if n := e.Count(review.Removed); n != 2 {
		t.Errorf("%d resources are removed:\n%s", n, e.Text())
	}
	wants(t, text, "<code>"+table+"</code><br>AWS::DynamoDB::GlobalTable | removed: **the old one stays, and is nobody's, with its data** |",
		alarm+": the alarm is removed", "| resources removed | **2** |",
		// The recovery time counts on the alarm, and says so.
		"### Recovery times")
}

// TestAnotherLogicalIDIsAReplacement has a construct's resource come back under another id, which CloudFormation takes for another one.
func TestAnotherLogicalIDIsAReplacement(t *testing.T) {
	e, text := changed(t, func(now golden.Set) {
		resources := section(t, now, "primary", "Resources")
		id, archive := resource(t, now, "primary", "AWS::Events::Archive", anyOf)
		delete(resources, id)
		resources["Renamed"] = archive
	})
	r := one(t, e)
	if r.Action != review.Replaced || r.NewLogicalID != "Renamed" || !r.HoldsData {
		t.Errorf("%+v", r)
	}
	wants(t, text, "<code>logical id</code>: ", "<code>Renamed</code> **replaces**", "**the old one is deleted, with its data**")
}

func TestDashboardsAreComparedInside(t *testing.T) {
	e, _ := changed(t, func(now golden.Set) {
		_, dashboard := resource(t, now, "global", "AWS::CloudWatch::Dashboard", anyOf)
		body := properties(dashboard)["DashboardBody"].(map[string]any)["Fn::ToJsonString"].(map[string]any)
		widgets := body["widgets"].([]any)
		body["widgets"] = append(widgets[:1:1], widgets[2:]...)
	})
	r := one(t, e)
	if len(r.Properties) != 1 || r.Properties[0].Path != "DashboardBody.widgets[1]" || r.Properties[0].New != "" {
		t.Errorf("one widget is gone:\n%s", e.Text())
	}
}

func TestRecoveryTimeThatIsMissed(t *testing.T) {
	_, text := changed(t, func(now golden.Set) {
		_, check := resource(t, now, "global", "AWS::Route53::HealthCheck", func(p map[string]any) bool {
			return p["HealthCheckConfig"].(map[string]any)["Type"] == "HTTPS"
		})
		properties(check)["HealthCheckConfig"].(map[string]any)["FailureThreshold"] = json.Number("10")
	})
	wants(t, text, "| recovery objectives | **missed** |", "| prod | payments, Region lost | ", "**missed**; the largest part: health check: 10 in a row fail")
}

func TestNewEnvironment(t *testing.T) {
	e, err := review.Of(t.Context(), moduleDir, "prod", golden.Set{}, read(t, "prod"))
	if err != nil {
		t.Fatal(err)
	}
	if len(e.Stacks) != 3 || e.Stacks[0].Is != review.Added || e.Count(review.Updated) != 0 {
		t.Errorf("not three new stacks: %s", e.Text())
	}
	if got := strings.Join(e.Order.Stacks, " "); got != "payment-prod-primary payment-prod-secondary payment-prod-global" {
		t.Errorf("new stacks are deployed in the order %s", got)
	}
	for limit := review.MaxComment; limit > 10000; limit /= 2 {
		text, err := review.Comment{Environments: []review.Environment{e, e}, Note: "Mind *this*"}.Markdown(limit)
		if err != nil {
			t.Fatal(err)
		}
		if n := utf8.RuneCountInString(text); n > limit {
			t.Errorf("%d characters, want %d at the most", n, limit)
		}
		if strings.Count(text, "<details>") != strings.Count(text, "</details>") || strings.Count(text, "```")%2 != 0 {
			t.Errorf("a fold or a block is not closed at %d characters", limit)
		}
		wants(t, text, "\n> Mind &#42;this&#42;\n", "This is shortened: ", "| resources added |", "more", "### Recovery times")
	}
}

// TestOrder has values that cross stacks come, go and change.
func TestOrder(t *testing.T) {
	writer := func(t *testing.T, set golden.Set) map[string]any {
		_, r := resource(t, set, "primary", "Custom::CrossRegionExportWriter", anyOf)
		return properties(r)["WriterProps"].(map[string]any)["exports"].(map[string]any)
	}
	reader := func(t *testing.T, set golden.Set) map[string]any {
		_, r := resource(t, set, "secondary", "Custom::CrossRegionExportReader", anyOf)
		return properties(r)["ReaderProps"].(map[string]any)["imports"].(map[string]any)
	}
	const name = "/cdk/exports/payment-prod-secondary/new"
	value := map[string]any{"Fn::GetAtt": []any{"Thing", "Arn"}}
	with := func(t *testing.T) golden.Set {
		set := read(t, "prod")
		writer(t, set)[name], reader(t, set)[name] = value, "{{resolve:ssm:"+name+"}}"
		return set
	}
	for _, tt := range []struct {
		name            string
		old, now        func(t *testing.T) golden.Set
		changes         []review.Stack
		order           string
		reason, refused string
	}{
		{"same", with, with, nil, "secondary primary global", "", ""},
		{"begins to read", func(t *testing.T) golden.Set { return read(t, "prod") }, with, nil, "primary secondary global",
			"payment-prod-primary before payment-prod-secondary: payment-prod-secondary begins to read ${Thing.Arn}", ""},
		{"reads no longer", with, func(t *testing.T) golden.Set { return read(t, "prod") }, nil, "secondary primary global",
			"payment-prod-secondary before payment-prod-primary: payment-prod-secondary reads ${Thing.Arn} no longer", ""},
		{"changes abroad", with, func(t *testing.T) golden.Set {
			set := with(t)
			writer(t, set)[name] = map[string]any{"Ref": "Thing"}
			return set
		}, nil, "secondary primary global", "", "${Thing} of payment-prod-primary was ${Thing.Arn}, and the library does not write a changed value"},
		{"changes within a Region", with, func(t *testing.T) golden.Set {
			set := with(t)
			for _, output := range section(t, set, "primary", "Outputs") {
				if output := output.(map[string]any); output["Export"] != nil && strings.Contains(fmt.Sprint(output["Export"]), "LedgerMapping") {
					output["Value"] = "another"
				}
			}
			return set
		}, nil, "secondary primary global", "", "CloudFormation refuses to change an export in use"},
		{"both ways", with, func(t *testing.T) golden.Set {
			set := read(t, "prod")
			writer(t, set)[name+"er"], reader(t, set)[name+"er"] = value, "{{resolve:ssm:"+name+"er}}"
			return set
		}, nil, "", "before payment-prod-secondary", "make the change in two steps"},
		{"for all Regions", with, with, []review.Stack{{Name: "payment-prod-primary", Resources: []review.Resource{
			{LogicalID: "Global", Type: "AWS::RDS::GlobalCluster", Action: review.Updated},
		}}}, "primary secondary global", "it holds the AWS::RDS::GlobalCluster Global", ""},
		{"of a replaced resource", with, with, []review.Stack{{Name: "payment-prod-primary", Resources: []review.Resource{
			{LogicalID: "Thing", Type: "AWS::SNS::Topic", Action: review.MayBeReplaced},
		}}}, "secondary primary global", "", "is of a resource that is perhaps replaced"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			order := review.OrderOf(tt.old(t), tt.now(t), tt.changes)
			if got := strings.ReplaceAll(strings.Join(order.Stacks, " "), "payment-prod-", ""); got != tt.order {
				t.Errorf("order %q, want %q", got, tt.order)
			}
			for what, pair := range map[string][2]string{"reasons": {strings.Join(order.Reasons, "\n"), tt.reason}, "refused": {strings.Join(order.Refused, "\n"), tt.refused}} {
				if got, want := pair[0], pair[1]; !strings.Contains(got, want) || (want == "") != (got == "") {
					t.Errorf("%s: %q, want %q", what, got, want)
				}
			}
		})
	}
}

// TestNothingInATemplateIsMarkdown has a description that would call people and end the table.
func TestNothingInATemplateIsMarkdown(t *testing.T) {
	_, text := changed(t, func(now golden.Set) {
		_, alarm := resource(t, now, "primary", "AWS::CloudWatch::Alarm", anyOf)
		properties(alarm)["AlarmDescription"] = "@everyone | <img src=x> `x` </details>\n## done [x](https://example.com)"
	})
	for _, bad := range []string{"@everyone", "<img", "\n## done", "](https", "`x`"} {
		if strings.Contains(text, bad) {
			t.Errorf("%q is in the comment", bad)
		}
	}
	wants(t, text, "everyone &#124; &lt;img")
}

// What CloudFormation creates before it deletes cannot have the name of what it replaces, and some changes that the schemas call
// updates are refused or need more than a deployment. One comparison has all, because starting Node.js takes a second.
func TestObstacles(t *testing.T) {
	const (
		replaced = "CloudFormation creates the new one before it deletes the old one, and both "
		refused  = "CANNOT BE DEPLOYED: "
		needs    = "NEEDS A PROCEDURE: "
	)
	e, comment := changed(t, func(now golden.Set) {
		set := func(role, kind, property string, value any) {
			_, r := resource(t, now, role, kind, anyOf)
			properties(r)[property] = value
		}
		rename := func(role, kind, path string) {
			id, r := resource(t, now, role, kind, anyOf)
			resources := section(t, now, role, "Resources")
			delete(resources, id)
			if path != "" {
				r["Metadata"] = map[string]any{"aws:cdk:path": path}
			}
			resources["Renamed"+strings.ReplaceAll(kind, ":", "")] = r
		}
		// These are none.
		set("primary", "AWS::CloudWatch::Alarm", "Threshold", 3.0)
		set("primary", "AWS::CertificateManager::Certificate", "DomainName", "api.elsewhere.org")
		set("secondary", "AWS::RDS::DBClusterParameterGroup", "DBClusterParameterGroupName", "another-name")
		// These are.
		set("primary", "AWS::RDS::DBClusterParameterGroup", "Family", "aurora-mysql9.0")
		rename("primary", "AWS::SecretsManager::Secret", "")
		rename("secondary", "AWS::SQS::Queue", "payment-prod-secondary/Elsewhere")
		set("primary", "AWS::EC2::Subnet", "AvailabilityZone", "us-east-1f")
		set("primary", "AWS::RDS::GlobalCluster", "EngineVersion", "8.0.mysql_aurora.3.11.0")
		set("secondary", "AWS::RDS::DBCluster", "EngineVersion", "8.0.mysql_aurora.3.11.0")
		set("primary", "AWS::DynamoDB::GlobalTable", "MultiRegionConsistency", "EVENTUAL")
		set("primary", "AWS::Backup::BackupVault", "LockConfiguration", map[string]any{"MinRetentionDays": 7.0, "MaxRetentionDays": 365.0, "ChangeableForDays": 3.0})
	})
	want := []struct{ of, why string }{
		{refused + "AWS::DynamoDB::GlobalTable ", "A global table keeps the consistency that it was created with."},
		{refused + "AWS::EC2::Subnet ", replaced + "have the same range of addresses in the same network."},
		{refused + "AWS::RDS::DBClusterParameterGroup ", replaced + "are called payment-prod-us-east-1 (what changes is Family)."},
		{refused + "AWS::RDS::GlobalCluster ", "A global cluster of Aurora MySQL keeps the minor version that it was created with."},
		{refused + "AWS::SQS::Queue RenamedAWSSQSQueue of payment-prod-secondary: ", "It is called payment-prod-"},
		{refused + "AWS::SecretsManager::Secret ", replaced + "are called payment/prod/db/master (what changes is its logical id)."},
		{needs + "AWS::Backup::BackupVault ", "A compliance lock cannot be taken off"},
		{needs + "AWS::RDS::DBCluster DatabaseClusterC6094C50 of payment-prod-secondary: ", "RDS upgrades the members of a global database one by one"},
	}
	var found []string
	for _, o := range e.Obstacles {
		found = append(found, o.String())
	}
	for i, line := range found {
		if i >= len(want) || !strings.HasPrefix(line, want[i].of) || !strings.Contains(line, want[i].why) {
			t.Errorf("%q is not wanted, or not there", line)
			continue
		}
		wants(t, e.Text(), line)
	}
	if len(found) != len(want) {
		t.Errorf("%d obstacles, want %d:\n%s", len(found), len(want), strings.Join(found, "\n"))
	}
	wants(t, comment, "  - **cannot be deployed**: ", "  - **needs a procedure**: ")
}
