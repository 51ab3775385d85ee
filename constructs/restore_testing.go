package constructs

import (
	"strconv"
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsbackup"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsdynamodb"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsevents"
	"github.com/aws/aws-cdk-go/awscdk/v2/awseventstargets"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssqs"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"

	"payments-dr/internal/payment/ledger"
	"payments-dr/internal/payment/sessiontable"
	"payments-dr/internal/payment/variables"
	"payments-dr/internal/settings"
)

const (
	// restoreSchedule is Monday at 13:00 UTC, when the day's backups have begun, and restoreWindowDays how old the newest
	// recovery point may be that is restored.
	restoreSchedule   = "cron(0 13 ? * MON *)"
	restoreWindowDays = 7
	// restoredNames is how AWS Backup begins the names of what it restores for a test ("Restore testing inferred metadata", AWS
	// Backup Developer Guide).
	restoredNames = "awsbackup-restore-test-"

	// validateFunction is the function's name, and its folder.
	validateFunction = "validate"
	// restoreValidation is what the validation's queue and rule are called, after "payment-<env>-".
	restoreValidation = "restore-validation"
	// validateTimeout is one look at what was restored. What does not fit is not compared, and the verdict says so.
	validateTimeout = 10 * time.Minute
	// validateVisibility is six times the function's timeout ("Configuring a queue to use with Lambda", AWS Lambda Developer
	// Guide). It is also the wait between making a restored cluster's instance, some ten minutes, and looking into it.
	validateVisibility = 6 * validateTimeout
	// validateReceives is how often a restored resource is looked at. The last look ends in a verdict in any case.
	validateReceives = 4
	// restoreValidationMost is when all looks are over, and as long as another.
	restoreValidationMost = (validateReceives + 1) * validateVisibility
	// validationWindowHours is how long AWS Backup keeps what it has restored for somebody to look at: all receives, and as much
	// again. Without a verdict it is deleted then.
	validationWindowHours = 8
)

// RestoreTestingProps is what restores are tried with.
type RestoreTestingProps struct {
	Settings *settings.Settings
	Region   settings.Region
	Network  *Network
	Key      awskms.Key
	Backup   *Backup
	Table    awsdynamodb.ITableV2
	// Schema is the migration, which comes before the function.
	Schema constructs.IDependable
}

// RestoreTesting proves that recovery points can be restored, and that what was accepted is in them.
type RestoreTesting struct {
	Function awslambda.Function
	Plan     awsbackup.CfnRestoreTestingPlan
	// Failures gets the restores without a verdict, and those that were found wanting.
	Failures awssqs.Queue
}

