package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/service/backup/types"

	"payments-dr/internal/payment/restorecheck"
	"payments-dr/internal/payment/telemetry"
)

// wrapUp is what is left of an invocation's time when its work is broken off, so that it ends in an answer.
const wrapUp = 10 * time.Second

// checker is what the handler needs of a restorecheck.Check.
type checker interface {
	Run(ctx context.Context, jobID string, last bool) (restorecheck.Verdict, error)
}

var _ checker = restorecheck.Check{}

// handler checks the restore jobs of a queue. What cannot be told yet stays in the queue and comes again: the queue is what waits
// for a restored cluster's instance.
type handler struct {
	check checker
	// receives is how often the queue hands over a message before it goes to the dead-letter queue.
	receives  int
	namespace string
	logger    *slog.Logger
	now       func() time.Time
}

// handle checks the jobs of a batch. A job without a verdict stays in the queue. A verdict other than success is an error, each
// time, so that the function's errors tell of it and the message ends in the dead-letter queue.
func (h *handler) handle(ctx context.Context, event events.SQSEvent) (events.SQSEventResponse, error) {
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, deadline.Add(-wrapUp))
		defer cancel()
	}
	response := events.SQSEventResponse{BatchItemFailures: []events.SQSBatchItemFailure{}} // never null
	var failures []error
	for _, record := range event.Records {
		done, err := h.message(ctx, record)
		if err != nil {
			failures = append(failures, err)
		}
		if !done {
			response.BatchItemFailures = append(response.BatchItemFailures, events.SQSBatchItemFailure{ItemIdentifier: record.MessageId})
		}
	}
	return response, errors.Join(failures...)
}

// message checks one job. It is done when there is a verdict. The error is that of handle: a verdict of failure, or a check that
// failed and will not be tried again.
func (h *handler) message(ctx context.Context, record events.SQSMessage) (done bool, err error) {
	started := h.now()
	job, err := jobOf(record.Body)
	if err != nil {
		h.log(ctx, slog.LevelError, "", started, restorecheck.Verdict{}, err)
		return false, err
	}
	// What is not a number is a queue that does not count: as if it were the first time.
	received, _ := strconv.Atoi(record.Attributes["ApproximateReceiveCount"])
	verdict, err := h.check.Run(ctx, job, received >= h.receives)
	switch {
	case err != nil:
		h.log(ctx, slog.LevelError, job, started, verdict, err)
		if received >= h.receives {
			return false, fmt.Errorf("check restore job %s: %w", job, err)
		}
		return false, nil
	case verdict.Pending:
		h.log(ctx, slog.LevelInfo, job, started, verdict, nil)
		return false, nil
	case verdict.Status != types.RestoreValidationStatusSuccessful:
		h.log(ctx, slog.LevelError, job, started, verdict, nil)
		return false, fmt.Errorf("restore job %s: %s: %s", job, verdict.Status, verdict.Message)
	}
	h.log(ctx, slog.LevelInfo, job, started, verdict, nil)
	return true, nil
}

// jobOf is the restore job of an event of AWS Backup.
func jobOf(body string) (string, error) {
	var event struct {
		Source     string `json:"source"`
		DetailType string `json:"detail-type"`
		Detail     struct {
			RestoreJobID string `json:"restoreJobId"`
		} `json:"detail"`
	}
	if err := json.Unmarshal([]byte(body), &event); err != nil {
		return "", fmt.Errorf("read event: %w", err)
	}
	if event.Source != "aws.backup" || event.DetailType != "Restore Job State Change" || event.Detail.RestoreJobID == "" {
		return "", fmt.Errorf("read event: it is %q of %q; allowed is a Restore Job State Change of aws.backup with a job", event.DetailType, event.Source)
	}
	return event.Detail.RestoreJobID, nil
}

// log writes one line about a job. A new verdict is a metric too.
func (h *handler) log(ctx context.Context, level slog.Level, job string, started time.Time, verdict restorecheck.Verdict, err error) {
	attributes := []slog.Attr{
		slog.String("restoreJob", job),
		slog.Bool("pending", verdict.Pending),
		slog.String("status", string(verdict.Status)),
		slog.String("message", verdict.Message),
		slog.Int64("durationMs", h.now().Sub(started).Milliseconds()),
	}
	if err != nil {
		attributes = append(attributes, slog.String("error", err.Error()))
	}
	if verdict.Status != "" && !verdict.Recorded {
		metric := telemetry.MetricRestoresFailed
		if verdict.Status == types.RestoreValidationStatusSuccessful {
			metric = telemetry.MetricRestoresProven
		}
		attributes = append(attributes, telemetry.Counts(h.namespace, "validate", h.now(), metric)...)
	}
	h.logger.LogAttrs(ctx, level, "validate", attributes...)
}
