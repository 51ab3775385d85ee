// Package rehearsal runs the platform on this machine, built from its synthesized templates: the real function binaries, with
// the environment, memory, timeouts and mappings that the templates give them, around a simulated AWS (package simulation, and
// package eventbus for the buses). It never has a copy of what the templates say, so that it cannot flatter them.
//
// Payments come in by a simulated API Gateway in each Region, behind TLS and with signatures that are verified, and by a public
// name that is answered from the synthesized records and health checks; the synthesized recovery plan moves the rest. A rehearsal
// (Rehearse) sends payments, takes parts away by name (Fault), follows the plan, and measures with package drill.
package rehearsal

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"math"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"payments-dr/internal/assembly"
	"payments-dr/internal/payment/ledger"
	"payments-dr/internal/payment/variables"
	"payments-dr/internal/settings"
	"payments-dr/internal/simulation"
	"payments-dr/internal/simulation/eventbus"
	"payments-dr/internal/simulation/lambdaruntime"
	"payments-dr/internal/simulation/localdynamodb"
)

// streamShards is how many shards each stream has: as many as a new on-demand table has partitions ("Read/write capacity
// mode", Amazon DynamoDB Developer Guide).
const streamShards = 4

// Options are what the templates do not say.
type Options struct {
	// Binaries are the functions' executables, built for this machine, by the functions' names.
	Binaries map[string]string
	// Table is the DynamoDB API that holds the items of all replicas; if Eventual is given, those of the primary's.
	Table *localdynamodb.Server
	// Eventual has the table be an eventually consistent one, whatever its template says; see TableConsistency. Nil: a strongly
	// consistent one.
	Eventual *Eventual
	// Databases are the Regions' clusters, by Region.
	Databases map[string]Database
	// Environments is how many processors a Region runs at a time; 0 is four. EnvironmentWait is how long a request waits for one of
	// them, where Lambda would start one more; then it is throttled.
	Environments    int
	EnvironmentWait time.Duration
	// Real is how long a duration of the clock's takes on the machine. Functions, which have the machine's time, wait that long where
	// the template gives them a duration. Nil: as long as the template says.
	Real func(time.Duration) time.Duration
	// Clock is the time of queues, streams and buses; nil is the machine's. Functions live by the machine's in any case.
	Clock simulation.Clock
	// KillProbability is the share of invocations, of every function, whose process is killed within KillWithin.
	KillProbability float64
	KillWithin      time.Duration
	// DuplicateProbability is the share of messages of the ledger queues that are delivered twice.
	DuplicateProbability float64
	// Retrying, if given, is called with each wait of a Region's relay mapping after a failed attempt, by the clock.
	Retrying func(region string, wait time.Duration)
	// Client is whose requests the APIs take: whoever signs with these is let in.
	Client aws.Credentials
	// LostAnswerProbability is the share of writes to the table, and of requests to the bus, that are done and not answered.
	LostAnswerProbability float64
	Seed                  uint64
	// Log receives what the functions write.
	Log io.Writer
}

// Eventual is what an eventually consistent table needs beside the primary's replica.
type Eventual struct {
	// Table is the DynamoDB API that holds the items of the secondary's replica.
	Table *localdynamodb.Server
	// Lag is how long after its acknowledgment a write is copied, by the clock.
	Lag time.Duration
}

// Database is where the ledger's function signs in.
type Database struct {
	Host           string
	Port           int
	User, Password string
	Name           string
}

// Platform is the running platform.
type Platform struct {
	// Regions are the two, primary first.
	Regions []*Region
	Network *eventbus.Network

	settings settings.Settings
	options  Options
	replicas replicas
	relays   relays
	cancel   context.CancelFunc
	running  sync.WaitGroup
	closers  []func()
	mu       sync.Mutex
	failed   error
	// between is whether the Regions reach each other.
	between simulation.Reach
}

// replicas are those of a global table.
type replicas interface {
	// Replica serves a Region's.
	Replica(region string) http.Handler
	// Wait waits until each has what any has.
	Wait(context.Context) error
	Close()
}

