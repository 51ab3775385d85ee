package review

import (
	"fmt"
	"slices"
	"strings"
)

// Obstacle is a change that a deployment cannot make, or that needs more than a deployment.
type Obstacle struct {
	Stack string
	// Resource is its type and its name or logical id.
	Resource string
	// Refused is whether AWS refuses the change. Otherwise it needs the procedure in Do.
	Refused bool
	Why, Do string
}

// String is the obstacle on one line.
func (o Obstacle) String() string {
	word := "NEEDS A PROCEDURE"
	if o.Refused {
		word = "CANNOT BE DEPLOYED"
	}
	return fmt.Sprintf("%s: %s of %s: %s %s", word, o.Resource, o.Stack, o.Why, o.Do)
}

const (
	// elsewhere is what is left when a resource cannot change: an environment of another name.
	elsewhere = "Undo the change, or make another environment and restore the data into it."
	upgrade   = `See docs/use/deploy.md, "Raise the engine version".`
)

// special are changes of properties that the schemas call updates, and that AWS refuses or that need a procedure.
var special = map[[2]string]Obstacle{
	// "ModifyGlobalCluster only supports Major Version Upgrades" for Aurora MySQL (terraform-provider-aws, global_cluster.go).
	{"AWS::RDS::GlobalCluster", "EngineVersion"}: {Refused: true, Why: "A global cluster of Aurora MySQL keeps the minor version that it was created with.", Do: "Set database.globalClusterEngineVersion to the old version. " + upgrade},
	// "Please upgrade global replicas first" (terraform-provider-aws#29487).
	{"AWS::RDS::DBCluster", "EngineVersion"}: {Why: "RDS upgrades the members of a global database one by one, the one that does not write first.", Do: upgrade},
	// "Multi-Region strong consistency", Amazon DynamoDB Developer Guide: the mode is set on an empty table and never changes.
	{"AWS::DynamoDB::GlobalTable", "MultiRegionConsistency"}: {Refused: true, Why: "A global table keeps the consistency that it was created with.", Do: elsewhere},
	{"AWS::DynamoDB::GlobalTable", "GlobalTableWitnesses"}:   {Refused: true, Why: "A global table keeps the witness that it was created with.", Do: elsewhere},
	// "AWS Backup Vault Lock", AWS Backup Developer Guide.
	{"AWS::Backup::BackupVault", "LockConfiguration.ChangeableForDays"}: {Why: "A compliance lock cannot be taken off, and its bounds cannot change, once its grace days are over.", Do: "Be certain of backup.retentionDays before you deploy. Afterwards remove nothing of backup.lock and backup.lockGraceDays."},
}

// Obstacles are the changes that the deployment cannot make, or not by itself.
func Obstacles(stacks []Stack) []Obstacle {
	var found []Obstacle
	// CloudFormation creates before it deletes, in a stack and of course between stacks.
	type name struct{ region, kind, name string }
	leaving := map[name]string{}
	for _, stack := range stacks {
		for _, r := range stack.Resources {
			if r.Action == Removed && r.OldName != "" {
				leaving[name{stack.Region, r.Type, r.OldName}] = stack.Name
			}
		}
	}
	for _, stack := range stacks {
		for _, r := range stack.Resources {
			add := func(o Obstacle) {
				o.Stack, o.Resource = stack.Name, strings.TrimSpace(r.Type+" "+r.LogicalID)
				found = append(found, o)
			}
			from := leaving[name{stack.Region, r.Type, r.NewName}]
			switch {
			case (r.Action == Replaced || r.Action == MayBeReplaced) && r.OldName != "" && r.OldName == r.NewName:
				when := ""
				if r.Action == MayBeReplaced {
					when = "If it is replaced, which is known at the deployment: "
				}
				add(Obstacle{Refused: r.Action == Replaced, Why: when + fmt.Sprintf("CloudFormation creates the new one before it deletes the old one, and both are called %s%s.", r.OldName, because(r)),
					Do: "Keep what cannot change, and its logical id. " + elsewhere})
			case r.Action == Added && r.NewName != "" && from != "":
				add(Obstacle{Refused: true, Why: fmt.Sprintf("It is called %s, and so is one that %s still has.", r.NewName, from), Do: "Keep it where it is, or move it first: npx cdk refactor."})
			case r.Action == Replaced && r.Type == "AWS::EC2::Subnet" && !r.changes("CidrBlock") && !r.changes("VpcId"):
				add(Obstacle{Refused: true, Why: "CloudFormation creates the new one before it deletes the old one, and both have the same range of addresses in the same network.", Do: elsewhere})
			case r.Type == "AWS::RDS::DBSubnetGroup" && r.changes("SubnetIds") && networkReplaced(stack):
				add(Obstacle{Refused: true, Why: "RDS does not move a cluster to another network.", Do: elsewhere})
			}
			for change, o := range special {
				if change[0] == r.Type && r.changes(change[1]) {
					add(o)
				}
			}
		}
	}
	slices.SortStableFunc(found, func(a, b Obstacle) int { return strings.Compare(a.String(), b.String()) })
	return found
}

// because names the properties that replace a resource.
func because(r Resource) string {
	var names []string
	for _, p := range r.Properties {
		if p.Replaces {
			names = append(names, p.Path)
		}
	}
	if r.NewLogicalID != "" {
		names = []string{"its logical id"}
	}
	if len(names) == 0 {
		return ""
	}
	return " (what changes is " + strings.Join(names, ", ") + ")"
}

// changes is whether a property, or a part of it, differs or follows a resource that is replaced.
func (r Resource) changes(property string) bool {
	return slices.ContainsFunc(r.Properties, func(p Property) bool {
		return p.Path == property || strings.HasPrefix(p.Path, property+".") || strings.HasPrefix(p.Path, property+"[")
	})
}

func networkReplaced(stack Stack) bool {
	return slices.ContainsFunc(stack.Resources, func(r Resource) bool { return r.Type == "AWS::EC2::VPC" && r.Action == Replaced })
}
