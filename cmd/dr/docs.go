package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"payments-dr/internal/assembly"
	"payments-dr/internal/assembly/pages"
)

// newDocsCommand brings the generated parts of the documents up to date.
func newDocsCommand(dir *string) *cobra.Command {
	return &cobra.Command{
		Use:   "docs",
		Short: "Bring the generated parts of the documents up to date",
		Long: manual{
			does: "Write the pictures and tables of docs/explain/architecture.md and docs/explain/permissions.md from the synthesized templates of " + pages.Environment + ", and\n" +
				"docs/use/settings.md from the settings' types, their checks and cdk.json. It touches nothing that people have written, and names\n" +
				"each file that it has changed.",
			needs:  "the project's folder with the synthesized templates of " + pages.Environment + " (make synth). No credentials: AWS is not asked.",
			leaves: "the documents, with their generated parts as they should be.",
			ends:   "1 if the templates cannot be read or a document cannot be written.",
		}.String(),
		Example: "  dr docs",
		Args:    cobra.NoArgs,
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
