package eventbus_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
	"github.com/aws/smithy-go"

	"payments-dr/internal/simulation/eventbus"
)

const (
	account = "111122223333"
	busName = "payments"
	east    = "us-east-1"
	west    = "us-west-2"
)

// inbox is a queue that keeps what it gets.
type inbox struct {
	mu       sync.Mutex
	messages []message
}

type message struct {
	event      eventbus.Event
	attributes map[string]string
}

func (q *inbox) Send(_ context.Context, body string, attributes map[string]string) error {
	var event eventbus.Event
	if err := json.Unmarshal([]byte(body), &event); err != nil {
		return err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.messages = append(q.messages, message{event, attributes})
	return nil
}

func (q *inbox) all() []message {
	q.mu.Lock()
	defer q.mu.Unlock()
	return slices.Clone(q.messages)
}

func queueARN(region, name string) string {
	return "arn:aws:sqs:" + region + ":" + account + ":" + name
}

func busARN(region string) string {
	return "arn:aws:events:" + region + ":" + account + ":event-bus/" + busName
}

// topology is a Region with a rule to its ledger queue, and one to the other Region's bus.
func topology(region, other string, guarded bool) eventbus.Topology {
	forward := `{"source":["payment.processor"]}`
	if guarded {
		forward = fmt.Sprintf(`{"source":["payment.processor"],"region":[%q],"detail":{"region":[%q]}}`, region, region)
	}
	ledger, undelivered := queueARN(region, "ledger"), queueARN(region, "undelivered")
	return eventbus.Topology{
		Region: region, Buses: []string{busName}, Queues: []string{ledger, undelivered},
		Rules: []eventbus.Rule{
			{Name: "ledger", Bus: busName, Pattern: json.RawMessage(`{"source":["payment.processor"]}`), Targets: []eventbus.Target{
				{ID: "Queue", ARN: ledger, DeadLetterARN: undelivered, RetryAttempts: 3, EventAge: time.Hour},
			}},
			{Name: "forward", Bus: busName, Pattern: json.RawMessage(forward), Targets: []eventbus.Target{
				{ID: "Bus", ARN: busARN(other), DeadLetterARN: undelivered, RetryAttempts: 3, EventAge: time.Hour},
			}},
		},
	}
}

// network is two Regions; the queues are by ARN.
func network(t *testing.T, config eventbus.Config, guarded bool) (*eventbus.Network, map[string]*inbox) {
	t.Helper()
	config.Account = account
	n := eventbus.New(t.Context(), config)
	queues := map[string]*inbox{}
	regions := []eventbus.Topology{topology(east, west, guarded), topology(west, east, guarded)}
	for _, one := range regions {
		n.AddBus(one.Region, busName)
		for _, arn := range one.Queues {
			queues[arn] = &inbox{}
			n.AddQueue(arn, queues[arn])
		}
	}
	for _, one := range regions {
		for _, rule := range one.Rules {
			if err := n.AddRule(one.Region, rule); err != nil {
				t.Fatal(err)
			}
		}
	}
	return n, queues
}

func sample(region string) eventbus.Entry {
	return eventbus.Entry{
		EventBusName: busName, Source: "payment.processor", DetailType: "Payment Transaction",
		Detail: fmt.Sprintf(`{"transaction_id":"t","region":%q}`, region), Time: aws.Float64(1e9 + 0.25),
	}
}

func TestForwardedEventKeepsItsOrigin(t *testing.T) {
	now := time.Date(2026, 11, 22, 3, 4, 5, 600, time.UTC)
	n, queues := network(t, eventbus.Config{Now: func() time.Time { return now }}, true)
	results, err := n.Put(t.Context(), east, []eventbus.Entry{sample(east)})
	if err != nil {
		t.Fatal(err)
	}
	here, there := queues[queueARN(east, "ledger")].all(), queues[queueARN(west, "ledger")].all()
	if len(here) != 1 || len(there) != 1 {
		t.Fatalf("%d here, %d there; want one each", len(here), len(there))
	}
	want := eventbus.Event{
		Version: "0", ID: results[0].EventID, DetailType: "Payment Transaction", Source: "payment.processor", Account: account,
		Time: time.Unix(1e9, 0).UTC(), Region: east, Resources: []string{}, Detail: json.RawMessage(`{"transaction_id":"t","region":"us-east-1"}`),
	}
	if got := fmt.Sprintf("%+v", here[0].event); got != fmt.Sprintf("%+v", want) {
		t.Errorf("here  %s\nwant  %+v", got, want)
	}
	if there[0].event.ID == want.ID || there[0].event.ID == "" {
		t.Errorf("there the id is %q, here %q; want a new one", there[0].event.ID, want.ID)
	}
	want.ID, want.Time = there[0].event.ID, now.Truncate(time.Second)
	if got := fmt.Sprintf("%+v", there[0].event); got != fmt.Sprintf("%+v", want) {
		t.Errorf("there %s\nwant  %+v", got, want)
	}
}

func TestSecondHopIsRefused(t *testing.T) {
	n, queues := network(t, eventbus.Config{}, false)
	if _, err := n.Put(t.Context(), east, []eventbus.Entry{sample(east)}); err != nil {
		t.Fatal(err)
	}
	if got := queues[queueARN(east, "ledger")].all(); len(got) != 1 {
		t.Errorf("%d events came back, want none", len(got)-1)
	}
	refused := queues[queueARN(west, "undelivered")].all()
	if len(refused) != 1 {
		t.Fatalf("%d events in the dead-letter queue, want 1", len(refused))
	}
	want := map[string]string{
		"RULE_ARN":   "arn:aws:events:us-west-2:111122223333:rule/payments/forward",
		"TARGET_ARN": busARN(east), "ERROR_CODE": "THIRD_REGION_HOP_DETECTED", "RETRY_ATTEMPTS": "0",
	}
	for name, value := range want {
		if got := refused[0].attributes[name]; got != value {
			t.Errorf("%s is %q, want %q", name, got, value)
		}
	}
	if got := refused[0].event; got.Region != east || !strings.Contains(string(got.Detail), `"t"`) {
		t.Errorf("undelivered event %+v", got)
	}
}

func TestDeliveryIsRetriedAndGivenUp(t *testing.T) {
	for _, tt := range []struct {
		name      string
		failures  int
		delivered int
		dead      int
		exhausted string
	}{
		{"passing fault", 3, 1, 0, ""},
		{"lasting fault", 1000, 0, 1, "MaximumRetryAttempts"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var mu sync.Mutex
				attempts := 0
				n, queues := network(t, eventbus.Config{Fault: func(_ context.Context, d eventbus.Delivery) error {
					if d.Target.ID != "Bus" {
						return nil
					}
					mu.Lock()
					defer mu.Unlock()
					if attempts++; attempts <= tt.failures {
						return errors.New("the other Region does not answer")
					}
					return nil
				}}, true)
				if _, err := n.Put(t.Context(), east, []eventbus.Entry{sample(east)}); err != nil {
					t.Fatal(err)
				}
				if got := queues[queueARN(east, "ledger")].all(); len(got) != 1 {
					t.Errorf("%d events at once in the own Region, want 1", len(got))
				}
				if n.Pending() != 1 {
					t.Errorf("%d deliveries wait, want 1", n.Pending())
				}
				if err := n.Wait(t.Context()); err != nil {
					t.Fatal(err)
				}
				if got := queues[queueARN(west, "ledger")].all(); len(got) != tt.delivered {
					t.Errorf("%d delivered, want %d", len(got), tt.delivered)
				}
				dead := queues[queueARN(east, "undelivered")].all()
				if len(dead) != tt.dead {
					t.Fatalf("%d undelivered, want %d", len(dead), tt.dead)
				}
				if tt.dead > 0 && (dead[0].attributes["EXHAUSTED_RETRY_CONDITION"] != tt.exhausted || dead[0].attributes["RETRY_ATTEMPTS"] != "3" ||
					dead[0].attributes["ERROR_MESSAGE"] != "the other Region does not answer") {
					t.Errorf("attributes %v", dead[0].attributes)
				}
				if attempts != 4 {
					t.Errorf("%d attempts, want 4", attempts)
				}
			})
		})
	}
}

