package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"payments-dr/stacks/stackstest"
)

// TestToolReadsWhatTheAppWrites runs the operator's tool on whole assemblies, as make does. What it prints is held to the packages'
// own tests; here it is that the commands find and print it, and how they end.
func TestToolReadsWhatTheAppWrites(t *testing.T) {
	dr := filepath.Join(t.TempDir(), "dr")
	if out, err := exec.Command("go", "build", "-o", dr, ".").CombinedOutput(); err != nil {
		t.Fatalf("build dr: %v\n%s", err, out)
	}
	run := func(t *testing.T, env string, arguments ...string) string {
		t.Helper()
		command := exec.Command(dr, append([]string{"--assembly", stackstest.Assembly(t, env).Dir}, arguments...)...)
		var errors strings.Builder
		command.Stderr = &errors
		out, err := command.Output()
		if err != nil || errors.Len() > 0 {
			t.Fatalf("dr %s: %v\n%s", strings.Join(arguments, " "), err, &errors)
		}
		return string(out)
	}
	for _, env := range stackstest.Shipped {
		t.Run(env, func(t *testing.T) {
			_, printed := stackstest.CostOf(t, env)
			stackstest.Same(t, "dr cost", run(t, env, "cost", "--env", env), printed)
			var read struct {
				Environment                string
				IdleMonth, MillionPayments struct{ USD string }
			}
			if err := json.Unmarshal([]byte(run(t, env, "cost", "--json")), &read); err != nil || read.Environment != env || read.IdleMonth.USD == "" || read.MillionPayments.USD == "" {
				t.Errorf("dr cost --json: %v, %+v", err, read)
			}
			if dearer := run(t, env, "cost", "--table-gb", "5000"); dearer == printed {
				t.Error("5,000 GB in the table cost nothing")
			}
			if out := run(t, env, "recovery-time"); strings.Count(out, "kept") < 3 {
				t.Errorf("dr recovery-time:\n%s", out)
			}
			listed := run(t, env, "stacks")
			for _, stack := range stackstest.Assembly(t, env).Stacks {
				if !strings.Contains(listed, stack.Name) {
					t.Errorf("dr stacks does not name %s:\n%s", stack.Name, listed)
				}
			}
			folder := t.TempDir()
			for _, path := range strings.Fields(run(t, env, "dashboards", "--to", folder)) {
				if image, err := os.ReadFile(path); err != nil || !strings.Contains(string(image), "<svg") {
					t.Errorf("dr dashboards: %s: %v", path, err)
				}
			}
		})
	}
}
