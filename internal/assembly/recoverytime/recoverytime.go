// Package recoverytime adds up how long a recovery takes, item by item, from what the synthesized templates say: how often health
// checks ask, how long alarms look back, what the recovery plan's steps may take. What no template says is a number that AWS
// publishes or an assumption, and each item names which. It is arithmetic over one environment and not a measurement: it tells
// that an objective cannot be kept before a recovery does.
//
// Worst means the longest that a recovery that succeeds can take. A step of the plan that runs into its limit has failed, and
// from there on a person is needed.
package recoverytime

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"payments-dr/internal/assembly"
	"payments-dr/internal/settings"
)

// PaymentsLimit is how long payments may be away when a Region is lost. The recovery time objective of the settings is for the
// platform as a whole, with the ledger; payments move by DNS alone, and the platform is built to take them again within one minute.
const PaymentsLimit = time.Minute

// Kind is what is away, and why.
type Kind string

const (
	// PaymentsLost is payments while nothing in the Region answers, until DNS leads to the other Region and caches know it.
	PaymentsLost Kind = "payments, Region lost"
	// PaymentsFailing is payments while the Region answers with server errors, until DNS leads to the other Region and caches
	// know it.
	PaymentsFailing Kind = "payments, Region answers with server errors"
	// LedgerLost is the ledger while its Region is lost, until the ledger of the other Region records payments.
	LedgerLost Kind = "ledger, Region lost"
)

// Report is what an environment's recoveries take.
type Report struct {
	Environment string `json:"environment"`
	// Paths are, for each kind, the loss of the primary Region and that of the secondary.
	Paths []Path `json:"paths"`
}

// Path is the way from the loss of a Region to what is back in the other.
type Path struct {
	Kind Kind `json:"kind"`
	// Region is the one that is lost or that fails.
	Region string `json:"region"`
	// Items follow one another.
	Items []Item `json:"items"`
	// Beside are items that are not part of the total: they run beside the way or after it, or are not the platform's, as the
	// client's retry and the time that a person takes to decide.
	Beside    []Item    `json:"beside,omitempty"`
	Objective Objective `json:"objective"`
}

// Objective is what a path's total is held against.
type Objective struct {
	// Name says where the objective is set.
	Name  string
	Limit time.Duration
}

// Item is one part of a path.
type Item struct {
	What  string `json:"what"`
	Takes Time   `json:"takes"`
	// Sources are where the numbers come from, each "template: ", "AWS: " or "assumption: " and what.
	Sources []string `json:"sources"`
	// Decides is whether it is a person who takes the time, and without whom the recovery does not begin.
	Decides bool `json:"decides,omitempty"`
}

// Time is how long something takes: as a rule, and at the most.
type Time struct {
	Expected, Worst time.Duration
}

// Plus is this and then that.
func (t Time) Plus(u Time) Time { return Time{t.Expected + u.Expected, t.Worst + u.Worst} }

// Total is the sum of the path's items.
func (p Path) Total() Time {
	var total Time
	for _, item := range p.Items {
		total = total.Plus(item.Takes)
	}
	return total
}

// LeftForPeople is what the objective leaves for a person to look, to decide and to start the recovery. manual is false if the
// recovery starts by itself. Less than nothing in the worst case is a miss.
func (p Path) LeftForPeople() (left Time, manual bool) {
	total, limit := p.Total(), p.Objective.Limit
	return Time{limit - total.Expected, limit - total.Worst}, slices.ContainsFunc(p.Beside, func(item Item) bool { return item.Decides })
}

// Largest is the item whose worst case is the longest.
func (p Path) Largest() Item {
	return slices.MaxFunc(p.Items, func(a, b Item) int { return int(a.Takes.Worst - b.Takes.Worst) })
}

// Name is the kind and the Region.
func (p Path) Name() string { return fmt.Sprintf("%s (%s)", p.Kind, p.Region) }

