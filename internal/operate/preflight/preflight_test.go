package preflight_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/apigateway"
	"github.com/aws/aws-sdk-go-v2/service/arcregionswitch"
	arctypes "github.com/aws/aws-sdk-go-v2/service/arcregionswitch/types"
	"github.com/aws/aws-sdk-go-v2/service/backup"
	backuptypes "github.com/aws/aws-sdk-go-v2/service/backup/types"
	"github.com/aws/aws-sdk-go-v2/service/cloudcontrol"
	cloudcontroltypes "github.com/aws/aws-sdk-go-v2/service/cloudcontrol/types"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	cloudformationtypes "github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	cloudwatchtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	logstypes "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	kmstypes "github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	lambdatypes "github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	rdstypes "github.com/aws/aws-sdk-go-v2/service/rds/types"
	"github.com/aws/aws-sdk-go-v2/service/route53"
	route53types "github.com/aws/aws-sdk-go-v2/service/route53/types"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/servicequotas"
	quotatypes "github.com/aws/aws-sdk-go-v2/service/servicequotas/types"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/aws-sdk-go-v2/service/wafv2"
	waftypes "github.com/aws/aws-sdk-go-v2/service/wafv2/types"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/middleware"

	"payments-dr/internal/assembly"
	"payments-dr/internal/operate/preflight"
	"payments-dr/internal/settings"
)

const (
	number = "111122223333"
	zone   = "payments.acme-bank.com"
	zoneID = "Z0123456789ABCDEFGHIJ"
)

var errAbsent = &smithy.GenericAPIError{Code: "ResourceNotFoundException", Message: "there is none"}

// account answers the SDK's calls in place of AWS: a healthy account, in which nothing of the platform exists yet.
type account struct {
	number      string
	signIn      error
	bootstrap   map[string]string // version by Region
	concurrency int32
	reserved    map[string]int32 // by function, in both Regions
	addresses   int
	optIn       bool
	loggingRole string
	stacks      map[string]*stack
	// names are in use, as "Region type name".
	names map[string]bool
	// zones are the hosted zones' names by their ids.
	zones map[string]string
	// delegated are the name servers in DNS.
	delegated []string
	snapshots []string
	faults    map[string]error // by "service.operation"

	mu    sync.Mutex
	asked map[string]bool
}

type stack struct {
	cloudformationtypes.Stack
	resources []cloudformationtypes.StackResourceSummary
}

func newAccount() *account {
	return &account{number: number, bootstrap: map[string]string{"us-east-1": "27", "us-west-2": "6"}, concurrency: 1000, optIn: true, stacks: map[string]*stack{},
		names: map[string]bool{"us-east-1 AWS::IAM::Role AWSServiceRoleForRDS": true}, zones: map[string]string{}, faults: map[string]error{}, asked: map[string]bool{}}
}

func (a *account) LookupNS(context.Context, string) ([]*net.NS, error) {
	if len(a.delegated) == 0 {
		return nil, &net.DNSError{Err: "no such host", IsNotFound: true}
	}
	var all []*net.NS
	for _, host := range a.delegated {
		all = append(all, &net.NS{Host: host})
	}
	return all, nil
}

func (a *account) config() aws.Config {
	return aws.Config{Region: "us-east-1", Credentials: credentials.NewStaticCredentialsProvider("simulated", "simulated", ""), APIOptions: []func(*middleware.Stack) error{a.answer}}
}

func (a *account) answer(s *middleware.Stack) error {
	return s.Initialize.Add(middleware.InitializeMiddlewareFunc("Answer", func(ctx context.Context, in middleware.InitializeInput, _ middleware.InitializeHandler) (middleware.InitializeOutput, middleware.Metadata, error) {
		operation := awsmiddleware.GetServiceID(ctx) + "." + awsmiddleware.GetOperationName(ctx)
		a.mu.Lock()
		defer a.mu.Unlock()
		a.asked[operation] = true
		if err := a.faults[operation]; err != nil {
			return middleware.InitializeOutput{}, middleware.Metadata{}, &smithy.OperationError{ServiceID: awsmiddleware.GetServiceID(ctx), OperationName: awsmiddleware.GetOperationName(ctx), Err: err}
		}
		out, err := a.result(in.Parameters, awsmiddleware.GetRegion(ctx))
		return middleware.InitializeOutput{Result: out}, middleware.Metadata{}, err
	}), middleware.After)
}

// one answers a question for one resource.
func (a *account) one(region, kind string, name *string, out any) (any, error) {
	if a.names[region+" "+kind+" "+aws.ToString(name)] {
		return out, nil
	}
	return nil, errAbsent
}

// list are the names of a type in a Region.
func (a *account) list(region, kind string) []string {
	var all []string
	for key := range a.names {
		if name, ok := strings.CutPrefix(key, region+" "+kind+" "); ok {
			all = append(all, name)
		}
	}
	return all
}

// listed makes a list's entries of the names of a type, each with one field set.
func listed[T any](names []string, field string) []T {
	var all []T
	for _, name := range names {
		var one T
		reflect.ValueOf(&one).Elem().FieldByName(field).Set(reflect.ValueOf(&name))
		all = append(all, one)
	}
	return all
}

