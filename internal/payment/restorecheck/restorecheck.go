// Package restorecheck looks into what a restore test of AWS Backup has restored, compares it with the payments that the live
// session table has, and tells AWS Backup the verdict.
//
// A restored table is compared with the live one, payment by payment and both ways, over the whole age of the two. A restored cluster
// comes without instances ("Restoring an Amazon Aurora cluster", AWS Backup Developer Guide), so it gets one first, which takes
// some ten minutes: Run then says that it is to be asked again. The ledger in it is compared with the live table, as the
// reconciliation does. Nothing is written to either side.
package restorecheck

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"math/bits"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/arn"
	"github.com/aws/aws-sdk-go-v2/service/backup"
	backuptypes "github.com/aws/aws-sdk-go-v2/service/backup/types"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	rdstypes "github.com/aws/aws-sdk-go-v2/service/rds/types"

	"payments-dr/internal/payment"
	"payments-dr/internal/payment/reconcile"
	"payments-dr/internal/payment/sessiontable"
)

// NamePrefix is how AWS Backup begins the names of what it restores for a test ("Restore testing inferred metadata", AWS Backup
// Developer Guide).
const NamePrefix = "awsbackup-restore-test-"

// Tag is the key that AWS Backup tags it with, and by which its own role may remove it (the policy
// AWSServiceRolePolicyForBackupRestoreTesting). The instance carries it too, so that it does not outlive a check that died.
const Tag = "awsbackup-restore-test"

const (
	// settle is how long before the recovery point the comparison ends: the ledger is behind the table by a
	// queue, and what that has lost the hourly reconciliation brings.
	settle = 2 * time.Hour
	// enough payments are compared at a time, a second's work or so, that a busy platform is looked into in many places and not in few.
	enough = 5_000
	// least is how much has to be compared for a verdict: the newest and the oldest.
	least = 2
)

// Reserve is what is left of the time when the comparison ends. It is for removing the instance and recording the verdict, which take
// seconds. The rest keeps a check whose comparison is broken off below the alarm for slow functions.
const Reserve = 150 * time.Second

// steps are what may be compared at a time: at most a bucket of the table's index, whose partitions are then read once, and parts of it.
var steps = []time.Duration{sessiontable.AcceptanceBucket, 5 * time.Minute, 2 * time.Minute, time.Minute, 30 * time.Second, shortest}

// shortest is the shortest of them.
const shortest = 10 * time.Second

// BackupAPI is what is asked of AWS Backup.
type BackupAPI interface {
	DescribeRestoreJob(context.Context, *backup.DescribeRestoreJobInput, ...func(*backup.Options)) (*backup.DescribeRestoreJobOutput, error)
	PutRestoreValidationResult(context.Context, *backup.PutRestoreValidationResultInput, ...func(*backup.Options)) (*backup.PutRestoreValidationResultOutput, error)
}

// ClusterAPI is what is asked of RDS.
type ClusterAPI interface {
	DescribeDBClusters(context.Context, *rds.DescribeDBClustersInput, ...func(*rds.Options)) (*rds.DescribeDBClustersOutput, error)
	DescribeDBInstances(context.Context, *rds.DescribeDBInstancesInput, ...func(*rds.Options)) (*rds.DescribeDBInstancesOutput, error)
	CreateDBInstance(context.Context, *rds.CreateDBInstanceInput, ...func(*rds.Options)) (*rds.CreateDBInstanceOutput, error)
	DeleteDBInstance(context.Context, *rds.DeleteDBInstanceInput, ...func(*rds.Options)) (*rds.DeleteDBInstanceOutput, error)
}

var (
	_ BackupAPI  = (*backup.Client)(nil)
	_ ClusterAPI = (*rds.Client)(nil)
)

// aged is what knows its age.
type aged interface {
	// Oldest is when the earliest of the payments that were accepted before a moment was accepted, and whether there is any.
	Oldest(ctx context.Context, before time.Time) (oldest time.Time, found bool, err error)
}

// Table is a session table, live or restored.
type Table interface {
	reconcile.Table
	aged
}

// Ledger is a restored ledger, open.
type Ledger interface {
	reconcile.Reader
	aged
	io.Closer
}

