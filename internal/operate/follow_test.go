package operate

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/arcregionswitch"
	plantypes "github.com/aws/aws-sdk-go-v2/service/arcregionswitch/types"
	"github.com/aws/aws-sdk-go-v2/service/backup"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	metrictypes "github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/aws/smithy-go"

	"payments-dr/client"
)

// fake is a Region as a test has it: each question is a function, and one that is nil is never answered.
type fake struct {
	execution func() (*arcregionswitch.GetPlanExecutionOutput, error)
	start     func(*arcregionswitch.StartPlanExecutionInput) (*arcregionswitch.StartPlanExecutionOutput, error)
	list      func() ([]plantypes.AbbreviatedExecution, error)
	metrics   func() map[string]Value
	name      string
}

const testPlan = "arn:aws:arc-region-switch::111122223333:plan/payment-dev:a1b2c3"

func silent[T any](ctx context.Context) (T, error) {
	var none T
	<-ctx.Done()
	return none, ctx.Err()
}

func (f *fake) GetPlanExecution(ctx context.Context, _ *arcregionswitch.GetPlanExecutionInput, _ ...func(*arcregionswitch.Options)) (*arcregionswitch.GetPlanExecutionOutput, error) {
	if f.execution == nil {
		return silent[*arcregionswitch.GetPlanExecutionOutput](ctx)
	}
	return f.execution()
}

func (f *fake) StartPlanExecution(ctx context.Context, in *arcregionswitch.StartPlanExecutionInput, _ ...func(*arcregionswitch.Options)) (*arcregionswitch.StartPlanExecutionOutput, error) {
	if f.start == nil {
		return silent[*arcregionswitch.StartPlanExecutionOutput](ctx)
	}
	return f.start(in)
}

func (f *fake) ListPlanExecutions(ctx context.Context, _ *arcregionswitch.ListPlanExecutionsInput, _ ...func(*arcregionswitch.Options)) (*arcregionswitch.ListPlanExecutionsOutput, error) {
	if f.list == nil {
		return silent[*arcregionswitch.ListPlanExecutionsOutput](ctx)
	}
	items, err := f.list()
	return &arcregionswitch.ListPlanExecutionsOutput{Items: items}, err
}

func (f *fake) GetPlanEvaluationStatus(context.Context, *arcregionswitch.GetPlanEvaluationStatusInput, ...func(*arcregionswitch.Options)) (*arcregionswitch.GetPlanEvaluationStatusOutput, error) {
	return &arcregionswitch.GetPlanEvaluationStatusOutput{EvaluationState: plantypes.EvaluationStatusPassed, LastEvaluationTime: aws.Time(time.Now())}, nil
}

func (f *fake) ListRoute53HealthChecksInRegion(context.Context, *arcregionswitch.ListRoute53HealthChecksInRegionInput, ...func(*arcregionswitch.Options)) (*arcregionswitch.ListRoute53HealthChecksInRegionOutput, error) {
	return &arcregionswitch.ListRoute53HealthChecksInRegionOutput{}, nil
}

func (f *fake) GetMetricData(ctx context.Context, in *cloudwatch.GetMetricDataInput, _ ...func(*cloudwatch.Options)) (*cloudwatch.GetMetricDataOutput, error) {
	if f.metrics == nil {
		return silent[*cloudwatch.GetMetricDataOutput](ctx)
	}
	values := f.metrics()
	out := &cloudwatch.GetMetricDataOutput{}
	for _, q := range in.MetricDataQueries {
		result := metrictypes.MetricDataResult{Id: q.Id, StatusCode: metrictypes.StatusCodeComplete}
		if v, ok := values[*q.Id]; ok {
			result.Timestamps, result.Values = []time.Time{v.At}, []float64{v.Value}
		}
		out.MetricDataResults = append(out.MetricDataResults, result)
	}
	return out, nil
}

func (f *fake) DescribeAlarms(context.Context, *cloudwatch.DescribeAlarmsInput, ...func(*cloudwatch.Options)) (*cloudwatch.DescribeAlarmsOutput, error) {
	return &cloudwatch.DescribeAlarmsOutput{}, nil
}

func (f *fake) DescribeGlobalClusters(ctx context.Context, _ *rds.DescribeGlobalClustersInput, _ ...func(*rds.Options)) (*rds.DescribeGlobalClustersOutput, error) {
	return silent[*rds.DescribeGlobalClustersOutput](ctx)
}

