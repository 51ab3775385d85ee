package bench

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/bojanz/currency"

	"payments-dr/internal/drill/rehearsal"
	"payments-dr/internal/payment"
	"payments-dr/internal/payment/ledger"
)

const (
	batchSize = 500 // of the ledger's event source mapping
	batches   = 11
	rowsLimit = 3.0 // recording asks before it writes, so twice the floor is no surprise
)

// ledgerRows measures how many payments a second one writer records, by batches.
func ledgerRows(ctx context.Context, config Config) ([]Measurement, error) {
	regions := config.Assembly.Settings.Regions
	database, _, err := rehearsal.StartDatabases(ctx, [2]string{regions.Primary.Name, regions.Secondary.Name}, config.MariaDB, io.Discard)
	if err != nil {
		return nil, err
	}
	defer database.Close()
	writer, err := database.Open(regions.Primary.Name)
	if err != nil {
		return nil, err
	}
	defer writer.Close()
	if _, err := writer.ExecContext(ctx, "CREATE TABLE floor LIKE payments"); err != nil {
		return nil, fmt.Errorf("make the floor's table: %w", err)
	}
	recorder := ledger.New(writer)
	var recorded, floor []float64
	for batch := range batches {
		payments, err := numbered(batch*batchSize, batchSize)
		if err != nil {
			return nil, err
		}
		began := time.Now()
		result, err := recorder.Record(ctx, payments)
		if err != nil {
			return nil, err
		}
		if result.Recorded != batchSize {
			return nil, fmt.Errorf("%d of %d payments were recorded", result.Recorded, batchSize)
		}
		recorded = append(recorded, batchSize/time.Since(began).Seconds())
		began = time.Now()
		statement, arguments := ledger.InsertStatement("floor", payments)
		if _, err := writer.ExecContext(ctx, statement, arguments...); err != nil {
			return nil, fmt.Errorf("insert: %w", err)
		}
		floor = append(floor, batchSize/time.Since(began).Seconds())
	}
	m := Measurement{"ledger: payments recorded by one writer", UnitRowsPerSecond, median(recorded), median(floor), "one INSERT of the same rows, with nothing asked", rowsLimit}
	if config.MariaDB == nil {
		m.Limit = 0
	}
	return []Measurement{m}, nil
}

func numbered(first, count int) ([]payment.Payment, error) {
	amount, err := currency.NewAmount("12.34", "USD")
	if err != nil {
		return nil, fmt.Errorf("make amount: %w", err)
	}
	payments := make([]payment.Payment, count)
	for i := range payments {
		payments[i] = payment.Payment{
			Identity: payment.Identity{SessionID: fmt.Sprintf("bench-%d", i%97), TransactionID: fmt.Sprintf("t-%d", first+i)},
			Amount:   amount, Region: "us-east-1", Timestamp: time.Now().UTC().Truncate(time.Microsecond), Status: payment.StatusProcessed,
		}
	}
	return payments, nil
}
