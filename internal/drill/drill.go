// Package drill measures the loss of a Region: what clients and the platform went through is observed, and then judged against
// the recovery objectives. The rehearsal on one machine and the drill against the deployed platform use the same measure and
// write the same report.
//
// It runs nothing and waits for nothing. It takes observations with the times of the run's own clock, which in a rehearsal is a
// simulated one, and knows no other clock. Whoever observes parts that live by another clock, such as a database that notes its
// own time, converts before handing in.
//
// # How it measures
//
// Each number is defined where it is computed. Two rules stand above them. Of two ways to count, the one that makes the platform
// look worse is taken. And what cannot be measured is "not measured", with the reason, which is no pass: no failure seen, nobody
// looking, a list that could not be read, an observation that ends too early.
//
// # What it needs
//
// Payments have to be sent on a schedule that does not wait for answers. Clients that wait send less while payments fail, and
// the failures that they would have seen are missing. Where the rate on schedule is known (MetricOfferedRate), success does not
// count as sustained while less is sent.
package drill

import (
	"fmt"
	"time"

	"github.com/bojanz/currency"

	"payments-dr/internal/payment"
)

// Outcome is how an attempt or a request ended for the client.
type Outcome string

const (
	// OutcomeAcknowledged is an answer that says the payment is accepted, now or earlier. Whoever records it has compared the
	// answer with what was sent.
	OutcomeAcknowledged Outcome = "acknowledged"
	// OutcomeRefused is an answer that says this is no payment and will never be one: 4xx, but 429. Payments of a drill are all
	// good ones, so that to availability this is a failure like any other.
	OutcomeRefused Outcome = "refused"
	// OutcomeFailed is everything else: no answer, an answer that is no acknowledgment, too many requests, 5xx. Whether the
	// payment was accepted is not known.
	OutcomeFailed Outcome = "failed"
)

var outcomes = []Outcome{OutcomeAcknowledged, OutcomeRefused, OutcomeFailed}

// Attempt is one sending of a request.
type Attempt struct {
	SentAt, EndedAt time.Time
	Outcome         Outcome
	// Reason is why it was not acknowledged, in few words that recur: "503", "timeout". Empty if acknowledged. Of reasons, of
	// Regions and of currencies, a run tells 254 apart.
	Reason string
	// Region is where the answer came from; empty if none came.
	Region string
	// Client is the kind of client; empty: not told.
	Client ClientKind
}

// Request is a client's wish to pay, with all its attempts. One that has no answer when the run ends is recorded as failed then.
type Request struct {
	// Identity is the payment's, as sent or, if the service has made it, as answered. It may be empty in a request that was not
	// acknowledged: then it can never be told which payment it made, if any.
	payment.Identity
	// Order is what is being paid for, by the client's own account. All requests for it are one payment to the client, and more
	// than one identity recorded for it is a payment made twice. Empty: the identity stands for it.
	Order string
	// Amount is positive and has exactly the decimals of its currency.
	Amount currency.Amount
	// SentAt is when the first attempt was due, EndedAt when the client knew the outcome or gave up.
	SentAt, EndedAt time.Time
	Outcome         Outcome
	// Reason and Region are those of the last attempt.
	Reason, Region string
	// Client is the kind of client; empty: not told.
	Client ClientKind
	// Attempts is how many there were, each of them an Attempt; 0 if nothing could be sent.
	Attempts int
	// Replayed tells that the acknowledgment was of a payment that had been accepted earlier.
	Replayed bool
}

// Kind is what an event is about.
type Kind string

