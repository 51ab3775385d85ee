package payment_test

import (
	"maps"
	"reflect"
	"slices"
	"testing"

	"payments-dr/internal/payment"
)

// TestEveryFieldIsListed fails for a field of Payment that the list of fields forgets: it would be stored nowhere, or not be
// compared.
func TestEveryFieldIsListed(t *testing.T) {
	values := payment.Values{
		"session_id": "s", "transaction_id": "t", "amount": "12.34", "currency": "USD", "region": "us-east-1",
		"timestamp": "2026-11-22T03:04:05.678901Z", "status": payment.StatusProcessed,
	}
	p, err := payment.Parse(values)
	if err != nil {
		t.Fatal(err)
	}
	if got := slices.Sorted(slices.Values(payment.FieldNames())); !slices.Equal(got, slices.Sorted(maps.Keys(values))) {
		t.Errorf("fields are %v, and this test knows %v", got, values)
	}
	if !maps.Equal(p.Values(), values) {
		t.Errorf("values %v, want %v", p.Values(), values)
	}
	for i, f := range reflect.VisibleFields(reflect.TypeFor[payment.Payment]()) {
		if f.Anonymous {
			continue
		}
		without := p
		field := reflect.ValueOf(&without).Elem().FieldByIndex(f.Index)
		if field.IsZero() {
			t.Errorf("%s has no value in this test", f.Name)
		}
		field.SetZero()
		if p.Equal(without) || len(p.Values().Differing(without.Values())) == 0 {
			t.Errorf("field %d, %s, is in no entry of the list", i, f.Name)
		}
	}
}
