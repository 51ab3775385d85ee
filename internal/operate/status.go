package operate

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/arn"
	"github.com/aws/aws-sdk-go-v2/service/arcregionswitch"
	plantypes "github.com/aws/aws-sdk-go-v2/service/arcregionswitch/types"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	metrictypes "github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/aws/aws-sdk-go-v2/service/rds"

	"payments-dr/client"
	"payments-dr/internal/payment/reconcile"
	"payments-dr/internal/payment/telemetry"
)

const (
	// metricWindow is how far back metrics are looked at: long enough for two hourly reconciliations, and within the three hours that
	// Metrics Insights looks back ("CloudWatch Metrics Insights quotas", Amazon CloudWatch User Guide).
	metricWindow = 170 * time.Minute
	// freshness is how old the newest value of a metric that is sent every minute may be, to tell what is and not what was.
	freshness = 10 * time.Minute
)

// Answer is what was said to a question, or why nothing was. One of the two is nil.
type Answer[T any] struct {
	Said    *T       `json:"said,omitempty"`
	Problem *Problem `json:"problem,omitempty"`
}

func answered[T any](said T, err error) Answer[T] {
	if err != nil {
		return Answer[T]{Problem: Explain(err)}
	}
	return Answer[T]{Said: &said}
}

// Health is an answer to GET /health.
type Health struct {
	// Region is who answered.
	Region string `json:"region"`
	// Milliseconds is how long that took, connecting included.
	Milliseconds int64 `json:"milliseconds"`
}

// Database is the global database as one Region sees it.
type Database struct {
	Status string `json:"status"`
	// Moving is the status of a switchover or failover under way; empty if there is none.
	Moving  string   `json:"moving,omitempty"`
	Members []Member `json:"members"`
}

// Member is one Region's cluster in the global database.
type Member struct {
	Region  string `json:"region"`
	Cluster string `json:"cluster"`
	Writer  bool   `json:"writer"`
	// Replication is connected or pending-resync; empty for the writer.
	Replication string `json:"replication,omitempty"`
}

// Writer is the Region of the member that takes writes; empty if there is none.
func (d Database) Writer() string {
	for _, m := range d.Members {
		if m.Writer {
			return m.Region
		}
	}
	return ""
}

// Value is the newest value of a metric.
type Value struct {
	At    time.Time `json:"at"`
	Value float64   `json:"value"`
}

// Metrics are one Region's. What is nil has no data, which is never the same as zero.
type Metrics struct {
	// LagMilliseconds is how far the Region's cluster is behind the writer; only a secondary has it.
	LagMilliseconds *Value `json:"lagMilliseconds,omitempty"`
	// Waiting and OldestSeconds are the ledger queue's; DeadLetters what the ledger gave up.
	Waiting       *Value `json:"waiting,omitempty"`
	OldestSeconds *Value `json:"oldestSeconds,omitempty"`
	DeadLetters   *Value `json:"deadLetters,omitempty"`
	// UnreconciledSeconds is how long ago the moment is up to which payments are reconciled; only the writer's Region has it.
	UnreconciledSeconds *Value `json:"unreconciledSeconds,omitempty"`
	// Reconciliation is the last one that came to its end and compared anything: the standby's compare nothing.
	Reconciliation *Reconciliation `json:"reconciliation,omitempty"`
}

// Gap is the time whose payments are not reconciled, if it is longer than the time between runs explains; otherwise 0. known is
// false if UnreconciledSeconds has no data.
func (m Metrics) Gap() (gap time.Duration, known bool) {
	if m.UnreconciledSeconds == nil {
		return 0, false
	}
	gap = time.Duration(m.UnreconciledSeconds.Value) * time.Second
	if gap <= reconcile.LongestGap {
		return 0, true
	}
	return gap, true
}

