package reconcile_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"payments-dr/internal/payment"
	"payments-dr/internal/payment/reconcile"
	"payments-dr/internal/payment/sessiontable"
	"payments-dr/internal/simulation/localdynamodb"
)

var server *localdynamodb.Server

func TestMain(m *testing.M) { localdynamodb.Main(m, "../../..", &server) }

func TestASessionTableOfFiveThousandPayments(t *testing.T) {
	const (
		region, name  = "us-east-1", "sessions"
		count         = 5000
		lost, altered = 50, 5
		length        = 55 * time.Minute // seven buckets, the first and the last of them in part
	)
	index := localdynamodb.Index{
		Name: sessiontable.IndexByAcceptance, PartitionKey: payment.AttributeAcceptedBucket, SortKey: payment.AttributeTimestamp,
	}
	if _, err := server.CreateTable(t.Context(), region, name, payment.AttributeSessionID, payment.AttributeTransactionID, index); err != nil {
		t.Fatal(err)
	}
	table := sessiontable.New(sessiontable.NewBatchClient(server.Config(region)), name)

	random := rand.New(rand.NewPCG(2026, 11))
	currencies := []struct{ code, format string }{{"USD", "%d.%02d"}, {"EUR", "%d.%02d"}, {"JPY", "%d%02d"}, {"KWD", "%d.%02d0"}}
	accepted := make([]payment.Payment, count)
	for i := range accepted {
		c := currencies[random.IntN(len(currencies))]
		p := newPayment(fmt.Sprintf("txn-%d", i), time.Duration(random.Int64N(int64(length/time.Microsecond)))*time.Microsecond,
			fmt.Sprintf(c.format, 1+random.IntN(99999), random.IntN(100)), c.code)
		p.SessionID = fmt.Sprintf("session-%d", random.IntN(count/3))
		p.Region = []string{"us-east-1", "us-west-2"}[random.IntN(2)]
		accepted[i] = p
	}
	ledger := newLedger(accepted...)
	outside := []payment.Payment{newPayment("just before", -time.Microsecond, "1.00", "USD"), newPayment("just behind", length, "1.00", "USD")}
	var group errgroup.Group
	group.SetLimit(16)
	for _, p := range append(accepted, outside...) {
		group.Go(func() error {
			_, replayed, err := table.Accept(t.Context(), p)
			if err == nil && replayed {
				err = fmt.Errorf("%v is there already", p.Identity)
			}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	if _, err := table.Probe(t.Context(), region, start, time.Minute); err != nil {
		t.Fatal(err)
	}
	order := random.Perm(count)
	for _, i := range order[:lost] {
		delete(ledger.payments, accepted[i].Identity)
	}
	for _, i := range order[lost : lost+altered] {
		p := accepted[i]
		p.Amount = newPayment("", 0, "1000000", p.Amount.CurrencyCode()).Amount.Round()
		ledger.payments[p.Identity] = p
	}

	w := window(length)
	dry := mustRun(t, table, ledger, w, reconcile.Options{DryRun: true})
	wantCounts(t, dry, reconcile.Counts{Table: count, LedgerBefore: count - lost, Ledger: count - lost, Missing: lost, Conflicting: altered})
	first := mustRun(t, table, ledger, w, reconcile.Options{})
	wantCounts(t, first, reconcile.Counts{
		Table: count, LedgerBefore: count - lost, Ledger: count, Missing: lost, Repaired: lost, Conflicting: altered,
	})
	for _, i := range order[:lost] {
		if got := ledger.payments[accepted[i].Identity]; !got.Equal(accepted[i]) {
			t.Errorf("repaired as %+v, was %+v", got, accepted[i])
		}
	}
	second := mustRun(t, table, ledger, w, reconcile.Options{})
	wantCounts(t, second, reconcile.Counts{Table: count, LedgerBefore: count, Ledger: count, Conflicting: altered})
	if first.Clean() || second.Clean() {
		t.Error("clean with conflicts")
	}

	for _, i := range order[lost : lost+altered] {
		ledger.payments[accepted[i].Identity] = accepted[i]
	}
	nobodys := newPayment("nobody's", time.Minute, "1.00", "USD")
	ledger.payments[nobodys.Identity] = nobodys
	third := mustRun(t, table, ledger, w, reconcile.Options{BatchSize: 37})
	wantCounts(t, third, reconcile.Counts{Table: count, LedgerBefore: count + 1, Ledger: count + 1, Unaccounted: 1})
	delete(ledger.payments, nobodys.Identity)
	if fourth := mustRun(t, table, ledger, w, reconcile.Options{}); !fourth.Clean() || len(fourth.Sums) != len(currencies) {
		t.Errorf("not clean: %+v", fourth)
	}
	t.Logf("%d payments compared in %d ms", count, second.DurationMilliseconds)
}
