package operate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/arcregionswitch"
	plantypes "github.com/aws/aws-sdk-go-v2/service/arcregionswitch/types"
	smithytime "github.com/aws/smithy-go/time"
)

// Follower follows an execution of the plan.
type Follower struct {
	Deployment *Deployment
	// Region is where the execution runs: the one that is activated.
	Region  string
	PlanARN string
	ID      string
	// Every is how long to wait between two looks.
	Every time.Duration
	// Patience is how long the Region may give no answer before following it is given up.
	Patience time.Duration
	// ReconciledWithin is how long to wait, after the execution's end, for the word of the reconciliation.
	ReconciledWithin time.Duration
	// Out is told what happens, a line each.
	Out io.Writer
	// Changed, if given, is handed each answer of the Region, and tells of the steps in place of Out.
	Changed func(*arcregionswitch.GetPlanExecutionOutput)
}

// The errors of following. The execution goes on in each but the last two.
var (
	// ErrLeft: the follower was interrupted.
	ErrLeft = errors.New("the execution goes on without being watched")
	// ErrLost: the Region gives no answer any more, or none to these credentials.
	ErrLost = errors.New("the execution cannot be watched any more, and may go on")
	// ErrNotDone: the execution has ended otherwise than with everything done.
	ErrNotDone = errors.New("the execution has not done everything")
	// ErrNotClean: the reconciliation after the move found what it could not repair.
	ErrNotClean = errors.New("the reconciliation is not clean")
	// ErrNoVerdict: the execution has done everything, and no reconciliation has told what it cost.
	ErrNoVerdict = errors.New("no reconciliation has come to its end")
)

// Follow tells each step of the execution as it changes, until its end, and then what the reconciliation found.
func (f Follower) Follow(ctx context.Context) error {
	d := f.Deployment
	region, err := d.Region(f.Region)
	if err != nil {
		return err
	}
	told := map[string]plantypes.StepStatus{}
	var state plantypes.ExecutionState
	silentSince := time.Time{}
	late := false
	for {
		e, err := limited(ctx, func(ctx context.Context) (*arcregionswitch.GetPlanExecutionOutput, error) {
			return region.Plan.GetPlanExecution(ctx, &arcregionswitch.GetPlanExecutionInput{PlanArn: &f.PlanARN, ExecutionId: &f.ID})
		})
		if err == nil && (e.StartTime == nil || e.ExecutionState == "") {
			err = fmt.Errorf("%w: it has no state or no time", errMalformed)
		}
		switch {
		case ctx.Err() != nil:
			return ErrLeft
		case err != nil:
			problem := Explain(err)
			if kind := problem.Kind; kind != KindUnreachable && kind != KindThrottled && kind != KindMalformed {
				if _, missing := errors.AsType[*plantypes.ResourceNotFoundException](err); missing {
					return fmt.Errorf("the plan has no execution %s in %s", f.ID, f.Region)
				}
				return fmt.Errorf("%w: %s: %w", ErrLost, f.Region, problem)
			}
			if silentSince.IsZero() {
				silentSince = d.Now()
				fmt.Fprintf(f.Out, "         %s: %s; the execution goes on, asking again\n", f.Region, problem.Text)
			}
			if d.Now().Sub(silentSince) >= f.Patience {
				return fmt.Errorf("%w: %s: %w", ErrLost, f.Region, problem)
			}
		default:
			if !silentSince.IsZero() {
				fmt.Fprintf(f.Out, "         %s answers again\n", f.Region)
			}
			silentSince = time.Time{}
			if f.Changed != nil {
				f.Changed(e)
			}
			elapsed := d.Now().Sub(aws.ToTime(e.StartTime))
			if end := aws.ToTime(e.EndTime); !end.IsZero() {
				elapsed = end.Sub(aws.ToTime(e.StartTime))
			}
			if f.Changed == nil {
				f.tellSteps(e, told, elapsed)
			}
			if e.ExecutionState != state {
				state = e.ExecutionState
				f.tellState(e, elapsed)
			}
			if rto := time.Duration(d.Settings.Objectives.RTOMinutes) * time.Minute; elapsed > rto && !late {
				late = true
				f.line(elapsed, "over the objective of %dm", d.Settings.Objectives.RTOMinutes)
			}
			if ended(state) {
				return f.end(ctx, e, elapsed)
			}
		}
		if smithytime.SleepWithContext(ctx, f.Every) != nil {
			return ErrLeft
		}
	}
}

