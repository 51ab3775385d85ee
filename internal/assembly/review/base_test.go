package review_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"payments-dr/internal/assembly/review"
)

// TestBase has a repository whose main goes on after a branch has left it.
func TestBase(t *testing.T) {
	r := review.Repository{Dir: t.TempDir()}
	git := func(arguments ...string) string {
		t.Helper()
		command := exec.Command("git", append([]string{"-c", "user.name=test", "-c", "user.email=test@example.com", "-c", "commit.gpgsign=false"}, arguments...)...)
		command.Dir = r.Dir
		out, err := command.CombinedOutput()
		if err != nil {
			t.Fatalf("git %v: %v: %s", arguments, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	golden := func(env, threshold string) {
		t.Helper()
		dir := filepath.Join(r.Dir, filepath.FromSlash(review.Folder), env)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		for name, text := range map[string]string{
			"manifest.json":     `{"artifacts":{"one":{"type":"aws:cloudformation:stack","environment":"aws://000000000000/us-east-1","properties":{"templateFile":"one.template.json"}}}}`,
			"one.template.json": `{"Resources":{"A":{"Type":"AWS::CloudWatch::Alarm","Properties":{"Threshold":` + threshold + `}}}}`,
		} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		git("add", "-A")
		git("commit", "-q", "-m", env+" "+threshold)
	}
	git("init", "-q", "-b", "main")
	git("commit", "-q", "--allow-empty", "-m", "empty")
	empty := git("rev-parse", "HEAD")
	golden("dev", "1")
	parted := git("rev-parse", "HEAD")
	git("checkout", "-q", "-b", "branch")
	golden("dev", "2")
	golden("prod", "5")
	git("checkout", "-q", "main")
	golden("dev", "3")

	ctx := t.Context()
	base, err := r.MergeBase(ctx, "main", "branch")
	if err != nil || base != parted {
		t.Fatalf("%s, %v; want %s", base, err, parted)
	}
	threshold := func(commit, env string) string {
		t.Helper()
		set, err := r.Golden(ctx, commit, env)
		if err != nil {
			t.Fatal(err)
		}
		stack, ok := set.Stack("one")
		if !ok {
			return "none"
		}
		alarm := stack.Template["Resources"].(map[string]any)["A"].(map[string]any)
		return fmt.Sprint(properties(alarm)["Threshold"])
	}
	for _, tt := range []struct{ commit, env, want string }{
		{base, "dev", "1"}, {"branch", "dev", "2"}, {"", "dev", "3"}, {base, "prod", "none"}, {"branch", "prod", "5"},
	} {
		if got := threshold(tt.commit, tt.env); got != tt.want {
			t.Errorf("the threshold of %s in %q is %s, want %s", tt.env, tt.commit, got, tt.want)
		}
	}
	if _, err := r.Golden(ctx, empty, "dev"); !errors.Is(err, review.ErrNoGolden) {
		t.Errorf("a commit without golden templates: %v", err)
	}
	for _, ref := range []string{"origin/main", "--all", "no such"} {
		if _, err := r.MergeBase(ctx, ref, "HEAD"); err == nil || !strings.Contains(err.Error(), ref) {
			t.Errorf("%s: %v", ref, err)
		}
	}
	git("checkout", "-q", "--orphan", "stranger")
	git("commit", "-q", "-m", "stranger")
	if _, err := r.MergeBase(ctx, "main", "stranger"); err == nil || !strings.Contains(err.Error(), "no commit in common") {
		t.Errorf("two histories: %v", err)
	}
}
