package bench_test

import (
	"encoding/json"
	"math"
	"strings"
	"testing"

	"payments-dr/internal/drill/bench"
)

func TestLimitIsOnTheRatioToTheFloor(t *testing.T) {
	for name, test := range map[string]struct {
		m     bench.Measurement
		ratio float64
		over  bool
	}{
		"within":                {bench.Measurement{Unit: bench.UnitSeconds, Value: 6, Floor: 3, Limit: 2}, 2, false},
		"over":                  {bench.Measurement{Unit: bench.UnitSeconds, Value: 7.5, Floor: 3, Limit: 2}, 2.5, true},
		"slow machine, same":    {bench.Measurement{Unit: bench.UnitSeconds, Value: 60, Floor: 30, Limit: 2}, 2, false},
		"more rows are better":  {bench.Measurement{Unit: bench.UnitRowsPerSecond, Value: 20_000, Floor: 30_000, Limit: 2}, 1.5, false},
		"fewer rows are over":   {bench.Measurement{Unit: bench.UnitRowsPerSecond, Value: 10_000, Floor: 30_000, Limit: 2}, 3, true},
		"not held":              {bench.Measurement{Unit: bench.UnitSeconds, Value: 9, Floor: 1}, 9, false},
		"without a floor":       {bench.Measurement{Unit: bench.UnitSeconds, Value: 9, Floor: 0, Limit: 2}, math.Inf(1), true},
		"nothing was measured":  {bench.Measurement{Unit: bench.UnitRowsPerSecond, Value: 0, Floor: 9, Limit: 2}, math.Inf(1), true},
		"nothing and no floor":  {bench.Measurement{Unit: bench.UnitSeconds, Limit: 2}, math.NaN(), true},
		"measured in megabytes": {bench.Measurement{Unit: bench.UnitMegabytes, Value: 9, Floor: 6, Limit: 1.4}, 1.5, true},
	} {
		t.Run(name, func(t *testing.T) {
			if got := test.m.Ratio(); got != test.ratio && !(math.IsNaN(got) && math.IsNaN(test.ratio)) {
				t.Errorf("ratio %v, want %v", got, test.ratio)
			}
			if test.m.Over() != test.over {
				t.Errorf("over: %v, want %v", test.m.Over(), test.over)
			}
			r := bench.Report{Measurements: []bench.Measurement{test.m}}
			if got := len(r.Over()) == 1; got != test.over {
				t.Errorf("the report has it over: %v, want %v", got, test.over)
			}
		})
	}
}

func TestReportSaysWhatIsOver(t *testing.T) {
	r := bench.Report{Date: "2026-11-22", Machine: "a machine", Database: "MariaDB", Measurements: []bench.Measurement{
		{Name: "processor: start", Unit: bench.UnitMilliseconds, Value: 12, Floor: 2, FloorIs: "nothing", Limit: 4},
		{Name: "ledger", Unit: bench.UnitRowsPerSecond, Value: 12_000, Floor: 18_000, FloorIs: "an INSERT"},
	}}
	var text, page strings.Builder
	if err := r.WriteText(&text); err != nil {
		t.Fatal(err)
	}
	if err := r.WriteMarkdown(&page); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"a machine", "MariaDB", "processor: start", "12 ms", "6.00", "4 OVER", "12000 rows/s", "1.50", "an INSERT"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("the text lacks %q:\n%s", want, &text)
		}
		if !strings.Contains(page.String(), want) {
			t.Errorf("the page lacks %q:\n%s", want, &page)
		}
	}
	data, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var back struct {
		Measurements []struct{ Ratio, Limit float64 }
	}
	if err := json.Unmarshal(data, &back); err != nil {
		t.Fatal(err)
	}
	if len(back.Measurements) != 2 || back.Measurements[0].Ratio != 6 || back.Measurements[0].Limit != 4 || back.Measurements[1].Ratio != 1.5 {
		t.Errorf("%+v", back.Measurements)
	}
}
