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
)

// Move is a Region that is to be activated.
type Move struct {
	// To is the Region that is to be the writer.
	To string
	// Planned lets Aurora switch over, which loses nothing and needs both Regions. Otherwise it fails over without asking the other.
	Planned bool
	// Back asks of a move that the time since the last one is reconciled.
	Back bool
}

// mode is the plan's word for it.
func (m Move) mode() plantypes.ExecutionMode {
	if m.Planned {
		return plantypes.ExecutionModeGraceful
	}
	return plantypes.ExecutionModeUngraceful
}

func (m Move) String() string {
	if m.Planned {
		return "planned move to " + m.To
	}
	return "unplanned failover to " + m.To
}

// Finding is how one precondition was found.
type Finding string

const (
	FindingGood Finding = "ok"
	// FindingDoubt does not stand in the way; a person has to weigh it.
	FindingDoubt Finding = "mind"
	// FindingAgainst stands in the way.
	FindingAgainst Finding = "NO"
)

// Precondition is one thing that has to be true before a move.
type Precondition struct {
	Name    string
	Finding Finding
	Says    string
}

// Preconditions holds a status against what docs/operate/runbook.md asks before a move.
func (d *Deployment) Preconditions(s Status, m Move) []Precondition {
	from := d.other(m.To).Name
	var found []Precondition
	add := func(finding Finding, name, format string, args ...any) {
		found = append(found, Precondition{name, finding, fmt.Sprintf(format, args...)})
	}
	// A planned move needs to know what an unplanned one, in the middle of a loss, may have to do without.
	strict := FindingDoubt
	if m.Planned {
		strict = FindingAgainst
	}
	d.checkTarget(s, m, strict, add)

	to := s.region(m.To)
	switch {
	case to.API.Said != nil:
		add(FindingGood, "target", "%s takes payments", m.To)
	case to.API.Problem.Kind == KindRefused:
		add(FindingAgainst, "target", "%s cannot take payments: its API %s", m.To, to.API.Problem.Text)
	default:
		add(FindingAgainst, "target", "%s is not known to be well: %s", m.To, to.API.Problem.Text)
	}
	left := s.region(from)
	switch {
	case m.Planned && left.API.Said == nil:
		add(FindingAgainst, "other Region", "%s is not well: %s. A planned move waits for it; see dr failover without --planned", from, left.API.Problem.Text)
	case m.Planned:
		add(FindingGood, "other Region", "%s takes payments", from)
	case left.API.Said != nil && left.Database.Said != nil:
		add(FindingDoubt, "other Region", "%s answers. A planned move (--planned) would lose nothing; is it really the writer that does not serve?", from)
	case left.API.Said != nil:
		add(FindingDoubt, "other Region", "%s takes payments, and whether its database serves is not known: %s", from, left.Database.Problem.Text)
	case left.API.Problem.Kind != KindRefused && left.API.Problem.Kind != KindUnreachable:
		add(FindingDoubt, "other Region", "whether %s serves is not known: %s", from, left.API.Problem.Text)
	default:
		add(FindingGood, "other Region", "%s does not serve (%s), and is not needed", from, left.API.Problem.Text)
	}
	d.checkReplication(s, m, strict, add)
	d.checkPlan(s, m, add)
	if m.Back {
		checkReconciled(s, add)
	}
	return found
}

func (d *Deployment) checkTarget(s Status, m Move, strict Finding, add func(Finding, string, string, ...any)) {
	switch {
	case s.Writer == m.To:
		add(FindingAgainst, "writer", "%s is the writer already", m.To)
	case s.Writer != "":
		add(FindingGood, "writer", "%s, which is to be left", s.Writer)
	default:
		add(strict, "writer", "%s", s.WriterDoubt)
	}
}

func (d *Deployment) checkReplication(s Status, m Move, strict Finding, add func(Finding, string, string, ...any)) {
	if s.Writer == m.To {
		return
	}
	rpo := time.Duration(s.RPOMinutes) * time.Minute
	lag, known := s.Lag(m.To)
	switch {
	case !known:
		add(strict, "lag", "not known. What was not replicated is not lost to the session table, and is recorded again from there")
	case lag > rpo:
		add(strict, "lag", "%s, over the objective of %s", lag, rpo)
	default:
		add(FindingGood, "lag", "%s, objective %s", lag, rpo)
	}
	if !m.Planned {
		return
	}
	said := s.region(m.To).Database.Said
	if said == nil {
		return // the writer is not known then, and that stands against it already
	}
	if said.Moving != "" {
		add(FindingAgainst, "replication", "the global database is moving already: %s", said.Moving)
	}
	for _, member := range said.Members {
		if member.Region == m.To && member.Replication != "connected" {
			add(FindingAgainst, "replication", "%s is %s", member.Cluster, cmp.Or(member.Replication, "not replicating"))
		}
	}
}

