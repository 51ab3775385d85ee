// Package operate asks a deployed platform how it is, and moves it. It does by code what docs/operate/runbook.md does by hand, with the
// permissions of the operator's role, and with either Region gone: every question is put to a Region's own endpoints and has its own
// limit of time, and what is not answered is told as not known.
package operate

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/arn"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/arcregionswitch"
	"github.com/aws/aws-sdk-go-v2/service/backup"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"payments-dr/client"
	"payments-dr/internal/settings"
)

const (
	// callTimeout is how long one question may take, all attempts included. A question that depends on another's answer takes twice
	// that at the most, and that is the longest a whole look takes.
	callTimeout = 2 * time.Second
	// callAttempts: a call that was throttled is made once more within its time.
	callAttempts = 2
)

// PlanAPI is what is asked of ARC Region switch in one Region.
type PlanAPI interface {
	GetPlanEvaluationStatus(context.Context, *arcregionswitch.GetPlanEvaluationStatusInput, ...func(*arcregionswitch.Options)) (*arcregionswitch.GetPlanEvaluationStatusOutput, error)
	ListPlanExecutions(context.Context, *arcregionswitch.ListPlanExecutionsInput, ...func(*arcregionswitch.Options)) (*arcregionswitch.ListPlanExecutionsOutput, error)
	ListRoute53HealthChecksInRegion(context.Context, *arcregionswitch.ListRoute53HealthChecksInRegionInput, ...func(*arcregionswitch.Options)) (*arcregionswitch.ListRoute53HealthChecksInRegionOutput, error)
	GetPlanExecution(context.Context, *arcregionswitch.GetPlanExecutionInput, ...func(*arcregionswitch.Options)) (*arcregionswitch.GetPlanExecutionOutput, error)
	StartPlanExecution(context.Context, *arcregionswitch.StartPlanExecutionInput, ...func(*arcregionswitch.Options)) (*arcregionswitch.StartPlanExecutionOutput, error)
}

// DatabaseAPI is what is asked of RDS in one Region.
type DatabaseAPI interface {
	DescribeGlobalClusters(context.Context, *rds.DescribeGlobalClustersInput, ...func(*rds.Options)) (*rds.DescribeGlobalClustersOutput, error)
}

// MetricAPI is what is asked of CloudWatch in one Region.
type MetricAPI interface {
	GetMetricData(context.Context, *cloudwatch.GetMetricDataInput, ...func(*cloudwatch.Options)) (*cloudwatch.GetMetricDataOutput, error)
	DescribeAlarms(context.Context, *cloudwatch.DescribeAlarmsInput, ...func(*cloudwatch.Options)) (*cloudwatch.DescribeAlarmsOutput, error)
}

// ParameterAPI is what is asked of Systems Manager in one Region.
type ParameterAPI interface {
	GetParameter(context.Context, *ssm.GetParameterInput, ...func(*ssm.Options)) (*ssm.GetParameterOutput, error)
}

// API is one Region's way to take payments, or the public name.
type API interface {
	Health(context.Context) (client.Answer, error)
}

// Region is all that is asked of one Region.
type Region struct {
	Name       string
	Plan       PlanAPI
	Database   DatabaseAPI
	Metrics    MetricAPI
	Parameters ParameterAPI
	Backups    BackupAPI
	API        API
	// Config is what other clients of this Region are made of.
	Config aws.Config
}

// Deployment is one environment as it is deployed.
type Deployment struct {
	Settings *settings.Settings
	// Regions are both, in the order of the settings.
	Regions []Region
	// Public is the API by its public name: what clients get.
	Public API
	// Credentials are whose questions these are. They are asked for before AWS is: without, AWS is not asked.
	Credentials aws.CredentialsProvider
	Now         func() time.Time
	// Zone is how Now's times are labeled; empty: UTC. Simulated times are not UTC.
	Zone string
}

var (
	_ PlanAPI      = (*arcregionswitch.Client)(nil)
	_ DatabaseAPI  = (*rds.Client)(nil)
	_ MetricAPI    = (*cloudwatch.Client)(nil)
	_ ParameterAPI = (*ssm.Client)(nil)
)

