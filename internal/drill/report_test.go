package drill_test

import (
	"bytes"
	"flag"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"payments-dr/internal/drill"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden holds what was written to a file. What changes there is looked at, in a browser if it is the page.
func golden(t *testing.T, name string, write func(io.Writer) error) {
	t.Helper()
	var out bytes.Buffer
	if err := write(&out); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, out.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	wanted, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(wanted, out.Bytes()) {
		t.Errorf("%s is another; look at what has changed, and run the test with -update", file)
	}
}

func TestGolden(t *testing.T) {
	r := madeUp(t, true).measure()
	golden(t, "failing.html", r.WriteHTML)
	golden(t, "failing.json", r.WriteJSON)
	golden(t, "failing.txt", func(w io.Writer) error { return r.WriteText(w, false) })
	good := madeUp(t, false).measure()
	golden(t, "passing.txt", func(w io.Writer) error { return good.WriteText(w, false) })
	if dir := os.Getenv("REPORT_DIR"); dir != "" { // to look at
		for name, one := range map[string]drill.Report{"failing": r, "passing": good} {
			file, err := os.Create(filepath.Join(dir, name+".html"))
			if err != nil {
				t.Fatal(err)
			}
			if err := one.WriteHTML(file); err != nil {
				t.Fatal(err)
			}
			if err := file.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// written is a report in all forms.
func written(t *testing.T, r drill.Report) (page, text, data string) {
	t.Helper()
	var out [3]bytes.Buffer
	for i, err := range []error{r.WriteHTML(&out[0]), r.WriteText(&out[1], false), r.WriteJSON(&out[2])} {
		if err != nil {
			t.Fatalf("form %d: %v", i, err)
		}
	}
	return out[0].String(), out[1].String(), out[2].String()
}

// TestPageNeedsNothingElse: it opens in an aircraft, and whoever opens it tells nobody.
func TestPageNeedsNothingElse(t *testing.T) {
	page, _, _ := written(t, madeUp(t, true).measure())
	if found := regexp.MustCompile(`(?i)<script|<link|<img|<iframe|<object|@import|url\(|\bsrc=|\bhref=|https?:|\son[a-z]+=`).FindAllString(page, -1); len(found) > 0 {
		t.Errorf("the page has %q", found)
	}
	if !strings.Contains(page, "default-src 'none'") || !strings.Contains(page, "prefers-color-scheme: dark") || !strings.Contains(page, "@media print") {
		t.Error("the page has no policy, no dark colours or none for print")
	}
}

// TestBannerComesFirst: nobody sees a number of a simulation before being told that it is one.
func TestBannerComesFirst(t *testing.T) {
	r := madeUp(t, false).measure()
	page, text, data := written(t, r)
	if !strings.HasPrefix(text, r.Banner+"\n") {
		t.Errorf("the text begins with %.80q", text)
	}
	if !strings.HasPrefix(data, "{\n  \"banner\": \"SIMULATED: ") {
		t.Errorf("the JSON begins with %.80q", data)
	}
	if _, body, _ := strings.Cut(page, "<body>\n"); !strings.HasPrefix(body, `<div class="banner">SIMULATED: `) {
		t.Errorf("the page's body begins with %.80q", body)
	}
}

// TestPageCallsSoundWhatWasLookedAt: nothing found is not the same as nothing there.
func TestPageCallsSoundWhatWasLookedAt(t *testing.T) {
	const all, some = "Every acknowledged payment is in the table", "not all lists were measured"
	for name, test := range map[string]struct {
		change func(*world)
		all    bool
		some   bool
	}{
		"sound":    {func(*world) {}, true, false},
		"unread":   {func(w *world) { w.run.Ledger = nil }, false, true},
		"lost":     {func(w *world) { w.items = w.items[1:] }, false, false},
		"no drill": {func(w *world) { w.recorder = &drill.Recorder{} }, false, false},
	} {
		w := sound(t, 50)
		test.change(w)
		page, _, _ := written(t, w.measure())
		if strings.Contains(page, all) != test.all || strings.Contains(page, some) != test.some {
			t.Errorf("%s: the page says all %v, some %v", name, strings.Contains(page, all), strings.Contains(page, some))
		}
	}
}

func TestHostileNames(t *testing.T) {
	const hostile = "\"'></title></svg><script>alert(1)</script>\x1b[2J"
	w := newWorld(t)
	w.run.Banner, w.run.Title = "SIMULATED: "+hostile, hostile
	w.run.Assumptions = []drill.Assumption{{What: hostile, Value: hostile, Source: hostile}}
	w.event(1, drill.Event{Kind: drill.KindPhase, Name: hostile, Text: hostile})
	w.event(2, drill.Event{Kind: drill.KindFaultBegins, Name: hostile, Region: hostile, Hits: []drill.Subject{drill.SubjectPayments}, Text: hostile})
	w.event(3, drill.Event{Kind: drill.KindDNS, Name: hostile, Region: hostile})
	w.event(4, drill.Event{Kind: drill.KindHealthCheck, Name: hostile, Result: hostile})
	w.event(5, drill.Event{Kind: drill.KindStepBegins, Name: hostile})
	w.event(6, drill.Event{Kind: drill.KindStepEnds, Name: hostile, Result: hostile, Text: hostile})
	w.event(7, drill.Event{Kind: drill.KindPromotion, Region: hostile})
	w.load(0, 60, 5, func(when float64) sending {
		if when < 10 {
			return sending{outcome: drill.OutcomeFailed, reason: hostile, region: hostile, stored: true}
		}
		return sending{region: hostile}
	})
	w.rows = w.rows[100:]
	page, text, _ := written(t, w.measure())
	if strings.Contains(page, "<script") || strings.Count(page, "</svg>") != strings.Count(page, "<svg") {
		t.Error("the page runs what it was given")
	}
	if strings.Contains(text, "\x1b") {
		t.Error("the text does to a terminal what it was given")
	}
}

// TestReportsOfLittle: what was cut off early is reported, too.
func TestReportsOfLittle(t *testing.T) {
	for name, little := range map[string]func(*world){
		"nothing":       func(*world) {},
		"one event":     func(w *world) { w.event(0, drill.Event{Kind: drill.KindNote}) },
		"one attempt":   func(w *world) { w.send(0, sending{}) },
		"one failure":   func(w *world) { w.send(0, lost("timeout", 1)) },
		"a fault alone": func(w *world) { w.fault(0, 10) },
		"ends alone": func(w *world) {
			w.event(0, drill.Event{Kind: drill.KindFaultEnds, Name: "x"})
			w.event(9, drill.Event{Kind: drill.KindStepEnds, Name: "x"})
		},
		"a sample alone": func(w *world) {
			w.must(w.recorder.Sample(drill.Sample{At: at(0), Metric: drill.MetricQueueAge}))
			w.event(9, drill.Event{Kind: drill.KindNote})
		},
		"phases at once": func(w *world) {
			w.event(5, drill.Event{Kind: drill.KindPhase, Name: "a"})
			w.event(5, drill.Event{Kind: drill.KindPhase, Name: "b"})
			w.send(5, sending{})
		},
		"promoted and away": func(w *world) { w.promoteAt(3); w.promoteAt(5); w.send(4, sending{recorded: -1}) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			little(w)
			r := w.measure()
			page, text, data := written(t, r)
			if r.Status == drill.StatusPass || page == "" || text == "" {
				t.Errorf("status %v", r.Status)
			}
			if strings.Contains(page, "NaN") || strings.Contains(text, "NaN") || strings.Contains(data, ": null,\n      \"examples") {
				t.Error("there is a NaN in it")
			}
		})
	}
}

// TestReadBackIsWrittenTheSame: the page can be made again of the JSON that was kept.
func TestReadBackIsWrittenTheSame(t *testing.T) {
	page, text, data := written(t, madeUp(t, true).measure())
	r, err := drill.Read(strings.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	page2, text2, data2 := written(t, r)
	if page != page2 || text != text2 || data != data2 {
		t.Errorf("page %v, text %v, JSON %v", page == page2, text == text2, data == data2)
	}
	if _, err := drill.Read(strings.NewReader(strings.Replace(data, `"version": 2`, `"version": 1`, 1))); err == nil || !strings.Contains(err.Error(), "version is 1; allowed is 2") {
		t.Errorf("of another version: %v", err)
	}
	if _, err := drill.Read(strings.NewReader("{")); err == nil {
		t.Error("half a report is read")
	}
}

func TestColours(t *testing.T) {
	r := madeUp(t, true).measure()
	var plain, coloured bytes.Buffer
	if err := r.WriteText(&plain, false); err != nil {
		t.Fatal(err)
	}
	if err := r.WriteText(&coloured, true); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(plain.String(), "\x1b") || !strings.Contains(coloured.String(), "\x1b[1;31mFAIL\x1b[0m") {
		t.Error("colours are where none are wanted, or the other way")
	}
	if stripped := regexp.MustCompile("\x1b\\[[0-9;]*m").ReplaceAllString(coloured.String(), ""); stripped != plain.String() {
		t.Error("but for its colours, the text is another")
	}
	if drill.IsTerminal(&plain) || drill.Colour(&plain) {
		t.Error("a buffer is a terminal")
	}
}

func TestSecondsInJSON(t *testing.T) {
	for _, d := range []time.Duration{0, time.Microsecond, 87_400 * time.Millisecond, 3 * time.Hour, 123_456_789 * time.Microsecond, -time.Second} {
		data, err := drill.Seconds(d).MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		var back drill.Seconds
		if err := back.UnmarshalJSON(data); err != nil || back.Duration() != d {
			t.Errorf("%v is %s and read back %v, %v", d, data, back.Duration(), err)
		}
	}
}