// Region is one Region of the platform.
type Region struct {
	Name string
	// Processor takes API Gateway's events; Relay and Ledger are driven by their mappings; Reconcile is asked.
	Processor, Relay, Ledger, Reconcile *simulation.Function
	LedgerMapping                       *simulation.QueueMapping
	// Queues are the Region's queues by physical name.
	Queues map[string]*simulation.Queue

	stream    *simulation.Stream
	mapping   *simulation.StreamMapping
	stack     assembly.Stack
	endpoints map[string]string
	api       *simulation.TLSServer
	// region is whether the Region can be reached, table and bus whether these two can from within it.
	region, table, bus simulation.Reach
	serverErrors       *errorShare
	faults             regionFaults
}

// APIAddress is where the Region's API listens, under the public name's certificate.
func (r *Region) APIAddress() string { return r.api.Address() }

// Trust is the authorities of the Regions' certificates.
func (p *Platform) Trust() *x509.CertPool {
	return simulation.Trust(p.Regions[0].api, p.Regions[1].api)
}

// Region is the Region of a name.
func (p *Platform) Region(name string) *Region {
	for _, r := range p.Regions {
		if r.Name == name {
			return r
		}
	}
	return nil
}

// The environment variables by which the SDK is told where a service is.
const (
	tableEndpoint = "AWS_ENDPOINT_URL_DYNAMODB"
	busEndpoint   = "AWS_ENDPOINT_URL_EVENTBRIDGE"
	queueEndpoint = "AWS_ENDPOINT_URL_SQS"
)

// TableEndpoint is the DynamoDB API of the Region's replica.
func (r *Region) TableEndpoint() string { return r.endpoints[tableEndpoint] }

// Start starts the platform of an assembly. A part of a template that matters to the flow of payments and cannot be run as it
// stands is an error.
func Start(ctx context.Context, a *assembly.Assembly, options Options) (*Platform, error) {
	ctx, cancel := context.WithCancel(ctx)
	p := &Platform{settings: a.Settings, options: options, cancel: cancel}
	if err := p.start(ctx, a); err != nil {
		p.Close()
		return nil, err
	}
	return p, nil
}

func (p *Platform) start(ctx context.Context, a *assembly.Assembly) error {
	streams := map[string]*simulation.Stream{}
	for i, role := range []settings.Role{settings.RolePrimary, settings.RoleSecondary} {
		stack, err := a.Stack(string(role))
		if err != nil {
			return err
		}
		r := &Region{Name: p.settings.Both()[i].Name, stack: stack, Queues: map[string]*simulation.Queue{}}
		r.stream = simulation.NewStream(simulation.StreamConfig{Region: r.Name, Shards: streamShards, Clock: p.options.Clock})
		streams[r.Name] = r.stream
		p.Regions = append(p.Regions, r)
	}
	if err := p.startTable(ctx, streams); err != nil {
		return err
	}
	if err := p.startBuses(ctx); err != nil {
		return err
	}
	for i, r := range p.Regions {
		if err := p.startFunctions(ctx, r, uint64(i)); err != nil {
			return fmt.Errorf("start %s: %w", r.Name, err)
		}
	}
	return nil
}