// Way is how the API's names are reached otherwise than by the machine's network; for a deployment that is simulated.
type Way struct {
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Trust is whom the API's certificates may be of.
	Trust *x509.CertPool
}

// Transport is the way for a client of the payment API; nil: the client's own.
func (w Way) Transport() *http.Transport {
	if w.Dial == nil && w.Trust == nil {
		return nil
	}
	return &http.Transport{DialContext: w.Dial, TLSClientConfig: &tls.Config{RootCAs: w.Trust, MinVersion: tls.VersionTLS12}}
}

// Open makes a deployment of AWS's clients. Nothing is asked yet. asOperator asks each Region with its own operator's role, which
// the configuration's credentials have to be allowed to take.
func Open(s *settings.Settings, config aws.Config, asOperator bool) (*Deployment, error) {
	return OpenBy(Way{}, s, config, asOperator)
}

// OpenBy is Open by a way of its own.
func OpenBy(way Way, s *settings.Settings, config aws.Config, asOperator bool) (*Deployment, error) {
	config.Retryer = func() aws.Retryer {
		return retry.AddWithMaxBackoffDelay(retry.AddWithMaxAttempts(retry.NewStandard(), callAttempts), callTimeout/8)
	}
	client := func(dial string) (API, error) {
		return client.New(client.Config{
			URL: "https://" + s.APIName(), DialHost: dial, MaxAttempts: 1, AttemptTimeout: callTimeout,
			Transport: way.Transport(),
		})
	}
	d := &Deployment{Settings: s, Credentials: config.Credentials, Now: time.Now}
	var err error
	if d.Public, err = client(""); err != nil {
		return nil, err
	}
	for _, region := range s.Both() {
		local := config.Copy()
		local.Region = region.Name
		if asOperator {
			local.Credentials = aws.NewCredentialsCache(operator{sts.NewFromConfig(local), s, region.Name})
		}
		r := Region{
			Name: region.Name, Plan: arcregionswitch.NewFromConfig(local), Database: rds.NewFromConfig(local),
			Metrics: cloudwatch.NewFromConfig(local), Parameters: ssm.NewFromConfig(local), Backups: backup.NewFromConfig(local), Config: local,
		}
		if r.API, err = client(s.RegionalAPIName(region)); err != nil {
			return nil, err
		}
		d.Regions = append(d.Regions, r)
	}
	return d, nil
}

// operator takes a Region's operator's role, from that Region's own STS endpoint: the global one is in us-east-1.
type operator struct {
	client *sts.Client
	s      *settings.Settings
	region string
}

// Retrieve implements aws.CredentialsProvider.
func (o operator) Retrieve(ctx context.Context) (aws.Credentials, error) {
	got, err := o.take(ctx)
	if problem := Explain(err); problem != nil {
		return aws.Credentials{}, &Problem{problem.Kind, "the role " + OperatorRole(o.s.Environment, o.region) + " cannot be taken: " + problem.Text}
	}
	return got, nil
}

func (o operator) take(ctx context.Context) (aws.Credentials, error) {
	account := o.s.Account
	if account == settings.PlaceholderAccount {
		who, err := o.client.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
		if err != nil {
			return aws.Credentials{}, err
		}
		account = aws.ToString(who.Account)
	}
	role := arn.ARN{Partition: "aws", Service: "iam", AccountID: account, Resource: "role/" + OperatorRole(o.s.Environment, o.region)}
	return stscreds.NewAssumeRoleProvider(o.client, role.String(), func(o *stscreds.AssumeRoleOptions) { o.RoleSessionName = "dr" }).Retrieve(ctx)
}

// Region is one of the deployment's Regions.
func (d *Deployment) Region(name string) (Region, error) {
	i := slices.IndexFunc(d.Regions, func(r Region) bool { return r.Name == name })
	if i < 0 {
		return Region{}, fmt.Errorf("region is %q; allowed is %s", name, strings.Join(d.names(), " or "))
	}
	return d.Regions[i], nil
}

