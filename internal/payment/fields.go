package payment

import (
	"slices"
	"strings"
	"time"

	"github.com/bojanz/currency"
)

// Values are the fields of a payment as text, by their names: how the session table, its stream, the events, the ledger and the
// API hold a payment. An optional field without a value is absent.
type Values map[string]string

// field is one field of a payment.
type field struct {
	// name is the attribute in the session table, its stream, the events and the API, and the ledger's column, except that the
	// ledger calls the timestamp accepted_at and has no status.
	name string
	// optional fields may be absent: older releases do not know them.
	optional bool
	// requested fields come from the client, in the body of POST /payments.
	requested bool
	// text writes the field; empty if it has no value.
	text func(*Payment) string
	// parse reads the field. It gets all values, because an amount needs its currency.
	parse func(*Payment, Values) error
}

// fields lists the fields of a payment. Everything that stores, sends, reads or compares payments goes through this list.
var fields = []field{
	{
		name: AttributeTransactionID, requested: true,
		text: func(p *Payment) string { return p.TransactionID },
		parse: func(p *Payment, v Values) error {
			p.TransactionID = v[AttributeTransactionID]
			return present(AttributeTransactionID, p.TransactionID)
		},
	},
	{
		name: AttributeSessionID, requested: true,
		text: func(p *Payment) string { return p.SessionID },
		parse: func(p *Payment, v Values) error {
			p.SessionID = v[AttributeSessionID]
			return present(AttributeSessionID, p.SessionID)
		},
	},
	{
		name: AttributeAmount, requested: true,
		text:  func(p *Payment) string { return p.Amount.Number() },
		parse: parseStoredAmount,
	},
	{
		name: AttributeCurrency, requested: true,
		text:  func(p *Payment) string { return p.Amount.CurrencyCode() },
		parse: func(*Payment, Values) error { return nil }, // read with the amount
	},
	{
		name: AttributeRegion,
		text: func(p *Payment) string { return p.Region },
		parse: func(p *Payment, v Values) error {
			p.Region = v[AttributeRegion]
			return present(AttributeRegion, p.Region)
		},
	},
	{
		name: AttributeTimestamp,
		text: func(p *Payment) string { return p.Timestamp.UTC().Format(TimestampLayout) },
		parse: func(p *Payment, v Values) (err error) {
			if p.Timestamp, err = time.Parse(TimestampLayout, v[AttributeTimestamp]); err != nil {
				return invalid(AttributeTimestamp, "is not of the form %s", TimestampLayout)
			}
			return nil
		},
	},
	{
		name: AttributeStatus,
		text: func(p *Payment) string { return p.Status },
		parse: func(p *Payment, v Values) error {
			p.Status = v[AttributeStatus]
			return nil
		},
	},
}

func present(name, value string) error {
	if value == "" {
		return invalid(name, "is empty")
	}
	return nil
}

func parseStoredAmount(p *Payment, v Values) (err error) {
	if p.Amount, err = currency.NewAmount(v[AttributeAmount], v[AttributeCurrency]); err != nil {
		return invalid(AttributeAmount, "is none of a currency: %v", err)
	}
	if exact := p.Amount.Round(); exact.Number() != v[AttributeAmount] || !exact.IsPositive() {
		return invalid(AttributeAmount, "is not positive with the decimals of its currency")
	}
	return nil
}

// FieldNames are the names of a payment's fields, in a fixed order.
func FieldNames() []string { return names(func(field) bool { return true }) }

func names(which func(field) bool) (names []string) {
	for _, f := range fields {
		if which(f) {
			names = append(names, f.name)
		}
	}
	return names
}

// Values are the payment's fields as text: the amount with exactly the decimals of its currency, the timestamp in TimestampLayout.
func (p Payment) Values() Values {
	values := make(Values, len(fields))
	for _, f := range fields {
		if text := f.text(&p); text != "" || !f.optional {
			values[f.name] = text
		}
	}
	return values
}

// Parse reads an accepted payment from the text of its fields; see Payment.Values. It reads a payment of any release as it was
// accepted: what may be accepted is ParseRequest's to check. Names that are no field of this release are ignored. The error is an *Error that names the field.
func Parse(values Values) (Payment, error) {
	var p Payment
	for _, f := range fields {
		if _, ok := values[f.name]; !ok {
			if f.optional {
				continue
			}
			return Payment{}, invalid(f.name, "is missing")
		}
		if err := f.parse(&p, values); err != nil {
			return Payment{}, err
		}
	}
	return p, nil
}

// Read is Parse for readers of many payments. One that cannot be read has its identity and a Fault, and is no reason to fail on the
// others.
func Read(values Values) Payment {
	p, err := Parse(values)
	if err != nil {
		return Payment{Identity: Identity{SessionID: values[AttributeSessionID], TransactionID: values[AttributeTransactionID]}, Fault: err.Error()}
	}
	return p
}

// Equal reports whether two payments are the same acceptance, in every field.
func (p Payment) Equal(other Payment) bool {
	return !slices.ContainsFunc(fields, func(f field) bool { return f.text(&p) != f.text(&other) })
}

// Differing are the names of the fields that differ, in the order of FieldNames.
func (v Values) Differing(other Values) []string {
	return names(func(f field) bool { return v[f.name] != other[f.name] })
}

// String is the fields' text in the order of FieldNames, with a space between them.
func (v Values) String() string {
	var texts []string
	for _, f := range fields {
		if text, ok := v[f.name]; ok {
			texts = append(texts, text)
		}
	}
	return strings.Join(texts, " ")
}
