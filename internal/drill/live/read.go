package live

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// Read reads a hypothesis, written in YAML or in JSON, which is YAML too. The error names every fault with its line, its key, its
// value and what is allowed.
func Read(content []byte) (Hypothesis, error) {
	var document yaml.Node
	if err := yaml.Unmarshal(content, &document); err != nil {
		return Hypothesis{}, fmt.Errorf("read hypothesis: %w", err)
	}
	if len(document.Content) == 0 {
		return Hypothesis{}, errors.New("read hypothesis: the file is empty")
	}
	f := &faults{}
	top := f.section("", document.Content[0])
	h := Hypothesis{
		Title: top.text("title", true), Description: top.text("description", false), Environment: top.text("environment", true),
		Owner: top.text("owner", true), Reason: top.text("reason", true),
		Observe: top.duration("observe", 10*time.Second, time.Hour),
	}
	if window := top.in("window", false); window != nil {
		h.NotBefore, h.NotAfter = window.moment("notBefore"), window.moment("notAfter")
		window.end()
	}
	if s := top.in("steadyState", true); s != nil {
		h.SteadyState = SteadyState{s.duration("lasts", 10*time.Second, 30*time.Minute), s.number("errorShare", 0, 0.5), s.duration("latencyP99", time.Millisecond, 30*time.Second)}
		s.end()
	}
	if s := top.in("load", true); s != nil {
		h.Load = Load{s.number("rate", 0.01, 100), s.whole("clients", 1, 200), s.whole("mostPayments", 1, 100_000), s.duration("mostTime", time.Minute, 2*time.Hour)}
		s.end()
	}
	if s := top.in("action", true); s != nil {
		h.Action.Kind = Kind(s.choice("kind", string(KindNone), string(KindPlannedSwitchover)))
		if h.Action.Kind == KindPlannedSwitchover {
			h.Action.To = s.text("to", true)
		}
		s.end()
	}
	if s := top.in("tolerances", true); s != nil {
		s.known = allTolerances()
		f.readTolerances(&h, s)
		s.end()
	}
	if s := top.in("stopConditions", true); s != nil {
		h.Stop = StopConditions{s.number("errorShare", 0.01, 1), s.duration("over", 10*time.Second, 10*time.Minute), s.texts("alarms")}
		s.end()
	}
	top.end()
	if len(f.list) == 0 {
		f.together(h)
	}
	if len(f.list) > 0 {
		slices.SortStableFunc(f.list, func(a, b fault) int { return a.line - b.line })
		var all []error
		for _, one := range f.list {
			all = append(all, fmt.Errorf("line %d: %s", one.line, one.text))
		}
		return Hypothesis{}, fmt.Errorf("read hypothesis:\n%w", errors.Join(all...))
	}
	return h, nil
}

func (f *faults) readTolerances(h *Hypothesis, s *section) {
	for _, key := range slices.Sorted(maps.Keys(tolerances.times)) {
		if !s.has(key) {
			continue
		}
		limit := s.duration(key, time.Second, 24*time.Hour)
		switch key {
		case "paymentsRto":
			h.Objectives.PaymentsRTO = limit
		case "ledgerRto":
			h.Objectives.LedgerRTO = limit
		case "backlog":
			h.Objectives.Backlog = limit
		}
		h.Asked = append(h.Asked, tolerances.times[key])
	}
	for _, key := range slices.Sorted(maps.Keys(tolerances.counts)) {
		if s.has(key) {
			s.whole(key, 0, 0)
			h.Asked = append(h.Asked, tolerances.counts[key])
		}
	}
	if len(h.Asked) == 0 {
		f.add(s.node, "tolerances is empty; allowed are %s", strings.Join(allTolerances(), ", "))
	}
	if h.Objectives.LedgerRTO > 0 && h.Objectives.Backlog == 0 && s.has("ledgerRto") {
		f.add(s.values["ledgerRto"], "tolerances.ledgerRto is given without tolerances.backlog; give both: a ledger that falls further behind is not back")
	}
}

