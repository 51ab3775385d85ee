package reconcile_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"payments-dr/internal/payment"
	"payments-dr/internal/payment/reconcile"
)

func TestNothingAtFaultIsClean(t *testing.T) {
	a, b := newPayment("a", 0, "1.00", "USD"), newPayment("b", 25*time.Minute, "2.00", "USD")
	table, ledger := newTable(a, b), newLedger(a, b)
	report := mustRun(t, table, ledger, window(time.Hour), reconcile.Options{})
	wantCounts(t, report, reconcile.Counts{Table: 2, LedgerBefore: 2, Ledger: 2})
	if !report.Clean() {
		t.Errorf("not clean: %+v", report)
	}
	if table.finds != 0 {
		t.Errorf("the table was asked %d times for what the numbers already show", table.finds)
	}
	report = mustRun(t, newTable(), newLedger(), window(time.Hour), reconcile.Options{})
	if !report.Clean() || len(report.Sums) != 0 {
		t.Errorf("nothing on either side: %+v", report)
	}
}

func TestMissingIsRepairedOnce(t *testing.T) {
	a, b := newPayment("a", 0, "1.00", "USD"), newPayment("b", time.Minute, "2.50", "USD")
	b.Region = "us-west-2"
	table, ledger := newTable(a, b), newLedger(a)
	report := mustRun(t, table, ledger, window(time.Hour), reconcile.Options{})
	wantCounts(t, report, reconcile.Counts{Table: 2, LedgerBefore: 1, Ledger: 2, Missing: 1, Repaired: 1})
	if !report.Clean() || !ledger.payments[b.Identity].Equal(b) {
		t.Errorf("clean %v, the ledger has %+v", report.Clean(), ledger.payments[b.Identity])
	}
	want := []reconcile.Example{{SessionID: "session of b", TransactionID: "b", Table: payment.Values{
		"amount": "2.50", "currency": "USD", "region": "us-west-2", "timestamp": "2026-11-22T03:05:05.678901Z",
	}}}
	if !reflect.DeepEqual(report.Examples.Missing, want) {
		t.Errorf("examples %+v", report.Examples.Missing)
	}
	report = mustRun(t, table, ledger, window(time.Hour), reconcile.Options{})
	wantCounts(t, report, reconcile.Counts{Table: 2, LedgerBefore: 2, Ledger: 2})
}

func TestDryRunRecordsNothing(t *testing.T) {
	ledger := newLedger()
	ledger.record = func([]payment.Payment) error { return errors.New("must not record") }
	report := mustRun(t, newTable(newPayment("a", 0, "1.00", "USD")), ledger, window(time.Hour), reconcile.Options{DryRun: true})
	wantCounts(t, report, reconcile.Counts{Table: 1, Missing: 1})
	if report.Clean() || !report.DryRun || report.Sums[0] != (reconcile.Sum{Currency: "USD", Table: "1.00", Ledger: "0.00"}) {
		t.Errorf("report %+v", report)
	}
}

func TestOtherMoneyIsReportedAndLeft(t *testing.T) {
	for _, other := range []payment.Payment{newPayment("a", 0, "1.01", "USD"), newPayment("a", 0, "1.00", "EUR")} {
		ledger := newLedger(other)
		report := mustRun(t, newTable(newPayment("a", 0, "1.00", "USD")), ledger, window(time.Hour), reconcile.Options{})
		wantCounts(t, report, reconcile.Counts{Table: 1, LedgerBefore: 1, Ledger: 1, Conflicting: 1})
		if report.Clean() || !ledger.payments[other.Identity].Equal(other) {
			t.Errorf("clean %v, the ledger has %+v", report.Clean(), ledger.payments)
		}
		if e := report.Examples.Conflicting[0]; e.Table["amount"]+e.Table["currency"] != "1.00USD" || e.Ledger["amount"] != other.Amount.Number() || e.Ledger["currency"] != other.Amount.CurrencyCode() {
			t.Errorf("example %+v", e)
		}
	}
}

