package main

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"payments-dr/constructs"
	"payments-dr/internal/assembly"
	"payments-dr/internal/assembly/publicname"
	"payments-dr/internal/operate/restore"
	"payments-dr/internal/settings"
	"payments-dr/internal/simulation/route53"
	"payments-dr/stacks"
)

// inGlobal runs a test on the global template of every environment.
func inGlobal(t *testing.T, test func(t *testing.T, v view, s settings.Settings)) {
	t.Helper()
	for _, env := range environments {
		t.Run(env, func(t *testing.T) { test(t, viewOf(t, env, stacks.RoleGlobal), synthesized[env].Settings) })
	}
}

// The eight rows are those of the documentation of constructs.NewDNSFailover.
func TestPublicNameFollowsHealthAndPlan(t *testing.T) {
	const primary, secondary = "P", "S"
	rows := []struct {
		plan                   string
		primaryUp, secondaryUp bool
		want                   string
	}{
		{primary, true, true, primary},
		{primary, true, false, primary},
		{primary, false, true, secondary}, // by itself, without the plan
		{primary, false, false, primary},
		{secondary, true, true, secondary}, // a Region that is healthy again does not take payments back by itself
		{secondary, true, false, primary},  // better taken there than refused
		{secondary, false, true, secondary},
		{secondary, false, false, primary},
	}
	inGlobal(t, func(t *testing.T, v view, s settings.Settings) {
		zone, err := publicname.Read(v.assembly)
		if err != nil {
			t.Fatal(err)
		}
		letter := map[string]string{s.Regions.Primary.Name: primary, s.Regions.Secondary.Name: secondary}
		for _, row := range rows {
			// A Region is sick when its API does not answer, and as well when it answers with errors alone.
			for _, sick := range []route53.Kind{route53.KindEndpoint, route53.KindMetric} {
				up := map[string]bool{primary: row.primaryUp, secondary: row.secondaryUp}
				healthy := func(check route53.Check) bool {
					switch check.Kind {
					case route53.KindPlan:
						return letter[check.Region] == row.plan
					case sick:
						return up[letter[check.Region]]
					default:
						return true
					}
				}
				for _, kind := range []string{"A", "AAAA"} {
					got, err := zone.Answer(s.APIName(), kind, healthy)
					if err != nil {
						t.Fatal(err)
					}
					if letter[got] != row.want {
						t.Errorf("plan at %s, P healthy %v, S healthy %v (by %s): %s answers %s, want %s", row.plan, row.primaryUp, row.secondaryUp, sick, kind, letter[got], row.want)
					}
				}
			}
		}
		// Each Region can be asked for by name, whatever is healthy.
		for _, region := range s.Both() {
			got, err := zone.Answer(s.RegionalAPIName(region), "A", func(route53.Check) bool { return false })
			if err != nil || got != region.Name {
				t.Errorf("%s leads to %q, %v", s.RegionalAPIName(region), got, err)
			}
		}
	})
}

func TestRecords(t *testing.T) {
	inGlobal(t, func(t *testing.T, v view, s settings.Settings) {
		p, q := s.Regions.Primary.Name, s.Regions.Secondary.Name
		want := map[string][]string{
			p + "." + s.APIName(): {p + " "},
			q + "." + s.APIName(): {q + " "},
			"plan." + s.APIName(): {p + " PRIMARY", q + " SECONDARY"}, // by these the plan finds the Regions' records
			s.APIName():           {"plan, first " + p + " PRIMARY", q + " SECONDARY"},
		}
		zone, err := publicname.Read(v.assembly)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := zone.Names(), slices.Sorted(maps.Keys(want)); !slices.Equal(got, want) {
			t.Errorf("names %v, want %v", got, want)
		}
		for name, sets := range want {
			for _, kind := range []string{"A", "AAAA"} {
				var got []string
				for _, record := range zone.Records(name, kind) {
					got = append(got, record.SetIdentifier+" "+record.Failover)
				}
				if !slices.Equal(got, sets) {
					t.Errorf("%s %s: %q, want %q", name, kind, got, sets)
				}
			}
		}
		zoneID := any(s.DNS.HostedZoneID)
		for id, group := range v.of("AWS::Route53::RecordSetGroup") {
			if s.DNS.HostedZoneID == "" {
				origin, err := v.assembly.Origin(v.stack, group.Properties["HostedZoneId"])
				if err != nil || origin.Resource().Type != "AWS::Route53::HostedZone" {
					t.Errorf("%s is in %v, %v", id, origin.LogicalID, err)
				}
				continue
			}
			same(t, id+": zone", group.Properties["HostedZoneId"], zoneID)
		}
	})
}

