// Package validator has every synthesis checked against the rules of package policy, by the library's own way for that: a plug-in that
// is handed the templates when they are written, and whose findings end the synthesis.
package validator

import (
	"path/filepath"
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/jsii-runtime-go"

	"payments-dr/internal/assembly"
	"payments-dr/internal/assembly/policy"
)

// Add has an app's templates checked when it is synthesized. A violation is told with the resource's path, the rule, what is allowed
// and how to mend it. None can be acknowledged: what is an exception is in the rule.
func Add(app awscdk.App) { awscdk.Validations_Of(app).AddPlugins(New()) }

// New is the plug-in of one app.
func New() awscdk.IPolicyValidationPlugin { return &plugin{} }

type plugin struct{ byStack map[string][]policy.Violation }

func (*plugin) Name() *string       { return jsii.String("Payments platform") }
func (*plugin) Version() *string    { return nil }
func (*plugin) RuleIds() *[]*string { return nil }

// fatal is the severity of what the library lets nobody acknowledge.
const fatal = "fatal"

// Validate is called once for the stacks of each Region. The rules look at all stacks together, so the first call reads them all.
func (p *plugin) Validate(context awscdk.IPolicyValidationContext) *awscdk.PolicyValidationPluginReport {
	violations := []*awscdk.PolicyViolation{}
	for _, template := range *context.TemplatePaths() {
		if p.byStack == nil {
			a, err := assembly.Load(filepath.Dir(*template))
			if err != nil {
				panic(err) // the library has just written what cannot be read: that ends the synthesis
			}
			p.byStack = map[string][]policy.Violation{}
			for _, v := range policy.Check(a) {
				p.byStack[v.Stack] = append(p.byStack[v.Stack], v)
			}
		}
		for _, v := range p.byStack[strings.TrimSuffix(filepath.Base(*template), ".template.json")] {
			violations = append(violations, &awscdk.PolicyViolation{
				RuleName:    jsii.String(v.Rule.Name),
				Description: jsii.String(v.Rule.Forbids + " Found: " + v.Found + ". Allowed: " + v.Rule.Allowed),
				Fix:         jsii.String(v.Rule.Fix),
				Severity:    jsii.String(fatal),
				ViolatingResources: &[]*awscdk.PolicyViolatingResource{{
					ResourceLogicalId: jsii.String(v.LogicalID), TemplatePath: template, Locations: jsii.Strings(v.Property),
				}},
			})
		}
	}
	return &awscdk.PolicyValidationPluginReport{Success: jsii.Bool(len(violations) == 0), Violations: &violations}
}
