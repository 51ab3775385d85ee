package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/bojanz/currency"

	"payments-dr/internal/assembly/functionbuild"
	"payments-dr/internal/payment"
	"payments-dr/internal/payment/ledger"
	"payments-dr/internal/payment/ledger/schema"
	"payments-dr/internal/payment/start"
	"payments-dr/internal/simulation"
	"payments-dr/internal/simulation/lambdaruntime"
	"payments-dr/internal/simulation/localmysql"
)

const queueARN = "arn:aws:sqs:us-east-1:000000000000:payment-test-ledger"

// fakeLedger is a ledger that can be told what to do.
type fakeLedger struct {
	poison      map[string]bool // transaction ids that it refuses
	conflicting []payment.Identity
	down        bool
	downAfter   int // calls, if positive
	calls       int
	recorded    []string
	deadline    time.Time
}

func (f *fakeLedger) Record(ctx context.Context, payments []payment.Payment) (ledger.Result, error) {
	f.calls++
	f.deadline, _ = ctx.Deadline()
	if f.down || f.downAfter > 0 && f.calls > f.downAfter {
		return ledger.Result{}, fmt.Errorf("record payments: %w", ledger.ErrUnavailable)
	}
	for _, p := range payments {
		if f.poison[p.TransactionID] {
			return ledger.Result{}, fmt.Errorf("record payments: %w", ledger.ErrRefused)
		}
	}
	for _, p := range payments {
		f.recorded = append(f.recorded, p.TransactionID)
	}
	return ledger.Result{Recorded: len(payments), Conflicts: f.conflicting}, nil
}

func newTestHandler(l recorder) (*handler, *bytes.Buffer) {
	var log bytes.Buffer
	at := time.Date(2026, 11, 22, 4, 0, 0, 0, time.UTC)
	return &handler{
		ledger: l, standby: func(context.Context) (bool, error) { return false, nil },
		namespace: "Payments/test", logger: slog.New(slog.NewJSONHandler(&log, nil)), now: func() time.Time { return at },
	}, &log
}

// body is an event as the bus delivers it to the queue.
func body(t *testing.T, session, transaction, number string) string {
	t.Helper()
	amount, err := currency.NewAmount(number, "USD")
	if err != nil {
		t.Fatal(err)
	}
	detail, err := payment.MarshalEventDetail(payment.Payment{
		Identity: payment.Identity{SessionID: session, TransactionID: transaction}, Amount: amount,
		Region: "us-east-1", Timestamp: time.Date(2026, 11, 22, 3, 0, 0, 123456000, time.UTC),
	})
	if err != nil {
		t.Fatal(err)
	}
	return envelope(payment.EventSource, payment.EventDetailType, string(detail))
}

func envelope(source, detailType, detail string) string {
	return `{"version":"0","id":"1f6dd1c0","detail-type":"` + detailType + `","source":"` + source +
		`","account":"000000000000","time":"2026-11-22T03:00:01Z","region":"us-east-1","resources":[],"detail":` + detail + `}`
}

func queue(bodies ...string) events.SQSEvent {
	var event events.SQSEvent
	for i, body := range bodies {
		event.Records = append(event.Records, events.SQSMessage{MessageId: "m" + strconv.Itoa(i), ReceiptHandle: "r" + strconv.Itoa(i), Body: body, EventSourceARN: queueARN})
	}
	return event
}

// wantFailures runs a batch and compares the answer as Lambda reads it.
func wantFailures(t *testing.T, h *handler, event events.SQSEvent, want ...string) {
	t.Helper()
	response, err := h.handle(t.Context(), event)
	if err != nil {
		t.Fatal(err)
	}
	got, _ := json.Marshal(response)
	items := []string{}
	for _, id := range want {
		items = append(items, `{"itemIdentifier":"`+id+`"}`)
	}
	if wanted := `{"batchItemFailures":[` + strings.Join(items, ",") + `]}`; string(got) != wanted {
		t.Errorf("answer %s, want %s", got, wanted)
	}
}

