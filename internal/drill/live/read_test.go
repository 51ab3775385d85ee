package live

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"payments-dr/internal/drill"
)

// The examples in the docs are hypotheses that can be held.
func TestExamplesCanBeRead(t *testing.T) {
	files, err := filepath.Glob("../../../docs/operate/drills/*")
	if err != nil || len(files) < 2 {
		t.Fatalf("%v, %v", files, err)
	}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		h, err := Read(content)
		if err != nil {
			t.Errorf("%s: %v", file, err)
		}
		if !slices.Contains(h.Asked, drill.NameLost) || !slices.Contains(h.Asked, drill.NameReconciliation) {
			t.Errorf("%s asks for %v", file, h.Asked)
		}
		// Those that its comments offer can be asked for as well.
		if whole := strings.NewReplacer("  # ledgerRto", "  ledgerRto", "  # backlog", "  backlog", "  # missing", "  missing", "# window:", "window:", "#   notBefore", "  notBefore", "#   notAfter", "  notAfter").Replace(string(content)); whole != string(content) {
			h, err := Read([]byte(whole))
			if err != nil || h.Objectives.Backlog != time.Minute || h.NotAfter.Sub(h.NotBefore) != 2*time.Hour {
				t.Errorf("%s with its comments: %+v, %v", file, h, err)
			}
		}
	}
}

const whole = `{"title": "t", "environment": "dev", "owner": "o", "reason": "r", "steadyState": {"lasts": "10s", "errorShare": 0.1, "latencyP99": "3s"},
"load": {"rate": 2, "clients": 3, "mostPayments": 400, "mostTime": "5m"}, "action": {"kind": "plannedSwitchover", "to": "us-west-2"}, "observe": "20s",
"tolerances": {"paymentsRto": "2m", "ledgerRto": "10m", "backlog": "30s", "doubled": 0}, "stopConditions": {"errorShare": 0.5, "over": "15s", "alarms": ["a", "b"]}}`

func TestRead(t *testing.T) {
	h, err := Read([]byte(whole))
	if err != nil {
		t.Fatal(err)
	}
	if h.SteadyState != (SteadyState{10 * time.Second, 0.1, 3 * time.Second}) || h.Load != (Load{2, 3, 400, 5 * time.Minute}) || h.Action != (Action{KindPlannedSwitchover, "us-west-2"}) ||
		h.Objectives != (drill.Objectives{PaymentsRTO: 2 * time.Minute, LedgerRTO: 10 * time.Minute, Backlog: 30 * time.Second}) || h.Observe != 20*time.Second ||
		h.Stop.ErrorShare != 0.5 || h.Stop.Over != 15*time.Second || !slices.Equal(h.Stop.Alarms, []string{"a", "b"}) ||
		!slices.Equal(h.Asked, []drill.Name{drill.NameBacklog, drill.NameLedgerRTO, drill.NamePaymentsRTO, drill.NameDoubled}) {
		t.Errorf("%+v", h)
	}
}

// Each change is one fault, and the only one that is named.
func TestReadNamesTheFault(t *testing.T) {
	for _, one := range []struct{ from, to, says string }{
		{`"rate": 2`, `"rate": 101`, `load.rate is "101"; allowed is a number from 0.01 to 100`},
		{`"rate": 2`, `"rate": NaN`, `load.rate is "NaN"; allowed is a number from 0.01 to 100`},
		{`"clients": 3`, `"clients": 2.5`, `load.clients is "2.5"; allowed is a whole number from 1 to 200`},
		{`"backlog": "30s", `, ``, `tolerances.ledgerRto is given without tolerances.backlog`},
		{`"lasts": "10s", `, ``, `steadyState.lasts is missing; allowed is a time from 10s to 30m0s`},
		{`"to": "us-west-2"`, `"to": null`, `action.to is "null"; allowed is a text that is not empty`},
		{`"to": "us-west-2"`, `"to": ["us-west-2"]`, `action.to is a list; allowed is a text that is not empty`},
		{`"mostTime": "5m"`, `"mostTime": "5h"`, `load.mostTime is "5h"; allowed is a time from 1m0s to 2h0m0s`},
		{`"mostPayments": 400`, `"mostPayments": 59`, `load.mostPayments is 59; allowed is what steadyState.lasts and observe come to at load.rate, 60, or more`},
		{`"rate": 2`, `"rate": 0.9`, `steadyState.lasts is 10s; allowed is a time in which load.rate comes to 10 payments or more`},
		{`"title": "t"`, `"title": ""`, `title is ""; allowed is a text that is not empty`},
		{`"observe": "20s"`, `"observe": "20s", "window": {"notBefore": "2026-12-01T09:00:00Z"}`, `window.notAfter is missing; allowed is a time of RFC 3339`},
		{`"observe": "20s"`, `"observe": "20s", "window": {"notBefore": "2026-12-01T09:00:00Z", "notAfter": "2026-12-01T08:00:00Z"}`, `window.notAfter is 2026-12-01T08:00:00Z; allowed is later than window.notBefore`},
		{`"alarms": ["a", "b"]`, `"alarms": ["a", {}]`, `stopConditions.alarms is a list; allowed is a list of texts`},
	} {
		changed := strings.Replace(whole, one.from, one.to, 1)
		_, err := Read([]byte(changed))
		if changed == whole || err == nil || !strings.Contains(err.Error(), one.says) || strings.Count(err.Error(), "line ") != 1 {
			t.Errorf("%s: %v\nwant %s", one.to, err, one.says)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(whole))
	f.Add([]byte("title: [\n"))
	f.Add([]byte("a: &a [*a]\ntitle: *a\n"))
	f.Fuzz(func(t *testing.T, content []byte) {
		h, err := Read(content)
		if err == nil && (h.Title == "" || len(h.Asked) == 0 || h.Load.MostPayments < 1 || h.Load.MostTime <= 0 || !(h.Load.Rate > 0)) {
			t.Errorf("%q is taken as %+v", content, h)
		}
	})
}
