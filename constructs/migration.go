package constructs

import (
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
	"github.com/aws/constructs-go/constructs/v10"

	"payments-dr/internal/payment/ledger/schema"
	"payments-dr/internal/payment/variables"
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
	environment[variables.SecretName] = MasterSecretName(s)
	run, function := newCustomResource(scope, "Migrate", customResourceProps{
		Type: "Custom::LedgerMigration",
		Function: FunctionProps{
			Settings:    s,
			Name:        "migrate",
			Description: "Brings the ledger's schema up to date at deployment",
			Timeout:     migrationTimeout,
			Network:     props.Network,
			Key:         props.Key,
			Environment: environment,
		},
		Properties: map[string]any{
			"Migrations": schema.Digest(),
			"Cluster":    props.Database.Cluster.AttrDbClusterResourceId(),
		},
	})
	function.AddToRolePolicy(awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{
		Actions: texts("secretsmanager:GetSecretValue"),
		Resources: &[]*string{awscdk.Stack_Of(scope).FormatArn(&awscdk.ArnComponents{
			Service: text("secretsmanager"), Resource: text("secret"), ArnFormat: awscdk.ArnFormat_COLON_RESOURCE_NAME,
			// Secrets Manager adds a hyphen and six characters of its own to a secret's ARN.
			ResourceName: text(MasterSecretName(s) + "-??????"),
		})},
	}))
	for _, instance := range props.Database.Instances {
		run.Node().AddDependency(instance)
	}
	return run
}