func allTolerances() []string {
	return append(slices.Sorted(maps.Keys(tolerances.times)), slices.Sorted(maps.Keys(tolerances.counts))...)
}

// together checks what single values cannot be checked for.
func (f *faults) together(h Hypothesis) {
	none := &yaml.Node{Line: 1}
	if h.Action.Kind == KindNone && (h.Objectives.PaymentsRTO > 0 || h.Objectives.LedgerRTO > 0 || h.Objectives.Backlog > 0) {
		f.add(none, "tolerances has times and action.kind is none; allowed are times with an action: without one nothing is away that could come back")
	}
	if !h.NotAfter.IsZero() && !h.NotBefore.Before(h.NotAfter) {
		f.add(none, "window.notAfter is %s; allowed is later than window.notBefore", h.NotAfter.Format(time.RFC3339))
	}
	shortest := h.SteadyState.Lasts + h.Observe
	if shortest > h.Load.MostTime {
		f.add(none, "load.mostTime is %s; allowed is what steadyState.lasts and observe come to, %s, or more", h.Load.MostTime, shortest)
	}
	if needed := int(math.Ceil(h.Load.Rate * shortest.Seconds())); needed > h.Load.MostPayments {
		f.add(none, "load.mostPayments is %d; allowed is what steadyState.lasts and observe come to at load.rate, %d, or more", h.Load.MostPayments, needed)
	}
	if attempts := h.Load.Rate * h.SteadyState.Lasts.Seconds(); attempts < leastAttempts {
		f.add(none, "steadyState.lasts is %s; allowed is a time in which load.rate comes to %d payments or more", h.SteadyState.Lasts, leastAttempts)
	}
}

// faults are everything that is wrong with a file.
type faults struct{ list []fault }

type fault struct {
	line int
	text string
}

func (f *faults) add(at *yaml.Node, format string, args ...any) {
	f.list = append(f.list, fault{at.Line, fmt.Sprintf(format, args...)})
}

// section is a mapping of a file. What is asked of it is known, and anything else is a fault.
type section struct {
	faults *faults
	path   string
	node   *yaml.Node
	keys   []*yaml.Node
	values map[string]*yaml.Node
	known  []string
}

func (f *faults) section(path string, node *yaml.Node) *section {
	s := &section{faults: f, path: path, node: node, values: map[string]*yaml.Node{}}
	if node.Kind != yaml.MappingNode {
		f.add(node, "%s is %s; allowed are keys and values", orWhole(strings.TrimSuffix(path, ".")), shown(node))
		return s
	}
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, value := node.Content[i], node.Content[i+1]
		if s.values[key.Value] != nil {
			f.add(key, "%s%s is given twice", path, key.Value)
			continue
		}
		s.keys = append(s.keys, key)
		s.values[key.Value] = value
	}
	return s
}

func orWhole(path string) string {
	if path == "" {
		return "the file"
	}
	return path
}

// shown is a value as it stands in the file, shortened.
func shown(node *yaml.Node) string {
	switch node.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	case yaml.AliasNode:
		return "an alias"
	}
	const most = 60
	if runes := []rune(node.Value); len(runes) > most {
		return strconv.Quote(string(runes[:most]) + "…")
	}
	return strconv.Quote(node.Value)
}

// value is a key's, if it is there and a single value.
func (s *section) value(key string, required bool, allowed string) (*yaml.Node, bool) {
	s.known = append(s.known, key)
	node, ok := s.values[key]
	if !ok {
		if required && s.node.Kind == yaml.MappingNode {
			s.faults.add(s.node, "%s%s is missing; allowed is %s", s.path, key, allowed)
		}
		return nil, false
	}
	if node.Kind != yaml.ScalarNode {
		s.faults.add(node, "%s%s is %s; allowed is %s", s.path, key, shown(node), allowed)
		return nil, false
	}
	return node, true
}