// Reconciliation is what one run found, in payments.
type Reconciliation struct {
	// At is the minute that it ended in.
	At       time.Time `json:"at"`
	Payments int       `json:"payments"`
	// The counts are nil if their metric has no value for that minute: a deployed function may be of another release.
	Missing     *int `json:"missing"`
	Repaired    *int `json:"repaired"`
	Conflicting *int `json:"conflicting"`
	Differing   *int `json:"differing"`
	Unaccounted *int `json:"unaccounted"`
	Unreadable  *int `json:"unreadable"`
	// Clean is the run's own verdict: ledger and table agree after it. A payment that the ledger recorded while the run looked for it counts
	// as missing and not as repaired. If several runs ended in the minute, all of them have to agree. Nil: not known.
	Clean *bool `json:"clean"`
}

// clean reports whether the run says that it is clean; one that does not say is not.
func (r Reconciliation) clean() bool { return r.Clean != nil && *r.Clean }

func (r Reconciliation) String() string {
	text := fmt.Sprintf("%d payments", r.Payments)
	for _, c := range []struct {
		count *int
		is    string
		rare  bool
	}{
		{r.Missing, "missing", false}, {r.Repaired, "recorded again", false}, {r.Conflicting, "conflicting", false}, {r.Unaccounted, "unaccounted", false},
		{r.Differing, "differing", true}, {r.Unreadable, "unreadable", true},
	} {
		switch {
		case c.count == nil:
			text += ", unknown " + c.is
		case *c.count > 0 || !c.rare:
			text += fmt.Sprintf(", %d %s", *c.count, c.is)
		}
	}
	if r.Clean == nil {
		text += "; whether it is clean is unknown"
	}
	return text
}

// Alarm is an alarm in the state ALARM.
type Alarm struct {
	Name  string    `json:"name"`
	Since time.Time `json:"since"`
	// Silent alarms tell nobody: they are parts of others, and states that are no fault.
	Silent bool `json:"silent,omitempty"`
}

// Plan is the recovery plan as one Region has it.
type Plan struct {
	ARN string `json:"arn"`
	// Evaluation is passed, actionRequired, pendingEvaluation or unknown.
	Evaluation string    `json:"evaluation"`
	Evaluated  time.Time `json:"evaluated"`
	// Warnings are those of the evaluation that stand.
	Warnings []string `json:"warnings,omitempty"`
	// Traffic is, by Region, the plan's own health check: healthy where the plan has put payments.
	Traffic map[string]string `json:"traffic"`
	// Executions are the last ones, the newest first.
	Executions []Execution `json:"executions"`
}

// Execution is one execution of the plan.
type Execution struct {
	ID      string    `json:"id"`
	Region  string    `json:"region"`
	State   string    `json:"state"`
	Mode    string    `json:"mode"`
	Comment string    `json:"comment,omitempty"`
	Started time.Time `json:"started"`
}

// Running is whether an execution has not come to its end. One that is done and still watches the alarms has.
func (e Execution) Running() bool { return !ended(plantypes.ExecutionState(e.State)) }

func ended(state plantypes.ExecutionState) bool {
	switch state {
	case plantypes.ExecutionStateCompleted, plantypes.ExecutionStateCompletedWithExceptions, plantypes.ExecutionStateCancelled,
		plantypes.ExecutionStatePlanExecutionTimedOut, plantypes.ExecutionStateFailed, plantypes.ExecutionStateCompletedMonitoringApplicationHealth:
		return true
	}
	return false
}

// RegionStatus is everything about one Region.
type RegionStatus struct {
	Region   string           `json:"region"`
	API      Answer[Health]   `json:"api"`
	Database Answer[Database] `json:"database"`
	Metrics  Answer[Metrics]  `json:"metrics"`
	Alarms   Answer[[]Alarm]  `json:"alarms"`
	Plan     Answer[Plan]     `json:"plan"`
	// Backups are the vault's, and Restores what trying them showed.
	Backups  Answer[Backups]      `json:"backups"`
	Restores Answer[RestoreTests] `json:"restores"`
}

