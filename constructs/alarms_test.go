package constructs_test

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"payments-dr/internal/assembly"
	"payments-dr/internal/payment/telemetry"
	"payments-dr/internal/settings"
	"payments-dr/stacks/stackstest"
)

// A metric that no service sends is no error anywhere, only an alarm that never sees data. What an alarm or a graph may use is
// therefore listed here a second time, from the services' own pages.

// documentedMetrics are the metrics that alarms and graphs may use: by namespace and name, the sets of dimensions that the service
// sends them with.
var documentedMetrics = map[string]map[string][]string{
	// "Amazon API Gateway dimensions and metrics", API Gateway Developer Guide
	"AWS/ApiGateway": {
		"5XXError": {"ApiName,Stage"}, "4XXError": {"ApiName,Stage"}, "Count": {"ApiName,Stage"}, "Latency": {"ApiName,Stage"}, "IntegrationLatency": {"ApiName,Stage"},
	},
	// "Types of metrics for Lambda functions", AWS Lambda Developer Guide
	"AWS/Lambda": {
		"Errors": {"FunctionName"}, "Throttles": {"FunctionName"}, "Duration": {"FunctionName"}, "Invocations": {"FunctionName"},
		"ConcurrentExecutions": {"FunctionName"}, "IteratorAge": {"FunctionName"},
	},
	// "Available CloudWatch metrics for Amazon SQS", Amazon SQS Developer Guide
	"AWS/SQS": {
		"ApproximateNumberOfMessagesVisible": {"QueueName"}, "ApproximateAgeOfOldestMessage": {"QueueName"},
		"NumberOfMessagesSent": {"QueueName"}, "NumberOfMessagesDeleted": {"QueueName"},
	},
	// "Monitoring Amazon EventBridge", Amazon EventBridge User Guide: with the rule alone on the default bus, with both on another
	"AWS/Events": {
		"FailedInvocations": {"RuleName", "EventBusName,RuleName"}, "InvocationsFailedToBeSentToDlq": {"RuleName", "EventBusName,RuleName"},
		"Invocations": {"RuleName", "EventBusName,RuleName"},
	},
	// "Amazon CloudWatch metrics for Amazon Aurora", "Amazon CloudWatch dimensions for Aurora", Amazon Aurora User Guide
	"AWS/RDS": {
		"CPUUtilization": {"DBInstanceIdentifier", "DBClusterIdentifier"}, "DatabaseConnections": {"DBInstanceIdentifier", "DBClusterIdentifier"},
		"FreeableMemory": {"DBInstanceIdentifier", "DBClusterIdentifier"}, "CommitLatency": {"DBInstanceIdentifier", "DBClusterIdentifier"},
		"CommitThroughput": {"DBInstanceIdentifier", "DBClusterIdentifier"}, "AuroraGlobalDBRPOLag": {"DBClusterIdentifier", "DBClusterIdentifier,SourceRegion"},
	},
	// "DynamoDB metrics and dimensions", Amazon DynamoDB Developer Guide
	"AWS/DynamoDB": {
		"SystemErrors": {"Operation,TableName"}, "ThrottledRequests": {"Operation,TableName"}, "SuccessfulRequestLatency": {"Operation,TableName"},
		"ReplicationLatency": {"ReceivingRegion,TableName"}, "ConsumedWriteCapacityUnits": {"TableName"}, "ConsumedReadCapacityUnits": {"TableName"},
	},
	// "Monitoring health checks using CloudWatch", Amazon Route 53 Developer Guide
	"AWS/Route53": {"HealthCheckStatus": {"HealthCheckId"}, "HealthCheckPercentageHealthy": {"HealthCheckId"}},
	// "Monitoring AWS Backup metrics with CloudWatch", AWS Backup Developer Guide
	"AWS/Backup": {
		"NumberOfBackupJobsCompleted": {"BackupVaultName", "ResourceType"}, "NumberOfBackupJobsFailed": {"BackupVaultName", "ResourceType"},
		"NumberOfCopyJobsFailed": {"ResourceType", "BackupVaultName"}, "NumberOfRestoreJobsFailed": {"ResourceType"},
		"NumberOfCopyJobsCompleted": {"ResourceType", "BackupVaultName"}, "NumberOfRestoreJobsCompleted": {"ResourceType"},
	},
}

