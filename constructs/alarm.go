package constructs

import (
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"

	"payments-dr/internal/settings"
)

// missingData is what an alarm makes of a minute without data. Every alarm says it, because CloudWatch's own choice, a state of
// its own without an action, tells nobody anything. Why it is what it is stands in the alarm's section of docs/operate/alarms.md.
type missingData string

const (
	// missingIsGood is for metrics that are sent only when something happens.
	missingIsGood missingData = "notBreaching"
	// missingIsBad is for metrics that are always sent: their silence is the fault.
	missingIsBad missingData = "breaching"
	// missingKeepsState is for what is known until it is known to have changed.
	missingKeepsState missingData = "ignore"
)

// comparison is how a metric has to stand to its threshold for an alarm.
type comparison string

const (
	above   comparison = "GreaterThanThreshold"
	atLeast comparison = "GreaterThanOrEqualToThreshold"
	below   comparison = "LessThanThreshold"
)

// alarm is what makes one alarm different from another.
type alarm struct {
	// name comes after "payment-<env>-".
	name string
	// says is what the alarm means, in one sentence.
	says string
	// section is the heading of the alarm's section in docs/operate/alarms.md.
	section string
	// of is the metric; or query is one of Metrics Insights, a point a minute.
	of    metric
	query string
	// is, threshold: when a point is bad.
	is        comparison
	threshold float64
	// points of the last periods have to be bad; zero points means all of them.
	periods, points int
	missing         missingData
	// silent leaves out the actions. Only for the operands of a compositeAlarm, which speaks for them.
	silent bool
}

// AlarmName is the full name of an alarm, the same in both Regions.
func AlarmName(s *settings.Settings, name string) string {
	return "payment-" + s.Environment + "-" + name
}

// AlarmARN is the ARN of an alarm in a Region, known before the alarm exists.
func AlarmARN(s *settings.Settings, region, name string) string {
	return "arn:aws:cloudwatch:" + region + ":" + s.Account + ":alarm:" + AlarmName(s, name)
}

// newAlarm is the one way to make an alarm: it tells the topic of its Region when it starts and when it is over, and its
// description leads to its own alarm page.
//
// The plain CloudFormation resource: the library's own alarm takes several calls for each, and there are many.
func newAlarm(scope constructs.Construct, s *settings.Settings, a alarm) awscloudwatch.CfnAlarm {
	made := awscloudwatch.NewCfnAlarm(scope, text(a.name), alarmProps(scope, s, a))
	if a.silent {
		suppress(made, suppression{rules: []string{nist + "CloudWatchAlarmAction"},
			reason: "A composite alarm with actions has it as an operand, and tells when the two together are a fault. By itself it is none: " + a.says})
	}
	return made
}

func alarmProps(scope constructs.Construct, s *settings.Settings, a alarm) *awscloudwatch.CfnAlarmProps {
	if a.missing == "" || a.periods == 0 || a.section == "" {
		panic(fmt.Sprintf("alarm %s does not say what missing data mean, how long it waits, or where it is explained", a.name))
	}
	props := &awscloudwatch.CfnAlarmProps{
		AlarmName:          text(AlarmName(s, a.name)),
		AlarmDescription:   text(alarmDescription(s, a.says, a.section)),
		ComparisonOperator: text(string(a.is)),
		Threshold:          jsii.Number(a.threshold),
		EvaluationPeriods:  jsii.Number(a.periods),
		TreatMissingData:   text(string(a.missing)),
	}
	if a.points != 0 {
		props.DatapointsToAlarm = jsii.Number(a.points)
	}
	if !a.silent {
		props.AlarmActions, props.OkActions = alertActions(scope, s), alertActions(scope, s)
	}
	if a.query != "" {
		props.Metrics = []*awscloudwatch.CfnAlarm_MetricDataQueryProperty{{
			Id: text("q"), Expression: text(a.query), Period: jsii.Number(time.Minute.Seconds()), ReturnData: jsii.Bool(true),
		}}
		return props
	}
	dimensions := make([]*awscloudwatch.CfnAlarm_DimensionProperty, len(a.of.dimensions))
	for i, d := range a.of.dimensions {
		dimensions[i] = &awscloudwatch.CfnAlarm_DimensionProperty{Name: text(d.name), Value: text(d.value)}
	}
	props.Namespace, props.MetricName, props.Dimensions = text(a.of.namespace), text(a.of.name), dimensions
	props.Period = jsii.Number(a.of.period.Seconds())
	if strings.HasPrefix(a.of.statistic, "p") {
		props.ExtendedStatistic = text(a.of.statistic)
	} else {
		props.Statistic = text(a.of.statistic)
	}
	return props
}

// compositeAlarm is an alarm over the states of others.
type compositeAlarm struct {
	// name, says, section: as in alarm.
	name, says, section string
	// rule is in terms of the operands' names; see alarmIs.
	rule string
	// operands have to exist before it.
	operands []constructs.IDependable
}

// alarmIs is the part of a composite alarm's rule that is true while another alarm of the Region is in the state of alarm.
func alarmIs(s *settings.Settings, name string) string {
	return `ALARM("` + AlarmName(s, name) + `")`
}

// newCompositeAlarm makes an alarm over others, with the same actions and the same description as newAlarm.
func newCompositeAlarm(scope constructs.Construct, s *settings.Settings, a compositeAlarm) awscloudwatch.CfnCompositeAlarm {
	composite := awscloudwatch.NewCfnCompositeAlarm(scope, text(a.name), &awscloudwatch.CfnCompositeAlarmProps{
		AlarmName:        text(AlarmName(s, a.name)),
		AlarmDescription: text(alarmDescription(s, a.says, a.section)),
		AlarmRule:        text(a.rule),
		AlarmActions:     alertActions(scope, s),
		OkActions:        alertActions(scope, s),
	})
	composite.Node().AddDependency(a.operands...)
	return composite
}

// alertActions are the actions of every alarm: the topic of its Region.
func alertActions(scope constructs.Construct, s *settings.Settings) *[]any {
	return anys(text(AlertTopicARN(s, *awscdk.Stack_Of(scope).Region())))
}

// alarmDescription ends in a link to the alarm's own section.
func alarmDescription(s *settings.Settings, says, section string) string {
	return says + " " + alarmPageLink(s, section)
}

// alarmPageLink leads to a section of docs/operate/alarms.md, by the anchor that its heading gets.
func alarmPageLink(s *settings.Settings, section string) string {
	return s.AlarmPagesURL() + "#" + strings.ReplaceAll(strings.ToLower(section), " ", "-")
}
