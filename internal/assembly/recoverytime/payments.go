package recoverytime

import (
	"fmt"
	"slices"
	"time"

	"payments-dr/internal/assembly"
	"payments-dr/internal/assembly/publicname"
	"payments-dr/internal/settings"
	"payments-dr/internal/simulation/route53"
)

// paymentsLost is the way of payments out of a Region in which nothing answers.
func (t *templates) paymentsLost(region settings.Region) []Item {
	var detection []Item
	for _, check := range t.leavesBy(region, route53.KindEndpoint) {
		detection = quicker(detection, []Item{t.endpointCheck(check)})
	}
	if detection == nil {
		return nil
	}
	return append(detection, dnsSpread, t.resolvers(region))
}

// paymentsFailing is the way of payments out of a Region that answers with server errors. The check of the endpoint may notice
// first; it is not counted on, because the one path that it asks for may be one that works.
func (t *templates) paymentsFailing(region settings.Region) []Item {
	var detection []Item
	for _, check := range t.leavesBy(region, route53.KindMetric) {
		name := assembly.Text(assembly.At(check.Config["AlarmIdentifier"], "Name"))
		if items, ok := t.alarm(t.regional(region), name); ok {
			detection = quicker(detection, items)
		}
	}
	if detection == nil {
		return nil
	}
	return append(detection, dnsSpread, t.resolvers(region))
}

// resolvers is how long resolvers and clients go on with the answer that leads to a Region: up to its TTL.
func (t *templates) resolvers(region settings.Region) Item {
	zone, err := publicname.Read(t.assembly)
	if err != nil {
		t.fault("the public name cannot be read: %v", err)
		return Item{}
	}
	answer, err := zone.Answer(t.assembly.Settings.APIName(), func(c route53.Check) bool { return c.Kind != route53.KindPlan || c.Region == region.Name })
	if err != nil || answer.Region != region.Name {
		t.fault("the public name does not lead to %s when the plan has chosen it: %v", region.Name, err)
	}
	return Item{
		What: "resolvers' caches", Takes: Time{answer.TTL / 2, answer.TTL},
		Sources: []string{fmt.Sprintf("template: %s.TTL = %d", answer.Name, int(answer.TTL.Seconds())), sourceResolvers},
	}
}

// leavesBy are the health checks of a kind whose failure, by itself, takes payments out of a Region. None is a fault.
func (t *templates) leavesBy(region settings.Region, kind route53.Kind) []route53.Check {
	zone, err := publicname.Read(t.assembly)
	if err != nil {
		t.fault("the public name cannot be read: %v", err)
		return nil
	}
	name := t.assembly.Settings.APIName()
	var decisive []route53.Check
	for _, check := range checksOf(zone, region, kind) {
		// The plan has put payments into the Region that is lost, and all is well but this.
		got, err := zone.Answer(name, func(c route53.Check) bool {
			return c.ID != check.ID && (c.Kind != route53.KindPlan || c.Region == region.Name)
		})
		switch {
		case err != nil:
			t.fault("%v", err)
		case got.Region != region.Name:
			decisive = append(decisive, check)
		default:
			t.fault("%s goes on answering %s when health check %s is unhealthy", name, region.Name, check.ID)
		}
	}
	if decisive == nil {
		t.fault("no health check of the kind %s takes payments out of %s", kind, region.Name)
	}
	return decisive
}

// checksOf are the elementary health checks of a kind that are about a Region.
func checksOf(zone *route53.Zone, region settings.Region, kind route53.Kind) []route53.Check {
	var all []route53.Check
	for _, name := range zone.Names() {
		for _, record := range zone.Records(name) {
			if record.Check == nil {
				continue
			}
			for _, check := range append([]route53.Check{*record.Check}, record.Check.Children...) {
				known := slices.ContainsFunc(all, func(c route53.Check) bool { return c.ID == check.ID })
				if check.Kind == kind && check.Region == region.Name && !known {
					all = append(all, check)
				}
			}
		}
	}
	return all
}

// endpointCheck is how long the check of an endpoint takes to find that it is gone. Each checker waits its interval from the end
// of one request to the next, and a loss just after a good answer is noticed by nobody for a whole interval.
func (t *templates) endpointCheck(check route53.Check) Item {
	name := check.ID + ".HealthCheckConfig"
	interval, intervalSource := t.number(name, check.Config, "RequestInterval", 10)
	threshold, thresholdSource := t.number(name, check.Config, "FailureThreshold", 1)
	between, failures := seconds(interval), time.Duration(threshold)
	return Item{
		What: fmt.Sprintf("health check: %d in a row fail, %s apart", failures, Spell(between)),
		Takes: Time{
			// Half an interval until the first; nothing answers, so that each waits for a connection and no longer.
			Expected: between/2 + failures*checkConnect + (failures-1)*between,
			Worst:    failures * (between + checkConnect + checkAnswer),
		},
		Sources: []string{thresholdSource, intervalSource, sourceCheck},
	}
}

// quicker is whichever takes less time in the worst case, where one of them is enough.
func quicker(a, b []Item) []Item {
	if a == nil || (Path{Items: b}).Total().Worst < (Path{Items: a}).Total().Worst {
		return b
	}
	return a
}