// ownMetrics are the functions' own (package telemetry): which function sends which.
var ownMetrics = map[string]string{
	telemetry.MetricPaymentsAccepted: "processor", telemetry.MetricPaymentsReplayed: "processor", telemetry.MetricTableUnavailable: "processor",
	telemetry.MetricInternalErrors: "processor", telemetry.MetricRequestsInvalid: "processor", telemetry.MetricPaymentsConflicting: "processor",
	telemetry.MetricRelayForwarded: "relay", telemetry.MetricRelayFailed: "relay",
	telemetry.MetricRestoresProven: "validate", telemetry.MetricRestoresFailed: "validate",
	telemetry.MetricLedgerRecorded: "ledger", telemetry.MetricLedgerDuplicates: "ledger", telemetry.MetricLedgerConflicts: "ledger",
	telemetry.MetricLedgerMalformed: "ledger", telemetry.MetricLedgerUnavailable: "ledger",
	telemetry.MetricReconcileTablePayments: "reconcile", telemetry.MetricReconcileMissing: "reconcile", telemetry.MetricReconcileConflicting: "reconcile",
	telemetry.MetricReconcileRuns: "reconcile", telemetry.MetricReconcileDiffering: "reconcile", telemetry.MetricReconcileUnaccounted: "reconcile", telemetry.MetricReconcileUnreadable: "reconcile",
	telemetry.MetricDatabaseUnreachable: "reconcile", telemetry.MetricDatabaseReader: "reconcile", telemetry.MetricUnreconciledSeconds: "reconcile",
	telemetry.MetricCanaryPaymentFailed: "canary", telemetry.MetricCanaryPaymentSucceeded: "canary", telemetry.MetricCanaryPaymentLatency: "canary",
	telemetry.MetricOtherRegionUnreachable: "canary", telemetry.MetricAnsweredHere: "canary", telemetry.MetricAnsweredElsewhere: "canary",
}

// series is a metric as a template has it.
type series struct {
	namespace, name string
	dimensions      map[string]any
	// query tells that the dimensions are a query's condition, and so not all that the metric has.
	query bool
}

func (s series) String() string {
	return fmt.Sprintf("%s %s %s", s.namespace, s.name, stackstest.Text(s.dimensions))
}

var insightsQuery = regexp.MustCompile(`^SELECT (MAX|SUM|AVG|MIN)\((\w+)\) FROM "([\w/]+)" WHERE (\w+) = '([^']+)'$`)

// querySeries is what a query of Metrics Insights asks for.
func querySeries(expression string) (series, error) {
	parts := insightsQuery.FindStringSubmatch(expression)
	if parts == nil {
		return series{}, fmt.Errorf("query %q is not understood", expression)
	}
	return series{parts[3], parts[2], map[string]any{parts[4]: parts[5]}, true}, nil
}

// seriesOf is the metric of an alarm.
func seriesOf(alarm assembly.Resource) (series, error) {
	if metrics := assembly.List(alarm.Properties["Metrics"]); metrics != nil {
		if len(metrics) != 1 {
			return series{}, fmt.Errorf("%d metrics", len(metrics))
		}
		return querySeries(assembly.At(metrics[0], "Expression").(string))
	}
	s := series{alarm.Properties["Namespace"].(string), alarm.Properties["MetricName"].(string), map[string]any{}, false}
	for _, dimension := range assembly.List(alarm.Properties["Dimensions"]) {
		s.dimensions[assembly.At(dimension, "Name").(string)] = assembly.At(dimension, "Value")
	}
	return s, nil
}

