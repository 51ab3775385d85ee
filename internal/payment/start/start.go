// Package start is how every function's process begins.
package start

import (
	"context"
	"fmt"
	"os"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"

	"payments-dr/internal/payment/variables"
)

// Function makes a function's handler and serves invocations with it. name is the function's folder below functions/, entry the
// handler's method, in one of the forms that lambda.Start takes. It does not return. A handler that cannot be made ends the
// process with the reason on standard error, which Lambda reports as a failed initialization.
func Function[H any](name string, newHandler func(aws.Config, *variables.Environment) (H, error), entry func(H) any) {
	h, err := Handler(context.Background(), name, newHandler)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	lambda.Start(entry(h))
}

// Handler makes a function's handler with the AWS configuration and the environment of this process. The error names every
// variable that is missing or malformed.
func Handler[H any](ctx context.Context, name string, newHandler func(aws.Config, *variables.Environment) (H, error)) (H, error) {
	awsConfig, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return *new(H), fmt.Errorf("load AWS configuration: %w", err)
	}
	environment := variables.Read(name)
	h, err := newHandler(awsConfig, environment)
	if faults := environment.Err(); faults != nil {
		return h, faults // and what else is wrong follows from them
	}
	if err != nil {
		return h, err
	}
	return h, environment.Unused()
}
