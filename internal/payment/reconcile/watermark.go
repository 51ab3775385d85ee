package reconcile

import (
	"context"
	"fmt"
	"time"
)

const (
	// Settle is how long before now a window ends. Until then the table's index has what was accepted, and the ledger has recorded
	// most of it.
	Settle = time.Minute
	// Interval is from one scheduled run to the next.
	Interval = time.Hour
	// Overlap is how long before the watermark a run begins, and so how much the runs compare twice. It is longer than any delay of
	// the table's index and than the error of any clock that stamps payments, which are minutes at most.
	Overlap = 30 * time.Minute
	// LongestGap is how old the watermark may be. When it is older, a run is missing, or the runs have not caught up after an outage.
	LongestGap = 2 * Interval
	// firstWindow is how far back a ledger without a watermark is compared: as far as the ledger can be brought back.
	firstWindow = 72 * time.Hour
)

// Watermark is the moment before which every accepted payment is known to be in the ledger. It is kept in the ledger's own database
// and written after the payments that it vouches for: a promotion that loses payments, or a restore, takes it back together with
// them, and the next run compares that time again.
type Watermark interface {
	// ReconciledTo is the watermark; zero if there is none.
	ReconciledTo(context.Context) (time.Time, error)
	// NoteReconciled advances it. It does not go back.
	NoteReconciled(ctx context.Context, to time.Time) error
}

// Next is the window that has to be reconciled next: from Overlap before the watermark to end. It can be long after an outage; see
// Options.StopAfter.
func Next(ctx context.Context, w Watermark, end time.Time) (Window, error) {
	mark, err := reconciledTo(ctx, w, end)
	if err != nil {
		return Window{}, err
	}
	if mark.After(end) { // it was written with another clock
		mark = end
	}
	return Window{From: mark.Add(-Overlap), To: end}, nil
}

func reconciledTo(ctx context.Context, w Watermark, end time.Time) (time.Time, error) {
	mark, err := w.ReconciledTo(ctx)
	if err != nil {
		return time.Time{}, fmt.Errorf("read watermark: %w", err)
	}
	if mark.IsZero() {
		mark = end.Add(-firstWindow)
	}
	return mark, nil
}

// progress is how far a run advances the watermark.
type progress struct {
	watermark Watermark // nil if it stays
	mark      time.Time
	advanced  bool
}

// newProgress leaves the watermark alone if the window begins after it: there is a gap between the two.
func newProgress(ctx context.Context, window Window, options Options) (*progress, error) {
	if options.Watermark == nil || options.DryRun {
		return &progress{}, nil
	}
	mark, err := reconciledTo(ctx, options.Watermark, window.To)
	if err != nil || window.From.After(mark) {
		return &progress{}, err
	}
	return &progress{watermark: options.Watermark, mark: mark}, nil
}

func (p *progress) to(ctx context.Context, to time.Time) error {
	if p.watermark == nil || !to.After(p.mark) {
		return nil
	}
	if err := p.watermark.NoteReconciled(ctx, to); err != nil {
		return fmt.Errorf("advance watermark: %w", err)
	}
	p.mark, p.advanced = to, true
	return nil
}
