package main

import (
	"bytes"
	"strings"
	"testing"
)

func runCost(arguments ...string) (string, error) {
	command := newCommand()
	var out bytes.Buffer
	command.SetOut(&out)
	command.SetArgs(append([]string{"cost", "--assembly", smallAssembly}, arguments...))
	err := command.Execute()
	return out.String(), err
}

// TestCostNamesAllThatIsMissing runs over an assembly that has not what a whole environment has. The real ones are held to
// docs/use/cost.md.
func TestCostNamesAllThatIsMissing(t *testing.T) {
	out, err := runCost()
	if err == nil || !strings.Contains(err.Error(), "has no function processor") || !strings.Contains(err.Error(), "0 session tables") || out != "" {
		t.Errorf("%v\n%s", err, out)
	}
	if _, err := runCost("--env", "prod"); err == nil || !strings.Contains(err.Error(), "has the templates of the environment small, not of prod: run make synth ENV=prod first") {
		t.Error(err)
	}
	if _, err := runCost("--checkers", "0"); err == nil || !strings.Contains(err.Error(), "checkers a Region is 0: want 1 or more") {
		t.Error(err)
	}
}
