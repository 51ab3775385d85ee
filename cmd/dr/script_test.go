package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestScripts runs the tool as a process against a simulated deployment; see deployment_test.go. In a script, "aws" changes that
// deployment or asks it what it was asked, and "status" holds a command to an exit status and a time. The tool is built without
// the race detector, under which it takes seconds to start; TestCommandsUnderTheRaceDetector is for that.
func TestScripts(t *testing.T) {
	t.Parallel()
	programs := t.TempDir()
	if out, err := exec.Command("go", "build", "-o", programs, ".").CombinedOutput(); err != nil {
		t.Fatalf("build dr: %v\n%s", err, out)
	}
	settings, err := os.ReadFile("../../cdk.json")
	if err != nil {
		t.Fatal(err)
	}
	small, err := filepath.Abs(smallAssembly)
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script", RequireExplicitExec: true, RequireUniqueNames: true, UpdateScripts: os.Getenv("UPDATE_SCRIPTS") != "",
		Setup: func(env *testscript.Env) error {
			s, stop, err := newSimulated(t)
			if err != nil {
				return err
			}
			env.Defer(stop)
			env.Values[simulatedKey{}] = s
			if err := os.CopyFS(filepath.Join(env.WorkDir, "small"), os.DirFS(small)); err != nil { // an assembly, not of a whole environment
				return err
			}
			for name, content := range map[string][]byte{"ca.pem": s.ca, "cdk.json": settings} {
				if err := os.WriteFile(filepath.Join(env.WorkDir, name), content, 0o600); err != nil {
					return err
				}
			}
			for name, value := range map[string]string{
				"HTTPS_PROXY": "http://" + s.address, "SSL_CERT_FILE": filepath.Join(env.WorkDir, "ca.pem"), "AWS_EC2_METADATA_DISABLED": "true",
				"AWS_ACCESS_KEY_ID": simulatedCredentials.AccessKeyID, "AWS_SECRET_ACCESS_KEY": simulatedCredentials.SecretAccessKey,
				"PATH": programs + string(os.PathListSeparator) + os.Getenv("PATH"), "USER": "simulated",
				"AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull, "HOME": env.WorkDir,
			} {
				env.Setenv(name, value)
			}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"aws": simulate, "status": exitsWith},
	})
}

type simulatedKey struct{}

// simulate changes the simulated deployment: aws lose us-east-1 silent.
func simulate(ts *testscript.TestScript, not bool, args []string) {
	s := ts.Value(simulatedKey{}).(*simulated)
	s.mu.Lock()
	defer s.mu.Unlock()
	arg := func(i int) string {
		if i >= len(args) {
			return ""
		}
		return args[i]
	}
	switch arg(0) {
	case "lose":
		s.lost[arg(1)] = arg(2)
	case "fault":
		s.faults[arg(1)+" "+arg(2)] = arg(3)
	case "malform":
		for _, service := range []string{"rds", "ssm", "sts", "monitoring", "arc-region-switch", "backup"} {
			s.faults[service+" "+arg(1)] = arg(2)
		}
	case "writer":
		s.writer = arg(1)
	case "traffic":
		s.traffic = arg(1)
	case "split":
		s.split = true
	case "moving":
		s.moving = arg(1)
	case "lag":
		s.lag[arg(1)] = arg(2)
	case "sick":
		s.sick[arg(1)] = true
	case "alarm":
		s.alarms[arg(1)] = append(s.alarms[arg(1)], strings.Join(args[2:], " "))
	case "roles-only":
		s.roles = true
	case "undeploy":
		s.gone = true
	case "account":
		s.account = arg(1)
	case "warn":
		s.plan.Warning = arg(1)
	case "reconciled":
		if arg(1) == "never" {
			s.none = true
		} else if arg(1) == "long-ago" {
			s.silently = true
		} else {
			value, err := strconv.ParseFloat(arg(2), 64)
			ts.Check(err)
			s.found[arg(1)] = value
			s.found["ReconcileClean"] = 1 // the function's verdict
			if value > 0 {
				s.found["ReconcileClean"] = 0
			}
		}
	case "kept":
		s.kept[arg(1)+" "+arg(2)] = arg(3)
	case "tried":
		s.tried[arg(1)+" "+arg(2)] = strings.Join(args[3:], " ")
	case "running":
		e := newExecution(arg(1), arg(2), arg(3), arg(4))
		e.Started = time.Now().Add(-95 * time.Second)
		s.plan.Executions = append(s.plan.Executions, e)
	case "forget":
		s.plan.Executions = nil
	case "execution":
		s.goes = arg(1)
	case "acceptance":
		ts.Check(s.prepareAcceptance(ts.MkAbs(".")))
	case "asked":
		if asked := s.calls[strings.Join(args[1:], " ")] > 0; asked == not {
			ts.Fatalf("asked %q: %t; everything that was asked: %v", strings.Join(args[1:], " "), asked, s.calls)
		}
	default:
		if !s.repairs.simulate(ts, s, args) {
			ts.Fatalf("aws %v: there is no such thing", args)
		}
	}
}

// steadyDrill is the shortest drill there is.
const steadyDrill = `title: Test payments are taken and found again
environment: dev
owner: a test
reason: to have the race detector look
steadyState: {lasts: 10s, errorShare: 0.5, latencyP99: 3s}
load: {rate: 15, clients: 4, mostPayments: 400, mostTime: 5m}
action: {kind: none}
observe: 10s
tolerances: {lost: 0}
stopConditions: {errorShare: 0.5, over: 10s}
`

