package main

import (
	"debug/elf"
	"encoding/json"
	"fmt"
	"io/fs"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"payments-dr/internal/assembly"
	"payments-dr/internal/assembly/cost"
	"payments-dr/internal/assembly/dashboardpreview"
	"payments-dr/internal/assembly/document"
	"payments-dr/internal/assembly/golden"
	"payments-dr/internal/assembly/policy"
	"payments-dr/internal/assembly/policy/packs"
	"payments-dr/internal/assembly/review"
	"payments-dr/stacks"
	"payments-dr/stacks/stackstest"
)

func TestThreeStacksInTheirRegionsAndOrder(t *testing.T) {
	for env, regions := range map[string][3]string{
		stackstest.Dev:    {"us-east-1", "us-west-2", "us-east-1"},
		stackstest.Prod:   {"us-east-1", "us-west-2", "us-east-1"},
		stackstest.Europe: {"eu-west-1", "eu-central-1", "us-east-1"},
	} {
		if n := len(stackstest.Assembly(t, env).Stacks); n != 3 {
			t.Errorf("%s has %d stacks", env, n)
		}
		for i, role := range []string{stacks.RolePrimary, stacks.RoleSecondary, stacks.RoleGlobal} {
			v := stackstest.ViewOf(t, env, role)
			if v.Stack.Name != "payment-"+env+"-"+role || v.Stack.Region != regions[i] {
				t.Errorf("%s in %s, want payment-%s-%s in %s", v.Stack.Name, v.Stack.Region, env, role, regions[i])
			}
			want := [][]string{nil, {"payment-" + env + "-primary"}, {"payment-" + env + "-primary", "payment-" + env + "-secondary"}}[i]
			if !slices.Equal(v.Stack.Dependencies, want) {
				t.Errorf("%s is deployed after %v, want %v", v.Stack.Name, v.Stack.Dependencies, want)
			}
			if v.Stack.TerminationProtection != (env == stackstest.Prod) {
				t.Errorf("%s: termination protection %v", v.Stack.Name, v.Stack.TerminationProtection)
			}
		}
	}
	if account := stackstest.ViewOf(t, stackstest.Dev, stacks.RolePrimary).Stack.Account; account != "000000000000" {
		t.Errorf("account %s without credentials, want the placeholder", account)
	}
	if account := stackstest.ViewOf(t, stackstest.Europe, stacks.RolePrimary).Stack.Account; account != "111122223333" {
		t.Errorf("account %s, want that of the settings", account)
	}
}

func TestGlobalTemplateHoldsTheSettings(t *testing.T) {
	s := stackstest.Assembly(t, stackstest.Prod).Settings
	if s.Environment != stackstest.Prod || s.Objectives.RTOMinutes != 15 || s.Database.InstanceClass != "db.r5.large" || s.Regions.Secondary.Name != "us-west-2" {
		t.Errorf("settings in the template: %+v", s)
	}
}

// TestSecondaryReadsItsOwnRegionAlone holds the rule that a stack can be updated while the other Region is gone: what
// crosses was written into the reading stack's Region when it was produced.
func TestSecondaryReadsItsOwnRegionAlone(t *testing.T) {
	for env, a := range stackstest.Assemblies(t) {
		for _, stack := range a.Stacks {
			v := stackstest.View{Assembly: a, Stack: stack}
			for id, writer := range v.Of("Custom::CrossRegionExportWriter") {
				if assembly.At(writer.Properties["WriterProps"], "region") == stack.Region {
					t.Errorf("%s %s writes to its own Region", env, id)
				}
			}
		}
		if n := len(stackstest.ViewOf(t, env, stacks.RolePrimary).Of("Custom::CrossRegionExportReader")); n != 0 {
			t.Errorf("%s: the primary reads from another Region", env)
		}
	}
}

// layers are the groups of packages, from the top. A package imports packages of its own group and of groups with a lower rank.
var layers = []struct {
	group string
	rank  int
}{
	{"cmd", 8}, {"internal/drill", 7}, {"internal/operate", 6}, {"stacks", 5}, {"constructs", 4}, {"internal/assembly", 3},
	{"internal/simulation", 2}, {"internal/settings", 2}, {"functions", 2}, {"internal/payment", 1},
	{"client", 0},
}

