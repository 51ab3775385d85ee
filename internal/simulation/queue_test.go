package simulation_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"payments-dr/internal/simulation"
)

const queueARN = "arn:aws:sqs:us-east-1:000000000000:ledger"

func send(t *testing.T, q *simulation.Queue, from, to int) {
	t.Helper()
	for i := from; i < to; i++ {
		if err := q.Send(t.Context(), strconv.Itoa(i), map[string]string{"NAME": "value"}); err != nil {
			t.Fatal(err)
		}
	}
}

func bodies(messages []events.SQSMessage) []string {
	var all []string
	for _, m := range messages {
		all = append(all, m.Body)
	}
	slices.SortFunc(all, func(a, b string) int {
		x, _ := strconv.Atoi(a)
		y, _ := strconv.Atoi(b)
		return x - y
	})
	return all
}

func TestQueueHidesAndShowsAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := simulation.NewQueue(simulation.QueueConfig{ARN: queueARN, VisibilityTimeout: 30 * time.Second})
		send(t, q, 0, 3)
		first := q.Receive(10)
		if got := bodies(first); !slices.Equal(got, []string{"0", "1", "2"}) {
			t.Fatalf("received %v", got)
		}
		m := first[0]
		if m.EventSource != "aws:sqs" || m.EventSourceARN != queueARN || m.AWSRegion != "us-east-1" || m.Attributes["ApproximateReceiveCount"] != "1" ||
			*m.MessageAttributes["NAME"].StringValue != "value" || len(m.Md5OfBody) != 32 || m.Attributes["SentTimestamp"] == "" {
			t.Errorf("message %+v", m)
		}
		if err := q.Delete(first[0].ReceiptHandle); err != nil {
			t.Fatal(err)
		}
		if err := q.ChangeVisibility(first[1].ReceiptHandle, time.Minute); err != nil {
			t.Fatal(err)
		}
		time.Sleep(29 * time.Second)
		if again := q.Receive(10); len(again) > 0 {
			t.Errorf("received %v while hidden", bodies(again))
		}
		time.Sleep(time.Second)
		again := q.Receive(10)
		if len(again) != 1 || again[0].MessageId != first[2].MessageId || again[0].Attributes["ApproximateReceiveCount"] != "2" {
			t.Fatalf("received %+v, want the third message again", again)
		}
		if err := q.Delete(first[2].ReceiptHandle); !errors.Is(err, simulation.ErrReceipt) {
			t.Errorf("deleted with the first receipt: %v", err)
		}
		if err := q.Delete(again[0].ReceiptHandle); err != nil {
			t.Error(err)
		}
		if visible, hidden := q.Depth(); visible != 0 || hidden != 1 {
			t.Errorf("%d visible, %d hidden; want the one whose visibility was changed", visible, hidden)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		started := time.Now()
		last, err := q.Wait(ctx, 10)
		if err != nil || len(last) != 1 || time.Since(started) != 30*time.Second {
			t.Errorf("waited %v for %v, %v; want 30 s", time.Since(started), bodies(last), err)
		}
	})
}

// TestQueueTakesWhatSQSTakes has the characters on both sides of each limit in "SendMessage" (Amazon SQS API Reference).
func TestQueueTakesWhatSQSTakes(t *testing.T) {
	for text, taken := range map[string]bool{
		"\t": true, "\n": true, "\r": true, " ": true, "\x7f": true, "\u0085": true, "\ud7ff": true, "\ue000": true, "\ufffd": true,
		"\U00010000": true, "\U0001fffe": true, "\U0010ffff": true, strings.Repeat("é", simulation.MaxMessageBytes/2): true,
		"\x00": false, "\x08": false, "\x0b": false, "\x0c": false, "\x0e": false, "\x1f": false, "\ufffe": false, "\uffff": false,
		"": false, "a\uffffb": false, "\xff": false, "\xed\xa0\x80": false, strings.Repeat("é", simulation.MaxMessageBytes/2) + "x": false,
	} {
		q := simulation.NewQueue(simulation.QueueConfig{ARN: queueARN})
		err := q.Send(t.Context(), text, nil)
		if visible, _ := q.Depth(); (err == nil) != taken || visible == 1 != taken {
			t.Errorf("%.10q: %v and %d messages; taken should be %t", text, err, visible, taken)
		}
		if len(text) > 10 {
			if err == nil && q.Send(t.Context(), text, map[string]string{"NAME": "value"}) == nil {
				t.Errorf("attributes do not count")
			}
			continue
		}
		if err := q.Send(t.Context(), "body", map[string]string{"NAME": text}); (err == nil) != taken {
			t.Errorf("attribute %q: %v; taken should be %t", text, err, taken)
		}
	}
}

func TestQueueMovesToItsDeadLetterQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dead := simulation.NewQueue(simulation.QueueConfig{})
		q := simulation.NewQueue(simulation.QueueConfig{VisibilityTimeout: time.Second, MaxReceiveCount: 3, DeadLetter: dead})
		send(t, q, 0, 1)
		for i := range 3 {
			if got := q.Receive(1); len(got) != 1 {
				t.Fatalf("receive %d: %v", i+1, got)
			}
			time.Sleep(time.Second)
		}
		if len(dead.Messages()) != 0 {
			t.Error("dead before the fourth receive")
		}
		if got := q.Receive(1); len(got) != 0 {
			t.Errorf("received a fourth time: %v", got)
		}
		got := dead.Messages()
		if len(got) != 1 || got[0].Body != "0" || *got[0].MessageAttributes["NAME"].StringValue != "value" || len(q.Messages()) != 0 {
			t.Errorf("dead letters %+v, left %d", got, len(q.Messages()))
		}
	})
}

// order is in what order a queue delivers, and how often it delivers what was deleted or is hidden.
func order(t *testing.T, config simulation.QueueConfig) (order []string, extra int) {
	t.Helper()
	config.VisibilityTimeout = time.Hour
	q := simulation.NewQueue(config)
	send(t, q, 0, 200)
	seen := map[string]bool{}
	for {
		got := q.Receive(7)
		if len(got) == 0 {
			break
		}
		for _, m := range got {
			order = append(order, m.Body)
			if seen[m.Body] {
				extra++
			}
			seen[m.Body] = true
			_ = q.Delete(m.ReceiptHandle) // an earlier receipt of a message delivered twice is not good
		}
	}
	if len(seen) != 200 || len(q.Messages()) != 0 {
		t.Errorf("delivered %d, left %d", len(seen), len(q.Messages()))
	}
	return order, extra
}

func TestQueueIsUnorderedAndSeeded(t *testing.T) {
	first, extra := order(t, simulation.QueueConfig{Seed: 1})
	if slices.IsSortedFunc(first, func(a, b string) int { return strings.Compare(fmt.Sprintf("%9s", a), fmt.Sprintf("%9s", b)) }) {
		t.Error("delivered in order")
	}
	if extra != 0 {
		t.Errorf("%d delivered twice without being told to", extra)
	}
	if again, _ := order(t, simulation.QueueConfig{Seed: 1}); !slices.Equal(first, again) {
		t.Error("the same seed gives another order")
	}
	if other, _ := order(t, simulation.QueueConfig{Seed: 2}); slices.Equal(first, other) {
		t.Error("another seed gives the same order")
	}
}

func TestQueueDeliversTwice(t *testing.T) {
	config := simulation.QueueConfig{Seed: 1, DuplicateProbability: 0.2, VisibilityTimeout: time.Hour}
	if _, extra := order(t, config); extra < 10 || extra > 30 {
		t.Errorf("%d of 200 delivered after they were deleted, want about 20", extra)
	}
	q := simulation.NewQueue(config)
	send(t, q, 0, 200)
	delivered := 0
	for got := q.Receive(7); len(got) > 0; got = q.Receive(7) {
		delivered += len(got)
	}
	if extra := delivered - 200; extra < 10 || extra > 30 {
		t.Errorf("%d of 200 delivered while they were hidden, want about 20", extra)
	}
}

// invoker is a function in this process.
type invoker struct {
	mu         sync.Mutex
	running    int
	mostAtOnce int
	calls      [][]string
	answer     func(call int, records []string) (failed []string, err error)
	raw        func() []byte
	hold       chan struct{}
}

func (f *invoker) begin(records []string) int {
	f.mu.Lock()
	f.running++
	f.mostAtOnce = max(f.mostAtOnce, f.running)
	f.calls = append(f.calls, records)
	call := len(f.calls)
	f.mu.Unlock()
	if f.hold != nil {
		<-f.hold
	}
	return call
}

func (f *invoker) all() [][]string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.calls)
}

func (f *invoker) end() {
	f.mu.Lock()
	f.running--
	f.mu.Unlock()
}

// sqsInvoker takes batches of messages; a failure is named by its body.
type sqsInvoker struct{ invoker }

func (f *sqsInvoker) Invoke(_ context.Context, payload []byte) ([]byte, error) {
	var event events.SQSEvent
	if err := json.Unmarshal(payload, &event); err != nil {
		return nil, err
	}
	call := f.begin(bodies(event.Records))
	defer f.end()
	if f.raw != nil {
		return f.raw(), nil
	}
	var response events.SQSEventResponse
	if f.answer != nil {
		failed, err := f.answer(call, bodies(event.Records))
		if err != nil {
			return nil, err
		}
		for _, m := range event.Records {
			if slices.Contains(failed, m.Body) {
				response.BatchItemFailures = append(response.BatchItemFailures, events.SQSBatchItemFailure{ItemIdentifier: m.MessageId})
			}
		}
	}
	return json.Marshal(response)
}

// runQueueMapping runs a mapping until the queue's messages are done or the time is over.
func runQueueMapping(t *testing.T, config simulation.QueueMappingConfig, d time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	simulation.NewQueueMapping(config).Run(ctx)
}

