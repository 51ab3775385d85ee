// Package accept is the acceptance test of the platform in an AWS account: it deploys an environment, pays, moves the ledger to the other
// Region and back, deploys a changed setting, destroys the environment, and looks what is left. Each step can be repeated. What was done is
// kept in a file, so that the next run goes on with the step that has not passed.
package accept

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	smithytime "github.com/aws/smithy-go/time"

	"payments-dr/client"
	"payments-dr/internal/assembly/cost"
	"payments-dr/internal/operate"
	"payments-dr/internal/operate/preflight"
	"payments-dr/internal/payment"
	"payments-dr/internal/settings"
)

// World is what the steps act on.
type World interface {
	// Check fails if the environment is deployed already, or if something would stop its deployment.
	Check(context.Context) error
	// Deploy deploys the environment, or goes on with a deployment that was not completed.
	Deploy(context.Context) error
	// Pay sends a payment to a Region's API, or through the public name if region is empty.
	Pay(ctx context.Context, region string, request payment.Request) (client.Acceptance, error)
	// Read reads a payment through the public name.
	Read(context.Context, payment.Identity) (payment.Payment, error)
	// Move makes a planned move and waits for the reconciliation. One that began after since is followed, and not started again.
	Move(ctx context.Context, move operate.Move, since time.Time) error
	// Change deploys a setting that differs, and says which.
	Change(context.Context) (string, error)
	// Destroy takes off the protections of the templates, and destroys all stacks that exist.
	Destroy(context.Context) error
	// Left is what still exists.
	Left(context.Context) []preflight.Finding
}

// notYet is an error that may be gone at the next attempt.
type notYet struct{ error }

func (n notYet) Unwrap() error { return n.error }

// How a step has ended.
const passed, failed, notRun = "passed", "failed", "not run"

// Step is what is known of one step.
type Step struct {
	Name string `json:"name"`
	// Result is passed, failed or not run.
	Result string `json:"result"`
	// Began is when it was first tried, and Seconds how long all attempts took.
	Began    time.Time `json:"began,omitzero"`
	Seconds  float64   `json:"seconds"`
	Attempts int       `json:"attempts"`
	// Saw is what was seen, or why it failed.
	Saw string `json:"saw,omitempty"`
}

// State is what is known of a test.
type State struct {
	Environment string `json:"environment"`
	Account     string `json:"account"`
	// Report is the folder of the report.
	Report string    `json:"report"`
	Began  time.Time `json:"began"`
	Steps  []Step    `json:"steps"`
	// Payment is the test payment, and AcceptedIn the Region that accepted it.
	Payment    payment.Identity `json:"payment"`
	AcceptedIn string           `json:"acceptedIn,omitempty"`
	// Deployed is when the deployment began, and Destroyed when the stacks were gone.
	Deployed  time.Time `json:"deployed,omitzero"`
	Destroyed time.Time `json:"destroyed,omitzero"`
	// GivenUp is set by a clean-up.
	GivenUp bool `json:"givenUp,omitempty"`
	// Left is what was left.
	Left []preflight.Finding `json:"left"`
}

// Run is one test.
type Run struct {
	State    State
	World    World
	Settings *settings.Settings
	// Month is what the environment costs a month without payments.
	Month cost.Decimal
	// File is where the state is kept until the test is done.
	File string
	Out  io.Writer
	Now  func() time.Time
	// Every is how long to wait before something is tried again, and Patience for how long: names in DNS, metrics and deletions take a while.
	Every, Patience time.Duration
}

type work struct {
	name string
	run  func(*Run, context.Context, *Step) error
}

// steps are in their order. Those from firstOfCleanUp on are a clean-up.
var steps = []work{
	{"check the account", func(r *Run, ctx context.Context, _ *Step) error { return r.World.Check(ctx) }},
	{"deploy", func(r *Run, ctx context.Context, _ *Step) error {
		if r.State.Deployed.IsZero() { // it costs from here on
			r.State.Deployed = r.Now().UTC()
		}
		return errors.Join(r.save(), r.World.Deploy(ctx))
	}},
	{"pay a test payment", (*Run).pay},
	{"read the payment", (*Run).read},
	{"pay in both Regions", (*Run).payTwice},
	{"move to the other Region", func(r *Run, ctx context.Context, s *Step) error { return r.move(ctx, s, false) }},
	{"move back", func(r *Run, ctx context.Context, s *Step) error { return r.move(ctx, s, true) }},
	{"deploy a changed setting", func(r *Run, ctx context.Context, s *Step) (err error) { s.Saw, err = r.World.Change(ctx); return err }},
	{"destroy", func(r *Run, ctx context.Context, _ *Step) error {
		err := r.World.Destroy(ctx)
		if err == nil {
			r.State.Destroyed = r.Now().UTC()
		}
		return err
	}},
	{"look for leftovers", (*Run).left},
}

