package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"payments-dr/internal/assembly"
	"payments-dr/internal/payment"
	"payments-dr/internal/payment/ledger"
	"payments-dr/internal/payment/ledger/schema"
	"payments-dr/internal/simulation/eventbus"
	"payments-dr/stacks"
)

// The tests below are about the way of an accepted payment: stream, relay, bus, queue, ledger, reconciliation.

// topology is what the templates of an environment's two Regions say about buses, rules and queues. change may change a
// template before it is read.
func topology(t *testing.T, env string, change func(resources map[string]assembly.Resource)) []eventbus.Topology {
	t.Helper()
	var regions []eventbus.Topology
	for _, role := range regionalRoles {
		stack := viewOf(t, env, role).stack
		resources := maps.Clone(stack.Template.Resources)
		for id, resource := range resources { // schedules and AWS's own events are of the default bus, and no payment's event
			if resource.Type == "AWS::Events::Rule" && resource.Properties["EventBusName"] == nil {
				delete(resources, id)
			}
		}
		if change != nil {
			change(resources)
		}
		read, err := eventbus.ReadTemplate([]byte(text(map[string]any{"Resources": resources})), stack.Region, stack.Account)
		if err != nil {
			t.Fatal(err)
		}
		regions = append(regions, read)
	}
	return regions
}

func paymentEvent(env string) func(region string) eventbus.Entry {
	return func(region string) eventbus.Entry {
		p, err := payment.New("s", "t", "1.00", "USD", region, "2026-11-22T03:04:05.678901Z", payment.StatusProcessed)
		if err != nil {
			panic(err) // constants
		}
		detail, err := payment.MarshalEventDetail(p)
		if err != nil {
			panic(err) // strings always marshal
		}
		return eventbus.Entry{EventBusName: "payment-" + env, Source: payment.EventSource, DetailType: payment.EventDetailType, Detail: string(detail)}
	}
}

func TestEachEventReachesEachBusAndLedgerQueueOnce(t *testing.T) {
	for _, env := range environments {
		routes, err := eventbus.CheckRouting(t.Context(), synthesized[env].Settings.Account, topology(t, env, nil), paymentEvent(env))
		if err != nil {
			t.Errorf("%s: %v", env, err)
		}
		for _, route := range routes {
			ledgers := 0
			for queue, count := range route.Queues {
				if strings.HasSuffix(queue, ":payment-"+env+"-ledger") {
					ledgers += count
				}
			}
			if ledgers != 2 || len(route.Buses) != 2 {
				t.Errorf("%s: an event of %s reaches %d ledger queues over %d buses, want 2 and 2", env, route.Origin, ledgers, len(route.Buses))
			}
		}
	}
}

func TestTheGuardIsWhatKeepsEventsFromGoingInCircles(t *testing.T) {
	regions := topology(t, envDev, func(resources map[string]assembly.Resource) {
		for id, resource := range resources {
			if resource.Properties["Name"] != "payment-dev-forward" {
				continue
			}
			pattern := maps.Clone(assembly.Object(resource.Properties["EventPattern"]))
			delete(pattern, "region")
			delete(pattern, "detail")
			resource.Properties = maps.Clone(resource.Properties)
			resource.Properties["EventPattern"] = pattern
			resources[id] = resource
		}
	})
	if _, err := eventbus.CheckRouting(t.Context(), synthesized[envDev].Settings.Account, regions, paymentEvent(envDev)); err == nil {
		t.Error("without the guard nothing was found")
	}
}

