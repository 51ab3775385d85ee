package settings

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
)

//go:embed defaults.json
var defaultsJSON []byte

// Defaults are the settings that an environment may leave out, in the form of cdk.json: numbers are float64. What has no default here is
// a decision that only the owner of the environment can make: the Regions, their networks, the zone, and whether payments are live.
func Defaults(environment string) map[string]any {
	var defaults map[string]any
	if err := json.Unmarshal(defaultsJSON, &defaults); err != nil {
		panic("settings: decode defaults.json: " + err.Error())
	}
	defaults["tags"] = map[string]any{"application": "payments", "environment": environment}
	return defaults
}

// Complete is an environment of cdk.json with the defaults of everything that it leaves out. Tags are replaced as a whole. A value of the
// wrong type stays as it is, for Load to name.
func Complete(environment string, given map[string]any) map[string]any {
	complete := Defaults(environment)
	if _, ok := given["tags"]; ok {
		delete(complete, "tags")
	}
	merge(complete, given)
	return complete
}

func merge(into, given map[string]any) {
	for name, value := range given {
		below, isObject := value.(map[string]any)
		defaults, hasDefaults := into[name].(map[string]any)
		if isObject && hasDefaults {
			merge(defaults, below)
		} else {
			into[name] = value
		}
	}
}

// ReadContext reads the app's context from a file such as cdk.json.
func ReadContext(file string) (map[string]any, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read context: %w", err)
	}
	var app struct{ Context map[string]any }
	if err := json.Unmarshal(data, &app); err != nil {
		return nil, fmt.Errorf("read %s: %w", file, err)
	}
	return app.Context, nil
}

// Environments are the names of the environments in the app's context, sorted.
func Environments(context map[string]any) []string {
	environments, _ := context["environments"].(map[string]any)
	return slices.Sorted(maps.Keys(environments))
}
