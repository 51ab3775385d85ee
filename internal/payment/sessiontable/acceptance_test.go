package sessiontable_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"payments-dr/internal/payment"
	"payments-dr/internal/payment/sessiontable"
	"payments-dr/internal/simulation/localdynamodb"
)

// newIndexedTable is a new, empty table with its index.
func newIndexedTable(t *testing.T) *sessiontable.Table {
	t.Helper()
	name := strings.NewReplacer("/", ".").Replace(t.Name())
	index := localdynamodb.Index{
		Name: sessiontable.IndexByAcceptance, PartitionKey: payment.AttributeAcceptedBucket, SortKey: payment.AttributeTimestamp,
	}
	if _, err := server.CreateTable(t.Context(), region, name, payment.AttributeSessionID, payment.AttributeTransactionID, index); err != nil {
		t.Fatal(err)
	}
	return sessiontable.New(sessiontable.NewBatchClient(server.Config(region)), name)
}

func accept(t *testing.T, table *sessiontable.Table, p payment.Payment) {
	t.Helper()
	if _, _, err := table.Accept(t.Context(), p); err != nil {
		t.Fatal(err)
	}
}

// ids are the transaction ids of a window, sorted.
func ids(t *testing.T, table *sessiontable.Table, from, to time.Time) string {
	t.Helper()
	var all []string
	err := table.Window(t.Context(), from, to, 8, func(page []payment.Payment) error {
		for _, p := range page {
			all = append(all, p.TransactionID)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

func TestWindowHoldsItsFirstMomentAndNotItsLast(t *testing.T) {
	table := newIndexedTable(t)
	start := time.Date(2026, 11, 22, 3, 10, 0, 0, time.UTC) // a bucket begins here
	for id, at := range map[string]time.Time{
		"a-before":      start.Add(-time.Microsecond),
		"b-start":       start,
		"c-last-of-ten": start.Add(10*time.Minute - time.Microsecond),
		"d-next-ten":    start.Add(10 * time.Minute),
		"e-last":        start.Add(25*time.Minute - time.Microsecond),
		"f-end":         start.Add(25 * time.Minute),
	} {
		p := newPayment(t, "s", id, "1.00", "USD")
		p.Timestamp = at.In(time.FixedZone("", 5*60*60+45*60)) // where tens of minutes begin elsewhere
		accept(t, table, p)
	}
	if _, err := table.Probe(t.Context(), region, start.Add(time.Minute), time.Minute); err != nil {
		t.Fatal(err)
	}
	end := start.Add(25 * time.Minute)
	for _, tt := range []struct {
		name     string
		from, to time.Time
		want     string
	}{
		{"whole", start, end, "b-start c-last-of-ten d-next-ten e-last"},
		{"one microsecond earlier", start.Add(-time.Microsecond), end.Add(-time.Microsecond), "a-before b-start c-last-of-ten d-next-ten"},
		{"between microseconds", start.Add(time.Nanosecond), end.Add(time.Nanosecond), "c-last-of-ten d-next-ten e-last f-end"},
		{"one moment", start, start.Add(time.Microsecond), "b-start"},
		{"of another zone", start.In(time.FixedZone("", 5*60*60+45*60)), end, "b-start c-last-of-ten d-next-ten e-last"},
		{"empty", start, start, ""},
		{"backwards", end, start, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := ids(t, table, tt.from, tt.to); got != tt.want {
				t.Errorf("window holds %q, want %q", got, tt.want)
			}
		})
	}
}

func TestWindowGivesPaymentsBackWhole(t *testing.T) {
	table := newIndexedTable(t)
	p := newPayment(t, "s", "t", "123456789012.3456", "CLF")
	accept(t, table, p)
	var got []payment.Payment
	err := table.Window(t.Context(), p.Timestamp, p.Timestamp.Add(time.Second), 1, func(page []payment.Payment) error {
		got = append(got, page...)
		return nil
	})
	if err != nil || len(got) != 1 || !got[0].Equal(p) {
		t.Errorf("window holds %+v, %v; want %+v", got, err, p)
	}
}

func TestPaymentsSpreadOverAllShards(t *testing.T) {
	table := newIndexedTable(t)
	const sessions, each = 40, 8
	for i := range sessions * each {
		accept(t, table, newPayment(t, fmt.Sprintf("session-%d", i/each), fmt.Sprintf("txn-%d", i), "1.00", "USD"))
	}
	items := map[string]int{}
	for _, item := range scan(t, sessiontable.NewClient(server.Config(region)), t.Name()) {
		items[stringOf(item[payment.AttributeAcceptedBucket])]++
	}
	if len(items) != sessiontable.AcceptanceShards {
		t.Errorf("%d shards have payments, want %d", len(items), sessiontable.AcceptanceShards)
	}
	for shard, count := range items {
		if !strings.HasPrefix(shard, "2026-11-22T03:00Z#") || len(shard) != len("2026-11-22T03:00Z#00") {
			t.Errorf("shard %q", shard)
		}
		// 20 expected; beyond 3 times that or none at all, something is not hashed.
		if count > 60 {
			t.Errorf("shard %s has %d of %d payments", shard, count, sessions*each)
		}
	}
	at := newPayment(t, "s", "t", "1.00", "USD").Timestamp
	if got := len(strings.Fields(ids(t, table, at, at.Add(time.Microsecond)))); got != sessions*each {
		t.Errorf("window holds %d payments, want %d", got, sessions*each)
	}
}

func TestShardOfAnIdentityIsForEver(t *testing.T) {
	// Written down, because payments of the past are looked for where this puts them.
	table := newIndexedTable(t)
	for _, tt := range []struct{ session, transaction, want string }{
		{"s", "t", "2026-11-22T03:00Z#15"},
		{"ab", "c", "2026-11-22T03:00Z#04"},
		{"a", "bc", "2026-11-22T03:00Z#13"},
		{"sitzung-ü", "t", "2026-11-22T03:00Z#14"},
	} {
		accept(t, table, newPayment(t, tt.session, tt.transaction, "1.00", "USD"))
		for _, item := range scan(t, sessiontable.NewClient(server.Config(region)), t.Name()) {
			if stringOf(item["session_id"]) == tt.session && stringOf(item[payment.AttributeAcceptedBucket]) != tt.want {
				t.Errorf("%s %s is in %s, want %s", tt.session, tt.transaction, stringOf(item[payment.AttributeAcceptedBucket]), tt.want)
			}
		}
	}
}

// An item that somebody changed by hand affects itself alone.
func TestAnUnreadableItemHidesNoOther(t *testing.T) {
	table := newIndexedTable(t)
	good, bad := newPayment(t, "s", "good", "1.00", "USD"), newPayment(t, "s", "bad", "1.00", "USD")
	accept(t, table, good)
	accept(t, table, bad)
	client := sessiontable.NewClient(server.Config(region))
	name := strings.NewReplacer("/", ".").Replace(t.Name())
	_, err := client.UpdateItem(t.Context(), &dynamodb.UpdateItemInput{
		TableName: &name, UpdateExpression: aws.String("SET amount = :n"),
		Key:                       map[string]types.AttributeValue{"session_id": &types.AttributeValueMemberS{Value: "s"}, "transaction_id": &types.AttributeValueMemberS{Value: "bad"}},
		ExpressionAttributeValues: map[string]types.AttributeValue{":n": &types.AttributeValueMemberN{Value: "1.5"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	check := func(how string, payments ...payment.Payment) {
		t.Helper()
		found := map[payment.Identity]payment.Payment{}
		for _, p := range payments {
			found[p.Identity] = p
		}
		if len(found) != 2 || !found[good.Identity].Equal(good) || found[good.Identity].Fault != "" || !strings.Contains(found[bad.Identity].Fault, "amount is missing") {
			t.Errorf("%s: %+v", how, payments)
		}
	}
	found, err := table.Find(t.Context(), []payment.Identity{good.Identity, bad.Identity})
	if err != nil {
		t.Fatal(err)
	}
	check("find", slices.Collect(maps.Values(found))...)
	listed, _, err := table.List(t.Context(), "s", "", 10)
	if err != nil {
		t.Fatal(err)
	}
	check("list", listed...)
	var seen []payment.Payment
	if err := table.Window(t.Context(), good.Timestamp, good.Timestamp.Add(time.Second), 2, func(page []payment.Payment) error {
		seen = append(seen, page...)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	check("window", seen...)
	if _, err := table.Get(t.Context(), bad.Identity); err == nil {
		t.Error("it can be read by itself")
	}
}

func TestWindowReadsEveryPage(t *testing.T) {
	// A query that answers one item at a time, as a full page of 1 MB would cut it.
	table := newIndexedTable(t)
	for i := range 40 {
		accept(t, table, newPayment(t, "one-session", fmt.Sprintf("t%02d", i), "1.00", "USD"))
	}
	narrow := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rewrite(t, r, func(request map[string]any) { request["Limit"] = 1 })
		copyResponse(w, forward(t, r))
	}))
	defer narrow.Close()
	config := server.Config(region)
	config.BaseEndpoint = aws.String(narrow.URL)
	at := newPayment(t, "s", "t", "1.00", "USD").Timestamp
	if got := strings.Fields(ids(t, sessiontable.New(sessiontable.NewBatchClient(config), t.Name()), at, at.Add(time.Second))); len(got) != 40 {
		t.Errorf("%d payments, want 40", len(got))
	}
}

func TestWindowIsBoundedAndSerialised(t *testing.T) {
	table := newIndexedTable(t)
	for i := range 200 {
		accept(t, table, newPayment(t, fmt.Sprint(i), "t", "1.00", "USD"))
	}
	const concurrency = 3
	var running, most, inside atomic.Int32
	counting := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		now := running.Add(1)
		defer running.Add(-1)
		for seen := most.Load(); now > seen && !most.CompareAndSwap(seen, now); seen = most.Load() {
		}
		copyResponse(w, forward(t, r))
	}))
	defer counting.Close()
	config := server.Config(region)
	config.BaseEndpoint = aws.String(counting.URL)
	at := newPayment(t, "s", "t", "1.00", "USD").Timestamp
	seen := 0
	err := sessiontable.New(sessiontable.NewBatchClient(config), t.Name()).Window(t.Context(), at.Add(-time.Hour), at.Add(time.Hour), concurrency,
		func(page []payment.Payment) error {
			if inside.Add(1) != 1 {
				t.Error("the callback runs twice at once")
			}
			seen += len(page) // the race detector would object if two calls could
			inside.Add(-1)
			return nil
		})
	if err != nil || seen != 200 {
		t.Errorf("%d payments, %v", seen, err)
	}
	if most.Load() > concurrency || most.Load() < 2 {
		t.Errorf("%d queries at once, want up to %d", most.Load(), concurrency)
	}
	if err := table.Window(t.Context(), at, at.Add(time.Hour), 0, nil); err == nil || !strings.Contains(err.Error(), "concurrency is 0") {
		t.Errorf("no concurrency: %v", err)
	}
}

func TestWindowStopsAtTheFirstError(t *testing.T) {
	table := newIndexedTable(t)
	for i := range 50 {
		accept(t, table, newPayment(t, fmt.Sprint(i), "t", "1.00", "USD"))
	}
	at := newPayment(t, "s", "t", "1.00", "USD").Timestamp
	enough := errors.New("enough")
	calls := 0
	err := table.Window(t.Context(), at, at.Add(time.Hour), 8, func([]payment.Payment) error { calls++; return enough })
	if !errors.Is(err, enough) || calls != 1 {
		t.Errorf("error %v after %d calls", err, calls)
	}

	ctx, cancel := context.WithCancel(t.Context())
	calls = 0
	err = table.Window(ctx, at, at.Add(time.Hour), 8, func([]payment.Payment) error { calls++; cancel(); return nil })
	if !errors.Is(err, context.Canceled) || calls != 1 {
		t.Errorf("cancelled: error %v after %d calls", err, calls)
	}
}

func TestWindowOfABrokenTableIsAnError(t *testing.T) {
	failing := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fail(w, http.StatusBadRequest, "AccessDeniedException")
	}))
	defer failing.Close()
	table := sessiontable.New(sessiontable.NewBatchClient(aws.Config{
		Region: region, BaseEndpoint: aws.String(failing.URL), Credentials: credentials.NewStaticCredentialsProvider("simulated", "simulated", ""),
	}), "table")
	at := time.Date(2026, 11, 22, 3, 0, 0, 0, time.UTC)
	windowErr := table.Window(t.Context(), at, at.Add(time.Hour), 4, func([]payment.Payment) error { return nil })
	_, findErr := table.Find(t.Context(), []payment.Identity{{SessionID: "s", TransactionID: "t"}})
	for _, err := range []error{windowErr, findErr} {
		if _, told := errors.AsType[*payment.Error](err); told || err == nil || !strings.Contains(err.Error(), "AccessDenied") {
			t.Errorf("error %v", err)
		}
	}
}

