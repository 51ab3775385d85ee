package constructs

import (
	"strconv"
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2/awsdynamodb"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsevents"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssqs"
	"github.com/aws/constructs-go/constructs/v10"

	"payments-dr/internal/payment/ledger"
	"payments-dr/internal/payment/reconcile"
	"payments-dr/internal/payment/sessiontable"
	"payments-dr/internal/payment/variables"
	"payments-dr/internal/settings"
)

const (
	// reconcileTimeout is Lambda's longest ("Lambda quotas", AWS Lambda Developer Guide).
	reconcileTimeout = 15 * time.Minute
	// reconcileEvery is how often table and ledger are compared. Each run begins where the ledger's watermark is.
	reconcileEvery = reconcile.Interval
	// databaseRoleEvery is how often the database is asked whether it takes writes: the period of the alarms that need to know.
	databaseRoleEvery = time.Minute
)

// promotionEvents are what RDS says when a global database's switchover has finished and when its failover has completed
// ("Amazon RDS event categories and event messages for Aurora", Amazon Aurora User Guide). However the promotion was started,
// by the recovery plan in either mode, by hand or by RDS, the promoted Region gets one of them. A switchover's comes in both
// Regions, and its message names the promoted cluster: the function compares.
var promotionEvents = []string{"RDS-EVENT-0185", "RDS-EVENT-0238"}

// ReconciliationProps is what the reconciliation needs of its Region.
type ReconciliationProps struct {
	Settings *settings.Settings
	Region   settings.Region
	Network  *Network
	Key      awskms.Key
	Table    awsdynamodb.ITableV2
	Database *AuroraMember
	// Schema is the migration, which comes before the function.
	Schema constructs.IDependable
}

// Reconciliation compares what was accepted with what is recorded, and repairs.
type Reconciliation struct {
	Function awslambda.Function
	// Failures gets scheduled runs that failed.
	Failures awssqs.Queue
}

// NewReconciliation makes the reconciliation of one Region. It is scheduled in both Regions, and does its work in the one
// whose cluster is the writer; in the other it finds a reader and says so. Nothing has to be switched when the roles swap. And it
// runs whenever the Region's cluster has been promoted, because the recovery plan skips its own call of it when the other
// Region is lost.
func NewReconciliation(scope constructs.Construct, id string, props ReconciliationProps) *Reconciliation {
	scope = constructs.NewConstruct(scope, text(id))
	s := props.Settings
	environment := databaseEnvironment(props.Database)
	environment[variables.ReconcileSettleSeconds] = strconv.Itoa(int(reconcile.Settle.Seconds()))
	environment[variables.ReconcileStepSeconds] = strconv.Itoa(s.Recovery.StepMinutes.Reconciliation * 60)
	r := &Reconciliation{
		Function: NewFunction(scope, "Reconcile", FunctionProps{
			Settings:    s,
			Name:        "reconcile",
			Description: "Compares the accepted payments with the ledger and records what is missing there",
			Timeout:     reconcileTimeout,
			Network:     props.Network,
			Concurrency: "Rules invoke it, each minute and each hour, and the recovery plan once; runs that meet repair the same payments to the same end.",
			Failures:    "EventBridge invokes it asynchronously: its invocations have an on-failure destination, and its rules a dead-letter queue, both reconcile-failures, with an alarm.",
			Key:         props.Key,
			Schema:      props.Schema,
			Environment: environment,
		}),
		Failures: NewDeadLetterQueue(scope, "Failures", s, "reconcile-failures", props.Key),
	}
	suppress(r.Failures, deadLetters("the reconciliation's invocations and of its three rules"))
	suppress(child(r.Function.Role(), "DefaultPolicy"),
		wildcards("The library's grant to keep failed runs in an encrypted queue: on the Region's own key alone.", keyActions...),
	)
	allowDatabaseUser(r.Function, props.Database, ledger.UserName)
	r.Function.AddToRolePolicy(awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{
		Actions: texts("dynamodb:BatchGetItem"), Resources: &[]*string{props.Table.TableArn()},
	}))
	r.Function.AddToRolePolicy(awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{
		Actions:   texts("dynamodb:Query"),
		Resources: &[]*string{text(*props.Table.TableArn() + "/index/" + sessiontable.IndexByAcceptance)},
	}))
	const retries = 2
	// A run that failed is not retried: the next one begins at the same watermark.
	rules := newFunctionRules(scope, s, r.Function, r.Failures, props.Key, "reconcile*", reconcileEvery)
	rules.add("Schedule", "reconcile", awsevents.RuleProps{
		Description: text("Reconciles what was accepted since the last run"),
		Schedule:    awsevents.Schedule_Rate(seconds(reconcileEvery)),
	}, map[string]any{"scheduled": true}, reconcileEvery, retries)
	rules.add("Promotion", "reconcile-promotion", awsevents.RuleProps{
		Description: text("Reconciles as soon as this Region's cluster has become the writer"),
		EventPattern: &awsevents.EventPattern{
			Source: texts("aws.rds"), DetailType: texts("RDS DB Cluster Event"),
			Detail: &map[string]any{
				"SourceIdentifier": []string{ClusterIdentifier(s, props.Region)},
				"EventID":          promotionEvents,
			},
		},
	}, map[string]any{ // not as scheduled: a cluster that takes no writes is a failure now, and no reason to keep quiet
		"promotion": true, "cluster": ClusterIdentifier(s, props.Region), "message": awsevents.EventField_FromPath(text("$.detail.Message")),
	}, reconcileEvery, retries)
	// Alarms that depend on which Region's cluster is the writer take it from the answers; see newDatabaseAlarms.
	rules.add("Role", "reconcile-role", awsevents.RuleProps{
		Description: text("Asks the database whether it takes writes"),
		Schedule:    awsevents.Schedule_Rate(seconds(databaseRoleEvery)),
	}, map[string]any{"role": true}, databaseRoleEvery, retries)
	return r
}
