package schema_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/binary"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"payments-dr/internal/payment"
	"payments-dr/internal/payment/ledger"
	"payments-dr/internal/payment/ledger/schema"
	"payments-dr/internal/payment/reconcile"
	"payments-dr/internal/simulation/localmysql"
)

var update = flag.Bool("update", false, "write the statements of this release to testdata/statements")

var accepted = time.Date(2026, 11, 22, 3, 0, 0, 123456000, time.UTC)

func newPayments(t *testing.T, session string) []payment.Payment {
	t.Helper()
	var all []payment.Payment
	for i := range 4 {
		p, err := payment.Parse(payment.Values{
			"session_id": session, "transaction_id": fmt.Sprintf("t-%d", i),
			"amount": "1.25", "currency": "USD",
			"region": "us-east-1", "timestamp": accepted.Add(time.Duration(i) * time.Second).Format(payment.TimestampLayout),
			"status": payment.StatusProcessed,
		})
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	return all
}

// table is a session table that has some payments.
type table []payment.Payment

func (t table) Window(_ context.Context, _, _ time.Time, _ int, each func([]payment.Payment) error) error {
	return each(t)
}

func (t table) Find(_ context.Context, ids []payment.Identity) (map[payment.Identity]payment.Payment, error) {
	found := map[payment.Identity]payment.Payment{}
	for _, p := range t {
		found[p.Identity] = p
	}
	return found, nil
}

// recorder is the ledger as a reconciliation uses it.
type recorder struct{ *ledger.Ledger }

func (r recorder) Record(ctx context.Context, payments []payment.Payment) (int, error) {
	result, err := r.Ledger.Record(ctx, payments)
	return result.Recorded, err
}

// use writes, reads, and reconciles: everything that this release does with a ledger.
func use(t *testing.T, database *sql.DB) {
	t.Helper()
	l, payments := ledger.New(database), newPayments(t, "s")
	window := reconcile.Window{From: accepted.Truncate(time.Hour), To: accepted.Truncate(time.Hour).Add(10 * time.Minute)}
	if result, err := l.Record(t.Context(), payments[:3]); err != nil || result.Recorded != 3 {
		t.Fatalf("record: %+v, %v", result, err)
	}
	if result, err := l.Record(t.Context(), payments[:3]); err != nil || result.Duplicates != 3 {
		t.Fatalf("record again: %+v, %v", result, err)
	}
	for _, missing := range []int{1, 0} { // the first run records it
		report, err := reconcile.Run(t.Context(), table(payments), recorder{l}, window, reconcile.Options{Now: time.Now})
		if err != nil || report.Counts.Missing != missing || report.Counts.Repaired != missing || !report.Clean() {
			t.Fatalf("reconcile: %+v, %v", report, err)
		}
	}
	read := 0
	err := l.Session(t.Context(), "s", func(p payment.Payment, _ time.Time) error {
		if !p.SameMoney(payments[0]) {
			t.Errorf("read %+v", p)
		}
		read++
		return nil
	})
	if err != nil || read != 4 {
		t.Errorf("session: %d payments, %v", read, err)
	}
	useWatermark(t, l)
	if reader, err := ledger.IsReader(t.Context(), database); err != nil || reader {
		t.Errorf("reader %v, %v", reader, err)
	}
}

// useWatermark advances the watermark. A schema that is too old for it has none, which is no error.
func useWatermark(t *testing.T, l *ledger.Ledger) {
	t.Helper()
	before, err := l.ReconciledTo(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, to := range []time.Time{accepted, accepted, accepted.Add(-time.Hour)} { // again and late is no error
		if err := l.NoteReconciled(t.Context(), to); err != nil {
			t.Fatal(err)
		}
	}
	after, err := l.ReconciledTo(t.Context())
	if err != nil || !before.IsZero() && !before.Equal(accepted) || !after.Equal(accepted) && !after.IsZero() {
		t.Errorf("watermark %v, before %v, %v; want %v or none", after, before, err, accepted)
	}
}

// asUser is the pool of the user that the migrations make, at a server's address or at another that leads there.
func asUser(t *testing.T, host string, port int, name string) *sql.DB {
	t.Helper()
	database, err := ledger.OpenDatabase(ledger.Config{Host: host, Port: port, User: ledger.UserName, Password: "simulated-too", Database: name, PlainText: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = database.Close() })
	return database
}

// A backup that is restored has an older schema than the code, and so has a standby Region that is deployed before the writer.
func TestThisReleaseRunsOnOlderSchemas(t *testing.T) {
	everywhere(t, func(t *testing.T, server *localmysql.Server, name string) {
		database := open(t, server, name)
		for v := int64(1); v <= schema.Latest(t); v++ {
			t.Run(fmt.Sprint(v), func(t *testing.T) {
				if result, err := schema.MigrateTo(t.Context(), database, user, v); err != nil || result.Version != v {
					t.Fatalf("%+v, %v", result, err)
				}
				use(t, asUser(t, server.Host, server.Port, name))
				if _, err := database.Exec("DELETE FROM payments"); err != nil {
					t.Fatal(err)
				}
			})
		}
	})
}

// A rollback leaves the next release's schema to this release's code. testdata/next has one change of each allowed kind.
func TestThisReleaseRunsOnTheNextSchema(t *testing.T) {
	next, err := fs.Glob(os.DirFS("testdata/next"), "*.sql")
	if err != nil || len(next) == 0 {
		t.Fatalf("%d migrations, %v", len(next), err)
	}
	files := fstest.MapFS{}
	for v := int64(1); v <= schema.Latest(t); v++ {
		files[fmt.Sprintf("%05d_applied.sql", v)] = &fstest.MapFile{Data: []byte("-- +goose Up\nSELECT 1;\n")}
	}
	for _, name := range next {
		text, err := os.ReadFile("testdata/next/" + name)
		if err != nil {
			t.Fatal(err)
		}
		if found := faults(string(text)); len(found) != 0 {
			t.Fatalf("testdata/next/%s is not what a release may do: %v", name, found)
		}
		files[fmt.Sprintf("%05d_next.sql", len(files)+1)] = &fstest.MapFile{Data: text}
	}
	everywhere(t, func(t *testing.T, server *localmysql.Server, name string) {
		database := open(t, server, name)
		if _, err := schema.Migrate(t.Context(), database, user); err != nil {
			t.Fatal(err)
		}
		if result, err := schema.MigrateWith(t.Context(), database, user, files, schema.Newest); err != nil || result.Version != int64(len(files)) {
			t.Fatalf("%+v, %v", result, err)
		}
		use(t, asUser(t, server.Host, server.Port, name))
	})
}

// Each file of testdata/statements is what one release sends to the database. While a newer release is deployed, and after a
// rollback, it sends that to the newer schema.
func TestEarlierReleasesRunOnThisSchema(t *testing.T) {
	data, err := os.ReadFile("../../../../package.json")
	if err != nil {
		t.Fatal(err)
	}
	var release struct{ Version string }
	if err := json.Unmarshal(data, &release); err != nil || release.Version == "" {
		t.Fatalf("package.json names no version: %v", err)
	}
	recorded := filepath.Join("testdata/statements", release.Version+".sql")
	if *update {
		writeStatements(t, recorded)
	}
	if _, err := os.Stat(recorded); err != nil {
		t.Fatalf("the statements of release %s are not recorded: go test ./internal/payment/ledger/schema -run %s -update", release.Version, t.Name())
	}
	releases, err := filepath.Glob("testdata/statements/*.sql")
	if err != nil {
		t.Fatal(err)
	}
	for _, release := range releases {
		text, err := os.ReadFile(release)
		if err != nil {
			t.Fatal(err)
		}
		everywhere(t, func(t *testing.T, server *localmysql.Server, name string) {
			if _, err := schema.Migrate(t.Context(), open(t, server, name), user); err != nil {
				t.Fatal(err)
			}
			connection, err := asUser(t, server.Host, server.Port, name).Conn(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer connection.Close()
			for _, statement := range strings.Split(strings.TrimSpace(string(text)), "\n") {
				rows, err := connection.QueryContext(t.Context(), statement)
				if err != nil {
					t.Fatalf("%s: %s: %v", release, statement, err)
				}
				for rows.Next() {
				}
				if err := rows.Err(); err != nil {
					t.Errorf("%s: %s: %v", release, statement, err)
				}
				_ = rows.Close()
			}
		})
	}
}

// writeStatements records what this release sends to a database, on its way there.
func writeStatements(t *testing.T, file string) {
	t.Helper()
	server := servers["embedded"]
	if err := server.Exec(t.Context(), "", "CREATE DATABASE recorded"); err != nil {
		t.Fatal(err)
	}
	if _, err := schema.Migrate(t.Context(), open(t, server, "recorded"), user); err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var sent bytes.Buffer
	var all sync.WaitGroup
	all.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			to, err := net.Dial("tcp", server.Address())
			if err != nil {
				_ = client.Close()
				continue
			}
			all.Go(func() { _, _ = io.Copy(client, to) })
			_, _ = io.Copy(to, io.TeeReader(client, &sent)) // one connection at a time
			_ = to.Close()
		}
	})
	database := asUser(t, "127.0.0.1", listener.Addr().(*net.TCPAddr).Port, "recorded")
	database.SetMaxOpenConns(1)
	use(t, database)
	_ = database.Close()
	_ = listener.Close()
	all.Wait()

	const query = 3 // COM_QUERY ("Command Phase", MySQL Internals Manual)
	var statements strings.Builder
	for data := sent.Bytes(); len(data) > 4; {
		length := int(binary.LittleEndian.Uint32(append(data[:3:3], 0)))
		if first, payload := data[3] == 0, data[4:4+length]; first && payload[0] == query {
			fmt.Fprintln(&statements, string(payload[1:]))
		}
		data = data[4+length:]
	}
	if err := os.WriteFile(file, []byte(statements.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}
