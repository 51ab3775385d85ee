package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bojanz/currency"

	"payments-dr/internal/payment"
	"payments-dr/internal/payment/ledger"
	"payments-dr/internal/payment/ledger/schema"
	"payments-dr/internal/payment/paymenttest"
	"payments-dr/internal/simulation/localmysql"
)

const userPassword = "simulated-too"

var servers map[string]*localmysql.Server

func TestMain(m *testing.M) { localmysql.Main(m, &servers) }

// everywhere runs a test against each server, with a new, empty ledger. The ledger's user is the one that the migrations
// make, so that every test shows that its privileges are enough.
func everywhere(t *testing.T, test func(t *testing.T, server *localmysql.Server, config ledger.Config)) {
	for name, server := range servers {
		t.Run(name, func(t *testing.T) { test(t, server, newDatabase(t, server)) })
	}
}

var databases atomic.Int32

func newDatabase(t testing.TB, server *localmysql.Server) ledger.Config {
	t.Helper()
	name := fmt.Sprintf("ledger_%d", databases.Add(1))
	if err := server.Exec(t.Context(), "", "CREATE DATABASE "+name); err != nil {
		t.Fatal(err)
	}
	config := ledger.Config{Host: server.Host, Port: server.Port, Database: name, User: localmysql.User, Password: localmysql.Password, PlainText: true}
	database, err := ledger.OpenDatabase(config)
	if err != nil {
		t.Fatal(err)
	}
	defer database.Close()
	user := schema.User{Name: ledger.UserName, Authentication: "IDENTIFIED BY '" + userPassword + "'"}
	if _, err := schema.Migrate(t.Context(), database, user); err != nil {
		t.Fatal(err)
	}
	config.User, config.Password = ledger.UserName, userPassword
	return config
}

