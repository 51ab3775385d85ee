package client

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awscredentials "github.com/aws/aws-sdk-go-v2/credentials"
	smithytime "github.com/aws/smithy-go/time"

	"payments-dr/internal/simulation"
)

const (
	publicName = "api.dev.payments.example.com"
	region     = "us-west-2"
	seed       = 20261122
)

var keys = aws.Credentials{AccessKeyID: "AKISIMULATED", SecretAccessKey: "simulated", SessionToken: "simulated"}

func provider(c aws.Credentials) aws.CredentialsProvider {
	return awscredentials.StaticCredentialsProvider{Value: c}
}

// stage is an API that answers as a test wants it to, and a client of it whose pauses take no time.
type stage struct {
	api    *simulation.TLSServer
	client *Client
	mu     sync.Mutex
	bodies []string
	signs  []string
	pauses []time.Duration
}

// newStage makes an API whose n-th request, from 0, is answered by the n-th answer, and each later one by the last.
func newStage(t *testing.T, config Config, answers ...http.HandlerFunc) *stage {
	t.Helper()
	s := &stage{}
	signatures := simulation.Signatures{Credentials: keys, Region: region}
	var err error
	s.api, err = simulation.StartTLS(publicName, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		w.Header().Set("X-Region", region)
		if _, err := signatures.Verify(r, body); err != nil && r.URL.Path != "/health" {
			says(403, fmt.Sprintf(`{"error":%q,"region":"us-west-2"}`, err))(w, r)
			return
		}
		s.mu.Lock()
		n := len(s.bodies)
		s.bodies, s.signs = append(s.bodies, string(body)), append(s.signs, r.Header.Get("Authorization"))
		s.mu.Unlock()
		answers[min(n, len(answers)-1)](w, r)
	}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.api.Close)
	config.URL, config.DialHost = "https://"+publicName, s.api.Address()
	if config.Transport == nil {
		config.Transport = &http.Transport{}
	}
	config.Transport.TLSClientConfig = &tls.Config{RootCAs: simulation.Trust(s.api)}
	if config.Credentials == nil {
		config.Credentials = provider(keys)
	}
	if s.client, err = New(config); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.client.CloseIdleConnections)
	s.client.random = rand.New(rand.NewPCG(seed, 1))
	s.client.wait = func(ctx context.Context, d time.Duration) error {
		s.pauses = append(s.pauses, d)
		return ctx.Err()
	}
	return s
}

