package bench

import (
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"payments-dr/internal/assembly/functionbuild"
	"payments-dr/internal/simulation/lambdaruntime"
)

const (
	startRuns = 9
	// The limits leave about a half over what was measured, of the largest function.
	sizeLimit, startLimit, memoryLimit = 2.5, 4.5, 3.0
)

// functions measures each function's binary: its size, its start up to the first poll for work, and the memory it has then.
func functions(ctx context.Context, config Config) ([]Measurement, error) {
	const floorIs = "a function that returns its event"
	var measured []Measurement
	for _, f := range config.functions {
		var starts, memories, floorStarts, floorMemories []float64
		for range startRuns {
			for _, one := range []struct {
				binary           string
				environment      map[string]string
				starts, memories *[]float64
			}{{config.floor, nil, &floorStarts, &floorMemories}, {f.binary, f.environment, &starts, &memories}} {
				start, memory, err := startOf(ctx, lambdaruntime.Config{
					Binary: one.binary, Name: f.name, Region: config.Assembly.Settings.Regions.Primary.Name, MemoryMB: 1024, Environment: one.environment, Log: io.Discard,
				})
				if err != nil {
					return nil, fmt.Errorf("start %s: %w", one.binary, err)
				}
				*one.starts, *one.memories = append(*one.starts, start), append(*one.memories, memory)
			}
		}
		size, err := megabytes(f.binary)
		if err != nil {
			return nil, err
		}
		floorSize, err := megabytes(config.floor)
		if err != nil {
			return nil, err
		}
		measured = append(measured,
			Measurement{f.name + ": size", UnitMegabytes, size, floorSize, floorIs, sizeLimit},
			Measurement{f.name + ": start", UnitMilliseconds, median(starts), median(floorStarts), floorIs, startLimit},
			Measurement{f.name + ": memory when started", UnitMegabytes, median(memories), median(floorMemories), floorIs, memoryLimit})
	}
	return measured, nil
}

func startOf(ctx context.Context, config lambdaruntime.Config) (milliseconds, megabytes float64, err error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	e, err := lambdaruntime.Start(config)
	if err != nil {
		return 0, 0, err
	}
	defer e.Close()
	took, err := e.InitDuration(ctx)
	if err != nil {
		return 0, 0, err
	}
	return float64(took.Microseconds()) / 1000, e.MaxMemoryMB(), nil
}

func megabytes(file string) (float64, error) {
	info, err := os.Stat(file)
	if err != nil {
		return 0, fmt.Errorf("look at binary: %w", err)
	}
	return float64(info.Size()) / (1 << 20), nil
}

// function is a function of the template, built for this machine.
type function struct {
	name, binary string
	environment  map[string]string
}

// build builds the functions of the primary's template, and the floor, into a folder. A start connects to nothing, so that a
// variable which only a deployment knows may have any text.
func (c *Config) build(dir string) error {
	c.floor = filepath.Join(dir, "floor")
	if err := functionbuild.BuildPackage(c.ModuleDir, "./internal/drill/bench/floor/function", c.floor); err != nil {
		return fmt.Errorf("build floor: %w", err)
	}
	stack, err := c.Assembly.Stack("primary")
	if err != nil {
		return err
	}
	for _, id := range slices.Sorted(maps.Keys(stack.Template.Resources)) {
		resource := stack.Template.Resources[id]
		physical, _ := resource.Properties["FunctionName"].(string)
		name, ours := strings.CutPrefix(physical, "payment-"+c.Assembly.Settings.Environment+"-")
		if resource.Type != "AWS::Lambda::Function" || !ours {
			continue // the library's own functions have no names
		}
		f := function{name: name, environment: map[string]string{}}
		environment, _ := resource.Properties["Environment"].(map[string]any)
		variables, _ := environment["Variables"].(map[string]any)
		for variable, value := range variables {
			f.environment[variable] = "127.0.0.1"
			if text, literal := value.(string); literal {
				f.environment[variable] = text
			}
		}
		if f.binary, err = functionbuild.Build(c.ModuleDir, name, dir); err != nil {
			return err
		}
		c.functions = append(c.functions, f)
	}
	return nil
}
