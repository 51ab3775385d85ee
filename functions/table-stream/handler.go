package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go"

	"payments-dr/internal/payment/customresource"
)

// The pause between two looks at the table grows from minPause to maxPause.
const (
	minPause = 2 * time.Second
	maxPause = 20 * time.Second
)

// tableClient is what the handler needs of DynamoDB.
type tableClient interface {
	dynamodb.DescribeTableAPIClient
	UpdateTable(context.Context, *dynamodb.UpdateTableInput, ...func(*dynamodb.Options)) (*dynamodb.UpdateTableOutput, error)
}

var _ tableClient = (*dynamodb.Client)(nil)

// stream is what the custom resource asks for: a stream of one view type on one table.
type stream struct {
	TableName      string
	StreamViewType types.StreamViewType
}

type handler struct {
	tables tableClient
	logger *slog.Logger
}

// handle enables the stream on Create and Update if it is not enabled, and returns its StreamArn as data.
func (h *handler) handle(ctx context.Context, event customresource.Event) (customresource.Response, error) {
	var want stream
	if err := json.Unmarshal(event.ResourceProperties, &want); err != nil {
		return customresource.Response{}, fmt.Errorf("read properties: %w", err)
	}
	if want.TableName == "" || want.StreamViewType == "" {
		return customresource.Response{}, fmt.Errorf("read properties: TableName is %q and StreamViewType is %q; both are required", want.TableName, want.StreamViewType)
	}
	return customresource.Handle(ctx, event, want.TableName, func(ctx context.Context) (map[string]string, error) {
		arn, err := h.enable(ctx, want)
		if err != nil {
			return nil, fmt.Errorf("enable the stream of table %s: %w", want.TableName, err)
		}
		h.logger.LogAttrs(ctx, slog.LevelInfo, "stream", slog.String("arn", arn))
		return map[string]string{"StreamArn": arn}, nil
	})
}

// enable waits until the table is active and has the stream, and returns the stream's ARN. It waits as long as ctx allows.
//
// It may start in the middle of other changes: another request updates the table, another deployment enables the same stream, or
// DescribeTable, which is eventually consistent, does not show the last UpdateTable yet. Then it waits and looks again.
func (h *handler) enable(ctx context.Context, want stream) (string, error) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return "", errors.New("the invocation has no deadline")
	}
	waitingFor := ""
	waiter := dynamodb.NewTableExistsWaiter(h.tables, func(o *dynamodb.TableExistsWaiterOptions) {
		o.MinDelay, o.MaxDelay = minPause, maxPause
		o.Retryable = func(ctx context.Context, _ *dynamodb.DescribeTableInput, out *dynamodb.DescribeTableOutput, err error) (bool, error) {
			if err == nil {
				waitingFor, err = h.step(ctx, want, out.Table)
			}
			return waitingFor != "", err
		}
	})
	out, err := waiter.WaitForOutput(ctx, &dynamodb.DescribeTableInput{TableName: &want.TableName}, time.Until(deadline))
	if _, missing := errors.AsType[*types.ResourceNotFoundException](err); missing {
		return "", fmt.Errorf("this Region has no replica of the table; deploy the stack that creates it first: %w", err)
	}
	if err != nil && waitingFor != "" {
		return "", fmt.Errorf("wait for %s: %w", waitingFor, err)
	}
	if err != nil {
		return "", err
	}
	return aws.ToString(out.Table.LatestStreamArn), nil
}

// step enables the stream if the table has none and is not being changed. It returns what there is to wait for, or "" if the table is
// active and has the stream. A stream that was disabled keeps its ARN in the description, so the ARN alone says nothing.
func (h *handler) step(ctx context.Context, want stream, table *types.TableDescription) (waitingFor string, err error) {
	current := table.StreamSpecification
	enabled := current != nil && aws.ToBool(current.StreamEnabled)
	if enabled && current.StreamViewType != want.StreamViewType {
		return "", fmt.Errorf("the table has a stream of the view type %s; allowed is %s: disable that stream and deploy again",
			current.StreamViewType, want.StreamViewType)
	}
	switch table.TableStatus {
	case types.TableStatusActive:
	case types.TableStatusCreating, types.TableStatusUpdating:
		return "the table, whose status is " + string(table.TableStatus), nil
	default:
		return "", fmt.Errorf("the table's status is %s; allowed are ACTIVE, and CREATING and UPDATING for a while", table.TableStatus)
	}
	if enabled {
		return "", nil
	}
	_, err = h.tables.UpdateTable(ctx, &dynamodb.UpdateTableInput{
		TableName:           &want.TableName,
		StreamSpecification: &types.StreamSpecification{StreamEnabled: aws.Bool(true), StreamViewType: want.StreamViewType},
	})
	if err == nil {
		return "the stream, which was just enabled", nil
	}
	if refusal, ok := errors.AsType[smithy.APIError](err); ok && passes(refusal) {
		return "the table: " + refusal.ErrorMessage(), nil
	}
	return "", err
}

// passes reports whether a refusal of UpdateTable is a matter of time: another change of this table, too many changes of tables in the
// account ("UpdateTable", Amazon DynamoDB API Reference), or another deployment that enabled the stream since the last look. The API
// has no error type for the last one; the text is what others have seen (terraform-provider-aws issue 18402).
func passes(refusal smithy.APIError) bool {
	switch refusal.ErrorCode() {
	case "ResourceInUseException", "LimitExceededException":
		return true
	case "ValidationException":
		return strings.Contains(refusal.ErrorMessage(), "already has an enabled stream")
	}
	return false
}
