// Package restorecheck looks into what a restore test of AWS Backup has restored, compares it with the payments that the live
// session table has, and tells AWS Backup the verdict.
//
// A restored table is compared with the live one, payment by payment and both ways. A restored cluster comes without instances
// ("Restoring an Amazon Aurora cluster", AWS Backup Developer Guide), so it gets one first, which takes some ten minutes: Run
// then says that it is to be asked again. The ledger in it is compared with the live table, as the reconciliation does.
// Nothing is written to either side.
package restorecheck

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/arn"
	"github.com/aws/aws-sdk-go-v2/service/backup"
	backuptypes "github.com/aws/aws-sdk-go-v2/service/backup/types"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	rdstypes "github.com/aws/aws-sdk-go-v2/service/rds/types"

	"payments-dr/internal/payment/reconcile"
)

// NamePrefix is how AWS Backup begins the names of what it restores for a test ("Restore testing inferred metadata", AWS Backup
// Developer Guide).
const NamePrefix = "awsbackup-restore-test-"

// Tag is the key that AWS Backup tags it with, and by which its own role may remove it (the policy
// AWSServiceRolePolicyForBackupRestoreTesting). The instance carries it too, so that it does not outlive a check that died.
const Tag = "awsbackup-restore-test"

const (
	// settle is how long before the recovery point the comparison begins to look back: the ledger is behind the table by a
	// queue, and what that has lost the hourly reconciliation brings.
	settle = 2 * time.Hour
	// step is how much is compared at a time, and lookback how far back in all.
	step, lookback = time.Hour, 24 * time.Hour
	// enough payments make going further back pointless.
	enough = 50_000
	// reserve is what has to be left of the time to begin with another step.
	reserve = 3 * time.Minute
)

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

// Ledger is a restored ledger, open.
type Ledger interface {
	reconcile.Reader
	io.Closer
}

// Check is how restored resources are looked into.
type Check struct {
	Backup   BackupAPI
	Clusters ClusterAPI
	// Live is the Region's own session table.
	Live reconcile.Table
	// Table is the session table of a name, Ledger the one in a cluster.
	Table  func(name string) reconcile.Table
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
	return c.compare(ctx, reconcile.Copy(c.Table(name)), at, true)
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
	return c.compare(ctx, reconcile.ReadOnly(ledger), at, false)
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

// compare looks for the payments of the live table in what was restored, and the other way round, an hour at a time and the latest
// first, until there were enough of them, a day is through, or time runs short. copied tells that both sides are of one kind, so
// that they have to be the same in everything.
func (c Check) compare(ctx context.Context, restored reconcile.Ledger, at time.Time, copied bool) (Verdict, error) {
	end := at.Add(-settle).Truncate(time.Second)
	from, compared := end, 0
	for from.After(end.Add(-lookback)) && compared < enough {
		if deadline, ok := ctx.Deadline(); ok && from.Before(end) && time.Until(deadline) < reserve {
			break
		}
		window := reconcile.Window{From: from.Add(-step), To: from}
		report, err := reconcile.Run(ctx, c.Live, restored, window, reconcile.Options{DryRun: true})
		if err != nil {
			if from.Before(end) && ctx.Err() != nil {
				break // what was compared stands
			}
			return Verdict{}, err
		}
		if n := report.Counts; !report.Clean() || copied && n.Differing > 0 {
			return Verdict{Status: backuptypes.RestoreValidationStatusFailed, Message: fmt.Sprintf(
				"of %d payments accepted from %s to %s, %d are missing, %d have another amount, %d another Region or time, %d cannot be read; %d are nowhere in the live table",
				n.Table, window.From.Format(time.RFC3339), window.To.Format(time.RFC3339), n.Missing, n.Conflicting, n.Differing, n.Unreadable, n.Unaccounted)}, nil
		}
		from, compared = window.From, compared+report.Counts.Table
	}
	verdict := Verdict{Status: backuptypes.RestoreValidationStatusSuccessful}
	verdict.Message = fmt.Sprintf("all %d payments accepted from %s to %s are there, and no other", compared, from.Format(time.RFC3339), end.Format(time.RFC3339))
	if compared == 0 {
		verdict.Message = fmt.Sprintf("restored and readable; no payment was accepted from %s to %s, so that none could be compared", from.Format(time.RFC3339), end.Format(time.RFC3339))
	}
	return verdict, nil
}

// shortened keeps a message to what a status line may hold.
func shortened(message string) string {
	const most = 500
	if runes := []rune(message); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return message
}
