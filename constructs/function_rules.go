package constructs

import (
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsevents"
	"github.com/aws/aws-cdk-go/awscdk/v2/awseventstargets"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambdadestinations"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssqs"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"

	"payments-dr/internal/settings"
)

// functionRules are rules of the default bus that invoke one function. EventBridge invokes it asynchronously: what it cannot
// deliver, and what the function fails on, ends in one dead-letter queue.
type functionRules struct {
	scope    constructs.Construct
	settings *settings.Settings
	function awslambda.Function
	failures awssqs.Queue
}

// newFunctionRules lets rules put messages into the dead-letter queue, whose key is key. names is the pattern of the rules' names
// after payment-<env>-. Lambda does not retry a run that failed, because the next run is due after the duration every.
func newFunctionRules(scope constructs.Construct, s *settings.Settings, function awslambda.Function, failures awssqs.Queue, key awskms.Key, names string, every time.Duration) functionRules {
	function.ConfigureAsyncInvoke(&awslambda.EventInvokeConfigOptions{
		RetryAttempts: jsii.Number(0),
		MaxEventAge:   seconds(every),
		OnFailure:     awslambdadestinations.NewSqsDestination(failures),
	})
	allowEventBridge(key, awscdk.Stack_Of(scope), "rule/payment-"+s.Environment+"-"+names)
	return functionRules{scope, s, function, failures}
}

// add makes one rule, with its alarms. The rule passes event to the function, or EventBridge's own event if event is nil. EventBridge
// retries the delivery up to retries times, until the event is older than age.
func (r functionRules) add(id, name string, rule awsevents.RuleProps, event map[string]any, age time.Duration, retries int) {
	name = "payment-" + r.settings.Environment + "-" + name
	target := &awseventstargets.LambdaFunctionProps{DeadLetterQueue: r.failures, MaxEventAge: seconds(age), RetryAttempts: jsii.Number(retries)}
	if event != nil {
		target.Event = awsevents.RuleTargetInput_FromObject(event)
	}
	rule.RuleName = text(name)
	rule.Targets = &[]awsevents.IRuleTarget{awseventstargets.NewLambdaFunction(r.function, target)}
	awsevents.NewRule(r.scope, text(id), &rule)
	newRuleAlarms(r.scope, r.settings, "", name)
}

// allowEventBridge lets rules put messages into queues that a key encrypts ("Encrypting Amazon SQS queues with AWS KMS", with
// EventBridge as the source, Amazon EventBridge User Guide). resource is the rules' part of their ARN.
func allowEventBridge(key awskms.Key, stack awscdk.Stack, resource string) {
	key.AddToResourcePolicy(awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{
		Principals: &[]awsiam.IPrincipal{awsiam.NewServicePrincipal(text("events.amazonaws.com"), nil)},
		Actions:    texts("kms:Decrypt", "kms:GenerateDataKey"),
		Resources:  texts("*"), // in a key's policy: this key
		Conditions: &map[string]any{
			"StringEquals": map[string]any{"aws:SourceAccount": stack.Account()},
			"ArnLike": map[string]any{"aws:SourceArn": stack.FormatArn(&awscdk.ArnComponents{
				Service: text("events"), Resource: text(resource), ArnFormat: awscdk.ArnFormat_NO_RESOURCE_NAME,
			})},
		},
	}), jsii.Bool(true))
}
