package simulation_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"payments-dr/internal/payment"
	"payments-dr/internal/simulation"
	"payments-dr/internal/simulation/eventbus"
	"payments-dr/internal/simulation/lambdaruntime"
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

// platform is both Regions from the table to the ledger queues.
type platform struct {
	table   *globalTable
	network *eventbus.Network
	regions []*region
	luck    *accidents
	// lost is the Region that nobody reaches, or empty.
	lost atomic.Value
}

func (p *platform) isLost(region string) bool { return p.lost.Load() == region }

// lose takes a Region away, in the middle of what it does; empty brings all back.
func (p *platform) lose(name string) {
	p.lost.Store(name)
	for _, r := range p.regions {
		r.relay.SetDown(r.name == name)
	}
}

// newPlatform is running when it is returned, and ends with the context; wait waits for that. Accidents happen all the way:
// lost answers of the table and of the buses, refused calls and entries, a bad line between the Regions, killed relays.
func newPlatform(t *testing.T, ctx context.Context, seed uint64) (p *platform, wait func()) {
	t.Helper()
	p = &platform{luck: &accidents{random: rand.New(rand.NewPCG(seed, 0))}}
	p.lost.Store("")
	p.table = newGlobalTable(t, 2, func(_ context.Context, name, operation string) *simulation.TableFault {
		switch {
		case p.isLost(name):
			return &simulation.TableFault{}
		case operation == "PutItem" && p.luck.happen(0.02):
			return &simulation.TableFault{Written: true}
		}
		return nil
	})
	p.network = eventbus.New(ctx, eventbus.Config{
		Backoff: func(int) time.Duration { return 5 * time.Millisecond },
		Fault: func(_ context.Context, d eventbus.Delivery) error {
			cross := d.Target.ID == "Bus"
			if p.isLost(d.Region) || cross && (p.lost.Load() != "" || p.luck.happen(0.2)) {
				return errors.New("simulated: no answer")
			}
			return nil
		},
	})
	for i, name := range regions {
		r := &region{
			name:        name,
			ledger:      simulation.NewQueue(simulation.QueueConfig{ARN: queueIn(name, "ledger"), Seed: seed + uint64(i)}),
			relayed:     simulation.NewQueue(simulation.QueueConfig{ARN: queueIn(name, "relay-undelivered")}),
			undelivered: simulation.NewQueue(simulation.QueueConfig{ARN: queueIn(name, "undelivered")}),
		}
		p.network.AddBus(name, busName)
		p.network.AddQueue(r.ledger.ARN(), r.ledger)
		p.network.AddQueue(r.undelivered.ARN(), r.undelivered)
		p.regions = append(p.regions, r)
	}
	var running sync.WaitGroup
	for i, r := range p.regions {
		p.addRules(t, r, p.regions[1-i])
		endpoint := httptest.NewServer(p.network.Endpoint(r.name, eventbus.EndpointConfig{
			Refuse: func(context.Context, []eventbus.Entry) *eventbus.RequestError {
				if p.luck.happen(0.05) {
					return eventbus.Throttled()
				}
				return nil
			},
			RefuseEntry: func(context.Context, int, eventbus.Entry) *eventbus.Result {
				if p.luck.happen(0.05) {
					return &eventbus.Result{ErrorCode: "InternalFailure", ErrorMessage: "simulated"}
				}
				return nil
			},
			LoseAnswer: func(context.Context, []eventbus.Entry) bool { return p.luck.happen(0.03) },
		}))
		t.Cleanup(endpoint.Close)
		r.relay = simulation.NewFunction(simulation.FunctionConfig{
			Runtime: lambdaruntime.Config{
				Binary: relayBinary, Name: "relay", Region: r.name, MemoryMB: 256, Log: io.Discard,
				Environment: map[string]string{"EVENT_BUS_NAME": busName, "METRICS_NAMESPACE": "Payments", "AWS_ENDPOINT_URL_EVENTBRIDGE": endpoint.URL},
			},
			Concurrency: 2, Timeout: 10 * time.Second, KillProbability: 0.2, KillWithin: 20 * time.Millisecond, Seed: seed + uint64(i),
		})
		t.Cleanup(r.relay.Close)
		var err error
		if r.mapping, err = simulation.NewStreamMapping(simulation.StreamMappingConfig{
			Stream: p.table.streams[r.name], Function: r.relay, BatchSize: 8, ReportBatchItemFailures: true, BisectBatchOnFunctionError: true,
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
	return p, running.Wait
}

// addRules adds the rules of a Region's bus: every payment to its ledger queue, its own to the other Region.
func (p *platform) addRules(t *testing.T, r, other *region) {
	t.Helper()
	for _, rule := range []eventbus.Rule{
		{Name: "ledger", Bus: busName, Pattern: json.RawMessage(`{"source":["payment.processor"]}`), Targets: []eventbus.Target{
			{ID: "Queue", ARN: r.ledger.ARN(), DeadLetterARN: r.undelivered.ARN(), RetryAttempts: 10_000, EventAge: time.Hour},
		}},
		{Name: "forward", Bus: busName, Pattern: fmt.Appendf(nil, `{"source":["payment.processor"],"region":[%q],"detail":{"region":[%q]}}`, r.name, r.name),
			Targets: []eventbus.Target{
				{ID: "Bus", ARN: "arn:aws:events:" + other.name + ":000000000000:event-bus/" + busName, DeadLetterARN: r.undelivered.ARN(), RetryAttempts: 10_000, EventAge: time.Hour},
			}},
	} {
		if err := p.network.AddRule(r.name, rule); err != nil {
			t.Fatal(err)
		}
	}
}

// settle waits until everything that was accepted is on its way no more.
func (p *platform) settle(t *testing.T, ctx context.Context) {
	t.Helper()
	for _, r := range p.regions {
		if err := r.mapping.WaitCaughtUp(ctx); err != nil {
			t.Fatalf("%s: %d records behind: %v", r.name, r.mapping.Behind(), err)
		}
	}
	if err := p.network.Wait(ctx); err != nil {
		t.Fatalf("%d deliveries wait: %v", p.network.Pending(), err)
	}
}

// arrived are the payments in a Region's ledger queue, and how many messages they are in.
func (r *region) arrived(t *testing.T) (payments map[payment.Identity]payment.Payment, messages int) {
	t.Helper()
	payments = map[payment.Identity]payment.Payment{}
	for _, message := range r.ledger.Messages() {
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
		payments[p.Identity] = p
		messages++
	}
	return payments, messages
}

// wantArrived checks that each accepted payment is in a Region's ledger queue as it was accepted, and nothing else, and that
// nothing is in a dead-letter queue.
func (r *region) wantArrived(t *testing.T, accepted map[payment.Identity]payment.Payment) {
	t.Helper()
	arrived, messages := r.arrived(t)
	for id, p := range accepted {
		if got, there := arrived[id]; !there || !got.Equal(p) {
			t.Errorf("%s: payment %v is %+v, want %+v", r.name, id, got, p)
		}
	}
	if len(arrived) != len(accepted) {
		t.Errorf("%s: %d payments arrived, want %d", r.name, len(arrived), len(accepted))
	}
	for _, queue := range []*simulation.Queue{r.relayed, r.undelivered} {
		if n := len(queue.Messages()); n != 0 {
			t.Errorf("%d messages in %s", n, queue.ARN())
		}
	}
	t.Logf("%s: %d payments in %d messages; relay %+v", r.name, len(arrived), messages, r.relay.Stats())
}

// TestPaymentsReachBothLedgerQueues is the way of a payment from the table to the queues of both Regions: the relay's real
// binary, everything around it simulated, and accidents on all of the way.
func TestPaymentsReachBothLedgerQueues(t *testing.T) {
	const payments = 300
	ctx, cancel := context.WithTimeout(t.Context(), 80*time.Second)
	defer cancel()
	p, wait := newPlatform(t, ctx, 20261122)
	started := time.Now()
	accepted := sendPayments(t, p.table, "t", payments, regions)
	p.settle(t, ctx)
	t.Logf("%d payments in %v with %d accidents", payments, time.Since(started).Round(time.Millisecond), p.luck.count)
	cancel()
	wait()
	killed, messages := 0, 0
	for _, r := range p.regions {
		r.wantArrived(t, accepted)
		_, n := r.arrived(t)
		messages += n
		killed += r.relay.Stats().Killed
	}
	if len(accepted) != payments {
		t.Errorf("%d payments accepted, want %d", len(accepted), payments)
	}
	if killed == 0 || messages == 2*payments {
		t.Errorf("%d relays killed, %d messages: the accidents have done nothing", killed, messages)
	}
}

// TestRegionIsLostAndComesBack loses a Region in the middle of payments: the other goes on by itself, and when the Region is
// back, both have everything.
func TestRegionIsLostAndComesBack(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 80*time.Second)
	defer cancel()
	p, wait := newPlatform(t, ctx, 1)
	survivor, lost := p.regions[0], p.regions[1]
	accepted := sendPayments(t, p.table, "before", 60, regions)
	p.lose(lost.name)
	atLoss, _ := lost.arrived(t)
	during := sendPayments(t, p.table, "during", 60, []string{survivor.name})
	if err := survivor.mapping.WaitCaughtUp(ctx); err != nil {
		t.Fatal(err)
	}
	here, _ := survivor.arrived(t)
	for id := range during {
		if _, there := here[id]; !there {
			t.Errorf("payment %v waits for the lost Region", id)
		}
	}
	if now, _ := lost.arrived(t); len(now) != len(atLoss) {
		t.Errorf("the lost Region has %d payments, at its loss %d", len(now), len(atLoss))
	}
	if p.network.Pending() < len(during) {
		t.Errorf("%d deliveries wait for the lost Region, want those of %d payments", p.network.Pending(), len(during))
	}
	p.lose("")
	maps.Copy(accepted, during)
	maps.Copy(accepted, sendPayments(t, p.table, "after", 60, regions))
	p.settle(t, ctx)
	cancel()
	wait()
	for _, r := range p.regions {
		r.wantArrived(t, accepted)
	}
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
		Environment: map[string]string{"EVENT_BUS_NAME": busName, "METRICS_NAMESPACE": "Payments", "AWS_ENDPOINT_URL_EVENTBRIDGE": endpoint.URL},
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

// sendPayments sends payments to one of some Regions, every fifth to all of them, until each is accepted, and returns them as
// the table has them.
func sendPayments(t *testing.T, table *globalTable, prefix string, count int, to []string) map[payment.Identity]payment.Payment {
	t.Helper()
	accepted := map[payment.Identity]payment.Payment{}
	var mu sync.Mutex
	var senders sync.WaitGroup
	work := make(chan int)
	for range 4 {
		senders.Go(func() {
			for i := range work {
				at := []string{to[i%len(to)]}
				if i%5 == 0 {
					at = to
				}
				for _, name := range at {
					p := newPayment(t, name, fmt.Sprint(prefix, i))
					for t.Context().Err() == nil {
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
