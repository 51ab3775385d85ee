package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge/types"

	"payments-dr/internal/payment"
)

const region = "us-east-1"

// fakeBus answers as told and remembers what it was asked.
type fakeBus struct {
	// answer is a call's; a nil function takes everything. calls counts from 1.
	answer func(call int, entries []types.PutEventsRequestEntry) (*eventbridge.PutEventsOutput, error)
	calls  [][]types.PutEventsRequestEntry
	taken  []string
}

func (b *fakeBus) PutEvents(ctx context.Context, in *eventbridge.PutEventsInput, _ ...func(*eventbridge.Options)) (*eventbridge.PutEventsOutput, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	b.calls = append(b.calls, in.Entries)
	out := take(in.Entries)
	if b.answer != nil {
		var err error
		if out, err = b.answer(len(b.calls), in.Entries); err != nil {
			return nil, err
		}
	}
	for i, result := range out.Entries {
		if result.EventId != nil {
			b.taken = append(b.taken, transaction(in.Entries[i]))
		}
	}
	return out, nil
}

// take is the answer that takes all entries but those at the given places, which get an error code.
func take(entries []types.PutEventsRequestEntry, failed ...func(types.PutEventsRequestEntry) string) *eventbridge.PutEventsOutput {
	out := &eventbridge.PutEventsOutput{}
	for i, entry := range entries {
		result := types.PutEventsResultEntry{EventId: aws.String(strconv.Itoa(i))}
		for _, code := range failed {
			if c := code(entry); c != "" {
				result = types.PutEventsResultEntry{ErrorCode: aws.String(c), ErrorMessage: aws.String("simulated")}
				out.FailedEntryCount++
			}
		}
		out.Entries = append(out.Entries, result)
	}
	return out
}

func transaction(entry types.PutEventsRequestEntry) string {
	p, err := payment.ParseEventDetail([]byte(*entry.Detail))
	if err != nil {
		return err.Error()
	}
	return p.TransactionID
}

func record(i int) events.DynamoDBEventRecord {
	return events.DynamoDBEventRecord{
		EventID: strconv.Itoa(i), EventName: "INSERT", EventSource: "aws:dynamodb", AWSRegion: region,
		Change: events.DynamoDBStreamRecord{
			SequenceNumber: strconv.Itoa(1000 + i),
			NewImage: map[string]events.DynamoDBAttributeValue{
				"session_id":     events.NewStringAttribute("s"),
				"transaction_id": events.NewStringAttribute(fmt.Sprintf("t%d", i)),
				"amount":         events.NewStringAttribute("12.34"),
				"currency":       events.NewStringAttribute("USD"),
				"timestamp":      events.NewStringAttribute("2026-11-22T03:04:05.678901Z"),
				"region":         events.NewStringAttribute(region),
				"status":         events.NewStringAttribute("processed"),
			},
		},
	}
}

func batch(count int) events.DynamoDBEvent {
	var event events.DynamoDBEvent
	for i := range count {
		event.Records = append(event.Records, record(i))
	}
	return event
}

func transactions(from, to int) []string {
	var all []string
	for i := from; i < to; i++ {
		all = append(all, fmt.Sprintf("t%d", i))
	}
	return all
}

type fixture struct {
	*handler
	bus   *fakeBus
	waits []time.Duration
	lines bytes.Buffer
}

func newFixture(answer func(int, []types.PutEventsRequestEntry) (*eventbridge.PutEventsOutput, error)) *fixture {
	f := &fixture{bus: &fakeBus{answer: answer}}
	f.handler = &handler{
		bus: f.bus, busName: "payments", region: region, namespace: "Payments", logger: slog.New(slog.NewJSONHandler(&f.lines, nil)),
		now:  func() time.Time { return time.Date(2026, 11, 22, 3, 4, 6, 0, time.UTC) },
		wait: func(ctx context.Context, d time.Duration) error { f.waits = append(f.waits, d); return ctx.Err() }, random: func() float64 { return 0.5 },
	}
	return f
}