// NewRestoreTesting makes the weekly restore test of one Region: AWS Backup restores the newest recovery points of cluster and
// table under names of its own, an event brings each to the function "validate", by a queue, and the function compares it
// with the live table and tells AWS Backup the verdict. AWS Backup then deletes what it has restored ("Restore testing", AWS Backup
// Developer Guide).
//
// The restored cluster gets the live one's subnets, security group and parameters, and sign-in by IAM, so that the function
// reaches it as the ledger reaches the live one. It comes without an instance: the function makes one and leaves the message in
// the queue until there is something to look into.
func NewRestoreTesting(scope constructs.Construct, id string, props RestoreTestingProps) *RestoreTesting {
	scope = constructs.NewConstruct(scope, text(id))
	s, stack := props.Settings, awscdk.Stack_Of(scope)
	plan := awsbackup.NewCfnRestoreTestingPlan(scope, text("Plan"), &awsbackup.CfnRestoreTestingPlanProps{
		RestoreTestingPlanName: text("payment_" + s.Environment), // letters, digits and underscores
		ScheduleExpression:     text(restoreSchedule),
		StartWindowHours:       jsii.Number(1),
		RecoveryPointSelection: &awsbackup.CfnRestoreTestingPlan_RestoreTestingRecoveryPointSelectionProperty{
			Algorithm:           text("LATEST_WITHIN_WINDOW"), // what a recovery would take
			RecoveryPointTypes:  texts("SNAPSHOT"),
			IncludeVaults:       &[]*string{props.Backup.Vault.AttrBackupVaultArn()},
			SelectionWindowDays: jsii.Number(restoreWindowDays),
		},
	})
	role := newRestoreRole(scope, props)
	identifier := ClusterIdentifier(s, props.Region)
	for _, selection := range []struct {
		name, kind string
		resource   *string
		overrides  any
	}{
		{"cluster", "Aurora", clusterARN(stack, s, props.Region), map[string]*string{
			"dbSubnetGroupName":               text(identifier),
			"dbClusterParameterGroupName":     text(identifier),
			"vpcSecurityGroupIds":             stack.ToJsonString(&[]*string{props.Network.Database.SecurityGroupId()}, nil),
			"enableIamDatabaseAuthentication": text("true"),
		}},
		{"table", "DynamoDB", tableARN(stack, SessionTableName(s)), nil},
	} {
		awsbackup.NewCfnRestoreTestingSelection(scope, text(selection.name), &awsbackup.CfnRestoreTestingSelectionProps{
			RestoreTestingPlanName: plan.Ref(), RestoreTestingSelectionName: text(selection.name),
			ProtectedResourceType: text(selection.kind), ProtectedResourceArns: &[]*string{selection.resource},
			IamRoleArn: role.RoleArn(), RestoreMetadataOverrides: selection.overrides, ValidationWindowHours: jsii.Number(validationWindowHours),
		})
	}
	r := &RestoreTesting{
		Plan:     plan,
		Function: newValidate(scope, props),
		Failures: NewDeadLetterQueue(scope, "Failures", s, restoreValidation+"-failures", props.Key),
	}
	queue := newQueue(scope, "Queue", s, restoreValidation, props.Key, &awssqs.QueueProps{
		VisibilityTimeout: seconds(validateVisibility), RetentionPeriod: seconds(maxMessageRetention),
		DeadLetterQueue: &awssqs.DeadLetterQueue{Queue: r.Failures, MaxReceiveCount: jsii.Number(validateReceives)},
	})
	name := QueueName(s, restoreValidation) // the rule's as well
	allowEventBridge(props.Key, stack, "rule/"+name)
	awsevents.NewRule(scope, text("Restored"), &awsevents.RuleProps{
		RuleName:    text(name),
		Description: text("What a restore test has restored is to be looked into"),
		EventPattern: &awsevents.EventPattern{
			Source: texts("aws.backup"), DetailType: texts("Restore Job State Change"),
			Detail: &map[string]any{
				"status":                []string{"COMPLETED"},
				"restoreTestingPlanArn": []*string{plan.AttrRestoreTestingPlanArn()}, // nobody else's restores
			},
		},
		Targets: &[]awsevents.IRuleTarget{awseventstargets.NewSqsQueue(queue, &awseventstargets.SqsQueueProps{
			DeadLetterQueue: r.Failures, MaxEventAge: seconds(targetRetryWindow), RetryAttempts: jsii.Number(targetRetries),
		})},
	})
	newRuleAlarms(scope, s, "", name)
	newRestoreValidationAlarm(scope, s)
	queue.GrantConsumeMessages(r.Function)
	awslambda.NewEventSourceMapping(scope, text("Mapping"), &awslambda.EventSourceMappingProps{
		Target: r.Function, EventSourceArn: queue.QueueArn(),
		BatchSize:               jsii.Number(1), // a verdict of failure ends its invocation in an error, and is to be nobody else's
		MaxConcurrency:          jsii.Number(2), // the least that SQS takes
		ReportBatchItemFailures: jsii.Bool(true),
	})
	return r
}

// newValidate makes the function and what it may do: read the live table and restored ones, give restored clusters an instance
// and take it away, sign in to them as the ledger's user, and say what it found.
func newValidate(scope constructs.Construct, props RestoreTestingProps) awslambda.Function {
	s, stack, region := props.Settings, awscdk.Stack_Of(scope), props.Region
	function := NewFunction(scope, "Validate", FunctionProps{
		Settings:    s,
		Name:        validateFunction,
		Description: "Compares what a restore test has restored with the live payments",
		Timeout:     validateTimeout,
		Network:     props.Network,
		Concurrency: "A queue invokes it, with one message for each restore: two a week.",
		Failures:    "Its queue invokes it: a message that fails is tried again and ends in restore-validation-failures, the queue's dead-letter queue, with an alarm.",
		Key:         props.Key,
		Schema:      props.Schema,
		Environment: map[string]string{
			variables.InstanceClass: s.Database.InstanceClass,
			variables.MaxReceives:   strconv.Itoa(validateReceives),
		},
	})
	rds := func(resource string) *string { return regionalARN(stack, region.Name, "rds", resource) }
	cluster, instance := rds("cluster:"+restoredNames+"*"), rds("db:"+restoredNames+"*")
	live, restored := *props.Table.TableArn(), *tableARN(stack, restoredNames+"*")
	for _, statement := range []awsiam.PolicyStatement{
		// These know no resources ("Actions, resources, and condition keys for AWS Backup", Service Authorization Reference).
		allow("TellTheVerdict", []*string{text("*")}, "backup:DescribeRestoreJob", "backup:PutRestoreValidationResult"),
		allow("ReadTables", []*string{text(live), text(restored)}, "dynamodb:BatchGetItem"),
		allow("ReadTheirIndexes", []*string{text(live + "/index/" + sessiontable.IndexByAcceptance), text(restored + "/index/" + sessiontable.IndexByAcceptance)},
			"dynamodb:Query", "dynamodb:Scan"),
		allow("LookAtRestoredClusters", []*string{cluster, instance}, "rds:DescribeDBClusters", "rds:DescribeDBInstances"),
		allow("GiveThemAnInstance", []*string{cluster, instance, rds("subgrp:" + ClusterIdentifier(s, region)),
			rds("pg:default." + parameterGroupFamily), rds("og:default:" + auroraEngine + "-8-0")}, "rds:CreateDBInstance"),
		allow("TagAndRemoveIt", []*string{instance}, "rds:AddTagsToResource", "rds:DeleteDBInstance"),
		// RDS takes the key into use for whoever makes the instance ("AWS KMS key management", Amazon Aurora User Guide).
		allowIf("RunItWithTheKey", map[string]any{"StringEquals": map[string]any{"kms:ViaService": "rds." + region.Name + ".amazonaws.com"}},
			[]*string{props.Key.KeyArn()}, "kms:CreateGrant", "kms:DescribeKey"),
		// What a restored cluster will be called here is not known before it is there. The user reads and adds payments, no more.
		allow("SignIn", []*string{regionalARN(stack, region.Name, "rds-db", "dbuser:cluster-*/"+ledger.UserName)}, "rds-db:connect"),
	} {
		function.AddToRolePolicy(statement)
	}
	suppress(child(function.Role(), "DefaultPolicy"),
		wildcards("AWS Backup names what it restores for a test when it restores it, with this prefix, which nothing live has. Only instances of that name can be made and removed.",
			onResource(*cluster), onResource(*instance), onResource(restored), onResource(restored+"/index/"+sessiontable.IndexByAcceptance)),
		wildcards("A restored cluster's id is generated when it is restored. The database user is the ledger's, who can read and add payments, and the network lets the function reach this platform's clusters alone.",
			onResource(*regionalARN(stack, region.Name, "rds-db", "dbuser:cluster-*/"+ledger.UserName))),
	)
	return function
}

