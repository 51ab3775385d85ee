package preflight_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"payments-dr/internal/assembly"
	"payments-dr/internal/operate/preflight"
	"payments-dr/internal/settings"
)

type account struct {
	number string
	err    error
}

func (a account) GetCallerIdentity(context.Context, *sts.GetCallerIdentityInput, ...func(*sts.Options)) (*sts.GetCallerIdentityOutput, error) {
	return &sts.GetCallerIdentityOutput{Account: &a.number}, a.err
}

type parameters map[string]string

func (p parameters) GetParameter(_ context.Context, in *ssm.GetParameterInput, _ ...func(*ssm.Options)) (*ssm.GetParameterOutput, error) {
	switch value := p[*in.Name]; value {
	case "":
		return nil, &types.ParameterNotFound{}
	case "broken":
		return nil, errors.New("access denied")
	default:
		return &ssm.GetParameterOutput{Parameter: &types.Parameter{Value: aws.String(value)}}, nil
	}
}

func TestCheck(t *testing.T) {
	const number, version = "111122223333", "/cdk-bootstrap/hnb659fds/version"
	good := func() (*assembly.Assembly, account, map[string]string) {
		a := &assembly.Assembly{Settings: settings.Settings{
			Environment: "dev", Account: number, DNS: settings.DNS{ZoneName: "payments.acme-bank.com"},
			Alerts: settings.Alerts{EmailAddresses: []string{"oncall@acme-bank.com"}},
		}}
		for _, region := range []string{"us-east-1", "us-west-2", "us-east-1"} {
			a.Stacks = append(a.Stacks, assembly.Stack{Region: region, Account: number, BootstrapParameter: version, BootstrapVersion: 6})
		}
		return a, account{number: number}, map[string]string{"us-east-1": "27", "us-west-2": "6"}
	}
	for _, tt := range []struct {
		name   string
		change func(*assembly.Assembly, *account, map[string]string)
		want   []string
	}{
		{"all is well", func(*assembly.Assembly, *account, map[string]string) {}, nil},
		{"reserved zone", func(a *assembly.Assembly, _ *account, _ map[string]string) {
			a.Settings.DNS.ZoneName = "payments.example.com"
		}, []string{`dns.zoneName "payments.example.com" is reserved`}},
		{"reserved address", func(a *assembly.Assembly, _ *account, _ map[string]string) {
			a.Settings.Alerts.EmailAddresses = []string{"oncall@example.com"}
		}, []string{`alerts.emailAddresses has "oncall@example.com"`}},
		{"no credentials", func(_ *assembly.Assembly, c *account, _ map[string]string) { c.err = errors.New("none found") }, []string{"the account cannot be asked for: none found"}},
		{"placeholder account", func(a *assembly.Assembly, _ *account, _ map[string]string) {
			a.Settings.Account = settings.PlaceholderAccount
		}, []string{"the templates were made for no account"}},
		{"placeholder account and no credentials", func(a *assembly.Assembly, c *account, _ map[string]string) {
			a.Settings.Account, c.err = settings.PlaceholderAccount, errors.New("none found")
		}, []string{"the templates were made for no account", "the account cannot be asked for"}},
		{"another account", func(_ *assembly.Assembly, c *account, _ map[string]string) { c.number = "444455556666" }, []string{"for account 111122223333, the credentials are those of account 444455556666"}},
		{"not bootstrapped", func(_ *assembly.Assembly, _ *account, v map[string]string) { v["us-west-2"] = "" }, []string{"us-west-2 is not bootstrapped; run: npx cdk bootstrap aws://111122223333/us-west-2"}},
		{"bootstrapped long ago", func(_ *assembly.Assembly, _ *account, v map[string]string) { v["us-east-1"] = "5" }, []string{"us-east-1 is bootstrapped with version 5 and needs 6"}},
		{"no permission", func(_ *assembly.Assembly, _ *account, v map[string]string) { v["us-east-1"] = "broken" }, []string{"us-east-1 cannot be asked whether it is bootstrapped: access denied"}},
		{"all at once", func(a *assembly.Assembly, _ *account, v map[string]string) {
			a.Settings.DNS.ZoneName = "x.test"
			v["us-east-1"], v["us-west-2"] = "", ""
		}, []string{"dns.zoneName", "us-east-1 is not bootstrapped", "us-west-2 is not bootstrapped"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a, c, versions := good()
			tt.change(a, &c, versions)
			var asked []string
			err := preflight.Check(t.Context(), a, preflight.AWS{Account: c, Parameters: func(region string) preflight.Parameters {
				asked = append(asked, region)
				return parameters{version: versions[region]}
			}})
			faults, _ := errors.AsType[preflight.Faults](err)
			if len(faults) != len(tt.want) {
				t.Fatalf("faults %q, want %q", faults, tt.want)
			}
			for i, want := range tt.want {
				if !strings.Contains(faults[i], want) {
					t.Errorf("fault %q, want in it %q", faults[i], want)
				}
			}
			if err == nil && !slices.Equal(asked, []string{"us-east-1", "us-west-2"}) {
				t.Errorf("asked the Regions %v, want each once", asked)
			}
		})
	}
}
