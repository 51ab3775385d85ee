package compare_test

import (
	"bytes"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"payments-dr/internal/payment/compare"
	"payments-dr/internal/payment/ledger"
	"payments-dr/internal/payment/ledger/schema"
	"payments-dr/internal/simulation/localmysql"
)

var servers map[string]*localmysql.Server

func TestMain(m *testing.M) { localmysql.Main(m, &servers) }

// everywhere runs a test on each server.
func everywhere(t *testing.T, test func(t *testing.T, server *localmysql.Server)) {
	for name, server := range servers {
		t.Run(name, func(t *testing.T) { test(t, server) })
	}
}

var databases atomic.Int32

func newDatabase(t *testing.T, server *localmysql.Server, statements ...string) *sql.DB {
	t.Helper()
	name := fmt.Sprintf("compare_%d", databases.Add(1))
	if err := server.Exec(t.Context(), "", "CREATE DATABASE "+name); err != nil {
		t.Fatal(err)
	}
	database, err := ledger.OpenDatabase(ledger.Config{
		Host: server.Host, Port: server.Port, Database: name, User: localmysql.User, Password: localmysql.Password, PlainText: true,
		StatementTimeout: time.Minute,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = database.Close() })
	execute(t, database, statements...)
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

// newLedger is a database with the ledger's own schema.
func newLedger(t *testing.T, server *localmysql.Server) *sql.DB {
	t.Helper()
	database := newDatabase(t, server)
	if _, err := schema.Migrate(t.Context(), database, schema.User{Name: ledger.UserName, Authentication: "IDENTIFIED BY 'simulated'"}); err != nil {
		t.Fatal(err)
	}
	return database
}

// fill adds rows to a ledger, each a second after the last.
func fill(t *testing.T, database *sql.DB, from, to int) {
	t.Helper()
	const batch = 1000
	for ; from < to; from += batch {
		var values []string
		for i := from; i < min(from+batch, to); i++ {
			values = append(values, fmt.Sprintf("('s-%04d','%s',%d.%02d,'USD','us-east-1','%s','%s')", i/100, transaction(i), 1+i%900, i%100, at(i), at(i)))
		}
		execute(t, database, "INSERT INTO payments (session_id, transaction_id, amount, currency, region, accepted_at, recorded_at) VALUES "+strings.Join(values, ","))
	}
}

func transaction(i int) string { return fmt.Sprintf("t-%07d", i) }

func at(i int) string {
	return time.Date(2026, 11, 20, 0, 0, 0, 123456000, time.UTC).Add(time.Duration(i) * time.Second).Format("2006-01-02 15:04:05.000000")
}

// told is a difference as a line: kind, key and columns.
func told(d compare.Difference) string {
	var columns []string
	for _, c := range d.Columns {
		columns = append(columns, c.Name+" "+value(c.Left)+" "+value(c.Right))
	}
	return strings.TrimSpace(fmt.Sprintf("%s: %s %s", d.Kind, strings.Join(d.Key, "/"), strings.Join(columns, ", ")))
}

func value(s *string) string {
	if s == nil {
		return "NULL"
	}
	return *s
}

func TestFindsExactlyTheRowsThatDiffer(t *testing.T) {
	const rows = 4321
	everywhere(t, func(t *testing.T, server *localmysql.Server) {
		live, restored := newLedger(t, server), newLedger(t, server)
		fill(t, live, 0, rows)
		fill(t, restored, 0, rows)
		same, err := compare.Table(t.Context(), live, restored, "payments", compare.Options{ChunkRows: 500})
		if err != nil || !same.Same() || same.LeftRows != rows || same.RightRows != rows || same.Fetched != 0 || same.Chunks != 9 {
			t.Fatalf("equal copies: %+v, %v", same, err)
		}

		execute(t, live,
			"DELETE FROM payments WHERE transaction_id = '"+transaction(7)+"'", // in the first chunk
			"UPDATE payments SET amount = amount + 1 WHERE transaction_id IN ('"+transaction(1200)+"','"+transaction(1300)+"')",
			"UPDATE payments SET currency = 'EUR', region = 'us-west-2' WHERE transaction_id = '"+transaction(rows-1)+"'", // the last row
		)
		execute(t, restored,
			"DELETE FROM payments WHERE transaction_id = '"+transaction(2500)+"'",
			"UPDATE payments SET recorded_at = '2026-11-20 00:33:20.123457' WHERE transaction_id = '"+transaction(2000)+"'", // a microsecond later
		)
		fill(t, live, rows, rows+3) // after the moment of the restore
		var found []string
		options := compare.Options{ChunkRows: 500, Each: func(table string, d compare.Difference) error {
			found = append(found, table+" "+told(d))
			return nil
		}}
		report, err := compare.Table(t.Context(), live, restored, "payments", options)
		if err != nil {
			t.Fatal(err)
		}
		want := []string{
			"payments only right: s-0000/" + transaction(7),
			"payments differing: s-0012/" + transaction(1200) + " amount 302.0000 301.0000",
			"payments differing: s-0013/" + transaction(1300) + " amount 402.0000 401.0000",
			"payments differing: s-0020/" + transaction(2000) + " recorded_at 2026-11-20T00:33:20.123456Z 2026-11-20T00:33:20.123457Z",
			"payments only left: s-0025/" + transaction(2500),
			"payments differing: s-0043/" + transaction(rows-1) + " currency EUR USD, region us-west-2 us-east-1",
			"payments only left: s-0043/" + transaction(rows),
			"payments only left: s-0043/" + transaction(rows+1),
			"payments only left: s-0043/" + transaction(rows+2),
		}
		if !slices.Equal(found, want) {
			t.Errorf("found\n%s\nwant\n%s", strings.Join(found, "\n"), strings.Join(want, "\n"))
		}
		if report.OnlyLeft != 4 || report.OnlyRight != 1 || report.Differing != 4 || report.Same() || !report.Complete ||
			report.LeftRows != rows+2 || report.RightRows != rows-1 || len(report.Examples) != len(want) {
			t.Errorf("report %+v", report)
		}
		if report.Fetched >= report.Chunks || report.Fetched < 4 {
			t.Errorf("%d of %d chunks were fetched", report.Fetched, report.Chunks)
		}

		// What was written after the moment is left out.
		moment, err := time.Parse("2006-01-02 15:04:05.000000", at(rows))
		if err != nil {
			t.Fatal(err)
		}
		options.Before, options.Examples, found = &compare.Bound{Column: "recorded_at", Time: moment}, 2, nil
		if report, err = compare.Table(t.Context(), live, restored, "payments", options); err != nil || report.OnlyLeft != 1 || len(report.Examples) != 2 || len(found) != 6 {
			t.Errorf("before %v: %+v, %v", moment, report, err)
		}
		// And the other way round everything is on the other side.
		options = compare.Options{ChunkRows: 333}
		if report, err = compare.Table(t.Context(), restored, live, "payments", options); err != nil || report.OnlyLeft != 1 || report.OnlyRight != 4 || report.Differing != 4 {
			t.Errorf("swapped: %+v, %v", report, err)
		}
	})
}

func TestOneCopyIsEmpty(t *testing.T) {
	everywhere(t, func(t *testing.T, server *localmysql.Server) {
		full, empty := newLedger(t, server), newLedger(t, server)
		fill(t, full, 0, 1000)
		for _, chunk := range []int{1, 999, 1000, 1001} {
			if chunk == 1 && !server.InnoDB {
				continue // a thousand sorts
			}
			report, err := compare.Table(t.Context(), full, empty, "payments", compare.Options{ChunkRows: chunk})
			if err != nil || report.OnlyLeft != 1000 || report.LeftRows != 1000 || report.RightRows != 0 || report.OnlyRight+report.Differing != 0 {
				t.Errorf("chunks of %d: %+v, %v", chunk, report, err)
			}
			if report, err = compare.Table(t.Context(), empty, full, "payments", compare.Options{ChunkRows: chunk}); err != nil || report.OnlyRight != 1000 || report.OnlyLeft != 0 {
				t.Errorf("chunks of %d, the other way: %+v, %v", chunk, report, err)
			}
		}
		if report, err := compare.Table(t.Context(), empty, empty, "payments", compare.Options{}); err != nil || !report.Same() || report.Chunks != 1 {
			t.Errorf("both empty: %+v, %v", report, err)
		}
	})
}

// TestValuesThatLookAlike has values that a careless encoding would take for the same.
func TestValuesThatLookAlike(t *testing.T) {
	const create = "CREATE TABLE odd (id BIGINT NOT NULL, tag VARBINARY(16) NOT NULL, a VARCHAR(20) CHARACTER SET ascii COLLATE ascii_bin, b VARBINARY(20), n DECIMAL(20,6), i BIGINT, PRIMARY KEY (id, tag))"
	everywhere(t, func(t *testing.T, server *localmysql.Server) {
		for _, tt := range []struct{ name, left, right, want string }{
			{"NULL and nothing", "a = NULL", "a = ''", "a NULL "},
			{"NULL and its sign", "a = NULL", "a = '-'", "a NULL -"},
			{"a comma moves", "a = 'x,', b = 'y'", "a = 'x', b = ',y'", "a x, x, b y ,y"},
			{"case", "a = 'x'", "a = 'X'", "a x X"},
			{"the last decimal", "n = 12345678901234.567890", "n = 12345678901234.567891", "n 12345678901234.567890 12345678901234.567891"},
			{"large numbers", "i = 9007199254740993", "i = 9007199254740992", "i 9007199254740993 9007199254740992"},
			{"no text", "b = x'ff00'", "b = x'ff01'", "b \xff\x00 \xff\x01"},
			{"the same", "a = 'x', b = NULL", "a = 'x', b = NULL", ""},
		} {
			t.Run(tt.name, func(t *testing.T) {
				row := "INSERT INTO odd (id, tag) VALUES (-5, x'00'), (-5, x'ff'), (0, 'a'), (0, 'A'), (9007199254740993, ''), (9007199254740992, '')"
				left, right := newDatabase(t, server, create, row), newDatabase(t, server, create, row)
				execute(t, left, "UPDATE odd SET "+tt.left+" WHERE id = 9007199254740993")
				execute(t, right, "UPDATE odd SET "+tt.right+" WHERE id = 9007199254740993")
				for _, chunk := range []int{1, 2, 100} {
					report, err := compare.Table(t.Context(), left, right, "odd", compare.Options{ChunkRows: chunk})
					if err != nil {
						t.Fatal(err)
					}
					got := ""
					for _, d := range report.Examples {
						got += told(d)
					}
					want := tt.want
					if want != "" {
						want = strings.TrimSpace("differing: 9007199254740993/ " + want)
					}
					if got != want || report.LeftRows != 6 || report.RightRows != 6 {
						t.Errorf("chunks of %d: %q of %d and %d rows, want %q", chunk, got, report.LeftRows, report.RightRows, want)
					}
				}
			})
		}
	})
}

func TestDatabasesAreComparedTableByTable(t *testing.T) {
	everywhere(t, func(t *testing.T, server *localmysql.Server) {
		live, restored := newLedger(t, server), newLedger(t, server)
		// Each database notes when it was migrated; a restored one has the note of the live one.
		for _, database := range []*sql.DB{live, restored} {
			execute(t, database, "UPDATE schema_versions SET tstamp = '2026-11-20 00:00:00'")
		}
		reports, err := compare.Databases(t.Context(), live, restored, compare.Options{})
		if err != nil || len(reports) != 3 || reports[0].Table != "payments" || reports[1].Table != "reconciliations" || reports[2].Table != "schema_versions" ||
			slices.ContainsFunc(reports, func(r compare.Report) bool { return !r.Same() }) {
			t.Fatalf("%+v, %v", reports, err)
		}
		execute(t, restored, "CREATE TABLE extra (id INT PRIMARY KEY)")
		var differ *compare.TablesDifferError
		if _, err := compare.Databases(t.Context(), live, restored, compare.Options{}); !errors.As(err, &differ) || !reflect.DeepEqual(differ.Faults, []string{"extra is in the right one alone"}) {
			t.Errorf("error %v", err)
		}
	})
}

func TestTablesThatCannotBeCompared(t *testing.T) {
	everywhere(t, func(t *testing.T, server *localmysql.Server) {
		left := newDatabase(t, server, "CREATE TABLE a (id INT PRIMARY KEY, v INT)", "CREATE TABLE b (id INT)", "CREATE TABLE c (id VARCHAR(9) PRIMARY KEY)")
		right := newDatabase(t, server, "CREATE TABLE a (id INT PRIMARY KEY, v BIGINT)", "CREATE TABLE b (id INT)", "CREATE TABLE c (id VARCHAR(9) PRIMARY KEY)")
		for table, want := range map[string]string{
			"a": "a has the columns id int", "b": "the table has none", "c": "id is of type varchar(9); allowed are binary strings and integers", "d": "there is no such table",
		} {
			report, err := compare.Table(t.Context(), left, right, table, compare.Options{})
			if err == nil || !strings.Contains(err.Error(), want) || report.Complete || report.Same() {
				t.Errorf("%s: %+v, error %v, want in it %q", table, report, err, want)
			}
		}
		if _, err := compare.Table(t.Context(), left, right, "a", compare.Options{ChunkRows: -1}); err == nil {
			t.Error("a negative option is taken")
		}
		enough := errors.New("enough")
		execute(t, right, "DROP TABLE a", "CREATE TABLE a (id INT PRIMARY KEY, v INT)", "INSERT INTO a VALUES (1, 1), (2, 2)")
		report, err := compare.Table(t.Context(), left, right, "a", compare.Options{Each: func(string, compare.Difference) error { return enough }})
		if !errors.Is(err, enough) || report.Complete || report.OnlyRight != 1 {
			t.Errorf("%+v, %v", report, err)
		}
	})
}

// TestManyRowsInBoundedMemory compares two databases with a handful of differences, in less memory than their rows take.
func TestManyRowsInBoundedMemory(t *testing.T) {
	server, ok := servers["mariadb"]
	rows := 250_000
	if !ok {
		server, rows = servers["embedded"], 6_000
	}
	live, restored := newLedger(t, server), newLedger(t, server)
	started := time.Now()
	if ok {
		load(t, live, rows)
		load(t, restored, rows)
	} else {
		fill(t, live, 0, rows)
		fill(t, restored, 0, rows)
	}
	loaded := time.Since(started)

	gone, added, changed := rows/3, rows, []int{0, rows / 2, rows/2 + 1, rows - 1}
	execute(t, live, "DELETE FROM payments WHERE transaction_id = '"+transaction(gone)+"' AND session_id = '"+session(gone)+"'")
	fill(t, live, added, added+1)
	for _, i := range changed {
		execute(t, live, "UPDATE payments SET amount = amount + 0.01 WHERE session_id = '"+session(i)+"' AND transaction_id = '"+transaction(i)+"'")
	}

	var found []string
	report := bounded(t, server, "a handful of rows differ", live, restored, func(_ string, d compare.Difference) error {
		found = append(found, string(d.Kind)+" "+d.Key[1])
		return nil
	})
	want := []string{"differing " + transaction(0), "only right " + transaction(gone), "differing " + transaction(rows/2),
		"differing " + transaction(rows/2+1), "differing " + transaction(rows-1), "only left " + transaction(added)}
	slices.Sort(found)
	slices.Sort(want)
	if !slices.Equal(found, want) || report.LeftRows != int64(rows) || report.RightRows != int64(rows) {
		t.Errorf("found %v, want %v; report %+v", found, want, report)
	}
	t.Logf("%d rows a side were loaded in %v", rows, loaded.Round(time.Millisecond))

	// Every row read, and every one of them a difference.
	report = bounded(t, server, "the other copy is empty", live, newLedger(t, server), nil)
	if report.OnlyLeft != int64(rows) || report.Fetched != (rows+4_999)/5_000 || // all but one that is empty on both sides
		len(report.Examples) != 20 {
		t.Errorf("report %+v", report)
	}
}

// bounded compares, and watches the heap.
func bounded(t *testing.T, server *localmysql.Server, what string, left, right *sql.DB, each func(string, compare.Difference) error) compare.Report {
	t.Helper()
	const allowed = 16 << 20 // the rows take some 50 MB, twice 5,000 some two
	var memory runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&memory)
	before, heap := memory.HeapAlloc, uint64(0)
	chunks, differences := 0, 0
	measure := func() {
		runtime.GC()
		runtime.ReadMemStats(&memory)
		heap = max(heap, memory.HeapAlloc)
	}
	report, err := compare.Table(t.Context(), left, right, "payments", compare.Options{
		Each: func(table string, d compare.Difference) error {
			if differences++; differences%25_000 == 1 { // at the first of a chunk, when all its rows are there
				measure()
			}
			if each == nil {
				return nil
			}
			return each(table, d)
		},
		Progress: func(compare.Report) {
			if chunks++; chunks%20 == 0 {
				measure()
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	grown := int64(heap) - int64(before)
	if grown > allowed && server.InnoDB { // the embedded server keeps its tables in this very heap
		t.Errorf("%s: the heap has grown by %d MB", what, grown>>20)
	}
	t.Logf("%s: %d and %d rows compared in %v, %d chunks, %d of them fetched, %d KB received, heap grown by %d KB", what,
		report.LeftRows, report.RightRows, report.Duration.Round(time.Millisecond), report.Chunks, report.Fetched, report.Bytes>>10, grown>>10)
	return report
}

func session(i int) string { return fmt.Sprintf("s-%04d", i/100) }

// load adds rows as fill does, in bulk.
func load(t *testing.T, database *sql.DB, rows int) {
	t.Helper()
	var data bytes.Buffer
	for i := range rows {
		fmt.Fprintf(&data, "%s\t%s\t%d.%02d\tUSD\tus-east-1\t%s\t%s\n", session(i), transaction(i), 1+i%900, i%100, at(i), at(i))
	}
	name := t.Name()
	mysql.RegisterReaderHandler(name, func() io.Reader { return &data })
	defer mysql.DeregisterReaderHandler(name)
	execute(t, database, "LOAD DATA LOCAL INFILE 'Reader::"+name+"' INTO TABLE payments (session_id, transaction_id, amount, currency, region, accepted_at, recorded_at)")
}
