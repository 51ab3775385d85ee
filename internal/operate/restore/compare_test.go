package restore_test

import (
	"context"
	"database/sql"
	"fmt"
	"testing"
	"time"

	"payments-dr/internal/operate/restore"
	"payments-dr/internal/payment"
	"payments-dr/internal/payment/compare"
	"payments-dr/internal/payment/ledger"
	"payments-dr/internal/payment/ledger/schema"
	"payments-dr/internal/payment/reconcile"
	"payments-dr/internal/simulation/localmysql"
)

// TestWhatSomebodyDidSinceIsFound has a live ledger that went on after the moment, in which somebody has changed one payment
// and removed another since.
func TestWhatSomebodyDidSinceIsFound(t *testing.T) {
	servers, closeAll, err := localmysql.StartAll()
	if err != nil {
		t.Fatal(err)
	}
	defer closeAll()
	for name, server := range servers {
		t.Run(name, func(t *testing.T) {
			live, restored := newLedger(t, server, "live"), newLedger(t, server, "restored")
			for i := range 120 { // one a second, two minutes before the moment to the moment
				at := moment.Add(time.Duration(i-120) * time.Second).Format("2006-01-02 15:04:05")
				for _, database := range []*sql.DB{live, restored} {
					execute(t, database, fmt.Sprintf("INSERT INTO payments VALUES ('s', 't-%03d', 1, 'USD', 'us-east-1', '%s', '%s')", i, at, at))
				}
			}
			after := moment.Add(time.Hour).Format("2006-01-02 15:04:05")
			execute(t, live, "UPDATE payments SET amount = 1000 WHERE transaction_id = 't-010'", "DELETE FROM payments WHERE transaction_id = 't-020'",
				fmt.Sprintf("INSERT INTO payments VALUES ('s', 'later', 1, 'USD', 'us-east-1', '%s', '%s')", after, after))
			plan := restore.Plan{Source: "live", Name: "restored", Moment: moment}
			reports, err := restore.CompareLedgers(t.Context(), live, restored, plan, compare.Options{})
			if err != nil || len(reports) != 3 {
				t.Fatalf("%+v, %v", reports, err)
			}
			// The last minute is not judged.
			if r := reports[0]; r.Table != "payments" || r.LeftRows != 59 || r.RightRows != 60 || r.Differing != 1 || r.OnlyRight != 1 || r.OnlyLeft != 0 ||
				r.Examples[0].Key[1] != "t-010" || *r.Examples[0].Columns[0].Left != "1000.0000" || r.Examples[1].Key[1] != "t-020" {
				t.Errorf("report %+v", r)
			}
			if r := reports[1]; !r.Same() {
				t.Errorf("report %+v", r)
			}
		})
	}
}

func newLedger(t *testing.T, server *localmysql.Server, name string) *sql.DB {
	t.Helper()
	if err := server.Exec(t.Context(), "", "CREATE DATABASE "+name); err != nil {
		t.Fatal(err)
	}
	database, err := ledger.OpenDatabase(ledger.Config{
		Host: server.Host, Port: server.Port, Database: name, User: localmysql.User, Password: localmysql.Password, PlainText: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = database.Close() })
	if _, err := schema.Migrate(t.Context(), database, schema.User{Name: ledger.UserName, Authentication: "IDENTIFIED BY 'simulated'"}); err != nil {
		t.Fatal(err)
	}
	execute(t, database, "UPDATE schema_versions SET tstamp = '2026-11-01 00:00:00'") // a restored database has the live one's note
	return database
}

func execute(t *testing.T, database *sql.DB, statements ...string) {
	t.Helper()
	for _, statement := range statements {
		if _, err := database.ExecContext(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}

// window is a session table that remembers what it was asked for.
type window struct{ from, to time.Time }

func (w *window) Window(_ context.Context, from, to time.Time, _ int, _ func([]payment.Payment) error) error {
	if w.from.IsZero() {
		w.from = from
	}
	w.to = to
	return nil
}

func (w *window) Find(context.Context, []payment.Identity) (map[payment.Identity]payment.Payment, error) {
	return nil, nil
}

var _ reconcile.Table = (*window)(nil)

func TestSessionsAreComparedUpToTheMoment(t *testing.T) {
	live, restored := &window{}, &window{}
	plan := restore.Plan{Source: sessions, Name: tableCopy, Moment: moment}
	report, err := restore.CompareSessions(t.Context(), live, restored, plan, moment.Add(-time.Hour), compare.Options{})
	if err != nil || !report.Same() || report.Table != sessions {
		t.Errorf("%+v, %v", report, err)
	}
	for _, w := range []*window{live, restored} {
		if !w.from.Equal(moment.Add(-time.Hour)) || !w.to.Equal(moment.Add(-time.Minute)) {
			t.Errorf("asked for %v to %v", w.from, w.to)
		}
	}
}
