package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"payments-dr/internal/drill"
	"payments-dr/internal/drill/live"
	"payments-dr/internal/drill/load"
	"payments-dr/internal/operate"
	"payments-dr/internal/payment"
	"payments-dr/internal/settings"
)

// drilling is one call of dr drill.
type drilling struct {
	env                        environment
	following                  following
	simulated                  rehearseOptions
	file, reports              string
	simulate, ledger, yes, dry bool
	verbose                    bool
	recorder                   drill.Recorder
}

func newDrillCommand(dir *string) *cobra.Command {
	var d drilling
	command := &cobra.Command{
		Use:   "drill --hypothesis FILE",
		Short: "Hold a drill against the deployed platform, and write down what it showed",
		Long: "Read what is to hold from a file, send test payments through the public name, move the platform by its recovery plan if the file\n" +
			"says so, and measure: what was lost, doubled or different, and how long payments and the ledger were away. The report is the\n" +
			"same as a rehearsal's, in the terminal, as HTML and as JSON, with a copy of the file beside it. docs/operate/drill.md tells how to hold\n" +
			"a game day with it, and what it proves.\n\n" +
			"Payments are in XTS, the currency that ISO 4217 keeps for tests: recorded like any other, and no money. They are sent only\n" +
			"while the steady state holds and no stop condition is met, and never more than the file allows. A switchover is started as by\n" +
			"dr failover --planned: the same preconditions, the same confirmation, and a second person who approves.\n\n" +
			"With --simulated the same is held against both Regions on this machine, built from the synthesized templates: to try a\n" +
			"hypothesis before it meets anything that is deployed.\n\n" +
			"An interrupt ends the payments, waits for those under way, and writes what was seen until then; an execution of the plan goes\n" +
			"on.\n\nNeeds: cdk.json, and credentials of the operator's role of the Region, payment-<env>-operator-<region> (dr help credentials), which\n" +
			"may pay test payments; for a switchover a second person who approves. With --simulated the synthesized templates, Go and\n" +
			"what npm ci installs, and no credentials.\n\nLeaves behind: test payments, for good, in table and ledger; the report and a copy of the file; after a switchover, the\n" +
			"platform in the other Region.\n\nExit status: 1 if an objective is missed, the steady state does not hold, a stop condition is met, a precondition refuses it,\n" +
			"or you do not confirm it; 2 if the file is wrong; 3 if what the file asks could not be measured or asked; 4 if an execution of\n" +
			"the plan goes on unwatched.",
		Example: "  dr drill --hypothesis docs/operate/drills/planned-switchover.yaml --dry-run\n" +
			"  dr drill --hypothesis docs/operate/drills/planned-switchover.yaml --simulated --read-ledger\n" +
			"  dr drill --hypothesis docs/operate/drills/steady.yaml --yes",
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error { return d.run(command, *dir) },
	}
	d.env.of(command)
	d.env.operatorFlag(command)
	d.following.flags(command)
	flags := command.Flags()
	flags.StringVar(&d.file, "hypothesis", "", "the file, YAML or JSON, that says what is done and what is to hold")
	flags.StringVar(&d.reports, "reports", "drills", "folder of the reports, as HTML and as JSON")
	flags.BoolVar(&d.ledger, "read-ledger", false, "read the drill's payments in the ledger, too: wants rds-db:connect, and a way into the network")
	flags.BoolVar(&d.dry, "dry-run", false, "show what would be done and what stands against it, and send nothing")
	flags.BoolVar(&d.yes, "yes", false, "do not ask to type the Region's or the environment's name")
	flags.BoolVar(&d.simulate, "simulated", false, "hold it against both Regions simulated on this machine")
	flags.Float64Var(&d.simulated.speed, "speed", 10, "simulated: how many times as fast as AWS's own waits they pass here")
	flags.StringVar(&d.simulated.database, "database", "auto", "simulated: mariadb, embedded, or auto")
	flags.Uint64Var(&d.simulated.seed, "seed", 1, "simulated: seed of everything that is random")
	flags.BoolVar(&d.verbose, "verbose", false, "simulated: show what the functions log")
	return command
}

