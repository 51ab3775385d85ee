package operate

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	eventtypes "github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"
	smithytime "github.com/aws/smithy-go/time"

	"payments-dr/internal/payment"
	"payments-dr/internal/payment/reconcile"
	"payments-dr/internal/settings"
)

// Remedy is how what is in a dead-letter queue gets where it belongs.
type Remedy string

const (
	// RemedyMove moves messages back into the queue that they came from. SQS does that for queues whose messages come from a queue, and for
	// no others ("StartMessageMoveTask", Amazon SQS API Reference).
	RemedyMove Remedy = "move"
	// RemedyPut puts events on the Region's bus again.
	RemedyPut Remedy = "put"
	// RemedyReconcile has the time that messages tell of reconciled. What they tell of is then proven to be in the ledger.
	RemedyReconcile Remedy = "reconcile"
	// RemedyNone is that there is nothing to bring anywhere: somebody has to read them.
	RemedyNone Remedy = "read"
)

// DeadLetterQueue is one of the platform's dead-letter queues. Both Regions have one of each.
type DeadLetterQueue struct {
	// Name is what comes after "payment-<env>-".
	Name   string
	Remedy Remedy
	// Does says what a replay does, or why there is none.
	Does string
}

// DeadLetterQueues are all there are. A test holds them to the templates.
var DeadLetterQueues = []DeadLetterQueue{
	{"ledger-dead-letters", RemedyMove, "moved back into the ledger's queue, in the writer's Region. What cannot be recorded comes back after some two hours"},
	{"undelivered-events", RemedyPut, "put on this Region's bus again. Whoever had an event already gets it twice, and knows it"},
	{"relay-failures", RemedyReconcile, "they say where in the stream a record was, and not what it was. The time around it is reconciled: the table has the payments. No event is put"},
	{"reconcile-failures", RemedyReconcile, "the time that a failed run would have looked at is reconciled"},
	{"canary-failures", RemedyNone, "a test payment of a minute that is over: the next minute has made another. Read, then purge"},
	{"undelivered-notices", RemedyNone, "notices of AWS's own, which only AWS may put on a bus. Read, then purge"},
	{"restore-validation-failures", RemedyNone, "what was restored to be tested is deleted after eight hours. Read, see docs/operate/alarms.md, then purge; the next test is on Monday"},
}

// FindDeadLetterQueue is the queue of a name, which may be its physical one.
func FindDeadLetterQueue(s *settings.Settings, name string) (DeadLetterQueue, error) {
	name = strings.TrimPrefix(name, "payment-"+s.Environment+"-")
	var known []string
	for _, q := range DeadLetterQueues {
		if q.Name == name {
			return q, nil
		}
		known = append(known, q.Name)
	}
	return DeadLetterQueue{}, fmt.Errorf("the queue is %q; allowed is %s", name, strings.Join(known, ", "))
}

// QueueAPI is what is asked of SQS in one Region.
type QueueAPI interface {
	GetQueueUrl(context.Context, *sqs.GetQueueUrlInput, ...func(*sqs.Options)) (*sqs.GetQueueUrlOutput, error)
	GetQueueAttributes(context.Context, *sqs.GetQueueAttributesInput, ...func(*sqs.Options)) (*sqs.GetQueueAttributesOutput, error)
	ReceiveMessage(context.Context, *sqs.ReceiveMessageInput, ...func(*sqs.Options)) (*sqs.ReceiveMessageOutput, error)
	DeleteMessageBatch(context.Context, *sqs.DeleteMessageBatchInput, ...func(*sqs.Options)) (*sqs.DeleteMessageBatchOutput, error)
	ChangeMessageVisibilityBatch(context.Context, *sqs.ChangeMessageVisibilityBatchInput, ...func(*sqs.Options)) (*sqs.ChangeMessageVisibilityBatchOutput, error)
	StartMessageMoveTask(context.Context, *sqs.StartMessageMoveTaskInput, ...func(*sqs.Options)) (*sqs.StartMessageMoveTaskOutput, error)
	ListMessageMoveTasks(context.Context, *sqs.ListMessageMoveTasksInput, ...func(*sqs.Options)) (*sqs.ListMessageMoveTasksOutput, error)
}

