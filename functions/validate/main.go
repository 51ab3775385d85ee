// Validate looks into what a restore test of AWS Backup has restored, and tells AWS Backup whether it is what it should be.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/aws/aws-lambda-go/lambdacontext"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/backup"
	"github.com/aws/aws-sdk-go-v2/service/rds"

	"payments-dr/internal/payment/ledger"
	"payments-dr/internal/payment/reconcile"
	"payments-dr/internal/payment/restorecheck"
	"payments-dr/internal/payment/sessiontable"
	"payments-dr/internal/payment/start"
	"payments-dr/internal/payment/telemetry"
)

func main() { start.Function(newHandler, func(h *handler) any { return h.handle }) }

// statementTimeout is longer than the ledger's own: a restored volume is read for the first time.
const statementTimeout = time.Minute

func newHandler(ctx context.Context) (*handler, error) {
	awsConfig, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return nil, fmt.Errorf("load AWS configuration: %w", err)
	}
	table, class := os.Getenv("TABLE_NAME"), os.Getenv("INSTANCE_CLASS")
	receives, receivesErr := strconv.Atoi(os.Getenv("MAX_RECEIVES"))
	var faults []error
	if table == "" {
		faults = append(faults, errors.New("TABLE_NAME is not set"))
	}
	if class == "" {
		faults = append(faults, errors.New("INSTANCE_CLASS is not set"))
	}
	if receivesErr != nil || receives < 1 {
		faults = append(faults, fmt.Errorf("MAX_RECEIVES is %q; allowed is a whole number from 1", os.Getenv("MAX_RECEIVES")))
	}
	if err := errors.Join(faults...); err != nil {
		return nil, fmt.Errorf("read environment: %w", err)
	}
	client := sessiontable.NewBatchClient(awsConfig)
	return &handler{
		check: restorecheck.Check{
			Backup:   backup.NewFromConfig(awsConfig),
			Clusters: rds.NewFromConfig(awsConfig),
			Live:     sessiontable.New(client, table),
			Table:    func(name string) reconcile.Table { return sessiontable.New(client, name) },
			Ledger: func(host string, port int) (restorecheck.Ledger, error) {
				config, err := ledger.ConfigForHost(host, awsConfig.Region, awsConfig.Credentials)
				if err != nil {
					return nil, err
				}
				config.Port, config.StatementTimeout = port, statementTimeout
				return ledger.Open(config)
			},
			InstanceClass: class,
		},
		receives:  receives,
		namespace: os.Getenv(telemetry.NamespaceVariable),
		logger:    lambdacontext.NewLogger(),
		now:       time.Now,
	}, nil
}
