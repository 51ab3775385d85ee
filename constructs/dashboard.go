package constructs

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/constructs-go/constructs/v10"

	"payments-dr/internal/assembly/dashboard"
	"payments-dr/internal/settings"
)

// GlobalDashboardName is the dashboard of both Regions side by side.
func GlobalDashboardName(s *settings.Settings) string { return "payment-" + s.Environment }

// RegionalDashboardName is the dashboard of one Region. Dashboards are an account's and not a Region's, so the name carries the Region.
func RegionalDashboardName(s *settings.Settings, region settings.Region) string {
	return "payment-" + s.Environment + "-" + region.Name
}

// NewRegionalDashboard makes the dashboard of one Region, in that Region's own stack: it is there while the other is gone. Its first row
// shows both Regions all the same, because that is the first question.
//
// The body is written here, from types, and handed over as one text. The library's widgets would take a call each into another
// process, and what they add, the layout, has to be known here in any case.
func NewRegionalDashboard(scope constructs.Construct, id string, s *settings.Settings, region settings.Region) {
	l := &layout{}
	l.heading(s, fmt.Sprintf("# Payments, %s, %s", s.Environment, region.Name))
	l.side(s.Both(), overview(s), 2)
	l.alarms("Alarms of "+region.Name+" that page first", pagingAlarms(s, region), 3)
	l.alarms("All other alarms of "+region.Name, otherAlarms(scope, s, region), 5)
	for _, section := range sections(s) {
		l.text("## "+section.title, 1)
		l.side([]settings.Region{region}, section.graphs, 4)
	}
	newDashboard(scope, id, RegionalDashboardName(s, region), l)
}

// NewGlobalDashboard makes the dashboard of both Regions side by side, for the global stack.
func NewGlobalDashboard(scope constructs.Construct, id string, s *settings.Settings) {
	l := &layout{}
	l.heading(s, fmt.Sprintf("# Payments, %s, %s and %s", s.Environment, s.Regions.Primary.Name, s.Regions.Secondary.Name))
	l.side(s.Both(), overview(s), 2)
	var widgets []dashboard.Widget
	for i, region := range s.Both() {
		alarms := append([]string{AlarmARN(s, settings.GlobalRegion, alarmUnhealthy(region.Name))}, pagingAlarms(s, region)...)
		widgets = append(widgets, dashboard.Widget{X: 12 * i, Width: 12, Height: 5, Alarms: &dashboard.Alarms{
			Title: "Alarms of " + region.Name, Alarms: alarms, SortBy: dashboard.StateFirst,
		}})
	}
	l.row(widgets)
	for _, section := range sections(s) {
		l.text("## "+section.title, 1)
		l.side(s.Both(), section.graphs, 2)
	}
	newDashboard(scope, id, GlobalDashboardName(s), l)
}

func newDashboard(scope constructs.Construct, id, name string, l *layout) {
	body, err := json.Marshal(dashboard.Body{Start: "-PT3H", PeriodOverride: "inherit", Widgets: l.widgets})
	if err != nil {
		panic(err) // strings and numbers always marshal
	}
	awscloudwatch.NewCfnDashboard(scope, text(id), &awscloudwatch.CfnDashboardProps{DashboardName: text(name), DashboardBody: text(string(body))})
}

// graph is one graph, the same for either Region.
type graph struct {
	title string
	// unit is what the values are.
	unit   string
	series func(region settings.Region) []plotted
	lines  []dashboard.Line
	// view is dashboard.TimeSeries unless it says otherwise.
	view string
}

// plotted is a series of a graph: a metric, or a query.
type plotted struct {
	label string
	of    metric
	query string
}

func (g graph) widget(region settings.Region) *dashboard.Metrics {
	view := g.view
	if view == "" {
		view = dashboard.TimeSeries
	}
	m := &dashboard.Metrics{Title: region.Name + ": " + g.title, View: view, Region: region.Name, Period: int(time.Minute.Seconds())}
	for i, p := range g.series(region) {
		if p.query != "" {
			m.Metrics = append(m.Metrics, dashboard.Series{Options: dashboard.Options{Expression: p.query, ID: fmt.Sprintf("q%d", i), Label: p.label}})
			continue
		}
		series := dashboard.Series{Namespace: p.of.namespace, Name: p.of.name, Options: dashboard.Options{Label: p.label, Stat: p.of.statistic}}
		for _, d := range p.of.dimensions {
			series.Dimensions = append(series.Dimensions, dashboard.Dimension{Name: d.name, Value: d.value})
		}
		m.Metrics = append(m.Metrics, series)
	}
	if view == dashboard.TimeSeries {
		m.YAxis = &dashboard.YAxis{Left: &dashboard.Axis{Label: g.unit}}
	}
	if len(g.lines) > 0 {
		m.Annotations = &dashboard.Annotations{Horizontal: g.lines}
	}
	return m
}