// relay handles a batch and returns what it reports.
func (f *fixture) relay(t *testing.T, ctx context.Context, event events.DynamoDBEvent) []string {
	t.Helper()
	response, err := f.handle(ctx, event)
	if err != nil {
		t.Fatal(err)
	}
	var reported []string
	for _, failure := range response.BatchItemFailures {
		reported = append(reported, failure.ItemIdentifier)
	}
	return reported
}

func (f *fixture) wantLine(t *testing.T, want map[string]any) {
	t.Helper()
	if n := strings.Count(f.lines.String(), "\n"); n != 1 {
		t.Fatalf("%d log lines, want 1: %s", n, f.lines.String())
	}
	var line map[string]any
	if err := json.Unmarshal(f.lines.Bytes(), &line); err != nil {
		t.Fatal(err)
	}
	for name, value := range want {
		if fmt.Sprint(line[name]) != fmt.Sprint(value) {
			t.Errorf("%s is %v, want %v", name, line[name], value)
		}
	}
}

func TestEntry(t *testing.T) {
	f := newFixture(nil)
	if reported := f.relay(t, t.Context(), batch(1)); len(reported) > 0 {
		t.Fatalf("reported %v", reported)
	}
	entry := f.bus.calls[0][0]
	const detail = `{"amount":"12.34","currency":"USD","region":"us-east-1","session_id":"s","timestamp":"2026-11-22T03:04:05.678901Z","transaction_id":"t0"}`
	if *entry.EventBusName != "payments" || *entry.Source != "payment.processor" || *entry.DetailType != "Payment Transaction" || *entry.Detail != detail {
		t.Errorf("entry %s %s %s %s", *entry.EventBusName, *entry.Source, *entry.DetailType, *entry.Detail)
	}
	if want := time.Date(2026, 11, 22, 3, 4, 5, 678901000, time.UTC); !entry.Time.Equal(want) {
		t.Errorf("time %v, want the acceptance's, %v", entry.Time, want)
	}
	f.wantLine(t, map[string]any{"msg": "batch", "level": "INFO", "records": 1, "RelayForwarded": 1, "RelayFailed": 0, "RelaySkipped": 0, "Function": "relay"})
	var emf struct {
		AWS struct {
			CloudWatchMetrics []struct {
				Namespace string
				Metrics   []struct{ Name, Unit string }
			}
		} `json:"_aws"`
	}
	if err := json.Unmarshal(f.lines.Bytes(), &emf); err != nil || emf.AWS.CloudWatchMetrics[0].Namespace != "Payments" || len(emf.AWS.CloudWatchMetrics[0].Metrics) != 3 {
		t.Errorf("metrics %+v, %v", emf, err)
	}
}

func TestCallsOfTen(t *testing.T) {
	f := newFixture(nil)
	if reported := f.relay(t, t.Context(), batch(25)); len(reported) > 0 {
		t.Fatalf("reported %v", reported)
	}
	var sizes []int
	for _, call := range f.bus.calls {
		sizes = append(sizes, len(call))
	}
	if !slices.Equal(sizes, []int{10, 10, 5}) || !slices.Equal(f.bus.taken, transactions(0, 25)) {
		t.Errorf("calls of %v, taken %v", sizes, f.bus.taken)
	}
}

func TestSkipsWhatTheFilterShould(t *testing.T) {
	event := batch(8)
	event.Records[1].EventName = "MODIFY"
	event.Records[2].EventName = "REMOVE"
	event.Records[3].Change.NewImage = map[string]events.DynamoDBAttributeValue{"probe": events.NewNumberAttribute("1")}
	event.Records[4].Change.NewImage["status"] = events.NewStringAttribute("pending")
	event.Records[5].Change.NewImage["region"] = events.NewStringAttribute("us-west-2")
	event.Records[6].Change.NewImage["status"] = events.NewNumberAttribute("1")
	f := newFixture(nil)
	if reported := f.relay(t, t.Context(), event); len(reported) > 0 {
		t.Errorf("reported %v", reported)
	}
	if !slices.Equal(f.bus.taken, []string{"t0", "t7"}) {
		t.Errorf("taken %v", f.bus.taken)
	}
	f.wantLine(t, map[string]any{"RelayForwarded": 2, "RelaySkipped": 6, "RelayFailed": 0, "level": "INFO"})
}