// Health checkers have to reach the very path that the Region's own API answers without a signature.
func TestHealthChecksAskWhatTheAPIAnswers(t *testing.T) {
	inGlobal(t, func(t *testing.T, v view, s settings.Settings) {
		asked := map[string]bool{}
		for id, check := range v.of("AWS::Route53::HealthCheck") {
			config := assembly.Object(check.Properties["HealthCheckConfig"])
			if config["Type"] != "HTTPS" {
				continue
			}
			same(t, id+": interval", config["RequestInterval"], 10)
			same(t, id+": failures", config["FailureThreshold"], 3)
			same(t, id+": port", config["Port"], 443)
			same(t, id+": latency", config["MeasureLatency"], true)
			same(t, id+": SNI", config["EnableSNI"], true)
			checkers := assembly.List(config["Regions"])
			if len(checkers) < 3 {
				t.Errorf("%s: checked from %v, and Route 53 wants three Regions", id, checkers)
			}
			for _, checker := range checkers {
				if checker == s.Regions.Primary.Name || checker == s.Regions.Secondary.Name {
					t.Errorf("%s: checked from %v, a Region of the platform", id, checker)
				}
				if !slices.Contains([]any{"us-east-1", "us-west-1", "us-west-2", "eu-west-1", "ap-southeast-1", "ap-southeast-2", "ap-northeast-1", "sa-east-1"}, checker) {
					t.Errorf("%s: Route 53 does not check from %v", id, checker)
				}
			}

			host := assembly.List(assembly.At(config["FullyQualifiedDomainName"], "Fn::Join"))
			if len(host) != 2 || len(assembly.List(host[1])) != 2 {
				t.Fatalf("%s: host %s", id, text(config["FullyQualifiedDomainName"]))
			}
			api, err := v.assembly.Origin(v.stack, assembly.List(host[1])[0])
			if err != nil || api.Resource().Type != "AWS::ApiGateway::RestApi" {
				t.Fatalf("%s: host of %s, %v", id, api.LogicalID, err)
			}
			same(t, id+": host", assembly.List(host[1])[1], ".execute-api."+api.Stack.Region+".amazonaws.com")
			asked[api.Stack.Region] = true

			region := view{assembly: v.assembly, stack: api.Stack}
			stage, path, _ := strings.Cut(strings.TrimPrefix(fmt.Sprint(config["ResourcePath"]), "/"), "/")
			_, deployed := region.one(t, "AWS::ApiGateway::Stage")
			same(t, id+": stage", deployed.Properties["StageName"], stage)
			if !answersUnsigned(region, api.LogicalID, path) {
				t.Errorf("%s asks for %v, and the API of %s has no GET without a signature there", id, config["ResourcePath"], api.Stack.Region)
			}
		}
		if len(asked) != 2 {
			t.Errorf("checked are the APIs of %v", asked)
		}
	})
}

// answersUnsigned is whether an API has GET on a path, one level deep, for which no authorization is needed.
func answersUnsigned(v view, api, path string) bool {
	for id, resource := range v.of("AWS::ApiGateway::Resource") {
		if resource.Properties["PathPart"] != path || text(resource.Properties["ParentId"]) != text(getAtt(api, "RootResourceId")) {
			continue
		}
		for _, method := range v.of("AWS::ApiGateway::Method") {
			p := method.Properties
			if text(p["ResourceId"]) == text(ref(id)) && p["HttpMethod"] == "GET" && p["AuthorizationType"] == "NONE" {
				return true
			}
		}
	}
	return false
}

func TestServerErrorsMakeARegionSick(t *testing.T) {
	inGlobal(t, func(t *testing.T, v view, s settings.Settings) {
		watched := map[string]bool{}
		for id, check := range v.of("AWS::Route53::HealthCheck") {
			config := assembly.Object(check.Properties["HealthCheckConfig"])
			switch config["Type"] {
			case "CALCULATED":
				children := map[string]bool{}
				for _, child := range assembly.List(config["ChildHealthChecks"]) {
					origin, err := v.assembly.Origin(v.stack, child)
					if err != nil {
						t.Fatal(err)
					}
					children[fmt.Sprint(assembly.At(origin.Resource().Properties["HealthCheckConfig"], "Type"))] = true
				}
				same(t, id+": children", children, map[string]bool{"HTTPS": true, "CLOUDWATCH_METRIC": true})
				same(t, id+": threshold", config["HealthThreshold"], 2) // both
			case "CLOUDWATCH_METRIC":
				same(t, id+": without data", config["InsufficientDataHealthStatus"], "Healthy")
				identifier := assembly.Object(config["AlarmIdentifier"])
				watched[fmt.Sprint(identifier["Region"])] = true
				for _, role := range regionalRoles {
					region := viewOf(t, s.Environment, role)
					if region.stack.Region != identifier["Region"] {
						continue
					}
					alarm := region.named(t, "AWS::CloudWatch::Alarm", "AlarmName", fmt.Sprint(identifier["Name"])).Properties
					_, api := region.one(t, "AWS::ApiGateway::RestApi")
					same(t, "metric", []any{alarm["Namespace"], alarm["MetricName"], alarm["Statistic"]}, []any{"AWS/ApiGateway", "5XXError", "Average"})
					same(t, "dimensions", alarm["Dimensions"], []any{
						map[string]any{"Name": "ApiName", "Value": api.Properties["Name"]},
						map[string]any{"Name": "Stage", "Value": "live"},
					})
					same(t, "without data", alarm["TreatMissingData"], "notBreaching")
					// Route 53 takes a standard metric and statistic, all datapoints, and at least 60 seconds each.
					if alarm["Metrics"] != nil || alarm["DatapointsToAlarm"] != nil || alarm["ExtendedStatistic"] != nil || alarm["Period"].(float64) < 60 {
						t.Errorf("a health check cannot follow %s", text(alarm))
					}
				}
			}
		}
		if len(watched) != 2 {
			t.Errorf("server errors are watched in %v", watched)
		}
	})
}

