package architecture

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"payments-dr/internal/assembly"
)

// Permission is one statement of a role's policies.
type Permission struct {
	Role string
	// AssumedBy is who may take the role.
	AssumedBy string
	// Actions and Resources are what it may, and on what. Condition is when, or nothing.
	Actions, Resources []string
	Condition          string
}

// statements are those that let a role do something, of its own policies and of those that are attached to it.
func (p *platform) statements(role place) (all []map[string]any) {
	stack, err := p.Stack(role.role)
	if err != nil {
		return nil
	}
	add := func(document any) {
		for _, s := range assembly.OneOrMore(assembly.At(document, "Statement")) {
			if statement, ok := s.(map[string]any); ok && statement["Effect"] == "Allow" {
				all = append(all, statement)
			}
		}
	}
	for _, policy := range assembly.OneOrMore(role.resource.Properties["Policies"]) {
		add(assembly.At(policy, "PolicyDocument"))
	}
	for _, id := range sorted(stack, "AWS::IAM::Policy") {
		properties := stack.Template.Resources[id].Properties
		for _, holder := range assembly.OneOrMore(properties["Roles"]) {
			for _, at := range p.at(stack, holder) {
				if at.key() == role.key() {
					add(properties["PolicyDocument"])
				}
			}
		}
	}
	return all
}

// Permissions are what each role of a stack may.
func Permissions(a *assembly.Assembly, of string) ([]Permission, error) {
	p, err := read(a)
	if err != nil {
		return nil, err
	}
	stack, err := a.Stack(of)
	if err != nil {
		return nil, err
	}
	var all []Permission
	for _, id := range sorted(stack, "AWS::IAM::Role") {
		role := p.places(stack, id)[0]
		one := Permission{Role: madeAs(id), AssumedBy: p.trusted(stack, role)}
		if name, ok := role.resource.Properties["RoleName"].(string); ok {
			one.Role = name
		}
		for _, managed := range assembly.OneOrMore(role.resource.Properties["ManagedPolicyArns"]) {
			text := p.text(stack, managed)
			held := one
			held.Actions = []string{"the managed policy " + text[strings.LastIndex(text, "/")+1:]}
			all = append(all, held)
		}
		for _, s := range p.statements(role) {
			held := one
			held.Actions = assembly.Texts(s["Action"])
			for _, on := range assembly.OneOrMore(s["Resource"]) {
				held.Resources = append(held.Resources, p.text(stack, on))
			}
			held.Condition = p.condition(stack, s["Condition"])
			all = append(all, held)
		}
	}
	return all, nil
}

func (p *platform) trusted(stack assembly.Stack, role place) string {
	var who []string
	for _, s := range assembly.OneOrMore(assembly.At(role.resource.Properties, "AssumeRolePolicyDocument", "Statement")) {
		for _, kind := range []string{"Service", "AWS"} {
			for _, principal := range assembly.OneOrMore(assembly.At(s, "Principal", kind)) {
				text := p.text(stack, principal)
				if strings.HasSuffix(text, "root") {
					text = "principals of the account"
				}
				if condition := p.condition(stack, assembly.At(s, "Condition")); condition != "" {
					text += " if " + condition
				}
				if !slices.Contains(who, text) {
					who = append(who, text)
				}
			}
		}
	}
	return strings.Join(who, ", ")
}

// arn is an ARN of this partition.
var arn = regexp.MustCompile(`arn:aws:([a-z0-9-]*):([a-z0-9-]*):([0-9]*):`)

// text is a value as a reader wants it: resources by their names, and ARNs without what is the same in all.
func (p *platform) text(stack assembly.Stack, value any) string {
	switch value := value.(type) {
	case string:
		return arn.ReplaceAllStringFunc(value, func(found string) string {
			parts := arn.FindStringSubmatch(found)
			if parts[2] != "" && parts[2] != stack.Region {
				return parts[1] + " in " + parts[2] + " "
			}
			return parts[1] + " "
		})
	case map[string]any:
		if parts, ok := value["Fn::Join"].([]any); ok && len(parts) == 2 {
			var b strings.Builder
			for _, part := range assembly.OneOrMore(parts[1]) {
				if s, ok := part.(string); ok {
					b.WriteString(s)
				} else {
					b.WriteString(p.text(stack, part))
				}
			}
			return p.text(stack, b.String())
		}
		if name, ok := value["Ref"].(string); ok && strings.HasPrefix(name, "AWS::") {
			return map[string]string{"AWS::Partition": "aws", "AWS::Region": stack.Region, "AWS::AccountId": stack.Account, "AWS::URLSuffix": "amazonaws.com"}[name]
		}
		if s, ok := value["Fn::Sub"].(string); ok {
			return p.text(stack, strings.ReplaceAll(s, "${AWS::Partition}", "aws"))
		}
		if found := p.at(stack, value); len(found) > 0 {
			kind := namedTypes[found[0].resource.Type]
			name := p.name(found[0])
			if kind.form != "" && found[0].resource.Properties[kind.property] != nil {
				name = kind.service + " " + fmt.Sprintf(kind.form, name)
			}
			attribute, _ := assembly.At(value, "Fn::GetAtt", 1).(string)
			if strings.HasSuffix(attribute, "StreamArn") {
				name += "/stream/*"
			}
			return name
		}
	}
	return asJSON(value)
}