func TestMalformedRecordIsReportedAndStopsNobody(t *testing.T) {
	for name, change := range map[string]func(map[string]events.DynamoDBAttributeValue){
		"amount is a number": func(image map[string]events.DynamoDBAttributeValue) { image["amount"] = events.NewNumberAttribute("1") },
		"amount is none": func(image map[string]events.DynamoDBAttributeValue) {
			image["amount"] = events.NewStringAttribute("1.234")
		},
		"no currency":     func(image map[string]events.DynamoDBAttributeValue) { delete(image, "currency") },
		"no region":       func(image map[string]events.DynamoDBAttributeValue) { delete(image, "region") },
		"region is empty": func(image map[string]events.DynamoDBAttributeValue) { image["region"] = events.NewStringAttribute("") },
		"no session":      func(image map[string]events.DynamoDBAttributeValue) { delete(image, "session_id") },
	} {
		t.Run(name, func(t *testing.T) {
			event := batch(5)
			change(event.Records[2].Change.NewImage)
			f := newFixture(nil)
			reported := f.relay(t, t.Context(), event)
			if !slices.Equal(reported, []string{"1002"}) {
				t.Errorf("reported %v, want 1002", reported)
			}
			if !slices.Equal(f.bus.taken, []string{"t0", "t1", "t3", "t4"}) {
				t.Errorf("taken %v", f.bus.taken)
			}
			f.wantLine(t, map[string]any{"RelayForwarded": 4, "RelayFailed": 1, "firstFailure": "1002", "level": "ERROR"})
		})
	}
}

func TestHopelessFirstRecordFailsTheBatch(t *testing.T) {
	for _, tt := range []struct {
		name     string
		records  int
		code     string // of the first entry; empty: the record is malformed
		fails    bool
		reported []string
	}{
		{"malformed, others behind", 3, "", true, nil},
		{"malformed, alone", 1, "", false, []string{"1000"}},
		{"refused for what it is", 3, "MalformedDetail", true, nil},
		{"refused for who sent it", 3, "NotAuthorizedForSourceException", false, []string{"1000"}},
		{"refused for now", 3, "ThrottlingException", false, []string{"1000"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			event := batch(tt.records)
			if tt.code == "" {
				delete(event.Records[0].Change.NewImage, "amount")
			}
			f := newFixture(func(_ int, entries []types.PutEventsRequestEntry) (*eventbridge.PutEventsOutput, error) {
				return take(entries, func(entry types.PutEventsRequestEntry) string {
					if transaction(entry) == "t0" {
						return tt.code
					}
					return ""
				}), nil
			})
			response, err := f.handle(t.Context(), event)
			if tt.fails != errors.Is(err, errHopelessFirst) {
				t.Errorf("error %v", err)
			}
			var reported []string
			for _, failure := range response.BatchItemFailures {
				reported = append(reported, failure.ItemIdentifier)
			}
			if !slices.Equal(reported, tt.reported) {
				t.Errorf("reported %v, want %v", reported, tt.reported)
			}
			if !slices.Equal(f.bus.taken, transactions(1, tt.records)) {
				t.Errorf("taken %v, want what is behind", f.bus.taken)
			}
			f.wantLine(t, map[string]any{"level": "ERROR", "RelayFailed": 1, "RelayForwarded": tt.records - 1, "firstFailure": "1000"})
		})
	}
}

func TestOnlyFailedEntriesAreRetried(t *testing.T) {
	f := newFixture(func(call int, entries []types.PutEventsRequestEntry) (*eventbridge.PutEventsOutput, error) {
		return take(entries, func(entry types.PutEventsRequestEntry) string {
			switch id := transaction(entry); {
			case call == 1 && (id == "t1" || id == "t4"):
				return "ThrottlingException"
			case call == 2 && id == "t4":
				return "InternalFailure"
			}
			return ""
		}), nil
	})
	if reported := f.relay(t, t.Context(), batch(6)); len(reported) > 0 {
		t.Errorf("reported %v", reported)
	}
	var calls []string
	for _, call := range f.bus.calls {
		var ids []string
		for _, entry := range call {
			ids = append(ids, transaction(entry))
		}
		calls = append(calls, strings.Join(ids, " "))
	}
	if want := []string{"t0 t1 t2 t3 t4 t5", "t1 t4", "t4"}; !slices.Equal(calls, want) {
		t.Errorf("calls %q, want %q", calls, want)
	}
	if want := []time.Duration{25 * time.Millisecond, 50 * time.Millisecond}; !slices.Equal(f.waits, want) {
		t.Errorf("waits %v, want %v", f.waits, want)
	}
	f.wantLine(t, map[string]any{"RelayForwarded": 6, "RelayFailed": 0})
}

