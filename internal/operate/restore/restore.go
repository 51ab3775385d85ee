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
	// Earliest and Latest are the window that the source could be brought back to when the plan was made.
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

// PlanOf is a plan whose moment is not checked against any window: for a copy that is there, and outlives the window that it was
// made in.
func PlanOf(source string, moment time.Time) Plan {
	return Plan{Source: source, Name: Name(source, moment), Moment: moment.UTC().Truncate(time.Second)}
}

// Copy is something that was brought back and is there.
type Copy struct {
	Name, Source string
	// Moment is as of when it is; zero if it does not tell.
	Moment time.Time
	// Status is AWS's own word.
	Status string
}

// plan checks a moment against a window.
func plan(source string, moment, earliest, latest time.Time) (Plan, error) {
	p := PlanOf(source, moment)
	p.Earliest, p.Latest = earliest.UTC(), latest.UTC()
	if p.Moment.Before(p.Earliest) || p.Moment.After(p.Latest) {
		return Plan{}, &OutsideWindowError{Source: source, Moment: p.Moment, Earliest: p.Earliest, Latest: p.Latest}
	}
	return p, nil
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
