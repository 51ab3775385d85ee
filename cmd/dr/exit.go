package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// The exit statuses of the tool.
const (
	exitFailed   = 1 // it failed or was refused, or what was looked at is not as it should be
	exitUsage    = 2 // it was called in a way that it does not know
	exitUnknown  = 3 // something could not be asked, so that the answer is not known or not whole
	exitLeftOpen = 4 // something was started or watched, such as an execution of the plan, and goes on
)

const exitHelp = `Exit status:
  0  done, and everything is as it should be
  1  failed or refused, or something is wrong
  2  wrong usage
  3  something could not be asked: a Region, the credentials, a permission
  4  something that was started goes on, such as an execution of the recovery plan; the message says how to watch it`

// statusError is an error with an exit status of its own.
type statusError struct {
	status int
	err    error
}

func (e *statusError) Error() string { return e.err.Error() }
func (e *statusError) Unwrap() error { return e.err }

func exit(status int, format string, args ...any) error {
	return &statusError{status, fmt.Errorf(format, args...)}
}

// exitStatus is the status that an error of the command ends with.
func exitStatus(err error) int {
	if err == nil {
		return 0
	}
	if known, ok := errors.AsType[*statusError](err); ok {
		return known.status
	}
	if strings.HasPrefix(err.Error(), "unknown command ") || strings.HasPrefix(err.Error(), "required flag") {
		return exitUsage // cobra has no type for these
	}
	return exitFailed
}

// usageErrors makes wrong flags and arguments end with their own status, in a command and all below it.
func usageErrors(command *cobra.Command) {
	command.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return exit(exitUsage, "%w; see %s --help", err, c.CommandPath())
	})
	for _, c := range command.Commands() {
		usageErrors(c)
		if check := c.Args; check != nil {
			c.Args = func(c *cobra.Command, args []string) error {
				if err := check(c, args); err != nil {
					return exit(exitUsage, "%w; see %s --help", err, c.CommandPath())
				}
				return nil
			}
		}
	}
}
