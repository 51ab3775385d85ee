package operate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	lambdatypes "github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"payments-dr/internal/payment/functionerror"
	"payments-dr/internal/payment/reconcile"
)

const (
	// ReconcileSettle is how long before now a window of the reconciliation ends at the latest. The function asks for a minute; the
	// second one is for a clock that is not the function's.
	ReconcileSettle = 2 * time.Minute
	// roleTimeout bounds the question whether a Region's database takes writes: the function may have to be started for it.
	roleTimeout = 15 * time.Second
	// invokeTimeout is longer than any invocation: 15 minutes ("Lambda quotas", AWS Lambda Developer Guide).
	invokeTimeout = 16 * time.Minute
	// leastWindow is what is no longer halved when the function runs out of time over it: the function works off ten minutes at once.
	leastWindow = 10 * time.Minute
)

// FunctionAPI is what is asked of Lambda in one Region.
type FunctionAPI interface {
	Invoke(context.Context, *lambda.InvokeInput, ...func(*lambda.Options)) (*lambda.InvokeOutput, error)
}

var _ FunctionAPI = (*lambda.Client)(nil)

// Reconciler asks a Region's reconciliation for windows, and adds up what it says.
type Reconciler struct {
	Functions FunctionAPI
	Function  string
}

// Reconciler makes one for a Region.
func (d *Deployment) Reconciler(region Region) Reconciler {
	return Reconciler{
		Function: ReconcileFunction(d.Settings),
		Functions: lambda.NewFromConfig(region.within(invokeTimeout), func(o *lambda.Options) {
			o.Retryer = aws.NopRetryer{} // asked again it would run twice
		}),
	}
}

// TakesWrites reports whether the Region's cluster takes writes, as the function finds it. Its error is a Problem.
func (r Reconciler) TakesWrites(ctx context.Context) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, roleTimeout)
	defer cancel()
	payload, err := r.invoke(ctx, map[string]bool{"role": true})
	if err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return false, &Problem{KindUnreachable, "its reconciliation gives no answer within " + roleTimeout.String()}
	}
	if err != nil {
		return false, err
	}
	var role struct {
		Reader      *bool
		Unreachable bool
	}
	if err := json.Unmarshal(payload, &role); err != nil || role.Reader == nil && !role.Unreachable {
		return false, Explain(errMalformed)
	}
	if role.Unreachable {
		return false, &Problem{KindUnreachable, "its functions do not reach its database"}
	}
	return !*role.Reader, nil
}

// ranOut is whether the function failed for want of time: by its own word, or because Lambda ended it.
func ranOut(e *functionerror.Error) bool {
	return strings.Contains(e.Message, context.DeadlineExceeded.Error()) || strings.Contains(e.Message, "timed out")
}

func (r Reconciler) invoke(ctx context.Context, event any) ([]byte, error) {
	payload, err := json.Marshal(event)
	if err != nil {
		return nil, err
	}
	out, err := r.Functions.Invoke(ctx, &lambda.InvokeInput{FunctionName: &r.Function, Payload: payload})
	if _, missing := errors.AsType[*lambdatypes.ResourceNotFoundException](err); missing {
		return nil, &Problem{KindNotDeployed, "there is no function " + r.Function + " here"}
	}
	if err != nil {
		return nil, Explain(err)
	}
	if out.FunctionError == nil {
		return out.Payload, nil
	}
	failed, named := functionerror.Parse(out.Payload)
	if !named {
		failed.Message = aws.ToString(out.FunctionError)
	}
	return nil, failed
}

// ReconciledWindow is what a reconciliation has found in all of a window.
type ReconciledWindow struct {
	Region string    `json:"region"`
	From   time.Time `json:"from"`
	To     time.Time `json:"to"`
	DryRun bool      `json:"dryRun"`
	// Clean is whether ledger and table agree after it.
	Clean  bool             `json:"clean"`
	Counts reconcile.Counts `json:"counts"`
	Sums   []reconcile.Sum  `json:"sums"`
	// Reports are the function's, a part of the window each, in their order.
	Reports []reconcile.Report `json:"reports"`
	// Tries is how many invocations ran out of time. Some of what is not missing any more, one of them may have recorded.
	Tries int `json:"ranOutOfTime"`
}

// UnfinishedError says that a window was not reconciled to its end. What was done stays done, and doing it again does no harm.
type UnfinishedError struct {
	// DoneUpTo is the moment up to which there are reports.
	DoneUpTo time.Time
	// Cause is a Problem.
	Cause error
}

func (e *UnfinishedError) Error() string {
	return fmt.Sprintf("not reconciled from %s on: %v", e.DoneUpTo.Format(time.RFC3339), e.Cause)
}
func (e *UnfinishedError) Unwrap() error { return e.Cause }

