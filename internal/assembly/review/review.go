package review

import (
	"context"
	"fmt"
	"strings"

	"payments-dr/internal/assembly/golden"
)

// Environment is what a change does to an environment.
type Environment struct {
	Name          string
	Stacks        []Stack
	Order         Order
	Costs         Costs
	RecoveryTimes RecoveryTimes
	// Weaker are protections that go or get less, a sentence each.
	Weaker []string
	// Obstacles are changes that the deployment cannot make, or not by itself.
	Obstacles []Obstacle
}

// Of compares two states of an environment. Either may be empty. moduleDir is the project's folder.
func Of(ctx context.Context, moduleDir, name string, old, now golden.Set) (Environment, error) {
	e := Environment{Name: name}
	var err error
	if e.Stacks, err = Compare(ctx, moduleDir, old, now); err != nil {
		return e, fmt.Errorf("review %s: %w", name, err)
	}
	before, after, err := assemblies(old, now)
	if err != nil {
		return e, fmt.Errorf("review %s: %w", name, err)
	}
	e.Order, e.Costs, e.RecoveryTimes, e.Weaker = OrderOf(old, now, e.Stacks), costsOf(before, after), recoveryTimesOf(before, after), weaker(e.Stacks)
	e.Obstacles = Obstacles(e.Stacks)
	return e, nil
}

// Count is how many resources have an action, over all stacks.
func (e Environment) Count(action Action) int {
	n := 0
	for _, stack := range e.Stacks {
		n += len(stack.Of(action))
	}
	return n
}

// guards are properties that protect something while they have a value; a change away from it takes the protection off.
var guards = map[string]string{
	"DeletionProtection":              "true",
	"DeletionProtectionEnabled":       "true",
	"PointInTimeRecoveryEnabled":      "true",
	"StorageEncrypted":                "true",
	"EnableKeyRotation":               "true",
	"ActionsEnabled":                  "true",
	"EnableIAMDatabaseAuthentication": "true",
	"termination protection":          "true",
	"AuthorizationType":               "AWS_IAM",
}

// retains is whether a DeletionPolicy or an UpdateReplacePolicy keeps the resource.
func retains(policy string) bool { return policy == "Retain" || policy == "RetainExceptOnCreate" }

// weaker finds protections that go: a guard that loses its value, a snapshot that is no longer taken, fewer days of backups, an alarm
// that is removed.
func weaker(stacks []Stack) []string {
	var found []string
	for _, stack := range stacks {
		say := func(of string, p Property) {
			found = append(found, fmt.Sprintf("%s %s: %s %s → %s", stack.Name, of, p.Path, orAbsent(p.Old), orAbsent(p.New)))
		}
		for _, p := range stack.Rest {
			if guards[p.Path] == p.Old && p.Old != "" {
				say("(the stack)", p)
			}
		}
		for _, r := range stack.Resources {
			if r.Action == Removed && strings.HasSuffix(r.Type, "Alarm") {
				found = append(found, fmt.Sprintf("%s %s: the alarm is removed", stack.Name, r.LogicalID))
			}
			for _, p := range r.Properties {
				name := p.Path[strings.LastIndex(p.Path, ".")+1:]
				switch {
				case guards[name] == p.Old && p.Old != "" && p.New != p.Old,
					(name == "DeletionPolicy" || name == "UpdateReplacePolicy") && (retains(p.Old) || p.Old == "Snapshot") && !retains(p.New) && p.New != p.Old,
					strings.HasSuffix(name, "RetentionPeriod") && less(p.New, p.Old),
					name == "LockConfiguration" && p.New == "":
					say(r.LogicalID, p)
				}
			}
		}
	}
	return found
}

func orAbsent(value string) string {
	if value == "" {
		return "(absent)"
	}
	return value
}

// less is whether a number is less than another.
func less(a, b string) bool {
	var x, y float64
	if _, err := fmt.Sscan(a, &x); err != nil {
		return false
	}
	if _, err := fmt.Sscan(b, &y); err != nil {
		return false
	}
	return x < y
}
