package restorecheck_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/backup"
	backuptypes "github.com/aws/aws-sdk-go-v2/service/backup/types"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	rdstypes "github.com/aws/aws-sdk-go-v2/service/rds/types"

	"github.com/bojanz/currency"

	"payments-dr/internal/payment"
	"payments-dr/internal/payment/reconcile"
	"payments-dr/internal/payment/restorecheck"
)

// point is when the recovery point was made. What is compared ends two hours before.
var point = time.Date(2026, 11, 22, 4, 0, 0, 0, time.UTC)

const (
	clusterName  = restorecheck.NamePrefix + "0123456789"
	instanceName = clusterName + "-1"
	tableName    = restorecheck.NamePrefix + "table"
)

// side is a session table, or a ledger, in memory.
type side struct {
	payments map[payment.Identity]payment.Payment
	asked    []reconcile.Window
	err      error
	closed   bool
	slow     time.Duration
}

func newSide(payments ...payment.Payment) *side {
	s := &side{payments: map[payment.Identity]payment.Payment{}}
	for _, p := range payments {
		s.payments[p.Identity] = p
	}
	return s
}

func (s *side) Find(_ context.Context, ids []payment.Identity) (map[payment.Identity]payment.Payment, error) {
	found := map[payment.Identity]payment.Payment{}
	for _, id := range ids {
		if p, ok := s.payments[id]; ok {
			found[id] = p
		}
	}
	return found, s.err
}

