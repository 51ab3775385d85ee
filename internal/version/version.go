// Package version says which release this is, and from which commit it was built.
package version

import (
	"runtime/debug"
	"strings"
)

// Number is the release's, after Semantic Versioning. It is said here alone: a test holds package.json and CHANGELOG.md to it.
const Number = "0.9.0"

// String is the number, and what the build knows of its commit: "0.9.0, commit 0123456789ab of 2026-11-22, modified". A program
// that was started by "go run", or built outside a repository, knows none.
func String() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return Number
	}
	return describe(info)
}

func describe(info *debug.BuildInfo) string {
	known := map[string]string{}
	for _, s := range info.Settings {
		known[s.Key] = s.Value
	}
	commit := known["vcs.revision"]
	if commit == "" {
		return Number
	}
	text := Number + ", commit " + commit[:min(len(commit), 12)]
	if day, _, ok := strings.Cut(known["vcs.time"], "T"); ok {
		text += " of " + day
	}
	if known["vcs.modified"] == "true" {
		text += ", modified"
	}
	return text
}
