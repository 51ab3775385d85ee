package constructs

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsroute53"
	"github.com/aws/aws-cdk-go/awscdk/v2/customresources"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"

	"payments-dr/internal/settings"
)

// NewPublicZone is the hosted zone of the public name: the one in the settings, or a new one, whose name servers are an output of
// the stack. Certificates are issued when the parent domain delegates to those name servers.
//
// The zone stays when its stack is deleted. A new zone has other name servers and must be delegated again. ACM leaves its
// validation records in the zone, and a zone with records cannot be deleted.
func NewPublicZone(scope constructs.Construct, id string, s *settings.Settings) awsroute53.IHostedZone {
	scope = constructs.NewConstruct(scope, text(id))
	if s.DNS.HostedZoneID != "" {
		return awsroute53.HostedZone_FromHostedZoneAttributes(scope, text("Zone"), &awsroute53.HostedZoneAttributes{
			HostedZoneId: text(s.DNS.HostedZoneID), ZoneName: text(s.DNS.ZoneName),
		})
	}
	zone := awsroute53.NewPublicHostedZone(scope, text("Zone"), &awsroute53.PublicHostedZoneProps{
		ZoneName: text(s.DNS.ZoneName),
		Comment:  text("Payments platform, " + s.Environment),
	})
	// Also when its own creation fails, unlike everything else that is retained: by then its name servers may stand in the parent
	// domain, and the validation records in it would not let it be deleted, which would end the rollback.
	zone.ApplyRemovalPolicy(awscdk.RemovalPolicy_RETAIN)
	stack := awscdk.Stack_Of(scope)
	awscdk.NewCfnOutput(stack, text("HostedZoneId"), &awscdk.CfnOutputProps{
		Value: zone.HostedZoneId(), Description: text("Hosted zone of " + s.DNS.ZoneName),
	})
	awscdk.NewCfnOutput(stack, text("NameServers"), &awscdk.CfnOutputProps{
		Value:       awscdk.Fn_Join(text(" "), zone.HostedZoneNameServers()),
		Description: text("Name servers of " + s.DNS.ZoneName + ", for an NS record in its parent domain"),
	})
	return zone
}

// NewAcceleratedRecovery switches on accelerated recovery for a zone that the app made: when us-east-1, where Route 53 accepts
// changes, is lost, changes are possible again within 60 minutes ("Accelerated recovery for managing public DNS records", Amazon
// Route 53 Developer Guide). This is insurance. No recovery of the platform changes a record.
//
// It is the last step of a first deployment, after everything that writes records. While the status is ENABLING, which takes
// minutes, Route 53 rejects each change of a record ("marked disabled for mutation", go-to-k/cdkd#1467), so a certificate whose
// validation record comes meanwhile would fail. Only one zone of an account can be enabled at a time ("LimitsExceeded",
// terraform-provider-aws#45613): if another one is, the deployment fails here and can be repeated.
func NewAcceleratedRecovery(scope constructs.Construct, id string, s *settings.Settings, zone awsroute53.IHostedZone, key awskms.IKey, after ...constructs.IConstruct) {
	if s.DNS.HostedZoneID != "" {
		return
	}
	scope = constructs.NewConstruct(scope, text(id))
	logs := parameterLogs(scope, s, key)
	enable := customresources.NewAwsCustomResource(scope, text("Enable"), &customresources.AwsCustomResourceProps{
		ResourceType: text("Custom::AcceleratedRecovery"),
		OnUpdate: &customresources.AwsSdkCall{ // and at creation
			Service: text("route53"), Action: text("UpdateHostedZoneFeatures"),
			Parameters:         map[string]any{"HostedZoneId": zone.HostedZoneId(), "EnableAcceleratedRecovery": true},
			OutputPaths:        texts("HostedZone.Id"),
			PhysicalResourceId: customresources.PhysicalResourceId_Of(zone.HostedZoneId()),
		},
		Policy: customresources.AwsCustomResourcePolicy_FromStatements(&[]awsiam.PolicyStatement{
			allow("EnableAcceleratedRecovery", []*string{zone.HostedZoneArn()}, "route53:UpdateHostedZoneFeatures"),
		}),
		InstallLatestAwsSdk: jsii.Bool(false),
		LogGroup:            logs,
		Role:                sdkCallRole(scope, logs),
	})
	for _, first := range after {
		enable.Node().AddDependency(first)
	}
	suppress(child(enable, "CustomResourcePolicy"), ownPolicy("The deployment, to enable accelerated recovery of the hosted zone,"))
	suppressSDKCalls(scope)
}
