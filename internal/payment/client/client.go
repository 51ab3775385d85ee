// Package client is the good client of the payment API. It signs each request for all Regions at once, sends it again
// with the same identity while no answer settles it, and says who answered, when and how.
package client

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/smithy-go/aws-http-auth/credentials"
	"github.com/aws/smithy-go/aws-http-auth/sigv4a"
	smithytime "github.com/aws/smithy-go/time"
	"github.com/bojanz/currency"

	"payments-dr/internal/payment"
)

const (
	// service is what requests to API Gateway's APIs are signed for.
	service = "execute-api"
	// anyRegion makes a signature good in every Region (sigv4a.SignRequestInput; "AWS Signature Version 4 for API requests",
	// AWS IAM User Guide): the public name may lead to either, and a client need not know to which.
	anyRegion = "*"

	defaultMaxAttempts = 5
	// DefaultAttemptTimeout outlasts the processor, which gives up on its table after 5 s and answers 503.
	DefaultAttemptTimeout = 6 * time.Second
	// connectTimeout bounds what a Region that is gone, and says nothing, costs of an attempt.
	connectTimeout = 3 * time.Second
	// firstPause is the longest pause before the second attempt; it doubles with each, up to maxPause.
	firstPause, maxPause = 100 * time.Millisecond, 2 * time.Second
	// maxRetryAfter is the longest that the client waits because the API says so. What asks for more is given up.
	maxRetryAfter = 30 * time.Second
	// defaultRetryTokens allows ten failed attempts before a client stops repeating requests. Without a limit, clients that each
	// send five times turn an outage into five times the load, which can keep the remaining Region from recovering.
	defaultRetryTokens = 20
	// tokenParts is how many settled attempts give a token back.
	tokenParts = 10
	// defaultConnectionAge bounds how long a busy client stays with a Region after the public name has moved. net/http looks a
	// name up only for a new connection (golang/go#23427), and HTTP/2 keeps one connection for as long as there is traffic.
	// API Gateway cannot close it for us: it remaps the Connection header of an integration's response ("Amazon API Gateway
	// important notes", Amazon API Gateway Developer Guide).
	defaultConnectionAge = 10 * time.Second
	// maxAnswerBytes is far more than any answer of the contract to one payment.
	maxAnswerBytes = 64 << 10
	// maxIdleConnections are kept for the next payments, so that a load of many at once does not connect for each.
	maxIdleConnections = 64
	idleTimeout        = 30 * time.Second
)

// Config says where the API is and who asks.
type Config struct {
	// URL is the API's: https://api.<zone>, or a Region's own, https://<id>.execute-api.<region>.amazonaws.com/live. Plain
	// http is taken on the loopback interface alone.
	URL string
	// DialHost, if given, is the host that is connected to in place of the URL's, with a port or on the URL's. Host header and
	// name in TLS remain the URL's: so one asks a certain Region of a name that both answer.
	DialHost string
	// Credentials are whose requests these are. A client that asks for nothing but Health needs none.
	Credentials aws.CredentialsProvider
	// MaxAttempts is how often a request is sent; 0 is 5.
	MaxAttempts int
	// AttemptTimeout is how long each of them may take, connecting included; 0 is 6 s.
	AttemptTimeout time.Duration
	// RetryTokens limits retries during an outage. An attempt that settles nothing takes a token, one that settles its request
	// returns a tenth of a token, and the client retries only while more than half of the tokens are left. 0 is 20.
	RetryTokens int
	// ConnectionAge is how long new requests use a connection before the client looks the name up and connects again; 0 is
	// 10 s. Requests under way finish on their connection.
	ConnectionAge time.Duration
	// RootCAs are the authorities that the API's certificate may be of; nil: the machine's.
	RootCAs *x509.CertPool
	// Random is where the pauses' lengths come from; nil: a source of its own. The client does not use it concurrently.
	Random rand.Source
	// Dial, if given, makes the connections, in place of the machine's look-up of names: it is asked whenever a new one is needed.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Wait, if given, waits between attempts, in place of a timer. It returns the context's error if that is done first.
	Wait func(context.Context, time.Duration) error
	// Attempted, if given, is told of each attempt when it has ended, before the next begins.
	Attempted func(Attempt)
}