func (a *account) result(in any, region string) (any, error) {
	switch in := in.(type) {
	case *sts.GetCallerIdentityInput:
		return &sts.GetCallerIdentityOutput{Account: &a.number}, a.signIn
	case *ssm.GetParameterInput:
		if strings.HasPrefix(*in.Name, "/cdk-bootstrap/") {
			if version := a.bootstrap[region]; version == "" {
				return nil, &ssmtypes.ParameterNotFound{}
			} else {
				return &ssm.GetParameterOutput{Parameter: &ssmtypes.Parameter{Value: &version}}, nil
			}
		}
		if !a.names[region+" AWS::SSM::Parameter "+*in.Name] {
			return nil, &ssmtypes.ParameterNotFound{}
		}
		return &ssm.GetParameterOutput{}, nil
	case *cloudformation.DescribeStacksInput:
		if s := a.stacks[*in.StackName]; s != nil {
			return &cloudformation.DescribeStacksOutput{Stacks: []cloudformationtypes.Stack{s.Stack}}, nil
		}
		return nil, &smithy.GenericAPIError{Code: "ValidationError", Message: "Stack with id " + *in.StackName + " does not exist"}
	case *cloudformation.ListStackResourcesInput:
		return &cloudformation.ListStackResourcesOutput{StackResourceSummaries: a.stacks[*in.StackName].resources}, nil
	case *lambda.GetAccountSettingsInput:
		unreserved := a.concurrency
		for _, share := range a.reserved {
			unreserved -= share
		}
		return &lambda.GetAccountSettingsOutput{AccountLimit: &lambdatypes.AccountLimit{ConcurrentExecutions: a.concurrency, UnreservedConcurrentExecutions: &unreserved}}, nil
	case *lambda.GetFunctionConcurrencyInput:
		if share, ok := a.reserved[*in.FunctionName]; ok {
			return &lambda.GetFunctionConcurrencyOutput{ReservedConcurrentExecutions: &share}, nil
		}
		return &lambda.GetFunctionConcurrencyOutput{}, nil
	case *servicequotas.GetServiceQuotaInput:
		return &servicequotas.GetServiceQuotaOutput{Quota: &quotatypes.ServiceQuota{Value: aws.Float64(5)}}, nil
	case *cloudcontrol.ListResourcesInput:
		return &cloudcontrol.ListResourcesOutput{ResourceDescriptions: make([]cloudcontroltypes.ResourceDescription, a.addresses)}, nil
	case *backup.DescribeRegionSettingsInput:
		return &backup.DescribeRegionSettingsOutput{
			ResourceTypeOptInPreference:      map[string]bool{"Aurora": a.optIn, "DynamoDB": true},
			ResourceTypeManagementPreference: map[string]bool{"DynamoDB": a.optIn},
		}, nil
	case *apigateway.GetAccountInput:
		return &apigateway.GetAccountOutput{CloudwatchRoleArn: &a.loggingRole}, nil
	case *wafv2.ListWebACLsInput:
		return &wafv2.ListWebACLsOutput{WebACLs: listed[waftypes.WebACLSummary](a.list(region, "AWS::WAFv2::WebACL"), "Name")}, nil
	case *arcregionswitch.ListPlansInput:
		return &arcregionswitch.ListPlansOutput{Plans: listed[arctypes.AbbreviatedPlan](a.list(region, "AWS::ARCRegionSwitch::Plan"), "Name")}, nil
	case *backup.ListBackupVaultsInput:
		return &backup.ListBackupVaultsOutput{BackupVaultList: listed[backuptypes.BackupVaultListMember](a.list(region, "AWS::Backup::BackupVault"), "BackupVaultName")}, nil
	case *backup.ListRestoreTestingPlansInput:
		return &backup.ListRestoreTestingPlansOutput{RestoreTestingPlans: listed[backuptypes.RestoreTestingPlanForList](a.list(region, "AWS::Backup::RestoreTestingPlan"), "RestoreTestingPlanName")}, nil
	case *cloudwatch.DescribeAlarmsInput:
		return &cloudwatch.DescribeAlarmsOutput{
			MetricAlarms:    listed[cloudwatchtypes.MetricAlarm](a.list(region, "AWS::CloudWatch::Alarm"), "AlarmName"),
			CompositeAlarms: listed[cloudwatchtypes.CompositeAlarm](a.list(region, "AWS::CloudWatch::CompositeAlarm"), "AlarmName"),
		}, nil
	case *cloudwatch.ListDashboardsInput:
		return &cloudwatch.ListDashboardsOutput{DashboardEntries: listed[cloudwatchtypes.DashboardEntry](a.list(region, "AWS::CloudWatch::Dashboard"), "DashboardName")}, nil
	case *kms.ListAliasesInput:
		return &kms.ListAliasesOutput{Aliases: listed[kmstypes.AliasListEntry](a.list(region, "AWS::KMS::Alias"), "AliasName")}, nil
	case *cloudwatchlogs.DescribeLogGroupsInput:
		return &cloudwatchlogs.DescribeLogGroupsOutput{LogGroups: listed[logstypes.LogGroup](a.list(region, "AWS::Logs::LogGroup"), "LogGroupName")}, nil
	case *rds.DescribeDBClusterSnapshotsInput:
		return &rds.DescribeDBClusterSnapshotsOutput{DBClusterSnapshots: listed[rdstypes.DBClusterSnapshot](a.snapshots, "DBClusterSnapshotIdentifier")}, nil
	case *route53.ListHostedZonesByNameInput:
		out := &route53.ListHostedZonesByNameOutput{}
		for id, name := range a.zones {
			out.HostedZones = append(out.HostedZones, route53types.HostedZone{Id: aws.String("/hostedzone/" + id), Name: aws.String(name + ".")})
		}
		slices.SortFunc(out.HostedZones, func(x, y route53types.HostedZone) int { return strings.Compare(*x.Id, *y.Id) })
		return out, nil
	case *route53.GetHostedZoneInput:
		id := strings.TrimPrefix(*in.Id, "/hostedzone/")
		if a.zones[id] == "" {
			return nil, &route53types.NoSuchHostedZone{}
		}
		return &route53.GetHostedZoneOutput{HostedZone: &route53types.HostedZone{Name: aws.String(a.zones[id] + ".")},
			DelegationSet: &route53types.DelegationSet{NameServers: []string{"ns-2." + id + ".net", "ns-1." + id + ".org"}}}, nil

	case *apigateway.GetDomainNameInput:
		return a.one(region, "AWS::ApiGateway::DomainName", in.DomainName, &apigateway.GetDomainNameOutput{})
	case *dynamodb.DescribeTableInput:
		return a.one(region, "AWS::DynamoDB::GlobalTable", in.TableName, &dynamodb.DescribeTableOutput{})
	case *eventbridge.DescribeArchiveInput:
		return a.one(region, "AWS::Events::Archive", in.ArchiveName, &eventbridge.DescribeArchiveOutput{})
	case *eventbridge.DescribeEventBusInput:
		return a.one(region, "AWS::Events::EventBus", in.Name, &eventbridge.DescribeEventBusOutput{})
	case *eventbridge.DescribeRuleInput:
		return a.one(region, "AWS::Events::Rule", in.Name, &eventbridge.DescribeRuleOutput{})
	case *iam.GetRoleInput:
		return a.one("us-east-1", "AWS::IAM::Role", in.RoleName, &iam.GetRoleOutput{})
	case *lambda.GetFunctionConfigurationInput:
		return a.one(region, "AWS::Lambda::Function", in.FunctionName, &lambda.GetFunctionConfigurationOutput{})
	case *rds.DescribeDBClustersInput:
		return a.one(region, "AWS::RDS::DBCluster", in.DBClusterIdentifier, &rds.DescribeDBClustersOutput{})
	case *rds.DescribeDBClusterParameterGroupsInput:
		return a.one(region, "AWS::RDS::DBClusterParameterGroup", in.DBClusterParameterGroupName, &rds.DescribeDBClusterParameterGroupsOutput{})
	case *rds.DescribeDBInstancesInput:
		return a.one(region, "AWS::RDS::DBInstance", in.DBInstanceIdentifier, &rds.DescribeDBInstancesOutput{})
	case *rds.DescribeDBSubnetGroupsInput:
		return a.one(region, "AWS::RDS::DBSubnetGroup", in.DBSubnetGroupName, &rds.DescribeDBSubnetGroupsOutput{})
	case *rds.DescribeGlobalClustersInput:
		return a.one(region, "AWS::RDS::GlobalCluster", in.GlobalClusterIdentifier, &rds.DescribeGlobalClustersOutput{})
	case *sns.GetTopicAttributesInput:
		name := strings.Split(*in.TopicArn, ":")[5]
		return a.one(region, "AWS::SNS::Topic", &name, &sns.GetTopicAttributesOutput{})
	case *sqs.GetQueueUrlInput:
		return a.one(region, "AWS::SQS::Queue", in.QueueName, &sqs.GetQueueUrlOutput{})
	case *secretsmanager.DescribeSecretInput:
		return a.one(region, "AWS::SecretsManager::Secret", in.SecretId, &secretsmanager.DescribeSecretOutput{})
	}
	return nil, errors.New("no answer is known for " + reflect.TypeOf(in).String())
}

