package simulation_test

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

func appendRecord(t *testing.T, s *simulation.Stream, id, region string, name events.DynamoDBOperationType) {
	t.Helper()
	keys := map[string]events.DynamoDBAttributeValue{"id": events.NewStringAttribute(id)}
	image := map[string]events.DynamoDBAttributeValue{"id": events.NewStringAttribute(id), "region": events.NewStringAttribute(region)}
	if err := s.Append(name, keys, image, nil); err != nil {
		t.Fatal(err)
	}
}

// streamInvoker takes batches of records; a failure is named by its id.
type streamInvoker struct{ invoker }

func (f *streamInvoker) Invoke(_ context.Context, payload []byte) ([]byte, error) {
	var event events.DynamoDBEvent
	if err := json.Unmarshal(payload, &event); err != nil {
		return nil, err
	}
	var ids []string
	for _, record := range event.Records {
		ids = append(ids, record.Change.NewImage["id"].String())
	}
	call := f.begin(ids)
	defer f.end()
	if f.raw != nil {
		return f.raw(), nil
	}
	var response events.DynamoDBEventResponse
	if f.answer != nil {
		failed, err := f.answer(call, ids)
		if err != nil {
			return nil, err
		}
		for _, record := range event.Records {
			if slices.Contains(failed, record.Change.NewImage["id"].String()) {
				response.BatchItemFailures = append(response.BatchItemFailures, events.DynamoDBBatchItemFailure{ItemIdentifier: record.Change.SequenceNumber})
			}
		}
		slices.Reverse(response.BatchItemFailures) // the order does not matter
	}
	return json.Marshal(response)
}

// runStreamMapping runs a mapping until the stream is done, and returns the batches, each as one text.
func runStreamMapping(t *testing.T, config simulation.StreamMappingConfig, function *streamInvoker) []string {
	t.Helper()
	config.Function = function
	mapping, err := simulation.NewStreamMapping(config)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- mapping.Run(ctx) }()
	if err := mapping.WaitCaughtUp(ctx); err != nil {
		t.Errorf("%d records behind: %v", mapping.Behind(), err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	var batches []string
	for _, call := range function.all() {
		batches = append(batches, strings.Join(call, " "))
	}
	return batches
}

func TestStreamRecords(t *testing.T) {
	s := simulation.NewStream(simulation.StreamConfig{ARN: "arn:stream", Region: "us-west-2", Shards: 4})
	for i := range 40 {
		appendRecord(t, s, strconv.Itoa(i%20), "us-east-1", events.DynamoDBOperationTypeInsert)
	}
	last := map[string]string{}
	ids := map[string]bool{}
	for _, record := range s.Records() {
		id, number := record.Change.Keys["id"].String(), record.Change.SequenceNumber
		if number <= last[id] || len(number) != 21 {
			t.Errorf("sequence number %s after %s", number, last[id])
		}
		last[id] = number
		ids[record.EventID] = true
		if record.AWSRegion != "us-west-2" || record.EventSourceArn != "arn:stream" || record.EventSource != "aws:dynamodb" || record.EventName != "INSERT" {
			t.Errorf("record %+v", record)
		}
	}
	if len(last) != 20 || len(ids) != 40 {
		t.Errorf("%d items, %d event ids", len(last), len(ids))
	}
}

func TestStreamMappingFilters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := simulation.NewStream(simulation.StreamConfig{})
		appendRecord(t, s, "0", "us-east-1", events.DynamoDBOperationTypeInsert)
		appendRecord(t, s, "1", "us-west-2", events.DynamoDBOperationTypeInsert)
		appendRecord(t, s, "2", "us-east-1", events.DynamoDBOperationTypeModify)
		appendRecord(t, s, "3", "us-east-1", events.DynamoDBOperationTypeInsert)
		appendRecord(t, s, "4", "us-west-2", events.DynamoDBOperationTypeInsert)
		got := runStreamMapping(t, simulation.StreamMappingConfig{
			Stream: s, Filters: []string{`{"eventName":["INSERT"],"dynamodb":{"NewImage":{"region":{"S":["us-east-1"]}}}}`},
		}, &streamInvoker{})
		if !slices.Equal(got, []string{"0 3"}) {
			t.Errorf("batches %q", got)
		}
	})
	if _, err := simulation.NewStreamMapping(simulation.StreamMappingConfig{
		Stream: simulation.NewStream(simulation.StreamConfig{}), Filters: []string{`{"a":[{"suffix":"x"}]}`},
	}); err == nil {
		t.Error("a filter that is not simulated is taken")
	}
}

