package stacks

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsroute53"
	"github.com/aws/jsii-runtime-go"

	"payments-dr/constructs"
	"payments-dr/internal/settings"
)

// newSecondary makes the stack of the other Region. Its member joins the global database by name; its replica of the table
// came with the primary's stack.
func newSecondary(app awscdk.App, s *settings.Settings, primary *regional, zone awsroute53.IHostedZone) *regional {
	r := newRegional(app, s, RoleSecondary, s.Regions.Secondary)
	r.joinDatabase(s, nil)
	r.addPlatform(s, constructs.SessionTableReplica(r.Stack, "SessionTable", s, r.key), zone)
	constructs.NewParameters(r.Stack, "Parameters", s, r.region, r.key, map[string]*string{
		constructs.ParameterPrimaryEndpoint:   primary.database.Cluster.AttrEndpointAddress(),
		constructs.ParameterSecondaryEndpoint: r.database.Cluster.AttrEndpointAddress(),
		constructs.ParameterTableName:         jsii.String(constructs.SessionTableName(s)),
	})
	return r
}
