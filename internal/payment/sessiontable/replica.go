package sessiontable

import (
	"github.com/aws/aws-sdk-go-v2/aws"

	"payments-dr/internal/payment/variables"
)

// The values of variables.TableConsistency, which are those of the setting session.consistency.
const (
	strong   = "strong"
	eventual = "eventual"
)

// ReplicaFromEnvironment is the function's own Region if the table is eventually consistent, so that the Region reads a replica that
// may be behind; empty if it is strongly consistent.
func ReplicaFromEnvironment(environment *variables.Environment, config aws.Config) string {
	if environment.Choice(variables.TableConsistency, strong, eventual) == eventual {
		return config.Region
	}
	return ""
}
