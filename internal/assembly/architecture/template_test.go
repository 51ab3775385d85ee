package architecture_test

import (
	"encoding/json"
	"strings"
	"testing"

	"payments-dr/internal/assembly"
	"payments-dr/internal/assembly/architecture"
	"payments-dr/internal/settings"
	"payments-dr/stacks/stackstest"
)

func draw(t *testing.T, a *assembly.Assembly, picture func(*assembly.Assembly) (*architecture.Picture, error)) *architecture.Picture {
	t.Helper()
	drawn, err := picture(a)
	if err != nil {
		t.Fatal(err)
	}
	return drawn
}

// TestPaymentsWayIsDrawn names every arrow of a payment's way, in both Regions of every environment.
func TestPaymentsWayIsDrawn(t *testing.T) {
	for _, env := range stackstest.Environments {
		s := stackstest.Assembly(t, env).Settings
		picture := draw(t, stackstest.Assembly(t, env), architecture.PaymentWay)
		for _, region := range s.Both() {
			in := func(name string) string { return region.Name + "/" + name }
			aurora := in("Aurora, writer")
			if region.Name == s.Regions.Secondary.Name {
				aurora = in("Aurora, reader")
			}
			for _, way := range [][2]string{
				{s.APIName(), in("payment API")},
				{in("payment API"), in("processor")},
				{in("processor"), in("session table")},
				{in("session table"), in("relay")},
				{in("relay"), in("bus")},
				{in("bus"), s.Other(region).Name + "/bus"},
				{in("bus"), in("ledger queue")},
				{in("ledger queue"), in("ledger")},
				{in("ledger"), aurora},
				{in("session table"), in("reconcile")},
				{in("reconcile"), aurora},
				{in("relay"), in("relay-failures")},
				{in("bus"), in("undelivered-events")},
				{in("ledger queue"), in("ledger-dead-letters")},
				{in("reconcile"), in("reconcile-failures")},
			} {
				edge, ok := picture.Edge(way[0], way[1])
				if !ok {
					t.Errorf("%s: no arrow from %s to %s", env, way[0], way[1])
				}
				if off := way[0] == in("ledger queue") && way[1] == in("ledger") && region.Name != s.ActiveRegion().Name; off != (edge.Dotted && !edge.Failure) {
					t.Errorf("%s: from %s to %s, dotted %v", env, way[0], way[1], edge.Dotted)
				}
			}
		}
		first, second := s.Regions.Primary.Name, s.Regions.Secondary.Name
		if _, ok := picture.Edge(first+"/Aurora, writer", second+"/Aurora, reader"); !ok {
			t.Errorf("%s: no replication of the database", env)
		}
		label := map[settings.Consistency]string{settings.ConsistencyStrong: "strongly consistent", settings.ConsistencyEventual: "copied, eventually"}[s.Session.Consistency]
		tables := min(first, second) + "/session table"
		edge, ok := picture.Edge(tables, max(first, second)+"/session table")
		if !ok || edge.Label != label {
			t.Errorf("%s: the tables' arrow is %+v", env, edge)
		}
		// Nothing that only looks on is in the way of a payment.
		for _, n := range picture.Nodes {
			if strings.Contains(n.Label, "validate") || strings.Contains(n.Label, "canary") || strings.Contains(n.Label, "migrate") {
				t.Errorf("%s: %s is drawn in the way of a payment", env, n.Label)
			}
		}
	}
}

