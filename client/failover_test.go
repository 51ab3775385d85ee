package client

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

const east, west = "us-east-1", "us-west-2"

// world is two Regions and a public name, in memory and in the time of a synctest bubble.
type world struct {
	t      *testing.T
	client *Client
	log    bytes.Buffer

	mu    sync.Mutex
	leads string // where the public name leads
	// dials and answers are what a Region does with connections and requests; nil: it accepts payments.
	dials   map[string]func(context.Context) error
	answers map[string]http.HandlerFunc
	sent    map[string][]string // the bodies that each Region was sent
	hosts   []string            // what the client connected to
	servers map[string]*memory
}

// memory is a listener whose connections never leave the process.
type memory struct {
	conns chan net.Conn
	done  chan struct{}
}

func (m *memory) Accept() (net.Conn, error) {
	select {
	case c := <-m.conns:
		return c, nil
	case <-m.done:
		return nil, net.ErrClosed
	}
}
func (m *memory) Close() error   { return nil }
func (m *memory) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }

// hosts by which the client reaches a Region; the public name is 127.0.0.1.
var hostOf = map[string]string{east: "127.0.0.2", west: "127.0.0.3"}

// inWorld runs a test in a world whose public name leads to the first Region. All goroutines have to end with it.
func inWorld(t *testing.T, config Config, test func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{
			t: t, leads: east, dials: map[string]func(context.Context) error{}, answers: map[string]http.HandlerFunc{},
			sent: map[string][]string{}, servers: map[string]*memory{},
		}
		var running sync.WaitGroup
		for region := range hostOf {
			m := &memory{conns: make(chan net.Conn), done: make(chan struct{})}
			w.servers[region] = m
			server := &http.Server{Handler: w.serve(region), ErrorLog: log.New(io.Discard, "", 0)}
			running.Go(func() { _ = server.Serve(m) })
			defer func() { close(m.done); _ = server.Close() }()
		}
		config.URL, config.Credentials = "http://127.0.0.1", provider(keys)
		config.Regions = []Region{{east, hostOf[east]}, {west, hostOf[west]}}
		config.Transport = &http.Transport{DialContext: w.dial}
		config.Logger = slog.New(slog.NewTextHandler(&w.log, nil))
		var err error
		if w.client, err = New(config); err != nil {
			t.Fatal(err)
		}
		test(t, w)
		w.client.CloseIdleConnections()
	})
}

func (w *world) serve(region string) http.HandlerFunc {
	return func(out http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		w.mu.Lock()
		w.sent[region] = append(w.sent[region], string(body))
		answer := w.answers[region]
		w.mu.Unlock()
		out.Header().Set("X-Region", region)
		if answer == nil {
			answer = says(200, accepted)
		}
		answer(out, r)
	}
}

