package canary

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/google/uuid"

	"payments-dr/client"
	"payments-dr/internal/payment"
)

const here, there = "us-east-1", "us-west-2"

// fake is an API of functions; one that is nil must not be called.
type fake struct {
	pay    func(context.Context, client.Request) (client.Acceptance, error)
	get    func(context.Context, client.Identity) (client.Reading, error)
	health func(context.Context) (client.Answer, error)
	mu     sync.Mutex
	closed int
}

func (f *fake) Pay(ctx context.Context, r client.Request) (client.Acceptance, error) {
	return f.pay(ctx, r)
}
func (f *fake) Get(ctx context.Context, id client.Identity) (client.Reading, error) {
	return f.get(ctx, id)
}
func (f *fake) Health(ctx context.Context) (client.Answer, error) { return f.health(ctx) }
func (f *fake) CloseIdleConnections() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed++
}

func newFake(region string, attempts int) *fake {
	answer := client.Answer{Status: 200, Region: region, Attempts: attempts, Latency: 12345 * time.Microsecond}
	f := &fake{}
	stored := map[client.Identity]client.Payment{}
	f.pay = func(_ context.Context, r client.Request) (client.Acceptance, error) {
		stored[r.Identity] = client.Payment{Identity: r.Identity, Amount: r.Amount, Currency: r.Currency, Region: region}
		return client.Acceptance{Answer: answer, AcceptedIn: region}, nil
	}
	f.get = func(_ context.Context, id client.Identity) (client.Reading, error) {
		return client.Reading{Answer: answer, Payment: stored[id]}, nil
	}
	f.health = func(context.Context) (client.Answer, error) { return answer, nil }
	return f
}

func newCanary(public, other *fake) *Canary {
	return &Canary{region: here, otherRegion: there, public: public, other: other, wait: func(ctx context.Context, _ time.Duration) error { return ctx.Err() }}
}

func mustRun(t *testing.T, c *Canary) Report {
	t.Helper()
	report, err := c.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return report
}

func TestAPaymentOfATestsMoneyUnderAFreshIdentity(t *testing.T) {
	public := newFake(there, 2)
	seen, pay := map[string]bool{}, public.pay
	public.pay = func(ctx context.Context, r client.Request) (client.Acceptance, error) {
		if r.SessionID != "canary-us-east-1" || r.Amount != "0.01" || r.Currency != payment.TestCurrency {
			t.Errorf("pays %+v", r)
		}
		if id, err := uuid.Parse(r.TransactionID); err != nil || id.Version() != 7 || seen[r.TransactionID] {
			t.Errorf("transaction %q, %v, seen %v", r.TransactionID, err, seen[r.TransactionID])
		}
		seen[r.TransactionID] = true
		return pay(ctx, r)
	}
	other := newFake(there, 1)
	c := newCanary(public, other)
	for range 3 {
		report := mustRun(t, c)
		paid := report.Payment
		if !paid.Succeeded || paid.Fault != "" || paid.AnsweredBy != there || paid.Attempts != 2 || paid.LatencyMilliseconds != 12.345 || !seen[paid.TransactionID] {
			t.Errorf("%+v", paid)
		}
		if report.OtherRegion.Unreachable || len(report.OtherRegion.Faults) != 0 || report.OtherRegion.Region != there {
			t.Errorf("%+v", report.OtherRegion)
		}
	}
	if len(seen) != 3 || public.closed != 3 || other.closed < 9 {
		t.Errorf("%d payments; connections left %d and %d times, want after each run and each probe", len(seen), public.closed, other.closed)
	}
}

