package constructs_test

import (
	"slices"
	"strings"
	"testing"

	"payments-dr/internal/assembly"
	"payments-dr/internal/payment/ledger"
	"payments-dr/internal/payment/restorecheck"
	"payments-dr/stacks"
	"payments-dr/stacks/stackstest"
)

func TestRestoresAreTestedWeekly(t *testing.T) {
	stackstest.Each(t, func(t *testing.T, v stackstest.View) {
		s, region := v.Assembly.Settings, v.Stack.Region
		vaultID, _ := v.One(t, "AWS::Backup::BackupVault")
		planID, plan := v.One(t, "AWS::Backup::RestoreTestingPlan")
		stackstest.Same(t, "plan", plan.Properties, map[string]any{
			"RestoreTestingPlanName": "payment_" + s.Environment, "ScheduleExpression": "cron(0 13 ? * MON *)", "StartWindowHours": 1,
			"RecoveryPointSelection": map[string]any{
				"Algorithm": "LATEST_WITHIN_WINDOW", "RecoveryPointTypes": []string{"SNAPSHOT"}, "SelectionWindowDays": 7,
				"IncludeVaults": []any{stackstest.GetAtt(vaultID, "BackupVaultArn")},
			},
		})
		_, cluster := v.One(t, "AWS::RDS::DBCluster")
		identifier := cluster.Properties["DBClusterIdentifier"].(string)
		selections := v.Of("AWS::Backup::RestoreTestingSelection")
		kinds := map[string]bool{}
		for id, selection := range selections {
			p := selection.Properties
			stackstest.Same(t, id+": plan", p["RestoreTestingPlanName"], stackstest.Ref(planID))
			stackstest.Same(t, id+": kept for validation", p["ValidationWindowHours"], 8)
			kinds[p["ProtectedResourceType"].(string)] = true
			switch p["ProtectedResourceType"] {
			case "Aurora":
				stackstest.Same(t, "cluster", p["ProtectedResourceArns"], []string{arnIn(s, region, "rds", "cluster:"+identifier)})
				overrides := assembly.Object(p["RestoreMetadataOverrides"])
				// What the live one has: its subnets, its parameters, and the security group that lets the functions in.
				_, subnets := v.One(t, "AWS::RDS::DBSubnetGroup")
				_, parameters := v.One(t, "AWS::RDS::DBClusterParameterGroup")
				stackstest.Same(t, "subnets", overrides["dbSubnetGroupName"], subnets.Properties["DBSubnetGroupName"])
				stackstest.Same(t, "parameters", overrides["dbClusterParameterGroupName"], parameters.Properties["DBClusterParameterGroupName"])
				stackstest.Same(t, "sign-in", overrides["enableIamDatabaseAuthentication"], "true")
				group := assembly.List(cluster.Properties["VpcSecurityGroupIds"])[0]
				stackstest.Same(t, "group", overrides["vpcSecurityGroupIds"], map[string]any{"Fn::Join": []any{"", []any{`["`, group, `"]`}}})
				if len(overrides) != 4 {
					t.Errorf("overridden is %s", stackstest.Text(overrides))
				}
			case "DynamoDB":
				stackstest.Same(t, "table", p["ProtectedResourceArns"], []string{arnIn(s, region, "dynamodb", "table/payment-"+s.Environment+"-sessions")})
			}

			vaultKey, _ := v.KeyOf(t, "-backup")
			platformKey, _ := v.KeyOf(t, "")
			keys := []any{stackstest.GetAtt(vaultKey, "Arn"), stackstest.GetAtt(platformKey, "Arn")}
			rds := func(resource string) string { return arnIn(s, region, "rds", resource) }
			restored, snapshots := rds("cluster:"+restorecheck.NamePrefix+"*"), rds("cluster-snapshot:awsbackup:*")
			sameStatements(t, v.StatementsOf(t, servedByBackup(t, v, p["IamRoleArn"])), map[string]map[string]any{
				"RestoreATable": statement(nil, arnIn(s, region, "dynamodb", "table/"+restorecheck.NamePrefix+"*"), "dynamodb:BatchWriteItem", "dynamodb:DeleteItem",
					"dynamodb:DescribeTable", "dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:Query", "dynamodb:RestoreTableFromAwsBackup", "dynamodb:Scan", "dynamodb:UpdateItem"),
				"RestoreACluster": statement(nil, []string{rds("cluster-pg:" + identifier), snapshots, restored, rds("og:default:aurora-mysql-8-0"), rds("subgrp:" + identifier)},
					"rds:RestoreDBClusterFromSnapshot"),
				"WatchIt":        statement(nil, []string{snapshots, restored}, "rds:DescribeDBClusterSnapshots", "rds:DescribeDBClusters", "rds:ListTagsForResource"),
				"TagAndRemoveIt": statement(nil, restored, "rds:AddTagsToResource", "rds:DeleteDBCluster"),
				"FindKeys":       statement(nil, keys, "kms:DescribeKey"),
				"ReadWithKeys": statement(map[string]any{"StringEquals": map[string]any{"kms:ViaService": []string{"dynamodb." + region + ".amazonaws.com", "rds." + region + ".amazonaws.com"}}},
					keys, "kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey", "kms:GenerateDataKeyWithoutPlaintext", "kms:ReEncryptFrom", "kms:ReEncryptTo"),
				"UseKeys": statement(map[string]any{"Bool": map[string]any{"kms:GrantIsForAWSResource": "true"}}, keys, "kms:CreateGrant"),
			})
		}
		if len(selections) != 2 || !kinds["Aurora"] || !kinds["DynamoDB"] {
			t.Errorf("restored are %v", kinds)
		}
	})
}

