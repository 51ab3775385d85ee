package drill

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"

	"payments-dr/internal/payment/reconcile"
)

// Version is that of the report's JSON. It grows when a field changes its meaning or goes; a new field changes nothing.
const Version = 2

// Status is how something was judged.
type Status string

const (
	StatusPass Status = "pass"
	StatusFail Status = "fail"
	// StatusNotMeasured is no pass.
	StatusNotMeasured Status = "not measured"
	// StatusNotJudged is a time without an objective, or one that the run does not put to the test.
	StatusNotJudged Status = "not judged"
)

// Report is what a run came to. All that is written of a run is made of it, so that its JSON can be read back and written in
// another form. Lists are in the order of time, or of what they show.
type Report struct {
	// Banner says what this is. It comes first.
	Banner string `json:"banner"`
	// Version is that of these fields.
	Version int    `json:"version"`
	Title   string `json:"title"`
	// Clock says what the times are. Simulated ones have no zone in JSON, and are UTC in Go only for want of another.
	Clock Clock `json:"clock"`
	// Provenance is how the report was made.
	Provenance []Fact `json:"provenance"`
	// From and To are the first and the last observation, by the run's own clock.
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
	// Status is fail if an objective is missed or the platform is broken, not measured if one could not be measured, not judged if no
	// objective was, and pass if all that were judged are met.
	Status     Status      `json:"status"`
	Objectives []Objective `json:"objectives"`
	// Broken is what was found to be broken in the platform; see Run. Anything in it is a failure, whatever the objectives.
	Broken []string `json:"broken,omitempty"`
	// Remarks are what a reader has to know to read the numbers rightly.
	Remarks []string `json:"remarks"`
	Totals  Totals   `json:"totals"`
	Faults  []Fault  `json:"faults"`
	// Interruptions are all the spans in which payments were not taken, by faults or without.
	Interruptions []Interruption `json:"interruptions"`
	Promotions    []Promotion    `json:"promotions"`
	Phases        []Phase        `json:"phases"`
	// Clients are the kinds of clients, where the run tells them apart.
	Clients []Clients `json:"clients,omitempty"`
	// Findings has the payments at fault, a list for each fault there is.
	Findings        []Findings         `json:"findings"`
	Reconciliations []reconcile.Report `json:"reconciliations"`
	Assumptions     []Assumption       `json:"assumptions"`
	// NotModeled are the types of resources in the templates that the run left out.
	NotModeled []string `json:"notModeled"`
	Events     []Event  `json:"events"`
	Timeline   Timeline `json:"timeline"`
	// Sustained is what counted as lasting.
	Sustained SustainedRule `json:"sustained"`
}

// SustainedRule is the rule that was applied; see Sustained.
type SustainedRule struct {
	For     Seconds `json:"forSeconds"`
	Success float64 `json:"success"`
	Silence Seconds `json:"silenceSeconds"`
	Sent    float64 `json:"sent"`
}

// Name is an objective's, and that of the list with what speaks against it. It never changes.
type Name string

const (
	NamePaymentsRTO Name = "payments-rto"
	NameLedgerRTO   Name = "ledger-rto"
	// NameRPO is what a promotion after a loss did not have, NameBacklog what a planned promotion did not have yet.
	NameRPO     Name = "rpo"
	NameBacklog Name = "backlog"
	// NameLost are payments that were acknowledged to a client and are not in the table.
	NameLost Name = "lost"
	// NameMissing are payments that were acknowledged to a client and are not in the ledger.
	NameMissing Name = "missing"
	// NameDoubled are the records of payments beyond the one that each may have: an identity that the table or the ledger shows
	// twice, and a second identity that is recorded for one order. Each record too many counts.
	NameDoubled Name = "doubled"
	// NameDifferent are payments of which the table or the ledger has another amount or currency than the client has sent.
	NameDifferent Name = "different"
	// NameUnexplained are payments in the table or the ledger that nobody acknowledged, and that no failed request explains:
	// nobody sent them, or they were refused.
	NameUnexplained Name = "unexplained"
	// NameDisagreeing are payments that table and ledger do not both have, over the same money, acknowledged or not.
	NameDisagreeing Name = "disagreeing"
	// NameReconciliation counts what the last reconciliation that was reported has left wrong.
	NameReconciliation Name = "reconciliation"

	// NameExplained are payments in the table or the ledger whose requests all failed for the client. It is a list and no
	// objective: the client was told to ask again.
	NameExplained Name = "explained"
	// NameLate are the payments that were acknowledged before a fault and that the ledger promoted after it did not have: what the
	// RPO counts. It is a list and no objective of its own.
	NameLate Name = "late"
)

