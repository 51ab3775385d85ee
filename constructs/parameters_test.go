package constructs_test

import (
	"encoding/json"
	"strings"
	"testing"

	"payments-dr/stacks"
	"payments-dr/stacks/stackstest"
)

func TestParametersAreInBothRegions(t *testing.T) {
	for _, env := range stackstest.Environments {
		prefix := "/payment/" + env + "/"
		in := map[string]map[string]any{} // Region, then name
		for _, role := range []string{stacks.RolePrimary, stacks.RoleSecondary, stacks.RoleGlobal} {
			v := stackstest.ViewOf(t, env, role)
			for id, parameter := range v.Of("AWS::SSM::Parameter") {
				stackstest.Same(t, id+": type", parameter.Properties["Type"], "String") // CloudFormation makes no other
				put(in, v.Stack.Region, strings.TrimPrefix(parameter.Properties["Name"].(string), prefix), parameter.Properties["Value"])
			}
			for _, custom := range v.Of("Custom::AWS") {
				var call struct {
					Service, Action, Region string
					Parameters              struct{ Name, Type string }
				}
				if err := json.Unmarshal([]byte(stackstest.Flatten(custom.Properties["Create"])), &call); err != nil {
					t.Fatal(err)
				}
				if call.Service != "ssm" || call.Action != "PutParameter" || call.Parameters.Type != "String" {
					t.Errorf("custom call %+v", call)
				}
				put(in, call.Region, strings.TrimPrefix(call.Parameters.Name, prefix), custom.Properties["Create"])
			}
		}
		s := stackstest.Assembly(t, env).Settings
		for _, region := range s.Both() {
			for _, name := range []string{"db/primary-endpoint", "db/secondary-endpoint", "db/table-name", "recovery/plan-arn"} {
				value, ok := in[region.Name][name]
				if !ok {
					t.Errorf("%s: %s%s is not in %s", env, prefix, name, region.Name)
				}
				if name == "db/table-name" {
					stackstest.Same(t, name, value, "payment-"+env+"-sessions")
				} else if name == "recovery/plan-arn" {
					if !strings.Contains(stackstest.Text(value), "RecoveryPlan") {
						t.Errorf("%s: %s in %s is %s", env, name, region.Name, stackstest.Text(value))
					}
				} else if !strings.Contains(stackstest.Text(value), "Endpoint") {
					t.Errorf("%s: %s in %s is %s", env, name, region.Name, stackstest.Text(value))
				}
			}
			if n := len(in[region.Name]); n != 4 {
				t.Errorf("%s: %d parameters in %s, want 4", env, n, region.Name)
			}
		}
	}
}

func put(in map[string]map[string]any, region, name string, value any) {
	if in[region] == nil {
		in[region] = map[string]any{}
	}
	in[region][name] = value
}
