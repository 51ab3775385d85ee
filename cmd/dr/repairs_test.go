package main

import (
	"bytes"
	"net/http"
	"net/url"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// repairs is what the simulated deployment has for the commands that repair: what can be brought back, the reconciliation's function,
// the queues, the bus. Each is in a file of its own.
type repairs struct {
	restores  *restores
	reconcile reconciliations
	letters   *letters
}

func newRepairs() *repairs {
	return &repairs{restores: newRestores(), letters: newLetters()}
}

// repair answers a request, if it is one of these.
func (s *simulated) repair(w http.ResponseWriter, r *http.Request, service, region, operation string, body []byte) bool {
	switch service {
	case "rds":
		form, err := url.ParseQuery(string(body))
		if err != nil {
			s.t.Errorf("a request that is no form: %v", err)
		}
		s.clusters(w, region, operation, form)
	case "dynamodb":
		if operation == "Query" && !bytes.Contains(body, []byte(`"IndexName"`)) {
			s.query(w, body) // a drill's
			return true
		}
		s.tables(w, region, operation, body)
	case "lambda":
		if drilled := len(s.paid) > 0 && bytes.Contains(body, []byte(`"dryRun":true`)); drilled || r.Header.Get("X-Amz-Invocation-Type") == "DryRun" {
			s.invoke(w, r, body) // a drill's
			return true
		}
		s.invokeReconcile(w, r, region, body)
	case "sqs":
		s.sqs(w, region, operation, body)
	case "events":
		s.events(w, region, operation, body)
	default:
		return false
	}
	return true
}

// simulate changes it, if the script's command is one of these.
func (p *repairs) simulate(ts *testscript.TestScript, s *simulated, args []string) bool {
	switch args[0] {
	case "moment", "restores", "databases", "sessions":
		p.restores.simulate(ts, args)
	case "letters", "moves", "bus", "replays", "undeletable", "waiting", "moving-already", "hidden":
		p.letters.simulate(ts, args)
	case "reconcile":
		p.reconcile = reconciliations{goes: strings.Join(args[1:], " ")}
	case "reconciled-windows": // how many were asked for, one after the other or apart, and of what length: reconciled-windows 3 6h apart
		p.reconcile.check(ts, args[1:])
	default:
		return false
	}
	return true
}
