// Package review tells what a change does before it is deployed: it compares the templates of two commits, or of a commit and of what
// is deployed, resource by resource and property by property. What CloudFormation replaces, and which statements of IAM and rules of
// security groups change, is the judgement of the library that "cdk diff" uses (@aws-cdk/cloudformation-diff, run by Node.js); this
// package adds what that does not know: what becomes of a resource that goes, whether a resource comes back under another logical id,
// in which order the stacks can be deployed, and what the change does to the cost and to the recovery times.
package review

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"os/exec"
	"slices"
	"strings"

	"github.com/pmezard/go-difflib/difflib"

	"payments-dr/internal/assembly"
	"payments-dr/internal/assembly/golden"
)

// Action is what a deployment does with a resource.
type Action string

const (
	// Replaced is a new resource in the place of the old one.
	Replaced Action = "replaced"
	// MayBeReplaced is a resource that is replaced or updated: CloudFormation decides by more than the template says.
	MayBeReplaced Action = "may be replaced"
	Removed       Action = "removed"
	Added         Action = "added"
	Updated       Action = "updated"
	// Unchanged is a resource of which only what CloudFormation keeps to itself changes, such as its metadata.
	Unchanged Action = "unchanged in AWS"
)

// Actions are all there are, the gravest first.
var Actions = []Action{Replaced, MayBeReplaced, Removed, Added, Updated, Unchanged}

// Resource is a resource that changes.
type Resource struct {
	LogicalID string
	// NewLogicalID is set if the resource comes back under another logical id, which makes it a new one.
	NewLogicalID string
	Type         string
	// Path is the construct's.
	Path string
	// OldName and NewName are what the templates call it, if no second resource can have that name. Empty if AWS makes up the name.
	OldName, NewName string
	Action           Action
	// HoldsData is whether the old resource holds what cannot be made again from a template.
	HoldsData bool
	// Fate is what becomes of the old resource when it is replaced or removed.
	Fate string
	// Properties are what differs. Resources that are added or removed have none.
	Properties []Property
}

// Property is a value of a template that differs, by its path. Old or New is empty where there is none.
type Property struct {
	Path     string
	Old, New string
	// Replaces is whether the change of the property makes CloudFormation replace the resource.
	Replaces bool
	// Follows is whether the property stays as it is, and refers to a resource that is replaced.
	Follows bool
	// Interrupts is whether what the resource does is away while the property changes, though nothing is replaced.
	Interrupts bool
}

// Security is what changes in who may do what: lines that are added and lines that go.
type Security struct {
	Added, Removed []string
	// Broadened is whether anybody may do more, or more can reach something.
	Broadened bool
}

// Stack is what changes in a stack.
type Stack struct {
	Name   string
	Region string
	// Is is Added or Removed for a whole stack, otherwise Updated.
	Is        Action
	Resources []Resource
	// Rest is what differs outside the resources: outputs, parameters, metadata, tags, termination protection.
	Rest     []Property
	Security Security
}

// Empty is whether nothing changes.
func (s Stack) Empty() bool { return len(s.Resources) == 0 && len(s.Rest) == 0 && s.Is == Updated }

// settings are the app's settings that differ, which the global stack carries as metadata.
func (s Stack) settings() []Property {
	var found []Property
	for _, p := range s.Rest {
		if name, ok := strings.CutPrefix(p.Path, "Metadata."+assembly.SettingsMetadata+"."); ok {
			p.Path = name
			found = append(found, p)
		}
	}
	return found
}

// Of are the stack's resources with an action.
func (s Stack) Of(action Action) []Resource {
	var found []Resource
	for _, resource := range s.Resources {
		if resource.Action == action {
			found = append(found, resource)
		}
	}
	return found
}

//go:embed compare.mjs
var script string

// compared is what compare.mjs says of a stack.
type compared struct {
	Name      string `json:"name"`
	Resources []struct {
		ID         string            `json:"id"`
		Type       string            `json:"type"`
		NewType    string            `json:"newType"`
		Impact     string            `json:"impact"`
		HoldsData  bool              `json:"holdsData"`
		OldName    string            `json:"oldName"`
		NewName    string            `json:"newName"`
		Properties []changedProperty `json:"properties"`
	} `json:"resources"`
	Broadened       bool            `json:"broadened"`
	Statements      both[statement] `json:"statements"`
	ManagedPolicies both[struct {
		Identity string `json:"identityArn"`
		Policy   string `json:"managedPolicyArn"`
	}] `json:"managedPolicies"`
	Ingress both[rule] `json:"ingress"`
	Egress  both[rule] `json:"egress"`
}

