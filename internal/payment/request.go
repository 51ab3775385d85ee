package payment

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/bojanz/currency"
	"github.com/google/uuid"
)

const (
	// DefaultCurrency is the currency of a request that names none.
	DefaultCurrency = "USD"
	// MaxWholeDigits is how many digits an amount may have before the decimal point.
	MaxWholeDigits = 12
	// maxAmountLength bounds the text of an amount, so that nobody makes us count a novel.
	maxAmountLength = 64
)

// Request is a payment as a client asks for it.
type Request struct {
	Identity
	Amount currency.Amount
}

// Payment is the payment that a request becomes when a Region accepts it.
func (r Request) Payment(region string, at time.Time) Payment {
	return Payment{Identity: r.Identity, Amount: r.Amount, Region: region, Timestamp: at.UTC().Truncate(time.Microsecond), Status: StatusProcessed}
}

// MarshalJSON writes the body of POST /payments.
func (r Request) MarshalJSON() ([]byte, error) {
	values := r.Payment("", time.Time{}).Values()
	for name := range values {
		if !slices.Contains(requestFields, name) {
			delete(values, name)
		}
	}
	return json.Marshal(map[string]string(values))
}

// requestFields are the names of the fields of a request's body.
var requestFields = names(func(f field) bool { return f.requested })

// ParseRequest reads the body of POST /payments. The error is an *Error of CodeInvalid whose message names the field.
//
// It is stricter than encoding/json, because a slip that passes costs money: a field that is unknown or given twice is
// refused, and names are compared exactly, so that "curency": "JPY" does not become a payment in US dollars.
//
// A missing transaction_id is generated, "txn-" and a UUIDv7; the client then cannot repeat the request safely. A missing
// session_id is the transaction_id.
func ParseRequest(body []byte) (Request, error) {
	fields, err := parseObject(body)
	if err != nil {
		return Request{}, err
	}
	code, given, err := stringField(fields, AttributeCurrency)
	if err != nil {
		return Request{}, err
	}
	if !given {
		code = DefaultCurrency
	}
	amount, err := parseAmount(fields[AttributeAmount], code)
	if err != nil {
		return Request{}, err
	}
	request := Request{Amount: amount}
	request.TransactionID, given, err = stringField(fields, AttributeTransactionID)
	if err != nil {
		return Request{}, err
	}
	if !given {
		id, err := uuid.NewV7()
		if err != nil {
			return Request{}, err
		}
		request.TransactionID = "txn-" + id.String()
	}
	request.SessionID, given, err = stringField(fields, AttributeSessionID)
	if err != nil {
		return Request{}, err
	}
	if !given {
		request.SessionID = request.TransactionID
	}
	if err := CheckNewID(AttributeTransactionID, request.TransactionID); err != nil {
		return Request{}, err
	}
	if err := CheckNewID(AttributeSessionID, request.SessionID); err != nil {
		return Request{}, err
	}
	return request, nil
}

// parseObject reads one flat JSON object of known fields, each at most once, with nothing behind it.
func parseObject(body []byte) (map[string]json.Token, error) {
	notAnObject := &Error{Code: CodeInvalid, Message: "the body is not a JSON object"}
	if !utf8.Valid(body) {
		return nil, &Error{Code: CodeInvalid, Message: "the body is not valid UTF-8"}
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	if start, err := decoder.Token(); err != nil || start != json.Delim('{') {
		return nil, notAnObject
	}
	fields := map[string]json.Token{}
	for decoder.More() {
		key, err := decoder.Token()
		if err != nil {
			return nil, notAnObject
		}
		name := key.(string)
		if !slices.Contains(requestFields, name) {
			return nil, invalid(quote(name), "is not a field of a payment; allowed are %s", strings.Join(requestFields, ", "))
		}
		if _, twice := fields[name]; twice {
			return nil, invalid(name, "is given twice")
		}
		value, err := decoder.Token()
		if err != nil {
			return nil, notAnObject
		}
		if _, nested := value.(json.Delim); nested {
			return nil, invalid(name, "is not a single value")
		}
		fields[name] = value
	}
	if _, err := decoder.Token(); err != nil { // the closing brace
		return nil, notAnObject
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, &Error{Code: CodeInvalid, Message: "the body has more behind its JSON object"}
	}
	return fields, nil
}

func stringField(fields map[string]json.Token, name string) (value string, given bool, err error) {
	token, given := fields[name]
	if !given {
		return "", false, nil
	}
	value, ok := token.(string)
	if !ok {
		return "", true, invalid(name, "is not a string")
	}
	return value, true, nil
}

// plainDecimal is what an amount given as a string may look like. A number has JSON's own grammar, exponents included.
var plainDecimal = regexp.MustCompile(`^[0-9]+(\.[0-9]+)?$`)

// longExponent is an exponent of four digits or more. The decimal library would write the number out to compare it.
var longExponent = regexp.MustCompile(`[eE][+-]?[0-9]{4}`)

// parseAmount reads an amount, exact. What counts is the value and not how it is written: 100.0 is a whole number of yen.
func parseAmount(token json.Token, code string) (currency.Amount, error) {
	var none currency.Amount
	var literal string
	switch v := token.(type) {
	case nil:
		return none, invalid(AttributeAmount, "is missing")
	case json.Number:
		literal = v.String()
	case string:
		if literal = v; !plainDecimal.MatchString(literal) {
			return none, invalid(AttributeAmount, "is not a decimal number")
		}
	default:
		return none, invalid(AttributeAmount, "is neither a number nor a decimal string")
	}
	digits, known := currency.GetDigits(code)
	if !known {
		return none, invalid(AttributeCurrency, "%s is no currency of ISO 4217", quote(code))
	}
	tooLarge := invalid(AttributeAmount, "has more than %d digits before the decimal point", MaxWholeDigits)
	if len(literal) > maxAmountLength {
		return none, invalid(AttributeAmount, "has more than %d characters", maxAmountLength)
	}
	if longExponent.MatchString(literal) {
		return none, invalid(AttributeAmount, "has an exponent out of range")
	}
	amount, err := currency.NewAmount(literal, code)
	if err != nil {
		return none, invalid(AttributeAmount, "is not a decimal number")
	}
	if !amount.IsPositive() {
		return none, invalid(AttributeAmount, "is not positive")
	}
	if c, err := amount.Cmp(mustAmount("1e12", code)); err != nil || c >= 0 {
		return none, tooLarge
	}
	exact := amount.Round()
	if !exact.Equal(amount) {
		return none, invalid(AttributeAmount, "has more than the %d decimals of %s", digits, code)
	}
	return exact, nil
}

func mustAmount(number, code string) currency.Amount {
	amount, err := currency.NewAmount(number, code)
	if err != nil {
		panic(err) // constants, and a currency that was looked up
	}
	return amount
}

// quote shows a client's own text back, shortened, and with escapes for what is not printable.
func quote(text string) string {
	const most = 40
	if runes := []rune(text); len(runes) > most {
		text = string(runes[:most]) + "…"
	}
	return strconv.Quote(text)
}
