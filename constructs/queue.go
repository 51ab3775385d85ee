package constructs

import (
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssqs"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"

	"payments-dr/internal/settings"
)

const (
	// maxMessageRetention is the longest that SQS keeps a message ("SetQueueAttributes", Amazon SQS API Reference).
	maxMessageRetention = 14 * 24 * time.Hour
	// dataKeyReuse is how long SQS uses a data key before it asks the customer key for another: an hour without that key
	// does not stop the queue ("Data key reuse period", Amazon SQS Developer Guide: one minute to one day).
	dataKeyReuse = time.Hour
)

// NewDeadLetterQueue makes a queue for what could not be delivered or processed: encrypted, and kept as long as SQS keeps
// anything, because somebody has to look at it; its alarm says so. name comes after "payment-<env>-".
func NewDeadLetterQueue(scope constructs.Construct, id string, s *settings.Settings, name string, key awskms.IKey) awssqs.Queue {
	queue := newQueue(scope, id, s, name, key, &awssqs.QueueProps{RetentionPeriod: seconds(maxMessageRetention)})
	newDeadLetterAlarm(scope, s, name)
	return queue
}

// QueueName is a queue's physical name, the same in both Regions.
func QueueName(s *settings.Settings, name string) string {
	return "payment-" + s.Environment + "-" + name
}

func newQueue(scope constructs.Construct, id string, s *settings.Settings, name string, key awskms.IKey, props *awssqs.QueueProps) awssqs.Queue {
	props.QueueName = text(QueueName(s, name))
	props.Encryption = awssqs.QueueEncryption_KMS
	props.EncryptionMasterKey = key
	props.DataKeyReuse = seconds(dataKeyReuse)
	props.EnforceSSL = jsii.Bool(true)
	return awssqs.NewQueue(scope, text(id), props)
}

func seconds(d time.Duration) awscdk.Duration {
	return awscdk.Duration_Seconds(jsii.Number(d.Seconds()))
}
