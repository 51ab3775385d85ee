package schema

// MigrateWith is Migrate with other files.
var MigrateWith = migrate

// Newest is above every version.
const Newest = newest

// Migrations are the files of this release.
var Migrations = migrations
