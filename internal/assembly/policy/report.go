package policy

import (
	"cmp"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"payments-dr/internal/assembly"
)

// What cdk-nag's reports say of a rule on a resource. A rule that does not apply to a resource is not in them.
const (
	compliant    = "Compliant"
	suppressed   = "Suppressed"
	nonCompliant = "Non-Compliant"
)

// Finding is one answer of a rule about a resource.
type Finding struct {
	// Rule is the rule's name, which its pack's begins.
	Rule string
	// Path is the resource's, with its stack's.
	Path string
	// State is one of the words above, or another if the rule could not tell.
	State string
	// Part is what a rule that finds several things has found, such as one wildcard; only of those that are suppressed one by one.
	Part string
	// Reason is that of its suppression.
	Reason string
	// Says is the rule in a sentence.
	Says string
}

// Suppression is one rule that one resource is excused from.
type Suppression struct {
	Rule, Reason string
	// Stack is the stack's name, Role its role ("primary", "secondary" or "global"), and Path the resource's in it.
	Stack, Role, Path string
	// Type is the resource's.
	Type string
	// Parts are the parts of a rule's findings that it is for, a regular expression each; none stands for all of them.
	Parts []string
	// Suppressed are the parts that it was found to suppress; nothing else is known of a finding without parts but its number.
	Suppressed []string
	Findings   int
}

// Report is what the packs found in one environment.
type Report struct {
	Environment, Account string
	Findings             []Finding
	Suppressions         []Suppression
	regions              map[string]string // of each stack
}

// pack is the name of a rule's pack.
func pack(rule string) string {
	name, _, _ := strings.Cut(rule, "-")
	return name
}

// ReadReport reads what the packs have left in the folder of an assembly that was synthesized with them.
func ReadReport(dir string, a *assembly.Assembly) (*Report, error) {
	r := &Report{Environment: a.Settings.Environment, regions: map[string]string{}}
	files, err := filepath.Glob(filepath.Join(dir, "*-NagReport.csv"))
	if err != nil || len(files) == 0 {
		return nil, fmt.Errorf("read the rule packs' reports: there are none in %s (synthesize with -c policy=true)", dir)
	}
	for _, file := range files {
		findings, err := readFindings(file)
		if err != nil {
			return nil, err
		}
		r.Findings = append(r.Findings, findings...)
	}
	for _, s := range a.Stacks {
		r.Account, r.regions[s.Name] = s.Account, s.Region
		suppressions, err := readSuppressions(dir, s)
		if err != nil {
			return nil, err
		}
		r.Suppressions = append(r.Suppressions, suppressions...)
	}
	for i := range r.Suppressions {
		s := &r.Suppressions[i]
		for _, f := range r.Findings {
			if f.State == suppressed && f.Rule == s.Rule && f.Path == s.Stack+"/"+s.Path && f.Reason == s.Reason && (f.Part != "") == (len(s.Parts) > 0) {
				s.Findings++
				s.Suppressed = append(s.Suppressed, f.Part)
			}
		}
	}
	return r, nil
}

// granular is the reason of a suppression that is for parts: the part comes before it.
var granular = regexp.MustCompile(`(?s)^\[((?:Resource|Action|Policy)::.*?)\] (.*)$`)

func readFindings(file string) ([]Finding, error) {
	data, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("read report: %w", err)
	}
	defer data.Close()
	lines, err := csv.NewReader(data).ReadAll()
	if err != nil {
		return nil, fmt.Errorf("read report %s: %w", file, err)
	}
	var all []Finding
	for _, line := range lines[1:] {
		f := Finding{Rule: line[0], Path: line[1], State: line[2], Reason: line[3], Says: line[5]}
		if parts := granular.FindStringSubmatch(f.Reason); parts != nil {
			f.Part, f.Reason = parts[1], parts[2]
		}
		all = append(all, f)
	}
	return all, nil
}

// readSuppressions reads a stack's template, and from the metadata of its constructs the paths of its resources.
func readSuppressions(dir string, s assembly.Stack) ([]Suppression, error) {
	data, err := os.ReadFile(filepath.Join(dir, s.Name+".metadata.json"))
	if err != nil {
		return nil, fmt.Errorf("read the metadata of stack %s: %w", s.Name, err)
	}
	var metadata map[string][]struct {
		Type string `json:"type"`
		Data any    `json:"data"`
	}
	if err := json.Unmarshal(data, &metadata); err != nil {
		return nil, fmt.Errorf("parse the metadata of stack %s: %w", s.Name, err)
	}
	paths := map[string]string{}
	for path, entries := range metadata {
		for _, entry := range entries {
			if id, ok := entry.Data.(string); ok && entry.Type == "aws:cdk:logicalId" {
				paths[id] = strings.TrimPrefix(path, "/"+s.Name+"/")
			}
		}
	}
	var all []Suppression
	for _, id := range slices.Sorted(maps.Keys(s.Template.Resources)) {
		resource := s.Template.Resources[id]
		for _, one := range assembly.OneOrMore(assembly.At(resource.Metadata, "cdk_nag", "rules_to_suppress")) {
			o := assembly.Object(one)
			suppression := Suppression{
				Rule: assembly.Text(o["id"]), Reason: assembly.Text(o["reason"]), Stack: s.Name, Role: s.Name[strings.LastIndex(s.Name, "-")+1:], Path: paths[id], Type: resource.Type,
			}
			for _, part := range assembly.OneOrMore(o["applies_to"]) {
				expression := assembly.Text(part)
				if e := assembly.Text(assembly.At(part, "regex")); e != "" {
					expression = strings.TrimSuffix(strings.TrimPrefix(e, "/"), "/")
				} else {
					expression = "^" + regexp.QuoteMeta(expression) + "$"
				}
				suppression.Parts = append(suppression.Parts, expression)
			}
			all = append(all, suppression)
		}
	}
	return all, nil
}

