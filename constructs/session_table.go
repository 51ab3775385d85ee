package constructs

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsdynamodb"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
	"github.com/aws/aws-cdk-go/awscdk/v2/customresources"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"

	"payments-dr/internal/payment"
	"payments-dr/internal/payment/sessiontable"
	"payments-dr/internal/settings"
)

// SessionTableName is the same in both Regions: a global table's replicas share their name.
func SessionTableName(s *settings.Settings) string { return "payment-" + s.Environment + "-sessions" }

// NewSessionTable makes the global table that accepts payments (one write there is the acceptance), in the primary's Region
// with its replica in the other. It belongs to the primary's stack; the replica lives on without it.
//
// Strong consistency (MRSC) takes two replicas and a witness of one Region set, an empty table, and is for ever. In exchange a
// write that was acknowledged is in two Regions. Time to live, transactions and local indexes do not exist in this mode
// ("Multi-Region strong consistency", Amazon DynamoDB Developer Guide).
func NewSessionTable(scope constructs.Construct, id string, s *settings.Settings) awsdynamodb.ITableV2 {
	// Not replicated as a setting, so said for each replica.
	pointInTime := &awsdynamodb.PointInTimeRecoverySpecification{
		PointInTimeRecoveryEnabled: jsii.Bool(true),
		RecoveryPeriodInDays:       jsii.Number(s.Database.BackupRetentionDays),
	}
	props := &awsdynamodb.TablePropsV2{
		TableName:    text(SessionTableName(s)),
		PartitionKey: &awsdynamodb.Attribute{Name: text(payment.AttributeSessionID), Type: awsdynamodb.AttributeType_STRING},
		SortKey:      &awsdynamodb.Attribute{Name: text(payment.AttributeTransactionID), Type: awsdynamodb.AttributeType_STRING},
		GlobalSecondaryIndexes: &[]*awsdynamodb.GlobalSecondaryIndexPropsV2{{
			IndexName:      text(sessiontable.IndexByAcceptance),
			PartitionKey:   &awsdynamodb.Attribute{Name: text(payment.AttributeAcceptedBucket), Type: awsdynamodb.AttributeType_STRING},
			SortKey:        &awsdynamodb.Attribute{Name: text(payment.AttributeTimestamp), Type: awsdynamodb.AttributeType_STRING},
			ProjectionType: awsdynamodb.ProjectionType_ALL,
		}},
		Billing:      awsdynamodb.Billing_OnDemand(nil),
		DynamoStream: awsdynamodb.StreamViewType_NEW_AND_OLD_IMAGES, // a global table takes no other
		// A customer key of the other Region would have to exist before the stack that makes it.
		Encryption:                       awsdynamodb.TableEncryptionV2_AwsManagedKey(),
		PointInTimeRecoverySpecification: pointInTime,
		DeletionProtection:               jsii.Bool(s.Database.DeletionProtection),
		RemovalPolicy:                    removalPolicy(s),
		Replicas: &[]*awsdynamodb.ReplicaTableProps{{
			Region:                           text(s.Regions.Secondary.Name),
			PointInTimeRecoverySpecification: pointInTime,
			DeletionProtection:               jsii.Bool(s.Database.DeletionProtection),
		}},
	}
	if s.Session.Consistency == settings.ConsistencyStrong {
		props.MultiRegionConsistency = awsdynamodb.MultiRegionConsistency_STRONG
		props.WitnessRegion = text(s.Session.WitnessRegion)
	}
	return awsdynamodb.NewTableV2(scope, text(id), props)
}

// SessionTableReplica is the table's replica in a stack's own Region, for a stack that did not make the table. By name, and
// so by an ARN that is known at synthesis: nothing has to be read from the Region that made it.
//
// The ARN of the replica's stream has the moment of its creation in it, and CloudFormation tells it in the Region that made
// the table alone. So it is looked up at deployment, in the stack's own Region: the look-up works while the other is gone.
func SessionTableReplica(scope constructs.Construct, id string, s *settings.Settings, key awskms.IKey) awsdynamodb.ITableV2 {
	scope = constructs.NewConstruct(scope, text(id))
	name := SessionTableName(s)
	arn := awscdk.Stack_Of(scope).FormatArn(&awscdk.ArnComponents{Service: text("dynamodb"), Resource: text("table"), ResourceName: text(name)})
	const streamARN = "Table.LatestStreamArn"
	logs := NewLogGroup(scope, "Logs", "/aws/lambda/payment-"+s.Environment+"-table-stream", s, key)
	stream := customresources.NewAwsCustomResource(scope, text("Stream"), &customresources.AwsCustomResourceProps{
		ResourceType: text("Custom::SessionTableStream"),
		OnUpdate: &customresources.AwsSdkCall{ // and at creation
			Service: text("dynamodb"), Action: text("DescribeTable"), Parameters: map[string]any{"TableName": name},
			OutputPaths:        texts(streamARN),
			PhysicalResourceId: customresources.PhysicalResourceId_Of(text(name)),
		},
		Policy: customresources.AwsCustomResourcePolicy_FromStatements(&[]awsiam.PolicyStatement{
			awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{Actions: texts("dynamodb:DescribeTable"), Resources: &[]*string{arn}}),
		}),
		InstallLatestAwsSdk: jsii.Bool(false),
		LogGroup:            logs,
		Role:                sdkCallRole(scope, logs),
	})
	suppress(child(stream, "CustomResourcePolicy"), ownPolicy("The deployment, to look up the stream of the session table,"))
	suppressSDKCalls(scope)
	return awsdynamodb.TableV2_FromTableAttributes(scope, text("Table"), &awsdynamodb.TableAttributesV2{
		TableName: text(name), TableStreamArn: stream.GetResponseField(text(streamARN)),
	})
}