func TestForwardingRule(t *testing.T) {
	each(t, func(t *testing.T, v view) {
		s := v.assembly.Settings
		own := s.Both()[slices.Index(regionalRoles, v.role)]
		other := "arn:aws:events:" + s.Other(own).Name + ":" + v.stack.Account + ":event-bus/payment-" + s.Environment
		busID, bus := v.one(t, "AWS::Events::EventBus")
		same(t, "bus", bus.Properties["Name"], "payment-"+s.Environment)
		rule := v.named(t, "AWS::Events::Rule", "Name", "payment-"+s.Environment+"-forward")
		same(t, "bus of the rule", rule.Properties["EventBusName"], ref(busID))
		same(t, "pattern", rule.Properties["EventPattern"], map[string]any{
			"source": []string{"payment.processor"}, "detail-type": []string{"Payment Transaction"},
			"region": []string{own.Name}, "detail": map[string]any{"region": []string{own.Name}},
		})
		target := assembly.Object(assembly.List(rule.Properties["Targets"])[0])
		same(t, "target", target["Arn"], other)
		if target["DeadLetterConfig"] == nil {
			t.Error("the forwarding rule has no dead-letter queue")
		}
		// The service's own: 24 hours, 185 times. The ledger's target says the same aloud.
		if policy, ok := target["RetryPolicy"]; ok {
			t.Errorf("the forwarding rule tries again as %s says", text(policy))
		}
		ledger := v.named(t, "AWS::Events::Rule", "Name", "payment-"+s.Environment+"-ledger")
		same(t, "the ledger target's retries", assembly.At(assembly.List(ledger.Properties["Targets"])[0], "RetryPolicy"), map[string]any{"MaximumEventAgeInSeconds": 24 * 3600, "MaximumRetryAttempts": 185})
		role := assembly.List(assembly.At(target["RoleArn"], "Fn::GetAtt"))[0].(string)
		same(t, "the forwarding role's permissions", v.statements()[role], []any{map[string]any{"Action": "events:PutEvents", "Effect": "Allow", "Resource": other}})

		_, archive := v.one(t, "AWS::Events::Archive")
		same(t, "archive of", archive.Properties["SourceArn"], getAtt(busID, "Arn"))
		same(t, "archive's days", archive.Properties["RetentionDays"], s.Backup.RetentionDays)
	})
}

func TestEveryRuleTargetHasADeadLetterQueueThatTakesItsEvents(t *testing.T) {
	each(t, func(t *testing.T, v view) {
		rules := v.of("AWS::Events::Rule")
		if len(rules) < 9 {
			t.Errorf("%d rules, want at least forward, ledger, three of reconcile, canary, two of notices, and restore-validation", len(rules))
		}
		for id, rule := range rules {
			for _, target := range assembly.List(rule.Properties["Targets"]) {
				config := assembly.Object(assembly.At(target, "DeadLetterConfig"))
				queue, ok := assembly.List(assembly.At(config["Arn"], "Fn::GetAtt")), config["Arn"] != nil
				if !ok {
					t.Errorf("rule %s has a target without a dead-letter queue", id)
					continue
				}
				if !v.mayBeSentBy(queue[0].(string), id) {
					t.Errorf("rule %s may not send to its dead-letter queue %s", id, queue[0])
				}
			}
		}
		keyID, key := v.keyOf(t, "")
		policy := text(key.Properties["KeyPolicy"])
		for _, name := range []string{"/*", "-reconcile*", "-canary", "-backup-notices", "-recovery-plan-notices", "-restore-validation"} {
			resource := "rule/payment-" + v.assembly.Settings.Environment + name
			if want := "arn:aws:events:" + v.stack.Region + ":" + v.stack.Account + ":" + resource; !strings.Contains(policy, want) {
				t.Errorf("key %s does not let rules %s use it", keyID, want)
			}
		}
	})
}

// mayBeSentBy reports whether a queue's policy lets a rule send to it, by the rule's ARN.
func (v view) mayBeSentBy(queue, rule string) bool {
	for _, policy := range v.of("AWS::SQS::QueuePolicy") {
		for _, statement := range assembly.List(assembly.At(policy.Properties["PolicyDocument"], "Statement")) {
			s := assembly.Object(statement)
			if slices.Contains(actionsOf(s), "sqs:SendMessage") && text(s["Resource"]) == text(getAtt(queue, "Arn")) &&
				text(assembly.At(s["Condition"], "ArnEquals", "aws:SourceArn")) == text(getAtt(rule, "Arn")) &&
				assembly.At(s["Principal"], "Service") == "events.amazonaws.com" {
				return true
			}
		}
	}
	return false
}