// templates are the golden templates of an environment, made for the account.
func templates(t *testing.T, env string) *assembly.Assembly {
	t.Helper()
	a, err := assembly.Load("../../../testdata/golden/" + env)
	if err != nil {
		t.Fatal(err)
	}
	a.Settings.Account, a.Settings.DNS.ZoneName, a.Settings.Alerts.EmailAddresses = number, zone, nil
	for i := range a.Stacks {
		a.Stacks[i].Account, a.Stacks[i].BootstrapParameter, a.Stacks[i].BootstrapVersion = number, "/cdk-bootstrap/hnb659fds/version", 6
	}
	return a
}

// deploy makes the stacks of the templates, with all their resources.
func (a *account) deploy(templates *assembly.Assembly) {
	for _, s := range templates.Stacks {
		made := &stack{Stack: cloudformationtypes.Stack{StackName: &s.Name, StackStatus: cloudformationtypes.StackStatusUpdateComplete}}
		for id, resource := range s.Template.Resources {
			physical := "made-" + id
			for property, value := range resource.Properties {
				if name, ok := value.(string); ok && fixedName.MatchString(property) && notUnique[resource.Type+"."+property] == "" {
					physical = name
					a.names[s.Region+" "+resource.Type+" "+name] = true
					a.names["us-east-1 "+resource.Type+" "+name] = true // what is global, and the table's other replica below
					a.names["us-west-2 "+resource.Type+" "+name] = true
				}
			}
			if resource.Type == "AWS::Route53::HostedZone" {
				physical = zoneID
				a.zones[zoneID] = zone
				a.delegated = []string{"ns-1." + zoneID + ".org.", "ns-2." + zoneID + ".net."}
			}
			made.resources = append(made.resources, cloudformationtypes.StackResourceSummary{LogicalResourceId: &id, PhysicalResourceId: &physical,
				ResourceType: aws.String(resource.Type), ResourceStatus: cloudformationtypes.ResourceStatusUpdateComplete})
		}
		a.stacks[s.Name] = made
	}
}

func (a *account) drop(stack, kind string) {
	a.stacks[stack].resources = slices.DeleteFunc(a.stacks[stack].resources, func(r cloudformationtypes.StackResourceSummary) bool { return *r.ResourceType == kind })
}

// lines are the findings as "level Region: found".
func lines(r preflight.Report) []string {
	var all []string
	for _, f := range r.Findings {
		all = append(all, string(f.Level)+" "+f.Region+": "+f.Found)
		if f.Level != preflight.Warns && f.Fix == "" {
			all = append(all, "NO FIX")
		}
	}
	return all
}

const zoneIsMade = "warns : the deployment makes the hosted zone " + zone

