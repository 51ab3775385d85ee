package rehearsal

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"golang.org/x/sync/errgroup"

	"payments-dr/client"
	"payments-dr/internal/assembly"
	"payments-dr/internal/drill"
	"payments-dr/internal/drill/load"
	"payments-dr/internal/operate"
	"payments-dr/internal/payment"
	"payments-dr/internal/payment/functionerror"
	"payments-dr/internal/payment/ledger"
	"payments-dr/internal/payment/ledger/schema"
	"payments-dr/internal/payment/reconcile"
	"payments-dr/internal/payment/sessiontable"
	"payments-dr/internal/settings"
	"payments-dr/internal/simulation"
	"payments-dr/internal/simulation/aurora"
	"payments-dr/internal/simulation/localdynamodb"
	"payments-dr/internal/simulation/localmysql"
)

const (
	databaseName     = "payments"
	databasePassword = "simulated" // of a server that only this machine reaches, for as long as the rehearsal runs
	// reconcileEvery is how often the platform reconciles by itself. AWS's schedule is an hour, which is longer than a rehearsal.
	reconcileEvery = 5 * time.Minute
	// duplicates is the share of the ledger's messages that come twice, so that a ledger which minds is found out.
	duplicates = 0.02
	// regionProcessors is how many processors a Region runs at a time.
	regionProcessors = 8
	// environmentWait is how long a request over these waits. Lambda would start one more and take about as long. Much longer would
	// be worse than no answer: clients that have lost patience have sent again, and the Region works for nobody.
	environmentWait = time.Second
)

// What the assumed times are called, in the assumptions of a report and in the parts of its times.
const (
	assumedDecision   = "decision"
	assumedApproval   = "approval"
	assumedSwitchover = "Aurora's switchover"
	assumedFailover   = "Aurora's failover"
	assumedMapping    = "switching a mapping"
	assumedLag        = "replication lag"
	assumedFault      = "length of the fault"
	assumedRetry      = "retry of the relay's mapping"
)

// Assumed are the times that nothing here runs for, and that a rehearsal therefore takes from elsewhere. They are simulated ones.
type Assumed struct {
	// Decision is from the loss to the start of the plan: the alarm, and whoever looks at it.
	Decision time.Duration
	// Approval is how long the second person takes.
	Approval time.Duration
	// Switchover and Failover are Aurora's.
	Switchover, Failover time.Duration
	// Mapping is how long an event source mapping takes to be switched.
	Mapping time.Duration
	// Rejoining is how long after its return the old writer is a secondary again.
	Rejoining time.Duration
	// ReplicationLag is Aurora's, in undisturbed operation.
	ReplicationLag time.Duration
	// TableLag is the session table's, if that is eventually consistent.
	TableLag time.Duration
}

