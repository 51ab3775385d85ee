package main

import (
	"encoding/json"
	"os"
	"regexp"
	"runtime/debug"
	"testing"
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
