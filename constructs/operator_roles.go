package constructs

import (
	"maps"
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"

	"payments-dr/internal/payment"
	"payments-dr/internal/settings"
)

// operatorSessionHours is how long an operator's session lasts: a recovery and its aftermath, and not a shift.
const operatorSessionHours = 2

// OperatorRoleName is the operator's role for one Region. Roles are global, so the name carries the Region.
func OperatorRoleName(s *settings.Settings, region settings.Region) string {
	return "payment-" + s.Environment + "-operator-" + region.Name
}

// ApproverRoleName is the role that approves an execution of the recovery plan.
func ApproverRoleName(s *settings.Settings) string { return "payment-" + s.Environment + "-approver" }

// OperatorRoleProps is whom the role is for, and what it may restore.
type OperatorRoleProps struct {
	Settings *settings.Settings
	Region   settings.Region
	// Key encrypts the Region's cluster, what is restored from it, and the queues.
	Key awskms.IKey
}

// NewOperatorRole makes the role of whoever is on call, for one Region: run and watch the recovery plan, read metrics, alarms,
// parameters and what is backed up, hold drills, restore beside the live data and remove that again, have table and ledger reconciled, and bring back dead
// letters and archived events. It can neither approve its own execution nor skip a step, the approval among them, nor touch what the plan
// moves. Whoever may bring back an event could make one up: the ledger would record it, and the reconciliation find it unaccounted for
// within the hour, and tell. Whatever the role does, it does in its Region, but for a drill's payments, which go where the public name
// leads: an execution runs in the Region that it activates, so the role of the Region that is left is enough for everything.
func NewOperatorRole(scope constructs.Construct, id string, props OperatorRoleProps) awsiam.Role {
	scope = constructs.NewConstruct(scope, text(id))
	s, region, stack := props.Settings, props.Region, awscdk.Stack_Of(scope)
	role := newAssumableRole(scope, s, OperatorRoleName(s, region), "On call for "+region.Name+": runs the recovery plan", s.Operators.Principals)

	arn := func(service, resource, name string) *string {
		format := awscdk.ArnFormat_COLON_RESOURCE_NAME
		if service == "dynamodb" || service == "ssm" || service == "events" {
			format = awscdk.ArnFormat_SLASH_RESOURCE_NAME
		}
		if service == "sqs" { // its ARNs have no type of resource
			return stack.FormatArn(&awscdk.ArnComponents{Service: text(service), Resource: text(resource), ArnFormat: awscdk.ArnFormat_NO_RESOURCE_NAME})
		}
		return stack.FormatArn(&awscdk.ArnComponents{Service: text(service), Resource: text(resource), ResourceName: text(name), ArnFormat: format})
	}
	// What is restored stands beside the live data under a name of its own, and that prefix is all that a restore may make.
	beside := ClusterIdentifier(s, region) + "-restore-*"
	tableBeside := SessionTableName(s) + "-restore-*"
	here := &map[string]any{"StringEquals": map[string]any{"aws:RequestedRegion": region.Name}}
	var statements []awsiam.PolicyStatement
	statement := func(id string, resources []*string, actions ...string) {
		statements = append(statements, awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{
			Sid: text(id), Actions: texts(actions...), Resources: &resources, Conditions: here,
		}))
	}
	anything := []*string{text("*")}
	run := []string{"arc-region-switch:StartPlanExecution", "arc-region-switch:CancelPlanExecution", "arc-region-switch:UpdatePlanExecution"}
	if s.Recovery.Automatic {
		run = append(run, actionSkipStep) // there is no approval to skip
	}
	statement("RunAndWatchThePlan", []*string{RecoveryPlanARNs(scope, s)}, append(run,
		"arc-region-switch:GetPlanInRegion", "arc-region-switch:GetPlanExecution", "arc-region-switch:GetPlanEvaluationStatus",
		"arc-region-switch:ListPlanExecutions", "arc-region-switch:ListPlanExecutionEvents", "arc-region-switch:ListRoute53HealthChecksInRegion")...)
	// These know no resources ("Actions, resources, and condition keys", of each service, Service Authorization Reference).
	statement("FindAndMeasure", anything, "arc-region-switch:ListPlansInRegion",
		"cloudwatch:GetMetricData", "cloudwatch:ListMetrics", "cloudwatch:DescribeAlarms", "rds:DescribeGlobalClusters", "dynamodb:ListTables",
		"backup:ListRestoreJobs")
	statement("SeeTheBackups", []*string{vaultARN(stack, s, region)}, "backup:ListRecoveryPointsByBackupVault")
	statement("ReadParameters", []*string{arn("ssm", "parameter", "payment/"+s.Environment+"/*")}, "ssm:GetParameter", "ssm:GetParameters", "ssm:GetParametersByPath")
	// What a statement names is what internal/operate/restore asks for; the live cluster is read, and is the source of a restore.
	live := ClusterIdentifier(s, region)
	group, options := arn("rds", "subgrp", live), arn("rds", "og", "default:"+auroraEngine+"-8-0")
	statement("LookAtTheDatabase", []*string{arn("rds", "cluster", live), arn("rds", "cluster", beside), arn("rds", "db", live+"-*")},
		"rds:DescribeDBClusters", "rds:DescribeDBInstances")
	statement("RestoreTheDatabaseBeside", []*string{arn("rds", "cluster", live), arn("rds", "cluster", beside), group, arn("rds", "cluster-pg", live), options},
		"rds:RestoreDBClusterToPointInTime")
	statement("GiveItAnInstance", []*string{arn("rds", "cluster", beside), arn("rds", "db", beside), group, arn("rds", "pg", "default."+parameterGroupFamily), options},
		"rds:CreateDBInstance")
	statement("TagAndRemoveIt", []*string{arn("rds", "cluster", beside), arn("rds", "db", beside)},
		"rds:AddTagsToResource", "rds:DeleteDBInstance", "rds:DeleteDBCluster")
	// RDS takes the key into use for whoever restores ("AWS KMS key management", Amazon Aurora User Guide), and only RDS here.
	statements = append(statements, awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{
		Sid: text("RestoreWithTheKey"), Actions: texts("kms:DescribeKey", "kms:CreateGrant"), Resources: &[]*string{props.Key.KeyArn()},
		Conditions: &map[string]any{"StringEquals": map[string]any{"kms:ViaService": "rds." + region.Name + ".amazonaws.com"}},
	}))
	statement("RestoreTheTableBeside", []*string{arn("dynamodb", "table", SessionTableName(s)), arn("dynamodb", "table", tableBeside)},
		"dynamodb:DescribeTable", "dynamodb:DescribeContinuousBackups", "dynamodb:RestoreTableToPointInTime")
	// DynamoDB restores with the caller's permissions to read and write the copy ("Using IAM with DynamoDB backup and restore",
	// Amazon DynamoDB Developer Guide).
	statement("FillAndRemoveTheTableBeside", []*string{arn("dynamodb", "table", tableBeside)},
		"dynamodb:BatchWriteItem", "dynamodb:DeleteItem", "dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:Query", "dynamodb:Scan",
		"dynamodb:UpdateItem", "dynamodb:DeleteTable")
	// A copy that was forgotten costs money, and is found by a list, which is of all clusters.
	everyCluster := arn("rds", "cluster", "*")
	statement("ListClusters", []*string{everyCluster}, "rds:DescribeDBClusters")
	replays := arn("events", "replay", EventBusName(s)+"-*")
	statements = append(statements, bringBack(s, region, props.Key, here, replays, arn)...)
	pay, apis := payStatement(stack, s)
	statements = append(statements, pay)
	statements = append(statements, drillStatements(arn("dynamodb", "table", SessionTableName(s)), arn("lambda", "function", FunctionName(s, "reconcile")), here)...)
	policy := awsiam.NewPolicy(scope, text("Policy"), &awsiam.PolicyProps{Statements: &statements, Roles: &[]awsiam.IRole{role}})
	suppress(policy,
		ownPolicy("Whoever is on call for the Region"),
		wildcards("To find the plan, to list tables and to read metrics and alarms are actions that know no resources; each of them reads, and a condition keeps it to the role's own Region.", anyResource),
		wildcards("The plan that is run and watched has an ARN that ends in a suffix of AWS's. The plan is made in another stack, after the role, so the wildcard stands for the suffix.", onResource(*RecoveryPlanARNs(scope, s))),
		wildcards("What is restored beside the live data is named when it is restored; the prefix is the platform's, with -restore- in it, and nothing live has such a name. The live cluster's "+
			"instances, of which RDS makes more when it fails over to one, may be looked at.",
			onResource(*arn("rds", "cluster", beside)), onResource(*arn("rds", "db", beside)), onResource(*arn("rds", "db", live+"-*")), onResource(*arn("dynamodb", "table", tableBeside))),
		wildcards("A list is of all clusters; it is how a copy is found that was forgotten, and shows of the others what they are called and where.", onResource(*everyCluster)),
		wildcards("A replay is named when it is started; the prefix is the platform's, and the archive and the bus that it is of are named whole.", onResource(*replays)),
		wildcards("Below this path are the parameters of this environment and nothing else; they are read by path.", onResource(*arn("ssm", "parameter", "payment/"+s.Environment+"/*"))),
		wildcards("Test payments go where the public name leads, which may be either Region's API; account, stage, method and path are named. An API's id would tie each Region's stack to the other's.", invoked(apis)...),
	)
	return role
}

