package drill

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"sort"
)

// # Payments are recorded again
//
// After a fault that hits the ledger, payments are recorded again from the recording of the first payment accepted since the
// fault that begins a span of Sustained.For in which
//
//   - at least the share Sustained.Success of what is recorded was accepted no longer ago than the RPO,
//   - at least that share of what is accepted is recorded within the RPO, and
//   - there is no pause between records longer than Sustained.Silence.
//
// Only payments accepted since the fault count. The first two keep a ledger from passing that works off old payments and falls
// further behind, or drops some; the third, one that was only just interrupted. The span has to be over.
//
// It is not measured if no fault was to hit the ledger, if records had no pause longer than Sustained.Silence after it, so that
// nothing shows the fault, or if the time of recording is not known of every row.

// record is a payment's acceptance and its recording; recorded is math.MaxInt64 if it never was.
type record struct{ accepted, recorded int64 }

func (m *measure) measureLedger() {
	hit := slices.DeleteFunc(slices.Clone(m.faults), func(f fault) bool { return !m.hits(f, SubjectLedger) })
	a := &m.accounts
	unmeasured := cmp.Or(unread("ledger", a.ledgerError), unread("table", a.tableError))
	switch {
	case unmeasured != "":
	case len(hit) == 0:
		unmeasured = "no fault that hits the ledger was injected"
	case a.untimed > 0:
		unmeasured = fmt.Sprintf("the time of recording is unknown for %d rows", a.untimed)
	case m.run.Objectives.lag() == 0:
		unmeasured = "there is no RPO that limits the ledger's lag"
	}
	var measured *stretch
	if unmeasured == "" {
		records := m.records()
		for _, f := range hit {
			took, reason := m.ledgerBack(f, records)
			if took != nil {
				measured = measured.longer(*took)
			}
			unmeasured = cmp.Or(unmeasured, reason)
		}
	}
	m.report.Objectives = append(m.report.Objectives, m.timed(NameLedgerRTO, m.run.Objectives.LedgerRTO, m.run.Computed.LedgerRTO, measured, unmeasured))
}

// records are all payments of table and ledger, by when they were recorded.
func (m *measure) records() []record {
	records := make([]record, 0, len(m.accounts.list))
	for i := range m.accounts.list {
		switch one := &m.accounts.list[i]; {
		case one.flags.has(inLedger):
			records = append(records, record{one.ledgerAccepted, one.recorded})
		case one.flags.has(inTable):
			records = append(records, record{one.accepted, math.MaxInt64})
		}
	}
	slices.SortFunc(records, func(a, b record) int {
		return cmp.Or(cmp.Compare(a.recorded, b.recorded), cmp.Compare(a.accepted, b.accepted))
	})
	return records
}

// ledgerBack finds when the ledger was back after a fault. took is the time since then, or until the last observation if it was
// not seen to be back; it is nil if the fault had no effect. The reason is why it is not measured.
func (m *measure) ledgerBack(f fault, records []record) (took *stretch, reason string) {
	shown := &m.report.Faults[f.index]
	before, since := f.begins, []record(nil)
	for _, r := range records {
		if r.accepted >= f.begins {
			since = append(since, r)
		}
	}
	back := m.recordedAgain(since)
	paused := int64(0)
	for _, r := range records {
		if r.recorded >= f.begins && r.recorded <= back && r.recorded != math.MaxInt64 {
			paused = max(paused, r.recorded-before)
			before = r.recorded
		}
	}
	switch {
	case back == math.MaxInt64:
		shown.note("The run did not see payments recorded again.")
		return &stretch{f.begins, m.last}, fmt.Sprintf("after the fault %q the run did not see payments recorded again for %s", shown.Name, spell(m.rule.For))
	case paused <= int64(m.rule.Silence):
		shown.note("Records had no pause although the fault was injected.")
		return nil, fmt.Sprintf("the fault %q was injected and records had no pause of more than %s: nothing shows that it hit the ledger", shown.Name, spell(m.rule.Silence))
	}
	shown.LedgerBack = pointer(moment(back))
	shown.LedgerRTO = pointer(Seconds(back - f.begins))
	return &stretch{f.begins, back}, ""
}

