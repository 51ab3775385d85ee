package drill_test

import (
	"fmt"
	"time"

	"github.com/bojanz/currency"

	"payments-dr/internal/drill"
	"payments-dr/internal/payment"
)

// A payment is acknowledged, and the table does not have it.
func ExampleMeasure() {
	start := time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)
	price, err := currency.NewAmount("12.34", "USD")
	if err != nil {
		fmt.Println(err)
		return
	}
	var recorder drill.Recorder
	attempt := drill.Attempt{SentAt: start, EndedAt: start.Add(40 * time.Millisecond), Outcome: drill.OutcomeAcknowledged, Region: "us-east-1"}
	request := drill.Request{
		Identity: payment.Identity{SessionID: "drill-1", TransactionID: "payment-1"}, Amount: price, Attempts: 1,
		SentAt: attempt.SentAt, EndedAt: attempt.EndedAt, Outcome: attempt.Outcome, Region: attempt.Region,
	}
	if err := recorder.Attempt(attempt); err != nil {
		fmt.Println(err)
	}
	if err := recorder.Request(request); err != nil {
		fmt.Println(err)
	}
	report, err := drill.Measure(&recorder, drill.Run{
		Banner: "SIMULATED: an example",
		Table:  func(func(drill.Item) error) error { return nil },
		Ledger: func(func(drill.Row) error) error { return nil },
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(report.Status)
	for _, o := range report.Objectives {
		if o.Status == drill.StatusFail {
			fmt.Println(o.Name, o.Value(o.Measured))
		}
	}
	fmt.Println(report.Findings[0].Examples[0].Outcome)
	// Output:
	// fail
	// lost 1
	// missing 1
	// acknowledged by us-east-1
}
