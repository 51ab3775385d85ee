// Canary pays through the public name and probes the other Region, every minute, from outside as a client does.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/aws/aws-lambda-go/lambdacontext"
	"github.com/aws/aws-sdk-go-v2/config"

	"payments-dr/internal/payment/canary"
	"payments-dr/internal/payment/start"
	"payments-dr/internal/payment/telemetry"
)

func main() { start.Function(newHandler, func(h *handler) any { return h.handle }) }

func newHandler(ctx context.Context) (*handler, error) {
	awsConfig, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return nil, fmt.Errorf("load AWS configuration: %w", err)
	}
	c := canary.Config{Region: awsConfig.Region, Credentials: awsConfig.Credentials}
	var faults []error
	for _, v := range []struct {
		name  string
		value *string
	}{
		{canary.VariableAPIName, &c.APIName}, {canary.VariableOtherRegion, &c.OtherRegion}, {canary.VariableOtherAPIName, &c.OtherAPIName},
	} {
		if *v.value = os.Getenv(v.name); *v.value == "" {
			faults = append(faults, fmt.Errorf("read environment: %s is not set", v.name))
		}
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	runner, err := canary.New(c)
	if err != nil {
		return nil, err
	}
	return &handler{
		run:       runner.Run,
		region:    awsConfig.Region,
		namespace: os.Getenv(telemetry.NamespaceVariable),
		logger:    lambdacontext.NewLogger(),
		now:       time.Now,
	}, nil
}