func (f Follower) line(elapsed time.Duration, format string, args ...any) {
	fmt.Fprintf(f.Out, "%8s  %s\n", "+"+short(elapsed), fmt.Sprintf(format, args...))
}

func (f Follower) tellSteps(e *arcregionswitch.GetPlanExecutionOutput, told map[string]plantypes.StepStatus, elapsed time.Duration) {
	limits := map[string]int{}
	for _, step := range f.Deployment.steps() {
		limits[step.name] = step.minutes
	}
	for _, step := range e.StepStates {
		name := aws.ToString(step.Name)
		if told[name] == step.Status || step.Status == plantypes.StepStatusNotStarted {
			continue
		}
		told[name] = step.Status
		at, note := elapsed, ""
		began, end := aws.ToTime(step.StartTime), aws.ToTime(step.EndTime)
		switch {
		case !end.IsZero() && !began.IsZero():
			at, note = end.Sub(aws.ToTime(e.StartTime)), ", took "+short(end.Sub(began))
		case !began.IsZero():
			at = began.Sub(aws.ToTime(e.StartTime))
		}
		if limit, ok := limits[name]; ok && end.IsZero() {
			note += fmt.Sprintf(", limit %dm", limit)
		}
		f.line(at, "%-24s %s%s", printable(name), step.Status, note)
	}
}

func (f Follower) tellState(e *arcregionswitch.GetPlanExecutionOutput, elapsed time.Duration) {
	s := f.Deployment.Settings
	switch e.ExecutionState {
	case plantypes.ExecutionStatePendingManualApproval:
		f.line(elapsed, "THE APPROVER HAS %dm. Signed in as %s, they look at it (%s, %s, %q) and approve:", s.Recovery.StepMinutes.Approval, ApproverRole(s),
			f.Region, e.Mode, printable(aws.ToString(e.Comment)))
		fmt.Fprintf(f.Out, "          aws arc-region-switch approve-plan-execution-step --region %s --plan-arn %s \\\n              --execution-id %s --step-name %q --approval approve\n",
			f.Region, f.PlanARN, f.ID, StepApprove)
	case plantypes.ExecutionStatePausedByFailedStep:
		f.line(elapsed, "PAUSED: a step failed, and the plan waits for you. docs/operate/runbook.md, chapter 6, says of each step whether to try it again,")
		fmt.Fprintf(f.Out, "          to skip it, or to make it ungraceful. To try again:\n          aws arc-region-switch update-plan-execution --region %s --plan-arn %s \\\n              --execution-id %s --action resume --comment \"tried again\"\n",
			f.Region, f.PlanARN, f.ID)
	case plantypes.ExecutionStatePausedByOperator:
		f.line(elapsed, "PAUSED by somebody. It goes on when it is resumed: docs/operate/runbook.md, chapter 6.")
	}
}

