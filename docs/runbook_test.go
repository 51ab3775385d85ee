package docs

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"payments-dr/constructs"
	"payments-dr/internal/assembly"
	"payments-dr/internal/payment/telemetry"
	"payments-dr/internal/settings"
	"payments-dr/stacks"
	"payments-dr/stacks/stackstest"
)

// The tests below compare docs/operate/runbook.md with what it describes. They run its blocks in bash, with stand-ins for every program
// that would reach out, and look at what these were called with: names are compared with the dev environment's templates, actions with
// the roles in them, options with AWS's own list. They cannot know what AWS would answer.

const (
	runbookFile = "docs/operate/runbook.md"
	// operationsFile is AWS's list of the operations that the runbook calls, with their options; scripts/aws-operations writes it.
	operationsFile = "docs/testdata/aws-operations.json"
	bashTimeout    = 30 * time.Second
)

// The people who paste, as the first line of each block names them.
const (
	anybody       = "anybody"
	operator      = "operator"
	approver      = "approver"
	administrator = "administrator"
)

// block is one fenced block of shell.
type block struct {
	// heading is the nearest one above, and chapter the nearest of the second level.
	heading, chapter string
	// who pastes it, in whose terminal. It is pasted with their own credentials if it makes them that person.
	who     string
	becomes bool
	// given are variables that the first line says come from somebody else.
	given []string
	text  string
	line  int
}

func (b block) String() string { return fmt.Sprintf("%s:%d (%s)", runbookFile, b.line, b.heading) }

var (
	firstLine = regexp.MustCompile(`^# (?:(Anybody)|The (operator|approver)|(?:An (administrator))|Yourself, to become the (operator|approver))\b`)
	givenLine = regexp.MustCompile(`with ([A-Z_]+(?:(?:, | and )[A-Z_]+)*) from the`)
)

