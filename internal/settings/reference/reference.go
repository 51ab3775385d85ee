// Package reference writes the reference of the settings, so that nobody has to keep it up: what each means is the
// comment of its field in package settings, what is allowed is what the check says of a value that is not, and the values are
// those of cdk.json.
package reference

import (
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"payments-dr/internal/settings"
)

// Setting is one setting.
type Setting struct {
	// Key is its path below the environment, such as database.engineVersion.
	Key string
	// Meaning is the field's comment.
	Meaning string
	// Optional is whether it may be left out.
	Optional bool
	// Allowed is what the check names as allowed, more than one if it depends on others.
	Allowed []string
	// Default is what an environment has that leaves it out. HasDefault is false if it has to be given, or may be empty.
	Default    string
	HasDefault bool
	// Values are those that the environments give, for display. What an environment leaves out is not in it.
	Values map[string]string

	kind reflect.Kind
}

// Group is the settings of one object.
type Group struct {
	// Name is the object's, as far as all below have it: "database".
	Name, Meaning string
	Settings      []Setting
}

// Read puts together the source of package settings, its checks, and the app's context (of cdk.json).
func Read(source fs.FS, context map[string]any) ([]Group, error) {
	comments, err := readComments(source)
	if err != nil {
		return nil, err
	}
	environments, ok := context["environments"].(map[string]any)
	if !ok {
		return nil, errors.New("read context: it has no environments")
	}
	var groups []Group
	top := Group{Meaning: "On their own."}
	for _, field := range reflect.VisibleFields(reflect.TypeFor[settings.Settings]()) {
		name := field.Tag.Get("json")
		if name == "environment" {
			continue // the key of the object itself
		}
		meaning, err := comments.of(reflect.TypeFor[settings.Settings](), field)
		if err != nil {
			return nil, err
		}
		if field.Type.Kind() != reflect.Struct {
			top.Settings = append(top.Settings, setting(name, meaning, field))
			continue
		}
		group := Group{Name: name, Meaning: meaning}
		if more := comments.types[field.Type.Name()]; len(more) > len(meaning) {
			group.Meaning = comments.plain(more, field.Type.Name(), name)
		}
		if group.Settings, err = comments.leaves(name, field.Type); err != nil {
			return nil, err
		}
		groups = append(groups, group)
	}
	groups = append([]Group{top}, groups...)
	defaults := settings.Defaults("the environment's name")
	for i := range groups {
		for j := range groups[i].Settings {
			s := &groups[i].Settings[j]
			s.Values = map[string]string{}
			if value, ok := at(defaults, s.Key); ok {
				s.Default, s.HasDefault = readable(value), true
			}
			for name, environment := range environments {
				if value, ok := at(environment, s.Key); ok {
					s.Values[name] = readable(value)
				}
			}
			if s.Allowed, err = allowed(context, *s); err != nil {
				return nil, err
			}
		}
	}
	return groups, nil
}

func setting(key, meaning string, field reflect.StructField) Setting {
	return Setting{Key: key, Meaning: meaning, Optional: field.Tag.Get("settings") == "optional", kind: field.Type.Kind()}
}

// comments are those of package settings.
type comments struct {
	types  map[string]string
	fields map[string]map[string]string
	// words are what stands for a Go name in a comment.
	words map[string]string
}

