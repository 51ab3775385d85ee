package constructs

import (
	"fmt"
	"time"

	"payments-dr/internal/assembly/dashboard"
	"payments-dr/internal/payment/telemetry"
	"payments-dr/internal/settings"
)

// section is a part of a dashboard below the first row.
type section struct {
	title  string
	graphs []graph
}

// The colours of lines across a graph.
const (
	colorObjective = "#d62728" // what is promised
	colorAlarm     = "#ff7f0e" // where an alarm begins
)

func objective(label string, value float64) dashboard.Line {
	return dashboard.Line{Label: label, Value: value, Color: colorObjective}
}

func alarmAt(value float64) dashboard.Line {
	return dashboard.Line{Label: "alarm", Value: value, Color: colorAlarm}
}

// overview are the graphs of the first row, two for each Region: are payments being taken here, and how far behind is this Region's
// copy; and below them who has the ledger, and what waits for it.
func overview(s *settings.Settings) []graph {
	rpo := time.Duration(s.Objectives.RPOMinutes) * time.Minute
	return []graph{
		{title: "payments taken", unit: "a minute", series: func(settings.Region) []plotted {
			return []plotted{
				{label: "accepted", of: ownMetric(s, "processor", telemetry.MetricPaymentsAccepted, sum)},
				{label: "failed: table", of: ownMetric(s, "processor", telemetry.MetricTableUnavailable, sum)},
				{label: "failed: our fault", of: ownMetric(s, "processor", telemetry.MetricInternalErrors, sum)},
				{label: "canary failed", of: ownMetric(s, canaryFunction, telemetry.MetricCanaryPaymentFailed, sum)},
				{label: "canary answered here", of: ownMetric(s, canaryFunction, telemetry.MetricAnsweredHere, sum)},
				{label: "canary answered elsewhere", of: ownMetric(s, canaryFunction, telemetry.MetricAnsweredElsewhere, sum)},
			}
		}},
		{
			title: "behind the writer", unit: "milliseconds",
			lines: []dashboard.Line{
				objective(fmt.Sprintf("RPO %d min", s.Objectives.RPOMinutes), float64(rpo.Milliseconds())),
				alarmAt(float64((time.Duration(s.Alarms.ReplicationLagSeconds) * time.Second).Milliseconds())),
			},
			series: func(region settings.Region) []plotted {
				return []plotted{{label: "database; no data: it is the writer", query: replicationLagQuery(s, region)}}
			},
		},
		{title: "role and reach", view: dashboard.SingleValue, series: func(settings.Region) []plotted {
			return []plotted{
				{label: "1: reader, 0: writer", of: ownMetric(s, "reconcile", telemetry.MetricDatabaseReader, maximum)},
				{label: "1: database unreachable", of: ownMetric(s, "reconcile", telemetry.MetricDatabaseUnreachable, maximum)},
				{label: "1: other Region unreachable", of: ownMetric(s, canaryFunction, telemetry.MetricOtherRegionUnreachable, maximum)},
			}
		}},
		{
			title: "waits for the ledger", unit: "seconds",
			lines: []dashboard.Line{
				objective(fmt.Sprintf("RTO %d min", s.Objectives.RTOMinutes), (time.Duration(s.Objectives.RTOMinutes) * time.Minute).Seconds()),
				alarmAt((time.Duration(s.Alarms.LedgerDelayMinutes) * time.Minute).Seconds()),
			},
			series: func(settings.Region) []plotted {
				return []plotted{{label: "oldest payment; standby: a buffer of hours", of: queueMetric(QueueName(s, ledgerQueue), "ApproximateAgeOfOldestMessage", maximum)}}
			},
		},
	}
}

// functionsOnDashboards are the functions that run by themselves. The others run only at deployments.
var functionsOnDashboards = []string{"processor", "relay", "ledger", "reconcile", canaryFunction, validateFunction}

// deadLettersOnDashboards are the dead-letter queues.
var deadLettersOnDashboards = []string{ledgerQueue + "-dead-letters", "relay-failures", "undelivered-events", "reconcile-failures", "canary-failures", "undelivered-notices", restoreValidation + "-failures"}

