package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"payments-dr/internal/payment"
)

// fakeTable is a table of functions; a nil one must not be called.
type fakeTable struct {
	accept func(payment.Payment) (payment.Payment, bool, error)
	get    func(payment.Identity) (payment.Payment, error)
	list   func(session, after string, limit int) ([]payment.Payment, bool, error)
	probe  func(ctx context.Context, interruption time.Duration) (since time.Time, err error)
}

func (f fakeTable) Accept(_ context.Context, p payment.Payment) (payment.Payment, bool, error) {
	return f.accept(p)
}
func (f fakeTable) Get(_ context.Context, id payment.Identity) (payment.Payment, error) {
	return f.get(id)
}
func (f fakeTable) List(_ context.Context, session, after string, limit int) ([]payment.Payment, bool, error) {
	return f.list(session, after, limit)
}
func (f fakeTable) Probe(ctx context.Context, _ string, _ time.Time, interruption time.Duration) (time.Time, error) {
	return f.probe(ctx, interruption)
}

const testRegion = "us-east-1"

var testTime = time.Date(2026, 11, 22, 3, 4, 5, 678901234, time.UTC)

// serve handles one request and returns the response with everything that was logged.
func serve(t *testing.T, table table, request events.APIGatewayProxyRequest) (events.APIGatewayProxyResponse, string) {
	t.Helper()
	var log bytes.Buffer
	h := &handler{
		table: table, region: testRegion, namespace: "Payment/test", interruption: 20 * time.Second, steadyFor: 5 * time.Minute,
		logger: slog.New(slog.NewJSONHandler(&log, nil)), now: func() time.Time { return testTime },
	}
	response, err := h.handle(t.Context(), request)
	if err != nil {
		t.Fatalf("the handler returned an error: %v", err)
	}
	if response.Headers["Content-Type"] != "application/json" || response.Headers["X-Region"] != testRegion {
		t.Errorf("headers %v", response.Headers)
	}
	if !json.Valid([]byte(response.Body)) {
		t.Errorf("body is no JSON: %s", response.Body)
	}
	if response.StatusCode >= 400 {
		var body map[string]string
		if err := json.Unmarshal([]byte(response.Body), &body); err != nil || len(body) != 2 || body["error"] == "" || body["region"] != testRegion {
			t.Errorf("body of a %d: %s", response.StatusCode, response.Body)
		}
	}
	described().checkEvents(t, request, response)
	return response, log.String()
}

func post(body string) events.APIGatewayProxyRequest {
	return events.APIGatewayProxyRequest{
		Resource: "/payments", Path: "/payments", HTTPMethod: http.MethodPost, Body: body,
		Headers: map[string]string{"content-type": "application/json; charset=utf-8"},
	}
}

func get(resource string, parameters map[string]string) events.APIGatewayProxyRequest {
	return events.APIGatewayProxyRequest{Resource: resource, HTTPMethod: http.MethodGet, PathParameters: parameters}
}

func acceptAll(p payment.Payment) (payment.Payment, bool, error) { return p, false, nil }

func TestPaymentIsAccepted(t *testing.T) {
	var written payment.Payment
	table := fakeTable{accept: func(p payment.Payment) (payment.Payment, bool, error) { written = p; return p, false, nil }}
	response, log := serve(t, table, post(`{"transaction_id":"t","session_id":"s","amount":12.3,"currency":"EUR"}`))
	const want = `{"amount":12.30,"currency":"EUR","message":"Payment processed","region":"us-east-1","session_id":"s","transaction_id":"t"}`
	if response.StatusCode != http.StatusOK || response.Body != want {
		t.Errorf("%d %s\nwant %s", response.StatusCode, response.Body, want)
	}
	if _, marked := response.Headers["Idempotent-Replayed"]; marked {
		t.Error("marked as replayed")
	}
	if !written.Timestamp.Equal(testTime.Truncate(time.Microsecond)) || written.Region != testRegion || written.Status != "processed" {
		t.Errorf("written %+v", written)
	}
	if !strings.Contains(log, `"PaymentsAccepted":1`) || !strings.Contains(log, `"Namespace":"Payment/test"`) {
		t.Errorf("log has no metric: %s", log)
	}
}

