package docs

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"payments-dr/internal/assembly"
	"payments-dr/internal/settings"
	"payments-dr/stacks/stackstest"
)

func TestEveryAlarmLeadsToItsSection(t *testing.T) {
	sections, used := stackstest.AlarmSections(t), map[string]bool{"budget": true}
	stackstest.EachStack(t, func(t *testing.T, v stackstest.View) {
		texts := map[string]string{}
		for name, alarm := range v.Alarms(t) {
			texts[name], _ = alarm.Properties["AlarmDescription"].(string)
		}
		for id, rule := range v.Of("AWS::Events::Rule") {
			for _, target := range assembly.List(rule.Properties["Targets"]) {
				// What goes to a function is read by no person.
				function := v.Stack.Template.Resources[assembly.Referred(assembly.At(target, "Arn"))].Type == "AWS::Lambda::Function"
				if template, ok := assembly.At(target, "InputTransformer", "InputTemplate").(string); ok && !function {
					texts[id] = template
				}
			}
		}
		base := "docs/operate/alarms.md"
		if v.Assembly.Settings.Environment == stackstest.Europe {
			base = "https://runbooks.acme-bank.eu/alarms"
		}
		for name, description := range texts {
			to := stackstest.Link.FindStringSubmatch(description)
			if to == nil || to[1] != base || len(description) > 1024 || strings.Index(description, ". ") < 10 {
				t.Errorf("%s says %q, want a sentence and a link to %s", name, description, base)
				continue
			}
			if _, ok := sections[to[2]]; !ok {
				t.Errorf("%s leads to the section %q, which is not there", name, to[2])
			}
			used[to[2]] = true
		}
	})
	for name, section := range sections {
		if !used[name] {
			t.Errorf("no alarm leads to the section %q", name)
		}
		description, rest, ok := strings.Cut(section, "\n### Investigation\n")
		investigation, resolution, ok2 := strings.Cut(rest, "\n### Resolution\n")
		if !ok || !ok2 || !strings.HasPrefix(description, "\n### Description\n") || len(investigation) < 20 || len(resolution) < 20 {
			t.Errorf("section %q has not a description, an investigation and a resolution", name)
		}
		if !strings.Contains(description, "Missing data: ") {
			t.Errorf("section %q does not say what missing data mean", name)
		}
	}
}

func TestAlarmPagesLinksLeadSomewhere(t *testing.T) {
	sections := stackstest.AlarmSections(t)
	data, err := os.ReadFile(settings.AlarmPagesFile)
	if err != nil {
		t.Fatal(err)
	}
	for _, match := range regexp.MustCompile(`\]\(([^)]*)\)`).FindAllStringSubmatch(string(data), -1) {
		if to, ok := strings.CutPrefix(match[1], "#"); ok {
			if _, ok := sections[to]; !ok {
				t.Errorf("a link leads to %q", match[1])
			}
		}
	}
}
