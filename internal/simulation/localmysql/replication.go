package localmysql

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Replication carries what one server commits to another, in the order of the commits, after they were acknowledged and without
// their waiting for it. It may be used concurrently.
type Replication interface {
	// SetLag has each transaction arrive so much later than it was committed, from now on. Zero, which is how it begins, is as soon
	// as it can be.
	SetLag(time.Duration)
	// SetCut cuts the way between the servers, or mends it. What is under way is lost, and is sent again when it is mended.
	SetCut(ctx context.Context, cut bool) error
	// Wait returns when the second server has all that the first had committed when Wait was called. The error is ErrCut if the
	// way is cut before.
	Wait(ctx context.Context) error
	// Check returns why the replication has ended by itself, or nil.
	Check(ctx context.Context) error
	// Stop ends it. What has arrived is applied, what is under way is lost.
	Stop(ctx context.Context) error
}

// ErrCut is a replication that waits for a way that is cut.
var ErrCut = errors.New("the replication is cut")

// Replicate has one server follow another of its kind. The second should be read-only; what it has must be what the first had
// at some time: nothing, if it is new.
//
// MariaDB's are two processes with asynchronous replication of rows and global transaction ids, over a connection that can be
// cut and that is slow by the lag. The embedded servers' replication is simulated: the statements that one has committed are run
// on the other, in their order, with their parameters, database and time. A lagging MariaDB still has to receive what
// was committed before the way was mended, and does so a lag later; the embedded server counts from the commit.
func Replicate(ctx context.Context, from, to *Server) (Replication, error) {
	if from.embedded != nil {
		return replicateEmbedded(from, to)
	}
	return replicateMariaDB(ctx, from, to)
}

// embeddedReplication applies one server's history to another's. Its fields are guarded by histories.
type embeddedReplication struct {
	from, to     *history
	position     int // how many transactions the follower should have
	lag          time.Duration
	cut, stopped bool
	err          error
	ended        chan struct{}
}

func replicateEmbedded(from, to *Server) (Replication, error) {
	r := &embeddedReplication{from: &from.embedded.serial.history, to: &to.embedded.serial.history, ended: make(chan struct{})}
	histories.L.Lock()
	defer histories.L.Unlock()
	if len(r.to.transactions) > len(r.from.transactions) {
		return nil, fmt.Errorf("replicate: the follower has %d transactions, its source %d", len(r.to.transactions), len(r.from.transactions))
	}
	r.position = len(r.to.transactions)
	go r.run(newApplier(to))
	return r, nil
}

func (r *embeddedReplication) run(applier *applier) {
	defer close(r.ended)
	histories.L.Lock()
	defer histories.L.Unlock()
	for !r.stopped {
		if len(r.to.transactions) != r.position {
			r.err = errors.New("replicate: the follower was written to")
			histories.Broadcast()
			return
		}
		if r.cut || r.position == len(r.from.transactions) {
			histories.Wait()
			continue
		}
		t := r.from.transactions[r.position]
		if early := time.Until(t.at.Add(r.lag)); early > 0 {
			waitFor(histories, early)
			continue
		}
		histories.L.Unlock()
		err := applier.apply(t)
		histories.L.Lock()
		if err != nil {
			r.err = err
			histories.Broadcast()
			return
		}
		r.position++
		histories.Broadcast()
	}
}

// waitFor waits for a change, or for some time.
func waitFor(changed *sync.Cond, d time.Duration) {
	timer := time.AfterFunc(d, func() { tell(changed) })
	defer timer.Stop()
	changed.Wait()
}

func tell(changed *sync.Cond) {
	changed.L.Lock()
	defer changed.L.Unlock()
	changed.Broadcast()
}

func (r *embeddedReplication) SetLag(lag time.Duration) {
	histories.L.Lock()
	defer histories.L.Unlock()
	r.lag = lag
	histories.Broadcast()
}

func (r *embeddedReplication) SetCut(_ context.Context, cut bool) error {
	histories.L.Lock()
	defer histories.L.Unlock()
	r.cut = cut
	histories.Broadcast()
	return nil
}

func (r *embeddedReplication) Wait(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { tell(histories) })
	defer stop()
	histories.L.Lock()
	defer histories.L.Unlock()
	for wanted := len(r.from.transactions); r.position < wanted; histories.Wait() {
		switch {
		case r.err != nil:
			return r.err
		case r.cut || r.stopped:
			return fmt.Errorf("wait for replication: %w", ErrCut)
		case ctx.Err() != nil:
			return fmt.Errorf("wait for replication: %w", context.Cause(ctx))
		}
	}
	return nil
}

func (r *embeddedReplication) Check(context.Context) error {
	histories.L.Lock()
	defer histories.L.Unlock()
	return r.err
}

func (r *embeddedReplication) Stop(context.Context) error {
	histories.L.Lock()
	r.stopped = true
	histories.Broadcast()
	histories.L.Unlock()
	<-r.ended
	return r.Check(context.Background())
}
