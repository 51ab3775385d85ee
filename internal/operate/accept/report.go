package accept

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"payments-dr/internal/assembly/cost"
)

// While is how long the environment has been deployed at a moment, at the longest.
func (s *State) While(now time.Time) time.Duration {
	if s.Deployed.IsZero() {
		return 0
	}
	if !s.Destroyed.IsZero() {
		now = s.Destroyed
	}
	return now.Sub(s.Deployed).Round(time.Second)
}

// Verdict is what the test has come to.
func (s *State) Verdict() string {
	next := s.Next()
	switch {
	case next < 0:
		return "passed"
	case s.Steps[len(s.Steps)-1].Result == passed:
		return "given up, and cleaned up"
	}
	return "not passed: " + s.Steps[next].Name
}

// writeReport writes the report as JSON and as Markdown.
func (r *Run) writeReport() error {
	now := r.Now().UTC()
	report := struct {
		Verdict string    `json:"verdict"`
		Written time.Time `json:"written"`
		// USD is what the time that the environment was deployed costs by the price table.
		USD             cost.Decimal `json:"usd"`
		DeployedSeconds float64      `json:"deployedSeconds"`
		State
	}{r.State.Verdict(), now, cost.During(r.Month, r.State.While(now)), r.State.While(now).Seconds(), r.State}
	return errors.Join(writeJSON(filepath.Join(r.State.Report, "report.json"), report), write(filepath.Join(r.State.Report, "report.md"), []byte(r.markdown(now))))
}

func (r *Run) markdown(now time.Time) string {
	s := r.State
	var page strings.Builder
	add := func(format string, args ...any) {
		for i, arg := range args { // none may end its cell of a table
			if text, ok := arg.(string); ok {
				args[i] = strings.NewReplacer("|", `\|`, "\n", "<br>").Replace(text)
			}
		}
		fmt.Fprintf(&page, format, args...)
	}
	add("# Acceptance test of %s: %s\n\nAccount %s, begun %s, written %s.\n\n", s.Environment, s.Verdict(), s.Account, s.Began.Format(time.RFC3339), now.Format(time.RFC3339))
	add("| step | result | took | attempts | seen |\n| --- | --- | --- | --- | --- |\n")
	for i, step := range s.Steps {
		add("| %d. %s | %s | %s | %d | %s |\n", i+1, step.Name, step.Result, (time.Duration(step.Seconds) * time.Second).String(), step.Attempts, step.Saw)
	}
	add("\n## Cost\n\nDeployed for %s: $%s by the price table, as a share of $%s for a month without payments. These are list prices and not the bill: what AWS\n"+
		"charges by the whole month, and what is left, comes on top.\n", s.While(now).String(), cost.During(r.Month, s.While(now)).Text(2), r.Month.Text(2))
	if !s.Deployed.IsZero() && s.Destroyed.IsZero() {
		add("\n**It may still be deployed, and costs on.** Go on with `dr accept`, or remove it with `dr accept --clean-up`.\n")
	}
	add("\n## Left behind\n\n| Region | what | why it is left | how to remove it |\n| --- | --- | --- | --- |\n")
	for _, f := range s.Left {
		reason := "**no reason is known**"
		if f.Kept != "" {
			reason = "the templates keep it (" + f.Kept + ")"
		}
		add("| %s | %s | %s | %s |\n", f.Region, f.Found, reason, f.Fix)
	}
	return page.String()
}
