package accept

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	"github.com/aws/smithy-go"

	"payments-dr/client"
	"payments-dr/internal/assembly"
	"payments-dr/internal/operate"
	"payments-dr/internal/operate/preflight"
	"payments-dr/internal/payment"
	"payments-dr/internal/payment/public"
	"payments-dr/internal/settings"
)

// moveLimit is how long a move may take, the approver's time included: one that a person has to approve or to resume has no end of its own.
const moveLimit = time.Hour

// Account is an environment in an AWS account. It is a World.
type Account struct {
	Assembly *assembly.Assembly
	Config   aws.Config
	Resolver preflight.Resolver
	// Stacks deploys the stacks of an assembly, and CDK runs the CDK's command line.
	Stacks func(context.Context, *assembly.Assembly) error
	CDK    func(ctx context.Context, args ...string) error
	// Environments are those of cdk.json, and Changed is the folder for the templates with the changed setting.
	Environments map[string]any
	Changed      string
	// Who is the person who moves. Follower says of which deployment a move is followed, and how.
	Who      string
	Follower operate.Follower
	// Way is how the API's names are reached, if not by the machine's network.
	Way operate.Way

	mu      sync.Mutex
	clients map[string]*client.Client // by Region; see client
}

// Check is World's.
func (a *Account) Check(ctx context.Context) error {
	for _, stack := range a.Assembly.Stacks {
		status, err := preflight.StackStatus(ctx, a.Config, stack.Region, stack.Name)
		if err != nil {
			return err
		}
		if status != "" {
			return fmt.Errorf("stack %s exists, in the state %s, and the test would destroy it. It wants an environment that is not deployed", stack.Name, status)
		}
	}
	report := preflight.Check(ctx, a.Assembly, a.Config, a.Resolver)
	_, _ = io.WriteString(a.Follower.Out, report.Text())
	if report.Any(preflight.Blocks) || report.Any(preflight.Unknown) {
		return errors.New("the deployment would fail, or it is not known whether it would")
	}
	return ctx.Err()
}

// Deploy is World's.
func (a *Account) Deploy(ctx context.Context) error { return a.Stacks(ctx, a.Assembly) }

// ask asks a Region's API, or the one behind the public name. A new name is not known everywhere at once, nor is a payment in an
// eventually consistent table.
func ask[T any](a *Account, region string, question func(*client.Client) (T, error)) (answer T, err error) {
	c, err := a.client(region)
	if err != nil {
		return answer, err
	}
	defer c.CloseIdleConnections() // the next question looks the name up
	answer, err = question(c)
	refused, isRefused := errors.AsType[*client.RefusedError](err)
	_, isUnknown := errors.AsType[*client.UnavailableError](err)
	if isRefused && refused.Status == 404 || isUnknown && !errors.Is(err, client.ErrUnsigned) {
		err = notYet{err}
	}
	return answer, err
}

// client is the client of a Region's API, or of the public name. There is one of each for the whole test: its limit of retries is over
// all questions, and a question that is asked until it is answered is no storm.
func (a *Account) client(region string) (*client.Client, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if known, ok := a.clients[region]; ok {
		return known, nil
	}
	s, to := a.Assembly.Settings, ""
	if region != "" {
		to = s.RegionalAPIName(settings.Region{Name: region})
	}
	made, err := client.New(client.Config{URL: "https://" + s.APIName(), DialHost: to, Credentials: a.Config.Credentials, Transport: a.Way.Transport()})
	if err != nil {
		return nil, err
	}
	if a.clients == nil {
		a.clients = map[string]*client.Client{}
	}
	a.clients[region] = made
	return made, nil
}

// Pay is World's.
func (a *Account) Pay(ctx context.Context, region string, request payment.Request) (client.Acceptance, error) {
	return ask(a, region, func(c *client.Client) (client.Acceptance, error) { return c.Pay(ctx, public.Request(request)) })
}

// Read is World's.
func (a *Account) Read(ctx context.Context, id payment.Identity) (payment.Payment, error) {
	reading, err := ask(a, "", func(c *client.Client) (client.Reading, error) { return c.Get(ctx, public.Identity(id)) })
	if err != nil {
		return payment.Payment{}, err
	}
	return public.Payment(reading.Payment)
}

// Move is World's.
func (a *Account) Move(ctx context.Context, move operate.Move, since time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, moveLimit)
	defer cancel()
	status := a.Follower.Deployment.Look(ctx)
	last, found := status.Find("")
	begun := found && last.Region == move.To && last.Started.After(since.Add(-time.Minute)) // clocks differ
	if !begun || !last.Running() && status.Writer != move.To {
		var against []string
		for _, p := range a.Follower.Deployment.Preconditions(status, move) {
			if p.Finding == operate.FindingAgainst {
				against = append(against, p.Name+": "+p.Says)
			}
		}
		if len(against) > 0 { // as long as metrics and evaluations are new
			return notYet{fmt.Errorf("the %s cannot start: %s", move, strings.Join(against, "; "))}
		}
		var err error
		if last.ID, err = a.Follower.Deployment.Start(ctx, move, status.PlanARN(), a.Who); err != nil {
			return err
		}
	}
	follower := a.Follower
	follower.Region, follower.PlanARN, follower.ID = move.To, status.PlanARN(), last.ID
	return follower.Follow(ctx)
}

