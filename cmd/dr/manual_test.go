package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// commandsOf are a tool's own commands: not help, completion, nor the topics.
func commandsOf(root *cobra.Command) []*cobra.Command {
	var own []*cobra.Command
	for _, c := range root.Commands() {
		if c.Name() == "help" || c.Name() == "completion" {
			continue
		}
		if c.HasSubCommands() {
			own = append(own, commandsOf(c)...)
		} else if c.Runnable() {
			own = append(own, c)
		}
	}
	return own
}

func TestEveryCommandSaysWhatItDoesNeedsAndLeaves(t *testing.T) {
	t.Parallel()
	root := newCommand()
	if own := commandsOf(root); len(own) < 13 {
		t.Fatalf("%d commands", len(own))
	}
	for _, c := range commandsOf(root) {
		t.Run(c.Name(), func(t *testing.T) {
			first, _ := utf8.DecodeRuneInString(c.Short)
			if !unicode.IsUpper(first) || strings.HasSuffix(c.Short, ".") || len(c.Short) > 90 {
				t.Errorf("in a list it is %q", c.Short)
			}
			// The parts of manual (help.go), in their order.
			at := 0
			for _, part := range []string{"\n\nNeeds: ", "\n\nLeaves behind: ", "\n\nExit status: "} {
				i := strings.Index(c.Long, part)
				if i < 0 || i < at {
					t.Fatalf("its help has no part %q where it belongs; see manual in help.go:\n%s", strings.TrimSpace(part), c.Long)
				}
				at = i
			}
			for _, line := range strings.Split(c.Long+"\n"+c.Example, "\n") {
				if !utf8.ValidString(line) || strings.ContainsAny(line, "\t\r") || strings.TrimRight(line, " ") != line || strings.Contains(line, "%!") || utf8.RuneCountInString(line) > 150 {
					t.Errorf("a line of its help is %q", line)
				}
			}
			if c.GroupID == "" {
				t.Error("it is in no group of dr --help: see newCommand")
			}
			if c.Flag("env") == nil {
				t.Error("it has no --env")
			}
			if c.Example == "" {
				t.Error("there is no example")
			}
			for _, line := range strings.Split(c.Example, "\n") {
				if !strings.HasPrefix(line, "  dr ") {
					t.Errorf("the example %q does not begin with two spaces and dr", line)
					continue
				}
				if err := parses(strings.TrimSpace(line)); err != nil {
					t.Errorf("the example %q: %v", line, err)
				}
			}
			c.Flags().VisitAll(func(f *pflag.Flag) {
				if f.Usage == "" || strings.HasSuffix(f.Usage, ".") {
					t.Errorf("--%s says %q", f.Name, f.Usage)
				}
			})
		})
	}
}

func TestTopics(t *testing.T) {
	t.Parallel()
	root := newCommand()
	for _, topic := range newTopics() {
		found, _, err := root.Find([]string{topic.Name()})
		if err != nil || found.Runnable() || !found.IsAdditionalHelpTopicCommand() || len(found.Long) < 100 {
			t.Errorf("%s: %v", topic.Name(), err)
		}
	}
	for _, status := range []string{"0", "1", "2", "3", "4"} {
		if !strings.Contains(exitHelp, "\n  "+status+"  ") {
			t.Errorf("status %s is not told", status)
		}
	}
}

// TestManualIsCurrent holds docs/operate/dr.md to the commands.
func TestManualIsCurrent(t *testing.T) {
	t.Parallel()
	want := filepath.Join(t.TempDir(), "dr.md")
	command := newCommand()
	command.SetArgs([]string{"man", "--markdown", want})
	if err := command.Execute(); err != nil {
		t.Fatal(err)
	}
	written, err := os.ReadFile(want)
	if err != nil {
		t.Fatal(err)
	}
	kept, err := os.ReadFile("../../docs/operate/dr.md")
	if err != nil || string(kept) != string(written) {
		t.Errorf("docs/operate/dr.md is not what the commands say (%v); make generate writes it anew", err)
	}
	for _, c := range commandsOf(newCommand()) {
		if !strings.Contains(string(written), "\n## "+c.CommandPath()+"\n") {
			t.Errorf("%s is not in it", c.CommandPath())
		}
	}
}