// TestArrowGoesWithItsReference takes one reference after the other out of the templates, and looks whether its arrow is gone.
func TestArrowGoesWithItsReference(t *testing.T) {
	const first, second = "us-east-1", "us-west-2"
	properties := func(t *testing.T, a *assembly.Assembly, role, kind, has string) map[string]any {
		_, properties := stackstest.ResourceOf(t, a, role, kind, func(p map[string]any) bool {
			data, err := json.Marshal(p)
			return err == nil && strings.Contains(string(data), has)
		})
		return properties
	}
	for _, one := range []struct {
		name, from, to string
		picture        func(*assembly.Assembly) (*architecture.Picture, error)
		cut            func(*testing.T, *assembly.Assembly)
	}{
		{"rule to the other bus", first + "/bus", second + "/bus", architecture.PaymentWay, func(t *testing.T, a *assembly.Assembly) {
			properties(t, a, "primary", "AWS::Events::Rule", `"payment-dev-forward"`)["Targets"] = []any{}
		}},
		{"rule that is off", first + "/bus", second + "/bus", architecture.PaymentWay, func(t *testing.T, a *assembly.Assembly) {
			properties(t, a, "primary", "AWS::Events::Rule", `"payment-dev-forward"`)["State"] = "DISABLED"
		}},
		{"rule to the queue", first + "/bus", first + "/ledger queue", architecture.PaymentWay, func(t *testing.T, a *assembly.Assembly) {
			properties(t, a, "primary", "AWS::Events::Rule", `"payment-dev-ledger"`)["Targets"] = []any{}
		}},
		{"dead-letter queue of the queue", second + "/ledger queue", second + "/ledger-dead-letters", architecture.PaymentWay, func(t *testing.T, a *assembly.Assembly) {
			delete(properties(t, a, "secondary", "AWS::SQS::Queue", `"payment-dev-ledger"`), "RedrivePolicy")
		}},
		{"stream's mapping", second + "/session table", second + "/relay", architecture.PaymentWay, func(t *testing.T, a *assembly.Assembly) {
			delete(properties(t, a, "secondary", "AWS::Lambda::EventSourceMapping", "MaximumRecordAgeInSeconds"), "EventSourceArn")
		}},
		{"permission to write the table", first + "/processor", first + "/session table", architecture.PaymentWay, func(t *testing.T, a *assembly.Assembly) {
			delete(properties(t, a, "primary", "AWS::IAM::Policy", "PaymentApiProcessorRoleDefault"), "Roles")
		}},
		{"permission to connect", first + "/ledger", first + "/Aurora, writer", architecture.PaymentWay, func(t *testing.T, a *assembly.Assembly) {
			delete(properties(t, a, "primary", "AWS::IAM::Policy", "LedgerRoleDefault"), "Roles")
		}},
		{"API's methods", first + "/payment API", first + "/processor", architecture.PaymentWay, func(t *testing.T, a *assembly.Assembly) {
			stack, _ := a.Stack("primary")
			for _, resource := range stack.Template.Resources {
				if resource.Type == "AWS::ApiGateway::Method" {
					delete(resource.Properties, "Integration")
				}
			}
		}},
		{"custom domain's mapping", "api.dev.payments.example.com", second + "/payment API", architecture.PaymentWay, func(t *testing.T, a *assembly.Assembly) {
			delete(properties(t, a, "secondary", "AWS::ApiGateway::BasePathMapping", ""), "RestApiId")
		}},
		{"replica", first + "/session table", second + "/session table", architecture.PaymentWay, func(t *testing.T, a *assembly.Assembly) {
			table := properties(t, a, "primary", "AWS::DynamoDB::GlobalTable", "")
			replicas := table["Replicas"].([]any)
			for i, replica := range replicas {
				if replica.(map[string]any)["Region"] == second {
					table["Replicas"] = append(replicas[:i:i], replicas[i+1:]...)
				}
			}
		}},
		{"global cluster", first + "/Aurora, writer", second + "/Aurora, reader", architecture.PaymentWay, func(t *testing.T, a *assembly.Assembly) {
			delete(properties(t, a, "secondary", "AWS::RDS::DBCluster", ""), "GlobalClusterIdentifier")
		}},
		{"record", "planned.api", "us-west-2.steady.api", architecture.Failover, func(t *testing.T, a *assembly.Assembly) {
			group := properties(t, a, "global", "AWS::Route53::RecordSetGroup", `"planned.api.dev.payments.example.com","SetIdentifier"`)
			group["RecordSets"] = group["RecordSets"].([]any)[:1]
		}},
		{"health check's child", "2 of 1 healthy", "alarm api-failing", architecture.Failover, func(t *testing.T, a *assembly.Assembly) {
			stack, _ := a.Stack("global")
			for _, resource := range stack.Template.Resources {
				if config, _ := resource.Properties["HealthCheckConfig"].(map[string]any); config["Type"] == "CALCULATED" {
					config["ChildHealthChecks"] = config["ChildHealthChecks"].([]any)[:1]
				}
			}
		}},
		{"plan's step", "start the ledger here", "beside one another/stop the other ledger", architecture.Recovery, func(t *testing.T, a *assembly.Assembly) {
			plan := properties(t, a, "global", "AWS::ARCRegionSwitch::Plan", "")
			steps := plan["Workflows"].([]any)[0].(map[string]any)["Steps"].([]any)
			beside := steps[len(steps)-1].(map[string]any)["ExecutionBlockConfiguration"].(map[string]any)["ParallelConfig"].(map[string]any)
			beside["Steps"] = beside["Steps"].([]any)[:2]
		}},
	} {
		t.Run(one.name, func(t *testing.T) {
			whole := draw(t, stackstest.Assembly(t, stackstest.Dev), one.picture)
			if _, ok := whole.Edge(strings.Replace(one.from, "of 1", "of 2", 1), one.to); !ok {
				t.Fatalf("no arrow from %s to %s in the first place", one.from, one.to)
			}
			a := stackstest.Copy(t, stackstest.Dev)
			one.cut(t, a)
			cut := draw(t, a, one.picture)
			if _, ok := cut.Edge(one.from, one.to); ok {
				t.Errorf("there still is an arrow from %s to %s", one.from, one.to)
			}
			if cut.Mermaid() == whole.Mermaid() {
				t.Error("the picture is the same")
			}
		})
	}
}

