package stackstest

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"payments-dr/internal/assembly"
	"payments-dr/internal/assembly/cost"
	"payments-dr/internal/assembly/policy"
)

// View is one stack of an environment, with the questions that tests have about it.
type View struct {
	Assembly *assembly.Assembly
	Stack    assembly.Stack
	Role     string
}

// ViewOf is the stack of a role in an environment.
func ViewOf(t testing.TB, env, role string) View {
	t.Helper()
	a := Assembly(t, env)
	stack, err := a.Stack(role)
	if err != nil {
		t.Fatal(err)
	}
	return View{Assembly: a, Stack: stack, Role: role}
}

// Each runs a test on the template of every regional stack of every environment.
func Each(t *testing.T, test func(t *testing.T, v View)) {
	t.Helper()
	eachOf(t, RegionalRoles, test)
}

// EachStack runs a test on every stack of every environment.
func EachStack(t *testing.T, test func(t *testing.T, v View)) {
	t.Helper()
	eachOf(t, append(slices.Clone(RegionalRoles), RoleGlobal), test)
}

func eachOf(t *testing.T, roles []string, test func(t *testing.T, v View)) {
	t.Helper()
	for _, env := range Environments {
		for _, role := range roles {
			t.Run(env+"/"+role, func(t *testing.T) { test(t, ViewOf(t, env, role)) })
		}
	}
}

// Text is any part of a template as JSON, to be searched and compared.
func Text(part any) string {
	data, err := json.Marshal(part)
	if err != nil {
		return err.Error()
	}
	return string(data)
}

// Same fails the test unless a part of a template is exactly what is wanted.
func Same(t testing.TB, what string, got, want any) {
	t.Helper()
	if g, w := Text(got), Text(want); g != w {
		t.Errorf("%s is %s, want %s", what, g, w)
	}
}

// Ref is the intrinsic function Ref.
func Ref(id string) any { return map[string]any{"Ref": id} }

// GetAtt is the intrinsic function Fn::GetAtt.
func GetAtt(id, name string) any { return map[string]any{"Fn::GetAtt": []any{id, name}} }

// The two types of alarms.
const (
	MetricAlarm    = "AWS::CloudWatch::Alarm"
	CompositeAlarm = "AWS::CloudWatch::CompositeAlarm"
)

// Alarms are a stack's alarms of both kinds, by name.
func (v View) Alarms(t *testing.T) map[string]assembly.Resource {
	t.Helper()
	all := map[string]assembly.Resource{}
	for _, kind := range []string{MetricAlarm, CompositeAlarm} {
		for id, alarm := range v.Of(kind) {
			name, _ := alarm.Properties["AlarmName"].(string)
			if _, twice := all[name]; twice || !strings.HasPrefix(name, "payment-"+v.Assembly.Settings.Environment+"-") {
				t.Errorf("alarm %s is called %q", id, name)
			}
			all[name] = alarm
		}
	}
	return all
}

// Of are the resources of a type, by logical id.
func (v View) Of(kind string) map[string]assembly.Resource {
	found := map[string]assembly.Resource{}
	for id, resource := range v.Stack.Template.Resources {
		if resource.Type == kind {
			found[id] = resource
		}
	}
	return found
}

// One is the only resource of a type.
func (v View) One(t *testing.T, kind string) (string, assembly.Resource) {
	t.Helper()
	found := v.Of(kind)
	if len(found) != 1 {
		t.Fatalf("%d resources of type %s, want 1", len(found), kind)
	}
	for id, resource := range found {
		return id, resource
	}
	panic("unreachable")
}

// KeyOf is the platform's own key, or with "-backup" the one of the backup vault, by its alias.
func (v View) KeyOf(t *testing.T, suffix string) (string, assembly.Resource) {
	t.Helper()
	alias := v.Named(t, "AWS::KMS::Alias", "AliasName", "alias/payment-"+v.Assembly.Settings.Environment+suffix)
	target := assembly.List(assembly.At(alias.Properties["TargetKeyId"], "Fn::GetAtt"))
	if len(target) != 2 {
		t.Fatalf("the alias is of %s", Text(alias.Properties["TargetKeyId"]))
	}
	id := target[0].(string)
	return id, v.Stack.Template.Resources[id]
}

// Function is the platform's function of a name.
func (v View) Function(t *testing.T, name string) assembly.Resource {
	t.Helper()
	for _, function := range v.Of("AWS::Lambda::Function") {
		if function.Properties["FunctionName"] == "payment-"+v.Assembly.Settings.Environment+"-"+name {
			return function
		}
	}
	t.Fatalf("there is no function %s", name)
	return assembly.Resource{}
}

// Statements are all statements of all policies that a role has, with the role's logical id.
func (v View) Statements() map[string][]map[string]any {
	all := map[string][]map[string]any{}
	add := func(role string, document any) {
		for _, statement := range assembly.List(assembly.At(document, "Statement")) {
			all[role] = append(all[role], assembly.Object(statement))
		}
	}
	for id, role := range v.Of("AWS::IAM::Role") {
		for _, policy := range assembly.List(role.Properties["Policies"]) {
			add(id, assembly.At(policy, "PolicyDocument"))
		}
	}
	for _, policy := range v.Of("AWS::IAM::Policy") {
		for _, role := range assembly.List(policy.Properties["Roles"]) {
			add(assembly.At(role, "Ref").(string), policy.Properties["PolicyDocument"])
		}
	}
	return all
}

