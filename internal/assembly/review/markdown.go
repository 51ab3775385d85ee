package review

import (
	"fmt"
	"html"
	"strings"
	"unicode/utf8"

	"payments-dr/internal/assembly"
	"payments-dr/internal/assembly/cost"
	"payments-dr/internal/assembly/recoverytime"
)

// Marker is the first line of the comment, invisible where it is shown. By it the next one finds the comment that it takes the place of.
const Marker = "<!-- payments-dr: review of the templates -->"

// MaxComment is how many characters GitHub takes for the body of a comment. GitHub's documentation does not say; its API answers
// "body is too long (maximum is 65536 characters)".
const MaxComment = 65536

// Comment is the review of a change in all environments.
type Comment struct {
	// Old and New say what is compared, such as "1a2b3c4 (where the branch left origin/main)".
	Old, New     string
	Environments []Environment
	// NoBase is whether the base is from before there were golden templates.
	NoBase bool
	// Note stands above all else, if it is there.
	Note string
}

// detail is how much of everything is shown. Each is less than the one before.
type detail struct {
	// value is how many characters of a value are shown, rows how many lines a list has.
	value, rows int
	// properties is whether each property of a resource is shown, resources whether each resource is.
	properties, resources bool
}

var details = []detail{
	{value: 300, rows: 10000, properties: true, resources: true},
	{value: 80, rows: 400, properties: true, resources: true},
	{value: 80, rows: 100, properties: true, resources: true},
	{value: 80, rows: 60, properties: false, resources: true},
	{value: 60, rows: 20, properties: false, resources: false},
	{value: 40, rows: 4, properties: false, resources: false},
}

// Markdown writes the comment: what is replaced or removed and what changes in security first, then the resources stack by stack, the
// cost, and the recovery times. It is never longer than limit characters: with more to tell, it tells less of each.
func (c Comment) Markdown(limit int) (string, error) {
	var text string
	for i, d := range details {
		if text = c.markdown(d, i > 0); utf8.RuneCountInString(text) <= limit {
			return text, nil
		}
	}
	return "", fmt.Errorf("write comment: it has %d characters at the least, and %d are allowed", utf8.RuneCountInString(text), limit)
}

func (c Comment) markdown(d detail, short bool) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n## What this change does\n\n", Marker)
	fmt.Fprintf(&b, "Templates of %s, against %s. The functions' code is not compared.\n\n", md(c.New), md(c.Old))
	if c.Note != "" {
		fmt.Fprintf(&b, "> %s\n\n", md(c.Note))
	}
	if short {
		b.WriteString("This is shortened: GitHub takes 65,536 characters. `make diff` shows all of it.\n\n")
	}
	if c.NoBase {
		b.WriteString("**Nothing is compared**: the base has no golden templates.\n")
		return b.String()
	}
	changed := false
	for _, e := range c.Environments {
		changed = changed || len(e.Stacks) > 0
	}
	if !changed {
		b.WriteString("**Nothing changes in the templates**, so neither cost nor recovery times do.\n")
		return b.String()
	}
	c.summary(&b)
	c.replaced(&b, d)
	c.security(&b, d)
	c.order(&b, d)
	c.settings(&b, d)
	c.resources(&b, d)
	c.costs(&b)
	c.recoveries(&b)
	return b.String()
}

