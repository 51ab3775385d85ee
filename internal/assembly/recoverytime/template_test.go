package recoverytime_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"payments-dr/internal/assembly"
	"payments-dr/internal/assembly/recoverytime"
	"payments-dr/internal/settings"
	"payments-dr/stacks"
	"payments-dr/stacks/stackstest"
)

// planSteps are the recovery plan's steps and its properties.
func planSteps(t *testing.T, a *assembly.Assembly) (steps []any, workflow, plan map[string]any) {
	t.Helper()
	_, plan = stackstest.ResourceOf(t, a, stacks.RoleGlobal, "AWS::ARCRegionSwitch::Plan", stackstest.AnyOf)
	workflow = assembly.Object(assembly.List(plan["Workflows"])[0])
	return assembly.List(workflow["Steps"]), workflow, plan
}

// automatic is the environment as if recovery.automatic were set: no approval, and an alarm in each Region that activates it.
func automatic(t *testing.T, env string) *assembly.Assembly {
	t.Helper()
	a := stackstest.Copy(t, env)
	if a.Settings.Recovery.Automatic {
		return a
	}
	steps, workflow, plan := planSteps(t, a)
	workflow["Steps"] = steps[1:]
	var triggers []any
	for _, region := range a.Settings.Both() {
		other := a.Settings.Other(region).Name
		assembly.Object(plan["AssociatedAlarms"])[other+"-impaired"] = map[string]any{
			"ResourceIdentifier": fmt.Sprintf("arn:aws:cloudwatch:%s:%s:alarm:payment-%s-%s-impaired", region.Name, a.Settings.Account, env, other),
		}
		triggers = append(triggers, map[string]any{
			"Action": "activate", "TargetRegion": region.Name, "Conditions": []any{map[string]any{"AssociatedAlarmName": other + "-impaired"}},
		})
	}
	plan["Triggers"] = triggers
	return a
}

