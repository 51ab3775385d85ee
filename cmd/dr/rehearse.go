package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"payments-dr/internal/assembly"
	"payments-dr/internal/budget"
	"payments-dr/internal/drill"
	"payments-dr/internal/lambdaruntime"
	"payments-dr/internal/localmysql"
	"payments-dr/internal/rehearsal"
)

// paymentsObjective is how long payments may be away, whatever the settings allow: what the platform is built for.
const paymentsObjective = 2 * time.Minute

// errMissed is a rehearsal that ended, and missed an objective or could not measure one.
var errMissed = errors.New("not every objective was met")

func newRehearseCommand(dir *string) *cobra.Command {
	var (
		fault, reports, database string
		speed, rate              float64
		clients                  int
		seed                     uint64
		verbose                  bool
	)
	var faults strings.Builder
	all := rehearsal.Scenarios()
	for _, name := range rehearsal.FaultNames() {
		fmt.Fprintf(&faults, "  %-18s %s\n", name, all[name].Description)
	}
	command := &cobra.Command{
		Use:   "rehearse",
		Short: "Lose a Region on this machine, and prove what was lost",
		Long: "Run both Regions on this machine, from the synthesized templates and the functions' real code around a simulated AWS;\n" +
			"send payments, let something go wrong, do what the runbook says, and measure. Exit status 1 if an objective is missed.\n\n" +
			"Run it in the project's folder. The faults:\n" + faults.String(),
		Example: "  dr rehearse\n  dr rehearse --fault bad-deploy --speed 20\n  dr rehearse --fault chaos --seed 7",
		Args:    cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			ctx, out := command.Context(), command.OutOrStdout()
			a, err := assembly.Load(*dir)
			if err != nil {
				return err
			}
			if !slices.Contains(rehearsal.FaultNames(), fault) {
				return fmt.Errorf("--fault is %q; allowed is one of %s", fault, strings.Join(rehearsal.FaultNames(), ", "))
			}
			if speed <= 0 || speed > 60 {
				return fmt.Errorf("--speed is %v; allowed is more than 0 and up to 60: at more, what really runs here would seem to take minutes", speed)
			}
			if rate <= 0 || rate*speed > 500 {
				return fmt.Errorf("--rate is %v; allowed is more than 0, and times the speed up to 500 payments a second", rate)
			}
			mariaDB, err := installation(database)
			if err != nil {
				return err
			}
			if mariaDB != nil {
				defer mariaDB.Close()
			}
			fmt.Fprintf(out, "Not modelled, and left out:\n  %s\n", strings.Join(rehearsal.NotModelled(a), "\n  "))
			binaries := map[string]string{}
			build, err := os.MkdirTemp("", "dr-rehearse-")
			if err != nil {
				return fmt.Errorf("make temporary folder: %w", err)
			}
			defer os.RemoveAll(build)
			fmt.Fprintln(out, "building the functions for this machine")
			for _, name := range []string{"processor", "relay", "ledger", "reconcile"} {
				if binaries[name], err = lambdaruntime.Build(".", name, build); err != nil {
					return err
				}
			}
			assumed, assumptions := rehearsal.DefaultAssumed()
			engine := "embedded servers of the MySQL protocol, simulated replication"
			if mariaDB != nil {
				engine = "two MariaDB servers, their own replication"
			}
			recorder := &drill.Recorder{}
			config := rehearsal.Config{
				Assembly: a, ModuleDir: ".", Binaries: binaries, MariaDB: mariaDB, Fault: fault, Speed: speed, Rate: rate, Clients: clients,
				Seed: seed, Assumed: assumed, Recorder: recorder, Progress: out,
				Run: drill.Run{
					Banner: fmt.Sprintf("SIMULATED: AWS is simulated on this machine around the platform's real code and synthesized templates; its waits pass %gx faster. Database: %s.", speed, engine),
					Title:  fmt.Sprintf("Rehearsal of %s, %s", fault, a.Settings.Environment),
					Objectives: drill.Objectives{
						PaymentsRTO: paymentsObjective, LedgerRTO: time.Duration(a.Settings.Objectives.RTOMinutes) * time.Minute,
						RPO: time.Duration(a.Settings.Objectives.RPOMinutes) * time.Minute,
					},
					Assumptions: append(assumptions, drill.Assumption{
						What: "rate", Value: fmt.Sprintf("%g payments a simulated second from %d clients, on a schedule that waits for no answer", rate, clients), Source: "--rate, --clients",
					}),
				},
			}
			if fault == "region-loss" { // what the computed times are about
				if config.Run.Computed.PaymentsRTO, config.Run.Computed.LedgerRTO, err = computed(a); err != nil {
					return err
				}
			}
			if verbose {
				config.Log = command.ErrOrStderr()
			}
			report, err := rehearsal.Rehearse(ctx, config)
			if err != nil {
				return err
			}
			if err := writeReports(reports, fault, report); err != nil {
				return err
			}
			if err := report.WriteText(out, drill.Colour(out)); err != nil {
				return fmt.Errorf("write report: %w", err)
			}
			fmt.Fprintf(out, "\nThe report: %s\n", filepath.Join(reports, fault+".html"))
			if report.Status != drill.StatusPass {
				return errMissed
			}
			return nil
		},
	}
	flags := command.Flags()
	flags.StringVar(&fault, "fault", "region-loss", "what goes wrong; see above")
	flags.Float64Var(&speed, "speed", 10, "how many times as fast as AWS's own waits they pass here")
	flags.Float64Var(&rate, "rate", 2, "payments a simulated second")
	flags.IntVar(&clients, "clients", 12, "how many clients pay")
	flags.Uint64Var(&seed, "seed", 1, "seed of everything that is random")
	flags.StringVar(&database, "database", "auto", "mariadb, embedded, or auto: MariaDB if it is installed")
	flags.StringVar(&reports, "reports", "rehearsals", "folder of the reports, as HTML and as JSON")
	flags.BoolVar(&verbose, "verbose", false, "show what the functions log")
	return command
}

// computed is what the templates' numbers come to for a lost primary Region. People's time is not in it.
func computed(a *assembly.Assembly) (payments, ledger *drill.Computed, err error) {
	times, err := budget.Of(a)
	if err != nil {
		return nil, nil, err
	}
	for _, path := range times.Paths {
		if path.Region != a.Settings.Regions.Primary.Name {
			continue
		}
		total := path.Total()
		switch path.Kind {
		case budget.PaymentsLost:
			payments = &drill.Computed{Expected: total.Expected, Worst: total.Worst}
		case budget.LedgerLost:
			ledger = &drill.Computed{Expected: total.Expected, Worst: total.Worst}
		}
	}
	return payments, ledger, nil
}

// installation is MariaDB, if it is asked for or there, and nil for the embedded server.
func installation(database string) (*localmysql.Installation, error) {
	if database != "auto" && database != "mariadb" && database != "embedded" {
		return nil, fmt.Errorf("--database is %q; allowed are auto, mariadb and embedded", database)
	}
	if database == "embedded" {
		return nil, nil
	}
	installed, err := localmysql.InstallMariaDB()
	if errors.Is(err, localmysql.ErrNotInstalled) && database == "auto" {
		return nil, nil
	}
	return installed, err
}

func writeReports(dir, fault string, report drill.Report) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("make folder for the reports: %w", err)
	}
	var page, data strings.Builder
	if err := report.WriteHTML(&page); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	if err := report.WriteJSON(&data); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	for name, content := range map[string]string{fault + ".html": page.String(), fault + ".json": data.String()} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			return fmt.Errorf("write report: %w", err)
		}
	}
	return nil
}
