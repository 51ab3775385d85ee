// Package cost adds up what an environment costs a month when nobody pays, and what a million payments cost, service by service, from
// what the synthesized templates hold: how many instances of which class, how often health checks ask, how long logs are kept. Prices
// are a dated list with the source of each (prices.json); what no template says is an assumption, and each row names which. It is
// arithmetic over list prices and not a bill: no discount, no free tier, no tax.
//
// All sums are exact. Amounts are rounded where they are printed, and not before.
package cost

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"payments-dr/internal/assembly"
	"payments-dr/internal/settings"
)

// hoursPerMonth is the length of a month, as AWS's own calculator has it.
const hoursPerMonth = 730

// Usage is what neither templates nor prices say and what an operator knows better. All of it is shown with the rows that it is in.
type Usage struct {
	// TableGB and DatabaseGB are how much the session table, its index included, and the database hold, in GB, 0 or more.
	TableGB    int64 `json:"tableGB"`
	DatabaseGB int64 `json:"databaseGB"`
	// CheckersPerRegion is how many Route 53 health checkers in each Region of a check ask on their own, 1 or more.
	CheckersPerRegion int64 `json:"checkersPerRegion"`
}

// DefaultUsage is 10 GB of payments in table and database each, and two checkers a Region.
func DefaultUsage() Usage { return Usage{TableGB: 10, DatabaseGB: 10, CheckersPerRegion: 2} }

// Estimate is what an environment costs.
type Estimate struct {
	Environment string `json:"environment"`
	Usage       Usage  `json:"usage"`
	// Idle are the parts of a month without a client's payment: what is there, and what the platform asks of itself.
	Idle []Row `json:"idle"`
	// Million are the parts of a million payments, with the month in which they are stored. What they store costs as much in each
	// month after.
	Million []Row `json:"million"`
	// NotPriced are the resource types that are in the templates and that this package knows nothing of, or not all.
	NotPriced []Unpriced `json:"notPriced"`
}

// Row is one part of the cost, in one Region.
type Row struct {
	Service string `json:"service"`
	What    string `json:"what"`
	// Region is Global for what has one price everywhere.
	Region string `json:"region"`
	// Price is the key of the price, and Unit what Each US dollars are for.
	Price    string  `json:"price"`
	Unit     string  `json:"unit"`
	Each     Decimal `json:"each"`
	Quantity Decimal `json:"quantity"`
	// USD is Quantity times Each.
	USD Decimal `json:"usd"`
	// Sources are where price and quantity come from, each "price: " or "assumption: " and what. Quantities without one are counted
	// in the templates.
	Sources []string `json:"sources"`
}

// Unpriced is a resource type that is not, or not wholly, in the estimate.
type Unpriced struct {
	Type  string `json:"type"`
	Count int    `json:"count"`
	Why   string `json:"why"`
}

// Faults are all that keeps an environment from being priced.
type Faults []string

func (f Faults) Error() string {
	return "add up costs:\n  " + strings.Join(f, "\n  ")
}

// Total is the sum of rows.
func Total(rows []Row) Decimal {
	var total Decimal
	for _, row := range rows {
		total = total.Plus(row.USD)
	}
	return total
}

// During is what a while costs of what costs so much a month.
func During(month Decimal, while time.Duration) Decimal {
	return month.Times(Whole(int64(while / time.Second))).Over(hoursPerMonth * 3600)
}

// Service is the sum of a service's rows.
type Service struct {
	Name string
	USD  Decimal
	Rows []Row
}

// ByService are the rows of each service, the dearest service and the dearest row first. Rows of the same price and name in several
// Regions become one.
func ByService(rows []Row) []Service {
	var services []Service
	for _, row := range rows {
		i := slices.IndexFunc(services, func(s Service) bool { return s.Name == row.Service })
		if i < 0 {
			i = len(services)
			services = append(services, Service{Name: row.Service})
		}
		s := &services[i]
		s.USD = s.USD.Plus(row.USD)
		j := slices.IndexFunc(s.Rows, func(other Row) bool {
			return other.What == row.What && other.Price == row.Price && other.Each.Cmp(row.Each) == 0
		})
		if j < 0 {
			row.Sources = slices.Clone(row.Sources)
			s.Rows = append(s.Rows, row)
			continue
		}
		same := &s.Rows[j]
		same.Quantity, same.USD = same.Quantity.Plus(row.Quantity), same.USD.Plus(row.USD)
		if same.Region != row.Region {
			same.Region = ""
		}
		for _, source := range row.Sources {
			if !slices.Contains(same.Sources, source) {
				same.Sources = append(same.Sources, source)
			}
		}
	}
	for _, s := range services {
		slices.SortStableFunc(s.Rows, func(a, b Row) int { return cmp.Or(b.USD.Cmp(a.USD), strings.Compare(a.What, b.What)) })
	}
	slices.SortStableFunc(services, func(a, b Service) int { return cmp.Or(b.USD.Cmp(a.USD), strings.Compare(a.Name, b.Name)) })
	return services
}

