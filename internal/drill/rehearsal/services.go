package rehearsal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"payments-dr/internal/operate"
	"payments-dr/internal/payment/telemetry"
	"payments-dr/internal/simulation"
	"payments-dr/internal/simulation/awswire"
)

// services are what the operator's tool asks of AWS, each in its protocol: the recovery plan of Region switch, Aurora's roles, a
// few metrics, one parameter, the session table's replicas, and the reconcile function. Alarms are not simulated: none is raised.
// What is not here refuses.
type services struct {
	r       *rehearsal
	ctx     context.Context // of executions, which go on when nobody looks
	running sync.WaitGroup

	mu   sync.Mutex
	plan awswire.Plan
}

func newServices(ctx context.Context, r *rehearsal) *services {
	s := &services{r: r, ctx: ctx}
	s.plan = awswire.Plan{
		ARN: "arn:aws:arc-region-switch::" + r.settings.Account + ":plan/payment-" + r.settings.Environment + ":simulated",
		Now: r.clock.Now, Zone: "Z0", Record: r.settings.PlanAPIName(), Regions: []string{r.here, r.there}, Healthy: r.name.Chosen, Start: s.begin,
	}
	r.watch = s.watch
	return s
}

func (s *services) serve(w http.ResponseWriter, request *http.Request, service, region string) {
	if service == "dynamodb" {
		s.r.platform.replicas.Replica(region).ServeHTTP(w, request)
		return
	}
	body, err := io.ReadAll(request.Body)
	if err != nil {
		return
	}
	operation := request.URL.Path[strings.LastIndex(request.URL.Path, "/")+1:]
	switch service {
	case "rds":
		cluster := func(region string) string {
			return fmt.Sprintf("arn:aws:rds:%s:%s:cluster:%s", region, s.r.settings.Account, operate.Cluster(&s.r.settings, region))
		}
		awswire.GlobalCluster{
			Identifier: operate.GlobalCluster(&s.r.settings), Clusters: []string{cluster(s.r.here), cluster(s.r.there)}, Writer: cluster(s.r.database.Writer()),
		}.Write(w)
	case "ssm":
		awswire.WriteParameter(w, operate.PlanParameter(&s.r.settings), s.plan.ARN)
	case "lambda":
		s.invoke(w, request, region, body)
	case "monitoring", "arc-region-switch":
		asked, _ := awswire.ReadCBOR(body)
		switch {
		case operation == "DescribeAlarms":
			awswire.WriteAlarms(w, asked, nil)
		case service == "monitoring":
			awswire.WriteMetrics(w, asked, func(m awswire.Metric) (float64, time.Time, bool) { return s.metric(request.Context(), region, m) })
		default:
			s.mu.Lock()
			defer s.mu.Unlock()
			if !s.plan.Serve(w, region, operation, asked) {
				awswire.WriteError(w, service, http.StatusBadRequest, "AccessDeniedException", operation+" is not simulated")
			}
		}
	default:
		http.Error(w, service+" is not simulated", http.StatusNotImplemented)
	}
}

