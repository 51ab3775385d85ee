// Package payment is the domain: what a payment is, what makes two requests the same payment, and which requests are none.
// It knows no AWS service.
package payment

import (
	"encoding/json"
	"fmt"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/bojanz/currency"
)

// The names of a payment's fields; see fields.
const (
	AttributeSessionID     = "session_id" // partition key
	AttributeTransactionID = "transaction_id"
	AttributeAmount        = "amount"
	AttributeCurrency      = "currency"
	AttributeTimestamp     = "timestamp"
	AttributeRegion        = "region"
	AttributeStatus        = "status"
	// AttributeAcceptedBucket is derived from the timestamp and the identity; the session table's index is partitioned by it.
	AttributeAcceptedBucket = "accepted_bucket"
)

// StatusProcessed is the status of an accepted payment.
const StatusProcessed = "processed"

// TimestampLayout is RFC 3339 in UTC with microseconds, always as many, so that timestamps sort as text. Microseconds are
// what the ledger's DATETIME(6) holds.
const TimestampLayout = "2006-01-02T15:04:05.000000Z"

// Identity is what makes a payment the same payment wherever and however often it is sent.
type Identity struct {
	SessionID     string
	TransactionID string
}

// Payment is an accepted payment. A payment never changes after it was accepted.
type Payment struct {
	Identity
	// Amount is positive and has exactly the decimals of its currency (ISO 4217).
	Amount currency.Amount
	// Region is where the payment was accepted.
	Region string
	// Timestamp is when, in UTC, to the microsecond.
	Timestamp time.Time
	Status    string
	// Fault says why a stored payment cannot be read; empty if it can. Of one that cannot, only the identity is known.
	Fault string
}

// SameMoney reports whether two payments are over the same amount of the same currency.
func (p Payment) SameMoney(other Payment) bool { return p.Amount.Equal(other.Amount) }

// AmountJSON is the amount as a JSON number, exact.
func (p Payment) AmountJSON() json.RawMessage { return json.RawMessage(p.Amount.Number()) }

// MaxIDBytes is the longest id, in bytes of UTF-8. DynamoDB takes sort keys of up to 1,024 bytes; the ledger's columns are the
// narrower place.
const MaxIDBytes = 255

// CheckNewID returns an *Error that names the field unless a new payment may have the id: 1 to MaxIDBytes letters and digits of
// ASCII, "_" and "-". These are the characters that every hop of an accepted payment carries, and carries unchanged; decision 13
// lists the hops. A payment of an earlier release may have another id: CheckStoredID is for those who read.
func CheckNewID(field, id string) error {
	if id == "" {
		return invalid(field, "is empty; allowed are %s", newIDs)
	}
	for _, r := range id {
		if !inNewIDs(r) {
			return invalid(field, "%s contains U+%04X; allowed are %s", quote(id), r, newIDs)
		}
	}
	if len(id) > MaxIDBytes {
		return invalid(field, "%s has %d characters; allowed are %s", quote(id), len(id), newIDs)
	}
	return nil
}

// newIDs is what CheckNewID allows, in words.
const newIDs = "1 to 255 of A-Z, a-z, 0-9, _ and -"

func inNewIDs(r rune) bool {
	return 'A' <= r && r <= 'Z' || 'a' <= r && r <= 'z' || '0' <= r && r <= '9' || r == '_' || r == '-'
}

// CheckStoredID returns an *Error that names the field unless a stored payment, of any release, may have the id. It refuses an id
// that is empty, longer than MaxIDBytes, has control characters, or is not Unicode. The last includes U+FFFD, which stands for
// what could not be read, so that two ids would become one.
func CheckStoredID(field, id string) error {
	switch {
	case id == "":
		return invalid(field, "is empty; allowed are 1 to %d bytes", MaxIDBytes)
	case len(id) > MaxIDBytes:
		return invalid(field, "has %d bytes; allowed are 1 to %d", len(id), MaxIDBytes)
	}
	for _, r := range id {
		if r == utf8.RuneError {
			return invalid(field, "is not valid Unicode")
		}
		if unicode.IsControl(r) {
			return invalid(field, "contains the control character U+%04X", r)
		}
	}
	return nil
}

// Code says what kind of error an Error is. The payment API maps each to one HTTP status.
type Code string

const (
	// CodeInvalid is a request that can never become a payment.
	CodeInvalid Code = "invalid"
	// CodeNotFound is an identity that no payment has.
	CodeNotFound Code = "not_found"
	// CodeConflict is an identity that a payment of another amount or currency has.
	CodeConflict Code = "conflict"
	// CodeUnavailable is a table that cannot be reached or written at the moment. Whether the payment was accepted is not
	// known; sending it again with the same identity is safe and finds out.
	CodeUnavailable Code = "unavailable"
)

// Error is an error that a client may see: its Message is for them, the wrapped error is not.
type Error struct {
	Code    Code
	Message string
	// Err is the cause, if there is one.
	Err error
}

func (e *Error) Error() string {
	if e.Err == nil {
		return e.Message
	}
	return e.Message + ": " + e.Err.Error()
}

func (e *Error) Unwrap() error { return e.Err }

func invalid(field, format string, args ...any) error {
	return &Error{Code: CodeInvalid, Message: field + " " + fmt.Sprintf(format, args...)}
}
