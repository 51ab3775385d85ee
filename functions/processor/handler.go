package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"mime"
	"net/http"
	"net/url"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"payments-dr/internal/payment"
	"payments-dr/internal/payment/sessiontable"
	"payments-dr/internal/payment/telemetry"
)

const (
	// maxBodyBytes is the longest body of a payment.
	maxBodyBytes = 16 << 10
	// healthDeadline answers before a health checker gives up: it waits 2 s for a status after it has connected ("How
	// Route 53 determines whether a health check is healthy", Amazon Route 53 Developer Guide).
	healthDeadline = 1500 * time.Millisecond
	// retryAfter is the Retry-After of a 503, in seconds.
	retryAfter = "1"
	// defaultPageSize and maxPageSize bound the payments of one answer.
	defaultPageSize, maxPageSize = 100, 1000
)

// The resources of the API, as API Gateway names them.
const (
	resourcePayments = "/payments"
	resourceSession  = "/payments/{session_id}"
	resourcePayment  = "/payments/{session_id}/{transaction_id}"
	resourceHealth   = "/health"
)

// table is what the handler needs of the session table.
type table interface {
	Accept(context.Context, payment.Payment) (accepted payment.Payment, replayed bool, err error)
	Get(context.Context, payment.Identity) (payment.Payment, error)
	List(ctx context.Context, sessionID, after string, limit int) (payments []payment.Payment, more bool, err error)
	Probe(ctx context.Context, region string, at time.Time, interruption time.Duration) (since time.Time, err error)
}

// handler serves the payment API of one Region.
type handler struct {
	table     table
	region    string
	namespace string
	// interruption is how long health checks may go without success before that counts, steadyFor how long they have to succeed
	// after an interruption until the Region counts as steady.
	interruption, steadyFor time.Duration
	logger                  *slog.Logger
	now                     func() time.Time
}

// answer is a response before it is written out.
type answer struct {
	status  int
	body    any
	headers map[string]string
	metrics []string
	// err is the cause of an answer that is none of success, for the log alone.
	err error
}

// handle answers every request, so that its error is always nil: an error here would be a 502 without the contract's form.
func (h *handler) handle(ctx context.Context, request events.APIGatewayProxyRequest) (events.APIGatewayProxyResponse, error) {
	started := h.now()
	a := h.serve(ctx, request)
	h.log(ctx, request, a, started)
	return h.write(a), nil
}

func (h *handler) serve(ctx context.Context, request events.APIGatewayProxyRequest) (a answer) {
	defer func() {
		if cause := recover(); cause != nil {
			a = h.fail(fmt.Errorf("panic: %v\n%s", cause, debug.Stack()))
		}
	}()
	switch request.Resource {
	case resourcePayments:
		if request.HTTPMethod != http.MethodPost {
			return methodNotAllowed(http.MethodPost)
		}
		return h.pay(ctx, request)
	case resourceSession, resourcePayment:
		if request.HTTPMethod != http.MethodGet {
			return methodNotAllowed(http.MethodGet)
		}
		return h.read(ctx, request)
	case resourceHealth:
		if request.HTTPMethod != http.MethodGet {
			return methodNotAllowed(http.MethodGet)
		}
		return h.health(ctx)
	}
	return problem(http.StatusNotFound, "no such path")
}

// paymentBody is a payment as the API returns it: its fields, with the amount as a JSON number, exact.
type paymentBody map[string]any

func newPaymentBody(p payment.Payment) paymentBody {
	if p.Fault != "" { // in a session, where the others can be read
		return paymentBody{payment.AttributeSessionID: p.SessionID, payment.AttributeTransactionID: p.TransactionID, payment.AttributeStatus: "unreadable"}
	}
	body := paymentBody{}
	for name, value := range p.Values() {
		body[name] = value
	}
	body[payment.AttributeAmount] = p.AmountJSON()
	return body
}

func (h *handler) pay(ctx context.Context, request events.APIGatewayProxyRequest) answer {
	if contentType := header(request, "Content-Type"); contentType != "" {
		if mediaType, _, err := mime.ParseMediaType(contentType); err != nil || mediaType != "application/json" {
			return problem(http.StatusUnsupportedMediaType, "the content type is not application/json", telemetry.MetricRequestsInvalid)
		}
	}
	data := []byte(request.Body)
	if request.IsBase64Encoded {
		var err error
		if data, err = base64.StdEncoding.DecodeString(request.Body); err != nil {
			return h.fail(fmt.Errorf("decode body: %w", err))
		}
	}
	if len(data) > maxBodyBytes {
		return problem(http.StatusRequestEntityTooLarge, fmt.Sprintf("the body has more than %d bytes", maxBodyBytes), telemetry.MetricRequestsInvalid)
	}
	asked, err := payment.ParseRequest(data)
	if err != nil {
		return h.fail(err)
	}
	if err := checkIdempotencyKey(request, asked.TransactionID); err != nil {
		return h.fail(err)
	}
	ctx, cancel := context.WithTimeout(ctx, sessiontable.RequestDeadline)
	defer cancel()
	accepted, replayed, err := h.table.Accept(ctx, asked.Payment(h.region, h.acceptedAt(request)))
	if err != nil {
		return h.fail(err)
	}
	body := newPaymentBody(accepted)
	body["message"] = "Payment processed"
	delete(body, payment.AttributeTimestamp)
	delete(body, payment.AttributeStatus)
	a := answer{status: http.StatusOK, metrics: []string{telemetry.MetricPaymentsAccepted}, body: body}
	if replayed {
		a.headers = map[string]string{"Idempotent-Replayed": "true"}
		a.metrics = []string{telemetry.MetricPaymentsReplayed}
	}
	return a
}