const (
	// KindPhase is the beginning of a part of the run, by its name. It ends where the next begins, or with the run.
	KindPhase Kind = "phase"
	// KindFaultBegins and KindFaultEnds frame a fault, by its name. Region is where, Hits what it is meant to take away.
	KindFaultBegins Kind = "fault-begins"
	KindFaultEnds   Kind = "fault-ends"
	// KindHealthCheck is a health check that has changed: its name, its Region, and ResultHealthy or ResultUnhealthy.
	KindHealthCheck Kind = "health-check"
	// KindDNS is a name that is answered otherwise from now on: the name, and the Region that it leads to.
	KindDNS Kind = "dns"
	// KindPlanBegins and KindPlanEnds frame an execution of the recovery plan, by its name, for the Region that is activated.
	KindPlanBegins Kind = "plan-begins"
	KindPlanEnds   Kind = "plan-ends"
	// KindStepBegins and KindStepEnds frame a step of it, by its name.
	KindStepBegins Kind = "step-begins"
	KindStepEnds   Kind = "step-ends"
	// KindPromotion is the moment from which a Region's database takes writes.
	KindPromotion Kind = "promotion"
	// KindAlarm is an alarm, by its name, that has changed to Result.
	KindAlarm Kind = "alarm"
	// KindNote is whatever else is worth a mark.
	KindNote Kind = "note"
)

var kinds = []Kind{
	KindPhase, KindFaultBegins, KindFaultEnds, KindHealthCheck, KindDNS, KindPlanBegins, KindPlanEnds, KindStepBegins, KindStepEnds,
	KindPromotion, KindAlarm, KindNote,
}

// The results that mean something to the measure. Any other is shown as it is.
const (
	ResultHealthy   = "healthy"
	ResultUnhealthy = "unhealthy"
	ResultCompleted = "completed"
	ResultFailed    = "failed"
	ResultSkipped   = "skipped"
	ResultAlarm     = "ALARM"
)

// Subject is a part of the service that has an objective of its own.
type Subject string

const (
	// SubjectPayments is taking payments.
	SubjectPayments Subject = "payments"
	// SubjectLedger is recording them.
	SubjectLedger Subject = "ledger"
)

// Event is something that happened at a moment of the run.
type Event struct {
	At   time.Time `json:"at"`
	Kind Kind      `json:"kind"`
	// Name tells events of a kind apart. What begins and ends has the same name in both. Only a note and a promotion may have none.
	Name string `json:"name,omitempty"`
	// Region is what the event is about, or leads to.
	Region string `json:"region,omitempty"`
	// Result is how something ended, or what it has become.
	Result string `json:"result,omitempty"`
	// Text is for the reader.
	Text string `json:"text,omitempty"`
	// Hits is, of a fault that begins, what it is meant to take away; nothing, of one that should not be felt. A fault that is not
	// seen to do so leaves the objective unmeasured.
	Hits []Subject `json:"hits,omitempty"`
	// Planned is, of a fault that begins, that it is a planned move: nothing is lost in it.
	Planned bool `json:"planned,omitempty"`
}

// Metric is what is sampled.
type Metric string

const (
	// MetricReplicationLag is how far a Region's database is behind the writer, in seconds.
	MetricReplicationLag Metric = "replication-lag-seconds"
	// MetricReplicationRows is the same in rows of the ledger.
	MetricReplicationRows Metric = "replication-lag-rows"
	// MetricQueueDepth is how many messages a Region's ledger queue has, those being worked on included.
	MetricQueueDepth Metric = "queue-depth"
	// MetricQueueAge is the age of the oldest of them, in seconds.
	MetricQueueAge Metric = "queue-age-seconds"
	// MetricOfferedRate is how many requests a second the schedule asks for, from now on; 0 when it ends. It has no Region.
	MetricOfferedRate Metric = "offered-rate"
)

var metrics = []Metric{MetricReplicationLag, MetricReplicationRows, MetricQueueDepth, MetricQueueAge, MetricOfferedRate}

// Sample is the value of a metric at a moment, 0 or more.
type Sample struct {
	At     time.Time
	Metric Metric
	Region string
	Value  float64
}

// Item is a payment as the session table has it.
type Item = payment.Payment

// Row is a payment as the ledger has it.
type Row struct {
	payment.Payment
	// RecordedAt is when the row was written; zero: not known.
	RecordedAt time.Time
}

// ObservationError is an observation that cannot be true, and was not taken.
type ObservationError struct {
	// What is the kind of observation, Field its field.
	What, Field string
	// Value is what it is, Allowed what it may be.
	Value, Allowed string
}

func (e *ObservationError) Error() string {
	return fmt.Sprintf("record %s: %s is %s; allowed is %s", e.What, e.Field, e.Value, e.Allowed)
}
