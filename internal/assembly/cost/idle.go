package cost

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"payments-dr/internal/assembly"
	"payments-dr/internal/payment/variables"
	"payments-dr/internal/settings"
)

// The services, as the rows name them.
const (
	aurora         = "Aurora"
	dynamoDB       = "DynamoDB"
	network        = "NAT gateways, endpoints"
	transfer       = "data transfer"
	apiGateway     = "API Gateway"
	lambda         = "Lambda"
	eventBridge    = "EventBridge"
	sqs            = "SQS"
	kms            = "KMS"
	secretsManager = "Secrets Manager"
	cloudWatch     = "CloudWatch"
	xRay           = "X-Ray"
	route53        = "Route 53"
	regionSwitch   = "ARC Region switch"
	waf            = "WAF"
	backup         = "AWS Backup"
	s3             = "S3"
	sns            = "SNS"
)

// Assumptions of idle rows.
const (
	assumeStored      = "table and database hold as many GB as --table-gb and --database-gb say; half of the table is its index, which no backup holds"
	assumeNAT         = "1 GB a month goes through each NAT gateway: payments take none, as the table has an endpoint and the relay is outside the network"
	assumeInsights    = "a Metrics Insights alarm looks at five metrics at the most"
	assumeMethods     = "three methods of the API are in use, with five detailed metrics each"
	assumeMonitoring  = "Enhanced Monitoring writes 0.13 GB of logs for an instance (3 KB a minute)"
	assumeFlowLogs    = "flow logs of a Region are 0.5 GB a month, the database's logs 0.1 GB"
	assumeKMS         = "50,000 requests a month for each customer key: queues' and topics' data keys are kept for an hour, log groups' longer"
	assumePolls       = "Lambda asks a queue by five connections that wait 20 s each"
	assumeTransferred = "each day's recovery points cross whole"
	assumeRestored    = "a restored cluster has one instance for two hours"
	assumeReports     = "the plan's reports are 1 GB in all"
	assumeEmails      = "fifty e-mails a month for each address"
	assumeBackground  = "a cluster without payments does a million I/Os a month"
)

const (
	// detailedMetrics is how many metrics with dimensions of methods API Gateway sends for each method that is called ("Amazon API
	// Gateway dimensions and metrics", Amazon API Gateway Developer Guide): Count, Latency, IntegrationLatency, 4XXError, 5XXError.
	detailedMetrics = 5
	methodsInUse    = 3
	// insightsMetrics is at the most how many metrics an alarm's query is assumed to find.
	insightsMetrics = 5
	minutesPerMonth = hoursPerMonth * 60
	secondsPerMonth = minutesPerMonth * 60
	// pollsPerMonth is what one enabled mapping of a queue asks for while nothing is there.
	pollsPerMonth = 5 * secondsPerMonth / 20
)

var (
	// perMillion makes units of a million out of single ones.
	perMillion   = ratio(1, 1_000_000)
	month        = Whole(hoursPerMonth)
	daysPerMonth = ratio(hoursPerMonth, 24)
	// indexless is the share of the table that backups hold: the index projects everything and is as large again.
	indexless = ratio(1, 2)
	// weeksPerMonth is how often a weekly schedule is due.
	weeksPerMonth = ratio(52, 12)
)

// idle adds what an environment costs without a payment.
func (e *estimator) idle() {
	e.to = &e.estimate.Idle
	unknown := map[string]int{}
	for _, stack := range e.assembly.Stacks {
		for _, resource := range stack.Template.Resources {
			_, isPriced := Priced[resource.Type]
			_, isFree := Free[resource.Type]
			if !isPriced && !isFree {
				unknown[resource.Type]++
			}
		}
		e.standing(stack)
	}
	for _, kind := range sortedKeys(unknown) {
		e.estimate.NotPriced = append(e.estimate.NotPriced, Unpriced{kind, unknown[kind], "unknown to this table"})
	}
	e.stored("", Whole(e.usage.TableGB), Whole(e.usage.DatabaseGB), assumeStored)
	for _, region := range e.settings.Both() {
		e.ownTraffic(region)
		e.restoreTests(region)
	}
}

