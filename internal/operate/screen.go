package operate

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"
)

// colours are ANSI's.
const (
	bold   = "1"
	green  = "32"
	red    = "31"
	yellow = "33"
)

// screen writes lines for people.
type screen struct {
	*bufio.Writer
	colour bool
}

func (s screen) paint(colour, text string) string {
	text = printable(text)
	if !s.colour || text == "" {
		return text
	}
	return "\x1b[" + colour + "m" + text + "\x1b[0m"
}

func (s screen) line(head, format string, args ...any) {
	fmt.Fprintf(s, "%s%s%s\n", s.paint(bold, head), strings.Repeat(" ", max(12-len(head), 1)), fmt.Sprintf(format, args...))
}

// printable takes out of a text from elsewhere what would do something to a terminal.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, text)
}

// WriteText writes the status for people: one screen, about 120 wide, or as wide as the terminal has columns; 0 for no terminal.
func (s Status) WriteText(w io.Writer, colour bool, columns int) error {
	var page strings.Builder
	t := screen{bufio.NewWriter(&page), colour}
	fmt.Fprintf(t, "%s  %s UTC, asked in %.1fs\n\n", t.paint(bold, "payment-"+s.Environment), s.At.Format("2006-01-02 15:04:05"), s.Seconds)
	s.payments(t)
	s.ledger(t)
	s.plan(t)
	s.backups(t)
	s.alarms(t)
	s.list(t, red, "WRONG", s.Wrong)
	s.list(t, yellow, "NOT KNOWN", s.UnknownLines())
	s.roles(t)
	if len(s.Wrong)+len(s.Unknown) == 0 {
		fmt.Fprintf(t, "\n%s\n", t.paint(green, "Everything was asked, and nothing is wrong."))
	}
	t.Flush() // a builder takes everything
	if _, err := io.WriteString(w, wrap(page.String(), columns)); err != nil {
		return fmt.Errorf("write status: %w", err)
	}
	return nil
}

func (s Status) list(t screen, colour, head string, lines []string) {
	if len(lines) == 0 {
		return
	}
	fmt.Fprintf(t, "\n%s\n", t.paint(colour, head))
	for _, line := range lines {
		fmt.Fprintf(t, "  %s\n", printable(line))
	}
}

// roles says which role may ask what this one may not: each operator's role works in its own Region alone.
func (s Status) roles(t screen) {
	for _, r := range s.Regions {
		for _, q := range r.questions() {
			if p := q.problem; p != nil && p.Kind == KindDenied {
				fmt.Fprintf(t, "  The role that may ask %s is %s, and it may ask no other Region.\n", r.Region, OperatorRole(s.Environment, r.Region))
				break
			}
		}
	}
}

func (s Status) payments(t screen) {
	if said := s.Public.Said; said != nil {
		t.line("PAYMENTS", "go to %s, %d ms", t.paint(green, said.Region), said.Milliseconds)
	} else if p := s.Public.Problem; p.Kind == KindRefused {
		t.line("PAYMENTS", "%s", t.paint(red, "are not taken: the public name "+p.Text))
	} else {
		t.line("PAYMENTS", "%s", t.paint(red, "not known: "+p.Text))
	}
	for _, r := range s.Regions {
		can := ""
		if said := r.API.Said; said != nil {
			can = t.paint(green, "takes payments") + fmt.Sprintf(", %d ms", said.Milliseconds)
		} else {
			can = t.paint(red, r.API.Problem.Text)
		}
		t.line("", "%-14s %s%s", r.Region, can, s.chosen(r.Region))
	}
}

// chosen tells whether the plan has put payments to a Region, as its health checks say.
func (s Status) chosen(region string) string {
	for _, r := range s.Regions {
		if r.Plan.Said != nil && r.Plan.Said.Traffic[region] == "healthy" {
			return "; the plan's choice"
		}
	}
	return ""
}

