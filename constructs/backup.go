package constructs

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsbackup"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"

	"payments-dr/internal/settings"
)

const (
	// backupSchedule is daily at 11:00 UTC, hours away from the cluster's own backup and maintenance windows.
	backupSchedule = "cron(0 11 ? * * *)"
	// backupStartMinutes is how long a job may wait for its start, 60 at the least, and backupCompletionMinutes how long it may
	// take before it counts as failed: half a day, so that it is over before the next begins ("BackupRule", AWS Backup API Reference).
	backupStartMinutes      = 60
	backupCompletionMinutes = 720
)

// BackupVaultName is a vault's name, the same in both Regions.
func BackupVaultName(s *settings.Settings) string { return "payment-" + s.Environment }

// BackupKeyAlias is the name of the key of a Region's vault. A key's ARN is generated; by its alias the other Region can name it.
func BackupKeyAlias(s *settings.Settings) string { return "alias/payment-" + s.Environment + "-backup" }

// Backup is what one Region keeps, of itself and of the other Region.
type Backup struct {
	Vault awsbackup.CfnBackupVault
	// VaultKey encrypts the table's recovery points and the copies that come from the other Region.
	VaultKey awskms.Key
	Plan     awsbackup.CfnBackupPlan
}

// BackupProps is what there is to back up.
type BackupProps struct {
	Settings *settings.Settings
	Region   settings.Region
	// Key encrypts the Region's cluster, and so its snapshots.
	Key awskms.IKey
}

// NewBackup makes one Region's vault, with its key and its lock, and the daily plan that backs up the Region's cluster and its
// replica of the session table and copies each recovery point into the other Region's vault.
//
// Both Regions do this at all times, whichever is active, so that a recovery has nothing to switch on: each member of a global
// database is a cluster with a storage volume of its own, and each replica of a global table is a table of its own. The
// documentation excludes Backtrack for members and says nothing against snapshots of one that only reads ("Limitations of Amazon
// Aurora Global Database", Amazon Aurora User Guide); should AWS Backup refuse one, its job fails and tells so, and the active
// Region's recovery points are in both vaults all the same. A Region that is lost has left its recovery points of every day in
// the other one. It costs the storage twice.
//
// The plan makes no continuous backups. They would change the cluster's own retention and would have to be given up with the
// plan; the way back to any moment is the cluster's and the table's own point-in-time recovery, whose window the settings keep
// at 72 hours or more. A copy of an Aurora snapshot in another Region is a full one, without point in time ("Creating backup
// copies across AWS Regions", AWS Backup Developer Guide).
//
// The account has to have Aurora and DynamoDB, and DynamoDB's advanced features, switched on in AWS Backup, in each Region; the
// copies of the table need them ("Advanced DynamoDB backup", the same guide). CloudFormation has no resource for that.
func NewBackup(scope constructs.Construct, id string, props BackupProps) *Backup {
	scope = constructs.NewConstruct(scope, text(id))
	s, stack := props.Settings, awscdk.Stack_Of(scope)
	name := BackupVaultName(s)
	// The key's policy leaves it to the account's IAM policies who may use it, and AWS Backup works with the roles below and its
	// service-linked one. Key and vault stay when their stack goes, in any environment: recovery points outlive what they are of,
	// and a vault that holds one cannot be deleted.
	key := awskms.NewKey(scope, text("VaultKey"), &awskms.KeyProps{
		Alias:             text(BackupKeyAlias(s)),
		Description:       text("Payments platform, " + s.Environment + ": recovery points of the vault of this Region"),
		EnableKeyRotation: jsii.Bool(true),
		RemovalPolicy:     retained,
	})
	vault := awsbackup.NewCfnBackupVault(scope, text("Vault"), &awsbackup.CfnBackupVaultProps{
		BackupVaultName: text(name), EncryptionKeyArn: key.KeyArn(), LockConfiguration: vaultLock(s),
	})
	vault.ApplyRemovalPolicy(retained, nil)

	lifecycle := &awsbackup.CfnBackupPlan_LifecycleResourceTypeProperty{DeleteAfterDays: jsii.Number(s.Backup.RetentionDays)}
	plan := awsbackup.NewCfnBackupPlan(scope, text("Plan"), &awsbackup.CfnBackupPlanProps{
		BackupPlan: &awsbackup.CfnBackupPlan_BackupPlanResourceTypeProperty{
			BackupPlanName: text(name),
			BackupPlanRule: []*awsbackup.CfnBackupPlan_BackupRuleResourceTypeProperty{{
				RuleName:                text("daily"),
				TargetBackupVault:       vault.Ref(),
				ScheduleExpression:      text(backupSchedule),
				StartWindowMinutes:      jsii.Number(backupStartMinutes),
				CompletionWindowMinutes: jsii.Number(backupCompletionMinutes),
				Lifecycle:               lifecycle,
				CopyActions: []*awsbackup.CfnBackupPlan_CopyActionResourceTypeProperty{{
					DestinationBackupVaultArn: vaultARN(stack, s, s.Other(props.Region)), Lifecycle: lifecycle,
				}},
			}},
		},
	})
	role := newBackupRole(scope, props, key)
	awsbackup.NewCfnBackupSelection(scope, text("Selection"), &awsbackup.CfnBackupSelectionProps{
		BackupPlanId: plan.Ref(),
		BackupSelection: &awsbackup.CfnBackupSelection_BackupSelectionResourceTypeProperty{
			SelectionName: text("payments"), IamRoleArn: role.RoleArn(),
			Resources: &[]*string{clusterARN(stack, s, props.Region), tableARN(stack, SessionTableName(s))},
		},
	})
	return &Backup{Vault: vault, VaultKey: key, Plan: plan}
}

