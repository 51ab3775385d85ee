package reconcile_test

import (
	"context"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"payments-dr/internal/payment"
	"payments-dr/internal/payment/reconcile"
)

// endless is both sides at once: payments made up as they are asked for, a fixed number in every ten minutes, none of them
// kept. Every thousandth is missing in the ledger until it is recorded, and that alone is kept.
type endless struct {
	perSlice int
	recorded map[payment.Identity]payment.Payment
	largest  int
	heap     uint64
	calls    int
}

const pageOfEndless = 1000

func (e *endless) payment(slice time.Time, i int) payment.Payment {
	p := newPayment(strconv.FormatInt(slice.Unix(), 10)+"-"+strconv.Itoa(i), 0, "0.10", "USD")
	p.Timestamp = slice.Add(time.Duration(i) * time.Microsecond)
	return p
}

func (e *endless) Window(_ context.Context, from, to time.Time, _ int, fn func([]payment.Payment) error) error {
	page := make([]payment.Payment, 0, pageOfEndless)
	for i := range e.perSlice {
		if page = append(page, e.payment(from, i)); len(page) == pageOfEndless {
			if err := fn(page); err != nil {
				return err
			}
			page = page[:0]
		}
	}
	return fn(page)
}

func (e *endless) Find(_ context.Context, ids []payment.Identity) (map[payment.Identity]payment.Payment, error) {
	panic("nothing is unaccounted for")
}

type endlessLedger struct{ *endless }

func (e endlessLedger) Find(_ context.Context, ids []payment.Identity) (map[payment.Identity]payment.Payment, error) {
	e.largest = max(e.largest, len(ids))
	if e.calls++; e.calls%200 == 0 {
		var memory runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&memory)
		e.heap = max(e.heap, memory.HeapAlloc)
	}
	found := make(map[payment.Identity]payment.Payment, len(ids))
	for _, id := range ids {
		if p, ok := e.recorded[id]; ok {
			found[id] = p
			continue
		}
		slice, number, _ := strings.Cut(id.TransactionID, "-")
		unix, err := strconv.ParseInt(slice, 10, 64)
		if err != nil {
			return nil, err
		}
		i, err := strconv.Atoi(number)
		if err != nil {
			return nil, err
		}
		if i%1000 != 999 {
			found[id] = e.payment(time.Unix(unix, 0).UTC(), i)
		}
	}
	return found, nil
}

func (e endlessLedger) Record(_ context.Context, payments []payment.Payment) (int, error) {
	e.largest = max(e.largest, len(payments))
	for _, p := range payments {
		e.recorded[p.Identity] = p
	}
	return len(payments), nil
}

func (e endlessLedger) Window(_ context.Context, from, to time.Time, fn func(payment.Payment) error) error {
	for i := range e.perSlice {
		p := e.payment(from, i)
		if _, ok := e.recorded[p.Identity]; !ok && i%1000 == 999 {
			continue
		}
		if err := fn(p); err != nil {
			return err
		}
	}
	return nil
}

func TestAMillionPaymentsInBoundedMemory(t *testing.T) {
	const slices, batch = 20, 250
	e := &endless{perSlice: 50_000, recorded: map[payment.Identity]payment.Payment{}}
	from := time.Date(2026, 11, 22, 3, 0, 0, 0, time.UTC)
	runtime.GC()
	var before runtime.MemStats
	runtime.ReadMemStats(&before)
	report := mustRun(t, e, endlessLedger{e}, reconcile.Window{From: from, To: from.Add(slices * 10 * time.Minute)}, reconcile.Options{BatchSize: batch})
	wantCounts(t, report, reconcile.Counts{Table: 1_000_000, LedgerBefore: 999_000, Ledger: 1_000_000, Missing: 1000, Repaired: 1000})
	if !report.Clean() || report.Sums[0] != (reconcile.Sum{Currency: "USD", Table: "100000.00", Ledger: "100000.00"}) {
		t.Errorf("sums %+v", report.Sums)
	}
	if e.largest != batch {
		t.Errorf("the largest batch has %d payments, want %d", e.largest, batch)
	}
	// A million payments take some 200 MB; a thousand recorded ones, a page and a batch are below one.
	grown := int64(e.heap) - int64(before.HeapAlloc)
	if grown > 8<<20 {
		t.Errorf("the heap has grown by %d MB", grown>>20)
	}
	t.Logf("a million payments: %d ms, heap grown by %d KB", report.DurationMilliseconds, grown>>10)
}
