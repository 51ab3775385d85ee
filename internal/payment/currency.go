package payment

import (
	_ "embed"
	"fmt"
	"strings"

	"github.com/bojanz/currency"
)

// TestCurrency is the currency of test payments: the code that ISO 4217 reserves for testing, which no country and no bank ever
// uses. A test payment is taken, relayed, recorded and reconciled like any other, and can be no money by its very unit:
// whatever adds up money leaves it out.
const TestCurrency = "XTS"

// DrillSession begins the sessions of the test payments that drills make. Who may read those may read no others.
const DrillSession = "drill-"

// currencies is the list of currencies that payments may have.
//
//go:embed currencies.txt
var currencies string

// The list takes the place of the library's own data, which changes from release to release: v1.4.3 has no BGN any more. A payment
// that was accepted has to stay readable, and a retry of it has to be a replay.
func init() {
	for line := range strings.Lines(currencies) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		var code, number string
		var digits uint8
		if _, err := fmt.Sscan(line, &code, &number, &digits); err != nil {
			panic(fmt.Sprintf("currencies.txt: %q: %v", line, err)) // embedded, and tested
		}
		currency.Register(code, currency.Definition{NumericCode: number, Digits: digits})
	}
}

// IsTest reports whether an amount is a test payment's, and so no money.
func IsTest(amount currency.Amount) bool { return amount.CurrencyCode() == TestCurrency }
