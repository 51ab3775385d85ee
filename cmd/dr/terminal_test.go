//go:build unix

package main

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/term"

	"payments-dr/internal/simulation/lambdaruntime"
)

// TestOnATerminal runs the tool on a pseudo-terminal, as a person does: colours, a screen that is drawn again, an interrupt from the
// keyboard, and the terminal as it was.
func TestOnATerminal(t *testing.T) {
	t.Parallel()
	s, stop, err := newSimulated(t)
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	dir := t.TempDir()
	dr, ca := filepath.Join(dir, "dr"), filepath.Join(dir, "ca.pem")
	if out, err := exec.Command("go", "build", "-o", dr, ".").CombinedOutput(); err != nil {
		t.Fatalf("build dr: %v\n%s", err, out)
	}
	settings, err := os.ReadFile("../../cdk.json")
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{ca: s.ca, filepath.Join(dir, "cdk.json"): settings} {
		if err := os.WriteFile(name, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	command := func(environment []string, arguments ...string) *exec.Cmd {
		c := exec.Command(dr, arguments...)
		c.Dir = dir
		c.Env = append([]string{
			"HTTPS_PROXY=http://" + s.address, "SSL_CERT_FILE=" + ca, "AWS_EC2_METADATA_DISABLED=true", "HOME=" + dir, "PATH=" + os.Getenv("PATH"), "TERM=xterm-256color",
			"AWS_ACCESS_KEY_ID=" + simulatedCredentials.AccessKeyID, "AWS_SECRET_ACCESS_KEY=" + simulatedCredentials.SecretAccessKey,
			"AWS_CONFIG_FILE=" + os.DevNull, "AWS_SHARED_CREDENTIALS_FILE=" + os.DevNull,
		}, environment...)
		return c
	}
	const (
		green  = "\x1b[32m"
		redraw = "\x1b[H\x1b[2J"
	)
	// open starts a command on a terminal of this many columns and returns the terminal and what is written to it.
	open := func(t *testing.T, c *exec.Cmd, columns uint16) (*os.File, *lambdaruntime.Log, <-chan struct{}) {
		t.Helper()
		terminal, err := pty.StartWithSize(c, &pty.Winsize{Rows: 50, Cols: columns})
		if err != nil {
			t.Fatal(err)
		}
		out, read := &lambdaruntime.Log{}, make(chan struct{})
		go func() {
			defer close(read)
			_, _ = io.Copy(out, terminal) // ends with an error when the program does
		}()
		t.Cleanup(func() { _ = c.Process.Kill(); terminal.Close() })
		return terminal, out, read
	}
	once := func(t *testing.T, environment []string, columns uint16, arguments ...string) string {
		t.Helper()
		c := command(environment, arguments...)
		_, out, read := open(t, c, columns)
		if err := c.Wait(); err != nil {
			t.Fatalf("dr %v: %v\n%s", arguments, err, out)
		}
		select {
		case <-read:
		case <-time.After(10 * time.Second):
			t.Fatal("what it wrote has no end")
		}
		return out.String()
	}

	t.Run("colour", func(t *testing.T) {
		if out := once(t, nil, 120, "status"); !strings.Contains(out, green+"takes payments\x1b[0m") || strings.Contains(out, redraw) {
			t.Errorf("on a terminal:\n%q", out)
		}
		for _, environment := range [][]string{{"NO_COLOR=1"}, {"TERM=dumb"}} {
			if out := once(t, environment, 120, "status"); !strings.Contains(out, "takes payments") || strings.Contains(out, "\x1b") {
				t.Errorf("with %v:\n%q", environment, out)
			}
		}
		if out := once(t, nil, 120, "status", "--json"); strings.Contains(out, "\x1b") {
			t.Errorf("JSON in colour:\n%q", out)
		}
		out, err := command(nil, "status").Output()
		if err != nil || !strings.Contains(string(out), "takes payments") || strings.Contains(string(out), "\x1b") {
			t.Errorf("in a pipe: %v\n%q", err, out)
		}
		if out := once(t, nil, 120, "failover", "--to", "us-west-2", "--planned", "--dry-run"); !strings.Contains(out, green+"ok  \x1b[0m") {
			t.Errorf("preconditions:\n%q", out)
		}
	})
	t.Run("width", func(t *testing.T) {
		out := regexp.MustCompile("\x1b\\[[0-9;]*m").ReplaceAllString(once(t, nil, 80, "status"), "")
		for line := range strings.SplitSeq(out, "\r\n") {
			if len(line) > 80 {
				t.Errorf("on 80 columns: %q", line)
			}
		}
		if !strings.Contains(once(t, nil, 120, "status"), "copies from us-west-2: cluster") {
			t.Error("on 120 columns a line is broken that need not be")
		}
	})
	t.Run("watch", func(t *testing.T) {
		c := command(nil, "status", "--watch", "--every", "100ms")
		terminal, out, _ := open(t, c, 120)
		before, err := term.GetState(int(terminal.Fd()))
		if err != nil {
			t.Fatal(err)
		}
		for deadline := time.Now().Add(60 * time.Second); strings.Count(out.String(), redraw) < 3; time.Sleep(20 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("it is not drawn again:\n%q", out)
			}
		}
		// Each screen is whole, and begins in the corner of an empty one.
		for i, page := range strings.Split(out.String(), redraw)[1:3] {
			if !strings.HasPrefix(page, "\x1b[1mpayment-dev\x1b[0m") || strings.Count(page, "PAYMENTS") != 1 || !strings.Contains(page, "ALARMS") {
				t.Errorf("screen %d: %q", i, page)
			}
		}
		if _, err := terminal.WriteString("\x03"); err != nil { // what Ctrl-C is, and the terminal makes an interrupt of it
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- c.Wait() }()
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("interrupted it ends with %v", err)
			}
		case <-time.After(10 * time.Second):
			t.Fatal("an interrupt does not end it")
		}
		if after, err := term.GetState(int(terminal.Fd())); err == nil && *after != *before {
			t.Error("the terminal is not as it was")
		}
		// Nothing is left switched on: a colour, a hidden cursor, another screen; and what comes next stands on a line of its own.
		rest := out.String()
		if colours := regexp.MustCompile("\x1b\\[[0-9;]*m").FindAllString(rest, -1); len(colours) == 0 || colours[len(colours)-1] != "\x1b[0m" {
			t.Error("a colour is left on")
		}
		if other := regexp.MustCompile("\x1b(\\[\\?|[^\\[])").FindString(rest); other != "" {
			t.Errorf("it switches %q", other)
		}
		if !strings.HasSuffix(strings.TrimSuffix(rest, "^C"), "\n") {
			t.Errorf("it ends in the middle of a line: %q", rest[max(0, len(rest)-80):])
		}
	})
	t.Run("prompt", func(t *testing.T) {
		c := command(nil, "failover", "--to", "us-west-2", "--planned")
		terminal, out, read := open(t, c, 120)
		for deadline := time.Now().Add(60 * time.Second); !strings.Contains(out.String(), "Type us-west-2 to start: "); time.Sleep(20 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("nobody is asked:\n%q", out)
			}
		}
		if _, err := terminal.WriteString("\x03"); err != nil {
			t.Fatal(err)
		}
		err := c.Wait()
		<-read
		if c.ProcessState.ExitCode() != exitFailed || !strings.Contains(out.String(), "\r\ndr: nothing was started: interrupted\r\n") {
			t.Errorf("%v:\n%q", err, out)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.calls["arc-region-switch us-west-2 StartPlanExecution"] > 0 {
			t.Error("it was started")
		}
	})
	t.Run("terminated", func(t *testing.T) {
		c := command(nil, "status", "--watch", "--every", "100ms")
		_, out, _ := open(t, c, 120)
		for deadline := time.Now().Add(60 * time.Second); !strings.Contains(out.String(), redraw) && time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		}
		_ = c.Process.Signal(syscall.SIGTERM)
		if err := c.Wait(); err != nil {
			t.Errorf("ended by the system: %v", err)
		}
	})
}
