// Processor takes payments: it validates each, and accepts it with one conditional write to its own Region's session table.
package main

import (
	"time"

	"github.com/aws/aws-lambda-go/lambdacontext"
	"github.com/aws/aws-sdk-go-v2/aws"

	"payments-dr/internal/payment/sessiontable"
	"payments-dr/internal/payment/start"
	"payments-dr/internal/payment/variables"
)

func main() { start.Function("processor", newHandler, func(h *handler) any { return h.handle }) }

func newHandler(awsConfig aws.Config, environment *variables.Environment) (*handler, error) {
	return &handler{
		table:     sessiontable.New(sessiontable.NewClient(awsConfig), environment.Text(variables.TableName)),
		region:    awsConfig.Region,
		namespace: environment.Text(variables.MetricsNamespace),

		interruption: time.Duration(environment.Number(variables.InterruptionSeconds, 1, 3600)) * time.Second,
		steadyFor:    time.Duration(environment.Number(variables.SteadySeconds, 1, 3600)) * time.Second,
		logger:       lambdacontext.NewLogger(),
		now:          time.Now,
	}, nil
}
