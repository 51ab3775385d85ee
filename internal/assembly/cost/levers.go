package cost

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"payments-dr/internal/assembly"
	"payments-dr/internal/payment/variables"
)

// Lever is something that could be chosen otherwise, and what that does to the cost of an idle month.
type Lever struct {
	What string `json:"what"`
	// Setting is the setting that does it, or empty if it is not a setting but a constant of the constructs.
	Setting string `json:"setting,omitempty"`
	// Loses is what is given up.
	Loses string `json:"loses"`
	// USD is the difference of an idle month, less than 0 if it saves.
	USD Decimal `json:"usd"`
}

// change changes a stack's template as a lever would. It says whether it did anything.
type change func(stack assembly.Stack) bool

// levers are computed over the templates, changed.
var levers = []struct {
	what, setting, loses string
	change               change
}{
	{"one instance a Region", "database.instancesPerRegion", "a second instance to fail over to within the Region", oneInstance},
	{"instances of db.r6g of the same size", "database.instanceClass", "Intel's processors for AWS's own", replaceClass(func(class string) string { return strings.Replace(class, ".r5.", ".r6g.", 1) })},
	{"instances of the next smaller size", "database.instanceClass", "half of the memory and of the processors", replaceClass(smaller)},
	{"one NAT gateway less a Region", "network.natGatewaysPerRegion", "a zone's own way out", oneGatewayLess},
	{"interface endpoints of three services, and no NAT gateways", "network.natGatewaysPerRegion", "the functions' way to the internet, which none needs", noGateways},
	{"health checks from three Regions", "", "a fourth opinion; three are Route 53's least", checkerRegions(3)},
	{"health checks every 30 s", "", "payments back within a minute: dr recovery-time says by how much", checkInterval},
	{"health checks without latency", "", "a graph", withoutLatency},
	{"no traces", "", "traces", withoutTraces},
	{"the canary every five minutes", "", "minutes, before it is known that the other Region is unreachable", canaryRate},
	{"no metrics of single methods", "", "graphs and alarms by method", withoutMethodMetrics},
	{"logs kept for 30 days", "logs.retentionDays", "logs older than that", logRetention},
	{"recovery points kept for 3 days", "backup.retentionDays", "days to find out in", pointRetention},
}

// Levers are what could be chosen otherwise, the largest saving first. What an environment has chosen already is left out.
func Levers(prices *Prices, a *assembly.Assembly, usage Usage) ([]Lever, error) {
	base, err := At(prices, a, usage)
	if err != nil {
		return nil, err
	}
	found := []Lever{}
	for _, lever := range levers {
		altered, err := clone(a)
		if err != nil {
			return nil, fmt.Errorf("pull lever %q: %w", lever.what, err)
		}
		pulled := false
		for _, stack := range altered.Stacks {
			pulled = lever.change(stack) || pulled
		}
		if !pulled {
			continue
		}
		e, err := At(prices, altered, usage)
		if err != nil {
			return nil, fmt.Errorf("pull lever %q: %w", lever.what, err)
		}
		found = append(found, Lever{lever.what, lever.setting, lever.loses, Total(e.Idle).Minus(Total(base.Idle))})
	}
	slices.SortStableFunc(found, func(x, y Lever) int { return x.USD.Cmp(y.USD) })
	return found, nil
}

// clone is an assembly that can be changed.
func clone(a *assembly.Assembly) (*assembly.Assembly, error) {
	data, err := json.Marshal(a)
	if err != nil {
		return nil, fmt.Errorf("copy assembly: %w", err)
	}
	var c assembly.Assembly
	if err := json.Unmarshal(data, &c); err != nil {
		return nil, fmt.Errorf("copy assembly: %w", err)
	}
	return &c, nil
}

// keep removes all resources of a type but the first n.
func keep(stack assembly.Stack, kind string, n int) bool {
	var ids []string
	each(stack, kind, func(id string, _ map[string]any) { ids = append(ids, id) })
	if len(ids) <= n {
		return false
	}
	for _, id := range ids[n:] {
		delete(stack.Template.Resources, id)
	}
	return true
}

func oneInstance(stack assembly.Stack) bool { return keep(stack, "AWS::RDS::DBInstance", 1) }

func oneGatewayLess(stack assembly.Stack) bool {
	n := int(count(stack, "AWS::EC2::NatGateway"))
	return n > 1 && keep(stack, "AWS::EC2::NatGateway", n-1) && keep(stack, "AWS::EC2::EIP", n-1)
}

// noGateways is what the network is made like without NAT gateways: with interface endpoints of three services in three zones.
func noGateways(stack assembly.Stack) bool {
	if !keep(stack, "AWS::EC2::NatGateway", 0) || !keep(stack, "AWS::EC2::EIP", 0) {
		return false
	}
	for _, service := range []string{"SecretsManager", "Rds", "Backup"} {
		stack.Template.Resources["Endpoint"+service] = assembly.Resource{Type: "AWS::EC2::VPCEndpoint", Properties: map[string]any{
			"VpcEndpointType": "Interface", "SubnetIds": []any{"a", "b", "c"},
		}}
	}
	return true
}