// Check is how restored resources are looked into.
type Check struct {
	Backup   BackupAPI
	Clusters ClusterAPI
	// Live is the Region's own session table.
	Live Table
	// Replica is the Region if the table is eventually consistent; see reconcile.Options.
	Replica string
	// Table is the session table of a name, Ledger the one in a cluster.
	Table  func(name string) Table
	Ledger func(host string, port int) (Ledger, error)
	// InstanceClass is the class of the instance that a restored cluster gets.
	InstanceClass string
}

// Verdict is what was found.
type Verdict struct {
	// Pending tells that nothing could be found out yet: ask again in some minutes.
	Pending bool
	// Status is SUCCESSFUL, FAILED or TIMED_OUT, as AWS Backup has it.
	Status backuptypes.RestoreValidationStatus
	// Message says what was compared and what of it is wrong, in numbers.
	Message string
	// Recorded tells that AWS Backup had a verdict before this call, which is this one.
	Recorded bool
}

// Run looks into what a restore job has restored and records the verdict; AWS Backup then removes what it restored. A job that has
// a verdict is not looked into again. last tells that nobody will ask again: what is still pending, or cannot be read, is then
// the verdict.
//
// The error says that this time nothing could be found out, or that a verdict could not be recorded.
func (c Check) Run(ctx context.Context, jobID string, last bool) (Verdict, error) {
	job, err := c.Backup.DescribeRestoreJob(ctx, &backup.DescribeRestoreJobInput{RestoreJobId: &jobID})
	if err != nil {
		return Verdict{}, fmt.Errorf("describe restore job: %w", err)
	}
	if job.CreatedBy == nil || aws.ToString(job.CreatedBy.RestoreTestingPlanArn) == "" {
		return Verdict{}, errors.New("the restore job is no test: nobody's restored data are looked into")
	}
	if job.Status != backuptypes.RestoreJobStatusCompleted {
		return Verdict{}, fmt.Errorf("the restore job is %s; allowed is %s", job.Status, backuptypes.RestoreJobStatusCompleted)
	}
	switch job.ValidationStatus {
	case "", backuptypes.RestoreValidationStatusValidating:
	default:
		return Verdict{Status: job.ValidationStatus, Message: aws.ToString(job.ValidationStatusMessage), Recorded: true}, nil
	}
	name, err := restoredName(aws.ToString(job.CreatedResourceArn))
	if err != nil {
		return Verdict{}, err
	}
	if job.RecoveryPointCreationDate == nil {
		return Verdict{}, errors.New("the restore job does not say of when its recovery point is")
	}
	look := c.table
	if aws.ToString(job.ResourceType) == "Aurora" {
		look = c.cluster
	}
	verdict, err := look(ctx, name, job.RecoveryPointCreationDate.UTC())
	switch {
	case err != nil && !last:
		return Verdict{}, err
	case err != nil:
		verdict, err = Verdict{Status: backuptypes.RestoreValidationStatusFailed, Message: "could not be compared: " + err.Error()}, nil
	case verdict.Pending && last:
		verdict = Verdict{Status: backuptypes.RestoreValidationStatusTimedOut, Message: verdict.Message}
	case verdict.Pending:
		return verdict, nil
	}
	verdict.Message = shortened(verdict.Message)
	// The instance first: AWS Backup deletes the cluster once it has the verdict, and a cluster whose instances are not being
	// deleted cannot be ("Deleting Aurora DB clusters and DB instances", Amazon Aurora User Guide).
	if aws.ToString(job.ResourceType) == "Aurora" {
		err = c.deleteInstance(ctx, instanceOf(name))
		if err != nil && !last {
			return Verdict{}, err
		}
	}
	_, recordErr := c.Backup.PutRestoreValidationResult(ctx, &backup.PutRestoreValidationResultInput{
		RestoreJobId: &jobID, ValidationStatus: verdict.Status, ValidationStatusMessage: &verdict.Message,
	})
	if recordErr != nil {
		return Verdict{}, errors.Join(err, fmt.Errorf("record verdict: %w", recordErr))
	}
	return verdict, err
}

