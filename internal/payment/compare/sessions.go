package compare

import (
	"context"
	"fmt"
	"time"

	"payments-dr/internal/payment"
	"payments-dr/internal/payment/reconcile"
)

// SessionTables compares the payments that two session tables have accepted in a window, both ways, by package reconcile's
// means: by identity, amount, currency, Region and time of acceptance. Each side's index by acceptance is read once; it follows
// its table with a delay, so that the window should end a minute ago or more. The payments of a restored table end at the
// moment of the restore, and so should the window.
//
// Of the options, ChunkRows is how many payments are looked up at once (0 is 500), and Before is not used: the window is the
// bound. In the report, Chunks are stretches of ten minutes, and Bytes are not counted: the client does not tell them.
func SessionTables(ctx context.Context, left, right reconcile.Table, name string, window reconcile.Window, options Options) (Report, error) {
	started := time.Now()
	report := Report{Table: name, Examples: []Difference{}}
	running, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	limit := options.Examples
	if limit == 0 {
		limit = defaultExamples
	}
	found, err := reconcile.Run(running, left, reconcile.Copy(right), window, reconcile.Options{
		DryRun:    true,
		BatchSize: options.ChunkRows,
		Examples:  options.Examples,
		Each: func(fault reconcile.Fault, example reconcile.Example) {
			d := difference(fault, example)
			if len(report.Examples) < limit {
				report.Examples = append(report.Examples, d)
			}
			if options.Each != nil {
				if err := options.Each(name, d); err != nil {
					stop(err)
				}
			}
		},
		Progress: func(soFar reconcile.Report) {
			report.Chunks++
			if options.Progress != nil {
				report.take(soFar)
				report.Duration = time.Since(started)
				options.Progress(report)
			}
		},
	})
	report.take(found)
	report.Complete = found.Complete
	report.Duration = time.Since(started)
	if cause := context.Cause(running); err != nil && cause != nil && ctx.Err() == nil {
		err = cause
	}
	if err != nil {
		return report, fmt.Errorf("compare table %s: %w", name, err)
	}
	return report, nil
}

func (r *Report) take(found reconcile.Report) {
	c := found.Counts
	r.LeftRows, r.RightRows = int64(c.Table), int64(c.Ledger)
	r.OnlyLeft, r.OnlyRight, r.Differing = int64(c.Missing), int64(c.Unaccounted), int64(c.Conflicting+c.Differing+c.Unreadable)
}

func difference(fault reconcile.Fault, example reconcile.Example) Difference {
	d := Difference{Key: []string{example.SessionID, example.TransactionID}}
	switch fault {
	case reconcile.Missing:
		d.Kind = OnlyLeft
	case reconcile.Unaccounted:
		d.Kind = OnlyRight
	default:
		d.Kind = Differing
		for _, name := range example.Table.Differing(example.Ledger) {
			d.Columns = append(d.Columns, Column{Name: name, Left: value(example.Table, name), Right: value(example.Ledger, name)})
		}
	}
	return d
}

// value is a field's text; nil if there is none.
func value(values payment.Values, name string) *string {
	if text, ok := values[name]; ok {
		return &text
	}
	return nil
}