// sizes are the sizes of instances, each half of the next.
var sizes = []string{"large", "xlarge", "2xlarge", "4xlarge", "8xlarge", "16xlarge"}

// smaller is the class of half the size, or the same.
func smaller(class string) string {
	i := strings.LastIndex(class, ".")
	if n := slices.Index(sizes, class[i+1:]); n > 0 {
		return class[:i+1] + sizes[n-1]
	}
	return class
}

// replaceClass changes the class of the instances, and of those of the restore tests.
func replaceClass(to func(string) string) change {
	return func(stack assembly.Stack) bool {
		changed := false
		each(stack, "AWS::RDS::DBInstance", func(_ string, p map[string]any) {
			if class := to(assembly.Text(p["DBInstanceClass"])); class != p["DBInstanceClass"] {
				p["DBInstanceClass"], changed = class, true
			}
		})
		each(stack, "AWS::Lambda::Function", func(_ string, p map[string]any) {
			if environment := assembly.Object(assembly.At(p["Environment"], "Variables")); environment[variables.InstanceClass] != nil {
				environment[variables.InstanceClass] = to(assembly.Text(environment[variables.InstanceClass]))
			}
		})
		return changed
	}
}

// endpointChecks calls a function for the configuration of every check that asks an endpoint.
func endpointChecks(stack assembly.Stack, do func(config map[string]any) bool) bool {
	changed := false
	each(stack, "AWS::Route53::HealthCheck", func(_ string, p map[string]any) {
		if config := assembly.Object(p["HealthCheckConfig"]); strings.HasPrefix(assembly.Text(config["Type"]), "HTTP") {
			changed = do(config) || changed
		}
	})
	return changed
}

func checkerRegions(n int) change {
	return func(stack assembly.Stack) bool {
		return endpointChecks(stack, func(config map[string]any) bool {
			regions := assembly.List(config["Regions"])
			if len(regions) <= n {
				return false
			}
			config["Regions"] = regions[:n]
			return true
		})
	}
}

func checkInterval(stack assembly.Stack) bool {
	return endpointChecks(stack, func(config map[string]any) bool {
		fast := config["RequestInterval"] == 10.0
		config["RequestInterval"] = 30.0
		return fast
	})
}

func withoutLatency(stack assembly.Stack) bool {
	return endpointChecks(stack, func(config map[string]any) bool {
		measured := config["MeasureLatency"] == true
		config["MeasureLatency"] = false
		return measured
	})
}

func withoutTraces(stack assembly.Stack) bool {
	changed := false
	each(stack, "AWS::ApiGateway::Stage", func(_ string, p map[string]any) {
		changed = changed || p["TracingEnabled"] == true
		p["TracingEnabled"] = false
	})
	return changed
}

func withoutMethodMetrics(stack assembly.Stack) bool {
	changed := false
	each(stack, "AWS::ApiGateway::Stage", func(_ string, p map[string]any) {
		for _, setting := range assembly.List(p["MethodSettings"]) {
			changed = changed || assembly.Object(setting)["MetricsEnabled"] == true
			assembly.Object(setting)["MetricsEnabled"] = false
		}
	})
	return changed
}

func canaryRate(stack assembly.Stack) bool {
	changed := false
	each(stack, "AWS::Events::Rule", func(_ string, p map[string]any) {
		if strings.HasSuffix(assembly.Text(p["Name"]), "-canary") && p["ScheduleExpression"] == "rate(1 minute)" {
			p["ScheduleExpression"], changed = "rate(5 minutes)", true
		}
	})
	return changed
}

func logRetention(stack assembly.Stack) bool {
	changed := false
	each(stack, "AWS::Logs::LogGroup", func(_ string, p map[string]any) {
		if days, ok := p["RetentionInDays"].(float64); ok && days > 30 && p["LogGroupName"] != nil {
			p["RetentionInDays"], changed = 30.0, true
		}
	})
	return changed
}

func pointRetention(stack assembly.Stack) bool {
	changed := false
	shorten := func(in map[string]any) {
		lifecycle := assembly.Object(in["Lifecycle"])
		if days, ok := lifecycle["DeleteAfterDays"].(float64); ok && days > 3 {
			lifecycle["DeleteAfterDays"], changed = 3.0, true
		}
	}
	each(stack, "AWS::Backup::BackupPlan", func(_ string, p map[string]any) {
		for _, rule := range assembly.List(assembly.At(p["BackupPlan"], "BackupPlanRule")) {
			shorten(assembly.Object(rule))
			for _, copied := range assembly.List(assembly.At(rule, "CopyActions")) {
				shorten(assembly.Object(copied))
			}
		}
	})
	return changed
}
