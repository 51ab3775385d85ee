package schema_test

import (
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/dolthub/vitess/go/vt/sqlparser"

	"payments-dr/internal/payment/ledger/schema"
)

// contract marks a migration that takes something away, and says since which release nothing uses it.
var contract = regexp.MustCompile(`(?m)^-- contract: .*\b\d+\.\d+\.\d+\b`)

// faults are the reasons why code of the release before a migration could fail after it.
func faults(migration string) (all []string) {
	if contract.MatchString(migration) {
		return nil
	}
	up, _, _ := strings.Cut(migration, "-- +goose Down")
	statements, err := sqlparser.SplitStatementToPieces(up)
	if err != nil {
		return []string{err.Error()}
	}
	for _, statement := range statements {
		if strings.TrimSpace(statement) == "" {
			continue
		}
		parsed, err := sqlparser.Parse(statement)
		if err != nil {
			all = append(all, fmt.Sprintf("%q cannot be read: %v", statement, err))
			continue
		}
		if !expands(parsed) {
			all = append(all, fmt.Sprintf("%q is not allowed", statement))
		}
		if _, alters := parsed.(*sqlparser.AlterTable); alters && len(statements) > 1 {
			all = append(all, fmt.Sprintf("%q is not the only statement of its file; see appliedBefore", statement))
		}
	}
	return all
}

// expands reports whether a statement only creates a table, adds a column that old inserts may leave out, or adds an index
// that refuses no row.
func expands(statement sqlparser.Statement) bool {
	switch s := statement.(type) {
	case *sqlparser.DDL:
		return s.Action == sqlparser.CreateStr && s.TableSpec != nil && s.IfNotExists
	case *sqlparser.AlterTable:
		return len(s.PartitionSpecs) == 0 && len(s.Statements) > 0 && !slices.ContainsFunc(s.Statements, func(change *sqlparser.DDL) bool {
			switch {
			case change.ColumnAction == sqlparser.AddStr && len(change.TableSpec.Columns) == 1 && len(change.TableSpec.Indexes) == 0:
				column := change.TableSpec.Columns[0].Type
				return bool(column.NotNull) && column.Default == nil || column.KeyOpt != 0 || column.Constraint != nil || column.ForeignKeyDef != nil
			case change.IndexSpec != nil && change.IndexSpec.Action == sqlparser.CreateStr:
				return change.IndexSpec.Type != ""
			}
			return true
		})
	}
	return false
}

// Old code runs on the new schema while a deployment goes on and after a rollback.
func TestMigrationsOnlyExpand(t *testing.T) {
	files, err := fs.Glob(schema.Migrations, "migrations/*.sql")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d migrations, %v", len(files), err)
	}
	for _, file := range files {
		text, err := schema.Migrations.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, fault := range faults(string(text)) {
			t.Errorf(`%s: %s. Allowed are CREATE TABLE IF NOT EXISTS, and in ALTER TABLE new columns that are NULL or have a default, and new indexes that are not unique. `+
				`A migration that takes away what no release uses any more has a line "-- contract: unused since <release>".`, file, fault)
		}
	}
}

func TestWhatExpands(t *testing.T) {
	for statement, want := range map[string]bool{
		"CREATE TABLE IF NOT EXISTS t (id BIGINT PRIMARY KEY)":                   true,
		"ALTER TABLE payments ADD COLUMN memo VARCHAR(64)":                       true,
		"ALTER TABLE payments ADD COLUMN memo VARCHAR(64) NULL":                  true,
		"ALTER TABLE payments ADD COLUMN memo VARCHAR(64) NOT NULL DEFAULT ''":   true,
		"ALTER TABLE payments ADD COLUMN a INT, ADD COLUMN b INT":                true,
		"ALTER TABLE payments ADD INDEX by_region (region)":                      true,
		"CREATE INDEX by_region ON payments (region)":                            true,
		"-- contract: unused since 1.2.0\nALTER TABLE payments DROP COLUMN memo": true,

		"-- contract: unused\nALTER TABLE payments DROP COLUMN memo":      false,
		"CREATE TABLE t (id BIGINT PRIMARY KEY)":                          false, // cannot run again
		"ALTER TABLE payments ADD COLUMN memo VARCHAR(64) NOT NULL":       false,
		"ALTER TABLE payments ADD COLUMN memo VARCHAR(64) UNIQUE":         false,
		"ALTER TABLE payments ADD COLUMN memo INT CHECK (memo > 0)":       false,
		"ALTER TABLE payments ADD COLUMN a INT, DROP COLUMN region":       false,
		"ALTER TABLE payments DROP COLUMN region":                         false,
		"ALTER TABLE payments RENAME COLUMN region TO place":              false,
		"ALTER TABLE payments CHANGE COLUMN region place VARCHAR(32)":     false,
		"ALTER TABLE payments MODIFY COLUMN region VARCHAR(8)":            false,
		"ALTER TABLE payments ALTER COLUMN recorded_at DROP DEFAULT":      false,
		"ALTER TABLE payments ADD UNIQUE INDEX by_region (region)":        false,
		"ALTER TABLE payments ADD CONSTRAINT positive CHECK (amount > 1)": false,
		"ALTER TABLE payments DROP INDEX payments_accepted_at":            false,
		"ALTER TABLE payments RENAME TO ledger":                           false,
		"CREATE UNIQUE INDEX by_region ON payments (region)":              false,
		"DROP INDEX payments_accepted_at ON payments":                     false,
		"DROP TABLE payments":             false,
		"RENAME TABLE payments TO ledger": false,
		"TRUNCATE TABLE payments":         false,
		"DELETE FROM payments":            false,
		"CREATE TABLE IF NOT EXISTS t (id BIGINT PRIMARY KEY); DROP TABLE payments":    false,
		"ALTER TABLE payments ADD COLUMN a INT; ALTER TABLE payments ADD COLUMN b INT": false,
		"ALTER TABLE payments ENGINE = whatever is this":                               false,
	} {
		if found := faults(statement); (len(found) == 0) != want {
			t.Errorf("%q expands: %v; want %v: %v", statement, !want, want, found)
		}
	}
}
