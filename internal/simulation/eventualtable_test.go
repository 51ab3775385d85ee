package simulation_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"payments-dr/internal/payment"
	"payments-dr/internal/simulation"
	"payments-dr/internal/simulation/localdynamodb"
)

// lagClock holds everybody who waits until it is let go on.
type lagClock struct {
	mu      sync.Mutex
	now     time.Time
	waiting []chan time.Time
}

func (c *lagClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *lagClock) After(time.Duration) <-chan time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waiting = append(c.waiting, make(chan time.Time, 1))
	return c.waiting[len(c.waiting)-1]
}

// pass lets a second pass, and the lag of all that was written.
func (c *lagClock) pass() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(time.Second)
	for _, waiting := range c.waiting {
		waiting <- c.now
	}
	c.waiting = nil
}

func (c *lagClock) copies() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.waiting)
}

// newEventualTable is a table whose west is a server of its own, with the lag of the clock; regions are what can be lost.
func newEventualTable(t *testing.T, clock simulation.Clock, lost map[string]*simulation.Reach) (*globalTable, *simulation.EventualTable) {
	t.Helper()
	other, err := localdynamodb.Start("../..")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(other.Close)
	g := &globalTable{name: t.Name(), urls: map[string]string{}, streams: map[string]*simulation.Stream{}}
	servers := map[string]*localdynamodb.Server{east: server, west: other}
	endpoints := map[string]string{}
	for region, s := range servers {
		if _, err := s.CreateTable(t.Context(), region, g.name, payment.AttributeSessionID, payment.AttributeTransactionID); err != nil {
			t.Fatal(err)
		}
		endpoints[region] = s.Endpoint
		g.streams[region] = simulation.NewStream(simulation.StreamConfig{Region: region})
	}
	table := simulation.NewEventualTable(simulation.EventualTableConfig{
		Endpoints: endpoints, Keys: []string{payment.AttributeSessionID, payment.AttributeTransactionID}, Streams: g.streams,
		Lag: time.Second, Clock: clock,
		Reaches: func(ctx context.Context, from, to string) error {
			return errors.Join(lost[from].WaitUp(ctx), lost[to].WaitUp(ctx))
		},
	})
	t.Cleanup(table.Close)
	for _, region := range regions {
		replica := httptest.NewServer(table.Replica(region))
		t.Cleanup(replica.Close)
		g.urls[region] = replica.URL
	}
	return g, table
}

func nothingLost() map[string]*simulation.Reach {
	return map[string]*simulation.Reach{east: {}, west: {}}
}

// has is whether a Region has a payment.
func (g *globalTable) has(t *testing.T, region string, p payment.Payment) bool {
	t.Helper()
	_, err := g.table(region).Get(t.Context(), p.Identity)
	if known, ok := errors.AsType[*payment.Error](err); ok && known.Code == payment.CodeNotFound {
		return false
	}
	if err != nil {
		t.Fatal(err)
	}
	return true
}

func TestEventualTableCopiesAfterItsLag(t *testing.T) {
	clock := &lagClock{now: time.Unix(1, 0)}
	g, table := newEventualTable(t, clock, nothingLost())
	p := newPayment(t, east, "t1")
	if _, replayed, err := g.table(east).Accept(t.Context(), p); err != nil || replayed {
		t.Fatalf("replayed %v, %v", replayed, err)
	}
	if !g.has(t, east, p) || g.has(t, west, p) || len(g.streams[west].Records()) != 0 {
		t.Error("a write is elsewhere before its lag has passed")
	}
	waitUntil(t, func() bool { return clock.copies() == 1 })
	clock.pass()
	if err := table.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !g.has(t, west, p) {
		t.Error("it is not copied")
	}
	for _, region := range regions {
		records := g.streams[region].Records()
		if len(records) != 1 || records[0].EventName != "INSERT" || records[0].AWSRegion != region || records[0].Change.NewImage["region"].String() != east {
			t.Errorf("stream of %s: %+v", region, records)
		}
	}
}

// A condition is held in its own Region only: both Regions accept the same payment, and the later one is what both have then.
func TestEventualTableAcceptsTwiceAndKeepsTheLater(t *testing.T) {
	clock := &lagClock{now: time.Unix(1, 0)}
	g, table := newEventualTable(t, clock, nothingLost())
	first, second := newPayment(t, west, "t1"), newPayment(t, east, "t1") // the earlier is the one whose Region's name is greater
	for i, p := range []payment.Payment{first, second} {
		if _, replayed, err := g.table(p.Region).Accept(t.Context(), p); err != nil || replayed {
			t.Fatalf("replayed %v, %v: no Region knows yet what the other has", replayed, err)
		}
		if i == 0 { // the clock goes on, the copies do not
			clock.mu.Lock()
			clock.now = clock.now.Add(time.Second)
			clock.mu.Unlock()
		}
	}
	waitUntil(t, func() bool { return clock.copies() == 2 })
	clock.pass()
	if err := table.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	for region, want := range map[string]map[string]int{
		east: {"INSERT t1": 1}, west: {"INSERT t1": 1, "MODIFY t1": 1},
	} {
		p, err := g.table(region).Get(t.Context(), first.Identity)
		if err != nil || p.Region != east {
			t.Errorf("%s has %+v, %v; the later write is east's", region, p, err)
		}
		if got := changes(g.streams[region]); !maps.Equal(got, want) {
			t.Errorf("stream of %s: %v, want %v", region, got, want)
		}
	}
}

func TestEventualTableLosesWhatWasNotCopiedUntilTheRegionIsBack(t *testing.T) {
	clock, lost := &lagClock{now: time.Unix(1, 0)}, nothingLost()
	g, table := newEventualTable(t, clock, lost)
	accept := func(region, id string) payment.Payment {
		t.Helper()
		p := newPayment(t, region, id)
		if _, _, err := g.table(region).Accept(t.Context(), p); err != nil {
			t.Fatal(err)
		}
		return p
	}
	before := accept(east, "before")
	waitUntil(t, func() bool { return clock.copies() == 1 })
	clock.pass()
	if err := table.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	last := accept(east, "last")
	waitUntil(t, func() bool { return clock.copies() == 1 })
	lost[east].SetDown(true)
	clock.pass()
	short, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := table.Wait(short); err == nil || err.Error() != "1 copies are under way: context deadline exceeded" {
		t.Errorf("error %v", err)
	}
	if !g.has(t, west, before) || g.has(t, west, last) {
		t.Error("what was copied is gone, or what was not copied is there")
	}
	lost[east].SetDown(false)
	if err := table.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !g.has(t, west, last) {
		t.Error("the Region is back, and its last write is not")
	}
	if got, want := fmt.Sprint(changes(g.streams[west])), "map[INSERT before:1 INSERT last:1]"; got != want {
		t.Errorf("stream of west: %s, want %s", got, want)
	}
}
