package stacks

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"

	"payments-dr/constructs"
	"payments-dr/internal/settings"
)

// SettingsMetadata is the key of the global template's metadata that holds the settings it was made from, whole, so that what
// reads the templates knows what they promise.
const SettingsMetadata = "Payment::Settings"

// newGlobal makes the stack that ties both Regions together.
func newGlobal(app awscdk.App, s *settings.Settings, secondary *regional) awscdk.Stack {
	stack := newStack(app, s, RoleGlobal, settings.GlobalRegion, "Payments platform, "+s.Environment+": what both Regions share")
	stack.TemplateOptions().SetMetadata(&map[string]any{SettingsMetadata: s})
	// The primary's stack comes before the secondary's, so its Region gets the secondary's values from here.
	constructs.NewDatabaseParameters(stack, "Parameters", s, s.Regions.Primary, map[string]*string{
		constructs.ParameterSecondaryEndpoint: secondary.database.Cluster.AttrEndpointAddress(),
	})
	return stack
}