// startTable makes the table of the primary's template and puts the global table's replicas before it.
func (p *Platform) startTable(ctx context.Context, streams map[string]*simulation.Stream) error {
	resource, err := only(p.Regions[0].stack, "AWS::DynamoDB::GlobalTable")
	if err != nil {
		return err
	}
	var table struct {
		TableName              string
		KeySchema              []struct{ AttributeName string }
		GlobalSecondaryIndexes []struct {
			IndexName string
			KeySchema []struct{ AttributeName string }
		}
	}
	if err := convert(resource.Properties, &table); err != nil {
		return fmt.Errorf("read table: %w", err)
	}
	var indexes []localdynamodb.Index
	for _, index := range table.GlobalSecondaryIndexes {
		indexes = append(indexes, localdynamodb.Index{
			Name: index.IndexName, PartitionKey: index.KeySchema[0].AttributeName, SortKey: index.KeySchema[1].AttributeName,
		})
	}
	partition, sort := table.KeySchema[0].AttributeName, table.KeySchema[1].AttributeName
	for i, server := range p.tables() {
		if _, err := server.CreateTable(ctx, p.Regions[i].Name, table.TableName, partition, sort, indexes...); err != nil {
			return err
		}
	}
	lost := simulation.NewChance(p.options.Seed + 100)
	fault := func(ctx context.Context, region, operation string) *simulation.TableFault {
		p.Region(region).faults.wait(ctx)
		if operation == "PutItem" && lost.Happens(p.options.LostAnswerProbability) {
			return &simulation.TableFault{Written: true}
		}
		return nil
	}
	keys := []string{partition, sort}
	if eventual := p.options.Eventual; eventual != nil {
		p.replicas = simulation.NewEventualTable(simulation.EventualTableConfig{
			Endpoints: map[string]string{p.Regions[0].Name: p.options.Table.Endpoint, p.Regions[1].Name: eventual.Table.Endpoint},
			Keys:      keys, Streams: streams, Fault: fault, Lag: eventual.Lag, Clock: p.options.Clock, Reaches: p.reaches,
		})
	} else {
		p.replicas = simulation.NewTableProxy(simulation.TableProxyConfig{
			Endpoint: p.options.Table.Endpoint, Keys: keys, Streams: streams, Fault: fault,
		})
	}
	p.closers = append(p.closers, p.replicas.Close)
	return nil
}

// tables are the DynamoDB APIs, the primary's first; of a strongly consistent table there is one.
func (p *Platform) tables() []*localdynamodb.Server {
	if p.options.Eventual != nil {
		return []*localdynamodb.Server{p.options.Table, p.options.Eventual.Table}
	}
	return []*localdynamodb.Server{p.options.Table}
}

// startBuses makes the buses, rules and queues of both templates.
func (p *Platform) startBuses(ctx context.Context) error {
	config := eventbus.Config{Account: p.settings.Account, Fault: p.undelivered, Observe: p.relays.delivered}
	if clock := p.options.Clock; clock != nil {
		config.Now, config.After = clock.Now, clock.After
	}
	p.Network = eventbus.New(ctx, config)
	var topologies []eventbus.Topology
	for _, r := range p.Regions {
		template, err := json.Marshal(map[string]any{"Resources": onPaymentBus(r.stack.Template.Resources)})
		if err != nil {
			return fmt.Errorf("write template of %s: %w", r.Name, err)
		}
		topology, err := eventbus.ReadTemplate(template, r.Name, p.settings.Account)
		if err != nil {
			return fmt.Errorf("%s: %w", r.Name, err)
		}
		topologies = append(topologies, topology)
		for _, name := range topology.Buses {
			p.Network.AddBus(r.Name, name)
		}
		if err := p.makeQueues(r); err != nil {
			return fmt.Errorf("%s: %w", r.Name, err)
		}
	}
	// Rules name buses of both Regions, so they come last.
	for i, r := range p.Regions {
		for _, rule := range topologies[i].Rules {
			if err := p.Network.AddRule(r.Name, rule); err != nil {
				return err
			}
		}
	}
	return nil
}

// onPaymentBus leaves out the rules of the default bus: schedules, and those for events of AWS's own.
func onPaymentBus(resources map[string]assembly.Resource) map[string]assembly.Resource {
	resources = maps.Clone(resources)
	maps.DeleteFunc(resources, func(_ string, r assembly.Resource) bool {
		return r.Type == "AWS::Events::Rule" && r.Properties["EventBusName"] == nil
	})
	return resources
}

