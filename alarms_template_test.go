package main

import (
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"payments-dr/internal/assembly"
	"payments-dr/internal/payment/telemetry"
	"payments-dr/internal/settings"
	"payments-dr/internal/simulation/eventbus"
	"payments-dr/stacks"
)

// The tests below are about alarms, what they tell and whom. A metric that no service sends is no error anywhere, only an alarm that
// never sees data; so what may stand in an alarm or a graph is written down here a second time, from the services' own pages.

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
	telemetry.MetricReconcileRuns: "reconcile", telemetry.MetricReconcileDiffering: "reconcile", telemetry.MetricReconcileUnaccounted: "reconcile",
	telemetry.MetricDatabaseUnreachable: "reconcile", telemetry.MetricDatabaseReader: "reconcile",
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
	return fmt.Sprintf("%s %s %s", s.namespace, s.name, text(s.dimensions))
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
			for _, filter := range v.of("AWS::Logs::MetricFilter") {
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
		if want := map[string]any{"Function": function}; text(s.dimensions) != text(want) {
			return fmt.Errorf("it is sent with %s", text(want))
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
			for _, resource := range v.of(kind[0]) {
				if resource.Properties[kind[1]] == value {
					return nil
				}
			}
		}
		return fmt.Errorf("there is no %s called %s in %s", kind[0], text(value), region)
	}
	switch name {
	case "RuleName":
		bus := s.dimensions["EventBusName"]
		for _, v := range views {
			for _, rule := range v.of("AWS::Events::Rule") {
				if rule.Properties["Name"] == value && (rule.Properties["EventBusName"] == nil) == (bus == nil) {
					return nil
				}
			}
		}
		return fmt.Errorf("there is no rule called %s on the bus %v in %s", text(value), bus, region)
	case "TableName", "ReceivingRegion":
		at := region
		if name == "ReceivingRegion" {
			at, _ = value.(string)
			if at == region {
				return fmt.Errorf("the table replicates to another Region than %s", region)
			}
		}
		for _, stack := range a.Stacks {
			for _, table := range (view{assembly: a, stack: stack}).of("AWS::DynamoDB::GlobalTable") {
				for _, replica := range assembly.List(table.Properties["Replicas"]) {
					if assembly.At(replica, "Region") == at && (name == "ReceivingRegion" || table.Properties["TableName"] == value) {
						return nil
					}
				}
			}
		}
		return fmt.Errorf("there is no replica of %s in %s", text(value), at)
	case "ResourceType": // of AWS Backup: a kind of resource
		if !slices.Contains([]any{"Aurora", "DynamoDB"}, value) {
			return fmt.Errorf("nothing here is a %s", text(value))
		}
		return nil
	case "Operation":
		if !slices.Contains([]any{"PutItem", "GetItem", "Query", "BatchGetItem"}, value) {
			return fmt.Errorf("nothing here calls %s", text(value))
		}
		return nil
	case "HealthCheckId":
		if region != settings.GlobalRegion {
			return fmt.Errorf("health checks have metrics in %s alone", settings.GlobalRegion)
		}
		for _, v := range views {
			for id := range v.of("AWS::Route53::HealthCheck") {
				if text(value) == text(getAtt(id, "HealthCheckId")) || text(value) == text(ref(id)) {
					return nil
				}
			}
		}
		return fmt.Errorf("there is no health check %s", text(value))
	}
	return fmt.Errorf("dimension %s is not understood", name)
}

// viewsIn are an environment's stacks of a Region.
func viewsIn(a *assembly.Assembly, region string) []view {
	var views []view
	for _, stack := range a.Stacks {
		if stack.Region == region {
			views = append(views, view{assembly: a, stack: stack})
		}
	}
	return views
}

// eachStack runs a test on every stack of every environment.
func eachStack(t *testing.T, test func(t *testing.T, v view)) {
	t.Helper()
	for _, env := range environments {
		for _, role := range []string{stacks.RolePrimary, stacks.RoleSecondary, stacks.RoleGlobal} {
			t.Run(env+"/"+role, func(t *testing.T) { test(t, viewOf(t, env, role)) })
		}
	}
}

const (
	metricAlarm    = "AWS::CloudWatch::Alarm"
	compositeAlarm = "AWS::CloudWatch::CompositeAlarm"
)