func (p *platform) condition(stack assembly.Stack, value any) string {
	operators, _ := value.(map[string]any)
	var all []string
	for _, operator := range slices.Sorted(maps.Keys(operators)) {
		keys, _ := operators[operator].(map[string]any)
		for _, key := range slices.Sorted(maps.Keys(keys)) {
			var values []string
			for _, v := range assembly.OneOrMore(keys[key]) {
				if s, ok := v.(string); ok {
					values = append(values, s)
				} else {
					values = append(values, p.text(stack, v))
				}
			}
			word := " = "
			if strings.Contains(operator, "Like") {
				word = " like "
			}
			if strings.Contains(operator, "Not") {
				word = " not" + word
			}
			which := map[string]string{"ForAllValues": "every ", "ForAnyValue": "one "}[strings.SplitN(operator, ":", 2)[0]]
			one := which + key + word + strings.Join(values, " or ")
			if operator == "Null" {
				one = key + map[string]string{"false": " is there", "true": " is missing"}[strings.Join(values, "")]
			}
			all = append(all, one)
		}
	}
	return strings.Join(all, ", and ")
}

// heading and row are a permission in a table of its role, without the account and the Region's own name.
func (p Permission) heading(name *strings.Replacer) string {
	return name.Replace("#### " + p.Role + "\n\nTaken by " + p.AssumedBy + ".\n\n| may | on | only if |\n| --- | --- | --- |\n")
}

func (p Permission) row(name *strings.Replacer) string {
	var actions, resources []string
	services := map[string][]string{}
	var order []string
	for _, action := range p.Actions {
		service, word, ok := strings.Cut(action, ":")
		if !ok {
			actions = append(actions, action)
			continue
		}
		if services[service] == nil {
			order = append(order, service)
		}
		services[service] = append(services[service], word)
	}
	for _, service := range order {
		actions = append(actions, "`"+service+"`: "+strings.Join(services[service], ", "))
	}
	for _, r := range p.Resources {
		resources = append(resources, "`"+r+"`")
	}
	slices.Sort(resources)
	condition := ""
	if p.Condition != "" {
		condition = "`" + p.Condition + "`"
	}
	return name.Replace(fmt.Sprintf("| %s | %s | %s |\n", strings.Join(actions, "<br>"), strings.Join(resources, "<br>"), condition))
}

// WritePermissions is the tables of who may do what. What both Regions' roles may, but for the Regions' names, is told once.
func WritePermissions(a *assembly.Assembly) (string, error) {
	regions := a.Settings.Regions
	// by heading, the rows
	tables := map[string]map[string][]string{}
	for _, role := range []string{"primary", "secondary", "global"} {
		all, err := Permissions(a, role)
		if err != nil {
			return "", err
		}
		name := strings.NewReplacer(a.Settings.Account, "‹account›")
		switch role {
		case "primary":
			name = strings.NewReplacer(a.Settings.Account, "‹account›", regions.Primary.Name, "‹region›", regions.Secondary.Name, "‹other›")
		case "secondary":
			name = strings.NewReplacer(a.Settings.Account, "‹account›", regions.Secondary.Name, "‹region›", regions.Primary.Name, "‹other›")
		}
		tables[role] = map[string][]string{}
		for _, p := range all {
			heading, row := p.heading(name), p.row(name)
			if !slices.Contains(tables[role][heading], row) {
				tables[role][heading] = append(tables[role][heading], row)
			}
		}
	}
	pick := func(from string, wanted func(heading, row string) bool) map[string][]string {
		picked := map[string][]string{}
		for heading, rows := range tables[from] {
			for _, row := range rows {
				if wanted(heading, row) {
					picked[heading] = append(picked[heading], row)
				}
			}
		}
		return picked
	}
	in := func(role string) func(heading, row string) bool {
		return func(heading, row string) bool { return slices.Contains(tables[role][heading], row) }
	}
	not := func(is func(heading, row string) bool) func(heading, row string) bool {
		return func(heading, row string) bool { return !is(heading, row) }
	}
	var b strings.Builder
	for _, part := range []struct {
		title  string
		tables map[string][]string
	}{
		{"In each of the two Regions", pick("primary", in("secondary"))},
		{"In " + regions.Primary.Name + " alone", pick("primary", not(in("secondary")))},
		{"In " + regions.Secondary.Name + " alone", pick("secondary", not(in("primary")))},
		{"Over both Regions", tables["global"]},
	} {
		if len(part.tables) == 0 {
			continue
		}
		fmt.Fprintf(&b, "### %s\n\n", part.title)
		for _, heading := range slices.Sorted(maps.Keys(part.tables)) {
			slices.Sort(part.tables[heading])
			b.WriteString(heading + strings.Join(part.tables[heading], "") + "\n")
		}
	}
	return strings.TrimRight(b.String(), "\n") + "\n", nil
}