func TestPublicNameHasACertificateInEachRegion(t *testing.T) {
	each(t, func(t *testing.T, v view) {
		s := v.assembly.Settings
		id, domain := v.one(t, "AWS::ApiGateway::DomainName")
		p := domain.Properties
		same(t, "name", p["DomainName"], s.APIName())
		same(t, "TLS", p["SecurityPolicy"], "TLS_1_2")
		same(t, "endpoint", p["EndpointConfiguration"], map[string]any{"Types": []any{"REGIONAL"}, "IpAddressType": "dualstack"})
		certificateID, certificate := v.one(t, "AWS::CertificateManager::Certificate")
		same(t, "certificate", p["RegionalCertificateArn"], ref(certificateID))
		same(t, "certificate's name", certificate.Properties["DomainName"], s.APIName())
		same(t, "validation", certificate.Properties["ValidationMethod"], "DNS")
		options := assembly.Object(assembly.List(certificate.Properties["DomainValidationOptions"])[0])
		if s.DNS.HostedZoneID != "" {
			same(t, "validated in", options["HostedZoneId"], s.DNS.HostedZoneID)
		} else if origin, err := v.assembly.Origin(v.stack, options["HostedZoneId"]); err != nil || origin.Resource().Type != "AWS::Route53::HostedZone" {
			t.Errorf("validated in %s, %v", text(options["HostedZoneId"]), err)
		}
		_, mapping := v.one(t, "AWS::ApiGateway::BasePathMapping")
		apiID, _ := v.one(t, "AWS::ApiGateway::RestApi")
		stageID, _ := v.one(t, "AWS::ApiGateway::Stage")
		same(t, "mapping", mapping.Properties, map[string]any{"DomainName": ref(id), "RestApiId": ref(apiID), "Stage": ref(stageID)})
	})
}

func TestPublicZoneIsMadeWhenThereIsNone(t *testing.T) {
	for _, env := range environments {
		made := 0
		for _, role := range []string{stacks.RolePrimary, stacks.RoleSecondary, stacks.RoleGlobal} {
			v := viewOf(t, env, role)
			for _, zone := range v.of("AWS::Route53::HostedZone") {
				made++
				same(t, env+": name", zone.Properties["Name"], v.assembly.Settings.DNS.ZoneName+".")
				// Enabling it would lock the zone while the certificates need records.
				same(t, env+": features", zone.Properties["HostedZoneFeatures"], nil)
				same(t, env+": when its stack goes", zone.DeletionPolicy, "Retain")
				if !strings.Contains(text(v.stack.Template.Outputs["NameServers"]), "NameServers") {
					t.Errorf("%s: the name servers are no output", env)
				}
			}
		}
		want := 1
		if synthesized[env].Settings.DNS.HostedZoneID != "" {
			want = 0
		}
		if made != want {
			t.Errorf("%s: %d hosted zones, want %d", env, made, want)
		}
	}
}