func TestMissingTargetIsNotRetried(t *testing.T) {
	n, queues := network(t, eventbus.Config{}, true)
	undelivered := queueARN(east, "undelivered")
	if err := n.AddRule(east, eventbus.Rule{Name: "lost", Bus: busARN(east), Pattern: json.RawMessage(`{"region":["us-east-1"]}`), Targets: []eventbus.Target{
		{ID: "Gone", ARN: queueARN(east, "gone"), DeadLetterARN: undelivered, RetryAttempts: 3, EventAge: time.Hour},
	}}); err != nil {
		t.Fatal(err)
	}
	if _, err := n.Put(t.Context(), east, []eventbus.Entry{sample(east)}); err != nil {
		t.Fatal(err)
	}
	dead := queues[undelivered].all()
	if len(dead) != 1 || dead[0].attributes["ERROR_CODE"] != "NO_RESOURCE" || n.Pending() != 0 {
		t.Errorf("dead letters %+v, %d pending", dead, n.Pending())
	}
}

func TestRulesThatAreNotSimulatedAreRefused(t *testing.T) {
	for _, tt := range []struct{ arn, pattern, want string }{
		{"arn:aws:lambda:us-east-1:111122223333:function:f", `{"source":["x"]}`, "service lambda is not simulated"},
		{busARN(east), `{"source":["x"]}`, "own Region"},
		{queueARN(west, "ledger"), `{"source":["x"]}`, "queue in another Region"},
		{"ledger", `{"source":["x"]}`, "is no ARN"},
		{busARN(west), `{"source":[{"suffix":"x"}]}`, "outside"},
	} {
		n, _ := network(t, eventbus.Config{}, true)
		err := n.AddRule(east, eventbus.Rule{Name: "r", Bus: busName, Pattern: json.RawMessage(tt.pattern), Targets: []eventbus.Target{{ID: "T", ARN: tt.arn}}})
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %v, want in it %q", tt.arn, err, tt.want)
		}
	}
}