type changedProperty struct {
	Property string `json:"property"`
	Impact   string `json:"impact"`
}

type both[T any] struct {
	Added   []T `json:"added"`
	Removed []T `json:"removed"`
}

type statement struct {
	Effect    string `json:"effect"`
	Action    string `json:"action"`
	Resource  string `json:"resource"`
	Principal string `json:"principal"`
	Condition string `json:"condition"`
}

type rule struct {
	Group    string `json:"group"`
	Protocol string `json:"protocol"`
	Peer     string `json:"peer"`
}

// Compare tells what changes from old to now, in the stacks that are in either. Stacks in which nothing changes are left out.
// moduleDir is the project's folder, where "npm ci" has put node_modules.
func Compare(ctx context.Context, moduleDir string, old, now golden.Set) ([]Stack, error) {
	type pair struct {
		Name string         `json:"name"`
		Old  map[string]any `json:"old"`
		New  map[string]any `json:"new"`
	}
	var names []string
	for _, stack := range slices.Concat(old.Stacks, now.Stacks) {
		if !slices.Contains(names, stack.Name) {
			names = append(names, stack.Name)
		}
	}
	slices.Sort(names)
	pairs := []pair{}
	for _, name := range names {
		before, _ := old.Stack(name)
		after, _ := now.Stack(name)
		if !same(before.Template, after.Template) {
			pairs = append(pairs, pair{name, orNone(before.Template), orNone(after.Template)})
		}
	}
	var results []compared
	if len(pairs) > 0 { // starting Node.js and reading the schemas takes a second
		input, err := json.Marshal(pairs)
		if err != nil {
			return nil, fmt.Errorf("write templates: %w", err)
		}
		command := exec.CommandContext(ctx, "node", "--input-type=module", "--eval", script, moduleDir)
		command.Stdin = bytes.NewReader(input)
		output, err := command.Output()
		if err != nil {
			return nil, fmt.Errorf("compare templates with @aws-cdk/cloudformation-diff (has npm ci been run?): %w%s", err, said(err))
		}
		if err := json.Unmarshal(output, &results); err != nil {
			return nil, fmt.Errorf("read comparison: %w", err)
		}
	}
	var stacks []Stack
	for _, name := range names {
		before, existed := old.Stack(name)
		after, exists := now.Stack(name)
		stack := Stack{Name: name, Region: after.Region, Is: Updated, Rest: rest(before, after)}
		if !exists {
			stack.Region, stack.Is, stack.Rest = before.Region, Removed, nil
		}
		if !existed {
			stack.Is, stack.Rest = Added, nil
		}
		if i := slices.IndexFunc(results, func(c compared) bool { return c.Name == name }); i >= 0 {
			stack.Resources = resources(results[i], before.Template, after.Template)
			stack.Security = security(results[i])
		}
		if !stack.Empty() {
			stacks = append(stacks, stack)
		}
	}
	return stacks, nil
}

func orNone(template map[string]any) map[string]any {
	if template == nil {
		return map[string]any{}
	}
	return template
}

// said is the last line that a command that failed has written.
func said(err error) string {
	failed, ok := err.(*exec.ExitError)
	if !ok {
		return ""
	}
	lines := strings.Split(strings.TrimSpace(string(failed.Stderr)), "\n")
	for _, line := range lines {
		if strings.Contains(line, "Error") {
			return ": " + strings.TrimSpace(line)
		}
	}
	return ": " + lines[len(lines)-1]
}

var actions = map[string]Action{
	"WILL_CREATE": Added, "WILL_IMPORT": Added, "WILL_DESTROY": Removed, "WILL_ORPHAN": Removed,
	"WILL_REPLACE": Replaced, "MAY_REPLACE": MayBeReplaced, "WILL_UPDATE": Updated, "NO_CHANGE": Unchanged,
}

