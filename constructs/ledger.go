package constructs

import (
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssqs"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"

	"payments-dr/internal/payment/ledger"
	"payments-dr/internal/payment/variables"
	"payments-dr/internal/settings"
)

const (
	ledgerTimeout = 60 * time.Second
	// ledgerBatchSize and ledgerBatchingWindow let one transaction record many payments: a queue may hand over more than ten
	// messages at once if it may wait a second for them ("Batching behavior", AWS Lambda Developer Guide).
	ledgerBatchSize      = 500
	ledgerBatchingWindow = time.Second
	// ledgerConcurrency bounds the connections to the database. Two is the least that SQS takes, five writers of large
	// batches keep a db.r5.large busy.
	ledgerConcurrency = 5
	// ledgerVisibility is over six times the function's timeout and the batching window ("Configuring a queue to use with
	// Lambda", AWS Lambda Developer Guide).
	ledgerVisibility = 6*ledgerTimeout + 2*ledgerBatchingWindow
	// ledgerLeastReceives is how often a message is tried at the least, and maxReceives how often SQS lets it be ("Configuring a
	// dead-letter queue using the Amazon SQS console", Amazon SQS Developer Guide: 1 to 1,000).
	ledgerLeastReceives, maxReceives = 3, 1000
	// ledgerQueue is the queue's name, without "payment-<env>-".
	ledgerQueue = "ledger"
)

// LedgerQueue is what a Region's bus fills and its ledger function empties. In the standby nothing empties it: it then holds
// the payments of the last hours, so that a promotion starts from what is there already.
type LedgerQueue struct {
	Queue       awssqs.Queue
	DeadLetters awssqs.Queue
}

// NewLedgerQueue makes the queue of one Region.
func NewLedgerQueue(scope constructs.Construct, id string, s *settings.Settings, key awskms.IKey) *LedgerQueue {
	scope = constructs.NewConstruct(scope, text(id))
	dead := NewDeadLetterQueue(scope, "DeadLetters", s, ledgerQueue+"-dead-letters", key)
	return &LedgerQueue{
		Queue: newQueue(scope, "Queue", s, ledgerQueue, key, &awssqs.QueueProps{
			VisibilityTimeout: seconds(ledgerVisibility),
			RetentionPeriod:   awscdk.Duration_Hours(jsii.Number(s.Ledger.QueueRetentionHours)),
			DeadLetterQueue:   &awssqs.DeadLetterQueue{Queue: dead, MaxReceiveCount: jsii.Number(ledgerMaxReceives(s))},
		}),
		DeadLetters: dead,
	}
}

// ledgerMaxReceives is how often a payment is tried before it goes to the dead-letter queue. A try takes the visibility timeout, and
// all of them half of the retention: that is how long the database may be away before there are dead letters. The other half
// is for what passes between the tries, so that a payment that cannot be recorded is a dead letter, which somebody is told of and
// which is kept until it is 14 days old, before it expires, of which nobody is told.
func ledgerMaxReceives(s *settings.Settings) int {
	retention := time.Duration(s.Ledger.QueueRetentionHours) * time.Hour
	return min(max(int(retention/2/ledgerVisibility), ledgerLeastReceives), maxReceives)
}

// LedgerProps is what the ledger needs of its Region.
type LedgerProps struct {
	Settings *settings.Settings
	Region   settings.Region
	Network  *Network
	Key      awskms.IKey
	Queue    *LedgerQueue
	Database *AuroraMember
	// Schema is the migration, which comes before the function.
	Schema constructs.IDependable
}

// Ledger records payments in the Region's own cluster, while that is the writer.
type Ledger struct {
	Function awslambda.Function
	// Mapping is enabled in the active Region alone. The recovery plan moves it.
	Mapping awslambda.EventSourceMapping
}

// NewLedger makes the ledger function of one Region and its mapping.
func NewLedger(scope constructs.Construct, id string, props LedgerProps) *Ledger {
	scope = constructs.NewConstruct(scope, text(id))
	s := props.Settings
	function := NewFunction(scope, "Ledger", FunctionProps{
		Settings:    s,
		Name:        "ledger",
		Description: "Records payments in the ledger, a batch a transaction",
		Timeout:     ledgerTimeout,
		Network:     props.Network,
		Concurrency: "Its mapping invokes it, with a maximum concurrency of its own, which bounds the connections to the database too.",
		Failures:    "Its queue invokes it: a message that fails stays there, is tried again, and ends in the queue's dead-letter queue. A dead-letter queue of the function is for asynchronous invocations, of which there are none.",
		Key:         props.Key,
		Schema:      props.Schema,
		Environment: databaseEnvironment(props.Database),
	})
	allowDatabaseUser(function, props.Database, ledger.UserName)
	props.Queue.Queue.GrantConsumeMessages(function)
	mapping := awslambda.NewEventSourceMapping(scope, text("Mapping"), &awslambda.EventSourceMappingProps{
		Target:                  function,
		EventSourceArn:          props.Queue.Queue.QueueArn(),
		Enabled:                 jsii.Bool(props.Region.Name == s.ActiveRegion().Name),
		BatchSize:               jsii.Number(ledgerBatchSize),
		MaxBatchingWindow:       seconds(ledgerBatchingWindow),
		MaxConcurrency:          jsii.Number(ledgerConcurrency),
		ReportBatchItemFailures: jsii.Bool(true),
	})
	mapping.Node().AddDependency(props.Schema)
	return &Ledger{Function: function, Mapping: mapping}
}

// databaseEnvironment tells a function where its own Region's cluster is. The cluster endpoint is the Region's own: it leads
// to the writer once the Region has been promoted, without any change here.
func databaseEnvironment(database *AuroraMember) map[string]string {
	return map[string]string{
		variables.DatabaseHost:       *database.Cluster.AttrEndpointAddress(),
		variables.DatabaseReaderHost: *database.Cluster.AttrReadEndpointAddress(),
	}
}

// allowDatabaseUser lets a function sign in as a user of its Region's cluster ("Creating and using an IAM policy for IAM
// database access", Amazon Aurora User Guide).
func allowDatabaseUser(function awslambda.Function, database *AuroraMember, user string) {
	function.AddToRolePolicy(awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{
		Actions: texts("rds-db:connect"),
		Resources: &[]*string{awscdk.Stack_Of(function).FormatArn(&awscdk.ArnComponents{
			Service: text("rds-db"), Resource: text("dbuser"), ArnFormat: awscdk.ArnFormat_COLON_RESOURCE_NAME,
			ResourceName: text(*database.Cluster.AttrDbClusterResourceId() + "/" + user),
		})},
	}))
}