func TestQueueMappingDeletesWhatIsDone(t *testing.T) {
	for _, tt := range []struct {
		name    string
		report  bool
		answer  func(int, []string) ([]string, error)
		raw     func() []byte
		calls   int
		left    []string
		deadNow []string
	}{
		{"success", true, nil, nil, 1, nil, nil},
		{"partial", true, func(int, []string) ([]string, error) { return []string{"1"}, nil }, nil, 3, nil, []string{"1"}},
		{"partial, then done", true, func(call int, _ []string) ([]string, error) {
			return map[int][]string{1: {"1", "3"}}[call], nil
		}, nil, 2, nil, nil},
		{"partial, not asked for", false, func(int, []string) ([]string, error) { return []string{"1"}, nil }, nil, 1, nil, nil},
		{"error", true, func(int, []string) ([]string, error) { return nil, errors.New("broken") }, nil, 3, nil, []string{"0", "1", "2", "3"}},
		{"not JSON", true, nil, func() []byte { return []byte("<html>") }, 3, nil, []string{"0", "1", "2", "3"}},
		{"unknown id", true, nil, func() []byte { return []byte(`{"batchItemFailures":[{"itemIdentifier":"x"}]}`) }, 3, nil, []string{"0", "1", "2", "3"}},
		{"empty id", true, nil, func() []byte { return []byte(`{"batchItemFailures":[{"itemIdentifier":""}]}`) }, 3, nil, []string{"0", "1", "2", "3"}},
		{"empty answer", true, nil, func() []byte { return nil }, 1, nil, nil},
		{"null", true, nil, func() []byte { return []byte(`{"batchItemFailures":null}`) }, 1, nil, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				dead := simulation.NewQueue(simulation.QueueConfig{})
				q := simulation.NewQueue(simulation.QueueConfig{VisibilityTimeout: 10 * time.Second, MaxReceiveCount: 3, DeadLetter: dead})
				send(t, q, 0, 4)
				function := &sqsInvoker{invoker{answer: tt.answer, raw: tt.raw}}
				runQueueMapping(t, simulation.QueueMappingConfig{Queue: q, Function: function, ReportBatchItemFailures: tt.report, MaximumConcurrency: 2}, time.Minute)
				if got := function.all(); len(got) != tt.calls {
					t.Errorf("calls %v, want %d", got, tt.calls)
				}
				if got := bodies(q.Messages()); !slices.Equal(got, tt.left) {
					t.Errorf("left %v", got)
				}
				if got := bodies(dead.Messages()); !slices.Equal(got, tt.deadNow) {
					t.Errorf("dead %v, want %v", got, tt.deadNow)
				}
			})
		})
	}
}

func TestQueueMappingLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := simulation.NewQueue(simulation.QueueConfig{VisibilityTimeout: time.Hour})
		send(t, q, 0, 50)
		function := &sqsInvoker{invoker{hold: make(chan struct{})}}
		mapping := simulation.NewQueueMapping(simulation.QueueMappingConfig{Queue: q, Function: function, BatchSize: 4, MaximumConcurrency: 3})
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		done := make(chan struct{})
		go func() { mapping.Run(ctx); close(done) }()
		synctest.Wait()
		if got := function.all(); len(got) != 3 {
			t.Errorf("%d invocations under way, want 3", len(got))
		}
		close(function.hold)
		synctest.Wait()
		for _, call := range function.all() {
			if len(call) > 4 {
				t.Errorf("a batch of %d", len(call))
			}
		}
		if len(q.Messages()) != 0 || function.mostAtOnce != 3 {
			t.Errorf("%d left, %d at once", len(q.Messages()), function.mostAtOnce)
		}
		// Off, it takes nothing; on again, it goes on.
		mapping.SetEnabled(false)
		synctest.Wait()
		send(t, q, 50, 52)
		time.Sleep(time.Minute)
		if len(q.Messages()) != 2 {
			t.Errorf("%d left while off, want 2", len(q.Messages()))
		}
		mapping.SetEnabled(true)
		synctest.Wait()
		if len(q.Messages()) != 0 {
			t.Errorf("%d left after on", len(q.Messages()))
		}
		cancel()
		<-done
	})
}

// Whoever waits for a queue to be empty is told when its last message goes to the dead-letter queue.
func TestQueueTellsOfWhatHasMoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dead := simulation.NewQueue(simulation.QueueConfig{})
		q := simulation.NewQueue(simulation.QueueConfig{VisibilityTimeout: time.Second, MaxReceiveCount: 1, DeadLetter: dead})
		send(t, q, 0, 1)
		q.Receive(1)
		go func() {
			time.Sleep(2 * time.Second)
			q.Receive(1)
		}()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := q.WaitFor(ctx, func() bool { visible, hidden := q.Depth(); return visible+hidden == 0 }); err != nil {
			t.Error(err)
		}
	})
}
