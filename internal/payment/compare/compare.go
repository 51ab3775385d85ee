// Package compare tells in what two copies of the same data differ: the rows of two databases of the MySQL protocol, and the
// payments of two session tables. It is for a restored copy beside the live one.
//
// It judges copies of one store, row for row and column for column. Whether table and ledger agree on payments is another
// question, and package reconcile's; two session tables are compared by its means.
package compare

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Options say how to compare. The zero value compares all rows and takes the defaults.
type Options struct {
	// ChunkRows is how many rows are compared by one checksum, 0 is 5,000. Twice as many is the most that is in memory.
	ChunkRows int
	// Before leaves out rows of later times, such as those that were written after the moment of a restore. Tables without
	// its column are compared whole.
	Before *Bound
	// Examples is how many differences the report of a table holds; 0 is 20. The counts are always complete.
	Examples int
	// Each, if given, gets every difference, in the order of the keys. Its error ends the comparison.
	Each func(table string, d Difference) error
	// Progress, if given, is called after each chunk with the report as it stands.
	Progress func(Report)
}

// Bound is a column of time and the moment that its rows have to be before.
type Bound struct {
	Column string
	Time   time.Time
}

const (
	defaultChunkRows = 5000
	defaultExamples  = 20
)

func (o Options) withDefaults() (Options, error) {
	if o.ChunkRows < 0 || o.Examples < 0 {
		return o, errors.New("an option is negative")
	}
	if o.ChunkRows == 0 {
		o.ChunkRows = defaultChunkRows
	}
	if o.Examples == 0 {
		o.Examples = defaultExamples
	}
	return o, nil
}

// Report is what was found in one table. Left is the first copy that was given, right the second.
type Report struct {
	Table string `json:"table"`
	// Complete tells that the comparison came to the table's end.
	Complete bool `json:"complete"`
	// LeftRows and RightRows count the rows that were compared.
	LeftRows  int64 `json:"leftRows"`
	RightRows int64 `json:"rightRows"`
	// OnlyLeft and OnlyRight are rows whose key the other copy does not have, Differing rows of one key and other values.
	OnlyLeft  int64 `json:"onlyLeft"`
	OnlyRight int64 `json:"onlyRight"`
	Differing int64 `json:"differing"`
	// Examples are the first differences. They hold the rows' values: they belong in no log.
	Examples []Difference `json:"examples"`
	// Chunks is how many pairs of checksums were compared, Fetched how many of them did not agree, so that their rows were read.
	Chunks  int `json:"chunks"`
	Fetched int `json:"fetched"`
	// Bytes is what was received of both: keys, checksums and rows, without the protocol's own.
	Bytes    int64         `json:"bytes"`
	Duration time.Duration `json:"durationNanoseconds"`
}

// Same reports whether the comparison came to its end and found no difference. Two empty copies are the same; see Empty.
func (r Report) Same() bool {
	return r.Complete && r.OnlyLeft+r.OnlyRight+r.Differing == 0 && r.LeftRows == r.RightRows
}

// Empty reports whether neither copy had anything to compare, so that the same proves nothing.
func (r Report) Empty() bool { return r.LeftRows == 0 && r.RightRows == 0 }

// Kind is in what a row differs.
type Kind string

const (
	OnlyLeft  Kind = "only left"
	OnlyRight Kind = "only right"
	Differing Kind = "differing"
)

// Difference is one row that is not the same in both copies.
type Difference struct {
	Kind Kind `json:"kind"`
	// Key are the values of the primary key, in its order, as text.
	Key []string `json:"key"`
	// Columns are those that differ, in the table's order. A row that is in one copy alone has none.
	Columns []Column `json:"columns,omitempty"`
}

// Column is one value in both copies, as text; nil is NULL.
type Column struct {
	Name  string  `json:"name"`
	Left  *string `json:"left"`
	Right *string `json:"right"`
}

// TablesDifferError says that two databases cannot be compared row for row: a table is in one of them alone, or its columns or
// its key are not the same.
type TablesDifferError struct{ Faults []string }

func (e *TablesDifferError) Error() string {
	return "the tables differ: " + strings.Join(e.Faults, "; ")
}

// Databases compares all tables of two databases, in the order of their names. The error says that they could not be compared
// to the end; the reports then hold what was found until then. Differences are no error.
//
// Neither copy is locked, and each chunk is read at a moment of its own: a row that is written meanwhile may be reported. Rows
// of the ledger are never changed, so that Options.Before keeps them out.
func Databases(ctx context.Context, left, right *sql.DB, options Options) ([]Report, error) {
	names, err := tableNames(ctx, left)
	if err != nil {
		return nil, fmt.Errorf("compare databases: left: %w", err)
	}
	others, err := tableNames(ctx, right)
	if err != nil {
		return nil, fmt.Errorf("compare databases: right: %w", err)
	}
	var faults []string
	for _, name := range names {
		if !slices.Contains(others, name) {
			faults = append(faults, name+" is in the left one alone")
		}
	}
	for _, name := range others {
		if !slices.Contains(names, name) {
			faults = append(faults, name+" is in the right one alone")
		}
	}
	if faults != nil {
		return nil, fmt.Errorf("compare databases: %w", &TablesDifferError{faults})
	}
	var reports []Report
	for _, name := range names {
		report, err := Table(ctx, left, right, name, options)
		reports = append(reports, report)
		if err != nil {
			return reports, err
		}
	}
	return reports, nil
}

