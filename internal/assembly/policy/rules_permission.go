package policy

import (
	"maps"
	"slices"
	"strings"

	"payments-dr/internal/assembly"
)

// unbound are the actions that may be allowed on "*": those for which the service knows no resource, or which it checks on "*"
// alone ("Actions, resources, and condition keys" of each service, Service Authorization Reference).
var unbound = []string{
	"xray:PutTraceSegments", "xray:PutTelemetryRecords",
	// Lambda checks for these on everything before it takes a function into a network ("Giving Lambda functions access to resources
	// in an Amazon VPC", AWS Lambda Developer Guide).
	"ec2:CreateNetworkInterface", "ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets", "ec2:DeleteNetworkInterface",
	"ec2:AssignPrivateIpAddresses", "ec2:UnassignPrivateIpAddresses",
	"cloudwatch:GetMetricData", "cloudwatch:ListMetrics", "cloudwatch:DescribeAlarms", "cloudwatch:DescribeAlarmHistory", // see the rule all-alarms
	"backup:DescribeRestoreJob", "backup:ListRestoreJobs", "backup:PutRestoreValidationResult",
	"rds:DescribeGlobalClusters", "rds:DescribeDBClusters", // without names, as the recovery plan asks
	"dynamodb:ListTables",
	"arc-region-switch:ListPlansInRegion",
}

// alarmReads are the actions that return composite alarms to whoever may use them on "*".
var alarmReads = []string{"cloudwatch:DescribeAlarms", "cloudwatch:DescribeAlarmHistory"}

// keyActions are what the library's grants on an encrypted queue say for variants of one operation, on one key.
var keyActions = []string{"kms:GenerateDataKey*", "kms:ReEncrypt*"}

// serviceRoles are the policies of AWS that a role may have: each is what the service's documentation names for it.
var serviceRoles = []string{"service-role/AmazonRDSEnhancedMonitoringRole", "service-role/AmazonAPIGatewayPushToCloudWatchLogs"}

