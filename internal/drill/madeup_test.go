package drill_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"payments-dr/internal/drill"
	"payments-dr/internal/payment"
	"payments-dr/internal/payment/reconcile"
)

// madeUp is a run that nobody has run: the loss of a Region as it might go, with numbers that look like it. The shape is what the
// report is looked at with, and held to; none of its numbers says anything of the platform. harm adds what a platform that fails
// would show.
func madeUp(t testing.TB, harm bool) *world {
	w := newWorld(t)
	random := rand.New(rand.NewPCG(7, 7))
	w.run.Banner = "SIMULATED: made up for a test of this report. Nothing was run, and no number says anything about the platform."
	w.run.Title = "Loss of us-east-1 in the made-up environment"
	w.run.SessionPrefix = "drill-"
	w.run.Clock = drill.Clock{Simulated: true, Speed: 10, Started: epoch, Took: drill.Seconds(162 * time.Second)}
	w.run.Provenance = []drill.Fact{
		{Name: "tool", Value: "0.0.0"}, {Name: "commit", Value: "0123456789abcdef0123456789abcdef01234567"}, {Name: "working tree", Value: "clean"},
		drill.Unknown("templates", "made up"), {Name: "processor", Value: "made up, 2 cores"},
	}
	w.run.NotModeled = []string{"AWS::CloudWatch::Alarm (103)", "AWS::Logs::LogGroup (24)", "AWS::WAFv2::WebACL (2)"}
	w.run.Computed.PaymentsRTO = &drill.Computed{Expected: 97 * time.Second, Worst: 119 * time.Second}
	w.run.Computed.LedgerRTO = &drill.Computed{Expected: 6 * time.Minute, Worst: 13 * time.Minute}
	w.run.Computed.RPO = &drill.Computed{Expected: time.Second, Worst: 5 * time.Minute}
	w.run.Assumptions = []drill.Assumption{
		{What: "decision", Value: "2 min", Source: "made up"},
		{What: "approval", Value: "40 s", Source: "made up"},
		{What: "Aurora's failover", Value: "3 min 5 s", Source: "made up"},
	}
	const (
		loss, back, switched = 300.0, 1020.0, 1320.0
		promoted, end        = loss + 345, 1620.0
	)
	event := func(when float64, kind drill.Kind, name, region, result, text string) {
		w.event(when, drill.Event{Kind: kind, Name: name, Region: region, Result: result, Text: text})
	}
	step := func(from, to float64, name, result, text string) {
		event(from, drill.KindStepBegins, name, "", "", "")
		if result != "" {
			event(to, drill.KindStepEnds, name, "", result, text)
		}
	}
	event(0, drill.KindPhase, "steady", "", "", "")
	event(0, drill.KindHealthCheck, "us-east-1", east, drill.ResultHealthy, "")
	event(0, drill.KindHealthCheck, "us-west-2", west, drill.ResultHealthy, "")
	event(0, drill.KindDNS, "api.payments.example.com", east, "", "")
	event(loss, drill.KindPhase, "loss of us-east-1", "", "", "")
	w.event(loss, drill.Event{Kind: drill.KindFaultBegins, Name: "us-east-1 is gone", Region: east, Text: "no API, no functions, no database", Hits: []drill.Subject{drill.SubjectPayments, drill.SubjectLedger}})
	event(loss+33, drill.KindHealthCheck, "us-east-1", east, drill.ResultUnhealthy, "3 of 3 probes failed")
	event(loss+36, drill.KindDNS, "api.payments.example.com", west, "", "by health")
	event(loss+65, drill.KindAlarm, "payment-madeup-health", west, drill.ResultAlarm, "")
	event(loss+120, drill.KindPhase, "recovery", "", "", "")
	event(loss+120, drill.KindPlanBegins, "activate us-west-2", west, "", "ungraceful")
	step(loss+120, loss+160, "approve", drill.ResultCompleted, "")
	step(loss+160, promoted, "promote the database", drill.ResultCompleted, "failover")
	event(promoted, drill.KindPromotion, "", west, "", "Aurora takes writes")
	step(promoted, promoted+12, "start the ledger here", drill.ResultCompleted, "")
	step(promoted+12, promoted+13, "stop the other ledger", drill.ResultSkipped, "the Region is gone")
	step(promoted+12, promoted+20, "move payments here", drill.ResultCompleted, "")
	step(promoted+12, promoted+90, "reconcile", drill.ResultCompleted, "")
	event(promoted+90, drill.KindPlanEnds, "activate us-west-2", west, drill.ResultCompleted, "")
	event(promoted+90, drill.KindPhase, "in us-west-2", "", "", "")
	event(back, drill.KindFaultEnds, "us-east-1 is gone", east, "", "")
	event(back, drill.KindPhase, "us-east-1 is back", "", "", "")
	event(back+35, drill.KindHealthCheck, "us-east-1", east, drill.ResultHealthy, "")
	event(back+40, drill.KindNote, "", east, "", "DNS stays: only the plan brings payments back")
	event(switched-60, drill.KindPhase, "bring it back", "", "", "")
	event(switched-60, drill.KindPlanBegins, "activate us-east-1", east, "", "graceful")
	step(switched-60, switched-40, "approve", drill.ResultCompleted, "")
	step(switched-40, switched, "promote the database", drill.ResultCompleted, "switchover")
	event(switched, drill.KindPromotion, "", east, "", "Aurora takes writes")
	step(switched, switched+9, "start the ledger here", drill.ResultCompleted, "")
	step(switched+9, switched+60, "reconcile", drill.ResultCompleted, "")
	step(switched+9, switched+18, "move payments here", drill.ResultCompleted, "")
	step(switched+9, switched+15, "stop the other ledger", drill.ResultCompleted, "")
	event(switched+14, drill.KindDNS, "api.payments.example.com", east, "", "by the plan")
	event(switched+60, drill.KindPlanEnds, "activate us-east-1", east, drill.ResultCompleted, "")
	event(switched+60, drill.KindPhase, "steady again", "", "", "")

	w.delay(loss-0.6, loss, drill.SourceAssumed, "replication lag", false, drill.NameRPO)
	w.delay(loss, loss+33, drill.SourceCalculated, "health checks", true, drill.NamePaymentsRTO)
	w.delay(loss+36, loss+96, drill.SourceCalculated, "DNS TTL", true, drill.NamePaymentsRTO)
	w.delay(loss, loss+120, drill.SourceAssumed, "decision", false, drill.NameLedgerRTO)
	w.delay(loss+120, loss+160, drill.SourceAssumed, "approval", false, drill.NameLedgerRTO)
	w.delay(loss+160, promoted, drill.SourceAssumed, "Aurora's failover", false, drill.NameLedgerRTO)
	w.delay(switched-40, switched, drill.SourceAssumed, "Aurora's switchover", false, drill.NameLedgerRTO, drill.NameBacklog)

	// Which Region a client is led to, once an answer has run out that was given up to 60 s before.
	led := func(when float64) string {
		turned := func(moment float64) bool { return when-moment > 60*random.Float64() }
		switch {
		case when > switched+14 && turned(switched+14):
			return east
		case when > loss+36 && turned(loss+36):
			return west
		}
		return east
	}
	// When what is accepted at a moment is recorded.
	recorded := func(when float64) float64 {
		switch {
		case when >= loss-0.8 && when < promoted+15: // the newest first after the promotion, and all in a minute and a half
			share := (when - loss) / (promoted + 15 - loss)
			return promoted + 12 + 90*(1-share) + 6*random.Float64()
		case when >= switched-12 && when < switched+2:
			return switched + 4 + 5*random.Float64()
		}
		return when + 0.5 + 1.5*random.Float64()
	}
	const rate = 6.0
	w.must(w.recorder.Sample(drill.Sample{At: at(0), Metric: drill.MetricOfferedRate, Value: rate}))
	for i := range int(end * rate) {
		w.client(random, i, float64(i)/rate, loss, back, led, recorded)
	}
	for s := 0.0; s < end; s += 15 {
		value := func(metric drill.Metric, region string, v float64) {
			w.must(w.recorder.Sample(drill.Sample{At: at(s), Metric: metric, Region: region, Value: v}))
		}
		lag := 0.2 + 0.5*random.Float64()
		waiting := math.Max(0, math.Min(s-loss, promoted+15-loss)) * rate
		if s > promoted+15 {
			waiting *= math.Max(0, 1-(s-promoted-15)/90)
		}
		switch {
		case s < loss:
			value(drill.MetricReplicationLag, west, lag)
			value(drill.MetricQueueDepth, east, float64(random.IntN(6)))
			value(drill.MetricQueueAge, east, random.Float64()*2)
			value(drill.MetricQueueDepth, west, s*rate)
			value(drill.MetricQueueAge, west, s)
		case s < back:
			depth := loss*rate + waiting
			age := s
			if s > promoted+15 {
				depth *= math.Max(0, 1-(s-promoted-15)/90)
				age = math.Max(1, s*(1-(s-promoted-15)/90))
			}
			value(drill.MetricQueueDepth, west, depth)
			value(drill.MetricQueueAge, west, age)
		default:
			where := west
			if s > switched {
				where = east
			} else if s > back+90 {
				value(drill.MetricReplicationLag, east, math.Max(lag, 40-(s-back-90)/2))
			}
			if s > switched+20 {
				value(drill.MetricReplicationLag, west, lag)
			}
			value(drill.MetricQueueDepth, where, float64(random.IntN(8)))
			value(drill.MetricQueueAge, where, random.Float64()*2)
		}
	}
	w.before = append(w.before, w.rows[3:]...)
	w.run.LedgerBefore = func(each func(drill.Row) error) error { return all(w.before, each) }
	clean := reconcile.Report{From: at(-3600), To: at(promoted + 12), Complete: true, DoneUpTo: at(promoted + 12)}
	clean.Counts = reconcile.Counts{Table: 5_871, LedgerBefore: 5_868, Missing: 3, Repaired: 3, Ledger: 5_871}
	clean.Sums = []reconcile.Sum{{Currency: "EUR", Table: "201334.10", Ledger: "201334.10"}, {Currency: "USD", Table: "1466127.42", Ledger: "1466127.42"}}
	w.run.Reconciliations = []reconcile.Report{clean}
	if harm {
		w.harm(clean)
	}
	return w
}