// question is one that AWS was asked about a Region.
type question struct {
	what    string
	problem *Problem
}

// questions are all of them but the one to its API, which is no question to AWS.
func (r RegionStatus) questions() []question {
	return []question{
		{"database", r.Database.Problem}, {"metrics", r.Metrics.Problem}, {"alarms", r.Alarms.Problem}, {"plan", r.Plan.Problem},
		{"backups", r.Backups.Problem}, {"restore tests", r.Restores.Problem},
	}
}

// Status is everything about a deployment at a moment.
type Status struct {
	Environment string    `json:"environment"`
	At          time.Time `json:"at"`
	// Seconds is how long it took to ask.
	Seconds float64 `json:"seconds"`
	// RPOMinutes is the objective that the lag is held against.
	RPOMinutes int `json:"rpoMinutes"`
	// Public is who answers the public name: what DNS leads clients to now.
	Public  Answer[Health] `json:"public"`
	Regions []RegionStatus `json:"regions"`
	// Writer is the Region that owns the ledger; empty if that is not known, and WriterDoubt says why then.
	Writer      string `json:"writer"`
	WriterDoubt string `json:"writerDoubt,omitempty"`
	// Wrong is what is not as it should be, and Unknown what could not be asked, each a line.
	Wrong   []string `json:"wrong"`
	Unknown []string `json:"unknown"`
}

// UnknownLines are Unknown for people: what has no answer for the same reason is one line of each Region.
func (s Status) UnknownLines() []string {
	var lines []string
	if p := s.Public.Problem; p != nil && p.Kind != KindRefused {
		lines = append(lines, "who takes payments: "+p.Text)
	}
	for _, r := range s.Regions {
		questions := r.questions()
		if p := r.API.Problem; p != nil && p.Kind != KindRefused {
			questions = append([]question{{"API", p}}, questions...)
		}
		var reasons []string
		about := map[string][]string{}
		for _, q := range questions {
			if q.problem == nil {
				continue
			}
			if about[q.problem.Text] == nil {
				reasons = append(reasons, q.problem.Text)
			}
			about[q.problem.Text] = append(about[q.problem.Text], q.what)
		}
		for _, reason := range reasons {
			lines = append(lines, r.Region+" "+strings.Join(about[reason], ", ")+": "+reason)
		}
	}
	return lines
}

// region is one Region's part.
func (s Status) region(name string) RegionStatus {
	for _, r := range s.Regions {
		if r.Region == name {
			return r
		}
	}
	return RegionStatus{Region: name}
}

// Running are the executions that have not ended, as any Region tells.
func (s Status) Running() []Execution {
	var running []Execution
	for _, r := range s.Regions {
		if r.Plan.Said == nil {
			continue
		}
		for _, e := range r.Plan.Said.Executions {
			if e.Running() && !slices.ContainsFunc(running, func(known Execution) bool { return known.ID == e.ID }) {
				running = append(running, e)
			}
		}
	}
	return running
}

