package localmysql

import (
	"fmt"
	"net"
	"sync"

	gms "github.com/dolthub/go-mysql-server"
	"github.com/dolthub/go-mysql-server/memory"
	"github.com/dolthub/go-mysql-server/server"
	gmssql "github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/mysql_db"
	"github.com/dolthub/go-mysql-server/sql/types"
	"github.com/dolthub/vitess/go/mysql"
	"github.com/sirupsen/logrus"
)

// embedded is what makes a Server an embedded one.
type embedded struct {
	server   *server.Server
	provider *memory.DbProvider
	serial   *serial
}

// overrideVariables teaches the embedded server what MySQL's own knows. The variables are the process's.
var overrideVariables = sync.OnceFunc(func() {
	logrus.SetLevel(logrus.FatalLevel) // it logs every connection, and every statement that it refuses
	gmssql.SystemVariables.AddSystemVariables([]gmssql.SystemVariable{&gmssql.MysqlSystemVariable{
		Name: "innodb_lock_wait_timeout", Scope: gmssql.GetMysqlScope(gmssql.SystemVariableScope_Both), Dynamic: true,
		Type: types.NewSystemIntType("innodb_lock_wait_timeout", 1, 1<<30, false), Default: int64(50),
	}})
})

// making is held while an engine is made, which resets counters of the process.
var making sync.Mutex

func newEngine(provider *memory.DbProvider) *gms.Engine {
	making.Lock()
	defer making.Unlock()
	return gms.NewDefault(provider)
}

// StartEmbedded starts a server inside this process, on a port of the loopback interface. It keeps everything in memory. Global
// variables, but for read_only, are those of all embedded servers of the process.
func StartEmbedded() (*Server, error) {
	overrideVariables()
	e := &embedded{provider: memory.NewDBProvider()}
	engine := newEngine(e.provider)
	users := engine.Analyzer.Catalog.MySQLDb
	users.SetEnabled(true)
	users.SetPersister(&mysql_db.NoopPersister{})
	editor := users.Editor()
	users.AddSuperUser(editor, User, "%", Password)
	editor.Close()
	// One statement at a time: of several in a row the history would not know where they end.
	config := server.Config{Protocol: "tcp", Address: host + ":0", DisableClientMultiStatements: true}
	wrap := func(handler mysql.Handler) (mysql.Handler, error) {
		e.serial = newSerial(handler)
		return e.serial, nil
	}
	var err error
	if e.server, err = server.NewServerWithHandler(config, engine, newContext, memory.NewSessionBuilder(e.provider), nil, wrap); err != nil {
		return nil, fmt.Errorf("start embedded server: %w", err)
	}
	s := &Server{Host: host, Port: e.server.Listener.Addr().(*net.TCPAddr).Port, embedded: e, ended: make(chan struct{})}
	go func() {
		_ = e.server.Start() // ends with Close
		close(s.ended)
	}()
	if err := s.wait(); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}
