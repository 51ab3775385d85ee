// Package ledger is the payments' table in Aurora MySQL: rows are added and read, and never changed.
package ledger

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/bojanz/currency"

	"payments-dr/internal/payment"
)

const (
	// chunk is how many rows one statement names. A row with the longest ids, escaped, is about 2 KB, so that a statement
	// stays far below the 64 MB of max_allowed_packet.
	chunk = 500
	// maxAttempts bounds the transactions of one Record that other transactions get in the way of.
	maxAttempts = 8
	// maxConnectionAttempts bounds those that lose their connection. What cannot be reached at all is not tried again.
	maxConnectionAttempts = 2
	// firstPause is the pause before the second attempt; it doubles, up to maxPause.
	firstPause, maxPause = 5 * time.Millisecond, 200 * time.Millisecond
)

// Ledger is the ledger of one Region's cluster. Its errors are ErrUnavailable and ErrRefused. It may be used concurrently.
type Ledger struct{ database *sql.DB }

// Open makes a ledger from its configuration; see OpenDatabase.
func Open(config Config) (*Ledger, error) {
	database, err := OpenDatabase(config)
	if err != nil {
		return nil, err
	}
	return New(database), nil
}

// New is the ledger in a database.
func New(database *sql.DB) *Ledger { return &Ledger{database} }

// Close closes the connections.
func (l *Ledger) Close() error { return l.database.Close() }

// Result is what Record did. Recorded, Duplicates and the payments of Conflicts add up to what was asked.
type Result struct {
	// Recorded counts the payments that were written.
	Recorded int
	// Duplicates counts the payments that were there already, or twice in the call. A payment that an attempt wrote whose
	// answer was lost is counted here.
	Duplicates int
	// Conflicts are the identities under which a payment of another amount or currency is there; or was earlier in the call.
	// Each is named once. The later payment was not written.
	Conflicts []payment.Identity
}

// Record writes payments that are not there yet, all in one transaction: after an error none of them was written, unless the
// connection broke at the very end, and the same call again is safe in every case. ErrRefused means that one of the payments
// can never be written.
//
// It reads before it writes, and needs no more than SELECT and INSERT. "ON DUPLICATE KEY UPDATE" would need the privilege
// to update a table whose rows must never change, and INSERT IGNORE hides more than duplicates. The gap between reading and
// writing is the primary key's: a row that came in between is a duplicate-key error, and the transaction is run again and
// sees it.
func (l *Ledger) Record(ctx context.Context, payments []payment.Payment) (Result, error) {
	if len(payments) == 0 {
		return Result{}, nil
	}
	distinct := distinct(payments)
	pause, connections := firstPause, 0
	for attempt := 1; ; attempt++ {
		existing, err := l.record(ctx, distinct)
		if err == nil {
			return tally(payments, existing), nil
		}
		lost := disconnected(err)
		if lost {
			connections++
		}
		if attempt == maxAttempts || connections == maxConnectionAttempts || !lost && !contended(err) {
			return Result{}, classify("record payments", err)
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return Result{}, classify("record payments", ctx.Err())
		}
		pause = min(2*pause, maxPause)
	}
}

// distinct is the first payment of each identity, in the order of the primary key: transactions that take their locks in
// the same order do not wait for each other in a circle.
func distinct(payments []payment.Payment) []payment.Payment {
	sorted := slices.Clone(payments)
	slices.SortStableFunc(sorted, func(a, b payment.Payment) int { return compare(a.Identity, b.Identity) })
	return slices.CompactFunc(sorted, func(a, b payment.Payment) bool { return a.Identity == b.Identity })
}

// compare orders identities as VARBINARY does, by bytes.
func compare(a, b payment.Identity) int {
	return cmp.Or(strings.Compare(a.SessionID, b.SessionID), strings.Compare(a.TransactionID, b.TransactionID))
}

// record runs one transaction and returns the payments that it found.
func (l *Ledger) record(ctx context.Context, payments []payment.Payment) (map[payment.Identity]payment.Payment, error) {
	transaction, err := l.database.BeginTx(ctx, nil)
	if err != nil {
		return nil, fmt.Errorf("begin: %w", err)
	}
	defer func() { _ = transaction.Rollback() }() // does nothing after Commit
	identities := make([]payment.Identity, len(payments))
	for i, p := range payments {
		identities[i] = p.Identity
	}
	existing, err := find(ctx, transaction, identities)
	if err != nil {
		return nil, fmt.Errorf("find: %w", err)
	}
	missing := slices.DeleteFunc(slices.Clone(payments), func(p payment.Payment) bool {
		_, there := existing[p.Identity]
		return there
	})
	for rows := range slices.Chunk(missing, chunk) {
		if err := insert(ctx, transaction, rows); err != nil {
			return nil, fmt.Errorf("insert: %w", err)
		}
	}
	if err := transaction.Commit(); err != nil {
		return nil, fmt.Errorf("commit: %w", err)
	}
	return existing, nil
}

