// Package stackstest gives tests the synthesized stacks of each environment, and reads their templates.
//
// A synthesis takes ten seconds, so all test packages share them: Synthesize keeps each one in .synthesized, until something
// changes that the app is made of. The package does not import the CDK, which takes a minute to compile for the race detector.
package stackstest

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"payments-dr/internal/assembly"
	"payments-dr/internal/settings"
)

// Environments that tests name: two of cdk.json, and one that differs from them in every choice that changes the shape of a template.
const (
	Dev  = "dev"
	Prod = "prod"
	// Europe has its primary Region away from the global stack's, an eventually consistent table, no NAT gateways, an
	// existing hosted zone, three instances, a budget, the secondary as the ledger's active Region, a recovery that an alarm
	// starts, a limit on the processors, and backups that nobody can delete.
	Europe = "europe"
)

// Root is the repository's folder.
var Root = findRoot()

// Shipped are the environments of cdk.json. Environments are all that tests look at.
var (
	Shipped      = settings.Environments(readContext())
	Environments = append(slices.Clone(Shipped), Europe)
)

// RegionalRoles are the roles of the two regional stacks, and RoleGlobal is the third stack's.
var RegionalRoles = []string{string(settings.RolePrimary), string(settings.RoleSecondary)}

// RoleGlobal is stacks.RoleGlobal.
const RoleGlobal = "global"

func findRoot() string {
	dir, err := os.Getwd()
	if err != nil {
		panic(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "cdk.json")); err == nil {
			return dir
		}
		if dir == filepath.Dir(dir) {
			panic("no folder above has a cdk.json")
		}
		dir = filepath.Dir(dir)
	}
}

func readContext() map[string]any {
	context, err := settings.ReadContext(Path("cdk.json"))
	if err != nil {
		panic(err)
	}
	return context
}

// Path is the path of a file of the repository.
func Path(name string) string { return filepath.Join(Root, filepath.FromSlash(name)) }

