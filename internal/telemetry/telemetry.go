// Package telemetry is how the functions tell what they did: one JSON line a request, which is log and metric at once.
package telemetry

import (
	"log/slog"
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

// Count is a metric's name and value.
type Count struct {
	Name  string
	Value int
}

// Counts are log attributes that CloudWatch Logs turns into metrics, each a count of one, in the embedded metric format
// ("Specification: Embedded metric format", Amazon CloudWatch User Guide). They go at the root of a log line.
func Counts(namespace, function string, at time.Time, names ...string) []slog.Attr {
	counts := make([]Count, len(names))
	for i, name := range names {
		counts[i] = Count{Name: name, Value: 1}
	}
	return Values(namespace, function, at, counts...)
}

// Values are Counts of any value.
func Values(namespace, function string, at time.Time, counts ...Count) []slog.Attr {
	metrics := make([]metricDefinition, len(counts))
	attributes := make([]slog.Attr, 0, len(counts)+2)
	for i, count := range counts {
		metrics[i] = metricDefinition{Name: count.Name, Unit: "Count"}
		attributes = append(attributes, slog.Int(count.Name, count.Value))
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
