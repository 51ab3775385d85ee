package rehearsal

import (
	"context"
	"crypto/tls"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"payments-dr/internal/drill"
	"payments-dr/internal/settings"
)

// The spans of a run, simulated.
const (
	beforehand = 90 * time.Second
	afterwards = 90 * time.Second
	// faultLasts is how long a fault lasts that ends by itself.
	faultLasts = 4 * time.Minute
)

// Scenario is a fault, and what is done about it.
type Scenario struct {
	// Description says in a sentence what goes wrong.
	Description string
	// untried are the times that it does not put to the test.
	untried []drill.Name
	// accepts says which Regions accept payments throughout. A client that fails over then loses no request. Empty: none does.
	accepts string
	play    func(ctx context.Context, r *rehearsal) error
}

const (
	acceptsBoth  = "both Regions"
	acceptsOther = "the secondary Region"
	// failoverWithin is how long a request may take, of a client that fails over while a Region accepts payments.
	failoverWithin = 5 * time.Second
)

// Scenarios are what can be rehearsed, by name.
func Scenarios() map[string]Scenario { return scenarios }

var scenarios map[string]Scenario

// untriedByPayments are the times that a fault leaves alone which is at most felt where payments are taken, and moves nothing.
var untriedByPayments = []drill.Name{drill.NameLedgerRTO, drill.NameRPO, drill.NameBacklog}

func init() { // because the scenarios call one another by name
	scenarios = map[string]Scenario{
		"region-loss": {
			Description: "everything in the primary Region stops, in mid-flight; the plan fails over, the Region comes back, the plan fails back",
			accepts:     acceptsOther,
			play:        playRegionLoss,
		},
		"planned-move": {
			Description: "nothing is broken; the plan moves everything to the other Region and back",
			untried:     []drill.Name{drill.NameLedgerRTO, drill.NameRPO},
			accepts:     acceptsBoth,
			play:        playPlannedMove,
		},
		"database-down": {
			Description: "the writer's database is gone, and the Region around it is well; the plan fails over and back",
			accepts:     acceptsBoth,
			play:        playDatabaseDown,
		},
		"api-errors": {
			Description: "the primary Region's API answers every request with a server error",
			untried:     untriedByPayments,
			accepts:     acceptsOther,
			play:        playPassing("api-errors", apiErrors),
		},
		"table-unreachable": {
			Description: "the primary Region's functions do not reach their table",
			untried:     untriedByPayments,
			accepts:     acceptsOther,
			play:        playPassing("table-unreachable", tableUnreachable),
		},
		"bus-down": {
			Description: "the primary Region's event bus refuses all events",
			untried:     []drill.Name{drill.NameRPO, drill.NameBacklog},
			accepts:     acceptsBoth,
			play:        playPassing("bus-down", busDown),
		},
		"partition": {
			Description: "both Regions live and do not reach each other",
			untried:     untriedByPayments,
			accepts:     acceptsBoth,
			play:        playPassing("partition", partition),
		},
		"slow": {
			Description: "the table takes 400 ms more a call, and the database is half a minute behind",
			untried:     untriedByPayments,
			accepts:     acceptsBoth,
			play:        playPassing("slow", slow),
		},
		"flapping": {
			Description: "the primary Region's API comes and goes every 40 seconds",
			untried:     untriedByPayments,
			accepts:     acceptsOther,
			play:        playFlapping,
		},
		"write-pause": {
			Description: "the primary Region is lost, and the other's table does not answer for 5, 15 and then 30 seconds",
			untried:     untriedByPayments,
			play:        playWritePause,
		},
		"bad-deploy": {
			Description: "the primary Region's processor ends at every invocation",
			untried:     untriedByPayments,
			accepts:     acceptsOther,
			play:        playPassing("bad-deploy", badDeploy),
		},
		"chaos": {
			Description: "a seeded random schedule of the faults that pass by themselves",
			untried:     untriedByPayments,
			accepts:     acceptsOther,
			play:        playChaos,
		},
	}
}

