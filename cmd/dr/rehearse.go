package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"payments-dr/internal/assembly"
	"payments-dr/internal/assembly/functionbuild"
	"payments-dr/internal/assembly/recoverytime"
	"payments-dr/internal/drill"
	"payments-dr/internal/drill/rehearsal"
	"payments-dr/internal/settings"
	"payments-dr/internal/simulation/localmysql"
)

// errMissed is a rehearsal that ended, and missed an objective or could not measure one.
var errMissed = errors.New("not every objective was met")

// errBroken is a rehearsal that ended, and found the platform broken, whatever the objectives.
var errBroken = errors.New("the platform is broken")

// rehearseOptions are what rehearsals of one kind have in common.
type rehearseOptions struct {
	speed, rate       float64
	clients           int
	seed              uint64
	database, reports string
	consistency       string
	log               io.Writer
}

func (o *rehearseOptions) flags(flags *pflag.FlagSet) {
	flags.Float64Var(&o.speed, "speed", 10, "how many times as fast as AWS's own waits they pass here")
	flags.Float64Var(&o.rate, "rate", 2, "payments a simulated second")
	flags.IntVar(&o.clients, "clients", 12, "how many clients pay; every second one fails over by itself")
	flags.Uint64Var(&o.seed, "seed", 1, "seed of everything that is random")
	flags.StringVar(&o.database, "database", "auto", "mariadb, embedded, or auto: MariaDB if it is installed")
	flags.StringVar(&o.consistency, "consistency", "", "strong or eventual: the session table's; empty: as the template has it")
	flags.StringVar(&o.reports, "reports", "rehearsals", "folder of the reports, as HTML and as JSON")
}

func (o *rehearseOptions) check() error {
	switch {
	case o.speed <= 0 || o.speed > 60:
		return exit(exitUsage, "--speed is %v; allowed is more than 0 and up to 60: at more, what really runs here would seem to take minutes", o.speed)
	case o.rate <= 0 || o.rate*o.speed > 500:
		return exit(exitUsage, "--rate is %v; allowed is more than 0, and times the speed up to 500 payments a second", o.rate)
	case o.clients < 1 || o.clients > 1000:
		return exit(exitUsage, "--clients is %d; allowed is 1 to 1000", o.clients)
	case o.consistency != "" && !slices.Contains(consistencyNames(), o.consistency):
		return exit(exitUsage, "--consistency is %q; allowed is one of %s", o.consistency, strings.Join(consistencyNames(), ", "))
	}
	return nil
}

// stage is what rehearsals run on.
type stage struct {
	options  rehearseOptions
	assembly *assembly.Assembly
	binaries map[string]string
	folder   string
	mariaDB  *localmysql.Installation
	banner   string
	// provenance is what the reports are made with.
	provenance []drill.Fact
}

