package constructs

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsroute53"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"

	"payments-dr/internal/settings"
)

// NewPublicZone is the hosted zone that the public name lives in: the one of the settings, or else one that is made here, with
// its name servers as an output of the stack. Certificates are not issued before those stand in the parent domain.
//
// A zone that is made here has accelerated recovery: when us-east-1, where Route 53 takes changes, is lost, changes are
// possible again within 60 minutes ("Accelerated recovery for managing public DNS records", Amazon Route 53 Developer Guide).
// That is insurance. No recovery of the platform changes a record.
//
// The zone stays when the stack goes. A new one would have other name servers, and would have to be delegated again; and the
// records by which the certificates were validated, which ACM leaves in it, would not let it be deleted.
func NewPublicZone(scope constructs.Construct, id string, s *settings.Settings) awsroute53.IHostedZone {
	scope = constructs.NewConstruct(scope, text(id))
	if s.DNS.HostedZoneID != "" {
		return awsroute53.HostedZone_FromHostedZoneAttributes(scope, text("Zone"), &awsroute53.HostedZoneAttributes{
			HostedZoneId: text(s.DNS.HostedZoneID), ZoneName: text(s.DNS.ZoneName),
		})
	}
	zone := awsroute53.NewPublicHostedZone(scope, text("Zone"), &awsroute53.PublicHostedZoneProps{
		ZoneName:                   text(s.DNS.ZoneName),
		Comment:                    text("Payments platform, " + s.Environment),
		AcceleratedRecoveryEnabled: jsii.Bool(true),
	})
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
