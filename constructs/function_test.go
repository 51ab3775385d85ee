package constructs_test

import (
	"maps"
	"path/filepath"
	"slices"
	"testing"

	"payments-dr/internal/assembly"
	"payments-dr/internal/payment/variables"
	"payments-dr/stacks/stackstest"
)

// The functions can read no other variables, and do not start if one is missing or not used.
func TestFunctionsHaveTheVariablesThatTheyRead(t *testing.T) {
	folders, err := filepath.Glob(stackstest.Path("functions/*/main.go"))
	if err != nil || len(folders) < 7 {
		t.Fatalf("%d functions, %v", len(folders), err)
	}
	stackstest.Each(t, func(t *testing.T, v stackstest.View) {
		for _, folder := range folders {
			name := filepath.Base(filepath.Dir(folder))
			if name == "table-stream" && v.Role == stackstest.RegionalRoles[0] {
				continue // the primary makes the table itself
			}
			set := assembly.Object(assembly.At(v.Function(t, name).Properties["Environment"], "Variables"))
			if got, want := slices.Sorted(maps.Keys(set)), slices.Sorted(slices.Values(variables.Of(name))); !slices.Equal(got, want) {
				t.Errorf("%s has %v, want %v", name, got, want)
			}
			for variable, value := range set {
				if value == "" {
					t.Errorf("%s: %s is empty", name, variable)
				}
			}
		}
	})
}