// Change is World's. The setting is the threshold of one alarm, a second more or less.
func (a *Account) Change(ctx context.Context) (string, error) {
	s := a.Assembly.Settings
	want := s.Alarms.RelayDelaySeconds + 1
	if want > 3600 { // the most that the setting may be
		want -= 2
	}
	alarms := map[string]any{}
	environment, ok := a.Environments[s.Environment].(map[string]any)
	if !ok {
		return "", fmt.Errorf("cdk.json has no environment %s", s.Environment)
	}
	given, _ := environment["alarms"].(map[string]any)
	maps.Copy(alarms, given)
	environment["alarms"], alarms["relayDelaySeconds"] = alarms, want
	text, err := json.Marshal(a.Environments)
	if err != nil {
		return "", fmt.Errorf("write settings: %w", err)
	}
	if err := a.CDK(ctx, "synth", "--quiet", "--context", "env="+s.Environment, "--context", "environments="+string(text), "--output", a.Changed); err != nil {
		return "", fmt.Errorf("synthesize: %w", err)
	}
	changed, err := assembly.Load(a.Changed)
	if err != nil {
		return "", err
	}
	if got := changed.Settings.Alarms.RelayDelaySeconds; got != want {
		return "", fmt.Errorf("alarms.relayDelaySeconds is %d in the templates; want %d", got, want)
	}
	return fmt.Sprintf("alarms.relayDelaySeconds: %d → %d", s.Alarms.RelayDelaySeconds, want), a.Stacks(ctx, changed)
}

// Destroy is World's. Aurora wants the secondary gone first, so the primary has to be the writer.
func (a *Account) Destroy(ctx context.Context) error {
	primary := a.Assembly.Settings.Regions.Primary.Name
	if writer, err := a.Follower.Deployment.Writer(ctx); err == nil && writer != primary {
		if err := a.Move(ctx, operate.Move{To: primary, Planned: true}, a.Follower.Deployment.Now()); err != nil {
			return fmt.Errorf("move to %s, which has to be the writer: %w", primary, err)
		}
	}
	if err := a.unprotect(ctx); err != nil {
		return fmt.Errorf("take off protection: %w", err)
	}
	return a.CDK(ctx, "destroy", "--all", "--force", "--app", a.Assembly.Dir)
}

// unprotect takes off what the templates protect, as docs/use/deploy.md does by hand. What does not exist needs nothing.
func (a *Account) unprotect(ctx context.Context) error {
	s, off := &a.Assembly.Settings, aws.Bool(false)
	in := func(region string) aws.Config { config := a.Config.Copy(); config.Region = region; return config }
	ignore := func(_ any, err error) error {
		said, ok := errors.AsType[smithy.APIError](err)
		if ok && (strings.Contains(said.ErrorCode(), "NotFound") || strings.Contains(said.ErrorMessage(), "does not exist")) {
			return nil
		}
		return err
	}
	for _, stack := range a.Assembly.Stacks {
		if !stack.TerminationProtection {
			continue
		}
		if err := ignore(cloudformation.NewFromConfig(in(stack.Region)).UpdateTerminationProtection(ctx,
			&cloudformation.UpdateTerminationProtectionInput{StackName: &stack.Name, EnableTerminationProtection: off})); err != nil {
			return err
		}
	}
	if !s.Database.DeletionProtection {
		return nil
	}
	for _, region := range s.Both() {
		database, cluster := rds.NewFromConfig(in(region.Name)), operate.Cluster(s, region.Name)
		if err := errors.Join(
			ignore(database.ModifyDBCluster(ctx, &rds.ModifyDBClusterInput{DBClusterIdentifier: &cluster, DeletionProtection: off, ApplyImmediately: aws.Bool(true)})),
			ignore(database.ModifyGlobalCluster(ctx, &rds.ModifyGlobalClusterInput{GlobalClusterIdentifier: aws.String(operate.GlobalCluster(s)), DeletionProtection: off})),
			ignore(dynamodb.NewFromConfig(in(region.Name)).UpdateTable(ctx, &dynamodb.UpdateTableInput{TableName: aws.String(operate.SessionTable(s)), DeletionProtectionEnabled: off})),
		); err != nil {
			return err
		}
	}
	return nil
}

// Left is World's.
func (a *Account) Left(ctx context.Context) []preflight.Finding {
	return preflight.Left(ctx, a.Assembly, a.Config, a.Resolver).Findings
}
