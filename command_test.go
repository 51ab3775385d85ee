package main

import (
	"debug/elf"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"payments-dr/internal/assembly"
)

// The tests below run the app as the CDK CLI does: a program of its own, with its context and its output folder in the
// environment.

// runApp runs the app and returns what it wrote to standard error, and its exit status.
func runApp(t *testing.T, outdir string, context map[string]any) (stderr string, status int) {
	t.Helper()
	data, err := json.Marshal(context)
	if err != nil {
		t.Fatal(err)
	}
	command := exec.Command("go", "run", ".")
	command.Env = append(os.Environ(), "CDK_OUTDIR="+outdir, "CDK_CONTEXT_JSON="+string(data), "CDK_DEFAULT_ACCOUNT=", "JSII_DEPRECATED=warn")
	var out strings.Builder
	command.Stderr = &out
	if err := command.Run(); err != nil {
		if _, ok := err.(*exec.ExitError); !ok {
			t.Fatal(err)
		}
	}
	return out.String(), command.ProcessState.ExitCode()
}

func shipped(t *testing.T) map[string]any {
	t.Helper()
	context, err := shippedContext()
	if err != nil {
		t.Fatal(err)
	}
	return context
}

func TestAppSynthesizesCleanlyWithRealFunctionCode(t *testing.T) {
	dir := t.TempDir()
	stderr, status := runApp(t, dir, shipped(t))
	if status != 0 {
		t.Fatalf("exit status %d:\n%s", status, stderr)
	}

	// The library's table constructor uses two deprecated properties of the library. Nothing else may.
	deprecated := regexp.MustCompile(`(?m)^\[WARNING\] (\S+) is deprecated`).FindAllStringSubmatch(stderr, -1)
	for _, match := range deprecated {
		if !strings.HasPrefix(match[1], "aws-cdk-lib.aws_dynamodb.TableGrantsProps#") {
			t.Errorf("%s is deprecated", match[1])
		}
	}

	data, err := os.ReadFile(filepath.Join(dir, "validation-report.json"))
	if err != nil {
		t.Fatal(err)
	}
	var report struct {
		PluginReports []struct {
			PluginName, Conclusion string
			Violations             []struct{ RuleName, Description string }
		}
	}
	if err := json.Unmarshal(data, &report); err != nil {
		t.Fatal(err)
	}
	for _, plugin := range report.PluginReports {
		if plugin.Conclusion != "success" || len(plugin.Violations) > 0 {
			t.Errorf("%s: %s, %+v", plugin.PluginName, plugin.Conclusion, plugin.Violations)
		}
	}

	a, err := assembly.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, role := range regionalRoles {
		stack, err := a.Stack(role)
		if err != nil {
			t.Fatal(err)
		}
		functions := 0
		for id, resource := range stack.Template.Resources {
			if resource.Type != "AWS::Lambda::Function" || resource.Properties["Runtime"] != "provided.al2023" {
				continue
			}
			functions++
			key := assembly.At(resource.Properties["Code"], "S3Key").(string)
			executable, err := elf.Open(filepath.Join(dir, "asset."+strings.TrimSuffix(key, ".zip"), "bootstrap"))
			if err != nil {
				t.Errorf("%s %s: %v", role, id, err)
				continue
			}
			if executable.Machine != elf.EM_AARCH64 || executable.Type != elf.ET_EXEC {
				t.Errorf("%s %s is built for %v, %v", role, id, executable.Machine, executable.Type)
			}
			if libraries, err := executable.ImportedLibraries(); err == nil && len(libraries) > 0 {
				t.Errorf("%s %s needs %v", role, id, libraries)
			}
			executable.Close()
		}
		if functions == 0 {
			t.Errorf("%s has no function in Go", role)
		}
	}
}

func TestAppNamesEveryWrongSettingAndEnds(t *testing.T) {
	context := shipped(t)
	dev := context["environments"].(map[string]any)["dev"].(map[string]any)
	dev["database"] = map[string]any{"instanceClass": "db.t3.medium"}
	dev["regions"].(map[string]any)["secondary"].(map[string]any)["name"] = "us-east-1"
	dev["colour"] = "blue"
	context["evn"] = "prod"
	dir := t.TempDir()
	stderr, status := runApp(t, dir, context)
	if status != 1 {
		t.Errorf("exit status %d, want 1", status)
	}
	for _, want := range []string{"instanceClass", "regions.secondary.name", "environments.dev.colour", "evn = "} {
		if !strings.Contains(stderr, want) {
			t.Errorf("%q is not named in:\n%s", want, stderr)
		}
	}
	if strings.Contains(stderr, "goroutine") || strings.Contains(stderr, "panic") {
		t.Errorf("a stack trace:\n%s", stderr)
	}
	if _, err := os.Stat(filepath.Join(dir, "manifest.json")); err == nil {
		t.Error("something was synthesized all the same")
	}
}
