// Package localmoto starts moto (the Python package moto[server], 5.2 or newer), which simulates AWS's services with their real
// encoding, for tests of what is asked of them.
package localmoto

import (
	"bytes"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"payments-dr/internal/simulation/loopback"
)

// Variable is the environment variable that, set to 1, has tests run against moto. Without it they are skipped, and say so; with it,
// moto's absence is an error.
const Variable = "TEST_MOTO"

// Account is moto's.
const Account = "123456789012"

// Start starts moto for a test, and is the configuration of clients of it, in us-east-1.
func Start(t *testing.T) aws.Config {
	t.Helper()
	if os.Getenv(Variable) != "1" {
		t.Skipf("%s is not 1", Variable)
	}
	port, err := loopback.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(t.Context(), "moto_server", "-H", loopback.Host, "-p", strconv.Itoa(port))
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait()
	})
	endpoint := "http://" + loopback.Host + ":" + strconv.Itoa(port)
	for deadline := time.Now().Add(60 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		if response, err := http.Get(endpoint + "/moto-api/"); err == nil {
			_ = response.Body.Close()
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("moto does not answer")
		}
	}
	return aws.Config{Region: "us-east-1", BaseEndpoint: &endpoint, Credentials: credentials.NewStaticCredentialsProvider("simulated", "simulated", "")}
}

// Tell tells moto something about itself, such as at /moto-api/config.
func Tell(t *testing.T, config aws.Config, path, body string) {
	t.Helper()
	response, err := http.Post(*config.BaseEndpoint+path, "application/json", bytes.NewBufferString(body))
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusCreated {
		t.Fatalf("%s: status %d", path, response.StatusCode)
	}
}