// What cannot be read on one side affects itself alone: the payment that is missing next to it is recorded.
func TestUnreadablePaymentsAreReportedAndTheOthersReconciled(t *testing.T) {
	missing, unreadable := newPayment("missing", time.Minute, "2.00", "USD"), newPayment("unreadable", 0, "1.00", "USD")
	broken := payment.Payment{Identity: unreadable.Identity, Timestamp: unreadable.Timestamp, Fault: "amount is missing"}
	for _, tt := range []struct {
		name   string
		table  payment.Payment
		ledger *memoryLedger
		want   reconcile.Counts
	}{
		{"in the table, not recorded", broken, newLedger(), reconcile.Counts{Table: 2, Ledger: 1, Missing: 1, Repaired: 1, Unreadable: 1}},
		{"in the table, recorded", broken, newLedger(unreadable), reconcile.Counts{Table: 2, LedgerBefore: 1, Ledger: 2, Missing: 1, Repaired: 1, Unreadable: 1}},
		{"in the ledger", unreadable, newLedger(broken), reconcile.Counts{Table: 2, LedgerBefore: 1, Ledger: 2, Missing: 1, Repaired: 1, Unreadable: 1}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			report := mustRun(t, newTable(tt.table, missing), tt.ledger, window(time.Hour), reconcile.Options{})
			wantCounts(t, report, tt.want)
			if !report.Complete || report.Clean() || !tt.ledger.payments[missing.Identity].Equal(missing) {
				t.Errorf("complete %v, clean %v, the ledger has %+v", report.Complete, report.Clean(), tt.ledger.payments)
			}
			if e := report.Examples.Unreadable; len(e) != 1 || e[0].TransactionID != "unreadable" || e[0].Table["fault"]+e[0].Ledger["fault"] != broken.Fault {
				t.Errorf("examples %+v", e)
			}
		})
	}
}

func TestAnotherAcceptanceOfTheSameMoneyIsReported(t *testing.T) {
	accepted := newPayment("a", 5*time.Minute, "1.00", "USD")
	elsewhere, earlier, outside := accepted, accepted, accepted
	elsewhere.Region = "us-west-2"
	earlier.Timestamp = earlier.Timestamp.Add(-time.Microsecond)
	outside.Timestamp = start.Add(-time.Microsecond)
	for _, tt := range []struct {
		name             string
		table, ledger    payment.Payment
		want             reconcile.Counts
		clean            bool
		ledgerExampleHas string
	}{
		{name: "Region", table: accepted, ledger: elsewhere, want: reconcile.Counts{Table: 1, LedgerBefore: 1, Ledger: 1, Differing: 1}, clean: true, ledgerExampleHas: "us-west-2"},
		{name: "time", table: accepted, ledger: earlier, want: reconcile.Counts{Table: 1, LedgerBefore: 1, Ledger: 1, Differing: 1}, clean: true, ledgerExampleHas: "678900"},
		{name: "in the ledger before the window", table: accepted, ledger: outside, want: reconcile.Counts{Table: 1, Differing: 1}, ledgerExampleHas: "678900"},
		{name: "in the table before the window", table: outside, ledger: accepted, want: reconcile.Counts{LedgerBefore: 1, Ledger: 1, Differing: 1}, ledgerExampleHas: "678901"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			report := mustRun(t, newTable(tt.table), newLedger(tt.ledger), window(time.Hour), reconcile.Options{})
			wantCounts(t, report, tt.want)
			if report.Clean() {
				t.Error("clean, though a strongly consistent table cannot cause it")
			}
			eventual := mustRun(t, newTable(tt.table), newLedger(tt.ledger), window(time.Hour), reconcile.Options{Replica: "us-west-2"})
			wantCounts(t, eventual, tt.want)
			if eventual.Clean() != tt.clean {
				t.Errorf("eventually consistent: clean %v", eventual.Clean())
			}
			if e := report.Examples.Differing; len(e) != 1 || !strings.Contains(e[0].Ledger.String(), tt.ledgerExampleHas) {
				t.Errorf("examples %+v", e)
			}
		})
	}
	// Both in the window, in different ten minutes of it: told once.
	late := accepted
	late.Timestamp = late.Timestamp.Add(30 * time.Minute)
	report := mustRun(t, newTable(accepted), newLedger(late), window(time.Hour), reconcile.Options{})
	wantCounts(t, report, reconcile.Counts{Table: 1, LedgerBefore: 1, Ledger: 1, Differing: 1})
}