// named is the only resource of a type with a value of a property.
func (v view) named(t *testing.T, kind, property, value string) assembly.Resource {
	t.Helper()
	for _, resource := range v.of(kind) {
		if resource.Properties[property] == value {
			return resource
		}
	}
	t.Fatalf("no %s has the %s %s", kind, property, value)
	return assembly.Resource{}
}

// mappingOf is the event source mapping of a function.
func (v view) mappingOf(t *testing.T, name string) assembly.Resource {
	t.Helper()
	for id, function := range v.of("AWS::Lambda::Function") {
		if function.Properties["FunctionName"] != "payment-"+v.assembly.Settings.Environment+"-"+name {
			continue
		}
		for _, mapping := range v.of("AWS::Lambda::EventSourceMapping") {
			if text(mapping.Properties["FunctionName"]) == text(ref(id)) {
				return mapping
			}
		}
	}
	t.Fatalf("function %s has no mapping", name)
	return assembly.Resource{}
}

// invokeConfigOf is what happens to a function's asynchronous invocations.
func (v view) invokeConfigOf(t *testing.T, name string) assembly.Resource {
	t.Helper()
	for id, function := range v.of("AWS::Lambda::Function") {
		if function.Properties["FunctionName"] != "payment-"+v.assembly.Settings.Environment+"-"+name {
			continue
		}
		for _, config := range v.of("AWS::Lambda::EventInvokeConfig") {
			if text(config.Properties["FunctionName"]) == text(ref(id)) {
				return config
			}
		}
	}
	t.Fatalf("function %s says nothing of asynchronous invocations", name)
	return assembly.Resource{}
}

func TestRelayMapping(t *testing.T) {
	each(t, func(t *testing.T, v view) {
		p := v.mappingOf(t, "relay").Properties
		for name, want := range map[string]any{
			"BatchSize": 100, "StartingPosition": "TRIM_HORIZON", "BisectBatchOnFunctionError": true,
			"FunctionResponseTypes": []string{"ReportBatchItemFailures"}, "MaximumRecordAgeInSeconds": 12 * 3600,
		} {
			same(t, name, p[name], want)
		}
		if attempts, ok := p["MaximumRetryAttempts"]; ok {
			t.Errorf("a record is given up after %v attempts, and not by its age alone", attempts)
		}
		failures := assembly.List(assembly.At(p["DestinationConfig"], "OnFailure", "Destination", "Fn::GetAtt"))
		if len(failures) == 0 || !strings.HasPrefix(failures[0].(string), "RelayFailures") {
			t.Errorf("failures go to %v", failures)
		}
		// The stream of this Region's own replica, found out in this Region.
		source := assembly.List(assembly.At(p["EventSourceArn"], "Fn::GetAtt"))
		if v.role == stacks.RolePrimary {
			id, _ := v.one(t, "AWS::DynamoDB::GlobalTable")
			same(t, "source", source, []any{id, "StreamArn"})
		} else {
			id, _ := v.one(t, "Custom::SessionTableStream")
			same(t, "source", source, []any{id, "StreamArn"})
		}
		if _, inside := v.function(t, "relay").Properties["VpcConfig"]; inside {
			t.Error("the relay is in the network, where it would need a way out")
		}
	})
}

// CloudFormation may or may not enable the stream on the replica.
func TestTheReplicasStreamIsEnabledInItsOwnRegion(t *testing.T) {
	for _, env := range environments {
		primary, v := viewOf(t, env, stacks.RolePrimary), viewOf(t, env, stacks.RoleSecondary)
		_, table := primary.one(t, "AWS::DynamoDB::GlobalTable")
		_, stream := v.one(t, "Custom::SessionTableStream")
		same(t, env+": table", stream.Properties["TableName"], table.Properties["TableName"])
		same(t, env+": view type", stream.Properties["StreamViewType"], assembly.At(table.Properties["StreamSpecification"], "StreamViewType"))
		function := v.function(t, "table-stream")
		same(t, env+": timeout", function.Properties["Timeout"], 600) // Lambda allows 900
		same(t, env+": CloudFormation waits", stream.Properties["ServiceTimeout"], "1200")
		var permissions []map[string]any
		for _, statement := range v.statements()[roleOf(function)] {
			if !strings.HasPrefix(actionsOf(statement)[0], "logs:") && !strings.HasPrefix(actionsOf(statement)[0], "xray:") {
				permissions = append(permissions, statement)
			}
		}
		want := statement(nil, "arn:aws:dynamodb:"+v.stack.Region+":"+v.stack.Account+":table/payment-"+env+"-sessions", "dynamodb:DescribeTable", "dynamodb:UpdateTable")
		want["Sid"] = "EnableTheStream"
		same(t, env+": permissions", permissions, []map[string]any{want})
	}
}