func (s *side) within(ctx context.Context, from, to time.Time) (payments []payment.Payment, err error) {
	s.asked = append(s.asked, reconcile.Window{From: from, To: to})
	for _, p := range s.payments {
		if !p.Timestamp.Before(from) && p.Timestamp.Before(to) {
			payments = append(payments, p)
		}
	}
	select {
	case <-time.After(s.slow):
		return payments, s.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (s *side) Window(ctx context.Context, from, to time.Time, _ int, fn func([]payment.Payment) error) error {
	payments, err := s.within(ctx, from, to)
	if err != nil {
		return err
	}
	return fn(payments)
}

func (s *side) Oldest(ctx context.Context, before time.Time) (oldest time.Time, found bool, err error) {
	for _, p := range s.payments {
		if p.Timestamp.Before(before) && (!found || p.Timestamp.Before(oldest)) {
			oldest, found = p.Timestamp, true
		}
	}
	return oldest, found, errors.Join(s.err, ctx.Err())
}

type ledgerSide struct{ *side }

func (l ledgerSide) Window(ctx context.Context, from, to time.Time, fn func(payment.Payment) error) error {
	payments, err := l.within(ctx, from, to)
	for _, p := range payments {
		if err := fn(p); err != nil {
			return err
		}
	}
	return err
}

func (l ledgerSide) Close() error { l.closed = true; return nil }

func accepted(t *testing.T, id, amount string, before time.Duration) payment.Payment {
	t.Helper()
	p, err := payment.Parse(payment.Values{
		"session_id": "s-" + id, "transaction_id": id,
		"amount": amount, "currency": "USD",
		"region": "us-east-1", "timestamp": point.Add(-2*time.Hour - before).Format(payment.TimestampLayout),
		"status": payment.StatusProcessed,
	})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// cloud is AWS Backup and RDS at once.
type cloud struct {
	job           *backup.DescribeRestoreJobOutput
	clusterStatus string
	// instance is the instance's status, empty if there is none.
	instance string
	created  *rds.CreateDBInstanceInput
	calls    []string
	verdicts []*backup.PutRestoreValidationResultInput
	err      map[string]error
}

func newCloud(kind string) *cloud {
	resource := "arn:aws:dynamodb:us-east-1:111122223333:table/" + tableName
	if kind == "Aurora" {
		resource = "arn:aws:rds:us-east-1:111122223333:cluster:" + clusterName
	}
	return &cloud{
		clusterStatus: "available", err: map[string]error{},
		job: &backup.DescribeRestoreJobOutput{
			Status: backuptypes.RestoreJobStatusCompleted, ResourceType: &kind, CreatedResourceArn: &resource, RecoveryPointCreationDate: &point,
			CreatedBy: &backuptypes.RestoreJobCreator{RestoreTestingPlanArn: aws.String("arn:plan")},
		},
	}
}

func (c *cloud) DescribeRestoreJob(context.Context, *backup.DescribeRestoreJobInput, ...func(*backup.Options)) (*backup.DescribeRestoreJobOutput, error) {
	return c.job, c.err["describe job"]
}

func (c *cloud) PutRestoreValidationResult(_ context.Context, in *backup.PutRestoreValidationResultInput, _ ...func(*backup.Options)) (*backup.PutRestoreValidationResultOutput, error) {
	if err := c.err["verdict"]; err != nil {
		return nil, err
	}
	c.calls, c.verdicts = append(c.calls, "verdict"), append(c.verdicts, in)
	c.job.ValidationStatus, c.job.ValidationStatusMessage = in.ValidationStatus, in.ValidationStatusMessage
	return &backup.PutRestoreValidationResultOutput{}, nil
}

func (c *cloud) DescribeDBClusters(_ context.Context, in *rds.DescribeDBClustersInput, _ ...func(*rds.Options)) (*rds.DescribeDBClustersOutput, error) {
	return &rds.DescribeDBClustersOutput{DBClusters: []rdstypes.DBCluster{{
		DBClusterIdentifier: in.DBClusterIdentifier, Status: &c.clusterStatus, Engine: aws.String("aurora-mysql"), Endpoint: aws.String("restored.example"), Port: aws.Int32(3306),
	}}}, c.err["describe cluster"]
}

func (c *cloud) DescribeDBInstances(_ context.Context, in *rds.DescribeDBInstancesInput, _ ...func(*rds.Options)) (*rds.DescribeDBInstancesOutput, error) {
	if c.instance == "" || *in.DBInstanceIdentifier != instanceName {
		return nil, &rdstypes.DBInstanceNotFoundFault{}
	}
	return &rds.DescribeDBInstancesOutput{DBInstances: []rdstypes.DBInstance{{DBInstanceStatus: &c.instance}}}, nil
}

func (c *cloud) CreateDBInstance(_ context.Context, in *rds.CreateDBInstanceInput, _ ...func(*rds.Options)) (*rds.CreateDBInstanceOutput, error) {
	c.calls, c.created = append(c.calls, "create"), in
	c.instance = "creating"
	return &rds.CreateDBInstanceOutput{}, c.err["create"]
}

func (c *cloud) DeleteDBInstance(_ context.Context, in *rds.DeleteDBInstanceInput, _ ...func(*rds.Options)) (*rds.DeleteDBInstanceOutput, error) {
	if *in.DBInstanceIdentifier != instanceName || !*in.SkipFinalSnapshot {
		return nil, fmt.Errorf("asked to delete %s", *in.DBInstanceIdentifier)
	}
	c.calls = append(c.calls, "delete")
	return &rds.DeleteDBInstanceOutput{}, c.err["delete"]
}

func newCheck(c *cloud, live *side, restored *side) restorecheck.Check {
	return restorecheck.Check{
		Backup: c, Clusters: c, Live: live, InstanceClass: "db.r5.large",
		Table: func(name string) restorecheck.Table {
			c.calls = append(c.calls, "open "+name)
			return restored
		},
		Ledger: func(host string, port int) (restorecheck.Ledger, error) {
			c.calls = append(c.calls, fmt.Sprintf("open %s:%d", host, port))
			return ledgerSide{restored}, c.err["open"]
		},
	}
}

func run(t *testing.T, check restorecheck.Check, last bool) restorecheck.Verdict {
	t.Helper()
	verdict, err := check.Run(t.Context(), "job", last)
	if err != nil {
		t.Fatal(err)
	}
	return verdict
}

func TestVerdicts(t *testing.T) {
	base := []payment.Payment{accepted(t, "a", "1.00", 10*time.Minute), accepted(t, "b", "2.00", 50*time.Minute), accepted(t, "c", "3.00", 5*time.Hour), accepted(t, "d", "4.00", 30*time.Hour)}
	later := accepted(t, "later", "1.00", -time.Minute) // too near to the recovery point to be judged
	moved := base[0]
	moved.Region = "us-west-2"
	test := accepted(t, "test", "1.00", time.Hour)
	var err error
	if test.Amount, err = currency.NewAmount("0.01", payment.TestCurrency); err != nil {
		t.Fatal(err)
	}
	const eventual = ", eventually consistent"
	old := []payment.Payment{accepted(t, "month", "5.00", 31*24*time.Hour), accepted(t, "months", "6.00", 60*24*time.Hour)}
	for _, tt := range []struct {
		name           string
		live, restored []payment.Payment
		table, cluster backuptypes.RestoreValidationStatus
		message        string
	}{
		{"the same", base, base, "SUCCESSFUL", "SUCCESSFUL", "all 4 payments are there, and no other. Compared: all accepted from 2026-11-20T20:00:00Z to 2026-11-22T02:00:00Z. Sums: USD 10.00"},
		{"still on their way", append(slices.Clone(base), later), base, "SUCCESSFUL", "SUCCESSFUL", "all 4 payments"},
		{"tests alone", []payment.Payment{test}, []payment.Payment{test}, "SUCCESSFUL", "SUCCESSFUL", "all 1 payments are there, and no other. Compared: all accepted from 2026-11-22T01:00:00Z to 2026-11-22T02:00:00Z. Sums: no money"},
		{"a new deployment", nil, nil, "SUCCESSFUL", "SUCCESSFUL", "nothing was compared: no payment was ever accepted before 2026-11-22T02:00:00Z, in the live table as in the copy"},
		{"a deployment of the last hours", []payment.Payment{later}, nil, "SUCCESSFUL", "SUCCESSFUL", "nothing was compared: no payment was ever accepted before"},
		{"one missing", base, base[1:], "FAILED", "FAILED", "of 4 payments, 1 are missing, 0 have another amount, 0 another Region or time, 0 cannot be read; 0 are nowhere in the live table. " +
			"They were accepted from 2026-11-22T01:50:00Z to 2026-11-22T02:00:00Z. Compared: all accepted from 2026-11-20T20:00:00Z to 2026-11-22T02:00:00Z. Live: 4, USD 10.00; restored: 3, USD 9.00"},
		{"missing some hours before", base, append(slices.Clone(base[:2]), base[3]), "FAILED", "FAILED", "They were accepted from 2026-11-21T21:00:00Z to 2026-11-21T21:10:00Z"},
		{"missing more than a day before", base, base[:3], "FAILED", "FAILED", "1 are missing"},
		{"restored empty", base, nil, "FAILED", "FAILED", "the copy is empty: it has no payment accepted before 2026-11-22T02:00:00Z, and the live table has them from 2026-11-20T20:00:00Z on"},
		{"restored empty, with no payment on the last day", old, nil, "FAILED", "FAILED", "the copy is empty: it has no payment accepted before 2026-11-22T02:00:00Z, and the live table has them from 2026-09-23T02:00:00Z on"},
		{"restored empty, but for what is not judged", base, []payment.Payment{later}, "FAILED", "FAILED", "the copy is empty"},
		{"restored with the last day alone", append(slices.Clone(old), base...), base[:3], "FAILED", "FAILED", "of 6 payments, 3 are missing, 0 have another amount, 0 another Region or time, 0 cannot be read; 0 are nowhere in the live table. They were accepted from 2026-09-23T02:00:00Z to 2026-11-20T20:10:00Z"},
		{"the live table emptied", nil, old, "FAILED", "FAILED", "of 0 payments, 0 are missing, 0 have another amount, 0 another Region or time, 0 cannot be read; 2 are nowhere in the live table"},
		{"the live table with the last day alone", base, append(slices.Clone(old), base...), "FAILED", "FAILED", "2 are nowhere in the live table. They were accepted from 2026-09-23T02:00:00Z"},
		{"another amount", base, append([]payment.Payment{accepted(t, "a", "1.01", 10*time.Minute)}, base[1:]...), "FAILED", "FAILED", "0 are missing, 1 have another amount"},
		{"nobody's", base, append(slices.Clone(base), accepted(t, "x", "9.99", 20*time.Minute)), "FAILED", "FAILED", "1 are nowhere in the live table"},
		{"another Region", base, append([]payment.Payment{moved}, base[1:]...), "FAILED", "FAILED", "1 another Region or time"},
		// A table is a copy; a ledger of an eventually consistent table may have another Region.
		{"another Region" + eventual, base, append([]payment.Payment{moved}, base[1:]...), "FAILED", "SUCCESSFUL", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for kind, want := range map[string]backuptypes.RestoreValidationStatus{"DynamoDB": tt.table, "Aurora": tt.cluster} {
				c := newCloud(kind)
				c.instance = "available"
				restored := newSide(tt.restored...)
				check := newCheck(c, newSide(tt.live...), restored)
				if strings.HasSuffix(tt.name, eventual) {
					check.Replica = "us-east-1"
				}
				verdict := run(t, check, false)
				if verdict.Status != want || !strings.Contains(verdict.Message, tt.message) || verdict.Pending || verdict.Recorded {
					t.Errorf("%s: %+v", kind, verdict)
				}
				if len(c.verdicts) != 1 || c.verdicts[0].ValidationStatus != want || *c.verdicts[0].ValidationStatusMessage != verdict.Message || *c.verdicts[0].RestoreJobId != "job" {
					t.Errorf("%s: recorded %+v", kind, c.verdicts)
				}
				calls := []string{"open " + tableName, "verdict"}
				if kind == "Aurora" {
					calls = []string{"open restored.example:3306", "delete", "verdict"}
				}
				if !slices.Equal(c.calls, calls) || restored.closed != (kind == "Aurora") {
					t.Errorf("%s: calls %v, want %v; closed %v", kind, c.calls, calls, restored.closed)
				}
				// Asked again, it knows.
				if again := run(t, check, false); !again.Recorded || again.Status != want || len(c.verdicts) != 1 {
					t.Errorf("%s: again %+v", kind, again)
				}
			}
		})
	}
}

func TestAClusterGetsAnInstanceFirst(t *testing.T) {
	c := newCloud("Aurora")
	c.clusterStatus = "creating"
	check := newCheck(c, newSide(accepted(t, "a", "1.00", time.Minute)), newSide(accepted(t, "a", "1.00", time.Minute)))
	if verdict := run(t, check, false); !verdict.Pending || len(c.calls) != 0 {
		t.Errorf("%+v, calls %v", verdict, c.calls)
	}
	c.clusterStatus = "available"
	for range 3 { // made once
		if verdict := run(t, check, false); !verdict.Pending || verdict.Message != "the restored cluster's instance is creating" {
			t.Errorf("%+v", verdict)
		}
	}
	if !slices.Equal(c.calls, []string{"create"}) {
		t.Errorf("calls %v", c.calls)
	}
	in := c.created
	if *in.DBInstanceIdentifier != instanceName || *in.DBClusterIdentifier != clusterName || *in.DBInstanceClass != "db.r5.large" || *in.PubliclyAccessible ||
		len(in.Tags) != 1 || *in.Tags[0].Key != "awsbackup-restore-test" {
		t.Errorf("created %+v", in)
	}
	c.instance = "available"
	if verdict := run(t, check, false); verdict.Status != "SUCCESSFUL" || !slices.Equal(c.calls, []string{"create", "open restored.example:3306", "delete", "verdict"}) {
		t.Errorf("%+v, calls %v", verdict, c.calls)
	}
}

func TestTheLastTimeThereIsAVerdict(t *testing.T) {
	c := newCloud("Aurora")
	c.instance = "incompatible-network"
	check := newCheck(c, newSide(), newSide())
	if verdict := run(t, check, true); verdict.Status != "TIMED_OUT" || !strings.Contains(verdict.Message, "incompatible-network") {
		t.Errorf("%+v", verdict)
	}
	if !slices.Equal(c.calls, []string{"delete", "verdict"}) {
		t.Errorf("calls %v", c.calls)
	}

	c = newCloud("Aurora")
	c.instance, c.err["open"] = "available", errors.New("access denied for user")
	check = newCheck(c, newSide(), newSide())
	if verdict, err := check.Run(t.Context(), "job", false); !errors.Is(err, c.err["open"]) || verdict.Status != "" || len(c.verdicts) != 0 {
		t.Errorf("%+v, %v", verdict, err)
	}
	if verdict := run(t, check, true); verdict.Status != "FAILED" || !strings.Contains(verdict.Message, "could not be compared: open restored ledger: access denied") {
		t.Errorf("%+v", verdict)
	}
	// An instance that cannot be deleted delays the verdict, and the last time does not keep it back.
	c = newCloud("Aurora")
	c.instance, c.err["delete"] = "available", errors.New("throttled")
	check = newCheck(c, newSide(), newSide())
	if _, err := check.Run(t.Context(), "job", false); !errors.Is(err, c.err["delete"]) || len(c.verdicts) != 0 {
		t.Errorf("error %v, verdicts %v", err, c.verdicts)
	}
	if _, err := check.Run(t.Context(), "job", true); !errors.Is(err, c.err["delete"]) || len(c.verdicts) != 1 {
		t.Errorf("error %v, verdicts %v", err, c.verdicts)
	}
	for _, gone := range []error{&rdstypes.DBInstanceNotFoundFault{}, &rdstypes.InvalidDBInstanceStateFault{}} {
		c = newCloud("Aurora")
		c.instance, c.err["delete"] = "available", gone
		if verdict := run(t, newCheck(c, newSide(), newSide()), false); verdict.Status != "SUCCESSFUL" {
			t.Errorf("%T: %+v", gone, verdict)
		}
	}
}

func TestNobodyElsesDataAreTouched(t *testing.T) {
	for name, change := range map[string]func(*cloud){
		"a restore that is no test":  func(c *cloud) { c.job.CreatedBy = nil },
		"a restore that is not done": func(c *cloud) { c.job.Status = backuptypes.RestoreJobStatusRunning },
		"the live table": func(c *cloud) {
			c.job.CreatedResourceArn = aws.String("arn:aws:dynamodb:us-east-1:111122223333:table/payment-dev-sessions")
		},
		"the live cluster": func(c *cloud) {
			c.job.CreatedResourceArn = aws.String("arn:aws:rds:us-east-1:111122223333:cluster:payment-dev-us-east-1")
		},
		"no resource":                 func(c *cloud) { c.job.CreatedResourceArn = nil },
		"a point of no time":          func(c *cloud) { c.job.RecoveryPointCreationDate = nil },
		"a job that is not described": func(c *cloud) { c.err["describe job"] = errors.New("throttled") },
	} {
		for _, last := range []bool{false, true} {
			c := newCloud("DynamoDB")
			change(c)
			if _, err := newCheck(c, newSide(), newSide()).Run(t.Context(), "job", last); err == nil || len(c.calls) != 0 {
				t.Errorf("%s: error %v, calls %v", name, err, c.calls)
			}
		}
	}
}

// each is a payment every so often, through a time that ends with what is compared; the newest comes first.
func each(t *testing.T, interval, through time.Duration) (payments []payment.Payment) {
	t.Helper()
	for before := interval / 2; before < through; before += interval {
		payments = append(payments, accepted(t, before.String(), "1.00", before))
	}
	return payments
}

func TestAnHourIsMissingLongAgo(t *testing.T) {
	const day = 24 * time.Hour
	live := each(t, 10*time.Minute, 8*day)
	var restored []payment.Payment
	for _, p := range live {
		if before := point.Add(-2 * time.Hour).Sub(p.Timestamp); before < 7*day || before > 7*day+time.Hour {
			restored = append(restored, p)
		}
	}
	verdict := run(t, newCheck(newCloud("DynamoDB"), newSide(live...), newSide(restored...)), false)
	if want := "of 1152 payments, 6 are missing, 0 have another amount, 0 another Region or time, 0 cannot be read; 0 are nowhere in the live table. " +
		"They were accepted from 2026-11-15T01:00:00Z to 2026-11-15T02:00:00Z. Compared: all accepted from 2026-11-14T02:00:00Z to 2026-11-22T02:00:00Z. " +
		"Live: 1152, USD 1152.00; restored: 1146, USD 1146.00"; verdict.Status != "FAILED" || verdict.Message != want {
		t.Errorf("%+v", verdict)
	}
}

// within checks with a little more time than what is kept in reserve.
func within(t *testing.T, check restorecheck.Check, rest time.Duration) (restorecheck.Verdict, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), restorecheck.Reserve+rest)
	defer cancel()
	return check.Run(ctx, "job", false)
}

