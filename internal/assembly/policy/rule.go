// Package policy holds what is synthesized against rules: the project's own, here, which every synthesis checks (package validator), and
// those of three of cdk-nag's packs (package packs), whose reports it reads and puts into words for an auditor.
package policy

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"payments-dr/internal/assembly"
)

// Rule is something that is true of every template of this platform, whatever the settings.
type Rule struct {
	// Name is the rule's, in lower-case words and hyphens.
	Name string
	// Forbids is what must not be, Allowed what may be in its place, and Fix where to change it: a sentence each.
	Forbids, Allowed, Fix string
	// Why is the reason, with the page of AWS's documentation where a fact decides it.
	Why string

	check func(*platform, report)
}

// Violation is a resource that breaks a rule.
type Violation struct {
	Rule *Rule
	// Stack is the stack's name.
	Stack string
	// LogicalID is the resource's, and Property the part of it that is wrong, such as Properties/BacktrackWindow.
	LogicalID, Property string
	// Found is what is there.
	Found string
}

func (v Violation) String() string {
	return fmt.Sprintf("%s %s %s: %s: %s Found: %s. Allowed: %s To fix: %s", v.Stack, v.LogicalID, v.Property, v.Rule.Name, v.Rule.Forbids, v.Found, v.Rule.Allowed, v.Rule.Fix)
}

// report is how a rule tells of a resource: its stack, logical id and property, and what is there.
type report func(stack *stack, id, property, found string)

// Rules are all rules, in the order of their names.
func Rules() []*Rule {
	all := slices.Concat(reliabilityRules, permissionRules, dataRules)
	slices.SortFunc(all, func(a, b *Rule) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// Check holds an assembly against all rules. The violations are in the order of stacks, resources and rules.
func Check(a *assembly.Assembly) []Violation {
	p := &platform{assembly: a}
	for i := range a.Stacks {
		p.stacks = append(p.stacks, &stack{Stack: &a.Stacks[i], platform: p})
	}
	var all []Violation
	for _, rule := range Rules() {
		rule.check(p, func(s *stack, id, property, found string) {
			all = append(all, Violation{Rule: rule, Stack: s.Name, LogicalID: id, Property: property, Found: found})
		})
	}
	slices.SortStableFunc(all, func(a, b Violation) int {
		return cmp.Or(strings.Compare(a.Stack, b.Stack), strings.Compare(a.LogicalID, b.LogicalID), strings.Compare(a.Rule.Name, b.Rule.Name), strings.Compare(a.Property, b.Property))
	})
	return slices.Compact(all)
}

// platform is what rules look at.
type platform struct {
	assembly *assembly.Assembly
	stacks   []*stack
}

type stack struct {
	*assembly.Stack
	platform *platform
}

// each visits the resources of some types, in the order of stacks and logical ids.
func (p *platform) each(visit func(s *stack, id string, r assembly.Resource), kinds ...string) {
	for _, s := range p.stacks {
		s.each(func(id string, r assembly.Resource) { visit(s, id, r) }, kinds...)
	}
}

func (s *stack) each(visit func(id string, r assembly.Resource), kinds ...string) {
	for _, id := range slices.Sorted(maps.Keys(s.Template.Resources)) {
		if r := s.Template.Resources[id]; len(kinds) == 0 || slices.Contains(kinds, r.Type) {
			visit(id, r)
		}
	}
}

// any is whether a resource of a type is such.
func (s *stack) any(is func(id string, r assembly.Resource) bool, kinds ...string) bool {
	found := false
	s.each(func(id string, r assembly.Resource) { found = found || is(id, r) }, kinds...)
	return found
}

// mentions is whether a part of a template refers to a resource, anywhere in it.
func mentions(part any, id string) bool {
	found := false
	walk("", part, func(_ string, value any) {
		to := assembly.Referred(value)
		found = found || to == id
	})
	return found
}

// walk visits every part of a part, the outer ones first, with its path.
func walk(path string, part any, visit func(path string, value any)) {
	visit(path, part)
	switch v := part.(type) {
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			walk(path+"/"+key, v[key], visit)
		}
	case []any:
		for i, element := range v {
			walk(fmt.Sprintf("%s/%d", path, i), element, visit)
		}
	}
}

// short is a part of a template in few words.
func short(part any) string {
	switch v := part.(type) {
	case nil:
		return "nothing"
	case string:
		return v
	}
	if id, attribute := assembly.Reference(part); id != "" {
		return strings.TrimSuffix(id+"."+attribute, ".")
	}
	return fmt.Sprint(part)
}
