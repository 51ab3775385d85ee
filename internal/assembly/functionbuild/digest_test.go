package functionbuild_test

import (
	"os"
	"path/filepath"
	"testing"

	"payments-dr/internal/assembly/functionbuild"
)

// newModule writes a module of two functions and a package that one of them uses.
func newModule(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"go.mod":                 "module example\n\ngo 1.26.0\n",
		"shared/shared.go":       "package shared\n\nimport _ \"embed\"\n\n//go:embed text.txt\nvar Text string\n",
		"shared/text.txt":        "text",
		"shared/shared_test.go":  "package shared\n",
		"functions/one/main.go":  "package main\n\nimport \"example/shared\"\n\nfunc main() { println(shared.Text) }\n",
		"functions/two/main.go":  "package main\n\nfunc main() {}\n",
		"functions/two/other.go": "//go:build windows\n\npackage main\n",
	} {
		write(t, dir, name, text)
	}
	return dir
}

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func digests(t *testing.T, dir string) map[string]string {
	t.Helper()
	found, err := functionbuild.Digests(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(found) != 2 || found["one"] == "" || found["two"] == "" || found["one"] == found["two"] {
		t.Fatalf("digests %v, want one and two", found)
	}
	return found
}

func TestDigestFollowsWhatGoesIntoAFunction(t *testing.T) {
	for _, tt := range []struct {
		name, file, text string
		one, two         bool
	}{
		{"nothing", "README.md", "x", false, false},
		{"its own source", "functions/two/main.go", "package main\n\nfunc main() { println() }\n", false, true},
		{"a package that it uses", "shared/shared.go", "package shared\n\nvar Text = \"other\"\n", true, false},
		{"an embedded file", "shared/text.txt", "other", true, false},
		{"a test", "shared/shared_test.go", "package shared\n\nvar x = 1\n", false, false},
		{"a file for another system", "functions/two/other.go", "//go:build windows\n\npackage main\n\nvar x = 1\n", false, false},
		{"a new file", "functions/one/more.go", "package main\n", true, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := newModule(t)
			before := digests(t, dir)
			if again := digests(t, dir); again["one"] != before["one"] || again["two"] != before["two"] {
				t.Fatal("the digests are not the same twice")
			}
			write(t, dir, tt.file, tt.text)
			after := digests(t, dir)
			if changed := after["one"] != before["one"]; changed != tt.one {
				t.Errorf("one changed: %v, want %v", changed, tt.one)
			}
			if changed := after["two"] != before["two"]; changed != tt.two {
				t.Errorf("two changed: %v, want %v", changed, tt.two)
			}
		})
	}
}

func TestDigestNeedsSourceThatGoCanList(t *testing.T) {
	dir := newModule(t)
	write(t, dir, "functions/one/main.go", "package main\n\nimport \"example/missing\"\n")
	if _, err := functionbuild.Digests(dir); err == nil {
		t.Error("digests of a function that cannot be built")
	}
}

func TestRemoveUnfinished(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "asset.done/bootstrap", "x")
	write(t, dir, "asset.file.zip", "x")
	if err := os.Mkdir(filepath.Join(dir, "asset.empty"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := functionbuild.RemoveUnfinished(dir); err != nil {
		t.Fatal(err)
	}
	left, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(left) != 2 {
		t.Errorf("left are %v, want the two that are whole", left)
	}
}