func wantLog(t *testing.T, log *bytes.Buffer, want map[string]any) {
	t.Helper()
	if strings.Count(log.String(), "\n") != 1 {
		t.Fatalf("log is not one line: %s", log)
	}
	var line map[string]any
	if err := json.Unmarshal(log.Bytes(), &line); err != nil {
		t.Fatal(err)
	}
	for name, value := range want {
		if line[name] != value {
			t.Errorf("%s is %v, want %v: %s", name, line[name], value, log)
		}
	}
	for _, secret := range []string{"session-x", "transaction-x", "77.77", `"m0"`, `"m1"`} {
		if strings.Contains(log.String(), secret) {
			t.Errorf("the log tells %s: %s", secret, log)
		}
	}
	log.Reset()
}

func batchOf(t *testing.T, count int) []string {
	var bodies []string
	for i := range count {
		bodies = append(bodies, body(t, "session-x", "transaction-x"+strconv.Itoa(i), "77.77"))
	}
	return bodies
}

func TestBatchIsOneRecord(t *testing.T) {
	l := &fakeLedger{}
	h, log := newTestHandler(l)
	wantFailures(t, h, queue(batchOf(t, 5)...))
	if l.calls != 1 || len(l.recorded) != 5 {
		t.Errorf("%d calls recorded %v", l.calls, l.recorded)
	}
	var line struct {
		AWS struct {
			Timestamp         int64
			CloudWatchMetrics []struct {
				Namespace  string
				Dimensions [][]string
				Metrics    []struct{ Name, Unit string }
			}
		} `json:"_aws"`
	}
	if err := json.Unmarshal(log.Bytes(), &line); err != nil {
		t.Fatal(err)
	}
	if m := line.AWS.CloudWatchMetrics; len(m) != 1 || m[0].Namespace != "Payments/test" || len(m[0].Metrics) != 5 || m[0].Metrics[0].Unit != "Count" {
		t.Errorf("metrics %+v", line)
	}
	wantLog(t, log, map[string]any{"level": "INFO", "messages": 5.0, "failures": 0.0, "LedgerRecorded": 5.0, "LedgerDuplicates": 0.0, "LedgerUnavailable": 0.0, "Function": "ledger"})

	wantFailures(t, h, queue())
	if l.calls != 1 {
		t.Error("an empty batch reached the ledger")
	}
}

func TestMalformedMessagesAreReported(t *testing.T) {
	good := body(t, "session-x", "transaction-x", "77.77")
	detail := good[strings.Index(good, `"detail":`)+len(`"detail":`) : len(good)-1]
	bad := []string{
		``, `x`, `null`, `{}`, detail,
		envelope("payment.other", payment.EventDetailType, detail),
		envelope(payment.EventSource, "Other", detail),
		envelope(payment.EventSource, payment.EventDetailType, `null`),
		envelope(payment.EventSource, payment.EventDetailType, strings.Replace(detail, "77.77", "77.777", 1)),
	}
	l := &fakeLedger{}
	h, log := newTestHandler(l)
	var want []string
	for i := range bad {
		want = append(want, "m"+strconv.Itoa(i))
	}
	wantFailures(t, h, queue(append(bad, good)...), want...)
	if len(l.recorded) != 1 {
		t.Errorf("recorded %v", l.recorded)
	}
	wantLog(t, log, map[string]any{"level": "ERROR", "LedgerMalformed": float64(len(bad)), "LedgerRecorded": 1.0})
}

func TestConflictsAreReported(t *testing.T) {
	l := &fakeLedger{conflicting: []payment.Identity{{SessionID: "session-x", TransactionID: "transaction-x1"}}}
	h, log := newTestHandler(l)
	bodies := batchOf(t, 3)
	wantFailures(t, h, queue(append(bodies, bodies[1])...), "m1", "m3")
	wantLog(t, log, map[string]any{"LedgerConflicts": 1.0, "failures": 2.0})
}

