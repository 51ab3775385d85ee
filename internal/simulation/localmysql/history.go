package localmysql

import (
	"context"
	"fmt"
	"io"
	"math"
	"sync"
	"time"

	gms "github.com/dolthub/go-mysql-server"
	"github.com/dolthub/go-mysql-server/memory"
	gmssql "github.com/dolthub/go-mysql-server/sql"
)

// history is what an embedded server has committed, in that order. MySQL's would be its binary log in the format "statement".
type history struct{ transactions []transaction }

type transaction struct {
	statements []statement
	at         time.Time
}

// histories guards those of all embedded servers and what carries them from one to the other, and tells of every change.
var histories = sync.NewCond(&sync.Mutex{})

func (h *history) add(statements []statement) {
	if len(statements) == 0 {
		return
	}
	histories.L.Lock()
	defer histories.L.Unlock()
	h.transactions = append(h.transactions, transaction{statements, time.Now()})
	histories.Broadcast()
}

// applier runs on an embedded server what another has committed, whether the server is read-only or not.
type applier struct {
	serial  *serial
	engine  *gms.Engine
	session gmssql.Session
}

func newApplier(s *Server) *applier {
	client := gmssql.Client{User: User, Address: host}
	session := memory.NewSession(gmssql.NewBaseSessionWithClientServer(host, client, math.MaxUint32), s.embedded.provider)
	return &applier{serial: s.embedded.serial, engine: s.embedded.server.Engine, session: session}
}

// apply runs a transaction, which is then in the server's own history as well.
func (a *applier) apply(t transaction) error {
	a.serial.turn.Lock()
	defer a.serial.turn.Unlock()
	if err := a.execute(statement{text: "START TRANSACTION", at: t.at}); err != nil {
		return err
	}
	for _, s := range t.statements {
		if err := a.execute(s); err != nil {
			return err
		}
	}
	if err := a.execute(statement{text: "COMMIT", at: t.at}); err != nil {
		return err
	}
	a.serial.history.add(t.statements)
	return nil
}

func (a *applier) execute(s statement) error {
	ctx := gmssql.NewContext(context.Background(), gmssql.WithSession(a.session))
	ctx.SetCurrentDatabase(s.database)
	ctx.SetQueryTime(s.at)
	values, err := s.values()
	if err != nil {
		return fmt.Errorf("replicate %s: %w", s.verb(), err)
	}
	_, results, _, err := a.engine.QueryWithBindings(ctx, s.text, nil, values, nil)
	if err != nil {
		return fmt.Errorf("replicate %s: %w", s.verb(), err)
	}
	for err == nil {
		_, err = results.Next(ctx)
	}
	if err != io.EOF {
		_ = results.Close(ctx)
		return fmt.Errorf("replicate %s: %w", s.verb(), err)
	}
	if err := results.Close(ctx); err != nil {
		return fmt.Errorf("replicate %s: %w", s.verb(), err)
	}
	return nil
}
