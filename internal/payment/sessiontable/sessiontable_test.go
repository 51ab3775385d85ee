package sessiontable_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/bojanz/currency"

	"payments-dr/internal/payment"
	"payments-dr/internal/payment/sessiontable"
	"payments-dr/internal/simulation/localdynamodb"
)

const region = "us-east-1"

var server *localdynamodb.Server

func TestMain(m *testing.M) { localdynamodb.Main(m, "../../..", &server) }

// newTable is a new, empty table behind a real DynamoDB API.
func newTable(t *testing.T) *sessiontable.Table {
	t.Helper()
	name := strings.NewReplacer("/", ".").Replace(t.Name())
	if _, err := server.CreateTable(t.Context(), region, name, payment.AttributeSessionID, payment.AttributeTransactionID); err != nil {
		t.Fatal(err)
	}
	return sessiontable.New(sessiontable.NewClient(server.Config(region)), name)
}

func newPayment(t *testing.T, session, transaction, number, code string) payment.Payment {
	t.Helper()
	amount, err := currency.NewAmount(number, code)
	if err != nil {
		t.Fatal(err)
	}
	return payment.Payment{
		Identity: payment.Identity{SessionID: session, TransactionID: transaction}, Amount: amount, Region: region,
		Timestamp: time.Date(2026, 11, 22, 3, 0, 0, 123456000, time.UTC), Status: payment.StatusProcessed,
	}
}

func wantCode(t *testing.T, err error, code payment.Code) {
	t.Helper()
	known, ok := errors.AsType[*payment.Error](err)
	if !ok || known.Code != code {
		t.Fatalf("error %v, want code %s", err, code)
	}
}

func TestAcceptOnce(t *testing.T) {
	table := newTable(t)
	first := newPayment(t, "s", "t", "12.34", "USD")
	accepted, replayed, err := table.Accept(t.Context(), first)
	if err != nil || replayed || !accepted.Equal(first) {
		t.Fatalf("first: %+v, replayed %v, %v", accepted, replayed, err)
	}

	again := first
	again.Timestamp, again.Region = again.Timestamp.Add(time.Hour), "us-west-2"
	accepted, replayed, err = table.Accept(t.Context(), again)
	if err != nil || !replayed || !accepted.Equal(first) {
		t.Fatalf("again: %+v, replayed %v, %v; want it as first accepted", accepted, replayed, err)
	}

	for _, other := range []payment.Payment{newPayment(t, "s", "t", "12.35", "USD"), newPayment(t, "s", "t", "12.34", "EUR")} {
		_, _, err := table.Accept(t.Context(), other)
		wantCode(t, err, payment.CodeConflict)
	}
	stored, err := table.Get(t.Context(), first.Identity)
	if err != nil || !stored.Equal(first) {
		t.Fatalf("stored %+v, %v", stored, err)
	}
}

func TestAcceptIsNoReplayOfItself(t *testing.T) {
	// The write succeeds and its answer is lost; the SDK tries again and is refused by its own item.
	var calls atomic.Int32
	lossy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		response := forward(t, r)
		if strings.HasSuffix(r.Header.Get("X-Amz-Target"), ".PutItem") && calls.Add(1) == 1 {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		copyResponse(w, response)
	}))
	defer lossy.Close()
	newTable(t)
	config := server.Config(region)
	config.BaseEndpoint = aws.String(lossy.URL)
	p := newPayment(t, "s", "t", "1.00", "USD")
	_, replayed, err := sessiontable.New(sessiontable.NewClient(config), t.Name()).Accept(t.Context(), p)
	if err != nil || replayed {
		t.Fatalf("replayed %v, %v; want accepted", replayed, err)
	}
	if calls.Load() != 2 {
		t.Errorf("%d writes, want 2", calls.Load())
	}
}

