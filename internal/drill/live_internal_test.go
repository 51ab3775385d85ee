package drill

import (
	"strings"
	"testing"
	"time"
)

// watched is a run that is looked at three times, by its own clock.
func watched(t *testing.T, terminal bool) string {
	t.Helper()
	epoch := time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)
	now, out := epoch, &strings.Builder{}
	recorder := &Recorder{}
	p := &Progress{Writer: out, Banner: "SIMULATED: made up by a test", Recorder: recorder, Now: func() time.Time { return now }, terminal: terminal, colour: false}
	p.columns = func() int { return 60 }
	must := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	event := func(e Event) { e.At = now; must(recorder.Event(e)) }
	attempts := func(n int, outcome Outcome) {
		for range n {
			must(recorder.Attempt(Attempt{SentAt: now, EndedAt: now, Outcome: outcome}))
		}
	}
	p.begin()
	event(Event{Kind: KindPhase, Name: "steady"})
	event(Event{Kind: KindDNS, Name: "api.example.com", Region: "us-east-1"})
	must(recorder.Sample(Sample{At: now, Metric: MetricReplicationLag, Region: "us-west-2", Value: 0.4}))
	attempts(100, OutcomeAcknowledged)
	now = now.Add(10 * time.Second)
	p.look(now)
	event(Event{Kind: KindFaultBegins, Name: "loss", Region: "us-east-1", Hits: []Subject{SubjectPayments}, Text: "with a bell \a"})
	event(Event{Kind: KindPlanBegins, Name: "activate", Region: "us-west-2"})
	event(Event{Kind: KindStepBegins, Name: "promote"})
	attempts(30, OutcomeFailed)
	now = now.Add(65 * time.Second)
	p.look(now)
	event(Event{Kind: KindStepEnds, Name: "promote", Result: ResultCompleted})
	event(Event{Kind: KindFaultEnds, Name: "loss"})
	must(recorder.Sample(Sample{At: now, Metric: MetricQueueAge, Region: "us-west-2", Value: 90}))
	attempts(3, OutcomeAcknowledged)
	now = now.Add(5 * time.Millisecond)
	p.look(now)
	return out.String()
}

func TestProgressInPlainLines(t *testing.T) {
	want := `SIMULATED: made up by a test
+0:00  phase: steady
+0:00  api.example.com leads to us-east-1
09:00:10 +0:10 | steady | 10/s | errors 0/s | DNS us-east-1 | replica us-west-2 400 ms
+0:00  fault begins: loss: with a bell ?
+0:00  plan begins: activate for us-west-2
+0:00  step begins: promote
09:01:15 +1:05 | steady | 0/s | errors 0.5/s | DNS us-east-1 | replica us-west-2 unknown | fault loss | step promote 1 min 5 s
+1:05  step ends: promote: completed
+1:05  fault ends: loss
09:01:15 +1:05 | steady | rate unknown | DNS us-east-1 | replica us-west-2 unknown | queue us-west-2 1 min 30 s
`
	if have := watched(t, false); have != want {
		t.Errorf("it is\n%s\nwant\n%s", have, want)
	}
}

func TestProgressOnATerminal(t *testing.T) {
	out := watched(t, true)
	const clear = "\r\x1b[2K"
	states := strings.Split(out, clear)
	if len(states) != 4 {
		t.Fatalf("it is %q", out)
	}
	for _, state := range states[1:] {
		lines := strings.Split(state, "\n")
		if last := []rune(lines[len(lines)-1]); len(last) > 59 || len(last) < 40 {
			t.Errorf("the line is %q", string(last))
		}
	}
	if strings.Contains(out, "\a") || strings.HasSuffix(out, "\n") {
		t.Errorf("it is %q", out)
	}
}
