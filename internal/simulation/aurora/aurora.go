// Package aurora is a simulated Aurora global database with the ledger in it: two servers of package localmysql stand
// for its two members, one of which can be written to. The other follows it, late by a lag. They can be lost and parted,
// switched over and failed over, and what was lost then can be looked at.
//
// The members are MariaDB, with its own asynchronous replication, or embedded servers, whose replication is simulated as well:
// what one has committed is run again on the other, see localmysql.Replicate. One API and one set of tests is for both.
//
// What follows Aurora ("Using switchover or failover in Amazon Aurora Global Database", Amazon Aurora User Guide): a switchover
// waits for the target and loses nothing; a failover waits for nothing and loses what was not replicated; its old writer
// comes back as a secondary whose data is replaced, while what it had alone is kept in a snapshot; clusters that take on a role
// cannot be used for a moment, so that connections to them break. Aurora tries to stop the writes of the old writer, which
// may not succeed at once: then both are written to, a split brain. Here it succeeds unless the members are parted, and
// then not until they are joined, which is harder on the ledger than Aurora says it is.
//
// What does not: a member has one endpoint, which leads to its server whatever its role is. A secondary of Aurora's has a reader
// endpoint, and a cluster endpoint that leads nowhere; here both are the one that refuses writes. A lost member refuses
// connections and is not silent. It has rejoined when Rejoin is called, not by itself. Aurora replicates pages by its storage,
// and takes minutes for a failover; roles change here as fast as the servers can.
package aurora

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"payments-dr/internal/payment"
	"payments-dr/internal/simulation/localmysql"
	"payments-dr/internal/simulation/loopback"
)

// Options describe a global database.
type Options struct {
	// Regions are the members' names; the first begins as the writer.
	Regions [2]string
	// MariaDB has the members be MariaDB, started from this installation, which must last as long. Nil is embedded servers.
	MariaDB *localmysql.Installation
	// Lag is how much later than at the writer a transaction is committed at the secondary, in the machine's time; see SetLag.
	Lag time.Duration
	// Database is the name of the database that the ledger is in. Start makes it.
	Database string
	// Schema makes the ledger's table and its user, at the writer and as the master user. The secondary gets them by replication.
	Schema func(ctx context.Context, writer *sql.DB) error
	// Log is told of each change of roles, a line each. Nil is nobody.
	Log io.Writer
}

var (
	// ErrUnreachable is an operation that needs a member which is down, or both while they are parted.
	ErrUnreachable = errors.New("a member of the global database cannot be reached")
	// ErrNotSecondary is an operation on a Region that is no secondary: it is the writer, or was it before a failover and has not
	// rejoined, or there is no such Region. Of Rejoin's it is a Region that has nothing to rejoin after.
	ErrNotSecondary = errors.New("the Region is not a secondary of the global database")
)

// GlobalDatabase is a running global database. It may be used concurrently, but for Close. An operation that ends with
// ErrUnreachable or ErrNotSecondary has changed nothing, nor has a Switchover that ended while it waited. After another error
// the database is of no more use.
type GlobalDatabase struct {
	database string
	log      io.Writer
	mariaDB  *localmysql.Installation
	// operation is held by the one switchover, failover or rejoin that runs.
	operation chan struct{}

	mu      sync.Mutex
	members []*member
	writer  *member
	// replaced is the old writer after a failover, until it has rejoined; then there is no secondary.
	replaced *member
	// atPromotion are the payments that the writer had when a failover promoted it.
	atPromotion map[payment.Identity]bool
	// replication is the secondary's, nil if there is none.
	replication localmysql.Replication
	lag         time.Duration
	partitioned bool
	// apart is since when nothing reaches the secondary; zero if something does.
	apart     time.Time
	snapshots []Lost
}

// member is one Region's cluster.
type member struct {
	region string
	line   *loopback.Line
	server *localmysql.Server
	down   bool
	// fenced is a replaced writer that has learned of it.
	fenced bool
}

// Start starts a global database.
func Start(ctx context.Context, options Options) (*GlobalDatabase, error) {
	if options.Regions[0] == "" || options.Regions[1] == "" || options.Regions[0] == options.Regions[1] {
		return nil, fmt.Errorf("start global database: the Regions are %q; allowed are two different ones", options.Regions)
	}
	g := &GlobalDatabase{database: options.Database, log: options.Log, mariaDB: options.MariaDB, operation: make(chan struct{}, 1)}
	if g.log == nil {
		g.log = io.Discard
	}
	if err := g.start(ctx, options); err != nil {
		g.Close()
		return nil, fmt.Errorf("start global database: %w", err)
	}
	return g, nil
}

func (g *GlobalDatabase) start(ctx context.Context, options Options) error {
	var starting sync.WaitGroup
	faults := make([]error, len(options.Regions))
	for i, region := range options.Regions {
		m := &member{region: region}
		g.members = append(g.members, m)
		starting.Go(func() {
			if m.server, faults[i] = g.startServer(); faults[i] == nil {
				m.line, faults[i] = loopback.NewLine(m.server.Address())
			}
		})
	}
	starting.Wait()
	if err := errors.Join(faults...); err != nil {
		return err
	}
	g.writer = g.members[0]
	secondary := g.members[1]
	if err := g.writer.server.Exec(ctx, "", "CREATE DATABASE `"+g.database+"`"); err != nil {
		return err
	}
	master, err := g.writer.server.Open(g.database)
	if err != nil {
		return err
	}
	defer master.Close()
	if err := options.Schema(ctx, master); err != nil {
		return fmt.Errorf("make schema: %w", err)
	}
	if g.replication, err = g.follow(ctx, secondary.server); err != nil {
		return err
	}
	g.SetLag(options.Lag)
	return nil
}

