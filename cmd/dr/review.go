package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/smithy-go/logging"
	"github.com/spf13/cobra"

	"payments-dr/internal/assembly"
	"payments-dr/internal/assembly/golden"
	"payments-dr/internal/assembly/review"
	"payments-dr/internal/operate/preflight"
)

// newReviewCommand writes what a change does, as a comment for a pull request.
func newReviewCommand() *cobra.Command {
	var base, head, to, note string
	command := &cobra.Command{
		Use:   "review",
		Short: "Write what a change does to templates, cost and recovery times, as a comment",
		Long: manual{
			does: "Compare the golden templates of this working tree, or of a commit, with those of the commit in which it left the base, and write\n" +
				"Markdown: what is replaced or removed and who may do more first, then every resource, the cost and the recovery times. Nothing\n" +
				"is synthesized. The comment is never longer than GitHub takes.",
			needs:  "the project's folder, a repository of git that has the base. No credentials: AWS is not asked.",
			leaves: "the comment, in the file --to, or on standard output.",
			ends:   "0 whatever the change is; 1 if the templates cannot be compared.",
		}.String(),
		Example: "  dr review\n  dr review --base origin/main --head 1a2b3c4 --to comment.md",
		Args:    cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			comment, err := reviewOf(command.Context(), review.Repository{Dir: "."}, base, head, chosenEnvironment(command))
			if err != nil {
				return err
			}
			comment.Note = note
			text, err := comment.Markdown(review.MaxComment)
			if err != nil {
				return err
			}
			if to == "" {
				_, err = io.WriteString(command.OutOrStdout(), text)
				return err
			}
			if err := os.WriteFile(to, []byte(text), 0o644); err != nil {
				return fmt.Errorf("write comment: %w", err)
			}
			return nil
		},
	}
	flags := command.Flags()
	flags.StringVar(&base, "base", "origin/main", "the branch that the change is for")
	flags.StringVar(&head, "head", "", "the change, a commit; otherwise the working tree")
	flags.StringVar(&to, "to", "", "file to write; otherwise standard output")
	flags.StringVar(&note, "note", "", "a sentence to stand above all else")
	return command
}

// reviewOf compares the golden templates of every environment, or of the named one.
func reviewOf(ctx context.Context, repository review.Repository, base, head, only string) (review.Comment, error) {
	tip := head
	if tip == "" {
		tip = "HEAD"
	}
	parted, err := repository.MergeBase(ctx, base, tip)
	if err != nil {
		return review.Comment{}, err
	}
	comment := review.Comment{
		Old: fmt.Sprintf("%s (where it leaves %s)", repository.Short(ctx, parted), base),
		New: "the working tree",
	}
	if head != "" {
		comment.New = repository.Short(ctx, head)
	}
	environments, err := repository.Environments(ctx, head)
	if err != nil {
		return review.Comment{}, err
	}
	before, err := repository.Environments(ctx, parted)
	if err != nil {
		return review.Comment{}, err
	}
	if comment.NoBase = len(before) == 0; comment.NoBase {
		return comment, nil
	}
	environments = append(environments, before...)
	slices.Sort(environments)
	for _, env := range slices.Compact(environments) {
		if only != "" && env != only {
			continue
		}
		old, err := repository.Golden(ctx, parted, env)
		if err != nil {
			return review.Comment{}, err
		}
		now, err := repository.Golden(ctx, head, env)
		if err != nil {
			return review.Comment{}, err
		}
		changed, err := review.Of(ctx, repository.Dir, env, old, now)
		if err != nil {
			return review.Comment{}, err
		}
		comment.Environments = append(comment.Environments, changed)
	}
	return comment, nil
}

// newDiffCommand shows what a deployment of the assembly would change. dir is where it is, known when the command runs.
func newDiffCommand(dir *string) *cobra.Command {
	var base string
	command := &cobra.Command{
		Use:   "diff",
		Short: "Show what a deployment would change: of what is deployed, or of the base branch",
		Long: manual{
			does: "With credentials, compare the synthesized templates with the deployed stacks (cdk diff). Without, or with --base, compare them\n" +
				"with the golden templates of the commit in which this branch left its base. The first line says which of the two was done. The\n" +
				"last lines name changes that AWS refuses, such as the replacement of a resource with a fixed name, and those that need a procedure.",
			needs:  "the synthesized templates (make synth); either credentials that may read the stacks, or a repository of git that has the base.",
			leaves: "nothing.",
			ends:   "0 whatever the differences are; 1 if the templates cannot be compared.",
		}.String(),
		Example: "  dr diff\n  dr diff --base origin/main",
		Args:    cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			ctx, out := command.Context(), command.OutOrStdout()
			a, err := loadAssembly(*dir, chosenEnvironment(command))
			if err != nil {
				return err
			}
			if base == "" && hasCredentials(ctx) {
				fmt.Fprintf(out, "against the deployed stacks, with the credentials that are here (make diff BASE=origin/main: against the base branch)\n\n")
				cdk := exec.CommandContext(ctx, filepath.Join("node_modules", ".bin", "cdk"), "diff", "--app", *dir)
				cdk.Stdout, cdk.Stderr = out, command.ErrOrStderr()
				if err := cdk.Run(); err != nil {
					return fmt.Errorf("compare with the deployed stacks: %w", err)
				}
				ambient, err := awsConfig(ctx)
				if err != nil {
					return err
				}
				return writeObstacles(ctx, out, a, func(stack assembly.Stack) (string, error) {
					return preflight.DeployedTemplate(ctx, ambient, stack.Region, stack.Name)
				})
			}
			why := "there are no credentials"
			if base != "" {
				why = "as asked"
			} else {
				base = "origin/main"
			}
			repository := review.Repository{Dir: "."}
			parted, err := repository.MergeBase(ctx, base, "HEAD")
			if err != nil {
				return err
			}
			fmt.Fprintf(out, "against the golden templates of %s, where this branch leaves %s (%s), and not against what is deployed\n\n", repository.Short(ctx, parted), base, why)
			old, err := repository.Golden(ctx, parted, a.Settings.Environment)
			if err != nil {
				return err
			}
			now, err := golden.Read(os.DirFS(*dir))
			if err != nil {
				return err
			}
			changed, err := review.Of(ctx, repository.Dir, a.Settings.Environment, old, now)
			if err != nil {
				return err
			}
			_, err = io.WriteString(out, changed.Text())
			return err
		},
	}
	command.Flags().StringVar(&base, "base", "", "compare with this branch or commit, with credentials too")
	return command
}