// checkSeries says what is wrong with a metric: that no page documents it, or that it is of nothing in the Region's templates.
func checkSeries(a *assembly.Assembly, region string, s series) error {
	own := "Payment/" + a.Settings.Environment
	names := slices.Sorted(maps.Keys(s.dimensions))
	if s.namespace == own && len(names) == 0 {
		for _, v := range viewsIn(a, region) {
			for _, filter := range v.Of("AWS::Logs::MetricFilter") {
				for _, transformation := range assembly.List(filter.Properties["MetricTransformations"]) {
					if assembly.At(transformation, "MetricName") == s.name && assembly.At(transformation, "MetricNamespace") == own {
						return nil
					}
				}
			}
		}
		return fmt.Errorf("no metric filter makes it")
	}
	if s.namespace == own {
		function, ok := ownMetrics[s.name]
		if !ok {
			return fmt.Errorf("no function sends it")
		}
		if want := map[string]any{"Function": function}; stackstest.Text(s.dimensions) != stackstest.Text(want) {
			return fmt.Errorf("it is sent with %s", stackstest.Text(want))
		}
		return nil
	}
	documented, ok := documentedMetrics[s.namespace][s.name]
	if !ok {
		return fmt.Errorf("no page documents it")
	}
	matches := slices.ContainsFunc(documented, func(set string) bool {
		if s.query {
			return slices.Contains(strings.Split(set, ","), names[0])
		}
		return set == strings.Join(names, ",")
	})
	if !matches {
		return fmt.Errorf("it is sent with the dimensions %s", strings.Join(documented, " or "))
	}
	for name, value := range s.dimensions {
		if err := checkDimension(a, region, s, name, value); err != nil {
			return err
		}
	}
	return nil
}

// dimensionOf are the dimensions that name a resource: its type, and the property with the name.
var dimensionOf = map[string][2]string{
	"FunctionName": {"AWS::Lambda::Function", "FunctionName"}, "QueueName": {"AWS::SQS::Queue", "QueueName"},
	"ApiName": {"AWS::ApiGateway::RestApi", "Name"}, "Stage": {"AWS::ApiGateway::Stage", "StageName"}, "EventBusName": {"AWS::Events::EventBus", "Name"},
	"DBInstanceIdentifier": {"AWS::RDS::DBInstance", "DBInstanceIdentifier"}, "DBClusterIdentifier": {"AWS::RDS::DBCluster", "DBClusterIdentifier"},
	"BackupVaultName": {"AWS::Backup::BackupVault", "BackupVaultName"},
}

func checkDimension(a *assembly.Assembly, region string, s series, name string, value any) error {
	views := viewsIn(a, region)
	if kind, ok := dimensionOf[name]; ok {
		for _, v := range views {
			for _, resource := range v.Of(kind[0]) {
				if resource.Properties[kind[1]] == value {
					return nil
				}
			}
		}
		return fmt.Errorf("there is no %s called %s in %s", kind[0], stackstest.Text(value), region)
	}
	switch name {
	case "RuleName":
		bus := s.dimensions["EventBusName"]
		for _, v := range views {
			for _, rule := range v.Of("AWS::Events::Rule") {
				if rule.Properties["Name"] == value && (rule.Properties["EventBusName"] == nil) == (bus == nil) {
					return nil
				}
			}
		}
		return fmt.Errorf("there is no rule called %s on the bus %v in %s", stackstest.Text(value), bus, region)
	case "TableName", "ReceivingRegion":
		at := region
		if name == "ReceivingRegion" {
			at, _ = value.(string)
			if at == region {
				return fmt.Errorf("the table replicates to another Region than %s", region)
			}
		}
		for _, stack := range a.Stacks {
			for _, table := range (stackstest.View{Assembly: a, Stack: stack}).Of("AWS::DynamoDB::GlobalTable") {
				for _, replica := range assembly.List(table.Properties["Replicas"]) {
					if assembly.At(replica, "Region") == at && (name == "ReceivingRegion" || table.Properties["TableName"] == value) {
						return nil
					}
				}
			}
		}
		return fmt.Errorf("there is no replica of %s in %s", stackstest.Text(value), at)
	case "ResourceType": // of AWS Backup: a kind of resource
		if !slices.Contains([]any{"Aurora", "DynamoDB"}, value) {
			return fmt.Errorf("nothing here is a %s", stackstest.Text(value))
		}
		return nil
	case "Operation":
		if !slices.Contains([]any{"PutItem", "GetItem", "Query", "BatchGetItem"}, value) {
			return fmt.Errorf("nothing here calls %s", stackstest.Text(value))
		}
		return nil
	case "HealthCheckId":
		if region != settings.GlobalRegion {
			return fmt.Errorf("health checks have metrics in %s alone", settings.GlobalRegion)
		}
		for _, v := range views {
			for id := range v.Of("AWS::Route53::HealthCheck") {
				if stackstest.Text(value) == stackstest.Text(stackstest.GetAtt(id, "HealthCheckId")) || stackstest.Text(value) == stackstest.Text(stackstest.Ref(id)) {
					return nil
				}
			}
		}
		return fmt.Errorf("there is no health check %s", stackstest.Text(value))
	}
	return fmt.Errorf("dimension %s is not understood", name)
}

