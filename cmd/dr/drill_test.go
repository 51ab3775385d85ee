package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"payments-dr/internal/drill"
	"payments-dr/stacks/stackstest"
)

// held is a drill that was held.
type held struct {
	status int
	out    string
	report drill.Report
	folder string
}

// holdDrill runs dr drill, as a process in the project's folder, against both Regions simulated there.
func holdDrill(t *testing.T, program, assembly, hypothesis, typed, goFlags string, more ...string) held {
	t.Helper()
	h := held{folder: t.TempDir()}
	file := filepath.Join(h.folder, "hypothesis.yaml")
	if err := os.WriteFile(file, []byte(hypothesis), 0o600); err != nil {
		t.Error(err)
		return h
	}
	reports := filepath.Join(h.folder, "reports")
	command := exec.CommandContext(t.Context(), program, append([]string{
		"drill", "--assembly", assembly, "--hypothesis", file, "--simulated", "--read-ledger", "--database", "embedded", "--speed", "5", "--reports", reports,
	}, more...)...)
	command.Dir = "../.."
	command.Env = append(os.Environ(), "GOFLAGS="+strings.TrimSpace(os.Getenv("GOFLAGS")+" "+goFlags))
	command.Stdin = strings.NewReader(typed + "\n")
	out, err := command.CombinedOutput()
	h.out = string(out)
	if h.status = command.ProcessState.ExitCode(); err != nil && h.status < 0 {
		t.Error(err)
	}
	files, _ := filepath.Glob(filepath.Join(reports, "*.json"))
	pages, _ := filepath.Glob(filepath.Join(reports, "*.html"))
	copies, _ := filepath.Glob(filepath.Join(reports, "*.hypothesis.yaml"))
	if len(files) != 1 || len(pages) != 1 || len(copies) != 1 {
		t.Errorf("reports %v, %v, %v\n%s", files, pages, copies, h.out)
		return h
	}
	content, err := os.Open(files[0])
	if err != nil {
		t.Error(err)
		return h
	}
	defer content.Close()
	if h.report, err = drill.Read(content); err != nil {
		t.Error(err)
	}
	return h
}

func (h held) objective(name drill.Name) drill.Objective {
	for _, o := range h.report.Objectives {
		if o.Name == name {
			return o
		}
	}
	return drill.Objective{}
}

// The whole of what a hypothesis can ask. Times are not held: on a busy machine what really runs here appears slow, and by the
// simulated clock so many times as slow.
const everything = `
title: A planned switchover loses nothing
environment: dev
owner: a test
reason: to see it
steadyState: {lasts: 20s, errorShare: 0.5, latencyP99: 30s}
load: {rate: 0.6, clients: 4, mostPayments: 2000, mostTime: 2h}
action: {kind: plannedSwitchover, to: us-west-2}
observe: 50s
tolerances:
  paymentsRto: 1h
  ledgerRto: 1h
  backlog: 1h
  lost: 0
  missing: 0
  doubled: 0
  different: 0
  unexplained: 0
  disagreeing: 0
  reconciliation: 0
stopConditions: {errorShare: 1, over: 1m}
`

const lookingOn = `
title: Test payments are found again
environment: dev
owner: a test
reason: to see it fail
steadyState: {lasts: 20s, errorShare: 0.5, latencyP99: 30s}
load: {rate: 1, clients: 4, mostPayments: 2000, mostTime: 2h}
action: {kind: none}
observe: 30s
tolerances: {lost: 0, missing: 0, reconciliation: 0}
stopConditions: {errorShare: 1, over: 1m}
`

