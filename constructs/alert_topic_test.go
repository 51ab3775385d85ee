package constructs_test

import (
	"slices"
	"testing"

	"payments-dr/internal/assembly"
	"payments-dr/internal/settings"
	"payments-dr/stacks"
	"payments-dr/stacks/stackstest"
)

func TestAlertTopic(t *testing.T) {
	stackstest.EachStack(t, func(t *testing.T, v stackstest.View) {
		s := v.Assembly.Settings
		topics := v.Of("AWS::SNS::Topic")
		regional := slices.ContainsFunc(s.Both(), func(r settings.Region) bool { return r.Name == v.Stack.Region })
		if want := v.Role != stacks.RoleGlobal || !regional; (len(topics) == 1) != want {
			t.Fatalf("%d topics", len(topics))
		}
		if len(topics) == 0 {
			return // that of the Region's own stack is used
		}
		topicID, topic := v.One(t, "AWS::SNS::Topic")
		keyID, key := v.KeyOf(t, "")
		stackstest.Same(t, "key", topic.Properties["KmsMasterKeyId"], stackstest.GetAtt(keyID, "Arn"))

		publishers, tlsOnly := map[string]any{}, false
		_, policy := v.One(t, "AWS::SNS::TopicPolicy")
		stackstest.Same(t, "policy of", policy.Properties["Topics"], []any{stackstest.Ref(topicID)})
		for _, one := range assembly.List(assembly.At(policy.Properties["PolicyDocument"], "Statement")) {
			statement := assembly.Object(one)
			stackstest.Same(t, "resource", statement["Resource"], stackstest.Ref(topicID))
			if statement["Effect"] == "Deny" {
				tlsOnly = stackstest.Text(statement["Condition"]) == `{"Bool":{"aws:SecureTransport":"false"}}` && statement["Principal"] == "*"
				continue
			}
			for _, service := range services(statement) {
				publishers[service] = statement["Condition"]
			}
		}
		if !tlsOnly {
			t.Error("the topic takes messages without TLS")
		}
		account := map[string]any{"StringEquals": map[string]any{"aws:SourceAccount": v.Stack.Account}}
		stackstest.Same(t, "who publishes, and when", publishers, map[string]any{"cloudwatch.amazonaws.com": account, "backup.amazonaws.com": account, "events.amazonaws.com": nil})

		users := map[string]any{}
		for _, one := range assembly.List(assembly.At(key.Properties["KeyPolicy"], "Statement")) {
			statement := assembly.Object(one)
			if stackstest.Text(statement["Action"]) == `["kms:Decrypt","kms:GenerateDataKey*"]` {
				for _, service := range services(statement) {
					users[service] = statement["Condition"]
				}
			}
		}
		stackstest.Same(t, "who uses the key, and when", users, map[string]any{
			"cloudwatch.amazonaws.com": account, "backup.amazonaws.com": account,
			// With a condition on the account EventBridge would lose its events.
			"events.amazonaws.com": map[string]any{"StringEquals": map[string]any{
				"kms:EncryptionContext:aws:sns:topicArn": "arn:aws:sns:" + v.Stack.Region + ":" + v.Stack.Account + ":payment-" + s.Environment + "-alerts",
			}},
		})

		var addresses []string
		for _, subscription := range v.Of("AWS::SNS::Subscription") {
			stackstest.Same(t, "protocol", subscription.Properties["Protocol"], "email")
			stackstest.Same(t, "topic", subscription.Properties["TopicArn"], stackstest.Ref(topicID))
			addresses = append(addresses, subscription.Properties["Endpoint"].(string))
		}
		slices.Sort(addresses)
		if !slices.Equal(addresses, slices.Sorted(slices.Values(s.Alerts.EmailAddresses))) {
			t.Errorf("told are %v, want %v", addresses, s.Alerts.EmailAddresses)
		}
	})
}

// services are the services in a statement's principal, one or several.
func services(statement map[string]any) []string {
	return assembly.Texts(assembly.At(statement, "Principal", "Service"))
}
