package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge/types"

	"payments-dr/internal/payment"
	"payments-dr/internal/payment/telemetry"
)

const (
	// maxEntries is the most entries of one PutEvents call ("PutEvents", Amazon EventBridge API Reference: Entries, "Array
	// Members: Minimum number of 1 item. Maximum number of 10 items").
	maxEntries = 10
	// maxRequestBytes bounds the size of the entries of one call together. EventBridge takes less than 1 MB since January 2026
	// and took less than 256 KB before ("Sending events with PutEvents", Amazon EventBridge User Guide; "More room to build:
	// serverless services now support payloads up to 1 MB", AWS Compute Blog). Not every copy of that guide tells the new
	// number, and ten of the largest payments are 34 KB, so that the smaller one is kept and costs nothing.
	maxRequestBytes = 256<<10 - 1
	// timeBytes is the size of an entry's time in EventBridge's count ("Calculating PutEvents event entry size", Amazon
	// EventBridge User Guide).
	timeBytes = 14
)

const (
	// maxRounds bounds how often one call's entries are put, the ones that failed only.
	maxRounds = 5
	// baseBackoff and maxBackoff bound the wait before the next round: a random part of a time that doubles.
	baseBackoff = 50 * time.Millisecond
	maxBackoff  = time.Second
	// reserve is kept of an invocation's time to answer in. An answer tells which records are done; a timeout tells nothing,
	// and the whole batch would be sent again.
	reserve = 500 * time.Millisecond
	// maxErrors bounds the errors that a log line tells.
	maxErrors = 5
)

// recordInserted is the name of a stream record of a new item.
const recordInserted = string(events.DynamoDBOperationTypeInsert)

// eventBus is what the handler needs of EventBridge.
type eventBus interface {
	PutEvents(context.Context, *eventbridge.PutEventsInput, ...func(*eventbridge.Options)) (*eventbridge.PutEventsOutput, error)
}

var _ eventBus = (*eventbridge.Client)(nil)

// handler relays the payments accepted in one Region.
type handler struct {
	bus       eventBus
	busName   string
	region    string
	namespace string
	logger    *slog.Logger
	now       func() time.Time
	// wait waits between rounds.
	wait func(context.Context, time.Duration) error
	// random is a number from 0 to 1, for the waits.
	random func() float64
}

// outgoing is one record's event.
type outgoing struct {
	record int
	entry  types.PutEventsRequestEntry
}

// outcome is what became of a batch's records.
type outcome struct {
	forwarded, skipped int
	// failed has a record's index if the record is not done; hopeless, if it never will be.
	failed, hopeless map[int]bool
	errs             []error
}

func (o *outcome) fail(err error, records ...int) {
	for _, record := range records {
		o.failed[record] = true
	}
	if len(o.errs) < maxErrors {
		o.errs = append(o.errs, err)
	}
}

// errHopelessFirst is the error of a batch that begins with a record that can never become an event, and has others behind it.
var errHopelessFirst = errors.New("the first record can never become an event")

// handle relays a batch of one shard's records and reports the first that is not done. Lambda tries everything from that one
// on again ("Configuring partial batch response with DynamoDB and Lambda", AWS Lambda Developer Guide), so that events behind
// it may be put twice; consumers know a payment by its identity.
//
// A record that can never become an event is to end in the mapping's failure destination, alone. Reporting it makes it the
// first of the next batch. Reported then, it would keep the records behind it to itself: nothing is left to split at, and all
// would be tried again and given up together. So the handler fails there, and Lambda halves the batch, which does not count as
// a retry ("Retain discarded records for a DynamoDB event source in Lambda", same guide). The records behind are put first in
// either case: no payment waits for a bad record.
func (h *handler) handle(ctx context.Context, event events.DynamoDBEvent) (events.DynamoDBEventResponse, error) {
	started := h.now()
	result := &outcome{failed: map[int]bool{}, hopeless: map[int]bool{}}
	h.put(ctx, h.outgoing(event.Records, result), result)
	var response events.DynamoDBEventResponse
	for i, record := range event.Records {
		if result.failed[i] {
			response.BatchItemFailures = []events.DynamoDBBatchItemFailure{{ItemIdentifier: record.Change.SequenceNumber}}
			break
		}
	}
	h.log(ctx, event, result, response, started)
	if result.hopeless[0] && len(event.Records) > 1 {
		return events.DynamoDBEventResponse{}, errHopelessFirst
	}
	return response, nil
}

