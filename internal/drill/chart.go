package drill

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The chart's measures, in units of its view box.
const (
	chartWidth  = 1200.0
	gutter      = 196.0 // what lanes and panels are called, and the panels' axes
	plotRight   = chartWidth - 14
	laneHeight  = 22.0
	barHeight   = 16.0
	panelHeight = 84.0
	panelStrip  = 20.0 // above a panel, for the spans that are measured
	panelGap    = 12.0
	axisHeight  = 24.0
	digitWidth  = 6.3 // of the small letters, about
	laneLetters = 29  // in the gutter
)

// chart is the timeline as the template draws it. All coordinates are texts already.
type chart struct {
	Width, Height        string
	Left, Right          string
	PanelsTop, PanelsEnd string
	PanelsHeight         string
	PlotWidth            string
	Ticks                []tick
	AxisY                []string // where the axis is written
	Bands                []band   // faults, over everything
	Borders              []string // phases begin
	Marks                []line   // promotions
	Lanes                []lane
	Panels               []panel
	Hits                 []hit
	Legend               []legend
}

type tick struct{ X, Text string }

type band struct{ X, Width, Y, Height, Title string }

type line struct{ X, Title string }

// lane is a row of bars.
type lane struct {
	Name, Short, Y, Middle string
	Indent                 bool
	Bars                   []bar
	Signs                  []sign
}

type bar struct {
	X, Width, Y, Height, Class, Title string
	// Text is written in the bar, or after it if it does not fit in.
	Text, TextX, TextClass string
}

// sign is a moment in a lane.
type sign struct{ Points, Class, Title string }

// panel is a graph.
type panel struct {
	Name, Unit     string
	Y, End, Middle string
	UnitY          string
	Ticks          []yTick
	Areas, Lines   []path
	Spans          []measured
	Limit          *limitLine
}

type yTick struct{ Y, TextY, Text string }

type path struct{ Class, D string }

// measured is a span with its length, written above a panel.
type measured struct{ X1, X2, Y, Up, Down, TextX, TextY, Anchor, Text string }

type limitLine struct{ Y, TextY, Text string }

// hit is where the pointer finds out what a step was like.
type hit struct{ X, Width, Title string }

type legend struct{ Class, Text string }

// plotter turns a report into a chart.
type plotter struct {
	report   Report
	from, to time.Time
	origin   time.Time
	regions  []string
	chart    chart
	y        float64
}

func newChart(r Report) *chart {
	t := r.Timeline
	if t.Steps == 0 || !r.From.Before(r.To) {
		return nil
	}
	p := &plotter{report: r, from: r.From, to: r.To, origin: r.origin()}
	p.chart = chart{
		Width: px(chartWidth), Left: px(gutter), Right: px(plotRight), PlotWidth: px(plotRight - gutter),
	}
	p.findRegions()
	p.chart.AxisY = append(p.chart.AxisY, px(axisHeight-9))
	p.y = axisHeight
	p.drawLanes()
	p.y += panelGap
	top := p.y
	p.drawPanels()
	p.chart.PanelsTop, p.chart.PanelsEnd, p.chart.PanelsHeight = px(top), px(p.y), px(p.y-top)
	p.chart.AxisY = append(p.chart.AxisY, px(p.y+15))
	p.drawAxis()
	p.drawBands()
	p.drawHits()
	p.chart.Height = px(p.y + axisHeight)
	return &p.chart
}

// px writes a coordinate.
func px(v float64) string {
	return strings.TrimSuffix(strconv.FormatFloat(math.Round(v*10)/10, 'f', 1, 64), ".0")
}

// x is a moment's place.
func (p *plotter) x(t time.Time) float64 {
	share := float64(t.Sub(p.from)) / float64(p.to.Sub(p.from))
	return gutter + min(max(share, 0), 1)*(plotRight-gutter)
}