func (f *fake) GetParameter(context.Context, *ssm.GetParameterInput, ...func(*ssm.Options)) (*ssm.GetParameterOutput, error) {
	return &ssm.GetParameterOutput{Parameter: &ssmtypes.Parameter{Value: aws.String(testPlan)}}, nil
}

func (f *fake) ListRecoveryPointsByBackupVault(ctx context.Context, _ *backup.ListRecoveryPointsByBackupVaultInput, _ ...func(*backup.Options)) (*backup.ListRecoveryPointsByBackupVaultOutput, error) {
	return silent[*backup.ListRecoveryPointsByBackupVaultOutput](ctx)
}

func (f *fake) ListRestoreJobs(ctx context.Context, _ *backup.ListRestoreJobsInput, _ ...func(*backup.Options)) (*backup.ListRestoreJobsOutput, error) {
	return silent[*backup.ListRestoreJobsOutput](ctx)
}

func (f *fake) Health(context.Context) (client.Answer, error) {
	return client.Answer{Status: 200, Region: f.name}, nil
}

// deployed are two Regions of fakes.
func deployed(eastern, western *fake) *Deployment {
	eastern.name, western.name = east, west
	d := &Deployment{Settings: testSettings(), Public: eastern, Now: time.Now, Credentials: credentials.NewStaticCredentialsProvider("simulated", "simulated", "")}
	for _, f := range []*fake{eastern, western} {
		d.Regions = append(d.Regions, Region{Name: f.name, Plan: f, Database: f, Metrics: f, Parameters: f, Backups: f, API: f})
	}
	return d
}

// TestLookEndsInTime: whatever is never answered, a look is over before two questions' time is, and tells what is known.
func TestLookEndsInTime(t *testing.T) {
	t.Parallel()
	d := deployed(&fake{}, &fake{list: func() ([]plantypes.AbbreviatedExecution, error) { return nil, nil }})
	began := time.Now()
	s := d.Look(t.Context())
	if took := time.Since(began); took > 2*callTimeout+callTimeout/2 {
		t.Errorf("it took %s", took)
	}
	if len(s.Unknown) != 9 || s.Regions[1].Plan.Said == nil || s.Public.Said == nil { // each Region's four, and the plan that never lists
		t.Errorf("%d: %q", len(s.Unknown), s.Unknown)
	}
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	began = time.Now()
	d.Look(ctx)
	if took := time.Since(began); took > callTimeout/2 {
		t.Errorf("interrupted, it took %s", took)
	}
}

func TestLookWithoutCredentialsAsksNobody(t *testing.T) {
	t.Parallel()
	d := deployed(&fake{}, &fake{})
	d.Credentials = nil
	began := time.Now()
	s := d.Look(t.Context())
	if len(s.Unknown) != 12 || !strings.HasSuffix(s.Unknown[0], ": no credentials: sign in, or set AWS_PROFILE") || time.Since(began) > callTimeout/2 {
		t.Errorf("after %s: %q", time.Since(began), s.Unknown)
	}
}

// A name that leads to the other Region, and a page in place of the API, are no health.
func TestLookDoesNotTakeAnotherForARegion(t *testing.T) {
	t.Parallel()
	d := deployed(&fake{}, &fake{})
	d.Credentials = nil
	d.Regions[1].API = &fake{name: east}
	d.Public = &fake{}
	s := d.Look(t.Context())
	if p := s.Regions[1].API.Problem; p == nil || p.Kind != KindMalformed || p.Text != "its name leads to us-east-1" {
		t.Errorf("%+v", p)
	}
	if p := s.Public.Problem; p == nil || p.Kind != KindMalformed {
		t.Errorf("%+v", p)
	}
}

// script is an execution that goes on by one state whenever it is looked at, and stays in the last.
type script struct {
	mu     sync.Mutex
	looks  int
	states []func(*arcregionswitch.GetPlanExecutionOutput) error
}

func (s *script) next() (*arcregionswitch.GetPlanExecutionOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := &arcregionswitch.GetPlanExecutionOutput{StartTime: aws.Time(time.Now().Add(-10 * time.Second)), Mode: plantypes.ExecutionModeGraceful, Comment: aws.String("planned move to us-west-2, started by erin")}
	state := s.states[min(s.looks, len(s.states)-1)]
	s.looks++
	if err := state(e); err != nil {
		return nil, err
	}
	return e, nil
}

type change = func(*arcregionswitch.GetPlanExecutionOutput) error

func in(state plantypes.ExecutionState, steps ...plantypes.StepState) change {
	return func(e *arcregionswitch.GetPlanExecutionOutput) error {
		e.ExecutionState, e.StepStates = state, steps
		return nil
	}
}

