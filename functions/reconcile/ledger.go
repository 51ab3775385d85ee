package main

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"

	"payments-dr/internal/payment"
	"payments-dr/internal/payment/ledger"
	"payments-dr/internal/payment/reconcile"
	"payments-dr/internal/payment/variables"
)

// newLedger opens the ledger of this Region, and makes the question of whether its cluster is the standby.
func newLedger(awsConfig aws.Config, environment *variables.Environment) (reconcile.Ledger, reconcile.Watermark, func(context.Context) (bool, error), error) {
	config, readerHost := ledger.ConfigFromEnvironment(environment, awsConfig), environment.Text(variables.DatabaseReaderHost)
	config.Host = environment.Text(variables.DatabaseHost)
	opened, err := ledger.Open(config)
	if err != nil {
		return nil, nil, nil, err
	}
	return recorder{opened}, opened, func(ctx context.Context) (bool, error) {
		return ledger.IsStandby(ctx, config, readerHost)
	}, nil
}

// recorder is the ledger with the part of Record's result that a reconciliation asks for: conflicts are seen when it reads
// back.
type recorder struct{ *ledger.Ledger }

func (r recorder) Record(ctx context.Context, payments []payment.Payment) (int, error) {
	result, err := r.Ledger.Record(ctx, payments)
	return result.Recorded, err
}
