// Package telemetry is how the functions tell what they did: one JSON line a request, which is log and metric at once.
package telemetry

import (
	"log/slog"
	"maps"
	"slices"
	"time"
)

// NamespaceVariable is the environment variable that holds the namespace of a function's metrics.
const NamespaceVariable = "METRICS_NAMESPACE"

// DimensionFunction is the one dimension of the functions' own metrics: the function's name within the platform, such as
// "processor". CloudWatch keeps each Region's metrics apart by itself.
const DimensionFunction = "Function"

// The processor's metrics, all counts.
const (
	MetricPaymentsAccepted = "PaymentsAccepted"
	MetricPaymentsReplayed = "PaymentsReplayed"
	// MetricRequestsInvalid counts requests that the contract refuses for what they say.
	MetricRequestsInvalid = "RequestsInvalid"
	// MetricPaymentsConflicting counts requests whose identity belongs to a payment of another amount.
	MetricPaymentsConflicting = "PaymentsConflicting"
	// MetricTableUnavailable counts requests that the table could not serve, health checks included.
	MetricTableUnavailable = "TableUnavailable"
	// MetricInternalErrors counts answers with status 500.
	MetricInternalErrors = "InternalErrors"
)

// The relay's metrics, all counts of a stream's records.
const (
	// MetricRelayForwarded counts records whose event the bus has taken.
	MetricRelayForwarded = "RelayForwarded"
	// MetricRelayFailed counts records that an invocation could not forward. A record is counted each time it is tried.
	MetricRelayFailed = "RelayFailed"
	// MetricRelaySkipped counts records that the event source mapping's filter should have kept back.
	MetricRelaySkipped = "RelaySkipped"
)

// The ledger function's metrics, all counts.
const (
	// MetricLedgerRecorded counts payments that were written to the ledger.
	MetricLedgerRecorded = "LedgerRecorded"
	// MetricLedgerDuplicates counts payments that it had already.
	MetricLedgerDuplicates = "LedgerDuplicates"
	// MetricLedgerConflicts counts identities that it has with another amount or currency.
	MetricLedgerConflicts = "LedgerConflicts"
	// MetricLedgerMalformed counts messages that are no payment, or one that the database refuses.
	MetricLedgerMalformed = "LedgerMalformed"
	// MetricLedgerUnavailable counts batches, or what was left of them, that the database could not serve.
	MetricLedgerUnavailable = "LedgerUnavailable"
)

// Reconcile's metrics: numbers of payments of the window of one run that came to its end.
const (
	MetricReconcileTablePayments = "ReconcileTablePayments"
	MetricReconcileMissing       = "ReconcileMissing"
	MetricReconcileRepaired      = "ReconcileRepaired"
	MetricReconcileConflicting   = "ReconcileConflicting"
	MetricReconcileDiffering     = "ReconcileDiffering"
	MetricReconcileUnaccounted   = "ReconcileUnaccounted"
	// MetricReconcileRuns counts runs that came to their end, those too that found the standby and had nothing to do.
	MetricReconcileRuns = "ReconcileRuns"
)

// Reconcile's metrics of the Region's database, each 1 or 0 every minute.
const (
	// MetricDatabaseUnreachable is 1 if the database did not answer whether it takes writes.
	MetricDatabaseUnreachable = "DatabaseUnreachable"
	// MetricDatabaseReader is 1 if it takes none, because the other Region's does. It is missing while the database is unreachable.
	MetricDatabaseReader = "DatabaseReader"
)

// The canary's metrics, each minute.
const (
	// MetricCanaryPaymentSucceeded counts payments that went as they should.
	MetricCanaryPaymentSucceeded = "CanaryPaymentSucceeded"
	// MetricCanaryPaymentFailed counts payments that did not.
	MetricCanaryPaymentFailed = "CanaryPaymentFailed"
	// MetricCanaryPaymentLatency is how long a payment took that succeeded, in milliseconds.
	MetricCanaryPaymentLatency = "CanaryPaymentLatency"
	// MetricOtherRegionUnreachable is 1 if the other Region's API did not answer, and otherwise 0.
	MetricOtherRegionUnreachable = "OtherRegionUnreachable"
)

// Counts are log attributes that CloudWatch Logs turns into metrics, each a count of one. They are Values otherwise.
func Counts(namespace, function string, at time.Time, names ...string) []slog.Attr {
	values := make(map[string]int, len(names))
	for _, name := range names {
		values[name] = 1
	}
	return Values(namespace, function, at, values)
}

// Values are log attributes that CloudWatch Logs turns into metrics, each of the unit Count, in the embedded metric format
// ("Specification: Embedded metric format", Amazon CloudWatch User Guide). They go at the root of a log line.
func Values(namespace, function string, at time.Time, values map[string]int) []slog.Attr {
	names := slices.Sorted(maps.Keys(values))
	metrics := make([]metricDefinition, len(names))
	attributes := make([]slog.Attr, 0, len(names)+2)
	for i, name := range names {
		metrics[i] = metricDefinition{Name: name, Unit: "Count"}
		attributes = append(attributes, slog.Int(name, values[name]))
	}
	return append(attributes,
		slog.String(DimensionFunction, function),
		slog.Any("_aws", metadata{
			Timestamp: at.UnixMilli(),
			CloudWatchMetrics: []metricDirective{{
				Namespace: namespace, Dimensions: [][]string{{DimensionFunction}}, Metrics: metrics,
			}},
		}))
}

type metadata struct {
	Timestamp         int64
	CloudWatchMetrics []metricDirective
}

type metricDirective struct {
	Namespace  string
	Dimensions [][]string
	Metrics    []metricDefinition
}

type metricDefinition struct{ Name, Unit string }
