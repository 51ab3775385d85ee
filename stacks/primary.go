package stacks

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsroute53"
	"github.com/aws/jsii-runtime-go"

	"payments-dr/constructs"
	"payments-dr/internal/settings"
)

// newPrimary makes the stack of the Region where the global database and the global table are born.
// The public zone is made here too, when there is none.
func newPrimary(app awscdk.App, s *settings.Settings) (*regional, awsroute53.IHostedZone) {
	r := newRegional(app, s, RolePrimary, s.Regions.Primary)
	global := constructs.NewAuroraGlobalDatabase(r.Stack, "GlobalDatabase", s)
	r.joinDatabase(s, global)
	zone := constructs.NewPublicZone(r.Stack, "PublicZone", s)
	r.addPlatform(s, constructs.NewSessionTable(r.Stack, "SessionTable", s), zone)
	constructs.NewParameters(r.Stack, "Parameters", s, r.region, r.key, map[string]*string{
		constructs.ParameterPrimaryEndpoint: r.database.Cluster.AttrEndpointAddress(),
		constructs.ParameterTableName:       jsii.String(constructs.SessionTableName(s)),
	})
	awscdk.NewCfnOutput(r.Stack, jsii.String("MasterSecretName"), &awscdk.CfnOutputProps{
		Value: jsii.String(constructs.MasterSecretName(s)), Description: jsii.String("Master user of the database, in Secrets Manager in both Regions"),
	})
	return r, zone
}
