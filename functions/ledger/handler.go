package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"payments-dr/internal/payment"
	"payments-dr/internal/payment/ledger"
	"payments-dr/internal/payment/telemetry"
)

// answerMargin is what is left of an invocation when the database has to be done: an answer that names the failed messages
// must be out before the invocation's own deadline, or the whole batch counts as failed.
const answerMargin = 2 * time.Second

// standbyPause is how long a message stays hidden after this Region's cluster was found to be the standby. Each time it shows again
// uses up a try, and the queue's dead-letter limit is five or more an hour of its retention (constructs.NewLedgerQueue), so that
// waiting for the cluster's return makes no dead letters.
const standbyPause = 30 * time.Minute

// recorder is what the handler needs of the ledger.
type recorder interface {
	Record(context.Context, []payment.Payment) (ledger.Result, error)
}

var _ recorder = (*ledger.Ledger)(nil)

// handler records the payments of a batch.
type handler struct {
	ledger recorder
	// standby reports whether this Region's cluster takes no writes because another Region's does.
	standby func(context.Context) (bool, error)
	// hide hides messages of a queue for a time from now.
	hide      func(ctx context.Context, queueARN string, receipts []string, pause time.Duration) error
	namespace string
	logger    *slog.Logger
	now       func() time.Time
}

// message is a message of the batch and the payment in it.
type message struct {
	id      string
	payment payment.Payment
}

// batch is what came of a batch.
type batch struct {
	recorded, duplicates, conflicts, malformed, unavailable, deferred int
	// failed are the ids of the messages that the queue should keep. Those that can never succeed end in the dead-letter
	// queue.
	failed map[string]bool
	// waiting are the ids of those that failed because the ledger is unavailable.
	waiting map[string]bool
	// errs are the causes, for the log alone.
	errs []error
}

// handle records a batch and answers which of its messages failed ("Implementing partial batch responses", AWS Lambda
// Developer Guide). Its error is always nil.
func (h *handler) handle(ctx context.Context, event events.SQSEvent) (events.SQSEventResponse, error) {
	started := h.now()
	b := &batch{failed: map[string]bool{}, waiting: map[string]bool{}}
	var messages []message
	for _, record := range event.Records {
		p, err := parse(record.Body)
		if err != nil {
			b.malformed++
			b.fail(record.MessageId)
			continue
		}
		messages = append(messages, message{id: record.MessageId, payment: p})
	}
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, deadline.Add(-answerMargin))
		defer cancel()
	}
	h.record(ctx, b, messages)
	if len(b.waiting) > 0 {
		if err := h.pause(ctx, b, event.Records); err != nil {
			b.errs = append(b.errs, err)
		}
	}

	// In the batch's order, and never null.
	response := events.SQSEventResponse{BatchItemFailures: []events.SQSBatchItemFailure{}}
	for _, record := range event.Records {
		if b.failed[record.MessageId] {
			response.BatchItemFailures = append(response.BatchItemFailures, events.SQSBatchItemFailure{ItemIdentifier: record.MessageId})
			delete(b.failed, record.MessageId)
		}
	}
	h.log(ctx, b, len(event.Records), len(response.BatchItemFailures), started)
	return response, nil
}

// pause hides the messages that wait for the ledger, if this Region's cluster is the standby. It is while a Region that was lost is
// back and its mapping is still enabled: an ungraceful execution of the recovery plan cannot disable it.
func (h *handler) pause(ctx context.Context, b *batch, records []events.SQSMessage) error {
	standby, err := h.standby(ctx)
	if err != nil {
		return fmt.Errorf("find out whether the cluster is the standby: %w", err)
	}
	if !standby {
		return nil
	}
	var receipts []string
	for _, record := range records {
		if b.waiting[record.MessageId] {
			receipts = append(receipts, record.ReceiptHandle)
		}
	}
	if err := h.hide(ctx, records[0].EventSourceARN, receipts, standbyPause); err != nil {
		return fmt.Errorf("hide messages of the standby: %w", err)
	}
	b.deferred, b.unavailable, b.errs = len(receipts), 0, nil
	return nil
}

