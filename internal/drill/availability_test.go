package drill_test

import (
	"strings"
	"testing"
	"time"

	"payments-dr/internal/drill"
)

// between is a failure in a span and a success outside of it.
func between(from, to float64, failure sending) func(float64) sending {
	return func(when float64) sending {
		if when >= from && when < to {
			return failure
		}
		return sending{}
	}
}

func TestRTOOfPaymentsCountsFromTheFaultToTheFirstAnswer(t *testing.T) {
	w := newWorld(t)
	w.fault(100, 400)
	// The first attempt after the fault is sent at 100.0; failures end at 187.0, and answers take 50 ms.
	w.load(0, 500, 10, between(100, 187, lost("timeout", 3)))
	r := w.measure()
	want(t, r, drill.NamePaymentsRTO, drill.StatusPass, 87.05)
	f := r.Faults[0]
	if f.PaymentsRTO == nil || f.PaymentsRTO.Duration() != 87050*time.Millisecond || !f.FirstFailure.Equal(at(100)) {
		t.Errorf("the fault is %+v", f)
	}
	if len(r.Interruptions) != 1 || r.Interruptions[0].FailedAttempts != 870 || r.Interruptions[0].Fault != "loss of us-east-1" {
		t.Errorf("the interruptions are %+v", r.Interruptions)
	}
}

func TestRTOOfPaymentsBeyondItsLimitFails(t *testing.T) {
	w := newWorld(t)
	w.fault(100, 400)
	w.load(0, 500, 10, between(100, 220, lost("timeout", 3)))
	r := w.measure()
	want(t, r, drill.NamePaymentsRTO, drill.StatusFail, 120.05)
	if o := objective(t, r, drill.NamePaymentsRTO); *o.Margin > -0.049 || *o.Margin < -0.051 || r.Status != drill.StatusFail {
		t.Errorf("margin %v, status %v", *o.Margin, r.Status)
	}
}

// TestFaultWithoutFailureIsNotMeasured: a drill in which nothing failed has not shown that the platform survives anything.
func TestFaultWithoutFailureIsNotMeasured(t *testing.T) {
	w := newWorld(t)
	w.fault(100, 400)
	w.load(0, 500, 10, steady)
	r := w.measure()
	want(t, r, drill.NamePaymentsRTO, drill.StatusNotMeasured, -1)
	if reason := objective(t, r, drill.NamePaymentsRTO).Reason; !strings.Contains(reason, "no attempt failed") {
		t.Errorf("the reason is %q", reason)
	}
	if r.Status == drill.StatusPass || len(r.Faults[0].Notes) == 0 {
		t.Errorf("status %v, notes %v", r.Status, r.Faults[0].Notes)
	}
}

func TestNobodyLookingIsNotMeasured(t *testing.T) {
	t.Run("nothing at all", func(t *testing.T) {
		w := newWorld(t)
		r := w.measure()
		for _, o := range r.Objectives {
			if o.Status == drill.StatusPass && (o.Name == drill.NamePaymentsRTO || o.Name == drill.NameLost || o.Name == drill.NameMissing) {
				t.Errorf("%s passes", o.Name)
			}
		}
		if r.Status != drill.StatusNotMeasured {
			t.Errorf("status %v", r.Status)
		}
	})
	t.Run("silent while the fault lasts", func(t *testing.T) {
		w := newWorld(t)
		w.fault(100, 300)
		w.load(0, 99, 10, steady)
		w.load(310, 500, 10, steady)
		want(t, w.measure(), drill.NamePaymentsRTO, drill.StatusNotMeasured, -1)
	})
	t.Run("no fault and no plan", func(t *testing.T) {
		w := newWorld(t)
		w.load(0, 500, 10, steady)
		want(t, w.measure(), drill.NamePaymentsRTO, drill.StatusNotMeasured, -1)
	})
}

