// Package publicname reads, from the synthesized templates, how the public name is answered: records, health checks and what they
// hang on. It then says what Route 53 answers when this is healthy and that is not. It is a simulation of Route 53's rules, from
// "How Amazon Route 53 chooses records when health checking is configured" and "How health checks work in complex Amazon Route
// 53 configurations" (Amazon Route 53 Developer Guide).
package publicname

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"payments-dr/internal/assembly"
)

// Kind is what a health check watches.
type Kind string

// The kinds that the platform has. The first three are Route 53's own words.
const (
	KindEndpoint   Kind = "HTTPS"
	KindMetric     Kind = "CLOUDWATCH_METRIC"
	KindCalculated Kind = "CALCULATED"
	// KindPlan is a health check that the recovery plan owns, one for each Region: healthy where the plan has put payments.
	KindPlan Kind = "plan"
)

// Check is one health check.
type Check struct {
	// ID is the logical id in the global template; for the plan's, "plan:" and the Region.
	ID   string
	Kind Kind
	// Region is the Region that an elementary check is about; empty for a calculated one.
	Region string
	// Config is the template's HealthCheckConfig; nil for the plan's.
	Config map[string]any
	// Children and Threshold are those of a calculated check: how many of the children have to be healthy.
	Children  []Check
	Threshold int
}

// Record is one record of the public zone.
type Record struct {
	Name, Type, SetIdentifier string
	// Failover is PRIMARY, SECONDARY, or empty for a weighted record.
	Failover string
	// Check is nil if the record has no health check of its own.
	Check *Check
	// Alias is the name of the record that this one points to; empty if it points to a Region.
	Alias string
	// Region is where the record points to, if that is no record.
	Region string
	// EvaluateTarget is whether the record is only as healthy as what it points to.
	EvaluateTarget bool
}

// Zone is the public zone's records, by name and type.
type Zone struct {
	records map[[2]string][]Record
}

// Read reads the records and health checks of an assembly. A reference that leads nowhere, and anything that is not understood,
// is an error.
func Read(a *assembly.Assembly) (*Zone, error) {
	global, err := a.Stack("global")
	if err != nil {
		return nil, err
	}
	r := reader{assembly: a, global: global}
	zone := &Zone{records: map[[2]string][]Record{}}
	for id, resource := range global.Template.Resources {
		if resource.Type != "AWS::Route53::RecordSetGroup" {
			continue
		}
		for _, set := range assembly.List(resource.Properties["RecordSets"]) {
			record, err := r.record(assembly.Object(set))
			if err != nil {
				return nil, fmt.Errorf("read %s: %w", id, err)
			}
			key := [2]string{record.Name, record.Type}
			zone.records[key] = append(zone.records[key], record)
		}
	}
	return zone, nil
}

// Records are the records of a name and type (A or AAAA), the PRIMARY first.
func (z *Zone) Records(name, kind string) []Record {
	records := slices.Clone(z.records[[2]string{name, kind}])
	slices.SortFunc(records, func(a, b Record) int { return strings.Compare(a.Failover, b.Failover) })
	return records
}

// Names are the names that have records, in order.
func (z *Zone) Names() []string {
	var names []string
	for key := range z.records {
		if !slices.Contains(names, key[0]) {
			names = append(names, key[0])
		}
	}
	slices.Sort(names)
	return names
}

// Answer is the Region that a name leads to. healthy says of each elementary health check whether it is healthy.
func (z *Zone) Answer(name, kind string, healthy func(Check) bool) (string, error) {
	for range 16 { // deeper than any tree of the platform: a circle of aliases ends here
		records := z.Records(name, kind)
		if len(records) == 0 {
			return "", fmt.Errorf("resolve %s: it has no record of type %s", name, kind)
		}
		// The first healthy one. If there is none, all count as healthy, and that is the first again.
		chosen := records[0]
		for _, record := range records {
			if z.healthy(record, healthy) {
				chosen = record
				break
			}
		}
		if chosen.Alias == "" {
			return chosen.Region, nil
		}
		name = chosen.Alias
	}
	return "", fmt.Errorf("resolve %s: the aliases go in a circle", name)
}

func (z *Zone) healthy(record Record, healthy func(Check) bool) bool {
	if record.Check != nil && !record.Check.Healthy(healthy) {
		return false
	}
	if record.Alias == "" || !record.EvaluateTarget {
		return true
	}
	return slices.ContainsFunc(z.Records(record.Alias, record.Type), func(target Record) bool { return z.healthy(target, healthy) })
}

// Healthy is whether the check is healthy, given the elementary ones.
func (c Check) Healthy(healthy func(Check) bool) bool {
	if c.Kind != KindCalculated {
		return healthy(c)
	}
	n := 0
	for _, child := range c.Children {
		if child.Healthy(healthy) {
			n++
		}
	}
	return n >= c.Threshold
}

