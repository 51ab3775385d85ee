package main

import (
	"slices"
	"strings"
	"testing"
	"time"

	"payments-dr/internal/assembly"
	"payments-dr/internal/operate"
	"payments-dr/internal/payment/ledger"
	"payments-dr/internal/payment/restorecheck"
	"payments-dr/internal/settings"
	"payments-dr/stacks"
)

// The tests below are about what is kept beside the live data: vaults, the daily plan, its copies, and the tests of restores.

// arnIn makes ARNs of an environment's account.
func arnIn(s settings.Settings, region, service, resource string) string {
	return "arn:aws:" + service + ":" + region + ":" + s.Account + ":" + resource
}

// otherRegion is the Region that a regional stack is not in.
func (v view) otherRegion() string {
	s := v.assembly.Settings
	return s.Other(s.Both()[slices.Index(regionalRoles, v.role)]).Name
}

func TestVaultsAreLockedAndOutliveTheirStack(t *testing.T) {
	each(t, func(t *testing.T, v view) {
		s := v.assembly.Settings
		keyID, key := v.keyOf(t, "-backup")
		platformKey, _ := v.keyOf(t, "")
		if keyID == platformKey {
			t.Error("the vault has no key of its own")
		}
		_, vault := v.one(t, "AWS::Backup::BackupVault")
		// Governance has no grace to be over; compliance has what the settings say.
		lock := map[string]any{"MinRetentionDays": s.Backup.RetentionDays, "MaxRetentionDays": 365}
		if s.Environment == envEurope {
			lock["ChangeableForDays"] = 14
		}
		same(t, "vault", vault.Properties, map[string]any{
			"BackupVaultName": "payment-" + s.Environment, "EncryptionKeyArn": getAtt(keyID, "Arn"), "LockConfiguration": lock,
		})
		// The account's policies say who uses the key, and so do the roles that AWS Backup works with.
		same(t, "the key's policy", assembly.At(key.Properties["KeyPolicy"], "Statement"), []any{map[string]any{
			"Action": "kms:*", "Effect": "Allow", "Resource": "*", "Principal": map[string]any{"AWS": "arn:aws:iam::" + s.Account + ":root"},
		}})
		for what, policies := range map[string][2]string{
			"vault": {vault.DeletionPolicy, vault.UpdateReplacePolicy}, "key": {key.DeletionPolicy, key.UpdateReplacePolicy},
		} {
			if policies != [2]string{"RetainExceptOnCreate", "Retain"} {
				t.Errorf("the %s goes with its stack: %v", what, policies)
			}
		}
	})
}

func TestDailyPlanCopiesIntoTheOtherRegion(t *testing.T) {
	each(t, func(t *testing.T, v view) {
		s, region, other := v.assembly.Settings, v.stack.Region, v.otherRegion()
		vaultID, _ := v.one(t, "AWS::Backup::BackupVault")
		planID, plan := v.one(t, "AWS::Backup::BackupPlan")
		lifecycle := map[string]any{"DeleteAfterDays": s.Backup.RetentionDays}
		same(t, "plan", plan.Properties["BackupPlan"], map[string]any{
			"BackupPlanName": "payment-" + s.Environment,
			// And no continuous backup: the cluster's own window stays its own.
			"BackupPlanRule": []any{map[string]any{
				"RuleName": "daily", "ScheduleExpression": "cron(0 11 ? * * *)", "StartWindowMinutes": 60, "CompletionWindowMinutes": 720,
				"TargetBackupVault": ref(vaultID), "Lifecycle": lifecycle,
				"CopyActions": []any{map[string]any{"DestinationBackupVaultArn": arnIn(s, other, "backup", "backup-vault:payment-"+s.Environment), "Lifecycle": lifecycle}},
			}},
		})
		// What is copied there is there to be copied to.
		for _, role := range regionalRoles {
			if opposite := viewOf(t, s.Environment, role); opposite.stack.Region == other {
				_, vault := opposite.one(t, "AWS::Backup::BackupVault")
				same(t, "the other vault", vault.Properties["BackupVaultName"], "payment-"+s.Environment)
				opposite.keyOf(t, "-backup") // by whose alias the role may use it
			}
		}
		_, selection := v.one(t, "AWS::Backup::BackupSelection")
		same(t, "plan of the selection", selection.Properties["BackupPlanId"], ref(planID))
		_, cluster := v.one(t, "AWS::RDS::DBCluster")
		chosen := assembly.Object(selection.Properties["BackupSelection"])
		same(t, "resources", chosen["Resources"], []string{
			arnIn(s, region, "rds", "cluster:"+cluster.Properties["DBClusterIdentifier"].(string)),
			arnIn(s, region, "dynamodb", "table/payment-"+s.Environment+"-sessions"),
		})
		for _, wide := range []string{"ListOfTags", "Conditions", "NotResources"} {
			if chosen[wide] != nil {
				t.Errorf("chosen too by %s: %s", wide, text(chosen[wide]))
			}
		}
	})
}

