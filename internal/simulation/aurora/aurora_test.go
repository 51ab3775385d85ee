package aurora_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bojanz/currency"
	"github.com/go-sql-driver/mysql"

	"payments-dr/internal/payment"
	"payments-dr/internal/payment/ledger"
	"payments-dr/internal/payment/ledger/schema"
	"payments-dr/internal/simulation/aurora"
	"payments-dr/internal/simulation/localmysql"
)

const (
	east, west = "us-east-1", "us-west-2"
	database   = "payments"
	password   = "simulated-too"
	// held is a lag by which nothing arrives while a test runs.
	held = time.Hour
	// patience bounds a test.
	patience = 45 * time.Second
)

// installations are the engines by name; nil is the embedded server.
var installations = map[string]*localmysql.Installation{"embedded": nil}

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	if os.Getenv(localmysql.MariaDBVariable) == "1" {
		installation, err := localmysql.InstallMariaDB()
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer installation.Close()
		installations["mariadb"] = installation
	}
	return m.Run()
}

func options(installation *localmysql.Installation) aurora.Options {
	return aurora.Options{
		Regions: [2]string{east, west}, MariaDB: installation, Database: database,
		Schema: func(ctx context.Context, writer *sql.DB) error {
			user := schema.User{Name: ledger.UserName, Authentication: "IDENTIFIED BY '" + password + "'"}
			if _, err := schema.Migrate(ctx, writer, user); err != nil || installation != nil {
				return err
			}
			// The embedded server's secondary indexes lead to wrong rows once a connection has died in the middle of a transaction.
			_, err := writer.ExecContext(ctx, "ALTER TABLE payments DROP INDEX payments_accepted_at")
			return err
		},
	}
}

// fixture is a global database with what a test asks of it.
type fixture struct {
	*aurora.GlobalDatabase
	t   testing.TB
	ctx context.Context
}

// everywhere runs a test with a new global database of each engine.
func everywhere(t *testing.T, test func(f fixture)) {
	for engine, installation := range installations {
		t.Run(engine, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			t.Cleanup(cancel)
			g, err := aurora.Start(ctx, options(installation))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(g.Close)
			test(fixture{g, t, ctx})
		})
	}
}

// must ends the test unless all went well.
func (f fixture) must(faults ...error) {
	f.t.Helper()
	if err := errors.Join(faults...); err != nil {
		f.t.Fatal(err)
	}
}

// wantError is for what must not go well.
func (f fixture) wantError(err, want error) {
	f.t.Helper()
	if !errors.Is(err, want) {
		f.t.Errorf("error %v, want %v", err, want)
	}
}

// ledger is a Region's as its functions have it.
func (f fixture) ledger(region string) *ledger.Ledger {
	f.t.Helper()
	host, port, err := f.Address(region)
	f.must(err)
	l, err := ledger.Open(ledger.Config{Host: host, Port: port, User: ledger.UserName, Password: password, Database: database, PlainText: true})
	f.must(err)
	f.t.Cleanup(func() { _ = l.Close() })
	return l
}

var accepted = time.Date(2026, 11, 22, 3, 0, 0, 123456000, time.UTC)

// payments are a run of payments of a name, a millisecond apart.
func (f fixture) payments(name string, count int) []payment.Payment {
	f.t.Helper()
	all := make([]payment.Payment, count)
	for i := range all {
		amount, err := currency.NewAmount(fmt.Sprintf("%d.25", i+1), "USD")
		f.must(err)
		all[i] = payment.Payment{
			Identity: payment.Identity{SessionID: fmt.Sprintf("%s-%d", name, i/3), TransactionID: fmt.Sprintf("%s-%d", name, i)}, Amount: amount,
			Region: east, Timestamp: accepted.Add(time.Duration(i) * time.Millisecond), Status: payment.StatusProcessed,
		}
	}
	return all
}

func (f fixture) record(l *ledger.Ledger, payments []payment.Payment) {
	f.t.Helper()
	result, err := l.Record(f.ctx, payments)
	f.must(err)
	if result.Recorded != len(payments) {
		f.t.Fatalf("result %+v, want %d recorded", result, len(payments))
	}
}

