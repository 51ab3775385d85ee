package payment_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"math/big"
	"strings"
	"testing"

	"github.com/bojanz/currency"

	"payments-dr/internal/payment"
)

func TestParseRequestAccepts(t *testing.T) {
	for _, tt := range []struct{ name, body, amount, currency, session, transaction string }{
		{"number", `{"transaction_id":"t","session_id":"s","amount":12.34,"currency":"EUR"}`, "12.34", "EUR", "s", "t"},
		{"string", `{"transaction_id":"t","session_id":"s","amount":"12.34"}`, "12.34", "USD", "s", "t"},
		{"default session", `{"transaction_id":"t","amount":5}`, "5.00", "USD", "t", "t"},
		{"whole", `{"transaction_id":"t","amount":100}`, "100.00", "USD", "t", "t"},
		{"exponent", `{"transaction_id":"t","amount":1.5e2}`, "150.00", "USD", "t", "t"},
		{"exponent down", `{"transaction_id":"t","amount":1234e-2}`, "12.34", "USD", "t", "t"},
		{"zeros carry no money", `{"transaction_id":"t","amount":12.3400}`, "12.34", "USD", "t", "t"},
		{"whole yen with a point", `{"transaction_id":"t","amount":100.0,"currency":"JPY"}`, "100", "JPY", "t", "t"},
		{"three decimals", `{"transaction_id":"t","amount":1.234,"currency":"BHD"}`, "1.234", "BHD", "t", "t"},
		{"four decimals", `{"transaction_id":"t","amount":"0.0001","currency":"CLF"}`, "0.0001", "CLF", "t", "t"},
		{"test payment", `{"transaction_id":"t","amount":0.01,"currency":"XTS"}`, "0.01", "XTS", "t", "t"},
		{"test payment of a whole number", `{"transaction_id":"t","amount":"5","currency":"XTS"}`, "5.00", "XTS", "t", "t"},
		{"smallest", `{"transaction_id":"t","amount":0.01}`, "0.01", "USD", "t", "t"},
		{"largest", `{"transaction_id":"t","amount":999999999999.99}`, "999999999999.99", "USD", "t", "t"},
		{"no binary fraction", `{"transaction_id":"t","amount":0.1}`, "0.10", "USD", "t", "t"},
		{"more than a float holds", `{"transaction_id":"t","amount":123456789012.34}`, "123456789012.34", "USD", "t", "t"},
		{"white space", " {\n\"transaction_id\" : \"t\" , \"amount\" : 1 }\n ", "1.00", "USD", "t", "t"},
		{"escaped", `{"transaction_id":"a\u002db","amount":1}`, "1.00", "USD", "a-b", "a-b"},
		{"UUID", `{"transaction_id":"0193a5c2-7f1e-7c3a-9d41-5be1c1a7f0e2","amount":1}`, "1.00", "USD", "0193a5c2-7f1e-7c3a-9d41-5be1c1a7f0e2", "0193a5c2-7f1e-7c3a-9d41-5be1c1a7f0e2"},
		{"base64url", `{"transaction_id":"-_8Aq0","amount":1}`, "1.00", "USD", "-_8Aq0", "-_8Aq0"},
		{"longest id", `{"transaction_id":"` + strings.Repeat("x", 255) + `","amount":1}`, "1.00", "USD", strings.Repeat("x", 255), strings.Repeat("x", 255)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r, err := payment.ParseRequest([]byte(tt.body))
			if err != nil {
				t.Fatal(err)
			}
			got := [4]string{r.Amount.Number(), r.Amount.CurrencyCode(), r.SessionID, r.TransactionID}
			if want := [4]string{tt.amount, tt.currency, tt.session, tt.transaction}; got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}

func TestParseRequestGeneratesAnIdentity(t *testing.T) {
	seen := map[string]bool{}
	for range 100 {
		r, err := payment.ParseRequest([]byte(`{"amount":1}`))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(r.TransactionID, "txn-") || len(r.TransactionID) != len("txn-")+36 || r.TransactionID[len("txn-")+14] != '7' {
			t.Fatalf("transaction_id %q is not txn- and a UUIDv7", r.TransactionID)
		}
		if r.SessionID != r.TransactionID {
			t.Fatalf("session_id %q, want the transaction_id %q", r.SessionID, r.TransactionID)
		}
		if seen[r.TransactionID] {
			t.Fatalf("%q was generated twice", r.TransactionID)
		}
		seen[r.TransactionID] = true
	}
}

func TestParseRequestRefuses(t *testing.T) {
	for _, tt := range []struct{ name, body, want string }{
		{"nothing", ``, "the body is not a JSON object"},
		{"no JSON", `amount=12.34`, "the body is not a JSON object"},
		{"null", `null`, "the body is not a JSON object"},
		{"list", `[1]`, "the body is not a JSON object"},
		{"string", `"x"`, "the body is not a JSON object"},
		{"unclosed", `{"amount":1`, "the body is not a JSON object"},
		{"no value", `{"amount":}`, "the body is not a JSON object"},
		{"trailing comma", `{"amount":1,}`, "the body is not a JSON object"},
		{"two objects", `{"amount":1}{"amount":2}`, "more behind"},
		{"rubbish behind", `{"amount":1} x`, "more behind"},
		{"no UTF-8", "{\"transaction_id\":\"\xff\",\"amount\":1}", "not valid UTF-8"},
		{"no amount", `{}`, "amount is missing"},
		{"null amount", `{"amount":null}`, "amount is missing"},
		{"word", `{"amount":"abc"}`, "amount is not a decimal number"},
		{"empty", `{"amount":""}`, "amount is not a decimal number"},
		{"boolean", `{"amount":true}`, "amount is neither"},
		{"object", `{"amount":{"value":1}}`, "amount is not a single value"},
		{"list of one", `{"amount":[1]}`, "amount is not a single value"},
		{"negative", `{"amount":-1}`, "amount is not positive"},
		{"negative string", `{"amount":"-1"}`, "amount is not a decimal number"},
		{"zero", `{"amount":0}`, "amount is not positive"},
		{"negative zero", `{"amount":-0}`, "amount is not positive"},
		{"zero string", `{"amount":"0.00"}`, "amount is not positive"},
		{"huge exponent", `{"amount":1e400}`, "more than 12 digits before the decimal point"},
		{"exponent out of all bounds", `{"amount":1e999999999999}`, "amount has an exponent out of range"},
		{"exponent that is long to write out", `{"amount":1e-99999999}`, "amount has an exponent out of range"},
		{"tiny", `{"amount":1e-400}`, "more than the 2 decimals of USD"},
		{"13 digits", `{"amount":1000000000000}`, "more than 12 digits before the decimal point"},
		{"three decimals", `{"amount":12.345}`, "amount has more than the 2 decimals of USD"},
		{"three decimals of a test payment", `{"amount":0.001,"currency":"XTS"}`, "amount has more than the 2 decimals of XTS"},
		{"another reserved code", `{"amount":1,"currency":"XXX"}`, `currency "XXX" is no currency`},
		{"half a yen", `{"amount":100.5,"currency":"JPY"}`, "amount has more than the 0 decimals of JPY"},
		{"many decimals", `{"amount":1.00000000000000000000000000000000000000000000001}`, "more than the 2 decimals"},
		{"a novel", `{"amount":1.` + strings.Repeat("0", 70) + `}`, "amount has more than 64 characters"},
		{"exponent in a string", `{"amount":"1e2"}`, "amount is not a decimal number"},
		{"plus", `{"amount":"+1"}`, "amount is not a decimal number"},
		{"hexadecimal", `{"amount":"0x10"}`, "amount is not a decimal number"},
		{"not a number", `{"amount":"NaN"}`, "amount is not a decimal number"},
		{"infinity", `{"amount":"Infinity"}`, "amount is not a decimal number"},
		{"thousands", `{"amount":"1,000.00"}`, "amount is not a decimal number"},
		{"spaces", `{"amount":" 1 "}`, "amount is not a decimal number"},
		{"other digits", `{"amount":"١٢"}`, "amount is not a decimal number"},
		{"unknown currency", `{"amount":1,"currency":"XYZ"}`, `currency "XYZ" is no currency`},
		{"lower case", `{"amount":1,"currency":"usd"}`, `currency "usd" is no currency`},
		{"no currency", `{"amount":1,"currency":""}`, `currency "" is no currency`},
		{"currency number", `{"amount":1,"currency":840}`, "currency is not a string"},
		{"null currency", `{"amount":1,"currency":null}`, "currency is not a string"},
		{"misspelt field", `{"amount":1,"curency":"JPY"}`, `"curency" is not a field of a payment`},
		{"field in capitals", `{"Amount":1}`, `"Amount" is not a field of a payment`},
		{"field twice", `{"amount":1,"amount":2}`, "amount is given twice"},
		{"id number", `{"amount":1,"transaction_id":7}`, "transaction_id is not a string"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r, err := payment.ParseRequest([]byte(tt.body))
			if err == nil {
				t.Fatalf("became %+v", r)
			}
			invalid, ok := errors.AsType[*payment.Error](err)
			if !ok || invalid.Code != payment.CodeInvalid {
				t.Fatalf("error is %#v", err)
			}
			if !strings.Contains(invalid.Message, tt.want) {
				t.Errorf("message %q, want in it %q", invalid.Message, tt.want)
			}
		})
	}
}

// TestIDsThatAHopCannotCarryAreRefused has the hop beside the id; decision 13 says more about each.
func TestIDsThatAHopCannotCarryAreRefused(t *testing.T) {
	for _, tt := range []struct{ hop, id, want string }{
		{"a key of DynamoDB is not empty", ``, `is empty`},
		{"SQS", `a\uffff`, `"a\uffff" contains U+FFFF`},
		{"SQS", `a\u0000b`, `"a\x00b" contains U+0000`},
		{"log lines and terminals", `a\u001b[2J`, `"a\x1b[2J" contains U+001B`},
		{"log lines and terminals", `a\nb`, `"a\nb" contains U+000A`},
		{"log lines and terminals", `a\u0085b`, `"a\u0085b" contains U+0085`},
		{"terminals, which show it backwards", `a\u202eb`, `"a\u202eb" contains U+202E`},
		{"two ids would become one", `\ud800`, `contains U+FFFD`},
		{"paths, as + or %20", `a b`, `"a b" contains U+0020`},
		{"paths, trimmed", `a `, `"a " contains U+0020`},
		{"paths, as a space", `a+b`, `"a+b" contains U+002B`},
		{"paths, as another segment", `a/b`, `"a/b" contains U+002F`},
		{"paths, decoded twice", `a%2Fb`, `"a%2Fb" contains U+0025`},
		{"paths, as a dot segment", `.`, `"." contains U+002E`},
		{"paths, as a dot segment", `..`, `".." contains U+002E`},
		{"the Web ACL, as a file of the system", `a.log`, `"a.log" contains U+002E`},
		{"signatures, encoded or not", `a:b`, `"a:b" contains U+003A`},
		{"signatures, encoded or not", `a@b`, `"a@b" contains U+0040`},
		{"signatures, encoded or not", `YQ==`, `"YQ==" contains U+003D`},
		{"paths, encoded by old encoders", `~a`, `"~a" contains U+007E`},
		{"normalization: this is é", `\u00e9`, `"é" contains U+00E9`},
		{"normalization: so is this", `e\u0301`, `contains U+0301`},
		{"ASCII's digits alone", `٣`, `"٣" contains U+0663`},
		{"the ledger's columns", strings.Repeat("x", 256), `"` + strings.Repeat("x", 40) + `…" has 256 characters`},
	} {
		t.Run(tt.hop, func(t *testing.T) {
			for _, field := range []string{"transaction_id", "session_id"} {
				r, err := payment.ParseRequest([]byte(`{"amount":1,"` + field + `":"` + tt.id + `"}`))
				invalid, ok := errors.AsType[*payment.Error](err)
				if !ok || invalid.Code != payment.CodeInvalid {
					t.Fatalf("%s %q: became %+v, %v", field, tt.id, r, err)
				}
				if got := invalid.Message; !strings.HasPrefix(got, field+" ") || !strings.Contains(got, tt.want) || !strings.HasSuffix(got, "; allowed are 1 to 255 of A-Z, a-z, 0-9, _ and -") {
					t.Errorf("%s %q: %s", field, tt.id, got)
				}
			}
		})
	}
}

// TestStoredPaymentsKeepTheirIDs reads payments of releases that took almost any text for an id.
func TestStoredPaymentsKeepTheirIDs(t *testing.T) {
	for _, id := range []string{"ümlaut / slash", "支払い-1", "..", "a.log", " ", "\uffff", strings.Repeat("é", 127)} {
		if err := payment.CheckStoredID("session_id", id); err != nil {
			t.Error(err)
		}
		stored := payment.Values{
			"session_id": id, "transaction_id": id, "amount": "12.34", "currency": "USD", "region": "us-east-1",
			"timestamp": "2026-11-22T03:04:05.678901Z", "status": payment.StatusProcessed,
		}
		if p, err := payment.Parse(stored); err != nil || p.SessionID != id || p.TransactionID != id {
			t.Errorf("%q: %+v, %v", id, p.Identity, err)
		}
		if p := payment.Read(stored); p.Fault != "" {
			t.Errorf("%q: %s", id, p.Fault)
		}
	}
	for id, want := range map[string]string{
		"": "session_id is empty", "a\x01": "session_id contains the control character U+0001", "a\xff": "session_id is not valid Unicode",
		strings.Repeat("é", 128): "session_id has 256 bytes",
	} {
		if err := payment.CheckStoredID("session_id", id); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: %v, want %s", id, err, want)
		}
	}
}

