package drill_test

import (
	"fmt"
	"testing"
	"time"

	"payments-dr/internal/drill"
)

func TestPhases(t *testing.T) {
	w := newWorld(t)
	w.event(100, drill.Event{Kind: drill.KindPhase, Name: "steady"})
	w.event(200, drill.Event{Kind: drill.KindPhase, Name: "loss"})
	w.load(50, 100, 1, steady)
	n := 0
	w.load(100, 200, 1, func(float64) sending { n++; return sending{latency: float64(n) / 1000, recorded: float64(n)} })
	w.load(200, 300, 1, func(when float64) sending {
		switch {
		case when < 210:
			return lost("timeout", 3)
		case when < 215:
			return lost("503", 0.1)
		case when < 217:
			return sending{outcome: drill.OutcomeRefused, reason: "403"}
		}
		return sending{region: west}
	})
	r := w.measure()
	if len(r.Phases) != 3 {
		t.Fatalf("%d phases", len(r.Phases))
	}
	before, quiet, loss := r.Phases[0], r.Phases[1], r.Phases[2]
	if before.Name != "run" || before.Attempts != 50 || !before.To.Equal(at(100)) {
		t.Errorf("before: %+v", before)
	}
	// Nearest rank: of 1 to 100 ms, the 50th, 95th, 99th and last.
	for i, s := range []*drill.Seconds{quiet.Attempt.P50, quiet.Attempt.P95, quiet.Attempt.P99, quiet.Attempt.Max, quiet.Request.P95} {
		if ms := []int64{50, 95, 99, 100, 95}[i]; s == nil || s.Duration().Round(time.Microsecond).Milliseconds() != ms {
			t.Errorf("percentile %d is %v, want %d ms", i, s, ms)
		}
	}
	if quiet.Wait.Count != 100 || quiet.Wait.P50.Duration() != 50*time.Second || *quiet.ErrorRate != 0 {
		t.Errorf("the wait is %+v, the error rate %v", quiet.Wait, *quiet.ErrorRate)
	}
	if loss.Acknowledged != 83 || loss.Failed != 15 || loss.Refused != 2 || *loss.ErrorRate != 0.17 || loss.Requests != 100 ||
		fmt.Sprint(loss.Answered) != "[{us-west-2 83}]" || fmt.Sprint(loss.Reasons) != "[{timeout 10} {503 5} {403 2}]" {
		t.Errorf("loss: %+v", loss)
	}
}

func TestPhaseWithoutAttempts(t *testing.T) {
	w := newWorld(t)
	w.event(0, drill.Event{Kind: drill.KindPhase, Name: "nothing"})
	p := w.measure().Phases[0]
	if p.ErrorRate != nil || p.Attempt.P50 != nil || p.Wait.Max != nil {
		t.Errorf("it is %+v", p)
	}
}

func TestTimeline(t *testing.T) {
	w := newWorld(t)
	w.load(0, 100, 4, between(40, 60, lost("503", 1)))
	for i := range 10 {
		w.must(w.recorder.Sample(drill.Sample{At: at(50.05 + float64(i)/20), Metric: drill.MetricQueueDepth, Region: west, Value: float64(i)}))
	}
	line := w.measure().Timeline
	if line.Steps != 100 || line.Step.Duration() != time.Second || !line.From.Equal(at(0)) {
		t.Fatalf("%d steps of %v from %v", line.Steps, line.Step.Duration(), line.From)
	}
	if a := line.Answered[0]; a.Region != east || a.Points[10] != 4 || a.Points[45] != 0 || line.Errors[45] != 4 || line.Errors[10] != 0 {
		t.Errorf("answered %v, errors %v", a.Points, line.Errors)
	}
	if q := line.Sampled[0]; q.Metric != drill.MetricQueueDepth || q.Region != west || q.Points[50] != 9 || q.Points[51] == q.Points[51] {
		t.Errorf("sampled %+v", q)
	}
	if line.Wait[10] != 1 || line.Wait[45] == line.Wait[45] {
		t.Errorf("the wait is %v", line.Wait)
	}
	for length, step := range map[float64]time.Duration{300: time.Second, 900: 5 * time.Second, 3600: 10 * time.Second, 6000: 15 * time.Second, 86400: 5 * time.Minute} {
		w := newWorld(t)
		w.load(0, length, 0.01, steady)
		if line := w.measure().Timeline; line.Step.Duration() != step || line.Steps > 402 {
			t.Errorf("%v s in %d steps of %v", length, line.Steps, line.Step.Duration())
		}
	}
}
