package rehearsal

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"payments-dr/internal/assembly"
)

// modeled are the types of resources that a rehearsal runs, or whose part in it is known.
var modeled = []string{
	"AWS::ApiGateway::BasePathMapping", "AWS::ApiGateway::Deployment", "AWS::ApiGateway::DomainName", "AWS::ApiGateway::GatewayResponse",
	"AWS::ApiGateway::Method", "AWS::ApiGateway::Resource", "AWS::ApiGateway::RestApi", "AWS::ApiGateway::Stage",
	"AWS::ARCRegionSwitch::Plan", "AWS::DynamoDB::GlobalTable", "AWS::Events::EventBus", "AWS::Events::Rule",
	"AWS::Lambda::EventSourceMapping", "AWS::Lambda::Function", "AWS::RDS::DBCluster", "AWS::RDS::GlobalCluster",
	"AWS::Route53::HealthCheck", "AWS::Route53::RecordSetGroup", "AWS::SQS::Queue",
	"Custom::CrossRegionExportReader", "Custom::CrossRegionExportWriter",
}

// NotModeled are the types of resources in the templates that a rehearsal leaves out, with how many there are of each. None of
// them carries a payment: a part of one that does and is not understood stops the rehearsal at its start.
func NotModeled(a *assembly.Assembly) []string {
	counts := map[string]int{}
	for _, stack := range a.Stacks {
		for _, resource := range stack.Template.Resources {
			if !slices.Contains(modeled, resource.Type) && !strings.HasPrefix(resource.Type, "AWS::CDK::") {
				counts[resource.Type]++
			}
		}
	}
	var all []string
	for _, kind := range slices.Sorted(maps.Keys(counts)) {
		all = append(all, fmt.Sprintf("%s (%d)", kind, counts[kind]))
	}
	return all
}
