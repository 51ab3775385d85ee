package preflight_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/apigateway"
	"github.com/aws/aws-sdk-go-v2/service/arcregionswitch"
	"github.com/aws/aws-sdk-go-v2/service/backup"
	"github.com/aws/aws-sdk-go-v2/service/cloudcontrol"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	dynamodbtypes "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	"github.com/aws/aws-sdk-go-v2/service/route53"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/servicequotas"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/aws/smithy-go/middleware"

	"payments-dr/internal/operate/preflight"
	"payments-dr/internal/simulation/localmoto"
)

// lacking answers only what moto lacks: operations, CloudWatch's protocol, and quotas outside of VPCs.
type lacking struct{ *account }

func (l lacking) answer(s *middleware.Stack) error {
	all := &middleware.Stack{Initialize: middleware.NewInitializeStep()}
	if err := l.account.answer(all); err != nil {
		return err
	}
	answer, _ := all.Initialize.Get("Answer")
	return s.Initialize.Add(middleware.InitializeMiddlewareFunc("AnswerLacking", func(ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler) (middleware.InitializeOutput, middleware.Metadata, error) {
		switch in.Parameters.(type) {
		case *arcregionswitch.ListPlansInput, *backup.DescribeRegionSettingsInput, *backup.ListRestoreTestingPlansInput, *cloudcontrol.ListResourcesInput,
			*cloudwatch.DescribeAlarmsInput, *cloudwatch.ListDashboardsInput, *servicequotas.GetServiceQuotaInput, *lambda.GetAccountSettingsInput:
			return answer.HandleInitialize(ctx, in, next)
		}
		return next.HandleInitialize(ctx, in)
	}), middleware.After)
}

// The checks against moto, which speaks the services' wire formats: leftovers of several kinds, one of which belongs to the stack.
func TestAgainstMoto(t *testing.T) {
	config := localmoto.Start(t)
	must := func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	c := newAccount()
	config.APIOptions = append(config.APIOptions, lacking{c}.answer)
	west := config.Copy()
	west.Region = "us-west-2"
	for _, at := range []aws.Config{config, west} {
		must(ssm.NewFromConfig(at).PutParameter(t.Context(), &ssm.PutParameterInput{Name: aws.String("/cdk-bootstrap/hnb659fds/version"), Value: aws.String("6"), Type: ssmtypes.ParameterTypeString}))
	}
	must(backup.NewFromConfig(config).CreateBackupVault(t.Context(), &backup.CreateBackupVaultInput{BackupVaultName: aws.String("payment-dev")}))
	must(dynamodb.NewFromConfig(west).CreateTable(t.Context(), &dynamodb.CreateTableInput{TableName: aws.String("payment-dev-sessions"), BillingMode: dynamodbtypes.BillingModePayPerRequest,
		AttributeDefinitions: []dynamodbtypes.AttributeDefinition{{AttributeName: aws.String("id"), AttributeType: dynamodbtypes.ScalarAttributeTypeS}},
		KeySchema:            []dynamodbtypes.KeySchemaElement{{AttributeName: aws.String("id"), KeyType: dynamodbtypes.KeyTypeHash}}}))
	must(rds.NewFromConfig(config).CreateGlobalCluster(t.Context(), &rds.CreateGlobalClusterInput{GlobalClusterIdentifier: aws.String("payment-dev"), Engine: aws.String("aurora-mysql")}))
	secrets := secretsmanager.NewFromConfig(config)
	must(secrets.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: aws.String("payment/dev/db/master"), SecretString: aws.String("x")}))
	must(secrets.DeleteSecret(t.Context(), &secretsmanager.DeleteSecretInput{SecretId: aws.String("payment/dev/db/master")}))
	must(cloudwatchlogs.NewFromConfig(west).CreateLogGroup(t.Context(), &cloudwatchlogs.CreateLogGroupInput{LogGroupName: aws.String("/aws/lambda/payment-dev-canary")}))
	must(route53.NewFromConfig(config).CreateHostedZone(t.Context(), &route53.CreateHostedZoneInput{Name: aws.String(zone), CallerReference: aws.String("1")}))
	must(apigateway.NewFromConfig(config).CreateDomainName(t.Context(), &apigateway.CreateDomainNameInput{DomainName: aws.String("api.dev.payments.example.com"), CertificateArn: aws.String("arn")}))
	must(sqs.NewFromConfig(west).CreateQueue(t.Context(), &sqs.CreateQueueInput{QueueName: aws.String("payment-dev-ledger")}))

	a := templates(t, "dev")
	a.Settings.Account = localmoto.Account
	for i := range a.Stacks {
		a.Stacks[i].Account = localmoto.Account
	}
	// The primary's stack has its queue.
	for id, resource := range a.Stacks[1].Template.Resources {
		if resource.Properties["QueueName"] == "payment-dev-ledger" {
			must(cloudformation.NewFromConfig(config).CreateStack(t.Context(), &cloudformation.CreateStackInput{StackName: &a.Stacks[1].Name,
				TemplateBody: aws.String(`{"Resources":{"` + id + `":{"Type":"AWS::SQS::Queue","Properties":{"QueueName":"payment-dev-ledger"}}}}`)}))
		}
	}
	found := lines(preflight.Check(t.Context(), a, config, c))
	want := []string{
		"blocks : hosted zone ",
		"blocks : the role AWSServiceRoleForRDS does not exist",
		"blocks us-east-1: backup vault payment-dev exists",
		"blocks us-east-1: domain name api.dev.payments.example.com exists",
		"blocks us-east-1: global cluster payment-dev exists",
		"blocks us-east-1: secret payment/dev/db/master exists",
		"blocks us-west-2: global table payment-dev-sessions exists",
		"blocks us-west-2: log group /aws/lambda/payment-dev-canary exists",
		"blocks us-west-2: queue payment-dev-ledger exists",
	}
	if !slices.EqualFunc(found, want, strings.HasPrefix) {
		t.Errorf("found\n%s\nwant\n%s", strings.Join(found, "\n"), strings.Join(want, "\n"))
	}
}