// longestRequest is a second more than API Gateway waits for an answer, 29 s ("Quotas for REST APIs", Amazon API Gateway Developer
// Guide).
const longestRequest = 30 * time.Second

// acceptedAt is the time of an acceptance. A process that Lambda has frozen may resume with a clock that is minutes behind
// (aws/aws-sdk-js-v3#7605). API Gateway's clock bounds it: the request came when the event says, and nobody waits for an
// answer for longer than longestRequest. Whatever is outside is a wrong clock, and the request's time is taken.
func (h *handler) acceptedAt(request events.APIGatewayProxyRequest) time.Time {
	now := h.now()
	if request.RequestContext.RequestTimeEpoch == 0 { // no event of API Gateway
		return now
	}
	came := time.UnixMilli(request.RequestContext.RequestTimeEpoch)
	if off := now.Sub(came); off >= 0 && off <= longestRequest {
		return now
	}
	return came
}

// sessionBody is how the payments of a session are told.
type sessionBody struct {
	SessionID string        `json:"session_id"`
	Payments  []paymentBody `json:"payments"`
	// Next is the "after" of the next page; absent on the last.
	Next string `json:"next,omitempty"`
}

func (h *handler) read(ctx context.Context, request events.APIGatewayProxyRequest) answer {
	sessionID, err := pathID(request, payment.AttributeSessionID)
	if err != nil {
		return h.fail(err)
	}
	ctx, cancel := context.WithTimeout(ctx, sessiontable.RequestDeadline)
	defer cancel()
	if request.Resource == resourcePayment {
		transactionID, err := pathID(request, payment.AttributeTransactionID)
		if err != nil {
			return h.fail(err)
		}
		p, err := h.table.Get(ctx, payment.Identity{SessionID: sessionID, TransactionID: transactionID})
		if err != nil {
			return h.fail(err)
		}
		return answer{status: http.StatusOK, body: newPaymentBody(p)}
	}

	after, limit := request.QueryStringParameters["after"], defaultPageSize
	if after != "" {
		if err := payment.CheckStoredID("after", after); err != nil {
			return h.fail(err)
		}
	}
	if given, ok := request.QueryStringParameters["limit"]; ok {
		if limit, err = strconv.Atoi(given); err != nil || limit < 1 || limit > maxPageSize {
			return problem(http.StatusBadRequest, fmt.Sprintf("limit is not a whole number from 1 to %d", maxPageSize))
		}
	}
	payments, more, err := h.table.List(ctx, sessionID, after, limit)
	if err != nil {
		return h.fail(err)
	}
	page := sessionBody{SessionID: sessionID, Payments: make([]paymentBody, len(payments))}
	for i, p := range payments {
		page.Payments[i] = newPaymentBody(p)
	}
	if more {
		page.Next = payments[len(payments)-1].TransactionID
	}
	return answer{status: http.StatusOK, body: page}
}

// healthBody is the answer of GET /health. A Route 53 health check looks for "steady":true in it.
type healthBody struct {
	Status string `json:"status"`
	Region string `json:"region"`
	// Steady is false for a while after an interruption. DNS prefers the other Region then.
	Steady bool `json:"steady"`
}

// health is deep: this Region can take payments, because it just read from the table and wrote to it.
func (h *handler) health(ctx context.Context) answer {
	ctx, cancel := context.WithTimeout(ctx, healthDeadline)
	defer cancel()
	now := h.now()
	since, err := h.table.Probe(ctx, h.region, now, h.interruption)
	if err != nil {
		return h.fail(err)
	}
	steady := since.IsZero() || now.Sub(since) >= h.steadyFor
	return answer{status: http.StatusOK, body: healthBody{Status: "healthy", Region: h.region, Steady: steady}}
}

// statuses maps what the domain says to what HTTP says.
var statuses = map[payment.Code]int{
	payment.CodeInvalid:     http.StatusBadRequest,
	payment.CodeNotFound:    http.StatusNotFound,
	payment.CodeConflict:    http.StatusUnprocessableEntity,
	payment.CodeUnavailable: http.StatusServiceUnavailable,
}