func readComments(source fs.FS) (*comments, error) {
	c := &comments{types: map[string]string{}, fields: map[string]map[string]string{}, words: map[string]string{}}
	names, err := fs.Glob(source, "*.go")
	if err != nil {
		return nil, err
	}
	set := token.NewFileSet()
	var files []*ast.File
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		text, err := fs.ReadFile(source, name)
		if err != nil {
			return nil, fmt.Errorf("read source: %w", err)
		}
		file, err := parser.ParseFile(set, name, text, parser.ParseComments)
		if err != nil {
			return nil, fmt.Errorf("parse source: %w", err)
		}
		files = append(files, file)
	}
	for _, file := range files {
		ast.Inspect(file, func(n ast.Node) bool {
			spec, ok := n.(*ast.TypeSpec)
			if !ok {
				return true
			}
			if object, ok := spec.Type.(*ast.StructType); ok {
				c.fields[spec.Name.Name] = map[string]string{}
				for _, field := range object.Fields.List {
					for _, name := range field.Names {
						c.fields[spec.Name.Name][name.Name] = field.Doc.Text()
						if field.Tag != nil {
							if tag, err := strconv.Unquote(field.Tag.Value); err == nil {
								c.words[name.Name] = "`" + reflect.StructTag(tag).Get("json") + "`"
							}
						}
					}
				}
			}
			return true
		})
	}
	pkg, err := doc.NewFromFiles(set, files, "payments-dr/internal/settings", doc.PreserveAST)
	if err != nil {
		return nil, fmt.Errorf("read comments: %w", err)
	}
	var values []*doc.Value
	values = append(values, pkg.Consts...)
	for _, t := range pkg.Types {
		c.types[t.Name] = t.Doc
		values = append(values, t.Consts...)
	}
	for _, value := range values {
		for _, spec := range value.Decl.Specs {
			one, ok := spec.(*ast.ValueSpec)
			if !ok || len(one.Values) != len(one.Names) {
				continue
			}
			for i, name := range one.Names {
				if literal, ok := one.Values[i].(*ast.BasicLit); ok {
					c.words[name.Name] = "`" + strings.Trim(literal.Value, `"`) + "`"
				}
			}
		}
	}
	for _, value := range pkg.Vars {
		for _, name := range value.Names {
			c.words[name] = "`settings." + name + "`"
		}
	}
	return c, nil
}

var goName = regexp.MustCompile(`\b([A-Z][A-Za-z]+\.)?[A-Z][A-Za-z]*[a-z][A-Za-z]*\b`)

// plain is a comment in the words of cdk.json. The Go name that it begins with is that of key; of other words those are Go names
// that have a capital within, or a type before them.
func (c *comments) plain(text, name, key string) string {
	text = strings.Join(strings.Fields(text), " ")
	begin := ""
	if rest, ok := strings.CutPrefix(text, name+" "); ok {
		begin, text = "`"+key+"` ", rest
	}
	return begin + goName.ReplaceAllStringFunc(text, func(found string) string {
		last := found[strings.LastIndex(found, ".")+1:]
		if word, ok := c.words[last]; ok && (strings.ToLower(last[1:]) != last[1:] || found != last) {
			return word
		}
		return found
	})
}

func (c *comments) of(owner reflect.Type, field reflect.StructField) (string, error) {
	text := c.fields[owner.Name()][field.Name]
	if text == "" {
		text = c.types[field.Type.Name()]
	}
	if text == "" {
		return "", fmt.Errorf("describe setting: field %s of %s has no comment", field.Name, owner.Name())
	}
	name, _, _ := strings.Cut(text, " ")
	return c.plain(text, name, field.Tag.Get("json")), nil
}

func (c *comments) leaves(prefix string, owner reflect.Type) (all []Setting, err error) {
	for _, field := range reflect.VisibleFields(owner) {
		key := prefix + "." + field.Tag.Get("json")
		if field.Type.Kind() == reflect.Struct {
			below, err := c.leaves(key, field.Type)
			if err != nil {
				return nil, err
			}
			all = append(all, below...)
			continue
		}
		meaning, err := c.of(owner, field)
		if err != nil {
			return nil, err
		}
		all = append(all, setting(key, meaning, field))
	}
	return all, nil
}

// also are settings that others depend on: with these values, more is asked of the others.
var also = map[string]map[string]any{
	"backup.lockGraceDays":  {"backup.lock": string(settings.LockCompliance)},
	"session.witnessRegion": {"session.consistency": string(settings.ConsistencyEventual)},
}

