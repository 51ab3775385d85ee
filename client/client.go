package client

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/smithy-go/aws-http-auth/sigv4a"
	smithytime "github.com/aws/smithy-go/time"
)

const (
	defaultMaxAttempts = 5
	// DefaultAttemptTimeout outlasts the API, which gives up on its table after 5 s and answers 503.
	DefaultAttemptTimeout = 6 * time.Second
	// DefaultFailoverTimeout leaves a request that moves to the other Region 3 s for its answer, of the 5 s that the slowest request
	// may take when a Region is lost. It is longer than a cold start of the API's function.
	DefaultFailoverTimeout = 2 * time.Second
	// DefaultAvoidFor is between two looks at a failed Region. Each look may cost one request 2 s.
	DefaultAvoidFor = 20 * time.Second
	// defaultRetryTokens are ten retries. Without a limit, clients that each send five times turn an outage into five times the
	// load, which can keep a Region from recovering.
	defaultRetryTokens = 10
	// DefaultConnectionAge bounds how long a busy client stays with a Region after the public name has moved. net/http looks a
	// name up only for a new connection (golang/go#23427), and HTTP/2 keeps one connection for as long as there is traffic.
	// API Gateway cannot close it for us: it remaps the Connection header of an integration's response ("Amazon API Gateway
	// important notes", Amazon API Gateway Developer Guide).
	DefaultConnectionAge = 10 * time.Second
)

// Region is a Region's own API.
type Region struct {
	// Name is the Region's, as the API's X-Region header has it: us-east-1.
	Name string
	// Host leads to the Region's API, whatever the public name leads to: us-east-1.region.api.<zone>. It may have a port. The Host
	// header and the name in TLS remain those of Config.URL.
	Host string
}

// Config says where the API is and who calls it. Only URL is required; zero values are the defaults.
type Config struct {
	// URL is the API's by its public name: https://api.<zone>. Plain http is allowed only on the loopback interface.
	URL string
	// Regions are the API's Regions, between which the client fails over. Without them, it knows only the public name.
	Regions []Region
	// DialHost, if given, is the only host that the client connects to, with or without a port. The Host header and the name in TLS
	// remain those of URL. It reaches one Region and excludes Regions.
	DialHost string
	// Credentials sign the requests. Only Health needs none.
	Credentials aws.CredentialsProvider
	// Transport is cloned for the client's connections. The client sets its name in TLS, and gives up connecting after 1.5 s. Nil: a
	// transport with the proxies of the environment.
	Transport *http.Transport
	// Logger gets a warning when a Region begins to be avoided and when the clock is corrected. It gets no ids and no amounts. Nil:
	// nothing is logged.
	Logger *slog.Logger

	// MaxAttempts is how often a request is sent at most; 0 is 5.
	MaxAttempts int
	// AttemptTimeout is how long an attempt may take, connecting included; 0 is 6 s.
	AttemptTimeout time.Duration
	// FailoverTimeout is the same for an attempt that the other Region can take over; 0 is 2 s.
	FailoverTimeout time.Duration
	// AvoidFor is about how long a Region that failed gets no request: between half and one and a half of it. 0 is 20 s.
	AvoidFor time.Duration
	// RetryTokens is how many retries may follow each other without a success; see the package's comment. 0 is 10.
	RetryTokens int
	// HedgeAfter is how long a request may wait before it is also sent to the other Region; see the package's comment. 0: never.
	HedgeAfter time.Duration
	// ConnectionAge is how long new requests use a connection before the client looks the name up and connects again; 0 is
	// 10 s. A request under way ends on its connection.
	ConnectionAge time.Duration

	// Attempted, if given, is called after each attempt, concurrently with other requests' attempts.
	Attempted func(Attempt)
	// Wait, if given, waits between attempts in place of a timer, for tests. It returns the context's error if that is done first.
	Wait func(context.Context, time.Duration) error
}

// Attempt is one sending of a request.
type Attempt struct {
	Began, Ended time.Time
	// Host is where it was sent.
	Host string
	// Status is the answer's; 0 if there was none.
	Status int
	// Region is where the answer came from; empty if the answer does not say, or there was none.
	Region string
	// Settled tells that the answer is as the contract says: the payment is accepted, or was read.
	Settled bool
	// Err is why there was no answer, or none as the contract says.
	Err error
}

