package live

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"payments-dr/internal/drill"
)

// leastAttempts is how many attempts a share is told of: of fewer, one that fails says nothing.
const leastAttempts = 10

// recent are the attempts of the last while.
type recent struct {
	mu   sync.Mutex
	keep time.Duration
	list []drill.Attempt // by when they were told, which is about when they ended
}

func (r *recent) add(a drill.Attempt) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.list = append(r.list, a)
	if cut := a.EndedAt.Add(-2 * r.keep); len(r.list) > 1024 && r.list[len(r.list)/2].EndedAt.Before(cut) {
		r.list = slices.Delete(r.list, 0, len(r.list)/2)
	}
}

// seen is what a while looked like to clients.
type seen struct {
	attempts, failed int
	// p99 is the latency that 99 of 100 acknowledged attempts did not exceed; 0 if none was.
	p99 time.Duration
}

// since looks at the attempts that ended at a moment or later.
func (r *recent) since(from time.Time) seen {
	r.mu.Lock()
	defer r.mu.Unlock()
	var s seen
	var latencies []time.Duration
	for _, a := range r.list {
		if a.EndedAt.Before(from) {
			continue
		}
		s.attempts++
		if a.Outcome == drill.OutcomeAcknowledged {
			latencies = append(latencies, a.EndedAt.Sub(a.SentAt))
		} else {
			s.failed++
		}
	}
	if len(latencies) > 0 {
		slices.Sort(latencies)
		s.p99 = latencies[(99*len(latencies)+99)/100-1]
	}
	return s
}

func (s seen) share() float64 {
	if s.attempts == 0 {
		return 0
	}
	return float64(s.failed) / float64(s.attempts)
}

// unsteady is why a while was not the steady state; empty: it was.
func (s seen) unsteady(want SteadyState, rate float64) string {
	due := rate * want.Lasts.Seconds()
	switch {
	case float64(s.attempts) < due/2:
		return fmt.Sprintf("%d attempts ended within %s, and %.0f payments were due", s.attempts, want.Lasts, due)
	case s.share() > want.ErrorShare:
		return fmt.Sprintf("%s of the attempts within %s failed, and %s may", percent(s.share()), want.Lasts, percent(want.ErrorShare))
	case s.p99 == 0 || s.p99 > want.LatencyP99:
		return fmt.Sprintf("99 %% of the acknowledged attempts within %s took up to %s, and %s is allowed", want.Lasts, s.p99.Round(time.Millisecond), want.LatencyP99)
	}
	return ""
}

// outage is why a drill ends over its stop condition; empty: it goes on.
func (s seen) outage(stop StopConditions) string {
	if s.attempts >= leastAttempts && s.share() >= stop.ErrorShare {
		return fmt.Sprintf("%s of the attempts within %s failed, and %s end it", percent(s.share()), stop.Over, percent(stop.ErrorShare))
	}
	return ""
}

func percent(share float64) string { return fmt.Sprintf("%.3g %%", 100*share) }
