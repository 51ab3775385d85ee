package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os/user"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"payments-dr/internal/drill"
	"payments-dr/internal/operate"
)

// following is how an execution is followed.
type following struct{ every, patience, reconciledWithin time.Duration }

func (f *following) flags(command *cobra.Command) {
	flags := command.Flags()
	flags.DurationVar(&f.every, "every", 3*time.Second, "how long to wait between two looks at the execution")
	flags.DurationVar(&f.patience, "patience", 2*time.Minute, "how long the Region may give no answer before it is left alone")
	flags.DurationVar(&f.reconciledWithin, "reconciled-within", 5*time.Minute, "how long to wait afterwards for the word of the reconciliation")
}

// moving is what both commands that move have.
type moving struct {
	env         environment
	following   following
	dryRun, yes bool
}

func (m *moving) flags(command *cobra.Command) {
	m.env.of(command)
	m.env.operatorFlag(command)
	m.following.flags(command)
	command.Flags().BoolVar(&m.dryRun, "dry-run", false, "show preconditions and steps, and start nothing")
	command.Flags().BoolVar(&m.yes, "yes", false, "do not ask to type the Region's name")
}

// What both commands that move tell.
const (
	movingDoes = "First the preconditions are checked and shown. \"NO\" stands in the way; \"mind\" is yours to weigh. Then you type the Region's\n" +
		"name, and the plan is started in that Region, which is where it runs. Every step is told with the time since the start, at\n" +
		"the end what the reconciliation found. An interrupt ends the watching and never the execution. --dry-run starts nothing."
	movingNeeds = "cdk.json; credentials of the operator's role of the Region that is moved to, payment-<env>-operator-<region>, which is\n" +
		"enough with the other Region gone (dr help credentials); and a second person, signed in as payment-<env>-approver, who\n" +
		"approves within recovery.stepMinutes.approval, unless recovery.automatic is set."
	movingEnds = "0 if the move is done and reconciled; 1 if a precondition refuses it, you do not confirm it, the execution fails or\n" +
		"the reconciliation is not clean; 2 for wrong usage; 3 if it is not known whether it was started, or nothing tells of the\n" +
		"plan or of the reconciliation; 4 if the execution goes on unwatched, and the message says how to watch it."
)

func newFailoverCommand() *cobra.Command {
	var (
		m       moving
		to      string
		planned bool
	)
	command := &cobra.Command{
		Use:   "failover --to REGION",
		Short: "Move the ledger, and payments with it, to the other Region",
		Long: manual{
			does: "Start the recovery plan, and follow it to its end. Without --planned the database fails over, and what was not replicated is\n" +
				"recorded again from the session table. With --planned it switches over: nothing is lost, and both Regions have to be well.\n" +
				"docs/operate/runbook.md says when to do which, and when to do nothing.\n\n" + movingDoes,
			needs: movingNeeds,
			leaves: "an execution of the plan, which goes on without this command; the ledger's writer and payments in REGION. After an\n" +
				"unplanned one, the ledger of the other Region is to be stopped when that is back: it is told at the end.",
			ends: movingEnds,
		}.String(),
		Example: "  dr failover --to us-west-2 --planned --dry-run\n  dr failover --to us-west-2",
		Args:    cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			if to == "" {
				return exit(exitUsage, "--to is missing: the Region that is to be the writer")
			}
			deployment, err := m.open(command.Context())
			if err != nil {
				return err
			}
			if _, err := deployment.Region(to); err != nil {
				return exit(exitUsage, "--to: %w", err)
			}
			return m.run(command, deployment, operate.Move{To: to, Planned: planned})
		},
	}
	m.flags(command)
	command.Flags().StringVar(&to, "to", "", "the Region that is to be the writer")
	complete(command, "to", m.env.regionNames)
	command.Flags().BoolVar(&planned, "planned", false, "switch over, which loses nothing, instead of failing over")
	return command
}

func newFailbackCommand() *cobra.Command {
	var m moving
	command := &cobra.Command{
		Use:   "failback",
		Short: "Move back to the Region that ledger.activeRegion names, planned",
		Long: manual{
			does: "The planned move, to the Region where the settings have the ledger switched on, after a failover away from it. Asks beyond that of\n" +
				"dr failover --planned that the last reconciliation is clean. If ledger.activeRegion has followed the failover, name the Region\n" +
				"instead: dr failover --planned --to REGION.\n\n" + movingDoes,
			needs:  movingNeeds,
			leaves: "an execution of the plan, which goes on without this command; the ledger's writer and payments in that Region.",
			ends:   movingEnds,
		}.String(),
		Example: "  dr failback --dry-run\n  dr failback --env prod",
		Args:    cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			deployment, err := m.open(command.Context())
			if err != nil {
				return err
			}
			return m.run(command, deployment, operate.Move{To: deployment.Settings.ActiveRegion().Name, Planned: true, Back: true})
		},
	}
	m.flags(command)
	return command
}

