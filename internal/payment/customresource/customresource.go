// Package customresource is how a function provides a custom resource behind the CDK's provider framework ("Provider Framework",
// AWS CDK API Reference, custom-resources).
package customresource

import (
	"context"
	"encoding/json"
	"fmt"
	"time"
)

// AnswerMargin is what is left of an invocation when its work is stopped, so that the deployment learns the reason.
const AnswerMargin = 5 * time.Second

// Event is what the framework sends.
type Event struct {
	RequestType string `json:"RequestType"`
	// PhysicalResourceID is empty on Create.
	PhysicalResourceID string          `json:"PhysicalResourceId"`
	ResourceProperties json.RawMessage `json:"ResourceProperties"`
}

// Response is what the framework expects.
type Response struct {
	PhysicalResourceID string `json:"PhysicalResourceId"`
	// Data has the attributes that the template may read.
	Data map[string]string `json:"Data,omitempty"`
}

// Handle calls apply on Create and Update, and responds with the attributes that apply returns. On Delete it does nothing: what apply
// made outlives its stack. The context of apply ends AnswerMargin before the invocation does. physicalID is the identity of a new
// resource. An error fails the deployment.
func Handle(ctx context.Context, event Event, physicalID string, apply func(context.Context) (map[string]string, error)) (Response, error) {
	response := Response{PhysicalResourceID: event.PhysicalResourceID}
	if response.PhysicalResourceID == "" {
		response.PhysicalResourceID = physicalID
	}
	switch event.RequestType {
	case "Create", "Update":
	case "Delete":
		return response, nil
	default:
		return Response{}, fmt.Errorf("read request: RequestType is %q; allowed are Create, Update and Delete", event.RequestType)
	}
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, deadline.Add(-AnswerMargin))
		defer cancel()
	}
	var err error
	if response.Data, err = apply(ctx); err != nil {
		return Response{}, err
	}
	return response, nil
}
