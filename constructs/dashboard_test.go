package constructs_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"payments-dr/internal/assembly/dashboard"
	"payments-dr/stacks"
	"payments-dr/stacks/stackstest"
)

// dashboardOf is a stack's dashboard.
func dashboardOf(t *testing.T, v stackstest.View) (name string, body dashboard.Body) {
	t.Helper()
	_, resource := v.One(t, "AWS::CloudWatch::Dashboard")
	written, ok := resource.Properties["DashboardBody"].(string)
	if !ok {
		t.Fatalf("the body of %v has references, which nothing here resolves", resource.Properties["DashboardName"])
	}
	if err := json.Unmarshal([]byte(written), &body); err != nil {
		t.Fatal(err)
	}
	// What the types do not know, CloudWatch might not know either: nothing may be lost by reading it.
	again, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	if string(again) != written {
		t.Errorf("the body is %s, read and written again it is %s", written, again)
	}
	return resource.Properties["DashboardName"].(string), body
}

// plottedSeries are all series of a dashboard with their Regions.
func plottedSeries(t *testing.T, body dashboard.Body) map[string][]series {
	t.Helper()
	all := map[string][]series{}
	for _, w := range body.Widgets {
		if w.Metrics == nil {
			continue
		}
		for _, plotted := range w.Metrics.Metrics {
			s := series{plotted.Namespace, plotted.Name, map[string]any{}, false}
			if plotted.Options.Expression != "" {
				var err error
				if s, err = querySeries(plotted.Options.Expression); err != nil {
					t.Errorf("%s: %v", w.Metrics.Title, err)
					continue
				}
			}
			for _, d := range plotted.Dimensions {
				s.dimensions[d.Name] = d.Value
			}
			all[w.Metrics.Region] = append(all[w.Metrics.Region], s)
		}
	}
	return all
}

func TestDashboardsNames(t *testing.T) {
	names := map[string]bool{}
	stackstest.EachStack(t, func(t *testing.T, v stackstest.View) {
		name, body := dashboardOf(t, v)
		if names[name] { // they are an account's
			t.Errorf("two dashboards are called %s", name)
		}
		names[name] = true
		// "Dashboard Body Structure and Syntax": up to 500 widgets.
		if n := len(body.Widgets); n < 20 || n > 500 {
			t.Errorf("%d widgets", n)
		}
		if body.PeriodOverride != "inherit" {
			t.Errorf("periods are %q", body.PeriodOverride)
		}
	})
}

func TestDashboardsWidgetsFitAndDoNotOverlap(t *testing.T) {
	stackstest.EachStack(t, func(t *testing.T, v stackstest.View) {
		_, body := dashboardOf(t, v)
		taken := map[[2]int]int{}
		for i, w := range body.Widgets {
			if w.X < 0 || w.Y < 0 || w.Width < 1 || w.Height < 1 || w.X+w.Width > dashboard.Columns {
				t.Errorf("widget %d is at %d, %d and %d by %d", i, w.X, w.Y, w.Width, w.Height)
			}
			for x := w.X; x < w.X+w.Width; x++ {
				for y := w.Y; y < w.Y+w.Height; y++ {
					if other, ok := taken[[2]int{x, y}]; ok {
						t.Fatalf("widgets %d and %d overlap at %d, %d", other, i, x, y)
					}
					taken[[2]int{x, y}] = i
				}
			}
		}
	})
}

func TestDashboardsShowMetricsThatAreThere(t *testing.T) {
	stackstest.EachStack(t, func(t *testing.T, v stackstest.View) {
		_, body := dashboardOf(t, v)
		regions := v.Assembly.Settings.Both()
		for region, all := range plottedSeries(t, body) {
			if region != regions[0].Name && region != regions[1].Name {
				t.Errorf("metrics of %s", region)
			}
			for _, s := range all {
				if err := checkSeries(v.Assembly, region, s); err != nil {
					t.Errorf("%s in %s: %v", s, region, err)
				}
			}
		}
		for _, w := range body.Widgets {
			if w.Metrics == nil {
				continue
			}
			ids := map[string]bool{}
			for _, plotted := range w.Metrics.Metrics {
				if plotted.Options.Label == "" || (plotted.Options.Stat == "") != (plotted.Options.Expression != "") {
					t.Errorf("%s: a series without a label or a statistic: %+v", w.Metrics.Title, plotted)
				}
				if id := plotted.Options.ID; plotted.Options.Expression != "" && (id == "" || ids[id]) {
					t.Errorf("%s: expression with the id %q", w.Metrics.Title, id)
				}
				ids[plotted.Options.ID] = true
			}
		}
	})
}

