package constructs_test

import (
	"slices"
	"strings"
	"testing"

	"payments-dr/internal/assembly"
	"payments-dr/internal/settings"
	"payments-dr/stacks"
	"payments-dr/stacks/stackstest"
)

// arnIn makes ARNs of an environment's account.
func arnIn(s settings.Settings, region, service, resource string) string {
	return "arn:aws:" + service + ":" + region + ":" + s.Account + ":" + resource
}

func TestVaultsAreLockedAndOutliveTheirStack(t *testing.T) {
	stackstest.Each(t, func(t *testing.T, v stackstest.View) {
		s := v.Assembly.Settings
		keyID, key := v.KeyOf(t, "-backup")
		platformKey, _ := v.KeyOf(t, "")
		if keyID == platformKey {
			t.Error("the vault has no key of its own")
		}
		_, vault := v.One(t, "AWS::Backup::BackupVault")
		// Governance has no grace to be over; compliance has what the settings say.
		lock := map[string]any{"MinRetentionDays": s.Backup.RetentionDays, "MaxRetentionDays": 365}
		if s.Environment == stackstest.Europe {
			lock["ChangeableForDays"] = 14
		}
		stackstest.Same(t, "vault", vault.Properties, map[string]any{
			"BackupVaultName": "payment-" + s.Environment, "EncryptionKeyArn": stackstest.GetAtt(keyID, "Arn"), "LockConfiguration": lock,
		})
		// The account's policies say who uses the key, and so do the roles that AWS Backup works with.
		stackstest.Same(t, "the key's policy", assembly.At(key.Properties["KeyPolicy"], "Statement"), []any{map[string]any{
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
	stackstest.Each(t, func(t *testing.T, v stackstest.View) {
		s, region, other := v.Assembly.Settings, v.Stack.Region, v.OtherRegion()
		vaultID, _ := v.One(t, "AWS::Backup::BackupVault")
		planID, plan := v.One(t, "AWS::Backup::BackupPlan")
		lifecycle := map[string]any{"DeleteAfterDays": s.Backup.RetentionDays}
		stackstest.Same(t, "plan", plan.Properties["BackupPlan"], map[string]any{
			"BackupPlanName": "payment-" + s.Environment,
			// And no continuous backup: the cluster's own window stays its own.
			"BackupPlanRule": []any{map[string]any{
				"RuleName": "daily", "ScheduleExpression": "cron(0 11 ? * * *)", "StartWindowMinutes": 60, "CompletionWindowMinutes": 720,
				"TargetBackupVault": stackstest.Ref(vaultID), "Lifecycle": lifecycle,
				"CopyActions": []any{map[string]any{"DestinationBackupVaultArn": arnIn(s, other, "backup", "backup-vault:payment-"+s.Environment), "Lifecycle": lifecycle}},
			}},
		})
		// What is copied there is there to be copied to.
		for _, role := range stackstest.RegionalRoles {
			if opposite := stackstest.ViewOf(t, s.Environment, role); opposite.Stack.Region == other {
				_, vault := opposite.One(t, "AWS::Backup::BackupVault")
				stackstest.Same(t, "the other vault", vault.Properties["BackupVaultName"], "payment-"+s.Environment)
				opposite.KeyOf(t, "-backup") // by whose alias the role may use it
			}
		}
		_, selection := v.One(t, "AWS::Backup::BackupSelection")
		stackstest.Same(t, "plan of the selection", selection.Properties["BackupPlanId"], stackstest.Ref(planID))
		_, cluster := v.One(t, "AWS::RDS::DBCluster")
		chosen := assembly.Object(selection.Properties["BackupSelection"])
		stackstest.Same(t, "resources", chosen["Resources"], []string{
			arnIn(s, region, "rds", "cluster:"+cluster.Properties["DBClusterIdentifier"].(string)),
			arnIn(s, region, "dynamodb", "table/payment-"+s.Environment+"-sessions"),
		})
		for _, wide := range []string{"ListOfTags", "Conditions", "NotResources"} {
			if chosen[wide] != nil {
				t.Errorf("chosen too by %s: %s", wide, stackstest.Text(chosen[wide]))
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
	stackstest.Each(t, func(t *testing.T, v stackstest.View) {
		_, cluster := v.One(t, "AWS::RDS::DBCluster")
		covers(t, "the cluster", cluster.Properties["BackupRetentionPeriod"])
	})
	for _, env := range stackstest.Environments {
		_, table := stackstest.ViewOf(t, env, stacks.RolePrimary).One(t, "AWS::DynamoDB::GlobalTable")
		replicas := assembly.List(table.Properties["Replicas"])
		if len(replicas) != 2 {
			t.Errorf("%s: %d replicas", env, len(replicas))
		}
		for _, replica := range replicas {
			window := assembly.Object(assembly.At(replica, "PointInTimeRecoverySpecification"))
			stackstest.Same(t, env+": switched on", window["PointInTimeRecoveryEnabled"], true)
			covers(t, env+": the table", window["RecoveryPeriodInDays"])
		}
	}
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
		stackstest.Same(t, id, got[id], statement)
	}
	for id := range got {
		if want[id] == nil {
			t.Errorf("%s is not wanted: %s", id, stackstest.Text(got[id]))
		}
	}
}

// servedByBackup is the role that a property names, which is AWS Backup's alone.
func servedByBackup(t *testing.T, v stackstest.View, arn any) string {
	t.Helper()
	id := assembly.List(assembly.At(arn, "Fn::GetAtt"))[0].(string)
	trust := v.Stack.Template.Resources[id].Properties["AssumeRolePolicyDocument"]
	stackstest.Same(t, "may be assumed by", assembly.At(trust, "Statement"), []any{map[string]any{
		"Action": "sts:AssumeRole", "Effect": "Allow", "Principal": map[string]any{"Service": "backup.amazonaws.com"},
	}})
	return id
}

func TestTheBackupRoleMayDoThatAlone(t *testing.T) {
	stackstest.Each(t, func(t *testing.T, v stackstest.View) {
		s, here, there := v.Assembly.Settings, v.Stack.Region, v.OtherRegion()
		_, selection := v.One(t, "AWS::Backup::BackupSelection")
		role := servedByBackup(t, v, assembly.At(selection.Properties["BackupSelection"], "IamRoleArn"))
		vaultKey, _ := v.KeyOf(t, "-backup")
		platformKey, _ := v.KeyOf(t, "")
		keys := []any{stackstest.GetAtt(vaultKey, "Arn"), stackstest.GetAtt(platformKey, "Arn")}
		name := "payment-" + s.Environment
		snapshots, otherSnapshots := arnIn(s, here, "rds", "cluster-snapshot:awsbackup:*"), arnIn(s, there, "rds", "cluster-snapshot:awsbackup:*")
		grant := map[string]any{"kms:GrantIsForAWSResource": "true"}
		alias := map[string]any{"kms:ResourceAliases": "alias/" + name + "-backup"}
		sorted := func(arns ...string) []string { slices.Sort(arns); return arns }
		sameStatements(t, v.StatementsOf(t, role), map[string]map[string]any{
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
			"EncryptInTheVault": statement(nil, stackstest.GetAtt(vaultKey, "Arn"), "kms:Decrypt", "kms:GenerateDataKey"),
			"EncryptInTheOtherVault": statement(map[string]any{"ForAnyValue:StringEquals": alias}, arnIn(s, there, "kms", "key/*"),
				"kms:Decrypt", "kms:GenerateDataKey"),
			"FindTheOtherKey": statement(map[string]any{"ForAnyValue:StringEquals": alias}, arnIn(s, there, "kms", "key/*"), "kms:DescribeKey"),
			"UseTheOtherKey":  statement(map[string]any{"ForAnyValue:StringEquals": alias, "Bool": grant}, arnIn(s, there, "kms", "key/*"), "kms:CreateGrant"),
		})
	})
}

// Roles swap: what one Region keeps the other keeps too, and nothing in it says which of them is the primary.
func TestBothRegionsBackUpAlike(t *testing.T) {
	for _, env := range stackstest.Environments {
		s := stackstest.Assembly(t, env).Settings
		var shapes []string
		for _, role := range stackstest.RegionalRoles {
			v := stackstest.ViewOf(t, env, role)
			parts := map[string]any{}
			for _, kind := range []string{"AWS::Backup::BackupVault", "AWS::Backup::BackupPlan", "AWS::Backup::BackupSelection", "AWS::Backup::RestoreTestingPlan", "AWS::Backup::RestoreTestingSelection"} {
				for id, resource := range v.Of(kind) {
					parts[id] = resource.Properties
				}
			}
			shape := strings.NewReplacer(v.Stack.Region, "HERE", v.OtherRegion(), "THERE").Replace(stackstest.Text(parts))
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
