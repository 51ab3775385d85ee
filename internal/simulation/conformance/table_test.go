package conformance_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"payments-dr/internal/simulation"
)

// The simulation needs a DynamoDB API behind it. Here that is moto as it was recorded: it has to be asked what the recording
// was asked, and gives moto's answers.
func TestTableStreams(t *testing.T) {
	holdAgainst(t, "tables", func(t *testing.T, raw json.RawMessage, recorded recording) any {
		var given struct {
			Steps []struct {
				Do, Condition string
				Item, Key     json.RawMessage
			}
		}
		decode(t, raw, &given)
		asked := 0
		api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			if asked == len(recorded.Wire) || !same(t, body, recorded.Wire[asked].Request) {
				t.Errorf("call %d is not as recorded: %s", asked+1, body)
				w.WriteHeader(http.StatusInternalServerError)
				return
			}
			answer := recorded.Wire[asked]
			asked++
			w.WriteHeader(answer.Status)
			_, _ = w.Write(answer.Body)
		}))
		defer api.Close()
		streams := map[string]*simulation.Stream{}
		for _, region := range []string{east, west} {
			streams[region] = simulation.NewStream(simulation.StreamConfig{Region: region})
		}
		proxy := simulation.NewTableProxy(simulation.TableProxyConfig{Endpoint: api.URL, Keys: []string{"session_id", "transaction_id"}, Streams: streams})
		defer proxy.Close()

		answers := make([]map[string]any, len(given.Steps))
		seen := 0
		for i, step := range given.Steps {
			operation, request := "PutItem", map[string]any{"TableName": "table"}
			if step.Do == "delete" {
				operation, request["Key"] = "DeleteItem", step.Key
			} else if request["Item"] = step.Item; step.Condition != "" {
				request["ConditionExpression"] = step.Condition
			}
			call := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", strings.NewReader(string(encode(t, request))))
			call.Header.Set("X-Amz-Target", "DynamoDB_20120810."+operation)
			response := httptest.NewRecorder()
			proxy.Replica(east).ServeHTTP(response, call)
			answer := "done"
			if response.Code != http.StatusOK {
				var failure struct {
					Type string `json:"__type"`
				}
				if err := json.Unmarshal(response.Body.Bytes(), &failure); err != nil {
					t.Fatal(err)
				}
				_, answer, _ = strings.Cut(failure.Type, "#")
			}
			records := changes(t, streams[east])
			if other := changes(t, streams[west]); string(encode(t, records)) != string(encode(t, other)) {
				t.Errorf("the streams differ:\n%s\n%s", records, other)
			}
			answers[i] = map[string]any{"answer": answer, "records": records[seen:]}
			seen = len(records)
		}
		if asked != len(recorded.Wire) {
			t.Errorf("%d calls, want %d", asked, len(recorded.Wire))
		}
		return answers
	})
}

// changes are a stream's records, without what is each stream's own.
func changes(t *testing.T, stream *simulation.Stream) []map[string]json.RawMessage {
	t.Helper()
	changes := []map[string]json.RawMessage{}
	for _, record := range stream.Records() {
		var written map[string]json.RawMessage
		if err := json.Unmarshal(encode(t, record.Change), &written); err != nil {
			t.Fatal(err)
		}
		change := map[string]json.RawMessage{"eventName": encode(t, record.EventName)}
		for _, name := range []string{"Keys", "NewImage", "OldImage"} {
			if value, ok := written[name]; ok {
				change[name] = value
			}
		}
		if string(written["StreamViewType"]) != `"NEW_AND_OLD_IMAGES"` {
			t.Errorf("view type %s", written["StreamViewType"])
		}
		changes = append(changes, change)
	}
	return changes
}