func (w *world) dial(ctx context.Context, _, address string) (net.Conn, error) {
	host, _, _ := net.SplitHostPort(address)
	w.mu.Lock()
	region := w.leads
	for name, own := range hostOf {
		if own == host {
			region = name
		}
	}
	w.hosts = append(w.hosts, host)
	refuse, server := w.dials[region], w.servers[region]
	w.mu.Unlock()
	if refuse != nil {
		if err := refuse(ctx); err != nil {
			return nil, err
		}
	}
	here, there := net.Pipe()
	select {
	case server.conns <- there:
		return here, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// answer sets what a Region answers from now on.
func (w *world) answer(region string, answer http.HandlerFunc) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.answers[region] = answer
}

// lose has a Region's packets vanish, or brings it back.
func (w *world) lose(region string, lost bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.dials[region], w.answers[region] = nil, nil
	if lost {
		w.dials[region], w.answers[region] = vanishes, hangs
	}
}

// took are how many requests a Region was sent since the last look.
func (w *world) took(region string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := len(w.sent[region])
	w.sent[region] = nil
	return n
}

func vanishes(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }

func hangs(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

// pay makes a payment that has to be accepted.
func (w *world) pay() Acceptance {
	w.t.Helper()
	got, err := w.client.Pay(w.t.Context(), request())
	if err != nil {
		w.t.Errorf("a payment failed: %v", err)
	}
	return got
}

// TestTheOtherRegionTakesOver loses the Region that the public name leads to, in the ways in which a Region can be lost.
func TestTheOtherRegionTakesOver(t *testing.T) {
	refused := func(context.Context) error { return errors.New("connection refused") }
	for name, tt := range map[string]struct {
		dial   func(context.Context) error
		answer http.HandlerFunc
		atMost time.Duration
	}{
		"packets vanish":             {vanishes, hangs, 2200 * time.Millisecond},
		"connections are refused":    {refused, hangsUp, 200 * time.Millisecond},
		"the API hangs":              {nil, hangs, 2200 * time.Millisecond},
		"the API fails":              {nil, says(500, `{"error":"internal error","region":"us-east-1"}`), 200 * time.Millisecond},
		"the table is gone":          {nil, says(503, `{"error":"later","region":"us-east-1"}`, "Retry-After", "20"), 200 * time.Millisecond},
		"connections are broken off": {nil, breaksOff, 200 * time.Millisecond},
		"an answer that is no JSON":  {nil, says(200, "<html>"), 200 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, Config{}, func(t *testing.T, w *world) {
				if got := w.pay(); got.Region != east || got.Attempts != 1 {
					t.Fatalf("before: %+v", got)
				}
				w.mu.Lock()
				w.dials[east], w.answers[east], w.sent = tt.dial, tt.answer, map[string][]string{}
				w.mu.Unlock()
				got := w.pay()
				if got.Region != west || got.Attempts != 2 || got.Latency > tt.atMost {
					t.Errorf("%+v, want the other Region's answer to the second attempt within %v", got, tt.atMost)
				}
				if first, second := w.sent[east], w.sent[west]; len(second) != 1 || len(first) > 0 && first[0] != second[0] {
					t.Errorf("sent %q and then %q, want the same identity", first, second)
				}
				for range 5 {
					if got := w.pay(); got.Region != west || got.Attempts != 1 {
						t.Errorf("%+v after the loss was seen, want the other Region at once", got)
					}
				}
				if n := strings.Count(w.log.String(), "level=WARN"); n != 1 || !strings.Contains(w.log.String(), "region="+east) || strings.Contains(w.log.String(), "s_1") {
					t.Errorf("logged %s", w.log.String())
				}
			})
		})
		t.Run(name+", to a new client", func(t *testing.T) {
			inWorld(t, Config{}, func(t *testing.T, w *world) {
				w.dials[east], w.answers[east] = tt.dial, tt.answer
				if got := w.pay(); got.Region != west || got.Attempts > 3 || got.Latency > 5*time.Second {
					t.Errorf("%+v, want the other Region's answer within 5 s", got)
				}
			})
		})
	}
}

// TestALostRegionIsLookedAtByOneRequestAtATime has a Region lost for two minutes, in which DNS does not move, under ten payments
// at once.
func TestALostRegionIsLookedAtByOneRequestAtATime(t *testing.T) {
	inWorld(t, Config{}, func(t *testing.T, w *world) {
		w.pay()
		w.lose(east, true)
		w.pay()
		start, slow, looks := time.Now(), 0, []time.Duration{}
		for time.Since(start) < 2*time.Minute {
			var mu sync.Mutex
			var round sync.WaitGroup
			for range 10 {
				round.Go(func() {
					got := w.pay()
					mu.Lock()
					defer mu.Unlock()
					if got.Latency > 5*time.Second {
						t.Errorf("a payment took %v", got.Latency)
					}
					if got.Attempts > 1 {
						slow++
						looks = append(looks, time.Since(start))
					}
				})
			}
			round.Wait()
			time.Sleep(500 * time.Millisecond)
		}
		if slow < 4 || slow > 12 || looks[0] < 10*time.Second || looks[0] > 33*time.Second {
			t.Errorf("%d of the payments found out that the Region is still lost, at %v; want one every 10 to 30 s", slow, looks)
		}
		w.lose(east, false)
		w.took(east)
		time.Sleep(31 * time.Second)
		for range 10 {
			if got := w.pay(); got.Region != east || got.Attempts != 1 {
				t.Errorf("%+v after the Region is back, want it by the public name", got)
			}
		}
	})
}