// bringBack is what it takes to bring back dead letters, each the way that internal/operate has for its queue, and the archive's
// events.
func bringBack(s *settings.Settings, region settings.Region, key awskms.IKey, here *map[string]any, replays *string, arn func(service, resource, name string) *string) []awsiam.PolicyStatement {
	queue := func(name string) *string { return arn("sqs", QueueName(s, name), "") }
	bus := EventBusName(s)
	statement := func(id string, conditions *map[string]any, resources []*string, actions ...string) awsiam.PolicyStatement {
		return awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{Sid: text(id), Actions: texts(actions...), Resources: &resources, Conditions: conditions})
	}
	dead := queue(ledgerQueue + "-dead-letters")
	return []awsiam.PolicyStatement{
		statement("CountQueues", here, []*string{
			queue(ledgerQueue), dead, queue("undelivered-events"), queue("relay-failures"), queue("reconcile-failures"), queue("canary-failures"),
			queue("undelivered-notices"), queue(restoreValidation + "-failures"),
		}, "sqs:GetQueueUrl", "sqs:GetQueueAttributes"),
		// A move is made with the permissions of whoever starts it ("Configuring a dead-letter queue redrive", Amazon SQS Developer Guide).
		statement("MoveTheLedgersDeadLetters", here, []*string{dead},
			"sqs:StartMessageMoveTask", "sqs:ListMessageMoveTasks", "sqs:CancelMessageMoveTask", "sqs:ReceiveMessage", "sqs:DeleteMessage"),
		statement("MoveThemToTheLedger", here, []*string{queue(ledgerQueue)}, "sqs:SendMessage"),
		statement("TakeDeadLetters", here, []*string{queue("undelivered-events"), queue("relay-failures"), queue("reconcile-failures")},
			"sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility"),
		statement("ReadThemWithTheKey", &map[string]any{"StringEquals": map[string]any{"kms:ViaService": "sqs." + region.Name + ".amazonaws.com"}},
			[]*string{key.KeyArn()}, "kms:Decrypt", "kms:GenerateDataKey"),
		// Payments' events and no others. A call has several, and each has to be one: both keys are ArrayOfString ("Actions, resources,
		// and condition keys for Amazon EventBridge", Service Authorization Reference).
		statement("PutEventsAgain", &map[string]any{
			"StringEquals": (*here)["StringEquals"],
			"ForAllValues:StringEquals": map[string]any{
				"events:source": payment.EventSource, "events:detail-type": payment.EventDetailType,
			},
			"Null": present("events:source", "events:detail-type"),
		}, []*string{arn("events", "event-bus", bus)}, "events:PutEvents"),
		statement("ReplayTheArchive", here, []*string{arn("events", "archive", bus), arn("events", "event-bus", bus), replays},
			"events:DescribeArchive", "events:StartReplay", "events:DescribeReplay", "events:CancelReplay"),
	}
}