func TestPoisonIsIsolated(t *testing.T) {
	for _, tt := range []struct{ size, first, second int }{{1, 0, 0}, {2, 1, 1}, {10, 0, 0}, {10, 9, 9}, {10, 3, 7}, {100, 31, 32}} {
		l := &fakeLedger{poison: map[string]bool{"transaction-x" + strconv.Itoa(tt.first): true, "transaction-x" + strconv.Itoa(tt.second): true}}
		h, log := newTestHandler(l)
		want := []string{"m" + strconv.Itoa(tt.first)}
		if tt.second != tt.first {
			want = append(want, "m"+strconv.Itoa(tt.second))
		}
		wantFailures(t, h, queue(batchOf(t, tt.size)...), want...)
		if len(l.recorded) != tt.size-len(want) {
			t.Errorf("%d of %d recorded", len(l.recorded), tt.size)
		}
		if most := 1 + 2*len(want)*7; l.calls > most {
			t.Errorf("%d calls for %d, want at most %d", l.calls, tt.size, most)
		}
		wantLog(t, log, map[string]any{"LedgerMalformed": float64(len(want)), "LedgerRecorded": float64(tt.size - len(want))})
	}
}

func TestUnavailableLedgerFailsTheBatchAtOnce(t *testing.T) {
	l := &fakeLedger{down: true}
	h, log := newTestHandler(l)
	wantFailures(t, h, queue(append(batchOf(t, 3), "x")...), "m0", "m1", "m2", "m3")
	if l.calls != 1 {
		t.Errorf("%d calls, want 1", l.calls)
	}
	wantLog(t, log, map[string]any{"LedgerUnavailable": 1.0, "LedgerMalformed": 1.0, "failures": 4.0, "error": "record payments: the ledger is unavailable"})

	// It goes away while the poison is looked for: what was recorded is not reported.
	l = &fakeLedger{poison: map[string]bool{"transaction-x7": true}, downAfter: 2}
	h, log = newTestHandler(l)
	wantFailures(t, h, queue(batchOf(t, 8)...), "m4", "m5", "m6", "m7")
	if l.calls != 3 {
		t.Errorf("%d calls, want 3", l.calls)
	}
	wantLog(t, log, map[string]any{"LedgerUnavailable": 1.0, "LedgerRecorded": 4.0})

	// After the first half nobody asks for the second.
	l = &fakeLedger{poison: map[string]bool{"transaction-x7": true}, downAfter: 1}
	h, log = newTestHandler(l)
	wantFailures(t, h, queue(batchOf(t, 4)[0], batchOf(t, 8)[7]), "m0", "m1")
	if l.calls != 2 {
		t.Errorf("%d calls, want 2", l.calls)
	}
	wantLog(t, log, map[string]any{"LedgerUnavailable": 1.0, "LedgerRecorded": 0.0})
}

func TestDeadlineLeavesTimeToAnswer(t *testing.T) {
	l := &fakeLedger{}
	h, _ := newTestHandler(l)
	deadline := time.Now().Add(time.Minute)
	ctx, cancel := context.WithDeadline(t.Context(), deadline)
	defer cancel()
	if _, err := h.handle(ctx, queue(batchOf(t, 1)...)); err != nil {
		t.Fatal(err)
	}
	if !l.deadline.Equal(deadline.Add(-answerMargin)) {
		t.Errorf("deadline %s, the invocation's is %s", l.deadline, deadline)
	}
}

