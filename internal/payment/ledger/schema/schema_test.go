package schema_test

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"

	"payments-dr/internal/payment/ledger"
	"payments-dr/internal/payment/ledger/schema"
	"payments-dr/internal/simulation/localmysql"
)

var user = schema.User{Name: ledger.UserName, Authentication: "IDENTIFIED BY 'simulated-too'"}

var servers map[string]*localmysql.Server

func TestMain(m *testing.M) { localmysql.Main(m, &servers) }

var databases atomic.Int32

// everywhere runs a test against each server, with a new, empty database.
func everywhere(t *testing.T, test func(t *testing.T, server *localmysql.Server, name string)) {
	for kind, server := range servers {
		t.Run(kind, func(t *testing.T) {
			name := fmt.Sprintf("schema_%d", databases.Add(1))
			if err := server.Exec(t.Context(), "", "CREATE DATABASE "+name); err != nil {
				t.Fatal(err)
			}
			test(t, server, name)
		})
	}
}

// open is the pool that a migration gets: two connections.
func open(t *testing.T, server *localmysql.Server, name string) *sql.DB {
	t.Helper()
	database, err := ledger.OpenDatabase(ledger.Config{
		Host: server.Host, Port: server.Port, User: localmysql.User, Password: localmysql.Password, Database: name, PlainText: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = database.Close() })
	return database
}

func migrate(t *testing.T, database *sql.DB, want schema.Outcome, version int64) {
	t.Helper()
	result, err := schema.Migrate(t.Context(), database, user)
	if err != nil || result.Outcome != want || result.Version != version {
		t.Fatalf("%+v, %v; want %s, version %d", result, err, want, version)
	}
}

