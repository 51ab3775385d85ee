package main

import (
	"github.com/spf13/cobra"

	"payments-dr/internal/assembly/cost"
)

// newCostCommand adds up what an environment costs. dir is where the templates are, known when the command runs.
func newCostCommand(dir *string) *cobra.Command {
	var asJSON bool
	usage := cost.DefaultUsage()
	command := &cobra.Command{
		Use:   "cost",
		Short: "Add up what a month without payments costs, and what a million payments cost",
		Long: manual{
			does: "Add up, from the synthesized templates and a dated list of AWS's prices, what an environment costs a month when nobody\n" +
				"pays, and what a million payments cost: service by service, each price with its source and each guess named. At list\n" +
				"prices, without free tiers, discounts and taxes.",
			needs:  needsTemplates,
			leaves: leavesNothing,
			ends:   "1 if something has no price, such as a Region that the list does not know; 2 if the templates are of another --env.",
		}.String(),
		Example: "  dr cost\n  dr cost --env prod --table-gb 500 --database-gb 200\n  dr cost --json | jq .idleMonth.usd",
		Args:    cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			a, err := loadAssembly(*dir, chosenEnvironment(command))
			if err != nil {
				return err
			}
			report, err := cost.Make(a, usage)
			if err != nil {
				return err
			}
			if !asJSON {
				return report.WriteTable(command.OutOrStdout())
			}
			return writeJSON(command.OutOrStdout(), report, "  ")
		},
	}
	flags := command.Flags()
	flags.BoolVar(&asJSON, "json", false, "print JSON, with every row of each Region; amounts are decimal numbers as strings")
	flags.Int64Var(&usage.TableGB, "table-gb", usage.TableGB, "GB that the session table holds, its index included")
	flags.Int64Var(&usage.DatabaseGB, "database-gb", usage.DatabaseGB, "GB that the database holds")
	flags.Int64Var(&usage.CheckersPerRegion, "checkers", usage.CheckersPerRegion, "health checkers of Route 53 in each Region of a check")
	return command
}