// Client is a client of one API. It may be used concurrently, and starts no goroutine that outlasts its requests, except those of
// open connections (see CloseIdleConnections).
type Client struct {
	host        string // the public name
	credentials aws.CredentialsProvider
	signer      *sigv4a.Signer
	transport   *http.Transport // the template
	logger      *slog.Logger
	maxAttempts int
	timeout     time.Duration
	failover    time.Duration
	avoidFor    time.Duration
	hedgeAfter  time.Duration
	age         time.Duration
	attempted   func(Attempt)
	ways        []*way // the public name first
	clockOff    atomic.Int64

	mu     sync.Mutex // guards what follows, and the ways' own state
	random *rand.Rand
	// mostTokens and tokens are in parts of a token.
	mostTokens, tokens int

	now  func() time.Time
	wait func(context.Context, time.Duration) error
}

// New makes a client and connects to nothing. Its error names the field that is wrong, and what is allowed.
func New(config Config) (*Client, error) {
	for field, value := range map[string]time.Duration{
		"MaxAttempts": time.Duration(config.MaxAttempts), "RetryTokens": time.Duration(config.RetryTokens),
		"AttemptTimeout": config.AttemptTimeout, "FailoverTimeout": config.FailoverTimeout, "AvoidFor": config.AvoidFor,
		"HedgeAfter": config.HedgeAfter, "ConnectionAge": config.ConnectionAge,
	} {
		if value < 0 {
			return nil, fmt.Errorf("make payment client: %s is negative; allowed is 0 or more", field)
		}
	}
	u, err := url.Parse(config.URL)
	if err != nil || u.Host == "" || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || u.User != nil || (u.Scheme != "https" && !isLoopback(u)) {
		return nil, fmt.Errorf("make payment client: URL is %q; allowed is https:// with a host and, if any, a path", config.URL)
	}
	if len(config.Regions) > 0 && config.DialHost != "" {
		return nil, fmt.Errorf("make payment client: there are DialHost and Regions; allowed is one of them")
	}
	u.Path = strings.TrimSuffix(u.Path, "/")
	tokens := cmp.Or(config.RetryTokens, defaultRetryTokens) * tokenParts
	c := &Client{
		host: u.Host, credentials: config.Credentials, signer: sigv4a.New(), transport: config.Transport,
		logger:      cmp.Or(config.Logger, slog.New(slog.DiscardHandler)),
		maxAttempts: cmp.Or(config.MaxAttempts, defaultMaxAttempts), timeout: cmp.Or(config.AttemptTimeout, DefaultAttemptTimeout),
		failover: cmp.Or(config.FailoverTimeout, DefaultFailoverTimeout), avoidFor: cmp.Or(config.AvoidFor, DefaultAvoidFor),
		hedgeAfter: config.HedgeAfter, age: cmp.Or(config.ConnectionAge, DefaultConnectionAge), mostTokens: tokens, tokens: tokens,
		random: rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())), now: time.Now, wait: smithytime.SleepWithContext,
		attempted: func(Attempt) {},
	}
	if c.transport == nil {
		c.transport = &http.Transport{Proxy: http.ProxyFromEnvironment}
	}
	if config.Wait != nil {
		c.wait = config.Wait
	}
	if config.Attempted != nil {
		c.attempted = config.Attempted
	}
	regions := []Region{{"", cmp.Or(config.DialHost, u.Host)}}
	for _, region := range append(regions, config.Regions...) {
		at := *u
		if at.Host, err = withPort(region.Host, u.Port()); err != nil {
			return nil, err
		}
		if len(c.ways) > 0 && region.Name == "" {
			return nil, fmt.Errorf("make payment client: the Region at %q has no Name; allowed is one such as us-east-1", region.Host)
		}
		w := &way{url: &at, region: region.Name}
		w.connections.Store(c.connect())
		c.ways = append(c.ways, w)
	}
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
		return "", fmt.Errorf("make payment client: a host is %q; allowed is a host, with or without a port", host)
	}
	if parsed.Port() != "" || port == "" {
		return host, nil
	}
	return net.JoinHostPort(parsed.Hostname(), port), nil
}

// Identity is what makes two requests the same payment. Each id has 1 to 255 of the characters A-Z, a-z, 0-9, _ and -. Payments
// of earlier releases may have others, and can be read.
type Identity struct {
	SessionID, TransactionID string
}

// Request is a payment to be accepted.
type Request struct {
	Identity
	// Amount is a positive decimal number with at most 12 digits before the point and no more decimals than the currency has: 12.30.
	Amount string
	// Currency is a code of ISO 4217; empty: USD.
	Currency string
}

// Payment is an accepted payment.
type Payment struct {
	Identity
	// Amount is exact, with the decimals of its currency.
	Amount, Currency string
	// Region is where it was accepted, AcceptedAt when, to the microsecond.
	Region     string
	AcceptedAt time.Time
	// Status is "processed".
	Status string
}

