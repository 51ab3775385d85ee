package drill_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"payments-dr/internal/drill"
	"payments-dr/internal/payment"
	"payments-dr/internal/payment/reconcile"
)

// sound is a run of so many acknowledged payments, all of them stored.
func sound(t testing.TB, payments int) *world {
	w := newWorld(t)
	w.load(0, float64(payments)/10, 10, steady)
	return w
}

var integrity = []drill.Name{
	drill.NameLost, drill.NameMissing, drill.NameDoubled, drill.NameDifferent, drill.NameUnexplained, drill.NameDisagreeing,
}

// wantIntegrity checks the counts of payments at fault; what is not named is 0.
func wantIntegrity(t testing.TB, r drill.Report, counts map[drill.Name]int) {
	t.Helper()
	for _, name := range integrity {
		status := drill.StatusPass
		if counts[name] > 0 {
			status = drill.StatusFail
		}
		want(t, r, name, status, float64(counts[name]))
		if found(r, name) != counts[name] {
			t.Errorf("%d are listed as %s, want %d", found(r, name), name, counts[name])
		}
	}
}

func TestWhatBecameOfThePayments(t *testing.T) {
	other := func(w *world, i int, number, code string) (drill.Item, drill.Row) {
		item, row := w.items[i], w.rows[i]
		item.Amount = amount(w.t, number, code)
		row.Amount = item.Amount
		return item, row
	}
	for name, test := range map[string]struct {
		change func(w *world)
		counts map[drill.Name]int
	}{
		"all is well": {func(*world) {}, nil},
		"lost by both": {func(w *world) {
			w.items, w.rows = w.items[1:], w.rows[1:]
		}, map[drill.Name]int{drill.NameLost: 1, drill.NameMissing: 1}},
		"lost by the table": {func(w *world) {
			w.items = w.items[2:]
		}, map[drill.Name]int{drill.NameLost: 2, drill.NameDisagreeing: 2}},
		"missing in the ledger": {func(w *world) {
			w.rows = w.rows[3:]
		}, map[drill.Name]int{drill.NameMissing: 3, drill.NameDisagreeing: 3}},
		"a row twice": {func(w *world) {
			w.rows = append(w.rows, w.rows[5], w.rows[5], w.rows[6])
		}, map[drill.Name]int{drill.NameDoubled: 3}},
		"an item twice": {func(w *world) {
			w.items = append(w.items, w.items[5])
		}, map[drill.Name]int{drill.NameDoubled: 1}},
		"another amount in the ledger": {func(w *world) {
			_, w.rows[7] = other(w, 7, "7000.00", "USD")
		}, map[drill.Name]int{drill.NameDifferent: 1, drill.NameDisagreeing: 1}},
		"a cent in the table": {func(w *world) {
			w.items[0], _ = other(w, 0, "1.01", "USD") // sent: 1.00
		}, map[drill.Name]int{drill.NameDifferent: 1, drill.NameDisagreeing: 1}},
		"another amount in both": {func(w *world) {
			w.items[7], w.rows[7] = other(w, 7, "7000.00", "USD")
		}, map[drill.Name]int{drill.NameDifferent: 1}},
		"another currency": {func(w *world) {
			w.items[7], w.rows[7] = other(w, 7, "8.07", "EUR")
		}, map[drill.Name]int{drill.NameDifferent: 1}},
		"the same row twice over other money": {func(w *world) {
			_, row := other(w, 7, "7000.00", "USD")
			w.rows = append(w.rows, row)
		}, map[drill.Name]int{drill.NameDoubled: 1, drill.NameDifferent: 1}},
		"recorded and sent by nobody": {func(w *world) {
			row := w.rows[0]
			row.Identity = payment.Identity{SessionID: "who", TransactionID: "ever"}
			w.rows = append(w.rows, row)
		}, map[drill.Name]int{drill.NameUnexplained: 1, drill.NameDisagreeing: 1}},
		"recorded though refused": {func(w *world) {
			w.send(20, sending{outcome: drill.OutcomeRefused, reason: "400", stored: true})
		}, map[drill.Name]int{drill.NameUnexplained: 1}},
		"recorded though failed is explained": {func(w *world) {
			w.send(20, sending{outcome: drill.OutcomeFailed, reason: "timeout", stored: true})
		}, nil},
		"accepted, acknowledged to nobody, and not recorded": {func(w *world) {
			w.send(20, sending{outcome: drill.OutcomeFailed, reason: "timeout", stored: true, recorded: -1})
		}, map[drill.Name]int{drill.NameDisagreeing: 1}},
		"failed first and acknowledged later is one payment": {func(w *world) {
			number := w.send(20, sending{outcome: drill.OutcomeFailed, reason: "timeout", stored: true})
			w.acknowledge(number, "", identity(number))
		}, nil},
		"two acknowledgments over different money": {func(w *world) {
			w.must(w.recorder.Request(drill.Request{Identity: identity(3), Amount: amount(w.t, "99.00", "USD"), SentAt: at(20), EndedAt: at(21), Outcome: drill.OutcomeAcknowledged, Attempts: 1}))
		}, map[drill.Name]int{drill.NameDifferent: 1}},
		"one order under two identities": {func(w *world) {
			w.order("order-1", 20, 2)
		}, map[drill.Name]int{drill.NameDoubled: 1}},
		"one order under four identities": {func(w *world) {
			w.order("order-1", 20, 4)
		}, map[drill.Name]int{drill.NameDoubled: 3}},
		"one order under one identity, asked twice": {func(w *world) {
			w.order("order-1", 20, 1)
			w.order("order-1", 20, 1)
			w.items, w.rows = w.items[:len(w.items)-1], w.rows[:len(w.rows)-1]
		}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			w := sound(t, 100)
			test.change(w)
			wantIntegrity(t, w.measure(), test.counts)
		})
	}
}