func TestRelayMappingLetsOwnPaymentsThroughAlone(t *testing.T) {
	const record = `{"eventID":"1","eventName":%q,"eventSource":"aws:dynamodb","awsRegion":%q,"dynamodb":{"SequenceNumber":"1","NewImage":{%s}}}`
	item := func(region string) string {
		return fmt.Sprintf(`"session_id":{"S":"s"},"region":{"S":%q},"status":{"S":"processed"}`, region)
	}
	each(t, func(t *testing.T, v view) {
		own := v.stack.Region
		other := v.assembly.Settings.Other(v.assembly.Settings.Both()[slices.Index(regionalRoles, v.role)]).Name
		filters := assembly.List(assembly.At(v.mappingOf(t, "relay").Properties["FilterCriteria"], "Filters"))
		if len(filters) != 1 {
			t.Fatalf("%d filters, which would be alternatives", len(filters))
		}
		pattern, err := eventbus.ParsePattern([]byte(assembly.At(filters[0], "Pattern").(string)))
		if err != nil {
			t.Fatal(err)
		}
		for _, tt := range []struct {
			name, record string
			want         bool
		}{
			{"own payment", fmt.Sprintf(record, "INSERT", own, item(own)), true},
			{"replicated payment", fmt.Sprintf(record, "INSERT", own, item(other)), false},
			{"change of a payment", fmt.Sprintf(record, "MODIFY", own, item(own)), false},
			{"removal", fmt.Sprintf(record, "REMOVE", own, item(own)), false},
			{"health probe", fmt.Sprintf(record, "INSERT", own, `"session_id":{"S":"\u0001"},"transaction_id":{"S":"`+own+`"},"probe":{"N":"1"}`), false},
		} {
			got, err := pattern.Matches([]byte(tt.record))
			if err != nil || got != tt.want {
				t.Errorf("%s: let through %v, %v; want %v", tt.name, got, err, tt.want)
			}
		}
	})
}