// makeQueues makes a Region's queues; those that others name as their dead-letter queue come first.
func (p *Platform) makeQueues(r *Region) error {
	byID := map[string]*simulation.Queue{}
	var make func(id string) (*simulation.Queue, error)
	make = func(id string) (*simulation.Queue, error) {
		if made, ok := byID[id]; ok {
			return made, nil
		}
		var queue struct {
			QueueName         string
			VisibilityTimeout int
			RedrivePolicy     *struct {
				MaxReceiveCount     int `json:"maxReceiveCount"`
				DeadLetterTargetARN any `json:"deadLetterTargetArn"`
			}
		}
		if err := convert(r.stack.Template.Resources[id].Properties, &queue); err != nil {
			return nil, fmt.Errorf("read queue %s: %w", id, err)
		}
		config := simulation.QueueConfig{
			ARN:               "arn:aws:sqs:" + r.Name + ":" + p.settings.Account + ":" + queue.QueueName,
			VisibilityTimeout: time.Duration(queue.VisibilityTimeout) * time.Second,
			Seed:              p.options.Seed + uint64(len(byID)),
			Clock:             p.options.Clock,
		}
		if redrive := queue.RedrivePolicy; redrive != nil {
			dead, err := make(assembly.Referred(redrive.DeadLetterTargetARN))
			if err != nil {
				return nil, err
			}
			config.DeadLetter, config.MaxReceiveCount = dead, redrive.MaxReceiveCount
			config.DuplicateProbability = p.options.DuplicateProbability
		}
		byID[id] = simulation.NewQueue(config)
		r.Queues[queue.QueueName] = byID[id]
		p.Network.AddQueue(config.ARN, byID[id])
		return byID[id], nil
	}
	for _, id := range slices.Sorted(maps.Keys(r.stack.Template.Resources)) {
		if r.stack.Template.Resources[id].Type == "AWS::SQS::Queue" {
			if _, err := make(id); err != nil {
				return err
			}
		}
	}
	return nil
}

// queueOf is the queue that a reference in the template means.
func (p *Platform) queueOf(r *Region, value any) (*simulation.Queue, error) {
	id := assembly.Referred(value)
	name, _ := r.stack.Template.Resources[id].Properties["QueueName"].(string)
	if queue, ok := r.Queues[name]; ok {
		return queue, nil
	}
	return nil, fmt.Errorf("%v is no queue of the template", value)
}

func (p *Platform) startFunctions(ctx context.Context, r *Region, number uint64) error {
	table := httptest.NewServer(r.table.Guard(p.replicas.Replica(r.Name)))
	lost := simulation.NewChance(p.options.Seed + 200 + number)
	bus := httptest.NewServer(r.bus.Guard(p.Network.Endpoint(r.Name, eventbus.EndpointConfig{
		LoseAnswer: func(context.Context, []eventbus.Entry) bool { return lost.Happens(p.options.LostAnswerProbability) },
		Refuse:     func(context.Context, []eventbus.Entry) *eventbus.RequestError { return r.faults.bus() },
	})))
	queues := httptest.NewServer(r.region.Guard(simulation.NewQueueEndpoint(r.Queues)))
	for _, server := range []*httptest.Server{table, bus, queues} {
		server.Config.ErrorLog = log.New(io.Discard, "", 0) // what is aborted here is aborted on purpose
		p.closers = append(p.closers, func() { closeServer(server) })
	}
	r.endpoints = map[string]string{tableEndpoint: table.URL, busEndpoint: bus.URL, queueEndpoint: queues.URL}

	var err error
	environments := p.options.Environments
	if environments == 0 {
		environments = 4
	}
	if r.Processor, err = p.function(r, "processor", environments, number); err != nil {
		return err
	}
	if err := p.startAPI(r); err != nil {
		return err
	}
	if r.Reconcile, err = p.function(r, "reconcile", 1, number+30); err != nil {
		return err
	}
	if r.Relay, err = p.function(r, "relay", streamShards, number+10); err != nil {
		return err
	}
	relay, err := mapping(r.stack, "relay")
	if err != nil {
		return err
	}
	config := simulation.StreamMappingConfig{
		Stream: r.stream, Function: watched{held{r.Relay, &r.region}, r.Name, &p.relays}, BatchSize: relay.BatchSize, Clock: p.options.Clock, MaximumRetryAttempts: -1,
		BisectBatchOnFunctionError: relay.BisectBatchOnFunctionError, ReportBatchItemFailures: relay.reports(),
	}
	if relay.MaximumRetryAttempts != nil {
		config.MaximumRetryAttempts = *relay.MaximumRetryAttempts
	}
	for _, filter := range relay.FilterCriteria.Filters {
		config.Filters = append(config.Filters, filter.Pattern)
	}
	if destination := relay.DestinationConfig.OnFailure.Destination; destination != nil {
		if config.OnFailure, err = p.queueOf(r, destination); err != nil {
			return err
		}
	}
	if p.options.Retrying != nil {
		config.Backoff = func(attempt int) time.Duration {
			wait := simulation.StreamBackoff(attempt)
			p.options.Retrying(r.Name, wait)
			return wait
		}
	}
	if r.mapping, err = simulation.NewStreamMapping(config); err != nil {
		return err
	}
	p.running.Go(func() { p.note(r.mapping.Run(ctx)) })

	queue, err := mapping(r.stack, "ledger")
	if err != nil {
		return err
	}
	source, err := p.queueOf(r, queue.EventSourceARN)
	if err != nil {
		return err
	}
	concurrency := queue.ScalingConfig.MaximumConcurrency
	if r.Ledger, err = p.function(r, "ledger", max(concurrency, 1), number+20); err != nil {
		return err
	}
	r.LedgerMapping = simulation.NewQueueMapping(simulation.QueueMappingConfig{
		Queue: source, Function: held{r.Ledger, &r.region}, BatchSize: queue.BatchSize, MaximumConcurrency: concurrency,
		ReportBatchItemFailures: queue.reports(), Disabled: queue.Enabled != nil && !*queue.Enabled,
	})
	p.running.Go(func() { r.LedgerMapping.Run(ctx) })
	return nil
}

