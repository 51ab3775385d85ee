package localmysql

import (
	"fmt"
	"strings"
	"sync"

	gmssql "github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/vitess/go/mysql"
)

// errReadOnly is what MySQL answers to whoever writes to a server that is read-only: ER_OPTION_PREVENTS_STATEMENT, 1290
// ("Server Error Message Reference", MySQL 8.0 Error Message Reference).
var errReadOnly = mysql.NewSQLError(mysql.EROptionPreventsStatement, mysql.SSUnknownSQLState,
	"The MySQL server is running with the --read-only option so it cannot execute this statement")

// readOnly is the embedded server's variable read_only. The engine has one of that name for the whole process and does not
// heed it.
type readOnly struct {
	// mu is held by whoever changes it, and shared by what runs: when read_only is on, nothing is being written any more.
	mu sync.RWMutex
	on bool
}

// readOnlyVariable is the engine's own, which shows one server's while a statement about it is run.
var readOnlyVariable sync.Mutex

const readOnlyName = "read_only"

// aboutReadOnly tells the statements that set the variable or show it. It is not read by SELECT @@read_only.
func aboutReadOnly(verb, text string) bool {
	return (verb == "SET" || verb == "SHOW") && strings.Contains(strings.ToLower(text), readOnlyName)
}

// run runs a statement about the variable.
func (r *readOnly) run(execute func() error) error {
	readOnlyVariable.Lock()
	defer readOnlyVariable.Unlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := setReadOnlyVariable(r.on); err != nil {
		return err
	}
	err := execute()
	if _, value, ok := gmssql.SystemVariables.GetGlobal(readOnlyName); ok {
		r.on = fmt.Sprint(value) == "1"
	}
	if err := setReadOnlyVariable(false); err != nil {
		return err
	}
	return err
}

func setReadOnlyVariable(on bool) error {
	value := int8(0)
	if on {
		value = 1
	}
	return gmssql.SystemVariables.SetGlobal(gmssql.NewEmptyContext(), readOnlyName, value)
}

// guard runs any other statement, unless it writes, or would commit what was written before, and must not. MySQL excepts users
// of the privilege CONNECTION_ADMIN; here there is none, as there is none on a reader of Aurora's.
func (r *readOnly) guard(verb string, hasWritten bool, execute func() error) error {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if r.on && (changes[verb] != nothing || verb == "COMMIT" && hasWritten) {
		return errReadOnly
	}
	return execute()
}
