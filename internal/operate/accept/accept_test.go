package accept_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"payments-dr/client"
	"payments-dr/internal/assembly/cost"
	"payments-dr/internal/operate"
	"payments-dr/internal/operate/accept"
	"payments-dr/internal/operate/preflight"
	"payments-dr/internal/payment"
	"payments-dr/internal/settings"
)

// world is a platform that does as it should, but for the call that fails.
type world struct {
	mu    sync.Mutex
	fails string // the call that fails, or in which the process dies
	err   error
	dies  bool
	calls []string
	paid  map[payment.Identity]payment.Payment
	// sent are the payments through the public name, and answered changes the answer of a Region.
	sent     []payment.Identity
	answered func(region string, answer *client.Acceptance)
	// twice accepts a payment in each Region, and lost loses the answers of so many payments in both Regions.
	twice bool
	lost  int
	// read changes what is read.
	read func(*payment.Payment)
	left []preflight.Finding
	// gone is when what is left has no reason any more to be gone: the number of looks.
	looks, gone int
	moved       []time.Time
	clock       *time.Time
}

func newWorld(clock *time.Time) *world {
	return &world{paid: map[payment.Identity]payment.Payment{}, clock: clock,
		left: []preflight.Finding{{Level: preflight.Blocks, Region: "us-east-1", Found: "backup vault payment-dev | exists", Fix: "aws backup delete-backup-vault", Kept: "RetainExceptOnCreate"}}}
}

func (w *world) call(name string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.calls = append(w.calls, name)
	*w.clock = w.clock.Add(10 * time.Minute)
	if w.fails == name {
		if w.dies {
			panic("killed")
		}
		return w.err
	}
	return nil
}

func (w *world) Check(context.Context) error  { return w.call("check") }
func (w *world) Deploy(context.Context) error { return w.call("deploy") }

