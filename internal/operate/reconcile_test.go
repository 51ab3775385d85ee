package operate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	rdstypes "github.com/aws/aws-sdk-go-v2/service/rds/types"

	"payments-dr/internal/payment/reconcile"
	"payments-dr/internal/settings"
)

// function answers with what it is told to.
type function func(event map[string]any) (payload, failed string, err error)

func (f function) Invoke(_ context.Context, in *lambda.InvokeInput, _ ...func(*lambda.Options)) (*lambda.InvokeOutput, error) {
	var event map[string]any
	if err := json.Unmarshal(in.Payload, &event); err != nil {
		return nil, err
	}
	payload, failed, err := f(event)
	if err != nil {
		return nil, err
	}
	out := &lambda.InvokeOutput{Payload: []byte(payload)}
	if failed != "" {
		out.FunctionError, out.Payload = aws.String("Unhandled"), []byte(`{"errorMessage":"`+failed+`"}`)
	}
	return out, nil
}

func hours(from, to int) reconcile.Window {
	day := time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC)
	return reconcile.Window{From: day.Add(time.Duration(from) * time.Hour), To: day.Add(time.Duration(to) * time.Hour)}
}

func reportOf(event map[string]any, change func(*reconcile.Report)) string {
	r := reconcile.Report{Complete: true, DryRun: event["dryRun"] == true, Counts: reconcile.Counts{Table: 2, LedgerBefore: 2, Ledger: 2}, Sums: []reconcile.Sum{{Currency: "JPY", Table: "7", Ledger: "7"}, {Currency: "EUR", Table: "0.10", Ledger: "0.10"}}}
	r.From, _ = time.Parse(time.RFC3339Nano, event["from"].(string))
	r.To, _ = time.Parse(time.RFC3339Nano, event["to"].(string))
	if change != nil {
		change(&r)
	}
	text, _ := json.Marshal(r)
	return string(text)
}

func TestWindowsAreWorkedOffInParts(t *testing.T) {
	var asked []string
	r := Reconciler{Function: "f", Functions: function(func(event map[string]any) (string, string, error) {
		asked = append(asked, fmt.Sprintf("%s %s %v", event["from"].(string)[11:16], event["to"].(string)[11:16], event["dryRun"]))
		return reportOf(event, nil), "", nil
	})}
	told := 0
	total, err := r.Run(t.Context(), "us-east-1", hours(0, 14), 6*time.Hour, true, func(reconcile.Report) { told++ })
	if want := "00:00 06:00 true, 06:00 12:00 true, 12:00 14:00 true"; err != nil || strings.Join(asked, ", ") != want || told != 3 {
		t.Errorf("asked %q, %v", asked, err)
	}
	if !total.Clean || total.Counts.Table != 6 || len(total.Sums) != 2 || total.Sums[0] != (reconcile.Sum{Currency: "EUR", Table: "0.30", Ledger: "0.30"}) || total.Sums[1].Table != "21" {
		t.Errorf("%+v", total)
	}
}

