package main

import (
	"context"
	"errors"
	"io"
	"reflect"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"payments-dr/internal/drill"
)

func TestSoakRuns(t *testing.T) {
	want := []soakRun{{"slow", 7}, {"flapping", 7}, {"chaos", 7}, {"chaos", 8}}
	if got := soakRuns([]string{"slow", "chaos", "flapping"}, 7, 2); !reflect.DeepEqual(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if got := soakRuns([]string{"slow"}, 1, 20); len(got) != 1 {
		t.Errorf("%v, want chaos only where it is asked for", got)
	}
	if got := (soakRun{"chaos", 8}).name(); got != "chaos-8" {
		t.Errorf("reports are called %s", got)
	}
}

// A run loads the machine for two minutes, waits for one, and is measured.
func TestSoakBeginsTheNextRunWhileOneWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("could not start")
		var loading, going, mostGoing atomic.Int32
		began := time.Now()
		outcomes := soak(t.Context(), soakRuns([]string{"chaos"}, 1, 4), io.Discard, func(_ context.Context, one soakRun, settled func()) (drill.Report, error) {
			if n := going.Add(1); n > mostGoing.Load() {
				mostGoing.Store(n)
			}
			defer going.Add(-1)
			if one.seed == 3 {
				return drill.Report{}, broken
			}
			if loading.Add(1) > 1 {
				t.Error("two runs load the machine")
			}
			time.Sleep(2 * time.Minute)
			loading.Add(-1)
			settled()
			time.Sleep(time.Minute)
			return drill.Report{Title: one.name()}, nil
		})
		var seeds []uint64
		for outcome := range outcomes {
			seeds = append(seeds, outcome.seed)
			if outcome.seed == 3 {
				if !errors.Is(outcome.err, broken) {
					t.Errorf("seed 3: error %v", outcome.err)
				}
				continue
			}
			if outcome.err != nil || outcome.report.Title != outcome.name() || outcome.took != 3*time.Minute {
				t.Errorf("%+v", outcome)
			}
		}
		if want := []uint64{1, 2, 3, 4}; !reflect.DeepEqual(seeds, want) {
			t.Errorf("outcomes of %v, want %v", seeds, want)
		}
		if got := mostGoing.Load(); got != 2 {
			t.Errorf("%d runs at a time, want two", got)
		}
		// Seed 2 begins after two minutes, seed 3 fails at four, seed 4 waits for seed 2 to be handed over.
		if took := time.Since(began); took != 8*time.Minute {
			t.Errorf("took %v", took)
		}
	})
}

func TestSoakEndsWhenInterrupted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
		defer cancel()
		begun := 0
		for outcome := range soak(ctx, soakRuns([]string{"chaos"}, 1, 20), io.Discard, func(ctx context.Context, _ soakRun, settled func()) (drill.Report, error) {
			begun++
			select {
			case <-time.After(2 * time.Minute):
				return drill.Report{}, nil
			case <-ctx.Done():
				return drill.Report{}, ctx.Err()
			}
		}) {
			if outcome.seed == 2 && !errors.Is(outcome.err, context.DeadlineExceeded) {
				t.Errorf("error %v", outcome.err)
			}
		}
		if begun != 2 {
			t.Errorf("%d runs begun, want two", begun)
		}
	})
}

// TestCellOfASoak: what was not measured is no zero, and what was seen in part is not all.
func TestCellOfASoak(t *testing.T) {
	t.Parallel()
	number := func(n float64) *float64 { return &n }
	report := drill.Report{Objectives: []drill.Objective{
		{Name: drill.NameLost, Unit: drill.UnitPayments, Measured: number(0)},
		{Name: drill.NameDoubled, Unit: drill.UnitPayments, Reason: "the ledger was not read"},
		{Name: drill.NameLedgerRTO, Unit: drill.UnitSeconds, Measured: number(471), Parts: []drill.Part{{Source: drill.SourceAssumed, What: "decision", Seconds: drill.Seconds(470 * time.Second)}, {Source: drill.SourceObserved, Seconds: drill.Seconds(time.Second)}}},
		{Name: drill.NamePaymentsRTO, Unit: drill.UnitSeconds, Measured: number(9), Reason: "not seen to be taken again", Parts: []drill.Part{{Source: drill.SourceObserved, Seconds: drill.Seconds(9 * time.Second)}}},
	}}
	for name, want := range map[drill.Name]string{
		drill.NameLost: "0", drill.NameDoubled: "–", drill.NameRPO: "–", drill.NameLedgerRTO: "assumed 7 min 50 s + observed 1 s", drill.NamePaymentsRTO: "at least observed 9 s",
	} {
		if got := cell(report, name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
}
