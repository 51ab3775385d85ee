package live

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"payments-dr/internal/drill"
	"payments-dr/internal/drill/load"
	"payments-dr/internal/operate"
	"payments-dr/internal/payment"
	"payments-dr/internal/payment/reconcile"
)

const (
	// lookEvery is how often the deployment is asked how it is. Its metrics are minutes.
	lookEvery = 15 * time.Second
	// checkEvery is how often the stop conditions are held against what clients see.
	checkEvery = time.Second
)

// Config is a drill's hypothesis, and what it is run against.
type Config struct {
	Hypothesis Hypothesis
	// ID is the drill's own, beginning with payment.DrillSession: its payments' sessions begin with it.
	ID         string
	Deployment *operate.Deployment
	// Clock is the run's. What AWS tells of itself is by the same clock; items, rows and reconciliations are by the machine's.
	Clock load.Clock
	// Load is where payments go, and who pays: URL, Credentials, and what leads there otherwise than the machine's network.
	Load     load.Config
	Recorder *drill.Recorder
	// Run has what the report says of itself: banner, clock, provenance, assumptions.
	Run drill.Run
	// Who is the person, for the comment of the plan's execution.
	Who string
	// Every is how long to wait between two looks at an execution, Patience how long its Region may give no answer. Both by the clock.
	Every, Patience time.Duration
	// ReconciledWithin is how long payments may take to be in the ledger after the last one, by the machine's clock.
	ReconciledWithin time.Duration
	// Settle is how long before now a reconciliation's window ends at the latest, by the machine's clock.
	Settle time.Duration
	// Out is told what a person has to know or to do meanwhile, in whole lines.
	Out io.Writer
	// Ended, if given, is called when nothing more is observed, and what there is in the end is read.
	Ended func()
	// Ledger opens the ledger of the Region that is the writer; nil: it cannot be reached from here, and is not read.
	Ledger func(ctx context.Context, writer string) (*sql.DB, error)
}

// Result is what a drill came to.
type Result struct {
	Report drill.Report
	// Open is the execution of the plan that goes on; empty: none does.
	Open string
	// Unsettled is that nobody knows whether an execution was started.
	Unsettled error
	// Stopped is why the drill ended before its time; nil: it did not.
	Stopped error
}

// The reasons for which a drill ends before its time, beside the context's.
var (
	// ErrNotSteady: the steady state did not hold, and nothing was done.
	ErrNotSteady = errors.New("the steady state did not hold, and nothing was done")
	// ErrStopCondition: a stop condition was met.
	ErrStopCondition = errors.New("a stop condition was met")
	// ErrBounds: the most payments or the most time were used up.
	ErrBounds = errors.New("the bounds of the drill were reached")
	// ErrMove: the switchover could not be started, or has not done everything.
	ErrMove = errors.New("the switchover")
	// ErrInterrupted: somebody has interrupted it.
	ErrInterrupted = errors.New("interrupted")
)

// liveDrill is one run of a drill.
type liveDrill struct {
	Config
	load   *load.Load
	recent recent
	halt   context.CancelCauseFunc
	// machineBegan and machineEnded are the machine's times of the first and the last payment.
	machineBegan, machineEnded time.Time
	began                      time.Time // by the run's clock

	mu      sync.Mutex
	alarms  map[string]bool
	sampled map[string]time.Time
	stopped error
	broken  []string
	remarks []string
	result  Result
}