// BusAPI is what is asked of EventBridge in one Region.
type BusAPI interface {
	PutEvents(context.Context, *eventbridge.PutEventsInput, ...func(*eventbridge.Options)) (*eventbridge.PutEventsOutput, error)
	DescribeArchive(context.Context, *eventbridge.DescribeArchiveInput, ...func(*eventbridge.Options)) (*eventbridge.DescribeArchiveOutput, error)
	StartReplay(context.Context, *eventbridge.StartReplayInput, ...func(*eventbridge.Options)) (*eventbridge.StartReplayOutput, error)
	DescribeReplay(context.Context, *eventbridge.DescribeReplayInput, ...func(*eventbridge.Options)) (*eventbridge.DescribeReplayOutput, error)
}

var (
	_ QueueAPI = (*sqs.Client)(nil)
	_ BusAPI   = (*eventbridge.Client)(nil)
)

// Replayer brings a Region's dead letters back to where they belong, and replays its archive.
type Replayer struct {
	Region string
	Queues QueueAPI
	Bus    BusAPI
	// Reconcile reconciles a window in the writer's Region.
	Reconcile func(context.Context, reconcile.Window) (ReconciledWindow, error)
	// Every is how long to wait between two looks, Patience how long AWS may give no answer.
	Every, Patience time.Duration
	// Out is told what happens, a line each.
	Out io.Writer

	Settings *settings.Settings
	Now      func() time.Time
	// wait waits for a duration, or returns the context's error if that is done first.
	wait func(context.Context, time.Duration) error
}

// Replayer makes one for a Region. writer is the Region to reconcile in.
func (d *Deployment) Replayer(region, writer Region, every, patience time.Duration, out io.Writer) *Replayer {
	config := region.within(workTimeout)
	r := &Replayer{
		Region: region.Name, Queues: sqs.NewFromConfig(config), Bus: eventbridge.NewFromConfig(config),
		Every: every, Patience: patience, Out: out, Settings: d.Settings, Now: d.Now, wait: smithytime.SleepWithContext,
	}
	reconciler := d.Reconciler(writer)
	r.Reconcile = func(ctx context.Context, w reconcile.Window) (ReconciledWindow, error) {
		return reconciler.Run(ctx, writer.Name, w, replayPart, false, func(report reconcile.Report) { fmt.Fprintf(r.Out, "  %s\n", ReportLine(report)) })
	}
	return r
}

// replayPart is what one invocation of the reconciliation is asked for.
const replayPart = 6 * time.Hour

// QueueCount is how many messages are in a queue, approximately: SQS's counts follow by a minute or so ("GetQueueAttributes", Amazon
// SQS API Reference).
type QueueCount struct {
	// Waiting can be received; InFlight were received and not yet deleted, or given back.
	Waiting, InFlight int
}

// All are those that are in the queue.
func (c QueueCount) All() int { return c.Waiting + c.InFlight }

func (c QueueCount) String() string {
	if c.InFlight == 0 {
		return strconv.Itoa(c.Waiting)
	}
	return fmt.Sprintf("%d, and %d in flight", c.Waiting, c.InFlight)
}

// queue is a queue that was found.
type queue struct {
	url, arn string
	count    QueueCount
}

