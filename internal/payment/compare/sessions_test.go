package compare_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"payments-dr/internal/payment"
	"payments-dr/internal/payment/compare"
	"payments-dr/internal/payment/reconcile"
	"payments-dr/internal/payment/sessiontable"
	"payments-dr/internal/simulation/localdynamodb"
)

var acceptedFrom = time.Date(2026, 11, 20, 3, 0, 0, 0, time.UTC)

func newPayment(t *testing.T, i int, amount, region string) payment.Payment {
	t.Helper()
	p, err := payment.Parse(payment.Values{
		"session_id": session(i), "transaction_id": transaction(i),
		"amount": amount, "currency": "USD",
		"region": region, "timestamp": acceptedFrom.Add(time.Duration(i) * time.Second).Format(payment.TimestampLayout),
		"status": payment.StatusProcessed,
	})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func accept(t *testing.T, table *sessiontable.Table, payments ...payment.Payment) {
	t.Helper()
	var group errgroup.Group
	group.SetLimit(16)
	for _, p := range payments {
		group.Go(func() error {
			_, _, err := table.Accept(context.WithoutCancel(t.Context()), p)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
}

func TestSessionTables(t *testing.T) {
	server, err := localdynamodb.Start("../../..")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	const region, count = "us-east-1", 1000
	newTable := func(name string) *sessiontable.Table {
		index := localdynamodb.Index{Name: sessiontable.IndexByAcceptance, PartitionKey: payment.AttributeAcceptedBucket, SortKey: payment.AttributeTimestamp}
		if _, err := server.CreateTable(t.Context(), region, name, payment.AttributeSessionID, payment.AttributeTransactionID, index); err != nil {
			t.Fatal(err)
		}
		return sessiontable.New(sessiontable.NewBatchClient(server.Config(region)), name)
	}
	live, restored := newTable("live"), newTable("restored")
	var both []payment.Payment
	for i := range count {
		both = append(both, newPayment(t, i, "10.00", "us-east-1"))
	}
	accept(t, live, both...)
	accept(t, restored, both...)
	accept(t, live, newPayment(t, count, "1.00", "us-east-1"), newPayment(t, count+2, "3.00", "us-east-1"), newPayment(t, 9000, "5.00", "us-east-1")) // the last outside the window
	accept(t, restored, newPayment(t, count+1, "2.00", "us-east-1"), newPayment(t, count+2, "3.01", "us-west-2"))

	window := reconcile.Window{From: acceptedFrom, To: acceptedFrom.Add(time.Hour)}
	same, err := compare.SessionTables(t.Context(), live, live, "sessions", window, compare.Options{})
	if err != nil || !same.Same() || same.LeftRows != count+2 || same.Chunks != 6 {
		t.Errorf("with itself: %+v, %v", same, err)
	}
	var found []string
	report, err := compare.SessionTables(t.Context(), live, restored, "sessions", window, compare.Options{Examples: 1, ChunkRows: 100, Each: func(table string, d compare.Difference) error {
		found = append(found, table+" "+told(d))
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"sessions differing: s-0010/" + transaction(count+2) + " amount 3.00 3.01, region us-east-1 us-west-2",
		"sessions only left: s-0010/" + transaction(count),
		"sessions only right: s-0010/" + transaction(count+1),
	}
	slices.Sort(found)
	if !slices.Equal(found, want) || report.Same() || !report.Complete || len(report.Examples) != 1 {
		t.Errorf("found %s, report %+v", strings.Join(found, "; "), report)
	}
	if report.OnlyLeft != 1 || report.OnlyRight != 1 || report.Differing != 1 || report.LeftRows != count+2 || report.RightRows != count+2 {
		t.Errorf("report %+v", report)
	}

	enough := errors.New("enough")
	report, err = compare.SessionTables(t.Context(), live, restored, "sessions", window, compare.Options{Each: func(string, compare.Difference) error { return enough }})
	if !errors.Is(err, enough) || report.Complete || report.Same() {
		t.Errorf("%+v, %v", report, err)
	}
	if _, err = compare.SessionTables(t.Context(), live, restored, "sessions", reconcile.Window{From: window.To, To: window.From}, compare.Options{}); err == nil {
		t.Error("a window that ends before it begins is taken")
	}
	if _, err := reconcile.Copy(live).Record(t.Context(), both[:1]); !errors.Is(err, reconcile.ErrReadOnly) {
		t.Errorf("a copy records: %v", err)
	}
	t.Logf("%d payments compared in %v", same.LeftRows, same.Duration.Round(time.Millisecond))
}
