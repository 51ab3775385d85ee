package payment

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/bojanz/currency"
)

// What an accepted payment's event is called on the buses.
const (
	EventSource     = "payment.processor"
	EventDetailType = "Payment Transaction"
)

// eventDetail is the detail of an event. The amount is a decimal string, as in the table: sixteen digits do not all survive
// a reader that makes a binary fraction of them.
type eventDetail struct {
	TransactionID string `json:"transaction_id"`
	SessionID     string `json:"session_id"`
	Amount        string `json:"amount"`
	Currency      string `json:"currency"`
	Region        string `json:"region"`
	Timestamp     string `json:"timestamp"`
}

// MarshalEventDetail is the detail of an accepted payment's event.
func MarshalEventDetail(p Payment) ([]byte, error) {
	return json.Marshal(eventDetail{
		TransactionID: p.TransactionID,
		SessionID:     p.SessionID,
		Amount:        p.Amount.Number(),
		Currency:      p.Amount.CurrencyCode(),
		Region:        p.Region,
		Timestamp:     p.Timestamp.UTC().Format(TimestampLayout),
	})
}

// ParseEventDetail reads the detail of an accepted payment's event. What is not whole is an error: a consumer puts it aside
// rather than guess.
func ParseEventDetail(data []byte) (Payment, error) {
	var d eventDetail
	if err := json.Unmarshal(data, &d); err != nil {
		return Payment{}, fmt.Errorf("read event's detail: %w", err)
	}
	return New(d.SessionID, d.TransactionID, d.Amount, d.Currency, d.Region, d.Timestamp, StatusProcessed)
}

// New is an accepted payment from its parts as they are stored: the amount with exactly the decimals of its currency, the
// timestamp in TimestampLayout. Anything else is an error that names the field.
func New(sessionID, transactionID, amount, code, region, timestamp, status string) (Payment, error) {
	p := Payment{Identity: Identity{SessionID: sessionID, TransactionID: transactionID}, Region: region, Status: status}
	if err := CheckID(AttributeSessionID, sessionID); err != nil {
		return Payment{}, err
	}
	if err := CheckID(AttributeTransactionID, transactionID); err != nil {
		return Payment{}, err
	}
	if region == "" {
		return Payment{}, invalid(AttributeRegion, "is missing")
	}
	var err error
	if p.Amount, err = currency.NewAmount(amount, code); err != nil {
		return Payment{}, invalid(AttributeAmount, "is none of a currency: %v", err)
	}
	if exact := p.Amount.Round(); exact.Number() != amount || !exact.IsPositive() {
		return Payment{}, invalid(AttributeAmount, "is not positive with the decimals of its currency")
	}
	if p.Timestamp, err = time.Parse(TimestampLayout, timestamp); err != nil {
		return Payment{}, invalid(AttributeTimestamp, "is not of the form %s", TimestampLayout)
	}
	return p, nil
}
