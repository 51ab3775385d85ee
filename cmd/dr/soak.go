package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"payments-dr/internal/drill"
	"payments-dr/internal/rehearsal"
)

// newSoakCommand rehearses everything, one after another.
func newSoakCommand(dir *string) *cobra.Command {
	options := rehearseOptions{clients: 12}
	var seeds int
	var faults []string
	command := &cobra.Command{
		Use:   "soak",
		Short: "Rehearse every fault, and chaos with many seeds",
		Long: "Rehearse every fault once, and chaos once for each seed, one after another; write a table of the verdicts, as Markdown,\n" +
			"beside the reports. It takes an hour or more. Exit status 1 if any objective was missed or not measured.",
		Example: "  dr soak\n  dr soak --seeds 3 --speed 20",
		Args:    cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			if seeds < 0 {
				return exit(exitUsage, "--seeds is %d; allowed is 0 or more", seeds)
			}
			for _, fault := range faults {
				if !slices.Contains(rehearsal.FaultNames(), fault) {
					return exit(exitUsage, "--faults has %q; allowed are %s", fault, strings.Join(rehearsal.FaultNames(), ", "))
				}
			}
			ready, err := options.prepare(*dir, command.OutOrStdout())
			if err != nil {
				return err
			}
			defer ready.close()
			type run struct {
				fault string
				seed  uint64
			}
			var runs []run
			for _, fault := range faults {
				if fault != "chaos" {
					runs = append(runs, run{fault, options.seed})
				}
			}
			for i := range seeds {
				if slices.Contains(faults, "chaos") {
					runs = append(runs, run{"chaos", options.seed + uint64(i)})
				}
			}
			var table strings.Builder
			fmt.Fprintf(&table, "%s\n\n| fault | seed | payments | lost | doubled | different | RTO payments | RTO ledger | RPO | verdict | took |\n| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n", ready.banner)
			missed, total := 0, 0
			for number, one := range runs {
				began := time.Now()
				fmt.Fprintf(command.ErrOrStderr(), "%d of %d: %s, seed %d\n", number+1, len(runs), one.fault, one.seed)
				report, err := ready.rehearse(command.Context(), one.fault, one.seed, nil)
				switch {
				case command.Context().Err() != nil:
					return err
				case err != nil: // one run that could not be made says nothing about the others
					missed++
					fmt.Fprintf(command.ErrOrStderr(), "not rehearsed: %v\n", err)
					fmt.Fprintf(&table, "| %s | %d | – | – | – | – | – | – | – | not rehearsed: %s | %s |\n", one.fault, one.seed,
						strings.NewReplacer("\n", " ", "|", "\\|").Replace(err.Error()), time.Since(began).Round(time.Second))
				default:
					name := one.fault
					if one.fault == "chaos" {
						name = fmt.Sprintf("chaos-%d", one.seed)
					}
					if err := writeReports(options.reports, name, report); err != nil {
						return err
					}
					if report.Status != drill.StatusPass {
						missed++
					}
					total += report.Totals.Requests
					fmt.Fprintf(&table, "| %s | %d | %d | %s | %s | %s | %s | %s | %s | %s | %s |\n", one.fault, one.seed, report.Totals.Requests,
						cell(report, drill.NameLost), cell(report, drill.NameDoubled), cell(report, drill.NameDifferent),
						cell(report, drill.NamePaymentsRTO), cell(report, drill.NameLedgerRTO), cell(report, drill.NameRPO), report.Status, time.Since(began).Round(time.Second))
				}
				if err := os.WriteFile(filepath.Join(options.reports, "soak.md"), []byte(table.String()), 0o644); err != nil {
					return fmt.Errorf("write table: %w", err)
				}
			}
			fmt.Fprintf(command.OutOrStdout(), "%s\n%d runs, %d payments, %d runs without a pass\n", table.String(), len(runs), total, missed)
			if missed > 0 {
				return errMissed
			}
			return nil
		},
	}
	options.flags(command.Flags())
	command.Flags().StringSliceVar(&faults, "faults", rehearsal.FaultNames(), "which faults")
	command.Flags().IntVar(&seeds, "seeds", 20, "how many seeds of chaos")
	return command
}

// cell is what was measured of an objective, for a table.
func cell(report drill.Report, name drill.Name) string {
	for _, o := range report.Objectives {
		if o.Name != name {
			continue
		}
		switch {
		case o.Measured == nil:
			return "–"
		case o.Unit == drill.UnitSeconds:
			return time.Duration(*o.Measured * float64(time.Second)).Round(100 * time.Millisecond).String()
		}
		return fmt.Sprintf("%.0f", *o.Measured)
	}
	return "–"
}
