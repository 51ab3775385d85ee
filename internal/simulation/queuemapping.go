package simulation

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"github.com/aws/aws-lambda-go/events"
)

// Defaults of a queue's event source mapping ("Lambda parameters for Amazon SQS event source mappings", AWS Lambda Developer
// Guide). Without a maximum concurrency Lambda begins with five pollers ("Configuring scaling behavior for SQS event source
// mappings", same guide) and adds more; the simulation keeps five.
const (
	DefaultQueueBatchSize   = 10
	DefaultQueueConcurrency = 5
)

// QueueMappingConfig configures the event source mapping of a queue.
type QueueMappingConfig struct {
	Queue              *Queue
	Function           Invoker
	BatchSize          int
	MaximumConcurrency int
	// ReportBatchItemFailures lets the function's answer tell which messages failed.
	ReportBatchItemFailures bool
	// Disabled is how the mapping begins.
	Disabled bool
	// Observe is told the outcome of each invocation: how many messages it had, how many of them were deleted, and the
	// function's error.
	Observe func(messages, deleted int, err error)
}

// QueueMapping simulates the event source mapping of a queue: messages are deleted when the function has succeeded, all or
// those that it does not report; the others become visible again after the visibility timeout ("Creating and configuring an
// Amazon SQS event source mapping" and "Handling errors for an SQS event source in Lambda", AWS Lambda Developer Guide). An
// answer that cannot be read, or reports a message that the batch has not, fails the whole batch.
type QueueMapping struct {
	config  QueueMappingConfig
	changes signal
	mu      sync.Mutex
	enabled bool
}

// NewQueueMapping is a mapping that Run runs.
func NewQueueMapping(config QueueMappingConfig) *QueueMapping {
	if config.BatchSize == 0 {
		config.BatchSize = DefaultQueueBatchSize
	}
	if config.MaximumConcurrency == 0 {
		config.MaximumConcurrency = DefaultQueueConcurrency
	}
	return &QueueMapping{config: config, enabled: !config.Disabled}
}

// SetEnabled switches the mapping on or off. Invocations under way are not ended.
func (m *QueueMapping) SetEnabled(enabled bool) {
	m.mu.Lock()
	m.enabled = enabled
	m.mu.Unlock()
	m.changes.changed()
}

// Enabled tells whether the mapping is on.
func (m *QueueMapping) Enabled() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.enabled
}

// Run polls until the context is done, and returns when the last invocation has ended.
func (m *QueueMapping) Run(ctx context.Context) {
	var pollers sync.WaitGroup
	for range m.config.MaximumConcurrency {
		pollers.Go(func() {
			for ctx.Err() == nil {
				if messages := m.receive(ctx); len(messages) > 0 {
					m.invoke(context.WithoutCancel(ctx), messages)
				}
			}
		})
	}
	pollers.Wait()
}

// receive waits for messages while the mapping is on; it returns without any when that changes.
func (m *QueueMapping) receive(ctx context.Context) []events.SQSMessage {
	change := m.changes.next()
	if !m.Enabled() {
		select {
		case <-change:
		case <-ctx.Done():
		}
		return nil
	}
	polling, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-change:
			cancel()
		case <-polling.Done():
		}
	}()
	messages, _ := m.config.Queue.Wait(polling, m.config.BatchSize)
	return messages
}

func (m *QueueMapping) invoke(ctx context.Context, messages []events.SQSMessage) {
	deleted, err := 0, error(nil)
	defer func() {
		if m.config.Observe != nil {
			m.config.Observe(len(messages), deleted, err)
		}
	}()
	payload, err := json.Marshal(events.SQSEvent{Records: messages})
	if err != nil {
		return
	}
	answer, err := m.config.Function.Invoke(ctx, payload)
	if err != nil {
		return
	}
	failed, err := m.failures(messages, answer)
	if err != nil {
		return
	}
	for _, message := range messages {
		if !failed[message.MessageId] && m.config.Queue.Delete(message.ReceiptHandle) == nil {
			deleted++
		}
	}
}

// failures are the ids of the messages that an answer reports.
func (m *QueueMapping) failures(messages []events.SQSMessage, answer []byte) (map[string]bool, error) {
	failed := map[string]bool{}
	if !m.config.ReportBatchItemFailures || len(answer) == 0 {
		return failed, nil
	}
	ids, err := batchItemFailures(answer)
	if err != nil {
		return nil, err
	}
	known := map[string]bool{}
	for _, message := range messages {
		known[message.MessageId] = true
	}
	for _, id := range ids {
		if !known[id] {
			return nil, fmt.Errorf("read the function's answer: no message %q in the batch", id)
		}
		failed[id] = true
	}
	return failed, nil
}

// batchItemFailures reads which items a function's answer reports as failed: the ids of messages or the numbers of records.
// An item whose id is missing or under another name is an error, and an empty or null id is that of no item: either fails the
// whole batch ("Handling errors for an SQS event source in Lambda", and "Configuring partial batch response with DynamoDB and
// Lambda", AWS Lambda Developer Guide). Names are taken as they are written; encoding/json would take a structure's in any
// case. Of a list under another name the pages do not say what it is: here it is none and all is done, which is harder on the
// functions.
func batchItemFailures(answer []byte) ([]string, error) {
	var response map[string]json.RawMessage
	if err := json.Unmarshal(answer, &response); err != nil {
		return nil, fmt.Errorf("read the function's answer: %w", err)
	}
	list, ok := response["batchItemFailures"]
	if !ok {
		return nil, nil
	}
	var items []map[string]json.RawMessage
	if err := json.Unmarshal(list, &items); err != nil {
		return nil, fmt.Errorf("read the function's answer: %w", err)
	}
	ids := make([]string, len(items))
	for i, item := range items {
		if json.Unmarshal(item["itemIdentifier"], &ids[i]) != nil {
			return nil, errors.New("read the function's answer: an item without an itemIdentifier")
		}
	}
	return ids, nil
}