// findRegions gives each Region its colour: in the order of their names, wherever they appear.
func (p *plotter) findRegions() {
	add := func(region string) {
		if region != "" && !slices.Contains(p.regions, region) {
			p.regions = append(p.regions, region)
		}
	}
	for _, s := range p.report.Timeline.Answered {
		add(s.Region)
	}
	for _, s := range p.report.Timeline.Sampled {
		add(s.Region)
	}
	for _, e := range p.report.Events {
		add(e.Region)
	}
	slices.Sort(p.regions)
	for i, region := range p.regions {
		p.chart.Legend = append(p.chart.Legend, legend{regionClass(i), region})
	}
}

// regionColours is how many colours there are for Regions.
const regionColours = 4

func regionClass(i int) string { return "r" + strconv.Itoa(i%regionColours) }

func (p *plotter) classOf(region string) string {
	if i := slices.Index(p.regions, region); i >= 0 {
		return regionClass(i)
	}
	return "none"
}

// during is the time from a moment to another as the chart tells it.
func (p *plotter) during(from, to time.Time, open bool) string {
	text := offset(from, p.origin) + " to " + offset(to, p.origin) + " (" + spell(to.Sub(from)) + ")"
	if open {
		return offset(from, p.origin) + " to the end of the run"
	}
	return text
}

// lane adds one.
func (p *plotter) lane(name string) *lane {
	p.chart.Lanes = append(p.chart.Lanes, lane{Name: name, Short: clip(name, laneLetters), Y: px(p.y), Middle: px(p.y + laneHeight/2 + 4)})
	p.y += laneHeight
	return &p.chart.Lanes[len(p.chart.Lanes)-1]
}

// bar adds one to the last lane. text is written in it, else after it if that is wanted.
func (p *plotter) bar(l *lane, from, to time.Time, class, text, title string, after bool) {
	x1, x2 := p.x(from), p.x(to)
	wide := max(x2-x1, 2)
	y := p.y - laneHeight + (laneHeight-barHeight)/2
	b := bar{X: px(x1), Width: px(wide), Y: px(y), Height: px(barHeight), Class: class, Title: title}
	room := int((wide - 8) / digitWidth)
	switch {
	case len([]rune(text)) <= room:
		b.Text, b.TextX, b.TextClass = text, px(x1+5), "in"
	case after && x2+float64(len([]rune(text)))*digitWidth+8 < plotRight:
		b.Text, b.TextX, b.TextClass = text, px(x1+wide+5), "by"
	case room >= 4:
		b.Text, b.TextX, b.TextClass = clip(text, room), px(x1+5), "in"
	}
	l.Bars = append(l.Bars, b)
}

// group is the events of some kinds by what they are of, in the order in which that appears.
func (p *plotter) group(of func(Event) string, kinds ...Kind) (names []string, events map[string][]Event) {
	events = map[string][]Event{}
	for _, e := range p.report.Events {
		if !slices.Contains(kinds, e.Kind) {
			continue
		}
		name := of(e)
		if _, known := events[name]; !known {
			names = append(names, name)
		}
		events[name] = append(events[name], e)
	}
	return names, events
}

func byName(e Event) string { return e.Name }

// byCheck is a health check with its Region: each Region has one of the same name.
func byCheck(e Event) string { return within(e, "") }

// drawLanes draws what happened: phases, faults, health, names and the plan.
func (p *plotter) drawLanes() {
	l := p.lane("Phases")
	for i, phase := range p.report.Phases {
		p.bar(l, phase.From, phase.To, "phase"+strconv.Itoa(i%2), phase.Name, phase.Name+"\n"+p.during(phase.From, phase.To, false), false)
	}
	for _, f := range p.report.Faults {
		end, open := p.to, f.Ends == nil
		if !open {
			end = *f.Ends
		}
		l = p.lane("Fault")
		p.bar(l, f.Begins, end, "fault", f.Name, f.Name+"\n"+p.during(f.Begins, end, open), true)
	}
	p.states("Health: ", KindHealthCheck, byCheck, func(e Event) (class, text string) {
		switch e.Result {
		case ResultHealthy:
			return "healthy", ""
		case ResultUnhealthy:
			return "unhealthy", e.Result
		}
		return "other", e.Result
	})
	p.states("DNS: ", KindDNS, byName, func(e Event) (class, text string) { return p.classOf(e.Region), e.Region })
	p.spans("Plan: ", false, KindPlanBegins, KindPlanEnds)
	p.spans("", true, KindStepBegins, KindStepEnds)
	p.signs()
}

