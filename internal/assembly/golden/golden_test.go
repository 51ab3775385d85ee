package golden_test

import (
	"encoding/json"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"payments-dr/internal/assembly/golden"
	"payments-dr/internal/settings"
)

const (
	hash    = "551986b4660d0bcc9cd0947d4cc9429b37cec127ac03251dca2839a9fbaac7a7"
	account = "123456789012"
)

// synthesis is what the library writes for one stack, with a function's code of a hash, for an account.
func synthesis(hash, account string) fstest.MapFS {
	return fstest.MapFS{
		"manifest.json": {Data: []byte(`{"version":"54.0.0","artifacts":{
			"one.assets":{"type":"cdk:asset-manifest","properties":{"file":"one.assets.json"}},
			"one":{"type":"aws:cloudformation:stack","environment":"aws://` + account + `/us-east-1","dependencies":["one.assets"],
				"properties":{"templateFile":"one.template.json","terminationProtection":true,"tags":{"application":"payments"},"bootstrapStackVersionSsmParameter":"/cdk-bootstrap/x/version"}}}}`)},
		"one.template.json": {Data: []byte(`{
			"Parameters":{"BootstrapVersion":{"Type":"AWS::SSM::Parameter::Value<String>"}},
			"Rules":{"CheckBootstrapVersion":{}},
			"Resources":{
				"CDKMetadata":{"Type":"AWS::CDK::Metadata"},
				"Function":{"Type":"AWS::Lambda::Function","Properties":{"Code":{"S3Bucket":"cdk-assets-` + account + `-us-east-1","S3Key":"` + hash + `.zip"},"Timeout":30},
					"Metadata":{"aws:cdk:path":"one/Function","aws:asset:path":"asset.` + hash + `","aws:asset:property":"Code"}},
				"Dashboard":{"Type":"AWS::CloudWatch::Dashboard","Properties":{"DashboardBody":"{\"widgets\":[{\"x\":1,\"title\":\"a < b\"}]}"}}}}`)},
	}
}

func read(t *testing.T, folder fstest.MapFS) golden.Set {
	t.Helper()
	set, err := golden.Read(folder)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func files(t *testing.T, set golden.Set) map[string][]byte {
	t.Helper()
	files, err := set.Files()
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// TestMachinesAgree has two machines whose compilers and accounts differ write the same.
func TestMachinesAgree(t *testing.T) {
	here := files(t, read(t, synthesis(hash, account)))
	there := files(t, read(t, synthesis(strings.Repeat("0", 64), settings.PlaceholderAccount)))
	if !reflect.DeepEqual(here, there) {
		t.Errorf("%s\n%s", here, there)
	}
	text := string(here["one.template.json"])
	for _, noise := range []string{hash, account, "aws:asset", "Bootstrap", "CDKMetadata", "Parameters", "Rules"} {
		if strings.Contains(text, noise) {
			t.Errorf("%s is left in\n%s", noise, text)
		}
	}
	for _, kept := range []string{`"aws:cdk:path": "one/Function"`, `"Timeout": 30`, "cdk-assets-" + settings.PlaceholderAccount, `"title": "a < b"`} {
		if !strings.Contains(text, kept) {
			t.Errorf("%s is not in\n%s", kept, text)
		}
	}
}

// TestGoldenIsReadAsItIsWritten reads what was written, and writes it again.
func TestGoldenIsReadAsItIsWritten(t *testing.T) {
	first := read(t, synthesis(hash, account))
	written := fstest.MapFS{}
	for name, data := range files(t, first) {
		written[name] = &fstest.MapFile{Data: data}
	}
	second := read(t, written)
	if !reflect.DeepEqual(first, second) || !reflect.DeepEqual(files(t, first), files(t, second)) {
		t.Errorf("%v\n%v", first, second)
	}
	if !first.Stacks[0].TerminationProtection || first.Stacks[0].Tags["application"] != "payments" || first.Stacks[0].Region != "us-east-1" {
		t.Errorf("%+v", first.Stacks[0])
	}
}

// TestAssemblyHasStringsAgain gives the shipped environments to what reads dashboards out of strings.
func TestAssemblyHasStringsAgain(t *testing.T) {
	context, err := settings.ReadContext("../../../cdk.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, env := range settings.Environments(context) {
		set, err := golden.Read(os.DirFS("../../../testdata/golden/" + env))
		if err != nil {
			t.Fatal(err)
		}
		a, err := set.Assembly()
		if err != nil {
			t.Fatal(err)
		}
		dashboards, err := a.Dashboards()
		if err != nil || len(dashboards) != 3 || len(a.Stacks) != 3 || a.Settings.Environment != env {
			t.Errorf("%s: %d dashboards, %d stacks, settings of %q: %v", env, len(dashboards), len(a.Stacks), a.Settings.Environment, err)
		}
	}
}

func TestFoldersThatHoldNoTemplates(t *testing.T) {
	for name, folder := range map[string]fstest.MapFS{
		"nothing":            {},
		"no JSON":            {"manifest.json": {Data: []byte("{")}},
		"no stack":           {"manifest.json": {Data: []byte(`{"artifacts":{}}`)}},
		"template missing":   {"manifest.json": synthesis(hash, account)["manifest.json"]},
		"template no object": {"manifest.json": synthesis(hash, account)["manifest.json"], "one.template.json": {Data: []byte("[]")}},
	} {
		if set, err := golden.Read(folder); err == nil || !strings.Contains(err.Error(), "read template") {
			t.Errorf("%s: %v, %v", name, set, err)
		}
	}
}

func TestDeployedStacks(t *testing.T) {
	set := read(t, synthesis(hash, account))
	none, err := set.Deployed(fstest.MapFS{}, account)
	if err != nil || len(none.Stacks) != 0 {
		t.Errorf("%v, %v", none, err)
	}
	all, err := set.Deployed(synthesis("f"+hash[1:], account), account)
	if err != nil || !reflect.DeepEqual(all, set) {
		t.Errorf("%v, %v", all, err)
	}
}

// FuzzFormat holds that what is formatted is the same JSON.
func FuzzFormat(f *testing.F) {
	f.Add(`{"a":[1,2,{"b":"<c>"}],"d":{"e":{"f":{"g":"long enough that the line has to be broken somewhere, because it is more than the width"}}}}`)
	f.Add(`[[],{},null,true,1e400,"\u2028"]`)
	f.Fuzz(func(t *testing.T, text string) {
		decoder := json.NewDecoder(strings.NewReader(text))
		decoder.UseNumber()
		var value any
		if decoder.Decode(&value) != nil {
			t.Skip()
		}
		again := json.NewDecoder(strings.NewReader(string(golden.Format(value))))
		again.UseNumber()
		var got any
		if err := again.Decode(&got); err != nil || !reflect.DeepEqual(value, got) {
			t.Errorf("%s becomes %s (%v)", text, golden.Format(value), err)
		}
	})
}

func TestFormatBreaksWhatDoesNotFit(t *testing.T) {
	long := strings.Repeat("x", 120)
	got := strings.Split(string(golden.Format(map[string]any{"a": map[string]any{"tags": []any{
		map[string]any{"Key": "k", "Value": "v"}, map[string]any{"Key": "k", "Value": long},
	}}})), "\n")
	want := []string{"{", ` "a": {`, `  "tags": [`, `   {"Key": "k", "Value": "v"},`, "   {", `    "Key": "k",`, `    "Value": "` + long + `"`, "   }", "  ]", " }", "}", ""}
	if !slices.Equal(got, want) {
		t.Errorf("%s", strings.Join(got, "\n"))
	}
}