func TestAPaymentThatFailsIsAFinding(t *testing.T) {
	refused := &client.RefusedError{Answer: client.Answer{Status: 403, Region: here, Attempts: 1}, Message: "not authorized"}
	unavailable := &client.UnavailableError{Answer: client.Answer{Attempts: 5}, Err: context.DeadlineExceeded}
	notFound := &client.RefusedError{Answer: client.Answer{Status: 404, Region: here, Attempts: 1}, Message: "no such payment"}
	for name, tt := range map[string]struct {
		change     func(*fake)
		fault      string
		answeredBy string
		attempts   int
	}{
		"refused": {func(f *fake) {
			f.pay = func(context.Context, client.Request) (client.Acceptance, error) {
				return client.Acceptance{Answer: refused.Answer}, refused
			}
		}, "pay: refused with status 403 by us-east-1: not authorized", here, 1},
		"unavailable": {func(f *fake) {
			f.pay = func(context.Context, client.Request) (client.Acceptance, error) {
				return client.Acceptance{Answer: unavailable.Answer}, unavailable
			}
		}, "pay: unavailable after 5 attempts", "", 5},
		"not there": {func(f *fake) {
			f.get = func(context.Context, client.Identity) (client.Reading, error) {
				return client.Reading{Answer: notFound.Answer}, notFound
			}
		}, "read payment back: refused with status 404 by us-east-1: no such payment", here, 1},
		"another amount": {func(f *fake) {
			get := f.get
			f.get = func(ctx context.Context, id client.Identity) (client.Reading, error) {
				reading, err := get(ctx, id)
				reading.Payment.Amount = "0.02"
				return reading, err
			}
		}, "read payment back: it is of 0.02 XTS", here, 1},
		"accepted elsewhere": {func(f *fake) {
			get := f.get
			f.get = func(ctx context.Context, id client.Identity) (client.Reading, error) {
				reading, err := get(ctx, id)
				reading.Payment.Region = there
				return reading, err
			}
		}, "was accepted in us-west-2, after 0.01 XTS in us-east-1", here, 1},
	} {
		t.Run(name, func(t *testing.T) {
			public := newFake(here, 1)
			tt.change(public)
			paid := mustRun(t, newCanary(public, newFake(there, 1))).Payment
			if paid.Succeeded || !strings.Contains(paid.Fault, tt.fault) || paid.AnsweredBy != tt.answeredBy || paid.Attempts != tt.attempts {
				t.Errorf("%+v, want in its fault %q", paid, tt.fault)
			}
		})
	}
}

func TestTwoOfThreeProbesMakeARegionUnreachable(t *testing.T) {
	lost := &client.UnavailableError{Answer: client.Answer{Attempts: 1}, Err: errors.New("no route")}
	astray := client.Answer{Status: 200, Region: here, Attempts: 1}
	for _, tt := range []struct {
		probes      string // + is sound, - lost, ? answered by another Region
		unreachable bool
	}{
		{"+++", false}, {"-++", false}, {"+-+", false}, {"++-", false}, {"--+", true}, {"-+-", true}, {"+--", true}, {"---", true},
		{"?++", false}, {"?+-", true}, {"???", true},
	} {
		other := newFake(there, 1)
		sound, n := other.health, 0
		other.health = func(ctx context.Context) (client.Answer, error) {
			n++
			switch tt.probes[n-1] {
			case '-':
				return lost.Answer, lost
			case '?':
				return astray, nil
			}
			return sound(ctx)
		}
		reach := mustRun(t, newCanary(newFake(here, 1), other)).OtherRegion
		if reach.Unreachable != tt.unreachable || n != 3 || len(reach.Faults) != strings.Count(tt.probes, "-")+strings.Count(tt.probes, "?") {
			t.Errorf("%s: %+v after %d probes", tt.probes, reach, n)
		}
		for _, fault := range reach.Faults {
			if !strings.Contains(fault, "no route") && !strings.Contains(fault, `answered by "us-east-1"`) {
				t.Errorf("%s: %s", tt.probes, fault)
			}
		}
	}
}

func TestProbesAreApart(t *testing.T) {
	c := newCanary(newFake(here, 1), newFake(there, 1))
	var pauses []time.Duration
	c.wait = func(_ context.Context, d time.Duration) error { pauses = append(pauses, d); return nil }
	mustRun(t, c)
	if fmt.Sprint(pauses) != "[1s 1s]" {
		t.Errorf("pauses %v", pauses)
	}
	if whole := Probes*probeTimeout + (Probes-1)*probeDistance; whole >= Timeout || payTimeout+readTimeout >= Timeout {
		t.Errorf("the probes may take %v and the payment %v, a run %v", whole, payTimeout+readTimeout, Timeout)
	}
}

