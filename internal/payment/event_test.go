package payment_test

import (
	"strings"
	"testing"
	"time"

	"payments-dr/internal/payment"
)

func TestEventDetailKeepsThePayment(t *testing.T) {
	p, err := payment.Parse(payment.Values{
		"session_id": "s", "transaction_id": "t",
		"amount": "123456789012.3456", "currency": "CLF",
		"region": "us-west-2", "timestamp": "2026-11-22T03:04:05.678901Z",
		"status": payment.StatusProcessed,
	})
	if err != nil {
		t.Fatal(err)
	}
	detail, err := payment.MarshalEventDetail(p)
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"amount":"123456789012.3456","currency":"CLF","region":"us-west-2","session_id":"s","timestamp":"2026-11-22T03:04:05.678901Z","transaction_id":"t"}`
	if string(detail) != want {
		t.Errorf("detail %s\nwant   %s", detail, want)
	}
	back, err := payment.ParseEventDetail(detail)
	if err != nil || !back.Equal(p) || !back.Timestamp.Equal(time.Date(2026, 11, 22, 3, 4, 5, 678901000, time.UTC)) {
		t.Errorf("back %+v, %v", back, err)
	}
}

func TestEventDetailIsWholeOrRefused(t *testing.T) {
	const whole = `{"transaction_id":"t","session_id":"s","amount":"1.00","currency":"USD","region":"us-east-1","timestamp":"2026-11-22T03:04:05.678901Z"}`
	if _, err := payment.ParseEventDetail([]byte(whole)); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ old, new, want string }{
		{`"t"`, `""`, "transaction_id is empty"},
		{`"s"`, `""`, "session_id is empty"},
		{`"1.00"`, `"1.001"`, "amount"},
		{`"1.00"`, `"-1.00"`, "amount"},
		{`"1.00"`, `"x"`, "amount"},
		{`"1.00"`, `1.00`, "amount is missing"}, // a number, which is not exact
		{`"USD"`, `"XYZ"`, "amount"},
		{`"us-east-1"`, `""`, "region is empty"},
		{`2026-11-22T03:04:05.678901Z`, `yesterday`, "timestamp is not of the form"},
		{`"region":"us-east-1",`, ``, "region is missing"},
		{whole, `[]`, "read event's detail"},
	} {
		if _, err := payment.ParseEventDetail([]byte(strings.Replace(whole, tt.old, tt.new, 1))); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s for %s: error %v, want in it %q", tt.new, tt.old, err, tt.want)
		}
	}
}
