package client

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/aws/smithy-go/aws-http-auth/credentials"
	"github.com/aws/smithy-go/aws-http-auth/sigv4a"
)

const (
	// service is what requests to API Gateway's APIs are signed for.
	service = "execute-api"
	// anyRegion makes a signature valid in every Region (sigv4a.SignRequestInput; "AWS Signature Version 4 for API requests",
	// AWS IAM User Guide): the public name may lead to either, and a client need not know to which.
	anyRegion = "*"
	// maxClockSkew is less than the five minutes that a signature is valid for (same page).
	maxClockSkew = 4 * time.Minute
	// firstPause is the longest pause before the second attempt; it doubles with each, up to maxPause.
	firstPause, maxPause = 100 * time.Millisecond, 2 * time.Second
	// throttledPause is the shortest pause after a 429.
	throttledPause = 500 * time.Millisecond
	// maxRetryAfter is the longest that the client waits because the API says so. What asks for more is given up.
	maxRetryAfter = 30 * time.Second
	// tokenParts is how many settled attempts give a token back.
	tokenParts = 10
	// maxAnswerBytes is far more than any answer of the contract to one payment.
	maxAnswerBytes = 64 << 10
)

// The fields of requests and answers.
const (
	fieldSessionID, fieldTransactionID, fieldAmount, fieldCurrency = "session_id", "transaction_id", "amount", "currency"
	fieldRegion, fieldTimestamp, fieldStatus                       = "region", "timestamp", "status"
)

// call is a request, however often it is sent.
type call struct {
	method   string
	segments []string
	body     []byte
	signed   bool
}

// writes is whether an attempt without an answer may have changed something.
func (c call) writes() bool { return c.method == http.MethodPost }

// reply is what came back.
type reply struct {
	status int
	region string
	header http.Header
	body   []byte
}

// payment is the payment in a reply, by its fields, which has to be the one that was asked about.
func (r reply) payment(id Identity) (map[string]string, error) {
	decoder := json.NewDecoder(bytes.NewReader(r.body))
	decoder.UseNumber() // the amount is exact
	var body map[string]any
	if err := decoder.Decode(&body); err != nil {
		return nil, fmt.Errorf("read answer: %w", err)
	}
	values := map[string]string{}
	for name, value := range body {
		switch value := value.(type) {
		case string:
			values[name] = value
		case json.Number:
			values[name] = value.String()
		}
	}
	if values[fieldSessionID] != id.SessionID || values[fieldTransactionID] != id.TransactionID {
		return nil, errors.New("the answer is about another payment")
	}
	return values, nil
}

// message is what a reply says is wrong.
func (r reply) message() string {
	var problem struct {
		Error   string `json:"error"`
		Message string `json:"message"` // API Gateway's own answers, such as that a caller may not ask
	}
	if err := json.Unmarshal(r.body, &problem); err != nil {
		return http.StatusText(r.status)
	}
	return cmp.Or(problem.Error, problem.Message, http.StatusText(r.status))
}

// outcome is what became of an attempt.
type outcome struct {
	way *way
	reply
	err      error
	settled  bool
	signed   time.Time // by the client's clock, corrected
	ended    time.Time
	givenUp  bool // by the caller, or because another attempt settled the request
	unsigned bool // and so not sent
	unsent   bool // because the credentials came too late
}

// throttled is an answer that says nothing about the Region but that it is busy.
func (o outcome) throttled() bool { return o.err == nil && o.status == http.StatusTooManyRequests }

// refused is an answer that another attempt would get, too.
func (o outcome) refused() bool {
	return !o.settled && o.err == nil && o.status != http.StatusOK && !o.throttled() && o.status < http.StatusInternalServerError
}

// failed is that the Region did not answer as it should.
func (o outcome) failed() bool {
	return !o.settled && !o.refused() && !o.throttled() && !o.givenUp && !o.unsigned && !o.unsent
}

