package drill_test

import (
	"strings"
	"testing"
	"time"

	"payments-dr/internal/drill"
)

// lossOfTheLedger is a run in which the ledger goes at 100 and is promoted at 500. What is accepted meanwhile is recorded
// from 510 on, the oldest first, in twenty seconds; what was accepted in the last two seconds before the loss had not been
// replicated and is recorded then, too.
func lossOfTheLedger(t *testing.T) *world {
	w := newWorld(t)
	w.fault(100, 800)
	w.event(500, drill.Event{Kind: drill.KindPromotion, Region: west})
	w.load(0, 700, 10, func(when float64) sending {
		switch {
		case when >= 98 && when < 510:
			return sending{region: west, recorded: 510 + (when-98)*20/412 - when}
		case when >= 510:
			return sending{region: west, recorded: 20}
		}
		return sending{}
	})
	return w
}

func TestRTOOfTheLedger(t *testing.T) {
	w := lossOfTheLedger(t)
	// At 510 the oldest is 412 s old, and every record beyond the RPO of 300 s ends when payments accepted at 216 or later
	// are recorded. Of a minute, 1 % may be older.
	r := w.measure()
	o := objective(t, r, drill.NameLedgerRTO)
	if o.Status != drill.StatusPass || *o.Measured < 412 || *o.Measured > 416.1 {
		t.Errorf("it is %v, %v", o.Status, *o.Measured)
	}
	if f := r.Faults[0]; f.LedgerBack == nil || f.LedgerRTO.Duration() != f.LedgerBack.Sub(at(100)) {
		t.Errorf("the fault is %+v", f)
	}
}

func TestRTOOfTheLedgerIsNotFlattered(t *testing.T) {
	// replace changes when each payment is recorded: by its row, its acceptance in seconds, and whether to keep it.
	replace := func(w *world, recorded func(accepted float64, row *drill.Row) (keep bool)) {
		kept := w.rows[:0]
		for _, row := range w.rows {
			if recorded(row.Timestamp.Sub(epoch).Seconds(), &row) {
				kept = append(kept, row)
			}
		}
		w.rows = kept
	}
	for name, test := range map[string]struct {
		change   func(w *world)
		status   drill.Status
		at, most float64
	}{
		"a last record of the ledger that dies is no recovery": {func(w *world) {
			replace(w, func(accepted float64, row *drill.Row) bool {
				if accepted >= 100 && accepted < 101 {
					row.RecordedAt = row.Timestamp.Add(100 * time.Millisecond)
				}
				return true
			})
		}, drill.StatusPass, 412, 417},
		"a ledger that drops one in ten is not back": {func(w *world) {
			n := 0
			replace(w, func(accepted float64, row *drill.Row) bool { n++; return accepted < 100 || n%10 != 0 })
		}, drill.StatusNotMeasured, 600, 720},
		"a ledger that falls further behind is not back": {func(w *world) {
			replace(w, func(accepted float64, row *drill.Row) bool {
				if accepted >= 100 {
					row.RecordedAt = at(510 + (accepted - 100)) // at the speed of the clients, and 410 s behind
				}
				return true
			})
		}, drill.StatusFail, 700, 1100},
		"no time of recording": {func(w *world) { w.rows[1000].RecordedAt = time.Time{} }, drill.StatusNotMeasured, -1, -1},
		"nothing shows the fault": {func(w *world) {
			replace(w, func(accepted float64, row *drill.Row) bool {
				row.RecordedAt = row.Timestamp.Add(time.Second)
				return true
			})
		}, drill.StatusNotMeasured, -1, -1},
		"the ledger cannot be read": {func(w *world) {
			w.run.Ledger = func(func(drill.Row) error) error { return errBroken }
		}, drill.StatusNotMeasured, -1, -1},
	} {
		t.Run(name, func(t *testing.T) {
			w := lossOfTheLedger(t)
			if test.status == drill.StatusFail {
				w.run.Objectives.LedgerRTO = 10 * time.Minute
			}
			test.change(w)
			if test.status == drill.StatusFail {
				w.event(1110, drill.Event{Kind: drill.KindNote, Text: "the last record"})
			}
			o := objective(t, w.measure(), drill.NameLedgerRTO)
			have := -1.0
			if o.Measured != nil {
				have = *o.Measured
			}
			if o.Status != test.status || have < test.at || have > test.most && test.status != drill.StatusFail {
				t.Errorf("it is %v, %v (%s)", o.Status, have, o.Reason)
			}
		})
	}
}