// standing adds what a stack's resources cost by being there.
func (e *estimator) standing(stack assembly.Stack) {
	region := stack.Region
	each(stack, "AWS::RDS::DBInstance", func(id string, p map[string]any) {
		class := assembly.Text(p["DBInstanceClass"])
		e.add(aurora, "instances "+class, region, "aurora.instance."+class, month)
		if p["MonitoringInterval"] != nil {
			e.add(cloudWatch, "logs of Enhanced Monitoring", region, "cloudwatch.logs", ratio(13, 100), assumeMonitoring)
		}
	})
	e.add(aurora, "I/O of the clusters themselves", region, "aurora.io", Whole(count(stack, "AWS::RDS::DBCluster")), assumeBackground)
	e.add(network, "NAT gateways", region, "vpc.nat-gateway", month.Times(Whole(count(stack, "AWS::EC2::NatGateway"))))
	e.add(network, "data through NAT gateways", region, "vpc.nat-gateway-data", Whole(count(stack, "AWS::EC2::NatGateway")), assumeNAT)
	e.add(network, "public addresses", region, "vpc.public-ipv4", month.Times(Whole(count(stack, "AWS::EC2::EIP"))))
	each(stack, "AWS::EC2::VPCEndpoint", func(id string, p map[string]any) {
		switch kind := assembly.Text(p["VpcEndpointType"]); kind {
		case "Gateway": // free
		case "Interface":
			e.add(network, "interface endpoints", region, "vpc.interface-endpoint", month.Times(Whole(int64(len(assembly.List(p["SubnetIds"]))))))
		default:
			e.estimate.NotPriced = append(e.estimate.NotPriced, Unpriced{"AWS::EC2::VPCEndpoint", 1, fmt.Sprintf("%s is of the type %q", id, kind)})
		}
	})

	e.add(kms, "customer keys", region, "kms.key", Whole(count(stack, "AWS::KMS::Key")))
	e.add(kms, "requests", region, "kms.request", Whole(50_000*count(stack, "AWS::KMS::Key")).Times(perMillion), assumeKMS)
	each(stack, "AWS::SecretsManager::Secret", func(_ string, p map[string]any) {
		e.add(secretsManager, "secrets and replicas", region, "secrets-manager.secret", Whole(1))
		for _, replica := range assembly.List(p["ReplicaRegions"]) {
			e.add(secretsManager, "secrets and replicas", assembly.Text(assembly.At(replica, "Region")), "secrets-manager.secret", Whole(1))
		}
	})

	own := map[string]bool{}
	each(stack, "AWS::CloudWatch::Alarm", func(_ string, p map[string]any) {
		metrics, queries := int64(0), int64(0)
		switch all := assembly.List(p["Metrics"]); {
		case all == nil:
			metrics = 1
			ownMetric(own, p)
		default:
			for _, metric := range all {
				if stat := assembly.At(metric, "MetricStat"); stat != nil {
					metrics++
					ownMetric(own, assembly.Object(assembly.At(stat, "Metric")))
				} else if strings.HasPrefix(assembly.Text(assembly.At(metric, "Expression")), "SELECT ") {
					queries++
				}
			}
		}
		e.add(cloudWatch, "alarms", region, "cloudwatch.alarm", Whole(metrics))
		e.add(cloudWatch, "alarms by Metrics Insights", region, "cloudwatch.alarm-insights", Whole(queries*insightsMetrics), assumeInsights)
	})
	e.add(cloudWatch, "composite alarms", region, "cloudwatch.composite-alarm", Whole(count(stack, "AWS::CloudWatch::CompositeAlarm")))
	e.add(cloudWatch, "dashboards", region, "cloudwatch.dashboard", Whole(count(stack, "AWS::CloudWatch::Dashboard")))
	e.add(cloudWatch, "the platform's own metrics that alarms watch", region, "cloudwatch.metric", Whole(int64(len(own))))
	each(stack, "AWS::ApiGateway::Stage", func(_ string, p map[string]any) {
		for _, setting := range assembly.List(p["MethodSettings"]) {
			if assembly.At(setting, "MetricsEnabled") == true {
				e.add(cloudWatch, "detailed metrics of the API's methods", region, "cloudwatch.metric", Whole(detailedMetrics*methodsInUse), assumeMethods)
			}
		}
	})
	if n := count(stack, "AWS::EC2::FlowLog"); n > 0 {
		e.logs("flow logs and the database's", stack, ratio(6*n, 10), assumeFlowLogs)
	}

	e.add(route53, "hosted zones", Global, "route53.hosted-zone", Whole(count(stack, "AWS::Route53::HostedZone")))
	each(stack, "AWS::Route53::HealthCheck", func(id string, p map[string]any) {
		config := assembly.Object(p["HealthCheckConfig"])
		var options int64
		switch kind := assembly.Text(config["Type"]); kind {
		case "CALCULATED", "CLOUDWATCH_METRIC", "RECOVERY_CONTROL":
			e.add(route53, "calculated and metric checks", Global, "route53.health-check", Whole(1))
			return
		case "HTTPS", "HTTPS_STR_MATCH":
			options++
		}
		if strings.HasSuffix(assembly.Text(config["Type"]), "_STR_MATCH") {
			options++
		}
		if e.integer(stack, id, p, 10, "HealthCheckConfig", "RequestInterval") == 10 {
			options++
		}
		if config["MeasureLatency"] == true {
			options++
		}
		e.add(route53, "endpoint checks", Global, "route53.health-check", Whole(1), "the API's endpoint is an AWS endpoint to Route 53, as it is in the same account")
		e.add(route53, "options: HTTPS, text in the answer, fast interval, latency", Global, "route53.health-check-option", Whole(options))
	})
	e.add(regionSwitch, "plans", Global, "region-switch.plan", Whole(count(stack, "AWS::ARCRegionSwitch::Plan")))
	each(stack, "AWS::WAFv2::WebACL", func(_ string, p map[string]any) {
		e.add(waf, "web ACLs", region, "waf.web-acl", Whole(1))
		e.add(waf, "rules and managed groups", region, "waf.rule", Whole(int64(len(assembly.List(p["Rules"])))))
	})
	e.add(s3, "recovery reports", region, "s3.storage", Whole(count(stack, "AWS::S3::Bucket")), assumeReports)
	e.add(sns, "e-mails", region, "sns.email", Whole(50*count(stack, "AWS::SNS::Subscription")).Times(ratio(1, 100_000)), assumeEmails)
	each(stack, "AWS::Lambda::EventSourceMapping", func(_ string, p map[string]any) {
		if e.ofQueue(stack, p) && p["Enabled"] != false {
			e.add(sqs, "Lambda asking empty queues", region, "sqs.request", Whole(pollsPerMonth).Times(perMillion), assumePolls)
		}
	})
}

