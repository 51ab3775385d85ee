package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"payments-dr/internal/payment"
	"payments-dr/internal/payment/reconcile"
	"payments-dr/internal/payment/start"
	"payments-dr/internal/payment/variables"
)

var now = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// side is a table in memory, and all of a ledger but Window and Record.
type side struct {
	payments []payment.Payment
	err      error
	asked    []reconcile.Window
}

func (s *side) Find(_ context.Context, ids []payment.Identity) (map[payment.Identity]payment.Payment, error) {
	found := map[payment.Identity]payment.Payment{}
	for _, p := range s.payments {
		if slices.Contains(ids, p.Identity) {
			found[p.Identity] = p
		}
	}
	return found, s.err
}

func (s *side) between(from, to time.Time) (within []payment.Payment) {
	s.asked = append(s.asked, reconcile.Window{From: from, To: to})
	for _, p := range s.payments {
		if !p.Timestamp.Before(from) && p.Timestamp.Before(to) {
			within = append(within, p)
		}
	}
	return within
}

func (s *side) Window(_ context.Context, from, to time.Time, _ int, fn func([]payment.Payment) error) error {
	return fn(s.between(from, to))
}

type ledgerSide struct {
	side
	noted []time.Time
	// start is the watermark that it has at first.
	start   time.Time
	markErr error
}

func (l *ledgerSide) ReconciledTo(context.Context) (time.Time, error) {
	if len(l.noted) > 0 {
		return l.noted[len(l.noted)-1], l.markErr
	}
	return l.start, l.markErr
}

func (l *ledgerSide) NoteReconciled(_ context.Context, to time.Time) error {
	l.noted = append(l.noted, to)
	return l.markErr
}

func (l *ledgerSide) Window(_ context.Context, from, to time.Time, fn func(payment.Payment) error) error {
	for _, p := range l.between(from, to) {
		if err := fn(p); err != nil {
			return err
		}
	}
	return l.err
}

func (l *ledgerSide) Record(_ context.Context, payments []payment.Payment) (int, error) {
	l.payments = append(l.payments, payments...)
	return len(payments), l.err
}

func accepted(t *testing.T, id, amount string, before time.Duration) payment.Payment {
	t.Helper()
	p, err := payment.Parse(payment.Values{
		"session_id": "secret-" + id, "transaction_id": id,
		"amount": amount, "currency": "USD",
		"region": "us-east-1", "timestamp": now.Add(-before).Format(payment.TimestampLayout),
		"status": payment.StatusProcessed,
	})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func newTestHandler(table *side, ledger *ledgerSide) (*handler, *bytes.Buffer) {
	var log bytes.Buffer
	return &handler{
		table: table, ledger: ledger, watermark: ledger, settle: time.Minute, step: 2 * time.Minute, namespace: "Payments/test",
		logger: slog.New(slog.NewJSONHandler(&log, nil)), now: func() time.Time { return now },
	}, &log
}

func TestWindowOfAnEvent(t *testing.T) {
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	for _, tt := range []struct {
		name, event string
		want        reconcile.Window
		dryRun      bool
	}{
		{"nothing asked for", `{}`, reconcile.Window{From: ago(90 * time.Minute), To: ago(time.Minute)}, false},
		{"no payload", ``, reconcile.Window{From: ago(90 * time.Minute), To: ago(time.Minute)}, false},
		{"null", `null`, reconcile.Window{From: ago(90 * time.Minute), To: ago(time.Minute)}, false},
		{"an envelope", `{"version":"0","source":"aws.scheduler","time":"2026-11-22T12:00:00Z","detail":{"from":"x"},"resources":[]}`,
			reconcile.Window{From: ago(90 * time.Minute), To: ago(time.Minute)}, false},
		{"minutes", `{"windowMinutes":30}`, reconcile.Window{From: ago(30 * time.Minute), To: ago(time.Minute)}, false},
		{"minutes in an envelope", `{"planArn":"arn:x","executionId":"y","windowMinutes":4320}`, reconcile.Window{From: ago(72 * time.Hour), To: ago(time.Minute)}, false},
		{"times", `{"from":"2026-11-20T00:00:00Z","to":"2026-11-21T01:00:00.5+01:00","dryRun":true}`,
			reconcile.Window{From: time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC), To: time.Date(2026, 11, 21, 0, 0, 0, 5e8, time.UTC)}, true},
		{"up to a minute ago", `{"from":"2026-11-22T11:00:00Z","to":"2026-11-22T11:59:00Z"}`, reconcile.Window{From: ago(time.Hour), To: ago(time.Minute)}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			table, ledger := &side{}, &ledgerSide{start: ago(time.Hour)}
			h, _ := newTestHandler(table, ledger)
			report, err := h.handle(t.Context(), json.RawMessage(tt.event), 0)
			if err != nil {
				t.Fatal(err)
			}
			if !report.From.Equal(tt.want.From) || !report.To.Equal(tt.want.To) || report.DryRun != tt.dryRun || !report.Clean() {
				t.Errorf("report %+v, want %v", report, tt.want)
			}
			for _, asked := range [][]reconcile.Window{table.asked, ledger.asked} {
				if !asked[0].From.Equal(tt.want.From) || !asked[len(asked)-1].To.Equal(tt.want.To) {
					t.Errorf("asked for %v to %v", asked[0], asked[len(asked)-1])
				}
			}
		})
	}
}

