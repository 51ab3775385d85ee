package constructs

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
	"github.com/aws/aws-cdk-go/awscdk/v2/awswafv2"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"

	"payments-dr/internal/settings"
)

// tooManyRequests is the key of the Web ACL's own answer to an address over its limit.
const tooManyRequests = "TooManyRequests"

// NewWebACL puts a Web ACL before a stage of the payment API: a limit for each address first, then AWS's rules.
func NewWebACL(scope constructs.Construct, id string, s *settings.Settings, region settings.Region, key awskms.IKey, stageARN *string) awswafv2.CfnWebACL {
	scope = constructs.NewConstruct(scope, text(id))
	name := "payment-" + s.Environment
	visibility := func(metric string) *awswafv2.CfnWebACL_VisibilityConfigProperty {
		return &awswafv2.CfnWebACL_VisibilityConfigProperty{
			CloudWatchMetricsEnabled: jsii.Bool(true), SampledRequestsEnabled: jsii.Bool(false), MetricName: text(name + "-" + metric),
		}
	}
	managed := func(priority int, ruleSet string, overrides any) *awswafv2.CfnWebACL_RuleProperty {
		return &awswafv2.CfnWebACL_RuleProperty{
			Name: text(ruleSet), Priority: jsii.Number(priority),
			Statement: &awswafv2.CfnWebACL_StatementProperty{ManagedRuleGroupStatement: &awswafv2.CfnWebACL_ManagedRuleGroupStatementProperty{
				VendorName: text("AWS"), Name: text(ruleSet), RuleActionOverrides: overrides,
			}},
			OverrideAction:   &awswafv2.CfnWebACL_OverrideActionProperty{None: map[string]any{}},
			VisibilityConfig: visibility(ruleSet),
		}
	}
	acl := awswafv2.NewCfnWebACL(scope, text("WebACL"), &awswafv2.CfnWebACLProps{
		Name:             text(name),
		Description:      text("Payment API"),
		Scope:            text("REGIONAL"),
		DefaultAction:    &awswafv2.CfnWebACL_DefaultActionProperty{Allow: map[string]any{}},
		VisibilityConfig: visibility("web-acl"),
		CustomResponseBodies: map[string]any{tooManyRequests: map[string]any{
			"contentType": "APPLICATION_JSON",
			"content":     `{"error":"too many requests from this address","region":"` + region.Name + `"}`,
		}},
		Rules: &[]*awswafv2.CfnWebACL_RuleProperty{
			{
				Name: text("RequestsPerAddress"), Priority: jsii.Number(0),
				Statement: &awswafv2.CfnWebACL_StatementProperty{RateBasedStatement: &awswafv2.CfnWebACL_RateBasedStatementProperty{
					AggregateKeyType: text("IP"), Limit: jsii.Number(s.API.RequestsPerAddress), EvaluationWindowSec: jsii.Number(300),
				}},
				Action: &awswafv2.CfnWebACL_RuleActionProperty{Block: &awswafv2.CfnWebACL_BlockActionProperty{
					CustomResponse: &awswafv2.CfnWebACL_CustomResponseProperty{
						ResponseCode: jsii.Number(429), CustomResponseBodyKey: text(tooManyRequests),
						ResponseHeaders: &[]*awswafv2.CfnWebACL_CustomHTTPHeaderProperty{
							{Name: text("Retry-After"), Value: text("60")},
							{Name: text("X-Region"), Value: text(region.Name)},
						},
					},
				}},
				VisibilityConfig: visibility("requests-per-address"),
			},
			// The set refuses bodies over 8 KB; the contract takes 16 and answers 413 above. Counted instead.
			managed(1, "AWSManagedRulesCommonRuleSet", &[]any{&awswafv2.CfnWebACL_RuleActionOverrideProperty{
				Name: text("SizeRestrictions_BODY"), ActionToUse: &awswafv2.CfnWebACL_RuleActionProperty{Count: map[string]any{}},
			}}),
			managed(2, "AWSManagedRulesKnownBadInputsRuleSet", nil),
		},
	})
	awswafv2.NewCfnWebACLAssociation(scope, text("Stage"), &awswafv2.CfnWebACLAssociationProps{
		WebAclArn: acl.AttrArn(), ResourceArn: stageARN,
	})
	// WAF takes log groups of this prefix only.
	logs := NewLogGroup(scope, "Logs", "aws-waf-logs-"+name, s, key)
	awswafv2.NewCfnLoggingConfiguration(scope, text("Logging"), &awswafv2.CfnLoggingConfigurationProps{
		ResourceArn: acl.AttrArn(),
		LogDestinationConfigs: anys(awscdk.Stack_Of(scope).FormatArn(&awscdk.ArnComponents{
			Service: text("logs"), Resource: text("log-group"), ArnFormat: awscdk.ArnFormat_COLON_RESOURCE_NAME, ResourceName: logs.LogGroupName(),
		})),
		// Two properties are free JSON to CloudFormation, and the library's own types for them come out in the wrong case.
		RedactedFields: &[]any{
			redactedHeader("authorization"), redactedHeader("x-amz-security-token"),
			&awswafv2.CfnLoggingConfiguration_FieldToMatchProperty{UriPath: map[string]any{}}, // it holds ids
		},
		// What was let through is in the API's own access log.
		LoggingFilter: map[string]any{
			"DefaultBehavior": "DROP",
			"Filters": []any{map[string]any{
				"Behavior": "KEEP", "Requirement": "MEETS_ANY", "Conditions": []any{actionIs("BLOCK"), actionIs("COUNT")},
			}},
		},
	})
	return acl
}

func redactedHeader(name string) *awswafv2.CfnLoggingConfiguration_FieldToMatchProperty {
	return &awswafv2.CfnLoggingConfiguration_FieldToMatchProperty{SingleHeader: map[string]any{"Name": name}}
}

func actionIs(action string) map[string]any {
	return map[string]any{"ActionCondition": map[string]any{"Action": action}}
}