func TestFind(t *testing.T) {
	table := newTable(t) // needs no index
	var wanted []payment.Identity
	for i := range 130 { // more than one call takes
		p := newPayment(t, fmt.Sprint(i), "t", fmt.Sprintf("%d.00", i+1), "USD")
		accept(t, table, p)
		wanted = append(wanted, p.Identity)
	}
	wanted = append(wanted, wanted[7], payment.Identity{SessionID: "nobody", TransactionID: "t"})

	// Every other answer leaves keys unread, as a busy table does.
	var calls atomic.Int32
	var mu sync.Mutex
	busy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		var left []any
		if calls.Add(1)%2 == 1 {
			rewrite(t, r, func(request map[string]any) {
				table := request["RequestItems"].(map[string]any)[t.Name()].(map[string]any)
				keys := table["Keys"].([]any)
				table["Keys"], left = keys[:1], keys[1:]
			})
		}
		response := forward(t, r)
		if left != nil {
			var body map[string]any
			if err := json.Unmarshal(response.body, &body); err != nil {
				t.Error(err)
			}
			body["UnprocessedKeys"] = map[string]any{t.Name(): map[string]any{"Keys": left, "ConsistentRead": true}}
			response.body, _ = json.Marshal(body)
			for _, name := range []string{"Content-Length", "X-Amz-Crc32"} {
				response.header.Del(name)
			}
		}
		copyResponse(w, response)
	}))
	defer busy.Close()
	config := server.Config(region)
	config.BaseEndpoint = aws.String(busy.URL)
	for name, table := range map[string]*sessiontable.Table{"idle": table, "busy": sessiontable.New(sessiontable.NewBatchClient(config), t.Name())} {
		t.Run(name, func(t *testing.T) {
			found, err := table.Find(t.Context(), wanted)
			if err != nil || len(found) != 130 {
				t.Fatalf("%d found, %v; want 130", len(found), err)
			}
			for i, id := range wanted[:130] {
				if got := found[id].Amount.Number(); got != fmt.Sprintf("%d.00", i+1) {
					t.Errorf("%v is over %s", id, got)
				}
			}
		})
	}
	if found, err := table.Find(t.Context(), nil); err != nil || len(found) != 0 {
		t.Errorf("nothing wanted: %v, %v", found, err)
	}
}

// rewrite changes a request's body.
func rewrite(t *testing.T, r *http.Request, change func(map[string]any)) {
	t.Helper()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Error(err)
	}
	var request map[string]any
	if err := json.Unmarshal(body, &request); err != nil {
		t.Error(err)
	}
	change(request)
	if body, err = json.Marshal(request); err != nil {
		t.Error(err)
	}
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
}
