package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"payments-dr/internal/drill"
	"payments-dr/internal/operate"
)

// leastEvery and mostEvery bound how often AWS is asked again.
const leastEvery, mostEvery = 100 * time.Millisecond, 5 * time.Minute

func checkEvery(every time.Duration) error {
	if every < leastEvery || every > mostEvery {
		return exit(exitUsage, "--every is %s; allowed is %s to %s", every, leastEvery, mostEvery)
	}
	return nil
}

func newStatusCommand() *cobra.Command {
	var (
		env           environment
		asJSON, watch bool
		every         time.Duration
	)
	command := &cobra.Command{
		Use:   "status",
		Short: "Say how both Regions are: payments, ledger, lag, plan, alarms",
		Long: manual{
			does: "Ask both Regions, all at once, and say on one screen where payments go and who takes them, where the ledger is written and\n" +
				"how far behind the other Region is, what the reconciliation found, what the plan says, how old the backups are and what\n" +
				"restoring them showed, and which alarms are on. Works with either Region gone: what does not answer is told as not known,\n" +
				"and the whole takes less than five seconds. Colours are for a terminal, and not if NO_COLOR is set.",
			needs:  needsOperator + "\nWithout credentials it tells what the payment API says, which needs none.",
			leaves: leavesNothing,
			ends: "3 if something could not be asked, else 1 if something is wrong, else 0. Alarms that tell nobody are states and\n" +
				"not wrong. --watch ends with 0 when it is interrupted.",
		}.String(),
		Example: "  dr status\n  dr status --env prod --watch\n  dr status --json | jq .writer",
		Args:    cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			if err := checkEvery(every); err != nil {
				return err
			}
			ctx, out := command.Context(), command.OutOrStdout()
			deployment, err := env.open(ctx)
			if err != nil {
				return err
			}
			for {
				status := deployment.Look(ctx)
				if ctx.Err() != nil && watch {
					return nil // this is how watching ends
				}
				if err := writeStatus(out, status, asJSON, watch); err != nil {
					return err
				}
				if !watch {
					return verdict(status)
				}
				select {
				case <-ctx.Done():
					return nil
				case <-time.After(every):
				}
			}
		},
	}
	env.of(command)
	env.operatorFlag(command)
	flags := command.Flags()
	flags.BoolVar(&asJSON, "json", false, "print JSON, with --watch an object a line")
	flags.BoolVar(&watch, "watch", false, "look again and again, until interrupted")
	flags.DurationVar(&every, "every", 5*time.Second, "how long to wait between two looks, with --watch")
	return command
}

func writeStatus(out io.Writer, status operate.Status, asJSON, again bool) error {
	if asJSON {
		indent := "  "
		if again {
			indent = ""
		}
		return writeJSON(out, status, indent)
	}
	var page bytes.Buffer
	if again && drill.IsTerminal(out) {
		page.WriteString("\x1b[H\x1b[2J") // to the corner, and clear
	}
	if err := status.WriteText(&page, drill.Colour(out), columns(out)); err != nil {
		return err
	}
	if again && !drill.IsTerminal(out) {
		page.WriteString("\n")
	}
	if _, err := out.Write(page.Bytes()); err != nil {
		return fmt.Errorf("write status: %w", err)
	}
	return nil
}

// columns is how wide a terminal is; 0 for what is none.
func columns(out io.Writer) int {
	if file, ok := out.(*os.File); ok {
		if wide, _, err := term.GetSize(int(file.Fd())); err == nil {
			return wide
		}
	}
	return 0
}

func verdict(status operate.Status) error {
	if len(status.Unknown) == 1 {
		return exit(exitUnknown, "one question has no answer")
	}
	if len(status.Unknown) > 0 {
		return exit(exitUnknown, "%d questions have no answer", len(status.Unknown))
	}
	if len(status.Wrong) > 0 {
		return errors.New("not everything is as it should be")
	}
	return nil
}
