package eventbus

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// resource is a resource of a template.
type resource struct {
	Type       string
	Properties map[string]any
}

// ReadTemplate reads the buses, queues and rules of a synthesized CloudFormation template, of a stack in a Region of an
// account. What cannot be read whole is an error: a function other than Ref, Fn::GetAtt of an Arn, Fn::Join and Fn::Sub
// without names of its own, a reference to what is none of these three kinds of resource, or a property of a rule that
// changes what is delivered. Disabled rules are left out.
func ReadTemplate(template []byte, region, account string) (Topology, error) {
	var parsed struct{ Resources map[string]resource }
	if err := json.Unmarshal(template, &parsed); err != nil {
		return Topology{}, fmt.Errorf("read template: %w", err)
	}
	t := reader{resources: parsed.Resources, region: region, account: account}
	topology := Topology{Region: region}
	for _, id := range slices.Sorted(maps.Keys(parsed.Resources)) {
		var err error
		switch one := parsed.Resources[id]; one.Type {
		case "AWS::Events::EventBus":
			var name string
			if name, err = t.name(id); err == nil {
				topology.Buses = append(topology.Buses, name)
			}
		case "AWS::SQS::Queue":
			var arn string
			if arn, err = t.arn(id); err == nil {
				topology.Queues = append(topology.Queues, arn)
			}
		case "AWS::Events::Rule":
			var rule Rule
			var enabled bool
			if rule, enabled, err = t.rule(id, one); err == nil && enabled {
				topology.Rules = append(topology.Rules, rule)
			}
		}
		if err != nil {
			return Topology{}, fmt.Errorf("read template: resource %s: %w", id, err)
		}
	}
	return topology, nil
}

type reader struct {
	resources       map[string]resource
	region, account string
}

// ruleProperties and targetProperties are what a rule and a target may have.
var (
	ruleProperties   = []string{"Description", "EventBusName", "EventPattern", "Name", "State", "Tags", "Targets", "RoleArn"}
	targetProperties = []string{"Arn", "DeadLetterConfig", "Id", "RetryPolicy", "RoleArn"}
)

func (t reader) rule(id string, one resource) (rule Rule, enabled bool, err error) {
	p := one.Properties
	if err := known(p, ruleProperties); err != nil {
		return rule, false, err
	}
	rule.Name, rule.Bus = id, "default"
	if given, ok := p["Name"]; ok {
		if rule.Name, err = t.text(given); err != nil {
			return rule, false, fmt.Errorf("property Name: %w", err)
		}
	}
	if given, ok := p["EventBusName"]; ok {
		if rule.Bus, err = t.text(given); err != nil {
			return rule, false, fmt.Errorf("property EventBusName: %w", err)
		}
	}
	pattern, err := t.resolve(p["EventPattern"])
	if err != nil {
		return rule, false, fmt.Errorf("property EventPattern: %w", err)
	}
	if rule.Pattern, err = json.Marshal(pattern); err != nil {
		return rule, false, fmt.Errorf("property EventPattern: %w", err)
	}
	targets, _ := p["Targets"].([]any)
	for i, given := range targets {
		target, err := t.target(given)
		if err != nil {
			return rule, false, fmt.Errorf("target %d: %w", i, err)
		}
		rule.Targets = append(rule.Targets, target)
	}
	return rule, p["State"] != "DISABLED", nil
}

func (t reader) target(given any) (Target, error) {
	p, _ := given.(map[string]any)
	if err := known(p, targetProperties); err != nil {
		return Target{}, err
	}
	target := Target{RetryAttempts: DefaultRetryAttempts, EventAge: DefaultEventAge}
	var err error
	if target.ID, err = t.text(p["Id"]); err != nil {
		return target, fmt.Errorf("property Id: %w", err)
	}
	if target.ARN, err = t.text(p["Arn"]); err != nil {
		return target, fmt.Errorf("property Arn: %w", err)
	}
	if config, ok := p["DeadLetterConfig"].(map[string]any); ok {
		if target.DeadLetterARN, err = t.text(config["Arn"]); err != nil {
			return target, fmt.Errorf("property DeadLetterConfig: %w", err)
		}
	}
	if policy, ok := p["RetryPolicy"].(map[string]any); ok {
		if attempts, ok := policy["MaximumRetryAttempts"].(float64); ok {
			target.RetryAttempts = int(attempts)
		}
		if age, ok := policy["MaximumEventAgeInSeconds"].(float64); ok {
			target.EventAge = time.Duration(age) * time.Second
		}
	}
	return target, nil
}

