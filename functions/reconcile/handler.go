package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"regexp"
	"time"

	"payments-dr/internal/payment/reconcile"
	"payments-dr/internal/payment/telemetry"
)

// wrapUp is what is left of an invocation's time when its work is broken off, so that it ends in an error that says how far
// it came, and not in silence.
const wrapUp = 5 * time.Second

// handler reconciles the session table and the ledger of one Region.
type handler struct {
	table     reconcile.Table
	ledger    reconcile.Ledger
	watermark reconcile.Watermark
	// replica is this Region if the table is eventually consistent; see reconcile.Options.
	replica string
	// standby tells whether this Region's cluster takes no writes because the other Region's does.
	standby func(context.Context) (bool, error)
	// settle is how long before now a window ends. Until then the table's index has what was accepted, and the ledger has recorded
	// most of it.
	settle time.Duration
	// step is how long the recovery plan waits for a run.
	step      time.Duration
	namespace string
	logger    *slog.Logger
	now       func() time.Time
}

// invoke is what Lambda calls. An event that asks for the role gets no reconciliation. The hourly schedule runs in both Regions,
// and RDS reports a promotion in both; in the standby there is nothing to do, because the other Region's run does it, and the
// answer says so. Whoever asks for a window of their own gets it tried in any case.
func (h *handler) invoke(ctx context.Context, payload json.RawMessage) (any, error) {
	var e struct {
		promotion
		Scheduled bool `json:"scheduled"`
		Role      bool `json:"role"`
	}
	err := json.Unmarshal(payload, &e)
	if err == nil && e.Role {
		return h.role(ctx), nil
	}
	standby := false
	switch {
	case err != nil: // handle says what is wrong
	case e.Scheduled:
		if standby, err = h.standby(ctx); err != nil {
			return nil, fmt.Errorf("find out whether this Region is the standby: %w", err)
		}
	case e.Promotion:
		standby = h.promotedElsewhere(ctx, e.promotion)
	}
	if standby {
		h.logger.LogAttrs(ctx, slog.LevelInfo, "standby", telemetry.Counts(h.namespace, "reconcile", h.now(), telemetry.MetricReconcileRuns)...)
		return map[string]bool{"standby": true}, nil
	}
	budget := h.step
	if deadline, ok := ctx.Deadline(); ok && (e.Scheduled || e.Promotion) { // nobody waits for it
		budget = deadline.Sub(h.now())
	}
	return h.handle(ctx, payload, budget/2)
}

// promotion is the event of a rule about RDS's promotion events.
type promotion struct {
	Promotion bool `json:"promotion"`
	// Cluster is this Region's, and Message what RDS reports.
	Cluster string `json:"cluster"`
	Message string `json:"message"`
}

// promotedCluster finds the promoted cluster in a message: "Global switchover to DB cluster name in Region name finished.",
// "Global failover to DB cluster name in Region name completed." ("Amazon RDS event categories and event messages for Aurora",
// Amazon Aurora User Guide).
var promotedCluster = regexp.MustCompile(`\bto DB cluster (\S+) in Region `)

// promotedElsewhere tells whether a promotion is not this Region's. A switchover emits RDS-EVENT-0185 in both Regions. The message
// decides, because the promoted database may not answer as the writer yet; only a message of another form leaves it to the
// database. In doubt the Region reconciles: that costs nothing, and a promotion without a reconciliation does.
func (h *handler) promotedElsewhere(ctx context.Context, p promotion) bool {
	if p.Message == "" {
		return false
	}
	if found := promotedCluster.FindStringSubmatch(p.Message); found != nil && p.Cluster != "" {
		return found[1] != p.Cluster
	}
	standby, err := h.standby(ctx)
	return err == nil && standby
}

