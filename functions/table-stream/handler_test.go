package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"payments-dr/internal/payment/customresource"
)

const (
	// timeout is the function's; see constructs/session_table.go.
	timeout    = 10 * time.Minute
	arn        = "arn:aws:dynamodb:us-west-2:111122223333:table/payment-test-sessions/stream/2026-11-26T21:00:00.000"
	properties = `"ResourceProperties":{"ServiceToken":"arn","ServiceTimeout":"1200","TableName":"payment-test-sessions","StreamViewType":"NEW_AND_OLD_IMAGES"}`
	create     = `{"RequestType":"Create","StackId":"s","RequestId":"r","LogicalResourceId":"Run",` + properties + `}`
)

// exchange is one call that DynamoDB expects, and its answer on the wire.
type exchange struct {
	operation string
	status    int
	body      string
}

// description is what DescribeTable answers. view is the enabled stream's view type, "" if none is enabled.
func description(status, view, arn string) exchange {
	table := map[string]any{"TableName": "payment-test-sessions", "TableStatus": status}
	if view != "" {
		table["StreamSpecification"] = map[string]any{"StreamEnabled": true, "StreamViewType": view}
	}
	if arn != "" {
		table["LatestStreamArn"] = arn
	}
	body, _ := json.Marshal(map[string]any{"Table": table})
	return exchange{"DescribeTable", http.StatusOK, string(body)}
}

func refusal(operation, code, message string) exchange {
	body, _ := json.Marshal(map[string]any{"__type": "com.amazonaws.dynamodb.v20120810#" + code, "message": message})
	return exchange{operation, http.StatusBadRequest, string(body)}
}

var (
	bare     = description("ACTIVE", "", "")
	updating = description("UPDATING", "", "")
	enabling = description("UPDATING", "NEW_AND_OLD_IMAGES", arn)
	ready    = description("ACTIVE", "NEW_AND_OLD_IMAGES", arn)
	accepted = exchange{"UpdateTable", http.StatusOK, `{"TableDescription":{"TableStatus":"UPDATING"}}`}
	tooMany  = refusal("UpdateTable", "LimitExceededException", "Subscriber limit exceeded: only 50 tables can be created, updated, or deleted simultaneously")
	inUse    = refusal("UpdateTable", "ResourceInUseException", "Attempt to change a resource which is still in use: Table is being updated: payment-test-sessions")
)

// simulatedDynamoDB answers the exchanges in their order, and the last one for ever if it repeats.
type simulatedDynamoDB struct {
	t         *testing.T
	exchanges []exchange
	repeats   bool
	calls     int
}

// latency is how long a call takes. With none at all, the SDK's waiter would call without end when its time is nearly over.
const latency = 20 * time.Millisecond

func (s *simulatedDynamoDB) Do(r *http.Request) (*http.Response, error) {
	time.Sleep(latency)
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	operation := strings.TrimPrefix(r.Header.Get("X-Amz-Target"), "DynamoDB_20120810.")
	at := s.calls
	if s.repeats {
		at = min(at, len(s.exchanges)-1)
	}
	s.calls++
	if at >= len(s.exchanges) || s.exchanges[at].operation != operation {
		s.t.Errorf("call %d is %s; want %+v", s.calls, operation, s.exchanges[min(at, len(s.exchanges)):])
		return nil, fmt.Errorf("%s is not expected", operation)
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	want := `{"TableName":"payment-test-sessions"}`
	if operation == "UpdateTable" {
		want = `{"StreamSpecification":{"StreamEnabled":true,"StreamViewType":"NEW_AND_OLD_IMAGES"},"TableName":"payment-test-sessions"}`
	}
	var sent map[string]any
	if err := json.Unmarshal(body, &sent); err != nil {
		return nil, err
	}
	if sorted, _ := json.Marshal(sent); string(sorted) != want {
		s.t.Errorf("%s is sent %s; want %s", operation, sorted, want)
	}
	answer := s.exchanges[at]
	return &http.Response{
		StatusCode: answer.status, Header: http.Header{"Content-Type": {"application/x-amz-json-1.0"}},
		Body: io.NopCloser(strings.NewReader(answer.body)), Request: r,
	}, nil
}

// invoke calls the handler as Lambda does, with the SDK's client in front of the simulated DynamoDB. Time is synctest's.
func invoke(t *testing.T, s *simulatedDynamoDB, event string) (string, error) {
	t.Helper()
	s.t = t
	h := &handler{
		tables: dynamodb.New(dynamodb.Options{
			Region: "us-west-2", HTTPClient: s,
			Credentials: aws.CredentialsProviderFunc(credentials.NewStaticCredentialsProvider("simulated", "simulated", "").Retrieve),
		}),
		logger: slog.New(slog.NewJSONHandler(io.Discard, nil)),
	}
	var parsed customresource.Event
	if err := json.Unmarshal([]byte(event), &parsed); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	response, err := h.handle(ctx, parsed)
	text, _ := json.Marshal(response)
	return string(text), err
}

func TestStreamIsThereInTheEnd(t *testing.T) {
	for name, tt := range map[string]struct {
		exchanges []exchange
		within    time.Duration
	}{
		"the stream exists":                {[]exchange{ready}, time.Second},
		"no stream":                        {[]exchange{bare, accepted, enabling, ready}, time.Minute},
		"a stream that was disabled":       {[]exchange{description("ACTIVE", "", arn+"-old"), accepted, enabling, ready}, time.Minute},
		"another update without a stream":  {[]exchange{updating, updating, bare, accepted, enabling, enabling, ready}, 2 * time.Minute},
		"the stream is being enabled":      {[]exchange{enabling, enabling, ready}, time.Minute},
		"the table is being created":       {[]exchange{description("CREATING", "", ""), ready}, time.Minute},
		"an update between look and call":  {[]exchange{bare, inUse, updating, bare, accepted, enabling, ready}, 2 * time.Minute},
		"another deployment was faster":    {[]exchange{bare, refusal("UpdateTable", "ValidationException", "Table already has an enabled stream: TableName: payment-test-sessions"), enabling, ready}, time.Minute},
		"a description that is not recent": {[]exchange{bare, accepted, bare, inUse, enabling, ready}, time.Minute},
		"too many changes of tables":       {[]exchange{bare, tooMany, tooMany, tooMany, bare, accepted, ready}, time.Minute}, // the SDK has three attempts
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, started := &simulatedDynamoDB{exchanges: tt.exchanges}, time.Now()
				got, err := invoke(t, s, create)
				if want := `{"PhysicalResourceId":"payment-test-sessions","Data":{"StreamArn":"` + arn + `"}}`; err != nil || got != want {
					t.Errorf("%s, %v; want %s", got, err, want)
				}
				if s.calls != len(tt.exchanges) {
					t.Errorf("%d calls; want %d", s.calls, len(tt.exchanges))
				}
				waits := time.Duration(0)
				if len(tt.exchanges) > 1 {
					waits = minPause
				}
				if took := time.Since(started); took < waits || took > tt.within {
					t.Errorf("it took %s; want from %s to %s", took, waits, tt.within)
				}
			})
		})
	}
}

