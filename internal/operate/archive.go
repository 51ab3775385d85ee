package operate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	eventtypes "github.com/aws/aws-sdk-go-v2/service/eventbridge/types"

	"payments-dr/internal/payment/reconcile"
	"payments-dr/internal/settings"
)

// ArchiveSettle is how long before now a replay ends at the latest: an event may be that long on its way to the archive ("Archiving and
// replaying events in Amazon EventBridge", Amazon EventBridge User Guide).
const ArchiveSettle = 10 * time.Minute

// LedgerRule is the name of the rule that brings every payment's event to the ledger's queue.
func LedgerRule(s *settings.Settings) string { return EventBus(s) + "-ledger" }

// Archive is a Region's archive of its bus.
type Archive struct {
	Name, ARN, BusARN string
	State             string
	// Retention is how far back it goes; 0 is for ever.
	Retention time.Duration
	// Events is how many it holds; AWS counts once a day.
	Events int64
}

// Archive looks at the Region's archive. Its error is a Problem.
func (r *Replayer) Archive(ctx context.Context) (Archive, error) {
	name := EventBus(r.Settings)
	out, err := limited(ctx, func(ctx context.Context) (*eventbridge.DescribeArchiveOutput, error) {
		return r.Bus.DescribeArchive(ctx, &eventbridge.DescribeArchiveInput{ArchiveName: &name})
	})
	if _, missing := errors.AsType[*eventtypes.ResourceNotFoundException](err); missing {
		return Archive{}, &Problem{KindNotDeployed, "there is no archive " + name + " in " + r.Region}
	}
	if err != nil {
		return Archive{}, Explain(err)
	}
	a := Archive{
		Name: name, ARN: aws.ToString(out.ArchiveArn), BusARN: aws.ToString(out.EventSourceArn), State: string(out.State),
		Retention: time.Duration(aws.ToInt32(out.RetentionDays)) * 24 * time.Hour, Events: out.EventCount,
	}
	if !strings.Contains(a.ARN, ":archive/") || !strings.Contains(a.BusARN, ":event-bus/") {
		return Archive{}, Explain(fmt.Errorf("%w: the archive is %q of %q", errMalformed, a.ARN, a.BusARN))
	}
	return a, nil
}

// Replaying is a replay as it stands.
type Replaying struct {
	Name, State, Reason string
	// Upto is the time of the last event that was replayed; zero before the first.
	Upto time.Time
}

// Ended is whether it does not go on.
func (r Replaying) Ended() bool {
	return r.State == string(eventtypes.ReplayStateCompleted) || r.State == string(eventtypes.ReplayStateCancelled) || r.State == string(eventtypes.ReplayStateFailed)
}

// ReplayName is what a replay of a window is called: the same for the same window and turn, so that it is found again. turn counts
// from 1.
func ReplayName(s *settings.Settings, w reconcile.Window, turn int) string {
	const layout = "20060102T150405Z"
	name := EventBus(s) + "-" + w.From.UTC().Format(layout) + "-" + w.To.UTC().Format(layout)
	if turn > 1 {
		name += fmt.Sprintf("-%d", turn)
	}
	return name
}

// FindReplay looks for a replay of a window: the last turn that there is. The turn is 0 if there is none.
func (r *Replayer) FindReplay(ctx context.Context, w reconcile.Window) (last Replaying, turn int, err error) {
	for {
		found, err := r.describe(ctx, ReplayName(r.Settings, w, turn+1))
		if _, missing := errors.AsType[*eventtypes.ResourceNotFoundException](err); missing {
			return last, turn, nil
		}
		if err != nil {
			return last, turn, Explain(err)
		}
		last = found
		turn++
	}
}

func (r *Replayer) describe(ctx context.Context, name string) (Replaying, error) {
	out, err := limited(ctx, func(ctx context.Context) (*eventbridge.DescribeReplayOutput, error) {
		return r.Bus.DescribeReplay(ctx, &eventbridge.DescribeReplayInput{ReplayName: &name})
	})
	if err != nil {
		return Replaying{}, err
	}
	if out.State == "" {
		return Replaying{}, fmt.Errorf("%w: replay %s has no state", errMalformed, name)
	}
	return Replaying{Name: name, State: string(out.State), Reason: aws.ToString(out.StateReason), Upto: aws.ToTime(out.EventLastReplayedTime).UTC()}, nil
}

// StartReplay starts the replay of a window to the ledger's rule alone: the other Region has a bus and an archive of its own.
func (r *Replayer) StartReplay(ctx context.Context, a Archive, w reconcile.Window, turn int, who string) (string, error) {
	name := ReplayName(r.Settings, w, turn)
	rule := strings.Replace(a.BusARN, ":event-bus/", ":rule/", 1) + "/" + LedgerRule(r.Settings)
	_, err := r.Bus.StartReplay(context.WithoutCancel(ctx), &eventbridge.StartReplayInput{
		ReplayName: &name, Description: aws.String("started by " + who), EventSourceArn: &a.ARN, EventStartTime: &w.From, EventEndTime: &w.To,
		Destination: &eventtypes.ReplayDestination{Arn: &a.BusARN, FilterArns: []string{rule}},
	})
	if _, there := errors.AsType[*eventtypes.ResourceAlreadyExistsException](err); there {
		return name, nil // started just now, by somebody else or by an attempt whose answer was lost
	}
	if limit, ok := errors.AsType[*eventtypes.LimitExceededException](err); ok {
		return "", &Problem{KindRefused, "no more replays may run at once in this account and Region: " + cmp.Or(aws.ToString(limit.Message), "the limit is ten")}
	}
	if err != nil {
		return "", Explain(err)
	}
	return name, nil
}

// FollowReplay tells how a replay goes on, until its end. Interrupted, or left without answers, the error is ErrGoesOn.
func (r *Replayer) FollowReplay(ctx context.Context, name string, w reconcile.Window) (Replaying, error) {
	began := r.Now()
	var told Replaying
	tolerance := newTolerance(r.Patience, r.Now, func(_, text string) { fmt.Fprintf(r.Out, "%8s  %s\n", "+"+short(r.Now().Sub(began)), text) })
	for {
		found, err := r.describe(ctx, name)
		switch {
		case ctx.Err() != nil:
			return told, ErrGoesOn
		case err != nil && !tolerance.failed("", err):
			return told, fmt.Errorf("%w; %w", Explain(err), ErrGoesOn)
		case err == nil:
			tolerance.answered("")
			if found != told {
				told = found
				fmt.Fprintf(r.Out, "%8s  %s%s\n", "+"+short(r.Now().Sub(began)), strings.ToLower(found.State), upto(found, w))
			}
			if found.State == string(eventtypes.ReplayStateCompleted) {
				return found, nil
			}
			if found.Ended() {
				return found, fmt.Errorf("the replay is %s: %s", strings.ToLower(found.State), printable(cmp.Or(found.Reason, "AWS gives no reason")))
			}
		}
		if r.wait(ctx, r.Every) != nil {
			return told, ErrGoesOn
		}
	}
}

// upto is how far a replay is, in the window that it is about.
func upto(r Replaying, w reconcile.Window) string {
	if r.Upto.IsZero() || r.Upto.Before(w.From) {
		return ""
	}
	return fmt.Sprintf(", up to %s, %d %%", r.Upto.Format(time.RFC3339), min(int(100*r.Upto.Sub(w.From)/w.To.Sub(w.From)), 100))
}
