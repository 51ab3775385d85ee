package architecture

import (
	"fmt"
	"strings"

	"payments-dr/internal/assembly"
)

// record is one record of the public zone.
type record struct {
	name, id, failover string
	// alias is the name in the zone that it leads to, and targets the custom domains if it leads out of the zone, by its value.
	alias   string
	targets []place
	// follows is whether the target's health counts.
	follows bool
	// check is the health check, or the plan.
	check []place
}

func (p *platform) records() ([]record, error) {
	stack, err := p.Stack("global")
	if err != nil {
		return nil, err
	}
	var records []record
	for _, id := range sorted(stack, "AWS::Route53::RecordSetGroup") {
		for _, set := range assembly.OneOrMore(stack.Template.Resources[id].Properties["RecordSets"]) {
			var r record
			r.name, _ = assembly.At(set, "Name").(string)
			r.id, _ = assembly.At(set, "SetIdentifier").(string)
			r.failover, _ = assembly.At(set, "Failover").(string)
			r.alias, _ = assembly.At(set, "AliasTarget", "DNSName").(string)
			r.follows, _ = assembly.At(set, "AliasTarget", "EvaluateTargetHealth").(bool)
			for _, value := range assembly.OneOrMore(assembly.At(set, "ResourceRecords")) {
				r.targets = append(r.targets, p.at(stack, value)...)
			}
			r.check = p.at(stack, assembly.At(set, "HealthCheckId"))
			records = append(records, r)
		}
	}
	return records, nil
}

// Failover is how the public name follows health: its records, and the health checks that each depends on.
func Failover(a *assembly.Assembly) (*Picture, error) {
	p, err := read(a)
	if err != nil {
		return nil, err
	}
	records, err := p.records()
	if err != nil {
		return nil, err
	}
	stack, err := a.Stack("global")
	if err != nil {
		return nil, err
	}
	picture := &Picture{Direction: "TB"}
	name := a.Settings.APIName()
	label := func(full string) string {
		if short, ok := strings.CutSuffix(full, "."+name); ok {
			return short + ".api"
		}
		return "api"
	}
	for _, r := range records {
		picture.add(Node{ID: r.name, Label: label(r.name), Shape: ShapeName})
	}
	for _, r := range records {
		how := map[string]string{"PRIMARY": "first", "SECONDARY": "if not healthy"}[r.failover]
		if len(r.targets) == 0 {
			picture.add(Node{ID: r.alias, Label: label(r.alias), Shape: ShapeName})
			picture.connect(Edge{From: r.name, To: r.alias, Label: how})
		}
		for _, domain := range r.targets {
			for _, api := range p.behind(domain) {
				picture.add(Node{ID: api.key(), Label: "payment API\n" + api.region, Shape: ShapeBox})
				picture.connect(Edge{From: r.name, To: api.key(), Label: how})
			}
		}
		for _, check := range r.check {
			to := p.check(picture, stack, check)
			label := "healthy?"
			if check.resource.Type == "AWS::ARCRegionSwitch::Plan" {
				label = "where is the plan?"
			}
			picture.connect(Edge{From: r.name, To: to, Label: label, Dotted: true})
		}
	}
	return picture, nil
}

// check adds a health check with those that it is calculated from, or the plan with its own.
func (p *platform) check(picture *Picture, stack assembly.Stack, at place) string {
	config := assembly.At(at.resource.Properties, "HealthCheckConfig")
	n := Node{ID: at.key(), Shape: ShapeCheck}
	switch assembly.At(config, "Type") {
	case "HTTPS", "HTTPS_STR_MATCH", "TCP":
		what := "connect"
		if path, asks := assembly.At(config, "ResourcePath").(string); asks {
			what = "GET " + path
		}
		if text, looks := assembly.At(config, "SearchString").(string); looks {
			what += "\nhas " + text
		}
		failures := fmt.Sprintf("%v failures in a row", assembly.At(config, "FailureThreshold"))
		if assembly.At(config, "FailureThreshold") == 1.0 {
			failures = "1 failure"
		}
		n.Label = fmt.Sprintf("%s\nevery %v s, from %d Regions\n%s", what, assembly.At(config, "RequestInterval"),
			len(assembly.OneOrMore(assembly.At(config, "Regions"))), failures)
	case "CLOUDWATCH_METRIC":
		n.Label = fmt.Sprintf("alarm %v\nin %v", p.short(fmt.Sprint(assembly.At(config, "AlarmIdentifier", "Name"))), assembly.At(config, "AlarmIdentifier", "Region"))
	case "CALCULATED":
		children := assembly.OneOrMore(assembly.At(config, "ChildHealthChecks"))
		n.Label = fmt.Sprintf("%v of %d healthy", assembly.At(config, "HealthThreshold"), len(children))
		picture.add(n)
		for _, child := range children {
			for _, of := range p.at(stack, child) {
				picture.connect(Edge{From: n.ID, To: p.check(picture, stack, of), Dotted: true})
			}
		}
		return n.ID
	default:
		n.Label = "recovery plan's own\nhealth checks"
	}
	picture.add(n)
	return n.ID
}

