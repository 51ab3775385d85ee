package drill

import (
	"bytes"
	"regexp"
	"testing"
	"time"
)

// TestLanes: one row for each thing that has states, and one bar for each state.
func TestLanes(t *testing.T) {
	epoch := time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)
	var r Recorder
	event := func(seconds int, kind Kind, name, region, result string) {
		t.Helper()
		e := Event{At: epoch.Add(time.Duration(seconds) * time.Second), Kind: kind, Name: name, Region: region, Result: result}
		if kind == KindFaultBegins {
			e.Hits = []Subject{SubjectPayments}
		}
		if err := r.Event(e); err != nil {
			t.Fatal(err)
		}
	}
	event(0, KindHealthCheck, "endpoint", "us-east-1", ResultHealthy)
	event(0, KindHealthCheck, "endpoint", "us-west-2", ResultHealthy)
	event(0, KindDNS, "api", "us-east-1", "")
	event(100, KindFaultBegins, "loss", "us-east-1", "")
	event(130, KindHealthCheck, "endpoint", "us-east-1", ResultUnhealthy)
	event(135, KindDNS, "api", "us-west-2", "")
	event(200, KindPlanBegins, "activate", "us-west-2", "")
	event(200, KindStepBegins, "promote", "", "")
	event(300, KindStepEnds, "promote", "", ResultCompleted)
	event(300, KindStepBegins, "stop", "", "")
	event(300, KindStepEnds, "stop", "", ResultSkipped)
	event(300, KindStepBegins, "reconcile", "", "")
	event(400, KindNote, "", "", "")
	report, err := Measure(&r, Run{Banner: "SIMULATED: made up by a test"})
	if err != nil {
		t.Fatal(err)
	}
	c := newChart(report)
	want := []struct{ name, bars string }{
		{"Phases", "phase0"}, {"Fault", "fault"}, {"Health: endpoint us-east-1", "healthy unhealthy"}, {"Health: endpoint us-west-2", "healthy"},
		{"DNS: api", "r0 r1"}, {"Plan: activate", "step open"}, {"promote", "step"}, {"stop", "step skipped"}, {"reconcile", "step open"},
		{"Promotions, alarms, notes", ""},
	}
	if len(c.Lanes) != len(want) {
		t.Fatalf("the lanes are %+v", c.Lanes)
	}
	for i, lane := range c.Lanes {
		bars := ""
		for k, bar := range lane.Bars {
			if k > 0 {
				bars += " "
			}
			bars += bar.Class
		}
		if lane.Name != want[i].name || bars != want[i].bars {
			t.Errorf("lane %d is %q with %q, want %q with %q", i, lane.Name, bars, want[i].name, want[i].bars)
		}
	}
	var page bytes.Buffer
	if err := report.WriteHTML(&page); err != nil {
		t.Fatal(err)
	}
	// The fault lasts from a quarter of the run to its end, and so does its band.
	if !regexp.MustCompile(`class="band" x="443\.5" y="[0-9.]+" width="742\.5"`).Match(page.Bytes()) {
		t.Error("the fault's band is elsewhere")
	}
}
