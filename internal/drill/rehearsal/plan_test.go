package rehearsal_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"payments-dr/internal/drill/rehearsal"
)

// realTime is the machine's time, or that of a synctest bubble.
type realTime struct{}

func (realTime) Now() time.Time                         { return time.Now() }
func (realTime) After(d time.Duration) <-chan time.Time { return time.After(d) }

// testPlan has the shape of the platform's.
func testPlan() []rehearsal.Step {
	return []rehearsal.Step{
		{Name: "approve", Kind: "ManualApproval", Timeout: 2 * time.Minute},
		{Name: "promote", Kind: "AuroraGlobalDatabase", Timeout: 8 * time.Minute, Behavior: "switchoverOnly", UngracefulBehavior: "failover"},
		{Name: "start", Kind: "LambdaEventSourceMapping", Timeout: time.Minute, Action: "enable", Mappings: map[string]string{"west": "west", "east": "east"}},
		{Name: "finish", Kind: "Parallel", Steps: []rehearsal.Step{
			{Name: "reconcile", Kind: "CustomActionLambda", Timeout: 2 * time.Minute},
			{Name: "traffic", Kind: "Route53HealthCheck", Timeout: time.Minute},
			{Name: "stop", Kind: "LambdaEventSourceMapping", Timeout: time.Minute, Action: "disable", UngracefulBehavior: "skip", Mappings: map[string]string{"west": "east", "east": "west"}},
		}},
	}
}

type journal struct {
	mu    sync.Mutex
	lines []string
}

func (j *journal) add(format string, arguments ...any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, fmt.Sprintf(format, arguments...))
}

// execution notes what it does; each thing takes half a minute, but for what is in slow.
func execution(j *journal, mode rehearsal.Mode, slow map[string]time.Duration) rehearsal.Execution {
	do := func(ctx context.Context, what string) error {
		took, ok := slow[what]
		if !ok {
			took = 30 * time.Second
		}
		select {
		case <-time.After(took):
			j.add("%s", what)
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return rehearsal.Execution{
		Steps: testPlan(), Mode: mode, To: "west", Clock: realTime{},
		Approve: func(ctx context.Context) error { return do(ctx, "approved") },
		Promote: func(ctx context.Context, region string, failover bool) error {
			return do(ctx, fmt.Sprintf("promoted %s, failover %v", region, failover))
		},
		SetMapping: func(ctx context.Context, region string, on bool) error {
			return do(ctx, fmt.Sprintf("mapping of %s on: %v", region, on))
		},
		Reconcile:   func(ctx context.Context, region string) error { return do(ctx, "reconciled "+region) },
		MoveTraffic: func(ctx context.Context, region string) error { return do(ctx, "moved to "+region) },
		Began:       func(rehearsal.Step) {},
		Ended: func(step rehearsal.Step, result rehearsal.StepResult, _ error) {
			if result != rehearsal.StepDone {
				j.add("%s %s", step.Name, result)
			}
		},
	}
}

func TestExecutionFollowsThePlan(t *testing.T) {
	for mode, want := range map[rehearsal.Mode][]string{
		rehearsal.Graceful: {"approved", "promoted west, failover false", "mapping of west on: true",
			"mapping of east on: false", "moved to west", "reconciled west"},
		// Nothing that needs the lost Region, and no custom action.
		rehearsal.Ungraceful: {"approved", "promoted west, failover true", "mapping of west on: true",
			"moved to west", "reconcile skipped", "stop skipped"},
	} {
		synctest.Test(t, func(t *testing.T) {
			var j journal
			began := time.Now()
			if err := execution(&j, mode, nil).Run(t.Context()); err != nil {
				t.Fatal(err)
			}
			if took := time.Since(began); took != 2*time.Minute { // the last three are beside one another
				t.Errorf("%s: took %v", mode, took)
			}
			slices.Sort(j.lines[3:])
			slices.Sort(want[3:])
			if !slices.Equal(j.lines, want) {
				t.Errorf("%s:\n%s\nwant\n%s", mode, strings.Join(j.lines, "\n"), strings.Join(want, "\n"))
			}
		})
	}
}

func TestExecutionStopsAtAStepThatTakesTooLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		began := time.Now()
		err := execution(&j, rehearsal.Graceful, map[string]time.Duration{"promoted west, failover false": time.Hour}).Run(t.Context())
		if err == nil || err.Error() != "promote: not done within 8m0s" {
			t.Errorf("error %v", err)
		}
		if took := time.Since(began); took != 8*time.Minute+30*time.Second {
			t.Errorf("took %v", took)
		}
		if want := []string{"approved", "promote failed"}; !slices.Equal(j.lines, want) {
			t.Errorf("did %q", j.lines)
		}
	})
}

func TestParallelStepsDoNotHoldOneAnotherUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		e := execution(&j, rehearsal.Graceful, nil)
		e.Reconcile = func(context.Context, string) error { return errors.New("no connection") }
		if err := e.Run(t.Context()); err == nil || err.Error() != "reconcile: no connection" {
			t.Errorf("error %v", err)
		}
		if !slices.Contains(j.lines, "moved to west") || !slices.Contains(j.lines, "mapping of east on: false") {
			t.Errorf("did %q", j.lines)
		}
	})
}
