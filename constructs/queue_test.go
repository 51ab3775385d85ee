package constructs_test

import (
	"slices"
	"strings"
	"testing"

	"payments-dr/internal/assembly"
	"payments-dr/stacks/stackstest"
)

func TestQueues(t *testing.T) {
	stackstest.Each(t, func(t *testing.T, v stackstest.View) {
		s := v.Assembly.Settings
		keyID, _ := v.KeyOf(t, "")
		queues := v.Of("AWS::SQS::Queue")
		var names []string
		for id, queue := range queues {
			name := queue.Properties["QueueName"].(string)
			names = append(names, strings.TrimPrefix(name, "payment-"+s.Environment+"-"))
			stackstest.Same(t, id+": key", queue.Properties["KmsMasterKeyId"], stackstest.GetAtt(keyID, "Arn"))
			if name != "payment-"+s.Environment+"-ledger" {
				stackstest.Same(t, id+": retention", queue.Properties["MessageRetentionPeriod"], 14*24*3600)
			}
			encrypted := false
			for _, policy := range v.Of("AWS::SQS::QueuePolicy") {
				encrypted = encrypted || (stackstest.Text(policy.Properties["Queues"]) == stackstest.Text([]any{stackstest.Ref(id)}) && strings.Contains(stackstest.Text(policy.Properties["PolicyDocument"]), `"aws:SecureTransport":"false"`))
			}
			if !encrypted {
				t.Errorf("%s takes messages without TLS", id)
			}
		}
		slices.Sort(names)
		stackstest.Same(t, "queues", names, []string{"canary-failures", "ledger", "ledger-dead-letters", "reconcile-failures", "relay-failures",
			"restore-validation", "restore-validation-failures", "undelivered-events", "undelivered-notices"})

		ledger := v.Named(t, "AWS::SQS::Queue", "QueueName", "payment-"+s.Environment+"-ledger").Properties
		stackstest.Same(t, "the ledger queue's retention", ledger["MessageRetentionPeriod"], s.Ledger.QueueRetentionHours*3600)
		function, mapping := v.Function(t, "ledger").Properties, v.MappingOf(t, "ledger").Properties
		if visibility, least := ledger["VisibilityTimeout"].(float64), 6*function["Timeout"].(float64)+mapping["MaximumBatchingWindowInSeconds"].(float64); visibility < least {
			t.Errorf("visibility of %v s, want at least %v", visibility, least)
		}
		redrive := assembly.Object(ledger["RedrivePolicy"])
		// As many tries as fill half of the retention, and SQS takes no more than 1,000: what cannot be recorded is a dead letter
		// before it expires.
		retention, visibility := ledger["MessageRetentionPeriod"].(float64), ledger["VisibilityTimeout"].(float64)
		receives, _ := redrive["maxReceiveCount"].(float64)
		if tried := receives * visibility; receives < 3 || receives > 1000 || tried >= retention || tried > retention/2 || (receives < 1000 && tried+visibility <= retention/2) {
			t.Errorf("%v receives of %v s each take %v s, want half of the retention of %v s", receives, visibility, tried, retention)
		}
		if dead := stackstest.Text(redrive["deadLetterTargetArn"]); !strings.Contains(dead, "LedgerQueueDeadLetters") {
			t.Errorf("dead letters go to %s", dead)
		}
	})
}
