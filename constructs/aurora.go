package constructs

import (
	"strconv"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsrds"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssecretsmanager"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"

	"payments-dr/internal/payment/ledger"
	"payments-dr/internal/settings"
)

const (
	auroraEngine = "aurora-mysql"
	// parameterGroupFamily is the family of Aurora MySQL 3.
	parameterGroupFamily = "aurora-mysql8.0"
	// DatabaseName is the schema that holds the ledger.
	DatabaseName = ledger.DatabaseName
	// masterUsername is the user that the migrations run as. No function of the payment path knows its password.
	masterUsername = "payments_master"
)

// AuroraGlobalDatabase is what the two members have in common.
//
// It is built by engine, empty, and the primary's cluster joins it. The other way, making the global cluster out of an
// existing cluster (SourceDBClusterIdentifier), names one member for ever in a property that can only be set at creation,
// and drifts with the first switchover.
type AuroraGlobalDatabase struct {
	// Cluster is the global cluster.
	Cluster awsrds.CfnGlobalCluster
	// MasterSecret holds the master user's generated password. It is replicated, because after a recovery the other Region's
	// migrations need it while this Region may be gone. RDS cannot manage the password of a global database's members
	// itself ("Password management with Amazon RDS and AWS Secrets Manager", Amazon Aurora User Guide).
	MasterSecret awssecretsmanager.Secret
}

// GlobalClusterIdentifier is the global cluster's name, known before it exists, so that the secondary can join it without a
// reference into the primary's Region.
func GlobalClusterIdentifier(s *settings.Settings) string { return "payment-" + s.Environment }

// ClusterIdentifier is the name of a Region's cluster. It carries the Region: the members of a global database may not share
// an identifier.
func ClusterIdentifier(s *settings.Settings, region settings.Region) string {
	return "payment-" + s.Environment + "-" + region.Name
}

// InstanceIdentifier is the name of one of a Region's instances, numbered from 1.
func InstanceIdentifier(s *settings.Settings, region settings.Region, number int) string {
	return ClusterIdentifier(s, region) + "-" + strconv.Itoa(number)
}

// MasterSecretName is the same in both Regions.
func MasterSecretName(s *settings.Settings) string {
	return "payment/" + s.Environment + "/db/master"
}

// NewAuroraGlobalDatabase makes the global cluster and the master secret. It belongs to the primary's stack.
func NewAuroraGlobalDatabase(scope constructs.Construct, id string, s *settings.Settings) *AuroraGlobalDatabase {
	scope = constructs.NewConstruct(scope, text(id))
	g := &AuroraGlobalDatabase{
		Cluster: awsrds.NewCfnGlobalCluster(scope, text("GlobalCluster"), &awsrds.CfnGlobalClusterProps{
			GlobalClusterIdentifier: text(GlobalClusterIdentifier(s)),
			Engine:                  text(auroraEngine),
			// The version it was created with. CloudFormation passes a change to ModifyGlobalCluster, which supports only major
			// upgrades of Aurora MySQL; members are upgraded by their own EngineVersion.
			EngineVersion:      text(s.Database.CreationEngineVersion()),
			StorageEncrypted:   jsii.Bool(true),
			DeletionProtection: jsii.Bool(s.Database.DeletionProtection),
		}),
		// With the AWS-managed key of each Region: a customer key of the other Region would have to exist before the stack
		// that makes it.
		MasterSecret: awssecretsmanager.NewSecret(scope, text("MasterSecret"), &awssecretsmanager.SecretProps{
			SecretName:  text(MasterSecretName(s)),
			Description: text("Master user of the payments database, " + s.Environment + "; read by the migrations alone"),
			GenerateSecretString: &awssecretsmanager.SecretStringGenerator{
				SecretStringTemplate: text(`{"username":"` + masterUsername + `"}`),
				GenerateStringKey:    text("password"),
				PasswordLength:       jsii.Number(40),
				ExcludePunctuation:   jsii.Bool(true), // RDS refuses some of it
			},
			ReplicaRegions: &[]*awssecretsmanager.ReplicaRegion{{Region: text(s.Regions.Secondary.Name)}},
			RemovalPolicy:  removalPolicy(s),
		}),
	}
	suppress(g.MasterSecret,
		suppression{rules: []string{awsSolutions + "SMG4", nist + "SecretsManagerRotationEnabled"},
			reason: "The migrations alone read it, at deployments; functions sign in with IAM. A rotation changes the password in the database of the Region where the secret was made, which takes no writes after a recovery: " +
				"from then on each would fail, until the way back. RDS's own rotation does not exist for members of a global database."},
		suppression{rules: nistAndPCI("SecretsManagerUsingKMSKey"),
			reason: "A secret and its replica are either both under customer keys or of two kinds, and the replica's would have to exist in the other Region before the stack that makes it. " +
				"The AWS-managed key opens it to this account through Secrets Manager alone, and one role of each Region may read it."},
	)
	return g
}