// ofQueue is whether a mapping is of a queue, and not of a stream, which Lambda reads for nothing.
func (e *estimator) ofQueue(stack assembly.Stack, mapping map[string]any) bool {
	origin, err := e.assembly.Origin(stack, mapping["EventSourceArn"])
	return err == nil && origin.Resource().Type == "AWS::SQS::Queue"
}

// ownMetric collects the metrics of the platform's own namespace, which are paid for, by name and dimensions.
func ownMetric(own map[string]bool, metric map[string]any) {
	if strings.HasPrefix(assembly.Text(metric["Namespace"]), "Payment/") {
		own[fmt.Sprint(metric["MetricName"], metric["Dimensions"])] = true
	}
}

// replicas are the Regions of the session table's replicas and of its witness, and how many indexes it has.
type replicas struct {
	regions []string
	// continuous are those with point-in-time recovery.
	continuous []string
	witness    []string
	indexes    int64
}

// sessionTable reads the one global table.
func (e *estimator) sessionTable() replicas {
	var r replicas
	tables := 0
	for _, stack := range e.assembly.Stacks {
		each(stack, "AWS::DynamoDB::GlobalTable", func(id string, p map[string]any) {
			tables++
			if assembly.Text(p["BillingMode"]) != "PAY_PER_REQUEST" {
				e.fault("%s of %s: BillingMode is %v: only PAY_PER_REQUEST is priced", id, stack.Name, p["BillingMode"])
			}
			for _, replica := range assembly.List(p["Replicas"]) {
				region := assembly.Text(assembly.At(replica, "Region"))
				r.regions = append(r.regions, region)
				if assembly.At(replica, "PointInTimeRecoverySpecification", "PointInTimeRecoveryEnabled") == true {
					r.continuous = append(r.continuous, region)
				}
			}
			for _, witness := range assembly.List(p["GlobalTableWitnesses"]) {
				r.witness = append(r.witness, assembly.Text(assembly.At(witness, "Region")))
			}
			r.indexes = int64(len(assembly.List(p["GlobalSecondaryIndexes"])))
		})
	}
	if tables != 1 || len(r.regions) == 0 {
		e.fault("there are %d session tables with %d replicas: want one with one or more", tables, len(r.regions))
	}
	slices.Sort(r.regions)
	return r
}

