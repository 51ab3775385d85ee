package compare

import (
	"bytes"
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// table is a table of one copy.
type table struct {
	database *sql.DB
	name     string
	columns  []column
	// key are the columns of the primary key, in its order.
	key []column
	// conditions leave out rows; arguments are their parameters.
	conditions []string
	arguments  []any
}

type column struct {
	name, dataType, columnType string
	position                   int
	// primary tells that the column belongs to the primary key.
	primary bool
}

func tableNames(ctx context.Context, database *sql.DB) ([]string, error) {
	rows, err := database.QueryContext(ctx, "SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE() AND table_type = 'BASE TABLE'")
	if err != nil {
		return nil, fmt.Errorf("list tables: %w", err)
	}
	defer rows.Close()
	var names []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, fmt.Errorf("list tables: %w", err)
		}
		names = append(names, name)
	}
	slices.Sort(names)
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("list tables: %w", err)
	}
	return names, nil
}

// describe reads what a table consists of.
func describe(ctx context.Context, database *sql.DB, name string, options Options) (*table, error) {
	t := &table{database: database, name: name}
	rows, err := database.QueryContext(ctx, "SELECT column_name, data_type, column_type, column_key = 'PRI' FROM information_schema.columns"+
		" WHERE table_schema = DATABASE() AND table_name = ? ORDER BY ordinal_position", name)
	if err != nil {
		return nil, fmt.Errorf("read columns: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		c := column{position: len(t.columns)}
		if err := rows.Scan(&c.name, &c.dataType, &c.columnType, &c.primary); err != nil {
			return nil, fmt.Errorf("read columns: %w", err)
		}
		c.dataType = strings.ToLower(c.dataType)
		t.columns = append(t.columns, c)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read columns: %w", err)
	}
	if len(t.columns) == 0 {
		return nil, errors.New("there is no such table")
	}
	if err := t.readKey(ctx); err != nil {
		return nil, err
	}
	if b := options.Before; b != nil {
		if t.column(b.Column) != nil {
			t.conditions, t.arguments = []string{quoted(b.Column) + " < ?"}, []any{b.Time.UTC()}
		}
	}
	return t, nil
}

// readKey puts the columns of the primary key into its order. Any order would do for comparing; this one is the index's. A server
// that does not list its indexes leaves them in the table's.
func (t *table) readKey(ctx context.Context) error {
	rows, err := t.database.QueryContext(ctx, "SELECT column_name, seq_in_index FROM information_schema.statistics"+
		" WHERE table_schema = DATABASE() AND table_name = ? AND index_name = 'PRIMARY'", t.name)
	if err != nil {
		return fmt.Errorf("read primary key: %w", err)
	}
	defer rows.Close()
	place := map[string]int{}
	for rows.Next() {
		var name string
		var sequence int
		if err := rows.Scan(&name, &sequence); err != nil {
			return fmt.Errorf("read primary key: %w", err)
		}
		place[strings.ToLower(name)] = sequence
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("read primary key: %w", err)
	}
	for _, c := range t.columns {
		if !c.primary {
			continue
		}
		// The rows are merged here in the order that the servers have. Text has the order of its collation, which is the
		// servers' own affair.
		if !c.isBinary() && !c.isInteger() {
			return fmt.Errorf("read primary key: %s is of type %s; allowed are binary strings and integers", c.name, c.columnType)
		}
		t.key = append(t.key, c)
	}
	if len(t.key) == 0 {
		return errors.New("read primary key: the table has none, so that its rows cannot be told apart")
	}
	slices.SortStableFunc(t.key, func(a, b column) int {
		return cmp.Compare(place[strings.ToLower(a.name)], place[strings.ToLower(b.name)])
	})
	return nil
}

func (t *table) column(name string) *column {
	for i := range t.columns {
		if strings.EqualFold(t.columns[i].name, name) {
			return &t.columns[i]
		}
	}
	return nil
}

func (c column) isBinary() bool { return c.dataType == "binary" || c.dataType == "varbinary" }

func (c column) isInteger() bool {
	return slices.Contains([]string{"tinyint", "smallint", "mediumint", "int", "bigint"}, c.dataType)
}

// unlike is in what two tables are not comparable.
func (t *table) unlike(other *table) []string {
	var faults []string
	names := func(t *table, of func(column) string, columns []column) string {
		parts := make([]string, len(columns))
		for i, c := range columns {
			parts[i] = of(c)
		}
		return strings.Join(parts, ", ")
	}
	all := func(c column) string { return c.name + " " + c.columnType }
	name := func(c column) string { return c.name }
	if l, r := names(t, all, t.columns), names(other, all, other.columns); l != r {
		faults = append(faults, fmt.Sprintf("%s has the columns %s on the left and %s on the right", t.name, l, r))
	}
	if l, r := names(t, name, t.key), names(other, name, other.key); l != r {
		faults = append(faults, fmt.Sprintf("%s has the key %s on the left and %s on the right", t.name, l, r))
	}
	return faults
}

func quoted(name string) string { return "`" + strings.ReplaceAll(name, "`", "``") + "`" }

func (t *table) keyColumns() string {
	names := make([]string, len(t.key))
	for i, c := range t.key {
		names[i] = quoted(c.name)
	}
	return strings.Join(names, ", ")
}

// hex is a column's value as hexadecimal digits of its bytes or of its text. HEX of a number would be the number's own digits,
// rounded.
func (c column) hex() string {
	switch c.dataType {
	case "binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob", "char", "varchar", "tinytext", "text", "mediumtext", "longtext", "bit":
		return "HEX(" + quoted(c.name) + ")"
	}
	return "HEX(CAST(" + quoted(c.name) + " AS CHAR))"
}

// where is the condition for the rows after one key up to and with another; nil is no bound.
//
// A comparison of rows, (a, b) > (x, y), would say the same, but MySQL does not find its way into an index by it ("Range
// Optimization of Row Constructor Expressions", MySQL Reference Manual: equality and IN alone). The first column's bound is
// said once more by itself for the same reason.
func (t *table) where(after, upTo key) (string, []any) {
	conditions, arguments := slices.Clone(t.conditions), slices.Clone(t.arguments)
	bound := func(k key, beyond, with, last string) {
		if k == nil {
			return
		}
		var alternatives []string
		var values []any
		for i := range t.key {
			var parts []string
			for j := range i {
				parts = append(parts, quoted(t.key[j].name)+" = ?")
				values = append(values, k[j].argument())
			}
			operator := beyond
			if i == len(t.key)-1 {
				operator = last
			}
			parts = append(parts, quoted(t.key[i].name)+operator)
			values = append(values, k[i].argument())
			alternatives = append(alternatives, strings.Join(parts, " AND "))
		}
		conditions = append(conditions, quoted(t.key[0].name)+with, "("+strings.Join(alternatives, " OR ")+")")
		arguments = append(append(arguments, k[0].argument()), values...)
	}
	bound(after, " > ?", " >= ?", " > ?")
	bound(upTo, " < ?", " <= ?", " <= ?")
	if len(conditions) == 0 {
		return "", nil
	}
	return " WHERE " + strings.Join(conditions, " AND "), arguments
}

// nth is the key of the nth row after a key, nil if there are fewer.
func (t *table) nth(ctx context.Context, after key, n int) (key, error) {
	where, arguments := t.where(after, nil)
	values := make([]sql.RawBytes, len(t.key))
	targets := make([]any, len(values))
	for i := range values {
		targets[i] = &values[i]
	}
	rows, err := t.database.QueryContext(ctx, "SELECT "+t.keyColumns()+" FROM "+quoted(t.name)+where+
		" ORDER BY "+t.keyColumns()+" LIMIT 1 OFFSET "+strconv.Itoa(n-1), arguments...)
	if err != nil {
		return nil, fmt.Errorf("read key: %w", err)
	}
	defer rows.Close()
	var found key
	if rows.Next() {
		if err := rows.Scan(targets...); err != nil {
			return nil, fmt.Errorf("read key: %w", err)
		}
		if found, err = t.keyOf(values); err != nil {
			return nil, err
		}
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read key: %w", err)
	}
	return found, nil
}

// checksum is the number of some rows and the exclusive or of their hashes.
type checksum struct {
	rows        int64
	first, next uint64
}

// checksumSize is how many bytes a checksum has.
const checksumSize = 24

func (t *table) checksum(ctx context.Context, after, upTo key) (checksum, error) {
	where, arguments := t.where(after, upTo)
	values := make([]string, len(t.columns))
	for i, c := range t.columns {
		// Hexadecimal digits have no comma and no hyphen, so that no two rows read the same.
		values[i] = "COALESCE(" + c.hex() + ", '-')"
	}
	half := func(from int) string {
		return fmt.Sprintf("BIT_XOR(CAST(CONV(SUBSTRING(h, %d, 16), 16, 10) AS UNSIGNED))", from)
	}
	var sum checksum
	err := t.database.QueryRowContext(ctx, "SELECT COUNT(*), "+half(1)+", "+half(17)+
		" FROM (SELECT SHA2(CONCAT_WS(',', "+strings.Join(values, ", ")+"), 256) AS h FROM "+quoted(t.name)+where+") AS hashes",
		arguments...).Scan(&sum.rows, &sum.first, &sum.next)
	if err != nil {
		return checksum{}, fmt.Errorf("add up checksum: %w", err)
	}
	return sum, nil
}

// row is a row as it was read; nil is NULL.
type row struct {
	key    key
	values [][]byte
}

func (r row) size() (size int64) {
	for _, value := range r.values {
		size += int64(len(value))
	}
	return size
}

// rows reads rows in the order of the key.
func (t *table) rows(ctx context.Context, after, upTo key) ([]row, error) {
	where, arguments := t.where(after, upTo)
	names := make([]string, len(t.columns))
	for i, c := range t.columns {
		names[i] = quoted(c.name)
	}
	found, err := t.database.QueryContext(ctx, "SELECT "+strings.Join(names, ", ")+" FROM "+quoted(t.name)+where+" ORDER BY "+t.keyColumns(), arguments...)
	if err != nil {
		return nil, fmt.Errorf("read rows: %w", err)
	}
	defer found.Close()
	values := make([]sql.RawBytes, len(t.columns))
	targets := make([]any, len(values))
	for i := range values {
		targets[i] = &values[i]
	}
	var rows []row
	for found.Next() {
		if err := found.Scan(targets...); err != nil {
			return nil, fmt.Errorf("read rows: %w", err)
		}
		one := row{values: make([][]byte, len(values))}
		for i, value := range values {
			one.values[i] = bytes.Clone(value)
		}
		keys := make([]sql.RawBytes, len(t.key))
		for i, c := range t.key {
			keys[i] = values[c.position]
		}
		if one.key, err = t.keyOf(keys); err != nil {
			return nil, err
		}
		rows = append(rows, one)
	}
	if err := found.Err(); err != nil {
		return nil, fmt.Errorf("read rows: %w", err)
	}
	return rows, nil
}

// differing are the columns that two rows of one key have other values in.
func (t *table) differing(left, right row) []Column {
	var columns []Column
	for i, c := range t.columns {
		l, r := left.values[i], right.values[i]
		if (l == nil) != (r == nil) || !bytes.Equal(l, r) {
			columns = append(columns, Column{Name: c.name, Left: asText(l), Right: asText(r)})
		}
	}
	return columns
}

func asText(value []byte) *string {
	if value == nil {
		return nil
	}
	s := string(value)
	return &s
}

// key are the values of a primary key, in its order.
type key []part

// part is one value of a key: bytes, or a whole number.
type part struct {
	bytes   []byte
	integer bool
	// negative and magnitude are the whole number: no type of Go holds all that a BIGINT may be, signed and unsigned.
	negative  bool
	magnitude uint64
}

func (t *table) keyOf(values []sql.RawBytes) (key, error) {
	k := make(key, len(values))
	for i, value := range values {
		if t.key[i].isBinary() {
			k[i].bytes = append([]byte{}, value...)
			continue
		}
		digits, negative := strings.CutPrefix(string(value), "-")
		magnitude, err := strconv.ParseUint(digits, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("read key: %s is not a whole number: %w", t.key[i].name, err)
		}
		k[i] = part{integer: true, negative: negative, magnitude: magnitude}
	}
	return k, nil
}

func (k key) compare(other key) int {
	for i := range k {
		if order := k[i].compare(other[i]); order != 0 {
			return order
		}
	}
	return 0
}

func (k key) size() (size int64) {
	for _, p := range k {
		size += int64(max(len(p.bytes), 8))
	}
	return size
}

func (k key) text() []string {
	texts := make([]string, len(k))
	for i, p := range k {
		texts[i] = p.text()
	}
	return texts
}

func (p part) compare(other part) int {
	switch {
	case !p.integer:
		return bytes.Compare(p.bytes, other.bytes)
	case p.negative != other.negative:
		if p.negative {
			return -1
		}
		return 1
	case p.negative:
		return cmp.Compare(other.magnitude, p.magnitude)
	}
	return cmp.Compare(p.magnitude, other.magnitude)
}

func (p part) text() string {
	switch {
	case !p.integer:
		return string(p.bytes)
	case p.negative:
		return "-" + strconv.FormatUint(p.magnitude, 10)
	}
	return strconv.FormatUint(p.magnitude, 10)
}

// argument is the value as a parameter: a number as a number, because text would be compared as a floating-point one.
func (p part) argument() any {
	switch {
	case !p.integer:
		return p.bytes
	case p.negative:
		return -int64(p.magnitude-1) - 1
	}
	return p.magnitude
}
