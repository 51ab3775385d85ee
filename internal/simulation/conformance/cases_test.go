package conformance_test

import (
	"bytes"
	"encoding/json"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// testCase is a case of testdata.
type testCase struct {
	Name string
	// Given is what is done. Its form is that of the file.
	Given json.RawMessage
	// Documented is the answer by the documentation; null if the page leaves it open.
	Documented json.RawMessage
	// Page names the page.
	Page string
	// MotoDiffers says how moto's answer differs from the documented one, or, where that is open, from the simulation's.
	MotoDiffers string
	// Simulated is the simulation's answer where it differs from the documented one; Because is the reason.
	Simulated json.RawMessage
	Because   string
}

// recording is moto's answer to a case.
type recording struct {
	Name          string
	Given, Answer json.RawMessage
	// Wire are the calls of a table, as the simulation makes them, with what moto answers.
	Wire []call
}

type call struct {
	Request, Body json.RawMessage
	Status        int
}

// holdAgainst runs the simulation on the cases of a file, and compares what it answers with the documentation and with moto.
func holdAgainst(t *testing.T, file string, simulate func(t *testing.T, given json.RawMessage, recorded recording) any) {
	t.Helper()
	var cases []testCase
	read(t, "testdata/"+file+".json", &cases)
	var all map[string]json.RawMessage
	read(t, "testdata/recorded.json", &all)
	var recorded []recording
	decode(t, all[file], &recorded)
	if len(recorded) != len(cases) {
		t.Errorf("%d cases are recorded, want %d: run scripts/record-conformance", len(recorded), len(cases))
	}
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			i := slices.IndexFunc(recorded, func(r recording) bool { return r.Name == c.Name })
			if i < 0 || !same(t, recorded[i].Given, c.Given) {
				t.Fatal("it is not recorded as it stands: run scripts/record-conformance")
			}
			open := len(c.Documented) == 0 || string(c.Documented) == "null"
			if c.Page == "" || open && c.Simulated == nil || (c.Simulated != nil) != (c.Because != "") {
				t.Fatal("a case has a page, and an answer of the simulation's own with its reason where there is no documented one")
			}
			want, documented := c.Documented, c.Documented
			if c.Simulated != nil {
				if want = c.Simulated; open {
					documented = want
				} else if same(t, want, documented) {
					t.Error("the simulation is said to differ from the documentation, and does not")
				}
			}
			if got := encode(t, simulate(t, c.Given, recorded[i])); !same(t, got, want) {
				t.Errorf("the simulation: %s\nwant            %s\nby %s", got, want, c.Page)
			}
			switch moto := recorded[i].Answer; {
			case c.MotoDiffers == "" && !same(t, moto, documented):
				t.Errorf("moto: %s\nwant  %s\nby %s", moto, documented, c.Page)
			case c.MotoDiffers != "" && same(t, moto, documented):
				t.Error("moto is said to differ, and does not: " + c.MotoDiffers)
			}
		})
	}
}

func read(t *testing.T, path string, into any) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	decode(t, data, into)
}

// decode reads strictly, so that a misspelt field is no field left out.
func decode(t *testing.T, data []byte, into any) {
	t.Helper()
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		t.Fatalf("%v in %s", err, data[:min(len(data), 200)])
	}
}

func encode(t *testing.T, value any) json.RawMessage {
	t.Helper()
	data, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// same compares two JSON values.
func same(t *testing.T, a, b json.RawMessage) bool {
	t.Helper()
	var x, y any
	for _, one := range []struct {
		data json.RawMessage
		into *any
	}{{a, &x}, {b, &y}} {
		if err := json.Unmarshal(one.data, one.into); err != nil {
			t.Fatalf("%v in %s", err, one.data)
		}
	}
	return reflect.DeepEqual(x, y)
}

// What the overview names as a test is one.
func TestOverviewNamesTests(t *testing.T) {
	overview, err := os.ReadFile("../../../docs/explain/simulation.md")
	if err != nil {
		t.Fatal(err)
	}
	sources, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	tests := 0
	for _, source := range sources {
		if !strings.HasSuffix(source.Name(), "_test.go") {
			continue
		}
		text, err := os.ReadFile(source.Name())
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			name, isTest := strings.CutPrefix(line, "func Test")
			if name, _, _ = strings.Cut(name, "("); !isTest || name == "OverviewNamesTests" {
				continue
			}
			if tests++; !strings.Contains(string(overview), "`Test"+name+"`") {
				t.Errorf("docs/explain/simulation.md does not name Test%s", name)
			}
		}
	}
	if named := strings.Count(string(overview), "`Test"); tests == 0 || named != tests {
		t.Errorf("docs/explain/simulation.md names %d tests of %d", named, tests)
	}
}
