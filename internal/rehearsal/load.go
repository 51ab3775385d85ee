package rehearsal

import (
	"context"
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

	"payments-dr/internal/drill"
	"payments-dr/internal/payment"
	"payments-dr/internal/paymentclient"
)

// The clients of a rehearsal, as good clients are. Their times are simulated ones.
const (
	// clientAttempts and clientAttemptTimeout are a client's patience with one answer, clientPatience that with a payment.
	clientAttempts       = 8
	clientAttemptTimeout = 6 * time.Second
	clientPatience       = 30 * time.Second
	// clientRetryTokens are what each client spends on attempts that fail: ten of them, and it sends each payment once until the
	// API answers again. Without them an outage has eight times the load, which keeps the Region that is left from taking it.
	clientRetryTokens = 20
	// mostUnderWay bounds the payments that wait for an answer. Over it the schedule is not kept, and the measure says so.
	mostUnderWay = 4_000
)

// load is clients that pay at a set rate, whatever becomes of their payments: an open loop.
type load struct {
	clock    Clock
	rate     float64 // payments a simulated second
	recorder *drill.Recorder
	clients  []*client
	running  sync.WaitGroup
	slots    chan struct{}
	seed     uint64

	mu           sync.Mutex
	acknowledged []payment.Identity
}

// known are the payments that were acknowledged until now.
func (l *load) known() []payment.Identity {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.acknowledged)
}

// client looks the public name up, keeps the answer for its time to live, and pays.
type client struct {
	clock    Clock
	answer   func() (region string, ttl time.Duration, err error)
	address  func(region string) string
	payments *paymentclient.Client

	mu    sync.Mutex
	kept  string
	until time.Time
}

type loadConfig struct {
	Clock       Clock
	Rate        float64
	Clients     int
	Seed        uint64
	URL         string
	Credentials aws.CredentialsProvider
	Trust       *x509.CertPool
	// Answer is where the public name leads, Address where that Region's API is.
	Answer   func() (region string, ttl time.Duration, err error)
	Address  func(region string) string
	Recorder *drill.Recorder
}

func newLoad(config loadConfig) (*load, error) {
	l := &load{
		clock: config.Clock, rate: config.Rate, recorder: config.Recorder, slots: make(chan struct{}, mostUnderWay), seed: config.Seed,
	}
	for i := range config.Clients {
		c := &client{clock: config.Clock, answer: config.Answer, address: config.Address}
		var err error
		c.payments, err = paymentclient.New(paymentclient.Config{
			URL: config.URL, Credentials: config.Credentials, RootCAs: config.Trust,
			MaxAttempts: clientAttempts, RetryTokens: clientRetryTokens, AttemptTimeout: config.Clock.Real(clientAttemptTimeout),
			Random:    rand.NewPCG(config.Seed, uint64(i)),
			Dial:      c.dial,
			Wait:      config.Clock.Sleep,
			Attempted: func(a paymentclient.Attempt) { l.attempted(a) },
		})
		if err != nil {
			return nil, err
		}
		l.clients = append(l.clients, c)
	}
	return l, nil
}

// dial connects to where the client believes the name to lead.
func (c *client) dial(ctx context.Context, network, _ string) (net.Conn, error) {
	region, _, err := c.lookUp()
	if err != nil {
		return nil, err
	}
	return (&net.Dialer{}).DialContext(ctx, network, c.address(region))
}

// lookUp is the client's own answer, or a new one when its time is over.
func (c *client) lookUp() (region string, moved bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.clock.Now()
	if now.Before(c.until) {
		return c.kept, false, nil
	}
	region, ttl, err := c.answer()
	if err != nil {
		return "", false, err
	}
	moved = c.kept != "" && c.kept != region
	c.kept, c.until = region, now.Add(ttl)
	return region, moved, nil
}

