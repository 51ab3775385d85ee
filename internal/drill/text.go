package drill

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/term"
)

// IsTerminal reports whether a writer is a terminal that understands colours and a cursor.
func IsTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	return ok && os.Getenv("TERM") != "dumb" && term.IsTerminal(int(file.Fd()))
}

// Colour reports whether colours are wanted on a writer: it is a terminal, and NO_COLOR is not set (no-color.org).
func Colour(w io.Writer) bool { return IsTerminal(w) && os.Getenv("NO_COLOR") == "" }

// maxTextExamples is how many payments of one fault the text shows. JSON and HTML have more, and also those that are no fault.
const maxTextExamples = 5

// WriteText writes the report for people, as plain lines, about 130 wide. Colours are ANSI's.
func (r Report) WriteText(w io.Writer, colour bool) error {
	t := &textReport{Writer: bufio.NewWriter(w), colour: colour, origin: r.origin()}
	t.write(r)
	if err := t.Flush(); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}

// origin is the moment that times are told from: the first fault, or the beginning.
func (r Report) origin() time.Time {
	if len(r.Faults) > 0 {
		return r.Faults[0].Begins
	}
	return r.From
}

type textReport struct {
	*bufio.Writer
	colour bool
	origin time.Time
}

func (t *textReport) write(r Report) {
	t.line("%s", t.paint(bold, printable(r.Banner)))
	t.line("")
	t.line("%s", t.paint(bold, printable(r.Title)))
	t.line("%s to %s%s, %s. Times below count from %s.", r.From.UTC().Format(time.DateTime), r.To.UTC().Format(time.TimeOnly), r.Clock.zone(),
		spell(r.To.Sub(r.From)), printable(r.originName()))
	t.line("%s", r.Clock)
	t.line("")
	t.line("%s  %s", t.paint(colours[r.Status.word()], r.Status.word()), t.paint(bold, r.verdict()))
	t.line("")
	t.list("BROKEN", r.Broken)
	t.objectives(r)
	t.list("NOTES ON THE NUMBERS", r.Remarks)
	t.faults(r)
	t.phases(r.Phases)
	t.clients(r.Clients)
	t.findings(r.Findings)
	t.reconciliations(r)
	totals := r.Totals
	t.line("%s requests: %s acknowledged (%s replayed), %s refused, %s failed. %s attempts, %s not acknowledged. Table %s, ledger %s.",
		thousands(totals.Requests), thousands(totals.Acknowledged), thousands(totals.Replayed), thousands(totals.Refused), thousands(totals.Failed),
		thousands(totals.Attempts), thousands(totals.FailedAttempts), orNotRead(totals.Table), orNotRead(totals.Ledger))
	if len(r.NotModeled) > 0 {
		t.line("")
		t.line("%s", t.paint(faint, "NOT MODELED"))
		t.wrapped(r.NotModeled)
	}
	rows := [][]string{{"MADE WITH", ""}}
	for _, f := range r.Provenance {
		rows = append(rows, []string{f.Name, f.String()})
	}
	if len(rows) > 1 {
		t.line("")
		t.table(rows)
	}
}

// originName says what times count from.
func (r Report) originName() string {
	if len(r.Faults) > 0 {
		return fmt.Sprintf("the first fault, %s, at %s%s", r.Faults[0].Name, r.origin().UTC().Format(time.TimeOnly), r.Clock.zone())
	}
	return "the beginning"
}

func orNotRead(n *int) string {
	if n == nil {
		return "not read"
	}
	return thousands(*n)
}

func (t *textReport) objectives(r Report) {
	rows := [][]string{{"OBJECTIVE", "TOTAL", "LIMIT", "MARGIN", "EXPECTED", "WORST CASE", "RESULT"}}
	for _, o := range r.Objectives {
		measured := o.Value(o.Measured)
		if o.Measured == nil {
			measured = "–"
		}
		rows = append(rows, []string{title(o.Name), measured, o.Value(o.Limit), o.Value(o.Margin), o.Value(o.Expected), o.Value(o.Worst), o.Status.word()})
	}
	t.table(rows, 1, 2, 3, 4, 5)
	t.line("Expected and worst case are calculated from the templates.")
	t.line("")
	rows = [][]string{{"WHERE THE TIMES COME FROM", "", ""}}
	for _, o := range r.Objectives {
		if o.Measured != nil && o.Parts != nil {
			rows = append(rows, []string{title(o.Name), o.Sources(), o.Detail()})
		}
	}
	if len(rows) > 1 {
		t.table(rows)
		for _, s := range sources {
			t.line("  %s: %s", s.Source, s.Meaning)
		}
		t.line("")
	}
	var reasons []string
	for _, o := range r.Objectives {
		if o.Reason != "" {
			reasons = append(reasons, title(o.Name)+": "+o.Reason)
		}
	}
	t.list("REASONS", reasons)
}