// outgoing makes the events of a batch's records, in their order.
func (h *handler) outgoing(records []events.DynamoDBEventRecord, result *outcome) []outgoing {
	var all []outgoing
	for i, record := range records {
		if !h.ours(record) {
			result.skipped++
			continue
		}
		entry, err := h.entry(record)
		if err != nil {
			result.fail(fmt.Errorf("read record %s: %w", record.Change.SequenceNumber, err), i)
			result.hopeless[i] = true
			continue
		}
		all = append(all, outgoing{record: i, entry: entry})
	}
	return all
}

// ours tells whether a record is of a payment that was accepted in this Region. The mapping's filter says the same; but a
// payment relayed by both Regions, or a probe taken for a payment, must not hang on one line of a template. A payment that
// names no Region is not skipped: nobody would see it again.
func (h *handler) ours(record events.DynamoDBEventRecord) bool {
	if record.EventName != recordInserted {
		return false
	}
	if status, ok := text(record, payment.AttributeStatus); !ok || status != payment.StatusProcessed {
		return false
	}
	region, ok := text(record, payment.AttributeRegion)
	return !ok || region == "" || region == h.region
}

func (h *handler) entry(record events.DynamoDBEventRecord) (types.PutEventsRequestEntry, error) {
	values := make(payment.Values, len(record.Change.NewImage))
	for name := range record.Change.NewImage {
		if value, ok := text(record, name); ok {
			values[name] = value
		}
	}
	p, err := payment.Parse(values)
	if err != nil {
		return types.PutEventsRequestEntry{}, err
	}
	detail, err := payment.MarshalEventDetail(p)
	if err != nil {
		return types.PutEventsRequestEntry{}, fmt.Errorf("write event's detail: %w", err)
	}
	return types.PutEventsRequestEntry{
		EventBusName: &h.busName,
		Source:       aws.String(payment.EventSource),
		DetailType:   aws.String(payment.EventDetailType),
		Detail:       aws.String(string(detail)),
		Time:         aws.Time(p.Timestamp),
	}, nil
}

// text is an attribute of a record's new item, if it is a string.
func text(record events.DynamoDBEventRecord, name string) (string, bool) {
	value, ok := record.Change.NewImage[name]
	if !ok || value.DataType() != events.DataTypeString {
		return "", false
	}
	return value.String(), true
}

// put puts all events, in calls of as many as fit. When a bus does not take events at the moment, the rest is left for the
// next time: putting on would only delay the report and send more twice.
func (h *handler) put(ctx context.Context, all []outgoing, result *outcome) {
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, deadline.Add(-reserve))
		defer cancel()
	}
	for len(all) > 0 {
		count := fitting(all)
		left, err := h.putCall(ctx, all[:count], result)
		all = all[count:]
		if err != nil {
			result.fail(err, records(slices.Concat(left, all))...)
			return
		}
	}
}

// fitting is how many of the events at the beginning fit in one call, at least one.
func fitting(all []outgoing) int {
	size := 0
	for i, one := range all {
		size += entrySize(one.entry)
		if i > 0 && (size > maxRequestBytes || i == maxEntries) {
			return i
		}
	}
	return len(all)
}

// entrySize is the size of an entry as EventBridge counts it ("Calculating PutEvents event entry size", Amazon EventBridge
// User Guide), in bytes.
func entrySize(entry types.PutEventsRequestEntry) int {
	size := len(aws.ToString(entry.Source)) + len(aws.ToString(entry.DetailType)) + len(aws.ToString(entry.Detail))
	if entry.Time != nil {
		size += timeBytes
	}
	for _, resource := range entry.Resources {
		size += len(resource)
	}
	return size
}