func (d *Deployment) checkPlan(s Status, m Move, add func(Finding, string, string, ...any)) {
	to := s.region(m.To)
	if to.Plan.Said == nil {
		add(FindingAgainst, "plan", "%s does not tell of the plan: %s", m.To, to.Plan.Problem.Text)
		return
	}
	switch running := s.Running(); {
	case len(running) > 0:
		e := running[0]
		add(FindingAgainst, "executions", "somebody is at it: %s, %s to %s since %s ago, %q. Watch it: dr watch-plan --env %s %s",
			e.State, e.Mode, e.Region, short(s.At.Sub(e.Started)), printable(e.Comment), s.Environment, e.ID)
	case s.region(d.other(m.To).Name).Plan.Said == nil:
		add(FindingGood, "executions", "none is running, as far as %s knows", m.To)
	default:
		add(FindingGood, "executions", "none is running")
	}
	if plan := to.Plan.Said; plan.Evaluation == string(plantypes.EvaluationStatusPassed) {
		add(FindingGood, "evaluation", "passed %s ago", short(s.At.Sub(plan.Evaluated)))
	} else {
		add(FindingDoubt, "evaluation", "%s", strings.Join(append([]string{cmp.Or(plan.Evaluation, "not told")}, plan.Warnings...), "; "))
	}
	if m.Planned && d.Settings.Recovery.Automatic {
		add(FindingAgainst, "settings", "recovery.automatic is true: this plan fails the database over in either mode, and may lose rows. Set it to false and deploy the global stack first")
	}
}

// checkReconciled: who goes back leaves a writer whose ledger should be whole.
func checkReconciled(s Status, add func(Finding, string, string, ...any)) {
	if s.Writer == "" {
		return
	}
	asked := s.region(s.Writer).Metrics
	m := asked.Said
	var gap time.Duration
	var known bool
	if m != nil {
		gap, known = m.Gap()
	}
	switch {
	case m == nil:
		// The operator's role of the Region that is activated may not ask the other one.
		add(FindingDoubt, "reconciled", "not known. %s says: %s. Look there first, with its own role", s.Writer, asked.Problem.Text)
	case m.Reconciliation == nil:
		add(FindingAgainst, "reconciled", "no reconciliation has come to its end in %s for %s", s.Writer, metricWindow)
	case !m.Reconciliation.clean():
		add(FindingAgainst, "reconciled", "not clean %s ago: %s", short(s.At.Sub(m.Reconciliation.At)), m.Reconciliation)
	case gap > 0:
		add(FindingAgainst, "reconciled", "payments of the last %s are not reconciled: wait for the next runs, or run dr reconcile over that time", short(gap))
	case !known:
		add(FindingDoubt, "reconciled", "clean %s ago: %s. Up to when payments are reconciled is unknown: its metric has no data. Check that this run covers the last move", short(s.At.Sub(m.Reconciliation.At)), m.Reconciliation)
	default:
		add(FindingGood, "reconciled", "clean %s ago: %s. Every payment accepted until then is reconciled", short(s.At.Sub(m.Reconciliation.At)), m.Reconciliation)
	}
}

// Against is whether anything stands in the way.
func Against(found []Precondition) bool {
	for _, p := range found {
		if p.Finding == FindingAgainst {
			return true
		}
	}
	return false
}

// WritePreconditions writes them for people.
func WritePreconditions(w io.Writer, m Move, found []Precondition, colour bool) {
	t := screen{colour: colour}
	fmt.Fprintf(w, "%s\n\n", t.paint(bold, strings.ToUpper(m.String()[:1])+m.String()[1:]))
	WriteFindings(w, found, colour)
}

// WriteFindings writes preconditions of whatever it is, a line each, and an empty one.
func WriteFindings(w io.Writer, found []Precondition, colour bool) {
	t := screen{colour: colour}
	colours := map[Finding]string{FindingGood: green, FindingDoubt: yellow, FindingAgainst: red}
	for _, p := range found {
		fmt.Fprintf(w, "  %s  %-12s  %s\n", t.paint(colours[p.Finding], fmt.Sprintf("%-4s", p.Finding)), p.Name, printable(p.Says))
	}
	fmt.Fprintln(w)
}

