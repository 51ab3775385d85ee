package main

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"payments-dr/internal/payment"
	"payments-dr/internal/payment/reconcile"
	"payments-dr/internal/simulation/awswire"
)

// reconciliations is the simulated reconciliation's function. goes is what becomes of an invocation: empty, missing (and is recorded),
// conflicting, unreachable, database (it fails), slow (it has no time for more than two hours), hangs, nonsense, another, absent.
type reconciliations struct {
	goes    string
	windows []reconcile.Window
}

func (f *reconciliations) check(ts *testscript.TestScript, args []string) {
	count, err := strconv.Atoi(args[0])
	ts.Check(err)
	most, err := time.ParseDuration(args[1])
	ts.Check(err)
	if len(f.windows) != count {
		ts.Fatalf("%d windows were reconciled: %v", len(f.windows), f.windows)
	}
	for i, w := range f.windows {
		if w.To.Sub(w.From) > most || i > 0 && len(args) < 3 && !w.From.Equal(f.windows[i-1].To) {
			ts.Fatalf("window %v, of %v", w, f.windows)
		}
	}
	f.windows = nil
}

func (s *simulated) invokeReconcile(w http.ResponseWriter, r *http.Request, region string, body []byte) {
	f := &s.repairs.reconcile
	if r.URL.Path != "/2015-03-31/functions/payment-dev-reconcile/invocations" || f.goes == "absent" {
		awswire.WriteError(w, "lambda", http.StatusNotFound, "ResourceNotFoundException", "no such function")
		return
	}
	failed := func(message string) { awswire.WriteFunctionError(w, errors.New(message)) }
	var event struct {
		Role, DryRun bool
		From, To     time.Time
	}
	if err := json.Unmarshal(body, &event); err != nil {
		s.t.Errorf("the function was asked for %s", body)
	}
	if event.Role {
		if f.goes == "unreachable" {
			awswire.WriteJSON(w, map[string]bool{"unreachable": true})
			return
		}
		awswire.WriteJSON(w, map[string]bool{"reader": region != s.writer})
		return
	}
	switch f.goes {
	case "hangs":
		s.mu.Unlock()
		<-r.Context().Done()
		s.mu.Lock()
		return
	case "nonsense":
		w.Write([]byte("<html>"))
		return
	case "database":
		failed("done up to " + event.From.Format(time.RFC3339Nano) + ": reconcile: find payments: connection refused")
		return
	case "slow":
		if event.To.Sub(event.From) > 2*time.Hour {
			failed("done up to " + event.From.Add(time.Hour).Format(time.RFC3339Nano) + ": reconcile: context deadline exceeded")
			return
		}
	}
	f.windows = append(f.windows, reconcile.Window{From: event.From, To: event.To})
	report := reconcile.Report{
		From: event.From, To: event.To, DryRun: event.DryRun, Complete: true, DoneUpTo: event.To, DurationMilliseconds: 1200,
		Counts: reconcile.Counts{Table: 100, LedgerBefore: 100, Ledger: 100}, Sums: []reconcile.Sum{{Currency: "EUR", Table: "1000.10", Ledger: "1000.10"}},
	}
	switch f.goes {
	case "missing":
		report.Counts.Missing, report.Counts.LedgerBefore = 1, 99
		report.Examples.Missing = []reconcile.Example{{SessionID: "s", TransactionID: "p1", Table: payment.Values{
			"amount": "5.00", "currency": "EUR", "region": "us-east-1", "timestamp": "2026-11-22T10:00:00.000000Z",
		}}}
		if event.DryRun {
			report.Counts.Ledger, report.Sums[0].Ledger = 99, "995.10"
		} else {
			report.Counts.Repaired = 1
		}
	case "conflicting":
		report.Counts.Conflicting = 1
		report.Examples.Conflicting = []reconcile.Example{{SessionID: "s", TransactionID: "p1", Table: payment.Values{"amount": "5.00", "currency": "EUR"}, Ledger: payment.Values{"amount": "6.00", "currency": "EUR"}}}
	case "another":
		report.From = report.From.Add(-time.Hour)
	}
	awswire.WriteJSON(w, report)
}