func TestUnaccountedRowsAreReported(t *testing.T) {
	var accepted []payment.Payment
	for i := range 30 {
		accepted = append(accepted, newPayment(fmt.Sprint(i), time.Duration(i)*time.Minute, "1.00", "USD"))
	}
	ledger := newLedger(append(accepted[:30:30],
		newPayment("nobody's", 12*time.Minute, "9.00", "USD"), newPayment("nobody's either", 13*time.Minute, "9.00", "EUR"))...)
	delete(ledger.payments, accepted[12].Identity) // as many missing as unaccounted must not cancel out
	delete(ledger.payments, accepted[13].Identity)
	for _, batch := range []int{1, 2, 500} {
		table := newTable(accepted...)
		report := mustRun(t, table, ledger, window(30*time.Minute), reconcile.Options{BatchSize: batch, DryRun: true})
		wantCounts(t, report, reconcile.Counts{Table: 30, LedgerBefore: 30, Ledger: 30, Missing: 2, Unaccounted: 2})
		if e := report.Examples.Unaccounted; report.Clean() || len(e) != 2 || !strings.HasPrefix(e[0].TransactionID, "nobody's") || len(e[0].Table) > 0 || len(e[0].Ledger) == 0 {
			t.Errorf("clean %v, examples %+v", report.Clean(), e)
		}
		if table.largest > batch || table.finds == 0 {
			t.Errorf("%d lookups of up to %d payments, want batches of %d", table.finds, table.largest, batch)
		}
	}
}

func TestAWindowHoldsItsFirstMomentAndNotItsLast(t *testing.T) {
	const length = time.Hour
	edges := []payment.Payment{
		newPayment("before", -time.Microsecond, "1.00", "USD"), newPayment("first", 0, "2.00", "USD"),
		newPayment("last", length-time.Microsecond, "4.00", "USD"), newPayment("end", length, "8.00", "USD"),
	}
	for name, sides := range map[string]struct {
		table  *memoryTable
		ledger *memoryLedger
		want   reconcile.Counts
	}{
		"table":  {newTable(edges...), newLedger(), reconcile.Counts{Table: 2, Missing: 2, Repaired: 2, Ledger: 2}},
		"ledger": {newTable(), newLedger(edges...), reconcile.Counts{LedgerBefore: 2, Ledger: 2, Unaccounted: 2}},
		"both":   {newTable(edges...), newLedger(edges...), reconcile.Counts{Table: 2, LedgerBefore: 2, Ledger: 2}},
	} {
		t.Run(name, func(t *testing.T) {
			wantCounts(t, mustRun(t, sides.table, sides.ledger, window(length), reconcile.Options{}), sides.want)
		})
	}
	// Windows side by side see every payment once.
	total := 0
	for _, w := range []reconcile.Window{{start.Add(-time.Hour), start}, {start, start.Add(length)}, {start.Add(length), start.Add(2 * length)}} {
		total += mustRun(t, newTable(edges...), newLedger(edges...), w, reconcile.Options{}).Counts.Table
	}
	if total != len(edges) {
		t.Errorf("three windows hold %d payments, want %d", total, len(edges))
	}
}

func TestSumsAreExact(t *testing.T) {
	var accepted []payment.Payment
	for i := range 1000 { // as binary fractions: 99.9999999999986
		accepted = append(accepted, newPayment(fmt.Sprintf("dime %d", i), time.Duration(i)*time.Second, "0.10", "USD"))
	}
	for i := range 3 { // and more digits than a float64 or an int64 of minor units holds
		for j := range 3000 {
			accepted = append(accepted, newPayment(fmt.Sprintf("large %d %d", i, j), time.Duration(j)*time.Second, "999999999999.9999", "CLF"))
		}
	}
	accepted = append(accepted, newPayment("yen", 0, "100", "JPY"), newPayment("fils", 0, "0.001", "KWD"))
	report := mustRun(t, newTable(accepted...), newLedger(accepted[1:]...), window(time.Hour), reconcile.Options{DryRun: true})
	want := []reconcile.Sum{
		{Currency: "CLF", Table: "8999999999999999.1000", Ledger: "8999999999999999.1000"},
		{Currency: "JPY", Table: "100", Ledger: "100"},
		{Currency: "KWD", Table: "0.001", Ledger: "0.001"},
		{Currency: "USD", Table: "100.00", Ledger: "99.90"},
	}
	if !reflect.DeepEqual(report.Sums, want) {
		t.Errorf("sums %v\nwant %v", report.Sums, want)
	}
}