// TestLastBreathOfTheLedgerIsNoRecovery: an interruption shorter than the RPO, so that every payment is recorded within it. What
// the ledger that dies still records must not pass for the one that comes.
func TestLastBreathOfTheLedgerIsNoRecovery(t *testing.T) {
	w := newWorld(t)
	w.fault(100, 400)
	w.promoteAt(290)
	w.load(0, 500, 10, func(when float64) sending {
		switch {
		case when >= 100 && when < 101:
			return sending{recorded: 0.1}
		case when >= 101 && when < 300:
			return sending{region: west, recorded: 300 + (when-101)/100 - when}
		}
		return sending{region: west}
	})
	want(t, w.measure(), drill.NameLedgerRTO, drill.StatusPass, 200.025)
}

func TestRPOAtPromotion(t *testing.T) {
	r := lossOfTheLedger(t).measure()
	// Twenty payments were accepted from 98 on, 25 ms after they were sent.
	want(t, r, drill.NameRPO, drill.StatusPass, 1.975)
	p := r.Promotions[0]
	if *p.Late != 20 || *p.Waiting != 4000 || *p.FinalLate != 0 || p.FinalBehind.Duration() != 0 || p.Backlog != nil || p.Snapshot || !p.Loss.Equal(at(100)) || p.Fault == "" {
		t.Errorf("the promotion is %+v: late %d, waiting %d, in the end %d", p, *p.Late, *p.Waiting, *p.FinalLate)
	}
	if found(r, drill.NameLate) != 20 {
		t.Errorf("%d are listed", found(r, drill.NameLate))
	}
}

// TestRPOCountsUpToTheHole: a single payment that is missing from long before the loss makes the ledger no better than that.
func TestRPOCountsUpToTheHole(t *testing.T) {
	w := lossOfTheLedger(t)
	w.rows = append(w.rows[:300], w.rows[301:]...) // accepted at 30.025
	r := w.measure()
	want(t, r, drill.NameRPO, drill.StatusPass, 69.975)
	want(t, r, drill.NameMissing, drill.StatusFail, 1)
	if p := r.Promotions[0]; *p.FinalLate != 1 || p.FinalBehind.Duration() != 69975*time.Millisecond {
		t.Errorf("in the end %d, %v", *p.FinalLate, *p.FinalBehind)
	}
}

func TestPromotedRowsSayMoreThanTimes(t *testing.T) {
	w := lossOfTheLedger(t)
	had := w.rows[:970] // up to 97.0; by their times of recording, up to 98 were there
	w.run.Promoted = []func(func(drill.Row) error) error{func(each func(drill.Row) error) error { return all(had, each) }}
	r := w.measure()
	want(t, r, drill.NameRPO, drill.StatusPass, 2.975)
	if p := r.Promotions[0]; *p.Late != 30 || !p.Snapshot {
		t.Errorf("the promotion is %+v", p)
	}
	// A snapshot that cannot be read leaves the times.
	w.run.Promoted[0] = func(func(drill.Row) error) error { return errBroken }
	want(t, w.measure(), drill.NameRPO, drill.StatusPass, 1.975)
}

func TestPlannedPromotion(t *testing.T) {
	w := newWorld(t)
	w.event(190, drill.Event{Kind: drill.KindPlanBegins, Name: "planned", Region: west})
	w.event(200, drill.Event{Kind: drill.KindPromotion, Region: west})
	w.load(0, 400, 10, func(when float64) sending {
		if when >= 195 && when < 200 {
			return sending{recorded: 201 - when}
		}
		return sending{recorded: 0.01}
	})
	r := w.measure()
	want(t, r, drill.NameBacklog, drill.StatusNotJudged, 4.975)
	want(t, r, drill.NameRPO, drill.StatusNotMeasured, -1)
	if p := r.Promotions[0]; p.Fault != "" || !p.Loss.Equal(at(200)) || *p.Waiting != 0 || p.RPO != nil || p.Backlog.Duration() != 4975*time.Millisecond {
		t.Errorf("the promotion is %+v", p)
	}
	want(t, r, drill.NameLedgerRTO, drill.StatusNotMeasured, -1)
	w.run.Objectives.Backlog = time.Second
	r = w.measure()
	want(t, r, drill.NameBacklog, drill.StatusFail, 4.975)
	page, text, data := written(t, r)
	for form, out := range map[string]string{"page": page, "text": text} {
		if !strings.Contains(out, "Backlog at planned promotion") {
			t.Errorf("the %s does not name the backlog", form)
		}
	}
	if strings.Contains(data, "rpoSeconds") || !strings.Contains(data, `"backlogSeconds": 4.975`) {
		t.Error("the JSON calls the backlog an RPO")
	}
}

