package simulation

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/aws/aws-lambda-go/events"
)

// DefaultVisibilityTimeout is a queue's if it has no other ("Amazon SQS visibility timeout", Amazon SQS Developer Guide).
const DefaultVisibilityTimeout = 30 * time.Second

// QueueConfig configures a queue.
type QueueConfig struct {
	ARN               string
	VisibilityTimeout time.Duration
	// MaxReceiveCount is how often a message is received before it goes to DeadLetter; 0 is without end.
	MaxReceiveCount int
	DeadLetter      *Queue
	// DuplicateProbability is the share of messages that are delivered once more than they should be: half of them to a
	// second receiver at the same time, the others after they were deleted.
	DuplicateProbability float64
	// Seed is that of the order and of the duplicates.
	Seed  uint64
	Clock Clock
}

// Queue simulates a standard queue: at-least-once delivery without an order ("Amazon SQS at-least-once delivery"), visibility
// timeout ("Amazon SQS visibility timeout") and redrive to a dead-letter queue ("Using dead-letter queues in Amazon SQS";
// all Amazon SQS Developer Guide). A message moves with the receive that would be one too many, which does not get it, and
// keeps its id, its time of sending and its count of receives, which is one over all queues ("Setting-up dead-letter queue
// retention in Amazon SQS", same guide; "ReceiveMessage", Amazon SQS API Reference).
//
// A receipt handle is good until the message is received again. Of an older one the service says that the deletion succeeds
// and that the message may stay ("DeleteMessage", same reference): here it stays, and the caller is told. It may be used
// concurrently.
type Queue struct {
	config  QueueConfig
	region  string
	clock   Clock
	chance  *Chance
	changes signal

	mu       sync.Mutex
	messages []*message
	byID     map[string]*message
	sent     int
}

type message struct {
	id         string
	place      int // in messages
	body       string
	attributes map[string]events.SQSMessageAttribute
	sent       time.Time
	first      time.Time
	// received counts all receives, elsewhere those of them in the queues that the message was in before.
	received, elsewhere int
	visible             time.Time
	duplicated          bool
}

// NewQueue is an empty queue.
func NewQueue(config QueueConfig) *Queue {
	if config.VisibilityTimeout == 0 {
		config.VisibilityTimeout = DefaultVisibilityTimeout
	}
	q := &Queue{config: config, clock: orReal(config.Clock), chance: NewChance(config.Seed), byID: map[string]*message{}}
	if parts := strings.Split(config.ARN, ":"); len(parts) > 3 {
		q.region = parts[3]
	}
	return q
}

// ARN is the queue's.
func (q *Queue) ARN() string { return q.config.ARN }

// MaxMessageBytes is the most that a message's body and attributes have together ("SendMessage", Amazon SQS API Reference).
const MaxMessageBytes = 1 << 20

// ErrMessageContents is the error of a message with a character that SQS does not take.
var ErrMessageContents = errors.New("InvalidMessageContents: the message contains characters outside the allowed set")

// takes reports whether SQS takes a text: #x9, #xA, #xD, #x20 to #xD7FF, #xE000 to #xFFFD, #x10000 to #x10FFFF, and a body is of
// one character at least ("SendMessage", Amazon SQS API Reference).
func takes(text string) bool {
	if text == "" || !utf8.ValidString(text) {
		return false
	}
	for _, r := range text {
		if r < ' ' && r != '\t' && r != '\n' && r != '\r' || r == '\uFFFE' || r == '\uFFFF' {
			return false
		}
	}
	return true
}

// Send adds a message; attributes are its message attributes. The error is the context's, ErrMessageContents, or that the message
// is larger than MaxMessageBytes.
func (q *Queue) Send(ctx context.Context, body string, attributes map[string]string) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("send message: %w", err)
	}
	size := len(body)
	if !takes(body) {
		return fmt.Errorf("send message: %w", ErrMessageContents)
	}
	all := map[string]events.SQSMessageAttribute{}
	for name, value := range attributes {
		if size += len(name) + len(value); !takes(value) {
			return fmt.Errorf("send message: attribute %s: %w", name, ErrMessageContents)
		}
		all[name] = events.SQSMessageAttribute{StringValue: &value, DataType: "String"}
	}
	if size > MaxMessageBytes {
		return fmt.Errorf("send message: it has %d bytes; allowed are 1 to %d", size, MaxMessageBytes)
	}
	q.add(&message{body: body, attributes: all})
	return nil
}

func (q *Queue) add(m *message) {
	q.mu.Lock()
	q.sent++
	now := q.clock.Now()
	if m.id == "" {
		m.id = fmt.Sprintf("00000000-0000-4000-8000-%012x", q.sent)
	} else if q.byID[m.id] != nil {
		m.id += "-" + strconv.Itoa(q.sent)
	}
	if m.sent.IsZero() {
		m.sent = now
	}
	m.visible, m.place = now, len(q.messages)
	q.messages = append(q.messages, m)
	q.byID[m.id] = m
	q.mu.Unlock()
	q.changes.changed()
}

// remove takes a message out. The caller holds the lock.
func (q *Queue) remove(m *message) {
	last := len(q.messages) - 1
	q.messages[m.place] = q.messages[last]
	q.messages[m.place].place = m.place
	q.messages = q.messages[:last]
	delete(q.byID, m.id)
}

