package constructs

import (
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
	"github.com/aws/aws-cdk-go/awscdk/v2/customresources"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"

	"payments-dr/internal/payment/ledger"
	"payments-dr/internal/payment/ledger/schema"
	"payments-dr/internal/settings"
)

const migrationTimeout = 5 * time.Minute

// MigrationProps is what the migration needs of its Region.
type MigrationProps struct {
	Settings *settings.Settings
	Network  *Network
	Key      awskms.IKey
	Database *AuroraMember
}

// NewMigration brings the ledger's schema up to date at deployment, in both Regions alike: in the one that is the writer it
// migrates, in the other it finds a reader, says so and succeeds. It runs when the cluster is new and whenever the migrations
// in the code have changed.
//
// Its function alone may read the master secret, in its own Region. What is returned is done when the schema is.
func NewMigration(scope constructs.Construct, id string, props MigrationProps) constructs.IDependable {
	scope = constructs.NewConstruct(scope, text(id))
	s := props.Settings
	environment := databaseEnvironment(props.Database)
	delete(environment, ledger.VariableUser) // the secret says who
	environment["SECRET_NAME"] = MasterSecretName(s)
	function := NewFunction(scope, "Migrate", FunctionProps{
		Settings:    s,
		Name:        "migrate",
		Description: "Brings the ledger's schema up to date at deployment",
		Timeout:     migrationTimeout,
		Network:     props.Network,
		Concurrency: "CloudFormation invokes it, once in a deployment.",
		Failures:    "The custom resource's provider invokes it and waits: a migration that fails fails the deployment, which tells why and rolls back.",
		Key:         props.Key,
		Environment: environment,
	})
	function.AddToRolePolicy(awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{
		Actions: texts("secretsmanager:GetSecretValue"),
		Resources: &[]*string{awscdk.Stack_Of(scope).FormatArn(&awscdk.ArnComponents{
			Service: text("secretsmanager"), Resource: text("secret"), ArnFormat: awscdk.ArnFormat_COLON_RESOURCE_NAME,
			// Secrets Manager adds a hyphen and six characters of its own to a secret's ARN.
			ResourceName: text(MasterSecretName(s) + "-??????"),
		})},
	}))
	logs := NewLogGroup(scope, "ProviderLogs", "/aws/lambda/payment-"+s.Environment+"-migrate-provider", s, props.Key)
	role := newProviderRole(scope, "ProviderRole", "Invokes the migration for CloudFormation", logs)
	provider := customresources.NewProvider(scope, text("Provider"), &customresources.ProviderProps{
		OnEventHandler:       function,
		LogGroup:             logs,
		FrameworkOnEventRole: role,
	})
	suppress(role, ownPolicy("The custom resource's provider, to log,"))
	suppress(child(role, "DefaultPolicy"),
		ownPolicy("The custom resource's provider, to invoke the migration,"),
		wildcards("The library lets its provider invoke every version of the one function that it is for.", `Resource::<Migration[A-Za-z]+[0-9A-F]{8}\.Arn>:\*`))
	suppress(child(provider, "framework-onEvent"),
		suppression{nistAndPCI("LambdaInsideVPC"), nil, "The library's provider of the migration invokes the migration and answers CloudFormation, both by public APIs. It reaches nothing in the network; the migration, which does, is in it."},
		suppression{[]string{nist + "LambdaConcurrency"}, nil, "CloudFormation invokes the migration's provider, once in a deployment; a reservation would lie unused for all the time between, and be missing from the account's pool."},
		suppression{[]string{nist + "LambdaDLQ"}, nil, "CloudFormation waits for the provider's answer, and takes its silence for a failure when the resource's service timeout is over: the deployment fails, and that is seen."},
	)
	run := awscdk.NewCustomResource(scope, text("Run"), &awscdk.CustomResourceProps{
		ServiceToken: provider.ServiceToken(),
		ResourceType: text("Custom::LedgerMigration"),
		Properties: &map[string]any{
			"Migrations": schema.Digest(),
			"Cluster":    props.Database.Cluster.AttrDbClusterResourceId(),
		},
		ServiceTimeout: awscdk.Duration_Minutes(jsii.Number(2 * migrationTimeout.Minutes())),
	})
	for _, instance := range props.Database.Instances {
		run.Node().AddDependency(instance)
	}
	return run
}