// A Region that was lost comes back as the standby, with its mapping still enabled.
func TestTheStandbyHidesMessages(t *testing.T) {
	poison := envelope("other", "other", "{}")
	for name, tt := range map[string]struct {
		standby    bool
		err        error
		hideErr    error
		hidden     string
		deferred   any
		level      string
		told, kept string
	}{
		"standby":                {standby: true, hidden: "[r0 r2]", deferred: 2.0, level: "ERROR", kept: `"LedgerUnavailable":0`}, // of the malformed one
		"writer":                 {hidden: "[]", level: "ERROR", told: "the ledger is unavailable", kept: `"LedgerUnavailable":1`},
		"role unknown":           {err: errors.New("no endpoint answers"), hidden: "[]", level: "ERROR", told: "no endpoint answers", kept: `"LedgerUnavailable":1`},
		"queue does not take it": {standby: true, hideErr: errors.New("throttled"), hidden: "[r0 r2]", level: "ERROR", told: "hide messages of the standby: throttled", kept: `"LedgerUnavailable":1`},
	} {
		t.Run(name, func(t *testing.T) {
			h, log := newTestHandler(&fakeLedger{down: true})
			hidden := []string{}
			h.standby = func(context.Context) (bool, error) { return tt.standby, tt.err }
			h.hide = func(_ context.Context, queue string, receipts []string, pause time.Duration) error {
				hidden = receipts
				if queue != queueARN || pause != 30*time.Minute {
					t.Errorf("hides messages of %s for %v", queue, pause)
				}
				return tt.hideErr
			}
			good := batchOf(t, 2)
			// They stay in the queue: nothing was recorded.
			wantFailures(t, h, queue(good[0], poison, good[1]), "m0", "m1", "m2")
			if got := fmt.Sprint(hidden); got != tt.hidden {
				t.Errorf("hides %s, want %s", got, tt.hidden)
			}
			if !strings.Contains(log.String(), tt.kept) || !strings.Contains(log.String(), tt.told) {
				t.Errorf("log %s, want in it %s and %s", log, tt.kept, tt.told)
			}
			wantLog(t, log, map[string]any{"deferred": tt.deferred, "level": tt.level})
		})
	}
	h, log := newTestHandler(&fakeLedger{down: true})
	h.standby = func(context.Context) (bool, error) { return true, nil }
	h.hide = func(context.Context, string, []string, time.Duration) error { return nil }
	wantFailures(t, h, queue(batchOf(t, 1)...), "m0")
	wantLog(t, log, map[string]any{"deferred": 1.0, "level": "INFO"}) // nothing is wrong
}

// The pause must not use up the queue's tries, whatever its retention: constructs.NewLedgerQueue allows half of the retention by its
// visibility timeout.
func TestThePauseMakesNoDeadLetters(t *testing.T) {
	const visibility = 362 * time.Second
	for hours := 1; hours <= 14*24; hours++ {
		retention := time.Duration(hours) * time.Hour
		tries, shown := min(max(int(retention/2/visibility), 3), 1000), int(retention/standbyPause)+1
		if shown > tries {
			t.Errorf("in %v a message shows %d times, and is a dead letter after %d", retention, shown, tries)
		}
	}
}

func TestEnvironment(t *testing.T) {
	t.Setenv("AWS_REGION", "us-west-2")
	t.Setenv("DATABASE_HOST", "h")
	t.Setenv("DATABASE_READER_HOST", "r")
	t.Setenv("DATABASE_NAME", "d")
	t.Setenv("METRICS_NAMESPACE", "n")
	t.Setenv("DATABASE_PORT", "x")
	_, err := start.Handler(t.Context(), "ledger", newHandler)
	for _, want := range []string{"DATABASE_USER is not set", `DATABASE_PORT is "x"; allowed are whole numbers from 1 to 65535`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want in it %s", err, want)
		}
	}
	t.Setenv("DATABASE_USER", "u")
	t.Setenv("DATABASE_PORT", "3306")
	if _, err := start.Handler(t.Context(), "ledger", newHandler); err != nil {
		t.Error(err)
	}
}