// passing is a fault that comes and goes.
type passing struct {
	hits []drill.Subject
	set  func(ctx context.Context, r *rehearsal, on bool) error
}

var (
	payments = []drill.Subject{drill.SubjectPayments}

	apiErrors = passing{payments, func(_ context.Context, r *rehearsal, on bool) error { r.platform.SetAPIErrors(r.here, on); return nil }}
	badDeploy = passing{payments, func(_ context.Context, r *rehearsal, on bool) error { r.platform.SetCrashing(r.here, on); return nil }}
	// A table that cannot be reached takes the payments along, and the relay.
	tableUnreachable = passing{payments, func(_ context.Context, r *rehearsal, on bool) error {
		r.platform.SetTableUnreachable(r.here, on)
		return nil
	}}
	busDown   = passing{[]drill.Subject{drill.SubjectLedger}, func(_ context.Context, r *rehearsal, on bool) error { r.platform.SetBusDown(r.here, on); return nil }}
	partition = passing{nil, func(ctx context.Context, r *rehearsal, on bool) error {
		r.platform.SetPartitioned(on)
		return r.database.SetPartitioned(ctx, on)
	}}
	slow = passing{nil, func(_ context.Context, r *rehearsal, on bool) error {
		latency, lag := time.Duration(0), r.config.Assumed.ReplicationLag
		if on {
			latency, lag = 400*time.Millisecond, 30*time.Second
		}
		r.platform.SetSlow(r.here, r.clock.Real(latency))
		r.database.SetLag(r.clock.Real(lag))
		return nil
	}}
)

func playPassing(name string, f passing) func(context.Context, *rehearsal) error {
	return func(ctx context.Context, r *rehearsal) error {
		if err := r.undisturbed(ctx); err != nil {
			return err
		}
		r.phase(name)
		if err := r.pass(ctx, name, f, f.hits, faultLasts); err != nil {
			return err
		}
		r.phase("after")
		// Long enough for the health checks to see that all is well, and for answers to be looked up again.
		return r.sleep(ctx, 2*time.Minute)
	}
}

// pass lets a fault come and go. expected is what has to be seen of it.
func (r *rehearsal) pass(ctx context.Context, name string, f passing, expected []drill.Subject, lasts time.Duration) error {
	r.event(drill.Event{Kind: drill.KindFaultBegins, Name: name, Region: r.here, Hits: expected})
	r.mu.Lock()
	r.retries = slices.Contains(f.hits, drill.SubjectLedger)
	r.mu.Unlock()
	if err := f.set(ctx, r, true); err != nil {
		return fmt.Errorf("begin %s: %w", name, err)
	}
	var of []drill.Name
	for _, hit := range f.hits {
		of = append(of, map[drill.Subject]drill.Name{drill.SubjectPayments: drill.NamePaymentsRTO, drill.SubjectLedger: drill.NameLedgerRTO}[hit])
	}
	if err := r.assume(ctx, assumedFault, lasts, of...); err != nil {
		return err
	}
	if err := f.set(ctx, r, false); err != nil {
		return fmt.Errorf("end %s: %w", name, err)
	}
	r.event(drill.Event{Kind: drill.KindFaultEnds, Name: name, Region: r.here})
	return nil
}

// undisturbed is the beginning of each run. What is unhealthy with nothing wrong ends it: nothing that follows would mean anything.
func (r *rehearsal) undisturbed(ctx context.Context) error {
	r.phase("before")
	if err := r.sleep(ctx, beforehand); err != nil {
		return err
	}
	// A busy machine may be slow to answer, and a Region that was slow is steady again after minutes. What is broken stays broken.
	for range 24 {
		if r.name.Unhealthy() == nil {
			return nil
		}
		if err := r.sleep(ctx, 15*time.Second); err != nil {
			return err
		}
	}
	return r.name.Unhealthy()
}

