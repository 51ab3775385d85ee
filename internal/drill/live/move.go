package live

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/arcregionswitch"
	plantypes "github.com/aws/aws-sdk-go-v2/service/arcregionswitch/types"

	"payments-dr/internal/drill"
	"payments-dr/internal/operate"
)

// switchover is the name of what the drill does to the ledger. To the measure it is a fault: from the beginning of the promotion
// on, the old writer takes nothing.
const switchover = "planned switchover"

// Move is what the hypothesis has the recovery plan do.
func (h Hypothesis) Move() operate.Move { return operate.Move{To: h.Action.To, Planned: true} }

// move has the recovery plan make the other Region the writer, and follows it to its end. What stands in the way is looked at
// again: minutes have passed since somebody agreed.
func (l *liveDrill) move(ctx context.Context) error {
	d, move := l.Deployment, l.Hypothesis.Move()
	status := d.Look(ctx)
	if err := ctx.Err(); err != nil {
		return err
	}
	var against []string
	for _, p := range d.Preconditions(status, move) {
		if p.Finding == operate.FindingAgainst {
			against = append(against, p.Name+": "+p.Says)
		}
	}
	if len(against) > 0 {
		return fmt.Errorf("%w was not started: %s", ErrMove, strings.Join(against, "; "))
	}
	id, err := d.Start(ctx, move, status.PlanARN(), l.Who+", "+l.ID)
	if _, unsettled := errors.AsType[*operate.UnsettledStartError](err); unsettled {
		l.result.Unsettled = err
	}
	if err != nil {
		return fmt.Errorf("%w was not started: %w", ErrMove, err)
	}
	fmt.Fprintf(l.Out, "Started in %s: execution %s\n", move.To, id)
	told := &steps{liveDrill: l, from: status.Writer, to: move.To, told: map[string]bool{}}
	err = operate.Follower{
		Deployment: d, Region: move.To, PlanARN: status.PlanARN(), ID: id, Every: l.Clock.Real(l.Every), Patience: l.Patience, Out: l.Out, Changed: told.tell,
	}.Follow(ctx)
	switch {
	case errors.Is(err, operate.ErrNotDone):
		l.breaks(err.Error())
		return fmt.Errorf("%w has not done everything", ErrMove)
	case errors.Is(err, operate.ErrNotClean):
		l.breaks("by the platform's own metrics: " + err.Error())
	case errors.Is(err, operate.ErrNoVerdict), err == nil: // the drill asks for a reconciliation of its own
	default:
		l.result.Open = id
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return fmt.Errorf("%w is not watched any more: %w", ErrMove, err)
	}
	return nil
}

// steps tells the events of an execution, each once, with the times that the Region gives.
type steps struct {
	*liveDrill
	from, to string
	told     map[string]bool
}

func (s *steps) tell(e *arcregionswitch.GetPlanExecutionOutput) {
	name := "activate " + s.to + ", " + string(e.Mode)
	s.once("begins", e.StartTime, drill.Event{Kind: drill.KindPlanBegins, Name: name, Region: s.to})
	for _, step := range e.StepStates {
		at := aws.ToString(step.Name)
		result, ended := results[step.Status]
		if step.Status == plantypes.StepStatusNotStarted {
			continue
		}
		s.once(at+" begins", step.StartTime, drill.Event{Kind: drill.KindStepBegins, Name: at, Region: s.to})
		if at == operate.StepPromote {
			s.once("writer leaves", step.StartTime, drill.Event{
				Kind: drill.KindFaultBegins, Name: switchover, Region: s.from, Text: "the promotion begins", Hits: []drill.Subject{drill.SubjectLedger}, Planned: true,
			})
		}
		if !ended {
			continue
		}
		if at == operate.StepPromote && result == drill.ResultCompleted {
			s.once("promoted", step.EndTime, drill.Event{Kind: drill.KindPromotion, Region: s.to})
		}
		s.once(at+" ends", step.EndTime, drill.Event{Kind: drill.KindStepEnds, Name: at, Region: s.to, Result: result})
	}
	if e.EndTime == nil {
		return
	}
	result := drill.ResultFailed
	switch e.ExecutionState {
	case plantypes.ExecutionStateCompleted, plantypes.ExecutionStateCompletedMonitoringApplicationHealth, plantypes.ExecutionStateCompletedWithExceptions:
		result = drill.ResultCompleted
	}
	if s.told["writer leaves"] {
		s.once("writer is there", e.EndTime, drill.Event{Kind: drill.KindFaultEnds, Name: switchover, Region: s.from})
	}
	s.once("ends", e.EndTime, drill.Event{Kind: drill.KindPlanEnds, Name: name, Region: s.to, Result: result})
}

// results are how steps end, in the words of the measure.
var results = map[plantypes.StepStatus]string{
	plantypes.StepStatusCompleted: drill.ResultCompleted, plantypes.StepStatusSkipped: drill.ResultSkipped,
	plantypes.StepStatusFailed: drill.ResultFailed, plantypes.StepStatusCancelled: drill.ResultFailed,
}

// once tells an event at its time, or now if the Region gives none.
func (s *steps) once(key string, at *time.Time, event drill.Event) {
	if s.told[key] {
		return
	}
	s.told[key] = true
	event.At = aws.ToTime(at)
	s.event(event)
}
