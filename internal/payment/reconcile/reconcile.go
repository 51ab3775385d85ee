// Package reconcile compares the session table with the ledger over a window of time, both ways, and records in the ledger
// what is missing there. Its report is the proof that every payment accepted in the window is in the ledger, to the cent.
package reconcile

import (
	"context"
	"errors"
	"fmt"
	"time"

	"payments-dr/internal/payment"
)

// Table is what is asked of the session table, which says what was accepted.
type Table interface {
	// Window hands every payment accepted from from (inclusive) to to (exclusive) to the function, in pages, one call at a
	// time and in any order. It may be a little behind what was accepted just now.
	Window(ctx context.Context, from, to time.Time, concurrency int, fn func([]payment.Payment) error) error
	// Find reads the payments of some identities, strongly consistent. Identities that no payment has are not in the map.
	Find(ctx context.Context, ids []payment.Identity) (map[payment.Identity]payment.Payment, error)
}

// Ledger is what is asked of the ledger. All of it speaks to the writer, so that what was recorded is found.
type Ledger interface {
	// Find reads the payments of some identities. Identities that no payment has are not in the map.
	Find(ctx context.Context, ids []payment.Identity) (map[payment.Identity]payment.Payment, error)
	// Record records the payments whose identities the ledger does not have, and returns how many those were. It changes
	// none that is there.
	Record(ctx context.Context, payments []payment.Payment) (recorded int, err error)
	// Window hands every payment accepted from from (inclusive) to to (exclusive) to the function, one after the other and in
	// any order. The function does not use the ledger.
	Window(ctx context.Context, from, to time.Time, fn func(payment.Payment) error) error
}

// Window is a span of time: From is in it, To is not. A payment belongs to it by its timestamp, the moment of its acceptance,
// which both sides store to the microsecond.
type Window struct{ From, To time.Time }

func (w Window) String() string {
	return w.From.UTC().Format(time.RFC3339Nano) + " to " + w.To.UTC().Format(time.RFC3339Nano)
}

func (w Window) contains(t time.Time) bool { return !t.Before(w.From) && t.Before(w.To) }

// slice is what a window is worked off in, one after the other: the ten minutes of a bucket of the session table's index,
// so that no partition of it is visited twice. A query of the ledger then lasts as long as a slice and not as a window.
const slice = 10 * time.Minute

// next is the first slice of a window, and whether there is one.
func (w Window) next() (Window, bool) {
	end := w.From.Truncate(slice).Add(slice)
	if end.After(w.To) {
		end = w.To
	}
	return Window{From: w.From, To: end}, w.From.Before(w.To)
}

