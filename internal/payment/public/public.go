// Package public converts between payments of the domain and those of the public client.
package public

import (
	"payments-dr/client"
	"payments-dr/internal/payment"
)

// Identity is the client's.
func Identity(id payment.Identity) client.Identity { return client.Identity(id) }

// Request is the client's.
func Request(r payment.Request) client.Request {
	return client.Request{Identity: Identity(r.Identity), Amount: r.Amount.Number(), Currency: r.Amount.CurrencyCode()}
}

// Payment is the domain's. Its error is payment.Parse's.
func Payment(p client.Payment) (payment.Payment, error) {
	return payment.Parse(payment.Values{
		payment.AttributeSessionID: p.SessionID, payment.AttributeTransactionID: p.TransactionID,
		payment.AttributeAmount: p.Amount, payment.AttributeCurrency: p.Currency, payment.AttributeRegion: p.Region,
		payment.AttributeTimestamp: p.AcceptedAt.UTC().Format(payment.TimestampLayout), payment.AttributeStatus: p.Status,
	})
}
