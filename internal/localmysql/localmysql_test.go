package localmysql_test

import (
	"errors"
	"testing"

	"payments-dr/internal/localmysql"
)

func TestMariaDBThatIsNotThere(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	if _, err := localmysql.StartMariaDB(); !errors.Is(err, localmysql.ErrNotInstalled) {
		t.Errorf("error %v", err)
	}
}

func TestServersKeepData(t *testing.T) {
	servers, closeAll, err := localmysql.StartAll()
	if err != nil {
		t.Fatal(err)
	}
	defer closeAll()
	for name, server := range servers {
		t.Run(name, func(t *testing.T) {
			if err := server.Exec(t.Context(), "", "CREATE DATABASE d", "CREATE TABLE d.t (v INT PRIMARY KEY)", "INSERT INTO d.t VALUES (7)"); err != nil {
				t.Fatal(err)
			}
			if server.InnoDB {
				server.Kill()
				if err := server.Restart(); err != nil {
					t.Fatal(err)
				}
			}
			database, err := server.Open("d")
			if err != nil {
				t.Fatal(err)
			}
			defer database.Close()
			var v int
			if err := database.QueryRow("SELECT v FROM t").Scan(&v); err != nil || v != 7 {
				t.Errorf("v is %d, %v", v, err)
			}
		})
	}
}