// A zone rejects records while accelerated recovery is being enabled, so that comes after everything that writes records: all of the
// first two stacks, and each set of records of the last one.
func TestAcceleratedRecoveryIsTheLastStep(t *testing.T) {
	for _, env := range environments {
		for _, role := range []string{stacks.RolePrimary, stacks.RoleSecondary, stacks.RoleGlobal} {
			v := viewOf(t, env, role)
			steps := v.of("Custom::AcceleratedRecovery")
			want := 0
			if role == stacks.RoleGlobal && synthesized[env].Settings.DNS.HostedZoneID == "" {
				want = 1
			}
			if len(steps) != want {
				t.Errorf("%s, %s: %d steps enable accelerated recovery, want %d", env, role, len(steps), want)
			}
			for _, step := range steps {
				if call := strings.ReplaceAll(text(step.Properties["Update"]), `\`, ""); !strings.Contains(call, `"action":"UpdateHostedZoneFeatures"`) || !strings.Contains(call, `"EnableAcceleratedRecovery":true`) {
					t.Errorf("%s: it calls %s", env, call)
				}
				after := assembly.Texts(step.DependsOn)
				for id := range v.of("AWS::Route53::RecordSetGroup") {
					if !slices.Contains(after, id) {
						t.Errorf("%s: accelerated recovery does not wait for %s", env, id)
					}
				}
			}
		}
	}
}

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

// blocks are the configurations of the plan's steps, by the step's name, those in parallel ones too.
func blocks(steps []any) map[string]map[string]any {
	all := map[string]map[string]any{}
	for _, s := range steps {
		step := assembly.Object(s)
		configuration := assembly.Object(step["ExecutionBlockConfiguration"])
		if step["ExecutionBlockType"] == "Parallel" {
			maps.Copy(all, blocks(assembly.List(assembly.At(configuration["ParallelConfig"], "Steps"))))
			continue
		}
		for _, block := range configuration {
			all[fmt.Sprint(step["Name"])] = assembly.Object(block)
		}
	}
	return all
}

func TestRecoveryPlanMovesEverythingInOrder(t *testing.T) {
	inGlobal(t, func(t *testing.T, v view, s settings.Settings) {
		_, resource := v.one(t, "AWS::ARCRegionSwitch::Plan")
		plan := resource.Properties
		p, q := s.Regions.Primary.Name, s.Regions.Secondary.Name
		same(t, "approach", plan["RecoveryApproach"], "activePassive")
		same(t, "Regions", plan["Regions"], []string{p, q})
		same(t, "primary", plan["PrimaryRegion"], p)
		same(t, "objective", plan["RecoveryTimeObjectiveMinutes"], s.Objectives.RTOMinutes)

		workflow := assembly.Object(assembly.List(plan["Workflows"])[0])
		same(t, "action", workflow["WorkflowTargetAction"], "activate")
		same(t, "target", workflow["WorkflowTargetRegion"], nil) // one workflow, for either Region
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

		block := blocks(steps)
		if !s.Recovery.Automatic {
			approver, err := v.assembly.Origin(v.stack, block[constructs.StepApprove]["ApprovalRole"])
			if err != nil || approver.Resource().Properties["RoleName"] != "payment-"+s.Environment+"-approver" {
				t.Errorf("approver %v, %v", approver.LogicalID, err)
			}
		}
		cluster := func(region string) string {
			return "arn:aws:rds:" + region + ":" + s.Account + ":cluster:payment-" + s.Environment + "-" + region
		}
		same(t, "database", block[constructs.StepPromote], map[string]any{
			"GlobalClusterIdentifier": "payment-" + s.Environment, "DatabaseClusterArns": []string{cluster(p), cluster(q)},
			"Behavior": behavior, "Ungraceful": map[string]any{"Ungraceful": "failover"}, "TimeoutMinutes": s.Recovery.StepMinutes.Promotion,
		})
		for _, role := range regionalRoles { // the clusters exist by these names
			region := viewOf(t, s.Environment, role)
			region.named(t, "AWS::RDS::DBCluster", "DBClusterIdentifier", "payment-"+s.Environment+"-"+region.stack.Region)
		}

		// Activating a Region switches its own mapping on and the other's off.
		for step, actsOn := range map[string]func(activated string) string{
			constructs.StepStartLedger: func(activated string) string { return activated },
			constructs.StepStopLedger:  func(activated string) string { return map[string]string{p: q, q: p}[activated] },
		} {
			mappings := assembly.Object(block[step]["RegionEventSourceMappings"])
			if len(mappings) != 2 {
				t.Errorf("%s: mappings %s", step, text(mappings))
			}
			for activated, mapping := range mappings {
				region := mappingRegion(t, v, assembly.At(mapping, "Arn"))
				if want := actsOn(activated); region != want {
					t.Errorf("%s, activating %s: acts on %s, want %s", step, activated, region, want)
				}
			}
		}
		same(t, "start", block[constructs.StepStartLedger]["Action"], "enable")
		same(t, "start without the other Region", block[constructs.StepStartLedger]["Ungraceful"], nil)
		same(t, "stop", block[constructs.StepStopLedger]["Action"], "disable")
		same(t, "stop without the other Region", block[constructs.StepStopLedger]["Ungraceful"], map[string]any{"Behavior": "skip"})

		reconcile := block[constructs.StepReconcile]
		same(t, "reconcile in", reconcile["RegionToRun"], "activatingRegion")
		var functions []any
		for _, role := range regionalRoles {
			region := viewOf(t, s.Environment, role)
			name := region.function(t, "reconcile").Properties["FunctionName"]
			functions = append(functions, map[string]any{"Arn": fmt.Sprintf("arn:aws:lambda:%s:%s:function:%v", region.stack.Region, s.Account, name)})
			same(t, "window", assembly.At(region.function(t, "reconcile").Properties["Environment"], "Variables", "RECONCILE_LOOKBACK_MINUTES"), fmt.Sprint(s.Recovery.ReconcileMinutes))
		}
		same(t, "reconcile by", reconcile["Lambdas"], functions)

		traffic := block[constructs.StepTraffic]
		same(t, "record", traffic["RecordName"], "plan."+s.APIName())
		same(t, "record sets", traffic["RecordSets"], []any{
			map[string]any{"RecordSetIdentifier": p, "Region": p}, map[string]any{"RecordSetIdentifier": q, "Region": q},
		})
		zone, err := publicname.Read(v.assembly)
		if err != nil {
			t.Fatal(err)
		}
		for _, record := range zone.Records("plan."+s.APIName(), "A") { // the plan's own evaluation looks for this
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
func mappingRegion(t *testing.T, v view, arn any) string {
	t.Helper()
	parts := assembly.List(assembly.List(assembly.At(arn, "Fn::Join"))[1])
	origin, err := v.assembly.Origin(v.stack, parts[1])
	if err != nil {
		t.Fatal(err)
	}
	if origin.Resource().Type != "AWS::Lambda::EventSourceMapping" || !strings.Contains(text(origin.Resource().Properties["EventSourceArn"]), "LedgerQueue") {
		t.Errorf("%s is %s, and no ledger mapping", text(arn), origin.LogicalID)
	}
	same(t, "ARN", parts[0], "arn:aws:lambda:"+origin.Stack.Region+":"+v.assembly.Settings.Account+":event-source-mapping:")
	return origin.Stack.Region
}

func TestRecoveryStartsByAlarmWhenAutomaticAlone(t *testing.T) {
	automatic := 0
	inGlobal(t, func(t *testing.T, v view, s settings.Settings) {
		_, resource := v.one(t, "AWS::ARCRegionSwitch::Plan")
		alarms := assembly.Object(resource.Properties["AssociatedAlarms"])
		triggers := assembly.List(resource.Properties["Triggers"])
		if !s.Recovery.Automatic {
			if len(triggers) != 0 {
				t.Errorf("triggers %s", text(triggers))
			}
			for name, alarm := range alarms {
				same(t, name, assembly.At(alarm, "AlarmType"), "applicationHealth") // an alarm of the other type starts the plan as well
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
			same(t, "action", trigger["Action"], "activate")
			same(t, "condition", trigger["Conditions"], []any{map[string]any{"AssociatedAlarmName": other + "-impaired", "Condition": "red"}})
			// The alarm about a Region is in the other one, the one that is then activated.
			same(t, "alarm", alarms[other+"-impaired"], map[string]any{
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
	inGlobal(t, func(t *testing.T, v view, s settings.Settings) {
		_, plan := v.one(t, "AWS::ARCRegionSwitch::Plan")
		origin, err := v.assembly.Origin(v.stack, plan.Properties["ExecutionRole"])
		if err != nil {
			t.Fatal(err)
		}
		same(t, "trusted", assembly.At(assembly.List(assembly.At(origin.Resource().Properties["AssumeRolePolicyDocument"], "Statement"))[0], "Principal"), map[string]any{"Service": "arc-region-switch.amazonaws.com"})
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
		for _, statement := range v.statements()[origin.LogicalID] {
			if statement["Effect"] != "Allow" {
				t.Errorf("statement %s", text(statement))
			}
			var resources []string
			for _, resource := range oneOrMore(statement["Resource"]) {
				switch flat := text(resource); {
				case strings.Contains(text(plan.Properties["Workflows"]), `"ApprovalRole":`+flat):
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
			for _, action := range actionsOf(statement) {
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

func oneOrMore(part any) []any {
	if l := assembly.List(part); l != nil {
		return l
	}
	return []any{part}
}

func TestRecoveryReportsAreKeptAYear(t *testing.T) {
	inGlobal(t, func(t *testing.T, v view, s settings.Settings) {
		id, bucket := v.one(t, "AWS::S3::Bucket")
		p := bucket.Properties
		same(t, "encrypted", p["BucketEncryption"], map[string]any{"ServerSideEncryptionConfiguration": []any{
			map[string]any{"ServerSideEncryptionByDefault": map[string]any{"SSEAlgorithm": "AES256"}},
		}})
		same(t, "versioned", p["VersioningConfiguration"], map[string]any{"Status": "Enabled"})
		same(t, "public access", p["PublicAccessBlockConfiguration"], map[string]any{
			"BlockPublicAcls": true, "BlockPublicPolicy": true, "IgnorePublicAcls": true, "RestrictPublicBuckets": true,
		})
		rule := assembly.Object(assembly.List(assembly.At(p["LifecycleConfiguration"], "Rules"))[0])
		same(t, "kept", []any{rule["Status"], rule["ExpirationInDays"], assembly.At(rule["NoncurrentVersionExpiration"], "NoncurrentDays")}, []any{"Enabled", 365, 365})
		same(t, "when the stack goes", bucket.DeletionPolicy, "RetainExceptOnCreate")
		_, plan := v.one(t, "AWS::ARCRegionSwitch::Plan")
		same(t, "the plan reports to", plan.Properties["ReportConfiguration"], map[string]any{"ReportOutput": []any{
			map[string]any{"S3Configuration": map[string]any{"BucketPath": ref(id), "BucketOwner": s.Account}},
		}})
	})
}

func TestOperatorRoles(t *testing.T) {
	names := map[string]bool{}
	each(t, func(t *testing.T, v view) {
		s, region := v.assembly.Settings, v.stack.Region
		role, id := roleNamed(t, v, "payment-"+s.Environment+"-operator-"+region)
		names[s.Environment+region] = true
		assumableByTheRightPeople(t, role, s, s.Operators.Principals)
		allowed := map[string]bool{}
		for _, statement := range v.statements()[id] {
			condition := text(statement["Condition"])
			if statement["Sid"] == "PayTestPayments" {
				continue // in both Regions: TestOperatorMayHoldADrill
			}
			if !strings.Contains(condition, `"aws:RequestedRegion":"`+region+`"`) && !regexp.MustCompile(`"kms:ViaService":"(rds|sqs)\.`+region+`\.amazonaws\.com"`).MatchString(condition) {
				t.Errorf("%v is allowed in other Regions too: %s", statement["Sid"], condition)
			}
			for _, action := range actionsOf(statement) {
				allowed[action] = true
				if strings.HasSuffix(action, "*") {
					t.Errorf("%s is allowed", action)
				}
			}
			if text(statement["Resource"]) == `"*"` {
				same(t, "on everything", actionsOf(statement), []string{
					"arc-region-switch:ListPlansInRegion", "backup:ListRestoreJobs", "cloudwatch:DescribeAlarms", "cloudwatch:GetMetricData", "cloudwatch:ListMetrics", "dynamodb:ListTables", "rds:DescribeGlobalClusters",
				})
			}
		}
		for _, action := range []string{"arc-region-switch:StartPlanExecution", "arc-region-switch:GetPlanExecution", "cloudwatch:GetMetricData",
			"ssm:GetParameter", "rds:RestoreDBClusterToPointInTime", "dynamodb:RestoreTableToPointInTime"} {
			if !allowed[action] {
				t.Errorf("%s is not allowed", action)
			}
		}
		for action := range allowed {
			// Both take another person, if anybody has to approve: to skip a step may be to skip the approval.
			if action == "arc-region-switch:ApprovePlanExecutionStep" || action == "arc-region-switch:UpdatePlanExecutionStep" && !s.Recovery.Automatic {
				t.Errorf("%s is allowed", action)
			}
			for _, service := range []string{"iam:", "sts:", "s3:", "route53:", "secretsmanager:", "execute-api:"} {
				if strings.HasPrefix(action, service) {
					t.Errorf("%s is allowed", action)
				}
			}
			for _, verb := range []string{"Failover", "Switchover", "Modify", "PutParameter", "Disable"} {
				if strings.Contains(action, verb) {
					t.Errorf("%s is allowed", action)
				}
			}
		}
		// What changes or removes anything is for what a restore has made, and for nothing else. What brings messages back is in
		// replay_template_test.go.
		for _, statement := range v.statements()[id] {
			for _, action := range actionsOf(statement) {
				for _, verb := range []string{"Delete", "Write", "PutItem", "Update", "Tag", "GetItem", "Query", "Scan"} {
					if !strings.Contains(action, verb) || strings.HasPrefix(action, "arc-region-switch:") || strings.HasPrefix(action, "sqs:") || statement["Sid"] == "FindTestPayments" {
						continue // what a drill may read is TestOperatorMayHoldADrill's
					}
					for _, resource := range resourcesOf(statement) {
						if !strings.HasSuffix(text(resource), `-restore-*"`) {
							t.Errorf("%s is allowed on %s", action, text(resource))
						}
					}
				}
			}
		}
	})
	if len(names) != 6 {
		t.Errorf("roles for %v", names)
	}
	inGlobal(t, func(t *testing.T, v view, s settings.Settings) {
		if s.Recovery.Automatic {
			if strings.Contains(text(v.stack.Template.Resources), "-approver") {
				t.Error("an approver, and nothing to approve")
			}
			return
		}
		role, id := roleNamed(t, v, "payment-"+s.Environment+"-approver")
		assumableByTheRightPeople(t, role, s, s.Operators.Approvers)
		var approves bool
		for _, statement := range v.statements()[id] {
			for _, action := range actionsOf(statement) {
				approves = approves || action == "arc-region-switch:ApprovePlanExecutionStep"
				if action == "arc-region-switch:StartPlanExecution" {
					t.Error("who approves can also start")
				}
			}
		}
		if !approves {
			t.Error("the approver cannot approve")
		}
	})
}

