package operate

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/arn"
	"github.com/aws/aws-sdk-go-v2/service/backup"
	backuptypes "github.com/aws/aws-sdk-go-v2/service/backup/types"

	"payments-dr/internal/settings"
)

const (
	// BackupAge is how old the newest recovery point may be: a day, and the hour and the half day in which the next one's job may
	// start and end before AWS Backup itself calls it failed. A test holds it to the plan's rule.
	BackupAge = 37 * time.Hour
	// copyAge is that of the newest copy from the other Region. A copy begins when the recovery point is complete, and has no limit.
	copyAge = 48 * time.Hour
	// backupWindow is how far back recovery points are asked for: what is older would be wrong in any case.
	backupWindow = 8 * 24 * time.Hour
	// RestoreAge is how old the last restore test may be: a week, and as long as one takes to its verdict.
	RestoreAge = 8 * 24 * time.Hour
	// restoreWindow is how far back restore tests are asked for: two of them.
	restoreWindow = 16 * 24 * time.Hour
	// listed is the most that AWS Backup tells in one answer ("ListRecoveryPointsByBackupVault", AWS Backup API Reference). Cluster
	// and table make four recovery points a day in a vault.
	listed = 1000
)

// BackupAPI is what is asked of AWS Backup in one Region.
type BackupAPI interface {
	ListRecoveryPointsByBackupVault(context.Context, *backup.ListRecoveryPointsByBackupVaultInput, ...func(*backup.Options)) (*backup.ListRecoveryPointsByBackupVaultOutput, error)
	ListRestoreJobs(context.Context, *backup.ListRestoreJobsInput, ...func(*backup.Options)) (*backup.ListRestoreJobsOutput, error)
}

var _ BackupAPI = (*backup.Client)(nil)

// BackupVault is the name of the vault, the same in both Regions.
func BackupVault(s *settings.Settings) string { return "payment-" + s.Environment }

// RestoreTestingPlan is the name of the plan that restores recovery points to see that they can be.
func RestoreTestingPlan(s *settings.Settings) string { return "payment_" + s.Environment }

// Backups are the newest complete recovery points in a Region's vault, of the last eight days. What is nil is not there.
type Backups struct {
	// Cluster and Table are the Region's own.
	Cluster *RecoveryPoint `json:"cluster,omitempty"`
	Table   *RecoveryPoint `json:"table,omitempty"`
	// From is the other Region, and the copies are those that the vault has received from it.
	From        string         `json:"from"`
	ClusterCopy *RecoveryPoint `json:"clusterCopy,omitempty"`
	TableCopy   *RecoveryPoint `json:"tableCopy,omitempty"`
}

// RecoveryPoint is one of a vault's.
type RecoveryPoint struct {
	// At is its creation date. Whether a copy has its own or that of what it is of is not documented; copyAge leaves room for both.
	At  time.Time `json:"at"`
	ARN string    `json:"arn"`
}

// RestoreTests are a Region's last, of the last sixteen days. What is nil was not tested.
type RestoreTests struct {
	Cluster *RestoreTest `json:"cluster,omitempty"`
	Table   *RestoreTest `json:"table,omitempty"`
	// Running is how many have no verdict yet.
	Running int `json:"running,omitempty"`
}

// RestoreTest is one recovery point that was restored to see whether it can be, and looked into.
type RestoreTest struct {
	At time.Time `json:"at"`
	// Job is the restore's own end: COMPLETED, FAILED or ABORTED.
	Job string `json:"job"`
	// Verdict is of what was restored: SUCCESSFUL, FAILED or TIMED_OUT; empty if nothing was.
	Verdict string `json:"verdict,omitempty"`
	Message string `json:"message,omitempty"`
}

// Good is whether what was restored holds what was accepted.
func (r RestoreTest) Good() bool {
	return r.Verdict == string(backuptypes.RestoreValidationStatusSuccessful)
}

// String says how it ended, for people.
func (r RestoreTest) String() string {
	text := "not restored"
	switch backuptypes.RestoreValidationStatus(r.Verdict) {
	case backuptypes.RestoreValidationStatusSuccessful:
		return "whole"
	case backuptypes.RestoreValidationStatusFailed:
		text = "found wanting"
	case backuptypes.RestoreValidationStatusTimedOut:
		text = "without a verdict in time"
	}
	if r.Message != "" {
		text += " (" + r.Message + ")"
	}
	return text
}