// payStatement allows a drill and a smoke test to pay. The public name may lead to either Region, so that this one is not for the
// own alone. IAM knows no currencies: the tool pays in the one for tests. As of the canary, "*" stands for the APIs' ids.
func payStatement(stack awscdk.Stack, s *settings.Settings) (pay awsiam.PolicyStatement, apis []*string) {
	for _, region := range s.Both() {
		apis = append(apis, stack.FormatArn(&awscdk.ArnComponents{
			Service: text("execute-api"), Region: text(region.Name), Resource: text("*"), ResourceName: text(StageName + "/POST/payments"),
		}))
	}
	return awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{Sid: text("PayTestPayments"), Actions: texts("execute-api:Invoke"), Resources: &apis}), apis
}

// present has a request name these keys: one that leaves a key out has no value of it that ForAllValues could refuse ("Multivalued
// context key examples", IAM User Guide).
func present(keys ...string) map[string]any {
	condition := map[string]any{}
	for _, key := range keys {
		condition[key] = "false"
	}
	return condition
}

// drillStatements allow what a drill asks at its end: the drill's own payments, and that the platform compares table and ledger. That
// function records what is missing if it is told to, and changes nothing else.
func drillStatements(table, reconcile *string, here *map[string]any) []awsiam.PolicyStatement {
	// Of the live table only the sessions of drills ("Using IAM policy conditions for fine-grained access control", Amazon
	// DynamoDB Developer Guide).
	drills := map[string]any{
		"ForAllValues:StringLike": map[string]any{"dynamodb:LeadingKeys": []string{payment.DrillSession + "*"}},
		"Null":                    present("dynamodb:LeadingKeys"),
	}
	maps.Copy(drills, *here)
	return []awsiam.PolicyStatement{
		awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{Sid: text("FindTestPayments"), Actions: texts("dynamodb:Query"), Resources: &[]*string{table}, Conditions: &drills}),
		awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{Sid: text("CompareTableAndLedger"), Actions: texts("lambda:InvokeFunction"), Resources: &[]*string{reconcile}, Conditions: here}),
	}
}

