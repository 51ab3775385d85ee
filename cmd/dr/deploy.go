package main

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/spf13/cobra"

	"payments-dr/internal/assembly"
	"payments-dr/internal/operate/preflight"
)

// newDeployCommand runs cdk deploy for one stack after another. dir is where the assembly is, known when the command runs.
func newDeployCommand(dir *string) *cobra.Command {
	command := &cobra.Command{
		Use:   "deploy [STACK...] [-- OPTION...]",
		Short: "Deploy stacks with the CDK: a first deployment without rollback, an update with it",
		Long: manual{
			does: "Run cdk deploy for each stack, or for the named ones, in the order of their dependencies. A stack that has never been complete is\n" +
				"deployed without rollback: if it fails, what was made stays, and the next dr deploy goes on from there. A rollback would have to\n" +
				"delete databases and tables that deletion protection keeps. Other stacks are rolled back when their update fails.\n" +
				"Options after -- go to cdk deploy.",
			needs:  "the synthesized templates (make synth), node_modules (npm ci), and credentials for cdk deploy and cloudformation:DescribeStacks.",
			leaves: "the deployed stacks; after a failure, a part of one (docs/use/deploy.md says how to go on).",
			ends:   "1 if a deployment fails, 3 if the state of a stack cannot be read.",
		}.String(),
		Example: "  dr preflight && dr deploy\n  dr deploy payment-prod-secondary -- --require-approval never",
		RunE: func(command *cobra.Command, args []string) error {
			var options []string
			if at := command.ArgsLenAtDash(); at >= 0 {
				args, options = args[:at], args[at:]
			}
			a, err := loadAssembly(*dir, chosenEnvironment(command))
			if err != nil {
				return err
			}
			stacks, err := deployOrder(a, args)
			if err != nil {
				return exit(exitUsage, "%w", err)
			}
			ambient, err := awsConfig(command.Context())
			if err != nil {
				return err
			}
			return deployStacks(command.Context(), stacks, append(options, "--app", *dir), statusOf(ambient), runCDK(command))
		},
	}
	return command
}

// statusOf asks CloudFormation for the status of a stack.
func statusOf(ambient aws.Config) func(context.Context, assembly.Stack) (string, error) {
	return func(ctx context.Context, stack assembly.Stack) (string, error) {
		return preflight.StackStatus(ctx, ambient, stack.Region, stack.Name)
	}
}

// runCDK runs the CDK's command line as a part of a command.
func runCDK(command *cobra.Command) func(context.Context, ...string) error {
	return func(ctx context.Context, args ...string) error {
		fmt.Fprintln(command.OutOrStdout(), "cdk", strings.Join(args, " "))
		cdk := exec.CommandContext(ctx, filepath.Join("node_modules", ".bin", "cdk"), args...)
		cdk.Stdin, cdk.Stdout, cdk.Stderr = command.InOrStdin(), command.OutOrStdout(), command.ErrOrStderr()
		return cdk.Run()
	}
}

// deployOrder are the named stacks as they are named, or all, each after those that it depends on.
func deployOrder(a *assembly.Assembly, names []string) ([]assembly.Stack, error) {
	var order []assembly.Stack
	if len(names) > 0 {
		for _, name := range names {
			at := slices.IndexFunc(a.Stacks, func(s assembly.Stack) bool { return s.Name == name })
			if at < 0 {
				return nil, fmt.Errorf("there is no stack %s in the templates; dr stacks lists them", name)
			}
			order = append(order, a.Stacks[at])
		}
		return order, nil
	}
	placed := map[string]bool{}
	for len(order) < len(a.Stacks) {
		before := len(order)
		for _, stack := range a.Stacks {
			if !placed[stack.Name] && !slices.ContainsFunc(stack.Dependencies, func(name string) bool { return !placed[name] }) {
				placed[stack.Name], order = true, append(order, stack)
			}
		}
		if len(order) == before {
			return nil, fmt.Errorf("the stacks depend on each other in a circle")
		}
	}
	return order, nil
}

// deployStacks deploys stacks one after another, and stops at the first that fails.
func deployStacks(ctx context.Context, stacks []assembly.Stack, options []string, status func(context.Context, assembly.Stack) (string, error), cdk func(context.Context, ...string) error) error {
	for _, stack := range stacks {
		is, err := status(ctx, stack)
		if err != nil {
			return failed(ctx, "nothing of "+stack.Name+" was deployed", err)
		}
		args := append([]string{"deploy", "--exclusively", stack.Name}, options...)
		first := neverComplete(is)
		if first {
			args = append(args, "--no-rollback")
		}
		if err := cdk(ctx, args...); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if first {
				return fmt.Errorf("deploy %s: %w; what was made stays: remove the cause and deploy again (docs/use/deploy.md, \"When a first deployment fails\")", stack.Name, err)
			}
			return fmt.Errorf("deploy %s: %w", stack.Name, err)
		}
	}
	return nil
}

// neverComplete reports whether a stack in this state has no complete state that a rollback could lead to. UPDATE_FAILED follows a
// deployment without rollback, and the CDK goes on from it only without rollback.
func neverComplete(status string) bool {
	switch status {
	case "", "REVIEW_IN_PROGRESS", "CREATE_FAILED", "ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "UPDATE_FAILED":
		return true
	}
	return false
}
