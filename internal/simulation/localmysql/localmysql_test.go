package localmysql_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"payments-dr/internal/simulation/localmysql"
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

// A server leaves nothing behind, and everybody else's files alone.
func TestMariaDBLeavesNothing(t *testing.T) {
	if os.Getenv(localmysql.MariaDBVariable) != "1" {
		t.Skip("set " + localmysql.MariaDBVariable + "=1")
	}
	directory := t.TempDir()
	t.Setenv("TMPDIR", directory)
	// What a server takes for a temporary table of its own that an earlier one has left, and what a server next to it would miss.
	others := filepath.Join(directory, "#sql-temptable-1-1-1.MAI")
	if err := os.WriteFile(others, nil, 0o600); err != nil {
		t.Fatal(err)
	}
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
	if err := os.Remove(others); err != nil {
		t.Errorf("another server's temporary table: %v", err)
	}
	if left, err := os.ReadDir(directory); err != nil || len(left) != 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}