// Table compares one table of two databases; see Databases.
//
// It goes through the primary key in chunks. The servers count the rows of a chunk and add up a checksum of them; only if these
// are not the same are the chunk's rows fetched from both and compared one by one. The checksum is the exclusive or of the first
// 128 bits of each row's SHA-256. A sum of CRCs, as is often used for this, is linear: a change made to two rows alike cancels
// itself out, which is what a mistaken UPDATE does.
func Table(ctx context.Context, left, right *sql.DB, name string, options Options) (Report, error) {
	started := time.Now()
	report := Report{Table: name, Examples: []Difference{}}
	options, err := options.withDefaults()
	if err != nil {
		return report, fmt.Errorf("compare table %s: %w", name, err)
	}
	r := &run{options: options, report: &report, started: started}
	if err = r.table(ctx, left, right, name); err != nil {
		err = fmt.Errorf("compare table %s: %w", name, err)
	}
	report.Complete = err == nil
	report.Duration = time.Since(started)
	return report, err
}

type run struct {
	options     Options
	report      *Report
	started     time.Time
	left, right *table
}

func (r *run) table(ctx context.Context, left, right *sql.DB, name string) error {
	var err error
	if r.left, err = describe(ctx, left, name, r.options); err != nil {
		return fmt.Errorf("left: %w", err)
	}
	if r.right, err = describe(ctx, right, name, r.options); err != nil {
		return fmt.Errorf("right: %w", err)
	}
	if faults := r.left.unlike(r.right); faults != nil {
		return &TablesDifferError{faults}
	}
	var after key
	for {
		upTo, err := r.boundary(ctx, after)
		if err != nil {
			return err
		}
		if err := r.chunk(ctx, after, upTo); err != nil {
			return err
		}
		if r.options.Progress != nil {
			report := *r.report
			report.Duration = time.Since(r.started)
			r.options.Progress(report)
		}
		if upTo == nil {
			return nil
		}
		after = upTo
	}
}

// boundary is the last key of the next chunk: the nearest that leaves neither copy more rows than a chunk may have. Nil is the
// table's end.
func (r *run) boundary(ctx context.Context, after key) (key, error) {
	var left, right key
	err := both(
		func() (err error) { left, err = r.left.nth(ctx, after, r.options.ChunkRows); return err },
		func() (err error) { right, err = r.right.nth(ctx, after, r.options.ChunkRows); return err })
	if err != nil {
		return nil, err
	}
	r.report.Bytes += left.size() + right.size()
	switch {
	case left == nil:
		return right, nil
	case right == nil || left.compare(right) < 0:
		return left, nil
	}
	return right, nil
}

// chunk compares the rows after one key up to and with another.
func (r *run) chunk(ctx context.Context, after, upTo key) error {
	var left, right checksum
	err := both(
		func() (err error) { left, err = r.left.checksum(ctx, after, upTo); return err },
		func() (err error) { right, err = r.right.checksum(ctx, after, upTo); return err })
	if err != nil {
		return err
	}
	r.report.Chunks++
	r.report.Bytes += 2 * checksumSize
	if left == right {
		r.report.LeftRows += left.rows
		r.report.RightRows += right.rows
		return nil
	}
	r.report.Fetched++
	var leftRows, rightRows []row
	err = both(
		func() (err error) { leftRows, err = r.left.rows(ctx, after, upTo); return err },
		func() (err error) { rightRows, err = r.right.rows(ctx, after, upTo); return err })
	if err != nil {
		return err
	}
	return r.merge(leftRows, rightRows)
}

// merge compares rows that both are in the order of the key. The counts are those of the rows that were read, which may be newer
// than the checksums'.
func (r *run) merge(left, right []row) error {
	r.report.LeftRows += int64(len(left))
	r.report.RightRows += int64(len(right))
	for _, rows := range [][]row{left, right} {
		for _, one := range rows {
			r.report.Bytes += one.size()
		}
	}
	for len(left) > 0 || len(right) > 0 {
		order := 0
		switch {
		case len(right) == 0:
			order = -1
		case len(left) == 0:
			order = 1
		default:
			order = left[0].key.compare(right[0].key)
		}
		var err error
		switch {
		case order < 0:
			r.report.OnlyLeft++
			err = r.found(Difference{Kind: OnlyLeft, Key: left[0].key.text()})
			left = left[1:]
		case order > 0:
			r.report.OnlyRight++
			err = r.found(Difference{Kind: OnlyRight, Key: right[0].key.text()})
			right = right[1:]
		default:
			if columns := r.left.differing(left[0], right[0]); columns != nil {
				r.report.Differing++
				err = r.found(Difference{Kind: Differing, Key: left[0].key.text(), Columns: columns})
			}
			left, right = left[1:], right[1:]
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (r *run) found(d Difference) error {
	if len(r.report.Examples) < r.options.Examples {
		r.report.Examples = append(r.report.Examples, d)
	}
	if r.options.Each != nil {
		return r.options.Each(r.report.Table, d)
	}
	return nil
}

// both does the same with both copies at once.
func both(left, right func() error) error {
	ended := make(chan error, 1)
	go func() { ended <- right() }()
	leftErr := left()
	rightErr := <-ended
	if leftErr != nil {
		leftErr = fmt.Errorf("left: %w", leftErr)
	}
	if rightErr != nil {
		rightErr = fmt.Errorf("right: %w", rightErr)
	}
	return errors.Join(leftErr, rightErr)
}
