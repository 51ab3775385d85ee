package stackstest

import (
	"flag"
	"os"
	"path/filepath"
	"testing"
)

// Update is whether the tests write the generated files, as make generate wants it.
var Update = flag.Bool("update", false, "write the generated files, as make generate does")

// Current compares a generated file of the repository with what it should be, and writes it with -update.
func Current(t *testing.T, path, want string) {
	t.Helper()
	committed, err := os.ReadFile(Path(path))
	switch {
	case err == nil && string(committed) == want:
	case *Update:
		if err := os.MkdirAll(filepath.Dir(Path(path)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(Path(path), []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	case err != nil:
		t.Errorf("%v: run make generate", err)
	default:
		t.Errorf("%s is stale: run make generate", path)
	}
}
