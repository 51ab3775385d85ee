// Package sessiontable is the DynamoDB table that accepts payments: one conditional write is the acceptance.
package sessiontable

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go"

	"payments-dr/internal/payment"
)

// RequestDeadline ends a request of the API whose table does not answer, long before API Gateway would, so that the client can try
// again while its own patience lasts. In an outage of the table each request holds a processor for as long.
const RequestDeadline = 5 * time.Second

const (
	// attemptTimeout bounds one attempt, connecting included. A strongly consistent write waits for a second Region and is
	// done in some 100 ms; a table that says nothing for a second is not going to.
	attemptTimeout = time.Second
	// maxAttempts bounds the attempts of one call.
	maxAttempts = 4
	maxBackoff  = 200 * time.Millisecond
)

// API is what the table needs of the DynamoDB client.
type API interface {
	PutItem(context.Context, *dynamodb.PutItemInput, ...func(*dynamodb.Options)) (*dynamodb.PutItemOutput, error)
	GetItem(context.Context, *dynamodb.GetItemInput, ...func(*dynamodb.Options)) (*dynamodb.GetItemOutput, error)
	Query(context.Context, *dynamodb.QueryInput, ...func(*dynamodb.Options)) (*dynamodb.QueryOutput, error)
	Scan(context.Context, *dynamodb.ScanInput, ...func(*dynamodb.Options)) (*dynamodb.ScanOutput, error)
	BatchGetItem(context.Context, *dynamodb.BatchGetItemInput, ...func(*dynamodb.Options)) (*dynamodb.BatchGetItemOutput, error)
}

var _ API = (*dynamodb.Client)(nil)

// Table is one Region's replica of the session table. Its methods return *payment.Error for all that a client may be told;
// any other error is a fault of ours. It may be used concurrently.
type Table struct {
	client API
	name   string
}

// New is the table of a name behind a client.
func New(client API, name string) *Table { return &Table{client: client, name: name} }

// NewClient makes a client whose calls end in seconds, whatever the table does.
func NewClient(config aws.Config) *dynamodb.Client {
	return dynamodb.NewFromConfig(config, func(o *dynamodb.Options) {
		o.HTTPClient = awshttp.NewBuildableClient().WithTimeout(attemptTimeout)
		o.Retryer = retry.AddWithErrorCodes(retry.NewStandard(func(s *retry.StandardOptions) {
			s.MaxAttempts = maxAttempts
			s.MaxBackoff = maxBackoff
		}),
			// The item is being written in another Region at this moment: "can be retried" ("How DynamoDB global tables work",
			// Amazon DynamoDB Developer Guide). The SDK does not do it by itself.
			(*types.ReplicatedWriteConflictException)(nil).ErrorCode())
	})
}

// Accept writes a payment if no payment has its identity, and returns the payment as it stands in the table. replayed tells
// that the same payment was there before. A payment of another amount or currency under the same identity is an error of
// payment.CodeConflict; a table that cannot be written is one of payment.CodeUnavailable.
func (t *Table) Accept(ctx context.Context, p payment.Payment) (accepted payment.Payment, replayed bool, err error) {
	_, err = t.client.PutItem(ctx, &dynamodb.PutItemInput{
		TableName:                           &t.name,
		Item:                                marshal(p),
		ConditionExpression:                 aws.String("attribute_not_exists(" + payment.AttributeSessionID + ")"),
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	})
	if err == nil {
		return p, false, nil
	}
	taken, ok := errors.AsType[*types.ConditionalCheckFailedException](err)
	if !ok {
		return payment.Payment{}, false, classify("write payment", err)
	}
	existing, err := t.existing(ctx, taken, p.Identity)
	if err != nil {
		return payment.Payment{}, false, err
	}
	if !existing.SameMoney(p) {
		return payment.Payment{}, false, &payment.Error{
			Code: payment.CodeConflict, Message: "a payment with this session_id and transaction_id has another amount or currency",
		}
	}
	// The very acceptance that this call asked for: an attempt had succeeded and only its answer was lost.
	return existing, !existing.Equal(p), nil
}

// existing is the payment whose presence refused a write. The refusal carries it; not every implementation of the API does
// that, so that it is read otherwise.
func (t *Table) existing(ctx context.Context, taken *types.ConditionalCheckFailedException, id payment.Identity) (payment.Payment, error) {
	if len(taken.Item) > 0 {
		return Unmarshal(taken.Item)
	}
	p, err := t.Get(ctx, id)
	if known, ok := errors.AsType[*payment.Error](err); ok && known.Code == payment.CodeNotFound {
		return p, unavailable(errors.New("read the payment that is there: it is gone"))
	}
	return p, err
}

// Get reads one payment, strongly consistent. An identity that no payment has is an error of payment.CodeNotFound.
func (t *Table) Get(ctx context.Context, id payment.Identity) (payment.Payment, error) {
	out, err := t.client.GetItem(ctx, &dynamodb.GetItemInput{
		TableName: &t.name, Key: key(id.SessionID, id.TransactionID), ConsistentRead: aws.Bool(true),
	})
	if err != nil {
		return payment.Payment{}, classify("read payment", err)
	}
	if len(out.Item) == 0 {
		return payment.Payment{}, &payment.Error{Code: payment.CodeNotFound, Message: "no such payment"}
	}
	return Unmarshal(out.Item)
}