// Unit is what a number counts.
type Unit string

const (
	UnitSeconds  Unit = "seconds"
	UnitPayments Unit = "payments"
)

// Objective is a promise and what became of it.
type Objective struct {
	Name Name `json:"name"`
	Unit Unit `json:"unit"`
	// Measured is null if it could not be measured. It may be there although the status is not measured: then it is what was
	// seen, and not all was. Of a time it is the sum of its parts.
	Measured *float64 `json:"measured"`
	// Parts are a time's, by where they come from. A count has none.
	Parts []Part `json:"parts,omitempty"`
	// Limit is the most that is allowed; null: nothing was promised.
	Limit *float64 `json:"limit"`
	// Margin is the limit less the measured.
	Margin *float64 `json:"margin"`
	// Expected and Worst are calculated from the templates; null: not calculated.
	Expected *float64 `json:"expected"`
	Worst    *float64 `json:"worst"`
	Status   Status   `json:"status"`
	// Reason is why it was missed or not measured.
	Reason string `json:"reason,omitempty"`
}

// Totals are numbers of the whole run.
type Totals struct {
	Requests     int `json:"requests"`
	Acknowledged int `json:"acknowledged"`
	Refused      int `json:"refused"`
	Failed       int `json:"failed"`
	// Replayed are the acknowledged whose payment had been accepted by an earlier attempt or request.
	Replayed int `json:"replayed"`
	Attempts int `json:"attempts"`
	// FailedAttempts are those not acknowledged, refused ones included.
	FailedAttempts int `json:"failedAttempts"`
	// Payments are the different identities that were acknowledged.
	Payments int `json:"payments"`
	// AtFault are the different identities that are lost, missing, doubled, different or unexplained, one or several of these. Null:
	// none was found, and not all of these lists were measured.
	AtFault *int `json:"atFault"`
	// Table, LedgerBefore and Ledger are the run's own items and rows; null: not read to the end.
	Table        *int `json:"table"`
	LedgerBefore *int `json:"ledgerBefore"`
	Ledger       *int `json:"ledger"`
	// Others are items and rows of sessions that are not the run's. Null: none was found, and table or ledger were not read to the end.
	Others *int `json:"others"`
	// MissingBefore are the acknowledged payments that the ledger did not have before the last reconciliation; null: not known.
	MissingBefore *int `json:"missingBefore"`
}

// Fault is a fault and what it did.
type Fault struct {
	Name   string     `json:"name"`
	Region string     `json:"region,omitempty"`
	Text   string     `json:"text,omitempty"`
	Begins time.Time  `json:"begins"`
	Ends   *time.Time `json:"ends"`
	Hits   []Subject  `json:"hits"`
	// Planned: it is a planned move, in which nothing is lost.
	Planned bool `json:"planned,omitempty"`
	// FirstFailure is when the first attempt was sent that failed by the fault; null: none was seen, or not meant to be.
	FirstFailure *time.Time `json:"firstFailure"`
	// PaymentsBack is when payments were taken again, PaymentsRTO how long after the fault. Null: not seen.
	PaymentsBack *time.Time `json:"paymentsBack"`
	PaymentsRTO  *Seconds   `json:"paymentsRtoSeconds"`
	// LedgerBack is when payments were recorded again, LedgerRTO how long after the fault. Null: not seen.
	LedgerBack *time.Time `json:"ledgerBack"`
	LedgerRTO  *Seconds   `json:"ledgerRtoSeconds"`
	// Notes say what could not be seen.
	Notes []string `json:"notes"`
}