// wrongImport says what is wrong with an import of one package of this module by another, or nothing.
func wrongImport(importer, imported string) string {
	group := func(path string) (string, int) {
		for _, l := range layers {
			if path == l.group || strings.HasPrefix(path, l.group+"/") {
				return l.group, l.rank
			}
		}
		return "", 0
	}
	from, high := group(importer)
	to, low := group(imported)
	switch {
	case imported == "stacks/stackstest", imported == "internal/payment/paymenttest":
		return importer + " imports " + imported + ", which is for tests alone"
	case to == "":
		return importer + " imports " + imported + ", which is in none of the layout's groups: move it into one"
	case importer == "": // the app
		from, high = "the app", 6
	case from == "":
		return importer + " is in none of the layout's groups: move it into one"
	}
	if from == to || high > low {
		return ""
	}
	if from == "client" {
		return importer + " imports " + imported + ", and the public client imports nothing of this module"
	}
	below := "internal/payment"
	for _, l := range layers {
		if l.rank < high && l.rank > 1 && from != "functions" {
			below = l.group
			break
		}
	}
	return fmt.Sprintf("%s imports %s, and imports of %s point down from it: move what it needs to %s, or to a package below that", importer, imported, from, below)
}

func TestImportsPointDownward(t *testing.T) {
	out, err := exec.Command("go", "list", "-f", `{{.ImportPath}} {{join .Imports " "}}`, "./...").Output()
	if err != nil {
		t.Fatal(err)
	}
	imports := 0
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		importer := strings.TrimPrefix(strings.TrimPrefix(fields[0], "payments-dr"), "/")
		for _, path := range fields[1:] {
			if imported, own := strings.CutPrefix(path, "payments-dr/"); own && importer != "stacks/stackstest" {
				imports++
				if wrong := wrongImport(importer, imported); wrong != "" {
					t.Error(wrong)
				}
			}
		}
	}
	if imports < 100 {
		t.Errorf("%d imports", imports)
	}
}

func TestAWrongImportIsNamed(t *testing.T) {
	for _, c := range []struct{ importer, imported, want string }{
		{"functions/relay", "internal/payment", ""},
		{"functions/relay", "internal/settings", "functions/relay imports internal/settings, and imports of functions point down from it: move what it needs to internal/payment"},
		{"internal/payment/canary", "client", ""},
		{"client", "internal/payment", "client imports internal/payment, and the public client imports nothing of this module"},
		{"internal/payment/ledger", "internal/settings", "move what it needs to internal/payment"},
		{"internal/simulation/route53", "internal/assembly", "internal/simulation/route53 imports internal/assembly"},
		{"internal/settings", "internal/simulation", "internal/settings imports internal/simulation"},
		{"constructs", "internal/operate", "move what it needs to internal/assembly"},
		{"stacks", "constructs", ""},
		{"", "stacks", ""},
		{"", "internal/operate", "imports internal/operate"}, // stackstest's digest leaves it out
		{"", "internal/drill", "imports internal/drill"},
		{"cmd/dr", "stacks/stackstest", "for tests alone"},
		{"cmd/dr", "extra", "none of the layout's groups"},
		{"extra", "internal/payment", "none of the layout's groups"},
	} {
		if got := wrongImport(c.importer, c.imported); c.want == "" && got != "" || !strings.Contains(got, c.want) {
			t.Errorf("%s imports %s: %q, want %q", c.importer, c.imported, got, c.want)
		}
	}
}

// README.md says how much of the code is deployed and how much verifies it. A number may be 15 % off.
func TestReadmeCountsTheLines(t *testing.T) {
	rows := regexp.MustCompile("(?m)^\\| ((?:`[^`]+`(?:, )?)+) \\| ([\\d,]+) \\|").FindAllStringSubmatch(stackstest.File(t, "README.md"), -1)
	counted, said := 0, 0
	for _, row := range rows {
		want, err := strconv.Atoi(strings.ReplaceAll(row[2], ",", ""))
		if err != nil {
			t.Fatal(err)
		}
		lines := 0
		for folder := range strings.SplitSeq(strings.ReplaceAll(row[1], "`", ""), ", ") {
			lines += linesOfGo(t, folder)
		}
		if diff := math.Abs(float64(lines-want)) / float64(lines); diff > 0.15 {
			t.Errorf("README.md says %s lines of %s, and there are %d", row[2], row[1], lines)
		}
		counted, said = counted+lines, said+want
	}
	if all := linesOfGo(t, "."); counted != all {
		t.Errorf("the rows of README.md are about %d lines of Go (they say %d), and there are %d", counted, said, all)
	}
}