func (f fixture) wantRefused(l *ledger.Ledger) {
	f.t.Helper()
	_, err := l.Record(f.ctx, f.payments("refused", 1))
	f.wantError(err, ledger.ErrUnavailable)
}

// look opens a Region's data past its endpoint.
func (f fixture) look(region string) *ledger.Ledger {
	f.t.Helper()
	pool, err := f.Open(region)
	f.must(err)
	f.t.Cleanup(func() { _ = pool.Close() })
	return ledger.New(pool)
}

// stored are all payments that a Region has.
func (f fixture) stored(region string) (all []payment.Payment) {
	f.t.Helper()
	f.must(f.look(region).Window(f.ctx, time.Unix(0, 0), accepted.Add(time.Hour), func(p payment.Payment) error {
		all = append(all, p)
		return nil
	}))
	return all
}

// same compares payments, in any order.
func (f fixture) same(what string, got []payment.Payment, want ...[]payment.Payment) {
	f.t.Helper()
	wanted := map[payment.Identity]payment.Payment{}
	for _, p := range slices.Concat(want...) {
		wanted[p.Identity] = p
	}
	if len(got) != len(wanted) {
		f.t.Errorf("%s: %d payments, want %d", what, len(got), len(wanted))
	}
	for _, p := range got {
		if w, ok := wanted[p.Identity]; !ok || !w.Equal(p) {
			f.t.Errorf("%s: has %+v, want %+v (%t)", what, p, w, ok)
		}
	}
}

// caughtUp waits until the secondary has everything.
func (f fixture) caughtUp() {
	f.t.Helper()
	for {
		lag, err := f.Lag(f.ctx)
		f.must(err)
		if lag == (aurora.Lag{}) {
			return
		}
		time.Sleep(5 * time.Millisecond) // its progress tells nobody
	}
}

func (f fixture) wantWriter(region string) {
	f.t.Helper()
	if w := f.Writer(); w != region {
		f.t.Fatalf("the writer is %s, want %s", w, region)
	}
}

func TestReplicationCatchesUp(t *testing.T) {
	everywhere(t, func(f fixture) {
		f.wantWriter(east)
		writer, reader := f.ledger(east), f.ledger(west)
		all := f.payments("p", 700)
		for batch := range slices.Chunk(all, 50) {
			f.record(writer, batch)
		}
		f.caughtUp()
		f.same("secondary", f.stored(west), all)
		if found, err := reader.Find(f.ctx, []payment.Identity{all[3].Identity}); err != nil || !found[all[3].Identity].Equal(all[3]) {
			f.t.Errorf("the secondary reads %v, %v", found, err)
		}

		// Not even the master user writes there.
		f.wantRefused(reader)
		master, err := f.Open(west)
		f.must(err)
		defer master.Close()
		_, err = master.ExecContext(f.ctx, "DELETE FROM payments")
		if refused, ok := errors.AsType[*mysql.MySQLError](err); !ok || refused.Number != 1290 {
			f.t.Errorf("error %v, want number 1290", err)
		}
		for region, want := range map[string]bool{east: false, west: true} {
			pool, err := f.Open(region)
			f.must(err)
			defer pool.Close()
			if is, err := ledger.IsReader(f.ctx, pool); err != nil || is != want {
				f.t.Errorf("%s: reader %t, %v", region, is, err)
			}
		}
	})
}

