// Dr is the operator's tool of the payments platform.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"text/tabwriter"

	"github.com/spf13/cobra"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := newCommand().ExecuteContext(ctx); err != nil {
		if _, told := errors.AsType[*statusError](err); !told && errors.Is(err, context.Canceled) {
			err = errors.New("interrupted")
		}
		fmt.Fprintln(os.Stderr, "dr: "+err.Error())
		os.Exit(exitStatus(err))
	}
}

func newCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "dr",
		Short: "Operate the multi-Region payments platform",
		Long: "Operate the multi-Region payments platform: look at it, move it, pay a test payment, rehearse its recovery.\n\n" +
			"What asks AWS reads the settings from cdk.json, so run it in the project's folder, and takes the credentials that are there,\n" +
			"such as those of the operator's role. Each command's help says what it needs, what it leaves behind and how it ends.\n\n" + exitHelp,
		Example:       "  dr status\n  dr failover --to us-west-2\n  dr help credentials\n  source <(dr completion bash)",
		Version:       version(),
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	var dir string
	root.PersistentFlags().StringVar(&dir, "assembly", "cdk.out", "folder of the synthesized templates")
	_ = root.MarkPersistentFlagDirname("assembly") // it is there
	environmentFlag(root)
	for _, group := range []struct {
		id, title string
		commands  []*cobra.Command
	}{
		{"operate", "Operate a deployed platform:", []*cobra.Command{
			newStatusCommand(), newFailoverCommand(), newFailbackCommand(), newWatchPlanCommand(), newPayCommand(), newReconcileCommand(),
			newRedriveCommand(), newReplayCommand(), newRestoreCommand(),
		}},
		{"verify", "Verify recovery:", []*cobra.Command{
			newAcceptCommand(&dir), newDrillCommand(&dir), newRehearseCommand(&dir), newSoakCommand(&dir), newRecoveryTimeCommand(&dir), newBenchCommand(&dir),
		}},
		{"review", "Review and deploy a change:", []*cobra.Command{
			newReviewCommand(), newDiffCommand(&dir), newCostCommand(&dir), newDeployOrderCommand(&dir), newPreflightCommand(&dir),
			newDeployCommand(&dir), newNameServersCommand(),
		}},
		{"local", "Work with the synthesized templates and the documents:", []*cobra.Command{
			newStacksCommand(&dir), newDashboardsCommand(&dir), newManualCommand(root),
		}},
	} {
		root.AddGroup(&cobra.Group{ID: group.id, Title: group.title})
		for _, command := range group.commands {
			command.GroupID = group.id
		}
		root.AddCommand(group.commands...)
	}
	root.AddCommand(newTopics()...)
	usageErrors(root)
	return root
}

// newStacksCommand lists the stacks. dir is where the assembly is, known when the command runs.
func newStacksCommand(dir *string) *cobra.Command {
	return &cobra.Command{
		Use:   "stacks",
		Short: "List the synthesized stacks",
		Long: manual{
			does:   "List the stacks of the synthesized templates, with their Regions and how many resources each has.",
			needs:  needsTemplates,
			leaves: leavesNothing,
			ends:   "1 if there are no templates, or none of this app.",
		}.String(),
		Example: "  dr stacks\n  dr --assembly cdk.out stacks",
		Args:    cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			a, err := loadAssembly(*dir, chosenEnvironment(command))
			if err != nil {
				return err
			}
			table := tabwriter.NewWriter(command.OutOrStdout(), 0, 0, 3, ' ', 0)
			fmt.Fprintln(table, "STACK\tREGION\tRESOURCES")
			for _, stack := range a.Stacks {
				fmt.Fprintf(table, "%s\t%s\t%d\n", stack.Name, stack.Region, len(stack.Template.Resources))
			}
			return table.Flush()
		},
	}
}
