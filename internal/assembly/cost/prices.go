package cost

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

//go:embed prices.json
var published []byte

// Global is the Region of what has one price everywhere, as Route 53.
const Global = "global"

// Prices are a dated list of AWS's prices on demand, in US dollars, without discounts, taxes and free tiers.
type Prices struct {
	// Regions are those that a whole environment can be priced in. Single prices may be there for others, as for a witness.
	Regions []string          `json:"regions"`
	Sources map[string]Source `json:"sources"`
	Prices  []Price           `json:"prices"`
}

// Source is where a price is from.
type Source struct {
	// Date is the day that the price was valid on as far as the source tells, or else the day it was looked up, YYYY-MM-DD.
	Date string `json:"date"`
	Text string `json:"text"`
	// Page is the address of the source.
	Page string `json:"page,omitempty"`
	// Assumption is whether the price is not in any source for the Region, and assumed.
	Assumption bool `json:"assumption,omitempty"`
}

// String is the source as the notes of a table have it.
func (s Source) String() string {
	if s.Assumption {
		return "assumption: price " + s.Text
	}
	return fmt.Sprintf("price: %s, %s, %s", s.Date, s.Text, s.Page)
}

// Price is one price.
type Price struct {
	// Key names it, such as "vpc.nat-gateway".
	Key string `json:"key"`
	// Unit is what the price is for, such as "hour".
	Unit string `json:"unit"`
	// USD is the price of one unit, a decimal number.
	USD string `json:"usd"`
	// Sources are the names of the price's sources by the Regions that it holds in.
	Sources map[string]string `json:"sources"`
}

// Published are the prices of prices.json.
func Published() (*Prices, error) { return ReadPrices(published) }

// ReadPrices reads a list of prices. Its error names every price that is not positive or a decimal number, that is there twice for a
// Region, or that has no source, and every source without a date or that no price has.
func ReadPrices(data []byte) (*Prices, error) {
	p := &Prices{}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(p); err != nil {
		return nil, fmt.Errorf("read prices: %w", err)
	}
	var faults []error
	seen, used := map[string]bool{}, map[string]bool{}
	for _, price := range p.Prices {
		if usd, err := Parse(price.USD); err != nil || usd.Sign() <= 0 {
			faults = append(faults, fmt.Errorf("read prices: %s: %q is not a positive decimal number", price.Key, price.USD))
		}
		if price.Unit == "" || len(price.Sources) == 0 {
			faults = append(faults, fmt.Errorf("read prices: %s has no unit or no Region", price.Key))
		}
		for _, region := range slices.Sorted(maps.Keys(price.Sources)) {
			if _, ok := p.Sources[price.Sources[region]]; !ok {
				faults = append(faults, fmt.Errorf("read prices: %s in %s: there is no source %q", price.Key, region, price.Sources[region]))
			}
			if seen[price.Key+" "+region] {
				faults = append(faults, fmt.Errorf("read prices: %s in %s is there twice", price.Key, region))
			}
			seen[price.Key+" "+region], used[price.Sources[region]] = true, true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(p.Sources)) {
		source := p.Sources[name]
		if len(source.Date) != len("2006-01-02") || source.Text == "" || (source.Page == "") != source.Assumption {
			faults = append(faults, fmt.Errorf("read prices: source %s needs a date, a text, and a page unless it is an assumption", name))
		}
		if !used[name] {
			faults = append(faults, fmt.Errorf("read prices: no price has the source %s", name))
		}
	}
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	return p, nil
}

// find is a price of a Region, with its source. Its error names the Regions that the price is known in.
func (p *Prices) find(key, region string) (Price, Source, error) {
	var known []string
	for _, price := range p.Prices {
		if price.Key != key {
			continue
		}
		if name, ok := price.Sources[region]; ok {
			return price, p.Sources[name], nil
		}
		known = append(known, slices.Sorted(maps.Keys(price.Sources))...)
	}
	if known == nil {
		return Price{}, Source{}, fmt.Errorf("there is no price %s", key)
	}
	return Price{}, Source{}, fmt.Errorf("there is no price %s for %s, only for %s", key, region, strings.Join(known, ", "))
}