// Look asks everything at once. It has no error: what is not answered is part of the status. It takes no longer than two questions
// that are not answered.
func (d *Deployment) Look(ctx context.Context) Status {
	began := d.Now()
	status := Status{
		Environment: d.Settings.Environment, At: began.UTC(), RPOMinutes: d.Settings.Objectives.RPOMinutes,
		Regions: make([]RegionStatus, len(d.Regions)),
	}
	ctx, cancel := context.WithTimeout(ctx, 2*callTimeout)
	defer cancel()
	var all sync.WaitGroup
	signedIn := sync.OnceValue(func() error { return d.signIn(ctx) })
	plans := newFirst()
	all.Go(func() { status.Public = health(ctx, d.Public) })
	for i, region := range d.Regions {
		r := &status.Regions[i]
		r.Region = region.Name
		all.Go(func() {
			r.API = health(ctx, region.API)
			if said := r.API.Said; said != nil && said.Region != region.Name {
				r.API = Answer[Health]{Problem: &Problem{KindMalformed, "its name leads to " + said.Region}}
			}
		})
		all.Go(func() {
			r.Database = ask(ctx, signedIn, func(ctx context.Context) (Database, error) { return d.database(ctx, region) })
		})
		all.Go(func() {
			r.Metrics = ask(ctx, signedIn, func(ctx context.Context) (Metrics, error) { return d.metrics(ctx, region) })
		})
		all.Go(func() {
			r.Alarms = ask(ctx, signedIn, func(ctx context.Context) ([]Alarm, error) { return d.alarms(ctx, region) })
		})
		all.Go(func() {
			r.Backups = ask(ctx, signedIn, func(ctx context.Context) (Backups, error) { return d.backups(ctx, region) })
		})
		all.Go(func() {
			r.Restores = ask(ctx, signedIn, func(ctx context.Context) (RestoreTests, error) { return d.restoreTests(ctx, region) })
		})
		all.Go(func() {
			if err := signedIn(); err != nil {
				r.Plan.Problem = Explain(err)
				return
			}
			// The plan is the same in both Regions, so the first that tells its ARN tells it for both.
			go func() { plans.tell(d.planARN(ctx, region)) }()
			plan, err := plans.wait(len(d.Regions))
			if err == nil {
				r.Plan = ask(ctx, signedIn, func(ctx context.Context) (Plan, error) { return d.plan(ctx, region, plan) })
			} else {
				r.Plan.Problem = Explain(err)
			}
		})
	}
	all.Wait()
	status.judge()
	status.Seconds = d.Now().Sub(began).Seconds()
	return status
}

func (d *Deployment) signIn(ctx context.Context) error {
	_, err := limited(ctx, func(ctx context.Context) (struct{}, error) { return struct{}{}, SignedIn(ctx, d.Credentials) })
	return err
}

// SignedIn gets the credentials, so that their absence is told once and as what it is. ExplainWithin knows its error.
func SignedIn(ctx context.Context, credentials aws.CredentialsProvider) error {
	if credentials == nil {
		return errCredentials
	}
	got, err := credentials.Retrieve(ctx)
	if err != nil {
		return fmt.Errorf("%w: %w", errCredentials, err)
	}
	if !got.HasKeys() {
		return errCredentials
	}
	return nil
}

func ask[T any](ctx context.Context, signedIn func() error, question func(context.Context) (T, error)) Answer[T] {
	if err := signedIn(); err != nil {
		return Answer[T]{Problem: Explain(err)}
	}
	return answered(limited(ctx, question))
}

// first is the first value that any of several asked tells, or the last one's error if none does.
type first struct {
	mu       sync.Mutex
	failures int
	told     sync.Cond
	value    string
	err      error
}

func newFirst() *first {
	f := &first{}
	f.told.L = &f.mu
	return f
}

func (f *first) tell(value string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err != nil {
		f.failures++
		// That it is not there is more than that nobody answered.
		if p := Explain(err); f.err == nil || p.Kind != KindUnreachable {
			f.err = err
		}
	} else if f.value == "" {
		f.value = value
	}
	f.told.Broadcast()
}

func (f *first) wait(of int) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for f.value == "" && f.failures < of {
		f.told.Wait()
	}
	if f.value != "" {
		return f.value, nil
	}
	return "", f.err
}

func health(ctx context.Context, api API) Answer[Health] {
	return answered(limited(ctx, func(ctx context.Context) (Health, error) {
		answer, err := api.Health(ctx)
		if err == nil && answer.Region == "" { // a proxy's page has status 200 too
			err = fmt.Errorf("%w: it is not the payment API's, which names its Region", errMalformed)
		}
		return healthOf(answer), err
	}))
}

func healthOf(answer client.Answer) Health {
	return Health{Region: answer.Region, Milliseconds: answer.Latency.Milliseconds()}
}

