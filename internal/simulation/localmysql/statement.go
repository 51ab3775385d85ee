package localmysql

import (
	"bytes"
	"strings"
	"time"

	gmssql "github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/vitess/go/sqltypes"
	querypb "github.com/dolthub/vitess/go/vt/proto/query"
	"github.com/dolthub/vitess/go/vt/sqlparser"
)

// statement is a statement with all that its outcome depends on, so that it can be run again elsewhere.
type statement struct {
	text       string
	parameters map[string]*querypb.BindVariable
	database   string
	// at is when it was run: what UTC_TIMESTAMP and its like return.
	at time.Time
}

// newStatement copies what the connection uses again for its next packet.
func newStatement(text string, parameters map[string]*querypb.BindVariable) statement {
	s := statement{text: strings.Clone(text)}
	if len(parameters) > 0 {
		s.parameters = map[string]*querypb.BindVariable{}
	}
	for name, p := range parameters {
		s.parameters[strings.Clone(name)] = &querypb.BindVariable{Type: p.Type, Value: bytes.Clone(p.Value)}
	}
	return s
}

// in is the statement with the database and the time of the context that it was run in.
func (s statement) in(ctx *gmssql.Context) statement {
	if ctx != nil {
		s.database, s.at = ctx.GetCurrentDatabase(), ctx.QueryTime()
	}
	return s
}

// verb is a statement's first word, in capitals.
func (s statement) verb() string {
	text := strings.TrimLeft(sqlparser.StripLeadingComments(s.text), " \t\r\n(")
	end := strings.IndexFunc(text, func(r rune) bool { return r < 'A' || r > 'z' })
	if end < 0 {
		end = len(text)
	}
	return strings.ToUpper(text[:end])
}

// values are the parameters as the engine takes them.
func (s statement) values() (map[string]sqlparser.Expr, error) {
	values := map[string]sqlparser.Expr{}
	for name, p := range s.parameters {
		value, err := sqltypes.BindVariableToValue(p)
		if err != nil {
			return nil, err
		}
		if values[name], err = sqlparser.ExprFromValue(value); err != nil {
			return nil, err
		}
	}
	return values, nil
}

// change is what kind of change a statement makes.
type change int

const (
	nothing change = iota
	rows
	definitions
)

// changes are the statements that a reader refuses and a history has, by their first word.
var changes = map[string]change{
	"INSERT": rows, "UPDATE": rows, "DELETE": rows, "REPLACE": rows, "LOAD": rows, "CALL": rows,
	"CREATE": definitions, "ALTER": definitions, "DROP": definitions, "RENAME": definitions, "TRUNCATE": definitions,
	"GRANT": definitions, "REVOKE": definitions,
}
