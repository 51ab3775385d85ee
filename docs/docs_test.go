package docs

import (
	"cmp"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"payments-dr/internal/assembly"
	"payments-dr/stacks"
	"payments-dr/stacks/stackstest"
)

// The documents name files by their path in the repository, and so do these tests.
func TestMain(m *testing.M) {
	if err := os.Chdir(stackstest.Root); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// documents are the texts that people read, with their paths.
func documents(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, pattern := range []string{"*.md", "docs/*/*.md", "docs/*/*/*.md"} {
		paths, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			all[path] = string(text)
		}
	}
	if len(all) < 25 {
		t.Fatalf("%d documents", len(all))
	}
	return all
}

// TestProseIsWrapped holds the documents to one width, 120 characters. Tables, code, headings, pictures and what is generated are as
// wide as they have to be, and so is a code span or a link.
func TestProseIsWrapped(t *testing.T) {
	const width = 120
	apart := regexp.MustCompile("(?ms)^ *```.*?^ *```$|<!-- generated: ([^,]*),.*?<!-- end of [^>]*-->")
	whole := regexp.MustCompile("``.+?``|`[^`]+`|\\[[^\\]]{1,60}\\]\\([^)]*\\)")
	for path, text := range documents(t) {
		if path == "docs/operate/dr.md" || path == "docs/explain/policy.md" { // generated whole
			continue
		}
		for line := range strings.Lines(apart.ReplaceAllString(text, "")) {
			line = strings.TrimRight(line, "\n")
			start := strings.TrimLeft(line, " ")
			if utf8.RuneCountInString(line) <= width || strings.HasPrefix(start, "|") || strings.HasPrefix(start, "#") || strings.HasPrefix(start, "![") || strings.HasPrefix(start, "<") {
				continue
			}
			words := strings.Fields(whole.ReplaceAllStringFunc(start, func(one string) string { return strings.ReplaceAll(one, " ", "_") }))
			if len(words) > 2 { // a bullet and one word cannot be broken
				t.Errorf("%s: a line of %d characters: %s…", path, utf8.RuneCountInString(line), line[:60])
			}
		}
	}
}

// TestLinksLeadSomewhere follows every link of a document that does not leave the repository, to a file and to a heading.
func TestLinksLeadSomewhere(t *testing.T) {
	all := documents(t)
	anchors := map[string]map[string]bool{}
	code := regexp.MustCompile("(?ms)^ *```.*?^ *```$")
	for path, text := range all {
		anchors[path] = map[string]bool{}
		for _, m := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(code.ReplaceAllString(text, ""), -1) {
			anchors[path][stackstest.Anchor(m[1])] = true
		}
	}
	followed := 0
	for path, text := range all {
		for _, m := range regexp.MustCompile(`\]\(([^)\s]+)\)`).FindAllStringSubmatch(code.ReplaceAllString(text, ""), -1) {
			if strings.Contains(m[1], "://") || strings.HasPrefix(m[1], "mailto:") {
				continue
			}
			followed++
			file, heading, _ := strings.Cut(m[1], "#")
			target := path
			if file != "" {
				target = filepath.Join(filepath.Dir(path), file)
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s: %s leads nowhere", path, m[1])
			} else if heading != "" && !anchors[target][heading] {
				t.Errorf("%s: %s has no such heading", path, m[1])
			}
		}
	}
	if followed < 100 {
		t.Errorf("%d links", followed)
	}
}

