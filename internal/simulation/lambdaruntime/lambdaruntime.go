// Package lambdaruntime runs a function's real binary on this machine, as Lambda would: one process an execution environment,
// behind a Runtime API of its own ("Using the Lambda runtime API for custom runtimes", AWS Lambda Developer Guide). It
// simulates Lambda's side of that API; the function is the one that is deployed.
package lambdaruntime

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"payments-dr/internal/payment/functionerror"
)

const apiVersion = "/2018-06-01/runtime/"

// Config says what to run.
type Config struct {
	// Binary is the path of the function's executable, built for this machine.
	Binary string
	// Name is the function's name.
	Name string
	// Region is where the function believes to be.
	Region string
	// MemoryMB is what AWS_LAMBDA_FUNCTION_MEMORY_SIZE says. It is not enforced.
	MemoryMB int
	// Environment is the function's own variables. The process gets these, Lambda's reserved ones, and nothing else of this
	// machine's.
	Environment map[string]string
	// Log receives what the function writes. It has all of it after Close.
	Log io.Writer
}

// ErrExited is the error of an invocation during which, or before which, the process ended.
var ErrExited = errors.New("the function's process has ended")

// Environment is one execution environment. It serves one invocation at a time.
type Environment struct {
	command  *exec.Cmd
	server   *http.Server
	config   Config
	exited   chan struct{}
	started  time.Time
	ready    chan struct{}
	readied  time.Time
	next     chan invocation
	one      sync.Mutex // held during an invocation
	mu       sync.Mutex
	inFlight *invocation
	count    int
	peak     float64 // MB, before Close
}

type invocation struct {
	id       string
	payload  []byte
	deadline time.Time
	result   chan result
}

type result struct {
	payload []byte
	failed  bool
}

// Start starts the process. It does not wait until the function is ready; the first Invoke does.
func Start(config Config) (*Environment, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for the function: %w", err)
	}
	e := &Environment{config: config, exited: make(chan struct{}), ready: make(chan struct{}), next: make(chan invocation)}
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+apiVersion+"invocation/next", e.serveNext)
	mux.HandleFunc("POST "+apiVersion+"invocation/{id}/response", e.serveResult(false))
	mux.HandleFunc("POST "+apiVersion+"invocation/{id}/error", e.serveResult(true))
	mux.HandleFunc("POST "+apiVersion+"init/error", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusAccepted) })
	e.server = &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = e.server.Serve(listener) }() // ends with Close

	e.command = exec.Command(config.Binary)
	e.command.Env = environment(config, listener.Addr().String())
	e.command.Stdout, e.command.Stderr = config.Log, config.Log
	e.command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	e.started = time.Now()
	if err := e.command.Start(); err != nil {
		_ = e.server.Close()
		return nil, fmt.Errorf("start %s: %w", config.Binary, err)
	}
	go func() {
		_ = e.command.Wait() // how it ended is seen by the invocation that it took along
		close(e.exited)
	}()
	return e, nil
}

func environment(config Config, api string) []string {
	variables := map[string]string{
		"AWS_LAMBDA_RUNTIME_API":          api,
		"AWS_LAMBDA_FUNCTION_NAME":        config.Name,
		"AWS_LAMBDA_FUNCTION_VERSION":     "$LATEST",
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": strconv.Itoa(config.MemoryMB),
		"AWS_LAMBDA_LOG_FORMAT":           "JSON",
		"AWS_LAMBDA_LOG_LEVEL":            "INFO",
		"AWS_REGION":                      config.Region,
		"AWS_DEFAULT_REGION":              config.Region,
		"AWS_ACCESS_KEY_ID":               "simulated",
		"AWS_SECRET_ACCESS_KEY":           "simulated",
		"AWS_SESSION_TOKEN":               "simulated",
		"TZ":                              ":UTC",
	}
	for name, value := range config.Environment {
		variables[name] = value
	}
	var all []string
	for name, value := range variables {
		all = append(all, name+"="+value)
	}
	return all
}

