// Validate looks into what a restore test of AWS Backup has restored, and tells AWS Backup whether it is what it should be.
package main

import (
	"time"

	"github.com/aws/aws-lambda-go/lambdacontext"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/backup"
	"github.com/aws/aws-sdk-go-v2/service/rds"

	"payments-dr/internal/payment/ledger"
	"payments-dr/internal/payment/restorecheck"
	"payments-dr/internal/payment/sessiontable"
	"payments-dr/internal/payment/start"
	"payments-dr/internal/payment/variables"
)

func main() { start.Function("validate", newHandler, func(h *handler) any { return h.handle }) }

// maxReceives is SQS's own limit ("Configuring a dead-letter queue using the Amazon SQS console", Amazon SQS Developer Guide).
const maxReceives = 1000

// statementTimeout is longer than the ledger's own: a restored volume is read for the first time.
const statementTimeout = time.Minute

func newHandler(awsConfig aws.Config, environment *variables.Environment) (*handler, error) {
	database := ledger.ConfigFromEnvironment(environment, awsConfig)
	client := sessiontable.NewBatchClient(awsConfig)
	return &handler{
		check: restorecheck.Check{
			Backup:   backup.NewFromConfig(awsConfig),
			Clusters: rds.NewFromConfig(awsConfig),
			Live:     sessiontable.New(client, environment.Text(variables.TableName)),
			Replica:  sessiontable.ReplicaFromEnvironment(environment, awsConfig),
			Table:    func(name string) restorecheck.Table { return sessiontable.New(client, name) },
			Ledger: func(host string, port int) (restorecheck.Ledger, error) {
				restored := database
				restored.Host, restored.Port, restored.StatementTimeout = host, port, statementTimeout
				return ledger.Open(restored)
			},
			InstanceClass: environment.Text(variables.InstanceClass),
		},
		receives:  environment.Number(variables.MaxReceives, 1, maxReceives),
		namespace: environment.Text(variables.MetricsNamespace),
		logger:    lambdacontext.NewLogger(),
		now:       time.Now,
	}, nil
}
