package preflight

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/apigateway"
	"github.com/aws/aws-sdk-go-v2/service/arcregionswitch"
	"github.com/aws/aws-sdk-go-v2/service/backup"
	"github.com/aws/aws-sdk-go-v2/service/cloudcontrol"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/servicequotas"
	"github.com/aws/aws-sdk-go-v2/service/wafv2"
	waftypes "github.com/aws/aws-sdk-go-v2/service/wafv2/types"

	"payments-dr/internal/settings"
)

const (
	// elasticIPQuota is "EC2-VPC Elastic IPs", 5 in each Region by default ("Amazon VPC quotas", Amazon VPC User Guide).
	elasticIPQuota = "L-0263D0A3"
	// rdsRole is the role that RDS works with in an account.
	rdsRole = "AWSServiceRoleForRDS"
)

// accountChecks ask what an account has to allow before the stacks can be made.
func (c *check) accountChecks() []func(context.Context) {
	var checks []func(context.Context)
	if len(c.resources("", "AWS::RDS::DBCluster")) > 0 {
		checks = append(checks, c.checkRDSRole)
	}
	for _, region := range c.regions() {
		for _, of := range []struct {
			resource string
			check    func(context.Context, string)
		}{
			{"AWS::Lambda::Function", c.checkConcurrency},
			{"AWS::EC2::EIP", c.checkElasticIPs},
			{"AWS::Backup::BackupSelection", c.checkBackupOptIn},
			{"AWS::ApiGateway::Account", c.checkLoggingRole},
			{"AWS::WAFv2::WebACL", c.checkWAF},
		} {
			if len(c.resources(region, of.resource)) > 0 {
				checks = append(checks, func(ctx context.Context) { of.check(ctx, region) })
			}
		}
		// A plan is in one stack, and works in both Regions of the settings.
		if len(c.resources("", "AWS::ARCRegionSwitch::Plan")) > 0 {
			checks = append(checks, func(ctx context.Context) { c.checkRegionSwitch(ctx, region) })
		}
	}
	return checks
}

// resources are those of a type in the stacks of a Region, or of all Regions if it is empty.
func (c *check) resources(region, kind string) []named {
	var all []named
	for _, stack := range c.assembly.Stacks {
		if region != "" && region != stack.Region {
			continue
		}
		for id, resource := range stack.Template.Resources {
			if resource.Type == kind {
				all = append(all, named{stack: stack, id: id, region: stack.Region, resource: resource})
			}
		}
	}
	return all
}

func (c *check) checkElasticIPs(ctx context.Context, region string) {
	need := 0
	for _, address := range c.resources(region, "AWS::EC2::EIP") {
		if !c.owned(address) {
			need++
		}
	}
	if need == 0 {
		return
	}
	const question = "the quota of Elastic IP addresses cannot be compared with those in use"
	quota, err := c.clients(region).quotas.GetServiceQuota(ctx, &servicequotas.GetServiceQuotaInput{ServiceCode: aws.String("ec2"), QuotaCode: aws.String(elasticIPQuota)})
	if err != nil || quota.Quota == nil {
		c.unknown(region, question, err)
		return
	}
	used := 0
	pages := cloudcontrol.NewListResourcesPaginator(c.clients(region).cloudcontrol, &cloudcontrol.ListResourcesInput{TypeName: aws.String("AWS::EC2::EIP")})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			c.unknown(region, question, err)
			return
		}
		used += len(page.ResourceDescriptions)
	}
	if limit := int(aws.ToFloat64(quota.Quota.Value)); used+need > limit {
		c.add(Finding{Level: Blocks, Region: region, Found: fmt.Sprintf("the account has %d Elastic IP addresses of %d, and the NAT gateways need %d more", used, limit, need),
			Why: "CloudFormation cannot allocate the addresses.",
			Fix: fmt.Sprintf("aws service-quotas request-service-quota-increase --region %s --service-code ec2 --quota-code %s --desired-value %d", region, elasticIPQuota, used+need)})
	}
}

