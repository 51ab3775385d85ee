// Package eventbus simulates how EventBridge routes events between the buses of several Regions, by the rules of synthesized
// templates. It simulates:
//
//   - PutEvents with its limits and errors, on the wire too ("PutEvents", Amazon EventBridge API Reference);
//   - event patterns, a part of the language (see ParsePattern);
//   - queues and buses in other Regions as targets, retries, and dead-letter queues with the attributes that EventBridge
//     gives their messages ("Using dead-letter queues to process undelivered events in EventBridge", Amazon EventBridge User
//     Guide);
//   - that an event which has left its Region once is refused a second hop, with THIRD_REGION_HOP_DETECTED, of which that
//     guide has the name only; a public experiment with two buses showed what it does ("Amazon EventBridge - How to manage
//     Bus to Bus recursive message passing", pubudu.dev).
//
// It does not simulate archives and replays, input transformers, permissions, schemas, or throttling of targets. The first
// attempt of a delivery is made before Put returns; EventBridge makes it later.
package eventbus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
)

// Defaults of a target's retry policy ("How EventBridge retries delivering events", Amazon EventBridge User Guide).
const (
	DefaultRetryAttempts = 185
	DefaultEventAge      = 24 * time.Hour
)

// Error codes of undelivered events.
const (
	CodeThirdRegionHop  = "THIRD_REGION_HOP_DETECTED"
	CodeNoResource      = "NO_RESOURCE"
	CodeErrorFromTarget = "ERROR_FROM_TARGET"
)

// Attributes of the messages in a target's dead-letter queue.
const (
	AttributeRuleARN       = "RULE_ARN"
	AttributeTargetARN     = "TARGET_ARN"
	AttributeErrorCode     = "ERROR_CODE"
	AttributeErrorMessage  = "ERROR_MESSAGE"
	AttributeRetryAttempts = "RETRY_ATTEMPTS"
	AttributeExhausted     = "EXHAUSTED_RETRY_CONDITION"
)

// Queue is what the network needs of a queue.
type Queue interface {
	Send(ctx context.Context, body string, attributes map[string]string) error
}

// Rule is a rule of a bus.
type Rule struct {
	Name string
	// Bus is the name or ARN of the rule's bus.
	Bus     string
	Pattern json.RawMessage
	Targets []Target
}

// Target is where a rule's events go.
type Target struct {
	ID string
	// ARN is a queue's, or that of a bus in another Region.
	ARN string
	// DeadLetterARN is the queue of what cannot be delivered; with none it is dropped.
	DeadLetterARN string
	// RetryAttempts is how often an attempt that failed is repeated.
	RetryAttempts int
	// EventAge is how long.
	EventAge time.Duration
}

// Delivery is one attempt to hand an event to a target.
type Delivery struct {
	// Region is the rule's.
	Region  string
	RuleARN string
	Target  Target
	Event   Event
	// Attempt counts from 1.
	Attempt int
	// ErrorCode and Err are empty if the target has taken the event.
	ErrorCode string
	Err       error
}

// Config configures a network. All fields may be left empty.
type Config struct {
	// Account is the account number of all buses.
	Account string
	Now     func() time.Time
	After   func(time.Duration) <-chan time.Time
	// NewID makes the ids of events.
	NewID func() string
	// Backoff is the wait after a failed attempt, which counts from 1. EventBridge's own is not published.
	Backoff func(attempt int) time.Duration
	// Fault is asked before each attempt of a delivery; an error is the attempt's.
	Fault func(context.Context, Delivery) error
	// Observe is told the outcome of each attempt.
	Observe func(Delivery)
}

// Network is the buses and the queues of all Regions. It may be used concurrently.
type Network struct {
	ctx    context.Context // ends the retries
	config Config

	mu      sync.Mutex
	buses   map[string]*bus // by ARN
	queues  map[string]Queue
	pending int
	idle    chan struct{} // closed when pending falls to 0
}

type bus struct {
	arn, name, region string
	rules             []rule
}

type rule struct {
	arn     string
	pattern *Pattern
	targets []Target
}

// New is a network without buses. The context ends its retries.
func New(ctx context.Context, config Config) *Network {
	if config.Account == "" {
		config.Account = "000000000000"
	}
	if config.Now == nil {
		config.Now = time.Now
	}
	if config.After == nil {
		config.After = time.After
	}
	if config.NewID == nil {
		config.NewID = uuid.NewString
	}
	if config.Backoff == nil {
		config.Backoff = func(attempt int) time.Duration { return min(time.Second<<min(attempt, 10), time.Minute) }
	}
	return &Network{ctx: ctx, config: config, buses: map[string]*bus{}, queues: map[string]Queue{}}
}

