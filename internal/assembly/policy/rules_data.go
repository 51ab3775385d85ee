package policy

import (
	"fmt"
	"regexp"
	"strings"

	"payments-dr/internal/assembly"
)

const typeAPIAccount = "AWS::ApiGateway::Account"

// restoreWindowDays is the least window of point-in-time recovery: 72 hours.
const restoreWindowDays = 3

// role is a Region's role in a name.
var role = regexp.MustCompile(`(?i)(^|[^a-z])(primary|secondary|standby)([^a-z]|$)`)

// The rules on data and on names.
var dataRules = []*Rule{
	{
		Name:    "key-outlives-data",
		Forbids: "A key is deleted with its stack, and something that outlives the stack is encrypted with it.",
		Allowed: "a key that is retained, wherever what refers to it is retained or leaves a snapshot.",
		Fix:     "give the key the removal policy \"retained\" of constructs/encryption_key.go.",
		Why:     "A key that is scheduled for deletion decrypts nothing, from the first day of its waiting period (\"Deleting AWS KMS keys\", AWS KMS Developer Guide).",
		check: func(p *platform, report report) {
			p.each(func(s *stack, id string, key assembly.Resource) {
				if outlives(key) {
					return
				}
				s.each(func(user string, r assembly.Resource) {
					if outlives(r) && mentions(r.Properties, id) {
						report(s, id, "DeletionPolicy", short(key.DeletionPolicy)+", and "+user+" has "+r.DeletionPolicy)
					}
				})
			}, "AWS::KMS::Key")
		},
	},
	{
		Name:    "no-backtrack",
		Forbids: "A member of the global database has Backtrack.",
		Allowed: "no BacktrackWindow. The way back in time is point-in-time recovery beside the live cluster: dr restore.",
		Fix:     "leave BacktrackWindow out of constructs/aurora.go.",
		Why:     "RDS refuses it on every member (\"Limitations of Amazon Aurora global databases\", Amazon Aurora User Guide), and would say so in the middle of a deployment.",
		check: func(p *platform, report report) {
			p.each(func(s *stack, id string, r assembly.Resource) {
				if window, ok := r.Properties["BacktrackWindow"]; ok {
					report(s, id, "Properties/BacktrackWindow", short(window))
				}
			}, "AWS::RDS::DBCluster")
		},
	},
	{
		Name:    "one-engine-version",
		Forbids: "A cluster of the global database has no version or another one than the settings', or an instance has a version of its own.",
		Allowed: "database.engineVersion on every cluster; the version it was created with on the global cluster; on every instance no version, and AutoMinorVersionUpgrade false.",
		Fix:     "set EngineVersion on clusters from the settings, as in constructs/aurora.go. To raise it, follow \"Raise the engine version\" in docs/use/deploy.md.",
		Why: "RDS gives a cluster without a version its default, and rejects a member whose version is not the global cluster's (aws-cli issue 8139). " +
			"Switchover and failover refuse members whose versions differ (\"Managed planned failovers and switchovers\", Amazon Aurora User Guide).",
		check: func(p *platform, report report) {
			database := p.assembly.Settings.Database
			wanted := map[string]any{
				"AWS::RDS::DBCluster": database.EngineVersion, "AWS::RDS::GlobalCluster": database.CreationEngineVersion(), "AWS::RDS::DBInstance": nil,
			}
			p.each(func(s *stack, id string, r assembly.Resource) {
				if version := r.Properties["EngineVersion"]; version != wanted[r.Type] {
					report(s, id, "Properties/EngineVersion", short(version))
				}
				if r.Type == "AWS::RDS::DBInstance" && r.Properties["AutoMinorVersionUpgrade"] != false {
					report(s, id, "Properties/AutoMinorVersionUpgrade", short(r.Properties["AutoMinorVersionUpgrade"]))
				}
			}, "AWS::RDS::DBCluster", "AWS::RDS::GlobalCluster", "AWS::RDS::DBInstance")
		},
	},
	{
		Name:    "physical-name",
		Forbids: "A name says which role its Region has, or two Regions would give it to two things of one namespace.",
		Allowed: "names without primary, secondary or standby; with the Region in those of database clusters and instances, and of roles that each Region's stack makes.",
		Fix:     "name it by the Region, as ClusterIdentifier and OperatorRoleName do. Parameters, which carry the settings' words for the Regions, are excepted.",
		Why: "Roles swap and names stay. A global database's members may not share an identifier (\"Getting started with Amazon Aurora global databases\", " +
			"Amazon Aurora User Guide), and IAM has one namespace for all Regions.",
		check: func(p *platform, report report) {
			p.each(func(s *stack, id string, r assembly.Resource) {
				if r.Type == "AWS::SSM::Parameter" {
					return
				}
				for property, value := range r.Properties {
					if name := assembly.Text(value); name != "" && isName(property) && role.MatchString(name) {
						report(s, id, "Properties/"+property, name)
					}
				}
				property := map[string]string{
					"AWS::RDS::DBCluster": "DBClusterIdentifier", "AWS::RDS::DBInstance": "DBInstanceIdentifier", "AWS::IAM::Role": "RoleName",
				}[r.Type]
				name, given := r.Properties[property]
				regional := p.assembly.Settings.StackName("global") != s.Name
				if given && regional && !strings.Contains(assembly.Text(name), s.Region) {
					report(s, id, "Properties/"+property, short(name)+", without "+s.Region)
				}
			})
		},
	},
	{
		Name:    "retain-except-on-create",
		Forbids: "A resource is kept when its own creation fails, and its name blocks the next attempt.",
		Allowed: "DeletionPolicy RetainExceptOnCreate. Retain is for a hosted zone, whose name servers may be delegated by then, and for the account's role that API Gateway writes logs with.",
		Fix:     "use the removal policy \"retained\" of constructs/encryption_key.go.",
		Why:     "A rollback keeps what has Retain, and the next creation fails with AlreadyExists (\"DeletionPolicy attribute\", AWS CloudFormation User Guide).",
		check: func(p *platform, report report) {
			p.each(func(s *stack, id string, r assembly.Resource) {
				accountRole := s.any(func(_ string, account assembly.Resource) bool {
					return assembly.Referred(account.Properties["CloudWatchRoleArn"]) == id
				}, typeAPIAccount)
				if r.DeletionPolicy == "Retain" && r.Type != "AWS::Route53::HostedZone" && r.Type != typeAPIAccount && !accountRole {
					report(s, id, "DeletionPolicy", r.DeletionPolicy)
				}
			})
		},
	},
	{
		Name:    "restore-window",
		Forbids: "A table or a cluster cannot be brought back to any moment of the last 72 hours.",
		Allowed: fmt.Sprintf("point-in-time recovery on every replica of every table, and backups of every cluster, both for %d days or more.", restoreWindowDays),
		Fix:     "raise database.backupRetentionDays in the settings, and keep PointInTimeRecoverySpecification on each replica (constructs/session_table.go).",
		Why:     "The platform promises to restore any moment of the last 72 hours. Point-in-time recovery is a setting of each replica (\"Global tables: how it works\", Amazon DynamoDB Developer Guide).",
		check: func(p *platform, report report) {
			p.each(func(s *stack, id string, r assembly.Resource) {
				tables := map[string]map[string]any{"Properties": r.Properties}
				switch r.Type {
				case "AWS::RDS::DBCluster":
					if days, _ := r.Properties["BackupRetentionPeriod"].(float64); days < restoreWindowDays {
						report(s, id, "Properties/BackupRetentionPeriod", short(r.Properties["BackupRetentionPeriod"]))
					}
					return
				case "AWS::DynamoDB::GlobalTable":
					tables = map[string]map[string]any{}
					for i, replica := range assembly.OneOrMore(r.Properties["Replicas"]) {
						tables[fmt.Sprintf("Properties/Replicas/%d", i)] = assembly.Object(replica)
					}
				}
				for path, table := range tables {
					recovery := assembly.Object(table["PointInTimeRecoverySpecification"])
					days, given := recovery["RecoveryPeriodInDays"].(float64)
					if recovery["PointInTimeRecoveryEnabled"] != true || given && days < restoreWindowDays {
						report(s, id, path+"/PointInTimeRecoverySpecification", short(table["PointInTimeRecoverySpecification"]))
					}
				}
			}, "AWS::RDS::DBCluster", "AWS::DynamoDB::GlobalTable", "AWS::DynamoDB::Table")
		},
	},
}

// outlives is whether a resource stays when its stack is deleted, or leaves a snapshot.
func outlives(r assembly.Resource) bool {
	return r.DeletionPolicy == "Retain" || r.DeletionPolicy == "RetainExceptOnCreate" || r.DeletionPolicy == "Snapshot"
}

// isName is whether a property is what AWS knows a resource by.
func isName(property string) bool {
	return property == "Name" || strings.HasSuffix(property, "Name") || strings.HasSuffix(property, "Identifier")
}
