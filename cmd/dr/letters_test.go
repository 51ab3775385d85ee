package main

import (
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"payments-dr/internal/payment"
	"payments-dr/internal/simulation/awswire"
)

// letters are the queues, the bus and the archive of the simulated deployment. A move and a replay go on by one step whenever they are
// looked at.
type letters struct {
	queues map[string][]*letter // "Region name"
	next   int
	// moves is what becomes of a move: empty, fails, waits. tasks are those that were started, by queue.
	moves string
	tasks map[string]*moveTask
	// bus is what becomes of what is put: empty, throttles (the first time), refuses.
	bus  string
	puts int
	// replays are by "Region name". replay is what becomes of one: empty, fails, waits, limit, lost with its Region.
	replays map[string]*simulatedReplay
	replay  string
	kept    bool // what is to be deleted is not
}

type letter struct {
	id, body string
	sent     time.Time
	hidden   time.Time
}

type moveTask struct {
	status     string
	moved, all int
	started    int64
	source, to string
}

type simulatedReplay struct {
	state    string
	from, to float64
	looks    int
}

var simulatedQueues = []string{"ledger", "ledger-dead-letters", "relay-failures", "undelivered-events", "canary-failures", "reconcile-failures", "undelivered-notices", "restore-validation-failures"}

func newLetters() *letters {
	l := &letters{queues: map[string][]*letter{}, tasks: map[string]*moveTask{}, replays: map[string]*simulatedReplay{}}
	for _, region := range simulatedRegions {
		for _, name := range simulatedQueues {
			l.queues[region+" payment-dev-"+name] = nil
		}
	}
	return l
}

func (l *letters) add(key, body string) {
	l.next++
	l.queues[key] = append(l.queues[key], &letter{id: "m" + strconv.Itoa(l.next), body: body, sent: time.Now().Add(-3 * time.Hour)})
}

func paymentEvent(n int) string {
	at := time.Now().Add(-26 * time.Hour).UTC()
	detail, _ := json.Marshal(map[string]string{
		"transaction_id": fmt.Sprintf("p%d", n), "session_id": "s", "amount": "5.00", "currency": "EUR", "region": "us-east-1", "timestamp": at.Format(payment.TimestampLayout),
	})
	return fmt.Sprintf(`{"version":"0","id":"e%d","detail-type":%q,"source":%q,"account":%q,"time":%q,"region":"us-east-1","resources":[],"detail":%s}`,
		n, payment.EventDetailType, payment.EventSource, simulatedAccount, at.Format(time.RFC3339), detail)
}

// simulate: letters us-east-1 undelivered-events 3 event.
func (l *letters) simulate(ts *testscript.TestScript, args []string) {
	arg := func(i int) string {
		if i < len(args) {
			return args[i]
		}
		return ""
	}
	switch args[0] {
	case "moves":
		l.moves = arg(1)
	case "bus":
		l.bus, l.puts = arg(1), 0
	case "replays":
		l.replay = arg(1)
	case "hidden": // somebody has received one: hidden us-east-1 undelivered-events 5s
		d, err := time.ParseDuration(arg(3))
		ts.Check(err)
		l.queues[arg(1)+" payment-dev-"+arg(2)][0].hidden = time.Now().Add(d)
	case "undeletable":
		l.kept = arg(1) == "on"
	case "moving-already": // somebody's task
		key := arg(1) + " payment-dev-ledger-dead-letters"
		l.tasks[key] = &moveTask{status: "RUNNING", all: len(l.queues[key]), started: time.Now().UnixMilli(), source: key, to: arg(1) + " payment-dev-ledger"}
	case "waiting": // waiting us-east-1 ledger 3
		if got := strconv.Itoa(len(l.queues[arg(1)+" payment-dev-"+arg(2)])); got != arg(3) {
			ts.Fatalf("%s messages are in %s of %s, not %s", got, arg(2), arg(1), arg(3))
		}
	case "letters":
		count, err := strconv.Atoi(arg(3))
		ts.Check(err)
		for i := range count {
			at := time.Now().Add(-time.Duration(i+4) * time.Hour).UTC().Format(time.RFC3339)
			body := map[string]string{
				"event":     paymentEvent(i),
				"notice":    `{"source":"aws.backup","detail-type":"Backup Job State Change","detail":{}}`,
				"torn":      `{"source":"payment.processor","detail-type":"Payment Transaction","detail":{"amount":"5"}}`,
				"record":    `{"version":"1.0","timestamp":"` + at + `","DDBStreamBatchInfo":{"shardId":"s","batchSize":1,"approximateArrivalOfFirstRecord":"` + at + `","approximateArrivalOfLastRecord":"` + at + `"}}`,
				"run":       `{"version":"1.0","timestamp":"` + at + `","requestContext":{"condition":"RetriesExhausted"},"requestPayload":{"scheduled":true}}`,
				"scheduled": `{"scheduled":true}`,
			}[arg(4)]
			l.add(arg(1)+" payment-dev-"+arg(2), body)
		}
	}
}