// Answer is how a request was answered.
type Answer struct {
	// Status is the last answer's HTTP status; 0 if there was none.
	Status int
	// Region is where the last answer came from; empty if there was none, or none of the API's.
	Region string
	// Attempts is how often the request was sent, hedges included.
	Attempts int
	// Latency is the time from the first attempt's begin to the last one's end, pauses included.
	Latency time.Duration
}

// Acceptance is the answer to an accepted payment.
type Acceptance struct {
	Answer
	// AcceptedIn is the Region that accepted the payment.
	AcceptedIn string
	// Replayed tells that it was accepted before: by an earlier request, or by an attempt of this one whose answer was lost.
	Replayed bool
}

// Reading is a payment as the API has it.
type Reading struct {
	Answer
	Payment Payment
}

// RefusedError is an answer that the same request would get again: a status of 4xx other than 429, or one that is none of the
// API's. The payment was not accepted. After an attempt whose outcome is unknown, Pay returns an UnavailableError instead.
type RefusedError struct {
	Answer
	// Message is what the API says, for people.
	Message string
}

func (e *RefusedError) Error() string {
	return fmt.Sprintf("refused with status %d by %s: %s", e.Status, orUnknown(e.Region), e.Message)
}

// UnavailableError means that the outcome of a request is unknown: no attempt settled it, and there was no time, no attempt or no
// token left, or a later attempt was refused or could not be signed. The payment may have been accepted. Send it again with
// the same identity to find out.
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

// Unwrap returns Err.
func (e *UnavailableError) Unwrap() error { return e.Err }

func orUnknown(region string) string { return cmp.Or(region, "an unknown Region") }

var (
	// ErrUnsigned is the error of a request for which there are no credentials. The attempt that it ended was not sent. If an earlier
	// attempt of the same payment may have been accepted, an UnavailableError wraps it.
	ErrUnsigned = errors.New("request cannot be signed")
	// ErrNoIdentity is the error of a payment without a session id or a transaction id. It was not sent: the API would make an
	// identity, and a retry would be another payment.
	ErrNoIdentity = errors.New("payment has no identity: SessionID and TransactionID are both needed")
)

// Pay sends a payment until it is accepted or refused. The error is a *RefusedError, an *UnavailableError, ErrUnsigned or
// ErrNoIdentity.
func (c *Client) Pay(ctx context.Context, request Request) (Acceptance, error) {
	var accepted Acceptance
	if request.SessionID == "" || request.TransactionID == "" {
		return accepted, ErrNoIdentity
	}
	fields := map[string]string{
		fieldSessionID: request.SessionID, fieldTransactionID: request.TransactionID, fieldAmount: request.Amount,
		fieldCurrency: cmp.Or(request.Currency, "USD"),
	}
	body, err := json.Marshal(fields)
	if err != nil {
		return accepted, fmt.Errorf("write payment: %w", err) // not of strings
	}
	sent, readable := new(big.Rat).SetString(request.Amount)
	accepted.Answer, err = c.send(ctx, call{method: http.MethodPost, segments: []string{"payments"}, body: body, signed: true}, func(r reply) error {
		p, err := r.payment(request.Identity)
		if err != nil {
			return err
		}
		if amount, ok := new(big.Rat).SetString(p[fieldAmount]); !ok || !readable || amount.Cmp(sent) != 0 || p[fieldCurrency] != fields[fieldCurrency] {
			return errors.New("the answer is about another amount")
		}
		accepted.AcceptedIn, accepted.Replayed = p[fieldRegion], r.header.Get("Idempotent-Replayed") == "true"
		return nil
	})
	return accepted, err
}

// Get reads a payment. The error of one that is not there is a *RefusedError of status 404; the other errors are Pay's.
func (c *Client) Get(ctx context.Context, id Identity) (Reading, error) {
	var reading Reading
	if id.SessionID == "" || id.TransactionID == "" {
		return reading, ErrNoIdentity
	}
	var err error
	reading.Answer, err = c.send(ctx, call{method: http.MethodGet, segments: []string{"payments", id.SessionID, id.TransactionID}, signed: true}, func(r reply) error {
		p, err := r.payment(id)
		if err != nil {
			return err
		}
		at, err := time.Parse(time.RFC3339Nano, p[fieldTimestamp])
		if err != nil {
			return fmt.Errorf("read the answer's timestamp: %w", err)
		}
		reading.Payment = Payment{Identity: id, Amount: p[fieldAmount], Currency: p[fieldCurrency], Region: p[fieldRegion], AcceptedAt: at, Status: p[fieldStatus]}
		return nil
	})
	return reading, err
}

// Health asks whether a Region accepts payments. The error is a *RefusedError or an *UnavailableError.
func (c *Client) Health(ctx context.Context) (Answer, error) {
	return c.send(ctx, call{method: http.MethodGet, segments: []string{"health"}}, func(reply) error { return nil })
}
