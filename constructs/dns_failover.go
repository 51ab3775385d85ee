package constructs

import (
	"strconv"
	"strings"
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
	// steadyCheckInterval is the longer. A Region that fails is found by the other checks first.
	steadyCheckInterval = 30 * time.Second
	// steadyAnswer is in the answer of a steady Region to /health; function processor writes it.
	steadyAnswer = `"steady":true`
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

// NewDNSFailover makes health checks and records. All records are of type CNAME:
//
//	us-east-1.region.api.<zone>   one Region's API; healthy while it answers /health and its answers are not server errors
//	us-west-2.region.api.<zone>
//	us-east-1.steady.api.<zone>   the same, and its health has not been interrupted for steadyFor
//	us-west-2.steady.api.<zone>
//	planned.api.<zone>            the Region that the recovery plan has chosen, if it is steady
//	steady.api.<zone>             planned.api.<zone>; if that is not healthy, the secondary Region, if it is steady
//	fallback.api.<zone>           the primary Region, if it is healthy; otherwise the secondary, if it takes connections
//	api.<zone>                    steady.api.<zone>; if that is not healthy, fallback.api.<zone>
//
// Every name but the Regions' is an alias. An alias to a record of its own zone has that record's type and TTL, and an alias
// to API Gateway would have a fixed TTL of 60 seconds ("Choosing between alias and non-alias records", Amazon Route 53 Developer
// Guide). Route 53 takes an alias of type CNAME once its target exists (DNSControl/dnscontrol#937). A CNAME serves IPv4 and IPv6
// alike: the API's own name has addresses of both.
//
// An alias record is healthy if its own health check is and so is what it points to; of records that are all unhealthy Route 53
// answers the first ("How health checks work in complex Amazon Route 53 configurations", Amazon Route 53 Developer Guide). That
// gives, for the primary Region P and the secondary S of the settings:
//
//	            S steady           S unsteady  S failing  S lost
//	P steady    the plan's choice  P           P          P
//	P unsteady  S                  P           P          P
//	P failing   S                  S           S          P
//	P lost      S                  S           S          P
//
// Unsteady is a Region that is healthy and was not a short while ago. With a short TTL clients follow every change of health, so
// that a Region that comes and goes would take them along each time. Failing is a Region that does not take payments and takes
// connections, as when writes to the table pause. If both Regions fail, one that can be reached is the better answer: it may take
// payments again soon, and a lost Region does not.
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
	zoneID := props.Zone.HostedZoneId()
	// A group's records change together or not at all: Route 53 refuses two records of one name whose policies differ, even
	// for the moment between two changes. An alias needs its target, so that each group waits for those before it.
	var before []awscdk.CfnResource
	group := func(id string, records ...awsroute53.CfnRecordSetGroup_RecordSetProperty) {
		var all []any
		for _, record := range records {
			record.Type = text("CNAME")
			all = append(all, record)
		}
		made := awsroute53.NewCfnRecordSetGroup(scope, text(id), &awsroute53.CfnRecordSetGroupProps{HostedZoneId: zoneID, RecordSets: &all})
		for _, target := range before {
			made.AddResourceDependency(target, nil)
		}
		before = append(before, made)
	}
	aliasTarget := func(name string, evaluate bool) *awsroute53.CfnRecordSetGroup_AliasTargetProperty {
		return &awsroute53.CfnRecordSetGroup_AliasTargetProperty{DnsName: text(name), HostedZoneId: zoneID, EvaluateTargetHealth: jsii.Bool(evaluate)}
	}
	alias := func(name, setIdentifier, failover, target string, check *string) awsroute53.CfnRecordSetGroup_RecordSetProperty {
		record := awsroute53.CfnRecordSetGroup_RecordSetProperty{
			Name: text(name), SetIdentifier: text(setIdentifier), HealthCheckId: check,
			AliasTarget: aliasTarget(target, true),
		}
		if failover == "" {
			record.Weight = jsii.Number(1) // the only record of its name; the policy is there so that it can have a health check
		} else {
			record.Failover = text(failover)
		}
		return record
	}

	p, q := props.Primary.Region, props.Secondary.Region
	var regional, regionalSteady []awsroute53.CfnRecordSetGroup_RecordSetProperty
	for _, target := range []DNSTarget{props.Primary, props.Secondary} {
		region := target.Region
		steady := dns.addHealthChecks(scope, s, target)
		regional = append(regional, awsroute53.CfnRecordSetGroup_RecordSetProperty{
			Name: text(s.RegionalAPIName(region)), SetIdentifier: text(region.Name), Weight: jsii.Number(1),
			HealthCheckId:   dns.Serving[region.Name].AttrHealthCheckId(),
			ResourceRecords: &[]*string{target.Name.Domain.AttrRegionalDomainName()},
			Ttl:             text(strconv.Itoa(s.DNS.TTLSeconds)),
		})
		regionalSteady = append(regionalSteady,
			alias(s.SteadyRegionalAPIName(region), region.Name, "", s.RegionalAPIName(region), steady.AttrHealthCheckId()))
	}
	connection := addHealthCheck(scope, s, "Connection", q.Name, connectionCheck(s, props.Secondary))
	reachable := alias(s.FallbackAPIName(), q.Name, "SECONDARY", s.RegionalAPIName(q), connection.AttrHealthCheckId())
	reachable.AliasTarget = aliasTarget(s.RegionalAPIName(q), false) // whether it is healthy does not count here

	group("Regional", regional...)
	group("Steady", regionalSteady...)
	group("Planned",
		alias(s.PlanAPIName(), p.Name, "PRIMARY", s.SteadyRegionalAPIName(p), props.Plan.HealthCheckID(p)),
		alias(s.PlanAPIName(), q.Name, "SECONDARY", s.SteadyRegionalAPIName(q), props.Plan.HealthCheckID(q)))
	group("Preferred",
		alias(s.SteadyAPIName(), "plan, first "+p.Name, "PRIMARY", s.PlanAPIName(), nil),
		alias(s.SteadyAPIName(), q.Name, "SECONDARY", s.SteadyRegionalAPIName(q), nil))
	group("Fallback", alias(s.FallbackAPIName(), p.Name, "PRIMARY", s.RegionalAPIName(p), nil), reachable)
	group("Public",
		alias(s.APIName(), "steady, first "+p.Name, "PRIMARY", s.SteadyAPIName(), nil),
		alias(s.APIName(), "fallback, first "+p.Name, "SECONDARY", s.FallbackAPIName(), nil))
	return dns
}

