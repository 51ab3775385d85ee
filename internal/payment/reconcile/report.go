package reconcile

import (
	"encoding/json"
	"maps"
	"math/big"
	"slices"
	"time"

	"github.com/bojanz/currency"

	"payments-dr/internal/payment"
)

// Report is what a run has found and done. Its JSON has in addition "clean".
type Report struct {
	// From and To are the window, UTC; To is not in it.
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
	// DryRun tells that nothing was to be recorded.
	DryRun bool `json:"dryRun"`
	// Replica is the Region whose replica of an eventually consistent table was compared; empty if the table is strongly consistent.
	Replica string `json:"replica,omitempty"`
	// Complete tells that the run came to the window's end.
	Complete bool `json:"complete"`
	// DoneUpTo is the moment before which everything was compared. A run that could not finish is continued from here.
	DoneUpTo time.Time `json:"doneUpTo"`
	Counts   Counts    `json:"counts"`
	// Sums has every currency of either side, in the order of their codes, but payment.TestCurrency, which is no money. Test
	// payments are compared one by one and counted like any other.
	Sums []Sum `json:"sums"`
	// Examples has some payments of each fault. The ids are clients' own: they belong in no log.
	Examples Examples `json:"examples"`
	// DurationMilliseconds is how long the run took.
	DurationMilliseconds int64 `json:"durationMs"`
}

// Counts are numbers of payments.
type Counts struct {
	// Table is what the table has in the window.
	Table int `json:"table"`
	// LedgerBefore is what the ledger has in the window, less what this run has recorded.
	LedgerBefore int `json:"ledgerBefore"`
	// Ledger is what the ledger has in the window, as the run has left it. Late payments are not among them.
	Ledger int `json:"ledger"`
	// Missing were in the table and not in the ledger when they were looked for.
	Missing int `json:"missing"`
	// Repaired are those of the missing that this run has recorded. Any others were recorded by the ledger meanwhile, unless
	// the run is dry.
	Repaired int `json:"repaired"`
	// Conflicting are on both sides, over different money. They are left as they are.
	Conflicting int `json:"conflicting"`
	// Differing are on both sides over the same money, and differ in another field, such as the Region or the timestamp. With an
	// eventually consistent table this is no fault: both Regions may accept the same payment at once.
	Differing int `json:"differing"`
	// Unaccounted are in the ledger and nowhere in the table.
	Unaccounted int `json:"unaccounted"`
	// Late are in the ledger, were accepted by another Region, and have not arrived in this Region's replica. It is no fault, and
	// only an eventually consistent table has it.
	Late int `json:"late,omitempty"`
	// Unreadable are on at least one side and cannot be read there, so that nothing else is known of them.
	Unreadable int `json:"unreadable"`
}

// Sum is the money of one currency in the window, as exact decimals.
type Sum struct {
	Currency string `json:"currency"`
	// Table is the sum of what the table has.
	Table string `json:"table"`
	// Ledger is the sum of what the ledger has, as the run has left it.
	Ledger string `json:"ledger"`
}

// Examples are payments of each fault, up to Options.Examples of each.
type Examples struct {
	Missing     []Example `json:"missing"`
	Conflicting []Example `json:"conflicting"`
	Differing   []Example `json:"differing"`
	Unaccounted []Example `json:"unaccounted"`
	Unreadable  []Example `json:"unreadable"`
}

// Fault is what can be wrong with a payment; see Counts.
type Fault string

const (
	Missing     Fault = "missing"
	Conflicting Fault = "conflicting"
	Differing   Fault = "differing"
	Unaccounted Fault = "unaccounted"
	Unreadable  Fault = "unreadable"
)

// of is the list of a fault's examples.
func (e *Examples) of(fault Fault) *[]Example {
	switch fault {
	case Missing:
		return &e.Missing
	case Conflicting:
		return &e.Conflicting
	case Differing:
		return &e.Differing
	case Unreadable:
		return &e.Unreadable
	default:
		return &e.Unaccounted
	}
}

