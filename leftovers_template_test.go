package main

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"payments-dr/internal/assembly"
	"payments-dr/stacks"
)

// leftovers is one row of the table "What stays behind": whether a resource is deleted, stays, or leaves a snapshot when the
// first deployment fails, when the stack is destroyed, and when that is a production stack.
type leftovers struct{ kinds, outcomes []string }

var backticked = regexp.MustCompile("`(AWS::[^`]+)`")

func documentedLeftovers(t *testing.T) []leftovers {
	t.Helper()
	page, err := os.ReadFile("docs/use/deploy.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(page), "## What stays behind")
	section, _, _ = strings.Cut(section, "\n## ")
	var rows []leftovers
	for line := range strings.Lines(section) {
		cells := strings.Split(line, "|")
		if len(cells) != 7 || !strings.Contains(cells[1], "AWS::") {
			continue
		}
		row := leftovers{}
		for _, match := range backticked.FindAllStringSubmatch(cells[1], -1) {
			row.kinds = append(row.kinds, match[1])
		}
		for _, cell := range cells[2:5] {
			row.outcomes = append(row.outcomes, strings.TrimSpace(cell))
		}
		rows = append(rows, row)
	}
	return rows
}

// afterFailure and afterDestroy are what CloudFormation does under a deletion policy ("DeletionPolicy attribute", AWS
// CloudFormation User Guide).
var (
	afterFailure = map[string]string{"Delete": "deleted", "Retain": "stays", "RetainExceptOnCreate": "deleted", "Snapshot": "snapshot"}
	afterDestroy = map[string]string{"Delete": "deleted", "Retain": "stays", "RetainExceptOnCreate": "stays", "Snapshot": "snapshot"}
)

// TestDeployDocumentSaysWhatStaysBehind compares the table with every resource that has a fixed name or is not deleted with its
// stack, in the stacks of both shipped environments.
func TestDeployDocumentSaysWhatStaysBehind(t *testing.T) {
	rows := documentedLeftovers(t)
	used := map[string]bool{}
	for _, role := range []string{stacks.RolePrimary, stacks.RoleSecondary, stacks.RoleGlobal} {
		dev, prod := viewOf(t, envDev, role).stack.Template.Resources, viewOf(t, envProd, role).stack.Template.Resources
		for _, id := range slices.Sorted(maps.Keys(dev)) {
			r, kept := dev[id], prod[id]
			policy, prodPolicy := cmp.Or(r.DeletionPolicy, "Delete"), cmp.Or(kept.DeletionPolicy, "Delete")
			if !strings.HasPrefix(r.Type, "AWS::") || policy == "Delete" && prodPolicy == "Delete" && !hasFixedName(r, "dev") {
				continue
			}
			if kept.Type != r.Type {
				t.Errorf("%s %s is not in both environments", role, id)
			}
			if afterFailure[policy] != afterFailure[prodPolicy] {
				t.Errorf("%s %s: a failed first deployment ends as %s in one environment and as %s in the other", role, id, policy, prodPolicy)
			}
			want := []string{afterFailure[policy], afterDestroy[policy], afterDestroy[prodPolicy]}
			found := false
			for i, row := range rows {
				if slices.Contains(row.kinds, r.Type) && slices.Equal(row.outcomes, want) {
					found, used[fmt.Sprint(i, r.Type)] = true, true
				}
			}
			if !found {
				t.Errorf("docs/use/deploy.md has no row that says of %s (%s) in the %s stack: %s", r.Type, id, role, strings.Join(want, ", "))
			}
		}
	}
	for i, row := range rows {
		for _, kind := range row.kinds {
			if !used[fmt.Sprint(i, kind)] {
				t.Errorf("docs/use/deploy.md says of %s: %s; no such resource is in the templates", kind, strings.Join(row.outcomes, ", "))
			}
		}
	}
}

// hasFixedName is whether a resource has a name that the environment's is part of.
func hasFixedName(r assembly.Resource, env string) bool {
	for property, value := range r.Properties {
		name := assembly.Text(value)
		own := strings.HasSuffix(property, "Name") || strings.HasSuffix(property, "Identifier")
		if own && strings.Contains(strings.ReplaceAll(strings.ReplaceAll(name, "/", "-"), "_", "-"), "payment-"+env) {
			return true
		}
	}
	return false
}
