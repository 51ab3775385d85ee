package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"payments-dr/internal/operate"
	"payments-dr/internal/operate/restore"
	"payments-dr/internal/payment/ledger"
)

// restoring is what dr restore was asked for.
type restoring struct {
	regional
	to                             string
	every, patience, back          time.Duration
	user                           string
	list, cleanUp, compare, dryRun bool
	yes                            bool
}

func newRestoreCommand() *cobra.Command {
	var r restoring
	command := &cobra.Command{
		Use:   "restore --to TIME | --list | --cleanup",
		Short: "Bring database and table back as they were at a moment, beside the live ones",
		Long: "Restore the ledger's cluster and the session table as they were at a moment, each beside the live one and without touching it, wait\n" +
			"for both, compare them with what is live, and hand over the endpoint. docs/operate/restore.md says when, and what to do with the copies.\n\n" +
			"TIME is of RFC 3339, or how long ago, such as 2h. The same command again, with the same moment, takes up what was broken off: AWS goes\n" +
			"on with a restore whether or not anybody waits. To compare, the tool signs in to both databases by IAM, which takes rds-db:connect and\n" +
			"a machine in their network, and reads both tables, which takes dynamodb:Query and dynamodb:BatchGetItem on the live one. Where it cannot,\n" +
			"it says so; run the command it prints from inside the network. A password in " + ledger.VariablePassword + " is used instead of IAM.\n\n" +
			"The copies cost money until --cleanup. It lists what the tags say was brought back, asks, and removes that alone. With --to, that of one moment.\n\n" +
			"Needs: cdk.json, and credentials of the operator's role of the Region, payment-<env>-operator-<region> (dr help credentials); to compare,\n" +
			"a way into the network and to the databases as well.\n\nLeaves behind: the copies, which cost money until --cleanup. AWS goes on with a restore that was begun.\n\nExit status: 1 if the moment is out of reach, you do not confirm it, a restore fails, or something is different; 3 if something could not\n" +
			"be asked or compared; 4 if AWS goes on with what was started.",
		Example: "  dr restore --to 2026-11-19T15:36:33Z --dry-run\n  dr restore --to 90m\n  dr restore --to 2026-11-19T15:36:33Z --compare --user payments_master\n  dr restore --list\n  dr restore --cleanup",
		Args:    cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			if err := r.check(); err != nil {
				return err
			}
			ctx := command.Context()
			deployment, region, writer, err := r.open(ctx)
			if err != nil {
				return err
			}
			w := deployment.Restorer(region, r.every, r.patience, command.OutOrStdout())
			if r.list || r.cleanUp {
				return r.copies(command, deployment, w)
			}
			if writer != "" && writer != region.Name {
				fmt.Fprintf(command.OutOrStdout(), "Mind: the writer is %s, and %s keeps its own window.\n", writer, region.Name)
			}
			return r.run(command, deployment, w)
		},
	}
	r.flags(command, "the writer's, whose window is the ledger's")
	flags := command.Flags()
	flags.StringVar(&r.to, "to", "", "the moment: a time of RFC 3339, or how long ago")
	flags.BoolVar(&r.list, "list", false, "list the copies that there are")
	flags.BoolVar(&r.cleanUp, "cleanup", false, "remove the copies that there are, or with --to those of one moment")
	flags.BoolVar(&r.compare, "compare", false, "only compare copies that are there")
	flags.BoolVar(&r.dryRun, "dry-run", false, "check the moment, show what would be made or removed, and do nothing")
	flags.BoolVar(&r.yes, "yes", false, "do not ask to type the Region's name")
	flags.DurationVar(&r.every, "every", 15*time.Second, "how long to wait between two looks at the copies")
	flags.DurationVar(&r.patience, "patience", 2*time.Minute, "how long AWS may give no answer before the waiting ends")
	flags.DurationVar(&r.back, "back", 24*time.Hour, "how far before the moment the comparison of the tables begins; the databases are compared whole")
	flags.StringVar(&r.user, "user", ledger.UserName, "the database user to compare as")
	return command
}

func (r *restoring) check() error {
	if err := checkEvery(r.every); err != nil {
		return err
	}
	if r.list && r.cleanUp || r.compare && (r.list || r.cleanUp) {
		return exit(exitUsage, "--list, --cleanup and --compare are given together; allowed is one of them")
	}
	if r.to == "" && !r.list && !r.cleanUp {
		return exit(exitUsage, "--to is missing: the moment to go back to")
	}
	if r.back <= 0 {
		return exit(exitUsage, "--back is %s; allowed is more than 0", r.back)
	}
	return nil
}

func (r *restoring) moment(deployment *operate.Deployment) (time.Time, error) {
	moment, err := operate.ParseMoment(r.to, deployment.Now())
	if err != nil {
		return moment, exit(exitUsage, "--to: %w", err)
	}
	return moment.Truncate(time.Second), nil
}