// find looks a queue up by its whole name, and counts.
func (r *Replayer) find(ctx context.Context, name string) (queue, error) {
	at, err := limited(ctx, func(ctx context.Context) (*sqs.GetQueueUrlOutput, error) {
		return r.Queues.GetQueueUrl(ctx, &sqs.GetQueueUrlInput{QueueName: &name})
	})
	if _, missing := errors.AsType[*sqstypes.QueueDoesNotExist](err); missing {
		return queue{}, &Problem{KindNotDeployed, "there is no queue " + name + " in " + r.Region}
	}
	if err != nil {
		return queue{}, Explain(err)
	}
	q := queue{url: aws.ToString(at.QueueUrl)}
	out, err := limited(ctx, func(ctx context.Context) (*sqs.GetQueueAttributesOutput, error) {
		return r.Queues.GetQueueAttributes(ctx, &sqs.GetQueueAttributesInput{QueueUrl: &q.url, AttributeNames: []sqstypes.QueueAttributeName{
			sqstypes.QueueAttributeNameQueueArn, sqstypes.QueueAttributeNameApproximateNumberOfMessages,
			sqstypes.QueueAttributeNameApproximateNumberOfMessagesNotVisible, sqstypes.QueueAttributeNameApproximateNumberOfMessagesDelayed,
		}})
	})
	if err != nil {
		return queue{}, Explain(err)
	}
	var faults []error
	number := func(name sqstypes.QueueAttributeName) int {
		n, err := strconv.Atoi(out.Attributes[string(name)])
		faults = append(faults, err)
		return n
	}
	q.arn = out.Attributes[string(sqstypes.QueueAttributeNameQueueArn)]
	q.count = QueueCount{
		Waiting:  number(sqstypes.QueueAttributeNameApproximateNumberOfMessages) + number(sqstypes.QueueAttributeNameApproximateNumberOfMessagesDelayed),
		InFlight: number(sqstypes.QueueAttributeNameApproximateNumberOfMessagesNotVisible),
	}
	if errors.Join(faults...) != nil || q.arn == "" {
		return queue{}, Explain(fmt.Errorf("%w: queue %s does not tell what is in it", errMalformed, name))
	}
	return q, nil
}

func (r *Replayer) physical(name string) string {
	return "payment-" + r.Settings.Environment + "-" + name
}

// Count counts what is in a queue. Its error is a Problem.
func (r *Replayer) Count(ctx context.Context, q DeadLetterQueue) (QueueCount, error) {
	found, err := r.find(ctx, r.physical(q.Name))
	return found.count, err
}

// CountLedger counts what waits for the ledger.
func (r *Replayer) CountLedger(ctx context.Context) (QueueCount, error) {
	found, err := r.find(ctx, LedgerQueue(r.Settings))
	return found.count, err
}

// Replayed is what became of a queue's messages.
type Replayed struct {
	// Done were brought where they belong, and are gone from the queue. Kept are still in it.
	Done, Kept int
}

// ErrKept says that not everything was brought back, and that what was not is still in its queue.
var ErrKept = errors.New("not everything was brought back; the rest is still in the queue")

// Replay brings back what is in a queue, the way that is its own. Nothing is deleted before it is where it belongs. Interrupted, the
// error is ErrGoesOn if AWS goes on with it, or else the context's.
func (r *Replayer) Replay(ctx context.Context, q DeadLetterQueue) (Replayed, error) {
	found, err := r.find(ctx, r.physical(q.Name))
	if err != nil {
		return Replayed{}, err
	}
	switch q.Remedy {
	case RemedyMove:
		return r.move(ctx, found)
	case RemedyPut:
		return r.handle(ctx, found, putAtOnce, r.put)
	case RemedyReconcile:
		return r.handle(ctx, found, settleAtOnce, func(ctx context.Context, messages []sqstypes.Message) ([]sqstypes.Message, error) {
			r.hide(ctx, found, messages, settleVisibility)
			return r.settle(ctx, messages)
		})
	default:
		return Replayed{}, fmt.Errorf("there is no replay of %s: %s", q.Name, q.Does)
	}
}

