package rehearsal

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"payments-dr/internal/assembly"
	"payments-dr/internal/simulation"
)

// Mode is how a plan is executed ("Region switch components", Application Recovery Controller Developer Guide).
type Mode string

const (
	// Graceful is for a planned move.
	Graceful Mode = "graceful"
	// Ungraceful is for a lost Region: the database fails over, and steps that need the lost Region are skipped.
	Ungraceful Mode = "ungraceful"
)

// Step is one step of a recovery plan as the template has it.
type Step struct {
	Name, Kind string
	Timeout    time.Duration
	// Steps are those of a parallel block.
	Steps []Step
	// Behavior and UngracefulBehavior are those of a database or mapping step; empty otherwise.
	Behavior, UngracefulBehavior string
	// Action is a mapping step's, enable or disable; Mappings are the Region whose mapping it acts on, by the Region that is
	// activated.
	Action   string
	Mappings map[string]string
}

// ReadPlan reads the steps of an assembly's recovery plan, in order. A kind of step that is not simulated is an error.
func ReadPlan(a *assembly.Assembly) ([]Step, error) {
	global, err := a.Stack("global")
	if err != nil {
		return nil, err
	}
	resource, err := only(global, "AWS::ARCRegionSwitch::Plan")
	if err != nil {
		return nil, err
	}
	workflows := assembly.List(resource.Properties["Workflows"])
	if len(workflows) != 1 {
		return nil, fmt.Errorf("read plan: %d workflows, want the one for both directions", len(workflows))
	}
	return readSteps(a, global, assembly.List(assembly.At(workflows[0], "Steps")))
}

func readSteps(a *assembly.Assembly, global assembly.Stack, given []any) ([]Step, error) {
	var steps []Step
	for _, g := range given {
		var raw struct {
			Name, ExecutionBlockType    string
			ExecutionBlockConfiguration map[string]map[string]any
		}
		if err := convert(g, &raw); err != nil {
			return nil, fmt.Errorf("read plan: %w", err)
		}
		step := Step{Name: raw.Name, Kind: raw.ExecutionBlockType}
		var block map[string]any
		for _, block = range raw.ExecutionBlockConfiguration {
			if minutes, ok := block["TimeoutMinutes"].(float64); ok {
				step.Timeout = time.Duration(minutes) * time.Minute
			}
			step.Behavior, _ = block["Behavior"].(string)
			if ungraceful, ok := block["Ungraceful"].(map[string]any); ok {
				for _, behavior := range ungraceful {
					step.UngracefulBehavior, _ = behavior.(string)
				}
			}
		}
		switch step.Kind {
		case "ManualApproval", "AuroraGlobalDatabase", "CustomActionLambda", "Route53HealthCheck":
		case "LambdaEventSourceMapping":
			step.Action, _ = block["Action"].(string)
			step.Mappings = map[string]string{}
			for activated, mapping := range assembly.Object(block["RegionEventSourceMappings"]) {
				pieces := assembly.List(assembly.At(mapping, "Arn", "Fn::Join", 1))
				if len(pieces) == 0 {
					return nil, fmt.Errorf("read plan: step %s names the mapping %v", step.Name, mapping)
				}
				origin, err := a.Origin(global, pieces[len(pieces)-1])
				if err != nil {
					return nil, fmt.Errorf("read plan: step %s: %w", step.Name, err)
				}
				step.Mappings[activated] = origin.Stack.Region
			}
		case "Parallel":
			var err error
			if step.Steps, err = readSteps(a, global, assembly.List(block["Steps"])); err != nil {
				return nil, err
			}
		default:
			return nil, fmt.Errorf("read plan: step %s is of the kind %s, which is not simulated", step.Name, step.Kind)
		}
		steps = append(steps, step)
	}
	return steps, nil
}

