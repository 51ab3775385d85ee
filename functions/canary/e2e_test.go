package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"payments-dr/internal/assembly/functionbuild"
	"payments-dr/internal/payment"
	"payments-dr/internal/payment/canary"
	"payments-dr/internal/payment/functionerror"
	"payments-dr/internal/payment/variables"
	"payments-dr/internal/simulation"
	"payments-dr/internal/simulation/lambdaruntime"
	"payments-dr/internal/simulation/localdynamodb"
)

// The tests below run the real binary, as it is deployed but for the processor's architecture, against the real processor of
// two Regions. Lambda's Runtime API, API Gateway and DNS are simulated. DNS is a proxy that the environment names: what the
// canary wants to connect to is what the proxy is asked for.

const (
	moduleDir = "../.."
	tableName = "payment-test-sessions"
	zone      = "payments.example.com"
	apiName   = "api." + zone
	otherName = there + "." + apiName
)

// keys are what lambdaruntime gives to a function.
var keys = aws.Credentials{AccessKeyID: "simulated", SecretAccessKey: "simulated", SessionToken: "simulated"}

// names leads connections to places, by the host and port that is asked for. It notes what was asked.
type names struct {
	listener net.Listener
	mu       sync.Mutex
	places   map[string]string
	asked    []string
}

func startNames(t testing.TB) *names {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n := &names{listener: listener, places: map[string]string{}}
	server := &http.Server{Handler: n}
	go func() { _ = server.Serve(listener) }() // ends with Close
	t.Cleanup(func() { _ = server.Close() })
	return n
}

func (n *names) lead(name, place string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.places[name+":443"] = place
}

// look is what was asked since the last look.
func (n *names) look() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	asked := n.asked
	n.asked = nil
	slices.Sort(asked)
	return asked
}

func (n *names) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n.mu.Lock()
	place := n.places[r.Host]
	n.asked = append(n.asked, r.Method+" "+r.Host)
	n.mu.Unlock()
	server, err := net.Dial("tcp", place)
	if err != nil {
		http.Error(w, "nobody is there", http.StatusBadGateway)
		return
	}
	defer server.Close()
	w.WriteHeader(http.StatusOK)
	client, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer client.Close()
	go func() { _, _ = io.Copy(server, bufio.NewReader(buffered)); _ = server.Close() }()
	_, _ = io.Copy(client, server)
}

// platform is both Regions' APIs over one table, and the canary of one of them.
type platform struct {
	names  *names
	apis   map[string]*simulation.TLSServer
	table  *dynamodb.Client
	binary string
	trust  string
	log    *lambdaruntime.Log
}

