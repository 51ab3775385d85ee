package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const smallAssembly = "../../internal/assembly/recoverytime/testdata/small"

func runRecoveryTime(arguments ...string) (string, error) {
	command := newCommand()
	var out bytes.Buffer
	command.SetOut(&out)
	command.SetArgs(append([]string{"recovery-time"}, arguments...))
	err := command.Execute()
	return out.String(), err
}

func TestRecoveryTimes(t *testing.T) {
	out, err := runRecoveryTime("--assembly", smallAssembly)
	if err != nil || !strings.Contains(out, "EXPECTED") || strings.Count(out, "the objective is") != 3 {
		t.Errorf("%v\n%s", err, out)
	}
	out, err = runRecoveryTime("--assembly", smallAssembly, "--json")
	var read struct{ Paths []struct{ Kept bool } }
	if err != nil || json.Unmarshal([]byte(out), &read) != nil || len(read.Paths) != 6 || !read.Paths[0].Kept {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestRecoveryTimeThatIsMissedIsPrintedAndAnError changes a template on disk. main ends with status 1 on any error.
func TestRecoveryTimeThatIsMissedIsPrintedAndAnError(t *testing.T) {
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(smallAssembly)); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "global.template.json")
	template, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	write := func(old, new string) {
		if !bytes.Contains(template, []byte(old)) {
			t.Fatalf("the template has no %s", old)
		}
		if err := os.WriteFile(file, bytes.ReplaceAll(template, []byte(old), []byte(new)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write(`"FailureThreshold": 2`, `"FailureThreshold": 4`)
	for _, more := range [][]string{nil, {"--json"}} {
		out, err := runRecoveryTime(append(more, "--assembly", dir)...)
		if err == nil || !strings.Contains(err.Error(), "payments, Region lost (us-east-1): up to 1m24s, 24s more than the objective of 1m") || out == "" {
			t.Errorf("%v: %v\n%s", more, err, out)
		}
	}
	write(`"FailureThreshold": 2`, `"Other": 2`)
	if out, err := runRecoveryTime("--assembly", dir); err == nil || !strings.Contains(err.Error(), "EndpointEast.HealthCheckConfig.FailureThreshold is missing in the templates") || out != "" {
		t.Errorf("%v\n%s", err, out)
	}
	if _, err := runRecoveryTime("--assembly", t.TempDir()); err == nil || !strings.Contains(err.Error(), "has it been synthesized?") {
		t.Error(err)
	}
}
