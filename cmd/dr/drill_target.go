package main

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/arcregionswitch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	"github.com/aws/aws-sdk-go-v2/service/ssm"

	"payments-dr/internal/drill"
	"payments-dr/internal/drill/live"
	"payments-dr/internal/drill/load"
	"payments-dr/internal/drill/rehearsal"
	"payments-dr/internal/operate"
	"payments-dr/internal/payment/ledger"
	"payments-dr/internal/payment/reconcile"
	"payments-dr/internal/settings"
)

// ledgerOpener opens the ledger of the Region that is the writer.
type ledgerOpener = func(ctx context.Context, writer string) (*sql.DB, error)

// open finds what the drill is held against: the deployed environment, or the one that is simulated here.
func (d *drilling) open(ctx context.Context, dir string, out io.Writer, h live.Hypothesis) (*drillTarget, error) {
	if d.simulate {
		return d.simulation(ctx, dir, out, h)
	}
	deployment, err := d.env.open(ctx)
	if err != nil {
		return nil, err
	}
	s := deployment.Settings
	t := &drillTarget{
		settings: s, deployment: deployment, clock: load.Wall{}, settle: reconcile.Settle, close: func() {},
		run:  drill.Run{Banner: deployedBanner(deployment), Provenance: made(ctx, drill.Unknown("templates", "a drill does not read the deployed templates"))},
		load: load.Config{URL: "https://" + s.APIName(), Credentials: payer(deployment)},
	}
	if d.ledger {
		t.ledger = func(ctx context.Context, writer string) (*sql.DB, error) { return openLedger(ctx, deployment, writer) }
	}
	return t, nil
}

// simulation starts both Regions on this machine, and asks them as it would AWS.
func (d *drilling) simulation(ctx context.Context, dir string, out io.Writer, h live.Hypothesis) (*drillTarget, error) {
	d.simulated.rate, d.simulated.clients = h.Load.Rate, h.Load.Clients
	ready, err := d.simulated.prepare(ctx, dir, h.Environment, out)
	if err != nil {
		return nil, err
	}
	assumed, assumptions := rehearsal.DefaultAssumed()
	deployed, err := rehearsal.Deploy(ctx, rehearsal.Config{
		Assembly: ready.assembly, ModuleDir: ".", Binaries: ready.binaries, MariaDB: ready.mariaDB, Speed: d.simulated.speed, Seed: d.simulated.seed,
		Assumed: assumed, Log: d.simulated.log, Delays: &d.recorder,
	})
	if err != nil {
		ready.close()
		return nil, err
	}
	closeAll := func() { deployed.Close(); ready.close() }
	s := &ready.assembly.Settings
	deployment, err := operate.OpenBy(operate.Way{Dial: deployed.Dial, Trust: deployed.Trust()}, s, deployed.Config(), false)
	if err != nil {
		closeAll()
		return nil, err
	}
	deployment.Now, deployment.Zone = deployed.Clock().Now, "simulated"
	t := &drillTarget{
		settings: s, deployment: deployment, clock: deployed.Clock(), settle: deployed.ReconcileSettle(), close: closeAll,
		run: drill.Run{
			Banner: ready.banner, Assumptions: assumptions, Clock: deployed.Clock().Run(), Provenance: ready.provenance, NotModeled: rehearsal.NotModeled(ready.assembly),
		},
		load: load.Config{
			URL: "https://" + s.APIName(), Credentials: payer(deployment), Trust: deployed.Trust(), Answer: deployed.Answer, Address: deployed.Address, Seed: d.simulated.seed,
		},
	}
	if d.ledger {
		t.ledger = deployed.Ledger
	}
	return t, nil
}

// payer signs payments with the credentials of the first Region that has any: with --as-operator these are roles' of Regions, and
// one of the Regions may be gone.
func payer(deployment *operate.Deployment) aws.CredentialsProvider {
	return aws.NewCredentialsCache(aws.CredentialsProviderFunc(func(ctx context.Context) (aws.Credentials, error) {
		var errs []error
		for _, region := range deployment.Regions {
			if region.Config.Credentials == nil {
				continue
			}
			got, err := region.Config.Credentials.Retrieve(ctx)
			if err == nil && got.HasKeys() {
				return got, nil
			}
			errs = append(errs, err)
		}
		return aws.Credentials{}, cmp.Or(errors.Join(errs...), errors.New("there are no credentials"))
	}))
}

// openLedger opens the ledger in the Region that is the writer, as the user that may read it, with a token that the credentials
// sign. Either Region tells the endpoint.
func openLedger(ctx context.Context, deployment *operate.Deployment, writer string) (*sql.DB, error) {
	region, err := deployment.Region(writer)
	if err != nil {
		return nil, err
	}
	name := operate.EndpointParameter(deployment.Settings, writer)
	var errs []error
	for _, one := range deployment.Regions {
		out, err := one.Parameters.GetParameter(ctx, &ssm.GetParameterInput{Name: &name})
		if err == nil && out.Parameter == nil {
			err = errors.New("it has no value")
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s does not tell %s: %s", one.Name, name, operate.Explain(err).Text))
			continue
		}
		return ledger.OpenDatabase(ledger.Config{
			Host: aws.ToString(out.Parameter.Value), Port: ledger.DefaultPort, User: ledger.UserName, Database: ledger.DatabaseName,
			Region: writer, Credentials: region.Config.Credentials,
		})
	}
	return nil, errors.Join(errs...)
}

// deployedBanner says what the drill was held against, as far as that can be known from here.
func deployedBanner(deployment *operate.Deployment) string {
	s := deployment.Settings
	where := fmt.Sprintf("environment %s in %s and %s", s.Environment, s.Regions.Primary.Name, s.Regions.Secondary.Name)
	if s.Account != settings.PlaceholderAccount {
		where += ", account " + s.Account
	}
	if other := otherThanAWS(deployment); len(other) > 0 {
		return "SIMULATED, or not known to be AWS: " + where + ". " + strings.Join(other, "; ") + "."
	}
	return "DEPLOYED in AWS: " + where + ". Test payments were sent through its public name " + s.APIName() + "."
}

// otherThanAWS is what leads the questions elsewhere than to AWS's own endpoints, or lets others answer in AWS's name.
func otherThanAWS(deployment *operate.Deployment) []string {
	var found []string
	for _, variable := range []string{"SSL_CERT_FILE", "SSL_CERT_DIR", "AWS_CA_BUNDLE"} {
		if value := os.Getenv(variable); value != "" {
			found = append(found, "the certificates of "+variable+"="+value+" are trusted")
		}
	}
	config := deployment.Regions[0].Config
	for _, endpoint := range []struct {
		service string
		url     *string
	}{
		{"Region switch", arcregionswitch.NewFromConfig(config).Options().BaseEndpoint}, {"CloudWatch", cloudwatch.NewFromConfig(config).Options().BaseEndpoint},
		{"DynamoDB", dynamodb.NewFromConfig(config).Options().BaseEndpoint}, {"Lambda", lambda.NewFromConfig(config).Options().BaseEndpoint},
		{"RDS", rds.NewFromConfig(config).Options().BaseEndpoint}, {"Systems Manager", ssm.NewFromConfig(config).Options().BaseEndpoint},
	} {
		if endpoint.url != nil {
			found = append(found, endpoint.service+" is asked at "+*endpoint.url)
		}
	}
	return found
}
