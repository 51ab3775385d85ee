package restore

import (
	"context"
	"errors"
	"fmt"
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
	copies[types.TableDescription]
	client TableAPI
}

// NewTable is the copies of a table. client is DynamoDB's in the Region.
func NewTable(client TableAPI, table string, patience Patience) Table {
	t := Table{client: client}
	t.copies = copies[types.TableDescription]{
		live: table, kind: "table", Patience: patience,
		lookUp: t.lookUp, list: t.list, remove: t.remove,
		tell: func(table *types.TableDescription) Copy {
			told := Copy{Name: aws.ToString(table.TableName), Status: string(table.TableStatus)}
			// DynamoDB notes on a restored table what it was made of.
			if made := table.RestoreSummary; made != nil && made.RestoreDateTime != nil && len(table.Replicas) == 0 {
				_, told.Source, _ = strings.Cut(aws.ToString(made.SourceTableArn), ":table/")
				told.Moment = made.RestoreDateTime.UTC().Truncate(time.Second)
			}
			return told
		},
		window: func(ctx context.Context) (earliest, latest *time.Time, err error) {
			out, err := client.DescribeContinuousBackups(ctx, &dynamodb.DescribeContinuousBackupsInput{TableName: &table})
			if err != nil {
				return nil, nil, fmt.Errorf("describe backups of table %s: %w", table, err)
			}
			backups := out.ContinuousBackupsDescription
			if backups == nil || backups.PointInTimeRecoveryDescription == nil ||
				backups.PointInTimeRecoveryDescription.PointInTimeRecoveryStatus != types.PointInTimeRecoveryStatusEnabled {
				return nil, nil, nil
			}
			return backups.PointInTimeRecoveryDescription.EarliestRestorableDateTime, backups.PointInTimeRecoveryDescription.LatestRestorableDateTime, nil
		},
		restore: func(ctx context.Context, p Plan) (taken bool, err error) {
			_, err = client.RestoreTableToPointInTime(ctx, &dynamodb.RestoreTableToPointInTimeInput{
				SourceTableName: &p.Source, TargetTableName: &p.Name, RestoreDateTime: &p.Moment,
			})
			_, there := errors.AsType[*types.TableAlreadyExistsException](err)
			_, inUse := errors.AsType[*types.TableInUseException](err)
			return there || inUse, err
		},
	}
	return t
}

func (t Table) list(ctx context.Context, prefix string) ([]*types.TableDescription, error) {
	var found []*types.TableDescription
	pages := dynamodb.NewListTablesPaginator(t.client, &dynamodb.ListTablesInput{})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("list tables: %w", err)
		}
		for _, name := range page.TableNames {
			if !strings.HasPrefix(name, prefix) {
				continue
			}
			table, err := t.lookUp(ctx, name)
			if err != nil {
				return nil, err
			}
			if table != nil { // else it is gone meanwhile
				found = append(found, table)
			}
		}
	}
	return found, nil
}

// Wait waits for a copy that was started, its indexes included, and returns its ARN. Its name is the plan's.
func (t Table) Wait(ctx context.Context, p Plan) (arn string, err error) {
	table, err := t.wait(ctx, p, func(table *types.TableDescription) (string, bool, error) {
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
	if err != nil {
		return "", err
	}
	return aws.ToString(table.TableArn), nil
}

func (t Table) remove(ctx context.Context, table *types.TableDescription) error {
	_, err := t.client.DeleteTable(ctx, &dynamodb.DeleteTableInput{TableName: table.TableName})
	_, gone := errors.AsType[*types.ResourceNotFoundException](err)
	if err != nil && !gone && table.TableStatus != types.TableStatusDeleting {
		return fmt.Errorf("delete table %s: %w", aws.ToString(table.TableName), err)
	}
	return nil
}

// lookUp is a table, nil if there is none.
func (t Table) lookUp(ctx context.Context, name string) (*types.TableDescription, error) {
	out, err := t.client.DescribeTable(ctx, &dynamodb.DescribeTableInput{TableName: &name})
	if _, none := errors.AsType[*types.ResourceNotFoundException](err); none {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("describe table %s: %w", name, err)
	}
	return out.Table, nil
}
