package client

import (
	"cmp"
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/url"
	"slices"
	"sync/atomic"
	"time"
)

const (
	// connectTimeout bounds what a Region that is gone, and says nothing, costs of an attempt, TCP and TLS each. TCP sends a lost
	// first packet again after one second (RFC 6298).
	connectTimeout = 1500 * time.Millisecond
	// maxIdleConnections are kept for the next payments, so that a load of many at once does not connect for each.
	maxIdleConnections = 64
	idleTimeout        = 30 * time.Second
)

// way is a host that leads to the API: the public name, or one Region's own.
type way struct {
	url         *url.URL
	connections atomic.Pointer[connections]

	// Client.mu guards what follows.

	// region is where the way leads. The public name leads to the Region of its last answer, as far as the client knows.
	region string
	// failed is when the way failed last, avoidUntil until when it gets no request. A way that has not failed since it last worked
	// has an avoidUntil of zero.
	failed, avoidUntil time.Time
	// silent tells that the last failure was no answer.
	silent bool
}

// connections are the connections that requests use from a moment on.
type connections struct {
	*http.Transport
	since time.Time
}

// connect makes a set of connections, which connects when it is used. It follows no redirect.
func (c *Client) connect() *connections {
	t := c.transport.Clone()
	if t.TLSClientConfig == nil {
		t.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	t.TLSClientConfig.ServerName = (&url.URL{Host: c.host}).Hostname()
	dial := t.DialContext
	if dial == nil {
		dial = (&net.Dialer{}).DialContext
	}
	// net/http goes on connecting after a request has given up. Without an end, a lost Region would collect goroutines.
	t.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		ctx, cancel := context.WithTimeout(ctx, connectTimeout)
		defer cancel()
		return dial(ctx, network, address)
	}
	if t.TLSHandshakeTimeout == 0 {
		t.TLSHandshakeTimeout = connectTimeout
	}
	if t.MaxIdleConnsPerHost == 0 {
		t.MaxIdleConnsPerHost = maxIdleConnections
	}
	if t.IdleConnTimeout == 0 {
		t.IdleConnTimeout = idleTimeout
	}
	t.ForceAttemptHTTP2 = true
	return &connections{since: c.now().Round(0), Transport: t}
}

// CloseIdleConnections closes the connections that no request uses. The next request looks its name up and connects anew.
// Connections in use close after their requests, at the latest when they have been idle for 30 s.
func (c *Client) CloseIdleConnections() {
	for _, w := range c.ways {
		c.leave(w, w.connections.Load())
	}
}

// current is the way's set of connections for the next attempt: a new one if the last has reached its age.
func (c *Client) current(w *way) *connections {
	used := w.connections.Load()
	// Round has taken the monotonic reading away, which stands still while Lambda has frozen a process
	// (hashicorp/vault-lambda-extension#150). A wall clock can be set back.
	if age := c.now().Sub(used.since); age >= c.age || age < 0 {
		c.leave(w, used)
	}
	return w.connections.Load()
}

// leave replaces a set of connections: requests under way end on them, and no other begins.
func (c *Client) leave(w *way, used *connections) {
	if w.connections.CompareAndSwap(used, c.connect()) {
		used.CloseIdleConnections()
	}
}

// alike are the ways that lead to the same Region as a way, itself included. Client.mu is held.
func (c *Client) alike(w *way) []*way {
	var alike []*way
	for _, other := range c.ways {
		if other == w || w.region != "" && other.region == w.region {
			alike = append(alike, other)
		}
	}
	return alike
}

// choose returns the way for an attempt of a request that has tried some ways. fresh tells that the way is untried and has not failed
// lately.
//
// The order is the public name, then the Regions. A way whose time of avoidance is over is chosen once, and then avoided until the
// attempt has ended: one request at a time finds out whether it works. If no way is fresh, a Region that answers, if only with an
// error, is better than a silent one; then the one is better that failed longer ago.
func (c *Client) choose(tried []*way) (chosen *way, fresh bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	for _, w := range c.ways {
		if !slices.Contains(tried, w) && w.rank(now) == 0 {
			if !w.avoidUntil.IsZero() {
				w.avoidUntil = now.Add(c.failover)
			}
			return w, true
		}
	}
	return slices.MinFunc(c.ways, func(a, b *way) int {
		return cmp.Or(cmp.Compare(a.rank(now), b.rank(now)), a.failed.Compare(b.failed))
	}), false
}

// rank is 0 for a way that is not avoided, 1 for one that answered with an error, and 2 for a silent one. Client.mu is held.
func (w *way) rank(now time.Time) int {
	switch {
	case !now.Before(w.avoidUntil):
		return 0
	case w.silent:
		return 2
	}
	return 1
}

// others reports whether a request that has tried some ways has another left, and whether one of these has not failed lately.
func (c *Client) others(tried []*way) (left, fresh bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	for _, w := range c.ways {
		if !slices.Contains(tried, w) {
			left, fresh = true, fresh || !now.Before(w.avoidUntil)
		}
	}
	return left, fresh
}

// tried are the ways that an attempt by a way has tried, of a request that has tried some.
func (c *Client) tried(before []*way, w *way) []*way {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append(slices.Clip(before), c.alike(w)...)
}

// fail avoids a way, and the others that lead to the same Region. The time is random, so that clients that saw a Region fail
// together do not return together.
func (c *Client) fail(w *way, silent bool, why string) {
	c.mu.Lock()
	now, begins := c.now(), w.avoidUntil.IsZero()
	until := now.Add(c.avoidFor/2 + time.Duration(c.random.Int64N(int64(c.avoidFor))))
	for _, one := range c.alike(w) {
		one.failed, one.avoidUntil, one.silent = now, until, silent
	}
	region := w.region
	c.mu.Unlock()
	if begins {
		c.logger.Warn("payment API failed and is avoided for a while", "host", w.url.Host, "region", region, "error", why)
	}
}

// leads notes which Region the public name leads to.
func (c *Client) leads(w *way, region string) {
	if w == c.ways[0] && region != "" {
		c.mu.Lock()
		defer c.mu.Unlock()
		w.region = region
	}
}

// work notes that a Region answered an attempt that began at a moment. An answer to an attempt from before a failure says nothing
// about the time after it.
func (c *Client) work(w *way, began time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, one := range c.alike(w) {
		if began.After(one.failed) {
			one.avoidUntil = time.Time{}
		}
	}
}
