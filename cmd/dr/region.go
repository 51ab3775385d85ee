package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"payments-dr/internal/operate"
)

// regional is a command that works in one Region of an environment.
type regional struct {
	env    environment
	region string
}

func (r *regional) flags(command *cobra.Command, otherwise string) {
	r.env.of(command)
	r.env.operatorFlag(command)
	command.Flags().StringVar(&r.region, "region", "", "the Region; empty: "+otherwise)
}

// open is the deployment and the Region, which is the writer's unless one is named. writer is empty if that is not known.
func (r *regional) open(ctx context.Context) (deployment *operate.Deployment, region operate.Region, writer string, err error) {
	if deployment, err = r.env.open(ctx); err != nil {
		return nil, region, "", err
	}
	if r.region != "" {
		if region, err = deployment.Region(r.region); err != nil {
			return nil, region, "", exit(exitUsage, "--region: %w", err)
		}
	}
	if err = deployment.SignIn(ctx); err != nil {
		return nil, region, "", failed(ctx, "nothing was done", err)
	}
	writer, err = deployment.Writer(ctx)
	if r.region == "" {
		if err != nil {
			return nil, region, "", failed(ctx, "nothing was done. Name the Region with --region", err)
		}
		if region, err = deployment.Region(writer); err != nil {
			return nil, region, "", failed(ctx, "nothing was done", err)
		}
	}
	if err = deployment.Deployed(ctx, region); err != nil {
		return nil, region, "", failed(ctx, "nothing was done in "+region.Name, err)
	}
	return deployment, region, writer, nil
}

// failed is an error with the exit status of what stood in the way, in few words.
func failed(ctx context.Context, what string, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	problem := operate.Explain(err)
	if problem.Unanswered() {
		return exit(exitUnknown, "%s: %w", what, problem)
	}
	return fmt.Errorf("%s: %w", what, problem)
}

// confirmed asks to type a word, unless the person has said yes before. otherwise is what the error begins with.
func confirmed(command *cobra.Command, yes bool, word, to, otherwise string) error {
	if yes {
		return nil
	}
	fmt.Fprintf(command.OutOrStdout(), "Type %s to %s: ", word, to)
	typed, err := readLine(command.Context(), command)
	if err != nil || typed != word {
		fmt.Fprintln(command.OutOrStdout())
		return fmt.Errorf("%s: %q is not %s", otherwise, typed, word)
	}
	return nil
}
