package conformance_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"payments-dr/internal/simulation/eventbus"
)

const (
	account = "123456789012" // moto's
	east    = "us-east-1"
	west    = "us-west-2"
)

// sink is a queue that keeps what is sent to it.
type sink struct{ bodies []string }

func (s *sink) Send(_ context.Context, body string, _ map[string]string) error {
	s.bodies = append(s.bodies, body)
	return nil
}

func queueARN(region string) string { return "arn:aws:sqs:" + region + ":" + account + ":target" }

// addRule adds a rule that puts events of a Region's bus into a target.
func addRule(n *eventbus.Network, region, pattern, target string) error {
	return n.AddRule(region, eventbus.Rule{Name: "rule", Bus: "bus", Pattern: json.RawMessage(pattern), Targets: []eventbus.Target{{ID: "1", ARN: target}}})
}

// Each pattern is that of a rule; an event on the rule's bus reaches its queue or not.
func TestEventPatterns(t *testing.T) {
	holdAgainst(t, "patterns", func(t *testing.T, raw json.RawMessage, _ recording) any {
		var given struct{ Pattern, Detail string }
		decode(t, raw, &given)
		n := eventbus.New(t.Context(), eventbus.Config{Account: account})
		n.AddBus(east, "bus")
		target := &sink{}
		n.AddQueue(queueARN(east), target)
		if err := addRule(n, east, given.Pattern, queueARN(east)); err != nil {
			return "refused"
		}
		results, err := n.Put(t.Context(), east, []eventbus.Entry{{
			EventBusName: "bus", Source: "conformance", DetailType: "Case", Detail: given.Detail, Resources: []string{"arn:aws:s3:::one", "arn:aws:s3:::two"},
		}})
		if err != nil || results[0].ErrorCode != "" {
			t.Fatal(results, err)
		}
		return map[int]string{0: "no match", 1: "match"}[len(target.bodies)]
	})
}

func TestPutEvents(t *testing.T) {
	holdAgainst(t, "putevents", func(t *testing.T, raw json.RawMessage, _ recording) any {
		var given struct {
			Entries []struct {
				eventbus.Entry
				DetailBytes int
			}
		}
		decode(t, raw, &given)
		n := eventbus.New(t.Context(), eventbus.Config{Account: account})
		n.AddBus(east, "bus")
		entries := make([]eventbus.Entry, len(given.Entries))
		for i, entry := range given.Entries {
			if entries[i] = entry.Entry; entry.DetailBytes > 0 {
				entries[i].Detail = `{"a":"` + strings.Repeat("x", entry.DetailBytes-len(`{"a":""}`)) + `"}`
			}
		}
		results, err := n.Put(t.Context(), east, entries)
		if refused, ok := errors.AsType[*eventbus.RequestError](err); ok {
			return refused.Code
		}
		if err != nil {
			t.Fatal(err)
		}
		answers := make([]string, len(results))
		for i, result := range results {
			if answers[i] = result.ErrorCode; result.ErrorCode == "" {
				answers[i] = "taken"
			}
		}
		return answers
	})
}

func TestForwarding(t *testing.T) {
	holdAgainst(t, "forwarding", func(t *testing.T, raw json.RawMessage, _ recording) any {
		var given struct {
			Regions []string
			Entry   eventbus.Entry
		}
		decode(t, raw, &given)
		var refused []string
		n := eventbus.New(t.Context(), eventbus.Config{Account: account, Observe: func(d eventbus.Delivery) {
			if d.ErrorCode != "" {
				refused = append(refused, d.ErrorCode)
			}
		}})
		target := &sink{}
		last := given.Regions[len(given.Regions)-1]
		n.AddQueue(queueARN(last), target)
		following := queueARN(last)
		for i := len(given.Regions) - 1; i >= 0; i-- {
			bus := n.AddBus(given.Regions[i], "bus")
			if err := addRule(n, given.Regions[i], `{"source":["s"]}`, following); err != nil {
				t.Fatal(err)
			}
			following = bus
		}
		entry := given.Entry
		entry.EventBusName = "bus"
		results, err := n.Put(t.Context(), given.Regions[0], []eventbus.Entry{entry})
		if err != nil {
			t.Fatal(err)
		}
		if len(target.bodies) == 0 {
			if len(refused) != 1 || refused[0] != eventbus.CodeThirdRegionHop {
				t.Errorf("refused with %q", refused)
			}
			return map[string]any{"arrived": false}
		}
		var event map[string]any
		if err := json.Unmarshal([]byte(target.bodies[0]), &event); err != nil {
			t.Fatal(err)
		}
		if event["id"] == results[0].EventID {
			t.Error("a hop keeps the id") // moto's is new as well
		}
		answer := map[string]any{"arrived": true}
		for _, field := range []string{"source", "detail-type", "account", "region", "resources", "detail"} {
			answer[field] = event[field]
		}
		return answer
	})
}
