package drill_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/bojanz/currency"

	"payments-dr/internal/drill"
	"payments-dr/internal/payment"
)

var clientsFrom = time.Date(2026, 11, 22, 3, 4, 5, 0, time.UTC)

// paid are requests of two kinds of clients, one of each a second for ten seconds, except what change does to a request.
func paid(t *testing.T, change func(number int, q *drill.Request)) *drill.Recorder {
	t.Helper()
	recorder := &drill.Recorder{}
	amount, err := currency.NewAmount("1.00", "USD")
	if err != nil {
		t.Fatal(err)
	}
	for number := range 20 {
		at := clientsFrom.Add(time.Duration(number/2) * time.Second)
		q := drill.Request{
			Identity: payment.Identity{SessionID: "s", TransactionID: string(rune('a' + number))}, Amount: amount, SentAt: at, EndedAt: at.Add(100 * time.Millisecond),
			Outcome: drill.OutcomeAcknowledged, Attempts: 1, Client: []drill.ClientKind{drill.ClientDNS, drill.ClientFailover}[number%2],
		}
		change(number, &q)
		if err := recorder.Request(q); err != nil {
			t.Fatal(err)
		}
	}
	return recorder
}

func TestEachKindOfClientIsReported(t *testing.T) {
	for name, tt := range map[string]struct {
		change          func(number int, q *drill.Request)
		within          time.Duration
		failed, slowest drill.Status
	}{
		"all well":                   {func(int, *drill.Request) {}, 5 * time.Second, drill.StatusPass, drill.StatusPass},
		"as slow as may be":          {func(n int, q *drill.Request) { q.EndedAt = q.SentAt.Add(5 * time.Second) }, 5 * time.Second, drill.StatusPass, drill.StatusPass},
		"too slow":                   {func(n int, q *drill.Request) { q.EndedAt = q.SentAt.Add(5001 * time.Millisecond) }, 5 * time.Second, drill.StatusPass, drill.StatusFail},
		"one failed":                 {func(n int, q *drill.Request) { fail(q, n == 7) }, 5 * time.Second, drill.StatusFail, drill.StatusPass},
		"all failed":                 {func(n int, q *drill.Request) { fail(q, true) }, 5 * time.Second, drill.StatusFail, drill.StatusNotMeasured},
		"DNS alone fails":            {func(n int, q *drill.Request) { fail(q, n%2 == 0) }, 5 * time.Second, drill.StatusPass, drill.StatusPass},
		"no Region accepts":          {func(n int, q *drill.Request) { fail(q, true) }, 0, "", ""},
		"kinds that nobody has told": {func(n int, q *drill.Request) { q.Client = "" }, 5 * time.Second, "", ""},
		"slow before the fault": {func(n int, q *drill.Request) {
			if n < 4 {
				q.EndedAt = q.SentAt.Add(9 * time.Second)
			}
		}, 5 * time.Second, drill.StatusPass, drill.StatusPass},
		"slow while it lasts": {func(n int, q *drill.Request) {
			if n == 5 {
				q.EndedAt = q.SentAt.Add(9 * time.Second)
			}
		}, 5 * time.Second, drill.StatusPass, drill.StatusFail},
		"no client that fails over": {func(n int, q *drill.Request) { q.Client = drill.ClientDNS }, 5 * time.Second, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			recorder := paid(t, tt.change)
			fault := drill.Event{At: clientsFrom.Add(2 * time.Second), Kind: drill.KindFaultBegins, Name: "loss", Region: "us-east-1"}
			if err := recorder.Event(fault); err != nil {
				t.Fatal(err)
			}
			report, err := drill.Measure(recorder, drill.Run{Banner: "a test", FailoverWithin: tt.within})
			if err != nil {
				t.Fatal(err)
			}
			got := map[drill.Name]drill.Status{}
			for _, o := range report.Objectives {
				got[o.Name] = o.Status
			}
			if got[drill.NameFailoverFailed] != tt.failed || got[drill.NameFailoverSlowest] != tt.slowest {
				t.Errorf("failed %q and slowest %q, want %q and %q", got[drill.NameFailoverFailed], got[drill.NameFailoverSlowest], tt.failed, tt.slowest)
			}
			if missed := tt.failed == drill.StatusFail || tt.slowest == drill.StatusFail; missed && report.Status != drill.StatusFail {
				t.Errorf("the verdict is %s", report.Status)
			}
		})
	}
}