// Run runs a drill to its end, or to a stop condition, or until the context is done. The report is complete in each case, and says
// which it was; an error is only that no drill could be made of the configuration.
func Run(ctx context.Context, config Config) (Result, error) {
	l := &liveDrill{Config: config, alarms: map[string]bool{}, sampled: map[string]time.Time{}}
	h := config.Hypothesis
	l.recent.keep = max(h.SteadyState.Lasts, h.Stop.Over)
	config.Load.Clock, config.Load.Recorder, config.Load.Attempted = config.Clock, config.Recorder, l.recent.add
	config.Load.Rate, config.Load.Clients, config.Load.Most = h.Load.Rate, h.Load.Clients, h.Load.MostPayments
	config.Load.SessionPrefix, config.Load.Currency = config.ID+"-", payment.TestCurrency
	var err error
	if l.load, err = load.New(config.Load); err != nil {
		return Result{}, fmt.Errorf("make drill: %w", err)
	}
	playing, halt := context.WithCancelCause(ctx)
	defer halt(nil)
	l.halt = halt
	l.began, l.machineBegan = config.Clock.Now(), time.Now()

	var background sync.WaitGroup
	background.Go(func() { l.look(playing) })
	var paid sync.WaitGroup
	paying, stopPaying := context.WithCancel(playing)
	defer stopPaying()
	background.Go(func() { l.guard(paying) })
	paid.Go(func() {
		l.load.Run(paying)
		if paying.Err() == nil {
			halt(fmt.Errorf("%w: %d payments were sent", ErrBounds, h.Load.MostPayments))
		}
	})
	if err := l.play(playing); err != nil {
		l.stop(playing, err)
	}
	stopPaying()
	paid.Wait()
	l.machineEnded = time.Now()
	halt(nil) // what follows is not on the timeline
	background.Wait()
	if l.Ended != nil {
		l.Ended()
	}
	evidence := l.collect(ctx)
	if l.result.Report, err = l.measure(evidence); err != nil {
		return Result{}, err
	}
	l.result.Stopped = l.stopped
	return l.result, nil
}

// play is the drill from its beginning to its planned end.
func (l *liveDrill) play(ctx context.Context) error {
	h := l.Hypothesis
	l.phase("steady state")
	if err := l.Clock.Sleep(ctx, h.SteadyState.Lasts); err != nil {
		return err
	}
	if why := l.recent.since(l.Clock.Now().Add(-h.SteadyState.Lasts)).unsteady(h.SteadyState, h.Load.Rate); why != "" {
		return fmt.Errorf("%w: %s", ErrNotSteady, why)
	}
	if h.Action.Kind == KindPlannedSwitchover {
		l.phase("switchover to " + h.Action.To)
		if err := l.move(ctx); err != nil {
			return err
		}
	}
	l.phase("observation")
	if err := l.Clock.Sleep(ctx, h.Observe); err != nil {
		return err
	}
	lately := l.recent.since(l.Clock.Now().Add(-min(h.SteadyState.Lasts, h.Observe)))
	want := h.SteadyState
	want.Lasts = min(want.Lasts, h.Observe)
	if why := lately.unsteady(want, h.Load.Rate); why != "" {
		l.breaks("the steady state does not hold at the end: " + why)
	}
	return nil
}

// stop notes why the drill ends before its time.
func (l *liveDrill) stop(ctx context.Context, err error) {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		if err = context.Cause(ctx); err == nil || errors.Is(err, context.Canceled) {
			err = ErrInterrupted
		}
	}
	l.halt(err)
	if errors.Is(err, ErrStopCondition) {
		l.breaks(err.Error())
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stopped = err
}

func (l *liveDrill) breaks(what string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.broken = append(l.broken, what)
}

func (l *liveDrill) remark(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.remarks = append(l.remarks, fmt.Sprintf(format, args...))
}

func (l *liveDrill) event(event drill.Event) {
	if event.At.IsZero() {
		event.At = l.Clock.Now()
	}
	_ = l.Recorder.Event(event) // what cannot be true is counted by the recorder
}

func (l *liveDrill) phase(name string) { l.event(drill.Event{Kind: drill.KindPhase, Name: name}) }

// guard ends the drill when a stop condition is met, or its time is used up.
func (l *liveDrill) guard(ctx context.Context) {
	h := l.Hypothesis
	for l.Clock.Sleep(ctx, checkEvery) == nil {
		now := l.Clock.Now()
		if why := l.recent.since(now.Add(-h.Stop.Over)).outage(h.Stop); why != "" {
			l.halt(fmt.Errorf("%w: %s", ErrStopCondition, why))
		}
		if now.Sub(l.began) > h.Load.MostTime {
			l.halt(fmt.Errorf("%w: %s have passed", ErrBounds, h.Load.MostTime))
		}
	}
}

// look asks the deployment how it is, now and then, and keeps what it says.
func (l *liveDrill) look(ctx context.Context) {
	for {
		status := l.Deployment.Look(ctx)
		if ctx.Err() != nil {
			return
		}
		l.take(status)
		if l.Clock.Sleep(ctx, lookEvery) != nil {
			return
		}
	}
}

