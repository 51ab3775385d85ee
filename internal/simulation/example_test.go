package simulation_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"payments-dr/internal/eventbus"
	"payments-dr/internal/lambdaruntime"
	"payments-dr/internal/payment"
	"payments-dr/internal/simulation"
)

const busName = "payments"

// region is one Region of the example.
type region struct {
	name    string
	relay   *simulation.Function
	mapping *simulation.StreamMapping
	// ledger is the queue of every payment's event; relayed and undelivered are the dead-letter queues of the relay's mapping
	// and of the bus's rules.
	ledger, relayed, undelivered *simulation.Queue
}

func queueIn(region, name string) string { return "arn:aws:sqs:" + region + ":000000000000:" + name }

// accidents are seeded; they may be asked for concurrently.
type accidents struct {
	mu     sync.Mutex
	random *rand.Rand
	count  int
}

func (a *accidents) happen(probability float64) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	happens := a.random.Float64() < probability
	if happens {
		a.count++
	}
	return happens
}

// TestPaymentsReachBothLedgerQueues is the way of a payment from the table to the queues of both Regions: the relay's real
// binary, everything around it simulated, and accidents on all of the way.
func TestPaymentsReachBothLedgerQueues(t *testing.T) {
	const payments = 300
	ctx, cancel := context.WithTimeout(t.Context(), 80*time.Second)
	defer cancel()
	luck := &accidents{random: rand.New(rand.NewPCG(20261122, 0))}

	// The global table, with lost answers.
	table := newGlobalTable(t, 2, func(_ context.Context, _, operation string) *simulation.TableFault {
		if operation == "PutItem" && luck.happen(0.02) {
			return &simulation.TableFault{Written: true}
		}
		return nil
	})

	// The buses, with a bad line between the Regions.
	network := eventbus.New(ctx, eventbus.Config{
		Backoff: func(int) time.Duration { return 5 * time.Millisecond },
		Fault: func(_ context.Context, d eventbus.Delivery) error {
			if d.Target.ID == "Bus" && luck.happen(0.2) {
				return errors.New("simulated: no answer")
			}
			return nil
		},
	})
	var all []*region
	for i, name := range regions {
		r := &region{
			name:        name,
			ledger:      simulation.NewQueue(simulation.QueueConfig{ARN: queueIn(name, "ledger"), Seed: uint64(i)}),
			relayed:     simulation.NewQueue(simulation.QueueConfig{ARN: queueIn(name, "relay-undelivered")}),
			undelivered: simulation.NewQueue(simulation.QueueConfig{ARN: queueIn(name, "undelivered")}),
		}
		network.AddBus(name, busName)
		network.AddQueue(r.ledger.ARN(), r.ledger)
		network.AddQueue(r.undelivered.ARN(), r.undelivered)
		all = append(all, r)
	}
	for i, r := range all {
		other := all[1-i]
		rules := []eventbus.Rule{
			{Name: "ledger", Bus: busName, Pattern: json.RawMessage(`{"source":["payment.processor"]}`), Targets: []eventbus.Target{
				{ID: "Queue", ARN: r.ledger.ARN(), DeadLetterARN: r.undelivered.ARN(), RetryAttempts: 185, EventAge: time.Hour},
			}},
			{Name: "forward", Bus: busName, Pattern: fmt.Appendf(nil, `{"source":["payment.processor"],"region":[%q],"detail":{"region":[%q]}}`, r.name, r.name),
				Targets: []eventbus.Target{
					{ID: "Bus", ARN: "arn:aws:events:" + other.name + ":000000000000:event-bus/" + busName, DeadLetterARN: r.undelivered.ARN(), RetryAttempts: 185, EventAge: time.Hour},
				}},
		}
		for _, rule := range rules {
			if err := network.AddRule(r.name, rule); err != nil {
				t.Fatal(err)
			}
		}
	}

	// The relays, which are killed, throttled, and not answered.
	var running sync.WaitGroup
	running.Go(func() { <-ctx.Done() })
	for i, r := range all {
		endpoint := httptest.NewServer(network.Endpoint(r.name, eventbus.EndpointConfig{
			Refuse: func(context.Context, []eventbus.Entry) *eventbus.RequestError {
				if luck.happen(0.05) {
					return eventbus.Throttled()
				}
				return nil
			},
			RefuseEntry: func(context.Context, int, eventbus.Entry) *eventbus.Result {
				if luck.happen(0.05) {
					return &eventbus.Result{ErrorCode: "InternalFailure", ErrorMessage: "simulated"}
				}
				return nil
			},
			LoseAnswer: func(context.Context, []eventbus.Entry) bool { return luck.happen(0.03) },
		}))
		defer endpoint.Close()
		r.relay = simulation.NewFunction(simulation.FunctionConfig{
			Runtime: lambdaruntime.Config{
				Binary: relayBinary, Name: "relay", Region: r.name, MemoryMB: 256, Log: io.Discard,
				Environment: map[string]string{"EVENT_BUS_NAME": busName, "METRICS_NAMESPACE": "Payments", "AWS_ENDPOINT_URL_EVENTBRIDGE": endpoint.URL},
			},
			Concurrency: 2, Timeout: 10 * time.Second, KillProbability: 0.2, KillWithin: 20 * time.Millisecond, Seed: uint64(i + 1),
		})
		defer r.relay.Close()
		var err error
		if r.mapping, err = simulation.NewStreamMapping(simulation.StreamMappingConfig{
			Stream: table.streams[r.name], Function: r.relay, BatchSize: 8, ReportBatchItemFailures: true, BisectBatchOnFunctionError: true,
			MaximumRetryAttempts: -1, OnFailure: r.relayed, Backoff: func(int) time.Duration { return 5 * time.Millisecond },
			Filters: []string{fmt.Sprintf(`{"eventName":["INSERT"],"dynamodb":{"NewImage":{"status":{"S":["processed"]},"region":{"S":[%q]}}}}`, r.name)},
		}); err != nil {
			t.Fatal(err)
		}
		running.Go(func() {
			if err := r.mapping.Run(ctx); err != nil {
				t.Error(err)
			}
		})
	}

	// The payments, each sent to one Region or to both.
	started := time.Now()
	accepted := sendPayments(t, table, payments)
	for _, r := range all {
		if err := r.mapping.WaitCaughtUp(ctx); err != nil {
			t.Fatalf("%s: %d records behind: %v", r.name, r.mapping.Behind(), err)
		}
	}
	if err := network.Wait(ctx); err != nil {
		t.Fatalf("%d deliveries wait: %v", network.Pending(), err)
	}
	took := time.Since(started)
	cancel()
	running.Wait()

	killed := 0
	// Each payment is in both queues, as it was accepted, whatever else is there twice.
	for _, r := range all {
		arrived := map[payment.Identity]payment.Payment{}
		messages := r.ledger.Messages()
		for _, message := range messages {
			var event eventbus.Event
			if err := json.Unmarshal([]byte(message.Body), &event); err != nil {
				t.Fatal(err)
			}
			p, err := payment.ParseEventDetail(event.Detail)
			if err != nil {
				t.Fatal(err)
			}
			if event.Region != p.Region {
				t.Errorf("an event of %s has a payment of %s", event.Region, p.Region)
			}
			arrived[p.Identity] = p
		}
		for id, p := range accepted {
			if got, there := arrived[id]; !there || !got.Equal(p) {
				t.Errorf("%s: payment %v is %+v, want %+v", r.name, id, got, p)
			}
		}
		if len(arrived) != payments {
			t.Errorf("%s: %d payments arrived, want %d", r.name, len(arrived), payments)
		}
		if len(messages) == payments {
			t.Errorf("%s: no event came twice; the accidents have done nothing", r.name)
		}
		for _, queue := range []*simulation.Queue{r.relayed, r.undelivered} {
			if n := len(queue.Messages()); n != 0 {
				t.Errorf("%d messages in %s", n, queue.ARN())
			}
		}
		stats := r.relay.Stats()
		killed += stats.Killed
		t.Logf("%s: %d payments in %d messages; relay %+v", r.name, len(arrived), len(messages), stats)
	}
	if killed == 0 {
		t.Error("no relay was killed")
	}
	t.Logf("%d payments in %v with %d accidents", payments, took.Round(time.Millisecond), luck.count)
}