func TestTestPaymentsAreReconciledAndNotAddedUp(t *testing.T) {
	money, test := newPayment("money", 0, "1.00", "USD"), newPayment("test", 0, "0.01", payment.TestCurrency)
	ledger := newLedger(money)
	report := mustRun(t, newTable(money, test), ledger, window(time.Hour), reconcile.Options{})
	wantCounts(t, report, reconcile.Counts{Table: 2, LedgerBefore: 1, Ledger: 2, Missing: 1, Repaired: 1})
	if want := []reconcile.Sum{{Currency: "USD", Table: "1.00", Ledger: "1.00"}}; !report.Clean() || !reflect.DeepEqual(report.Sums, want) {
		t.Errorf("clean %v, sums %v, want %v", report.Clean(), report.Sums, want)
	}
	if !ledger.payments[test.Identity].Equal(test) {
		t.Errorf("the ledger has %+v", ledger.payments[test.Identity])
	}

	// What is wrong with one is a fault, although no sum shows it.
	other := newPayment("test", 0, "0.02", payment.TestCurrency)
	report = mustRun(t, newTable(test), newLedger(other), window(time.Hour), reconcile.Options{})
	wantCounts(t, report, reconcile.Counts{Table: 1, LedgerBefore: 1, Ledger: 1, Conflicting: 1})
	if report.Clean() || len(report.Sums) != 0 {
		t.Errorf("clean %v, sums %v", report.Clean(), report.Sums)
	}
	report = mustRun(t, newTable(), newLedger(test), window(time.Hour), reconcile.Options{})
	wantCounts(t, report, reconcile.Counts{LedgerBefore: 1, Ledger: 1, Unaccounted: 1})
	if report.Clean() {
		t.Error("a test payment that nobody sent is clean")
	}
}

func TestPaymentsBeingRecordedMeanwhile(t *testing.T) {
	a, b := newPayment("a", 0, "1.00", "USD"), newPayment("b", 0, "2.00", "USD")
	t.Run("between look and repair", func(t *testing.T) {
		ledger := newLedger()
		ledger.record = func([]payment.Payment) error { ledger.payments[a.Identity] = a; return nil }
		report := mustRun(t, newTable(a, b), ledger, window(time.Hour), reconcile.Options{})
		wantCounts(t, report, reconcile.Counts{Table: 2, LedgerBefore: 1, Ledger: 2, Missing: 2, Repaired: 1})
		if !report.Clean() {
			t.Error("not clean")
		}
	})
	t.Run("with other money", func(t *testing.T) {
		other := newPayment("a", 0, "9.00", "USD")
		ledger := newLedger()
		ledger.record = func([]payment.Payment) error { ledger.payments[a.Identity] = other; return nil }
		report := mustRun(t, newTable(a, b), ledger, window(time.Hour), reconcile.Options{})
		wantCounts(t, report, reconcile.Counts{Table: 2, LedgerBefore: 1, Ledger: 2, Missing: 2, Repaired: 1, Conflicting: 1})
		if report.Clean() {
			t.Error("clean")
		}
	})
	t.Run("in the ledger before the index has it", func(t *testing.T) {
		table := newTable(a, b)
		table.late[b.Identity] = true
		report := mustRun(t, table, newLedger(a, b), window(time.Hour), reconcile.Options{})
		wantCounts(t, report, reconcile.Counts{Table: 1, LedgerBefore: 2, Ledger: 2})
		if report.Clean() {
			t.Error("clean, though the index did not show the whole window")
		}
	})
}