// sqs is SQS.
func (s *simulated) sqs(w http.ResponseWriter, region, operation string, body []byte) {
	l := s.repairs.letters
	var in struct {
		QueueName, QueueUrl, SourceArn, DestinationArn string
		MaxNumberOfMessages, VisibilityTimeout         int
		Entries                                        []struct {
			Id, ReceiptHandle string
			VisibilityTimeout int
		}
	}
	if err := json.Unmarshal(body, &in); err != nil {
		s.t.Errorf("a request that is no JSON: %s", body)
	}
	name := in.QueueName
	if name == "" {
		name = in.QueueUrl[strings.LastIndex(in.QueueUrl, "/")+1:]
	}
	arn := func(name string) string { return "arn:aws:sqs:" + region + ":" + s.account + ":" + name }
	if in.SourceArn != "" {
		name = in.SourceArn[strings.LastIndex(in.SourceArn, ":")+1:]
	}
	key := region + " " + name
	messages, found := l.queues[key]
	if !found {
		w.Header().Set("X-Amzn-Query-Error", "AWS.SimpleQueueService.NonExistentQueue;Sender")
		awswire.WriteError(w, "sqs", http.StatusBadRequest, "com.amazonaws.sqs#QueueDoesNotExist", "The specified queue does not exist.")
		return
	}
	now := time.Now()
	switch operation {
	case "GetQueueUrl":
		awswire.WriteJSON(w, map[string]string{"QueueUrl": "https://sqs." + region + ".amazonaws.com/" + s.account + "/" + name})
	case "GetQueueAttributes":
		hidden := 0
		for _, m := range messages {
			if m.hidden.After(now) {
				hidden++
			}
		}
		awswire.WriteJSON(w, map[string]any{"Attributes": map[string]string{
			"QueueArn": arn(name), "ApproximateNumberOfMessages": strconv.Itoa(len(messages) - hidden), "ApproximateNumberOfMessagesNotVisible": strconv.Itoa(hidden), "ApproximateNumberOfMessagesDelayed": "0",
		}})
	case "ReceiveMessage":
		received := []map[string]any{}
		for _, m := range messages {
			if len(received) == in.MaxNumberOfMessages || m.hidden.After(now) {
				continue
			}
			m.hidden = now.Add(time.Duration(in.VisibilityTimeout) * time.Second)
			sum := md5.Sum([]byte(m.body))
			received = append(received, map[string]any{
				"MessageId": m.id, "ReceiptHandle": "handle-" + m.id, "Body": m.body, "MD5OfBody": hex.EncodeToString(sum[:]),
				"Attributes": map[string]string{"SentTimestamp": strconv.FormatInt(m.sent.UnixMilli(), 10)},
			})
		}
		awswire.WriteJSON(w, map[string]any{"Messages": received})
	case "DeleteMessageBatch":
		successful, refused := []map[string]string{}, []map[string]any{}
		for _, e := range in.Entries {
			if l.kept {
				refused = append(refused, map[string]any{"Id": e.Id, "Code": "InternalError", "SenderFault": false, "Message": "try again"})
				continue
			}
			l.queues[key] = slices.DeleteFunc(l.queues[key], func(m *letter) bool { return "handle-"+m.id == e.ReceiptHandle })
			successful = append(successful, map[string]string{"Id": e.Id})
		}
		awswire.WriteJSON(w, map[string]any{"Successful": successful, "Failed": refused})
	case "ChangeMessageVisibilityBatch":
		successful := []map[string]string{}
		for _, e := range in.Entries {
			for _, m := range messages {
				if "handle-"+m.id == e.ReceiptHandle {
					m.hidden = now.Add(time.Duration(e.VisibilityTimeout) * time.Second)
				}
			}
			successful = append(successful, map[string]string{"Id": e.Id})
		}
		awswire.WriteJSON(w, map[string]any{"Successful": successful, "Failed": []any{}})
	case "StartMessageMoveTask":
		if task := l.tasks[key]; task != nil && task.status == "RUNNING" {
			w.Header().Set("X-Amzn-Query-Error", "AWS.SimpleQueueService.UnsupportedOperation;Sender")
			awswire.WriteError(w, "sqs", http.StatusBadRequest, "com.amazonaws.sqs#UnsupportedOperation", "There is already a task running.")
			return
		}
		if name != "payment-dev-ledger-dead-letters" || in.DestinationArn != arn("payment-dev-ledger") {
			s.t.Errorf("moved with %s", body)
		}
		l.tasks[key] = &moveTask{status: "RUNNING", all: len(messages), started: now.UnixMilli(), source: key, to: region + " payment-dev-ledger"}
		awswire.WriteJSON(w, map[string]string{"TaskHandle": "task"})
	case "ListMessageMoveTasks":
		results := []map[string]any{}
		if task := l.tasks[key]; task != nil {
			one := map[string]any{
				"Status": task.status, "SourceArn": arn(name), "ApproximateNumberOfMessagesMoved": task.moved, "ApproximateNumberOfMessagesToMove": task.all, "StartedTimestamp": task.started,
			}
			if task.status == "FAILED" {
				one["FailureReason"] = "AccessDenied"
			}
			results = append(results, one)
			l.proceed(task)
		}
		awswire.WriteJSON(w, map[string]any{"Results": results})
	default:
		s.t.Errorf("SQS in %s was asked for %s", region, operation)
	}
}

