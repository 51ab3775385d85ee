package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"payments-dr/internal/payment"
	"payments-dr/internal/simulation/awswire"
)

// What the simulated deployment has for drills: the session table, as DynamoDB answers a Query, and the reconcile function.

// paid is a payment that was accepted.
type paid struct {
	id, amount, code, region string
	at                       time.Time
}

// keep keeps a payment in the table, unless the Region is at fault and acknowledges it all the same.
func (s *simulated) keep(p map[string]any, region string) {
	if s.faults["pay "+region] == "lost" {
		return
	}
	if s.paid == nil {
		s.paid = map[string][]paid{}
	}
	session := fmt.Sprint(p["session_id"])
	s.paid[session] = append(s.paid[session], paid{fmt.Sprint(p["transaction_id"]), fmt.Sprint(p["amount"]), fmt.Sprint(p["currency"]), region, time.Now()})
}

// find is a payment that was accepted, or nil.
func (s *simulated) find(session, id string) *paid {
	for _, one := range s.paid[session] {
		if one.id == id {
			return &one
		}
	}
	return nil
}

// read answers with one payment, as the API does.
func (s *simulated) read(w http.ResponseWriter, session, id string) {
	found := s.find(session, id)
	if found == nil {
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprint(w, `{"error":"there is no such payment"}`)
		return
	}
	fmt.Fprintf(w, `{"transaction_id":%q,"session_id":%q,"amount":%s,"currency":%q,"region":%q,"timestamp":%q,"status":%q}`,
		id, session, found.amount, found.code, found.region, found.at.UTC().Format(payment.TimestampLayout), payment.StatusProcessed)
}

// query answers with one payment a page.
func (s *simulated) query(w http.ResponseWriter, body []byte) {
	type text struct{ S string }
	var asked struct {
		TableName                 string
		ConsistentRead            bool
		ExpressionAttributeValues map[string]text
		ExclusiveStartKey         map[string]text
	}
	if err := json.Unmarshal(body, &asked); err != nil || asked.TableName != "payment-dev-sessions" || !asked.ConsistentRead {
		s.t.Errorf("the table is asked for %s: %v", body, err)
	}
	session, after := asked.ExpressionAttributeValues[":session"].S, asked.ExclusiveStartKey[payment.AttributeTransactionID].S
	if !strings.HasPrefix(session, payment.DrillSession) {
		s.t.Errorf("the table is asked for the session %s, which is no drill's", session)
	}
	answer := map[string]any{"Items": []any{}, "Count": 0, "ScannedCount": 0}
	seen := after == ""
	for i, p := range s.paid[session] {
		if !seen {
			seen = p.id == after
			continue
		}
		answer["Items"] = []any{map[string]text{
			payment.AttributeSessionID: {session}, payment.AttributeTransactionID: {p.id}, payment.AttributeAmount: {p.amount}, payment.AttributeCurrency: {p.code},
			payment.AttributeRegion: {p.region}, payment.AttributeTimestamp: {p.at.UTC().Format(payment.TimestampLayout)}, payment.AttributeStatus: {payment.StatusProcessed},
		}}
		answer["Count"], answer["ScannedCount"] = 1, 1
		if i+1 < len(s.paid[session]) {
			answer["LastEvaluatedKey"] = map[string]text{payment.AttributeSessionID: {session}, payment.AttributeTransactionID: {p.id}}
		}
		break
	}
	awswire.WriteJSON(w, answer)
}

// invoke answers for the reconcile function: everything is there.
func (s *simulated) invoke(w http.ResponseWriter, r *http.Request, body []byte) {
	if !strings.Contains(r.URL.Path, "/functions/payment-dev-reconcile/invocations") {
		s.t.Errorf("%s is invoked", r.URL.Path)
	}
	if r.Header.Get("X-Amz-Invocation-Type") == "DryRun" {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	var asked struct {
		From, To time.Time
		DryRun   bool
	}
	if err := json.Unmarshal(body, &asked); err != nil || !asked.DryRun || !asked.From.Before(asked.To) {
		s.t.Errorf("a reconciliation is asked for with %s", body)
	}
	count := 0
	for _, payments := range s.paid {
		count += len(payments)
	}
	fmt.Fprintf(w, `{"clean":true,"from":%q,"to":%q,"doneUpTo":%[2]q,"dryRun":true,"complete":true,"counts":{"table":%[3]d,"ledgerBefore":%[3]d,"ledger":%[3]d}}`,
		asked.From.Format(time.RFC3339Nano), asked.To.Format(time.RFC3339Nano), count)
}