// Receive returns up to max messages and hides them for the visibility timeout. It does not wait.
func (q *Queue) Receive(max int) []events.SQSMessage {
	q.mu.Lock()
	now := q.clock.Now()
	var visible []*message
	for _, m := range q.messages {
		if !m.visible.After(now) {
			visible = append(visible, m)
		}
	}
	var received []events.SQSMessage
	var dead []*message
	for len(visible) > 0 && len(received) < max {
		i := q.chance.below(len(visible))
		m := visible[i]
		visible[i] = visible[len(visible)-1]
		visible = visible[:len(visible)-1]
		if q.config.MaxReceiveCount > 0 && q.config.DeadLetter != nil && m.received-m.elsewhere >= q.config.MaxReceiveCount {
			q.remove(m)
			dead = append(dead, m)
			continue
		}
		if m.received++; m.received-m.elsewhere == 1 {
			m.first = now
		}
		m.visible = now.Add(q.config.VisibilityTimeout)
		if !m.duplicated && q.chance.Happens(q.config.DuplicateProbability/2) {
			m.duplicated, m.visible = true, now
		}
		received = append(received, q.message(m))
	}
	q.mu.Unlock()
	for _, m := range dead {
		q.config.DeadLetter.add(&message{
			id: m.id, body: m.body, attributes: m.attributes, sent: m.sent, received: m.received, elsewhere: m.received,
		})
	}
	if len(dead) > 0 {
		q.changes.changed()
	}
	return received
}

// Wait is Receive, but waits until there is a message. The error is the context's.
func (q *Queue) Wait(ctx context.Context, max int) ([]events.SQSMessage, error) {
	for {
		change := q.changes.next() // before looking, so that no change between is missed
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if received := q.Receive(max); len(received) > 0 {
			return received, nil
		}
		var due <-chan time.Time
		if next, ok := q.nextVisible(); ok {
			due = q.clock.After(next.Sub(q.clock.Now()))
		}
		select {
		case <-change:
		case <-due:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (q *Queue) nextVisible() (next time.Time, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, m := range q.messages {
		if !ok || m.visible.Before(next) {
			next, ok = m.visible, true
		}
	}
	return next, ok
}

// message is a message as a receiver gets it. The caller holds the lock.
func (q *Queue) message(m *message) events.SQSMessage {
	sum := md5.Sum([]byte(m.body))
	return events.SQSMessage{
		MessageId: m.id, ReceiptHandle: m.id + "#" + strconv.Itoa(m.received), Body: m.body, Md5OfBody: hex.EncodeToString(sum[:]),
		Attributes: map[string]string{
			"ApproximateReceiveCount":          strconv.Itoa(m.received),
			"SentTimestamp":                    strconv.FormatInt(m.sent.UnixMilli(), 10),
			"ApproximateFirstReceiveTimestamp": strconv.FormatInt(m.first.UnixMilli(), 10),
			"SenderId":                         "simulated",
		},
		MessageAttributes: m.attributes, EventSourceARN: q.config.ARN, EventSource: "aws:sqs", AWSRegion: q.region,
	}
}

// ErrReceipt is the error of a receipt handle that is no longer good.
var ErrReceipt = errors.New("the receipt handle is no longer good")

// ErrNotInFlight is the error of a message that is visible, so that its visibility cannot be changed.
var ErrNotInFlight = errors.New("the message is not in flight")

// find is the message of a receipt handle. The caller holds the lock.
func (q *Queue) find(receipt string) (*message, error) {
	id, count, _ := strings.Cut(receipt, "#")
	if m := q.byID[id]; m != nil && count == strconv.Itoa(m.received) {
		return m, nil
	}
	return nil, ErrReceipt
}

// Delete removes a received message. The error is ErrReceipt.
func (q *Queue) Delete(receipt string) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	m, err := q.find(receipt)
	if err != nil {
		return err
	}
	if !m.duplicated && q.chance.Happens(q.config.DuplicateProbability/2) {
		m.duplicated, m.visible = true, q.clock.Now()
		q.changes.changed()
		return nil
	}
	q.remove(m)
	q.changes.changed()
	return nil
}

// ChangeVisibility hides a received message for a time from now on, until it is received again. The error is ErrReceipt, or
// ErrNotInFlight once the timeout is over ("ChangeMessageVisibility", Amazon SQS API Reference).
func (q *Queue) ChangeVisibility(receipt string, timeout time.Duration) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	m, err := q.find(receipt)
	if err != nil {
		return err
	}
	now := q.clock.Now()
	if !m.visible.After(now) {
		return ErrNotInFlight
	}
	m.visible = now.Add(timeout)
	q.changes.changed()
	return nil
}

// Depth is how many messages a receiver could get now, and how many are hidden.
func (q *Queue) Depth() (visible, hidden int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := q.clock.Now()
	for _, m := range q.messages {
		if m.visible.After(now) {
			hidden++
		} else {
			visible++
		}
	}
	return visible, hidden
}

// Messages are all messages, hidden ones too, without receiving them.
func (q *Queue) Messages() []events.SQSMessage {
	q.mu.Lock()
	defer q.mu.Unlock()
	all := make([]events.SQSMessage, len(q.messages))
	for i, m := range q.messages {
		all[i] = q.message(m)
	}
	return all
}

// WaitFor waits until a condition holds that depends on this queue alone. The error is the context's.
func (q *Queue) WaitFor(ctx context.Context, condition func() bool) error {
	for {
		change := q.changes.next()
		if condition() {
			return nil
		}
		select {
		case <-change:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
