// Package schema makes the ledger's table and the user that writes to it. It is apart from package ledger so that the
// functions of the payment path do not carry the migrations along.
package schema

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/pressly/goose/v3"

	"payments-dr/internal/payment/ledger"
)

//go:embed migrations/*.sql
var migrations embed.FS

const (
	// versionTable is where goose notes what has been applied.
	versionTable = "schema_versions"
	// lockName is the lock of the one migration that runs. Locks are the server's, not the database's, hence the prefix.
	lockName = "payments-ledger-migration"
	// lockAttempts bounds the wait for another migration to end: each is one second, so that no statement is silent for longer
	// than a connection allows.
	lockAttempts = 30
)

// IAMAuthentication is how a user of Aurora MySQL signs in with tokens of IAM and over TLS alone ("Creating a database account
// using IAM authentication", Amazon Aurora User Guide). No other MySQL server has this plugin.
const IAMAuthentication = "IDENTIFIED WITH AWSAuthenticationPlugin AS 'RDS' REQUIRE SSL"

// User is the database user of the functions: it may read payments and add them, and nothing else.
type User struct {
	// Name is the user's name, of letters, digits and underscores. The user may come from any host.
	Name string
	// Authentication is the rest of the CREATE USER statement: IAMAuthentication, or on servers that are not Aurora
	// "IDENTIFIED BY '…'".
	Authentication string
}

// Outcome is what Migrate found and did.
type Outcome string

const (
	// Migrated is a database that was brought to the newest version.
	Migrated Outcome = "migrated"
	// UpToDate is a database that had it.
	UpToDate Outcome = "up-to-date"
	// Reader is an instance that cannot be written to, and was not.
	Reader Outcome = "reader"
)

// Result is an outcome and the version that the database has now. It is 0 when a reader does not have any.
type Result struct {
	Outcome Outcome
	Version int64
}

// Migrate brings a database to the newest version and sees to the user. Two at once wait for each other; when there is nothing
// to do it does nothing. On a reader, which gets all of it by replication, it does nothing either and says so.
//
// The pool needs two connections.
func Migrate(ctx context.Context, database *sql.DB, user User) (Result, error) {
	return MigrateTo(ctx, database, user, newest)
}

// newest is above every version.
const newest = math.MaxInt64

// MigrateTo is Migrate up to a version, such as the one that a backup was made with. A database that is beyond it stays as it is.
func MigrateTo(ctx context.Context, database *sql.DB, user User, version int64) (Result, error) {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return Result{}, fmt.Errorf("read migrations: %w", err)
	}
	return migrate(ctx, database, user, files, version)
}

func migrate(ctx context.Context, database *sql.DB, user User, files fs.FS, limit int64) (Result, error) {
	reader, err := ledger.IsReader(ctx, database)
	if err != nil {
		return Result{}, err
	}
	if reader {
		return Result{Outcome: Reader, Version: version(ctx, database)}, nil
	}
	release, err := lock(ctx, database)
	if err != nil {
		return Result{}, err
	}
	defer release()
	provider, err := goose.NewProvider(goose.DialectMySQL, database, files,
		goose.WithTableName(versionTable), goose.WithDisableGlobalRegistry(true), goose.WithLogger(goose.NopLogger()))
	if err != nil {
		return Result{}, fmt.Errorf("read migrations: %w", err)
	}
	applied, err := provider.UpTo(ctx, limit)
	for err != nil {
		done, ok := appliedBefore(err)
		if !ok {
			return Result{}, fmt.Errorf("migrate: %w", err)
		}
		if _, err := database.ExecContext(ctx, "INSERT INTO "+versionTable+" (version_id, is_applied) VALUES (?, TRUE)", done.Source.Version); err != nil {
			return Result{}, fmt.Errorf("note version: %w", err)
		}
		applied = append(applied, done)
		_, err = provider.UpTo(ctx, limit)
	}
	if err := createUser(ctx, database, user); err != nil {
		return Result{}, err
	}
	result := Result{Outcome: UpToDate}
	if len(applied) > 0 {
		result.Outcome = Migrated
	}
	if result.Version, err = provider.GetDBVersion(ctx); err != nil {
		return Result{}, fmt.Errorf("read version: %w", err)
	}
	return result, nil
}

