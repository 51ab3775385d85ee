package operate

import (
	"strconv"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"payments-dr/internal/simulation/localmoto"
)

// startMoto makes the configuration of a moto server that has just begun. Of the questions of a status moto knows those to RDS,
// Systems Manager and STS. It does not know ARC Region switch, the two lists of AWS Backup, nor CloudWatch in the encoding that the
// SDK speaks with it (CBOR).
func startMoto(t *testing.T) aws.Config {
	t.Helper()
	config := localmoto.Start(t)
	config.APIOptions = append(config.APIOptions, RefuseForeignAnswers)
	return config
}

// deployedOnMoto makes in moto what a deployment has that the tool asks for, and opens it.
func deployedOnMoto(t *testing.T, config aws.Config, asOperator bool) *Deployment {
	t.Helper()
	s := testSettings()
	s.DNS.ZoneName = "dev.payments.example.com"
	d, err := Open(s, config, asOperator)
	if err != nil {
		t.Fatal(err)
	}
	d.Public = &fake{name: east}
	for i := range d.Regions {
		d.Regions[i].API = &fake{name: d.Regions[i].Name} // the payment API is none of AWS's
	}
	return d
}

func TestStatusAgainstMoto(t *testing.T) {
	config := startMoto(t)
	in := func(region string) aws.Config {
		c := config.Copy()
		c.Region = region
		return c
	}
	s := testSettings()

	deployedOnMoto(t, config, false).Look(t.Context()) // moto takes seconds for the first question to a service

	t.Run("nothing is deployed", func(t *testing.T) {
		status := deployedOnMoto(t, config, false).Look(t.Context())
		for _, r := range status.Regions {
			if p := r.Plan.Problem; p == nil || p.Kind != KindNotDeployed {
				t.Errorf("%s plan: %+v", r.Region, r.Plan)
			}
			if p := r.Database.Problem; p == nil || p.Kind != KindMalformed && p.Kind != KindRefused {
				t.Errorf("%s database: %+v", r.Region, r.Database)
			}
		}
		if status.Writer != "" {
			t.Errorf("the writer is %s", status.Writer)
		}
	})

	// The global cluster by its engine, and the clusters join it, as the stacks have it.
	if _, err := rds.NewFromConfig(in(east)).CreateGlobalCluster(t.Context(), &rds.CreateGlobalClusterInput{
		GlobalClusterIdentifier: aws.String(GlobalCluster(s)), Engine: aws.String("aurora-mysql"), StorageEncrypted: aws.Bool(true),
	}); err != nil {
		t.Fatal(err)
	}
	for _, region := range []string{east, west} {
		if _, err := rds.NewFromConfig(in(region)).CreateDBCluster(t.Context(), &rds.CreateDBClusterInput{
			DBClusterIdentifier: aws.String(Cluster(s, region)), Engine: aws.String("aurora-mysql"), GlobalClusterIdentifier: aws.String(GlobalCluster(s)),
		}); err != nil {
			t.Fatal(err)
		}
		if _, err := ssm.NewFromConfig(in(region)).PutParameter(t.Context(), &ssm.PutParameterInput{
			Name: aws.String(PlanParameter(s)), Type: ssmtypes.ParameterTypeString, Value: aws.String(testPlan),
		}); err != nil {
			t.Fatal(err)
		}
	}

	for _, asOperator := range []bool{false, true} {
		t.Run("deployed, as operator "+strconv.FormatBool(asOperator), func(t *testing.T) {
			d := deployedOnMoto(t, config, asOperator)
			status := d.Look(t.Context())
			for _, r := range status.Regions {
				said := r.Database.Said
				if said == nil || len(said.Members) != 2 || said.Writer() != east || said.Members[1].Cluster != Cluster(s, west) || said.Members[1].Writer || said.Status != "available" {
					t.Errorf("%s database: %+v, %v", r.Region, said, r.Database.Problem)
				}
			}
			if status.Writer != east {
				t.Errorf("the writer is %q: %s", status.Writer, status.WriterDoubt)
			}
			for _, region := range d.Regions {
				if plan, err := d.planARN(t.Context(), region); err != nil || plan != testPlan {
					t.Errorf("%s: the plan is %q, %v", region.Name, plan, err)
				}
			}
			// What moto does not know is not known, in words for people.
			for _, r := range status.Regions {
				for _, q := range r.questions() {
					if q.problem == nil {
						continue
					}
					t.Logf("%s %s: %s", r.Region, q.what, q.problem.Text)
					if strings.Contains(q.problem.Text, "operation error") || strings.Contains(q.problem.Text, "\n") {
						t.Errorf("%s %s: %q", r.Region, q.what, q.problem.Text)
					}
				}
				if r.Metrics.Said != nil || r.Backups.Said != nil || r.Restores.Said != nil || r.Plan.Said != nil {
					t.Logf("%s: moto has learnt to answer more: hold it to that here", r.Region)
				}
			}
		})
	}

	t.Run("operator's role", func(t *testing.T) {
		got, err := operator{sts.NewFromConfig(in(west)), s, west}.Retrieve(t.Context())
		if err != nil || !got.HasKeys() || got.SessionToken == "" || !got.CanExpire {
			t.Errorf("%+v, %v", got, err)
		}
		// The session is that of the role of the Region that is asked.
		c := in(west)
		c.Credentials = aws.CredentialsProviderFunc(operator{sts.NewFromConfig(in(west)), s, west}.Retrieve)
		who, err := sts.NewFromConfig(c).GetCallerIdentity(t.Context(), &sts.GetCallerIdentityInput{})
		if err != nil || !strings.HasSuffix(*who.Arn, ":assumed-role/payment-dev-operator-us-west-2/dr") {
			t.Errorf("%s, %v", aws.ToString(who.Arn), err)
		}
	})
}