func TestBadEventsAreNamed(t *testing.T) {
	for _, tt := range []struct {
		event string
		want  []string
	}{
		{`[]`, []string{"the event is []", "a JSON object"}},
		{`{`, []string{"the event is {", "a JSON object"}},
		{`{"windowMinutes":1}`, []string{"windowMinutes is 1;", "from 2 to 4320"}},
		{`{"windowMinutes":4321}`, []string{"windowMinutes is 4321;"}},
		{`{"windowMinutes":-5}`, []string{"windowMinutes is -5;"}},
		{`{"windowMinutes":1.5}`, []string{"windowMinutes is 1.5;"}},
		{`{"windowMinutes":"30"}`, []string{`windowMinutes is "30";`}},
		{`{"windowMinutes":null}`, []string{"windowMinutes is null;"}},
		{`{"windowMinutes":30,"from":"2026-11-22T10:00:00Z"}`, []string{"windowMinutes is given together with from or to"}},
		{`{"from":"2026-11-22T10:00:00Z"}`, []string{"to is missing;", "RFC 3339"}},
		{`{"to":"2026-11-22T10:00:00Z"}`, []string{"from is missing;"}},
		{`{"from":"yesterday","to":5,"dryRun":"no"}`, []string{`from is "yesterday";`, "to is 5;", `dryRun is "no";`, "true and false"}},
		{`{"from":"2026-11-22T10:00:00","to":null}`, []string{`from is "2026-11-22T10:00:00";`, "to is null;"}},
		{`{"from":"2026-11-22T10:00:00Z","to":"2026-11-22T10:00:00Z"}`, []string{`from is "2026-11-22T10:00:00Z"; allowed is what is before to`}},
		{`{"from":"2026-11-22T11:00:00Z","to":"2026-11-22T11:59:01Z"}`, []string{`to is "2026-11-22T11:59:01Z";`, "2026-11-22T11:59:00Z"}},
		{`{"dryRun":null}`, []string{"dryRun is null;"}},
	} {
		h, log := newTestHandler(&side{}, &ledgerSide{})
		_, err := h.handle(t.Context(), json.RawMessage(tt.event), 0)
		for _, want := range tt.want {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: error %v, want in it %q", tt.event, err, want)
			}
		}
		if log.Len() > 0 {
			t.Errorf("%s: logged and returned: %s", tt.event, log)
		}
	}
	h, _ := newTestHandler(&side{}, &ledgerSide{})
	if _, err := h.handle(t.Context(), json.RawMessage(`{"from":"`+strings.Repeat("x", 1000)+`"}`), 0); err == nil || len(err.Error()) > 500 {
		t.Errorf("a long value is shown whole: %v", err)
	}
}

