package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"payments-dr/internal/operate"
)

// newRedriveCommand counts and brings back dead letters. All who read payments' events know a payment by its identity, so nothing is
// recorded twice.
func newRedriveCommand() *cobra.Command {
	var r replaying
	var ways strings.Builder
	for _, q := range operate.DeadLetterQueues {
		fmt.Fprintf(&ways, "  %-28s %s\n", q.Name, wrapped(q.Does, 100, 31))
	}
	command := &cobra.Command{
		Use:   "redrive [QUEUE]",
		Short: "Count the dead letters, or bring back those of a queue",
		Long: "Without a queue: count what is in each dead-letter queue of both Regions. With one: bring back what is in it, each queue the way that is\n" +
			"its own, and count again. Fix the cause first. A message is deleted only when what it is about is where it belongs.\n\n" +
			ways.String() + "\n" +
			"SQS's counts are approximate, and a minute behind.\n\n" +
			"Needs: cdk.json, and credentials of the operator's role of the Region, payment-<env>-operator-<region> (dr help credentials).\n\nLeaves behind: empty dead-letter queues, and what was in them where it belongs; nothing with --dry-run or without a queue.\n\nExit status: 1 if anything waits or is kept, or you do not confirm it; 3 if something could not be asked; 4 if SQS goes on moving.",
		Example: "  dr redrive\n  dr redrive ledger-dead-letters --dry-run\n  dr redrive undelivered-events --region us-west-2",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			if err := checkEvery(r.every); err != nil {
				return err
			}
			ctx := command.Context()
			deployment, err := r.env.open(ctx)
			if err != nil {
				return err
			}
			var queue operate.DeadLetterQueue
			if len(args) == 1 {
				if queue, err = operate.FindDeadLetterQueue(deployment.Settings, args[0]); err != nil {
					return exit(exitUsage, "%w", err)
				}
			}
			regions := deployment.Regions
			if r.region != "" {
				region, err := deployment.Region(r.region)
				if err != nil {
					return exit(exitUsage, "--region: %w", err)
				}
				regions = []operate.Region{region}
			}
			if err := deployment.SignIn(ctx); err != nil {
				return failed(ctx, "nothing was done", err)
			}
			writer, writerErr := deployment.Writer(ctx)
			d := deadLetters{r, command, deployment, writer, writerErr}
			if len(args) == 0 {
				return d.list(ctx, regions)
			}
			return d.replay(ctx, regions, queue)
		},
	}
	r.flags(command, "both", "the queue's name")
	return command
}

// wrapped breaks a text into lines, all but the first indented.
func wrapped(text string, width, indent int) string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(text) {
		if line != "" && len(line)+1+len(word) > width {
			lines, line = append(lines, line), ""
		}
		line = strings.TrimPrefix(line+" "+word, " ")
	}
	return strings.Join(append(lines, line), "\n"+strings.Repeat(" ", indent))
}

type deadLetters struct {
	replaying
	command    *cobra.Command
	deployment *operate.Deployment
	// writer is the Region that the ledger is written in, or writerErr why that is not known.
	writer    string
	writerErr error
}

// replayer is one for a Region. Without a writer it reconciles nowhere.
func (d *deadLetters) replayer(region operate.Region) *operate.Replayer {
	writer := region
	if at, err := d.deployment.Region(d.writer); err == nil {
		writer = at
	}
	return d.deployment.Replayer(region, writer, d.every, d.patience, d.command.OutOrStdout())
}

func (d *deadLetters) heading(region string) string {
	if region == d.writer {
		return region + ", the writer"
	}
	return region
}

func (d *deadLetters) list(ctx context.Context, regions []operate.Region) error {
	out := d.command.OutOrStdout()
	waiting, unknown := 0, 0
	for _, region := range regions {
		fmt.Fprintln(out, d.heading(region.Name))
		r := d.replayer(region)
		for _, q := range operate.DeadLetterQueues {
			count, err := r.Count(ctx, q)
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err != nil {
				fmt.Fprintf(out, "  %-28s not known: %s\n", q.Name, operate.Explain(err).Text)
				unknown++
				if operate.Explain(err).Kind == operate.KindUnreachable {
					break // the Region's others would not answer either, each for as long
				}
				continue
			}
			way := ""
			if waiting += count.All(); count.All() > 0 {
				way = ": " + q.Does
			}
			fmt.Fprintf(out, "  %-28s %s%s\n", q.Name, count, way)
		}
	}
	switch {
	case unknown > 0:
		return exit(exitUnknown, "%d questions have no answer", unknown)
	case waiting > 0:
		return errors.New("dead letters wait: dr redrive QUEUE")
	}
	fmt.Fprintln(out, "No dead letters.")
	return nil
}

