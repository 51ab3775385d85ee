package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

// newManualCommand writes what the commands say of themselves for other readers than a terminal's.
func newManualCommand(root *cobra.Command) *cobra.Command {
	var to, page string
	command := &cobra.Command{
		Use:   "man",
		Short: "Write the manual pages, or the manual as one page of Markdown",
		Long: manual{
			does: "Write a manual page for each command, section 1, or, with --markdown, all of them as one file, which is what docs/operate/dr.md is.\n" +
				"They say what the help says.",
			needs:  "nothing.",
			leaves: "the pages, in the folder --to, over what had their names; or the file --markdown.",
			ends:   "1 if something cannot be written, 2 if it is not said what.",
		}.String(),
		Example: "  dr man --to /usr/local/share/man/man1\n  dr man --markdown docs/operate/dr.md",
		Args:    cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			if (to == "") == (page == "") {
				return exit(exitUsage, "give --to or --markdown, and not both")
			}
			root.InitDefaultHelpCmd()
			root.InitDefaultCompletionCmd()
			if page != "" {
				if err := os.WriteFile(page, []byte(markdownManual(root)), 0o644); err != nil {
					return fmt.Errorf("write manual: %w", err)
				}
				return nil
			}
			return writeManualPages(root, to)
		},
	}
	flags := command.Flags()
	flags.StringVar(&to, "to", "", "folder for the manual pages; it is made if it is missing")
	flags.StringVar(&page, "markdown", "", "file for all of it as Markdown")
	completeFolder(command, "to")
	return command
}

func writeManualPages(root *cobra.Command, dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("make folder for the manual: %w", err)
	}
	for _, command := range documented(root) {
		command.Long, command.DisableAutoGenTag = asMarkdown(command.Long, func(block string) string {
			return "    " + strings.ReplaceAll(block, "\n", "\n    ") // md2man knows these as they are
		}), true
		name := strings.ReplaceAll(command.CommandPath(), " ", "-")
		file, err := os.Create(filepath.Join(dir, name+".1"))
		if err != nil {
			return fmt.Errorf("write manual: %w", err)
		}
		header := &doc.GenManHeader{Title: strings.ToUpper(name), Section: "1", Source: "payments platform", Manual: "The operator's tool"}
		if err := errors.Join(doc.GenMan(command, header, file), file.Close()); err != nil {
			return fmt.Errorf("write manual: %w", err)
		}
	}
	return nil
}

// documented are the root and all that has a page of its own: the commands and the topics, and not what cobra adds below them.
func documented(root *cobra.Command) []*cobra.Command {
	commands := []*cobra.Command{root}
	for _, c := range root.Commands() {
		switch {
		case c.Hidden || c.Name() == "help":
		case c.Name() == "completion":
			commands = append(commands, c)
		default:
			commands = append(commands, documented(c)...)
		}
	}
	return commands
}

// markdownManual is all commands on one page.
func markdownManual(root *cobra.Command) string {
	fenced := func(block string) string { return "```\n" + block + "\n```" }
	var page strings.Builder
	page.WriteString("# dr\n\nWritten by `make generate` from the tool's own help; a test holds it to that. `go build -o dr ./cmd/dr` builds the tool.\n")
	for _, c := range documented(root) {
		if c != root {
			fmt.Fprintf(&page, "\n## %s\n\n%s.\n", c.CommandPath(), c.Short)
		}
		if c.Runnable() {
			fmt.Fprintf(&page, "\n%s\n", fenced(c.UseLine()))
		}
		fmt.Fprintf(&page, "\n%s\n", asMarkdown(c.Long, fenced))
		if c.Example != "" {
			fmt.Fprintf(&page, "\nExamples:\n\n%s\n", fenced(unindented(c.Example)))
		}
		flags := c.NonInheritedFlags()
		if flags.HasAvailableFlags() {
			fmt.Fprintf(&page, "\nOptions:\n\n%s\n", fenced(unindented(strings.TrimRight(flags.FlagUsages(), "\n"))))
		}
	}
	return page.String()
}

// asMarkdown is a help text as Markdown. What is indented in it is a block that keeps its lines.
func asMarkdown(long string, block func(string) string) string {
	var out, kept []string
	flush := func() {
		if len(kept) > 0 {
			out, kept = append(out, "", block(unindented(strings.Join(kept, "\n"))), ""), nil
		}
	}
	for _, line := range strings.Split(long, "\n") {
		if strings.HasPrefix(line, "  ") {
			kept = append(kept, line)
			continue
		}
		flush()
		out = append(out, strings.NewReplacer("<", `\<`, "*", `\*`, "_", `\_`).Replace(line))
	}
	flush()
	return strings.Trim(strings.ReplaceAll(strings.Join(out, "\n"), "\n\n\n", "\n\n"), "\n")
}

// unindented is a text without what all its lines begin with.
func unindented(text string) string {
	lines := strings.Split(text, "\n")
	least := len(text)
	for _, line := range lines {
		if trimmed := strings.TrimLeft(line, " "); trimmed != "" {
			least = min(least, len(line)-len(trimmed))
		}
	}
	for i, line := range lines {
		lines[i] = line[min(least, len(line)):]
	}
	return strings.Join(lines, "\n")
}
