package main

import (
	"context"
	"log/slog"
	"time"

	"payments-dr/internal/payment/canary"
	"payments-dr/internal/payment/telemetry"
)

// handler runs one Region's canary.
type handler struct {
	run       func(context.Context) (canary.Report, error)
	region    string
	namespace string
	logger    *slog.Logger
	now       func() time.Time
}

// handle answers with the report, whatever event it gets. Its error says that the canary could not do its work; a payment that
// fails and a Region that does not answer are what it is there to find.
func (h *handler) handle(ctx context.Context) (canary.Report, error) {
	report, err := h.run(ctx)
	if err != nil {
		return report, err
	}
	h.log(ctx, report)
	return report, nil
}

// log writes one line about a run. Its ids are the canary's own.
func (h *handler) log(ctx context.Context, report canary.Report) {
	level := slog.LevelInfo
	if !report.Payment.Succeeded || report.OtherRegion.Unreachable {
		level = slog.LevelWarn
	}
	attributes := []slog.Attr{slog.Any("payment", report.Payment), slog.Any("otherRegion", report.OtherRegion)}
	h.logger.LogAttrs(ctx, level, "canary", append(attributes, telemetry.Metrics(h.namespace, "canary", h.now(), h.metrics(report)...)...)...)
}

// metrics are the same in every run but for the latency, which only a payment that succeeded has: how long a failure took says
// how patient the canary is.
func (h *handler) metrics(report canary.Report) []telemetry.Metric {
	paid := report.Payment
	metrics := []telemetry.Metric{
		flag(telemetry.MetricCanaryPaymentSucceeded, paid.Succeeded),
		flag(telemetry.MetricCanaryPaymentFailed, !paid.Succeeded),
		flag(telemetry.MetricAnsweredHere, paid.AnsweredBy == h.region),
		flag(telemetry.MetricAnsweredElsewhere, paid.AnsweredBy != "" && paid.AnsweredBy != h.region),
		flag(telemetry.MetricOtherRegionUnreachable, report.OtherRegion.Unreachable),
	}
	if paid.Succeeded {
		metrics = append(metrics, telemetry.Metric{
			Name: telemetry.MetricCanaryPaymentLatency, Unit: telemetry.UnitMilliseconds, Value: paid.LatencyMilliseconds,
		})
	}
	return metrics
}

// flag is a count of one or of none.
func flag(name string, is bool) telemetry.Metric {
	metric := telemetry.Metric{Name: name, Unit: telemetry.UnitCount}
	if is {
		metric.Value = 1
	}
	return metric
}
