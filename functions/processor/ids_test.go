package main

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/bojanz/currency"

	"payments-dr/client"
	"payments-dr/internal/payment"
	"payments-dr/internal/payment/paymenttest"
	"payments-dr/internal/payment/public"
	"payments-dr/internal/payment/sessiontable"
	"payments-dr/internal/simulation"
	"payments-dr/internal/simulation/eventbus"
)

// FuzzAcceptedIDsSurviveEveryHop takes the ids that a new payment may have the way of an accepted payment: client, signature, API,
// processor, item, stream record, event, queue; and back to the client, who reads the payment by its path. What happens to them in
// the ledger's columns is TestRecordAnyNewID's to show, and in the real binaries
// TestEveryAcceptedPaymentReachesTheLedgerOnce's. A rule that takes a character too many fails here.
func FuzzAcceptedIDsSurviveEveryHop(f *testing.F) {
	ids := paymenttest.IDs()
	for i, id := range ids {
		f.Add(id, ids[len(ids)-1-i])
	}
	w := newWay(f)
	f.Fuzz(func(t *testing.T, sessionID, transactionID string) {
		for _, id := range []string{sessionID, transactionID} {
			if payment.CheckNewID("id", id) != nil {
				t.Skip()
			}
			wantPlain(t, id)
		}
		w.take(t, payment.Identity{SessionID: sessionID, TransactionID: transactionID})
	})
}

// wantPlain checks that nothing on the way has a reason to write an id otherwise.
func wantPlain(t *testing.T, id string) {
	t.Helper()
	quoted, err := json.Marshal(id)
	if err != nil {
		t.Fatal(err)
	}
	for what, got := range map[string]string{
		// RFC 3986 and forms differ in what they leave alone. What both leave alone no encoder encodes.
		"path": url.PathEscape(id), "form": url.QueryEscape(id), "JSON": strings.Trim(string(quoted), `"`),
		"log line": strings.Trim(strconv.Quote(id), `"`), "words": strings.Join(strings.Fields(id), ""),
	} {
		if got != id {
			t.Errorf("%s: %q is written as %s", what, id, got)
		}
	}
	for _, r := range id {
		if r > '~' {
			t.Errorf("%q has %U: outside of ASCII, one text has several normal forms", id, r)
		}
		if r == '~' {
			t.Errorf("%q has ~, which encoders before RFC 3986 encode", id)
		}
	}
	// "RestrictedExtensions_URIPATH" of the core rule set ("Baseline rule groups", AWS WAF Developer Guide) refuses paths with the
	// extensions of some files.
	if extension := path.Ext(id); extension != "" {
		t.Errorf("%q has the extension of a file, %s", id, extension)
	}
	// "SizeRestrictions_URIPATH" (same rule set) refuses paths over 1,024 bytes.
	if length := 2*len(url.PathEscape(id)) + len("/live/payments//"); length > 1024 {
		t.Errorf("%q makes a path of %d bytes", id, length)
	}
	// A URL is put together from parts, and cleaned, by proxies and libraries.
	base, err := url.Parse("https://api.example.com/payments/")
	if err != nil {
		t.Fatal(err)
	}
	want := base.String() + id
	if joined, err := base.Parse(id); err != nil || joined.String() != want {
		t.Errorf("%q behind %s is %v, %v", id, base, joined, err)
	}
	if cleaned := path.Clean("/payments/" + id + "/" + id); cleaned != "/payments/"+id+"/"+id {
		t.Errorf("a path of %q becomes %s", id, cleaned)
	}
	if record, err := csv.NewReader(strings.NewReader(id + "," + id + "\n")).Read(); err != nil || !slices.Equal(record, []string{id, id}) {
		t.Errorf("CSV: %q is read as %q, %v", id, record, err)
	}
}

// way is one Region from the client to the ledger's queue, in this process.
type way struct {
	t       *testing.T // of the payment that is on the way
	table   *wireTable
	client  *client.Client
	targets []string // of the requests
	bus     *eventbus.Network
	queue   *simulation.Queue
}

const idsBus = "payment-test"