func insert(ctx context.Context, transaction *sql.Tx, payments []payment.Payment) error {
	statement, arguments := InsertStatement("payments", payments)
	_, err := transaction.ExecContext(ctx, statement, arguments...)
	return err
}

// InsertStatement is the statement that adds payments to a table. It names a column only if a payment has a value for it, because the
// table may be of an older release.
func InsertStatement(table string, payments []payment.Payment) (statement string, arguments []any) {
	rows := make([]payment.Values, len(payments))
	for i, p := range payments {
		rows[i] = p.Values()
	}
	names := slices.DeleteFunc(payment.FieldNames(), func(name string) bool {
		return column(name) == "" || !slices.ContainsFunc(rows, func(row payment.Values) bool { _, ok := row[name]; return ok })
	})
	columns := make([]string, len(names))
	for i, name := range names {
		columns[i] = column(name)
	}
	arguments = make([]any, 0, len(names)*len(rows))
	for i, row := range rows {
		for _, name := range names {
			switch value, ok := row[name]; {
			case !ok:
				arguments = append(arguments, nil)
			case name == payment.AttributeTimestamp:
				arguments = append(arguments, payments[i].Timestamp.UTC())
			case name == payment.AttributeSessionID || name == payment.AttributeTransactionID:
				arguments = append(arguments, []byte(value)) // VARBINARY
			default:
				arguments = append(arguments, value)
			}
		}
	}
	row := "(" + list("?", len(names)) + ")"
	return "INSERT INTO " + table + " (" + strings.Join(columns, ", ") + ") VALUES " + list(row, len(rows)), arguments
}

// column is a payment field's column; empty if it has none.
func column(field string) string {
	switch field {
	case payment.AttributeTimestamp:
		return columnAcceptedAt
	case payment.AttributeStatus: // the ledger has accepted payments only
		return ""
	}
	return field
}

const (
	columnAcceptedAt = "accepted_at"
	columnRecordedAt = "recorded_at"
)

func list(element string, count int) string {
	return strings.TrimSuffix(strings.Repeat(element+",", count), ",")
}

// tally compares what was asked with what was there.
func tally(payments []payment.Payment, there map[payment.Identity]payment.Payment) Result {
	var result Result
	for _, p := range payments {
		known, ok := there[p.Identity]
		switch {
		case !ok:
			there[p.Identity] = p
			result.Recorded++
		case known.SameMoney(p):
			result.Duplicates++
		case !slices.Contains(result.Conflicts, p.Identity):
			result.Conflicts = append(result.Conflicts, p.Identity)
		}
	}
	return result
}

// Find returns those of the payments that are in the ledger, any number.
func (l *Ledger) Find(ctx context.Context, identities []payment.Identity) (map[payment.Identity]payment.Payment, error) {
	found, err := find(ctx, l.database, identities)
	if err != nil {
		return nil, classify("find payments", err)
	}
	return found, nil
}

// querier is a database or a transaction.
type querier interface {
	QueryContext(ctx context.Context, query string, arguments ...any) (*sql.Rows, error)
}

func find(ctx context.Context, database querier, identities []payment.Identity) (map[payment.Identity]payment.Payment, error) {
	found := map[payment.Identity]payment.Payment{}
	for some := range slices.Chunk(identities, chunk) {
		arguments := make([]any, 0, 2*len(some))
		for _, id := range some {
			arguments = append(arguments, []byte(id.SessionID), []byte(id.TransactionID))
		}
		err := query(ctx, database, func(p payment.Payment, _ time.Time) error {
			found[p.Identity] = p
			return nil
		}, "SELECT * FROM payments WHERE (session_id, transaction_id) IN ("+list("(?,?)", len(some))+")", arguments...)
		if err != nil {
			return nil, err
		}
	}
	return found, nil
}