type reader struct {
	assembly *assembly.Assembly
	global   assembly.Stack
}

func (r reader) record(set map[string]any) (Record, error) {
	record := Record{
		Name: assembly.Text(set["Name"]), Type: assembly.Text(set["Type"]), SetIdentifier: assembly.Text(set["SetIdentifier"]), Failover: assembly.Text(set["Failover"]),
	}
	if set["HealthCheckId"] != nil {
		check, err := r.check(set["HealthCheckId"])
		if err != nil {
			return record, fmt.Errorf("health check of %s: %w", record.Name, err)
		}
		record.Check = &check
	}
	alias := assembly.Object(set["AliasTarget"])
	record.EvaluateTarget = alias["EvaluateTargetHealth"] == true
	if name, ok := alias["DNSName"].(string); ok {
		record.Alias = name
		return record, nil
	}
	origin, err := r.assembly.Origin(r.global, alias["DNSName"])
	if err != nil {
		return record, fmt.Errorf("target of %s: %w", record.Name, err)
	}
	if kind := origin.Resource().Type; kind != "AWS::ApiGateway::DomainName" || origin.Attribute != "RegionalDomainName" {
		return record, fmt.Errorf("target of %s is %s of a %s, and no API's domain", record.Name, origin.Attribute, kind)
	}
	record.Region = origin.Stack.Region
	return record, nil
}

func (r reader) check(id any) (Check, error) {
	if region, ok := r.planRegion(id); ok {
		return Check{ID: "plan:" + region, Kind: KindPlan, Region: region}, nil
	}
	origin, err := r.assembly.Origin(r.global, id)
	if err != nil {
		return Check{}, err
	}
	if origin.Resource().Type != "AWS::Route53::HealthCheck" {
		return Check{}, fmt.Errorf("%s is no health check", origin.LogicalID)
	}
	config := assembly.Object(origin.Resource().Properties["HealthCheckConfig"])
	check := Check{ID: origin.LogicalID, Kind: Kind(assembly.Text(config["Type"])), Config: config}
	switch check.Kind {
	case KindCalculated:
		threshold, _ := config["HealthThreshold"].(float64)
		check.Threshold = int(threshold)
		for _, id := range assembly.List(config["ChildHealthChecks"]) {
			child, err := r.check(id)
			if err != nil {
				return check, err
			}
			if child.Kind == KindCalculated {
				return check, errors.New("Route 53 calculates nothing from a calculated health check: " + child.ID)
			}
			check.Children = append(check.Children, child)
		}
	case KindMetric:
		check.Region = assembly.Text(assembly.At(config["AlarmIdentifier"], "Region"))
	case KindEndpoint:
		// The host is "<API id>.execute-api.<Region>.amazonaws.com".
		for _, part := range assembly.List(assembly.At(config["FullyQualifiedDomainName"], "Fn::Join", 1)) {
			if reference, ok := part.(map[string]any); ok {
				api, err := r.assembly.Origin(r.global, reference)
				if err != nil {
					return check, err
				}
				check.Region = api.Stack.Region
			}
		}
		if check.Region == "" {
			return check, fmt.Errorf("%s checks no Region's own API", check.ID)
		}
	default:
		return check, fmt.Errorf("%s is of the kind %q, which is not simulated", check.ID, check.Kind)
	}
	return check, nil
}

// planRegion recognises what RecoveryPlan.HealthCheckID writes: of the plan's health checks, joined by commas, what stands
// between ":<Region>:" and the next comma.
func (r reader) planRegion(id any) (string, bool) {
	first := assembly.List(assembly.At(id, "Fn::Select"))
	if len(first) != 2 || fmt.Sprint(first[0]) != "0" {
		return "", false
	}
	byComma := assembly.List(assembly.At(first[1], "Fn::Split"))
	if len(byComma) != 2 || byComma[0] != "," {
		return "", false
	}
	second := assembly.List(assembly.At(byComma[1], "Fn::Select"))
	if len(second) != 2 || fmt.Sprint(second[0]) != "1" {
		return "", false
	}
	byRegion := assembly.List(assembly.At(second[1], "Fn::Split"))
	if len(byRegion) != 2 {
		return "", false
	}
	joined := assembly.List(assembly.At(byRegion[1], "Fn::Join"))
	if len(joined) != 2 || joined[0] != "," {
		return "", false
	}
	all := assembly.List(assembly.At(joined[1], "Fn::GetAtt"))
	if len(all) != 2 || all[1] != "PlanHealthChecks" || r.global.Template.Resources[assembly.Text(all[0])].Type != "AWS::ARCRegionSwitch::Plan" {
		return "", false
	}
	return strings.Trim(assembly.Text(byRegion[0]), ":"), true
}