// leastReason is how long a reason has to be, in characters: shorter, it names no fact about the resource that one could disagree with.
const leastReason = 80

// Faults are what is wrong with reports, a sentence each: findings that are not suppressed, suppressions that suppress nothing, and
// reasons that are none. Nothing is what should be found.
func Faults(reports ...*Report) []string {
	var all []string
	fault := func(format string, values ...any) { all = append(all, fmt.Sprintf(format, values...)) }
	type use struct{ rules, kind string }
	uses := map[string]map[use]string{} // of each reason, with one of the resources
	for _, r := range reports {
		for _, f := range r.Findings {
			if f.State != compliant && f.State != suppressed {
				fault("%s: %s: %s: %s", f.Path, f.Rule, f.State, f.Says)
			}
		}
		for _, s := range r.Suppressions {
			where := s.Stack + "/" + s.Path + ": the suppression of " + s.Rule
			if s.Findings == 0 {
				fault("%s suppresses nothing: there is no such finding any more, or another suppression is before it", where)
			} else {
				for _, part := range s.Parts {
					expression, err := regexp.Compile(part)
					if err != nil {
						fault("%s has the part %s, which is no regular expression", where, part)
					} else if !slices.ContainsFunc(s.Suppressed, expression.MatchString) {
						fault("%s is for %s, which is not found there", where, part)
					}
				}
			}
			if reason := strings.TrimSpace(s.Reason); len(reason) < leastReason {
				fault("%s has the reason %q, which is too short to be argued with: say what of this resource makes it right, in %d characters or more", where, reason, leastReason)
			}
			u := use{strings.Join(r.rulesWith(s), ", "), s.Type}
			if strings.HasPrefix(s.Type, "AWS::IAM::") {
				u.kind = "AWS::IAM" // a role's own policy and one that is attached to it are alike
			}
			if uses[s.Reason] == nil {
				uses[s.Reason] = map[use]string{}
			}
			uses[s.Reason][u] = s.Path
		}
	}
	for _, reason := range slices.Sorted(maps.Keys(uses)) {
		if len(uses[reason]) > 1 {
			var unlike []string
			for u, path := range uses[reason] {
				unlike = append(unlike, path+" ("+u.rules+")")
			}
			slices.Sort(unlike)
			fault("one reason is given for what is not alike, %s: %q", strings.Join(unlike, " and "), reason)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// rulesWith are the rules that a resource is excused from by the same reason.
func (r *Report) rulesWith(s Suppression) []string {
	var rules []string
	for _, other := range r.Suppressions {
		if other.Stack == s.Stack && other.Path == s.Path && other.Reason == s.Reason {
			rules = append(rules, other.Rule)
		}
	}
	slices.Sort(rules)
	return slices.Compact(rules)
}

// Count is what one pack comes to in one environment.
type Count struct {
	Environment, Pack string
	// Rules are all rules of the pack, each of which is asked about each resource; Applied those that apply to any.
	Rules, Applied int
	// Answers are the rules' answers about resources: Compliant, Suppressed, and Open, which nobody has decided.
	Answers, Compliant, Suppressed, Open int
}

// Counts are the counts of all environments and packs. rules are the names of all rules of the packs.
func Counts(rules []string, reports ...*Report) []Count {
	var packs []string
	for _, rule := range rules {
		packs = append(packs, pack(rule))
	}
	slices.Sort(packs)
	var all []Count
	for _, r := range reports {
		for _, name := range slices.Compact(slices.Clone(packs)) {
			c := Count{Environment: r.Environment, Pack: name}
			for _, rule := range rules {
				if pack(rule) == name {
					c.Rules++
				}
			}
			applied := map[string]bool{}
			for _, f := range r.Findings {
				if pack(f.Rule) != name {
					continue
				}
				applied[f.Rule] = true
				c.Answers++
				switch f.State {
				case compliant:
					c.Compliant++
				case suppressed:
					c.Suppressed++
				default:
					c.Open++
				}
			}
			c.Applied = len(applied)
			all = append(all, c)
		}
	}
	slices.SortStableFunc(all, func(a, b Count) int { return cmp.Compare(a.Environment, b.Environment) })
	return all
}
