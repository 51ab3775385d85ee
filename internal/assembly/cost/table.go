package cost

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"payments-dr/internal/assembly"
)

// least is the amount from which a row has a line of its own.
var least = ratio(5, 100)

// Report is an estimate with its levers.
type Report struct {
	*Estimate
	Levers []Lever
}

// MarshalJSON adds the totals.
func (r Report) MarshalJSON() ([]byte, error) {
	type service struct {
		Service string  `json:"service"`
		USD     Decimal `json:"usd"`
	}
	type part struct {
		USD      Decimal   `json:"usd"`
		Services []service `json:"services"`
		Rows     []Row     `json:"rows"`
	}
	partOf := func(rows []Row) part {
		p := part{USD: Total(rows), Services: []service{}, Rows: rows}
		for _, s := range ByService(rows) {
			p.Services = append(p.Services, service{s.Name, s.USD})
		}
		return p
	}
	return json.Marshal(struct {
		Environment string     `json:"environment"`
		Usage       Usage      `json:"usage"`
		Idle        part       `json:"idleMonth"`
		Million     part       `json:"millionPayments"`
		Levers      []Lever    `json:"levers"`
		NotPriced   []Unpriced `json:"notPriced"`
	}{r.Environment, r.Usage, partOf(r.Idle), partOf(r.Million), r.Levers, r.NotPriced})
}

// WriteTable writes both parts by service, the levers, what is not priced, and the notes that the rows name: the sources of the prices,
// then what is assumed. Rows of less than five cents are one line for each service.
func (r Report) WriteTable(w io.Writer) error {
	var out strings.Builder
	var notes []string
	for _, rows := range [][]Row{r.Idle, r.Million} { // prices first
		for _, prefix := range []string{"price: ", "assumption: price ", "assumption: "} {
			for _, service := range ByService(rows) {
				for _, row := range service.Rows {
					if row.USD.Cmp(least) < 0 {
						continue
					}
					for _, source := range row.Sources {
						if strings.HasPrefix(source, prefix) && !slices.Contains(notes, source) {
							notes = append(notes, source)
						}
					}
				}
			}
		}
	}
	slices.SortStableFunc(notes, func(a, b string) int { return rank(a) - rank(b) })
	part := func(title string, rows []Row) {
		fmt.Fprintf(&out, "%s: %s: $%s\n", r.Environment, title, Total(rows).Text(2))
		table := tabwriter.NewWriter(&out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(table, "  USD\tOF THAT\tSERVICE\tQUANTITY\tPRICE\tFOR A\tNOTES")
		for _, service := range ByService(rows) {
			fmt.Fprintf(table, "  %s\t\t%s\t\t\t\t\n", service.USD.Text(2), service.Name)
			var small []Row
			for _, row := range service.Rows {
				if row.USD.Cmp(least) < 0 {
					small = append(small, row)
					continue
				}
				var numbers []int
				for _, source := range row.Sources {
					numbers = append(numbers, slices.Index(notes, source)+1)
				}
				slices.Sort(numbers)
				var named []string
				for _, n := range numbers {
					named = append(named, strconv.Itoa(n))
				}
				fmt.Fprintf(table, "  \t%s\t  %s\t%s\t%s\t%s\t%s\n", row.USD.Text(2), row.What, row.Quantity.Short(3), row.Each.Short(10), row.Unit, strings.Join(named, " "))
			}
			if len(small) > 0 {
				fmt.Fprintf(table, "  \t%s\t  %d of less than five cents\t\t\t\t\n", Total(small).Text(2), len(small))
			}
		}
		table.Flush() // a strings.Builder takes everything
		fmt.Fprintln(&out)
	}
	part("a month without payments", r.Idle)
	part("a million payments, and a month of what they store", r.Million)

	fmt.Fprintf(&out, "%s: what could be otherwise, in a month without payments\n", r.Environment)
	table := tabwriter.NewWriter(&out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "  USD\tWHAT\tSETTING\tLOSES")
	for _, lever := range r.Levers {
		fmt.Fprintf(table, "  %s\t%s\t%s\t%s\n", lever.USD.Text(2), lever.What, lever.Setting, lever.Loses)
	}
	table.Flush()

	fmt.Fprintln(&out)
	if len(r.NotPriced) == 0 {
		fmt.Fprintln(&out, "Every resource type of the templates is priced or known to be free.")
	}
	for _, unpriced := range r.NotPriced {
		fmt.Fprintf(&out, "not priced: %s (%d): %s\n", unpriced.Type, unpriced.Count, unpriced.Why)
	}
	fmt.Fprintln(&out)
	for i, note := range notes {
		fmt.Fprintf(&out, "%2d  %s\n", i+1, note)
	}
	for line := range strings.Lines(out.String()) {
		if _, err := fmt.Fprintln(w, strings.TrimRight(line, " \n")); err != nil {
			return fmt.Errorf("write table: %w", err)
		}
	}
	return nil
}

// rank puts sources before assumed prices, and those before other assumptions.
func rank(note string) int {
	switch {
	case strings.HasPrefix(note, "price: "):
		return 0
	case strings.HasPrefix(note, "assumption: price "):
		return 1
	}
	return 2
}

// Make adds up an assembly at the published prices, with the levers.
func Make(a *assembly.Assembly, usage Usage) (Report, error) {
	prices, err := Published()
	if err != nil {
		return Report{}, err
	}
	estimate, err := At(prices, a, usage)
	if err != nil {
		return Report{}, err
	}
	found, err := Levers(prices, a, usage)
	if err != nil {
		return Report{}, err
	}
	return Report{estimate, found}, nil
}
