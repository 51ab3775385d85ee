package restore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// TableAPI is what is asked of DynamoDB.
type TableAPI interface {
	DescribeContinuousBackups(context.Context, *dynamodb.DescribeContinuousBackupsInput, ...func(*dynamodb.Options)) (*dynamodb.DescribeContinuousBackupsOutput, error)
	RestoreTableToPointInTime(context.Context, *dynamodb.RestoreTableToPointInTimeInput, ...func(*dynamodb.Options)) (*dynamodb.RestoreTableToPointInTimeOutput, error)
	DescribeTable(context.Context, *dynamodb.DescribeTableInput, ...func(*dynamodb.Options)) (*dynamodb.DescribeTableOutput, error)
	DeleteTable(context.Context, *dynamodb.DeleteTableInput, ...func(*dynamodb.Options)) (*dynamodb.DeleteTableOutput, error)
	ListTables(context.Context, *dynamodb.ListTablesInput, ...func(*dynamodb.Options)) (*dynamodb.ListTablesOutput, error)
}

var _ TableAPI = (*dynamodb.Client)(nil)

// Table brings back a Region's replica of the session table. The copy is a table of this Region alone, with the indexes of the
// live one, and without its replica, stream, point-in-time recovery and protection ("Restoring a table to a point in time",
// Amazon DynamoDB Developer Guide).
type Table struct {
	// Client is DynamoDB's in the Region.
	Client TableAPI
	// Table is the live table's name.
	Table    string
	Patience Patience
}

// Plan checks that the table can be brought back to a moment. The error is an OutsideWindowError or a NoWindowError if not.
func (t Table) Plan(ctx context.Context, moment time.Time) (Plan, error) {
	out, err := t.Client.DescribeContinuousBackups(ctx, &dynamodb.DescribeContinuousBackupsInput{TableName: &t.Table})
	if err != nil {
		return Plan{}, fmt.Errorf("describe backups of table %s: %w", t.Table, err)
	}
	var window *types.PointInTimeRecoveryDescription
	if backups := out.ContinuousBackupsDescription; backups != nil {
		window = backups.PointInTimeRecoveryDescription
	}
	if window == nil || window.PointInTimeRecoveryStatus != types.PointInTimeRecoveryStatusEnabled ||
		window.EarliestRestorableDateTime == nil || window.LatestRestorableDateTime == nil {
		return Plan{}, &NoWindowError{t.Table}
	}
	return plan(t.Table, moment, *window.EarliestRestorableDateTime, *window.LatestRestorableDateTime)
}

// Begun reports whether the copy of a plan is there, or on its way.
func (t Table) Begun(ctx context.Context, p Plan) (bool, error) {
	found, err := t.find(ctx, p)
	return found != nil, err
}

// Copies are all that was brought back from the table and is there, in the order of their names.
func (t Table) Copies(ctx context.Context) ([]Copy, error) {
	var copies []Copy
	pages := dynamodb.NewListTablesPaginator(t.Client, &dynamodb.ListTablesInput{})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("list tables: %w", err)
		}
		for _, name := range page.TableNames {
			if !strings.HasPrefix(name, t.Table+nameMark) {
				continue
			}
			table, err := t.lookUp(ctx, name)
			if err != nil {
				return nil, err
			}
			if table == nil || table.RestoreSummary == nil || len(table.Replicas) > 0 {
				continue // gone meanwhile, or none
			}
			copies = append(copies, Copy{
				Name: name, Source: t.Table, Moment: aws.ToTime(table.RestoreSummary.RestoreDateTime).UTC().Truncate(time.Second), Status: string(table.TableStatus),
			})
		}
	}
	slices.SortFunc(copies, func(a, b Copy) int { return strings.Compare(a.Name, b.Name) })
	return copies, nil
}

