package architecture

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"payments-dr/internal/assembly"
)

// Crossing is a value that one stack makes and another uses.
type Crossing struct {
	From, To assembly.Stack
	// What is the resource that it comes from, and Attribute which of its values.
	What, Attribute string
	// How is "export" within a Region, "parameter" from another Region, "name" if the user knows the name beforehand.
	How string
	// UsedBy are the resources that use it.
	UsedBy []string
}

// Crossings are all values that cross stacks.
func Crossings(a *assembly.Assembly) ([]Crossing, error) {
	p, err := read(a)
	if err != nil {
		return nil, err
	}
	found := map[string]*Crossing{}
	for _, stack := range a.Stacks {
		for _, id := range slices.Sorted(maps.Keys(stack.Template.Resources)) {
			resource := stack.Template.Resources[id]
			if strings.HasPrefix(resource.Type, "Custom::CrossRegionExport") {
				continue
			}
			for _, c := range p.crossings(stack, resource.Properties) {
				key := c.From.Name + "|" + c.To.Name + "|" + c.What + "|" + c.Attribute + "|" + c.How
				if found[key] == nil {
					found[key] = &c
				}
				if user := madeAs(id); !slices.Contains(found[key].UsedBy, user) {
					found[key].UsedBy = append(found[key].UsedBy, user)
				}
			}
		}
	}
	var all []Crossing
	for _, key := range slices.Sorted(maps.Keys(found)) {
		all = append(all, *found[key])
	}
	return all, nil
}

func (p *platform) crossings(stack assembly.Stack, value any) (all []Crossing) {
	switch value := value.(type) {
	case string:
		for _, at := range p.at(stack, value) {
			if from, err := p.Stack(at.role); err == nil && from.Name != stack.Name && !strings.HasPrefix(at.resource.Type, "AWS::CloudWatch") {
				all = append(all, Crossing{From: from, To: stack, What: p.name(at), Attribute: kindOf(at), How: "name"})
			}
		}
	case []any:
		for _, part := range value {
			all = append(all, p.crossings(stack, part)...)
		}
	case map[string]any:
		if origin, err := p.Origin(stack, value); err == nil {
			if origin.Stack.Name != stack.Name {
				c := Crossing{From: origin.Stack, To: stack, What: madeAs(origin.LogicalID), Attribute: origin.Attribute, How: "parameter"}
				if c.Attribute == "" {
					c.Attribute = "id"
				}
				if origin.Stack.Region == stack.Region {
					c.How = "export"
				}
				return append(all, c)
			}
			return all
		}
		if name, ok := value["GlobalClusterIdentifier"].(string); ok {
			for _, from := range p.Stacks {
				for _, id := range sorted(from, "AWS::RDS::GlobalCluster") {
					if from.Name != stack.Name && p.name(p.places(from, id)[0]) == name {
						all = append(all, Crossing{From: from, To: stack, What: name, Attribute: "global cluster", How: "name"})
					}
				}
			}
		}
		for _, key := range slices.Sorted(maps.Keys(value)) {
			all = append(all, p.crossings(stack, value[key])...)
		}
	}
	return all
}

func kindOf(at place) string {
	parts := strings.Split(at.resource.Type, "::")
	switch kind := parts[len(parts)-1]; kind {
	case "DBCluster":
		return "cluster"
	case "GlobalTable":
		return "table"
	case "EventBus":
		return "bus"
	default:
		return strings.ToLower(kind)
	}
}

// StackPicture is the three stacks, and how many values cross from each to each. Resources are not counted: a picture that changes
// with each of them would be in everybody's way.
func StackPicture(a *assembly.Assembly) (*Picture, error) {
	all, err := Crossings(a)
	if err != nil {
		return nil, err
	}
	picture := &Picture{Direction: "LR"}
	for _, role := range []string{"primary", "secondary", "global"} {
		stack, err := a.Stack(role)
		if err != nil {
			return nil, err
		}
		picture.add(Node{ID: stack.Name, Label: stack.Name + "\n" + stack.Region, Shape: ShapeBox})
	}
	count := map[[3]string]int{}
	for _, c := range all {
		count[[3]string{c.From.Name, c.To.Name, c.How}]++
	}
	for _, role := range []string{"primary", "secondary", "global"} {
		for _, to := range []string{"primary", "secondary", "global"} {
			from, into := a.Settings.StackName(role), a.Settings.StackName(to)
			for _, how := range []string{"export", "parameter", "name"} {
				n := count[[3]string{from, into, how}]
				if n == 0 {
					continue
				}
				word := how
				if n > 1 {
					word += "s"
				}
				picture.connect(Edge{From: from, To: into, Label: fmt.Sprintf("%d %s", n, word), Dotted: how == "name"})
			}
		}
	}
	return picture, nil
}

// WriteCrossings is the table of what crosses.
func WriteCrossings(all []Crossing) string {
	var b strings.Builder
	b.WriteString("| from | to | value | how | used by |\n| --- | --- | --- | --- | --- |\n")
	for _, c := range all {
		how := map[string]string{
			"export":    "export, in " + c.From.Region,
			"parameter": "parameter, written to " + c.To.Region,
			"name":      "known name",
		}[c.How]
		fmt.Fprintf(&b, "| %s | %s | `%s` %s | %s | %s |\n", roleOf(c.From), roleOf(c.To), c.What, c.Attribute, how, strings.Join(c.UsedBy, ", "))
	}
	return b.String()
}

func roleOf(stack assembly.Stack) string { return stack.Name[strings.LastIndex(stack.Name, "-")+1:] }