func TestReplayIsAnsweredAsFirstAccepted(t *testing.T) {
	first, err := payment.Parse(payment.Values{
		"session_id": "s", "transaction_id": "t",
		"amount": "12.34", "currency": "USD",
		"region": "us-west-2", "timestamp": "2026-11-22T01:00:00.000000Z",
		"status": "processed",
	})
	if err != nil {
		t.Fatal(err)
	}
	table := fakeTable{accept: func(payment.Payment) (payment.Payment, bool, error) { return first, true, nil }}
	response, log := serve(t, table, post(`{"transaction_id":"t","session_id":"s","amount":"12.34"}`))
	const want = `{"amount":12.34,"currency":"USD","message":"Payment processed","region":"us-west-2","session_id":"s","transaction_id":"t"}`
	if response.StatusCode != http.StatusOK || response.Body != want || response.Headers["Idempotent-Replayed"] != "true" {
		t.Errorf("%d %v %s", response.StatusCode, response.Headers, response.Body)
	}
	if !strings.Contains(log, `"PaymentsReplayed":1`) {
		t.Errorf("log has no metric: %s", log)
	}
}

// TestIdempotencyKeyIsTheTransactionID has no payment accepted under an identity that the client does not expect.
func TestIdempotencyKeyIsTheTransactionID(t *testing.T) {
	const named, unnamed = `{"transaction_id":"t-1","amount":1}`, `{"amount":1}`
	for _, tt := range []struct {
		name, body string
		keys       []string
		status     int
	}{
		{"no key", named, nil, 200},
		{"the same", named, []string{"t-1"}, 200},
		{"the same, quoted as in the draft", named, []string{`"t-1"`}, 200},
		{"the same twice", named, []string{"t-1", `"t-1"`}, 200},
		{"another", named, []string{"t-2"}, 400},
		{"another first", named, []string{"t-2", "t-1"}, 400},
		{"empty", named, []string{""}, 400},
		{"in other case", named, []string{"T-1"}, 400},
		{"without a transaction_id", unnamed, []string{"t-1"}, 400},
	} {
		t.Run(tt.name, func(t *testing.T) {
			accepted := 0
			table := fakeTable{accept: func(p payment.Payment) (payment.Payment, bool, error) { accepted++; return p, false, nil }}
			request := post(tt.body)
			if len(tt.keys) > 0 { // as API Gateway hands a header on
				request.Headers["idempotency-key"] = tt.keys[len(tt.keys)-1]
				request.MultiValueHeaders = map[string][]string{"idempotency-key": tt.keys}
			}
			response, log := serve(t, table, request)
			if response.StatusCode != tt.status || accepted != map[int]int{200: 1, 400: 0}[tt.status] {
				t.Errorf("status %d, %d accepted; want %d: %s", response.StatusCode, accepted, tt.status, response.Body)
			}
			if tt.status == 400 && (!strings.Contains(response.Body, "transaction_id") || !strings.Contains(log, `"RequestsInvalid":1`)) {
				t.Errorf("body %s, log %s", response.Body, log)
			}
		})
	}
}

