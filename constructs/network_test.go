package constructs_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/aws/jsii-runtime-go"

	"payments-dr/internal/assembly"
	"payments-dr/stacks/stackstest"
)

func TestNetworkInThreeNamedZones(t *testing.T) {
	stackstest.Each(t, func(t *testing.T, v stackstest.View) {
		region := v.Assembly.Settings.Both()[slices.Index(stackstest.RegionalRoles, v.Role)]
		_, vpc := v.One(t, "AWS::EC2::VPC")
		stackstest.Same(t, "range", vpc.Properties["CidrBlock"], region.CIDR)
		zones, tiers := map[string]int{}, map[string]int{}
		for id, subnet := range v.Of("AWS::EC2::Subnet") {
			zones[subnet.Properties["AvailabilityZone"].(string)]++
			for _, tier := range []string{"public", "private", "database"} {
				if strings.Contains(id, "Vpc"+tier+"Subnet") {
					tiers[tier]++
				}
			}
			stackstest.Same(t, id+": public addresses at launch", subnet.Properties["MapPublicIpOnLaunch"], false)
		}
		for _, zone := range region.AvailabilityZones {
			if zones[zone] != 3 {
				t.Errorf("%d subnets in %s, want 3", zones[zone], zone)
			}
		}
		if len(zones) != 3 || tiers["public"] != 3 || tiers["private"] != 3 || tiers["database"] != 3 {
			t.Errorf("zones %v, tiers %v", zones, tiers)
		}
		template := template(t, v)
		template.ResourceCountIs(jsii.String("AWS::EC2::NatGateway"), jsii.Number(v.Assembly.Settings.Network.NATGatewaysPerRegion))
		template.ResourceCountIs(jsii.String("AWS::EC2::InternetGateway"), jsii.Number(1))
		template.HasResourceProperties(jsii.String("AWS::EC2::FlowLog"), map[string]any{"TrafficType": "ALL", "LogDestinationType": "cloud-watch-logs"})

		// A default route leads from the private subnets to NAT, and from the database's nowhere.
		for id, route := range v.Of("AWS::EC2::Route") {
			_, viaNAT := route.Properties["NatGatewayId"]
			_, viaInternet := route.Properties["GatewayId"]
			if strings.Contains(id, "database") || (strings.Contains(id, "private") && !viaNAT) || (strings.Contains(id, "public") && !viaInternet) {
				t.Errorf("route %s: %s", id, stackstest.Text(route.Properties))
			}
		}
		services := map[string]int{}
		for _, endpoint := range v.Of("AWS::EC2::VPCEndpoint") {
			name := stackstest.Text(endpoint.Properties["ServiceName"])
			for _, service := range []string{".s3", ".dynamodb"} {
				if strings.Contains(name, service) && endpoint.Properties["VpcEndpointType"] == "Gateway" {
					services[service] = len(assembly.List(endpoint.Properties["RouteTableIds"]))
				}
			}
		}
		if services[".s3"] != 9 || services[".dynamodb"] != 9 {
			t.Errorf("gateway endpoints with route tables: %v, want both with 9", services)
		}
	})
}