func TestWhatCannotBeProvenIsAnError(t *testing.T) {
	a, b := newPayment("a", 0, "1.00", "USD"), newPayment("b", 30*time.Minute, "2.00", "USD")
	down := errors.New("database is down")
	for _, tt := range []struct {
		name    string
		prepare func(*memoryTable, *memoryLedger)
		want    string
	}{
		{"ledger cannot be asked", func(_ *memoryTable, l *memoryLedger) { l.find = func() error { return down } }, "find payments in ledger"},
		{"ledger cannot be written", func(_ *memoryTable, l *memoryLedger) { l.record = func([]payment.Payment) error { return down } }, "record missing payments"},
		{"ledger cannot be listed", func(_ *memoryTable, l *memoryLedger) { l.window = func() error { return down } }, "read ledger's window"},
		{"ledger goes away half way", func(_ *memoryTable, l *memoryLedger) {
			l.find = func() error {
				if l.finds > 2 {
					return down
				}
				return nil
			}
		}, "find payments in ledger"},
		{"table cannot be read", func(tb *memoryTable, _ *memoryLedger) { tb.window = func() error { return down } }, "database is down"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			table, ledger := newTable(a, b), newLedger()
			tt.prepare(table, ledger)
			report, err := reconcile.Run(t.Context(), table, ledger, window(time.Hour), reconcile.Options{})
			if !errors.Is(err, down) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v", err)
			}
			if report.Complete || report.Clean() || !report.DoneUpTo.Before(report.To) {
				t.Errorf("report %+v", report)
			}
		})
	}
	t.Run("the ledger forgets what it recorded", func(t *testing.T) {
		report, err := reconcile.Run(t.Context(), newTable(a), forgetful{newLedger()}, window(time.Hour), reconcile.Options{})
		if err == nil || !strings.Contains(err.Error(), "does not have a payment that was recorded") || report.Clean() {
			t.Errorf("error %v, clean %v", err, report.Clean())
		}
	})
	t.Run("the ledger shows less than it has", func(t *testing.T) {
		report, err := reconcile.Run(t.Context(), newTable(a), blind{newLedger(a)}, window(time.Hour), reconcile.Options{})
		if err == nil || !strings.Contains(err.Error(), "shows 0 payments") || report.Clean() {
			t.Errorf("error %v, clean %v", err, report.Clean())
		}
	})
	t.Run("a side answers for another window", func(t *testing.T) {
		for _, sides := range []struct {
			table  reconcile.Table
			ledger reconcile.Ledger
		}{{shifted{newTable(a)}, newLedger(a)}, {newTable(a), shiftedLedger{newLedger(a)}}} {
			w := reconcile.Window{From: start.Add(time.Minute), To: start.Add(time.Hour)}
			if report, err := reconcile.Run(t.Context(), sides.table, sides.ledger, w, reconcile.Options{}); err == nil || !strings.Contains(err.Error(), "has a payment of") || report.Clean() {
				t.Errorf("error %v, clean %v", err, report.Clean())
			}
		}
	})
	t.Run("windows that are none", func(t *testing.T) {
		for _, w := range []reconcile.Window{{start, start}, {start.Add(1), start}, {}} {
			if _, err := reconcile.Run(t.Context(), newTable(), newLedger(), w, reconcile.Options{}); err == nil || !strings.Contains(err.Error(), "does not begin before it ends") {
				t.Errorf("%v: error %v", w, err)
			}
		}
		if _, err := reconcile.Run(t.Context(), newTable(), newLedger(), window(1), reconcile.Options{BatchSize: -1}); err == nil {
			t.Error("a negative option is taken")
		}
	})
}

type forgetful struct{ *memoryLedger }

func (forgetful) Record(_ context.Context, payments []payment.Payment) (int, error) {
	return len(payments), nil
}

type blind struct{ *memoryLedger }

func (blind) Window(context.Context, time.Time, time.Time, func(payment.Payment) error) error {
	return nil
}

type shifted struct{ *memoryTable }

func (s shifted) Window(ctx context.Context, from, to time.Time, n int, fn func([]payment.Payment) error) error {
	return s.memoryTable.Window(ctx, from.Add(-time.Minute), to, n, fn)
}

type shiftedLedger struct{ *memoryLedger }

func (s shiftedLedger) Window(ctx context.Context, from, to time.Time, fn func(payment.Payment) error) error {
	return s.memoryLedger.Window(ctx, from.Add(-time.Minute), to, fn)
}

func TestCancellationEndsARun(t *testing.T) {
	var accepted []payment.Payment
	for i := range 100 {
		accepted = append(accepted, newPayment(fmt.Sprint(i), time.Duration(i)*time.Minute, "1.00", "USD"))
	}
	ctx, cancel := context.WithCancel(t.Context())
	ledger := newLedger(accepted...)
	calls := 0
	report, err := reconcile.Run(ctx, newTable(accepted...), ledger, window(100*time.Minute), reconcile.Options{Progress: func(r reconcile.Report) {
		if calls++; r.DoneUpTo.Sub(start) > 30*time.Minute {
			cancel()
		}
	}})
	if !errors.Is(err, context.Canceled) || report.Complete || report.Clean() {
		t.Errorf("error %v, complete %v", err, report.Complete)
	}
	if done := report.DoneUpTo.Sub(start); done <= 30*time.Minute || done > 50*time.Minute || calls != 4 {
		t.Errorf("done %v in %d steps", done, calls)
	}
	// The rest, taken up where it ended, and the first part make the whole.
	rest := mustRun(t, newTable(accepted...), ledger, reconcile.Window{From: report.DoneUpTo, To: report.To}, reconcile.Options{})
	if !rest.Clean() || rest.Counts.Table+report.Counts.Table != 100 {
		t.Errorf("%d and %d payments", report.Counts.Table, rest.Counts.Table)
	}
}