// startAPI puts the Region's API before the processor.
func (p *Platform) startAPI(r *Region) error {
	alarm := "payment-" + p.settings.Environment + "-api-failing"
	var err error
	if r.serverErrors, err = readErrorShare(r.stack, alarm); err != nil {
		return err
	}
	api, err := newAPI(r.stack, p.settings, simulation.APIConfig{
		Function: r.Processor, Clock: p.options.Clock, Observe: r.serverErrors.count,
		Verify: simulation.Signatures{Credentials: p.options.Client, Region: r.Name, UserARN: "arn:aws:iam::" + p.settings.Account + ":user/client"}.Verify,
	})
	if err != nil {
		return err
	}
	if r.api, err = simulation.StartTLS(p.settings.APIName(), r.region.Guard(r.faults.guard(api))); err != nil {
		return err
	}
	p.closers = append(p.closers, r.api.Close)
	return nil
}

// held is a function whose mapping waits while its Region is lost: nobody is there to invoke it.
type held struct {
	function *simulation.Function
	region   *simulation.Reach
}

func (h held) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	if err := h.region.WaitUp(ctx); err != nil {
		return nil, err
	}
	return h.function.Invoke(ctx, payload)
}

func closeServer(server *httptest.Server) {
	server.CloseClientConnections()
	server.Close()
}

// function is a function of the template over its real binary.
func (p *Platform) function(r *Region, name string, concurrency int, seed uint64) (*simulation.Function, error) {
	runtime, timeout, err := p.Runtime(r, name)
	if err != nil {
		return nil, err
	}
	config := simulation.FunctionConfig{
		Runtime: runtime, Concurrency: concurrency, Timeout: timeout,
		KillProbability: p.options.KillProbability, KillWithin: p.options.KillWithin, Seed: p.options.Seed + seed,
	}
	if name == "processor" {
		config.Wait = p.options.EnvironmentWait
	}
	f := simulation.NewFunction(config)
	p.closers = append(p.closers, f.Close)
	return f, nil
}