func fail(q *drill.Request, failed bool) {
	if failed {
		q.Outcome, q.Reason = drill.OutcomeFailed, "503"
	}
}

// The RTO of payments is about DNS: what clients that fail over see neither hides an interruption nor makes one.
func TestPaymentsAreMeasuredWithoutFailover(t *testing.T) {
	for _, tt := range []struct {
		failing drill.ClientKind
		want    time.Duration
	}{{drill.ClientDNS, 20 * time.Second}, {drill.ClientFailover, 0}} {
		recorder := paid(t, func(int, *drill.Request) {})
		fault := drill.Event{At: clientsFrom.Add(time.Minute), Kind: drill.KindFaultBegins, Name: "loss", Region: "us-east-1"}
		if err := recorder.Event(fault); err != nil {
			t.Fatal(err)
		}
		for number := range 300 * 50 { // 25 a second of each kind
			kind := []drill.ClientKind{drill.ClientDNS, drill.ClientFailover}[number%2]
			at := clientsFrom.Add(time.Duration(number) * 20 * time.Millisecond)
			a := drill.Attempt{SentAt: at, EndedAt: at, Outcome: drill.OutcomeAcknowledged, Client: kind}
			if since := at.Sub(fault.At); kind == tt.failing && since >= 0 && since < 20*time.Second {
				a.Outcome, a.Reason = drill.OutcomeFailed, "503"
			}
			if err := recorder.Attempt(a); err != nil {
				t.Fatal(err)
			}
		}
		report, err := drill.Measure(recorder, drill.Run{Banner: "a test"})
		if err != nil {
			t.Fatal(err)
		}
		longest := time.Duration(0)
		for _, one := range report.Interruptions {
			longest = max(longest, one.Length.Duration())
		}
		if longest.Round(time.Second) != tt.want || report.Totals.Attempts != 300*50 {
			t.Errorf("%s fails: interrupted for %v, want %v; %d attempts in all", tt.failing, longest, tt.want, report.Totals.Attempts)
		}
	}
}

func TestTheLongestGapIsThatOfItsKind(t *testing.T) {
	report, err := drill.Measure(paid(t, func(n int, q *drill.Request) {
		switch { // DNS: acknowledgments at 2.1 s and 7.1 s
		case n == 4:
			q.EndedAt = q.SentAt.Add(100 * time.Millisecond)
		case n%2 == 0 && n > 4 && n < 14:
			fail(q, true)
		case n == 9:
			q.EndedAt = q.SentAt.Add(2 * time.Second)
		}
	}), drill.Run{Banner: "a test", FailoverWithin: 5 * time.Second})
	if err != nil || len(report.Clients) != 2 {
		t.Fatalf("%+v, %v", report.Clients, err)
	}
	dns, failover := report.Clients[0], report.Clients[1]
	if dns.Kind != drill.ClientDNS || dns.Requests != 10 || dns.Failed != 4 || dns.Acknowledged != 6 || dns.Gap.Duration() != 5*time.Second || !dns.GapFrom.Equal(clientsFrom.Add(2100*time.Millisecond)) {
		t.Errorf("DNS only: %+v, gap %v from %v", dns, dns.Gap.Duration(), dns.GapFrom)
	}
	if failover.Kind != drill.ClientFailover || failover.Failed != 0 || failover.Slowest.Duration() != 2*time.Second || failover.Gap.Duration() != 2*time.Second {
		t.Errorf("failover: %+v, slowest %v, gap %v", failover, failover.Slowest.Duration(), failover.Gap.Duration())
	}
	var text, page, data bytes.Buffer
	for _, err := range []error{report.WriteText(&text, false), report.WriteHTML(&page), report.WriteJSON(&data)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for form, got := range map[string]string{"text": text.String(), "page": page.String(), "JSON": data.String()} {
		if !strings.Contains(got, string(drill.ClientFailover)) || !strings.Contains(got, string(drill.ClientDNS)) {
			t.Errorf("the %s does not tell the clients apart", form)
		}
	}
	if !strings.Contains(text.String(), "Slowest request, client with failover") || !strings.Contains(page.String(), "Requests failed, client with failover") {
		t.Error("the objectives have no titles")
	}
}