func TestComparesAsFarAsTimeAllows(t *testing.T) {
	const years = 3 * 365 * 24 * time.Hour
	both := each(t, 26*time.Hour, years)
	c, live := newCloud("Aurora"), newSide(both...)
	c.instance, live.slow = "available", 2*time.Millisecond
	verdict, err := within(t, newCheck(c, live, newSide(both...)), 2*time.Second)
	if err != nil || verdict.Status != "SUCCESSFUL" || len(c.verdicts) != 1 {
		t.Fatalf("%+v, %v", verdict, err)
	}
	var payments, spread, of, rest int
	var from, until, begin string
	parts := strings.NewReplacer(",", "", ". ", " ").Replace(verdict.Message)
	if _, err := fmt.Sscanf(parts, "all %d payments are there and no other Compared: all accepted from %s to %s and %d of the %d stretches of 10 minutes before that spread evenly from %s on Not compared: the other %d Sums:",
		&payments, &from, &until, &spread, &of, &begin, &rest); err != nil {
		t.Fatalf("%s: %v", verdict.Message, err)
	}
	// By turns from the end and all over: about as many of these as of those.
	newest, err := time.Parse(time.RFC3339, from)
	if err != nil || until != "2026-11-22T02:00:00Z" || begin != "2023-11-23T09:00:00Z" || payments < 2 || spread+rest != of {
		t.Errorf("%s: %v", verdict.Message, err)
	}
	if together := int(point.Add(-2*time.Hour).Sub(newest) / (10 * time.Minute)); spread < together/2 || together < spread/2 || spread < 50 || rest < 100_000 {
		t.Errorf("%d from the end, %d spread, %d not compared", together, spread, rest)
	}
	if first, second := live.asked[1], live.asked[2]; !first.To.Equal(point.Add(-2*time.Hour)) || second.From.Format(time.RFC3339) != begin {
		t.Errorf("asked first for %v, then for %v", first, second)
	}
	var gap time.Duration
	live.asked = live.asked[1:] // how busy it is
	slices.SortFunc(live.asked, func(a, b reconcile.Window) int { return a.From.Compare(b.From) })
	for i, asked := range live.asked[1:] {
		gap = max(gap, asked.From.Sub(live.asked[i].From))
	}
	if gap > 2*years/time.Duration(spread) {
		t.Errorf("%d are spread over three years, and %v are between two of them", spread, gap)
	}

	// It lacks a year of the three.
	c = newCloud("DynamoDB")
	lost := slices.Concat(both[:300], both[600:])
	if verdict, err = within(t, newCheck(c, live, newSide(lost...)), 2*time.Second); err != nil || verdict.Status != "FAILED" || !strings.Contains(verdict.Message, "Not compared: the other ") {
		t.Errorf("%+v, %v", verdict, err)
	}
	// Not even time for the newest and the oldest: no verdict.
	for _, slow := range []time.Duration{150 * time.Millisecond, time.Second} {
		c, live.slow = newCloud("DynamoDB"), slow
		if verdict, err = within(t, newCheck(c, live, newSide(both...)), 200*time.Millisecond); !errors.Is(err, context.DeadlineExceeded) || len(c.verdicts) != 0 {
			t.Errorf("%v: %+v, %v", slow, verdict, err)
		}
	}
}