// restoredName is the name of a restored resource. Only what a restore test has made is looked into, whatever a job says.
func restoredName(resource string) (string, error) {
	parsed, err := arn.Parse(resource)
	if err != nil {
		return "", fmt.Errorf("the restored resource is %q: %w", resource, err)
	}
	for _, kind := range []string{"table/", "cluster:"} {
		if name, ok := strings.CutPrefix(parsed.Resource, kind); ok && strings.HasPrefix(name, NamePrefix) {
			return name, nil
		}
	}
	return "", fmt.Errorf("the restored resource is %s; allowed is what is called %s…", parsed.Resource, NamePrefix)
}

func (c Check) table(ctx context.Context, name string, at time.Time) (Verdict, error) {
	table := c.Table(name)
	return c.compare(ctx, reconcile.Copy(table), table, at, true)
}

func (c Check) cluster(ctx context.Context, name string, at time.Time) (Verdict, error) {
	out, err := c.Clusters.DescribeDBClusters(ctx, &rds.DescribeDBClustersInput{DBClusterIdentifier: &name})
	if err != nil {
		return Verdict{}, fmt.Errorf("describe restored cluster: %w", err)
	}
	if len(out.DBClusters) != 1 {
		return Verdict{}, errors.New("describe restored cluster: there is none")
	}
	cluster := out.DBClusters[0]
	if status := aws.ToString(cluster.Status); status != "available" {
		return Verdict{Pending: true, Message: "the restored cluster is " + status}, nil
	}
	status, err := c.instance(ctx, cluster)
	if err != nil {
		return Verdict{}, err
	}
	if status != "available" {
		return Verdict{Pending: true, Message: "the restored cluster's instance is " + status}, nil
	}
	ledger, err := c.Ledger(aws.ToString(cluster.Endpoint), int(aws.ToInt32(cluster.Port)))
	if err != nil {
		return Verdict{}, fmt.Errorf("open restored ledger: %w", err)
	}
	defer func() { _ = ledger.Close() }() // nothing was written
	return c.compare(ctx, reconcile.ReadOnly(ledger), ledger, at, false)
}

// instanceOf is the name of the instance of a restored cluster, within RDS's 63 characters.
func instanceOf(cluster string) string {
	const most, suffix = 63, "-1"
	return strings.TrimRight(cluster[:min(len(cluster), most-len(suffix))], "-") + suffix
}

// instance is the status of the cluster's instance, which is made if there is none.
func (c Check) instance(ctx context.Context, cluster rdstypes.DBCluster) (string, error) {
	name := instanceOf(aws.ToString(cluster.DBClusterIdentifier))
	out, err := c.Clusters.DescribeDBInstances(ctx, &rds.DescribeDBInstancesInput{DBInstanceIdentifier: &name})
	if err == nil && len(out.DBInstances) == 1 {
		return aws.ToString(out.DBInstances[0].DBInstanceStatus), nil
	}
	if _, none := errors.AsType[*rdstypes.DBInstanceNotFoundFault](err); err != nil && !none {
		return "", fmt.Errorf("describe instance of restored cluster: %w", err)
	}
	_, err = c.Clusters.CreateDBInstance(ctx, &rds.CreateDBInstanceInput{
		DBInstanceIdentifier:    &name,
		DBClusterIdentifier:     cluster.DBClusterIdentifier,
		DBInstanceClass:         &c.InstanceClass,
		Engine:                  cluster.Engine,
		PubliclyAccessible:      aws.Bool(false),
		AutoMinorVersionUpgrade: aws.Bool(false),
		Tags:                    []rdstypes.Tag{{Key: aws.String(Tag), Value: aws.String("instance")}},
	})
	if _, there := errors.AsType[*rdstypes.DBInstanceAlreadyExistsFault](err); err != nil && !there {
		return "", fmt.Errorf("create instance of restored cluster: %w", err)
	}
	return "creating", nil
}

