package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/spf13/cobra"

	"payments-dr/internal/assembly"
	"payments-dr/internal/operate"
	"payments-dr/internal/settings"
)

// environment is a deployed environment that a command is about.
type environment struct {
	name       string
	asOperator bool
}

// of makes it the environment that the command line names.
func (e *environment) of(command *cobra.Command) {
	command.PreRun = func(command *cobra.Command, _ []string) { e.name = chosenEnvironment(command) }
}

// environmentFlag is a flag of every command.
func environmentFlag(root *cobra.Command) {
	root.PersistentFlags().String("env", "", "the environment, a key of \"environments\" in cdk.json; empty: the variable ENV, or the one that cdk.json names")
	complete(root, "env", environmentNames)
}

// chosenEnvironment is what --env names, or else the variable ENV, which make hands on. It is empty if neither does. A path is none: POSIX
// shells take the name of a start-up file from ENV.
func chosenEnvironment(command *cobra.Command) string {
	if name := command.Flag("env").Value.String(); name != "" {
		return name
	}
	if name := os.Getenv("ENV"); !strings.Contains(name, "/") {
		return name
	}
	return ""
}

// loadAssembly reads the synthesized templates in a folder, which have to be of the environment, unless its name is empty.
func loadAssembly(dir, environment string) (*assembly.Assembly, error) {
	a, err := assembly.Load(dir)
	if err != nil {
		return nil, err
	}
	if environment != "" && environment != a.Settings.Environment {
		return nil, exit(exitUsage, "%s has the templates of the environment %s, not of %s: run make synth ENV=%s first", dir, a.Settings.Environment, environment, environment)
	}
	return a, nil
}

// operatorFlag is for what asks both Regions.
func (e *environment) operatorFlag(command *cobra.Command) {
	command.Flags().BoolVar(&e.asOperator, "as-operator", false, "ask each Region with its own operator's role, taken from the credentials that are there")
}

// appContext is what cdk.json has for the app, in the folder that the tool runs in.
func appContext() (map[string]any, error) {
	context, err := settings.ReadContext("cdk.json")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, exit(exitUsage, "there is no cdk.json here: run this in the project's folder")
	}
	return context, err
}

// settings reads them from cdk.json, in the folder that the tool runs in.
func (e *environment) settings() (*settings.Settings, error) {
	context, err := appContext()
	if err != nil {
		return nil, err
	}
	if e.name != "" && context != nil {
		context["env"] = e.name
	}
	s, err := settings.Load(context, "")
	if err != nil {
		return nil, exit(exitUsage, "%w", err)
	}
	return s, nil
}

// awsConfig is the ambient configuration. It belongs to no Region: each client is given its own.
func awsConfig(ctx context.Context) (aws.Config, error) {
	loaded, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return loaded, exit(exitUnknown, "load AWS configuration: %w", err)
	}
	loaded.APIOptions = append(loaded.APIOptions, operate.RefuseForeignAnswers)
	return loaded, nil
}

func (e *environment) open(ctx context.Context) (*operate.Deployment, error) {
	s, err := e.settings()
	if err != nil {
		return nil, err
	}
	ambient, err := awsConfig(ctx)
	if err != nil {
		return nil, err
	}
	return operate.Open(s, ambient, e.asOperator)
}