func newWay(t testing.TB) *way {
	w := &way{table: &wireTable{items: map[string][]byte{}}}
	keys := aws.Credentials{AccessKeyID: "AKIDSTEST", SecretAccessKey: "secret", SessionToken: "token"}
	h := &handler{
		table: sessiontable.New(w.table, "payment-test-sessions"), region: testRegion, namespace: "Payment/test",
		logger: slog.New(slog.DiscardHandler), now: func() time.Time { return testTime },
	}
	api := simulation.NewAPI(simulation.APIConfig{
		Stage: "live", DomainName: "127.0.0.1", Function: inProcess{h}, Verify: simulation.Signatures{Credentials: keys, Region: testRegion}.Verify,
		Routes: []simulation.Route{{Path: resourcePayments, Method: "ANY", Signed: true}, {Path: resourcePayment, Method: "ANY", Signed: true}},
	})
	server := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		w.targets = append(w.targets, r.RequestURI)
		described().checked(w.t, api, resourceOf).ServeHTTP(out, r)
	}))
	t.Cleanup(server.Close)
	var err error
	w.client, err = client.New(client.Config{
		URL: server.URL, MaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider(keys.AccessKeyID, keys.SecretAccessKey, keys.SessionToken),
	})
	if err != nil {
		t.Fatal(err)
	}
	w.bus = eventbus.New(t.Context(), eventbus.Config{})
	w.bus.AddBus(testRegion, idsBus)
	w.queue = simulation.NewQueue(simulation.QueueConfig{ARN: "arn:aws:sqs:" + testRegion + ":000000000000:ledger"})
	w.bus.AddQueue(w.queue.ARN(), w.queue)
	err = w.bus.AddRule(testRegion, eventbus.Rule{
		Name: "ledger", Bus: idsBus, Pattern: json.RawMessage(`{"source":["` + payment.EventSource + `"]}`),
		Targets: []eventbus.Target{{ID: "Queue", ARN: w.queue.ARN()}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// take takes a payment from its client to the ledger's queue, and reads it.
func (w *way) take(t *testing.T, id payment.Identity) {
	t.Helper()
	w.t = t
	amount, err := currency.NewAmount("0.01", payment.TestCurrency)
	if err != nil {
		t.Fatal(err)
	}
	if accepted, err := w.client.Pay(t.Context(), public.Request(payment.Request{Identity: id, Amount: amount})); err != nil {
		t.Fatalf("pay: %+v, %v", accepted, err)
	}
	w.targets = nil
	reading, err := w.client.Get(t.Context(), public.Identity(id))
	if err != nil {
		t.Fatal(err)
	}
	read, err := public.Payment(reading.Payment)
	if err != nil || read.Identity != id {
		t.Fatalf("read %+v, %v", read, err)
	}
	if want := "/payments/" + id.SessionID + "/" + id.TransactionID; !slices.Equal(w.targets, []string{want}) {
		t.Errorf("requested %q, want %s as it stands", w.targets, want)
	}

	var record events.DynamoDBEventRecord
	stream := `{"eventName":"INSERT","dynamodb":{"NewImage":` + string(w.table.items[id.SessionID+"\x00"+id.TransactionID]) + `}}`
	if err := json.Unmarshal([]byte(stream), &record); err != nil {
		t.Fatal(err)
	}
	values := payment.Values{}
	for name, value := range record.Change.NewImage {
		values[name] = value.String()
	}
	relayed, err := payment.Parse(values)
	if err != nil {
		t.Fatal(err)
	}
	detail, err := payment.MarshalEventDetail(relayed)
	if err != nil {
		t.Fatal(err)
	}
	results, err := w.bus.Put(t.Context(), testRegion, []eventbus.Entry{
		{EventBusName: idsBus, Source: payment.EventSource, DetailType: payment.EventDetailType, Detail: string(detail)},
	})
	if err != nil || results[0].ErrorCode != "" {
		t.Fatalf("put event: %+v, %v", results, err)
	}
	messages := w.queue.Receive(10)
	if len(messages) != 1 {
		t.Fatalf("%d messages in the queue, want the payment's", len(messages))
	}
	if err := w.queue.Delete(messages[0].ReceiptHandle); err != nil {
		t.Fatal(err)
	}
	var event events.EventBridgeEvent
	if err := json.Unmarshal([]byte(messages[0].Body), &event); err != nil {
		t.Fatal(err)
	}
	if received, err := payment.ParseEventDetail(event.Detail); err != nil || !received.Equal(read) {
		t.Errorf("received %+v, %v; want %+v", received, err, read)
	}
}

// inProcess is the processor in this process, called as Lambda calls it.
type inProcess struct{ *handler }

func (p inProcess) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	var request events.APIGatewayProxyRequest
	if err := json.Unmarshal(payload, &request); err != nil {
		return nil, err
	}
	response, err := p.handle(ctx, request)
	if err != nil {
		return nil, err
	}
	return json.Marshal(response)
}

// wireTable keeps items as they are on the wire, by their keys.
type wireTable struct {
	sessiontable.API
	items map[string][]byte
}

func (w *wireTable) PutItem(_ context.Context, in *dynamodb.PutItemInput, _ ...func(*dynamodb.Options)) (*dynamodb.PutItemOutput, error) {
	id, err := keyOf(in.Item)
	if err != nil {
		return nil, err
	}
	item := map[string]map[string]string{}
	for name, value := range in.Item {
		item[name] = map[string]string{"S": value.(*types.AttributeValueMemberS).Value}
	}
	w.items[id], err = json.Marshal(item)
	return &dynamodb.PutItemOutput{}, err
}

func (w *wireTable) GetItem(_ context.Context, in *dynamodb.GetItemInput, _ ...func(*dynamodb.Options)) (*dynamodb.GetItemOutput, error) {
	id, err := keyOf(in.Key)
	if err != nil || w.items[id] == nil {
		return &dynamodb.GetItemOutput{}, err
	}
	var stored map[string]map[string]string
	if err := json.Unmarshal(w.items[id], &stored); err != nil {
		return nil, err
	}
	item := map[string]types.AttributeValue{}
	for name, value := range stored {
		item[name] = &types.AttributeValueMemberS{Value: value["S"]}
	}
	return &dynamodb.GetItemOutput{Item: item}, nil
}

// keyOf is an item's key. DynamoDB takes partition keys of 1 to 2,048 bytes and sort keys of 1 to 1,024 ("Quotas in Amazon
// DynamoDB", Amazon DynamoDB Developer Guide).
func keyOf(item map[string]types.AttributeValue) (string, error) {
	session := item[payment.AttributeSessionID].(*types.AttributeValueMemberS).Value
	transaction := item[payment.AttributeTransactionID].(*types.AttributeValueMemberS).Value
	if session == "" || len(session) > 2048 || transaction == "" || len(transaction) > 1024 {
		return "", errors.New("ValidationException: one or more parameter values were invalid")
	}
	return session + "\x00" + transaction, nil
}
