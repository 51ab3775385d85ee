// Package restore brings the ledger's database and the session table back as they were at a moment of the last 72 hours or more,
// each beside the live one and without touching it: plan, start, wait, compare, hand over, clean up.
//
// Aurora's Backtrack would turn a cluster back in place. It does not exist in a global database, for any member ("Limitations of
// Amazon Aurora Global Database", Amazon Aurora User Guide); neither does a restore in place ("Restoring a DB cluster to a
// specified time", the same guide: into a new cluster). This is the way instead: point-in-time recovery into a new cluster and
// a new table, whose windows the settings keep at 72 hours or more. docs/operate/restore.md says when to go it, and how by hand.
//
// What is brought back has a name made of the moment, so that the same plan started twice is carried out once, and a plan that
// was broken off is taken up where it stands.
package restore

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"time"

	"payments-dr/internal/payment/compare"
	"payments-dr/internal/payment/reconcile"
)

// nameMark is in the name of everything that is brought back, and of nothing else.
const nameMark = "-restore-"

// Name is what the copy of a live cluster or table as of a moment is called: beside it, in its Region. It tells the minute; a
// copy knows its second itself. The operator's role may make and remove what has such a name, and nothing else.
func Name(source string, moment time.Time) string {
	return source + nameMark + moment.UTC().Format("200601021504")
}

// Plan is one copy to be brought back.
type Plan struct {
	// Source is the live cluster or table, Name the copy beside it.
	Source, Name string
	// Moment is as of when, UTC, a whole second: the next before the one that was asked for.
	Moment time.Time
	// Begun is that the copy exists, or is being made.
	Begun bool
	// Earliest and Latest are the window of the source; zero if Begun.
	Earliest, Latest time.Time
}

// OutsideWindowError says that a source cannot be brought back to a moment.
type OutsideWindowError struct {
	Source                   string
	Moment, Earliest, Latest time.Time
}

func (e *OutsideWindowError) Error() string {
	return fmt.Sprintf("%s cannot be brought back to %s; allowed are moments from %s to %s", e.Source,
		e.Moment.Format(time.RFC3339), e.Earliest.Format(time.RFC3339), e.Latest.Format(time.RFC3339))
}

// NoWindowError says that a source keeps nothing that it could be brought back from.
type NoWindowError struct{ Source string }

func (e *NoWindowError) Error() string { return e.Source + " has no point-in-time recovery" }

// OccupiedError says that the name of a copy belongs to something else: to a copy of another second of the same minute, or to
// what was not brought back by this package at all. Nothing is done to it.
type OccupiedError struct{ Name, Holds string }

func (e *OccupiedError) Error() string { return e.Name + " is there already: " + e.Holds }

// FailedError says that AWS has given a copy up.
type FailedError struct{ Name, Status string }

func (e *FailedError) Error() string { return e.Name + " is " + e.Status }

// NotACopyError says that something is not to be removed, because it was not brought back by this package.
type NotACopyError struct{ Name string }

func (e *NotACopyError) Error() string {
	return e.Name + " was not brought back from another, and is left alone"
}

// Progress is where a copy stands.
type Progress struct {
	Name string
	// Status is AWS's own word, or "gone".
	Status  string
	Elapsed time.Duration
}

// Patience says how to wait. The zero value asks every 15 seconds and tells nobody.
type Patience struct {
	// Interval is how often AWS is asked.
	Interval time.Duration
	// Progress, if given, is called with each answer.
	Progress func(Progress)
	// Tolerate, if given, is asked about each failure to get an answer; after a yes, AWS is asked again. Without it the first failure
	// ends the waiting.
	Tolerate func(name string, err error) bool
}

const defaultInterval = 15 * time.Second