func TestWhatIsRestoredIsValidated(t *testing.T) {
	stackstest.Each(t, func(t *testing.T, v stackstest.View) {
		s, region := v.Assembly.Settings, v.Stack.Region
		name := "payment-" + s.Environment + "-restore-validation"
		planID, _ := v.One(t, "AWS::Backup::RestoreTestingPlan")
		rule := v.Named(t, "AWS::Events::Rule", "Name", name).Properties
		stackstest.Same(t, "state", rule["State"], "ENABLED")
		stackstest.Same(t, "bus", rule["EventBusName"], nil) // AWS's own events come to the default one
		stackstest.Same(t, "pattern", rule["EventPattern"], map[string]any{
			"source": []string{"aws.backup"}, "detail-type": []string{"Restore Job State Change"},
			"detail": map[string]any{"status": []string{"COMPLETED"}, "restoreTestingPlanArn": []any{stackstest.GetAtt(planID, "RestoreTestingPlanArn")}},
		})
		queueOf := func(name string) string {
			for id, queue := range v.Of("AWS::SQS::Queue") {
				if queue.Properties["QueueName"] == name {
					return id
				}
			}
			t.Fatalf("there is no queue %s", name)
			return ""
		}
		queueID, deadID := queueOf(name), queueOf(name+"-failures")
		targets := assembly.List(rule["Targets"])
		if len(targets) != 1 {
			t.Fatalf("%d targets", len(targets))
		}
		target := assembly.Object(targets[0])
		stackstest.Same(t, "target", target["Arn"], stackstest.GetAtt(queueID, "Arn"))
		stackstest.Same(t, "dead letters of the rule", target["DeadLetterConfig"], map[string]any{"Arn": stackstest.GetAtt(deadID, "Arn")})
		stackstest.Same(t, "retries", target["RetryPolicy"], map[string]any{"MaximumEventAgeInSeconds": 24 * 3600, "MaximumRetryAttempts": 185})
		// Without a policy and a key that let EventBridge in, every event would end nowhere.
		sent := false
		for _, policy := range v.Of("AWS::SQS::QueuePolicy") {
			for _, statement := range assembly.List(assembly.At(policy.Properties["PolicyDocument"], "Statement")) {
				st := assembly.Object(statement)
				sent = sent || slices.Contains(stackstest.ActionsOf(st), "sqs:SendMessage") && stackstest.Text(st["Resource"]) == stackstest.Text(stackstest.GetAtt(queueID, "Arn")) && assembly.At(st["Principal"], "Service") == "events.amazonaws.com"
			}
		}
		_, key := v.KeyOf(t, "")
		if !sent || !strings.Contains(stackstest.Text(key.Properties["KeyPolicy"]), `"`+arnIn(s, region, "events", "rule/"+name)+`"`) {
			t.Errorf("EventBridge cannot put an event into %s", name)
		}

		queue := v.Stack.Template.Resources[queueID].Properties
		stackstest.Same(t, "dead letters of the queue", queue["RedrivePolicy"], map[string]any{"deadLetterTargetArn": stackstest.GetAtt(deadID, "Arn"), "maxReceiveCount": 4})
		function, mapping := v.Function(t, "validate"), v.MappingOf(t, "validate").Properties
		stackstest.Same(t, "source", mapping["EventSourceArn"], stackstest.GetAtt(queueID, "Arn"))
		stackstest.Same(t, "batch", mapping["BatchSize"], 1)
		stackstest.Same(t, "answers", mapping["FunctionResponseTypes"], []string{"ReportBatchItemFailures"})
		if mapping["Enabled"] == false { // in both Regions
			t.Error("the mapping is off")
		}
		timeout, visibility := function.Properties["Timeout"].(float64), queue["VisibilityTimeout"].(float64)
		if visibility < 6*timeout {
			t.Errorf("visibility of %v s with a timeout of %v s", visibility, timeout)
		}
		// A comparison that time cuts short is nothing to be alarmed at.
		slow := v.Named(t, "AWS::CloudWatch::Alarm", "AlarmName", "payment-"+s.Environment+"-validate-slow").Properties
		if longest := timeout*1000 - float64(restorecheck.Reserve.Milliseconds()); slow["Threshold"].(float64) < longest {
			t.Errorf("slow is %v ms, and a comparison ends after %v", slow["Threshold"], longest)
		}
		// All looks at it are over before AWS Backup takes it away, with time to spare for the last.
		const receives, window = 4, 8 * 3600
		if whole := receives * visibility; whole > window {
			t.Errorf("looked at for %v s, and kept for %v", whole, window)
		}
		variables := assembly.Object(assembly.At(function.Properties["Environment"], "Variables"))
		for variable, want := range map[string]any{
			"MAX_RECEIVES": "4", "INSTANCE_CLASS": s.Database.InstanceClass, "TABLE_NAME": "payment-" + s.Environment + "-sessions",
			"DATABASE_NAME": "payments", "DATABASE_USER": ledger.UserName, "DATABASE_PORT": "3306",
			"DATABASE_HOST": nil, "DATABASE_PASSWORD": nil, "DATABASE_TLS": nil, // the host is each restored cluster's own
		} {
			stackstest.Same(t, variable, variables[variable], want)
		}
		// In the network, from where the restored cluster can be reached, with a way to the services.
		if groups := stackstest.Text(assembly.At(function.Properties["VpcConfig"], "SecurityGroupIds")); !strings.Contains(groups, "NetworkFunctions") {
			t.Errorf("the function is in %s", groups)
		}
		endpoints := 0
		for _, endpoint := range v.Of("AWS::EC2::VPCEndpoint") {
			service, _ := endpoint.Properties["ServiceName"].(string)
			if service == "com.amazonaws."+region+".rds" || service == "com.amazonaws."+region+".backup" {
				endpoints++
			}
		}
		if want := map[bool]int{true: 0, false: 2}[s.Network.NATGatewaysPerRegion > 0]; endpoints != want {
			t.Errorf("%d endpoints for RDS and AWS Backup, want %d", endpoints, want)
		}
	})
}

