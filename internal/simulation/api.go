package simulation

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/events"
)

// integrationTimeout is how long a REST API waits for its function ("Quotas for REST APIs", Amazon API Gateway Developer Guide).
const integrationTimeout = 29 * time.Second

// Route is a method of a resource of a REST API.
type Route struct {
	// Path is the resource's, such as /payments/{session_id}; a last part {proxy+} takes any rest.
	Path string
	// Method is GET and so on, or ANY.
	Method string
	// Signed is whether the method wants a signature (authorization AWS_IAM).
	Signed bool
}

// GatewayResponse is an answer that the API makes by itself.
type GatewayResponse struct {
	// Status is 0 for the type's own.
	Status int
	// Headers are as API Gateway maps them: static values in single quotes.
	Headers map[string]string
	// Template is the body; $context.error.messageString in it becomes the message, with quotes.
	Template string
}

// APIConfig configures an API.
type APIConfig struct {
	Stage string
	// DomainName is the custom domain that is mapped to the stage. Any other host is the API's own, whose paths begin with the
	// stage.
	DomainName string
	Routes     []Route
	// Responses are by type; DEFAULT_4XX and DEFAULT_5XX stand in for what is missing.
	Responses map[string]GatewayResponse
	Function  Invoker
	// Verify checks a request's signature and says whose it is; an error refuses the request.
	Verify func(request *http.Request, body []byte) (userARN string, err error)
	Clock  Clock
	// Observe is told the status of each answer; nil is told nothing.
	Observe func(status int)
}

// API simulates a regional REST API with a Lambda proxy integration on every method ("Set up Lambda proxy integrations in API
// Gateway" and "Gateway responses for REST APIs", Amazon API Gateway Developer Guide). Serve it behind plain HTTP.
//
// Not simulated: TLS, throttling, the Web ACL, binary media types, and everything about request validation.
type API struct{ config APIConfig }

// NewAPI is an API.
func NewAPI(config APIConfig) *API {
	config.Clock = orReal(config.Clock)
	return &API{config: config}
}

func (a *API) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	status := a.serve(w, request)
	if a.config.Observe != nil {
		a.config.Observe(status)
	}
}

// RespondError answers a request with a server error, as when API Gateway itself is unwell.
func (a *API) RespondError(w http.ResponseWriter) { a.Respond(w, "DEFAULT_5XX") }

// ownResponses are the responses that an API with IAM authorization and without validators, API keys and usage plans makes by itself,
// by type, with the status ("Gateway response types for API Gateway", Amazon API Gateway Developer Guide) and a message.
var ownResponses = map[string]struct {
	status  int
	message string
}{
	"ACCESS_DENIED":                {http.StatusForbidden, "User is not authorized to access this resource"},
	"API_CONFIGURATION_ERROR":      {http.StatusInternalServerError, "Internal server error"},
	"DEFAULT_5XX":                  {http.StatusInternalServerError, "Internal server error"},
	"EXPIRED_TOKEN":                {http.StatusForbidden, "The security token included in the request is expired"},
	"INTEGRATION_FAILURE":          {http.StatusGatewayTimeout, "Internal server error"},
	"INTEGRATION_TIMEOUT":          {http.StatusGatewayTimeout, "Endpoint request timed out"},
	"INVALID_SIGNATURE":            {http.StatusForbidden, "The request signature does not match"},
	"MISSING_AUTHENTICATION_TOKEN": {http.StatusForbidden, "Missing Authentication Token"},
	"REQUEST_TOO_LARGE":            {http.StatusRequestEntityTooLarge, "Request Too Long"},
	"THROTTLED":                    {http.StatusTooManyRequests, "Too Many Requests"},
	"WAF_FILTERED":                 {http.StatusForbidden, "Forbidden"},
}

// ResponseTypes are the types of the responses that the API may make by itself, sorted.
func ResponseTypes() []string { return slices.Sorted(maps.Keys(ownResponses)) }

