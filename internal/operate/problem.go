package operate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"time"

	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"payments-dr/client"
)

// Kind is what stood in the way of an answer.
type Kind string

const (
	// KindUnreachable is no answer at all, or one that is none: a Region that is gone looks like this.
	KindUnreachable Kind = "unreachable"
	// KindCredentials is that there are none, or that AWS does not take them.
	KindCredentials Kind = "credentials"
	// KindDenied is that these credentials may not ask.
	KindDenied Kind = "denied"
	// KindThrottled is that AWS wants to be asked later.
	KindThrottled Kind = "throttled"
	// KindMalformed is an answer that cannot be understood.
	KindMalformed Kind = "malformed"
	// KindNotDeployed is an environment that is not there.
	KindNotDeployed Kind = "not deployed"
	// KindRefused is everything else that AWS or the API says no to.
	KindRefused Kind = "refused"
)

// Problem is why something is not known.
type Problem struct {
	Kind Kind `json:"kind"`
	// Text is for people.
	Text string `json:"text"`
}

func (p *Problem) Error() string { return p.Text }

var (
	errMalformed = errors.New("the answer cannot be understood")
	// errCredentials is a failure to get credentials, before AWS was asked.
	errCredentials = errors.New("no credentials")
)

// Explain is ExplainWithin for a question of this package, which is given as long as any.
func Explain(err error) *Problem { return ExplainWithin(err, callTimeout) }

// ExplainWithin says in a few words why a question, which was given so much time, has no answer; nil for no error. The SDK's own texts
// tell of attempts and middleware.
func ExplainWithin(err error, within time.Duration) *Problem {
	if err == nil {
		return nil
	}
	if known, ok := errors.AsType[*Problem](err); ok {
		return known
	}
	if errors.Is(err, errNotDeployed) {
		return &Problem{KindNotDeployed, err.Error()}
	}
	if own, ok := errors.AsType[*foreignAnswer](err); ok {
		return &Problem{KindMalformed, own.text}
	}
	if errors.Is(err, errMalformed) {
		return &Problem{KindMalformed, err.Error()}
	}
	if errors.Is(err, errCredentials) || errors.Is(err, client.ErrUnsigned) {
		return &Problem{KindCredentials, "no credentials: sign in, or set AWS_PROFILE"}
	}
	if refused, ok := errors.AsType[*client.RefusedError](err); ok {
		return &Problem{KindRefused, fmt.Sprintf("answered with status %d", refused.Status)}
	}
	if unavailable, ok := errors.AsType[*client.UnavailableError](err); ok && unavailable.Status != 0 {
		if unavailable.Status == http.StatusOK { // accepted by its status, and not by its content
			return &Problem{KindMalformed, errMalformed.Error()}
		}
		return &Problem{KindRefused, fmt.Sprintf("answered with status %d", unavailable.Status)}
	}
	if said, ok := errors.AsType[smithy.APIError](err); ok {
		return apiProblem(said)
	}
	if timedOut(err) {
		return &Problem{KindUnreachable, "no answer within " + within.String()}
	}
	if kind := connectionProblem(err); kind != "" {
		return &Problem{KindUnreachable, kind}
	}
	if _, ok := errors.AsType[*smithy.DeserializationError](err); ok {
		return &Problem{KindMalformed, errMalformed.Error()}
	}
	if response, ok := errors.AsType[*smithyhttp.ResponseError](err); ok {
		return statusProblem(response.HTTPStatusCode())
	}
	return &Problem{KindRefused, err.Error()}
}

// timedOut is whether nobody answered in time, and nobody broke it off.
func timedOut(err error) bool {
	network, ok := errors.AsType[net.Error](err)
	return !errors.Is(err, context.Canceled) && (errors.Is(err, context.DeadlineExceeded) || ok && network.Timeout())
}

func connectionProblem(err error) string {
	switch {
	case errors.Is(err, context.Canceled):
		return "broken off"
	case timedOut(err):
		return "no answer within " + callTimeout.String()
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	case errors.Is(err, syscall.ECONNRESET) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		return "the connection was broken off"
	}
	if unknown, ok := errors.AsType[*net.DNSError](err); ok {
		return "the name " + unknown.Name + " has no address"
	}
	if at, ok := errors.AsType[*net.OpError](err); ok {
		return "no connection: " + at.Err.Error()
	}
	if _, ok := errors.AsType[*smithyhttp.RequestSendError](err); ok {
		return "no connection: " + last(err)
	}
	if unavailable, ok := errors.AsType[*client.UnavailableError](err); ok {
		return "no connection: " + last(unavailable.Err)
	}
	return ""
}

// last is the innermost error's text.
func last(err error) string {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err.Error()
		}
		err = inner
	}
}

// apiProblem tells what a service has said. The codes are those of "Common error types" of each service's API reference.
func apiProblem(said smithy.APIError) *Problem {
	code, message := said.ErrorCode(), said.ErrorMessage()
	code = code[strings.LastIndex(code, "#")+1:] // some services give the namespace along
	text := strings.TrimSuffix(code+": "+message, ": ")
	has := func(parts ...string) bool {
		for _, part := range parts {
			if strings.Contains(code, part) {
				return true
			}
		}
		return false
	}
	switch {
	case has("AccessDenied", "UnauthorizedOperation", "NotAuthorized"):
		return &Problem{KindDenied, "access denied: " + strings.TrimSpace(message)}
	case has("Throttl", "RequestLimitExceeded", "TooManyRequests", "SlowDown"):
		return &Problem{KindThrottled, "throttled: AWS wants to be asked later"}
	case has("ExpiredToken", "InvalidClientTokenId", "UnrecognizedClient", "SignatureDoesNotMatch", "InvalidSignature", "IncompleteSignature", "MissingAuthenticationToken", "RequestExpired"):
		return &Problem{KindCredentials, "AWS does not take the credentials: " + text}
	case code == "UnknownError" || code == "":
		return &Problem{KindMalformed, errMalformed.Error()}
	}
	return &Problem{KindRefused, text}
}

func statusProblem(status int) *Problem {
	switch {
	case status == http.StatusTooManyRequests:
		return &Problem{KindThrottled, "throttled: AWS wants to be asked later"}
	case status == http.StatusForbidden:
		return &Problem{KindDenied, "access denied"}
	case status >= http.StatusInternalServerError:
		return &Problem{KindRefused, fmt.Sprintf("answered with status %d", status)}
	}
	return &Problem{KindMalformed, errMalformed.Error()}
}