func TestContractOfErrors(t *testing.T) {
	unavailable := &payment.Error{Code: payment.CodeUnavailable, Message: "later", Err: errors.New("dial tcp 10.0.0.7:443: refused")}
	accepting := fakeTable{accept: acceptAll}
	failing := func(err error) fakeTable {
		return fakeTable{accept: func(payment.Payment) (payment.Payment, bool, error) { return payment.Payment{}, false, err }}
	}
	with := func(r events.APIGatewayProxyRequest, change func(*events.APIGatewayProxyRequest)) events.APIGatewayProxyRequest {
		change(&r)
		return r
	}
	for _, tt := range []struct {
		name    string
		table   fakeTable
		request events.APIGatewayProxyRequest
		status  int
		error   string
		header  [2]string
		metric  string
	}{
		{name: "no body", table: accepting, request: post(""), status: 400, error: "not a JSON object", metric: "RequestsInvalid"},
		{name: "no JSON", table: accepting, request: post("hello"), status: 400, error: "not a JSON object"},
		{name: "bad amount", table: accepting, request: post(`{"amount":"abc"}`), status: 400, error: "amount"},
		{name: "id that no queue takes", table: accepting, request: post(`{"amount":1,"session_id":"s-\uffff"}`), status: 400, error: `session_id \"s-\\uffff\" contains U+FFFF; allowed are`, metric: "RequestsInvalid"},
		{name: "id that no path takes", table: accepting, request: post(`{"amount":1,"transaction_id":".."}`), status: 400, error: "transaction_id"},
		{name: "16 KiB", table: accepting, request: post(`{"amount":1` + strings.Repeat(" ", maxBodyBytes-12) + `}`), status: 200},
		{name: "a byte more", table: accepting, request: post(`{"amount":1` + strings.Repeat(" ", maxBodyBytes-11) + `}`), status: 413, error: "16384 bytes", metric: "RequestsInvalid"},
		{name: "other content type", table: accepting, request: with(post(`{"amount":1}`), func(r *events.APIGatewayProxyRequest) {
			r.Headers = map[string]string{"Content-Type": "text/plain"}
		}), status: 415, error: "application/json"},
		{name: "broken content type", table: accepting, request: with(post(`{"amount":1}`), func(r *events.APIGatewayProxyRequest) {
			r.Headers = map[string]string{"CONTENT-TYPE": ";"}
		}), status: 415, error: "application/json"},
		{name: "no content type", table: accepting, request: with(post(`{"amount":1}`), func(r *events.APIGatewayProxyRequest) { r.Headers = nil }), status: 200},
		{name: "base64", table: accepting, request: with(post(""), func(r *events.APIGatewayProxyRequest) {
			r.IsBase64Encoded, r.Body = true, base64.StdEncoding.EncodeToString([]byte(`{"amount":1}`))
		}), status: 200},
		{name: "conflict", table: failing(&payment.Error{Code: payment.CodeConflict, Message: "another amount"}), request: post(`{"amount":1}`), status: 422, error: "another amount", metric: "PaymentsConflicting"},
		{name: "unavailable", table: failing(unavailable), request: post(`{"amount":1}`), status: 503, error: "later", header: [2]string{"Retry-After", "1"}, metric: "TableUnavailable"},
		{name: "our fault", table: failing(errors.New("secret internals")), request: post(`{"amount":1}`), status: 500, error: "internal error", metric: "InternalErrors"},
		{name: "panic", table: fakeTable{}, request: post(`{"amount":1}`), status: 500, error: "internal error", metric: "InternalErrors"},
		{name: "wrong method on payments", request: get("/payments", nil), status: 405, error: "use POST", header: [2]string{"Allow", "POST"}},
		{name: "wrong method on a session", request: with(get("/payments/{session_id}", nil), func(r *events.APIGatewayProxyRequest) { r.HTTPMethod = "DELETE" }), status: 405, error: "use GET", header: [2]string{"Allow", "GET"}},
		{name: "wrong method on health", request: with(get("/health", nil), func(r *events.APIGatewayProxyRequest) { r.HTTPMethod = "POST" }), status: 405, error: "use GET"},
		{name: "unknown path", request: get("/{proxy+}", map[string]string{"proxy": "admin"}), status: 404, error: "no such path"},
		{name: "root", request: get("/", nil), status: 404, error: "no such path"},
		{name: "id with a control character", request: get("/payments/{session_id}", map[string]string{"session_id": "%01"}), status: 400, error: "session_id contains"},
		{name: "id not encoded", request: get("/payments/{session_id}", map[string]string{"session_id": "%zz"}), status: 400, error: "session_id is not percent-encoded"},
		{name: "page size", request: with(get("/payments/{session_id}", map[string]string{"session_id": "s"}), func(r *events.APIGatewayProxyRequest) {
			r.QueryStringParameters = map[string]string{"limit": "0"}
		}), status: 400, error: "limit is not a whole number from 1 to 1000"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			response, log := serve(t, tt.table, tt.request)
			if response.StatusCode != tt.status {
				t.Fatalf("%d %s, want %d", response.StatusCode, response.Body, tt.status)
			}
			if tt.error != "" && !strings.Contains(response.Body, tt.error) {
				t.Errorf("body %s, want in it %q", response.Body, tt.error)
			}
			if name := tt.header[0]; name != "" && response.Headers[name] != tt.header[1] {
				t.Errorf("%s: %q, want %q", name, response.Headers[name], tt.header[1])
			}
			if tt.metric != "" && !strings.Contains(log, `"`+tt.metric+`":1`) {
				t.Errorf("metric %s is not in the log: %s", tt.metric, log)
			}
			for _, internals := range []string{"10.0.0.7", "secret internals", "goroutine"} {
				if strings.Contains(response.Body, internals) {
					t.Errorf("the body shows %q: %s", internals, response.Body)
				}
			}
		})
	}
}

