package constructs

import (
	"strconv"
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsroute53"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"

	"payments-dr/internal/settings"
)

const (
	// healthCheckInterval is the shorter of the two that Route 53 has.
	healthCheckInterval = 10 * time.Second
	// serverErrorPeriod, serverErrorPeriods and serverErrorShare make an API that answers, but half of the time with a server
	// error, as good as lost. Health checks are requests too: they keep the share from being that of one unlucky request.
	serverErrorPeriod  = time.Minute
	serverErrorPeriods = 2
	serverErrorShare   = 0.5
)

// checkerRegions are the Regions that Route 53 checks from ("HealthCheckConfig", Amazon Route 53 API Reference). It wants three
// at the least. Each checker's request writes to the table, so there are four and not all, and none is in a Region of the
// platform: what has happened to a Region is not to be judged from within it.
func checkerRegions(s *settings.Settings) *[]*string {
	var far []string
	for _, region := range []string{"us-west-1", "eu-west-1", "ap-northeast-1", "sa-east-1", "ap-southeast-1", "us-east-1"} {
		if region != s.Regions.Primary.Name && region != s.Regions.Secondary.Name && len(far) < 4 {
			far = append(far, region)
		}
	}
	return texts(far...)
}

// alarmAPIFailing is the alarm that DNS follows.
const alarmAPIFailing = "api-failing"

// ServerErrorAlarmName is the alarm that a Region's health depends on, in that Region.
func ServerErrorAlarmName(s *settings.Settings) string {
	return AlarmName(s, alarmAPIFailing)
}

// NewServerErrorAlarm makes the alarm on a Region's server errors that DNS follows. A health check reads the alarm's metric and
// threshold and not its state, so it can be neither metric math nor "M out of N" ("Monitoring a CloudWatch alarm", Amazon
// Route 53 Developer Guide). The average of 5XXError is the share of requests that ended in one ("Amazon API Gateway
// dimensions and metrics", Amazon API Gateway Developer Guide).
func NewServerErrorAlarm(scope constructs.Construct, id string, s *settings.Settings) {
	newAlarm(constructs.NewConstruct(scope, text(id)), s, alarm{
		name: alarmAPIFailing, section: "API failing",
		says: "Half of this Region's answers are server errors, and DNS leads payments to the other Region.",
		of:   apiMetric(s, "5XXError", average).every(serverErrorPeriod), is: atLeast, threshold: serverErrorShare, periods: serverErrorPeriods,
		missing: missingIsGood, // no request, no error; silence is the endpoint check's to judge
	})
}

// DNSFailoverProps is what the records need to know of both Regions.
type DNSFailoverProps struct {
	Settings *settings.Settings
	Zone     awsroute53.IHostedZone
	// Plan has a health check for each Region: healthy where the plan has put payments.
	Plan *RecoveryPlan
	// Primary and Secondary are the Regions' ways in.
	Primary, Secondary DNSTarget
}

// DNSTarget is one Region's way in.
type DNSTarget struct {
	Region settings.Region
	API    *PaymentAPI
	Name   *PublicName
}

// DNSFailover leads the public name to the Region that can take payments, by itself. It is made once; afterwards nobody edits a
// record. What moves traffic is the state of health checks, which is Route 53's data plane.
type DNSFailover struct {
	// Endpoint are the health checks of the Regions' own APIs, by Region.
	Endpoint map[string]awsroute53.CfnHealthCheck
	// Serving are the health checks that say whether a Region can take payments, by Region.
	Serving map[string]awsroute53.CfnHealthCheck
}