// Interruption is a span in which payments were not taken.
type Interruption struct {
	// From is the fault that it is due to, or the first failed attempt.
	From time.Time `json:"from"`
	// FirstFailure is when the first attempt was sent that failed.
	FirstFailure time.Time `json:"firstFailure"`
	// To is when payments were taken again; null: not while anybody looked.
	To *time.Time `json:"to"`
	// Length is from From to To, or to the last attempt.
	Length Seconds `json:"lengthSeconds"`
	// Fault is the name of the fault that it is due to; empty: none.
	Fault string `json:"fault,omitempty"`
	// FailedAttempts were sent in it.
	FailedAttempts int `json:"failedAttempts"`
}

// Promotion is what a promoted database had.
type Promotion struct {
	Region string    `json:"region"`
	At     time.Time `json:"at"`
	// Loss is the moment up to which it should have had everything: the fault's, or the promotion itself if none led to it.
	Loss time.Time `json:"loss"`
	// Fault is the name of the fault; empty: a planned promotion.
	Fault string `json:"fault,omitempty"`
	// RPO is how long before the loss the oldest acknowledged payment was accepted that it did not have. A planned promotion has a
	// Backlog instead: how long before the promotion. Late is how many payments these are. Null: not known.
	RPO     *Seconds `json:"rpoSeconds,omitempty"`
	Backlog *Seconds `json:"backlogSeconds,omitempty"`
	Late    *int     `json:"late"`
	// Waiting is how many were acknowledged from the loss to the promotion and waited for a ledger.
	Waiting *int `json:"waiting"`
	// FinalBehind and FinalLate are the same in the end, after the queues and the reconciliation.
	FinalBehind *Seconds `json:"finalBehindSeconds"`
	FinalLate   *int     `json:"finalLate"`
	// Snapshot tells that the promoted ledger itself was read at its promotion, and not concluded from times of recording.
	Snapshot bool     `json:"snapshot"`
	Notes    []string `json:"notes"`
}

// Phase is a part of the run. Attempts and requests belong to the phase that they were sent in.
type Phase struct {
	Name     string    `json:"name"`
	From     time.Time `json:"from"`
	To       time.Time `json:"to"`
	Requests int       `json:"requests"`
	Attempts int       `json:"attempts"`
	// Acknowledged, Refused and Failed are attempts.
	Acknowledged int `json:"acknowledged"`
	Refused      int `json:"refused"`
	Failed       int `json:"failed"`
	// ErrorRate is the share of attempts that was not acknowledged; null: there were none.
	ErrorRate *float64 `json:"errorRate"`
	// Answered are the acknowledged attempts by the Region that answered.
	Answered []Count `json:"answered"`
	// Reasons are the other attempts by why.
	Reasons []Count `json:"reasons"`
	// Attempt is the latency of acknowledged attempts.
	Attempt Percentiles `json:"attemptLatency"`
	// Request is how long clients waited for an acknowledgment, with all attempts.
	Request Percentiles `json:"requestLatency"`
	// Wait is how long payments that were accepted in the phase waited for the ledger. Those never recorded are not in it.
	Wait Percentiles `json:"ledgerWait"`
}

// Count is a number of something named.
type Count struct {
	Name  string `json:"name"`
	Count int    `json:"count"`
}

// Percentiles are of a list of times: the smallest that at least so many percent do not exceed. All are null if there are none.
type Percentiles struct {
	Count int      `json:"count"`
	P50   *Seconds `json:"p50Seconds"`
	P95   *Seconds `json:"p95Seconds"`
	P99   *Seconds `json:"p99Seconds"`
	Max   *Seconds `json:"maxSeconds"`
}

// Findings are payments of one fault: how many there are, and the first MaxExamples by when they were sent.
type Findings struct {
	Name     Name      `json:"name"`
	Count    int       `json:"count"`
	Examples []Finding `json:"examples"`
}

// MaxExamples is how many payments of one fault are in the report.
const MaxExamples = 100

// Finding is one payment. The ids are those of the run's own payments.
type Finding struct {
	SessionID     string `json:"session_id"`
	TransactionID string `json:"transaction_id"`
	Order         string `json:"order,omitempty"`
	// Sent is what the client has sent, and when; empty: no client has.
	Sent   string     `json:"sent,omitempty"`
	SentAt *time.Time `json:"sentAt,omitempty"`
	// Outcome is what the client knows of it.
	Outcome string `json:"outcome,omitempty"`
	// Table and Ledger are what each has of it; empty: nothing.
	Table  string `json:"table,omitempty"`
	Ledger string `json:"ledger,omitempty"`
}