// Respond answers a request with the API's own response of a type, one of ResponseTypes.
func (a *API) Respond(w http.ResponseWriter, kind string) {
	status := a.respond(w, kind)
	if a.config.Observe != nil {
		a.config.Observe(status)
	}
}

func (a *API) serve(w http.ResponseWriter, request *http.Request) int {
	path := request.URL.EscapedPath()
	host, _, err := net.SplitHostPort(request.Host)
	if err != nil {
		host = request.Host
	}
	if host != a.config.DomainName {
		rest, ok := strings.CutPrefix(path, "/"+a.config.Stage)
		if !ok {
			return a.respondAs(w, "MISSING_AUTHENTICATION_TOKEN", http.StatusForbidden, "Forbidden")
		}
		path = rest
	}
	if path == "" {
		path = "/"
	}
	route, parameters, ok := a.route(request.Method, path)
	if !ok {
		return a.respond(w, "MISSING_AUTHENTICATION_TOKEN")
	}
	body, err := io.ReadAll(request.Body)
	if err != nil {
		panic(http.ErrAbortHandler) // the client is gone
	}
	var user string
	if route.Signed {
		if request.Header.Get("Authorization") == "" {
			return a.respond(w, "MISSING_AUTHENTICATION_TOKEN")
		}
		if a.config.Verify != nil {
			if user, err = a.config.Verify(request, body); err != nil {
				return a.respondAs(w, "INVALID_SIGNATURE", http.StatusForbidden, err.Error())
			}
		}
	}
	payload, err := json.Marshal(a.event(request, route, path, parameters, body, user))
	if err != nil {
		return a.respond(w, "INTEGRATION_FAILURE")
	}

	// The function goes on when its caller has gone or nobody waits for it any more, as Lambda's does.
	type result struct {
		answer []byte
		err    error
	}
	invoked := make(chan result, 1)
	go func() {
		answer, err := a.config.Function.Invoke(context.WithoutCancel(request.Context()), payload)
		invoked <- result{answer, err}
	}()
	var answer []byte
	select {
	case <-a.config.Clock.After(integrationTimeout):
		return a.respond(w, "INTEGRATION_TIMEOUT")
	case got := <-invoked:
		switch {
		case errors.Is(got.err, ErrThrottled):
			return a.respond(w, "INTEGRATION_FAILURE")
		case got.err != nil: // a function error, or an environment that died
			return a.respondAs(w, "DEFAULT_5XX", http.StatusBadGateway, "Internal server error")
		}
		answer = got.answer
	}
	var response events.APIGatewayProxyResponse
	if err := json.Unmarshal(answer, &response); err != nil || response.StatusCode == 0 {
		return a.respondAs(w, "API_CONFIGURATION_ERROR", http.StatusBadGateway, "Internal server error") // "malformed Lambda proxy response"
	}
	for name, value := range response.Headers {
		w.Header().Set(name, value)
	}
	for name, values := range response.MultiValueHeaders {
		w.Header()[http.CanonicalHeaderKey(name)] = values
	}
	w.WriteHeader(response.StatusCode)
	_, _ = io.WriteString(w, response.Body)
	return response.StatusCode
}

// route finds the most specific route: parts of the path that are spelt out come before parameters, and these before the rest.
func (a *API) route(method, path string) (Route, map[string]string, bool) {
	var best Route
	var bestParameters map[string]string
	bestRank := ""
	for _, route := range a.config.Routes {
		if route.Method != "ANY" && route.Method != method {
			continue
		}
		parameters, rank, ok := match(route.Path, path)
		if !ok {
			continue
		}
		if route.Method != "ANY" {
			rank += "1" // the same resource: the method itself comes before ANY
		}
		if bestParameters == nil || rank > bestRank {
			best, bestParameters, bestRank = route, parameters, rank
		}
	}
	return best, bestParameters, bestParameters != nil
}

