package rehearsal

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"payments-dr/internal/assembly"
	"payments-dr/internal/assembly/publicname"
	"payments-dr/internal/simulation"
	"payments-dr/internal/simulation/route53"
)

// PublicName answers for the public name as Route 53 would: from the synthesized records, by the state of health checks that run.
type PublicName struct {
	zone   *route53.Zone
	name   string
	clock  simulation.Clock
	config PublicNameConfig

	endpoints map[string]*simulation.HealthCheck // by the check's id
	detection map[string]time.Duration           // how long each kind of check takes at most, by kind and Region
	shares    map[string]*errorShare             // by Region

	mu     sync.Mutex
	last   map[string]string // what each endpoint answered last, by the check's id
	chosen map[string]bool   // the plan's health checks, by Region
	answer string
	ttl    time.Duration // of the answer
}

// The kinds of checks, as a report names them.
const checkErrors, checkPlan = "server errors", "plan"

var names = map[route53.Kind]string{route53.KindEndpoint: "endpoint", route53.KindText: "steady", route53.KindConnection: "connection"}

// PublicNameConfig is what the health checks look at.
type PublicNameConfig struct {
	Assembly *assembly.Assembly
	Clock    simulation.Clock
	// Get asks a Region's own API for a path.
	Get func(ctx context.Context, region, path string) (status int, body string, err error)
	// Connect connects to a Region's own API.
	Connect func(ctx context.Context, region string) error
	// Shares are the Regions' server errors, by Region.
	Shares map[string]*errorShare
	// HealthChanged is called with each change of a health check: "endpoint", "steady", "connection", "server errors" or "plan".
	HealthChanged func(check, region string, healthy bool)
	// AnswerChanged is called with where the public name leads from now on; how long the check that decided takes at most by the
	// templates, 0 if it was the plan's; and how long resolvers may keep the answer before.
	AnswerChanged func(region string, detection, ttl time.Duration)
}

// NewPublicName reads records and health checks; Run runs the checks.
func NewPublicName(config PublicNameConfig) (*PublicName, error) {
	zone, err := publicname.Read(config.Assembly)
	if err != nil {
		return nil, err
	}
	s := config.Assembly.Settings
	p := &PublicName{
		zone: zone, name: s.APIName(), clock: config.Clock, config: config,
		last:      map[string]string{},
		endpoints: map[string]*simulation.HealthCheck{}, shares: map[string]*errorShare{}, detection: map[string]time.Duration{},
		chosen: map[string]bool{s.Regions.Primary.Name: true}, // the passive Region's begins unhealthy
		answer: s.Regions.Primary.Name,
	}
	for _, name := range zone.Names() {
		for _, record := range zone.Records(name) {
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
	_, p.ttl, err = p.Answer()
	return p, err
}

func (p *PublicName) add(config PublicNameConfig, check route53.Check) error {
	switch check.Kind {
	case route53.KindCalculated:
		for _, child := range check.Children {
			if err := p.add(config, child); err != nil {
				return err
			}
		}
	case route53.KindMetric:
		share, ok := config.Shares[check.Region]
		if !ok {
			return fmt.Errorf("health check %s follows server errors of %s, which nobody counts", check.ID, check.Region)
		}
		p.shares[check.Region] = share
		p.detection[checkErrors+check.Region] = time.Duration(share.periods+1) * share.period // the first is under way
	case route53.KindEndpoint, route53.KindText, route53.KindConnection:
		if p.endpoints[check.ID] != nil {
			return nil
		}
		var endpoint struct {
			RequestInterval, FailureThreshold int
			ResourcePath, SearchString        string
			Regions                           []string
		}
		if err := convert(check.Config, &endpoint); err != nil {
			return fmt.Errorf("read health check %s: %w", check.ID, err)
		}
		of := simulation.HealthCheckConfig{
			Checkers: len(endpoint.Regions), Interval: time.Duration(endpoint.RequestInterval) * time.Second,
			FailureThreshold: endpoint.FailureThreshold, Clock: config.Clock,
			ConnectionOnly: check.Kind == route53.KindConnection,
			Get: func(ctx context.Context) (int, error) {
				if check.Kind == route53.KindConnection {
					err := config.Connect(ctx, check.Region)
					p.noteAnswer(check.ID, "a connection to "+check.Region, "connected", err)
					return http.StatusOK, err
				}
				status, body, err := config.Get(ctx, check.Region, endpoint.ResourcePath)
				answer := strconv.Itoa(status)
				if err == nil && status < http.StatusBadRequest && !strings.Contains(body, endpoint.SearchString) {
					answer += " without " + endpoint.SearchString
					err = errors.New(answer)
				}
				p.noteAnswer(check.ID, endpoint.ResourcePath+" of "+check.Region, answer, err)
				return status, err
			},
			Changed: func(healthy bool) { p.note(names[check.Kind], check.Region, healthy) },
		}
		p.detection[names[check.Kind]+check.Region] = of.Longest()
		p.endpoints[check.ID] = simulation.NewHealthCheck(of)
	}
	return nil
}

// noteAnswer keeps what a check was answered last.
func (p *PublicName) noteAnswer(id, to, answer string, err error) {
	if err != nil {
		answer = err.Error()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last[id] = to + ": " + answer
}

// Run runs the health checks until the context is done.
func (p *PublicName) Run(ctx context.Context) {
	var running sync.WaitGroup
	for _, endpoint := range p.endpoints {
		running.Go(func() { endpoint.Run(ctx) })
	}
	for region, share := range p.shares {
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
					p.note(checkErrors, region, after)
				}
			}
		})
	}
	running.Wait()
}

