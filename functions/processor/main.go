// Processor takes payments: it validates each, and accepts it with one conditional write to its own Region's session table.
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/aws/aws-lambda-go/lambdacontext"
	"github.com/aws/aws-sdk-go-v2/config"

	"payments-dr/internal/payment/sessiontable"
	"payments-dr/internal/payment/start"
	"payments-dr/internal/payment/telemetry"
)

func main() { start.Function(newHandler, func(h *handler) any { return h.handle }) }

func newHandler(ctx context.Context) (*handler, error) {
	awsConfig, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return nil, fmt.Errorf("load AWS configuration: %w", err)
	}
	name := os.Getenv("TABLE_NAME")
	if name == "" {
		return nil, fmt.Errorf("read environment: TABLE_NAME is not set")
	}
	return &handler{
		table:     sessiontable.New(sessiontable.NewClient(awsConfig), name),
		region:    awsConfig.Region,
		namespace: os.Getenv(telemetry.NamespaceVariable),
		logger:    lambdacontext.NewLogger(),
		now:       time.Now,
	}, nil
}
