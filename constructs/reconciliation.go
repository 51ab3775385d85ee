package constructs

import (
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsdynamodb"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsevents"
	"github.com/aws/aws-cdk-go/awscdk/v2/awseventstargets"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambdadestinations"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssqs"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"

	"payments-dr/internal/ledger"
	"payments-dr/internal/sessiontable"
	"payments-dr/internal/settings"
	"payments-dr/internal/telemetry"
)

const (
	// reconcileTimeout is Lambda's longest ("Lambda quotas", AWS Lambda Developer Guide).
	reconcileTimeout = 15 * time.Minute
	// reconcileEvery is how often the last hours are compared. Each run looks back twice as far.
	reconcileEvery = time.Hour
	// databaseRoleEvery is how often the database is asked whether it takes writes: the period of the alarms that need to know.
	databaseRoleEvery = time.Minute
)

// ReconciliationProps is what the reconciliation needs of its Region.
type ReconciliationProps struct {
	Settings *settings.Settings
	Network  *Network
	Key      awskms.Key
	Table    awsdynamodb.ITableV2
	Database *AuroraMember
}

// Reconciliation compares what was accepted with what is recorded, and repairs.
type Reconciliation struct {
	Function awslambda.Function
	// Failures gets scheduled runs that failed.
	Failures awssqs.Queue
}

// NewReconciliation makes the reconciliation of one Region. It is scheduled in both Regions, and does its work in the one
// whose cluster is the writer; in the other it finds a reader and says so. Nothing has to be switched when the roles swap.
func NewReconciliation(scope constructs.Construct, id string, props ReconciliationProps) *Reconciliation {
	scope = constructs.NewConstruct(scope, text(id))
	s, stack := props.Settings, awscdk.Stack_Of(scope)
	environment := databaseEnvironment(props.Database)
	environment["TABLE_NAME"] = SessionTableName(s)
	environment[telemetry.NamespaceVariable] = MetricsNamespace(s)
	r := &Reconciliation{
		Function: NewFunction(scope, "Reconcile", FunctionProps{
			Settings:    s,
			Name:        "reconcile",
			Description: "Compares the accepted payments with the ledger and records what is missing there",
			Timeout:     reconcileTimeout,
			Network:     props.Network,
			Key:         props.Key,
			Environment: environment,
		}),
		Failures: NewDeadLetterQueue(scope, "Failures", s, "reconcile-failures", props.Key),
	}
	allowDatabaseUser(r.Function, props.Database, ledger.UserName)
	r.Function.AddToRolePolicy(awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{
		Actions: texts("dynamodb:BatchGetItem"), Resources: &[]*string{props.Table.TableArn()},
	}))
	r.Function.AddToRolePolicy(awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{
		Actions:   texts("dynamodb:Query"),
		Resources: &[]*string{text(*props.Table.TableArn() + "/index/" + sessiontable.IndexByAcceptance)},
	}))
	// One at a time is enough, and a failed run is repeated by the next: the windows overlap.
	r.Function.ConfigureAsyncInvoke(&awslambda.EventInvokeConfigOptions{
		RetryAttempts: jsii.Number(0),
		MaxEventAge:   awscdk.Duration_Minutes(jsii.Number(reconcileEvery.Minutes())),
		OnFailure:     awslambdadestinations.NewSqsDestination(r.Failures),
	})
	schedule := func(id, name, description string, every time.Duration, event map[string]any) {
		name = "payment-" + s.Environment + "-" + name
		allowEventBridge(props.Key, stack, "rule/"+name)
		awsevents.NewRule(scope, text(id), &awsevents.RuleProps{
			RuleName:    text(name),
			Description: text(description),
			Schedule:    awsevents.Schedule_Rate(seconds(every)),
			Targets: &[]awsevents.IRuleTarget{awseventstargets.NewLambdaFunction(r.Function, &awseventstargets.LambdaFunctionProps{
				Event:           awsevents.RuleTargetInput_FromObject(event),
				DeadLetterQueue: r.Failures,
				MaxEventAge:     seconds(every),
				RetryAttempts:   jsii.Number(2),
			})},
		})
		newRuleAlarms(scope, s, "", name)
	}
	schedule("Schedule", "reconcile", "Reconciles the last hours", reconcileEvery, map[string]any{"scheduled": true})
	// Alarms that depend on which Region's cluster is the writer take it from the answers; see newDatabaseAlarms.
	schedule("Role", "database-role", "Asks the database whether it takes writes", databaseRoleEvery, map[string]any{"role": true})
	return r
}