// Options say how to reconcile. The zero value repairs, and takes the defaults.
type Options struct {
	// DryRun compares and records nothing.
	DryRun bool
	// Replica is the Region whose replica the table is, if the table is eventually consistent; empty if it is strongly consistent. In a
	// replica, payments of other Regions may be late, and two Regions may have accepted the same payment.
	Replica string
	// Watermark, if given, is advanced after every ten minutes of a window that begins before it or at it, unless DryRun. Behind a
	// gap it stays where it is.
	Watermark Watermark
	// StopAfter, if not 0, ends the window early: when so much time has passed and the run has advanced the watermark, it begins no
	// further ten minutes.
	StopAfter time.Duration
	// BatchSize is how many payments are looked up or recorded in one call; 0 is 500. It bounds the payments in memory,
	// beside the table's own pages.
	BatchSize int
	// Concurrency is how many partitions of the table's index are read at once; 0 is 8.
	Concurrency int
	// Examples is how many identities of each fault are in the report; 0 is 20.
	Examples int
	// Each, if given, is called with every payment that is at fault, also beyond the number of Examples.
	Each func(Fault, Example)
	// Progress, if given, is called after every ten minutes of the window with the report as it stands.
	Progress func(Report)
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

const (
	defaultBatchSize   = 500
	defaultConcurrency = 8
	defaultExamples    = 20
)

// Run reconciles a window. The window's end should be a minute ago or more, because the table's index follows the table with
// a delay. It may be run again and again, over windows that overlap, and while payments are being recorded.
//
// Missing payments are recorded, unless DryRun, and read back. A payment of other money is reported and never overwritten. One that
// cannot be read is reported, and the others are reconciled.
//
// The error says that the window could not be reconciled to its end: a side cannot be read, the ledger cannot be written, or
// a side contradicts itself. The report then holds what was done, up to its DoneUpTo, is not Complete, and so not Clean.
// What is found is no error.
func Run(ctx context.Context, table Table, ledger Ledger, window Window, options Options) (Report, error) {
	if !window.From.Before(window.To) {
		return Report{}, fmt.Errorf("reconcile %v: the window does not begin before it ends", window)
	}
	if options.BatchSize < 0 || options.Concurrency < 0 || options.Examples < 0 {
		return Report{}, fmt.Errorf("reconcile %v: an option is negative", window)
	}
	options.BatchSize = orDefault(options.BatchSize, defaultBatchSize)
	options.Concurrency = orDefault(options.Concurrency, defaultConcurrency)
	options.Examples = orDefault(options.Examples, defaultExamples)
	if options.Now == nil {
		options.Now = time.Now
	}
	r := &run{table: table, ledger: ledger, window: window, options: options, started: options.Now(), sums: sums{}}
	r.report = Report{From: window.From.UTC(), To: window.To.UTC(), DryRun: options.DryRun, Replica: options.Replica, DoneUpTo: window.From.UTC()}
	progress, err := newProgress(ctx, window, options)
	if err != nil {
		return r.current(), fmt.Errorf("reconcile %v: %w", window, err)
	}
	for rest := window; ; rest.From = r.report.DoneUpTo {
		next, ok := rest.next()
		if !ok {
			break
		}
		if options.StopAfter > 0 && progress.advanced && options.Now().Sub(r.started) >= options.StopAfter {
			r.report.To = r.report.DoneUpTo
			break
		}
		if err := r.slice(ctx, next); err != nil {
			return r.current(), fmt.Errorf("reconcile %v: %w", next, err)
		}
		if err := progress.to(ctx, next.To); err != nil {
			return r.current(), fmt.Errorf("reconcile %v: %w", next, err)
		}
		r.report.DoneUpTo = next.To.UTC()
		if options.Progress != nil {
			options.Progress(r.current())
		}
	}
	r.report.Complete = true
	return r.current(), nil
}

func orDefault(value, otherwise int) int {
	if value == 0 {
		return otherwise
	}
	return value
}

type run struct {
	table   Table
	ledger  Ledger
	window  Window
	options Options
	started time.Time
	sums    sums
	report  Report
}

// current is the report as it stands.
func (r *run) current() Report {
	report := r.report
	report.Sums = r.sums.list()
	report.Examples = report.Examples.clone()
	report.DurationMilliseconds = r.options.Now().Sub(r.started).Milliseconds()
	return report
}

// slice reconciles a part of the window: first from the table to the ledger, then back.
//
// The way back needs no look at the table as long as the numbers agree: each payment that the way there has met in the ledger,
// accepted in this slice by the ledger's own account, is one row of the ledger's slice. Only rows beyond these can be
// unaccounted for. Payments that are recorded in between add rows and so can cause a second look, and no fault can hide behind
// them.
func (r *run) slice(ctx context.Context, window Window) error {
	met, repaired, err := r.there(ctx, window)
	if err != nil {
		return err
	}
	rows := 0
	err = r.ledger.Window(ctx, window.From, window.To, func(p payment.Payment) error {
		if !window.contains(p.Timestamp) {
			return fmt.Errorf("the ledger has a payment of %s in it", p.Timestamp.UTC().Format(payment.TimestampLayout))
		}
		rows++
		if p.Fault == "" {
			r.sums.addLedger(p.Amount)
		}
		return ctx.Err()
	})
	if err != nil {
		return fmt.Errorf("read ledger's window: %w", err)
	}
	r.report.Counts.LedgerBefore += rows - repaired
	r.report.Counts.Ledger += rows
	switch {
	case rows < met:
		return fmt.Errorf("the ledger shows %d payments in it, and has %d of them one by one", rows, met)
	case rows > met:
		return r.back(ctx, window)
	}
	return nil
}

// there goes through the table's payments and looks for them in the ledger. met is how many of them are there afterwards with
// a timestamp in the window, repaired how many of these the run has recorded.
func (r *run) there(ctx context.Context, window Window) (met, repaired int, err error) {
	batch := make([]payment.Payment, 0, r.options.BatchSize)
	flush := func() error {
		m, n, err := r.compare(ctx, window, batch)
		met, repaired, batch = met+m, repaired+n, batch[:0]
		return err
	}
	err = r.table.Window(ctx, window.From, window.To, r.options.Concurrency, func(page []payment.Payment) error {
		for _, p := range page {
			if p.Fault == "" && !window.contains(p.Timestamp) {
				return fmt.Errorf("the table has a payment of %s in it", p.Timestamp.UTC().Format(payment.TimestampLayout))
			}
			if batch = append(batch, p); len(batch) == r.options.BatchSize {
				if err := flush(); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err == nil {
		err = flush()
	}
	return met, repaired, err
}

// compare looks for payments of the table in the ledger, and repairs.
func (r *run) compare(ctx context.Context, window Window, batch []payment.Payment) (met, repaired int, err error) {
	if err := ctx.Err(); err != nil || len(batch) == 0 {
		return 0, 0, err
	}
	found, err := r.ledger.Find(ctx, identities(batch))
	if err != nil {
		return 0, 0, fmt.Errorf("find payments in ledger: %w", err)
	}
	var missing []payment.Payment
	for _, p := range batch {
		r.report.Counts.Table++
		recorded, ok := found[p.Identity]
		if p.Fault != "" { // it cannot be recorded, and whatever the ledger has of it cannot be compared
			r.unreadable(p.Identity, &p, nil)
			if ok && window.contains(recorded.Timestamp) {
				met++
			}
			continue
		}
		r.sums.addTable(p.Amount)
		if !ok {
			missing = append(missing, p)
			continue
		}
		if r.judge(p, recorded); window.contains(recorded.Timestamp) {
			met++
		}
	}
	for _, p := range missing {
		r.report.Counts.Missing++
		r.example(Missing, p.Identity, &p, nil)
	}
	if len(missing) == 0 || r.options.DryRun {
		return met, 0, nil
	}
	if repaired, err = r.ledger.Record(ctx, missing); err != nil {
		return met, 0, fmt.Errorf("record missing payments: %w", err)
	}
	r.report.Counts.Repaired += repaired
	// Read back: the report says what is there, not what was sent. What another has recorded meanwhile is judged here, too.
	if found, err = r.ledger.Find(ctx, identities(missing)); err != nil {
		return met, repaired, fmt.Errorf("find repaired payments in ledger: %w", err)
	}
	for _, p := range missing {
		recorded, ok := found[p.Identity]
		if !ok {
			return met, repaired, errors.New("the ledger does not have a payment that was recorded just now")
		}
		if r.judge(p, recorded); window.contains(recorded.Timestamp) {
			met++
		}
	}
	return met, repaired, nil
}

// judge compares a payment as both sides have it.
func (r *run) judge(accepted, recorded payment.Payment) {
	switch {
	case recorded.Fault != "":
		r.unreadable(accepted.Identity, &accepted, &recorded)
	case !accepted.SameMoney(recorded):
		r.report.Counts.Conflicting++
		r.example(Conflicting, accepted.Identity, &accepted, &recorded)
	case !accepted.Equal(recorded):
		r.report.Counts.Differing++
		r.example(Differing, accepted.Identity, &accepted, &recorded)
	}
}

// back goes through the ledger's payments and looks for them in the table itself, not in its index.
func (r *run) back(ctx context.Context, window Window) error {
	batch := make([]payment.Payment, 0, r.options.BatchSize)
	flush := func() error {
		if err := ctx.Err(); err != nil || len(batch) == 0 {
			return err
		}
		found, err := r.table.Find(ctx, identities(batch))
		if err != nil {
			return fmt.Errorf("find payments in table: %w", err)
		}
		for _, recorded := range batch {
			accepted, ok := found[recorded.Identity]
			switch {
			case !ok && r.options.Replica != "" && recorded.Region != r.options.Replica && recorded.Fault == "":
				r.report.Counts.Late++
				r.report.Counts.Ledger--
				r.report.Counts.LedgerBefore--
				r.sums.takeFromLedger(recorded.Amount)
			case !ok:
				r.report.Counts.Unaccounted++
				r.example(Unaccounted, recorded.Identity, nil, &recorded)
			case accepted.Fault == "" && !r.window.contains(accepted.Timestamp):
				// The table has it at another time, out of the window, so that the way there cannot meet it.
				r.judge(accepted, recorded)
			}
		}
		batch = batch[:0]
		return nil
	}
	err := r.ledger.Window(ctx, window.From, window.To, func(p payment.Payment) error {
		if batch = append(batch, p); len(batch) == r.options.BatchSize {
			return flush()
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("read ledger's window: %w", err)
	}
	return flush()
}

func (r *run) unreadable(id payment.Identity, table, ledger *payment.Payment) {
	r.report.Counts.Unreadable++
	r.example(Unreadable, id, table, ledger)
}

func (r *run) example(fault Fault, id payment.Identity, table, ledger *payment.Payment) {
	example := Example{SessionID: id.SessionID, TransactionID: id.TransactionID, Table: holding(table), Ledger: holding(ledger)}
	if examples := r.report.Examples.of(fault); len(*examples) < r.options.Examples {
		*examples = append(*examples, example)
	}
	if r.options.Each != nil {
		r.options.Each(fault, example)
	}
}

func identities(payments []payment.Payment) []payment.Identity {
	ids := make([]payment.Identity, len(payments))
	for i, p := range payments {
		ids[i] = p.Identity
	}
	return ids
}
