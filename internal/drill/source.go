package drill

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Source is where a time comes from. Reports use these three words and no other.
type Source string

const (
	SourceAssumed    Source = "assumed"
	SourceCalculated Source = "calculated"
	SourceObserved   Source = "observed"
)

// sources are what the words mean, for every report.
var sources = []struct {
	Source  Source
	Meaning string
}{
	{SourceAssumed, "an input of the run, such as the time that people need to decide. The assumptions list each value and its source."},
	{SourceCalculated, "follows from values in the templates, such as a health check's interval or a DNS record's TTL. The simulation waits that long."},
	{SourceObserved, "everything else: what the run itself showed."},
}

// Delay is a span in which the run waited for a duration that it did not observe. A drill against a deployed platform has none.
type Delay struct {
	// What the run waited for, in a few words that the assumptions use, too.
	What string
	// From and To are by the run's clock. To is the planned end, not the later moment at which the machine noticed it.
	From, To time.Time
	// Source is SourceAssumed or SourceCalculated.
	Source Source
	// Of are the times that can contain it: NamePaymentsRTO, NameLedgerRTO, NameRPO, NameBacklog.
	Of []Name
	// AtMost: what the run waited for may come before To. Without it, a time that ends before To did not depend on the delay.
	AtMost bool
}

// Part is a share of a time, by where it comes from.
type Part struct {
	Source Source `json:"source"`
	// What is the delay's name; empty for what was observed.
	What    string  `json:"what,omitempty"`
	Seconds Seconds `json:"seconds"`
}

// stretch is a measured time. Both ends are nanoseconds of Unix time.
type stretch struct{ from, to int64 }

func (s stretch) length() time.Duration { return time.Duration(s.to - s.from) }

// longer is the longer of two; the first may be nil.
func (s *stretch) longer(than stretch) *stretch {
	if s == nil || than.length() > s.length() {
		return &than
	}
	return s
}

// parts divide a time among the delays that it went through; the remainder was observed. Where delays overlap, the one that
// began first counts, so that the parts add up to the time.
func (m *measure) parts(name Name, s stretch) []Part {
	var parts []Part
	at, rest := s.from, s.to-s.from
	for _, d := range m.delays {
		from, to := max(d.From.UnixNano(), at), min(d.To.UnixNano(), s.to)
		if !slices.Contains(d.Of, name) || to <= from || !d.AtMost && d.To.UnixNano() > s.to {
			continue
		}
		at, rest = to, rest-(to-from)
		known := slices.IndexFunc(parts, func(p Part) bool { return p.Source == d.Source && p.What == d.What })
		if known < 0 {
			known, parts = len(parts), append(parts, Part{Source: d.Source, What: d.What})
		}
		parts[known].Seconds += Seconds(to - from)
	}
	return append(parts, Part{Source: SourceObserved, Seconds: Seconds(rest)})
}

// Sources is a time by where it comes from: "assumed 7 min 50 s + observed 1.6 s". Empty for a count.
func (o Objective) Sources() string {
	var terms []string
	for _, s := range sources {
		sum, any := Seconds(0), false
		for _, p := range o.Parts {
			if p.Source == s.Source {
				sum, any = sum+p.Seconds, true
			}
		}
		if any {
			terms = append(terms, string(s.Source)+" "+spell(sum.Duration()))
		}
	}
	return strings.Join(terms, " + ")
}

// Detail names the delays of a time: "assumed: decision 4 min, approval 30 s; calculated: DNS TTL 60 s". Empty if it has none.
func (o Objective) Detail() string {
	var terms []string
	for _, s := range sources {
		var list []string
		for _, p := range o.Parts {
			if p.Source == s.Source && p.What != "" {
				list = append(list, p.What+" "+spell(p.Seconds.Duration()))
			}
		}
		if list != nil {
			terms = append(terms, string(s.Source)+": "+strings.Join(list, ", "))
		}
	}
	return strings.Join(terms, "; ")
}

// Clock says what the times of a run are.
type Clock struct {
	// Simulated: the run's clock begins at Started and passes Speed times as fast as the machine's. Otherwise its times are real, UTC.
	Simulated bool    `json:"simulated"`
	Speed     float64 `json:"speed,omitempty"`
	// Started is the real time of the run's beginning, UTC, and Took its real length. Zero: not known.
	Started time.Time `json:"startedUtc"`
	Took    Seconds   `json:"tookSeconds"`
}

// zone is how the run's times are labeled: " UTC" only if they are real.
func (c Clock) zone() string {
	if c.Simulated {
		return " (simulated)"
	}
	return " UTC"
}

// String says what the run's times are, in a sentence or two.
func (c Clock) String() string {
	real := "The real start is unknown."
	if !c.Started.IsZero() {
		real = fmt.Sprintf("The run began at %s UTC and took %s of real time.", c.Started.UTC().Format(time.DateTime), spell(c.Took.Duration()))
	}
	if !c.Simulated {
		return "Times are real, UTC. " + real
	}
	return fmt.Sprintf("Times are simulated: they begin at the real start and pass %s times as fast. Work that really runs here takes real time, so it counts %[1]s times as long. %s", trim(c.Speed, 2), real)
}

func sortDelays(list []Delay) {
	slices.SortStableFunc(list, func(a, b Delay) int { return cmp.Or(a.From.Compare(b.From), b.To.Compare(a.To)) })
}