// Unhealthy is an error if an endpoint is unhealthy, with what each such endpoint answered last.
func (p *PublicName) Unhealthy() error {
	var faults []error
	for _, id := range slices.Sorted(maps.Keys(p.endpoints)) {
		if p.endpoints[id].Healthy() {
			continue
		}
		p.mu.Lock()
		faults = append(faults, fmt.Errorf("an endpoint is unhealthy with nothing wrong: its health check asks for %s", p.last[id]))
		p.mu.Unlock()
	}
	return errors.Join(faults...)
}

// Choose turns the plan's health checks: the Region's is healthy, the other's is not.
func (p *PublicName) Choose(region string) {
	p.mu.Lock()
	before := p.chosen
	p.chosen = map[string]bool{region: true}
	p.mu.Unlock()
	for left := range before {
		if left != region {
			p.note(checkPlan, left, false)
		}
	}
	if !before[region] {
		p.note(checkPlan, region, true)
	}
}

// Chosen is whether the plan's health check of a Region is healthy.
func (p *PublicName) Chosen(region string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.chosen[region]
}

// Answer is the Region that the public name leads to now, and how long a resolver may keep that.
func (p *PublicName) Answer() (region string, ttl time.Duration, err error) {
	record, err := p.zone.Answer(p.name, p.healthy)
	return record.Region, record.TTL, err
}

func (p *PublicName) healthy(check route53.Check) bool {
	switch check.Kind {
	case route53.KindPlan:
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.chosen[check.Region]
	case route53.KindMetric:
		return p.shares[check.Region].healthy()
	default:
		return p.endpoints[check.ID].Healthy()
	}
}

// note tells of a change, and of the answer's if that has changed with it.
func (p *PublicName) note(check, region string, healthy bool) {
	p.config.HealthChanged(check, region, healthy)
	answer, ttl, err := p.Answer()
	p.mu.Lock()
	changed := err == nil && answer != p.answer
	kept := p.ttl
	if changed {
		p.answer, p.ttl = answer, ttl
	}
	p.mu.Unlock()
	if changed {
		p.config.AnswerChanged(answer, p.detection[check+region], kept)
	}
}