// states draws a lane for each name, whose bars last from an event to the next.
func (p *plotter) states(label string, kind Kind, by func(Event) string, look func(Event) (class, text string)) {
	names, of := p.group(by, kind)
	for _, name := range names {
		l := p.lane(label + name)
		for i, e := range of[name] {
			end := p.to
			if i+1 < len(of[name]) {
				end = of[name][i+1].At
			}
			class, text := look(e)
			p.bar(l, e.At, end, class, text, describe(e)+"\n"+p.during(e.At, end, i+1 == len(of[name])), false)
		}
	}
}

// spans draws a lane for each name, with a bar from each beginning to its end.
func (p *plotter) spans(label string, indent bool, begins, ends Kind) {
	names, of := p.group(byName, begins, ends)
	for _, name := range names {
		l := p.lane(label + name)
		l.Indent = indent
		var open *Event
		for i, e := range of[name] {
			if e.Kind == begins {
				if open != nil {
					p.span(l, *open, nil)
				}
				open = &of[name][i]
				continue
			}
			if open == nil {
				continue // an end of what has not begun is in the list of events
			}
			p.span(l, *open, &of[name][i])
			open = nil
		}
		if open != nil {
			p.span(l, *open, nil)
		}
	}
}

func (p *plotter) span(l *lane, begin Event, end *Event) {
	if end == nil {
		p.bar(l, begin.At, p.to, "step open", "not seen to end", describe(begin)+"\nnot seen to end", true)
		return
	}
	class := "step"
	switch end.Result {
	case ResultFailed:
		class = "step failed"
	case ResultSkipped:
		class = "step skipped"
	}
	text := spell(end.At.Sub(begin.At))
	switch end.Result {
	case "", ResultCompleted:
	case ResultSkipped:
		text = end.Result
	default:
		text = end.Result + ", " + text
	}
	title := describe(begin) + "\n" + p.during(begin.At, end.At, false)
	if end.Result != "" || end.Text != "" {
		title += "\n" + strings.TrimSpace(end.Result+" "+end.Text)
	}
	p.bar(l, begin.At, end.At, class, text, title, true)
}

// signs draws promotions, alarms and notes as moments.
func (p *plotter) signs() {
	var l *lane
	for _, e := range p.report.Events {
		class := map[Kind]string{KindPromotion: "promotion", KindAlarm: "alarm", KindNote: "noted"}[e.Kind]
		if class == "" {
			continue
		}
		if e.Kind == KindAlarm && e.Result != ResultAlarm {
			class = "noted"
		}
		if l == nil {
			l = p.lane("Promotions, alarms, notes")
		}
		x, y := p.x(e.At), p.y-laneHeight/2
		points := [][2]float64{{x, y - 6}, {x + 6, y}, {x, y + 6}, {x - 6, y}}
		if class == "alarm" {
			points = [][2]float64{{x, y - 6}, {x + 6, y + 5}, {x - 6, y + 5}}
		}
		var text []string
		for _, point := range points {
			text = append(text, px(point[0])+","+px(point[1]))
		}
		title := offset(e.At, p.origin) + " " + describe(e)
		l.Signs = append(l.Signs, sign{strings.Join(text, " "), class, title})
		if e.Kind == KindPromotion {
			p.chart.Marks = append(p.chart.Marks, line{px(x), title})
		}
	}
}