// What is not the report of the window that was asked for proves nothing, and nothing that is at fault is clean.
func TestOnlyAWholeReportCounts(t *testing.T) {
	for name, change := range map[string]func(*reconcile.Report){
		"another window": func(r *reconcile.Report) { r.To = r.To.Add(-time.Minute) },
		"not complete":   func(r *reconcile.Report) { r.Complete = false },
		"dry":            func(r *reconcile.Report) { r.DryRun = true },
	} {
		r := Reconciler{Functions: function(func(event map[string]any) (string, string, error) { return reportOf(event, change), "", nil })}
		unfinished := &UnfinishedError{}
		if _, err := r.Run(t.Context(), "r", hours(0, 1), time.Hour, false, nil); !errors.As(err, &unfinished) || Explain(err).Kind != KindMalformed {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, payload := range []string{`{"standby":true}`, `null`, `[]`, `<html>`, ``, strings.Replace(reportOf(map[string]any{"from": "2026-11-20T00:00:00Z", "to": "2026-11-20T01:00:00Z"}, nil), `"clean":true`, `"clean":false`, 1)} {
		r := Reconciler{Functions: function(func(map[string]any) (string, string, error) { return payload, "", nil })}
		if _, err := r.Run(t.Context(), "r", hours(0, 1), time.Hour, false, nil); err == nil || Explain(err).Kind != KindMalformed {
			t.Errorf("%s: %v", payload, err)
		}
	}
	for name, change := range map[string]func(*reconcile.Report){
		"conflicting": func(r *reconcile.Report) { r.Counts.Conflicting = 1 },
		"differing":   func(r *reconcile.Report) { r.Counts.Differing = 1 },
		"unaccounted": func(r *reconcile.Report) { r.Counts.Unaccounted = 1 },
		"sums":        func(r *reconcile.Report) { r.Sums[0].Ledger = "8" },
		"counts":      func(r *reconcile.Report) { r.Counts.Ledger = 3 },
	} {
		r := Reconciler{Functions: function(func(event map[string]any) (string, string, error) {
			if strings.Contains(event["from"].(string), "T01") {
				return reportOf(event, change), "", nil
			}
			return reportOf(event, nil), "", nil
		})}
		if total, err := r.Run(t.Context(), "r", hours(0, 3), time.Hour, false, nil); err != nil || total.Clean || len(total.Reports) != 3 {
			t.Errorf("%s: clean %t, %v", name, total.Clean, err)
		}
	}
}

func TestPartsThatTakeTooLongAreHalved(t *testing.T) {
	for _, failed := range []string{"done up to x: context deadline exceeded", "2026-11-20T00:00:00Z 1a2b Task timed out after 900.00 seconds"} {
		r := Reconciler{Functions: function(func(event map[string]any) (string, string, error) {
			report := reportOf(event, nil)
			var w reconcile.Report
			_ = json.Unmarshal([]byte(report), &w)
			if w.To.Sub(w.From) > 40*time.Minute {
				return "", failed, nil
			}
			return report, "", nil
		})}
		total, err := r.Run(t.Context(), "r", hours(0, 2), 6*time.Hour, false, nil)
		if err != nil || len(total.Reports) != 4 || total.Tries != 3 || !total.Clean {
			t.Errorf("%d reports, %d tries, %v", len(total.Reports), total.Tries, err)
		}
		for i, report := range total.Reports[1:] {
			if !report.From.Equal(total.Reports[i].To) {
				t.Errorf("a gap before %v", report.From)
			}
		}
	}
	// Nothing helps, and it ends.
	invocations := 0
	r := Reconciler{Functions: function(func(map[string]any) (string, string, error) {
		invocations++
		return "", "context deadline exceeded", nil
	})}
	if _, err := r.Run(t.Context(), "r", hours(0, 2), 6*time.Hour, false, nil); err == nil || invocations > 6 {
		t.Errorf("%d invocations, %v", invocations, err)
	}
	// Another failure is not tried again.
	invocations = 0
	r = Reconciler{Functions: function(func(map[string]any) (string, string, error) {
		invocations++
		return "", "find payments: access denied", nil
	})}
	if _, err := r.Run(t.Context(), "r", hours(0, 2), 6*time.Hour, false, nil); err == nil || invocations != 1 || !strings.Contains(err.Error(), "not reconciled from 2026-11-20T00:00:00Z on: the function has failed: find payments: access denied") {
		t.Errorf("%d invocations, %v", invocations, err)
	}
}

func TestWhoTakesWrites(t *testing.T) {
	for payload, want := range map[string]string{`{"reader":false}`: "true", `{"reader":true}`: "false", `{"unreachable":true}`: "unreachable", `{}`: "malformed", `x`: "malformed"} {
		r := Reconciler{Functions: function(func(event map[string]any) (string, string, error) {
			if event["role"] != true {
				t.Errorf("asked for %v", event)
			}
			return payload, "", nil
		})}
		writes, err := r.TakesWrites(t.Context())
		got := fmt.Sprint(writes)
		if err != nil {
			got = string(Explain(err).Kind)
		}
		if got != want {
			t.Errorf("%s: %s, want %s", payload, got, want)
		}
	}
}

func TestMoments(t *testing.T) {
	for text, want := range map[string]string{"2h": "2026-11-22T10:00:00Z", "0s": "2026-11-22T12:00:00Z", "2026-11-20T03:00:00+01:00": "2026-11-20T02:00:00Z", "36h30m": "2026-11-20T23:30:00Z"} {
		if at, err := ParseMoment(text, testNow); err != nil || at.Format(time.RFC3339) != want {
			t.Errorf("%s: %v, %v", text, at, err)
		}
	}
	for _, text := range []string{"", "yesterday", "-2h", "2026-11-20", "2026-11-20T03:00:00", "5"} {
		if at, err := ParseMoment(text, testNow); err == nil {
			t.Errorf("%q is %v", text, at)
		}
	}
}

// database says who the writer is, or an error.
type database struct {
	writer string
	err    error
}

func (d database) DescribeGlobalClusters(context.Context, *rds.DescribeGlobalClustersInput, ...func(*rds.Options)) (*rds.DescribeGlobalClustersOutput, error) {
	if d.err != nil {
		return nil, d.err
	}
	var members []rdstypes.GlobalClusterMember
	for _, region := range []string{"us-east-1", "us-west-2"} {
		members = append(members, rdstypes.GlobalClusterMember{DBClusterArn: aws.String("arn:aws:rds:" + region + ":1:cluster:c"), IsWriter: aws.Bool(region == d.writer)})
	}
	return &rds.DescribeGlobalClustersOutput{GlobalClusters: []rdstypes.GlobalCluster{{GlobalClusterMembers: members}}}, nil
}

func TestTheWriterIsWhoEveryRegionSays(t *testing.T) {
	denied := &Problem{KindDenied, "access denied"}
	for _, tt := range []struct {
		east, west database
		want       string
	}{
		{database{"us-west-2", nil}, database{"us-west-2", nil}, "us-west-2"},
		{database{"", denied}, database{"us-east-1", nil}, "us-east-1"},
		{database{"us-east-1", nil}, database{"us-west-2", nil}, "refused: the Regions disagree about the writer: us-east-1 says us-east-1, us-west-2 says us-west-2"},
		{database{"", nil}, database{"", nil}, "refused: no cluster takes writes"},
		{database{"", denied}, database{"", denied}, "denied: no Region says who the writer is. us-east-1: access denied; us-west-2: access denied"},
	} {
		d := &Deployment{Settings: &settings.Settings{Environment: "dev"}, Regions: []Region{{Name: "us-east-1", Database: tt.east}, {Name: "us-west-2", Database: tt.west}}, Now: time.Now}
		got, err := d.Writer(t.Context())
		if err != nil {
			got = string(Explain(err).Kind) + ": " + err.Error()
		}
		if got != tt.want {
			t.Errorf("%q, want %q", got, tt.want)
		}
	}
}

func TestToleranceEnds(t *testing.T) {
	now, told := testNow, 0
	tolerance := newTolerance(time.Minute, func() time.Time { return now }, func(string, string) { told++ })
	silent := &Problem{KindUnreachable, "no answer"}
	if tolerance.failed("a", &Problem{KindDenied, "no"}) || told != 0 {
		t.Error("a no is tolerated")
	}
	for _, after := range []time.Duration{0, 30 * time.Second, 59 * time.Second} {
		now = testNow.Add(after)
		if !tolerance.failed("a", silent) {
			t.Errorf("not tolerated after %s", after)
		}
	}
	now = testNow.Add(time.Minute)
	if tolerance.failed("a", silent) || !tolerance.failed("b", silent) || told != 2 {
		t.Errorf("told %d times", told)
	}
	tolerance.answered("a")
	if !tolerance.failed("a", silent) {
		t.Error("an answer changes nothing")
	}
}
