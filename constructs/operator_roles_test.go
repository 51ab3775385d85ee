package constructs_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"payments-dr/internal/assembly"
	"payments-dr/internal/operate"
	"payments-dr/internal/operate/restore"
	"payments-dr/internal/payment"
	"payments-dr/internal/settings"
	"payments-dr/stacks/stackstest"
)

// The operator sees the vault of the own Region, and no other.
func TestOperatorMaySeeTheBackups(t *testing.T) {
	stackstest.Each(t, func(t *testing.T, v stackstest.View) {
		s, region := v.Assembly.Settings, v.Stack.Region
		_, id := stackstest.RoleNamed(t, v, "payment-"+s.Environment+"-operator-"+region)
		stackstest.Same(t, "SeeTheBackups", v.StatementsOf(t, id)["SeeTheBackups"], map[string]any{
			"Sid": "SeeTheBackups", "Effect": "Allow", "Action": "backup:ListRecoveryPointsByBackupVault",
			"Resource":  arnIn(s, region, "backup", "backup-vault:payment-"+s.Environment),
			"Condition": map[string]any{"StringEquals": map[string]any{"aws:RequestedRegion": region}},
		})
	})
}

// The operator's role may do what dr drill and dr pay ask for, each on the one resource.
func TestOperatorMayHoldADrill(t *testing.T) {
	stackstest.Each(t, func(t *testing.T, v stackstest.View) {
		s, region := v.Assembly.Settings, v.Stack.Region
		_, id := stackstest.RoleNamed(t, v, "payment-"+s.Environment+"-operator-"+region)
		statements := map[string]map[string]any{}
		for _, statement := range v.Statements()[id] {
			if sid, _ := statement["Sid"].(string); sid != "" {
				statements[sid] = statement
			}
		}
		here := map[string]any{"aws:RequestedRegion": region}
		want := map[string]map[string]any{
			"FindTestPayments": {"Sid": "FindTestPayments", "Effect": "Allow", "Action": "dynamodb:Query",
				"Resource": "arn:aws:dynamodb:" + region + ":" + s.Account + ":table/payment-" + s.Environment + "-sessions",
				"Condition": map[string]any{
					"StringEquals": here, "ForAllValues:StringLike": map[string]any{"dynamodb:LeadingKeys": []any{payment.DrillSession + "*"}},
					"Null": map[string]any{"dynamodb:LeadingKeys": "false"},
				}},
			"CompareTableAndLedger": {"Sid": "CompareTableAndLedger", "Effect": "Allow", "Action": "lambda:InvokeFunction",
				"Resource": "arn:aws:lambda:" + region + ":" + s.Account + ":function:payment-" + s.Environment + "-reconcile", "Condition": map[string]any{"StringEquals": here}},
		}
		for sid, statement := range want {
			stackstest.Same(t, sid, statements[sid], statement)
		}
		// The public name leads to either Region, also for the role of the other one.
		var paid []string
		for _, resource := range resourcesOf(statements["PayTestPayments"]) {
			paid = append(paid, stackstest.Text(resource))
		}
		slices.Sort(paid)
		var apis []string
		for _, one := range s.Both() {
			apis = append(apis, stackstest.Text("arn:aws:execute-api:"+one.Name+":"+s.Account+":*/live/POST/payments"))
		}
		slices.Sort(apis)
		stackstest.Same(t, "where it may pay", paid, apis)
		stackstest.Same(t, "how it may pay", stackstest.ActionsOf(statements["PayTestPayments"]), []string{"execute-api:Invoke"})
	})
}

func oneOrMore(part any) []any {
	if l := assembly.List(part); l != nil {
		return l
	}
	return []any{part}
}

