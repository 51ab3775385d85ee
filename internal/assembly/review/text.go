package review

import (
	"fmt"
	"strings"

	"payments-dr/internal/assembly/recoverytime"
)

// signs mark what becomes of a resource, as in a diff.
var signs = map[Action]string{Replaced: "!", MayBeReplaced: "?", Removed: "-", Added: "+", Updated: "~", Unchanged: " "}

// Text writes the changes of stacks for a terminal: a line a resource, its construct below it, and a line a property.
func Text(stacks []Stack) string {
	var b strings.Builder
	for _, stack := range stacks {
		fmt.Fprintf(&b, "%s (%s)", stack.Name, stack.Region)
		if stack.Is != Updated {
			fmt.Fprintf(&b, ": the whole stack is %s", stack.Is)
		}
		fmt.Fprintln(&b)
		for _, r := range stack.Resources {
			fmt.Fprintf(&b, "  %s %s: %s %s\n", signs[r.Action], title(r), r.Type, r.LogicalID)
			fmt.Fprintf(&b, "      %s\n", r.Path)
			for _, p := range r.Properties {
				fmt.Fprintf(&b, "      %s\n", p)
			}
		}
		for _, p := range stack.Rest {
			fmt.Fprintf(&b, "  ~ %s\n", p)
		}
	}
	return b.String()
}

// title is the action, with what becomes of the old resource.
func title(r Resource) string {
	what := string(r.Action)
	if r.NewLogicalID != "" {
		what += " under a new logical id"
	}
	if r.Fate != "" {
		what += ", " + r.Fate
		if r.HoldsData {
			what += ", WITH ITS DATA"
		}
	}
	return what
}

// String is the path, the old value and the new one, and whether the change replaces the resource.
func (p Property) String() string {
	line := fmt.Sprintf("%s: %s → %s", p.Path, orAbsent(cut(p.Old, 300)), orAbsent(cut(p.New, 300)))
	if p.Follows {
		line = fmt.Sprintf("%s: %s, which is replaced", p.Path, cut(p.Old, 300))
	}
	if p.Replaces {
		line += " (replaces)"
	}
	if p.Interrupts {
		line += " (in place, with an outage)"
	}
	return line
}

// cut shortens a text to a number of characters, in the middle.
func cut(text string, most int) string {
	text = strings.ReplaceAll(text, "\n", " ")
	runes := []rune(text)
	if len(runes) <= most {
		return text
	}
	half := (most - 1) / 2
	return string(runes[:half]) + "…" + string(runes[len(runes)-half:])
}

// Text writes all that the change does to the environment for a terminal.
func (e Environment) Text() string {
	var b strings.Builder
	if len(e.Stacks) == 0 {
		fmt.Fprintf(&b, "%s: nothing changes in the templates\n", e.Name)
		return b.String()
	}
	fmt.Fprintf(&b, "%s: %s\n\n%s", e.Name, e.counts(), Text(e.Stacks))
	for _, stack := range e.Stacks {
		if len(stack.Security.Added)+len(stack.Security.Removed) == 0 {
			continue
		}
		fmt.Fprintf(&b, "\nsecurity of %s%s\n", stack.Name, map[bool]string{true: ": somebody may do more"}[stack.Security.Broadened])
		for _, line := range stack.Security.lines() {
			fmt.Fprintf(&b, "  %s\n", line)
		}
	}
	for _, o := range e.Obstacles {
		fmt.Fprintf(&b, "\n%s\n", o)
	}
	for _, line := range e.Weaker {
		fmt.Fprintf(&b, "\nprotection gets less: %s\n", line)
	}
	fmt.Fprintf(&b, "\n%s\n", e.Order.sentence())
	for _, reason := range e.Order.Reasons {
		fmt.Fprintf(&b, "  %s\n", reason)
	}
	for _, refused := range e.Order.Refused {
		fmt.Fprintf(&b, "  CANNOT BE DEPLOYED AS IT IS: %s\n", refused)
	}
	if e.Costs.Fault != "" {
		fmt.Fprintf(&b, "\ncost: %s\n", e.Costs.Fault)
	} else {
		for _, part := range e.Costs.parts() {
			sum := Sum(part.amounts)
			fmt.Fprintf(&b, "\n%s: $%s → $%s\n", part.name, sum.Old.Text(2), sum.New.Text(2))
			for _, a := range Changes(part.amounts) {
				fmt.Fprintf(&b, "  %s: $%s → $%s\n", a.Service, a.Old.Text(2), a.New.Text(2))
			}
		}
	}
	if e.RecoveryTimes.Fault != "" {
		fmt.Fprintf(&b, "\nrecovery times: %s\n", e.RecoveryTimes.Fault)
	}
	for _, r := range e.RecoveryTimes.Recoveries {
		fmt.Fprintf(&b, "\n%s: at the worst %s → %s, objective %s: %s\n", r.Kind, worst(r.Old), worst(r.New), recoverytime.Spell(r.New.Objective.Limit), kept(r.New))
	}
	return b.String()
}

func kept(p recoverytime.Path) string {
	if Kept(p) {
		return "kept"
	}
	return "MISSED"
}

// counts are how many resources have which action.
func (e Environment) counts() string {
	return countsOf(e.Stacks)
}

func countsOf(stacks []Stack) string {
	var parts []string
	rest := 0
	for _, action := range Actions {
		n := 0
		for _, stack := range stacks {
			n += len(stack.Of(action))
		}
		if n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, action))
		}
	}
	for _, stack := range stacks {
		rest += len(stack.Rest)
	}
	if rest > 0 {
		parts = append(parts, fmt.Sprintf("%d outside the resources", rest))
	}
	if len(parts) == 0 {
		return "nothing"
	}
	return strings.Join(parts, ", ")
}

// lines are the security changes as a diff: what goes, then what comes.
func (s Security) lines() []string {
	var all []string
	for _, line := range s.Removed {
		all = append(all, "- "+line)
	}
	for _, line := range s.Added {
		all = append(all, "+ "+line)
	}
	return all
}

func (o Order) sentence() string {
	switch {
	case len(o.Stacks) == 0:
		return "order of deployment: none works"
	case len(o.Reasons) == 0:
		return "order of deployment: any, the secondary first is best: " + strings.Join(o.Stacks, ", ")
	}
	return "order of deployment: " + strings.Join(o.Stacks, ", ")
}

type costPart struct {
	name    string
	amounts []Amount
}

func (c Costs) parts() []costPart {
	return []costPart{{"a month without payments", c.Idle}, {"a million payments", c.Million}}
}
