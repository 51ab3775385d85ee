// Package golden keeps an environment's templates in a form that people read and git compares: one file a stack, with stable order,
// and without what changes from machine to machine. What is left out is known here alone:
//
//   - the hashes of the functions' code (Code.S3Key, the metadata aws:asset:*), which differ with compiler and platform;
//   - the AWS account, written as settings.PlaceholderAccount;
//   - what the library adds for itself: the version of the bootstrap stack, and AWS::CDK::Metadata, which the CLI asks for and
//     a test does not.
//
// A string that holds a JSON object, as a dashboard's body does, is written as that object under Fn::ToJsonString, which means the
// same to CloudFormation ("Fn::ToJsonString", CloudFormation Template Reference). A folder of these files is a cloud assembly still,
// without code: Assembly gives it to whatever works on templates.
package golden

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"payments-dr/internal/assembly"
	"payments-dr/internal/settings"
)

// manifestFile is the name of the file that lists the stacks, as in a cloud assembly.
const manifestFile = "manifest.json"

const (
	stackArtifact = "aws:cloudformation:stack"
	toJSON        = "Fn::ToJsonString"
	// code is what stands for the object in the bootstrap bucket that holds a function's code.
	code = "code.zip"
)

// assetKey is the library's name of a file in the bootstrap bucket: the hash of what is in it.
var assetKey = regexp.MustCompile(`^[0-9a-f]{64}\.[a-z]+$`)

// Set are the templates of one environment.
type Set struct {
	// Stacks are in the order of their names.
	Stacks []Stack
}

// Stack is one stack, normalised.
type Stack struct {
	Name   string
	Region string
	// Dependencies are the names of the stacks that are deployed before this one.
	Dependencies []string
	// TerminationProtection is whether CloudFormation refuses to delete the stack.
	TerminationProtection bool
	// Tags are put on every resource of the stack that takes tags.
	Tags map[string]string
	// Template is the CloudFormation template, its numbers as json.Number.
	Template map[string]any
}

// Stack is the stack of a name.
func (s Set) Stack(name string) (Stack, bool) {
	i := slices.IndexFunc(s.Stacks, func(stack Stack) bool { return stack.Name == name })
	if i < 0 {
		return Stack{}, false
	}
	return s.Stacks[i], true
}

// manifest is the part of a cloud assembly's manifest that is kept.
type manifest struct {
	Artifacts map[string]artifact `json:"artifacts"`
}

type artifact struct {
	Type         string     `json:"type"`
	Environment  string     `json:"environment,omitempty"`
	Dependencies []string   `json:"dependencies,omitempty"`
	Properties   properties `json:"properties"`
}

type properties struct {
	TemplateFile          string            `json:"templateFile,omitempty"`
	StackName             string            `json:"stackName,omitempty"`
	TerminationProtection bool              `json:"terminationProtection,omitempty"`
	Tags                  map[string]string `json:"tags,omitempty"`
}

// Read reads a folder, be it of a synthesis or of golden templates, of a disk or of a git commit, and normalises it.
func Read(folder fs.FS) (Set, error) {
	data, err := fs.ReadFile(folder, manifestFile)
	if err != nil {
		return Set{}, fmt.Errorf("read templates: %w", err)
	}
	var m manifest
	if err := json.Unmarshal(data, &m); err != nil {
		return Set{}, fmt.Errorf("read templates: parse %s: %w", manifestFile, err)
	}
	var set Set
	for name, a := range m.Artifacts {
		if a.Type != stackArtifact {
			continue
		}
		account, region, ok := strings.Cut(strings.TrimPrefix(a.Environment, "aws://"), "/")
		if !ok {
			return Set{}, fmt.Errorf("read templates: stack %s has the environment %q", name, a.Environment)
		}
		stack := Stack{Name: cmp.Or(a.Properties.StackName, name), Region: region, TerminationProtection: a.Properties.TerminationProtection, Tags: a.Properties.Tags}
		for _, dependency := range a.Dependencies {
			if m.Artifacts[dependency].Type == stackArtifact {
				stack.Dependencies = append(stack.Dependencies, dependency)
			}
		}
		slices.Sort(stack.Dependencies)
		data, err := fs.ReadFile(folder, a.Properties.TemplateFile)
		if err != nil {
			return Set{}, fmt.Errorf("read template of stack %s: %w", name, err)
		}
		if stack.Template, err = Normalise(data, account); err != nil {
			return Set{}, fmt.Errorf("read template of stack %s: %w", name, err)
		}
		set.Stacks = append(set.Stacks, stack)
	}
	if len(set.Stacks) == 0 {
		return Set{}, fmt.Errorf("read templates: %s names no stack", manifestFile)
	}
	slices.SortFunc(set.Stacks, func(a, b Stack) int { return strings.Compare(a.Name, b.Name) })
	return set, nil
}