// drawPanels draws the graphs that there are numbers for.
func (p *plotter) drawPanels() {
	t := p.report.Timeline
	offered := p.sampled(MetricOfferedRate)
	top := highest(nil, offered)
	sum := make(Points, t.Steps)
	for _, s := range t.Answered {
		for i, v := range s.Points {
			sum[i] += v
			top = max(top, sum[i])
		}
	}
	g := p.panel("Payments", "acknowledged a second", top, trimmed)
	base := make(Points, t.Steps)
	for _, s := range t.Answered {
		upper := make(Points, t.Steps)
		for i, v := range s.Points {
			upper[i] = base[i] + v
		}
		g.Areas = append(g.Areas, path{"area " + p.classOf(s.Region), p.area(base, upper, g.scale)})
		base = upper
	}
	for _, s := range offered {
		g.Lines = append(g.Lines, path{"line offered", p.held(s.Points, g.scale)})
	}
	for _, f := range p.report.Faults {
		p.measure(g, f.Begins, f.PaymentsBack, "payments back after ")
	}
	p.endPanel(g)

	g = p.panel("Errors", "attempts a second", highest(t.Errors, nil), trimmed)
	g.Areas = append(g.Areas, path{"area errors", p.area(make(Points, t.Steps), t.Errors, g.scale)})
	p.endPanel(g)

	if !empties(t.Wait) {
		g = p.panel("Wait for the ledger", "of payments accepted then", highest(t.Wait, nil), spelled)
		g.Lines = append(g.Lines, path{"line wait", p.curve(t.Wait, g.scale)})
		for _, f := range p.report.Faults {
			p.measure(g, f.Begins, f.LedgerBack, "ledger back after ")
		}
		for _, o := range p.report.Objectives {
			label := map[Name]string{NameRPO: "RPO ", NameBacklog: "backlog "}[o.Name]
			if label != "" && o.Measured != nil && o.Limit != nil && *o.Limit <= g.top && g.Limit == nil {
				y := g.scale(*o.Limit)
				g.Limit = &limitLine{px(y), px(y - 3), label + o.Value(o.Limit)}
			}
		}
		p.endPanel(g)
	}
	for _, one := range []struct {
		metric     Metric
		name, unit string
		write      func(float64) string
	}{
		{MetricReplicationLag, "Replication lag", "of the standby database", spelled},
		{MetricReplicationRows, "Replication lag", "in rows", trimmed},
		{MetricQueueDepth, "Ledger queue", "messages", trimmed},
		{MetricQueueAge, "Ledger queue", "age of the oldest message", spelled},
	} {
		list := p.sampled(one.metric)
		if len(list) == 0 {
			continue
		}
		g = p.panel(one.name, one.unit, highest(nil, list), one.write)
		for _, s := range list {
			g.Lines = append(g.Lines, path{"line " + p.classOf(s.Region), p.curve(s.Points, g.scale)})
		}
		p.endPanel(g)
	}
}

func (p *plotter) sampled(metric Metric) []Series {
	var list []Series
	for _, s := range p.report.Timeline.Sampled {
		if s.Metric == metric {
			list = append(list, s)
		}
	}
	return list
}

func empties(points Points) bool {
	return !slices.ContainsFunc(points, func(v float64) bool { return !math.IsNaN(v) })
}

func highest(points Points, series []Series) float64 {
	top := 0.0
	for _, v := range points {
		if !math.IsNaN(v) {
			top = max(top, v)
		}
	}
	for _, s := range series {
		top = max(top, highest(s.Points, nil))
	}
	return top
}

func trimmed(v float64) string {
	if v >= 1000 {
		return thousands(int(math.Round(v)))
	}
	return trim(v, 2)
}

func spelled(seconds float64) string { return spell(time.Duration(seconds * float64(time.Second))) }

// graph is a panel being drawn.
type graph struct {
	panel
	top, y float64
}

// scale is a value's place.
func (g *graph) scale(v float64) float64 { return g.y + panelHeight - v/g.top*panelHeight }