// DefaultAssumed are the assumptions, each with what it rests on, for every report.
func DefaultAssumed() (Assumed, []drill.Assumption) {
	a := Assumed{
		Decision: 4 * time.Minute, Approval: 30 * time.Second, Switchover: time.Minute, Failover: 3 * time.Minute,
		Mapping: 20 * time.Second, Rejoining: 2 * time.Minute, ReplicationLag: time.Second,
		TableLag: time.Second,
	}
	return a, []drill.Assumption{
		{What: assumedDecision + ": from the loss to the start of the plan", Value: a.Decision.String(), Source: "assumption: three minutes for the canary's alarm, and one for a person to decide"},
		{What: assumedApproval, Value: a.Approval.String(), Source: "assumption: the second person is available"},
		{What: assumedSwitchover, Value: a.Switchover.String(), Source: `AWS: "Using switchover or failover in Amazon Aurora Global Database", Amazon Aurora User Guide, and its announcements: usually under a minute`},
		{What: assumedFailover, Value: a.Failover.String(), Source: `AWS: same page: typically minutes`},
		{What: assumedMapping, Value: a.Mapping.String(), Source: "assumption: AWS publishes no time"},
		{What: assumedFault + ", if it ends by itself", Value: faultLasts.String() + "; in chaos one to two minutes; flapping 40s", Source: "the scenario"},
		{What: assumedRetry, Value: "200ms after the first failure, doubled after each, at most 30s", Source: "assumption: AWS publishes no time"},
		{What: "retry of an event bus", Value: "2s after the first failure, doubled after each, at most 1m0s", Source: "assumption: AWS publishes no time"},
		{What: "the old writer rejoins as a secondary after", Value: a.Rejoining.String(), Source: "assumption: it depends on the size of the database, and may take hours"},
		{What: assumedLag, Value: a.ReplicationLag.String(), Source: `AWS: "Using Amazon Aurora Global Database": typically under a second`},
		{What: "replication lag of the session table, if it is eventually consistent", Value: a.TableLag.String(), Source: `AWS: "Global tables: multi-active, multi-Region replication", Amazon DynamoDB Developer Guide: usually a second or less`},
		{What: "from a health check's result to the DNS answer", Value: "0s", Source: "not simulated; dr recovery-time calculates 5 s, at worst 10 s"},
		{What: "messages of the ledger queue that arrive twice", Value: fmt.Sprintf("%g %%", 100*duplicates), Source: "assumption: AWS publishes no rate"},
		{What: "processors at a time in a Region", Value: fmt.Sprintf("%d; any other request waits up to %s for one, and is then refused", regionProcessors, environmentWait), Source: "this machine's size; Lambda would start one more"},
		{What: "reconciliations", Value: "every " + reconcileEvery.String(), Source: "the deployed schedule is every hour, which is longer than a rehearsal"},
		{What: "health checkers", Value: "one for each Region that the template names", Source: "AWS has several in each and does not say how many"},
	}
}

// Config describes a rehearsal.
type Config struct {
	Assembly *assembly.Assembly
	// ModuleDir is the project's folder, with node_modules in it.
	ModuleDir string
	// Binaries are the functions' executables for this machine, by name.
	Binaries map[string]string
	// Consistency is the session table's, whatever its template says; empty: as the template has it.
	Consistency settings.Consistency
	// MariaDB has the database be two MariaDB servers with real replication; nil: two embedded ones.
	MariaDB *localmysql.Installation
	// Fault is the name of what goes wrong; see Faults.
	Fault string
	// Speed is how many times as fast as AWS's own waits they pass here.
	Speed float64
	// Rate is payments a simulated second, Clients how many clients they come from.
	Rate    float64
	Clients int
	Seed    uint64
	Assumed Assumed
	// Run has what the measure needs to know beside the observations: banner, objectives, assumptions. Its readers are set here.
	Run drill.Run
	// Recorder takes the observations.
	Recorder *drill.Recorder
	// Delays takes the delays, which only the platform knows; nil: Recorder.
	Delays *drill.Recorder
	// Progress is where the run is shown as it goes; nil: nowhere.
	Progress io.Writer
	// Log receives what the functions write; nil: nobody.
	Log io.Writer
	// Settled, if given, is called when all payments are where they belong and what is left is a minute's wait and the measuring:
	// another rehearsal may begin beside it. The machine's work is then not told, because it is not this one's alone.
	Settled func()
}

// rehearsal is one run.
type rehearsal struct {
	config   Config
	settings settings.Settings
	clock    Clock
	platform *Platform
	database *aurora.GlobalDatabase
	table    *localdynamodb.Server
	// replica is the secondary's, of an eventually consistent table; nil: there is one table behind both.
	replica     *localdynamodb.Server
	consistency settings.Consistency
	name        *PublicName
	plan        []Step
	load        *load.Load
	here        string // the Region that the settings call primary
	there       string

	// watch, if given, is told each step of an execution as it begins (result is empty) and ends.
	watch func(step Step, result StepResult)

	closing         sync.Once
	mu              sync.Mutex
	fault           time.Time // when the fault began that lasts; zero: none does
	retries         bool      // whether the ledger waits for the relay of the Region with the fault
	promoted        []func(func(drill.Row) error) error
	reconciliations []reconcile.Report
	reconciledAt    time.Time // the last one's end
	checkers        http.Client
	// over is whether everything has been observed: what follows is not on the timeline.
	over bool
	// broken is what was found to be broken in the platform, remarks what a reader has to know beside the numbers.
	broken, remarks []string
}