func TestCheck(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*assembly.Assembly, *account)
		want   []string
	}{
		{"a new account that is ready", func(*assembly.Assembly, *account) {}, []string{zoneIsMade}},
		{"deployed", func(a *assembly.Assembly, c *account) { c.deploy(a) }, nil},
		{"reserved zone", func(a *assembly.Assembly, _ *account) { a.Settings.DNS.ZoneName = "payments.example.com" },
			[]string{`blocks : dns.zoneName "payments.example.com" is reserved`, "warns : the deployment makes the hosted zone"}},
		{"reserved address", func(a *assembly.Assembly, _ *account) {
			a.Settings.Alerts.EmailAddresses = []string{"oncall@example.com"}
		}, []string{`blocks : alerts.emailAddresses has "oncall@example.com"`, zoneIsMade}},
		{"no credentials", func(_ *assembly.Assembly, c *account) { c.signIn = errors.New("none found") }, []string{"blocks : the account cannot be asked for: operation error STS: GetCallerIdentity, none found"}},
		{"placeholder account", func(a *assembly.Assembly, _ *account) { a.Settings.Account = settings.PlaceholderAccount }, []string{"blocks : the templates were made for no account"}},
		{"placeholder account and no credentials", func(a *assembly.Assembly, c *account) {
			a.Settings.Account, c.signIn = settings.PlaceholderAccount, errors.New("none found")
		}, []string{"blocks : the account cannot be asked for", "blocks : the templates were made for no account"}},
		{"another account", func(_ *assembly.Assembly, c *account) { c.number = "444455556666" }, []string{"blocks : the templates were made for account 111122223333, the credentials are those of account 444455556666"}},
		{"not bootstrapped", func(_ *assembly.Assembly, c *account) { c.bootstrap["us-west-2"] = "" }, []string{"blocks us-west-2: the Region is not bootstrapped", zoneIsMade}},
		{"bootstrapped long ago", func(_ *assembly.Assembly, c *account) { c.bootstrap["us-east-1"] = "5" }, []string{"blocks us-east-1: the Region is bootstrapped with version 5 and needs 6", zoneIsMade}},
		{"no permission", func(_ *assembly.Assembly, c *account) {
			c.faults["IAM.GetRole"] = &smithy.GenericAPIError{Code: "AccessDenied", Message: "no"}
		}, []string{"unknown : whether the role AWSServiceRoleForRDS exists cannot be read: access denied: no",
			"unknown us-east-1: role: which names are in use cannot be read: access denied: no", zoneIsMade}},

		{"few functions at once", func(_ *assembly.Assembly, c *account) { c.concurrency = 10 },
			[]string{zoneIsMade, "warns us-east-1: Lambda runs at most 10 functions at once", "warns us-west-2: Lambda runs at most 10 functions at once"}},
		{"too few to reserve from", func(a *assembly.Assembly, c *account) {
			c.concurrency = 105
			c.addresses = 0
			for _, r := range a.Stacks[1].Template.Resources {
				if r.Type == "AWS::Lambda::Function" && r.Properties["FunctionName"] == "payment-dev-ledger" {
					r.Properties["ReservedConcurrentExecutions"] = 6.0
				}
			}
		}, []string{"blocks us-east-1: Lambda runs at most 105", zoneIsMade, "warns us-west-2: Lambda runs at most 105"}},
		{"no addresses left", func(_ *assembly.Assembly, c *account) { c.addresses = 5 },
			[]string{"blocks us-east-1: the account has 5 Elastic IP addresses of 5, and the NAT gateways need 1 more", "blocks us-west-2: the account has 5", zoneIsMade}},
		{"one address left", func(_ *assembly.Assembly, c *account) { c.addresses = 4 }, []string{zoneIsMade}},
		{"deployed, and no addresses left", func(a *assembly.Assembly, c *account) { c.deploy(a); c.addresses = 5 }, nil},
		{"RDS never used", func(_ *assembly.Assembly, c *account) { clear(c.names) }, []string{"blocks : the role AWSServiceRoleForRDS does not exist", zoneIsMade}},
		{"backups off", func(_ *assembly.Assembly, c *account) { c.optIn = false },
			[]string{zoneIsMade, "warns us-east-1: AWS Backup is off for Aurora and DynamoDB's advanced features", "warns us-west-2: AWS Backup is off"}},
		{"another logging role", func(_ *assembly.Assembly, c *account) { c.loggingRole = "arn:aws:iam::111122223333:role/theirs" },
			[]string{zoneIsMade, "warns us-east-1: API Gateway writes logs with the role arn:aws:iam::111122223333:role/theirs", "warns us-west-2: API Gateway"}},
		{"no Region switch", func(_ *assembly.Assembly, c *account) {
			c.faults["ARC Region switch.ListPlans"] = &net.DNSError{Name: "arc-region-switch.eu-nowhere-1.api.aws", IsNotFound: true}
		}, []string{"blocks us-east-1: ARC Region switch has no endpoint", "blocks us-west-2: ARC Region switch has no endpoint", "unknown us-east-1: plan: which names are in use", zoneIsMade}},
		{"no WAF", func(_ *assembly.Assembly, c *account) {
			c.faults["WAFV2.ListWebACLs"] = &net.DNSError{Name: "wafv2.eu-nowhere-1.amazonaws.com", IsNotFound: true}
		}, []string{"blocks us-east-1: AWS WAF has no endpoint", "blocks us-west-2: AWS WAF", "unknown us-east-1: web acl: which names", "unknown us-west-2: web acl: which names", zoneIsMade}},

		{"an earlier zone", func(_ *assembly.Assembly, c *account) { c.zones[zoneID] = zone }, []string{"blocks : hosted zone " + zoneID + " of " + zone + " exists and does not belong to the stack"}},
		{"a chosen zone", func(a *assembly.Assembly, c *account) {
			a.Settings.DNS.HostedZoneID, c.zones[zoneID] = zoneID, zone
			c.delegated = []string{"NS-2." + zoneID + ".net.", "ns-1." + zoneID + ".org."}
		}, nil},
		{"a chosen zone that is not delegated", func(a *assembly.Assembly, c *account) { a.Settings.DNS.HostedZoneID, c.zones[zoneID] = zoneID, zone }, []string{"warns : DNS has no name servers for " + zone}},
		{"a chosen zone that another stands for", func(a *assembly.Assembly, c *account) {
			a.Settings.DNS.HostedZoneID, c.zones[zoneID] = zoneID, zone
			c.delegated = []string{"ns-1.elsewhere.org."}
		}, []string{"warns : DNS has other name servers for " + zone + " than hosted zone " + zoneID + ": ns-1.elsewhere.org"}},
		{"a chosen zone that does not exist", func(a *assembly.Assembly, _ *account) { a.Settings.DNS.HostedZoneID = "ZNONE" }, []string{`blocks : dns.hostedZoneId "ZNONE" is not a hosted zone of this account`}},
		{"a chosen zone of another name", func(a *assembly.Assembly, c *account) {
			a.Settings.DNS.HostedZoneID, c.zones[zoneID] = zoneID, "acme-bank.com"
		}, []string{`blocks : dns.hostedZoneId "` + zoneID + `" is the zone of acme-bank.com`}},
		{"the zone's names have moved", func(a *assembly.Assembly, c *account) { c.deploy(a); c.delegated = nil }, []string{"warns : DNS has no name servers for " + zone}},

		{"snapshots", func(_ *assembly.Assembly, c *account) { c.snapshots = []string{"final"} },
			[]string{zoneIsMade, "warns us-east-1: 1 snapshots are left of an earlier cluster payment-dev-us-east-1: final", "warns us-west-2: 1 snapshots"}},
		{"deployed, with snapshots", func(a *assembly.Assembly, c *account) { c.deploy(a); c.snapshots = []string{"weekly"} }, nil},
		{"deployed, and the vault is not the stack's", func(a *assembly.Assembly, c *account) {
			c.deploy(a)
			c.drop("payment-dev-primary", "AWS::Backup::BackupVault")
		},
			[]string{"blocks us-east-1: backup vault payment-dev exists and does not belong to payment-dev-primary"}},
		{"a replica is left", func(a *assembly.Assembly, c *account) {
			c.names["us-west-2 AWS::DynamoDB::GlobalTable payment-dev-sessions"] = true
		},
			[]string{"blocks us-west-2: global table payment-dev-sessions exists and does not belong to payment-dev-primary", zoneIsMade}},
		{"another logical id", func(a *assembly.Assembly, c *account) {
			c.deploy(a)
			for i, r := range c.stacks["payment-dev-primary"].resources {
				if *r.ResourceType == "AWS::RDS::GlobalCluster" {
					c.stacks["payment-dev-primary"].resources[i].LogicalResourceId = aws.String("Before")
				}
			}
		}, []string{"blocks us-east-1: global cluster payment-dev belongs to payment-dev-primary as Before, and the new templates have it in payment-dev-primary as "}},
		{"its creation has failed", func(a *assembly.Assembly, c *account) {
			c.deploy(a)
			for i, r := range c.stacks["payment-dev-primary"].resources {
				if *r.ResourceType == "AWS::RDS::GlobalCluster" {
					c.stacks["payment-dev-primary"].resources[i].ResourceStatus = cloudformationtypes.ResourceStatusCreateFailed
				}
			}
		}, []string{"blocks us-east-1: global cluster payment-dev exists and does not belong to payment-dev-primary"}},
		{"all at once", func(a *assembly.Assembly, c *account) {
			a.Settings.DNS.ZoneName, c.bootstrap = "x.test", nil
		}, []string{"blocks : dns.zoneName", "blocks us-east-1: the Region is not bootstrapped", "blocks us-west-2: the Region is not bootstrapped", "warns : the deployment makes"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a, c := templates(t, "dev"), newAccount()
			tt.change(a, c)
			found := lines(preflight.Check(t.Context(), a, c.config(), c))
			if len(found) != len(tt.want) {
				t.Fatalf("found %q, want %q", found, tt.want)
			}
			for i, want := range tt.want {
				if !strings.HasPrefix(found[i], want) {
					t.Errorf("found %q, want %q", found[i], want)
				}
			}
		})
	}
}