// Numbers of MySQL's errors ("Server Error Message Reference", MySQL 8.0 Error Message Reference).
const (
	duplicateColumn = 1060
	duplicateIndex  = 1061
)

// alreadyThere tells the errors of adding a column or an index that is there. A variable, because a test's server has other numbers.
var alreadyThere = func(err *mysql.MySQLError) bool { return err.Number == duplicateColumn || err.Number == duplicateIndex }

// appliedBefore is the migration that failed because its column or index is there. MySQL commits a change of the schema at once, so
// that a migration can end between its change and the note of its version. A file that changes a table has one statement: if
// one of its additions is there, all are ("Atomic Data Definition Statement Support", MySQL 8.0 Reference Manual).
func appliedBefore(err error) (*goose.MigrationResult, bool) {
	partial, ok := errors.AsType[*goose.PartialError](err)
	if !ok {
		return nil, false
	}
	answered, ok := errors.AsType[*mysql.MySQLError](err)
	return partial.Failed, ok && alreadyThere(answered)
}

// version is what is noted in the database, 0 if nothing can be read.
func version(ctx context.Context, database *sql.DB) int64 {
	var v sql.NullInt64
	if err := database.QueryRowContext(ctx, "SELECT MAX(version_id) FROM "+versionTable).Scan(&v); err != nil {
		return 0
	}
	return v.Int64
}

// lock takes the lock, on a connection of its own: it is the connection's.
func lock(ctx context.Context, database *sql.DB) (release func(), err error) {
	connection, err := database.Conn(ctx)
	if err != nil {
		return nil, fmt.Errorf("lock migrations: %w", err)
	}
	var taken sql.NullBool
	for attempt := 0; attempt < lockAttempts && !taken.Bool; attempt++ {
		if err := connection.QueryRowContext(ctx, "SELECT GET_LOCK(?, 1)", lockName).Scan(&taken); err != nil {
			return nil, errors.Join(fmt.Errorf("lock migrations: %w", err), connection.Close())
		}
	}
	if !taken.Bool {
		return nil, errors.Join(errors.New("lock migrations: another migration is running"), connection.Close())
	}
	return func() {
		// Also after the context is done.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		if err := connection.QueryRowContext(ctx, "SELECT RELEASE_LOCK(?)", lockName).Scan(new(sql.NullInt64)); err != nil {
			// Not back into the pool with the lock: the server lets go of it when the connection ends.
			_ = connection.Raw(func(any) error { return driver.ErrBadConn })
		}
		_ = connection.Close()
	}, nil
}

// createUser makes the user and gives it what it needs; both statements do nothing the second time.
func createUser(ctx context.Context, database *sql.DB, user User) error {
	if user.Name == "" || strings.Trim(user.Name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") != "" {
		return fmt.Errorf("create user: %q is not of letters, digits and underscores", user.Name)
	}
	account := "'" + user.Name + "'@'%'"
	if _, err := database.ExecContext(ctx, "CREATE USER IF NOT EXISTS "+account+" "+user.Authentication); err != nil {
		return fmt.Errorf("create user: %w", err)
	}
	var name string
	if err := database.QueryRowContext(ctx, "SELECT DATABASE()").Scan(&name); err != nil {
		return fmt.Errorf("read name of database: %w", err)
	}
	for _, table := range []string{"payments", "reconciliations"} {
		exists, err := ledger.HasTable(ctx, database, table)
		if err != nil {
			return fmt.Errorf("look for table %s: %w", table, err)
		}
		if !exists { // MigrateTo has made an older schema
			continue
		}
		if _, err := database.ExecContext(ctx, "GRANT SELECT, INSERT ON `"+strings.ReplaceAll(name, "`", "``")+"`."+table+" TO "+account); err != nil {
			return fmt.Errorf("grant: %w", err)
		}
	}
	return nil
}