// steps are the plan's, with the limit of each, for a move. The names are those of the plan; a test holds them to it.
func (d *Deployment) steps() []planStep {
	minutes := d.Settings.Recovery.StepMinutes
	steps := []planStep{
		{StepApprove, minutes.Approval}, {StepPromote, minutes.Promotion}, {StepStartLedger, minutes.Ledger},
		{StepReconcile, minutes.Reconciliation}, {StepTraffic, minutes.Traffic}, {StepStopLedger, minutes.Ledger},
	}
	if d.Settings.Recovery.Automatic {
		return steps[1:]
	}
	return steps
}

type planStep struct {
	name    string
	minutes int
}

// The plan's steps.
const (
	StepApprove     = "approve"
	StepPromote     = "promote the database"
	StepStartLedger = "start the ledger here"
	StepReconcile   = "reconcile"
	StepTraffic     = "move payments here"
	StepStopLedger  = "stop the other ledger"
)

// WriteSteps says what a move would do.
func (d *Deployment) WriteSteps(w io.Writer, m Move) {
	fmt.Fprintf(w, "The plan runs in %s, %s, and would:\n", m.To, m.mode())
	for _, step := range d.steps() {
		note := ""
		if !m.Planned && (step.name == StepReconcile || step.name == StepStopLedger) {
			note = "; skipped in this mode"
		}
		fmt.Fprintf(w, "  %-24s up to %dm%s\n", step.name, step.minutes, note)
	}
	fmt.Fprintf(w, "At the longest %dm; the objective is %dm.\n", d.Settings.Recovery.LongestWay(), d.Settings.Objectives.RTOMinutes)
}

// UnsettledStartError says that nobody knows whether an execution was started.
type UnsettledStartError struct{ Err error }

func (e *UnsettledStartError) Error() string {
	return "it is not known whether the execution was started: " + Explain(e.Err).Text
}
func (e *UnsettledStartError) Unwrap() error { return e.Err }

// Start starts the plan in the Region that is to be activated and returns the execution's id. who is the person, for the comment
// that the approver and a second operator read. The error is an *UnsettledStartError if the answer was lost and no execution with
// that comment is found.
func (d *Deployment) Start(ctx context.Context, m Move, planARN, who string) (string, error) {
	region, err := d.Region(m.To)
	if err != nil {
		return "", err
	}
	began := d.Now()
	comment := m.String() + ", started by " + who
	out, err := limited(ctx, func(ctx context.Context) (*arcregionswitch.StartPlanExecutionOutput, error) {
		return region.Plan.StartPlanExecution(ctx, &arcregionswitch.StartPlanExecutionInput{
			PlanArn: &planARN, TargetRegion: &m.To, Action: plantypes.ExecutionActionActivate, Mode: m.mode(), LatestVersion: aws.String("true"), Comment: &comment,
		}, func(o *arcregionswitch.Options) { o.RetryMaxAttempts = 1; o.Retryer = aws.NopRetryer{} }) // asked twice it would start twice
	})
	if err == nil && aws.ToString(out.ExecutionId) != "" {
		return *out.ExecutionId, nil
	}
	if err == nil {
		err = fmt.Errorf("%w: it names no execution", errMalformed)
	}
	if _, running := errors.AsType[*plantypes.IllegalStateException](err); running {
		return "", fmt.Errorf("nothing was started: the plan is running already, or cannot be started now: %s. Watch it: dr watch-plan --env %s", Explain(err).Text, d.Settings.Environment)
	}
	if kind := Explain(err).Kind; kind != KindUnreachable && kind != KindMalformed {
		return "", fmt.Errorf("nothing was started: start the plan in %s: %w", m.To, Explain(err))
	}
	// The answer is lost, and the execution may be running. It has the comment that was given to it.
	list, listErr := limited(ctx, func(ctx context.Context) (*arcregionswitch.ListPlanExecutionsOutput, error) {
		return region.Plan.ListPlanExecutions(ctx, &arcregionswitch.ListPlanExecutionsInput{PlanArn: &planARN})
	})
	if listErr == nil {
		for _, e := range list.Items {
			if aws.ToString(e.Comment) == comment && aws.ToTime(e.StartTime).After(began.Add(-time.Minute)) {
				return aws.ToString(e.ExecutionId), nil
			}
		}
	}
	return "", &UnsettledStartError{err}
}

// PlanARN is the recovery plan's, from either Region.
func (s Status) PlanARN() string {
	for _, r := range s.Regions {
		if r.Plan.Said != nil {
			return r.Plan.Said.ARN
		}
	}
	return ""
}

// PlanUnknown says which Region does not tell of the plan and why; empty if both do.
func (s Status) PlanUnknown() string {
	var lines []string
	for _, r := range s.Regions {
		if p := r.Plan.Problem; p != nil {
			lines = append(lines, r.Region+" does not tell: "+p.Text)
		}
	}
	return strings.Join(lines, "; ")
}
