package simulation_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"payments-dr/internal/assembly/functionbuild"
	"payments-dr/internal/payment/functionerror"
	"payments-dr/internal/simulation"
	"payments-dr/internal/simulation/lambdaruntime"
	"payments-dr/internal/simulation/localdynamodb"
)

var (
	relayBinary string
	server      *localdynamodb.Server
)

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "simulation")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		if relayBinary, err = functionbuild.Build("../..", "relay", dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		if server, err = localdynamodb.Start("../.."); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer server.Close()
		return m.Run()
	}())
}

// onePayment is a batch that makes the relay call its bus.
const onePayment = `{"Records":[{"eventName":"INSERT","dynamodb":{"SequenceNumber":"1","NewImage":{"session_id":{"S":"s"},"transaction_id":{"S":"t"},` +
	`"amount":{"S":"1.00"},"currency":{"S":"USD"},"timestamp":{"S":"2026-11-22T03:04:05.678901Z"},"region":{"S":"us-east-1"},"status":{"S":"processed"}}}}]}`

// nothing is a batch that the relay is done with at once.
const nothing = `{"Records":[]}`

// newFunction is the relay, with a bus that answers when release is closed.
func newFunction(t *testing.T, config simulation.FunctionConfig) (function *simulation.Function, calls *atomic.Int32, release func()) {
	t.Helper()
	calls = &atomic.Int32{}
	released := make(chan struct{})
	release = sync.OnceFunc(func() { close(released) })
	bus := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		select {
		case <-released:
		case <-r.Context().Done():
		}
		_, _ = w.Write([]byte(`{"FailedEntryCount":0,"Entries":[{"EventId":"1"}]}`))
	}))
	config.Runtime = lambdaruntime.Config{
		Binary: relayBinary, Name: "relay", Region: "us-east-1", MemoryMB: 256, Log: io.Discard,
		Environment: map[string]string{"EVENT_BUS_NAME": "payments", "METRICS_NAMESPACE": "Payments", "AWS_ENDPOINT_URL_EVENTBRIDGE": bus.URL},
	}
	function = simulation.NewFunction(config)
	t.Cleanup(func() {
		release()
		function.Close()
		bus.Close()
	})
	return function, calls, release
}