// TestTestsThatDocumentsNameExist keeps a document from resting on a test that is gone.
func TestTestsThatDocumentsNameExist(t *testing.T) {
	written := map[string]bool{}
	err := filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && (entry.Name() == "node_modules" || entry.Name() == "cdk.out" || strings.HasPrefix(entry.Name(), ".") && path != ".") {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(path, "_test.go") {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, m := range regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Benchmark|Example)\w+)\(`).FindAllSubmatch(text, -1) {
			written[string(m[1])] = true
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	named := 0
	for path, text := range documents(t) {
		for _, m := range regexp.MustCompile("`((?:Test|Fuzz|Benchmark)[A-Z]\\w+)`").FindAllStringSubmatch(text, -1) {
			named++
			if !written[m[1]] {
				t.Errorf("%s names %s, and there is no such test", path, m[1])
			}
		}
	}
	if named < 50 {
		t.Errorf("%d tests are named", named)
	}
}

// leftovers is one row of the table "What stays behind": whether a resource is deleted, stays, or leaves a snapshot when the
// first deployment fails, when the stack is destroyed, and when that is a production stack.
type leftovers struct{ kinds, outcomes []string }

var backticked = regexp.MustCompile("`(AWS::[^`]+)`")

func documentedLeftovers(t *testing.T) []leftovers {
	t.Helper()
	page, err := os.ReadFile("docs/use/deploy.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(page), "## What stays behind")
	section, _, _ = strings.Cut(section, "\n## ")
	var rows []leftovers
	for line := range strings.Lines(section) {
		cells := strings.Split(line, "|")
		if len(cells) != 7 || !strings.Contains(cells[1], "AWS::") {
			continue
		}
		row := leftovers{}
		for _, match := range backticked.FindAllStringSubmatch(cells[1], -1) {
			row.kinds = append(row.kinds, match[1])
		}
		for _, cell := range cells[2:5] {
			row.outcomes = append(row.outcomes, strings.TrimSpace(cell))
		}
		rows = append(rows, row)
	}
	return rows
}

// afterFailure and afterDestroy are what CloudFormation does under a deletion policy ("DeletionPolicy attribute", AWS
// CloudFormation User Guide).
var (
	afterFailure = map[string]string{"Delete": "deleted", "Retain": "stays", "RetainExceptOnCreate": "deleted", "Snapshot": "snapshot"}
	afterDestroy = map[string]string{"Delete": "deleted", "Retain": "stays", "RetainExceptOnCreate": "stays", "Snapshot": "snapshot"}
)

// TestDeployDocumentSaysWhatStaysBehind compares the table with every resource that has a fixed name or is not deleted with its
// stack, in the stacks of both shipped environments.
func TestDeployDocumentSaysWhatStaysBehind(t *testing.T) {
	rows := documentedLeftovers(t)
	used := map[string]bool{}
	for _, role := range []string{stacks.RolePrimary, stacks.RoleSecondary, stacks.RoleGlobal} {
		dev, prod := stackstest.ViewOf(t, stackstest.Dev, role).Stack.Template.Resources, stackstest.ViewOf(t, stackstest.Prod, role).Stack.Template.Resources
		for _, id := range slices.Sorted(maps.Keys(dev)) {
			r, kept := dev[id], prod[id]
			policy, prodPolicy := cmp.Or(r.DeletionPolicy, "Delete"), cmp.Or(kept.DeletionPolicy, "Delete")
			if !strings.HasPrefix(r.Type, "AWS::") || policy == "Delete" && prodPolicy == "Delete" && !hasFixedName(r, "dev") {
				continue
			}
			if kept.Type != r.Type {
				t.Errorf("%s %s is not in both environments", role, id)
			}
			if afterFailure[policy] != afterFailure[prodPolicy] {
				t.Errorf("%s %s: a failed first deployment ends as %s in one environment and as %s in the other", role, id, policy, prodPolicy)
			}
			want := []string{afterFailure[policy], afterDestroy[policy], afterDestroy[prodPolicy]}
			found := false
			for i, row := range rows {
				if slices.Contains(row.kinds, r.Type) && slices.Equal(row.outcomes, want) {
					found, used[fmt.Sprint(i, r.Type)] = true, true
				}
			}
			if !found {
				t.Errorf("docs/use/deploy.md has no row that says of %s (%s) in the %s stack: %s", r.Type, id, role, strings.Join(want, ", "))
			}
		}
	}
	for i, row := range rows {
		for _, kind := range row.kinds {
			if !used[fmt.Sprint(i, kind)] {
				t.Errorf("docs/use/deploy.md says of %s: %s; no such resource is in the templates", kind, strings.Join(row.outcomes, ", "))
			}
		}
	}
}

// hasFixedName is whether a resource has a name that the environment's is part of.
func hasFixedName(r assembly.Resource, env string) bool {
	for property, value := range r.Properties {
		name := assembly.Text(value)
		own := strings.HasSuffix(property, "Name") || strings.HasSuffix(property, "Identifier")
		if own && strings.Contains(strings.ReplaceAll(strings.ReplaceAll(name, "/", "-"), "_", "-"), "payment-"+env) {
			return true
		}
	}
	return false
}
