package operate

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	eventtypes "github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	lambdatypes "github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"payments-dr/internal/payment"
	"payments-dr/internal/payment/reconcile"
	"payments-dr/internal/settings"
	"payments-dr/internal/simulation/localmoto"
)

// moto moves no messages from queue to queue, so that the ledger's dead letters are not tested against it.
func TestReplaysAgainstMoto(t *testing.T) {
	config := localmoto.Start(t)
	queues, buses := sqs.NewFromConfig(config), eventbridge.NewFromConfig(config)
	for _, name := range []string{"ledger", "undelivered-events"} {
		if _, err := queues.CreateQueue(t.Context(), &sqs.CreateQueueInput{QueueName: aws.String("payment-dev-" + name)}); err != nil {
			t.Fatal(err)
		}
	}
	bus := aws.String("payment-dev")
	busARN := "arn:aws:events:us-east-1:" + localmoto.Account + ":event-bus/payment-dev"
	if _, err := buses.CreateEventBus(t.Context(), &eventbridge.CreateEventBusInput{Name: bus}); err != nil {
		t.Fatal(err)
	}
	if _, err := buses.PutRule(t.Context(), &eventbridge.PutRuleInput{Name: aws.String("payment-dev-ledger"), EventBusName: bus, EventPattern: aws.String(`{"source":["payment.processor"]}`)}); err != nil {
		t.Fatal(err)
	}
	if _, err := buses.PutTargets(t.Context(), &eventbridge.PutTargetsInput{Rule: aws.String("payment-dev-ledger"), EventBusName: bus, Targets: []eventtypes.Target{{
		Id: aws.String("ledger"), Arn: aws.String("arn:aws:sqs:us-east-1:" + localmoto.Account + ":payment-dev-ledger"),
	}}}); err != nil {
		t.Fatal(err)
	}
	if _, err := buses.CreateArchive(t.Context(), &eventbridge.CreateArchiveInput{ArchiveName: bus, EventSourceArn: &busARN}); err != nil {
		t.Fatal(err)
	}
	region := Region{Name: "us-east-1", Config: config}
	deployment := &Deployment{Settings: &settings.Settings{Environment: "dev"}, Regions: []Region{region}, Now: time.Now}
	var out strings.Builder
	r := deployment.Replayer(region, region, 10*time.Millisecond, time.Minute, &out)
	undelivered, err := FindDeadLetterQueue(deployment.Settings, "payment-dev-undelivered-events")
	if err != nil {
		t.Fatal(err)
	}
	at, err := queues.GetQueueUrl(t.Context(), &sqs.GetQueueUrlInput{QueueName: aws.String("payment-dev-undelivered-events")})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 12 {
		body := fmt.Sprintf(`{"source":%q,"detail-type":%q,"time":"2026-11-22T10:00:00Z","detail":{"transaction_id":"p%d","session_id":"s","amount":"5.00","currency":"EUR","region":"us-east-1","timestamp":"2026-11-22T10:00:00.000000Z"}}`,
			payment.EventSource, payment.EventDetailType, i)
		if i == 11 {
			body = "{}"
		}
		if _, err := queues.SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: at.QueueUrl, MessageBody: &body}); err != nil {
			t.Fatal(err)
		}
	}
	if count, err := r.Count(t.Context(), undelivered); err != nil || count.Waiting != 12 {
		t.Fatalf("%v, %v", count, err)
	}
	done, err := r.Replay(t.Context(), undelivered)
	if done != (Replayed{Done: 11, Kept: 1}) || err == nil || !strings.Contains(out.String(), "it is no payment's event") {
		t.Errorf("%+v, %v\n%s", done, err, &out)
	}
	if count, err := r.Count(t.Context(), undelivered); err != nil || count != (QueueCount{Waiting: 1}) {
		t.Errorf("left are %v, %v", count, err)
	}
	if count, err := r.CountLedger(t.Context()); err != nil || count.Waiting != 11 {
		t.Errorf("the ledger has %v, %v", count, err)
	}

	archive, err := r.Archive(t.Context())
	if err != nil || archive.BusARN != busARN || archive.Events != 11 {
		t.Fatalf("%+v, %v", archive, err)
	}
	w := reconcile.Window{From: time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC), To: time.Date(2026, 11, 22, 11, 0, 0, 0, time.UTC)}
	if _, turn, err := r.FindReplay(t.Context(), w); err != nil || turn != 0 {
		t.Errorf("turn %d, %v", turn, err)
	}
	for range 2 { // the second time it is there already
		name, err := r.StartReplay(t.Context(), archive, w, 1, "a test")
		if err != nil {
			t.Fatal(err)
		}
		if replayed, err := r.FollowReplay(t.Context(), name, w); err != nil || replayed.State != "COMPLETED" {
			t.Errorf("%+v, %v", replayed, err)
		}
	}
	if _, turn, err := r.FindReplay(t.Context(), w); err != nil || turn != 1 {
		t.Errorf("turn %d, %v", turn, err)
	}
	if count, err := r.CountLedger(t.Context()); err != nil || count.Waiting != 22 {
		t.Errorf("the ledger has %v, %v", count, err)
	}
}

// moto's function answers what it was told to.
func TestReconcileAgainstMoto(t *testing.T) {
	config := localmoto.Start(t)
	localmoto.Tell(t, config, "/moto-api/config", `{"lambda":{"use_docker":false}}`)
	region := Region{Name: "us-east-1", Config: config}
	deployment := &Deployment{Settings: &settings.Settings{Environment: "dev"}, Regions: []Region{region}, Now: time.Now}
	r := deployment.Reconciler(region)
	// A function wants a role that is there. IAM's client is not among this module's, and one call is none without.
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, *config.BaseEndpoint, strings.NewReader(
		url.Values{"Action": {"CreateRole"}, "Version": {"2010-05-08"}, "RoleName": {"reconcile"}, "AssumeRolePolicyDocument": {"{}"}}.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=simulated/20261122/us-east-1/iam/aws4_request, SignedHeaders=host, Signature=0")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if _, err := lambda.NewFromConfig(config).CreateFunction(t.Context(), &lambda.CreateFunctionInput{
		FunctionName: aws.String("payment-dev-reconcile"), Role: aws.String("arn:aws:iam::" + localmoto.Account + ":role/reconcile"), Runtime: lambdatypes.RuntimeProvidedal2023, Handler: aws.String("h"),
		Code: &lambdatypes.FunctionCode{ZipFile: []byte("PK\x05\x06" + strings.Repeat("\x00", 18))},
	}); err != nil {
		t.Fatal(err)
	}
	w := reconcile.Window{From: time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC), To: time.Date(2026, 11, 22, 11, 0, 0, 0, time.UTC)}
	report, err := json.Marshal(reconcile.Report{From: w.From, To: w.To, Complete: true, DoneUpTo: w.To, Counts: reconcile.Counts{Table: 3, LedgerBefore: 2, Ledger: 3, Missing: 1, Repaired: 1}})
	if err != nil {
		t.Fatal(err)
	}
	answers, err := json.Marshal(map[string]any{"results": []string{`{"reader":false}`, string(report)}})
	if err != nil {
		t.Fatal(err)
	}
	localmoto.Tell(t, config, "/moto-api/static/lambda-simple/response", string(answers))
	if writes, err := r.TakesWrites(t.Context()); err != nil || !writes {
		t.Errorf("takes writes %t, %v", writes, err)
	}
	if total, err := r.Run(t.Context(), "us-east-1", w, 6*time.Hour, false, nil); err != nil || !total.Clean || total.Counts.Repaired != 1 {
		t.Errorf("%+v, %v", total, err)
	}
}
