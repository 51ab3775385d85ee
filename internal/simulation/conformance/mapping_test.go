package conformance_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"payments-dr/internal/simulation"
)

// Moto runs functions in containers and knows no partial answers: these cases are by the documentation alone.
const (
	pageQueueErrors   = `"Handling errors for an SQS event source in Lambda" (AWS Lambda Developer Guide)`
	pageStreamPartial = `"Configuring partial batch response with DynamoDB and Lambda" (AWS Lambda Developer Guide)`
	pageStreamErrors  = `"Process DynamoDB records with Lambda" (AWS Lambda Developer Guide)`
	pageOpen          = `no page: the simulation does what is harder on the functions`
)

// batches is a function that is given a batch of "0", "1" and so on, answers the first time with a given text, in which $0 is the
// id of "0", and then succeeds. It keeps each batch as a text, such as "0 1 2", with the time since the first.
type batches struct {
	answer string
	err    error
	began  time.Time
	all    []string
	after  []time.Duration
}

func (b *batches) invoked(names, ids []string) ([]byte, error) {
	if len(b.all) == 0 {
		b.began = time.Now()
	}
	b.all = append(b.all, strings.Join(names, " "))
	b.after = append(b.after, time.Since(b.began))
	if len(b.all) > 1 {
		return nil, nil
	}
	answer := b.answer
	for i, name := range names {
		answer = strings.ReplaceAll(answer, "$"+name, ids[i])
	}
	return []byte(answer), b.err
}

type queueFunction struct{ batches }

func (f *queueFunction) Invoke(_ context.Context, payload []byte) ([]byte, error) {
	var event events.SQSEvent
	if err := json.Unmarshal(payload, &event); err != nil {
		return nil, err
	}
	slices.SortFunc(event.Records, func(a, b events.SQSMessage) int { return strings.Compare(a.Body, b.Body) })
	var names, ids []string
	for _, message := range event.Records {
		names, ids = append(names, message.Body), append(ids, message.MessageId)
	}
	return f.invoked(names, ids)
}

func TestPartialAnswersOfAQueue(t *testing.T) {
	const everything = "0 1 2"
	broken := errors.New("broken")
	for _, tt := range []struct {
		name, answer string
		err          error
		off          bool
		again        string // what comes again
		page         string
	}{
		{"empty list", `{"batchItemFailures":[]}`, nil, false, "", pageQueueErrors},
		{"null list", `{"batchItemFailures":null}`, nil, false, "", pageQueueErrors},
		{"empty answer", `{}`, nil, false, "", pageQueueErrors},
		{"null answer", `null`, nil, false, "", pageQueueErrors},
		{"no answer", ``, nil, false, "", pageQueueErrors},
		{"one message", `{"batchItemFailures":[{"itemIdentifier":"$1"}]}`, nil, false, "1", pageQueueErrors},
		{"two messages", `{"batchItemFailures":[{"itemIdentifier":"$2"},{"itemIdentifier":"$0"}]}`, nil, false, "0 2", pageQueueErrors},
		{"one message twice", `{"batchItemFailures":[{"itemIdentifier":"$1"},{"itemIdentifier":"$1"}]}`, nil, false, "1", pageOpen},
		{"all messages", `{"batchItemFailures":[{"itemIdentifier":"$0"},{"itemIdentifier":"$1"},{"itemIdentifier":"$2"}]}`, nil, false, everything, pageQueueErrors},
		{"not JSON", `<html>`, nil, false, everything, pageQueueErrors},
		{"empty id", `{"batchItemFailures":[{"itemIdentifier":""}]}`, nil, false, everything, pageQueueErrors},
		{"null id", `{"batchItemFailures":[{"itemIdentifier":null}]}`, nil, false, everything, pageQueueErrors},
		{"another name for the id", `{"batchItemFailures":[{"messageId":"$1"}]}`, nil, false, everything, pageQueueErrors},
		{"the id's name in another case", `{"batchItemFailures":[{"ItemIdentifier":"$1"}]}`, nil, false, everything, pageQueueErrors},
		{"the list's name in another case: an empty answer", `{"BatchItemFailures":[{"itemIdentifier":"$1"}]}`, nil, false, "", pageOpen},
		{"a message that is not there", `{"batchItemFailures":[{"itemIdentifier":"x"}]}`, nil, false, everything, pageQueueErrors},
		{"a message that is not there beside one that is", `{"batchItemFailures":[{"itemIdentifier":"$1"},{"itemIdentifier":"x"}]}`, nil, false, everything, pageQueueErrors},
		{"JSON, but no object", `["$1"]`, nil, false, everything, pageOpen},
		{"an error", ``, broken, false, everything, pageQueueErrors},
		{"partial answers switched off", `{"batchItemFailures":[{"itemIdentifier":"$1"}]}`, nil, true, "", pageQueueErrors},
		{"partial answers switched off, an error", ``, broken, true, everything, pageQueueErrors},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const hidden = 30 * time.Second
				queue := simulation.NewQueue(simulation.QueueConfig{VisibilityTimeout: hidden})
				for i := range 3 {
					if err := queue.Send(t.Context(), strconv.Itoa(i), nil); err != nil {
						t.Fatal(err)
					}
				}
				function := &queueFunction{batches{answer: tt.answer, err: tt.err}}
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
				defer cancel()
				simulation.NewQueueMapping(simulation.QueueMappingConfig{
					Queue: queue, Function: function, MaximumConcurrency: 1, ReportBatchItemFailures: !tt.off,
				}).Run(ctx)
				want := []string{everything}
				if tt.again != "" {
					want = append(want, tt.again)
				}
				if !slices.Equal(function.all, want) {
					t.Errorf("batches %q, want %q by %s", function.all, want, tt.page)
				}
				if len(function.after) > 1 && function.after[1] != hidden {
					t.Errorf("again after %v, want the visibility timeout by %s", function.after[1], pageQueueErrors)
				}
				if left := len(queue.Messages()); left != 0 {
					t.Errorf("%d messages left", left)
				}
			})
		})
	}
}