// Of adds up the recovery times of an assembly. Its error is a Faults: every number that is not in the templates, and whatever else keeps
// a recovery from taking the way that is added up.
func Of(a *assembly.Assembly) (*Report, error) {
	s := &a.Settings
	t := &templates{assembly: a}
	rto := Objective{"objectives.rtoMinutes of the settings", time.Duration(s.Objectives.RTOMinutes) * time.Minute}
	soon := rto
	if PaymentsLimit < rto.Limit {
		soon = Objective{"what the platform is built for", PaymentsLimit}
	}
	b := &Report{Environment: s.Environment}
	for _, region := range s.Both() {
		b.Paths = append(b.Paths, Path{Kind: PaymentsLost, Region: region.Name, Items: t.paymentsLost(region), Beside: []Item{clientRetry}, Objective: soon})
	}
	for _, region := range s.Both() {
		b.Paths = append(b.Paths, Path{Kind: PaymentsFailing, Region: region.Name, Items: t.paymentsFailing(region), Beside: []Item{clientRetry}, Objective: rto})
	}
	for _, region := range s.Both() {
		way, beside := t.ledgerLost(region, s.Other(region))
		b.Paths = append(b.Paths, Path{Kind: LedgerLost, Region: region.Name, Items: way, Beside: beside, Objective: rto})
	}
	if len(t.faults) > 0 {
		return nil, t.faults
	}
	return b, nil
}

// Slowest are the paths, of each kind the one of the Region whose loss takes longer.
func (b *Report) Slowest() []Path {
	var slowest []Path
	for _, path := range b.Paths {
		i := slices.IndexFunc(slowest, func(p Path) bool { return p.Kind == path.Kind })
		switch {
		case i < 0:
			slowest = append(slowest, path)
		case path.Total().Worst > slowest[i].Total().Worst:
			slowest[i] = path
		}
	}
	return slowest
}

// Check holds the worst case of the slowest path of each kind against its objective. Its error is a Misses.
func (b *Report) Check() error {
	var misses Misses
	for _, path := range b.Slowest() {
		if path.Total().Worst > path.Objective.Limit {
			misses = append(misses, path)
		}
	}
	if len(misses) > 0 {
		return misses
	}
	return nil
}

// Faults is everything that keeps recovery times from being added up, a sentence each.
type Faults []string

func (f Faults) Error() string {
	return "the recovery times cannot be added up:\n  " + strings.Join(f, "\n  ")
}

// Misses are the paths that miss their objective in the worst case.
type Misses []Path

func (m Misses) Error() string {
	lines := make([]string, len(m))
	for i, path := range m {
		total, limit, largest := path.Total(), path.Objective.Limit, path.Largest()
		lines[i] = fmt.Sprintf("%s: up to %s, %s more than the objective of %s (%s); the largest item is %s, up to %s",
			path.Name(), Spell(total.Worst), Spell(total.Worst-limit), Spell(limit), path.Objective.Name, largest.What, Spell(largest.Takes.Worst))
		if _, manual := path.LeftForPeople(); manual {
			lines[i] += "; nothing is left for people to start the plan"
		}
	}
	return "a recovery may miss its objective:\n  " + strings.Join(lines, "\n  ")
}

// Spell writes a time without the units that are zero: 1h30m, 2m, 1m52s.
func Spell(d time.Duration) string {
	text := d.Round(time.Second).String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// MarshalJSON writes seconds.
func (t Time) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Expected float64 `json:"expectedSeconds"`
		Worst    float64 `json:"worstSeconds"`
	}{t.Expected.Seconds(), t.Worst.Seconds()})
}

// MarshalJSON writes seconds.
func (o Objective) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Name  string  `json:"name"`
		Limit float64 `json:"limitSeconds"`
	}{o.Name, o.Limit.Seconds()})
}

// MarshalJSON adds what follows from the items: the total, whether the objective is kept in the worst case, and what it leaves
// for people if they start the recovery.
func (p Path) MarshalJSON() ([]byte, error) {
	type plain Path
	var leftForPeople *Time
	if left, manual := p.LeftForPeople(); manual {
		leftForPeople = &left
	}
	return json.Marshal(struct {
		plain
		Total         Time  `json:"total"`
		Kept          bool  `json:"kept"`
		LeftForPeople *Time `json:"leftForPeople,omitempty"`
	}{plain(p), p.Total(), p.Total().Worst <= p.Objective.Limit, leftForPeople})
}

// role is the role of a Region, and of its stack, in the settings.
func role(s *settings.Settings, region settings.Region) string {
	if region.Name == s.Regions.Secondary.Name {
		return string(settings.RoleSecondary)
	}
	return string(settings.RolePrimary)
}