// linesOfGo are the lines of a file, or of a folder's files, without tests and what only tests use.
func linesOfGo(t *testing.T, name string) int {
	t.Helper()
	lines := 0
	err := filepath.WalkDir(name, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (path == "node_modules" || path == "cdk.out" || path == "stacks/stackstest" || strings.HasPrefix(entry.Name(), ".") && path != "."):
			return filepath.SkipDir
		case entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go"):
			return nil
		}
		lines += strings.Count(stackstest.File(t, path), "\n")
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return lines
}

// runApp runs the app as the CDK CLI does: a program of its own, with its context and its output folder in the environment.
// It returns what the app wrote to standard error, and its exit status.
func runApp(t *testing.T, outdir string, context map[string]any) (stderr string, status int) {
	t.Helper()
	data, err := json.Marshal(context)
	if err != nil {
		t.Fatal(err)
	}
	command := exec.Command("go", "run", ".")
	command.Env = append(os.Environ(), "CDK_OUTDIR="+outdir, "CDK_CONTEXT_JSON="+string(data), "CDK_DEFAULT_ACCOUNT=", "JSII_DEPRECATED=warn")
	var out strings.Builder
	command.Stderr = &out
	if err := command.Run(); err != nil {
		if _, ok := err.(*exec.ExitError); !ok {
			t.Fatal(err)
		}
	}
	return out.String(), command.ProcessState.ExitCode()
}

func TestAppSynthesizesCleanlyWithRealFunctionCode(t *testing.T) {
	dir := t.TempDir()
	stderr, status := runApp(t, dir, stackstest.Context(stackstest.Dev))
	if status != 0 {
		t.Fatalf("exit status %d:\n%s", status, stderr)
	}

	// The library's table constructor uses two deprecated properties of the library. Nothing else may.
	deprecated := regexp.MustCompile(`(?m)^\[WARNING\] (\S+) is deprecated`).FindAllStringSubmatch(stderr, -1)
	for _, match := range deprecated {
		if !strings.HasPrefix(match[1], "aws-cdk-lib.aws_dynamodb.TableGrantsProps#") {
			t.Errorf("%s is deprecated", match[1])
		}
	}

	data, err := os.ReadFile(filepath.Join(dir, "validation-report.json"))
	if err != nil {
		t.Fatal(err)
	}
	var report struct {
		PluginReports []struct {
			PluginName, Conclusion string
			Violations             []struct{ RuleName, Description string }
		}
	}
	if err := json.Unmarshal(data, &report); err != nil {
		t.Fatal(err)
	}
	for _, plugin := range report.PluginReports {
		if plugin.Conclusion != "success" || len(plugin.Violations) > 0 {
			t.Errorf("%s: %s, %+v", plugin.PluginName, plugin.Conclusion, plugin.Violations)
		}
	}

	a, err := assembly.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, role := range stackstest.RegionalRoles {
		stack, err := a.Stack(role)
		if err != nil {
			t.Fatal(err)
		}
		functions := 0
		for id, resource := range stack.Template.Resources {
			if resource.Type != "AWS::Lambda::Function" || resource.Properties["Runtime"] != "provided.al2023" {
				continue
			}
			functions++
			key := assembly.At(resource.Properties["Code"], "S3Key").(string)
			executable, err := elf.Open(filepath.Join(dir, "asset."+strings.TrimSuffix(key, ".zip"), "bootstrap"))
			if err != nil {
				t.Errorf("%s %s: %v", role, id, err)
				continue
			}
			if executable.Machine != elf.EM_AARCH64 || executable.Type != elf.ET_EXEC {
				t.Errorf("%s %s is built for %v, %v", role, id, executable.Machine, executable.Type)
			}
			if libraries, err := executable.ImportedLibraries(); err == nil && len(libraries) > 0 {
				t.Errorf("%s %s needs %v", role, id, libraries)
			}
			executable.Close()
		}
		if functions == 0 {
			t.Errorf("%s has no function in Go", role)
		}
	}
}

func TestAppNamesEveryWrongSettingAndEnds(t *testing.T) {
	context := stackstest.Context(stackstest.Dev)
	dev := context["environments"].(map[string]any)["dev"].(map[string]any)
	dev["database"] = map[string]any{"instanceClass": "db.t3.medium"}
	dev["regions"].(map[string]any)["secondary"].(map[string]any)["name"] = "us-east-1"
	dev["colour"] = "blue"
	context["evn"] = "prod"
	dir := t.TempDir()
	stderr, status := runApp(t, dir, context)
	if status != 1 {
		t.Errorf("exit status %d, want 1", status)
	}
	for _, want := range []string{"instanceClass", "regions.secondary.name", "environments.dev.colour", "evn = "} {
		if !strings.Contains(stderr, want) {
			t.Errorf("%q is not named in:\n%s", want, stderr)
		}
	}
	if strings.Contains(stderr, "goroutine") || strings.Contains(stderr, "panic") {
		t.Errorf("a stack trace:\n%s", stderr)
	}
	if _, err := os.Stat(filepath.Join(dir, "manifest.json")); err == nil {
		t.Error("something was synthesized all the same")
	}
}