// recordedAgain finds when payments are recorded again; math.MaxInt64 if they are not.
func (m *measure) recordedAgain(since []record) int64 {
	lag, span, silence := int64(m.run.Objectives.lag()), int64(m.rule.For), int64(m.rule.Silence)
	recorded := sort.Search(len(since), func(i int) bool { return since[i].recorded == math.MaxInt64 })
	if recorded == 0 {
		return math.MaxInt64
	}
	byAcceptance := slices.Clone(since)
	slices.SortFunc(byAcceptance, func(a, b record) int {
		return cmp.Or(cmp.Compare(a.accepted, b.accepted), cmp.Compare(a.recorded, b.recorded))
	})
	prompt := func(list []record) []int32 {
		sums := make([]int32, len(list)+1)
		for i, r := range list {
			sums[i+1] = sums[i]
			if r.recorded != math.MaxInt64 && r.recorded-r.accepted <= lag {
				sums[i+1]++
			}
		}
		return sums
	}
	promptRecords, promptPayments := prompt(since), prompt(byAcceptance)
	most := func(sums []int32, from, to int) bool {
		return float64(sums[to]-sums[from]) >= m.rule.Success*float64(to-from)
	}
	pause := 0 // the first record from here on that is followed by a pause
	for i := range recorded {
		at := since[i].recorded
		end := at + span
		if since[recorded-1].recorded < end {
			break
		}
		last := sort.Search(recorded, func(k int) bool { return since[k].recorded >= end })
		for pause = max(pause, i); pause < last && since[pause+1].recorded-since[pause].recorded <= silence; pause++ {
		}
		paused := pause < last && min(since[pause+1].recorded, end)-since[pause].recorded > silence
		from := sort.Search(len(byAcceptance), func(k int) bool { return byAcceptance[k].accepted >= at })
		to := sort.Search(len(byAcceptance), func(k int) bool { return byAcceptance[k].accepted >= end })
		if !paused && most(promptRecords, i, last) && most(promptPayments, from, to) {
			return at
		}
	}
	return math.MaxInt64
}

// # What a promoted ledger did not have
//
// The RPO of a promotion is how long before the loss the oldest of the acknowledged payments was accepted that the promoted
// ledger did not have; 0 if it had all. It counts from the loss and not from the promotion, because payments accepted after the
// loss were never meant to be there: they wait in a queue. It takes the oldest that is missing and not the newest that is there,
// because a ledger with a hole in it is complete only up to the hole.
//
// The loss is the beginning of the fault that hits the ledger, lasts at the promotion, and has not led to an earlier promotion.
// Without one, and in a planned move, the promotion is planned. Nothing is lost then, and there is no RPO: what the promoted
// ledger does not have is its backlog, which waits in a queue. Its age counts from the promotion.
//
// The promoted ledger's own rows say what it had, if they were read; otherwise the final ledger's times of recording do: what
// was recorded after the promotion, or never, was not there.
//
// Neither is measured if there was no such promotion, if no payment was acknowledged before it, or if times are not known. The RPO
// is not measured if a fault that hits the ledger led to no promotion.