func readRunbook(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile(runbookFile)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func runbookBlocks(t *testing.T) []block {
	t.Helper()
	var all []block
	var heading, chapter, indent string
	var open *block
	other := false
	for i, line := range strings.Split(readRunbook(t), "\n") {
		trimmed := strings.TrimSpace(line)
		switch {
		case open != nil && trimmed == "```":
			m := firstLine.FindStringSubmatch(open.text)
			if m == nil {
				t.Fatalf("%v: the first line does not say who pastes it", open)
			}
			open.who, open.becomes = strings.ToLower(m[1]+m[2]+m[3]+m[4]), m[4] != ""
			first, _, _ := strings.Cut(open.text, "\n")
			if g := givenLine.FindStringSubmatch(first); g != nil {
				open.given = regexp.MustCompile(`[A-Z_]+`).FindAllString(g[1], -1)
			}
			all, open = append(all, *open), nil
		case open != nil:
			open.text += strings.TrimPrefix(line, indent) + "\n"
		case other:
			other = trimmed != "```"
		case trimmed == "```bash":
			indent = line[:strings.Index(line, "`")]
			open = &block{heading: heading, chapter: chapter, line: i + 1}
		case strings.HasPrefix(trimmed, "```"):
			other = true
		case strings.HasPrefix(line, "#"):
			heading = strings.TrimLeft(line, "# ")
			if strings.HasPrefix(line, "## ") {
				chapter = heading
			}
		}
	}
	if len(all) < 20 {
		t.Fatalf("%d blocks", len(all))
	}
	return all
}

// call is what a stand-in was asked.
type call struct {
	block block
	// program and arguments; input is what it was handed, if it asked for it.
	program   string
	arguments []string
	input     string
}

func (c call) String() string {
	return fmt.Sprintf("%v: %s %s", c.block, c.program, strings.Join(c.arguments, " "))
}

// standIn writes down what it is asked, and answers with something of the right shape.
const standIn = `#!%s
program="${0##*/}" input=
case " $* " in *" file:///dev/stdin "*) input=$(cat) ;; esac
printf '%%s\0' "$BLOCK" "$program" "$input" "$#" "$@" >>"$CALLS"
case "$program" in
aws)
	if [ "$2" = invoke ] || [ "$2" = get-object ]; then printf '{}' >"${!#}"; fi
	echo "stub stub stub" ;;
curl) printf 'HTTP/2 200\r\nx-region: us-west-2\r\n' ;;
dig) echo 192.0.2.1 ;;
esac
`

// terminal runs blocks one after the other in one bash, as somebody would who pastes them, and returns what was asked. Variables
// of dev are as the runbook's own first block has them; extra is set after it.
func terminal(t *testing.T, blocks []block, extra string) []call {
	t.Helper()
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("there is no bash here")
	}
	dir := t.TempDir()
	bin := filepath.Join(dir, "bin")
	if err := os.Mkdir(bin, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, program := range []string{"aws", "curl", "dig", "dr", "make", "npx"} {
		if err := os.WriteFile(filepath.Join(bin, program), fmt.Appendf(nil, standIn, bash), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for _, program := range []string{"cat", "date", "grep", "head", "id"} { // that reach nowhere
		path, err := exec.LookPath(program)
		if err == nil {
			err = os.Symlink(path, filepath.Join(bin, program))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	script := "set -u\n"
	for i, b := range blocks {
		for _, name := range b.given {
			script += name + "=given\n"
		}
		script += fmt.Sprintf("export BLOCK=%d\n%s", i, b.text)
		if b.who == anybody && strings.Contains(b.text, "ENV=") {
			script += extra + "\n"
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), bashTimeout)
	defer cancel()
	command := exec.CommandContext(ctx, bash, "-c", script)
	command.Dir = dir
	calls := filepath.Join(dir, "calls")
	command.Env = []string{"PATH=" + bin, "HOME=" + dir, "CALLS=" + calls}
	var complaints bytes.Buffer
	command.Stderr = &complaints
	if err := command.Run(); err != nil || complaints.Len() > 0 {
		t.Errorf("%v, run with what is before it: %v\n%s", blocks[len(blocks)-1], err, &complaints)
	}
	data, err := os.ReadFile(calls)
	if err != nil {
		return nil // nothing was asked
	}
	var asked []call
	words := strings.Split(strings.TrimSuffix(string(data), "\x00"), "\x00")
	for len(words) >= 4 {
		index, err := strconv.Atoi(words[0])
		n, err2 := strconv.Atoi(words[3])
		if err != nil || err2 != nil {
			t.Fatalf("unreadable record %q", words[:4])
		}
		asked = append(asked, call{block: blocks[index], program: words[1], input: words[2], arguments: words[4 : 4+n]})
		words = words[4+n:]
	}
	return asked
}

// runbookCalls runs every block in the terminal of whoever pastes it: after the set-up, and after what stands above it below the
// same heading. So a variable that comes from another chapter, or out of another person's terminal, is unset and found.
func runbookCalls(t *testing.T) []call {
	t.Helper()
	all := runbookBlocks(t)
	isSetUp := func(b block) bool { return b.heading == "Set up" }
	var calls []call
	done := map[string]bool{}
	for _, b := range all {
		key := b.heading + "/" + b.who
		if done[key] {
			continue
		}
		done[key] = true
		var session []block
		for _, s := range all {
			if mine := s.who == b.who || s.who == anybody; mine && (isSetUp(s) || s.chapter == b.chapter && s.heading == b.heading) {
				session = append(session, s)
			}
		}
		for _, c := range terminal(t, session, "") {
			if isSetUp(c.block) == isSetUp(b) && c.block.who == b.who {
				calls = append(calls, c)
			}
		}
	}
	if len(calls) < 50 {
		t.Fatalf("%d calls", len(calls))
	}
	return calls
}

// operation is one of AWS's, as the CLI takes it.
type operation struct {
	Action  string
	Options map[string]struct {
		Type     string
		Allowed  []string
		Required bool
	}
	Output     []string
	WritesFile bool
}

func readOperations(t *testing.T) map[string]operation {
	t.Helper()
	data, err := os.ReadFile(operationsFile)
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Operations map[string]operation }
	if err := json.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	return file.Operations
}

// globalOptions are the CLI's own, each with one value ("Command line options in the AWS CLI", AWS CLI User Guide).
var globalOptions = []string{"region", "query", "output", "endpoint-url", "cli-read-timeout", "cli-binary-format"}

// parsed is a call of the AWS CLI.
type parsed struct {
	call
	// name is the service and the operation.
	name    string
	options map[string][]string
	files   []string
}

func (p parsed) option(name string) string { return strings.Join(p.options[name], " ") }

// parse reads a call as the CLI would, and says what it would refuse.
func parse(c call, operations map[string]operation) (parsed, error) {
	p := parsed{call: c, options: map[string][]string{}}
	if len(c.arguments) < 2 {
		return p, fmt.Errorf("no operation")
	}
	p.name = c.arguments[0] + " " + c.arguments[1]
	operation, ok := operations[p.name]
	if !ok {
		return p, fmt.Errorf("%s is not in %s: misspelt, or scripts/aws-operations %[1]s", p.name, operationsFile)
	}
	rest := c.arguments[2:]
	for len(rest) > 0 {
		name, isOption := strings.CutPrefix(rest[0], "--")
		if !isOption {
			p.files, rest = append(p.files, rest[0]), rest[1:]
			continue
		}
		rest = rest[1:]
		kind, known := "string", slices.Contains(globalOptions, name)
		option, own := operation.Options[name]
		if own {
			kind = option.Type
		} else if positive, negated := strings.CutPrefix(name, "no-"); negated && operation.Options[positive].Type == "boolean" {
			kind, own = "boolean", true
		}
		if !own && !known {
			return p, fmt.Errorf("there is no option --%s", name)
		}
		if _, twice := p.options[name]; twice {
			return p, fmt.Errorf("--%s is given twice", name)
		}
		n := 0
		switch kind {
		case "boolean":
		case "list":
			for n < len(rest) && !strings.HasPrefix(rest[n], "--") {
				n++
			}
			if n == 0 {
				return p, fmt.Errorf("--%s has no value", name)
			}
		default:
			if n = 1; len(rest) == 0 || strings.HasPrefix(rest[0], "--") || rest[0] == "" {
				return p, fmt.Errorf("--%s has no value", name)
			}
		}
		p.options[name], rest = rest[:n], rest[n:]
		for _, value := range p.options[name] {
			if len(option.Allowed) > 0 && !slices.Contains(option.Allowed, value) {
				return p, fmt.Errorf("--%s is %s; allowed are %v", name, value, option.Allowed)
			}
			if _, err := strconv.Atoi(value); kind == "integer" && err != nil {
				return p, fmt.Errorf("--%s is %s, which is no whole number", name, value)
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(operation.Options)) {
		if _, given := p.options[name]; operation.Options[name].Required && !given {
			return p, fmt.Errorf("--%s is missing", name)
		}
	}
	if want := map[bool]int{true: 1}[operation.WritesFile]; len(p.files) != want {
		return p, fmt.Errorf("words that belong to no option: %q", p.files)
	}
	for _, member := range asksFor(p.option("query")) {
		if !slices.Contains(operation.Output, member) {
			return p, fmt.Errorf("--query asks for %s; the answer has %v", member, operation.Output)
		}
	}
	return p, nil
}

var (
	firstMember = regexp.MustCompile(`^(?:[a-z_]+\()?([A-Za-z]+)`)
	multiHash   = regexp.MustCompile(`^[A-Za-z]+:(.*)$`)
)

// asksFor are the members of the answer that a JMESPath expression begins from.
func asksFor(query string) []string {
	if query == "" {
		return nil
	}
	var expressions []string
	if query[0] == '[' || query[0] == '{' {
		depth, from := 0, 1
		for i, c := range query {
			switch c {
			case '[', '{', '(':
				depth++
			case ']', '}', ')':
				depth--
			}
			if (c == ',' && depth == 1) || (depth == 0 && i > from) {
				expressions = append(expressions, strings.TrimSpace(query[from:i]))
				from = i + 1
			}
		}
	} else {
		expressions = []string{query}
	}
	var members []string
	for _, e := range expressions {
		if m := multiHash.FindStringSubmatch(e); m != nil && query[0] == '{' {
			e = m[1]
		}
		if m := firstMember.FindStringSubmatch(e); m != nil {
			members = append(members, m[1])
		}
	}
	return members
}

func runbookCommands(t *testing.T) []parsed {
	t.Helper()
	operations := readOperations(t)
	var all []parsed
	used := map[string]bool{}
	for _, c := range runbookCalls(t) {
		if c.program != "aws" {
			continue
		}
		p, err := parse(c, operations)
		if err != nil {
			t.Errorf("%v\n\t%v", c, err)
			continue
		}
		used[p.name] = true
		all = append(all, p)
	}
	for name := range operations {
		if !used[name] && !t.Failed() {
			t.Errorf("%s is in %s and not in the runbook", name, operationsFile)
		}
	}
	return all
}

// physicalNames are the properties that hold a resource's physical name.
var physicalNames = map[string]string{
	"AWS::ApiGateway::RestApi": "Name", "AWS::ARCRegionSwitch::Plan": "Name", "AWS::CloudWatch::Alarm": "AlarmName",
	"AWS::DynamoDB::GlobalTable": "TableName", "AWS::Events::Archive": "ArchiveName", "AWS::Events::EventBus": "Name", "AWS::Events::Rule": "Name",
	"AWS::IAM::Role": "RoleName", "AWS::KMS::Alias": "AliasName", "AWS::Lambda::Function": "FunctionName", "AWS::Logs::LogGroup": "LogGroupName",
	"AWS::RDS::DBCluster": "DBClusterIdentifier", "AWS::RDS::DBClusterParameterGroup": "DBClusterParameterGroupName",
	"AWS::RDS::DBInstance": "DBInstanceIdentifier", "AWS::RDS::DBSubnetGroup": "DBSubnetGroupName", "AWS::RDS::GlobalCluster": "GlobalClusterIdentifier",
	"AWS::SecretsManager::Secret": "Name", "AWS::SQS::Queue": "QueueName", "AWS::SSM::Parameter": "Name",
}

// inventory are the physical names of an environment, by type and Region.
type inventory map[string]map[string][]string

func (i inventory) add(kind, region, name string) {
	if i[kind] == nil {
		i[kind] = map[string][]string{}
	}
	if !slices.Contains(i[kind][region], name) {
		i[kind][region] = append(i[kind][region], name)
	}
}

func (i inventory) has(kind, region, name string) bool { return slices.Contains(i[kind][region], name) }

// everywhere is whether any resource has the name.
func (i inventory) everywhere(name string) bool {
	for kind := range i {
		for _, names := range i[kind] {
			if slices.Contains(names, name) {
				return true
			}
		}
	}
	return false
}

func inventoryOf(t *testing.T, env string) inventory {
	t.Helper()
	all := inventory{}
	s := stackstest.Assembly(t, env).Settings
	for _, role := range []string{stacks.RolePrimary, stacks.RoleSecondary, stacks.RoleGlobal} {
		v := stackstest.ViewOf(t, env, role)
		regions := []string{v.Stack.Region}
		all.add("stack", v.Stack.Region, v.Stack.Name)
		for _, resource := range v.Stack.Template.Resources {
			name, ok := resource.Properties[physicalNames[resource.Type]].(string)
			if !ok {
				continue
			}
			in := regions
			switch resource.Type {
			case "AWS::IAM::Role", "AWS::RDS::GlobalCluster", "AWS::ARCRegionSwitch::Plan", "AWS::DynamoDB::GlobalTable", "AWS::SecretsManager::Secret":
				in = []string{s.Regions.Primary.Name, s.Regions.Secondary.Name} // global, or with a replica there
			}
			for _, region := range in {
				all.add(resource.Type, region, name)
			}
		}
		for _, custom := range v.Of("Custom::AWS") {
			var written struct {
				Region     string
				Parameters struct{ Name string }
			}
			if err := json.Unmarshal([]byte(stackstest.Flatten(custom.Properties["Create"])), &written); err != nil {
				t.Fatal(err)
			}
			all.add("AWS::SSM::Parameter", written.Region, written.Parameters.Name)
		}
	}
	return all
}

// runbookVariable is what the runbook's first block sets.
func runbookVariable(t *testing.T, name string) string {
	t.Helper()
	for _, line := range strings.Split(runbookBlocks(t)[0].text, "\n") {
		if value, ok := strings.CutPrefix(line, name+"="); ok {
			return value
		}
	}
	t.Fatalf("the first block does not set %s", name)
	return ""
}

func TestRunbookBlocksAreBash(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("there is no bash here")
	}
	for _, b := range runbookBlocks(t) {
		command := exec.Command(bash, "-n")
		command.Stdin = strings.NewReader(b.text)
		if output, err := command.CombinedOutput(); err != nil {
			t.Errorf("%v: %s", b, output)
		}
		// A placeholder would be pasted as it is, and a shell takes it for a redirection.
		if m := regexp.MustCompile(`<[a-z][^<>()\n]*>`).FindString(b.text); m != "" {
			t.Errorf("%v: %s has to be filled in", b, m)
		}
	}
}

// The defaults of the first block are those of the dev environment, which the other tests stand on.
func TestRunbookStartsFromDev(t *testing.T) {
	s := stackstest.Assembly(t, stackstest.Dev).Settings
	for name, want := range map[string]string{
		"ENV": stackstest.Dev, "TO": s.Regions.Secondary.Name, "FROM": s.Regions.Primary.Name, "API": s.APIName(), "ACCOUNT": settings.PlaceholderAccount,
	} {
		if got := runbookVariable(t, name); got != want {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
}

func TestRunbookCommandsAreAWSs(t *testing.T) {
	steps := []string{constructs.StepApprove, constructs.StepPromote, constructs.StepStartLedger, constructs.StepReconcile,
		constructs.StepTraffic, constructs.StepStopLedger}
	for _, p := range runbookCommands(t) {
		if step, ok := p.options["step-name"]; ok && !slices.Contains(steps, step[0]) {
			t.Errorf("%v\n\tthe plan's steps are %q", p, steps)
		}
		if strings.HasSuffix(p.name, "approve-plan-execution-step") && p.option("step-name") != constructs.StepApprove {
			t.Errorf("%v\n\tthat step is not for approval", p)
		}
		if p.name == "lambda invoke" {
			var payload map[string]any
			if err := json.Unmarshal([]byte(p.option("payload")), &payload); err != nil {
				t.Errorf("%v\n\tpayload: %v", p, err)
			}
			for key := range payload { // functions/reconcile
				if !slices.Contains([]string{"from", "to", "windowMinutes", "dryRun", "scheduled"}, key) {
					t.Errorf("%v\n\tthe function does not know %s", p, key)
				}
			}
			// The CLI gives up after a minute otherwise, and asks again.
			if p.option("cli-read-timeout") != "930" || p.option("cli-binary-format") != "raw-in-base64-out" {
				t.Errorf("%v\n\tit does not wait for the function's 15 minutes", p)
			}
		}
	}
}

// In production the sign-in hands over the second factor, and elsewhere not.
func TestRunbookSignsInWithASecondFactor(t *testing.T) {
	const device = "arn:aws:iam::000000000000:mfa/somebody"
	operations := readOperations(t)
	for _, who := range []string{operator, approver} {
		var session []block
		for _, b := range runbookBlocks(t) {
			if b.heading == "Set up" && (b.who == who && b.becomes || b.who == anybody) {
				session = append(session, b)
			}
		}
		for extra, want := range map[string][2]string{"": {}, "MFA_DEVICE=" + device + " MFA_CODE=123456": {device, "123456"}} {
			assumed := false
			for _, c := range terminal(t, session, extra) {
				p, err := parse(c, operations)
				if err != nil {
					t.Errorf("%v\n\t%v", c, err)
				} else if p.name == "sts assume-role" {
					assumed = true
					if got := [2]string{p.option("serial-number"), p.option("token-code")}; got != want {
						t.Errorf("%v\n\tsecond factor %q, want %q", c, got, want)
					}
				}
				if region := p.option("region"); p.option("endpoint-url") != "https://sts."+region+".amazonaws.com" {
					t.Errorf("%v\n\tis not asked of the Region's own endpoint", c)
				}
			}
			if !assumed {
				t.Errorf("the %s does not sign in", who)
			}
		}
	}
}

var (
	awsCommand   = regexp.MustCompile(`(^|[\s(])aws [a-z0-9-]+ [a-z]`)
	regionOption = regexp.MustCompile(`--region (\S+)`)
)

// Everything is asked of the Region that is to be the writer. What is not says so on the line before, and no role but an
// administrator's could do it.
func TestRunbookAsksTheSurvivingRegion(t *testing.T) {
	for _, b := range runbookBlocks(t) {
		lines := strings.Split(b.text, "\n")
		for i := 0; i < len(lines); i++ {
			if strings.HasPrefix(lines[i], "#") || !awsCommand.MatchString(lines[i]) {
				continue
			}
			start, command := i, lines[i]
			for strings.HasSuffix(lines[i], `\`) {
				i++
				command += "\n" + lines[i]
			}
			options := regionOption.FindAllStringSubmatch(command, -1)
			if len(options) != 1 {
				t.Errorf("%v: %d Regions for %s", b, len(options), lines[start])
				continue
			}
			region := options[0][1]
			if region == `"$TO"` {
				continue
			}
			for start > 0 && strings.HasSuffix(lines[start-1], `\`) {
				start--
			}
			said := strings.Trim(region, `"$`)
			if start == 0 || !strings.HasPrefix(strings.TrimSpace(lines[start-1]), "# "+said) {
				t.Errorf("%v: %s is asked of %s, and the line before does not say so", b, lines[start], said)
			}
			if b.who != administrator {
				t.Errorf("%v: the %s may not ask %s", b, b.who, said)
			}
		}
	}
	s := stackstest.Assembly(t, stackstest.Dev).Settings
	for _, p := range runbookCommands(t) {
		if region := p.option("region"); region != s.Regions.Secondary.Name && p.block.who != administrator {
			t.Errorf("%v\n\tis asked of %s", p, region)
		}
	}
}

// Each person may do what the runbook tells them, with the role that the templates give them, and an administrator is called only
// for what the others may not.
func TestRunbookAsksOfEachWhatTheyMay(t *testing.T) {
	collect := func(role, name string) map[string]bool {
		v := stackstest.ViewOf(t, stackstest.Dev, role)
		_, id := stackstest.RoleNamed(t, v, name)
		actions := map[string]bool{}
		for _, statement := range v.Statements()[id] {
			for _, action := range stackstest.ActionsOf(statement) {
				actions[action] = true
			}
		}
		return actions
	}
	s := stackstest.Assembly(t, stackstest.Dev).Settings
	allowed := map[string]map[string]bool{
		operator: collect(stacks.RoleSecondary, constructs.OperatorRoleName(&s, s.Regions.Secondary)),
		approver: collect(stacks.RoleGlobal, constructs.ApproverRoleName(&s)),
	}
	if other := collect(stacks.RolePrimary, constructs.OperatorRoleName(&s, s.Regions.Primary)); !maps.Equal(other, allowed[operator]) {
		t.Errorf("the operators of the two Regions may do different things: %v, %v", allowed[operator], other)
	}
	operations := readOperations(t)
	needed, asked := map[int]bool{}, map[int]block{}
	for _, p := range runbookCommands(t) {
		action := operations[p.name].Action
		if strings.HasPrefix(action, "sts:") && (p.block.becomes || action == "sts:GetCallerIdentity") {
			continue // with one's own credentials; the second takes no permission
		}
		switch p.block.who {
		case operator, approver:
			if !allowed[p.block.who][action] {
				t.Errorf("%v\n\tthe %s may not %s", p, p.block.who, action)
			}
		case administrator:
			asked[p.block.line] = p.block
			needed[p.block.line] = needed[p.block.line] || !allowed[operator][action] || p.option("region") != s.Regions.Secondary.Name
		default:
			t.Errorf("%v\n\tneeds a role", p)
		}
	}
	for line, b := range asked {
		if !needed[line] {
			t.Errorf("%v: the operator may do this", b)
		}
	}
}

var (
	platformName = regexp.MustCompile(`[A-Za-z/-]*payments?[-/][A-Za-z0-9/-]+`)
	dnsName      = regexp.MustCompile(`[a-z0-9.-]+\.dev\.payments\.example\.com`)
	arnForm      = regexp.MustCompile(`^arn:aws:(rds|sqs|iam):([a-z0-9-]*):([0-9]{12}):(?:cluster:|role/)?(.+)$`)
	queueURL     = regexp.MustCompile(`^https://sqs\.([a-z0-9-]+)\.amazonaws\.com/([0-9]{12})/(.+)$`)
)

// Every name in a command is in the templates, as what the option takes and in the Region that is asked.
func TestRunbookNamesWhatThereIs(t *testing.T) {
	names := inventoryOf(t, stackstest.Dev)
	s := stackstest.Assembly(t, stackstest.Dev).Settings
	account := runbookVariable(t, "ACCOUNT")
	isIn := func(c call, kind, region, name string) {
		t.Helper()
		if !names.has(kind, region, name) {
			t.Errorf("%v\n\tthere is no %s %s in %s, but %v", c, kind, name, region, names[kind][region])
		}
	}
	arn := func(c call, kind, region, value string) {
		t.Helper()
		m := arnForm.FindStringSubmatch(value)
		if m == nil || (m[2] != region && kind != "AWS::IAM::Role") || m[3] != account {
			t.Errorf("%v\n\t%s is no ARN in %s of %s", c, value, region, account)
			return
		}
		isIn(c, kind, region, m[4])
	}
	// New names, which must not be those of something that is there.
	created := map[string]string{"rds restore-db-cluster-from-snapshot": "db-cluster-identifier", "rds copy-db-cluster-snapshot": "target-db-cluster-snapshot-identifier"}
	for _, p := range runbookCommands(t) {
		region := p.option("region")
		isNew := created[p.name]
		for option, kind := range map[string]string{
			"function-name": "AWS::Lambda::Function", "db-cluster-identifier": "AWS::RDS::DBCluster", "global-cluster-identifier": "AWS::RDS::GlobalCluster",
			"log-group-name": "AWS::Logs::LogGroup", "db-subnet-group-name": "AWS::RDS::DBSubnetGroup",
			"db-cluster-parameter-group-name": "AWS::RDS::DBClusterParameterGroup", "name": "AWS::SSM::Parameter",
		} {
			if value, ok := p.options[option]; ok && option != isNew {
				isIn(p.call, kind, region, value[0])
			}
		}
		for option, kind := range map[string]string{
			"target-db-cluster-identifier": "AWS::RDS::DBCluster", "event-source-arn": "AWS::SQS::Queue", "source-arn": "AWS::SQS::Queue", "role-arn": "AWS::IAM::Role",
		} {
			if value, ok := p.options[option]; ok {
				arn(p.call, kind, region, value[0])
			}
		}
		if value, ok := p.options["queue-url"]; ok {
			m := queueURL.FindStringSubmatch(value[0])
			if m == nil || m[1] != region || m[2] != account {
				t.Errorf("%v\n\t%s is no queue in %s of %s", p, value[0], region, account)
			} else {
				isIn(p.call, "AWS::SQS::Queue", region, m[3])
			}
		}
		if p.name == "cloudwatch get-metric-data" {
			metricsAre(t, p, names, &s)
		}
		if prefix, ok := p.options["alarm-name-prefix"]; ok && !slices.ContainsFunc(names["AWS::CloudWatch::Alarm"][region], func(name string) bool {
			return strings.HasPrefix(name, prefix[0])
		}) {
			t.Errorf("%v\n\tno alarm begins like that", p)
		}
		if isNew != "" {
			live := constructs.ClusterIdentifier(&s, s.Other(s.Regions.Secondary))
			if name := p.option(isNew); !strings.HasPrefix(name, live+"-") || names.everywhere(name) {
				t.Errorf("%v\n\t%s is there already, or does not say whose it is", p, name)
			}
		}
	}

	zone := map[string]bool{}
	for _, group := range stackstest.ViewOf(t, stackstest.Dev, stacks.RoleGlobal).Of("AWS::Route53::RecordSetGroup") {
		for _, record := range assembly.List(group.Properties["RecordSets"]) {
			zone[fmt.Sprint(assembly.At(record, "Name"))] = true
		}
	}
	for _, c := range runbookCalls(t) {
		for _, part := range append(slices.Clone(c.arguments), c.input) {
			for _, name := range platformName.FindAllString(part, -1) {
				newName := slices.ContainsFunc([]string{"-restore-failover", "-failover-"}, func(s string) bool { return strings.Contains(name, s) })
				isPrefix := slices.Contains(c.arguments, "--alarm-name-prefix") && name == "payment-dev-"
				if !newName && !isPrefix && !names.everywhere(strings.TrimPrefix(name, "role/")) && !names.everywhere(name[strings.LastIndex(name, "/")+1:]) {
					t.Errorf("%v\n\tnothing is called %s", c, name)
				}
			}
			for _, name := range dnsName.FindAllString(part, -1) {
				if !zone[name] {
					t.Errorf("%v\n\tthe zone has no %s", c, name)
				}
			}
		}
	}
}

// metricsAre checks a request for metrics: those of the queues and functions that are there, under the names that they count by.
func metricsAre(t *testing.T, p parsed, names inventory, s *settings.Settings) {
	t.Helper()
	var queries []struct {
		Id, Label, Expression string
		MetricStat            struct {
			Stat   string
			Period int
			Metric struct {
				Namespace, MetricName string
				Dimensions            []struct{ Name, Value string }
			}
		}
	}
	decoder := json.NewDecoder(strings.NewReader(p.input))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&queries); err != nil || len(queries) == 0 {
		t.Errorf("%v\n\t%v in %s", p, err, p.input)
	}
	counted := map[string]string{
		telemetry.MetricLedgerRecorded: "ledger", telemetry.MetricLedgerUnavailable: "ledger", telemetry.MetricReconcileMissing: "reconcile",
		telemetry.MetricReconcileRepaired: "reconcile", telemetry.MetricReconcileConflicting: "reconcile", telemetry.MetricReconcileUnaccounted: "reconcile",
	}
	for _, q := range queries {
		m := q.MetricStat.Metric
		switch {
		case q.Expression != "":
			if want := `DBClusterIdentifier="` + constructs.ClusterIdentifier(s, s.Regions.Secondary) + `"`; !strings.Contains(q.Expression, want) {
				t.Errorf("%v\n\t%s does not ask for %s", p, q.Expression, want)
			}
		case q.MetricStat.Period != 60 || q.MetricStat.Stat == "" || len(m.Dimensions) != 1:
			t.Errorf("%v\n\t%+v", p, q)
		case m.Namespace == "AWS/SQS":
			if m.Dimensions[0].Name != "QueueName" || !names.has("AWS::SQS::Queue", p.option("region"), m.Dimensions[0].Value) {
				t.Errorf("%v\n\tno queue %+v", p, m)
			}
		case m.Namespace == constructs.MetricsNamespace(s):
			if m.Dimensions[0].Name != telemetry.DimensionFunction || counted[m.MetricName] != m.Dimensions[0].Value {
				t.Errorf("%v\n\tnobody counts %+v", p, m)
			}
		default:
			t.Errorf("%v\n\tnobody counts %+v", p, m)
		}
	}
}

// The appendix names all there is of what a command could be about, and nothing else.
func TestRunbookAppendixIsComplete(t *testing.T) {
	names := inventoryOf(t, stackstest.Dev)
	s := stackstest.Assembly(t, stackstest.Dev).Settings
	_, appendix, ok := strings.Cut(readRunbook(t), "## 11. Names")
	if !ok {
		t.Fatal("there is no appendix")
	}
	inAppendix := map[string]bool{}
	for _, row := range strings.Split(appendix, "\n") {
		cells := strings.Split(row, "|")
		if len(cells) != 5 {
			continue
		}
		for _, m := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(cells[2], -1) {
			for _, region := range s.Both() {
				name := strings.NewReplacer("<env>", stackstest.Dev, "<region>", region.Name).Replace(m[1])
				inAppendix[name] = true
				if !names.everywhere(name) {
					t.Errorf("nothing is called %s", name)
				}
			}
		}
	}
	for _, kind := range []string{
		"stack", "AWS::ARCRegionSwitch::Plan", "AWS::DynamoDB::GlobalTable", "AWS::Events::EventBus", "AWS::Events::Rule", "AWS::IAM::Role",
		"AWS::KMS::Alias", "AWS::Lambda::Function", "AWS::RDS::DBCluster", "AWS::RDS::GlobalCluster", "AWS::SecretsManager::Secret",
		"AWS::SQS::Queue", "AWS::SSM::Parameter",
	} {
		if len(names[kind]) == 0 {
			t.Errorf("no %s in the templates", kind)
		}
		for region := range names[kind] {
			for _, name := range names[kind][region] {
				if !inAppendix[name] {
					t.Errorf("%s: %s is not in the appendix of %s", kind, name, runbookFile)
				}
			}
		}
	}
}

// The table of steps has the plan's steps, in its order and with its limits.
func TestRunbookKnowsThePlan(t *testing.T) {
	var rows [][2]string // step, limit
	for _, line := range strings.Split(readRunbook(t), "\n") {
		if cells := strings.Split(line, "|"); len(cells) == 6 {
			if name := strings.TrimSpace(cells[1]); strings.HasPrefix(name, "`") {
				rows = append(rows, [2]string{strings.Trim(name, "`"), strings.TrimSpace(cells[3])})
			}
		}
	}
	_, plan := stackstest.ViewOf(t, stackstest.Dev, stacks.RoleGlobal).One(t, "AWS::ARCRegionSwitch::Plan")
	steps := assembly.List(assembly.At(assembly.List(plan.Properties["Workflows"])[0], "Steps"))
	configurations := stackstest.Blocks(steps)
	limit := func(name string) string { return stackstest.Text(configurations[name]["TimeoutMinutes"]) }
	want := [][2]string{}
	for _, name := range []string{constructs.StepApprove, constructs.StepPromote, constructs.StepStartLedger} {
		want = append(want, [2]string{name, limit(name)})
	}
	want = append(want, [2]string{constructs.StepFinish, ""})
	for _, name := range []string{constructs.StepReconcile, constructs.StepTraffic, constructs.StepStopLedger} {
		want = append(want, [2]string{name, limit(name)})
	}
	if !slices.Equal(rows, want) {
		t.Errorf("the runbook's steps are\n%q, the plan's are\n%q", rows, want)
	}
	var named []string
	for _, s := range steps {
		named = append(named, fmt.Sprint(assembly.At(s, "Name")))
	}
	stackstest.Same(t, "the plan's own steps", named, []string{constructs.StepApprove, constructs.StepPromote, constructs.StepStartLedger, constructs.StepFinish})
}

// A setting that the text names exists, and the number behind it is what is shipped.
func TestRunbookKnowsTheSettings(t *testing.T) {
	var known map[string]any
	if err := json.Unmarshal([]byte(stackstest.Text(stackstest.Assembly(t, stackstest.Dev).Settings)), &known); err != nil {
		t.Fatal(err)
	}
	runbook, found := readRunbook(t), 0
	for _, m := range regexp.MustCompile("`([a-z]+(?:\\.[a-zA-Z]+)+)`(?: \\(([0-9]+)\\))?").FindAllStringSubmatch(runbook, -1) {
		var value any = known
		for _, key := range strings.Split(m[1], ".") {
			value = assembly.At(value, key)
		}
		switch {
		case strings.HasSuffix(m[1], ".amazonaws.com"):
		case value == nil:
			t.Errorf("there is no setting %s", m[1])
		case m[2] != "" && fmt.Sprint(value) != m[2]:
			t.Errorf("%s is %v, and not %s", m[1], value, m[2])
		default:
			found++
		}
	}
	if found < 10 {
		t.Errorf("%d settings", found)
	}
	s := stackstest.Assembly(t, stackstest.Dev).Settings
	for _, sentence := range []string{
		fmt.Sprintf("Each is up to %d minutes of the plan", s.Recovery.LongestWay()),
		fmt.Sprintf("with a plan that may take %d", s.Recovery.LongestWay()),
	} {
		if !strings.Contains(runbook, sentence) {
			t.Errorf("the runbook does not say %q", sentence)
		}
	}
}

// Messages go to the ledger's dead letters after as many attempts as the template says, each a visibility timeout apart.
func TestRunbookKnowsHowLongTheLedgerTries(t *testing.T) {
	var queue assembly.Resource
	for _, q := range stackstest.ViewOf(t, stackstest.Dev, stacks.RolePrimary).Of("AWS::SQS::Queue") {
		if q.Properties["QueueName"] == "payment-dev-ledger" {
			queue = q
		}
	}
	attempts, _ := assembly.At(queue.Properties["RedrivePolicy"], "maxReceiveCount").(float64)
	visibility, _ := queue.Properties["VisibilityTimeout"].(float64)
	if hours := time.Duration(attempts*visibility) * time.Second; hours.Round(time.Hour) != 2*time.Hour {
		t.Errorf("it tries for %v; the runbook says two hours", hours)
	}
	if n := strings.Count(readRunbook(t), "two hours"); n < 3 {
		t.Errorf("the runbook says two hours %d times", n)
	}
}

func TestRunbookLinksLeadSomewhere(t *testing.T) {
	runbook := readRunbook(t)
	anchors := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(runbook, -1) {
		anchor := strings.ToLower(regexp.MustCompile(`[^\w\- ]`).ReplaceAllString(m[1], ""))
		anchors[strings.ReplaceAll(anchor, " ", "-")] = true
	}
	links := regexp.MustCompile(`\]\(#([^)]*)\)`).FindAllStringSubmatch(runbook, -1)
	for _, m := range links {
		if !anchors[m[1]] {
			t.Errorf("there is no heading for #%s", m[1])
		}
	}
	if len(links) < 20 {
		t.Errorf("%d links", len(links))
	}
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(readme), "]("+runbookFile+")") {
		t.Error("the README does not lead to the runbook")
	}
}

// TestRunbookBeginsWithTheTool holds what is done at night to begin with the operator's tool, on the environment and towards the
// Region that are meant. That its commands and flags exist is a test of cmd/dr.
func TestRunbookBeginsWithTheTool(t *testing.T) {
	begun := map[string]bool{}
	for _, b := range runbookBlocks(t) {
		for _, chapter := range []string{"2. Look", "3. Planned move", "4. Unplanned failover", "5. Failback and deployments", "6. When the plan itself fails", "7. Two writers"} {
			if b.chapter == chapter && !begun[chapter] {
				begun[chapter] = true
				if !strings.Contains(b.text, "\ndr ") {
					t.Errorf("%v: chapter %q does not begin with the tool", b, chapter)
				}
			}
		}
	}
	if len(begun) != 6 {
		t.Errorf("chapters with blocks: %v", begun)
	}
	asked := map[string]string{}
	for _, c := range runbookCalls(t) {
		if c.program != "dr" {
			continue
		}
		line := strings.Join(c.arguments, " ")
		asked[c.arguments[0]] = line
		if !strings.Contains(line, " --env dev") {
			t.Errorf("%v: not for the environment that was set up", c)
		}
		if c.arguments[0] == "failover" && !strings.Contains(line, " --to us-west-2") {
			t.Errorf("%v: not to the Region that was set up", c)
		}
		if strings.Contains(line, "--yes") {
			t.Errorf("%v: nobody is asked", c)
		}
		// The other Region's role is another one; who is on call has this one.
		if c.arguments[0] != "status" && c.block.who != operator {
			t.Errorf("%v: is not the operator's", c)
		}
	}
	for _, command := range []string{"status", "failover", "failback", "watch-plan"} {
		if asked[command] == "" {
			t.Errorf("dr %s is in no block", command)
		}
	}
}
