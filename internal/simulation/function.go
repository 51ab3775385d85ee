package simulation

import (
	"context"
	"errors"
	"sync"
	"time"

	"payments-dr/internal/payment/functionerror"
	"payments-dr/internal/simulation/lambdaruntime"
)

// FunctionConfig configures a function.
type FunctionConfig struct {
	Runtime lambdaruntime.Config
	// Concurrency is how many invocations there are at a time; 0 is one. One more is throttled.
	Concurrency int
	// Wait is how long one more waits for another to end before it is throttled: where Lambda would start one more environment
	// and this machine cannot have as many processes.
	Wait time.Duration
	// Timeout is the function's; 0 is three seconds, which is Lambda's ("Configure Lambda function timeout", AWS Lambda
	// Developer Guide).
	Timeout time.Duration
	// KillProbability is the share of invocations whose environment is to be killed at a random time up to KillWithin after the
	// beginning. One that has ended by then is spared.
	KillProbability float64
	KillWithin      time.Duration
	Seed            uint64
}

// FunctionStats counts what a function did.
type FunctionStats struct {
	// Invocations are those that were begun, Failures those of them that ended in an error.
	Invocations, Failures int
	// Throttles are invocations that were not begun.
	Throttles int
	// Started are the environments that were started, Killed those that were killed in the middle of an invocation.
	Started, Killed int
	// Processor is the processor time of the environments that have ended; of all of them after Close.
	Processor time.Duration
}

// ErrDown is the error of an invocation of a function that is down.
var ErrDown = errors.New("the function's Region is down")

// Function simulates a function's execution environments: each is a process of the real binary, serves one invocation at a
// time, is used again, and is replaced when it dies ("Understanding the Lambda execution environment lifecycle", AWS Lambda
// Developer Guide). It may be used concurrently.
type Function struct {
	config FunctionConfig
	chance *Chance
	slots  chan struct{}
	mu     sync.Mutex
	idle   []*lambdaruntime.Environment
	busy   map[*lambdaruntime.Environment]bool
	down   bool
	// crashing has every invocation end with its environment.
	crashing bool
	stats    FunctionStats
}

// NewFunction is a function without environments; invocations start them. Close ends them.
func NewFunction(config FunctionConfig) *Function {
	if config.Timeout == 0 {
		config.Timeout = 3 * time.Second
	}
	return &Function{
		config: config, chance: NewChance(config.Seed), slots: make(chan struct{}, max(config.Concurrency, 1)),
		busy: map[*lambdaruntime.Environment]bool{},
	}
}

// Invoke runs one invocation. The error is ErrThrottled over the concurrency, ErrDown, or one of lambdaruntime's.
func (f *Function) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	if !f.begin(ctx) {
		f.mu.Lock()
		f.stats.Throttles++
		f.mu.Unlock()
		return nil, ErrThrottled
	}
	defer func() { <-f.slots }()
	environment, err := f.take()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, f.config.Timeout)
	defer cancel()
	spared := func() bool { return true }
	f.mu.Lock()
	crashing := f.crashing
	f.mu.Unlock()
	if crashing {
		environment.Kill()
	} else if f.chance.Happens(f.config.KillProbability) {
		after := time.Duration(f.chance.below(max(int(f.config.KillWithin), 1)))
		spared = time.AfterFunc(after, environment.Kill).Stop
	}
	answer, err := environment.Invoke(ctx, payload)
	_, healthy := errors.AsType[*functionerror.Error](err)
	alive := spared()
	f.give(environment, err, alive, alive && (err == nil || healthy))
	return answer, err
}

// begin takes a slot, and is false if there is none in time.
func (f *Function) begin(ctx context.Context) bool {
	select {
	case f.slots <- struct{}{}:
		return true
	default:
	}
	if f.config.Wait <= 0 {
		return false
	}
	over := time.NewTimer(f.config.Wait)
	defer over.Stop()
	select {
	case f.slots <- struct{}{}:
		return true
	case <-over.C:
	case <-ctx.Done():
	}
	return false
}

// take is an environment, one that was used before if there is one.
func (f *Function) take() (*lambdaruntime.Environment, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.down {
		return nil, ErrDown
	}
	var environment *lambdaruntime.Environment
	if last := len(f.idle) - 1; last >= 0 {
		environment, f.idle = f.idle[last], f.idle[:last]
	} else {
		var err error
		if environment, err = lambdaruntime.Start(f.config.Runtime); err != nil {
			return nil, err
		}
		f.stats.Started++
	}
	f.stats.Invocations++
	f.busy[environment] = true
	return environment, nil
}

func (f *Function) give(environment *lambdaruntime.Environment, err error, spared, usable bool) {
	f.mu.Lock()
	delete(f.busy, environment)
	if err != nil {
		f.stats.Failures++
	}
	if !spared {
		f.stats.Killed++
	}
	usable = usable && !f.down
	if usable {
		f.idle = append(f.idle, environment)
	}
	f.mu.Unlock()
	if !usable {
		f.end(environment)
	}
}

// end closes an environment and adds up what it has used.
func (f *Function) end(environment *lambdaruntime.Environment) {
	environment.Close()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stats.Processor += environment.Usage()
}

// SetDown kills all environments, in the middle of what they do, and refuses invocations; or ends that.
func (f *Function) SetDown(down bool) {
	f.mu.Lock()
	idle := f.idle
	f.down = down
	if down {
		f.idle = nil
		for environment := range f.busy {
			environment.Kill() // whoever invoked it closes it
		}
	} else {
		idle = nil
	}
	f.mu.Unlock()
	for _, environment := range idle {
		f.end(environment)
	}
}

// SetCrashing has every invocation end with its environment, as code does that exits; or ends that.
func (f *Function) SetCrashing(crashing bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.crashing = crashing
}

// Stats is what the function did until now.
func (f *Function) Stats() FunctionStats {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.stats
}

// Close kills all environments for good.
func (f *Function) Close() { f.SetDown(true) }