// sections are the parts below the first row, in the order of a payment's way.
func sections(s *settings.Settings) []section {
	fixed := func(all ...plotted) func(settings.Region) []plotted {
		return func(settings.Region) []plotted { return all }
	}
	functions := func(name, statistic string) func(settings.Region) []plotted {
		var all []plotted
		for _, function := range functionsOnDashboards {
			all = append(all, plotted{label: function, of: functionMetric(FunctionName(s, function), name, statistic)})
		}
		return fixed(all...)
	}
	instances := func(name, statistic string) func(settings.Region) []plotted {
		return func(region settings.Region) []plotted {
			var all []plotted
			for i := range s.Database.InstancesPerRegion {
				all = append(all, plotted{label: fmt.Sprintf("instance %d", i+1), of: instanceMetric(InstanceIdentifier(s, region, i+1), name, statistic)})
			}
			return all
		}
	}
	operations := func(name, statistic string) func(settings.Region) []plotted {
		var all []plotted
		for _, operation := range []string{"PutItem", "GetItem", "Query"} {
			all = append(all, plotted{label: operation, of: tableMetric(s, name, statistic, dimension{"Operation", operation})})
		}
		return fixed(all...)
	}
	deadLetters := func() func(settings.Region) []plotted {
		var all []plotted
		for _, name := range deadLettersOnDashboards {
			all = append(all, plotted{label: name, of: queueMetric(QueueName(s, name), "ApproximateNumberOfMessagesVisible", maximum)})
		}
		return fixed(all...)
	}
	bus := EventBusName(s)
	queue := QueueName(s, ledgerQueue)
	backups := func(names ...[2]string) func(settings.Region) []plotted {
		var all []plotted
		for _, kind := range []string{"Aurora", "DynamoDB"} {
			for _, n := range names {
				all = append(all, plotted{label: kind + " " + n[1], query: backupQuery(kind, n[0])})
			}
		}
		return fixed(all...)
	}
	return []section{
		{"API", []graph{
			{title: "requests", unit: "a minute", series: fixed(plotted{label: "all, health checks too", of: apiMetric(s, "Count", sum)})},
			{title: "answers 5xx", unit: "share", lines: []dashboard.Line{alarmAt(float64(s.Alarms.APIErrorPercent) / 100)},
				series: fixed(plotted{label: "5xx", of: apiMetric(s, "5XXError", average)})},
			{title: "latency", unit: "milliseconds", lines: []dashboard.Line{alarmAt(float64(s.Alarms.APILatencyMilliseconds))}, series: fixed(
				plotted{label: "p99", of: apiMetric(s, "Latency", p99)}, plotted{label: "p50", of: apiMetric(s, "Latency", "p50")},
				plotted{label: "canary", of: ownMetric(s, canaryFunction, telemetry.MetricCanaryPaymentLatency, average)})},
			{title: "refused", unit: "a minute", series: fixed(
				plotted{label: "throttled", of: metric{MetricsNamespace(s), metricAPIThrottled, nil, sum, time.Minute}},
				plotted{label: "4xx, all", of: apiMetric(s, "4XXError", sum)},
				plotted{label: "invalid", of: ownMetric(s, "processor", telemetry.MetricRequestsInvalid, sum)})},
		}},
		{"Functions", []graph{
			{title: "errors", unit: "a minute", series: functions("Errors", sum)},
			{title: "throttled", unit: "a minute", series: functions("Throttles", sum)},
			{title: "duration, slowest of a hundred", unit: "milliseconds", series: functions("Duration", p99)},
			{title: "at once", unit: "invocations", series: functions("ConcurrentExecutions", maximum)},
		}},
		{"Bus and queues", []graph{
			{title: "relay: age in the stream", unit: "milliseconds", lines: []dashboard.Line{alarmAt(float64((time.Duration(s.Alarms.RelayDelaySeconds) * time.Second).Milliseconds()))},
				series: fixed(plotted{label: "oldest record", of: functionMetric(FunctionName(s, "relay"), "IteratorAge", maximum)})},
			{title: "rules", unit: "a minute", series: fixed(
				plotted{label: "forwarded", of: ruleMetric(bus, bus+"-forward", "Invocations", sum)},
				plotted{label: "to the ledger", of: ruleMetric(bus, bus+"-ledger", "Invocations", sum)},
				plotted{label: "forward failed", of: ruleMetric(bus, bus+"-forward", "FailedInvocations", sum)},
				plotted{label: "ledger failed", of: ruleMetric(bus, bus+"-ledger", "FailedInvocations", sum)})},
			{title: "payments waiting for the ledger", unit: "messages", lines: []dashboard.Line{alarmAt(float64(s.Alarms.LedgerBacklogMessages))},
				series: fixed(plotted{label: "in the queue", of: queueMetric(queue, "ApproximateNumberOfMessagesVisible", maximum)})},
			{title: "dead letters", unit: "messages", lines: []dashboard.Line{alarmAt(1)}, series: deadLetters()},
			{title: "ledger", unit: "a minute", series: fixed(
				plotted{label: "recorded", of: ownMetric(s, "ledger", telemetry.MetricLedgerRecorded, sum)},
				plotted{label: "there already", of: ownMetric(s, "ledger", telemetry.MetricLedgerDuplicates, sum)},
				plotted{label: "in conflict", of: ownMetric(s, "ledger", telemetry.MetricLedgerConflicts, sum)},
				plotted{label: "database away", of: ownMetric(s, "ledger", telemetry.MetricLedgerUnavailable, sum)})},
			{title: "reconciliation", unit: "payments", series: fixed(
				plotted{label: "missing", of: ownMetric(s, "reconcile", telemetry.MetricReconcileMissing, maximum)},
				plotted{label: "conflicting", of: ownMetric(s, "reconcile", telemetry.MetricReconcileConflicting, maximum)},
				plotted{label: "unaccounted", of: ownMetric(s, "reconcile", telemetry.MetricReconcileUnaccounted, maximum)},
				plotted{label: "unreadable", of: ownMetric(s, "reconcile", telemetry.MetricReconcileUnreadable, maximum)})},
		}},
		{"Aurora", []graph{
			{title: "processors", unit: "percent", lines: []dashboard.Line{alarmAt(float64(s.Alarms.DatabaseCPUPercent))}, series: instances("CPUUtilization", average)},
			{title: "connections", unit: "connections", lines: []dashboard.Line{alarmAt(connectionThreshold(s))}, series: instances("DatabaseConnections", maximum)},
			{title: "free memory", unit: "bytes", lines: []dashboard.Line{alarmAt(freeMemoryThreshold(s))}, series: instances("FreeableMemory", minimum)},
			{title: "commits", unit: "milliseconds", series: func(region settings.Region) []plotted {
				return []plotted{{label: "latency", of: clusterMetric(s, region, "CommitLatency", average)}}
			}},
		}},
		{"Table", []graph{
			{title: "latency", unit: "milliseconds", series: operations("SuccessfulRequestLatency", average)},
			{title: "errors and throttles", unit: "a minute", series: fixed(
				plotted{label: "errors", query: tableSumQuery(s, "SystemErrors")}, plotted{label: "throttled", query: tableSumQuery(s, "ThrottledRequests")})},
			{title: "used", unit: "units a minute", series: fixed(
				plotted{label: "writes", of: tableMetric(s, "ConsumedWriteCapacityUnits", sum)}, plotted{label: "reads", of: tableMetric(s, "ConsumedReadCapacityUnits", sum)})},
			{title: "payments", unit: "a minute", series: fixed(
				plotted{label: "replayed", of: ownMetric(s, "processor", telemetry.MetricPaymentsReplayed, sum)},
				plotted{label: "conflicting", of: ownMetric(s, "processor", telemetry.MetricPaymentsConflicting, sum)})},
		}},
		{"Backups", []graph{
			{title: "backups", unit: "jobs", series: backups([2]string{"NumberOfBackupJobsCompleted", "completed"}, [2]string{"NumberOfBackupJobsFailed", "failed"})},
			{title: "copies and restores that failed", unit: "jobs", series: backups([2]string{"NumberOfCopyJobsFailed", "copies"}, [2]string{"NumberOfRestoreJobsFailed", "restores"})},
			{title: "restores that were tested", unit: "restores", series: fixed(
				plotted{label: "proven", of: ownMetric(s, validateFunction, telemetry.MetricRestoresProven, sum)},
				plotted{label: "wanting", of: ownMetric(s, validateFunction, telemetry.MetricRestoresFailed, sum)})},
			{title: "restored, to be looked into", unit: "seconds", lines: []dashboard.Line{alarmAt(restoreValidationMost.Seconds())},
				series: fixed(plotted{label: "oldest", of: queueMetric(QueueName(s, restoreValidation), "ApproximateAgeOfOldestMessage", maximum)})},
		}},
	}
}
