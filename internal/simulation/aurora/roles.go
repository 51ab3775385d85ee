package aurora

import (
	"context"
	"errors"
	"fmt"
	"time"

	"payments-dr/internal/payment"
	"payments-dr/internal/simulation/localmysql"
)

// begin waits for its turn among the operations that change roles.
func (g *GlobalDatabase) begin(ctx context.Context) (end func(), err error) {
	select {
	case g.operation <- struct{}{}:
		return func() { <-g.operation }, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for another operation: %w", context.Cause(ctx))
	}
}

// secondary is the Region's member if it is the secondary.
func (g *GlobalDatabase) secondary(region string) (*member, error) {
	m := g.member(region)
	if m == nil || m == g.writer || g.replication == nil {
		return nil, fmt.Errorf("%q: %w", region, ErrNotSecondary)
	}
	return m, nil
}

// Switchover makes the secondary the writer and the writer the secondary. It stops writes first and waits until the secondary has
// all of them, so that none is lost; as long as something is on its way, that is the lag. Connections to both break.
// ErrUnreachable is a member that is down or parted from the other, at the beginning or while it waits: then, and if the
// context is done while it waits, the roles are as before.
func (g *GlobalDatabase) Switchover(ctx context.Context, to string) error {
	end, err := g.begin(ctx)
	if err != nil {
		return fmt.Errorf("switch over: %w", err)
	}
	defer end()
	started := time.Now()
	g.mu.Lock()
	old, replication := g.writer, g.replication
	target, err := g.secondary(to)
	if err == nil {
		err = g.unreachable()
	}
	g.mu.Unlock()
	if err != nil {
		return fmt.Errorf("switch over: %w", err)
	}
	if err := g.switchOver(ctx, old, target, replication); err != nil {
		if g.Writer() == old.region {
			again, cancel := context.WithTimeout(context.WithoutCancel(ctx), restoreTime)
			defer cancel()
			err = errors.Join(err, old.server.SetReadOnly(again, false))
		}
		return fmt.Errorf("switch over: %w", err)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.tell("switched over from %s to %s in %s", old.region, to, time.Since(started).Round(time.Millisecond))
	return nil
}

// restoreTime bounds giving the writer its writes back.
const restoreTime = 10 * time.Second

func (g *GlobalDatabase) switchOver(ctx context.Context, old, target *member, replication localmysql.Replication) error {
	if err := old.server.SetReadOnly(ctx, true); err != nil {
		return fmt.Errorf("stop writes: %w", err)
	}
	if err := replication.Wait(ctx); err != nil {
		if errors.Is(err, localmysql.ErrCut) {
			err = fmt.Errorf("%w: %w", ErrUnreachable, err)
		}
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := g.unreachable(); err != nil {
		return err
	}
	if err := g.replication.Stop(ctx); err != nil {
		return err
	}
	g.replication = nil
	if err := g.promote(ctx, target); err != nil {
		return err
	}
	old.line.Break()
	var err error
	if g.replication, err = g.follow(ctx, old.server); err != nil {
		return err
	}
	g.replication.SetLag(g.lag)
	return nil
}

// promote has a member accept writes, with what it has. Connections to it break.
func (g *GlobalDatabase) promote(ctx context.Context, target *member) error {
	if err := target.server.SetReadOnly(ctx, false); err != nil {
		return fmt.Errorf("promote %s: %w", target.region, err)
	}
	target.line.Break()
	g.writer = target
	return nil
}

// Failover makes the secondary the writer with what it has, whatever has become of the writer. What was not replicated is lost; it
// can be told when the old writer can be looked at again, by Rejoin. The error is ErrUnreachable if the secondary is down.
//
// The old writer takes no more writes as soon as it can learn of the failover: at once if it is up, before it can be reached
// again if it is down, and if the members are parted when they are joined. Until then it believes that it is the writer, and
// what it accepts is lost as well.
func (g *GlobalDatabase) Failover(ctx context.Context, to string) error {
	end, err := g.begin(ctx)
	if err != nil {
		return fmt.Errorf("fail over: %w", err)
	}
	defer end()
	started := time.Now()
	g.mu.Lock()
	defer g.mu.Unlock()
	target, err := g.secondary(to)
	if err == nil && target.down {
		err = fmt.Errorf("%s is down: %w", to, ErrUnreachable)
	}
	if err != nil {
		return fmt.Errorf("fail over: %w", err)
	}
	old := g.writer
	if err := g.failOver(ctx, old, target); err != nil {
		return fmt.Errorf("fail over: %w", err)
	}
	g.replaced = old
	g.tell("failed over from %s to %s in %s", old.region, to, time.Since(started).Round(time.Millisecond))
	return nil
}

func (g *GlobalDatabase) failOver(ctx context.Context, old, target *member) error {
	if g.unreachable() == nil {
		if err := g.fence(ctx, old); err != nil {
			return err
		}
	}
	if err := g.replication.Stop(ctx); err != nil {
		return err
	}
	g.replication = nil
	var err error
	if g.atPromotion, err = g.identities(ctx, target.server); err != nil {
		return fmt.Errorf("look at %s: %w", target.region, err)
	}
	return g.promote(ctx, target)
}

// Lost is what an old writer had after a failover that its successor had not.
type Lost struct {
	// Region is the old writer's.
	Region string
	// Unreplicated are the payments that the successor did not have when it was promoted: the tail that was not replicated, and in a
	// split brain what the old writer has accepted after it. They are in the order of their acceptance.
	Unreplicated []payment.Payment
	// Missing are those of them that the successor still did not have at the rejoin, or has with other values.
	Missing []payment.Payment
}

// Snapshots are what Rejoin has found so far, in order. They stand for the snapshots that Aurora tries to take of an old writer's
// data before it is replaced, named rds:unplanned-global-failover-….
func (g *GlobalDatabase) Snapshots() []Lost {
	g.mu.Lock()
	defer g.mu.Unlock()
	return append([]Lost(nil), g.snapshots...)
}

// Rejoin makes a writer that a failover has replaced the secondary, with the successor's data in place of its own, and tells what
// it had alone. It returns when the secondary has all that the writer has. ErrUnreachable is a member that is down, or parted
// from the other; ErrNotSecondary a Region that no failover has replaced.
func (g *GlobalDatabase) Rejoin(ctx context.Context, region string) (Lost, error) {
	end, err := g.begin(ctx)
	if err != nil {
		return Lost{}, fmt.Errorf("rejoin: %w", err)
	}
	defer end()
	lost, err := g.rejoin(ctx, region)
	if err != nil {
		return Lost{}, fmt.Errorf("rejoin: %w", err)
	}
	return lost, nil
}

func (g *GlobalDatabase) rejoin(ctx context.Context, region string) (Lost, error) {
	started := time.Now()
	g.mu.Lock()
	old := g.replaced
	err := g.unreachable()
	if old == nil || old.region != region {
		err = fmt.Errorf("%q: %w", region, ErrNotSecondary)
	}
	g.mu.Unlock()
	if err != nil {
		return Lost{}, err
	}
	lost, err := g.lost(ctx, old)
	if err != nil {
		return Lost{}, fmt.Errorf("look at %s: %w", region, err)
	}
	volume, err := g.startServer()
	if err != nil {
		return Lost{}, err
	}
	replication, err := g.follow(ctx, volume)
	if err != nil {
		volume.Close()
		return Lost{}, err
	}

	g.mu.Lock()
	defer g.mu.Unlock()
	if err := g.unreachable(); err != nil { // since it began
		err = errors.Join(err, replication.Stop(ctx))
		volume.Close()
		return Lost{}, err
	}
	replication.SetLag(g.lag)
	old.line.SetServer(volume.Address())
	old.server.Close()
	old.server, old.fenced = volume, false
	g.replication, g.replaced, g.atPromotion = replication, nil, nil
	g.snapshots = append(g.snapshots, lost)
	g.tell("%s has rejoined in %s; %d payments of its own were not replicated, %d are still missing",
		region, time.Since(started).Round(time.Millisecond), len(lost.Unreplicated), len(lost.Missing))
	return lost, nil
}