func (l *liveDrill) take(status operate.Status) {
	l.mu.Lock()
	defer l.mu.Unlock()
	raised := map[string]bool{}
	for _, r := range status.Regions {
		if m := r.Metrics.Said; m != nil {
			l.sample(drill.MetricReplicationLag, r.Region, m.LagMilliseconds, 0.001)
			l.sample(drill.MetricQueueDepth, r.Region, m.Waiting, 1)
			l.sample(drill.MetricQueueAge, r.Region, m.OldestSeconds, 1)
		}
		if r.Alarms.Said == nil {
			continue
		}
		for _, alarm := range *r.Alarms.Said {
			key := r.Region + " " + alarm.Name
			if raised[key] = true; !l.alarms[key] && !alarm.Silent {
				l.event(drill.Event{At: latest(alarm.Since, l.began), Kind: drill.KindAlarm, Name: alarm.Name, Region: r.Region, Result: drill.ResultAlarm})
			}
			if slices.Contains(l.Hypothesis.Stop.Alarms, alarm.Name) {
				l.halt(fmt.Errorf("%w: the alarm %s in %s", ErrStopCondition, alarm.Name, r.Region))
			}
		}
	}
	l.alarms = raised
}

func latest(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// sample takes a metric's newest value once, if it is of the drill's time. A metric's time is its minute's begin.
func (l *liveDrill) sample(metric drill.Metric, region string, value *operate.Value, factor float64) {
	key := string(metric) + region
	if value == nil || value.At.Before(l.began.Truncate(time.Minute)) || !value.At.After(l.sampled[key]) {
		return
	}
	l.sampled[key] = value.At
	_ = l.Recorder.Sample(drill.Sample{At: latest(value.At, l.began), Metric: metric, Region: region, Value: value.Value * factor})
}

// measure judges what was observed by what was promised.
func (l *liveDrill) measure(found evidence) (drill.Report, error) {
	h, run := l.Hypothesis, l.Run
	run.Title = h.Title
	run.Objectives, run.SessionPrefix = h.Objectives, l.ID+"-"
	if run.Clock.Started.IsZero() {
		run.Clock.Started = l.machineBegan.UTC()
	}
	run.Clock.Took = drill.Seconds(time.Since(l.machineBegan))
	for _, name := range names {
		if !slices.Contains(h.Asked, name) {
			run.Untried = append(run.Untried, name)
		}
	}
	run.Table, run.Ledger = found.table, found.ledger
	run.Reconciliations, run.Unreconciled = found.reconciliations, found.unreconciled
	run.Broken, run.Remarks = append(run.Broken, l.broken...), append(run.Remarks, l.remarks...)
	if l.stopped != nil {
		run.Stopped = l.stopped.Error()
	}
	assume := func(what, value string) {
		if value != "" {
			run.Assumptions = append(run.Assumptions, drill.Assumption{What: what, Value: value, Source: "the hypothesis"})
		}
	}
	assume("what it is about", strings.Join(strings.Fields(h.Description), " "))
	assume("who answers for it", h.Owner)
	assume("why it is held", h.Reason)
	assume("steady state", fmt.Sprintf("for %s, at most %s of attempts fail and 99 %% of the others take at most %s", h.SteadyState.Lasts, percent(h.SteadyState.ErrorShare), h.SteadyState.LatencyP99))
	assume("what is done", h.Action.String())
	assume("load", h.Load.String())
	assume("what ends it", h.Stop.String())
	var asked []string
	for _, name := range h.Asked {
		asked = append(asked, string(name))
	}
	assume("what is asked", strings.Join(asked, ", "))
	run.Assumptions = append(run.Assumptions, drill.Assumption{What: "payments", Value: "test payments in " + payment.TestCurrency + ", which is no money, in sessions that begin with " + l.ID + "-", Source: "the drill"})
	return drill.Measure(l.Recorder, run)
}

func (a Action) String() string {
	if a.Kind == KindPlannedSwitchover {
		return "planned switchover to " + a.To + ", by the recovery plan"
	}
	return "nothing: test payments alone"
}

func (l Load) String() string {
	return fmt.Sprintf("%v payments a second from %d clients, on a schedule that waits for no answer; at most %d payments and %s", l.Rate, l.Clients, l.MostPayments, l.MostTime)
}

func (s StopConditions) String() string {
	return fmt.Sprintf("%s of attempts failing within %s; alarms: %s", percent(s.ErrorShare), s.Over, cmp.Or(strings.Join(s.Alarms, ", "), "none"))
}

// evidence is what is read at the end.
type evidence struct {
	table           func(func(drill.Item) error) error
	ledger          func(func(drill.Row) error) error
	reconciliations []reconcile.Report
	unreconciled    string
}