func (m *measure) measurePromotions() {
	a := &m.accounts
	worst, unmeasured, of := map[Name]*stretch{}, map[Name]string{}, map[Name]int{}
	used, n := map[int]bool{}, 0
	loses := func(f fault) bool { return m.hits(f, SubjectLedger) && !m.report.Faults[f.index].Planned }
	for _, e := range m.events {
		if e.Kind != KindPromotion {
			continue
		}
		p := Promotion{Region: e.Region, At: e.At, Loss: e.At, Notes: []string{}}
		name, behind, flag := NameBacklog, &p.Backlog, flags(0)
		for _, f := range m.faults {
			if loses(f) && !used[f.index] && f.begins <= e.At.UnixNano() && f.ends >= e.At.UnixNano() {
				p.Loss, p.Fault = m.report.Faults[f.index].Begins, m.report.Faults[f.index].Name
				name, behind, flag = NameRPO, &p.RPO, isLate
				used[f.index] = true
				break // of several, the earliest: nothing after it was safe
			}
		}
		of[name]++
		loss := p.Loss.UnixNano()
		has, reason := m.hadAt(n, e.At.UnixNano())
		p.Snapshot = n < len(a.promoted) && a.promoted[n].err == nil
		n++
		if a.ledgerError == nil {
			p.FinalBehind, p.FinalLate = m.behind(loss, func(number int, one *account) bool { return one.flags.has(inLedger) }, 0)
		}
		if reason == "" {
			*behind, p.Late = m.behind(loss, has, flag)
			p.Waiting = pointer(m.waiting(loss, e.At.UnixNano(), has))
			if *behind == nil {
				reason = "no payment was acknowledged before the promotion of " + e.Region
			} else {
				worst[name] = worst[name].longer(stretch{loss - int64(**behind), loss})
			}
		}
		if reason != "" {
			p.Notes = append(p.Notes, reason)
			unmeasured[name] = cmp.Or(unmeasured[name], reason)
		}
		m.report.Promotions = append(m.report.Promotions, p)
	}
	if n == 0 {
		unmeasured[NameRPO] = "nothing was promoted"
	}
	for _, f := range m.faults {
		if loses(f) && !used[f.index] {
			unmeasured[NameRPO] = cmp.Or(unmeasured[NameRPO], fmt.Sprintf("the fault %q led to no promotion", m.report.Faults[f.index].Name))
		}
	}
	if of[NameRPO] == 0 {
		unmeasured[NameRPO] = cmp.Or(unmeasured[NameRPO], "no promotion followed a loss; a planned promotion has a backlog and no RPO")
	}
	m.report.Objectives = append(m.report.Objectives, m.timed(NameRPO, m.run.Objectives.RPO, m.run.Computed.RPO, worst[NameRPO], unmeasured[NameRPO]))
	if of[NameBacklog] == 0 {
		unmeasured[NameBacklog] = "no promotion was planned"
	}
	if of[NameBacklog] > 0 || m.run.Objectives.Backlog > 0 {
		m.report.Objectives = append(m.report.Objectives, m.timed(NameBacklog, m.run.Objectives.Backlog, nil, worst[NameBacklog], unmeasured[NameBacklog]))
	}
}

// hadAt tells which payments the ledger had at its promotion, the n-th of the run, or the reason why that is not known.
func (m *measure) hadAt(n int, at int64) (has func(number int, one *account) bool, reason string) {
	a := &m.accounts
	if n < len(a.promoted) && a.promoted[n].err == nil {
		rows := a.promoted[n].has
		return func(number int, _ *account) bool { return number < len(rows) && rows[number] }, ""
	}
	switch {
	case a.ledgerError != nil:
		return nil, unread("ledger", a.ledgerError)
	case a.untimed > 0:
		return nil, fmt.Sprintf("the time of recording is unknown for %d rows", a.untimed)
	}
	return func(_ int, one *account) bool { return one.flags.has(inLedger) && one.recorded <= at }, ""
}

// behind is how far a ledger is behind a loss, and how many payments it lacks. They get the flag. Both are nil if no payment was
// acknowledged before the loss.
func (m *measure) behind(loss int64, has func(int, *account) bool, flag flags) (behind *Seconds, late *int) {
	for i := range m.accounts.list {
		one := &m.accounts.list[i]
		if !one.flags.has(wasAcknowledged) {
			continue
		}
		accepted := m.acceptedAt(one)
		if accepted >= loss {
			continue
		}
		if behind == nil {
			behind, late = new(Seconds), new(int)
		}
		if !has(i, one) {
			*behind = max(*behind, Seconds(loss-accepted))
			*late++
			one.flags |= flag
		}
	}
	return behind, late
}

// waiting counts the acknowledged payments of a span that a ledger does not have.
func (m *measure) waiting(from, to int64, has func(int, *account) bool) int {
	n := 0
	for i := range m.accounts.list {
		one := &m.accounts.list[i]
		if accepted := m.acceptedAt(one); one.flags.has(wasAcknowledged) && accepted >= from && accepted < to && !has(i, one) {
			n++
		}
	}
	return n
}

// acceptedAt is when a payment was accepted, by the table, else by the ledger. Of one that neither has it is when it was sent,
// which is earlier.
func (m *measure) acceptedAt(one *account) int64 {
	accepted := cmp.Or(one.accepted, one.ledgerAccepted)
	if accepted == 0 && one.request >= 0 {
		accepted = m.requestAt(one.request).sent
	}
	return accepted
}