// The rules of least privilege.
var permissionRules = []*Rule{
	{
		Name:    "managed-policy",
		Forbids: "A role has a policy of AWS's, which allows more than this platform needs and changes without it.",
		Allowed: "policies that are written out; of AWS's " + strings.Join(serviceRoles, ", ") + ".",
		Fix:     "write the statements out, with resources, as in constructs/backup.go.",
		Why:     "A managed policy such as AmazonDynamoDBFullAccess is for every table of the account, and AWS adds to it (\"AWS managed policies\", IAM User Guide).",
		check: func(p *platform, report report) {
			p.each(func(s *stack, id string, r assembly.Resource) {
				for _, policy := range assembly.OneOrMore(r.Properties["ManagedPolicyArns"]) {
					if name := flat(policy); strings.Contains(name, ":policy/") && !slices.ContainsFunc(serviceRoles, func(known string) bool { return strings.HasSuffix(name, ":policy/"+known) }) {
						report(s, id, "Properties/ManagedPolicyArns", name)
					}
				}
			}, "AWS::IAM::Role", "AWS::IAM::User", "AWS::IAM::Group")
		},
	},
	{
		Name:    "named-resources",
		Forbids: "A policy allows an action on every resource, or actions by a wildcard.",
		Allowed: "actions by name, on resources by ARN; \"*\" as the resource for those actions alone that know no other.",
		Fix:     "name the resource, with regionalARN or FormatArn; if the service knows none for the action, add it to \"unbound\" in internal/assembly/policy/rules_permission.go with its page.",
		Why:     "What a function does not do, whoever takes it over must not be able to do (\"Security best practices in IAM\", IAM User Guide).",
		check: func(p *platform, report report) {
			p.allowed(func(s *stack, id string, statement map[string]any) {
				everything := statement["NotResource"] != nil || slices.Contains(assembly.OneOrMore(statement["Resource"]), any("*"))
				for _, action := range append(assembly.OneOrMore(statement["Action"]), assembly.OneOrMore(statement["NotAction"])...) {
					name := assembly.Text(action)
					switch {
					case statement["NotAction"] != nil:
						report(s, id, "Properties/PolicyDocument", "every action but "+name)
					case strings.HasSuffix(name, "*") && !slices.Contains(keyActions, name):
						report(s, id, "Properties/PolicyDocument", "every action "+name)
					case everything && !slices.Contains(unbound, name):
						report(s, id, "Properties/PolicyDocument", name+" on every resource")
					}
				}
			})
		},
	},
	{
		Name:    "all-alarms",
		Forbids: "A policy allows to describe some alarms, and composite alarms are not returned at all.",
		Allowed: "permission on \"*\" for " + strings.Join(alarmReads, " and ") + ".",
		Fix:     "allow them on \"*\", as in constructs/recovery_plan.go.",
		Why:     "CloudWatch returns a composite alarm only if the permission's scope is \"*\" (\"DescribeAlarms\", Amazon CloudWatch API Reference).",
		check: func(p *platform, report report) {
			p.allowed(func(s *stack, id string, statement map[string]any) {
				for _, action := range assembly.OneOrMore(statement["Action"]) {
					name := assembly.Text(action)
					if slices.Contains(alarmReads, name) && !slices.Contains(assembly.OneOrMore(statement["Resource"]), any("*")) {
						report(s, id, "Properties/PolicyDocument", name+" on "+short(statement["Resource"]))
					}
				}
			})
		},
	},
	{
		Name:    "present-keys",
		Forbids: "A policy allows something on a condition on all values of a key, and a request without the key is allowed too.",
		Allowed: "ForAllValues together with Null: false for the same keys.",
		Fix:     "add present(...) as the condition \"Null\", as in constructs/operator_roles.go.",
		Why:     "ForAllValues is true where there is no value (\"Multivalued context key examples\", IAM User Guide).",
		check: func(p *platform, report report) {
			p.allowed(func(s *stack, id string, statement map[string]any) {
				conditions := assembly.Object(statement["Condition"])
				for _, operator := range slices.Sorted(maps.Keys(conditions)) {
					if !strings.HasPrefix(operator, "ForAllValues:") {
						continue
					}
					for _, key := range slices.Sorted(maps.Keys(assembly.Object(conditions[operator]))) {
						if present := assembly.At(conditions["Null"], key); present != "false" && present != false {
							report(s, id, "Properties/PolicyDocument", operator+" of "+key+", which may be missing")
						}
					}
				}
			})
		},
	},
	{
		Name:    "no-log-group-creation",
		Forbids: "A function may create log groups.",
		Allowed: "logs:CreateLogStream and logs:PutLogEvents on a log group of the stack, and no managed policy.",
		Fix:     "give it a role by NewFunction or newProviderRole; RestrictLibraryProviders is for those that the library's core brings.",
		Why: "Such a function recreates its group with its last lines after CloudFormation has deleted it, unencrypted and kept forever, and the next deployment fails with AlreadyExists " +
			"(aws-cdk issue 31487).",
		check: func(p *platform, report report) {
			for _, s := range p.stacks {
				functions := map[string]bool{} // by role
				s.each(func(_ string, r assembly.Resource) { functions[assembly.Referred(r.Properties["Role"])] = true }, typeFunction)
				s.each(func(id string, r assembly.Resource) {
					of := functions[id]
					for _, role := range assembly.OneOrMore(r.Properties["Roles"]) {
						of = of || functions[assembly.Referred(role)]
					}
					if !of {
						return
					}
					for _, statement := range statements(r) {
						for _, action := range assembly.OneOrMore(statement["Action"]) {
							// Other rules reject managed policies and wildcards in actions.
							if statement["Effect"] == "Allow" && assembly.Text(action) == "logs:CreateLogGroup" {
								report(s, id, "Properties/PolicyDocument", "logs:CreateLogGroup on "+short(statement["Resource"]))
							}
						}
					}
				}, "AWS::IAM::Role", "AWS::IAM::Policy", "AWS::IAM::ManagedPolicy")
			}
		},
	},
	{
		Name:    "no-password",
		Forbids: "A password, or what stands for one, is in a template or a function's environment.",
		Allowed: "sign-in with IAM; a secret's name; for the cluster's master user a dynamic reference to Secrets Manager.",
		Fix:     "sign in with allowDatabaseUser (constructs/ledger.go), or let the function read the secret by its name, as the migration does.",
		Why:     "Whoever may read a function's configuration or a template reads what is in it (\"Working with Lambda environment variables\", AWS Lambda Developer Guide).",
		check: func(p *platform, report report) {
			p.each(func(s *stack, id string, r assembly.Resource) {
				walk("Properties", r.Properties, func(path string, value any) {
					last := strings.ToLower(path[strings.LastIndex(path, "/")+1:])
					secret := strings.HasSuffix(last, "password") || strings.HasSuffix(last, "secretstring") || strings.HasSuffix(last, "authtoken")
					written, dynamic := assembly.Text(value), strings.Contains(flat(value), "{{resolve:secretsmanager:") || strings.Contains(flat(value), "{{resolve:ssm-secure:")
					switch {
					case r.Type == typeFunction && strings.HasPrefix(path, "Properties/Environment/") && (dynamic || secret):
						report(s, id, path, "a secret's value in an environment")
					case secret && written != "" && !dynamic:
						report(s, id, path, "a text")
					}
				})
			})
		},
	},
	{
		Name:    "one-role-per-function",
		Forbids: "Two functions share a role, or a function's role can be taken by others than Lambda.",
		Allowed: "a role for each function that only lambda.amazonaws.com may assume.",
		Fix:     "make the function with NewFunction (constructs/function.go), which makes its role.",
		Why:     "A shared role may do what any of its functions needs, in all of them.",
		check: func(p *platform, report report) {
			for _, s := range p.stacks {
				users := map[string]string{}
				s.each(func(id string, r assembly.Resource) {
					role := assembly.Referred(r.Properties["Role"])
					made, ok := s.Template.Resources[role]
					if !ok {
						report(s, id, "Properties/Role", "a role that this stack does not make: "+short(r.Properties["Role"]))
						return
					}
					if other, ok := users[role]; ok {
						report(s, id, "Properties/Role", role+", which is "+other+"'s too")
					}
					users[role] = id
					for _, statement := range assembly.OneOrMore(assembly.At(made.Properties, "AssumeRolePolicyDocument", "Statement")) {
						for _, service := range assembly.OneOrMore(assembly.At(statement, "Principal", "Service")) {
							if service == "lambda.amazonaws.com" {
								continue
							}
							report(s, role, "Properties/AssumeRolePolicyDocument", short(service))
						}
						if assembly.At(statement, "Principal", "Service") == nil {
							report(s, role, "Properties/AssumeRolePolicyDocument", short(assembly.At(statement, "Principal")))
						}
					}
				}, typeFunction)
			}
		},
	},
}