// allowed asks the check what it takes, by values that it cannot take.
func allowed(context map[string]any, s Setting) ([]string, error) {
	wrong := map[reflect.Kind][]any{
		reflect.Int:    {-1.0},
		reflect.String: {"\x00"},
		reflect.Bool:   {false, true},
		reflect.Slice:  {[]any{"\x00"}, []any{}},
		reflect.Map:    {map[string]any{"aws:x": ""}},
	}[s.kind]
	var found []string
	for _, environment := range settings.Environments(context) {
		for _, extra := range []map[string]any{nil, also[s.Key]} {
			for _, value := range wrong {
				tried, err := with(context, environment, s.Key, value, extra)
				if err != nil {
					return nil, err
				}
				_, err = settings.Load(tried, "")
				var faults settings.Faults
				errors.As(err, &faults)
				for _, f := range faults {
					key := strings.TrimPrefix(f.Key, "environments."+environment+".")
					if (key == s.Key || strings.HasPrefix(key, s.Key+"[") || strings.HasPrefix(key, s.Key+".")) && !slices.Contains(found, f.Allowed) {
						found = append(found, f.Allowed)
					}
				}
			}
		}
	}
	if s.kind == reflect.Bool {
		found = append([]string{"true or false"}, found...)
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("find limits: the check takes anything for %s", s.Key)
	}
	return found, nil
}

// with is a copy of the context with one value changed, and others with it.
func with(context map[string]any, environment, key string, value any, extra map[string]any) (map[string]any, error) {
	data, err := json.Marshal(context)
	if err != nil {
		return nil, fmt.Errorf("copy context: %w", err)
	}
	var copied map[string]any
	if err := json.Unmarshal(data, &copied); err != nil {
		return nil, fmt.Errorf("copy context: %w", err)
	}
	copied["env"] = environment
	object := copied["environments"].(map[string]any)[environment].(map[string]any)
	put(object, key, value)
	for other, needed := range extra {
		put(object, other, needed)
	}
	return copied, nil
}

func put(object map[string]any, key string, value any) {
	name, rest, more := strings.Cut(key, ".")
	if !more {
		object[name] = value
		return
	}
	if _, ok := object[name]; !ok {
		object[name] = map[string]any{}
	}
	if below, ok := object[name].(map[string]any); ok {
		put(below, rest, value)
	}
}

func at(value any, key string) (any, bool) {
	for name := range strings.SplitSeq(key, ".") {
		object, _ := value.(map[string]any)
		below, ok := object[name]
		if !ok {
			return nil, false
		}
		value = below
	}
	return value, true
}

// readable is a value without the marks of JSON.
func readable(value any) string {
	switch value := value.(type) {
	case string:
		return value
	case []any:
		var each []string
		for _, one := range value {
			each = append(each, readable(one))
		}
		return strings.Join(each, ", ")
	case map[string]any:
		var each []string
		for _, key := range slices.Sorted(maps.Keys(value)) {
			each = append(each, key+": "+readable(value[key]))
		}
		return strings.Join(each, ", ")
	default:
		return fmt.Sprint(value)
	}
}

// Write is the reference in Markdown: a table for each group.
func Write(groups []Group) string {
	environments := map[string]bool{}
	for _, g := range groups {
		for _, s := range g.Settings {
			for name := range s.Values {
				environments[name] = true
			}
		}
	}
	names := slices.Sorted(maps.Keys(environments))
	var b strings.Builder
	for _, g := range groups {
		if g.Name == "" {
			b.WriteString("### The environment as a whole\n\n")
		} else {
			fmt.Fprintf(&b, "### %s\n\n%s\n\n", g.Name, g.Meaning)
		}
		fmt.Fprintf(&b, "| setting | default | %s | meaning, and what is allowed |\n| --- | --- |%s --- |\n", strings.Join(names, " | "), strings.Repeat(" --- |", len(names)))
		for _, s := range g.Settings {
			// The object's name stands above the table.
			byDefault := s.Default
			switch {
			case !s.HasDefault && !s.Optional:
				byDefault = "*required*"
			case byDefault == "":
				byDefault = "*none*"
			}
			fmt.Fprintf(&b, "| `%s` | %s |", strings.TrimPrefix(s.Key, g.Name+"."), byDefault)
			for _, name := range names {
				fmt.Fprintf(&b, " %s |", s.Values[name])
			}
			limits := strings.Join(s.Allowed, "; ")
			fmt.Fprintf(&b, " %s<br>*Allowed: %s.* |\n", cell(s.Meaning), cell(limits))
		}
		b.WriteString("\n")
	}
	return strings.TrimRight(b.String(), "\n") + "\n"
}

func cell(text string) string { return strings.ReplaceAll(text, "|", `\|`) }