func TestOperatorRoles(t *testing.T) {
	names := map[string]bool{}
	stackstest.Each(t, func(t *testing.T, v stackstest.View) {
		s, region := v.Assembly.Settings, v.Stack.Region
		role, id := stackstest.RoleNamed(t, v, "payment-"+s.Environment+"-operator-"+region)
		names[s.Environment+region] = true
		assumableByTheRightPeople(t, role, s, s.Operators.Principals)
		allowed := map[string]bool{}
		for _, statement := range v.Statements()[id] {
			condition := stackstest.Text(statement["Condition"])
			if statement["Sid"] == "PayTestPayments" {
				continue // in both Regions: TestOperatorMayHoldADrill
			}
			if !strings.Contains(condition, `"aws:RequestedRegion":"`+region+`"`) && !regexp.MustCompile(`"kms:ViaService":"(rds|sqs)\.`+region+`\.amazonaws\.com"`).MatchString(condition) {
				t.Errorf("%v is allowed in other Regions too: %s", statement["Sid"], condition)
			}
			for _, action := range stackstest.ActionsOf(statement) {
				allowed[action] = true
				if strings.HasSuffix(action, "*") {
					t.Errorf("%s is allowed", action)
				}
			}
			if stackstest.Text(statement["Resource"]) == `"*"` {
				stackstest.Same(t, "on everything", stackstest.ActionsOf(statement), []string{
					"arc-region-switch:ListPlansInRegion", "backup:ListRestoreJobs", "cloudwatch:DescribeAlarms", "cloudwatch:GetMetricData", "cloudwatch:ListMetrics", "dynamodb:ListTables", "rds:DescribeGlobalClusters",
				})
			}
		}
		for _, action := range []string{"arc-region-switch:StartPlanExecution", "arc-region-switch:GetPlanExecution", "cloudwatch:GetMetricData",
			"ssm:GetParameter", "rds:RestoreDBClusterToPointInTime", "dynamodb:RestoreTableToPointInTime"} {
			if !allowed[action] {
				t.Errorf("%s is not allowed", action)
			}
		}
		for action := range allowed {
			// Both take another person, if anybody has to approve: to skip a step may be to skip the approval.
			if action == "arc-region-switch:ApprovePlanExecutionStep" || action == "arc-region-switch:UpdatePlanExecutionStep" && !s.Recovery.Automatic {
				t.Errorf("%s is allowed", action)
			}
			for _, service := range []string{"iam:", "sts:", "s3:", "route53:", "secretsmanager:", "execute-api:"} {
				if strings.HasPrefix(action, service) {
					t.Errorf("%s is allowed", action)
				}
			}
			for _, verb := range []string{"Failover", "Switchover", "Modify", "PutParameter", "Disable"} {
				if strings.Contains(action, verb) {
					t.Errorf("%s is allowed", action)
				}
			}
		}
		// What changes or removes anything is for what a restore has made, and for nothing else. What brings messages back is in
		// replay_template_test.go.
		for _, statement := range v.Statements()[id] {
			for _, action := range stackstest.ActionsOf(statement) {
				for _, verb := range []string{"Delete", "Write", "PutItem", "Update", "Tag", "GetItem", "Query", "Scan"} {
					if !strings.Contains(action, verb) || strings.HasPrefix(action, "arc-region-switch:") || strings.HasPrefix(action, "sqs:") || statement["Sid"] == "FindTestPayments" {
						continue // what a drill may read is TestOperatorMayHoldADrill's
					}
					for _, resource := range resourcesOf(statement) {
						if !strings.HasSuffix(stackstest.Text(resource), `-restore-*"`) {
							t.Errorf("%s is allowed on %s", action, stackstest.Text(resource))
						}
					}
				}
			}
		}
	})
	if len(names) != 2*len(stackstest.Environments) {
		t.Errorf("roles for %v", names)
	}
	inGlobal(t, func(t *testing.T, v stackstest.View, s settings.Settings) {
		if s.Recovery.Automatic {
			if strings.Contains(stackstest.Text(v.Stack.Template.Resources), "-approver") {
				t.Error("an approver, and nothing to approve")
			}
			return
		}
		role, id := stackstest.RoleNamed(t, v, "payment-"+s.Environment+"-approver")
		assumableByTheRightPeople(t, role, s, s.Operators.Approvers)
		var approves bool
		for _, statement := range v.Statements()[id] {
			for _, action := range stackstest.ActionsOf(statement) {
				approves = approves || action == "arc-region-switch:ApprovePlanExecutionStep"
				if action == "arc-region-switch:StartPlanExecution" {
					t.Error("who approves can also start")
				}
			}
		}
		if !approves {
			t.Error("the approver cannot approve")
		}
	})
}