func says(status int, body string, headers ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func hangsUp(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

// breaksOff begins an answer and hangs up: the payment has been taken, and nobody is told.
func breaksOff(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Length", "500")
	_, _ = io.WriteString(w, accepted[:20])
	_ = http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler)
}

const accepted = `{"message":"Payment processed","transaction_id":"t-1","amount":12.30,"currency":"EUR","region":"us-east-1","session_id":"s_1"}`

func request() Request {
	return Request{Identity: Identity{SessionID: "s_1", TransactionID: "t-1"}, Amount: "12.30", Currency: "EUR"}
}

func TestAPaymentIsSignedAndAccepted(t *testing.T) {
	s := newStage(t, Config{}, says(200, accepted), says(200, accepted, "Idempotent-Replayed", "true"))
	for i, replayed := range []bool{false, true} {
		got, err := s.client.Pay(t.Context(), request())
		if err != nil {
			t.Fatal(err) // the API refuses what is not signed as it should be
		}
		if got.Status != 200 || got.Region != region || got.AcceptedIn != "us-east-1" || got.Replayed != replayed || got.Attempts != 1 || got.Latency <= 0 {
			t.Errorf("%d: %+v", i, got)
		}
	}
	if want := `{"amount":"12.30","currency":"EUR","session_id":"s_1","transaction_id":"t-1"}`; s.bodies[0] != want || s.bodies[1] != want {
		t.Errorf("sent %q, want %s", s.bodies, want)
	}
	if s.api.Connections() != 1 {
		t.Errorf("%d connections for two payments", s.api.Connections())
	}
}

// TestAPaymentIsRead reads ids of earlier releases too.
func TestAPaymentIsRead(t *testing.T) {
	for _, id := range []string{"t", "a/b c", "支払い", "$&+=:@,;", "%2F", "a+b", "~-._", "?x=1#y", `"\`} {
		s := newStage(t, Config{}, func(w http.ResponseWriter, r *http.Request) {
			if r.Method != http.MethodGet || r.URL.Path != "/payments/s "+id+"/"+id {
				t.Errorf("%s %q", r.Method, r.URL.Path)
			}
			says(200, fmt.Sprintf(`{"transaction_id":%q,"amount":0.01,"currency":"XTS","region":"us-east-1","session_id":%q,"timestamp":"2026-11-22T03:04:05.678901Z","status":"processed"}`, id, "s "+id))(w, r)
		})
		got, err := s.client.Get(t.Context(), Identity{SessionID: "s " + id, TransactionID: id})
		if err != nil {
			t.Errorf("%q: %v", id, err)
			continue
		}
		want := Payment{
			Identity: Identity{"s " + id, id}, Amount: "0.01", Currency: "XTS", Region: "us-east-1",
			AcceptedAt: time.Date(2026, 11, 22, 3, 4, 5, 678901000, time.UTC), Status: "processed",
		}
		if got.Payment != want || got.Region != region {
			t.Errorf("%+v, want %+v", got, want)
		}
	}
}

func TestOthersSignaturesAreRefused(t *testing.T) {
	for name, who := range map[string]aws.Credentials{
		"secret": {AccessKeyID: keys.AccessKeyID, SecretAccessKey: "other", SessionToken: keys.SessionToken},
		"key":    {AccessKeyID: "AKIOTHER", SecretAccessKey: keys.SecretAccessKey, SessionToken: keys.SessionToken},
		"token":  {AccessKeyID: keys.AccessKeyID, SecretAccessKey: keys.SecretAccessKey},
	} {
		s := newStage(t, Config{Credentials: provider(who)}, says(200, accepted))
		_, err := s.client.Pay(t.Context(), request())
		if refused, ok := errors.AsType[*RefusedError](err); !ok || refused.Status != 403 || refused.Attempts != 1 || len(s.bodies) != 0 {
			t.Errorf("another %s: %v", name, err)
		}
	}
}

func TestWhatSettlesNothingIsSentAgainWithTheSameIdentity(t *testing.T) {
	for name, first := range map[string]http.HandlerFunc{
		"429":                 says(429, `{"error":"too many requests","region":"us-west-2"}`),
		"500":                 says(500, `{"error":"internal error","region":"us-west-2"}`),
		"503":                 says(503, `{"error":"the table cannot be written","region":"us-west-2"}`),
		"504, no JSON":        says(504, `<html>`),
		"hung up":             hangsUp,
		"broken off":          breaksOff,
		"no JSON":             says(200, `<html>`),
		"another payment":     says(200, strings.Replace(accepted, "t-1", "t-2", 1)),
		"another session":     says(200, strings.Replace(accepted, "s_1", "s_2", 1)),
		"another amount":      says(200, strings.Replace(accepted, "12.30", "12.31", 1)),
		"another currency":    says(200, strings.Replace(accepted, "EUR", "USD", 1)),
		"more than an answer": says(200, strings.Repeat(" ", maxAnswerBytes)+accepted),
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t, Config{}, first, first, says(200, accepted, "Idempotent-Replayed", "true"))
			got, err := s.client.Pay(t.Context(), request())
			if err != nil {
				t.Fatal(err)
			}
			if got.Attempts != 3 || got.Status != 200 || !got.Replayed {
				t.Errorf("%+v, want the third attempt", got)
			}
			if len(s.bodies) != 3 || s.bodies[0] != s.bodies[1] || s.bodies[0] != s.bodies[2] {
				t.Errorf("sent %q", s.bodies)
			}
			if s.signs[0] == s.signs[1] {
				t.Error("the second attempt was not signed for itself")
			}
			least := time.Duration(0)
			if name == "429" {
				least = throttledPause
			}
			if len(s.pauses) != 2 || s.pauses[0] < least || s.pauses[0] >= least+firstPause || s.pauses[1] < least || s.pauses[1] >= least+2*firstPause {
				t.Errorf("pauses %v", s.pauses)
			}
			want := 3 // a Region that fails is left: the name may lead to another by now
			if name == "429" {
				want = 1
			}
			if s.api.Connections() != want {
				t.Errorf("%d connections, want %d", s.api.Connections(), want)
			}
		})
	}
}

func TestWhatIsRefusedIsNotSentAgain(t *testing.T) {
	for status, message := range map[int]string{
		400: "amount is missing", 403: "not authorized", 404: "no such payment", 413: "too long", 415: "not JSON", 422: "the identity belongs to another payment",
	} {
		s := newStage(t, Config{}, says(status, fmt.Sprintf(`{"error":%q,"region":"us-west-2"}`, message)))
		got, err := s.client.Pay(t.Context(), request())
		refused, ok := errors.AsType[*RefusedError](err)
		if !ok || refused.Status != status || refused.Message != message || refused.Region != region || refused.Attempts != 1 || got.Answer != refused.Answer {
			t.Errorf("%d: %+v, %v", status, got, err)
		}
		if len(s.bodies) != 1 || len(s.pauses) != 0 {
			t.Errorf("%d: sent %d times", status, len(s.bodies))
		}
	}
	// Not a word of the contract's.
	s := newStage(t, Config{}, says(302, "", "Location", "https://example.com/"))
	_, err := s.client.Pay(t.Context(), request())
	if refused, ok := errors.AsType[*RefusedError](err); !ok || refused.Status != 302 || refused.Message != "Found" || len(s.bodies) != 1 {
		t.Errorf("a redirect: %v", err)
	}
}

func TestRegionOfAnAnswer(t *testing.T) {
	for name, answer := range map[string]http.HandlerFunc{
		"body": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Del("X-Region")
			says(404, `{"error":"x","region":"eu-west-1"}`)(w, r)
		},
		"header before body": says(404, `{"error":"x","region":"us-east-1"}`, "X-Region", "eu-west-1"),
	} {
		s := newStage(t, Config{}, answer)
		if got, _ := s.client.Get(t.Context(), request().Identity); got.Region != "eu-west-1" {
			t.Errorf("%s: Region %q", name, got.Region)
		}
	}
}

func TestAttemptsAreCounted(t *testing.T) {
	s := newStage(t, Config{MaxAttempts: 3}, says(503, `{"error":"the table cannot be written","region":"us-west-2"}`))
	got, err := s.client.Pay(t.Context(), request())
	unavailable, ok := errors.AsType[*UnavailableError](err)
	if !ok || unavailable.Attempts != 3 || unavailable.Status != 503 || unavailable.Region != region || unavailable.Message != "the table cannot be written" || unavailable.Err != nil {
		t.Errorf("error %v", err)
	}
	if got.Answer != unavailable.Answer || len(s.bodies) != 3 || len(s.pauses) != 2 {
		t.Errorf("%+v after %d requests", got, len(s.bodies))
	}
	s = newStage(t, Config{}, hangsUp)
	_, err = s.client.Pay(t.Context(), request())
	if unavailable, ok := errors.AsType[*UnavailableError](err); !ok || unavailable.Attempts != 5 || unavailable.Status != 0 || unavailable.Err == nil || len(s.bodies) != 5 {
		t.Errorf("error %v", err)
	}
}

func TestRetriesEndWhereMostFails(t *testing.T) {
	var failing atomic.Bool
	failing.Store(true)
	s := newStage(t, Config{MaxAttempts: 5, RetryTokens: 5}, func(w http.ResponseWriter, r *http.Request) {
		if failing.Load() {
			says(500, `{"error":"internal error","region":"us-west-2"}`)(w, r)
			return
		}
		says(200, accepted)(w, r)
	})
	attempts := func() int {
		t.Helper()
		accepted, err := s.client.Pay(t.Context(), request())
		if failed, ok := errors.AsType[*UnavailableError](err); ok {
			return failed.Attempts
		}
		if err != nil {
			t.Fatal(err)
		}
		return accepted.Attempts
	}
	// Five tokens: the first payment takes four of them, the second the last.
	for i, want := range []int{5, 2, 1, 1, 1, 1} {
		if got := attempts(); got != want {
			t.Errorf("payment %d: %d attempts, want %d", i, got, want)
		}
	}
	for _, tt := range []struct{ answered, want int }{{9, 1}, {1, 2}, {200, 5}} {
		failing.Store(false)
		for range tt.answered {
			attempts()
		}
		failing.Store(true)
		if got := attempts(); got != tt.want {
			t.Errorf("%d attempts after %d payments that were answered, want %d", got, tt.answered, tt.want)
		}
	}
}

func TestRetryAfterIsHonoured(t *testing.T) {
	at := time.Date(2026, 11, 22, 3, 4, 5, 0, time.UTC)
	for header, want := range map[string]time.Duration{
		"7": 7 * time.Second, "0": 0, "": 0, "soon": 0, "-5": 0, "30": 30 * time.Second,
		"Sun, 22 Nov 2026 03:04:15 GMT": 10 * time.Second, "Sun, 22 Nov 2026 03:04:00 GMT": 0,
	} {
		for _, status := range []int{429, 503} {
			s := newStage(t, Config{}, says(status, "{}", "Retry-After", header), says(200, `{"status":"healthy","region":"us-west-2"}`))
			s.client.now = func() time.Time { return at } // nothing is signed here
			if got, err := s.client.Health(t.Context()); err != nil || got.Attempts != 2 {
				t.Fatalf("%+v, %v", got, err)
			}
			want := want
			if status == 429 {
				want = max(want, throttledPause)
			}
			if pause := s.pauses[0]; pause < want || pause >= want+firstPause {
				t.Errorf("Retry-After %q on %d: paused %v, want %v and a little", header, status, pause, want)
			}
		}
	}
	for _, header := range []string{"31", "86400", "Sun, 22 Nov 2026 03:05:00 GMT"} { // more than anybody waits
		s := newStage(t, Config{}, says(503, "{}", "Retry-After", header))
		s.client.now = func() time.Time { return at }
		if got, err := s.client.Health(t.Context()); err == nil || got.Attempts != 1 || len(s.pauses) != 0 {
			t.Errorf("Retry-After %q: %+v, %v, paused %v", header, got, err, s.pauses)
		}
	}
}

func TestPausesGrowToALimitAndAreASeedsOwn(t *testing.T) {
	pauses := func(seed uint64) []time.Duration {
		s := newStage(t, Config{MaxAttempts: 40, RetryTokens: 100}, says(503, "{}"))
		s.client.random = rand.New(rand.NewPCG(seed, 1))
		if _, err := s.client.Health(t.Context()); err == nil {
			t.Fatal("no error")
		}
		return s.pauses
	}
	first := pauses(1)
	if !slices.Equal(first, pauses(1)) || slices.Equal(first, pauses(2)) {
		t.Error("the pauses do not follow from the seed")
	}
	for i, pause := range first {
		if longest := min(firstPause<<min(i, 20), maxPause); pause < 0 || pause >= longest {
			t.Errorf("pause %d is %v, want less than %v", i, pause, longest)
		}
	}
	if slices.Max(first) < maxPause/2 {
		t.Errorf("no pause of %v is long", first)
	}
}

func TestTheContextEndsIt(t *testing.T) {
	t.Run("while it waits", func(t *testing.T) {
		s := newStage(t, Config{}, says(503, "{}"))
		ctx, cancel := context.WithCancel(t.Context())
		s.client.wait = func(ctx context.Context, _ time.Duration) error {
			cancel()
			return smithytime.SleepWithContext(ctx, time.Hour)
		}
		_, err := s.client.Pay(ctx, request())
		if unavailable, ok := errors.AsType[*UnavailableError](err); !ok || !errors.Is(err, context.Canceled) || unavailable.Attempts != 1 || unavailable.Status != 503 {
			t.Errorf("error %v", err)
		}
	})
	t.Run("before a wait that is longer", func(t *testing.T) {
		s := newStage(t, Config{}, says(503, "{}", "Retry-After", "20"))
		ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
		defer cancel()
		_, err := s.client.Pay(ctx, request())
		if !errors.Is(err, context.DeadlineExceeded) || len(s.pauses) != 0 || len(s.bodies) != 1 {
			t.Errorf("error %v after %v", err, s.pauses)
		}
	})
	t.Run("while nobody answers", func(t *testing.T) {
		s := newStage(t, Config{}, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		got, err := s.client.Pay(ctx, request())
		if _, ok := errors.AsType[*UnavailableError](err); !ok || !errors.Is(err, context.DeadlineExceeded) || got.Attempts != 1 || got.Latency > 5*time.Second {
			t.Errorf("%+v, error %v", got, err)
		}
	})
	t.Run("an attempt alone", func(t *testing.T) {
		s := newStage(t, Config{AttemptTimeout: 50 * time.Millisecond, MaxAttempts: 2},
			func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, says(200, accepted))
		if got, err := s.client.Pay(t.Context(), request()); err != nil || got.Attempts != 2 {
			t.Errorf("%+v, %v", got, err)
		}
	})
}

func TestDialHost(t *testing.T) {
	var name, host string
	serve := func(w http.ResponseWriter, r *http.Request) {
		name, host = r.TLS.ServerName, r.Host
		says(200, accepted)(w, r)
	}
	s := newStage(t, Config{}, serve)
	if _, err := s.client.Pay(t.Context(), request()); err != nil || name != publicName || host != publicName {
		t.Errorf("TLS for %q, host %q, %v; want %s", name, host, err, publicName)
	}

	// The address that is connected to is the host that was given, on the URL's port or its own.
	for _, tt := range []struct{ url, dialHost, want string }{
		{"https://api.example.com", "us-west-2.api.example.com", "us-west-2.api.example.com:443"},
		{"https://api.example.com:8443", "us-west-2.api.example.com", "us-west-2.api.example.com:8443"},
		{"https://api.example.com", "us-west-2.api.example.com:9443", "us-west-2.api.example.com:9443"},
		{"https://api.example.com", "[::1]:9443", "[::1]:9443"},
		{"https://api.example.com/live/", "", "api.example.com:443"},
	} {
		c, err := New(Config{URL: tt.url, DialHost: tt.dialHost, MaxAttempts: 1})
		if err != nil {
			t.Fatal(err)
		}
		var dialled string
		c.ways[0].connections.Load().DialContext = func(_ context.Context, _, address string) (net.Conn, error) {
			dialled = address
			return nil, errors.New("simulated")
		}
		if _, err := c.Health(t.Context()); err == nil || dialled != tt.want {
			t.Errorf("%s at %q: dialled %q, want %s; %v", tt.url, tt.dialHost, dialled, tt.want, err)
		}
	}
}

// TestAFailedRegionIsLeft has the name lead elsewhere while a client waits to try again.
func TestAFailedRegionIsLeft(t *testing.T) {
	leads := &lead{}
	failing := newStage(t, Config{Transport: leads.transport()}, says(503, `{"error":"x","region":"us-west-2"}`))
	sound := newStage(t, Config{}, says(200, accepted, "X-Region", "us-east-1"))
	c := failing.client
	leads.to = failing.api.Address()
	c.transport.TLSClientConfig.RootCAs = simulation.Trust(failing.api, sound.api)
	c.wait = func(context.Context, time.Duration) error { leads.to = sound.api.Address(); return nil } // DNS has moved
	got, err := c.Pay(t.Context(), request())
	if err != nil || got.Region != "us-east-1" || got.Attempts != 2 {
		t.Errorf("%+v, %v", got, err)
	}
}

// lead is where a name leads.
type lead struct{ to string }

func (l *lead) transport() *http.Transport {
	return &http.Transport{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, l.to)
	}}
}

// TestABusyClientFollowsTheName has the public name move while the old Region still answers and the client never pauses.
func TestABusyClientFollowsTheName(t *testing.T) {
	leads := &lead{}
	old := newStage(t, Config{ConnectionAge: time.Minute, Transport: leads.transport()}, says(200, accepted, "X-Region", "us-west-2"))
	moved := newStage(t, Config{}, says(200, accepted, "X-Region", "us-east-1"))
	c := old.client
	c.transport.TLSClientConfig.RootCAs = simulation.Trust(old.api, moved.api)
	now := time.Now()
	c.now = func() time.Time { return now }
	c.CloseIdleConnections()
	start := now
	leads.to = old.api.Address()
	for _, tt := range []struct {
		after time.Duration
		want  string
	}{{0, "us-west-2"}, {59 * time.Second, "us-west-2"}, {time.Minute, "us-east-1"}, {119 * time.Second, "us-east-1"}, {-4 * time.Minute, "us-east-1"}} { // in the end the clock is set back
		now = start.Add(tt.after)
		got, err := c.Pay(t.Context(), request())
		if err != nil || got.Region != tt.want || got.Attempts != 1 {
			t.Errorf("after %v: answered by %q in %d attempts, %v; want %s", tt.after, got.Region, got.Attempts, err, tt.want)
		}
		leads.to = moved.api.Address() // DNS has moved
	}
	if old.api.Connections() != 1 || moved.api.Connections() != 2 {
		t.Errorf("%d connections to the old Region and %d to the new; want one and two", old.api.Connections(), moved.api.Connections())
	}
}

// TestAnUnknownOutcomeStaysUnknown has attempts that may have been accepted, and a later answer that refuses.
func TestAnUnknownOutcomeStaysUnknown(t *testing.T) {
	unavailable, throttled := says(503, `{"error":"later"}`), says(429, "{}")
	pay := func(c *Client) error { _, err := c.Pay(t.Context(), request()); return err }
	get := func(c *Client) error { _, err := c.Get(t.Context(), request().Identity); return err }
	for name, tt := range map[string]struct {
		call    func(*Client) error
		answers []http.HandlerFunc
		unknown bool
	}{
		"no answer, then 403":          {pay, []http.HandlerFunc{hangsUp, says(403, `{"error":"expired"}`)}, true},
		"half an answer, then 422":     {pay, []http.HandlerFunc{breaksOff, says(422, `{"error":"conflict"}`)}, true},
		"503, then 400":                {pay, []http.HandlerFunc{unavailable, says(400, `{"error":"invalid"}`)}, true},
		"503, throttled, then 404":     {pay, []http.HandlerFunc{unavailable, throttled, says(404, `{"error":"no such path"}`)}, true},
		"another payment, then 400":    {pay, []http.HandlerFunc{says(200, "{}"), says(400, `{"error":"invalid"}`)}, true},
		"throttled, then 403":          {pay, []http.HandlerFunc{throttled, says(403, `{"error":"expired"}`)}, false},
		"a read: no answer, then 404":  {get, []http.HandlerFunc{hangsUp, says(404, `{"error":"none"}`)}, false},
		"refused by the first attempt": {pay, []http.HandlerFunc{says(422, `{"error":"conflict"}`)}, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t, Config{}, tt.answers...)
			err := tt.call(s.client)
			_, unknown := errors.AsType[*UnavailableError](err)
			_, refused := errors.AsType[*RefusedError](err)
			if unknown != tt.unknown || refused == tt.unknown || len(s.bodies) != len(tt.answers) {
				t.Errorf("unknown %t, refused %t after %d requests: %v", unknown, refused, len(s.bodies), err)
			}
		})
	}
	t.Run("no answer, then no credentials", func(t *testing.T) {
		s := newStage(t, Config{}, hangsUp)
		s.client.wait = func(context.Context, time.Duration) error { s.client.credentials = nil; return nil }
		_, err := s.client.Pay(t.Context(), request())
		if failed, ok := errors.AsType[*UnavailableError](err); !ok || failed.Attempts != 1 || !errors.Is(err, ErrUnsigned) {
			t.Errorf("error %v", err)
		}
	})
}

// TestRetriesAreLimitedByDefault has an outage: 200 payments, which without a limit would be sent 1,000 times.
func TestRetriesAreLimitedByDefault(t *testing.T) {
	s := newStage(t, Config{}, says(503, "{}"))
	for range 200 {
		if _, err := s.client.Pay(t.Context(), request()); err == nil {
			t.Fatal("a payment was accepted")
		}
	}
	if len(s.bodies) != 210 { // the first two payments five times, the third three times
		t.Errorf("%d requests for 200 payments, want 210", len(s.bodies))
	}
}

func TestManyAtOnce(t *testing.T) {
	var mu sync.Mutex
	chance := rand.New(rand.NewPCG(seed, 3))
	// One that hangs up takes the others of its connection along, so that most attempts fail.
	s := newStage(t, Config{MaxAttempts: 2_000, RetryTokens: 1_000_000}, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		n := chance.IntN(4)
		mu.Unlock()
		[]http.HandlerFunc{says(503, "{}"), hangsUp, breaksOff, says(200, accepted)}[n](w, r)
	})
	s.client.wait = func(ctx context.Context, _ time.Duration) error { return ctx.Err() }
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 10 {
				if _, err := s.client.Pay(t.Context(), request()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
}

func TestWithoutCredentialsNothingIsSent(t *testing.T) {
	broken := aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return aws.Credentials{}, errors.New("no role") })
	for name, credentials := range map[string]aws.CredentialsProvider{"a provider that fails": broken, "empty": aws.CredentialsProviderFunc(
		func(context.Context) (aws.Credentials, error) { return aws.Credentials{}, nil })} {
		s := newStage(t, Config{Credentials: credentials}, says(200, accepted))
		if got, err := s.client.Pay(t.Context(), request()); !errors.Is(err, ErrUnsigned) || got.Attempts != 0 || s.api.Connections() != 0 {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
		if got, err := s.client.Health(t.Context()); err != nil || got.Attempts != 1 {
			t.Errorf("health: %+v, %v", got, err)
		}
	}
	c, err := New(Config{URL: "https://" + publicName})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Pay(t.Context(), request()); !errors.Is(err, ErrUnsigned) {
		t.Errorf("none: %v", err)
	}
}

func TestAPaymentWithoutAnIdentityIsNotSent(t *testing.T) {
	s := newStage(t, Config{}, says(200, accepted))
	for _, id := range []Identity{{}, {SessionID: "s"}, {TransactionID: "t"}} {
		if _, err := s.client.Pay(t.Context(), Request{Identity: id, Amount: "1"}); !errors.Is(err, ErrNoIdentity) {
			t.Errorf("%+v: %v", id, err)
		}
		if _, err := s.client.Get(t.Context(), id); !errors.Is(err, ErrNoIdentity) {
			t.Errorf("%+v was read: %v", id, err)
		}
	}
	if s.api.Connections() != 0 {
		t.Error("something was sent")
	}
}

func TestWrongConfigurationIsNamed(t *testing.T) {
	for want, config := range map[string]Config{
		`URL is ""`:                        {},
		`URL is "api.example.com"`:         {URL: "api.example.com"},
		`URL is "http://api.example.com"`:  {URL: "http://api.example.com"},
		`URL is "https://"`:                {URL: "https://"},
		`URL is "https://u:p@example.com"`: {URL: "https://u:p@example.com"},
		`URL is "https://example.com?x"`:   {URL: "https://example.com?x"},
		`URL is "https://example.com/x?"`:  {URL: "https://example.com/x?"},
		`a host is "a/b"`:                  {URL: "https://example.com", DialHost: "a/b"},
		`a host is ":443"`:                 {URL: "https://example.com", DialHost: ":443"},
		`a host is "a b"`:                  {URL: "https://example.com", Regions: []Region{{"us-east-1", "a b"}}},
		`has no Name`:                      {URL: "https://example.com", Regions: []Region{{"", "a"}}},
		`DialHost and Regions`:             {URL: "https://example.com", DialHost: "a", Regions: []Region{{"us-east-1", "a"}}},
		`MaxAttempts is negative`:          {URL: "https://example.com", MaxAttempts: -1},
		`AttemptTimeout is negative`:       {URL: "https://example.com", AttemptTimeout: -1},
		`FailoverTimeout is negative`:      {URL: "https://example.com", FailoverTimeout: -1},
		`AvoidFor is negative`:             {URL: "https://example.com", AvoidFor: -1},
		`HedgeAfter is negative`:           {URL: "https://example.com", HedgeAfter: -1},
		`RetryTokens is negative`:          {URL: "https://example.com", RetryTokens: -1},
		`ConnectionAge is negative`:        {URL: "https://example.com", ConnectionAge: -1},
	} {
		if _, err := New(config); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want in it %s", err, want)
		}
	}
}

func TestARegionsOwnAPIIsBelowItsStage(t *testing.T) {
	var path string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { path = r.URL.Path; says(200, "{}")(w, r) }))
	defer server.Close()
	c, err := New(Config{URL: server.URL + "/live/"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.CloseIdleConnections()
	if _, err := c.Health(t.Context()); err != nil || path != "/live/health" {
		t.Errorf("asked for %q, %v", path, err)
	}
}

func TestEachAttemptIsToldAndConnectionsAreTheCallers(t *testing.T) {
	var told []Attempt
	var dialled []string
	s := newStage(t, Config{
		Attempted: func(a Attempt) { told = append(told, a) },
		Transport: &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			dialled = append(dialled, address)
			return (&net.Dialer{}).DialContext(ctx, network, address)
		}},
	}, says(http.StatusServiceUnavailable, `{"error":"later","region":"us-east-1"}`, "X-Region", "us-east-1"), hangsUp, says(200, accepted))
	if _, err := s.client.Pay(t.Context(), request()); err != nil {
		t.Fatal(err)
	}
	if len(told) != 3 || len(dialled) != 3 { // a Region that failed is left: each attempt connects anew
		t.Fatalf("%d attempts told, connections to %q", len(told), dialled)
	}
	if told[0].Status != http.StatusServiceUnavailable || told[0].Region != "us-east-1" || told[0].Settled {
		t.Errorf("first attempt %+v", told[0])
	}
	if told[1].Status != 0 || told[1].Err == nil || told[1].Settled {
		t.Errorf("second attempt %+v", told[1])
	}
	if !told[2].Settled || told[2].Err != nil || told[2].Ended.Before(told[2].Began) {
		t.Errorf("third attempt %+v", told[2])
	}
}