// stored adds what holding GB in table and database costs a month, with all copies. what is put behind the rows' names.
func (e *estimator) stored(what string, tableGB, databaseGB Decimal, assumptions ...string) {
	table := e.sessionTable()
	for _, region := range table.regions {
		e.add(dynamoDB, "storage"+what, region, "dynamodb.storage", tableGB, assumptions...)
	}
	for _, region := range table.continuous {
		e.add(dynamoDB, "point-in-time recovery"+what, region, "dynamodb.continuous-backup", tableGB.Times(indexless), assumptions...)
	}
	for _, region := range e.settings.Both() {
		stack := e.regional(region)
		retention := int64(0)
		each(stack, "AWS::RDS::DBCluster", func(id string, p map[string]any) {
			retention = e.integer(stack, id, p, 1, "BackupRetentionPeriod")
			e.add(aurora, "storage"+what, region.Name, "aurora.storage", databaseGB, assumptions...)
		})
		for _, rule := range e.backupRules(stack) {
			// A snapshot within the cluster's own retention is free ("Understanding Amazon Aurora backup storage usage", Amazon Aurora
			// User Guide); a copy in another Region is not.
			more := max(0, rule.keptDays-retention)
			e.add(backup, "Aurora's recovery points beyond the cluster's own retention"+what, region.Name, "aurora.backup", databaseGB.Times(Whole(more)), assumptions...)
			e.add(backup, "the table's recovery points"+what, region.Name, "dynamodb.backup", tableGB.Times(indexless).Times(Whole(rule.keptDays)), assumptions...)
			for _, copied := range rule.copies {
				e.add(backup, "copies of Aurora's recovery points"+what, copied.region, "aurora.backup", databaseGB.Times(Whole(copied.keptDays)), assumptions...)
				e.add(backup, "copies of the table's recovery points"+what, copied.region, "dynamodb.backup", tableGB.Times(indexless).Times(Whole(copied.keptDays)), assumptions...)
				e.add(transfer, "copies of recovery points"+what, region.Name, "transfer.regions", databaseGB.Plus(tableGB.Times(indexless)).Times(daysPerMonth),
					append(slices.Clone(assumptions), assumeTransferred)...)
			}
		}
	}
}

