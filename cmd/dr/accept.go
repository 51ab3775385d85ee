package main

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"payments-dr/internal/assembly"
	"payments-dr/internal/assembly/cost"
	"payments-dr/internal/operate"
	"payments-dr/internal/operate/accept"
)

// accepting is one call of dr accept.
type accepting struct {
	following                following
	report                   string
	settle                   time.Duration
	asOperator               bool
	cleanUp, production, yes bool
}

// acceptDir is where states and reports are kept.
const acceptDir = "accept"

func newAcceptCommand(dir *string) *cobra.Command {
	var t accepting
	command := &cobra.Command{
		Use:   "accept",
		Short: "Deploy an environment, use it, move it, change it and destroy it, and report what was seen",
		Long: manual{
			does: "The acceptance test of the platform in your AWS account: check the account, deploy the environment, pay test payments through the\n" +
				"public name and in both Regions, move to the other Region and back as planned, deploy another threshold of one alarm, destroy the\n" +
				"environment, and look what is left. An environment that is deployed already is refused, because it would be destroyed.\n\n" +
				"accept/<env>.json keeps what was done: the same command again goes on with the step that has not passed. --clean-up gives the test\n" +
				"up and destroys the environment, whoever deployed it. Before anything is done you see the cost, and type the environment's name.",
			needs: "the synthesized templates (make synth), node_modules (npm ci), cdk.json; credentials, for as long as it takes, for dr preflight,\n" +
				"dr deploy, dr pay, dr failover and cdk destroy (docs/use/deploy.md); a second person who approves both moves.",
			leaves: "the report, and what the templates keep (docs/use/deploy.md, \"What stays behind\"), which it lists; after a failure the\n" +
				"environment, which costs.",
			ends: "1 if a step fails, you do not confirm it or it is production; 4 if it is interrupted, and what is deployed stays.",
		}.String(),
		Example: "  dr accept\n  dr accept --report /tmp/accept-dev\n  dr accept --clean-up --yes",
		Args:    cobra.NoArgs,
		RunE:    func(command *cobra.Command, _ []string) error { return t.run(command, *dir) },
	}
	t.following.flags(command)
	flags := command.Flags()
	flags.StringVar(&t.report, "report", "", "folder of a new test's report; empty: accept/<env>-<date>")
	flags.DurationVar(&t.settle, "settle", 10*time.Minute, "how long to wait for what takes effect late, such as a name in DNS, a metric or a deletion")
	flags.BoolVar(&t.asOperator, "as-operator", false, "move with each Region's own operator's role, taken from the credentials that are there")
	flags.BoolVar(&t.cleanUp, "clean-up", false, "give the test up: destroy the environment and report what is left")
	flags.BoolVar(&t.production, "production", false, "do it with an environment of production")
	flags.BoolVar(&t.yes, "yes", false, "do not ask to type the environment's name")
	completeFolder(command, "report")
	return command
}

func (t *accepting) run(command *cobra.Command, dir string) error {
	ctx, out := command.Context(), command.OutOrStdout()
	if err := checkEvery(t.following.every); err != nil {
		return err
	}
	a, err := loadAssembly(dir, chosenEnvironment(command))
	if err != nil {
		return err
	}
	s := &a.Settings
	if s.Production && !t.production {
		return fmt.Errorf("%s is an environment of production, and would be destroyed in the end. If you mean it, --production", s.Environment)
	}
	app, err := appContext()
	if err != nil {
		return err
	}
	environments, _ := app["environments"].(map[string]any)
	ambient, err := awsConfig(ctx)
	if err != nil {
		return err
	}
	deployment, err := operate.Open(s, ambient, t.asOperator)
	if err != nil {
		return err
	}
	estimate, err := cost.Of(a, cost.Usage{CheckersPerRegion: cost.DefaultUsage().CheckersPerRegion})
	if err != nil {
		return err
	}
	cdk := runCDK(command)
	r := accept.Run{
		Settings: s, Month: cost.Total(estimate.Idle), File: filepath.Join(acceptDir, s.Environment+".json"), Out: out, Now: time.Now,
		Every: t.following.every, Patience: t.settle,
		World: &accept.Account{
			Assembly: a, Config: ambient, Resolver: net.DefaultResolver, CDK: cdk, Environments: environments,
			Changed: filepath.Join(acceptDir, s.Environment+".cdk.out"), Who: username(), Follower: operate.Follower{
				Deployment: deployment, Every: t.following.every, Patience: t.following.patience, ReconciledWithin: t.following.reconciledWithin, Out: out,
			},
			Stacks: func(ctx context.Context, a *assembly.Assembly) error {
				order, err := deployOrder(a, nil)
				if err != nil {
					return err
				}
				return deployStacks(ctx, order, []string{"--require-approval", "never", "--app", a.Dir}, statusOf(ambient), cdk)
			},
		},
	}
	if t.report == "" {
		t.report = filepath.Join(acceptDir, s.Environment+"-"+time.Now().UTC().Format("2006-01-02T1504"))
	}
	if err := r.Open(t.report); err != nil {
		return err
	}
	if err := t.confirm(command, &r); err != nil {
		return err
	}
	do := r.Accept
	if t.cleanUp {
		do = r.CleanUp
	}
	err = do(ctx)
	fmt.Fprintf(out, "The report: %s\n", filepath.Join(r.State.Report, "report.md"))
	if err == nil {
		return nil
	}
	status, format := exitFailed, "%w. What is deployed stays, and costs. Go on: dr accept --env %s; or remove it: dr accept --env %[2]s --clean-up"
	if ctx.Err() != nil {
		status, format = exitLeftOpen, "interrupted: "+format
	}
	return exit(status, format, err, s.Environment)
}

// confirm says what it costs, and asks for a yes.
func (t *accepting) confirm(command *cobra.Command, r *accept.Run) error {
	out, s, to := command.OutOrStdout(), r.Settings, "destroy it"
	fmt.Fprintf(out, "Environment %s in account %s, %s and %s.\n", s.Environment, s.Account, s.Regions.Primary.Name, s.Regions.Secondary.Name)
	if !t.cleanUp {
		to = "deploy and destroy it"
		fmt.Fprintf(out, "By the price table it costs $%s an hour as long as it is deployed. For a test we assume three hours: $%s. What is left afterwards costs more.\n",
			cost.During(r.Month, time.Hour).Text(2), cost.During(r.Month, 3*time.Hour).Text(2))
	}
	if t.cleanUp && r.State.Deployed.IsZero() {
		fmt.Fprintln(out, "No test has deployed it, as far as this folder knows. If it is there, somebody else may need it.")
	}
	if next := r.State.Next(); next > 0 {
		fmt.Fprintf(out, "The test of %s has come to step %d, %s.\n", r.State.Began.Format(time.RFC3339), next+1, r.State.Steps[next].Name)
	}
	return confirmed(command, t.yes, s.Environment, to, "nothing was done")
}
