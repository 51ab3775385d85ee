package assembly_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"payments-dr/internal/assembly"
)

func part(t *testing.T, text string) any {
	t.Helper()
	var value any
	if err := json.Unmarshal([]byte(text), &value); err != nil {
		t.Fatal(err)
	}
	return value
}

func TestAt(t *testing.T) {
	value := part(t, `{"a": [{"b": "found"}, null], "c": "text"}`)
	for _, tt := range []struct {
		path []any
		want any
	}{
		{[]any{"a", 0, "b"}, "found"}, {[]any{"a", 1}, nil}, {[]any{"a", 2}, nil}, {[]any{"a", -1}, nil}, {[]any{"a", "b"}, nil},
		{[]any{"c", 0}, nil}, {[]any{"c", "d"}, nil}, {[]any{"none", "d", 0}, nil}, {[]any{1.0}, nil},
	} {
		if got := assembly.At(value, tt.path...); got != tt.want {
			t.Errorf("at %v: %v, want %v", tt.path, got, tt.want)
		}
	}
}

func TestReference(t *testing.T) {
	for text, want := range map[string][2]string{
		`{"Ref": "Table"}`:                               {"Table", ""},
		`{"Fn::GetAtt": ["Table", "Arn"]}`:               {"Table", "Arn"},
		`{"Fn::GetAtt": ["Table"]}`:                      {},
		`{"Ref": "Table", "Fn::GetAtt": ["Table", "x"]}`: {}, // no intrinsic function has two keys
		`{"Fn::Join": ["", ["x"]]}`:                      {},
		`"Table"`:                                        {},
		`null`:                                           {},
	} {
		id, attribute := assembly.Reference(part(t, text))
		if got := [2]string{id, attribute}; got != want || assembly.Referred(part(t, text)) != want[0] {
			t.Errorf("%s: %v, want %v", text, got, want)
		}
	}
}

func TestTexts(t *testing.T) {
	for text, want := range map[string]string{`"a"`: "[a]", `["a", "b"]`: "[a b]", `["a", 1, {"Ref": "b"}]`: "[a]", `null`: "[]", `{"Ref": "b"}`: "[]"} {
		if got := fmt.Sprint(assembly.Texts(part(t, text))); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}
