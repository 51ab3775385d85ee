// Canary pays through the public name and probes the other Region, every minute, from outside as a client does.
package main

import (
	"time"

	"github.com/aws/aws-lambda-go/lambdacontext"
	"github.com/aws/aws-sdk-go-v2/aws"

	"payments-dr/internal/payment/canary"
	"payments-dr/internal/payment/start"
	"payments-dr/internal/payment/variables"
)

func main() { start.Function("canary", newHandler, func(h *handler) any { return h.handle }) }

func newHandler(awsConfig aws.Config, environment *variables.Environment) (*handler, error) {
	runner, err := canary.New(canary.Config{
		Region: awsConfig.Region, Credentials: awsConfig.Credentials, APIName: environment.Text(variables.APIName),
		OtherRegion: environment.Text(variables.OtherRegion), OtherAPIName: environment.Text(variables.OtherRegionAPIName),
	})
	if err != nil {
		return nil, err
	}
	return &handler{
		run:       runner.Run,
		region:    awsConfig.Region,
		namespace: environment.Text(variables.MetricsNamespace),
		logger:    lambdacontext.NewLogger(),
		now:       time.Now,
	}, nil
}
