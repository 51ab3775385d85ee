package ledger

import (
	"context"
	"database/sql"
	"time"
)

// ReconciledTo is the latest moment of NoteReconciled. It is zero if there is none, also in a database whose schema is too old to hold
// one.
func (l *Ledger) ReconciledTo(ctx context.Context) (time.Time, error) {
	var latest sql.NullTime
	kept, err := HasTable(ctx, l.database, "reconciliations")
	if err == nil && kept {
		err = l.database.QueryRowContext(ctx, "SELECT MAX(reconciled_to) FROM reconciliations").Scan(&latest)
	}
	if err != nil {
		return time.Time{}, classify("read reconciled time", err)
	}
	if !latest.Valid {
		return time.Time{}, nil
	}
	return latest.Time.UTC(), nil
}

// NoteReconciled records that every payment accepted before a moment is in the ledger, in whole microseconds. In a database whose
// schema is too old it does nothing.
func (l *Ledger) NoteReconciled(ctx context.Context, to time.Time) error {
	kept, err := HasTable(ctx, l.database, "reconciliations")
	if err == nil && kept {
		_, err = l.database.ExecContext(ctx, "INSERT INTO reconciliations (reconciled_to) VALUES (?)", to.UTC().Truncate(time.Microsecond))
	}
	if err != nil {
		return classify("note reconciled time", err)
	}
	return nil
}

// HasTable is whether the database has a table that its user may use. The schema of a restored backup may be older than this release.
func HasTable(ctx context.Context, database *sql.DB, name string) (bool, error) {
	var tables int
	err := database.QueryRowContext(ctx, "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = ?", name).Scan(&tables)
	return tables > 0, err
}
