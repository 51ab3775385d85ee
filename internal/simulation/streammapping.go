package simulation

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"payments-dr/internal/simulation/eventbus"
)

// DefaultStreamBatchSize is that of a stream's event source mapping ("Lambda parameters for Amazon DynamoDB event source
// mappings", AWS Lambda Developer Guide).
const DefaultStreamBatchSize = 100

// StreamMappingConfig configures the event source mapping of a stream.
type StreamMappingConfig struct {
	Stream   *Stream
	Function Invoker
	// Filters are patterns; a record that matches none is passed over. Without any every record is handed on. The part of the
	// pattern language is that of eventbus.ParsePattern.
	Filters                    []string
	BatchSize                  int
	ReportBatchItemFailures    bool
	BisectBatchOnFunctionError bool
	// MaximumRetryAttempts is how often a batch that failed is tried again; -1 is without end.
	MaximumRetryAttempts int
	// OnFailure gets a message about each batch that is given up; nil loses it.
	OnFailure *Queue
	// Backoff is the wait after a failed attempt, which counts from 1; nil is StreamBackoff.
	Backoff func(attempt int) time.Duration
	Clock   Clock
	// Observe is told the outcome of each invocation: how many records it had, how many of them are done, and the function's
	// error.
	Observe func(records, done int, err error)
}

// StreamMapping simulates the event source mapping of a table's stream: one batch of a shard at a time, in order, tried again
// until it is done or given up ("Using AWS Lambda with Amazon DynamoDB" and the pages about parameters, partial batch
// responses, discarded records and event filtering there, AWS Lambda Developer Guide).
//
// A function error splits a batch in two where bisecting is on, and that does not count as another attempt. A partial answer
// keeps what is before the record it reports; the rest is a batch of its own, with all attempts before it. If nothing is
// before it, there is nothing to split, and the whole batch is tried again, and given up in the end: the documentation does
// not say that Lambda looks for the bad record then.
//
// It begins with the oldest record. What is done is kept when Run ends, so that the next Run goes on behind it.
type StreamMapping struct {
	config    StreamMappingConfig
	clock     Clock
	filters   []*eventbus.Pattern
	mu        sync.Mutex
	positions []int
}

// StreamBackoff is an assumption: Lambda's own waits are not published.
func StreamBackoff(attempt int) time.Duration {
	return min(100*time.Millisecond<<min(attempt, 10), 30*time.Second)
}

// NewStreamMapping is a mapping that Run runs. The error is a filter's.
func NewStreamMapping(config StreamMappingConfig) (*StreamMapping, error) {
	if config.BatchSize == 0 {
		config.BatchSize = DefaultStreamBatchSize
	}
	if config.Backoff == nil {
		config.Backoff = StreamBackoff
	}
	m := &StreamMapping{config: config, clock: orReal(config.Clock), positions: make([]int, len(config.Stream.shards))}
	for _, filter := range config.Filters {
		pattern, err := eventbus.ParsePattern([]byte(filter))
		if err != nil {
			return nil, fmt.Errorf("make stream mapping: %w", err)
		}
		m.filters = append(m.filters, pattern)
	}
	return m, nil
}

// Run reads all shards until the context is done, and returns when the last invocation has ended.
func (m *StreamMapping) Run(ctx context.Context) error {
	var shards sync.WaitGroup
	faults := make([]error, len(m.positions))
	for shard := range m.positions {
		shards.Go(func() { faults[shard] = m.follow(ctx, shard) })
	}
	shards.Wait()
	return errors.Join(faults...)
}

// Behind is how many records are not done.
func (m *StreamMapping) Behind() int {
	behind := 0
	for shard := range m.positions {
		behind += len(m.config.Stream.read(shard, m.position(shard)))
	}
	return behind
}

func (m *StreamMapping) position(shard int) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.positions[shard]
}

func (m *StreamMapping) advance(shard, position int) {
	m.mu.Lock()
	m.positions[shard] = position
	m.mu.Unlock()
	m.config.Stream.changes.changed()
}

