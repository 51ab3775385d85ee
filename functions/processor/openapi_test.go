package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"

	"payments-dr/internal/assembly"
	"payments-dr/internal/assembly/golden"
	"payments-dr/internal/payment"
	"payments-dr/internal/simulation"
	"payments-dr/internal/simulation/lambdaruntime"
)

// description is docs/use/openapi.yaml, with what checks requests and responses against it. The schemas of OpenAPI 3.1 are JSON
// Schemas (Draft 2020-12).
type description struct {
	root map[string]any
	// requests compiles the schemas as they are. In those of responses, fields that are not described are errors.
	mu                  sync.Mutex
	requests, responses *jsonschema.Compiler
}

// described reads the description once.
var described = sync.OnceValue(func() *description {
	read := func() (root map[string]any) {
		text, err := os.ReadFile(filepath.Join(moduleDir, "docs/use/openapi.yaml"))
		if err == nil {
			err = yaml.Unmarshal(text, &root)
		}
		if err != nil {
			panic(fmt.Errorf("read openapi.yaml: %w", err))
		}
		return root
	}
	compiler := func(root map[string]any) *jsonschema.Compiler {
		c := jsonschema.NewCompiler()
		c.DefaultDraft(jsonschema.Draft2020)
		c.AssertFormat()
		if err := c.AddResource(descriptionURL, root); err != nil {
			panic(fmt.Errorf("read openapi.yaml: %w", err))
		}
		return c
	}
	root, strict := read(), read()
	for _, schema := range assembly.Object(assembly.At(strict, "components", "schemas")) {
		if fields := assembly.Object(schema); fields["type"] == "object" {
			fields["additionalProperties"] = false
		}
	}
	return &description{root: root, requests: compiler(root), responses: compiler(strict)}
})

const descriptionURL = "file:///openapi.json"

// get walks from the root and follows references. pointer is where it has come to; node is nil if there is nothing.
func (d *description) get(path ...string) (node any, pointer string) {
	node = d.root
	for _, part := range path {
		if list, ok := node.([]any); ok {
			i, err := strconv.Atoi(part)
			if err != nil {
				return nil, ""
			}
			node = list[i]
		} else {
			node = assembly.At(node, part)
		}
		pointer += "/" + url.PathEscape(strings.NewReplacer("~", "~0", "/", "~1").Replace(part))
		if reference := assembly.Text(assembly.At(node, "$ref")); reference != "" {
			pointer = strings.TrimPrefix(reference, "#")
			node, _ = d.get(strings.Split(pointer[1:], "/")...)
		}
	}
	return node, pointer
}

// fields are those of the object at a path.
func (d *description) fields(path ...string) map[string]any {
	node, _ := d.get(path...)
	return assembly.Object(node)
}

// operation is one operation of the description.
type operation struct {
	path, method string
	statuses     []string
}

func (o operation) at(more ...string) []string {
	return append([]string{"paths", o.path, strings.ToLower(o.method)}, more...)
}

func (d *description) operations() (all []operation) {
	for path, item := range d.fields("paths") {
		for method, fields := range assembly.Object(item) {
			statuses := assembly.Object(assembly.Object(fields)["responses"])
			all = append(all, operation{path, strings.ToUpper(method), slices.Sorted(maps.Keys(statuses))})
		}
	}
	return all
}

// methods are the described methods of a path, sorted; none if the path is not described.
func (d *description) methods(path string) (methods []string) {
	for _, o := range d.operations() {
		if o.path == path {
			methods = append(methods, o.method)
		}
	}
	slices.Sort(methods)
	return methods
}

// validate checks a value against the schema at a pointer.
func (d *description) validate(compiler *jsonschema.Compiler, pointer string, value any) error {
	d.mu.Lock()
	schema, err := compiler.Compile(descriptionURL + "#" + pointer)
	d.mu.Unlock()
	if err != nil {
		return err
	}
	return schema.Validate(value)
}

// validateText checks the text of a parameter or header, which is described at a path.
func (d *description) validateText(text string, path ...string) error {
	schema, pointer := d.get(append(path, "schema")...)
	var value any = text
	if assembly.At(schema, "type") == "integer" && json.Valid([]byte(text)) {
		value = json.Number(text)
	}
	return d.validate(d.requests, pointer, value)
}

