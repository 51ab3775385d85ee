package drill_test

import (
	"strings"
	"testing"

	"payments-dr/internal/drill"
)

// tried is a run of which everything was acknowledged and is in the table, and whose ledger was not read.
func tried(t *testing.T, run drill.Run) drill.Report {
	t.Helper()
	w := newWorld(t)
	w.load(0, 20, 1, steady)
	run.Banner, run.Table = w.run.Banner, w.run.Table
	w.run = run
	return w.measure()
}

var ofLedger = []drill.Name{
	drill.NamePaymentsRTO, drill.NameLedgerRTO, drill.NameRPO, drill.NameMissing, drill.NameDoubled, drill.NameDifferent, drill.NameUnexplained, drill.NameDisagreeing,
}

// A run does not fail over what it does not ask about and cannot measure, and passes over nothing that it asks.
func TestWhatIsNotAskedIsNotJudged(t *testing.T) {
	t.Parallel()
	if r := tried(t, drill.Run{Untried: ofLedger}); r.Status != drill.StatusPass {
		t.Errorf("%s", r.Status)
	}
	for i, name := range ofLedger {
		others := append(append([]drill.Name{}, ofLedger[:i]...), ofLedger[i+1:]...)
		if r := tried(t, drill.Run{Untried: others}); r.Status != drill.StatusNotMeasured {
			t.Errorf("with %s asked: %s", name, r.Status)
		}
	}
	// What is measured is judged in any case.
	if r := tried(t, drill.Run{Untried: append(ofLedger, drill.NameLost), Broken: []string{"something"}}); r.Status != drill.StatusFail {
		t.Errorf("broken: %s", r.Status)
	}
}

// A run that ended early is no pass, nor is one whose reconciliation gave no answer.
func TestRunThatEndedEarlyIsNoPass(t *testing.T) {
	t.Parallel()
	r := tried(t, drill.Run{Untried: ofLedger, Stopped: "interrupted"})
	if r.Status != drill.StatusNotMeasured || !strings.Contains(strings.Join(r.Remarks, "\n"), "The run ended early: interrupted.") {
		t.Errorf("%s, %v", r.Status, r.Remarks)
	}
	r = tried(t, drill.Run{Untried: ofLedger, Unreconciled: "nobody answered"})
	last := r.Objectives[len(r.Objectives)-1]
	if r.Status != drill.StatusNotMeasured || last.Name != drill.NameReconciliation || last.Status != drill.StatusNotMeasured || last.Reason != "nobody answered" {
		t.Errorf("%s, %+v", r.Status, last)
	}
}
