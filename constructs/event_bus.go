package constructs

import (
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsevents"
	"github.com/aws/aws-cdk-go/awscdk/v2/awseventstargets"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssqs"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"

	"payments-dr/internal/payment"
	"payments-dr/internal/settings"
)

const (
	// targetRetryWindow and targetRetries are how long and how often a rule tries a target that fails: EventBridge's own
	// limits ("How EventBridge retries delivering events", Amazon EventBridge User Guide), said so that they show.
	targetRetryWindow = 24 * time.Hour
	targetRetries     = 185
)

// EventBus is one Region's bus. An accepted payment's event is put on the bus of the Region that accepted it, and reaches the
// other Region's bus by a rule.
type EventBus struct {
	Bus awsevents.EventBus
	// DeadLetters holds the events that a rule could not deliver.
	DeadLetters awssqs.Queue
}

// EventBusName is the same in both Regions.
func EventBusName(s *settings.Settings) string { return "payment-" + s.Environment }

// EventBusProps is what the bus needs to know of the Regions.
type EventBusProps struct {
	Settings *settings.Settings
	Region   settings.Region
	// Other is the Region that events are forwarded to.
	Other settings.Region
	Key   awskms.Key
	// Ledger is the queue that every payment's event goes to, whichever Region accepted it.
	Ledger awssqs.Queue
}

// NewEventBus makes the bus of one Region with its archive and its two rules.
//
// Nothing can go in circles: only an event that was put on this bus (its envelope's region, which a hop keeps) about a payment
// that was accepted in this Region (its detail's region) is forwarded. EventBridge would stop a circle at its third hop, but
// as a failure of every single event.
func NewEventBus(scope constructs.Construct, id string, props EventBusProps) *EventBus {
	scope = constructs.NewConstruct(scope, text(id))
	s, stack := props.Settings, awscdk.Stack_Of(scope)
	name := EventBusName(s)
	bus := &EventBus{
		Bus: awsevents.NewEventBus(scope, text("Bus"), &awsevents.EventBusProps{
			EventBusName: text(name), Description: text("Accepted payments, " + s.Environment),
		}),
		DeadLetters: NewDeadLetterQueue(scope, "DeadLetters", s, "undelivered-events", props.Key),
	}
	suppress(bus.DeadLetters, deadLetters("the bus's two rules"))
	allowEventBridge(props.Key, stack, "rule/"+name+"/*")

	bus.Bus.Archive(text("Archive"), &awsevents.BaseArchiveProps{
		ArchiveName: text(name),
		Description: text("Payments' events, to be replayed"),
		// Replay is for what consumers have lost; further back the table itself is the record.
		Retention:    awscdk.Duration_Days(jsii.Number(s.Backup.RetentionDays)),
		EventPattern: &awsevents.EventPattern{Source: texts(payment.EventSource)},
	})

	forwarding := awsiam.NewRole(scope, text("Forwarding"), &awsiam.RoleProps{
		AssumedBy:   awsiam.NewServicePrincipal(text("events.amazonaws.com"), nil),
		Description: text("Forwards payments' events of " + props.Region.Name + " to " + props.Other.Name),
	})
	other := awsevents.EventBus_FromEventBusArn(scope, text("OtherBus"), stack.FormatArn(&awscdk.ArnComponents{
		Service: text("events"), Region: text(props.Other.Name), Resource: text("event-bus"), ResourceName: text(name),
	}))
	awsevents.NewRule(scope, text("Forward"), &awsevents.RuleProps{
		RuleName:    text(name + "-forward"),
		Description: text("Payments accepted here go to the bus of " + props.Other.Name),
		EventBus:    bus.Bus,
		EventPattern: &awsevents.EventPattern{
			Source:     texts(payment.EventSource),
			DetailType: texts(payment.EventDetailType),
			Region:     texts(props.Region.Name),
			Detail:     &map[string]any{payment.AttributeRegion: []string{props.Region.Name}},
		},
		Targets: &[]awsevents.IRuleTarget{
			awseventstargets.NewEventBus(other, &awseventstargets.EventBusProps{Role: forwarding, DeadLetterQueue: bus.DeadLetters}),
		},
	})
	awsevents.NewRule(scope, text("ToLedger"), &awsevents.RuleProps{
		RuleName:    text(name + "-ledger"),
		Description: text("Every payment goes to the ledger's queue"),
		EventBus:    bus.Bus,
		EventPattern: &awsevents.EventPattern{
			Source:     texts(payment.EventSource),
			DetailType: texts(payment.EventDetailType),
		},
		Targets: &[]awsevents.IRuleTarget{
			awseventstargets.NewSqsQueue(props.Ledger, &awseventstargets.SqsQueueProps{
				DeadLetterQueue: bus.DeadLetters,
				MaxEventAge:     awscdk.Duration_Hours(jsii.Number(targetRetryWindow.Hours())),
				RetryAttempts:   jsii.Number(targetRetries),
			}),
		},
	})
	suppress(child(forwarding, "DefaultPolicy"), ownPolicy("The rule that forwards events to the other Region's bus"))
	newRuleAlarms(scope, s, name, name+"-forward")
	newRuleAlarms(scope, s, name, name+"-ledger")
	return bus
}