// prepare reads the templates, says what of them is left out, and builds the functions.
func (o *rehearseOptions) prepare(ctx context.Context, dir, environment string, out io.Writer) (ready *stage, err error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	s := &stage{options: *o, binaries: map[string]string{}}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	if s.assembly, err = loadAssembly(dir, environment); err != nil {
		return nil, err
	}
	s.provenance = made(ctx, drill.Fact{Name: "templates", Value: "sha256:" + s.assembly.Digest})
	if s.mariaDB, err = installation(o.database); err != nil {
		return nil, err
	}
	engine := "embedded servers of the MySQL protocol, simulated replication"
	if s.mariaDB != nil {
		engine = "two MariaDB servers, their own replication"
	}
	s.banner = fmt.Sprintf("SIMULATED: the platform's real code and synthesized templates ran on this machine around a simulated AWS. Time passed %g times as fast. Database: %s.", o.speed, engine)
	if s.options.consistency != "" {
		s.banner += " The session table had " + s.options.consistency + " consistency, whatever its template says."
	}
	fmt.Fprintln(out, "Building the functions for this machine.")
	if s.folder, err = os.MkdirTemp("", "dr-rehearse-"); err != nil {
		return nil, fmt.Errorf("make temporary folder: %w", err)
	}
	for _, name := range []string{"processor", "relay", "ledger", "reconcile"} {
		if s.binaries[name], err = functionbuild.Build(".", name, s.folder); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func (s *stage) close() {
	if s.mariaDB != nil {
		s.mariaDB.Close()
	}
	if s.folder != "" {
		_ = os.RemoveAll(s.folder)
	}
}

// rehearse plays one fault. progress, if given, is where the run is shown as it goes; settled, if given, is called when another
// may begin.
func (s *stage) rehearse(ctx context.Context, fault string, seed uint64, progress io.Writer, settled func()) (drill.Report, error) {
	o, objectives := s.options, s.assembly.Settings.Objectives
	rpo := time.Duration(objectives.RPOMinutes) * time.Minute
	assumed, assumptions := rehearsal.DefaultAssumed()
	run := drill.Run{
		Banner: s.banner, Title: fmt.Sprintf("Rehearsal of %s, %s", fault, s.assembly.Settings.Environment),
		Provenance: s.provenance,
		// A planned move loses nothing. Its backlog may be as old as what a loss may take.
		Objectives: drill.Objectives{PaymentsRTO: recoverytime.PaymentsLimit, LedgerRTO: time.Duration(objectives.RTOMinutes) * time.Minute, RPO: rpo, Backlog: rpo},
		Assumptions: append(assumptions, drill.Assumption{
			What: "rate", Value: fmt.Sprintf("%g payments a simulated second from %d clients, on a schedule that waits for no answer", o.rate, o.clients), Source: "--rate, --clients",
		}, drill.Assumption{What: "seed", Value: strconv.FormatUint(seed, 10), Source: "--seed"}),
	}
	if fault == "region-loss" { // what the computed times are about
		var err error
		if run.Computed.PaymentsRTO, run.Computed.LedgerRTO, err = computed(s.assembly); err != nil {
			return drill.Report{}, err
		}
	}
	return rehearsal.Rehearse(ctx, rehearsal.Config{
		Assembly: s.assembly, ModuleDir: ".", Binaries: s.binaries, MariaDB: s.mariaDB, Fault: fault, Speed: o.speed, Rate: o.rate, Clients: o.clients,
		Seed: seed, Assumed: assumed, Recorder: &drill.Recorder{}, Progress: progress, Log: o.log, Run: run, Settled: settled, Consistency: settings.Consistency(o.consistency),
	})
}

func newRehearseCommand(dir *string) *cobra.Command {
	var options rehearseOptions
	var fault string
	var verbose bool
	var faults strings.Builder
	all := rehearsal.Scenarios()
	for _, name := range rehearsal.FaultNames() {
		fmt.Fprintf(&faults, "  %-18s %s\n", name, all[name].Description)
	}
	command := &cobra.Command{
		Use:   "rehearse",
		Short: "Lose a Region on this machine, and prove what was lost",
		Long: manual{
			does: "Run both Regions on this machine, from the synthesized templates and the functions' real code around a simulated AWS;\n" +
				"send payments, let something go wrong, do what the runbook says, and measure.\n\nThe faults:\n" + strings.TrimSuffix(faults.String(), "\n"),
			needs: "the project's folder with the synthesized templates (make synth), Go, and what npm ci installs. MariaDB is taken if it is\n" +
				"installed. No credentials: AWS is not asked.",
			leaves: "a report, FAULT.html and FAULT.json, in the folder --reports. Its processes end with it, an interrupt included.",
			ends:   "1 if an objective is missed or not measured, or the platform is broken.",
		}.String(),
		Example: "  dr rehearse\n  dr rehearse --fault bad-deploy --speed 20\n  dr rehearse --fault chaos --seed 7",
		Args:    cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			out := command.OutOrStdout()
			if !slices.Contains(rehearsal.FaultNames(), fault) {
				return exit(exitUsage, "--fault is %q; allowed is one of %s", fault, strings.Join(rehearsal.FaultNames(), ", "))
			}
			if verbose {
				options.log = command.ErrOrStderr()
			}
			ready, err := options.prepare(command.Context(), *dir, chosenEnvironment(command), out)
			if err != nil {
				return err
			}
			defer ready.close()
			report, err := ready.rehearse(command.Context(), fault, options.seed, out, nil)
			if err != nil {
				return err
			}
			if err := writeReports(options.reports, fault, report); err != nil {
				return err
			}
			if err := report.WriteText(out, drill.Colour(out)); err != nil {
				return fmt.Errorf("write report: %w", err)
			}
			fmt.Fprintf(out, "\nThe report: %s\n", filepath.Join(options.reports, fault+".html"))
			if len(report.Broken) > 0 {
				return errBroken
			}
			if report.Status != drill.StatusPass {
				return errMissed
			}
			return nil
		},
	}
	options.flags(command.Flags())
	command.Flags().StringVar(&fault, "fault", "region-loss", "what goes wrong; see above")
	complete(command, "fault", faultNames)
	complete(command, "database", databaseNames)
	complete(command, "consistency", consistencyNames)
	completeFolder(command, "reports")
	command.Flags().BoolVar(&verbose, "verbose", false, "show what the functions log")
	return command
}

// computed is what the templates' numbers come to for a lost primary Region. People's time is not in it.
func computed(a *assembly.Assembly) (payments, ledger *drill.Computed, err error) {
	times, err := recoverytime.Of(a)
	if err != nil {
		return nil, nil, err
	}
	for _, path := range times.Paths {
		if path.Region != a.Settings.Regions.Primary.Name {
			continue
		}
		total := path.Total()
		switch path.Kind {
		case recoverytime.PaymentsLost:
			payments = &drill.Computed{Expected: total.Expected, Worst: total.Worst}
		case recoverytime.LedgerLost:
			ledger = &drill.Computed{Expected: total.Expected, Worst: total.Worst}
		}
	}
	return payments, ledger, nil
}

// installation is MariaDB, if it is asked for or there, and nil for the embedded server.
func installation(database string) (*localmysql.Installation, error) {
	if database != "auto" && database != "mariadb" && database != "embedded" {
		return nil, exit(exitUsage, "--database is %q; allowed are auto, mariadb and embedded", database)
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