// Normalise parses a template and takes out of it what the package leaves out. account is the one it was made for.
func Normalise(template []byte, account string) (map[string]any, error) {
	decoder := json.NewDecoder(bytes.NewReader(template))
	decoder.UseNumber()
	var parsed map[string]any
	if err := decoder.Decode(&parsed); err != nil {
		return nil, fmt.Errorf("parse: %w", err)
	}
	drop(parsed, "Parameters", "BootstrapVersion")
	drop(parsed, "Rules", "CheckBootstrapVersion")
	drop(parsed, "Conditions", "CDKMetadataAvailable")
	resources, _ := parsed["Resources"].(map[string]any)
	for id, r := range resources {
		resource, _ := r.(map[string]any)
		if resource["Type"] == "AWS::CDK::Metadata" {
			delete(resources, id)
			continue
		}
		metadata, _ := resource["Metadata"].(map[string]any)
		for key := range metadata {
			if strings.HasPrefix(key, "aws:asset:") {
				delete(metadata, key)
			}
		}
	}
	return normalise(parsed, account).(map[string]any), nil
}

// drop deletes an entry of a section, and the section if nothing else is in it.
func drop(template map[string]any, section, name string) {
	entries, ok := template[section].(map[string]any)
	if !ok {
		return
	}
	if delete(entries, name); len(entries) == 0 {
		delete(template, section)
	}
}

func normalise(part any, account string) any {
	switch v := part.(type) {
	case map[string]any:
		for key, value := range v {
			v[key] = normalise(value, account)
		}
	case []any:
		for i, value := range v {
			v[i] = normalise(value, account)
		}
	case string:
		if account != "" {
			v = strings.ReplaceAll(v, account, settings.PlaceholderAccount)
		}
		if assetKey.MatchString(v) {
			return code
		}
		if strings.HasPrefix(v, "{") {
			decoder := json.NewDecoder(strings.NewReader(v))
			decoder.UseNumber()
			var object map[string]any
			if decoder.Decode(&object) == nil && !decoder.More() {
				return map[string]any{toJSON: normalise(object, account)}
			}
		}
		return v
	}
	return part
}

// plain undoes Fn::ToJsonString.
func plain(part any) (any, error) {
	switch v := part.(type) {
	case map[string]any:
		if object, ok := v[toJSON]; ok && len(v) == 1 {
			inner, err := plain(object)
			if err != nil {
				return nil, err
			}
			return compact(inner)
		}
		copied := make(map[string]any, len(v))
		for key, value := range v {
			var err error
			if copied[key], err = plain(value); err != nil {
				return nil, err
			}
		}
		return copied, nil
	case []any:
		copied := make([]any, len(v))
		for i, value := range v {
			var err error
			if copied[i], err = plain(value); err != nil {
				return nil, err
			}
		}
		return copied, nil
	}
	return part, nil
}

// compact is a value as JSON on one line, as it would be written by hand: nothing in it is escaped for HTML.
func compact(value any) (string, error) {
	var out strings.Builder
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return "", fmt.Errorf("write JSON: %w", err)
	}
	return strings.TrimSuffix(out.String(), "\n"), nil
}

// Files are the set as files, by name.
func (s Set) Files() (map[string][]byte, error) {
	files := map[string][]byte{}
	m := map[string]any{}
	for _, stack := range s.Stacks {
		file := stack.Name + ".template.json"
		files[file] = Format(stack.Template)
		entry, err := object(artifact{
			Type: stackArtifact, Environment: "aws://" + settings.PlaceholderAccount + "/" + stack.Region, Dependencies: stack.Dependencies,
			Properties: properties{file, stack.Name, stack.TerminationProtection, stack.Tags},
		})
		if err != nil {
			return nil, err
		}
		m[stack.Name] = entry
	}
	files[manifestFile] = Format(map[string]any{"artifacts": m})
	return files, nil
}