func TestCheckRouting(t *testing.T) {
	routes, err := eventbus.CheckRouting(t.Context(), account, []eventbus.Topology{topology(east, west, true), topology(west, east, true)}, sample)
	if err != nil {
		t.Fatal(err)
	}
	if len(routes) != 2 {
		t.Fatalf("%d origins, want 2", len(routes))
	}
	for _, one := range routes {
		for _, region := range []string{east, west} {
			if got := one.Buses[busARN(region)]; got != 1 {
				t.Errorf("origin %s: bus of %s %d times", one.Origin, region, got)
			}
			if got := one.Queues[queueARN(region, "ledger")]; got != 1 {
				t.Errorf("origin %s: ledger queue of %s %d times", one.Origin, region, got)
			}
		}
	}
}

func TestCheckRoutingFindsFaults(t *testing.T) {
	whole := func() []eventbus.Topology {
		return []eventbus.Topology{topology(east, west, true), topology(west, east, true)}
	}
	for _, tt := range []struct {
		name   string
		change func([]eventbus.Topology)
		want   []string
	}{
		{"one Region's guard is gone", func(r []eventbus.Topology) { r[0] = topology(east, west, false) },
			[]string{"an event of us-west-2 is refused", "THIRD_REGION_HOP_DETECTED", "reaches dead-letter queue " + queueARN(east, "undelivered")}},
		{"both guards are gone", func(r []eventbus.Topology) { r[0], r[1] = topology(east, west, false), topology(west, east, false) },
			[]string{"an event of us-west-2 is refused", "an event of us-east-1 is refused"}},
		{"the guard has the wrong Region", func(r []eventbus.Topology) {
			r[0].Rules[1].Pattern = json.RawMessage(`{"source":["payment.processor"],"region":["us-west-2"]}`)
		}, []string{"an event of us-east-1 reaches bus " + busARN(west) + " 0 times", "THIRD_REGION_HOP_DETECTED"}},
		{"forwarded twice", func(r []eventbus.Topology) {
			again := r[0].Rules[1]
			again.Name = "again"
			r[0].Rules = append(r[0].Rules, again)
		}, []string{"an event of us-east-1 reaches bus " + busARN(west) + " 2 times", "reaches queue " + queueARN(west, "ledger") + " 2 times"}},
		{"the other bus is gone", func(r []eventbus.Topology) {
			r[0].Rules[1].Targets[0].ARN = strings.Replace(busARN(west), busName, "other", 1)
		}, []string{"NO_RESOURCE", "an event of us-east-1 reaches bus " + busARN(west) + " 0 times"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			regions := whole()
			tt.change(regions)
			_, err := eventbus.CheckRouting(t.Context(), account, regions, sample)
			if err == nil {
				t.Fatal("no error")
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %v\nwant in it %q", err, want)
				}
			}
		})
	}
}

