package payment

import (
	"encoding/json"
	"fmt"
)

// What an accepted payment's event is called on the buses.
const (
	EventSource     = "payment.processor"
	EventDetailType = "Payment Transaction"
)

// MarshalEventDetail is the detail of an accepted payment's event: its fields as text. The amount is a decimal string, as in the
// table, because not every amount of sixteen digits survives a parser that reads numbers as binary fractions. An event has no
// status, because only accepted payments have events.
func MarshalEventDetail(p Payment) ([]byte, error) {
	values := p.Values()
	delete(values, AttributeStatus)
	return json.Marshal(values)
}

// ParseEventDetail reads the detail of an accepted payment's event. A detail that lacks a field is an error.
func ParseEventDetail(data []byte) (Payment, error) {
	var detail map[string]any
	if err := json.Unmarshal(data, &detail); err != nil {
		return Payment{}, fmt.Errorf("read event's detail: %w", err)
	}
	values := Values{AttributeStatus: StatusProcessed}
	for name, value := range detail {
		if text, ok := value.(string); ok {
			values[name] = text
		}
	}
	return Parse(values)
}