// The 72 hours are the cluster's and the table's own, in both Regions.
func TestPointInTimeRecoveryCoversTheRestore(t *testing.T) {
	covers := func(t *testing.T, what string, days any) {
		t.Helper()
		if n, ok := days.(float64); !ok || n*24 < settings.RestoreWindowHours {
			t.Errorf("%s can be brought back for %v days, want %d hours", what, days, settings.RestoreWindowHours)
		}
	}
	each(t, func(t *testing.T, v view) {
		_, cluster := v.one(t, "AWS::RDS::DBCluster")
		covers(t, "the cluster", cluster.Properties["BackupRetentionPeriod"])
	})
	for _, env := range environments {
		_, table := viewOf(t, env, stacks.RolePrimary).one(t, "AWS::DynamoDB::GlobalTable")
		replicas := assembly.List(table.Properties["Replicas"])
		if len(replicas) != 2 {
			t.Errorf("%s: %d replicas", env, len(replicas))
		}
		for _, replica := range replicas {
			window := assembly.Object(assembly.At(replica, "PointInTimeRecoverySpecification"))
			same(t, env+": switched on", window["PointInTimeRecoveryEnabled"], true)
			covers(t, env+": the table", window["RecoveryPeriodInDays"])
		}
	}
}

// statementsOf are a role's statements with their resources as they are in the template, by their ids.
func (v view) statementsOf(t *testing.T, role string) map[string]map[string]any {
	t.Helper()
	byID := map[string]map[string]any{}
	for _, statement := range v.statements()[role] {
		id, _ := statement["Sid"].(string)
		if id == "" {
			continue // NewFunction's and the library's own
		}
		if byID[id] != nil {
			t.Errorf("two statements %s", id)
		}
		byID[id] = statement
	}
	return byID
}

// statement is how one should be.
func statement(condition any, resource any, actions ...string) map[string]any {
	s := map[string]any{"Effect": "Allow", "Resource": resource, "Action": actions}
	if len(actions) == 1 {
		s["Action"] = actions[0]
	}
	if condition != nil {
		s["Condition"] = condition
	}
	return s
}

func sameStatements(t *testing.T, got, want map[string]map[string]any) {
	t.Helper()
	for id, statement := range want {
		statement["Sid"] = id
		same(t, id, got[id], statement)
	}
	for id := range got {
		if want[id] == nil {
			t.Errorf("%s is not wanted: %s", id, text(got[id]))
		}
	}
}

// servedByBackup is the role that a property names, which is AWS Backup's alone.
func servedByBackup(t *testing.T, v view, arn any) string {
	t.Helper()
	id := assembly.List(assembly.At(arn, "Fn::GetAtt"))[0].(string)
	trust := v.stack.Template.Resources[id].Properties["AssumeRolePolicyDocument"]
	same(t, "may be assumed by", assembly.At(trust, "Statement"), []any{map[string]any{
		"Action": "sts:AssumeRole", "Effect": "Allow", "Principal": map[string]any{"Service": "backup.amazonaws.com"},
	}})
	return id
}

