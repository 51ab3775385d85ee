package constructs

import (
	"maps"
	"slices"
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslogs"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsssm"
	"github.com/aws/aws-cdk-go/awscdk/v2/customresources"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"

	"payments-dr/internal/settings"
)

// The names below /payment/<env>/. "Primary" and "secondary" are the Regions of the settings; which of them is the writer at
// the moment is RDS's to say.
const (
	ParameterPrimaryEndpoint   = "db/primary-endpoint"
	ParameterSecondaryEndpoint = "db/secondary-endpoint"
	ParameterTableName         = "db/table-name"
	ParameterRecoveryPlan      = "recovery/plan-arn"
)

// ParameterName is the full name of a parameter.
func ParameterName(s *settings.Settings, name string) string {
	return "/payment/" + s.Environment + "/" + name
}

// NewParameters writes parameters for a Region's operators and tools. Both Regions hold the same names, so that either can be
// asked when the other is gone. No function reads them in the way of a payment.
//
// They are of type String. CloudFormation cannot make a SecureString ("AWS::SSM::Parameter", CloudFormation Template
// Reference), and nothing in them is secret: the endpoints answer inside the networks alone, and only to those who
// authenticate. The one secret, the master password, is in Secrets Manager under MasterSecretName.
//
// They are for the stack's own Region; for another Region the values are written by a custom resource, which is how the
// global stack reaches the Regions that are not its own.
//
// key, of the stack's own Region, encrypts what such a custom resource logs.
func NewParameters(scope constructs.Construct, id string, s *settings.Settings, region settings.Region, key awskms.IKey, values map[string]*string) {
	scope = constructs.NewConstruct(scope, text(id))
	for _, name := range slices.Sorted(maps.Keys(values)) {
		id := name[strings.LastIndex(name, "/")+1:]
		if *awscdk.Stack_Of(scope).Region() == region.Name {
			awsssm.NewStringParameter(scope, text(id), &awsssm.StringParameterProps{
				ParameterName: text(ParameterName(s, name)),
				StringValue:   values[name],
				Description:   text(parameterDescriptions[name]),
			})
			continue
		}
		newParameterElsewhere(scope, id, name, s, region, key, values[name])
	}
}

var parameterDescriptions = map[string]string{
	ParameterPrimaryEndpoint:   "Aurora cluster endpoint of the Region that the settings call primary",
	ParameterSecondaryEndpoint: "Aurora cluster endpoint of the Region that the settings call secondary",
	ParameterTableName:         "Session table, the same name in both Regions",
	ParameterRecoveryPlan:      "ARN of the recovery plan",
}

func newParameterElsewhere(scope constructs.Construct, id, name string, s *settings.Settings, region settings.Region, key awskms.IKey, value *string) {
	fullName := ParameterName(s, name)
	call := func(action string, parameters map[string]any) *customresources.AwsSdkCall {
		return &customresources.AwsSdkCall{
			Service: text("ssm"), Action: text(action), Region: text(region.Name), Parameters: parameters,
			PhysicalResourceId: customresources.PhysicalResourceId_Of(text(region.Name + fullName)),
		}
	}
	put := call("PutParameter", map[string]any{
		"Name": fullName, "Value": value, "Type": "String", "Overwrite": true, "Description": parameterDescriptions[name],
	})
	logs := parameterLogs(scope, s, key)
	made := customresources.NewAwsCustomResource(scope, text(id), &customresources.AwsCustomResourceProps{
		OnCreate: put, OnUpdate: put, OnDelete: call("DeleteParameter", map[string]any{"Name": fullName}),
		InstallLatestAwsSdk: jsii.Bool(false),
		LogGroup:            logs,
		Role:                sdkCallRole(scope, logs),
		Policy: customresources.AwsCustomResourcePolicy_FromStatements(&[]awsiam.PolicyStatement{
			awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{
				Actions: texts("ssm:PutParameter", "ssm:DeleteParameter"),
				Resources: &[]*string{awscdk.Stack_Of(scope).FormatArn(&awscdk.ArnComponents{
					Service: text("ssm"), Region: text(region.Name), Resource: text("parameter"), ResourceName: text(fullName[1:]),
				})},
			}),
		}),
	})
	suppress(child(made, "CustomResourcePolicy"), ownPolicy("The deployment, to write the parameter "+name+" of "+region.Name+","))
	suppressSDKCalls(scope)
}

// parameterLogs is the log group of the one function by which a stack writes all parameters to other Regions.
func parameterLogs(scope constructs.Construct, s *settings.Settings, key awskms.IKey) awslogs.LogGroup {
	const id = "ParameterLogs"
	stack := awscdk.Stack_Of(scope)
	if made, ok := stack.Node().TryFindChild(text(id)).(awslogs.LogGroup); ok {
		return made
	}
	return NewLogGroup(stack, id, "/aws/lambda/payment-"+s.Environment+"-parameters", s, key)
}