// InitDuration is the time from the process's start to its first poll for work: what of a cold start is the function's own.
// It waits for that poll.
func (e *Environment) InitDuration(ctx context.Context) (time.Duration, error) {
	select {
	case <-e.ready:
		return e.readied.Sub(e.started), nil
	case <-e.exited:
		return 0, ErrExited
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// Invoke runs one invocation and returns the function's response. It waits for an invocation under way to end. The error is
// a *functionerror.Error if the function returned one, ErrExited if the process died, and the context's if it was done first: then
// the process is killed, as Lambda does with a function that has timed out.
func (e *Environment) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	e.one.Lock()
	defer e.one.Unlock()
	deadline, ok := ctx.Deadline()
	if !ok {
		return nil, errors.New("invoke function: the context has no deadline, and a function always has one")
	}
	e.mu.Lock()
	e.count++
	work := invocation{id: fmt.Sprintf("%s-%d", e.config.Name, e.count), payload: payload, deadline: deadline, result: make(chan result, 1)}
	e.mu.Unlock()
	select {
	case e.next <- work:
	case <-e.exited:
		return nil, ErrExited
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	select {
	case r := <-work.result:
		if r.failed {
			failed, _ := functionerror.Parse(r.payload)
			return nil, failed
		}
		return r.payload, nil
	case <-e.exited:
		return nil, ErrExited
	case <-ctx.Done():
		e.Kill()
		return nil, ctx.Err()
	}
}

// Usage is the processor time that the process has used, user and system. It is known after Close.
func (e *Environment) Usage() time.Duration {
	state := e.command.ProcessState
	if state == nil {
		return 0
	}
	return state.UserTime() + state.SystemTime()
}

// MaxMemoryMB is the most memory that the process has held, in MB: until now, or until Close. It is 0 where the system does not
// tell, which is everywhere but on Linux.
func (e *Environment) MaxMemoryMB() float64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.peak == 0 {
		return peakMemoryMB(e.command.Process.Pid)
	}
	return e.peak
}

// peakMemoryMB asks the system and not for the process's resource usage when it has ended: there, the most memory that this
// process has held counts too, because it was shared for a moment when the other was started.
func peakMemoryMB(pid int) float64 {
	status, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return 0
	}
	_, after, _ := strings.Cut(string(status), "VmHWM:")
	fields := strings.Fields(after)
	if len(fields) < 2 || fields[1] != "kB" {
		return 0 // a process that has ended holds nothing
	}
	kilobytes, err := strconv.ParseFloat(fields[0], 64)
	if err != nil {
		return 0
	}
	return kilobytes / 1024
}

// Kill ends the process at once, whatever it is doing.
func (e *Environment) Kill() { _ = syscall.Kill(-e.command.Process.Pid, syscall.SIGKILL) }

// Close ends the process and waits for it. It may be called again.
func (e *Environment) Close() {
	if peak := peakMemoryMB(e.command.Process.Pid); peak > 0 {
		e.mu.Lock()
		e.peak = peak
		e.mu.Unlock()
	}
	e.Kill()
	<-e.exited
	_ = e.server.Close()
}

func (e *Environment) serveNext(w http.ResponseWriter, r *http.Request) {
	e.mu.Lock()
	if e.readied.IsZero() {
		e.readied = time.Now()
		close(e.ready)
	}
	e.mu.Unlock()
	select {
	case work := <-e.next:
		e.mu.Lock()
		e.inFlight = &work
		e.mu.Unlock()
		h := w.Header()
		h.Set("Content-Type", "application/json")
		h.Set("Lambda-Runtime-Aws-Request-Id", work.id)
		h.Set("Lambda-Runtime-Deadline-Ms", strconv.FormatInt(work.deadline.UnixMilli(), 10))
		h.Set("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:"+e.config.Region+":000000000000:function:"+e.config.Name)
		h.Set("Lambda-Runtime-Trace-Id", "Root=1-00000000-000000000000000000000000;Sampled=0")
		_, _ = w.Write(work.payload)
	case <-r.Context().Done():
	case <-e.exited:
	}
}

func (e *Environment) serveResult(failed bool) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		payload, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, "read body", http.StatusBadRequest)
			return
		}
		e.mu.Lock()
		work := e.inFlight
		if work == nil || !strings.EqualFold(work.id, r.PathValue("id")) {
			e.mu.Unlock()
			http.Error(w, "no such invocation", http.StatusNotFound)
			return
		}
		e.inFlight = nil
		e.mu.Unlock()
		work.result <- result{payload: payload, failed: failed}
		w.WriteHeader(http.StatusAccepted)
	}
}