// layout puts widgets below each other, in rows.
type layout struct {
	widgets []dashboard.Widget
	y       int
}

const graphHeight = 6

// row adds widgets that are beside each other.
func (l *layout) row(widgets []dashboard.Widget) {
	height := 0
	for _, w := range widgets {
		w.Y = l.y
		height = max(height, w.Height)
		l.widgets = append(l.widgets, w)
	}
	l.y += height
}

func (l *layout) text(markdown string, height int) {
	l.row([]dashboard.Widget{{Width: dashboard.Columns, Height: height, Text: &dashboard.Text{Markdown: markdown}}})
}

// side adds graphs, up to perRow to a row for each Region, the Regions side by side. A row with fewer has wider ones.
func (l *layout) side(regions []settings.Region, graphs []graph, perRow int) {
	for row := range slices.Chunk(graphs, perRow) {
		width := dashboard.Columns / len(regions) / len(row)
		var widgets []dashboard.Widget
		for i, region := range regions {
			for j, g := range row {
				widgets = append(widgets, dashboard.Widget{X: (i*len(row) + j) * width, Width: width, Height: graphHeight, Metrics: g.widget(region)})
			}
		}
		l.row(widgets)
	}
}

// alarms adds the states of alarms, in as many widgets as it takes.
func (l *layout) alarms(title string, arns []string, height int) {
	const most = 100
	for some := range slices.Chunk(arns, most) {
		l.row([]dashboard.Widget{{Width: dashboard.Columns, Height: height, Alarms: &dashboard.Alarms{Title: title, Alarms: some, SortBy: dashboard.StateFirst}}})
	}
}

// heading is what stands above all: what to read, and where to go.
func (l *layout) heading(s *settings.Settings, title string) {
	links := []string{}
	for _, section := range []string{"Canary failing", "API errors", "Ledger behind", "Replication behind", "Other Region impaired", "Dead letters"} {
		links = append(links, "["+section+"]("+alarmPageLink(s, section)+")")
	}
	l.text(title+"\nAre payments being taken, where, and how far behind is the other Region? Objectives: RPO "+
		fmt.Sprintf("%d min, RTO %d min. ", s.Objectives.RPOMinutes, s.Objectives.RTOMinutes)+
		"What each alarm means and what to do: [all]("+s.AlarmPagesURL()+"), "+strings.Join(links, ", ")+".", 3)
}

// pagingAlarms are the alarms to look at first, the nearest to a client first.
func pagingAlarms(s *settings.Settings, region settings.Region) []string {
	var arns []string
	for _, name := range []string{
		"canary-payment-failing", alarmAPIFailing, "api-errors", "api-slow", alarmImpaired(s.Other(region)), alarmOtherRegionUnreachable, "canary-stopped",
		AlarmReplicationBehind, "ledger-behind", "relay-behind", "database-unreachable", "table-errors", "reconciliation-stopped", "payments-missing", "payments-conflicting",
	} {
		arns = append(arns, AlarmARN(s, region.Name, name))
	}
	return arns
}

// otherAlarms are all other alarms that have been made in a scope, those apart that speak through others.
func otherAlarms(scope constructs.Construct, s *settings.Settings, region settings.Region) []string {
	known := map[string]bool{}
	for _, arn := range pagingAlarms(s, region) {
		known[arn] = true
	}
	var arns []string
	for _, child := range *scope.Node().FindAll(constructs.ConstructOrder_PREORDER) {
		var name *string
		switch alarm := child.(type) {
		case awscloudwatch.CfnAlarm:
			if alarm.AlarmActions() != nil {
				name = alarm.AlarmName()
			}
		case awscloudwatch.CfnCompositeAlarm:
			name = alarm.AlarmName()
		}
		if name == nil {
			continue
		}
		if arn := AlarmARN(s, region.Name, strings.TrimPrefix(*name, AlarmName(s, ""))); !known[arn] {
			arns = append(arns, arn)
		}
	}
	return arns
}
