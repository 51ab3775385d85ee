package rehearsal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/aws/smithy-go/encoding/cbor"

	"payments-dr/internal/operate"
	"payments-dr/internal/payment/functionerror"
	"payments-dr/internal/payment/telemetry"
	"payments-dr/internal/simulation"
)

// services are what the operator's tool asks of AWS, each in its protocol: the recovery plan of Region switch, Aurora's roles, a
// few metrics, one parameter, the session table's replicas, and the reconcile function. Alarms are not simulated: none is raised.
// What is not here refuses.
type services struct {
	r       *rehearsal
	ctx     context.Context // of executions, which go on when nobody looks
	running sync.WaitGroup

	mu         sync.Mutex
	executions []*runningPlan
}

// runningPlan is an execution of the plan as Region switch tells of it.
type runningPlan struct {
	id, region, comment string
	mode                Mode
	state               string
	started, ended      time.Time
	steps               []*runningStep
}

type runningStep struct {
	name, kind, status string
	began, ended       time.Time
}

func newServices(ctx context.Context, r *rehearsal) *services {
	s := &services{r: r, ctx: ctx}
	r.watch = s.watch
	return s
}

func (s *services) planARN() string {
	return "arn:aws:arc-region-switch::" + s.r.settings.Account + ":plan/payment-" + s.r.settings.Environment + ":simulated"
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
		s.globalClusters(w)
	case "ssm":
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		_ = json.NewEncoder(w).Encode(map[string]any{"Parameter": map[string]any{"Name": operate.PlanParameter(&s.r.settings), "Type": "String", "Value": s.planARN()}})
	case "lambda":
		s.invoke(w, request, region, body)
	case "monitoring":
		asked, _ := cbor.Decode(body)
		fields, _ := asked.(cbor.Map)
		if operation == "DescribeAlarms" {
			simulation.WriteCBOR(w, http.StatusOK, cbor.Map{"MetricAlarms": cbor.List{}, "CompositeAlarms": cbor.List{}})
			return
		}
		s.metrics(request.Context(), w, region, fields)
	case "arc-region-switch":
		asked, _ := cbor.Decode(body)
		fields, _ := asked.(cbor.Map)
		s.plan(w, region, operation, fields)
	default:
		http.Error(w, service+" is not simulated", http.StatusNotImplemented)
	}
}

func (s *services) globalClusters(w http.ResponseWriter) {
	writer, members := s.r.database.Writer(), ""
	for _, region := range []string{s.r.here, s.r.there} {
		state := "<SynchronizationStatus>connected</SynchronizationStatus>"
		if region == writer {
			state = ""
		}
		members += fmt.Sprintf("<GlobalClusterMember><DBClusterArn>arn:aws:rds:%s:%s:cluster:%s</DBClusterArn><IsWriter>%t</IsWriter>%s</GlobalClusterMember>",
			region, s.r.settings.Account, operate.Cluster(&s.r.settings, region), region == writer, state)
	}
	w.Header().Set("Content-Type", "text/xml")
	fmt.Fprintf(w, `<DescribeGlobalClustersResponse xmlns="http://rds.amazonaws.com/doc/2014-10-31/"><DescribeGlobalClustersResult><GlobalClusters><GlobalClusterMember>`+
		`<GlobalClusterIdentifier>%s</GlobalClusterIdentifier><Status>available</Status><GlobalClusterMembers>%s</GlobalClusterMembers>`+
		`</GlobalClusterMember></GlobalClusters></DescribeGlobalClustersResult></DescribeGlobalClustersResponse>`, operate.GlobalCluster(&s.r.settings), members)
}

