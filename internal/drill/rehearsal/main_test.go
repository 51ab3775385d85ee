package rehearsal_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"payments-dr/internal/assembly"
	"payments-dr/internal/assembly/functionbuild"
	"payments-dr/stacks/stackstest"
)

// shared is the folder of what is made once for all tests.
var shared string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		var err error
		if shared, err = os.MkdirTemp("", "rehearsal"); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(shared)
		return m.Run()
	}())
}

// synthesize are the shipped environment's stacks, without the functions' code, which is built for this machine instead. A test may
// change them.
func synthesize(t *testing.T) *assembly.Assembly {
	t.Helper()
	return stackstest.Copy(t, stackstest.Dev)
}

var (
	buildMu sync.Mutex
	built   = map[string]string{}
)

// build is the functions' executables, each built once.
func build(t *testing.T, names ...string) map[string]string {
	t.Helper()
	buildMu.Lock()
	defer buildMu.Unlock()
	binaries := map[string]string{}
	for _, name := range names {
		if _, ok := built[name]; !ok {
			binary, err := functionbuild.Build(moduleDir, name, shared)
			if err != nil {
				t.Fatal(err)
			}
			built[name] = binary
		}
		binaries[name] = built[name]
	}
	return binaries
}

// buildChanged is a function's executable with one of the module's files changed: what stands there as old is new in it.
func buildChanged(t *testing.T, name, file, old, changed string) string {
	t.Helper()
	dir := t.TempDir()
	path, err := filepath.Abs(filepath.Join(moduleDir, file))
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, after, found := bytes.Cut(source, []byte(old))
	if !found {
		t.Fatalf("%s has no %q: break it elsewhere", file, old)
	}
	broken, overlay := filepath.Join(dir, "broken.go"), filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(broken, slices.Concat(before, []byte(changed), after), 0o600); err != nil {
		t.Fatal(err)
	}
	replaced, err := json.Marshal(map[string]any{"Replace": map[string]string{path: broken}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(overlay, replaced, 0o600); err != nil {
		t.Fatal(err)
	}
	binary, err := functionbuild.Build(moduleDir, name, dir, "-overlay="+overlay)
	if err != nil {
		t.Fatal(err)
	}
	return binary
}