// viewsIn are an environment's stacks of a Region.
func viewsIn(a *assembly.Assembly, region string) []stackstest.View {
	var views []stackstest.View
	for _, stack := range a.Stacks {
		if stack.Region == region {
			views = append(views, stackstest.View{Assembly: a, Stack: stack})
		}
	}
	return views
}

var alarmInRule = regexp.MustCompile(`ALARM\("([^"]+)"\)`)

// operands are the alarms in a composite alarm's rule.
func operands(alarm assembly.Resource) []string {
	var names []string
	rule, _ := alarm.Properties["AlarmRule"].(string)
	for _, match := range alarmInRule.FindAllStringSubmatch(rule, -1) {
		names = append(names, match[1])
	}
	return names
}

func TestEveryAlarmMeasuresWhatIsThere(t *testing.T) {
	stackstest.EachStack(t, func(t *testing.T, v stackstest.View) {
		for name, alarm := range v.Alarms(t) {
			if alarm.Type == stackstest.CompositeAlarm {
				continue
			}
			s, err := seriesOf(alarm)
			if err == nil {
				err = checkSeries(v.Assembly, v.Stack.Region, s)
			}
			if err != nil {
				t.Errorf("%s is on %s: %v", name, s, err)
			}
			number := func(property string) float64 { n, _ := alarm.Properties[property].(float64); return n }
			if missing := alarm.Properties["TreatMissingData"]; !slices.Contains([]any{"notBreaching", "breaching", "ignore"}, missing) {
				t.Errorf("%s treats missing data as %v", name, missing)
			}
			points, some := alarm.Properties["DatapointsToAlarm"].(float64)
			if periods := number("EvaluationPeriods"); periods < 1 || some && (points < 1 || points > periods) {
				t.Errorf("%s wants %v of %v points", name, points, periods)
			}
			// "PutMetricAlarm", CloudWatch API Reference: at most a day, or a week with periods of an hour or more.
			if window := number("Period") * number("EvaluationPeriods"); window > 24*3600 && number("Period") < 3600 {
				t.Errorf("%s looks back over %v s", name, window)
			}
		}
	})
}

func TestEveryAlarmTellsTheTopicOfItsRegion(t *testing.T) {
	stackstest.EachStack(t, func(t *testing.T, v stackstest.View) {
		spoken := map[string]bool{} // alarms that a composite alarm with actions speaks for
		alarms := v.Alarms(t)
		for _, alarm := range alarms {
			for _, operand := range operands(alarm) {
				spoken[operand] = true
			}
		}
		topic := "arn:aws:sns:" + v.Stack.Region + ":" + v.Stack.Account + ":payment-" + v.Assembly.Settings.Environment + "-alerts"
		there := slices.ContainsFunc(viewsIn(v.Assembly, v.Stack.Region), func(one stackstest.View) bool {
			for _, resource := range one.Of("AWS::SNS::Topic") {
				if resource.Properties["TopicName"] == "payment-"+v.Assembly.Settings.Environment+"-alerts" {
					return true
				}
			}
			return false
		})
		if !there {
			t.Errorf("no stack makes %s", topic)
		}
		for name, alarm := range alarms {
			if alarm.Type == stackstest.MetricAlarm && spoken[name] && alarm.Properties["AlarmActions"] == nil && alarm.Properties["OKActions"] == nil {
				continue
			}
			stackstest.Same(t, name+": in alarm", alarm.Properties["AlarmActions"], []string{topic})
			stackstest.Same(t, name+": over", alarm.Properties["OKActions"], []string{topic})
			if enabled, ok := alarm.Properties["ActionsEnabled"]; ok && enabled != true {
				t.Errorf("%s has its actions switched off", name)
			}
		}
	})
}

