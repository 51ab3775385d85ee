// The CDK app: it loads the settings of one environment and makes three stacks from them.
//
//	cdk synth --all            templates of the environment that cdk.json names
//	cdk synth --all -c env=prod
//	cdk synth --all -c policy=true   hold the stacks against the rule packs too; see internal/assembly/policy
package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2"

	"payments-dr/constructs"
	"payments-dr/internal/assembly/functionbuild"
	"payments-dr/internal/assembly/policy/packs"
	"payments-dr/internal/settings"
	"payments-dr/stacks"
)

// prepared is the environment variable that tells the program that it has been started by itself, with an environment for the
// library.
const prepared = "PAYMENTS_APP_PREPARED"

func main() {
	var err error
	if os.Getenv(prepared) == "" {
		err = runPrepared()
	} else {
		err = synthesize()
	}
	if ended, ok := errors.AsType[*exec.ExitError](err); ok {
		os.Exit(ended.ExitCode()) // it has said why
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// runPrepared runs this program once more, as the library likes it. The library runs in a process of Node.js, and takes the
// environment for it when a program is loaded, before main.
//
// The threads by which Node.js collects garbage get in each other's way while it validates the templates: on two cores, without
// them, that takes half the time. And the process's files go to a folder that is removed at the end: jsii.Close would do that,
// but waits for the process in two places at once and then complains of an abnormal exit, now and then.
func runPrepared() error {
	files, err := os.MkdirTemp("", "payments-app-")
	if err != nil {
		return fmt.Errorf("make temporary folder: %w", err)
	}
	defer os.RemoveAll(files)
	program, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	command := exec.Command(program, os.Args[1:]...)
	command.Env = append(os.Environ(), prepared+"=1", "TMPDIR="+files,
		"NODE_OPTIONS="+strings.TrimSpace(os.Getenv("NODE_OPTIONS")+" --v8-pool-size=1"),
		// Node 20 still works and is past its support; this silences the library's banner about that version alone.
		"JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION=20",
		// The library's own table constructor uses two deprecated properties. TestAppSynthesizesCleanlyWithRealFunctionCode, which
		// sets the variable, finds that nothing else is deprecated.
		"JSII_DEPRECATED="+cmp.Or(os.Getenv("JSII_DEPRECATED"), "quiet"))
	command.Stdin, command.Stdout, command.Stderr = os.Stdin, os.Stdout, os.Stderr
	return command.Run()
}

func synthesize() error {
	sources := make(chan error, 1)
	go func() { sources <- constructs.PrepareFunctions() }()
	if dir := os.Getenv("CDK_OUTDIR"); dir != "" {
		if err := functionbuild.RemoveUnfinished(dir); err != nil {
			return err
		}
	}
	app := awscdk.NewApp(nil)
	context, ok := app.Node().GetAllContext(nil).(map[string]any)
	if !ok {
		return errors.New("read the app's context: it is no object")
	}
	s, err := settings.Load(context, os.Getenv("CDK_DEFAULT_ACCOUNT"))
	if err != nil {
		return err
	}
	if err := <-sources; err != nil {
		return err
	}
	stacks.Build(app, s)
	if packs.Wanted(context) {
		packs.Add(app)
	}
	app.Synth(nil)
	return nil
}
