package constructs_test

import (
	"maps"
	"regexp"
	"testing"

	"payments-dr/internal/assembly"
	"payments-dr/internal/simulation/eventbus"
	"payments-dr/stacks/stackstest"
)

// TestNoticesAreOfWhatFailed sends events, as the services' guides show them, through the patterns of the notices.
func TestNoticesAreOfWhatFailed(t *testing.T) {
	stackstest.Each(t, func(t *testing.T, v stackstest.View) {
		env, region, account := v.Assembly.Settings.Environment, v.Stack.Region, v.Stack.Account
		notices := map[string][]*eventbus.Pattern{}
		for _, name := range []string{"backup-notices", "recovery-plan-notices"} {
			rule := v.Named(t, "AWS::Events::Rule", "Name", "payment-"+env+"-"+name).Properties
			target := assembly.Object(assembly.List(rule["Targets"])[0])
			stackstest.Same(t, name+" tell", target["Arn"], "arn:aws:sns:"+region+":"+account+":payment-"+env+"-alerts")
			paths := assembly.Object(assembly.At(target["InputTransformer"], "InputPathsMap"))
			for _, variable := range regexp.MustCompile(`<(\w+)>`).FindAllStringSubmatch(assembly.At(target["InputTransformer"], "InputTemplate").(string), -1) {
				if _, ok := paths[variable[1]]; !ok {
					t.Errorf("the message of %s has %s, which no path fills", name, variable[0])
				}
			}
			for _, pattern := range alternatives(assembly.Object(rule["EventPattern"])) {
				compiled, err := eventbus.ParsePattern([]byte(stackstest.Text(pattern)))
				if err != nil {
					t.Fatal(err)
				}
				notices[name] = append(notices[name], compiled)
			}
		}
		vault := "arn:aws:backup:" + region + ":" + account + ":backup-vault:"
		plan := "arn:aws:arc-region-switch::" + account + ":plan/payment-" + env + ":abc123"
		backup := func(kind, detail string) string {
			return `{"source":"aws.backup","detail-type":"` + kind + ` Job State Change","resources":[],"detail":` + detail + `}`
		}
		regionSwitch := func(kind, plan, detail string) string {
			return `{"source":"aws.arc-region-switch","detail-type":"ARC Region Switch Plan ` + kind + `","resources":["` + plan + `"],"detail":` + detail + `}`
		}
		for _, tt := range []struct {
			event, want string
		}{
			{backup("Backup", `{"backupVaultName":"payment-`+env+`","state":"FAILED","resourceType":"Aurora"}`), "backup-notices"},
			{backup("Backup", `{"backupVaultName":"payment-`+env+`","state":"EXPIRED"}`), "backup-notices"},
			{backup("Backup", `{"backupVaultName":"payment-`+env+`","state":"COMPLETED"}`), ""},
			{backup("Backup", `{"backupVaultName":"somebody-elses","state":"FAILED"}`), ""},
			{backup("Copy", `{"state":"FAILED","sourceBackupVaultArn":"`+vault+`payment-`+env+`","destinationBackupVaultArn":"x"}`), "backup-notices"},
			{backup("Copy", `{"state":"FAILED","sourceBackupVaultArn":"`+vault+`somebody-elses"}`), ""},
			{backup("Copy", `{"state":"COMPLETED","sourceBackupVaultArn":"`+vault+`payment-`+env+`"}`), ""},
			{backup("Restore", `{"status":"FAILED","resourceType":"DynamoDB","restoreTestingPlanArn":"x"}`), "backup-notices"},
			{backup("Restore", `{"status":"COMPLETED"}`), ""},
			{backup("Restore", `{"status":"RUNNING"}`), ""},
			{regionSwitch("Evaluation", plan, `{"version":"0.0.1","metadata":{"warning":"There is a plan evaluation warning"}}`), "recovery-plan-notices"},
			{regionSwitch("Execution", plan, `{"version":"0.0.1","metadata":{"warning":"There is a plan evaluation warning"}}`), "recovery-plan-notices"},
			{regionSwitch("Execution", plan, `{"eventType":"ExecutionStarted","executionId":"x"}`), "recovery-plan-notices"},
			{regionSwitch("Execution", plan, `{"eventType":"StepFailed","executionId":"x"}`), "recovery-plan-notices"},
			{regionSwitch("Execution", plan, `{"eventType":"StepStarted","executionId":"x"}`), ""},
			{regionSwitch("Execution", "arn:aws:arc-region-switch::"+account+":plan/somebody-elses:abc123", `{"eventType":"ExecutionStarted"}`), ""},
		} {
			for name, patterns := range notices {
				matched := false
				for _, pattern := range patterns {
					matches, err := pattern.Matches([]byte(tt.event))
					if err != nil {
						t.Fatal(err)
					}
					matched = matched || matches
				}
				if matched != (name == tt.want) {
					t.Errorf("%s tell of %s: %v", name, tt.event, matched)
				}
			}
		}
	})
}

// alternatives are the patterns that one with $or in its detail stands for. The simulated matcher does not know $or.
func alternatives(pattern map[string]any) []map[string]any {
	var all []map[string]any
	for _, one := range assembly.List(assembly.At(pattern["detail"], "$or")) {
		alternative := maps.Clone(pattern)
		alternative["detail"] = one
		all = append(all, alternative)
	}
	if all == nil {
		return []map[string]any{pattern}
	}
	return all
}