func (g *GlobalDatabase) startServer() (*localmysql.Server, error) {
	if g.mariaDB != nil {
		return g.mariaDB.Start()
	}
	return localmysql.StartEmbedded()
}

// follow makes a server that is new, or that has what the writer had, a secondary. It returns when it has all that the writer has,
// however large the lag.
func (g *GlobalDatabase) follow(ctx context.Context, secondary *localmysql.Server) (localmysql.Replication, error) {
	if err := secondary.SetReadOnly(ctx, true); err != nil {
		return nil, err
	}
	replication, err := localmysql.Replicate(ctx, g.writer.server, secondary)
	if err != nil {
		return nil, err
	}
	if err := replication.Wait(ctx); err != nil {
		return nil, errors.Join(err, replication.Stop(context.WithoutCancel(ctx)))
	}
	return replication, nil
}

// Close ends the servers. Their data is gone.
func (g *GlobalDatabase) Close() {
	if g.replication != nil {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_ = g.replication.Stop(ctx) // the servers end in any case
	}
	for _, m := range g.members {
		if m.line != nil {
			m.line.Close()
		}
		if m.server != nil {
			m.server.Close()
		}
	}
}

// member is the one of a Region, or nil. So are other.
func (g *GlobalDatabase) member(region string) *member {
	for _, m := range g.members {
		if m.region == region {
			return m
		}
	}
	return nil
}

func (g *GlobalDatabase) other(m *member) *member {
	if m == g.members[0] {
		return g.members[1]
	}
	return g.members[0]
}

// Address is a Region's cluster endpoint. It stays the same. While the Region is lost it takes no connection.
func (g *GlobalDatabase) Address(region string) (host string, port int, err error) {
	m := g.member(region)
	if m == nil {
		return "", 0, fmt.Errorf("find the endpoint of %q: %w", region, ErrNotSecondary)
	}
	return loopback.Host, m.line.Port(), nil
}

// Open is a pool of connections to a Region's server as the master user, past its endpoint: for looking at what it has, also while
// it is lost. After a Rejoin new connections lead to the new data.
func (g *GlobalDatabase) Open(region string) (*sql.DB, error) {
	m := g.member(region)
	if m == nil {
		return nil, fmt.Errorf("open database of %q: %w", region, ErrNotSecondary)
	}
	return localmysql.OpenAt(func() string {
		g.mu.Lock()
		defer g.mu.Unlock()
		return m.server.Address()
	}, g.database)
}

// Writer is the Region that the last switchover or failover promoted. After a failover the old writer may still be written to; see
// Failover.
func (g *GlobalDatabase) Writer() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.writer.region
}

// SetLag has transactions arrive so much later at the secondary than they were committed, in the machine's time. Less than zero
// is zero. What is on its way already arrives by the new lag.
func (g *GlobalDatabase) SetLag(lag time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.lag = max(lag, 0)
	if g.replication != nil {
		g.replication.SetLag(g.lag)
	}
}

// SetDown loses a Region, or brings it back. When it is lost, its connections break and it takes no new ones, and nothing is
// replicated from or to it; what it has committed stays in its data. A writer that comes back is the writer, unless another was
// promoted meanwhile: then it is a reader before it can be reached.
func (g *GlobalDatabase) SetDown(ctx context.Context, region string, down bool) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	m := g.member(region)
	if m == nil {
		return fmt.Errorf("lose %q: %w", region, ErrNotSecondary)
	}
	m.down = down
	if down {
		m.line.SetDown(true)
	}
	if err := g.reached(ctx); err != nil {
		return fmt.Errorf("lose %s: %w", region, err)
	}
	if !down {
		m.line.SetDown(false)
	}
	return nil
}

// SetPartitioned parts the members, or joins them. Both can be used while they are parted; nothing is replicated, and a
// writer that a failover replaces does not learn of it.
func (g *GlobalDatabase) SetPartitioned(ctx context.Context, partitioned bool) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.partitioned = partitioned
	if err := g.reached(ctx); err != nil {
		return fmt.Errorf("part members: %w", err)
	}
	return nil
}

// unreachable is an error while the members cannot reach each other.
func (g *GlobalDatabase) unreachable() error {
	for _, m := range g.members {
		if m.down {
			return fmt.Errorf("%s is down: %w", m.region, ErrUnreachable)
		}
	}
	if g.partitioned {
		return fmt.Errorf("the members are parted: %w", ErrUnreachable)
	}
	return nil
}

// reached does what follows from who can be reached now: replication runs or does not, and a replaced writer learns that it is.
func (g *GlobalDatabase) reached(ctx context.Context) error {
	cut := g.unreachable() != nil
	switch {
	case !cut:
		g.apart = time.Time{}
	case g.apart.IsZero():
		g.apart = time.Now()
	}
	if g.replication != nil {
		if err := g.replication.SetCut(ctx, cut); err != nil {
			return err
		}
	}
	if m := g.replaced; m != nil && !m.fenced && !m.down && !g.partitioned {
		if err := g.fence(ctx, m); err != nil {
			return err
		}
		g.tell("%s has learned that %s is the writer, and takes no more writes", m.region, g.writer.region)
	}
	return nil
}

// fence ends a writer's writes, and its connections.
func (g *GlobalDatabase) fence(ctx context.Context, m *member) error {
	if err := m.server.SetReadOnly(ctx, true); err != nil {
		return fmt.Errorf("stop writes in %s: %w", m.region, err)
	}
	m.line.Break()
	m.fenced = true
	return nil
}

func (g *GlobalDatabase) tell(format string, arguments ...any) {
	_, _ = fmt.Fprintf(g.log, "global database: "+format+"\n", arguments...)
}
