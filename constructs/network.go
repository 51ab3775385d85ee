package constructs

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsec2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"

	"payments-dr/internal/settings"
)

// DatabasePort is where Aurora MySQL listens.
const DatabasePort = 3306

// Network is one Region's network: three Availability Zones with three subnets each.
//
//	public     NAT gateways, nothing else
//	private    the functions; out through NAT, never in
//	database   Aurora; no route out of the network at all
//
// The two Regions' networks are not connected: nothing in the way of a payment may need the other Region.
type Network struct {
	VPC awsec2.Vpc
	// FunctionSubnets are the private subnets, for functions that need the network.
	FunctionSubnets *awsec2.SubnetSelection
	// DatabaseSubnets are the subnets without a way out.
	DatabaseSubnets *awsec2.SubnetSelection
	// Functions is the functions' security group, Database the database's, which admits the functions' alone.
	Functions, Database awsec2.SecurityGroup
}

const (
	privateSubnets  = "private"
	databaseSubnets = "database"
)

// NewNetwork makes the network of one Region.
func NewNetwork(scope constructs.Construct, id string, s *settings.Settings, region settings.Region, key awskms.IKey) *Network {
	scope = constructs.NewConstruct(scope, text(id))
	logs := NewLogGroup(scope, "FlowLogs", "/payment/"+s.Environment+"/network/flow-logs", s, key)

	functionSubnets := awsec2.SubnetType_PRIVATE_WITH_EGRESS
	if s.Network.NATGatewaysPerRegion == 0 {
		functionSubnets = awsec2.SubnetType_PRIVATE_ISOLATED
	}
	vpc := awsec2.NewVpc(scope, text("Vpc"), &awsec2.VpcProps{
		IpAddresses: awsec2.IpAddresses_Cidr(text(region.CIDR)),
		// By name: given a number, the library would have to ask AWS for the names at synthesis.
		AvailabilityZones: jsii.Strings(region.AvailabilityZones...),
		NatGateways:       jsii.Number(s.Network.NATGatewaysPerRegion),
		SubnetConfiguration: &[]*awsec2.SubnetConfiguration{
			{Name: text("public"), SubnetType: awsec2.SubnetType_PUBLIC, MapPublicIpOnLaunch: jsii.Bool(false)},
			{Name: text(privateSubnets), SubnetType: functionSubnets},
			{Name: text(databaseSubnets), SubnetType: awsec2.SubnetType_PRIVATE_ISOLATED},
		},
		// Gateway endpoints cost nothing and keep the table's traffic off the NAT gateways, and so out of their failures.
		GatewayEndpoints: &map[string]*awsec2.GatewayVpcEndpointOptions{
			"DynamoDb": {Service: awsec2.GatewayVpcEndpointAwsService_DYNAMODB()},
			"S3":       {Service: awsec2.GatewayVpcEndpointAwsService_S3()},
		},
		FlowLogs: &map[string]*awsec2.FlowLogOptions{
			"FlowLogs": {Destination: awsec2.FlowLogDestination_ToCloudWatchLogs(logs, nil), TrafficType: awsec2.FlowLogTrafficType_ALL},
		},
	})

	awscdk.Validations_Of(vpc).Acknowledge(&awscdk.Acknowledgment{
		Id:     text("CloudFormation-Validate::W3010"),
		Reason: text("the zones are settings: named, so that synthesis asks AWS for nothing and both Regions are laid out on purpose"),
	})

	suppress(child(vpc, "FlowLogs", "IAMRole", "DefaultPolicy"), ownPolicy("The network's flow log"))
	for _, subnet := range *vpc.PublicSubnets() {
		suppress(child(subnet, "DefaultRoute"), suppression{rules: nistAndPCI("VPCNoUnrestrictedRouteToIGW"),
			reason: "The public subnets are for the NAT gateways, which take no connection from outside and are the functions' one way to AWS's public APIs. Nothing else is in them, and nothing launched there would get a public address."})
	}

	functions := awsec2.NewSecurityGroup(scope, text("Functions"), &awsec2.SecurityGroupProps{
		Vpc: vpc, Description: text("Functions: out to AWS services and the database, nothing in"), AllowAllOutbound: jsii.Bool(false),
	})
	database := awsec2.NewSecurityGroup(scope, text("Database"), &awsec2.SecurityGroupProps{
		Vpc: vpc, Description: text("Database: in from the functions, nothing out"), AllowAllOutbound: jsii.Bool(false),
	})
	functions.AddEgressRule(awsec2.Peer_AnyIpv4(), awsec2.Port_HTTPS(), text("AWS service APIs"), nil)
	functions.AddEgressRule(database, awsec2.Port_Tcp(jsii.Number(DatabasePort)), text("Aurora MySQL"), nil)
	database.AddIngressRule(functions, awsec2.Port_Tcp(jsii.Number(DatabasePort)), text("Aurora MySQL from the functions"), nil)

	if s.Network.NATGatewaysPerRegion == 0 {
		// Without NAT the services that a function inside the network needs beside the database and the table are reached by
		// endpoints: the secret for the migrations, SQS for the ledger, the others for the validation of restores.
		endpoint := awsec2.NewSecurityGroup(scope, text("Endpoints"), &awsec2.SecurityGroupProps{
			Vpc: vpc, Description: text("Endpoints: in from the functions, nothing out"), AllowAllOutbound: jsii.Bool(false),
		})
		endpoint.AddIngressRule(functions, awsec2.Port_HTTPS(), text("AWS service APIs"), nil)
		for _, service := range []struct {
			name    string
			service awsec2.InterfaceVpcEndpointAwsService
		}{
			{"SecretsManager", awsec2.InterfaceVpcEndpointAwsService_SECRETS_MANAGER()},
			{"Rds", awsec2.InterfaceVpcEndpointAwsService_RDS()},
			{"Backup", awsec2.InterfaceVpcEndpointAwsService_BACKUP()},
			{"Sqs", awsec2.InterfaceVpcEndpointAwsService_SQS()},
		} {
			vpc.AddInterfaceEndpoint(text(service.name), &awsec2.InterfaceVpcEndpointOptions{
				Service:        service.service,
				Subnets:        &awsec2.SubnetSelection{SubnetGroupName: text(privateSubnets)},
				SecurityGroups: &[]awsec2.ISecurityGroup{endpoint},
				Open:           jsii.Bool(false),
			})
		}
	}

	return &Network{
		VPC:             vpc,
		FunctionSubnets: &awsec2.SubnetSelection{SubnetGroupName: text(privateSubnets)},
		DatabaseSubnets: &awsec2.SubnetSelection{SubnetGroupName: text(databaseSubnets)},
		Functions:       functions,
		Database:        database,
	}
}
