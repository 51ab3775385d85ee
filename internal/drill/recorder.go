package drill

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/bojanz/currency"
)

// Recorder takes observations and keeps them all. The zero value is ready, and may be used concurrently.
//
// It keeps them small, 24 bytes an attempt and 80 a request beside its ids, and in blocks that are never copied, so that a
// long run neither pauses nor doubles its memory at some moment.
type Recorder struct {
	mu         sync.Mutex
	regions    names
	reasons    names
	currencies names
	kinds      names

	attempts blocks[attempt]
	requests blocks[request]
	samples  blocks[sample]
	events   []Event
	delays   []Delay
	rejected int
	counts   counts
	latest   map[sampleKey]sample
}

// counts are the attempts so far.
type counts struct{ acknowledged, refused, failed int }

// attempt is an Attempt in 24 bytes. Times are nanoseconds of Unix time.
type attempt struct {
	sent, ended    int64
	outcome        uint8 // an index of outcomes
	region, reason uint8 // indices of names
	kind           uint8 // the same
}

func (a attempt) succeeded() bool { return a.outcome == acknowledged }

const acknowledged = 0 // OutcomeAcknowledged's index in outcomes

// request is a Request.
type request struct {
	session, transaction, order string
	minor                       int64 // the amount in the currency's minor units
	sent, ended                 int64
	attempts                    uint16
	currency, region, reason    uint8
	kind                        uint8
	outcome                     uint8
	replayed                    bool
}

type sample struct {
	at     int64
	value  float64
	metric uint8
	region uint8
}

type sampleKey struct{ metric, region uint8 }