func TestQueues(t *testing.T) {
	each(t, func(t *testing.T, v view) {
		s := v.assembly.Settings
		keyID, _ := v.keyOf(t, "")
		queues := v.of("AWS::SQS::Queue")
		var names []string
		for id, queue := range queues {
			name := queue.Properties["QueueName"].(string)
			names = append(names, strings.TrimPrefix(name, "payment-"+s.Environment+"-"))
			same(t, id+": key", queue.Properties["KmsMasterKeyId"], getAtt(keyID, "Arn"))
			if name != "payment-"+s.Environment+"-ledger" {
				same(t, id+": retention", queue.Properties["MessageRetentionPeriod"], 14*24*3600)
			}
			encrypted := false
			for _, policy := range v.of("AWS::SQS::QueuePolicy") {
				encrypted = encrypted || (text(policy.Properties["Queues"]) == text([]any{ref(id)}) && strings.Contains(text(policy.Properties["PolicyDocument"]), `"aws:SecureTransport":"false"`))
			}
			if !encrypted {
				t.Errorf("%s takes messages without TLS", id)
			}
		}
		slices.Sort(names)
		same(t, "queues", names, []string{"canary-failures", "ledger", "ledger-dead-letters", "reconcile-failures", "relay-failures",
			"restore-validation", "restore-validation-failures", "undelivered-events", "undelivered-notices"})

		ledger := v.named(t, "AWS::SQS::Queue", "QueueName", "payment-"+s.Environment+"-ledger").Properties
		same(t, "the ledger queue's retention", ledger["MessageRetentionPeriod"], s.Ledger.QueueRetentionHours*3600)
		function, mapping := v.function(t, "ledger").Properties, v.mappingOf(t, "ledger").Properties
		if visibility, least := ledger["VisibilityTimeout"].(float64), 6*function["Timeout"].(float64)+mapping["MaximumBatchingWindowInSeconds"].(float64); visibility < least {
			t.Errorf("visibility of %v s, want at least %v", visibility, least)
		}
		redrive := assembly.Object(ledger["RedrivePolicy"])
		// As many tries as fill half of the retention, and SQS takes no more than 1,000: what cannot be recorded is a dead letter
		// before it expires.
		retention, visibility := ledger["MessageRetentionPeriod"].(float64), ledger["VisibilityTimeout"].(float64)
		receives, _ := redrive["maxReceiveCount"].(float64)
		if tried := receives * visibility; receives < 3 || receives > 1000 || tried >= retention || tried > retention/2 || (receives < 1000 && tried+visibility <= retention/2) {
			t.Errorf("%v receives of %v s each take %v s, want half of the retention of %v s", receives, visibility, tried, retention)
		}
		if dead := text(redrive["deadLetterTargetArn"]); !strings.Contains(dead, "LedgerQueueDeadLetters") {
			t.Errorf("dead letters go to %s", dead)
		}
	})
}

func TestLedgerMappingIsOnInTheActiveRegionAlone(t *testing.T) {
	for env, active := range map[string]string{envDev: stacks.RolePrimary, envProd: stacks.RolePrimary, envEurope: stacks.RoleSecondary} {
		for _, role := range regionalRoles {
			v := viewOf(t, env, role)
			p := v.mappingOf(t, "ledger").Properties
			same(t, env+" "+role+": enabled", p["Enabled"], role == active)
			for name, want := range map[string]any{
				"BatchSize": 500, "MaximumBatchingWindowInSeconds": 1, "FunctionResponseTypes": []string{"ReportBatchItemFailures"},
				"ScalingConfig": map[string]any{"MaximumConcurrency": 5},
			} {
				same(t, name, p[name], want)
			}
			if source := text(p["EventSourceArn"]); !strings.Contains(source, "LedgerQueue") {
				t.Errorf("the ledger reads %s", source)
			}
			if after := text(v.mappingOf(t, "ledger").DependsOn); !strings.Contains(after, "MigrationRun") {
				t.Errorf("the mapping comes after %s, want after the schema", after)
			}
		}
	}
}

func TestDatabaseFunctionsConnectToTheirOwnRegionsCluster(t *testing.T) {
	each(t, func(t *testing.T, v view) {
		clusterID, _ := v.one(t, "AWS::RDS::DBCluster")
		for _, name := range []string{"ledger", "reconcile", "migrate"} {
			function := v.function(t, name)
			variables := assembly.Object(assembly.At(function.Properties["Environment"], "Variables"))
			same(t, name+": host", variables["DATABASE_HOST"], getAtt(clusterID, "Endpoint.Address"))
			same(t, name+": reader", variables["DATABASE_READER_HOST"], getAtt(clusterID, "ReadEndpoint.Address"))
			same(t, name+": database", variables["DATABASE_NAME"], "payments")
			for _, local := range []string{"DATABASE_PASSWORD", "DATABASE_TLS"} {
				if value, ok := variables[local]; ok {
					t.Errorf("%s has %s: %v", name, local, value)
				}
			}
			if _, ok := function.Properties["VpcConfig"]; !ok {
				t.Errorf("%s is outside the network", name)
			}
			var connect []any
			for _, statement := range v.statements()[roleOf(function)] {
				if slices.Contains(actionsOf(statement), "rds-db:connect") {
					connect = append(connect, statement["Resource"])
				}
			}
			if name == "migrate" { // it signs in with the master's password
				if len(connect) != 0 || variables["DATABASE_USER"] != nil {
					t.Errorf("migrate may connect as %s", text(connect))
				}
				continue
			}
			same(t, name+": user", variables["DATABASE_USER"], "payments_ledger")
			same(t, name+": may connect as", connect, []any{map[string]any{"Fn::Join": []any{"", []any{
				"arn:aws:rds-db:" + v.stack.Region + ":" + v.stack.Account + ":dbuser:", getAtt(clusterID, "DBClusterResourceId"), "/payments_ledger",
			}}}})
		}
	})
}

