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

// Counts are log attributes that CloudWatch Logs turns into metrics, each a count of one, in the embedded metric format
// ("Specification: Embedded metric format", Amazon CloudWatch User Guide). They go at the root of a log line.
func Counts(namespace, function string, at time.Time, names ...string) []slog.Attr {
	values := make(map[string]int, len(names))
	for _, name := range names {
		values[name] = 1
	}
	return Values(namespace, function, at, values)
}

// Values are log attributes like those of Counts, with a count for each name.
func Values(namespace, function string, at time.Time, values map[string]int) []slog.Attr {
	metrics := make([]metricDefinition, 0, len(values))
	attributes := make([]slog.Attr, 0, len(values)+2)
	for _, name := range slices.Sorted(maps.Keys(values)) {
		metrics = append(metrics, metricDefinition{Name: name, Unit: "Count"})
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
