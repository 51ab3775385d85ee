package simulation_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"payments-dr/internal/simulation"
)

// inProcess is a function in this process.
type inProcess func(ctx context.Context, payload []byte) ([]byte, error)

func (f inProcess) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	return f(ctx, payload)
}

// echo answers with what the API handed on.
func echo(_ context.Context, payload []byte) ([]byte, error) {
	var event events.APIGatewayProxyRequest
	if err := json.Unmarshal(payload, &event); err != nil {
		return nil, err
	}
	body, err := json.Marshal(map[string]any{
		"method": event.HTTPMethod, "resource": event.Resource, "path": event.Path, "parameters": event.PathParameters,
		"query": event.MultiValueQueryStringParameters, "body": event.Body, "user": event.RequestContext.Identity.UserArn,
	})
	if err != nil {
		return nil, err
	}
	return json.Marshal(events.APIGatewayProxyResponse{StatusCode: http.StatusAccepted, Headers: map[string]string{"X-Region": "here"}, Body: string(body)})
}

func testAPI(function simulation.Invoker, clock simulation.Clock) *simulation.API {
	return simulation.NewAPI(simulation.APIConfig{
		Stage: "live", DomainName: "api.test", Function: function, Clock: clock,
		Routes: []simulation.Route{
			{Path: "/", Method: "ANY", Signed: true}, {Path: "/payments", Method: "ANY", Signed: true},
			{Path: "/payments/{session_id}", Method: "ANY", Signed: true}, {Path: "/health", Method: "ANY", Signed: true},
			{Path: "/health", Method: "GET"}, {Path: "/{proxy+}", Method: "ANY", Signed: true},
		},
		Responses: map[string]simulation.GatewayResponse{
			"DEFAULT_4XX":         {Headers: map[string]string{"X-Region": "'here'"}, Template: `{"error":$context.error.messageString}`},
			"DEFAULT_5XX":         {Template: `{"error":"internal error"}`},
			"INTEGRATION_FAILURE": {Status: http.StatusServiceUnavailable, Headers: map[string]string{"Retry-After": "'1'"}, Template: `{"error":"later"}`},
			"INTEGRATION_TIMEOUT": {Status: http.StatusServiceUnavailable, Template: `{"error":"late"}`},
		},
		Verify: func(request *http.Request, _ []byte) (string, error) {
			if request.Header.Get("Authorization") != "good" {
				return "", errors.New("the signature is wrong")
			}
			return "arn:aws:iam::111122223333:user/somebody", nil
		},
	})
}

func TestAPIRoutesAsItsTemplateSays(t *testing.T) {
	api := testAPI(inProcess(echo), nil)
	for _, tt := range []struct {
		method, host, target, authorization string
		status                              int
		want                                string
	}{
		{"POST", "api.test", "/payments", "good", 202, `"resource":"/payments"`},
		{"POST", "abc.execute-api.test", "/live/payments", "good", 202, `"path":"/payments"`},
		{"POST", "abc.execute-api.test", "/payments", "good", 403, `"error":"Forbidden"`}, // no such stage
		{"GET", "api.test", "/payments/a%2Fb?limit=2&limit=3", "good", 202, `"parameters":{"session_id":"a%2Fb"}`},
		{"GET", "api.test", "/payments/a%2Fb?limit=2&limit=3", "good", 202, `"query":{"limit":["2","3"]}`},
		{"GET", "api.test", "/health", "", 202, `"user":""`},
		{"POST", "api.test", "/health", "", 403, `"error":"Missing Authentication Token"`},
		{"GET", "api.test", "/no/such/path", "good", 202, `"parameters":{"proxy":"no/such/path"}`},
		{"GET", "api.test", "/payments", "bad", 403, `"error":"the signature is wrong"`},
		{"GET", "api.test", "/payments", "good", 202, `"user":"arn:aws:iam::111122223333:user/somebody"`},
	} {
		request := httptest.NewRequest(tt.method, "http://"+tt.host+tt.target, nil)
		if tt.authorization != "" {
			request.Header.Set("Authorization", tt.authorization)
		}
		answer := httptest.NewRecorder()
		api.ServeHTTP(answer, request)
		if answer.Code != tt.status || !strings.Contains(answer.Body.String(), tt.want) {
			t.Errorf("%s %s%s: %d %s, want %d and %s", tt.method, tt.host, tt.target, answer.Code, answer.Body, tt.status, tt.want)
		}
		if answer.Header().Get("X-Region") != "here" {
			t.Errorf("%s %s%s: X-Region %q", tt.method, tt.host, tt.target, answer.Header().Get("X-Region"))
		}
	}
}