// Attempt is one sending of a request.
type Attempt struct {
	Began, Ended time.Time
	// Status is the answer's; 0 if there was none.
	Status int
	// Region is where the answer came from, if it says so.
	Region string
	// Settled tells that the answer was as the contract has it and no other attempt is needed for the payment to be accepted.
	Settled bool
	// Err is why there was no answer, or none as the contract has it.
	Err error
}

// Client is a client of one API. It may be used concurrently.
type Client struct {
	url         *url.URL // where to connect
	host        string   // what it is called
	credentials aws.CredentialsProvider
	signer      *sigv4a.Signer
	maxAttempts int
	timeout     time.Duration
	rootCAs     *x509.CertPool
	dial        func(ctx context.Context, network, address string) (net.Conn, error)
	attempted   func(Attempt)
	age         time.Duration
	connections atomic.Pointer[connections]

	mu     sync.Mutex
	random *rand.Rand
	// mostTokens and tokens are in parts of a token.
	mostTokens, tokens int

	now  func() time.Time
	wait func(context.Context, time.Duration) error
}

// connections are the connections that requests use from a moment on.
type connections struct {
	*http.Transport
	since time.Time
}

// New makes a client. Its error names the field that is wrong.
func New(config Config) (*Client, error) {
	if config.MaxAttempts < 0 || config.AttemptTimeout < 0 || config.RetryTokens < 0 || config.ConnectionAge < 0 {
		return nil, fmt.Errorf("make payment client: MaxAttempts is %d, AttemptTimeout %v, RetryTokens %d and ConnectionAge %v; allowed is 0 or more",
			config.MaxAttempts, config.AttemptTimeout, config.RetryTokens, config.ConnectionAge)
	}
	u, err := url.Parse(config.URL)
	if err != nil || u.Host == "" || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || u.User != nil || (u.Scheme != "https" && !isLoopback(u)) {
		return nil, fmt.Errorf("make payment client: URL is %q; allowed is https:// with a host and, if any, a path", config.URL)
	}
	u.Path = strings.TrimSuffix(u.Path, "/")
	tokens := cmp.Or(config.RetryTokens, defaultRetryTokens) * tokenParts
	c := &Client{
		url: u, host: u.Host, credentials: config.Credentials, signer: sigv4a.New(),
		maxAttempts: cmp.Or(config.MaxAttempts, defaultMaxAttempts), timeout: cmp.Or(config.AttemptTimeout, DefaultAttemptTimeout),
		age: cmp.Or(config.ConnectionAge, defaultConnectionAge), rootCAs: config.RootCAs, mostTokens: tokens, tokens: tokens,
		random: rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())), now: time.Now, wait: smithytime.SleepWithContext,
		dial: (&net.Dialer{Timeout: connectTimeout}).DialContext, attempted: func(Attempt) {},
	}
	if config.Dial != nil {
		c.dial = config.Dial
	}
	if config.Wait != nil {
		c.wait = config.Wait
	}
	if config.Attempted != nil {
		c.attempted = config.Attempted
	}
	if config.Random != nil {
		c.random = rand.New(config.Random)
	}
	if config.DialHost != "" {
		at := *u
		if at.Host, err = withPort(config.DialHost, u.Port()); err != nil {
			return nil, err
		}
		c.url = &at
	}
	c.connections.Store(c.connect())
	return c, nil
}

func isLoopback(u *url.URL) bool {
	ip := net.ParseIP(u.Hostname())
	return u.Scheme == "http" && ip != nil && ip.IsLoopback()
}