// run pays until the context is done, and then waits for what is under way.
func (l *load) run(ctx context.Context) {
	_ = l.recorder.Sample(drill.Sample{At: l.clock.Now(), Metric: drill.MetricOfferedRate, Value: l.rate})
	random := rand.New(rand.NewPCG(l.seed, 1_000_000))
	interval := time.Duration(float64(time.Second) / l.rate)
	began := l.clock.Now()
	for number := 0; ctx.Err() == nil; number++ {
		due := began.Add(time.Duration(number) * interval)
		if l.clock.Sleep(ctx, due.Sub(l.clock.Now())) != nil {
			break
		}
		cents := 1 + random.IntN(99_999)
		select {
		case l.slots <- struct{}{}:
		default:
			continue // not sent: the offered rate says that it was due
		}
		l.running.Go(func() {
			defer func() { <-l.slots }()
			// What is under way at the end is waited for.
			l.pay(context.WithoutCancel(ctx), l.clients[number%len(l.clients)], number, cents, due)
		})
	}
	_ = l.recorder.Sample(drill.Sample{At: l.clock.Now(), Metric: drill.MetricOfferedRate, Value: 0})
	l.running.Wait()
	for _, c := range l.clients {
		c.payments.CloseIdleConnections()
	}
}

func (l *load) pay(ctx context.Context, c *client, number, cents int, due time.Time) {
	amount, err := currency.NewAmount(fmt.Sprintf("%d.%02d", cents/100, cents%100), "USD")
	if err != nil {
		panic(err) // digits
	}
	id := payment.Identity{SessionID: "rehearsal-" + strconv.Itoa(number%97), TransactionID: "t-" + strconv.Itoa(number)}
	if _, moved, err := c.lookUp(); err == nil && moved {
		c.payments.CloseIdleConnections() // a good client does not stay where the name no longer leads
	}
	ctx, cancel := context.WithTimeout(ctx, l.clock.Real(clientPatience))
	defer cancel()
	accepted, err := c.payments.Pay(ctx, payment.Request{Identity: id, Amount: amount})
	request := drill.Request{
		Identity: id, Amount: amount, SentAt: due, EndedAt: l.clock.Now(), Outcome: drill.OutcomeAcknowledged,
		Region: accepted.Region, Attempts: accepted.Attempts, Replayed: accepted.Replayed,
	}
	if err != nil {
		request.Outcome, request.Reason = drill.OutcomeFailed, reason(accepted.Status, err)
		if refused, ok := errors.AsType[*paymentclient.RefusedError](err); ok {
			request.Outcome, request.Region, request.Attempts = drill.OutcomeRefused, refused.Region, refused.Attempts
		}
		if failed, ok := errors.AsType[*paymentclient.UnavailableError](err); ok {
			request.Region, request.Attempts = failed.Region, failed.Attempts
			request.Reason = reason(failed.Status, failed.Err)
		}
	}
	if request.Outcome == drill.OutcomeAcknowledged {
		l.mu.Lock()
		l.acknowledged = append(l.acknowledged, id)
		l.mu.Unlock()
	}
	_ = l.recorder.Request(request) // what cannot be true is counted by the recorder
}

func (l *load) attempted(a paymentclient.Attempt) {
	attempt := drill.Attempt{SentAt: l.clock.At(a.Began), EndedAt: l.clock.At(a.Ended), Outcome: drill.OutcomeAcknowledged, Region: a.Region}
	if !a.Settled {
		attempt.Outcome, attempt.Reason = drill.OutcomeFailed, reason(a.Status, a.Err)
		if a.Err == nil && a.Status >= http.StatusBadRequest && a.Status < http.StatusInternalServerError && a.Status != http.StatusTooManyRequests {
			attempt.Outcome = drill.OutcomeRefused
		}
	}
	_ = l.recorder.Attempt(attempt)
}

// reason is why there was no acknowledgment, in few words that recur.
func reason(status int, err error) string {
	var network net.Error
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &network) && network.Timeout():
		return "no answer in time"
	case status != 0:
		return strconv.Itoa(status)
	case err != nil:
		return "connection broken"
	}
	return "no acknowledgment"
}
