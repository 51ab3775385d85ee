package main

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"payments-dr/client"
	"payments-dr/internal/payment"
	"payments-dr/internal/payment/sessiontable"
	"payments-dr/internal/simulation"
)

// contested is a strongly consistent table. While the first write of an item lasts, another Region's write of it is rejected with
// ReplicatedWriteConflictException ("The request was rejected because one or more items in the request are being modified by a
// request in another Region", Amazon DynamoDB API Reference). The first write ends when that Region tries again, or after a second.
// The table knows conditional writes alone.
type contested struct {
	mu        sync.Mutex
	item      json.RawMessage
	writes    int
	conflicts int
	again     chan struct{} // closed when the other Region tries again
}

func (c *contested) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var in struct{ Item json.RawMessage }
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil || r.Header.Get("X-Amz-Target") != "DynamoDB_20120810.PutItem" {
		http.Error(w, "only PutItem", http.StatusInternalServerError)
		return
	}
	fail := func(exception, rest string) {
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprintf(w, `{"__type":"com.amazonaws.dynamodb.v20120810#%s","message":"simulated"%s}`, exception, rest)
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.0")
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.item != nil:
		fail("ConditionalCheckFailedException", `,"Item":`+string(c.item))
	case c.writes == 0:
		c.writes++
		c.mu.Unlock()
		select {
		case <-c.again:
		case <-time.After(time.Second):
		}
		c.mu.Lock()
		c.item = in.Item
		fmt.Fprint(w, "{}")
	default:
		if c.conflicts++; c.conflicts == 2 {
			close(c.again)
		}
		fail("ReplicatedWriteConflictException", "")
	}
}

// TestAHedgeThatMeetsTheFirstWriteIsOnePayment sends a payment to both Regions at once, by the client's hedging.
func TestAHedgeThatMeetsTheFirstWriteIsOnePayment(t *testing.T) {
	table := &contested{again: make(chan struct{})}
	wire := httptest.NewServer(table)
	defer wire.Close()
	keys := aws.Credentials{AccessKeyID: "AKIDSTEST", SecretAccessKey: "secret"}
	of := credentials.StaticCredentialsProvider{Value: keys}
	var regions []client.Region
	for _, region := range []string{"us-east-1", "us-west-2"} {
		h := &handler{
			table: sessiontable.New(sessiontable.NewClient(aws.Config{Region: region, BaseEndpoint: aws.String(wire.URL), Credentials: of}), tableName), region: region,
			namespace: "Payment/test", logger: slog.New(slog.DiscardHandler), now: time.Now,
		}
		server := httptest.NewServer(simulation.NewAPI(simulation.APIConfig{
			Stage: "live", DomainName: "127.0.0.1", Function: inProcess{h}, Verify: simulation.Signatures{Credentials: keys, Region: region}.Verify,
			Routes: []simulation.Route{{Path: resourcePayments, Method: "ANY", Signed: true}},
		}))
		defer server.Close()
		regions = append(regions, client.Region{Name: region, Host: server.Listener.Addr().String()})
	}
	payments, err := client.New(client.Config{
		URL: "http://" + regions[0].Host, Regions: regions[1:], Credentials: of, HedgeAfter: time.Millisecond, MaxAttempts: 3, FailoverTimeout: time.Minute,
		AttemptTimeout: time.Minute, Attempted: func(a client.Attempt) {
			if a.Status >= http.StatusInternalServerError {
				t.Errorf("a Region answered %d, and did not try the write again", a.Status)
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer payments.CloseIdleConnections()
	accepted, err := payments.Pay(t.Context(), client.Request{Identity: client.Identity{SessionID: "s", TransactionID: "t"}, Amount: "0.01", Currency: payment.TestCurrency})
	if err != nil {
		t.Fatal(err)
	}
	var stored map[string]map[string]string
	if err := json.Unmarshal(table.item, &stored); err != nil {
		t.Fatal(err)
	}
	if accepted.Attempts != 2 || table.conflicts == 0 || accepted.AcceptedIn != stored[payment.AttributeRegion]["S"] {
		t.Errorf("%+v after %d conflicts, want two attempts and the stored acceptance of %s", accepted, table.conflicts, stored[payment.AttributeRegion]["S"])
	}
}
