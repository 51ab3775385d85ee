package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"payments-dr/internal/assembly/cost"
	"payments-dr/internal/assembly/dashboardpreview"
	"payments-dr/internal/assembly/golden"
	"payments-dr/internal/assembly/pages"
	"payments-dr/internal/assembly/policy"
	"payments-dr/internal/assembly/policy/packs"
	"payments-dr/internal/assembly/review"
)

var update = flag.Bool("update", false, "write the generated files, as make generate does")

// TestGeneratedFilesAreCurrent compares every file that is generated from the synthesized environments with what is committed. With
// -update it writes them.
func TestGeneratedFilesAreCurrent(t *testing.T) {
	for _, env := range shippedEnvironments {
		t.Run("golden/"+env, func(t *testing.T) { goldenIsCurrent(t, env) })
	}
	t.Run("costs", costsAreCurrent)
	t.Run("documents", documentsAreCurrent)
	t.Run("dashboards", dashboardsAreCurrent)
	t.Run("policy", policyIsCurrent)
}

// current compares a generated file with what it should be, and writes it with -update.
func current(t *testing.T, path, want string) {
	t.Helper()
	committed, err := os.ReadFile(path)
	switch {
	case err == nil && string(committed) == want:
	case *update:
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	case err != nil:
		t.Errorf("%v: run make generate", err)
	default:
		t.Errorf("%s is stale: run make generate", path)
	}
}

// goldenIsCurrent is about the templates in testdata/golden, which is where a reviewer reads what a change does. A difference is shown
// resource by resource.
func goldenIsCurrent(t *testing.T, env string) {
	dir := filepath.Join("testdata", "golden", env)
	now, err := golden.Read(os.DirFS(synthesized[env].Dir))
	if err != nil {
		t.Fatal(err)
	}
	if !*update {
		committed, err := golden.Read(os.DirFS(dir))
		if err != nil {
			t.Fatalf("%v: run make generate", err)
		}
		stacks, err := review.Compare(t.Context(), ".", committed, now)
		if err != nil {
			t.Fatal(err)
		}
		if len(stacks) > 0 {
			t.Errorf("the templates differ from those in %s. If the change is meant, run make generate and commit.\n%s", dir, review.Text(stacks))
			return
		}
	}
	files, err := now.Files()
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range files {
		current(t, filepath.Join(dir, name), string(data))
	}
}

// costsAreCurrent is about what dr cost prints, in docs/use/cost.md and README.md.
func costsAreCurrent(t *testing.T) {
	documents := map[string]string{"docs/use/cost.md": "", "README.md": ""}
	for path := range documents {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		documents[path] = string(content)
	}
	replace := func(path, pattern, want string) {
		t.Helper()
		places := regexp.MustCompile(pattern).FindAllString(documents[path], -1)
		if len(places) != 1 {
			t.Fatalf("%s has %d places of the form %s, want one", path, len(places), pattern)
		}
		documents[path] = strings.Replace(documents[path], places[0], want, 1)
	}
	for _, env := range []string{envDev, envProd} {
		report, printed := costOf(t, env)
		replace("README.md", env+` is \$[\d,]+ a month`, fmt.Sprintf("%s is $%s a month", env, cost.Total(report.Idle).Text(0)))
		replace("README.md", `a million payments are \$[\d,]+`, "a million payments are $"+cost.Total(report.Million).Text(0))
		replace("docs/use/cost.md", "(?s)\n```\n"+env+": a month.*?\n```\n", "\n```\n"+printed+"```\n")
	}
	for path, want := range documents {
		current(t, path, want)
	}
}

// documentsAreCurrent is about the generated parts of the documents, which come from the templates, the settings' types and cdk.json.
func documentsAreCurrent(t *testing.T) {
	made, err := pages.Make(".", synthesized[envDev])
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range made {
		current(t, page.Path, page.Text)
	}
	if _, err := pages.Make(".", synthesized[envProd]); err == nil {
		t.Error("documents that show dev were made from prod")
	}
}

// dashboardsAreCurrent is about the drawn dashboards.
func dashboardsAreCurrent(t *testing.T) {
	dashboards, err := synthesized[envDev].Dashboards()
	if err != nil {
		t.Fatal(err)
	}
	if len(dashboards) != 3 {
		t.Errorf("%d dashboards", len(dashboards))
	}
	for name, body := range dashboards {
		current(t, filepath.Join("docs", "operate", "dashboards", name+".svg"), string(dashboardpreview.Draw(name, body)))
	}
}

// policyIsCurrent is about docs/explain/policy.md.
func policyIsCurrent(t *testing.T) {
	rules, all := packs.Rules(), reports(t, shippedEnvironments)
	for _, c := range policy.Counts(rules, all...) {
		if c.Rules < 50 || c.Applied < 20 || c.Compliant < 100 || c.Suppressed == 0 || c.Open != 0 || c.Answers != c.Compliant+c.Suppressed {
			t.Errorf("%+v", c)
		}
	}
	current(t, "docs/explain/policy.md", policy.Document(rules, all...))
}