// TestPlannedMoveHasABacklog: a drill reports a switchover as a fault of the ledger. Nothing is lost in it all the same.
func TestPlannedMoveHasABacklog(t *testing.T) {
	w := newWorld(t)
	w.event(100, drill.Event{Kind: drill.KindFaultBegins, Name: "switchover", Hits: []drill.Subject{drill.SubjectLedger}, Planned: true})
	w.promoteAt(160)
	w.event(170, drill.Event{Kind: drill.KindFaultEnds, Name: "switchover"})
	w.load(0, 300, 10, func(when float64) sending {
		if when >= 99 && when < 165 {
			return sending{recorded: 166 - when}
		}
		return sending{recorded: 0.01}
	})
	w.run.Objectives = drill.Objectives{LedgerRTO: 10 * time.Minute, Backlog: 2 * time.Minute}
	w.run.Untried = []drill.Name{drill.NameRPO, drill.NamePaymentsRTO}
	r := w.measure()
	want(t, r, drill.NameBacklog, drill.StatusPass, 60.975)
	want(t, r, drill.NameRPO, drill.StatusNotJudged, -1)
	if o := objective(t, r, drill.NameLedgerRTO); o.Status != drill.StatusPass {
		t.Errorf("the ledger is %s: %s", o.Status, o.Reason)
	}
	if p := r.Promotions[0]; p.RPO != nil || p.Fault != "" {
		t.Errorf("the promotion is %+v", p)
	}
}

// TestPlannedPromotionBesideALoss: bringing a Region back loses nothing, and what is on its way then is not the loss's RPO.
func TestPlannedPromotionBesideALoss(t *testing.T) {
	w := lossOfTheLedger(t)
	w.event(900, drill.Event{Kind: drill.KindPromotion, Region: east})
	w.load(700, 1000, 10, func(float64) sending { return sending{recorded: 30} })
	r := w.measure()
	want(t, r, drill.NameRPO, drill.StatusPass, 1.975)
	want(t, r, drill.NameBacklog, drill.StatusNotJudged, 29.975)
	if p := r.Promotions[1]; p.Fault != "" || p.RPO != nil || p.Backlog.Duration() != 29975*time.Millisecond {
		t.Errorf("the promotion is %+v", p)
	}
}

func TestRPOIsNotMeasured(t *testing.T) {
	for name, change := range map[string]func(*world){
		"nothing was promoted":         func(w *world) {},
		"led to no promotion":          func(w *world) { w.event(50, drill.Event{Kind: drill.KindPromotion, Region: west}) },
		"time of recording is unknown": func(w *world) { w.promoteAt(200); w.rows[3].RecordedAt = time.Time{} },
		"ledger was not read":          func(w *world) { w.promoteAt(200); w.run.Ledger = nil },
		"no payment was acknowledged":  func(w *world) { w.promoteAt(200); w.recorder = eventsOnly(w) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.fault(100, 400)
			w.load(0, 500, 2, steady)
			change(w)
			o := objective(t, w.measure(), drill.NameRPO)
			if o.Status != drill.StatusNotMeasured || !strings.Contains(o.Reason, name) {
				t.Errorf("it is %v: %s", o.Status, o.Reason)
			}
		})
	}
}

func (w *world) promoteAt(when float64) {
	w.event(when, drill.Event{Kind: drill.KindPromotion, Region: west})
}

func eventsOnly(w *world) *drill.Recorder {
	other := newWorld(w.t)
	other.fault(100, 400)
	other.promoteAt(200)
	return other.recorder
}
