package drill

import (
	"bufio"
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"time"

	"payments-dr/internal/payment/reconcile"
)

//go:embed report.html.tmpl
var htmlSource string

// The page has no script, and loads nothing: its policy says so to the browser.
var htmlTemplate = template.Must(template.New("report").Funcs(template.FuncMap{
	"title":    title,
	"meaning":  meaning,
	"spell":    func(s Seconds) string { return spell(s.Duration()) },
	"optional": optional,
	"count":    thousands,
	"counted":  optionalCount,
	"percent":  percent,
	"describe": describe,
	"due":      due,
	"tallies":  tallies,
	"class": func(s Status) string {
		return map[Status]string{StatusPass: "pass", StatusFail: "fail", StatusNotMeasured: "unmeasured"}[s]
	},
	"sign": func(s Status) string {
		return map[Status]string{StatusPass: "✓", StatusFail: "✗", StatusNotMeasured: "?"}[s]
	},
	"word":     Status.word,
	"since":    func(from, to time.Time) string { return spell(to.Sub(from)) },
	"day":      func(t time.Time) string { return t.UTC().Format(time.DateTime) },
	"clock":    clock,
	"subtract": func(a, b int) int { return a - b },
	"deref":    func(t *time.Time) time.Time { return *t },
	"rate":     func(f *float64) float64 { return *f },
	"sources":  func() any { return sources },
	"clean":    reconcile.Report.Clean,
	"bullet":   newBullet,
}).Parse(htmlSource))

// WriteHTML writes the report as one page that needs nothing else. The same report makes the same page.
func (r Report) WriteHTML(w io.Writer) error {
	var page bytes.Buffer
	cards := cards(r)
	data := struct {
		Report
		Verdict string
		Zone    string
		Origin  string
		Chart   *chart
		Cards   []card
		Sound   bool
		At      func(time.Time) string
	}{r, r.verdict(), r.Clock.zone(), r.originName(), newChart(r), cards, cards[len(cards)-1].Status == StatusPass, func(t time.Time) string { return offset(t, r.origin()) }}
	if err := htmlTemplate.Execute(&page, data); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	out := bufio.NewWriter(w)
	// What the template leaves of its own layout is cut off.
	for line := range bytes.Lines(page.Bytes()) {
		if line = bytes.TrimSpace(line); len(line) > 0 {
			_, _ = out.Write(line)
			_ = out.WriteByte('\n')
		}
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}

// card is a number that everybody looks for first.
type card struct {
	Label, Value, Sources, Note string
	Status                      Status
}

// cards are the times, and the payments that are not as they should be.
func cards(r Report) []card {
	var list []card
	for _, o := range r.Objectives {
		if o.Unit != UnitSeconds {
			continue
		}
		c := card{Label: title(o.Name), Status: o.Status, Value: string(o.Status), Sources: o.Sources(), Note: "no limit"}
		if o.Measured != nil {
			c.Value = o.Value(o.Measured)
		}
		if o.Limit != nil {
			c.Note = "limit " + o.Value(o.Limit)
		}
		list = append(list, c)
	}
	wrong := card{Label: "Payments at fault", Status: StatusPass, Value: optionalCount(r.Totals.AtFault)}
	wrong.Note = "lost, missing, doubled, different or unexplained, of " + thousands(r.Totals.Payments)
	of, unmeasured := r.unmeasuredLists()
	switch {
	case r.Totals.AtFault == nil:
		wrong.Status, wrong.Value = StatusNotMeasured, string(StatusNotMeasured)
	case *r.Totals.AtFault > 0:
		wrong.Status = StatusFail
	}
	if unmeasured > 0 {
		wrong.Note = fmt.Sprintf("%d of %d lists not measured", unmeasured, of)
	}
	return append(list, wrong)
}

// bullet is an objective drawn: its time, the limit, and what was calculated.
type bullet struct {
	Measured, Limit, Expected, Worst string
	Class, Title                     string
}

const bulletWidth = 168.0

// newBullet is nil for an objective that has no time and limit.
func newBullet(o Objective) *bullet {
	if o.Unit != UnitSeconds || o.Limit == nil {
		return nil
	}
	top := *o.Limit
	for _, v := range []*float64{o.Measured, o.Worst} {
		if v != nil {
			top = max(top, *v)
		}
	}
	place := func(v *float64) string {
		if v == nil {
			return ""
		}
		return px(2 + *v/top*(bulletWidth-8))
	}
	b := &bullet{Limit: place(o.Limit), Expected: place(o.Expected), Worst: place(o.Worst), Class: "pass"}
	if o.Measured != nil {
		b.Measured = px(max(1.5, *o.Measured/top*(bulletWidth-8)))
	}
	switch o.Status {
	case StatusFail:
		b.Class = "fail"
	case StatusNotMeasured:
		b.Class = "unmeasured"
	}
	b.Title = "limit " + o.Value(o.Limit)
	if o.Measured != nil {
		b.Title = o.Sources() + ", " + b.Title
	}
	if o.Worst != nil {
		b.Title += ", calculated: expected " + o.Value(o.Expected) + ", worst case " + o.Value(o.Worst)
	}
	return b
}
