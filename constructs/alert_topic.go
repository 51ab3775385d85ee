package constructs

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssns"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"

	"payments-dr/internal/settings"
)

// AlertTopicName is the same in both Regions.
func AlertTopicName(s *settings.Settings) string { return "payment-" + s.Environment + "-alerts" }

// AlertTopicARN is the topic of a Region, known before it exists. Alarms and rules take it by this, so that none of them has to be
// handed the topic.
func AlertTopicARN(s *settings.Settings, region string) string {
	return "arn:aws:sns:" + region + ":" + s.Account + ":" + AlertTopicName(s)
}

// NewAlertTopic makes the topic of one Region that every alarm and every notice goes to, with the e-mail addresses of the settings.
// Each Region has its own: a Region must be able to call for help while the other is gone.
//
// It is encrypted with the Region's customer key. The key that AWS manages has a policy that nobody can change and that lets no
// service in, so that each alarm would be dropped without a word ("Managing Amazon SNS encryption keys and costs", Amazon SNS
// Developer Guide).
func NewAlertTopic(scope constructs.Construct, id string, s *settings.Settings, key awskms.IKey) awssns.CfnTopic {
	scope = constructs.NewConstruct(scope, text(id))
	stack := awscdk.Stack_Of(scope)
	arn := AlertTopicARN(s, *stack.Region())
	topic := awssns.NewCfnTopic(scope, text("Topic"), &awssns.CfnTopicProps{
		TopicName:      text(AlertTopicName(s)),
		DisplayName:    text("Payments " + s.Environment + ", " + *stack.Region()),
		KmsMasterKeyId: key.KeyArn(),
	})
	for _, address := range s.Alerts.EmailAddresses {
		awssns.NewCfnSubscription(scope, text("Email-"+address), &awssns.CfnSubscriptionProps{
			TopicArn: topic.Ref(), Protocol: text("email"), Endpoint: text(address),
		})
	}

	ownAccount := map[string]any{"StringEquals": map[string]any{"aws:SourceAccount": s.Account}}
	publish := func(sid string, principal, condition any) map[string]any {
		statement := map[string]any{
			"Sid": sid, "Effect": "Allow", "Principal": map[string]any{"Service": principal}, "Action": "sns:Publish", "Resource": topic.Ref(),
		}
		if condition != nil {
			statement["Condition"] = condition
		}
		return statement
	}
	awssns.NewCfnTopicPolicy(scope, text("Policy"), &awssns.CfnTopicPolicyProps{
		Topics: &[]*string{topic.Ref()},
		PolicyDocument: map[string]any{"Version": "2012-10-17", "Statement": []any{
			publish("Services", []string{"cloudwatch.amazonaws.com", "backup.amazonaws.com"}, ownAccount),
			// EventBridge takes no condition in a topic's policy ("Using resource-based policies for Amazon EventBridge", Amazon
			// EventBridge User Guide). What that leaves open is a stranger's rule that publishes here; the key below is what bounds it
			// to this topic.
			publish("Rules", "events.amazonaws.com", nil),
			map[string]any{
				"Sid": "TLSOnly", "Effect": "Deny", "Principal": "*", "Action": "sns:Publish", "Resource": topic.Ref(),
				"Condition": map[string]any{"Bool": map[string]any{"aws:SecureTransport": "false"}},
			},
		}},
	})

	// Whoever publishes to an encrypted topic needs the topic's key; the same page says what for. It says too that EventBridge is
	// an exception again: a condition on the account would lose its events. SNS's own encryption context, the topic, stands for it.
	for _, use := range []struct {
		services   []string
		conditions map[string]any
	}{
		{[]string{"cloudwatch.amazonaws.com", "backup.amazonaws.com"}, ownAccount},
		{[]string{"events.amazonaws.com"}, map[string]any{"StringEquals": map[string]any{"kms:EncryptionContext:aws:sns:topicArn": arn}}},
	} {
		var principals []awsiam.IPrincipal
		for _, service := range use.services {
			principals = append(principals, awsiam.NewServicePrincipal(text(service), nil))
		}
		key.AddToResourcePolicy(awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{
			Principals: &principals,
			Actions:    texts("kms:Decrypt", "kms:GenerateDataKey*"),
			Resources:  texts("*"), // in a key's policy: this key
			Conditions: &use.conditions,
		}), jsii.Bool(true))
	}
	return topic
}
