package main

import (
	"github.com/spf13/cobra"

	"payments-dr/internal/assembly/recoverytime"
)

// newRecoveryTimeCommand adds up what a recovery takes. dir is where the templates are, known when the command runs.
func newRecoveryTimeCommand(dir *string) *cobra.Command {
	var asJSON bool
	command := &cobra.Command{
		Use:   "recovery-time",
		Short: "Add up how long a recovery takes, and hold it against the objectives",
		Long: manual{
			does: "Add up, from the synthesized templates, how long payments and the ledger are away when a Region is lost: item by item,\n" +
				"expected and worst case, each number with its source. Nothing is measured.",
			needs:  needsTemplates,
			leaves: leavesNothing,
			ends:   "1 if an objective may be missed, or a number is missing in the templates.",
		}.String(),
		Example: "  dr recovery-time\n  dr recovery-time --json | jq .paths[0]",
		Args:    cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			a, err := loadAssembly(*dir, chosenEnvironment(command))
			if err != nil {
				return err
			}
			b, err := recoverytime.Of(a)
			if err != nil {
				return err
			}
			if asJSON {
				err = writeJSON(command.OutOrStdout(), b, "  ")
			} else {
				err = b.WriteTable(command.OutOrStdout())
			}
			if err != nil {
				return err
			}
			return b.Check()
		},
	}
	command.Flags().BoolVar(&asJSON, "json", false, "print JSON, with the paths of both Regions")
	return command
}
