// Package dashboardpreview draws a dashboard as it is laid out, from its synthesized body, for readers who have no account to look at
// it in. The layout, titles, series and lines are the dashboard's own. The curves are made up, and each widget with any says so.
package dashboardpreview

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"html"
	"math"
	"math/rand/v2"
	"regexp"
	"strings"

	"payments-dr/internal/assembly/dashboard"
)

const (
	unit   = 50 // the width of a column
	rise   = 42 // the height of a row
	gap    = 5
	points = 45
	// watermark is across every widget that shows anything made up.
	watermark = "SAMPLE DATA"
)

// colors are those of the series of a graph, in turn.
var colors = []string{"#1f77b4", "#2ca02c", "#9467bd", "#8c564b", "#17becf", "#e377c2"}

// Draw is the dashboard as an SVG image. The same dashboard gives the same image.
func Draw(name string, body dashboard.Body) []byte {
	rows := 0
	for _, w := range body.Widgets {
		rows = max(rows, w.Y+w.Height)
	}
	var b strings.Builder
	width, height := dashboard.Columns*unit, rows*rise
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="Helvetica, Arial, sans-serif">`+"\n", width, height)
	fmt.Fprintf(&b, "<title>%s</title>\n<desc>The layout of the dashboard, with sample data.</desc>\n", html.EscapeString(name))
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="#f2f3f3"/>`+"\n", width, height)
	for _, w := range body.Widgets {
		box := rectangle{float64(w.X*unit + gap/2), float64(w.Y*rise + gap/2), float64(w.Width*unit - gap), float64(w.Height*rise - gap)}
		fmt.Fprintf(&b, `<rect x="%g" y="%g" width="%g" height="%g" rx="4" fill="#fff" stroke="#d5dbdb"/>`+"\n", box.x, box.y, box.width, box.height)
		switch {
		case w.Text != nil:
			drawText(&b, box, w.Text.Markdown)
		case w.Alarms != nil:
			drawAlarms(&b, box, w.Alarms)
		case w.Metrics != nil && w.Metrics.View == dashboard.SingleValue:
			drawValues(&b, box, w.Metrics)
		case w.Metrics != nil:
			drawGraph(&b, box, w.Metrics)
		}
	}
	b.WriteString("</svg>\n")
	return []byte(b.String())
}

type rectangle struct{ x, y, width, height float64 }