func client(t *testing.T, n *eventbus.Network, config eventbus.EndpointConfig) *eventbridge.Client {
	t.Helper()
	server := httptest.NewServer(n.Endpoint(east, config))
	t.Cleanup(server.Close)
	return eventbridge.NewFromConfig(aws.Config{
		Region: east, BaseEndpoint: &server.URL, Credentials: credentials.NewStaticCredentialsProvider("simulated", "simulated", ""),
	}, func(o *eventbridge.Options) { o.Retryer = aws.NopRetryer{} })
}

func wireEntry(detail string) types.PutEventsRequestEntry {
	return types.PutEventsRequestEntry{
		EventBusName: aws.String(busName), Source: aws.String("payment.processor"), DetailType: aws.String("Payment Transaction"),
		Detail: &detail, Time: aws.Time(time.Date(2026, 11, 22, 3, 4, 5, 678901000, time.UTC)),
	}
}

func TestEndpointSpeaksTheWireProtocol(t *testing.T) {
	n, queues := network(t, eventbus.Config{}, true)
	noSource := wireEntry(`{}`)
	noSource.Source = nil
	out, err := client(t, n, eventbus.EndpointConfig{}).PutEvents(t.Context(), &eventbridge.PutEventsInput{Entries: []types.PutEventsRequestEntry{
		wireEntry(`{"a":"ä"}`), noSource, wireEntry(`[]`), wireEntry(`{"a":`),
	}})
	if err != nil {
		t.Fatal(err)
	}
	var codes []string
	for _, entry := range out.Entries {
		codes = append(codes, aws.ToString(entry.ErrorCode))
		if (entry.EventId == nil) == (entry.ErrorCode == nil) {
			t.Errorf("entry %+v", entry)
		}
	}
	if want := []string{"", "InvalidArgument", "MalformedDetail", "MalformedDetail"}; !slices.Equal(codes, want) || out.FailedEntryCount != 3 {
		t.Errorf("codes %q, %d failed; want %q", codes, out.FailedEntryCount, want)
	}
	got := queues[queueARN(east, "ledger")].all()
	if len(got) != 1 || string(got[0].event.Detail) != `{"a":"ä"}` || !got[0].event.Time.Equal(time.Date(2026, 11, 22, 3, 4, 5, 0, time.UTC)) {
		t.Errorf("events %+v", got)
	}
}