// invoke runs the reconcile function, which is the only one that an operator may invoke.
func (s *services) invoke(w http.ResponseWriter, request *http.Request, region string, body []byte) {
	w.Header().Set("Content-Type", "application/json")
	if !strings.Contains(request.URL.Path, "/functions/"+operate.ReconcileFunction(&s.r.settings)+"/") {
		w.Header().Set("X-Amzn-Errortype", "AccessDeniedException")
		w.WriteHeader(http.StatusForbidden)
		return
	}
	if request.Header.Get("X-Amz-Invocation-Type") == "DryRun" {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	out, err := s.r.platform.Region(region).Reconcile.Invoke(request.Context(), body)
	switch {
	case errors.Is(err, simulation.ErrThrottled):
		w.Header().Set("X-Amzn-Errortype", "TooManyRequestsException")
		w.WriteHeader(http.StatusTooManyRequests)
		return
	case err != nil:
		w.Header().Set("X-Amz-Function-Error", "Unhandled")
		out = functionerror.Of(err).Payload
	}
	_, _ = w.Write(out)
}

// metrics answers with the newest value of each metric that is asked for, at the minute's begin.
func (s *services) metrics(ctx context.Context, w http.ResponseWriter, region string, asked cbor.Map) {
	queries, _ := asked["MetricDataQueries"].(cbor.List)
	results := cbor.List{}
	for _, q := range queries {
		query, _ := q.(cbor.Map)
		id, _ := query["Id"].(cbor.String)
		times, values := cbor.List{}, cbor.List{}
		if value, at, ok := s.metric(ctx, region, query); ok {
			times, values = append(times, simulation.CBORTime(at.Truncate(time.Minute))), append(values, cbor.Float64(value))
		}
		results = append(results, cbor.Map{"Id": id, "Label": id, "StatusCode": cbor.String("Complete"), "Timestamps": times, "Values": values})
	}
	simulation.WriteCBOR(w, http.StatusOK, cbor.Map{"MetricDataResults": results})
}

func (s *services) metric(ctx context.Context, region string, query cbor.Map) (value float64, at time.Time, ok bool) {
	now, settings := s.r.clock.Now(), &s.r.settings
	if expression, is := query["Expression"].(cbor.String); is {
		if !strings.Contains(string(expression), "'"+operate.Cluster(settings, region)+"'") || region == s.r.database.Writer() {
			return 0, now, false
		}
		lag, err := s.r.database.Lag(ctx)
		return lag.Behind.Seconds() * s.r.config.Speed * 1000, now, err == nil
	}
	stat, _ := query["MetricStat"].(cbor.Map)
	metric, _ := stat["Metric"].(cbor.Map)
	name, _ := metric["MetricName"].(cbor.String)
	dimensions, _ := metric["Dimensions"].(cbor.List)
	if len(dimensions) != 1 {
		return 0, now, false
	}
	dimension, _ := dimensions[0].(cbor.Map)
	of, _ := dimension["Value"].(cbor.String)
	if queue := s.r.platform.Region(region).Queues[string(of)]; queue != nil {
		visible, _ := queue.Depth()
		return float64(visible), now, name == "ApproximateNumberOfMessagesVisible"
	}
	s.r.mu.Lock()
	defer s.r.mu.Unlock()
	if of != "reconcile" || len(s.r.reconciliations) == 0 || region != s.r.database.Writer() {
		return 0, now, false
	}
	counts := s.r.reconciliations[len(s.r.reconciliations)-1].Counts
	number, ok := map[string]int{
		telemetry.MetricReconcileTablePayments: counts.Table, telemetry.MetricReconcileMissing: counts.Missing, telemetry.MetricReconcileRepaired: counts.Repaired,
		telemetry.MetricReconcileConflicting: counts.Conflicting, telemetry.MetricReconcileDiffering: counts.Differing, telemetry.MetricReconcileUnaccounted: counts.Unaccounted,
	}[string(name)]
	return float64(number), s.r.reconciledAt, ok
}

func (s *services) plan(w http.ResponseWriter, region, operation string, asked cbor.Map) {
	text := func(key string) string { v, _ := asked[key].(cbor.String); return string(v) }
	refuse := func(kind, message string) {
		simulation.WriteCBOR(w, http.StatusBadRequest, cbor.Map{"__type": cbor.String("com.amazonaws.arcregionswitch#" + kind), "message": cbor.String(message)})
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch operation {
	case "GetPlanEvaluationStatus":
		simulation.WriteCBOR(w, http.StatusOK, cbor.Map{"planArn": cbor.String(s.planARN()), "evaluationState": cbor.String("passed"), "lastEvaluationTime": simulation.CBORTime(s.r.clock.Now())})
	case "ListRoute53HealthChecksInRegion":
		checks := cbor.List{}
		for _, one := range []string{s.r.here, s.r.there} {
			status := "unhealthy"
			if s.r.name.Chosen(one) {
				status = "healthy"
			}
			checks = append(checks, cbor.Map{"hostedZoneId": cbor.String("Z0"), "recordName": cbor.String(s.r.settings.PlanAPIName()), "region": cbor.String(one), "status": cbor.String(status)})
		}
		simulation.WriteCBOR(w, http.StatusOK, cbor.Map{"healthChecks": checks})
	case "ListPlanExecutions":
		items := cbor.List{}
		for _, e := range s.executions {
			items = append(items, e.cbor(s.planARN()))
		}
		simulation.WriteCBOR(w, http.StatusOK, cbor.Map{"items": items})
	case "GetPlanExecution":
		for _, e := range s.executions {
			if e.id == text("executionId") && e.region == region {
				answer := e.cbor(s.planARN())
				answer["stepStates"] = e.states()
				simulation.WriteCBOR(w, http.StatusOK, answer)
				return
			}
		}
		refuse("ResourceNotFoundException", "no such execution")
	case "StartPlanExecution":
		if last := s.last(); last != nil && last.ended.IsZero() {
			refuse("IllegalStateException", "an execution of the plan is in progress")
			return
		}
		e := s.begin(region, Mode(text("mode")), text("comment"))
		simulation.WriteCBOR(w, http.StatusOK, cbor.Map{"executionId": cbor.String(e.id), "activateRegion": cbor.String(region)})
	default:
		refuse("AccessDeniedException", operation+" is not simulated")
	}
}

func (s *services) last() *runningPlan {
	if len(s.executions) == 0 {
		return nil
	}
	return s.executions[len(s.executions)-1]
}

// begin starts an execution.
func (s *services) begin(region string, mode Mode, comment string) *runningPlan {
	e := &runningPlan{
		id: "simulated-" + strconv.Itoa(len(s.executions)+1), region: region, mode: mode, comment: comment, state: "inProgress", started: s.r.clock.Now(),
	}
	var add func([]Step)
	add = func(steps []Step) {
		for _, step := range steps {
			if step.Kind != "Parallel" {
				e.steps = append(e.steps, &runningStep{name: step.Name, kind: step.Kind, status: "notStarted"})
			}
			add(step.Steps)
		}
	}
	add(s.r.plan)
	s.executions = append(s.executions, e)
	s.running.Go(func() {
		err := s.r.execute(s.ctx, region, mode)
		s.mu.Lock()
		defer s.mu.Unlock()
		e.state, e.ended = "completed", s.r.clock.Now()
		if err != nil { // Region switch would pause and wait for somebody; here nobody could make it go on
			e.state = "failed"
		}
	})
	return e
}

// watch takes a step of the running execution that begins or ends.
func (s *services) watch(step Step, result StepResult) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, now := s.last(), s.r.clock.Now()
	for _, one := range e.steps {
		if one.name != step.Name {
			continue
		}
		waits := one.kind == "ManualApproval"
		switch result {
		case "":
			one.began, one.status = now, "running"
			if waits {
				one.status, e.state = "pendingApproval", "pendingManualApproval"
			}
			continue
		case StepDone:
			one.status = "completed"
		case StepSkipped:
			one.status = "skipped"
		default:
			one.status = "failed"
		}
		one.ended = now
		if waits {
			e.state = "inProgress"
		}
	}
}

func (e *runningPlan) cbor(planARN string) cbor.Map {
	answer := cbor.Map{
		"planArn": cbor.String(planARN), "executionId": cbor.String(e.id), "executionRegion": cbor.String(e.region), "executionAction": cbor.String("activate"),
		"executionState": cbor.String(e.state), "mode": cbor.String(e.mode), "startTime": simulation.CBORTime(e.started), "comment": cbor.String(e.comment),
	}
	if !e.ended.IsZero() {
		answer["endTime"] = simulation.CBORTime(e.ended)
	}
	return answer
}

func (e *runningPlan) states() cbor.List {
	states := cbor.List{}
	for _, step := range e.steps {
		state := cbor.Map{"name": cbor.String(step.name), "status": cbor.String(step.status), "stepMode": cbor.String(e.mode)}
		if !step.began.IsZero() {
			state["startTime"] = simulation.CBORTime(step.began)
		}
		if !step.ended.IsZero() {
			state["endTime"] = simulation.CBORTime(step.ended)
		}
		states = append(states, state)
	}
	return states
}