// role tells whether the database takes writes: as its answer, and as metrics that alarms of both Regions stand on. A database that
// does not answer is no error of the function's but what it has found out; the alarm on it comes from the metric.
func (h *handler) role(ctx context.Context) map[string]bool {
	reader, err := h.standby(ctx)
	if err != nil {
		h.logger.LogAttrs(ctx, slog.LevelError, "role", append([]slog.Attr{slog.String("error", err.Error())},
			telemetry.Values(h.namespace, "reconcile", h.now(), map[string]int{telemetry.MetricDatabaseUnreachable: 1})...)...)
		return map[string]bool{"unreachable": true}
	}
	metrics := map[string]int{telemetry.MetricDatabaseUnreachable: 0, telemetry.MetricDatabaseReader: 0}
	if reader {
		metrics[telemetry.MetricDatabaseReader] = 1
	} else if mark, err := h.watermark.ReconciledTo(ctx); err == nil && !mark.IsZero() {
		metrics[telemetry.MetricUnreconciledSeconds] = int(h.now().Sub(mark).Seconds())
	}
	h.logger.LogAttrs(ctx, slog.LevelInfo, "role", telemetry.Values(h.namespace, "reconcile", h.now(), metrics)...)
	return map[string]bool{"reader": reader}
}

// handle answers with the report. Without a window in the event, the window begins before the watermark, and after an outage it may be
// long: the run then begins nothing new after stopAfter, and the next one goes on. Its error says that the event asks for no window, or that the window could not be
// reconciled to its end; payments that are missing or in conflict are a result.
func (h *handler) handle(ctx context.Context, payload json.RawMessage, stopAfter time.Duration) (reconcile.Report, error) {
	now := h.now().UTC()
	end := now.Add(-h.settle)
	window, dryRun, err := parseEvent(payload, now, end)
	if err != nil {
		return reconcile.Report{}, fmt.Errorf("read event: %w", err)
	}
	options := reconcile.Options{DryRun: dryRun, Now: h.now, Replica: h.replica, Watermark: h.watermark}
	if window == (reconcile.Window{}) {
		if window, err = reconcile.Next(ctx, h.watermark, end); err != nil {
			return reconcile.Report{}, err
		}
		options.StopAfter = stopAfter
	}
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, deadline.Add(-wrapUp))
		defer cancel()
	}
	report, err := reconcile.Run(ctx, h.table, h.ledger, window, options)
	h.log(ctx, report)
	if err != nil {
		return report, fmt.Errorf("done up to %s: %w", report.DoneUpTo.Format(time.RFC3339Nano), err)
	}
	return report, nil
}

// log writes one line about a run. It has no examples: their ids are clients' own, and may hold what no log should. A run that
// did not come to its end gives no metrics: the numbers of half a window would pass for those of a whole one.
func (h *handler) log(ctx context.Context, report reconcile.Report) {
	attributes := []slog.Attr{
		slog.Time("from", report.From),
		slog.Time("to", report.To),
		slog.Bool("dryRun", report.DryRun),
		slog.Bool("complete", report.Complete),
		slog.Bool("clean", report.Clean()),
		slog.Time("doneUpTo", report.DoneUpTo),
		slog.Any("counts", report.Counts),
		slog.Any("sums", report.Sums),
		slog.Int64("durationMs", report.DurationMilliseconds),
	}
	level := slog.LevelInfo
	switch {
	case !report.Complete:
		level = slog.LevelError
	case !report.Clean() || report.Counts.Missing > 0:
		level = slog.LevelWarn
	}
	if report.Complete {
		clean := 0
		if report.Clean() {
			clean = 1
		}
		attributes = append(attributes, telemetry.Values(h.namespace, "reconcile", h.now(), map[string]int{
			telemetry.MetricReconcileRuns:          1,
			telemetry.MetricReconcileTablePayments: report.Counts.Table,
			telemetry.MetricReconcileMissing:       report.Counts.Missing,
			telemetry.MetricReconcileRepaired:      report.Counts.Repaired,
			telemetry.MetricReconcileConflicting:   report.Counts.Conflicting,
			telemetry.MetricReconcileDiffering:     report.Counts.Differing,
			telemetry.MetricReconcileUnaccounted:   report.Counts.Unaccounted,
			telemetry.MetricReconcileUnreadable:    report.Counts.Unreadable,
			telemetry.MetricReconcileClean:         clean,
		})...)
	}
	h.logger.LogAttrs(ctx, level, "reconcile", attributes...)
}
