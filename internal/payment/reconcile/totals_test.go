package reconcile_test

import (
	"fmt"
	"testing"

	"payments-dr/internal/payment/reconcile"
)

func TestTotals(t *testing.T) {
	var totals reconcile.Totals
	for range 3 {
		totals.Add(reconcile.Report{
			Counts: reconcile.Counts{Table: 1, LedgerBefore: 2, Ledger: 3, Missing: 4, Repaired: 5, Conflicting: 6, Differing: 7, Unaccounted: 8, Unreadable: 9, Late: 10},
			// More than a float holds exactly.
			Sums: []reconcile.Sum{{Currency: "JPY", Table: "5", Ledger: "0"}, {Currency: "USD", Table: "90071992547409930.01", Ledger: "0.10"}},
		})
	}
	totals.Add(reconcile.Report{Sums: []reconcile.Sum{{Currency: "EUR", Table: "1.50", Ledger: "1.50"}}})
	if got, want := fmt.Sprint(totals), "{{3 6 9 12 15 18 21 24 30 27} [{EUR 1.50 1.50} {JPY 15 0} {USD 270215977642229790.03 0.30}]}"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