// resourcesOf are what a statement is about, one or many.
func resourcesOf(statement map[string]any) []any {
	if many := assembly.List(statement["Resource"]); many != nil {
		return many
	}
	return []any{statement["Resource"]}
}

// permits reports whether one of the statements allows an action on a resource. Resources that are no plain text permit
// nothing.
func permits(statements []map[string]any, action, resource string) bool {
	for _, statement := range statements {
		if statement["Effect"] != "Allow" || !slices.Contains(stackstest.ActionsOf(statement), action) {
			continue
		}
		for _, pattern := range resourcesOf(statement) {
			if pattern, ok := pattern.(string); ok && matches(pattern, resource) {
				return true
			}
		}
	}
	return false
}

// matches is how IAM compares: "*" stands for any text.
func matches(pattern, resource string) bool {
	parts := strings.Split(regexp.QuoteMeta(pattern), `\*`)
	return regexp.MustCompile("^" + strings.Join(parts, ".*") + "$").MatchString(resource)
}

// The way back in time is internal/operate/restore's: what it calls, on what it names so.
func TestOperatorMayGoTheWayBack(t *testing.T) {
	moment := time.Date(2026, 11, 19, 15, 36, 33, 0, time.UTC)
	stackstest.Each(t, func(t *testing.T, v stackstest.View) {
		s, region := v.Assembly.Settings, v.Stack.Region
		_, id := stackstest.RoleNamed(t, v, "payment-"+s.Environment+"-operator-"+region)
		_, live := v.One(t, "AWS::RDS::DBCluster")
		cluster := live.Properties["DBClusterIdentifier"].(string)
		table := "payment-" + s.Environment + "-sessions"
		clusterCopy, tableCopy := restore.Name(cluster, moment), restore.Name(table, moment)
		rds := func(kind, name string) string {
			return "arn:aws:rds:" + region + ":" + s.Account + ":" + kind + ":" + name
		}
		dynamodb := func(name string) string { return "arn:aws:dynamodb:" + region + ":" + s.Account + ":table/" + name }
		for action, resources := range map[string][]string{
			"rds:DescribeDBClusters":  {rds("cluster", cluster), rds("cluster", clusterCopy)},
			"rds:DescribeDBInstances": {rds("db", cluster+"-1"), rds("db", clusterCopy+"-1")},
			"rds:RestoreDBClusterToPointInTime": {rds("cluster", cluster), rds("cluster", clusterCopy),
				rds("subgrp", cluster), rds("cluster-pg", cluster), rds("og", "default:aurora-mysql-8-0")},
			"rds:CreateDBInstance": {rds("cluster", clusterCopy), rds("db", clusterCopy+"-1"),
				rds("subgrp", cluster), rds("pg", "default.aurora-mysql8.0"), rds("og", "default:aurora-mysql-8-0")},
			"rds:AddTagsToResource":              {rds("cluster", clusterCopy)},
			"rds:DeleteDBInstance":               {rds("db", clusterCopy+"-1")},
			"rds:DeleteDBCluster":                {rds("cluster", clusterCopy)},
			"dynamodb:DescribeContinuousBackups": {dynamodb(table)},
			"dynamodb:RestoreTableToPointInTime": {dynamodb(table), dynamodb(tableCopy)},
			"dynamodb:DescribeTable":             {dynamodb(tableCopy)},
			"dynamodb:DeleteTable":               {dynamodb(tableCopy)},
			// As whoever restores, DynamoDB reads and writes the copy.
			"dynamodb:BatchWriteItem": {dynamodb(tableCopy)}, "dynamodb:DeleteItem": {dynamodb(tableCopy)},
			"dynamodb:GetItem": {dynamodb(tableCopy)}, "dynamodb:PutItem": {dynamodb(tableCopy)}, "dynamodb:Query": {dynamodb(tableCopy)},
			"dynamodb:Scan": {dynamodb(tableCopy)}, "dynamodb:UpdateItem": {dynamodb(tableCopy)},
		} {
			for _, resource := range resources {
				if !permits(v.Statements()[id], action, resource) {
					t.Errorf("%s on %s is not allowed", action, resource)
				}
			}
		}
		for action, resource := range map[string]string{
			"rds:CreateDBInstance": rds("cluster", cluster), "rds:AddTagsToResource": rds("cluster", cluster),
			"rds:DeleteDBCluster": rds("cluster", cluster), "rds:DeleteDBInstance": rds("db", cluster+"-1"),
			"dynamodb:DeleteTable": dynamodb(table), "dynamodb:PutItem": dynamodb(table), "dynamodb:Scan": dynamodb(table),
		} {
			if permits(v.Statements()[id], action, resource) {
				t.Errorf("%s on %s is allowed", action, resource)
			}
		}
	})
}