// putCall puts the events of one call, the failed ones again until all are taken or refused for good. left are those that
// are neither when it gives up, and err is why.
func (h *handler) putCall(ctx context.Context, events []outgoing, result *outcome) (left []outgoing, err error) {
	for round := 1; ; round++ {
		if err := ctx.Err(); err != nil {
			return events, fmt.Errorf("put events: no time left: %w", err)
		}
		out, err := h.bus.PutEvents(ctx, &eventbridge.PutEventsInput{Entries: entries(events)})
		if err != nil {
			return events, fmt.Errorf("put events: %w", err)
		}
		if len(out.Entries) != len(events) {
			return events, fmt.Errorf("put events: %d results for %d entries", len(out.Entries), len(events))
		}
		var failed []outgoing
		var why error
		for i, one := range out.Entries {
			switch code := aws.ToString(one.ErrorCode); {
			case code == "" && aws.ToString(one.EventId) != "":
				result.forwarded++
			case refusedForGood(code):
				result.fail(fmt.Errorf("put event: %s: %s", code, aws.ToString(one.ErrorMessage)), events[i].record)
				result.hopeless[events[i].record] = aboutTheEntry(code)
			default:
				why = fmt.Errorf("put event: %s: %s", code, aws.ToString(one.ErrorMessage))
				failed = append(failed, events[i])
			}
		}
		if len(failed) == 0 {
			return nil, nil
		}
		events = failed
		if round == maxRounds {
			return events, fmt.Errorf("%w (%d times)", why, round)
		}
		if err := h.wait(ctx, h.backoff(round)); err != nil {
			return events, fmt.Errorf("%w: no time left: %w", why, err)
		}
	}
}

// backoff is a random part of a time that doubles with each round ("Exponential Backoff And Jitter", AWS Architecture Blog:
// full jitter).
func (h *handler) backoff(round int) time.Duration {
	return time.Duration(h.random() * float64(min(baseBackoff<<(round-1), maxBackoff)))
}

// refusedForGood tells the errors of an entry that another attempt does not mend ("PutEventsResultEntry", Amazon EventBridge
// API Reference: non-retryable errors). Any other error is worth another attempt. Missing permissions can be mended while
// records wait in the stream, but not within an invocation.
func refusedForGood(code string) bool {
	switch code {
	case "AccessDeniedException", "InvalidAccountIdException", "InvalidArgument", "MalformedDetail", "RedactionFailure",
		"NotAuthorizedForSourceException", "NotAuthorizedForDetailTypeException":
		return true
	}
	return false
}

// aboutTheEntry tells those errors that are an entry's own, and not its sender's.
func aboutTheEntry(code string) bool { return code == "InvalidArgument" || code == "MalformedDetail" }

func entries(events []outgoing) []types.PutEventsRequestEntry {
	all := make([]types.PutEventsRequestEntry, len(events))
	for i, one := range events {
		all[i] = one.entry
	}
	return all
}

func records(events []outgoing) []int {
	all := make([]int, len(events))
	for i, one := range events {
		all[i] = one.record
	}
	return all
}

// log writes one line about a batch. It has no ids of payments: they are the client's, and may hold what no log should.
func (h *handler) log(ctx context.Context, event events.DynamoDBEvent, result *outcome, response events.DynamoDBEventResponse, started time.Time) {
	now := h.now()
	attributes := []slog.Attr{
		slog.Int("records", len(event.Records)),
		slog.Float64("durationMs", float64(now.Sub(started).Microseconds())/1000),
	}
	level := slog.LevelInfo
	if len(response.BatchItemFailures) > 0 {
		level = slog.LevelError
		attributes = append(attributes, slog.String("firstFailure", response.BatchItemFailures[0].ItemIdentifier))
	}
	if err := errors.Join(result.errs...); err != nil {
		attributes = append(attributes, slog.String("error", err.Error()))
	}
	attributes = append(attributes, telemetry.Values(h.namespace, functionDimension, now, map[string]int{
		telemetry.MetricRelayForwarded: result.forwarded,
		telemetry.MetricRelayFailed:    len(result.failed),
		telemetry.MetricRelaySkipped:   result.skipped,
	})...)
	h.logger.LogAttrs(ctx, level, "batch", attributes...)
}