func TestTheValidationMayTouchWhatIsRestoredAlone(t *testing.T) {
	stackstest.Each(t, func(t *testing.T, v stackstest.View) {
		s, region := v.Assembly.Settings, v.Stack.Region
		rds := func(resource string) string { return arnIn(s, region, "rds", resource) }
		cluster, instance := rds("cluster:"+restorecheck.NamePrefix+"*"), rds("db:"+restorecheck.NamePrefix+"*")
		identifier := "payment-" + s.Environment + "-" + region
		restored := arnIn(s, region, "dynamodb", "table/"+restorecheck.NamePrefix+"*")
		var live any = arnIn(s, region, "dynamodb", "table/payment-"+s.Environment+"-sessions")
		var index any = live.(string) + "/index/by-acceptance"
		tables, indexes := []any{restored, live}, []any{restored + "/index/by-acceptance", index}
		if v.Role == stacks.RolePrimary { // by reference in the stack that makes the table
			id, _ := v.One(t, "AWS::DynamoDB::GlobalTable")
			tables = []any{restored, stackstest.GetAtt(id, "Arn")}
			indexes = []any{restored + "/index/by-acceptance", map[string]any{"Fn::Join": []any{"", []any{stackstest.GetAtt(id, "Arn"), "/index/by-acceptance"}}}}
		}
		platformKey, _ := v.KeyOf(t, "")
		sameStatements(t, v.StatementsOf(t, roleOf(v.Function(t, "validate"))), map[string]map[string]any{
			"TellTheVerdict":         statement(nil, "*", "backup:DescribeRestoreJob", "backup:PutRestoreValidationResult"),
			"ReadTables":             statement(nil, tables, "dynamodb:BatchGetItem"),
			"ReadTheirIndexes":       statement(nil, indexes, "dynamodb:Query", "dynamodb:Scan"), // a scan of the index tells the age
			"LookAtRestoredClusters": statement(nil, []string{cluster, instance}, "rds:DescribeDBClusters", "rds:DescribeDBInstances"),
			"GiveThemAnInstance": statement(nil, []string{cluster, instance, rds("og:default:aurora-mysql-8-0"), rds("pg:default.aurora-mysql8.0"), rds("subgrp:" + identifier)},
				"rds:CreateDBInstance"),
			"TagAndRemoveIt": statement(nil, instance, "rds:AddTagsToResource", "rds:DeleteDBInstance"),
			"RunItWithTheKey": statement(map[string]any{"StringEquals": map[string]any{"kms:ViaService": "rds." + region + ".amazonaws.com"}},
				stackstest.GetAtt(platformKey, "Arn"), "kms:CreateGrant", "kms:DescribeKey"),
			"SignIn": statement(nil, arnIn(s, region, "rds-db", "dbuser:cluster-*/payments_ledger"), "rds-db:connect"),
		})
	})
}
