// Ledger takes batches of accepted payments from the queue and records them in the Region's Aurora cluster. It signs in with
// tokens of IAM; the variables DATABASE_PASSWORD and DATABASE_TLS=off exist for tests and runs on one's own machine alone, and
// are in no template.
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/aws/aws-lambda-go/lambdacontext"
	"github.com/aws/aws-sdk-go-v2/config"

	"payments-dr/internal/payment/ledger"
	"payments-dr/internal/payment/start"
	"payments-dr/internal/payment/telemetry"
)

func main() { start.Function(newHandler, func(h *handler) any { return h.handle }) }

func newHandler(ctx context.Context) (*handler, error) {
	awsConfig, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return nil, fmt.Errorf("load AWS configuration: %w", err)
	}
	database, err := ledger.ConfigFromEnvironment(awsConfig.Region, awsConfig.Credentials)
	if err != nil {
		return nil, err
	}
	l, err := ledger.Open(database)
	if err != nil {
		return nil, err
	}
	return &handler{
		ledger:    l,
		namespace: os.Getenv(telemetry.NamespaceVariable),
		logger:    lambdacontext.NewLogger(),
		now:       time.Now,
	}, nil
}
