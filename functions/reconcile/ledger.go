package main

import (
	"errors"

	"github.com/aws/aws-sdk-go-v2/aws"

	"payments-dr/internal/reconcile"
)

// newLedger opens the ledger of this Region.
func newLedger(aws.Config) (reconcile.Ledger, error) {
	return nil, errors.New("open ledger: this build has none")
}