func (w *world) Pay(_ context.Context, region string, request payment.Request) (client.Acceptance, error) {
	name := "pay"
	if region != "" {
		name = "pay in " + region
	}
	if region == "" {
		w.sent = append(w.sent, request.Identity)
	}
	if err := w.call(name); err != nil {
		return client.Acceptance{}, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	before, replayed := w.paid[request.Identity]
	if region == "" || w.twice {
		replayed = replayed && region == ""
	}
	if !replayed {
		accepted := region
		if region == "" {
			accepted = "us-east-1"
		}
		before = payment.Payment{Identity: request.Identity, Amount: request.Amount, Region: accepted}
		w.paid[request.Identity] = before
	}
	answer := client.Acceptance{AcceptedIn: before.Region, Replayed: replayed}
	answer.Attempts = 1
	if region != "" && w.lost > 0 {
		answer.Replayed, answer.Attempts = true, 2
		answer.AcceptedIn = "us-east-1"
		if region == "us-west-2" {
			w.lost--
		}
	}
	if w.answered != nil && region != "" {
		w.answered(region, &answer)
	}
	return answer, nil
}

func (w *world) Read(_ context.Context, id payment.Identity) (payment.Payment, error) {
	if err := w.call("read"); err != nil {
		return payment.Payment{}, err
	}
	p := w.paid[id]
	if w.read != nil {
		w.read(&p)
	}
	return p, nil
}

func (w *world) Move(_ context.Context, move operate.Move, since time.Time) error {
	w.moved = append(w.moved, since)
	if !move.Planned || move.Back != (move.To == "us-east-1") {
		return errors.New("not a planned move and one back")
	}
	return w.call("move to " + move.To)
}

func (w *world) Change(context.Context) (string, error) {
	return "relayDelaySeconds: 60 → 61", w.call("change")
}
func (w *world) Destroy(context.Context) error { return w.call("destroy") }
func (w *world) Left(context.Context) []preflight.Finding {
	w.looks++
	found := slices.Clone(w.left)
	if w.looks <= w.gone {
		found = append(found, preflight.Finding{Level: preflight.Blocks, Region: "us-west-2", Found: "queue payment-dev-ledger exists"})
	}
	if err := w.call("left"); err != nil {
		return []preflight.Finding{{Level: preflight.Unknown, Found: err.Error()}}
	}
	return found
}

var whole = []string{"check", "deploy", "pay", "read", "pay in us-east-1", "pay in us-west-2", "move to us-west-2", "move to us-east-1", "change", "destroy", "left"}

// names are the steps', with the call that each makes last.
var names = []struct{ step, call string }{
	{"check the account", "check"}, {"deploy", "deploy"}, {"pay a test payment", "pay"}, {"read the payment", "read"}, {"pay in both Regions", "pay in us-west-2"},
	{"move to the other Region", "move to us-west-2"}, {"move back", "move to us-east-1"}, {"deploy a changed setting", "change"}, {"destroy", "destroy"}, {"look for leftovers", "left"},
}

type test struct {
	*accept.Run
	world *world
	dir   string
	clock *time.Time
}

func newTest(t *testing.T) *test {
	clock := time.Date(2026, 11, 27, 9, 0, 0, 0, time.UTC)
	s := &settings.Settings{Environment: "dev", Account: "111122223333"}
	s.Regions.Primary.Name, s.Regions.Secondary.Name, s.Ledger.ActiveRegion = "us-east-1", "us-west-2", settings.RolePrimary
	dir := t.TempDir()
	w := newWorld(&clock)
	return &test{&accept.Run{World: w, Settings: s, Month: cost.Whole(730), File: filepath.Join(dir, "accept", "dev.json"), Out: io.Discard,
		Now: func() time.Time { return clock }, Every: time.Microsecond, Patience: time.Hour}, w, dir, &clock}
}

// again is the run as the next process has it.
func (t *test) again(tb testing.TB) {
	tb.Helper()
	fresh := *t.Run
	fresh.State = accept.State{}
	t.Run = &fresh
	if err := t.Open(filepath.Join(t.dir, "another")); err != nil {
		tb.Fatal(err)
	}
}

func (t *test) report(tb testing.TB) (string, map[string]any) {
	tb.Helper()
	page, err := os.ReadFile(filepath.Join(t.State.Report, "report.md"))
	if err != nil {
		tb.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(t.State.Report, "report.json"))
	if err != nil {
		tb.Fatal(err)
	}
	var read map[string]any
	if err := json.Unmarshal(text, &read); err != nil {
		tb.Fatal(err)
	}
	return string(page), read
}

func (t *test) open(tb testing.TB) {
	tb.Helper()
	if err := t.Open(filepath.Join(t.dir, "report")); err != nil {
		tb.Fatal(err)
	}
}

func sorted(calls []string) []string { return slices.Sorted(slices.Values(calls)) }

func TestAccept(t *testing.T) {
	run := newTest(t)
	run.open(t)
	if err := run.Accept(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(sorted(run.world.calls), sorted(whole)) {
		t.Errorf("called %q", run.world.calls)
	}
	if _, err := os.Stat(run.File); !os.IsNotExist(err) {
		t.Errorf("the state of a test that is done is still there: %v", err)
	}
	page, report := run.report(t)
	for _, want := range []string{"# Acceptance test of dev: passed\n", "| 1. check the account | passed | 10m0s | 1 | done |", "| 6. move to the other Region | passed | 10m0s | 1 | us-west-2 is the writer",
		"1.00 XTS, accepted by us-east-1 |", "relayDelaySeconds: 60 → 61", "Deployed for 1h30m0s: $1.50 by the price table",
		`| us-east-1 | backup vault payment-dev \| exists | the templates keep it (RetainExceptOnCreate) | aws backup delete-backup-vault |`} {
		if !strings.Contains(page, want) {
			t.Errorf("the report has no %q:\n%s", want, page)
		}
	}
	if report["verdict"] != "passed" || report["usd"] != "1.5" || report["deployedSeconds"] != 5400.0 || len(report["steps"].([]any)) != 10 || len(report["left"].([]any)) != 1 {
		t.Errorf("%v", report)
	}
}

// Each step fails once. The error names it, the report says what failed, and the next run goes on with it and completes the test.
func TestEachStepFailsAndIsResumed(t *testing.T) {
	for i, step := range names {
		t.Run(step.step, func(t *testing.T) {
			run := newTest(t)
			run.world.fails, run.world.err = step.call, errors.New("access denied")
			run.open(t)
			err := run.Accept(t.Context())
			if err == nil || !strings.Contains(err.Error(), ", "+step.step+": ") || !strings.Contains(err.Error(), "access denied") {
				t.Fatalf("error %v", err)
			}
			page, report := run.report(t)
			if report["verdict"] != "not passed: "+step.step || !strings.Contains(page, step.step+" | failed | ") || !strings.Contains(page, "access denied |") {
				t.Errorf("%v\n%s", report["verdict"], page)
			}
			if deployed := i >= 1 && i < 9; strings.Contains(page, "may still be deployed") != deployed {
				t.Errorf("whether it is deployed is not %t:\n%s", deployed, page)
			}
			before := len(run.world.calls)
			run.world.fails = ""
			run.again(t)
			if next := run.State.Next(); next != i {
				t.Fatalf("step %d comes next, want %d", next, i)
			}
			if err := run.Accept(t.Context()); err != nil {
				t.Fatal(err)
			}
			if sent := run.world.sent; i == 2 && (len(sent) != 2 || sent[0] != sent[1]) {
				t.Errorf("sent %v, want the same payment again", sent)
			}
			first := slices.Index(whole, step.call)
			if step.call == "pay in us-west-2" {
				first-- // both payments are sent again
			}
			if got := run.world.calls[before:]; !slices.Equal(sorted(got), sorted(whole[first:])) {
				t.Errorf("the second run called %q, want %q", got, whole[first:])
			}
			page, report = run.report(t)
			if report["verdict"] != "passed" || !strings.Contains(page, step.step+" | passed | ") {
				t.Errorf("%v\n%s", report["verdict"], page)
			}
		})
	}
}

// A process that ends in the middle of a step leaves a state that names the step, and a move is taken up since its first attempt.
func TestABrokenOffStepIsResumed(t *testing.T) {
	run := newTest(t)
	run.open(t)
	run.world.fails, run.world.dies = "move to us-west-2", true
	func() {
		defer func() {
			if recover() == nil {
				t.Error("it did not die")
			}
		}()
		_ = run.Accept(t.Context())
	}()
	run.world.fails = ""
	run.again(t)
	if next := run.State.Next(); next != 5 || run.State.Steps[5].Saw != "it was broken off" {
		t.Fatalf("step %d comes next: %+v", next, run.State.Steps)
	}
	if err := run.Accept(t.Context()); err != nil {
		t.Fatal(err)
	}
	if moved := run.world.moved; len(moved) != 3 || moved[0] != moved[1] || moved[2] == moved[1] {
		t.Errorf("the moves were asked for since %v", moved)
	}
	if step := run.State.Steps[5]; step.Attempts != 2 {
		t.Errorf("%+v", step)
	}
}

func TestWhatTheAnswersHaveToBe(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*world)
		err    string
	}{
		{"accepted in both Regions", func(w *world) { w.twice = true }, "pay in both Regions: "},
		{"one Region says that it was accepted elsewhere", func(w *world) {
			w.answered = func(region string, answer *client.Acceptance) {
				answer.Replayed, answer.AcceptedIn = region == "us-west-2", region
			}
		}, "pay in both Regions: "},
		{"neither answer is a replay", func(w *world) {
			w.answered = func(_ string, answer *client.Acceptance) { answer.Replayed, answer.AcceptedIn = false, "us-east-1" }
		}, "pay in both Regions: "},
		{"the answer to the acceptance is lost once", func(w *world) { w.lost = 1 }, ""},
		{"another amount", func(w *world) { w.read = func(p *payment.Payment) { p.Amount, _ = p.Amount.Mul("2") } }, "read the payment: read "},
		{"another Region", func(w *world) { w.read = func(p *payment.Payment) { p.Region = "us-west-2" } }, "read the payment: read "},
		{"another payment", func(w *world) { w.read = func(p *payment.Payment) { p.TransactionID = "other" } }, "read the payment: read "},
		{"a queue is told of for a while", func(w *world) { w.gone = 3 }, ""},
		{"a queue stays", func(w *world) { w.gone = 1000 }, "look for leftovers: 1 are left that should be gone, or could not be looked for: us-west-2: queue payment-dev-ledger exists"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			run := newTest(t)
			tt.change(run.world)
			run.open(t)
			err := run.Accept(t.Context())
			if tt.err == "" && err != nil || tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)) {
				t.Errorf("error %v, want %q", err, tt.err)
			}
			if page, _ := run.report(t); strings.Contains(tt.err, "queue") && !strings.Contains(page, "queue payment-dev-ledger exists | **no reason is known**") {
				t.Errorf("the report:\n%s", page)
			}
		})
	}
}

