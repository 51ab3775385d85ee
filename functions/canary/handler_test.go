package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"strings"
	"testing"
	"time"

	"payments-dr/internal/payment/canary"
)

const here, there = "us-east-1", "us-west-2"

// told is a canary's line of the log, as CloudWatch reads it.
type told struct {
	level      string
	metrics    map[string]float64
	units      map[string]string
	namespace  string
	dimensions string
	function   string
}

func read(t *testing.T, line []byte) told {
	t.Helper()
	var structure struct {
		Level    string
		Function string
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
	if err := errors.Join(json.Unmarshal(line, &structure), json.Unmarshal(line, &values)); err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	if len(structure.AWS.CloudWatchMetrics) != 1 {
		t.Fatalf("no metrics: %s", line)
	}
	directive := structure.AWS.CloudWatchMetrics[0]
	got := told{level: structure.Level, function: structure.Function, namespace: directive.Namespace, metrics: map[string]float64{}, units: map[string]string{}}
	for _, set := range directive.Dimensions {
		got.dimensions += strings.Join(set, ",") + ";"
	}
	for _, metric := range directive.Metrics {
		got.metrics[metric.Name], got.units[metric.Name] = values[metric.Name].(float64), metric.Unit
	}
	return got
}

func TestMetrics(t *testing.T) {
	paid := canary.Payment{Succeeded: true, AnsweredBy: here, Attempts: 1, LatencyMilliseconds: 45.5}
	elsewhere, refused, silent := paid, paid, paid
	elsewhere.AnsweredBy = there
	refused.Succeeded, refused.Fault = false, "pay: refused"
	silent.Succeeded, silent.AnsweredBy, silent.Fault = false, "", "pay: unavailable"
	type values = map[string]float64
	for name, tt := range map[string]struct {
		report canary.Report
		want   values
		level  string
	}{
		"all well": {canary.Report{Payment: paid}, values{
			"CanaryPaymentSucceeded": 1, "CanaryPaymentFailed": 0, "CanaryPaymentLatency": 45.5, "AnsweredHere": 1, "AnsweredElsewhere": 0, "OtherRegionUnreachable": 0}, "INFO"},
		"answered elsewhere": {canary.Report{Payment: elsewhere}, values{
			"CanaryPaymentSucceeded": 1, "CanaryPaymentFailed": 0, "CanaryPaymentLatency": 45.5, "AnsweredHere": 0, "AnsweredElsewhere": 1, "OtherRegionUnreachable": 0}, "INFO"},
		"refused": {canary.Report{Payment: refused}, values{
			"CanaryPaymentSucceeded": 0, "CanaryPaymentFailed": 1, "AnsweredHere": 1, "AnsweredElsewhere": 0, "OtherRegionUnreachable": 0}, "WARN"},
		"nobody answers": {canary.Report{Payment: silent, OtherRegion: canary.Reach{Unreachable: true}}, values{
			"CanaryPaymentSucceeded": 0, "CanaryPaymentFailed": 1, "AnsweredHere": 0, "AnsweredElsewhere": 0, "OtherRegionUnreachable": 1}, "WARN"},
		"the other Region is out of reach": {canary.Report{Payment: paid, OtherRegion: canary.Reach{Unreachable: true}}, values{
			"CanaryPaymentSucceeded": 1, "CanaryPaymentFailed": 0, "CanaryPaymentLatency": 45.5, "AnsweredHere": 1, "AnsweredElsewhere": 0, "OtherRegionUnreachable": 1}, "WARN"},
	} {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			h := &handler{
				run:    func(context.Context) (canary.Report, error) { return tt.report, nil },
				region: here, namespace: "Payment/test", logger: slog.New(slog.NewJSONHandler(&log, nil)), now: time.Now,
			}
			if _, err := h.handle(t.Context()); err != nil {
				t.Fatal(err)
			}
			got := read(t, log.Bytes())
			if !maps.Equal(got.metrics, tt.want) || got.level != tt.level {
				t.Errorf("%s %v\nwant %s %v", got.level, got.metrics, tt.level, tt.want)
			}
			if got.namespace != "Payment/test" || got.dimensions != "Function;" || got.function != "canary" {
				t.Errorf("%+v", got)
			}
			for name, unit := range got.units {
				if want := map[bool]string{true: "Milliseconds", false: "Count"}[name == "CanaryPaymentLatency"]; unit != want {
					t.Errorf("%s is in %s, want %s", name, unit, want)
				}
			}
		})
	}
}

func TestARunThatCouldNotDoItsWorkIsAnErrorAndNoMetric(t *testing.T) {
	var log bytes.Buffer
	broken := errors.New("no credentials")
	h := &handler{
		run:    func(context.Context) (canary.Report, error) { return canary.Report{}, broken },
		region: here, logger: slog.New(slog.NewJSONHandler(&log, nil)), now: time.Now,
	}
	if _, err := h.handle(t.Context()); !errors.Is(err, broken) || log.Len() != 0 {
		t.Errorf("error %v, log %s", err, log.String())
	}
}