// withPort is a host with a port, if it needs one; it may have one of its own.
func withPort(host, port string) (string, error) {
	parsed, err := url.Parse("//" + host)
	if err != nil || parsed.Host != host || parsed.Hostname() == "" {
		return "", fmt.Errorf("make payment client: DialHost is %q; allowed is a host, with or without a port", host)
	}
	if parsed.Port() != "" || port == "" {
		return host, nil
	}
	return net.JoinHostPort(parsed.Hostname(), port), nil
}

// connect makes a set of connections, which connects when it is used. It follows no redirect, and uses the proxy that the
// environment names, if any.
func (c *Client) connect() *connections {
	name := (&url.URL{Host: c.host}).Hostname()
	return &connections{since: c.now().Round(0), Transport: &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         c.dial,
		TLSClientConfig:     &tls.Config{ServerName: name, RootCAs: c.rootCAs, MinVersion: tls.VersionTLS12},
		ForceAttemptHTTP2:   true,
		MaxIdleConnsPerHost: maxIdleConnections,
		IdleConnTimeout:     idleTimeout,
	}}
}

// CloseIdleConnections makes the next request look the name up and connect anew.
func (c *Client) CloseIdleConnections() { c.leave(c.connections.Load()) }

// current is the set of connections for the next attempt: a new one if the last has reached its age.
func (c *Client) current() *connections {
	used := c.connections.Load()
	// Round has taken the monotonic reading away, which stands still while Lambda has frozen a process
	// (hashicorp/vault-lambda-extension#150). A wall clock can be set back.
	if age := c.now().Sub(used.since); age >= c.age || age < 0 {
		c.leave(used)
	}
	return c.connections.Load()
}

// leave replaces a set of connections: requests under way end on them, and no other begins.
func (c *Client) leave(used *connections) {
	if c.connections.CompareAndSwap(used, c.connect()) {
		used.CloseIdleConnections()
	}
}

// Answer is how a request was answered.
type Answer struct {
	// Status is the last answer's HTTP status; 0 if there was none.
	Status int
	// Region is where the last answer came from; empty if there was none, or none of the API's.
	Region string
	// Attempts is how often the request was sent.
	Attempts int
	// Latency is the time from the first attempt's begin to the last one's end, pauses included.
	Latency time.Duration
}

// Acceptance is the answer to an accepted payment.
type Acceptance struct {
	Answer
	// AcceptedIn is the Region that accepted the payment first.
	AcceptedIn string
	// Replayed tells that it was accepted before: by an earlier request, or by an attempt of this one whose answer was lost.
	Replayed bool
}

// Reading is a payment as the API has it.
type Reading struct {
	Answer
	Payment payment.Payment
}

// RefusedError is an answer that the same request would get again: a status of 4xx but 429, or one that is none of the API's. It
// means that the payment was not accepted: after an attempt whose outcome is unknown, Pay returns an UnavailableError instead.
type RefusedError struct {
	Answer
	// Message is what the API says, for people.
	Message string
}

func (e *RefusedError) Error() string {
	return fmt.Sprintf("refused with status %d by %s: %s", e.Status, orUnknown(e.Region), e.Message)
}

// UnavailableError means that the outcome of a request is unknown: no attempt settled it, and there was no time or no attempt
// left, or a later attempt was refused or could not be signed. The payment may have been accepted. Send it again with the same
// identity to find out.
type UnavailableError struct {
	Answer
	// Message is what the API says, for people, if it answered last.
	Message string
	// Err is why the last attempt got no answer, if it got none; with the context's error, if that was done.
	Err error
}

