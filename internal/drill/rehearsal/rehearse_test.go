package rehearsal_test

import (
	"context"
	"encoding/json"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"payments-dr/internal/assembly"
	"payments-dr/internal/drill"
	"payments-dr/internal/drill/rehearsal"
)

// rehearse plays a fault quickly: few payments, at a speed at which what really runs here still looks fast.
func rehearse(t *testing.T, a *assembly.Assembly, binaries map[string]string, fault string) (drill.Report, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	assumed, assumptions := rehearsal.DefaultAssumed()
	return rehearsal.Rehearse(ctx, rehearsal.Config{
		Assembly: a, ModuleDir: moduleDir, Binaries: binaries, Fault: fault, Speed: 10, Rate: 1, Clients: 4, Seed: seed,
		Assumed: assumed, Recorder: &drill.Recorder{},
		Run: drill.Run{
			Banner: "SIMULATED", Title: fault, Assumptions: assumptions,
			Objectives: drill.Objectives{PaymentsRTO: 2 * time.Minute, LedgerRTO: 15 * time.Minute, RPO: 5 * time.Minute, Backlog: 5 * time.Minute},
		},
	})
}

// objective is what was measured of an objective.
func objective(t *testing.T, report drill.Report, name drill.Name) drill.Objective {
	t.Helper()
	for _, o := range report.Objectives {
		if o.Name == name {
			return o
		}
	}
	t.Fatalf("the report has no objective %s", name)
	return drill.Objective{}
}

// nothingAtFault fails the test unless every payment is where it should be, once.
func nothingAtFault(t *testing.T, report drill.Report) {
	t.Helper()
	for _, name := range []drill.Name{
		drill.NameLost, drill.NameMissing, drill.NameDoubled, drill.NameDifferent, drill.NameUnexplained, drill.NameDisagreeing, drill.NameReconciliation,
	} {
		if o := objective(t, report, name); o.Status != drill.StatusPass {
			t.Errorf("%s: %s, %s", name, o.Status, o.Reason)
		}
	}
	if t.Failed() {
		findings, _ := json.MarshalIndent(report.Findings, "", " ")
		t.Logf("%s", findings)
	}
}

// Times are not held here: on a busy machine what really runs appears slow. "make rehearse" judges them.
func TestRegionLossLosesNothing(t *testing.T) {
	t.Parallel()
	a := synthesize(t)
	report, err := rehearse(t, a, build(t, "processor", "relay", "ledger", "reconcile"), "region-loss")
	if err != nil {
		t.Fatal(err)
	}
	nothingAtFault(t, report)
	if len(report.Promotions) != 2 {
		t.Errorf("%d promotions, want there and back", len(report.Promotions))
	}
	led := map[string]bool{}
	for _, e := range report.Events {
		if e.Kind == drill.KindDNS {
			led[e.Region] = true
		}
		if e.Kind == drill.KindStepEnds && e.Result == drill.ResultFailed {
			t.Errorf("step %s failed: %s", e.Name, e.Text)
		}
	}
	if len(led) != 2 {
		t.Errorf("the public name led to %v", led)
	}
	payments := objective(t, report, drill.NamePaymentsRTO)
	if payments.Measured == nil || *payments.Measured < 30 {
		t.Errorf("the loss of a Region was not felt: RTO of payments %v", payments.Measured)
	}
	// What the run was given is not what it showed.
	for name, want := range map[drill.Name]string{
		drill.NamePaymentsRTO: "calculated ", drill.NameLedgerRTO: "assumed 7 min 50 s + observed ", drill.NameRPO: "assumed ", drill.NameBacklog: "assumed ",
	} {
		o := objective(t, report, name)
		if sources := o.Sources(); o.Measured != nil && *o.Measured > 0 && !strings.HasPrefix(sources, want) {
			t.Errorf("%s is %q, want %q", name, sources, want)
		}
		sum := 0.0
		for _, p := range o.Parts {
			sum += p.Seconds.Duration().Seconds()
		}
		if o.Measured != nil && math.Abs(sum-*o.Measured) > 0.001 {
			t.Errorf("%s: the parts add up to %v, not to %v", name, sum, *o.Measured)
		}
	}
	if c := report.Clock; !c.Simulated || c.Speed != 10 || time.Since(c.Started) > 5*time.Minute || c.Took <= 0 {
		t.Errorf("the clock is %+v", c)
	}
	if !slices.Contains(report.NotModeled, "AWS::Backup::BackupVault (2)") {
		t.Errorf("not modeled: %q", report.NotModeled)
	}
	for _, r := range report.Reconciliations {
		if r.To.After(report.To.Add(time.Hour)) || r.To.Before(report.From) {
			t.Errorf("a reconciliation up to %s is not by the clock of a run from %s to %s", r.To, report.From, report.To)
		}
	}
}
