// The CDK app: it loads the settings of one environment and makes three stacks from them.
//
//	cdk synth --all            templates of the environment that cdk.json names
//	cdk synth --all -c env=prod
package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/aws/aws-cdk-go/awscdk/v2"

	"payments-dr/internal/settings"
	"payments-dr/stacks"
)

func main() {
	if err := synthesize(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func synthesize() error {
	// The library's other process ends with this one. jsii.Close would end it too, but waits for it in two places at once and
	// then complains of an abnormal exit, now and then; what it is for is the removal of that process's files.
	files, err := os.MkdirTemp("", "payments-app-")
	if err != nil {
		return fmt.Errorf("make temporary folder: %w", err)
	}
	defer os.RemoveAll(files)
	if err := os.Setenv("TMPDIR", files); err != nil {
		return fmt.Errorf("set temporary folder: %w", err)
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
	stacks.Build(app, s)
	app.Synth(nil)
	return nil
}