func (l *letters) proceed(task *moveTask) {
	switch {
	case task.status != "RUNNING" || l.moves == "waits":
	case l.moves == "fails" && task.moved == 1:
		task.status = "FAILED"
	case len(l.queues[task.source]) == 0:
		task.status = "COMPLETED"
	default:
		first := l.queues[task.source][0]
		l.queues[task.source], l.queues[task.to] = l.queues[task.source][1:], append(l.queues[task.to], first)
		task.moved++
	}
}

// events is EventBridge. What is put on the bus goes to the ledger's queue.
func (s *simulated) events(w http.ResponseWriter, region, operation string, body []byte) {
	l := s.repairs.letters
	var in struct {
		ReplayName, EventSourceArn   string
		EventStartTime, EventEndTime float64
		Destination                  struct {
			Arn        string
			FilterArns []string
		}
		Entries []struct {
			EventBusName, Source, DetailType, Detail string
			Time                                     float64
		}
	}
	if err := json.Unmarshal(body, &in); err != nil {
		s.t.Errorf("a request that is no JSON: %s", body)
	}
	arn := func(what string) string { return "arn:aws:events:" + region + ":" + s.account + ":" + what }
	switch operation {
	case "PutEvents":
		l.puts++
		results, failed := []map[string]string{}, 0
		if len(in.Entries) == 0 || len(in.Entries) > 10 {
			s.t.Errorf("%d events are put at once", len(in.Entries))
		}
		for i, e := range in.Entries {
			if e.EventBusName != "payment-dev" || e.Source != payment.EventSource || e.DetailType != payment.EventDetailType || e.Time == 0 {
				s.t.Errorf("put %+v", e)
			}
			if l.bus == "refuses" || l.bus == "throttles" && l.puts == 1 && i%2 == 0 {
				results, failed = append(results, map[string]string{"ErrorCode": "ThrottlingException", "ErrorMessage": "Rate exceeded"}), failed+1
				continue
			}
			l.add(region+" payment-dev-ledger", e.Detail)
			results = append(results, map[string]string{"EventId": "e"})
		}
		awswire.WriteJSON(w, map[string]any{"Entries": results, "FailedEntryCount": failed})
	case "DescribeArchive":
		awswire.WriteJSON(w, map[string]any{"ArchiveName": "payment-dev", "ArchiveArn": arn("archive/payment-dev"), "EventSourceArn": arn("event-bus/payment-dev"), "State": "ENABLED", "RetentionDays": 35, "EventCount": 12345})
	case "DescribeReplay":
		replay, found := l.replays[region+" "+in.ReplayName]
		if !found {
			awswire.WriteError(w, "events", http.StatusBadRequest, "ResourceNotFoundException", "Replay "+in.ReplayName+" does not exist.")
			return
		}
		answer := map[string]any{"ReplayName": in.ReplayName, "State": replay.state, "EventStartTime": replay.from, "EventEndTime": replay.to}
		if replay.looks > 1 {
			answer["EventLastReplayedTime"] = (replay.from + replay.to) / 2
		}
		if replay.state == "FAILED" {
			answer["StateReason"] = "the rule is gone"
		}
		awswire.WriteJSON(w, answer)
		replay.looks++
		switch {
		case replay.looks == 2:
			replay.state = "RUNNING"
		case replay.looks == 4 && l.replay == "lost":
			s.lost[region] = "silent"
		case l.replay == "waits" || l.replay == "lost":
		case replay.looks == 4 && l.replay == "fails":
			replay.state = "FAILED"
		case replay.looks >= 4 && replay.state == "RUNNING":
			replay.state = "COMPLETED"
			l.add(region+" payment-dev-ledger", paymentEvent(0))
		}
	case "StartReplay":
		if l.replay == "limit" {
			awswire.WriteError(w, "events", http.StatusBadRequest, "LimitExceededException", "The limit of concurrent replays is reached.")
			return
		}
		if in.EventSourceArn != arn("archive/payment-dev") || in.Destination.Arn != arn("event-bus/payment-dev") || !slices.Equal(in.Destination.FilterArns, []string{arn("rule/payment-dev/payment-dev-ledger")}) ||
			len(in.ReplayName) > 64 || in.EventStartTime >= in.EventEndTime {
			s.t.Errorf("replayed with %s", body)
		}
		l.replays[region+" "+in.ReplayName] = &simulatedReplay{state: "STARTING", from: in.EventStartTime, to: in.EventEndTime}
		awswire.WriteJSON(w, map[string]any{"ReplayArn": arn("replay/" + in.ReplayName), "State": "STARTING"})
	default:
		s.t.Errorf("EventBridge in %s was asked for %s", region, operation)
	}
}
