package public_test

import (
	"testing"
	"time"

	"github.com/bojanz/currency"

	"payments-dr/client"
	"payments-dr/internal/payment"
	"payments-dr/internal/payment/public"
)

// A field that the conversion forgets would be lost silently: every field has a value here.
func TestNothingIsLost(t *testing.T) {
	amount, err := currency.NewAmount("12.30", "EUR")
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 11, 22, 3, 4, 5, 678901000, time.UTC)
	want := payment.Request{Identity: payment.Identity{SessionID: "s", TransactionID: "t"}, Amount: amount}.Payment("us-east-1", at)
	sent := public.Request(payment.Request{Identity: want.Identity, Amount: amount})
	if sent != (client.Request{Identity: client.Identity{SessionID: "s", TransactionID: "t"}, Amount: "12.30", Currency: "EUR"}) {
		t.Errorf("%+v", sent)
	}
	read, err := public.Payment(client.Payment{Identity: sent.Identity, Amount: sent.Amount, Currency: sent.Currency, Region: "us-east-1", AcceptedAt: at, Status: payment.StatusProcessed})
	if err != nil || !read.Equal(want) || len(want.Values()) != len(payment.FieldNames()) {
		t.Errorf("%+v, %v; want %+v", read, err, want)
	}
	if _, err := public.Payment(client.Payment{}); err == nil {
		t.Error("an empty payment was read")
	}
}
