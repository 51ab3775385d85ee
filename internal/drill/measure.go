package drill

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"
)

// Measure judges what a recorder has by a run's promises. Lists that cannot be read leave unmeasured what depends on them, and
// are no error; the error is a field of the run that cannot be.
//
// The same observations come to the same report, in whatever order they were taken, but that events of the same moment stay in
// theirs. At its height it needs about 500 bytes a request beside what the recorder keeps, what is waiting for the garbage collector
// included (BenchmarkMillion).
func Measure(r *Recorder, run Run) (Report, error) {
	if err := run.check(); err != nil {
		return Report{}, fmt.Errorf("measure run: %w", err)
	}
	o := r.observations()
	m := &measure{
		run: run, rule: run.Sustained.orDefault(), observations: o,
		report: Report{
			Banner: run.Banner, Version: Version, Title: run.Title, Clock: run.Clock, Provenance: append([]Fact{}, run.Provenance...),
			NotModeled: append([]string{}, run.NotModeled...), Broken: run.Broken, Remarks: append([]string{}, run.Remarks...), Faults: []Fault{}, Interruptions: []Interruption{},
			Promotions: []Promotion{}, Phases: []Phase{}, Findings: []Findings{},
			Reconciliations: append(run.Reconciliations[:0:0], run.Reconciliations...), Assumptions: append([]Assumption{}, run.Assumptions...),
		},
	}
	if m.report.Reconciliations == nil {
		m.report.Reconciliations = m.report.Reconciliations[:0:0]
	}
	m.report.Sustained = SustainedRule{Seconds(m.rule.For), m.rule.Success, Seconds(m.rule.Silence), m.rule.Sent}
	if run.Stopped != "" {
		m.remark("The run ended early: %s.", run.Stopped)
	}
	m.sort()
	m.readFaults()
	m.readAccounts()
	m.followingDNS(m.measurePayments)
	m.measureLedger()
	m.measurePromotions()
	m.judgeAccounts()
	m.measureReconciliation()
	m.measurePhases()
	m.measureClients()
	m.drawTimeline()
	m.conclude()
	return m.report, nil
}

// measure is one run being measured. Times are nanoseconds of Unix time.
type measure struct {
	run  Run
	rule Sustained
	observations
	report Report

	byTime    []attempt // by when they were sent
	succeeded []int32   // succeeded[i] is how many of the first i attempts did
	sent      []span    // requests by when they were sent
	offered   []sample  // the schedule's rates
	reported  int       // how many attempts the requests speak of
	first     int64     // the first observation
	last      int64     // the last

	accounts accounts
	others   int // items and rows of sessions that are not the run's
	faults   []fault
	waits    []record
}

// span is a request's.
type span struct {
	sent, ended  int64
	acknowledged bool
}

// fault is one of the report's, with its times as numbers. ends is the last observation of one that does not end.
type fault struct {
	index        int
	begins, ends int64
	first        int // the first attempt that failed by it; the number of attempts if there is none
}

func moment(nanoseconds int64) time.Time { return time.Unix(0, nanoseconds).UTC() }

func pointer[T any](v T) *T { return &v }

func (m *measure) remark(format string, arguments ...any) {
	m.report.Remarks = append(m.report.Remarks, fmt.Sprintf(format, arguments...))
}

