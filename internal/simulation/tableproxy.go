package simulation

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"hash/fnv"
	"io"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-lambda-go/events"
)

// tableTarget begins the name of an operation of DynamoDB on the wire.
const tableTarget = "DynamoDB_20120810."

// passedOperations are those that change no item.
var passedOperations = []string{
	"BatchGetItem", "CreateTable", "DeleteTable", "DescribeTable", "GetItem", "ListTables", "Query", "Scan",
}

// upstreamTimeout bounds one call of the API behind the proxy.
const upstreamTimeout = 10 * time.Second

// TableFault is what happens to a call instead of its answer.
type TableFault struct {
	// Status and Code are the answer, such as 400 and "ReplicatedWriteConflictException"; a Status of 0 cuts the connection.
	Status int
	Code   string
	// Written is whether the operation is done all the same.
	Written bool
}

// TableProxyConfig configures a global table.
type TableProxyConfig struct {
	// Endpoint is the DynamoDB API that holds the items.
	Endpoint string
	// Keys are the table's key attributes.
	Keys []string
	// Streams are the replicas' streams by Region.
	Streams map[string]*Stream
	// Fault is asked about each call of a Region, with the operation's name; nil lets it pass.
	Fault func(ctx context.Context, region, operation string) *TableFault
}

// TableProxy simulates the replicas of a global table with strong multi-Region consistency in front of one real DynamoDB API:
// all replicas have the same items, and each write is in every replica's stream, once ("Global tables: multi-active,
// multi-Region replication" and "Change data capture for DynamoDB Streams", Amazon DynamoDB Developer Guide). A write that
// changes nothing is in no stream (same page). Items are compared as they are written: to DynamoDB the number 1.0 is 1 and a
// set has no order, so that here a stream may have a MODIFY too many, which is harder on the functions, and never one too few.
// Items are written with PutItem only; any other write is refused.
//
// The API itself tells with each write what was there before, so that an item that is new is one INSERT, whoever else writes
// it at the same time. What the API wrote without being able to answer is lost for the streams; the API is in memory beside
// the proxy.
type TableProxy struct {
	config TableProxyConfig
	client *http.Client
	// locks keep the records of one item in the order of its writes; an item's is chosen by its key.
	locks [64]sync.Mutex
	// written is told each write that has changed an item, before the item's next one; nil: nobody.
	written func(put)
}

// put is a PutItem that was done.
type put struct {
	call       *http.Request
	body       map[string]json.RawMessage
	keys, item map[string]events.DynamoDBAttributeValue
}

// NewTableProxy is a proxy whose replicas are served by Replica.
func NewTableProxy(config TableProxyConfig) *TableProxy {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = 64
	return &TableProxy{config: config, client: &http.Client{Transport: transport, Timeout: upstreamTimeout}}
}

// Close drops the connections to the API.
func (p *TableProxy) Close() { p.client.CloseIdleConnections() }

// Wait waits for nothing: a write is in every replica when it is acknowledged.
func (p *TableProxy) Wait(context.Context) error { return nil }

// reply is an answer of the API.
type reply struct {
	status int
	header http.Header
	body   []byte
}

// Replica serves the DynamoDB API of one Region's replica.
func (p *TableProxy) Replica(region string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		operation, _ := strings.CutPrefix(r.Header.Get("X-Amz-Target"), tableTarget)
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // the caller is gone
		}
		var fault *TableFault
		if p.config.Fault != nil {
			fault = p.config.Fault(r.Context(), region, operation)
		}
		if fault != nil && !fault.Written {
			answerFault(w, fault)
			return
		}
		// A write goes on when its caller has gone: otherwise nobody would know whether it is in the streams.
		ctx := context.WithoutCancel(r.Context())
		var answer *reply
		switch {
		case operation == "PutItem":
			answer, err = p.put(ctx, r, body)
		case slices.Contains(passedOperations, operation):
			answer, err = p.forward(ctx, r, body)
		default:
			answer = failure(http.StatusBadRequest, "UnknownOperationException", operation+" is not simulated")
		}
		if err != nil {
			answer = failure(http.StatusInternalServerError, "InternalServerError", err.Error())
		}
		if fault != nil {
			answerFault(w, fault)
			return
		}
		answer.write(w)
	})
}