func TestAPIAnswersForAFunctionThatDoesNot(t *testing.T) {
	never := make(chan struct{})
	defer close(never)
	for _, tt := range []struct {
		name     string
		function inProcess
		status   int
		body     string
	}{
		{"an error", func(context.Context, []byte) ([]byte, error) { return nil, errors.New("it died") }, 502, `{"error":"internal error"}`},
		{"throttled", func(context.Context, []byte) ([]byte, error) { return nil, simulation.ErrThrottled }, 503, `{"error":"later"}`},
		{"nonsense", func(context.Context, []byte) ([]byte, error) { return []byte(`"done"`), nil }, 502, `{"error":"internal error"}`},
		{"too slow", func(context.Context, []byte) ([]byte, error) { <-never; return nil, nil }, 503, `{"error":"late"}`},
	} {
		answer := httptest.NewRecorder()
		testAPI(tt.function, hurried{}).ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "http://api.test/health", nil))
		if answer.Code != tt.status || answer.Body.String() != tt.body {
			t.Errorf("%s: %d %s, want %d %s", tt.name, answer.Code, answer.Body, tt.status, tt.body)
		}
	}
}

func TestAPIMakesItsOwnResponses(t *testing.T) {
	for kind, want := range map[string]struct {
		status int
		body   string
	}{
		"THROTTLED":           {429, `{"error":"Too Many Requests"}`},
		"REQUEST_TOO_LARGE":   {413, `{"error":"Request Too Long"}`},
		"WAF_FILTERED":        {403, `{"error":"Forbidden"}`},
		"INTEGRATION_FAILURE": {503, `{"error":"later"}`}, // the template's status
		"DEFAULT_5XX":         {500, `{"error":"internal error"}`},
	} {
		if !slices.Contains(simulation.ResponseTypes(), kind) {
			t.Errorf("%s is not among %v", kind, simulation.ResponseTypes())
		}
		answer := httptest.NewRecorder()
		testAPI(inProcess(echo), nil).Respond(answer, kind)
		if answer.Code != want.status || answer.Body.String() != want.body {
			t.Errorf("%s: %d %s, want %d %s", kind, answer.Code, answer.Body, want.status, want.body)
		}
	}
}

// hurried is a clock on which every wait takes 20 ms.
type hurried struct{}

func (hurried) Now() time.Time                       { return time.Now() }
func (hurried) After(time.Duration) <-chan time.Time { return time.After(20 * time.Millisecond) }

func TestLostEndpointIsSilent(t *testing.T) {
	var reach simulation.Reach
	entered, finish := make(chan struct{}), make(chan struct{})
	server := httptest.NewServer(reach.Guard(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			close(entered)
			<-finish
		}
		w.WriteHeader(http.StatusTeapot)
	})))
	defer server.Close()
	get := func(path string, patience time.Duration) (int, error) {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return 0, err
		}
		defer response.Body.Close()
		_, _ = io.Copy(io.Discard, response.Body)
		return response.StatusCode, nil
	}
	if status, err := get("/", 5*time.Second); err != nil || status != http.StatusTeapot {
		t.Fatalf("%d, %v", status, err)
	}
	// What is under way when the Region is lost is not answered either.
	under := make(chan error, 1)
	go func() { _, err := get("/slow", 300*time.Millisecond); under <- err }()
	<-entered
	reach.SetDown(true)
	close(finish)
	if err := <-under; !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("what was under way got %v", err)
	}
	if _, err := get("/", 100*time.Millisecond); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the lost endpoint gave %v", err)
	}
	reach.SetDown(false)
	if status, err := get("/", 5*time.Second); err != nil || status != http.StatusTeapot {
		t.Errorf("back: %d, %v", status, err)
	}
}