func TestCancellationEndsARunWithinAPage(t *testing.T) {
	var accepted []payment.Payment
	for i := range 100 {
		accepted = append(accepted, newPayment(fmt.Sprint(i), 0, "1.00", "USD"))
	}
	ctx, cancel := context.WithCancel(t.Context())
	ledger := newLedger() // which does not heed the context
	ledger.find = func() error {
		if ledger.finds == 5 {
			cancel()
		}
		return nil
	}
	_, err := reconcile.Run(ctx, newTable(accepted...), ledger, window(time.Hour), reconcile.Options{BatchSize: 2, DryRun: true})
	if !errors.Is(err, context.Canceled) || ledger.finds != 5 {
		t.Errorf("error %v after %d lookups", err, ledger.finds)
	}
}

func TestProgressIsOfTheReportSoFar(t *testing.T) {
	accepted := []payment.Payment{newPayment("a", 0, "1.00", "USD"), newPayment("b", 15*time.Minute, "2.00", "USD")}
	var seen []string
	mustRun(t, newTable(accepted...), newLedger(), window(20*time.Minute), reconcile.Options{Progress: func(r reconcile.Report) {
		seen = append(seen, fmt.Sprint(r.DoneUpTo.Format("15:04:05"), " ", r.Counts.Repaired, " ", r.Sums[0].Ledger, " ", r.Complete))
	}})
	if got, want := strings.Join(seen, "; "), "03:10:00 1 1.00 false; 03:20:00 2 3.00 false; 03:24:05 2 3.00 false"; got != want {
		t.Errorf("progress %s\nwant     %s", got, want)
	}
}

func TestExamplesAreBounded(t *testing.T) {
	var accepted []payment.Payment
	for i := range 100 {
		accepted = append(accepted, newPayment(fmt.Sprint(i), 0, "1.00", "USD"))
	}
	report := mustRun(t, newTable(accepted...), newLedger(), window(time.Hour), reconcile.Options{Examples: 3})
	if report.Counts.Missing != 100 || len(report.Examples.Missing) != 3 {
		t.Errorf("%d missing, %d examples", report.Counts.Missing, len(report.Examples.Missing))
	}
}

