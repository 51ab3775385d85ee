package reference_test

import (
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"payments-dr/internal/settings"
	"payments-dr/internal/settings/reference"
)

const source = ".."

func context(t *testing.T) map[string]any {
	t.Helper()
	context, err := settings.ReadContext("../../../cdk.json")
	if err != nil {
		t.Fatal(err)
	}
	return context
}

func read(t *testing.T, context map[string]any) map[string]reference.Setting {
	t.Helper()
	groups, err := reference.Read(os.DirFS(source), context)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]reference.Setting{}
	for _, g := range groups {
		for _, s := range g.Settings {
			all[s.Key] = s
		}
	}
	return all
}

// leaves are the keys below an object whose values are no objects. Tags are one setting.
func leaves(prefix string, object map[string]any) (keys []string) {
	for name, value := range object {
		below, ok := value.(map[string]any)
		if !ok || name == "tags" {
			keys = append(keys, prefix+name)
			continue
		}
		keys = append(keys, leaves(prefix+name+".", below)...)
	}
	return keys
}

func TestEverySettingOfCdkJsonIsThereWithItsValue(t *testing.T) {
	c := context(t)
	all := read(t, c)
	for name, environment := range c["environments"].(map[string]any) {
		given := map[string]bool{}
		for _, key := range leaves("", environment.(map[string]any)) {
			given[key] = true
		}
		keys := leaves("", settings.Complete(name, environment.(map[string]any)))
		if len(keys) < 50 {
			t.Errorf("%s has %d settings", name, len(keys))
		}
		for _, key := range keys {
			s, ok := all[key]
			if _, there := s.Values[name]; !ok || there != given[key] || !there && !s.HasDefault {
				t.Errorf("%s: %s is missing", name, key)
			}
			if s.Meaning == "" || len(s.Allowed) == 0 {
				t.Errorf("%s: meaning %q, allowed %q", key, s.Meaning, s.Allowed)
			}
		}
	}
	if got := all["database.instancesPerRegion"].Values["prod"]; got != "2" {
		t.Errorf("prod has %s instances", got)
	}
}

func TestAllowedIsWhatTheCheckSays(t *testing.T) {
	all := read(t, context(t))
	for key, want := range map[string]string{
		"database.backupRetentionDays": "3 to 35",
		"database.deletionProtection":  "true in production",
		"alerts.emailAddresses":        "at least one address in production",
		"backup.lockGraceDays":         "3 to 365 days with compliance",
		"session.witnessRegion":        "us-east-2",
		"tags":                         "up to 256",
	} {
		if got := strings.Join(all[key].Allowed, "; "); !strings.Contains(got, want) {
			t.Errorf("%s: %q does not have %q", key, got, want)
		}
	}
	// What depends on another setting follows it.
	c := context(t)
	for _, environment := range c["environments"].(map[string]any) {
		environment.(map[string]any)["objectives"] = map[string]any{"rpoMinutes": 2.0}
	}
	if got := strings.Join(read(t, c)["alarms.replicationLagSeconds"].Allowed, "; "); !strings.HasPrefix(got, "1 to 120 ") {
		t.Errorf("with an objective of 2 minutes the lag may be %q", got)
	}
}

func TestMeaningsUseTheWordsOfCdkJson(t *testing.T) {
	all := read(t, context(t))
	for key, want := range map[string]string{
		"session.consistency":        "`consistency` is `strong` or `eventual`.",
		"ledger.queueRetentionHours": "whose oldest payment is `ledgerDelayMinutes` old",
		"logs.retentionDays":         "see `settings.LogRetentionDays`",
		"regions.primary.name":       "`name` is the Region's code",
	} {
		if got := all[key].Meaning; !strings.Contains(got, want) {
			t.Errorf("%s: %q does not have %q", key, got, want)
		}
	}
	if all["database.engineVersion"].Optional || !all["dns.hostedZoneId"].Optional {
		t.Error("what may be left out is not told from what may not")
	}
}

func TestASettingWithoutACommentIsAnError(t *testing.T) {
	files := fstest.MapFS{}
	names, err := fs.Glob(os.DirFS(source), "*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		text, err := fs.ReadFile(os.DirFS(source), name)
		if err != nil {
			t.Fatal(err)
		}
		lines := slices.DeleteFunc(strings.Split(string(text), "\n"), func(line string) bool {
			return strings.Contains(line, "// LedgerBacklogMessages is")
		})
		files[name] = &fstest.MapFile{Data: []byte(strings.Join(lines, "\n"))}
	}
	if _, err := reference.Read(files, context(t)); err == nil || !strings.Contains(err.Error(), "LedgerBacklogMessages") {
		t.Errorf("got %v", err)
	}
}