// client sends one payment and tries again as a good client does, six times at the most.
func (w *world) client(random *rand.Rand, number int, when, loss, back float64, led func(float64) string, recorded func(float64) float64) {
	id := payment.Identity{SessionID: fmt.Sprintf("drill-%04d", number/5), TransactionID: fmt.Sprintf("payment-%05d", number)}
	code := []string{"USD", "USD", "EUR"}[random.IntN(3)]
	money := amount(w.t, fmt.Sprintf("%d.%02d", 1+random.IntN(900), random.IntN(100)), code)
	region, acceptedIn, acceptedAt := led(when), "", 0.0
	sent := when
	for attempt := 1; ; attempt++ {
		a := drill.Attempt{SentAt: at(sent), Outcome: drill.OutcomeAcknowledged, Region: region}
		took := 0.03 + 0.02*random.ExpFloat64()
		switch {
		case region == east && sent >= loss && sent < back:
			took = 3
			a.Outcome, a.Reason, a.Region = drill.OutcomeFailed, "no connection", ""
		case region == east && sent < loss && sent > loss-0.6: // cut off, and accepted all the same
			took = loss + 0.4 - sent
			a.Outcome, a.Reason, a.Region = drill.OutcomeFailed, "connection reset", ""
			acceptedIn, acceptedAt = east, sent+0.01
		case random.IntN(900) == 0:
			a.Outcome, a.Reason = drill.OutcomeFailed, "503"
		}
		ended := sent + took
		a.EndedAt = at(ended)
		w.must(w.recorder.Attempt(a))
		if a.Outcome == drill.OutcomeAcknowledged && acceptedIn == "" {
			acceptedIn, acceptedAt = region, ended-0.015
		}
		if a.Outcome == drill.OutcomeAcknowledged || attempt == 6 {
			w.must(w.recorder.Request(drill.Request{
				Identity: id, Amount: money, SentAt: at(when), EndedAt: at(ended), Outcome: a.Outcome, Reason: a.Reason, Region: a.Region,
				Attempts: attempt, Replayed: acceptedAt < sent && acceptedIn != "",
			}))
			break
		}
		sent = ended + 0.1*float64(attempt)
		region = led(sent)
	}
	if acceptedIn == "" {
		return
	}
	p := payment.Payment{Identity: id, Amount: money, Region: acceptedIn, Timestamp: at(acceptedAt).Truncate(time.Microsecond), Status: payment.StatusProcessed}
	w.items = append(w.items, p)
	w.rows = append(w.rows, drill.Row{Payment: p, RecordedAt: at(max(recorded(acceptedAt), acceptedAt+0.2)).Truncate(time.Microsecond)})
}

// harm is what must never happen.
func (w *world) harm(clean reconcile.Report) {
	w.items = append(w.items[:40:40], w.items[43:]...)
	for i := range 130 {
		w.rows[1500+i*7].RecordedAt = w.rows[1500+i*7].RecordedAt.Add(2 * time.Second)
	}
	w.rows = append(w.rows[:2000:2000], w.rows[2130:]...)
	w.rows[100].Amount = amount(w.t, "9999.00", "USD")
	w.rows = append(w.rows, w.rows[500])
	stranger := w.rows[900]
	stranger.Identity = payment.Identity{SessionID: "drill-<script>", TransactionID: "nobody's & <b>own</b>"}
	w.rows = append(w.rows, stranger)
	wrong := clean
	wrong.From, wrong.To, wrong.DoneUpTo = at(0), at(1500), at(1500)
	wrong.Counts = reconcile.Counts{Table: 9_700, LedgerBefore: 9_573, Missing: 127, Repaired: 0, Conflicting: 1, Unaccounted: 1, Ledger: 9_573}
	wrong.Sums = []reconcile.Sum{{Currency: "USD", Table: "1466127.42", Ledger: "1401233.00"}}
	w.run.Reconciliations = append(w.run.Reconciliations, wrong)
}
