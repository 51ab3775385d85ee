// Table-stream makes sure, while the stacks are deployed, that the replica of the session table in its own Region has a stream,
// and returns the stream's ARN. It is a custom resource behind the CDK's provider framework.
package main

import (
	"github.com/aws/aws-lambda-go/lambdacontext"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"payments-dr/internal/payment/start"
	"payments-dr/internal/payment/variables"
)

func main() { start.Function("table-stream", newHandler, func(h *handler) any { return h.handle }) }

func newHandler(awsConfig aws.Config, _ *variables.Environment) (*handler, error) {
	return &handler{tables: dynamodb.NewFromConfig(awsConfig), logger: lambdacontext.NewLogger()}, nil
}