func TestStreamMappingRetries(t *testing.T) {
	broken := errors.New("broken")
	bad := func(_ int, ids []string) ([]string, error) {
		if slices.Contains(ids, "2") {
			return nil, broken
		}
		return nil, nil
	}
	report := func(ids ...string) func(int, []string) ([]string, error) {
		return func(int, []string) ([]string, error) { return ids, nil }
	}
	for _, tt := range []struct {
		name           string
		report, bisect bool
		attempts       int
		answer         func(int, []string) ([]string, error)
		raw            func() []byte
		want           []string
		dead           []string
	}{
		{"success", true, true, 2, nil, nil, []string{"0 1 2 3", "4 5"}, nil},
		{"passing error", false, false, 2, func(call int, _ []string) ([]string, error) {
			if call < 3 {
				return nil, broken
			}
			return nil, nil
		}, nil, []string{"0 1 2 3", "0 1 2 3", "0 1 2 3", "4 5"}, nil},
		{"lasting error", false, false, 1, bad, nil, []string{"0 1 2 3", "0 1 2 3", "4 5"}, []string{"0-3 of 4 after 2"}},
		{"bisecting finds it", false, true, 1, bad, nil, []string{"0 1 2 3", "0 1", "2 3", "2", "2", "3", "4 5"}, []string{"2-2 of 1 after 2"}},
		{"partial answer keeps what is before", true, false, 1, func(call int, _ []string) ([]string, error) {
			return map[int][]string{1: {"1", "2"}, 2: {"3"}}[call], nil
		}, nil, []string{"0 1 2 3", "1 2 3", "3", "4 5"}, nil},
		{"partial answer, given up with what is behind", true, true, 1, report("2"), nil, []string{"0 1 2 3", "2 3", "2 3", "4 5"}, []string{"2-3 of 2 after 2"}},
		{"partial answer, attempts begin again behind what is done", true, false, 1, func(call int, _ []string) ([]string, error) {
			return map[int][]string{1: {"0"}, 2: {"2"}, 3: {"2"}}[call], nil
		}, nil, []string{"0 1 2 3", "0 1 2 3", "2 3", "2 3", "4 5"}, nil},
		{"partial answer, not asked for", false, false, 1, report("2"), nil, []string{"0 1 2 3", "4 5"}, nil},
		{"answer that is not JSON", true, false, 0, nil, func() []byte { return []byte("<") }, []string{"0 1 2 3", "4 5"}, []string{"0-3 of 4 after 1", "4-5 of 2 after 1"}},
		{"empty id", true, false, 0, nil, func() []byte { return []byte(`{"batchItemFailures":[{"itemIdentifier":""}]}`) },
			[]string{"0 1 2 3", "4 5"}, []string{"0-3 of 4 after 1", "4-5 of 2 after 1"}},
		{"throttled invocations do not count", false, false, 0, func(call int, _ []string) ([]string, error) {
			if call < 5 {
				return nil, simulation.ErrThrottled
			}
			return nil, nil
		}, nil, []string{"0 1 2 3", "0 1 2 3", "0 1 2 3", "0 1 2 3", "0 1 2 3", "4 5"}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				dead := simulation.NewQueue(simulation.QueueConfig{})
				s := simulation.NewStream(simulation.StreamConfig{ARN: "arn:stream"})
				numbers := map[string]string{}
				for i := range 6 {
					appendRecord(t, s, strconv.Itoa(i), "us-east-1", events.DynamoDBOperationTypeInsert)
				}
				for _, record := range s.Records() {
					numbers[record.Change.SequenceNumber] = record.Change.NewImage["id"].String()
				}
				got := runStreamMapping(t, simulation.StreamMappingConfig{
					Stream: s, BatchSize: 4, ReportBatchItemFailures: tt.report, BisectBatchOnFunctionError: tt.bisect, MaximumRetryAttempts: tt.attempts, OnFailure: dead,
				}, &streamInvoker{invoker{answer: tt.answer, raw: tt.raw}})
				if !slices.Equal(got, tt.want) {
					t.Errorf("batches %q\nwant    %q", got, tt.want)
				}
				var given []string
				for _, m := range dead.Messages() {
					var message struct {
						RequestContext     struct{ ApproximateInvokeCount int }
						DDBStreamBatchInfo simulation.BatchInfo
					}
					if err := json.Unmarshal([]byte(m.Body), &message); err != nil {
						t.Fatal(err)
					}
					info := message.DDBStreamBatchInfo
					given = append(given, numbers[info.StartSequenceNumber]+"-"+numbers[info.EndSequenceNumber]+" of "+strconv.Itoa(info.BatchSize)+
						" after "+strconv.Itoa(message.RequestContext.ApproximateInvokeCount))
					if info.StreamARN != "arn:stream" || info.ShardID == "" {
						t.Errorf("message %s", m.Body)
					}
				}
				if !slices.Equal(given, tt.dead) {
					t.Errorf("given up %q, want %q", given, tt.dead)
				}
			})
		})
	}
}

