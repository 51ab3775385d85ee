package review_test

import (
	"os"
	"path/filepath"
	"payments-dr/internal/settings"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/rhysd/actionlint"
)

// workflows are the repository's, by the names of their files.
func workflows(t *testing.T) map[string]string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(moduleDir, ".github", "workflows", "*.yml"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no workflows (%v)", err)
	}
	all := map[string]string{}
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		all[filepath.Base(path)] = string(data)
	}
	return all
}

var (
	uses   = regexp.MustCompile(`(?m)^.*\buses:\s*(.*)$`)
	pinned = regexp.MustCompile(`^[\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$`)
	local  = regexp.MustCompile(`^\./\.github/workflows/[\w.-]+$`)
)

// TestActionsArePinned has every action named by its whole commit, with the version beside it, and one action by one commit alone.
func TestActionsArePinned(t *testing.T) {
	versions := map[string]string{}
	for name, text := range workflows(t) {
		for _, match := range uses.FindAllStringSubmatch(text, -1) {
			use := strings.TrimSpace(match[1])
			if local.MatchString(use) {
				continue
			}
			if !pinned.MatchString(use) {
				t.Errorf("%s uses %q: want a commit of 40 digits, and its version as a comment", name, use)
				continue
			}
			action, pin, _ := strings.Cut(use, "@")
			if was, ok := versions[action]; ok && was != pin {
				t.Errorf("%s uses %s at %s, and another workflow at %s", name, action, pin, was)
			}
			versions[action] = pin
		}
	}
	if len(versions) < 6 {
		t.Errorf("only %d actions are looked at", len(versions))
	}
}

// mayWrite are the permissions beyond reading, by the workflow's file and its job.
var mayWrite = map[string][]string{
	"accept.yml accept":             {"id-token"},
	"pull-request.yml account-diff": {"id-token"},
	"review-comment.yml comment":    {"pull-requests"},
	"deploy.yml dev":                {"id-token"},
	"deploy.yml prod":               {"id-token"},
	"deploy-environment.yml order":  {"id-token"},
	"deploy-environment.yml first":  {"id-token"},
	"deploy-environment.yml second": {"id-token"},
	"deploy-environment.yml third":  {"id-token"},
	"deploy-stack.yml deploy":       {"id-token"},
}

// TestWorkflowsGrantLittle holds what an attacker would look for: a job with more rights than it needs, code of a pull request that runs
// with a secret or a role, text of somebody else's in a command line, and a job that never ends.
func TestWorkflowsGrantLittle(t *testing.T) {
	for name, text := range workflows(t) {
		workflow, faults := actionlint.Parse([]byte(text))
		for _, fault := range faults {
			t.Errorf("%s: %v", name, fault)
		}
		if workflow == nil {
			continue
		}
		if workflow.Permissions == nil || workflow.Permissions.All != nil || len(workflow.Permissions.Scopes) > 0 {
			t.Errorf("%s: want permissions: {}, and each job to ask for its own", name)
		}
		called := false
		for _, event := range workflow.On {
			if event.EventName() == "pull_request_target" {
				t.Errorf("%s runs with the base's rights on a pull request", name)
			}
			called = called || event.EventName() == "workflow_call"
		}
		if workflow.Concurrency == nil && !called { // a called one runs within the caller's
			t.Errorf("%s has no concurrency group", name)
		}
		if strings.Contains(text, "secrets.") || strings.Contains(text, "secrets: inherit") {
			t.Errorf("%s uses a secret", name)
		}
		for id, job := range workflow.Jobs {
			var write []string
			if job.Permissions == nil || job.Permissions.All != nil {
				t.Errorf("%s %s does not say its permissions", name, id)
			} else {
				for scope, p := range job.Permissions.Scopes {
					if p.Value.Value != "read" {
						write = append(write, scope)
					}
				}
			}
			if want := mayWrite[name+" "+id]; !slices.Equal(write, want) {
				t.Errorf("%s %s may write %v, want %v", name, id, write, want)
			}
			if job.WorkflowCall == nil && job.TimeoutMinutes == nil {
				t.Errorf("%s %s has no timeout", name, id)
			}
			role := false
			for _, step := range job.Steps {
				switch exec := step.Exec.(type) {
				case *actionlint.ExecRun:
					if strings.Contains(exec.Run.Value, "${{") {
						t.Errorf("%s %s has an expression in a command: %s", name, id, exec.Run.Value)
					}
				case *actionlint.ExecAction:
					action, _, _ := strings.Cut(exec.Uses.Value, "@")
					role = role || action == "aws-actions/configure-aws-credentials"
					if action != "actions/checkout" {
						continue
					}
					if input := exec.Inputs["persist-credentials"]; input == nil || input.Value.Value != "false" {
						t.Errorf("%s %s leaves the token in the clone", name, id)
					}
					ref := ""
					if input := exec.Inputs["ref"]; input != nil {
						ref = input.Value.Value
					}
					base := strings.Contains(ref, "pull_request.base.sha") || strings.Contains(ref, "repository.default_branch")
					if strings.Contains(ref, "head") || (len(write) > 0 && !base && (name == "pull-request.yml" || name == "review-comment.yml")) {
						t.Errorf("%s %s may write %v, and checks out %q", name, id, write, ref)
					}
				}
			}
			if role != (slices.Equal(write, []string{"id-token"}) && job.WorkflowCall == nil) {
				t.Errorf("%s %s: takes a role %v, may write %v", name, id, role, write)
			}
		}
	}
}

// Workflows name no environment that cdk.json does not have. Which environments deploy.yml deploys, and in which order, is a decision; every
// other workflow reads the list.
func TestWorkflowsNameEnvironmentsOfCdkJson(t *testing.T) {
	context, err := settings.ReadContext("../../../cdk.json")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for name, text := range workflows(t) {
		for _, match := range regexp.MustCompile(`(?m)^ *environment: (\w+|\[[\w, ]+\])$`).FindAllStringSubmatch(text, -1) {
			for environment := range strings.SplitSeq(strings.Trim(match[1], "[]"), ", ") {
				found++
				if name != "deploy.yml" || !slices.Contains(settings.Environments(context), environment) {
					t.Errorf("%s names the environment %s; cdk.json has %v", name, environment, settings.Environments(context))
				}
			}
		}
	}
	if found == 0 {
		t.Error("deploy.yml names no environment")
	}
}

// A first deployment that is rolled back cannot be repeated, so every deployment goes through dr deploy, which knows when not to.
func TestDeploymentsGoThroughTheTool(t *testing.T) {
	makefile, err := os.ReadFile("../../../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	texts := workflows(t)
	texts["Makefile"] = string(makefile)
	for name, text := range texts {
		if match := regexp.MustCompile(`(?i)cdk\)? deploy\b.*`).FindString(text); match != "" {
			t.Errorf("%s calls %q; call dr deploy", name, match)
		}
	}
}
