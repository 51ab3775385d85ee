package eventbus

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
)

// targetPutEvents names the operation in the protocol AWS JSON 1.1.
const targetPutEvents = "AWSEvents.PutEvents"

// EndpointConfig has the faults of an endpoint. All fields may be left empty.
type EndpointConfig struct {
	// Refuse is asked about each call; an error is the answer. Use Throttled for the service's own.
	Refuse func(context.Context, []Entry) *RequestError
	// RefuseEntry is asked about each entry of a call that is not refused; a result with an ErrorCode is the answer.
	RefuseEntry func(ctx context.Context, index int, entry Entry) *Result
	// LoseAnswer is asked after a call; if true, the connection is cut instead of answering: the caller does not know.
	LoseAnswer func(context.Context, []Entry) bool
}

// Throttled is how EventBridge refuses a call over the rate.
func Throttled() *RequestError {
	return &RequestError{Code: "ThrottlingException", Message: "Rate exceeded"}
}

// Endpoint serves PutEvents for the buses of a Region, as the service does on the wire, so that a real client can be pointed
// at it. Signatures are not checked.
func (n *Network) Endpoint(region string, config EndpointConfig) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if target := r.Header.Get("X-Amz-Target"); r.Method != http.MethodPost || target != targetPutEvents {
			writeError(w, &RequestError{Code: "UnknownOperationException", Message: "only " + targetPutEvents + " is simulated"})
			return
		}
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 8*MaxRequestBytes))
		var request struct{ Entries []Entry }
		if err == nil {
			err = json.Unmarshal(body, &request)
		}
		if err != nil {
			writeError(w, &RequestError{Code: "SerializationException", Message: err.Error()})
			return
		}
		results, err := n.put(r.Context(), region, request.Entries, config)
		if err != nil {
			refused, ok := errors.AsType[*RequestError](err)
			if !ok {
				refused = &RequestError{Code: "InternalException", Message: err.Error(), Status: http.StatusInternalServerError}
			}
			writeError(w, refused)
			return
		}
		if config.LoseAnswer != nil && config.LoseAnswer(r.Context(), request.Entries) {
			panic(http.ErrAbortHandler)
		}
		failed := 0
		for _, result := range results {
			if result.ErrorCode != "" {
				failed++
			}
		}
		write(w, http.StatusOK, struct {
			FailedEntryCount int
			Entries          []Result
		}{failed, results})
	})
}

// put is Put with an endpoint's faults.
func (n *Network) put(ctx context.Context, region string, entries []Entry, config EndpointConfig) ([]Result, error) {
	if config.Refuse != nil {
		if refused := config.Refuse(ctx, entries); refused != nil {
			return nil, refused
		}
	}
	if config.RefuseEntry == nil {
		return n.Put(ctx, region, entries)
	}
	results := make([]Result, len(entries))
	var taken []Entry
	var places []int
	for i, entry := range entries {
		if refused := config.RefuseEntry(ctx, i, entry); refused != nil {
			results[i] = *refused
			continue
		}
		taken, places = append(taken, entry), append(places, i)
	}
	if len(taken) == 0 && len(entries) > 0 {
		return results, nil
	}
	done, err := n.Put(ctx, region, taken)
	if err != nil {
		return nil, err
	}
	for i, result := range done {
		results[places[i]] = result
	}
	return results, nil
}

func writeError(w http.ResponseWriter, refused *RequestError) {
	status := refused.Status
	if status == 0 {
		status = http.StatusBadRequest
	}
	write(w, status, map[string]string{"__type": refused.Code, "message": refused.Message})
}

func write(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}