// put forwards a PutItem, and puts what it changed into the streams.
func (p *TableProxy) put(ctx context.Context, r *http.Request, body []byte) (*reply, error) {
	var request map[string]json.RawMessage
	if err := json.Unmarshal(body, &request); err != nil {
		return failure(http.StatusBadRequest, "SerializationException", err.Error()), nil
	}
	var item map[string]events.DynamoDBAttributeValue
	if err := json.Unmarshal(request["Item"], &item); err != nil {
		return failure(http.StatusBadRequest, "SerializationException", err.Error()), nil
	}
	keys := map[string]events.DynamoDBAttributeValue{}
	for _, name := range p.config.Keys {
		keys[name] = item[name]
	}
	asked := string(request["ReturnValues"])
	request["ReturnValues"] = json.RawMessage(`"ALL_OLD"`)
	changed, err := json.Marshal(request)
	if err != nil {
		return nil, fmt.Errorf("write request: %w", err)
	}
	lock, err := p.lock(keys)
	if err != nil {
		return failure(http.StatusBadRequest, "ValidationException", err.Error()), nil
	}
	lock.Lock()
	defer lock.Unlock()
	answer, err := p.forward(ctx, r, changed)
	if err != nil || answer.status != http.StatusOK {
		return answer, err
	}
	result, old, err := readOld(answer)
	if err != nil {
		return nil, err
	}
	changes, err := p.record(keys, item, old)
	if err != nil {
		return nil, err
	}
	if changes && p.written != nil {
		p.written(put{r, request, keys, item})
	}
	if asked != `"ALL_OLD"` {
		delete(result, "Attributes")
		if answer.body, err = json.Marshal(result); err != nil {
			return nil, fmt.Errorf("write answer: %w", err)
		}
	}
	return answer, nil
}

// lock is the lock of an item.
func (p *TableProxy) lock(keys map[string]events.DynamoDBAttributeValue) (*sync.Mutex, error) {
	for name, value := range keys {
		if value.DataType() != events.DataTypeString {
			return nil, fmt.Errorf("key %s is no string", name)
		}
	}
	hash := fnv.New32a()
	for _, name := range p.config.Keys {
		_, _ = io.WriteString(hash, keys[name].String()+"\x00")
	}
	return &p.locks[hash.Sum32()%uint32(len(p.locks))], nil
}

// readOld reads an answer to a PutItem, and from it the item that was there before.
func readOld(answer *reply) (result map[string]json.RawMessage, old map[string]events.DynamoDBAttributeValue, err error) {
	if err := json.Unmarshal(answer.body, &result); err != nil {
		return nil, nil, fmt.Errorf("read answer: %w", err)
	}
	if attributes, ok := result["Attributes"]; ok {
		if err := json.Unmarshal(attributes, &old); err != nil {
			return nil, nil, fmt.Errorf("read answer: %w", err)
		}
	}
	return result, old, nil
}

// record puts a change into the streams. It returns whether it is one.
func (p *TableProxy) record(keys, item, old map[string]events.DynamoDBAttributeValue) (changes bool, err error) {
	operation := events.DynamoDBOperationTypeInsert
	if len(old) > 0 {
		operation = events.DynamoDBOperationTypeModify
		if reflect.DeepEqual(old, item) {
			return false, nil
		}
	}
	var faults []error
	for _, stream := range p.config.Streams {
		faults = append(faults, stream.Append(operation, keys, item, old))
	}
	return true, errors.Join(faults...)
}

// forward sends a call on to the API and returns its whole answer.
func (p *TableProxy) forward(ctx context.Context, r *http.Request, body []byte) (*reply, error) {
	request, err := http.NewRequestWithContext(ctx, r.Method, p.config.Endpoint+r.URL.Path, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("forward call: %w", err)
	}
	request.Header = r.Header.Clone()
	request.Header.Del("Accept-Encoding") // the transport's own is undone by the transport
	response, err := p.client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("forward call: %w", err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, fmt.Errorf("forward call: %w", err)
	}
	return &reply{status: response.StatusCode, header: response.Header, body: answer}, nil
}

func failure(status int, code, message string) *reply {
	body, _ := json.Marshal(map[string]string{"__type": "com.amazonaws.dynamodb.v20120810#" + code, "message": message}) // two strings
	return &reply{status: status, header: http.Header{"Content-Type": {"application/x-amz-json-1.0"}}, body: body}
}

func (a *reply) write(w http.ResponseWriter) {
	for name, values := range a.header {
		if name != "Content-Length" && name != "X-Amz-Crc32" {
			w.Header()[name] = values
		}
	}
	w.Header().Set("X-Amz-Crc32", strconv.FormatUint(uint64(crc32.ChecksumIEEE(a.body)), 10)) // the SDK compares
	w.WriteHeader(a.status)
	_, _ = w.Write(a.body)
}

func answerFault(w http.ResponseWriter, fault *TableFault) {
	if fault.Status == 0 {
		panic(http.ErrAbortHandler)
	}
	failure(fault.Status, fault.Code, "simulated").write(w)
}