func object(value any) (map[string]any, error) {
	data, err := json.Marshal(value)
	if err != nil {
		return nil, fmt.Errorf("write JSON: %w", err)
	}
	var parsed map[string]any
	err = json.Unmarshal(data, &parsed)
	return parsed, err
}

// Write makes a folder hold the set, and nothing else.
func (s Set) Write(dir string) error {
	files, err := s.Files()
	if err != nil {
		return err
	}
	return write(dir, files)
}

func write(dir string, files map[string][]byte) error {
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("write templates: %w", err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("write templates: %w", err)
	}
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			return fmt.Errorf("write templates: %w", err)
		}
	}
	return nil
}

// Assembly is the set as the rest of the project reads templates: with strings where CloudFormation would see strings.
func (s Set) Assembly() (*assembly.Assembly, error) {
	dir, err := os.MkdirTemp("", "templates-")
	if err != nil {
		return nil, fmt.Errorf("make temporary folder: %w", err)
	}
	defer os.RemoveAll(dir)
	unpacked := Set{Stacks: slices.Clone(s.Stacks)}
	for i, stack := range unpacked.Stacks {
		template, err := plain(stack.Template)
		if err != nil {
			return nil, err
		}
		unpacked.Stacks[i].Template = template.(map[string]any)
	}
	if err := unpacked.Write(dir); err != nil {
		return nil, err
	}
	return assembly.Load(dir)
}

// width is how many characters Format puts on a line before it breaks an object or a list into one line an element.
const width = 110

// Format is JSON with sorted keys, in which what fits stands on one line: a tag, a reference, a short list. A change of one
// value is then a change of one line, and shows what it belongs to.
func Format(value any) []byte {
	var out bytes.Buffer
	format(&out, value, 0, 0)
	out.WriteByte('\n')
	return out.Bytes()
}

func format(out *bytes.Buffer, value any, indent, used int) {
	line := OneLine(value)
	object, isObject := value.(map[string]any)
	list, isList := value.([]any)
	if (!isObject && !isList) || (indent > 1 && indent+used+len([]rune(line)) <= width) || len(object)+len(list) == 0 {
		out.WriteString(line)
		return
	}
	brackets := "{}"
	if isList {
		brackets = "[]"
	}
	out.WriteByte(brackets[0])
	next := func(i int) {
		if i > 0 {
			out.WriteByte(',')
		}
		out.WriteString("\n" + strings.Repeat(" ", indent+1))
	}
	for i, key := range slices.Sorted(maps.Keys(object)) {
		next(i)
		name := OneLine(key) + ": "
		out.WriteString(name)
		format(out, object[key], indent+1, len([]rune(name)))
	}
	for i, element := range list {
		next(i)
		format(out, element, indent+1, 0)
	}
	out.WriteString("\n" + strings.Repeat(" ", indent))
	out.WriteByte(brackets[1])
}

// OneLine is a value as JSON on one line, with spaces after colons and commas. Only strings, numbers, booleans, null and what is
// made of them come here, so that nothing can fail.
func OneLine(value any) string {
	switch v := value.(type) {
	case map[string]any:
		var parts []string
		for _, key := range slices.Sorted(maps.Keys(v)) {
			parts = append(parts, OneLine(key)+": "+OneLine(v[key]))
		}
		return "{" + strings.Join(parts, ", ") + "}"
	case []any:
		var parts []string
		for _, element := range v {
			parts = append(parts, OneLine(element))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	}
	text, err := compact(value)
	if err != nil {
		return "null"
	}
	return text
}

// Deployed are the stacks of a set as they are deployed: with the templates that a folder has of them, each as AWS gave it, in a file
// <stack>.template.json. A stack without one is not deployed. account is the one it was deployed to.
func (s Set) Deployed(folder fs.FS, account string) (Set, error) {
	var deployed Set
	for _, stack := range s.Stacks {
		data, err := fs.ReadFile(folder, stack.Name+".template.json")
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return Set{}, fmt.Errorf("read deployed template of stack %s: %w", stack.Name, err)
		}
		if stack.Template, err = Normalise(data, account); err != nil {
			return Set{}, fmt.Errorf("read deployed template of stack %s: %w", stack.Name, err)
		}
		deployed.Stacks = append(deployed.Stacks, stack)
	}
	return deployed, nil
}
