package constructs

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awss3"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"

	"payments-dr/internal/settings"
)

// reportRetentionDays is how long the evidence of a recovery is kept: a year, so that one audit finds what the last one saw.
const reportRetentionDays = 365

// NewRecoveryReports makes the bucket that the recovery plan's reports go to, one an execution. It is in the global stack's
// Region. A recovery does not wait for it: reports are written when an execution is over.
//
// S3's own key encrypts it. A customer key of this Region would be one more thing that a report from the other one needs.
func NewRecoveryReports(scope constructs.Construct, id string, s *settings.Settings) awss3.Bucket {
	days := awscdk.Duration_Days(jsii.Number(reportRetentionDays))
	bucket := awss3.NewBucket(scope, text(id), &awss3.BucketProps{
		Encryption:        awss3.BucketEncryption_S3_MANAGED,
		BlockPublicAccess: awss3.BlockPublicAccess_BLOCK_ALL(),
		EnforceSSL:        jsii.Bool(true),
		ObjectOwnership:   awss3.ObjectOwnership_BUCKET_OWNER_ENFORCED,
		Versioned:         jsii.Bool(true), // a report that is written over is still there
		LifecycleRules: &[]*awss3.LifecycleRule{{
			Id: text("a year"), Expiration: days, NoncurrentVersionExpiration: days,
			AbortIncompleteMultipartUploadAfter: awscdk.Duration_Days(jsii.Number(7)),
		}},
		RemovalPolicy: retained, // evidence outlives what it is about
	})
	suppress(bucket,
		suppression{rules: append(nistAndPCI("S3BucketLoggingEnabled"), awsSolutions+"S1"),
			reason: "The plan's role writes some reports a year here, and no payment is in them. Access logs would want a second bucket, itself without logs; whoever audits reads of these has CloudTrail's data events, which are the account's."},
		suppression{rules: nistAndPCI("S3BucketReplicationEnabled"),
			reason: "A report is made from what the service itself keeps of an execution and its events. If this bucket's Region is lost, the report of that recovery is late or has to be asked for, and the recovery is neither."},
		suppression{rules: nistAndPCI("S3DefaultEncryptionKMS"),
			reason: "Reports come from executions in either Region, and S3's own key needs nothing of them. A customer key would be one more permission by which the evidence of a recovery can fail, for what names resources and times and no payment."},
	)
	return bucket
}
