package drill_test

import (
	"encoding/json"
	"html"
	"regexp"
	"strings"
	"testing"
	"time"

	"payments-dr/internal/drill"
	"payments-dr/internal/payment/reconcile"
)

func (w *world) delay(from, to float64, source drill.Source, what string, atMost bool, of ...drill.Name) {
	w.t.Helper()
	w.must(w.recorder.Delay(drill.Delay{What: what, From: at(from), To: at(to), Source: source, Of: of, AtMost: atMost}))
}

// TestAssumedIsNotObserved: a recovery time says how much of it the run was given, and how much it showed.
func TestAssumedIsNotObserved(t *testing.T) {
	w := lossOfTheLedger(t) // lost at 100, back soon after 510
	w.delay(98, 100, drill.SourceAssumed, "replication lag", false, drill.NameRPO)
	w.delay(100, 340, drill.SourceAssumed, "decision", false, drill.NameLedgerRTO)
	w.delay(340, 500, drill.SourceAssumed, "Aurora's failover", false, drill.NameLedgerRTO)
	w.delay(330, 350, drill.SourceAssumed, "approval", false, drill.NameLedgerRTO)                // the first ten are the decision's
	w.delay(400, 900, drill.SourceAssumed, "the Region comes back", false, drill.NameLedgerRTO)   // the ledger did not wait for it
	w.delay(505, 900, drill.SourceCalculated, "a retry", true, drill.NameLedgerRTO)               // the ledger waited for it in part
	w.delay(100, 130, drill.SourceCalculated, "health checks", false, drill.NamePaymentsRTO)      // of other times
	w.delay(900, 901, drill.SourceAssumed, "decision", false, drill.NameLedgerRTO, drill.NameRPO) // and moments
	r := w.measure()
	o := objective(t, r, drill.NameLedgerRTO)
	sum, of := 0.0, map[string]float64{}
	for _, p := range o.Parts {
		sum += p.Seconds.Duration().Seconds()
		of[string(p.Source)+" "+p.What] += p.Seconds.Duration().Seconds()
	}
	if sum-*o.Measured > 1e-6 || *o.Measured-sum > 1e-6 {
		t.Errorf("the parts add up to %v, and the time is %v", sum, *o.Measured)
	}
	retried := *o.Measured - 405
	for name, seconds := range map[string]float64{"assumed decision": 240, "assumed approval": 10, "assumed Aurora's failover": 150, "calculated a retry": retried, "observed ": 5} {
		if d := of[name] - seconds; d > 0.001 || d < -0.001 {
			t.Errorf("%s is %v s, want %v", name, of[name], seconds)
		}
	}
	if len(of) != 5 {
		t.Errorf("the parts are %v", of)
	}
	if got := objective(t, r, drill.NameRPO).Sources(); got != "assumed 2 s + observed 0 s" {
		t.Errorf("the RPO is %q", got)
	}
	page, text, data := written(t, r)
	page = html.UnescapeString(page)
	for form, out := range map[string]string{"page": page, "text": text} {
		if !strings.Contains(out, o.Sources()) || !strings.HasPrefix(o.Sources(), "assumed 6 min 40 s + calculated ") || !strings.Contains(out, o.Detail()) {
			t.Errorf("the %s does not say %q and %q", form, o.Sources(), o.Detail())
		}
	}
	if !strings.Contains(data, `"source": "assumed",`) || !strings.Contains(page, `<div class="note">`+o.Sources()) {
		t.Error("the JSON has no sources, or the tile has none")
	}
	if o := objective(t, r, drill.NameLost); o.Parts != nil || o.Sources() != "" {
		t.Error("a count has sources")
	}
}

func TestDelayThatCannotBeTrue(t *testing.T) {
	w := newWorld(t)
	for _, d := range []drill.Delay{
		{From: at(1), To: at(2)}, {From: at(1), To: at(2), Source: drill.SourceObserved}, {From: at(2), To: at(1), Source: drill.SourceAssumed}, {To: at(1), Source: drill.SourceAssumed},
	} {
		if err := w.recorder.Delay(d); err == nil {
			t.Errorf("%+v was taken", d)
		}
	}
}

// TestSimulatedTimesAreNoUTC: simulated times pass faster than real ones, and nobody may look them up in a log.
func TestSimulatedTimesAreNoUTC(t *testing.T) {
	w := madeUp(t, true)
	w.run.Clock = drill.Clock{Simulated: true, Speed: 10, Started: time.Date(2027, 1, 2, 3, 4, 5, 0, time.UTC), Took: drill.Seconds(161 * time.Second)}
	page, text, data := written(t, w.measure())
	for form, out := range map[string]string{"page": page, "text": text} {
		if !strings.Contains(out, "pass 10 times as fast") || !strings.Contains(out, "2027-01-02 03:04:05 UTC and took 2 min 41 s of real time") {
			t.Errorf("the %s does not say when it began, how fast its time passed, and how long it took", form)
		}
		if found := regexp.MustCompile(`2026-11-22[^ ]*Z|[0-9:.]{8,} UTC`).FindAllString(strings.ReplaceAll(out, "2027-01-02 03:04:05 UTC", ""), 3); found != nil {
			t.Errorf("the %s labels simulated times as UTC: %q", form, found)
		}
	}
	if found := regexp.MustCompile(`2026-11-22[^"]*Z`).FindAllString(data, 3); found != nil {
		t.Errorf("the JSON labels simulated times as UTC: %q", found)
	}
	if !strings.Contains(data, `"startedUtc": "2027-01-02T03:04:05Z"`) {
		t.Error("the JSON has no real start")
	}
	back, err := drill.Read(strings.NewReader(data))
	if err != nil || !back.From.Equal(epoch) {
		t.Errorf("read back: %v, %v", back.From, err)
	}

	w.run.Clock.Simulated = false
	_, text, data = written(t, w.measure())
	if !strings.Contains(text, "2026-11-22 09:00:00 to 09:26:59 UTC") || !strings.Contains(data, `"from": "2026-11-22T09:00:00Z"`) {
		t.Error("real times are not labeled as UTC")
	}
}

