// Package canary asks, from outside and as a client does, what no part of the platform can say of itself: whether a payment can
// be made through the public name, and whether the other Region answers.
package canary

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	smithytime "github.com/aws/smithy-go/time"
	"github.com/google/uuid"

	"payments-dr/client"
	"payments-dr/internal/payment"
)

const (
	// Timeout is what a run never exceeds: its two halves run beside each other, and each has less.
	Timeout = 20 * time.Second
	// payTimeout and readTimeout bound the two requests of a payment, each with its repetitions.
	payTimeout, readTimeout = 12 * time.Second, 6 * time.Second
	// Probes is how often a run asks for the other Region's health, FailedProbes how many of them have to fail for the Region
	// to be out of reach: one lost packet is no lost Region.
	Probes, FailedProbes = 3, 2
	// probeTimeout bounds one probe. A health checker of Route 53 gives up after 4 s to connect and 2 s to answer ("How Route
	// 53 determines whether a health check is healthy", Amazon Route 53 Developer Guide).
	probeTimeout = 4 * time.Second
	// probeDistance lies between two probes.
	probeDistance = time.Second
	// amountNumber is the smallest there is, in a currency that is no money.
	amountNumber = "0.01"
)

// Config says what a canary asks.
type Config struct {
	// APIName is the public name.
	APIName string
	// Region is where the canary runs.
	Region string
	// OtherRegion is the Region that it probes, OtherAPIName the name that leads there whatever the public name does.
	OtherRegion, OtherAPIName string
	// Credentials are whose payments these are.
	Credentials aws.CredentialsProvider
	// Transport is what connections are made of; nil: the client's own.
	Transport *http.Transport
}

// api is what a canary needs of a client of the payment API.
type api interface {
	Pay(context.Context, client.Request) (client.Acceptance, error)
	Get(context.Context, client.Identity) (client.Reading, error)
	Health(context.Context) (client.Answer, error)
	CloseIdleConnections()
}

// Canary is one Region's canary. One run at a time.
type Canary struct {
	region, otherRegion string
	// public asks the public name, other the other Region.
	public, other api
	wait          func(context.Context, time.Duration) error
}

// New makes a canary. It connects to nothing.
func New(config Config) (*Canary, error) {
	public, err := client.New(client.Config{URL: "https://" + config.APIName, Credentials: config.Credentials, Transport: config.Transport})
	if err != nil {
		return nil, fmt.Errorf("make canary: %w", err)
	}
	other, err := client.New(client.Config{
		URL: "https://" + config.APIName, DialHost: config.OtherAPIName, MaxAttempts: 1, AttemptTimeout: probeTimeout, Transport: config.Transport,
	})
	if err != nil {
		return nil, fmt.Errorf("make canary: %w", err)
	}
	return &Canary{region: config.Region, otherRegion: config.OtherRegion, public: public, other: other, wait: smithytime.SleepWithContext}, nil
}

// Report is what a run has found.
type Report struct {
	// Payment is how the test payment went.
	Payment Payment `json:"payment"`
	// OtherRegion is how the other Region answered.
	OtherRegion Reach `json:"otherRegion"`
}

// Payment is how a test payment went.
type Payment struct {
	SessionID     string `json:"session_id"`
	TransactionID string `json:"transaction_id"`
	// Succeeded tells that it was accepted, and read back as it was sent.
	Succeeded bool `json:"succeeded"`
	// Fault is why not.
	Fault string `json:"fault,omitempty"`
	// AnsweredBy is the Region that answered the payment last; empty if none did.
	AnsweredBy string `json:"answeredBy,omitempty"`
	// Attempts is how often it was sent, LatencyMilliseconds how long that took until it was accepted or given up.
	Attempts            int     `json:"attempts"`
	LatencyMilliseconds float64 `json:"latencyMs"`
}

// Reach is how a Region answered.
type Reach struct {
	Region string `json:"region"`
	// Unreachable tells that FailedProbes of the Probes or more have failed.
	Unreachable bool `json:"unreachable"`
	// Faults are why, one for each probe that failed.
	Faults []string `json:"faults,omitempty"`
}

// Run pays and probes, both at once. What goes wrong with either is in the report. The error says that the canary itself could
// not do its work: there are no credentials, or the context was done, or no identity can be made. It is no word about the API.
//
// No connection is kept from one run to the next: a client that comes from outside looks the name up. The client's limit of retries
// is: while the API fails for longer, a run sends its payment once, as a good client does.
func (c *Canary) Run(ctx context.Context) (Report, error) {
	defer c.public.CloseIdleConnections()
	defer c.other.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(ctx, Timeout)
	defer cancel()
	var report Report
	var err error
	var both sync.WaitGroup
	both.Go(func() { report.Payment, err = c.pay(ctx) })
	both.Go(func() { report.OtherRegion = c.probe(ctx) })
	both.Wait()
	if err == nil {
		err = ctx.Err() // a run that was cut off has seen half of everything
	}
	if err != nil {
		return report, fmt.Errorf("run canary: %w", err)
	}
	return report, nil
}

// SessionID is the session of a Region's test payments.
func SessionID(region string) string { return "canary-" + region }

// pay makes a test payment and reads it back.
func (c *Canary) pay(ctx context.Context) (Payment, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return Payment{}, fmt.Errorf("make transaction id: %w", err)
	}
	request := client.Request{
		Identity: client.Identity{SessionID: SessionID(c.region), TransactionID: id.String()}, Amount: amountNumber, Currency: payment.TestCurrency,
	}
	paid := Payment{SessionID: request.SessionID, TransactionID: request.TransactionID}

	payContext, cancel := context.WithTimeout(ctx, payTimeout)
	defer cancel()
	accepted, err := c.public.Pay(payContext, request)
	paid.AnsweredBy, paid.Attempts = accepted.Region, accepted.Attempts
	paid.LatencyMilliseconds = float64(accepted.Latency.Microseconds()) / 1000
	if err != nil {
		return paid.failed("pay", err)
	}
	readContext, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	reading, err := c.public.Get(readContext, request.Identity)
	if err != nil {
		return paid.failed("read payment back", err)
	}
	if read := reading.Payment; read.Amount != amountNumber || read.Currency != payment.TestCurrency || read.Region != accepted.AcceptedIn {
		return paid.failed("read payment back", fmt.Errorf("it is of %s %s and was accepted in %s, after %s %s in %s",
			read.Amount, read.Currency, read.Region, amountNumber, payment.TestCurrency, accepted.AcceptedIn))
	}
	paid.Succeeded = true
	return paid, nil
}

// failed is a payment with a fault. An error that is the canary's own and not the API's is returned.
func (p Payment) failed(doing string, err error) (Payment, error) {
	err = fmt.Errorf("%s: %w", doing, err)
	if errors.Is(err, client.ErrUnsigned) {
		return p, err
	}
	p.Fault = err.Error()
	return p, nil
}

// probe asks for the other Region's health.
func (c *Canary) probe(ctx context.Context) Reach {
	reach := Reach{Region: c.otherRegion}
	for i := range Probes {
		if i > 0 && c.wait(ctx, probeDistance) != nil {
			break // cut off; Run says so
		}
		answer, err := c.other.Health(ctx)
		if err == nil && answer.Region != c.otherRegion {
			err = fmt.Errorf("answered by %q", answer.Region) // the name leads astray
		}
		if err != nil {
			reach.Faults = append(reach.Faults, fmt.Sprintf("probe %d: %v", i+1, err))
		}
		c.other.CloseIdleConnections() // the next probe connects for itself
	}
	reach.Unreachable = len(reach.Faults) >= FailedProbes
	return reach
}