func newWatchPlanCommand() *cobra.Command {
	var (
		env environment
		how following
	)
	command := &cobra.Command{
		Use:   "watch-plan [EXECUTION]",
		Short: "Follow an execution of the recovery plan",
		Long: manual{
			does: "Follow an execution to its end, as dr failover does: the one that is named, or the one that is running, or the last one. It does\n" +
				"not matter who started it. An interrupt ends the watching and never the execution.",
			needs:  needsOperator,
			leaves: leavesNothing,
			ends: "0 if the execution has done everything and the reconciliation is clean; 1 if it has not, or there is none; 3 if\n" +
				"nothing tells of the plan, or of the reconciliation; 4 if it goes on unwatched.",
		}.String(),
		Example: "  dr watch-plan\n  dr watch-plan --env prod 4b1e6d2c",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			if err := checkEvery(how.every); err != nil {
				return err
			}
			deployment, err := env.open(command.Context())
			if err != nil {
				return err
			}
			status := deployment.Look(command.Context())
			id := strings.Join(args, "")
			execution, found := status.Find(id)
			switch {
			case status.PlanARN() == "":
				return exit(exitUnknown, "no Region tells of the plan:\n  %s", strings.Join(status.UnknownLines(), "\n  "))
			case !found && status.PlanUnknown() != "":
				return exit(exitUnknown, "no execution%s is known where the plan tells of them; %s", strings.TrimSuffix(" "+id, " "), status.PlanUnknown())
			case !found && id != "":
				return fmt.Errorf("the plan has no execution %s", id)
			case !found:
				return errors.New("the plan was never executed")
			}
			fmt.Fprintf(command.OutOrStdout(), "Execution %s, %s to %s: %s\n", execution.ID, execution.Mode, execution.Region, execution.Comment)
			return how.follow(command, deployment, execution.Region, status.PlanARN(), execution.ID)
		},
	}
	env.of(command)
	env.operatorFlag(command)
	how.flags(command)
	return command
}

func (m *moving) open(ctx context.Context) (*operate.Deployment, error) {
	if err := checkEvery(m.following.every); err != nil {
		return nil, err
	}
	return m.env.open(ctx)
}

func (m *moving) run(command *cobra.Command, deployment *operate.Deployment, move operate.Move) error {
	ctx, out := command.Context(), command.OutOrStdout()
	status := deployment.Look(ctx)
	if err := ctx.Err(); err != nil {
		return err
	}
	found := deployment.Preconditions(status, move)
	operate.WritePreconditions(out, move, found, drill.Colour(out))
	if m.dryRun {
		deployment.WriteSteps(out, move)
	}
	switch {
	case status.PlanARN() == "":
		return exit(exitUnknown, "nothing was started: no Region tells of the plan")
	case operate.Against(found):
		return errors.New("nothing was started: see NO above")
	case m.dryRun:
		return nil
	}
	err := confirmed(command, m.yes, move.To, "start", "nothing was started")
	if !m.yes && ctx.Err() != nil {
		return errors.New("nothing was started: interrupted")
	}
	if err != nil {
		return err
	}
	id, err := deployment.Start(ctx, move, status.PlanARN(), username())
	if _, unsettled := errors.AsType[*operate.UnsettledStartError](err); unsettled {
		return exit(exitUnknown, "%w. Look before you start another: dr watch-plan --env %s", err, deployment.Settings.Environment)
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "Started in %s: execution %s\n", move.To, id)
	return m.following.follow(command, deployment, move.To, status.PlanARN(), id)
}

// username is who the machine takes the person for.
func username() string {
	if current, err := user.Current(); err == nil {
		return current.Username
	}
	return "an unknown user"
}

// readLine reads what is typed, unless the command is interrupted first.
func readLine(ctx context.Context, command *cobra.Command) (string, error) {
	type line struct {
		text string
		err  error
	}
	read := make(chan line, 1)
	go func() {
		text, err := bufio.NewReader(command.InOrStdin()).ReadString('\n')
		if text != "" {
			err = nil // the last line of a file may have no end
		}
		read <- line{strings.TrimSpace(text), err}
	}()
	select {
	case <-ctx.Done():
		return "", ctx.Err()
	case got := <-read:
		return got.text, got.err
	}
}

func (f *following) follow(command *cobra.Command, deployment *operate.Deployment, region, planARN, id string) error {
	err := operate.Follower{
		Deployment: deployment, Region: region, PlanARN: planARN, ID: id, Every: f.every, Patience: f.patience,
		ReconciledWithin: f.reconciledWithin, Out: command.OutOrStdout(),
	}.Follow(command.Context())
	switch {
	case errors.Is(err, operate.ErrLeft), errors.Is(err, operate.ErrLost):
		return exit(exitLeftOpen, "%w. Go on watching: dr watch-plan --env %s %s", err, deployment.Settings.Environment, id)
	case errors.Is(err, operate.ErrNoVerdict) && !errors.Is(err, operate.ErrNotDone):
		return exit(exitUnknown, "the move is done; %w", err)
	}
	return err
}
