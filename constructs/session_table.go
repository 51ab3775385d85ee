package constructs

import (
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsdynamodb"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"

	"payments-dr/internal/payment"
	"payments-dr/internal/payment/sessiontable"
	"payments-dr/internal/settings"
)

const (
	// sessionStreamView is the view type of the stream on every replica: the library takes no other for a global table.
	sessionStreamView = awsdynamodb.StreamViewType_NEW_AND_OLD_IMAGES
	// streamTimeout is how long the stream of the replica may take to be enabled. AWS gives no duration. Ten minutes are assumed to be
	// enough for it and for another change of the table; Lambda's limit is 15 minutes.
	streamTimeout = 10 * time.Minute
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
		DynamoStream: sessionStreamView,
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
// The ARN of the replica's stream contains the time of its creation, and CloudFormation returns it only in the Region that made the
// table. So the function table-stream looks it up at deployment, in the stack's own Region: that works while the other one is lost.
// The function enables the stream if it is not there:
//   - A replica with eventual consistency always has one ("How DynamoDB global tables work", Amazon DynamoDB Developer Guide).
//   - With strong consistency, the stream is off by default and each replica has its own setting (same page). AWS does not document
//     whether CloudFormation passes StreamSpecification on to the other replica. Terraform does not (terraform-provider-aws issue 48213).
//   - UpdateTable with StreamSpecification in the replica's Region enables it. Others do this with strong consistency and a witness
//     (provider-upjet-aws pull request 2185); we have not run it.
//
// Payments that this Region accepts before its stream exists would not be in it. There are none: the API is in the same stack.
func SessionTableReplica(scope constructs.Construct, id string, s *settings.Settings, key awskms.IKey) awsdynamodb.ITableV2 {
	scope = constructs.NewConstruct(scope, text(id))
	name := SessionTableName(s)
	stream, function := newCustomResource(scope, "Stream", customResourceProps{
		Type: "Custom::SessionTableStream",
		Function: FunctionProps{
			Settings:    s,
			Name:        "table-stream",
			Description: "Enables the stream of the session table's replica at deployment, and looks up its ARN",
			Timeout:     streamTimeout,
			Outside:     "It calls DynamoDB alone. In the network its way there would be an endpoint or NAT gateway that the same deployment may still be making.",
			Key:         key,
		},
		Properties: map[string]any{"TableName": name, "StreamViewType": string(sessionStreamView)},
	})
	function.AddToRolePolicy(allow("EnableTheStream", []*string{awscdk.Stack_Of(scope).FormatArn(&awscdk.ArnComponents{
		Service: text("dynamodb"), Resource: text("table"), ResourceName: text(name),
	})}, "dynamodb:DescribeTable", "dynamodb:UpdateTable"))
	return awsdynamodb.TableV2_FromTableAttributes(scope, text("Table"), &awsdynamodb.TableAttributesV2{
		TableName: text(name), TableStreamArn: stream.GetAttString(text("StreamArn")),
	})
}