// actionSkipStep lets one skip a step of an execution, or switch it to ungraceful. IAM knows the plan and not its steps, so
// whoever may skip any may skip the approval.
const actionSkipStep = "arc-region-switch:UpdatePlanExecutionStep"

// NewApproverRole makes the role that says yes or no to an execution of the recovery plan, or to leaving out a step of it that
// failed, and sees which one it is about. The
// plan names it, and its evaluation looks for the first of the permissions ("Manual approval execution block sample policy",
// Application Recovery Controller Developer Guide).
func NewApproverRole(scope constructs.Construct, id string, s *settings.Settings) awsiam.Role {
	scope = constructs.NewConstruct(scope, text(id))
	role := newAssumableRole(scope, s, ApproverRoleName(s), "Approves executions of the recovery plan", s.Operators.Approvers)
	policy := awsiam.NewPolicy(scope, text("Policy"), &awsiam.PolicyProps{
		Roles: &[]awsiam.IRole{role},
		Statements: &[]awsiam.PolicyStatement{
			awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{
				Sid: text("Approve"),
				Actions: texts("arc-region-switch:ApprovePlanExecutionStep", actionSkipStep, "arc-region-switch:GetPlanInRegion",
					"arc-region-switch:GetPlanExecution", "arc-region-switch:ListPlanExecutions"),
				Resources: &[]*string{RecoveryPlanARNs(scope, s)},
			}),
			awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{
				Sid: text("Find"), Actions: texts("arc-region-switch:ListPlansInRegion"), Resources: texts("*"), // it knows no resources
			}),
		},
	})
	suppress(policy,
		ownPolicy("The approver of a recovery"),
		wildcards("To list the plans of a Region is the approver's one action on all resources, and knows none.", anyResource),
		wildcards("The plan to be approved has an ARN that ends in a suffix of AWS's; its name is before it.", onResource(*RecoveryPlanARNs(scope, s))),
	)
	return role
}

// newAssumableRole makes a role for people. In production they must have signed in with multi-factor authentication
// ("AWS: multi-factor authentication condition keys", IAM User Guide: the key is missing where somebody did not).
func newAssumableRole(scope constructs.Construct, s *settings.Settings, name, description string, principals []string) awsiam.Role {
	var who []awsiam.IPrincipal
	for _, p := range principals {
		if strings.HasPrefix(p, "arn:") {
			who = append(who, awsiam.NewArnPrincipal(text(p)))
		} else {
			who = append(who, awsiam.NewAccountPrincipal(text(p)))
		}
	}
	if len(who) == 0 {
		who = append(who, awsiam.NewAccountPrincipal(awscdk.Stack_Of(scope).Account()))
	}
	var by awsiam.IPrincipal = awsiam.NewCompositePrincipal(who...)
	if s.Production {
		conditions := map[string]any{"Bool": map[string]any{"aws:MultiFactorAuthPresent": "true"}}
		by = awsiam.NewPrincipalWithConditions(by, &conditions)
	}
	return awsiam.NewRole(scope, text("Role"), &awsiam.RoleProps{
		RoleName: text(name), Description: text(description), AssumedBy: by,
		MaxSessionDuration: awscdk.Duration_Hours(jsii.Number(operatorSessionHours)),
	})
}