func TestFaultsAreAResultAndMetrics(t *testing.T) {
	conflicting := accepted(t, "conflicting", "2.00", 10*time.Minute)
	elsewhere := accepted(t, "differing", "1.00", 11*time.Minute)
	elsewhere.Region = "us-west-2"
	table := &side{payments: []payment.Payment{
		accepted(t, "sound", "1.00", 5*time.Minute), accepted(t, "missing", "3.00", 20*time.Minute), accepted(t, "missing too", "3.00", 25*time.Minute),
		accepted(t, "conflicting", "1.00", 10*time.Minute), accepted(t, "differing", "1.00", 11*time.Minute),
	}}
	ledger := &ledgerSide{side: side{payments: []payment.Payment{
		accepted(t, "sound", "1.00", 5*time.Minute), conflicting, elsewhere, accepted(t, "unaccounted", "1.00", 12*time.Minute),
	}}}
	h, log := newTestHandler(table, ledger)
	report, err := h.handle(t.Context(), json.RawMessage(`{}`), 0)
	if err != nil || report.Clean() || report.Counts.Repaired != 2 || len(report.Examples.Unaccounted) != 1 {
		t.Fatalf("report %+v, %v", report, err)
	}
	if strings.Count(log.String(), "\n") != 1 {
		t.Fatalf("want one line: %s", log)
	}
	if strings.Contains(log.String(), "secret") {
		t.Errorf("ids in the log: %s", log)
	}
	var line struct {
		Level    string
		Function string
		Clean    bool
		Counts   reconcile.Counts `json:"counts"`
		AWS      struct {
			Timestamp         int64
			CloudWatchMetrics []struct {
				Namespace  string
				Dimensions [][]string
				Metrics    []struct{ Name, Unit string }
			}
		} `json:"_aws"`
	}
	var values map[string]any
	if err := errors.Join(json.Unmarshal(log.Bytes(), &line), json.Unmarshal(log.Bytes(), &values)); err != nil {
		t.Fatal(err)
	}
	want := map[string]float64{
		"ReconcileRuns": 1, "ReconcileTablePayments": 5, "ReconcileMissing": 2, "ReconcileRepaired": 2,
		"ReconcileConflicting": 1, "ReconcileDiffering": 1, "ReconcileUnaccounted": 1, "ReconcileUnreadable": 0, "ReconcileClean": 0,
	}
	directive := line.AWS.CloudWatchMetrics[0]
	if len(directive.Metrics) != len(want) || directive.Namespace != "Payments/test" || directive.Dimensions[0][0] != "Function" || line.AWS.Timestamp != now.UnixMilli() {
		t.Errorf("metrics %+v", line.AWS)
	}
	for _, metric := range directive.Metrics {
		if values[metric.Name] != want[metric.Name] || metric.Unit != "Count" {
			t.Errorf("%s is %v, want %v", metric.Name, values[metric.Name], want[metric.Name])
		}
	}
	if line.Level != "WARN" || line.Clean || line.Function != "reconcile" || line.Counts != report.Counts {
		t.Errorf("line %s", log)
	}
}

func TestARunThatCannotFinishFails(t *testing.T) {
	down := errors.New("ledger is down")
	h, log := newTestHandler(&side{payments: []payment.Payment{accepted(t, "a", "1.00", 15*time.Minute)}}, &ledgerSide{side: side{err: down}})
	report, err := h.handle(t.Context(), json.RawMessage(`{}`), 0)
	if !errors.Is(err, down) || !strings.Contains(err.Error(), "done up to 2026-11-19T11:29:00Z: reconcile ") {
		t.Errorf("error %v", err)
	}
	if report.Complete || report.Clean() {
		t.Errorf("report %+v", report)
	}
	if line := log.String(); strings.Contains(line, "_aws") || !strings.Contains(line, `"level":"ERROR"`) || !strings.Contains(line, `"complete":false`) {
		t.Errorf("line %s", line)
	}
}

