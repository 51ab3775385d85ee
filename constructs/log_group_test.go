package constructs_test

import (
	"strings"
	"testing"

	"payments-dr/stacks/stackstest"
)

func TestEveryLogGroupIsEncryptedAndEnds(t *testing.T) {
	stackstest.Each(t, func(t *testing.T, v stackstest.View) {
		keyID, key := v.KeyOf(t, "")
		for id, key := range v.Of("AWS::KMS::Key") {
			stackstest.Same(t, id+": rotation", key.Properties["EnableKeyRotation"], true)
		}
		groups := v.Of("AWS::Logs::LogGroup")
		if len(groups) < 8 {
			t.Errorf("%d log groups", len(groups))
		}
		for id, group := range groups {
			stackstest.Same(t, id+": retention", group.Properties["RetentionInDays"], v.Assembly.Settings.Logs.RetentionDays)
			stackstest.Same(t, id+": key", group.Properties["KmsKeyId"], stackstest.GetAtt(keyID, "Arn"))
		}
		policy := stackstest.Text(key.Properties["KeyPolicy"])
		if !strings.Contains(policy, "logs."+v.Stack.Region+".amazonaws.com") || !strings.Contains(policy, "arn:aws:logs:"+v.Stack.Region+":"+v.Stack.Account+":log-group:*") {
			t.Errorf("the key's policy does not let this Region's log groups use it: %s", policy)
		}
	})
}
