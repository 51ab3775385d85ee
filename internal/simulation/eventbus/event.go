package eventbus

import (
	"encoding/json"
	"fmt"
	"time"
)

// The limits of a PutEvents call.
const (
	// MaxEntries is the most entries of a call ("PutEvents", Amazon EventBridge API Reference).
	MaxEntries = 10
	// MaxRequestBytes is the size that the entries of a call stay below together, 1 MB ("Sending events with PutEvents", Amazon
	// EventBridge User Guide; raised from 256 KB by "More room to build: serverless services now support payloads up to 1 MB",
	// AWS Compute Blog, January 2026).
	MaxRequestBytes = 1 << 20
	// entryTimeBytes is the size of an entry's time in that count ("Calculating PutEvents event entry size", same guide).
	entryTimeBytes = 14
)

// Entry is an entry of PutEvents, as it is on the wire. A field that is absent is empty.
type Entry struct {
	// EventBusName is a bus's name or ARN.
	EventBusName string   `json:"EventBusName,omitempty"`
	Source       string   `json:"Source,omitempty"`
	DetailType   string   `json:"DetailType,omitempty"`
	Detail       string   `json:"Detail,omitempty"`
	Resources    []string `json:"Resources,omitempty"`
	// Time is in seconds since 1970, with fractions; nil is the time of the call.
	Time *float64 `json:"Time,omitempty"`
}

// Size is an entry's size as EventBridge counts it, in bytes ("Calculating PutEvents event entry size", Amazon EventBridge
// User Guide).
func (e Entry) Size() int {
	size := len(e.Source) + len(e.DetailType) + len(e.Detail)
	if e.Time != nil {
		size += entryTimeBytes
	}
	for _, resource := range e.Resources {
		size += len(resource)
	}
	return size
}

// Result is what became of an entry: an event's id, or an error.
type Result struct {
	EventID      string `json:"EventId,omitempty"`
	ErrorCode    string `json:"ErrorCode,omitempty"`
	ErrorMessage string `json:"ErrorMessage,omitempty"`
}

// RequestError is the refusal of a whole call.
type RequestError struct {
	// Code is the error's name on the wire, such as "ValidationException".
	Code    string
	Message string
	// Status is the HTTP status; 0 is 400.
	Status int
}

func (e *RequestError) Error() string { return e.Code + ": " + e.Message }

// Event is an event as rules see it and targets get it ("AWS service event metadata", Amazon EventBridge User Guide).
type Event struct {
	Version    string          `json:"version"`
	ID         string          `json:"id"`
	DetailType string          `json:"detail-type"`
	Source     string          `json:"source"`
	Account    string          `json:"account"`
	Time       time.Time       `json:"time"`
	Region     string          `json:"region"`
	Resources  []string        `json:"resources"`
	Detail     json.RawMessage `json:"detail"`

	// forwarded tells an event that has left the Region it was put in.
	forwarded bool
}

// refusal is the service's error for an entry, or nothing.
func (e Entry) refusal() *Result {
	for _, field := range []struct{ name, value string }{{"Source", e.Source}, {"DetailType", e.DetailType}, {"Detail", e.Detail}} {
		if field.value == "" {
			return &Result{
				ErrorCode:    "InvalidArgument",
				ErrorMessage: fmt.Sprintf("Parameter %s is not valid. Reason: %s is a required argument.", field.name, field.name),
			}
		}
	}
	var detail map[string]json.RawMessage
	if json.Unmarshal([]byte(e.Detail), &detail) != nil {
		return &Result{ErrorCode: "MalformedDetail", ErrorMessage: "Detail is malformed."}
	}
	return nil
}

func (e Entry) event(id, account, region string, now time.Time) Event {
	at := now
	if e.Time != nil {
		at = time.UnixMilli(int64(*e.Time * 1000))
	}
	resources := e.Resources
	if resources == nil {
		resources = []string{}
	}
	return Event{
		Version: "0", ID: id, DetailType: e.DetailType, Source: e.Source, Account: account, Time: at.UTC().Truncate(time.Second),
		Region: region, Resources: resources, Detail: json.RawMessage(e.Detail),
	}
}
