package preflight

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/apigateway"
	"github.com/aws/aws-sdk-go-v2/service/arcregionswitch"
	"github.com/aws/aws-sdk-go-v2/service/backup"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	cloudwatchtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/wafv2"
	waftypes "github.com/aws/aws-sdk-go-v2/service/wafv2/types"

	"payments-dr/internal/assembly"
	"payments-dr/internal/settings"
)

// named is a resource of the templates, with its fixed name, in one of the Regions that it occupies.
type named struct {
	stack    assembly.Stack
	id       string
	region   string
	resource assembly.Resource
	name     string
}

// leftoverChecks look up every fixed name of the templates that its stack does not have yet.
func (c *check) leftoverChecks() []func(context.Context) {
	type place struct{ kind, region string }
	all := map[place][]named{}
	for _, stack := range c.assembly.Stacks {
		for id, resource := range stack.Template.Resources {
			look, ok := lookups[resource.Type]
			name := assembly.Text(resource.Properties[look.property])
			if !ok || name == "" {
				continue
			}
			n := named{stack: stack, id: id, region: stack.Region, resource: resource, name: name}
			if c.owned(n) {
				continue
			}
			regions := append([]string{stack.Region}, replicas(resource)...)
			if look.global {
				regions = []string{settings.GlobalRegion}
			}
			slices.Sort(regions)
			for _, n.region = range slices.Compact(regions) {
				at := place{resource.Type, n.region}
				all[at] = append(all[at], n)
			}
		}
	}
	var checks []func(context.Context)
	for at, wanted := range all {
		checks = append(checks, func(ctx context.Context) {
			found, err := lookups[at.kind].find(ctx, c.clients(at.region), wanted)
			if err != nil {
				c.unknown(at.region, kindInWords(at.kind)+": which names are in use cannot be read", err)
				return
			}
			for _, n := range wanted {
				if slices.Contains(found, n.name) {
					c.leftover(n)
				}
			}
		})
	}
	for _, cluster := range c.resources("", "AWS::RDS::DBCluster") {
		if !c.owned(cluster) {
			checks = append(checks, func(ctx context.Context) { c.checkSnapshots(ctx, cluster) })
		}
	}
	return checks
}

// replicas are the other Regions in which a resource has the same name: those of a global table or of a replicated secret.
func replicas(resource assembly.Resource) []string {
	var regions []string
	for _, property := range []string{"Replicas", "ReplicaRegions"} {
		for _, replica := range assembly.List(resource.Properties[property]) {
			if region := assembly.Text(assembly.At(replica, "Region")); region != "" {
				regions = append(regions, region)
			}
		}
	}
	return regions
}

// leftover adds that a name is in use and not by the stack's resource of this logical id.
func (c *check) leftover(n named) {
	f := Finding{Level: Blocks, Region: n.region, Found: kindInWords(n.resource.Type) + " " + n.name + " exists and does not belong to " + n.stack.Name,
		Why: "CloudFormation cannot create another one with this name.",
		Fix: "if nothing needs it: " + strings.NewReplacer("{name}", n.name, "{region}", n.region, "{account}", n.stack.Account).Replace(lookups[n.resource.Type].fix)}
	f.Kept = kept(n.resource)
	if lookups[n.resource.Type].global {
		f.Region = ""
	}
	for _, stack := range c.assembly.Stacks {
		for id, has := range c.deployed[stack.Name].resources {
			if stack.Region == n.stack.Region && has.kind == n.resource.Type && has.isNamed(n.name) {
				f.Found = fmt.Sprintf("%s %s belongs to %s as %s, and the new templates have it in %s as %s", kindInWords(n.resource.Type), n.name, stack.Name, id, n.stack.Name, n.id)
				f.Why = "CloudFormation creates the new one before it deletes the old one, and both have the same name."
				f.Fix = "keep the logical id (OverrideLogicalId), or move the resource first: npx cdk refactor"
			}
		}
	}
	c.add(f)
}