func TestLag(t *testing.T) {
	everywhere(t, func(f fixture) {
		wantLag := func(rows int, least time.Duration) {
			f.t.Helper()
			if lag, err := f.Lag(f.ctx); err != nil || lag.Rows != rows || lag.Behind < least || lag.Behind > least+patience {
				f.t.Errorf("lag %+v, %v; want %d rows and at least %s", lag, err, rows, least)
			}
		}
		writer := f.ledger(east)
		f.record(writer, f.payments("before", 3))
		f.caughtUp()
		f.SetLag(held)
		began := time.Now()
		f.record(writer, f.payments("a", 7))
		f.record(writer, f.payments("b", 4))
		const least = 10 * time.Millisecond
		time.Sleep(time.Until(began.Add(2 * least))) // what it measures is time
		wantLag(11, least)
		f.must(f.SetPartitioned(f.ctx, true))
		wantLag(11, least)
		f.must(f.SetPartitioned(f.ctx, false), f.SetDown(f.ctx, west, true))
		wantLag(-1, held)
		f.must(f.SetDown(f.ctx, east, true))
		_, err := f.Lag(f.ctx)
		f.wantError(err, aurora.ErrUnreachable)
		f.must(f.SetDown(f.ctx, west, false))
		wantLag(-1, held)
		f.must(f.SetDown(f.ctx, east, false))
		f.SetLag(0)
		f.caughtUp()
		wantLag(0, 0)
		f.must(f.Failover(f.ctx, west))
		_, err = f.Lag(f.ctx)
		f.wantError(err, aurora.ErrNotSecondary)
	})
}

// TestSwitchoverLosesNothing has clients that write all the time, wherever they are let, while the roles are switched.
func TestSwitchoverLosesNothing(t *testing.T) {
	everywhere(t, func(f fixture) {
		f.SetLag(30 * time.Millisecond)
		const clients = 4
		var acknowledged [clients][]payment.Payment
		var count, refused atomic.Int32
		done := make(chan struct{})
		var writing sync.WaitGroup
		for c := range clients {
			ledgers := []*ledger.Ledger{f.ledger(east), f.ledger(west)}
			all := f.payments(fmt.Sprintf("client-%d", c), 3000)
			writing.Go(func() {
				at := 0
				for _, p := range all {
					for recorded := false; !recorded; {
						select {
						case <-done:
							return
						default:
						}
						if _, err := ledgers[at].Record(f.ctx, []payment.Payment{p}); err != nil {
							refused.Add(1)
							at = 1 - at
							continue
						}
						recorded = true
					}
					acknowledged[c] = append(acknowledged[c], p)
					count.Add(1)
				}
			})
		}
		for _, to := range []string{west, east, west} {
			for before := count.Load(); count.Load() < before+40 && f.ctx.Err() == nil; {
				time.Sleep(time.Millisecond) // until there is something to lose
			}
			started := time.Now()
			if err := f.Switchover(f.ctx, to); err != nil {
				f.t.Error(err)
			}
			f.t.Logf("switched over to %s in %s", to, time.Since(started))
		}
		close(done)
		writing.Wait()
		f.wantWriter(west)
		f.SetLag(0)
		f.caughtUp()
		all := slices.Concat(acknowledged[:]...)
		if len(all) < 120 || refused.Load() == 0 {
			f.t.Errorf("%d payments acknowledged, %d attempts refused: nothing was tried", len(all), refused.Load())
		}
		for _, region := range []string{east, west} {
			has := map[payment.Identity]bool{}
			stored := f.stored(region)
			for _, p := range stored {
				has[p.Identity] = true
			}
			lost := 0
			for _, p := range all {
				if !has[p.Identity] {
					lost++
				}
			}
			if lost != 0 || len(stored) > len(all)+clients { // each client may have been cut off in one whose answer it did not hear
				f.t.Errorf("%s has %d payments of %d, %d lost", region, len(stored), len(all), lost)
			}
		}
	})
}