// assumableByTheRightPeople checks a role's trust: the principals of the settings or else the account, with multi-factor
// authentication in production.
func assumableByTheRightPeople(t *testing.T, role assembly.Resource, s settings.Settings, principals []string) {
	t.Helper()
	want := slices.Clone(principals)
	if len(want) == 0 {
		want = []string{s.Account}
	}
	var trusted []string
	for _, st := range assembly.List(assembly.At(role.Properties["AssumeRolePolicyDocument"], "Statement")) {
		statement := assembly.Object(st)
		for _, principal := range oneOrMore(assembly.At(statement["Principal"], "AWS")) {
			name := stackstest.Flatten(principal)
			if account, ok := strings.CutSuffix(name, ":root"); ok {
				name = strings.TrimPrefix(account, "arn:aws:iam::")
			}
			trusted = append(trusted, name)
		}
		mfa := stackstest.Text(assembly.At(statement["Condition"], "Bool", "aws:MultiFactorAuthPresent")) == `"true"`
		if s.Production && !mfa {
			t.Errorf("%v may be assumed without multi-factor authentication: %s", role.Properties["RoleName"], stackstest.Text(statement))
		}
	}
	slices.Sort(trusted)
	slices.Sort(want)
	if !slices.Equal(trusted, want) {
		t.Errorf("%v trusts %q, want %q", role.Properties["RoleName"], trusted, want)
	}
}