const firstOfCleanUp = 8

// Open reads the state, or begins one with its report in a folder. The state has to be of the settings' environment and account.
func (r *Run) Open(report string) error {
	content, err := os.ReadFile(r.File)
	if errors.Is(err, os.ErrNotExist) {
		r.State = State{Environment: r.Settings.Environment, Account: r.Settings.Account, Report: report, Began: r.Now().UTC()}
		for _, step := range steps {
			r.State.Steps = append(r.State.Steps, Step{Name: step.name, Result: notRun})
		}
		return nil
	}
	if err == nil {
		err = json.Unmarshal(content, &r.State)
	}
	same := func(step Step, known work) bool { return step.Name == known.name }
	if err == nil && (r.State.Environment != r.Settings.Environment || r.State.Account != r.Settings.Account || !slices.EqualFunc(r.State.Steps, steps, same)) {
		err = errors.New("it is of another environment, account or release")
	}
	if err != nil {
		return fmt.Errorf("read state %s: %w", r.File, err)
	}
	return nil
}

// Next is the step that comes next; -1 if all have passed.
func (s *State) Next() int {
	return slices.IndexFunc(s.Steps, func(step Step) bool { return step.Result != passed })
}

// Accept runs the steps that have not passed, in their order, until one fails. Its error names the step. The report is written either way.
func (r *Run) Accept(ctx context.Context) error {
	if r.State.GivenUp {
		return errors.New("the test was given up, and its environment may still be there: end it with dr accept --clean-up")
	}
	return r.steps(ctx, 0)
}

// CleanUp destroys the environment and looks what is left. A test that stopped before it deployed anything destroys nothing: what is there
// is somebody else's.
func (r *Run) CleanUp(ctx context.Context) error {
	if r.State.Steps[0].Attempts > 0 && r.State.Deployed.IsZero() {
		fmt.Fprintln(r.Out, "The test has deployed nothing, so nothing is destroyed.")
		return os.Remove(r.File)
	}
	r.State.GivenUp = true
	for i := firstOfCleanUp; i < len(steps); i++ {
		r.State.Steps[i].Result = notRun
	}
	return r.steps(ctx, firstOfCleanUp)
}

func (r *Run) steps(ctx context.Context, first int) error {
	for i := first; i < len(steps); i++ {
		if r.State.Steps[i].Result == passed {
			continue
		}
		if err := r.step(ctx, i); err != nil {
			return errors.Join(fmt.Errorf("step %d of %d, %s: %w", i+1, len(steps), steps[i].name, err), r.save(), r.writeReport())
		}
	}
	if err := r.writeReport(); err != nil {
		return err
	}
	return os.Remove(r.File)
}

// step runs one step, and keeps how it went.
func (r *Run) step(ctx context.Context, i int) error {
	step, began := &r.State.Steps[i], r.Now().UTC()
	if step.Began.IsZero() {
		step.Began = began
	}
	step.Attempts++
	step.Result, step.Saw = failed, "it was broken off"
	if err := r.save(); err != nil { // the next run goes on here if this one ends
		return err
	}
	fmt.Fprintf(r.Out, "[%d/%d] %s\n", i+1, len(steps), step.Name)
	step.Saw = "done"
	err := steps[i].run(r, ctx, step)
	took := r.Now().Sub(began)
	step.Seconds += took.Seconds()
	if err != nil {
		step.Saw = err.Error()
		return err
	}
	step.Result = passed
	fmt.Fprintf(r.Out, "        passed in %s: %s\n", took.Round(time.Second), step.Saw)
	return r.save()
}

// save writes the state, whole or not at all.
func (r *Run) save() error { return writeJSON(r.File, r.State) }

func writeJSON(path string, value any) error {
	text, err := json.MarshalIndent(value, "", "  ")
	return errors.Join(err, write(path, append(text, '\n')))
}

