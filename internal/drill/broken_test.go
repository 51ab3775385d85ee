package drill_test

import (
	"bytes"
	"strings"
	"testing"

	"payments-dr/internal/drill"
)

func TestWhatIsBrokenFailsARunThatLosesNothing(t *testing.T) {
	const broken = "both relays put 3 payments on the buses"
	w := newWorld(t)
	w.load(0, 300, 1, steady)
	if report := w.measure(); report.Status == drill.StatusFail {
		t.Fatalf("%s before anything is broken", report.Status)
	}
	w.run.Broken = []string{broken}
	w.run.Remarks = []string{"nobody has lost anything"}
	report := w.measure()
	if report.Status != drill.StatusFail {
		t.Errorf("status %s", report.Status)
	}
	var data, text, page bytes.Buffer
	if err := report.WriteJSON(&data); err != nil {
		t.Fatal(err)
	}
	read, err := drill.Read(&data)
	if err != nil || len(read.Broken) != 1 || read.Broken[0] != broken {
		t.Fatalf("read back: %q, %v", read.Broken, err)
	}
	if err := read.WriteText(&text, false); err != nil {
		t.Fatal(err)
	}
	if err := read.WriteHTML(&page); err != nil {
		t.Fatal(err)
	}
	for name, out := range map[string]string{"text": text.String(), "HTML": page.String()} {
		if !strings.Contains(out, "the platform is broken; ") || !strings.Contains(out, broken) || !strings.Contains(out, "FAIL") ||
			!strings.Contains(out, "nobody has lost anything") {
			t.Errorf("the %s does not say it:\n%s", name, out[:min(len(out), 1500)])
		}
	}
}