// reserve has the templates' processors reserve a number, as the setting does.
func reserve(a *assembly.Assembly, processors int) {
	a.Settings.API.ProcessorConcurrency = processors
	for _, s := range a.Stacks {
		for _, r := range s.Template.Resources {
			if r.Type == "AWS::Lambda::Function" && r.Properties["FunctionName"] == "payment-"+a.Settings.Environment+"-processor" {
				delete(r.Properties, "ReservedConcurrentExecutions")
				if processors > 0 {
					r.Properties["ReservedConcurrentExecutions"] = float64(processors)
				}
			}
		}
	}
}

func TestConcurrency(t *testing.T) {
	const (
		quota    = "aws service-quotas request-service-quota-increase --region us-east-1 --service-code lambda --quota-code L-B99A9384 --desired-value "
		waiting  = "While the session table does not answer, up to %d processors wait for it. They leave nothing for relay, ledger, reconciliation and canary."
		noAccess = "For the %d requests at once that the API lets through it is not enough either."
	)
	small := settings.API{ThrottlingRateLimit: 100, ThrottlingBurstLimit: 200, RequestsPerAddress: 10_000}  // the defaults
	large := settings.API{ThrottlingRateLimit: 1000, ThrottlingBurstLimit: 900, RequestsPerAddress: 30_000} // production's
	dev, prod := "payment-dev-processor", "payment-prod-processor"
	for _, tt := range []struct {
		name       string
		env        string
		api        settings.API
		processors int
		quota      int32
		// deployed is what the stacks' processors reserve now, -1 if there are no stacks.
		deployed int32
		others   int32
		level    preflight.Level
		why, fix string
	}{
		{"a new account", "dev", small, 0, 10, -1, 0, preflight.Warns, fmt.Sprintf(waiting+" "+noAccess, 700, 200), quota + "1000"},
		{"a new account, with a limit", "dev", small, 200, 10, -1, 0, preflight.Blocks,
			"The functions reserve 200, which leaves -190 for those without a reservation, and Lambda keeps 100 for them.",
			quota + "1000\nor set api.processorConcurrency in cdk.json to 0, which limits nothing"},
		{"a new account in production", "prod", large, 0, 10, -1, 0, preflight.Warns, fmt.Sprintf(waiting+" "+noAccess, 5900, 900),
			quota + "1000\nand, when it is granted, set api.processorConcurrency in cdk.json to 900"},
		{"nothing to reserve", "dev", small, 0, 100, -1, 0, preflight.Warns, fmt.Sprintf(waiting+" "+noAccess, 700, 200), quota + "1000"},
		{"nothing to reserve, with a limit", "dev", small, 200, 100, -1, 0, preflight.Blocks,
			"The functions reserve 200, which leaves -100 for those without a reservation, and Lambda keeps 100 for them.",
			quota + "1000\nor set api.processorConcurrency in cdk.json to 0, which limits nothing"},
		{"too little to reserve", "dev", small, 0, 200, -1, 0, preflight.Warns, fmt.Sprintf(waiting, 700),
			quota + "1000\nor set api.processorConcurrency and api.throttlingBurstLimit in cdk.json to 100"},
		{"too little to reserve, with a limit", "dev", small, 200, 200, -1, 0, preflight.Blocks,
			"The functions reserve 200, which leaves 0 for those without a reservation, and Lambda keeps 100 for them.",
			quota + "1000\nor set api.processorConcurrency and api.throttlingBurstLimit in cdk.json to 100"},
		{"too little to reserve in production", "prod", large, 900, 200, -1, 0, preflight.Blocks,
			"The functions reserve 900, which leaves -700 for those without a reservation, and Lambda keeps 100 for them.",
			quota + "1000\nor set api.processorConcurrency and api.throttlingBurstLimit in cdk.json to 100, and api.throttlingRateLimit to 200"},
		{"enough to reserve", "dev", small, 0, 300, -1, 0, preflight.Warns, fmt.Sprintf(waiting, 700), "set api.processorConcurrency in cdk.json to 200"},
		{"enough to reserve more", "dev", small, 0, 799, -1, 0, preflight.Warns, fmt.Sprintf(waiting, 700), "set api.processorConcurrency in cdk.json to 200 (up to 699 fit)"},
		{"reserved exactly", "dev", small, 200, 300, -1, 0, "", "", ""},
		{"one too few", "dev", small, 200, 299, -1, 0, preflight.Blocks,
			"The functions reserve 200, which leaves 99 for those without a reservation, and Lambda keeps 100 for them.",
			quota + "1000\nor set api.processorConcurrency and api.throttlingBurstLimit in cdk.json to 199"},
		{"the throttling is limit enough", "dev", small, 0, 800, -1, 0, "", "", ""},
		{"the default quota", "dev", small, 0, 1000, -1, 0, "", "", ""},
		{"the default quota, which others share", "dev", small, 0, 1000, -1, 201, preflight.Warns, fmt.Sprintf(waiting, 700), "set api.processorConcurrency in cdk.json to 200 (up to 699 fit)"},
		{"the default quota in production", "prod", large, 900, 1000, -1, 0, "", "", ""},
		{"the default quota in production, without a limit", "prod", large, 0, 1000, -1, 0, preflight.Warns, fmt.Sprintf(waiting, 5900), "set api.processorConcurrency in cdk.json to 900"},
		{"the default quota in production, which others share", "prod", large, 900, 1000, -1, 50, preflight.Blocks,
			"The functions reserve 900, which leaves 50 for those without a reservation, and Lambda keeps 100 for them.",
			quota + "1050\nor set api.processorConcurrency and api.throttlingBurstLimit in cdk.json to 850"},
		{"a large quota", "dev", small, 0, 3000, -1, 0, "", "", ""},
		{"a large quota in production", "prod", large, 900, 3000, -1, 0, "", "", ""},
		{"a large quota in production, without a limit", "prod", large, 0, 3000, -1, 0, preflight.Warns, fmt.Sprintf(waiting, 5900), "set api.processorConcurrency in cdk.json to 900 (up to 2900 fit)"},
		{"a quota for all of production", "prod", large, 0, 6000, -1, 0, "", "", ""},

		{"reserved already", "prod", large, 900, 1000, 900, 0, "", "", ""},
		{"reserved for the first time by an update", "prod", large, 900, 999, 0, 0, preflight.Blocks,
			"The functions reserve 900, which leaves 99 for those without a reservation, and Lambda keeps 100 for them.",
			quota + "1000\nor set api.processorConcurrency and api.throttlingBurstLimit in cdk.json to 899"},
		{"more than before", "prod", large, 950, 1000, 900, 0, preflight.Blocks,
			"The functions reserve 950, which leaves 50 for those without a reservation, and Lambda keeps 100 for them.",
			quota + "1050\nor set api.processorConcurrency in cdk.json to 900"},
		{"less than before", "prod", large, 900, 1000, 950, 0, "", "", ""},
		{"no longer reserved", "dev", small, 0, 400, 300, 0, preflight.Warns, fmt.Sprintf(waiting, 700), "set api.processorConcurrency in cdk.json to 200 (up to 300 fit)"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a, c := templates(t, tt.env), newAccount()
			a.Settings.API = tt.api
			reserve(a, tt.processors)
			c.concurrency, c.reserved = tt.quota, map[string]int32{"theirs": tt.others}
			if tt.deployed >= 0 {
				c.deploy(a)
			}
			if tt.deployed > 0 {
				c.reserved[map[string]string{"dev": dev, "prod": prod}[tt.env]] = tt.deployed
			}
			var found []preflight.Finding
			for _, f := range preflight.Check(t.Context(), a, c.config(), c).Findings {
				if strings.Contains(f.Found, "Lambda") {
					found = append(found, f)
				}
			}
			if tt.level == "" {
				if len(found) > 0 {
					t.Errorf("found %+v, want nothing", found)
				}
				return
			}
			if len(found) != 2 {
				t.Fatalf("found %+v, want one for each Region", found)
			}
			want := preflight.Finding{Level: tt.level, Region: "us-east-1", Found: fmt.Sprintf("Lambda runs at most %d functions at once in this account and Region", tt.quota), Why: tt.why, Fix: tt.fix}
			if found[0] != want {
				t.Errorf("found\n%+v, want\n%+v", found[0], want)
			}
			if want.Region, want.Fix = "us-west-2", strings.ReplaceAll(tt.fix, "us-east-1", "us-west-2"); found[1] != want {
				t.Errorf("found\n%+v, want\n%+v", found[1], want)
			}
			// A proposal that the settings would refuse is none.
			if _, number, ok := strings.Cut(found[0].Fix, "set api.processorConcurrency in cdk.json to "); ok {
				number, _, _ = strings.Cut(strings.TrimRight(number, ")"), " ")
				if n, err := strconv.Atoi(strings.TrimRight(number, ",")); err != nil || n != 0 && n < tt.api.LeastProcessorConcurrency() {
					t.Errorf("proposes %q: %v", number, err)
				}
			}
		})
	}
	t.Run("no answer", func(t *testing.T) {
		a, c := templates(t, "dev"), newAccount()
		c.deploy(a)
		c.faults["Lambda.GetFunctionConcurrency"] = &smithy.GenericAPIError{Code: "AccessDenied", Message: "no"}
		if found := lines(preflight.Check(t.Context(), a, c.config(), c)); len(found) != 2 || !strings.HasPrefix(found[0], "unknown us-east-1: Lambda's concurrency quota cannot be read: access denied") {
			t.Errorf("found %q", found)
		}
		c.faults["Lambda.GetFunctionConcurrency"] = errAbsent // deleted by hand
		if found := lines(preflight.Check(t.Context(), a, c.config(), c)); len(found) != 0 {
			t.Errorf("found %q", found)
		}
	})
}

