package localmysql

import (
	"context"
	"errors"
	"reflect"
	"testing"

	"github.com/dolthub/vitess/go/mysql"
	"github.com/dolthub/vitess/go/sqltypes"
)

// gone is a handler that does every statement, whose clients do not hear of it.
type gone struct{ mysql.Handler }

var errGone = errors.New("the client is gone")

func (gone) ComQuery(_ context.Context, _ *mysql.Conn, query string, callback mysql.ResultSpoolFn) error {
	if query == "INSERT refused" {
		return errors.New("refused")
	}
	return errors.Join(callback(&sqltypes.Result{}, false), errGone)
}

func (gone) ConnectionClosed(*mysql.Conn) {}

// What was committed is committed, although nobody could be told.
func TestHistoryHasWhatNobodyHeardOf(t *testing.T) {
	s := newSerial(gone{})
	for connection, statements := range [][]string{
		{"INSERT alone"}, {"INSERT refused"}, {"BEGIN", "INSERT a", "INSERT refused", "/* b */ update b", "COMMIT"},
		{"START TRANSACTION", "INSERT lost", "ROLLBACK"}, {"START TRANSACTION", "INSERT cut off"}, {"CREATE TABLE c"}, {"SELECT 1"},
	} {
		c := &mysql.Conn{ConnectionID: uint32(connection)}
		for _, statement := range statements {
			if err := s.ComQuery(t.Context(), c, statement, func(*sqltypes.Result, bool) error { return nil }); err == nil {
				t.Errorf("%s: no error", statement)
			}
		}
		s.ConnectionClosed(c)
	}
	var got [][]string
	for _, transaction := range s.history.transactions {
		var texts []string
		for _, statement := range transaction.statements {
			texts = append(texts, statement.text)
		}
		got = append(got, texts)
	}
	want := [][]string{{"INSERT alone"}, {"INSERT a", "/* b */ update b"}, {"CREATE TABLE c"}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("history %q, want %q", got, want)
	}
}
