package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"payments-dr/internal/payment"
	"payments-dr/internal/payment/ledger"
	"payments-dr/internal/payment/reconcile"
	"payments-dr/internal/payment/variables"
)

// roleTimeout bounds the question of one endpoint.
const roleTimeout = 10 * time.Second

// newLedger opens the ledger of this Region, and makes the question of whether its cluster is the standby.
func newLedger(awsConfig aws.Config, environment *variables.Environment) (reconcile.Ledger, reconcile.Watermark, func(context.Context) (bool, error), error) {
	config, readerHost := ledger.ConfigFromEnvironment(environment, awsConfig), environment.Text(variables.DatabaseReaderHost)
	config.Host = environment.Text(variables.DatabaseHost)
	opened, err := ledger.Open(config)
	if err != nil {
		return nil, nil, nil, err
	}
	return recorder{opened}, opened, func(ctx context.Context) (bool, error) {
		return isStandby(ctx, config, readerHost)
	}, nil
}

// recorder is the ledger with the part of Record's result that a reconciliation asks for: conflicts are seen when it reads
// back.
type recorder struct{ *ledger.Ledger }

func (r recorder) Record(ctx context.Context, payments []payment.Payment) (int, error) {
	result, err := r.Ledger.Record(ctx, payments)
	return result.Recorded, err
}

// isStandby tells whether this Region's cluster takes no writes because another Region's does: its writer endpoint leads to a
// reader, or, as in a secondary of a global database, nowhere while the reader endpoint answers as a reader.
func isStandby(ctx context.Context, config ledger.Config, readerHost string) (bool, error) {
	reader, err := isReader(ctx, config)
	if err == nil || readerHost == "" {
		return reader, err
	}
	config.Host = readerHost
	reader, readerErr := isReader(ctx, config)
	switch {
	case readerErr != nil:
		return false, errors.Join(fmt.Errorf("ask the writer endpoint: %w", err), fmt.Errorf("ask the reader endpoint: %w", readerErr))
	case !reader:
		return false, fmt.Errorf("ask the writer endpoint: %w", err)
	}
	return true, nil
}

func isReader(ctx context.Context, config ledger.Config) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, roleTimeout)
	defer cancel()
	database, err := ledger.OpenDatabase(config)
	if err != nil {
		return false, err
	}
	defer database.Close()
	return ledger.IsReader(ctx, database)
}
