package operate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	eventtypes "github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"payments-dr/internal/payment"
	"payments-dr/internal/payment/reconcile"
	"payments-dr/internal/settings"
)

var testNow = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// post is a queue and a bus in memory. With a random it fails now and then, before it has done what it was asked for, or after.
type post struct {
	now      time.Time
	messages []*posted
	onBus    map[string]int // by body
	random   *rand.Rand
	fails    float64
	// never is a body that the bus does not take.
	never string
	deny  string // a call that is denied
	// deletedFirst are bodies that were deleted before they were on the bus.
	deletedFirst []string
}

type posted struct {
	id, body string
	sent     time.Time
	visible  time.Time
}

var errLost = errors.New("the answer was lost")

// happens is whether the call does anything, and its error.
func (p *post) happens(call string) (bool, error) {
	if call == p.deny {
		return false, &Problem{KindDenied, "access denied"}
	}
	if p.random == nil || p.random.Float64() >= p.fails {
		return true, nil
	}
	return p.random.Float64() < 0.5, errLost
}

func (p *post) GetQueueUrl(_ context.Context, in *sqs.GetQueueUrlInput, _ ...func(*sqs.Options)) (*sqs.GetQueueUrlOutput, error) {
	return &sqs.GetQueueUrlOutput{QueueUrl: aws.String("https://sqs/" + *in.QueueName)}, nil
}

func (p *post) GetQueueAttributes(context.Context, *sqs.GetQueueAttributesInput, ...func(*sqs.Options)) (*sqs.GetQueueAttributesOutput, error) {
	hidden := 0
	for _, m := range p.messages {
		if m.visible.After(p.now) {
			hidden++
		}
	}
	return &sqs.GetQueueAttributesOutput{Attributes: map[string]string{
		"QueueArn": "arn:aws:sqs:us-east-1:1:q", "ApproximateNumberOfMessages": strconv.Itoa(len(p.messages) - hidden),
		"ApproximateNumberOfMessagesNotVisible": strconv.Itoa(hidden), "ApproximateNumberOfMessagesDelayed": "0",
	}}, nil
}

func (p *post) ReceiveMessage(_ context.Context, in *sqs.ReceiveMessageInput, _ ...func(*sqs.Options)) (*sqs.ReceiveMessageOutput, error) {
	does, err := p.happens("ReceiveMessage")
	out := &sqs.ReceiveMessageOutput{}
	for _, m := range p.messages {
		if does && len(out.Messages) < int(in.MaxNumberOfMessages) && !m.visible.After(p.now) {
			m.visible = p.now.Add(time.Duration(in.VisibilityTimeout) * time.Second)
			out.Messages = append(out.Messages, sqstypes.Message{
				MessageId: &m.id, ReceiptHandle: &m.id, Body: &m.body, Attributes: map[string]string{"SentTimestamp": strconv.FormatInt(m.sent.UnixMilli(), 10)},
			})
		}
	}
	if err != nil {
		return nil, err
	}
	return out, nil
}

func (p *post) DeleteMessageBatch(_ context.Context, in *sqs.DeleteMessageBatchInput, _ ...func(*sqs.Options)) (*sqs.DeleteMessageBatchOutput, error) {
	does, err := p.happens("DeleteMessageBatch")
	out := &sqs.DeleteMessageBatchOutput{}
	for i, e := range in.Entries {
		if does && p.random != nil && i%3 == 1 && p.random.Float64() < p.fails { // some of them are not
			out.Failed = append(out.Failed, sqstypes.BatchResultErrorEntry{Id: e.Id, Code: aws.String("InternalError"), Message: aws.String("try again")})
			continue
		}
		if !does {
			continue
		}
		p.messages = slices.DeleteFunc(p.messages, func(m *posted) bool {
			if m.id == *e.ReceiptHandle && p.onBus[m.body] == 0 {
				p.deletedFirst = append(p.deletedFirst, m.body)
			}
			return m.id == *e.ReceiptHandle
		})
		out.Successful = append(out.Successful, sqstypes.DeleteMessageBatchResultEntry{Id: e.Id})
	}
	if err != nil {
		return nil, err
	}
	return out, nil
}

func (p *post) ChangeMessageVisibilityBatch(_ context.Context, in *sqs.ChangeMessageVisibilityBatchInput, _ ...func(*sqs.Options)) (*sqs.ChangeMessageVisibilityBatchOutput, error) {
	if does, err := p.happens("ChangeMessageVisibilityBatch"); !does || err != nil {
		return nil, err
	}
	for _, e := range in.Entries {
		for _, m := range p.messages {
			if m.id == *e.ReceiptHandle {
				m.visible = p.now.Add(time.Duration(e.VisibilityTimeout) * time.Second)
			}
		}
	}
	return &sqs.ChangeMessageVisibilityBatchOutput{}, nil
}