// Rehearse runs the platform of the assembly under load, lets the fault happen, does what the runbook says, and measures. The
// report is complete if the error is nil, whatever its status.
func Rehearse(ctx context.Context, config Config) (drill.Report, error) {
	scenario, ok := scenarios[config.Fault]
	if !ok {
		return drill.Report{}, fmt.Errorf("rehearse: fault is %q; allowed is one of %v", config.Fault, FaultNames())
	}
	r := newRehearsal(config)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer r.close()
	before := readUsage()
	if err := r.start(ctx); err != nil {
		return drill.Report{}, fmt.Errorf("start the rehearsal: %w", err)
	}

	running, stop := context.WithCancel(ctx)
	defer stop()
	var background sync.WaitGroup
	background.Go(func() { r.name.Run(running) })
	background.Go(func() { r.sample(running) })
	background.Go(func() { r.schedule(running) })
	if r.config.Progress != nil {
		live := &drill.Progress{Writer: r.config.Progress, Banner: r.config.Run.Banner, Recorder: r.config.Recorder, Now: r.clock.Now}
		background.Go(func() { live.Run(running) })
	}
	paying, stopPaying := context.WithCancel(ctx)
	defer stopPaying()
	began := time.Now()
	var paid sync.WaitGroup
	paid.Go(func() { r.load.Run(paying) })

	err := scenario.play(ctx, r)
	if err == nil {
		err = r.sleep(ctx, afterwards)
	}
	stopPaying()
	paid.Wait()
	if err == nil {
		err = r.settle(ctx)
	}
	paidFor := time.Since(began)
	stop()
	background.Wait()
	if err != nil {
		return drill.Report{}, fmt.Errorf("rehearse %s: %w", config.Fault, err)
	}
	if config.Settled != nil {
		config.Settled()
	}
	report, err := r.measure(ctx)
	if err != nil {
		return drill.Report{}, fmt.Errorf("measure: %w", err)
	}
	r.close() // what processes have used is known when they have ended
	if config.Settled == nil {
		report.Remarks = append(report.Remarks, r.effort(before, readUsage(), report.Totals.Requests, paidFor))
	}
	return report, nil
}

func newRehearsal(config Config) *rehearsal {
	if config.Log == nil {
		config.Log = io.Discard
	}
	if config.Delays == nil {
		config.Delays = config.Recorder
	}
	r := &rehearsal{config: config, settings: config.Assembly.Settings}
	r.here, r.there = r.settings.Regions.Primary.Name, r.settings.Regions.Secondary.Name
	return r
}