func TestStreamMappingKeepsTheOrderOfAShard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := simulation.NewStream(simulation.StreamConfig{Shards: 3})
		for i := range 90 {
			appendRecord(t, s, strconv.Itoa(i%30), strconv.Itoa(i), events.DynamoDBOperationTypeModify)
		}
		function := &streamInvoker{invoker{answer: func(call int, ids []string) ([]string, error) {
			if call%3 == 0 {
				return ids[len(ids)/2:], nil
			}
			return nil, nil
		}}}
		runStreamMapping(t, simulation.StreamMappingConfig{Stream: s, BatchSize: 7, ReportBatchItemFailures: true, MaximumRetryAttempts: -1}, function)
		count := map[string]int{}
		for _, call := range function.all() {
			for _, id := range call {
				count[id]++
			}
		}
		for i := range 30 {
			if count[strconv.Itoa(i)] < 3 {
				t.Errorf("item %d was seen %d times, want each of its 3 changes", i, count[strconv.Itoa(i)])
			}
		}
		if function.mostAtOnce > 3 {
			t.Errorf("%d invocations at once for 3 shards", function.mostAtOnce)
		}
	})
}

func TestStreamMappingGoesOnWhereItEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := simulation.NewStream(simulation.StreamConfig{})
		function := &streamInvoker{}
		mapping, err := simulation.NewStreamMapping(simulation.StreamMappingConfig{Stream: s, Function: function})
		if err != nil {
			t.Fatal(err)
		}
		for i := range 3 {
			appendRecord(t, s, strconv.Itoa(i), "us-east-1", events.DynamoDBOperationTypeInsert)
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() { done <- mapping.Run(ctx) }()
			if err := mapping.WaitCaughtUp(ctx); err != nil {
				t.Fatal(err)
			}
			cancel()
			if err := <-done; err != nil {
				t.Fatal(err)
			}
		}
		if got := function.all(); len(got) != 3 || got[2][0] != "2" || len(got[2]) != 1 {
			t.Errorf("batches %v", got)
		}
	})
}