func TestTheMigrationAloneReadsTheMasterSecret(t *testing.T) {
	for env, a := range synthesized {
		for _, stack := range a.Stacks {
			v := view{assembly: a, stack: stack}
			var readers []string
			for role, statements := range v.statements() {
				for _, statement := range statements {
					if strings.Contains(text(statement["Action"]), "secretsmanager:") {
						readers = append(readers, role)
						same(t, env+": action", statement["Action"], "secretsmanager:GetSecretValue")
						same(t, env+": secret", statement["Resource"], "arn:aws:secretsmanager:"+stack.Region+":"+stack.Account+":secret:payment/"+env+"/db/master-??????")
					}
				}
			}
			var want []string
			if stack.Name != a.Settings.StackName(stacks.RoleGlobal) {
				want = []string{roleOf(v.function(t, "migrate"))}
			}
			if !slices.Equal(readers, want) {
				t.Errorf("%s: the master secret is read by %v, want %v", stack.Name, readers, want)
			}
		}
	}
}

// A function that starts before the migration runs new code on the old schema.
func TestEveryFunctionOfTheLedgerWaitsForItsSchema(t *testing.T) {
	each(t, func(t *testing.T, v view) {
		migration, _ := v.one(t, "Custom::LedgerMigration")
		statements := v.statements()
		var waiting []string
		for id, function := range v.of("AWS::Lambda::Function") {
			uses := assembly.At(function.Properties["Environment"], "Variables", ledger.VariableDatabase) != nil
			for _, statement := range statements[roleOf(function)] {
				uses = uses || slices.Contains(actionsOf(statement), "rds-db:connect")
			}
			name := assembly.Text(function.Properties["FunctionName"])
			if !uses || name == "payment-"+v.assembly.Settings.Environment+"-migrate" {
				continue
			}
			waiting = append(waiting, name)
			if !slices.Contains(assembly.List(function.DependsOn), any(migration)) {
				t.Errorf("%s uses the ledger and depends on %v, want also on %s: set Schema in its FunctionProps", id, function.DependsOn, migration)
			}
		}
		if len(waiting) < 3 {
			t.Errorf("only %v use the ledger", waiting)
		}
	})
}

func TestMigrationRunsWhenItsFilesChange(t *testing.T) {
	each(t, func(t *testing.T, v view) {
		_, run := v.one(t, "Custom::LedgerMigration")
		same(t, "migrations", run.Properties["Migrations"], schema.Digest())
		for i := range v.assembly.Settings.Database.InstancesPerRegion {
			if want := fmt.Sprintf("DatabaseInstance%d", i+1); !strings.Contains(text(run.DependsOn), want) {
				t.Errorf("the migration comes after %s, want after %s", text(run.DependsOn), want)
			}
		}
		variables := assembly.Object(assembly.At(v.function(t, "migrate").Properties["Environment"], "Variables"))
		same(t, "secret", variables["SECRET_NAME"], "payment/"+v.assembly.Settings.Environment+"/db/master")
		// It reads the secret from inside the network: through NAT, or through an endpoint of its own.
		endpoint := false
		for _, e := range v.of("AWS::EC2::VPCEndpoint") {
			endpoint = endpoint || strings.Contains(text(e.Properties["ServiceName"]), "secretsmanager")
		}
		if hasNAT := v.assembly.Settings.Network.NATGatewaysPerRegion > 0; hasNAT == endpoint {
			t.Errorf("NAT %v, endpoint %v; want one of them", hasNAT, endpoint)
		}
	})
}