// resourcesOf are what a statement is about, one or many.
func resourcesOf(statement map[string]any) []any {
	if many := assembly.List(statement["Resource"]); many != nil {
		return many
	}
	return []any{statement["Resource"]}
}

// permits reports whether one of the statements allows an action on a resource. Resources that are no plain text permit
// nothing.
func permits(statements []map[string]any, action, resource string) bool {
	for _, statement := range statements {
		if statement["Effect"] != "Allow" || !slices.Contains(actionsOf(statement), action) {
			continue
		}
		for _, pattern := range resourcesOf(statement) {
			if pattern, ok := pattern.(string); ok && matches(pattern, resource) {
				return true
			}
		}
	}
	return false
}

// matches is how IAM compares: "*" stands for any text.
func matches(pattern, resource string) bool {
	parts := strings.Split(regexp.QuoteMeta(pattern), `\*`)
	return regexp.MustCompile("^" + strings.Join(parts, ".*") + "$").MatchString(resource)
}

// The way back in time is internal/operate/restore's: what it calls, on what it names so.
func TestOperatorMayGoTheWayBack(t *testing.T) {
	moment := time.Date(2026, 11, 19, 15, 36, 33, 0, time.UTC)
	each(t, func(t *testing.T, v view) {
		s, region := v.assembly.Settings, v.stack.Region
		_, id := roleNamed(t, v, "payment-"+s.Environment+"-operator-"+region)
		_, live := v.one(t, "AWS::RDS::DBCluster")
		cluster := live.Properties["DBClusterIdentifier"].(string)
		table := "payment-" + s.Environment + "-sessions"
		clusterCopy, tableCopy := restore.Name(cluster, moment), restore.Name(table, moment)
		rds := func(kind, name string) string {
			return "arn:aws:rds:" + region + ":" + s.Account + ":" + kind + ":" + name
		}
		dynamodb := func(name string) string { return "arn:aws:dynamodb:" + region + ":" + s.Account + ":table/" + name }
		for action, resources := range map[string][]string{
			"rds:DescribeDBClusters":  {rds("cluster", cluster), rds("cluster", clusterCopy)},
			"rds:DescribeDBInstances": {rds("db", cluster+"-1"), rds("db", clusterCopy+"-1")},
			"rds:RestoreDBClusterToPointInTime": {rds("cluster", cluster), rds("cluster", clusterCopy),
				rds("subgrp", cluster), rds("cluster-pg", cluster), rds("og", "default:aurora-mysql-8-0")},
			"rds:CreateDBInstance": {rds("cluster", clusterCopy), rds("db", clusterCopy+"-1"),
				rds("subgrp", cluster), rds("pg", "default.aurora-mysql8.0"), rds("og", "default:aurora-mysql-8-0")},
			"rds:AddTagsToResource":              {rds("cluster", clusterCopy)},
			"rds:DeleteDBInstance":               {rds("db", clusterCopy+"-1")},
			"rds:DeleteDBCluster":                {rds("cluster", clusterCopy)},
			"dynamodb:DescribeContinuousBackups": {dynamodb(table)},
			"dynamodb:RestoreTableToPointInTime": {dynamodb(table), dynamodb(tableCopy)},
			"dynamodb:DescribeTable":             {dynamodb(tableCopy)},
			"dynamodb:DeleteTable":               {dynamodb(tableCopy)},
			// As whoever restores, DynamoDB reads and writes the copy.
			"dynamodb:BatchWriteItem": {dynamodb(tableCopy)}, "dynamodb:DeleteItem": {dynamodb(tableCopy)},
			"dynamodb:GetItem": {dynamodb(tableCopy)}, "dynamodb:PutItem": {dynamodb(tableCopy)}, "dynamodb:Query": {dynamodb(tableCopy)},
			"dynamodb:Scan": {dynamodb(tableCopy)}, "dynamodb:UpdateItem": {dynamodb(tableCopy)},
		} {
			for _, resource := range resources {
				if !permits(v.statements()[id], action, resource) {
					t.Errorf("%s on %s is not allowed", action, resource)
				}
			}
		}
		for action, resource := range map[string]string{
			"rds:CreateDBInstance": rds("cluster", cluster), "rds:AddTagsToResource": rds("cluster", cluster),
			"rds:DeleteDBCluster": rds("cluster", cluster), "rds:DeleteDBInstance": rds("db", cluster+"-1"),
			"dynamodb:DeleteTable": dynamodb(table), "dynamodb:PutItem": dynamodb(table), "dynamodb:Scan": dynamodb(table),
		} {
			if permits(v.statements()[id], action, resource) {
				t.Errorf("%s on %s is allowed", action, resource)
			}
		}
	})
}