// summary is a table with a column an environment.
func (c Comment) summary(b *strings.Builder) {
	row := func(title string, cell func(e Environment) string) {
		fmt.Fprintf(b, "| %s |", title)
		for _, e := range c.Environments {
			fmt.Fprintf(b, " %s |", cell(e))
		}
		b.WriteString("\n")
	}
	row("", func(e Environment) string { return "**" + md(e.Name) + "**" })
	row("---", func(Environment) string { return "---:" })
	for _, action := range Actions {
		row("resources "+string(action), func(e Environment) string {
			n := e.Count(action)
			if n > 0 && (action == Replaced || action == MayBeReplaced || action == Removed) {
				return fmt.Sprintf("**%d**", n)
			}
			return fmt.Sprint(n)
		})
	}
	row("permissions or protections", func(e Environment) string {
		broadened, changes := len(e.Weaker) > 0, false
		for _, stack := range e.Stacks {
			broadened = broadened || stack.Security.Broadened
			changes = changes || len(stack.Security.lines()) > 0
		}
		switch {
		case broadened:
			return "**weaker**"
		case changes:
			return "changed"
		}
		return "same"
	})
	for i := range (Costs{}).parts() {
		row((Costs{}).parts()[i].name, func(e Environment) string {
			if e.Costs.Fault != "" {
				return "not known"
			}
			sum := Sum(e.Costs.parts()[i].amounts)
			return dollars(sum.New) + " (" + difference(sum) + ")"
		})
	}
	row("recovery objectives", func(e Environment) string {
		if e.RecoveryTimes.Fault != "" {
			return "not known"
		}
		for _, r := range e.RecoveryTimes.Recoveries {
			if !Kept(r.New) {
				return "**missed**"
			}
		}
		return "kept"
	})
	row("order of deployment", func(e Environment) string {
		switch {
		case len(e.Order.Refused) > 0:
			return "**cannot be deployed as it is**"
		case len(e.Order.Reasons) > 0:
			return "see below"
		}
		return "any"
	})
	b.WriteString("\n")
}

// replaced lists what is replaced or removed, or is out of service while it changes.
func (c Comment) replaced(b *strings.Builder, d detail) {
	b.WriteString("### Replaced, removed or interrupted\n\n")
	var rows []string
	for _, e := range c.Environments {
		for _, stack := range e.Stacks {
			if stack.Is == Removed {
				rows = append(rows, fmt.Sprintf("| %s | **the whole stack** | removed | |", code(stack.Name, d.value)))
			}
			for _, r := range stack.Resources {
				if r.Action != Replaced && r.Action != MayBeReplaced && r.Action != Removed && !r.Interrupted() {
					continue
				}
				var because []string
				for _, p := range r.Properties {
					if p.Replaces || p.Interrupts {
						because = append(because, markdownOf(p, d.value))
					}
				}
				then := r.Fate
				switch {
				case r.Action == Updated:
					then = "**in place, with an outage**"
				case r.HoldsData:
					then = "**" + then + ", with its data**"
				}
				rows = append(rows, fmt.Sprintf("| %s | %s<br>%s | %s | %s |",
					code(stack.Name, d.value), code(r.LogicalID, d.value), r.Type, md(string(r.Action)+": ")+then, strings.Join(because[:min(len(because), 5)], "<br>")))
			}
		}
	}
	if len(rows) == 0 {
		b.WriteString("Nothing is.\n\n")
		return
	}
	b.WriteString("| stack | resource | what | because |\n| --- | --- | --- | --- |\n")
	list(b, rows, d.rows, "\n| … | %d more | | |\n")
	b.WriteString("\n")
}

// security lists statements, rules of security groups, and protections.
func (c Comment) security(b *strings.Builder, d detail) {
	b.WriteString("### Security\n\n")
	none := true
	for _, e := range c.Environments {
		for _, stack := range e.Stacks {
			lines := stack.Security.lines()
			if len(lines) == 0 {
				continue
			}
			none = false
			says := "nobody may do more than before"
			if stack.Security.Broadened {
				says = "**somebody may do more than before**"
			}
			fmt.Fprintf(b, "%s: %s\n\n```diff\n", code(stack.Name, d.value), says)
			for i, line := range lines {
				lines[i] = strings.ReplaceAll(cut(line, 2*d.value), "```", "'''")
			}
			list(b, lines, d.rows, "\n  … and %d more\n")
			b.WriteString("```\n\n")
		}
		var weaker []string
		for _, line := range e.Weaker {
			weaker = append(weaker, "- **less protection**: "+code(line, 2*d.value))
		}
		if len(weaker) > 0 {
			none = false
			list(b, weaker, d.rows, "\n- … and %d more\n")
			b.WriteString("\n")
		}
	}
	if none {
		b.WriteString("No permission, no rule of a security group and no protection changes.\n\n")
	}
}

