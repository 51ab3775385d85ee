package constructs

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
	"github.com/aws/aws-cdk-go/awscdk/v2/customresources"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
)

// customResourceProps describes a custom resource that a function of this app provides.
type customResourceProps struct {
	// Type is the resource's, "Custom::" and a name.
	Type string
	// Function handles the events, by package customresource. Its Concurrency and Failures are the same for all.
	Function FunctionProps
	// Properties are what the function reads. CloudFormation invokes it when the resource is created and when one of them changes.
	Properties map[string]any
}

// newCustomResource makes a custom resource in scope, its function under the id function, and the library's provider between the
// function and CloudFormation. The deployment fails if there is no response in twice the function's timeout.
func newCustomResource(scope constructs.Construct, function string, props customResourceProps) (awscdk.CustomResource, awslambda.Function) {
	s, name := props.Function.Settings, props.Function.Name
	props.Function.Concurrency = "CloudFormation invokes it, once in a deployment."
	props.Function.Failures = "The custom resource's provider invokes it and waits: a failure fails the deployment, which tells why."
	handler := NewFunction(scope, function, props.Function)
	logs := NewLogGroup(scope, "ProviderLogs", "/aws/lambda/"+FunctionName(s, name)+"-provider", s, props.Function.Key)
	role := newProviderRole(scope, "ProviderRole", "Invokes the function "+name+" for CloudFormation", logs)
	provider := customresources.NewProvider(scope, text("Provider"), &customresources.ProviderProps{
		OnEventHandler:       handler,
		LogGroup:             logs,
		FrameworkOnEventRole: role,
	})
	suppress(role, ownPolicy("The custom resource's provider, to log,"))
	suppress(child(role, "DefaultPolicy"),
		ownPolicy("The custom resource's provider, to invoke its function,"),
		wildcards("The library lets its provider invoke every version of the one function that it is for.", `Resource::<[A-Za-z]+[0-9A-F]{8}\.Arn>:\*`))
	suppress(child(provider, "framework-onEvent"),
		suppression{nistAndPCI("LambdaInsideVPC"), nil, "The library's provider invokes the function " + name + " and answers CloudFormation, both by public APIs. It reaches nothing in the network."},
		suppression{[]string{nist + "LambdaConcurrency"}, nil, "CloudFormation invokes the provider, once in a deployment; a reservation would lie unused for all the time between, and be missing from the account's pool."},
		suppression{[]string{nist + "LambdaDLQ"}, nil, "CloudFormation waits for the provider's answer, and takes its silence for a failure when the resource's service timeout is over: the deployment fails, and that is seen."},
	)
	return awscdk.NewCustomResource(scope, text("Run"), &awscdk.CustomResourceProps{
		ServiceToken:   provider.ServiceToken(),
		ResourceType:   text(props.Type),
		Properties:     &props.Properties,
		ServiceTimeout: awscdk.Duration_Seconds(jsii.Number(2 * props.Function.Timeout.Seconds())),
	}), handler
}
