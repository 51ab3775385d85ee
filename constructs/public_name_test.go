package constructs_test

import (
	"testing"

	"payments-dr/internal/assembly"
	"payments-dr/stacks/stackstest"
)

func TestPublicNameHasACertificateInEachRegion(t *testing.T) {
	stackstest.Each(t, func(t *testing.T, v stackstest.View) {
		s := v.Assembly.Settings
		id, domain := v.One(t, "AWS::ApiGateway::DomainName")
		p := domain.Properties
		stackstest.Same(t, "name", p["DomainName"], s.APIName())
		stackstest.Same(t, "TLS", p["SecurityPolicy"], "TLS_1_2")
		stackstest.Same(t, "endpoint", p["EndpointConfiguration"], map[string]any{"Types": []any{"REGIONAL"}, "IpAddressType": "dualstack"})
		certificateID, certificate := v.One(t, "AWS::CertificateManager::Certificate")
		stackstest.Same(t, "certificate", p["RegionalCertificateArn"], stackstest.Ref(certificateID))
		stackstest.Same(t, "certificate's name", certificate.Properties["DomainName"], s.APIName())
		stackstest.Same(t, "validation", certificate.Properties["ValidationMethod"], "DNS")
		options := assembly.Object(assembly.List(certificate.Properties["DomainValidationOptions"])[0])
		if s.DNS.HostedZoneID != "" {
			stackstest.Same(t, "validated in", options["HostedZoneId"], s.DNS.HostedZoneID)
		} else if origin, err := v.Assembly.Origin(v.Stack, options["HostedZoneId"]); err != nil || origin.Resource().Type != "AWS::Route53::HostedZone" {
			t.Errorf("validated in %s, %v", stackstest.Text(options["HostedZoneId"]), err)
		}
		_, mapping := v.One(t, "AWS::ApiGateway::BasePathMapping")
		apiID, _ := v.One(t, "AWS::ApiGateway::RestApi")
		stageID, _ := v.One(t, "AWS::ApiGateway::Stage")
		stackstest.Same(t, "mapping", mapping.Properties, map[string]any{"DomainName": stackstest.Ref(id), "RestApiId": stackstest.Ref(apiID), "Stage": stackstest.Ref(stageID)})
	})
}
