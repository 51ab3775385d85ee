package review

import (
	"slices"
	"strings"
	"time"

	"payments-dr/internal/assembly"
	"payments-dr/internal/assembly/cost"
	"payments-dr/internal/assembly/golden"
	"payments-dr/internal/assembly/recoverytime"
)

// Costs are what an environment costs before and after, by service.
type Costs struct {
	// Idle is a month without payments, Million a million payments.
	Idle, Million []Amount
	// Fault is why it cannot be added up.
	Fault string
}

// Amount is what something costs before and after, in US dollars.
type Amount struct {
	Service  string
	Old, New cost.Decimal
}

// Changes are the amounts that differ.
func Changes(amounts []Amount) []Amount {
	return slices.DeleteFunc(slices.Clone(amounts), func(a Amount) bool { return a.Old.Cmp(a.New) == 0 })
}

// Sum is the sum of amounts.
func Sum(amounts []Amount) Amount {
	total := Amount{Service: "all"}
	for _, a := range amounts {
		total.Old, total.New = total.Old.Plus(a.Old), total.New.Plus(a.New)
	}
	return total
}

// Recovery is how long a recovery takes before and after, at the worst, and what that is held against.
type Recovery struct {
	Kind recoverytime.Kind
	// Old and New are the slowest paths of the kind. Old has no items if there was none.
	Old, New recoverytime.Path
}

// Kept is whether the path keeps its objective in the worst case.
func Kept(p recoverytime.Path) bool { return p.Total().Worst <= p.Objective.Limit }

// Differs is whether the time, the objective or who starts the recovery differs.
func (r Recovery) Differs() bool {
	_, before := r.Old.LeftForPeople()
	_, after := r.New.LeftForPeople()
	return r.Old.Total() != r.New.Total() || r.Old.Objective != r.New.Objective || before != after
}

// RecoveryTimes are the recovery times of an environment before and after.
type RecoveryTimes struct {
	Recoveries []Recovery
	// Fault is why they cannot be added up.
	Fault string
}

// assemblies are both sets as the rest of the project reads them. The old one is nil if there is none.
func assemblies(old, now golden.Set) (before, after *assembly.Assembly, err error) {
	if len(old.Stacks) > 0 {
		if before, err = old.Assembly(); err != nil {
			return nil, nil, err
		}
	}
	if len(now.Stacks) > 0 {
		after, err = now.Assembly()
	}
	return before, after, err
}

// costsOf adds up both sides with the prices and the arithmetic of this commit, so that what differs is the templates' doing.
func costsOf(before, after *assembly.Assembly) Costs {
	usage := cost.DefaultUsage()
	var c Costs
	for side, a := range []*assembly.Assembly{before, after} {
		if a == nil {
			continue
		}
		estimate, err := cost.Of(a, usage)
		if err != nil {
			return Costs{Fault: fault(side, err)}
		}
		c.Idle, c.Million = put(c.Idle, side, estimate.Idle), put(c.Million, side, estimate.Million)
	}
	return c
}

func put(amounts []Amount, side int, rows []cost.Row) []Amount {
	for _, service := range cost.ByService(rows) {
		i := slices.IndexFunc(amounts, func(a Amount) bool { return a.Service == service.Name })
		if i < 0 {
			i, amounts = len(amounts), append(amounts, Amount{Service: service.Name})
		}
		if side == 0 {
			amounts[i].Old = service.USD
		} else {
			amounts[i].New = service.USD
		}
	}
	return amounts
}

func recoveryTimesOf(before, after *assembly.Assembly) RecoveryTimes {
	var b RecoveryTimes
	for side, a := range []*assembly.Assembly{before, after} {
		if a == nil {
			continue
		}
		sum, err := recoverytime.Of(a)
		if err != nil {
			return RecoveryTimes{Fault: fault(side, err)}
		}
		for _, path := range sum.Slowest() {
			i := slices.IndexFunc(b.Recoveries, func(r Recovery) bool { return r.Kind == path.Kind })
			if i < 0 {
				i, b.Recoveries = len(b.Recoveries), append(b.Recoveries, Recovery{Kind: path.Kind})
			}
			if side == 0 {
				b.Recoveries[i].Old = path
			} else {
				b.Recoveries[i].New = path
			}
		}
	}
	return b
}

func fault(side int, err error) string {
	return []string{"before the change: ", "after the change: "}[side] + strings.ReplaceAll(err.Error(), "\n", " ")
}

// worst is the total of a path at the worst, or a dash where there is no path.
func worst(p recoverytime.Path) string {
	if len(p.Items) == 0 {
		return "-"
	}
	return recoverytime.Spell(p.Total().Worst)
}

// signed is a difference of times with its sign.
func signed(d time.Duration) string {
	if d > 0 {
		return "+" + recoverytime.Spell(d)
	}
	return recoverytime.Spell(d)
}
