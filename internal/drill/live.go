package drill

import (
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"golang.org/x/term"
)

// Progress shows a run while it goes on: each event as a line that stays, and under them one line with the state of things. On
// a terminal that line is written over each time; elsewhere it is a plain line now and then.
type Progress struct {
	// Writer is where it is shown. Its errors are ignored: a run does not fail because nobody can look.
	Writer io.Writer
	// Banner is the line that says what the run is. It is shown first.
	Banner string
	// Recorder is what is shown.
	Recorder *Recorder
	// Now is the run's clock.
	Now func() time.Time
	// Every is how often the state is shown, by the machine's clock; 0 is each second on a terminal, and every ten elsewhere.
	Every time.Duration

	mu               sync.Mutex // of what is written
	terminal, colour bool
	columns          func() int
	events           int       // shown
	counts           counts    // at the last look
	looked           time.Time // by the run's clock
	origin           time.Time // the first fault, or the first look
	faults           int
	phase            string
	leads            map[string]string // names to Regions
	names            []string          // in the order of appearance
	open             []Event           // faults, executions and steps that have begun and not ended
}

// stale is how old, by the run's clock, a sample may be before it is no longer shown as the state of things.
const stale = time.Minute

// Run shows the run until the context is done, and once more then.
func (p *Progress) Run(ctx context.Context) {
	p.terminal, p.colour = IsTerminal(p.Writer), Colour(p.Writer)
	if p.columns == nil {
		p.columns = func() int { return columns(p.Writer) }
	}
	every := p.Every
	if every == 0 {
		if every = 10 * time.Second; p.terminal {
			every = time.Second
		}
	}
	p.begin()
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			p.look(p.Now())
		case <-ctx.Done():
			p.look(p.Now())
			if p.terminal {
				p.write("\n")
			}
			return
		}
	}
}

func columns(w io.Writer) int {
	if file, ok := w.(*os.File); ok {
		if width, _, err := term.GetSize(int(file.Fd())); err == nil && width > 0 {
			return width
		}
	}
	return 80
}

func (p *Progress) begin() {
	p.leads = map[string]string{}
	p.looked = p.Now()
	p.origin = p.looked
	if p.Banner != "" {
		p.write(paint(p.colour, bold, printable(p.Banner)) + "\n")
	}
}

func (p *Progress) write(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, _ = io.WriteString(p.Writer, text)
}

// Write shows whole lines that somebody else has to say, above the state.
func (p *Progress) Write(lines []byte) (int, error) {
	clear := ""
	if IsTerminal(p.Writer) {
		clear = "\r\x1b[2K"
	}
	p.write(clear + string(lines))
	return len(lines), nil
}

// look shows what is new, and the state.
func (p *Progress) look(now time.Time) {
	p.Recorder.mu.Lock()
	events := p.Recorder.events[p.events:]
	counts := p.Recorder.counts
	latest := maps.Clone(p.Recorder.latest)
	regions := p.Recorder.regions.clone()
	p.Recorder.mu.Unlock()
	p.events += len(events)

	var out strings.Builder
	if p.terminal {
		out.WriteString("\r\x1b[2K")
	}
	for _, e := range events {
		p.follow(e)
		line := fmt.Sprintf("%s  %s", offset(e.At, p.origin), printable(describe(e)))
		if e.Kind == KindFaultBegins || e.Result == ResultFailed || e.Result == ResultAlarm || e.Result == ResultUnhealthy {
			line = paint(p.colour, red, line)
		}
		out.WriteString(line + "\n")
	}
	state := p.state(now, counts, latest, regions)
	if p.terminal {
		out.WriteString(clip(state, p.columns()-1))
	} else {
		out.WriteString(state + "\n")
	}
	p.counts, p.looked = counts, now
	p.write(out.String())
}

// follow keeps what the state needs of an event.
func (p *Progress) follow(e Event) {
	ends := func(begin Kind) {
		for i := len(p.open) - 1; i >= 0; i-- {
			if p.open[i].Kind == begin && p.open[i].Name == e.Name {
				p.open = append(p.open[:i], p.open[i+1:]...)
				return
			}
		}
	}
	switch e.Kind {
	case KindPhase:
		p.phase = e.Name
	case KindDNS:
		if _, known := p.leads[e.Name]; !known {
			p.names = append(p.names, e.Name)
		}
		p.leads[e.Name] = e.Region
	case KindFaultBegins:
		if p.faults++; p.faults == 1 {
			p.origin = e.At
		}
		p.open = append(p.open, e)
	case KindPlanBegins, KindStepBegins:
		p.open = append(p.open, e)
	case KindFaultEnds:
		ends(KindFaultBegins)
	case KindPlanEnds:
		ends(KindPlanBegins)
	case KindStepEnds:
		ends(KindStepBegins)
	}
}