type streamFunction struct{ batches }

func (f *streamFunction) Invoke(_ context.Context, payload []byte) ([]byte, error) {
	var event events.DynamoDBEvent
	if err := json.Unmarshal(payload, &event); err != nil {
		return nil, err
	}
	var names, ids []string
	for _, record := range event.Records {
		names, ids = append(names, record.Change.Keys["id"].String()), append(ids, record.Change.SequenceNumber)
	}
	return f.invoked(names, ids)
}

func TestPartialAnswersOfAStream(t *testing.T) {
	broken := errors.New("broken")
	everything := []string{"0 1 2 3"}
	for _, tt := range []struct {
		name, answer string
		err          error
		off, bisect  bool
		again        []string // the batches after the first
		page         string
	}{
		{"empty list", `{"batchItemFailures":[]}`, nil, false, false, nil, pageStreamPartial},
		{"null list", `{"batchItemFailures":null}`, nil, false, false, nil, pageStreamPartial},
		{"empty answer", `{}`, nil, false, false, nil, pageStreamPartial},
		{"null answer", `null`, nil, false, false, nil, pageStreamPartial},
		{"one record: all from there on", `{"batchItemFailures":[{"itemIdentifier":"$2"}]}`, nil, false, false, []string{"2 3"}, pageStreamPartial},
		{"two records: all from the lower on", `{"batchItemFailures":[{"itemIdentifier":"$3"},{"itemIdentifier":"$1"}]}`, nil, false, false, []string{"1 2 3"}, pageStreamPartial},
		{"the first record", `{"batchItemFailures":[{"itemIdentifier":"$0"}]}`, nil, false, false, everything, pageStreamPartial},
		{"one record, with bisecting: at the record", `{"batchItemFailures":[{"itemIdentifier":"$3"}]}`, nil, false, true, []string{"3"}, pageStreamPartial},
		{"an error, with bisecting: in halves", ``, broken, false, true, []string{"0 1", "2 3"}, pageStreamPartial},
		{"an error, with bisecting and partial answers off", ``, broken, true, true, []string{"0 1", "2 3"}, pageStreamPartial},
		{"an error", ``, broken, false, false, everything, pageStreamErrors},
		{"empty id", `{"batchItemFailures":[{"itemIdentifier":""}]}`, nil, false, false, everything, pageStreamPartial},
		{"null id", `{"batchItemFailures":[{"itemIdentifier":null}]}`, nil, false, false, everything, pageStreamPartial},
		{"another name for the id", `{"batchItemFailures":[{"sequenceNumber":"$2"}]}`, nil, false, false, everything, pageStreamPartial},
		{"the id's name in another case", `{"batchItemFailures":[{"ItemIdentifier":"$2"}]}`, nil, false, false, everything, pageStreamPartial},
		{"the list's name in another case: an empty answer", `{"BatchItemFailures":[{"itemIdentifier":"$2"}]}`, nil, false, false, nil, pageOpen},
		{"a record that is not there", `{"batchItemFailures":[{"itemIdentifier":"x"}]}`, nil, false, false, everything, pageOpen},
		{"not JSON", `<html>`, nil, false, false, everything, pageOpen},
		{"partial answers switched off", `{"batchItemFailures":[{"itemIdentifier":"$2"}]}`, nil, true, false, nil, pageStreamPartial},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				stream := simulation.NewStream(simulation.StreamConfig{})
				for i := range 4 {
					keys := map[string]events.DynamoDBAttributeValue{"id": events.NewStringAttribute(strconv.Itoa(i))}
					if err := stream.Append(events.DynamoDBOperationTypeInsert, keys, keys, nil); err != nil {
						t.Fatal(err)
					}
				}
				function := &streamFunction{batches{answer: tt.answer, err: tt.err}}
				mapping, err := simulation.NewStreamMapping(simulation.StreamMappingConfig{
					Stream: stream, Function: function, MaximumRetryAttempts: 1, ReportBatchItemFailures: !tt.off, BisectBatchOnFunctionError: tt.bisect,
				})
				if err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
				defer cancel()
				if err := mapping.Run(ctx); err != nil {
					t.Fatal(err)
				}
				if want := append([]string{"0 1 2 3"}, tt.again...); !slices.Equal(function.all, want) {
					t.Errorf("batches %q, want %q by %s", function.all, want, tt.page)
				}
				if behind := mapping.Behind(); behind != 0 {
					t.Errorf("%d records behind", behind)
				}
			})
		})
	}
}
