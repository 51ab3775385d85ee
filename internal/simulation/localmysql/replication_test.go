package localmysql_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"payments-dr/internal/simulation/localmysql"
)

// pairs runs a test with two new servers of each engine, of which the second is to follow the first.
func pairs(t *testing.T, test func(t *testing.T, from, to *localmysql.Server)) {
	t.Run("embedded", func(t *testing.T) { test(t, start(t, localmysql.StartEmbedded), start(t, localmysql.StartEmbedded)) })
	t.Run("mariadb", func(t *testing.T) {
		if os.Getenv(localmysql.MariaDBVariable) != "1" {
			t.Skip("set " + localmysql.MariaDBVariable + "=1")
		}
		installation, err := localmysql.InstallMariaDB()
		if err != nil {
			t.Fatal(err)
		}
		defer installation.Close()
		test(t, start(t, installation.Start), start(t, installation.Start))
	})
}

func start(t *testing.T, start func() (*localmysql.Server, error)) *localmysql.Server {
	t.Helper()
	server, err := start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	return server
}

func open(t *testing.T, server *localmysql.Server) *sql.DB {
	t.Helper()
	database, err := server.Open("d")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = database.Close() })
	return database
}

func exec(t *testing.T, database *sql.DB, statement string, arguments ...any) {
	t.Helper()
	if _, err := database.ExecContext(t.Context(), statement, arguments...); err != nil {
		t.Fatal(err)
	}
}