// TestSwitchoverThatFails leaves the roles as they were.
func TestSwitchoverThatFails(t *testing.T) {
	everywhere(t, func(f fixture) {
		f.wantError(f.Switchover(f.ctx, east), aurora.ErrNotSecondary)
		f.wantError(f.Switchover(f.ctx, "eu-north-1"), aurora.ErrNotSecondary)
		for _, region := range []string{east, west} {
			f.must(f.SetDown(f.ctx, region, true))
			f.wantError(f.Switchover(f.ctx, west), aurora.ErrUnreachable)
			f.must(f.SetDown(f.ctx, region, false))
		}
		f.must(f.SetPartitioned(f.ctx, true))
		f.wantError(f.Switchover(f.ctx, west), aurora.ErrUnreachable)
		f.must(f.SetPartitioned(f.ctx, false))

		// It waits for what is not replicated yet, and is interrupted.
		writer := f.ledger(east)
		f.SetLag(held)
		recorded := f.payments("a", 2)
		f.record(writer, recorded)
		attempts := 0
		for _, interrupt := range []func() error{
			func() error { return f.SetDown(f.ctx, west, true) },
			func() error { return f.SetPartitioned(f.ctx, true) },
		} {
			ended := make(chan error, 1)
			go func() { ended <- f.Switchover(f.ctx, west) }()
			for ; ; attempts++ { // until it has begun
				one := f.payments(fmt.Sprintf("attempt-%d", attempts), 1)
				if _, err := writer.Record(f.ctx, one); err != nil {
					break
				}
				recorded = append(recorded, one...)
			}
			f.must(interrupt())
			f.wantError(<-ended, aurora.ErrUnreachable)
			f.must(f.SetDown(f.ctx, west, false), f.SetPartitioned(f.ctx, false))
		}
		short, cancel := context.WithTimeout(f.ctx, 50*time.Millisecond)
		defer cancel()
		f.wantError(f.Switchover(short, west), context.DeadlineExceeded)
		f.wantWriter(east)
		f.wantRefused(f.ledger(west))
		f.record(writer, f.payments("b", 1))
		f.SetLag(0)
		f.must(f.Switchover(f.ctx, west))
		f.same("new writer", f.stored(west), recorded, f.payments("b", 1))
	})
}

// TestFailoverLosesTheTail loses the writer with payments that were not replicated.
func TestFailoverLosesTheTail(t *testing.T) {
	everywhere(t, func(f fixture) {
		old, successor := f.ledger(east), f.ledger(west)
		before, tail, after := f.payments("before", 120), f.payments("tail", 25), f.payments("after", 10)
		f.record(old, before)
		f.caughtUp()
		f.SetLag(held)
		for batch := range slices.Chunk(tail, 10) {
			f.record(old, batch)
		}
		f.must(f.SetDown(f.ctx, east, true))
		f.wantRefused(old)
		f.SetLag(0) // too late

		started := time.Now()
		f.must(f.Failover(f.ctx, west))
		f.t.Logf("failed over in %s", time.Since(started))
		f.wantWriter(west)
		f.same("new writer", f.stored(west), before)
		f.record(successor, after)
		f.record(successor, tail[:5]) // found by the reconciliation
		_, err := f.Rejoin(f.ctx, east)
		f.wantError(err, aurora.ErrUnreachable)
		f.same("old writer", f.stored(east), before, tail)

		// It comes back, and takes no writes.
		f.must(f.SetDown(f.ctx, east, false))
		f.wantRefused(old)
		f.same("old writer", f.stored(east), before, tail)
		f.wantError(f.Failover(f.ctx, east), aurora.ErrNotSecondary)
		f.wantError(f.Switchover(f.ctx, east), aurora.ErrNotSecondary)

		started = time.Now()
		lost, err := f.Rejoin(f.ctx, east)
		f.must(err)
		f.t.Logf("rejoined in %s", time.Since(started))
		f.same("not replicated", lost.Unreplicated, tail)
		f.same("missing", lost.Missing, tail[5:])
		if kept := f.Snapshots(); len(kept) != 1 || kept[0].Region != east || len(kept[0].Unreplicated) != len(tail) {
			f.t.Errorf("snapshots %+v", kept)
		}
		f.same("secondary", f.stored(east), before, after, tail[:5])
		f.wantRefused(old)
		more := f.payments("more", 3)
		f.record(successor, more)
		f.caughtUp()
		f.same("secondary", f.stored(east), before, after, tail[:5], more)
		_, err = f.Rejoin(f.ctx, east)
		f.wantError(err, aurora.ErrNotSecondary)
	})
}