func (d *Deployment) database(ctx context.Context, region Region) (Database, error) {
	name := GlobalCluster(d.Settings)
	out, err := region.Database.DescribeGlobalClusters(ctx, &rds.DescribeGlobalClustersInput{GlobalClusterIdentifier: &name})
	if err != nil {
		return Database{}, err
	}
	if len(out.GlobalClusters) != 1 {
		return Database{}, fmt.Errorf("%w: %d global clusters are named %s", errMalformed, len(out.GlobalClusters), name)
	}
	global := out.GlobalClusters[0]
	database := Database{Status: aws.ToString(global.Status)}
	if global.FailoverState != nil {
		database.Moving = string(global.FailoverState.Status)
	}
	for _, m := range global.GlobalClusterMembers {
		parsed, err := arn.Parse(aws.ToString(m.DBClusterArn))
		if err != nil {
			return Database{}, fmt.Errorf("%w: a member is %q", errMalformed, aws.ToString(m.DBClusterArn))
		}
		database.Members = append(database.Members, Member{
			Region: parsed.Region, Cluster: strings.TrimPrefix(parsed.Resource, "cluster:"),
			Writer: aws.ToBool(m.IsWriter), Replication: string(m.SynchronizationStatus),
		})
	}
	slices.SortFunc(database.Members, func(a, b Member) int { return strings.Compare(a.Region, b.Region) })
	return database, nil
}

// The ids of the queries; those of the reconciliation begin with "r".
const (
	idLag, idWaiting, idOldest, idDead              = "lag", "waiting", "oldest", "dead"
	idPayments, idMissing, idRepaired               = "rpayments", "rmissing", "rrepaired"
	idConflicting, idDiffering, idUnaccounted       = "rconflicting", "rdiffering", "runaccounted"
	idUnreadable, idClean, idUnreconciled           = "runreadable", "rclean", "unreconciled"
	dimensionQueue, namespaceQueue, statisticNewest = "QueueName", "AWS/SQS", "Maximum"
)