// allowed visits the statements of all policies that allow something.
func (p *platform) allowed(visit func(s *stack, id string, statement map[string]any)) {
	p.each(func(s *stack, id string, r assembly.Resource) {
		for _, statement := range statements(r) {
			if statement["Effect"] == "Allow" {
				visit(s, id, statement)
			}
		}
	}, "AWS::IAM::Role", "AWS::IAM::Policy", "AWS::IAM::ManagedPolicy")
}

// statements are the statements of a role's own policies, or of a policy.
func statements(r assembly.Resource) []map[string]any {
	documents := []any{r.Properties["PolicyDocument"]}
	if r.Type == "AWS::IAM::Role" {
		documents = nil
		for _, policy := range assembly.OneOrMore(r.Properties["Policies"]) {
			documents = append(documents, assembly.At(policy, "PolicyDocument"))
		}
	}
	var all []map[string]any
	for _, document := range documents {
		for _, statement := range assembly.OneOrMore(assembly.At(document, "Statement")) {
			all = append(all, assembly.Object(statement))
		}
	}
	return all
}

// flat is a text that CloudFormation would join or substitute, with its references in braces.
func flat(part any) string {
	if t, ok := part.(string); ok {
		return t
	}
	o := assembly.Object(part)
	if joined := assembly.OneOrMore(o["Fn::Join"]); len(joined) == 2 {
		var all []string
		for _, piece := range assembly.OneOrMore(joined[1]) {
			all = append(all, flat(piece))
		}
		return strings.Join(all, assembly.Text(joined[0]))
	}
	if sub, ok := o["Fn::Sub"]; ok {
		return assembly.Text(assembly.OneOrMore(sub)[0])
	}
	if id := assembly.Referred(part); id != "" {
		return "{" + id + "}"
	}
	return ""
}
