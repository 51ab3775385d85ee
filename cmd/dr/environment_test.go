package main

import (
	"testing"

	"github.com/spf13/cobra"
)

// Every command takes the environment from --env, or else from the variable ENV.
func TestChosenEnvironment(t *testing.T) {
	for _, test := range []struct {
		env       string
		arguments []string
		want      string
	}{
		{"", nil, ""},
		{"prod", nil, "prod"},
		{"prod", []string{"--env", "dev"}, "dev"},
		{"/etc/shinit", nil, ""}, // a shell's start-up file
	} {
		t.Setenv("ENV", test.env)
		got := "not run"
		root := newCommand()
		root.AddCommand(&cobra.Command{Use: "probe", Run: func(command *cobra.Command, _ []string) { got = chosenEnvironment(command) }})
		root.SetArgs(append([]string{"probe"}, test.arguments...))
		if err := root.Execute(); err != nil || got != test.want {
			t.Errorf("ENV=%q and %v: %q, %v, want %q", test.env, test.arguments, got, err, test.want)
		}
	}
}