var codeMetrics = map[payment.Code]string{
	payment.CodeInvalid:     telemetry.MetricRequestsInvalid,
	payment.CodeConflict:    telemetry.MetricPaymentsConflicting,
	payment.CodeUnavailable: telemetry.MetricTableUnavailable,
}

// fail is the answer to an error: the domain's own with its message, any other without a word.
func (h *handler) fail(err error) answer {
	known, ok := errors.AsType[*payment.Error](err)
	if !ok {
		a := problem(http.StatusInternalServerError, "internal error", telemetry.MetricInternalErrors)
		a.err = err
		return a
	}
	a := problem(statuses[known.Code], known.Message)
	a.err = known.Err
	if metric, ok := codeMetrics[known.Code]; ok {
		a.metrics = []string{metric}
	}
	if known.Code == payment.CodeUnavailable {
		a.headers = map[string]string{"Retry-After": retryAfter}
	}
	return a
}

type problemBody struct {
	Error  string `json:"error"`
	Region string `json:"region"`
}

func problem(status int, message string, metrics ...string) answer {
	return answer{status: status, body: problemBody{Error: message}, metrics: metrics}
}

func methodNotAllowed(allowed string) answer {
	a := problem(http.StatusMethodNotAllowed, "the method is not allowed here; use "+allowed)
	a.headers = map[string]string{"Allow": allowed}
	return a
}

func (h *handler) write(a answer) events.APIGatewayProxyResponse {
	if p, ok := a.body.(problemBody); ok {
		p.Region = h.region
		a.body = p
	}
	body, err := json.Marshal(a.body)
	if err != nil { // no body above can fail to marshal
		a.status, body = http.StatusInternalServerError, []byte(`{"error":"internal error","region":"`+h.region+`"}`)
	}
	headers := map[string]string{"Content-Type": "application/json", "X-Region": h.region, "Cache-Control": "no-store"}
	for name, value := range a.headers {
		headers[name] = value
	}
	return events.APIGatewayProxyResponse{StatusCode: a.status, Headers: headers, Body: string(body)}
}

// log writes one line about a request. It has no ids and no body: they are the client's, and may hold what no log should.
func (h *handler) log(ctx context.Context, request events.APIGatewayProxyRequest, a answer, started time.Time) {
	now := h.now()
	attributes := []slog.Attr{
		slog.String("apiRequestId", request.RequestContext.RequestID),
		slog.String("method", request.HTTPMethod),
		slog.String("resource", request.Resource),
		slog.Int("status", a.status),
		slog.Float64("durationMs", float64(now.Sub(started).Microseconds())/1000),
	}
	level := slog.LevelInfo
	if a.status >= http.StatusInternalServerError {
		level = slog.LevelError
	}
	if a.err != nil {
		attributes = append(attributes, slog.String("error", a.err.Error()))
	}
	if off := h.acceptedAt(request).Sub(started); off.Abs() > longestRequest {
		attributes = append(attributes, slog.Float64("clockOffSeconds", -off.Seconds()))
	}
	if len(a.metrics) > 0 {
		attributes = append(attributes, telemetry.Counts(h.namespace, "processor", now, a.metrics...)...)
	}
	h.logger.LogAttrs(ctx, level, "request", attributes...)
}

// header is a header's first value; names have no case.
func header(request events.APIGatewayProxyRequest, name string) string {
	for key, value := range request.Headers {
		if strings.EqualFold(key, name) {
			return value
		}
	}
	return ""
}

// checkIdempotencyKey rejects an Idempotency-Key header ("The Idempotency-Key HTTP Header Field", IETF draft) that is not the
// transaction_id. The header may lie outside the signature, so it cannot identify a payment. A client that relies on it and sends
// no transaction_id would pay twice by its first retry. The draft writes the key as a quoted string; many clients leave the
// quotes out.
func checkIdempotencyKey(request events.APIGatewayProxyRequest, transactionID string) error {
	var keys []string
	for name, value := range request.Headers {
		if strings.EqualFold(name, "Idempotency-Key") {
			keys = append(keys, value)
		}
	}
	for name, values := range request.MultiValueHeaders { // Headers has only the last value
		if strings.EqualFold(name, "Idempotency-Key") {
			keys = append(keys, values...)
		}
	}
	for _, key := range keys {
		if key != transactionID && key != `"`+transactionID+`"` {
			return &payment.Error{
				Code:    payment.CodeInvalid,
				Message: "Idempotency-Key differs from transaction_id; send a transaction_id, and the same value in the header or no header",
			}
		}
	}
	return nil
}

// pathID is an id from the path, of a payment of any release. A REST API hands path parameters on as they stand in the URL, encoded.
func pathID(request events.APIGatewayProxyRequest, name string) (string, error) {
	id, err := url.PathUnescape(request.PathParameters[name])
	if err != nil {
		return "", &payment.Error{Code: payment.CodeInvalid, Message: name + " is not percent-encoded as a path is"}
	}
	return id, payment.CheckStoredID(name, id)
}
