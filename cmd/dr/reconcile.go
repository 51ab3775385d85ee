package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"payments-dr/internal/drill"
	"payments-dr/internal/operate"
	"payments-dr/internal/payment/reconcile"
)

// The lengths of a part of a window: an invocation has 15 minutes.
const leastPart, mostPart = 10 * time.Minute, 72 * time.Hour

// lastHours is the window of a reconciliation without --from.
const lastHours = 2 * time.Hour

func newReconcileCommand() *cobra.Command {
	var (
		where          regional
		from, to       string
		part           time.Duration
		dryRun, asJSON bool
	)
	command := &cobra.Command{
		Use:   "reconcile",
		Short: "Compare what was accepted with what is recorded, and record what is missing",
		Long: "Have the reconciliation of the writer's Region compare the session table with the ledger over a window, both ways, and record in the\n" +
			"ledger what is missing there. It changes nothing that is recorded, so that it may be run at any time and again. With --dry-run it only counts.\n\n" +
			"The ends of the window are times of RFC 3339, or how long ago, such as 36h. Without --from it begins two hours ago, and\n" +
			"without --to it ends two minutes ago, as late as it may: the table's index follows the table. Any length will do: it is worked off in\n" +
			"parts, an invocation each, and a part that an invocation has no time for is halved.\n\n" +
			"Needs: cdk.json, and credentials of the operator's role of the Region, payment-<env>-operator-<region> (dr help credentials).\n\nLeaves behind: payments in the ledger that were missing there; nothing with --dry-run. An invocation that was begun ends by itself.\n\nExit status: 1 if ledger and table do not agree after it, 3 if that is not known of the whole window, 4 if interrupted while an invocation runs.",
		Example: "  dr reconcile --from 36h --dry-run\n  dr reconcile --from 2026-11-22T03:00:00Z --to 2026-11-22T05:30:00Z\n  dr reconcile --json | jq .counts",
		Args:    cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			if part < leastPart || part > mostPart {
				return exit(exitUsage, "--part is %s; allowed is %s to %s", part, leastPart, mostPart)
			}
			ctx, out := command.Context(), command.OutOrStdout()
			deployment, region, _, err := where.open(ctx)
			if err != nil {
				return err
			}
			window, err := windowOf(from, to, lastHours, operate.ReconcileSettle, deployment.Now())
			if err != nil {
				return err
			}
			r := deployment.Reconciler(region)
			if err := takesWrites(ctx, r, region.Name); err != nil {
				return err
			}
			var tell func(reconcile.Report)
			if !asJSON {
				what := ""
				if dryRun {
					what = ", and only count"
				}
				fmt.Fprintf(out, "Reconcile %s to %s in %s%s\n\n", window.From.Format(time.RFC3339), window.To.Format(time.RFC3339), region.Name, what)
				tell = func(report reconcile.Report) { fmt.Fprintln(out, operate.ReportLine(report)) }
			}
			total, err := r.Run(ctx, region.Name, window, part, dryRun, tell)
			again := func(from time.Time) string {
				return fmt.Sprintf("dr reconcile --env %s --region %s --from %s --to %s", deployment.Settings.Environment, region.Name, from.Format(time.RFC3339Nano), window.To.Format(time.RFC3339Nano))
			}
			unfinished, is := errors.AsType[*operate.UnfinishedError](err)
			switch {
			case is && ctx.Err() != nil:
				return exit(exitLeftOpen, "interrupted: an invocation may go on, for 15 minutes at most. It does no harm to ask again: %s", again(unfinished.DoneUpTo))
			case is:
				return exit(exitUnknown, "%w. What was recorded stays, and it does no harm to ask again: %s", unfinished, again(unfinished.DoneUpTo))
			}
			if asJSON {
				if err := writeJSON(out, total, "  "); err != nil {
					return err
				}
			} else {
				total.Write(out, drill.Colour(out))
			}
			if !total.Clean {
				return errors.New("ledger and table do not agree; docs/operate/alarms.md says what to do about each fault")
			}
			return nil
		},
	}
	where.flags(command, "the writer's")
	flags := command.Flags()
	flags.StringVar(&from, "from", "", "where the window begins: a time of RFC 3339, or how long ago; empty: two hours ago")
	flags.StringVar(&to, "to", "", "where it ends; empty: two minutes ago")
	flags.DurationVar(&part, "part", 6*time.Hour, "the length of what one invocation is asked for")
	flags.BoolVar(&dryRun, "dry-run", false, "compare, and record nothing")
	flags.BoolVar(&asJSON, "json", false, "print JSON, with the function's own reports")
	return command
}

// windowOf is the window that two texts name. It ends settle before now at the latest, and begins back before now without a text.
func windowOf(from, to string, back, settle time.Duration, now time.Time) (w reconcile.Window, err error) {
	latest := now.UTC().Add(-settle).Truncate(time.Second)
	w.From, w.To = now.UTC().Add(-back).Truncate(time.Second), latest
	if from != "" {
		if w.From, err = operate.ParseMoment(from, now); err != nil {
			return w, exit(exitUsage, "--from: %w", err)
		}
	}
	if to != "" {
		if w.To, err = operate.ParseMoment(to, now); err != nil {
			return w, exit(exitUsage, "--to: %w", err)
		}
	}
	if w.To.After(latest) {
		return w, exit(exitUsage, "--to is %s; allowed is up to %s ago, %s", w.To.Format(time.RFC3339), settle, latest.Format(time.RFC3339))
	}
	if !w.From.Before(w.To) {
		return w, exit(exitUsage, "--from is %s; allowed is what is before --to, %s", w.From.Format(time.RFC3339), w.To.Format(time.RFC3339))
	}
	return w, nil
}

// takesWrites makes sure that the ledger is written in a Region.
func takesWrites(ctx context.Context, r operate.Reconciler, region string) error {
	writes, err := r.TakesWrites(ctx)
	if err != nil {
		return failed(ctx, "nothing was reconciled in "+region, err)
	}
	if !writes {
		return fmt.Errorf("nothing was reconciled: the cluster in %s takes no writes. The reconciliation is where the writer is", region)
	}
	return nil
}