func (s *section) has(key string) bool { return s.values[key] != nil }

func (s *section) in(key string, required bool) *section {
	s.known = append(s.known, key)
	node, ok := s.values[key]
	if !ok {
		if required && s.node.Kind == yaml.MappingNode {
			s.faults.add(s.node, "%s%s is missing", s.path, key)
		}
		return nil
	}
	return s.faults.section(s.path+key+".", node)
}

func (s *section) text(key string, required bool) string {
	const allowed = "a text that is not empty"
	node, ok := s.value(key, required, allowed)
	if !ok {
		return ""
	}
	text := strings.TrimSpace(node.Value)
	if text == "" || node.Tag == "!!null" {
		s.faults.add(node, "%s%s is %s; allowed is %s", s.path, key, shown(node), allowed)
	}
	return text
}

func (s *section) choice(key string, allowed ...string) string {
	node, ok := s.value(key, true, strings.Join(allowed, " or "))
	if !ok {
		return ""
	}
	if !slices.Contains(allowed, node.Value) {
		s.faults.add(node, "%s%s is %s; allowed is %s", s.path, key, shown(node), strings.Join(allowed, " or "))
	}
	return node.Value
}

func (s *section) duration(key string, least, most time.Duration) time.Duration {
	allowed := fmt.Sprintf("a time from %s to %s, such as 90s", least, most)
	node, ok := s.value(key, true, allowed)
	if !ok {
		return 0
	}
	d, err := time.ParseDuration(node.Value)
	if err != nil || d < least || d > most {
		s.faults.add(node, "%s%s is %s; allowed is %s", s.path, key, shown(node), allowed)
	}
	return d
}

func (s *section) number(key string, least, most float64) float64 {
	allowed := fmt.Sprintf("a number from %v to %v", least, most)
	node, ok := s.value(key, true, allowed)
	if !ok {
		return 0
	}
	n, err := strconv.ParseFloat(node.Value, 64)
	if err != nil || !(n >= least && n <= most) {
		s.faults.add(node, "%s%s is %s; allowed is %s", s.path, key, shown(node), allowed)
	}
	return n
}

func (s *section) whole(key string, least, most int) int {
	allowed := fmt.Sprintf("a whole number from %d to %d", least, most)
	if least == most {
		allowed = strconv.Itoa(least)
	}
	node, ok := s.value(key, true, allowed)
	if !ok {
		return 0
	}
	n, err := strconv.Atoi(node.Value)
	if err != nil || n < least || n > most {
		s.faults.add(node, "%s%s is %s; allowed is %s", s.path, key, shown(node), allowed)
	}
	return n
}

func (s *section) moment(key string) time.Time {
	const allowed = "a time of RFC 3339, such as 2026-11-22T09:00:00Z"
	node, ok := s.value(key, true, allowed)
	if !ok {
		return time.Time{}
	}
	t, err := time.Parse(time.RFC3339, node.Value)
	if err != nil {
		s.faults.add(node, "%s%s is %s; allowed is %s", s.path, key, shown(node), allowed)
	}
	return t.UTC()
}

// texts is a list of texts; without the key there are none.
func (s *section) texts(key string) []string {
	s.known = append(s.known, key)
	node, ok := s.values[key]
	if !ok {
		return nil
	}
	var list []string
	for _, one := range node.Content {
		if one.Kind == yaml.ScalarNode && one.Value != "" {
			list = append(list, one.Value)
		}
	}
	if node.Kind != yaml.SequenceNode || len(list) != len(node.Content) {
		s.faults.add(node, "%s%s is %s; allowed is a list of texts", s.path, key, shown(node))
	}
	return list
}

// end names the keys that nobody has asked for.
func (s *section) end() {
	for _, key := range s.keys {
		if !slices.Contains(s.known, key.Value) {
			s.faults.add(key, "%s%s is not known; allowed are %s", s.path, key.Value, strings.Join(s.known, ", "))
		}
	}
}