// end says how the execution ended, and waits for the reconciliation if there is one to wait for.
func (f Follower) end(ctx context.Context, e *arcregionswitch.GetPlanExecutionOutput, elapsed time.Duration) error {
	rto := f.Deployment.Settings.Objectives.RTOMinutes
	var skipped []string
	promoted := aws.ToTime(e.StartTime)
	for _, step := range e.StepStates {
		name := aws.ToString(step.Name)
		if name == StepPromote && step.EndTime != nil {
			promoted = *step.EndTime
		}
		byMode := e.Mode == plantypes.ExecutionModeUngraceful && (name == StepReconcile || name == StepStopLedger)
		if step.Status == plantypes.StepStatusSkipped && !byMode {
			skipped = append(skipped, name)
		}
	}
	f.line(elapsed, "%s, the objective is %dm", e.ExecutionState, rto)
	switch e.ExecutionState {
	case plantypes.ExecutionStateCompleted, plantypes.ExecutionStateCompletedMonitoringApplicationHealth, plantypes.ExecutionStateCompletedWithExceptions:
	default:
		return fmt.Errorf("%w: it is %s. What was done stays done; docs/operate/runbook.md, chapter 6", ErrNotDone, e.ExecutionState)
	}
	if e.Mode == plantypes.ExecutionModeUngraceful {
		fmt.Fprintf(f.Out, "When %s is back: stop its ledger first (docs/operate/runbook.md, \"Stop the other ledger\").\n", f.Deployment.other(f.Region).Name)
	}
	err := f.reconciled(ctx, promoted)
	if len(skipped) > 0 {
		return errors.Join(fmt.Errorf("%w: skipped, and to be done by hand: %s", ErrNotDone, strings.Join(skipped, "; ")), err)
	}
	return err
}

// reconciled waits for the first reconciliation that ended after a moment. Metrics take a minute or two to arrive.
func (f Follower) reconciled(ctx context.Context, after time.Time) error {
	d := f.Deployment
	region, err := d.Region(f.Region)
	if err != nil {
		return err
	}
	if f.ReconciledWithin > 0 {
		fmt.Fprintf(f.Out, "Waiting up to %s for the word of the reconciliation. Interrupt if you do not want to.\n", short(f.ReconciledWithin))
	}
	began := d.Now()
	for {
		m, err := limited(ctx, func(ctx context.Context) (Metrics, error) { return d.metrics(ctx, region) })
		// A metric's time is the minute's begin, so the minute of the promotion counts.
		if err == nil && m.Reconciliation != nil && !m.Reconciliation.At.Before(after.Truncate(time.Minute)) {
			r := *m.Reconciliation
			if !r.clean() {
				return fmt.Errorf("%w: %s. docs/operate/alarms.md says what each means", ErrNotClean, r)
			}
			fmt.Fprintf(f.Out, "Reconciled at %s %s, clean: %s.\n", r.At.Format("15:04"), cmp.Or(d.Zone, "UTC"), r)
			if gap, _ := m.Gap(); gap > 0 && m.UnreconciledSeconds.At.After(r.At) {
				return fmt.Errorf("%w for all payments of the last %s. Each run, every hour, works off a part: see dr status, or run dr reconcile", ErrNoVerdict, short(gap))
			}
			return nil
		}
		if ctx.Err() != nil || d.Now().Sub(began) >= f.ReconciledWithin || smithytime.SleepWithContext(ctx, f.Every) != nil {
			why := ""
			if problem := Explain(err); problem != nil && ctx.Err() == nil {
				why = ": " + problem.Text
			}
			return fmt.Errorf("%w since the promotion at %s %s%s. See dr status later, or run one: docs/operate/runbook.md, \"Reconcile\"", ErrNoVerdict, after.UTC().Format("15:04:05"), cmp.Or(d.Zone, "UTC"), why)
		}
	}
}

// Find finds an execution by its id, or the one that runs, or the last one. Both Regions are asked.
func (s Status) Find(id string) (Execution, bool) {
	var last Execution
	for _, r := range s.Regions {
		if r.Plan.Said == nil {
			continue
		}
		for _, e := range r.Plan.Said.Executions {
			better := e.Running() && !last.Running() || e.Running() == last.Running() && e.Started.After(last.Started)
			if id == "" && (last.ID == "" || better) || id != "" && e.ID == id {
				last = e
			}
		}
	}
	return last, cmp.Or(last.ID, id) == last.ID && last.ID != ""
}
