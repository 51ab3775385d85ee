package constructs

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"

	"payments-dr/internal/settings"
)

// NewEncryptionKey makes the customer key of one Region: for the database's storage and for the logs. Each Region has a key
// of its own, because a Region must be able to decrypt while the other is gone.
//
// The key stays when its stack is deleted, in every environment: the cluster's final snapshot and its recovery points in AWS
// Backup are encrypted with it, and a key that is scheduled for deletion decrypts nothing ("Deleting AWS KMS keys", AWS KMS
// Developer Guide).
func NewEncryptionKey(scope constructs.Construct, id string, s *settings.Settings) awskms.Key {
	stack := awscdk.Stack_Of(scope)
	key := awskms.NewKey(scope, text(id), &awskms.KeyProps{
		Alias:             text("payment-" + s.Environment),
		Description:       text("Payments platform, " + s.Environment + ": database and logs of this Region"),
		EnableKeyRotation: jsii.Bool(true),
		RemovalPolicy:     retained,
	})
	// CloudWatch Logs takes a key only if the key's own policy names the service ("Encrypt log data in CloudWatch Logs using
	// AWS KMS", CloudWatch Logs User Guide). The condition keeps the permission to log groups of this account and Region.
	key.AddToResourcePolicy(awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{
		Principals: &[]awsiam.IPrincipal{awsiam.NewServicePrincipal(text("logs."+*stack.Region()+".amazonaws.com"), nil)},
		Actions:    texts("kms:Encrypt*", "kms:Decrypt*", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:Describe*"),
		Resources:  texts("*"), // in a key's policy: this key
		Conditions: &map[string]any{"ArnLike": map[string]any{
			"kms:EncryptionContext:aws:logs:arn": stack.FormatArn(&awscdk.ArnComponents{
				Service: text("logs"), Resource: text("log-group"), ArnFormat: awscdk.ArnFormat_COLON_RESOURCE_NAME, ResourceName: text("*"),
			}),
		}},
	}), jsii.Bool(true))
	return key
}

// retained keeps a resource when its stack or the resource is deleted, but not when its own creation fails: a fixed name that
// such a failure leaves behind would block the next attempt ("DeletionPolicy attribute", RetainExceptOnCreate, AWS CloudFormation
// User Guide).
const retained = awscdk.RemovalPolicy_RETAIN_ON_UPDATE_OR_DELETE

// removalPolicy is what happens to data when its stack is deleted: in production it stays.
func removalPolicy(s *settings.Settings) awscdk.RemovalPolicy {
	if s.Production {
		return retained
	}
	return awscdk.RemovalPolicy_DESTROY
}
