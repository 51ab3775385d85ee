package constructs_test

import (
	"strings"
	"testing"

	"payments-dr/internal/assembly"
	"payments-dr/stacks"
	"payments-dr/stacks/stackstest"
)

func TestHealthCheckAlarms(t *testing.T) {
	for _, env := range stackstest.Environments {
		v := stackstest.ViewOf(t, env, stacks.RoleGlobal)
		for _, region := range v.Assembly.Settings.Both() {
			alarm, ok := v.Alarms(t)["payment-"+env+"-"+region.Name+"-unhealthy"]
			if !ok {
				t.Errorf("%s: no alarm tells that the API of %s is unhealthy", env, region.Name)
				continue
			}
			m, err := seriesOf(alarm)
			id, _ := assembly.List(assembly.At(m.dimensions["HealthCheckId"], "Fn::GetAtt"))[0].(string)
			config := assembly.Object(v.Stack.Template.Resources[id].Properties["HealthCheckConfig"])
			if err != nil || m.name != "HealthCheckStatus" || config["Type"] != "CALCULATED" || !strings.Contains(id, "Serving"+strings.ReplaceAll(region.Name, "-", "")) {
				t.Errorf("%s: it is on %s, %v", env, m, err)
			}
			stackstest.Same(t, "missing data", alarm.Properties["TreatMissingData"], "breaching")
		}
	}
}