// TestDNSIsFollowed has the name move while the Region that it leaves is avoided, and while it answers.
func TestDNSIsFollowed(t *testing.T) {
	inWorld(t, Config{}, func(t *testing.T, w *world) {
		w.pay()
		w.lose(east, true)
		w.pay()
		w.mu.Lock()
		w.leads = west
		w.mu.Unlock()
		time.Sleep(31 * time.Second)
		w.hosts = nil
		for range 10 {
			if got := w.pay(); got.Region != west || got.Attempts != 1 {
				t.Errorf("%+v, want the Region that the name leads to", got)
			}
		}
		if len(w.hosts) != 1 || w.hosts[0] != "127.0.0.1" {
			t.Errorf("connected to %q, want the public name", w.hosts)
		}
	})
}

// TestTheLossOfARegionCostsNoTokens loses a Region with 200 payments under way, and then has the other one fail once.
func TestTheLossOfARegionCostsNoTokens(t *testing.T) {
	inWorld(t, Config{}, func(t *testing.T, w *world) {
		w.pay()
		w.lose(east, true)
		var all sync.WaitGroup
		for range 200 {
			all.Go(func() {
				if got := w.pay(); got.Region != west || got.Attempts != 2 {
					t.Errorf("%+v, want the other Region's answer to the second attempt", got)
				}
			})
		}
		all.Wait()
		if w.client.tokens != w.client.mostTokens || w.took(west) != 200 {
			t.Errorf("%d of %d parts of tokens are left", w.client.tokens, w.client.mostTokens)
		}
		once := sync.OnceValue(func() bool { return true })
		first := true
		w.answer(west, func(out http.ResponseWriter, r *http.Request) {
			if first {
				first = !once()
				says(500, "{}")(out, r)
				return
			}
			says(200, accepted)(out, r)
		})
		if got := w.pay(); got.Region != west {
			t.Errorf("%+v, want the only Region that is left", got)
		}
	})
}

// TestATotalOutageIsNoStorm fails both Regions under 200 payments, one after another and at once. Without a limit, they would be
// sent 1,000 times.
func TestATotalOutageIsNoStorm(t *testing.T) {
	for name, tt := range map[string]struct {
		config Config
		atOnce bool
		atMost int
	}{
		// Free are: one attempt in the other Region by the first payment, and one for each Region each time it is looked at.
		"one after another": {Config{}, false, 215},
		// Nobody knows of the other Region's failure while all are under way: each is sent once to each Region.
		"at once":          {Config{}, true, 410},
		"at once, hedging": {Config{HedgeAfter: time.Millisecond}, true, 410},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, tt.config, func(t *testing.T, w *world) {
				w.pay()
				for _, region := range []string{east, west} {
					w.took(region)
					w.answer(region, func(out http.ResponseWriter, r *http.Request) {
						time.Sleep(100 * time.Millisecond)
						says(500, "{}")(out, r)
					})
				}
				var all sync.WaitGroup
				for range 200 {
					pay := func() {
						if _, err := w.client.Pay(t.Context(), request()); err == nil {
							t.Error("a payment was accepted")
						}
					}
					if tt.atOnce {
						all.Go(pay)
					} else {
						pay()
					}
				}
				all.Wait()
				if n := w.took(east) + w.took(west); n > tt.atMost {
					t.Errorf("%d requests for 200 payments, want at most %d", n, tt.atMost)
				}
				for range 100 { // the storm is over, and so it stays
					_, _ = w.client.Pay(t.Context(), request())
				}
				if n := w.took(east) + w.took(west); n > 110 {
					t.Errorf("%d requests for 100 more, want at most 110", n)
				}
			})
		})
	}
}

