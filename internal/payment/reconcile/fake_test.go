package reconcile_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/bojanz/currency"

	"payments-dr/internal/payment"
	"payments-dr/internal/payment/reconcile"
)

// memoryLedger is a ledger in memory. Its hooks run before a call; an error of theirs is the call's.
type memoryLedger struct {
	mu       sync.Mutex
	payments map[payment.Identity]payment.Payment
	find     func() error
	record   func([]payment.Payment) error
	window   func() error
	finds    int
}

func newLedger(payments ...payment.Payment) *memoryLedger {
	l := &memoryLedger{payments: map[payment.Identity]payment.Payment{}}
	for _, p := range payments {
		l.payments[p.Identity] = p
	}
	return l
}

func (l *memoryLedger) Find(_ context.Context, ids []payment.Identity) (map[payment.Identity]payment.Payment, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.finds++
	if l.find != nil {
		if err := l.find(); err != nil {
			return nil, err
		}
	}
	found := map[payment.Identity]payment.Payment{}
	for _, id := range ids {
		if p, ok := l.payments[id]; ok {
			found[id] = p
		}
	}
	return found, nil
}

func (l *memoryLedger) Record(_ context.Context, payments []payment.Payment) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.record != nil {
		if err := l.record(payments); err != nil {
			return 0, err
		}
	}
	recorded := 0
	for _, p := range payments {
		if _, taken := l.payments[p.Identity]; !taken {
			l.payments[p.Identity] = p
			recorded++
		}
	}
	return recorded, nil
}

func (l *memoryLedger) Window(_ context.Context, from, to time.Time, fn func(payment.Payment) error) error {
	l.mu.Lock()
	if l.window != nil {
		if err := l.window(); err != nil {
			l.mu.Unlock()
			return err
		}
	}
	payments := slices.Collect(maps.Values(l.payments))
	l.mu.Unlock()
	for _, p := range payments {
		if !p.Timestamp.Before(from) && p.Timestamp.Before(to) {
			if err := fn(p); err != nil {
				return err
			}
		}
	}
	return nil
}

// memoryTable is a table in memory.
type memoryTable struct {
	payments map[payment.Identity]payment.Payment
	// late are in the table, and not yet in its index.
	late   map[payment.Identity]bool
	window func() error
	// finds is how many lookups there were, largest the payments of the largest.
	finds, largest int
}

func newTable(payments ...payment.Payment) *memoryTable {
	t := &memoryTable{payments: map[payment.Identity]payment.Payment{}, late: map[payment.Identity]bool{}}
	for _, p := range payments {
		t.payments[p.Identity] = p
	}
	return t
}

func (t *memoryTable) Window(_ context.Context, from, to time.Time, _ int, fn func([]payment.Payment) error) error {
	if t.window != nil {
		if err := t.window(); err != nil {
			return err
		}
	}
	var page []payment.Payment
	for id, p := range t.payments {
		if !t.late[id] && !p.Timestamp.Before(from) && p.Timestamp.Before(to) {
			page = append(page, p)
		}
	}
	for part := range slices.Chunk(page, 7) {
		if err := fn(part); err != nil {
			return err
		}
	}
	return nil
}

func (t *memoryTable) Find(_ context.Context, ids []payment.Identity) (map[payment.Identity]payment.Payment, error) {
	t.largest, t.finds = max(t.largest, len(ids)), t.finds+1
	found := map[payment.Identity]payment.Payment{}
	for _, id := range ids {
		if p, ok := t.payments[id]; ok {
			found[id] = p
		}
	}
	return found, nil
}

// start is where the tests' windows begin; none of the index's buckets does.
var start = time.Date(2026, 11, 22, 3, 4, 5, 678901000, time.UTC)

// newPayment is a payment accepted some time behind start.
func newPayment(id string, behind time.Duration, number, code string) payment.Payment {
	amount, err := currency.NewAmount(number, code)
	if err != nil {
		panic(fmt.Sprintf("%s %s: %v", number, code, err))
	}
	return payment.Payment{
		Identity: payment.Identity{SessionID: "session of " + id, TransactionID: id}, Amount: amount, Region: "us-east-1",
		Timestamp: start.Add(behind), Status: payment.StatusProcessed,
	}
}

func window(length time.Duration) reconcile.Window {
	return reconcile.Window{From: start, To: start.Add(length)}
}

// mustRun runs without an error.
func mustRun(t *testing.T, table reconcile.Table, ledger reconcile.Ledger, w reconcile.Window, o reconcile.Options) reconcile.Report {
	t.Helper()
	report, err := reconcile.Run(t.Context(), table, ledger, w, o)
	if err != nil {
		t.Fatal(err)
	}
	if !report.Complete || !report.DoneUpTo.Equal(w.To) || !report.From.Equal(w.From) || !report.To.Equal(w.To) {
		t.Fatalf("the report is not of the whole window: %+v", report)
	}
	return report
}

func wantCounts(t *testing.T, report reconcile.Report, want reconcile.Counts) {
	t.Helper()
	if report.Counts != want {
		t.Errorf("counts %+v\nwant   %+v", report.Counts, want)
	}
}