// keeps are resource types that the schemas do not call stateful, and that a new one is no substitute for.
var keeps = map[string]bool{
	"AWS::RDS::GlobalCluster":  true, // the members are in it
	"AWS::Route53::HostedZone": true, // its name servers are in the parent domain
	"AWS::Events::Archive":     true, // a week of events
}

func resources(c compared, old, now map[string]any) []Resource {
	var all []Resource
	for _, r := range c.Resources {
		before, after := resourceOf(old, r.ID), resourceOf(now, r.ID)
		resource := Resource{LogicalID: r.ID, Type: r.Type, Path: pathOf(before, after), Action: actions[r.Impact], HoldsData: r.HoldsData || keeps[r.Type], OldName: r.OldName, NewName: r.NewName}
		if r.NewType != r.Type {
			resource.Type = r.Type + " → " + r.NewType
		}
		resource.Fate = fate(before, resource.Action)
		if before != nil && after != nil {
			slices.SortFunc(r.Properties, func(a, b changedProperty) int { return strings.Compare(a.Property, b.Property) })
			for _, p := range r.Properties {
				resource.Properties = append(resource.Properties, properties(before, after, p.Property, p.Impact == "WILL_REPLACE" || p.Impact == "MAY_REPLACE")...)
			}
			for _, attribute := range []string{"Condition", "CreationPolicy", "DeletionPolicy", "DependsOn", "Metadata", "UpdatePolicy", "UpdateReplacePolicy"} {
				resource.Properties = append(resource.Properties, differences(attribute, before[attribute], after[attribute])...)
			}
		}
		all = append(all, resource)
	}
	all = renamed(all, old, now)
	slices.SortStableFunc(all, func(a, b Resource) int {
		if order := slices.Index(Actions, a.Action) - slices.Index(Actions, b.Action); order != 0 {
			return order
		}
		return strings.Compare(a.Path+a.LogicalID, b.Path+b.LogicalID)
	})
	return all
}

// properties are the differences within a property of a resource.
func properties(before, after map[string]any, name string, replaces bool) []Property {
	old, now := assembly.At(before["Properties"], name), assembly.At(after["Properties"], name)
	found := differences(name, old, now)
	if len(found) == 0 {
		found = []Property{{Path: name, Old: spell(old), New: spell(now), Follows: true}}
	}
	for i := range found {
		found[i].Replaces = replaces
		found[i].Interrupts = !replaces && interrupts[[2]string{fmt.Sprint(before["Type"]), name}]
	}
	return found
}

// interrupts are properties whose change no schema calls a replacement, and that take the resource out of service for a while.
var interrupts = map[[2]string]bool{
	// "If you modify the DB instance class, an outage occurs": "ModifyDBInstance", Amazon RDS API Reference.
	{"AWS::RDS::DBInstance", "DBInstanceClass"}: true,
	// "What are the factors that influence downtime for Amazon Aurora DB clusters?", AWS Knowledge Center.
	{"AWS::RDS::GlobalCluster", "EngineVersion"}: true,
	{"AWS::RDS::DBCluster", "EngineVersion"}:     true,
}

// Interrupted is whether any property interrupts the resource.
func (r Resource) Interrupted() bool {
	return slices.ContainsFunc(r.Properties, func(p Property) bool { return p.Interrupts })
}

// renamed makes one replaced resource of a removed and an added one that are the same construct's.
func renamed(all []Resource, old, now map[string]any) []Resource {
	for i := 0; i < len(all); i++ {
		if all[i].Action != Removed || all[i].Path == "" {
			continue
		}
		j := slices.IndexFunc(all, func(r Resource) bool { return r.Action == Added && r.Path == all[i].Path && r.Type == all[i].Type })
		if j < 0 {
			continue
		}
		before, after := resourceOf(old, all[i].LogicalID), resourceOf(now, all[j].LogicalID)
		all[i].Action, all[i].NewLogicalID, all[i].NewName = Replaced, all[j].LogicalID, all[j].NewName
		// The old one has left the template: it is treated as one that is removed, not as one that CloudFormation replaces.
		all[i].Fate = fate(before, Removed)
		all[i].Properties = append([]Property{{Path: "logical id", Old: all[i].LogicalID, New: all[j].LogicalID, Replaces: true}},
			differences("", before["Properties"], after["Properties"])...)
		all = slices.Delete(all, j, j+1)
		if j < i {
			i--
		}
	}
	return all
}