// TestFailoverInTheMiddle loses the writer while clients record whole batches. What the successor has is of whole batches, and
// it has every batch that was acknowledged or it is reported.
func TestFailoverInTheMiddle(t *testing.T) {
	everywhere(t, func(f fixture) {
		const clients, size = 4, 120 // more than fits into one packet between the members
		f.SetLag(20 * time.Millisecond)
		var count atomic.Int32
		var mu sync.Mutex
		acknowledged := map[payment.Identity]bool{}
		var writing sync.WaitGroup
		for c := range clients {
			l := f.ledger(east)
			all := f.payments(fmt.Sprintf("client-%d", c), 60*size)
			writing.Go(func() {
				for batch := range slices.Chunk(all, size) {
					if _, err := l.Record(f.ctx, batch); err != nil {
						return // it is lost
					}
					mu.Lock()
					for _, p := range batch {
						acknowledged[p.Identity] = true
					}
					mu.Unlock()
					count.Add(1)
				}
			})
		}
		pool, err := f.Open(west)
		f.must(err)
		defer pool.Close()
		for some := 0; some < 3*size; { // until some have arrived
			f.must(pool.QueryRowContext(f.ctx, "SELECT COUNT(*) FROM payments").Scan(&some))
		}
		f.SetLag(held)
		for before := count.Load(); count.Load() < before+2 && f.ctx.Err() == nil; {
			time.Sleep(time.Millisecond) // until others are on their way
		}
		f.must(f.SetDown(f.ctx, east, true), f.Failover(f.ctx, west))
		writing.Wait()
		f.must(f.SetDown(f.ctx, east, false))
		lost, err := f.Rejoin(f.ctx, east)
		f.must(err)
		stored := f.stored(west)
		f.same("secondary", f.stored(east), stored)
		batches := map[string]int{}
		for _, p := range slices.Concat(stored, lost.Unreplicated) {
			delete(acknowledged, p.Identity)
		}
		for _, p := range stored {
			client, number, _ := strings.Cut(strings.TrimPrefix(p.TransactionID, "client-"), "-")
			n, err := strconv.Atoi(number)
			f.must(err)
			batches[fmt.Sprintf("%s/%d", client, n/size)]++
		}
		for batch, n := range batches {
			if n != size {
				f.t.Errorf("the new writer has %d payments of the batch %s, want %d or none", n, batch, size)
			}
		}
		if len(acknowledged) != 0 {
			f.t.Errorf("%d acknowledged payments are nowhere", len(acknowledged))
		}
		f.t.Logf("%d replicated, %d not", len(stored), len(lost.Unreplicated))
		if len(stored) == 0 || len(lost.Unreplicated) == 0 {
			f.t.Errorf("%d payments replicated, %d not: nothing was tried", len(stored), len(lost.Unreplicated))
		}
	})
}

// TestOldWriterIsFenced fails over from a writer that is up: connections that were open to it write no more.
func TestOldWriterIsFenced(t *testing.T) {
	everywhere(t, func(f fixture) {
		host, port, err := f.Address(east)
		f.must(err)
		pool, err := ledger.OpenDatabase(ledger.Config{Host: host, Port: port, User: ledger.UserName, Password: password, Database: database, PlainText: true})
		f.must(err)
		defer pool.Close()
		const insert = "INSERT INTO payments (session_id, transaction_id, amount, currency, region, accepted_at) VALUES (?, 't', 1, 'USD', 'r', '2026-11-22')"
		f.SetLag(held)
		tail := f.payments("tail", 3)
		f.record(f.ledger(east), tail) // a failover waits for nothing
		open, err := pool.BeginTx(f.ctx, nil)
		f.must(err)
		_, err = open.ExecContext(f.ctx, insert, "open")
		f.must(err)

		f.must(f.Failover(f.ctx, west))
		if err := open.Commit(); err == nil {
			f.t.Error("a transaction that was open before was committed after")
		}
		if _, err := pool.ExecContext(f.ctx, insert, "new"); err == nil {
			f.t.Error("the old writer was written to")
		}
		f.same("old writer", f.stored(east), tail)
		f.same("new writer", f.stored(west))
		successor := f.ledger(west)
		f.record(successor, f.payments("a", 2))

		// Lost twice in a row there is nobody left to fail over to.
		f.must(f.SetDown(f.ctx, west, true))
		f.wantError(f.Failover(f.ctx, east), aurora.ErrNotSecondary)
		_, err = f.Rejoin(f.ctx, east)
		f.wantError(err, aurora.ErrUnreachable)
		f.must(f.SetDown(f.ctx, west, false))
		lost, err := f.Rejoin(f.ctx, east)
		f.must(err)
		f.same("not replicated", lost.Unreplicated, tail)
		f.same("secondary", f.stored(east), f.payments("a", 2)) // although the lag is long; it is again from now on
		wantBehind := func(rows int) {
			f.t.Helper()
			if lag, err := f.Lag(f.ctx); err != nil || lag.Rows != rows {
				f.t.Errorf("lag %+v, %v; want %d rows", lag, err, rows)
			}
		}
		f.record(successor, f.payments("b", 3))
		wantBehind(3)
		f.SetLag(0)
		f.caughtUp()
		f.SetLag(held)
		f.must(f.Switchover(f.ctx, east))
		f.record(f.ledger(east), f.payments("c", 4))
		wantBehind(4)
		f.must(f.SetDown(f.ctx, west, true))
		f.wantError(f.Failover(f.ctx, west), aurora.ErrUnreachable)
	})
}