func (r *rehearsal) start(ctx context.Context) error {
	var err error
	if r.plan, err = ReadPlan(r.config.Assembly); err != nil {
		return err
	}
	if err := complete(r.plan, r.settings.Recovery.Automatic); err != nil {
		return err
	}
	if r.consistency, err = TableConsistency(r.config.Assembly); err != nil {
		return err
	}
	r.consistency = cmp.Or(r.config.Consistency, r.consistency)
	var table, database sync.WaitGroup
	var tableErr, replicaErr, databaseErr error
	table.Go(func() { r.table, tableErr = localdynamodb.Start(r.config.ModuleDir) })
	if r.consistency == settings.ConsistencyEventual {
		table.Go(func() { r.replica, replicaErr = localdynamodb.Start(r.config.ModuleDir) })
	}
	var databases map[string]Database
	database.Go(func() {
		r.database, databases, databaseErr = StartDatabases(ctx, [2]string{r.here, r.there}, r.config.MariaDB, r.config.Log)
	})
	table.Wait()
	database.Wait()
	if err := errors.Join(tableErr, replicaErr, databaseErr); err != nil {
		return err
	}
	r.clock = FastClock(r.config.Speed)
	r.database.SetLag(r.clock.Real(r.config.Assumed.ReplicationLag))
	options := Options{
		Binaries: r.config.Binaries, Table: r.table, Databases: databases, Clock: r.clock, Client: clientKeys, Seed: r.config.Seed, Log: r.config.Log,
		Environments: regionProcessors, EnvironmentWait: r.clock.Real(environmentWait), DuplicateProbability: duplicates, Real: r.clock.Real, Retrying: r.retrying,
	}
	if r.replica != nil {
		options.Eventual = &Eventual{Table: r.replica, Lag: r.config.Assumed.TableLag}
	}
	r.platform, err = Start(ctx, r.config.Assembly, options)
	if err != nil {
		return err
	}
	shares := map[string]*errorShare{}
	for _, region := range r.platform.Regions {
		shares[region.Name] = region.serverErrors
	}
	r.checkers.Transport = &http.Transport{TLSClientConfig: trusting(r.platform, r.settings.APIName()), DisableKeepAlives: false, ForceAttemptHTTP2: true}
	r.name, err = NewPublicName(PublicNameConfig{
		Assembly: r.config.Assembly, Clock: r.clock, Shares: shares, Get: r.ask,
		Connect: func(ctx context.Context, region string) error { return r.platform.Region(region).region.WaitUp(ctx) },
		HealthChanged: func(check, region string, healthy bool) {
			result := drill.ResultUnhealthy
			if healthy {
				result = drill.ResultHealthy
			}
			r.event(drill.Event{Kind: drill.KindHealthCheck, Name: check, Region: region, Result: result})
		},
		AnswerChanged: func(region string, detection, ttl time.Duration) {
			r.event(drill.Event{Kind: drill.KindDNS, Name: r.settings.APIName(), Region: region})
			if region != r.here { // the Region with the fault is left
				r.delayByDNS(detection, ttl)
			}
		},
	})
	if err != nil {
		return err
	}
	r.event(drill.Event{Kind: drill.KindDNS, Name: r.settings.APIName(), Region: r.here})
	if err := r.warm(ctx); err != nil {
		return err
	}
	var regions []client.Region
	for _, region := range r.settings.Both() {
		regions = append(regions, client.Region{Name: region.Name, Host: r.settings.RegionalAPIName(region)})
	}
	r.load, err = load.New(load.Config{
		Clock: r.clock, Regions: regions, Rate: r.config.Rate, Clients: r.config.Clients, Seed: r.config.Seed, URL: "https://" + r.settings.APIName(),
		Credentials: credentials.NewStaticCredentialsProvider(clientKeys.AccessKeyID, clientKeys.SecretAccessKey, ""), Trust: r.platform.Trust(),
		Answer: r.name.Answer, Address: r.apiAddress, SessionPrefix: "rehearsal-", Recorder: r.config.Recorder,
	})
	return err
}