func TestCompositeAlarmsStandOnAlarmsThatExistBefore(t *testing.T) {
	stackstest.EachStack(t, func(t *testing.T, v stackstest.View) {
		alarms, byID := v.Alarms(t), map[string]string{}
		for _, kind := range []string{stackstest.MetricAlarm, stackstest.CompositeAlarm} {
			for id, alarm := range v.Of(kind) {
				byID[id] = alarm.Properties["AlarmName"].(string)
			}
		}
		for name, alarm := range alarms {
			if alarm.Type != stackstest.CompositeAlarm {
				continue
			}
			var before []string
			for _, id := range assembly.List(alarm.DependsOn) {
				before = append(before, byID[id.(string)])
			}
			if len(operands(alarm)) < 2 {
				t.Errorf("%s stands on %v", name, operands(alarm))
			}
			for _, operand := range operands(alarm) {
				if _, ok := alarms[operand]; !ok || !slices.Contains(before, operand) {
					t.Errorf("%s stands on %s, which is not made before it", name, operand)
				}
			}
		}
	})
}

// TestEverythingHasItsAlarms goes the other way: from what is there to its alarms.
func TestEverythingHasItsAlarms(t *testing.T) {
	stackstest.Each(t, func(t *testing.T, v stackstest.View) {
		s := v.Assembly.Settings
		region := s.Both()[slices.Index(stackstest.RegionalRoles, v.Role)]
		prefix := "payment-" + s.Environment
		of := map[string]assembly.Resource{} // by metric
		for name, alarm := range v.Alarms(t) {
			if alarm.Type == stackstest.MetricAlarm {
				m, err := seriesOf(alarm)
				if err != nil {
					t.Errorf("%s: %v", name, err)
				}
				of[m.String()] = alarm
			}
		}
		on := func(namespace, name string, dimensions map[string]any) assembly.Resource {
			t.Helper()
			m := series{namespace, name, dimensions, false}
			alarm, ok := of[m.String()]
			if !ok {
				t.Errorf("there is no alarm on %s", m)
			}
			return alarm
		}
		own := func(name string) assembly.Resource {
			t.Helper()
			return on("Payment/"+s.Environment, name, map[string]any{"Function": ownMetrics[name]})
		}

		functions := 0
		for _, function := range v.Of("AWS::Lambda::Function") {
			name, _ := function.Properties["FunctionName"].(string)
			if !strings.HasPrefix(name, prefix) {
				continue // the library's own, for custom resources
			}
			functions++
			dimensions := map[string]any{"FunctionName": name}
			stackstest.Same(t, name+": errors", on("AWS/Lambda", "Errors", dimensions).Properties["Threshold"], 1)
			stackstest.Same(t, name+": throttles", on("AWS/Lambda", "Throttles", dimensions).Properties["Threshold"], 1)
			slow, _ := on("AWS/Lambda", "Duration", dimensions).Properties["Threshold"].(float64)
			if timeout := function.Properties["Timeout"].(float64) * 1000; slow < timeout/2 || slow >= timeout {
				t.Errorf("%s is slow at %v ms, its timeout is %v ms", name, slow, timeout)
			}
		}
		if functions < 5 {
			t.Errorf("%d functions", functions)
		}
		for id, queue := range v.Of("AWS::SQS::Queue") {
			dimensions := map[string]any{"QueueName": queue.Properties["QueueName"]}
			if queue.Properties["QueueName"] == prefix+"-restore-validation" {
				// Messages come and go there as they should; none grows older than all looks at it take.
				redrive := assembly.Object(queue.Properties["RedrivePolicy"])
				age := on("AWS/SQS", "ApproximateAgeOfOldestMessage", dimensions)
				all := redrive["maxReceiveCount"].(float64) * queue.Properties["VisibilityTimeout"].(float64)
				if threshold, _ := age.Properties["Threshold"].(float64); threshold <= all || threshold >= 8*3600 {
					t.Errorf("%s is behind after %v s; looked at for %v s", id, threshold, all)
				}
				continue
			}
			visible := on("AWS/SQS", "ApproximateNumberOfMessagesVisible", dimensions)
			if queue.Properties["QueueName"] == prefix+"-ledger" {
				on("AWS/SQS", "ApproximateAgeOfOldestMessage", dimensions)
				continue
			}
			stackstest.Same(t, id+": threshold", visible.Properties["Threshold"], 1)
			stackstest.Same(t, id+": comparison", visible.Properties["ComparisonOperator"], "GreaterThanOrEqualToThreshold")
		}
		for _, rule := range v.Of("AWS::Events::Rule") {
			dimensions := map[string]any{"RuleName": rule.Properties["Name"]}
			if rule.Properties["EventBusName"] != nil {
				dimensions["EventBusName"] = prefix
			}
			on("AWS/Events", "FailedInvocations", dimensions)
			on("AWS/Events", "InvocationsFailedToBeSentToDlq", dimensions)
		}
		api := map[string]any{"ApiName": prefix, "Stage": "live"}
		stackstest.Same(t, "share of errors", on("AWS/ApiGateway", "5XXError", api).Properties["Statistic"], "Average")
		stackstest.Same(t, "latency", on("AWS/ApiGateway", "Latency", api).Properties["ExtendedStatistic"], "p99")
		on("Payment/"+s.Environment, "ApiThrottled", map[string]any{})
		on("AWS/Lambda", "IteratorAge", map[string]any{"FunctionName": prefix + "-relay"})
		for _, instance := range v.Of("AWS::RDS::DBInstance") {
			dimensions := map[string]any{"DBInstanceIdentifier": instance.Properties["DBInstanceIdentifier"]}
			on("AWS/RDS", "CPUUtilization", dimensions)
			// A db.r5.large takes 1,000 connections ("Maximum connections to an Aurora MySQL DB instance") and has 16 GiB.
			stackstest.Same(t, "connections", on("AWS/RDS", "DatabaseConnections", dimensions).Properties["Threshold"], 800)
			stackstest.Same(t, "memory", on("AWS/RDS", "FreeableMemory", dimensions).Properties["Threshold"], 16<<30/10)
		}
		lag := on("AWS/RDS", "AuroraGlobalDBRPOLag", map[string]any{"DBClusterIdentifier": prefix + "-" + region.Name})
		if threshold, _ := lag.Properties["Threshold"].(float64); threshold > float64(s.Objectives.RPOMinutes)*60_000 {
			t.Errorf("the lag may be %v ms, the objective is %d minutes", threshold, s.Objectives.RPOMinutes)
		}
		on("AWS/DynamoDB", "SystemErrors", map[string]any{"TableName": prefix + "-sessions"})
		on("AWS/DynamoDB", "ThrottledRequests", map[string]any{"TableName": prefix + "-sessions"})
		replication := series{"AWS/DynamoDB", "ReplicationLatency", map[string]any{"TableName": prefix + "-sessions", "ReceivingRegion": s.Other(region).Name}, false}
		if _, ok := of[replication.String()]; ok != (s.Session.Consistency == settings.ConsistencyEventual) {
			t.Errorf("%s consistency, and an alarm on the table's replication: %v", s.Session.Consistency, ok)
		}
		for _, name := range []string{
			telemetry.MetricReconcileMissing, telemetry.MetricReconcileConflicting, telemetry.MetricReconcileUnaccounted, telemetry.MetricReconcileDiffering, telemetry.MetricReconcileUnreadable,
			telemetry.MetricReconcileRuns, telemetry.MetricUnreconciledSeconds, telemetry.MetricDatabaseReader, telemetry.MetricDatabaseUnreachable,
			telemetry.MetricCanaryPaymentFailed, telemetry.MetricCanaryPaymentLatency,
		} {
			own(name)
		}
		if _, ok := v.Alarms(t)[prefix+"-"+s.Other(region).Name+"-impaired"]; !ok {
			t.Errorf("no alarm tells in %s that %s is impaired", region.Name, s.Other(region).Name)
		}
	})
}
