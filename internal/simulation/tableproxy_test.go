package simulation_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go"

	"payments-dr/internal/payment"
	"payments-dr/internal/payment/sessiontable"
	"payments-dr/internal/simulation"
)

const (
	east = "us-east-1"
	west = "us-west-2"
)

var regions = []string{east, west}

// globalTable is a table with a replica in each Region.
type globalTable struct {
	name    string
	urls    map[string]string
	streams map[string]*simulation.Stream
}

func newGlobalTable(t *testing.T, shards int, fault func(context.Context, string, string) *simulation.TableFault) *globalTable {
	t.Helper()
	g := &globalTable{name: strings.ReplaceAll(t.Name(), "/", "."), urls: map[string]string{}, streams: map[string]*simulation.Stream{}}
	if _, err := server.CreateTable(t.Context(), east, g.name, payment.AttributeSessionID, payment.AttributeTransactionID); err != nil {
		t.Fatal(err)
	}
	for _, region := range regions {
		g.streams[region] = simulation.NewStream(simulation.StreamConfig{ARN: "arn:aws:dynamodb:" + region + ":000000000000:table/t/stream/1", Region: region, Shards: shards})
	}
	proxy := simulation.NewTableProxy(simulation.TableProxyConfig{
		Endpoint: server.Endpoint, Keys: []string{payment.AttributeSessionID, payment.AttributeTransactionID}, Streams: g.streams, Fault: fault,
	})
	t.Cleanup(proxy.Close)
	for _, region := range regions {
		replica := httptest.NewServer(proxy.Replica(region))
		t.Cleanup(replica.Close)
		g.urls[region] = replica.URL
	}
	return g
}

func (g *globalTable) config(region string) aws.Config {
	return aws.Config{Region: region, BaseEndpoint: aws.String(g.urls[region]), Credentials: credentials.NewStaticCredentialsProvider("simulated", "simulated", "")}
}

func (g *globalTable) table(region string) *sessiontable.Table {
	return sessiontable.New(sessiontable.NewClient(g.config(region)), g.name)
}