// Timeline is the run in steps of equal length, for a chart. The last step may not be whole.
type Timeline struct {
	From time.Time `json:"from"`
	// Step is the length of each step.
	Step  Seconds `json:"stepSeconds"`
	Steps int     `json:"steps"`
	// Answered are payments acknowledged a second, a series for each Region that answered, by when they were sent.
	Answered []Series `json:"answered"`
	// Errors are the other attempts a second, by when they were sent.
	Errors Points `json:"errors"`
	// Wait is the longest that payments accepted in the step waited for the ledger, in seconds; null: none is known.
	Wait Points `json:"ledgerWaitSeconds"`
	// Sampled are the metrics, the highest value of each step; null: no sample.
	Sampled []Series `json:"sampled"`
}

// Series is a row of numbers, one for each step.
type Series struct {
	// Metric is empty for a rate.
	Metric Metric `json:"metric,omitempty"`
	Region string `json:"region"`
	Points Points `json:"points"`
}

// Points are numbers with up to three decimals, one for each step. NaN stands for none, which is null in JSON.
type Points []float64

// MarshalJSON writes null for NaN.
func (p Points) MarshalJSON() ([]byte, error) {
	out := []byte{'['}
	for i, v := range p {
		if i > 0 {
			out = append(out, ',')
		}
		if math.IsNaN(v) {
			out = append(out, "null"...)
			continue
		}
		out = strconv.AppendFloat(out, v, 'f', -1, 64)
	}
	return append(out, ']'), nil
}

// UnmarshalJSON reads what MarshalJSON has written.
func (p *Points) UnmarshalJSON(data []byte) error {
	var values []*float64
	if err := json.Unmarshal(data, &values); err != nil {
		return err
	}
	*p = make(Points, len(values))
	for i, v := range values {
		if (*p)[i] = math.NaN(); v != nil {
			(*p)[i] = *v
		}
	}
	return nil
}

// Seconds is a duration; in JSON, seconds with up to six decimals.
type Seconds time.Duration

// Duration is the same of another type.
func (s Seconds) Duration() time.Duration { return time.Duration(s) }

// MarshalJSON writes seconds.
func (s Seconds) MarshalJSON() ([]byte, error) {
	micros := time.Duration(s).Round(time.Microsecond).Microseconds()
	return strconv.AppendFloat(nil, float64(micros)/1e6, 'f', -1, 64), nil
}

// UnmarshalJSON reads seconds.
func (s *Seconds) UnmarshalJSON(data []byte) error {
	seconds, err := strconv.ParseFloat(string(data), 64)
	if err != nil {
		return fmt.Errorf("read seconds: %w", err)
	}
	*s = Seconds(time.Duration(math.Round(seconds*1e6)) * time.Microsecond)
	return nil
}

// WriteJSON writes the report as JSON.
func (r Report) WriteJSON(w io.Writer) error {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(r)
	data := out.Bytes()
	if r.Clock.Simulated {
		data = zoned.ReplaceAll(data, []byte(`$1"`))
	}
	if err == nil {
		_, err = w.Write(data)
	}
	if err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}

// The fields of JSON with times of the run. The zone is left out of simulated ones, and put back to read them.
var (
	zoned    = regexp.MustCompile(`("(?:at|begins|doneUpTo|ends|firstFailure|from|ledgerBack|loss|paymentsBack|sentAt|to)":\s*"[0-9T:.-]+)Z"`)
	zoneless = regexp.MustCompile(strings.TrimSuffix(zoned.String(), `Z"`) + `"`)
)

// Read reads a report that WriteJSON has written. One of another version is an error.
func Read(from io.Reader) (Report, error) {
	var r Report
	data, err := io.ReadAll(from)
	if err == nil {
		err = json.Unmarshal(zoneless.ReplaceAll(data, []byte(`${1}Z"`)), &r)
	}
	if err != nil {
		return Report{}, fmt.Errorf("read report: %w", err)
	}
	if r.Version != Version {
		return Report{}, fmt.Errorf("read report: version is %d; allowed is %d", r.Version, Version)
	}
	return r, nil
}
