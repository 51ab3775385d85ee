package simulation

import (
	"context"
	"net/http"
	"sync"
	"time"
)

// The limits of a health checker's patience ("How Amazon Route 53 determines whether a health check is healthy", Amazon Route 53
// Developer Guide): it wants a connection within four seconds and an answer within two more. Here one request has the six. A check
// that only connects has ten.
const (
	checkerPatience    = 4*time.Second + 2*time.Second
	connectionPatience = 10 * time.Second
)

// healthyShare is the share of checkers above which an endpoint counts as healthy (same page).
const healthyShare = 0.18

// HealthCheckConfig configures the checkers of one endpoint.
type HealthCheckConfig struct {
	// Checkers is how many there are. Route 53 has several in each of its Regions and does not say how many.
	Checkers int
	// Interval is the pause between an answer and the next request of a checker.
	Interval time.Duration
	// FailureThreshold is how many results in a row change a checker's mind, in either direction.
	FailureThreshold int
	// ConnectionOnly is for a check of the type TCP, which has more patience.
	ConnectionOnly bool
	// Get asks the endpoint once. The status is an HTTP status; 2xx and 3xx are healthy.
	Get   func(ctx context.Context) (status int, err error)
	Clock Clock
	// Changed is told when the endpoint's health has changed; nil is told nothing.
	Changed func(healthy bool)
}

// Longest is the longest that a checker takes to change its mind after a change that it sees: a change just after a request is
// noticed by the next one, and each of the requests may take all of the checker's patience.
func (c HealthCheckConfig) Longest() time.Duration {
	return time.Duration(c.FailureThreshold) * (c.Interval + c.patience())
}

func (c HealthCheckConfig) patience() time.Duration {
	if c.ConnectionOnly {
		return connectionPatience
	}
	return checkerPatience
}

// HealthCheck simulates Route 53's health checkers of one endpoint. It begins healthy, as Route 53's do. The checkers do not
// keep step with one another: the first requests are spread over the interval.
type HealthCheck struct {
	config  HealthCheckConfig
	mu      sync.Mutex
	opinion []bool
	healthy bool
}

// NewHealthCheck is a health check that Run runs.
func NewHealthCheck(config HealthCheckConfig) *HealthCheck {
	config.Clock = orReal(config.Clock)
	h := &HealthCheck{config: config, opinion: make([]bool, config.Checkers), healthy: true}
	for i := range h.opinion {
		h.opinion[i] = true
	}
	return h
}

// Healthy is what Route 53 says of the endpoint now.
func (h *HealthCheck) Healthy() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.healthy
}

// Run checks until the context is done.
func (h *HealthCheck) Run(ctx context.Context) {
	var checkers sync.WaitGroup
	for i := range h.config.Checkers {
		checkers.Go(func() { h.check(ctx, i) })
	}
	checkers.Wait()
}

func (h *HealthCheck) check(ctx context.Context, number int) {
	first := h.config.Interval * time.Duration(number) / time.Duration(h.config.Checkers)
	if sleep(ctx, h.config.Clock, first) != nil {
		return
	}
	differing := 0
	for {
		well := h.ask(ctx)
		if ctx.Err() != nil {
			return
		}
		if well == h.opinionOf(number) {
			differing = 0
		} else if differing++; differing >= h.config.FailureThreshold {
			differing = 0
			h.change(number, well)
		}
		if sleep(ctx, h.config.Clock, h.config.Interval) != nil {
			return
		}
	}
}

func (h *HealthCheck) ask(ctx context.Context) bool {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	answered := make(chan bool, 1)
	go func() {
		status, err := h.config.Get(ctx)
		answered <- err == nil && status >= http.StatusOK && status < http.StatusBadRequest
	}()
	select {
	case well := <-answered:
		return well
	case <-h.config.Clock.After(h.config.patience()):
		return false
	}
}

func (h *HealthCheck) opinionOf(number int) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.opinion[number]
}

func (h *HealthCheck) change(number int, well bool) {
	if changed, healthy := h.record(number, well); changed && h.config.Changed != nil {
		h.config.Changed(healthy)
	}
}

func (h *HealthCheck) record(number int, well bool) (changed, healthy bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.opinion[number] = well
	agreeing := 0
	for _, opinion := range h.opinion {
		if opinion {
			agreeing++
		}
	}
	healthy = float64(agreeing) > healthyShare*float64(len(h.opinion))
	changed = healthy != h.healthy
	h.healthy = healthy
	return changed, healthy
}
