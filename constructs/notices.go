package constructs

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsevents"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"

	"payments-dr/internal/settings"
)

// uneventfulSteps are the events of a plan's steps that nobody is told: the start and the end of the execution tell enough. The
// guide's examples begin them with a capital, the API's model does not.
var uneventfulSteps = []string{"StepStarted", "StepUpdate", "StepSucceeded", "stepStarted", "stepUpdate", "stepSucceeded"}

// NewNotices tells a Region's topic what other services report as events: backups, copies and restores that failed, and what
// the recovery plan finds and does. What cannot be told ends in a dead-letter queue, which has an alarm.
//
// The events go by the names that this platform gives, so that those of other applications of the account tell nobody here. Restores
// are the exception: their events name no vault, and a failed restore is worth a look in any case.
func NewNotices(scope constructs.Construct, id string, s *settings.Settings, key awskms.Key) {
	scope = constructs.NewConstruct(scope, text(id))
	stack := awscdk.Stack_Of(scope)
	region := *stack.Region()
	topic := AlertTopicARN(s, region)
	dead := NewDeadLetterQueue(scope, "DeadLetters", s, "undelivered-notices", key)
	suppress(dead, deadLetters("the rules that tell of backups and of the recovery plan"))
	own := []any{map[string]any{"prefix": "payment-" + s.Environment}}
	prefix := func(arn string) []any { return []any{map[string]any{"prefix": arn}} }
	for _, notice := range []struct {
		name, description string
		pattern           map[string]any
		// says is the message, with the paths of the event that go into it.
		says    string
		paths   map[string]string
		section string
	}{
		{
			name:        "backup-notices",
			description: "Tells of backups, copies and restores that failed",
			// Backups and copies have a state, restores a status ("Monitoring AWS Backup events using Amazon EventBridge", AWS Backup
			// Developer Guide).
			pattern: map[string]any{
				"source":      []string{"aws.backup"},
				"detail-type": []string{"Backup Job State Change", "Copy Job State Change", "Restore Job State Change"},
				"detail": map[string]any{"$or": []any{
					map[string]any{"backupVaultName": own, "state": []string{"FAILED", "ABORTED", "EXPIRED", "PARTIAL"}},
					map[string]any{"state": []string{"FAILED", "PARTIAL"}, "sourceBackupVaultArn": prefix(
						"arn:aws:backup:" + region + ":" + s.Account + ":backup-vault:payment-" + s.Environment)},
					map[string]any{"status": []string{"FAILED", "ABORTED"}},
				}},
			},
			says: "<type> in " + region + ": a <resource> job ended as <state><status>. <message>", section: "Backup failed",
			paths: map[string]string{
				"type": "$.detail-type", "resource": "$.detail.resourceType", "state": "$.detail.state", "status": "$.detail.status", "message": "$.detail.statusMessage",
			},
		},
		{
			name:        "recovery-plan-notices",
			description: "Tells what the recovery plan finds and does",
			// A warning about the plan comes once a day while it stands. In the guide's example its detail-type is that of an execution, so
			// both are taken ("Using Region switch with Amazon EventBridge", Amazon Application Recovery Controller Developer Guide).
			pattern: map[string]any{
				"source":      []string{"aws.arc-region-switch"},
				"detail-type": []string{"ARC Region Switch Plan Evaluation", "ARC Region Switch Plan Execution"},
				"resources":   prefix("arn:aws:arc-region-switch::" + s.Account + ":plan/" + RecoveryPlanName(s) + ":"),
				"detail": map[string]any{"$or": []any{
					map[string]any{"eventType": []any{map[string]any{"anything-but": uneventfulSteps}}},
					map[string]any{"eventType": []any{map[string]any{"exists": false}}},
				}},
			},
			says: "<type> in " + region + ". <event> <action> <step> <warning>", section: "Recovery plan",
			paths: map[string]string{
				"type": "$.detail-type", "event": "$.detail.eventType", "action": "$.detail.executionAction",
				"step": "$.detail.stepDetails.stepName", "warning": "$.detail.metadata.warning",
			},
		},
	} {
		name := "payment-" + s.Environment + "-" + notice.name
		rule := awsevents.NewCfnRule(scope, text(notice.name), &awsevents.CfnRuleProps{
			Name: text(name), Description: text(notice.description), State: text("ENABLED"), EventPattern: notice.pattern,
			Targets: []*awsevents.CfnRule_TargetProperty{{
				Id: text("Topic"), Arn: text(topic),
				InputTransformer: &awsevents.CfnRule_InputTransformerProperty{InputPathsMap: notice.paths, InputTemplate: text(`"` + notice.says + " " + alarmPageLink(s, notice.section) + `"`)},
				DeadLetterConfig: &awsevents.CfnRule_DeadLetterConfigProperty{Arn: dead.QueueArn()},
				RetryPolicy: &awsevents.CfnRule_RetryPolicyProperty{
					MaximumRetryAttempts: jsii.Number(targetRetries), MaximumEventAgeInSeconds: jsii.Number(targetRetryWindow.Seconds()),
				},
			}},
		})
		allowEventBridge(key, stack, "rule/"+name)
		dead.AddToResourcePolicy(awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{
			Principals: &[]awsiam.IPrincipal{awsiam.NewServicePrincipal(text("events.amazonaws.com"), nil)},
			Actions:    texts("sqs:SendMessage"), Resources: &[]*string{dead.QueueArn()},
			Conditions: &map[string]any{"ArnEquals": map[string]any{"aws:SourceArn": rule.AttrArn()}},
		}))
		newRuleAlarms(scope, s, "", name)
	}
}