// again is the command that takes this moment up again. It names all that another machine cannot guess.
func again(deployment *operate.Deployment, region string, moment time.Time, more string) string {
	return fmt.Sprintf("dr restore --env %s --region %s --to %s%s", deployment.Settings.Environment, region, moment.Format(time.RFC3339), more)
}

func (r *restoring) run(command *cobra.Command, deployment *operate.Deployment, w *operate.Restorer) error {
	ctx, out := command.Context(), command.OutOrStdout()
	moment, err := r.moment(deployment)
	if err != nil {
		return err
	}
	plan, err := w.Plan(ctx, moment)
	if err != nil {
		return failed(ctx, "nothing was started", err)
	}
	begun := plan.Database.Begun && plan.Table.Begun
	if r.compare && !begun {
		return fmt.Errorf("there is nothing to compare: no copies as of %s are in %s", moment.Format(time.RFC3339), w.Region.Name)
	}
	if !r.compare {
		w.WritePlan(plan)
	}
	if r.dryRun {
		return nil
	}
	if !begun {
		if err := confirmed(command, r.yes, w.Region.Name, "start", "nothing was done"); err != nil {
			return err
		}
	}
	made, err := w.Bring(ctx, plan)
	if errors.Is(err, operate.ErrGoesOn) {
		return exit(exitLeftOpen, "%w: %s and %s, in AWS, as far as they were asked for. Until then there is no instance to sign in to. Go on: %s; or remove them: dr restore --cleanup",
			err, plan.Database.Name, plan.Table.Name, again(deployment, w.Region.Name, moment, ""))
	}
	if err != nil {
		return failed(ctx, "not brought back whole, and what was made stays until dr restore --cleanup", err)
	}
	fmt.Fprintf(out, "\nCluster   %s\n  writer  %s:%d\n  reader  %s:%d\n  id      %s, for rds-db:connect\nTable     %s\n", made.Database.Cluster, made.Database.Writer, made.Database.Port,
		made.Database.Reader, made.Database.Port, made.Database.ResourceID, made.TableARN)
	return r.compareWith(ctx, command, deployment, w, plan, made)
}

func (r *restoring) compareWith(ctx context.Context, command *cobra.Command, deployment *operate.Deployment, w *operate.Restorer, plan operate.RestorePlan, made operate.Restored) error {
	found := w.Compare(ctx, plan, made.Database, operate.SignIn{
		User: r.user, Password: os.Getenv(ledger.VariablePassword), PlainText: os.Getenv(ledger.VariableTLS) == "off",
	}, r.back)
	if ctx.Err() != nil {
		return errors.New("interrupted while comparing; both copies are there, and cost until dr restore --cleanup. Compare: " + again(deployment, w.Region.Name, plan.Moment, " --compare"))
	}
	found.Write(command.OutOrStdout())
	switch nothing := found.Nothing(); {
	case found.Same():
		return nil
	case found.Different(): // whatever else was not compared
	case found.DatabaseProblem != nil || found.TableProblem != nil:
		return exit(exitUnknown, "brought back, and not compared whole. From inside the network, with what --help names: %s", again(deployment, w.Region.Name, plan.Moment, " --compare"))
	case len(nothing) > 0:
		return exit(exitUnknown, "brought back, and nothing was compared of %s: neither what is live nor the copy has a payment there. --back makes the comparison of the tables longer",
			strings.Join(nothing, " and "))
	}
	return errors.New("what is live is not what was there; docs/operate/restore.md says what to do with that")
}

// copies lists those that there are, and removes them if that was asked for.
func (r *restoring) copies(command *cobra.Command, deployment *operate.Deployment, w *operate.Restorer) error {
	ctx, out := command.Context(), command.OutOrStdout()
	databases, tables, err := w.Copies(ctx)
	if err != nil {
		return failed(ctx, "the copies in "+w.Region.Name+" are not known", err)
	}
	if r.to != "" {
		moment, err := r.moment(deployment)
		if err != nil {
			return err
		}
		of := func(copies []restore.Copy) (those []restore.Copy) {
			for _, c := range copies {
				if c.Moment.Equal(moment) {
					those = append(those, c)
				}
			}
			return those
		}
		databases, tables = of(databases), of(tables)
	}
	if len(databases)+len(tables) == 0 {
		fmt.Fprintf(out, "Nothing that was brought back is in %s.\n", w.Region.Name)
		return nil
	}
	operate.WriteCopies(out, w.Region.Name, databases, tables)
	if r.list || r.dryRun {
		return nil
	}
	fmt.Fprintln(out, "Removed without a last snapshot: what was brought back can be brought back again, as long as the moment is in the window.")
	if err := confirmed(command, r.yes, w.Region.Name, "remove these", "nothing was done"); err != nil {
		return err
	}
	err = w.CleanUp(ctx, databases, tables)
	if errors.Is(err, operate.ErrGoesOn) {
		return exit(exitLeftOpen, "%w: AWS removes what it was asked to. Whatever is left is removed by the same command again", err)
	}
	if err != nil {
		return failed(ctx, "not all were removed; try again", err)
	}
	fmt.Fprintln(out, "All are gone.")
	return nil
}
