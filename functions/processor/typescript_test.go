package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"

	"payments-dr/internal/simulation"
)

// lint prints what Redocly's strict rules find in a description. They check the examples against their schemas too.
const lint = `
import { createConfig, lint } from "@redocly/openapi-core";
const config = await createConfig({ extends: ["recommended-strict"] });
for (const { ruleId, message, location } of await lint({ ref: process.argv[1], config }))
	console.log(ruleId + ": " + message + " " + location.map(l => l.pointer).join(" "));
`

func TestDescriptionPassesTheLinter(t *testing.T) {
	findings := func(file string) string {
		command := exec.CommandContext(t.Context(), "node", "--input-type=module", "--eval", lint, file)
		command.Dir = moduleDir
		out, err := command.CombinedOutput()
		if err != nil {
			t.Fatalf("lint %s: %v\n%s", file, err, out)
		}
		return string(out)
	}
	file, err := filepath.Abs(filepath.Join(moduleDir, "docs/use/openapi.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if found := findings(file); found != "" {
		t.Errorf("%s:\n%s", file, found)
	}
	// It does find what is wrong.
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	broken := filepath.Join(t.TempDir(), "openapi.yaml")
	if err := os.WriteFile(broken, bytes.Replace(text, []byte("amount: 12.34"), []byte("amount: twelve"), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	if found := findings(broken); !strings.Contains(found, "amount") {
		t.Errorf("an example with a wrong amount: %q", found)
	}
}

// misuses do not compile with the generated types.
const misuses = `
import createClient from "openapi-fetch";
import type { components, paths } from "./openapi.js";
const client = createClient<paths>();
// @ts-expect-error: a misspelt field
export const misspelt: components["schemas"]["PaymentRequest"] = { amount: "1", curency: "USD" };
// @ts-expect-error: no amount
void client.POST("/payments", { body: { currency: "USD" } });
// @ts-expect-error: no such path
void client.GET("/payment/{session_id}", { params: { path: { session_id: "s" } } });
// @ts-expect-error: a page size in words
void client.GET("/payments/{session_id}", { params: { path: { session_id: "s" }, query: { limit: "ten" } } });
`

// The commands of payments.md generate and compile a client in TypeScript. It pays, retries after it has lost a response, replays
// and reads, through the simulated API that verifies its signatures, in front of the real binary.
func TestGeneratedClientPays(t *testing.T) {
	table := deploy(t, 0)
	region := readRegion(t)
	region.name = "127.0.0.1"
	keys := aws.Credentials{AccessKeyID: "AKIDSTEST", SecretAccessKey: "secret", SessionToken: "token"}
	region.verify = simulation.Signatures{Credentials: keys, Region: testRegion}.Verify
	api := described().checked(t, region.api(realFunction(t, *table.client.Options().BaseEndpoint)), resourceOf)
	var requests atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if requests.Add(1) > 1 {
			api.ServeHTTP(w, r)
			return
		}
		api.ServeHTTP(httptest.NewRecorder(), r)
		panic(http.ErrAbortHandler) // the payment is accepted, and its client does not know
	}))
	defer server.Close()

	dir := t.TempDir()
	for _, shared := range []string{"docs", "node_modules"} {
		from, err := filepath.Abs(filepath.Join(moduleDir, shared))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(from, filepath.Join(dir, shared)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(filepath.Join(dir, "bin/typescript"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "bin/typescript/misuses.mts"), []byte(misuses), 0o600); err != nil {
		t.Fatal(err)
	}
	commands := strings.Replace(documentedCommands(t), "https://api.payments.example.com", server.URL, 1)
	command := exec.CommandContext(t.Context(), "sh", "-e", "-c", commands)
	command.Dir = dir
	command.Env = append(os.Environ(), "AWS_ACCESS_KEY_ID="+keys.AccessKeyID, "AWS_SECRET_ACCESS_KEY="+keys.SecretAccessKey, "AWS_SESSION_TOKEN="+keys.SessionToken)
	out, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	var got struct {
		First, Again, Payment map[string]any
		Payments, Unreadable  int
	}
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &got); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for what, payment := range map[string]map[string]any{"first": got.First, "again": got.Again, "read": got.Payment} {
		if payment["transaction_id"] != "order_1042" || payment["session_id"] != "cart_77" || payment["amount"] != 12.34 || payment["currency"] != "USD" || payment["region"] != testRegion {
			t.Errorf("%s: %v", what, payment)
		}
	}
	if got.First["replayed"] != true || got.Again["replayed"] != true || got.Payments != 1 || got.Unreadable != 0 || got.Payment["status"] != "processed" {
		t.Errorf("%s", out)
	}
	if items := table.items(t); len(items) != 1 {
		t.Errorf("%d payments, want 1", len(items))
	}
	if n := requests.Load(); n != 5 { // a lost payment, its retry, its replay, the session, the payment
		t.Errorf("%d requests, want 5", n)
	}
}

// documentedCommands are the commands of payments.md that generate a client and run it.
func documentedCommands(t *testing.T) string {
	t.Helper()
	_, rest, _ := strings.Cut(paymentsDocument(t), "```sh\nmkdir ")
	commands, _, found := strings.Cut(rest, "```")
	if !found {
		t.Fatal("payments.md has no commands")
	}
	return "mkdir " + commands
}