// alarms are a stack's alarms of both kinds, by name.
func (v view) alarms(t *testing.T) map[string]assembly.Resource {
	t.Helper()
	all := map[string]assembly.Resource{}
	for _, kind := range []string{metricAlarm, compositeAlarm} {
		for id, alarm := range v.of(kind) {
			name, _ := alarm.Properties["AlarmName"].(string)
			if _, twice := all[name]; twice || !strings.HasPrefix(name, "payment-"+v.assembly.Settings.Environment+"-") {
				t.Errorf("alarm %s is called %q", id, name)
			}
			all[name] = alarm
		}
	}
	return all
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
	eachStack(t, func(t *testing.T, v view) {
		for name, alarm := range v.alarms(t) {
			if alarm.Type == compositeAlarm {
				continue
			}
			s, err := seriesOf(alarm)
			if err == nil {
				err = checkSeries(v.assembly, v.stack.Region, s)
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
			// "PutMetricAlarm", CloudWatch API Reference: a day at the most, a week from periods of an hour up.
			if window := number("Period") * number("EvaluationPeriods"); window > 24*3600 && number("Period") < 3600 {
				t.Errorf("%s looks back over %v s", name, window)
			}
		}
	})
}

func TestEveryAlarmTellsTheTopicOfItsRegion(t *testing.T) {
	eachStack(t, func(t *testing.T, v view) {
		spoken := map[string]bool{} // alarms that a composite alarm with actions speaks for
		alarms := v.alarms(t)
		for _, alarm := range alarms {
			for _, operand := range operands(alarm) {
				spoken[operand] = true
			}
		}
		topic := "arn:aws:sns:" + v.stack.Region + ":" + v.stack.Account + ":payment-" + v.assembly.Settings.Environment + "-alerts"
		there := slices.ContainsFunc(viewsIn(v.assembly, v.stack.Region), func(one view) bool {
			for _, resource := range one.of("AWS::SNS::Topic") {
				if resource.Properties["TopicName"] == "payment-"+v.assembly.Settings.Environment+"-alerts" {
					return true
				}
			}
			return false
		})
		if !there {
			t.Errorf("no stack makes %s", topic)
		}
		for name, alarm := range alarms {
			if alarm.Type == metricAlarm && spoken[name] && alarm.Properties["AlarmActions"] == nil && alarm.Properties["OKActions"] == nil {
				continue
			}
			same(t, name+": in alarm", alarm.Properties["AlarmActions"], []string{topic})
			same(t, name+": over", alarm.Properties["OKActions"], []string{topic})
			if enabled, ok := alarm.Properties["ActionsEnabled"]; ok && enabled != true {
				t.Errorf("%s has its actions switched off", name)
			}
		}
	})
}

func TestCompositeAlarmsStandOnAlarmsThatExistBefore(t *testing.T) {
	eachStack(t, func(t *testing.T, v view) {
		alarms, byID := v.alarms(t), map[string]string{}
		for _, kind := range []string{metricAlarm, compositeAlarm} {
			for id, alarm := range v.of(kind) {
				byID[id] = alarm.Properties["AlarmName"].(string)
			}
		}
		for name, alarm := range alarms {
			if alarm.Type != compositeAlarm {
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

// runbookSections are the sections of docs/operate/alarms.md, by the anchors that a reader of Markdown gives their headings.
func runbookSections(t *testing.T) map[string]string {
	t.Helper()
	data, err := os.ReadFile(settings.RunbookFile)
	if err != nil {
		t.Fatal(err)
	}
	sections, current, code := map[string]string{}, "", false
	for line := range strings.Lines(string(data)) {
		code = code != strings.HasPrefix(line, "```")
		switch {
		case !code && strings.HasPrefix(line, "## "):
			current = anchor(strings.TrimPrefix(line, "## "))
			if _, twice := sections[current]; twice {
				t.Errorf("section %s is there twice", current)
			}
			sections[current] = ""
		case !code && strings.HasPrefix(line, "# "):
			current = ""
		case current != "":
			sections[current] += line
		}
	}
	return sections
}

// anchor is the name of a heading in a link, as GitHub makes it: in lower case, spaces as hyphens, and no other marks.
func anchor(heading string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case r == '-' || r == '_' || 'a' <= r && r <= 'z' || '0' <= r && r <= '9':
			return r
		}
		return -1
	}, strings.ToLower(strings.TrimSpace(heading)))
}

var link = regexp.MustCompile(`(\S+)#([a-z0-9-]+)"?$`)

func TestEveryAlarmLeadsToItsSection(t *testing.T) {
	sections, used := runbookSections(t), map[string]bool{"budget": true}
	eachStack(t, func(t *testing.T, v view) {
		texts := map[string]string{}
		for name, alarm := range v.alarms(t) {
			texts[name], _ = alarm.Properties["AlarmDescription"].(string)
		}
		for id, rule := range v.of("AWS::Events::Rule") {
			for _, target := range assembly.List(rule.Properties["Targets"]) {
				// What goes to a function is read by no person.
				function := v.stack.Template.Resources[assembly.Referred(assembly.At(target, "Arn"))].Type == "AWS::Lambda::Function"
				if template, ok := assembly.At(target, "InputTransformer", "InputTemplate").(string); ok && !function {
					texts[id] = template
				}
			}
		}
		base := "docs/operate/alarms.md"
		if v.assembly.Settings.Environment == envEurope {
			base = "https://runbooks.acme-bank.eu/alarms"
		}
		for name, description := range texts {
			to := link.FindStringSubmatch(description)
			if to == nil || to[1] != base || len(description) > 1024 || strings.Index(description, ". ") < 10 {
				t.Errorf("%s says %q, want a sentence and a link to %s", name, description, base)
				continue
			}
			if _, ok := sections[to[2]]; !ok {
				t.Errorf("%s leads to the section %q, which is not there", name, to[2])
			}
			used[to[2]] = true
		}
	})
	for name, section := range sections {
		if !used[name] {
			t.Errorf("no alarm leads to the section %q", name)
		}
		description, rest, ok := strings.Cut(section, "\n### Investigation\n")
		investigation, resolution, ok2 := strings.Cut(rest, "\n### Resolution\n")
		if !ok || !ok2 || !strings.HasPrefix(description, "\n### Description\n") || len(investigation) < 20 || len(resolution) < 20 {
			t.Errorf("section %q has not a description, an investigation and a resolution", name)
		}
		if !strings.Contains(description, "Missing data: ") {
			t.Errorf("section %q does not say what missing data mean", name)
		}
	}
}

func TestRunbooksLinksLeadSomewhere(t *testing.T) {
	sections := runbookSections(t)
	data, err := os.ReadFile(settings.RunbookFile)
	if err != nil {
		t.Fatal(err)
	}
	for _, match := range regexp.MustCompile(`\]\(([^)]*)\)`).FindAllStringSubmatch(string(data), -1) {
		if to, ok := strings.CutPrefix(match[1], "#"); ok {
			if _, ok := sections[to]; !ok {
				t.Errorf("a link leads to %q", match[1])
			}
		}
	}
}

// TestEverythingHasItsAlarms goes the other way: from what is there to its alarms.
func TestEverythingHasItsAlarms(t *testing.T) {
	each(t, func(t *testing.T, v view) {
		s := v.assembly.Settings
		region := s.Both()[slices.Index(regionalRoles, v.role)]
		prefix := "payment-" + s.Environment
		of := map[string]assembly.Resource{} // by metric
		for name, alarm := range v.alarms(t) {
			if alarm.Type == metricAlarm {
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
		for _, function := range v.of("AWS::Lambda::Function") {
			name, _ := function.Properties["FunctionName"].(string)
			if !strings.HasPrefix(name, prefix) {
				continue // the library's own, for custom resources
			}
			functions++
			dimensions := map[string]any{"FunctionName": name}
			same(t, name+": errors", on("AWS/Lambda", "Errors", dimensions).Properties["Threshold"], 1)
			same(t, name+": throttles", on("AWS/Lambda", "Throttles", dimensions).Properties["Threshold"], 1)
			slow, _ := on("AWS/Lambda", "Duration", dimensions).Properties["Threshold"].(float64)
			if timeout := function.Properties["Timeout"].(float64) * 1000; slow < timeout/2 || slow >= timeout {
				t.Errorf("%s is slow at %v ms, its timeout is %v ms", name, slow, timeout)
			}
		}
		if functions < 5 {
			t.Errorf("%d functions", functions)
		}
		for id, queue := range v.of("AWS::SQS::Queue") {
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
			same(t, id+": threshold", visible.Properties["Threshold"], 1)
			same(t, id+": comparison", visible.Properties["ComparisonOperator"], "GreaterThanOrEqualToThreshold")
		}
		for _, rule := range v.of("AWS::Events::Rule") {
			dimensions := map[string]any{"RuleName": rule.Properties["Name"]}
			if rule.Properties["EventBusName"] != nil {
				dimensions["EventBusName"] = prefix
			}
			on("AWS/Events", "FailedInvocations", dimensions)
			on("AWS/Events", "InvocationsFailedToBeSentToDlq", dimensions)
		}
		api := map[string]any{"ApiName": prefix, "Stage": "live"}
		same(t, "share of errors", on("AWS/ApiGateway", "5XXError", api).Properties["Statistic"], "Average")
		same(t, "latency", on("AWS/ApiGateway", "Latency", api).Properties["ExtendedStatistic"], "p99")
		on("Payment/"+s.Environment, "ApiThrottled", map[string]any{})
		on("AWS/Lambda", "IteratorAge", map[string]any{"FunctionName": prefix + "-relay"})
		for _, instance := range v.of("AWS::RDS::DBInstance") {
			dimensions := map[string]any{"DBInstanceIdentifier": instance.Properties["DBInstanceIdentifier"]}
			on("AWS/RDS", "CPUUtilization", dimensions)
			// A db.r5.large takes 1,000 connections ("Maximum connections to an Aurora MySQL DB instance") and has 16 GiB.
			same(t, "connections", on("AWS/RDS", "DatabaseConnections", dimensions).Properties["Threshold"], 800)
			same(t, "memory", on("AWS/RDS", "FreeableMemory", dimensions).Properties["Threshold"], 16<<30/10)
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
			telemetry.MetricReconcileMissing, telemetry.MetricReconcileConflicting, telemetry.MetricReconcileUnaccounted, telemetry.MetricReconcileDiffering,
			telemetry.MetricReconcileRuns, telemetry.MetricDatabaseReader, telemetry.MetricDatabaseUnreachable,
			telemetry.MetricCanaryPaymentFailed, telemetry.MetricCanaryPaymentLatency,
		} {
			own(name)
		}
		if _, ok := v.alarms(t)[prefix+"-"+s.Other(region).Name+"-impaired"]; !ok {
			t.Errorf("no alarm tells in %s that %s is impaired", region.Name, s.Other(region).Name)
		}
	})
}

func TestAlertTopic(t *testing.T) {
	eachStack(t, func(t *testing.T, v view) {
		s := v.assembly.Settings
		topics := v.of("AWS::SNS::Topic")
		regional := slices.ContainsFunc(s.Both(), func(r settings.Region) bool { return r.Name == v.stack.Region })
		if want := v.role != stacks.RoleGlobal || !regional; (len(topics) == 1) != want {
			t.Fatalf("%d topics", len(topics))
		}
		if len(topics) == 0 {
			return // that of the Region's own stack is used
		}
		topicID, topic := v.one(t, "AWS::SNS::Topic")
		keyID, key := v.keyOf(t, "")
		same(t, "key", topic.Properties["KmsMasterKeyId"], getAtt(keyID, "Arn"))

		publishers, tlsOnly := map[string]any{}, false
		_, policy := v.one(t, "AWS::SNS::TopicPolicy")
		same(t, "policy of", policy.Properties["Topics"], []any{ref(topicID)})
		for _, one := range assembly.List(assembly.At(policy.Properties["PolicyDocument"], "Statement")) {
			statement := assembly.Object(one)
			same(t, "resource", statement["Resource"], ref(topicID))
			if statement["Effect"] == "Deny" {
				tlsOnly = text(statement["Condition"]) == `{"Bool":{"aws:SecureTransport":"false"}}` && statement["Principal"] == "*"
				continue
			}
			for _, service := range services(statement) {
				publishers[service] = statement["Condition"]
			}
		}
		if !tlsOnly {
			t.Error("the topic takes messages without TLS")
		}
		account := map[string]any{"StringEquals": map[string]any{"aws:SourceAccount": v.stack.Account}}
		same(t, "who publishes, and when", publishers, map[string]any{"cloudwatch.amazonaws.com": account, "backup.amazonaws.com": account, "events.amazonaws.com": nil})

		users := map[string]any{}
		for _, one := range assembly.List(assembly.At(key.Properties["KeyPolicy"], "Statement")) {
			statement := assembly.Object(one)
			if text(statement["Action"]) == `["kms:Decrypt","kms:GenerateDataKey*"]` {
				for _, service := range services(statement) {
					users[service] = statement["Condition"]
				}
			}
		}
		same(t, "who uses the key, and when", users, map[string]any{
			"cloudwatch.amazonaws.com": account, "backup.amazonaws.com": account,
			// With a condition on the account EventBridge would lose its events.
			"events.amazonaws.com": map[string]any{"StringEquals": map[string]any{
				"kms:EncryptionContext:aws:sns:topicArn": "arn:aws:sns:" + v.stack.Region + ":" + v.stack.Account + ":payment-" + s.Environment + "-alerts",
			}},
		})

		var addresses []string
		for _, subscription := range v.of("AWS::SNS::Subscription") {
			same(t, "protocol", subscription.Properties["Protocol"], "email")
			same(t, "topic", subscription.Properties["TopicArn"], ref(topicID))
			addresses = append(addresses, subscription.Properties["Endpoint"].(string))
		}
		slices.Sort(addresses)
		if !slices.Equal(addresses, slices.Sorted(slices.Values(s.Alerts.EmailAddresses))) {
			t.Errorf("told are %v, want %v", addresses, s.Alerts.EmailAddresses)
		}
	})
}

// services are the services in a statement's principal, one or several.
func services(statement map[string]any) []string {
	return assembly.Texts(assembly.At(statement, "Principal", "Service"))
}

func TestBudgetIsForThoseWhoSetOne(t *testing.T) {
	for env, want := range map[string]int{envDev: 0, envProd: 0, envEurope: 1} {
		v := viewOf(t, env, stacks.RoleGlobal)
		if n := len(v.of("AWS::Budgets::Budget")); n != want {
			t.Fatalf("%s: %d budgets", env, n)
		}
		if want == 0 {
			continue
		}
		_, budget := v.one(t, "AWS::Budgets::Budget")
		same(t, "budget", budget.Properties["Budget"], map[string]any{
			"BudgetName": "payment-europe", "BudgetType": "COST", "TimeUnit": "MONTHLY", "BudgetLimit": map[string]any{"Amount": 4000, "Unit": "USD"},
		})
		var told []string
		for _, one := range assembly.List(budget.Properties["NotificationsWithSubscribers"]) {
			n := assembly.Object(assembly.At(one, "Notification"))
			told = append(told, fmt.Sprintf("%v %v %v", n["NotificationType"], n["ComparisonOperator"], n["Threshold"]))
			same(t, "subscribers", assembly.At(one, "Subscribers"), []any{
				map[string]any{"Address": "oncall@acme-bank.eu", "SubscriptionType": "EMAIL"}, map[string]any{"Address": "payments@acme-bank.eu", "SubscriptionType": "EMAIL"},
			})
		}
		same(t, "told at", told, []string{"ACTUAL GREATER_THAN 80", "FORECASTED GREATER_THAN 100"})
	}
}

// TestNoticesAreOfWhatFailed sends events, as the services' guides show them, through the patterns of the notices.
func TestNoticesAreOfWhatFailed(t *testing.T) {
	each(t, func(t *testing.T, v view) {
		env, region, account := v.assembly.Settings.Environment, v.stack.Region, v.stack.Account
		notices := map[string][]*eventbus.Pattern{}
		for _, name := range []string{"backup-notices", "recovery-plan-notices"} {
			rule := v.named(t, "AWS::Events::Rule", "Name", "payment-"+env+"-"+name).Properties
			target := assembly.Object(assembly.List(rule["Targets"])[0])
			same(t, name+" tell", target["Arn"], "arn:aws:sns:"+region+":"+account+":payment-"+env+"-alerts")
			paths := assembly.Object(assembly.At(target["InputTransformer"], "InputPathsMap"))
			for _, variable := range regexp.MustCompile(`<(\w+)>`).FindAllStringSubmatch(assembly.At(target["InputTransformer"], "InputTemplate").(string), -1) {
				if _, ok := paths[variable[1]]; !ok {
					t.Errorf("the message of %s has %s, which no path fills", name, variable[0])
				}
			}
			for _, pattern := range alternatives(assembly.Object(rule["EventPattern"])) {
				compiled, err := eventbus.ParsePattern([]byte(text(pattern)))
				if err != nil {
					t.Fatal(err)
				}
				notices[name] = append(notices[name], compiled)
			}
		}
		vault := "arn:aws:backup:" + region + ":" + account + ":backup-vault:"
		plan := "arn:aws:arc-region-switch::" + account + ":plan/payment-" + env + ":abc123"
		backup := func(kind, detail string) string {
			return `{"source":"aws.backup","detail-type":"` + kind + ` Job State Change","resources":[],"detail":` + detail + `}`
		}
		regionSwitch := func(kind, plan, detail string) string {
			return `{"source":"aws.arc-region-switch","detail-type":"ARC Region Switch Plan ` + kind + `","resources":["` + plan + `"],"detail":` + detail + `}`
		}
		for _, tt := range []struct {
			event, want string
		}{
			{backup("Backup", `{"backupVaultName":"payment-`+env+`","state":"FAILED","resourceType":"Aurora"}`), "backup-notices"},
			{backup("Backup", `{"backupVaultName":"payment-`+env+`","state":"EXPIRED"}`), "backup-notices"},
			{backup("Backup", `{"backupVaultName":"payment-`+env+`","state":"COMPLETED"}`), ""},
			{backup("Backup", `{"backupVaultName":"somebody-elses","state":"FAILED"}`), ""},
			{backup("Copy", `{"state":"FAILED","sourceBackupVaultArn":"`+vault+`payment-`+env+`","destinationBackupVaultArn":"x"}`), "backup-notices"},
			{backup("Copy", `{"state":"FAILED","sourceBackupVaultArn":"`+vault+`somebody-elses"}`), ""},
			{backup("Copy", `{"state":"COMPLETED","sourceBackupVaultArn":"`+vault+`payment-`+env+`"}`), ""},
			{backup("Restore", `{"status":"FAILED","resourceType":"DynamoDB","restoreTestingPlanArn":"x"}`), "backup-notices"},
			{backup("Restore", `{"status":"COMPLETED"}`), ""},
			{backup("Restore", `{"status":"RUNNING"}`), ""},
			{regionSwitch("Evaluation", plan, `{"version":"0.0.1","metadata":{"warning":"There is a plan evaluation warning"}}`), "recovery-plan-notices"},
			{regionSwitch("Execution", plan, `{"version":"0.0.1","metadata":{"warning":"There is a plan evaluation warning"}}`), "recovery-plan-notices"},
			{regionSwitch("Execution", plan, `{"eventType":"ExecutionStarted","executionId":"x"}`), "recovery-plan-notices"},
			{regionSwitch("Execution", plan, `{"eventType":"StepFailed","executionId":"x"}`), "recovery-plan-notices"},
			{regionSwitch("Execution", plan, `{"eventType":"StepStarted","executionId":"x"}`), ""},
			{regionSwitch("Execution", "arn:aws:arc-region-switch::"+account+":plan/somebody-elses:abc123", `{"eventType":"ExecutionStarted"}`), ""},
		} {
			for name, patterns := range notices {
				matched := false
				for _, pattern := range patterns {
					matches, err := pattern.Matches([]byte(tt.event))
					if err != nil {
						t.Fatal(err)
					}
					matched = matched || matches
				}
				if matched != (name == tt.want) {
					t.Errorf("%s tell of %s: %v", name, tt.event, matched)
				}
			}
		}
	})
}

// alternatives are the patterns that one with $or in its detail stands for. The simulated matcher does not know $or.
func alternatives(pattern map[string]any) []map[string]any {
	var all []map[string]any
	for _, one := range assembly.List(assembly.At(pattern["detail"], "$or")) {
		alternative := maps.Clone(pattern)
		alternative["detail"] = one
		all = append(all, alternative)
	}
	if all == nil {
		return []map[string]any{pattern}
	}
	return all
}

func TestHealthCheckAlarms(t *testing.T) {
	for _, env := range environments {
		v := viewOf(t, env, stacks.RoleGlobal)
		for _, region := range v.assembly.Settings.Both() {
			alarm, ok := v.alarms(t)["payment-"+env+"-"+region.Name+"-unhealthy"]
			if !ok {
				t.Errorf("%s: no alarm tells that the API of %s is unhealthy", env, region.Name)
				continue
			}
			m, err := seriesOf(alarm)
			id, _ := assembly.List(assembly.At(m.dimensions["HealthCheckId"], "Fn::GetAtt"))[0].(string)
			config := assembly.Object(v.stack.Template.Resources[id].Properties["HealthCheckConfig"])
			if err != nil || m.name != "HealthCheckStatus" || config["Type"] != "CALCULATED" || !strings.Contains(id, "Serving"+strings.ReplaceAll(region.Name, "-", "")) {
				t.Errorf("%s: it is on %s, %v", env, m, err)
			}
			same(t, "missing data", alarm.Properties["TreatMissingData"], "breaching")
		}
	}
}