// invoke runs the reconcile function, which is the only one that an operator may invoke.
func (s *services) invoke(w http.ResponseWriter, request *http.Request, region string, body []byte) {
	w.Header().Set("Content-Type", "application/json")
	if !strings.Contains(request.URL.Path, "/functions/"+operate.ReconcileFunction(&s.r.settings)+"/") {
		awswire.WriteError(w, "lambda", http.StatusForbidden, "AccessDeniedException", "")
		return
	}
	if request.Header.Get("X-Amz-Invocation-Type") == "DryRun" {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	out, err := s.r.platform.Region(region).Reconcile.Invoke(request.Context(), body)
	switch {
	case errors.Is(err, simulation.ErrThrottled):
		awswire.WriteError(w, "lambda", http.StatusTooManyRequests, "TooManyRequestsException", "")
	case err != nil:
		awswire.WriteFunctionError(w, err)
	default:
		_, _ = w.Write(out)
	}
}

func (s *services) metric(ctx context.Context, region string, m awswire.Metric) (value float64, at time.Time, ok bool) {
	now, settings := s.r.clock.Now(), &s.r.settings
	if m.Expression != "" {
		if !strings.Contains(m.Expression, "'"+operate.Cluster(settings, region)+"'") || region == s.r.database.Writer() {
			return 0, now, false
		}
		lag, err := s.r.database.Lag(ctx)
		return lag.Behind.Seconds() * s.r.config.Speed * 1000, now, err == nil
	}
	if queue := s.r.platform.Region(region).Queues[m.Of]; queue != nil {
		visible, _ := queue.Depth()
		return float64(visible), now, m.Name == "ApproximateNumberOfMessagesVisible"
	}
	s.r.mu.Lock()
	defer s.r.mu.Unlock()
	if m.Of != "reconcile" || len(s.r.reconciliations) == 0 || region != s.r.database.Writer() {
		return 0, now, false
	}
	report := s.r.reconciliations[len(s.r.reconciliations)-1]
	if m.Name == telemetry.MetricUnreconciledSeconds {
		return now.Sub(report.To).Seconds(), now, true
	}
	counts, clean := report.Counts, 0
	if report.Clean() {
		clean = 1
	}
	number, ok := map[string]int{
		telemetry.MetricReconcileTablePayments: counts.Table, telemetry.MetricReconcileMissing: counts.Missing, telemetry.MetricReconcileRepaired: counts.Repaired,
		telemetry.MetricReconcileConflicting: counts.Conflicting, telemetry.MetricReconcileDiffering: counts.Differing, telemetry.MetricReconcileUnaccounted: counts.Unaccounted,
		telemetry.MetricReconcileUnreadable: counts.Unreadable, telemetry.MetricReconcileClean: clean,
	}[m.Name]
	return float64(number), s.r.reconciledAt, ok
}

// begin starts an execution, unless one is in progress.
func (s *services) begin(asked awswire.Start) *awswire.Execution {
	if last := s.last(); last != nil && last.Ended.IsZero() {
		return nil
	}
	e := &awswire.Execution{
		ID: "simulated-" + strconv.Itoa(len(s.plan.Executions)+1), Region: asked.Region, Mode: asked.Mode, Comment: asked.Comment, State: "inProgress", Started: s.r.clock.Now(),
	}
	var add func([]Step)
	add = func(steps []Step) {
		for _, step := range steps {
			if step.Kind != "Parallel" {
				e.Steps = append(e.Steps, &awswire.Step{Name: step.Name, Status: "notStarted"})
			}
			add(step.Steps)
		}
	}
	add(s.r.plan)
	s.plan.Executions = append(s.plan.Executions, e)
	s.running.Go(func() {
		err := s.r.execute(s.ctx, asked.Region, Mode(asked.Mode))
		s.mu.Lock()
		defer s.mu.Unlock()
		e.State, e.Ended = "completed", s.r.clock.Now()
		if err != nil { // Region switch would pause and wait for somebody; here nobody could make it go on
			e.State = "failed"
		}
	})
	return e
}

func (s *services) last() *awswire.Execution {
	if len(s.plan.Executions) == 0 {
		return nil
	}
	return s.plan.Executions[len(s.plan.Executions)-1]
}

// watch takes a step of the running execution that begins or ends.
func (s *services) watch(step Step, result StepResult) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, status := s.last(), "failed"
	waits := step.Kind == "ManualApproval"
	switch result {
	case "":
		status = "running"
		if waits {
			status, e.State = "pendingApproval", "pendingManualApproval"
		}
	case StepDone:
		status = "completed"
	case StepSkipped:
		status = "skipped"
	}
	if waits && result != "" {
		e.State = "inProgress"
	}
	e.Set(step.Name, status, s.r.clock.Now())
}
