package policy

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// packTitles are the packs by the names that their rules begin with.
var packTitles = map[string]string{"AwsSolutions": "AWS Solutions", "NIST.800.53.R5": "NIST 800-53 revision 5", "PCI.DSS.321": "PCI DSS 3.2.1"}

// Document is docs/explain/policy.md: the rules of this platform, what the packs come to, and each suppression with its reason.
func Document(rules []string, reports ...*Report) string {
	var b strings.Builder
	b.WriteString(`# Policy

Written by ` + "`make generate`" + `; a test fails when it is not current. For whoever audits this platform: which rules its templates are held to, what the rules found, and why what
stays as it is does. It is about templates. What an account has besides (CloudTrail, Config, GuardDuty, who may sign in) is not in them.

## Rules of this platform

Each synthesis checks them, as a plug-in of the library's own validation, over all three stacks and any settings. A template that breaks one is not deployed: ` + "`cdk synth`" + ` ends with the
resource's path, the rule, what is allowed and how to fix it. Nobody can acknowledge one away. [internal/assembly/policy](../../internal/assembly/policy) has them; a test breaks each of them once.

| rule | forbids | allowed | why |
| --- | --- | --- | --- |
`)
	for _, rule := range Rules() {
		row(&b, "`"+rule.Name+"`", rule.Forbids, upper(rule.Allowed), rule.Why)
	}
	b.WriteString(`
## Rule packs

Three packs of [cdk-nag](https://github.com/cdklabs/cdk-nag) look at each resource of each stack, in the environments that are shipped: in the tests, and in a synthesis with ` + "`-c policy=true`" + `, which an
open finding ends. All rules of a pack are asked about every resource; most do not apply to it. A rule that applies answers, and may answer more than once about one resource, such as for
each wildcard of a policy.

| environment | pack | rules | that apply | answers | compliant | suppressed | open |
| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |
`)
	for _, c := range Counts(rules, reports...) {
		row(&b, c.Environment, packTitles[c.Pack], fmt.Sprint(c.Rules), fmt.Sprint(c.Applied), fmt.Sprint(c.Answers), fmt.Sprint(c.Compliant), fmt.Sprint(c.Suppressed), fmt.Sprint(c.Open))
	}
	excuses := excusesOf(reports)
	fmt.Fprintf(&b, `
## Suppressions

%d reasons. Each suppression is on the one resource that it is about, as metadata in the template, and in the construct's code beside what it is about. A test fails when one suppresses nothing any
more, when its reason is too short to be argued with, and when resources that are not alike share one. The Regions' stacks are the same unless it says otherwise.

| rule | resource | reason |
| --- | --- | --- |
`, len(excuses))
	for _, e := range excuses {
		row(&b, strings.Join(e.rules, "<br>"), strings.Join(e.resources, "<br>"), e.reason)
	}
	return b.String()
}

// row writes a row of a table.
func row(b *strings.Builder, cells ...string) {
	for _, cell := range cells {
		b.WriteString("| " + strings.ReplaceAll(cell, "|", `\|`) + " ")
	}
	b.WriteString("|\n")
}

func upper(sentence string) string { return strings.ToUpper(sentence[:1]) + sentence[1:] }

// excuse is a reason, with all that it is for.
type excuse struct {
	rules, resources []string
	reason           string
}

// excusesOf are the reasons of all environments, in the order of rules.
func excusesOf(reports []*Report) []excuse {
	type place struct{ environments, roles, parts map[string]bool }
	type key struct{ rules, reason string }
	found := map[key]map[string]*place{} // by path
	for _, r := range reports {
		for _, s := range r.Suppressions {
			k := key{strings.Join(r.rulesWith(s), "\n"), s.Reason}
			if found[k] == nil {
				found[k] = map[string]*place{}
			}
			p := found[k][s.Path]
			if p == nil {
				p = &place{map[string]bool{}, map[string]bool{}, map[string]bool{}}
				found[k][s.Path] = p
			}
			p.environments[r.Environment], p.roles[s.Role] = true, true
			for _, part := range s.Suppressed {
				if part != "" {
					p.parts["`"+r.general(s, part)+"`"] = true
				}
			}
		}
	}
	var all []excuse
	for k, places := range found {
		e := excuse{rules: strings.Split(k.rules, "\n"), reason: k.reason}
		for _, path := range slices.Sorted(maps.Keys(places)) {
			p := places[path]
			resource := "`" + path + "`"
			var only []string
			if roles := strings.Join(slices.Sorted(maps.Keys(p.roles)), ", "); roles != "primary, secondary" {
				only = append(only, roles)
			}
			if len(p.environments) < len(reports) {
				only = append(only, slices.Sorted(maps.Keys(p.environments))...)
			}
			if len(only) > 0 {
				resource += " (" + strings.Join(only, "; ") + ")"
			}
			if len(p.parts) > 0 {
				resource += ": " + strings.Join(slices.Sorted(maps.Keys(p.parts)), ", ")
			}
			e.resources = append(e.resources, resource)
		}
		all = append(all, e)
	}
	slices.SortFunc(all, func(a, b excuse) int {
		return slices.Compare(append(slices.Clone(a.rules), a.resources...), append(slices.Clone(b.rules), b.resources...))
	})
	return all
}

// general is a part of a finding in words that are the same in all environments and in both Regions.
func (r *Report) general(s Suppression, part string) string {
	own := r.regions[s.Stack]
	replace := []string{
		"payment-" + r.Environment, "payment-<env>", "payment/" + r.Environment, "payment/<env>", r.Account, "<account>", "<AWS::Partition>", "aws", own, "<region>",
	}
	for _, region := range r.regions {
		if region != own {
			replace = append(replace, region, "<other region>")
		}
	}
	return strings.NewReplacer(replace...).Replace(part)
}
