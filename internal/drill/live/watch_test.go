package live

import (
	"strings"
	"testing"
	"time"

	"payments-dr/internal/drill"
)

// attempts makes recent attempts of a latency, one a second up to a moment; every so many-th fails.
func attempts(r *recent, count int, latency time.Duration, failing int, until time.Time) {
	for i := range count {
		ended := until.Add(-time.Duration(count-1-i) * time.Second)
		a := drill.Attempt{SentAt: ended.Add(-latency), EndedAt: ended, Outcome: drill.OutcomeAcknowledged}
		if failing > 0 && i%failing == 0 {
			a.Outcome, a.Reason = drill.OutcomeFailed, "503"
		}
		r.add(a)
	}
}

func TestSteadyState(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	want := SteadyState{Lasts: time.Minute, ErrorShare: 0.1, LatencyP99: time.Second}
	for _, one := range []struct {
		name    string
		count   int
		latency time.Duration
		failing int
		says    string
	}{
		{"well", 60, time.Second, 0, ""},
		{"a tenth fails, which is allowed", 60, time.Second, 10, ""},
		{"a fifth fails", 60, time.Second, 5, "20 % of the attempts within 1m0s failed, and 10 % may"},
		{"slow", 60, 1001 * time.Millisecond, 0, "99 % of the acknowledged attempts within 1m0s took up to 1.001s, and 1s is allowed"},
		{"silent", 20, time.Second, 0, "20 attempts ended within 1m0s, and 60 payments were due"},
		{"nothing", 0, 0, 0, "0 attempts ended within 1m0s, and 60 payments were due"},
	} {
		r := &recent{keep: time.Minute}
		attempts(r, one.count, one.latency, one.failing, now)
		if why := r.since(now.Add(-time.Minute)).unsteady(want, 1); why != one.says {
			t.Errorf("%s: %q, want %q", one.name, why, one.says)
		}
	}
}

func TestStopCondition(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	stop := StopConditions{ErrorShare: 0.5, Over: 30 * time.Second}
	r := &recent{keep: 30 * time.Second}
	attempts(r, 60, time.Second, 1, now.Add(-time.Minute)) // an outage that is over
	attempts(r, 60, time.Second, 3, now)
	if why := r.since(now.Add(-stop.Over)).outage(stop); why != "" {
		t.Errorf("a third fails: %s", why)
	}
	attempts(r, 30, time.Second, 2, now.Add(30*time.Second))
	if why := r.since(now.Add(time.Millisecond)).outage(stop); !strings.Contains(why, "within 30s failed, and 50 % end it") {
		t.Errorf("half fail: %q", why)
	}
	few := &recent{keep: 30 * time.Second}
	attempts(few, leastAttempts-1, time.Second, 1, now)
	if why := few.since(now.Add(-stop.Over)).outage(stop); why != "" {
		t.Errorf("too few to tell: %s", why)
	}
}

// What is kept is bounded, and reaches back as far as is asked.
func TestRecentForgets(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	r := &recent{keep: time.Minute}
	for i := range 20_000 {
		at := now.Add(time.Duration(i) * time.Second)
		r.add(drill.Attempt{SentAt: at, EndedAt: at, Outcome: drill.OutcomeAcknowledged})
		if i >= 60 {
			if s := r.since(at.Add(-59 * time.Second)); s.attempts != 60 {
				t.Fatalf("after %d attempts, %d of the last 60 are there", i, s.attempts)
			}
		}
	}
	if len(r.list) > 4096 {
		t.Errorf("%d attempts are kept", len(r.list))
	}
}