func transaction(t *testing.T, database *sql.DB, end func(*sql.Tx) error, statements ...string) {
	t.Helper()
	tx, err := database.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, statement := range statements {
		if _, err := tx.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	if err := end(tx); err != nil {
		t.Fatal(err)
	}
}

// content is what the table t has, whole.
func content(t *testing.T, database *sql.DB) (all string) {
	t.Helper()
	rows, err := database.QueryContext(t.Context(), "SELECT id, v, at FROM t ORDER BY id")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var id int
		var v []byte
		var at string
		if err := rows.Scan(&id, &v, &at); err != nil {
			t.Fatal(err)
		}
		all += fmt.Sprintf("%d %q %s\n", id, v, at)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

// tableIn makes the table in a database that no connection uses yet.
func tableIn(database string) string {
	return strings.Replace(table, "TABLE ", "TABLE "+database+".", 1)
}

const table = "CREATE TABLE t (id INT PRIMARY KEY, v VARBINARY(20), at DATETIME(6) NOT NULL DEFAULT (UTC_TIMESTAMP(6)))"

func TestReplication(t *testing.T) {
	pairs(t, func(t *testing.T, from, to *localmysql.Server) {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		// One part was there before, one comes after.
		if err := from.Exec(ctx, "", "CREATE DATABASE d", "USE d", "CREATE TABLE d.before_it (id INT)"); err != nil {
			t.Fatal(err)
		}
		if err := to.SetReadOnly(ctx, true); err != nil {
			t.Fatal(err)
		}
		r, err := localmysql.Replicate(ctx, from, to)
		if err != nil {
			t.Fatal(err)
		}
		wait := func() {
			t.Helper()
			if err := r.Wait(ctx); err != nil {
				t.Fatal(err)
			}
		}
		wait()
		source, follower := open(t, from), open(t, to)
		exec(t, source, table)
		exec(t, source, "CREATE USER reader IDENTIFIED BY 'simulated'")
		exec(t, source, "GRANT SELECT ON d.* TO reader")
		exec(t, source, "INSERT INTO t (id, v) VALUES (?, ?)", 1, []byte("\x00'\xff\\"))
		transaction(t, source, (*sql.Tx).Commit, "INSERT INTO t (id, v) VALUES (2, 'two')", "UPDATE t SET v = 'one' WHERE id = 2")
		transaction(t, source, (*sql.Tx).Rollback, "INSERT INTO t (id) VALUES (3)")
		if _, err := source.ExecContext(ctx, "INSERT INTO t (id) VALUES (4), (1)"); err == nil {
			t.Fatal("a row was written twice")
		}
		exec(t, source, "DELETE FROM t WHERE id = ?", 5)
		wait()
		if a, b := content(t, source), content(t, follower); a != b || a == "" {
			t.Errorf("the source has\n%sthe follower\n%s", a, b)
		}

		// The follower refuses everyone's writes, with the error of MySQL.
		_, err = follower.ExecContext(ctx, "INSERT INTO t (id) VALUES (6)")
		wantRefused(t, "insert", err)
		if err := r.Stop(ctx); err != nil {
			t.Fatal(err)
		}

		// And back: what was the follower is written to.
		if err := from.SetReadOnly(ctx, true); err != nil {
			t.Fatal(err)
		}
		if err := to.SetReadOnly(ctx, false); err != nil {
			t.Fatal(err)
		}
		if r, err = localmysql.Replicate(ctx, to, from); err != nil {
			t.Fatal(err)
		}
		exec(t, follower, "INSERT INTO t (id) VALUES (7)")
		wait()
		if a, b := content(t, source), content(t, follower); a != b {
			t.Errorf("the source has\n%sthe follower\n%s", a, b)
		}
		if err := r.Check(ctx); err != nil {
			t.Error(err)
		}
		if err := r.Stop(ctx); err != nil {
			t.Fatal(err)
		}
	})
}

func wantRefused(t *testing.T, what string, err error) {
	t.Helper()
	if refused, ok := errors.AsType[*mysql.MySQLError](err); !ok || refused.Number != 1290 {
		t.Errorf("%s: error %v, want number 1290", what, err)
	}
}

// A transaction that is open when its server turns read-only is lost, and is not in the way.
func TestReadOnly(t *testing.T) {
	pairs(t, func(t *testing.T, server, other *localmysql.Server) {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		if err := server.Exec(ctx, "", "CREATE DATABASE d", tableIn("d")); err != nil {
			t.Fatal(err)
		}
		database := open(t, server)
		tx, err := database.BeginTx(ctx, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tx.ExecContext(ctx, "INSERT INTO t (id) VALUES (1)"); err != nil {
			t.Fatal(err)
		}
		if err := server.SetReadOnly(ctx, true); err != nil {
			t.Fatal(err)
		}
		wantRefused(t, "commit", tx.Commit())
		for _, statement := range []string{"INSERT INTO t (id) VALUES (2)", "/* a */ delete from t", "CREATE TABLE u (id INT)", "GRANT SELECT ON d.* TO 'nobody'@'%'"} {
			_, err := database.ExecContext(ctx, statement)
			wantRefused(t, statement, err)
		}
		if all := content(t, database); all != "" {
			t.Errorf("the reader has\n%s", all)
		}
		for s, want := range map[*localmysql.Server]string{server: "1", other: "0"} { // each has its own
			pool, err := s.Open("")
			if err != nil {
				t.Fatal(err)
			}
			defer pool.Close()
			var name, value string
			if err := pool.QueryRowContext(ctx, "SHOW GLOBAL VARIABLES LIKE 'read_only'").Scan(&name, &value); err != nil || value != want && value != map[string]string{"1": "ON", "0": "OFF"}[want] {
				t.Errorf("%s is %s, want %s, %v", name, value, want, err)
			}
		}
		if err := server.SetReadOnly(ctx, false); err != nil {
			t.Fatal(err)
		}
		exec(t, database, "INSERT INTO t (id) VALUES (3)")
	})
}

// replicated makes a table in one server and lets another follow it, until it has the table too.
func replicated(ctx context.Context, t *testing.T, from, to *localmysql.Server) localmysql.Replication {
	t.Helper()
	if err := from.Exec(ctx, "", "CREATE DATABASE d", tableIn("d")); err != nil {
		t.Fatal(err)
	}
	r, err := localmysql.Replicate(ctx, from, to)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Wait(ctx); err != nil {
		t.Fatal(err)
	}
	return r
}

func TestReplicationLagsAndIsCut(t *testing.T) {
	pairs(t, func(t *testing.T, from, to *localmysql.Server) {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		r := replicated(ctx, t, from, to)
		source, follower := open(t, from), open(t, to)
		const lag = 300 * time.Millisecond
		r.SetLag(lag)
		started := time.Now()
		exec(t, source, "INSERT INTO t (id) VALUES (1)")
		if took := time.Since(started); took > lag {
			t.Errorf("the writer waited %s", took)
		}
		if all := content(t, follower); all != "" {
			t.Errorf("the follower already has %s", all)
		}
		if err := r.Wait(ctx); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(started); took < lag {
			t.Errorf("it arrived after %s, want %s", took, lag)
		}

		// What is held back goes when the lag does.
		r.SetLag(time.Hour)
		exec(t, source, "INSERT INTO t (id) VALUES (2)")
		short, cancelShort := context.WithTimeout(ctx, 50*time.Millisecond)
		defer cancelShort()
		if err := r.Wait(short); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
		r.SetLag(0)
		if err := r.Wait(ctx); err != nil {
			t.Fatal(err)
		}

		// A cut loses nothing: it is sent again. Whoever waits hears of it.
		r.SetLag(time.Hour)
		exec(t, source, "INSERT INTO t (id) VALUES (3)")
		waited := make(chan error, 1)
		go func() { waited <- r.Wait(ctx) }()
		if err := r.SetCut(ctx, true); err != nil {
			t.Fatal(err)
		}
		if err := <-waited; !errors.Is(err, localmysql.ErrCut) {
			t.Errorf("error %v", err)
		}
		r.SetLag(0)
		exec(t, source, "INSERT INTO t (id) VALUES (4)")
		if err := r.Wait(ctx); !errors.Is(err, localmysql.ErrCut) {
			t.Errorf("error %v", err)
		}
		if all := content(t, follower); strings.Count(all, "\n") != 2 {
			t.Errorf("the follower has\n%s", all)
		}
		if err := r.SetCut(ctx, false); err != nil {
			t.Fatal(err)
		}
		if err := r.Wait(ctx); err != nil {
			t.Fatal(err)
		}
		if a, b := content(t, source), content(t, follower); a != b {
			t.Errorf("the source has\n%sthe follower\n%s", a, b)
		}

		// Connecting anew is not late: it takes many exchanges.
		r.SetLag(lag)
		if err := errors.Join(r.SetCut(ctx, true), r.SetCut(ctx, false)); err != nil {
			t.Fatal(err)
		}
		started = time.Now()
		exec(t, source, "INSERT INTO t (id) VALUES (5)")
		if err := r.Wait(ctx); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(started); took < lag || took > 5*lag {
			t.Errorf("it arrived after %s, want %s", took, lag)
		}

		// What is under way when it is stopped stays behind.
		r.SetLag(time.Hour)
		exec(t, source, "INSERT INTO t (id) VALUES (6)")
		if err := r.Stop(ctx); err != nil {
			t.Fatal(err)
		}
		if all := content(t, follower); strings.Count(all, "\n") != 5 {
			t.Errorf("the follower has\n%s", all)
		}
	})
}

// A follower that has gone its own way cannot follow, and says so.
func TestReplicationBreaks(t *testing.T) {
	pairs(t, func(t *testing.T, from, to *localmysql.Server) {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		r := replicated(ctx, t, from, to)
		if err := to.Exec(ctx, "d", "INSERT INTO t (id) VALUES (1)"); err != nil {
			t.Fatal(err)
		}
		if err := from.Exec(ctx, "d", "INSERT INTO t (id) VALUES (2)", "INSERT INTO t (id) VALUES (1)"); err != nil {
			t.Fatal(err)
		}
		if err := r.Wait(ctx); err == nil || errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
		if err := r.Check(ctx); err == nil {
			t.Error("nothing is wrong")
		}
		_ = r.Stop(ctx)
	})
}
