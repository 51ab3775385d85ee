package conformance_test

import (
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"payments-dr/internal/simulation"
)

// received is a message as the cases write it.
type received struct {
	// Message counts the messages in the order in which they are seen first, from 1: it stands for the id.
	Message      int    `json:"message"`
	Body         string `json:"body"`
	ReceiveCount int    `json:"receiveCount"`
	// SentAt is in seconds since the case began.
	SentAt int `json:"sentAt"`
}

func TestQueues(t *testing.T) {
	holdAgainst(t, "queues", func(t *testing.T, raw json.RawMessage, _ recording) (answer any) {
		var given struct {
			VisibilityTimeout, MaxReceiveCount int
			Steps                              []struct {
				Do, Body, As, Handle, Queue string
				Seconds                     int
			}
		}
		decode(t, raw, &given)
		synctest.Test(t, func(t *testing.T) {
			dead := simulation.NewQueue(simulation.QueueConfig{})
			queue := simulation.NewQueue(simulation.QueueConfig{
				VisibilityTimeout: time.Duration(given.VisibilityTimeout) * time.Second, MaxReceiveCount: given.MaxReceiveCount, DeadLetter: dead,
			})
			began := time.Now()
			handles := map[string]string{}
			var ids []string
			answers := make([]any, len(given.Steps))
			for i, step := range given.Steps {
				var err error
				switch step.Do {
				case "send":
					err = queue.Send(t.Context(), step.Body, nil)
				case "wait":
					time.Sleep(time.Duration(step.Seconds) * time.Second)
				case "delete":
					err = queue.Delete(handles[step.Handle])
				case "change visibility":
					err = queue.ChangeVisibility(handles[step.Handle], time.Duration(step.Seconds)*time.Second)
				case "receive":
					source := map[string]*simulation.Queue{"": queue, "dead letters": dead}[step.Queue]
					if messages := source.Receive(1); len(messages) > 0 {
						handles[step.As] = messages[0].ReceiptHandle
						if !slices.Contains(ids, messages[0].MessageId) {
							ids = append(ids, messages[0].MessageId)
						}
						answers[i] = describe(t, messages[0], slices.Index(ids, messages[0].MessageId)+1, began)
					}
					continue
				default:
					t.Fatalf("no step is called %q", step.Do)
				}
				if answers[i] = "done"; err != nil {
					answers[i] = "refused"
				}
			}
			answer = answers
		})
		return answer
	})
}

func describe(t *testing.T, m events.SQSMessage, number int, began time.Time) received {
	t.Helper()
	count, err := strconv.Atoi(m.Attributes["ApproximateReceiveCount"])
	if err != nil {
		t.Fatal(err)
	}
	sent, err := strconv.ParseInt(m.Attributes["SentTimestamp"], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return received{Message: number, Body: m.Body, ReceiveCount: count, SentAt: int(math.Round(time.UnixMilli(sent).Sub(began).Seconds()))}
}
