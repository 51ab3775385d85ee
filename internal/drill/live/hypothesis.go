// Package live runs a drill against a deployed platform: it states beforehand what is to hold, sends marked test payments
// through the public name, lets the recovery plan move the platform if asked to, ends by itself when it should not go on, and
// hands what it observed to package drill, which measures a rehearsal in the same way.
//
// Its parts are those of other tools for fault experiments, such as AWS FIS and the Chaos Toolkit: a steady state that has to
// hold before and after, an action, tolerances, and stop conditions.
package live

import (
	"time"

	"payments-dr/internal/drill"
)

// Hypothesis is what a drill does, and what is to hold. Read reads it from a file and checks it.
type Hypothesis struct {
	// Title names the drill, in a line. Description says more.
	Title, Description string
	// Environment is the deployed environment that it is for.
	Environment string
	// Owner answers for the drill, and Reason says why it is held.
	Owner, Reason string
	// NotBefore and NotAfter are when it may begin; zero: at any time.
	NotBefore, NotAfter time.Time
	SteadyState         SteadyState
	Load                Load
	Action              Action
	// Observe is how long to look on after the action, or without one, from 10 s to 1 h.
	Observe time.Duration
	// Objectives are the times that are promised. Asked are all that is: what is not, and cannot be measured, is no fault.
	Objectives drill.Objectives
	Asked      []drill.Name
	Stop       StopConditions
}

// SteadyState is how the platform is when it is well. It has to hold before anything is done, and again at the end.
type SteadyState struct {
	// Lasts is how long it has to hold, from 10 s to 30 m.
	Lasts time.Duration
	// ErrorShare is the most of attempts that may fail, from 0 to 0.5.
	ErrorShare float64
	// LatencyP99 is the most that 99 of 100 acknowledged attempts may take, up to 30 s.
	LatencyP99 time.Duration
}

// Load is the test payments, and what bounds them.
type Load struct {
	// Rate is payments a second, above 0 and up to 100, from Clients clients, 1 to 200.
	Rate    float64
	Clients int
	// MostPayments and MostTime end the drill, whatever it is at: 1 to 100,000 payments, 1 m to 2 h.
	MostPayments int
	MostTime     time.Duration
}

// Kind is what a drill does to the platform.
type Kind string

const (
	// KindNone does nothing but pay.
	KindNone Kind = "none"
	// KindPlannedSwitchover has the recovery plan move everything to the other Region, planned.
	KindPlannedSwitchover Kind = "plannedSwitchover"
)

// Action is what is done to the platform.
type Action struct {
	Kind Kind
	// To is the Region that a switchover makes the writer.
	To string
}

// StopConditions end a drill that should not go on.
type StopConditions struct {
	// ErrorShare of the attempts over the time Over, both more than 0, ends it: nobody drills through an outage.
	ErrorShare float64
	Over       time.Duration
	// Alarms are the names of CloudWatch's that end it when they are in the state ALARM, in either Region.
	Alarms []string
}

// tolerances are the names of what can be asked for: times, which have a limit, and counts, of which there may be none.
var tolerances = struct{ times, counts map[string]drill.Name }{
	times: map[string]drill.Name{"paymentsRto": drill.NamePaymentsRTO, "ledgerRto": drill.NameLedgerRTO, "backlog": drill.NameBacklog},
	counts: map[string]drill.Name{
		"lost": drill.NameLost, "missing": drill.NameMissing, "doubled": drill.NameDoubled, "different": drill.NameDifferent,
		"unexplained": drill.NameUnexplained, "disagreeing": drill.NameDisagreeing, "reconciliation": drill.NameReconciliation,
	},
}

// names are all that a report can judge.
var names = []drill.Name{
	drill.NamePaymentsRTO, drill.NameLedgerRTO, drill.NameRPO, drill.NameBacklog, drill.NameLost, drill.NameMissing, drill.NameDoubled,
	drill.NameDifferent, drill.NameUnexplained, drill.NameDisagreeing, drill.NameReconciliation,
}
