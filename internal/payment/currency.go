package payment

import "github.com/bojanz/currency"

// TestCurrency is the currency of test payments: the code that ISO 4217 reserves for testing, which no country and no bank ever
// uses. A test payment is taken, relayed, recorded and reconciled like any other, and can be no money by its very unit:
// whatever adds up money leaves it out.
const TestCurrency = "XTS"

// DrillSession begins the sessions of the test payments that drills make. Who may read those may read no others.
const DrillSession = "drill-"

// testCurrencyDigits are its decimals, as most currencies have. The standard gives it none.
const testCurrencyDigits = 2

// The library knows the currencies that are in use. This one belongs to the domain, so that it is known wherever a payment is.
func init() {
	currency.Register(TestCurrency, currency.Definition{NumericCode: "963", Digits: testCurrencyDigits})
}

// IsTest reports whether an amount is a test payment's, and so no money.
func IsTest(amount currency.Amount) bool { return amount.CurrencyCode() == TestCurrency }
