package main

import (
	"strings"

	"github.com/spf13/cobra"

	"payments-dr/internal/drill/rehearsal"
	"payments-dr/internal/settings"
)

// manual is what the help of every command tells: what it does, what it needs, what it leaves behind, and how it ends. Lines that
// begin with two spaces are kept as they are, in a manual page too.
type manual struct{ does, needs, leaves, ends string }

func (m manual) String() string {
	return m.does + "\n\nNeeds: " + m.needs + "\n\nLeaves behind: " + m.leaves + "\n\nExit status: " + m.ends
}

// What several commands have in common.
const (
	needsOperator = "cdk.json, and credentials of the operator's role of the Region, payment-<env>-operator-<region>. Each of these roles\n" +
		"works in its own Region alone; --as-operator takes both from the credentials that are there (dr help credentials)."
	needsTemplates = "the synthesized templates (make synth). No credentials: AWS is not asked."
	leavesNothing  = "nothing."
)

// newTopics are the texts of dr help TOPIC.
func newTopics() []*cobra.Command {
	return []*cobra.Command{
		{
			Use:   "exit-status",
			Short: "What the exit statuses mean",
			Long: exitHelp + "\n\nThey are for scripts: 1 is for whoever acts on what was found, 3 for whoever must find out first, and 4 for whoever has to\n" +
				"go on watching. What a command was asked for is on standard output, why it failed on standard error.",
		},
		{
			Use:   "credentials",
			Short: "Whose credentials are taken, and what they may do",
			Long: "Credentials are looked for where AWS's own tools look: in the environment (AWS_PROFILE, AWS_ACCESS_KEY_ID, ...), in\n" +
				"~/.aws, in a container or an instance. HTTPS_PROXY is obeyed. No password, key or token is ever written anywhere.\n\n" +
				"The roles, whose permissions the stacks give:\n" +
				"  payment-<env>-operator-<region>  on call: looks, starts and follows the plan, restores beside; in its Region alone\n" +
				"  payment-<env>-approver           the second person: approves an execution of the plan\n\n" +
				"Sign in as the operator of the Region that you want to move to, which is the one that is well. --as-operator takes the\n" +
				"role of each Region for the questions to that Region, from the Region's own STS: credentials that may take both roles\n" +
				"see both Regions. In production the roles ask for multi-factor authentication.\n\n" +
				"dr pay needs execute-api:Invoke on the payment API, and dr preflight the policy in\n" +
				"docs/use/preflight.md. The rest asks nobody.",
		},
		{
			Use:   "environments",
			Short: "Which deployment a command is about",
			Long: "An environment is a key of \"environments\" in cdk.json. --env names it, or the variable ENV. Without either, it is the one that\n" +
				"the context key \"env\" in cdk.json names. Commands that query AWS read the settings from cdk.json in the current folder and find\n" +
				"the deployment by its names. They need neither Region to find it.\n\n" +
				"Commands that do not query AWS read the synthesized templates (--assembly), which are of one environment:\n" +
				"  make synth ENV=prod",
		},
	}
}

// complete has a flag's values completed by a shell. What cannot be read completes to nothing.
func complete(command *cobra.Command, flag string, values func() []string) {
	err := command.RegisterFlagCompletionFunc(flag, func(_ *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
		var fitting []string
		for _, value := range values() {
			if strings.HasPrefix(value, typed) {
				fitting = append(fitting, value)
			}
		}
		return fitting, cobra.ShellCompDirectiveNoFileComp
	})
	if err != nil {
		panic(err) // there is no such flag: a mistake in this program
	}
}

func completeFolder(command *cobra.Command, flag string) {
	if err := command.MarkFlagDirname(flag); err != nil {
		panic(err) // as above
	}
}

// environmentNames are those in cdk.json.
func environmentNames() []string {
	context, err := settings.ReadContext("cdk.json")
	if err != nil {
		return nil
	}
	return settings.Environments(context)
}

// regionNames are both Regions of the environment.
func (e *environment) regionNames() []string {
	s, err := e.settings()
	if err != nil {
		return nil
	}
	var names []string
	for _, region := range []settings.Region{s.Regions.Primary, s.Regions.Secondary} {
		names = append(names, region.Name)
	}
	return names
}

func faultNames() []string { return rehearsal.FaultNames() }

func databaseNames() []string { return []string{"auto", "embedded", "mariadb"} }

func consistencyNames() []string {
	return []string{string(settings.ConsistencyStrong), string(settings.ConsistencyEventual)}
}