// Example is a payment with a fault.
type Example struct {
	SessionID     string `json:"session_id"`
	TransactionID string `json:"transaction_id"`
	// Table and Ledger are the fields that each side has, without the identity and the status. A side without the payment has none.
	Table  payment.Values `json:"table,omitempty"`
	Ledger payment.Values `json:"ledger,omitempty"`
}

// Clean reports whether the run came to its end and has left both sides with the same payments over the same money: every
// payment accepted in the window is in the ledger, to the cent, and no other. It asks three ways, any of which would do if
// the others had no fault: no payment is at fault, both sides have as many, and their sums are the same. Test payments have no
// sum, and are asked for in the other two ways.
func (r Report) Clean() bool {
	if !r.Complete || r.Counts.Conflicting > 0 || r.Counts.Unaccounted > 0 || r.Counts.Unreadable > 0 || (r.DryRun && r.Counts.Missing > 0) {
		return false
	}
	if r.Counts.Differing > 0 && r.Replica == "" {
		return false
	}
	return r.Counts.Table == r.Counts.Ledger && !slices.ContainsFunc(r.Sums, func(s Sum) bool { return s.Table != s.Ledger })
}

// MarshalJSON writes the report with "clean" in it.
func (r Report) MarshalJSON() ([]byte, error) {
	type fields Report
	r.Examples = r.Examples.clone()
	if r.Sums == nil {
		r.Sums = []Sum{}
	}
	return json.Marshal(struct {
		Clean bool `json:"clean"`
		fields
	}{r.Clean(), fields(r)})
}

// clone is a copy whose lists are none of nil, which JSON would show as null.
func (e Examples) clone() Examples {
	return Examples{
		Missing: cloned(e.Missing), Conflicting: cloned(e.Conflicting), Differing: cloned(e.Differing), Unaccounted: cloned(e.Unaccounted), Unreadable: cloned(e.Unreadable),
	}
}

func cloned(examples []Example) []Example { return append([]Example{}, examples...) }

func holding(p *payment.Payment) payment.Values {
	if p == nil {
		return nil
	}
	if p.Fault != "" {
		return payment.Values{"fault": p.Fault}
	}
	values := p.Values()
	for _, name := range []string{payment.AttributeSessionID, payment.AttributeTransactionID, payment.AttributeStatus} {
		delete(values, name)
	}
	return values
}

// sums are by currency. Their numbers are whole minor units of any size, so that no sum is rounded.
type sums map[string]*sum

type sum struct{ table, ledger big.Int }

func (s sums) addTable(a currency.Amount) {
	if of := s.of(a); of != nil {
		of.table.Add(&of.table, a.BigInt())
	}
}

func (s sums) addLedger(a currency.Amount) {
	if of := s.of(a); of != nil {
		of.ledger.Add(&of.ledger, a.BigInt())
	}
}

func (s sums) takeFromLedger(a currency.Amount) {
	if of := s.of(a); of != nil {
		of.ledger.Sub(&of.ledger, a.BigInt())
	}
}

// of is the sum that an amount belongs to; nil if to none, because it is no money.
func (s sums) of(a currency.Amount) *sum {
	if payment.IsTest(a) {
		return nil
	}
	one, ok := s[a.CurrencyCode()]
	if !ok {
		one = &sum{}
		s[a.CurrencyCode()] = one
	}
	return one
}

func (s sums) list() []Sum {
	list := make([]Sum, 0, len(s))
	for _, code := range slices.Sorted(maps.Keys(s)) {
		list = append(list, Sum{Currency: code, Table: decimal(&s[code].table, code), Ledger: decimal(&s[code].ledger, code)})
	}
	return list
}

// decimal writes minor units as a decimal with exactly the decimals of the currency.
func decimal(units *big.Int, code string) string {
	digits, _ := currency.GetDigits(code) // known: the amounts of it are
	return new(big.Rat).SetFrac(units, new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(digits)), nil)).FloatString(int(digits))
}
