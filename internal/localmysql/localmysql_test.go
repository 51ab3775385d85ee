package localmysql_test

import (
	"errors"
	"os"
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

func TestMariaDBLeavesNothing(t *testing.T) {
	if os.Getenv(localmysql.MariaDBVariable) != "1" {
		t.Skip("set " + localmysql.MariaDBVariable + "=1")
	}
	directory := t.TempDir()
	t.Setenv("TMPDIR", directory)
	installation, err := localmysql.InstallMariaDB()
	if err != nil {
		t.Fatal(err)
	}
	server, err := installation.Start()
	if err != nil {
		t.Fatal(err)
	}
	installation.Close()
	if err := server.Exec(t.Context(), "", "CREATE DATABASE d"); err != nil {
		t.Errorf("without its installation: %v", err)
	}
	server.Close()
	if left, err := os.ReadDir(directory); err != nil || len(left) != 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}