// state is the line with the state of things.
func (p *Progress) state(now time.Time, counts counts, latest map[sampleKey]sample, regions names) string {
	parts := []string{now.UTC().Format("15:04:05") + " " + offset(now.Truncate(time.Second), p.origin.Truncate(time.Second))}
	if p.phase != "" {
		parts = append(parts, p.phase)
	}
	if elapsed := now.Sub(p.looked).Seconds(); elapsed >= 1 { // the last look may come a moment after the one before
		good := float64(counts.acknowledged-p.counts.acknowledged) / elapsed
		bad := float64(counts.refused+counts.failed-p.counts.refused-p.counts.failed) / elapsed
		parts = append(parts, trim(good, 1)+"/s", "errors "+trim(bad, 1)+"/s")
	} else {
		parts = append(parts, "rate unknown")
	}
	for _, name := range p.names {
		parts = append(parts, "DNS "+p.leads[name])
	}
	parts = appendSampled(parts, "replica", MetricReplicationLag, now, latest, regions)
	parts = appendSampled(parts, "queue", MetricQueueAge, now, latest, regions)
	for _, e := range p.open {
		switch e.Kind {
		case KindFaultBegins:
			parts = append(parts, "fault "+e.Name)
		case KindStepBegins:
			parts = append(parts, "step "+e.Name+" "+spell(now.Sub(e.At).Truncate(time.Second)))
		}
	}
	return printable(strings.Join(parts, " | "))
}

// appendSampled adds the newest sample of a metric in each Region. One that is stale is not the state of anything.
func appendSampled(parts []string, label string, metric Metric, now time.Time, latest map[sampleKey]sample, regions names) []string {
	for index, one := range metrics {
		if one != metric {
			continue
		}
		for region := range regions.list {
			s, ok := latest[sampleKey{uint8(index), uint8(region)}]
			if !ok {
				continue
			}
			value := spell(time.Duration(s.value * float64(time.Second)))
			if now.Sub(moment(s.at)) > stale {
				value = "unknown"
			}
			parts = append(parts, strings.TrimSpace(label+" "+regions.list[region])+" "+value)
		}
	}
	return parts
}

// clip is a text that fits a line.
func clip(text string, columns int) string {
	if utf8.RuneCountInString(text) <= columns {
		return text
	}
	return string([]rune(text)[:max(0, columns-1)]) + "…"
}

// describe is an event in a line.
func describe(e Event) string {
	with := func(text string, more ...string) string {
		for _, one := range more {
			if one != "" {
				text += ": " + one
			}
		}
		return text
	}
	in := func(word string) string { return within(e, word) }
	switch e.Kind {
	case KindPhase:
		return with("phase", e.Name, e.Text)
	case KindFaultBegins:
		return with("fault begins", e.Name, e.Text)
	case KindFaultEnds:
		return with("fault ends", e.Name, e.Text)
	case KindHealthCheck:
		return with("health check", in("in"), e.Result, e.Text)
	case KindDNS:
		return with(in("leads to"), e.Text)
	case KindPlanBegins:
		return with("plan begins", in("for"), e.Text)
	case KindPlanEnds:
		return with("plan ends", e.Name, e.Result, e.Text)
	case KindStepBegins:
		return with("step begins", e.Name, e.Text)
	case KindStepEnds:
		return with("step ends", e.Name, e.Result, e.Text)
	case KindPromotion:
		return with("promoted", e.Region, e.Text)
	case KindAlarm:
		return with("alarm", in("in"), e.Result, e.Text)
	}
	return with("note", e.Name, e.Text)
}

// within is an event's name with its Region, if the name does not say it.
func within(e Event, word string) string {
	if e.Region == "" || strings.Contains(e.Name, e.Region) {
		return e.Name
	}
	return strings.Join(strings.Fields(e.Name+" "+word+" "+e.Region), " ")
}