func (c Check) deleteInstance(ctx context.Context, name string) error {
	_, err := c.Clusters.DeleteDBInstance(ctx, &rds.DeleteDBInstanceInput{DBInstanceIdentifier: &name, SkipFinalSnapshot: aws.Bool(true)})
	_, gone := errors.AsType[*rdstypes.DBInstanceNotFoundFault](err)
	if _, underWay := errors.AsType[*rdstypes.InvalidDBInstanceStateFault](err); err == nil || gone || underWay {
		return nil
	}
	return fmt.Errorf("delete instance of restored cluster: %w", err)
}

// compare looks for the payments of the live table in what was restored, and the other way round, over the whole age of both: from
// the older side's oldest payment on, so that a copy that lacks its past is not taken for a young one. It works off ten minutes
// at a time, or less if these have many payments, in the order of stretches, until all is compared or time runs short. copied
// tells that both sides are of one kind, so that they have to be the same in everything.
//
// The error says that a side could not be read, or that there was not even time for the newest and the oldest stretch.
func (c Check) compare(ctx context.Context, restored reconcile.Ledger, age aged, at time.Time, copied bool) (Verdict, error) {
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, deadline.Add(-Reserve))
		defer cancel()
	}
	end := at.Add(-settle).UTC().Truncate(steps[0])
	oldest, accepted, err := c.Live.Oldest(ctx, end)
	if err != nil {
		return Verdict{}, fmt.Errorf("live: %w", err)
	}
	oldestRestored, kept, err := age.Oldest(ctx, end)
	if err != nil {
		return Verdict{}, fmt.Errorf("restored: %w", err)
	}
	switch {
	case !accepted && !kept:
		// The canary pays every minute, so that this is a deployment of the last hours, or one without a canary and a client.
		return Verdict{Status: backuptypes.RestoreValidationStatusSuccessful, Message: fmt.Sprintf(
			"nothing was compared: no payment was ever accepted before %s, in the live table as in the copy; that is right for a new deployment alone", clock(end))}, nil
	case !kept:
		return Verdict{Status: backuptypes.RestoreValidationStatusFailed, Message: fmt.Sprintf(
			"the copy is empty: it has no payment accepted before %s, and the live table has them from %s on", clock(end), clock(oldest))}, nil
	case !accepted || oldestRestored.Before(oldest):
		oldest = oldestRestored
	}
	step, err := c.step(ctx, end)
	if err != nil {
		return Verdict{}, fmt.Errorf("live: %w", err)
	}
	t := newTally(oldest, end, step, copied)
	for i := range stretches(len(t.compared)) {
		report, err := reconcile.Run(ctx, c.Live, restored, t.window(i), reconcile.Options{DryRun: true, Replica: c.Replica})
		if err != nil && ctx.Err() != nil && t.done >= least {
			break // what was compared stands
		}
		if err != nil {
			return Verdict{}, err
		}
		t.add(i, report)
	}
	return t.verdict(), nil
}

// step is how much to compare at a time, as the live table was busy before a moment.
func (c Check) step(ctx context.Context, end time.Time) (time.Duration, error) {
	count := 0
	err := c.Live.Window(ctx, end.Add(-shortest), end, sessiontable.AcceptanceShards, func(page []payment.Payment) error {
		count += len(page)
		return nil
	})
	i := slices.IndexFunc(steps, func(step time.Duration) bool { return count*int(step/shortest) <= enough })
	if i < 0 {
		return shortest, err
	}
	return steps[i], err
}

// stretches is the order in which stretches of the time are compared, each once; 0 is the oldest. By turns it takes the newest that is
// left, because a recovery needs the newest most, and the next of van der Corput's sequence, which begins with the oldest and
// divides the whole age evenly wherever it is broken off.
func stretches(count int) iter.Seq[int] {
	return func(yield func(int) bool) {
		taken := make([]bool, count)
		take := func(i int) bool {
			taken[i] = true
			return yield(i)
		}
		width := bits.Len(uint(count - 1))
		spread := uint64(0)
		for newest := count - 1; ; {
			for newest >= 0 && taken[newest] {
				newest--
			}
			if newest < 0 || !take(newest) {
				return
			}
			for ; spread < 1<<width; spread++ {
				if i := int(bits.Reverse64(spread) >> (64 - width)); i < count && !taken[i] {
					if !take(i) {
						return
					}
					break
				}
			}
		}
	}
}

