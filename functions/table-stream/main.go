// Table-stream makes sure, while the stacks are deployed, that the replica of the session table in its own Region has a stream,
// and returns the stream's ARN. It is a custom resource behind the CDK's provider framework.
package main

import (
	"context"
	"fmt"

	"github.com/aws/aws-lambda-go/lambdacontext"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"payments-dr/internal/payment/start"
)

func main() { start.Function(newHandler, func(h *handler) any { return h.handle }) }

func newHandler(ctx context.Context) (*handler, error) {
	awsConfig, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return nil, fmt.Errorf("load AWS configuration: %w", err)
	}
	return &handler{tables: dynamodb.NewFromConfig(awsConfig), logger: lambdacontext.NewLogger()}, nil
}
