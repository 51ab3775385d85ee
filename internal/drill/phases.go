package drill

import (
	"cmp"
	"math"
	"slices"
	"sort"
	"time"
)

// wholeRun is the phase of what was sent before any phase began.
const wholeRun = "run"

// measurePhases counts attempts, requests and payments by the phase that they were sent or accepted in.
func (m *measure) measurePhases() {
	type bounds struct {
		name     string
		from, to int64
	}
	var all []bounds
	for _, e := range m.events {
		if e.Kind == KindPhase {
			all = append(all, bounds{e.Name, e.At.UnixNano(), m.last + 1})
		}
	}
	if len(all) == 0 || (len(m.byTime) > 0 && m.byTime[0].sent < all[0].from) {
		all = append([]bounds{{wholeRun, m.first, m.last + 1}}, all...)
	}
	for i := range all[1:] {
		all[i].to = all[i+1].from
	}
	waits := m.waited()
	for _, b := range all {
		p := Phase{Name: b.name, From: moment(b.from), To: moment(min(b.to, m.last))}
		attempts := m.byTime[m.indexOf(b.from):m.indexOf(b.to)]
		p.Attempts = len(attempts)
		var latencies []int64
		answered, reasons := map[string]int{}, map[string]int{}
		for _, a := range attempts {
			switch outcomes[a.outcome] {
			case OutcomeAcknowledged:
				p.Acknowledged++
				answered[m.regionName(a.region)]++
				latencies = append(latencies, a.ended-a.sent)
				continue
			case OutcomeRefused:
				p.Refused++
			default:
				p.Failed++
			}
			reasons[cmp.Or(m.reasons.text(a.reason), "no reason given")]++
		}
		if p.Attempts > 0 {
			p.ErrorRate = pointer(float64(p.Attempts-p.Acknowledged) / float64(p.Attempts))
		}
		p.Answered, p.Reasons = tallied(answered), tallied(reasons)
		p.Attempt = percentiles(latencies)
		requests := m.sent[m.requestIndex(b.from):m.requestIndex(b.to)]
		p.Requests = len(requests)
		latencies = latencies[:0]
		for _, q := range requests {
			if q.acknowledged {
				latencies = append(latencies, q.ended-q.sent)
			}
		}
		p.Request = percentiles(latencies)
		latencies = latencies[:0]
		for _, w := range waits[startOf(waits, b.from):startOf(waits, b.to)] {
			latencies = append(latencies, w.recorded-w.accepted)
		}
		p.Wait = percentiles(latencies)
		m.report.Phases = append(m.report.Phases, p)
	}
}

// regionName is a Region as it is shown.
func (m *measure) regionName(number uint8) string {
	return cmp.Or(m.regions.text(number), "unknown Region")
}

func (m *measure) requestIndex(at int64) int {
	return sort.Search(len(m.sent), func(i int) bool { return m.sent[i].sent >= at })
}

// waited are the payments whose times of acceptance and recording are known, by acceptance.
func (m *measure) waited() []record {
	if m.waits != nil {
		return m.waits
	}
	waits := make([]record, 0, len(m.accounts.list))
	for i := range m.accounts.list {
		if one := &m.accounts.list[i]; one.flags.has(inLedger) && one.recorded != 0 {
			waits = append(waits, record{one.ledgerAccepted, one.recorded})
		}
	}
	slices.SortFunc(waits, func(a, b record) int {
		return cmp.Or(cmp.Compare(a.accepted, b.accepted), cmp.Compare(a.recorded, b.recorded))
	})
	m.waits = waits
	return waits
}

func startOf(waits []record, at int64) int {
	return sort.Search(len(waits), func(i int) bool { return waits[i].accepted >= at })
}

// tallied are the most frequent first.
func tallied(of map[string]int) []Count {
	list := make([]Count, 0, len(of))
	for name, count := range of {
		list = append(list, Count{name, count})
	}
	slices.SortFunc(list, func(a, b Count) int { return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Name, b.Name)) })
	return list
}

// percentiles sorts the list.
func percentiles(list []int64) Percentiles {
	p := Percentiles{Count: len(list)}
	if len(list) == 0 {
		return p
	}
	slices.Sort(list)
	nearest := func(share float64) *Seconds {
		return pointer(Seconds(list[max(0, int(math.Ceil(share*float64(len(list))))-1)]))
	}
	p.P50, p.P95, p.P99, p.Max = nearest(0.50), nearest(0.95), nearest(0.99), nearest(1)
	return p
}

// steps are what a timeline may be drawn in.
var steps = []time.Duration{
	time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second, 15 * time.Second, 30 * time.Second,
	time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 30 * time.Minute, time.Hour,
}

// maxSteps is how many steps a timeline has at the most, if hours are enough.
const maxSteps = 400

// drawTimeline puts the run into steps.
func (m *measure) drawTimeline() {
	step := int64(steps[len(steps)-1])
	for _, s := range steps {
		if (m.last-m.first)/int64(s) < maxSteps {
			step = int64(s)
			break
		}
	}
	from := m.first - m.first%step
	n := int((m.last-from)/step) + 1
	t := Timeline{From: moment(from), Step: Seconds(step), Steps: n, Answered: []Series{}, Sampled: []Series{}, Errors: make(Points, n), Wait: empty(n)}
	at := func(nanoseconds int64) int { return min(max(int((nanoseconds-from)/step), 0), n-1) }
	// A step that the run does not fill is shorter.
	length := func(i int) float64 {
		begins, ends := max(m.first, from+int64(i)*step), min(m.last, from+int64(i+1)*step)
		return max(1, time.Duration(ends-begins).Seconds())
	}
	answered := map[uint8]Points{}
	for _, a := range m.byTime {
		points := t.Errors
		if a.succeeded() {
			if answered[a.region] == nil {
				answered[a.region] = make(Points, n)
			}
			points = answered[a.region]
		}
		i := at(a.sent)
		points[i] += 1 / length(i)
	}
	for region, points := range answered {
		t.Answered = append(t.Answered, Series{Region: m.regionName(region), Points: points})
	}
	for _, w := range m.waited() {
		higher(t.Wait, at(w.accepted), time.Duration(w.recorded-w.accepted).Seconds())
	}
	sampled := map[sampleKey]Points{}
	for _, block := range m.samples {
		for _, s := range block {
			key := sampleKey{s.metric, s.region}
			if sampled[key] == nil {
				sampled[key] = empty(n)
			}
			higher(sampled[key], at(s.at), s.value)
		}
	}
	for key, points := range sampled {
		t.Sampled = append(t.Sampled, Series{Metric: metrics[key.metric], Region: m.regions.text(key.region), Points: points})
	}
	for _, points := range append([]Series{{Points: t.Errors}, {Points: t.Wait}}, append(t.Answered, t.Sampled...)...) {
		for i, v := range points.Points {
			points.Points[i] = math.Round(v*1000) / 1000 // what JSON writes
		}
	}
	slices.SortFunc(t.Answered, func(a, b Series) int { return cmp.Compare(a.Region, b.Region) })
	slices.SortFunc(t.Sampled, func(a, b Series) int { return cmp.Or(cmp.Compare(a.Metric, b.Metric), cmp.Compare(a.Region, b.Region)) })
	m.report.Timeline = t
}

func empty(n int) Points {
	points := make(Points, n)
	for i := range points {
		points[i] = math.NaN()
	}
	return points
}

func higher(points Points, i int, value float64) {
	if math.IsNaN(points[i]) || value > points[i] {
		points[i] = value
	}
}
