package rehearsal

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"sync"
	"time"

	"payments-dr/internal/simulation"
	"payments-dr/internal/simulation/eventbus"
)

// regionFaults are the faults of one Region that are no loss of it. The zero value is none.
type regionFaults struct {
	mu sync.Mutex
	// apiErrors has the API answer 500 before the function is asked.
	apiErrors bool
	// busDown has the bus refuse all calls.
	busDown bool
	// latency is added to every call of the table.
	latency time.Duration
}

func (f *regionFaults) set(change func(*regionFaults)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(f)
}

// guard answers in place of an API whose errors are on.
func (f *regionFaults) guard(api http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		errs := f.apiErrors
		f.mu.Unlock()
		if errs {
			if counted, ok := api.(*simulation.API); ok {
				counted.RespondError(w)
				return
			}
		}
		api.ServeHTTP(w, r)
	})
}

func (f *regionFaults) bus() *eventbus.RequestError {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.busDown {
		return &eventbus.RequestError{Code: "InternalException", Message: "the bus is down", Status: http.StatusInternalServerError}
	}
	return nil
}

// wait lets a call of the table wait for as long as it is slowed down by.
func (f *regionFaults) wait(ctx context.Context) {
	f.mu.Lock()
	latency := f.latency
	f.mu.Unlock()
	if latency == 0 {
		return
	}
	select {
	case <-time.After(latency):
	case <-ctx.Done():
	}
}

// undelivered is why an event is not delivered: the rule's Region or the target's is lost, or the two do not reach each other.
func (p *Platform) undelivered(_ context.Context, d eventbus.Delivery) error {
	if p.Region(d.Region).region.Down() {
		return errors.New("the rule's Region is lost")
	}
	_, target, err := eventbus.ReadARN(d.Target.ARN)
	if err != nil {
		return err
	}
	if p.Region(target).region.Down() {
		return errors.New("the target's Region is lost")
	}
	if p.between.Down() && target != d.Region {
		return errors.New("the Regions do not reach each other")
	}
	return nil
}

// SetLost takes a Region away, in the middle of what it does, or brings it back: its API and its table and bus are silent, its
// functions are killed, its mappings stand still, and what its buses should deliver waits. The database is not the platform's.
func (p *Platform) SetLost(region string, lost bool) {
	r := p.Region(region)
	if lost {
		for _, reach := range []*simulation.Reach{&r.region, &r.table, &r.bus} {
			reach.SetDown(true)
		}
	}
	for _, function := range []*simulation.Function{r.Processor, r.Relay, r.Ledger, r.Reconcile} {
		function.SetDown(lost)
	}
	if !lost {
		for _, reach := range []*simulation.Reach{&r.table, &r.bus, &r.region} {
			reach.SetDown(false)
		}
	}
}

// SetTableUnreachable cuts a Region's functions off from its table, or mends that.
func (p *Platform) SetTableUnreachable(region string, unreachable bool) {
	p.Region(region).table.SetDown(unreachable)
}

// SetAPIErrors has a Region's API answer every request with a server error, its health check too.
func (p *Platform) SetAPIErrors(region string, errs bool) {
	p.Region(region).faults.set(func(f *regionFaults) { f.apiErrors = errs })
}

// SetBusDown has a Region's bus refuse every call.
func (p *Platform) SetBusDown(region string, down bool) {
	p.Region(region).faults.set(func(f *regionFaults) { f.busDown = down })
}

// SetSlow adds a wait, in the machine's time, to every call of a Region's table.
func (p *Platform) SetSlow(region string, latency time.Duration) {
	p.Region(region).faults.set(func(f *regionFaults) { f.latency = latency })
}

// SetCrashing has every invocation of a Region's processor end with its process, as after a bad deployment.
func (p *Platform) SetCrashing(region string, crashing bool) {
	p.Region(region).Processor.SetCrashing(crashing)
}

// SetPartitioned parts the buses of both Regions, or joins them, and the replicas of an eventually consistent table. A strongly
// consistent table stays one: each replica still reaches the witness.
func (p *Platform) SetPartitioned(partitioned bool) { p.between.SetDown(partitioned) }

// reaches waits until a Region reaches the other.
func (p *Platform) reaches(ctx context.Context, from, to string) error {
	ways := []*simulation.Reach{&p.Region(from).region, &p.Region(to).region, &p.between}
	for slices.ContainsFunc(ways, (*simulation.Reach).Down) { // one may go while another is waited for
		for _, way := range ways {
			if err := way.WaitUp(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}