func (d *Deployment) metrics(ctx context.Context, region Region) (Metrics, error) {
	now := d.Now()
	metric := func(id, namespace, name, dimension, value string) metrictypes.MetricDataQuery {
		return metrictypes.MetricDataQuery{Id: &id, MetricStat: &metrictypes.MetricStat{
			Period: aws.Int32(60), Stat: aws.String(statisticNewest), Metric: &metrictypes.Metric{
				Namespace: &namespace, MetricName: &name, Dimensions: []metrictypes.Dimension{{Name: &dimension, Value: &value}},
			},
		}}
	}
	lowest := func(query metrictypes.MetricDataQuery) metrictypes.MetricDataQuery {
		query.MetricStat.Stat = aws.String("Minimum")
		return query
	}
	found := func(id, name string) metrictypes.MetricDataQuery {
		return metric(id, Namespace(d.Settings), name, telemetry.DimensionFunction, "reconcile")
	}
	// The lag by query, as the alarm on it has it: which dimensions it has besides the cluster is not documented.
	lag := fmt.Sprintf(`SELECT MAX(AuroraGlobalDBRPOLag) FROM "AWS/RDS" WHERE DBClusterIdentifier = '%s'`, Cluster(d.Settings, region.Name))
	pages := cloudwatch.NewGetMetricDataPaginator(region.Metrics, &cloudwatch.GetMetricDataInput{
		StartTime: aws.Time(now.Add(-metricWindow)), EndTime: aws.Time(now), ScanBy: metrictypes.ScanByTimestampDescending,
		MetricDataQueries: []metrictypes.MetricDataQuery{
			{Id: aws.String(idLag), Expression: &lag, Period: aws.Int32(60)},
			metric(idWaiting, namespaceQueue, "ApproximateNumberOfMessagesVisible", dimensionQueue, LedgerQueue(d.Settings)),
			metric(idOldest, namespaceQueue, "ApproximateAgeOfOldestMessage", dimensionQueue, LedgerQueue(d.Settings)),
			metric(idDead, namespaceQueue, "ApproximateNumberOfMessagesVisible", dimensionQueue, LedgerDeadLetters(d.Settings)),
			found(idPayments, telemetry.MetricReconcileTablePayments), found(idMissing, telemetry.MetricReconcileMissing),
			found(idRepaired, telemetry.MetricReconcileRepaired), found(idConflicting, telemetry.MetricReconcileConflicting),
			found(idDiffering, telemetry.MetricReconcileDiffering), found(idUnaccounted, telemetry.MetricReconcileUnaccounted),
			found(idUnreadable, telemetry.MetricReconcileUnreadable), lowest(found(idClean, telemetry.MetricReconcileClean)),
			found(idUnreconciled, telemetry.MetricUnreconciledSeconds),
		},
	})
	series, asked := map[string][]Value{}, map[string]bool{}
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return Metrics{}, err
		}
		for _, result := range page.MetricDataResults {
			if code := result.StatusCode; code == metrictypes.StatusCodeInternalError || code == metrictypes.StatusCodeForbidden {
				return Metrics{}, &Problem{KindRefused, fmt.Sprintf("CloudWatch cannot read the metric %q: %s", aws.ToString(result.Id), code)}
			}
			asked[aws.ToString(result.Id)] = true
			if len(result.Timestamps) != len(result.Values) {
				return Metrics{}, fmt.Errorf("%w: a metric has %d times and %d values", errMalformed, len(result.Timestamps), len(result.Values))
			}
			for i, at := range result.Timestamps {
				series[aws.ToString(result.Id)] = append(series[aws.ToString(result.Id)], Value{At: at.UTC(), Value: result.Values[i]})
			}
		}
	}
	for _, id := range []string{idLag, idWaiting, idOldest, idDead, idPayments, idMissing, idRepaired, idConflicting, idDiffering, idUnaccounted, idUnreadable, idClean, idUnreconciled} {
		if !asked[id] { // one without data is told too, with no values
			return Metrics{}, fmt.Errorf("%w: it says nothing of the metric %q", errMalformed, id)
		}
	}
	newest := func(id string, notBefore time.Time) *Value {
		var last *Value
		for _, v := range series[id] {
			if !v.At.Before(notBefore) && (last == nil || v.At.After(last.At)) {
				last = &v
			}
		}
		return last
	}
	fresh := now.Add(-freshness)
	m := Metrics{
		LagMilliseconds: newest(idLag, fresh), Waiting: newest(idWaiting, fresh), OldestSeconds: newest(idOldest, fresh),
		DeadLetters: newest(idDead, fresh), UnreconciledSeconds: newest(idUnreconciled, fresh),
	}
	if last := newest(idPayments, time.Time{}); last != nil {
		at := func(id string) *int {
			for _, v := range series[id] {
				if v.At.Equal(last.At) {
					return aws.Int(int(v.Value))
				}
			}
			return nil
		}
		m.Reconciliation = &Reconciliation{
			At: last.At, Payments: int(last.Value), Missing: at(idMissing), Repaired: at(idRepaired), Conflicting: at(idConflicting),
			Differing: at(idDiffering), Unaccounted: at(idUnaccounted), Unreadable: at(idUnreadable),
		}
		if clean := at(idClean); clean != nil {
			m.Reconciliation.Clean = aws.Bool(*clean == 1)
		}
	}
	return m, nil
}