// move has SQS move the messages, and follows it. A task that is running already is followed.
func (r *Replayer) move(ctx context.Context, dead queue) (Replayed, error) {
	to, err := r.find(ctx, LedgerQueue(r.Settings))
	if err != nil {
		return Replayed{}, err
	}
	running, err := r.task(ctx, dead)
	if err != nil {
		return Replayed{}, err
	}
	before := int64(-1) // when the last task was started that is not the one to follow
	if running.Status != nil && !active(running) {
		before = running.StartedTimestamp
	}
	if active(running) {
		fmt.Fprintf(r.Out, "  a task is running already, and is followed\n")
	} else if _, err := r.Queues.StartMessageMoveTask(context.WithoutCancel(ctx), &sqs.StartMessageMoveTaskInput{
		// Named, because messages that no queue has sent would fail a task that has to find out where they came from.
		SourceArn: &dead.arn, DestinationArn: &to.arn,
	}); err != nil {
		if _, both := errors.AsType[*sqstypes.UnsupportedOperation](err); !both {
			return Replayed{}, Explain(err)
		}
		if running, again := r.task(ctx, dead); again != nil || !active(running) {
			return Replayed{}, Explain(err)
		}
		fmt.Fprintf(r.Out, "  a task was started by somebody else just now, and is followed\n")
	}
	var last string
	tolerance := newTolerance(r.Patience, r.Now, func(_, text string) { fmt.Fprintf(r.Out, "  %s\n", text) })
	for {
		task, err := r.task(ctx, dead)
		switch {
		case ctx.Err() != nil:
			return Replayed{}, ErrGoesOn
		case err != nil && !tolerance.failed("", err):
			return Replayed{}, fmt.Errorf("%w; %w", err, ErrGoesOn)
		case err == nil && (task.Status == nil || task.StartedTimestamp == before): // it is not listed yet
		case err == nil:
			tolerance.answered("")
			moved, of := task.ApproximateNumberOfMessagesMoved, aws.ToInt64(task.ApproximateNumberOfMessagesToMove)
			if word := fmt.Sprintf("%s: moved %d of about %d", strings.ToLower(aws.ToString(task.Status)), moved, of); word != last {
				last = word
				fmt.Fprintf(r.Out, "  %s\n", word)
			}
			if active(task) {
				break
			}
			done := Replayed{Done: int(moved), Kept: int(max(of-moved, 0))}
			if aws.ToString(task.Status) != "COMPLETED" {
				return done, fmt.Errorf("%w: the task is %s %s", ErrKept, strings.ToLower(aws.ToString(task.Status)), printable(aws.ToString(task.FailureReason)))
			}
			return done, nil
		}
		if r.wait(ctx, r.Every) != nil {
			return Replayed{}, ErrGoesOn
		}
	}
}

// task is the last one of a queue.
func (r *Replayer) task(ctx context.Context, dead queue) (sqstypes.ListMessageMoveTasksResultEntry, error) {
	out, err := limited(ctx, func(ctx context.Context) (*sqs.ListMessageMoveTasksOutput, error) {
		return r.Queues.ListMessageMoveTasks(ctx, &sqs.ListMessageMoveTasksInput{SourceArn: &dead.arn, MaxResults: aws.Int32(1)})
	})
	if err != nil || len(out.Results) == 0 {
		return sqstypes.ListMessageMoveTasksResultEntry{}, asProblem(err)
	}
	return out.Results[0], nil
}

// asProblem keeps nil what is nil.
func asProblem(err error) error {
	if err == nil {
		return nil
	}
	return Explain(err)
}

func active(task sqstypes.ListMessageMoveTasksResultEntry) bool {
	return slices.Contains([]string{"RUNNING", "CANCELLING"}, aws.ToString(task.Status))
}

const (
	// receiveAtOnce is how many messages one call receives or deletes, and maxPutEvents how many events one call puts ("ReceiveMessage",
	// Amazon SQS API Reference; "PutEvents", Amazon EventBridge API Reference).
	receiveAtOnce, putAtOnce = 10, 10
	// settleAtOnce is how many messages are settled by the same reconciliation.
	settleAtOnce = 1000
	// receiveVisibility is how long messages are hidden that were received, and settleVisibility how long while their time is reconciled,
	// in seconds. If the tool dies, they are there again after it.
	receiveVisibility, settleVisibility = 30, 3600
	// receiveWait is how long to wait for a message, in seconds; with a wait SQS looks at all of the queue ("Amazon SQS short and long
	// polling", Amazon SQS Developer Guide).
	receiveWait = 1
	// putRounds is how often an event is put that the bus does not take.
	putRounds = 3
)