// TestBothHalvesRunAtOnce has each half wait for the other.
func TestBothHalvesRunAtOnce(t *testing.T) {
	public, other := newFake(here, 1), newFake(there, 1)
	paying, probing := make(chan bool), make(chan bool)
	pay, health := public.pay, other.health
	var once sync.Once
	public.pay = func(ctx context.Context, r client.Request) (client.Acceptance, error) {
		close(paying)
		<-probing
		return pay(ctx, r)
	}
	other.health = func(ctx context.Context) (client.Answer, error) {
		once.Do(func() { close(probing) })
		<-paying
		return health(ctx)
	}
	if report := mustRun(t, newCanary(public, other)); !report.Payment.Succeeded || report.OtherRegion.Unreachable {
		t.Errorf("%+v", report)
	}
}

func TestEachRequestHasItsOwnDeadline(t *testing.T) {
	for name, deadline := range map[string]func(*fake, *fake, func(context.Context)){
		"pay": func(public, _ *fake, look func(context.Context)) {
			pay := public.pay
			public.pay = func(ctx context.Context, r client.Request) (client.Acceptance, error) {
				look(ctx)
				return pay(ctx, r)
			}
		},
		"read": func(public, _ *fake, look func(context.Context)) {
			get := public.get
			public.get = func(ctx context.Context, id client.Identity) (client.Reading, error) {
				look(ctx)
				return get(ctx, id)
			}
		},
	} {
		public, other := newFake(here, 1), newFake(there, 1)
		limit := map[string]time.Duration{"pay": payTimeout, "read": readTimeout}[name]
		deadline(public, other, func(ctx context.Context) {
			if at, ok := ctx.Deadline(); !ok || time.Until(at) > limit || time.Until(at) < limit/2 {
				t.Errorf("%s: %v left, want %v", name, time.Until(at), limit)
			}
		})
		mustRun(t, newCanary(public, other))
	}
}

func TestWhatIsTheCanarysOwnIsAnError(t *testing.T) {
	public := newFake(here, 1)
	public.pay = func(context.Context, client.Request) (client.Acceptance, error) {
		return client.Acceptance{}, fmt.Errorf("%w: no role", client.ErrUnsigned)
	}
	report, err := newCanary(public, newFake(there, 1)).Run(t.Context())
	if !errors.Is(err, client.ErrUnsigned) || report.Payment.Fault != "" || report.OtherRegion.Unreachable {
		t.Errorf("%+v, %v", report, err)
	}

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := newCanary(newFake(here, 1), newFake(there, 1)).Run(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("cut off: %v", err)
	}
	for _, config := range []Config{{APIName: "", OtherAPIName: "x"}, {APIName: "a b", OtherAPIName: "x"}, {APIName: "api.example.com", OtherAPIName: "a/b"}} {
		if _, err := New(config); err == nil || !strings.HasPrefix(err.Error(), "make canary: ") {
			t.Errorf("%+v: %v", config, err)
		}
	}
}

// The limit is over all runs: an API that fails for longer gets one request a run.
func TestRetriesAreLimitedOverAllRuns(t *testing.T) {
	t.Parallel() // real pauses between attempts
	var payments atomic.Int64
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			payments.Add(1)
		}
		http.Error(w, `{"error":"internal error","region":"us-east-1"}`, http.StatusInternalServerError)
	}))
	defer server.Close()
	authorities := x509.NewCertPool()
	authorities.AddCert(server.Certificate())
	address := server.Listener.Addr().String()
	c, err := New(Config{APIName: address, Region: here, OtherRegion: there, OtherAPIName: address,
		Credentials: credentials.NewStaticCredentialsProvider("AKID", "secret", ""), Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: authorities}}})
	if err != nil {
		t.Fatal(err)
	}
	c.wait = func(ctx context.Context, _ time.Duration) error { return ctx.Err() }
	for i, want := range []int{5, 5, 3, 1} {
		paid := mustRun(t, c).Payment
		if paid.Succeeded || paid.Attempts != want || !strings.Contains(paid.Fault, "status 500") {
			t.Errorf("run %d: %+v, want %d attempts", i, paid, want)
		}
	}
	if got := payments.Load(); got != 14 {
		t.Errorf("four runs sent %d payments, want 14", got)
	}
}