func TestTheBackupRoleMayDoThatAlone(t *testing.T) {
	each(t, func(t *testing.T, v view) {
		s, here, there := v.assembly.Settings, v.stack.Region, v.otherRegion()
		_, selection := v.one(t, "AWS::Backup::BackupSelection")
		role := servedByBackup(t, v, assembly.At(selection.Properties["BackupSelection"], "IamRoleArn"))
		vaultKey, _ := v.keyOf(t, "-backup")
		platformKey, _ := v.keyOf(t, "")
		keys := []any{getAtt(vaultKey, "Arn"), getAtt(platformKey, "Arn")}
		name := "payment-" + s.Environment
		snapshots, otherSnapshots := arnIn(s, here, "rds", "cluster-snapshot:awsbackup:*"), arnIn(s, there, "rds", "cluster-snapshot:awsbackup:*")
		grant := map[string]any{"kms:GrantIsForAWSResource": "true"}
		alias := map[string]any{"kms:ResourceAliases": "alias/" + name + "-backup"}
		sorted := func(arns ...string) []string { slices.Sort(arns); return arns }
		sameStatements(t, v.statementsOf(t, role), map[string]map[string]any{
			"BackUpTheTable": statement(nil, arnIn(s, here, "dynamodb", "table/"+name+"-sessions"),
				"dynamodb:DescribeTable", "dynamodb:ListTagsOfResource", "dynamodb:StartAwsBackupJob"),
			"BackUpTheCluster": statement(nil, sorted(arnIn(s, here, "rds", "cluster:"+name+"-"+here), snapshots),
				"rds:CreateDBClusterSnapshot", "rds:DescribeDBClusters", "rds:ListTagsForResource"),
			"KeepSnapshots": statement(nil, sorted(snapshots, otherSnapshots),
				"rds:AddTagsToResource", "rds:CopyDBClusterSnapshot", "rds:DeleteDBClusterSnapshot", "rds:DescribeDBClusterSnapshots"),
			"FillTheVaults": statement(nil, sorted(arnIn(s, here, "backup", "backup-vault:"+name), arnIn(s, there, "backup", "backup-vault:"+name)),
				"backup:CopyIntoBackupVault", "backup:DescribeBackupVault"),
			"CopyRecoveryPoints": statement(nil, sorted(snapshots, arnIn(s, here, "backup", "recovery-point:*")), "backup:CopyFromBackupVault"),
			"TagRecoveryPoints":  statement(nil, sorted(arnIn(s, here, "backup", "recovery-point:*"), arnIn(s, there, "backup", "recovery-point:*")), "backup:TagResource"),
			"FindKeys":           statement(nil, keys, "kms:DescribeKey"),
			"UseKeys":            statement(map[string]any{"Bool": grant}, keys, "kms:CreateGrant"),
			// AWS Backup encrypts a table's recovery points itself, in its own vault and in the one that it copies to.
			"EncryptInTheVault": statement(nil, getAtt(vaultKey, "Arn"), "kms:Decrypt", "kms:GenerateDataKey"),
			"EncryptInTheOtherVault": statement(map[string]any{"ForAnyValue:StringEquals": alias}, arnIn(s, there, "kms", "key/*"),
				"kms:Decrypt", "kms:GenerateDataKey"),
			"FindTheOtherKey": statement(map[string]any{"ForAnyValue:StringEquals": alias}, arnIn(s, there, "kms", "key/*"), "kms:DescribeKey"),
			"UseTheOtherKey":  statement(map[string]any{"ForAnyValue:StringEquals": alias, "Bool": grant}, arnIn(s, there, "kms", "key/*"), "kms:CreateGrant"),
		})
	})
}