func (p *plotter) panel(name, unit string, highest float64, write func(float64) string) *graph {
	g := &graph{y: p.y + panelStrip}
	isTime := write(60) == spelled(60)
	step := niceStep(highest/2, isTime)
	g.top = step * math.Max(1, math.Ceil(highest/step-1e-9))
	g.panel = panel{Name: name, Unit: unit, Y: px(g.y), End: px(g.y + panelHeight), Middle: px(g.y + 12), UnitY: px(g.y + 27)}
	for v := 0.0; v <= g.top*1.001; v += step {
		y := g.scale(v)
		g.Ticks = append(g.Ticks, yTick{px(y), px(y + 3.5), write(v)})
	}
	return g
}

// niceStep is a round number near another one.
func niceStep(v float64, isTime bool) float64 {
	if v <= 0 {
		return 1
	}
	if isTime && v > 7 {
		for _, step := range []float64{10, 15, 20, 30, 60, 120, 180, 240, 300, 600, 900, 1200, 1800, 3600, 7200, 14400, 43200} {
			if v <= step {
				return step
			}
		}
		return 86400 * math.Ceil(v/86400)
	}
	unit := math.Pow(10, math.Floor(math.Log10(v)))
	for _, factor := range []float64{1, 2, 2.5, 5} {
		if v <= factor*unit*1.0001 {
			return factor * unit
		}
	}
	return 10 * unit
}

func (p *plotter) endPanel(g *graph) {
	p.chart.Panels = append(p.chart.Panels, g.panel)
	p.y = g.y + panelHeight + panelGap
}

// edges are where a step begins and ends.
func (p *plotter) edges(i int) (from, to float64) {
	t := p.report.Timeline
	begin := t.From.Add(time.Duration(i) * t.Step.Duration())
	return p.x(begin), p.x(begin.Add(t.Step.Duration()))
}

// area is what lies between two rows of numbers, with a straight top to each step.
func (p *plotter) area(lower, upper Points, scale func(float64) float64) string {
	var d strings.Builder
	start, _ := p.edges(0)
	fmt.Fprintf(&d, "M%s %s", px(start), px(scale(upper[0])))
	for i := range upper {
		_, to := p.edges(i)
		if i > 0 && px(scale(upper[i])) != px(scale(upper[i-1])) {
			fmt.Fprintf(&d, "V%s", px(scale(upper[i])))
		}
		if i+1 == len(upper) || px(scale(upper[i])) != px(scale(upper[i+1])) {
			fmt.Fprintf(&d, "H%s", px(to))
		}
	}
	for i := len(lower) - 1; i >= 0; i-- {
		from, _ := p.edges(i)
		if i+1 == len(lower) || px(scale(lower[i])) != px(scale(lower[i+1])) {
			fmt.Fprintf(&d, "V%s", px(scale(lower[i])))
		}
		if i == 0 || px(scale(lower[i])) != px(scale(lower[i-1])) {
			fmt.Fprintf(&d, "H%s", px(from))
		}
	}
	return d.String() + "Z"
}

// curve connects numbers. Where more of them are missing than usual, it is interrupted; one that stands alone is a dot.
func (p *plotter) curve(points Points, scale func(float64) float64) string {
	var there, gaps []int
	for i, v := range points {
		if !math.IsNaN(v) {
			if len(there) > 0 {
				gaps = append(gaps, i-there[len(there)-1])
			}
			there = append(there, i)
		}
	}
	usual := 1
	if len(gaps) > 0 {
		slices.Sort(gaps)
		usual = gaps[len(gaps)/2]
	}
	var d strings.Builder
	for k, i := range there {
		from, to := p.edges(i)
		x, y := px((from+to)/2), px(scale(points[i]))
		if k == 0 || i-there[k-1] > 3*usual {
			fmt.Fprintf(&d, "M%s %sh0", x, y)
			continue
		}
		fmt.Fprintf(&d, "L%s %s", x, y)
	}
	return d.String()
}

// held is a number that holds until the next.
func (p *plotter) held(points Points, scale func(float64) float64) string {
	var d strings.Builder
	for i, v := range points {
		if math.IsNaN(v) {
			continue
		}
		from, _ := p.edges(i)
		if d.Len() == 0 {
			fmt.Fprintf(&d, "M%s %s", px(from), px(scale(v)))
		} else {
			fmt.Fprintf(&d, "H%sV%s", px(from), px(scale(v)))
		}
	}
	return d.String() + "H" + px(plotRight)
}