func TestLeft(t *testing.T) {
	generated := []string{"warns us-east-1: 1 × AWS::ApiGateway::Account of payment-dev-primary", "warns us-east-1: 1 × AWS::IAM::Role of payment-dev-primary",
		"warns us-east-1: 1 × AWS::S3::Bucket of payment-dev-global", "warns us-east-1: 2 × AWS::KMS::Key of payment-dev-primary", "warns us-west-2: 1 × AWS::ApiGateway::Account",
		"warns us-west-2: 1 × AWS::IAM::Role", "warns us-west-2: 2 × AWS::KMS::Key"}
	for _, tt := range []struct {
		name   string
		change func(*assembly.Assembly, *account)
		want   []string // before what has a generated name
		kept   []string // the deletion policies of these
	}{
		{"nothing else", func(*assembly.Assembly, *account) {}, nil, nil},
		{"the vault, the zone and a queue", func(_ *assembly.Assembly, c *account) {
			c.names["us-east-1 AWS::Backup::BackupVault payment-dev"], c.names["us-west-2 AWS::SQS::Queue payment-dev-ledger"] = true, true
			c.zones[zoneID] = zone
		}, []string{"blocks : hosted zone " + zoneID, "blocks us-east-1: backup vault payment-dev exists", "blocks us-west-2: queue payment-dev-ledger exists"},
			[]string{"Retain", "RetainExceptOnCreate", ""}},
		{"a zone that the settings name", func(a *assembly.Assembly, c *account) { a.Settings.DNS.HostedZoneID, c.zones[zoneID] = zoneID, zone }, nil, nil},
		{"a stack", func(a *assembly.Assembly, c *account) {
			c.stacks["payment-dev-primary"] = &stack{Stack: cloudformationtypes.Stack{StackName: &a.Stacks[1].Name, StackStatus: cloudformationtypes.StackStatusUpdateComplete}}
		}, []string{"blocks us-east-1: stack payment-dev-primary still exists"}, []string{""}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a, c := templates(t, "dev"), newAccount()
			tt.change(a, c)
			report := preflight.Left(t.Context(), a, c.config(), c)
			found := lines(report)
			if want := append(slices.Clone(tt.want), generated...); !slices.EqualFunc(found, want, strings.HasPrefix) {
				t.Fatalf("found %q, want %q", found, want)
			}
			for i, policy := range tt.kept {
				if report.Findings[i].Kept != policy {
					t.Errorf("%s: kept by %q, want %q", found[i], report.Findings[i].Kept, policy)
				}
			}
		})
	}
	t.Run("snapshots", func(t *testing.T) {
		c := newAccount()
		c.snapshots = []string{"final"}
		report := preflight.Left(t.Context(), templates(t, "dev"), c.config(), c)
		if i := slices.IndexFunc(report.Findings, func(f preflight.Finding) bool { return strings.HasPrefix(f.Found, "1 snapshots are left") }); i < 0 || report.Findings[i].Kept != "Snapshot" {
			t.Errorf("found %+v", report.Findings)
		}
	})
	t.Run("another account", func(t *testing.T) {
		c := newAccount()
		c.number = "444455556666"
		if found := lines(preflight.Left(t.Context(), templates(t, "dev"), c.config(), c)); len(found) != 1 || !strings.HasPrefix(found[0], "blocks : the templates were made for account") {
			t.Errorf("found %q", found)
		}
	})
}

