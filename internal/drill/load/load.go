// Package load is clients that pay at a set rate, whatever becomes of their payments: an open loop. The rehearsal on one machine
// and the drill against a deployed platform send the same load.
package load

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/bojanz/currency"

	"payments-dr/client"
	"payments-dr/internal/drill"
	"payments-dr/internal/payment"
	"payments-dr/internal/payment/public"
)

// The clients, as good clients are. Their times are the clock's.
const (
	// clientAttempts and AttemptTimeout are a client's patience with one answer, Patience that with a payment.
	clientAttempts = 8
	AttemptTimeout = client.DefaultAttemptTimeout
	// Patience is how long a client tries a payment, and so how long a load takes to end at the most.
	Patience = 30 * time.Second
	// mostUnderWay bounds the payments that wait for an answer. Over it the schedule is not kept, and the measure says so.
	mostUnderWay = 4_000
	// Sessions is how many sessions the payments are spread over.
	Sessions = 97
)

// Clock is the time of a run: the machine's (Wall), or one that passes faster.
type Clock interface {
	Now() time.Time
	// At is the clock's time of a moment of the machine's.
	At(machine time.Time) time.Time
	// Real is how long a duration of the clock's takes on the machine.
	Real(time.Duration) time.Duration
	// Sleep waits, or returns the context's error if that is done first.
	Sleep(context.Context, time.Duration) error
}

// Config says who pays, where, and how often.
type Config struct {
	Clock Clock
	// Rate is payments a second of the clock, Clients how many clients they come from.
	Rate    float64
	Clients int
	// Regions, if given, are what every second client fails over between by itself. The others know only the public name.
	Regions []client.Region
	// Most is how many payments are sent at the most; 0: as many as there is time for.
	Most int
	// Seed is that of the amounts.
	Seed uint64
	// URL is the API's, by its public name.
	URL         string
	Credentials aws.CredentialsProvider
	// Trust is whom the API's certificate may be of; nil: the machine's authorities.
	Trust *x509.CertPool
	// Answer is where the public name leads and for how long that may be cached, Address where that Region's API is; Address is asked
	// for the Regions' own hosts, too. Nil: the machine looks names up.
	Answer  func() (region string, ttl time.Duration, err error)
	Address func(region string) string
	// SessionPrefix begins the payments' sessions; Session has them whole.
	SessionPrefix string
	// Currency is the payments'; empty: USD.
	Currency string
	Recorder *drill.Recorder
	// Attempted, if given, is told each attempt, too. It is called concurrently.
	Attempted func(drill.Attempt)
}

// Load is clients that pay.
type Load struct {
	config  Config
	clients []*payer
	running sync.WaitGroup
	slots   chan struct{}

	mu           sync.Mutex
	acknowledged []payment.Identity
	sent         int
}

// payer pays. Whenever its client makes a connection, it looks the public name up, and caches the answer for its time to live.
type payer struct {
	config   Config
	kind     drill.ClientKind
	payments *client.Client

	mu    sync.Mutex
	kept  string
	until time.Time
}

// New makes the clients. Nothing is sent yet.
func New(config Config) (*Load, error) {
	if config.Currency == "" {
		config.Currency = payment.DefaultCurrency
	}
	l := &Load{config: config, slots: make(chan struct{}, mostUnderWay)}
	for i := range config.Clients {
		c := &payer{config: config, kind: drill.ClientDNS}
		of := client.Config{
			URL: config.URL, Credentials: config.Credentials, Transport: transport(config, c.dial),
			MaxAttempts: clientAttempts,
			// The client's own times, by the clock.
			AttemptTimeout: config.Clock.Real(AttemptTimeout), FailoverTimeout: config.Clock.Real(client.DefaultFailoverTimeout),
			AvoidFor: config.Clock.Real(client.DefaultAvoidFor), ConnectionAge: config.Clock.Real(client.DefaultConnectionAge),
			Wait:      config.Clock.Sleep,
			Attempted: func(a client.Attempt) { l.attempted(c, a) },
		}
		if i%2 == 1 && len(config.Regions) > 0 {
			c.kind, of.Regions = drill.ClientFailover, config.Regions
		}
		var err error
		if c.payments, err = client.New(of); err != nil {
			return nil, err
		}
		l.clients = append(l.clients, c)
	}
	return l, nil
}

// transport leads the clients' connections where the public name leads; nil: the machine looks names up.
func transport(config Config, dial func(ctx context.Context, network, address string) (net.Conn, error)) *http.Transport {
	if config.Answer == nil && config.Trust == nil {
		return nil
	}
	t := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: config.Trust, MinVersion: tls.VersionTLS12}}
	if config.Answer != nil {
		t.DialContext = dial
	}
	return t
}

// Session is the session of a payment's number.
func Session(prefix string, number int) string { return prefix + strconv.Itoa(number%Sessions) }

// Acknowledged are the payments that were acknowledged until now.
func (l *Load) Acknowledged() []payment.Identity {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.acknowledged)
}

// Sent is how many payments were sent until now.
func (l *Load) Sent() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.sent
}