func TestLastingFailureIsReportedFromItsFirstRecord(t *testing.T) {
	f := newFixture(func(_ int, entries []types.PutEventsRequestEntry) (*eventbridge.PutEventsOutput, error) {
		return take(entries, func(entry types.PutEventsRequestEntry) string {
			if id := transaction(entry); id == "t13" || id == "t17" {
				return "ThrottlingException"
			}
			return ""
		}), nil
	})
	if reported := f.relay(t, t.Context(), batch(30)); !slices.Equal(reported, []string{"1013"}) {
		t.Errorf("reported %v, want 1013", reported)
	}
	if got := len(f.bus.calls); got != 1+maxRounds {
		t.Errorf("%d calls, want %d", got, 1+maxRounds)
	}
	// The first two calls' others are done; the third call was not made.
	f.wantLine(t, map[string]any{"RelayForwarded": 18, "RelayFailed": 12, "firstFailure": "1013"})
	for _, d := range f.waits {
		if d > maxBackoff {
			t.Errorf("waited %v", d)
		}
	}
}

func TestRefusedCallStopsTheBatch(t *testing.T) {
	f := newFixture(func(call int, entries []types.PutEventsRequestEntry) (*eventbridge.PutEventsOutput, error) {
		if call == 2 {
			return nil, errors.New("ThrottlingException: Rate exceeded")
		}
		return take(entries), nil
	})
	if reported := f.relay(t, t.Context(), batch(30)); !slices.Equal(reported, []string{"1010"}) {
		t.Errorf("reported %v, want 1010", reported)
	}
	if !slices.Equal(f.bus.taken, transactions(0, 10)) {
		t.Errorf("taken %v", f.bus.taken)
	}
	f.wantLine(t, map[string]any{"RelayForwarded": 10, "RelayFailed": 20, "error": "put events: ThrottlingException: Rate exceeded"})
}

func TestEntryRefusedForGoodIsNotRetried(t *testing.T) {
	f := newFixture(func(_ int, entries []types.PutEventsRequestEntry) (*eventbridge.PutEventsOutput, error) {
		return take(entries, func(entry types.PutEventsRequestEntry) string {
			if transaction(entry) == "t3" {
				return "NotAuthorizedForSourceException"
			}
			return ""
		}), nil
	})
	if reported := f.relay(t, t.Context(), batch(12)); !slices.Equal(reported, []string{"1003"}) {
		t.Errorf("reported %v, want 1003", reported)
	}
	if len(f.bus.calls) != 2 || len(f.bus.taken) != 11 {
		t.Errorf("%d calls, %d taken; want 2 and 11", len(f.bus.calls), len(f.bus.taken))
	}
}

func TestEarliestOfSeveralFailuresIsReported(t *testing.T) {
	event := batch(12)
	delete(event.Records[7].Change.NewImage, "amount") // seen first
	f := newFixture(func(_ int, entries []types.PutEventsRequestEntry) (*eventbridge.PutEventsOutput, error) {
		return take(entries, func(entry types.PutEventsRequestEntry) string {
			if transaction(entry) == "t4" {
				return "InternalFailure"
			}
			return ""
		}), nil
	})
	if reported := f.relay(t, t.Context(), event); !slices.Equal(reported, []string{"1004"}) {
		t.Errorf("reported %v, want 1004", reported)
	}
}