func (c Comment) order(b *strings.Builder, d detail) {
	b.WriteString("### Order of deployment\n\n")
	for _, e := range c.Environments {
		if len(e.Stacks) == 0 {
			continue
		}
		fmt.Fprintf(b, "- **%s**: ", md(e.Name))
		switch {
		case len(e.Order.Stacks) == 0:
			b.WriteString("none works")
		case len(e.Order.Reasons) == 0:
			fmt.Fprintf(b, "no value that crosses stacks changes, so each can be deployed without the others: %s", strings.Join(e.Order.Stacks, ", "))
		default:
			b.WriteString(strings.Join(e.Order.Stacks, ", "))
		}
		b.WriteString("\n")
		var lines []string
		for _, refused := range e.Order.Refused {
			lines = append(lines, "  - **cannot be deployed as it is**: "+code(refused, 4*d.value))
		}
		for _, o := range e.Obstacles {
			word, rest, _ := strings.Cut(o.String(), ": ")
			lines = append(lines, "  - **"+strings.ToLower(word)+"**: "+code(rest, 4*d.value))
		}
		for _, reason := range e.Order.Reasons {
			lines = append(lines, "  - "+code(reason, 2*d.value))
		}
		list(b, lines, d.rows, "\n  - … and %d more\n")
	}
	b.WriteString("\n")
}

// settings lists the settings that change: what the author has changed, as a rule, and what all else follows from.
func (c Comment) settings(b *strings.Builder, d detail) {
	var lines []string
	for _, e := range c.Environments {
		for _, stack := range e.Stacks {
			for _, p := range stack.settings() {
				lines = append(lines, fmt.Sprintf("- %s: %s", md(e.Name), markdownOf(p, d.value)))
			}
		}
	}
	if len(lines) > 0 {
		b.WriteString("### Settings\n\n")
		list(b, lines, d.rows, "\n- … and %d more\n")
		b.WriteString("\n")
	}
}

// resources has a fold a stack.
func (c Comment) resources(b *strings.Builder, d detail) {
	b.WriteString("### Resources\n\n")
	for _, e := range c.Environments {
		for _, stack := range e.Stacks {
			title := fmt.Sprintf("<b>%s</b> (%s): %s", html.EscapeString(stack.Name), html.EscapeString(stack.Region), countsOf([]Stack{stack}))
			if stack.Is != Updated {
				title += fmt.Sprintf(", the whole stack is %s", stack.Is)
			}
			if !d.resources {
				fmt.Fprintf(b, "- %s\n", title)
				continue
			}
			var rows []string
			for _, r := range stack.Resources {
				row := fmt.Sprintf("| %s | %s<br>%s<br>%s |", r.Action, code(r.LogicalID, d.value), md(r.Type), code(r.Path, d.value))
				if !d.properties {
					rows = append(rows, fmt.Sprintf("%s %d properties |", row, len(r.Properties)))
					continue
				}
				var lines []string
				for _, p := range r.Properties {
					lines = append(lines, markdownOf(p, d.value))
				}
				if more := len(lines) - d.rows; more > 0 {
					lines = append(lines[:d.rows], fmt.Sprintf("… and %d more", more))
				}
				rows = append(rows, fmt.Sprintf("%s %s |", row, strings.Join(lines, "<br>")))
			}
			for _, p := range stack.Rest {
				if strings.HasPrefix(p.Path, "Metadata."+assembly.SettingsMetadata+".") {
					continue // listed as settings
				}
				rows = append(rows, fmt.Sprintf("| updated | (the stack) | %s |", markdownOf(p, d.value)))
			}
			fmt.Fprintf(b, "<details><summary>%s</summary>\n\n| | resource | properties |\n| --- | --- | --- |\n", title)
			list(b, rows, d.rows, "\n| … | %d more | |\n")
			b.WriteString("\n</details>\n\n")
		}
	}
	b.WriteString("\n")
}

// costs has a table of the services that cost more or less.
func (c Comment) costs(b *strings.Builder) {
	b.WriteString("### Cost\n\nAt list prices, in US dollars; what each sum is made of: `make cost`.\n\n")
	var rows []string
	for _, e := range c.Environments {
		if e.Costs.Fault != "" {
			rows = append(rows, fmt.Sprintf("| %s | not known: %s | | | |", md(e.Name), md(cut(e.Costs.Fault, 300))))
			continue
		}
		for _, part := range e.Costs.parts() {
			for _, a := range Changes(part.amounts) {
				rows = append(rows, fmt.Sprintf("| %s | %s: %s | %s | %s | %s |", md(e.Name), part.name, md(a.Service), dollars(a.Old), dollars(a.New), difference(a)))
			}
			sum := Sum(part.amounts)
			rows = append(rows, fmt.Sprintf("| **%s** | **%s** | %s | %s | **%s** |", md(e.Name), part.name, dollars(sum.Old), dollars(sum.New), difference(sum)))
		}
	}
	b.WriteString("| environment | what | before | after | difference |\n| --- | --- | ---: | ---: | ---: |\n" + strings.Join(rows, "\n") + "\n\n")
}