// dial connects to a Region's own host, or to where the client believes the public name to lead.
func (c *payer) dial(ctx context.Context, network, address string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	var region string
	if own := slices.IndexFunc(c.config.Regions, func(r client.Region) bool { return r.Host == host }); own >= 0 {
		region = c.config.Regions[own].Name
	} else if region, err = c.lookUp(); err != nil {
		return nil, err
	}
	return (&net.Dialer{}).DialContext(ctx, network, c.config.Address(region))
}

// lookUp is the client's cached answer, or a new one when its time to live is over.
func (c *payer) lookUp() (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.config.Clock.Now()
	if now.Before(c.until) {
		return c.kept, nil
	}
	region, ttl, err := c.config.Answer()
	if err != nil {
		return "", err
	}
	c.kept, c.until = region, now.Add(ttl)
	return region, nil
}

// Run pays until the context is done or all is sent, and then waits for what is under way.
func (l *Load) Run(ctx context.Context) {
	clock, recorder := l.config.Clock, l.config.Recorder
	_ = recorder.Sample(drill.Sample{At: clock.Now(), Metric: drill.MetricOfferedRate, Value: l.config.Rate})
	random := rand.New(rand.NewPCG(l.config.Seed, 1_000_000))
	interval := time.Duration(float64(time.Second) / l.config.Rate)
	began := clock.Now()
	for number := 0; ctx.Err() == nil && (l.config.Most == 0 || number < l.config.Most); number++ {
		due := began.Add(time.Duration(number) * interval)
		if clock.Sleep(ctx, due.Sub(clock.Now())) != nil {
			break
		}
		cents := 1 + random.IntN(99_999)
		select {
		case l.slots <- struct{}{}:
		default:
			continue // not sent: the offered rate says that it was due
		}
		l.mu.Lock()
		l.sent++
		l.mu.Unlock()
		l.running.Go(func() {
			defer func() { <-l.slots }()
			// What is under way at the end is waited for.
			l.pay(context.WithoutCancel(ctx), l.clients[number%len(l.clients)], number, cents, due)
		})
	}
	_ = recorder.Sample(drill.Sample{At: clock.Now(), Metric: drill.MetricOfferedRate, Value: 0})
	l.running.Wait()
	for _, c := range l.clients {
		c.payments.CloseIdleConnections()
	}
}

func (l *Load) pay(ctx context.Context, c *payer, number, cents int, due time.Time) {
	amount, err := currency.NewAmount(fmt.Sprintf("%d.%02d", cents/100, cents%100), l.config.Currency)
	if err != nil {
		panic(err) // digits
	}
	id := payment.Identity{SessionID: Session(l.config.SessionPrefix, number), TransactionID: "t-" + strconv.Itoa(number)}
	ctx, cancel := context.WithTimeout(ctx, l.config.Clock.Real(Patience))
	defer cancel()
	accepted, err := c.payments.Pay(ctx, public.Request(payment.Request{Identity: id, Amount: amount}))
	request := drill.Request{
		Identity: id, Amount: amount, SentAt: due, EndedAt: l.config.Clock.Now(), Outcome: drill.OutcomeAcknowledged, Client: c.kind,
		Region: accepted.Region, Attempts: accepted.Attempts, Replayed: accepted.Replayed,
	}
	if err != nil {
		request.Outcome, request.Reason = drill.OutcomeFailed, reason(accepted.Status, err)
		if refused, ok := errors.AsType[*client.RefusedError](err); ok {
			request.Outcome, request.Region, request.Attempts = drill.OutcomeRefused, refused.Region, refused.Attempts
		}
		if failed, ok := errors.AsType[*client.UnavailableError](err); ok {
			request.Region, request.Attempts = failed.Region, failed.Attempts
			request.Reason = reason(failed.Status, failed.Err)
		}
	}
	if request.Outcome == drill.OutcomeAcknowledged {
		l.mu.Lock()
		l.acknowledged = append(l.acknowledged, id)
		l.mu.Unlock()
	}
	_ = l.config.Recorder.Request(request) // what cannot be true is counted by the recorder
}

func (l *Load) attempted(c *payer, a client.Attempt) {
	attempt := drill.Attempt{SentAt: l.config.Clock.At(a.Began), EndedAt: l.config.Clock.At(a.Ended), Outcome: drill.OutcomeAcknowledged, Region: a.Region, Client: c.kind}
	if !a.Settled {
		attempt.Outcome, attempt.Reason = drill.OutcomeFailed, reason(a.Status, a.Err)
		if a.Err == nil && a.Status >= http.StatusBadRequest && a.Status < http.StatusInternalServerError && a.Status != http.StatusTooManyRequests {
			attempt.Outcome = drill.OutcomeRefused
		}
	}
	_ = l.config.Recorder.Attempt(attempt)
	if l.config.Attempted != nil {
		l.config.Attempted(attempt)
	}
}

// reason is why there was no acknowledgment, in few words that recur.
func reason(status int, err error) string {
	var network net.Error
	switch {
	case errors.Is(err, client.ErrUnsigned):
		return "not sent: no credentials"
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &network) && network.Timeout():
		return "no answer in time"
	case status != 0:
		return strconv.Itoa(status)
	case err != nil:
		return "connection broken"
	}
	return "no acknowledgment"
}
