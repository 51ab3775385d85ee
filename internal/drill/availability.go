package drill

import (
	"fmt"
	"math"
	"slices"
	"sort"
	"time"
)

// # Payments are taken, or they are not
//
// Payments are taken again from the answer to the first attempt that succeeds and that begins a span of Sustained.For in which
//
//   - at least the share Sustained.Success of the attempts succeeds,
//   - there is no pause between attempts longer than Sustained.Silence, and
//   - where the schedule is known, at least the share Sustained.Sent of its requests is sent.
//
// An attempt belongs to the moment at which it was sent, whenever its failure was noticed; to be taken again, an answer has to
// be there. The span has to be over: nobody who looks on for half of it has seen it.
//
// An interruption begins with a failed attempt that begins a span of Sustained.For in which fewer succeed; at the end of the
// run, the last such span is taken. Single failures among many successes are no interruption and are counted in the error rate.
//
// The RTO of payments is the longest interruption of the run, by a fault or not. One that a fault takes payments away with counts
// from the fault itself and not from the first failed attempt: before any client noticed, payments were not safe either, and
// a low rate of payments makes nothing quicker. If an attempt that was sent earlier failed by it, it counts from there. A failed attempt is the fault's if it was under way when the fault began, or was
// sent within Sustained.For after it; then it counts even if too few failed for an interruption. An interruption that begins
// later, such as one that a step of the recovery causes, counts from its own first failed attempt.
//
// It is not measured if nobody looked or not at all attempts, if neither a fault nor an execution of the plan disturbed the run, if a fault that was to
// hit payments made no attempt fail, or if payments were not seen to be taken again.

// measurePayments finds the interruptions.
func (m *measure) measurePayments() {
	hit := slices.DeleteFunc(slices.Clone(m.faults), func(f fault) bool { return !m.hits(f, SubjectPayments) })
	unmeasured := ""
	switch {
	case len(m.byTime) == 0:
		unmeasured = "no attempt was observed"
	case m.reported > len(m.byTime):
		unmeasured = fmt.Sprintf("the requests have %d attempts, but %d were observed", m.reported, len(m.byTime))
	case len(m.faults) == 0 && !m.executions():
		unmeasured = "no fault was injected, and the plan was not executed"
	}
	for k := range hit {
		hit[k].first = m.firstOf(hit[k])
	}
	m.interruptions(hit)
	for _, f := range hit {
		if reason := m.effectOnPayments(f); reason != "" && unmeasured == "" {
			unmeasured = reason
		}
	}
	longest := &stretch{}
	for _, one := range m.report.Interruptions {
		from := one.From.UnixNano()
		longest = longest.longer(stretch{from, from + int64(one.Length)})
		if one.To == nil && unmeasured == "" {
			unmeasured = fmt.Sprintf("payments were interrupted at %s, and the run did not see them accepted again for %s", m.clock(one.FirstFailure), spell(m.rule.For))
		}
	}
	measured := longest
	if len(m.report.Interruptions) == 0 && unmeasured != "" {
		measured = nil
	}
	m.report.Objectives = append(m.report.Objectives, m.timed(NamePaymentsRTO, m.run.Objectives.PaymentsRTO, m.run.Computed.PaymentsRTO, measured, unmeasured))
	m.remarkOnLooking()
}

// interruptions finds them all, those of faults first looked for where the faults are.
func (m *measure) interruptions(hit []fault) {
	for i := 0; i < len(m.byTime); {
		due, begins := m.beginsInterruption(i, hit)
		if !begins {
			i++
			continue
		}
		one := Interruption{FirstFailure: moment(m.byTime[i].sent), From: moment(m.byTime[i].sent)}
		if due != nil {
			one.Fault = m.report.Faults[due.index].Name
			one.From = moment(min(due.begins, m.byTime[i].sent))
		}
		next, back := m.recovery(i)
		end := m.byTime[len(m.byTime)-1].ended
		if next < len(m.byTime) {
			one.To = pointer(moment(back))
			end = back
		}
		one.Length = Seconds(end - one.From.UnixNano())
		one.FailedAttempts = next - i - int(m.succeeded[next]-m.succeeded[i])
		m.report.Interruptions = append(m.report.Interruptions, one)
		i = max(next, i+1)
	}
}

// beginsInterruption reports whether an interruption begins with an attempt, and by which fault.
func (m *measure) beginsInterruption(i int, hit []fault) (due *fault, begins bool) {
	a := m.byTime[i]
	if a.succeeded() {
		return nil, false
	}
	for k := range hit {
		if a.ended >= hit[k].begins && a.sent <= hit[k].begins+int64(m.rule.For) {
			due = &hit[k] // the last of several that it may be
		}
		if hit[k].first == i {
			return due, true
		}
	}
	end := m.indexOf(a.sent + int64(m.rule.For))
	begin := i
	if end == len(m.byTime) {
		begin = min(i, m.indexOf(m.byTime[end-1].sent-int64(m.rule.For)))
	}
	return due, !m.mostSucceed(begin, end)
}

// firstOf is the first failed attempt that may be a fault's; the number of attempts if there is none.
func (m *measure) firstOf(f fault) int {
	// An attempt that was under way when the fault began was sent before. How long before is bounded by nothing but the
	// client's patience, so all from the start are looked at.
	for i, a := range m.byTime {
		if a.sent > f.begins+int64(m.rule.For) {
			break
		}
		if !a.succeeded() && a.ended >= f.begins {
			return i
		}
	}
	return len(m.byTime)
}

