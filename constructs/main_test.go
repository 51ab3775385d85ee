package constructs_test

import (
	"encoding/json"
	"os"
	"testing"

	"github.com/aws/aws-cdk-go/awscdk/v2/assertions"
	"github.com/aws/jsii-runtime-go"

	"payments-dr/stacks/stackstest"
)

func TestMain(m *testing.M) {
	code := m.Run()
	jsii.Close()
	os.Exit(code)
}

// template is the stack's template for the library's own assertions.
func template(t *testing.T, v stackstest.View) assertions.Template {
	t.Helper()
	data, err := json.Marshal(v.Stack.Template)
	if err != nil {
		t.Fatal(err)
	}
	var object map[string]any
	if err := json.Unmarshal(data, &object); err != nil {
		t.Fatal(err)
	}
	return assertions.Template_FromJSON(&object, nil)
}