func open(t testing.TB, config ledger.Config) *ledger.Ledger {
	t.Helper()
	l, err := ledger.Open(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

var accepted = time.Date(2026, 11, 22, 3, 0, 0, 123456000, time.UTC)

func newPayment(t testing.TB, session, transaction, number, code string) payment.Payment {
	t.Helper()
	amount, err := currency.NewAmount(number, code)
	if err != nil {
		t.Fatal(err)
	}
	return payment.Payment{
		Identity: payment.Identity{SessionID: session, TransactionID: transaction}, Amount: amount,
		Region: "us-east-1", Timestamp: accepted, Status: payment.StatusProcessed,
	}
}

// numbered is a run of payments, a millisecond apart.
func numbered(t testing.TB, count int) []payment.Payment {
	all := make([]payment.Payment, count)
	for i := range all {
		all[i] = newPayment(t, fmt.Sprintf("session-%d", i/3), fmt.Sprintf("transaction-%d", i), "1.25", "USD")
		all[i].Timestamp = accepted.Add(time.Duration(i) * time.Millisecond)
	}
	return all
}

func identities(payments []payment.Payment) []payment.Identity {
	var all []payment.Identity
	for _, p := range payments {
		all = append(all, p.Identity)
	}
	return all
}

func wantRecord(t *testing.T, l *ledger.Ledger, payments []payment.Payment, recorded, duplicates int, conflicts ...payment.Identity) {
	t.Helper()
	result, err := l.Record(t.Context(), payments)
	if err != nil {
		t.Fatal(err)
	}
	if result.Recorded != recorded || result.Duplicates != duplicates || !slices.Equal(result.Conflicts, conflicts) {
		t.Fatalf("result %+v, want %d recorded, %d duplicates, conflicts %v", result, recorded, duplicates, conflicts)
	}
}

// wantStored checks that the ledger holds exactly these payments, in every field.
func wantStored(t *testing.T, l *ledger.Ledger, want ...payment.Payment) {
	t.Helper()
	found, err := l.Find(t.Context(), identities(want))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range want {
		if stored, ok := found[p.Identity]; !ok || !stored.Equal(p) {
			t.Errorf("stored %+v (%v), want %+v", stored, ok, p)
		}
	}
	count := 0
	if err := l.Window(t.Context(), time.Unix(0, 0), accepted.Add(1000*time.Hour), func(payment.Payment) error { count++; return nil }); err != nil {
		t.Fatal(err)
	}
	if count != len(want) {
		t.Errorf("%d payments in the ledger, want %d", count, len(want))
	}
}

// TestRecordAnyNewID has the columns tell apart and keep all that a new payment's ids may be.
func TestRecordAnyNewID(t *testing.T) {
	everywhere(t, func(t *testing.T, _ *localmysql.Server, config ledger.Config) {
		l := open(t, config)
		ids := paymenttest.IDs()
		all := make([]payment.Payment, len(ids))
		for i, id := range ids {
			all[i] = newPayment(t, id, ids[len(ids)-1-i], "1.25", "USD")
		}
		wantRecord(t, l, all, len(all), 0)
		wantRecord(t, l, all, 0, len(all))
		wantStored(t, l, all...)
	})
}

func TestRecordOnce(t *testing.T) {
	everywhere(t, func(t *testing.T, _ *localmysql.Server, config ledger.Config) {
		l := open(t, config)
		all := numbered(t, 1203) // more than two statements take
		wantRecord(t, l, nil, 0, 0)
		wantRecord(t, l, all[:700], 700, 0)
		wantRecord(t, l, all[:700], 0, 700)
		wantRecord(t, l, all, 503, 700)

		again := all[0]
		again.Region, again.Timestamp = "us-west-2", again.Timestamp.Add(time.Hour)
		wantRecord(t, l, []payment.Payment{again, again}, 0, 2)
		wantStored(t, l, all...) // as first recorded

		twice := newPayment(t, "new", "new", "2.00", "USD")
		wantRecord(t, l, []payment.Payment{twice, all[5], twice}, 1, 2)
		wantStored(t, l, append(all, twice)...)
	})
}

func TestConflictsAreNotWritten(t *testing.T) {
	everywhere(t, func(t *testing.T, _ *localmysql.Server, config ledger.Config) {
		l := open(t, config)
		first, other := newPayment(t, "s", "t", "12.34", "USD"), newPayment(t, "s", "u", "1.00", "EUR")
		wantRecord(t, l, []payment.Payment{first}, 1, 0)

		amount, code := newPayment(t, "s", "t", "12.35", "USD"), newPayment(t, "s", "t", "12.34", "EUR")
		wantRecord(t, l, []payment.Payment{amount, other, code, first}, 1, 1, first.Identity)
		wantStored(t, l, first, other)

		// Within one call the earlier payment is the one that was there.
		x, y := newPayment(t, "z", "z", "5.00", "USD"), newPayment(t, "z", "z", "6.00", "USD")
		wantRecord(t, l, []payment.Payment{x, y, x}, 1, 1, x.Identity)
		wantStored(t, l, first, other, x)
	})
}

func TestAmountsAreExact(t *testing.T) {
	everywhere(t, func(t *testing.T, _ *localmysql.Server, config ledger.Config) {
		l := open(t, config)
		var all []payment.Payment
		for i, money := range [][2]string{
			{"0.01", "USD"}, {"0.10", "USD"}, {"999999999999.99", "USD"}, {"123456789012.34", "USD"}, {"999999999999.99", "USD"},
			{"1", "JPY"}, {"999999999999", "JPY"}, {"1.234", "BHD"}, {"0.0001", "CLF"}, {"999999999999.9999", "CLF"},
		} {
			all = append(all, newPayment(t, "s", fmt.Sprint(i), money[0], money[1]))
		}
		wantRecord(t, l, all, len(all), 0)
		wantStored(t, l, all...)
	})
}

func TestOldest(t *testing.T) {
	everywhere(t, func(t *testing.T, _ *localmysql.Server, config ledger.Config) {
		l := open(t, config)
		if oldest, found, err := l.Oldest(t.Context(), accepted); err != nil || found {
			t.Errorf("of an empty ledger: %v, %v, %v", oldest, found, err)
		}
		wantRecord(t, l, numbered(t, 3), 3, 0)
		for _, before := range []time.Time{accepted.Add(time.Hour), accepted.Add(1)} {
			if oldest, found, err := l.Oldest(t.Context(), before); err != nil || !found || !oldest.Equal(accepted) {
				t.Errorf("before %v: %v, %v, %v", before, oldest, found, err)
			}
		}
		if oldest, found, err := l.Oldest(t.Context(), accepted); err != nil || found {
			t.Errorf("before the first: %v, %v, %v", oldest, found, err)
		}
	})
}

func TestTestPaymentsAreRecorded(t *testing.T) {
	everywhere(t, func(t *testing.T, _ *localmysql.Server, config ledger.Config) {
		l := open(t, config)
		all := []payment.Payment{
			newPayment(t, "s", "money", "1.00", "USD"),
			newPayment(t, "s", "test", "0.01", payment.TestCurrency), newPayment(t, "s", "another test", "999999999999.99", payment.TestCurrency),
		}
		wantRecord(t, l, all, 3, 0)
		wantRecord(t, l, all, 0, 3)
		wantStored(t, l, all...)
		wantRecord(t, l, []payment.Payment{newPayment(t, "s", "test", "0.02", payment.TestCurrency)}, 0, 0, all[1].Identity)
	})
}

func TestIdentitiesAreBytes(t *testing.T) {
	everywhere(t, func(t *testing.T, _ *localmysql.Server, config ledger.Config) {
		l := open(t, config)
		var all []payment.Payment
		for i, id := range []string{
			"a", "A", "a ", " a", "á", "a\u0301", "\u00e9", "e\u0301", "ß", "ss", "ı", "i", "I", "％", "%", "_", "\\", "\\'", "'", `"`,
			"';DROP TABLE payments;--", "支払い", "🙂", "a\u200b", strings.Repeat("x", 255), strings.Repeat("x", 254), strings.Repeat("'", 255), "?",
		} {
			all = append(all, newPayment(t, id, "t", fmt.Sprintf("%d.00", i+1), "USD"), newPayment(t, "s", id, fmt.Sprintf("%d.50", i+1), "USD"))
		}
		wantRecord(t, l, all, len(all), 0)
		wantRecord(t, l, all, 0, len(all))
		wantStored(t, l, all...)
	})
}

func TestFindLeavesOutWhatIsNotThere(t *testing.T) {
	everywhere(t, func(t *testing.T, _ *localmysql.Server, config ledger.Config) {
		l := open(t, config)
		all := numbered(t, 900)
		wantRecord(t, l, all[:600], 600, 0)
		found, err := l.Find(t.Context(), identities(all))
		if err != nil || len(found) != 600 {
			t.Fatalf("%d found, %v", len(found), err)
		}
		if found, err = l.Find(t.Context(), nil); err != nil || len(found) != 0 {
			t.Errorf("none asked: %v, %v", found, err)
		}
	})
}

func TestWindow(t *testing.T) {
	everywhere(t, func(t *testing.T, _ *localmysql.Server, config ledger.Config) {
		l := open(t, config)
		// More than two pages, and more of one moment than a page holds.
		all := numbered(t, 2600)
		for i := range all[:1500] {
			all[i].Timestamp = accepted
		}
		random := rand.New(rand.NewPCG(1, 2))
		random.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		wantRecord(t, l, all, len(all), 0)
		read := func(from, to time.Time) (read []payment.Payment) {
			if err := l.Window(t.Context(), from, to, func(p payment.Payment) error { read = append(read, p); return nil }); err != nil {
				t.Fatal(err)
			}
			return read
		}
		in := func(from, to time.Time) (want []payment.Payment) {
			for _, p := range all {
				if !p.Timestamp.Before(from) && p.Timestamp.Before(to) {
					want = append(want, p)
				}
			}
			slices.SortFunc(want, func(a, b payment.Payment) int {
				if order := a.Timestamp.Compare(b.Timestamp); order != 0 {
					return order
				}
				return strings.Compare(a.SessionID+"\x00"+a.TransactionID, b.SessionID+"\x00"+b.TransactionID)
			})
			return want
		}
		for _, window := range [][2]time.Time{
			{accepted, accepted.Add(time.Hour)},
			{accepted.Add(1), accepted.Add(time.Hour)},
			{accepted, accepted.Add(2 * time.Second)},
			{accepted.Add(1600 * time.Millisecond), accepted.Add(1700*time.Millisecond + 1)},
			{accepted.Add(time.Hour), accepted.Add(2 * time.Hour)},
			{accepted, accepted},
		} {
			got, want := read(window[0], window[1]), in(window[0], window[1])
			if !slices.EqualFunc(got, want, payment.Payment.Equal) {
				t.Errorf("%v: %d payments, want %d, or another order", window, len(got), len(want))
			}
		}
		enough := errors.New("enough")
		if err := l.Window(t.Context(), accepted, accepted.Add(time.Hour), func(payment.Payment) error { return enough }); err != enough {
			t.Errorf("error %v, want the function's own", err)
		}
	})
}

// A row of a currency that no release accepted affects itself alone, and is no outage.
func TestAnUnreadableRowHidesNoOther(t *testing.T) {
	everywhere(t, func(t *testing.T, server *localmysql.Server, config ledger.Config) {
		l := open(t, config)
		good, next := newPayment(t, "s", "good", "1.00", "USD"), newPayment(t, "s", "next", "3.00", "USD")
		wantRecord(t, l, []payment.Payment{good}, 1, 0)
		if err := server.Exec(t.Context(), config.Database, "INSERT INTO payments (session_id, transaction_id, amount, currency, region, accepted_at) "+
			"VALUES ('s', 'bad', 1, 'ZZZ', 'us-east-1', '2026-11-22 03:00:00.123456')"); err != nil {
			t.Fatal(err)
		}
		bad := payment.Identity{SessionID: "s", TransactionID: "bad"}
		found, err := l.Find(t.Context(), []payment.Identity{good.Identity, bad})
		if err != nil || !found[good.Identity].Equal(good) || !strings.Contains(found[bad].Fault, "ZZZ") {
			t.Errorf("found %+v, %v", found, err)
		}
		seen := map[payment.Identity]bool{}
		err = l.Window(t.Context(), time.Unix(0, 0), accepted.Add(1000*time.Hour), func(p payment.Payment) error { seen[p.Identity] = true; return nil })
		if err != nil || len(seen) != 2 || !seen[bad] {
			t.Errorf("seen %v, %v", seen, err)
		}
		// The payment of its identity is a conflict, and the one next to it is recorded.
		wantRecord(t, l, []payment.Payment{newPayment(t, "s", "bad", "1.00", "USD"), next}, 1, 0, bad)
	})
}

func TestConcurrentRecords(t *testing.T) {
	everywhere(t, func(t *testing.T, _ *localmysql.Server, config ledger.Config) {
		all := numbered(t, 120)
		const writers, rounds = 8, 6
		var recorded atomic.Int64
		var group sync.WaitGroup
		for writer := range writers {
			l := open(t, config) // connections of its own, as a process of its own has
			random := rand.New(rand.NewPCG(7, uint64(writer)))
			group.Go(func() {
				for range rounds {
					batch := slices.Clone(all)
					random.Shuffle(len(batch), func(i, j int) { batch[i], batch[j] = batch[j], batch[i] })
					batch = batch[:60]
					result, err := l.Record(t.Context(), batch)
					if err != nil {
						t.Error(err)
						return
					}
					if len(result.Conflicts) > 0 || result.Recorded+result.Duplicates != len(batch) {
						t.Errorf("result %+v", result)
					}
					recorded.Add(int64(result.Recorded))
				}
			})
		}
		group.Wait()
		l := open(t, config)
		result, err := l.Record(t.Context(), all)
		if err != nil {
			t.Fatal(err)
		}
		wantStored(t, l, all...)
		if recorded.Load()+int64(result.Recorded) != int64(len(all)) {
			t.Errorf("%d payments were recorded %d times", len(all), recorded.Load())
		}
	})
}

func TestRefusedPayments(t *testing.T) {
	everywhere(t, func(t *testing.T, server *localmysql.Server, config ledger.Config) {
		if !server.InnoDB {
			t.Skip("the embedded server's errors have no numbers")
		}
		l := open(t, config)
		good := newPayment(t, "s", "good", "1.00", "USD")
		for name, bad := range map[string]payment.Payment{
			"amount":   newPayment(t, "s", "secret", "1000000000000.00", "USD"),
			"negative": newPayment(t, "s", "secret", "-1.00", "USD"),
			"region": func() payment.Payment {
				p := good
				p.TransactionID, p.Region = "secret", strings.Repeat("r", 33)
				return p
			}(),
			"ascii":  func() payment.Payment { p := good; p.TransactionID, p.Region = "secret", "régión"; return p }(),
			"id":     newPayment(t, "s", "secret"+strings.Repeat("x", 255), "1.00", "USD"),
			"moment": func() payment.Payment { p := good; p.TransactionID, p.Timestamp = "secret", time.Time{}; return p }(),
		} {
			t.Run(name, func(t *testing.T) {
				_, err := l.Record(t.Context(), []payment.Payment{good, bad})
				if !errors.Is(err, ledger.ErrRefused) || errors.Is(err, ledger.ErrUnavailable) {
					t.Fatalf("error %v", err)
				}
				for _, value := range []string{"secret", "1000000000000", "rég", `\xC3`} {
					if strings.Contains(err.Error(), value) {
						t.Errorf("error %v quotes the row", err)
					}
				}
				wantStored(t, l) // all or nothing
			})
		}
	})
}

func TestLockedRowIsWaitedForOrGivenUp(t *testing.T) {
	everywhere(t, func(t *testing.T, server *localmysql.Server, config ledger.Config) {
		if !server.InnoDB {
			t.Skip("the embedded server has no row locks")
		}
		l, all := open(t, config), numbered(t, 10)
		database, err := server.Open(config.Database)
		if err != nil {
			t.Fatal(err)
		}
		defer database.Close()
		other, err := database.Begin()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := other.Exec("INSERT INTO payments (session_id, transaction_id, amount, currency, region, accepted_at) VALUES (?, ?, 1.25, 'USD', 'us-east-1', ?)",
			all[4].SessionID, all[4].TransactionID, all[4].Timestamp); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		started := time.Now()
		if _, err := l.Record(ctx, all); !errors.Is(err, ledger.ErrUnavailable) || time.Since(started) > 3*time.Second {
			t.Fatalf("error %v after %s", err, time.Since(started))
		}

		// The other transaction commits while this one waits for its row: run again, it finds the row.
		done := make(chan ledger.Result, 1)
		go func() {
			result, err := l.Record(t.Context(), all)
			if err != nil {
				t.Error(err)
			}
			done <- result
		}()
		waitFor(t, func() bool {
			var waiting int
			err := database.QueryRow("SELECT COUNT(*) FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT'").Scan(&waiting)
			return err == nil && waiting > 0
		})
		if err := other.Commit(); err != nil {
			t.Fatal(err)
		}
		if result := <-done; result.Recorded != 9 || result.Duplicates != 1 {
			t.Errorf("result %+v", result)
		}
	})
}

func waitFor(t *testing.T, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !condition(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the condition has not come")
		}
	}
}

// The ledger's user may add and read, and nothing else.
func TestLeastPrivilege(t *testing.T) {
	everywhere(t, func(t *testing.T, server *localmysql.Server, config ledger.Config) {
		l := open(t, config)
		p := newPayment(t, "s", "t", "1.00", "USD")
		wantRecord(t, l, []payment.Payment{p}, 1, 0)
		database, err := ledger.OpenDatabase(config)
		if err != nil {
			t.Fatal(err)
		}
		defer database.Close()
		statements := []string{
			"UPDATE payments SET amount = 2", "DELETE FROM payments", "UPDATE reconciliations SET reconciled_to = NOW()", "DELETE FROM reconciliations", "TRUNCATE TABLE payments", "DROP TABLE payments",
			"ALTER TABLE payments ADD COLUMN x INT", "CREATE TABLE x (x INT)", "SELECT * FROM schema_versions", "DELETE FROM schema_versions",
			"REPLACE INTO payments (session_id, transaction_id, amount, currency, region, accepted_at) VALUES ('s', 't', 2, 'USD', 'r', '2026-01-01')",
			"CREATE USER 'x'@'%' IDENTIFIED BY 'x'", "GRANT ALL ON payments TO 'payments_ledger'@'%'", "DROP DATABASE " + config.Database,
		}
		if server.InnoDB { // the embedded server checks the INSERT alone
			statements = append(statements, "INSERT INTO payments (session_id, transaction_id, amount, currency, region, accepted_at) VALUES ('s', 't', 1, 'USD', 'r', '2026-01-01') ON DUPLICATE KEY UPDATE amount = 2")
		}
		for _, statement := range statements {
			if _, err := database.Exec(statement); err == nil {
				t.Errorf("may %s", statement)
			}
		}
		wantStored(t, l, p)
	})
}
