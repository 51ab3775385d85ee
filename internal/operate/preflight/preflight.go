// Package preflight finds what a deployment would fail on, before it creates anything. All checks are read-only.
package preflight

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"golang.org/x/sync/errgroup"

	"payments-dr/internal/assembly"
	"payments-dr/internal/operate"
	"payments-dr/internal/settings"
)

// callTimeout limits one call to AWS.
const callTimeout = 15 * time.Second

// parallelChecks is how many checks run at once. More would be throttled by services that allow a few requests a second.
const parallelChecks = 8

// Level is what a finding means for the deployment.
type Level string

const (
	// Blocks means that the deployment would fail or wait forever.
	Blocks Level = "blocks"
	// Warns means that the deployment would succeed, but with an effect that its owner should know.
	Warns Level = "warns"
	// Unknown means that AWS did not answer the check.
	Unknown Level = "unknown"
)

// Finding is one result of the checks.
type Finding struct {
	Level Level `json:"level"`
	// Region is empty for what belongs to no Region.
	Region string `json:"region,omitempty"`
	// Found is one sentence.
	Found string `json:"found"`
	// Why says why it blocks the deployment, or why not.
	Why string `json:"why,omitempty"`
	// Fix is a command or an edit of cdk.json. Each line stands alone.
	Fix string `json:"fix,omitempty"`
	// Kept is the deletion policy by which the templates leave it behind when its stack is destroyed; empty if they do not.
	Kept string `json:"kept,omitempty"`
}

// Report is everything that the checks found, blocking findings first.
type Report struct {
	Environment string    `json:"environment"`
	Account     string    `json:"account"`
	Findings    []Finding `json:"findings"`
}

// Any reports whether there is a finding of a level.
func (r Report) Any(level Level) bool {
	return slices.ContainsFunc(r.Findings, func(f Finding) bool { return f.Level == level })
}

// Text is the report for people.
func (r Report) Text() string {
	var text strings.Builder
	for _, f := range r.Findings {
		fmt.Fprintf(&text, "%-8s %s%s\n", f.Level, strings.TrimPrefix(f.Region+": ", ": "), f.Found)
		for _, line := range []struct{ head, lines string }{{"why", f.Why}, {"fix", f.Fix}} {
			for i, part := range strings.Split(line.lines, "\n") {
				if part != "" {
					fmt.Fprintf(&text, "         %-4s %s\n", map[bool]string{true: line.head}[i == 0], part)
				}
			}
		}
	}
	return text.String()
}

// check is one run of all checks.
type check struct {
	assembly *assembly.Assembly
	settings settings.Settings
	config   aws.Config
	resolver Resolver

	mu       sync.Mutex
	findings []Finding
	regional map[string]*clients
	deployed map[string]deployedStack
}

// Check compares an assembly with the account that it is for. It creates nothing.
func Check(ctx context.Context, a *assembly.Assembly, config aws.Config, resolver Resolver) Report {
	c := newCheck(a, config, resolver)
	c.checkNames()
	if c.checkAccount(ctx) {
		c.run(ctx, c.deploymentChecks())
		c.run(ctx, append(c.accountChecks(), append(c.leftoverChecks(), c.checkZone)...))
	}
	return c.report()
}

func newCheck(a *assembly.Assembly, config aws.Config, resolver Resolver) *check {
	return &check{assembly: a, settings: a.Settings, config: config, resolver: resolver, regional: map[string]*clients{}, deployed: map[string]deployedStack{}}
}

// report is what was found, in its order.
func (c *check) report() Report {
	order := []Level{Blocks, Unknown, Warns}
	slices.SortStableFunc(c.findings, func(x, y Finding) int {
		return cmp.Or(cmp.Compare(slices.Index(order, x.Level), slices.Index(order, y.Level)), strings.Compare(x.Region, y.Region), strings.Compare(x.Found, y.Found))
	})
	// Not nil: JSON has an empty list.
	return Report{Environment: c.settings.Environment, Account: c.settings.Account, Findings: append([]Finding{}, c.findings...)}
}

func (c *check) run(ctx context.Context, checks []func(context.Context)) {
	var all errgroup.Group
	all.SetLimit(parallelChecks)
	for _, one := range checks {
		all.Go(func() error { one(ctx); return nil })
	}
	_ = all.Wait() // no check returns an error
}

