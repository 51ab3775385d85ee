package reconcile

import (
	"context"
	"errors"
	"time"

	"payments-dr/internal/payment"
)

// ErrReadOnly is what a ledger of ReadOnly or Copy answers that is asked to record. A run whose Options say DryRun never asks.
var ErrReadOnly = errors.New("it is only to be read")

// Reader is the reading half of Ledger.
type Reader interface {
	// Find and Window are those of Ledger.
	Find(ctx context.Context, ids []payment.Identity) (map[payment.Identity]payment.Payment, error)
	Window(ctx context.Context, from, to time.Time, fn func(payment.Payment) error) error
}

// ReadOnly is a ledger that nothing is recorded in, such as one that was restored from a backup.
func ReadOnly(reader Reader) Ledger { return readOnly{reader} }

type readOnly struct{ Reader }

func (readOnly) Record(context.Context, []payment.Payment) (int, error) { return 0, ErrReadOnly }

// Copy puts a copy of the session table in the ledger's place, so that two tables can be compared. Nothing is recorded in it.
func Copy(table Table) Ledger { return ReadOnly(tableCopy{table}) }

type tableCopy struct{ table Table }

func (c tableCopy) Find(ctx context.Context, ids []payment.Identity) (map[payment.Identity]payment.Payment, error) {
	return c.table.Find(ctx, ids)
}

func (c tableCopy) Window(ctx context.Context, from, to time.Time, fn func(payment.Payment) error) error {
	return c.table.Window(ctx, from, to, defaultConcurrency, func(page []payment.Payment) error {
		for _, p := range page {
			if err := fn(p); err != nil {
				return err
			}
		}
		return nil
	})
}