func TestAcceptConcurrently(t *testing.T) {
	table := newTable(t)
	const senders = 32
	var first, replays atomic.Int32
	var all sync.WaitGroup
	for i := range senders {
		all.Go(func() {
			p := newPayment(t, "s", "t", "7.00", "USD")
			p.Timestamp = p.Timestamp.Add(time.Duration(i) * time.Second)
			_, replayed, err := table.Accept(t.Context(), p)
			switch {
			case err != nil:
				t.Error(err)
			case replayed:
				replays.Add(1)
			default:
				first.Add(1)
			}
		})
	}
	all.Wait()
	if first.Load() != 1 || replays.Load() != senders-1 {
		t.Errorf("%d accepted, %d replayed; want 1 and %d", first.Load(), replays.Load(), senders-1)
	}
}

func TestReplicatedWriteConflictIsTriedAgain(t *testing.T) {
	for _, tt := range []struct {
		name      string
		conflicts int32
		calls     int32
		code      payment.Code
	}{
		{"passing", 2, 3, ""},
		{"lasting", 1000, 4, payment.CodeUnavailable},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var calls atomic.Int32
			conflicted := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if calls.Add(1) <= tt.conflicts {
					fail(w, http.StatusBadRequest, "ReplicatedWriteConflictException")
					return
				}
				_, _ = w.Write([]byte("{}"))
			}))
			defer conflicted.Close()
			_, _, err := at(conflicted.URL).Accept(t.Context(), newPayment(t, "s", "t", "1.00", "USD"))
			if tt.code == "" && err != nil {
				t.Fatal(err)
			}
			if tt.code != "" {
				wantCode(t, err, tt.code)
			}
			if calls.Load() != tt.calls {
				t.Errorf("%d calls, want %d", calls.Load(), tt.calls)
			}
		})
	}
}

func TestFailuresAreClassified(t *testing.T) {
	for _, tt := range []struct {
		name, exception string
		status          int
		unavailable     bool
	}{
		{"throttled", "ThrottlingException", http.StatusBadRequest, true},
		{"over the table's throughput", "ProvisionedThroughputExceededException", http.StatusBadRequest, true},
		{"broken inside", "InternalServerError", http.StatusInternalServerError, true},
		{"no such table", "ResourceNotFoundException", http.StatusBadRequest, true},
		{"no permission", "AccessDeniedException", http.StatusBadRequest, true},
		{"our own fault", "ValidationException", http.StatusBadRequest, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			failing := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fail(w, tt.status, tt.exception) }))
			defer failing.Close()
			table := at(failing.URL)
			_, _, acceptErr := table.Accept(t.Context(), newPayment(t, "s", "t", "1.00", "USD"))
			_, getErr := table.Get(t.Context(), payment.Identity{SessionID: "s", TransactionID: "t"})
			_, _, listErr := table.List(t.Context(), "s", "", 1)
			_, probeErr := table.Probe(t.Context(), region, time.Now(), time.Minute)
			for _, err := range []error{acceptErr, getErr, listErr, probeErr} {
				if tt.unavailable {
					wantCode(t, err, payment.CodeUnavailable)
				} else if known, ok := errors.AsType[*payment.Error](err); ok || err == nil {
					t.Errorf("error %v, code %v; want one that no client sees", err, known)
				}
			}
		})
	}
}

