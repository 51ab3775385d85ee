package eventbus

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"quamina.net/go/quamina"
)

// Pattern is an event pattern, compiled. It may be used concurrently.
type Pattern struct {
	mu      sync.Mutex // an instance of the matcher serves one event at a time
	matcher *quamina.Quamina
}

// errOutside is the error of a pattern that EventBridge may take and this simulation does not.
var errOutside = errors.New("is outside the simulated part of the pattern language")

// ParsePattern compiles an event pattern. The part of the language that is simulated, by "Comparison operators for use in
// event patterns in Amazon EventBridge" (Amazon EventBridge User Guide), is: exact strings, true, false and null; several
// values of a field (one of them must match); several fields (all must match); fields of fields; and, each with strings,
// prefix, anything-but (one string or a list) and exists. The last two are taken only when they are alone in their field.
// Anything else is an error, numbers included: EventBridge compares them as text and the matcher as numbers.
func ParsePattern(data []byte) (*Pattern, error) {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	var parsed map[string]any
	if err := decoder.Decode(&parsed); err != nil {
		return nil, fmt.Errorf("read pattern: %w", err)
	}
	checked, err := checkFields("", parsed)
	if err != nil {
		return nil, fmt.Errorf("read pattern: %w", err)
	}
	normal, err := json.Marshal(checked)
	if err != nil {
		return nil, fmt.Errorf("read pattern: %w", err)
	}
	matcher, err := quamina.New()
	if err != nil {
		return nil, fmt.Errorf("make matcher: %w", err)
	}
	if err := matcher.AddPattern(true, string(normal)); err != nil {
		return nil, fmt.Errorf("read pattern: %w", err)
	}
	return &Pattern{matcher: matcher}, nil
}

// Matches tells whether an event, a JSON object, matches.
func (p *Pattern) Matches(event []byte) (bool, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	found, err := p.matcher.MatchesForEvent(event)
	if err != nil {
		return false, fmt.Errorf("match event: %w", err)
	}
	return len(found) > 0, nil
}

// checkFields returns an object of a pattern in the form that the matcher reads.
func checkFields(path string, fields map[string]any) (map[string]any, error) {
	if len(fields) == 0 {
		return nil, fmt.Errorf("%s{} has no fields", path)
	}
	checked := map[string]any{}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		at := path + name
		var err error
		switch value := fields[name].(type) {
		case map[string]any:
			checked[name], err = checkFields(at+".", value)
		case []any:
			if name == "$or" {
				return nil, fmt.Errorf("%s %w", at, errOutside)
			}
			checked[name], err = checkValues(at, value)
		default:
			err = fmt.Errorf("%s is neither an object nor a list", at)
		}
		if err != nil {
			return nil, err
		}
	}
	return checked, nil
}

func checkValues(at string, values []any) ([]any, error) {
	if len(values) == 0 {
		return nil, fmt.Errorf("%s has no values", at)
	}
	checked := make([]any, len(values))
	for i, value := range values {
		switch value := value.(type) {
		case string, bool, nil:
			checked[i] = value
		case map[string]any:
			operator, err := checkOperator(at, value, len(values) == 1)
			if err != nil {
				return nil, err
			}
			checked[i] = operator
		default:
			return nil, fmt.Errorf("%s: %v %w", at, value, errOutside)
		}
	}
	return checked, nil
}

func checkOperator(at string, operator map[string]any, alone bool) (any, error) {
	if len(operator) != 1 {
		return nil, fmt.Errorf("%s: an operator has one name, not %d", at, len(operator))
	}
	for name, operand := range operator {
		outside := fmt.Errorf("%s: %s with %v %w", at, name, operand, errOutside)
		if !alone && name != "prefix" {
			return nil, fmt.Errorf("%s: %s beside other values %w", at, name, errOutside)
		}
		switch name {
		case "prefix":
			if s, ok := operand.(string); !ok || s == "" {
				return nil, outside
			}
		case "exists":
			if _, ok := operand.(bool); !ok {
				return nil, outside
			}
		case "anything-but":
			list, ok := operand.([]any)
			if !ok {
				list = []any{operand}
			}
			for _, one := range list {
				if s, ok := one.(string); !ok || s == "" {
					return nil, outside
				}
			}
			if len(list) == 0 {
				return nil, outside
			}
			return map[string]any{name: list}, nil
		default:
			return nil, outside
		}
	}
	return operator, nil
}
