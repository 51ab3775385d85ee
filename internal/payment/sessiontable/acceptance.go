package sessiontable

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"golang.org/x/sync/errgroup"

	"payments-dr/internal/payment"
)

// The table's index by acceptance time. Its partition key is payment.AttributeAcceptedBucket, its sort key
// payment.AttributeTimestamp, and it projects all attributes. Only payments are in it: no other item has the partition key.
const (
	IndexByAcceptance = "by-acceptance"
	// AcceptanceBucket is how much time one partition key of the index covers.
	AcceptanceBucket = 10 * time.Minute
	// AcceptanceShards is how many partition keys share the payments of one bucket. All payments of a moment go to one
	// bucket, and one partition takes 1,000 write units a second; a new on-demand table has partitions for 4,000 and grows
	// with its traffic ("Understanding DynamoDB warm throughput in different scenarios", Amazon DynamoDB Developer Guide).
	// A payment's item is under 1 KB and costs one unit, so that a grown index of 16 shards holds 16,000 payments a second,
	// for the whole ten minutes. It matters to the acceptance itself: a table refuses writes that its index cannot follow
	// ("Understanding Global Secondary Index (GSI) write throttling and back pressure in DynamoDB", same guide).
	//
	// Neither constant may change while there are payments in the table: they would be looked for where they are not.
	AcceptanceShards = 16
)

const (
	// bucketLayout is how a partition key of the index begins.
	bucketLayout = "2006-01-02T15:04Z"
	// pageSize bounds the payments of one page of the index, and with it the memory of a reader.
	pageSize = 1000
	// batchGetKeys is how many keys one BatchGetItem takes ("BatchGetItem", Amazon DynamoDB API Reference).
	batchGetKeys = 100
)

// The patience of NewBatchClient.
const (
	batchAttemptTimeout = 10 * time.Second
	batchMaxAttempts    = 10
	batchMaxBackoff     = 5 * time.Second
	// The waits for keys that BatchGetItem left unread for want of throughput.
	unreadMinBackoff  = 50 * time.Millisecond
	unreadMaxAttempts = 10
)

// NewBatchClient makes a client for work that no request waits for. It sits out throttling and a table that is away for some
// seconds, where NewClient gives up.
func NewBatchClient(config aws.Config) *dynamodb.Client {
	return dynamodb.NewFromConfig(config, func(o *dynamodb.Options) {
		o.HTTPClient = awshttp.NewBuildableClient().WithTimeout(batchAttemptTimeout)
		o.Retryer = retry.NewStandard(func(s *retry.StandardOptions) {
			s.MaxAttempts = batchMaxAttempts
			s.MaxBackoff = batchMaxBackoff
			// The default stops all retries for a while after some hundred: right for a service, wrong for one job.
			s.RateLimiter = ratelimit.None
		})
	})
}