func TestGetAndList(t *testing.T) {
	table := newTable(t)
	_, err := table.Get(t.Context(), payment.Identity{SessionID: "s", TransactionID: "t"})
	wantCode(t, err, payment.CodeNotFound)
	_, _, err = table.List(t.Context(), "s", "", 10)
	wantCode(t, err, payment.CodeNotFound)

	for i := range 5 {
		if _, _, err := table.Accept(t.Context(), newPayment(t, "s", fmt.Sprintf("t%d", i), "1.00", "USD")); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := table.Accept(t.Context(), newPayment(t, "other", "t9", "1.00", "USD")); err != nil {
		t.Fatal(err)
	}
	var seen []string
	for after, more := "", true; more; {
		var page []payment.Payment
		if page, more, err = table.List(t.Context(), "s", after, 2); err != nil {
			t.Fatal(err)
		}
		for _, p := range page {
			seen = append(seen, p.TransactionID)
			after = p.TransactionID
		}
	}
	if got := strings.Join(seen, " "); got != "t0 t1 t2 t3 t4" {
		t.Errorf("pages hold %s", got)
	}
}

func TestProbeLeavesNoPayment(t *testing.T) {
	table := newTable(t)
	for range 2 {
		if _, err := table.Probe(t.Context(), region, time.Now(), time.Minute); err != nil {
			t.Fatal(err)
		}
	}
	client := sessiontable.NewClient(server.Config(region))
	items := scan(t, client, t.Name())
	if len(items) != 1 {
		t.Fatalf("%d items, want the one probe", len(items))
	}
	if _, ok := items[0][payment.AttributeStatus]; ok {
		t.Error("the probe has a status, as a payment does")
	}
	session := stringOf(items[0][payment.AttributeSessionID])
	if payment.CheckNewID("session_id", session) == nil || payment.CheckStoredID("session_id", session) == nil {
		t.Error("a payment could have the probe's session")
	}
}

// Each Region's probes are its own, and an interruption is remembered by whichever function answers the next one.
func TestProbesRememberAnInterruption(t *testing.T) {
	table := newTable(t)
	start := time.Date(2026, 11, 27, 3, 0, 0, 123456789, time.UTC)
	for _, tt := range []struct {
		region    string
		at, since time.Duration // after start; a since of -1 is none
	}{
		{region, 0, -1},
		{region, 20 * time.Second, -1}, // as long as the limit is not longer
		{region, 40*time.Second + 1, 40*time.Second + 1},
		{region, 45 * time.Second, 40*time.Second + 1},
		{"us-west-2", 100 * time.Second, -1},
		{region, 60 * time.Second, 40*time.Second + 1},
		{region, 44 * time.Second, 40*time.Second + 1}, // a slow request ends after a later one
		{region, time.Hour, time.Hour},
	} {
		since, err := table.Probe(t.Context(), tt.region, start.Add(tt.at), 20*time.Second)
		want := time.Time{}
		if tt.since >= 0 {
			want = start.Add(tt.since)
		}
		if err != nil || !since.Equal(want) {
			t.Errorf("probe of %s after %v: since %v, %v; want %v", tt.region, tt.at, since, err, want)
		}
	}
}

func TestDeadTableCostsSeconds(t *testing.T) {
	blackHole, err := net.Listen("tcp", "127.0.0.1:0") // takes connections and never says a word
	if err != nil {
		t.Fatal(err)
	}
	defer blackHole.Close()
	refused := httptest.NewServer(http.NotFoundHandler())
	refused.Close()
	for name, url := range map[string]string{"black hole": "http://" + blackHole.Addr().String(), "refused": refused.URL} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
			defer cancel()
			started := time.Now()
			_, _, err := at(url).Accept(ctx, newPayment(t, "s", "t", "1.00", "USD"))
			wantCode(t, err, payment.CodeUnavailable)
			if took := time.Since(started); took > 3*time.Second {
				t.Errorf("took %v", took)
			}
		})
	}
}

func at(url string) *sessiontable.Table {
	return sessiontable.New(sessiontable.NewClient(aws.Config{
		Region: region, BaseEndpoint: aws.String(url), Credentials: credentials.NewStaticCredentialsProvider("simulated", "simulated", ""),
	}), "table")
}

func fail(w http.ResponseWriter, status int, exception string) {
	w.Header().Set("Content-Type", "application/x-amz-json-1.0")
	w.WriteHeader(status)
	fmt.Fprintf(w, `{"__type":"com.amazonaws.dynamodb.v20120810#%s","message":"simulated"}`, exception)
}
