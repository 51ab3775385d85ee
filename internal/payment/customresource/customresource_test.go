package customresource_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"payments-dr/internal/payment/customresource"
)

func TestHandle(t *testing.T) {
	failure := errors.New("simulated")
	for _, tt := range []struct {
		request, given string
		fails          error
		identity       string
		applied        bool
		err            string
	}{
		{request: "Create", identity: "new", applied: true},
		{request: "Update", given: "given", identity: "given", applied: true},
		{request: "Delete", given: "given", identity: "given"},
		{request: "Create", fails: failure, applied: true, err: "simulated"},
		{request: "Replace", err: `"Replace"`},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		applied := false
		response, err := customresource.Handle(ctx, customresource.Event{RequestType: tt.request, PhysicalResourceID: tt.given}, "new", func(inner context.Context) (map[string]string, error) {
			applied = true
			outer, _ := ctx.Deadline()
			if deadline, _ := inner.Deadline(); outer.Sub(deadline) != customresource.AnswerMargin {
				t.Errorf("%s: it may work until %s before the end", tt.request, outer.Sub(deadline))
			}
			return map[string]string{"A": "b"}, tt.fails
		})
		if applied != tt.applied || response.PhysicalResourceID != tt.identity || (len(response.Data) > 0) != (tt.applied && tt.err == "") {
			t.Errorf("%s: applied %v, response %+v; want %+v", tt.request, applied, response, tt)
		}
		if (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("%s: error %v; want %q", tt.request, err, tt.err)
		}
	}
}
