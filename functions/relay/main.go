// Relay reads the stream of its own Region's replica of the session table and puts the payments that were accepted there as
// events on its Region's bus.
package main

import (
	"math/rand/v2"
	"time"

	"github.com/aws/aws-lambda-go/lambdacontext"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	smithytime "github.com/aws/smithy-go/time"

	"payments-dr/internal/payment/start"
	"payments-dr/internal/payment/variables"
)

// The client's patience: one attempt, connecting included, its attempts of one call, and the longest wait between them.
const (
	attemptTimeout    = 2 * time.Second
	maxCallAttempts   = 3
	maxCallBackoff    = 500 * time.Millisecond
	functionDimension = "relay"
)

func main() { start.Function("relay", newHandler, func(h *handler) any { return h.handle }) }

func newHandler(awsConfig aws.Config, environment *variables.Environment) (*handler, error) {
	return &handler{
		bus:       newClient(awsConfig),
		busName:   environment.Text(variables.EventBusName),
		region:    awsConfig.Region,
		namespace: environment.Text(variables.MetricsNamespace),
		logger:    lambdacontext.NewLogger(),
		now:       time.Now,
		wait:      smithytime.SleepWithContext,
		random:    rand.Float64,
	}, nil
}

// newClient makes a client whose calls end in seconds. It retries what fails as a whole; entries that fail in a call that
// succeeds are the handler's.
func newClient(config aws.Config) *eventbridge.Client {
	return eventbridge.NewFromConfig(config, func(o *eventbridge.Options) {
		o.HTTPClient = awshttp.NewBuildableClient().WithTimeout(attemptTimeout)
		o.Retryer = retry.NewStandard(func(s *retry.StandardOptions) {
			s.MaxAttempts = maxCallAttempts
			s.MaxBackoff = maxCallBackoff
		})
	})
}