func TestFunctionUsesEnvironmentsAgain(t *testing.T) {
	function, _, _ := newFunction(t, simulation.FunctionConfig{Concurrency: 2})
	for range 5 {
		answer, err := function.Invoke(t.Context(), []byte(nothing))
		if err != nil || !bytes.Contains(answer, []byte("batchItemFailures")) {
			t.Fatalf("%s, %v", answer, err)
		}
	}
	if got, want := function.Stats(), (simulation.FunctionStats{Invocations: 5, Started: 1}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	// What the function itself refuses leaves its environment in use.
	if _, err := function.Invoke(t.Context(), []byte(`[]`)); err == nil {
		t.Error("no error")
	} else if _, ok := errors.AsType[*functionerror.Error](err); !ok {
		t.Errorf("error %v", err)
	}
	if got := function.Stats(); got.Started != 1 || got.Failures != 1 {
		t.Errorf("%+v", got)
	}
}

func TestFunctionIsThrottled(t *testing.T) {
	function, calls, release := newFunction(t, simulation.FunctionConfig{Concurrency: 2, Timeout: 30 * time.Second})
	var all sync.WaitGroup
	for range 2 {
		all.Go(func() {
			if _, err := function.Invoke(t.Context(), []byte(onePayment)); err != nil {
				t.Error(err)
			}
		})
	}
	waitUntil(t, func() bool { return calls.Load() == 2 })
	if _, err := function.Invoke(t.Context(), []byte(nothing)); !errors.Is(err, simulation.ErrThrottled) {
		t.Errorf("error %v, want throttled", err)
	}
	release()
	all.Wait()
	if got, want := function.Stats(), (simulation.FunctionStats{Invocations: 2, Started: 2, Throttles: 1}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func TestFunctionWaitsForAnEnvironment(t *testing.T) {
	function, calls, release := newFunction(t, simulation.FunctionConfig{Concurrency: 1, Wait: 300 * time.Millisecond, Timeout: 30 * time.Second})
	var all sync.WaitGroup
	invoke := func(want error) {
		all.Go(func() {
			if _, err := function.Invoke(t.Context(), []byte(onePayment)); !errors.Is(err, want) {
				t.Errorf("error %v, want %v", err, want)
			}
		})
	}
	invoke(nil)
	waitUntil(t, func() bool { return calls.Load() == 1 })
	began := time.Now()
	if _, err := function.Invoke(t.Context(), []byte(nothing)); !errors.Is(err, simulation.ErrThrottled) || time.Since(began) < 300*time.Millisecond {
		t.Errorf("error %v after %v, want throttled after 300 ms", err, time.Since(began))
	}
	invoke(nil) // waits, and has its turn
	time.AfterFunc(50*time.Millisecond, release)
	all.Wait()
	got := function.Stats()
	got.Processor = 0
	if want := (simulation.FunctionStats{Invocations: 2, Started: 1, Throttles: 1}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func TestFunctionTimesOut(t *testing.T) {
	// The relay keeps its own time; what is needed is a process that does not.
	stuck := simulation.NewFunction(simulation.FunctionConfig{
		Timeout: 200 * time.Millisecond, Runtime: lambdaruntime.Config{Binary: stuckBinary(t), Name: "stuck", Region: "us-east-1", Log: io.Discard},
	})
	defer stuck.Close()
	for i := range 2 {
		if _, err := stuck.Invoke(t.Context(), []byte(nothing)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v, want the deadline's", err)
		}
		if got := stuck.Stats(); got.Started != i+1 || got.Failures != i+1 {
			t.Errorf("%+v: want a new environment each time", got)
		}
	}
}

// stuckBinary is a program that does nothing.
func stuckBinary(t *testing.T) string {
	t.Helper()
	path := t.TempDir() + "/stuck"
	if err := os.WriteFile(path, []byte("#!/bin/sh\nexec /bin/sleep 60\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestFunctionIsKilledInTheMiddle(t *testing.T) {
	function, _, _ := newFunction(t, simulation.FunctionConfig{
		Timeout: 30 * time.Second, KillProbability: 1, KillWithin: 50 * time.Millisecond, Seed: 1,
	})
	if _, err := function.Invoke(t.Context(), []byte(onePayment)); !errors.Is(err, lambdaruntime.ErrExited) {
		t.Errorf("error %v, want exited", err)
	}
	if _, err := function.Invoke(t.Context(), []byte(onePayment)); !errors.Is(err, lambdaruntime.ErrExited) {
		t.Errorf("error %v, want exited", err)
	}
	got := function.Stats()
	if got.Processor <= 0 {
		t.Errorf("two processes have used %v of processor time", got.Processor)
	}
	got.Processor = 0
	if want := (simulation.FunctionStats{Invocations: 2, Failures: 2, Started: 2, Killed: 2}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}

	sometimes, _, releaseSometimes := newFunction(t, simulation.FunctionConfig{
		Timeout: 30 * time.Second, KillProbability: 0.3, KillWithin: time.Nanosecond, Seed: 1,
	})
	releaseSometimes()
	failed := 0
	for range 40 {
		if _, err := sometimes.Invoke(t.Context(), []byte(onePayment)); err != nil {
			failed++
		}
	}
	got = sometimes.Stats()
	if got.Killed < 5 || got.Killed > 20 || got.Started < got.Killed || failed > got.Killed || got.Failures != failed {
		t.Errorf("%+v with %d errors; want about 12 killed", got, failed)
	}
}

func TestFunctionGoesDown(t *testing.T) {
	function, calls, release := newFunction(t, simulation.FunctionConfig{Concurrency: 3, Timeout: 30 * time.Second})
	if _, err := function.Invoke(t.Context(), []byte(nothing)); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for range 2 {
		all.Go(func() {
			if _, err := function.Invoke(t.Context(), []byte(onePayment)); !errors.Is(err, lambdaruntime.ErrExited) {
				t.Errorf("error %v, want exited", err)
			}
		})
	}
	waitUntil(t, func() bool { return calls.Load() == 2 })
	function.SetDown(true)
	all.Wait()
	if _, err := function.Invoke(t.Context(), []byte(nothing)); !errors.Is(err, simulation.ErrDown) {
		t.Errorf("error %v, want down", err)
	}
	function.SetDown(false)
	release()
	if _, err := function.Invoke(t.Context(), []byte(onePayment)); err != nil {
		t.Errorf("up again: %v", err)
	}
}

// waitUntil waits for what another process does.
func waitUntil(t *testing.T, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !condition(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("waited 10 s")
		}
	}
}
