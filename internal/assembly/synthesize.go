package assembly

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// Synthesize writes an app's assembly into a folder, for the shipped environment and without the functions' code, as what runs on
// this machine wants it: that builds the code for itself. moduleDir is the project's folder, with node_modules in it.
func Synthesize(moduleDir, dir string) error {
	data, err := os.ReadFile(filepath.Join(moduleDir, "cdk.json"))
	if err != nil {
		return fmt.Errorf("read settings: %w", err)
	}
	var file struct{ Context map[string]any }
	if err := json.Unmarshal(data, &file); err != nil {
		return fmt.Errorf("read settings: %w", err)
	}
	file.Context["aws:cdk:bundling-stacks"] = []string{}
	appContext, err := json.Marshal(file.Context)
	if err != nil {
		return fmt.Errorf("write settings: %w", err)
	}
	command := exec.Command("go", "run", ".")
	command.Dir = moduleDir
	command.Env = append(os.Environ(), "CDK_OUTDIR="+dir, "CDK_CONTEXT_JSON="+string(appContext), "CDK_DEFAULT_ACCOUNT=")
	if out, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("synthesize: %w\n%s", err, out)
	}
	return nil
}
