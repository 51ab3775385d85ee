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
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/arcregionswitch/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"payments-dr/client"
)

// wrapped is an error as the SDK hands it on.
func wrapped(err error) error {
	return &smithy.OperationError{ServiceID: "RDS", OperationName: "DescribeGlobalClusters", Err: fmt.Errorf("exceeded maximum number of attempts, 2, %w", err)}
}

func said(code, message string) error {
	return wrapped(&smithy.GenericAPIError{Code: code, Message: message})
}

func answeredWith(status int, err error) error {
	return wrapped(&smithyhttp.ResponseError{Response: &smithyhttp.Response{Response: &http.Response{StatusCode: status}}, Err: err})
}

func TestProblemsAreToldAsWhatTheyAre(t *testing.T) {
	t.Parallel()
	for name, one := range map[string]struct {
		err  error
		kind Kind
		text string
	}{
		"deadline":       {wrapped(context.DeadlineExceeded), KindUnreachable, "no answer within 2s"},
		"time-out":       {wrapped(&smithyhttp.RequestSendError{Err: &net.OpError{Op: "dial", Err: timeout{}}}), KindUnreachable, "no answer within 2s"},
		"interrupted":    {wrapped(context.Canceled), KindUnreachable, "broken off"},
		"refused":        {wrapped(&smithyhttp.RequestSendError{Err: &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}}), KindUnreachable, "connection refused"},
		"reset":          {wrapped(&smithyhttp.RequestSendError{Err: syscall.ECONNRESET}), KindUnreachable, "the connection was broken off"},
		"cut":            {wrapped(io.ErrUnexpectedEOF), KindUnreachable, "the connection was broken off"},
		"no name":        {wrapped(&net.DNSError{Name: "rds.us-east-1.amazonaws.com", IsNotFound: true}), KindUnreachable, "the name rds.us-east-1.amazonaws.com has no address"},
		"no route":       {wrapped(&net.OpError{Op: "dial", Err: syscall.EHOSTUNREACH}), KindUnreachable, "no connection: no route to host"},
		"certificate":    {wrapped(&smithyhttp.RequestSendError{Err: errors.New("x509: certificate signed by unknown authority")}), KindUnreachable, "no connection: x509: certificate signed by unknown authority"},
		"denied":         {said("AccessDenied", "User: x is not authorized"), KindDenied, "access denied: User: x is not authorized"},
		"denied as JSON": {said("com.amazonaws.ssm#AccessDeniedException", "User: x"), KindDenied, "access denied: User: x"},
		"unauthorized":   {said("UnauthorizedOperation", "no"), KindDenied, "access denied: no"},
		"throttled":      {said("Throttling", "Rate exceeded"), KindThrottled, "throttled: AWS wants to be asked later"},
		"throttled too":  {said("TooManyRequestsException", ""), KindThrottled, "throttled: AWS wants to be asked later"},
		"slow down":      {said("RequestLimitExceeded", ""), KindThrottled, "throttled: AWS wants to be asked later"},
		"expired":        {said("ExpiredTokenException", "it has expired"), KindCredentials, "AWS does not take the credentials: ExpiredTokenException: it has expired"},
		"unknown key":    {said("InvalidClientTokenId", "no such key"), KindCredentials, "AWS does not take the credentials: InvalidClientTokenId: no such key"},
		"wrong clock":    {said("RequestExpired", ""), KindCredentials, "AWS does not take the credentials: RequestExpired"},
		"no code":        {said("UnknownError", ""), KindMalformed, "the answer cannot be understood"},
		"anything else":  {said("GlobalClusterNotFoundFault", "there is none"), KindRefused, "GlobalClusterNotFoundFault: there is none"},
		"its own type":   {wrapped(&types.IllegalStateException{Message: new("it runs")}), KindRefused, "IllegalStateException: it runs"},
		"garbage":        {wrapped(&smithy.DeserializationError{Err: errors.New("unexpected token")}), KindMalformed, "the answer cannot be understood"},
		"a page":         {wrapped(&foreignAnswer{"the answer cannot be understood: a web page came"}), KindMalformed, "the answer cannot be understood: a web page came"},
		"status 503":     {answeredWith(503, errors.New("x")), KindRefused, "answered with status 503"},
		"status 429":     {answeredWith(429, errors.New("x")), KindThrottled, "throttled: AWS wants to be asked later"},
		"status 403":     {answeredWith(403, errors.New("x")), KindDenied, "access denied"},
		"status 302":     {answeredWith(302, errors.New("x")), KindMalformed, "the answer cannot be understood"},
		"no credentials": {fmt.Errorf("%w: no EC2 IMDS role found", errCredentials), KindCredentials, "no credentials: sign in, or set AWS_PROFILE"},
		"unsigned":       {client.ErrUnsigned, KindCredentials, "no credentials: sign in, or set AWS_PROFILE"},
		"not deployed":   {fmt.Errorf("%w: there is no parameter x", errNotDeployed), KindNotDeployed, errNotDeployed.Error() + ": there is no parameter x"},
		"API refuses":    {&client.RefusedError{Answer: client.Answer{Status: 404}}, KindRefused, "answered with status 404"},
		"API is sick":    {&client.UnavailableError{Answer: client.Answer{Status: 503}}, KindRefused, "answered with status 503"},
		"API is garbage": {&client.UnavailableError{Answer: client.Answer{Status: 200}, Err: errors.New("read answer: invalid character")}, KindMalformed, "the answer cannot be understood"},
		"API is gone":    {&client.UnavailableError{Err: fmt.Errorf("send request: %w", syscall.ECONNREFUSED)}, KindUnreachable, "connection refused"},
		"a problem":      {wrapped(&Problem{KindDenied, "the role cannot be taken"}), KindDenied, "the role cannot be taken"},
	} {
		t.Run(name, func(t *testing.T) {
			p := Explain(one.err)
			if p.Kind != one.kind || p.Text != one.text {
				t.Errorf("%q, %q; want %q, %q", p.Kind, p.Text, one.kind, one.text)
			}
			for _, own := range []string{"operation error", "attempts", "RequestID", "middleware"} {
				if strings.Contains(p.Text, own) {
					t.Errorf("the SDK's own words: %s", p.Text)
				}
			}
		})
	}
	if Explain(nil) != nil {
		t.Error("no error is a problem")
	}
	if p := ExplainWithin(context.DeadlineExceeded, 15*time.Second); p.Text != "no answer within 15s" {
		t.Errorf("%q", p.Text)
	}
}

type timeout struct{}

func (timeout) Error() string   { return "i/o timeout" }
func (timeout) Timeout() bool   { return true }
func (timeout) Temporary() bool { return true }
