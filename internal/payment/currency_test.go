package payment_test

import (
	"testing"

	"github.com/bojanz/currency"

	"payments-dr/internal/payment"
)

func TestATestPaymentIsAPaymentAndNoMoney(t *testing.T) {
	for code, test := range map[string]bool{"XTS": true, "USD": false, "JPY": false} {
		amount, err := currency.NewAmount("1", code)
		if err != nil {
			t.Fatal(err)
		}
		if payment.IsTest(amount) != test {
			t.Errorf("%s: a test payment's: %v", code, !test)
		}
	}
	if payment.IsTest(currency.Amount{}) {
		t.Error("no amount at all is a test payment's")
	}
	// Stored and read back, through event and table, with two decimals and no others.
	for amount, whole := range map[string]bool{"0.01": true, "0.1": false, "1": false, "0.010": false} {
		p, err := payment.Parse(payment.Values{
			"session_id": "canary-us-east-1", "transaction_id": "t",
			"amount": amount, "currency": payment.TestCurrency,
			"region": "us-east-1", "timestamp": "2026-11-22T03:04:05.678901Z",
			"status": payment.StatusProcessed,
		})
		if (err == nil) != whole {
			t.Errorf("%s XTS: %v", amount, err)
		}
		if err != nil {
			continue
		}
		detail, err := payment.MarshalEventDetail(p)
		if err != nil {
			t.Fatal(err)
		}
		if back, err := payment.ParseEventDetail(detail); err != nil || !back.Equal(p) {
			t.Errorf("back %+v, %v", back, err)
		}
	}
}