// fate is what becomes of the old resource.
func fate(before map[string]any, action Action) string {
	policy, _ := before["DeletionPolicy"].(string)
	switch action {
	case Removed:
	case Replaced, MayBeReplaced:
		policy, _ = before["UpdateReplacePolicy"].(string)
	default:
		return ""
	}
	switch {
	case retains(policy):
		return "the old one stays, and is nobody's"
	case policy == "Snapshot":
		return "the old one is deleted, a snapshot stays"
	}
	return "the old one is deleted"
}

func resourceOf(template map[string]any, id string) map[string]any {
	resource, _ := assembly.At(template["Resources"], id).(map[string]any)
	return resource
}

func pathOf(versions ...map[string]any) string {
	for _, resource := range versions {
		if path, ok := assembly.At(resource["Metadata"], "aws:cdk:path").(string); ok {
			return path
		}
	}
	return ""
}

// rest is what differs outside the resources.
func rest(before, after golden.Stack) []Property {
	var found []Property
	found = append(found, differences("Region", before.Region, after.Region)...)
	found = append(found, differences("termination protection", before.TerminationProtection, after.TerminationProtection)...)
	found = append(found, differences("tags", generic(before.Tags), generic(after.Tags))...)
	sections := map[string]bool{}
	for _, template := range []map[string]any{before.Template, after.Template} {
		for section := range template {
			sections[section] = section != "Resources"
		}
	}
	for _, section := range sorted(sections) {
		if sections[section] {
			found = append(found, differences(section, before.Template[section], after.Template[section])...)
		}
	}
	return found
}

func generic(tags map[string]string) map[string]any {
	all := map[string]any{}
	for key, value := range tags {
		all[key] = value
	}
	return all
}

// security writes what changes in permissions and in security groups, a line each.
func security(c compared) Security {
	s := Security{Broadened: c.Broadened && !narrower(c)}
	oneLine := func(text string) string {
		return strings.Join(strings.Fields(strings.ReplaceAll(text, "\n", ", ")), " ")
	}
	allow := func(st statement) string {
		line := fmt.Sprintf("%s %s: %s on %s", st.Effect, oneLine(st.Principal), oneLine(st.Action), oneLine(st.Resource))
		if st.Condition != "" {
			line += " if " + strings.Join(strings.Fields(st.Condition), " ")
		}
		return line
	}
	for _, st := range c.Statements.Added {
		s.Added = append(s.Added, allow(st))
	}
	for _, st := range c.Statements.Removed {
		s.Removed = append(s.Removed, allow(st))
	}
	for _, p := range c.ManagedPolicies.Added {
		s.Added = append(s.Added, fmt.Sprintf("managed policy %s for %s", p.Policy, p.Identity))
	}
	for _, p := range c.ManagedPolicies.Removed {
		s.Removed = append(s.Removed, fmt.Sprintf("managed policy %s for %s", p.Policy, p.Identity))
	}
	in := func(r rule) string {
		return fmt.Sprintf("security group %s: in from %s, %s", r.Group, r.Peer, r.Protocol)
	}
	out := func(r rule) string {
		return fmt.Sprintf("security group %s: out to %s, %s", r.Group, r.Peer, r.Protocol)
	}
	for _, r := range c.Ingress.Added {
		s.Added = append(s.Added, in(r))
	}
	for _, r := range c.Ingress.Removed {
		s.Removed = append(s.Removed, in(r))
	}
	for _, r := range c.Egress.Added {
		s.Added = append(s.Added, out(r))
	}
	for _, r := range c.Egress.Removed {
		s.Removed = append(s.Removed, out(r))
	}
	slices.Sort(s.Added)
	slices.Sort(s.Removed)
	return s
}