// File is the content of a file of the repository.
func File(t testing.TB, name string) string {
	t.Helper()
	data, err := os.ReadFile(Path(name))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// Context is the app's context for an environment, as the CDK CLI hands it to the app. The caller may change it.
func Context(env string) map[string]any {
	context := readContext()
	context["env"] = env
	context["environments"].(map[string]any)[Europe] = european()
	return context
}

func european() map[string]any {
	region := func(name, cidr string) map[string]any {
		return map[string]any{"name": name, "cidr": cidr, "availabilityZones": []any{name + "a", name + "b", name + "c"}}
	}
	return map[string]any{
		"production": false,
		"account":    "111122223333",
		"regions":    map[string]any{"primary": region("eu-west-1", "10.30.0.0/16"), "secondary": region("eu-central-1", "10.31.0.0/16")},
		"session":    map[string]any{"consistency": "eventual"},
		"network":    map[string]any{"natGatewaysPerRegion": 0.0},
		"dns":        map[string]any{"zoneName": "payments.acme-bank.eu", "hostedZoneId": "Z0123456789ABCDEFGHIJ", "ttlSeconds": 10.0},
		"alerts": map[string]any{
			"emailAddresses": []any{"oncall@acme-bank.eu", "payments@acme-bank.eu"}, "alarmPagesURL": "https://runbooks.acme-bank.eu/alarms", "monthlyBudgetUSD": 4000.0,
		},
		"api":       map[string]any{"processorConcurrency": 400.0},
		"recovery":  map[string]any{"automatic": true},
		"operators": map[string]any{"principals": []any{"arn:aws:iam::111122223333:role/on-call", "444455556666"}},
		"ledger":    map[string]any{"activeRegion": "secondary", "queueRetentionHours": 300.0},
		"backup":    map[string]any{"retentionDays": 35.0, "lock": "compliance", "lockGraceDays": 14.0},
		// The members have been upgraded since the global cluster was created.
		"database": map[string]any{"instancesPerRegion": 3.0, "globalClusterEngineVersion": "8.0.mysql_aurora.3.10.1"},
	}
}

// Assembly are an environment's stacks. All tests share them; Copy is for a test that changes something.
func Assembly(t testing.TB, env string) *assembly.Assembly {
	t.Helper()
	if a, ok := byEnvironment.Load(env); ok {
		return a.(*assembly.Assembly)
	}
	context := Context(env)
	context["policy"] = true // see packs.ContextKey
	a, _ := byEnvironment.LoadOrStore(env, Synthesize(t, context))
	return a.(*assembly.Assembly)
}

// byEnvironment are the assemblies that Assembly has read.
var byEnvironment sync.Map

// Assemblies are the stacks of all environments.
func Assemblies(t testing.TB) map[string]*assembly.Assembly {
	t.Helper()
	all := map[string]*assembly.Assembly{}
	for _, env := range Environments {
		all[env] = Assembly(t, env)
	}
	return all
}

// Copy are an environment's stacks for a test that changes them.
func Copy(t testing.TB, env string) *assembly.Assembly {
	t.Helper()
	data, err := json.Marshal(Assembly(t, env))
	if err != nil {
		t.Fatal(err)
	}
	own := &assembly.Assembly{}
	if err := json.Unmarshal(data, own); err != nil {
		t.Fatal(err)
	}
	return own
}

// Synthesize are the stacks that the app makes of a context, without the functions' code. What the validators and the rule packs
// find does not end the synthesis: tests read it from the assembly's folder.
func Synthesize(t testing.TB, context map[string]any) *assembly.Assembly {
	t.Helper()
	context = maps.Clone(context)
	context["aws:cdk:bundling-stacks"] = []string{}
	context["aws:cdk:enable-path-metadata"] = true // as the CLI has it: golden templates name the constructs
	context["@aws-cdk/core:failSynthOnValidationErrors"] = false
	data, err := json.Marshal(context)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.New()
	sum.Write(data)
	sum.Write(sources())
	dir, err := synthesized(fmt.Sprintf("%x", sum.Sum(nil)[:8]), data)
	if err != nil {
		t.Fatal(err)
	}
	a, err := assembly.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// synthesized is the folder with the assembly of a name, which is made first if no process has made it.
func synthesized(name string, context []byte) (string, error) {
	kept := Path(".synthesized")
	dir := filepath.Join(kept, name)
	if err := os.MkdirAll(kept, 0o755); err != nil {
		return "", err
	}
	lock, err := os.Create(dir + ".lock")
	if err != nil {
		return "", err
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return "", fmt.Errorf("lock %s: %w", lock.Name(), err)
	}
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	removeOld(kept)
	unfinished := dir + ".unfinished"
	if err := os.RemoveAll(unfinished); err != nil {
		return "", err
	}
	command := exec.Command("go", "run", ".")
	command.Dir = Root
	command.Env = append(os.Environ(), "CDK_OUTDIR="+unfinished, "CDK_CONTEXT_JSON="+string(context), "CDK_DEFAULT_ACCOUNT=")
	if out, err := command.CombinedOutput(); err != nil {
		return "", fmt.Errorf("synthesize: %w\n%s", err, out)
	}
	return dir, os.Rename(unfinished, dir)
}

// removeOld removes what was synthesized more than a day ago.
func removeOld(kept string) {
	entries, err := os.ReadDir(kept)
	if err != nil {
		return
	}
	for _, entry := range entries {
		if info, err := entry.Info(); err == nil && time.Since(info.ModTime()) > 24*time.Hour {
			os.RemoveAll(filepath.Join(kept, entry.Name()))
		}
	}
}

// sources is a digest of what the app is made of: it imports nothing of internal/operate and internal/drill.
var sources = sync.OnceValue(func() []byte {
	sum := sha256.New()
	for _, name := range []string{"app.go", "cdk.json", "go.mod", "go.sum", "package-lock.json", "stacks", "constructs", "functions", "internal"} {
		err := filepath.WalkDir(Path(name), func(path string, entry fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case entry.IsDir() && slices.Contains([]string{"testdata", "operate", "drill"}, entry.Name()):
				return filepath.SkipDir
			case entry.IsDir() || strings.HasSuffix(path, "_test.go"):
				return nil
			}
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			fmt.Fprintf(sum, "%s %d\n", path, len(data))
			sum.Write(data)
			return nil
		})
		if err != nil {
			panic(err)
		}
	}
	return sum.Sum(nil)
})