// TestRecordThatIsNoPaymentEndsAlone puts a record among payments that looks like one and is none: the relay and the mapping's
// bisecting take it, and nothing else, to the failure destination.
func TestRecordThatIsNoPaymentEndsAlone(t *testing.T) {
	const payments, bad = 20, 7
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	ledger, relayed := simulation.NewQueue(simulation.QueueConfig{ARN: queueIn(east, "ledger")}), simulation.NewQueue(simulation.QueueConfig{})
	network := eventbus.New(ctx, eventbus.Config{})
	network.AddBus(east, busName)
	network.AddQueue(ledger.ARN(), ledger)
	if err := network.AddRule(east, eventbus.Rule{
		Name: "ledger", Bus: busName, Pattern: json.RawMessage(`{"source":["payment.processor"]}`), Targets: []eventbus.Target{{ID: "Queue", ARN: ledger.ARN()}},
	}); err != nil {
		t.Fatal(err)
	}
	endpoint := httptest.NewServer(network.Endpoint(east, eventbus.EndpointConfig{}))
	defer endpoint.Close()
	relay := simulation.NewFunction(simulation.FunctionConfig{Timeout: 10 * time.Second, Runtime: lambdaruntime.Config{
		Binary: relayBinary, Name: "relay", Region: east, MemoryMB: 256, Log: io.Discard,
		Environment: map[string]string{"EVENT_BUS_NAME": busName, "AWS_ENDPOINT_URL_EVENTBRIDGE": endpoint.URL},
	}})
	defer relay.Close()

	stream := simulation.NewStream(simulation.StreamConfig{Region: east})
	text := events.NewStringAttribute
	for i := range payments {
		amount := "1.00"
		if i == bad {
			amount = "1.001"
		}
		keys := map[string]events.DynamoDBAttributeValue{"session_id": text("s"), "transaction_id": text(fmt.Sprint("t", i))}
		image := map[string]events.DynamoDBAttributeValue{
			"session_id": keys["session_id"], "transaction_id": keys["transaction_id"], "amount": text(amount), "currency": text("USD"),
			"timestamp": text("2026-11-22T03:04:05.678901Z"), "region": text(east), "status": text("processed"),
		}
		if err := stream.Append(events.DynamoDBOperationTypeInsert, keys, image, nil); err != nil {
			t.Fatal(err)
		}
	}
	mapping, err := simulation.NewStreamMapping(simulation.StreamMappingConfig{
		Stream: stream, Function: relay, ReportBatchItemFailures: true, BisectBatchOnFunctionError: true, MaximumRetryAttempts: 2, OnFailure: relayed,
		Backoff: func(int) time.Duration { return time.Millisecond },
	})
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() { _ = mapping.Run(ctx) }) // without filters it has no error
	if err := mapping.WaitCaughtUp(ctx); err != nil {
		t.Fatal(err)
	}
	cancel()
	running.Wait()

	arrived := map[string]bool{}
	for _, message := range ledger.Messages() {
		var event eventbus.Event
		if err := json.Unmarshal([]byte(message.Body), &event); err != nil {
			t.Fatal(err)
		}
		p, err := payment.ParseEventDetail(event.Detail)
		if err != nil {
			t.Fatal(err)
		}
		arrived[p.TransactionID] = true
	}
	if len(arrived) != payments-1 || arrived[fmt.Sprint("t", bad)] {
		t.Errorf("arrived %v, want all but t%d", arrived, bad)
	}
	given := relayed.Messages()
	if len(given) != 1 {
		t.Fatalf("%d batches given up, want 1: %+v", len(given), given)
	}
	var message struct{ DDBStreamBatchInfo simulation.BatchInfo }
	if err := json.Unmarshal([]byte(given[0].Body), &message); err != nil {
		t.Fatal(err)
	}
	want := stream.Records()[bad].Change.SequenceNumber
	if info := message.DDBStreamBatchInfo; info.BatchSize != 1 || info.StartSequenceNumber != want || info.EndSequenceNumber != want {
		t.Errorf("given up %+v, want %s alone", info, want)
	}
	t.Logf("%d messages for %d payments; relay %+v", len(ledger.Messages()), payments-1, relay.Stats())
}

// sendPayments sends payments to one Region or both, until each is accepted, and returns them as the table has them.
func sendPayments(t *testing.T, table *globalTable, count int) map[payment.Identity]payment.Payment {
	t.Helper()
	accepted := map[payment.Identity]payment.Payment{}
	var mu sync.Mutex
	var senders sync.WaitGroup
	work := make(chan int)
	for range 4 {
		senders.Go(func() {
			for i := range work {
				at := []string{regions[i%2]}
				if i%5 == 0 {
					at = append(at, regions[1-i%2])
				}
				for _, name := range at {
					p := newPayment(t, name, fmt.Sprintf("t%d", i))
					for {
						got, _, err := table.table(name).Accept(t.Context(), p)
						if known, ok := errors.AsType[*payment.Error](err); ok && known.Code == payment.CodeUnavailable {
							continue
						}
						if err != nil {
							t.Error(err)
						}
						mu.Lock()
						accepted[p.Identity] = got
						mu.Unlock()
						break
					}
				}
			}
		})
	}
	for i := range count {
		work <- i
	}
	close(work)
	senders.Wait()
	return accepted
}
