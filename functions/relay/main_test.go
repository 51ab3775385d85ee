package main

import (
	"context"
	"encoding/json"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"payments-dr/internal/assembly/functionbuild"
	"payments-dr/internal/payment/start"
	"payments-dr/internal/simulation/eventbus"
	"payments-dr/internal/simulation/lambdaruntime"
)

// inbox is a queue that keeps what it gets.
type inbox struct {
	mu     sync.Mutex
	bodies []string
}

func (q *inbox) Send(_ context.Context, body string, _ map[string]string) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.bodies = append(q.bodies, body)
	return nil
}

// TestBinary runs the function that is deployed, against a simulated bus on the wire.
func TestBinary(t *testing.T) {
	binary, err := functionbuild.Build("../..", "relay", t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var calls int
	var refuse *eventbus.RequestError
	refusals := 0
	refusedEntries := map[string]int{"t1": 2} // how often an entry is still refused
	network := eventbus.New(t.Context(), eventbus.Config{})
	network.AddBus(region, "payments")
	queue := &inbox{}
	const arn = "arn:aws:sqs:us-east-1:000000000000:ledger"
	network.AddQueue(arn, queue)
	if err := network.AddRule(region, eventbus.Rule{
		Name: "ledger", Bus: "payments", Pattern: json.RawMessage(`{"source":["payment.processor"]}`), Targets: []eventbus.Target{{ID: "Queue", ARN: arn}},
	}); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(network.Endpoint(region, eventbus.EndpointConfig{
		Refuse: func(context.Context, []eventbus.Entry) *eventbus.RequestError {
			mu.Lock()
			defer mu.Unlock()
			calls++
			if refusals > 0 {
				refusals--
				return refuse
			}
			return nil
		},
		RefuseEntry: func(_ context.Context, _ int, entry eventbus.Entry) *eventbus.Result {
			mu.Lock()
			defer mu.Unlock()
			for id, left := range refusedEntries {
				if left > 0 && strings.Contains(entry.Detail, `"transaction_id":"`+id+`"`) {
					refusedEntries[id]--
					return &eventbus.Result{ErrorCode: "ThrottlingException", ErrorMessage: "Rate exceeded"}
				}
			}
			return nil
		},
	}))
	defer server.Close()
	var log lambdaruntime.Log
	environment, err := lambdaruntime.Start(lambdaruntime.Config{
		Binary: binary, Name: "relay", Region: region, MemoryMB: 256, Log: &log,
		Environment: map[string]string{"EVENT_BUS_NAME": "payments", "METRICS_NAMESPACE": "Payments", "AWS_ENDPOINT_URL_EVENTBRIDGE": server.URL},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer environment.Close()
	invoke := func(event events.DynamoDBEvent) []events.DynamoDBBatchItemFailure {
		t.Helper()
		payload, err := json.Marshal(event)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		answer, err := environment.Invoke(ctx, payload)
		if err != nil {
			t.Fatalf("%v\n%s", err, log.String())
		}
		var response events.DynamoDBEventResponse
		if err := json.Unmarshal(answer, &response); err != nil {
			t.Fatal(err)
		}
		return response.BatchItemFailures
	}
	set := func(n int, refusal *eventbus.RequestError) {
		mu.Lock()
		defer mu.Unlock()
		calls, refusals, refuse = 0, n, refusal
	}

	// Some entries refused, then taken.
	if failures := invoke(batch(12)); len(failures) > 0 {
		t.Errorf("reported %v", failures)
	}
	if calls != 4 {
		t.Errorf("%d calls, want 4: ten, one, one, two", calls)
	}
	// The whole call throttled, passing: the client's own retries.
	set(2, eventbus.Throttled())
	if failures := invoke(batch(1)); len(failures) > 0 || calls != 3 {
		t.Errorf("throttled twice: reported %v after %d calls", failures, calls)
	}
	// Throttled for good.
	set(1000, eventbus.Throttled())
	if failures := invoke(batch(2)); len(failures) != 1 || failures[0].ItemIdentifier != "1000" || calls != maxCallAttempts {
		t.Errorf("throttled for good: reported %v after %d calls", failures, calls)
	}
	// Permission missing: not retried.
	set(1000, &eventbus.RequestError{Code: "AccessDeniedException", Message: "simulated"})
	if failures := invoke(batch(2)); len(failures) != 1 || calls != 1 {
		t.Errorf("denied: reported %v after %d calls", failures, calls)
	}

	var got []string
	for _, body := range queue.bodies {
		var event eventbus.Event
		if err := json.Unmarshal([]byte(body), &event); err != nil {
			t.Fatal(err)
		}
		var detail struct {
			TransactionID string `json:"transaction_id"`
		}
		if err := json.Unmarshal(event.Detail, &detail); err != nil {
			t.Fatal(err)
		}
		got = append(got, detail.TransactionID)
		if event.Region != region || event.Time.Format(time.RFC3339) != "2026-11-22T03:04:05Z" {
			t.Errorf("event of %s at %v", event.Region, event.Time)
		}
	}
	want := slices.Concat(transactions(0, 12), transactions(0, 1))
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("events of %v, want %v", got, want)
	}
	environment.Close() // the log is whole when the process has ended
	if lines := strings.Count(log.String(), `"message":"batch"`); lines != 4 {
		t.Errorf("%d log lines, want 4:\n%s", lines, log.String())
	}
}

func TestBinaryNeedsItsEnvironment(t *testing.T) {
	t.Setenv("EVENT_BUS_NAME", "")
	t.Setenv("AWS_REGION", region)
	if _, err := start.Handler(t.Context(), "relay", newHandler); err == nil || !strings.Contains(err.Error(), "EVENT_BUS_NAME is not set") {
		t.Errorf("error %v", err)
	}
}