func TestReportIsStableJSON(t *testing.T) {
	a := newPayment("a", 0, "1.00", "USD")
	clock := start
	now := func() time.Time { clock = clock.Add(100 * time.Millisecond); return clock }
	report := mustRun(t, newTable(a), newLedger(newPayment("a", 0, "1.10", "USD")), window(time.Minute), reconcile.Options{Now: now})
	got, err := json.Marshal(report)
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"clean":false,"from":"2026-11-22T03:04:05.678901Z","to":"2026-11-22T03:05:05.678901Z","dryRun":false,"complete":true,` +
		`"doneUpTo":"2026-11-22T03:05:05.678901Z",` +
		`"counts":{"table":1,"ledgerBefore":1,"ledger":1,"missing":0,"repaired":0,"conflicting":1,"differing":0,"unaccounted":0,"unreadable":0},` +
		`"sums":[{"currency":"USD","table":"1.00","ledger":"1.10"}],` +
		`"examples":{"missing":[],"conflicting":[{"session_id":"session of a","transaction_id":"a",` +
		`"table":{"amount":"1.00","currency":"USD","region":"us-east-1","timestamp":"2026-11-22T03:04:05.678901Z"},"ledger":{"amount":"1.10","currency":"USD","region":"us-east-1","timestamp":"2026-11-22T03:04:05.678901Z"}}],"differing":[],"unaccounted":[],"unreadable":[]},` +
		`"durationMs":100}`
	if string(got) != want {
		t.Errorf("report %s\nwant   %s", got, want)
	}
	var back reconcile.Report
	if err := json.Unmarshal(got, &back); err != nil || !reflect.DeepEqual(back, report) {
		t.Errorf("read back %+v, %v", back, err)
	}
	if empty, err := json.Marshal(reconcile.Report{}); err != nil || strings.Contains(string(empty), "null") || !strings.Contains(string(empty), `"clean":false`) {
		t.Errorf("empty report %s, %v", empty, err)
	}
}

func TestCleanAsksThreeWays(t *testing.T) {
	sound := reconcile.Report{Complete: true, Counts: reconcile.Counts{Table: 2, Ledger: 2}, Sums: []reconcile.Sum{{"USD", "1.00", "1.00"}}}
	if !sound.Clean() {
		t.Fatal("a sound report is not clean")
	}
	for name, spoil := range map[string]func(*reconcile.Report){
		"incomplete":  func(r *reconcile.Report) { r.Complete = false },
		"conflicting": func(r *reconcile.Report) { r.Counts.Conflicting = 1 },
		"unaccounted": func(r *reconcile.Report) { r.Counts.Unaccounted = 1 },
		"not repaired": func(r *reconcile.Report) {
			r.DryRun, r.Counts.Missing = true, 1
		},
		"numbers": func(r *reconcile.Report) { r.Counts.Ledger = 3 },
		"sums":    func(r *reconcile.Report) { r.Sums = []reconcile.Sum{{"USD", "1.00", "1.01"}} },
	} {
		spoiled := sound
		if spoil(&spoiled); spoiled.Clean() {
			t.Errorf("%s: clean", name)
		}
	}
}

// mark is a watermark in memory. note runs before a note; its error is the note's.
type mark struct {
	at    time.Time
	notes []time.Time
	note  func(time.Time) error
}

func (m *mark) ReconciledTo(context.Context) (time.Time, error) { return m.at, nil }

func (m *mark) NoteReconciled(_ context.Context, to time.Time) error {
	if m.note != nil {
		if err := m.note(to); err != nil {
			return err
		}
	}
	m.at, m.notes = to, append(m.notes, to)
	return nil
}

func TestNextWindow(t *testing.T) {
	end := start.Add(time.Hour)
	for name, tt := range map[string]struct{ mark, want time.Time }{
		"an hour ago":      {start, start.Add(-reconcile.Overlap)},
		"long ago":         {start.Add(-1000 * time.Hour), start.Add(-1000*time.Hour - reconcile.Overlap)},
		"none":             {time.Time{}, end.Add(-72*time.Hour - reconcile.Overlap)},
		"by another clock": {end.Add(time.Hour), end.Add(-reconcile.Overlap)},
	} {
		got, err := reconcile.Next(t.Context(), &mark{at: tt.mark}, end)
		if err != nil || !got.From.Equal(tt.want) || !got.To.Equal(end) {
			t.Errorf("%s: %v, %v; want %v to %v", name, got, err, tt.want, end)
		}
	}
}

func TestWatermarkAdvancesOverReconciledTimeAlone(t *testing.T) {
	down := errors.New("down")
	run := func(m *mark, ledger reconcile.Ledger, w reconcile.Window, o reconcile.Options) (reconcile.Report, error) {
		o.Watermark = m
		return reconcile.Run(t.Context(), newTable(newPayment("a", 25*time.Minute, "1.00", "USD")), ledger, w, o)
	}
	t.Run("to the end of the window", func(t *testing.T) {
		m := &mark{at: start.Add(7 * time.Minute)}
		if _, err := run(m, newLedger(), window(time.Hour), reconcile.Options{}); err != nil || !m.at.Equal(start.Add(time.Hour)) || len(m.notes) != 6 {
			t.Errorf("%v, notes %v", err, m.notes)
		}
	})
	t.Run("not in a dry run", func(t *testing.T) {
		m := &mark{at: start}
		if _, err := run(m, newLedger(), window(time.Hour), reconcile.Options{DryRun: true}); err != nil || len(m.notes) != 0 {
			t.Errorf("%v, notes %v", err, m.notes)
		}
	})
	t.Run("not over a gap before the window", func(t *testing.T) {
		m := &mark{at: start.Add(-time.Microsecond)}
		if _, err := run(m, newLedger(), window(time.Hour), reconcile.Options{}); err != nil || len(m.notes) != 0 {
			t.Errorf("%v, notes %v", err, m.notes)
		}
	})
	t.Run("not before the first window of a ledger without one", func(t *testing.T) {
		m := &mark{}
		if _, err := run(m, newLedger(), window(time.Hour), reconcile.Options{}); err != nil || len(m.notes) != 0 {
			t.Errorf("%v, notes %v", err, m.notes)
		}
	})
	t.Run("not back", func(t *testing.T) {
		m := &mark{at: start.Add(2 * time.Hour)}
		if _, err := run(m, newLedger(), window(time.Hour), reconcile.Options{}); err != nil || len(m.notes) != 0 {
			t.Errorf("%v, notes %v", err, m.notes)
		}
	})
	t.Run("up to a failure", func(t *testing.T) {
		ledger := newLedger()
		ledger.record = func([]payment.Payment) error { return down }
		m := &mark{at: start}
		if _, err := run(m, ledger, window(time.Hour), reconcile.Options{}); !errors.Is(err, down) || m.at.After(start.Add(25*time.Minute)) || m.at.Equal(start) {
			t.Errorf("%v, notes %v", err, m.notes)
		}
	})
	t.Run("after the payments that it vouches for", func(t *testing.T) {
		ledger := newLedger()
		m := &mark{at: start, note: func(to time.Time) error {
			if to.After(start.Add(25*time.Minute)) && len(ledger.payments) == 0 {
				t.Errorf("noted %v before the payment was recorded", to)
			}
			return nil
		}}
		if _, err := run(m, ledger, window(time.Hour), reconcile.Options{}); err != nil {
			t.Error(err)
		}
	})
	t.Run("and says if it cannot", func(t *testing.T) {
		m := &mark{at: start, note: func(time.Time) error { return down }}
		if report, err := run(m, newLedger(), window(time.Hour), reconcile.Options{}); !errors.Is(err, down) || report.Complete || !strings.Contains(err.Error(), "advance watermark") {
			t.Errorf("%v, %+v", err, report)
		}
	})
}

func TestAnUnreadablePaymentHoldsNobodyBack(t *testing.T) {
	broken, missing := newPayment("broken", 5*time.Minute, "1.00", "USD"), newPayment("missing", 5*time.Minute, "1.00", "USD")
	broken.Fault = "it has no amount"
	m, ledger := &mark{at: start}, newLedger()
	report := mustRun(t, newTable(broken, missing), ledger, window(time.Hour), reconcile.Options{Watermark: m})
	if report.Counts.Unreadable != 1 || len(ledger.payments) != 1 || !m.at.Equal(start.Add(time.Hour)) {
		t.Errorf("%+v, the ledger has %d payments, watermark %v", report.Counts, len(ledger.payments), m.at)
	}
}

func TestStopAfter(t *testing.T) {
	now := start
	options := reconcile.Options{StopAfter: time.Minute, Now: func() time.Time { return now }}
	m := &mark{at: start.Add(30 * time.Minute)}
	options.Watermark = m
	options.Progress = func(reconcile.Report) { now = now.Add(30 * time.Second) }
	report, err := reconcile.Run(t.Context(), newTable(), newLedger(), window(10*time.Hour), options)
	// The first ten minutes that advance the watermark are done, however long the time before them took.
	if want := time.Date(2026, 11, 22, 3, 40, 0, 0, time.UTC); err != nil || !report.Complete || !report.To.Equal(want) || !report.DoneUpTo.Equal(want) || !m.at.Equal(want) {
		t.Errorf("%+v, %v, watermark %v; want the end %v", report, err, m.at, want)
	}
}

// A payment of the other Region may be in the ledger, to which the event bus brings it, before its copy is in the replica; or its copy
// may never come, if that Region is lost.
func TestALateReplicaIsNotUnaccounted(t *testing.T) {
	elsewhere := newPayment("elsewhere", 5*time.Minute, "7.00", "USD")
	elsewhere.Region = "us-west-2"
	here := newPayment("here", 5*time.Minute, "1.00", "USD")
	for name, tt := range map[string]struct {
		replica string
		ledger  []payment.Payment
		want    reconcile.Counts
		clean   bool
	}{
		"late":                  {"us-east-1", []payment.Payment{here, elsewhere}, reconcile.Counts{Table: 1, LedgerBefore: 1, Ledger: 1, Late: 1}, true},
		"strongly consistent":   {"", []payment.Payment{here, elsewhere}, reconcile.Counts{Table: 1, LedgerBefore: 2, Ledger: 2, Unaccounted: 1}, false},
		"of the replica itself": {"us-west-2", []payment.Payment{here, elsewhere}, reconcile.Counts{Table: 1, LedgerBefore: 2, Ledger: 2, Unaccounted: 1}, false},
	} {
		t.Run(name, func(t *testing.T) {
			report := mustRun(t, newTable(here), newLedger(tt.ledger...), window(time.Hour), reconcile.Options{Replica: tt.replica})
			wantCounts(t, report, tt.want)
			if report.Clean() != tt.clean || tt.clean && !reflect.DeepEqual(report.Sums, []reconcile.Sum{{Currency: "USD", Table: "1.00", Ledger: "1.00"}}) {
				t.Errorf("clean %v, sums %v", report.Clean(), report.Sums)
			}
		})
	}
}