func TestDashboardsFirstRowsAnswerTheFirstQuestion(t *testing.T) {
	stackstest.EachStack(t, func(t *testing.T, v stackstest.View) {
		_, body := dashboardOf(t, v)
		s := v.Assembly.Settings
		heading := body.Widgets[0]
		if heading.Text == nil || !strings.Contains(heading.Text.Markdown, "Are payments being taken, where, and how far behind") {
			t.Fatalf("it begins with %+v", heading)
		}
		sections := stackstest.AlarmSections(t)
		for _, match := range stackstest.Link.FindAllStringSubmatch(strings.Join(strings.FieldsFunc(heading.Text.Markdown, func(r rune) bool { return r == '(' || r == ')' }), "\n"), -1) {
			if _, ok := sections[match[2]]; !ok {
				t.Errorf("the heading links to the section %q", match[2])
			}
		}
		first := body.Widgets[1].Y
		shown := map[string]string{}
		for _, w := range body.Widgets {
			if w.Y == first && w.Metrics != nil {
				shown[w.Metrics.Region] += stackstest.Text(w.Metrics.Metrics)
			}
		}
		for _, region := range s.Both() {
			for _, want := range []string{"PaymentsAccepted", "CanaryPaymentFailed", "AuroraGlobalDBRPOLag"} {
				if !strings.Contains(shown[region.Name], want) {
					t.Errorf("the first row does not show %s of %s", want, region.Name)
				}
			}
		}
		lines := map[string]float64{}
		for _, w := range body.Widgets {
			if w.Metrics != nil && w.Metrics.Annotations != nil {
				for _, line := range w.Metrics.Annotations.Horizontal {
					lines[line.Label] = line.Value
				}
			}
		}
		if rpo, rto := lines[fmt.Sprintf("RPO %d min", s.Objectives.RPOMinutes)], lines[fmt.Sprintf("RTO %d min", s.Objectives.RTOMinutes)]; rpo != 300_000 || rto != 900 {
			t.Errorf("the objectives are at %v ms and %v s", rpo, rto)
		}
	})
}

func TestDashboardsShowAlarmsThatAreThereAndAllOfTheirs(t *testing.T) {
	stackstest.EachStack(t, func(t *testing.T, v stackstest.View) {
		exist, tell := map[string]bool{}, map[string]bool{}
		for _, stack := range v.Assembly.Stacks {
			for name, alarm := range (stackstest.View{Assembly: v.Assembly, Stack: stack}).Alarms(t) {
				arn := "arn:aws:cloudwatch:" + stack.Region + ":" + stack.Account + ":alarm:" + name
				exist[arn] = true
				tell[arn] = stack.Name == v.Stack.Name && alarm.Properties["AlarmActions"] != nil
			}
		}
		_, body := dashboardOf(t, v)
		shown := map[string]bool{}
		for _, w := range body.Widgets {
			if w.Alarms == nil {
				continue
			}
			if n := len(w.Alarms.Alarms); n < 1 || n > 100 {
				t.Errorf("%q shows %d alarms, CloudWatch takes 1 to 100", w.Alarms.Title, n)
			}
			for _, arn := range w.Alarms.Alarms {
				if !exist[arn] || shown[arn] {
					t.Errorf("%q shows %s, which does not exist or is shown already", w.Alarms.Title, arn)
				}
				shown[arn] = true
			}
		}
		if v.Role == stacks.RoleGlobal {
			return // those to look at first
		}
		for arn, tells := range tell {
			if tells && !shown[arn] {
				t.Errorf("%s is not shown", arn)
			}
		}
	})
}

func TestDashboardsShowEverythingThatRuns(t *testing.T) {
	stackstest.Each(t, func(t *testing.T, v stackstest.View) {
		_, body := dashboardOf(t, v)
		shown := stackstest.Text(body)
		names := func(kind, property string) {
			for _, resource := range v.Of(kind) {
				name, _ := resource.Properties[property].(string)
				atDeployment := strings.HasSuffix(name, "-migrate") || strings.HasSuffix(name, "-table-stream")
				if strings.HasPrefix(name, "payment-"+v.Assembly.Settings.Environment) && !atDeployment && !strings.Contains(shown, `"`+name+`"`) {
					t.Errorf("%s %s is not on the dashboard", kind, name)
				}
			}
		}
		names("AWS::Lambda::Function", "FunctionName")
		names("AWS::SQS::Queue", "QueueName")
		names("AWS::RDS::DBInstance", "DBInstanceIdentifier")
	})
}
