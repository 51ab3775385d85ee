package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"payments-dr/internal/assembly"
	"payments-dr/internal/pages"
)

// newDocsCommand brings the generated parts of the documents up to date.
func newDocsCommand(dir *string) *cobra.Command {
	return &cobra.Command{
		Use:   "docs",
		Short: "Bring the generated parts of the documents up to date",
		Long: "Write the pictures and tables of docs/architecture.md and docs/permissions.md from the synthesized templates of " + pages.Environment + ", and\n" +
			"docs/settings.md from the settings' types, their checks and cdk.json. Runs in the project's folder, touches nothing that people\n" +
			"have written, and names each file that it has changed.",
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			a, err := assembly.Load(*dir)
			if err != nil {
				return err
			}
			made, err := pages.Make(".", a)
			if err != nil {
				return err
			}
			for _, page := range made {
				if page.Current {
					continue
				}
				if err := os.WriteFile(page.Path, []byte(page.Text), 0o644); err != nil {
					return fmt.Errorf("write document: %w", err)
				}
				fmt.Fprintln(command.OutOrStdout(), page.Path)
			}
			return nil
		},
	}
}
