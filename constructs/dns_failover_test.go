package constructs_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"payments-dr/internal/assembly"
	"payments-dr/internal/assembly/publicname"
	"payments-dr/internal/settings"
	"payments-dr/internal/simulation/route53"
	"payments-dr/stacks"
	"payments-dr/stacks/stackstest"
)

// inGlobal runs a test on the global template of every environment.
func inGlobal(t *testing.T, test func(t *testing.T, v stackstest.View, s settings.Settings)) {
	t.Helper()
	for _, env := range stackstest.Environments {
		t.Run(env, func(t *testing.T) {
			test(t, stackstest.ViewOf(t, env, stacks.RoleGlobal), stackstest.Assembly(t, env).Settings)
		})
	}
}

// The rows and columns are those of the documentation of constructs.NewDNSFailover.
func TestPublicNameFollowsHealthAndPlan(t *testing.T) {
	const primary, secondary, chosen = "P", "S", "the plan's choice"
	states := []string{"steady", "unsteady", "failing", "lost"}
	rows := [][]string{ // the state of P, by that of S
		{chosen, primary, primary, primary},
		{secondary, primary, primary, primary},
		{secondary, secondary, secondary, primary},
		{secondary, secondary, secondary, primary},
	}
	inGlobal(t, func(t *testing.T, v stackstest.View, s settings.Settings) {
		zone, err := publicname.Read(v.Assembly)
		if err != nil {
			t.Fatal(err)
		}
		letter := map[string]string{s.Regions.Primary.Name: primary, s.Regions.Secondary.Name: secondary}
		// A failing Region does not answer, or answers with errors alone.
		for _, sick := range []route53.Kind{route53.KindEndpoint, route53.KindMetric} {
			healthyWhile := map[string][]route53.Kind{
				"steady":   {route53.KindEndpoint, route53.KindMetric, route53.KindText, route53.KindConnection},
				"unsteady": {route53.KindEndpoint, route53.KindMetric, route53.KindConnection},
				"failing":  {route53.KindConnection},
				"lost":     {},
			}
			for _, kind := range []route53.Kind{route53.KindEndpoint, route53.KindMetric} {
				if kind != sick {
					healthyWhile["failing"] = append(healthyWhile["failing"], kind)
				}
			}
			for _, plan := range []string{primary, secondary} {
				for i, row := range rows {
					for j, want := range row {
						if want == chosen {
							want = plan
						}
						state := map[string]string{primary: states[i], secondary: states[j]}
						got, err := zone.Answer(s.APIName(), func(check route53.Check) bool {
							if check.Kind == route53.KindPlan {
								return letter[check.Region] == plan
							}
							return slices.Contains(healthyWhile[state[letter[check.Region]]], check.Kind)
						})
						if err != nil {
							t.Fatal(err)
						}
						if letter[got.Region] != want || got.TTL != time.Duration(s.DNS.TTLSeconds)*time.Second {
							t.Errorf("plan at %s, P %s, S %s (by %s): answers %s for %v, want %s", plan, states[i], states[j], sick, letter[got.Region], got.TTL, want)
						}
					}
				}
			}
		}
		// Each Region can be asked for by name, whatever is healthy.
		for _, region := range s.Both() {
			got, err := zone.Answer(s.RegionalAPIName(region), func(route53.Check) bool { return false })
			if err != nil || got.Region != region.Name {
				t.Errorf("%s leads to %q, %v", s.RegionalAPIName(region), got.Region, err)
			}
		}
	})
}