// A clean-up destroys whatever there is, at any time, and can be repeated.
func TestCleanUp(t *testing.T) {
	for i, step := range append(slices.Clone(names), struct{ step, call string }{"", ""}) {
		t.Run(step.step, func(t *testing.T) {
			run := newTest(t)
			run.open(t)
			if step.step != "" {
				run.world.fails, run.world.err = step.call, errors.New("access denied")
				_ = run.Accept(t.Context())
				run.again(t)
			}
			run.world.calls, run.world.fails, run.world.err = nil, "destroy", errors.New("DELETE_FAILED")
			if i == 0 { // nothing was deployed
				if err := run.CleanUp(t.Context()); err != nil || len(run.world.calls) > 0 {
					t.Errorf("%v, called %q", err, run.world.calls)
				}
				run.again(t) // no state: a person wants whatever there is destroyed
			}
			if err := run.CleanUp(t.Context()); err == nil || !strings.Contains(err.Error(), "destroy: DELETE_FAILED") {
				t.Errorf("error %v", err)
			}
			run.again(t)
			if err := run.Accept(t.Context()); err == nil || !strings.Contains(err.Error(), "was given up") {
				t.Errorf("a test that was given up goes on: %v", err)
			}
			run.world.fails = ""
			if err := run.CleanUp(t.Context()); err != nil {
				t.Fatal(err)
			}
			want := "given up, and cleaned up"
			if i == 8 || i == 9 { // all else had passed
				want = "passed"
			}
			if _, report := run.report(t); report["verdict"] != want {
				t.Errorf("verdict %v, want %s", report["verdict"], want)
			}
			if want := []string{"destroy", "destroy", "left"}; !slices.Equal(run.world.calls, want) {
				t.Errorf("called %q, want %q", run.world.calls, want)
			}
			run.again(t)
			if err := run.CleanUp(t.Context()); err != nil {
				t.Errorf("a second time: %v", err)
			}
		})
	}
}

func TestStateIsOfTheEnvironment(t *testing.T) {
	for name, change := range map[string]func(*accept.State){
		"it is of another environment, ":        func(s *accept.State) { s.Environment = "prod" },
		"of another environment, account or":    func(s *accept.State) { s.Account = "444455556666" },
		"account or release":                    func(s *accept.State) { s.Steps = s.Steps[1:] },
		"json: cannot unmarshal string into Go": nil,
	} {
		run := newTest(t)
		run.open(t)
		text := []byte(`"none"`)
		if change != nil {
			change(&run.State)
			text, _ = json.Marshal(run.State)
		}
		if err := os.MkdirAll(filepath.Dir(run.File), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(run.File, text, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := run.Open("x"); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("error %v, want %q", err, name)
		}
	}
}