// match is a path's parameters, still percent-encoded as API Gateway hands them on, and a rank that is the greater the more
// specific the route is.
func match(route, path string) (parameters map[string]string, rank string, ok bool) {
	parameters = map[string]string{}
	want, have := strings.Split(strings.Trim(route, "/"), "/"), strings.Split(strings.Trim(path, "/"), "/")
	for i, part := range want {
		if name, rest := strings.CutSuffix(strings.TrimSuffix(part, "}"), "+"); rest && strings.HasPrefix(part, "{") {
			if i >= len(have) || have[i] == "" {
				return nil, "", false
			}
			parameters[name[1:]] = strings.Join(have[i:], "/")
			return parameters, rank + "0", true
		}
		if i >= len(have) {
			return nil, "", false
		}
		switch {
		case strings.HasPrefix(part, "{"):
			if have[i] == "" {
				return nil, "", false
			}
			parameters[strings.Trim(part, "{}")] = have[i]
			rank += "1"
		case part == have[i]:
			rank += "2"
		default:
			return nil, "", false
		}
	}
	return parameters, rank, len(have) == len(want)
}

func (a *API) event(request *http.Request, route Route, path string, parameters map[string]string, body []byte, user string) events.APIGatewayProxyRequest {
	now := a.config.Clock.Now()
	headers, multi := map[string]string{}, map[string][]string{}
	for name, values := range request.Header {
		headers[name], multi[name] = values[len(values)-1], values
	}
	headers["Host"], multi["Host"] = request.Host, []string{request.Host}
	query, multiQuery := map[string]string{}, map[string][]string{}
	values, err := url.ParseQuery(request.URL.RawQuery)
	if err == nil {
		for name, all := range values {
			query[name], multiQuery[name] = all[len(all)-1], all
		}
	}
	address, _, _ := net.SplitHostPort(request.RemoteAddr)
	return events.APIGatewayProxyRequest{
		Resource: route.Path, Path: path, HTTPMethod: request.Method,
		Headers: headers, MultiValueHeaders: multi, QueryStringParameters: query, MultiValueQueryStringParameters: multiQuery,
		PathParameters: parameters, Body: string(body),
		RequestContext: events.APIGatewayProxyRequestContext{
			Stage: a.config.Stage, HTTPMethod: request.Method, ResourcePath: route.Path, Path: path, Protocol: "HTTP/1.1",
			RequestID: base64.RawURLEncoding.EncodeToString([]byte(strconv.FormatInt(now.UnixNano(), 36))), RequestTimeEpoch: time.Now().UnixMilli(), // the functions' own time
			Identity: events.APIGatewayRequestIdentity{SourceIP: address, UserAgent: request.UserAgent(), UserArn: user},
		},
	}
}

func (a *API) respond(w http.ResponseWriter, kind string) int {
	return a.respondAs(w, kind, ownResponses[kind].status, ownResponses[kind].message)
}

// respondAs answers with a gateway response of a type, or with the default of its class.
func (a *API) respondAs(w http.ResponseWriter, kind string, status int, message string) int {
	response, ok := a.config.Responses[kind]
	if !ok {
		response = a.config.Responses[map[bool]string{true: "DEFAULT_4XX", false: "DEFAULT_5XX"}[status < http.StatusInternalServerError]]
	}
	if response.Status != 0 {
		status = response.Status
	}
	w.Header().Set("Content-Type", "application/json")
	for name, value := range response.Headers {
		w.Header().Set(name, strings.Trim(value, "'"))
	}
	body := response.Template
	if body == "" {
		body = `{"message":$context.error.messageString}`
	}
	w.WriteHeader(status)
	_, _ = io.WriteString(w, strings.ReplaceAll(body, "$context.error.messageString", strconv.Quote(message)))
	return status
}

// CheckRoutes is an error if two routes are the same, or if a path is not understood.
func CheckRoutes(routes []Route) error {
	for i, route := range routes {
		if !strings.HasPrefix(route.Path, "/") {
			return fmt.Errorf("route %s does not begin with a slash", route.Path)
		}
		if slices.ContainsFunc(routes[:i], func(other Route) bool { return other.Path == route.Path && other.Method == route.Method }) {
			return fmt.Errorf("route %s %s is there twice", route.Method, route.Path)
		}
	}
	return nil
}