func TestARunEndsBeforeItsTimeDoes(t *testing.T) {
	deadline, cancel := context.WithDeadline(t.Context(), time.Now().Add(wrapUp+200*time.Millisecond))
	defer cancel()
	h, log := newTestHandler(&side{}, &ledgerSide{})
	h.ledger = patient{h.ledger}
	h.table.(*side).payments = []payment.Payment{accepted(t, "a", "1.00", 15*time.Minute)}
	_, err := h.handle(deadline, json.RawMessage(`{}`), 0)
	if !errors.Is(err, context.DeadlineExceeded) || log.Len() == 0 {
		t.Errorf("error %v, log %s", err, log)
	}
	if deadline.Err() != nil {
		t.Error("the invocation's own time was used up")
	}
}

// patient is a ledger that answers when its caller has lost patience.
type patient struct{ reconcile.Ledger }

func (patient) Find(ctx context.Context, _ []payment.Identity) (map[payment.Identity]payment.Payment, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func TestTimesFromTheEnvironment(t *testing.T) {
	for _, name := range variables.Of("reconcile") {
		t.Setenv(name, "600")
	}
	t.Setenv("AWS_REGION", "us-east-1")
	t.Setenv("TABLE_CONSISTENCY", "eventual")
	t.Setenv("RECONCILE_SETTLE_SECONDS", "6")
	t.Setenv("RECONCILE_STEP_SECONDS", "120")
	if h, err := start.Handler(t.Context(), "reconcile", newHandler); err != nil || h.settle != 6*time.Second || h.step != 2*time.Minute || h.replica != "us-east-1" {
		t.Errorf("%+v, %v", h, err)
	}
	t.Setenv("TABLE_CONSISTENCY", "strong")
	if h, err := start.Handler(t.Context(), "reconcile", newHandler); err != nil || h.replica != "" {
		t.Errorf("%+v, %v", h, err)
	}
	t.Setenv("TABLE_CONSISTENCY", "STRONG")
	if _, err := start.Handler(t.Context(), "reconcile", newHandler); err == nil || !strings.Contains(err.Error(), `TABLE_CONSISTENCY is "STRONG"; allowed are strong, eventual`) {
		t.Errorf("error %v", err)
	}
	t.Setenv("TABLE_CONSISTENCY", "strong")
	for _, text := range []string{"59", "901", "2m", "120.5"} {
		t.Setenv("RECONCILE_STEP_SECONDS", text)
		if _, err := start.Handler(t.Context(), "reconcile", newHandler); err == nil || !strings.Contains(err.Error(), `RECONCILE_STEP_SECONDS is "`+text+`"; allowed are whole numbers from 60 to 900`) {
			t.Errorf("%q: error %v", text, err)
		}
	}
}

// TestAnOutageIsWorkedOff has the ledger away for 14.5 hours, as us-east-1 was on 19 and 20 October 2025, and a payment every 15
// minutes that nobody recorded. Each run goes on for a while and leaves the rest to the next one.
func TestAnOutageIsWorkedOff(t *testing.T) {
	const outage = 14*time.Hour + 30*time.Minute
	table, ledger := &side{}, &ledgerSide{start: now.Add(-outage)}
	for i := range 60 {
		table.payments = append(table.payments, accepted(t, string(rune('a'+i%26))+strings.Repeat("x", i/26), "1.00", time.Duration(i)*15*time.Minute+2*time.Minute))
	}
	h, log := newTestHandler(table, ledger)
	clock := now
	h.now = func() time.Time { clock = clock.Add(time.Second); return clock }
	var repaired, runs int
	for len(ledger.payments) < len(table.payments) {
		if runs++; runs > 20 {
			t.Fatalf("after %d runs the ledger has %d payments, want %d", runs, len(ledger.payments), len(table.payments))
		}
		clock = now
		before := len(ledger.noted)
		report, err := h.handle(t.Context(), json.RawMessage(`{"scheduled":true}`), 30*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		repaired += report.Counts.Repaired
		if !report.Complete || !report.Clean() || !report.To.Equal(report.DoneUpTo) || len(ledger.noted) == before || !ledger.noted[len(ledger.noted)-1].Equal(report.To) {
			t.Fatalf("run %d: %+v, watermarks %v", runs, report, ledger.noted)
		}
	}
	if repaired != 60 || runs < 3 {
		t.Errorf("%d payments repaired in %d runs, want 60 in several", repaired, runs)
	}
	if !strings.Contains(log.String(), `"ReconcileMissing":`) {
		t.Errorf("log %s", log)
	}
}

// The recovery plan waits for a run, and pauses if it takes longer than the step may. Nobody waits for the other runs.
func TestThePlanWaitsForNoLongRun(t *testing.T) {
	slices := map[string]int{}
	for name, event := range map[string]string{"plan": `{}`, "schedule": `{"scheduled":true}`, "promotion": `{"promotion":true}`} {
		h, _ := newTestHandler(&side{}, &ledgerSide{})
		clock := time.Now()
		ledger := &ledgerSide{start: clock.Add(-72 * time.Hour)}
		h.ledger, h.watermark = ledger, ledger
		h.standby = func(context.Context) (bool, error) { return false, nil }
		h.now = func() time.Time { clock = clock.Add(5 * time.Second); return clock }
		ctx, cancel := context.WithDeadline(t.Context(), clock.Add(15*time.Minute))
		if _, err := h.invoke(ctx, json.RawMessage(event)); err != nil {
			t.Error(err)
		}
		cancel()
		slices[name] = len(ledger.noted)
	}
	if slices["plan"] < 1 || slices["plan"] > 12 || slices["schedule"] < 40 || slices["promotion"] != slices["schedule"] {
		t.Errorf("ten minutes done by each run: %v; want few by the plan's, in a minute, and many by the others, in seven and a half", slices)
	}
}

func TestUnreconciledTimeIsAMetricOfTheWriter(t *testing.T) {
	for _, tt := range []struct {
		name    string
		standby bool
		start   time.Time
		err     error
		want    string
	}{
		{"writer", false, now.Add(-90 * time.Minute), nil, `"UnreconciledSeconds":5400`},
		{"standby", true, now.Add(-90 * time.Minute), nil, ""},
		{"no watermark", false, time.Time{}, nil, ""},
		{"no answer", false, now, errors.New("down"), ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h, log := newTestHandler(&side{}, &ledgerSide{start: tt.start, markErr: tt.err})
			h.standby = func(context.Context) (bool, error) { return tt.standby, nil }
			if _, err := h.invoke(t.Context(), json.RawMessage(`{"role":true}`)); err != nil {
				t.Fatal(err)
			}
			if line := log.String(); !strings.Contains(line, tt.want) || tt.want == "" && strings.Contains(line, "UnreconciledSeconds") {
				t.Errorf("line %s, want in it %q", line, tt.want)
			}
		})
	}
}

func TestScheduledRunLeavesTheStandbyAlone(t *testing.T) {
	broken := errors.New("no endpoint answers")
	for _, tt := range []struct {
		name, event string
		standby     bool
		err         error
		asked       int
		want        string
	}{
		{"active", `{"scheduled":true}`, false, nil, 1, `"complete":true`},
		{"standby", `{"scheduled":true}`, true, nil, 0, `{"standby":true}`},
		{"no answer", `{"scheduled":true}`, false, broken, 0, ""},
		{"asked for", `{"windowMinutes":10}`, true, nil, 1, `"complete":true`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			table, ledger := &side{}, &ledgerSide{}
			h, log := newTestHandler(table, ledger)
			h.standby = func(context.Context) (bool, error) { return tt.standby, tt.err }
			answer, err := h.invoke(t.Context(), json.RawMessage(tt.event))
			if !errors.Is(err, tt.err) {
				t.Fatalf("error %v, want %v", err, tt.err)
			}
			if ran := strings.Contains(log.String(), `"ReconcileRuns":1`); ran != (tt.err == nil) {
				t.Errorf("log %s", log)
			}
			if got := min(len(table.asked), 1); got != tt.asked {
				t.Errorf("the table was asked %d times", len(table.asked))
			}
			if tt.err != nil {
				return
			}
			if body, err := json.Marshal(answer); err != nil || !strings.Contains(string(body), tt.want) {
				t.Errorf("answer %s, %v; want in it %s", body, err, tt.want)
			}
		})
	}
}