// TestGeneratedFilesAreCurrent compares every file that is generated from the synthesized environments with what is committed. With
// -update it writes them.
func TestGeneratedFilesAreCurrent(t *testing.T) {
	for _, env := range stackstest.Shipped {
		t.Run("golden/"+env, func(t *testing.T) { goldenIsCurrent(t, env) })
	}
	t.Run("costs", costsAreCurrent)
	t.Run("documents", documentsAreCurrent)
	t.Run("dashboards", dashboardsAreCurrent)
	t.Run("policy", policyIsCurrent)
}

// goldenIsCurrent is about the templates in testdata/golden, which is where a reviewer reads what a change does. A difference is shown
// resource by resource.
func goldenIsCurrent(t *testing.T, env string) {
	dir := filepath.Join("testdata", "golden", env)
	now, err := golden.Read(os.DirFS(stackstest.Assembly(t, env).Dir))
	if err != nil {
		t.Fatal(err)
	}
	if !*stackstest.Update {
		committed, err := golden.Read(os.DirFS(dir))
		if err != nil {
			t.Fatalf("%v: run make generate", err)
		}
		stacks, err := review.Compare(t.Context(), ".", committed, now)
		if err != nil {
			t.Fatal(err)
		}
		if len(stacks) > 0 {
			t.Errorf("the templates differ from those in %s. If the change is meant, run make generate and commit.\n%s", dir, review.Text(stacks))
			return
		}
	}
	files, err := now.Files()
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range files {
		stackstest.Current(t, filepath.Join(dir, name), string(data))
	}
}

// costsAreCurrent is about the sums of dr cost in README.md.
func costsAreCurrent(t *testing.T) {
	readme := stackstest.File(t, "README.md")
	// replace sets the sum between two texts, which may begin on different lines.
	replace := func(before, sum, after string) {
		t.Helper()
		spaces := strings.NewReplacer(" ", `\s+`)
		place := regexp.MustCompile(`(` + spaces.Replace(before) + `)\$[\d,]+(` + spaces.Replace(after) + `)`)
		if places := place.FindAllString(readme, -1); len(places) != 1 {
			t.Fatalf("README.md has %d places of the form %s, want one", len(places), place)
		}
		readme = place.ReplaceAllString(readme, "${1}$$"+sum+"${2}")
	}
	for _, env := range []string{stackstest.Dev, stackstest.Prod} {
		report, _ := stackstest.CostOf(t, env)
		replace(env+" is ", cost.Total(report.Idle).Text(0), " a month")
		replace("a million payments are ", cost.Total(report.Million).Text(0), "")
	}
	stackstest.Current(t, "README.md", readme)
}

// documentsAreCurrent is about the generated parts of the documents, which come from the templates, the settings' types and cdk.json.
func documentsAreCurrent(t *testing.T) {
	shipped := map[string]*assembly.Assembly{}
	for _, env := range stackstest.Shipped {
		shipped[env] = stackstest.Assembly(t, env)
	}
	made, err := document.Make(".", shipped)
	if err != nil {
		t.Fatal(err)
	}
	for path, text := range made {
		stackstest.Current(t, path, text)
	}
	delete(shipped, stackstest.Dev)
	if _, err := document.Make(".", shipped); err == nil {
		t.Error("documents that show dev were made from prod")
	}
}

// dashboardsAreCurrent is about the drawn dashboards.
func dashboardsAreCurrent(t *testing.T) {
	dashboards, err := stackstest.Assembly(t, stackstest.Dev).Dashboards()
	if err != nil {
		t.Fatal(err)
	}
	if len(dashboards) != 3 {
		t.Errorf("%d dashboards", len(dashboards))
	}
	for name, body := range dashboards {
		stackstest.Current(t, filepath.Join("docs", "operate", "dashboards", name+".svg"), string(dashboardpreview.Draw(name, body)))
	}
}

