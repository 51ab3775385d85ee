// Package simulation is a simulated AWS around the real functions, as much of it as a payment meets on its way: queues, table
// streams, their event source mappings, functions in processes of their own, and a global table's replicas. Buses are in
// package eventbus. It is built to lose parts in the middle of work, and to be run whole under the race detector.
//
// What defines the behaviour of each part is named with it, by the page's name in AWS's documentation. Where a page leaves a
// case open, the part does what is harder on the functions, and says so. Package conformance holds the parts against the pages
// and against an emulator of AWS.
//
// Not simulated: permissions, encryption, quotas, batching windows, retention periods, the age limit of stream records,
// several batches of one shard at a time, splitting shards, message timers, the twelve hours that a message may be
// hidden at most, and queues other than standard ones.
package simulation

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"
)

// Clock is the time that a part lives by. A part without one lives by the machine's.
type Clock interface {
	Now() time.Time
	After(time.Duration) <-chan time.Time
}

type realClock struct{}

func (realClock) Now() time.Time                         { return time.Now() }
func (realClock) After(d time.Duration) <-chan time.Time { return time.After(d) }

func orReal(clock Clock) Clock {
	if clock == nil {
		return realClock{}
	}
	return clock
}

// Invoker is what an event source mapping needs of a function. An error is the function's or its end, but for ErrThrottled.
type Invoker interface {
	Invoke(ctx context.Context, payload []byte) ([]byte, error)
}

// ErrThrottled is the error of an invocation that was not begun.
var ErrThrottled = errors.New("the function is throttled")

// Chance is a seeded source of accidents. It may be used concurrently.
type Chance struct {
	mu     sync.Mutex
	random *rand.Rand
}

// NewChance is a source of a seed.
func NewChance(seed uint64) *Chance {
	return &Chance{random: rand.New(rand.NewPCG(seed, 0))}
}

// Happens is true with a probability, from 0 (never) to 1.
func (c *Chance) Happens(probability float64) bool {
	if probability <= 0 {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.random.Float64() < probability
}

// below is a number from 0 to n-1.
func (c *Chance) below(n int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.random.IntN(n)
}

// signal wakes whoever waits for a change.
type signal struct {
	mu sync.Mutex
	c  chan struct{}
}

// next is closed at the next change.
func (s *signal) next() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.c == nil {
		s.c = make(chan struct{})
	}
	return s.c
}

func (s *signal) changed() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.c != nil {
		close(s.c)
		s.c = nil
	}
}

// sleep waits for a duration, or returns the context's error if that is done first.
func sleep(ctx context.Context, clock Clock, d time.Duration) error {
	select {
	case <-clock.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
