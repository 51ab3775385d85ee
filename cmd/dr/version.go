package main

import (
	"runtime/debug"
	"strings"
)

// release is the number of this release, by Semantic Versioning. A test compares package.json and CHANGELOG.md with it.
const release = "0.9.0"

// version is the release, and the commit if the build knows it: "0.9.0, commit 0123456789ab of 2026-11-22, modified". "go run" does not,
// nor does a build outside a repository.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return release
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
		return release
	}
	text := release + ", commit " + commit[:min(len(commit), 12)]
	if day, _, ok := strings.Cut(known["vcs.time"], "T"); ok {
		text += " of " + day
	}
	if known["vcs.modified"] == "true" {
		text += ", modified"
	}
	return text
}
