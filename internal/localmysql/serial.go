package localmysql

import (
	"context"
	"strings"
	"sync"

	"github.com/dolthub/vitess/go/mysql"
	"github.com/dolthub/vitess/go/sqltypes"
)

// serial runs the transactions of all connections one after the other. The embedded server's memory is a copy for each
// transaction, and the last to commit would win; one at a time they are isolated, if not concurrent.
type serial struct {
	mysql.Handler
	turn sync.Mutex
	mu   sync.Mutex
	// turns are the connections whose turn it is, in a transaction or in a statement; there is one at most.
	turns map[uint32]bool
}

func newSerial(handler mysql.Handler) (mysql.Handler, error) {
	return &serial{Handler: handler, turns: map[uint32]bool{}}, nil
}

// run runs one statement. Its turn ends with it, or if it is in a transaction, with that.
func (s *serial) run(c *mysql.Conn, statement string, execute func() error) error {
	statement = strings.ToUpper(strings.TrimSpace(statement))
	if strings.Contains(statement, "GET_LOCK(") {
		return execute() // a named lock is waited for while its holder goes on
	}
	inTransaction := s.has(c)
	if !inTransaction {
		s.turn.Lock()
		s.set(c, true)
	}
	err := execute()
	if inTransaction {
		inTransaction = !strings.HasPrefix(statement, "COMMIT") && !strings.HasPrefix(statement, "ROLLBACK")
	} else {
		inTransaction = strings.HasPrefix(statement, "START TRANSACTION") || strings.HasPrefix(statement, "BEGIN")
	}
	if !inTransaction {
		s.release(c)
	}
	return err
}

// release ends a connection's turn, if it is its turn.
func (s *serial) release(c *mysql.Conn) {
	if s.has(c) {
		s.set(c, false)
		s.turn.Unlock()
	}
}

func (s *serial) has(c *mysql.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.turns[c.ConnectionID]
}

func (s *serial) set(c *mysql.Conn, has bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if has {
		s.turns[c.ConnectionID] = true
	} else {
		delete(s.turns, c.ConnectionID)
	}
}

func (s *serial) ComQuery(ctx context.Context, c *mysql.Conn, query string, callback mysql.ResultSpoolFn) error {
	return s.run(c, query, func() error { return s.Handler.ComQuery(ctx, c, query, callback) })
}

func (s *serial) ComMultiQuery(ctx context.Context, c *mysql.Conn, query string, callback mysql.ResultSpoolFn) (rest string, err error) {
	err = s.run(c, query, func() error { rest, err = s.Handler.ComMultiQuery(ctx, c, query, callback); return err })
	return rest, err
}

func (s *serial) ComStmtExecute(ctx context.Context, c *mysql.Conn, prepare *mysql.PrepareData, callback func(*sqltypes.Result) error) error {
	return s.run(c, prepare.PrepareStmt, func() error { return s.Handler.ComStmtExecute(ctx, c, prepare, callback) })
}

func (s *serial) ConnectionClosed(c *mysql.Conn) {
	s.Handler.ConnectionClosed(c) // which rolls back
	s.release(c)
}
