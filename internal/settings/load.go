package settings

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"reflect"
	"regexp"
	"slices"
	"strings"
)

// Fault is one wrong setting.
type Fault struct {
	// Key is the setting's path in the context, such as environments.dev.database.instanceClass.
	Key string
	// Value is what stands there, as text.
	Value string
	// Allowed is what may stand there.
	Allowed string
}

func (f Fault) String() string {
	return fmt.Sprintf("%s = %s; allowed: %s", f.Key, f.Value, f.Allowed)
}

// Faults is every wrong setting of an environment, in the order of their keys. It is the error of Load.
type Faults []Fault

func (f Faults) Error() string {
	var b strings.Builder
	if len(f) == 1 {
		b.WriteString("1 setting is wrong:")
	} else {
		fmt.Fprintf(&b, "%d settings are wrong:", len(f))
	}
	for _, fault := range f {
		b.WriteString("\n  ")
		b.WriteString(fault.String())
	}
	return b.String()
}

// add records a fault, unless the same key or one above or below it is known to be wrong already: what does not decode is
// not worth a second complaint about its value.
func (f *Faults) add(key string, value any, allowed string) {
	for _, known := range *f {
		if known.Key == key || strings.HasPrefix(key, known.Key+".") || strings.HasPrefix(key, known.Key+"[") ||
			strings.HasPrefix(known.Key, key+".") || strings.HasPrefix(known.Key, key+"[") {
			return
		}
	}
	*f = append(*f, Fault{Key: key, Value: display(value), Allowed: allowed})
}

func display(value any) string {
	if value == (missing{}) {
		return "(missing)"
	}
	var text strings.Builder
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return fmt.Sprintf("%v", value)
	}
	return strings.TrimSuffix(text.String(), "\n")
}

type missing struct{}

// contextKeys are the plain words that the app reads from its context. Everything that belongs to the CDK itself has a
// colon, a slash or a hyphen in its key, so any other plain word is a slip, such as "-c evn=prod".
var (
	contextKeys = []string{"env", "environments", "policy"}
	plainWord   = regexp.MustCompile(`^[A-Za-z0-9_]+$`)
)

// Load reads one environment from the app's context, with the defaults of what it leaves out, and checks all of it. The environment is
// the one that context key "env" names. An account that the context leaves open is ambientAccount (the CDK CLI's CDK_DEFAULT_ACCOUNT), or
// PlaceholderAccount if that is empty too. The context key "environments" may be JSON text, which is how the CDK's --context gives it.
// The error is a Faults: all that is wrong, not the first.
func Load(context map[string]any, ambientAccount string) (*Settings, error) {
	var faults Faults
	for _, key := range slices.Sorted(maps.Keys(context)) {
		if plainWord.MatchString(key) && !slices.Contains(contextKeys, key) {
			faults.add(key, context[key], "the context keys "+strings.Join(contextKeys, ", "))
		}
	}
	if text, ok := context["environments"].(string); ok { // what --context gives is text
		var given map[string]any
		if json.Unmarshal([]byte(text), &given) == nil {
			context = maps.Clone(context)
			context["environments"] = given
		}
	}
	environments, ok := context["environments"].(map[string]any)
	if !ok {
		faults.add("environments", orMissing(context, "environments"), "an object with one entry an environment")
		return nil, faults
	}
	name, _ := context["env"].(string)
	raw, ok := environments[name].(map[string]any)
	if !ok {
		known := strings.Join(Environments(context), " or ")
		faults.add("env", orMissing(context, "env"), "the name of an environment: "+known)
		return nil, faults
	}

	s := &Settings{}
	key := "environments." + name
	prefix := key + "."
	decode(Complete(name, raw), reflect.ValueOf(s).Elem(), key, &faults)
	s.Environment = name
	s.check(prefix, &faults)
	if s.Account == "" {
		s.Account = ambientAccount
	}
	if s.Account == "" {
		s.Account = PlaceholderAccount
	}
	if !accountNumber.MatchString(s.Account) {
		faults.add(prefix+"account", s.Account, "the 12 digits of an AWS account, or nothing for that of the credentials")
	}
	if len(faults) > 0 {
		slices.SortStableFunc(faults, func(a, b Fault) int { return strings.Compare(a.Key, b.Key) })
		return nil, faults
	}
	return s, nil
}

func orMissing(m map[string]any, key string) any {
	if v, ok := m[key]; ok {
		return v
	}
	return missing{}
}

// decode fills target from raw and records every key that is unknown, missing or of a wrong type. It goes on after a fault,
// which no JSON decoder does: one run is to name them all.
func decode(raw any, target reflect.Value, key string, faults *Faults) {
	wrongType := func() { faults.add(key, raw, typeName(target.Type())) }
	switch target.Kind() {
	case reflect.Struct:
		object, ok := raw.(map[string]any)
		if !ok {
			wrongType()
			return
		}
		decodeObject(object, target, key, faults)
	case reflect.Map:
		object, ok := raw.(map[string]any)
		if !ok {
			wrongType()
			return
		}
		target.Set(reflect.MakeMap(target.Type()))
		for _, name := range slices.Sorted(maps.Keys(object)) {
			element := reflect.New(target.Type().Elem()).Elem()
			decode(object[name], element, key+"."+name, faults)
			target.SetMapIndex(reflect.ValueOf(name), element)
		}
	case reflect.Slice:
		list, ok := raw.([]any)
		if !ok {
			wrongType()
			return
		}
		target.Set(reflect.MakeSlice(target.Type(), len(list), len(list)))
		for i, element := range list {
			decode(element, target.Index(i), fmt.Sprintf("%s[%d]", key, i), faults)
		}
	case reflect.Int:
		// JSON has one kind of number, and 2.5 is no count of days.
		number, ok := raw.(float64)
		if !ok || number != math.Trunc(number) || math.Abs(number) > math.MaxInt32 {
			wrongType()
			return
		}
		target.SetInt(int64(number))
	case reflect.String, reflect.Bool:
		value := reflect.ValueOf(raw)
		if !value.IsValid() || value.Kind() != target.Kind() {
			wrongType()
			return
		}
		target.Set(value.Convert(target.Type()))
	default:
		panic(fmt.Sprintf("settings: no decoding of %s", target.Type()))
	}
}

func decodeObject(object map[string]any, target reflect.Value, key string, faults *Faults) {
	var known []string
	for field, value := range target.Fields() {
		name := field.Tag.Get("json")
		if name == environmentField {
			continue
		}
		known = append(known, name)
		given, ok := object[name]
		switch {
		case ok:
			decode(given, value, key+"."+name, faults)
		case field.Tag.Get("settings") != "optional":
			faults.add(key+"."+name, missing{}, typeName(field.Type))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(object)) {
		if !slices.Contains(known, name) {
			faults.add(key+"."+name, object[name], "the keys "+strings.Join(known, ", "))
		}
	}
}

// environmentField is the one field of Settings that is not read from the object: it is that object's own key.
const environmentField = "environment"

func typeName(t reflect.Type) string {
	switch {
	case t == nil:
		return "a value"
	case t.Kind() == reflect.Int:
		return "a whole number"
	case t.Kind() == reflect.Bool:
		return "true or false"
	case t.Kind() == reflect.String:
		return "a string"
	case t.Kind() == reflect.Slice:
		return "a list of strings"
	case t.Kind() == reflect.Map:
		return "an object of strings"
	default:
		return "an object"
	}
}