// sort puts the observations into the order of time.
func (m *measure) sort() {
	m.byTime = flatten(m.attempts)
	slices.SortFunc(m.byTime, func(a, b attempt) int {
		return cmp.Or(cmp.Compare(a.sent, b.sent), cmp.Compare(a.ended, b.ended), cmp.Compare(a.outcome, b.outcome))
	})
	m.attempts = nil
	m.succeeded = make([]int32, len(m.byTime)+1)
	m.first, m.last = math.MaxInt64, math.MinInt64
	for i, a := range m.byTime {
		m.succeeded[i+1] = m.succeeded[i]
		if a.succeeded() {
			m.succeeded[i+1]++
		}
		m.seen(a.sent, a.ended)
	}
	m.sent = make([]span, 0, blockSize*len(m.requests))
	for _, block := range m.requests {
		for i := range block {
			m.reported += int(block[i].attempts)
			m.sent = append(m.sent, span{block[i].sent, block[i].ended, block[i].outcome == acknowledged})
			m.seen(block[i].sent, block[i].ended)
		}
	}
	slices.SortFunc(m.sent, func(a, b span) int { return cmp.Or(cmp.Compare(a.sent, b.sent), cmp.Compare(a.ended, b.ended)) })
	for _, block := range m.samples {
		for _, s := range block {
			m.seen(s.at, s.at)
			if metrics[s.metric] == MetricOfferedRate {
				m.offered = append(m.offered, s)
			}
		}
	}
	slices.SortFunc(m.offered, func(a, b sample) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.value, b.value)) })
	slices.SortStableFunc(m.events, func(a, b Event) int { return a.At.Compare(b.At) })
	sortDelays(m.delays)
	for _, e := range m.events {
		m.seen(e.At.UnixNano(), e.At.UnixNano())
	}
	if m.last < m.first {
		m.first, m.last = 0, 0
		m.remark("Nothing was observed.")
	}
	m.report.From, m.report.To = moment(m.first), moment(m.last)
	m.report.Events = append([]Event{}, m.events...)
	if m.rejected > 0 {
		m.remark("%d observations were impossible and were left out: the observer has a fault.", m.rejected)
	}
}

func (m *measure) seen(from, to int64) { m.first, m.last = min(m.first, from), max(m.last, to) }

func flatten[T any](blocks [][]T) []T {
	n := 0
	for _, block := range blocks {
		n += len(block)
	}
	list := make([]T, 0, n)
	for _, block := range blocks {
		list = append(list, block...)
	}
	return list
}

// readFaults reads the faults from the events.
func (m *measure) readFaults() {
	for _, e := range m.events {
		switch e.Kind {
		case KindFaultBegins:
			m.faults = append(m.faults, fault{index: len(m.report.Faults), begins: e.At.UnixNano(), ends: m.last})
			m.report.Faults = append(m.report.Faults, Fault{
				Name: e.Name, Region: e.Region, Text: e.Text, Begins: e.At, Planned: e.Planned, Hits: append([]Subject{}, e.Hits...), Notes: []string{},
			})
		case KindFaultEnds:
			open := slices.IndexFunc(m.report.Faults, func(f Fault) bool { return f.Name == e.Name && f.Ends == nil })
			if open < 0 {
				m.remark("The fault %q ends and has not begun.", e.Name)
				continue
			}
			m.report.Faults[open].Ends = pointer(e.At)
			m.faults[open].ends = e.At.UnixNano()
		}
	}
}

func (m *measure) hits(f fault, subject Subject) bool {
	return slices.Contains(m.report.Faults[f.index].Hits, subject)
}

func (f *Fault) note(format string, arguments ...any) {
	f.Notes = append(f.Notes, fmt.Sprintf(format, arguments...))
}

// clock writes a moment of the run.
func (m *measure) clock(t time.Time) string { return clock(t) + m.run.Clock.zone() }

// executions reports whether the recovery plan was executed, which is a disturbance, too.
func (m *measure) executions() bool {
	return slices.ContainsFunc(m.events, func(e Event) bool { return e.Kind == KindPlanBegins })
}

