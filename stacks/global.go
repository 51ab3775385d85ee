package stacks

import (
	"slices"

	"github.com/aws/aws-cdk-go/awscdk/v2"

	"payments-dr/constructs"
	"payments-dr/internal/assembly"
	"payments-dr/internal/settings"
)

// newGlobal makes the stack that ties both Regions together.
func newGlobal(app awscdk.App, s *settings.Settings, secondary *regional) awscdk.Stack {
	stack := newStack(app, s, RoleGlobal, settings.GlobalRegion, "Payments platform, "+s.Environment+": what both Regions share")
	stack.TemplateOptions().SetMetadata(&map[string]any{assembly.SettingsMetadata: s})
	// The primary's stack comes before the secondary's, so its Region gets the secondary's values from here.
	constructs.NewDatabaseParameters(stack, "Parameters", s, s.Regions.Primary, map[string]*string{
		constructs.ParameterSecondaryEndpoint: secondary.database.Cluster.AttrEndpointAddress(),
	})
	if !slices.ContainsFunc(s.Both(), func(r settings.Region) bool { return r.Name == settings.GlobalRegion }) {
		// Alarms tell a topic of their own Region; here no regional stack has made one.
		constructs.NewAlertTopic(stack, "Alerts", s, constructs.NewEncryptionKey(stack, "Key", s))
	}
	constructs.NewGlobalDashboard(stack, "Dashboard", s)
	constructs.NewBudget(stack, "Budget", s)
	return stack
}
