package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/service/backup/types"

	"payments-dr/internal/payment/restorecheck"
)

var at = time.Date(2026, 11, 22, 14, 0, 0, 0, time.UTC)

// fakeChecker answers as it is told, and keeps what it was asked.
type fakeChecker struct {
	verdict  restorecheck.Verdict
	err      error
	jobs     []string
	last     []bool
	deadline time.Time
}

func (f *fakeChecker) Run(ctx context.Context, job string, last bool) (restorecheck.Verdict, error) {
	f.jobs, f.last = append(f.jobs, job), append(f.last, last)
	f.deadline, _ = ctx.Deadline()
	return f.verdict, f.err
}

func newTestHandler(c *fakeChecker) (*handler, *bytes.Buffer) {
	var log bytes.Buffer
	return &handler{check: c, receives: 4, namespace: "Payments/test", logger: slog.New(slog.NewJSONHandler(&log, nil)), now: func() time.Time { return at }}, &log
}

const restored = `{"source":"aws.backup","detail-type":"Restore Job State Change","detail":{"restoreJobId":"job-1","status":"COMPLETED"}}`

func message(body, received string) events.SQSEvent {
	return events.SQSEvent{Records: []events.SQSMessage{{MessageId: "m1", Body: body, Attributes: map[string]string{"ApproximateReceiveCount": received}}}}
}

func TestOnlyAGoodVerdictTakesTheMessageOut(t *testing.T) {
	for _, tt := range []struct {
		name     string
		verdict  restorecheck.Verdict
		err      error
		received string
		// want is what happens; metric is what is counted, if anything.
		done, fails, last bool
		level, metric     string
	}{
		{"proven", restorecheck.Verdict{Status: types.RestoreValidationStatusSuccessful}, nil, "1", true, false, false, "INFO", "RestoresProven"},
		{"proven at last", restorecheck.Verdict{Status: types.RestoreValidationStatusSuccessful}, nil, "4", true, false, true, "INFO", "RestoresProven"},
		{"known already", restorecheck.Verdict{Status: types.RestoreValidationStatusSuccessful, Recorded: true}, nil, "1", true, false, false, "INFO", ""},
		{"pending", restorecheck.Verdict{Pending: true, Message: "creating"}, nil, "3", false, false, false, "INFO", ""},
		{"wanting", restorecheck.Verdict{Status: types.RestoreValidationStatusFailed, Message: "1 are missing"}, nil, "2", false, true, false, "ERROR", "RestoresFailed"},
		{"known to be wanting", restorecheck.Verdict{Status: types.RestoreValidationStatusFailed, Recorded: true}, nil, "3", false, true, false, "ERROR", ""},
		{"too late", restorecheck.Verdict{Status: types.RestoreValidationStatusTimedOut}, nil, "4", false, true, true, "ERROR", "RestoresFailed"},
		{"not to be told yet", restorecheck.Verdict{}, errors.New("throttled"), "3", false, false, false, "ERROR", ""},
		{"not to be told", restorecheck.Verdict{}, errors.New("throttled"), "4", false, true, true, "ERROR", ""},
		{"beyond the last", restorecheck.Verdict{}, errors.New("throttled"), "9", false, true, true, "ERROR", ""},
		{"uncounted", restorecheck.Verdict{Pending: true}, nil, "", false, false, false, "INFO", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := &fakeChecker{verdict: tt.verdict, err: tt.err}
			h, log := newTestHandler(c)
			response, err := h.handle(t.Context(), message(restored, tt.received))
			if (err != nil) != tt.fails || err != nil && !strings.Contains(err.Error(), "restore job job-1: ") {
				t.Errorf("error %v", err)
			}
			if kept := len(response.BatchItemFailures) == 1 && response.BatchItemFailures[0].ItemIdentifier == "m1"; kept == tt.done {
				t.Errorf("response %+v", response)
			}
			if !slices.Equal(c.jobs, []string{"job-1"}) || !slices.Equal(c.last, []bool{tt.last}) {
				t.Errorf("asked for %v, last %v", c.jobs, c.last)
			}
			var line map[string]any
			if err := json.Unmarshal(log.Bytes(), &line); err != nil {
				t.Fatalf("%v in %s", err, log)
			}
			if line["level"] != tt.level || line["restoreJob"] != "job-1" || line["pending"] != tt.verdict.Pending {
				t.Errorf("line %s", log)
			}
			for _, metric := range []string{"RestoresProven", "RestoresFailed"} {
				if _, counted := line[metric]; counted != (metric == tt.metric) {
					t.Errorf("%s counted: %v, in %s", metric, counted, log)
				}
			}
		})
	}
}

func TestWhatIsNoRestoreIsRefused(t *testing.T) {
	for _, body := range []string{`{`, `[]`, `{}`, strings.Replace(restored, "job-1", "", 1), strings.Replace(restored, "aws.backup", "aws.rds", 1), strings.Replace(restored, "Restore", "Backup", 1)} {
		c := &fakeChecker{}
		h, _ := newTestHandler(c)
		response, err := h.handle(t.Context(), message(body, "1"))
		if err == nil || !strings.HasPrefix(err.Error(), "read event: ") || len(response.BatchItemFailures) != 1 || len(c.jobs) != 0 {
			t.Errorf("%s: %+v, %v, asked for %v", body, response, err, c.jobs)
		}
	}
}

func TestEachMessageIsItsOwn(t *testing.T) {
	c := &fakeChecker{verdict: restorecheck.Verdict{Status: types.RestoreValidationStatusSuccessful}}
	h, _ := newTestHandler(c)
	event := message(`{`, "1")
	event.Records = append(event.Records, events.SQSMessage{MessageId: "m2", Body: restored})
	response, err := h.handle(t.Context(), event)
	if err == nil || len(response.BatchItemFailures) != 1 || response.BatchItemFailures[0].ItemIdentifier != "m1" || len(c.jobs) != 1 {
		t.Errorf("%+v, %v, asked for %v", response, err, c.jobs)
	}
}

func TestACheckEndsBeforeTheInvocation(t *testing.T) {
	c := &fakeChecker{verdict: restorecheck.Verdict{Pending: true}}
	h, _ := newTestHandler(c)
	deadline := time.Now().Add(time.Minute)
	ctx, cancel := context.WithDeadline(t.Context(), deadline)
	defer cancel()
	if _, err := h.handle(ctx, message(restored, "1")); err != nil || !c.deadline.Equal(deadline.Add(-wrapUp)) {
		t.Errorf("%v; it may take until %v of %v", err, c.deadline, deadline)
	}
}