// read reads the hypothesis, and whether it may be held now.
func (d *drilling) read() (live.Hypothesis, []byte, error) {
	if d.file == "" {
		return live.Hypothesis{}, nil, exit(exitUsage, "--hypothesis is missing: the file that says what is to hold, such as docs/operate/drills/steady.yaml")
	}
	content, err := os.ReadFile(d.file)
	if err != nil {
		return live.Hypothesis{}, nil, exit(exitUsage, "read hypothesis: %w", err)
	}
	h, err := live.Read(content)
	if err != nil {
		return h, nil, exit(exitUsage, "%s: %w", d.file, err)
	}
	if d.env.name != "" && d.env.name != h.Environment {
		return h, nil, exit(exitUsage, "--env is %q, and the hypothesis is for %q", d.env.name, h.Environment)
	}
	d.env.name = h.Environment
	return h, content, nil
}

func (d *drilling) run(command *cobra.Command, dir string) error {
	ctx, out := command.Context(), command.OutOrStdout()
	if err := checkEvery(d.following.every); err != nil {
		return err
	}
	h, content, err := d.read()
	if err != nil {
		return err
	}
	if d.verbose {
		d.simulated.log = command.ErrOrStderr()
	}
	t, err := d.open(ctx, dir, out, h)
	if err != nil {
		return err
	}
	defer t.close()
	if h.Action.Kind != live.KindNone {
		if _, err := t.deployment.Region(h.Action.To); err != nil {
			return exit(exitUsage, "%s: action.to: %w", d.file, err)
		}
	}
	if _, err := t.load.Credentials.Retrieve(ctx); err != nil {
		return exit(exitUnknown, "no payment can be signed: no credentials: sign in as the operator, or set AWS_PROFILE")
	}
	id := drillID()
	if err := d.agree(command, t, h, id); err != nil || d.dry {
		return err
	}

	progress := &drill.Progress{Writer: out, Recorder: &d.recorder, Now: t.clock.Now}
	showing, hide := context.WithCancel(context.WithoutCancel(ctx))
	shown := make(chan struct{})
	go func() { progress.Run(showing); close(shown) }()
	ended := func() {
		hide()
		<-shown
		fmt.Fprintln(out, "The payments have ended. Reading what became of them.")
	}
	interrupted := context.AfterFunc(ctx, func() {
		fmt.Fprintf(progress, "Interrupted: nothing more is sent. Waiting up to %s for what is under way.\n", load.Patience)
	})
	result, err := live.Run(ctx, live.Config{
		Hypothesis: h, ID: id, Deployment: t.deployment, Clock: t.clock, Load: t.load, Recorder: &d.recorder, Who: username(), Run: t.run,
		Every: d.following.every, Patience: d.following.patience, ReconciledWithin: d.following.reconciledWithin, Settle: t.settle, Out: progress, Ledger: t.ledger, Ended: ended,
	})
	interrupted()
	hide()
	if err != nil {
		return err
	}
	if err := writeReports(d.reports, id, result.Report); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(d.reports, id+".hypothesis"+filepath.Ext(d.file)), content, 0o644); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	if err := result.Report.WriteText(out, drill.Colour(out)); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	fmt.Fprintf(out, "\nThe report: %s\n", filepath.Join(d.reports, id+".html"))
	return drillVerdict(result, h)
}

