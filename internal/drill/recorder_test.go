package drill_test

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bojanz/currency"

	"payments-dr/internal/drill"
)

// TestRecorderTakesFromMany has its point under the race detector: observers, a measure and a watcher at once.
func TestRecorderTakesFromMany(t *testing.T) {
	const observers, each = 8, 2_000
	var r drill.Recorder
	money := amount(t, "1.00", "USD")
	run := drill.Run{Banner: "SIMULATED: made up by a test"}
	var all sync.WaitGroup
	for o := range observers {
		all.Go(func() {
			for i := range each {
				when := at(float64(i) / 100)
				err := errors.Join(
					r.Attempt(drill.Attempt{SentAt: when, EndedAt: when.Add(time.Millisecond), Outcome: drill.OutcomeAcknowledged, Region: east}),
					r.Request(drill.Request{Identity: identity(o*each + i), Amount: money, SentAt: when, EndedAt: when.Add(time.Millisecond), Outcome: drill.OutcomeAcknowledged, Region: east, Attempts: 1}),
				)
				if i%100 == 0 {
					err = errors.Join(err,
						r.Event(drill.Event{At: when, Kind: drill.KindNote, Text: "so far"}),
						r.Sample(drill.Sample{At: when, Metric: drill.MetricQueueDepth, Region: fmt.Sprint(o), Value: float64(i)}))
				}
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	all.Go(func() {
		for range 3 {
			if _, err := drill.Measure(&r, run); err != nil {
				t.Error(err)
			}
		}
	})
	all.Wait()
	report, err := drill.Measure(&r, run)
	if err != nil {
		t.Fatal(err)
	}
	if n := observers * each; report.Totals.Attempts != n || report.Totals.Payments != n || report.Totals.Requests != n || len(report.Events) != observers*each/100 {
		t.Errorf("the totals are %+v, and %d events", report.Totals, len(report.Events))
	}
}

func TestObservationsThatCannotBeTrue(t *testing.T) {
	money, zero := amount(t, "1.00", "USD"), time.Time{}
	good := drill.Request{Identity: identity(1), Amount: money, SentAt: at(0), EndedAt: at(1), Outcome: drill.OutcomeAcknowledged, Attempts: 1}
	request := func(change func(*drill.Request)) func(*drill.Recorder) error {
		q := good
		change(&q)
		return func(r *drill.Recorder) error { return r.Request(q) }
	}
	event := func(e drill.Event) func(*drill.Recorder) error {
		return func(r *drill.Recorder) error { return r.Event(e) }
	}
	sample := func(s drill.Sample) func(*drill.Recorder) error {
		return func(r *drill.Recorder) error { return r.Sample(s) }
	}
	attempt := func(a drill.Attempt) func(*drill.Recorder) error {
		return func(r *drill.Recorder) error { return r.Attempt(a) }
	}
	for field, take := range map[string]func(*drill.Recorder) error{
		"attempt: SentAt is zero":      attempt(drill.Attempt{SentAt: zero, EndedAt: at(1), Outcome: drill.OutcomeFailed}),
		"attempt: EndedAt is":          attempt(drill.Attempt{SentAt: at(1), EndedAt: at(0), Outcome: drill.OutcomeFailed}),
		`attempt: Outcome is "good"`:   attempt(drill.Attempt{SentAt: at(0), EndedAt: at(1), Outcome: "good"}),
		"request: SentAt is zero":      request(func(q *drill.Request) { q.SentAt = zero }),
		"request: Amount is -1.00 USD": request(func(q *drill.Request) { q.Amount = amount(t, "-1.00", "USD") }),
		"request: Amount is 1.001 USD": request(func(q *drill.Request) { q.Amount = amount(t, "1.001", "USD") }),
		"request: Amount is 0 ":        request(func(q *drill.Request) { q.Amount = currency.Amount{} }),
		"request: Identity is \"\"":    request(func(q *drill.Request) { q.SessionID, q.TransactionID = "", "" }),
		"request: SessionID is empty":  request(func(q *drill.Request) { q.SessionID, q.Outcome = "", drill.OutcomeFailed }),
		"request: Attempts is 0":       request(func(q *drill.Request) { q.Attempts = 0 }),
		"event: At is zero":            event(drill.Event{Kind: drill.KindNote}),
		`event: Kind is "party"`:       event(drill.Event{At: at(0), Kind: "party", Name: "x"}),
		"event: Name is empty":         event(drill.Event{At: at(0), Kind: drill.KindPhase}),
		"event: Region is empty":       event(drill.Event{At: at(0), Kind: drill.KindPromotion}),
		`event: Hits is "moon"`:        event(drill.Event{At: at(0), Kind: drill.KindFaultBegins, Name: "x", Hits: []drill.Subject{"moon"}}),
		`sample: Metric is "mood"`:     sample(drill.Sample{At: at(0), Metric: "mood"}),
		"sample: Value is NaN":         sample(drill.Sample{At: at(0), Metric: drill.MetricQueueDepth, Value: math.NaN()}),
		"sample: Value is -1":          sample(drill.Sample{At: at(0), Metric: drill.MetricQueueDepth, Value: -1}),
		"sample: Value is +Inf":        sample(drill.Sample{At: at(0), Metric: drill.MetricQueueDepth, Value: math.Inf(1)}),
		"sample: At is zero":           sample(drill.Sample{Metric: drill.MetricQueueDepth}),
	} {
		var r drill.Recorder
		err := take(&r)
		wrong, ok := errors.AsType[*drill.ObservationError](err)
		if !ok || !strings.HasPrefix(err.Error(), "record "+field) || wrong.Allowed == "" {
			t.Errorf("%s: the error is %v", field, err)
		}
	}
}

// TestMissingObservationIsNoPass: an observer that ignores the error does not get away with it.
func TestMissingObservationIsNoPass(t *testing.T) {
	perfect := func() *world {
		w := newWorld(t)
		w.fault(100, 400)
		w.promoteAt(200)
		w.load(0, 500, 10, func(when float64) sending {
			switch {
			case when >= 100 && when < 130:
				return lost("timeout", 1)
			case when >= 130 && when < 200:
				return sending{region: west, recorded: 201 - when}
			}
			return sending{}
		})
		return w
	}
	w := perfect()
	if r := w.measure(); r.Status != drill.StatusPass {
		for _, o := range r.Objectives {
			t.Logf("%s %s %s", o.Name, o.Status, o.Reason)
		}
		t.Fatalf("status %v", r.Status)
	}
	w = perfect()
	_ = w.recorder.Request(drill.Request{})
	if r := w.measure(); r.Status != drill.StatusNotMeasured || !strings.Contains(strings.Join(r.Remarks, "\n"), "1 observations were impossible") {
		t.Errorf("status %v, remarks %q", r.Status, r.Remarks)
	}
	w = perfect()
	w.must(w.recorder.Attempt(drill.Attempt{SentAt: at(10), EndedAt: at(11), Outcome: drill.OutcomeAcknowledged, Region: east}))
	if r := w.measure(); !strings.Contains(strings.Join(r.Remarks, "\n"), "have 5000 attempts, but 5001 were observed") {
		t.Errorf("remarks %q", r.Remarks)
	}
}

// TestAttemptsThatNobodySawAreNoPass: the ones that are missing may be those that failed.
func TestAttemptsThatNobodySawAreNoPass(t *testing.T) {
	w := newWorld(t)
	w.fault(100, 400)
	w.load(0, 500, 10, between(100, 130, lost("timeout", 1)))
	want(t, w.measure(), drill.NamePaymentsRTO, drill.StatusPass, 30.05)
	w.must(w.recorder.Request(drill.Request{
		Identity: identity(1), Amount: amount(t, "2.01", "USD"), SentAt: at(200), EndedAt: at(210), Outcome: drill.OutcomeAcknowledged, Attempts: 3, Replayed: true,
	}))
	want(t, w.measure(), drill.NamePaymentsRTO, drill.StatusNotMeasured, 30.05)
}

// TestRareNamesShareOne: an error text with a port number in it must not make the recorder grow, or mix up what is told apart.
func TestRareNamesShareOne(t *testing.T) {
	w := newWorld(t)
	w.load(0, 1000, 1, func(when float64) sending { return lost(fmt.Sprintf("connection refused on port %v", when), 0.1) })
	w.load(1000, 1010, 1, steady)
	p := w.measure().Phases[0]
	if len(p.Reasons) != 255 || p.Reasons[0].Name != "other" || p.Reasons[0].Count != 746 || p.Answered[0] != (drill.Count{Name: east, Count: 10}) {
		t.Errorf("%d reasons, first %+v; answered %+v", len(p.Reasons), p.Reasons[0], p.Answered)
	}
}

func TestRunThatCannotBe(t *testing.T) {
	for field, change := range map[string]func(*drill.Run){
		"Banner is empty":                  func(r *drill.Run) { r.Banner = "" },
		"Objectives.RPO is -1s":            func(r *drill.Run) { r.Objectives.RPO = -time.Second },
		"Objectives.RPO and Backlog are 0": func(r *drill.Run) { r.Objectives.RPO = 0 },
		"Objectives.Backlog is -1s":        func(r *drill.Run) { r.Objectives.Backlog = -time.Second },
		"Sustained.For is -1s":             func(r *drill.Run) { r.Sustained.For = -time.Second },
		"Sustained.Success is 0.4":         func(r *drill.Run) { r.Sustained.Success = 0.4 },
		"Sustained.Sent is 2":              func(r *drill.Run) { r.Sustained.Sent = 2 },
	} {
		w := newWorld(t)
		change(&w.run)
		if _, err := drill.Measure(w.recorder, w.run); err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%s: the error is %v", field, err)
		}
	}
}
