package schema

import (
	"strings"
	"testing"

	"github.com/go-sql-driver/mysql"
)

// UnderstandEmbedded has the embedded server understood, which has no number for a column or an index that is there.
func UnderstandEmbedded(t testing.TB) {
	before := alreadyThere
	t.Cleanup(func() { alreadyThere = before })
	alreadyThere = func(err *mysql.MySQLError) bool {
		return before(err) || err.Number == 1105 && (strings.Contains(err.Message, "already exists") || strings.Contains(err.Message, "Duplicate key name"))
	}
}

// MigrateWith is Migrate with other files.
var MigrateWith = migrate

// Newest is above every version.
const Newest = newest

// Migrations are the files of this release.
var Migrations = migrations

// Latest is the version of this release.
func Latest(t testing.TB) int64 {
	files, err := migrations.ReadDir("migrations")
	if err != nil {
		t.Fatal(err)
	}
	return int64(len(files))
}