// TestPromotionIsReconciledWhereItHappened has each Region's event of each move, in both directions. A switchover emits
// RDS-EVENT-0185 in both Regions, a failover RDS-EVENT-0238 in the promoted one.
func TestPromotionIsReconciledWhereItHappened(t *testing.T) {
	const east, west = "payment-dev-us-east-1", "payment-dev-us-west-2"
	switchover := func(to, region string) string {
		return "Global switchover to DB cluster " + to + " in Region " + region + " finished."
	}
	failover := func(to, region string) string {
		return "Global failover to DB cluster " + to + " in Region " + region + " completed."
	}
	broken := errors.New("no endpoint answers")
	for _, tt := range []struct {
		name, cluster, message string
		standby                bool
		err                    error
		reconciles             bool
	}{
		{"switchover to west, in west", west, switchover(west, "us-west-2"), false, nil, true},
		{"switchover to west, in east", east, switchover(west, "us-west-2"), true, nil, false},
		{"switchover to east, in east", east, switchover(east, "us-east-1"), false, nil, true},
		{"switchover to east, in west", west, switchover(east, "us-east-1"), true, nil, false},
		{"failover to west, in west", west, failover(west, "us-west-2"), false, nil, true},
		{"failover to east, in east", east, failover(east, "us-east-1"), false, nil, true},
		{"the promoted database is not the writer yet", west, switchover(west, "us-west-2"), true, nil, true},
		{"the old database does not answer", east, switchover(west, "us-west-2"), false, broken, false},
		{"a message of another form, in the standby", east, "The global database has a new writer.", true, nil, false},
		{"a message of another form, in the writer", west, "The global database has a new writer.", false, nil, true},
		{"a message of another form, and no answer", west, "The global database has a new writer.", false, broken, true},
		{"no message", west, "", true, nil, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			table := &side{}
			h, _ := newTestHandler(table, &ledgerSide{})
			h.standby = func(context.Context) (bool, error) { return tt.standby, tt.err }
			payload, err := json.Marshal(map[string]any{"promotion": true, "cluster": tt.cluster, "message": tt.message})
			if err != nil {
				t.Fatal(err)
			}
			answer, err := h.invoke(t.Context(), payload)
			if err != nil {
				t.Fatal(err)
			}
			body, err := json.Marshal(answer)
			if err != nil {
				t.Fatal(err)
			}
			if got := len(table.asked) > 0; got != tt.reconciles || got == (string(body) == `{"standby":true}`) {
				t.Errorf("reconciles: %v, want %v; answer %s", got, tt.reconciles, body)
			}
		})
	}
}