func TestInternalsAreLogged(t *testing.T) {
	table := fakeTable{accept: func(payment.Payment) (payment.Payment, bool, error) {
		return payment.Payment{}, false, errors.New("secret internals")
	}}
	_, log := serve(t, table, post(`{"transaction_id":"4111111111111111","amount":31337.42}`))
	if !strings.Contains(log, "secret internals") || !strings.Contains(log, `"level":"ERROR"`) {
		t.Errorf("the cause is not in the log: %s", log)
	}
	for _, payload := range []string{"4111111111111111", "31337"} {
		if strings.Contains(log, payload) {
			t.Errorf("the log shows %q: %s", payload, log)
		}
	}
}

// TestRead reads a payment of an earlier release, whose session no new payment may have.
func TestRead(t *testing.T) {
	p, err := payment.Parse(payment.Values{
		"session_id": "ümlaut / slash", "transaction_id": "t",
		"amount": "5.00", "currency": "USD",
		"region": "us-west-2", "timestamp": "2026-11-22T01:00:00.000000Z",
		"status": "processed",
	})
	if err != nil {
		t.Fatal(err)
	}
	const told = `{"amount":5.00,"currency":"USD","region":"us-west-2","session_id":"ümlaut / slash","status":"processed","timestamp":"2026-11-22T01:00:00.000000Z","transaction_id":"t"}`
	table := fakeTable{
		get: func(id payment.Identity) (payment.Payment, error) {
			if id != p.Identity {
				return payment.Payment{}, &payment.Error{Code: payment.CodeNotFound, Message: "no such payment"}
			}
			return p, nil
		},
		list: func(session, after string, limit int) ([]payment.Payment, bool, error) {
			if session != "ümlaut / slash" || after != "a" || limit != 7 {
				t.Errorf("list of %q after %q, %d", session, after, limit)
			}
			return []payment.Payment{p}, true, nil
		},
	}
	response, _ := serve(t, table, get("/payments/{session_id}/{transaction_id}", map[string]string{"session_id": "%C3%BCmlaut%20%2F%20slash", "transaction_id": "t"}))
	if response.StatusCode != 200 || response.Body != told {
		t.Errorf("%d %s", response.StatusCode, response.Body)
	}
	response, _ = serve(t, table, get("/payments/{session_id}/{transaction_id}", map[string]string{"session_id": "%C3%BCmlaut%20%2F%20slash", "transaction_id": "u"}))
	if response.StatusCode != 404 {
		t.Errorf("%d %s", response.StatusCode, response.Body)
	}
	request := get("/payments/{session_id}", map[string]string{"session_id": "%C3%BCmlaut%20%2F%20slash"})
	request.QueryStringParameters = map[string]string{"after": "a", "limit": "7"}
	response, _ = serve(t, table, request)
	if want := `{"session_id":"ümlaut / slash","payments":[` + told + `],"next":"t"}`; response.StatusCode != 200 || response.Body != want {
		t.Errorf("%d %s\nwant %s", response.StatusCode, response.Body, want)
	}
	// A payment that cannot be read does not hide the others of its session.
	table.list = func(string, string, int) ([]payment.Payment, bool, error) {
		return []payment.Payment{{Identity: payment.Identity{SessionID: "ümlaut / slash", TransactionID: "broken"}, Fault: "amount is missing"}, p}, false, nil
	}
	response, _ = serve(t, table, request)
	if want := `{"session_id":"ümlaut / slash","payments":[{"session_id":"ümlaut / slash","status":"unreadable","transaction_id":"broken"},` + told + `]}`; response.StatusCode != 200 || response.Body != want {
		t.Errorf("%d %s\nwant %s", response.StatusCode, response.Body, want)
	}
}