// Runtime is how a function of a Region's template is run: its binary and its environment, with the cluster's endpoints and
// the services' replaced by what stands for them here. It returns the function's timeout, too.
func (p *Platform) Runtime(r *Region, name string) (lambdaruntime.Config, time.Duration, error) {
	none := lambdaruntime.Config{}
	resource, err := functionResource(r.stack, name)
	if err != nil {
		return none, 0, err
	}
	var function struct {
		FunctionName        string
		MemorySize, Timeout int
		Environment         struct{ Variables map[string]any }
	}
	if err := convert(resource.Properties, &function); err != nil {
		return none, 0, fmt.Errorf("read function %s: %w", name, err)
	}
	binary, ok := p.options.Binaries[name]
	if !ok {
		return none, 0, fmt.Errorf("function %s has no binary", name)
	}
	environment := maps.Clone(r.endpoints)
	for variable, value := range function.Environment.Variables {
		given, literal := value.(string)
		switch {
		case literal:
			environment[variable] = given
		case variable == variables.DatabaseHost, variable == variables.DatabaseReaderHost:
			environment[variable] = p.options.Databases[r.Name].Host
		default:
			return none, 0, fmt.Errorf("function %s: variable %s is %v, which is not simulated", name, variable, value)
		}
	}
	if _, reads := environment[variables.TableConsistency]; reads { // the platform's, which may not be the template's
		environment[variables.TableConsistency] = string(settings.ConsistencyStrong)
		if p.options.Eventual != nil {
			environment[variables.TableConsistency] = string(settings.ConsistencyEventual)
		}
	}
	for _, variable := range []string{variables.ReconcileSettleSeconds, variables.InterruptionSeconds, variables.SteadySeconds} {
		seconds, err := strconv.Atoi(environment[variable])
		if err != nil || p.options.Real == nil {
			continue // the function does not read it, or the machine's time is the clock's
		}
		environment[variable] = strconv.Itoa(int(wholeSeconds(p.options.Real(time.Duration(seconds) * time.Second)).Seconds()))
	}
	if _, connects := environment[variables.DatabaseHost]; connects {
		database := p.options.Databases[r.Name]
		environment[variables.DatabasePort] = strconv.Itoa(database.Port)
		environment[variables.DatabaseUser] = database.User
		environment[ledger.VariablePassword] = database.Password
		environment[variables.DatabaseName] = database.Name
		environment[ledger.VariableTLS] = "off"
	}
	return lambdaruntime.Config{
		Binary: binary, Name: function.FunctionName, Region: r.Name, MemoryMB: function.MemorySize, Environment: environment, Log: p.options.Log,
	}, time.Duration(function.Timeout) * time.Second, nil
}

// wholeSeconds rounds up, as variables of functions are.
func wholeSeconds(d time.Duration) time.Duration {
	return time.Duration(math.Ceil(d.Seconds())) * time.Second
}

// Items is a client of the table behind all replicas, for looking at it; of the primary's if the table is eventually consistent.
func (p *Platform) Items() *dynamodb.Client { return p.ItemsOf(p.Regions[0].Name) }

// ItemsOf is a client of a Region's replica, for looking at it, whether the Region is lost or not.
func (p *Platform) ItemsOf(region string) *dynamodb.Client {
	tables := p.tables()
	server := tables[0]
	if region != p.Regions[0].Name {
		server = tables[len(tables)-1]
	}
	return dynamodb.NewFromConfig(server.Config(region))
}

// UnsettledError is what had not arrived when the wait for it ended.
type UnsettledError struct {
	// What is a clause: "the relay of us-east-1 still has records to read: 3".
	What string
	// Err is why the wait ended.
	Err error
}

func (e *UnsettledError) Error() string { return e.What + ": " + e.Err.Error() }

// Unwrap is why the wait ended.
func (e *UnsettledError) Unwrap() error { return e.Err }

func unsettled(err error, format string, arguments ...any) error {
	return &UnsettledError{What: fmt.Sprintf(format, arguments...), Err: err}
}

// Settle waits until every accepted payment is recorded, or so much of the machine's time is over. What has not arrived by then is
// not an error of the wait, and is returned in words.
func (p *Platform) Settle(ctx context.Context, within time.Duration) (what string, err error) {
	waiting, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	if err = p.WaitDelivered(waiting); err == nil {
		err = p.WaitRecorded(waiting)
	}
	if late, ok := errors.AsType[*UnsettledError](err); ok && ctx.Err() == nil && p.err() == nil {
		return late.What, nil
	}
	return "", err
}