// survive looks for what was acknowledged in the replica of the Region that is left.
func (r *rehearsal) survive(ctx context.Context) error {
	known := r.load.Acknowledged() // first: what is acknowledged meanwhile may be missing from what is read
	if len(known) == 0 {
		r.remarks = append(r.remarks, "no payment was acknowledged before the Region came back, so nothing shows whether the other Region's table had all")
	}
	absent, err := r.platform.Absent(ctx, r.there, known)
	if err != nil {
		return err
	}
	if len(absent) > 0 {
		found := absence(r.here, r.there, len(absent), len(known))
		r.note("%s", found)
		if r.consistency == settings.ConsistencyStrong {
			r.broken = append(r.broken, found+", although it is strongly consistent")
		} else {
			r.remarks = append(r.remarks, found+": it is eventually consistent. They are there again since that Region is back; had it not come back, they would be lost")
		}
	}
	return nil
}

// absence is what the loss of a Region has taken from the other's table, in words.
func absence(lost, left string, absent, of int) string {
	return fmt.Sprintf("with %s lost, %d of %d acknowledged payments are not in the table of %s", lost, absent, of, left)
}

func playRegionLoss(ctx context.Context, r *rehearsal) error {
	const name = "region-loss"
	if err := r.undisturbed(ctx); err != nil {
		return err
	}
	r.phase("one Region is lost")
	r.event(drill.Event{Kind: drill.KindFaultBegins, Name: name, Region: r.here, Hits: []drill.Subject{drill.SubjectPayments, drill.SubjectLedger}})
	r.platform.SetLost(r.here, true)
	if err := r.database.SetDown(ctx, r.here, true); err != nil {
		return err
	}
	if err := r.assume(ctx, assumedDecision, r.config.Assumed.Decision, drill.NameLedgerRTO); err != nil {
		return err
	}
	r.phase("failover")
	if err := r.execute(ctx, r.there, Ungraceful); err != nil {
		return err
	}
	r.phase("one Region serves")
	if err := r.sleep(ctx, 2*time.Minute); err != nil {
		return err
	}

	if err := r.survive(ctx); err != nil {
		return err
	}
	r.phase("the Region is back")
	r.platform.SetLost(r.here, false)
	if err := r.database.SetDown(ctx, r.here, false); err != nil {
		return err
	}
	r.event(drill.Event{Kind: drill.KindFaultEnds, Name: name, Region: r.here})
	return r.goBack(ctx)
}

// goBack is what the runbook says for the way back: the old Region's ledger is stopped, its database rejoins, and the plan moves
// everything there again.
func (r *rehearsal) goBack(ctx context.Context) error {
	r.platform.Region(r.here).LedgerMapping.SetEnabled(false)
	r.note("by the runbook: the ledger of %s is stopped, which the ungraceful execution left out", r.here)
	if err := r.sleep(ctx, r.config.Assumed.Rejoining); err != nil {
		return err
	}
	lost, err := r.database.Rejoin(ctx, r.here)
	if err != nil {
		return err
	}
	r.note("the old writer is a secondary again; %d of its rows had not been replicated", len(lost.Unreplicated))
	if err := r.sleep(ctx, time.Minute); err != nil {
		return err
	}
	r.phase("failback")
	if err := r.execute(ctx, r.here, Graceful); err != nil {
		return err
	}
	r.phase("after")
	return nil
}

func playPlannedMove(ctx context.Context, r *rehearsal) error {
	if err := r.undisturbed(ctx); err != nil {
		return err
	}
	for _, to := range []string{r.there, r.here} {
		r.phase("moving to " + to)
		if err := r.execute(ctx, to, Graceful); err != nil {
			return err
		}
		r.phase(to + " serves")
		if err := r.sleep(ctx, 2*time.Minute); err != nil {
			return err
		}
	}
	return nil
}

