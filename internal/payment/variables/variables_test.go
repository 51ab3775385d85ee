package variables_test

import (
	"testing"

	"payments-dr/internal/payment/variables"
)

// readAll reads what validate has, as it does.
func readAll() (*variables.Environment, int) {
	e := variables.Read("validate")
	for _, name := range []string{variables.TableName, variables.DatabaseName, variables.DatabaseUser, variables.InstanceClass, variables.MetricsNamespace} {
		e.Text(name)
	}
	e.Number(variables.DatabasePort, 1, 65535)
	return e, e.Number(variables.MaxReceives, 1, 1000)
}

func TestEveryFaultIsNamedAtOnce(t *testing.T) {
	for _, name := range variables.Of("validate") {
		t.Setenv(name, "3")
	}
	if e, receives := readAll(); e.Err() != nil || receives != 3 {
		t.Errorf("%d, %v", receives, e.Err())
	}
	t.Setenv("TABLE_NAME", "")
	t.Setenv("INSTANCE_CLASS", "")
	t.Setenv("DATABASE_PORT", "65536")
	t.Setenv("MAX_RECEIVES", "none")
	const want = "read environment: TABLE_NAME is not set\nINSTANCE_CLASS is not set\n" +
		`DATABASE_PORT is "65536"; allowed are whole numbers from 1 to 65535` + "\n" + `MAX_RECEIVES is "none"; allowed are whole numbers from 1 to 1000`
	if e, _ := readAll(); e.Err() == nil || e.Err().Error() != want {
		t.Errorf("%v, want %s", e.Err(), want)
	}
}

func TestTheListIsWhatTheCodeReads(t *testing.T) {
	for _, name := range variables.Of("processor") {
		t.Setenv(name, "x")
	}
	e := variables.Read("processor")
	e.Text(variables.TableName)
	if err := e.Unused(); err == nil || err.Error() != "the function processor does not use [METRICS_NAMESPACE INTERRUPTION_SECONDS STEADY_SECONDS]: remove them from package variables" {
		t.Errorf("error %v", err)
	}
	defer func() {
		if recover() == nil {
			t.Error("read a variable that is not on the list")
		}
	}()
	e.Text(variables.EventBusName)
}
