package constructs

import (
	"github.com/aws/aws-cdk-go/awscdk/v2/awsapigateway"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscertificatemanager"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsroute53"
	"github.com/aws/constructs-go/constructs/v10"

	"payments-dr/internal/settings"
)

// PublicName makes a Region's API answer to the name that clients pay at.
//
// Both Regions have a custom domain of the same name and a certificate for it, so that either can answer whoever DNS sends. A
// CNAME to an API's own host would not do: neither the certificate nor the Host header would fit ("Setting up regional custom
// domain names in API Gateway", Amazon API Gateway Developer Guide).
type PublicName struct {
	// Domain has the host and the hosted zone that records point to.
	Domain awsapigateway.CfnDomainName
}

// PublicNameProps is what the name needs of its Region.
type PublicNameProps struct {
	Settings *settings.Settings
	Zone     awsroute53.IHostedZone
	API      *PaymentAPI
}

// NewPublicName makes certificate, custom domain and mapping of one Region. The certificate is validated in the zone: a
// deployment waits here until the zone has been delegated.
func NewPublicName(scope constructs.Construct, id string, props PublicNameProps) *PublicName {
	scope = constructs.NewConstruct(scope, text(id))
	name := text(props.Settings.APIName())
	certificate := awscertificatemanager.NewCertificate(scope, text("Certificate"), &awscertificatemanager.CertificateProps{
		DomainName: name,
		Validation: awscertificatemanager.CertificateValidation_FromDns(props.Zone),
	})
	domain := awsapigateway.NewCfnDomainName(scope, text("Domain"), &awsapigateway.CfnDomainNameProps{
		DomainName:             name,
		RegionalCertificateArn: certificate.CertificateArn(),
		// IPv6 too: clients follow a CNAME to this domain's own name, and ask it for either address.
		EndpointConfiguration: &awsapigateway.CfnDomainName_EndpointConfigurationProperty{
			Types: texts("REGIONAL"), IpAddressType: text("dualstack"),
		},
		// The oldest that API Gateway still recommends, and the newest that Route 53's health checkers speak: they know TLS up
		// to 1.2 ("Values that you specify when you create or update health checks", Amazon Route 53 Developer Guide).
		SecurityPolicy: text("TLS_1_2"),
	})
	awsapigateway.NewCfnBasePathMapping(scope, text("Mapping"), &awsapigateway.CfnBasePathMappingProps{
		DomainName: domain.Ref(),
		RestApiId:  props.API.API.RestApiId(),
		Stage:      props.API.API.DeploymentStage().StageName(),
	})
	return &PublicName{Domain: domain}
}