// complete is an error if a plan leaves out something that a recovery needs, whatever one rehearsal happens to show. A second
// person agrees to it unless it is automatic.
func complete(steps []Step, automatic bool) error {
	has := map[string]bool{}
	var look func([]Step)
	look = func(steps []Step) {
		for _, step := range steps {
			has[step.Kind+step.Action] = true
			look(step.Steps)
		}
	}
	look(steps)
	for _, need := range []struct{ kind, what string }{
		{"ManualApproval", "asks a second person"},
		{"AuroraGlobalDatabase", "promotes the database"}, {"LambdaEventSourceMappingenable", "starts a ledger"},
		{"LambdaEventSourceMappingdisable", "stops a ledger"}, {"CustomActionLambda", "reconciles"}, {"Route53HealthCheck", "moves payments"},
	} {
		if !has[need.kind] && !(automatic && need.kind == "ManualApproval") {
			return fmt.Errorf("the recovery plan has no step that %s", need.what)
		}
	}
	return nil
}

// StepResult is how a step ended.
type StepResult string

const (
	StepDone    StepResult = "done"
	StepSkipped StepResult = "skipped"
	StepFailed  StepResult = "failed"
)

// Execution carries out a plan's steps. The functions are the platform's.
type Execution struct {
	Steps []Step
	Mode  Mode
	// To is the Region that is activated.
	To    string
	Clock simulation.Clock
	// Approve waits for the second person.
	Approve func(context.Context) error
	// Promote makes the Region's cluster the writer; failover loses what was not replicated.
	Promote func(ctx context.Context, region string, failover bool) error
	// SetMapping switches a Region's ledger mapping.
	SetMapping func(ctx context.Context, region string, on bool) error
	// Reconcile runs the Region's reconciliation.
	Reconcile func(ctx context.Context, region string) error
	// MoveTraffic turns the plan's health checks.
	MoveTraffic func(ctx context.Context, region string) error
	// Began and Ended are told of each step; parallel ones may be told at once.
	Began func(Step)
	Ended func(Step, StepResult, error)
}

// Run runs the steps in order, those of a parallel block beside one another, each within its timeout. A step that fails pauses
// the execution, which here is its end: the error says at which step.
func (e Execution) Run(ctx context.Context) error {
	for _, step := range e.Steps {
		if step.Kind != "Parallel" {
			if err := e.run(ctx, step); err != nil {
				return err
			}
			continue
		}
		var running sync.WaitGroup
		faults := make([]error, len(step.Steps))
		for i, inner := range step.Steps {
			running.Go(func() { faults[i] = e.run(ctx, inner) })
		}
		running.Wait()
		if err := errors.Join(faults...); err != nil {
			return err
		}
	}
	return nil
}

func (e Execution) run(ctx context.Context, step Step) error {
	e.Began(step)
	if e.Mode == Ungraceful && e.skips(step) {
		e.Ended(step, StepSkipped, nil)
		return nil
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	ended := make(chan error, 1)
	go func() { ended <- e.do(ctx, step) }()
	var err error
	select {
	case err = <-ended:
	case <-e.limit(step):
		err = fmt.Errorf("not done within %v", step.Timeout)
		cancel(err)
		<-ended
	}
	if err != nil {
		e.Ended(step, StepFailed, err)
		return fmt.Errorf("%s: %w", step.Name, err)
	}
	e.Ended(step, StepDone, nil)
	return nil
}

// skips is whether an ungraceful execution leaves a step out: where the plan says so, and custom actions, of which the service's
// documentation says it ("Custom action Lambda execution block", Application Recovery Controller Developer Guide).
func (e Execution) skips(step Step) bool {
	return step.Kind == "CustomActionLambda" || step.Kind == "LambdaEventSourceMapping" && step.UngracefulBehavior == "skip"
}

func (e Execution) limit(step Step) <-chan time.Time {
	if step.Timeout == 0 {
		return nil // none is said
	}
	return e.Clock.After(step.Timeout)
}

func (e Execution) do(ctx context.Context, step Step) error {
	switch step.Kind {
	case "ManualApproval":
		return e.Approve(ctx)
	case "AuroraGlobalDatabase":
		behavior := step.Behavior
		if e.Mode == Ungraceful && step.UngracefulBehavior != "" {
			behavior = step.UngracefulBehavior
		}
		return e.Promote(ctx, e.To, behavior == "failover")
	case "LambdaEventSourceMapping":
		return e.SetMapping(ctx, step.Mappings[e.To], step.Action == "enable")
	case "CustomActionLambda":
		return e.Reconcile(ctx, e.To)
	case "Route53HealthCheck":
		return e.MoveTraffic(ctx, e.To)
	}
	return fmt.Errorf("a step of the kind %s is not simulated", step.Kind)
}