// validateRequest says in what a request is not as an operation describes it.
func (d *description) validateRequest(o operation, request *http.Request) error {
	parts, names := strings.Split(request.URL.EscapedPath(), "/"), strings.Split(o.path, "/")
	parameters, _ := d.get(o.at("parameters")...)
	for i := range assembly.List(parameters) {
		path := o.at("parameters", strconv.Itoa(i))
		parameter := d.fields(path...)
		name := assembly.Text(parameter["name"])
		var values []string
		switch parameter["in"] {
		case "query":
			values = request.URL.Query()[name]
		case "header":
			values = request.Header.Values(name)
		case "path":
			value, err := url.PathUnescape(parts[slices.Index(names, "{"+name+"}")])
			if err != nil {
				return err
			}
			values = []string{value}
		}
		for _, value := range values {
			if err := d.validateText(value, path...); err != nil {
				return fmt.Errorf("parameter %s: %w", name, err)
			}
		}
	}
	if body, pointer := d.get(o.at("requestBody", "content", "application/json")...); body != nil {
		if mediaType, _, _ := mime.ParseMediaType(request.Header.Get("Content-Type")); mediaType != "application/json" {
			return fmt.Errorf("the content type %q is not described", mediaType)
		}
		value, err := jsonschema.UnmarshalJSON(request.Body)
		if err != nil {
			return err
		}
		return d.validate(d.requests, pointer+"/schema", value)
	}
	return nil
}

// validateResponse says in what a response is not as an operation describes it. Headers and fields that are not described are errors,
// but for three headers that describe the message and not the API.
func (d *description) validateResponse(o operation, response *http.Response) error {
	path := o.at("responses", strconv.Itoa(response.StatusCode))
	if d.fields(path...) == nil {
		return fmt.Errorf("the status %d is not described", response.StatusCode)
	}
	rest := response.Header.Clone()
	for _, name := range []string{"Content-Type", "Content-Length", "Date"} {
		rest.Del(name)
	}
	for name := range d.fields(append(path, "headers")...) {
		values := rest.Values(name)
		rest.Del(name)
		path := append(path, "headers", name)
		if d.fields(path...)["required"] == true && len(values) == 0 {
			return fmt.Errorf("the header %s is missing", name)
		}
		for _, value := range values {
			if err := d.validateText(value, path...); err != nil {
				return fmt.Errorf("header %s: %w", name, err)
			}
		}
	}
	for name := range rest {
		return fmt.Errorf("the header %s is not described", name)
	}
	contentType := response.Header.Get("Content-Type")
	content, pointer := d.get(append(path, "content", contentType)...)
	if content == nil {
		return fmt.Errorf("the content type %q is not described", contentType)
	}
	value, err := jsonschema.UnmarshalJSON(response.Body)
	if err != nil {
		return err
	}
	return d.validate(d.responses, pointer+"/schema", value)
}

// checkResponse checks that a response is described. path is the resource that the request reached, with its parameters' names.
// A request with an undescribed method must get 405, and one of an undescribed path 404. A request that gets 200 must be described
// too: nothing may rely on requests that the description forbids.
func (d *description) checkResponse(t testing.TB, path string, request *http.Request, response *http.Response) {
	t.Helper()
	name := fmt.Sprintf("%s %s, %d", request.Method, path, response.StatusCode)
	methods := d.methods(path)
	if slices.Contains(methods, request.Method) {
		o := operation{path: path, method: request.Method}
		if err := d.validateResponse(o, response); err != nil {
			t.Errorf("%s is not as described: %v", name, err)
		}
		if response.StatusCode == http.StatusOK {
			if err := d.validateRequest(o, request); err != nil {
				t.Errorf("%s: the request is not described: %v", name, err)
			}
		}
		return
	}
	want, allow := http.StatusNotFound, ""
	if len(methods) > 0 {
		want, allow = http.StatusMethodNotAllowed, strings.Join(methods, ", ")
	}
	if got := response.Header.Get("Allow"); response.StatusCode != want || got != allow {
		t.Errorf("%s, Allow %q; want %d and %q, because this operation is not described", name, got, want, allow)
	}
	// The rest is as for an invalid request. The description has no place for responses to requests without an operation.
	response.Header.Del("Allow")
	response.StatusCode = http.StatusBadRequest
	if err := d.validateResponse(operation{path: resourcePayments, method: http.MethodPost}, response); err != nil {
		t.Errorf("%s is not as other errors are: %v", name, err)
	}
}