func deploy(t testing.TB) *platform {
	t.Helper()
	p := &platform{names: startNames(t), apis: map[string]*simulation.TLSServer{}, log: &lambdaruntime.Log{}}
	server, err := localdynamodb.Start(moduleDir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	if p.table, err = server.CreateTable(t.Context(), here, tableName, payment.AttributeSessionID, payment.AttributeTransactionID); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	processor, err := functionbuild.Build(moduleDir, "processor", dir)
	if err != nil {
		t.Fatal(err)
	}
	if p.binary, err = functionbuild.Build(moduleDir, "canary", dir); err != nil {
		t.Fatal(err)
	}
	var certificates []byte
	for _, region := range []string{here, there} {
		function := simulation.NewFunction(simulation.FunctionConfig{
			Runtime: lambdaruntime.Config{
				Binary: processor, Name: "payment-test-processor", Region: region, MemoryMB: 1024, Log: io.Discard,
				Environment: map[string]string{"TABLE_NAME": tableName, "METRICS_NAMESPACE": "Payment/test", "INTERRUPTION_SECONDS": "20", "STEADY_SECONDS": "300", "AWS_ENDPOINT_URL_DYNAMODB": server.Endpoint},
			},
			Concurrency: 4, Timeout: 30 * time.Second,
		})
		t.Cleanup(function.Close)
		api, err := simulation.StartTLS(apiName, simulation.NewAPI(simulation.APIConfig{
			Stage: "live", DomainName: apiName, Function: function, Verify: simulation.Signatures{Credentials: keys, Region: region}.Verify,
			Routes: []simulation.Route{
				{Path: "/payments", Method: "ANY", Signed: true}, {Path: "/payments/{session_id}/{transaction_id}", Method: "ANY", Signed: true},
				{Path: "/health", Method: "GET"},
			},
			Responses: map[string]simulation.GatewayResponse{"DEFAULT_4XX": {
				Headers: map[string]string{"X-Region": "'" + region + "'"}, Template: `{"error":$context.error.messageString,"region":"` + region + `"}`,
			}},
		}))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(api.Close)
		p.apis[region] = api
		certificates = append(certificates, api.Certificate()...)
	}
	p.trust = filepath.Join(dir, "authorities.pem")
	if err := os.WriteFile(p.trust, certificates, 0o600); err != nil {
		t.Fatal(err)
	}
	p.names.lead(apiName, p.apis[here].Address())
	p.names.lead(otherName, p.apis[there].Address())
	return p
}

// canary starts the canary of the first Region; more changes its environment.
func (p *platform) canary(t testing.TB, more map[string]string) *lambdaruntime.Environment {
	t.Helper()
	environment := map[string]string{
		variables.APIName: apiName, variables.OtherRegion: there, variables.OtherRegionAPIName: otherName,
		"METRICS_NAMESPACE": "Payment/test", "HTTPS_PROXY": "http://" + p.names.listener.Addr().String(), "SSL_CERT_FILE": p.trust,
	}
	for name, value := range more {
		environment[name] = value
	}
	e, err := lambdaruntime.Start(lambdaruntime.Config{
		Binary: p.binary, Name: "payment-test-canary", Region: here, MemoryMB: 1024, Log: p.log, Environment: environment,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	return e
}

// run runs the canary once, as a rule does.
func run(t testing.TB, e *lambdaruntime.Environment) (canary.Report, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var report canary.Report
	out, err := e.Invoke(ctx, []byte(`{"version":"0","source":"aws.events","detail-type":"Scheduled Event","detail":{}}`))
	if err != nil {
		return report, err
	}
	return report, json.Unmarshal(out, &report)
}

func (p *platform) items(t testing.TB) map[string]map[string]types.AttributeValue {
	t.Helper()
	out, err := p.table.Scan(t.Context(), &dynamodb.ScanInput{TableName: aws.String(tableName)})
	if err != nil {
		t.Fatal(err)
	}
	items := map[string]map[string]types.AttributeValue{}
	for _, item := range out.Items {
		if item["probe"] != nil { // the health checks' own
			continue
		}
		items[item["transaction_id"].(*types.AttributeValueMemberS).Value] = item
	}
	return items
}

func TestRealBinaryPaysAndProbes(t *testing.T) {
	t.Parallel() // a run is mostly waiting
	p := deploy(t)
	e := p.canary(t, nil)
	probes := slices.Repeat([]string{"CONNECT " + otherName + ":443"}, canary.Probes)
	asksOnce := append([]string{"CONNECT " + apiName + ":443"}, probes...)
	const gone = "127.0.0.1:1"
	for i, tt := range []struct {
		name          string
		public, other string
		answeredBy    string
		unreachable   bool
	}{
		{"all well", p.apis[here].Address(), p.apis[there].Address(), here, false},
		{"the public name has moved", p.apis[there].Address(), p.apis[there].Address(), there, false},
		{"the other Region is gone", p.apis[here].Address(), gone, here, true},
		{"the other Region's name leads here", p.apis[here].Address(), p.apis[here].Address(), here, true},
		{"everything is gone", gone, gone, "", true},
		{"all well again", p.apis[here].Address(), p.apis[there].Address(), here, false},
	} {
		p.names.lead(apiName, tt.public)
		p.names.lead(otherName, tt.other)
		before := len(p.items(t))
		report, err := run(t, e)
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err) // nothing of this is the canary's own failure
		}
		paid := report.Payment
		if paid.Succeeded != (tt.answeredBy != "") || paid.AnsweredBy != tt.answeredBy || report.OtherRegion.Unreachable != tt.unreachable {
			t.Errorf("%s: %+v", tt.name, report)
		}
		items := p.items(t)
		if paid.Succeeded {
			item := items[paid.TransactionID]
			for name, want := range map[string]string{"session_id": "canary-us-east-1", "amount": "0.01", "currency": "XTS", "region": tt.answeredBy, "status": "processed"} {
				if got, _ := item[name].(*types.AttributeValueMemberS); got == nil || got.Value != want {
					t.Errorf("%s: attribute %s is %#v, want %s", tt.name, name, item[name], want)
				}
			}
			before++
			if paid.Attempts != 1 || paid.LatencyMilliseconds <= 0 {
				t.Errorf("%s: %+v", tt.name, paid)
			}
			// Every run, and every probe, looks its name up and connects for itself.
			if asked := p.names.look(); !slices.Equal(asked, asksOnce) {
				t.Errorf("%s: asked for %q, want %q", tt.name, asked, asksOnce)
			}
		}
		p.names.look()
		if len(items) != before {
			t.Errorf("%s: %d payments in the table, want %d", tt.name, len(items), before)
		}

		lines := slices.Collect(strings.Lines(p.log.String()))
		if len(lines) != i+1 {
			t.Fatalf("%s: %d lines in the log", tt.name, len(lines))
		}
		got := read(t, []byte(lines[i])).metrics
		flag := map[bool]float64{true: 1}
		for name, want := range map[string]float64{
			"CanaryPaymentSucceeded": flag[tt.answeredBy != ""], "CanaryPaymentFailed": flag[tt.answeredBy == ""],
			"AnsweredHere": flag[tt.answeredBy == here], "AnsweredElsewhere": flag[tt.answeredBy == there], "OtherRegionUnreachable": flag[tt.unreachable],
		} {
			if value, there := got[name]; !there || value != want {
				t.Errorf("%s: %s is %v, want %v", tt.name, name, value, want)
			}
		}
	}
}

func TestRealBinaryIsRefusedWithoutARightSignature(t *testing.T) {
	t.Parallel() // a run is mostly waiting
	p := deploy(t)
	report, err := run(t, p.canary(t, map[string]string{"AWS_SECRET_ACCESS_KEY": "another"}))
	if err != nil || report.Payment.Succeeded || !strings.Contains(report.Payment.Fault, "refused with status 403 by us-east-1") || len(p.items(t)) != 0 {
		t.Errorf("%+v, %v", report, err)
	}
	if report.OtherRegion.Unreachable {
		t.Errorf("health needs no signature: %+v", report.OtherRegion)
	}
}

func TestRealBinaryWithoutCredentialsFails(t *testing.T) {
	t.Parallel() // a run is mostly waiting
	p := deploy(t)
	_, err := run(t, p.canary(t, map[string]string{"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_EC2_METADATA_DISABLED": "true"}))
	failed, ok := errors.AsType[*functionerror.Error](err)
	if !ok || !strings.Contains(string(failed.Payload), "request cannot be signed") {
		t.Errorf("error %v", err)
	}
	for line := range strings.Lines(p.log.String()) {
		if strings.Contains(line, "CanaryPayment") {
			t.Errorf("a run that could not do its work has metrics: %s", line)
		}
	}
}

func TestRealBinaryNeedsItsEnvironment(t *testing.T) {
	binary, err := functionbuild.Build(moduleDir, "canary", t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		environment map[string]string
		want        []string
	}{
		{nil, []string{"API_NAME is not set", "OTHER_REGION is not set", "OTHER_REGION_API_NAME is not set", "METRICS_NAMESPACE is not set"}},
		{map[string]string{"API_NAME": "a/b?", "OTHER_REGION": there, "OTHER_REGION_API_NAME": otherName, "METRICS_NAMESPACE": "Payment/test"}, []string{`URL is "https://a/b?"`}},
	} {
		log := &lambdaruntime.Log{}
		e, err := lambdaruntime.Start(lambdaruntime.Config{Binary: binary, Name: "n", Region: here, Log: log, Environment: tt.environment})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		if _, err := e.InitDuration(ctx); !errors.Is(err, lambdaruntime.ErrExited) {
			t.Errorf("started with %v: %v", tt.environment, err)
		}
		cancel()
		e.Close()
		for _, want := range tt.want {
			if said := log.String(); !strings.Contains(said, want) {
				t.Errorf("log %s, want in it %s", said, want)
			}
		}
	}
}

// BenchmarkCanary measures the real binary: its size, its start, from the process's start to its first poll for work, and
// processor time a run, of the process alone.
func BenchmarkCanary(b *testing.B) {
	p := deploy(b)
	used := func(runs int) (cpu, start time.Duration, memory float64) {
		e := p.canary(b, nil)
		start, err := e.InitDuration(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		for range runs {
			if report, err := run(b, e); err != nil || !report.Payment.Succeeded {
				b.Fatalf("%+v, %v", report, err)
			}
		}
		e.Close()
		return e.Usage(), start, e.MaxMemoryMB()
	}
	few, _, _ := used(1)
	b.ResetTimer()
	many, start, memory := used(1 + b.N)
	info, err := os.Stat(p.binary)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64((many-few).Microseconds())/float64(b.N), "cpu-µs/run")
	b.ReportMetric(float64(start.Microseconds())/1000, "start-ms")
	b.ReportMetric(memory, "MB")
	b.ReportMetric(float64(info.Size())/(1<<20), "MB-binary")
}
