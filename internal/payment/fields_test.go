package payment_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/bojanz/currency"

	"payments-dr/internal/payment"
)

// TestEveryFieldIsListed fails for a field of Payment that the list of fields forgets: it would be stored nowhere, or not be
// compared.
func TestEveryFieldIsListed(t *testing.T) {
	values := payment.Values{
		"session_id": "s", "transaction_id": "t", "amount": "12.34", "currency": "USD", "region": "us-east-1",
		"timestamp": "2026-11-22T03:04:05.678901Z", "status": payment.StatusProcessed,
	}
	p, err := payment.Parse(values)
	if err != nil {
		t.Fatal(err)
	}
	if got := slices.Sorted(slices.Values(payment.FieldNames())); !slices.Equal(got, slices.Sorted(maps.Keys(values))) {
		t.Errorf("fields are %v, and this test knows %v", got, values)
	}
	if !maps.Equal(p.Values(), values) {
		t.Errorf("values %v, want %v", p.Values(), values)
	}
	for i, f := range reflect.VisibleFields(reflect.TypeFor[payment.Payment]()) {
		if f.Anonymous || f.Name == "Fault" { // which no stored payment has
			continue
		}
		without := p
		field := reflect.ValueOf(&without).Elem().FieldByIndex(f.Index)
		if field.IsZero() {
			t.Errorf("%s has no value in this test", f.Name)
		}
		field.SetZero()
		if p.Equal(without) || len(p.Values().Differing(without.Values())) == 0 {
			t.Errorf("field %d, %s, is in no entry of the list", i, f.Name)
		}
	}
}

var update = flag.Bool("update", false, "write payments of this release to testdata/stored")

// TestEarlierReleasesStayReadable reads payments of every release, one in each currency that the release accepted.
func TestEarlierReleasesStayReadable(t *testing.T) {
	data, err := os.ReadFile("../../package.json")
	if err != nil {
		t.Fatal(err)
	}
	var release struct{ Version string }
	if err := json.Unmarshal(data, &release); err != nil || release.Version == "" {
		t.Fatalf("package.json names no version: %v", err)
	}
	recorded := filepath.Join("testdata/stored", release.Version+".jsonl")
	if *update {
		writeStored(t, recorded)
	}
	if _, err := os.Stat(recorded); err != nil {
		t.Fatalf("payments of release %s are not recorded: go test ./internal/payment -run %s -update", release.Version, t.Name())
	}
	releases, err := filepath.Glob("testdata/stored/*.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	for _, release := range releases {
		text, err := os.ReadFile(release)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			var stored payment.Values
			if err := json.Unmarshal([]byte(line), &stored); err != nil {
				t.Fatal(err)
			}
			p, err := payment.Parse(stored)
			if err != nil {
				t.Errorf("%s: %s: %v", release, line, err)
				continue
			}
			if differing := p.Values().Differing(stored); len(differing) > 0 {
				t.Errorf("%s: %s is read with another %v: %v", release, line, differing, p.Values())
			}
			// A retry is a replay: the request is still valid, and over the same money. Release 0.9.0 took ids that no new payment has.
			body := fmt.Sprintf(`{"session_id":%q,"transaction_id":%q,"amount":%q,"currency":%q}`,
				stored["session_id"], strings.ReplaceAll(stored["transaction_id"], " ", "-"), stored["amount"], stored["currency"])
			request, err := payment.ParseRequest([]byte(body))
			if err != nil || !request.Amount.Equal(p.Amount) {
				t.Errorf("%s: a retry of %s: %v, %v", release, line, request.Amount, err)
			}
		}
	}
}

func writeStored(t *testing.T, path string) {
	t.Helper()
	var out bytes.Buffer
	for _, code := range slices.Compact(slices.Sorted(slices.Values(currency.GetCurrencyCodes()))) {
		digits, _ := currency.GetDigits(code)
		amount := "123456789012"
		if digits > 0 {
			amount += "." + strings.Repeat("7", int(digits))
		}
		line, err := json.Marshal(map[string]string{
			"session_id": "s", "transaction_id": "in-" + code, "amount": amount, "currency": code, "region": "us-east-1",
			"timestamp": "2026-11-22T03:04:05.678901Z", "status": payment.StatusProcessed,
		})
		if err != nil {
			t.Fatal(err)
		}
		out.Write(append(line, '\n'))
	}
	if err := os.WriteFile(path, out.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestEveryCurrencyIsListed fails for a currency that a release of the library adds. It would be accepted now, and unreadable when
// the library drops it.
func TestEveryCurrencyIsListed(t *testing.T) {
	list, err := os.ReadFile("currencies.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, code := range currency.GetCurrencyCodes() {
		if !strings.Contains(string(list), "\n"+code+" ") {
			digits, _ := currency.GetDigits(code)
			number, _ := currency.GetNumericCode(code)
			t.Errorf("currencies.txt lacks the line %q", fmt.Sprint(code, " ", number, " ", digits))
		}
	}
}

// TestAmountsSurviveBinaryParsers goes through amounts of as many digits as a currency can have. A double keeps 15, and the
// contract names the currencies that can have more.
func TestAmountsSurviveBinaryParsers(t *testing.T) {
	contract, err := os.ReadFile("../../docs/use/payments.md")
	if err != nil {
		t.Fatal(err)
	}
	var more []string
	for _, code := range slices.Compact(slices.Sorted(slices.Values(currency.GetCurrencyCodes()))) {
		digits, _ := currency.GetDigits(code)
		survives := true
		random := rand.New(rand.NewPCG(1, 1))
		for range 1000 {
			amount := fmt.Sprint(900_000_000_000 + random.Int64N(100_000_000_000))
			if digits > 0 {
				amount += fmt.Sprintf(".%0*d", digits, random.IntN(int(math.Pow10(int(digits)))))
			}
			number, err := strconv.ParseFloat(amount, 64)
			if err != nil {
				t.Fatal(err)
			}
			survives = survives && strconv.FormatFloat(number, 'f', int(digits), 64) == amount
		}
		if !survives {
			more = append(more, code)
		}
	}
	if want := "Amounts of " + strings.Join(more, " and ") + " can have 16."; !strings.Contains(string(contract), want) {
		t.Errorf("docs/use/payments.md does not say: %s", want)
	}
}