// handle receives messages and has them handled, so many at once, until none is left but those that were kept. Those that were handled
// are deleted, the others given back.
func (r *Replayer) handle(ctx context.Context, q queue, atOnce int, do func(context.Context, []sqstypes.Message) ([]sqstypes.Message, error)) (Replayed, error) {
	var total Replayed
	seen := map[string]bool{}
	var kept []sqstypes.Message
	// At the end, so that none is received twice meanwhile.
	defer func() {
		ctx, cancel := context.WithTimeout(context.Background(), workTimeout)
		defer cancel()
		r.hide(ctx, q, kept, 0)
	}()
	waited := false
	for {
		var batch []sqstypes.Message
		for len(batch) < atOnce {
			out, err := r.Queues.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{
				QueueUrl: &q.url, MaxNumberOfMessages: receiveAtOnce, VisibilityTimeout: receiveVisibility, WaitTimeSeconds: receiveWait,
				MessageAttributeNames: []string{"All"}, MessageSystemAttributeNames: []sqstypes.MessageSystemAttributeName{sqstypes.MessageSystemAttributeNameSentTimestamp},
			})
			if err != nil {
				kept = append(kept, batch...)
				total.Kept += len(batch)
				if ctx.Err() != nil {
					return total, ctx.Err()
				}
				return total, Explain(err)
			}
			fresh := 0
			for _, m := range out.Messages {
				if id := aws.ToString(m.MessageId); !seen[id] {
					seen[id] = true
					fresh++
					batch = append(batch, m)
				}
			}
			if fresh == 0 {
				break
			}
		}
		if missing := q.count.All() - total.Done - total.Kept; len(batch) == 0 && missing > 0 && !waited {
			// They were received, by somebody, or by a call whose answer was lost.
			waited = true
			fmt.Fprintf(r.Out, "  hidden, as if somebody had received them: about %d; waiting %ds for them\n", missing, receiveVisibility)
			if r.wait(ctx, (receiveVisibility+1)*time.Second) != nil {
				return total, ctx.Err()
			}
			continue
		}
		if len(batch) == 0 {
			break
		}
		done, err := do(ctx, batch)
		// What is done is deleted even if somebody interrupts: it would only be done again.
		deleted, deleteErr := r.remove(context.WithoutCancel(ctx), q, done)
		total.Done += deleted
		total.Kept += len(batch) - deleted
		gone := map[string]bool{}
		for _, m := range done {
			gone[aws.ToString(m.MessageId)] = true
		}
		for _, m := range batch {
			if !gone[aws.ToString(m.MessageId)] {
				kept = append(kept, m)
			}
		}
		if ctx.Err() != nil {
			return total, ctx.Err()
		}
		if err := cmp.Or(err, deleteErr); err != nil {
			return total, err
		}
	}
	if total.Kept > 0 {
		return total, ErrKept
	}
	if waited { // and they did not come: are they there at all?
		name := q.url[strings.LastIndex(q.url, "/")+1:]
		if now, err := r.find(ctx, name); err != nil || now.count.All() > 0 {
			return total, fmt.Errorf("%w, as far as SQS counts; look again in some minutes", ErrKept)
		}
	}
	return total, nil
}

// remove deletes messages, and returns how many SQS has.
func (r *Replayer) remove(ctx context.Context, q queue, messages []sqstypes.Message) (int, error) {
	deleted := 0
	for batch := range slices.Chunk(messages, receiveAtOnce) {
		var entries []sqstypes.DeleteMessageBatchRequestEntry
		for i, m := range batch {
			entries = append(entries, sqstypes.DeleteMessageBatchRequestEntry{Id: aws.String(strconv.Itoa(i)), ReceiptHandle: m.ReceiptHandle})
		}
		out, err := r.Queues.DeleteMessageBatch(ctx, &sqs.DeleteMessageBatchInput{QueueUrl: &q.url, Entries: entries})
		if err != nil {
			return deleted, Explain(err)
		}
		deleted += len(out.Successful)
		if len(out.Failed) > 0 {
			return deleted, &Problem{KindRefused, "SQS did not delete what was brought back, and it will be brought back again: " + aws.ToString(out.Failed[0].Message)}
		}
	}
	return deleted, nil
}

// hide hides messages for some seconds from now on, or with none shows them again. What fails here changes only when they show.
func (r *Replayer) hide(ctx context.Context, q queue, messages []sqstypes.Message, seconds int32) {
	for batch := range slices.Chunk(messages, receiveAtOnce) {
		var entries []sqstypes.ChangeMessageVisibilityBatchRequestEntry
		for i, m := range batch {
			entries = append(entries, sqstypes.ChangeMessageVisibilityBatchRequestEntry{Id: aws.String(strconv.Itoa(i)), ReceiptHandle: m.ReceiptHandle, VisibilityTimeout: seconds})
		}
		if _, err := r.Queues.ChangeMessageVisibilityBatch(ctx, &sqs.ChangeMessageVisibilityBatchInput{QueueUrl: &q.url, Entries: entries}); err != nil {
			return
		}
	}
}