// checkEvents checks the response to an event of API Gateway.
func (d *description) checkEvents(t testing.TB, in events.APIGatewayProxyRequest, out events.APIGatewayProxyResponse) {
	t.Helper()
	response := &http.Response{StatusCode: out.StatusCode, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(out.Body))}
	for name, value := range out.Headers {
		response.Header.Set(name, value)
	}
	d.checkResponse(t, in.Resource, httpRequest(t, in), response)
}

// httpRequest is the request that an event of API Gateway is made of.
func httpRequest(t testing.TB, event events.APIGatewayProxyRequest) *http.Request {
	t.Helper()
	target, query, body := event.Resource, url.Values{}, event.Body
	for name, value := range event.PathParameters {
		target = strings.NewReplacer("{"+name+"}", value, "{"+name+"+}", value).Replace(target)
	}
	for name, value := range event.QueryStringParameters {
		query.Set(name, value)
	}
	if event.IsBase64Encoded {
		decoded, err := base64.StdEncoding.DecodeString(body)
		if err != nil {
			t.Fatal(err)
		}
		body = string(decoded)
	}
	unescaped, err := url.PathUnescape(target)
	if err != nil {
		unescaped = target // no HTTP client sends it
	}
	request := &http.Request{
		Method: event.HTTPMethod, URL: &url.URL{Path: unescaped, RawPath: target, RawQuery: query.Encode()},
		Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)),
	}
	if body != "" {
		request.Header.Set("Content-Type", "application/json") // described: "A request without a content type is read as JSON"
	}
	for name, value := range event.Headers {
		request.Header.Set(name, value)
	}
	return request
}

// checked is an API whose every response is checked. path finds the resource of a request.
func (d *description) checked(t testing.TB, api http.Handler, path func(*http.Request) string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Errorf("read request: %v", err)
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		recorder := httptest.NewRecorder()
		api.ServeHTTP(recorder, r)
		r.Body = io.NopCloser(bytes.NewReader(body))
		d.checkResponse(t, path(r), r, recorder.Result())
		for name, values := range recorder.Header() {
			w.Header()[name] = values
		}
		w.WriteHeader(recorder.Code)
		_, _ = w.Write(recorder.Body.Bytes())
	})
}

