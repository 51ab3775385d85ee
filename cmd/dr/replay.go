package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"payments-dr/internal/operate"
)

// replaying has what dr redrive and dr replay have in common.
type replaying struct {
	regional
	every, patience time.Duration
	dryRun, yes     bool
}

func (r *replaying) flags(command *cobra.Command, otherwise, word string) {
	r.regional.flags(command, otherwise)
	flags := command.Flags()
	flags.BoolVar(&r.dryRun, "dry-run", false, "show what there is and what would be done, and do nothing")
	flags.BoolVar(&r.yes, "yes", false, "do not ask to type "+word)
	flags.DurationVar(&r.every, "every", 5*time.Second, "how long to wait between two looks")
	flags.DurationVar(&r.patience, "patience", 2*time.Minute, "how long AWS may give no answer before the waiting ends")
}

// newReplayCommand replays a window of the bus's archive.
func newReplayCommand() *cobra.Command {
	var (
		r        replaying
		from, to string
		another  bool
	)
	command := &cobra.Command{
		Use:   "replay --from TIME [--to TIME]",
		Short: "Send the events of a window to the ledger's queue again",
		Long: "Have EventBridge replay the events of a window from the archive of a Region's bus, to the ledger's rule alone, and follow it. What the ledger\n" +
			"has already it knows. For payments that are in the table, dr reconcile does the same faster, and proves it; this is for when the table is in doubt.\n\n" +
			"The ends of the window are times of RFC 3339, or how long ago. It ends ten minutes ago at the latest: events take that long to the archive. The\n" +
			"same command again follows a replay that goes on. Nothing here stops one; the message says what does.\n\n" +
			"Needs: cdk.json, and credentials of the operator's role of the Region, payment-<env>-operator-<region> (dr help credentials).\n\nLeaves behind: a replay, which goes on without this command; events in the ledger queue of that Region.\n\nExit status: 1 if it is refused or fails, 3 if something could not be asked, 4 if the replay goes on unwatched.",
		Example: "  dr replay --from 6h --dry-run\n  dr replay --from 2026-11-22T03:00:00Z --to 2026-11-22T05:30:00Z",
		Args:    cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			if err := checkEvery(r.every); err != nil {
				return err
			}
			if from == "" {
				return exit(exitUsage, "--from is missing: where the window begins")
			}
			return r.archive(command, from, to, another)
		},
	}
	r.flags(command, "the writer's", "the Region's name")
	flags := command.Flags()
	flags.StringVar(&from, "from", "", "where the window begins: a time of RFC 3339, or how long ago")
	flags.StringVar(&to, "to", "", "where it ends; empty: ten minutes ago")
	flags.BoolVar(&another, "again", false, "replay a window once more that was replayed")
	return command
}

func (r *replaying) archive(command *cobra.Command, from, to string, another bool) error {
	ctx, out := command.Context(), command.OutOrStdout()
	deployment, region, writer, err := r.open(ctx)
	if err != nil {
		return err
	}
	window, err := windowOf(from, to, 0, operate.ArchiveSettle, deployment.Now())
	if err != nil {
		return err
	}
	replayer := deployment.Replayer(region, region, r.every, r.patience, out)
	archive, err := replayer.Archive(ctx)
	if err != nil {
		return failed(ctx, "nothing was started in "+region.Name, err)
	}
	if oldest := deployment.Now().Add(-archive.Retention); archive.Retention > 0 && window.From.Before(oldest) {
		return exit(exitUsage, "--from is %s; the archive goes back to %s. What is older is in the table: dr reconcile", window.From.Format(time.RFC3339), oldest.UTC().Format(time.RFC3339))
	}
	before, err := replayer.CountLedger(ctx)
	if err != nil {
		return failed(ctx, "nothing was started in "+region.Name, err)
	}
	last, turn, err := replayer.FindReplay(ctx, window)
	if err != nil {
		return failed(ctx, "nothing was started in "+region.Name, err)
	}
	fmt.Fprintf(out, "Replay %s to %s in %s, to the rule %s alone\n\n", window.From.Format(time.RFC3339), window.To.Format(time.RFC3339), region.Name, operate.LedgerRule(deployment.Settings))
	fmt.Fprintf(out, "  archive  %s, %s: %d events in all, counted once a day\n  ledger   %s in its queue\n", archive.Name, strings.ToLower(archive.State), archive.Events, before)
	if writer != "" && writer != region.Name {
		fmt.Fprintf(out, "  mind     the writer is %s: nothing empties the queue here\n", writer)
	}
	if turn > 0 {
		fmt.Fprintf(out, "  before   %s is %s\n", last.Name, strings.ToLower(last.State))
	}
	fmt.Fprintln(out)
	name := last.Name
	switch {
	case turn > 0 && !last.Ended():
		if r.dryRun {
			return nil
		}
		fmt.Fprintf(out, "It is running already, and is followed.\n")
	case turn > 0 && !another:
		return fmt.Errorf("nothing was started: this window was replayed, and that is %s; once more with --again", strings.ToLower(last.State))
	case r.dryRun:
		return nil
	default:
		if err := confirmed(command, r.yes, region.Name, "start", "nothing was done"); err != nil {
			return err
		}
		if name, err = replayer.StartReplay(ctx, archive, window, turn+1, username()); err != nil {
			return failed(ctx, "it is not known to be started; the same command again finds out", err)
		}
		fmt.Fprintf(out, "Started: %s\n", name)
	}
	_, err = replayer.FollowReplay(ctx, name, window)
	after, countErr := replayer.CountLedger(context.WithoutCancel(ctx))
	if countErr == nil {
		fmt.Fprintf(out, "The ledger's queue: before %s; after %s, approximately, and the ledger empties it meanwhile.\n", before, after)
	}
	if errors.Is(err, operate.ErrGoesOn) {
		return exit(exitLeftOpen, "%w: replay %s. Watch it: dr replay --env %s --region %s --from %s --to %s. Stop it: aws events cancel-replay --region %s --replay-name %s", err, name,
			deployment.Settings.Environment, region.Name, window.From.Format(time.RFC3339), window.To.Format(time.RFC3339), region.Name, name)
	}
	if err != nil {
		return failed(ctx, name, err)
	}
	return nil
}