func TestStackStates(t *testing.T) {
	if status, err := preflight.StackStatus(t.Context(), newAccount().config(), "us-east-1", "payment-dev-primary"); status != "" || err != nil {
		t.Errorf("the status of a stack that does not exist is %q, %v", status, err)
	}
	for status, want := range map[cloudformationtypes.StackStatus]string{
		"CREATE_COMPLETE": "", "UPDATE_COMPLETE": "", "UPDATE_ROLLBACK_COMPLETE": "", "REVIEW_IN_PROGRESS": "",
		"UPDATE_IN_PROGRESS": "blocks", "DELETE_FAILED": "blocks", "UPDATE_ROLLBACK_FAILED": "blocks",
		"ROLLBACK_COMPLETE": "warns", "ROLLBACK_FAILED": "warns", "CREATE_FAILED": "warns", "UPDATE_FAILED": "warns",
		"ROLLBACK_COMPLETE protected": "blocks", "ROLLBACK_FAILED protected": "blocks", "CREATE_FAILED protected": "warns", "UPDATE_COMPLETE protected": "",
	} {
		t.Run(string(status), func(t *testing.T) {
			a, c := templates(t, "dev"), newAccount()
			c.deploy(a)
			state, protected := strings.CutSuffix(string(status), " protected")
			c.stacks["payment-dev-primary"].StackStatus = cloudformationtypes.StackStatus(state)
			c.stacks["payment-dev-primary"].EnableTerminationProtection = &protected
			if status, err := preflight.StackStatus(t.Context(), c.config(), "us-east-1", "payment-dev-primary"); status != state || err != nil {
				t.Errorf("the status is %q, %v", status, err)
			}
			found := lines(preflight.Check(t.Context(), a, c.config(), c))
			if want == "" && len(found) > 0 || want != "" && (len(found) != 1 || !strings.HasPrefix(found[0], want+" us-east-1: stack payment-dev-primary is in the state "+state)) {
				t.Errorf("found %q, want %q", found, want)
			}
		})
	}
}