func recoveryTimesOf(t *testing.T, a *assembly.Assembly) *recoverytime.Report {
	t.Helper()
	b, err := recoverytime.Of(a)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func ledgerPath(b *recoverytime.Report, region settings.Region) recoverytime.Path {
	return b.Paths[slices.IndexFunc(b.Paths, func(p recoverytime.Path) bool { return p.Kind == recoverytime.LedgerLost && p.Region == region.Name })]
}

// TestRecoveriesKeepTheirObjectives holds the worst cases, as shipped and with an automatic recovery.
func TestRecoveriesKeepTheirObjectives(t *testing.T) {
	for _, env := range stackstest.Environments {
		for how, a := range map[string]*assembly.Assembly{"as shipped": stackstest.Assembly(t, env), "automatic": automatic(t, env)} {
			t.Run(env+"/"+how, func(t *testing.T) {
				b := recoveryTimesOf(t, a)
				if err := b.Check(); err != nil {
					t.Error(err)
				}
				rto := time.Duration(a.Settings.Objectives.RTOMinutes) * time.Minute
				for _, path := range b.Paths {
					limit := rto
					if path.Kind == recoverytime.PaymentsLost {
						limit = min(rto, 2*time.Minute)
					}
					if worst := path.Total().Worst; worst > limit {
						t.Errorf("%s: up to %v, want at most %v", path.Name(), worst, limit)
					}
				}
			})
		}
	}
}

// TestWhoStartsTheRecovery has a person told by the first alarm that there is, and a trigger wait for the alarm over all of them.
func TestWhoStartsTheRecovery(t *testing.T) {
	for _, env := range stackstest.Environments {
		for how, a := range map[string]*assembly.Assembly{"as shipped": stackstest.Assembly(t, env), "automatic": automatic(t, env)} {
			for _, region := range a.Settings.Both() {
				path := ledgerPath(recoveryTimesOf(t, a), region)
				left, manual := path.LeftForPeople()
				switch told := path.Items[0].What; {
				case manual == a.Settings.Recovery.Automatic && how == "as shipped", manual && how == "automatic":
					t.Errorf("%s, %s, %s lost: manual is %v", env, how, region.Name, manual)
				case manual && (!strings.HasPrefix(told, "alarm payment-"+env+"-other-region-unreachable: ") || left.Worst <= 0 || left.Worst != path.Objective.Limit-path.Total().Worst):
					t.Errorf("%s, %s lost: %s tells, and leaves %v", env, region.Name, told, left)
				case !manual && !strings.HasPrefix(told, "alarm payment-"+env+"-replication-lag: "):
					t.Errorf("%s, %s lost: the trigger waits for %s", env, region.Name, told)
				}
			}
		}
	}
}

// templateNumber is a number that the recovery times read: who holds it and what it is called there, what a fault calls it after the
// resource's id, and a value that breaks an objective, with the path and the item that are then named.
type templateNumber struct {
	name   string
	holder func(t *testing.T, a *assembly.Assembly) (id string, holder map[string]any)
	key    string
	called string
	bad    float64
	kind   recoverytime.Kind
	item   string
}

func templateNumbers() []templateNumber {
	endpoint := func(t *testing.T, a *assembly.Assembly) (string, map[string]any) {
		id, properties := stackstest.ResourceOf(t, a, stacks.RoleGlobal, "AWS::Route53::HealthCheck", func(p map[string]any) bool {
			return strings.Contains(stackstest.Text(p["HealthCheckTags"]), a.Settings.Regions.Primary.Name+"-endpoint")
		})
		return id, assembly.Object(properties["HealthCheckConfig"])
	}
	serverErrors := func(t *testing.T, a *assembly.Assembly) (string, map[string]any) {
		return stackstest.ResourceOf(t, a, stacks.RolePrimary, "AWS::CloudWatch::Alarm", func(p map[string]any) bool {
			return p["AlarmName"] == "payment-"+a.Settings.Environment+"-api-failing"
		})
	}
	step := func(kind, block string) func(*testing.T, *assembly.Assembly) (string, map[string]any) {
		return func(t *testing.T, a *assembly.Assembly) (string, map[string]any) {
			id, _ := stackstest.ResourceOf(t, a, stacks.RoleGlobal, "AWS::ARCRegionSwitch::Plan", stackstest.AnyOf)
			steps, _, _ := planSteps(t, a)
			for _, s := range steps {
				if assembly.At(s, "ExecutionBlockType") == kind {
					return id, assembly.Object(assembly.At(s, "ExecutionBlockConfiguration", block))
				}
			}
			t.Fatalf("the plan has no step of the kind %s", kind)
			return "", nil
		}
	}
	function := func(t *testing.T, a *assembly.Assembly) (string, map[string]any) {
		return stackstest.ResourceOf(t, a, stacks.RoleSecondary, "AWS::Lambda::Function", func(p map[string]any) bool {
			return p["FunctionName"] == "payment-"+a.Settings.Environment+"-ledger"
		})
	}
	mapping := func(t *testing.T, a *assembly.Assembly) (string, map[string]any) {
		id, _ := function(t, a)
		return stackstest.ResourceOf(t, a, stacks.RoleSecondary, "AWS::Lambda::EventSourceMapping", func(p map[string]any) bool {
			return stackstest.Text(p["FunctionName"]) == stackstest.Text(stackstest.Ref(id))
		})
	}
	return []templateNumber{
		{"interval of the health check", endpoint, "RequestInterval", ".HealthCheckConfig.RequestInterval", 30, recoverytime.PaymentsLost, "health check: 2 in a row fail, 30s apart, up to 1m12s"},
		{"threshold of the health check", endpoint, "FailureThreshold", ".HealthCheckConfig.FailureThreshold", 10, recoverytime.PaymentsLost, "health check: 10 in a row fail, 10s apart, up to 2m40s"},
		{"period of the alarm", serverErrors, "Period", ".Period", 300, recoverytime.PaymentsFailing, "-api-failing: 2 periods of 5m, up to 15m"},
		{"periods of the alarm", serverErrors, "EvaluationPeriods", ".EvaluationPeriods", 15, recoverytime.PaymentsFailing, "-api-failing: 15 periods of 1m, up to 16m"},
		{"limit of the promotion", step("AuroraGlobalDatabase", "GlobalAuroraConfig"), "TimeoutMinutes", ` step "promote the database".TimeoutMinutes`, 20, recoverytime.LedgerLost, `step "promote the database", up to 20m`},
		{"batching window", mapping, "MaximumBatchingWindowInSeconds", ".MaximumBatchingWindowInSeconds", 600, recoverytime.LedgerLost, "the ledger records its first batch, up to 11m"},
		{"timeout of the ledger", function, "Timeout", ".Timeout", 900, recoverytime.LedgerLost, "the ledger records its first batch, up to 15m1s"},
	}
}

func TestEachNumberOfTheTemplatesCanBreakItsObjective(t *testing.T) {
	for _, env := range stackstest.Environments {
		for _, n := range templateNumbers() {
			t.Run(env+"/"+n.name, func(t *testing.T) {
				a := automatic(t, env)
				id, holder := n.holder(t, a)
				if _, ok := holder[n.key]; !ok {
					t.Fatalf("there is no %s", n.key)
				}
				holder[n.key] = n.bad
				err := recoveryTimesOf(t, a).Check()
				misses, ok := errors.AsType[recoverytime.Misses](err)
				if !ok || len(misses) != 1 || misses[0].Kind != n.kind || !strings.Contains(err.Error(), n.item) || !strings.Contains(err.Error(), "the largest item is ") {
					t.Errorf("%s = %v: %v\nwant %s, and the item %s", n.key, n.bad, err, n.kind, n.item)
				}
				delete(holder, n.key)
				if _, err := recoverytime.Of(a); err == nil || !strings.Contains(err.Error(), id+n.called+" is missing in the templates") {
					t.Errorf("without %s: %v, want %s%s to be missing", n.key, err, id, n.called)
				}
			})
		}
	}
}

func TestTheApprovalCountsWhereThereIsOne(t *testing.T) {
	approved := 0
	for _, env := range stackstest.Environments {
		if stackstest.Assembly(t, env).Settings.Recovery.Automatic {
			continue
		}
		approved++
		a := stackstest.Copy(t, env)
		lost := a.Settings.Regions.Primary
		before := ledgerPath(recoveryTimesOf(t, a), lost)
		steps, _, _ := planSteps(t, a)
		approval := assembly.Object(assembly.At(steps[0], "ExecutionBlockConfiguration", "ExecutionApprovalConfig"))
		limit := approval["TimeoutMinutes"].(float64)
		approval["TimeoutMinutes"] = 10.0
		b := recoveryTimesOf(t, a)
		if grown := ledgerPath(b, lost).Total().Worst - before.Total().Worst; grown.Minutes() != 10-limit {
			t.Errorf("%s: with an approval of 10 minutes for %v the ledger takes %v longer", env, limit, grown)
		}
		if err := b.Check(); err == nil || !strings.Contains(err.Error(), `the largest item is step "approve", up to 10m`) {
			t.Errorf("%s: %v", env, err)
		}
		delete(approval, "TimeoutMinutes")
		if _, err := recoverytime.Of(a); err == nil || !strings.Contains(err.Error(), `step "approve".TimeoutMinutes is missing`) {
			t.Errorf("%s: %v", env, err)
		}
	}
	if approved == 0 {
		t.Skip("no environment recovers by hand")
	}
}

// TestTheAlarmOnALostRegionCounts changes the slowest alarm that the detection waits for, and takes away the one that is the first.
func TestTheAlarmOnALostRegionCounts(t *testing.T) {
	for _, env := range stackstest.Environments {
		for how, at := range map[string]func() *assembly.Assembly{
			"as shipped": func() *assembly.Assembly { return stackstest.Copy(t, env) }, "automatic": func() *assembly.Assembly { return automatic(t, env) },
		} {
			a := at()
			lost := a.Settings.Regions.Primary
			path := ledgerPath(recoveryTimesOf(t, a), lost)
			name, _, _ := strings.Cut(strings.TrimPrefix(path.Items[0].What, "alarm "), ":")
			_, alarm := stackstest.ResourceOf(t, a, stacks.RoleSecondary, "AWS::CloudWatch::Alarm", func(p map[string]any) bool { return p["AlarmName"] == name })
			delete(alarm, "DatapointsToAlarm")
			alarm["EvaluationPeriods"] = 20.0
			if err := recoveryTimesOf(t, a).Check(); err == nil || !strings.Contains(err.Error(), "the largest item is alarm "+name+": 20 periods of ") {
				t.Errorf("%s, %s: %v, want the alarm %s", env, how, err, name)
			}
			delete(alarm, "EvaluationPeriods")
			if _, err := recoverytime.Of(a); err == nil || !strings.Contains(err.Error(), ".EvaluationPeriods is missing") {
				t.Errorf("%s, %s: %v", env, how, err)
			}

			a = at()
			first, kind := "payment-"+env+"-"+lost.Name+"-impaired", "AWS::CloudWatch::CompositeAlarm"
			if _, manual := path.LeftForPeople(); manual {
				first, kind = "payment-"+env+"-other-region-unreachable", "AWS::CloudWatch::Alarm"
			}
			id, _ := stackstest.ResourceOf(t, a, stacks.RoleSecondary, kind, func(p map[string]any) bool { return p["AlarmName"] == first })
			stack, _ := a.Stack(stacks.RoleSecondary)
			delete(stack.Template.Resources, id)
			if _, err := recoverytime.Of(a); err == nil || !strings.Contains(err.Error(), "alarm "+first+" is missing in "+stack.Name) {
				t.Errorf("%s, %s: without the alarm %s: %v", env, how, first, err)
			}
		}
	}
}

// TestAutomaticRecoveryIsDocumented is about a sum that no environment of cdk.json prints.
func TestAutomaticRecoveryIsDocumented(t *testing.T) {
	document := strings.Join(strings.Fields(stackstest.File(t, "docs/operate/recovery-time.md")), " ")
	for _, env := range stackstest.Shipped {
		for _, path := range recoveryTimesOf(t, automatic(t, env)).Slowest() {
			sentence := "needs neither decision nor approval: " + recoverytime.Spell(path.Total().Worst) + " at the worst"
			if path.Kind == recoverytime.LedgerLost && !strings.Contains(document, sentence) {
				t.Errorf("docs/operate/recovery-time.md does not say that an automatic recovery %s", sentence)
			}
		}
	}
}
