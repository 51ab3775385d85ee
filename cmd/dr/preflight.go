package main

import (
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/spf13/cobra"

	"payments-dr/internal/operate/preflight"
)

// newPreflightCommand checks an account before a deployment. dir is where the assembly is, known when the command runs.
func newPreflightCommand(dir *string) *cobra.Command {
	var asJSON bool
	command := &cobra.Command{
		Use:   "preflight",
		Short: "Find what a deployment would fail on, before it creates anything",
		Long: manual{
			does: "Compare the synthesized templates with the account in both Regions: quotas, services that must be switched on, leftovers of an\n" +
				"earlier deployment, the hosted zone and its delegation, the state of the stacks. Print what was found, whether and why it\n" +
				"blocks the deployment, and the fix as a command. docs/use/preflight.md lists the checks.",
			needs:  "the synthesized templates (make synth), and credentials with the policy in docs/use/preflight.md.",
			leaves: "nothing. It only reads.",
			ends:   "1 if something blocks the deployment, 3 if nothing does but a check had no answer.",
		}.String(),
		Example: "  dr preflight\n  dr preflight --json",
		Args:    cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			ctx, out := command.Context(), command.OutOrStdout()
			a, err := loadAssembly(*dir, chosenEnvironment(command))
			if err != nil {
				return err
			}
			ambient, err := awsConfig(ctx)
			if err != nil {
				return err
			}
			report := preflight.Check(ctx, a, ambient, net.DefaultResolver)
			if ctx.Err() != nil {
				return ctx.Err()
			}
			what := fmt.Sprintf("deploying %s to account %s", a.Settings.Environment, a.Settings.Account)
			if asJSON {
				err = writeJSON(out, report, "  ")
			} else {
				// What stops a deployment goes to standard error, as for every command.
				if report.Any(preflight.Blocks) || report.Any(preflight.Unknown) {
					out = command.ErrOrStderr()
				}
				_, err = io.WriteString(out, report.Text())
			}
			if err != nil {
				return fmt.Errorf("write findings: %w", err)
			}
			switch {
			case report.Any(preflight.Blocks):
				return exit(exitFailed, "%s would fail", what)
			case report.Any(preflight.Unknown):
				return exit(exitUnknown, "whether %s would fail is not known", what)
			}
			if !asJSON {
				fmt.Fprintln(out, strings.ToUpper(what[:1])+what[1:]+": nothing blocks it.")
			}
			return nil
		},
	}
	command.Flags().BoolVar(&asJSON, "json", false, "print the findings as JSON")
	return command
}
