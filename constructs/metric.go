package constructs

import (
	"fmt"
	"time"

	"payments-dr/internal/payment/telemetry"
	"payments-dr/internal/settings"
)

// metric is one series of CloudWatch, for an alarm or a graph. A metric under a name or with dimensions that no service
// sends is no error anywhere, only an alarm that never sees data; so each service's metrics are made in one function below, which
// names the page that documents them, and a test holds every alarm and graph against those pages.
type metric struct {
	namespace, name string
	dimensions      []dimension
	// statistic is Sum, Average, Maximum, Minimum, SampleCount or a percentile such as p99.
	statistic string
	period    time.Duration
}

type dimension struct{ name, value string }

// The statistics that are used.
const (
	sum     = "Sum"
	average = "Average"
	maximum = "Maximum"
	minimum = "Minimum"
	samples = "SampleCount"
	p99     = "p99"
)

// every is the same metric over another period.
func (m metric) every(period time.Duration) metric {
	m.period = period
	return m
}

// apiMetric is a metric of the payment API ("Amazon API Gateway dimensions and metrics", API Gateway Developer Guide: by
// ApiName and Stage). The average of 5XXError is the share of requests.
func apiMetric(s *settings.Settings, name, statistic string) metric {
	return metric{"AWS/ApiGateway", name, []dimension{{"ApiName", s.APIGatewayName()}, {"Stage", StageName}}, statistic, time.Minute}
}

// functionMetric is a metric of a function by its full name ("Types of metrics for Lambda functions", AWS Lambda Developer Guide).
func functionMetric(function, name, statistic string) metric {
	return metric{"AWS/Lambda", name, []dimension{{"FunctionName", function}}, statistic, time.Minute}
}

// queueMetric is a metric of a queue by its full name ("Available CloudWatch metrics for Amazon SQS", SQS Developer Guide).
func queueMetric(queue, name, statistic string) metric {
	return metric{"AWS/SQS", name, []dimension{{"QueueName", queue}}, statistic, time.Minute}
}

// ruleMetric is a metric of a rule. A rule of the account's default bus is known by its name alone, one of another bus by both
// names ("Monitoring Amazon EventBridge", Amazon EventBridge User Guide).
func ruleMetric(bus, rule, name, statistic string) metric {
	m := metric{"AWS/Events", name, []dimension{{"RuleName", rule}}, statistic, time.Minute}
	if bus != "" {
		m.dimensions = append([]dimension{{"EventBusName", bus}}, m.dimensions...)
	}
	return m
}

// instanceMetric is a metric of one instance of the database ("Amazon CloudWatch metrics for Amazon Aurora" and "Amazon
// CloudWatch dimensions for Aurora", Amazon Aurora User Guide).
func instanceMetric(instance, name, statistic string) metric {
	return metric{"AWS/RDS", name, []dimension{{"DBInstanceIdentifier", instance}}, statistic, time.Minute}
}

// clusterMetric is a metric of all instances of a Region's cluster together; see instanceMetric.
func clusterMetric(s *settings.Settings, region settings.Region, name, statistic string) metric {
	return metric{"AWS/RDS", name, []dimension{{"DBClusterIdentifier", ClusterIdentifier(s, region)}}, statistic, time.Minute}
}

// tableMetric is a metric of the session table's replica in the alarm's own Region ("DynamoDB metrics and dimensions", Amazon
// DynamoDB Developer Guide).
func tableMetric(s *settings.Settings, name, statistic string, more ...dimension) metric {
	return metric{"AWS/DynamoDB", name, append([]dimension{{"TableName", SessionTableName(s)}}, more...), statistic, time.Minute}
}

// ownMetric is one of the functions' own metrics; see package telemetry. function is its short name.
func ownMetric(s *settings.Settings, function, name, statistic string) metric {
	return metric{MetricsNamespace(s), name, []dimension{{telemetry.DimensionFunction, function}}, statistic, time.Minute}
}

// backupQuery is a metric of the account's backups of a kind of resource ("Monitoring AWS Backup metrics with CloudWatch", AWS Backup
// Developer Guide). By query, because the page names the dimensions and not their sets; by the largest of what is found, because a sum
// would count a job once for each set.
func backupQuery(kind, name string) string {
	return query("MAX", name, "AWS/Backup", "ResourceType", kind)
}

// healthCheckMetric is a metric of a health check. Route 53 sends them to us-east-1 alone ("Monitoring health checks using
// CloudWatch", Amazon Route 53 Developer Guide).
func healthCheckMetric(healthCheckID, name, statistic string) metric {
	return metric{"AWS/Route53", name, []dimension{{"HealthCheckId", healthCheckID}}, statistic, time.Minute}
}

// A query asks Metrics Insights for one series over all metrics of a name whose dimension has a value, whichever other dimensions
// they have besides ("CloudWatch Metrics Insights queries", Amazon CloudWatch User Guide).
func query(statistic, name, namespace, dimension, value string) string {
	return fmt.Sprintf(`SELECT %s(%s) FROM "%s" WHERE %s = '%s'`, statistic, name, namespace, dimension, value)
}

// replicationLagQuery is how far a Region's cluster is behind the writer's, in milliseconds. It has data only while the cluster is
// a secondary of the global database. Asked by query because the page that names the metric ("Amazon CloudWatch metrics for Amazon
// Aurora", Amazon Aurora User Guide) does not say which dimensions it has besides the cluster.
func replicationLagQuery(s *settings.Settings, region settings.Region) string {
	return query("MAX", "AuroraGlobalDBRPOLag", "AWS/RDS", "DBClusterIdentifier", ClusterIdentifier(s, region))
}

// tableSumQuery adds up a metric of the session table that DynamoDB keeps by operation.
func tableSumQuery(s *settings.Settings, name string) string {
	return query("SUM", name, "AWS/DynamoDB", "TableName", SessionTableName(s))
}
