// Package telemetry is how the functions tell what they did: one JSON line a request, which is log and metric at once.
package telemetry

import (
	"log/slog"
	"maps"
	"slices"
	"time"
)

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
	MetricReconcileUnreadable    = "ReconcileUnreadable"
	// MetricReconcileClean is the run's own verdict, 1 or 0. The counters do not tell: a payment that the ledger recorded while the
	// run looked for it is missing, not repaired, and no fault.
	MetricReconcileClean = "ReconcileClean"
	// MetricReconcileRuns counts runs that came to their end, those too that found the standby and had nothing to do.
	MetricReconcileRuns = "ReconcileRuns"
)

// Reconcile's metrics of the Region's database, every minute.
const (
	// MetricDatabaseUnreachable is 1 if the database did not answer whether it takes writes, otherwise 0.
	MetricDatabaseUnreachable = "DatabaseUnreachable"
	// MetricDatabaseReader is 1 if it takes none, because the other Region's does, otherwise 0. It is missing while the database is
	// unreachable.
	MetricDatabaseReader = "DatabaseReader"
	// MetricUnreconciledSeconds is how long ago the moment is up to which payments are reconciled. Only the writer's Region has it.
	MetricUnreconciledSeconds = "UnreconciledSeconds"
)

// The canary's metrics. They have no ids and no Regions in them: CloudWatch keeps each Region's canary apart.
const (
	// MetricCanaryPaymentSucceeded is 1 if the run's test payment was accepted through the public name and read back, and
	// MetricCanaryPaymentFailed is 1 if not; the other is 0.
	MetricCanaryPaymentSucceeded = "CanaryPaymentSucceeded"
	MetricCanaryPaymentFailed    = "CanaryPaymentFailed"
	// MetricCanaryPaymentLatency is how long the acceptance of a payment that succeeded took, attempts that failed included,
	// in milliseconds.
	MetricCanaryPaymentLatency = "CanaryPaymentLatency"
	// MetricAnsweredHere is 1 if the canary's own Region answered the payment, MetricAnsweredElsewhere if another did. Both are
	// 0 if nobody did.
	MetricAnsweredHere      = "AnsweredHere"
	MetricAnsweredElsewhere = "AnsweredElsewhere"
	// MetricOtherRegionUnreachable is 1 if two or more of the run's three health probes of the other Region failed, else 0.
	MetricOtherRegionUnreachable = "OtherRegionUnreachable"
)

// The metrics of the validation of restore tests, all counts of restored resources.
const (
	// MetricRestoresProven counts those whose data were found to be what they should be.
	MetricRestoresProven = "RestoresProven"
	// MetricRestoresFailed counts those that were not, or that could not be looked at in time.
	MetricRestoresFailed = "RestoresFailed"
)

// Counts are log attributes that CloudWatch Logs turns into metrics, each a count of one. They are Values otherwise.
func Counts(namespace, function string, at time.Time, names ...string) []slog.Attr {
	values := make(map[string]int, len(names))
	for _, name := range names {
		values[name] = 1
	}
	return Values(namespace, function, at, values)
}

// Values are log attributes that CloudWatch Logs turns into metrics, each of the unit Count. They are Metrics otherwise.
func Values(namespace, function string, at time.Time, values map[string]int) []slog.Attr {
	metrics := make([]Metric, 0, len(values))
	for _, name := range slices.Sorted(maps.Keys(values)) {
		metrics = append(metrics, Metric{Name: name, Unit: UnitCount, Value: float64(values[name])})
	}
	return Metrics(namespace, function, at, metrics...)
}

// The units of metrics ("MetricDatum", Amazon CloudWatch API Reference).
const (
	UnitCount        = "Count"
	UnitMilliseconds = "Milliseconds"
)

// Metric is one value of a metric.
type Metric struct {
	Name  string
	Unit  string
	Value float64
}

// Metrics are log attributes that CloudWatch Logs turns into metrics, in the embedded metric format ("Specification: Embedded
// metric format", Amazon CloudWatch User Guide). They go at the root of a log line.
func Metrics(namespace, function string, at time.Time, metrics ...Metric) []slog.Attr {
	definitions := make([]metricDefinition, len(metrics))
	attributes := make([]slog.Attr, 0, len(metrics)+2)
	for i, metric := range metrics {
		definitions[i] = metricDefinition{Name: metric.Name, Unit: metric.Unit}
		attributes = append(attributes, slog.Float64(metric.Name, metric.Value))
	}
	return append(attributes,
		slog.String(DimensionFunction, function),
		slog.Any("_aws", metadata{
			Timestamp: at.UnixMilli(),
			CloudWatchMetrics: []metricDirective{{
				Namespace: namespace, Dimensions: [][]string{{DimensionFunction}}, Metrics: definitions,
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