// backups lists what a Region's vault has received lately.
func (d *Deployment) backups(ctx context.Context, region Region) (Backups, error) {
	found := Backups{From: d.other(region.Name).Name}
	name := BackupVault(d.Settings)
	pages := backup.NewListRecoveryPointsByBackupVaultPaginator(region.Backups, &backup.ListRecoveryPointsByBackupVaultInput{
		BackupVaultName: &name, ByCreatedAfter: aws.Time(d.Now().Add(-backupWindow)), MaxResults: aws.Int32(listed),
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if _, missing := errors.AsType[*backuptypes.ResourceNotFoundException](err); missing {
			return Backups{}, fmt.Errorf("%w: there is no vault %s in %s", errNotDeployed, name, region.Name)
		}
		if err != nil {
			return Backups{}, err
		}
		if page.RecoveryPoints == nil { // an empty vault has an empty list
			return Backups{}, fmt.Errorf("%w: it has no list of recovery points", errMalformed)
		}
		for _, p := range page.RecoveryPoints {
			// One that is being made or deleted cannot be restored.
			if status := p.Status; status != backuptypes.RecoveryPointStatusCompleted && status != backuptypes.RecoveryPointStatusAvailable || p.CreationDate == nil {
				continue
			}
			point := &RecoveryPoint{At: p.CreationDate.UTC(), ARN: aws.ToString(p.RecoveryPointArn)}
			for _, slot := range []struct {
				point  **RecoveryPoint
				source string
			}{
				{&found.Cluster, d.clusterOf(region.Name)}, {&found.Table, d.tableOf(region.Name)},
				{&found.ClusterCopy, d.clusterOf(found.From)}, {&found.TableCopy, d.tableOf(found.From)},
			} {
				if resource(p.ResourceArn) == slot.source && (*slot.point == nil || point.At.After((*slot.point).At)) {
					*slot.point = point
				}
			}
		}
	}
	return found, nil
}

// A recovery point names what it is of by its ARN, and a copy names the one in the other Region. The account is not compared: a
// vault holds its own account's.
func (d *Deployment) clusterOf(region string) string {
	return "rds " + region + " cluster:" + Cluster(d.Settings, region)
}
func (d *Deployment) tableOf(region string) string {
	return "dynamodb " + region + " table/payment-" + d.Settings.Environment + "-sessions"
}

func resource(name *string) string {
	parsed, err := arn.Parse(aws.ToString(name))
	if err != nil {
		return ""
	}
	return parsed.Service + " " + parsed.Region + " " + parsed.Resource
}

// restoreTests lists what a Region's restore testing plan has restored lately. The plan's ARN has a part that AWS makes up, so that
// all restores are listed and the plan's are picked out by its name.
func (d *Deployment) restoreTests(ctx context.Context, region Region) (RestoreTests, error) {
	var found RestoreTests
	plan := ":restore-testing-plan:" + RestoreTestingPlan(d.Settings) + "-"
	pages := backup.NewListRestoreJobsPaginator(region.Backups, &backup.ListRestoreJobsInput{
		ByCreatedAfter: aws.Time(d.Now().Add(-restoreWindow)), MaxResults: aws.Int32(listed),
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return RestoreTests{}, err
		}
		if page.RestoreJobs == nil {
			return RestoreTests{}, fmt.Errorf("%w: it has no list of restores", errMalformed)
		}
		for _, job := range page.RestoreJobs {
			if job.CreatedBy == nil || job.CreationDate == nil || !strings.Contains(aws.ToString(job.CreatedBy.RestoreTestingPlanArn), plan) {
				continue
			}
			test := &RestoreTest{At: job.CreationDate.UTC(), Job: string(job.Status), Verdict: string(job.ValidationStatus), Message: aws.ToString(job.ValidationStatusMessage)}
			failed := job.Status == backuptypes.RestoreJobStatusFailed || job.Status == backuptypes.RestoreJobStatusAborted
			if failed {
				test.Verdict, test.Message = "", aws.ToString(job.StatusMessage)
			} else if test.Verdict == "" || job.ValidationStatus == backuptypes.RestoreValidationStatusValidating {
				found.Running++ // until then the one before is the last one
				continue
			}
			last := &found.Cluster
			if aws.ToString(job.ResourceType) == "DynamoDB" {
				last = &found.Table
			}
			if *last == nil || test.At.After((*last).At) {
				*last = test
			}
		}
	}
	return found, nil
}

// judgeBackups tells of what is not kept, or was not tried.
func (s *Status) judgeBackups(wrong func(format string, args ...any)) {
	for _, r := range s.Regions {
		if b := r.Backups.Said; b != nil {
			for _, kept := range []struct {
				point *RecoveryPoint
				what  string
				most  time.Duration
			}{
				{b.Cluster, "backup of the cluster in " + r.Region, BackupAge}, {b.Table, "backup of the table in " + r.Region, BackupAge},
				{b.ClusterCopy, "copy of " + b.From + "'s cluster in " + r.Region, copyAge}, {b.TableCopy, "copy of " + b.From + "'s table in " + r.Region, copyAge},
			} {
				if kept.point == nil {
					wrong("there is no %s from the last %s", kept.what, short(backupWindow))
				} else if age := s.At.Sub(kept.point.At); age > kept.most {
					wrong("the newest %s is %s old, over %s", kept.what, short(age), short(kept.most))
				}
			}
		}
		if t := r.Restores.Said; t != nil {
			for _, tried := range []struct {
				test *RestoreTest
				what string
			}{{t.Cluster, "the cluster in " + r.Region}, {t.Table, "the table in " + r.Region}} {
				switch {
				case tried.test == nil:
					wrong("no restore of %s was tested for %s", tried.what, short(restoreWindow))
				case !tried.test.Good():
					wrong("the last restore test of %s, %s ago: %s", tried.what, short(s.At.Sub(tried.test.At)), tried.test)
				case s.At.Sub(tried.test.At) > RestoreAge:
					wrong("the last restore test of %s is %s old, over %s", tried.what, short(s.At.Sub(tried.test.At)), short(RestoreAge))
				}
			}
		}
	}
}

// backups shows both Regions' vaults, and what became of the last restore tests.
func (s Status) backups(t screen) {
	age := func(p *RecoveryPoint, most time.Duration) string {
		if p == nil {
			return t.paint(red, "none")
		}
		text := short(s.At.Sub(p.At))
		if s.At.Sub(p.At) > most {
			return t.paint(red, text)
		}
		return text
	}
	head := "BACKUPS"
	for _, r := range s.Regions {
		if b := r.Backups.Said; b == nil {
			t.line(head, "%-14s %s", r.Region, t.paint(yellow, "not known"))
		} else {
			t.line(head, "%-14s age: cluster %s, table %s; copies from %s: cluster %s, table %s", r.Region, age(b.Cluster, BackupAge), age(b.Table, BackupAge),
				b.From, age(b.ClusterCopy, copyAge), age(b.TableCopy, copyAge))
		}
		head = ""
	}
	tested := func(r *RestoreTest) string {
		switch {
		case r == nil:
			return t.paint(red, "not tested")
		case !r.Good():
			return t.paint(red, r.String()) + " " + short(s.At.Sub(r.At)) + " ago"
		case s.At.Sub(r.At) > RestoreAge:
			return t.paint(red, r.String()+" "+short(s.At.Sub(r.At))+" ago")
		}
		return t.paint(green, r.String()) + " " + short(s.At.Sub(r.At)) + " ago"
	}
	head = "RESTORED"
	for _, r := range s.Regions {
		if tests := r.Restores.Said; tests == nil {
			t.line(head, "%-14s %s", r.Region, t.paint(yellow, "not known"))
		} else {
			running := ""
			if tests.Running > 0 {
				running = fmt.Sprintf("; %d under way", tests.Running)
			}
			t.line(head, "%-14s cluster %s, table %s%s", r.Region, tested(tests.Cluster), tested(tests.Table), running)
		}
		head = ""
	}
}