func TestEndpointLimits(t *testing.T) {
	n, queues := network(t, eventbus.Config{}, true)
	c := client(t, n, eventbus.EndpointConfig{})
	rest := len("payment.processor") + len("Payment Transaction") + 14
	detail := func(size int) string { return `{"a":"` + strings.Repeat("ä", (size-8)/2) + `"}` }
	put := func(entries ...types.PutEventsRequestEntry) string {
		_, err := c.PutEvents(t.Context(), &eventbridge.PutEventsInput{Entries: entries})
		if refused, ok := errors.AsType[smithy.APIError](err); ok {
			return refused.ErrorCode()
		}
		if err != nil {
			t.Fatal(err)
		}
		return ""
	}
	if got := put(slices.Repeat([]types.PutEventsRequestEntry{wireEntry(`{}`)}, 10)...); got != "" {
		t.Errorf("10 entries: %s", got)
	}
	if got := put(slices.Repeat([]types.PutEventsRequestEntry{wireEntry(`{}`)}, 11)...); got != "ValidationException" {
		t.Errorf("11 entries: %q", got)
	}
	half := 1<<19 - rest
	if got := put(wireEntry(detail(half)), wireEntry(detail(half-2))); got != "" {
		t.Errorf("just below 1 MB: %s", got)
	}
	if got := put(wireEntry(detail(half+1)), wireEntry(detail(half+1))); got != "ValidationException" {
		t.Errorf("1 MB: %q", got)
	}
	other := wireEntry(`{}`)
	other.EventBusName = aws.String("other")
	if got := put(other); got != "ResourceNotFoundException" {
		t.Errorf("unknown bus: %q", got)
	}
	if got := queues[queueARN(east, "ledger")].all(); len(got) != 12 {
		t.Errorf("%d events, want 12", len(got))
	}
}

func TestEndpointFaults(t *testing.T) {
	n, queues := network(t, eventbus.Config{}, true)
	throttle, lose := true, false
	c := client(t, n, eventbus.EndpointConfig{
		Refuse: func(context.Context, []eventbus.Entry) *eventbus.RequestError {
			if throttle {
				return eventbus.Throttled()
			}
			return nil
		},
		RefuseEntry: func(_ context.Context, i int, _ eventbus.Entry) *eventbus.Result {
			if i == 1 {
				return &eventbus.Result{ErrorCode: "ThrottlingException", ErrorMessage: "Rate exceeded"}
			}
			return nil
		},
		LoseAnswer: func(context.Context, []eventbus.Entry) bool { return lose },
	})
	input := &eventbridge.PutEventsInput{Entries: []types.PutEventsRequestEntry{wireEntry(`{"n":0}`), wireEntry(`{"n":1}`), wireEntry(`{"n":2}`)}}
	_, err := c.PutEvents(t.Context(), input)
	if refused, ok := errors.AsType[smithy.APIError](err); !ok || refused.ErrorCode() != "ThrottlingException" {
		t.Fatalf("error %v, want throttled", err)
	}
	throttle = false
	out, err := c.PutEvents(t.Context(), input)
	if err != nil || out.FailedEntryCount != 1 || aws.ToString(out.Entries[1].ErrorCode) != "ThrottlingException" || out.Entries[2].EventId == nil {
		t.Fatalf("answer %+v, %v", out, err)
	}
	lose = true
	if _, err := c.PutEvents(t.Context(), input); err == nil {
		t.Error("an answer, want none")
	}
	if got := queues[queueARN(east, "ledger")].all(); len(got) != 4 || string(got[1].event.Detail) != `{"n":2}` {
		t.Errorf("events %+v, want the first and the third, twice", got)
	}
}