// vaultLock keeps recovery points from being deleted, and jobs from asking for less than the settings' retention.
//
// Without days to change it in, it is a governance lock, which whoever has the permission can take off. WITH THEM IT IS A
// COMPLIANCE LOCK: when they are over, nobody can take it off or delete a recovery point before its time, not the account's
// root user, and not AWS; and its bounds stay what they are for as long as the vault holds anything ("AWS Backup Vault Lock",
// AWS Backup Developer Guide). The settings ask for that in so many words, or it is not so.
func vaultLock(s *settings.Settings) *awsbackup.CfnBackupVault_LockConfigurationTypeProperty {
	lock := &awsbackup.CfnBackupVault_LockConfigurationTypeProperty{
		MinRetentionDays: jsii.Number(s.Backup.RetentionDays),
		// Not the settings' own: then a retention could never be raised.
		MaxRetentionDays: jsii.Number(settings.MaxBackupRetentionDays),
	}
	if s.Backup.Lock == settings.LockCompliance {
		lock.ChangeableForDays = jsii.Number(s.Backup.LockGraceDays)
	}
	return lock
}

// newBackupRole makes the role that AWS Backup makes recovery points and copies with: of the managed policy
// AWSBackupServiceRolePolicyForBackup what is for Aurora's and DynamoDB's snapshots and their copies, on this platform's resources
// alone. Left out are the other services, continuous backups (rds:ModifyDBCluster and automated backups), sharing with other
// accounts (ModifyDBClusterSnapshotAttribute), selection by tags (tag:GetResources), and the table's backups without advanced
// features, which could not be copied.
func newBackupRole(scope constructs.Construct, props BackupProps, key awskms.IKey) awsiam.Role {
	s, stack, other := props.Settings, awscdk.Stack_Of(scope), props.Settings.Other(props.Region)
	anySnapshot := func(region settings.Region) *string { // AWS Backup's own, by the name that it gives them
		return regionalARN(stack, region.Name, "rds", "cluster-snapshot:awsbackup:*")
	}
	here, there := anySnapshot(props.Region), anySnapshot(other)
	cluster, table := clusterARN(stack, s, props.Region), tableARN(stack, SessionTableName(s))
	vaults := []*string{vaultARN(stack, s, props.Region), vaultARN(stack, s, other)}
	role := newBackupServiceRole(scope, "Role", "Backs up the payments of "+props.Region.Name+" and copies them to "+other.Name, []awsiam.PolicyStatement{
		allow("BackUpTheTable", []*string{table}, "dynamodb:DescribeTable", "dynamodb:ListTagsOfResource", "dynamodb:StartAwsBackupJob"),
		allow("BackUpTheCluster", []*string{cluster, here}, "rds:CreateDBClusterSnapshot", "rds:DescribeDBClusters", "rds:ListTagsForResource"),
		// A snapshot is copied by a call in the Region that it goes to.
		allow("KeepSnapshots", []*string{here, there}, "rds:AddTagsToResource", "rds:CopyDBClusterSnapshot", "rds:DeleteDBClusterSnapshot",
			"rds:DescribeDBClusterSnapshots"),
		allow("FillTheVaults", vaults, "backup:CopyIntoBackupVault", "backup:DescribeBackupVault"),
		// A snapshot is a recovery point by its own ARN, what AWS Backup manages wholly has one of AWS Backup's.
		allow("CopyRecoveryPoints", []*string{here, regionalARN(stack, props.Region.Name, "backup", "recovery-point:*")}, "backup:CopyFromBackupVault"),
		allow("TagRecoveryPoints", []*string{
			regionalARN(stack, props.Region.Name, "backup", "recovery-point:*"), regionalARN(stack, other.Name, "backup", "recovery-point:*"),
		}, "backup:TagResource"),
		allow("FindKeys", []*string{props.Key.KeyArn(), key.KeyArn()}, "kms:DescribeKey"),
		// For a table's recovery point in a vault with a customer key ("Advanced DynamoDB backup", AWS Backup Developer Guide).
		allow("EncryptInTheVault", []*string{key.KeyArn()}, "kms:Decrypt", "kms:GenerateDataKey"),
		allowIf("EncryptInTheOtherVault", map[string]any{"ForAnyValue:StringEquals": byBackupAlias(s)},
			[]*string{regionalARN(stack, other.Name, "kms", "key/*")}, "kms:Decrypt", "kms:GenerateDataKey"),
		allowIf("UseKeys", map[string]any{"Bool": grantForService}, []*string{props.Key.KeyArn(), key.KeyArn()}, "kms:CreateGrant"),
		// The key of the other Region's vault, which a copy takes. Its ARN is generated there; its alias is not.
		allowIf("FindTheOtherKey", map[string]any{"ForAnyValue:StringEquals": byBackupAlias(s)}, []*string{regionalARN(stack, other.Name, "kms", "key/*")}, "kms:DescribeKey"),
		allowIf("UseTheOtherKey", map[string]any{"ForAnyValue:StringEquals": byBackupAlias(s), "Bool": grantForService},
			[]*string{regionalARN(stack, other.Name, "kms", "key/*")}, "kms:CreateGrant"),
	})
	suppress(role,
		ownPolicy("AWS Backup, to back up and copy,"),
		wildcards("Snapshots and recovery points get their ids when AWS Backup makes them, so they are named by the prefix that it gives them, in the two Regions alone. "+
			"The key of the other Region's vault has an id that is generated there; a condition holds the wildcard to the vault key's alias.",
			onResource(*here), onResource(*there), onResource(*regionalARN(stack, props.Region.Name, "backup", "recovery-point:*")),
			onResource(*regionalARN(stack, other.Name, "backup", "recovery-point:*")), onResource(*regionalARN(stack, other.Name, "kms", "key/*"))),
	)
	return role
}