func TestStreamThatCannotBe(t *testing.T) {
	for name, tt := range map[string]struct {
		exchanges []exchange
		want      []string
	}{
		"another view type":            {[]exchange{description("ACTIVE", "KEYS_ONLY", arn)}, []string{"KEYS_ONLY", "NEW_AND_OLD_IMAGES", "disable that stream"}},
		"another one is on its way":    {[]exchange{bare, accepted, description("UPDATING", "NEW_IMAGE", arn)}, []string{"NEW_IMAGE;", "NEW_AND_OLD_IMAGES"}},
		"no table":                     {[]exchange{refusal("DescribeTable", "ResourceNotFoundException", "Requested resource not found: Table: payment-test-sessions not found")}, []string{"no replica", "deploy the stack", "payment-test-sessions not found"}},
		"a table that is deleted":      {[]exchange{description("DELETING", "", "")}, []string{"DELETING", "ACTIVE"}},
		"a validation of another sort": {[]exchange{bare, refusal("UpdateTable", "ValidationException", "1 validation error detected")}, []string{"1 validation error detected"}},
		"no permission to look":        {[]exchange{refusal("DescribeTable", "AccessDeniedException", "not authorized to perform: dynamodb:DescribeTable")}, []string{"dynamodb:DescribeTable"}},
		"no permission to update":      {[]exchange{bare, refusal("UpdateTable", "AccessDeniedException", "not authorized to perform: dynamodb:UpdateTable")}, []string{"dynamodb:UpdateTable"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, started := &simulatedDynamoDB{exchanges: tt.exchanges}, time.Now()
				got, err := invoke(t, s, create)
				if err == nil {
					t.Fatalf("no error, and %s", got)
				}
				for _, want := range append(tt.want, "enable the stream of table payment-test-sessions") {
					if !strings.Contains(err.Error(), want) {
						t.Errorf("error %q lacks %q", err, want)
					}
				}
				if s.calls != len(tt.exchanges) || time.Since(started) > minPause*2 {
					t.Errorf("%d calls in %s; want %d, and the error at once", s.calls, time.Since(started), len(tt.exchanges))
				}
			})
		})
	}
}

func TestWaitingEndsBeforeTheInvocation(t *testing.T) {
	for name, tt := range map[string]struct {
		exchanges []exchange
		want      string
	}{
		"the table stays as it is":  {[]exchange{updating}, "whose status is UPDATING"},
		"the stream stays as it is": {[]exchange{bare, accepted, enabling}, "whose status is UPDATING"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, started := &simulatedDynamoDB{exchanges: tt.exchanges, repeats: true}, time.Now()
				_, err := invoke(t, s, create)
				if err == nil || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("error %v; want in it %q", err, tt.want)
				}
				if took := time.Since(started); took > timeout-customresource.AnswerMargin || took < timeout/2 {
					t.Errorf("it took %s; want most of %s, and %s less", took, timeout, customresource.AnswerMargin)
				}
				if least := int(timeout / maxPause / 2); s.calls < least || s.calls > 10*least {
					t.Errorf("%d calls; want about %d", s.calls, least)
				}
			})
		})
	}
}

func TestUpdateKeepsItsIdentityAndDeleteDoesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		got, err := invoke(t, &simulatedDynamoDB{exchanges: []exchange{ready}}, `{"RequestType":"Update","PhysicalResourceId":"given",`+properties+`}`)
		if want := `{"PhysicalResourceId":"given","Data":{"StreamArn":"` + arn + `"}}`; err != nil || got != want {
			t.Errorf("%s, %v; want %s", got, err, want)
		}
		got, err = invoke(t, &simulatedDynamoDB{}, `{"RequestType":"Delete","PhysicalResourceId":"given",`+properties+`}`)
		if err != nil || got != `{"PhysicalResourceId":"given"}` {
			t.Errorf("%s, %v", got, err)
		}
	})
}

func TestPropertiesAreRequired(t *testing.T) {
	for _, wrong := range []string{`{}`, `{"TableName":"t"}`, `{"StreamViewType":"NEW_IMAGE"}`, `"x"`} {
		_, err := invoke(t, &simulatedDynamoDB{}, `{"RequestType":"Create","ResourceProperties":`+wrong+`}`)
		if err == nil || !strings.Contains(err.Error(), "read properties") {
			t.Errorf("%s: error %v", wrong, err)
		}
	}
}
