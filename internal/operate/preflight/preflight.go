// Package preflight finds what cannot end well before a deployment creates anything: a name that can never be delegated, an
// account that is none or another one, a Region that the CDK has not been bootstrapped in.
package preflight

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"payments-dr/internal/assembly"
	"payments-dr/internal/operate"
	"payments-dr/internal/settings"
)

// callTimeout bounds one call to AWS.
const callTimeout = 15 * time.Second

// Account is the account that the credentials at hand belong to.
type Account interface {
	GetCallerIdentity(context.Context, *sts.GetCallerIdentityInput, ...func(*sts.Options)) (*sts.GetCallerIdentityOutput, error)
}

// Parameters are the parameters of one Region.
type Parameters interface {
	GetParameter(context.Context, *ssm.GetParameterInput, ...func(*ssm.Options)) (*ssm.GetParameterOutput, error)
}

// AWS is what the checks ask.
type AWS struct {
	Account Account
	// Parameters returns the parameters of a Region.
	Parameters func(region string) Parameters
}

// NewAWS asks AWS itself, with the credentials of a configuration.
func NewAWS(config aws.Config) AWS {
	return AWS{
		Account: signedIn{config.Credentials, sts.NewFromConfig(config, func(o *sts.Options) {
			if o.Region == "" {
				o.Region = settings.GlobalRegion
			}
		})},
		Parameters: func(region string) Parameters {
			return ssm.NewFromConfig(config, func(o *ssm.Options) { o.Region = region })
		},
	}
}

// signedIn asks nothing without credentials: the SDK's own word for that is long.
type signedIn struct {
	credentials aws.CredentialsProvider
	Account
}

func (s signedIn) GetCallerIdentity(ctx context.Context, in *sts.GetCallerIdentityInput, options ...func(*sts.Options)) (*sts.GetCallerIdentityOutput, error) {
	if err := operate.SignedIn(ctx, s.credentials); err != nil {
		return nil, err
	}
	return s.Account.GetCallerIdentity(ctx, in, options...)
}

// Faults is everything that stands against a deployment, a sentence each. It is the error of Check.
type Faults []string

func (f Faults) Error() string {
	return "the deployment would not end well:\n  " + strings.Join(f, "\n  ")
}

// Check looks at an assembly and at the account that it is for. It creates nothing. The error is a Faults.
func Check(ctx context.Context, a *assembly.Assembly, asked AWS) error {
	faults := checkNames(a.Settings)
	if known := checkAccount(ctx, a.Settings, asked.Account, &faults); known {
		seen := map[string]bool{}
		for _, stack := range a.Stacks {
			if !seen[stack.Region] {
				seen[stack.Region] = true
				checkBootstrap(ctx, stack, asked.Parameters(stack.Region), &faults)
			}
		}
	}
	if len(faults) > 0 {
		return faults
	}
	return nil
}

func checkNames(s settings.Settings) Faults {
	var faults Faults
	if settings.ReservedName(s.DNS.ZoneName) {
		faults = append(faults, fmt.Sprintf("dns.zoneName %q is reserved and can never be delegated, so that its certificates would wait for their validation for ever; set a domain of your own in cdk.json", s.DNS.ZoneName))
	}
	for _, address := range s.Alerts.EmailAddresses {
		if _, domain, _ := strings.Cut(address, "@"); settings.ReservedName(domain) {
			faults = append(faults, fmt.Sprintf("alerts.emailAddresses has %q, which can receive nothing; set an address of your own in cdk.json", address))
		}
	}
	return faults
}

// checkAccount reports whether the credentials are those of the account, so that it makes sense to ask on.
func checkAccount(ctx context.Context, s settings.Settings, account Account, faults *Faults) bool {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	identity, err := account.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if s.Account == settings.PlaceholderAccount {
		*faults = append(*faults, "the templates were made for no account; set one in cdk.json, or synthesize with credentials at hand")
	}
	if err != nil {
		*faults = append(*faults, "the account cannot be asked for: "+problemOf(err))
		return false
	}
	have := aws.ToString(identity.Account)
	if have == "" {
		*faults = append(*faults, "the account cannot be asked for: the answer names none")
		return false
	}
	if s.Account != have && s.Account != settings.PlaceholderAccount {
		*faults = append(*faults, fmt.Sprintf("the templates were made for account %s, the credentials are those of account %s", s.Account, have))
	}
	return s.Account == have
}

func checkBootstrap(ctx context.Context, stack assembly.Stack, parameters Parameters, faults *Faults) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	command := fmt.Sprintf("npx cdk bootstrap aws://%s/%s", stack.Account, stack.Region)
	found, err := parameters.GetParameter(ctx, &ssm.GetParameterInput{Name: &stack.BootstrapParameter})
	if _, missing := errors.AsType[*types.ParameterNotFound](err); missing {
		*faults = append(*faults, fmt.Sprintf("%s is not bootstrapped; run: %s", stack.Region, command))
		return
	}
	if err != nil {
		*faults = append(*faults, fmt.Sprintf("%s cannot be asked whether it is bootstrapped: %s", stack.Region, problemOf(err)))
		return
	}
	value := "unknown"
	if found.Parameter != nil {
		value = aws.ToString(found.Parameter.Value)
	}
	if version, err := strconv.Atoi(value); err != nil || version < stack.BootstrapVersion {
		*faults = append(*faults, fmt.Sprintf("%s is bootstrapped with version %s and needs %d; run: %s", stack.Region, value, stack.BootstrapVersion, command))
	}
}

func problemOf(err error) string { return operate.ExplainWithin(err, callTimeout).Text }
