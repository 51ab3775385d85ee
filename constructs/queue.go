package constructs

import (
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssqs"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
)

const (
	// maxMessageRetention is the longest that SQS keeps a message ("SetQueueAttributes", Amazon SQS API Reference).
	maxMessageRetention = 14 * 24 * time.Hour
	// dataKeyReuse is how long SQS uses a data key before it asks the customer key for another: an hour without that key
	// does not stop the queue ("Data key reuse period", Amazon SQS Developer Guide: one minute to one day).
	dataKeyReuse = time.Hour
)

// NewDeadLetterQueue makes a queue for what could not be delivered or processed: encrypted, and kept as long as SQS keeps
// anything, because somebody has to look at it.
func NewDeadLetterQueue(scope constructs.Construct, id, name string, key awskms.IKey) awssqs.Queue {
	return newQueue(scope, id, name, key, &awssqs.QueueProps{RetentionPeriod: seconds(maxMessageRetention)})
}

func newQueue(scope constructs.Construct, id, name string, key awskms.IKey, props *awssqs.QueueProps) awssqs.Queue {
	props.QueueName = text(name)
	props.Encryption = awssqs.QueueEncryption_KMS
	props.EncryptionMasterKey = key
	props.DataKeyReuse = seconds(dataKeyReuse)
	props.EnforceSSL = jsii.Bool(true)
	return awssqs.NewQueue(scope, text(id), props)
}

func seconds(d time.Duration) awscdk.Duration {
	return awscdk.Duration_Seconds(jsii.Number(d.Seconds()))
}