// What the tool calls to reconcile and to replay, the operator may, on what it is about and on nothing else.
func TestOperatorMayBringBackWhatWasNotDelivered(t *testing.T) {
	stackstest.Each(t, func(t *testing.T, v stackstest.View) {
		s, region := v.Assembly.Settings, v.Stack.Region
		_, id := stackstest.RoleNamed(t, v, "payment-"+s.Environment+"-operator-"+region)
		statements := v.Statements()[id]
		arn := func(service, rest string) string {
			return "arn:aws:" + service + ":" + region + ":" + s.Account + ":" + rest
		}
		queue := func(name string) string { return arn("sqs", "payment-"+s.Environment+"-"+name) }
		bus := "payment-" + s.Environment
		may, mayNot := map[string][]string{
			"lambda:InvokeFunction":  {arn("lambda", "function:"+operate.ReconcileFunction(&s))},
			"events:PutEvents":       {arn("events", "event-bus/"+bus)},
			"events:DescribeArchive": {arn("events", "archive/"+bus)},
			"events:StartReplay":     {arn("events", "archive/"+bus), arn("events", "event-bus/"+bus), arn("events", "replay/"+bus+"-20261120T030000Z-20261120T053000Z-2")},
			"events:DescribeReplay":  {arn("events", "replay/"+bus+"-20261120T030000Z-20261120T053000Z")},
			"events:CancelReplay":    {arn("events", "replay/"+bus+"-20261120T030000Z-20261120T053000Z")},
			"sqs:SendMessage":        {queue("ledger")},
			"dynamodb:ListTables":    {"*"},
			"rds:DescribeDBClusters": {arn("rds", "cluster:*")},
		}, map[string][]string{
			"lambda:InvokeFunction": {arn("lambda", "function:payment-"+s.Environment+"-processor"), arn("lambda", "function:payment-"+s.Environment+"-migrate")},
			"events:PutEvents":      {arn("events", "event-bus/default")},
			"events:StartReplay":    {arn("events", "archive/somebody-elses"), arn("events", "event-bus/default")},
			"sqs:ReceiveMessage":    {queue("ledger")},
			"sqs:DeleteMessage":     {queue("ledger")},
			"rds:DeleteDBCluster":   {arn("rds", "cluster:payment-"+s.Environment+"-"+region)},
		}
		for _, q := range operate.DeadLetterQueues {
			for _, action := range []string{"sqs:GetQueueUrl", "sqs:GetQueueAttributes"} {
				may[action] = append(may[action], queue(q.Name), queue("ledger"))
			}
			mayNot["sqs:SendMessage"] = append(mayNot["sqs:SendMessage"], queue(q.Name))
			receive := []string{"sqs:ReceiveMessage", "sqs:DeleteMessage"}
			switch q.Remedy {
			case operate.RemedyMove:
				receive = append(receive, "sqs:StartMessageMoveTask", "sqs:ListMessageMoveTasks", "sqs:CancelMessageMoveTask")
			case operate.RemedyPut, operate.RemedyReconcile:
				receive = append(receive, "sqs:ChangeMessageVisibility")
			case operate.RemedyNone:
				for _, action := range receive {
					mayNot[action] = append(mayNot[action], queue(q.Name))
				}
				continue
			}
			for _, action := range receive {
				may[action] = append(may[action], queue(q.Name))
			}
		}
		for action, resources := range may {
			for _, resource := range resources {
				if !permits(statements, action, resource) {
					t.Errorf("%s on %s is not allowed", action, resource)
				}
			}
		}
		for action, resources := range mayNot {
			for _, resource := range resources {
				if permits(statements, action, resource) {
					t.Errorf("%s on %s is allowed", action, resource)
				}
			}
		}
		known := map[string]bool{}
		for action := range may {
			known[action] = true
		}
		for _, statement := range statements {
			for _, action := range stackstest.ActionsOf(statement) {
				service, _, _ := strings.Cut(action, ":")
				if slices.Contains([]string{"lambda", "sqs", "events"}, service) && !known[action] {
					t.Errorf("%s is allowed", action)
				}
				if action == "events:PutEvents" {
					only := assembly.Object(assembly.At(statement["Condition"], "ForAllValues:StringEquals"))
					if only["events:source"] != payment.EventSource || only["events:detail-type"] != payment.EventDetailType {
						t.Errorf("events of %v may be put", only)
					}
					stackstest.Same(t, "keys that have to be there", assembly.At(statement, "Condition", "Null"), map[string]any{"events:source": "false", "events:detail-type": "false"})
				}
				if slices.Contains([]string{"kms:Decrypt", "kms:GenerateDataKey"}, action) {
					if via := assembly.At(statement["Condition"], "StringEquals", "kms:ViaService"); via != "sqs."+region+".amazonaws.com" {
						t.Errorf("%s by way of %v", action, via)
					}
					known[action] = true
				}
			}
		}
		// Messages are encrypted: they are read, and sent on, with the key.
		if !known["kms:Decrypt"] || !known["kms:GenerateDataKey"] {
			t.Error("the key may not be used")
		}
	})
}
