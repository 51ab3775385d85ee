package constructs

import (
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsdynamodb"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambdaeventsources"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssqs"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"

	"payments-dr/internal/payment"
	"payments-dr/internal/payment/variables"
	"payments-dr/internal/settings"
)

const (
	relayTimeout = 30 * time.Second
	// relayBatchSize is how many records of the stream one invocation gets: ten requests to the bus.
	relayBatchSize = 100
	// relayMaxRecordAge is how long the relay holds on to a record that it cannot put on the bus, and with it the shard's
	// records behind it. DynamoDB keeps records for 24 hours ("Change data capture for DynamoDB Streams", Amazon DynamoDB
	// Developer Guide); half of that outlasts an outage of the bus and leaves as long to look at what was given up.
	relayMaxRecordAge = 12 * time.Hour
)

// Relay carries accepted payments from the table's stream to the bus. The table is the outbox: a request writes once, and
// what follows from it is read from the stream.
type Relay struct {
	Function awslambda.Function
	// Failures gets word of records that were given up: where they are in the stream, not what they are.
	Failures awssqs.Queue
}

// RelayProps is what the relay needs of its Region.
type RelayProps struct {
	Settings *settings.Settings
	Region   settings.Region
	Key      awskms.IKey
	// Table is the session table's replica in this Region, with its stream.
	Table awsdynamodb.ITableV2
	Bus   *EventBus
}

// NewRelay makes the relay of one Region.
//
// A replica's stream shows every write to the global table, whichever Region took it ("DynamoDB Streams and global tables",
// Amazon DynamoDB Developer Guide). The filter lets this Region's own payments through, and nothing else of the stream even
// starts the function: no replicated payment, no health probe, no change.
func NewRelay(scope constructs.Construct, id string, props RelayProps) *Relay {
	scope = constructs.NewConstruct(scope, text(id))
	s := props.Settings
	relay := &Relay{
		Function: NewFunction(scope, "Relay", FunctionProps{
			Settings:    s,
			Name:        "relay",
			Description: "Puts the payments accepted in this Region on its bus",
			Timeout:     relayTimeout,
			Outside:     "It calls EventBridge alone, and Lambda reads the stream for it. In the network its way there would be the NAT gateways, which an accepted payment should not need.",
			Concurrency: "Its mapping invokes it, one invocation for a shard of the table's stream.",
			Failures:    "Its mapping keeps what fails: records that are given up go to relay-failures, the mapping's on-failure destination, with an alarm. It is never invoked asynchronously.",
			Key:         props.Key,
			Environment: map[string]string{variables.EventBusName: EventBusName(s)},
		}),
		Failures: NewDeadLetterQueue(scope, "Failures", s, "relay-failures", props.Key),
	}
	suppress(relay.Failures, deadLetters("the mapping of the table's stream"))
	suppress(child(relay.Function.Role(), "DefaultPolicy"),
		wildcards("The library's grant to tell of records that were given up, in an encrypted queue: on the Region's own key alone.", keyActions...))
	props.Bus.Bus.GrantPutEventsTo(relay.Function, nil)
	props.Table.GrantStreamRead(relay.Function)
	equals := func(value string) map[string]any { return map[string]any{"S": []string{value}} }
	awslambda.NewEventSourceMapping(scope, text("Mapping"), &awslambda.EventSourceMappingProps{
		Target:           relay.Function,
		EventSourceArn:   props.Table.TableStreamArn(),
		StartingPosition: awslambda.StartingPosition_TRIM_HORIZON,
		BatchSize:        jsii.Number(relayBatchSize),
		Filters: &[]*map[string]any{awslambda.FilterCriteria_Filter(&map[string]any{
			"eventName": []string{"INSERT"},
			"dynamodb": map[string]any{"NewImage": map[string]any{
				payment.AttributeRegion: equals(props.Region.Name),
				payment.AttributeStatus: equals(payment.StatusProcessed),
			}},
		})},
		ReportBatchItemFailures: jsii.Bool(true),
		BisectBatchOnError:      jsii.Bool(true),
		MaxRecordAge:            awscdk.Duration_Hours(jsii.Number(relayMaxRecordAge.Hours())),
		OnFailure:               awslambdaeventsources.NewSqsDlq(relay.Failures),
	})
	return relay
}
