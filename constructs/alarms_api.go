package constructs

import (
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2/awslogs"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"

	"payments-dr/internal/settings"
)

// metricAPIThrottled counts the requests that the API itself refused because there were too many. It has no dimensions: it comes
// from a metric filter, which can take them from the log line alone.
const metricAPIThrottled = "ApiThrottled"

// newAPIAlarms makes the alarms on a Region's payment API.
//
// The shares are of all requests, and Route 53's health checks are among them, several a second. What they thin out is seen by the
// canary, whose payments go the whole way.
func newAPIAlarms(scope constructs.Construct, s *settings.Settings) {
	newAlarm(scope, s, alarm{
		name: "api-errors", section: "API errors",
		says: "The payment API answers with errors of its own (5xx).",
		of:   apiMetric(s, "5XXError", average), is: above, threshold: float64(s.Alarms.APIErrorPercent) / 100, periods: 5, points: 3, missing: missingIsGood,
	})
	newAlarm(scope, s, alarm{
		name: "api-slow", section: "API slow",
		says: "The slowest of a hundred answers of the payment API takes too long.",
		of:   apiMetric(s, "Latency", p99), is: above, threshold: float64(s.Alarms.APILatencyMilliseconds), periods: 5, missing: missingIsGood,
	})
	newAlarm(scope, s, alarm{
		name: "api-throttled", section: "API throttled",
		says: "The payment API refuses payments because there are more than the settings or the account allow.",
		of:   metric{MetricsNamespace(s), metricAPIThrottled, nil, sum, 5 * time.Minute}, is: atLeast,
		threshold: float64(s.Alarms.APIThrottledRequests), periods: 1, missing: missingIsGood,
	})
}

// newAPIThrottleMetric makes a metric of the requests that API Gateway throttles. A REST API counts them among the 4XXError, where
// they cannot be told from a client's mistakes ("Amazon API Gateway dimensions and metrics", API Gateway Developer Guide), so they are
// counted in the access log, by the kind of answer. The Web ACL's limit of one address answers 429 too and is another kind: that is
// one client's matter.
func newAPIThrottleMetric(scope constructs.Construct, s *settings.Settings, accessLogs awslogs.ILogGroup) {
	awslogs.NewCfnMetricFilter(scope, text("Throttled"), &awslogs.CfnMetricFilterProps{
		FilterName: text("payment-" + s.Environment + "-api-throttled"), LogGroupName: accessLogs.LogGroupName(),
		FilterPattern: text(`{ $.responseType = "THROTTLED" }`),
		MetricTransformations: []*awslogs.CfnMetricFilter_MetricTransformationProperty{{
			MetricNamespace: text(MetricsNamespace(s)), MetricName: text(metricAPIThrottled), MetricValue: text("1"), DefaultValue: jsii.Number(0), Unit: text("Count"),
		}},
	})
}