// Every status that the description has for an operation comes from the real binary behind the simulated API of the template, and
// every response of the API's own is described. checkResponse sees each of them.
func TestEveryDescribedResponseIsProduced(t *testing.T) {
	d := described()
	region := readRegion(t)
	table := deploy(t, 0)
	api := region.api(realFunction(t, *table.client.Options().BaseEndpoint))
	produced := map[string]bool{}
	send := func(handler http.Handler, method, target, body string, headers map[string]string) *httptest.ResponseRecorder {
		t.Helper()
		request := httptest.NewRequest(method, "https://"+region.name+target, strings.NewReader(body))
		request.Header.Set("Authorization", "as the client's own tests send it")
		for name, value := range headers {
			request.Header.Set(name, value)
		}
		path := resourceOf(request)
		recorder := httptest.NewRecorder()
		d.checked(t, handler, resourceOf).ServeHTTP(recorder, request)
		if slices.Contains(d.methods(path), method) {
			produced[fmt.Sprintf("%s %s %d", method, path, recorder.Code)] = true
		}
		return recorder
	}
	want := func(status int, handler http.Handler, method, target, body string, headers map[string]string) {
		t.Helper()
		if got := send(handler, method, target, body, headers); got.Code != status {
			t.Errorf("%s %s %.60s: %d %s, want %d", method, target, body, got.Code, got.Body, status)
		}
	}
	asJSON := map[string]string{"Content-Type": "application/json"}
	const order = `{"transaction_id":"order_1042","session_id":"cart_77","amount":"12.34","currency":"USD"}`
	want(200, api, "POST", "/payments", order, asJSON)
	want(200, api, "POST", "/payments", order, map[string]string{"Content-Type": "application/json", "Idempotency-Key": `"order_1042"`})
	want(422, api, "POST", "/payments", strings.Replace(order, "USD", "EUR", 1), asJSON)
	want(400, api, "POST", "/payments", strings.Replace(order, "currency", "curency", 1), asJSON)
	want(413, api, "POST", "/payments", order+strings.Repeat(" ", maxBodyBytes), asJSON)
	want(415, api, "POST", "/payments", order, map[string]string{"Content-Type": "text/plain"})
	want(200, api, "GET", "/payments/cart_77", "", nil)
	want(200, api, "GET", "/payments/cart_77?limit=1&after=a", "", nil)
	want(400, api, "GET", "/payments/cart_77?limit=1001", "", nil)
	want(404, api, "GET", "/payments/cart_78", "", nil)
	want(200, api, "GET", "/payments/cart_77/order_1042", "", nil)
	want(400, api, "GET", "/payments/cart_77/%01", "", nil)
	want(404, api, "GET", "/payments/cart_77/order_1043", "", nil)
	want(200, api, "GET", "/health", "", nil)
	for _, operation := range []struct{ method, target string }{
		{"GET", "/payments"}, {"DELETE", "/payments/cart_77"}, {"PUT", "/payments/cart_77/order_1042"}, {"POST", "/health"},
	} {
		want(405, api, operation.method, operation.target, "", nil)
	}
	want(404, api, "GET", "/", "", nil)
	want(404, api, "GET", "/payments/cart_77/order_1042/refunds", "", nil)

	// Tables that fail: one refuses connections, one rejects every call as no table would.
	refusing := httptest.NewServer(nil)
	refusing.Close()
	rejecting := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/x-amz-json-1.0")
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, `{"__type":"com.amazon.coral.validate#ValidationException","message":"no"}`)
	}))
	defer rejecting.Close()
	failing := map[int]http.Handler{
		500: region.api(realFunction(t, rejecting.URL)),
		502: region.api(realFunction(t, "")), // it ends before it begins
		503: region.api(realFunction(t, refusing.URL)),
	}
	for _, o := range d.operations() {
		target, body := strings.NewReplacer("{session_id}", "cart_77", "{transaction_id}", "order_1042").Replace(o.path), ""
		if o.method == "POST" {
			body = order
		}
		for status, api := range failing {
			want(status, api, o.method, target, body, asJSON)
		}
		for _, kind := range simulation.ResponseTypes() {
			if kind == "REQUEST_TOO_LARGE" && o.method == "GET" {
				continue
			}
			send(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { api.Respond(w, kind) }), o.method, target, body, asJSON)
		}
		want(429, region.tooManyFromOneAddress, o.method, target, body, asJSON)
		if o.path != resourceHealth {
			want(403, api, o.method, target, body, map[string]string{"Authorization": ""})
		}
	}
	for _, o := range d.operations() {
		for _, status := range o.statuses {
			if pair := o.method + " " + o.path + " " + status; !produced[pair] {
				t.Errorf("%s is described and nothing produces it", pair)
			}
		}
	}
}

// templateRegion is what one Region's template says about API Gateway and the Web ACL.
type templateRegion struct {
	name      string
	responses map[string]simulation.GatewayResponse
	// tooManyFromOneAddress is the Web ACL's response to an address over its limit.
	tooManyFromOneAddress http.HandlerFunc
	// verify is nil if any Authorization header will do.
	verify func(*http.Request, []byte) (string, error)
}

func readRegion(t testing.TB) templateRegion {
	t.Helper()
	set, err := golden.Read(os.DirFS(filepath.Join(moduleDir, "testdata/golden/dev")))
	if err != nil {
		t.Fatal(err)
	}
	a, err := set.Assembly()
	if err != nil {
		t.Fatal(err)
	}
	stack, err := a.Stack("primary")
	if err != nil {
		t.Fatal(err)
	}
	r := templateRegion{name: a.Settings.APIName(), responses: map[string]simulation.GatewayResponse{}}
	for _, resource := range stack.Template.Resources {
		p := resource.Properties
		switch resource.Type {
		case "AWS::ApiGateway::GatewayResponse":
			response := simulation.GatewayResponse{Headers: map[string]string{}, Template: assembly.Text(assembly.At(p, "ResponseTemplates", "application/json"))}
			response.Status, _ = strconv.Atoi(assembly.Text(p["StatusCode"]))
			for name, value := range assembly.Object(p["ResponseParameters"]) {
				response.Headers[strings.TrimPrefix(name, "gatewayresponse.header.")] = assembly.Text(value)
			}
			r.responses[assembly.Text(p["ResponseType"])] = response
		case "AWS::WAFv2::WebACL":
			block := assembly.At(p, "Rules", 0, "Action", "Block", "CustomResponse")
			status, _ := assembly.At(block, "ResponseCode").(float64)
			body := assembly.At(p, "CustomResponseBodies", assembly.Text(assembly.At(block, "CustomResponseBodyKey")))
			r.tooManyFromOneAddress = func(w http.ResponseWriter, _ *http.Request) {
				for _, header := range assembly.List(assembly.At(block, "ResponseHeaders")) {
					w.Header().Set(assembly.Text(assembly.At(header, "Name")), assembly.Text(assembly.At(header, "Value")))
				}
				w.Header().Set("Content-Type", map[string]string{"APPLICATION_JSON": "application/json"}[assembly.Text(assembly.At(body, "ContentType"))])
				w.WriteHeader(int(status))
				_, _ = io.WriteString(w, assembly.Text(assembly.At(body, "Content")))
			}
		}
	}
	return r
}