// grantForService is the condition that a key is given to an AWS service, for a resource, and to nobody else.
var grantForService = map[string]any{"kms:GrantIsForAWSResource": "true"}

func byBackupAlias(s *settings.Settings) map[string]any {
	return map[string]any{"kms:ResourceAliases": BackupKeyAlias(s)}
}

// newBackupServiceRole makes a role for AWS Backup. No condition says for whom: a role cannot be handed to another account's
// plan, and that AWS Backup names an account when it assumes one is not documented.
func newBackupServiceRole(scope constructs.Construct, id, description string, statements []awsiam.PolicyStatement) awsiam.Role {
	return awsiam.NewRole(scope, text(id), &awsiam.RoleProps{
		AssumedBy:      awsiam.NewServicePrincipal(text("backup.amazonaws.com"), nil),
		Description:    text(description),
		InlinePolicies: &map[string]awsiam.PolicyDocument{"Payments": awsiam.NewPolicyDocument(&awsiam.PolicyDocumentProps{Statements: &statements})},
	})
}

func allow(id string, resources []*string, actions ...string) awsiam.PolicyStatement {
	return awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{Sid: text(id), Actions: texts(actions...), Resources: &resources})
}

func allowIf(id string, conditions map[string]any, resources []*string, actions ...string) awsiam.PolicyStatement {
	return awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{Sid: text(id), Actions: texts(actions...), Resources: &resources, Conditions: &conditions})
}

// regionalARN is an ARN of this account by all that comes after it.
func regionalARN(stack awscdk.Stack, region, service, resource string) *string {
	return stack.FormatArn(&awscdk.ArnComponents{
		Service: text(service), Region: text(region), Resource: text(resource), ArnFormat: awscdk.ArnFormat_NO_RESOURCE_NAME,
	})
}

func vaultARN(stack awscdk.Stack, s *settings.Settings, region settings.Region) *string {
	return regionalARN(stack, region.Name, "backup", "backup-vault:"+BackupVaultName(s))
}

func clusterARN(stack awscdk.Stack, s *settings.Settings, region settings.Region) *string {
	return regionalARN(stack, region.Name, "rds", "cluster:"+ClusterIdentifier(s, region))
}

// tableARN is a table of the stack's own Region.
func tableARN(stack awscdk.Stack, name string) *string {
	return regionalARN(stack, *stack.Region(), "dynamodb", "table/"+name)
}
