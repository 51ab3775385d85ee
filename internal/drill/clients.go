package drill

import (
	"cmp"
	"slices"
	"time"
)

// ClientKind is how a client finds the Region that it pays in.
type ClientKind string

const (
	// ClientDNS knows the public name alone, and pays wherever DNS leads.
	ClientDNS ClientKind = "DNS only"
	// ClientFailover knows both Regions, and moves a request to the other one by itself: package client with Config.Regions.
	ClientFailover ClientKind = "failover"
)

const (
	// NameFailoverFailed are requests of clients that fail over which were not acknowledged in the end.
	NameFailoverFailed Name = "failover-failed"
	// NameFailoverSlowest is the longest that a client that fails over waited for an acknowledgment, of a request that was due while a
	// fault lasted, or in a run without a fault.
	NameFailoverSlowest Name = "failover-slowest"
)

// Clients is what one kind of client went through.
type Clients struct {
	Kind         ClientKind `json:"kind"`
	Requests     int        `json:"requests"`
	Acknowledged int        `json:"acknowledged"`
	// Failed are the requests that were refused, or that the client gave up.
	Failed int `json:"failed"`
	// Slowest is the longest time from when a request was due to its acknowledgment; null: none was acknowledged.
	Slowest *Seconds `json:"slowestSeconds"`
	// Gap is the longest time between two acknowledgments, GapFrom when it began. Null: there are not two.
	Gap     *Seconds   `json:"gapSeconds"`
	GapFrom *time.Time `json:"gapFrom"`
}

// measureClients tells the requests of each kind of client apart, and judges those of the clients that fail over.
func (m *measure) measureClients() {
	of := map[ClientKind]*Clients{}
	var slowest *Seconds // of clients that fail over, while a fault lasts
	acknowledgments := map[ClientKind][]int64{}
	for _, block := range m.requests {
		for i := range block {
			q := &block[i]
			kind := ClientKind(m.kinds.text(q.kind))
			if kind == "" {
				continue
			}
			if of[kind] == nil {
				of[kind] = &Clients{Kind: kind}
			}
			of[kind].Requests++
			if q.outcome != acknowledged {
				of[kind].Failed++
				continue
			}
			of[kind].Acknowledged++
			of[kind].Slowest = slower(of[kind].Slowest, q)
			acknowledgments[kind] = append(acknowledgments[kind], q.ended)
			if kind == ClientFailover && m.duringFault(q.sent) {
				slowest = slower(slowest, q)
			}
		}
	}
	for kind, c := range of {
		ends := acknowledgments[kind]
		slices.Sort(ends)
		for i := 1; i < len(ends); i++ {
			if gap := Seconds(ends[i] - ends[i-1]); c.Gap == nil || gap > *c.Gap {
				c.Gap, c.GapFrom = &gap, pointer(moment(ends[i-1]))
			}
		}
		m.report.Clients = append(m.report.Clients, *c)
	}
	slices.SortFunc(m.report.Clients, func(a, b Clients) int { return cmp.Compare(a.Kind, b.Kind) })
	if c := of[ClientFailover]; c != nil && m.run.FailoverWithin > 0 {
		m.report.Objectives = append(m.report.Objectives, c.failed(), slowestObjective(slowest, m.run.FailoverWithin))
	}
}

// followingDNS has payments measured without the attempts of clients that fail over, if there are other clients. A client that fails
// over says nothing about DNS.
func (m *measure) followingDNS(measurePayments func()) {
	all, succeeded, reported := m.byTime, m.succeeded, m.reported
	defer func() { m.byTime, m.succeeded, m.reported = all, succeeded, reported }()
	failover := func(kind uint8) bool { return ClientKind(m.kinds.text(kind)) == ClientFailover }
	if others := slices.DeleteFunc(slices.Clone(all), func(a attempt) bool { return failover(a.kind) }); len(others) > 0 && len(others) < len(all) {
		m.remark("The RTO of payments, and the interruptions, are those of clients that follow DNS alone.")
		m.byTime, m.succeeded, m.reported = others, make([]int32, len(others)+1), 0
		for i, a := range others {
			m.succeeded[i+1] = m.succeeded[i]
			if a.succeeded() {
				m.succeeded[i+1]++
			}
		}
		for _, block := range m.requests {
			for i := range block {
				if !failover(block[i].kind) {
					m.reported += int(block[i].attempts)
				}
			}
		}
	}
	measurePayments()
}

// slower is the longer of a time and of a request's.
func slower(than *Seconds, q *request) *Seconds {
	if took := Seconds(q.ended - q.sent); than == nil || took > *than {
		return &took
	}
	return than
}

// duringFault reports whether a fault lasts at a moment, or the run has none.
func (m *measure) duringFault(at int64) bool {
	return len(m.faults) == 0 || slices.ContainsFunc(m.faults, func(f fault) bool { return f.begins <= at && at <= f.ends })
}

// failed judges the requests that failed: none may.
func (c *Clients) failed() Objective {
	o := Objective{Name: NameFailoverFailed, Unit: UnitPayments, Measured: pointer(float64(c.Failed)), Limit: pointer(0.0), Margin: pointer(0.0), Status: StatusPass}
	if c.Failed > 0 {
		o.Status, o.Margin = StatusFail, pointer(-float64(c.Failed))
	}
	return o
}

// slowestObjective judges the slowest request that was acknowledged.
func slowestObjective(slowest *Seconds, limit time.Duration) Objective {
	o := Objective{Name: NameFailoverSlowest, Unit: UnitSeconds, Limit: pointer(limit.Seconds()), Status: StatusNotMeasured, Reason: "no request was acknowledged"}
	if slowest != nil {
		took := slowest.Duration()
		o.Measured, o.Margin, o.Status, o.Reason = pointer(took.Seconds()), pointer((limit - took).Seconds()), StatusPass, ""
		if took > limit {
			o.Status = StatusFail
		}
	}
	return o
}

// clientTitle is title for the objectives of clients.
func clientTitle(name Name) string {
	switch name {
	case NameFailoverFailed:
		return "Requests failed, client with failover"
	case NameFailoverSlowest:
		return "Slowest request, client with failover"
	}
	return string(name)
}

// clientMeaning is meaning for the objectives of clients.
func clientMeaning(name Name) string {
	switch name {
	case NameFailoverFailed:
		return "Requests that no Region acknowledged, of clients that fail over by themselves. One Region accepts payments throughout the fault."
	case NameFailoverSlowest:
		return "The longest time from when a request was due to its acknowledgment, of clients that fail over by themselves, while the fault lasts."
	}
	return ""
}

// clients writes a line for each kind.
func (t *textReport) clients(all []Clients) {
	rows := [][]string{{"CLIENTS", "REQUESTS", "FAILED", "SLOWEST ACKNOWLEDGED", "LONGEST GAP", "FROM"}}
	for _, c := range all {
		rows = append(rows, []string{string(c.Kind), thousands(c.Requests), thousands(c.Failed), optional(c.Slowest), optional(c.Gap), t.at(c.GapFrom)})
	}
	t.tableIf(rows, 1, 2, 3, 4)
}