func count(t *testing.T, database *sql.DB, statement string) (n int) {
	t.Helper()
	if err := database.QueryRow(statement).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

const row = "INSERT INTO payments (session_id, transaction_id, amount, currency, region, accepted_at) VALUES ('s', 't', 1, 'USD', 'r', '2026-11-22')"

func TestMigrateTwice(t *testing.T) {
	everywhere(t, func(t *testing.T, server *localmysql.Server, name string) {
		database := open(t, server, name)
		migrate(t, database, schema.Migrated, schema.Latest(t))
		if _, err := database.Exec(row); err != nil {
			t.Fatal(err)
		}
		migrate(t, database, schema.UpToDate, schema.Latest(t))
		migrate(t, open(t, server, name), schema.UpToDate, schema.Latest(t))
		if n := count(t, database, "SELECT COUNT(*) FROM payments"); n != 1 {
			t.Errorf("%d payments, want 1", n)
		}
		if n := count(t, database, "SELECT COUNT(*) FROM schema_versions WHERE version_id = 1"); n != 1 {
			t.Errorf("version 1 is noted %d times", n)
		}
		var accepted, recorded string
		if err := database.QueryRow("SELECT COUNT(*), TIMESTAMPDIFF(MINUTE, recorded_at, UTC_TIMESTAMP(6)) FROM payments GROUP BY 2").Scan(&accepted, &recorded); err != nil || recorded != "0" {
			t.Errorf("recorded %s minutes ago, %v", recorded, err)
		}
	})
}

func TestMigrateAtOnce(t *testing.T) {
	everywhere(t, func(t *testing.T, server *localmysql.Server, name string) {
		var migrated atomic.Int32
		var group sync.WaitGroup
		for range 4 {
			database := open(t, server, name)
			group.Go(func() {
				result, err := schema.Migrate(t.Context(), database, user)
				if err != nil {
					t.Error(err)
				}
				if result.Outcome == schema.Migrated {
					migrated.Add(1)
				}
			})
		}
		group.Wait()
		if migrated.Load() != 1 {
			t.Errorf("%d migrated, want 1", migrated.Load())
		}
	})
}

// A migration that died after it had made the table is run again.
func TestMigrateAfterAnEndInTheMiddle(t *testing.T) {
	schema.UnderstandEmbedded(t)
	everywhere(t, func(t *testing.T, server *localmysql.Server, name string) {
		database := open(t, server, name)
		migrate(t, database, schema.Migrated, schema.Latest(t))
		for _, statement := range []string{row, "DELETE FROM schema_versions WHERE version_id > 0"} {
			if _, err := database.Exec(statement); err != nil {
				t.Fatal(err)
			}
		}
		migrate(t, database, schema.Migrated, schema.Latest(t))
		if n := count(t, database, "SELECT COUNT(*) FROM payments"); n != 1 {
			t.Errorf("%d payments, want 1", n)
		}
	})
}

// The same for a migration that died after it had added a column or an index, which MySQL refuses to add again.
func TestAnAdditionMadeBeforeIsNoted(t *testing.T) {
	first, err := schema.Migrations.ReadFile("migrations/00001_payments.sql")
	if err != nil {
		t.Fatal(err)
	}
	files := fstest.MapFS{
		"00001_payments.sql": {Data: first},
		"00002_memo.sql":     {Data: []byte("-- +goose Up\nALTER TABLE payments ADD COLUMN memo VARCHAR(64) NULL, ADD COLUMN note INT NULL;\n")},
		"00003_index.sql":    {Data: []byte("-- +goose Up\nALTER TABLE payments ADD INDEX payments_memo (memo);\n")},
		"00004_more.sql":     {Data: []byte("-- +goose Up\nALTER TABLE payments ADD COLUMN more INT NULL;\n")},
	}
	everywhere(t, func(t *testing.T, server *localmysql.Server, name string) {
		database := open(t, server, name)
		if result, err := schema.MigrateWith(t.Context(), database, user, files, 3); err != nil || result.Version != 3 {
			t.Fatalf("%+v, %v", result, err)
		}
		if _, err := database.Exec("DELETE FROM schema_versions WHERE version_id > 1"); err != nil {
			t.Fatal(err)
		}
		schema.UnderstandEmbedded(t)
		result, err := schema.MigrateWith(t.Context(), database, user, files, schema.Newest)
		if want := (schema.Result{Outcome: schema.Migrated, Version: 4}); err != nil || result != want {
			t.Fatalf("%+v, %v; want %+v", result, err, want)
		}
		if n := count(t, database, "SELECT COUNT(*) FROM information_schema.columns WHERE table_schema = DATABASE() AND column_name IN ('memo', 'note', 'more')"); n != 3 {
			t.Errorf("%d columns, want 3", n)
		}
	})
}

func TestMigrateLetsGoOfItsLock(t *testing.T) {
	everywhere(t, func(t *testing.T, server *localmysql.Server, name string) {
		database := open(t, server, name)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := schema.Migrate(ctx, database, user); err == nil {
			t.Error("migrated after the context was done")
		}
		bad := schema.User{Name: "nobody", Authentication: "IDENTIFIED WITH no_such_plugin AS 'RDS' nonsense"}
		if _, err := schema.Migrate(t.Context(), database, bad); err == nil || !strings.Contains(err.Error(), "create user") {
			t.Errorf("error %v", err)
		}
		other := open(t, server, name)
		if free := count(t, other, "SELECT IS_FREE_LOCK('payments-ledger-migration')"); free != 1 {
			t.Error("the lock is held")
		}
		migrate(t, other, schema.UpToDate, schema.Latest(t))
	})
}

func TestReaderIsLeftAlone(t *testing.T) {
	everywhere(t, func(t *testing.T, server *localmysql.Server, name string) {
		database := open(t, server, name)
		readOnly := func(on bool) {
			if err := server.SetReadOnly(context.Background(), on); err != nil {
				t.Fatal(err)
			}
		}
		readOnly(true)
		defer readOnly(false)
		migrate(t, database, schema.Reader, 0)
		if n := count(t, database, "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = DATABASE()"); n != 0 {
			t.Errorf("%d tables were made", n)
		}
		readOnly(false)
		migrate(t, database, schema.Migrated, schema.Latest(t))
		readOnly(true)
		migrate(t, database, schema.Reader, schema.Latest(t))
	})
}

func TestUserNameIsNoStatement(t *testing.T) {
	everywhere(t, func(t *testing.T, server *localmysql.Server, name string) {
		database := open(t, server, name)
		for _, bad := range []string{"", "x'@'%' IDENTIFIED BY ''; --", "a b"} {
			if _, err := schema.Migrate(t.Context(), database, schema.User{Name: bad, Authentication: user.Authentication}); err == nil || !strings.Contains(err.Error(), "letters") {
				t.Errorf("%q: error %v", bad, err)
			}
		}
	})
}
