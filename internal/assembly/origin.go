package assembly

import (
	"fmt"
	"strings"
)

// Origin is where a value comes from: an attribute of a resource in one of the stacks.
type Origin struct {
	Stack Stack
	// LogicalID is the resource's.
	LogicalID string
	// Attribute is the name in Fn::GetAtt, or nothing for a Ref.
	Attribute string
}

// Resource is the resource that the value comes from.
func (o Origin) Resource() Resource { return o.Stack.Template.Resources[o.LogicalID] }

// Origin follows a Ref, an Fn::GetAtt or an Fn::ImportValue of a stack to the resource that it means, through other stacks and
// other Regions, as a deployment does: an export within a Region, and from another Region a parameter that the producing stack
// has written and the consuming stack reads. The error says which link is missing.
func (a *Assembly) Origin(stack Stack, value any) (Origin, error) {
	object, ok := value.(map[string]any)
	if !ok || len(object) != 1 {
		return Origin{}, fmt.Errorf("follow reference in %s: %v is none", stack.Name, value)
	}
	if id, ok := object["Ref"].(string); ok {
		return a.origin(stack, id, "")
	}
	if parts, ok := object["Fn::GetAtt"].([]any); ok && len(parts) == 2 {
		id, _ := parts[0].(string)
		attribute, _ := parts[1].(string)
		if stack.Template.Resources[id].Type == "Custom::CrossRegionExportReader" {
			return a.written(stack, attribute)
		}
		return a.origin(stack, id, attribute)
	}
	if name, ok := object["Fn::ImportValue"].(string); ok {
		return a.exported(stack, name)
	}
	return Origin{}, fmt.Errorf("follow reference in %s: %v is not understood", stack.Name, value)
}

func (a *Assembly) origin(stack Stack, id, attribute string) (Origin, error) {
	if _, ok := stack.Template.Resources[id]; !ok {
		return Origin{}, fmt.Errorf("follow reference in %s: there is no resource %s", stack.Name, id)
	}
	return Origin{Stack: stack, LogicalID: id, Attribute: attribute}, nil
}

// exported finds the output of another stack of the same Region and account that has an export of the name.
func (a *Assembly) exported(stack Stack, name string) (Origin, error) {
	for _, producer := range a.Stacks {
		if producer.Region != stack.Region || producer.Account != stack.Account {
			continue
		}
		for _, output := range producer.Template.Outputs {
			if At(output, "Export", "Name") == name {
				return a.Origin(producer, At(output, "Value"))
			}
		}
	}
	return Origin{}, fmt.Errorf("follow reference in %s: nothing in %s exports %s", stack.Name, stack.Region, name)
}

// written finds the stack of another Region that writes a parameter for this one.
func (a *Assembly) written(stack Stack, parameter string) (Origin, error) {
	for _, producer := range a.Stacks {
		for _, resource := range producer.Template.Resources {
			if resource.Type != "Custom::CrossRegionExportWriter" {
				continue
			}
			writer := Object(resource.Properties["WriterProps"])
			if value, ok := Object(writer["exports"])[parameter]; ok && writer["region"] == stack.Region {
				return a.Origin(producer, value)
			}
		}
	}
	return Origin{}, fmt.Errorf("follow reference in %s: no stack writes %s to %s", stack.Name, strings.TrimPrefix(parameter, "/cdk/exports/"), stack.Region)
}
