package recoverytime

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
)

// WriteTable writes the slowest path of each kind as a table. The numbers of the templates stand beside the items; what AWS
// publishes and what is assumed stands in notes below.
func (b *Report) WriteTable(w io.Writer) error {
	var out strings.Builder
	var notes []string
	for _, path := range b.Slowest() {
		fmt.Fprintf(&out, "%s: %s. The other Region takes no longer.\n", b.Environment, path.Name())
		table := tabwriter.NewWriter(&out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(table, "  EXPECTED\tWORST\tWHAT\tNOTES\tTEMPLATE")
		row := func(item Item, format string) {
			var own, numbers []string
			for _, source := range item.Sources {
				if template, ok := strings.CutPrefix(source, "template: "); ok {
					own = append(own, template)
					continue
				}
				if !slices.Contains(notes, source) {
					notes = append(notes, source)
				}
				numbers = append(numbers, strconv.Itoa(slices.Index(notes, source)+1))
			}
			fmt.Fprintf(table, "  "+format+"\t"+format+"\t%s\t%s\t%s\n", Spell(item.Takes.Expected), Spell(item.Takes.Worst), item.What,
				strings.Join(numbers, " "), strings.Join(own[:min(1, len(own))], ""))
			for _, template := range own[min(1, len(own)):] {
				fmt.Fprintf(table, "  \t\t\t\t%s\n", template)
			}
		}
		for _, item := range path.Items {
			row(item, "%s")
		}
		for _, item := range path.Beside {
			row(item, "(%s)")
		}
		table.Flush() // a strings.Builder takes everything
		fmt.Fprintln(&out, "  "+path.Verdict()+"\n")
	}
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

// Verdict is the total beside the objective, in a sentence, and what is left for people if they start the recovery.
func (p Path) Verdict() string {
	total, limit := p.Total(), p.Objective.Limit
	left, manual := p.LeftForPeople()
	var b strings.Builder
	fmt.Fprintf(&b, "in all %s, at the most %s; the objective is %s: ", Spell(total.Expected), Spell(total.Worst), Spell(limit))
	switch {
	case total.Worst <= limit && manual:
		fmt.Fprintf(&b, "kept, and leaves %s for people to start the plan, %s as a rule", Spell(left.Worst), Spell(left.Expected))
	case total.Worst <= limit:
		fmt.Fprintf(&b, "kept, with %s to spare", Spell(limit-total.Worst))
	case total.Expected <= limit:
		fmt.Fprintf(&b, "kept as a rule, missed in the worst case by %s", Spell(total.Worst-limit))
	default:
		fmt.Fprintf(&b, "missed by %s, in the worst case by %s", Spell(total.Expected-limit), Spell(total.Worst-limit))
	}
	return b.String()
}