// parse reads a payment from an event of the bus.
func parse(body string) (payment.Payment, error) {
	var event struct {
		Source     string          `json:"source"`
		DetailType string          `json:"detail-type"`
		Detail     json.RawMessage `json:"detail"`
	}
	if err := json.Unmarshal([]byte(body), &event); err != nil {
		return payment.Payment{}, fmt.Errorf("read event: %w", err)
	}
	if event.Source != payment.EventSource || event.DetailType != payment.EventDetailType {
		return payment.Payment{}, errors.New("read event: it is no payment's")
	}
	return payment.ParseEventDetail(event.Detail)
}

func (b *batch) fail(ids ...string) {
	for _, id := range ids {
		b.failed[id] = true
	}
}

// record writes messages in one transaction. If the database refuses one of them, which of them it is is found by halves, so
// that the others are recorded all the same.
func (h *handler) record(ctx context.Context, b *batch, messages []message) {
	if len(messages) == 0 {
		return
	}
	if b.unavailable > 0 { // it was, for the other half
		b.await(messages)
		return
	}
	payments := make([]payment.Payment, len(messages))
	for i, m := range messages {
		payments[i] = m.payment
	}
	result, err := h.ledger.Record(ctx, payments)
	switch {
	case err == nil:
		b.recorded += result.Recorded
		b.duplicates += result.Duplicates
		b.conflicts += len(result.Conflicts)
		b.failConflicts(messages, result.Conflicts)
	case errors.Is(err, ledger.ErrRefused) && len(messages) > 1:
		half := len(messages) / 2
		h.record(ctx, b, messages[:half])
		h.record(ctx, b, messages[half:])
	case errors.Is(err, ledger.ErrRefused):
		b.malformed++
		b.errs = append(b.errs, err)
		b.failMessages(messages)
	default:
		b.unavailable++
		b.errs = append(b.errs, err)
		b.await(messages)
	}
}

// await fails messages because the ledger is unavailable.
func (b *batch) await(messages []message) {
	b.failMessages(messages)
	for _, m := range messages {
		b.waiting[m.id] = true
	}
}

func (b *batch) failMessages(messages []message) {
	for _, m := range messages {
		b.fail(m.id)
	}
}

// failConflicts fails all messages of an identity that has two amounts, the recorded one's too if it is in the batch: it will
// be a duplicate when it comes again, and whoever looks into the dead-letter queue may find both sides.
func (b *batch) failConflicts(messages []message, conflicts []payment.Identity) {
	conflicting := map[payment.Identity]bool{}
	for _, id := range conflicts {
		conflicting[id] = true
	}
	for _, m := range messages {
		if conflicting[m.payment.Identity] {
			b.fail(m.id)
		}
	}
}

// log writes one line about a batch, without ids or payments.
func (h *handler) log(ctx context.Context, b *batch, messages, failures int, started time.Time) {
	now := h.now()
	attributes := []slog.Attr{
		slog.Int("messages", messages),
		slog.Int("failures", failures),
		slog.Float64("durationMs", float64(now.Sub(started).Microseconds())/1000),
	}
	level := slog.LevelInfo
	if failures > b.deferred {
		level = slog.LevelError
	}
	if b.deferred > 0 {
		attributes = append(attributes, slog.Int("deferred", b.deferred))
	}
	if err := errors.Join(b.errs...); err != nil {
		attributes = append(attributes, slog.String("error", err.Error()))
	}
	attributes = append(attributes, telemetry.Values(h.namespace, "ledger", now, map[string]int{
		telemetry.MetricLedgerRecorded:    b.recorded,
		telemetry.MetricLedgerDuplicates:  b.duplicates,
		telemetry.MetricLedgerConflicts:   b.conflicts,
		telemetry.MetricLedgerMalformed:   b.malformed,
		telemetry.MetricLedgerUnavailable: b.unavailable,
	})...)
	h.logger.LogAttrs(ctx, level, "batch", attributes...)
}