func (t *textReport) list(heading string, lines []string) {
	if len(lines) == 0 {
		return
	}
	t.line("%s", t.paint(bold, heading))
	for _, line := range lines {
		t.line("  - %s", printable(line))
	}
	t.line("")
}

// wrapped writes a list with commas, in lines of up to 120 characters.
func (t *textReport) wrapped(list []string) {
	line := ""
	for i, item := range list {
		if item = printable(item); i+1 < len(list) {
			item += ","
		}
		if line != "" && utf8.RuneCountInString(line+item) > 118 {
			t.line(" %s", line)
			line = ""
		}
		line += " " + item
	}
	t.line(" %s", line)
}

func (t *textReport) faults(r Report) {
	rows := [][]string{{"FAULT", "REGION", "BEGINS", "ENDS", "FIRST FAILURE", "PAYMENTS BACK", "AFTER", "LEDGER BACK", "AFTER"}}
	for _, f := range r.Faults {
		rows = append(rows, []string{f.Name, f.Region, t.at(&f.Begins), t.at(f.Ends), t.at(f.FirstFailure), t.at(f.PaymentsBack), optional(f.PaymentsRTO), t.at(f.LedgerBack), optional(f.LedgerRTO)})
		for _, note := range f.Notes {
			rows = append(rows, []string{"  " + note})
		}
	}
	t.tableIf(rows)
	rows = [][]string{{"INTERRUPTION OF PAYMENTS", "FIRST FAILURE", "UNTIL", "LENGTH", "FAILED ATTEMPTS"}}
	for _, i := range r.Interruptions {
		until := t.at(i.To)
		if i.To == nil {
			until = "not seen to end"
		}
		rows = append(rows, []string{due(i), t.at(&i.FirstFailure), until, spell(i.Length.Duration()), thousands(i.FailedAttempts)})
	}
	t.tableIf(rows, 3, 4)
	rows = [][]string{{"PROMOTION OF", "AT", "AFTER", "RPO", "BACKLOG", "PAYMENTS", "WAITING", "AT THE END", "PAYMENTS"}}
	for _, p := range r.Promotions {
		rows = append(rows, []string{p.Region, t.at(&p.At), cmp.Or(p.Fault, "planned"), optional(p.RPO), optional(p.Backlog), optionalCount(p.Late), optionalCount(p.Waiting), optional(p.FinalBehind), optionalCount(p.FinalLate)})
		for _, note := range p.Notes {
			rows = append(rows, []string{"  " + note})
		}
	}
	t.tableIf(rows, 3, 4, 5, 6, 7, 8)
}

func due(i Interruption) string {
	if i.Fault == "" {
		return "no fault"
	}
	return i.Fault
}

func (t *textReport) phases(phases []Phase) {
	rows := [][]string{{"PHASE", "FROM", "LENGTH", "ATTEMPTS", "ERRORS", "RATE", "P50", "P95", "P99", "MAX", "CLIENT P99", "TO LEDGER P50", "MAX", "ANSWERED BY"}}
	for _, p := range phases {
		errs, rate := "–", "–"
		if p.ErrorRate != nil {
			errs, rate = thousands(p.Attempts-p.Acknowledged), percent(*p.ErrorRate)
		}
		rows = append(rows, []string{
			p.Name, t.at(&p.From), spell(p.To.Sub(p.From)), thousands(p.Attempts), errs, rate,
			optional(p.Attempt.P50), optional(p.Attempt.P95), optional(p.Attempt.P99), optional(p.Attempt.Max), optional(p.Request.P99),
			optional(p.Wait.P50), optional(p.Wait.Max), tallies(p.Answered),
		})
	}
	t.tableIf(rows, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12)
}

func tallies(list []Count) string {
	var parts []string
	for _, c := range list {
		parts = append(parts, c.Name+" "+thousands(c.Count))
	}
	return strings.Join(parts, ", ")
}