func TestHealthIsDeepAndInTime(t *testing.T) {
	var within time.Duration
	probe := func(err error) fakeTable {
		return fakeTable{probe: func(ctx context.Context, _ time.Duration) (time.Time, error) {
			deadline, _ := ctx.Deadline()
			within = time.Until(deadline)
			return time.Time{}, err
		}}
	}
	response, _ := serve(t, probe(nil), get("/health", nil))
	if response.StatusCode != 200 || response.Body != `{"status":"healthy","region":"us-east-1","steady":true}` {
		t.Errorf("%d %s", response.StatusCode, response.Body)
	}
	// A health checker waits 2 s for the status and reads the first 5,120 bytes.
	if within <= 0 || within > 1900*time.Millisecond || len(response.Body) > 5120 {
		t.Errorf("deadline %v, body of %d bytes", within, len(response.Body))
	}
	response, _ = serve(t, probe(&payment.Error{Code: payment.CodeUnavailable, Message: "later"}), get("/health", nil))
	if response.StatusCode != 503 {
		t.Errorf("%d %s", response.StatusCode, response.Body)
	}
}

func TestARegionIsSteadyAWhileAfterAnInterruption(t *testing.T) {
	for _, tt := range []struct {
		since  time.Duration // before now
		steady bool
	}{
		{0, false}, {5*time.Minute - 1, false}, {5 * time.Minute, true}, {time.Hour, true},
		{-time.Second, false}, // by a clock that is behind the one that wrote it
	} {
		response, _ := serve(t, fakeTable{probe: func(_ context.Context, interruption time.Duration) (time.Time, error) {
			if interruption != 20*time.Second {
				t.Errorf("an interruption is longer than %v", interruption)
			}
			return testTime.Add(-tt.since), nil
		}}, get("/health", nil))
		want := fmt.Sprintf(`{"status":"healthy","region":"us-east-1","steady":%v}`, tt.steady)
		if response.StatusCode != 200 || response.Body != want {
			t.Errorf("%v after an interruption: %d %s, want %s", tt.since, response.StatusCode, response.Body, want)
		}
	}
}

// A process that Lambda has frozen may resume with a clock that is minutes behind; testTime is the process's.
func TestAWrongClockDoesNotDateAPayment(t *testing.T) {
	for name, tt := range map[string]struct {
		came      time.Time
		corrected bool
	}{
		"right":                       {testTime.Add(-20 * time.Millisecond), false},
		"right, after a long request": {testTime.Add(-29 * time.Second), false},
		"a millisecond behind":        {testTime.Add(time.Millisecond), true},
		"seven minutes behind":        {testTime.Add(7 * time.Minute), true},
		"an hour ahead":               {testTime.Add(-time.Hour), true},
		"not told":                    {time.UnixMilli(0), false},
	} {
		t.Run(name, func(t *testing.T) {
			want := testTime
			if tt.corrected {
				want = tt.came.Truncate(time.Millisecond)
			}
			request := post(`{"amount":"1.00"}`)
			request.RequestContext.RequestTimeEpoch = tt.came.UnixMilli()
			_, log := serve(t, fakeTable{accept: func(p payment.Payment) (payment.Payment, bool, error) {
				if !p.Timestamp.Equal(want.Truncate(time.Microsecond)) {
					t.Errorf("accepted at %v, want %v", p.Timestamp, want)
				}
				return p, false, nil
			}}, request)
			if told, far := strings.Contains(log, `"clockOffSeconds"`), testTime.Sub(tt.came).Abs() > time.Minute && tt.corrected; told != far {
				t.Errorf("log %s", log)
			}
		})
	}
}
