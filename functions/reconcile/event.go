package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"payments-dr/internal/payment/reconcile"
)

const (
	// minWindowMinutes and maxWindowMinutes bound a window that is given in minutes. 72 hours is how far back the ledger can be
	// brought.
	minWindowMinutes, maxWindowMinutes = 2, 72 * 60
)

// event is what the function is asked for: all of it may be missing, and it may be in an envelope of other fields, which are
// not looked at (a Region switch plan and a schedule send their own).
type event struct {
	From          json.RawMessage `json:"from"`
	To            json.RawMessage `json:"to"`
	WindowMinutes json.RawMessage `json:"windowMinutes"`
	DryRun        json.RawMessage `json:"dryRun"`
}

// parseEvent is the window of an event, and whether nothing is to be recorded. A window of windowMinutes ends at end. The window is
// zero if the event has none. The error names every fault.
func parseEvent(payload []byte, now, end time.Time) (window reconcile.Window, dryRun bool, err error) {
	var e event
	if trimmed := bytes.TrimSpace(payload); len(trimmed) > 0 { // an invocation may have no payload at all
		if err := json.Unmarshal(trimmed, &e); err != nil {
			return window, false, fmt.Errorf("the event is %s; allowed is a JSON object", shortened(trimmed))
		}
	}
	var faults []error
	if e.DryRun != nil {
		if err := json.Unmarshal(e.DryRun, &dryRun); err != nil || isNull(e.DryRun) {
			faults = append(faults, fmt.Errorf("dryRun is %s; allowed are true and false", shortened(e.DryRun)))
		}
	}
	switch {
	case e.WindowMinutes != nil && (e.From != nil || e.To != nil):
		faults = append(faults, errors.New("windowMinutes is given together with from or to; allowed is one or the other"))
	case e.WindowMinutes != nil:
		var minutes int
		if err := json.Unmarshal(e.WindowMinutes, &minutes); err != nil || minutes < minWindowMinutes || minutes > maxWindowMinutes {
			faults = append(faults, fmt.Errorf("windowMinutes is %s; allowed are whole minutes from %d to %d",
				shortened(e.WindowMinutes), minWindowMinutes, maxWindowMinutes))
		}
		window = reconcile.Window{From: now.Add(-time.Duration(minutes) * time.Minute), To: end}
	case e.From != nil || e.To != nil:
		var fromErr, toErr error
		window.From, fromErr = parseTime("from", e.From)
		window.To, toErr = parseTime("to", e.To)
		switch {
		case fromErr != nil || toErr != nil:
			faults = append(faults, fromErr, toErr)
		case !window.From.Before(window.To):
			faults = append(faults, fmt.Errorf("from is %s; allowed is what is before to, %s", shortened(e.From), shortened(e.To)))
		case window.To.After(end):
			faults = append(faults, fmt.Errorf("to is %s; allowed is up to %v before now, %s", shortened(e.To), now.Sub(end), end.Format(time.RFC3339)))
		}
	}
	return window, dryRun, errors.Join(faults...)
}

func parseTime(field string, given json.RawMessage) (time.Time, error) {
	const allowed = "allowed is a time of RFC 3339 such as 2026-11-22T03:00:00Z"
	if given == nil {
		return time.Time{}, fmt.Errorf("%s is missing; %s", field, allowed)
	}
	var text string
	if err := json.Unmarshal(given, &text); err != nil {
		return time.Time{}, fmt.Errorf("%s is %s; %s", field, shortened(given), allowed)
	}
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return time.Time{}, fmt.Errorf("%s is %s; %s", field, shortened(given), allowed)
	}
	return t.UTC(), nil
}

func isNull(given json.RawMessage) bool { return string(given) == "null" }

// shortened shows a value of an event, but not a novel.
func shortened(given []byte) string {
	const most = 80
	if runes := []rune(string(given)); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return string(given)
}