// policyIsCurrent is about docs/explain/policy.md.
func policyIsCurrent(t *testing.T) {
	rules, all := packs.Rules(), stackstest.Reports(t, stackstest.Shipped)
	for _, c := range policy.Counts(rules, all...) {
		if c.Rules < 50 || c.Applied < 20 || c.Compliant < 100 || c.Suppressed == 0 || c.Open != 0 || c.Answers != c.Compliant+c.Suppressed {
			t.Errorf("%+v", c)
		}
	}
	stackstest.Current(t, "docs/explain/policy.md", policy.Document(rules, all...))
}

// What the secondary's stack needs from the primary's Region when it is updated is nothing: each value of another stack is a
// parameter of its own Region, which the producer has written there.
func TestEveryReadAcrossRegionsIsFromTheOwnRegion(t *testing.T) {
	for env, want := range map[string][]string{
		stackstest.Dev: {
			"payment-dev-global (us-east-1) reads Endpoint.Address of AWS::RDS::DBCluster of payment-dev-secondary in us-east-1",
			"payment-dev-global (us-east-1) reads Ref of AWS::ApiGateway::RestApi of payment-dev-secondary in us-east-1",
			"payment-dev-global (us-east-1) reads Ref of AWS::Lambda::EventSourceMapping of payment-dev-secondary in us-east-1",
			"payment-dev-global (us-east-1) reads RegionalDomainName of AWS::ApiGateway::DomainName of payment-dev-secondary in us-east-1",
			"payment-dev-secondary (us-west-2) reads Endpoint.Address of AWS::RDS::DBCluster of payment-dev-primary in us-west-2",
			"payment-dev-secondary (us-west-2) reads Ref of AWS::Route53::HostedZone of payment-dev-primary in us-west-2",
		},
		stackstest.Europe: { // an existing zone: one read less. The global stack is in neither Region.
			"payment-europe-global (us-east-1) reads Endpoint.Address of AWS::RDS::DBCluster of payment-europe-secondary in us-east-1",
			"payment-europe-global (us-east-1) reads Ref of AWS::ApiGateway::RestApi of payment-europe-primary in us-east-1",
			"payment-europe-global (us-east-1) reads Ref of AWS::ApiGateway::RestApi of payment-europe-secondary in us-east-1",
			"payment-europe-global (us-east-1) reads Ref of AWS::Lambda::EventSourceMapping of payment-europe-primary in us-east-1",
			"payment-europe-global (us-east-1) reads Ref of AWS::Lambda::EventSourceMapping of payment-europe-secondary in us-east-1",
			"payment-europe-global (us-east-1) reads RegionalDomainName of AWS::ApiGateway::DomainName of payment-europe-primary in us-east-1",
			"payment-europe-global (us-east-1) reads RegionalDomainName of AWS::ApiGateway::DomainName of payment-europe-secondary in us-east-1",
			"payment-europe-secondary (eu-central-1) reads Endpoint.Address of AWS::RDS::DBCluster of payment-europe-primary in eu-central-1",
		},
	} {
		a := stackstest.Assembly(t, env)
		var got []string
		for _, stack := range a.Stacks {
			v := stackstest.View{Assembly: a, Stack: stack}
			for id, reader := range v.Of("Custom::CrossRegionExportReader") {
				properties := assembly.Object(reader.Properties["ReaderProps"])
				for name, value := range assembly.Object(properties["imports"]) {
					stackstest.Same(t, name, value, "{{resolve:ssm:"+name+"}}") // CloudFormation resolves it in the stack's own Region
					origin, err := a.Origin(stack, stackstest.GetAtt(id, name))
					if err != nil {
						t.Error(err)
						continue
					}
					attribute := origin.Attribute
					if attribute == "" {
						attribute = "Ref"
					}
					got = append(got, fmt.Sprintf("%s (%s) reads %s of %s of %s in %v", stack.Name, stack.Region, attribute, origin.Resource().Type, origin.Stack.Name, properties["region"]))
				}
			}
			// The other ways to read from elsewhere: an output of a stack of another Region, or a call to one.
			if all := stackstest.Text(stack.Template.Resources); strings.Contains(all, "Fn::GetStackOutput") {
				t.Errorf("%s has a weak reference", stack.Name)
			}
			for id, custom := range v.Of("Custom::AWS") {
				create := stackstest.Flatten(custom.Properties["Create"])
				if strings.Contains(create, `"region":"`) && !strings.Contains(create, `"action":"PutParameter"`) {
					t.Errorf("%s calls another Region: %s", id, create)
				}
			}
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%s:\n%s\nwant\n%s", env, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
}
