package preflight

import (
	"context"
	"errors"
	"net"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/apigateway"
	"github.com/aws/aws-sdk-go-v2/service/arcregionswitch"
	"github.com/aws/aws-sdk-go-v2/service/backup"
	"github.com/aws/aws-sdk-go-v2/service/cloudcontrol"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	"github.com/aws/aws-sdk-go-v2/service/route53"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/servicequotas"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/wafv2"
	"github.com/aws/smithy-go"

	"payments-dr/internal/operate"
)

// Resolver asks the public DNS. net.DefaultResolver is one.
type Resolver interface {
	LookupNS(ctx context.Context, name string) ([]*net.NS, error)
}

// clients are the services of one Region.
type clients struct {
	apigateway     *apigateway.Client
	backup         *backup.Client
	cloudcontrol   *cloudcontrol.Client
	cloudformation *cloudformation.Client
	cloudwatch     *cloudwatch.Client
	dynamodb       *dynamodb.Client
	eventbridge    *eventbridge.Client
	iam            *iam.Client
	kms            *kms.Client
	lambda         *lambda.Client
	logs           *cloudwatchlogs.Client
	quotas         *servicequotas.Client
	rds            *rds.Client
	regionswitch   *arcregionswitch.Client
	secrets        *secretsmanager.Client
	sns            *sns.Client
	sqs            *sqs.Client
	ssm            *ssm.Client
	waf            *wafv2.Client
}

func (c *check) clients(region string) *clients {
	c.mu.Lock()
	defer c.mu.Unlock()
	if known, ok := c.regional[region]; ok {
		return known
	}
	config := operate.Within(c.config, callTimeout)
	config.Region = region
	c.regional[region] = &clients{
		apigateway: apigateway.NewFromConfig(config), backup: backup.NewFromConfig(config), cloudcontrol: cloudcontrol.NewFromConfig(config),
		cloudformation: cloudformation.NewFromConfig(config), cloudwatch: cloudwatch.NewFromConfig(config), dynamodb: dynamodb.NewFromConfig(config),
		eventbridge: eventbridge.NewFromConfig(config), iam: iam.NewFromConfig(config), kms: kms.NewFromConfig(config),
		lambda: lambda.NewFromConfig(config), logs: cloudwatchlogs.NewFromConfig(config), quotas: servicequotas.NewFromConfig(config),
		rds: rds.NewFromConfig(config), regionswitch: arcregionswitch.NewFromConfig(config), secrets: secretsmanager.NewFromConfig(config),
		sns: sns.NewFromConfig(config), sqs: sqs.NewFromConfig(config), ssm: ssm.NewFromConfig(config), waf: wafv2.NewFromConfig(config),
	}
	return c.regional[region]
}

// dns is the client of Route 53, which belongs to no Region.
func dns(config aws.Config, region string) *route53.Client {
	config = operate.Within(config, callTimeout)
	config.Region = region
	return route53.NewFromConfig(config)
}

// absent reports whether a service answered that what it was asked for does not exist.
func absent(err error) bool {
	said, ok := errors.AsType[smithy.APIError](err)
	if !ok {
		return false
	}
	for _, part := range []string{"NotFound", "NoSuch", "NonExistent", "DoesNotExist"} {
		if strings.Contains(said.ErrorCode(), part) {
			return true
		}
	}
	// DescribeStacks has no code of its own for this.
	return said.ErrorCode() == "ValidationError" && strings.Contains(said.ErrorMessage(), "does not exist")
}