func (t *textReport) findings(all []Findings) {
	for _, f := range all {
		t.line("%s: %s. %s", t.paint(bold, title(f.Name)), thousands(f.Count), meaning(f.Name, SustainedRule{}))
		if f.Name == NameLate || f.Name == NameExplained {
			continue
		}
		for _, one := range f.Examples[:min(len(f.Examples), maxTextExamples)] {
			t.line("  %s / %s: %s; table: %s; ledger: %s", printable(one.SessionID), printable(one.TransactionID), printable(sentAs(one)),
				orNothing(one.Table), orNothing(one.Ledger))
		}
		if f.Count > maxTextExamples {
			t.line("  … and %s more", thousands(f.Count-maxTextExamples))
		}
	}
	if len(all) > 0 {
		t.line("")
	}
}

func sentAs(f Finding) string {
	if f.Sent == "" {
		return f.Outcome
	}
	return f.Outcome + ", sent " + f.Sent + " at " + f.SentAt.UTC().Format("15:04:05.000")
}

func orNothing(s string) string {
	if s == "" {
		return "nothing"
	}
	return printable(s)
}

func (t *textReport) reconciliations(r Report) {
	rows := [][]string{{"RECONCILIATION", "TABLE", "LEDGER BEFORE", "MISSING", "REPAIRED", "CONFLICTING", "UNACCOUNTED", "LEDGER", "CLEAN"}}
	for _, c := range r.Reconciliations {
		n := c.Counts
		clean := "no"
		if c.Clean() {
			clean = "yes"
		}
		rows = append(rows, []string{c.From.UTC().Format("15:04:05") + " to " + c.To.UTC().Format("15:04:05"), thousands(n.Table), thousands(n.LedgerBefore),
			thousands(n.Missing), thousands(n.Repaired), thousands(n.Conflicting), thousands(n.Unaccounted), thousands(n.Ledger), clean})
	}
	t.tableIf(rows, 1, 2, 3, 4, 5, 6, 7)
}

func (t *textReport) at(when *time.Time) string {
	if when == nil {
		return "–"
	}
	return offset(*when, t.origin)
}

// offset is a moment as it stands to another: +1:05.3, -0:10, +1:00:00.
func offset(t, origin time.Time) string {
	d, sign := t.Sub(origin).Round(100*time.Millisecond), "+"
	if d < 0 {
		d, sign = -d, "-"
	}
	text := fmt.Sprintf("%d:%02d", int(d.Minutes())%60, int(d.Seconds())%60)
	if d >= time.Hour {
		text = fmt.Sprintf("%d:%02d:%02d", int(d.Hours()), int(d.Minutes())%60, int(d.Seconds())%60)
	}
	if tenths := int(d/(100*time.Millisecond)) % 10; tenths != 0 {
		text += fmt.Sprintf(".%d", tenths)
	}
	return sign + text
}

// line writes one. What fails is told by Flush.
func (t *textReport) line(format string, arguments ...any) {
	if len(arguments) == 0 {
		_, _ = t.WriteString(format)
	} else {
		fmt.Fprintf(t, format, arguments...)
	}
	_ = t.WriteByte('\n')
}

func (t *textReport) tableIf(rows [][]string, right ...int) {
	if len(rows) > 1 {
		t.table(rows, right...)
		t.line("")
	}
}

// table aligns columns; those named, to the right. A row of one cell goes over all.
func (t *textReport) table(rows [][]string, right ...int) {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			if len(row) > 1 {
				row[i] = printable(cell)
				widths[i] = max(widths[i], utf8.RuneCountInString(row[i]))
			}
		}
	}
	for number, row := range rows {
		if len(row) == 1 {
			t.line("%s", printable(row[0]))
			continue
		}
		var line strings.Builder
		for i, cell := range row {
			gap := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			if number == 0 {
				cell = t.paint(faint, cell)
			} else {
				cell = t.paint(colours[cell], cell)
			}
			if slices.Contains(right, i) {
				line.WriteString(gap + cell)
			} else {
				line.WriteString(cell + gap)
			}
			line.WriteString("  ")
		}
		t.line("%s", strings.TrimRight(line.String(), " "))
	}
}

// The few of ANSI's codes that are used.
const (
	bold   = "1"
	faint  = "2"
	red    = "1;31"
	green  = "1;32"
	yellow = "1;33"
)

func (t *textReport) paint(code, text string) string { return paint(t.colour, code, text) }

func paint(colour bool, code, text string) string {
	if !colour || code == "" || text == "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

// colours are those of the words that judge.
var colours = map[string]string{StatusPass.word(): green, StatusFail.word(): red, StatusNotMeasured.word(): yellow}

// printable is a text that does nothing to a terminal: names and reasons come from elsewhere.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, text)
}