// timed is an objective over a time. What was measured beyond its limit is missed even if not all was measured.
func (m *measure) timed(name Name, limit time.Duration, computed *Computed, measured *stretch, unmeasured string) Objective {
	o := Objective{Name: name, Unit: UnitSeconds, Reason: unmeasured}
	if computed != nil {
		o.Expected, o.Worst = pointer(computed.Expected.Seconds()), pointer(computed.Worst.Seconds())
	}
	took := time.Duration(0)
	if measured != nil {
		took = measured.length()
		o.Measured, o.Parts = pointer(took.Seconds()), m.parts(name, *measured)
		if computed != nil && took > computed.Worst {
			m.remark("%s: the run took %s. The calculated worst case is %s, so the calculation leaves something out.", title(name), spell(took), spell(computed.Worst))
		}
	}
	if limit > 0 {
		o.Limit = pointer(limit.Seconds())
		if measured != nil {
			o.Margin = pointer((limit - took).Seconds())
		}
	}
	switch {
	case limit > 0 && took > limit:
		o.Status = StatusFail
	case measured == nil && slices.Contains(m.run.Untried, name):
		o.Status = StatusNotJudged
	case unmeasured != "" || measured == nil:
		o.Status = StatusNotMeasured
	case limit == 0:
		o.Status = StatusNotJudged
	default:
		o.Status = StatusPass
	}
	return o
}

// counted is an objective that allows for none.
func (m *measure) counted(name Name, count int, unmeasured string) Objective {
	o := Objective{Name: name, Unit: UnitPayments, Measured: pointer(float64(count)), Limit: pointer(0.0), Margin: pointer(-float64(count)), Reason: unmeasured}
	if count == 0 {
		o.Margin = pointer(0.0) // not minus zero
	}
	switch {
	case count > 0:
		o.Status = StatusFail
	case unmeasured != "":
		o.Status, o.Measured, o.Margin = StatusNotMeasured, nil, nil
		if slices.Contains(m.run.Untried, name) {
			o.Status = StatusNotJudged
		}
	default:
		o.Status = StatusPass
	}
	return o
}

// measureReconciliation judges the last report that was handed in. Anything that it has left wrong misses the objective.
func (m *measure) measureReconciliation() {
	if len(m.report.Reconciliations) == 0 {
		m.remark("No reconciliation was reported.")
		if m.run.Unreconciled != "" {
			m.report.Objectives = append(m.report.Objectives, m.counted(NameReconciliation, 0, m.run.Unreconciled))
		}
		return
	}
	last := m.report.Reconciliations[len(m.report.Reconciliations)-1]
	wrong := last.Counts.Conflicting + last.Counts.Unaccounted
	if last.DryRun {
		wrong += last.Counts.Missing
	}
	if !last.Clean() && last.Complete {
		wrong = max(wrong, 1) // the sums or the numbers differ
	}
	unmeasured := m.run.Unreconciled
	switch {
	case !last.Complete:
		unmeasured = fmt.Sprintf("the last reconciliation ended early, at %s", m.clock(last.DoneUpTo))
	case last.Counts.Table+last.Counts.Ledger+last.Counts.Unreadable == 0 && m.report.Totals.Payments > 0:
		unmeasured = cmp.Or(unmeasured, "the last reconciliation compared no payments")
	}
	m.report.Objectives = append(m.report.Objectives, m.counted(NameReconciliation, wrong, unmeasured))
	if last.Clean() && m.accounts.disagreeing > 0 {
		m.remark("The last reconciliation found nothing wrong from %s to %s, but table and ledger disagree on %d payments. Either one of the two is mistaken, or these payments are outside of that window.",
			m.clock(last.From), m.clock(last.To), m.accounts.disagreeing)
	}
}

// conclude sums up the objectives.
func (m *measure) conclude() {
	m.report.Status = StatusNotJudged
	for _, o := range m.report.Objectives {
		switch {
		case o.Status == StatusFail:
			m.report.Status = StatusFail
		case o.Status == StatusNotMeasured && m.report.Status != StatusFail:
			m.report.Status = StatusNotMeasured
		case o.Status == StatusPass && m.report.Status == StatusNotJudged:
			m.report.Status = StatusPass
		}
	}
	if (m.rejected > 0 || m.run.Stopped != "") && m.report.Status != StatusFail {
		m.report.Status = StatusNotMeasured
	}
	if len(m.run.Broken) > 0 {
		m.report.Status = StatusFail
	}
}