// drillVerdict is how a drill ends for whoever called it.
func drillVerdict(result live.Result, h live.Hypothesis) error {
	switch {
	case result.Open != "":
		return exit(exitLeftOpen, "%w, and the execution %s of the plan goes on. Watch it: dr watch-plan --env %s %s", result.Stopped, result.Open, h.Environment, result.Open)
	case result.Unsettled != nil:
		return exit(exitUnknown, "%w. Look before you start another: dr watch-plan --env %s", result.Unsettled, h.Environment)
	case result.Stopped != nil:
		return result.Stopped
	case len(result.Report.Broken) > 0:
		return errBroken
	case result.Report.Status == drill.StatusNotMeasured, result.Report.Status == drill.StatusNotJudged:
		return exit(exitUnknown, "not everything that was asked could be measured")
	case result.Report.Status != drill.StatusPass:
		return errMissed
	}
	return nil
}

// drillID is a drill's own: a moment, and enough of chance to be nobody else's.
func drillID() string {
	return payment.DrillSession + time.Now().UTC().Format("20060102t150405") + fmt.Sprintf("-%06x", rand.Uint32()>>8)
}

// agree shows what is about to be done and what stands against it, and asks for a yes.
func (d *drilling) agree(command *cobra.Command, t *drillTarget, h live.Hypothesis, id string) error {
	ctx, out := command.Context(), command.OutOrStdout()
	writeHypothesis(out, t, h, id, d.ledger)
	status := t.deployment.Look(ctx)
	if err := ctx.Err(); err != nil {
		return err
	}
	word := h.Environment
	found := live.Check(ctx, t.deployment, h, status, id, t.ledger, time.Now())
	if err := ctx.Err(); err != nil {
		return err
	}
	if h.Action.Kind == live.KindPlannedSwitchover {
		word = h.Action.To
		found = append(t.deployment.Preconditions(status, h.Move()), found...)
	}
	operate.WriteFindings(out, found, drill.Colour(out))
	if d.dry && h.Action.Kind == live.KindPlannedSwitchover {
		t.deployment.WriteSteps(out, h.Move())
	}
	switch {
	case h.Action.Kind != live.KindNone && status.PlanARN() == "":
		return exit(exitUnknown, "nothing was sent: no Region tells of the plan")
	case operate.Against(found):
		return errors.New("nothing was sent: see NO above")
	case d.dry:
		fmt.Fprintln(out, "Nothing was sent: --dry-run.")
		return nil
	}
	return confirmed(command, d.yes, word, "begin", "nothing was sent")
}

func writeHypothesis(out io.Writer, t *drillTarget, h live.Hypothesis, id string, reads bool) {
	fmt.Fprintf(out, "%s\n\n%s\n", t.run.Banner, h.Title)
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	line := func(what, format string, args ...any) {
		fmt.Fprintf(table, "  %s\t%s\n", what, fmt.Sprintf(format, args...))
	}
	line("environment", "%s, by its public name %s", h.Environment, t.settings.APIName())
	line("owner, reason", "%s; %s", h.Owner, h.Reason)
	line("steady state", "%s with at most %.3g %% of attempts failing and 99 %% of the others within %s, before and at the end", h.SteadyState.Lasts, 100*h.SteadyState.ErrorShare, h.SteadyState.LatencyP99)
	line("load", "%s", h.Load)
	line("payments", "in %s, which is no money; sessions %s-…", payment.TestCurrency, id)
	line("action", "%s", h.Action)
	line("observation", "%s", h.Observe)
	var asked []string
	for _, name := range h.Asked {
		asked = append(asked, string(name))
	}
	line("asked", "%s", strings.Join(asked, ", "))
	line("ends early at", "%s", h.Stop)
	if !reads {
		line("ledger", "is not read (--read-ledger): what only it can tell is not measured")
	}
	_ = table.Flush()
	fmt.Fprintln(out)
}

// drillTarget is what a drill is held against.
type drillTarget struct {
	settings   *settings.Settings
	deployment *operate.Deployment
	clock      load.Clock
	load       load.Config
	ledger     ledgerOpener
	// run is what the report says of itself.
	run drill.Run
	// settle is how long before now a reconciliation's window ends.
	settle time.Duration
	close  func()
}
