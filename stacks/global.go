package stacks

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsroute53"
	"github.com/aws/jsii-runtime-go"

	"payments-dr/constructs"
	"payments-dr/internal/assembly"
	"payments-dr/internal/settings"
)

// newGlobal makes the stack that ties both Regions together. Nothing in it is needed for a payment or for a recovery but what
// AWS keeps in both Regions or all over the world: the plan's data plane, and DNS answers.
func newGlobal(app awscdk.App, s *settings.Settings, primary, secondary *regional, zone awsroute53.IHostedZone) awscdk.Stack {
	stack := newStack(app, s, RoleGlobal, settings.GlobalRegion, "Payments platform, "+s.Environment+": what both Regions share")
	stack.TemplateOptions().SetMetadata(&map[string]any{assembly.SettingsMetadata: s})

	var key awskms.IKey
	switch settings.GlobalRegion {
	case primary.region.Name:
		key = primary.key
	case secondary.region.Name:
		key = secondary.key
	default:
		// Alarms tell a topic of their own Region; here no regional stack has made one, nor a key.
		own := constructs.NewEncryptionKey(stack, "Key", s)
		constructs.NewAlertTopic(stack, "Alerts", s, own)
		key = own
	}
	var approver awsiam.IRole
	if !s.Recovery.Automatic {
		approver = constructs.NewApproverRole(stack, "Approver", s)
	}
	plan := constructs.NewRecoveryPlan(stack, "RecoveryPlan", constructs.RecoveryPlanProps{
		Settings: s, Zone: zone, Approver: approver, Reports: constructs.NewRecoveryReports(stack, "RecoveryReports", s),
		Mappings: map[string]*string{
			primary.region.Name:   primary.ledger.Mapping.EventSourceMappingId(),
			secondary.region.Name: secondary.ledger.Mapping.EventSourceMappingId(),
		},
	})
	dns := constructs.NewDNSFailover(stack, "DNSFailover", constructs.DNSFailoverProps{
		Settings: s, Zone: zone, Plan: plan,
		Primary:   constructs.DNSTarget{Region: primary.region, API: primary.api, Name: primary.name},
		Secondary: constructs.DNSTarget{Region: secondary.region, API: secondary.api, Name: secondary.name},
	})

	// The primary's stack comes before the secondary's, so its Region gets the secondary's values from here.
	constructs.NewParameters(stack, "Parameters", s, s.Regions.Primary, key, map[string]*string{
		constructs.ParameterSecondaryEndpoint: secondary.database.Cluster.AttrEndpointAddress(),
		constructs.ParameterRecoveryPlan:      plan.Plan.AttrArn(),
	})
	constructs.NewParameters(stack, "SecondaryParameters", s, s.Regions.Secondary, key, map[string]*string{
		constructs.ParameterRecoveryPlan: plan.Plan.AttrArn(),
	})
	awscdk.NewCfnOutput(stack, jsii.String("PublicEndpoint"), &awscdk.CfnOutputProps{
		Value: jsii.String("https://" + s.APIName()), Description: jsii.String("Where clients pay"),
	})
	awscdk.NewCfnOutput(stack, jsii.String("RecoveryPlanArn"), &awscdk.CfnOutputProps{
		Value: plan.Plan.AttrArn(), Description: jsii.String("Recovery plan; also a parameter in both Regions"),
	})
	var checks []constructs.HealthCheck
	for _, region := range s.Both() {
		checks = append(checks, constructs.HealthCheck{
			Name: region.Name, Says: "The payment API of " + region.Name, ID: dns.Serving[region.Name].AttrHealthCheckId(),
		})
	}
	constructs.NewAcceleratedRecovery(stack, "AcceleratedRecovery", s, zone, key, stack.Node().FindChild(jsii.String("DNSFailover")))
	constructs.NewHealthCheckAlarms(stack, "HealthCheckAlarms", s, checks)
	constructs.NewGlobalDashboard(stack, "Dashboard", s)
	constructs.NewBudget(stack, "Budget", s)
	return stack
}