// measure writes how long it took from a fault until something was back.
func (p *plotter) measure(g *graph, from time.Time, to *time.Time, label string) {
	if to == nil {
		return
	}
	x1, x2, y := p.x(from), p.x(*to), g.y-9
	m := measured{X1: px(x1), X2: px(x2), Y: px(y), Up: px(y - 4), Down: px(y + 4), TextX: px(x2 + 6), TextY: px(y + 4), Anchor: "start"}
	m.Text = label + spell(to.Sub(from))
	if x2+float64(len(m.Text))*digitWidth+6 > plotRight {
		m.TextX, m.Anchor = px(x1-6), "end"
	}
	g.Spans = append(g.Spans, m)
}

// drawAxis writes the time: from the origin, in round steps.
func (p *plotter) drawAxis() {
	step := time.Hour
	for _, s := range []time.Duration{
		time.Second, 5 * time.Second, 10 * time.Second, 30 * time.Second, time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute,
		15 * time.Minute, 30 * time.Minute, time.Hour, 2 * time.Hour, 6 * time.Hour, 24 * time.Hour,
	} {
		if step = s; p.to.Sub(p.from)/s <= 14 {
			break
		}
	}
	first := p.from.Sub(p.origin).Truncate(step)
	for at := first; !p.origin.Add(at).After(p.to); at += step {
		if when := p.origin.Add(at); !when.Before(p.from) {
			text := offset(when, p.origin)
			if at == 0 {
				text = "0"
			}
			p.chart.Ticks = append(p.chart.Ticks, tick{px(p.x(when)), text})
		}
	}
}

// drawBands draws what goes over all panels.
func (p *plotter) drawBands() {
	for _, f := range p.report.Faults {
		end := p.to
		if f.Ends != nil {
			end = *f.Ends
		}
		x1, x2 := p.x(f.Begins), p.x(end)
		p.chart.Bands = append(p.chart.Bands, band{X: px(x1), Width: px(max(x2-x1, 1)), Y: px(axisHeight), Height: px(p.y - axisHeight)})
	}
	for i, phase := range p.report.Phases {
		if i > 0 {
			p.chart.Borders = append(p.chart.Borders, px(p.x(phase.From)))
		}
	}
}

// drawHits says, for each step, what all the panels show.
func (p *plotter) drawHits() {
	t := p.report.Timeline
	for i := range t.Steps {
		from, to := p.edges(i)
		begin := t.From.Add(time.Duration(i) * t.Step.Duration())
		lines := []string{offset(begin, p.origin) + "  " + begin.UTC().Format("15:04:05")}
		for _, s := range t.Answered {
			lines = append(lines, fmt.Sprintf("%s: %s/s", s.Region, trim(s.Points[i], 1)))
		}
		lines = append(lines, fmt.Sprintf("errors: %s/s", trim(t.Errors[i], 1)))
		if v := t.Wait[i]; !math.IsNaN(v) {
			lines = append(lines, "wait for the ledger: "+spelled(v))
		}
		for _, s := range t.Sampled {
			v := s.Points[i]
			if math.IsNaN(v) {
				continue
			}
			switch s.Metric {
			case MetricReplicationLag:
				lines = append(lines, fmt.Sprintf("replication to %s: %s", s.Region, spelled(v)))
			case MetricReplicationRows:
				lines = append(lines, fmt.Sprintf("replication to %s: %s rows", s.Region, trimmed(v)))
			case MetricQueueDepth:
				lines = append(lines, fmt.Sprintf("queue in %s: %s", s.Region, trimmed(v)))
			case MetricQueueAge:
				lines = append(lines, fmt.Sprintf("oldest in %s: %s", s.Region, spelled(v)))
			}
		}
		p.chart.Hits = append(p.chart.Hits, hit{px(from), px(to - from), strings.Join(lines, "\n")})
	}
}