func (e *UnavailableError) Error() string {
	text := fmt.Sprintf("unavailable after %d attempts in %v", e.Attempts, e.Latency.Round(time.Millisecond))
	if e.Status != 0 {
		text += fmt.Sprintf(", status %d by %s: %s", e.Status, orUnknown(e.Region), e.Message)
	}
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

func (e *UnavailableError) Unwrap() error { return e.Err }

func orUnknown(region string) string {
	if region == "" {
		return "an unknown Region"
	}
	return region
}

// ErrUnsigned is the error of requests for whose signature there are no credentials. The attempt that it ended was not sent. If an
// earlier attempt of the same payment may have been accepted, an UnavailableError wraps it.
var ErrUnsigned = errors.New("request cannot be signed")

// Pay sends a payment until it is accepted or refused. Its identity is the caller's to make, because a payment without one
// cannot be sent twice. The error is a *RefusedError, an *UnavailableError, ErrUnsigned, or a *payment.Error about the
// identity.
func (c *Client) Pay(ctx context.Context, request payment.Request) (Acceptance, error) {
	var accepted Acceptance
	if err := checkIdentity(request.Identity, payment.CheckNewID); err != nil {
		return accepted, err
	}
	body, err := json.Marshal(request)
	if err != nil {
		return accepted, fmt.Errorf("write payment: %w", err)
	}
	accepted.Answer, err = c.send(ctx, call{method: http.MethodPost, segments: []string{"payments"}, body: body, signed: true}, func(r reply) error {
		p, err := r.payment(request.Identity)
		if err != nil {
			return err
		}
		if amount, err := currency.NewAmount(p[payment.AttributeAmount], p[payment.AttributeCurrency]); err != nil || !amount.Equal(request.Amount) {
			return errors.New("the answer is about another amount")
		}
		accepted.AcceptedIn, accepted.Replayed = p[payment.AttributeRegion], r.header.Get("Idempotent-Replayed") == "true"
		return nil
	})
	return accepted, err
}

// Get reads a payment. One that is not there is a *RefusedError of status 404; the other errors are Pay's.
func (c *Client) Get(ctx context.Context, id payment.Identity) (Reading, error) {
	var reading Reading
	if err := checkIdentity(id, payment.CheckStoredID); err != nil {
		return reading, err
	}
	var err error
	reading.Answer, err = c.send(ctx, call{method: http.MethodGet, segments: []string{"payments", id.SessionID, id.TransactionID}, signed: true}, func(r reply) error {
		p, err := r.payment(id)
		if err != nil {
			return err
		}
		reading.Payment, err = payment.Parse(p)
		return err
	})
	return reading, err
}

// Health asks whether payments can be taken. The error is a *RefusedError or an *UnavailableError.
func (c *Client) Health(ctx context.Context) (Answer, error) {
	return c.send(ctx, call{method: http.MethodGet, segments: []string{"health"}}, func(reply) error { return nil })
}

func checkIdentity(id payment.Identity, check func(field, id string) error) error {
	if err := check(payment.AttributeSessionID, id.SessionID); err != nil {
		return err
	}
	return check(payment.AttributeTransactionID, id.TransactionID)
}

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

// payment is the payment in a reply, which has to be the one that was asked about.
func (r reply) payment(id payment.Identity) (payment.Values, error) {
	decoder := json.NewDecoder(bytes.NewReader(r.body))
	decoder.UseNumber() // the amount is exact
	var body map[string]any
	if err := decoder.Decode(&body); err != nil {
		return nil, fmt.Errorf("read answer: %w", err)
	}
	values := payment.Values{}
	for name, value := range body {
		switch value := value.(type) {
		case string:
			values[name] = value
		case json.Number:
			values[name] = value.String()
		}
	}
	if values[payment.AttributeSessionID] != id.SessionID || values[payment.AttributeTransactionID] != id.TransactionID {
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

// send sends a request until read is content with what came back. What read finds not to be as the contract says settles
// nothing, whatever its status: it is sent again.
func (c *Client) send(ctx context.Context, request call, read func(reply) error) (Answer, error) {
	started := c.now()
	var answer Answer
	unknown := false // whether an earlier attempt may have been accepted
	for {
		used := c.current()
		one := Attempt{Began: c.now()}
		r, err := c.attempt(ctx, used.Transport, request)
		if errors.Is(err, ErrUnsigned) {
			if unknown {
				err = &UnavailableError{Answer: answer, Err: err}
			}
			return answer, err
		}
		one.Ended, one.Status, one.Region = c.now(), r.status, r.region
		answer = Answer{Status: r.status, Region: r.region, Attempts: answer.Attempts + 1, Latency: one.Ended.Sub(started)}
		if err == nil && r.status == http.StatusOK {
			err = read(r)
			one.Settled = err == nil
		}
		one.Err = err
		c.attempted(one)
		again := c.count(one.Settled)
		switch {
		case one.Settled:
			return answer, nil
		case err == nil && r.status != http.StatusOK && r.status != http.StatusTooManyRequests && r.status < http.StatusInternalServerError:
			if unknown {
				return answer, &UnavailableError{Answer: answer, Message: r.message()}
			}
			return answer, &RefusedError{Answer: answer, Message: r.message()}
		}
		if r.status != http.StatusTooManyRequests {
			unknown = unknown || request.writes()
			c.leave(used)
		}
		failure := &UnavailableError{Answer: answer, Err: err}
		if err == nil {
			failure.Message = r.message()
		}
		asked := c.retryAfter(r.header.Get("Retry-After"))
		if answer.Attempts == c.maxAttempts || asked > maxRetryAfter || !again {
			return answer, failure
		}
		if done := c.waitFor(ctx, asked+c.pause(answer.Attempts)); done != nil {
			failure.Err = errors.Join(err, done)
			return answer, failure
		}
	}
}

// count counts an attempt, and says whether there may be another.
func (c *Client) count(settled bool) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if settled {
		c.tokens = min(c.tokens+1, c.mostTokens)
	} else {
		c.tokens = max(c.tokens-tokenParts, 0)
	}
	return c.tokens > c.mostTokens/2
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

// attempt sends a request once, signed at this moment.
func (c *Client) attempt(ctx context.Context, transport *http.Transport, call call) (reply, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, call.method, "", bytes.NewReader(call.body))
	if err != nil {
		return reply{}, fmt.Errorf("make request: %w", err)
	}
	request.URL, request.Host = c.at(call.segments), c.host
	if call.body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	if call.signed {
		if err := c.sign(ctx, request, call.body); err != nil {
			return reply{}, err
		}
	}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return reply{}, fmt.Errorf("send request: %w", err)
	}
	defer response.Body.Close()
	r := reply{status: response.StatusCode, region: response.Header.Get("X-Region"), header: response.Header}
	if r.body, err = io.ReadAll(io.LimitReader(response.Body, maxAnswerBytes)); err != nil {
		return r, fmt.Errorf("read answer: %w", err)
	}
	if r.region == "" {
		var said struct {
			Region string `json:"region"`
		}
		if json.Unmarshal(r.body, &said) == nil { // an answer that has no body of the contract names no Region
			r.region = said.Region
		}
	}
	return r, nil
}

// at is the URL of a path below the API's. Its segments are encoded to the unreserved characters alone: what a signature is
// over does not depend on a server's idea of the others then.
func (c *Client) at(segments []string) *url.URL {
	u := *c.url
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

func (c *Client) sign(ctx context.Context, request *http.Request, body []byte) error {
	if c.credentials == nil {
		return fmt.Errorf("%w: there are no credentials", ErrUnsigned)
	}
	who, err := c.credentials.Retrieve(ctx)
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("get credentials: %w", ctx.Err())
	case err != nil:
		return fmt.Errorf("%w: get credentials: %w", ErrUnsigned, err)
	case !who.HasKeys():
		return fmt.Errorf("%w: the credentials are empty", ErrUnsigned)
	}
	digest := sha256.Sum256(body)
	err = c.signer.SignRequest(&sigv4a.SignRequestInput{
		Request: request, PayloadHash: digest[:], Service: service, RegionSet: []string{anyRegion}, Time: c.now(),
		Credentials: credentials.Credentials{AccessKeyID: who.AccessKeyID, SecretAccessKey: who.SecretAccessKey, SessionToken: who.SessionToken},
	})
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnsigned, err)
	}
	return nil
}
