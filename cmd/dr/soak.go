package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"payments-dr/internal/drill"
	"payments-dr/internal/drill/rehearsal"
)

// newSoakCommand rehearses everything, one after another.
func newSoakCommand(dir *string) *cobra.Command {
	options := rehearseOptions{clients: 12}
	var seeds int
	var faults []string
	command := &cobra.Command{
		Use:   "soak",
		Short: "Rehearse every fault, and chaos with many seeds",
		Long: manual{
			does: "Rehearse every fault once, and chaos once for each seed, one after another; write a table of the verdicts, as Markdown,\n" +
				"beside the reports. It takes an hour or more. A run that could not be made is told, and the others are made.",
			needs: "the project's folder with the synthesized templates (make synth), Go, and what npm ci installs. MariaDB is taken if it is\n" +
				"installed. No credentials: AWS is not asked.",
			leaves: "the reports of dr rehearse and the table, soak.md, in the folder --reports.",
			ends:   "1 if any objective was missed or not measured, or a run could not be made.",
		}.String(),
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
			ready, err := options.prepare(command.Context(), *dir, chosenEnvironment(command), command.OutOrStdout())
			if err != nil {
				return err
			}
			defer ready.close()
			runs := soakRuns(faults, options.seed, seeds)
			var table strings.Builder
			var facts []string
			for _, fact := range ready.provenance {
				facts = append(facts, fact.Name+" "+fact.String())
			}
			columns := []drill.Name{drill.NameLost, drill.NameDoubled, drill.NameDifferent, drill.NamePaymentsRTO, drill.NameLedgerRTO, drill.NameRPO, drill.NameBacklog}
			fmt.Fprintf(&table, "%s\n\nMade with %s.\n\n", ready.banner, strings.Join(facts, ", "))
			table.WriteString("| fault | seed | payments | lost | doubled | different | RTO of payments | RTO of the ledger | RPO | backlog | verdict | took |\n" + strings.Repeat("| --- ", 12) + "|\n")
			made, missed, total := 0, 0, 0
			ctx, cancel := context.WithCancel(command.Context())
			outcomes := soak(ctx, runs, command.ErrOrStderr(), func(ctx context.Context, one soakRun, settled func()) (drill.Report, error) {
				return ready.rehearse(ctx, one.fault, one.seed, nil, settled)
			})
			defer func() { // nothing is left running, however this ends
				cancel()
				for range outcomes {
				}
			}()
			for outcome := range outcomes {
				report, took := outcome.report, outcome.took.Round(time.Second)
				switch {
				case ctx.Err() != nil:
					return outcome.err
				case outcome.err != nil: // one run that could not be made says nothing about the others
					missed++
					fmt.Fprintf(command.ErrOrStderr(), "not rehearsed: %v\n", outcome.err)
					fmt.Fprintf(&table, "| %s | %d | –%s | not rehearsed: %s | %s |\n", outcome.fault, outcome.seed, strings.Repeat(" | –", len(columns)),
						strings.NewReplacer("\n", " ", "|", "\\|").Replace(outcome.err.Error()), took)
				default:
					if err := writeReports(options.reports, outcome.name(), report); err != nil {
						return err
					}
					if report.Status != drill.StatusPass {
						missed++
					}
					made, total = made+1, total+report.Totals.Requests
					fmt.Fprintf(&table, "| %s | %d | %d", outcome.fault, outcome.seed, report.Totals.Requests)
					for _, name := range columns {
						fmt.Fprintf(&table, " | %s", cell(report, name))
					}
					fmt.Fprintf(&table, " | %s | %s |\n", report.Status, took)
				}
				if err := os.MkdirAll(options.reports, 0o755); err != nil {
					return fmt.Errorf("make folder for the reports: %w", err)
				}
				if err := os.WriteFile(filepath.Join(options.reports, "soak.md"), []byte(table.String()), 0o644); err != nil {
					return fmt.Errorf("write table: %w", err)
				}
			}
			fmt.Fprintf(command.OutOrStdout(), "%s\n%d of %d runs were made, with %d payments. %d have no pass.\n", table.String(), made, len(runs), total, missed)
			if missed > 0 {
				return errMissed
			}
			return nil
		},
	}
	options.flags(command.Flags())
	command.Flags().StringSliceVar(&faults, "faults", rehearsal.FaultNames(), "which faults, with commas between")
	complete(command, "faults", faultNames)
	complete(command, "database", databaseNames)
	complete(command, "consistency", consistencyNames)
	completeFolder(command, "reports")
	command.Flags().IntVar(&seeds, "seeds", 20, "how many seeds of chaos")
	return command
}

// soakRun is one rehearsal of a soak.
type soakRun struct {
	fault string
	seed  uint64
}

// name is that of its reports.
func (r soakRun) name() string {
	if r.fault == "chaos" {
		return fmt.Sprintf("chaos-%d", r.seed)
	}
	return r.fault
}

// soakRuns are each fault once, and chaos once for each seed, at the end.
func soakRuns(faults []string, seed uint64, seeds int) []soakRun {
	var runs []soakRun
	for _, fault := range faults {
		if fault != "chaos" {
			runs = append(runs, soakRun{fault, seed})
		}
	}
	if slices.Contains(faults, "chaos") {
		for i := range seeds {
			runs = append(runs, soakRun{"chaos", seed + uint64(i)})
		}
	}
	return runs
}

// soakOutcome is what became of a run.
type soakOutcome struct {
	soakRun
	report drill.Report
	err    error
	took   time.Duration
}

// soak makes the runs, and hands over what became of each, in their order. A run begins when the one before has settled: while
// that waits to be measured, the machine has nothing to do. Whoever takes the outcomes has to take all.
func soak(ctx context.Context, runs []soakRun, progress io.Writer, rehearse func(_ context.Context, _ soakRun, settled func()) (drill.Report, error)) <-chan soakOutcome {
	outcomes := make(chan soakOutcome)
	go func() {
		defer close(outcomes)
		previous := make(chan struct{})
		close(previous)
		for number, one := range runs {
			if ctx.Err() != nil && number > 0 {
				break
			}
			fmt.Fprintf(progress, "%d of %d: %s, seed %d\n", number+1, len(runs), one.fault, one.seed)
			settled, handedOver, before := make(chan struct{}), make(chan struct{}), previous
			next := sync.OnceFunc(func() { close(settled) })
			go func() {
				defer close(handedOver)
				began := time.Now()
				report, err := rehearse(ctx, one, next)
				took := time.Since(began)
				next() // a run that failed has not settled
				<-before
				outcomes <- soakOutcome{one, report, err, took}
			}()
			<-settled
			<-before // two at a time, and no more
			previous = handedOver
		}
		<-previous
	}()
	return outcomes
}

// cell is an objective's time or count, for a table: by where a time comes from, with "at least" if not all was seen, and "–" if
// there is none.
func cell(report drill.Report, name drill.Name) string {
	for _, o := range report.Objectives {
		if o.Name != name || o.Measured == nil {
			continue
		}
		text := o.Sources()
		if o.Unit == drill.UnitPayments {
			text = fmt.Sprintf("%.0f", *o.Measured)
		}
		if o.Reason != "" {
			text = "at least " + text
		}
		return text
	}
	return "–"
}