// Start starts the restore, or finds that it was started before.
func (t Table) Start(ctx context.Context, p Plan) error {
	if found, err := t.find(ctx, p); err != nil || found != nil {
		return err
	}
	_, err := t.Client.RestoreTableToPointInTime(ctx, &dynamodb.RestoreTableToPointInTimeInput{
		SourceTableName: &p.Source, TargetTableName: &p.Name, RestoreDateTime: &p.Moment,
	})
	_, there := errors.AsType[*types.TableAlreadyExistsException](err)
	_, inUse := errors.AsType[*types.TableInUseException](err)
	if there || inUse { // started by another just now
		_, err = t.find(ctx, p)
		return err
	}
	if err != nil {
		return fmt.Errorf("restore table %s: %w", p.Name, err)
	}
	return nil
}

// Wait waits for a copy that was started, its indexes included, and hands it over by its ARN. Its name is the plan's.
func (t Table) Wait(ctx context.Context, p Plan) (arn string, err error) {
	err = t.Patience.until(ctx, p.Name, func() (string, bool, error) {
		table, err := t.find(ctx, p)
		if err == nil && table == nil {
			err = fmt.Errorf("wait for table %s: there is none", p.Name)
		}
		if err != nil {
			return "", false, err
		}
		arn = aws.ToString(table.TableArn)
		status := string(table.TableStatus)
		switch table.TableStatus {
		case types.TableStatusCreating, types.TableStatusUpdating:
			return status, false, nil
		case types.TableStatusActive:
		default:
			return status, false, &FailedError{Name: p.Name, Status: status}
		}
		for _, index := range table.GlobalSecondaryIndexes {
			if index.IndexStatus != types.IndexStatusActive {
				return status + ", index " + string(index.IndexStatus), false, nil
			}
		}
		return status, true, nil
	})
	return arn, err
}

// CleanUp removes a copy, by its name, and waits until it is gone. One that is gone already is no error; what is not a copy is
// left alone, with a NotACopyError.
func (t Table) CleanUp(ctx context.Context, name string) error {
	if !strings.Contains(name, nameMark) {
		return &NotACopyError{name}
	}
	table, err := t.lookUp(ctx, name)
	if err != nil || table == nil {
		return err
	}
	if table.RestoreSummary == nil || len(table.Replicas) > 0 {
		return &NotACopyError{name}
	}
	_, err = t.Client.DeleteTable(ctx, &dynamodb.DeleteTableInput{TableName: &name})
	_, gone := errors.AsType[*types.ResourceNotFoundException](err)
	if err != nil && !gone && table.TableStatus != types.TableStatusDeleting {
		return fmt.Errorf("delete table %s: %w", name, err)
	}
	return t.Patience.until(ctx, name, func() (string, bool, error) {
		table, err := t.lookUp(ctx, name)
		if err != nil || table == nil {
			return "gone", true, err
		}
		return string(table.TableStatus), false, nil
	})
}

// find is the copy of a plan, nil if there is none. DynamoDB notes on a restored table what it was made of.
func (t Table) find(ctx context.Context, p Plan) (*types.TableDescription, error) {
	table, err := t.lookUp(ctx, p.Name)
	if err != nil || table == nil {
		return nil, err
	}
	made := table.RestoreSummary
	if made == nil || made.RestoreDateTime == nil {
		return nil, &OccupiedError{Name: p.Name, Holds: "a table that was not brought back"}
	}
	_, source, _ := strings.Cut(aws.ToString(made.SourceTableArn), ":table/")
	if moment := made.RestoreDateTime.UTC().Truncate(time.Second); source != p.Source || !moment.Equal(p.Moment) {
		return nil, &OccupiedError{Name: p.Name, Holds: source + " as of " + moment.Format(time.RFC3339)}
	}
	return table, nil
}

// lookUp is a table, nil if there is none.
func (t Table) lookUp(ctx context.Context, name string) (*types.TableDescription, error) {
	out, err := t.Client.DescribeTable(ctx, &dynamodb.DescribeTableInput{TableName: &name})
	if _, none := errors.AsType[*types.ResourceNotFoundException](err); none {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("describe table %s: %w", name, err)
	}
	return out.Table, nil
}