// until asks until the answer is that it is done. A cancelled context ends it, and what AWS is doing goes on.
func (p Patience) until(ctx context.Context, name string, ask func() (status string, done bool, err error)) error {
	started := time.Now()
	interval := p.Interval
	if interval <= 0 {
		interval = defaultInterval
	}
	for {
		status, done, err := ask()
		switch {
		case err != nil && (ctx.Err() != nil || p.Tolerate == nil || !p.Tolerate(name, err)):
			return err
		case err == nil && p.Progress != nil:
			p.Progress(Progress{Name: name, Status: status, Elapsed: time.Since(started)})
		}
		if err == nil && done {
			return nil
		}
		select {
		case <-time.After(interval):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Copy is something that was brought back and is there.
type Copy struct {
	// Source is the live one; empty: this is not a copy.
	Name, Source string
	// Moment is as of when it is; zero if it does not tell.
	Moment time.Time
	// Status is AWS's own word.
	Status string
}

// copies are the copies of one live cluster or table. T is AWS's description of either.
type copies[T any] struct {
	// live is the name of the live one, kind the word for what it is.
	live, kind string
	Patience   Patience

	// lookUp describes one by its name; nil if there is none.
	lookUp func(ctx context.Context, name string) (*T, error)
	// list describes those whose names begin with a prefix.
	list func(ctx context.Context, prefix string) ([]*T, error)
	// tell says what is known of one.
	tell func(*T) Copy
	// window is what the live one can be restored to; nil if it keeps nothing.
	window func(context.Context) (earliest, latest *time.Time, err error)
	// restore starts a restore. taken is that something has the name already.
	restore func(context.Context, Plan) (taken bool, err error)
	// remove starts the removal.
	remove func(context.Context, *T) error
}

// Plan plans a copy. A copy that exists outlives the window that it was made in, so only a new one is checked against the window:
// the error is an OutsideWindowError or a NoWindowError.
func (c copies[T]) Plan(ctx context.Context, moment time.Time) (Plan, error) {
	p := Plan{Source: c.live, Name: Name(c.live, moment), Moment: moment.UTC().Truncate(time.Second)}
	found, err := c.find(ctx, p)
	if p.Begun = found != nil; err != nil || p.Begun {
		return p, err
	}
	earliest, latest, err := c.window(ctx)
	if err != nil {
		return Plan{}, err
	}
	if earliest == nil || latest == nil {
		return Plan{}, &NoWindowError{c.live}
	}
	p.Earliest, p.Latest = earliest.UTC(), latest.UTC()
	if p.Moment.Before(p.Earliest) || p.Moment.After(p.Latest) {
		return Plan{}, &OutsideWindowError{Source: c.live, Moment: p.Moment, Earliest: p.Earliest, Latest: p.Latest}
	}
	return p, nil
}

// Copies are all copies of the live one that exist, in the order of their names.
func (c copies[T]) Copies(ctx context.Context) ([]Copy, error) {
	all, err := c.list(ctx, c.live+nameMark)
	if err != nil {
		return nil, err
	}
	var found []Copy
	for _, one := range all {
		if told := c.tell(one); told.Source == c.live {
			found = append(found, told)
		}
	}
	slices.SortFunc(found, func(a, b Copy) int { return strings.Compare(a.Name, b.Name) })
	return found, nil
}

// Start starts the restore, unless the copy exists already.
func (c copies[T]) Start(ctx context.Context, p Plan) error {
	if found, err := c.find(ctx, p); err != nil || found != nil {
		return err
	}
	taken, err := c.restore(ctx, p)
	if taken { // another caller started it just now
		_, err = c.find(ctx, p)
		return err
	}
	if err != nil {
		return fmt.Errorf("restore %s %s: %w", c.kind, p.Name, err)
	}
	return nil
}

// wait waits until a copy that was started is ready.
func (c copies[T]) wait(ctx context.Context, p Plan, ready func(*T) (status string, done bool, err error)) (*T, error) {
	return await(ctx, c.Patience, c.kind, p.Name, func() (*T, error) { return c.find(ctx, p) }, ready)
}

// await waits until something that has to exist is ready.
func await[T any](ctx context.Context, patience Patience, kind, name string, find func() (*T, error), ready func(*T) (string, bool, error)) (found *T, err error) {
	err = patience.until(ctx, name, func() (string, bool, error) {
		if found, err = find(); err != nil {
			return "", false, err
		}
		if found == nil {
			return "", false, fmt.Errorf("wait for %s %s: there is none", kind, name)
		}
		return ready(found)
	})
	return found, err
}

// CleanUp removes a copy by its name, without a snapshot, and waits until it is gone. It returns nil if there is none. It leaves
// alone what is not a copy, with a NotACopyError.
func (c copies[T]) CleanUp(ctx context.Context, name string) error {
	if !strings.Contains(name, nameMark) {
		return &NotACopyError{name}
	}
	found, err := c.lookUp(ctx, name)
	if err != nil || found == nil {
		return err
	}
	if c.tell(found).Source == "" {
		return &NotACopyError{name}
	}
	if err := c.remove(ctx, found); err != nil {
		return err
	}
	return c.Patience.until(ctx, name, func() (string, bool, error) {
		found, err := c.lookUp(ctx, name)
		if err != nil || found == nil {
			return "gone", true, err
		}
		return c.tell(found).Status, false, nil
	})
}

// find is the copy of a plan, nil if there is none.
func (c copies[T]) find(ctx context.Context, p Plan) (*T, error) {
	found, err := c.lookUp(ctx, p.Name)
	if err != nil || found == nil {
		return nil, err
	}
	switch told := c.tell(found); {
	case told.Source == "":
		return nil, &OccupiedError{Name: p.Name, Holds: "a " + c.kind + " that was not brought back"}
	case told.Source != p.Source || !told.Moment.Equal(p.Moment):
		return nil, &OccupiedError{Name: p.Name, Holds: told.Source + " as of " + told.Moment.Format(time.RFC3339)}
	}
	return found, nil
}

// settle is how long before the moment the comparison ends. A row is given its time before it is committed, and an index follows
// its table: what was on its way at the moment itself is not judged.
const settle = time.Minute

// CompareLedgers tells in what the live database differs from the copy, in the rows that were recorded a minute before the
// moment or earlier. Rows of the ledger are never changed, so that every difference there is one that somebody made. The live
// one is left, the copy right.
func CompareLedgers(ctx context.Context, live, restored *sql.DB, p Plan, options compare.Options) ([]compare.Report, error) {
	options.Before = &compare.Bound{Column: "recorded_at", Time: p.Moment.Add(-settle)}
	return compare.Databases(ctx, live, restored, options)
}

// CompareSessions does the same for the session table, over the payments that were accepted from a time on.
func CompareSessions(ctx context.Context, live, restored reconcile.Table, p Plan, from time.Time, options compare.Options) (compare.Report, error) {
	return compare.SessionTables(ctx, live, restored, p.Source, reconcile.Window{From: from, To: p.Moment.Add(-settle)}, options)
}

// failed reports whether a status of RDS is one that does not pass ("Viewing DB cluster status" and "Viewing DB instance status",
// Amazon Aurora User Guide).
func failed(status string) bool {
	for _, part := range []string{"fail", "incompatible", "inaccessible", "error"} {
		if strings.Contains(status, part) {
			return true
		}
	}
	return false
}