// WaitDelivered waits until every accepted payment's event has been delivered to every queue. What it waits for in vain is an
// UnsettledError.
func (p *Platform) WaitDelivered(ctx context.Context) error {
	if err := p.replicas.Wait(ctx); err != nil {
		return unsettled(err, "the table's replicas still differ")
	}
	for _, r := range p.Regions {
		if err := r.mapping.WaitCaughtUp(ctx); err != nil {
			return errors.Join(unsettled(err, "the relay of %s still has records to read: %d", r.Name, r.mapping.Behind()), p.err())
		}
	}
	if err := p.Network.Wait(ctx); err != nil {
		return unsettled(err, "the buses still have deliveries to make: %d", p.Network.Pending())
	}
	return p.err()
}

// WaitRecorded waits until the queues of those Regions whose ledger is on are empty. What it waits for in vain is an UnsettledError.
func (p *Platform) WaitRecorded(ctx context.Context) error {
	for _, r := range p.Regions {
		if !r.LedgerMapping.Enabled() {
			continue
		}
		queue := r.Queues["payment-"+p.settings.Environment+"-ledger"]
		if err := queue.WaitFor(ctx, func() bool { visible, hidden := queue.Depth(); return visible+hidden == 0 }); err != nil {
			visible, hidden := queue.Depth()
			return unsettled(err, "the ledger queue of %s still holds messages: %d", r.Name, visible+hidden)
		}
	}
	return p.err()
}

func (p *Platform) note(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.failed = errors.Join(p.failed, err)
}

func (p *Platform) err() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.failed
}

// Close ends everything.
func (p *Platform) Close() {
	p.cancel()
	p.running.Wait()
	for _, closer := range slices.Backward(p.closers) {
		closer()
	}
}

// eventSourceMapping is an event source mapping as a template has it.
type eventSourceMapping struct {
	EventSourceARN             any `json:"EventSourceArn"`
	FunctionName               any
	BatchSize                  int
	Enabled                    *bool
	BisectBatchOnFunctionError bool
	MaximumRetryAttempts       *int
	FunctionResponseTypes      []string
	ScalingConfig              struct{ MaximumConcurrency int }
	FilterCriteria             struct{ Filters []struct{ Pattern string } }
	DestinationConfig          struct{ OnFailure struct{ Destination any } }
}

func (m eventSourceMapping) reports() bool {
	return slices.Contains(m.FunctionResponseTypes, "ReportBatchItemFailures")
}

// mapping is the event source mapping of a function.
func mapping(stack assembly.Stack, name string) (eventSourceMapping, error) {
	for _, resource := range stack.Template.Resources {
		if resource.Type != "AWS::Lambda::EventSourceMapping" {
			continue
		}
		var m eventSourceMapping
		if err := convert(resource.Properties, &m); err != nil {
			return m, fmt.Errorf("read event source mapping: %w", err)
		}
		function := stack.Template.Resources[assembly.Referred(m.FunctionName)]
		if physical, _ := function.Properties["FunctionName"].(string); strings.HasSuffix(physical, "-"+name) {
			return m, nil
		}
	}
	return eventSourceMapping{}, fmt.Errorf("function %s has no event source mapping", name)
}

func functionResource(stack assembly.Stack, name string) (assembly.Resource, error) {
	for _, resource := range stack.Template.Resources {
		if physical, _ := resource.Properties["FunctionName"].(string); resource.Type == "AWS::Lambda::Function" && strings.HasSuffix(physical, "-"+name) {
			return resource, nil
		}
	}
	return assembly.Resource{}, fmt.Errorf("there is no function %s", name)
}

// only is the one resource of a type.
func only(stack assembly.Stack, kind string) (assembly.Resource, error) {
	var found []assembly.Resource
	for _, resource := range stack.Template.Resources {
		if resource.Type == kind {
			found = append(found, resource)
		}
	}
	if len(found) != 1 {
		return assembly.Resource{}, fmt.Errorf("stack %s has %d resources of type %s, want one", stack.Name, len(found), kind)
	}
	return found[0], nil
}

// convert reads a part of a template into a type of its own.
func convert(part any, target any) error {
	data, err := json.Marshal(part)
	if err != nil {
		return err
	}
	return json.Unmarshal(data, target)
}
