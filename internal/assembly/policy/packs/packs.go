// Package packs holds stacks against three of cdk-nag's rule packs. It is a package of its own because the packs are a module of
// the library's runtime, which a synthesis without them must not load.
package packs

import (
	"slices"
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/jsii-runtime-go"
	"github.com/cdklabs/cdk-nag-go/cdknag/v2"
)

// ContextKey is the key of the app's context that asks for the packs: -c policy=true.
const ContextKey = "policy"

// Wanted is whether the context asks for the packs. The CDK CLI hands its values on as text.
func Wanted(context map[string]any) bool {
	return context[ContextKey] == true || context[ContextKey] == "true"
}

// Add holds every stack of an app against the packs when it is synthesized. Each finding that is not suppressed is an error, and
// ends the synthesis. What was found, suppressed or not, is written beside the templates, for package policy to read.
func Add(app awscdk.App) { add(app, &cdknag.NagPackProps{Reports: jsii.Bool(true)}) }

// Tell sets the context of an app such that an open finding does not end its synthesis, but is in the reports alone.
func Tell(context map[string]any) { context["@aws-cdk/core:failSynthOnValidationErrors"] = false }

func add(app awscdk.App, props *cdknag.NagPackProps) {
	aspects := awscdk.Aspects_Of(app)
	aspects.Add(cdknag.NewAwsSolutionsChecks(props), nil)
	aspects.Add(cdknag.NewNIST80053R5Checks(props), nil)
	aspects.Add(cdknag.NewPCIDSS321Checks(props), nil)
}

// Rules are the names of the packs' rules, in order. The packs do not list them; but each is asked about each resource, and so a
// stack of one resource names them all.
func Rules() []string {
	app := awscdk.NewApp(&awscdk.AppProps{AnalyticsReporting: jsii.Bool(false), TreeMetadata: jsii.Bool(false)})
	stack := awscdk.NewStack(app, jsii.String("Rules"), nil)
	awscdk.NewCfnResource(stack, jsii.String("Any"), &awscdk.CfnResourceProps{Type: jsii.String("Custom::Any")})
	var names collector
	add(app, &cdknag.NagPackProps{Reports: jsii.Bool(false), AdditionalLoggers: &[]cdknag.INagLogger{&names}})
	app.Synth(nil)
	slices.Sort(names.all)
	return slices.Compact(names.all)
}

// collector notes which rules were asked.
type collector struct{ all []string }

func (c *collector) note(rule *string) { c.all = append(c.all, strings.Clone(*rule)) }

func (c *collector) OnCompliance(data *cdknag.NagLoggerComplianceData)           { c.note(data.RuleId) }
func (c *collector) OnNonCompliance(data *cdknag.NagLoggerNonComplianceData)     { c.note(data.RuleId) }
func (c *collector) OnSuppressed(data *cdknag.NagLoggerSuppressedData)           { c.note(data.RuleId) }
func (c *collector) OnError(data *cdknag.NagLoggerErrorData)                     { c.note(data.RuleId) }
func (c *collector) OnSuppressedError(data *cdknag.NagLoggerSuppressedErrorData) { c.note(data.RuleId) }
func (c *collector) OnNotApplicable(data *cdknag.NagLoggerNotApplicableData)     { c.note(data.RuleId) }
