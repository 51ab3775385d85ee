package ledger

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
)

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
