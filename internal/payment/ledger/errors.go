package ledger

import (
	"database/sql/driver"
	"errors"
	"fmt"

	"github.com/go-sql-driver/mysql"
)

var (
	// ErrUnavailable is a ledger that cannot be reached, read or written at the moment, whatever is asked of it: no connection,
	// a refused login, a read-only instance, a deadline, locks that are not given up. Asking again with the same payments is
	// safe.
	ErrUnavailable = errors.New("the ledger is unavailable")
	// ErrRefused is a payment that the database will not take, however often it is sent. No payment of the call was recorded.
	ErrRefused = errors.New("the ledger refuses a payment")
)

// Numbers of MySQL's errors ("Server Error Message Reference", MySQL 8.0 Error Message Reference).
const (
	duplicateEntry     = 1062
	lockWaitTimeout    = 1205
	deadlock           = 1213
	dataTruncated      = 1265
	noDefault          = 1364
	incorrectValue     = 1366
	checkViolated      = 3819
	checkViolatedMaria = 4025 // MariaDB's number for it
)

// classify gives an error of the driver its kind. What is not about a row's values is the database's state.
func classify(operation string, err error) error {
	kind := ErrUnavailable
	if answered, ok := errors.AsType[*mysql.MySQLError](err); ok {
		refused := refusesRow(answered)
		if refused {
			kind = ErrRefused
		}
		if refused || answered.Number == duplicateEntry {
			err = &discreetError{answered}
		}
	}
	return fmt.Errorf("%s: %w: %w", operation, kind, err)
}

func refusesRow(err *mysql.MySQLError) bool {
	switch err.Number {
	case duplicateEntry: // another transaction's row, by the time it is there
		return false
	case dataTruncated, noDefault, incorrectValue, checkViolated, checkViolatedMaria:
		return true
	}
	class := string(err.SQLState[:2])
	return class == "22" || class == "23" // data exception, integrity constraint violation
}

// discreetError is a server's error without its text, which quotes the values of the row.
type discreetError struct{ err *mysql.MySQLError }

func (e *discreetError) Error() string {
	return fmt.Sprintf("the server's error %d", e.err.Number)
}

func (e *discreetError) Unwrap() error { return e.err }

// contended tells an error that another transaction caused and that is gone when the transaction is run again.
func contended(err error) bool {
	answered, ok := errors.AsType[*mysql.MySQLError](err)
	return ok && (answered.Number == deadlock || answered.Number == lockWaitTimeout || answered.Number == duplicateEntry)
}

// disconnected tells a connection that was there and is not any more, or that has turned out to lead to a reader.
func disconnected(err error) bool {
	return errors.Is(err, driver.ErrBadConn) || errors.Is(err, mysql.ErrInvalidConn)
}