// TestCrossingsAreTheReferences looks for the values that a reader of the page counts on, and for one that goes with its reference.
func TestCrossingsAreTheReferences(t *testing.T) {
	find := func(a *assembly.Assembly, from, to, what, how string) bool {
		all, err := architecture.Crossings(a)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range all {
			if c.From.Name == "payment-dev-"+from && c.To.Name == "payment-dev-"+to && strings.HasPrefix(c.What, what) && c.How == how {
				return true
			}
		}
		return false
	}
	a := stackstest.Copy(t, stackstest.Dev)
	for _, c := range [][4]string{
		{"primary", "secondary", "DatabaseCluster", "parameter"},
		{"secondary", "global", "LedgerMapping", "parameter"},
		{"primary", "global", "PaymentApi", "export"},
		{"primary", "secondary", "payment-dev-sessions", "name"},
		{"primary", "secondary", "payment-dev", "name"},
	} {
		if !find(a, c[0], c[1], c[2], c[3]) {
			t.Errorf("nothing crosses as %v", c)
		}
	}
	for id, resource := range mustStack(t, a, "secondary").Template.Resources {
		if resource.Type == "AWS::SSM::Parameter" && strings.Contains(id, "primary") {
			delete(resource.Properties, "Value")
		}
	}
	if find(a, "primary", "secondary", "DatabaseCluster", "parameter") {
		t.Error("the endpoint crosses still, and nobody uses it")
	}
	if find(a, "secondary", "primary", "", "parameter") || find(a, "secondary", "primary", "", "export") {
		t.Error("the primary needs a value of the secondary, which is deployed after it")
	}
}

// TestPermissionsAreThePolicies adds a statement and takes a role away, and looks whether the table follows.
func TestPermissionsAreThePolicies(t *testing.T) {
	a := stackstest.Copy(t, stackstest.Dev)
	before, err := architecture.WritePermissions(a)
	if err != nil {
		t.Fatal(err)
	}
	_, policy := stackstest.ResourceOf(t, a, "secondary", "AWS::IAM::Policy", func(p map[string]any) bool {
		return strings.HasPrefix(p["PolicyName"].(string), "LedgerRole")
	})
	document := policy["PolicyDocument"].(map[string]any)
	document["Statement"] = append(document["Statement"].([]any), map[string]any{"Action": "rds:DeleteDBCluster", "Effect": "Allow", "Resource": "*"})
	after, err := architecture.WritePermissions(a)
	if err != nil {
		t.Fatal(err)
	}
	_, alone, _ := strings.Cut(after, "In us-west-2 alone")
	if !strings.Contains(alone, "DeleteDBCluster | `*`") || strings.Count(after, "DeleteDBCluster") != strings.Count(before, "DeleteDBCluster")+1 {
		t.Error("what one Region's ledger may do more is not in the table")
	}
	if account := a.Settings.Account; strings.Contains(before, account) {
		t.Errorf("the table has the account %s", account)
	}
}

func mustStack(t *testing.T, a *assembly.Assembly, role string) assembly.Stack {
	t.Helper()
	stack, err := a.Stack(role)
	if err != nil {
		t.Fatal(err)
	}
	return stack
}