func (p *post) StartMessageMoveTask(context.Context, *sqs.StartMessageMoveTaskInput, ...func(*sqs.Options)) (*sqs.StartMessageMoveTaskOutput, error) {
	return nil, errors.New("not asked for here")
}

func (p *post) ListMessageMoveTasks(context.Context, *sqs.ListMessageMoveTasksInput, ...func(*sqs.Options)) (*sqs.ListMessageMoveTasksOutput, error) {
	return nil, errors.New("not asked for here")
}

// detailOf is how a message's body is found again on the bus.
func detailOf(body string) string {
	var e struct{ Detail json.RawMessage }
	_ = json.Unmarshal([]byte(body), &e)
	return string(e.Detail)
}

func (p *post) PutEvents(_ context.Context, in *eventbridge.PutEventsInput, _ ...func(*eventbridge.Options)) (*eventbridge.PutEventsOutput, error) {
	if len(in.Entries) > 10 {
		return nil, errors.New("more than ten at once")
	}
	does, err := p.happens("PutEvents")
	out := &eventbridge.PutEventsOutput{}
	for _, e := range in.Entries {
		if *e.Detail == detailOf(p.never) || does && p.random != nil && p.random.Float64() < p.fails {
			out.Entries = append(out.Entries, eventtypes.PutEventsResultEntry{ErrorCode: aws.String("ThrottlingException"), ErrorMessage: aws.String("Rate exceeded")})
			continue
		}
		if does {
			for _, m := range p.messages {
				if detailOf(m.body) == *e.Detail {
					p.onBus[m.body]++
				}
			}
		}
		out.Entries = append(out.Entries, eventtypes.PutEventsResultEntry{EventId: aws.String("e")})
	}
	if err != nil {
		return nil, err
	}
	return out, nil
}

func (p *post) DescribeArchive(context.Context, *eventbridge.DescribeArchiveInput, ...func(*eventbridge.Options)) (*eventbridge.DescribeArchiveOutput, error) {
	return nil, errors.New("not asked for here")
}

func (p *post) StartReplay(context.Context, *eventbridge.StartReplayInput, ...func(*eventbridge.Options)) (*eventbridge.StartReplayOutput, error) {
	return nil, errors.New("not asked for here")
}

func (p *post) DescribeReplay(context.Context, *eventbridge.DescribeReplayInput, ...func(*eventbridge.Options)) (*eventbridge.DescribeReplayOutput, error) {
	return nil, errors.New("not asked for here")
}

func (p *post) add(bodies ...string) {
	for _, body := range bodies {
		p.messages = append(p.messages, &posted{id: "m" + strconv.Itoa(len(p.messages)), body: body, sent: testNow.Add(-time.Hour)})
	}
}

func undelivered(n int) string {
	return fmt.Sprintf(`{"source":%q,"detail-type":%q,"time":"2026-11-22T10:00:00Z","detail":{"transaction_id":"p%d","session_id":"s","amount":"5.00","currency":"EUR","region":"us-east-1","timestamp":"2026-11-22T10:00:00.000000Z"}}`,
		payment.EventSource, payment.EventDetailType, n)
}

func newReplayer(p *post, out io.Writer) *Replayer {
	s := &settings.Settings{Environment: "dev"}
	return &Replayer{
		Region: "us-east-1", Queues: p, Bus: p, Every: time.Second, Patience: time.Minute, Out: out, Settings: s,
		Now: func() time.Time { return testNow },
		wait: func(ctx context.Context, d time.Duration) error {
			p.now = p.now.Add(d)
			return ctx.Err()
		},
	}
}

func deadLetterQueue(t *testing.T, name string) DeadLetterQueue {
	t.Helper()
	q, err := FindDeadLetterQueue(&settings.Settings{Environment: "dev"}, name)
	if err != nil {
		t.Fatal(err)
	}
	return q
}

