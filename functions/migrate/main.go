// Migrate brings the Region's ledger database to the newest version while the stacks are deployed: it is the custom resource
// behind the CDK's provider framework. It signs in as the master user, whose secret no other function may read.
package main

import (
	"os"
	"time"

	"github.com/aws/aws-lambda-go/lambdacontext"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"payments-dr/internal/payment/ledger"
	"payments-dr/internal/payment/ledger/schema"
	"payments-dr/internal/payment/start"
	"payments-dr/internal/payment/variables"
)

// statementTimeout is how long one statement of a migration may take: an index over a large table is not made in seconds.
const statementTimeout = 10 * time.Minute

func main() { start.Function("migrate", newHandler, func(h *handler) any { return h.handle }) }

func newHandler(awsConfig aws.Config, environment *variables.Environment) (*handler, error) {
	return &handler{
		secrets:    secretsmanager.NewFromConfig(awsConfig),
		secretName: environment.Text(variables.SecretName),
		migrate: migration(ledger.Config{
			Port:      environment.Number(variables.DatabasePort, 1, 65535),
			Database:  environment.Text(variables.DatabaseName),
			PlainText: os.Getenv(ledger.VariableTLS) == "off", StatementTimeout: statementTimeout,
		}),
		writer:         environment.Text(variables.DatabaseHost),
		reader:         environment.Text(variables.DatabaseReaderHost),
		user:           schema.User{Name: ledger.UserName, Authentication: schema.IAMAuthentication},
		pause:          defaultPause,
		writerPatience: defaultWriterPatience,
		logger:         lambdacontext.NewLogger(),
	}, nil
}