// Run has a window reconciled in parts of a length, one after the other, and tells of each. A part that the function runs out of time
// over is halved. The error is an UnfinishedError; what was found until then is returned with it.
func (r Reconciler) Run(ctx context.Context, region string, window reconcile.Window, part time.Duration, dryRun bool, tell func(reconcile.Report)) (ReconciledWindow, error) {
	total := ReconciledWindow{Region: region, From: window.From.UTC(), To: window.To.UTC(), DryRun: dryRun, Sums: []reconcile.Sum{}, Reports: []reconcile.Report{}}
	var parts []reconcile.Window
	for from := window.From; from.Before(window.To); from = from.Add(part) {
		to := from.Add(part)
		if to.After(window.To) {
			to = window.To
		}
		parts = append(parts, reconcile.Window{From: from.UTC(), To: to.UTC()})
	}
	for len(parts) > 0 {
		next := parts[0]
		report, err := r.Report(ctx, next, dryRun)
		if failed, ok := errors.AsType[*functionerror.Error](err); ok && ranOut(failed) && next.To.Sub(next.From) > leastWindow && ctx.Err() == nil {
			total.Tries++
			middle := next.From.Add(next.To.Sub(next.From) / 2).Truncate(time.Second)
			parts = slices.Insert(parts, 1, reconcile.Window{From: middle, To: next.To})
			parts[0].To = middle
			continue
		}
		if err != nil {
			return total, &UnfinishedError{DoneUpTo: next.From, Cause: Explain(err)}
		}
		total.add(report)
		if tell != nil {
			tell(report)
		}
		parts = parts[1:]
	}
	total.Clean = len(total.Reports) > 0 && !slices.ContainsFunc(total.Reports, func(report reconcile.Report) bool { return !report.Clean() })
	return total, nil
}

// Report reconciles one window in one invocation. It returns an error if the function does not come to the window's end, or if
// its answer is not a report of this window.
func (r Reconciler) Report(ctx context.Context, w reconcile.Window, dryRun bool) (reconcile.Report, error) {
	payload, err := r.invoke(ctx, map[string]any{"from": w.From.Format(time.RFC3339Nano), "to": w.To.Format(time.RFC3339Nano), "dryRun": dryRun})
	if err != nil {
		return reconcile.Report{}, err
	}
	var said struct{ Clean *bool }
	var report reconcile.Report
	if err := errors.Join(json.Unmarshal(payload, &said), json.Unmarshal(payload, &report)); err != nil || said.Clean == nil {
		return report, errMalformed
	}
	// A report of another window, or one that contradicts itself, proves nothing.
	if !report.From.Equal(w.From) || !report.To.Equal(w.To) || report.DryRun != dryRun || !report.Complete || *said.Clean != report.Clean() {
		return report, fmt.Errorf("%w: it is no report of %v", errMalformed, w)
	}
	return report, nil
}

func (t *ReconciledWindow) add(r reconcile.Report) {
	t.Reports = append(t.Reports, r)
	totals := reconcile.Totals{Counts: t.Counts, Sums: t.Sums}
	totals.Add(r)
	t.Counts, t.Sums = totals.Counts, totals.Sums
}

// ReportLine is a report in a line.
func ReportLine(r reconcile.Report) string {
	c := r.Counts
	counts := Reconciliation{
		Payments: c.Table, Missing: &c.Missing, Repaired: &c.Repaired, Conflicting: &c.Conflicting, Differing: &c.Differing,
		Unaccounted: &c.Unaccounted, Unreadable: &c.Unreadable, Clean: aws.Bool(r.Clean()),
	}
	return fmt.Sprintf("%s to %s  %s, %s", r.From.Format("2006-01-02 15:04:05"), r.To.Format("2006-01-02 15:04:05"), counts, short(time.Duration(r.DurationMilliseconds)*time.Millisecond))
}

// Write writes the whole for people. The examples' ids are clients' own: they are for a screen, and belong in no log.
func (t ReconciledWindow) Write(out io.Writer, colour bool) {
	s := screen{colour: colour}
	c := t.Counts
	fmt.Fprintf(out, "\nPayments     %d in the table; %d in the ledger before, %d now\n", c.Table, c.LedgerBefore, c.Ledger)
	fmt.Fprintf(out, "Missing      %d, of which recorded again %d\n", c.Missing, c.Repaired)
	fmt.Fprintf(out, "Conflicting  %d, differing %d, unaccounted %d, unreadable %d\n", c.Conflicting, c.Differing, c.Unaccounted, c.Unreadable)
	if c.Late > 0 {
		fmt.Fprintf(out, "Late         %d: the ledger has them, and they have not arrived in this Region's replica of the table\n", c.Late)
	}
	for _, sum := range t.Sums {
		word := "the same"
		if sum.Table != sum.Ledger {
			word = "NOT THE SAME"
		}
		fmt.Fprintf(out, "Sum          %s %s in the table, %s in the ledger: %s\n", sum.Currency, sum.Table, sum.Ledger, word)
	}
	if t.Tries > 0 {
		fmt.Fprintf(out, "Invocations that ran out of time: %d. What they recorded is not missing any more, and is not counted here.\n", t.Tries)
	}
	for _, r := range t.Reports {
		for _, list := range []struct {
			name     string
			examples []reconcile.Example
		}{{"missing", r.Examples.Missing}, {"conflicting", r.Examples.Conflicting}, {"differing", r.Examples.Differing}, {"unaccounted", r.Examples.Unaccounted}, {"unreadable", r.Examples.Unreadable}} {
			for _, e := range list.examples {
				if list.name == "missing" && !t.DryRun {
					continue // it is there now
				}
				fmt.Fprintf(out, "  %-11s  %s\n", list.name, printable(fmt.Sprintf("%s / %s: table %s, ledger %s", e.SessionID, e.TransactionID, orNothing(e.Table.String()), orNothing(e.Ledger.String()))))
			}
		}
	}
	if t.Clean {
		fmt.Fprintf(out, "\n%s\n", s.paint(green, "Clean: every payment that was accepted in the window is in the ledger, over the same money, and no other."))
	} else {
		fmt.Fprintf(out, "\n%s\n", s.paint(red, "Not clean."))
	}
}

func orNothing(text string) string {
	if text == "" {
		return "nothing"
	}
	return text
}
