// Package bench measures the work itself: synthesis, the functions' binaries, what a payment costs in processor time, the
// ledger's writing.
//
// Times of one machine say little on another. So each measurement has a floor, which is measured in the same run and is what
// would be there if the project did nothing of its own: an empty app, a function that returns its event, rows inserted without a
// question asked. What is held is the ratio of the two.
package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"payments-dr/internal/assembly"
	"payments-dr/internal/drill"
	"payments-dr/internal/simulation/localmysql"
)

// Unit is what a measurement counts.
type Unit string

const (
	UnitSeconds      Unit = "s"
	UnitMilliseconds Unit = "ms"
	UnitMegabytes    Unit = "MB"
	// UnitRowsPerSecond is a unit of which more is better; of all others less is.
	UnitRowsPerSecond Unit = "rows/s"
)

// Measurement is one figure beside its floor.
type Measurement struct {
	Name string `json:"name"`
	Unit Unit   `json:"unit"`
	// Value is the median of what was measured, Floor that of the floor.
	Value float64 `json:"value"`
	Floor float64 `json:"floor"`
	// FloorIs says what the floor is.
	FloorIs string `json:"floorIs"`
	// Limit is the most that Ratio may be; 0: it is measured and not held.
	Limit float64 `json:"limit,omitempty"`
}

// Ratio is how many times as bad as the floor it is.
func (m Measurement) Ratio() float64 {
	if m.Unit == UnitRowsPerSecond {
		return m.Floor / m.Value
	}
	return m.Value / m.Floor
}

// Over is whether the limit is exceeded.
func (m Measurement) Over() bool { return m.Limit > 0 && !(m.Ratio() <= m.Limit) }

// MarshalJSON adds the ratio.
func (m Measurement) MarshalJSON() ([]byte, error) {
	type plain Measurement
	return json.Marshal(struct {
		plain
		Ratio float64 `json:"ratio"`
	}{plain(m), m.Ratio()})
}

// Report is all measurements of a run.
type Report struct {
	Date         string        `json:"date"`
	Machine      string        `json:"machine"`
	Database     string        `json:"database"`
	Measurements []Measurement `json:"measurements"`
}

// Over are the measurements that exceed their limits.
func (r Report) Over() []Measurement {
	return slices.DeleteFunc(slices.Clone(r.Measurements), func(m Measurement) bool { return !m.Over() })
}

// Config says what to measure.
type Config struct {
	// ModuleDir is the project's folder, with node_modules in it.
	ModuleDir string
	// Context is what cdk.json has for the app.
	Context map[string]any
	// Assembly is the synthesized one.
	Assembly *assembly.Assembly
	// MariaDB has the ledger be in MariaDB; nil: in an embedded server, whose speed is its own and not held.
	MariaDB *localmysql.Installation
	// Tests is how long all tests took, if somebody has measured it; 0: nobody has.
	Tests time.Duration
	// Progress is told what is being measured.
	Progress io.Writer

	// functions are the template's, and floor a function that returns its event: Run builds them, once for all measurements.
	functions []function
	floor     string
}

// Run measures everything. It takes about a minute.
func Run(ctx context.Context, config Config) (Report, error) {
	report := Report{
		Date:     time.Now().UTC().Format(time.DateOnly),
		Database: "embedded server of the MySQL protocol",
	}
	var machine []string
	for _, f := range drill.Machine() {
		machine = append(machine, f.Name+" "+f.Value)
	}
	report.Machine = strings.Join(machine, ", ")
	if config.MariaDB != nil {
		report.Database = "MariaDB"
	}
	dir, err := os.MkdirTemp("", "bench-functions-")
	if err != nil {
		return Report{}, fmt.Errorf("make temporary folder: %w", err)
	}
	defer os.RemoveAll(dir)
	if err := config.build(dir); err != nil {
		return Report{}, err
	}
	for _, part := range []struct {
		says    string
		measure func(context.Context, Config) ([]Measurement, error)
	}{
		{"synthesis", synthesis},
		{"functions", functions},
		{"payments", payments},
		{"ledger", ledgerRows},
	} {
		fmt.Fprintf(config.Progress, "measuring: %s\n", part.says)
		measured, err := part.measure(ctx, config)
		if err != nil {
			return Report{}, fmt.Errorf("measure %s: %w", part.says, err)
		}
		report.Measurements = append(report.Measurements, measured...)
	}
	return report, nil
}

// WriteText writes the report as a table.
func (r Report) WriteText(w io.Writer) error {
	fmt.Fprintf(w, "%s, %s; database: %s\n\n", r.Date, r.Machine, r.Database)
	table := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	fmt.Fprintln(table, "WHAT\tMEASURED\tFLOOR\tRATIO\tAT MOST\tTHE FLOOR IS")
	for _, m := range r.Measurements {
		fmt.Fprintln(table, strings.Join(m.cells(), "\t"))
	}
	return table.Flush()
}

// WriteMarkdown writes the same for a document.
func (r Report) WriteMarkdown(w io.Writer) error {
	var page strings.Builder
	page.WriteString("# What the work costs\n\nWritten by `make bench`. Each figure stands beside a floor that was measured in the same run: what would be there if the project did nothing of its own. " +
		"The ratio of the two is held, in CI too, and not the time: another machine has other times. A median of several runs each.\n\n")
	fmt.Fprintf(&page, "Measured on %s: %s; database: %s.\n\n", r.Date, r.Machine, r.Database)
	page.WriteString("| what | measured | floor | ratio | at most | the floor is |\n| --- | --- | --- | --- | --- | --- |\n")
	for _, m := range r.Measurements {
		fmt.Fprintf(&page, "| %s |\n", strings.Join(m.cells(), " | "))
	}
	_, err := io.WriteString(w, page.String())
	return err
}

func (m Measurement) cells() []string {
	limit := "–"
	if m.Limit > 0 {
		limit = fmt.Sprintf("%.4g", m.Limit)
		if m.Over() {
			limit += " OVER"
		}
	}
	amount := func(v float64) string {
		if m.Unit == UnitRowsPerSecond {
			return fmt.Sprintf("%.0f %s", v, m.Unit)
		}
		return fmt.Sprintf("%.3g %s", v, m.Unit)
	}
	return []string{m.Name, amount(m.Value), amount(m.Floor), fmt.Sprintf("%.2f", m.Ratio()), limit, m.FloorIs}
}

// median is the middle of the values, of which there is an odd number.
func median(values []float64) float64 { return slices.Sorted(slices.Values(values))[len(values)/2] }
