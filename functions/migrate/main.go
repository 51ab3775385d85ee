// Migrate brings the Region's ledger database to the newest version while the stacks are deployed: it is the custom resource
// behind the CDK's provider framework. It signs in as the master user, whose secret no other function may read. The variable
// DATABASE_TLS=off exists for tests and runs on one's own machine alone, and is in no template.
package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/aws/aws-lambda-go/lambdacontext"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"payments-dr/internal/payment/ledger"
	"payments-dr/internal/payment/ledger/schema"
	"payments-dr/internal/payment/start"
)

// statementTimeout is how long one statement of a migration may take: an index over a large table is not made in seconds.
const statementTimeout = 10 * time.Minute

func main() { start.Function(newHandler, func(h *handler) any { return h.handle }) }

func newHandler(ctx context.Context) (*handler, error) {
	awsConfig, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return nil, fmt.Errorf("load AWS configuration: %w", err)
	}
	h := &handler{
		secrets:        secretsmanager.NewFromConfig(awsConfig),
		secretName:     os.Getenv("SECRET_NAME"),
		writer:         os.Getenv(ledger.VariableHost),
		reader:         os.Getenv(ledger.VariableReaderHost), // optional
		user:           schema.User{Name: ledger.UserName, Authentication: schema.IAMAuthentication},
		pause:          defaultPause,
		writerPatience: defaultWriterPatience,
		logger:         lambdacontext.NewLogger(),
	}
	databaseName := os.Getenv(ledger.VariableDatabase)
	for _, required := range []string{"SECRET_NAME", ledger.VariableHost, ledger.VariableDatabase} {
		if os.Getenv(required) == "" {
			return nil, fmt.Errorf("read environment: %s is not set", required)
		}
	}
	port := ledger.DefaultPort
	if text := os.Getenv(ledger.VariablePort); text != "" {
		if port, err = strconv.Atoi(text); err != nil {
			return nil, fmt.Errorf("read environment: %s %q is no number", ledger.VariablePort, text)
		}
	}
	h.migrate = migration(ledger.Config{
		Port: port, Database: databaseName, PlainText: os.Getenv(ledger.VariableTLS) == "off", StatementTimeout: statementTimeout,
	})
	return h, nil
}