// Window reads every payment accepted from from (inclusive) to to (exclusive) through the index by acceptance time, and hands
// them to fn in pages of at most 1,000. fn is never called twice at once; a page is fn's own. The order is none across pages.
// concurrency (at least 1) is how many partitions of the index are read at once, and bounds the pages in memory.
//
// The index follows the table with a delay, usually below a second ("Using Global Secondary Indexes in DynamoDB", Amazon
// DynamoDB Developer Guide: its reads are eventually consistent), so that to should be a minute ago or more.
//
// A payment that cannot be read has a Fault. The error is fn's, the context's, or says that the table could not be read; it is
// none that a client is told.
func (t *Table) Window(ctx context.Context, from, to time.Time, concurrency int, fn func([]payment.Payment) error) error {
	if concurrency < 1 {
		return fmt.Errorf("read window: concurrency is %d; allowed is 1 or more", concurrency)
	}
	// Timestamps are whole microseconds, so the first that is not before a moment is the moment rounded up.
	first, behind := roundUp(from), roundUp(to)
	group, running := errgroup.WithContext(ctx)
	group.SetLimit(concurrency)
	var one sync.Mutex // held during fn
	serialised := func(page []payment.Payment) error {
		one.Lock()
		defer one.Unlock()
		if err := running.Err(); err != nil {
			return err
		}
		return fn(page)
	}
	for bucket := first.Truncate(AcceptanceBucket); bucket.Before(behind) && running.Err() == nil; bucket = bucket.Add(AcceptanceBucket) {
		for shard := range AcceptanceShards {
			key := acceptedBucket(bucket, shard)
			group.Go(func() error { return t.partition(running, key, first, behind.Add(-time.Microsecond), serialised) })
		}
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return ctx.Err()
}

// partition reads one partition of the index from first to last, both inclusive.
func (t *Table) partition(ctx context.Context, key string, first, last time.Time, fn func([]payment.Payment) error) error {
	pages := dynamodb.NewQueryPaginator(t.client, &dynamodb.QueryInput{
		TableName:              &t.name,
		IndexName:              aws.String(IndexByAcceptance),
		KeyConditionExpression: aws.String("#bucket = :bucket AND #timestamp BETWEEN :first AND :last"),
		ExpressionAttributeNames: map[string]string{
			"#bucket": payment.AttributeAcceptedBucket, "#timestamp": payment.AttributeTimestamp, // timestamp is a reserved word
		},
		ExpressionAttributeValues: map[string]types.AttributeValue{
			":bucket": text(key),
			":first":  text(first.Format(payment.TimestampLayout)),
			":last":   text(last.Format(payment.TimestampLayout)),
		},
		Limit: aws.Int32(pageSize),
	})
	for pages.HasMorePages() {
		out, err := pages.NextPage(ctx)
		if err != nil {
			return fmt.Errorf("read payments accepted in %s: %w", key, err)
		}
		if len(out.Items) == 0 {
			continue
		}
		page := make([]payment.Payment, len(out.Items))
		for i, item := range out.Items {
			page[i] = payment.Read(values(item))
		}
		if err := fn(page); err != nil {
			return err
		}
	}
	return nil
}

// Find reads the payments of some identities, strongly consistent. Identities that no payment has are not in the map, and a payment
// that cannot be read has a Fault. The error is the context's or says that the table could not be read; it is none that a client
// is told.
func (t *Table) Find(ctx context.Context, ids []payment.Identity) (map[payment.Identity]payment.Payment, error) {
	found := make(map[payment.Identity]payment.Payment, len(ids))
	wanted := make(map[payment.Identity]bool, len(ids))
	var keys []map[string]types.AttributeValue
	for _, id := range ids {
		if !wanted[id] { // a key given twice is refused
			wanted[id] = true
			keys = append(keys, key(id.SessionID, id.TransactionID))
		}
	}
	backoff := unreadMinBackoff
	for attempt := 1; len(keys) > 0; {
		batch := keys[:min(len(keys), batchGetKeys)]
		out, err := t.client.BatchGetItem(ctx, &dynamodb.BatchGetItemInput{
			RequestItems: map[string]types.KeysAndAttributes{t.name: {Keys: batch, ConsistentRead: aws.Bool(true)}},
		})
		if err != nil {
			return nil, fmt.Errorf("find payments: %w", err)
		}
		for _, item := range out.Responses[t.name] {
			p := payment.Read(values(item))
			found[p.Identity] = p
		}
		unread := out.UnprocessedKeys[t.name].Keys
		keys = append(keys[len(batch):], unread...)
		if len(unread) < len(batch) { // some were read
			attempt, backoff = 1, unreadMinBackoff
		}
		if len(unread) == 0 {
			continue
		}
		if attempt++; attempt > unreadMaxAttempts {
			return nil, errors.New("find payments: the table leaves keys unread for want of throughput")
		}
		select {
		case <-time.After(backoff):
		case <-ctx.Done():
			return nil, fmt.Errorf("find payments: %w", ctx.Err())
		}
		backoff = min(2*backoff, batchMaxBackoff)
	}
	return found, nil
}

// acceptedBucket is the partition key that a payment accepted at a moment has in the index.
func acceptedBucket(at time.Time, shard int) string {
	return fmt.Sprintf("%s#%02d", at.UTC().Truncate(AcceptanceBucket).Format(bucketLayout), shard)
}

// shardOf is the shard of an identity, for ever the same. FNV-1a spreads well and is fixed by its specification.
func shardOf(id payment.Identity) int {
	h := fnv.New64a()
	// The length keeps ("a", "bc") and ("ab", "c") apart.
	_, _ = h.Write(binary.BigEndian.AppendUint32(nil, uint32(len(id.SessionID))))
	_, _ = h.Write([]byte(id.SessionID))
	_, _ = h.Write([]byte(id.TransactionID))
	sum := h.Sum64()
	return int((sum ^ sum>>32) % AcceptanceShards) // the low bits of FNV alone mix less
}

// roundUp is the first whole microsecond that is not before t, in UTC.
func roundUp(t time.Time) time.Time {
	down := t.UTC().Truncate(time.Microsecond)
	if down.Before(t) {
		return down.Add(time.Microsecond)
	}
	return down
}
