package constructs

import (
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsevents"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssqs"
	"github.com/aws/constructs-go/constructs/v10"

	"payments-dr/internal/payment/variables"
	"payments-dr/internal/settings"
)

const (
	// canaryEvery is the most often that a rule can run ("Creating an Amazon EventBridge rule that runs on a schedule", Amazon
	// EventBridge User Guide).
	canaryEvery = time.Minute
	// canaryTimeout is more than the canary's own limit of a run, which ends it in order.
	canaryTimeout = 30 * time.Second
)

// CanaryProps is what the canary needs to know of the Regions.
type CanaryProps struct {
	Settings *settings.Settings
	Region   settings.Region
	// Other is the Region that it probes.
	Other settings.Region
	Key   awskms.Key
}

// Canary pays and probes as a client does, from outside.
type Canary struct {
	Function awslambda.Function
	// Failures gets runs that could not do their work. A payment that fails is a metric, and none of these.
	Failures awssqs.Queue
}

// NewCanary makes the canary of one Region: every minute a test payment through the public name, and a look at the other
// Region's health. It runs in both Regions, so that each is watched by the other, and one of them is left to tell.
//
// It is not in the network: there its way out would be the platform's own, and it would see less than a client does.
func NewCanary(scope constructs.Construct, id string, props CanaryProps) *Canary {
	scope = constructs.NewConstruct(scope, text(id))
	s, stack := props.Settings, awscdk.Stack_Of(scope)
	c := &Canary{
		Function: NewFunction(scope, "Canary", FunctionProps{
			Settings:    s,
			Name:        "canary",
			Description: "Makes a test payment through the public name and probes the other Region, every minute",
			Timeout:     canaryTimeout,
			Outside:     "It looks as clients do. From inside it would go out by the platform's own way, and call a fault of that way a fault of payments, or see none where clients do.",
			Concurrency: "One rule invokes it once a minute, and it ends within half of one.",
			Failures:    "EventBridge invokes it asynchronously: its invocations have an on-failure destination, and its rule a dead-letter queue, both canary-failures, with an alarm.",
			Key:         props.Key,
			Environment: map[string]string{
				variables.APIName:            s.APIName(),
				variables.OtherRegion:        props.Other.Name,
				variables.OtherRegionAPIName: s.RegionalAPIName(props.Other),
			},
		}),
		Failures: NewDeadLetterQueue(scope, "Failures", s, "canary-failures", props.Key),
	}
	// What it does and no more, on the APIs of both Regions, because the public name may lead to either ("Control access for
	// invoking an API", Amazon API Gateway Developer Guide). "*" stands for the APIs' ids: one stack would have to know the
	// other's in both directions, and one of them is made first. The account and the stage are this platform's.
	var methods []*string
	for _, region := range s.Both() {
		for _, method := range []string{"POST/payments", "GET/payments/*"} {
			methods = append(methods, stack.FormatArn(&awscdk.ArnComponents{
				Service: text("execute-api"), Region: text(region.Name), Resource: text("*"), ResourceName: text(StageName + "/" + method),
			}))
		}
	}
	c.Function.AddToRolePolicy(awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{Actions: texts("execute-api:Invoke"), Resources: &methods}))

	suppress(child(c.Function.Role(), "DefaultPolicy"),
		wildcards("The APIs' ids, for which the wildcard stands, are generated in each Region, and the stacks of the two cannot wait for each other's. Account, stage, method and path are this platform's; "+
			"below /payments/ are the ids of payments.", invoked(methods)...),
		wildcards("The library's grant to send to the encrypted dead-letter queue, on the Region's own key alone; the wildcards stand for variants of the same two operations.", keyActions...))

	suppress(c.Failures, deadLetters("the canary's invocations and of its schedule"))
	rules := newFunctionRules(scope, s, c.Function, c.Failures, props.Key, "canary", canaryEvery)
	rules.add("Schedule", "canary", awsevents.RuleProps{
		Description: text("A test payment and a look at " + props.Other.Name),
		Schedule:    awsevents.Schedule_Rate(seconds(canaryEvery)),
	}, nil, canaryEvery, 0) // what is a minute old is not worth a second attempt
	return c
}

// invoked are the findings on the methods of an API.
func invoked(methods []*string) []string {
	var all []string
	for _, method := range methods {
		all = append(all, onResource(*method))
	}
	return all
}