// ActionsOf are the actions of a policy statement.
func ActionsOf(statement map[string]any) []string {
	var actions []string
	switch a := statement["Action"].(type) {
	case string:
		actions = []string{a}
	case []any:
		for _, action := range a {
			actions = append(actions, action.(string))
		}
	}
	return actions
}

// Flatten is a string that CloudFormation would join, with each reference in it as text.
func Flatten(part any) string {
	if s, ok := part.(string); ok {
		return s
	}
	parts := assembly.List(assembly.At(part, "Fn::Join"))
	if len(parts) != 2 {
		return "reference"
	}
	var joined strings.Builder
	for _, piece := range assembly.List(parts[1]) {
		joined.WriteString(Flatten(piece))
	}
	return joined.String()
}

// OtherRegion is the Region that a regional stack is not in.
func (v View) OtherRegion() string {
	s := v.Assembly.Settings
	return s.Other(s.Both()[slices.Index(RegionalRoles, v.Role)]).Name
}

// StatementsOf are a role's statements with their resources as they are in the template, by their ids.
func (v View) StatementsOf(t *testing.T, role string) map[string]map[string]any {
	t.Helper()
	byID := map[string]map[string]any{}
	for _, statement := range v.Statements()[role] {
		id, _ := statement["Sid"].(string)
		if id == "" {
			continue // NewFunction's and the library's own
		}
		if byID[id] != nil {
			t.Errorf("two statements %s", id)
		}
		byID[id] = statement
	}
	return byID
}

// CostOf is what an environment costs, with levers, and as it is printed.
func CostOf(t *testing.T, env string) (cost.Report, string) {
	t.Helper()
	report, err := cost.Make(Assembly(t, env), cost.DefaultUsage())
	if err != nil {
		t.Fatal(err)
	}
	var printed strings.Builder
	if err := report.WriteTable(&printed); err != nil {
		t.Fatal(err)
	}
	return report, printed.String()
}

// Named is the only resource of a type with a value of a property.
func (v View) Named(t *testing.T, kind, property, value string) assembly.Resource {
	t.Helper()
	for _, resource := range v.Of(kind) {
		if resource.Properties[property] == value {
			return resource
		}
	}
	t.Fatalf("no %s has the %s %s", kind, property, value)
	return assembly.Resource{}
}

// MappingOf is the event source mapping of a function.
func (v View) MappingOf(t *testing.T, name string) assembly.Resource {
	t.Helper()
	return v.ofFunction(t, "AWS::Lambda::EventSourceMapping", name)
}

// InvokeConfigOf is what happens to a function's asynchronous invocations.
func (v View) InvokeConfigOf(t *testing.T, name string) assembly.Resource {
	t.Helper()
	return v.ofFunction(t, "AWS::Lambda::EventInvokeConfig", name)
}

// ofFunction is the resource of a type that refers to a function of a name.
func (v View) ofFunction(t *testing.T, kind, name string) assembly.Resource {
	t.Helper()
	for id, function := range v.Of("AWS::Lambda::Function") {
		if function.Properties["FunctionName"] != "payment-"+v.Assembly.Settings.Environment+"-"+name {
			continue
		}
		for _, resource := range v.Of(kind) {
			if Text(resource.Properties["FunctionName"]) == Text(Ref(id)) {
				return resource
			}
		}
	}
	t.Fatalf("function %s has no %s", name, kind)
	return assembly.Resource{}
}

// Blocks are the configurations of the plan's steps, by the step's name, those in parallel ones too.
func Blocks(steps []any) map[string]map[string]any {
	all := map[string]map[string]any{}
	for _, s := range steps {
		step := assembly.Object(s)
		configuration := assembly.Object(step["ExecutionBlockConfiguration"])
		if step["ExecutionBlockType"] == "Parallel" {
			maps.Copy(all, Blocks(assembly.List(assembly.At(configuration["ParallelConfig"], "Steps"))))
			continue
		}
		for _, block := range configuration {
			all[fmt.Sprint(step["Name"])] = assembly.Object(block)
		}
	}
	return all
}

// RoleNamed is the role of a name, with its logical id.
func RoleNamed(t *testing.T, v View, name string) (assembly.Resource, string) {
	t.Helper()
	for id, role := range v.Of("AWS::IAM::Role") {
		if role.Properties["RoleName"] == name {
			return role, id
		}
	}
	t.Fatalf("there is no role %s", name)
	return assembly.Resource{}, ""
}

// ResourceOf is the resource of a type that a test is true of, in the stack of a role, with its logical id.
func ResourceOf(t *testing.T, a *assembly.Assembly, role, kind string, is func(properties map[string]any) bool) (string, map[string]any) {
	t.Helper()
	stack, err := a.Stack(role)
	if err != nil {
		t.Fatal(err)
	}
	for id, resource := range stack.Template.Resources {
		if resource.Type == kind && is(resource.Properties) {
			return id, resource.Properties
		}
	}
	t.Fatalf("%s has no such %s", role, kind)
	return "", nil
}

// AnyOf is for ResourceOf when there is only one.
func AnyOf(map[string]any) bool { return true }

// Reports are what the rule packs found in environments.
func Reports(t *testing.T, environments []string) []*policy.Report {
	t.Helper()
	var all []*policy.Report
	for _, env := range environments {
		report, err := policy.ReadReport(Assembly(t, env).Dir, Assembly(t, env))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, report)
	}
	return all
}
