package eventbus

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
)

// Topology is the buses, queues and rules of a Region.
type Topology struct {
	Region string
	// Buses are names.
	Buses []string
	// Queues are ARNs.
	Queues []string
	Rules  []Rule
}

// Routes is where an event went that was put in one Region.
type Routes struct {
	// Origin is the Region.
	Origin string
	// Buses and Queues have for each ARN how often the event arrived.
	Buses, Queues map[string]int
	// Refused are the deliveries that failed.
	Refused []Delivery
}

// CheckRouting puts one event in each Region and follows it. sample makes the event of a Region, for the bus of the same name
// in each. The error, if there is one, tells every event that does not reach the bus of every Region exactly once, that is
// refused anywhere, or that reaches a queue twice or a dead-letter queue at all; the routes are returned with it.
func CheckRouting(ctx context.Context, account string, regions []Topology, sample func(region string) Entry) ([]Routes, error) {
	var all []Routes
	var faults []error
	for _, origin := range regions {
		routes, err := follow(ctx, account, regions, origin.Region, sample(origin.Region))
		if err != nil {
			return nil, fmt.Errorf("follow an event of %s: %w", origin.Region, err)
		}
		all = append(all, routes)
		faults = append(faults, routes.faults(regions)...)
	}
	return all, errors.Join(faults...)
}

func follow(ctx context.Context, account string, regions []Topology, origin string, entry Entry) (Routes, error) {
	routes := Routes{Origin: origin, Buses: map[string]int{}, Queues: map[string]int{}}
	n := New(ctx, Config{Account: account, Observe: func(d Delivery) {
		if d.ErrorCode != "" {
			routes.Refused = append(routes.Refused, d)
			return
		}
		if service, _, _ := ReadARN(d.Target.ARN); service == "events" {
			routes.Buses[d.Target.ARN]++
		}
	}})
	for _, t := range regions {
		for _, name := range t.Buses {
			routes.Buses[n.AddBus(t.Region, name)] = 0
		}
		for _, arn := range t.Queues {
			routes.Queues[arn] = 0
			n.AddQueue(arn, &counter{counts: routes.Queues, arn: arn})
		}
	}
	for _, t := range regions {
		for _, rule := range t.Rules {
			rule.Targets = slices.Clone(rule.Targets)
			for i := range rule.Targets {
				rule.Targets[i].RetryAttempts = 0 // nothing here fails that another attempt would mend
			}
			if err := n.AddRule(t.Region, rule); err != nil {
				return routes, err
			}
		}
	}
	put := busARN(origin, n.config.Account, entry.EventBusName)
	if _, there := routes.Buses[put]; there {
		routes.Buses[put]++
	}
	results, err := n.Put(ctx, origin, []Entry{entry})
	if err != nil {
		return routes, err
	}
	if code := results[0].ErrorCode; code != "" {
		return routes, fmt.Errorf("put event: %s: %s", code, results[0].ErrorMessage)
	}
	return routes, n.Wait(ctx)
}

func (r Routes) faults(regions []Topology) []error {
	var faults []error
	deadLetters := map[string]bool{}
	for _, t := range regions {
		for _, rule := range t.Rules {
			for _, target := range rule.Targets {
				deadLetters[target.DeadLetterARN] = true
			}
		}
	}
	for _, arn := range slices.Sorted(maps.Keys(r.Buses)) {
		if count := r.Buses[arn]; count != 1 {
			faults = append(faults, fmt.Errorf("an event of %s reaches bus %s %d times, want once", r.Origin, arn, count))
		}
	}
	for _, arn := range slices.Sorted(maps.Keys(r.Queues)) {
		switch count := r.Queues[arn]; {
		case deadLetters[arn] && count > 0:
			faults = append(faults, fmt.Errorf("an event of %s reaches dead-letter queue %s", r.Origin, arn))
		case count > 1:
			faults = append(faults, fmt.Errorf("an event of %s reaches queue %s %d times", r.Origin, arn, count))
		}
	}
	for _, d := range r.Refused {
		faults = append(faults, fmt.Errorf("an event of %s is refused on the way from %s to %s: %s: %w", r.Origin, d.RuleARN, d.Target.ARN, d.ErrorCode, d.Err))
	}
	return faults
}

// counter is a queue that counts.
type counter struct {
	mu     sync.Mutex
	counts map[string]int
	arn    string
}

func (c *counter) Send(context.Context, string, map[string]string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.counts[c.arn]++
	return nil
}