func TestRoleIsToldAsMetrics(t *testing.T) {
	for _, tt := range []struct {
		name         string
		standby      bool
		err          error
		answer, line string
	}{
		{"writer", false, nil, `{"reader":false}`, `"DatabaseReader":0,"DatabaseUnreachable":0`},
		{"reader", true, nil, `{"reader":true}`, `"DatabaseReader":1,"DatabaseUnreachable":0`},
		{"no answer", false, errors.New("no endpoint answers"), `{"unreachable":true}`, `"error":"no endpoint answers","DatabaseUnreachable":1`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			table := &side{}
			h, log := newTestHandler(table, &ledgerSide{})
			h.standby = func(context.Context) (bool, error) { return tt.standby, tt.err }
			answer, err := h.invoke(t.Context(), json.RawMessage(`{"role":true}`))
			if err != nil {
				t.Fatal(err) // a database that is away is what the question was about
			}
			if body, err := json.Marshal(answer); err != nil || string(body) != tt.answer {
				t.Errorf("answer %s, %v; want %s", body, err, tt.answer)
			}
			line := log.String()
			if !strings.Contains(line, tt.line) || !strings.Contains(line, `"Function":"reconcile"`) || !strings.Contains(line, `"Namespace":"Payments/test"`) {
				t.Errorf("line %s, want in it %s", line, tt.line)
			}
			if tt.err != nil && strings.Contains(line, `"DatabaseReader"`) {
				t.Errorf("line %s tells a role that nobody knows", line)
			}
			if len(table.asked) > 0 {
				t.Error("a reconciliation was run")
			}
		})
	}
}
