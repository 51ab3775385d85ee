package review_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"payments-dr/internal/assembly/review"
)

// TestOneCommentIsUpdated runs scripts/post-review with a GitHub CLI that has comments and writes down what it is asked.
func TestOneCommentIsUpdated(t *testing.T) {
	if _, err := exec.LookPath("jq"); err != nil {
		t.Skip("jq is not here")
	}
	comments := func(author string) string {
		return `[{"id":1,"user":{"login":"somebody"},"body":"` + review.Marker + ` no"},{"id":2,"user":{"login":"` + author + `"},"body":"` + review.Marker + `\nold"}]`
	}
	for _, tt := range []struct {
		name, comments, number, want, fault string
	}{
		{"there is one", comments("github-actions[bot]"), "7", "--method PATCH repos/o/r/issues/comments/2 --field body=@", ""},
		{"there is none", "[]", "7", "--method POST repos/o/r/issues/7/comments --field body=@", ""},
		{"others have written the same", comments("mallory"), "7", "--method POST repos/o/r/issues/7/comments --field body=@", ""},
		{"no number", "[]", "7/../8", "", "no number of a pull request"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			file, asked := filepath.Join(dir, "review.md"), filepath.Join(dir, "asked")
			gh := "#!/bin/sh\nif [ \"$2\" = --paginate ]; then printf '%s' '" + tt.comments + "' | jq -r \"$5\"; else echo \"$@\" >> " + asked + "; fi\n"
			for path, text := range map[string]string{file: review.Marker + "\nnew\n", filepath.Join(dir, "gh"): gh} {
				if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			command := exec.Command(filepath.Join(moduleDir, "scripts", "post-review"), file, tt.number)
			command.Env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"), "GITHUB_REPOSITORY=o/r")
			out, err := command.CombinedOutput()
			if tt.fault != "" {
				if err == nil || !strings.Contains(string(out), tt.fault) {
					t.Errorf("%v: %s", err, out)
				}
				return
			}
			if err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			got, err := os.ReadFile(asked)
			if err != nil || strings.Count(string(got), "\n") != 1 || !strings.Contains(string(got), tt.want) {
				t.Errorf("asked %q (%v), want %q", got, err, tt.want)
			}
		})
	}
}