// narrower is whether all that is added is less of what was there: a statement with fewer actions or fewer resources. To the
// library, every statement that is added lets somebody do more.
func narrower(c compared) bool {
	if len(c.ManagedPolicies.Added)+len(c.Ingress.Added)+len(c.Egress.Added) > 0 {
		return false
	}
	within := func(part, whole string) bool {
		names := strings.Split(whole, "\n")
		return !slices.ContainsFunc(strings.Split(part, "\n"), func(name string) bool { return !slices.Contains(names, name) })
	}
	for _, added := range c.Statements.Added {
		if !slices.ContainsFunc(c.Statements.Removed, func(was statement) bool {
			return added.Effect == "Allow" && was.Effect == "Allow" && added.Principal == was.Principal && added.Condition == was.Condition &&
				!strings.Contains(was.Action+was.Resource+added.Action+added.Resource, "NOT ") && within(added.Action, was.Action) && within(added.Resource, was.Resource)
		}) {
			return false
		}
	}
	return len(c.Statements.Added) > 0
}

// differences are the values that differ within a part of two templates. Elements of lists are matched as lines of a text are, so
// that an element put in between does not change all that follow it.
func differences(path string, old, now any) []Property {
	old, now = unwrap(old), unwrap(now)
	if same(old, now) {
		return nil
	}
	before, isObject := old.(map[string]any)
	after, stillObject := now.(map[string]any)
	if isObject && stillObject && !intrinsic(before) && !intrinsic(after) {
		keys := map[string]bool{}
		for _, m := range []map[string]any{before, after} {
			for key := range m {
				keys[key] = true
			}
		}
		var found []Property
		for _, key := range sorted(keys) {
			below := key
			if path != "" {
				below = path + "." + key
			}
			found = append(found, differences(below, before[key], after[key])...)
		}
		return found
	}
	from, isList := old.([]any)
	to, stillList := now.([]any)
	if isList && stillList {
		var found []Property
		one := func(i int) string { return fmt.Sprintf("%s[%d]", path, i) }
		for _, code := range difflib.NewMatcher(texts(from), texts(to)).GetOpCodes() {
			if code.Tag == 'e' {
				continue
			}
			i, j := code.I1, code.J1
			for ; i < code.I2 && j < code.J2; i, j = i+1, j+1 {
				found = append(found, differences(one(j), from[i], to[j])...)
			}
			for ; i < code.I2; i++ {
				found = append(found, Property{Path: one(i), Old: spell(from[i])})
			}
			for ; j < code.J2; j++ {
				found = append(found, Property{Path: one(j), New: spell(to[j])})
			}
		}
		return found
	}
	return []Property{{Path: path, Old: spell(old), New: spell(now)}}
}

// unwrap takes a string that golden has written as JSON for what is in it.
func unwrap(value any) any {
	if m, ok := value.(map[string]any); ok && len(m) == 1 {
		if inner, ok := m["Fn::ToJsonString"]; ok {
			return inner
		}
	}
	return value
}

func intrinsic(m map[string]any) bool {
	if len(m) != 1 {
		return false
	}
	for key := range m {
		return key == "Ref" || strings.HasPrefix(key, "Fn::")
	}
	return false
}

// spell writes a value on one line, references as ${Id} and ${Id.Attribute}.
func spell(value any) string {
	switch v := value.(type) {
	case nil:
		return ""
	case string:
		if v == "" {
			return `""`
		}
		return v
	case map[string]any:
		if id, ok := v["Ref"].(string); ok && len(v) == 1 {
			return "${" + id + "}"
		}
		if parts, ok := v["Fn::GetAtt"].([]any); ok && len(parts) == 2 {
			return fmt.Sprintf("${%v.%v}", parts[0], parts[1])
		}
		if parts, ok := v["Fn::Join"].([]any); ok && len(parts) == 2 {
			if pieces, ok := parts[1].([]any); ok {
				var joined []string
				for _, piece := range pieces {
					joined = append(joined, spell(piece))
				}
				return strings.Join(joined, fmt.Sprint(parts[0]))
			}
		}
	}
	return text(value)
}

func texts(list []any) []string {
	all := make([]string, len(list))
	for i, element := range list {
		all[i] = text(element)
	}
	return all
}

// text is a value as JSON, with sorted keys.
func text(value any) string {
	return golden.OneLine(value)
}

func same(a, b any) bool { return text(a) == text(b) }

func sorted(keys map[string]bool) []string {
	var all []string
	for key := range keys {
		all = append(all, key)
	}
	slices.Sort(all)
	return all
}