// send sends a request until read is content with what came back. What read finds not to be as the contract says settles
// nothing, whatever its status: it is sent again.
func (c *Client) send(ctx context.Context, request call, read func(reply) error) (Answer, error) {
	started := c.now()
	var answer Answer
	var tried []*way
	unknown := false // whether an earlier attempt may have been accepted
	way, fresh := c.choose(nil)
	for {
		outcomes := c.round(ctx, way, fresh, tried, answer.Attempts, request, read)
		for _, o := range outcomes {
			if !o.unsigned {
				answer = Answer{Status: o.status, Region: o.region, Attempts: answer.Attempts + 1, Latency: o.ended.Sub(started)}
				unknown = unknown || request.writes() && !o.settled && !o.refused() && !o.throttled() && !o.unsent
			}
			tried = c.tried(tried, o.way)
		}
		last := outcomes[len(outcomes)-1]
		switch {
		case last.settled:
			return answer, nil
		case last.unsigned && unknown:
			return answer, &UnavailableError{Answer: answer, Err: last.err}
		case last.unsigned:
			return answer, last.err
		case last.refused() && answer.Attempts < c.maxAttempts && c.correctClock(last):
			continue
		case last.refused() && unknown:
			return answer, &UnavailableError{Answer: answer, Message: last.message()}
		case last.refused():
			return answer, &RefusedError{Answer: answer, Message: last.message()}
		}
		failure := &UnavailableError{Answer: answer, Err: last.err}
		if last.err == nil {
			failure.Message = last.message()
		}
		if answer.Attempts >= c.maxAttempts {
			return answer, failure
		}
		pause := c.pause(answer.Attempts)
		// A fresh Region gets the request at once, and free: what the failed one asks for is not its concern.
		if way, fresh = c.choose(tried); !fresh || last.throttled() {
			asked := c.retryAfter(last.header.Get("Retry-After"))
			if asked > maxRetryAfter || !c.spend() {
				return answer, failure
			}
			if last.throttled() {
				asked = max(asked, throttledPause)
			}
			pause += asked
		}
		if done := c.waitFor(ctx, pause); done != nil {
			failure.Err = errors.Join(last.err, done)
			return answer, failure
		}
	}
}

// round sends a request by a way, and hedges it if it is to be hedged. The outcomes are in the order in which they came. There are
// two if both were sent; then the last is settled, or none is.
func (c *Client) round(ctx context.Context, w *way, fresh bool, tried []*way, attempts int, request call, read func(reply) error) []outcome {
	timeout := c.timeout
	now := c.tried(tried, w)
	left, other := c.others(now)
	// An attempt ends early only if the request can go on: free, or for a token.
	if other || !fresh && left && c.affords() {
		timeout = min(timeout, c.failover)
	}
	if c.hedgeAfter == 0 || !other || attempts+1 >= c.maxAttempts {
		return []outcome{c.try(ctx, w, timeout, request, read)}
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var one sync.Mutex
	settled := false
	first := func(r reply) error { // both may be answered, and one answer counts
		one.Lock()
		defer one.Unlock()
		if settled {
			return nil
		}
		err := read(r)
		settled = err == nil
		return err
	}
	came := make(chan outcome, 2)
	under := 1
	go func() { came <- c.try(ctx, w, timeout, request, first) }()
	hedge := time.NewTimer(c.hedgeAfter)
	defer hedge.Stop()
	var outcomes []outcome
	for len(outcomes) < under {
		select {
		case o := <-came:
			if o.settled {
				cancel() // the other one ends at once
			}
			outcomes = append(outcomes, o)
			hedge.Stop()
		case <-hedge.C:
			if next, ok := c.choose(now); ok && c.spend() {
				under++
				go func() { came <- c.try(ctx, next, c.timeout, request, first) }()
			}
		}
	}
	if len(outcomes) == 2 && outcomes[0].settled {
		outcomes[0], outcomes[1] = outcomes[1], outcomes[0]
	}
	return outcomes
}

// try makes one attempt by a way, and notes what it says about the way.
func (c *Client) try(ctx context.Context, w *way, timeout time.Duration, request call, read func(reply) error) outcome {
	used := c.current(w)
	o := outcome{way: w}
	began := c.now()
	o.reply, o.signed, o.err = c.attempt(ctx, used.Transport, w, timeout, request)
	if o.unsigned = errors.Is(o.err, ErrUnsigned); o.unsigned {
		return o
	}
	o.ended, o.unsent = c.now(), errors.Is(o.err, errCredentialsLate)
	if o.err == nil && o.status == http.StatusOK {
		o.err = read(o.reply)
		o.settled = o.err == nil
	}
	o.givenUp = !o.settled && ctx.Err() != nil
	c.leads(w, o.region)
	if o.settled {
		c.earn()
	}
	switch {
	case o.settled, o.refused():
		c.work(w, began)
	case o.failed():
		c.leave(w, used)
		c.fail(w, o.status == 0, cmp.Or(errorText(o.err), strconv.Itoa(o.status)))
	}
	c.attempted(Attempt{Began: began, Ended: o.ended, Host: w.url.Host, Status: o.status, Region: o.region, Settled: o.settled, Err: o.err})
	return o
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// earn returns a part of a token, for an attempt that settled its request.
func (c *Client) earn() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tokens = min(c.tokens+1, c.mostTokens)
}

// spend takes a token, if there is one.
func (c *Client) spend() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.tokens < tokenParts {
		return false
	}
	c.tokens -= tokenParts
	return true
}

// affords reports whether there is a token.
func (c *Client) affords() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.tokens >= tokenParts
}