// api is the Region's API before a function.
func (r templateRegion) api(function simulation.Invoker) *simulation.API {
	return simulation.NewAPI(simulation.APIConfig{
		Stage: "live", DomainName: r.name, Function: function, Responses: r.responses, Verify: r.verify,
		Routes: []simulation.Route{
			{Path: "/", Method: "ANY", Signed: true}, {Path: resourcePayments, Method: "ANY", Signed: true},
			{Path: resourceSession, Method: "ANY", Signed: true}, {Path: resourcePayment, Method: "ANY", Signed: true},
			{Path: resourceHealth, Method: "ANY", Signed: true}, {Path: resourceHealth, Method: "GET"},
			{Path: "/{proxy+}", Method: "ANY", Signed: true},
		},
	})
}

// realFunction is the real binary, with the table behind an endpoint.
func realFunction(t testing.TB, endpoint string) *simulation.Function {
	environment := map[string]string{"METRICS_NAMESPACE": "Payment/test", "INTERRUPTION_SECONDS": "20", "STEADY_SECONDS": "300"}
	if endpoint != "" {
		environment["TABLE_NAME"], environment["AWS_ENDPOINT_URL_DYNAMODB"] = tableName, endpoint
	}
	f := simulation.NewFunction(simulation.FunctionConfig{
		Runtime: lambdaruntime.Config{Binary: binary, Name: "payment-test-processor", Region: testRegion, MemoryMB: 1024, Log: io.Discard, Environment: environment},
		Timeout: longestRequest,
	})
	t.Cleanup(f.Close)
	return f
}

// resourceOf is the resource that API Gateway finds for a request.
func resourceOf(request *http.Request) string {
	parts := strings.Split(strings.Trim(request.URL.EscapedPath(), "/"), "/")
	switch {
	case parts[0] == "":
		return "/"
	case len(parts) == 1 && "/"+parts[0] == resourceHealth:
		return resourceHealth
	case len(parts) > 3 || "/"+parts[0] != resourcePayments:
		return "/{proxy+}"
	}
	return []string{resourcePayments, resourceSession, resourcePayment}[len(parts)-1]
}