// checkSnapshots lists what is left of an earlier cluster.
func (c *check) checkSnapshots(ctx context.Context, cluster named) {
	name := assembly.Text(cluster.resource.Properties["DBClusterIdentifier"])
	snapshots, err := listed(ctx, rds.NewDescribeDBClusterSnapshotsPaginator(c.clients(cluster.region).rds, &rds.DescribeDBClusterSnapshotsInput{DBClusterIdentifier: &name}),
		func(page *rds.DescribeDBClusterSnapshotsOutput) []string {
			var all []string
			for _, snapshot := range page.DBClusterSnapshots {
				all = append(all, aws.ToString(snapshot.DBClusterSnapshotIdentifier))
			}
			return all
		})
	if err != nil && !absent(err) {
		c.unknown(cluster.region, "whether snapshots of an earlier cluster are left cannot be read", err)
	} else if len(snapshots) > 0 {
		c.add(Finding{Level: Warns, Region: cluster.region, Found: fmt.Sprintf("%d snapshots are left of an earlier cluster %s: %s", len(snapshots), name, strings.Join(snapshots, ", ")),
			Why: "They do not block the deployment. They cost money, and they may hold the last copy of the ledger.", Kept: cluster.resource.DeletionPolicy,
			Fix: "if nobody needs them: aws rds delete-db-cluster-snapshot --region " + cluster.region + " --db-cluster-snapshot-identifier " + snapshots[0]})
	}
}

// kept is a resource's deletion policy if its stack leaves it behind.
func kept(resource assembly.Resource) string {
	if strings.HasPrefix(resource.DeletionPolicy, "Retain") {
		return resource.DeletionPolicy
	}
	return ""
}

// Left lists what is left of an environment after its stacks were destroyed: stacks that still exist, names of the templates that are
// in use, and what the templates keep under names that AWS generates, which nobody can look up. It changes nothing.
func Left(ctx context.Context, a *assembly.Assembly, config aws.Config, resolver Resolver) Report {
	c := newCheck(a, config, resolver)
	if !c.checkAccount(ctx) {
		return c.report()
	}
	var checks []func(context.Context)
	for _, stack := range a.Stacks {
		checks = append(checks, func(ctx context.Context) { c.checkStack(ctx, stack.Name, stack.Region) })
	}
	c.run(ctx, checks)
	checks = c.leftoverChecks()
	if a.Settings.DNS.HostedZoneID == "" { // a zone that the settings name is not the stack's
		checks = append(checks, c.checkZone)
	}
	c.run(ctx, checks)
	for _, stack := range a.Stacks {
		if _, exists := c.deployed[stack.Name]; exists {
			c.add(Finding{Level: Blocks, Region: stack.Region, Found: "stack " + stack.Name + " still exists", Fix: "destroy it again: dr accept --clean-up"})
		}
		c.addGenerated(stack)
	}
	// Warnings about the next deployment are not leftovers.
	c.findings = slices.DeleteFunc(c.findings, func(f Finding) bool { return f.Level == Warns && f.Kept == "" })
	return c.report()
}

// addGenerated adds what a stack leaves behind under names that AWS generates.
func (c *check) addGenerated(stack assembly.Stack) {
	type group struct{ kind, policy string }
	count := map[group]int{}
	for _, r := range stack.Template.Resources {
		if kept(r) != "" && assembly.Text(r.Properties[lookups[r.Type].property]) == "" && r.Type != "AWS::Route53::HostedZone" {
			count[group{r.Type, kept(r)}]++
		}
	}
	for g, n := range count {
		c.add(Finding{Level: Warns, Region: stack.Region, Found: fmt.Sprintf("%d × %s of %s, under generated names that cannot be looked up", n, g.kind, stack.Name),
			Why: "It does not block the deployment.", Fix: "docs/use/deploy.md, \"What stays behind\", says when it can be deleted", Kept: g.policy})
	}
}

var wordBoundary = regexp.MustCompile(`([a-z])([A-Z])`)

// kindInWords is a resource type's last part: "BackupVault" is "backup vault".
func kindInWords(kind string) string {
	last := kind[strings.LastIndex(kind, ":")+1:]
	words := wordBoundary.ReplaceAllStringFunc(strings.NewReplacer("DBC", "C", "DBI", "I", "DBS", "S", "ACL", "Acl").Replace(last), func(at string) string { return at[:1] + " " + at[1:] })
	return strings.ToLower(words)
}

// lookup finds out which names of one resource type are in use.
type lookup struct {
	// property holds the name.
	property string
	// global is set if the name is the account's and not a Region's.
	global bool
	// find returns the names that are in use.
	find func(context.Context, *clients, []named) ([]string, error)
	// fix is the command that removes one: {name}, {region} and {account} are replaced.
	fix string
}

// each asks for one resource at a time.
func each(ask func(context.Context, *clients, named) error) func(context.Context, *clients, []named) ([]string, error) {
	return func(ctx context.Context, c *clients, all []named) ([]string, error) {
		var found []string
		for _, n := range all {
			if err := ask(ctx, c, n); err == nil {
				found = append(found, n.name)
			} else if !absent(err) {
				return nil, err
			}
		}
		return found, nil
	}
}

