package main

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"payments-dr/internal/assembly/dashboardpreview"
)

// newDashboardsCommand draws the dashboards of the assembly in a folder.
func newDashboardsCommand(dir *string) *cobra.Command {
	var to string
	command := &cobra.Command{
		Use:   "dashboards",
		Short: "Draw the dashboards as images, with sample data",
		Long: manual{
			does: "Draw the layout of every synthesized dashboard as an SVG image, one file each, named after the dashboard. The curves are\n" +
				"made up, and each image says so.",
			needs:  needsTemplates,
			leaves: "the images, in the folder --to, over what had their names.",
			ends:   "1 if the templates cannot be read or an image cannot be written.",
		}.String(),
		Example: "  dr dashboards --to docs/operate/dashboards",
		Args:    cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			a, err := loadAssembly(*dir, chosenEnvironment(command))
			if err != nil {
				return err
			}
			dashboards, err := a.Dashboards()
			if err != nil {
				return err
			}
			for _, name := range slices.Sorted(maps.Keys(dashboards)) {
				path := filepath.Join(to, name+".svg")
				if err := os.WriteFile(path, dashboardpreview.Draw(name, dashboards[name]), 0o644); err != nil {
					return fmt.Errorf("write image: %w", err)
				}
				fmt.Fprintln(command.OutOrStdout(), path)
			}
			return nil
		},
	}
	command.Flags().StringVar(&to, "to", ".", "folder for the images")
	completeFolder(command, "to")
	return command
}
