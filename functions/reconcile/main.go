// Reconcile compares the session table with the ledger over a window of time, in the Region whose ledger is the writer, and
// records in the ledger what is missing there.
package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/aws/aws-lambda-go/lambdacontext"
	"github.com/aws/aws-sdk-go-v2/config"

	"payments-dr/internal/payment/sessiontable"
	"payments-dr/internal/payment/start"
	"payments-dr/internal/payment/telemetry"
)

func main() { start.Function(newHandler, func(h *handler) any { return h.invoke }) }

func newHandler(ctx context.Context) (*handler, error) {
	awsConfig, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return nil, fmt.Errorf("load AWS configuration: %w", err)
	}
	name := os.Getenv("TABLE_NAME")
	if name == "" {
		return nil, fmt.Errorf("read environment: TABLE_NAME is not set")
	}
	lookback, err := parseLookback(os.Getenv(lookbackVariable))
	if err != nil {
		return nil, fmt.Errorf("read environment: %w", err)
	}
	ledger, standby, err := newLedger(awsConfig)
	if err != nil {
		return nil, err
	}
	return &handler{
		table:     sessiontable.New(sessiontable.NewBatchClient(awsConfig), name),
		ledger:    ledger,
		standby:   standby,
		lookback:  lookback,
		namespace: os.Getenv(telemetry.NamespaceVariable),
		logger:    lambdacontext.NewLogger(),
		now:       time.Now,
	}, nil
}

const (
	// lookbackVariable is the environment variable that holds how many minutes before now the window of an event begins
	// that asks for none.
	lookbackVariable = "RECONCILE_LOOKBACK_MINUTES"
	// defaultLookback is twice the hour between two scheduled runs, so that one that fails leaves no gap.
	defaultLookback = 120 * time.Minute
)

func parseLookback(text string) (time.Duration, error) {
	if text == "" {
		return defaultLookback, nil
	}
	minutes, err := strconv.Atoi(text)
	if err != nil || minutes < minWindowMinutes || minutes > maxWindowMinutes {
		return 0, fmt.Errorf("%s is %q; allowed are whole minutes from %d to %d", lookbackVariable, text, minWindowMinutes, maxWindowMinutes)
	}
	return time.Duration(minutes) * time.Minute, nil
}