// Whatever fails, before or after it has done its work, an event is on the bus or its message is in the queue; and when the tool says
// that all were brought back, they are.
func TestNoUndeliveredEventIsLost(t *testing.T) {
	q := deadLetterQueue(t, "undelivered-events")
	finished := 0
	for seed := range uint64(300) {
		random := rand.New(rand.NewPCG(seed, 1))
		p := &post{now: testNow, onBus: map[string]int{}, random: random, fails: []float64{0.02, 0.2, 0.5}[seed%3]}
		count := 1 + random.IntN(60)
		for i := range count {
			p.add(undelivered(i))
		}
		for range 20 {
			done, err := newReplayer(p, io.Discard).Replay(t.Context(), q)
			there := map[string]bool{}
			for _, m := range p.messages {
				there[m.body] = true
			}
			for i := range count {
				if body := undelivered(i); !there[body] && p.onBus[body] == 0 {
					t.Fatalf("seed %d: event %d is neither on the bus nor in the queue", seed, i)
				}
			}
			if len(p.deletedFirst) > 0 {
				t.Fatalf("seed %d: deleted before it was on the bus: %q", seed, p.deletedFirst)
			}
			if err == nil {
				if len(p.messages) > 0 {
					t.Fatalf("seed %d: %+v, and %d are in the queue", seed, done, len(p.messages))
				}
				finished++
				break
			}
			p.now = p.now.Add(2 * time.Minute)
		}
	}
	if finished < 200 {
		t.Errorf("only %d of 300 came to their end", finished)
	}
}

func TestWhatTheBusDoesNotTakeStays(t *testing.T) {
	p := &post{now: testNow, onBus: map[string]int{}, never: undelivered(3)}
	for i := range 25 {
		p.add(undelivered(i))
	}
	p.add(`{"source":"aws.backup","detail-type":"x","detail":{}}`, "torn", strings.Replace(undelivered(99), `"5.00"`, `"5"`, 1))
	var out strings.Builder
	done, err := newReplayer(p, &out).Replay(t.Context(), deadLetterQueue(t, "undelivered-events"))
	if !errors.Is(err, ErrKept) || done != (Replayed{Done: 24, Kept: 4}) || len(p.messages) != 4 || len(p.onBus) != 24 {
		t.Errorf("%+v, %v; %d in the queue, %d on the bus\n%s", done, err, len(p.messages), len(p.onBus), &out)
	}
	for _, m := range p.messages {
		if m.visible.After(p.now) {
			t.Errorf("%s is still hidden", m.id)
		}
	}
	for _, says := range []string{"ThrottlingException: Rate exceeded", "x of aws.backup", "it is no event", "it is not whole"} {
		if !strings.Contains(out.String(), says) {
			t.Errorf("nothing says %q:\n%s", says, &out)
		}
	}
	// A denied call leaves everything, and nothing hidden.
	p = &post{now: testNow, onBus: map[string]int{}, deny: "PutEvents"}
	p.add(undelivered(1))
	if done, err := newReplayer(p, io.Discard).Replay(t.Context(), deadLetterQueue(t, "undelivered-events")); Explain(err).Kind != KindDenied || done.Kept != 1 || p.messages[0].visible.After(p.now) {
		t.Errorf("%+v, %v", done, err)
	}
}

// A message that somebody else has received is waited for, once.
func TestHiddenMessagesAreWaitedFor(t *testing.T) {
	p := &post{now: testNow, onBus: map[string]int{}}
	p.add(undelivered(1), undelivered(2))
	p.messages[1].visible = testNow.Add(20 * time.Second)
	if done, err := newReplayer(p, io.Discard).Replay(t.Context(), deadLetterQueue(t, "undelivered-events")); err != nil || done.Done != 2 {
		t.Errorf("%+v, %v", done, err)
	}
	p.add(undelivered(3))
	p.messages[0].visible = testNow.Add(time.Hour)
	if done, err := newReplayer(p, io.Discard).Replay(t.Context(), deadLetterQueue(t, "undelivered-events")); !errors.Is(err, ErrKept) || done.Done != 0 {
		t.Errorf("%+v, %v", done, err)
	}
}