// The description allows a request if and only if the processor accepts it, except where no schema can tell.
func TestDescriptionAllowsWhatTheProcessorAccepts(t *testing.T) {
	d := described()
	id := strings.Repeat("a", payment.MaxIDBytes)
	table := fakeTable{
		accept: acceptAll,
		list:   func(string, string, int) ([]payment.Payment, bool, error) { return nil, false, nil },
	}
	query := func(name, value string) events.APIGatewayProxyRequest {
		r := get(resourceSession, map[string]string{"session_id": "s"})
		r.QueryStringParameters = map[string]string{name: value}
		return r
	}
	session := func(id string) events.APIGatewayProxyRequest {
		return get(resourceSession, map[string]string{"session_id": id})
	}
	key := func(key string) events.APIGatewayProxyRequest {
		r := post(`{"amount":1,"transaction_id":"t"}`)
		r.Headers["Idempotency-Key"] = key
		return r
	}
	for _, tt := range []struct {
		request  events.APIGatewayProxyRequest
		accepted bool
		// beyond is set for what the processor rejects for a reason that is beyond a schema.
		beyond bool
	}{
		{request: post(`{"amount":1}`), accepted: true},
		{request: post(`{"amount":"1"}`), accepted: true},
		{request: post(`{"amount":"12.340","currency":"USD"}`), accepted: true},
		{request: post(`{"amount":"0001.00"}`), accepted: true},
		{request: post(`{"amount":1e2}`), accepted: true},
		{request: post(`{"amount":999999999999.99}`), accepted: true},
		{request: post(`{"amount":"999999999999.99"}`), accepted: true},
		{request: post(`{"amount":"` + strings.Repeat("0", 60) + `1.00"}`), accepted: true},
		{request: post(`{"amount":1,"currency":"XTS","transaction_id":"` + id + `","session_id":"A-z_09"}`), accepted: true},
		{request: post(`{}`)},
		{request: post(`[]`)},
		{request: post(`1`)},
		{request: post(`null`)},
		{request: post(`{"amount":null}`)},
		{request: post(`{"amount":true}`)},
		{request: post(`{"amount":{}}`)},
		{request: post(`{"amount":0}`)},
		{request: post(`{"amount":-1}`)},
		{request: post(`{"amount":1000000000000}`)},
		{request: post(`{"amount":"1000000000000"}`)},
		{request: post(`{"amount":"-1"}`)},
		{request: post(`{"amount":"+1"}`)},
		{request: post(`{"amount":"1e2"}`)},
		{request: post(`{"amount":"1."}`)},
		{request: post(`{"amount":".5"}`)},
		{request: post(`{"amount":" 1"}`)},
		{request: post(`{"amount":"` + strings.Repeat("0", 64) + `1"}`)},
		{request: post(`{"amount":1,"curency":"USD"}`)},
		{request: post(`{"amount":1,"currency":"usd"}`)},
		{request: post(`{"amount":1,"currency":""}`)},
		{request: post(`{"amount":1,"currency":null}`)},
		{request: post(`{"amount":1,"currency":840}`)},
		{request: post(`{"amount":1,"transaction_id":""}`)},
		{request: post(`{"amount":1,"transaction_id":null}`)},
		{request: post(`{"amount":1,"transaction_id":"` + id + `a"}`)},
		{request: post(`{"amount":1,"transaction_id":"a b"}`)},
		{request: post(`{"amount":1,"transaction_id":"ü"}`)},
		{request: post(`{"amount":1,"session_id":"a/b"}`)},
		{request: post(`{"amount":1,"session_id":1}`)},
		{request: post(`{"amount":"0.00"}`), beyond: true},
		{request: post(`{"amount":"12.345"}`), beyond: true},
		{request: post(`{"amount":1,"currency":"ZZZ"}`), beyond: true},
		{request: post(`{"amount":1,"amount":1}`), beyond: true},
		{request: key("t"), accepted: true},
		{request: key(`"t"`), accepted: true},
		{request: key(`"t`)},
		{request: key("a b")},
		{request: key("u"), beyond: true},
		{request: session("%C3%BC%20%2F"), accepted: true},
		{request: session(id), accepted: true},
		{request: session(id + "a")},
		{request: session("%00")},
		{request: session("%C2%9F")},
		{request: session(strings.Repeat("%C3%BC", 128)), beyond: true}, // 128 characters, 256 bytes
		{request: query("limit", "1"), accepted: true},
		{request: query("limit", "1000"), accepted: true},
		{request: query("limit", "0")},
		{request: query("limit", "1001")},
		{request: query("limit", "1.5")},
		{request: query("limit", "ten")},
		{request: query("after", "t"), accepted: true},
		{request: query("after", ""), accepted: true},
		{request: query("after", id+"a")},
	} {
		response, _ := serve(t, table, tt.request)
		what := fmt.Sprintf("%.80s %s %v %v", tt.request.Body, tt.request.Headers["Idempotency-Key"], tt.request.PathParameters, tt.request.QueryStringParameters)
		if accepted := response.StatusCode == http.StatusOK; accepted != tt.accepted {
			t.Errorf("%s: %d %s", what, response.StatusCode, response.Body)
		}
		err := d.validateRequest(operation{path: tt.request.Resource, method: tt.request.HTTPMethod}, httpRequest(t, tt.request))
		if allowed := err == nil; allowed != (tt.accepted || tt.beyond) {
			t.Errorf("%s: the description allows it: %v, %v", what, allowed, err)
		}
	}
}

