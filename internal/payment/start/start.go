// Package start is how every function's process begins.
package start

import (
	"context"
	"fmt"
	"os"

	"github.com/aws/aws-lambda-go/lambda"
)

// Function makes a function's handler and serves invocations with it; entry is the handler's method, in one of the forms that
// lambda.Start takes. It does not return. A handler that cannot be made ends the process with the reason on standard error,
// which Lambda reports as a failed initialization.
func Function[H any](newHandler func(context.Context) (H, error), entry func(H) any) {
	h, err := newHandler(context.Background())
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	lambda.Start(entry(h))
}
