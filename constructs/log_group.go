package constructs

import (
	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslogs"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"

	"payments-dr/internal/settings"
)

// NewLogGroup makes a log group with the retention of the settings, encrypted with the Region's own key. Services that write
// logs make their group by themselves when it is missing, unencrypted and kept for ever; so each is made here, before them.
func NewLogGroup(scope constructs.Construct, id, name string, s *settings.Settings, key awskms.IKey) awslogs.LogGroup {
	group := awslogs.NewLogGroup(scope, text(id), &awslogs.LogGroupProps{
		LogGroupName:  text(name),
		EncryptionKey: key,
		RemovalPolicy: removalPolicy(s),
	})
	// The settings hold days, as CloudFormation does; the library's enumeration names them.
	group.Node().DefaultChild().(awslogs.CfnLogGroup).SetRetentionInDays(jsii.Number(s.Logs.RetentionDays))
	return group
}