// TestCommandsUnderTheRaceDetector runs commands in the test's own process, with a Region lost and with none. There is one test of
// this kind, because a process reads its proxy and its authorities once.
func TestCommandsUnderTheRaceDetector(t *testing.T) {
	s, stop, err := newSimulated(t)
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	dir := t.TempDir()
	ca := filepath.Join(dir, "ca.pem")
	if err := os.WriteFile(ca, s.ca, 0o600); err != nil {
		t.Fatal(err)
	}
	settings, err := os.ReadFile("../../cdk.json")
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{"cdk.json": settings, "steady.yaml": []byte(steadyDrill)} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(dir)
	for name, value := range map[string]string{
		"HTTPS_PROXY": "http://" + s.address, "NO_PROXY": "", "SSL_CERT_FILE": ca, "AWS_CA_BUNDLE": ca, "AWS_PROFILE": "", "AWS_SESSION_TOKEN": "",
		"AWS_EC2_METADATA_DISABLED": "true",
		"AWS_ACCESS_KEY_ID":         simulatedCredentials.AccessKeyID, "AWS_SECRET_ACCESS_KEY": simulatedCredentials.SecretAccessKey,
		"AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull,
	} {
		t.Setenv(name, value)
	}
	dr := func(wanted int, args ...string) string {
		t.Helper()
		var out bytes.Buffer
		command := newCommand()
		command.SetArgs(args)
		command.SetOut(&out)
		command.SetIn(strings.NewReader(""))
		err := command.ExecuteContext(t.Context())
		if status := exitStatus(err); status != wanted {
			t.Fatalf("dr %s: status %d, want %d: %v\n%s", strings.Join(args, " "), status, wanted, err, &out)
		}
		return out.String()
	}
	dr(0, "status", "--json")
	dr(0, "pay", "--region", "us-west-2")
	dr(0, "reconcile")
	dr(1, "redrive", "canary-failures")
	dr(0, "replay", "--from", "30h", "--yes", "--every", "100ms")
	dr(3, "restore", "--to", "30h", "--yes", "--every", "100ms", "--back", "20m") // no database is there to sign in to
	dr(0, "restore", "--cleanup", "--yes", "--every", "100ms")
	dr(0, "drill", "--hypothesis", "steady.yaml", "--yes")
	s.mu.Lock()
	s.lost["us-east-1"], s.traffic = "silent", "us-west-2"
	s.mu.Unlock()
	began := time.Now()
	if out := dr(3, "status"); !strings.Contains(out, "is written in us-east-1") || time.Since(began) > 5*time.Second {
		t.Errorf("with a Region lost, after %s:\n%s", time.Since(began), out)
	}
	out := dr(0, "failover", "--to", "us-west-2", "--yes", "--every", "100ms")
	if !strings.Contains(out, "Reconciled at ") {
		t.Errorf("a failover that is not reconciled:\n%s", out)
	}
}

// starting is what a machine with too much to do adds to a time now: three times what it takes the tool to start and say one thing.
func starting(ts *testscript.TestScript) time.Duration {
	began := time.Now()
	command := exec.Command("bash", "-c", "PATH=$1; dr help exit-status", "sh", ts.Getenv("PATH"))
	ts.Check(command.Run())
	return 3 * time.Since(began)
}

// notForPeople is what no output may have: the runtime's own words, the SDK's, and Go's ways to print what it was not told how to.
var notForPeople = regexp.MustCompile(`panic:|goroutine \d|\.go:\d+|operation error|https response error|RequestID|exceeded maximum number of attempts|middleware|deserializ|&\{|\{\{|map\[|0xc0|%!|<nil>|0001-01-01|\d{5,}h`)

// exitsWith runs dr and holds it to an exit status and a time: status 3 5s status --json. A fourth word that is a time, such as
// ^1s, interrupts it after that.
func exitsWith(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) < 3 {
		ts.Fatalf("usage: status <exit status> <time> <command of dr>...")
	}
	limit, err := time.ParseDuration(args[1])
	ts.Check(err)
	began := time.Now()
	command := args[2:]
	shell := append([]string{"-c", `"$@"; echo $? >exit-status`, "sh", "dr"}, command...)
	if after, ok := strings.CutPrefix(args[2], "^"); ok {
		later := starting(ts) // an interrupt that comes before the tool has begun tells nothing
		limit += later
		after = fmt.Sprintf("%s; sleep %.2f", after, later.Seconds())
		shell = append([]string{"-c", `"$@" & pid=$!; sleep ` + after + `; kill -TERM $pid; wait $pid; echo $? >exit-status`, "sh", "dr"}, args[3:]...)
	}
	ts.Check(ts.Exec("bash", shell...))
	took := time.Since(began)
	if status := strings.TrimSpace(ts.ReadFile("exit-status")); status != args[0] {
		ts.Fatalf("dr %s ended with status %s, not %s", strings.Join(command, " "), status, args[0])
	}
	for _, stream := range []string{"stdout", "stderr"} {
		if found := notForPeople.FindString(ts.ReadFile(stream)); found != "" {
			ts.Fatalf("dr %s tells people %q", strings.Join(command, " "), found)
		}
	}
	if took > limit {
		limit += starting(ts)
	}
	if took > limit {
		ts.Fatalf("dr %s took %s, more than %s", strings.Join(command, " "), took, limit)
	}
	ts.Logf("dr %s: %s", strings.Join(command, " "), took.Round(10*time.Millisecond))
}
