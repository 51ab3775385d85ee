package operate

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"mime"
	"strings"

	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// foreignAnswer is an answer that no AWS service has given: a proxy's page, or nothing at all. The SDK takes an empty answer of
// many services for one in which nothing is found.
type foreignAnswer struct{ text string }

func (e *foreignAnswer) Error() string { return e.text }
func (e *foreignAnswer) Unwrap() error { return errMalformed }

// RetryableError lets the SDK ask once more: a load balancer's page in front of a service goes as it came.
func (e *foreignAnswer) RetryableError() bool { return true }

// RefuseForeignAnswers is an option of every client (aws.Config.APIOptions): what is no answer of AWS's is an error and not an
// answer without content, which an operation that tells something never gives.
func RefuseForeignAnswers(stack *middleware.Stack) error {
	return stack.Deserialize.Add(middleware.DeserializeMiddlewareFunc("RefuseForeignAnswers", func(ctx context.Context, in middleware.DeserializeInput, next middleware.DeserializeHandler) (middleware.DeserializeOutput, middleware.Metadata, error) {
		out, metadata, err := next.HandleDeserialize(ctx, in)
		if err != nil {
			return out, metadata, err
		}
		response, ok := out.RawResponse.(*smithyhttp.Response)
		if !ok {
			return out, metadata, nil
		}
		if kind, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type")); kind == "text/html" {
			return out, metadata, &foreignAnswer{fmt.Sprintf("%v: a web page came with status %d, as from a proxy on the way", errMalformed, response.StatusCode)}
		}
		body := bufio.NewReader(response.Body)
		if _, err := body.Peek(1); err == io.EOF && response.StatusCode < 300 && tells(middleware.GetOperationName(ctx)) {
			return out, metadata, &foreignAnswer{fmt.Sprintf("%v: it is empty", errMalformed)}
		}
		response.Body = struct {
			io.Reader
			io.Closer
		}{body, response.Body}
		return out, metadata, nil
	}), middleware.After) // next to the wire
}

// tells is whether an operation is one that answers with something, by AWS's way of naming them.
func tells(operation string) bool {
	for _, verb := range []string{"Get", "List", "Describe", "Start", "Assume"} {
		if strings.HasPrefix(operation, verb) {
			return true
		}
	}
	return false
}