// TestSuccessHasToLast: a recovery counts only if somebody looked on for as long as it has to last.
func TestSuccessHasToLast(t *testing.T) {
	w := newWorld(t)
	w.fault(100, 400)
	w.load(0, 210, 10, between(100, 160, lost("timeout", 1)))
	// Seen back at 160, looked on until 209.9: 50 of 60 seconds.
	want(t, w.measure(), drill.NamePaymentsRTO, drill.StatusNotMeasured, 109.95)
	w.load(210, 220.2, 10, steady)
	want(t, w.measure(), drill.NamePaymentsRTO, drill.StatusPass, 60.05)

	t.Run("a gleam of hope is none", func(t *testing.T) {
		w := newWorld(t)
		w.fault(100, 400)
		w.load(0, 500, 10, func(when float64) sending {
			if when >= 100 && when < 130 || when >= 160 && when < 200 {
				return lost("timeout", 1)
			}
			return sending{}
		})
		want(t, w.measure(), drill.NamePaymentsRTO, drill.StatusPass, 100.05)
	})
	t.Run("99 of 100 are enough, 98 are not", func(t *testing.T) {
		for every, back := range map[int]float64{100: 30, 50: 120} { // one failure in so many goes on for two minutes more
			w := newWorld(t)
			w.fault(100, 400)
			n := 0
			w.load(0, 500, 10, func(when float64) sending {
				n++
				if when >= 100 && when < 130 || when >= 130 && when < 250 && n%every == 0 {
					return lost("503", 0.1)
				}
				return sending{}
			})
			// With one in 50, a minute that begins half a minute before they end has few enough of them.
			if o := objective(t, w.measure(), drill.NamePaymentsRTO); o.Measured == nil || *o.Measured < back || *o.Measured > back+1 {
				t.Errorf("one failure in %d: %v, want %v s", every, o.Measured, back)
			}
		}
	})
	t.Run("silence is no success", func(t *testing.T) {
		w := newWorld(t)
		w.fault(100, 400)
		w.load(0, 131, 10, between(100, 130, lost("timeout", 1)))
		w.load(145, 300, 10, steady) // fourteen seconds in which nobody looked
		want(t, w.measure(), drill.NamePaymentsRTO, drill.StatusPass, 45.05)
	})
}

// TestSlowClientsDoNotFlatter: half of the clients wait for a Region that is gone, and so send little. Of all attempts, few
// fail; of the payments that were due, half were never sent.
func TestSlowClientsDoNotFlatter(t *testing.T) {
	sent := func(scheduled bool) drill.Report {
		w := newWorld(t)
		w.fault(100, 400)
		if scheduled {
			w.must(w.recorder.Sample(drill.Sample{At: at(0), Metric: drill.MetricOfferedRate, Value: 40}))
		}
		w.load(0, 100, 40, steady)
		w.load(100, 200, 20, func(float64) sending { return sending{region: west} })
		w.load(100, 200, 0.1, func(float64) sending { return lost("timeout", 10) })
		w.load(200, 300, 40, func(float64) sending { return sending{region: west} })
		return w.measure()
	}
	// The measure does not believe it where it knows the schedule: the first span of 60 s with nine tenths of what was due
	// begins at 188.
	r := sent(true)
	o := objective(t, r, drill.NamePaymentsRTO)
	if o.Measured == nil || *o.Measured < 85 || *o.Measured > 100.1 {
		t.Errorf("with a schedule, %v", o.Measured)
	}
	remarked := func(r drill.Report, text string) bool {
		for _, remark := range r.Remarks {
			if strings.Contains(remark, text) {
				return true
			}
		}
		return false
	}
	if !remarked(r, "of the requests on schedule were sent") {
		t.Errorf("the remarks are %q", r.Remarks)
	}
	if r := sent(false); !remarked(r, "schedule was not recorded") {
		t.Errorf("the remarks are %q", r.Remarks)
	}
}

// TestInterruptionsByOthersCount: what a step of the recovery does to payments is no less an interruption.
func TestInterruptionsByOthersCount(t *testing.T) {
	w := newWorld(t)
	w.fault(100, 600)
	w.load(0, 900, 10, func(when float64) sending {
		if when >= 100 && when < 140 || when >= 400 && when < 550 {
			return lost("timeout", 1)
		}
		return sending{}
	})
	r := w.measure()
	want(t, r, drill.NamePaymentsRTO, drill.StatusFail, 150.05)
	if len(r.Interruptions) != 2 || r.Interruptions[1].Fault != "" || !r.Interruptions[1].From.Equal(at(400)) {
		t.Errorf("the interruptions are %+v", r.Interruptions)
	}
	if rto := r.Faults[0].PaymentsRTO; rto == nil || rto.Duration() != 40050*time.Millisecond {
		t.Errorf("the fault's own is %v", rto)
	}
}

