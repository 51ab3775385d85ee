package constructs_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"payments-dr/constructs"
	"payments-dr/internal/assembly"
	"payments-dr/internal/assembly/publicname"
	"payments-dr/internal/settings"
	"payments-dr/internal/simulation/route53"
	"payments-dr/stacks/stackstest"
)

// flat is the plan's steps in order, those of a parallel block in brackets, each as its kind and name.
func flat(steps []any) []string {
	var all []string
	for _, s := range steps {
		step := assembly.Object(s)
		line := fmt.Sprintf("%v: %v", step["ExecutionBlockType"], step["Name"])
		if step["ExecutionBlockType"] == "Parallel" {
			line = "[" + strings.Join(flat(assembly.List(assembly.At(step["ExecutionBlockConfiguration"], "ParallelConfig", "Steps"))), "; ") + "]"
		}
		all = append(all, line)
	}
	return all
}

func TestRecoveryPlanMovesEverythingInOrder(t *testing.T) {
	inGlobal(t, func(t *testing.T, v stackstest.View, s settings.Settings) {
		_, resource := v.One(t, "AWS::ARCRegionSwitch::Plan")
		plan := resource.Properties
		p, q := s.Regions.Primary.Name, s.Regions.Secondary.Name
		stackstest.Same(t, "approach", plan["RecoveryApproach"], "activePassive")
		stackstest.Same(t, "Regions", plan["Regions"], []string{p, q})
		stackstest.Same(t, "primary", plan["PrimaryRegion"], p)
		stackstest.Same(t, "objective", plan["RecoveryTimeObjectiveMinutes"], s.Objectives.RTOMinutes)

		workflow := assembly.Object(assembly.List(plan["Workflows"])[0])
		stackstest.Same(t, "action", workflow["WorkflowTargetAction"], "activate")
		stackstest.Same(t, "target", workflow["WorkflowTargetRegion"], nil) // one workflow, for either Region
		if n := len(assembly.List(plan["Workflows"])); n != 1 {
			t.Errorf("%d workflows", n)
		}
		want := []string{
			"ManualApproval: approve",
			"AuroraGlobalDatabase: promote the database",
			"LambdaEventSourceMapping: start the ledger here",
			"[CustomActionLambda: reconcile; Route53HealthCheck: move payments here; LambdaEventSourceMapping: stop the other ledger]",
		}
		behavior := "switchoverOnly"
		if s.Recovery.Automatic {
			want, behavior = want[1:], "failover"
		}
		steps := assembly.List(workflow["Steps"])
		if got := flat(steps); !slices.Equal(got, want) {
			t.Errorf("steps\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}

		block := stackstest.Blocks(steps)
		if !s.Recovery.Automatic {
			approver, err := v.Assembly.Origin(v.Stack, block[constructs.StepApprove]["ApprovalRole"])
			if err != nil || approver.Resource().Properties["RoleName"] != "payment-"+s.Environment+"-approver" {
				t.Errorf("approver %v, %v", approver.LogicalID, err)
			}
		}
		cluster := func(region string) string {
			return "arn:aws:rds:" + region + ":" + s.Account + ":cluster:payment-" + s.Environment + "-" + region
		}
		stackstest.Same(t, "database", block[constructs.StepPromote], map[string]any{
			"GlobalClusterIdentifier": "payment-" + s.Environment, "DatabaseClusterArns": []string{cluster(p), cluster(q)},
			"Behavior": behavior, "Ungraceful": map[string]any{"Ungraceful": "failover"}, "TimeoutMinutes": s.Recovery.StepMinutes.Promotion,
		})
		for _, role := range stackstest.RegionalRoles { // the clusters exist by these names
			region := stackstest.ViewOf(t, s.Environment, role)
			region.Named(t, "AWS::RDS::DBCluster", "DBClusterIdentifier", "payment-"+s.Environment+"-"+region.Stack.Region)
		}

		// Activating a Region switches its own mapping on and the other's off.
		for step, actsOn := range map[string]func(activated string) string{
			constructs.StepStartLedger: func(activated string) string { return activated },
			constructs.StepStopLedger:  func(activated string) string { return map[string]string{p: q, q: p}[activated] },
		} {
			mappings := assembly.Object(block[step]["RegionEventSourceMappings"])
			if len(mappings) != 2 {
				t.Errorf("%s: mappings %s", step, stackstest.Text(mappings))
			}
			for activated, mapping := range mappings {
				region := mappingRegion(t, v, assembly.At(mapping, "Arn"))
				if want := actsOn(activated); region != want {
					t.Errorf("%s, activating %s: acts on %s, want %s", step, activated, region, want)
				}
			}
		}
		stackstest.Same(t, "start", block[constructs.StepStartLedger]["Action"], "enable")
		stackstest.Same(t, "start without the other Region", block[constructs.StepStartLedger]["Ungraceful"], nil)
		stackstest.Same(t, "stop", block[constructs.StepStopLedger]["Action"], "disable")
		stackstest.Same(t, "stop without the other Region", block[constructs.StepStopLedger]["Ungraceful"], map[string]any{"Behavior": "skip"})

		reconcile := block[constructs.StepReconcile]
		stackstest.Same(t, "reconcile in", reconcile["RegionToRun"], "activatingRegion")
		var functions []any
		for _, role := range stackstest.RegionalRoles {
			region := stackstest.ViewOf(t, s.Environment, role)
			name := region.Function(t, "reconcile").Properties["FunctionName"]
			functions = append(functions, map[string]any{"Arn": fmt.Sprintf("arn:aws:lambda:%s:%s:function:%v", region.Stack.Region, s.Account, name)})
			stackstest.Same(t, "step", assembly.At(region.Function(t, "reconcile").Properties["Environment"], "Variables", "RECONCILE_STEP_SECONDS"), fmt.Sprint(60*s.Recovery.StepMinutes.Reconciliation))
		}
		stackstest.Same(t, "reconcile by", reconcile["Lambdas"], functions)

		traffic := block[constructs.StepTraffic]
		stackstest.Same(t, "record", traffic["RecordName"], s.PlanAPIName())
		stackstest.Same(t, "record sets", traffic["RecordSets"], []any{
			map[string]any{"RecordSetIdentifier": p, "Region": p}, map[string]any{"RecordSetIdentifier": q, "Region": q},
		})
		zone, err := publicname.Read(v.Assembly)
		if err != nil {
			t.Fatal(err)
		}
		for _, record := range zone.Records(s.PlanAPIName()) { // the plan's own evaluation looks for this
			if record.Check == nil || record.Check.Kind != route53.KindPlan || record.Check.Region != record.SetIdentifier {
				t.Errorf("record set %s has the health check %+v", record.SetIdentifier, record.Check)
			}
		}

		minutes := 0.0
		for _, name := range []string{constructs.StepApprove, constructs.StepPromote, constructs.StepStartLedger} {
			limit, _ := block[name]["TimeoutMinutes"].(float64)
			minutes += limit
		}
		longest := 0.0
		for _, name := range []string{constructs.StepReconcile, constructs.StepTraffic, constructs.StepStopLedger} {
			longest = max(longest, block[name]["TimeoutMinutes"].(float64))
		}
		if total := minutes + longest; total > float64(s.Objectives.RTOMinutes) || total != float64(s.Recovery.LongestWay()) {
			t.Errorf("the steps may take %v minutes, the settings say %d, the objective is %d", total, s.Recovery.LongestWay(), s.Objectives.RTOMinutes)
		}
	})
}

// mappingRegion is the Region of the ledger mapping that an ARN of the global template means.
func mappingRegion(t *testing.T, v stackstest.View, arn any) string {
	t.Helper()
	parts := assembly.List(assembly.List(assembly.At(arn, "Fn::Join"))[1])
	origin, err := v.Assembly.Origin(v.Stack, parts[1])
	if err != nil {
		t.Fatal(err)
	}
	if origin.Resource().Type != "AWS::Lambda::EventSourceMapping" || !strings.Contains(stackstest.Text(origin.Resource().Properties["EventSourceArn"]), "LedgerQueue") {
		t.Errorf("%s is %s, and no ledger mapping", stackstest.Text(arn), origin.LogicalID)
	}
	stackstest.Same(t, "ARN", parts[0], "arn:aws:lambda:"+origin.Stack.Region+":"+v.Assembly.Settings.Account+":event-source-mapping:")
	return origin.Stack.Region
}

func TestRecoveryStartsByAlarmWhenAutomaticAlone(t *testing.T) {
	automatic := 0
	inGlobal(t, func(t *testing.T, v stackstest.View, s settings.Settings) {
		_, resource := v.One(t, "AWS::ARCRegionSwitch::Plan")
		alarms := assembly.Object(resource.Properties["AssociatedAlarms"])
		triggers := assembly.List(resource.Properties["Triggers"])
		if !s.Recovery.Automatic {
			if len(triggers) != 0 {
				t.Errorf("triggers %s", stackstest.Text(triggers))
			}
			for name, alarm := range alarms {
				stackstest.Same(t, name, assembly.At(alarm, "AlarmType"), "applicationHealth") // an alarm of the other type starts the plan as well
			}
			return
		}
		automatic++
		targets := map[string]bool{}
		for _, tr := range triggers {
			trigger := assembly.Object(tr)
			target := fmt.Sprint(trigger["TargetRegion"])
			targets[target] = true
			other := s.Regions.Primary.Name
			if other == target {
				other = s.Regions.Secondary.Name
			}
			stackstest.Same(t, "action", trigger["Action"], "activate")
			stackstest.Same(t, "condition", trigger["Conditions"], []any{map[string]any{"AssociatedAlarmName": other + "-impaired", "Condition": "red"}})
			// The alarm about a Region is in the other one, the one that is then activated.
			stackstest.Same(t, "alarm", alarms[other+"-impaired"], map[string]any{
				"AlarmType":          "trigger",
				"ResourceIdentifier": "arn:aws:cloudwatch:" + target + ":" + s.Account + ":alarm:payment-" + s.Environment + "-" + other + "-impaired",
			})
		}
		if len(targets) != 2 {
			t.Errorf("triggers for %v", targets)
		}
	})
	if automatic == 0 {
		t.Error("no environment recovers automatically, so that this shows nothing")
	}
}

func TestRecoveryRoleMayDoWhatThePlanDoesAndNoMore(t *testing.T) {
	inGlobal(t, func(t *testing.T, v stackstest.View, s settings.Settings) {
		_, plan := v.One(t, "AWS::ARCRegionSwitch::Plan")
		origin, err := v.Assembly.Origin(v.Stack, plan.Properties["ExecutionRole"])
		if err != nil {
			t.Fatal(err)
		}
		stackstest.Same(t, "trusted", assembly.At(assembly.List(assembly.At(origin.Resource().Properties["AssumeRolePolicyDocument"], "Statement"))[0], "Principal"), map[string]any{"Service": "arc-region-switch.amazonaws.com"})
		p, q := s.Regions.Primary.Name, s.Regions.Secondary.Name
		both := func(form string) string {
			return fmt.Sprintf(form, p, s.Account, s.Environment) + " " + fmt.Sprintf(form, q, s.Account, s.Environment)
		}
		plans := "arn:aws:arc-region-switch::" + s.Account + ":plan/payment-" + s.Environment + ":*"
		databases := fmt.Sprintf("arn:aws:rds::%s:global-cluster:payment-%s ", s.Account, s.Environment) +
			fmt.Sprintf("arn:aws:rds:%s:%s:cluster:payment-%s-%s ", p, s.Account, s.Environment, p) +
			fmt.Sprintf("arn:aws:rds:%s:%s:cluster:payment-%s-%s", q, s.Account, s.Environment, q)
		want := map[string]string{
			"iam:SimulatePrincipalPolicy":               "arn:aws:iam::" + s.Account + ":role/payment-" + s.Environment + "-recovery",
			"arc-region-switch:GetPlan":                 plans,
			"arc-region-switch:GetPlanExecution":        plans,
			"arc-region-switch:ListPlanExecutions":      plans,
			"arc-region-switch:ListPlanExecutionEvents": plans,
			"rds:DescribeGlobalClusters":                "*",
			"rds:DescribeDBClusters":                    "*",
			"rds:SwitchoverGlobalCluster":               databases,
			"rds:FailoverGlobalCluster":                 databases,
			"lambda:GetEventSourceMapping":              "mapping " + p + " mapping " + q,
			"lambda:UpdateEventSourceMapping":           "mapping " + p + " mapping " + q,
			"lambda:GetFunction":                        both("arn:aws:lambda:%s:%s:function:payment-%s-ledger") + " " + both("arn:aws:lambda:%s:%s:function:payment-%s-reconcile"),
			"lambda:InvokeFunction":                     both("arn:aws:lambda:%s:%s:function:payment-%s-reconcile"),
			"route53:ListResourceRecordSets":            "zone",
			// With a narrower scope, CloudWatch returns no composite alarm.
			"cloudwatch:DescribeAlarms":       "*",
			"cloudwatch:DescribeAlarmHistory": "*",
			"s3:PutObject":                    "reports",
		}
		if s.Recovery.Automatic {
			want["arc-region-switch:StartPlanExecution"] = plans
		} else {
			want["iam:SimulatePrincipalPolicy"] += " approver"
		}
		got := map[string]string{}
		for _, statement := range v.Statements()[origin.LogicalID] {
			if statement["Effect"] != "Allow" {
				t.Errorf("statement %s", stackstest.Text(statement))
			}
			var resources []string
			for _, resource := range oneOrMore(statement["Resource"]) {
				switch flat := stackstest.Text(resource); {
				case strings.Contains(stackstest.Text(plan.Properties["Workflows"]), `"ApprovalRole":`+flat):
					resources = append(resources, "approver")
				case strings.Contains(flat, "event-source-mapping"):
					resources = append(resources, "mapping "+mappingRegion(t, v, resource))
				case strings.Contains(flat, "hostedzone"):
					resources = append(resources, "zone")
				case strings.Contains(flat, "RecoveryReports"):
					resources = append(resources, "reports")
				default:
					resources = append(resources, fmt.Sprint(resource))
				}
			}
			for _, action := range stackstest.ActionsOf(statement) {
				got[action] = strings.TrimSpace(got[action] + " " + strings.Join(resources, " "))
			}
		}
		for action := range got {
			got[action] = inOrder(got[action])
		}
		for _, action := range slices.Sorted(maps.Keys(want)) {
			if got[action] != inOrder(want[action]) {
				t.Errorf("%s is allowed on\n %q, want\n %q", action, got[action], want[action])
			}
		}
		for _, action := range slices.Sorted(maps.Keys(got)) {
			if want[action] == "" {
				t.Errorf("%s is allowed, and no block needs it", action)
			}
		}
	})
}

// inOrder sorts words, but for "mapping", which belongs to the next.
func inOrder(words string) string {
	sorted := strings.Fields(strings.ReplaceAll(words, "mapping ", "mapping:"))
	slices.Sort(sorted)
	return strings.Join(sorted, " ")
}