// recoveries has a table of the recovery times.
func (c Comment) recoveries(b *strings.Builder) {
	b.WriteString("### Recovery times\n\nAt the worst, computed from the templates; item by item: `make recovery-time`.\n\n")
	var rows []string
	for _, e := range c.Environments {
		if e.RecoveryTimes.Fault != "" {
			rows = append(rows, fmt.Sprintf("| %s | not known: %s | | | | |", md(e.Name), md(cut(e.RecoveryTimes.Fault, 300))))
			continue
		}
		for _, r := range e.RecoveryTimes.Recoveries {
			change := "same"
			if len(r.Old.Items) > 0 && r.Differs() {
				change = signed(r.New.Total().Worst - r.Old.Total().Worst)
			}
			objective := recoverytime.Spell(r.New.Objective.Limit)
			if len(r.Old.Items) > 0 && r.Old.Objective.Limit != r.New.Objective.Limit {
				objective = recoverytime.Spell(r.Old.Objective.Limit) + " → " + objective
			}
			verdict := "kept"
			if !Kept(r.New) {
				verdict = "**missed**; the largest part: " + md(cut(r.New.Largest().What, 100))
			} else if left, manual := r.New.LeftForPeople(); manual {
				verdict += ", leaves " + recoverytime.Spell(left.Worst) + " for people"
			}
			rows = append(rows, fmt.Sprintf("| %s | %s | %s | %s | %s | %s | %s |", md(e.Name), md(string(r.Kind)), worst(r.Old), worst(r.New), change, objective, verdict))
		}
	}
	b.WriteString("| environment | what | before | after | difference | objective | |\n| --- | --- | ---: | ---: | ---: | ---: | --- |\n" + strings.Join(rows, "\n") + "\n")
}

// list writes lines, no more than most of them, and how many there are besides.
func list(b *strings.Builder, lines []string, most int, more string) {
	if len(lines) == 0 {
		return
	}
	b.WriteString(strings.Join(lines[:min(len(lines), most)], "\n"))
	if left := len(lines) - most; left > 0 {
		fmt.Fprintf(b, more, left)
		return
	}
	b.WriteString("\n")
}

func markdownOf(p Property, most int) string {
	line := fmt.Sprintf("%s: %s → %s", code(p.Path, most), code(orAbsent(p.Old), most), code(orAbsent(p.New), most))
	if p.Follows {
		line = fmt.Sprintf("%s: %s, which is replaced", code(p.Path, most), code(p.Old, most))
	}
	if p.Replaces {
		line += " **replaces**"
	}
	if p.Interrupts {
		line += " **with an outage**"
	}
	return line
}

// code shows a text as it is, in a table too: nothing in it is Markdown, HTML, or somebody's name.
func code(text string, most int) string {
	return "<code>" + escaped.Replace(html.EscapeString(cut(text, most))) + "</code>"
}

// md is a text of the templates or of the settings outside code.
func md(text string) string { return escaped.Replace(html.EscapeString(text)) }

// escaped takes the meaning from what Markdown would read. What html.EscapeString has written stays as it is.
var escaped = strings.NewReplacer("&#34;", "&#34;", "&#39;", "&#39;", "|", "&#124;", "*", "&#42;", "_", "&#95;", "`", "&#96;", "[", "&#91;", "]", "&#93;",
	"@", "&#64;", "~", "&#126;", "#", "&#35;", "\\", "&#92;", "\n", " ", "\r", " ", "https://", "https&#58;//", "http://", "http&#58;//")

func dollars(d cost.Decimal) string {
	if d.Sign() < 0 {
		return "-$" + (cost.Decimal{}).Minus(d).Text(2)
	}
	return "$" + d.Text(2)
}

func difference(a Amount) string {
	d := a.New.Minus(a.Old)
	switch {
	case d.Sign() == 0:
		return "same"
	case d.Sign() > 0:
		return "+" + dollars(d)
	}
	return dollars(d)
}