// acknowledge is one more request for a payment that is stored.
func (w *world) acknowledge(number int, order string, id payment.Identity) {
	money := amount(w.t, fmt.Sprintf("%d.%02d", 1+number%500, number%100), "USD")
	w.must(w.recorder.Request(drill.Request{
		Identity: id, Order: order, Amount: money, SentAt: at(30), EndedAt: at(31), Outcome: drill.OutcomeAcknowledged, Replayed: true, Attempts: 1,
	}))
}

// order is an order that the client has paid under several identities, as clients do whose ids the service makes. All but the
// last failed for the client.
func (w *world) order(order string, when float64, identities int) {
	money := amount(w.t, "12.34", "USD")
	for i := range identities {
		outcome := drill.OutcomeFailed
		if i == identities-1 {
			outcome = drill.OutcomeAcknowledged
		}
		id := payment.Identity{SessionID: order, TransactionID: fmt.Sprint(i)}
		w.must(w.recorder.Request(drill.Request{
			Identity: id, Order: order, Amount: money, SentAt: at(when + float64(i)), EndedAt: at(when + float64(i) + 0.5), Outcome: outcome, Attempts: 1,
		}))
		p := payment.Payment{Identity: id, Amount: money, Region: east, Timestamp: at(when + float64(i)), Status: payment.StatusProcessed}
		w.items, w.rows = append(w.items, p), append(w.rows, drill.Row{Payment: p, RecordedAt: p.Timestamp.Add(time.Second)})
	}
}

func TestExplainedPaymentsAreListedAndNoFault(t *testing.T) {
	w := sound(t, 10)
	w.send(20, sending{outcome: drill.OutcomeFailed, reason: "timeout", stored: true})
	r := w.measure()
	if found(r, drill.NameExplained) != 1 {
		t.Errorf("the findings are %+v", r.Findings)
	}
	example := r.Findings[0].Examples[0]
	if example.Outcome != "failed: timeout" || example.Sent != "11.10 USD" || !strings.HasPrefix(example.Table, "11.10 USD us-east-1 2026-11-22T09:00:20.025") ||
		!strings.Contains(example.Ledger, "recorded 2026-11-22T09:00:21.025") {
		t.Errorf("it is %+v", example)
	}
}

// TestOneIdentityForTwoOrders: the second order was acknowledged by a replay of the first, and never recorded. That is a fault of
// the client, and nothing may be called sound while it goes on.
func TestOneIdentityForTwoOrders(t *testing.T) {
	w := sound(t, 10)
	w.order("order-1", 20, 1)
	w.acknowledge(0, "order-2", payment.Identity{SessionID: "order-1", TransactionID: "0"})
	r := w.measure()
	want(t, r, drill.NameLost, drill.StatusNotMeasured, -1)
	want(t, r, drill.NameDoubled, drill.StatusNotMeasured, -1)
}