func TestRestoresAreTestedWeekly(t *testing.T) {
	each(t, func(t *testing.T, v view) {
		s, region := v.assembly.Settings, v.stack.Region
		vaultID, _ := v.one(t, "AWS::Backup::BackupVault")
		planID, plan := v.one(t, "AWS::Backup::RestoreTestingPlan")
		same(t, "plan", plan.Properties, map[string]any{
			"RestoreTestingPlanName": "payment_" + s.Environment, "ScheduleExpression": "cron(0 13 ? * MON *)", "StartWindowHours": 1,
			"RecoveryPointSelection": map[string]any{
				"Algorithm": "LATEST_WITHIN_WINDOW", "RecoveryPointTypes": []string{"SNAPSHOT"}, "SelectionWindowDays": 7,
				"IncludeVaults": []any{getAtt(vaultID, "BackupVaultArn")},
			},
		})
		_, cluster := v.one(t, "AWS::RDS::DBCluster")
		identifier := cluster.Properties["DBClusterIdentifier"].(string)
		selections := v.of("AWS::Backup::RestoreTestingSelection")
		kinds := map[string]bool{}
		for id, selection := range selections {
			p := selection.Properties
			same(t, id+": plan", p["RestoreTestingPlanName"], ref(planID))
			same(t, id+": kept for validation", p["ValidationWindowHours"], 8)
			kinds[p["ProtectedResourceType"].(string)] = true
			switch p["ProtectedResourceType"] {
			case "Aurora":
				same(t, "cluster", p["ProtectedResourceArns"], []string{arnIn(s, region, "rds", "cluster:"+identifier)})
				overrides := assembly.Object(p["RestoreMetadataOverrides"])
				// What the live one has: its subnets, its parameters, and the security group that lets the functions in.
				_, subnets := v.one(t, "AWS::RDS::DBSubnetGroup")
				_, parameters := v.one(t, "AWS::RDS::DBClusterParameterGroup")
				same(t, "subnets", overrides["dbSubnetGroupName"], subnets.Properties["DBSubnetGroupName"])
				same(t, "parameters", overrides["dbClusterParameterGroupName"], parameters.Properties["DBClusterParameterGroupName"])
				same(t, "sign-in", overrides["enableIamDatabaseAuthentication"], "true")
				group := assembly.List(cluster.Properties["VpcSecurityGroupIds"])[0]
				same(t, "group", overrides["vpcSecurityGroupIds"], map[string]any{"Fn::Join": []any{"", []any{`["`, group, `"]`}}})
				if len(overrides) != 4 {
					t.Errorf("overridden is %s", text(overrides))
				}
			case "DynamoDB":
				same(t, "table", p["ProtectedResourceArns"], []string{arnIn(s, region, "dynamodb", "table/payment-"+s.Environment+"-sessions")})
			}

			vaultKey, _ := v.keyOf(t, "-backup")
			platformKey, _ := v.keyOf(t, "")
			keys := []any{getAtt(vaultKey, "Arn"), getAtt(platformKey, "Arn")}
			rds := func(resource string) string { return arnIn(s, region, "rds", resource) }
			restored, snapshots := rds("cluster:"+restorecheck.NamePrefix+"*"), rds("cluster-snapshot:awsbackup:*")
			sameStatements(t, v.statementsOf(t, servedByBackup(t, v, p["IamRoleArn"])), map[string]map[string]any{
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
	each(t, func(t *testing.T, v view) {
		s, region := v.assembly.Settings, v.stack.Region
		name := "payment-" + s.Environment + "-restore-validation"
		planID, _ := v.one(t, "AWS::Backup::RestoreTestingPlan")
		rule := v.named(t, "AWS::Events::Rule", "Name", name).Properties
		same(t, "state", rule["State"], "ENABLED")
		same(t, "bus", rule["EventBusName"], nil) // AWS's own events come to the default one
		same(t, "pattern", rule["EventPattern"], map[string]any{
			"source": []string{"aws.backup"}, "detail-type": []string{"Restore Job State Change"},
			"detail": map[string]any{"status": []string{"COMPLETED"}, "restoreTestingPlanArn": []any{getAtt(planID, "RestoreTestingPlanArn")}},
		})
		queueOf := func(name string) string {
			for id, queue := range v.of("AWS::SQS::Queue") {
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
		same(t, "target", target["Arn"], getAtt(queueID, "Arn"))
		same(t, "dead letters of the rule", target["DeadLetterConfig"], map[string]any{"Arn": getAtt(deadID, "Arn")})
		same(t, "retries", target["RetryPolicy"], map[string]any{"MaximumEventAgeInSeconds": 24 * 3600, "MaximumRetryAttempts": 185})
		// Without a policy and a key that let EventBridge in, every event would end nowhere.
		sent := false
		for _, policy := range v.of("AWS::SQS::QueuePolicy") {
			for _, statement := range assembly.List(assembly.At(policy.Properties["PolicyDocument"], "Statement")) {
				st := assembly.Object(statement)
				sent = sent || slices.Contains(actionsOf(st), "sqs:SendMessage") && text(st["Resource"]) == text(getAtt(queueID, "Arn")) && assembly.At(st["Principal"], "Service") == "events.amazonaws.com"
			}
		}
		_, key := v.keyOf(t, "")
		if !sent || !strings.Contains(text(key.Properties["KeyPolicy"]), `"`+arnIn(s, region, "events", "rule/"+name)+`"`) {
			t.Errorf("EventBridge cannot put an event into %s", name)
		}

		queue := v.stack.Template.Resources[queueID].Properties
		same(t, "dead letters of the queue", queue["RedrivePolicy"], map[string]any{"deadLetterTargetArn": getAtt(deadID, "Arn"), "maxReceiveCount": 4})
		function, mapping := v.function(t, "validate"), v.mappingOf(t, "validate").Properties
		same(t, "source", mapping["EventSourceArn"], getAtt(queueID, "Arn"))
		same(t, "batch", mapping["BatchSize"], 1)
		same(t, "answers", mapping["FunctionResponseTypes"], []string{"ReportBatchItemFailures"})
		if mapping["Enabled"] == false { // in both Regions
			t.Error("the mapping is off")
		}
		timeout, visibility := function.Properties["Timeout"].(float64), queue["VisibilityTimeout"].(float64)
		if visibility < 6*timeout {
			t.Errorf("visibility of %v s with a timeout of %v s", visibility, timeout)
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
			same(t, variable, variables[variable], want)
		}
		// In the network, from where the restored cluster can be reached, with a way to the services.
		if groups := text(assembly.At(function.Properties["VpcConfig"], "SecurityGroupIds")); !strings.Contains(groups, "NetworkFunctions") {
			t.Errorf("the function is in %s", groups)
		}
		endpoints := 0
		for _, endpoint := range v.of("AWS::EC2::VPCEndpoint") {
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
	each(t, func(t *testing.T, v view) {
		s, region := v.assembly.Settings, v.stack.Region
		rds := func(resource string) string { return arnIn(s, region, "rds", resource) }
		cluster, instance := rds("cluster:"+restorecheck.NamePrefix+"*"), rds("db:"+restorecheck.NamePrefix+"*")
		identifier := "payment-" + s.Environment + "-" + region
		restored := arnIn(s, region, "dynamodb", "table/"+restorecheck.NamePrefix+"*")
		var live any = arnIn(s, region, "dynamodb", "table/payment-"+s.Environment+"-sessions")
		var index any = live.(string) + "/index/by-acceptance"
		tables, indexes := []any{restored, live}, []any{restored + "/index/by-acceptance", index}
		if v.role == stacks.RolePrimary { // by reference in the stack that makes the table
			id, _ := v.one(t, "AWS::DynamoDB::GlobalTable")
			tables = []any{restored, getAtt(id, "Arn")}
			indexes = []any{restored + "/index/by-acceptance", map[string]any{"Fn::Join": []any{"", []any{getAtt(id, "Arn"), "/index/by-acceptance"}}}}
		}
		platformKey, _ := v.keyOf(t, "")
		sameStatements(t, v.statementsOf(t, roleOf(v.function(t, "validate"))), map[string]map[string]any{
			"TellTheVerdict":         statement(nil, "*", "backup:DescribeRestoreJob", "backup:PutRestoreValidationResult"),
			"ReadTables":             statement(nil, tables, "dynamodb:BatchGetItem"),
			"ReadTheirIndexes":       statement(nil, indexes, "dynamodb:Query"),
			"LookAtRestoredClusters": statement(nil, []string{cluster, instance}, "rds:DescribeDBClusters", "rds:DescribeDBInstances"),
			"GiveThemAnInstance": statement(nil, []string{cluster, instance, rds("og:default:aurora-mysql-8-0"), rds("pg:default.aurora-mysql8.0"), rds("subgrp:" + identifier)},
				"rds:CreateDBInstance"),
			"TagAndRemoveIt": statement(nil, instance, "rds:AddTagsToResource", "rds:DeleteDBInstance"),
			"RunItWithTheKey": statement(map[string]any{"StringEquals": map[string]any{"kms:ViaService": "rds." + region + ".amazonaws.com"}},
				getAtt(platformKey, "Arn"), "kms:CreateGrant", "kms:DescribeKey"),
			"SignIn": statement(nil, arnIn(s, region, "rds-db", "dbuser:cluster-*/payments_ledger"), "rds-db:connect"),
		})
	})
}

// Roles swap: what one Region keeps the other keeps too, and nothing in it says which of them is the primary.
func TestBothRegionsBackUpAlike(t *testing.T) {
	for _, env := range environments {
		s := synthesized[env].Settings
		var shapes []string
		for _, role := range regionalRoles {
			v := viewOf(t, env, role)
			parts := map[string]any{}
			for _, kind := range []string{"AWS::Backup::BackupVault", "AWS::Backup::BackupPlan", "AWS::Backup::BackupSelection", "AWS::Backup::RestoreTestingPlan", "AWS::Backup::RestoreTestingSelection"} {
				for id, resource := range v.of(kind) {
					parts[id] = resource.Properties
				}
			}
			shape := strings.NewReplacer(v.stack.Region, "HERE", v.otherRegion(), "THERE").Replace(text(parts))
			if strings.Contains(shape, stacks.RolePrimary) || strings.Contains(shape, stacks.RoleSecondary) {
				t.Errorf("%s: a role in %s", env, shape)
			}
			shapes = append(shapes, shape)
		}
		if shapes[0] != shapes[1] {
			t.Errorf("%s, in %s:\n%s\nin %s:\n%s", env, s.Regions.Primary.Name, shapes[0], s.Regions.Secondary.Name, shapes[1])
		}
	}
}

// What the operator's tool calls too old is what the plans can no longer explain.
func TestStatusKnowsHowOldABackupMayBe(t *testing.T) {
	each(t, func(t *testing.T, v view) {
		_, plan := v.one(t, "AWS::Backup::BackupPlan")
		rule := assembly.Object(assembly.List(assembly.At(plan.Properties["BackupPlan"], "BackupPlanRule"))[0])
		minutes := rule["StartWindowMinutes"].(float64) + rule["CompletionWindowMinutes"].(float64)
		if daily := 24*time.Hour + time.Duration(minutes)*time.Minute; operate.BackupAge != daily {
			t.Errorf("a backup may be %s old, and dr status says %s", daily, operate.BackupAge)
		}
		_, testing := v.one(t, "AWS::Backup::RestoreTestingPlan")
		s := v.assembly.Settings
		same(t, "the restore testing plan's name", testing.Properties["RestoreTestingPlanName"], operate.RestoreTestingPlan(&s))
		hours := 0.0
		for _, selection := range v.of("AWS::Backup::RestoreTestingSelection") {
			hours = max(hours, selection.Properties["ValidationWindowHours"].(float64))
		}
		start := testing.Properties["StartWindowHours"].(float64)
		if weekly := 7*24*time.Hour + time.Duration(start+hours)*time.Hour; hours == 0 || operate.RestoreAge < weekly {
			t.Errorf("a test has its verdict within %s, and dr status waits %s", weekly, operate.RestoreAge)
		}
	})
}

// The operator sees the vault of the own Region, and no other.
func TestOperatorMaySeeTheBackups(t *testing.T) {
	each(t, func(t *testing.T, v view) {
		s, region := v.assembly.Settings, v.stack.Region
		_, id := roleNamed(t, v, "payment-"+s.Environment+"-operator-"+region)
		same(t, "SeeTheBackups", v.statementsOf(t, id)["SeeTheBackups"], map[string]any{
			"Sid": "SeeTheBackups", "Effect": "Allow", "Action": "backup:ListRecoveryPointsByBackupVault",
			"Resource":  arnIn(s, region, "backup", "backup-vault:payment-"+s.Environment),
			"Condition": map[string]any{"StringEquals": map[string]any{"aws:RequestedRegion": region}},
		})
	})
}