func TestRecords(t *testing.T) {
	inGlobal(t, func(t *testing.T, v stackstest.View, s settings.Settings) {
		p, q := s.Regions.Primary.Name, s.Regions.Secondary.Name
		want := map[string][]string{
			p + ".region." + s.APIName(): {p + " "},
			q + ".region." + s.APIName(): {q + " "},
			p + ".steady." + s.APIName(): {p + " "},
			q + ".steady." + s.APIName(): {q + " "},
			"planned." + s.APIName():     {p + " PRIMARY", q + " SECONDARY"}, // by these the plan finds the Regions' records
			"steady." + s.APIName():      {"plan, first " + p + " PRIMARY", q + " SECONDARY"},
			"fallback." + s.APIName():    {p + " PRIMARY", q + " SECONDARY"},
			s.APIName():                  {"steady, first " + p + " PRIMARY", "fallback, first " + p + " SECONDARY"},
		}
		zone, err := publicname.Read(v.Assembly)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := zone.Names(), slices.Sorted(maps.Keys(want)); !slices.Equal(got, want) {
			t.Errorf("names %v, want %v", got, want)
		}
		for name, sets := range want {
			var got []string
			for _, record := range zone.Records(name) {
				got = append(got, record.SetIdentifier+" "+record.Failover)
			}
			if !slices.Equal(got, sets) {
				t.Errorf("%s: %q, want %q", name, got, sets)
			}
		}
		zoneID := any(s.DNS.HostedZoneID)
		for id, group := range v.Of("AWS::Route53::RecordSetGroup") {
			if s.DNS.HostedZoneID == "" {
				origin, err := v.Assembly.Origin(v.Stack, group.Properties["HostedZoneId"])
				if err != nil || origin.Resource().Type != "AWS::Route53::HostedZone" {
					t.Errorf("%s is in %v, %v", id, origin.LogicalID, err)
				}
				continue
			}
			stackstest.Same(t, id+": zone", group.Properties["HostedZoneId"], zoneID)
		}
	})
}

// Health checkers have to reach the very path that the Region's own API answers without a signature.
func TestHealthChecksAskWhatTheAPIAnswers(t *testing.T) {
	inGlobal(t, func(t *testing.T, v stackstest.View, s settings.Settings) {
		asked := map[string]bool{}
		for id, check := range v.Of("AWS::Route53::HealthCheck") {
			config := assembly.Object(check.Properties["HealthCheckConfig"])
			kind := route53.Kind(fmt.Sprint(config["Type"]))
			switch kind {
			case route53.KindEndpoint, route53.KindConnection:
				stackstest.Same(t, id+": interval", config["RequestInterval"], 10)
				stackstest.Same(t, id+": failures", config["FailureThreshold"], s.DNS.FailureThreshold)
			case route53.KindText:
				stackstest.Same(t, id+": interval", config["RequestInterval"], 30)
				stackstest.Same(t, id+": failures", config["FailureThreshold"], 1)
			default:
				continue
			}
			stackstest.Same(t, id+": port", config["Port"], 443)
			if text := config["SearchString"]; (text != nil) != (kind == route53.KindText) || text != nil && text != `"steady":true` {
				t.Errorf("%s looks for %v in an answer", id, text)
			}
			stackstest.Same(t, id+": latency", config["MeasureLatency"] == true, kind == route53.KindEndpoint)
			stackstest.Same(t, id+": SNI", config["EnableSNI"] == true, kind != route53.KindConnection)
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
				t.Fatalf("%s: host %s", id, stackstest.Text(config["FullyQualifiedDomainName"]))
			}
			api, err := v.Assembly.Origin(v.Stack, assembly.List(host[1])[0])
			if err != nil || api.Resource().Type != "AWS::ApiGateway::RestApi" {
				t.Fatalf("%s: host of %s, %v", id, api.LogicalID, err)
			}
			stackstest.Same(t, id+": host", assembly.List(host[1])[1], ".execute-api."+api.Stack.Region+".amazonaws.com")
			asked[string(kind)+" "+api.Stack.Region] = true
			if kind == route53.KindConnection {
				continue
			}

			region := stackstest.View{Assembly: v.Assembly, Stack: api.Stack}
			stage, path, _ := strings.Cut(strings.TrimPrefix(fmt.Sprint(config["ResourcePath"]), "/"), "/")
			_, deployed := region.One(t, "AWS::ApiGateway::Stage")
			stackstest.Same(t, id+": stage", deployed.Properties["StageName"], stage)
			if !answersUnsigned(region, api.LogicalID, path) {
				t.Errorf("%s asks for %v, and the API of %s has no GET without a signature there", id, config["ResourcePath"], api.Stack.Region)
			}
		}
		p, q := s.Regions.Primary.Name, s.Regions.Secondary.Name
		stackstest.Same(t, "checked APIs", asked, map[string]bool{
			"HTTPS " + p: true, "HTTPS " + q: true, "HTTPS_STR_MATCH " + p: true, "HTTPS_STR_MATCH " + q: true, "TCP " + q: true,
		})
	})
}