func known(properties map[string]any, names []string) error {
	for _, name := range slices.Sorted(maps.Keys(properties)) {
		if !slices.Contains(names, name) {
			return fmt.Errorf("property %s is not simulated", name)
		}
	}
	return nil
}

// nameProperties are the properties that hold a resource's physical name.
var nameProperties = map[string]string{"AWS::Events::EventBus": "Name", "AWS::SQS::Queue": "QueueName", "AWS::Events::Rule": "Name"}

// name is a resource's physical name; its logical one if it has none, which CloudFormation would make longer.
func (t reader) name(id string) (string, error) {
	one, there := t.resources[id]
	property, ok := nameProperties[one.Type]
	if !there || !ok {
		return "", fmt.Errorf("reference to %s, which is no bus, queue or rule", id)
	}
	given, ok := one.Properties[property]
	if !ok {
		return id, nil
	}
	return t.text(given)
}

func (t reader) arn(id string) (string, error) {
	name, err := t.name(id)
	if err != nil {
		return "", err
	}
	switch t.resources[id].Type {
	case "AWS::Events::EventBus":
		return busARN(t.region, t.account, name), nil
	case "AWS::SQS::Queue":
		return "arn:aws:sqs:" + t.region + ":" + t.account + ":" + name, nil
	}
	return "", fmt.Errorf("the ARN of %s is not simulated", id)
}

func (t reader) text(value any) (string, error) {
	value, err := t.resolve(value)
	if err != nil {
		return "", err
	}
	s, ok := value.(string)
	if !ok {
		return "", fmt.Errorf("%v is no text", value)
	}
	return s, nil
}

// resolve replaces the functions in a value by what they will be.
func (t reader) resolve(value any) (any, error) {
	switch value := value.(type) {
	case []any:
		all := make([]any, len(value))
		for i, one := range value {
			var err error
			if all[i], err = t.resolve(one); err != nil {
				return nil, err
			}
		}
		return all, nil
	case map[string]any:
		if len(value) == 1 {
			for name, argument := range value {
				if name == "Ref" || strings.HasPrefix(name, "Fn::") {
					return t.call(name, argument)
				}
			}
		}
		all := make(map[string]any, len(value))
		for name, one := range value {
			var err error
			if all[name], err = t.resolve(one); err != nil {
				return nil, err
			}
		}
		return all, nil
	}
	return value, nil
}

func (t reader) call(function string, argument any) (any, error) {
	switch function {
	case "Ref":
		id, _ := argument.(string)
		return t.ref(id)
	case "Fn::GetAtt":
		if list, ok := argument.([]any); ok && len(list) == 2 && list[1] == "Arn" {
			id, _ := list[0].(string)
			return t.arn(id)
		}
	case "Fn::Join":
		list, _ := argument.([]any)
		if len(list) != 2 {
			break
		}
		separator, _ := list[0].(string)
		parts, _ := list[1].([]any)
		texts := make([]string, len(parts))
		for i, part := range parts {
			var err error
			if texts[i], err = t.text(part); err != nil {
				return nil, err
			}
		}
		return strings.Join(texts, separator), nil
	case "Fn::Sub":
		if s, ok := argument.(string); ok {
			return t.sub(s)
		}
	}
	return nil, fmt.Errorf("%s of %v is not simulated", function, argument)
}

func (t reader) ref(id string) (string, error) {
	switch id {
	case "AWS::Region":
		return t.region, nil
	case "AWS::AccountId":
		return t.account, nil
	case "AWS::Partition":
		return "aws", nil
	}
	if t.resources[id].Type != "AWS::Events::EventBus" { // a queue's is its URL
		return "", fmt.Errorf("a reference to %s is not simulated", id)
	}
	return t.name(id)
}

// sub replaces each ${Name} of a text, and each ${Name.Arn}.
func (t reader) sub(s string) (string, error) {
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(s, "${")
		b.WriteString(before)
		if !found {
			return b.String(), nil
		}
		name, after, found := strings.Cut(rest, "}")
		if !found || strings.HasPrefix(name, "!") {
			return "", fmt.Errorf("Fn::Sub of %q is not simulated", s)
		}
		var value string
		var err error
		if id, ok := strings.CutSuffix(name, ".Arn"); ok {
			value, err = t.arn(id)
		} else {
			value, err = t.ref(name)
		}
		if err != nil {
			return "", err
		}
		b.WriteString(value)
		s = after
	}
}
