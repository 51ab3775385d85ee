// Ledger takes batches of accepted payments from the queue and records them in the Region's Aurora cluster. It signs in with
// IAM tokens.
package main

import (
	"context"
	"time"

	"github.com/aws/aws-lambda-go/lambdacontext"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"payments-dr/internal/payment/ledger"
	"payments-dr/internal/payment/start"
	"payments-dr/internal/payment/variables"
)

func main() { start.Function("ledger", newHandler, func(h *handler) any { return h.handle }) }

func newHandler(awsConfig aws.Config, environment *variables.Environment) (*handler, error) {
	database, readerHost := ledger.ConfigFromEnvironment(environment, awsConfig), environment.Text(variables.DatabaseReaderHost)
	database.Host = environment.Text(variables.DatabaseHost)
	h := &handler{
		standby:   func(ctx context.Context) (bool, error) { return ledger.IsStandby(ctx, database, readerHost) },
		hide:      hider(sqs.NewFromConfig(awsConfig)),
		namespace: environment.Text(variables.MetricsNamespace),
		logger:    lambdacontext.NewLogger(),
		now:       time.Now,
	}
	var err error
	h.ledger, err = ledger.Open(database)
	return h, err
}