func TestWindowsThatMessagesTellOf(t *testing.T) {
	r := newReplayer(&post{}, io.Discard)
	at := func(text string) time.Time {
		v, err := time.Parse(time.RFC3339, text)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	for _, tt := range []struct{ body, from, to, says string }{
		{body: `{"version":"1.0","timestamp":"2026-11-22T09:00:00.5Z","DDBStreamBatchInfo":{"approximateArrivalOfFirstRecord":"2026-11-21T20:00:00Z","approximateArrivalOfLastRecord":"2026-11-21T20:03:00Z"}}`,
			from: "2026-11-21T19:55:00Z", to: "2026-11-21T20:08:00Z"},
		{body: `{"timestamp":"2026-11-22T09:00:00.5Z","requestPayload":{"scheduled":true}}`, from: "2026-11-22T06:15:00Z", to: "2026-11-22T09:00:00Z"},
		{body: `{"timestamp":"2026-11-22T09:00:00Z","requestPayload":{"from":"2026-11-20T00:00:00Z","to":"2026-11-21T00:00:00Z"}}`, from: "2026-11-20T00:00:00Z", to: "2026-11-21T00:00:00Z"},
		{body: `{"source":"aws.events","time":"2026-11-22T08:00:00Z"}`, from: "2026-11-22T05:15:00Z", to: "2026-11-22T08:00:00Z"},
		// What tells of no time, or cannot be read, was sent at some time.
		{body: `{"scheduled":true}`, from: "2026-11-22T08:15:00Z", to: "2026-11-22T11:00:00Z"},
		{body: `torn`, from: "2026-11-22T08:15:00Z", to: "2026-11-22T11:00:00Z"},
		{body: `{"timestamp":"2026-11-22T11:59:00Z"}`, says: "not two minutes ago yet"},
		{body: `{"timestamp":"2027-11-22T11:59:00Z"}`, says: "to come"},
	} {
		m := sqstypes.Message{Body: &tt.body, Attributes: map[string]string{"SentTimestamp": strconv.FormatInt(testNow.Add(-time.Hour).UnixMilli(), 10)}}
		w, err := r.windowOf(m)
		if tt.says != "" {
			if err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("%s: %v", tt.body, err)
			}
			continue
		}
		if err != nil || !w.From.Equal(at(tt.from)) || !w.To.Equal(at(tt.to)) {
			t.Errorf("%s: %v, %v", tt.body, w, err)
		}
	}
	if _, err := r.windowOf(sqstypes.Message{Body: aws.String("{}")}); err == nil {
		t.Error("a message of no time")
	}
}

// Messages whose times overlap are settled by one reconciliation, and those alone that are clean.
func TestFailuresAreSettledByReconciling(t *testing.T) {
	record := func(at string) string {
		return fmt.Sprintf(`{"DDBStreamBatchInfo":{"approximateArrivalOfFirstRecord":%q,"approximateArrivalOfLastRecord":%q}}`, at, at)
	}
	p := &post{now: testNow, onBus: map[string]int{}}
	p.add(record("2026-11-21T20:08:00Z"), record("2026-11-21T08:00:00Z"), record("2026-11-21T20:00:00Z"), record("2026-11-21T10:00:00Z"), `{"timestamp":"2027-01-01T00:00:00Z"}`)
	for _, m := range p.messages {
		p.onBus[m.body] = 1 // nothing is put here
	}
	r := newReplayer(p, io.Discard)
	var windows []string
	r.Reconcile = func(_ context.Context, w reconcile.Window) (ReconciledWindow, error) {
		windows = append(windows, w.String())
		for _, m := range p.messages {
			if !m.visible.After(p.now.Add(50 * time.Minute)) {
				t.Errorf("%s may be received by somebody else meanwhile", m.id)
			}
		}
		return ReconciledWindow{Clean: w.From.Hour() != 9}, nil // the one around ten is not
	}
	done, err := r.Replay(t.Context(), deadLetterQueue(t, "relay-failures"))
	if !errors.Is(err, ErrKept) || done != (Replayed{Done: 3, Kept: 2}) || len(p.messages) != 2 {
		t.Errorf("%+v, %v, %d left", done, err, len(p.messages))
	}
	if want := []string{"2026-11-21T07:55:00Z to 2026-11-21T08:05:00Z", "2026-11-21T09:55:00Z to 2026-11-21T10:05:00Z", "2026-11-21T19:55:00Z to 2026-11-21T20:13:00Z"}; !slices.Equal(windows, want) {
		t.Errorf("reconciled %q, want %q", windows, want)
	}
	// One that does not come to its end keeps its messages, and those behind it.
	r.Reconcile = func(context.Context, reconcile.Window) (ReconciledWindow, error) {
		return ReconciledWindow{}, &UnfinishedError{Cause: &Problem{KindUnreachable, "no answer"}}
	}
	unfinished := &UnfinishedError{}
	if done, err := r.Replay(t.Context(), deadLetterQueue(t, "relay-failures")); !errors.As(err, &unfinished) || done.Done != 0 || len(p.messages) != 2 {
		t.Errorf("%+v, %v", done, err)
	}
}

func TestThereIsNoReplayOfSome(t *testing.T) {
	for _, q := range DeadLetterQueues {
		if q.Remedy == RemedyNone {
			if _, err := newReplayer(&post{}, io.Discard).Replay(t.Context(), q); err == nil || !strings.Contains(err.Error(), "there is no replay of "+q.Name) {
				t.Errorf("%s: %v", q.Name, err)
			}
		}
	}
	if _, err := FindDeadLetterQueue(&settings.Settings{Environment: "dev"}, "payment-prod-undelivered-events"); err == nil {
		t.Error("another environment's queue is found")
	}
}