// warm has the Region that takes payments start its processors, so that a rehearsal begins with a platform in use and not with its
// first second. It asks until three rounds in a row were answered in time; a platform that never answers so is rehearsed as it is.
// The other Region starts its own when payments come, as it would.
func (r *rehearsal) warm(ctx context.Context) error {
	const rounds = 3
	limit := r.clock.Real(time.Second)
	for good, until := 0, time.Now().Add(15*time.Second); good < rounds && time.Now().Before(until); {
		began := time.Now()
		var round errgroup.Group
		for range regionProcessors {
			round.Go(func() error {
				status, _, err := r.ask(ctx, r.here, "/health")
				if err == nil && status >= http.StatusInternalServerError {
					err = fmt.Errorf("status %d", status)
				}
				return err
			})
		}
		if round.Wait() == nil && time.Since(began) < limit {
			good++
		} else {
			good = 0
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}

// StartDatabases starts a global database with the ledger in it: of MariaDB if an installation is given, of embedded servers if
// not. Beside it is where each Region's ledger signs in. The first Region is the writer.
func StartDatabases(ctx context.Context, regions [2]string, mariaDB *localmysql.Installation, log io.Writer) (*aurora.GlobalDatabase, map[string]Database, error) {
	database, err := aurora.Start(ctx, aurora.Options{
		Regions: regions, MariaDB: mariaDB, Database: databaseName, Log: log, Schema: makeLedger(mariaDB != nil),
	})
	if err != nil {
		return nil, nil, err
	}
	at := map[string]Database{}
	for _, region := range regions {
		host, port, err := database.Address(region)
		if err != nil {
			database.Close()
			return nil, nil, err
		}
		at[region] = Database{Host: host, Port: port, User: ledger.UserName, Password: databasePassword, Name: databaseName}
	}
	return database, at, nil
}

// makeLedger makes the ledger's table and its user, as the migration does.
func makeLedger(mariaDB bool) func(context.Context, *sql.DB) error {
	return func(ctx context.Context, writer *sql.DB) error {
		// Aurora's IAM authentication exists nowhere else.
		if _, err := schema.Migrate(ctx, writer, schema.User{Name: ledger.UserName, Authentication: "IDENTIFIED BY '" + databasePassword + "'"}); err != nil {
			return err
		}
		if err := ledger.New(writer).NoteReconciled(ctx, time.Now()); err != nil { // by the hourly runs before
			return err
		}
		if mariaDB {
			return nil
		}
		// The embedded server's secondary indexes lead to wrong rows once a connection has died in a transaction.
		for _, index := range []string{"payments DROP INDEX payments_accepted_at", "reconciliations DROP INDEX reconciliations_reconciled_to"} {
			if _, err := writer.ExecContext(ctx, "ALTER TABLE "+index); err != nil {
				return err
			}
		}
		return nil
	}
}

func (r *rehearsal) close() {
	r.closing.Do(func() {
		r.checkers.CloseIdleConnections()
		if r.platform != nil {
			r.platform.Close()
		}
		if r.database != nil {
			r.database.Close()
		}
		for _, table := range []*localdynamodb.Server{r.table, r.replica} {
			if table != nil {
				table.Close()
			}
		}
	})
}

// apiAddress is where a Region's API listens.
func (r *rehearsal) apiAddress(region string) string { return r.platform.Region(region).APIAddress() }

// ask is a health checker's request to a Region's own API.
func (r *rehearsal) ask(ctx context.Context, region, path string) (status int, body string, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+r.platform.Region(region).APIAddress()+path, nil)
	if err != nil {
		return 0, "", err
	}
	request.Host = "own.execute-api." + region + ".amazonaws.com"
	response, err := r.checkers.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	read, err := io.ReadAll(response.Body)
	return response.StatusCode, string(read), err
}

func (r *rehearsal) event(e drill.Event) {
	e.At = r.clock.Now()
	_ = r.config.Recorder.Event(e) // what cannot be true is counted by the recorder
	switch e.Kind {
	case drill.KindFaultBegins:
		r.delay(assumedLag, drill.SourceAssumed, e.At.Add(-r.config.Assumed.ReplicationLag), e.At, drill.NameRPO)
		r.setFault(e.At)
	case drill.KindFaultEnds:
		r.setFault(time.Time{})
	}
}

func (r *rehearsal) setFault(began time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fault = began
}

func (r *rehearsal) delay(what string, source drill.Source, from, to time.Time, of ...drill.Name) {
	_ = r.config.Delays.Delay(drill.Delay{What: what, Source: source, From: from, To: to, Of: of, AtMost: source == drill.SourceCalculated})
}

// assume waits for an assumed time that the named times can contain.
func (r *rehearsal) assume(ctx context.Context, what string, d time.Duration, of ...drill.Name) error {
	from := r.clock.Now()
	err := r.sleep(ctx, d)
	if err == nil {
		r.delay(what, drill.SourceAssumed, from, from.Add(d), of...)
	}
	return err
}

// retrying takes a wait of a Region's relay mapping after a failed attempt.
func (r *rehearsal) retrying(region string, wait time.Duration) {
	now := r.clock.Now()
	r.mu.Lock()
	retries := r.retries
	r.mu.Unlock()
	if retries && region == r.here {
		r.delay(assumedRetry, drill.SourceAssumed, now, now.Add(wait), drill.NameLedgerRTO)
	}
}

// delayByDNS records what a change of the public name's answer has taken and will take by the templates, if a fault lasts.
func (r *rehearsal) delayByDNS(detection, ttl time.Duration) {
	now := r.clock.Now()
	r.mu.Lock()
	began := r.fault
	r.mu.Unlock()
	if began.IsZero() {
		return
	}
	noticed := began.Add(detection)
	if noticed.After(now) {
		noticed = now
	}
	r.delay("health checks", drill.SourceCalculated, began, noticed, drill.NamePaymentsRTO)
	r.delay("DNS TTL", drill.SourceCalculated, now, now.Add(ttl), drill.NamePaymentsRTO)
}

func (r *rehearsal) phase(name string) { r.event(drill.Event{Kind: drill.KindPhase, Name: name}) }

func (r *rehearsal) note(format string, arguments ...any) {
	r.event(drill.Event{Kind: drill.KindNote, Text: fmt.Sprintf(format, arguments...)})
}

func (r *rehearsal) sleep(ctx context.Context, d time.Duration) error { return r.clock.Sleep(ctx, d) }

// sample notes every five simulated seconds how far the database is behind and how full the ledger's queues are.
func (r *rehearsal) sample(ctx context.Context) {
	for r.sleep(ctx, 5*time.Second) == nil {
		now := r.clock.Now()
		for _, region := range r.platform.Regions {
			if region.region.Down() {
				continue // nobody could look
			}
			visible, hidden := region.Queues["payment-"+r.settings.Environment+"-ledger"].Depth()
			_ = r.config.Recorder.Sample(drill.Sample{At: now, Metric: drill.MetricQueueDepth, Region: region.Name, Value: float64(visible + hidden)})
		}
		lag, err := r.database.Lag(ctx)
		if err != nil {
			continue // there is no secondary
		}
		secondary := r.there
		if r.database.Writer() == r.there {
			secondary = r.here
		}
		_ = r.config.Recorder.Sample(drill.Sample{At: now, Metric: drill.MetricReplicationLag, Region: secondary, Value: lag.Behind.Seconds() * r.config.Speed})
		if lag.Rows >= 0 {
			_ = r.config.Recorder.Sample(drill.Sample{At: now, Metric: drill.MetricReplicationRows, Region: secondary, Value: float64(lag.Rows)})
		}
	}
}

// execute runs the recovery plan.
func (r *rehearsal) execute(ctx context.Context, to string, mode Mode) error {
	name := "activate " + to + ", " + string(mode)
	r.event(drill.Event{Kind: drill.KindPlanBegins, Name: name, Region: to})
	err := Execution{
		Steps: r.plan, Mode: mode, To: to, Clock: r.clock,
		Approve: func(ctx context.Context) error {
			return r.assume(ctx, assumedApproval, r.config.Assumed.Approval, drill.NameLedgerRTO)
		},
		Promote: r.promote,
		SetMapping: func(ctx context.Context, region string, on bool) error {
			if r.platform.Region(region).region.Down() {
				return fmt.Errorf("%s does not answer", region)
			}
			if err := r.assume(ctx, assumedMapping, r.config.Assumed.Mapping, drill.NameLedgerRTO); err != nil {
				return err
			}
			r.platform.Region(region).LedgerMapping.SetEnabled(on)
			return nil
		},
		Reconcile:   func(ctx context.Context, region string) error { return r.reconcile(ctx, region, `{}`) },
		MoveTraffic: func(_ context.Context, region string) error { r.name.Choose(region); return nil },
		Began: func(step Step) {
			r.watched(step, "")
			r.event(drill.Event{Kind: drill.KindStepBegins, Name: step.Name, Region: to})
		},
		Ended: func(step Step, result StepResult, err error) {
			r.watched(step, result)
			e := drill.Event{Kind: drill.KindStepEnds, Name: step.Name, Region: to, Result: drill.ResultCompleted}
			switch {
			case result == StepSkipped:
				e.Result = drill.ResultSkipped
			case err != nil:
				e.Result, e.Text = drill.ResultFailed, err.Error()
			}
			r.event(e)
		},
	}.Run(ctx)
	result := drill.ResultCompleted
	if err != nil {
		result = drill.ResultFailed
	}
	r.event(drill.Event{Kind: drill.KindPlanEnds, Name: name, Region: to, Result: result})
	if err != nil {
		return fmt.Errorf("run the recovery plan: %w", err)
	}
	return nil
}

func (r *rehearsal) watched(step Step, result StepResult) {
	if r.watch != nil {
		r.watch(step, result)
	}
}

// promote changes the writer, and takes as long as Aurora would. What the promoted database has at that moment is kept for the
// measure.
func (r *rehearsal) promote(ctx context.Context, region string, failover bool) error {
	change, what, takes := r.database.Switchover, assumedSwitchover, r.config.Assumed.Switchover
	if failover {
		change, what, takes = r.database.Failover, assumedFailover, r.config.Assumed.Failover
	}
	// The database here changes roles in an instant. The wait comes after it, so that the old writer takes nothing any more while
	// Aurora would be at it; the new one's ledger is switched on by a later step.
	if err := change(ctx, region); err != nil {
		return err
	}
	if err := r.assume(ctx, what, takes, drill.NameLedgerRTO, drill.NameBacklog); err != nil {
		return err
	}
	rows, err := r.rows(ctx, region)
	if err != nil {
		return err
	}
	r.mu.Lock()
	r.promoted = append(r.promoted, rows)
	r.mu.Unlock()
	r.event(drill.Event{Kind: drill.KindPromotion, Region: region})
	r.reportPromotion(context.WithoutCancel(ctx), region, failover)
	return nil
}

// reportPromotion hands RDS's event of a promotion to the reconciliation, as the rules do. A switchover emits its event in both
// Regions, a failover in the promoted one.
func (r *rehearsal) reportPromotion(ctx context.Context, promoted string, failover bool) {
	form := "Global switchover to DB cluster %s in Region %s finished."
	if failover {
		form = "Global failover to DB cluster %s in Region %s completed."
	}
	message := fmt.Sprintf(form, operate.Cluster(&r.settings, promoted), promoted)
	for _, region := range r.settings.Both() {
		if failover && region.Name != promoted {
			continue
		}
		event := fmt.Sprintf(`{"promotion":true,"cluster":%q,"message":%q}`, operate.Cluster(&r.settings, region.Name), message)
		go func() { _ = r.reconcile(ctx, region.Name, event) }()
	}
}

// schedule runs the reconciliation again and again, in both Regions.
func (r *rehearsal) schedule(ctx context.Context) {
	for r.sleep(ctx, reconcileEvery) == nil {
		for _, region := range r.platform.Regions {
			if !region.region.Down() {
				_ = r.reconcile(ctx, region.Name, `{"scheduled":true}`)
			}
		}
	}
}

// reconcile runs a Region's reconcile function.
func (r *rehearsal) reconcile(ctx context.Context, region, payload string) error {
	out, err := r.platform.Region(region).Reconcile.Invoke(ctx, []byte(payload))
	if errors.Is(err, simulation.ErrThrottled) {
		return nil // one is running
	}
	if err != nil {
		r.note("the reconciliation of %s failed: %v", region, err)
		return err
	}
	var answer struct {
		reconcile.Report
		Standby bool `json:"standby"`
	}
	if err := json.Unmarshal(out, &answer); err != nil {
		return fmt.Errorf("read the reconciliation's report: %w", err)
	}
	if answer.Standby {
		return nil // the other Region's reconciles
	}
	report := answer.Report
	report.From, report.To, report.DoneUpTo = r.clock.At(report.From), r.clock.At(report.To), r.clock.At(report.DoneUpTo)
	r.mu.Lock()
	r.reconciliations, r.reconciledAt = append(r.reconciliations, report), r.clock.Now()
	r.mu.Unlock()
	if !r.over {
		r.note("%s reconciled: %d payments, %d missing, %d repaired", region, report.Counts.Table, report.Counts.Missing, report.Counts.Repaired)
	}
	return nil
}

// arrival is how long, in the machine's time, everything that was accepted may take to arrive once nobody pays any more.
const arrival = 2 * time.Minute

// settle lets everything that was accepted arrive.
func (r *rehearsal) settle(ctx context.Context) error {
	r.phase("settling")
	missing, err := r.platform.Settle(ctx, arrival)
	if missing != "" {
		r.broken = append(r.broken, fmt.Sprintf("%.0f minutes after the last payment was sent, %s", (arrival.Seconds()*r.config.Speed)/60, missing))
	}
	return err
}

// measure reconciles what is left to be reconciled, reads table and ledger, and measures.
func (r *rehearsal) measure(ctx context.Context) (drill.Report, error) {
	r.over = true
	writer := r.database.Writer()
	before, err := r.rows(ctx, writer)
	if err != nil {
		return drill.Report{}, err
	}
	select { // the function compares nothing that is younger
	case <-time.After(wholeSeconds(r.clock.Real(reconcile.Settle)) + time.Second):
	case <-ctx.Done():
		return drill.Report{}, ctx.Err()
	}
	for range 2 { // the second shows what the first has left
		err := r.reconcile(ctx, writer, `{}`)
		if failed, ok := errors.AsType[*functionerror.Error](err); ok {
			r.broken = append(r.broken, fmt.Sprintf("the last reconciliation of %s fails: %s", writer, failed.Message))
			break
		}
		if err != nil {
			return drill.Report{}, err
		}
	}
	run := r.config.Run
	run.Clock, run.NotModeled = r.clock.Run(), NotModeled(r.config.Assembly)
	run.LedgerBefore, run.Untried = before, scenarios[r.config.Fault].untried
	if accepts := scenarios[r.config.Fault].accepts; accepts != "" {
		run.FailoverWithin = failoverWithin
		run.Assumptions = append(slices.Clone(run.Assumptions), drill.Assumption{
			What: "what accepts payments throughout, so that a client with failover loses none", Value: accepts, Source: "the fault's definition",
		})
	}
	if run.Ledger, err = r.rows(ctx, writer); err != nil {
		return drill.Report{}, err
	}
	if run.Table, err = r.items(ctx); err != nil {
		return drill.Report{}, err
	}
	r.mu.Lock()
	run.Promoted, run.Reconciliations = slices.Clone(r.promoted), slices.Clone(r.reconciliations)
	r.mu.Unlock()
	run.Remarks = append(run.Remarks, r.remarks...)
	run.Broken = append(slices.Clone(r.broken), r.platform.relays.faults()...)
	return drill.Measure(r.config.Recorder, run)
}

// rows are the rows of a Region's ledger as they are now, with their times by the rehearsal's clock.
func (r *rehearsal) rows(ctx context.Context, region string) (func(func(drill.Row) error) error, error) {
	database, err := r.database.Open(region)
	if err != nil {
		return nil, err
	}
	defer database.Close()
	rows, err := readRows(ctx, database, r.clock)
	if err != nil {
		return nil, fmt.Errorf("read ledger of %s: %w", region, err)
	}
	return rows, nil
}

// readRows reads a ledger's rows, with their times by a clock.
func readRows(ctx context.Context, database *sql.DB, clock Clock) (func(func(drill.Row) error) error, error) {
	var rows []drill.Row
	err := ledger.New(database).All(ctx, func(p payment.Payment, recordedAt time.Time) error {
		p.Timestamp = clock.At(p.Timestamp)
		rows = append(rows, drill.Row{Payment: p, RecordedAt: clock.At(recordedAt)})
		return nil
	})
	if err != nil {
		return nil, err
	}
	return func(each func(drill.Row) error) error {
		for _, row := range rows {
			if err := each(row); err != nil {
				return err
			}
		}
		return nil
	}, nil
}

// items are the session table's payments as they are now, with their times by the rehearsal's clock.
func (r *rehearsal) items(ctx context.Context) (func(func(drill.Item) error) error, error) {
	items, err := scan(ctx, r.platform.Items(), r.settings)
	if err != nil {
		return nil, fmt.Errorf("read table: %w", err)
	}
	return func(each func(drill.Item) error) error {
		for _, item := range items {
			item.Timestamp = r.clock.At(item.Timestamp)
			if err := each(item); err != nil {
				return err
			}
		}
		return nil
	}, nil
}

// scan reads all payments of the session table.
func scan(ctx context.Context, client *dynamodb.Client, s settings.Settings) (payments []payment.Payment, err error) {
	pages := dynamodb.NewScanPaginator(client, &dynamodb.ScanInput{TableName: aws.String("payment-" + s.Environment + "-sessions")})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, item := range page.Items {
			if !sessiontable.IsPayment(item) {
				continue // a health check's
			}
			p, err := sessiontable.Unmarshal(item)
			if err != nil {
				return nil, err
			}
			payments = append(payments, p)
		}
	}
	return payments, nil
}

// FaultNames are the names of the faults, in order.
func FaultNames() []string { return slices.Sorted(maps.Keys(scenarios)) }
