// Package assembly reads what a synthesis leaves behind (cdk.out): the stacks with their templates, as they would be
// deployed. Whatever checks or simulates the platform starts from here, and not from a copy of the knowledge.
package assembly

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"payments-dr/internal/assembly/dashboard"
	"payments-dr/internal/settings"
)

// SettingsMetadata is the key of the global template's metadata that holds the settings the templates were made from, whole.
const SettingsMetadata = "Payment::Settings"

// Assembly is one environment's synthesized stacks.
type Assembly struct {
	// Dir is the folder that the assembly was read from.
	Dir string
	// Stacks are in the order of their names.
	Stacks []Stack
	// Settings are what the stacks were made from.
	Settings settings.Settings
	// Digest is the SHA-256 of all templates, in hexadecimal. Two assemblies with the same digest deploy the same.
	Digest string
}

// Stack is one synthesized stack.
type Stack struct {
	Name    string
	Account string
	Region  string
	// Template is the CloudFormation template.
	Template Template
	// BootstrapParameter is the SSM parameter of the stack's Region that holds the version of its bootstrap stack, and
	// BootstrapVersion the least version that a deployment takes.
	BootstrapParameter string
	BootstrapVersion   int
	// TerminationProtection is whether CloudFormation refuses to delete the stack.
	TerminationProtection bool
	// Dependencies are the names of the stacks that are deployed before this one.
	Dependencies []string

	digest [sha256.Size]byte // of the template's file
}

// Template is a CloudFormation template.
type Template struct {
	Description string
	Metadata    map[string]json.RawMessage
	Parameters  map[string]any
	Resources   map[string]Resource
	Outputs     map[string]any
}

// Resource is one resource of a template.
type Resource struct {
	Type                string
	Properties          map[string]any
	Metadata            map[string]any
	DependsOn           any
	DeletionPolicy      string
	UpdateReplacePolicy string
}

// manifest is the part of a cloud assembly's manifest that is needed here.
type manifest struct {
	Artifacts map[string]struct {
		Type         string   `json:"type"`
		Environment  string   `json:"environment"`
		Dependencies []string `json:"dependencies"`
		Properties   struct {
			TemplateFile                      string `json:"templateFile"`
			StackName                         string `json:"stackName"`
			TerminationProtection             bool   `json:"terminationProtection"`
			RequiresBootstrapStackVersion     int    `json:"requiresBootstrapStackVersion"`
			BootstrapStackVersionSsmParameter string `json:"bootstrapStackVersionSsmParameter"`
		} `json:"properties"`
	} `json:"artifacts"`
}

// Load reads the assembly in a folder.
func Load(dir string) (*Assembly, error) {
	var m manifest
	if _, err := readJSON(filepath.Join(dir, "manifest.json"), &m); err != nil {
		return nil, fmt.Errorf("read assembly (has it been synthesized?): %w", err)
	}
	a := &Assembly{Dir: dir}
	for name, artifact := range m.Artifacts {
		if artifact.Type != "aws:cloudformation:stack" {
			continue
		}
		s := Stack{
			Name:                  cmp.Or(artifact.Properties.StackName, name),
			BootstrapParameter:    artifact.Properties.BootstrapStackVersionSsmParameter,
			BootstrapVersion:      artifact.Properties.RequiresBootstrapStackVersion,
			TerminationProtection: artifact.Properties.TerminationProtection,
		}
		var ok bool
		if s.Account, s.Region, ok = strings.Cut(strings.TrimPrefix(artifact.Environment, "aws://"), "/"); !ok {
			return nil, fmt.Errorf("read assembly: stack %s has the environment %q", name, artifact.Environment)
		}
		for _, dependency := range artifact.Dependencies {
			if m.Artifacts[dependency].Type == artifact.Type {
				s.Dependencies = append(s.Dependencies, dependency)
			}
		}
		slices.Sort(s.Dependencies)
		data, err := readJSON(filepath.Join(dir, artifact.Properties.TemplateFile), &s.Template)
		if err != nil {
			return nil, fmt.Errorf("read template of stack %s: %w", name, err)
		}
		s.digest = sha256.Sum256(data)
		if raw, ok := s.Template.Metadata[SettingsMetadata]; ok {
			if err := json.Unmarshal(raw, &a.Settings); err != nil {
				return nil, fmt.Errorf("read settings of stack %s: %w", name, err)
			}
		}
		a.Stacks = append(a.Stacks, s)
	}
	if a.Settings.Environment == "" {
		return nil, fmt.Errorf("read assembly: no template in %s holds the settings, so it is none of this app's", dir)
	}
	slices.SortFunc(a.Stacks, func(x, y Stack) int { return strings.Compare(x.Name, y.Name) })
	all := sha256.New()
	for _, s := range a.Stacks {
		fmt.Fprintf(all, "%s %x\n", s.Name, s.digest)
	}
	a.Digest = hex.EncodeToString(all.Sum(nil))
	return a, nil
}

// Stack is the stack of a role: "primary", "secondary" or "global".
func (a *Assembly) Stack(role string) (Stack, error) {
	for _, s := range a.Stacks {
		if s.Name == a.Settings.StackName(role) {
			return s, nil
		}
	}
	return Stack{}, fmt.Errorf("find stack: there is no %s", a.Settings.StackName(role))
}

// Dashboards are the stacks' CloudWatch dashboards, by their names.
func (a *Assembly) Dashboards() (map[string]dashboard.Body, error) {
	all := map[string]dashboard.Body{}
	for _, s := range a.Stacks {
		for id, resource := range s.Template.Resources {
			if resource.Type != "AWS::CloudWatch::Dashboard" {
				continue
			}
			name, _ := resource.Properties["DashboardName"].(string)
			written, ok := resource.Properties["DashboardBody"].(string)
			if name == "" || !ok {
				return nil, fmt.Errorf("read dashboard %s of stack %s: its name or body has references", id, s.Name)
			}
			var body dashboard.Body
			if err := json.Unmarshal([]byte(written), &body); err != nil {
				return nil, fmt.Errorf("read dashboard %s of stack %s: %w", id, s.Name, err)
			}
			all[name] = body
		}
	}
	return all, nil
}

func readJSON(path string, target any) ([]byte, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(data, target); err != nil {
		return nil, fmt.Errorf("parse %s: %w", path, err)
	}
	return data, nil
}