// TestSplitBrain fails over while the members are parted: both are written to until they are joined.
func TestSplitBrain(t *testing.T) {
	everywhere(t, func(f fixture) {
		old, successor := f.ledger(east), f.ledger(west)
		before, tail, both := f.payments("before", 20), f.payments("tail", 4), f.payments("both", 5)
		f.record(old, before)
		f.caughtUp()
		f.must(f.SetPartitioned(f.ctx, true))
		f.record(old, tail)
		f.wantRefused(successor)
		f.must(f.Failover(f.ctx, west))
		f.record(old, both)
		f.record(successor, both[:3])

		// The old writer learns nothing from being down while they are parted.
		f.must(f.SetDown(f.ctx, east, true), f.SetDown(f.ctx, east, false))
		alone := f.payments("alone", 2)
		f.record(old, alone)
		_, err := f.Rejoin(f.ctx, east)
		f.wantError(err, aurora.ErrUnreachable)

		f.must(f.SetPartitioned(f.ctx, false))
		f.wantRefused(old)
		f.same("old writer", f.stored(east), before, tail, both, alone)
		f.same("new writer", f.stored(west), before, both[:3])
		lost, err := f.Rejoin(f.ctx, east)
		f.must(err)
		f.same("not replicated", lost.Unreplicated, tail, both, alone)
		f.same("missing", lost.Missing, tail, both[3:], alone)
		f.same("secondary", f.stored(east), before, both[:3])
	})
}

// A partition without a failover costs nothing.
func TestPartitionHeals(t *testing.T) {
	everywhere(t, func(f fixture) {
		writer := f.ledger(east)
		f.must(f.SetPartitioned(f.ctx, true))
		f.record(writer, f.payments("a", 30))
		f.same("secondary", f.stored(west))
		f.must(f.SetPartitioned(f.ctx, false))
		f.caughtUp()
		f.same("secondary", f.stored(west), f.payments("a", 30))

		// So does a secondary that was down, and a writer that nobody has replaced.
		f.must(f.SetDown(f.ctx, west, true))
		f.record(writer, f.payments("b", 30))
		f.must(f.SetDown(f.ctx, west, false))
		f.caughtUp()
		f.must(f.SetDown(f.ctx, east, true), f.SetDown(f.ctx, east, false))
		f.record(writer, f.payments("c", 30))
		f.caughtUp()
		f.same("secondary", f.stored(west), f.payments("a", 30), f.payments("b", 30), f.payments("c", 30))
	})
}