// TestDrill holds drills against both Regions of the rehearsal, with the real binaries: one with a planned switchover, and one of
// a platform that loses payments, which has to be found out. Both at once, because each waits a minute of the machine's for the
// reconciliation.
func TestDrill(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes two minutes")
	}
	t.Parallel()
	program, dir := filepath.Join(t.TempDir(), "dr"), stackstest.Assembly(t, stackstest.Dev).Dir
	if out, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("build dr: %v\n%s", err, out)
	}
	overlay := overlays(t, map[string][2]string{
		// The table acknowledges every tenth payment and does not keep it.
		"../../internal/payment/sessiontable/sessiontable.go": {"\t_, err = t.client.PutItem(", "\tif p.TransactionID[len(p.TransactionID)-1] == '7' {\n\t\treturn p, false, nil\n\t}\n\t_, err = t.client.PutItem("},
		// The ledger takes another tenth and does not record it.
		"../../internal/payment/ledger/ledger.go": {"\tdistinct := distinct(payments)\n", "\tdistinct := slices.DeleteFunc(distinct(payments), func(p payment.Payment) bool { return p.TransactionID[len(p.TransactionID)-1] == '3' })\n"},
	})
	var good, bad held
	var both sync.WaitGroup
	both.Go(func() { good = holdDrill(t, program, dir, everything, "us-west-2", "", "--every", "5s") })
	both.Go(func() {
		bad = holdDrill(t, program, dir, lookingOn, "dev", "-overlay="+overlay, "--reconciled-within", "1s")
	})
	both.Wait()

	if good.status != 0 || good.report.Status != drill.StatusPass {
		t.Fatalf("status %d, %s:\n%s", good.status, good.report.Status, good.out)
	}
	if !strings.HasPrefix(good.report.Banner, "SIMULATED: ") || !strings.Contains(good.out, "SIMULATED: ") {
		t.Errorf("the banner is %q", good.report.Banner)
	}
	for _, name := range []drill.Name{
		drill.NamePaymentsRTO, drill.NameLedgerRTO, drill.NameBacklog, drill.NameLost, drill.NameMissing, drill.NameDoubled, drill.NameDifferent,
		drill.NameUnexplained, drill.NameDisagreeing, drill.NameReconciliation,
	} {
		if o := good.objective(name); o.Status != drill.StatusPass || o.Measured == nil {
			t.Errorf("%s: %s, %s", name, o.Status, o.Reason)
		}
	}
	// By the simulated clock the ledger waited for a switchover of a minute, and for a mapping of twenty seconds.
	if rto := good.objective(drill.NameLedgerRTO); !strings.HasPrefix(rto.Sources(), "assumed 1 min 20 s + observed ") {
		t.Errorf("the ledger was away: %s", rto.Sources())
	}
	if backlog := good.objective(drill.NameBacklog); !strings.HasPrefix(backlog.Sources(), "assumed ") || *backlog.Measured < 30 || good.objective(drill.NameRPO).Measured != nil {
		t.Errorf("the backlog: %s", backlog.Sources())
	}
	if found := regexp.MustCompile(`[0-9]{2}:[0-9]{2} UTC, clean`).FindString(good.out); found != "" {
		t.Errorf("a simulated time is labeled UTC: %q", found)
	}
	if r := good.report; !r.Clock.Simulated || r.Clock.Started.IsZero() || r.Clock.Took <= 0 || len(r.NotModeled) == 0 || len(r.Provenance) == 0 {
		t.Errorf("the report does not say how it was made: %+v, %d, %d", r.Clock, len(r.NotModeled), len(r.Provenance))
	}
	if len(good.report.Promotions) != 1 || good.report.Promotions[0].Region != "us-west-2" {
		t.Errorf("promotions: %+v", good.report.Promotions)
	}
	answered := map[string]bool{}
	for _, phase := range good.report.Phases {
		for _, region := range phase.Answered {
			answered[region.Name] = true
		}
	}
	if !answered["us-east-1"] || !answered["us-west-2"] {
		t.Errorf("payments were answered by %v", answered)
	}
	for _, says := range []string{"ok    writer", "ok    ledger        can be read in us-east-1", "Type us-west-2 to begin: ", "THE APPROVER HAS", "step ends: promote the database: completed"} {
		if !strings.Contains(good.out, says) {
			t.Errorf("it does not say %q:\n%s", says, good.out)
		}
	}

	if bad.status != exitFailed || bad.report.Status != drill.StatusFail {
		t.Errorf("a platform that loses payments: status %d, %s:\n%s", bad.status, bad.report.Status, bad.out)
	}
	for _, name := range []drill.Name{drill.NameLost, drill.NameMissing, drill.NameReconciliation} {
		if o := bad.objective(name); o.Status != drill.StatusFail || o.Measured == nil || *o.Measured < 1 {
			t.Errorf("a platform that loses payments: %s: %s, %v", name, o.Status, o.Measured)
		}
	}
}

// overlays is a file for go build's -overlay that changes files of the project: what stands there first is replaced by the second.
func overlays(t *testing.T, changes map[string][2]string) string {
	t.Helper()
	dir := t.TempDir()
	replaced := map[string]string{}
	for file, change := range changes {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		before, after, found := strings.Cut(string(source), change[0])
		if !found {
			t.Fatalf("%s has no %q: break it elsewhere", file, change[0])
		}
		path, err := filepath.Abs(file)
		if err != nil {
			t.Fatal(err)
		}
		replaced[path] = filepath.Join(dir, filepath.Base(file))
		if err := os.WriteFile(replaced[path], []byte(before+change[1]+after), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	content, err := json.Marshal(map[string]any{"Replace": replaced})
	if err != nil {
		t.Fatal(err)
	}
	overlay := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(overlay, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return overlay
}
