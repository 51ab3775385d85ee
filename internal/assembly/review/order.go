package review

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"payments-dr/internal/assembly"
	"payments-dr/internal/assembly/golden"
)

// Order is in which order the stacks can be deployed.
type Order struct {
	// Stacks are the names, the first one first. It is empty if no order works.
	Stacks []string
	// Reasons say why a stack has to come before another, a sentence each. Without any, every order works.
	Reasons []string
	// Refused is what makes the deployment fail, or leaves something wrong behind, in any order: values that cross stacks and change.
	Refused []string
}

// preferred is the order of stacks between which nothing stands: the secondary Region, where a mistake costs least because the ledger
// is not active there, then the primary, then what both share.
var preferred = []string{"-secondary", "-primary", "-global"}

// OrderOf tells in which order the stacks can be deployed, each without the others (cdk deploy --exclusively).
//
// A value that AWS generates goes from stack to stack in two ways. Within a Region it is an export, and CloudFormation refuses to
// change or to delete one that is in use ("Get exported outputs from a deployed CloudFormation stack", CloudFormation User Guide). To
// another Region the library's custom resource writes it into a parameter there. On an update that resource writes the names that are
// new and deletes those that are gone, and does not write a value that has changed: its reader would go on with the old one. So:
//
//   - what a stack begins to read has to be written first;
//   - what a stack ceases to read can go only after that;
//   - a value that changes is a fault of the change, in any order.
//
// A resource that spans Regions belongs to one stack, and others rely on it by its name. When it changes, its stack goes first.
func OrderOf(old, now golden.Set, changes []Stack) Order {
	var order Order
	before := map[[2]string]string{}
	first := func(a, b, reason string) {
		if a != b && before[[2]string{a, b}] == "" {
			before[[2]string{a, b}] = reason
			order.Reasons = append(order.Reasons, fmt.Sprintf("%s before %s: %s", a, b, reason))
		}
	}
	for _, stack := range now.Stacks {
		for _, dependency := range stack.Dependencies {
			if _, deployed := old.Stack(stack.Name); !deployed {
				first(dependency, stack.Name, stack.Name+" is new")
			} else if _, deployed := old.Stack(dependency); !deployed {
				first(dependency, stack.Name, dependency+" is new")
			}
		}
	}
	oldExports, newExports := exports(old), exports(now)
	oldImports, newImports := imports(old), imports(now)
	for _, name := range slices.Sorted(maps.Keys(newExports)) {
		export := newExports[name]
		if was, ok := oldExports[name]; ok {
			if how := changed(was, export, changes); how != "" && (len(oldImports[name]) > 0 || len(newImports[name]) > 0) {
				order.Refused = append(order.Refused, fmt.Sprintf("%s of %s %s, and %s: %s",
					spell(export.value), export.stack, how, was.how(), name))
			}
			continue
		}
		for _, consumer := range newImports[name] {
			first(export.stack, consumer, consumer+" begins to read "+spell(export.value))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(oldExports)) {
		if _, still := newExports[name]; still {
			continue
		}
		for _, consumer := range oldImports[name] {
			first(consumer, oldExports[name].stack, consumer+" reads "+spell(oldExports[name].value)+" no longer")
		}
	}
	for _, change := range changes {
		for _, resource := range change.Resources {
			if resource.Action == Unchanged || !slices.Contains(spanning, resource.Type) {
				continue
			}
			for _, stack := range now.Stacks {
				if slices.Contains(stack.Dependencies, change.Name) {
					first(change.Name, stack.Name, "it holds the "+resource.Type+" "+resource.LogicalID+" for all Regions, which changes")
				}
			}
		}
	}

	var left []string
	for _, stack := range now.Stacks {
		left = append(left, stack.Name)
	}
	rank := func(name string) int {
		i := slices.IndexFunc(preferred, func(suffix string) bool { return strings.HasSuffix(name, suffix) })
		if i < 0 {
			return len(preferred)
		}
		return i
	}
	slices.SortStableFunc(left, func(a, b string) int { return rank(a) - rank(b) })
	for len(left) > 0 {
		i := slices.IndexFunc(left, func(name string) bool {
			return !slices.ContainsFunc(left, func(other string) bool { return before[[2]string{other, name}] != "" })
		})
		if i < 0 {
			order.Stacks = nil
			order.Refused = append(order.Refused, fmt.Sprintf("%s wait for one another: make the change in two steps, first what is added, then what is removed",
				strings.Join(left, " and ")))
			return order
		}
		order.Stacks = append(order.Stacks, left[i])
		left = slices.Delete(left, i, i+1)
	}
	return order
}

// spanning are the resources that exist in every Region and belong to one stack.
var spanning = []string{"AWS::RDS::GlobalCluster", "AWS::DynamoDB::GlobalTable", "AWS::SecretsManager::Secret"}

// export is a value that a stack gives to others.
type export struct {
	stack string
	value any
	// abroad is whether it goes to another Region.
	abroad bool
}

// how tells what happens to a change of the value.
func (e export) how() string {
	if e.abroad {
		return "the library does not write a changed value to the other Region again"
	}
	return "CloudFormation refuses to change an export in use"
}

// exports are all values that stacks give to others, by the name of the export or of the parameter.
func exports(set golden.Set) map[string]export {
	all := map[string]export{}
	for _, stack := range set.Stacks {
		for _, output := range assembly.Object(stack.Template["Outputs"]) {
			if name, ok := assembly.At(output, "Export", "Name").(string); ok {
				all[name] = export{stack.Name, assembly.At(output, "Value"), false}
			}
		}
		for _, resource := range assembly.Object(stack.Template["Resources"]) {
			if assembly.At(resource, "Type") != "Custom::CrossRegionExportWriter" {
				continue
			}
			for name, value := range assembly.Object(assembly.At(resource, "Properties", "WriterProps", "exports")) {
				all[name] = export{stack.Name, value, true}
			}
		}
	}
	return all
}

// imports are the stacks that read a value, by its name.
func imports(set golden.Set) map[string][]string {
	all := map[string][]string{}
	for _, stack := range set.Stacks {
		read := func(name string) {
			if !slices.Contains(all[name], stack.Name) {
				all[name] = append(all[name], stack.Name)
			}
		}
		for _, resource := range assembly.Object(stack.Template["Resources"]) {
			if assembly.At(resource, "Type") == "Custom::CrossRegionExportReader" {
				for name := range assembly.Object(assembly.At(resource, "Properties", "ReaderProps", "imports")) {
					read(name)
				}
			}
		}
		importValues(stack.Template, read)
	}
	return all
}

// importValues finds every Fn::ImportValue.
func importValues(part any, found func(name string)) {
	switch v := part.(type) {
	case map[string]any:
		if name, ok := v["Fn::ImportValue"].(string); ok {
			found(name)
		}
		for _, value := range v {
			importValues(value, found)
		}
	case []any:
		for _, value := range v {
			importValues(value, found)
		}
	}
}

// changed tells how the value of an export changes, or nothing.
func changed(was, is export, changes []Stack) string {
	if !same(was.value, is.value) {
		return "was " + spell(was.value)
	}
	id := assembly.Referred(is.value)
	for _, change := range changes {
		if change.Name != is.stack {
			continue
		}
		for _, resource := range change.Resources {
			if resource.LogicalID == id && (resource.Action == Replaced || resource.Action == MayBeReplaced) {
				return "is of a resource that is " + strings.Replace(string(resource.Action), "may be", "perhaps", 1)
			}
		}
	}
	return ""
}