// tally is what was compared, and what was found.
type tally struct {
	begin, end time.Time
	// step divides the time from begin to end evenly. compared are these stretches, the oldest first, and whether each was compared;
	// done is how many were.
	step     time.Duration
	compared []bool
	done     int
	copied   bool
	totals   reconcile.Totals
	// faulty are the stretches with a fault.
	faulty []int
}

func newTally(oldest, end time.Time, step time.Duration, copied bool) *tally {
	begin := oldest.UTC().Truncate(step)
	return &tally{begin: begin, end: end, step: step, copied: copied, compared: make([]bool, end.Sub(begin)/step)}
}

// from is where a stretch begins.
func (t *tally) from(i int) time.Time { return t.begin.Add(time.Duration(i) * t.step) }

func (t *tally) window(i int) reconcile.Window {
	return reconcile.Window{From: t.from(i), To: t.from(i + 1)}
}

func (t *tally) add(i int, report reconcile.Report) {
	t.compared[i] = true
	t.done++
	t.totals.Add(report)
	if n := report.Counts; !report.Clean() || t.copied && n.Differing+n.Late > 0 {
		t.faulty = append(t.faulty, i)
	}
}

func (t *tally) verdict() Verdict {
	n := t.totals.Counts
	switch {
	case len(t.faulty) > 0:
		first, last := t.window(slices.Min(t.faulty)), t.window(slices.Max(t.faulty))
		return Verdict{Status: backuptypes.RestoreValidationStatusFailed, Message: fmt.Sprintf(
			"of %d payments, %d are missing, %d have another amount, %d another Region or time, %d cannot be read; %d are nowhere in the live table. "+
				"They were accepted from %s to %s. Compared: %s. Live: %d, %s; restored: %d, %s",
			n.Table, n.Missing, n.Conflicting, n.Differing, n.Unreadable, n.Unaccounted, clock(first.From), clock(last.To), t.coverage(),
			n.Table, t.sums(func(s reconcile.Sum) string { return s.Table }), n.Ledger, t.sums(func(s reconcile.Sum) string { return s.Ledger }))}
	case n.Table == 0: // the oldest of them was there a moment ago
		return Verdict{Status: backuptypes.RestoreValidationStatusFailed, Message: "nothing was compared: no payment is in " + t.coverage()}
	}
	return Verdict{Status: backuptypes.RestoreValidationStatusSuccessful, Message: fmt.Sprintf("all %d payments are there, and no other. Compared: %s. Sums: %s",
		n.Table, t.coverage(), t.sums(func(s reconcile.Sum) string { return s.Table }))}
}

// coverage says what was compared, and what was not.
func (t *tally) coverage() string {
	newest := len(t.compared) // from here on, all were
	for newest > 0 && t.compared[newest-1] {
		newest--
	}
	all := fmt.Sprintf("all accepted from %s to %s", clock(t.from(newest)), clock(t.end))
	if newest == 0 {
		return all
	}
	spread := t.done - (len(t.compared) - newest)
	return fmt.Sprintf("%s, and %d of the %d stretches of %s before that, spread evenly from %s on. Not compared: the other %d",
		all, spread, newest, words(t.step), clock(t.begin), newest-spread)
}

// sums are one side's sums of money.
func (t *tally) sums(side func(reconcile.Sum) string) string {
	var sums []string
	for _, sum := range t.totals.Sums {
		sums = append(sums, sum.Currency+" "+side(sum))
	}
	if sums == nil {
		return "no money" // test payments alone
	}
	return strings.Join(sums, ", ")
}

func words(step time.Duration) string {
	if step < 2*time.Minute {
		return fmt.Sprintf("%d seconds", step/time.Second)
	}
	return fmt.Sprintf("%d minutes", step/time.Minute)
}

func clock(at time.Time) string { return at.UTC().Format(time.RFC3339) }

// shortened keeps a message to what a status line may hold.
func shortened(message string) string {
	const most = 500
	if runes := []rune(message); len(runes) > most {
		return string(runes[:most-1]) + "…"
	}
	return message
}