func TestAnswerThatDoesNotFitIsAFailure(t *testing.T) {
	f := newFixture(func(_ int, entries []types.PutEventsRequestEntry) (*eventbridge.PutEventsOutput, error) {
		return take(entries[:1]), nil
	})
	if reported := f.relay(t, t.Context(), batch(3)); !slices.Equal(reported, []string{"1000"}) {
		t.Errorf("reported %v, want 1000", reported)
	}
}

func TestDeadlineLeavesTimeToAnswer(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), reserve+300*time.Millisecond)
	defer cancel()
	f := newFixture(func(call int, entries []types.PutEventsRequestEntry) (*eventbridge.PutEventsOutput, error) {
		return take(entries, func(entry types.PutEventsRequestEntry) string {
			if call > 1 {
				return "ThrottlingException"
			}
			return ""
		}), nil
	})
	f.wait = func(ctx context.Context, _ time.Duration) error { <-ctx.Done(); return ctx.Err() }
	if reported := f.relay(t, ctx, batch(30)); !slices.Equal(reported, []string{"1010"}) {
		t.Errorf("reported %v, want 1010", reported)
	}
	if deadline, _ := ctx.Deadline(); time.Until(deadline) < reserve/2 {
		t.Errorf("%v left to answer in, want some %v", time.Until(deadline), reserve)
	}
	f.wantLine(t, map[string]any{"RelayForwarded": 10, "RelayFailed": 20})
}

func TestSizes(t *testing.T) {
	for name, id := range map[string]string{
		"multi-byte":     strings.Repeat("ä", 127) + "x",
		"four bytes":     strings.Repeat("😀", 63) + "xyz",
		"escaped":        strings.Repeat("<", 255),
		"line separator": strings.Repeat("\u2028", 85),
	} {
		t.Run(name, func(t *testing.T) {
			if len(id) != payment.MaxIDBytes {
				t.Fatalf("%d bytes", len(id))
			}
			event := batch(20)
			for _, record := range event.Records {
				record.Change.NewImage["session_id"] = events.NewStringAttribute(id)
				record.Change.NewImage["transaction_id"] = events.NewStringAttribute(id)
			}
			f := newFixture(nil)
			if reported := f.relay(t, t.Context(), event); len(reported) > 0 {
				t.Fatalf("reported %v", reported)
			}
			if len(f.bus.calls) != 2 {
				t.Errorf("%d calls, want 2: the largest payments fit ten to a call", len(f.bus.calls))
			}
			size := 0
			for _, entry := range f.bus.calls[0] {
				size += entrySize(entry)
				if got := len(*entry.Source) + len(*entry.DetailType) + len(*entry.Detail) + 14; got != entrySize(entry) {
					t.Errorf("size %d, want %d", entrySize(entry), got)
				}
				if transaction(entry) != id {
					t.Errorf("transaction %q", transaction(entry))
				}
			}
			if size > maxRequestBytes {
				t.Errorf("%d bytes", size)
			}
		})
	}
}

func TestFitting(t *testing.T) {
	// entry is an event of a size, in two-byte characters.
	entry := func(size int) outgoing {
		return outgoing{entry: types.PutEventsRequestEntry{
			Source: aws.String("ää"), DetailType: aws.String("ää"), Resources: []string{"ä"}, Time: aws.Time(time.Unix(0, 0)),
			Detail: aws.String(strings.Repeat("ä", (size-24)/2) + strings.Repeat("x", size%2)),
		}}
	}
	for _, tt := range []struct {
		name  string
		sizes []int
		want  int
	}{
		{"one", []int{100}, 1},
		{"one that is too large", []int{maxRequestBytes + 1, 100}, 1},
		{"ten", slices.Repeat([]int{100}, 10), 10},
		{"eleven", slices.Repeat([]int{100}, 11), 10},
		{"exactly full", []int{maxRequestBytes - 100, 100, 24}, 2},
		{"one byte over", []int{maxRequestBytes - 100, 101}, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var all []outgoing
			for _, size := range tt.sizes {
				one := entry(size)
				if got := entrySize(one.entry); got != size {
					t.Fatalf("an entry of %d bytes counts %d", size, got)
				}
				all = append(all, one)
			}
			if got := fitting(all); got != tt.want {
				t.Errorf("%d fit, want %d", got, tt.want)
			}
		})
	}
}