// paginator is what the SDK has for a list in pages.
type paginator[Page, Options any] interface {
	HasMorePages() bool
	NextPage(context.Context, ...func(*Options)) (Page, error)
}

// listed reads all pages of a list.
func listed[Page, Options any](ctx context.Context, pages paginator[Page, Options], names func(Page) []string) ([]string, error) {
	var all []string
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		all = append(all, names(page)...)
	}
	return all, nil
}

// lookups are the resource types whose names must be unique. A test compares them with the templates, so that a new type with a fixed
// name cannot be forgotten.
var lookups = map[string]lookup{
	"AWS::ARCRegionSwitch::Plan": {property: "Name", fix: "aws arc-region-switch delete-plan --region {region} --arn <its ARN, from aws arc-region-switch list-plans>",
		find: func(ctx context.Context, c *clients, _ []named) ([]string, error) {
			return listed(ctx, arcregionswitch.NewListPlansPaginator(c.regionswitch, &arcregionswitch.ListPlansInput{}), func(page *arcregionswitch.ListPlansOutput) []string {
				var all []string
				for _, plan := range page.Plans {
					all = append(all, aws.ToString(plan.Name))
				}
				return all
			})
		}},
	"AWS::ApiGateway::DomainName": {property: "DomainName", fix: "aws apigateway delete-domain-name --region {region} --domain-name {name}",
		find: each(func(ctx context.Context, c *clients, n named) error {
			_, err := c.apigateway.GetDomainName(ctx, &apigateway.GetDomainNameInput{DomainName: &n.name})
			return err
		})},
	// DescribeBackupVault answers a missing vault with AccessDeniedException.
	"AWS::Backup::BackupVault": {property: "BackupVaultName", fix: "aws backup delete-backup-vault --region {region} --backup-vault-name {name}  # when its recovery points have expired or are deleted",
		find: func(ctx context.Context, c *clients, _ []named) ([]string, error) {
			return listed(ctx, backup.NewListBackupVaultsPaginator(c.backup, &backup.ListBackupVaultsInput{}), func(page *backup.ListBackupVaultsOutput) []string {
				var all []string
				for _, vault := range page.BackupVaultList {
					all = append(all, aws.ToString(vault.BackupVaultName))
				}
				return all
			})
		}},
	"AWS::Backup::RestoreTestingPlan": {property: "RestoreTestingPlanName", fix: "aws backup delete-restore-testing-plan --region {region} --restore-testing-plan-name {name}  # after its selections",
		find: func(ctx context.Context, c *clients, _ []named) ([]string, error) {
			return listed(ctx, backup.NewListRestoreTestingPlansPaginator(c.backup, &backup.ListRestoreTestingPlansInput{}), func(page *backup.ListRestoreTestingPlansOutput) []string {
				var all []string
				for _, plan := range page.RestoreTestingPlans {
					all = append(all, aws.ToString(plan.RestoreTestingPlanName))
				}
				return all
			})
		}},
	"AWS::CloudWatch::Alarm":          {property: "AlarmName", find: findAlarms, fix: "aws cloudwatch delete-alarms --region {region} --alarm-names {name}"},
	"AWS::CloudWatch::CompositeAlarm": {property: "AlarmName", find: findAlarms, fix: "aws cloudwatch delete-alarms --region {region} --alarm-names {name}"},
	"AWS::CloudWatch::Dashboard": {property: "DashboardName", fix: "aws cloudwatch delete-dashboards --region {region} --dashboard-names {name}",
		find: func(ctx context.Context, c *clients, _ []named) ([]string, error) {
			return listed(ctx, cloudwatch.NewListDashboardsPaginator(c.cloudwatch, &cloudwatch.ListDashboardsInput{}), func(page *cloudwatch.ListDashboardsOutput) []string {
				var all []string
				for _, dashboard := range page.DashboardEntries {
					all = append(all, aws.ToString(dashboard.DashboardName))
				}
				return all
			})
		}},
	"AWS::DynamoDB::GlobalTable": {property: "TableName", fix: "aws dynamodb delete-table --region {region} --table-name {name}  # after turning off its deletion protection. It deletes the payments",
		find: each(func(ctx context.Context, c *clients, n named) error {
			_, err := c.dynamodb.DescribeTable(ctx, &dynamodb.DescribeTableInput{TableName: &n.name})
			return err
		})},
	"AWS::Events::Archive": {property: "ArchiveName", fix: "aws events delete-archive --region {region} --archive-name {name}",
		find: each(func(ctx context.Context, c *clients, n named) error {
			_, err := c.eventbridge.DescribeArchive(ctx, &eventbridge.DescribeArchiveInput{ArchiveName: &n.name})
			return err
		})},
	"AWS::Events::EventBus": {property: "Name", fix: "aws events delete-event-bus --region {region} --name {name}  # after its rules",
		find: each(func(ctx context.Context, c *clients, n named) error {
			_, err := c.eventbridge.DescribeEventBus(ctx, &eventbridge.DescribeEventBusInput{Name: &n.name})
			return err
		})},
	"AWS::Events::Rule": {property: "Name", fix: "aws events delete-rule --region {region} --name {name}  # after its targets; add --event-bus-name if it is not on the default bus",
		find: each(func(ctx context.Context, c *clients, n named) error {
			in := &eventbridge.DescribeRuleInput{Name: &n.name}
			switch bus := n.resource.Properties["EventBusName"].(type) {
			case string:
				in.EventBusName = &bus
			case map[string]any:
				in.EventBusName = aws.String(assembly.Text(n.stack.Template.Resources[assembly.Referred(bus)].Properties["Name"]))
			}
			_, err := c.eventbridge.DescribeRule(ctx, in)
			return err
		})},
	"AWS::IAM::Role": {property: "RoleName", global: true, fix: "aws iam delete-role --role-name {name}  # after its policies",
		find: each(func(ctx context.Context, c *clients, n named) error {
			_, err := c.iam.GetRole(ctx, &iam.GetRoleInput{RoleName: &n.name})
			return err
		})},
	"AWS::KMS::Alias": {property: "AliasName", fix: "aws kms delete-alias --region {region} --alias-name {name}  # the key itself stays",
		find: func(ctx context.Context, c *clients, _ []named) ([]string, error) {
			return listed(ctx, kms.NewListAliasesPaginator(c.kms, &kms.ListAliasesInput{}), func(page *kms.ListAliasesOutput) []string {
				var all []string
				for _, alias := range page.Aliases {
					all = append(all, aws.ToString(alias.AliasName))
				}
				return all
			})
		}},
	"AWS::Lambda::Function": {property: "FunctionName", fix: "aws lambda delete-function --region {region} --function-name {name}",
		find: each(func(ctx context.Context, c *clients, n named) error {
			_, err := c.lambda.GetFunctionConfiguration(ctx, &lambda.GetFunctionConfigurationInput{FunctionName: &n.name})
			return err
		})},
	"AWS::Logs::LogGroup": {property: "LogGroupName", fix: "aws logs delete-log-group --region {region} --log-group-name {name}",
		find: func(ctx context.Context, c *clients, all []named) ([]string, error) {
			var found []string
			for _, n := range all {
				groups, err := listed(ctx, cloudwatchlogs.NewDescribeLogGroupsPaginator(c.logs, &cloudwatchlogs.DescribeLogGroupsInput{LogGroupNamePrefix: &n.name}),
					func(page *cloudwatchlogs.DescribeLogGroupsOutput) []string {
						var all []string
						for _, group := range page.LogGroups {
							all = append(all, aws.ToString(group.LogGroupName))
						}
						return all
					})
				if err != nil {
					return nil, err
				}
				found = append(found, groups...)
			}
			return found, nil
		}},
	"AWS::RDS::DBCluster": {property: "DBClusterIdentifier", fix: "aws rds delete-db-cluster --region {region} --db-cluster-identifier {name} --final-db-snapshot-identifier {name}-final  # after its instances, and after leaving its global cluster",
		find: each(func(ctx context.Context, c *clients, n named) error {
			_, err := c.rds.DescribeDBClusters(ctx, &rds.DescribeDBClustersInput{DBClusterIdentifier: &n.name})
			return err
		})},
	"AWS::RDS::DBClusterParameterGroup": {property: "DBClusterParameterGroupName", fix: "aws rds delete-db-cluster-parameter-group --region {region} --db-cluster-parameter-group-name {name}",
		find: each(func(ctx context.Context, c *clients, n named) error {
			_, err := c.rds.DescribeDBClusterParameterGroups(ctx, &rds.DescribeDBClusterParameterGroupsInput{DBClusterParameterGroupName: &n.name})
			return err
		})},
	"AWS::RDS::DBInstance": {property: "DBInstanceIdentifier", fix: "aws rds delete-db-instance --region {region} --db-instance-identifier {name}",
		find: each(func(ctx context.Context, c *clients, n named) error {
			_, err := c.rds.DescribeDBInstances(ctx, &rds.DescribeDBInstancesInput{DBInstanceIdentifier: &n.name})
			return err
		})},
	"AWS::RDS::DBSubnetGroup": {property: "DBSubnetGroupName", fix: "aws rds delete-db-subnet-group --region {region} --db-subnet-group-name {name}",
		find: each(func(ctx context.Context, c *clients, n named) error {
			_, err := c.rds.DescribeDBSubnetGroups(ctx, &rds.DescribeDBSubnetGroupsInput{DBSubnetGroupName: &n.name})
			return err
		})},
	"AWS::RDS::GlobalCluster": {property: "GlobalClusterIdentifier", fix: "aws rds delete-global-cluster --region {region} --global-cluster-identifier {name}  # after its members",
		find: each(func(ctx context.Context, c *clients, n named) error {
			_, err := c.rds.DescribeGlobalClusters(ctx, &rds.DescribeGlobalClustersInput{GlobalClusterIdentifier: &n.name})
			return err
		})},
	"AWS::SNS::Topic": {property: "TopicName", fix: "aws sns delete-topic --region {region} --topic-arn arn:aws:sns:{region}:{account}:{name}",
		find: each(func(ctx context.Context, c *clients, n named) error {
			_, err := c.sns.GetTopicAttributes(ctx, &sns.GetTopicAttributesInput{TopicArn: aws.String("arn:aws:sns:" + n.region + ":" + n.stack.Account + ":" + n.name)})
			return err
		})},
	"AWS::SQS::Queue": {property: "QueueName", fix: "aws sqs delete-queue --queue-url https://sqs.{region}.amazonaws.com/{account}/{name}",
		find: each(func(ctx context.Context, c *clients, n named) error {
			_, err := c.sqs.GetQueueUrl(ctx, &sqs.GetQueueUrlInput{QueueName: &n.name})
			return err
		})},
	"AWS::SSM::Parameter": {property: "Name", fix: "aws ssm delete-parameter --region {region} --name {name}",
		find: each(func(ctx context.Context, c *clients, n named) error {
			_, err := c.ssm.GetParameter(ctx, &ssm.GetParameterInput{Name: &n.name})
			return err
		})},
	// A secret that is scheduled for deletion keeps its name. DescribeSecret answers for it too.
	"AWS::SecretsManager::Secret": {property: "Name", fix: "aws secretsmanager delete-secret --region {region} --secret-id {name} --force-delete-without-recovery  # also if it is scheduled for deletion; a replica: remove-regions-from-replication first",
		find: each(func(ctx context.Context, c *clients, n named) error {
			_, err := c.secrets.DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: &n.name})
			return err
		})},
	"AWS::WAFv2::WebACL": {property: "Name", fix: "aws wafv2 delete-web-acl --region {region} --scope REGIONAL --name {name} --id <id> --lock-token <token>  # both from aws wafv2 list-web-acls --scope REGIONAL",
		find: func(ctx context.Context, c *clients, _ []named) ([]string, error) {
			var found []string
			in := &wafv2.ListWebACLsInput{Scope: waftypes.ScopeRegional}
			for {
				page, err := c.waf.ListWebACLs(ctx, in)
				if err != nil {
					return nil, err
				}
				for _, acl := range page.WebACLs {
					found = append(found, aws.ToString(acl.Name))
				}
				if in.NextMarker = page.NextMarker; aws.ToString(in.NextMarker) == "" {
					return found, nil
				}
			}
		}},
}

// maxAlarmNames is how many names DescribeAlarms takes ("DescribeAlarms", CloudWatch API Reference).
const maxAlarmNames = 100

func findAlarms(ctx context.Context, c *clients, all []named) ([]string, error) {
	var found []string
	for some := range slices.Chunk(all, maxAlarmNames) {
		in := &cloudwatch.DescribeAlarmsInput{MaxRecords: aws.Int32(maxAlarmNames), AlarmTypes: []cloudwatchtypes.AlarmType{cloudwatchtypes.AlarmTypeMetricAlarm, cloudwatchtypes.AlarmTypeCompositeAlarm}}
		for _, n := range some {
			in.AlarmNames = append(in.AlarmNames, n.name)
		}
		answer, err := c.cloudwatch.DescribeAlarms(ctx, in)
		if err != nil {
			return nil, err
		}
		for _, alarm := range answer.MetricAlarms {
			found = append(found, aws.ToString(alarm.AlarmName))
		}
		for _, alarm := range answer.CompositeAlarms {
			found = append(found, aws.ToString(alarm.AlarmName))
		}
	}
	return found, nil
}