func failing(err error) change {
	return func(*arcregionswitch.GetPlanExecutionOutput) error { return err }
}

func step(name string, status plantypes.StepStatus) plantypes.StepState {
	s := plantypes.StepState{Name: aws.String(name), Status: status, StartTime: aws.Time(time.Now().Add(-8 * time.Second))}
	if status == plantypes.StepStatusCompleted || status == plantypes.StepStatusSkipped {
		s.EndTime = aws.Time(time.Now().Add(-5 * time.Second))
	}
	return s
}

func ungraceful(c change) change {
	return func(e *arcregionswitch.GetPlanExecutionOutput) error {
		e.Mode = plantypes.ExecutionModeUngraceful
		return c(e)
	}
}

func reconciledNow(found map[string]float64) func() map[string]Value {
	return func() map[string]Value {
		now := time.Now().Truncate(time.Minute)
		values := map[string]Value{
			idPayments: {now, 1204}, idMissing: {now, 0}, idRepaired: {now, 0}, idConflicting: {now, 0}, idDiffering: {now, 0}, idUnaccounted: {now, 0}, idUnreadable: {now, 0}, idClean: {now, 1},
		}
		for id, n := range found {
			values[id] = Value{now, n}
		}
		return values
	}
}

func TestFollower(t *testing.T) {
	t.Parallel()
	const running, completed = plantypes.ExecutionStateInProgress, plantypes.ExecutionStateCompleted
	throttled := &smithy.GenericAPIError{Code: "ThrottlingException"}
	done := in(completed, step(StepPromote, plantypes.StepStatusCompleted))
	for name, one := range map[string]struct {
		states  []change
		metrics func() map[string]Value
		err     error
		says    []string
		error   string
	}{
		"done": {[]change{
			in(plantypes.ExecutionStatePendingManualApproval, step(StepApprove, plantypes.StepStatusPendingApproval)),
			in(running, step(StepApprove, plantypes.StepStatusCompleted), step(StepPromote, plantypes.StepStatusRunning)), done,
		}, reconciledNow(nil), nil, []string{
			"THE APPROVER HAS 2m. Signed in as payment-dev-approver, they look at it (us-west-2, graceful, \"planned move to us-west-2, started by erin\") and approve:",
			"--execution-id exec-1 --step-name \"approve\" --approval approve\n", "approve                  completed, took 3s\n", "promote the database     running, limit 5m\n",
			"promote the database     completed, took 3s\n", "completed, the objective is 15m\n", "Reconciled at ", "clean: 1204 payments, 0 missing",
		}, ""},
		"counts without data": {[]change{done}, func() map[string]Value {
			values := reconciledNow(nil)()
			return map[string]Value{idPayments: values[idPayments], idClean: values[idClean]}
		}, nil, []string{"clean: 1204 payments, unknown missing, unknown recorded again, unknown conflicting, unknown unaccounted, unknown differing, unknown unreadable"}, ""},
		"not clean":                {[]change{done}, reconciledNow(map[string]float64{idConflicting: 2, idClean: 0}), ErrNotClean, nil, "the reconciliation is not clean: 1204 payments, 0 missing, 0 recorded again, 2 conflicting, 0 unaccounted. docs/operate/alarms.md says what each means"},
		"recorded meanwhile":       {[]change{done}, reconciledNow(map[string]float64{idMissing: 466, idRepaired: 238}), nil, []string{"Reconciled at ", "clean: 1204 payments, 466 missing, 238 recorded again"}, ""},
		"not clean by its verdict": {[]change{done}, reconciledNow(map[string]float64{idClean: 0}), ErrNotClean, nil, "the reconciliation is not clean: 1204 payments"},
		"clean, and a gap is left": {[]change{done}, func() map[string]Value {
			values := reconciledNow(nil)()
			values[idUnreconciled] = Value{time.Now().Add(time.Minute), 52_200}
			return values
		}, ErrNoVerdict, []string{"clean: 1204 payments"}, "no reconciliation has come to its end for all payments of the last 14h30m"},
		"reconciled before":       {[]change{done}, func() map[string]Value { return map[string]Value{idPayments: {time.Now().Add(-5 * time.Minute), 1204}} }, ErrNoVerdict, nil, "no reconciliation has come to its end since the promotion at "},
		"no metrics":              {[]change{done}, nil, ErrNoVerdict, nil, "UTC: no answer within 2s. See dr status later"},
		"paused":                  {[]change{in(plantypes.ExecutionStatePausedByFailedStep, step(StepPromote, plantypes.StepStatusFailed)), done}, reconciledNow(nil), nil, []string{"PAUSED: a step failed, and the plan waits for you. docs/operate/runbook.md, chapter 6", "--execution-id exec-1 --action resume"}, ""},
		"paused by hand":          {[]change{in(plantypes.ExecutionStatePausedByOperator), done}, reconciledNow(nil), nil, []string{"PAUSED by somebody."}, ""},
		"failed":                  {[]change{in(plantypes.ExecutionStateFailed)}, nil, ErrNotDone, nil, "the execution has not done everything: it is failed. What was done stays done"},
		"canceled":                {[]change{in(plantypes.ExecutionStateCancelled)}, nil, ErrNotDone, nil, "it is canceled"},
		"timed out":               {[]change{in(plantypes.ExecutionStatePlanExecutionTimedOut)}, nil, ErrNotDone, nil, "it is planExecutionTimedOut"},
		"a step left out":         {[]change{in(plantypes.ExecutionStateCompletedWithExceptions, step(StepTraffic, plantypes.StepStatusSkipped))}, reconciledNow(nil), ErrNotDone, nil, "skipped, and to be done by hand: move payments here"},
		"left out by the mode":    {[]change{ungraceful(in(completed, step(StepReconcile, plantypes.StepStatusSkipped), step(StepStopLedger, plantypes.StepStatusSkipped)))}, reconciledNow(nil), nil, []string{"When us-east-1 is back: stop its ledger first"}, ""},
		"throttled in the middle": {[]change{in(running), failing(throttled), failing(throttled), done}, reconciledNow(nil), nil, []string{"us-west-2: throttled: AWS wants to be asked later; the execution goes on, asking again\n", "us-west-2 answers again\n"}, ""},
		"throttled for ever":      {[]change{in(running), failing(throttled)}, nil, ErrLost, nil, "the execution cannot be watched any more, and may go on: us-west-2: throttled"},
		"hollow": {[]change{func(e *arcregionswitch.GetPlanExecutionOutput) error {
			*e = arcregionswitch.GetPlanExecutionOutput{}
			return nil
		}}, nil, ErrLost, nil, "the answer cannot be understood: it has no state or no time"},
		"signed out in the middle":  {[]change{in(running), failing(&smithy.GenericAPIError{Code: "ExpiredTokenException"})}, nil, ErrLost, nil, "may go on: us-west-2: AWS does not take the credentials"},
		"there is no such":          {[]change{failing(&plantypes.ResourceNotFoundException{})}, nil, nil, nil, "the plan has no execution exec-1 in us-west-2"},
		"a state that nobody knows": {[]change{in("somethingNew", step("a new step", "somehow")), done}, reconciledNow(nil), nil, []string{"a new step               somehow"}, ""},
		"over the objective": {[]change{func(e *arcregionswitch.GetPlanExecutionOutput) error {
			e.ExecutionState, e.StartTime = running, aws.Time(time.Now().Add(-16*time.Minute))
			return nil
		}, done}, reconciledNow(nil), nil, []string{"+16m0", "over the objective of 15m\n"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			western := &fake{execution: (&script{states: one.states}).next, metrics: one.metrics}
			var out bytes.Buffer
			err := Follower{Deployment: deployed(&fake{}, western), Region: west, PlanARN: testPlan, ID: "exec-1", Every: time.Millisecond, Patience: 50 * time.Millisecond, Out: &out}.Follow(t.Context())
			if one.err != nil && !errors.Is(err, one.err) || one.error == "" && err != nil || one.error != "" && (err == nil || !strings.Contains(err.Error(), one.error)) {
				t.Errorf("error %v", err)
			}
			for _, says := range one.says {
				if strings.Count(out.String(), says) != 1 {
					t.Errorf("%q is not told once:\n%s", says, &out)
				}
			}
		})
	}
}