// writeObstacles writes which changes of the deployed stacks AWS refuses, and which need more than a deployment. The CDK's own comparison
// does not say so. deployed is a stack's template, or empty if it is not deployed.
func writeObstacles(ctx context.Context, out io.Writer, a *assembly.Assembly, deployed func(assembly.Stack) (string, error)) error {
	now, err := golden.Read(os.DirFS(a.Dir))
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "deployed-")
	if err != nil {
		return fmt.Errorf("make temporary folder: %w", err)
	}
	defer os.RemoveAll(dir)
	for _, stack := range a.Stacks {
		template, err := deployed(stack)
		if err != nil {
			return failed(ctx, "whether the changes can be deployed is not known", err)
		}
		if template == "" {
			continue
		}
		if err := os.WriteFile(filepath.Join(dir, stack.Name+".template.json"), []byte(template), 0o600); err != nil {
			return fmt.Errorf("write deployed template: %w", err)
		}
	}
	old, err := now.Deployed(os.DirFS(dir), a.Settings.Account)
	if err != nil {
		return err
	}
	changes, err := review.Compare(ctx, ".", old, now)
	if err != nil {
		return err
	}
	for _, o := range review.Obstacles(changes) {
		fmt.Fprintf(out, "\n%s\n", o)
	}
	return nil
}

// hasCredentials is whether any of the usual places has credentials. A machine outside AWS answers within the time.
func hasCredentials(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	found, err := config.LoadDefaultConfig(ctx, config.WithLogger(logging.Nop{})) // that there are none is no warning
	if err != nil {
		return false
	}
	_, err = found.Credentials.Retrieve(ctx)
	return err == nil
}

// newDeployOrderCommand tells in which order to deploy the stacks. dir is where the assembly is, known when the command runs.
func newDeployOrderCommand(dir *string) *cobra.Command {
	var deployed string
	command := &cobra.Command{
		Use:   "deploy-order",
		Short: "Tell in which order the stacks can be deployed, the secondary Region first",
		Long: manual{
			does: "Compare the synthesized templates with those that are deployed, which scripts/deployed-templates fetches, and print the stacks in\n" +
				"the order in which each can be deployed without the others, one a line; the reasons on standard error.",
			needs:  "the synthesized templates (make synth), and the deployed ones. No credentials: AWS is not asked.",
			leaves: "nothing.",
			ends:   "1 if no order works, because a value that another stack reads would change.",
		}.String(),
		Example: "  dr deploy-order --deployed deployed",
		Args:    cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			a, err := loadAssembly(*dir, chosenEnvironment(command))
			if err != nil {
				return err
			}
			now, err := golden.Read(os.DirFS(*dir))
			if err != nil {
				return err
			}
			if _, err := os.Stat(deployed); err != nil {
				return fmt.Errorf("read deployed templates: %w", err)
			}
			old, err := now.Deployed(os.DirFS(deployed), a.Settings.Account)
			if err != nil {
				return err
			}
			changes, err := review.Compare(command.Context(), ".", old, now)
			if err != nil {
				return err
			}
			order := review.OrderOf(old, now, changes)
			for _, reason := range order.Reasons {
				fmt.Fprintln(command.ErrOrStderr(), reason)
			}
			if len(order.Refused) > 0 {
				return errors.New("deploy: not as it is:\n  " + strings.Join(order.Refused, "\n  "))
			}
			for _, stack := range order.Stacks {
				fmt.Fprintln(command.OutOrStdout(), stack)
			}
			return nil
		},
	}
	command.Flags().StringVar(&deployed, "deployed", "", "folder of the deployed templates, <stack>.template.json each; a stack without one is not deployed")
	if err := command.MarkFlagRequired("deployed"); err != nil {
		panic(err)
	}
	return command
}