func TestReconciliationIsScheduledAndItsFailuresAreKept(t *testing.T) {
	each(t, func(t *testing.T, v view) {
		s := v.assembly.Settings
		rule := v.named(t, "AWS::Events::Rule", "Name", "payment-"+s.Environment+"-reconcile").Properties
		same(t, "schedule", rule["ScheduleExpression"], "rate(1 hour)")
		same(t, "state", rule["State"], "ENABLED") // in both Regions: the function knows which of them is the standby
		target := assembly.Object(assembly.List(rule["Targets"])[0])
		same(t, "input", target["Input"], `{"scheduled":true}`)
		same(t, "retries", target["RetryPolicy"], map[string]any{"MaximumEventAgeInSeconds": 3600, "MaximumRetryAttempts": 2})
		role := v.named(t, "AWS::Events::Rule", "Name", "payment-"+s.Environment+"-reconcile-role").Properties
		same(t, "schedule of the question for the role", role["ScheduleExpression"], "rate(1 minute)") // the period of the alarms on its answer
		same(t, "its state", role["State"], "ENABLED")
		same(t, "its input", assembly.At(assembly.List(role["Targets"])[0], "Input"), `{"role":true}`)
		// And whenever this Region's cluster has been promoted: however that was started, and whatever the plan skips.
		promotion := v.named(t, "AWS::Events::Rule", "Name", "payment-"+s.Environment+"-reconcile-promotion").Properties
		same(t, "promotion", promotion["EventPattern"], map[string]any{
			"source": []any{"aws.rds"}, "detail-type": []any{"RDS DB Cluster Event"},
			"detail": map[string]any{
				"EventID":          []any{"RDS-EVENT-0185", "RDS-EVENT-0238"},
				"SourceIdentifier": []any{"payment-" + s.Environment + "-" + v.stack.Region},
			},
		})
		same(t, "promotion's state", promotion["State"], "ENABLED")
		same(t, "promotion's function", assembly.At(assembly.List(promotion["Targets"])[0], "Arn"), target["Arn"])
		// The message tells which cluster was promoted, and the function has to know its own.
		same(t, "promotion's input", assembly.At(assembly.List(promotion["Targets"])[0], "InputTransformer"), map[string]any{
			"InputPathsMap": map[string]any{"detail-Message": "$.detail.Message"},
			"InputTemplate": `{"cluster":"payment-` + s.Environment + "-" + v.stack.Region + `","message":<detail-Message>,"promotion":true}`,
		})
		function := v.function(t, "reconcile")
		same(t, "timeout", function.Properties["Timeout"], 900)
		async := v.invokeConfigOf(t, "reconcile")
		same(t, "retries of a failed run", async.Properties["MaximumRetryAttempts"], 0) // the next run looks back over it
		if destination := text(assembly.At(async.Properties["DestinationConfig"], "OnFailure")); !strings.Contains(destination, "ReconciliationFailures") {
			t.Errorf("failed runs go to %s", destination)
		}
		granted := map[string]string{}
		for _, statement := range v.statements()[roleOf(function)] {
			for _, action := range actionsOf(statement) {
				if strings.HasPrefix(action, "dynamodb:") {
					granted[action] = text(statement["Resource"])
				}
			}
		}
		if !slices.Equal(slices.Sorted(maps.Keys(granted)), []string{"dynamodb:BatchGetItem", "dynamodb:Query"}) || !strings.Contains(granted["dynamodb:Query"], "/index/by-acceptance") {
			t.Errorf("granted %v", granted)
		}
	})
	for _, env := range environments {
		_, table := viewOf(t, env, stacks.RolePrimary).one(t, "AWS::DynamoDB::GlobalTable")
		var index struct {
			IndexName  string
			KeySchema  []struct{ AttributeName, KeyType string }
			Projection struct{ ProjectionType string }
		}
		if err := json.Unmarshal([]byte(text(assembly.List(table.Properties["GlobalSecondaryIndexes"])[0])), &index); err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(index); got != "{by-acceptance [{accepted_bucket HASH} {timestamp RANGE}] {ALL}}" {
			t.Errorf("%s: index %s", env, got)
		}
	}
}