func TestFollowerIsInterrupted(t *testing.T) {
	t.Parallel()
	states := &script{states: []change{in(plantypes.ExecutionStateInProgress)}}
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(30*time.Millisecond, cancel)
	f := Follower{Deployment: deployed(&fake{}, &fake{execution: states.next}), Region: west, PlanARN: testPlan, ID: "exec-1", Every: time.Hour, Out: &bytes.Buffer{}}
	if err := f.Follow(ctx); !errors.Is(err, ErrLeft) {
		t.Error(err)
	}
	f.Region = "eu-west-1"
	if err := f.Follow(t.Context()); err == nil || !strings.Contains(err.Error(), `region is "eu-west-1"; allowed is us-east-1 or us-west-2`) {
		t.Error(err)
	}
}

func TestStart(t *testing.T) {
	t.Parallel()
	mine := plantypes.AbbreviatedExecution{ExecutionId: aws.String("exec-9"), Comment: aws.String("planned move to us-west-2, started by erin"), StartTime: aws.Time(time.Now())}
	old, others := mine, mine
	old.StartTime, others.Comment = aws.Time(time.Now().Add(-time.Hour)), aws.String("planned move to us-west-2, started by frank")
	listing := func(all ...plantypes.AbbreviatedExecution) func() ([]plantypes.AbbreviatedExecution, error) {
		return func() ([]plantypes.AbbreviatedExecution, error) { return all, nil }
	}
	answering := func(id *string, err error) func(*arcregionswitch.StartPlanExecutionInput) (*arcregionswitch.StartPlanExecutionOutput, error) {
		return func(in *arcregionswitch.StartPlanExecutionInput) (*arcregionswitch.StartPlanExecutionOutput, error) {
			if *in.TargetRegion != west || in.Mode != plantypes.ExecutionModeGraceful || *in.PlanArn != testPlan || in.Action != plantypes.ExecutionActionActivate {
				return nil, fmt.Errorf("started is %+v", in)
			}
			return &arcregionswitch.StartPlanExecutionOutput{ExecutionId: id}, err
		}
	}
	for name, one := range map[string]struct {
		start     func(*arcregionswitch.StartPlanExecutionInput) (*arcregionswitch.StartPlanExecutionOutput, error)
		list      func() ([]plantypes.AbbreviatedExecution, error)
		id, error string
		unsettled bool
	}{
		"started":               {answering(aws.String("exec-1"), nil), nil, "exec-1", "", false},
		"somebody was first":    {answering(nil, &plantypes.IllegalStateException{Message: aws.String("in progress")}), nil, "", "nothing was started: the plan is running already, or cannot be started now: IllegalStateException: in progress. Watch it: dr watch-plan --env dev", false},
		"denied":                {answering(nil, &smithy.GenericAPIError{Code: "AccessDeniedException", Message: "User: erin"}), nil, "", "nothing was started: start the plan in us-west-2: access denied: User: erin", false},
		"throttled":             {answering(nil, &smithy.GenericAPIError{Code: "ThrottlingException"}), nil, "", "nothing was started: start the plan in us-west-2: throttled", false},
		"silent, and started":   {nil, listing(others, old, mine), "exec-9", "", false},
		"hollow, and started":   {answering(nil, nil), listing(mine), "exec-9", "", false},
		"silent, not found":     {nil, listing(others, old), "", "it is not known whether the execution was started: no answer within 2s", true},
		"silent, and no list":   {nil, nil, "", "it is not known whether the execution was started", true},
		"garbage, and not here": {answering(nil, &smithy.DeserializationError{Err: errors.New("x")}), listing(), "", "it is not known whether the execution was started: the answer cannot be understood", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			id, err := deployed(&fake{}, &fake{start: one.start, list: one.list}).Start(t.Context(), Move{To: west, Planned: true}, testPlan, "erin")
			if id != one.id || one.error == "" && err != nil || one.error != "" && (err == nil || !strings.Contains(err.Error(), one.error)) {
				t.Errorf("%q, %v", id, err)
			}
			if _, unsettled := errors.AsType[*UnsettledStartError](err); unsettled != one.unsettled {
				t.Errorf("unsettled is %t: %v", unsettled, err)
			}
		})
	}
}

func TestFind(t *testing.T) {
	t.Parallel()
	s := well()
	if _, found := s.Find(""); found {
		t.Error("an execution is found where there is none")
	}
	s.Regions[0].Plan.Said.Executions = []Execution{{ID: "old", State: "completed", Started: ago(time.Hour)}, {ID: "runs", State: "inProgress", Started: ago(50 * time.Minute)}}
	s.Regions[1].Plan.Said.Executions = []Execution{{ID: "new", State: "failed", Started: ago(time.Minute)}}
	for id, want := range map[string]string{"": "runs", "old": "old", "new": "new"} {
		if e, found := s.Find(id); !found || e.ID != want {
			t.Errorf("%q: %+v, %t", id, e, found)
		}
	}
	if _, found := s.Find("none"); found {
		t.Error("found")
	}
	s.Regions[0].Plan.Said.Executions = s.Regions[0].Plan.Said.Executions[:1]
	if e, _ := s.Find(""); e.ID != "new" {
		t.Errorf("the last one is %+v", e)
	}
}