// Attempt takes one. The error is an *ObservationError; the measure then says that an observation is missing.
func (r *Recorder) Attempt(a Attempt) error {
	outcome, err := checkEnd("attempt", a.SentAt, a.EndedAt, a.Outcome)
	if err != nil {
		return r.reject(err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.attempts.add(attempt{
		sent: a.SentAt.UnixNano(), ended: a.EndedAt.UnixNano(), outcome: outcome,
		region: r.regions.index(a.Region), reason: r.reasons.index(a.Reason), kind: r.kinds.index(string(a.Client)),
	})
	switch a.Outcome {
	case OutcomeAcknowledged:
		r.counts.acknowledged++
	case OutcomeRefused:
		r.counts.refused++
	default:
		r.counts.failed++
	}
	return nil
}

// Request takes one. The error is an *ObservationError; the measure then says that an observation is missing.
func (r *Recorder) Request(q Request) error {
	outcome, err := checkEnd("request", q.SentAt, q.EndedAt, q.Outcome)
	if err != nil {
		return r.reject(err)
	}
	if q.Outcome == OutcomeAcknowledged && (q.SessionID == "" || q.TransactionID == "") {
		return r.reject(&ObservationError{"request", "Identity", fmt.Sprintf("%q, %q", q.SessionID, q.TransactionID), "both ids, if acknowledged"})
	}
	if (q.SessionID == "" || q.TransactionID == "") && q.TransactionID != "" {
		return r.reject(&ObservationError{"request", "SessionID", "empty", "a session to each transaction"})
	}
	minor, ok := minorUnits(q.Amount)
	if !ok {
		return r.reject(&ObservationError{"request", "Amount", q.Amount.String(), "positive, with the decimals of its currency, below 10^15"})
	}
	if q.Attempts < 0 || q.Attempts > math.MaxUint16 || (q.Attempts == 0 && q.Outcome == OutcomeAcknowledged) {
		return r.reject(&ObservationError{"request", "Attempts", fmt.Sprint(q.Attempts), "0 to 65535, and 1 or more if acknowledged"})
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.requests.add(request{
		session: q.SessionID, transaction: q.TransactionID, order: q.Order, minor: minor, currency: r.currencies.index(q.Amount.CurrencyCode()),
		sent: q.SentAt.UnixNano(), ended: q.EndedAt.UnixNano(), attempts: uint16(q.Attempts),
		region: r.regions.index(q.Region), reason: r.reasons.index(q.Reason), kind: r.kinds.index(string(q.Client)), outcome: outcome, replayed: q.Replayed,
	})
	return nil
}

// Event takes one. The error is an *ObservationError; the measure then says that an observation is missing.
func (r *Recorder) Event(e Event) error {
	switch {
	case e.At.IsZero():
		return r.reject(&ObservationError{"event", "At", "zero", "a moment of the run"})
	case !slices.Contains(kinds, e.Kind):
		return r.reject(&ObservationError{"event", "Kind", fmt.Sprintf("%q", e.Kind), fmt.Sprint(kinds)})
	case e.Name == "" && e.Kind != KindNote && e.Kind != KindPromotion:
		return r.reject(&ObservationError{"event", "Name", "empty", "a name, for " + string(e.Kind)})
	case e.Region == "" && (e.Kind == KindPromotion || e.Kind == KindDNS):
		return r.reject(&ObservationError{"event", "Region", "empty", "a Region, for " + string(e.Kind)})
	}
	for _, hit := range e.Hits {
		if hit != SubjectPayments && hit != SubjectLedger {
			return r.reject(&ObservationError{"event", "Hits", fmt.Sprintf("%q", hit), fmt.Sprintf("%q, %q", SubjectPayments, SubjectLedger)})
		}
	}
	e.At = e.At.UTC()
	e.Hits = slices.Clone(e.Hits)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, e)
	return nil
}

// Sample takes one. The error is an *ObservationError; the measure then says that an observation is missing.
func (r *Recorder) Sample(s Sample) error {
	metric := slices.Index(metrics, s.Metric)
	switch {
	case s.At.IsZero():
		return r.reject(&ObservationError{"sample", "At", "zero", "a moment of the run"})
	case metric < 0:
		return r.reject(&ObservationError{"sample", "Metric", fmt.Sprintf("%q", s.Metric), fmt.Sprint(metrics)})
	case !(s.Value >= 0) || math.IsInf(s.Value, 0):
		return r.reject(&ObservationError{"sample", "Value", fmt.Sprint(s.Value), "a number, 0 or more"})
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	one := sample{at: s.At.UnixNano(), value: s.Value, metric: uint8(metric), region: r.regions.index(s.Region)}
	r.samples.add(one)
	if r.latest == nil {
		r.latest = map[sampleKey]sample{}
	}
	r.latest[sampleKey{one.metric, one.region}] = one
	return nil
}

// Delay takes one. The error is an *ObservationError; the measure then says that an observation is missing.
func (r *Recorder) Delay(d Delay) error {
	switch {
	case d.Source != SourceAssumed && d.Source != SourceCalculated:
		return r.reject(&ObservationError{"delay", "Source", fmt.Sprintf("%q", d.Source), fmt.Sprintf("%q, %q", SourceAssumed, SourceCalculated)})
	case d.From.IsZero() || d.To.Before(d.From):
		return r.reject(&ObservationError{"delay", "To", d.To.Format(time.RFC3339Nano), "From or later"})
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.delays = append(r.delays, d)
	return nil
}

func (r *Recorder) reject(err *ObservationError) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rejected++
	return err
}

func checkEnd(what string, sent, ended time.Time, outcome Outcome) (uint8, *ObservationError) {
	index := slices.Index(outcomes, outcome)
	switch {
	case sent.IsZero():
		return 0, &ObservationError{what, "SentAt", "zero", "a moment of the run"}
	case ended.Before(sent):
		return 0, &ObservationError{what, "EndedAt", ended.Format(time.RFC3339Nano), "SentAt or later"}
	case index < 0:
		return 0, &ObservationError{what, "Outcome", fmt.Sprintf("%q", outcome), fmt.Sprint(outcomes)}
	}
	return uint8(index), nil
}

// minorUnits is an amount in whole minor units of its currency. ok is false for what no payment can be over.
func minorUnits(a currency.Amount) (minor int64, ok bool) {
	if !a.IsPositive() || !a.Round().Equal(a) {
		return 0, false
	}
	minor, err := a.Int64()
	return minor, err == nil
}

// observations are what a Recorder had at a moment. They do not change.
type observations struct {
	regions, reasons, currencies, kinds names

	attempts [][]attempt
	requests [][]request
	samples  [][]sample
	events   []Event
	delays   []Delay
	rejected int
}

func (r *Recorder) observations() observations {
	r.mu.Lock()
	defer r.mu.Unlock()
	return observations{
		regions: r.regions.clone(), reasons: r.reasons.clone(), currencies: r.currencies.clone(), kinds: r.kinds.clone(),
		attempts: r.attempts.view(), requests: r.requests.view(), samples: r.samples.view(),
		events: slices.Clone(r.events), delays: slices.Clone(r.delays), rejected: r.rejected,
	}
}

// blocks is a list that grows without being copied.
type blocks[T any] struct{ list [][]T }

const blockSize = 4096

func (b *blocks[T]) add(one T) {
	last := len(b.list) - 1
	if last < 0 || len(b.list[last]) == blockSize {
		b.list = append(b.list, make([]T, 0, blockSize))
		last++
	}
	b.list[last] = append(b.list[last], one)
}

// view is the list as it stands. What is added later lies beyond it.
func (b *blocks[T]) view() [][]T { return slices.Clone(b.list) }

// names are the few texts that recur, by numbers of a byte: 0 is no text, 1 is what has found no room.
type names struct {
	list    []string
	numbers map[string]uint8
}

const (
	// maxNames leaves room for the two.
	maxNames   = 254
	otherNames = "other"
)

// index is a text's number.
func (n *names) index(text string) uint8 {
	if n.numbers == nil {
		n.list = []string{"", otherNames}
		n.numbers = map[string]uint8{"": 0, otherNames: 1}
	}
	number, ok := n.numbers[text]
	if !ok {
		if len(n.list) == maxNames+2 {
			return 1
		}
		number = uint8(len(n.list))
		n.list = append(n.list, text)
		n.numbers[text] = number
	}
	return number
}

func (n *names) clone() names {
	return names{list: slices.Clone(n.list), numbers: maps.Clone(n.numbers)}
}

// text is the text of a number.
func (n *names) text(number uint8) string {
	if int(number) >= len(n.list) {
		return ""
	}
	return n.list[number]
}