// WaitCaughtUp waits until every record is done. The error is the context's.
func (m *StreamMapping) WaitCaughtUp(ctx context.Context) error {
	for {
		change := m.config.Stream.changes.next()
		if m.Behind() == 0 {
			return nil
		}
		select {
		case <-change:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// placed is a record and the position behind it.
type placed struct {
	record events.DynamoDBEventRecord
	next   int
}

func (m *StreamMapping) follow(ctx context.Context, shard int) error {
	for ctx.Err() == nil {
		change := m.config.Stream.changes.next()
		batch, next, err := m.batch(shard)
		if err != nil {
			return err
		}
		if len(batch) > 0 {
			if !m.process(ctx, shard, batch, 0) {
				return nil
			}
		}
		if next > m.position(shard) { // records behind the batch that no filter lets through
			m.advance(shard, next)
			continue
		}
		if len(batch) > 0 {
			continue
		}
		select {
		case <-change:
		case <-ctx.Done():
		}
	}
	return nil
}

// batch is the next records that a filter lets through, and the position behind all that were looked at.
func (m *StreamMapping) batch(shard int) (batch []placed, next int, err error) {
	next = m.position(shard)
	for _, record := range m.config.Stream.read(shard, next) {
		if len(batch) == m.config.BatchSize {
			break
		}
		next++
		through, err := m.through(record)
		if err != nil {
			return nil, 0, err
		}
		if through {
			batch = append(batch, placed{record, next})
		}
	}
	return batch, next, nil
}

func (m *StreamMapping) through(record events.DynamoDBEventRecord) (bool, error) {
	if len(m.filters) == 0 {
		return true, nil
	}
	body, err := json.Marshal(record)
	if err != nil {
		return false, fmt.Errorf("write record: %w", err)
	}
	for _, filter := range m.filters {
		if matches, err := filter.Matches(body); matches || err != nil {
			return matches, err
		}
	}
	return false, nil
}

// process does a batch, in as many invocations as it takes. It returns false if the context ended first.
func (m *StreamMapping) process(ctx context.Context, shard int, batch []placed, attempts int) bool {
	for len(batch) > 0 {
		if ctx.Err() != nil {
			return false
		}
		done, err := m.invoke(context.WithoutCancel(ctx), batch)
		if m.config.Observe != nil {
			m.config.Observe(len(batch), done, err)
		}
		if done > 0 {
			m.advance(shard, batch[done-1].next)
			batch, attempts = batch[done:], 0
			if len(batch) == 0 {
				return true
			}
		} else if !errors.Is(err, ErrThrottled) && !errors.Is(err, ErrDown) { // neither counts: nothing was begun
			if half := len(batch) / 2; err != nil && half > 0 && m.config.BisectBatchOnFunctionError {
				if sleep(ctx, m.clock, m.config.Backoff(1)) != nil {
					return false
				}
				if !m.process(ctx, shard, batch[:half], attempts) {
					return false
				}
				batch = batch[half:]
				continue
			}
			if attempts++; m.config.MaximumRetryAttempts >= 0 && attempts > m.config.MaximumRetryAttempts {
				m.giveUp(context.WithoutCancel(ctx), shard, batch, attempts)
				m.advance(shard, batch[len(batch)-1].next)
				return true
			}
		}
		if sleep(ctx, m.clock, m.config.Backoff(max(attempts, 1))) != nil {
			return false
		}
	}
	return true
}

// invoke runs the function once. done is how many records from the beginning on are done; the error is the function's.
func (m *StreamMapping) invoke(ctx context.Context, batch []placed) (done int, err error) {
	var event events.DynamoDBEvent
	for _, one := range batch {
		event.Records = append(event.Records, one.record)
	}
	payload, err := json.Marshal(event)
	if err != nil {
		return 0, fmt.Errorf("write records: %w", err)
	}
	answer, err := m.config.Function.Invoke(ctx, payload)
	if err != nil {
		return 0, err
	}
	if !m.config.ReportBatchItemFailures || len(answer) == 0 {
		return len(batch), nil
	}
	numbers, err := batchItemFailures(answer)
	if err != nil {
		return 0, err
	}
	reported := map[string]bool{}
	for _, number := range numbers {
		reported[number] = true
	}
	lowest := len(batch)
	for i, one := range batch {
		if number := one.record.Change.SequenceNumber; reported[number] {
			lowest = min(lowest, i)
			delete(reported, number)
		}
	}
	if len(reported) > 0 {
		return 0, errors.New("read the function's answer: it reports a record that is not in the batch")
	}
	return lowest, nil
}

// discarded is the message about a batch that was given up ("Retain discarded records for a DynamoDB event source in
// Lambda", AWS Lambda Developer Guide). It does not hold the records.
type discarded struct {
	RequestContext struct {
		Condition              string `json:"condition"`
		ApproximateInvokeCount int    `json:"approximateInvokeCount"`
	} `json:"requestContext"`
	Version            string    `json:"version"`
	Timestamp          time.Time `json:"timestamp"`
	DDBStreamBatchInfo BatchInfo `json:"DDBStreamBatchInfo"`
}

// BatchInfo is which records a batch had.
type BatchInfo struct {
	ShardID             string `json:"shardId"`
	StartSequenceNumber string `json:"startSequenceNumber"`
	EndSequenceNumber   string `json:"endSequenceNumber"`
	BatchSize           int    `json:"batchSize"`
	StreamARN           string `json:"streamArn"`
}

func (m *StreamMapping) giveUp(ctx context.Context, shard int, batch []placed, attempts int) {
	if m.config.OnFailure == nil {
		return
	}
	message := discarded{Version: "1.0", Timestamp: m.clock.Now().UTC(), DDBStreamBatchInfo: BatchInfo{
		ShardID: shardID(shard), StartSequenceNumber: batch[0].record.Change.SequenceNumber,
		EndSequenceNumber: batch[len(batch)-1].record.Change.SequenceNumber, BatchSize: len(batch), StreamARN: m.config.Stream.config.ARN,
	}}
	message.RequestContext.Condition, message.RequestContext.ApproximateInvokeCount = "RetryAttemptsExhausted", attempts
	if body, err := json.Marshal(message); err == nil {
		_ = m.config.OnFailure.Send(ctx, string(body), nil) // in memory, and the body is ASCII: it is taken
	}
}