// List reads up to limit payments of a session in the order of their transaction ids, strongly consistent, starting behind
// the transaction id after (empty: at the beginning). more tells that there are others behind the last. A session without a
// payment is an error of payment.CodeNotFound. A payment that cannot be read has a Fault.
func (t *Table) List(ctx context.Context, sessionID, after string, limit int) (payments []payment.Payment, more bool, err error) {
	in := &dynamodb.QueryInput{
		TableName:                 &t.name,
		KeyConditionExpression:    aws.String(payment.AttributeSessionID + " = :session"),
		ExpressionAttributeValues: map[string]types.AttributeValue{":session": text(sessionID)},
		ConsistentRead:            aws.Bool(true),
		Limit:                     aws.Int32(int32(limit)),
	}
	if after != "" {
		in.ExclusiveStartKey = key(sessionID, after)
	}
	out, err := t.client.Query(ctx, in)
	if err != nil {
		return nil, false, classify("read session", err)
	}
	for _, item := range out.Items {
		payments = append(payments, payment.Read(values(item)))
	}
	if len(payments) == 0 && after == "" {
		return nil, false, &payment.Error{Code: payment.CodeNotFound, Message: "no such session"}
	}
	return payments, len(out.LastEvaluatedKey) > 0, nil
}

// probeSession is the partition of the health probes. No payment can be there: its id is a control character.
const probeSession = "\x01"

// The attributes of a probe's item, both in nanoseconds since 1970. It has no status, so nothing takes it for a payment.
const (
	// attributeProbe is when the last probe succeeded.
	attributeProbe = "probe"
	// attributeSince is when probes succeeded again after an interruption. An item without it has seen none.
	attributeSince = "since"
)

// Probe reads the Region's item and writes it again, as a payment is written: the table takes payments in this Region. It returns
// since when probes have succeeded without an interruption, which is a time between two successful probes that is longer than
// interruption. The zero time means that there has been none.
func (t *Table) Probe(ctx context.Context, region string, at time.Time, interruption time.Duration) (since time.Time, err error) {
	item := key(probeSession, region)
	out, err := t.client.GetItem(ctx, &dynamodb.GetItemInput{TableName: &t.name, Key: item, ConsistentRead: aws.Bool(true)})
	if err != nil {
		return time.Time{}, classify("read probe", err)
	}
	last, since := nanoseconds(out.Item[attributeProbe]), nanoseconds(out.Item[attributeSince])
	if !last.IsZero() && at.Sub(last) > interruption {
		since = at
	}
	item[attributeProbe] = number(at)
	if !since.IsZero() {
		item[attributeSince] = number(since)
	}
	if _, err := t.client.PutItem(ctx, &dynamodb.PutItemInput{TableName: &t.name, Item: item}); err != nil {
		return time.Time{}, classify("write probe", err)
	}
	return since, nil
}

func number(at time.Time) types.AttributeValue {
	return &types.AttributeValueMemberN{Value: strconv.FormatInt(at.UnixNano(), 10)}
}

// nanoseconds is the time of an attribute; the zero time if there is none.
func nanoseconds(value types.AttributeValue) time.Time {
	written, ok := value.(*types.AttributeValueMemberN)
	if !ok {
		return time.Time{}
	}
	since, err := strconv.ParseInt(written.Value, 10, 64)
	if err != nil {
		return time.Time{}
	}
	return time.Unix(0, since)
}

func key(sessionID, transactionID string) map[string]types.AttributeValue {
	return map[string]types.AttributeValue{
		payment.AttributeSessionID:     text(sessionID),
		payment.AttributeTransactionID: text(transactionID),
	}
}

func text(s string) types.AttributeValue { return &types.AttributeValueMemberS{Value: s} }

func marshal(p payment.Payment) map[string]types.AttributeValue {
	item := map[string]types.AttributeValue{payment.AttributeAcceptedBucket: text(acceptedBucket(p.Timestamp, shardOf(p.Identity)))}
	for name, value := range p.Values() {
		item[name] = text(value)
	}
	return item
}

// IsPayment reports whether an item of the table is a payment and not a health probe.
func IsPayment(item map[string]types.AttributeValue) bool {
	_, ok := item[payment.AttributeAcceptedBucket]
	return ok
}

// Unmarshal reads a payment from its item. Only payments that Accept wrote are expected, so its error is not a *payment.Error,
// which a client would see.
func Unmarshal(item map[string]types.AttributeValue) (payment.Payment, error) {
	p, err := payment.Parse(values(item))
	if err != nil {
		return payment.Payment{}, fmt.Errorf("read item: %v", err)
	}
	return p, nil
}

// values are an item's attributes that are strings.
func values(item map[string]types.AttributeValue) payment.Values {
	values := make(payment.Values, len(item))
	for name, value := range item {
		if text, ok := value.(*types.AttributeValueMemberS); ok {
			values[name] = text.Value
		}
	}
	return values
}

// classify tells a table that cannot serve at the moment, which is everything from a refused connection to a missing
// permission, from a request that no table would take, which is a fault of ours.
func classify(operation string, err error) error {
	err = fmt.Errorf("%s: %w", operation, err)
	if refused, ok := errors.AsType[smithy.APIError](err); ok {
		switch refused.ErrorCode() {
		case "ValidationException", "SerializationException", "ItemCollectionSizeLimitExceededException":
			return err
		}
	}
	return unavailable(err)
}

func unavailable(err error) error {
	return &payment.Error{Code: payment.CodeUnavailable, Message: "payments cannot be taken at the moment; send the same request again", Err: err}
}
