package stacks

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsdynamodb"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsroute53"
	"github.com/aws/jsii-runtime-go"

	"payments-dr/constructs"
	"payments-dr/internal/settings"
)

// regional is a stack of one of the two Regions, with all that both have.
type regional struct {
	awscdk.Stack
	region  settings.Region
	key     awskms.Key
	network *constructs.Network
	// database is the Region's member of the global database.
	database *constructs.AuroraMember
	api      *constructs.PaymentAPI
	// name is the API's answer to the public name.
	name   *constructs.PublicName
	ledger *constructs.Ledger
}

// newRegional makes what everything else in a Region stands on.
func newRegional(app awscdk.App, s *settings.Settings, role string, region settings.Region) *regional {
	r := &regional{
		Stack: newStack(app, s, role, region.Name,
			"Payments platform, "+s.Environment+": "+region.Name+", the "+role+" Region of the settings"),
		region: region,
	}
	r.key = constructs.NewEncryptionKey(r.Stack, "Key", s)
	constructs.NewAlertTopic(r.Stack, "Alerts", s, r.key)
	r.network = constructs.NewNetwork(r.Stack, "Network", s, region, r.key)
	return r
}

// joinDatabase makes the Region's member. Given the global database, the member is created as its writer.
func (r *regional) joinDatabase(s *settings.Settings, global *constructs.AuroraGlobalDatabase) {
	r.database = constructs.NewAuroraMember(r.Stack, "Database", constructs.AuroraMemberProps{
		Settings: s, Region: r.region, Network: r.network, Key: r.key, GlobalDatabase: global,
	})
}

// addPlatform adds the regional platform: the same in both Regions. table is the session table's replica in this one, zone the
// public zone that both share.
func (r *regional) addPlatform(s *settings.Settings, table awsdynamodb.ITableV2, zone awsroute53.IHostedZone) {
	r.api = constructs.NewPaymentAPI(r.Stack, "PaymentApi", constructs.PaymentAPIProps{
		Settings: s, Region: r.region, Network: r.network, Key: r.key, Table: table,
	})
	r.name = constructs.NewPublicName(r.Stack, "PublicName", constructs.PublicNameProps{Settings: s, Zone: zone, API: r.api})
	constructs.NewServerErrorAlarm(r.Stack, "ServerErrors", s)
	constructs.NewOperatorRole(r.Stack, "Operator", constructs.OperatorRoleProps{Settings: s, Region: r.region, Key: r.key})
	queue := constructs.NewLedgerQueue(r.Stack, "LedgerQueue", s, r.key)
	bus := constructs.NewEventBus(r.Stack, "EventBus", constructs.EventBusProps{
		Settings: s, Region: r.region, Other: s.Other(r.region), Key: r.key, Ledger: queue.Queue,
	})
	constructs.NewRelay(r.Stack, "Relay", constructs.RelayProps{Settings: s, Region: r.region, Key: r.key, Table: table, Bus: bus})
	schema := constructs.NewMigration(r.Stack, "Migration", constructs.MigrationProps{
		Settings: s, Network: r.network, Key: r.key, Database: r.database,
	})
	r.ledger = constructs.NewLedger(r.Stack, "Ledger", constructs.LedgerProps{
		Settings: s, Region: r.region, Network: r.network, Key: r.key, Queue: queue, Database: r.database, Schema: schema,
	})
	constructs.NewReconciliation(r.Stack, "Reconciliation", constructs.ReconciliationProps{
		Settings: s, Region: r.region, Network: r.network, Key: r.key, Table: table, Database: r.database, Schema: schema,
	})
	backup := constructs.NewBackup(r.Stack, "Backup", constructs.BackupProps{Settings: s, Region: r.region, Key: r.key})
	constructs.NewRestoreTesting(r.Stack, "RestoreTesting", constructs.RestoreTestingProps{
		Settings: s, Region: r.region, Network: r.network, Key: r.key, Backup: backup, Table: table, Schema: schema,
	})
	constructs.NewCanary(r.Stack, "Canary", constructs.CanaryProps{Settings: s, Region: r.region, Other: s.Other(r.region), Key: r.key})
	constructs.NewNotices(r.Stack, "Notices", s, r.key)
	constructs.NewAlarms(r.Stack, "Alarms", s, r.region)
	// Last: it shows every alarm that has been made.
	constructs.NewRegionalDashboard(r.Stack, "Dashboard", s, r.region)
	awscdk.NewCfnOutput(r.Stack, jsii.String("ApiUrl"), &awscdk.CfnOutputProps{
		Value: r.api.API.Url(), Description: jsii.String("This Region's own payment API, for smoke tests; clients use the public name"),
	})
	awscdk.NewCfnOutput(r.Stack, jsii.String("DatabaseEndpoint"), &awscdk.CfnOutputProps{
		Value: r.database.Cluster.AttrEndpointAddress(), Description: jsii.String("This Region's Aurora cluster endpoint; inactive while the Region is not the writer"),
	})
	awscdk.NewCfnOutput(r.Stack, jsii.String("TableName"), &awscdk.CfnOutputProps{
		Value: jsii.String(constructs.SessionTableName(s)), Description: jsii.String("Session table, the same name in both Regions"),
	})
}
