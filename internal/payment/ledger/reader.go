package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"
)

// roleTimeout limits the query of one endpoint.
const roleTimeout = 10 * time.Second

// IsStandby reports whether a Region's cluster takes no writes because another Region's does: its writer endpoint leads to a reader,
// or, as in a secondary of a global database, nowhere while the reader endpoint answers as a reader. Config.Host is the writer
// endpoint. An empty readerHost is none.
func IsStandby(ctx context.Context, config Config, readerHost string) (bool, error) {
	reader, err := isReader(ctx, config)
	if err == nil || readerHost == "" {
		return reader, err
	}
	config.Host = readerHost
	reader, readerErr := isReader(ctx, config)
	switch {
	case readerErr != nil:
		return false, errors.Join(fmt.Errorf("query the writer endpoint: %w", err), fmt.Errorf("query the reader endpoint: %w", readerErr))
	case !reader:
		return false, fmt.Errorf("query the writer endpoint: %w", err)
	}
	return true, nil
}

func isReader(ctx context.Context, config Config) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, roleTimeout)
	defer cancel()
	database, err := OpenDatabase(config)
	if err != nil {
		return false, err
	}
	defer database.Close()
	return IsReader(ctx, database)
}

// IsReader tells whether the server takes no writes. On Aurora, innodb_read_only tells the instances of a cluster apart.
func IsReader(ctx context.Context, database *sql.DB) (bool, error) {
	// Not @@innodb_read_only: a server that does not know a variable refuses the whole statement.
	rows, err := database.QueryContext(ctx, "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('innodb_read_only', 'read_only')")
	if err != nil {
		return false, fmt.Errorf("read variables: %w", err)
	}
	defer rows.Close()
	reader := false
	for rows.Next() {
		var name, value string
		if err := rows.Scan(&name, &value); err != nil {
			return false, fmt.Errorf("read variables: %w", err)
		}
		reader = reader || value == "1" || strings.EqualFold(value, "ON")
	}
	if err := rows.Err(); err != nil {
		return false, fmt.Errorf("read variables: %w", err)
	}
	return reader, nil
}
