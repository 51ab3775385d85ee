package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"strings"
	"testing"

	"payments-dr/internal/drill"
)

func TestDescribe(t *testing.T) {
	setting := func(key, value string) debug.BuildSetting { return debug.BuildSetting{Key: key, Value: value} }
	for want, settings := range map[string][]debug.BuildSetting{
		release: {setting("GOOS", "linux")},
		release + ", commit 0123456789ab of 2026-11-22": {
			setting("vcs.revision", "0123456789abcdef"), setting("vcs.time", "2026-11-22T18:00:00Z"), setting("vcs.modified", "false"),
		},
		release + ", commit 01234, modified": {setting("vcs.revision", "01234"), setting("vcs.modified", "true")},
	} {
		if got := describe(&debug.BuildInfo{Settings: settings}); got != want {
			t.Errorf("%q, not %q", got, want)
		}
	}
}

// TestProvenance: the build says the commit, or else git does, or else nobody, with the reason.
func TestProvenance(t *testing.T) {
	git := func(dir string, args ...string) string {
		command := exec.Command("git", append([]string{"-C", dir, "-c", "user.name=t", "-c", "user.email=t@example.com"}, args...)...)
		command.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null")
		out, err := command.CombinedOutput()
		if err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	of := func(dir string, settings ...debug.BuildSetting) (commit, tree drill.Fact) {
		for _, f := range provenance(t.Context(), dir, &debug.BuildInfo{Settings: settings}, drill.Fact{Name: "templates", Value: "sha256:1"}) {
			switch f.Name {
			case "commit":
				commit = f
			case "working tree":
				tree = f
			default:
				if f.Value == "" {
					t.Errorf("%s is empty", f.Name)
				}
			}
		}
		return commit, tree
	}
	dir, nowhere := t.TempDir(), t.TempDir()
	t.Setenv("GIT_CEILING_DIRECTORIES", filepath.Dir(nowhere))
	if commit, tree := of(nowhere); commit.Value != "unknown" || commit.Reason == "" || tree.Value != "unknown" || tree.Reason == "" {
		t.Errorf("outside a repository: %+v, %+v", commit, tree)
	}
	git(dir, "init", "--quiet")
	git(dir, "commit", "--quiet", "--allow-empty", "--message", "one")
	head := git(dir, "rev-parse", "HEAD")
	if commit, tree := of(dir); commit.Value != head || tree.Value != "clean" {
		t.Errorf("as committed: %+v, %+v", commit, tree)
	}
	if err := os.WriteFile(filepath.Join(dir, "new"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if commit, tree := of(dir); commit.Value != head || tree.Value != "modified" {
		t.Errorf("with a new file: %+v, %+v", commit, tree)
	}
	revision := debug.BuildSetting{Key: "vcs.revision", Value: "0123456789abcdef"}
	if commit, tree := of(dir, revision, debug.BuildSetting{Key: "vcs.modified", Value: "false"}); commit.Value != "0123456789abcdef" || tree.Value != "clean" {
		t.Errorf("by the build: %+v, %+v", commit, tree)
	}
	if _, tree := of(dir, revision); tree.Value != "unknown" || tree.Reason == "" {
		t.Errorf("by a build that does not tell: %+v", tree)
	}
	if _, tree := of(nowhere, revision, debug.BuildSetting{Key: "vcs.modified", Value: "true"}); tree.Value != "modified" {
		t.Errorf("by the build: %+v", tree)
	}
}

// TestOneVersion holds the other places that name a version to this one.
func TestOneVersion(t *testing.T) {
	data, err := os.ReadFile("../../package.json")
	if err != nil {
		t.Fatal(err)
	}
	var packageJSON struct{ Version string }
	if err := json.Unmarshal(data, &packageJSON); err != nil {
		t.Fatal(err)
	}
	if packageJSON.Version != release {
		t.Errorf("package.json has the version %s, this is %s", packageJSON.Version, release)
	}
	changelog, err := os.ReadFile("../../CHANGELOG.md")
	if err != nil {
		t.Fatal(err)
	}
	// The first heading after "Unreleased" is the newest release.
	headings := regexp.MustCompile(`(?m)^## \[(\d+\.\d+\.\d+)\] - \d{4}-\d{2}-\d{2}$`).FindSubmatch(changelog)
	if headings == nil || string(headings[1]) != release {
		t.Errorf("the newest release of CHANGELOG.md is %q, this is %s", headings, release)
	}
}
