package localapi

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"

	"github.com/aws/aws-lambda-go/events"
)

// Proxy is the proxy integration with a function: each request becomes an invocation, and its response the answer. The payment
// API's resources are found by the number of a path's segments. Path parameters are handed on as they stand in the URL,
// encoded, as a REST API does ("Lambda proxy integrations in API Gateway", Amazon API Gateway Developer Guide).
func Proxy(invoke func(ctx context.Context, payload []byte) ([]byte, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // the client has gone
		}
		request := events.APIGatewayProxyRequest{
			Resource: "/{proxy+}", Path: r.URL.Path, HTTPMethod: r.Method, Body: string(body),
			Headers: map[string]string{}, QueryStringParameters: map[string]string{}, PathParameters: map[string]string{},
		}
		for name := range r.Header {
			request.Headers[name] = r.Header.Get(name)
		}
		for name, values := range r.URL.Query() {
			request.QueryStringParameters[name] = values[len(values)-1]
		}
		switch segments := strings.Split(r.URL.EscapedPath(), "/"); {
		case r.URL.Path == "/health", r.URL.Path == "/payments":
			request.Resource = r.URL.Path
		case len(segments) > 2 && len(segments) < 5 && segments[1] == "payments":
			request.Resource = "/payments/{session_id}"
			request.PathParameters["session_id"] = segments[2]
			if len(segments) == 4 {
				request.Resource += "/{transaction_id}"
				request.PathParameters["transaction_id"] = segments[3]
			}
		}
		payload, err := json.Marshal(request)
		if err != nil {
			panic(err) // strings always marshal
		}
		var response events.APIGatewayProxyResponse
		out, err := invoke(r.Context(), payload)
		if err != nil || json.Unmarshal(out, &response) != nil {
			http.Error(w, `{"error":"simulated: the function has failed"}`, http.StatusBadGateway)
			return
		}
		for name, value := range response.Headers {
			w.Header().Set(name, value)
		}
		w.WriteHeader(response.StatusCode)
		_, _ = io.WriteString(w, response.Body) // a client that has gone reads nothing
	})
}