// TestABusyTableIsLookedIntoInManyPlaces has more payments in ten minutes than are compared at a time.
func TestABusyTableIsLookedIntoInManyPlaces(t *testing.T) {
	for _, tt := range []struct {
		each time.Duration
		want string
	}{
		{150 * time.Millisecond, "of 10 minutes"},
		{50 * time.Millisecond, "of 2 minutes"},
		{10 * time.Millisecond, "of 30 seconds"},
		{time.Millisecond, "of 10 seconds"},
	} {
		c := newCloud("DynamoDB")
		both := append(each(t, tt.each, 11*time.Second), accepted(t, "old", "1.00", 600*24*time.Hour))
		live := newSide(both...)
		live.slow = 10 * time.Millisecond
		verdict, err := within(t, newCheck(c, live, newSide(both...)), 500*time.Millisecond)
		if err != nil || verdict.Status != "SUCCESSFUL" || !strings.Contains(verdict.Message, " stretches "+tt.want+" before that") {
			t.Errorf("%v: %+v, %v", tt.each, verdict, err)
		}
	}
}

func TestNothingIsKnownOfItsAge(t *testing.T) {
	for _, which := range []string{"live", "restored"} {
		c := newCloud("DynamoDB")
		sides := map[string]*side{"live": newSide(accepted(t, "a", "1.00", time.Minute)), "restored": newSide(accepted(t, "a", "1.00", time.Minute))}
		sides[which].err = errors.New("throttled")
		verdict, err := newCheck(c, sides["live"], sides["restored"]).Run(t.Context(), "job", false)
		if !errors.Is(err, sides[which].err) || !strings.HasPrefix(err.Error(), which+": ") || len(c.verdicts) != 0 {
			t.Errorf("%s: %+v, %v", which, verdict, err)
		}
	}
}

func TestLongNamesAndMessages(t *testing.T) {
	c := newCloud("Aurora")
	long := restorecheck.NamePrefix + strings.Repeat("x", 37) + "-yz" // 63 characters, and the 61st a hyphen
	c.job.CreatedResourceArn = aws.String("arn:aws:rds:us-east-1:111122223333:cluster:" + long)
	run(t, newCheck(c, newSide(), newSide()), false)
	if name := *c.created.DBInstanceIdentifier; len(name) > 63 || strings.Contains(name, "--") || !strings.HasPrefix(name, restorecheck.NamePrefix) {
		t.Errorf("instance %s", name)
	}
	c = newCloud("DynamoDB")
	live := newSide()
	live.err = errors.New(strings.Repeat("ä", 2000))
	run(t, newCheck(c, live, newSide()), true)
	if n := len([]rune(*c.verdicts[0].ValidationStatusMessage)); n != 500 {
		t.Errorf("a message of %d characters", n)
	}
}