// put puts undelivered events on the bus again, and returns the messages of those that the bus has taken. What is no payment's event
// stays where it is.
func (r *Replayer) put(ctx context.Context, messages []sqstypes.Message) (done []sqstypes.Message, err error) {
	for some := range slices.Chunk(messages, putAtOnce) {
		taken, err := r.putSome(ctx, some)
		if done = append(done, taken...); err != nil || ctx.Err() != nil {
			return done, err
		}
	}
	return done, nil
}

// putSome puts as many as one call takes. Their size is no matter: a payment's event has 3.4 KB at the most.
func (r *Replayer) putSome(ctx context.Context, messages []sqstypes.Message) (done []sqstypes.Message, err error) {
	var left []sqstypes.Message
	var entries []eventtypes.PutEventsRequestEntry
	for _, m := range messages {
		entry, err := r.event(aws.ToString(m.Body))
		if err != nil {
			fmt.Fprintf(r.Out, "  message %s is kept: %s\n", aws.ToString(m.MessageId), printable(err.Error()))
			continue
		}
		left, entries = append(left, m), append(entries, entry)
	}
	var last string
	for round := 1; len(entries) > 0; round++ {
		// A call that was begun is waited for, so that it is known what the bus has taken.
		out, err := r.Bus.PutEvents(context.WithoutCancel(ctx), &eventbridge.PutEventsInput{Entries: entries})
		if err != nil {
			return done, Explain(err)
		}
		if len(out.Entries) != len(entries) {
			return done, Explain(fmt.Errorf("%w: the bus was given %d events, and answers for %d", errMalformed, len(entries), len(out.Entries)))
		}
		var again []sqstypes.Message
		var rest []eventtypes.PutEventsRequestEntry
		for i, result := range out.Entries {
			if aws.ToString(result.ErrorCode) != "" || aws.ToString(result.EventId) == "" {
				again, rest, last = append(again, left[i]), append(rest, entries[i]), strings.TrimSuffix(aws.ToString(result.ErrorCode)+": "+aws.ToString(result.ErrorMessage), ": ")
				continue
			}
			done = append(done, left[i])
		}
		left, entries = again, rest
		if len(entries) == 0 || ctx.Err() != nil {
			break
		}
		if round == putRounds {
			fmt.Fprintf(r.Out, "  kept, because the bus does not take them: %d, %s\n", len(entries), printable(last))
			break
		}
		_ = r.wait(ctx, r.Every)
	}
	return done, nil
}

// event is what an undelivered event is put as: the same, but for its id. It gets this Region as its own, so that the bus forwards it
// if its payment was accepted here, and does not if it was not.
func (r *Replayer) event(body string) (eventtypes.PutEventsRequestEntry, error) {
	var e struct {
		Source     string          `json:"source"`
		DetailType string          `json:"detail-type"`
		Time       time.Time       `json:"time"`
		Detail     json.RawMessage `json:"detail"`
	}
	if err := json.Unmarshal([]byte(body), &e); err != nil {
		return eventtypes.PutEventsRequestEntry{}, errors.New("it is no event")
	}
	if e.Source != payment.EventSource || e.DetailType != payment.EventDetailType {
		return eventtypes.PutEventsRequestEntry{}, fmt.Errorf("it is no payment's event but %s of %s", e.DetailType, e.Source)
	}
	if _, err := payment.ParseEventDetail(e.Detail); err != nil {
		return eventtypes.PutEventsRequestEntry{}, errors.New("it is not whole")
	}
	entry := eventtypes.PutEventsRequestEntry{
		EventBusName: aws.String(EventBus(r.Settings)), Source: &e.Source, DetailType: &e.DetailType, Detail: aws.String(string(e.Detail)),
	}
	if !e.Time.IsZero() {
		entry.Time = &e.Time
	}
	return entry, nil
}