// other is the Region that is not this one.
func (d *Deployment) other(name string) Region {
	i := slices.IndexFunc(d.Regions, func(r Region) bool { return r.Name != name })
	return d.Regions[i]
}

func (d *Deployment) names() []string {
	var names []string
	for _, r := range d.Regions {
		names = append(names, r.Name)
	}
	return names
}

// The physical names that are asked for. A test holds them to those that the constructs give.

// PlanParameter is the parameter with the recovery plan's ARN, the same in both Regions.
func PlanParameter(s *settings.Settings) string {
	return "/payment/" + s.Environment + "/recovery/plan-arn"
}

// GlobalCluster is the identifier of the Aurora global cluster.
func GlobalCluster(s *settings.Settings) string { return "payment-" + s.Environment }

// Cluster is the identifier of a Region's Aurora cluster.
func Cluster(s *settings.Settings, region string) string {
	return "payment-" + s.Environment + "-" + region
}

// LedgerQueue is the name of a Region's ledger queue.
func LedgerQueue(s *settings.Settings) string { return "payment-" + s.Environment + "-ledger" }

// LedgerDeadLetters is the name of the queue of what the ledger could not record.
func LedgerDeadLetters(s *settings.Settings) string {
	return "payment-" + s.Environment + "-ledger-dead-letters"
}

// SessionTable is the name of the session table, the same in both Regions.
func SessionTable(s *settings.Settings) string { return "payment-" + s.Environment + "-sessions" }

// ReconcileFunction is the name of the function that compares table and ledger, the same in both Regions.
func ReconcileFunction(s *settings.Settings) string {
	return "payment-" + s.Environment + "-reconcile"
}

// EndpointParameter is the parameter with the endpoint of a Region's cluster, by the role that the settings give the Region, the
// same in both Regions.
func EndpointParameter(s *settings.Settings, region string) string {
	role := "secondary"
	if region == s.Regions.Primary.Name {
		role = "primary"
	}
	return "/payment/" + s.Environment + "/db/" + role + "-endpoint"
}

// Namespace is that of the functions' own metrics.
func Namespace(s *settings.Settings) string { return "Payment/" + s.Environment }

// AlarmPrefix is what the names of all alarms begin with.
func AlarmPrefix(s *settings.Settings) string { return "payment-" + s.Environment + "-" }

// OperatorRole is the name of the role that may do in a Region what this package does.
func OperatorRole(environment, region string) string {
	return "payment-" + environment + "-operator-" + region
}

// ApproverRole is the name of the role of the second person.
func ApproverRole(s *settings.Settings) string { return "payment-" + s.Environment + "-approver" }

// errNotDeployed is an environment whose recovery plan nobody finds in a Region.
var errNotDeployed = errors.New("the environment is not deployed to this account here")

// planARN asks a Region for the plan. It is an error if the plan is another account's than the settings name.
func (d *Deployment) planARN(ctx context.Context, region Region) (string, error) {
	name := PlanParameter(d.Settings)
	out, err := limited(ctx, func(ctx context.Context) (*ssm.GetParameterOutput, error) {
		return region.Parameters.GetParameter(ctx, &ssm.GetParameterInput{Name: &name})
	})
	if _, missing := errors.AsType[*ssmtypes.ParameterNotFound](err); missing {
		return "", fmt.Errorf("%w: there is no parameter %s in %s", errNotDeployed, name, region.Name)
	}
	if err != nil {
		return "", err
	}
	var value string
	if out.Parameter != nil {
		value = aws.ToString(out.Parameter.Value)
	}
	parsed, err := arn.Parse(value)
	if err != nil || parsed.Service != "arc-region-switch" {
		return "", fmt.Errorf("%w: parameter %s is %q and no plan's ARN", errMalformed, name, value)
	}
	if account := d.Settings.Account; account != settings.PlaceholderAccount && account != parsed.AccountID {
		return "", fmt.Errorf("the plan in %s is of account %s, and the settings are for %s: wrong credentials, or wrong environment", region.Name, parsed.AccountID, account)
	}
	return value, nil
}

// limited asks one question within its time.
func limited[T any](ctx context.Context, ask func(context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return ask(ctx)
}