func TestListsThatCannotBeRead(t *testing.T) {
	broken := func(w *world, n int) {
		rows := w.rows
		w.run.Ledger = func(each func(drill.Row) error) error {
			for _, row := range rows[:n] {
				_ = each(row)
			}
			return errBroken
		}
	}
	t.Run("ledger", func(t *testing.T) {
		w := sound(t, 100)
		broken(w, 50)
		r := w.measure()
		want(t, r, drill.NameLost, drill.StatusPass, 0)
		for _, name := range []drill.Name{drill.NameMissing, drill.NameDoubled, drill.NameDifferent, drill.NameUnexplained, drill.NameDisagreeing} {
			want(t, r, name, drill.StatusNotMeasured, -1)
		}
		if r.Totals.Ledger != nil || *r.Totals.Table != 100 {
			t.Errorf("the totals are %+v", r.Totals)
		}
	})
	t.Run("what was seen before it broke counts", func(t *testing.T) {
		w := sound(t, 100)
		w.rows[10].Amount = amount(t, "0.01", "USD")
		broken(w, 50)
		want(t, w.measure(), drill.NameDifferent, drill.StatusFail, 1)
	})
	t.Run("table", func(t *testing.T) {
		w := sound(t, 100)
		w.run.Table = nil
		r := w.measure()
		want(t, r, drill.NameLost, drill.StatusNotMeasured, -1)
		want(t, r, drill.NameMissing, drill.StatusPass, 0)
		want(t, r, drill.NameDisagreeing, drill.StatusNotMeasured, -1)
	})
}

func TestPaymentsOfOthersAreLeftAlone(t *testing.T) {
	w := sound(t, 30)
	w.run.SessionPrefix = "drill-"
	for i := range 3 {
		p := w.items[i]
		p.SessionID = "customer"
		w.items, w.rows = append(w.items, p), append(w.rows, drill.Row{Payment: p})
	}
	r := w.measure()
	wantIntegrity(t, r, nil)
	if *r.Totals.Table != 30 || *r.Totals.Ledger != 30 || *r.Totals.Others != 6 {
		t.Errorf("the totals are %+v", r.Totals)
	}
}

func TestLedgerBeforeTheReconciliation(t *testing.T) {
	w := sound(t, 30)
	w.before = slices.Clone(w.rows[4:])
	w.run.LedgerBefore = func(each func(drill.Row) error) error { return all(w.before, each) }
	r := w.measure()
	wantIntegrity(t, r, nil)
	if *r.Totals.MissingBefore != 4 || *r.Totals.LedgerBefore != 26 {
		t.Errorf("the totals are %+v", r.Totals)
	}
}

func TestReconciliationIsHeldAgainstTheLists(t *testing.T) {
	clean := reconcile.Report{From: at(0), To: at(100), Complete: true, DoneUpTo: at(100), Counts: reconcile.Counts{Table: 30, Ledger: 30}}
	if !clean.Clean() {
		t.Fatal("it is not clean")
	}
	w := sound(t, 30)
	w.run.Reconciliations = []reconcile.Report{clean}
	want(t, w.measure(), drill.NameReconciliation, drill.StatusPass, 0)
	w.rows = w.rows[1:]
	if r := w.measure(); !strings.Contains(strings.Join(r.Remarks, "\n"), "one of the two is mistaken") {
		t.Errorf("the remarks are %q", r.Remarks)
	}
	conflicting := clean
	conflicting.Counts.Conflicting, conflicting.Counts.Unaccounted = 2, 1
	w.run.Reconciliations = []reconcile.Report{clean, conflicting}
	want(t, w.measure(), drill.NameReconciliation, drill.StatusFail, 3)
	sums := clean
	sums.Sums = []reconcile.Sum{{Currency: "USD", Table: "1.00", Ledger: "2.00"}}
	w.run.Reconciliations = []reconcile.Report{sums}
	want(t, w.measure(), drill.NameReconciliation, drill.StatusFail, 1)
	unfinished := clean
	unfinished.Complete = false
	w.run.Reconciliations = []reconcile.Report{clean, unfinished}
	want(t, w.measure(), drill.NameReconciliation, drill.StatusNotMeasured, -1)
}

func TestExamplesAreTheFirstHundred(t *testing.T) {
	w := sound(t, 300)
	w.rows = w.rows[250:]
	r := w.measure()
	f := r.Findings[slices.IndexFunc(r.Findings, func(f drill.Findings) bool { return f.Name == drill.NameMissing })]
	if f.Count != 250 || len(f.Examples) != drill.MaxExamples || f.Examples[0].TransactionID != "drill-0" || f.Examples[99].TransactionID != "drill-99" {
		t.Errorf("%d, %d examples, from %s", f.Count, len(f.Examples), f.Examples[0].TransactionID)
	}
}