func newPayment(t *testing.T, region, id string) payment.Payment {
	t.Helper()
	p, err := payment.Parse(payment.Values{
		"session_id": "s-" + id, "transaction_id": id,
		"amount": "12.34", "currency": "USD",
		"region": region, "timestamp": "2026-11-22T03:04:05.678901Z",
		"status": payment.StatusProcessed,
	})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// changes are a stream's records, each as its name and its item.
func changes(s *simulation.Stream) map[string]int {
	all := map[string]int{}
	for _, record := range s.Records() {
		all[record.EventName+" "+record.Change.Keys[payment.AttributeTransactionID].String()]++
	}
	return all
}

func TestTableProxyIsOneTable(t *testing.T) {
	g := newGlobalTable(t, 1, nil)
	p := newPayment(t, east, "t1")
	if _, replayed, err := g.table(east).Accept(t.Context(), p); err != nil || replayed {
		t.Fatalf("replayed %v, %v", replayed, err)
	}
	again := p
	again.Region = west
	accepted, replayed, err := g.table(west).Accept(t.Context(), again)
	if err != nil || !replayed || accepted.Region != east {
		t.Errorf("in the other Region: %+v, replayed %v, %v", accepted, replayed, err)
	}
	if got, err := g.table(west).Get(t.Context(), p.Identity); err != nil || !got.Equal(p) {
		t.Errorf("read there: %+v, %v", got, err)
	}
	for _, region := range regions {
		records := g.streams[region].Records()
		if len(records) != 1 || records[0].EventName != "INSERT" || records[0].AWSRegion != region {
			t.Fatalf("stream of %s: %+v", region, records)
		}
		image := records[0].Change.NewImage
		if image["region"].String() != east || image["amount"].String() != "12.34" || len(image) != 8 || len(records[0].Change.OldImage) != 0 {
			t.Errorf("image %v", image)
		}
	}
}

func TestTableProxyProbeIsInsertedOnce(t *testing.T) {
	g := newGlobalTable(t, 1, nil)
	at := time.Unix(1, 0)
	for range 3 {
		at = at.Add(time.Second)
		if _, err := g.table(east).Probe(t.Context(), east, at, time.Minute); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := g.table(east).Probe(t.Context(), east, at, time.Minute); err != nil { // nothing new in it
		t.Fatal(err)
	}
	for _, region := range regions {
		if got := fmt.Sprint(changes(g.streams[region])); got != "map[INSERT us-east-1:1 MODIFY us-east-1:2]" {
			t.Errorf("stream of %s: %s", region, got)
		}
	}
	last := g.streams[east].Records()[2].Change
	if last.OldImage["probe"].Number() != "3000000000" || last.NewImage["probe"].Number() != "4000000000" {
		t.Errorf("old %v, new %v", last.OldImage, last.NewImage)
	}
}

func TestTableProxyRecordsEachItemOnce(t *testing.T) {
	var calls atomic.Int32
	g := newGlobalTable(t, 4, func(_ context.Context, _, operation string) *simulation.TableFault {
		if operation != "PutItem" {
			return nil
		}
		switch n := calls.Add(1); {
		case n%7 == 0:
			return &simulation.TableFault{Written: true} // the answer is lost
		case n%11 == 0:
			return &simulation.TableFault{Status: http.StatusBadRequest, Code: "ReplicatedWriteConflictException"}
		}
		return nil
	})
	const payments, senders = 40, 3
	var all sync.WaitGroup
	var first atomic.Int32
	for i := range payments {
		for sender := range senders {
			region := regions[(i+sender)%2]
			p := newPayment(t, region, fmt.Sprintf("t%d", i))
			p.Timestamp = p.Timestamp.Add(time.Duration(sender) * time.Second)
			all.Go(func() {
				for {
					_, replayed, err := g.table(region).Accept(t.Context(), p)
					if known, ok := errors.AsType[*payment.Error](err); ok && known.Code == payment.CodeUnavailable {
						continue
					}
					if err != nil {
						t.Error(err)
					} else if !replayed {
						first.Add(1)
					}
					return
				}
			})
		}
	}
	all.Wait()
	if first.Load() != payments {
		t.Errorf("%d accepted first, want %d", first.Load(), payments)
	}
	for _, region := range regions {
		got := changes(g.streams[region])
		for i := range payments {
			if n := got[fmt.Sprintf("INSERT t%d", i)]; n != 1 {
				t.Errorf("stream of %s: payment %d is inserted %d times", region, i, n)
			}
		}
		if len(got) != payments {
			t.Errorf("stream of %s: %d changes, want %d", region, len(got), payments)
		}
	}
}

func TestTableProxyPassesAndRefuses(t *testing.T) {
	g := newGlobalTable(t, 1, nil)
	client := dynamodb.NewFromConfig(g.config(east))
	item := map[string]types.AttributeValue{
		"session_id": &types.AttributeValueMemberS{Value: "s"}, "transaction_id": &types.AttributeValueMemberS{Value: "t"},
		"n": &types.AttributeValueMemberN{Value: "1"},
	}
	if _, err := client.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: &g.name, Item: item}); err != nil {
		t.Fatal(err)
	}
	out, err := client.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: &g.name, Item: item})
	if err != nil || out.Attributes != nil {
		t.Errorf("attributes %v that nobody asked for, %v", out.Attributes, err)
	}
	out, err = client.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: &g.name, Item: item, ReturnValues: types.ReturnValueAllOld})
	if err != nil || len(out.Attributes) != 3 {
		t.Errorf("attributes %v, %v", out.Attributes, err)
	}
	if scanned, err := client.Scan(t.Context(), &dynamodb.ScanInput{TableName: &g.name}); err != nil || len(scanned.Items) != 1 {
		t.Errorf("scan %+v, %v", scanned, err)
	}
	_, err = client.DeleteItem(t.Context(), &dynamodb.DeleteItemInput{TableName: &g.name, Key: map[string]types.AttributeValue{
		"session_id": item["session_id"], "transaction_id": item["transaction_id"],
	}})
	if refused, ok := errors.AsType[smithy.APIError](err); !ok || refused.ErrorCode() != "UnknownOperationException" {
		t.Errorf("error %v, want refused", err)
	}
	if got := g.streams[west].Records(); len(got) != 1 || got[0].EventName != string(events.DynamoDBOperationTypeInsert) {
		t.Errorf("records %+v", got)
	}
}

func TestTableProxyRecordsWhatItsCallerGaveUp(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		cancel() // the caller goes while the item is being written
		select {
		case <-r.Context().Done():
		case <-time.After(100 * time.Millisecond):
			_, _ = w.Write([]byte("{}"))
		}
	}))
	defer api.Close()
	stream := simulation.NewStream(simulation.StreamConfig{Region: east})
	proxy := simulation.NewTableProxy(simulation.TableProxyConfig{
		Endpoint: api.URL, Keys: []string{"session_id"}, Streams: map[string]*simulation.Stream{east: stream},
	})
	defer proxy.Close()
	replica := httptest.NewServer(proxy.Replica(east))
	defer replica.Close()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, replica.URL, strings.NewReader(`{"TableName":"t","Item":{"session_id":{"S":"s"}}}`))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("X-Amz-Target", "DynamoDB_20120810.PutItem")
	if _, err := http.DefaultClient.Do(request); !errors.Is(err, context.Canceled) {
		t.Fatalf("error %v, want canceled", err)
	}
	waitUntil(t, func() bool { return len(stream.Records()) == 1 })
}
