package drill

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"payments-dr/internal/payment/reconcile"
)

// Run is what observations are measured by: what was promised, what was computed, and what is there in the end.
type Run struct {
	// Banner is the line that stands first in every output and says what this is: "SIMULATED: …" of a rehearsal.
	Banner string
	// Title names the run.
	Title string
	// Clock says what the run's times are.
	Clock Clock
	// Provenance is how the report was made: the tool, the commit, the templates, the machine.
	Provenance []Fact
	// NotModeled are the types of resources in the templates that a rehearsal leaves out.
	NotModeled []string
	// Objectives are what was promised. Beside them no payment may be lost, doubled, different or unexplained, whatever the run.
	Objectives Objectives
	// Computed are what the objectives' times come to by computation; nil where they were not computed.
	Computed struct{ PaymentsRTO, LedgerRTO, RPO *Computed }
	// FailoverWithin is how long a request of a client that fails over may take, if a Region accepts payments throughout the run.
	// None of these requests may fail then. 0: not judged.
	FailoverWithin time.Duration
	// Sustained says what counts as payments being taken, and recorded, again.
	Sustained Sustained
	// Assumptions are the run's inputs.
	Assumptions []Assumption

	// SessionPrefix begins the sessions of the run's own payments, where others make payments too. Items and rows of other
	// sessions are counted and left alone. Empty: all are the run's own.
	SessionPrefix string
	// Table hands the session table's items to the function, as they are in the end.
	Table func(each func(Item) error) error
	// LedgerBefore hands over the ledger's rows before the last reconciliation and after the queues were worked off; nil: what
	// the reconciliation has repaired is not known.
	LedgerBefore func(each func(Row) error) error
	// Ledger hands over the ledger's rows as they are in the end, when the queues have been worked off and table and ledger were
	// reconciled: what is on its way then is missing.
	Ledger func(each func(Row) error) error
	// Promoted hand over the rows that the promoted database had at each promotion, in the order of the promotions. Where one is
	// missing, the final ledger's times of recording say it.
	Promoted []func(each func(Row) error) error
	// Broken is what the observer found to be broken in the platform, a sentence each, whether a payment has suffered from it or
	// not: one part of the platform often hides what another does wrong.
	Broken []string
	// Remarks are what the observer has to tell beside the numbers, a sentence each.
	Remarks []string
	// Reconciliations are their reports, in the order of time.
	Reconciliations []reconcile.Report
	// Unreconciled is why there is no reconciliation of a run that was to have one; empty: there is, or none was asked for.
	Unreconciled string
	// Untried are what nothing in the run puts to the test, such as the RPO where nothing is to be promoted, or what a run does not
	// ask about. That one cannot be measured is then no fault of the run; one that is measured is judged like any other.
	Untried []Name
	// Stopped is why the run ended before its time; such a run is no pass, whatever was measured until then. Empty: it did not.
	Stopped string
}

// Objectives are the promised times; zero: nothing is promised, and the time is measured and not judged.
type Objectives struct {
	// PaymentsRTO is how long payments may not be taken.
	PaymentsRTO time.Duration
	// LedgerRTO is how long payments may not be recorded. It needs an RPO or a Backlog.
	LedgerRTO time.Duration
	// RPO is how far the ledger that was promoted after a loss may be behind the loss.
	RPO time.Duration
	// Backlog is how far the ledger may be behind at a planned promotion. Nothing is lost then: payments wait in a queue.
	Backlog time.Duration
}

// lag is how far behind a ledger may be that counts as recording payments.
func (o Objectives) lag() time.Duration { return cmp.Or(o.RPO, o.Backlog) }

// Computed is a time calculated from the templates.
type Computed struct{ Expected, Worst time.Duration }

// Sustained says when success counts as lasting. Zero values are the defaults.
type Sustained struct {
	// For is how long it has to last; 0 is 60 s.
	For time.Duration
	// Success is the share of attempts that has to succeed, above 0.5 and up to 1; 0 is 0.99.
	Success float64
	// Silence is the longest pause between attempts, or between records, that still counts as looking on; 0 is 10 s.
	Silence time.Duration
	// Sent is the share of the requests on schedule that have to be sent, where the schedule is known, up to 1; 0 is 0.9.
	Sent float64
}

// Assumption is an input of the run.
type Assumption struct {
	What  string `json:"what"`
	Value string `json:"value"`
	// Source is where it is written: a documentation page's name, a template, a measurement.
	Source string `json:"source"`
}

func (r *Run) check() error {
	for _, one := range []struct {
		field string
		value time.Duration
	}{
		{"Objectives.PaymentsRTO", r.Objectives.PaymentsRTO}, {"Objectives.LedgerRTO", r.Objectives.LedgerRTO}, {"Objectives.RPO", r.Objectives.RPO},
		{"Objectives.Backlog", r.Objectives.Backlog},
		{"Sustained.For", r.Sustained.For}, {"Sustained.Silence", r.Sustained.Silence},
	} {
		if one.value < 0 {
			return fmt.Errorf("%s is %v; allowed is 0 or more", one.field, one.value)
		}
	}
	switch s := r.Sustained; {
	case r.Banner == "":
		return errors.New("the Banner is empty; allowed is a line that says what the run is")
	case r.Objectives.LedgerRTO > 0 && r.Objectives.lag() == 0:
		return errors.New("with Objectives.LedgerRTO, Objectives.RPO and Backlog are 0; one of them must be more than 0")
	case s.Success != 0 && !(s.Success > 0.5 && s.Success <= 1):
		return fmt.Errorf("Sustained.Success is %v; allowed is above 0.5 and up to 1", s.Success)
	case s.Sent != 0 && !(s.Sent > 0 && s.Sent <= 1):
		return fmt.Errorf("Sustained.Sent is %v; allowed is above 0 and up to 1", s.Sent)
	}
	return nil
}

func (s Sustained) orDefault() Sustained {
	if s.For == 0 {
		s.For = time.Minute
	}
	if s.Success == 0 {
		s.Success = 0.99
	}
	if s.Silence == 0 {
		s.Silence = 10 * time.Second
	}
	if s.Sent == 0 {
		s.Sent = 0.9
	}
	return s
}
