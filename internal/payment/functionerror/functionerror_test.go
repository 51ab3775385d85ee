package functionerror_test

import (
	"errors"
	"fmt"
	"testing"

	"payments-dr/internal/payment/functionerror"
)

func TestParse(t *testing.T) {
	for _, c := range []struct {
		payload, message string
		named            bool
	}{
		{`{"errorMessage":"connection refused","errorType":"wrapError"}`, "connection refused", true},
		{`{"errorType":"Runtime.ExitError"}`, `{"errorType":"Runtime.ExitError"}`, false},
		{`{"errorMessage":7}`, `{"errorMessage":7}`, false},
		{`<html>`, `<html>`, false},
		{string(functionerror.Of(errors.New(`no "time"`)).Payload), `no "time"`, true},
	} {
		e, named := functionerror.Parse([]byte(c.payload))
		if e.Message != c.message || named != c.named || string(e.Payload) != c.payload || e.Error() != "the function has failed: "+c.message {
			t.Errorf("%s: %+v, %t", c.payload, e, named)
		}
		// What is passed on is not wrapped in another payload.
		if again := functionerror.Of(fmt.Errorf("invoke: %w", e)); string(again.Payload) != c.payload {
			t.Errorf("%s: passed on as %s", c.payload, again.Payload)
		}
	}
}
