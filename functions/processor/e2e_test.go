package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"payments-dr/internal/assembly/functionbuild"
	"payments-dr/internal/payment"
	"payments-dr/internal/simulation/lambdaruntime"
	"payments-dr/internal/simulation/localdynamodb"
)

// The tests below run the real binary, as it is deployed but for the processor's architecture, behind a simulated Lambda
// Runtime API, against a real DynamoDB API on this machine.

const (
	moduleDir = "../.."
	tableName = "payment-test-sessions"
)

var binary string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "processor")
		if err == nil {
			defer os.RemoveAll(dir)
			binary, err = functionbuild.Build(moduleDir, "processor", dir)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return m.Run()
	}())
}

// deployment is one Region's API on this machine: a table, and as many execution environments as asked for.
type deployment struct {
	client       *dynamodb.Client
	environments []*lambdaruntime.Environment
	log          *lambdaruntime.Log
}

func deploy(t testing.TB, environments int) *deployment {
	t.Helper()
	server, err := localdynamodb.Start(moduleDir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	d := &deployment{log: &lambdaruntime.Log{}}
	if d.client, err = server.CreateTable(t.Context(), testRegion, tableName, payment.AttributeSessionID, payment.AttributeTransactionID); err != nil {
		t.Fatal(err)
	}
	for range environments {
		d.environments = append(d.environments, startEnvironment(t, server.Endpoint, d.log))
	}
	return d
}

func startEnvironment(t testing.TB, endpoint string, log *lambdaruntime.Log) *lambdaruntime.Environment {
	t.Helper()
	e, err := lambdaruntime.Start(lambdaruntime.Config{
		Binary: binary, Name: "payment-test-processor", Region: testRegion, MemoryMB: 1024, Log: log,
		Environment: map[string]string{
			"TABLE_NAME": tableName, "METRICS_NAMESPACE": "Payment/test", "INTERRUPTION_SECONDS": "20", "STEADY_SECONDS": "300", "AWS_ENDPOINT_URL_DYNAMODB": endpoint,
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	return e
}

func invoke(t testing.TB, e *lambdaruntime.Environment, request events.APIGatewayProxyRequest) events.APIGatewayProxyResponse {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	payload, err := json.Marshal(request)
	if err != nil {
		t.Fatal(err)
	}
	out, err := e.Invoke(ctx, payload)
	if err != nil {
		t.Errorf("invoke: %v", err)
		return events.APIGatewayProxyResponse{}
	}
	var response events.APIGatewayProxyResponse
	if err := json.Unmarshal(out, &response); err != nil {
		t.Errorf("read response %s: %v", out, err)
	}
	described().checkEvents(t, request, response)
	return response
}

func (d *deployment) items(t *testing.T) []map[string]types.AttributeValue {
	t.Helper()
	name := tableName
	out, err := d.client.Scan(t.Context(), &dynamodb.ScanInput{TableName: &name})
	if err != nil {
		t.Fatal(err)
	}
	return out.Items
}

func TestRealBinaryTakesAPaymentOnce(t *testing.T) {
	const senders, times = 8, 25
	d := deploy(t, senders)
	const body = `{"transaction_id":"t-1","session_id":"s-1","amount":12.34,"currency":"USD"}`
	var accepted, replayed atomic.Int32
	var all sync.WaitGroup
	for _, e := range d.environments {
		all.Go(func() {
			for range times {
				response := invoke(t, e, post(body))
				if response.StatusCode != 200 || !strings.Contains(response.Body, `"amount":12.34,`) {
					t.Errorf("%d %s", response.StatusCode, response.Body)
				}
				if response.Headers["Idempotent-Replayed"] == "true" {
					replayed.Add(1)
				} else {
					accepted.Add(1)
				}
			}
		})
	}
	all.Wait()
	if accepted.Load() != 1 || replayed.Load() != senders*times-1 {
		t.Errorf("%d accepted and %d replayed, want 1 and %d", accepted.Load(), replayed.Load(), senders*times-1)
	}
	items := d.items(t)
	if len(items) != 1 {
		t.Fatalf("%d items, want 1", len(items))
	}
	for name, want := range map[string]string{"session_id": "s-1", "transaction_id": "t-1", "amount": "12.34", "currency": "USD", "region": testRegion, "status": "processed"} {
		if got, _ := items[0][name].(*types.AttributeValueMemberS); got == nil || got.Value != want {
			t.Errorf("attribute %s is %#v, want %q", name, items[0][name], want)
		}
	}

	for _, other := range []string{"12.35", "12.34,\"currency\":\"EUR\""} {
		response := invoke(t, d.environments[0], post(`{"transaction_id":"t-1","session_id":"s-1","amount":`+other+`}`))
		if response.StatusCode != 422 {
			t.Errorf("amount %s: %d %s, want 422", other, response.StatusCode, response.Body)
		}
	}
	if len(d.items(t)) != 1 {
		t.Error("a refused payment was stored")
	}

	read := invoke(t, d.environments[1], get("/payments/{session_id}/{transaction_id}", map[string]string{"session_id": "s-1", "transaction_id": "t-1"}))
	if read.StatusCode != 200 || !strings.Contains(read.Body, `"amount":12.34,`) {
		t.Errorf("read: %d %s", read.StatusCode, read.Body)
	}
	list := invoke(t, d.environments[2], get("/payments/{session_id}", map[string]string{"session_id": "s-1"}))
	if list.StatusCode != 200 || !strings.Contains(list.Body, `"transaction_id":"t-1"}]}`) {
		t.Errorf("list: %d %s", list.StatusCode, list.Body)
	}
	health := invoke(t, d.environments[3], get("/health", nil))
	if health.StatusCode != 200 {
		t.Errorf("health: %d %s", health.StatusCode, health.Body)
	}
	for _, e := range d.environments {
		e.Close() // what a process has written is whole when it has ended
	}
	for _, payload := range []string{"s-1\"", "t-1\"", "amount", "USD"} {
		if strings.Contains(d.log.String(), payload) {
			t.Errorf("the log shows %s", payload)
		}
	}
	if log := d.log.String(); strings.Count(log, `"PaymentsReplayed":1`) != senders*times-1 || !strings.Contains(log, `"requestId":"payment-test-processor-1"`) {
		t.Errorf("the log lacks metrics or request ids")
	}
}

func TestRealBinaryTakesATestPaymentLikeAnyOther(t *testing.T) {
	d := deploy(t, 1)
	const body = `{"transaction_id":"t-1","session_id":"canary-us-east-1","amount":0.01,"currency":"XTS"}`
	for _, replayed := range []string{"", "true"} {
		response := invoke(t, d.environments[0], post(body))
		if response.StatusCode != 200 || !strings.Contains(response.Body, `"amount":0.01,"currency":"XTS"`) || response.Headers["Idempotent-Replayed"] != replayed {
			t.Errorf("%d %s, replayed %q, want %q", response.StatusCode, response.Body, response.Headers["Idempotent-Replayed"], replayed)
		}
	}
	if response := invoke(t, d.environments[0], post(strings.Replace(body, "0.01", "0.02", 1))); response.StatusCode != 422 {
		t.Errorf("another amount: %d %s, want 422", response.StatusCode, response.Body)
	}
	if items := d.items(t); len(items) != 1 {
		t.Errorf("%d items, want 1", len(items))
	}
}

func TestRealBinaryRefusesGarbage(t *testing.T) {
	d := deploy(t, 1)
	for _, tt := range []struct {
		body   string
		status int
	}{
		{`{"amount":"abc"}`, 400},
		{`{"amount":-1}`, 400},
		{`{"amount":0}`, 400},
		{`{"amount":1e400}`, 400},
		{`{"amount":12.345,"currency":"USD"}`, 400},
		{`{"amount":100.5,"currency":"JPY"}`, 400},
		{`{"amount":1,"currency":"ZZZ"}`, 400},
		{`{"amount":1,"session_id":"` + strings.Repeat("x", 20<<10) + `"}`, 413},
		{"", 400},
		{"amount=12.34", 400},
		{"\x00\xff", 400},
	} {
		response := invoke(t, d.environments[0], post(tt.body))
		var body map[string]string
		if err := json.Unmarshal([]byte(response.Body), &body); err != nil || response.StatusCode != tt.status || body["error"] == "" || body["region"] != testRegion {
			t.Errorf("%.40q: %d %s, want %d", tt.body, response.StatusCode, response.Body, tt.status)
		}
		if response.Headers["Content-Type"] != "application/json" || response.Headers["X-Region"] != testRegion {
			t.Errorf("%.40q: headers %v", tt.body, response.Headers)
		}
	}
	if items := d.items(t); len(items) != 0 {
		t.Errorf("garbage was stored: %v", items)
	}
}

func TestRealBinaryAgainstADeadTable(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0") // takes connections and never says a word
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	refusing, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	refusing.Close()
	for name, address := range map[string]string{"silent": silent.Addr().String(), "refusing": refusing.Addr().String()} {
		t.Run(name, func(t *testing.T) {
			e := startEnvironment(t, "http://"+address, &lambdaruntime.Log{})
			for _, tt := range []struct {
				request events.APIGatewayProxyRequest
				within  time.Duration
			}{{post(`{"amount":1}`), 6 * time.Second}, {get("/health", nil), 2 * time.Second}} {
				started := time.Now()
				response := invoke(t, e, tt.request)
				if took := time.Since(started); took > tt.within {
					t.Errorf("%s took %v, want at most %v", tt.request.Resource, took, tt.within)
				}
				if response.StatusCode != 503 || response.Headers["Retry-After"] != "1" || strings.Contains(response.Body, "127.0.0.1") {
					t.Errorf("%s: %d %v %s", tt.request.Resource, response.StatusCode, response.Headers, response.Body)
				}
			}
		})
	}
}

func TestRealBinaryNeedsItsTable(t *testing.T) {
	log := &lambdaruntime.Log{}
	e, err := lambdaruntime.Start(lambdaruntime.Config{Binary: binary, Name: "n", Region: testRegion, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if _, err := e.InitDuration(ctx); !errors.Is(err, lambdaruntime.ErrExited) {
		t.Fatalf("started without a table: %v", err)
	}
	if !strings.Contains(log.String(), "TABLE_NAME is not set") {
		t.Errorf("log: %s", log)
	}
}

// BenchmarkProcessor measures the real binary: start, from the process's start to its first poll for work, and processor
// time a payment, of the process alone. A payment here is one that is new to the table.
func BenchmarkProcessor(b *testing.B) {
	d := deploy(b, 0)
	endpoint := *d.client.Options().BaseEndpoint
	used := func(payments int) (cpu, start time.Duration, memory float64) {
		e := startEnvironment(b, endpoint, &lambdaruntime.Log{})
		start, err := e.InitDuration(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		for i := range payments {
			response := invoke(b, e, post(fmt.Sprintf(`{"transaction_id":"%d-%d-%d","amount":12.34}`, b.N, payments, i)))
			if response.StatusCode != 200 || response.Headers["Idempotent-Replayed"] != "" {
				b.Fatalf("%d %s", response.StatusCode, response.Body)
			}
		}
		e.Close()
		return e.Usage(), start, e.MaxMemoryMB()
	}
	few, _, _ := used(100) // what a process costs by itself, and its first connections
	b.ResetTimer()
	many, start, memory := used(100 + b.N)
	b.ReportMetric(float64((many-few).Microseconds())/float64(b.N), "cpu-µs/payment")
	b.ReportMetric(float64(start.Microseconds())/1000, "start-ms")
	b.ReportMetric(memory, "MB")
}
