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
		Table: func(name string) reconcile.Table {
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
	for _, tt := range []struct {
		name           string
		live, restored []payment.Payment
		table, cluster backuptypes.RestoreValidationStatus
		message        string
	}{
		{"the same", base, base, "SUCCESSFUL", "SUCCESSFUL", "all 3 payments accepted from 2026-11-21T02:00:00Z to 2026-11-22T02:00:00Z are there, and no other"},
		{"still on their way", append(slices.Clone(base), later), base, "SUCCESSFUL", "SUCCESSFUL", "all 3 payments"},
		{"nothing there to compare", nil, nil, "SUCCESSFUL", "SUCCESSFUL", "restored and readable; no payment was accepted from 2026-11-21T02:00:00Z to 2026-11-22T02:00:00Z"},
		{"one missing", base, base[1:], "FAILED", "FAILED", "of 2 payments accepted from 2026-11-22T01:00:00Z to 2026-11-22T02:00:00Z, 1 are missing, 0 have another amount"},
		{"missing some hours before", base, append(slices.Clone(base[:2]), base[3]), "FAILED", "FAILED", "from 2026-11-21T21:00:00Z to 2026-11-21T22:00:00Z, 1 are missing"},
		{"restored empty", base, nil, "FAILED", "FAILED", "2 are missing"},
		{"another amount", base, append([]payment.Payment{accepted(t, "a", "1.01", 10*time.Minute)}, base[1:]...), "FAILED", "FAILED", "0 are missing, 1 have another amount"},
		{"nobody's", base, append(slices.Clone(base), accepted(t, "x", "9.99", 20*time.Minute)), "FAILED", "FAILED", "1 are nowhere in the live table"},
		// A table is a copy; a ledger of an eventually consistent table may have another Region.
		{"another Region", base, append([]payment.Payment{moved}, base[1:]...), "FAILED", "SUCCESSFUL", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for kind, want := range map[string]backuptypes.RestoreValidationStatus{"DynamoDB": tt.table, "Aurora": tt.cluster} {
				c := newCloud(kind)
				c.instance = "available"
				restored := newSide(tt.restored...)
				check := newCheck(c, newSide(tt.live...), restored)
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

func TestComparesAsFarAsTimeAllows(t *testing.T) {
	both := []payment.Payment{accepted(t, "a", "1.00", 10*time.Minute), accepted(t, "b", "2.00", 90*time.Minute)}
	c := newCloud("DynamoDB")
	live := newSide(both...)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute) // less than it keeps in reserve
	defer cancel()
	verdict, err := newCheck(c, live, newSide(both...)).Run(ctx, "job", false)
	if err != nil || verdict.Message != "all 1 payments accepted from 2026-11-22T01:00:00Z to 2026-11-22T02:00:00Z are there, and no other" {
		t.Errorf("%+v, %v", verdict, err)
	}
	// Not even an hour: no verdict.
	c, live.slow = newCloud("DynamoDB"), time.Second
	ctx, cancel = context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if verdict, err = newCheck(c, live, newSide(both...)).Run(ctx, "job", false); !errors.Is(err, context.DeadlineExceeded) || len(c.verdicts) != 0 {
		t.Errorf("%+v, %v", verdict, err)
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
	if n := len([]rune(*c.verdicts[0].ValidationStatusMessage)); n > 501 {
		t.Errorf("a message of %d characters", n)
	}
}
