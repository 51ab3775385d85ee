// Package route53 simulates how Route 53 chooses an answer from failover records and health checks. The rules are those of "How
// Amazon Route 53 chooses records when health checking is configured" and "How health checks work in complex Amazon Route 53
// configurations" (Amazon Route 53 Developer Guide).
package route53

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Kind is what a health check watches.
type Kind string

// The kinds that the platform has. All but the last are Route 53's own words.
const (
	KindEndpoint Kind = "HTTPS"
	// KindText looks for a text in the answer of an endpoint, too.
	KindText Kind = "HTTPS_STR_MATCH"
	// KindConnection connects to an endpoint and asks it for nothing.
	KindConnection Kind = "TCP"
	KindMetric     Kind = "CLOUDWATCH_METRIC"
	KindCalculated Kind = "CALCULATED"
	// KindPlan is a health check that the recovery plan owns, one for each Region: healthy where the plan has put payments.
	KindPlan Kind = "plan"
)

// Check is one health check.
type Check struct {
	// ID is the logical id in the global template; for the plan's, "plan:" and the Region.
	ID   string
	Kind Kind
	// Region is the Region that an elementary check is about; empty for a calculated one.
	Region string
	// Config is the template's HealthCheckConfig; nil for the plan's.
	Config map[string]any
	// Children and Threshold are those of a calculated check: how many of the children have to be healthy.
	Children  []Check
	Threshold int
}

// Record is one record of the public zone.
type Record struct {
	Name, SetIdentifier string
	// Failover is PRIMARY, SECONDARY, or empty for a weighted record.
	Failover string
	// Check is nil if the record has no health check of its own.
	Check *Check
	// Alias is the name of the record that this one points to; empty if it points to a Region.
	Alias string
	// Region is where the record points to, and TTL how long the answer may be kept, if it points to no record.
	Region string
	TTL    time.Duration
	// EvaluateTarget is whether the record is only as healthy as what it points to.
	EvaluateTarget bool
}

// Zone is the public zone's records, by name. All are of the type CNAME.
type Zone struct {
	records map[string][]Record
}

// NewZone is a zone with these records.
func NewZone(records []Record) *Zone {
	zone := &Zone{records: map[string][]Record{}}
	for _, record := range records {
		zone.records[record.Name] = append(zone.records[record.Name], record)
	}
	return zone
}

// Records are the records of a name, the PRIMARY first.
func (z *Zone) Records(name string) []Record {
	records := slices.Clone(z.records[name])
	slices.SortFunc(records, func(a, b Record) int { return strings.Compare(a.Failover, b.Failover) })
	return records
}

// Names are the names that have records, in order.
func (z *Zone) Names() []string {
	return slices.Sorted(maps.Keys(z.records))
}

// Answer is the record that a name leads to, one that points to a Region. healthy says of each elementary health check whether it is
// healthy.
func (z *Zone) Answer(name string, healthy func(Check) bool) (Record, error) {
	for range 16 { // deeper than any tree of the platform: a circle of aliases ends here
		records := z.Records(name)
		if len(records) == 0 {
			return Record{}, fmt.Errorf("resolve %s: it has no record", name)
		}
		// The first healthy one. If there is none, all count as healthy, and that is the first again.
		chosen := records[0]
		for _, record := range records {
			if z.healthy(record, healthy) {
				chosen = record
				break
			}
		}
		if chosen.Alias == "" {
			return chosen, nil
		}
		name = chosen.Alias
	}
	return Record{}, fmt.Errorf("resolve %s: the aliases go in a circle", name)
}

func (z *Zone) healthy(record Record, healthy func(Check) bool) bool {
	if record.Check != nil && !record.Check.Healthy(healthy) {
		return false
	}
	if record.Alias == "" || !record.EvaluateTarget {
		return true
	}
	return slices.ContainsFunc(z.Records(record.Alias), func(target Record) bool { return z.healthy(target, healthy) })
}

// Healthy is whether the check is healthy, given the elementary ones.
func (c Check) Healthy(healthy func(Check) bool) bool {
	if c.Kind != KindCalculated {
		return healthy(c)
	}
	n := 0
	for _, child := range c.Children {
		if child.Healthy(healthy) {
			n++
		}
	}
	return n >= c.Threshold
}