func TestEdgesOfInterruptions(t *testing.T) {
	t.Run("under way when the fault began", func(t *testing.T) {
		w := newWorld(t)
		w.fault(100, 400)
		w.load(0, 500, 10, func(when float64) sending {
			if when >= 98 && when < 101 {
				return lost("connection reset", 2.5) // sent before, and cut off
			}
			return sending{}
		})
		r := w.measure()
		want(t, r, drill.NamePaymentsRTO, drill.StatusPass, 3.05)
		if !r.Interruptions[0].From.Equal(at(98)) {
			t.Errorf("it counts from %v", r.Interruptions[0].From)
		}
	})
	t.Run("too few failures for an interruption are the fault's all the same", func(t *testing.T) {
		w := newWorld(t)
		w.fault(100, 400)
		w.load(0, 500, 10, between(100, 100.3, lost("503", 0.1)))
		want(t, w.measure(), drill.NamePaymentsRTO, drill.StatusPass, 0.35)
	})
	t.Run("single failures are none", func(t *testing.T) {
		w := newWorld(t)
		w.event(100, drill.Event{Kind: drill.KindPlanBegins, Name: "planned", Region: west})
		n := 0
		w.load(0, 500, 10, func(float64) sending {
			if n++; n%200 == 0 {
				return lost("503", 0.1)
			}
			return sending{}
		})
		r := w.measure()
		want(t, r, drill.NamePaymentsRTO, drill.StatusPass, 0)
		if r.Phases[0].ErrorRate == nil || *r.Phases[0].ErrorRate != 0.005 {
			t.Errorf("the error rate is %v", r.Phases[0].ErrorRate)
		}
	})
	t.Run("an interruption at the end is one", func(t *testing.T) {
		w := newWorld(t)
		w.event(100, drill.Event{Kind: drill.KindPlanBegins, Name: "planned", Region: west})
		w.load(0, 500, 10, between(498, 600, lost("503", 0.1)))
		want(t, w.measure(), drill.NamePaymentsRTO, drill.StatusNotMeasured, 2)
	})
	t.Run("refusals are failures", func(t *testing.T) {
		w := newWorld(t)
		w.fault(100, 400)
		w.load(0, 500, 10, between(100, 150, sending{outcome: drill.OutcomeRefused, reason: "403"}))
		want(t, w.measure(), drill.NamePaymentsRTO, drill.StatusPass, 50.05)
	})
	t.Run("never back, and already too long", func(t *testing.T) {
		w := newWorld(t)
		w.fault(100, 400)
		w.load(0, 500, 10, between(100, 900, lost("timeout", 1)))
		want(t, w.measure(), drill.NamePaymentsRTO, drill.StatusFail, 400.9)
	})
	t.Run("a fault of the ledger alone needs no failing payment", func(t *testing.T) {
		w := newWorld(t)
		w.fault(100, 400, drill.SubjectLedger)
		w.event(150, drill.Event{Kind: drill.KindPlanBegins, Name: "activate", Region: west})
		w.load(0, 500, 10, steady)
		want(t, w.measure(), drill.NamePaymentsRTO, drill.StatusPass, 0)
	})
	t.Run("a fault that is felt late counts from what was felt", func(t *testing.T) {
		w := newWorld(t)
		w.fault(100, 400)
		w.load(0, 500, 10, between(200, 230, lost("timeout", 1)))
		r := w.measure()
		want(t, r, drill.NamePaymentsRTO, drill.StatusPass, 30.05)
		if len(r.Faults[0].Notes) == 0 {
			t.Error("no note says so")
		}
	})
	t.Run("nobody noticed for a while", func(t *testing.T) {
		w := newWorld(t)
		w.fault(100, 400)
		w.load(0, 500, 10, between(107, 140, lost("timeout", 1)))
		r := w.measure()
		want(t, r, drill.NamePaymentsRTO, drill.StatusPass, 40.05)
		if one := r.Interruptions[0]; !one.From.Equal(at(100)) || !one.FirstFailure.Equal(at(107)) {
			t.Errorf("the interruption is %+v", one)
		}
	})
	t.Run("a single failure late is no effect", func(t *testing.T) {
		w := newWorld(t)
		w.fault(100, 400)
		w.load(0, 500, 10, between(300, 300.1, lost("503", 0.1)))
		want(t, w.measure(), drill.NamePaymentsRTO, drill.StatusNotMeasured, -1)
	})
	t.Run("the longest counts, whenever it was", func(t *testing.T) {
		w := newWorld(t)
		w.fault(100, 600)
		w.load(0, 900, 10, func(when float64) sending {
			if when >= 100 && when < 190 || when >= 400 && when < 420 || when >= 700 && when < 705 {
				return lost("timeout", 1)
			}
			return sending{}
		})
		want(t, w.measure(), drill.NamePaymentsRTO, drill.StatusPass, 90.05)
	})
	t.Run("two faults, each with its own", func(t *testing.T) {
		w := newWorld(t)
		w.fault(100, 200)
		w.event(300, drill.Event{Kind: drill.KindFaultBegins, Name: "second", Region: west, Hits: []drill.Subject{drill.SubjectPayments}})
		w.load(0, 500, 10, func(when float64) sending {
			if when >= 105 && when < 130 || when >= 300 && when < 370 {
				return lost("timeout", 1)
			}
			return sending{}
		})
		r := w.measure()
		want(t, r, drill.NamePaymentsRTO, drill.StatusPass, 70.05)
		if a, b := r.Faults[0].PaymentsRTO, r.Faults[1].PaymentsRTO; a == nil || b == nil || a.Duration() != 30050*time.Millisecond || b.Duration() != 70050*time.Millisecond {
			t.Errorf("they are %v and %v", a, b)
		}
	})
}