func playDatabaseDown(ctx context.Context, r *rehearsal) error {
	const name = "database-down"
	if err := r.undisturbed(ctx); err != nil {
		return err
	}
	r.phase("the database is gone")
	r.event(drill.Event{Kind: drill.KindFaultBegins, Name: name, Region: r.here, Hits: []drill.Subject{drill.SubjectLedger}})
	if err := r.database.SetDown(ctx, r.here, true); err != nil {
		return err
	}
	if err := r.assume(ctx, assumedDecision, r.config.Assumed.Decision, drill.NameLedgerRTO); err != nil {
		return err
	}
	r.phase("failover")
	if err := r.execute(ctx, r.there, Ungraceful); err != nil {
		return err
	}
	if err := r.sleep(ctx, 2*time.Minute); err != nil {
		return err
	}
	r.phase("the database is back")
	if err := r.database.SetDown(ctx, r.here, false); err != nil {
		return err
	}
	r.event(drill.Event{Kind: drill.KindFaultEnds, Name: name, Region: r.here})
	return r.goBack(ctx)
}

func playFlapping(ctx context.Context, r *rehearsal) error {
	const name = "flapping"
	if err := r.undisturbed(ctx); err != nil {
		return err
	}
	r.phase(name)
	r.event(drill.Event{Kind: drill.KindFaultBegins, Name: name, Region: r.here, Hits: payments})
	for range 4 {
		r.setFault(r.clock.Now())
		r.platform.SetAPIErrors(r.here, true)
		if err := r.assume(ctx, assumedFault, 40*time.Second, drill.NamePaymentsRTO); err != nil {
			return err
		}
		r.platform.SetAPIErrors(r.here, false)
		if err := r.sleep(ctx, 40*time.Second); err != nil {
			return err
		}
	}
	r.event(drill.Event{Kind: drill.KindFaultEnds, Name: name, Region: r.here})
	r.phase("after")
	return r.sleep(ctx, 2*time.Minute)
}

// playWritePause loses the primary Region three times. Each time, the table of the other one pauses as well, for longer: DynamoDB may
// need a moment to go on with the replicas that are left, and its length is not published. Between the losses, the Region becomes
// steady again.
func playWritePause(ctx context.Context, r *rehearsal) error {
	if err := r.undisturbed(ctx); err != nil {
		return err
	}
	for _, pause := range []time.Duration{5 * time.Second, 15 * time.Second, 30 * time.Second} {
		name := fmt.Sprintf("region-loss and a pause of %v", pause)
		r.phase(name)
		lost := passing{payments, func(ctx context.Context, r *rehearsal, on bool) error {
			r.platform.SetLost(r.here, on)
			if !on {
				return nil
			}
			r.platform.SetTableUnreachable(r.there, true)
			defer r.platform.SetTableUnreachable(r.there, false)
			return r.sleep(ctx, pause)
		}}
		if err := r.pass(ctx, name, lost, lost.hits, 2*time.Minute); err != nil {
			return err
		}
		r.phase("after " + pause.String())
		if err := r.sleep(ctx, 7*time.Minute); err != nil {
			return err
		}
	}
	return nil
}

// playChaos lets eight faults pass, one after another, for a minute to two each, with a minute or two between them.
func playChaos(ctx context.Context, r *rehearsal) error {
	faults := []struct {
		name string
		passing
	}{
		{"api-errors", apiErrors}, {"table-unreachable", tableUnreachable}, {"bus-down", busDown},
		{"partition", partition}, {"slow", slow}, {"bad-deploy", badDeploy},
	}
	random := rand.New(rand.NewPCG(r.config.Seed, 77))
	if err := r.undisturbed(ctx); err != nil {
		return err
	}
	r.phase("chaos")
	for i := range 8 {
		fault := faults[random.IntN(len(faults))]
		name := fmt.Sprintf("%s, number %d", fault.name, i+1)
		if err := r.pass(ctx, name, fault.passing, nil, time.Minute+time.Duration(random.Int64N(int64(time.Minute)))); err != nil {
			return err
		}
		if err := r.sleep(ctx, 90*time.Second+time.Duration(random.Int64N(int64(time.Minute)))); err != nil {
			return err
		}
	}
	r.phase("after")
	return nil
}

// trusting is the TLS of health checkers, which ask a Region's own host. The simulated APIs have one certificate, the public
// name's.
func trusting(p *Platform, name string) *tls.Config {
	return &tls.Config{RootCAs: p.Trust(), ServerName: name, MinVersion: tls.VersionTLS12}
}