// TestAThrottledRequestMovesAfterAPause has a Region answer 429.
func TestAThrottledRequestMovesAfterAPause(t *testing.T) {
	for header, pause := range map[string]time.Duration{"": throttledPause, "3": 3 * time.Second} {
		inWorld(t, Config{}, func(t *testing.T, w *world) {
			w.pay()
			w.answer(east, says(429, "{}", "Retry-After", header))
			if got := w.pay(); got.Region != west || got.Attempts != 2 || got.Latency < pause || got.Latency > pause+200*time.Millisecond {
				t.Errorf("Retry-After %q: %+v, want the other Region's answer after %v", header, got, pause)
			}
			if w.client.tokens >= w.client.mostTokens {
				t.Error("the retry was free")
			}
			w.answer(east, nil)
			if got := w.pay(); got.Region != east || got.Attempts != 1 {
				t.Errorf("%+v: a Region that throttled one payment is avoided by the next", got)
			}
		})
	}
	inWorld(t, Config{}, func(t *testing.T, w *world) { // the throttled is the only one that is left
		w.pay()
		w.lose(east, true)
		w.pay()
		n := 0
		w.answer(west, func(out http.ResponseWriter, r *http.Request) {
			if n++; n == 1 {
				says(429, "{}")(out, r)
				return
			}
			says(200, accepted)(out, r)
		})
		if got := w.pay(); got.Region != west || got.Attempts != 2 || got.Latency > time.Second {
			t.Errorf("%+v, want the throttled Region again and not the lost one", got)
		}
	})
}

// TestSlowRegionsAreWaitedFor has both Regions take longer than a failover waits.
func TestSlowRegionsAreWaitedFor(t *testing.T) {
	inWorld(t, Config{}, func(t *testing.T, w *world) {
		for _, region := range []string{east, west} {
			w.answer(region, func(out http.ResponseWriter, r *http.Request) {
				time.Sleep(4 * time.Second)
				says(200, accepted)(out, r)
			})
		}
		for range 3 {
			w.pay()
		}
	})
}

// TestSlowRegionsAreWaitedForWithoutATokenToo has both Regions slow and avoided, and no retry left.
func TestSlowRegionsAreWaitedForWithoutATokenToo(t *testing.T) {
	inWorld(t, Config{}, func(t *testing.T, w *world) {
		w.pay()
		for _, region := range []string{east, west} {
			w.answer(region, says(500, "{}"))
		}
		for w.client.tokens >= tokenParts {
			if _, err := w.client.Pay(t.Context(), request()); err == nil {
				t.Fatal("a payment was accepted")
			}
		}
		for _, region := range []string{east, west} {
			w.answer(region, func(out http.ResponseWriter, r *http.Request) {
				time.Sleep(4 * time.Second)
				says(200, accepted)(out, r)
			})
		}
		if got := w.pay(); got.Attempts != 1 {
			t.Errorf("%+v, want the slow answer to the first attempt", got)
		}
	})
}

// TestASlowRegionIsWaitedForWhereTheOtherIsLost has nothing to fail over to, known and unknown.
func TestASlowRegionIsWaitedForWhereTheOtherIsLost(t *testing.T) {
	slow := func(takes time.Duration) http.HandlerFunc {
		return func(out http.ResponseWriter, r *http.Request) {
			time.Sleep(takes)
			says(200, accepted)(out, r)
		}
	}
	inWorld(t, Config{}, func(t *testing.T, w *world) {
		w.pay()
		w.lose(east, true)
		w.pay()
		w.answer(west, slow(3*time.Second))
		if got := w.pay(); got.Region != west || got.Attempts != 1 {
			t.Errorf("%+v, want the slow answer to the first attempt", got)
		}
	})
	inWorld(t, Config{}, func(t *testing.T, w *world) {
		w.pay()
		w.lose(west, true)
		w.answer(east, slow(4*time.Second))
		if got := w.pay(); got.Region != east || got.Attempts != 3 {
			t.Errorf("%+v, want the slow answer to the third attempt", got)
		}
	})
}

// TestOneRegionIsBackAfterATotalOutage has both Regions avoided, and one of them back. The one that failed longer ago is tried first.
func TestOneRegionIsBackAfterATotalOutage(t *testing.T) {
	for _, tt := range []struct {
		back, first string
		attempts    int
	}{{east, east, 1}, {east, west, 2}, {west, east, 2}, {west, west, 1}} {
		inWorld(t, Config{}, func(t *testing.T, w *world) {
			w.pay()
			for _, region := range []string{east, west} {
				w.answer(region, says(500, "{}"))
			}
			if _, err := w.client.Pay(t.Context(), request()); err == nil {
				t.Fatal("a payment was accepted")
			}
			for _, region := range []string{east, west} {
				w.answer(region, hangs)
			}
			w.answer(tt.back, nil)
			for _, way := range w.client.ways {
				way.failed = time.Now().Add(-time.Second)
				if way.region == tt.first {
					way.failed = time.Now().Add(-2 * time.Second)
				}
			}
			if got := w.pay(); got.Region != tt.back || got.Attempts != tt.attempts || got.Latency > 5*time.Second {
				t.Errorf("%s is back, %s first: %+v, want its answer to attempt %d within 5 s", tt.back, tt.first, got, tt.attempts)
			}
		})
	}
}

