package constructs

import (
	"github.com/aws/aws-cdk-go/awscdk/v2/awsdynamodb"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"

	"payments-dr/internal/payment"
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
func SessionTableReplica(scope constructs.Construct, id string, s *settings.Settings) awsdynamodb.ITableV2 {
	return awsdynamodb.TableV2_FromTableName(scope, text(id), text(SessionTableName(s)))
}