// answersUnsigned is whether an API has GET on a path, one level deep, for which no authorization is needed.
func answersUnsigned(v stackstest.View, api, path string) bool {
	for id, resource := range v.Of("AWS::ApiGateway::Resource") {
		if resource.Properties["PathPart"] != path || stackstest.Text(resource.Properties["ParentId"]) != stackstest.Text(stackstest.GetAtt(api, "RootResourceId")) {
			continue
		}
		for _, method := range v.Of("AWS::ApiGateway::Method") {
			p := method.Properties
			if stackstest.Text(p["ResourceId"]) == stackstest.Text(stackstest.Ref(id)) && p["HttpMethod"] == "GET" && p["AuthorizationType"] == "NONE" {
				return true
			}
		}
	}
	return false
}

func TestServerErrorsMakeARegionSick(t *testing.T) {
	inGlobal(t, func(t *testing.T, v stackstest.View, s settings.Settings) {
		watched := map[string]bool{}
		for id, check := range v.Of("AWS::Route53::HealthCheck") {
			config := assembly.Object(check.Properties["HealthCheckConfig"])
			switch config["Type"] {
			case "CALCULATED":
				children := map[string]bool{}
				for _, child := range assembly.List(config["ChildHealthChecks"]) {
					origin, err := v.Assembly.Origin(v.Stack, child)
					if err != nil {
						t.Fatal(err)
					}
					children[fmt.Sprint(assembly.At(origin.Resource().Properties["HealthCheckConfig"], "Type"))] = true
				}
				stackstest.Same(t, id+": children", children, map[string]bool{"HTTPS": true, "CLOUDWATCH_METRIC": true})
				stackstest.Same(t, id+": threshold", config["HealthThreshold"], 2) // both
			case "CLOUDWATCH_METRIC":
				stackstest.Same(t, id+": without data", config["InsufficientDataHealthStatus"], "Healthy")
				identifier := assembly.Object(config["AlarmIdentifier"])
				watched[fmt.Sprint(identifier["Region"])] = true
				for _, role := range stackstest.RegionalRoles {
					region := stackstest.ViewOf(t, s.Environment, role)
					if region.Stack.Region != identifier["Region"] {
						continue
					}
					alarm := region.Named(t, "AWS::CloudWatch::Alarm", "AlarmName", fmt.Sprint(identifier["Name"])).Properties
					_, api := region.One(t, "AWS::ApiGateway::RestApi")
					stackstest.Same(t, "metric", []any{alarm["Namespace"], alarm["MetricName"], alarm["Statistic"]}, []any{"AWS/ApiGateway", "5XXError", "Average"})
					stackstest.Same(t, "dimensions", alarm["Dimensions"], []any{
						map[string]any{"Name": "ApiName", "Value": api.Properties["Name"]},
						map[string]any{"Name": "Stage", "Value": "live"},
					})
					stackstest.Same(t, "without data", alarm["TreatMissingData"], "notBreaching")
					// Route 53 takes a standard metric and statistic, all datapoints, and at least 60 seconds each.
					if alarm["Metrics"] != nil || alarm["DatapointsToAlarm"] != nil || alarm["ExtendedStatistic"] != nil || alarm["Period"].(float64) < 60 {
						t.Errorf("a health check cannot follow %s", stackstest.Text(alarm))
					}
				}
			}
		}
		if len(watched) != 2 {
			t.Errorf("server errors are watched in %v", watched)
		}
	})
}