// TestAnErrorIsBetterThanSilence has the only Region that is left answer one request with an error, as when it has to start more of
// its functions.
func TestAnErrorIsBetterThanSilence(t *testing.T) {
	inWorld(t, Config{}, func(t *testing.T, w *world) {
		w.pay()
		w.answer(east, hangs)
		failing := true
		w.answer(west, func(out http.ResponseWriter, r *http.Request) {
			if failing {
				failing = false
				says(500, "{}")(out, r)
				return
			}
			says(200, accepted)(out, r)
		})
		if got := w.pay(); got.Region != west || got.Attempts != 3 || got.Latency > 2500*time.Millisecond {
			t.Errorf("%+v, want the Region that answers again, and not the silent one", got)
		}
	})
}

// TestAnOldSuccessIsNoSign has a Region answer a request from before it failed.
func TestAnOldSuccessIsNoSign(t *testing.T) {
	inWorld(t, Config{}, func(t *testing.T, w *world) {
		w.pay()
		w.answer(east, func(out http.ResponseWriter, r *http.Request) {
			time.Sleep(time.Second)
			says(200, accepted)(out, r)
		})
		var old sync.WaitGroup
		old.Go(func() {
			if got := w.pay(); got.Region != east || got.Attempts != 1 {
				t.Errorf("%+v", got)
			}
		})
		time.Sleep(500 * time.Millisecond)
		w.answer(east, says(500, "{}"))
		w.pay()
		old.Wait()
		if got := w.pay(); got.Region != west || got.Attempts != 1 {
			t.Errorf("%+v, want the Region that has not failed", got)
		}
	})
}

// TestAnUnknownOutcomeStaysUnknownAcrossRegions has one Region accept without an answer, and the other refuse.
func TestAnUnknownOutcomeStaysUnknownAcrossRegions(t *testing.T) {
	inWorld(t, Config{}, func(t *testing.T, w *world) {
		w.pay()
		w.answer(east, hangs)
		w.answer(west, says(403, `{"message":"not authorized"}`))
		_, err := w.client.Pay(t.Context(), request())
		if unknown, ok := errors.AsType[*UnavailableError](err); !ok || unknown.Status != 403 || unknown.Attempts != 2 {
			t.Errorf("error %v", err)
		}
	})
}

// TestTheCallersPatienceIsNoFaultOfARegion has callers give up before an answer is due.
func TestTheCallersPatienceIsNoFaultOfARegion(t *testing.T) {
	inWorld(t, Config{}, func(t *testing.T, w *world) {
		w.answer(east, func(out http.ResponseWriter, r *http.Request) {
			time.Sleep(time.Second)
			says(200, accepted)(out, r)
		})
		w.pay()
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		if _, err := w.client.Pay(ctx, request()); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
		if got := w.pay(); got.Region != east || got.Attempts != 1 {
			t.Errorf("%+v: a Region is avoided because a caller had no time", got)
		}
	})
}

