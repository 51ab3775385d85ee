package recoverytime

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"payments-dr/internal/assembly"
	"payments-dr/internal/settings"
)

// templates reads an assembly. What is not there becomes a fault, and reading goes on, so that one run names them all.
type templates struct {
	assembly *assembly.Assembly
	faults   Faults
}

// fault records a sentence once: both Regions' paths ask for much the same.
func (t *templates) fault(format string, more ...any) {
	if text := fmt.Sprintf(format, more...); !slices.Contains(t.faults, text) {
		t.faults = append(t.faults, text)
	}
}

// stack is the stack of a role, or one without resources.
func (t *templates) stack(role string) assembly.Stack {
	stack, err := t.assembly.Stack(role)
	if err != nil {
		t.fault("%v", err)
	}
	return stack
}

func (t *templates) global() assembly.Stack { return t.stack("global") }

func (t *templates) regional(region settings.Region) assembly.Stack {
	return t.stack(role(&t.assembly.Settings, region))
}

// find is the resource of a type that has a property's value. Its id is empty if there is none.
func find(stack assembly.Stack, kind, property, value string) (string, assembly.Resource) {
	for _, id := range slices.Sorted(maps.Keys(stack.Template.Resources)) {
		if resource := stack.Template.Resources[id]; resource.Type == kind && resource.Properties[property] == value {
			return id, resource
		}
	}
	return "", assembly.Resource{}
}

// number is a property that is a number or a string of digits, and its source. name is what a reader finds it under. A number
// that is missing, that is left to the deployment or that is less than least is a fault and not a zero.
func (t *templates) number(name string, in map[string]any, property string, least float64) (float64, string) {
	full := name + "." + property
	value, ok := in[property]
	if !ok {
		t.fault("%s is missing in the templates", full)
		return 0, ""
	}
	var n float64
	switch v := value.(type) {
	case float64:
		n = v
	case int:
		n = float64(v)
	case string:
		var err error
		if n, err = strconv.ParseFloat(v, 64); err != nil {
			t.fault("%s is %q, and no number", full, v)
			return 0, ""
		}
	default:
		t.fault("%s is no number but %v", full, value)
		return 0, ""
	}
	if n < least {
		t.fault("%s is %v, and has to be %v or more", full, n, least)
	}
	return n, fmt.Sprintf("template: %s = %v", full, n)
}

// mapping is the event source mapping of the platform's function of a short name, and the function. Both ids are empty after a fault.
func (t *templates) mapping(stack assembly.Stack, short string) (id string, mapping map[string]any, functionID string, function map[string]any) {
	name := "payment-" + t.assembly.Settings.Environment + "-" + short
	functionID, resource := find(stack, "AWS::Lambda::Function", "FunctionName", name)
	if functionID == "" {
		t.fault("function %s is missing in %s", name, stack.Name)
		return "", nil, "", nil
	}
	for _, candidate := range slices.Sorted(maps.Keys(stack.Template.Resources)) {
		r := stack.Template.Resources[candidate]
		if r.Type == "AWS::Lambda::EventSourceMapping" && assembly.Referred(r.Properties["FunctionName"]) == functionID {
			return candidate, r.Properties, functionID, resource.Properties
		}
	}
	t.fault("function %s has no event source mapping in %s", name, stack.Name)
	return "", nil, "", nil
}

func seconds(n float64) time.Duration { return time.Duration(n * float64(time.Second)) }
func minutes(n float64) time.Duration { return time.Duration(n * float64(time.Minute)) }