// AuroraMember is one Region's cluster of the global database, with its instances.
type AuroraMember struct {
	Cluster   awsrds.CfnDBCluster
	Instances []awsrds.CfnDBInstance
}

// AuroraMemberProps is what a member needs of its Region.
type AuroraMemberProps struct {
	Settings *settings.Settings
	Region   settings.Region
	Network  *Network
	Key      awskms.IKey
	// GlobalDatabase is set for the member that is created as the writer. The other has neither credentials nor a schema
	// of its own: it gets them by replication, and RDS refuses them.
	GlobalDatabase *AuroraGlobalDatabase
}

// exportedLogs are the logs that Aurora MySQL sends to CloudWatch Logs. The general log is left out on purpose: it holds every
// statement, payments included.
var exportedLogs = []string{"audit", "error", "slowquery"}

// NewAuroraMember makes one Region's cluster. Both Regions' clusters come from here and differ in their role alone.
//
// There is no Backtrack: a global database does not support it on any member ("Limitations of Amazon Aurora global
// databases", Amazon Aurora User Guide). The way back in time is point-in-time recovery beside the live cluster, over a
// window that the settings keep at 72 hours or more.
func NewAuroraMember(scope constructs.Construct, id string, props AuroraMemberProps) *AuroraMember {
	scope = constructs.NewConstruct(scope, text(id))
	s, identifier := props.Settings, ClusterIdentifier(props.Settings, props.Region)

	subnets := awsrds.NewCfnDBSubnetGroup(scope, text("Subnets"), &awsrds.CfnDBSubnetGroupProps{
		DbSubnetGroupName:        text(identifier),
		DbSubnetGroupDescription: text("Subnets of the payments database"),
		SubnetIds:                anys(*props.Network.VPC.SelectSubnets(props.Network.DatabaseSubnets).SubnetIds...),
	})
	parameters := awsrds.NewCfnDBClusterParameterGroup(scope, text("Parameters"), &awsrds.CfnDBClusterParameterGroupProps{
		DbClusterParameterGroupName: text(identifier),
		Description:                 text("Payments database: TLS only, audit and slow-query logs"),
		Family:                      text(parameterGroupFamily),
		Parameters: map[string]any{
			"require_secure_transport": "ON",
			"tls_version":              "TLSv1.2,TLSv1.3",
			// Exporting a log does not switch it on. Data statements are not audited: they hold payments.
			"server_audit_logging": "1",
			"server_audit_events":  "CONNECT,QUERY_DCL,QUERY_DDL",
			"slow_query_log":       "1",
			"long_query_time":      "1",
			"log_output":           "FILE",
		},
	})

	cluster := &awsrds.CfnDBClusterProps{
		DbClusterIdentifier:     text(identifier),
		GlobalClusterIdentifier: text(GlobalClusterIdentifier(s)),
		Engine:                  text(auroraEngine),
		// RDS creates a cluster without a version with its default version, and rejects a member whose version differs from the
		// global cluster's (aws-cli issue 8139).
		EngineVersion:                   text(s.Database.EngineVersion),
		DbClusterParameterGroupName:     parameters.Ref(),
		DbSubnetGroupName:               subnets.Ref(),
		VpcSecurityGroupIds:             anys(props.Network.Database.SecurityGroupId()),
		Port:                            jsii.Number(DatabasePort),
		StorageEncrypted:                jsii.Bool(true),
		KmsKeyId:                        props.Key.KeyArn(),
		EnableIamDatabaseAuthentication: jsii.Bool(true),
		EnableCloudwatchLogsExports:     texts(exportedLogs...),
		BackupRetentionPeriod:           jsii.Number(s.Database.BackupRetentionDays),
		PreferredBackupWindow:           text("07:00-08:00"), // UTC; late night in both default Regions
		PreferredMaintenanceWindow:      text("sun:08:30-sun:09:30"),
		CopyTagsToSnapshot:              jsii.Bool(true),
		DeletionProtection:              jsii.Bool(s.Database.DeletionProtection),
	}
	if g := props.GlobalDatabase; g != nil {
		cluster.GlobalClusterIdentifier = g.Cluster.Ref()
		cluster.DatabaseName = text(DatabaseName)
		cluster.MasterUsername = text(masterUsername)
		// A dynamic reference: CloudFormation reads the secret itself, the template holds its name.
		cluster.MasterUserPassword = g.MasterSecret.SecretValueFromJson(text("password")).UnsafeUnwrap()
	} else {
		cluster.SourceRegion = text(s.Regions.Primary.Name)
	}
	member := &AuroraMember{Cluster: awsrds.NewCfnDBCluster(scope, text("Cluster"), cluster)}
	member.Cluster.ApplyRemovalPolicy(awscdk.RemovalPolicy_SNAPSHOT, nil)
	suppress(member.Cluster,
		suppression{rules: []string{awsSolutions + "RDS11"},
			reason: "The port admits the functions' security group alone, in subnets that no route leads to from outside. Whoever is inside finds another number as fast, and every client and tool would have to be told it."},
		suppression{rules: []string{awsSolutions + "RDS14"},
			reason: "No member of a global database can have Backtrack. The way back in time is point-in-time recovery beside the live cluster, over a window of 72 hours or more that the settings are held to."},
		suppression{rules: nistAndPCI("RDSLoggingEnabled"),
			reason: "Audit, error and slow-query logs are exported. The fourth is the general log, which holds every statement with its values: it would copy payments into a log."},
	)
	if !s.Database.DeletionProtection {
		suppress(member.Cluster, suppression{rules: []string{awsSolutions + "RDS10", nist + "RDSInstanceDeletionProtectionEnabled"},
			reason: "The settings of this environment leave it out, so that it can be destroyed and made again in one command; a final snapshot stays. The settings refuse to leave it out in production."})
	}
	for _, log := range exportedLogs {
		group := NewLogGroup(scope, "Log-"+log, "/aws/rds/cluster/"+identifier+"/"+log, s, props.Key)
		member.Cluster.Node().AddDependency(group)
	}

	monitoring := awsiam.NewRole(scope, text("Monitoring"), &awsiam.RoleProps{
		AssumedBy:       awsiam.NewServicePrincipal(text("monitoring.rds.amazonaws.com"), nil),
		Description:     text("Enhanced Monitoring of the payments database"),
		ManagedPolicies: &[]awsiam.IManagedPolicy{awsiam.ManagedPolicy_FromAwsManagedPolicyName(text("service-role/AmazonRDSEnhancedMonitoringRole"))},
	})
	suppress(monitoring, suppression{rules: []string{awsSolutions + "IAM4"},
		reason: "RDS's documentation of Enhanced Monitoring names this policy for the role, and RDS refuses an instance whose role does not let it monitor. It writes to log groups whose names begin with RDS, and reads nothing but those."})
	for i := range s.Database.InstancesPerRegion {
		number := strconv.Itoa(i + 1)
		instance := awsrds.NewCfnDBInstance(scope, text("Instance"+number), &awsrds.CfnDBInstanceProps{
			DbInstanceIdentifier: text(InstanceIdentifier(s, props.Region, i+1)),
			DbClusterIdentifier:  member.Cluster.Ref(),
			DbInstanceClass:      text(s.Database.InstanceClass),
			// No EngineVersion: the cluster manages its instances' version, and RDS refuses to change it on an instance
			// ("CreateDBInstance" and "ModifyDBInstance", Amazon RDS API Reference).
			Engine:             text(auroraEngine),
			PubliclyAccessible: jsii.Bool(false),
			// An upgrade of one member alone would leave versions apart, and a recovery refused.
			AutoMinorVersionUpgrade:     jsii.Bool(false),
			PromotionTier:               jsii.Number(i),
			MonitoringInterval:          jsii.Number(60),
			MonitoringRoleArn:           monitoring.RoleArn(),
			EnablePerformanceInsights:   jsii.Bool(true),
			PerformanceInsightsKmsKeyId: props.Key.KeyArn(),
			CaCertificateIdentifier:     text("rds-ca-rsa2048-g1"),
		})
		if i > 0 {
			instance.AddResourceDependency(member.Instances[0], text("the first instance becomes the writer"))
		}
		suppress(instance,
			suppression{rules: []string{nist + "RDSInBackupPlan"},
				reason: "An Aurora instance has no storage to back up. The cluster has, and is in the Region's AWS Backup plan by its ARN, which the rule does not follow."},
			suppression{rules: []string{pciDSS + "RDSAutomaticMinorVersionUpgradeEnabled"},
				reason: "Switchover and failover want one version on all members, and an instance that upgrades by itself leaves two. A setting raises the version of both clusters, the secondary's first."},
		)
		member.Instances = append(member.Instances, instance)
	}
	return member
}
