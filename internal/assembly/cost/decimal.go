package cost

import (
	"encoding/json"
	"fmt"
	"math/big"
	"strings"
)

// Decimal is an exact number: sums and products of prices lose nothing. It is rounded only where it is printed. The zero value is 0.
type Decimal struct{ exact *big.Rat }

// Parse reads a decimal number, such as "0.0000133334".
func Parse(text string) (Decimal, error) {
	exact, ok := new(big.Rat).SetString(text)
	if !ok || strings.ContainsFunc(text, func(r rune) bool { return !strings.ContainsRune("-.0123456789", r) }) {
		return Decimal{}, fmt.Errorf("parse decimal: %q is none", text)
	}
	return Decimal{exact}, nil
}

// Whole is an integer.
func Whole(n int64) Decimal { return Decimal{new(big.Rat).SetInt64(n)} }

// ratio is a/b, exact. b is not 0.
func ratio(a, b int64) Decimal { return Decimal{big.NewRat(a, b)} }

func (d Decimal) rat() *big.Rat {
	if d.exact == nil {
		return new(big.Rat)
	}
	return d.exact
}

// Plus is d + e.
func (d Decimal) Plus(e Decimal) Decimal { return Decimal{new(big.Rat).Add(d.rat(), e.rat())} }

// Minus is d - e.
func (d Decimal) Minus(e Decimal) Decimal { return Decimal{new(big.Rat).Sub(d.rat(), e.rat())} }

// Times is d * e.
func (d Decimal) Times(e Decimal) Decimal { return Decimal{new(big.Rat).Mul(d.rat(), e.rat())} }

// Over is d / n. n is not 0.
func (d Decimal) Over(n int64) Decimal { return d.Times(ratio(1, n)) }

// Cmp is -1, 0 or 1 as d is less than e, the same or more.
func (d Decimal) Cmp(e Decimal) int { return d.rat().Cmp(e.rat()) }

// Sign is -1, 0 or 1 as d is less than 0, 0 or more.
func (d Decimal) Sign() int { return d.rat().Sign() }

// Text is d with a number of decimals, half away from zero, and commas between thousands.
func (d Decimal) Text(decimals int) string {
	text := d.rat().FloatString(decimals)
	whole, fraction, _ := strings.Cut(text, ".")
	sign := ""
	if strings.HasPrefix(whole, "-") {
		sign, whole = "-", whole[1:]
	}
	for i := len(whole) - 3; i > 0; i -= 3 {
		whole = whole[:i] + "," + whole[i:]
	}
	if decimals > 0 {
		fraction = "." + fraction
	}
	if strings.Trim(whole+fraction, "0.,") == "" {
		sign = "" // what rounds to nothing is not negative
	}
	return sign + whole + fraction
}

// Short is d with up to a number of decimals, without zeros at its end.
func (d Decimal) Short(decimals int) string {
	text := d.Text(decimals)
	if strings.Contains(text, ".") {
		text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
	}
	return text
}

// MarshalJSON writes a string with up to ten decimals: a JSON number would be read as a binary fraction.
func (d Decimal) MarshalJSON() ([]byte, error) {
	return json.Marshal(strings.ReplaceAll(d.Short(10), ",", ""))
}