// The examples of the description and of payments.md are what the processor receives and answers.
func TestExamplesAreReal(t *testing.T) {
	d := described()
	example := func(path ...string) any {
		t.Helper()
		for _, first := range d.fields(append(path, "content", "application/json", "examples")...) {
			return assembly.At(first, "value")
		}
		t.Fatalf("%v has no example", path)
		return nil
	}
	response := func(path, method, status string) any {
		t.Helper()
		return example("paths", path, method, "responses", status)
	}
	request := example("paths", resourcePayments, "post", "requestBody")

	var accepted payment.Payment
	table := fakeTable{
		accept: func(p payment.Payment) (payment.Payment, bool, error) { accepted = p; return p, false, nil },
		get: func(id payment.Identity) (payment.Payment, error) {
			if id != accepted.Identity {
				return payment.Payment{}, &payment.Error{Code: payment.CodeNotFound, Message: "no such payment"}
			}
			return accepted, nil
		},
		list: func(string, string, int) ([]payment.Payment, bool, error) {
			return []payment.Payment{accepted}, true, nil
		},
		probe: func(context.Context, time.Duration) (time.Time, error) { return time.Time{}, nil },
	}
	body, err := json.Marshal(request)
	if err != nil {
		t.Fatal(err)
	}
	examples := []any{request} // in the order of payments.md
	for _, tt := range []struct {
		request events.APIGatewayProxyRequest
		want    any
	}{
		{post(string(body)), response(resourcePayments, "post", "200")},
		{get(resourcePayment, map[string]string{"session_id": "cart_77", "transaction_id": "order_1043"}), response(resourcePayment, "get", "404")},
		{get(resourcePayment, map[string]string{"session_id": "cart_77", "transaction_id": "order_1042"}), response(resourcePayment, "get", "200")},
		{get(resourceSession, map[string]string{"session_id": "cart_77"}), response(resourceSession, "get", "200")},
		{get(resourceHealth, nil), response(resourceHealth, "get", "200")},
		{post(`{"amount":1,"curency":"USD"}`), response(resourcePayments, "post", "400")},
	} {
		out, _ := serve(t, table, tt.request)
		var got any
		if err := json.Unmarshal([]byte(out.Body), &got); err != nil {
			t.Fatal(err)
		}
		if want := plain(t, tt.want); !reflect.DeepEqual(got, want) {
			t.Errorf("%s %s:\n%v, want the example\n%v", tt.request.HTTPMethod, tt.request.Resource, got, want)
		}
		examples = append(examples, tt.want)
	}

	document := paymentsDocument(t)
	section, _, _ := strings.Cut(document, "### Ids")
	blocks := strings.Split(section, "```json\n")[1:]
	if len(blocks) != 5 {
		t.Errorf("payments.md has %d examples, want 5", len(blocks))
	}
	for i, block := range blocks {
		text, _, _ := strings.Cut(block, "```")
		var got any
		if err := json.Unmarshal([]byte(text), &got); err != nil {
			t.Errorf("payments.md: %s: %v", text, err)
			continue
		}
		if want := plain(t, examples[i]); !reflect.DeepEqual(got, want) {
			t.Errorf("payments.md:\n%v, want the description's example\n%v", got, want)
		}
	}

	statuses := map[string]bool{"405": true} // of operations that are not described
	for _, o := range d.operations() {
		for _, status := range o.statuses {
			statuses[status] = true
		}
	}
	if got, want := slices.Sorted(slices.Values(column(document, "| status |"))), slices.Sorted(maps.Keys(statuses)); !slices.Equal(got, want) {
		t.Errorf("payments.md has the statuses %v, want %v", got, want)
	}
	properties := d.fields("components", "schemas", "PaymentRequest", "properties")
	if got, want := slices.Sorted(slices.Values(column(document, "| field |"))), slices.Sorted(maps.Keys(properties)); !slices.Equal(got, want) {
		t.Errorf("payments.md has the fields %v, want %v", got, want)
	}
}

// plain is a value as JSON has it.
func plain(t *testing.T, value any) (decoded any) {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &decoded); err != nil {
		t.Fatal(err)
	}
	return decoded
}

func paymentsDocument(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(moduleDir, "docs/use/payments.md"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// column is the first column of the table with a header, without code marks; a cell may hold several values with commas.
func column(document, header string) (values []string) {
	_, table, _ := strings.Cut(document, "\n"+header)
	lines := strings.Split(table, "\n")
	for _, line := range lines[min(2, len(lines)):] {
		cells := strings.Split(line, "|")
		if len(cells) < 2 {
			break
		}
		for value := range strings.SplitSeq(cells[1], ",") {
			values = append(values, strings.Trim(value, " `"))
		}
	}
	return values
}
