package load_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"

	"payments-dr/client"
	"payments-dr/internal/drill"
	"payments-dr/internal/drill/load"
	"payments-dr/internal/payment"
)

// No more is sent than is allowed, all of it marked, and each attempt is told.
func TestLoadIsBoundedAndMarked(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	sessions, told := map[string]int{}, 0
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var p map[string]string
		if err := json.NewDecoder(r.Body).Decode(&p); err != nil || p["currency"] != payment.TestCurrency {
			t.Errorf("a payment is %v: %v", p, err)
		}
		mu.Lock()
		sessions[p["session_id"]]++
		mu.Unlock()
		w.Header().Set("X-Region", "us-east-1")
		fmt.Fprintf(w, `{"transaction_id":%q,"session_id":%q,"amount":%s,"currency":%q,"region":"us-east-1"}`, p["transaction_id"], p["session_id"], p["amount"], p["currency"])
	}))
	defer api.Close()
	recorder := &drill.Recorder{}
	l, err := load.New(load.Config{
		Clock: load.Wall{}, Rate: 200, Clients: 3, Most: 12, URL: api.URL, Credentials: credentials.NewStaticCredentialsProvider("AKID", "secret", ""),
		SessionPrefix: "drill-x-", Currency: payment.TestCurrency, Recorder: recorder,
		Attempted: func(drill.Attempt) { mu.Lock(); told++; mu.Unlock() },
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	l.Run(ctx)
	if ctx.Err() != nil || l.Sent() != 12 || len(l.Acknowledged()) != 12 || told != 12 || len(sessions) != 12 {
		t.Errorf("%v: %d sent, %d acknowledged, %d attempts told, sessions %v", ctx.Err(), l.Sent(), len(l.Acknowledged()), told, sessions)
	}
	for session := range sessions {
		if !strings.HasPrefix(session, "drill-x-") {
			t.Errorf("a payment is of the session %s", session)
		}
	}
	if load.Session("drill-x-", load.Sessions+3) != "drill-x-3" {
		t.Errorf("the payment %d is of the session %s", load.Sessions+3, load.Session("drill-x-", load.Sessions+3))
	}
}

// An API that fails gets hardly more requests than payments.
func TestRetriesAreLimitedOverAllPayments(t *testing.T) {
	t.Parallel()
	var requests atomic.Int64
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		requests.Add(1)
		http.Error(w, `{"error":"internal error","region":"us-east-1"}`, http.StatusInternalServerError)
	}))
	defer api.Close()
	l, err := load.New(load.Config{
		Clock: load.Wall{}, Rate: 1000, Clients: 1, Most: 200, URL: api.URL, Credentials: credentials.NewStaticCredentialsProvider("AKID", "secret", ""),
		SessionPrefix: "drill-x-", Currency: payment.TestCurrency, Recorder: &drill.Recorder{},
	})
	if err != nil {
		t.Fatal(err)
	}
	l.Run(t.Context())
	if got := requests.Load(); l.Sent() != 200 || got != 210 { // ten retries
		t.Errorf("%d payments made %d requests, want 200 and 210", l.Sent(), got)
	}
}

// Whoever may not sign sends nothing, and that is told as what it is.
func TestLoadWithoutCredentials(t *testing.T) {
	t.Parallel()
	recorder := &drill.Recorder{}
	l, err := load.New(load.Config{Clock: load.Wall{}, Rate: 100, Clients: 1, Most: 3, URL: "https://127.0.0.1:1", SessionPrefix: "drill-x-", Recorder: recorder})
	if err != nil {
		t.Fatal(err)
	}
	l.Run(t.Context())
	report, err := drill.Measure(recorder, drill.Run{Banner: "a test"})
	if err != nil || report.Totals.Failed != 3 || report.Totals.Attempts != 0 {
		t.Errorf("%+v, %v", report.Totals, err)
	}
}

// Every second client fails over between the Regions. The public name leads to a Region that fails all requests.
func TestTheLoadHasTwoKindsOfClients(t *testing.T) {
	t.Parallel()
	places := map[string]string{}
	for region, status := range map[string]int{"us-east-1": http.StatusInternalServerError, "us-west-2": http.StatusOK} {
		api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			var p map[string]string
			_ = json.NewDecoder(r.Body).Decode(&p)
			w.Header().Set("X-Region", region)
			w.WriteHeader(status)
			fmt.Fprintf(w, `{"transaction_id":%q,"session_id":%q,"amount":%s,"currency":"USD","region":%q}`, p["transaction_id"], p["session_id"], p["amount"], region)
		}))
		defer api.Close()
		places[region] = api.Listener.Addr().String()
	}
	recorder := &drill.Recorder{}
	l, err := load.New(load.Config{
		Clock: load.Wall{}, Rate: 200, Clients: 4, Most: 20, URL: "http://127.0.0.1", Credentials: credentials.NewStaticCredentialsProvider("AKID", "secret", ""),
		Regions: []client.Region{{Name: "us-east-1", Host: "us-east-1.region.api.example.com"}, {Name: "us-west-2", Host: "us-west-2.region.api.example.com"}},
		Answer:  func() (string, time.Duration, error) { return "us-east-1", time.Second, nil },
		Address: func(region string) string { return places[region] }, SessionPrefix: "drill-x-", Recorder: recorder,
	})
	if err != nil {
		t.Fatal(err)
	}
	l.Run(t.Context())
	report, err := drill.Measure(recorder, drill.Run{Banner: "a test"})
	if err != nil || len(report.Clients) != 2 {
		t.Fatalf("%+v, %v", report.Clients, err)
	}
	for _, c := range report.Clients {
		if want := map[drill.ClientKind]int{drill.ClientDNS: 10}[c.Kind]; c.Requests != 10 || c.Failed != want {
			t.Errorf("%s: %d of %d requests failed, want %d of 10", c.Kind, c.Failed, c.Requests, want)
		}
	}
}