var markdownLink = regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`)

// drawText writes the little of Markdown that the dashboards use: headings, links, lines.
func drawText(b *strings.Builder, box rectangle, markdown string) {
	y := box.y + 4
	for line := range strings.Lines(markdownLink.ReplaceAllString(markdown, "$1")) {
		line, size, weight := strings.TrimSpace(line), 12.0, "normal"
		for _, heading := range []struct {
			mark string
			size float64
		}{{"# ", 20}, {"## ", 16}} {
			if after, ok := strings.CutPrefix(line, heading.mark); ok {
				line, size, weight = after, heading.size, "bold"
			}
		}
		for _, part := range wrapped(line, int(box.width/(size*0.5))) {
			y += size * 1.35
			fmt.Fprintf(b, `<text x="%g" y="%g" font-size="%g" font-weight="%s" fill="#16191f">%s</text>`+"\n", box.x+10, y, size, weight, html.EscapeString(part))
		}
	}
}

// wrapped is a text in lines of up to so many letters.
func wrapped(text string, width int) []string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(text) {
		if line != "" && len(line)+1+len(word) > width {
			lines, line = append(lines, line), ""
		}
		line = strings.TrimSpace(line + " " + word)
	}
	return append(lines, line)
}

func drawTitle(b *strings.Builder, box rectangle, title string) {
	fmt.Fprintf(b, `<text x="%g" y="%g" font-size="12" font-weight="bold" fill="#16191f">%s</text>`+"\n", box.x+8, box.y+16, html.EscapeString(shortened(title, box.width-12, 12)))
}

func drawWatermark(b *strings.Builder, box rectangle) {
	fmt.Fprintf(b, `<text x="%g" y="%g" font-size="%g" font-weight="bold" text-anchor="middle" fill="#879596" fill-opacity="0.35">%s</text>`+"\n",
		box.x+box.width/2, box.y+box.height/2+8, min(28, box.width/9), watermark)
}

// drawAlarms shows every alarm as a cell, all of them well.
func drawAlarms(b *strings.Builder, box rectangle, alarms *dashboard.Alarms) {
	drawTitle(b, box, alarms.Title)
	const cellHeight = 16.0
	top, area := box.y+24, box.height-30
	perColumn := max(1, int(area/cellHeight))
	columns := (len(alarms.Alarms) + perColumn - 1) / perColumn
	width := (box.width - 12) / float64(columns)
	for i, arn := range alarms.Alarms {
		x, y := box.x+6+float64(i/perColumn)*width, top+float64(i%perColumn)*cellHeight
		name := arn[strings.LastIndex(arn, ":")+1:]
		if parts := strings.SplitN(name, "-", 3); len(parts) == 3 {
			name = parts[2] // without "payment-<env>-"
		}
		fmt.Fprintf(b, `<rect x="%g" y="%g" width="%.1f" height="%g" rx="2" fill="#dff3e4" stroke="#1d8102" stroke-opacity="0.4"/>`, x, y, width-3, cellHeight-3)
		fmt.Fprintf(b, `<text x="%g" y="%g" font-size="9" fill="#16191f">%s</text>`+"\n", x+4, y+10, html.EscapeString(shortened(name, width-10, 9)))
	}
	drawWatermark(b, box)
}

func drawValues(b *strings.Builder, box rectangle, metrics *dashboard.Metrics) {
	drawTitle(b, box, metrics.Title)
	step := (box.height - 34) / float64(len(metrics.Metrics))
	for i, series := range metrics.Metrics {
		y := box.y + 34 + step*float64(i)
		fmt.Fprintf(b, `<text x="%g" y="%g" font-size="26" font-weight="bold" fill="%s">0</text>`, box.x+14, y+24, colors[i%len(colors)])
		fmt.Fprintf(b, `<text x="%g" y="%g" font-size="11" fill="#545b64">%s</text>`+"\n", box.x+44, y+20, html.EscapeString(shortened(series.Options.Label, box.width-54, 11)))
	}
	drawWatermark(b, box)
}

func drawGraph(b *strings.Builder, box rectangle, metrics *dashboard.Metrics) {
	drawTitle(b, box, metrics.Title)
	if metrics.YAxis != nil && metrics.YAxis.Left != nil {
		fmt.Fprintf(b, `<text x="%g" y="%g" font-size="9" fill="#545b64">%s</text>`+"\n", box.x+8, box.y+29, html.EscapeString(metrics.YAxis.Left.Label))
	}
	legend := 12 * float64(len(metrics.Metrics))
	plot := rectangle{box.x + 10, box.y + 36, box.width - 20, box.height - 36 - legend - 8}
	for i := range 4 {
		y := plot.y + plot.height*float64(i)/3
		fmt.Fprintf(b, `<line x1="%g" y1="%.1f" x2="%g" y2="%.1f" stroke="#eaeded"/>`, plot.x, y, plot.x+plot.width, y)
	}
	b.WriteString("\n")
	// Levels are drawn in their order and not to scale: nobody has measured what is below them.
	top := 0.0
	if metrics.Annotations != nil {
		for _, line := range metrics.Annotations.Horizontal {
			top = max(top, line.Value)
		}
		for _, line := range metrics.Annotations.Horizontal {
			y := plot.y + plot.height*(1-0.9*math.Sqrt(line.Value/top))
			color := cmp.Or(line.Color, "#d62728")
			fmt.Fprintf(b, `<line x1="%g" y1="%.1f" x2="%g" y2="%.1f" stroke="%s" stroke-dasharray="5 3"/>`, plot.x, y, plot.x+plot.width, y, color)
			fmt.Fprintf(b, `<text x="%g" y="%.1f" font-size="9" text-anchor="end" fill="%s">%s</text>`+"\n", plot.x+plot.width, y-2, color, html.EscapeString(line.Label))
		}
	}
	for i, series := range metrics.Metrics {
		color := cmp.Or(series.Options.Color, colors[i%len(colors)])
		fmt.Fprintf(b, `<polyline fill="none" stroke="%s" stroke-width="1.4" points="`, color)
		curve := sample(metrics.Title + series.Name + series.Options.Label)
		if quiet.MatchString(series.Name + series.Options.Expression) {
			curve = make([]float64, points)
		}
		for j, value := range curve {
			fmt.Fprintf(b, "%.0f,%.0f ", plot.x+plot.width*float64(j)/(points-1), plot.y+plot.height*(1-value*level(i)))
		}
		y := box.y + box.height - 6 - 12*float64(len(metrics.Metrics)-1-i)
		fmt.Fprintf(b, `"/><rect x="%g" y="%g" width="8" height="8" fill="%s"/>`, box.x+10, y-8, color)
		fmt.Fprintf(b, `<text x="%g" y="%g" font-size="10" fill="#545b64">%s</text>`+"\n", box.x+22, y, html.EscapeString(shortened(series.Options.Label, box.width-34, 10)))
	}
	drawWatermark(b, box)
}

// quiet are the metrics that are drawn at nothing, as on a good day.
var quiet = regexp.MustCompile(`Error|Fail|Throttle|Refused|Invalid|Conflict|Missing|Unaccounted|Unavailable|Unreachable|MessagesVisible`)

// level is how high the curve of a series goes: the first the highest, so that they can be told apart.
func level(i int) float64 { return 0.32 / float64(i+1) }

// sample is a curve from 0 to 1 that belongs to a name.
func sample(name string) []float64 {
	h := fnv.New64a()
	h.Write([]byte(name)) // never fails
	random := rand.New(rand.NewPCG(h.Sum64(), 1))
	values := make([]float64, points)
	phase, value := random.Float64()*2*math.Pi, 0.0
	for i := range values {
		value = 0.7*value + 0.3*(random.Float64()-0.5)
		values[i] = min(1, max(0, 0.65+0.2*math.Sin(phase+float64(i)/11)+value))
	}
	return values
}

// shortened is a text that fits into a width at a size of letters.
func shortened(text string, width, size float64) string {
	most := int(width / (size * 0.53))
	if letters := []rune(text); len(letters) > most {
		return string(letters[:max(1, most-1)]) + "…"
	}
	return text
}
