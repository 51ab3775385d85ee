// Package functionerror has what Lambda answers instead of a function's result when the function has failed ("Understanding retry
// behavior in Lambda", AWS Lambda Developer Guide).
package functionerror

import (
	"encoding/json"
	"errors"
)

// Error is what a function has failed with.
type Error struct {
	// Message is what the function says itself, or the whole payload if it is of another form.
	Message string `json:"errorMessage"`
	// Payload is the error as the function's runtime wrote it.
	Payload []byte `json:"-"`
}

func (e *Error) Error() string { return "the function has failed: " + e.Message }

// Parse reads the payload of a failed invocation. Named is whether it has a message of the function's.
func Parse(payload []byte) (e *Error, named bool) {
	e = &Error{Payload: payload}
	if err := json.Unmarshal(payload, e); err != nil || e.Message == "" {
		e.Message = string(payload)
		return e, false
	}
	return e, true
}

// Of is the function's own error in an error of its invocation. Of a function that could not answer, such as one whose process has
// ended, it is what Lambda writes in the function's place.
func Of(err error) *Error {
	if own, ok := errors.AsType[*Error](err); ok {
		return own
	}
	e := &Error{Message: err.Error()}
	e.Payload, _ = json.Marshal(e)
	return e
}
