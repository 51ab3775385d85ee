package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/arn"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

// mostEntries is how many messages one call can change ("ChangeMessageVisibilityBatch", Amazon SQS API Reference).
const mostEntries = 10

// hider hides messages of a queue, by its ARN, for a time from now. A message that cannot be hidden shows again after the queue's own
// visibility timeout.
func hider(client *sqs.Client) func(ctx context.Context, queueARN string, receipts []string, pause time.Duration) error {
	return func(ctx context.Context, queueARN string, receipts []string, pause time.Duration) error {
		queue, err := arn.Parse(queueARN)
		if err != nil {
			return fmt.Errorf("read the queue's ARN: %w", err)
		}
		// "Amazon SQS queue and message identifiers", Amazon SQS Developer Guide.
		url := "https://sqs." + queue.Region + ".amazonaws.com/" + queue.AccountID + "/" + queue.Resource
		var failures []error
		for some := range slices.Chunk(receipts, mostEntries) {
			entries := make([]types.ChangeMessageVisibilityBatchRequestEntry, len(some))
			for i, receipt := range some {
				entries[i] = types.ChangeMessageVisibilityBatchRequestEntry{
					Id: aws.String(strconv.Itoa(i)), ReceiptHandle: &receipt, VisibilityTimeout: int32(pause.Seconds()),
				}
			}
			out, err := client.ChangeMessageVisibilityBatch(ctx, &sqs.ChangeMessageVisibilityBatchInput{QueueUrl: &url, Entries: entries})
			if err != nil {
				return fmt.Errorf("change visibility: %w", err)
			}
			for _, failed := range out.Failed {
				failures = append(failures, fmt.Errorf("change visibility: %s", aws.ToString(failed.Code)))
			}
		}
		return errors.Join(failures...)
	}
}