// Step is a step of the recovery plan.
type Step struct {
	Name, Kind, Description string
	// Minutes is its limit.
	Minutes int
	// Planned and Unplanned say what it does in either mode, where they differ.
	Planned, Unplanned string
	// Beside are the steps that run at the same time.
	Beside []Step
}

// Steps are those of the recovery plan, in order.
func Steps(a *assembly.Assembly) ([]Step, error) {
	stack, err := a.Stack("global")
	if err != nil {
		return nil, err
	}
	ids := sorted(stack, "AWS::ARCRegionSwitch::Plan")
	if len(ids) != 1 {
		return nil, fmt.Errorf("draw plan: %s has %d plans", stack.Name, len(ids))
	}
	workflows := assembly.OneOrMore(stack.Template.Resources[ids[0]].Properties["Workflows"])
	if len(workflows) != 1 {
		return nil, fmt.Errorf("draw plan: it has %d workflows", len(workflows))
	}
	return steps(assembly.At(workflows[0], "Steps")), nil
}

func steps(value any) (all []Step) {
	for _, given := range assembly.OneOrMore(value) {
		s := Step{}
		s.Name, _ = assembly.At(given, "Name").(string)
		s.Kind, _ = assembly.At(given, "ExecutionBlockType").(string)
		s.Description, _ = assembly.At(given, "Description").(string)
		blocks, _ := assembly.At(given, "ExecutionBlockConfiguration").(map[string]any)
		for _, block := range blocks {
			if minutes, ok := assembly.At(block, "TimeoutMinutes").(float64); ok {
				s.Minutes = int(minutes)
			}
			if assembly.At(block, "Behavior") == "switchoverOnly" {
				s.Planned = "switchover"
			}
			s.Unplanned, _ = assembly.At(block, "Ungraceful", "Ungraceful").(string)
			if skipped, ok := assembly.At(block, "Ungraceful", "Behavior").(string); ok {
				s.Unplanned = skipped
			}
			s.Beside = steps(assembly.At(block, "Steps"))
		}
		all = append(all, s)
	}
	return all
}

// Recovery is the plan's steps in order.
func Recovery(a *assembly.Assembly) (*Picture, error) {
	all, err := Steps(a)
	if err != nil {
		return nil, err
	}
	picture := &Picture{Direction: "TB"}
	show := func(s Step, group string) string {
		label := fmt.Sprintf("%s\nat most %d min", s.Name, s.Minutes)
		switch {
		case s.Planned != "" && s.Unplanned != "":
			label += "\n" + s.Planned + " if planned,\nelse " + s.Unplanned
		case s.Unplanned != "":
			label += "\n" + s.Unplanned + " if the other\nRegion is lost"
		}
		picture.add(Node{ID: group + s.Name, Label: label, Shape: ShapeBox, Group: group})
		return group + s.Name
	}
	picture.add(Node{ID: "start", Label: "start, in the Region that is activated", Shape: ShapeClient})
	before := []string{"start"}
	for _, s := range all {
		var here []string
		if len(s.Beside) == 0 {
			here = []string{show(s, "")}
		}
		for _, one := range s.Beside {
			here = append(here, show(one, "beside one another"))
		}
		for _, from := range before {
			for _, to := range here {
				picture.connect(Edge{From: from, To: to})
			}
		}
		before = here
	}
	return picture, nil
}