// query hands over the payments that a statement selects, each with the time of its recording. The statement selects every column:
// query reads columns by name, because the table may be of another release. A restored backup is older and lacks columns, a
// later release adds some. A row that cannot be read is a payment with a Fault.
func query(ctx context.Context, database querier, each func(p payment.Payment, recordedAt time.Time) error, statement string, arguments ...any) error {
	rows, err := database.QueryContext(ctx, statement, arguments...)
	if err != nil {
		return err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return err
	}
	texts, times := make([]sql.NullString, len(columns)), map[string]*time.Time{columnAcceptedAt: {}, columnRecordedAt: {}}
	destinations := make([]any, len(columns))
	for i, name := range columns {
		destinations[i] = &texts[i]
		if at, ok := times[name]; ok {
			destinations[i] = at
		}
	}
	for rows.Next() {
		if err := rows.Scan(destinations...); err != nil {
			return err
		}
		values := payment.Values{
			payment.AttributeStatus:    payment.StatusProcessed,
			payment.AttributeTimestamp: times[columnAcceptedAt].UTC().Format(payment.TimestampLayout),
		}
		for i, name := range columns {
			if texts[i].Valid {
				values[name] = texts[i].String
			}
		}
		// An amount that cannot be read stays as it is, and Read names the fault. It is the row's, and no outage.
		if exact, err := amount(values[payment.AttributeAmount], values[payment.AttributeCurrency]); err == nil {
			values[payment.AttributeAmount] = exact.Number()
		}
		p := payment.Read(values)
		p.Timestamp = times[columnAcceptedAt].UTC() // also of a row that cannot be read: it has its place in the window
		if err := each(p, *times[columnRecordedAt]); err != nil {
			return err
		}
	}
	return rows.Err()
}

// amount is an amount as the ledger holds it, with four decimals, in those of its currency.
func amount(number, code string) (currency.Amount, error) {
	stored, err := currency.NewAmount(number, code)
	if err != nil {
		return currency.Amount{}, fmt.Errorf("read amount: %w", err)
	}
	exact := stored.Round()
	if !exact.Equal(stored) {
		return currency.Amount{}, fmt.Errorf("read amount: a row has more decimals than %s", code)
	}
	return exact, nil
}

// Window hands over the payments that were accepted at from or later and before to, ordered by acceptance and then by
// identity. It reads pages, so that no connection waits for the function and memory is bounded; a payment that is recorded
// behind the page being read is not seen. The function's error ends it and is returned as it is.
func (l *Ledger) Window(ctx context.Context, from, to time.Time, each func(payment.Payment) error) error {
	// The first condition is what the index is read by; the second leaves out what was handed over at that very moment.
	const statement = "SELECT * FROM payments WHERE accepted_at >= ? AND accepted_at < ?" +
		" AND (accepted_at > ? OR session_id > ? OR session_id = ? AND transaction_id > ?)" +
		" ORDER BY accepted_at, session_id, transaction_id LIMIT ?"
	last := payment.Payment{Timestamp: ceiling(from)}
	to = ceiling(to)
	for {
		at, sessionID, transactionID := last.Timestamp, []byte(last.SessionID), []byte(last.TransactionID)
		var page []payment.Payment
		err := query(ctx, l.database, func(p payment.Payment, _ time.Time) error {
			page = append(page, p)
			return nil
		}, statement, at, to, at, sessionID, sessionID, transactionID, pageSize)
		if err != nil {
			return classify("read payments", err)
		}
		for _, p := range page {
			if err := each(p); err != nil {
				return err
			}
		}
		if len(page) < pageSize {
			return nil
		}
		last = page[len(page)-1]
	}
}

// pageSize is how many payments Window holds at a time.
const pageSize = 1000

// Oldest is when the earliest of the payments that were accepted before a moment was accepted, and whether there is any.
func (l *Ledger) Oldest(ctx context.Context, before time.Time) (oldest time.Time, found bool, err error) {
	var earliest sql.NullTime
	err = l.database.QueryRowContext(ctx, "SELECT MIN(accepted_at) FROM payments WHERE accepted_at < ?", ceiling(before)).Scan(&earliest)
	if err != nil {
		return time.Time{}, false, classify("look for the oldest payment", err)
	}
	return earliest.Time.UTC(), earliest.Valid, nil
}

// ceiling is the first whole microsecond that is not before a moment. The ledger's times are whole microseconds, so that a
// bound moved there divides them as the given one does.
func ceiling(t time.Time) time.Time {
	whole := t.UTC().Truncate(time.Microsecond)
	if whole.Before(t) {
		whole = whole.Add(time.Microsecond)
	}
	return whole
}
