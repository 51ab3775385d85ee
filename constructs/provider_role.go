package constructs

import (
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslogs"
	"github.com/aws/constructs-go/constructs/v10"
)

// newProviderRole makes the role of a function that the library brings for a deployment. The library's own choice has the managed
// policy AWSLambdaBasicExecutionRole, which may create log groups. Such a function recreates its group with its last lines after
// CloudFormation has deleted it, and the next deployment fails with AlreadyExists (aws-cdk issue 31487).
func newProviderRole(scope constructs.Construct, id, description string, logs awslogs.ILogGroup) awsiam.Role {
	return awsiam.NewRole(scope, text(id), &awsiam.RoleProps{
		AssumedBy:   awsiam.NewServicePrincipal(text("lambda.amazonaws.com"), nil),
		Description: text(description),
		InlinePolicies: &map[string]awsiam.PolicyDocument{"Runtime": awsiam.NewPolicyDocument(&awsiam.PolicyDocumentProps{Statements: &[]awsiam.PolicyStatement{
			allow("Log", []*string{logs.LogGroupArn()}, "logs:CreateLogStream", "logs:PutLogEvents"),
		}})},
	})
}

// sdkCallRole is the role of the one function of a stack by which the library makes AWS calls at deployment, its
// AwsCustomResource. All custom resources of that kind in a stack share the function, its role and its log group.
func sdkCallRole(scope constructs.Construct, logs awslogs.ILogGroup) awsiam.IRole {
	const id = "SdkCallRole"
	stack := awscdk.Stack_Of(scope)
	if made, ok := stack.Node().TryFindChild(text(id)).(awsiam.Role); ok {
		return made
	}
	role := newProviderRole(stack, id, "Makes single AWS calls for CloudFormation", logs)
	suppress(role, ownPolicy("The library's function for single AWS calls, to log,"))
	return role
}

// RestrictLibraryProviders takes the permission to log, and so to create log groups, from the functions that the library's core
// brings into a stack: those of strong references across Regions, and the one that closes a network's default security group.
// They have no log group of their own, and what they fail with is in CloudFormation's events.
//
// The library makes the first after aspects have run and takes no role for them, so this happens when it validates the tree,
// which is after that and before templates are written.
func RestrictLibraryProviders(stack awscdk.Stack) { stack.Node().AddValidation(&restriction{stack}) }

type restriction struct{ stack awscdk.Stack }

// Validate has nothing to complain of; the rule "no-log-group-creation" finds what this might miss.
func (r *restriction) Validate() *[]*string {
	for _, provider := range *r.stack.Node().Children() {
		if !strings.HasSuffix(*provider.Node().Id(), "CustomResourceProvider") {
			continue
		}
		if role, ok := provider.Node().TryFindChild(text("Role")).(awscdk.CfnResource); ok {
			role.AddPropertyDeletionOverride(text("ManagedPolicyArns"))
		}
	}
	return texts()
}