// EventBus is the name of the buses, and of their archives.
func EventBus(s *settings.Settings) string { return "payment-" + s.Environment }

// The margins of the windows that messages tell of.
const (
	// streamMargin is around the arrival of a record in the stream, which is "approximate": a payment is accepted seconds before.
	streamMargin = 5 * time.Minute
	// runMargin is how long before the word of its failure a run of the reconciliation began at the earliest: it waits for an hour at the
	// most, as constructs/reconciliation.go has it.
	runMargin = time.Hour + 15*time.Minute
)

// windowOf is the time that a message tells of.
func (r *Replayer) windowOf(m sqstypes.Message) (reconcile.Window, error) {
	var body struct {
		Timestamp, Time time.Time
		RequestPayload  struct{ From, To time.Time }
		Batch           *struct {
			First time.Time `json:"approximateArrivalOfFirstRecord"`
			Last  time.Time `json:"approximateArrivalOfLastRecord"`
		} `json:"DDBStreamBatchInfo"`
	}
	// What cannot be read has been sent at some time all the same.
	readable := json.Unmarshal([]byte(aws.ToString(m.Body)), &body) == nil
	sent, err := strconv.ParseInt(m.Attributes[string(sqstypes.MessageSystemAttributeNameSentTimestamp)], 10, 64)
	latest := r.Now().UTC().Add(-ReconcileSettle).Truncate(time.Second)
	w := reconcile.Window{}
	switch {
	case readable && body.Batch != nil && !body.Batch.First.IsZero() && !body.Batch.Last.Before(body.Batch.First):
		w = reconcile.Window{From: body.Batch.First.Add(-streamMargin), To: body.Batch.Last.Add(streamMargin)}
	case readable && !body.RequestPayload.From.IsZero() && body.RequestPayload.To.After(body.RequestPayload.From):
		w = reconcile.Window{From: body.RequestPayload.From, To: body.RequestPayload.To}
	case err == nil || readable && !(body.Timestamp.IsZero() && body.Time.IsZero()):
		at := time.UnixMilli(sent)
		if readable && !body.Timestamp.IsZero() {
			at = body.Timestamp
		} else if readable && !body.Time.IsZero() {
			at = body.Time
		}
		w = reconcile.Window{From: at.Add(-runMargin - reconcile.Interval - reconcile.Overlap), To: at}
	default:
		return w, errors.New("it tells of no time")
	}
	w = reconcile.Window{From: w.From.UTC().Truncate(time.Second), To: w.To.UTC().Truncate(time.Second)}
	if w.To.After(latest) {
		if now := r.Now(); w.To.After(now.Add(2 * streamMargin)) {
			return w, fmt.Errorf("it tells of %s, which is to come", w.To.Format(time.RFC3339))
		}
		return w, errors.New("what it tells of is not two minutes ago yet")
	}
	return w, nil
}

// settle reconciles the time that messages tell of, and returns those whose time is reconciled and clean.
func (r *Replayer) settle(ctx context.Context, messages []sqstypes.Message) (done []sqstypes.Message, err error) {
	type told struct {
		window  reconcile.Window
		message sqstypes.Message
	}
	var all []told
	for _, m := range messages {
		w, err := r.windowOf(m)
		if err != nil {
			fmt.Fprintf(r.Out, "  message %s is kept: %s\n", aws.ToString(m.MessageId), printable(err.Error()))
			continue
		}
		all = append(all, told{w, m})
	}
	slices.SortFunc(all, func(a, b told) int { return a.window.From.Compare(b.window.From) })
	for len(all) > 0 {
		w, n := all[0].window, 1
		for n < len(all) && !all[n].window.From.After(w.To) { // one window of those that overlap
			if to := all[n].window.To; to.After(w.To) {
				w.To = to
			}
			n++
		}
		result, err := r.Reconcile(ctx, w)
		switch {
		case err != nil:
			return done, err
		case result.Clean:
			for _, one := range all[:n] {
				done = append(done, one.message)
			}
		default:
			fmt.Fprintf(r.Out, "  messages that are kept, because ledger and table do not agree about their time: %d\n", n)
		}
		all = all[n:]
	}
	return done, nil
}