// addHealthCheck makes a health check of a Region.
func addHealthCheck(scope constructs.Construct, s *settings.Settings, id, region string, config *awsroute53.CfnHealthCheck_HealthCheckConfigProperty) awsroute53.CfnHealthCheck {
	return awsroute53.NewCfnHealthCheck(scope, text(id+"-"+region), &awsroute53.CfnHealthCheckProps{
		HealthCheckConfig: config,
		HealthCheckTags: &[]*awsroute53.CfnHealthCheck_HealthCheckTagProperty{{
			Key: text("Name"), Value: text("payment-" + s.Environment + "-" + region + "-" + strings.ToLower(id)),
		}},
	})
}

// connectionCheck is whether a Region takes connections. It costs no request to the API.
func connectionCheck(s *settings.Settings, target DNSTarget) *awsroute53.CfnHealthCheck_HealthCheckConfigProperty {
	return &awsroute53.CfnHealthCheck_HealthCheckConfigProperty{
		Type:                     text("TCP"),
		FullyQualifiedDomainName: text(apiHost(target)),
		Port:                     jsii.Number(443),
		RequestInterval:          jsii.Number(healthCheckInterval.Seconds()),
		FailureThreshold:         jsii.Number(s.DNS.FailureThreshold),
		Regions:                  checkerRegions(s),
	}
}

// apiHost is the host of a Region's own API. Health checks never ask the public name, which leads to whichever Region is healthy.
func apiHost(target DNSTarget) string {
	return *target.API.API.RestApiId() + ".execute-api." + target.Region.Name + ".amazonaws.com"
}

// addHealthChecks makes the checks of a Region: of its endpoint, of its server errors, the one that combines these two, and the one
// that it returns, whether the Region is steady.
//
// The last needs no quick answer: the first is quicker to find that a Region fails. It looks into the answer of /health, where the
// Region says by itself whether its health was interrupted.
func (dns *DNSFailover) addHealthChecks(scope constructs.Construct, s *settings.Settings, target DNSTarget) (steady awsroute53.CfnHealthCheck) {
	region := target.Region.Name
	endpoint := func(kind string) *awsroute53.CfnHealthCheck_HealthCheckConfigProperty {
		return &awsroute53.CfnHealthCheck_HealthCheckConfigProperty{
			Type:                     text(kind),
			FullyQualifiedDomainName: text(apiHost(target)),
			ResourcePath:             text("/" + StageName + HealthPath),
			Port:                     jsii.Number(443),
			EnableSni:                jsii.Bool(true),
			Regions:                  checkerRegions(s),
		}
	}
	serves := endpoint("HTTPS")
	serves.RequestInterval, serves.FailureThreshold, serves.MeasureLatency = jsii.Number(healthCheckInterval.Seconds()), jsii.Number(s.DNS.FailureThreshold), jsii.Bool(true)
	dns.Endpoint[region] = addHealthCheck(scope, s, "Endpoint", region, serves)
	serverErrors := addHealthCheck(scope, s, "Server-Errors", region, &awsroute53.CfnHealthCheck_HealthCheckConfigProperty{
		Type:            text("CLOUDWATCH_METRIC"),
		AlarmIdentifier: &awsroute53.CfnHealthCheck_AlarmIdentifierProperty{Name: text(ServerErrorAlarmName(s)), Region: text(region)},
		// A Region whose metrics are late, or whose CloudWatch is away, is not thereby sick.
		InsufficientDataHealthStatus: text("Healthy"),
	})
	children := []*string{dns.Endpoint[region].AttrHealthCheckId(), serverErrors.AttrHealthCheckId()}
	dns.Serving[region] = addHealthCheck(scope, s, "Serving", region, &awsroute53.CfnHealthCheck_HealthCheckConfigProperty{
		Type: text("CALCULATED"), ChildHealthChecks: &children, HealthThreshold: jsii.Number(len(children)),
	})
	uninterrupted := endpoint("HTTPS_STR_MATCH")
	uninterrupted.SearchString = text(steadyAnswer)
	uninterrupted.RequestInterval, uninterrupted.FailureThreshold = jsii.Number(steadyCheckInterval.Seconds()), jsii.Number(1)
	return addHealthCheck(scope, s, "Steady", region, uninterrupted)
}
