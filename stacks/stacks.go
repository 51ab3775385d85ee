// Package stacks says what goes where, and nothing else: three stacks made of the constructs.
package stacks

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/jsii-runtime-go"

	"payments-dr/constructs"
	"payments-dr/internal/assembly/policy/validator"
	"payments-dr/internal/settings"
)

// The roles of the three stacks; see settings.StackName.
const (
	RolePrimary   = string(settings.RolePrimary)
	RoleSecondary = string(settings.RoleSecondary)
	RoleGlobal    = "global"
)

// Build makes the three stacks of one environment, in the order of their deployment: the secondary joins what the primary
// made, and the global stack ties both together.
//
// What they come to is held against the rules of this platform when it is synthesized.
func Build(app awscdk.App, s *settings.Settings) {
	validator.Add(app)
	primary, zone := newPrimary(app, s)
	secondary := newSecondary(app, s, primary, zone)
	secondary.AddStackDependency(primary.Stack, jsii.String("joins the primary's global database and table"))
	global := newGlobal(app, s, primary, secondary, zone)
	global.AddStackDependency(primary.Stack, jsii.String("ties both Regions together"))
	global.AddStackDependency(secondary.Stack, jsii.String("ties both Regions together"))
}

func newStack(app awscdk.App, s *settings.Settings, role, region, description string) awscdk.Stack {
	tags := map[string]*string{}
	for key, value := range s.Tags {
		tags[key] = jsii.String(value)
	}
	stack := awscdk.NewStack(app, jsii.String(s.StackName(role)), &awscdk.StackProps{
		StackName:   jsii.String(s.StackName(role)),
		Description: jsii.String(description),
		Env:         &awscdk.Environment{Account: jsii.String(s.Account), Region: jsii.String(region)},
		// Values that AWS generates cross Regions by strong references: the producing stack writes them into the consumer's
		// Region, so that the consumer can be updated while the producer's Region is gone.
		CrossRegionReferences: jsii.Bool(true),
		TerminationProtection: jsii.Bool(s.Production),
		Tags:                  &tags,
	})
	constructs.RestrictLibraryProviders(stack)
	for _, r := range s.Both() {
		if r.Name == region {
			// The library compares the zones that a network names with those of the account, and asks AWS for them. This is
			// the answer, in the place where it keeps such answers.
			stack.Node().SetContext(jsii.String("availability-zones:account="+s.Account+":region="+region), r.AvailabilityZones)
		}
	}
	return stack
}
