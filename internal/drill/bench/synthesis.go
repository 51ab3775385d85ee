package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

const (
	// Synthesis is a few seconds, of which loading the library is the floor; three of each are enough for a ratio.
	synthesisRuns = 3
	// The limits leave half of what was measured to machines whose processors and disks relate otherwise.
	synthesisLimit, bundlingLimit = 7.5, 11.0
	// testsLimit is of the tests' time, in syntheses of an app of one topic: what a change of a test costs everybody, each time.
	testsLimit = 900.0
)

// synthesis measures the app's synthesis as the library runs it, without the CDK's command line, which costs the same for any app.
func synthesis(ctx context.Context, config Config) ([]Measurement, error) {
	dir, err := os.MkdirTemp("", "bench-synthesis-")
	if err != nil {
		return nil, fmt.Errorf("make temporary folder: %w", err)
	}
	defer os.RemoveAll(dir)
	app, empty := filepath.Join(dir, "app"), filepath.Join(dir, "empty")
	for binary, packagePath := range map[string]string{app: ".", empty: "./internal/drill/bench/floor/app"} {
		command := exec.CommandContext(ctx, "go", "build", "-o", binary, packagePath)
		command.Dir = config.ModuleDir
		if out, err := command.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("build %s: %w\n%s", packagePath, err, out)
		}
	}
	run := func(binary string, stacks ...string) (float64, error) {
		out, err := os.MkdirTemp(dir, "out-")
		if err != nil {
			return 0, fmt.Errorf("make folder: %w", err)
		}
		context := maps.Clone(config.Context)
		context["aws:cdk:bundling-stacks"] = stacks // as the CDK's command line says it
		given, err := json.Marshal(context)
		if err != nil {
			return 0, fmt.Errorf("write context: %w", err)
		}
		command := exec.CommandContext(ctx, binary)
		command.Dir = config.ModuleDir
		command.Env = append(os.Environ(), "CDK_OUTDIR="+out, "CDK_CONTEXT_JSON="+string(given))
		began := time.Now()
		if said, err := command.CombinedOutput(); err != nil {
			return 0, fmt.Errorf("synthesize: %w\n%s", err, said)
		}
		return time.Since(began).Seconds(), nil
	}
	var floor, without, with []float64
	for range synthesisRuns {
		for _, one := range []struct {
			times  *[]float64
			binary string
			stacks []string
		}{{&floor, empty, []string{}}, {&without, app, []string{}}, {&with, app, []string{"**"}}} {
			took, err := run(one.binary, one.stacks...)
			if err != nil {
				return nil, err
			}
			*one.times = append(*one.times, took)
		}
	}
	const floorIs = "an app of one topic"
	measured := []Measurement{
		{"synthesis, functions not built", UnitSeconds, median(without), median(floor), floorIs, synthesisLimit},
		{"synthesis, functions built (the compiler's cache warm)", UnitSeconds, median(with), median(floor), floorIs, bundlingLimit},
	}
	if config.Tests > 0 {
		measured = append(measured, Measurement{"all tests", UnitSeconds, config.Tests.Seconds(), median(floor), floorIs, testsLimit})
	}
	return measured, nil
}