// backupRule is a daily rule of a backup plan.
type backupRule struct {
	keptDays int64
	copies   []backupCopy
}

type backupCopy struct {
	region   string
	keptDays int64
}

func (e *estimator) backupRules(stack assembly.Stack) []backupRule {
	var rules []backupRule
	each(stack, "AWS::Backup::BackupPlan", func(id string, p map[string]any) {
		for _, part := range assembly.List(assembly.At(p["BackupPlan"], "BackupPlanRule")) {
			rule := assembly.Object(part)
			if !daily.MatchString(assembly.Text(rule["ScheduleExpression"])) {
				e.fault("%s of %s: the schedule %v is not daily", id, stack.Name, rule["ScheduleExpression"])
			}
			r := backupRule{keptDays: e.integer(stack, id, rule, 1, "Lifecycle", "DeleteAfterDays")}
			for _, action := range assembly.List(rule["CopyActions"]) {
				copied := assembly.Object(action)
				arn := strings.Split(assembly.Text(copied["DestinationBackupVaultArn"]), ":")
				if len(arn) < 4 {
					e.fault("%s of %s: the vault of a copy is %v: want an ARN", id, stack.Name, copied["DestinationBackupVaultArn"])
					continue
				}
				r.copies = append(r.copies, backupCopy{arn[3], e.integer(stack, id, copied, 1, "Lifecycle", "DeleteAfterDays")})
			}
			rules = append(rules, r)
		}
	})
	return rules
}

var (
	daily  = regexp.MustCompile(`^cron\(\d+ \d+ \? \* \* \*\)$`)
	weekly = regexp.MustCompile(`^cron\(\d+ \d+ \? \* [A-Z]{3} \*\)$`)
	rate   = regexp.MustCompile(`^rate\((\d+) (minute|hour|day)s?\)$`)
)

// restoreTests adds what restoring each week, and looking into it, costs.
func (e *estimator) restoreTests(region settings.Region) {
	stack := e.regional(region)
	class := ""
	if function := e.function(stack, "validate"); function != nil {
		class = assembly.Text(assembly.At(function["Environment"], "Variables", variables.InstanceClass))
	}
	each(stack, "AWS::Backup::RestoreTestingPlan", func(id string, p map[string]any) {
		if !weekly.MatchString(assembly.Text(p["ScheduleExpression"])) {
			e.fault("%s of %s: the schedule %v is not weekly", id, stack.Name, p["ScheduleExpression"])
		}
	})
	each(stack, "AWS::Backup::RestoreTestingSelection", func(id string, p map[string]any) {
		e.add(backup, "restore tests", region.Name, "backup.restore-test", weeksPerMonth)
		switch kind := assembly.Text(p["ProtectedResourceType"]); kind {
		case "Aurora":
			e.add(backup, "instances of restored clusters", region.Name, "aurora.instance."+class, weeksPerMonth.Times(Whole(2)), assumeRestored)
		case "DynamoDB":
			e.add(backup, "restored tables", region.Name, "dynamodb.restore", weeksPerMonth.Times(indexless).Times(Whole(e.usage.TableGB)), assumeStored)
		default:
			e.fault("%s of %s: restore tests of %q are not priced", id, stack.Name, kind)
		}
	})
}

// due is how often a schedule is due in a month.
func (e *estimator) due(stack assembly.Stack, id, expression string) Decimal {
	parts := rate.FindStringSubmatch(expression)
	if parts == nil {
		e.fault("%s of %s: the schedule %q is not understood", id, stack.Name, expression)
		return Decimal{}
	}
	n, err := strconv.ParseInt(parts[1], 10, 64)
	if err != nil || n == 0 {
		e.fault("%s of %s: the schedule %q is not understood", id, stack.Name, expression)
		return Decimal{}
	}
	return ratio(minutesPerMonth, n*map[string]int64{"minute": 1, "hour": 60, "day": 60 * 24}[parts[2]])
}
