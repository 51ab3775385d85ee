package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"runtime/debug"
	"strings"

	"payments-dr/internal/drill"
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

func settingsOf(info *debug.BuildInfo) map[string]string {
	known := map[string]string{}
	for _, s := range info.Settings {
		known[s.Key] = s.Value
	}
	return known
}

// provenance is what made a report: the tool, its commit, the templates, and this machine. dir is the project's folder, which is
// asked for the commit if the build does not know it, as with "go run".
func provenance(ctx context.Context, dir string, info *debug.BuildInfo, templates drill.Fact) []drill.Fact {
	commit, tree := drill.Fact{Name: "commit"}, drill.Fact{Name: "working tree", Value: "clean"}
	known := map[string]string{}
	if info != nil {
		known = settingsOf(info)
	}
	git := func(into *drill.Fact, args ...string) string {
		command := exec.CommandContext(ctx, "git", append([]string{"-C", dir}, args...)...)
		out, err := command.Output()
		if exited, ok := errors.AsType[*exec.ExitError](err); ok && len(exited.Stderr) > 0 {
			why, _, _ := strings.Cut(string(exited.Stderr), "\n")
			err = errors.New(why)
		}
		if err != nil {
			*into = drill.Unknown(into.Name, fmt.Sprintf("the build does not know it, and git %s failed: %v", args[0], err))
		}
		return strings.TrimSpace(string(out))
	}
	modified := known["vcs.modified"] == "true"
	if commit.Value = known["vcs.revision"]; commit.Value == "" {
		if head := git(&commit, "rev-parse", "HEAD"); head != "" {
			commit.Value = head
		}
		modified = git(&tree, "status", "--porcelain") != ""
	} else if known["vcs.modified"] == "" {
		tree = drill.Unknown(tree.Name, "the build does not tell")
	}
	if modified {
		tree.Value = "modified"
	}
	return append([]drill.Fact{{Name: "tool", Value: "dr " + release}, commit, tree, templates}, drill.Machine()...)
}

// made is the provenance of this process.
func made(ctx context.Context, templates drill.Fact) []drill.Fact {
	info, _ := debug.ReadBuildInfo()
	return provenance(ctx, ".", info, templates)
}

func describe(info *debug.BuildInfo) string {
	known := settingsOf(info)
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
