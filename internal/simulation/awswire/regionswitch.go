package awswire

import (
	"net/http"
	"time"

	"github.com/aws/smithy-go/encoding/cbor"
)

// Plan is a plan of Region switch and its executions. Whoever has it keeps requests apart.
type Plan struct {
	ARN string
	// Now is the time of an evaluation.
	Now func() time.Time
	// Warning is an evaluation's, if it has one, and WarnedStep the step that it is about.
	Warning, WarnedStep string
	// Record is the name that the plan's health checks belong to, in Zone; each Region has one.
	Zone, Record string
	Regions      []string
	Healthy      func(region string) bool
	Executions   []*Execution
	// Start starts an execution and adds it to Executions; nil is a refusal, because one is in progress.
	Start func(Start) *Execution
	// Look is called when somebody looks at an execution, before the answer. It may be nil.
	Look func(*Execution)
}

// Start is a request to start an execution in a Region.
type Start struct{ Region, TargetRegion, Action, LatestVersion, Mode, Comment string }

// Execution is an execution of a plan.
type Execution struct {
	ID, Region, Mode, Comment, State string
	Started, Ended                   time.Time
	Steps                            []*Step
}

// Step is a step of an execution.
type Step struct {
	Name, Status string
	Began, Ended time.Time
}

// Set gives a step a status, and notes when it began and ended.
func (e *Execution) Set(step, status string, now time.Time) {
	for _, one := range e.Steps {
		if one.Name != step {
			continue
		}
		one.Status = status
		if one.Began.IsZero() {
			one.Began = now
		}
		if status == "completed" || status == "skipped" || status == "failed" {
			one.Ended = now
		}
	}
}

// Serve answers a request in a Region. It is false, and nothing is answered, if the operation is none that is simulated.
func (p *Plan) Serve(w http.ResponseWriter, region, operation string, asked cbor.Map) bool {
	arn := cbor.String(p.ARN)
	switch operation {
	case "GetPlanEvaluationStatus":
		answer := cbor.Map{"planArn": arn, "evaluationState": cbor.String("passed"), "lastEvaluationTime": moment(p.Now())}
		if p.Warning != "" {
			answer["evaluationState"] = cbor.String("actionRequired")
			answer["warnings"] = cbor.List{cbor.Map{"version": cbor.String("1"), "warningStatus": cbor.String("active"), "warningMessage": cbor.String(p.Warning),
				"stepName": cbor.String(p.WarnedStep), "warningUpdatedTime": moment(p.Now())}}
		}
		WriteCBOR(w, http.StatusOK, answer)
	case "ListRoute53HealthChecksInRegion":
		checks := cbor.List{}
		for _, one := range p.Regions {
			status := "unhealthy"
			if p.Healthy(one) {
				status = "healthy"
			}
			checks = append(checks, cbor.Map{"hostedZoneId": cbor.String(p.Zone), "recordName": cbor.String(p.Record), "region": cbor.String(one), "status": cbor.String(status)})
		}
		WriteCBOR(w, http.StatusOK, cbor.Map{"healthChecks": checks})
	case "ListPlanExecutions":
		items := cbor.List{}
		for _, e := range p.Executions {
			items = append(items, e.summary(arn))
		}
		WriteCBOR(w, http.StatusOK, cbor.Map{"items": items})
	case "StartPlanExecution":
		e := p.Start(Start{region, text(asked, "targetRegion"), text(asked, "action"), text(asked, "latestVersion"), text(asked, "mode"), text(asked, "comment")})
		if e == nil {
			WriteError(w, "arc-region-switch", http.StatusBadRequest, "IllegalStateException", "an execution of the plan is in progress")
			return true
		}
		WriteCBOR(w, http.StatusOK, cbor.Map{"executionId": cbor.String(e.ID), "activateRegion": cbor.String(region)})
	case "GetPlanExecution":
		for _, e := range p.Executions {
			if e.ID == text(asked, "executionId") && e.Region == region {
				if p.Look != nil {
					p.Look(e)
				}
				answer := e.summary(arn)
				answer["stepStates"] = e.states()
				WriteCBOR(w, http.StatusOK, answer)
				return true
			}
		}
		WriteError(w, "arc-region-switch", http.StatusBadRequest, "ResourceNotFoundException", "no such execution")
	default:
		return false
	}
	return true
}

func (e *Execution) summary(plan cbor.String) cbor.Map {
	answer := cbor.Map{
		"planArn": plan, "executionId": cbor.String(e.ID), "executionRegion": cbor.String(e.Region), "executionAction": cbor.String("activate"),
		"executionState": cbor.String(e.State), "mode": cbor.String(e.Mode), "startTime": moment(e.Started), "comment": cbor.String(e.Comment),
	}
	if !e.Ended.IsZero() {
		answer["endTime"] = moment(e.Ended)
	}
	return answer
}

func (e *Execution) states() cbor.List {
	states := cbor.List{}
	for _, step := range e.Steps {
		state := cbor.Map{"name": cbor.String(step.Name), "status": cbor.String(step.Status), "stepMode": cbor.String(e.Mode)}
		if !step.Began.IsZero() {
			state["startTime"] = moment(step.Began)
		}
		if !step.Ended.IsZero() {
			state["endTime"] = moment(step.Ended)
		}
		states = append(states, state)
	}
	return states
}
