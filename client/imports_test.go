package client_test

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// TestDependenciesAreFew lists what a program that imports this package compiles, beyond the standard library.
func TestDependenciesAreFew(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "-f", "{{if not .Standard}}{{with .Module}}{{.Path}}{{end}}{{end}}", ".").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	modules := slices.Compact(slices.Sorted(slices.Values(strings.Fields(string(out)))))
	want := []string{"github.com/aws/aws-sdk-go-v2", "github.com/aws/smithy-go", "github.com/aws/smithy-go/aws-http-auth", "payments-dr"}
	if !slices.Equal(modules, want) {
		t.Errorf("compiles modules %q, want %q", modules, want)
	}
	own, err := exec.Command("go", "list", "-deps", "-f", `{{with .Module}}{{if eq .Path "payments-dr"}}{{$.ImportPath}}{{end}}{{end}}`, ".").Output()
	if got := strings.TrimSpace(string(own)); err != nil || got != "payments-dr/client" {
		t.Errorf("compiles %q of this module, want itself alone; %v", got, err)
	}
}
