package reconcile

import (
	"maps"
	"math/big"
	"slices"
	"strings"
)

// Totals are the counts and sums of several reports. Their windows should not overlap. The zero value is ready.
type Totals struct {
	Counts Counts
	// Sums has every currency of any report, in the order of their codes.
	Sums []Sum
}

// Add adds a report.
func (t *Totals) Add(r Report) {
	c := &t.Counts
	c.Table += r.Counts.Table
	c.LedgerBefore += r.Counts.LedgerBefore
	c.Ledger += r.Counts.Ledger
	c.Missing += r.Counts.Missing
	c.Repaired += r.Counts.Repaired
	c.Conflicting += r.Counts.Conflicting
	c.Differing += r.Counts.Differing
	c.Unaccounted += r.Counts.Unaccounted
	c.Unreadable += r.Counts.Unreadable
	c.Late += r.Counts.Late
	sums := map[string]Sum{}
	for _, s := range slices.Concat(t.Sums, r.Sums) {
		if had, ok := sums[s.Currency]; ok {
			s.Table, s.Ledger = plus(had.Table, s.Table), plus(had.Ledger, s.Ledger)
		}
		sums[s.Currency] = s
	}
	t.Sums = t.Sums[:0]
	for _, code := range slices.Sorted(maps.Keys(sums)) {
		t.Sums = append(t.Sums, sums[code])
	}
}

// plus adds two decimals of the same currency, exactly. What is no decimal is left to be seen.
func plus(a, b string) string {
	left, ok := new(big.Rat).SetString(a)
	right, also := new(big.Rat).SetString(b)
	if !ok || !also {
		return a + " + " + b
	}
	_, decimals, _ := strings.Cut(a, ".")
	_, more, _ := strings.Cut(b, ".")
	return left.Add(left, right).FloatString(max(len(decimals), len(more)))
}
