package constructs

import (
	"regexp"
	"slices"
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/constructs-go/constructs/v10"
)

// The packs of cdk-nag whose rules every stack is held against, as their rules' names begin; see package policy. docs/explain/policy.md
// lists what is suppressed, with the reasons.
const (
	awsSolutions = "AwsSolutions-"
	nist         = "NIST.800.53.R5-"
	pciDSS       = "PCI.DSS.321-"
)

// nistAndPCI are the rules of one name in the two packs that share most of theirs.
func nistAndPCI(name string) []string { return []string{nist + name, pciDSS + name} }

// suppression is a finding of cdk-nag that stays, on one resource, and why.
type suppression struct {
	// rules are the names of the rules, with their packs'.
	rules []string
	// findings are those of a rule that finds more than one thing on a resource, such as each wildcard of a policy: a regular
	// expression each, of all of the finding. What is not among them is a finding still.
	findings []string
	// reason is why the resource is right as it is: of this resource, and such that somebody could disagree.
	reason string
}

// suppress records suppressions on a resource, or on the resource that a construct of the library stands for. They are metadata of the
// resource in the template, where cdk-nag reads them; without cdk-nag nobody does.
func suppress(of constructs.IConstruct, suppressions ...suppression) {
	resource, ok := of.(awscdk.CfnResource)
	if !ok {
		resource = of.Node().DefaultChild().(awscdk.CfnResource)
	}
	const key, list = "cdk_nag", "rules_to_suppress"
	var all []any
	if known, ok := resource.GetMetadata(text(key)).(map[string]any); ok {
		all, _ = known[list].([]any)
	}
	for _, s := range suppressions {
		var findings []any
		for _, finding := range s.findings {
			findings = append(findings, map[string]any{"regex": "/^" + finding + "$/"})
		}
		for _, rule := range s.rules {
			one := map[string]any{"id": rule, "reason": s.reason}
			if len(findings) > 0 {
				one["applies_to"] = findings
			}
			// The library makes some resources once for several that use them.
			if !slices.ContainsFunc(all, func(known any) bool {
				k, _ := known.(map[string]any)
				return k["id"] == rule && k["reason"] == s.reason
			}) {
				all = append(all, one)
			}
		}
	}
	resource.AddMetadata(text(key), map[string]any{list: all})
}

// child is a construct that the library made below another, by its id there.
func child(of constructs.IConstruct, ids ...string) constructs.IConstruct {
	for _, id := range ids {
		of = of.Node().FindChild(text(id))
	}
	return of
}

// anyResource and keyActions are findings of the rule on wildcards in policies.
const anyResource = `Resource::\*`

var keyActions = []string{`Action::kms:GenerateDataKey\*`, `Action::kms:ReEncrypt\*`}

// onResource is the finding of an ARN with a wildcard, as a policy names it. The partition is the library's to fill in.
func onResource(arn string) string {
	parts := strings.SplitN(arn, ":", 3)
	return "Resource::arn:[^:]+:" + regexp.QuoteMeta(parts[len(parts)-1])
}

// wildcards are the wildcards that a policy has.
func wildcards(reason string, findings ...string) suppression {
	return suppression{rules: []string{awsSolutions + "IAM5"}, findings: findings, reason: reason}
}

// ownPolicy is a policy that is written into its role. whose is the role's, as the subject of a sentence.
func ownPolicy(whose string) suppression {
	return suppression{
		rules: nistAndPCI("IAMNoInlinePolicy"),
		reason: whose + " may do this and nobody else may. Written into its role, the policy ends with the role and cannot be attached to another; " +
			"a managed policy could be, and there is no second role to share it with.",
	}
}

// deadLetters is what the rule on dead-letter queues does not see: a queue that is one, by its ARN in what sends to it.
func deadLetters(of string) suppression {
	return suppression{
		rules: []string{awsSolutions + "SQS3"},
		reason: "This is the dead-letter queue of " + of + ". The rule knows dead-letter queues by other queues' redrive policies alone. It keeps messages for " +
			"14 days and has an alarm; a further queue behind it would be for messages that nobody receives here.",
	}
}

// suppressSDKCalls is for the one function of a stack by which the library makes AWS calls at deployment, its
// AwsCustomResource. The library makes it under an id that is the same in every app.
func suppressSDKCalls(scope constructs.Construct) {
	function := child(awscdk.Stack_Of(scope), "AWS679f53fac002430cb0da5b7982bd2287")
	suppress(function,
		suppression{nistAndPCI("LambdaInsideVPC"), nil, "The library's function for single AWS calls at deployment. It talks to public AWS APIs and to nothing in the network, " +
			"and a deployment must not depend on the network's NAT gateways, which it may be about to make."},
		suppression{[]string{nist + "LambdaConcurrency"}, nil, "CloudFormation invokes it, once for each call that a deployment makes; a reservation would take from the account's pool for something that runs at deployments alone."},
		suppression{[]string{nist + "LambdaDLQ"}, nil, "CloudFormation waits for its answer. A call that fails, or that is never answered, fails the deployment, which is seen and rolled back; a message in a queue would add nothing."},
	)
}
