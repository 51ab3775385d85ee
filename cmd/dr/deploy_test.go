package main

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"payments-dr/internal/assembly"
)

func TestDeploy(t *testing.T) {
	a := &assembly.Assembly{Stacks: []assembly.Stack{
		{Name: "global", Dependencies: []string{"primary", "secondary"}}, {Name: "primary"}, {Name: "secondary", Dependencies: []string{"primary"}},
	}}
	for _, tt := range []struct {
		name     string
		stacks   []string
		options  []string
		statuses map[string]string
		fails    string
		want     []string
		err      string
	}{
		{"a first deployment is not rolled back", nil, nil, nil, "",
			[]string{"deploy --exclusively primary --no-rollback", "deploy --exclusively secondary --no-rollback", "deploy --exclusively global --no-rollback"}, ""},
		{"it goes on where it has failed", nil, nil, map[string]string{"primary": "CREATE_COMPLETE", "secondary": "CREATE_FAILED"}, "",
			[]string{"deploy --exclusively primary", "deploy --exclusively secondary --no-rollback", "deploy --exclusively global --no-rollback"}, ""},
		{"it goes on where it has failed twice", []string{"primary"}, nil, map[string]string{"primary": "UPDATE_FAILED"}, "", []string{"deploy --exclusively primary --no-rollback"}, ""},
		{"an update is rolled back", []string{"secondary", "primary"}, []string{"--require-approval", "never"}, map[string]string{"primary": "UPDATE_ROLLBACK_COMPLETE", "secondary": "UPDATE_COMPLETE"}, "",
			[]string{"deploy --exclusively secondary --require-approval never", "deploy --exclusively primary --require-approval never"}, ""},
		{"a failure ends it", nil, nil, map[string]string{"primary": "CREATE_COMPLETE"}, "secondary",
			[]string{"deploy --exclusively primary", "deploy --exclusively secondary --no-rollback"}, "deploy secondary: exit status 1; what was made stays"},
		{"a failed update ends it", nil, nil, map[string]string{"primary": "CREATE_COMPLETE"}, "primary", []string{"deploy --exclusively primary"}, "deploy primary: exit status 1"},
		{"an unknown state", nil, nil, map[string]string{"primary": "unknown"}, "", nil, "nothing of primary was deployed: "},
		{"an unknown stack", []string{"tertiary"}, nil, nil, "", nil, "there is no stack tertiary"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var ran []string
			order, err := deployOrder(a, tt.stacks)
			if err == nil {
				err = deployStacks(t.Context(), order, tt.options, func(_ context.Context, stack assembly.Stack) (string, error) {
					if tt.statuses[stack.Name] == "unknown" {
						return "", errors.New("access denied")
					}
					return tt.statuses[stack.Name], nil
				}, func(_ context.Context, args ...string) error {
					ran = append(ran, strings.Join(args, " "))
					if args[2] == tt.fails {
						return errors.New("exit status 1")
					}
					return nil
				})
			}
			if !slices.Equal(ran, tt.want) {
				t.Errorf("ran %q, want %q", ran, tt.want)
			}
			if got := ""; err != nil || tt.err != "" {
				if err != nil {
					got = err.Error()
				}
				if tt.err == "" || !strings.HasPrefix(got, tt.err) {
					t.Errorf("error %q, want %q", got, tt.err)
				}
			}
		})
	}
}

// After the CDK's own comparison, dr diff says which changes of the deployed stacks AWS refuses.
func TestDiffNamesWhatIsRefused(t *testing.T) {
	t.Chdir("../..")
	a, err := assembly.Load("testdata/golden/dev")
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if err := writeObstacles(t.Context(), &out, a, func(stack assembly.Stack) (string, error) {
		template, err := os.ReadFile("testdata/golden/dev/" + stack.Name + ".template.json")
		if stack.Name == "payment-dev-global" {
			return "", nil // not deployed yet
		}
		return strings.ReplaceAll(string(template), `"Family": "aurora-mysql8.0"`, `"Family": "aurora-mysql7.9"`), err
	}); err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(out.String(), "CANNOT BE DEPLOYED: AWS::RDS::DBClusterParameterGroup "); got != 2 || strings.Count(out.String(), "\n") != 4 {
		t.Errorf("said %q", out.String())
	}
}