const template = `{"Resources":{
"Bus":{"Type":"AWS::Events::EventBus","Properties":{"Name":"payments"}},
"Ledger":{"Type":"AWS::SQS::Queue","Properties":{"QueueName":{"Fn::Join":["-",["ledger",{"Ref":"AWS::Region"}]]}}},
"Undelivered":{"Type":"AWS::SQS::Queue","Properties":{}},
"Role":{"Type":"AWS::IAM::Role","Properties":{}},
"ToLedger":{"Type":"AWS::Events::Rule","Properties":{"EventBusName":{"Ref":"Bus"},"EventPattern":{"source":["payment.processor"]},"State":"ENABLED",
 "Targets":[{"Id":"Target0","Arn":{"Fn::GetAtt":["Ledger","Arn"]},"DeadLetterConfig":{"Arn":{"Fn::GetAtt":["Undelivered","Arn"]}}}]}},
"ToOther":{"Type":"AWS::Events::Rule","Properties":{"Name":"to-other","EventBusName":{"Ref":"Bus"},
 "EventPattern":{"source":["payment.processor"],"region":[{"Ref":"AWS::Region"}]},
 "Targets":[{"Id":"Target0","RoleArn":{"Fn::GetAtt":["Role","Arn"]},"Arn":{"Fn::Join":["",["arn:",{"Ref":"AWS::Partition"},":events:us-west-2:",{"Ref":"AWS::AccountId"},":event-bus/payments"]]},
  "DeadLetterConfig":{"Arn":{"Fn::Sub":"arn:${AWS::Partition}:sqs:${AWS::Region}:${AWS::AccountId}:Undelivered"}},"RetryPolicy":{"MaximumRetryAttempts":7,"MaximumEventAgeInSeconds":60}}]}},
"Off":{"Type":"AWS::Events::Rule","Properties":{"State":"DISABLED","EventPattern":{"source":["x"]},"Targets":[]}}
}}`

func TestReadTemplate(t *testing.T) {
	got, err := eventbus.ReadTemplate([]byte(template), east, account)
	if err != nil {
		t.Fatal(err)
	}
	ledger, undelivered := queueARN(east, "ledger-us-east-1"), queueARN(east, "Undelivered")
	want := eventbus.Topology{
		Region: east, Buses: []string{busName}, Queues: []string{ledger, undelivered},
		Rules: []eventbus.Rule{
			{Name: "ToLedger", Bus: busName, Pattern: json.RawMessage(`{"source":["payment.processor"]}`), Targets: []eventbus.Target{
				{ID: "Target0", ARN: ledger, DeadLetterARN: undelivered, RetryAttempts: 185, EventAge: 24 * time.Hour}}},
			{Name: "to-other", Bus: busName, Pattern: json.RawMessage(`{"region":["us-east-1"],"source":["payment.processor"]}`), Targets: []eventbus.Target{
				{ID: "Target0", ARN: busARN(west), DeadLetterARN: undelivered, RetryAttempts: 7, EventAge: time.Minute}}},
		},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestReadTemplateRefusesWhatItCannotRead(t *testing.T) {
	for _, tt := range []struct{ old, new, want string }{
		{`"Id":"Target0","RoleArn"`, `"Id":"Target0","InputPath":"$.detail","RoleArn"`, "property InputPath is not simulated"},
		{`"Name":"to-other"`, `"ScheduleExpression":"rate(1 hour)"`, "property ScheduleExpression is not simulated"},
		{`{"Fn::GetAtt":["Ledger","Arn"]}`, `{"Fn::GetAtt":["Role","Arn"]}`, "reference to Role"},
		{`{"Fn::GetAtt":["Ledger","Arn"]}`, `{"Fn::ImportValue":"ledger"}`, "Fn::ImportValue"},
		{`{"Fn::GetAtt":["Ledger","Arn"]}`, `{"Ref":"Ledger"}`, "a reference to Ledger is not simulated"},
		{`"EventBusName":{"Ref":"Bus"},"EventPattern"`, `"EventBusName":{"Ref":"Parameter"},"EventPattern"`, "a reference to Parameter is not simulated"},
	} {
		changed := strings.Replace(template, tt.old, tt.new, 1)
		if changed == template {
			t.Fatalf("%q is not in the template", tt.old)
		}
		if _, err := eventbus.ReadTemplate([]byte(changed), east, account); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %v, want in it %q", tt.new, err, tt.want)
		}
	}
}
