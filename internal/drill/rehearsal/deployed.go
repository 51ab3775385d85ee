package rehearsal

import (
	"context"
	"crypto/x509"
	"database/sql"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"payments-dr/internal/drill"
	"payments-dr/internal/payment/reconcile"
	"payments-dr/internal/settings"
)

// Deployed is the platform of an assembly, running on this machine as if it were deployed: for the operator's tool, which asks it
// as it asks AWS. Nothing goes wrong in it by itself.
type Deployed struct {
	r        *rehearsal
	services *services
	stop     context.CancelFunc
	running  sync.WaitGroup
}

// clientKeys are whose requests the simulated APIs take. They are of no account.
var clientKeys = aws.Credentials{AccessKeyID: "AKIAREHEARSAL0000000", SecretAccessKey: "simulated"}

// Deploy starts the platform. Of the configuration it takes what says how it runs: what says what goes wrong, how much is paid and
// what is measured is for Rehearse alone.
func Deploy(ctx context.Context, config Config) (*Deployed, error) {
	config.Recorder, config.Clients = &drill.Recorder{}, 0 // whoever operates it observes for themselves
	r := newRehearsal(config)
	ctx, stop := context.WithCancel(ctx)
	d := &Deployed{r: r, stop: stop}
	if err := r.start(ctx); err != nil {
		d.Close()
		return nil, fmt.Errorf("start the platform: %w", err)
	}
	d.services = newServices(ctx, r)
	d.running.Go(func() { r.name.Run(ctx) })
	if err := r.name.Unhealthy(); err != nil {
		d.Close()
		return nil, err
	}
	return d, nil
}

// ReconcileSettle is how long before now, by the machine's clock, a reconciliation's window ends at the latest.
func (d *Deployed) ReconcileSettle() time.Duration {
	return wholeSeconds(d.r.clock.Real(reconcile.Settle))
}

// Close ends everything.
func (d *Deployed) Close() {
	d.stop()
	d.running.Wait()
	if d.services != nil {
		d.services.running.Wait()
	}
	d.r.close()
}

// Clock is the simulated time. What AWS tells is by it; what functions and databases note is by the machine's.
func (d *Deployed) Clock() Clock { return d.r.clock }

// Trust is whom the APIs' certificates are of.
func (d *Deployed) Trust() *x509.CertPool { return d.r.platform.Trust() }

// Answer is where the public name leads, and how long that may be kept.
func (d *Deployed) Answer() (region string, ttl time.Duration, err error) { return d.r.name.Answer() }

// Address is where a Region's API listens.
func (d *Deployed) Address(region string) string { return d.r.apiAddress(region) }

// Dial connects to the API by its names: the public one, and each Region's own.
func (d *Deployed) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	own := slices.IndexFunc(d.r.settings.Both(), func(r settings.Region) bool { return d.r.settings.RegionalAPIName(r) == host })
	var region string
	switch {
	case own >= 0:
		region = d.r.settings.Both()[own].Name
	case host == d.r.settings.APIName():
		if region, _, err = d.Answer(); err != nil {
			return nil, err
		}
	default:
		return nil, fmt.Errorf("the name %s is not simulated", host)
	}
	return (&net.Dialer{}).DialContext(ctx, network, d.Address(region))
}

// Ledger opens a Region's ledger.
func (d *Deployed) Ledger(_ context.Context, region string) (*sql.DB, error) {
	return d.r.database.Open(region)
}

// Config is the configuration of AWS's clients that ask this platform: requests and answers are as on the wire, and go nowhere.
func (d *Deployed) Config() aws.Config {
	return aws.Config{
		Region:      d.r.here,
		Credentials: credentials.NewStaticCredentialsProvider(clientKeys.AccessKeyID, clientKeys.SecretAccessKey, ""),
		HTTPClient:  &http.Client{Transport: d.services},
	}
}

// RoundTrip implements http.RoundTripper.
func (s *services) RoundTrip(request *http.Request) (*http.Response, error) {
	name, region, ok := serviceOf(request.URL.Hostname())
	if !ok || !slices.Contains([]string{s.r.here, s.r.there}, region) {
		return nil, fmt.Errorf("the name %s is not simulated", request.URL.Hostname())
	}
	served := request.Clone(request.Context())
	served.Host, served.RequestURI = request.URL.Host, request.URL.RequestURI()
	if served.Body == nil {
		served.Body = http.NoBody
	}
	answer := httptest.NewRecorder()
	s.serve(answer, served, name, region)
	if err := request.Context().Err(); err != nil {
		return nil, err
	}
	response := answer.Result()
	response.Request = request
	return response, nil
}

// serviceOf is what a host of AWS's is called, and where it is: ssm.us-east-1.amazonaws.com.
func serviceOf(host string) (service, region string, ok bool) {
	parts := strings.Split(host, ".")
	if len(parts) < 4 || !strings.HasSuffix(host, ".amazonaws.com") && !strings.HasSuffix(host, ".api.aws") {
		return "", "", false
	}
	return parts[0], parts[1], true
}
