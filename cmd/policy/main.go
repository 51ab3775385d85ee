// Policy holds the environments of cdk.json against the rule packs, says what they come to, and writes docs/explain/policy.md. It ends with
// status 1 if a finding is open, or a suppression is none.
//
//	go run ./cmd/policy
package main

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/jsii-runtime-go"

	"payments-dr/internal/assembly"
	"payments-dr/internal/assembly/policy"
	"payments-dr/internal/assembly/policy/packs"
	"payments-dr/internal/settings"
	"payments-dr/stacks"
)

const document = "docs/explain/policy.md"

func main() {
	faults, err := run()
	jsii.Close()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	for _, fault := range faults {
		fmt.Fprintln(os.Stderr, fault)
	}
	if err != nil || len(faults) > 0 {
		os.Exit(1)
	}
}

func run() (faults []string, err error) {
	dir, err := os.MkdirTemp("", "policy-")
	if err != nil {
		return nil, fmt.Errorf("make temporary folder: %w", err)
	}
	defer os.RemoveAll(dir)
	shipped, err := settings.ReadContext("cdk.json")
	if err != nil {
		return nil, err
	}
	var reports []*policy.Report
	for _, env := range settings.Environments(shipped) {
		context := maps.Clone(shipped)
		context["env"] = env
		report, err := synthesize(context, filepath.Join(dir, env))
		if err != nil {
			return nil, fmt.Errorf("hold %s against the rule packs: %w", env, err)
		}
		reports = append(reports, report)
	}
	rules := packs.Rules()
	for _, c := range policy.Counts(rules, reports...) {
		fmt.Printf("%-5s %-15s %3d rules, %3d apply, %4d answers: %4d compliant, %3d suppressed, %d open\n",
			c.Environment, c.Pack, c.Rules, c.Applied, c.Answers, c.Compliant, c.Suppressed, c.Open)
	}
	if faults := policy.Faults(reports...); len(faults) > 0 {
		return faults, nil
	}
	return nil, os.WriteFile(document, []byte(policy.Document(rules, reports...)), 0o644)
}

func synthesize(context map[string]any, dir string) (*policy.Report, error) {
	s, err := settings.Load(context, "")
	if err != nil {
		return nil, err
	}
	delete(context, "environments")                 // of no use to the library, which would take it for objects of its own
	context["aws:cdk:bundling-stacks"] = []string{} // no rule looks into the functions' code
	packs.Tell(context)
	app := awscdk.NewApp(&awscdk.AppProps{Context: &context, Outdir: &dir})
	stacks.Build(app, s)
	packs.Add(app)
	app.Synth(nil)
	a, err := assembly.Load(dir)
	if err != nil {
		return nil, err
	}
	return policy.ReadReport(dir, a)
}