// AddBus adds a bus and returns its ARN.
func (n *Network) AddBus(region, name string) string {
	b := &bus{arn: busARN(region, n.config.Account, name), name: name, region: region}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.buses[b.arn] = b
	return b.arn
}

func busARN(region, account, name string) string {
	return "arn:aws:events:" + region + ":" + account + ":event-bus/" + name
}

// AddQueue adds a queue that targets may name. A queue of the same ARN is replaced.
func (n *Network) AddQueue(arn string, queue Queue) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.queues[arn] = queue
}

// AddRule adds a rule to a bus of a Region. A rule that the simulation cannot run as EventBridge would is an error.
func (n *Network) AddRule(region string, r Rule) error {
	pattern, err := ParsePattern(r.Pattern)
	if err != nil {
		return fmt.Errorf("add rule %s: %w", r.Name, err)
	}
	for _, target := range r.Targets {
		service, targetRegion, err := ReadARN(target.ARN)
		switch {
		case err != nil:
			return fmt.Errorf("add rule %s: target %s: %w", r.Name, target.ID, err)
		case service == "events" && targetRegion == region:
			return fmt.Errorf("add rule %s: target %s: a bus in the rule's own Region is not simulated", r.Name, target.ID)
		case service == "sqs" && targetRegion != region:
			return fmt.Errorf("add rule %s: target %s: a queue in another Region is not simulated", r.Name, target.ID)
		case service != "events" && service != "sqs":
			return fmt.Errorf("add rule %s: target %s: service %s is not simulated", r.Name, target.ID, service)
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	b := n.find(region, r.Bus)
	if b == nil {
		return fmt.Errorf("add rule %s: no bus %s in %s", r.Name, r.Bus, region)
	}
	b.rules = append(b.rules, rule{
		arn:     "arn:aws:events:" + region + ":" + n.config.Account + ":rule/" + b.name + "/" + r.Name,
		pattern: pattern, targets: slices.Clone(r.Targets),
	})
	return nil
}

// find is a bus by name or ARN, or nil. The caller holds the lock.
func (n *Network) find(region, name string) *bus {
	if !strings.HasPrefix(name, "arn:") {
		name = busARN(region, n.config.Account, name)
	}
	if b := n.buses[name]; b != nil && b.region == region {
		return b
	}
	return nil
}

// ReadARN is the service and the Region of an ARN.
func ReadARN(arn string) (service, region string, err error) {
	parts := strings.SplitN(arn, ":", 6)
	if len(parts) != 6 || parts[0] != "arn" {
		return "", "", fmt.Errorf("%q is no ARN", arn)
	}
	return parts[2], parts[3], nil
}

// Put is PutEvents in a Region: each entry becomes an event on its bus, or an error of its own. The error is a *RequestError
// if the whole call is refused. An unknown bus refuses the call, which is stricter than EventBridge is said to be.
func (n *Network) Put(ctx context.Context, region string, entries []Entry) ([]Result, error) {
	if len(entries) == 0 || len(entries) > MaxEntries {
		return nil, &RequestError{Code: "ValidationException", Message: fmt.Sprintf(
			"1 validation error detected: Value at 'entries' failed to satisfy constraint: Member must have length from 1 to %d", MaxEntries)}
	}
	size := 0
	buses := make([]*bus, len(entries))
	n.mu.Lock()
	for i, entry := range entries {
		size += entry.Size()
		buses[i] = n.find(region, entry.EventBusName)
	}
	n.mu.Unlock()
	if size >= MaxRequestBytes {
		return nil, &RequestError{Code: "ValidationException", Message: "Total size of the entries in the request is over the limit."}
	}
	if i := slices.Index(buses, nil); i >= 0 {
		return nil, &RequestError{Code: "ResourceNotFoundException", Message: "Event bus " + entries[i].EventBusName + " does not exist."}
	}
	results := make([]Result, len(entries))
	for i, entry := range entries {
		if refused := entry.refusal(); refused != nil {
			results[i] = *refused
			continue
		}
		event := entry.event(n.config.NewID(), n.config.Account, region, n.config.Now())
		if err := n.arrive(ctx, buses[i], event); err != nil {
			results[i] = Result{ErrorCode: "InternalFailure", ErrorMessage: err.Error()}
			continue
		}
		results[i].EventID = event.ID
	}
	return results, nil
}

// arrive runs an event through the rules of a bus.
func (n *Network) arrive(ctx context.Context, b *bus, event Event) error {
	body, err := json.Marshal(event)
	if err != nil {
		return fmt.Errorf("write event: %w", err)
	}
	n.mu.Lock()
	rules := slices.Clone(b.rules)
	n.mu.Unlock()
	for _, rule := range rules {
		matches, err := rule.pattern.Matches(body)
		if err != nil {
			return err
		}
		if !matches {
			continue
		}
		for _, target := range rule.targets {
			n.deliver(ctx, Delivery{Region: b.region, RuleARN: rule.arn, Target: target, Event: event, Attempt: 1})
		}
	}
	return nil
}

// deliver makes the first attempt, and leaves the others to a goroutine.
func (n *Network) deliver(ctx context.Context, d Delivery) {
	first := n.config.Now()
	d, again := n.attempt(ctx, d)
	if d.ErrorCode == "" {
		return
	}
	if !again {
		n.giveUp(d, "")
		return
	}
	n.begin()
	go func() {
		defer n.end()
		for {
			if d.Attempt > d.Target.RetryAttempts {
				n.giveUp(d, "MaximumRetryAttempts")
				return
			}
			wait := n.config.Backoff(d.Attempt)
			if n.config.Now().Add(wait).Sub(first) > d.Target.EventAge {
				n.giveUp(d, "MaximumEventAgeInSeconds")
				return
			}
			select {
			case <-n.config.After(wait):
			case <-n.ctx.Done():
				return
			}
			d.Attempt++
			var again bool
			if d, again = n.attempt(n.ctx, d); d.ErrorCode == "" {
				return
			} else if !again {
				n.giveUp(d, "")
				return
			}
		}
	}()
}

// attempt hands an event to a target. again tells that another attempt may succeed.
func (n *Network) attempt(ctx context.Context, d Delivery) (_ Delivery, again bool) {
	d.ErrorCode, d.Err = "", nil
	if n.config.Fault != nil {
		d.Err = n.config.Fault(ctx, d)
	}
	if d.Err != nil {
		d.ErrorCode, again = CodeErrorFromTarget, true
	} else {
		d.ErrorCode, d.Err = n.hand(ctx, d)
		again = d.ErrorCode == CodeErrorFromTarget
	}
	if n.config.Observe != nil {
		n.config.Observe(d)
	}
	return d, again
}

func (n *Network) hand(ctx context.Context, d Delivery) (code string, err error) {
	n.mu.Lock()
	queue, other := n.queues[d.Target.ARN], n.buses[d.Target.ARN]
	n.mu.Unlock()
	switch {
	case queue != nil:
		body, err := json.Marshal(d.Event)
		if err == nil {
			err = queue.Send(ctx, string(body), nil)
		}
		if err != nil {
			return CodeErrorFromTarget, err
		}
		return "", nil
	case other != nil && d.Event.forwarded:
		return CodeThirdRegionHop, errors.New("the event has left its Region once")
	case other != nil:
		// Account, Region and what the sender wrote stay; id and time are new.
		event := d.Event
		event.ID, event.Time, event.forwarded = n.config.NewID(), n.config.Now().UTC().Truncate(time.Second), true
		if err := n.arrive(ctx, other, event); err != nil {
			return CodeErrorFromTarget, err
		}
		return "", nil
	}
	return CodeNoResource, fmt.Errorf("%s does not exist", d.Target.ARN)
}

// giveUp puts an event into its target's dead-letter queue, if there is one.
func (n *Network) giveUp(d Delivery, exhausted string) {
	n.mu.Lock()
	queue := n.queues[d.Target.DeadLetterARN]
	n.mu.Unlock()
	if queue == nil {
		return
	}
	attributes := map[string]string{
		AttributeRuleARN: d.RuleARN, AttributeTargetARN: d.Target.ARN, AttributeErrorCode: d.ErrorCode,
		AttributeErrorMessage: d.Err.Error(), AttributeRetryAttempts: strconv.Itoa(d.Attempt - 1),
	}
	if exhausted != "" {
		attributes[AttributeExhausted] = exhausted
	}
	if body, err := json.Marshal(d.Event); err == nil {
		// A dead-letter queue that fails loses the event, as EventBridge does (metric InvocationsFailedToBeSentToDlq).
		_ = queue.Send(n.ctx, string(body), attributes)
	}
}

func (n *Network) begin() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.pending == 0 {
		n.idle = make(chan struct{})
	}
	n.pending++
}

func (n *Network) end() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.pending--; n.pending == 0 {
		close(n.idle)
	}
}

// Pending is how many deliveries wait for another attempt.
func (n *Network) Pending() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.pending
}

// Wait waits until no delivery waits for another attempt, or returns the context's error if that is done first.
func (n *Network) Wait(ctx context.Context) error {
	for {
		n.mu.Lock()
		pending, idle := n.pending, n.idle
		n.mu.Unlock()
		if pending == 0 {
			return nil
		}
		select {
		case <-idle:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