// NewDNSFailover makes health checks and records. From the bottom:
//
//	us-east-1.region.api.<zone>   CNAME of one Region's API, healthy while it answers /health and its answers are not server errors
//	us-west-2.region.api.<zone>
//	planned.api.<zone>            PRIMARY and SECONDARY: the Region that the recovery plan has chosen, if it is healthy
//	api.<zone>                    PRIMARY: planned.api.<zone>; SECONDARY: the secondary Region's API
//
// The upper two names are aliases of type CNAME. An alias to a record of its own zone has that record's type and TTL, and an alias
// to API Gateway would have a fixed TTL of 60 seconds ("Choosing between alias and non-alias records", Amazon Route 53 Developer
// Guide). Route 53 takes an alias of type CNAME once its target exists (DNSControl/dnscontrol#937). A CNAME serves IPv4 and IPv6
// alike: the API's own name has addresses of both.
//
// An alias record is healthy if its own health check is and so is what it points to ("How health checks work in complex Amazon
// Route 53 configurations", Amazon Route 53 Developer Guide). That gives, for the Regions P and S of the settings:
//
//	plan at  P        S        answer  because
//	P        healthy  healthy  P       the plan's choice
//	P        healthy  sick     P       the plan's choice
//	P        sick     healthy  S       nothing is healthy at planned.api, the second record is
//	P        sick     sick     P       nothing is healthy: Route 53 answers with the first record
//	S        healthy  healthy  S       the plan's choice; P is healthy again, but only the plan brings payments back
//	S        healthy  sick     P       nothing is healthy anywhere, so Route 53 answers with the first record, twice
//	S        sick     healthy  S       the plan's choice
//	S        sick     sick     P       as above
//
// The plan's health check of the Region that it has not chosen is unhealthy from the first day on ("Amazon Route 53 health check
// execution block", Application Recovery Controller Developer Guide). Were it asked for beside the Region's own health, in one
// calculated check for each failover record, a sick P would leave two unhealthy records, and DNS would go on answering P until
// somebody ran the plan. And it belongs to the service, which wants to find it on the record sets themselves: its plan
// evaluation looks for that ("Plan evaluation for Region switch plans", same guide).
func NewDNSFailover(scope constructs.Construct, id string, props DNSFailoverProps) *DNSFailover {
	scope = constructs.NewConstruct(scope, text(id))
	s := props.Settings
	dns := &DNSFailover{Endpoint: map[string]awsroute53.CfnHealthCheck{}, Serving: map[string]awsroute53.CfnHealthCheck{}}
	for _, target := range []DNSTarget{props.Primary, props.Secondary} {
		dns.addHealthChecks(scope, s, target)
	}

	zoneID := props.Zone.HostedZoneId()
	within := func(name string) *awsroute53.CfnRecordSetGroup_AliasTargetProperty {
		return &awsroute53.CfnRecordSetGroup_AliasTargetProperty{DnsName: text(name), HostedZoneId: zoneID, EvaluateTargetHealth: jsii.Bool(true)}
	}
	// A group's records change together or not at all: Route 53 refuses two records of one name whose policies differ, even
	// for the moment between two changes.
	group := func(id string, records ...awsroute53.CfnRecordSetGroup_RecordSetProperty) awsroute53.CfnRecordSetGroup {
		var all []any
		for _, record := range records {
			record.Type = text("CNAME")
			all = append(all, record)
		}
		return awsroute53.NewCfnRecordSetGroup(scope, text(id), &awsroute53.CfnRecordSetGroupProps{HostedZoneId: zoneID, RecordSets: &all})
	}

	var regional []awscdk.CfnResource
	for _, target := range []DNSTarget{props.Primary, props.Secondary} {
		regional = append(regional, group("Region-"+target.Region.Name, awsroute53.CfnRecordSetGroup_RecordSetProperty{
			Name: text(s.RegionalAPIName(target.Region)),
			// The only record of its name; the policy is there so that it can have a health check.
			SetIdentifier: text(target.Region.Name), Weight: jsii.Number(1),
			HealthCheckId:   dns.Serving[target.Region.Name].AttrHealthCheckId(),
			ResourceRecords: &[]*string{target.Name.Domain.AttrRegionalDomainName()},
			Ttl:             text(strconv.Itoa(s.DNS.TTLSeconds)),
		}))
	}
	planned := group("Planned",
		awsroute53.CfnRecordSetGroup_RecordSetProperty{
			Name: text(s.PlanAPIName()), SetIdentifier: text(props.Primary.Region.Name), Failover: text("PRIMARY"),
			HealthCheckId: props.Plan.HealthCheckID(props.Primary.Region), AliasTarget: within(s.RegionalAPIName(props.Primary.Region)),
		},
		awsroute53.CfnRecordSetGroup_RecordSetProperty{
			Name: text(s.PlanAPIName()), SetIdentifier: text(props.Secondary.Region.Name), Failover: text("SECONDARY"),
			HealthCheckId: props.Plan.HealthCheckID(props.Secondary.Region), AliasTarget: within(s.RegionalAPIName(props.Secondary.Region)),
		})
	public := group("Public",
		awsroute53.CfnRecordSetGroup_RecordSetProperty{
			Name: text(s.APIName()), SetIdentifier: text("plan, first " + props.Primary.Region.Name), Failover: text("PRIMARY"),
			AliasTarget: within(s.PlanAPIName()),
		},
		awsroute53.CfnRecordSetGroup_RecordSetProperty{
			Name: text(s.APIName()), SetIdentifier: text(props.Secondary.Region.Name), Failover: text("SECONDARY"),
			AliasTarget: within(s.RegionalAPIName(props.Secondary.Region)),
		})
	// An alias to a record needs the record.
	for _, r := range regional {
		planned.AddResourceDependency(r, nil)
	}
	public.AddResourceDependency(planned, nil)
	return dns
}

