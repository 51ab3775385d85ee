package main

import (
	"context"
	"errors"
	"io/fs"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/spf13/cobra"

	"payments-dr/internal/operate"
	"payments-dr/internal/settings"
)

// environment is a deployed environment that a command is about.
type environment struct {
	name       string
	asOperator bool
}

func (e *environment) flag(command *cobra.Command) {
	command.Flags().StringVar(&e.name, "env", "", "the environment, a key of \"environments\" in cdk.json; empty: the one it names")
	complete(command, "env", environmentNames)
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
