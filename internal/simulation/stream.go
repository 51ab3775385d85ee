package simulation

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"strconv"
	"sync"

	"github.com/aws/aws-lambda-go/events"
)

// StreamConfig configures the stream of a table's replica.
type StreamConfig struct {
	ARN    string
	Region string
	// Shards is how many there are, all the time; 0 is one.
	Shards int
	Clock  Clock
}

// Stream simulates the stream of one Region's replica: each change of an item once, the changes of one item in their order,
// sequence numbers that increase within a shard ("Change data capture for DynamoDB Streams", Amazon DynamoDB Developer
// Guide). It may be used concurrently.
type Stream struct {
	config  StreamConfig
	clock   Clock
	changes signal
	mu      sync.Mutex
	shards  [][]events.DynamoDBEventRecord
	count   int
}

// NewStream is an empty stream.
func NewStream(config StreamConfig) *Stream {
	return &Stream{config: config, clock: orReal(config.Clock), shards: make([][]events.DynamoDBEventRecord, max(config.Shards, 1))}
}

// Append adds a change. The stream gives it what is the stream's own: Region, ARN, ids and time.
func (s *Stream) Append(name events.DynamoDBOperationType, keys, newImage, oldImage map[string]events.DynamoDBAttributeValue) error {
	key, err := json.Marshal(keys)
	if err != nil {
		return fmt.Errorf("append record: %w", err)
	}
	hash := fnv.New32a()
	_, _ = hash.Write(key)
	s.mu.Lock()
	shard := int(hash.Sum32()) % len(s.shards)
	s.count++
	s.shards[shard] = append(s.shards[shard], events.DynamoDBEventRecord{
		AWSRegion: s.config.Region, EventID: fmt.Sprintf("%032x", s.count), EventName: string(name), EventSource: "aws:dynamodb",
		EventVersion: "1.1", EventSourceArn: s.config.ARN,
		Change: events.DynamoDBStreamRecord{
			ApproximateCreationDateTime: events.SecondsEpochTime{Time: s.clock.Now()}, Keys: keys, NewImage: newImage, OldImage: oldImage,
			SequenceNumber: fmt.Sprintf("1%020d", s.count), SizeBytes: int64(len(key)), StreamViewType: string(events.DynamoDBStreamViewTypeNewAndOldImages),
		},
	})
	s.mu.Unlock()
	s.changes.changed()
	return nil
}

// Records are all records of all shards.
func (s *Stream) Records() []events.DynamoDBEventRecord {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []events.DynamoDBEventRecord
	for _, shard := range s.shards {
		all = append(all, shard...)
	}
	return all
}

// read returns the records of a shard from a position on.
func (s *Stream) read(shard, position int) []events.DynamoDBEventRecord {
	s.mu.Lock()
	defer s.mu.Unlock()
	records := s.shards[shard]
	return records[position:len(records):len(records)]
}

func shardID(shard int) string { return "shardId-" + strconv.Itoa(shard) }