func (d *Deployment) alarms(ctx context.Context, region Region) ([]Alarm, error) {
	alarms := []Alarm{}
	pages := cloudwatch.NewDescribeAlarmsPaginator(region.Metrics, &cloudwatch.DescribeAlarmsInput{
		AlarmNamePrefix: aws.String(AlarmPrefix(d.Settings)), StateValue: metrictypes.StateValueAlarm,
		// Without the types it tells of the metric alarms alone ("DescribeAlarms", Amazon CloudWatch API Reference).
		AlarmTypes: []metrictypes.AlarmType{metrictypes.AlarmTypeMetricAlarm, metrictypes.AlarmTypeCompositeAlarm},
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, a := range page.MetricAlarms {
			alarms = append(alarms, Alarm{aws.ToString(a.AlarmName), aws.ToTime(a.StateUpdatedTimestamp).UTC(), len(a.AlarmActions) == 0})
		}
		for _, a := range page.CompositeAlarms {
			alarms = append(alarms, Alarm{aws.ToString(a.AlarmName), aws.ToTime(a.StateUpdatedTimestamp).UTC(), len(a.AlarmActions) == 0})
		}
	}
	slices.SortFunc(alarms, func(a, b Alarm) int { return strings.Compare(a.Name, b.Name) })
	return alarms, nil
}

// plan asks the three questions about the plan at once.
func (d *Deployment) plan(ctx context.Context, region Region, planARN string) (Plan, error) {
	plan := Plan{ARN: planARN, Traffic: map[string]string{}}
	var all sync.WaitGroup
	var errs [3]error
	all.Go(func() {
		out, err := region.Plan.GetPlanEvaluationStatus(ctx, &arcregionswitch.GetPlanEvaluationStatusInput{PlanArn: &planARN})
		if err == nil && out.EvaluationState == "" {
			err = fmt.Errorf("%w: it has no evaluation", errMalformed)
		}
		if errs[0] = err; err != nil {
			return
		}
		plan.Evaluation, plan.Evaluated = string(out.EvaluationState), aws.ToTime(out.LastEvaluationTime).UTC()
		for _, w := range out.Warnings {
			if w.WarningStatus == plantypes.ResourceWarningStatusActive {
				plan.Warnings = append(plan.Warnings, strings.TrimPrefix(aws.ToString(w.StepName)+": "+aws.ToString(w.WarningMessage), ": "))
			}
		}
	})
	all.Go(func() {
		out, err := region.Plan.ListPlanExecutions(ctx, &arcregionswitch.ListPlanExecutionsInput{PlanArn: &planARN})
		if errs[1] = err; err != nil {
			return
		}
		for _, e := range out.Items {
			plan.Executions = append(plan.Executions, Execution{
				ID: aws.ToString(e.ExecutionId), Region: aws.ToString(e.ExecutionRegion), State: string(e.ExecutionState), Mode: string(e.Mode),
				Comment: printable(aws.ToString(e.Comment)), Started: aws.ToTime(e.StartTime).UTC(),
			})
		}
		slices.SortFunc(plan.Executions, func(a, b Execution) int { return b.Started.Compare(a.Started) })
	})
	all.Go(func() {
		out, err := region.Plan.ListRoute53HealthChecksInRegion(ctx, &arcregionswitch.ListRoute53HealthChecksInRegionInput{Arn: &planARN})
		if errs[2] = err; err != nil {
			return
		}
		for _, check := range out.HealthChecks {
			plan.Traffic[aws.ToString(check.Region)] = string(check.Status)
		}
	})
	all.Wait()
	return plan, cmp.Or(errs[0], errs[1], errs[2])
}

// judge draws from the answers what no single one tells.
func (s *Status) judge() {
	s.Wrong, s.Unknown = []string{}, []string{}
	wrong := func(format string, args ...any) { s.Wrong = append(s.Wrong, fmt.Sprintf(format, args...)) }
	unknown := func(what string, p *Problem) {
		if p != nil {
			s.Unknown = append(s.Unknown, what+": "+p.Text)
		}
	}
	if p := s.Public.Problem; p != nil && p.Kind == KindRefused {
		wrong("payments are not taken: the public name %s", p.Text)
	} else {
		unknown("who takes payments", p)
	}
	views := map[string]string{}
	for _, r := range s.Regions {
		if p := r.API.Problem; p != nil && p.Kind == KindRefused {
			wrong("%s cannot take payments: its API %s", r.Region, p.Text)
		} else {
			unknown(r.Region+" API", p)
		}
		for _, question := range r.questions() {
			unknown(r.Region+" "+question.what, question.problem)
		}
		if r.Database.Said != nil {
			views[r.Region] = r.Database.Said.Writer()
		}
	}
	s.judgePlan(wrong)
	s.judgeWriter(views)
	if s.WriterDoubt != "" && len(views) > 0 {
		wrong("the ledger: %s", s.WriterDoubt)
	}
	for _, r := range s.Regions {
		if r.Alarms.Said == nil {
			continue
		}
		for _, a := range *r.Alarms.Said {
			if !a.Silent {
				wrong("alarm %s in %s since %s", a.Name, r.Region, a.Since.Format("2006-01-02 15:04"))
			}
		}
	}
	s.judgeBackups(wrong)
	if s.Writer == "" {
		return
	}
	if m := s.region(s.Writer).Metrics.Said; m != nil {
		if m.Reconciliation == nil {
			wrong("no reconciliation has come to its end in %s for %s", s.Writer, metricWindow)
		} else if !m.Reconciliation.clean() {
			wrong("the last reconciliation is not clean: %s", m.Reconciliation)
		}
		if gap, known := m.Gap(); gap > 0 {
			wrong("payments of the last %s are not reconciled. Each run, every hour, works off a part of it", short(gap))
		} else if !known && m.Reconciliation != nil {
			wrong("up to when payments are reconciled is not known: the metric of %s has no data", s.Writer)
		}
	}
	for _, r := range s.Regions {
		lag, known := s.Lag(r.Region)
		if r.Region == s.Writer || r.Metrics.Said == nil {
			continue
		}
		if rpo := time.Duration(s.RPOMinutes) * time.Minute; !known {
			wrong("the replication lag of %s is not known: its metric has no data", r.Region)
		} else if lag > rpo {
			wrong("%s is %s behind, over the objective of %s", r.Region, lag, rpo)
		}
	}
}

// judgePlan tells an evaluation that asks for something, once: the plan is the same in both Regions.
func (s *Status) judgePlan(wrong func(format string, args ...any)) {
	told := map[string]bool{}
	for _, r := range s.Regions {
		if r.Plan.Said == nil || r.Plan.Said.Evaluation != string(plantypes.EvaluationStatusActionRequired) {
			continue
		}
		for _, warning := range append([]string{"action required"}, r.Plan.Said.Warnings...) {
			if !told[warning] {
				wrong("the plan's evaluation: %s", warning)
			}
			told[warning] = true
		}
	}
}

func (s *Status) judgeWriter(views map[string]string) {
	var said []string
	for _, r := range s.Regions {
		if writer, ok := views[r.Region]; ok && !slices.Contains(said, writer) {
			said = append(said, writer)
		}
	}
	switch {
	case len(said) == 0:
		s.WriterDoubt = "no Region says who the writer is"
	case len(said) > 1:
		var each []string
		for _, r := range s.Regions {
			each = append(each, r.Region+" says "+cmp.Or(views[r.Region], "nobody"))
		}
		s.WriterDoubt = "the Regions disagree about the writer: " + strings.Join(each, ", ")
	case said[0] == "":
		s.WriterDoubt = "no cluster takes writes"
	default:
		s.Writer = said[0]
	}
}

// Lag is how far a Region's cluster is behind the writer's, and whether that is known.
func (s Status) Lag(region string) (time.Duration, bool) {
	if m := s.region(region).Metrics.Said; m != nil && m.LagMilliseconds != nil {
		return time.Duration(m.LagMilliseconds.Value * float64(time.Millisecond)), true
	}
	return 0, false
}
