// Reconcile compares the session table with the ledger over a window of time, in the Region whose ledger is the writer, and
// records in the ledger what is missing there.
package main

import (
	"time"

	"github.com/aws/aws-lambda-go/lambdacontext"
	"github.com/aws/aws-sdk-go-v2/aws"

	"payments-dr/internal/payment/sessiontable"
	"payments-dr/internal/payment/start"
	"payments-dr/internal/payment/variables"
)

func main() { start.Function("reconcile", newHandler, func(h *handler) any { return h.invoke }) }

func newHandler(awsConfig aws.Config, environment *variables.Environment) (*handler, error) {
	h := &handler{
		table:     sessiontable.New(sessiontable.NewBatchClient(awsConfig), environment.Text(variables.TableName)),
		replica:   sessiontable.ReplicaFromEnvironment(environment, awsConfig),
		settle:    time.Duration(environment.Number(variables.ReconcileSettleSeconds, 1, 3600)) * time.Second,
		step:      time.Duration(environment.Number(variables.ReconcileStepSeconds, 60, 900)) * time.Second,
		namespace: environment.Text(variables.MetricsNamespace),
		logger:    lambdacontext.NewLogger(),
		now:       time.Now,
	}
	var err error
	h.ledger, h.watermark, h.standby, err = newLedger(awsConfig, environment)
	return h, err
}