// TestAHedgeIsAnsweredByTheOtherRegion has a Region take its time.
func TestAHedgeIsAnsweredByTheOtherRegion(t *testing.T) {
	inWorld(t, Config{HedgeAfter: 300 * time.Millisecond, RetryTokens: 3}, func(t *testing.T, w *world) {
		if got := w.pay(); got.Region != east || got.Attempts != 1 || w.took(west) != 0 {
			t.Errorf("%+v of a quick answer, want no hedge", got)
		}
		slow := func(out http.ResponseWriter, r *http.Request) {
			time.Sleep(time.Second)
			says(200, accepted)(out, r)
		}
		w.answer(east, slow)
		for i := range 3 {
			start := time.Now()
			if got := w.pay(); got.Region != west || got.Attempts != 2 || got.Latency != 300*time.Millisecond || time.Since(start) != got.Latency {
				t.Errorf("hedge %d: %+v, want the other Region's answer after 300 ms", i, got)
			}
		}
		if first, second := w.sent[east], w.sent[west]; len(second) != 3 || first[0] != second[0] {
			t.Errorf("sent %q and %q, want the same identity", first, second)
		}
		if got := w.pay(); got.Region != east || got.Latency != time.Second {
			t.Errorf("%+v without a token, want no hedge", got)
		}
	})
	inWorld(t, Config{HedgeAfter: 300 * time.Millisecond}, func(t *testing.T, w *world) { // the hedge fails: the first answer counts
		w.pay()
		w.answer(east, func(out http.ResponseWriter, r *http.Request) {
			time.Sleep(time.Second)
			says(200, accepted)(out, r)
		})
		w.answer(west, says(500, "{}"))
		if got := w.pay(); got.Region != east || got.Attempts != 2 || got.Latency != time.Second {
			t.Errorf("%+v, want the first Region's answer", got)
		}
	})
}

// TestBothAnswersToAHedge has both Regions answer at the same moment, and one answer count.
func TestBothAnswersToAHedge(t *testing.T) {
	inWorld(t, Config{HedgeAfter: 300 * time.Millisecond}, func(t *testing.T, w *world) {
		w.pay()
		for region, takes := range map[string]time.Duration{east: 600 * time.Millisecond, west: 300 * time.Millisecond} {
			w.answer(region, func(out http.ResponseWriter, r *http.Request) {
				time.Sleep(takes)
				replayed := map[string]string{east: "true", west: "false"}[region]
				says(200, accepted, "Idempotent-Replayed", replayed)(out, r)
			})
		}
		for range 20 {
			if got := w.pay(); got.Attempts != 2 || got.Latency != 600*time.Millisecond || got.AcceptedIn != east {
				t.Errorf("%+v, want an answer of two", got)
			}
			w.client.tokens = w.client.mostTokens
		}
	})
}

// TestLateCredentialsAreNoFaultOfARegion has a provider that takes longer than an attempt may.
func TestLateCredentialsAreNoFaultOfARegion(t *testing.T) {
	inWorld(t, Config{}, func(t *testing.T, w *world) {
		w.pay()
		good := w.client.credentials
		w.client.credentials = aws.CredentialsProviderFunc(func(ctx context.Context) (aws.Credentials, error) {
			<-ctx.Done()
			return aws.Credentials{}, ctx.Err()
		})
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		if _, err := w.client.Pay(ctx, request()); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
		w.client.credentials = good
		if got := w.pay(); got.Region != east || got.Attempts != 1 || w.took(west) != 0 {
			t.Errorf("%+v, want the Region that has not failed", got)
		}
	})
}

// TestAWrongClockIsCorrectedOnce has a machine whose clock is an hour off.
func TestAWrongClockIsCorrectedOnce(t *testing.T) {
	for _, off := range []time.Duration{time.Hour, -time.Hour} {
		var log bytes.Buffer
		s := newStage(t, Config{Logger: slog.New(slog.NewTextHandler(&log, nil))}, says(200, accepted))
		s.client.now = func() time.Time { return time.Now().Add(off) }
		for i, want := range []int{2, 1, 1} {
			if got, err := s.client.Pay(t.Context(), request()); err != nil || got.Attempts != want || len(s.pauses) != 0 {
				t.Errorf("clock off by %v, payment %d: %+v, %v; want %d attempts", off, i, got, err, want)
			}
		}
		if strings.Count(log.String(), "clock") != 1 {
			t.Errorf("logged %s", log.String())
		}
	}
	// A clock that is right is no reason to ask again, nor is one that an answer does not tell.
	for name, answer := range map[string]http.HandlerFunc{
		"another reason": says(403, `{"message":"not authorized"}`),
		"no date":        says(403, `{"message":"Signature expired"}`, "Date", ""),
	} {
		s := newStage(t, Config{}, answer)
		got, err := s.client.Pay(t.Context(), request())
		if refused, ok := errors.AsType[*RefusedError](err); !ok || refused.Status != 403 || got.Attempts != 1 {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}