func TestManualPages(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "man1")
	command := newCommand()
	command.SetArgs([]string{"man", "--to", dir})
	if err := command.Execute(); err != nil {
		t.Fatal(err)
	}
	for _, c := range commandsOf(newCommand()) {
		page, err := os.ReadFile(filepath.Join(dir, strings.ReplaceAll(c.CommandPath(), " ", "-")+".1"))
		if err != nil {
			t.Error(err)
			continue
		}
		for _, part := range []string{".TH \"" + strings.ToUpper(strings.ReplaceAll(c.CommandPath(), " ", "-")) + "\" \"1\"", ".SH NAME", ".SH SYNOPSIS", ".SH DESCRIPTION", "Leaves behind:", "Exit status:", ".SH EXAMPLE"} {
			if !strings.Contains(strings.ReplaceAll(string(page), `\-`, "-"), part) {
				t.Errorf("the page of %s has no %s", c.CommandPath(), part)
			}
		}
	}
	for _, wrong := range [][]string{{"man"}, {"man", "--to", dir, "--markdown", "x"}} {
		command := newCommand()
		command.SetArgs(wrong)
		if err := command.Execute(); exitStatus(err) != exitUsage {
			t.Errorf("%v: %v", wrong, err)
		}
	}
}

var (
	fence      = regexp.MustCompile("^ *```")
	inlineCode = regexp.MustCompile("`([^`]+)`")
	toolCall   = regexp.MustCompile(`^(?:\$ )?(?:go run \./cmd/dr|(?:\./)?dr) (.*)$`)
	beyond     = regexp.MustCompile(` (\||&&|;|>|#|\\)( .*)?$|;.*$`)
)

// TestDocumentedCommandsExist holds every command line of this tool, in any document, to the commands and their flags.
func TestDocumentedCommandsExist(t *testing.T) {
	t.Parallel()
	documents, err := filepath.Glob("../../docs/*/*.md")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, document := range append(documents, "../../README.md", "../../Makefile") {
		content, err := os.ReadFile(document)
		if err != nil {
			t.Fatal(err)
		}
		inside := strings.HasSuffix(document, "Makefile")
		for number, line := range strings.Split(string(content), "\n") {
			var candidates []string
			switch {
			case fence.MatchString(line):
				inside = !inside
			case inside:
				candidates = []string{strings.TrimLeft(line, " \t@")}
			default:
				for _, code := range inlineCode.FindAllStringSubmatch(line, -1) {
					candidates = append(candidates, code[1])
				}
			}
			for _, candidate := range candidates {
				if !toolCall.MatchString(candidate) {
					continue
				}
				found++
				if err := parses(candidate); err != nil {
					t.Errorf("%s:%d: %s: %v", filepath.Base(document), number+1, candidate, err)
				}
			}
		}
	}
	if found < 40 {
		t.Errorf("%d command lines were found", found)
	}
	for _, wrong := range []string{"dr statuss", "dr status --wathc", "dr failover --to", "dr status --to us-west-2", "dr status now", "dr pay --amount"} {
		if parses(wrong) == nil {
			t.Errorf("%q parses", wrong)
		}
	}
}

// parses is why a command line is none that the tool takes, by its command, its flags and how many arguments there are. What
// stands for a value, such as REGION or $TO, is one; brackets are around what may be left out, and "|" is between what is chosen from.
func parses(line string) error {
	m := toolCall.FindStringSubmatch(line)
	if m == nil {
		return fmt.Errorf("it does not call dr")
	}
	words := strings.Fields(strings.NewReplacer("[", " ", "]", " ", `"`, "").Replace(beyond.ReplaceAllString(m[1], "")))
	root := newCommand()
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	command, rest, err := root.Find(words)
	if err != nil {
		return err
	}
	if command.Name() == "dr" && len(rest) > 0 && !strings.HasPrefix(rest[0], "-") {
		return fmt.Errorf("there is no command %s", rest[0])
	}
	command.InitDefaultHelpFlag()
	var arguments []string
	for i := 0; i < len(rest); i++ {
		if rest[i] == "--" {
			break // what follows belongs to another tool, such as cdk deploy
		}
		name, _, valued := strings.Cut(rest[i], "=")
		if !strings.HasPrefix(name, "-") || strings.HasPrefix(name, "$") {
			if !strings.HasPrefix(rest[i], "$(") && rest[i] != "..." && rest[i] != "flags" {
				arguments = append(arguments, rest[i])
			}
			continue
		}
		flag := command.Flag(strings.TrimLeft(name, "-"))
		if flag == nil {
			return fmt.Errorf("%s has no flag %s", command.CommandPath(), name)
		}
		if flag.NoOptDefVal == "" && !valued {
			if i++; i == len(rest) || strings.HasPrefix(rest[i], "-") {
				return fmt.Errorf("%s has no value", name)
			}
		}
	}
	if command.Runnable() {
		return command.ValidateArgs(arguments)
	}
	return nil
}