func write(path string, text []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(path+".new", text, 0o644); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// until tries again what is not yet so, for as long as the patience lasts.
func (r *Run) until(ctx context.Context, try func() error) error {
	began, told := r.Now(), ""
	for {
		err := try()
		if _, again := errors.AsType[notYet](err); !again || r.Now().Sub(began) >= r.Patience {
			return err
		}
		if told != err.Error() {
			told = err.Error()
			fmt.Fprintf(r.Out, "        %s; trying again for up to %s\n", told, r.Patience)
		}
		if smithytime.SleepWithContext(ctx, r.Every) != nil {
			return err
		}
	}
}

// newPayment is a test payment with an identity of its own.
func newPayment() payment.Request {
	request, err := payment.ParseRequest([]byte(`{"amount":"1.00","currency":"XTS"}`))
	if err != nil {
		panic(err) // a constant, and no randomness
	}
	return request
}

func (r *Run) pay(ctx context.Context, s *Step) error {
	request := newPayment()
	if r.State.Payment.TransactionID != "" { // sent before: the same payment again
		request.Identity = r.State.Payment
	}
	r.State.Payment = request.Identity
	return r.until(ctx, func() error {
		accepted, err := r.World.Pay(ctx, "", request)
		r.State.AcceptedIn = accepted.AcceptedIn
		s.Saw = fmt.Sprintf("%s was accepted by %s in %d ms", request.TransactionID, accepted.AcceptedIn, accepted.Latency.Milliseconds())
		return err
	})
}

func (r *Run) read(ctx context.Context, s *Step) error {
	return r.until(ctx, func() error {
		found, err := r.World.Read(ctx, r.State.Payment)
		s.Saw = fmt.Sprintf("%s %s, accepted by %s", found.Amount.Number(), found.Amount.CurrencyCode(), found.Region)
		if want := "1.00 XTS, accepted by " + r.State.AcceptedIn; err == nil && (found.Identity != r.State.Payment || s.Saw != want) {
			return fmt.Errorf("read %s: %s; want %s: %s", found.TransactionID, s.Saw, r.State.Payment.TransactionID, want)
		}
		return err
	})
}

// payTwice sends one new payment to both Regions at once. An eventually consistent table may accept it in both, so there the second
// Region gets it when the acceptance should have been copied.
func (r *Run) payTwice(ctx context.Context, s *Step) error {
	return r.until(ctx, func() error {
		request := newPayment()
		answers, errs, both := [2]client.Acceptance{}, [2]error{}, sync.WaitGroup{}
		for i, region := range r.Settings.Both() {
			if i == 1 && r.Settings.Session.Consistency == settings.ConsistencyEventual {
				both.Wait()
				_ = smithytime.SleepWithContext(ctx, r.Every) // Pay returns the context's error
			}
			both.Go(func() { answers[i], errs[i] = r.World.Pay(ctx, region.Name, request) })
		}
		both.Wait()
		if err := cmp.Or(errs[0], errs[1]); err != nil {
			return err
		}
		first, second := answers[0], answers[1]
		s.Saw = fmt.Sprintf("%s: accepted by %s and %s, replayed %t and %t", request.TransactionID, first.AcceptedIn, second.AcceptedIn, first.Replayed, second.Replayed)
		switch {
		case first.Replayed != second.Replayed && first.AcceptedIn == second.AcceptedIn:
			return nil
		case first.Replayed && second.Replayed && first.Attempts+second.Attempts > 2: // the answer that accepted it was lost
			return notYet{errors.New(s.Saw)}
		}
		return fmt.Errorf("%s; want one acceptance and one replay", s.Saw)
	})
}

func (r *Run) move(ctx context.Context, s *Step, back bool) error {
	to := r.Settings.ActiveRegion()
	if !back {
		to = r.Settings.Other(to)
	}
	s.Saw = to.Name + " is the writer, and the ledger is reconciled"
	return r.until(ctx, func() error { return r.World.Move(ctx, operate.Move{To: to.Name, Planned: true, Back: back}, s.Began) })
}

// left looks until nothing is there but what the templates keep.
func (r *Run) left(ctx context.Context, s *Step) error {
	return r.until(ctx, func() error {
		r.State.Left = r.World.Left(ctx)
		var unexpected []string
		for _, f := range r.State.Left {
			if f.Kept == "" {
				unexpected = append(unexpected, strings.TrimPrefix(f.Region+": ", ": ")+f.Found)
			}
		}
		s.Saw = fmt.Sprintf("%d are left, by the deletion policies of the templates", len(r.State.Left))
		if len(unexpected) > 0 {
			return notYet{fmt.Errorf("%d are left that should be gone, or could not be looked for: %s", len(unexpected), strings.Join(unexpected, "; "))}
		}
		return nil
	})
}