func (c *check) checkRDSRole(ctx context.Context) {
	_, err := c.clients(settings.GlobalRegion).iam.GetRole(ctx, &iam.GetRoleInput{RoleName: aws.String(rdsRole)})
	if absent(err) {
		c.add(Finding{Level: Blocks, Found: "the role " + rdsRole + " does not exist",
			Why: "RDS makes it at the first use in an account, and the first creation of a cluster can fail meanwhile.",
			Fix: "aws iam create-service-linked-role --aws-service-name rds.amazonaws.com"})
	} else if err != nil {
		c.unknown("", "whether the role "+rdsRole+" exists cannot be read", err)
	}
}

func (c *check) checkBackupOptIn(ctx context.Context, region string) {
	answer, err := c.clients(region).backup.DescribeRegionSettings(ctx, &backup.DescribeRegionSettingsInput{})
	if err != nil {
		c.unknown(region, "whether AWS Backup is on for Aurora and DynamoDB cannot be read", err)
		return
	}
	var off []string
	for _, kind := range []string{"Aurora", "DynamoDB"} {
		if !answer.ResourceTypeOptInPreference[kind] {
			off = append(off, kind)
		}
	}
	if !answer.ResourceTypeManagementPreference["DynamoDB"] {
		off = append(off, "DynamoDB's advanced features")
	}
	if len(off) > 0 {
		c.add(Finding{Level: Warns, Region: region, Found: "AWS Backup is off for " + strings.Join(off, " and "),
			Why: "The deployment succeeds, but there are no backups, or no copies in the other Region.",
			Fix: "aws backup update-region-settings --region " + region + " --resource-type-opt-in-preference Aurora=true,DynamoDB=true --resource-type-management-preference DynamoDB=true"})
	}
}

func (c *check) checkLoggingRole(ctx context.Context, region string) {
	for _, account := range c.resources(region, "AWS::ApiGateway::Account") {
		if c.owned(account) {
			continue
		}
		answer, err := c.clients(region).apigateway.GetAccount(ctx, &apigateway.GetAccountInput{})
		if err != nil {
			c.unknown(region, "the role that API Gateway writes logs with cannot be read", err)
			return
		}
		if role := aws.ToString(answer.CloudwatchRoleArn); role != "" {
			c.add(Finding{Level: Warns, Region: region, Found: "API Gateway writes logs with the role " + role,
				Why: "The account has one such role in a Region. The deployment replaces it with its own, for all APIs of the account and Region."})
		}
	}
}

func (c *check) checkWAF(ctx context.Context, region string) {
	_, err := c.clients(region).waf.ListWebACLs(ctx, &wafv2.ListWebACLsInput{Scope: waftypes.ScopeRegional, Limit: aws.Int32(1)})
	c.available(region, "AWS WAF", err)
}

func (c *check) checkRegionSwitch(ctx context.Context, region string) {
	_, err := c.clients(region).regionswitch.ListPlans(ctx, &arcregionswitch.ListPlansInput{MaxResults: aws.Int32(1)})
	c.available(region, "ARC Region switch", err)
}

// available adds a finding if a service has no endpoint in a Region, or does not answer there.
func (c *check) available(region, service string, err error) {
	if unknown, ok := errors.AsType[*net.DNSError](err); ok && unknown.IsNotFound {
		c.add(Finding{Level: Blocks, Region: region, Found: service + " has no endpoint: " + unknown.Name + " has no address", Why: "The stacks use it in both Regions.",
			Fix: "set regions in cdk.json to Regions that have " + service})
	} else if err != nil {
		c.unknown(region, "whether "+service+" is available cannot be found out", err)
	}
}

// owned reports whether a resource of the templates is deployed, as the resource of the stack and logical id that it has now.
func (c *check) owned(n named) bool {
	return c.deployed[n.stack.Name].resources[n.id].kind == n.resource.Type
}