func (c *check) add(f Finding) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.findings = append(c.findings, f)
}

// unknown adds that a question has no answer. Without an error, the answer was empty.
func (c *check) unknown(region, question string, err error) {
	why := "the answer is empty"
	if err != nil {
		why = operate.ExplainWithin(err, callTimeout).Text
	}
	c.add(Finding{Level: Unknown, Region: region, Found: question + ": " + why,
		Why: "The check did not run, so the deployment may fail on it.", Fix: "allow the actions of docs/use/preflight.md, and run dr preflight again"})
}

// regions are the Regions of the stacks.
func (c *check) regions() []string {
	var names []string
	for _, stack := range c.assembly.Stacks {
		names = append(names, stack.Region)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func (c *check) checkNames() {
	s := c.settings
	if settings.ReservedName(s.DNS.ZoneName) {
		c.add(Finding{Level: Blocks, Found: fmt.Sprintf("dns.zoneName %q is reserved and can never be delegated", s.DNS.ZoneName),
			Why: "The certificates would wait forever for their validation.", Fix: "set dns.zoneName in cdk.json to a domain that you own"})
	}
	for _, address := range s.Alerts.EmailAddresses {
		if _, domain, _ := strings.Cut(address, "@"); settings.ReservedName(domain) {
			c.add(Finding{Level: Blocks, Found: fmt.Sprintf("alerts.emailAddresses has %q, which can receive nothing", address),
				Why: "Nobody would receive the alarms.", Fix: "set alerts.emailAddresses in cdk.json to an address that somebody reads"})
		}
	}
	if s.Account == settings.PlaceholderAccount {
		c.add(Finding{Level: Blocks, Found: "the templates were made for no account",
			Why: "They contain a placeholder instead of the account.", Fix: "set account in cdk.json, or run make synth with credentials"})
	}
}

// checkAccount reports whether the credentials belong to the account of the templates, so that further checks make sense.
func (c *check) checkAccount(ctx context.Context) bool {
	cannot := func(why string) bool {
		c.add(Finding{Level: Blocks, Found: "the account cannot be asked for: " + why, Why: "A deployment needs credentials.",
			Fix: "sign in to account " + c.settings.Account + " (dr help credentials)"})
		return false
	}
	if err := operate.SignedIn(ctx, c.config.Credentials); err != nil {
		return cannot(operate.ExplainWithin(err, callTimeout).Text)
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	identity, err := sts.NewFromConfig(c.config, func(o *sts.Options) { o.Region = cmp.Or(o.Region, settings.GlobalRegion) }).
		GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if err != nil {
		return cannot(operate.ExplainWithin(err, callTimeout).Text)
	}
	have := aws.ToString(identity.Account)
	if have == "" {
		return cannot("the answer names none")
	}
	if c.settings.Account != have && c.settings.Account != settings.PlaceholderAccount {
		c.add(Finding{Level: Blocks, Found: fmt.Sprintf("the templates were made for account %s, the credentials are those of account %s", c.settings.Account, have),
			Fix: "sign in to account " + c.settings.Account + ", or set account in cdk.json to " + have + " and run make synth"})
	}
	return c.settings.Account == have
}

// checkBootstrap compares the version of a Region's bootstrap stack with what a stack needs.
func (c *check) checkBootstrap(ctx context.Context, stack assembly.Stack) {
	found, err := c.clients(stack.Region).ssm.GetParameter(ctx, &ssm.GetParameterInput{Name: &stack.BootstrapParameter})
	f := Finding{Level: Blocks, Region: stack.Region, Found: "the Region is not bootstrapped", Why: "The CDK deploys with roles and a bucket of its bootstrap stack.",
		Fix: fmt.Sprintf("npx cdk bootstrap aws://%s/%s", stack.Account, stack.Region)}
	if _, missing := errors.AsType[*ssmtypes.ParameterNotFound](err); missing {
		c.add(f)
		return
	}
	if err != nil || found.Parameter == nil {
		c.unknown(stack.Region, "whether the Region is bootstrapped cannot be read", err)
		return
	}
	version := aws.ToString(found.Parameter.Value)
	if has, err := strconv.Atoi(version); err != nil || has < stack.BootstrapVersion {
		f.Found = fmt.Sprintf("the Region is bootstrapped with version %s and needs %d", version, stack.BootstrapVersion)
		c.add(f)
	}
}