// TestHowAReportWasMade: every form says it, and what is not known is said to be unknown and why.
func TestHowAReportWasMade(t *testing.T) {
	w := sound(t, 10)
	w.run.Provenance = []drill.Fact{{Name: "commit", Value: "0123abcd"}, drill.Unknown("templates", "the deployed templates were not read")}
	w.run.NotModeled = []string{"AWS::WAFv2::WebACL (2)"}
	page, text, data := written(t, w.measure())
	for form, out := range map[string]string{"page": page, "text": text} {
		for _, wanted := range []string{"0123abcd", "unknown: the deployed templates were not read", "AWS::WAFv2::WebACL (2)"} {
			if !strings.Contains(out, wanted) {
				t.Errorf("the %s does not say %q", form, wanted)
			}
		}
	}
	var read struct {
		Provenance []drill.Fact
		NotModeled []string
	}
	if err := json.Unmarshal([]byte(data), &read); err != nil || len(read.Provenance) != 2 || read.Provenance[1].Value != "unknown" || read.Provenance[1].Reason == "" || len(read.NotModeled) != 1 {
		t.Errorf("the JSON has %+v, %v", read, err)
	}
}

// TestNotJudgedIsNotZero: what nobody has looked at is no number.
func TestNotJudgedIsNotZero(t *testing.T) {
	t.Run("payments at fault", func(t *testing.T) {
		w := sound(t, 10)
		w.run.Ledger = nil
		r := w.measure()
		if page, _, data := written(t, r); r.Totals.AtFault != nil || r.Totals.Others != nil || !strings.Contains(data, `"atFault": null`) || strings.Contains(page, `<div class="value">0</div>`) {
			t.Errorf("the totals are %+v", r.Totals)
		}
		w.items = nil
		if r := w.measure(); r.Totals.AtFault == nil || *r.Totals.AtFault != 10 {
			t.Error("payments that are lost are not at fault because the ledger was not read")
		}
	})
	t.Run("a promotion before any payment", func(t *testing.T) {
		w := newWorld(t)
		w.fault(10, 300)
		w.promoteAt(60)
		w.load(100, 400, 5, steady)
		r := w.measure()
		want(t, r, drill.NameRPO, drill.StatusNotMeasured, -1)
		if p := r.Promotions[0]; p.RPO != nil || p.Late != nil || p.FinalBehind != nil || p.FinalLate != nil || len(p.Notes) == 0 {
			t.Errorf("the promotion is %+v", p)
		}
	})
	t.Run("a reconciliation that compared nothing", func(t *testing.T) {
		w := sound(t, 10)
		w.run.Reconciliations = []reconcile.Report{{From: at(0), To: at(100), Complete: true, DoneUpTo: at(100)}}
		want(t, w.measure(), drill.NameReconciliation, drill.StatusNotMeasured, -1)
	})
	t.Run("a phase without attempts", func(t *testing.T) {
		w := newWorld(t)
		w.event(0, drill.Event{Kind: drill.KindPhase, Name: "quiet"})
		w.event(50, drill.Event{Kind: drill.KindPhase, Name: "busy"})
		w.load(50, 60, 1, steady)
		_, text, _ := written(t, w.measure())
		if !regexp.MustCompile(`(?m)^quiet .* 0 +– +–`).MatchString(text) {
			t.Error("a phase in which nobody sent anything has no errors")
		}
	})
	t.Run("nothing that is judged", func(t *testing.T) {
		all := append([]drill.Name{drill.NameLost}, ofLedger...)
		r := tried(t, drill.Run{Untried: all})
		if r.Status != drill.StatusPass { // lost was measured
			t.Errorf("it is %s", r.Status)
		}
		w := newWorld(t)
		w.run = drill.Run{Banner: "a test", Untried: all}
		r = w.measure()
		_, text, _ := written(t, r)
		if r.Status != drill.StatusNotJudged || !strings.Contains(text, "no objective was judged: no pass") {
			t.Errorf("it is %s: %.300s", r.Status, text)
		}
	})
	t.Run("some that is not", func(t *testing.T) {
		if _, text, _ := written(t, tried(t, drill.Run{Untried: ofLedger})); !strings.Contains(text, "all 1 objectives met, 8 not judged") {
			t.Errorf("the verdict does not count what was not judged: %.300s", text)
		}
	})
}