// Of adds up an assembly at the published prices. Its error is a Faults: every price that is missing, every Region without prices and
// every number that is not in the templates.
func Of(a *assembly.Assembly, usage Usage) (*Estimate, error) {
	prices, err := Published()
	if err != nil {
		return nil, err
	}
	return At(prices, a, usage)
}

// At adds up an assembly as Of does, at other prices.
func At(prices *Prices, a *assembly.Assembly, usage Usage) (*Estimate, error) {
	e := &estimator{assembly: a, settings: &a.Settings, prices: prices, usage: usage,
		estimate: &Estimate{Environment: a.Settings.Environment, Usage: usage, NotPriced: []Unpriced{}}}
	e.least("table GB", usage.TableGB, 0)
	e.least("database GB", usage.DatabaseGB, 0)
	e.least("checkers a Region", usage.CheckersPerRegion, 1)
	for _, region := range e.settings.Both() {
		if !slices.Contains(prices.Regions, region.Name) {
			e.fault("there are no prices for %s, only for %s", region.Name, strings.Join(prices.Regions, " and "))
		}
	}
	if len(e.faults) > 0 {
		return nil, e.faults
	}
	e.idle()
	e.million()
	if len(e.faults) > 0 {
		return nil, e.faults
	}
	return e.estimate, nil
}

// estimator reads an assembly. What is missing becomes a fault, and reading goes on, so that one run names them all.
type estimator struct {
	assembly *assembly.Assembly
	settings *settings.Settings
	prices   *Prices
	usage    Usage
	estimate *Estimate
	faults   Faults
	// to are the rows that are being added to.
	to *[]Row
}

func (e *estimator) fault(format string, more ...any) {
	if text := fmt.Sprintf(format, more...); !slices.Contains(e.faults, text) {
		e.faults = append(e.faults, text)
	}
}

func (e *estimator) least(name string, value, least int64) {
	if value < least {
		e.fault("%s is %d: want %d or more", name, value, least)
	}
}

// add adds a row, unless there is nothing of it.
func (e *estimator) add(service, what, region, key string, quantity Decimal, assumptions ...string) {
	if quantity.Sign() == 0 {
		return
	}
	price, source, err := e.prices.find(key, region)
	if err != nil {
		e.fault("%v", err)
		return
	}
	each, err := Parse(price.USD)
	if err != nil {
		e.fault("%v", err)
		return
	}
	row := Row{Service: service, What: what, Region: region, Price: key, Unit: price.Unit, Each: each, Quantity: quantity, USD: quantity.Times(each),
		Sources: []string{source.String()}}
	for _, assumption := range assumptions {
		if assumption = "assumption: " + assumption; !slices.Contains(row.Sources, assumption) {
			row.Sources = append(row.Sources, assumption)
		}
	}
	*e.to = append(*e.to, row)
}

// regional is the stack that holds a Region's platform, or one without resources.
func (e *estimator) regional(region settings.Region) assembly.Stack {
	for _, role := range []string{"primary", "secondary"} {
		if stack, err := e.assembly.Stack(role); err == nil && stack.Region == region.Name {
			return stack
		}
	}
	e.fault("there is no stack with the platform of %s", region.Name)
	return assembly.Stack{}
}

// each calls a function for every resource of a type in a stack, in the order of ids.
func each(stack assembly.Stack, kind string, do func(id string, properties map[string]any)) {
	var ids []string
	for id, resource := range stack.Template.Resources {
		if resource.Type == kind {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	for _, id := range ids {
		do(id, stack.Template.Resources[id].Properties)
	}
}

// count is how many resources of a type a stack has.
func count(stack assembly.Stack, kind string) int64 {
	var n int64
	each(stack, kind, func(string, map[string]any) { n++ })
	return n
}

// integer is a whole number of a resource's properties, under names that lead to it. One that is missing or less than least is a fault.
func (e *estimator) integer(stack assembly.Stack, id string, in map[string]any, least int64, names ...string) int64 {
	var at any = in
	for _, name := range names {
		at = assembly.At(at, name)
	}
	number, ok := at.(float64)
	if !ok || number != float64(int64(number)) || int64(number) < least {
		e.fault("%s of %s: %s is %v: want a whole number, %d or more", id, stack.Name, strings.Join(names, "."), at, least)
		return least
	}
	return int64(number)
}
