// Package publicname reads from the synthesized templates how Route 53 answers the public name: the records, and the health
// checks that they depend on.
package publicname

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"payments-dr/internal/assembly"
	"payments-dr/internal/simulation/route53"
)

// Read reads the records and health checks of an assembly. A reference that leads nowhere, and anything that is not understood,
// is an error.
func Read(a *assembly.Assembly) (*route53.Zone, error) {
	global, err := a.Stack("global")
	if err != nil {
		return nil, err
	}
	r := reader{assembly: a, global: global}
	var records []route53.Record
	for id, resource := range global.Template.Resources {
		if resource.Type != "AWS::Route53::RecordSetGroup" {
			continue
		}
		for _, set := range assembly.List(resource.Properties["RecordSets"]) {
			record, err := r.record(assembly.Object(set))
			if err != nil {
				return nil, fmt.Errorf("read %s: %w", id, err)
			}
			records = append(records, record)
		}
	}
	return route53.NewZone(records), nil
}

type reader struct {
	assembly *assembly.Assembly
	global   assembly.Stack
}

func (r reader) record(set map[string]any) (route53.Record, error) {
	record := route53.Record{
		Name: assembly.Text(set["Name"]), SetIdentifier: assembly.Text(set["SetIdentifier"]), Failover: assembly.Text(set["Failover"]),
	}
	if kind := assembly.Text(set["Type"]); kind != "CNAME" {
		return record, fmt.Errorf("record %s is of the type %q; allowed is CNAME, of which alone the TTL can be set", record.Name, kind)
	}
	if set["HealthCheckId"] != nil {
		check, err := r.check(set["HealthCheckId"])
		if err != nil {
			return record, fmt.Errorf("health check of %s: %w", record.Name, err)
		}
		record.Check = &check
	}
	if alias := assembly.Object(set["AliasTarget"]); alias != nil {
		record.Alias, record.EvaluateTarget = assembly.Text(alias["DNSName"]), alias["EvaluateTargetHealth"] == true
		return record, nil
	}
	ttl, err := strconv.Atoi(assembly.Text(set["TTL"]))
	values := assembly.List(set["ResourceRecords"])
	if err != nil || ttl <= 0 || len(values) != 1 {
		return record, fmt.Errorf("record %s has the TTL %v and %d values; allowed are a number of seconds and one value", record.Name, set["TTL"], len(values))
	}
	record.TTL = time.Duration(ttl) * time.Second
	origin, err := r.assembly.Origin(r.global, values[0])
	if err != nil {
		return record, fmt.Errorf("target of %s: %w", record.Name, err)
	}
	if kind := origin.Resource().Type; kind != "AWS::ApiGateway::DomainName" || origin.Attribute != "RegionalDomainName" {
		return record, fmt.Errorf("target of %s is %s of a %s, and no API's domain", record.Name, origin.Attribute, kind)
	}
	record.Region = origin.Stack.Region
	return record, nil
}

func (r reader) check(id any) (route53.Check, error) {
	if region, ok := r.planRegion(id); ok {
		return route53.Check{ID: "plan:" + region, Kind: route53.KindPlan, Region: region}, nil
	}
	origin, err := r.assembly.Origin(r.global, id)
	if err != nil {
		return route53.Check{}, err
	}
	if origin.Resource().Type != "AWS::Route53::HealthCheck" {
		return route53.Check{}, fmt.Errorf("%s is no health check", origin.LogicalID)
	}
	config := assembly.Object(origin.Resource().Properties["HealthCheckConfig"])
	check := route53.Check{ID: origin.LogicalID, Kind: route53.Kind(assembly.Text(config["Type"])), Config: config}
	switch check.Kind {
	case route53.KindCalculated:
		threshold, _ := config["HealthThreshold"].(float64)
		check.Threshold = int(threshold)
		for _, id := range assembly.List(config["ChildHealthChecks"]) {
			child, err := r.check(id)
			if err != nil {
				return check, err
			}
			if child.Kind == route53.KindCalculated {
				return check, errors.New("Route 53 calculates nothing from a calculated health check: " + child.ID)
			}
			check.Children = append(check.Children, child)
		}
	case route53.KindMetric:
		check.Region = assembly.Text(assembly.At(config["AlarmIdentifier"], "Region"))
	case route53.KindEndpoint, route53.KindText, route53.KindConnection:
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