func roleNamed(t *testing.T, v view, name string) (assembly.Resource, string) {
	t.Helper()
	for id, role := range v.of("AWS::IAM::Role") {
		if role.Properties["RoleName"] == name {
			return role, id
		}
	}
	t.Fatalf("there is no role %s", name)
	return assembly.Resource{}, ""
}

// assumableByTheRightPeople checks a role's trust: the principals of the settings or else the account, with multi-factor
// authentication in production.
func assumableByTheRightPeople(t *testing.T, role assembly.Resource, s settings.Settings, principals []string) {
	t.Helper()
	want := slices.Clone(principals)
	if len(want) == 0 {
		want = []string{s.Account}
	}
	var trusted []string
	for _, st := range assembly.List(assembly.At(role.Properties["AssumeRolePolicyDocument"], "Statement")) {
		statement := assembly.Object(st)
		for _, principal := range oneOrMore(assembly.At(statement["Principal"], "AWS")) {
			name := flatten(principal)
			if account, ok := strings.CutSuffix(name, ":root"); ok {
				name = strings.TrimPrefix(account, "arn:aws:iam::")
			}
			trusted = append(trusted, name)
		}
		mfa := text(assembly.At(statement["Condition"], "Bool", "aws:MultiFactorAuthPresent")) == `"true"`
		if s.Production && !mfa {
			t.Errorf("%v may be assumed without multi-factor authentication: %s", role.Properties["RoleName"], text(statement))
		}
	}
	slices.Sort(trusted)
	slices.Sort(want)
	if !slices.Equal(trusted, want) {
		t.Errorf("%v trusts %q, want %q", role.Properties["RoleName"], trusted, want)
	}
}