// replay brings back a queue's messages in each Region that has any.
func (d *deadLetters) replay(ctx context.Context, regions []operate.Region, q operate.DeadLetterQueue) error {
	out := d.command.OutOrStdout()
	fmt.Fprintf(out, "%s: %s\n", q.Name, q.Does)
	var due []operate.Region
	before := map[string]operate.QueueCount{}
	var unknown error
	for _, region := range regions {
		count, err := d.replayer(region).Count(ctx, q)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			fmt.Fprintf(out, "  %s: not known: %s\n", d.heading(region.Name), operate.Explain(err).Text)
			unknown = err
			continue
		}
		before[region.Name] = count
		note := ""
		switch {
		case count.All() == 0:
		case q.Remedy == operate.RemedyMove && d.writerErr == nil && region.Name != d.writer:
			note = ". They stay: nothing records them here, and they would come back. Each is in the writer's queue or ledger too: dr reconcile shows it, then purge"
		default:
			due = append(due, region)
		}
		fmt.Fprintf(out, "  %s: %s%s\n", d.heading(region.Name), count, note)
	}
	switch {
	case q.Remedy == operate.RemedyNone:
		return fmt.Errorf("there is no replay of %s", q.Name)
	case len(due) > 0 && d.writerErr != nil && q.Remedy != operate.RemedyPut:
		return failed(ctx, "nothing was done, because the writer is not known", d.writerErr)
	case len(due) > 0 && !d.dryRun:
		if err := confirmed(d.command, d.yes, q.Name, "bring them back", "nothing was done"); err != nil {
			return err
		}
		for _, region := range due {
			if err := d.one(ctx, region, q, before[region.Name]); err != nil {
				return err
			}
		}
	case len(due) == 0 && unknown == nil:
		fmt.Fprintln(out, "Nothing is to be brought back.")
	}
	if unknown != nil {
		return exit(exitUnknown, "not known everywhere: %w", operate.Explain(unknown))
	}
	return nil
}

func (d *deadLetters) one(ctx context.Context, region operate.Region, q operate.DeadLetterQueue, before operate.QueueCount) error {
	out := d.command.OutOrStdout()
	r := d.replayer(region)
	if err := d.deployment.Deployed(ctx, region); err != nil {
		return failed(ctx, "nothing was done in "+region.Name, err)
	}
	ledgerBefore, err := r.CountLedger(ctx)
	if err != nil {
		return failed(ctx, "nothing was done in "+region.Name, err)
	}
	fmt.Fprintf(out, "\n%s\n", d.heading(region.Name))
	done, err := r.Replay(ctx, q)
	settled := context.WithoutCancel(ctx) // counted even if interrupted: each question has its limit
	word := func(count operate.QueueCount, err error) string {
		if err != nil {
			return "not known, " + operate.Explain(err).Text
		}
		return count.String()
	}
	fmt.Fprintf(out, "  brought back %d, kept %d\n  %-28s before %s; after %s\n", done.Done, done.Kept, q.Name, before, word(r.Count(settled, q)))
	if q.Remedy != operate.RemedyReconcile {
		fmt.Fprintf(out, "  %-28s before %s; after %s\n", "ledger", ledgerBefore, word(r.CountLedger(settled)))
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, operate.ErrGoesOn):
		return exit(exitLeftOpen, "%w: SQS moves the messages. Watch it: dr redrive --env %s --region %s %s", err, d.deployment.Settings.Environment, region.Name, q.Name)
	case errors.Is(err, operate.ErrKept):
		return err
	case unfinished(err) && ctx.Err() == nil:
		return exit(exitUnknown, "not all were brought back; the rest is in the queue: %w", err)
	case ctx.Err() != nil:
		return errors.New("interrupted: what was brought back is out of the queue, and the rest is in it. The same command again goes on")
	}
	return failed(ctx, "not all were brought back; the rest is in the queue", err)
}

// unfinished is whether a reconciliation did not come to its end.
func unfinished(err error) bool {
	_, is := errors.AsType[*operate.UnfinishedError](err)
	return is
}
