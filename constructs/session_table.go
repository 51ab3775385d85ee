package constructs

import (
	"github.com/aws/aws-cdk-go/awscdk/v2/awsdynamodb"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"

	"payments-dr/internal/payment"
	"payments-dr/internal/settings"
)

// SessionTable is the global table that accepts payments: one write there is the acceptance.
type SessionTable struct {
	byRegion map[string]awsdynamodb.ITableV2
}

// SessionTableName is the same in both Regions: a global table's replicas share their name.
func SessionTableName(s *settings.Settings) string { return "payment-" + s.Environment + "-sessions" }

// In is the table's replica in a Region. A function is granted its own Region's replica and no other.
func (t *SessionTable) In(region settings.Region) awsdynamodb.ITableV2 {
	return t.byRegion[region.Name]
}

// NewSessionTable makes the table in the primary's Region with its replica in the other. It belongs to the primary's stack;
// the replica lives on without it.
//
// Strong consistency (MRSC) takes two replicas and a witness of one Region set, an empty table, and is for ever. In exchange a
// write that was acknowledged is in two Regions. Time to live, transactions and local indexes do not exist in this mode
// ("Multi-Region strong consistency", Amazon DynamoDB Developer Guide).
func NewSessionTable(scope constructs.Construct, id string, s *settings.Settings) *SessionTable {
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
	table := awsdynamodb.NewTableV2(scope, text(id), props)
	return &SessionTable{byRegion: map[string]awsdynamodb.ITableV2{
		s.Regions.Primary.Name: table,
		// Replica makes a new construct at every call: once, and kept.
		s.Regions.Secondary.Name: table.Replica(text(s.Regions.Secondary.Name)),
	}}
}