func TestDelegation(t *testing.T) {
	const other = "Z9999999999ABCDEFGHIJ"
	for _, tt := range []struct {
		name  string
		zones map[string]string
		id    string
		want  string
		err   string
	}{
		{"none yet", nil, "", "", "there is no hosted zone of " + zone},
		{"one", map[string]string{zoneID: zone}, "", zoneID, ""},
		{"another name", map[string]string{zoneID: "acme-bank.com"}, "", "", "there is no hosted zone of " + zone},
		{"two", map[string]string{zoneID: zone, other: zone}, "", "", "there are 2 hosted zones of " + zone + ": " + zoneID + " (ns-1."},
		{"two, and one is chosen", map[string]string{zoneID: zone, other: zone}, other, other, ""},
		{"another is chosen", map[string]string{zoneID: zone}, other, "", "there is no hosted zone of " + zone},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := newAccount()
			c.zones, c.delegated = tt.zones, []string{"ns.elsewhere.org."}
			got, have, err := preflight.Delegation(t.Context(), c.config(), c, &settings.Settings{DNS: settings.DNS{ZoneName: zone, HostedZoneID: tt.id}})
			if tt.err != "" {
				if err == nil || !strings.HasPrefix(err.Error(), tt.err) {
					t.Errorf("error %v, want %s", err, tt.err)
				}
				return
			}
			want := []string{strings.ToLower("ns-1." + tt.want + ".org"), strings.ToLower("ns-2." + tt.want + ".net")}
			if err != nil || got.ID != tt.want || !slices.Equal(got.NameServers, want) || !slices.Equal(have, []string{"ns.elsewhere.org"}) {
				t.Errorf("%+v, %v, %v", got, have, err)
			}
		})
	}
}

var (
	// fixedName are the properties that hold a resource's own name or that of something else.
	fixedName = regexp.MustCompile(`(Name|Identifier)$`)
	// notUnique are those that need not be unique in an account, with the reason.
	notUnique = map[string]string{
		"AWS::ApiGateway::RestApi.Name":                                    "an API is known by its id",
		"AWS::ApiGateway::Stage.StageName":                                 "part of its API",
		"AWS::Backup::RestoreTestingSelection.RestoreTestingPlanName":      "its plan",
		"AWS::Backup::RestoreTestingSelection.RestoreTestingSelectionName": "part of its plan",
		"AWS::CertificateManager::Certificate.DomainName":                  "a certificate is known by its ARN",
		"AWS::CloudWatch::Alarm.MetricName":                                "its metric",
		"AWS::Events::Archive.KmsKeyIdentifier":                            "its key",
		"AWS::IAM::Policy.PolicyName":                                      "part of its role",
		"AWS::Logs::MetricFilter.FilterName":                               "part of its log group",
		"AWS::Logs::MetricFilter.LogGroupName":                             "its log group",
		"AWS::RDS::DBCluster.DatabaseName":                                 "part of its cluster",
		"AWS::RDS::DBCluster.GlobalClusterIdentifier":                      "its global cluster",
		"AWS::RDS::DBInstance.CACertificateIdentifier":                     "its certificate authority",
		"AWS::RDS::DBInstance.DBClusterIdentifier":                         "its cluster",
		"AWS::Route53::HostedZone.Name":                                    "checked with its delegation",
		"AWS::SNS::Topic.DisplayName":                                      "shown to people",
	}
)

// A name that is in use blocks the deployment, whatever it is of. A resource type with a fixed name that no lookup covers fails here.
func TestEveryFixedNameIsLookedUp(t *testing.T) {
	context, err := settings.ReadContext("../../../cdk.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, env := range settings.Environments(context) {
		a := templates(t, env)
		c := newAccount()
		want := map[string]bool{}
		for _, s := range a.Stacks {
			for id, resource := range s.Template.Resources {
				for property, value := range resource.Properties {
					name, ok := value.(string)
					if !ok || !fixedName.MatchString(property) || notUnique[resource.Type+"."+property] != "" || strings.HasPrefix(resource.Type, "Custom::") {
						continue
					}
					at := s.Region
					if resource.Type == "AWS::IAM::Role" {
						at = "us-east-1"
					}
					c.names[at+" "+resource.Type+" "+name] = true
					want[" "+name+" exists and does not belong to "+s.Name+" "+resource.Type+"."+property+" "+id] = true
				}
			}
		}
		found := strings.Join(lines(preflight.Check(t.Context(), a, c.config(), c)), "\n")
		for key := range want {
			text, property, _ := strings.Cut(key, " AWS::")
			if !strings.Contains(found, text) {
				t.Errorf("%s: AWS::%s:%s is not found; add its type to lookups, or say in notUnique why another one does not matter", env, property, strings.TrimSuffix(text, "exists"))
			}
		}
	}
}

// The page holds exactly the actions that the checks call, and a call's action is the service's prefix and the operation.
func TestPolicyAllowsTheCalls(t *testing.T) {
	page, err := os.ReadFile("../../../docs/use/preflight.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(page), "```json\n")
	block, _, _ := strings.Cut(rest, "```")
	var policy struct {
		Statement []struct {
			Effect   string
			Action   []string
			Resource string
		}
	}
	if err := json.Unmarshal([]byte(block), &policy); err != nil {
		t.Fatal(err)
	}
	var allowed []string
	for _, s := range policy.Statement {
		if s.Effect != "Allow" || s.Resource != "*" {
			t.Errorf("statement %+v", s)
		}
		allowed = append(allowed, s.Action...)
	}
	// Elastic IP addresses are listed by CloudControl, with the caller's own permission for EC2.
	needed := map[string]bool{"ec2:DescribeAddresses": true}
	chosen, absent := templates(t, "dev"), newAccount()
	chosen.Settings.DNS.HostedZoneID = zoneID
	deployed := newAccount()
	deployed.deploy(chosen)
	for _, c := range []*account{absent, deployed, newAccount()} {
		a := templates(t, "dev")
		if c == deployed {
			a = chosen
		}
		preflight.Check(t.Context(), a, c.config(), c)
		for call := range c.asked {
			service, operation, _ := strings.Cut(call, ".")
			prefix := map[string]string{"API Gateway": "apigateway", "ARC Region switch": "arc-region-switch", "CloudControl": "cloudformation", "CloudWatch Logs": "logs", "EventBridge": "events"}[service]
			if prefix == "" {
				prefix = strings.ToLower(strings.ReplaceAll(service, " ", ""))
			}
			if service == "API Gateway" {
				operation = "GET" // its actions are the methods of its paths
			}
			if service != "STS" { // GetCallerIdentity needs no permission
				needed[prefix+":"+operation] = true
			}
		}
	}
	for action := range needed {
		if !slices.Contains(allowed, action) {
			t.Errorf("docs/use/preflight.md does not allow %s", action)
		}
	}
	for _, action := range allowed {
		if !needed[action] {
			t.Errorf("docs/use/preflight.md allows %s, which nothing calls", action)
		}
	}
}