// addHealthChecks makes the two checks of a Region and the one that combines them. The Region's own host is asked and never the
// public name, which leads to whichever Region is healthy.
func (dns *DNSFailover) addHealthChecks(scope constructs.Construct, s *settings.Settings, target DNSTarget) {
	region := target.Region.Name
	check := func(id, name string, config *awsroute53.CfnHealthCheck_HealthCheckConfigProperty) awsroute53.CfnHealthCheck {
		return awsroute53.NewCfnHealthCheck(scope, text(id+"-"+region), &awsroute53.CfnHealthCheckProps{
			HealthCheckConfig: config,
			HealthCheckTags: &[]*awsroute53.CfnHealthCheck_HealthCheckTagProperty{{
				Key: text("Name"), Value: text("payment-" + s.Environment + "-" + region + "-" + name),
			}},
		})
	}
	dns.Endpoint[region] = check("Endpoint", "endpoint", &awsroute53.CfnHealthCheck_HealthCheckConfigProperty{
		Type:                     text("HTTPS"),
		FullyQualifiedDomainName: text(*target.API.API.RestApiId() + ".execute-api." + region + ".amazonaws.com"),
		ResourcePath:             text("/" + StageName + HealthPath),
		Port:                     jsii.Number(443),
		RequestInterval:          jsii.Number(healthCheckInterval.Seconds()),
		FailureThreshold:         jsii.Number(s.DNS.FailureThreshold),
		Regions:                  checkerRegions(s),
		MeasureLatency:           jsii.Bool(true),
		EnableSni:                jsii.Bool(true),
	})
	serverErrors := check("ServerErrors", "server-errors", &awsroute53.CfnHealthCheck_HealthCheckConfigProperty{
		Type:            text("CLOUDWATCH_METRIC"),
		AlarmIdentifier: &awsroute53.CfnHealthCheck_AlarmIdentifierProperty{Name: text(ServerErrorAlarmName(s)), Region: text(region)},
		// A Region whose metrics are late, or whose CloudWatch is away, is not thereby sick.
		InsufficientDataHealthStatus: text("Healthy"),
	})
	children := []*string{dns.Endpoint[region].AttrHealthCheckId(), serverErrors.AttrHealthCheckId()}
	dns.Serving[region] = check("Serving", "serving", &awsroute53.CfnHealthCheck_HealthCheckConfigProperty{
		Type: text("CALCULATED"), ChildHealthChecks: &children, HealthThreshold: jsii.Number(len(children)),
	})
}
