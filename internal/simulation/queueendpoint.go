package simulation

import (
	"encoding/json"
	"errors"
	"net/http"
	"path"
	"time"

	"payments-dr/internal/simulation/awswire"
)

// NewQueueEndpoint is SQS for functions, as far as they call it: ChangeMessageVisibilityBatch of queues, by name.
func NewQueueEndpoint(queues map[string]*Queue) http.Handler {
	type entry struct {
		ID                string `json:"Id"`
		ReceiptHandle     string
		VisibilityTimeout int
	}
	type failure struct {
		ID          string `json:"Id"`
		Code        string
		SenderFault bool
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var in struct {
			QueueURL string `json:"QueueUrl"`
			Entries  []entry
		}
		if target := r.Header.Get("X-Amz-Target"); target != "AmazonSQS.ChangeMessageVisibilityBatch" {
			awswire.WriteError(w, "sqs", http.StatusBadRequest, "UnsupportedOperation", target+" is not simulated")
			return
		}
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
			awswire.WriteError(w, "sqs", http.StatusBadRequest, "SerializationException", err.Error())
			return
		}
		queue, ok := queues[path.Base(in.QueueURL)]
		if !ok {
			awswire.WriteError(w, "sqs", http.StatusBadRequest, "QueueDoesNotExist", "there is no queue "+in.QueueURL)
			return
		}
		answer := struct {
			Successful []map[string]string
			Failed     []failure
		}{[]map[string]string{}, []failure{}}
		for _, e := range in.Entries {
			switch err := queue.ChangeVisibility(e.ReceiptHandle, time.Duration(e.VisibilityTimeout)*time.Second); {
			case err == nil:
				answer.Successful = append(answer.Successful, map[string]string{"Id": e.ID})
			case errors.Is(err, ErrNotInFlight):
				answer.Failed = append(answer.Failed, failure{e.ID, "MessageNotInflight", true})
			default:
				answer.Failed = append(answer.Failed, failure{e.ID, "ReceiptHandleIsInvalid", true})
			}
		}
		awswire.WriteJSON(w, answer)
	})
}