// newDatabase is a migrated database and the environment that leads to it.
func newDatabase(t testing.TB, server *localmysql.Server, name string) (ledger.Config, map[string]string) {
	t.Helper()
	if err := server.Exec(t.Context(), "", "CREATE DATABASE "+name); err != nil {
		t.Fatal(err)
	}
	config := ledger.Config{Host: server.Host, Port: server.Port, User: localmysql.User, Password: localmysql.Password, Database: name, PlainText: true}
	database, err := ledger.OpenDatabase(config)
	if err != nil {
		t.Fatal(err)
	}
	defer database.Close()
	if _, err := schema.Migrate(t.Context(), database, schema.User{Name: ledger.UserName, Authentication: "IDENTIFIED BY 'simulated-too'"}); err != nil {
		t.Fatal(err)
	}
	config.User, config.Password = ledger.UserName, "simulated-too"
	return config, map[string]string{
		"DATABASE_HOST": config.Host, "DATABASE_READER_HOST": config.Host, "DATABASE_PORT": strconv.Itoa(config.Port), "DATABASE_NAME": name, "DATABASE_USER": config.User,
		"DATABASE_PASSWORD": config.Password, "DATABASE_TLS": "off", "METRICS_NAMESPACE": "Payments/test",
	}
}

// stoppedClock is a clock that a test sets.
type stoppedClock struct{ now time.Time }

func (c *stoppedClock) Now() time.Time                       { return c.now }
func (c *stoppedClock) After(time.Duration) <-chan time.Time { return nil }