// FuzzParseRequest holds the parser against arithmetic of another kind: whatever it accepts is exactly the number that
// stands in the body.
func FuzzParseRequest(f *testing.F) {
	for _, seed := range []string{
		`{"transaction_id":"t","session_id":"s","amount":12.34,"currency":"USD"}`, `{"amount":"12.34"}`, `{"amount":1e400}`,
		`{"amount":-1}`, `{"amount":0.1e1,"currency":"JPY"}`, `{"amount":12.345}`, `null`, `[]`, `{"amount":1,"amount":1}`,
		`{"amount":1}x`, `{"session_id":"\ud800","amount":1}`, "{\"amount\":1,\"session_id\":\"\x7f\"}", `{"amount":999999999999.99}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		r, err := payment.ParseRequest(body)
		if err != nil {
			if known, ok := errors.AsType[*payment.Error](err); !ok || known.Code != payment.CodeInvalid || known.Message == "" {
				t.Fatalf("error is %#v", err)
			}
			return
		}
		for _, id := range []string{r.SessionID, r.TransactionID} {
			if err := payment.CheckNewID("id", id); err != nil {
				t.Fatalf("accepted an id that is none: %v", err)
			}
		}
		var fields map[string]any
		decoder := json.NewDecoder(bytes.NewReader(body))
		decoder.UseNumber()
		if err := decoder.Decode(&fields); err != nil {
			t.Fatalf("accepted what encoding/json refuses: %v", err)
		}
		var literal string
		switch v := fields["amount"].(type) {
		case json.Number:
			literal = v.String()
		case string:
			literal = v
		default:
			t.Fatalf("accepted the amount %#v", v)
		}
		want, ok := new(big.Rat).SetString(literal)
		if !ok {
			t.Fatalf("accepted the amount %q", literal)
		}
		got, ok := new(big.Rat).SetString(r.Amount.Number())
		if !ok || got.Cmp(want) != 0 {
			t.Fatalf("%q became %s", literal, r.Amount.Number())
		}
		if got.Sign() <= 0 || got.Cmp(new(big.Rat).SetInt64(1_000_000_000_000)) >= 0 {
			t.Fatalf("accepted %s", r.Amount.Number())
		}
		digits, _ := currency.GetDigits(r.Amount.CurrencyCode())
		_, decimals, _ := strings.Cut(r.Amount.Number(), ".")
		if len(decimals) != int(digits) {
			t.Fatalf("%s has %d decimals, %s has %d", r.Amount.Number(), len(decimals), r.Amount.CurrencyCode(), digits)
		}
	})
}
