package rehearsal

import (
	"context"
	"fmt"
	"sync"
	"time"

	"payments-dr/internal/assembly"
	"payments-dr/internal/publicname"
	"payments-dr/internal/simulation"
)

// answerTTL is how long an answer for an alias to an API may be kept: it is that of the API's own record, and cannot be set
// ("Choosing between alias and non-alias records", Amazon Route 53 Developer Guide).
const answerTTL = 60 * time.Second

// PublicName answers for the public name as Route 53 would: from the synthesized records, by the state of health checks that run.
type PublicName struct {
	zone    *publicname.Zone
	name    string
	clock   simulation.Clock
	changed func(what string)

	endpoints map[string]*simulation.HealthCheck // by the check's id
	shares    map[string]*errorShare             // by the check's id

	mu     sync.Mutex
	chosen map[string]bool // the plan's health checks, by Region
	answer string
}

// PublicNameConfig is what the health checks look at.
type PublicNameConfig struct {
	Assembly *assembly.Assembly
	Clock    simulation.Clock
	// Get asks a Region's own API for a path.
	Get func(ctx context.Context, region, path string) (status int, err error)
	// Shares are the Regions' server errors, by Region.
	Shares map[string]*errorShare
	// Changed is told each change of a health check or of the answer.
	Changed func(what string)
}

// NewPublicName reads records and health checks; Run runs the checks.
func NewPublicName(config PublicNameConfig) (*PublicName, error) {
	zone, err := publicname.Read(config.Assembly)
	if err != nil {
		return nil, err
	}
	s := config.Assembly.Settings
	p := &PublicName{
		zone: zone, name: s.APIName(), clock: config.Clock, changed: config.Changed,
		endpoints: map[string]*simulation.HealthCheck{}, shares: map[string]*errorShare{},
		chosen: map[string]bool{s.Regions.Primary.Name: true}, // the passive Region's begins unhealthy
		answer: s.Regions.Primary.Name,
	}
	for _, name := range zone.Names() {
		for _, record := range zone.Records(name, "A") {
			if record.Check != nil {
				if err := p.add(config, *record.Check); err != nil {
					return nil, err
				}
			}
		}
	}
	if len(p.endpoints) == 0 {
		return nil, fmt.Errorf("no record of %s hangs on a health check of an endpoint", p.name)
	}
	return p, nil
}

func (p *PublicName) add(config PublicNameConfig, check publicname.Check) error {
	switch check.Kind {
	case publicname.KindCalculated:
		for _, child := range check.Children {
			if err := p.add(config, child); err != nil {
				return err
			}
		}
	case publicname.KindMetric:
		share, ok := config.Shares[check.Region]
		if !ok {
			return fmt.Errorf("health check %s follows server errors of %s, which nobody counts", check.ID, check.Region)
		}
		p.shares[check.ID] = share
	case publicname.KindEndpoint:
		if p.endpoints[check.ID] != nil {
			return nil
		}
		var endpoint struct {
			RequestInterval, FailureThreshold int
			ResourcePath                      string
			Regions                           []string
		}
		if err := convert(check.Config, &endpoint); err != nil {
			return fmt.Errorf("read health check %s: %w", check.ID, err)
		}
		p.endpoints[check.ID] = simulation.NewHealthCheck(simulation.HealthCheckConfig{
			Checkers: len(endpoint.Regions), Interval: time.Duration(endpoint.RequestInterval) * time.Second,
			FailureThreshold: endpoint.FailureThreshold, Clock: config.Clock,
			Get: func(ctx context.Context) (int, error) { return config.Get(ctx, check.Region, endpoint.ResourcePath) },
			Changed: func(healthy bool) {
				p.note(fmt.Sprintf("the endpoint of %s is %s", check.Region, map[bool]string{true: "healthy", false: "sick"}[healthy]))
			},
		})
	}
	return nil
}

// Run runs the health checks until the context is done.
func (p *PublicName) Run(ctx context.Context) {
	var running sync.WaitGroup
	for _, endpoint := range p.endpoints {
		running.Go(func() { endpoint.Run(ctx) })
	}
	for _, share := range p.shares {
		running.Go(func() {
			for {
				select {
				case <-ctx.Done():
					return
				case <-p.clock.After(share.period):
				}
				before := share.healthy()
				share.end()
				if after := share.healthy(); after != before {
					p.note(map[bool]string{true: "server errors are few again", false: "half of the answers are server errors"}[after])
				}
			}
		})
	}
	running.Wait()
}

// Choose turns the plan's health checks: the Region's is healthy, the other's is not.
func (p *PublicName) Choose(region string) {
	p.mu.Lock()
	p.chosen = map[string]bool{region: true}
	p.mu.Unlock()
	p.note("the plan has chosen " + region)
}

// Answer is the Region that the public name leads to now, and how long a resolver may keep that.
func (p *PublicName) Answer() (region string, ttl time.Duration, err error) {
	region, err = p.zone.Answer(p.name, "A", p.healthy)
	return region, answerTTL, err
}

func (p *PublicName) healthy(check publicname.Check) bool {
	switch check.Kind {
	case publicname.KindPlan:
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.chosen[check.Region]
	case publicname.KindMetric:
		return p.shares[check.ID].healthy()
	default:
		return p.endpoints[check.ID].Healthy()
	}
}

// note tells of a change, and of the answer's if that has changed with it.
func (p *PublicName) note(what string) {
	region, _, err := p.Answer()
	p.mu.Lock()
	if err == nil && region != p.answer {
		what += fmt.Sprintf("; the public name leads to %s", region)
		p.answer = region
	}
	p.mu.Unlock()
	if p.changed != nil {
		p.changed(what)
	}
}
