package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"payments-dr/internal/drill/bench"
)

// errOver is a measurement that exceeds its limit.
var errOver = errors.New("something costs more than it may")

func newBenchCommand(dir *string) *cobra.Command {
	var (
		tests        time.Duration
		database, to string
		asJSON       bool
	)
	command := &cobra.Command{
		Use:   "bench",
		Short: "Measure synthesis, functions and ledger, each beside a floor",
		Long: manual{
			does: "Measure what the project itself costs: synthesis, each function's size, start and memory, a payment's processor time, the\n" +
				"ledger's writing. Each figure stands beside a floor that is measured in the same run: an empty app, a function that does\n" +
				"nothing, a plain INSERT. Held is the ratio, not the time, so that any machine can hold it.",
			needs: "the project's folder with the synthesized templates (make synth), Go, what npm ci installs, and a machine with nothing\n" +
				"else running. No credentials: AWS is not asked.",
			leaves: "nothing but the table, in the file --to.",
			ends:   "1 if a ratio is more than it may be.",
		}.String(),
		Example: "  dr bench\n  dr bench --tests 5m30s --to docs/explain/benchmarks.md",
		Args:    cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			if tests < 0 {
				return exit(exitUsage, "--tests is %v; allowed is 0 or more", tests)
			}
			a, err := loadAssembly(*dir, chosenEnvironment(command))
			if err != nil {
				return err
			}
			context, err := appContext()
			if err != nil {
				return err
			}
			mariaDB, err := installation(database)
			if err != nil {
				return err
			}
			if mariaDB != nil {
				defer mariaDB.Close()
			}
			report, err := bench.Run(command.Context(), bench.Config{
				ModuleDir: ".", Context: context, Assembly: a, MariaDB: mariaDB, Tests: tests, Progress: command.ErrOrStderr(),
			})
			if err != nil {
				return err
			}
			out := command.OutOrStdout()
			if asJSON {
				err = writeJSON(out, report, "  ")
			} else {
				err = report.WriteText(out)
			}
			if err != nil {
				return fmt.Errorf("write measurements: %w", err)
			}
			if to != "" {
				var page strings.Builder
				if err := report.WriteMarkdown(&page); err != nil {
					return fmt.Errorf("write measurements: %w", err)
				}
				if err := os.WriteFile(to, []byte(page.String()), 0o644); err != nil {
					return fmt.Errorf("write measurements: %w", err)
				}
			}
			if over := report.Over(); len(over) > 0 {
				for _, m := range over {
					fmt.Fprintf(command.ErrOrStderr(), "%s: %.2f times the floor; allowed is %.4g\n", m.Name, m.Ratio(), m.Limit)
				}
				return errOver
			}
			return nil
		},
	}
	flags := command.Flags()
	flags.DurationVar(&tests, "tests", 0, "how long all tests took, if it was measured")
	flags.StringVar(&database, "database", "auto", "mariadb, embedded, or auto: MariaDB if it is installed")
	flags.StringVar(&to, "to", "", "a file that the measurements are written to as well, as Markdown")
	flags.BoolVar(&asJSON, "json", false, "write JSON")
	return command
}