// recovery finds when payments are taken again after a failed attempt: the attempt that this begins with, and its answer. There
// is none if the attempt is beyond the last.
func (m *measure) recovery(failed int) (attempt int, answered int64) {
	silence := failed // the first attempt from here on that is followed by silence
	for i := failed + 1; i < len(m.byTime); i++ {
		a := m.byTime[i]
		end := a.sent + int64(m.rule.For)
		if m.byTime[len(m.byTime)-1].sent < end {
			break
		}
		if !a.succeeded() {
			continue
		}
		last := m.indexOf(end) // the first beyond the span
		for silence = max(silence, i); silence < last && m.byTime[silence+1].sent-m.byTime[silence].sent <= int64(m.rule.Silence); silence++ {
		}
		silent := silence < last && min(m.byTime[silence+1].sent, end)-m.byTime[silence].sent > int64(m.rule.Silence)
		if !silent && m.mostSucceed(i, last) && m.onSchedule(a.sent, end) {
			return i, a.ended
		}
	}
	return len(m.byTime), 0
}

// mostSucceed reports whether enough of the attempts from one to before another succeed.
func (m *measure) mostSucceed(from, to int) bool {
	return float64(m.succeeded[to]-m.succeeded[from]) >= m.rule.Success*float64(to-from)
}

// onSchedule reports whether enough requests were sent in a span, as far as that is known.
func (m *measure) onSchedule(from, to int64) bool {
	due, known := m.due(from, to)
	return !known || float64(m.requestsIn(from, to)) >= m.rule.Sent*math.Floor(due)
}

// due is how many requests the schedule asks for in a span. known is false if it does not say.
func (m *measure) due(from, to int64) (requests float64, known bool) {
	next := sort.Search(len(m.offered), func(i int) bool { return m.offered[i].at > from })
	if next == 0 {
		return 0, false
	}
	for at := from; at < to; next++ {
		until := to
		if next < len(m.offered) {
			until = min(to, m.offered[next].at)
		}
		requests += m.offered[next-1].value * time.Duration(until-at).Seconds()
		at = until
	}
	return requests, true
}

func (m *measure) requestsIn(from, to int64) int {
	before := func(at int64) int {
		return sort.Search(len(m.sent), func(i int) bool { return m.sent[i].sent >= at })
	}
	return before(to) - before(from)
}

// indexOf is the first attempt sent at a moment or later.
func (m *measure) indexOf(at int64) int {
	return sort.Search(len(m.byTime), func(i int) bool { return m.byTime[i].sent >= at })
}

// effectOnPayments notes what a fault did to payments, and returns why that cannot be told.
func (m *measure) effectOnPayments(f fault) string {
	shown := &m.report.Faults[f.index]
	first := f.first
	if first == len(m.byTime) {
		if late := m.failedIn(f.begins, f.ends); late < len(m.byTime) {
			shown.FirstFailure = pointer(moment(m.byTime[late].sent))
			shown.note("The first attempt failed %s after the fault; what came of it counts from there.", spell(time.Duration(m.byTime[late].sent-f.begins)))
			if slices.ContainsFunc(m.report.Interruptions, func(one Interruption) bool {
				return one.FirstFailure.UnixNano() >= f.begins && one.FirstFailure.UnixNano() < f.ends
			}) {
				return ""
			}
			return fmt.Sprintf("the fault %q was injected and interrupted nothing", shown.Name)
		}
		shown.note("No failure was seen although the fault was injected.")
		return fmt.Sprintf("the fault %q was injected and no attempt failed: it had no effect, or nobody looked where it had", shown.Name)
	}
	shown.FirstFailure = pointer(moment(m.byTime[first].sent))
	if next, back := m.recovery(first); next < len(m.byTime) {
		shown.PaymentsBack = pointer(moment(back))
		shown.PaymentsRTO = pointer(Seconds(back - f.begins))
	} else {
		shown.note("The run did not see payments accepted again.")
	}
	return ""
}

// failedIn is the first failed attempt sent in a span.
func (m *measure) failedIn(from, to int64) int {
	for i := m.indexOf(from); i < len(m.byTime) && m.byTime[i].sent < to; i++ {
		if !m.byTime[i].succeeded() {
			return i
		}
	}
	return len(m.byTime)
}

// remarkOnLooking says where nobody looked, and whether clients kept their schedule.
func (m *measure) remarkOnLooking() {
	if len(m.byTime) == 0 {
		return
	}
	pauses, longest, at := 0, int64(0), int64(0)
	for i := 1; i < len(m.byTime); i++ {
		if pause := m.byTime[i].sent - m.byTime[i-1].sent; pause > int64(m.rule.Silence) {
			pauses++
			if pause > longest {
				longest, at = pause, m.byTime[i-1].sent
			}
		}
	}
	if pauses > 0 {
		m.remark("Nothing was sent in %d pauses of more than %s, the longest of %s from %s: what happened to payments there is not known.",
			pauses, spell(m.rule.Silence), spell(time.Duration(longest)), m.clock(moment(at)))
	}
	if len(m.offered) == 0 {
		m.remark("The rate on schedule was not recorded. If clients waited for answers before they sent more, failures are understated.")
		return
	}
	for _, one := range m.report.Interruptions {
		from, to := one.FirstFailure.UnixNano(), one.From.Add(one.Length.Duration()).UnixNano()
		if due, known := m.due(from, to); known && due >= 1 {
			if share := float64(m.requestsIn(from, to)) / due; share < m.rule.Sent {
				m.remark("In the interruption from %s, %.0f %% of the requests on schedule were sent: failures there are understated.", m.clock(one.FirstFailure), 100*share)
			}
		}
	}
}