// What the secondary's stack needs from the primary's Region when it is updated is nothing: each value of another stack is a
// parameter of its own Region, which the producer has written there.
func TestEveryReadAcrossRegionsIsFromTheOwnRegion(t *testing.T) {
	for env, want := range map[string][]string{
		envDev: {
			"payment-dev-global (us-east-1) reads Endpoint.Address of AWS::RDS::DBCluster of payment-dev-secondary in us-east-1",
			"payment-dev-global (us-east-1) reads Ref of AWS::ApiGateway::RestApi of payment-dev-secondary in us-east-1",
			"payment-dev-global (us-east-1) reads Ref of AWS::Lambda::EventSourceMapping of payment-dev-secondary in us-east-1",
			"payment-dev-global (us-east-1) reads RegionalDomainName of AWS::ApiGateway::DomainName of payment-dev-secondary in us-east-1",
			"payment-dev-global (us-east-1) reads RegionalHostedZoneId of AWS::ApiGateway::DomainName of payment-dev-secondary in us-east-1",
			"payment-dev-secondary (us-west-2) reads Endpoint.Address of AWS::RDS::DBCluster of payment-dev-primary in us-west-2",
			"payment-dev-secondary (us-west-2) reads Ref of AWS::Route53::HostedZone of payment-dev-primary in us-west-2",
		},
		envEurope: { // an existing zone: one read less. The global stack is in neither Region.
			"payment-europe-global (us-east-1) reads Endpoint.Address of AWS::RDS::DBCluster of payment-europe-secondary in us-east-1",
			"payment-europe-global (us-east-1) reads Ref of AWS::ApiGateway::RestApi of payment-europe-primary in us-east-1",
			"payment-europe-global (us-east-1) reads Ref of AWS::ApiGateway::RestApi of payment-europe-secondary in us-east-1",
			"payment-europe-global (us-east-1) reads Ref of AWS::Lambda::EventSourceMapping of payment-europe-primary in us-east-1",
			"payment-europe-global (us-east-1) reads Ref of AWS::Lambda::EventSourceMapping of payment-europe-secondary in us-east-1",
			"payment-europe-global (us-east-1) reads RegionalDomainName of AWS::ApiGateway::DomainName of payment-europe-primary in us-east-1",
			"payment-europe-global (us-east-1) reads RegionalDomainName of AWS::ApiGateway::DomainName of payment-europe-secondary in us-east-1",
			"payment-europe-global (us-east-1) reads RegionalHostedZoneId of AWS::ApiGateway::DomainName of payment-europe-primary in us-east-1",
			"payment-europe-global (us-east-1) reads RegionalHostedZoneId of AWS::ApiGateway::DomainName of payment-europe-secondary in us-east-1",
			"payment-europe-secondary (eu-central-1) reads Endpoint.Address of AWS::RDS::DBCluster of payment-europe-primary in eu-central-1",
		},
	} {
		a := synthesized[env]
		var got []string
		for _, stack := range a.Stacks {
			v := view{assembly: a, stack: stack}
			for id, reader := range v.of("Custom::CrossRegionExportReader") {
				properties := assembly.Object(reader.Properties["ReaderProps"])
				for name, value := range assembly.Object(properties["imports"]) {
					same(t, name, value, "{{resolve:ssm:"+name+"}}") // CloudFormation resolves it in the stack's own Region
					origin, err := a.Origin(stack, getAtt(id, name))
					if err != nil {
						t.Error(err)
						continue
					}
					attribute := origin.Attribute
					if attribute == "" {
						attribute = "Ref"
					}
					got = append(got, fmt.Sprintf("%s (%s) reads %s of %s of %s in %v", stack.Name, stack.Region, attribute, origin.Resource().Type, origin.Stack.Name, properties["region"]))
				}
			}
			// The other ways to read from elsewhere: an output of a stack of another Region, or a call to one.
			if all := text(stack.Template.Resources); strings.Contains(all, "Fn::GetStackOutput") {
				t.Errorf("%s has a weak reference", stack.Name)
			}
			for id, custom := range v.of("Custom::AWS") {
				create := flatten(custom.Properties["Create"])
				if strings.Contains(create, `"region":"`) && !strings.Contains(create, `"action":"PutParameter"`) {
					t.Errorf("%s calls another Region: %s", id, create)
				}
			}
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%s:\n%s\nwant\n%s", env, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
}