func TestObjectiveThatIsNotPromisedIsNotJudged(t *testing.T) {
	w := newWorld(t)
	w.run.Objectives = drill.Objectives{}
	w.fault(100, 400, drill.SubjectPayments)
	w.load(0, 500, 10, between(100, 187, lost("timeout", 3)))
	want(t, w.measure(), drill.NamePaymentsRTO, drill.StatusNotJudged, 87.05)
}

func TestTimeThatIsNotPutToTheTest(t *testing.T) {
	untried := []drill.Name{drill.NamePaymentsRTO, drill.NameLedgerRTO, drill.NameRPO}
	t.Run("is not judged if it cannot be measured", func(t *testing.T) {
		w := newWorld(t)
		w.run.Untried = untried
		w.event(100, drill.Event{Kind: drill.KindFaultBegins, Name: "partition", Region: east, Hits: []drill.Subject{}})
		w.event(300, drill.Event{Kind: drill.KindFaultEnds, Name: "partition", Region: east})
		w.load(0, 500, 10, steady)
		r := w.measure()
		want(t, r, drill.NamePaymentsRTO, drill.StatusPass, 0)
		want(t, r, drill.NameLedgerRTO, drill.StatusNotJudged, -1)
		want(t, r, drill.NameRPO, drill.StatusNotJudged, -1)
	})
	t.Run("is judged if it is measured", func(t *testing.T) {
		w := newWorld(t)
		w.run.Untried = untried
		w.event(100, drill.Event{Kind: drill.KindFaultBegins, Name: "partition", Region: east})
		w.event(400, drill.Event{Kind: drill.KindFaultEnds, Name: "partition", Region: east})
		w.load(0, 600, 10, between(100, 400, lost("timeout", 1)))
		if r := w.measure(); r.Status != drill.StatusFail || objective(t, r, drill.NamePaymentsRTO).Status != drill.StatusFail {
			t.Errorf("%s, payments %+v", r.Status, objective(t, r, drill.NamePaymentsRTO))
		}
	})
	t.Run("otherwise is not measured", func(t *testing.T) {
		w := newWorld(t)
		w.load(0, 500, 10, steady)
		r := w.measure()
		want(t, r, drill.NamePaymentsRTO, drill.StatusNotMeasured, -1)
		want(t, r, drill.NameRPO, drill.StatusNotMeasured, -1)
	})
}

func TestMeasuredBeyondTheComputedWorstIsRemarked(t *testing.T) {
	w := newWorld(t)
	w.fault(100, 400, drill.SubjectPayments)
	w.load(0, 500, 10, between(100, 187, lost("timeout", 3)))
	w.run.Computed.PaymentsRTO = &drill.Computed{Expected: 60 * time.Second, Worst: 80 * time.Second}
	r := w.measure()
	o := objective(t, r, drill.NamePaymentsRTO)
	if o.Expected == nil || *o.Expected != 60 || *o.Worst != 80 || o.Status != drill.StatusPass {
		t.Errorf("the objective is %+v", o)
	}
	if !strings.Contains(strings.Join(r.Remarks, "\n"), "the calculation leaves something out") {
		t.Errorf("the remarks are %q", r.Remarks)
	}
}