// retryAfter is what a Retry-After header asks for: seconds, or a date (RFC 9110). What is neither asks for nothing.
func (c *Client) retryAfter(header string) time.Duration {
	if seconds, err := strconv.ParseInt(header, 10, 32); err == nil {
		return time.Duration(max(seconds, 0)) * time.Second
	}
	if at, err := http.ParseTime(header); err == nil {
		return max(at.Sub(c.now()), 0)
	}
	return 0
}

// pause is a pause of random length, the longest twice the last time's, so that clients that failed together do not come back
// together. It is added to what the API asks for, for the same reason.
func (c *Client) pause(attempts int) time.Duration {
	longest := min(firstPause<<min(attempts-1, 10), maxPause)
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Duration(c.random.Int64N(int64(longest)))
}

// waitFor waits, unless the context would be done first: then it returns the context's error at once, because nothing is
// gained by the wait.
func (c *Client) waitFor(ctx context.Context, pause time.Duration) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if deadline, ok := ctx.Deadline(); ok && deadline.Sub(c.now()) < pause {
		return context.DeadlineExceeded
	}
	return c.wait(ctx, pause)
}

// time is the client's time, corrected by the API's.
func (c *Client) time() time.Time { return c.now().Add(time.Duration(c.clockOff.Load())) }

// correctClock takes the API's time over, if the signature of a forbidden request was too far from it. Once the clock is
// right, it does nothing.
func (c *Client) correctClock(o outcome) bool {
	if o.status != http.StatusForbidden || o.signed.IsZero() {
		return false
	}
	at, err := http.ParseTime(o.header.Get("Date"))
	if err != nil || at.Sub(o.signed).Abs() < maxClockSkew {
		return false
	}
	off := at.Sub(o.ended)
	c.clockOff.Store(int64(off))
	c.logger.Warn("the clock differs from the payment API's; requests are signed with the API's time", "offset", off)
	return true
}

// attempt sends a request once, signed at the moment that it returns.
func (c *Client) attempt(ctx context.Context, transport *http.Transport, w *way, timeout time.Duration, call call) (r reply, signed time.Time, err error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, call.method, "", bytes.NewReader(call.body))
	if err != nil {
		return r, signed, fmt.Errorf("make request: %w", err)
	}
	request.URL, request.Host = w.at(call.segments), c.host
	if call.body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	if call.signed {
		signed = c.time()
		if err := c.sign(ctx, request, call.body, signed); err != nil {
			return r, signed, err
		}
	}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return r, signed, fmt.Errorf("send request: %w", err)
	}
	defer response.Body.Close()
	r = reply{status: response.StatusCode, region: response.Header.Get("X-Region"), header: response.Header}
	if r.body, err = io.ReadAll(io.LimitReader(response.Body, maxAnswerBytes)); err != nil {
		return r, signed, fmt.Errorf("read answer: %w", err)
	}
	if r.region == "" {
		var said struct {
			Region string `json:"region"`
		}
		if json.Unmarshal(r.body, &said) == nil { // an answer that has no body of the contract names no Region
			r.region = said.Region
		}
	}
	return r, signed, nil
}

// at is the URL of a path below the API's. Its segments are encoded to the unreserved characters alone: what a signature is
// over does not depend on a server's idea of the others then.
func (w *way) at(segments []string) *url.URL {
	u := *w.url
	u.RawPath = u.EscapedPath()
	for _, segment := range segments {
		u.Path += "/" + segment
		u.RawPath += "/" + escape(segment)
	}
	return &u
}

func escape(segment string) string {
	// QueryEscape leaves the unreserved characters of RFC 3986 alone, and writes a space as "+".
	return strings.ReplaceAll(url.QueryEscape(segment), "+", "%20")
}

// errCredentialsLate is no fault of a Region, and nothing was sent.
var errCredentialsLate = errors.New("get credentials in time")

func (c *Client) sign(ctx context.Context, request *http.Request, body []byte, at time.Time) error {
	if c.credentials == nil {
		return fmt.Errorf("%w: there are no credentials", ErrUnsigned)
	}
	who, err := c.credentials.Retrieve(ctx)
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("%w: %w", errCredentialsLate, ctx.Err())
	case err != nil:
		return fmt.Errorf("%w: get credentials: %w", ErrUnsigned, err)
	case !who.HasKeys():
		return fmt.Errorf("%w: the credentials are empty", ErrUnsigned)
	}
	digest := sha256.Sum256(body)
	err = c.signer.SignRequest(&sigv4a.SignRequestInput{
		Request: request, PayloadHash: digest[:], Service: service, RegionSet: []string{anyRegion}, Time: at,
		Credentials: credentials.Credentials{AccessKeyID: who.AccessKeyID, SecretAccessKey: who.SecretAccessKey, SessionToken: who.SessionToken},
	})
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnsigned, err)
	}
	return nil
}