func (s Status) ledger(t screen) {
	if s.Writer != "" {
		t.line("LEDGER", "is written in %s", t.paint(green, s.Writer))
	} else {
		t.line("LEDGER", "%s", t.paint(red, s.WriterDoubt))
	}
	for _, r := range s.Regions {
		if r.Database.Problem != nil {
			t.line("", "%-14s %s", r.Region, t.paint(yellow, "not known as seen from here: "+r.Database.Problem.Text))
			continue
		}
		t.line("", "%-14s %s", r.Region, printable(s.member(r)))
	}
	if s.Writer == "" {
		return
	}
	m := s.region(s.Writer).Metrics.Said
	if m == nil {
		t.line("", "%-14s %s", "queue", t.paint(yellow, "not known"))
		return
	}
	t.line("", "%-14s %s payments wait, the oldest for %s; %s given up", "queue", number(m.Waiting), seconds(m.OldestSeconds), number(m.DeadLetters))
	if r := m.Reconciliation; r == nil {
		t.line("", "%-14s %s", "reconciled", t.paint(yellow, "not for "+metricWindow.String()))
	} else {
		colour := green
		if !r.clean() {
			colour = red
		}
		t.line("", "%-14s %s ago: %s", "reconciled", short(s.At.Sub(r.At)), t.paint(colour, r.String()))
	}
	if gap, known := m.Gap(); gap > 0 {
		t.line("", "%-14s %s", "unreconciled", t.paint(red, "payments of the last "+short(gap)))
	} else if !known {
		t.line("", "%-14s %s", "unreconciled", t.paint(yellow, "not known"))
	}
}

// member is what is known of one Region's cluster, by its own Region's word.
func (s Status) member(r RegionStatus) string {
	for _, m := range r.Database.Said.Members {
		if m.Region != r.Region {
			continue
		}
		if m.Writer {
			return "writer, " + cmp.Or(moving(r.Database.Said.Moving), r.Database.Said.Status)
		}
		text := "reader, replication " + cmp.Or(m.Replication, "not told")
		if lag, known := s.Lag(r.Region); known {
			text += fmt.Sprintf(", %s behind (objective %dm)", lag.Round(time.Millisecond), s.RPOMinutes)
		} else {
			text += ", lag not known"
		}
		return text
	}
	return "its cluster is not in the global database"
}

func moving(status string) string {
	if status == "" {
		return ""
	}
	return "moving: " + status
}

func (s Status) plan(t screen) {
	var plan *Plan
	for _, r := range s.Regions {
		if plan = r.Plan.Said; plan != nil {
			break
		}
	}
	if plan == nil {
		t.line("PLAN", "%s", t.paint(yellow, "not known"))
		return
	}
	colour := green
	if plan.Evaluation != "passed" {
		colour = yellow
	}
	t.line("PLAN", "evaluation %s, %s ago", t.paint(colour, cmp.Or(plan.Evaluation, "not told")), short(s.At.Sub(plan.Evaluated)))
	running := s.Running()
	for _, e := range running {
		t.line("", "%s %s, %s to %s since %s ago: %s", t.paint(yellow, "execution "+e.ID), e.State, e.Mode, e.Region, short(s.At.Sub(e.Started)), printable(e.Comment))
	}
	if len(running) == 0 {
		t.line("", "no execution is running")
	}
}

func (s Status) alarms(t screen) {
	for i, r := range s.Regions {
		head := ""
		if i == 0 {
			head = "ALARMS"
		}
		if r.Alarms.Said == nil {
			t.line(head, "%-14s %s", r.Region, t.paint(yellow, "not known"))
			continue
		}
		var loud []string
		silent := 0
		for _, a := range *r.Alarms.Said {
			if a.Silent {
				silent++
				continue
			}
			loud = append(loud, a.Name)
		}
		text := t.paint(green, "none")
		if len(loud) > 0 {
			text = t.paint(red, strings.Join(loud, ", "))
		}
		if silent > 0 {
			text += fmt.Sprintf(" (and %d that are states and no faults)", silent)
		}
		t.line(head, "%-14s %s", r.Region, text)
	}
}

func number(v *Value) string {
	if v == nil {
		return "an unknown number of"
	}
	return fmt.Sprintf("%.0f", v.Value)
}

func seconds(v *Value) string {
	if v == nil {
		return "an unknown time"
	}
	return short(time.Duration(v.Value) * time.Second)
}

// short is a duration in its two largest units.
func short(d time.Duration) string {
	d = max(d.Round(time.Second), 0)
	switch {
	case d < time.Minute:
		return d.String()
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	case d >= 48*time.Hour:
		return strings.TrimSuffix(fmt.Sprintf("%dd%02dh", int(d.Hours())/24, int(d.Hours())%24), "00h")
	}
	return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
}
