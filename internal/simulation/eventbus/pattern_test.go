package eventbus_test

import (
	"strings"
	"testing"

	"payments-dr/internal/simulation/eventbus"
)

func TestPatternMatches(t *testing.T) {
	const event = `{"source":"payment.processor","detail-type":"Payment Transaction","region":"us-east-1","resources":["a","b"],` +
		`"detail":{"region":"us-east-1","note":"a\u003cb \"q\" \u00e4","empty":"","none":null,"yes":true,"n":1,"list":[],"deep":{"er":"x"}}}`
	for _, tt := range []struct {
		name, pattern string
		want          bool
	}{
		{"exact", `{"source":["payment.processor"]}`, true},
		{"exact is whole", `{"source":["payment"]}`, false},
		{"case counts", `{"source":["Payment.Processor"]}`, false},
		{"several values are OR", `{"region":["us-west-2","us-east-1"]}`, true},
		{"none of several", `{"region":["us-west-2","eu-west-1"]}`, false},
		{"fields are AND", `{"source":["payment.processor"],"region":["us-east-1"]}`, true},
		{"one field of two", `{"source":["payment.processor"],"region":["us-west-2"]}`, false},
		{"nested", `{"detail":{"deep":{"er":["x"]}}}`, true},
		{"nested, other", `{"detail":{"deep":{"er":["y"]}}}`, false},
		{"nested, at the wrong depth", `{"detail":{"er":["x"]}}`, false},
		{"field that is missing", `{"detail":{"gone":["x"]}}`, false},
		{"event's list, any of its values", `{"resources":["b"]}`, true},
		{"event's list, none", `{"resources":["c"]}`, false},
		{"escaped text", `{"detail":{"note":["a<b \"q\" ä"]}}`, true},
		{"escaped name", `{"detail":{"\u0072egion":["us-east-1"]}}`, true},
		{"empty text", `{"detail":{"empty":[""]}}`, true},
		{"empty text is not null", `{"detail":{"none":[""]}}`, false},
		{"null", `{"detail":{"none":[null]}}`, true},
		{"true", `{"detail":{"yes":[true]}}`, true},
		{"true is not false", `{"detail":{"yes":[false]}}`, false},
		{"true is not its text", `{"detail":{"yes":["true"]}}`, false},
		{"prefix", `{"region":[{"prefix":"us-"}]}`, true},
		{"prefix, whole value", `{"region":[{"prefix":"us-east-1"}]}`, true},
		{"prefix, other", `{"region":[{"prefix":"eu-"}]}`, false},
		{"prefix or exact", `{"region":[{"prefix":"eu-"},"us-east-1"]}`, true},
		{"anything-but", `{"region":[{"anything-but":"us-west-2"}]}`, true},
		{"anything-but, list", `{"region":[{"anything-but":["us-west-2","eu-west-1"]}]}`, true},
		{"anything-but, in the list", `{"region":[{"anything-but":["us-west-2","us-east-1"]}]}`, false},
		{"anything-but, the value", `{"region":[{"anything-but":"us-east-1"}]}`, false},
		{"anything-but is whole", `{"region":[{"anything-but":"us-east"}]}`, true},
		{"anything-but needs the field", `{"detail":{"gone":[{"anything-but":"x"}]}}`, false},
		{"exists", `{"detail":{"region":[{"exists":true}]}}`, true},
		{"exists, null", `{"detail":{"none":[{"exists":true}]}}`, true},
		{"exists, missing", `{"detail":{"gone":[{"exists":true}]}}`, false},
		{"exists not, missing", `{"detail":{"gone":[{"exists":false}]}}`, true},
		{"exists not, there", `{"detail":{"region":[{"exists":false}]}}`, false},
		{"exists is of values, not of objects", `{"detail":{"deep":[{"exists":true}]}}`, false},
		{"exists not and another field", `{"source":["payment.processor"],"detail":{"gone":[{"exists":false}]}}`, true},
		{"exists not and another field that differs", `{"source":["x"],"detail":{"gone":[{"exists":false}]}}`, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			pattern, err := eventbus.ParsePattern([]byte(tt.pattern))
			if err != nil {
				t.Fatal(err)
			}
			if got, err := pattern.Matches([]byte(event)); got != tt.want || err != nil {
				t.Errorf("%v, %v; want %v", got, err, tt.want)
			}
		})
	}
}

func TestPatternOutsideIsRefused(t *testing.T) {
	const outside = "is outside the simulated part"
	for _, tt := range []struct{ pattern, want string }{
		{`{"a":[{"suffix":".png"}]}`, outside},
		{`{"a":[{"wildcard":"a*"}]}`, outside},
		{`{"a":[{"shellstyle":"a*"}]}`, outside}, // the matcher's own, not EventBridge's
		{`{"a":[{"equals-ignore-case":"a"}]}`, outside},
		{`{"a":[{"numeric":["=",1]}]}`, outside},
		{`{"a":[{"cidr":"10.0.0.0/24"}]}`, outside},
		{`{"a":[1]}`, outside},
		{`{"a":[["x"]]}`, outside},
		{`{"a":[{"prefix":{"equals-ignore-case":"a"}}]}`, outside},
		{`{"a":[{"prefix":""}]}`, outside},
		{`{"a":[{"anything-but":{"prefix":"a"}}]}`, outside},
		{`{"a":[{"anything-but":[1]}]}`, outside},
		{`{"a":[{"anything-but":[]}]}`, outside},
		{`{"a":[{"anything-but":"a"},"b"]}`, "beside other values"},
		{`{"a":[{"exists":true},"b"]}`, "beside other values"},
		{`{"a":[{"exists":"true"}]}`, outside},
		{`{"$or":[{"a":["x"]},{"b":["y"]}]}`, outside},
		{`{"a":[{"prefix":"a","exists":true}]}`, "one name"},
		{`{"a":"x"}`, "neither an object nor a list"},
		{`{"a":[]}`, "has no values"},
		{`{"a":{}}`, "has no fields"},
		{`{}`, "has no fields"},
		{`null`, "has no fields"},
		{`[]`, "read pattern"},
		{`{`, "read pattern"},
	} {
		if _, err := eventbus.ParsePattern([]byte(tt.pattern)); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %v, want in it %q", tt.pattern, err, tt.want)
		}
	}
}
