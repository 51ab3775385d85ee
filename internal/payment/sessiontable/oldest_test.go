package sessiontable_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"payments-dr/internal/payment"
	"payments-dr/internal/payment/sessiontable"
)

func wantOldest(t *testing.T, table *sessiontable.Table, before, want time.Time) {
	t.Helper()
	oldest, found, err := table.Oldest(t.Context(), before)
	if err != nil || found != !want.IsZero() || !oldest.Equal(want) {
		t.Errorf("oldest before %v is %v, %v, %v; want %v", before, oldest, found, err, want)
	}
}

func TestOldest(t *testing.T) {
	table := newIndexedTable(t)
	start := time.Date(2025, 1, 2, 3, 4, 5, 6000, time.UTC)
	end := start.Add(400 * 24 * time.Hour)
	wantOldest(t, table, end, time.Time{}) // an empty table
	if _, err := table.Probe(t.Context(), region, start, time.Minute); err != nil {
		t.Fatal(err)
	}
	wantOldest(t, table, end, time.Time{}) // a probe is no payment
	for i, after := range []time.Duration{0, time.Hour, 200 * 24 * time.Hour, 399 * 24 * time.Hour} {
		p := newPayment(t, "s", fmt.Sprint(i), "1.00", "USD")
		p.Timestamp = start.Add(after)
		accept(t, table, p)
	}
	wantOldest(t, table, end, start)
	wantOldest(t, table, start.Add(time.Microsecond), start)
	wantOldest(t, table, start, time.Time{}) // all are later

	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := table.Oldest(gone, end); !errors.Is(err, context.Canceled) || !strings.HasPrefix(err.Error(), "look for the oldest payment: ") {
		t.Errorf("error %v", err)
	}
}

// partial is an API whose scans show one payment, and that there are more.
type partial struct {
	sessiontable.API
	shown time.Time
	err   error
}

func (p partial) Scan(_ context.Context, in *dynamodb.ScanInput, _ ...func(*dynamodb.Options)) (*dynamodb.ScanOutput, error) {
	if *in.Segment != 7 {
		return &dynamodb.ScanOutput{}, nil
	}
	return &dynamodb.ScanOutput{
		Items:            []map[string]types.AttributeValue{{payment.AttributeTimestamp: &types.AttributeValueMemberS{Value: p.shown.Format(payment.TimestampLayout)}}},
		LastEvaluatedKey: map[string]types.AttributeValue{payment.AttributeTimestamp: &types.AttributeValueMemberS{Value: "more"}},
	}, p.err
}

// TestOldestGoesBackFromTheSample has payments that the sample does not show: back to a day without any, they are found.
func TestOldestGoesBackFromTheSample(t *testing.T) {
	table := newIndexedTable(t)
	shown := time.Date(2026, 11, 22, 3, 10, 0, 0, time.UTC)
	for i, before := range []time.Duration{0, 23 * time.Hour, 46 * time.Hour, 46*time.Hour + time.Microsecond, 72 * time.Hour} {
		p := newPayment(t, "s", fmt.Sprint(i), "1.00", "USD")
		p.Timestamp = shown.Add(-before)
		accept(t, table, p)
	}
	api := partial{API: sessiontable.NewBatchClient(server.Config(region)), shown: shown}
	wantOldest(t, sessiontable.New(api, t.Name()), shown.Add(time.Hour), shown.Add(-46*time.Hour-time.Microsecond))
	wantOldest(t, table, shown.Add(time.Hour), shown.Add(-72*time.Hour)) // the whole index is the sample
	api.err = errors.New("throttled")
	if _, _, err := sessiontable.New(api, t.Name()).Oldest(t.Context(), shown.Add(time.Hour)); !errors.Is(err, api.err) {
		t.Errorf("error %v", err)
	}
}
