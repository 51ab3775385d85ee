package drill_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/bojanz/currency"

	"payments-dr/internal/drill"
	"payments-dr/internal/payment"
)

// epoch is the moment that the made-up runs count from. No test asks the machine's clock.
var epoch = time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)

// at is a moment, in seconds of the run.
func at(seconds float64) time.Time { return epoch.Add(span(seconds)) }

func span(seconds float64) time.Duration { return time.Duration(seconds * float64(time.Second)) }

// world is a made-up run: what was observed, and what table and ledger have.
type world struct {
	t        testing.TB
	recorder *drill.Recorder
	run      drill.Run
	items    []drill.Item
	rows     []drill.Row
	before   []drill.Row
	sent     int
}

const (
	east = "us-east-1"
	west = "us-west-2"
)

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{t: t, recorder: &drill.Recorder{}}
	w.run = drill.Run{
		Banner: "SIMULATED: made up by a test", Title: "made up",
		Objectives: drill.Objectives{PaymentsRTO: 2 * time.Minute, LedgerRTO: 15 * time.Minute, RPO: 5 * time.Minute},
	}
	w.run.Table = func(each func(drill.Item) error) error { return all(w.items, each) }
	w.run.Ledger = func(each func(drill.Row) error) error { return all(w.rows, each) }
	return w
}

func all[T any](list []T, each func(T) error) error {
	for _, one := range list {
		if err := each(one); err != nil {
			return err
		}
	}
	return nil
}

func amount(t testing.TB, number, code string) currency.Amount {
	t.Helper()
	a, err := currency.NewAmount(number, code)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func identity(number int) payment.Identity {
	return payment.Identity{SessionID: fmt.Sprintf("drill-%d", number/3), TransactionID: fmt.Sprintf("drill-%d", number)}
}

// sending is one request with one attempt. Its zero value is acknowledged by east after 50 ms, and recorded a second later.
type sending struct {
	outcome drill.Outcome
	reason  string
	region  string
	latency float64
	// recorded is how many seconds after its acceptance; -1 is never.
	recorded float64
	// stored tells that table and ledger have it although it was not acknowledged.
	stored bool
}

func lost(reason string, after float64) sending {
	return sending{outcome: drill.OutcomeFailed, reason: reason, latency: after}
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// send sends one payment and returns its number.
func (w *world) send(when float64, s sending) int {
	w.t.Helper()
	if s.outcome == "" {
		s.outcome = drill.OutcomeAcknowledged
	}
	if s.outcome == drill.OutcomeAcknowledged && s.region == "" {
		s.region = east
	}
	if s.latency == 0 {
		s.latency = 0.05
	}
	if s.recorded == 0 {
		s.recorded = 1
	}
	number := w.sent
	w.sent++
	money := amount(w.t, fmt.Sprintf("%d.%02d", 1+number%500, number%100), "USD")
	w.must(w.recorder.Attempt(drill.Attempt{SentAt: at(when), EndedAt: at(when + s.latency), Outcome: s.outcome, Reason: s.reason, Region: s.region}))
	w.must(w.recorder.Request(drill.Request{
		Identity: identity(number), Amount: money, SentAt: at(when), EndedAt: at(when + s.latency), Outcome: s.outcome,
		Reason: s.reason, Region: s.region, Attempts: 1,
	}))
	if s.outcome != drill.OutcomeAcknowledged && !s.stored {
		return number
	}
	accepted := at(when + s.latency/2).Truncate(time.Microsecond)
	region := s.region
	if region == "" {
		region = east
	}
	p := payment.Payment{Identity: identity(number), Amount: money, Region: region, Timestamp: accepted, Status: payment.StatusProcessed}
	w.items = append(w.items, p)
	if s.recorded > 0 {
		w.rows = append(w.rows, drill.Row{Payment: p, RecordedAt: accepted.Add(span(s.recorded))})
	}
	return number
}

// load sends so many payments a second over a span.
func (w *world) load(from, to, rate float64, one func(when float64) sending) {
	w.t.Helper()
	for i := 0; ; i++ {
		when := from + float64(i)/rate
		if when >= to {
			return
		}
		w.send(when, one(when))
	}
}

func steady(float64) sending { return sending{} }

func (w *world) event(when float64, e drill.Event) {
	w.t.Helper()
	e.At = at(when)
	w.must(w.recorder.Event(e))
}

// fault is the loss of a Region over a span, which hits both subjects unless others are given.
func (w *world) fault(from, to float64, hits ...drill.Subject) {
	w.t.Helper()
	if len(hits) == 0 {
		hits = []drill.Subject{drill.SubjectPayments, drill.SubjectLedger}
	}
	w.event(from, drill.Event{Kind: drill.KindFaultBegins, Name: "loss of " + east, Region: east, Hits: hits})
	w.event(to, drill.Event{Kind: drill.KindFaultEnds, Name: "loss of " + east, Region: east})
}

func (w *world) measure() drill.Report {
	w.t.Helper()
	report, err := drill.Measure(w.recorder, w.run)
	if err != nil {
		w.t.Fatal(err)
	}
	return report
}

// objective is one of a report, by name.
func objective(t testing.TB, r drill.Report, name drill.Name) drill.Objective {
	t.Helper()
	i := slices.IndexFunc(r.Objectives, func(o drill.Objective) bool { return o.Name == name })
	if i < 0 {
		t.Fatalf("the report has no objective %s", name)
	}
	return r.Objectives[i]
}

// want checks an objective's status, and what was measured, to a millisecond; -1 is nothing.
func want(t testing.TB, r drill.Report, name drill.Name, status drill.Status, measured float64) {
	t.Helper()
	o := objective(t, r, name)
	have := -1.0
	if o.Measured != nil {
		have = *o.Measured
	}
	if o.Status != status || have-measured > 0.001 || measured-have > 0.001 {
		t.Errorf("%s is %v, measured %v (%s); want %v, %v", name, o.Status, have, o.Reason, status, measured)
	}
}

// found is how many payments a report lists, by name.
func found(r drill.Report, name drill.Name) int {
	for _, f := range r.Findings {
		if f.Name == name {
			return f.Count
		}
	}
	return 0
}

var errBroken = errors.New("the line broke")
