package sessiontable

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"golang.org/x/sync/errgroup"

	"payments-dr/internal/payment"
)

const (
	// oldestSegments is in how many places Oldest looks into the index, and oldestPage how many payments it reads in each. DynamoDB
	// divides a scan's segments by the hash of the partition key, so that each place is a random ten minutes of the whole age,
	// whatever the load was then. The earliest of 256 of them is on average five days from the beginning of three years.
	oldestSegments = 256
	oldestPage     = 100
	// oldestQuiet is how long there has to be no payment before the earliest one. The canary makes one a minute.
	oldestQuiet = 24 * time.Hour
)

// Oldest is when the earliest of the payments that were accepted before a moment was accepted, and whether there is any.
//
// No key has all payments in their order. Oldest therefore samples the index by acceptance time all over, and goes back from
// the earliest in the sample until there was none for a day. That there is none at all is certain: Oldest then has read the
// whole index. Its reads are eventually consistent, so that before should be a minute ago or more.
//
// The error says that the table could not be read. It is not for clients.
func (t *Table) Oldest(ctx context.Context, before time.Time) (oldest time.Time, found bool, err error) {
	before = roundUp(before)
	whole := true // the sample is the whole index
	var one sync.Mutex
	see := func(at time.Time, rest bool) {
		one.Lock()
		defer one.Unlock()
		if !found || at.Before(oldest) {
			oldest, found = at, true
		}
		whole = whole && !rest
	}
	group, running := errgroup.WithContext(ctx)
	group.SetLimit(AcceptanceShards)
	for segment := range oldestSegments {
		group.Go(func() error {
			at, ok, rest, err := t.sample(running, segment, before)
			if ok {
				see(at, rest)
			}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return time.Time{}, false, fmt.Errorf("look for the oldest payment: %w", err)
	}
	if !found || whole {
		return oldest, found, nil
	}
	for bucket := oldest.Truncate(AcceptanceBucket); oldest.Sub(bucket) < oldestQuiet+AcceptanceBucket; bucket = bucket.Add(-AcceptanceBucket) {
		group, running := errgroup.WithContext(ctx)
		for shard := range AcceptanceShards {
			group.Go(func() error {
				at, ok, err := t.first(running, acceptedBucket(bucket, shard), before)
				if ok {
					see(at, true)
				}
				return err
			})
		}
		if err := group.Wait(); err != nil {
			return time.Time{}, false, fmt.Errorf("look for the oldest payment: %w", err)
		}
	}
	return oldest, true, nil
}

// sample reads a segment of the index up to the page that has a payment accepted before a moment, and returns the earliest of that
// page. rest tells that there is more behind it.
func (t *Table) sample(ctx context.Context, segment int, before time.Time) (earliest time.Time, found, rest bool, err error) {
	pages := dynamodb.NewScanPaginator(t.client, &dynamodb.ScanInput{
		TableName: &t.name, IndexName: aws.String(IndexByAcceptance),
		Segment: aws.Int32(int32(segment)), TotalSegments: aws.Int32(oldestSegments), Limit: aws.Int32(oldestPage),
		ProjectionExpression:     aws.String("#timestamp"),
		ExpressionAttributeNames: map[string]string{"#timestamp": payment.AttributeTimestamp}, // a reserved word
	})
	for pages.HasMorePages() && !found {
		out, err := pages.NextPage(ctx)
		if err != nil {
			return time.Time{}, false, false, err
		}
		for _, item := range out.Items {
			if at, ok := acceptedAt(item); ok && at.Before(before) && (!found || at.Before(earliest)) {
				earliest, found = at, true
			}
		}
	}
	return earliest, found, pages.HasMorePages(), nil
}

// first is when the earliest payment of a partition of the index was accepted, if it was before a moment.
func (t *Table) first(ctx context.Context, key string, before time.Time) (at time.Time, found bool, err error) {
	out, err := t.client.Query(ctx, &dynamodb.QueryInput{
		TableName: &t.name, IndexName: aws.String(IndexByAcceptance), Limit: aws.Int32(1),
		KeyConditionExpression:   aws.String("#bucket = :bucket AND #timestamp < :before"),
		ProjectionExpression:     aws.String("#timestamp"),
		ExpressionAttributeNames: map[string]string{"#bucket": payment.AttributeAcceptedBucket, "#timestamp": payment.AttributeTimestamp},
		ExpressionAttributeValues: map[string]types.AttributeValue{
			":bucket": text(key), ":before": text(before.Format(payment.TimestampLayout)),
		},
	})
	if err != nil || len(out.Items) == 0 {
		return time.Time{}, false, err
	}
	at, found = acceptedAt(out.Items[0])
	return at, found, nil
}

// acceptedAt is an item's time of acceptance. An item whose time cannot be read belongs to no window either.
func acceptedAt(item map[string]types.AttributeValue) (time.Time, bool) {
	at, err := time.Parse(payment.TimestampLayout, values(item)[payment.AttributeTimestamp])
	return at.UTC(), err == nil
}