// TestBackAndForth loses each Region in turn, three times, and switches back.
func TestBackAndForth(t *testing.T) {
	everywhere(t, func(f fixture) {
		ledgers := map[string]*ledger.Ledger{east: f.ledger(east), west: f.ledger(west)}
		var kept []payment.Payment
		from, to := east, west
		for round := range 3 {
			name := fmt.Sprintf("round-%d", round)
			replicated, tail, after := f.payments(name+"-replicated", 15), f.payments(name+"-tail", 5+round), f.payments(name+"-after", 5)
			f.record(ledgers[from], replicated)
			f.caughtUp()
			f.SetLag(held)
			f.record(ledgers[from], tail)
			f.must(f.SetDown(f.ctx, from, true), f.Failover(f.ctx, to))
			f.SetLag(0)
			f.record(ledgers[to], after)
			f.must(f.SetDown(f.ctx, from, false))
			lost, err := f.Rejoin(f.ctx, from)
			f.must(err)
			f.same(name, lost.Missing, tail)
			kept = slices.Concat(kept, replicated, after)
			f.same(name, f.stored(from), kept)

			f.must(f.Switchover(f.ctx, from))
			back := f.payments(name+"-back", 5)
			f.record(ledgers[from], back)
			f.wantRefused(ledgers[to])
			kept = append(kept, back...)
			f.must(f.Switchover(f.ctx, to))
			f.same(name, f.stored(to), kept)
			from, to = to, from
		}
		f.caughtUp()
		f.same("first", f.stored(east), kept)
		f.same("second", f.stored(west), kept)
		if got := len(f.Snapshots()); got != 3 {
			f.t.Errorf("%d snapshots, want 3", got)
		}
	})
}

// TestNothingIsLeft ends global databases in every state.
func TestNothingIsLeft(t *testing.T) {
	failing := errors.New("no table today")
	for engine, installation := range installations {
		for name, run := range map[string]func(f fixture){
			"as it started": func(fixture) {},
			"failed over":   func(f fixture) { f.must(f.SetDown(f.ctx, east, true), f.Failover(f.ctx, west)) },
			"rejoined": func(f fixture) {
				f.must(f.Failover(f.ctx, west))
				_, err := f.Rejoin(f.ctx, east)
				f.must(err)
			},
			"never begun": nil,
		} {
			t.Run(engine+" "+name, func(t *testing.T) {
				directory := t.TempDir()
				t.Setenv("TMPDIR", directory)
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				defer cancel()
				options := options(installation)
				if run == nil {
					options.Schema = func(context.Context, *sql.DB) error { return failing }
				}
				g, err := aurora.Start(ctx, options)
				if run == nil {
					if !errors.Is(err, failing) {
						t.Errorf("error %v", err)
					}
				} else {
					if err != nil {
						t.Fatal(err)
					}
					if files(t, directory) == 0 && installation != nil {
						t.Error("the files are elsewhere")
					}
					f := fixture{g, t, ctx}
					host, port, err := f.Address(west)
					f.must(err)
					run(f)
					g.Close()
					if c, err := net.Dial("tcp", net.JoinHostPort(host, strconv.Itoa(port))); err == nil {
						_ = c.Close()
						t.Error("the endpoint takes connections")
					}
				}
				if n := files(t, directory); n != 0 {
					t.Errorf("%d files are left", n)
				}
				if left := processes(t, directory); len(left) != 0 {
					t.Errorf("running: %s", left)
				}
			})
		}
	}
}

func files(t *testing.T, directory string) int {
	t.Helper()
	entries, err := os.ReadDir(directory)
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// processes are those that have a directory in their command line.
func processes(t *testing.T, directory string) (left []string) {
	t.Helper()
	names, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		line, err := os.ReadFile(name)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			continue // it has ended meanwhile
		}
		if strings.Contains(string(line), directory) {
			left = append(left, strings.ReplaceAll(string(line), "\x00", " "))
		}
	}
	return left
}

func TestOptionsAreChecked(t *testing.T) {
	for _, regions := range [][2]string{{}, {east, ""}, {"", west}, {east, east}} {
		o := options(nil)
		o.Regions = regions
		if _, err := aurora.Start(t.Context(), o); err == nil || !strings.Contains(err.Error(), "allowed are two different") {
			t.Errorf("%q: error %v", regions, err)
		}
	}
}
