package localmysql

import (
	"context"
	"strings"
	"sync"

	gmssql "github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/vitess/go/mysql"
	"github.com/dolthub/vitess/go/sqltypes"
)

// serial runs the transactions of all connections one after the other. The embedded server's memory is a copy for each
// transaction, and the last to commit would win; one at a time they are isolated, if not concurrent. On the way it keeps
// read_only and the history.
type serial struct {
	mysql.Handler
	readOnly readOnly
	history  history
	turn     sync.Mutex
	mu       sync.Mutex
	// turns are by connection; there is one at most.
	turns map[uint32]*turn
}

// turn is a connection's, for a transaction or a statement.
type turn struct {
	inTransaction bool
	// written is what the transaction has written so far.
	written []statement
}

func newSerial(handler mysql.Handler) *serial {
	return &serial{Handler: handler, turns: map[uint32]*turn{}}
}

// run runs one statement. Its turn ends with it, or if it is in a transaction, with that. What executes it calls done when it
// was done: a later error is that the client could not be told.
func (s *serial) run(ctx context.Context, c *mysql.Conn, st statement, execute func(ctx context.Context, done func()) error) error {
	verb := st.verb()
	if aboutReadOnly(verb, st.text) {
		return s.readOnly.run(func() error { return execute(ctx, func() {}) })
	}
	if strings.Contains(strings.ToUpper(st.text), "GET_LOCK(") {
		return execute(ctx, func() {}) // a named lock is waited for while its holder goes on
	}
	t := s.take(c)
	err := s.readOnly.guard(verb, len(t.written) > 0, func() error {
		var done bool
		var ranIn *gmssql.Context
		err := execute(context.WithValue(ctx, contextKey{}, &ranIn), func() { done = true })
		if done || err == nil {
			s.note(t, verb, st.in(ranIn))
		}
		return err
	})
	switch verb {
	case "START", "BEGIN":
		t.inTransaction = true
	case "COMMIT", "ROLLBACK":
		if err == errReadOnly {
			_ = s.Handler.ComQuery(ctx, c, "ROLLBACK", func(*sqltypes.Result, bool) error { return nil })
		}
		t.inTransaction = false
	}
	if !t.inTransaction {
		s.release(c)
	}
	return err
}

// note writes down what a statement has done to the data.
func (s *serial) note(t *turn, verb string, st statement) {
	switch {
	case verb == "COMMIT" || verb == "START" || verb == "BEGIN": // a new transaction commits the one before
		s.history.add(t.written)
		t.written = nil
	case verb == "ROLLBACK":
		t.written = nil
	case t.inTransaction && changes[verb] == rows:
		t.written = append(t.written, st)
	case changes[verb] != nothing: // a definition is not part of a transaction
		s.history.add([]statement{st})
	}
}

// take waits for the connection's turn, unless it has it.
func (s *serial) take(c *mysql.Conn) *turn {
	s.mu.Lock()
	t := s.turns[c.ConnectionID]
	s.mu.Unlock()
	if t != nil {
		return t
	}
	s.turn.Lock()
	s.mu.Lock()
	defer s.mu.Unlock()
	t = &turn{}
	s.turns[c.ConnectionID] = t
	return t
}

// release ends a connection's turn, if it is its turn.
func (s *serial) release(c *mysql.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.turns[c.ConnectionID] != nil {
		delete(s.turns, c.ConnectionID)
		s.turn.Unlock()
	}
}

func (s *serial) ComQuery(ctx context.Context, c *mysql.Conn, query string, callback mysql.ResultSpoolFn) error {
	return s.run(ctx, c, newStatement(query, nil), func(ctx context.Context, done func()) error {
		return s.Handler.ComQuery(ctx, c, query, func(result *sqltypes.Result, more bool) error {
			done()
			return callback(result, more)
		})
	})
}

func (s *serial) ComStmtExecute(ctx context.Context, c *mysql.Conn, prepare *mysql.PrepareData, callback func(*sqltypes.Result) error) error {
	return s.run(ctx, c, newStatement(prepare.PrepareStmt, prepare.BindVars), func(ctx context.Context, done func()) error {
		return s.Handler.ComStmtExecute(ctx, c, prepare, func(result *sqltypes.Result) error {
			done()
			return callback(result)
		})
	})
}

func (s *serial) ConnectionClosed(c *mysql.Conn) {
	s.Handler.ConnectionClosed(c) // which rolls back
	s.release(c)
}

// contextKey is the key of where to put the engine's context of a statement.
type contextKey struct{}

func newContext(ctx context.Context, options ...gmssql.ContextOption) *gmssql.Context {
	c := gmssql.NewContext(ctx, options...)
	if ranIn, ok := ctx.Value(contextKey{}).(**gmssql.Context); ok && *ranIn == nil {
		*ranIn = c
	}
	return c
}
