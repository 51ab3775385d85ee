package simulation

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"
)

// EventualTableConfig configures an eventually consistent global table.
type EventualTableConfig struct {
	// Endpoints are the DynamoDB APIs that hold the replicas' items, one for each Region.
	Endpoints map[string]string
	// Keys, Streams and Fault are those of TableProxyConfig.
	Keys    []string
	Streams map[string]*Stream
	Fault   func(ctx context.Context, region, operation string) *TableFault
	// Lag is how long after its acknowledgment a write is copied, by the clock.
	Lag   time.Duration
	Clock Clock
	// Reaches waits until a Region reaches another; nil: each always does.
	Reaches func(ctx context.Context, from, to string) error
}

// EventualTable simulates a global table with multi-Region eventual consistency ("Global tables: multi-active, multi-Region
// replication", Amazon DynamoDB Developer Guide). A write is acknowledged when its own Region has it, a condition is held
// against what that Region has, and the other Regions get a copy later. Of two writes of one item the later wins everywhere;
// of two at the same moment, that of the Region whose name is greater, which AWS does not say. A copy is in the stream of the
// replica that it comes to, as an INSERT or a MODIFY.
//
// What was not copied when a Region is lost is not in the others. It comes when the Region is back.
type EventualTable struct {
	config   EventualTableConfig
	clock    Clock
	replicas map[string]*replica
	ctx      context.Context
	cancel   context.CancelFunc
	running  sync.WaitGroup

	mu      sync.Mutex
	pending int
	failed  error
	changes signal
}

// replica is the items of one Region, and when and where each was written last.
type replica struct {
	*TableProxy
	mu     sync.Mutex
	latest map[string]version
}

type version struct {
	at     time.Time
	region string
}

func (v version) beats(other version) bool {
	return v.at.After(other.at) || v.at.Equal(other.at) && v.region > other.region
}

// take notes a version of an item, unless a later one is there.
func (r *replica) take(key string, v version) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if known, ok := r.latest[key]; ok && !v.beats(known) {
		return false
	}
	r.latest[key] = v
	return true
}

// NewEventualTable is a table whose replicas are served by Replica. Close ends its replication.
func NewEventualTable(config EventualTableConfig) *EventualTable {
	t := &EventualTable{config: config, clock: orReal(config.Clock), replicas: map[string]*replica{}}
	t.ctx, t.cancel = context.WithCancel(context.Background())
	for region, endpoint := range config.Endpoints {
		r := &replica{latest: map[string]version{}, TableProxy: NewTableProxy(TableProxyConfig{
			Endpoint: endpoint, Keys: config.Keys, Fault: config.Fault, Streams: map[string]*Stream{region: config.Streams[region]},
		})}
		r.written = func(p put) { t.written(region, p) }
		t.replicas[region] = r
	}
	return t
}

// Replica serves the DynamoDB API of one Region's replica.
func (t *EventualTable) Replica(region string) http.Handler {
	return t.replicas[region].Replica(region)
}

// Close ends the replication, with what was not copied, and drops the connections to the APIs.
func (t *EventualTable) Close() {
	t.cancel()
	t.running.Wait()
	for _, r := range t.replicas {
		r.Close()
	}
}

// Wait waits until every write is in every replica. The error is the context's, or that of a copy that the API refused.
func (t *EventualTable) Wait(ctx context.Context) error {
	for {
		change := t.changes.next()
		t.mu.Lock()
		pending, failed := t.pending, t.failed
		t.mu.Unlock()
		if pending == 0 || failed != nil {
			return failed
		}
		select {
		case <-change:
		case <-ctx.Done():
			return fmt.Errorf("%d copies are under way: %w", pending, ctx.Err())
		}
	}
}

// written notes a Region's write and has it copied. The item is locked.
func (t *EventualTable) written(region string, p put) {
	v := version{t.clock.Now(), region}
	t.replicas[region].take(t.key(p), v)
	p.call = p.call.Clone(t.ctx)
	for other, r := range t.replicas {
		if other == region {
			continue
		}
		t.mu.Lock()
		t.pending++
		t.mu.Unlock()
		t.running.Go(func() {
			err := t.copy(region, other, r, p, v)
			t.mu.Lock()
			t.pending--
			if !errors.Is(err, context.Canceled) {
				t.failed = errors.Join(t.failed, err)
			}
			t.mu.Unlock()
			t.changes.changed()
		})
	}
}

func (t *EventualTable) key(p put) string {
	var key strings.Builder
	for _, name := range t.config.Keys {
		key.WriteString(p.keys[name].String() + "\x00")
	}
	return key.String()
}

// copy brings a write to another replica after the lag, when that can be reached.
func (t *EventualTable) copy(from, to string, r *replica, p put, v version) error {
	if err := sleep(t.ctx, t.clock, t.config.Lag); err != nil {
		return err
	}
	if t.config.Reaches != nil {
		if err := t.config.Reaches(t.ctx, from, to); err != nil {
			return err
		}
	}
	lock, err := r.lock(p.keys)
	if err != nil {
		return err
	}
	lock.Lock()
	defer lock.Unlock()
	if !r.take(t.key(p), v) {
		return nil
	}
	// The condition was held against the first replica, and is not asked again.
	body, err := json.Marshal(map[string]json.RawMessage{
		"TableName": p.body["TableName"], "Item": p.body["Item"], "ReturnValues": json.RawMessage(`"ALL_OLD"`),
	})
	if err != nil {
		return fmt.Errorf("write copy: %w", err)
	}
	answer, err := r.forward(t.ctx, p.call, body)
	if err != nil {
		return err
	}
	if answer.status != http.StatusOK {
		return fmt.Errorf("copy a write of %s to %s: status %d: %s", from, to, answer.status, answer.body)
	}
	_, old, err := readOld(answer)
	if err != nil {
		return err
	}
	_, err = r.record(p.keys, p.item, old)
	return err
}
