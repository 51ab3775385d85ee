package constructs_test

import (
	"strings"
	"testing"

	"github.com/aws/jsii-runtime-go"

	"payments-dr/internal/assembly"
	"payments-dr/stacks/stackstest"
)

func TestWebACL(t *testing.T) {
	stackstest.Each(t, func(t *testing.T, v stackstest.View) {
		_, acl := v.One(t, "AWS::WAFv2::WebACL")
		stackstest.Same(t, "scope", acl.Properties["Scope"], "REGIONAL")
		bodies := assembly.Object(acl.Properties["CustomResponseBodies"])
		var names []string
		for _, r := range assembly.List(acl.Properties["Rules"]) {
			rule := assembly.Object(r)
			names = append(names, rule["Name"].(string))
			if limited := assembly.At(rule["Statement"], "RateBasedStatement"); limited != nil {
				stackstest.Same(t, "limit", assembly.At(limited, "Limit"), v.Assembly.Settings.API.RequestsPerAddress)
				response := assembly.Object(assembly.At(rule["Action"], "Block", "CustomResponse"))
				stackstest.Same(t, "status", response["ResponseCode"], 429)
				body := assembly.Object(bodies[response["CustomResponseBodyKey"].(string)])
				if content, _ := body["Content"].(string); body["ContentType"] != "APPLICATION_JSON" || !strings.Contains(content, `"region":"`+v.Stack.Region+`"`) {
					t.Errorf("the body of a 429 is %s", stackstest.Text(body))
				}
			}
			if managed := assembly.At(rule["Statement"], "ManagedRuleGroupStatement"); managed != nil && rule["Name"] == "AWSManagedRulesCommonRuleSet" {
				// It would refuse bodies over 8 KB, and the contract takes 16.
				stackstest.Same(t, "overrides", assembly.At(managed, "RuleActionOverrides"), []any{map[string]any{"Name": "SizeRestrictions_BODY", "ActionToUse": map[string]any{"Count": map[string]any{}}}})
			}
		}
		stackstest.Same(t, "rules", names, []string{"RequestsPerAddress", "AWSManagedRulesCommonRuleSet", "AWSManagedRulesKnownBadInputsRuleSet"})
		_, logging := v.One(t, "AWS::WAFv2::LoggingConfiguration")
		stackstest.Same(t, "redacted", logging.Properties["RedactedFields"], []any{
			map[string]any{"SingleHeader": map[string]any{"Name": "authorization"}},
			map[string]any{"SingleHeader": map[string]any{"Name": "x-amz-security-token"}},
			map[string]any{"UriPath": map[string]any{}},
		})
		if filter := assembly.Object(logging.Properties["LoggingFilter"]); filter["DefaultBehavior"] != "DROP" || !strings.Contains(stackstest.Text(filter["Filters"]), `"Action":"BLOCK"`) {
			t.Errorf("logged is %s", stackstest.Text(filter))
		}
		template(t, v).HasResourceProperties(jsii.String("AWS::Logs::LogGroup"), map[string]any{"LogGroupName": "aws-waf-logs-payment-" + v.Assembly.Settings.Environment})
	})
}