// newRestoreRole makes the role that AWS Backup restores with: of the managed policy AWSBackupServiceRolePolicyForRestores what
// is for an Aurora cluster and a DynamoDB table, on what restore tests make alone. Left out are the other services, restores to
// a point in time, and instances, which AWS Backup makes none of. What it has restored its service-linked role deletes, by its
// tag; rds:DeleteDBCluster is for a restore that fails half-way.
func newRestoreRole(scope constructs.Construct, props RestoreTestingProps) awsiam.Role {
	s, stack, region := props.Settings, awscdk.Stack_Of(scope), props.Region
	rds := func(resource string) *string { return regionalARN(stack, region.Name, "rds", resource) }
	cluster, snapshot := rds("cluster:"+restoredNames+"*"), rds("cluster-snapshot:awsbackup:*")
	identifier := ClusterIdentifier(s, region)
	keys := []*string{props.Key.KeyArn(), props.Backup.VaultKey.KeyArn()}
	via := map[string]any{"StringEquals": map[string]any{
		"kms:ViaService": []string{"dynamodb." + region.Name + ".amazonaws.com", "rds." + region.Name + ".amazonaws.com"},
	}}
	role := newBackupServiceRole(scope, "Role", "Restores recovery points of "+region.Name+" to be tested", []awsiam.PolicyStatement{
		allow("RestoreATable", []*string{tableARN(stack, restoredNames+"*")}, "dynamodb:BatchWriteItem", "dynamodb:DeleteItem", "dynamodb:DescribeTable",
			"dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:Query", "dynamodb:RestoreTableFromAwsBackup", "dynamodb:Scan", "dynamodb:UpdateItem"),
		allow("RestoreACluster", []*string{cluster, snapshot, rds("subgrp:" + identifier), rds("cluster-pg:" + identifier), rds("og:default:" + auroraEngine + "-8-0")},
			"rds:RestoreDBClusterFromSnapshot"),
		allow("WatchIt", []*string{cluster, snapshot}, "rds:DescribeDBClusterSnapshots", "rds:DescribeDBClusters", "rds:ListTagsForResource"),
		allow("TagAndRemoveIt", []*string{cluster}, "rds:AddTagsToResource", "rds:DeleteDBCluster"),
		allow("FindKeys", keys, "kms:DescribeKey"),
		allowIf("ReadWithKeys", via, keys, "kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey", "kms:GenerateDataKeyWithoutPlaintext", "kms:ReEncryptFrom", "kms:ReEncryptTo"),
		allowIf("UseKeys", map[string]any{"Bool": grantForService}, keys, "kms:CreateGrant"),
	})
	suppress(role,
		ownPolicy("AWS Backup, to restore for a test,"),
		wildcards("What is restored for a test gets its name then, with a prefix that nothing live has; and snapshots have ids that AWS Backup gives them. The role can write to the one and read the other.",
			onResource(*cluster), onResource(*snapshot), onResource(*tableARN(stack, restoredNames+"*"))),
	)
	return role
}