// The binary that is deployed, in front of a database.
func TestBinary(t *testing.T) {
	servers, closeAll, err := localmysql.StartAll()
	if err != nil {
		t.Fatal(err)
	}
	defer closeAll()
	binary, err := functionbuild.Build("../..", "ledger", t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(binary); err == nil {
		t.Logf("%s: %.1f MB", filepath.Base(binary), float64(info.Size())/1e6)
	}
	for name, server := range servers {
		t.Run(name, func(t *testing.T) {
			config, environment := newDatabase(t, server, "function_binary")
			clock := &stoppedClock{time.Now()}
			waiting := simulation.NewQueue(simulation.QueueConfig{ARN: queueARN, VisibilityTimeout: 6 * time.Minute, Clock: clock})
			endpoint := httptest.NewServer(simulation.NewQueueEndpoint(map[string]*simulation.Queue{"payment-test-ledger": waiting}))
			defer endpoint.Close()
			environment["AWS_ENDPOINT_URL_SQS"] = endpoint.URL
			var log lambdaruntime.Log
			function, err := lambdaruntime.Start(lambdaruntime.Config{Binary: binary, Name: "ledger", Region: "us-east-1", MemoryMB: 1024, Environment: environment, Log: &log})
			if err != nil {
				t.Fatal(err)
			}
			defer function.Close()
			invokeWith := func(event events.SQSEvent) string {
				payload, err := json.Marshal(event)
				if err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
				defer cancel()
				answer, err := function.Invoke(ctx, payload)
				if err != nil {
					t.Fatalf("%v\n%s", err, log.String())
				}
				return string(answer)
			}
			invoke := func(bodies ...string) string { return invokeWith(queue(bodies...)) }
			bodies := batchOf(t, 20)
			none := `{"batchItemFailures":[]}`
			for range 2 {
				if got := invoke(bodies...); got != none {
					t.Fatalf("answer %s\n%s", got, log.String())
				}
			}
			other := body(t, "session-x", "transaction-x0", "1.00")
			if got, want := invoke(bodies[1], other), `{"batchItemFailures":[{"itemIdentifier":"m1"}]}`; got != want {
				t.Errorf("answer %s, want %s", got, want)
			}
			if server.InnoDB {
				poison := strings.Replace(body(t, "session-x", "poison", "1.00"), `"amount":"1.00"`, `"amount":"1000000000000.00"`, 1)
				if got, want := invoke(body(t, "s", "new", "1.00"), poison, bodies[0]), `{"batchItemFailures":[{"itemIdentifier":"m1"}]}`; got != want {
					t.Errorf("answer %s, want %s\n%s", got, want, log.String())
				}
			}
			l, err := ledger.Open(config)
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			count, total := 0, payment.Payment{}.Amount
			err = l.All(t.Context(), func(p payment.Payment, _ time.Time) error {
				count++
				total, err = total.Add(p.Amount)
				return err
			})
			want := "20 1555.40 USD"
			if server.InnoDB {
				want = "21 1556.40 USD"
			}
			if got := fmt.Sprint(count, " ", total); err != nil || got != want {
				t.Errorf("ledger holds %s (%v), want %s", got, err, want)
			}
			if err := server.SetReadOnly(t.Context(), true); err != nil {
				t.Fatal(err)
			}
			defer func() { _ = server.SetReadOnly(context.WithoutCancel(t.Context()), false) }()
			if err := waiting.Send(t.Context(), body(t, "session-x", "transaction-x-new", "1.00"), nil); err != nil {
				t.Fatal(err)
			}
			messages := waiting.Receive(10)
			if got, want := invokeWith(events.SQSEvent{Records: messages}), `{"batchItemFailures":[{"itemIdentifier":"`+messages[0].MessageId+`"}]}`; got != want {
				t.Errorf("standby: answer %s, want %s\n%s", got, want, log.String())
			}
			for after, hidden := range map[time.Duration]int{29 * time.Minute: 1, 31 * time.Minute: 0} {
				began := clock.now
				clock.now = began.Add(after)
				if _, got := waiting.Depth(); got != hidden {
					t.Errorf("%v after, %d messages are hidden, want %d\n%s", after, got, hidden, log.String())
				}
				clock.now = began
			}
			function.Close() // the log is whole when the process has ended
			for _, line := range strings.Split(strings.TrimSpace(log.String()), "\n") {
				if !json.Valid([]byte(line)) {
					t.Errorf("log line is no JSON: %s", line)
				}
			}
		})
	}
	t.Run("no database", func(t *testing.T) {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		port := listener.Addr().(*net.TCPAddr).Port
		_ = listener.Close()
		var log lambdaruntime.Log
		function, err := lambdaruntime.Start(lambdaruntime.Config{Binary: binary, Name: "ledger", Region: "us-east-1", MemoryMB: 1024, Log: &log, Environment: map[string]string{
			"DATABASE_HOST": "127.0.0.1", "DATABASE_READER_HOST": "127.0.0.1", "DATABASE_PORT": strconv.Itoa(port), "DATABASE_NAME": "d", "DATABASE_USER": "u", "METRICS_NAMESPACE": "Payment/test",
		}})
		if err != nil {
			t.Fatal(err)
		}
		defer function.Close()
		payload, _ := json.Marshal(queue(batchOf(t, 1)...))
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		started := time.Now()
		answer, err := function.Invoke(ctx, payload)
		if err != nil || string(answer) != `{"batchItemFailures":[{"itemIdentifier":"m0"}]}` || time.Since(started) > 5*time.Second {
			t.Errorf("answer %s, %v, after %s", answer, err, time.Since(started))
		}
	})
}

// Nothing of the migrations or of the test servers is in the function.
func TestBinaryCarriesNothingElse(t *testing.T) {
	binary, err := functionbuild.Build("../..", "ledger", t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(binary)
	if err != nil {
		t.Fatal(err)
	}
	for _, module := range []string{"pressly/goose", "dolthub/go-mysql-server", "aws-sdk-go-v2/service/secretsmanager"} {
		if bytes.Contains(content, []byte(module)) {
			t.Errorf("the binary has %s", module)
		}
	}
	if !bytes.Contains(content, []byte("go-sql-driver/mysql")) {
		t.Error("the binary has no driver: the search above finds nothing")
	}
}
