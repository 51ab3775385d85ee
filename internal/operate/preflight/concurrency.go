package preflight

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"

	"payments-dr/internal/assembly"
	"payments-dr/internal/payment/sessiontable"
	"payments-dr/internal/settings"
)

const (
	// unreservedConcurrency is what Lambda keeps for functions that reserve none ("Configuring reserved concurrency for a function",
	// AWS Lambda Developer Guide; "PutFunctionConcurrency", AWS Lambda API Reference). Accounts with a quota of 10 and of 50 have
	// been told of a minimum of 10 and of 50 (milliHQ/terraform-aws-next-js#251, awslabs/fhir-works-on-aws-deployment#691), which
	// leaves nothing to reserve either.
	unreservedConcurrency = 100
	// defaultConcurrency is Lambda's default quota in a Region ("Lambda quotas", AWS Lambda Developer Guide). New accounts have less.
	defaultConcurrency = 1000
	// concurrencyQuota is "Concurrent executions" of Lambda.
	concurrencyQuota = "L-B99A9384"
)

// concurrency is what Lambda runs at once in a Region, and what the templates reserve of it.
type concurrency struct {
	// limit is the quota, rest what is left of it without a reservation after the deployment.
	limit, rest int
	// reserved is what all functions of the templates reserve, more how much that is above what they reserve now.
	reserved, more int
	// processors is what the processor reserves.
	processors int
}

// checkConcurrency compares a Region's quota with what the functions reserve, and with the processors that wait for the session
// table when it does not answer.
func (c *check) checkConcurrency(ctx context.Context, region string) {
	n, err := c.concurrency(ctx, region)
	if err != nil || n == nil {
		c.unknown(region, "Lambda's concurrency quota cannot be read", err)
		return
	}
	api := c.settings.API
	least := api.LeastProcessorConcurrency()
	waiting := api.ThrottlingBurstLimit + api.ThrottlingRateLimit*int(sessiontable.RequestDeadline.Seconds())
	f := Finding{Region: region, Found: fmt.Sprintf("Lambda runs at most %d functions at once in this account and Region", n.limit)}
	switch {
	case n.more > 0 && n.rest < unreservedConcurrency:
		f.Level = Blocks
		f.Why = fmt.Sprintf("The functions reserve %d, which leaves %d for those without a reservation, and Lambda keeps %d for them.", n.reserved, n.rest, unreservedConcurrency)
		f.Fix = n.raise(region, unreservedConcurrency-n.rest)
		if n.processors > 0 {
			f.Fix += "\nor " + limitProcessors(api, n.rest+n.processors-unreservedConcurrency)
		}
	case n.processors == 0 && n.rest < waiting+unreservedConcurrency:
		f.Level = Warns
		f.Why = fmt.Sprintf("While the session table does not answer, up to %d processors wait for it. They leave nothing for relay, ledger, reconciliation and canary.", waiting)
		if n.rest < least {
			f.Why += fmt.Sprintf(" For the %d requests at once that the API lets through it is not enough either.", least)
		}
		fits := n.rest - unreservedConcurrency
		if fits < least {
			f.Fix = n.raise(region, least-fits)
			if raised := n.raised(least - fits); n.rest+raised-n.limit < waiting+unreservedConcurrency {
				f.Fix += "\nand, when it is granted, " + limitProcessors(api, n.rest+raised-n.limit-unreservedConcurrency)
			}
		}
		if fits > 0 {
			f.Fix = join(f.Fix, limitProcessors(api, fits))
		}
	default:
		return
	}
	c.add(f)
}

// join puts a second way behind a first, if there is one.
func join(first, second string) string {
	if first == "" {
		return second
	}
	return first + "\nor " + second
}

// raised is a quota that is higher by a number, and not below the default.
func (n concurrency) raised(by int) int { return max(n.limit+by, defaultConcurrency) }

// raise is the command that asks for it.
func (n concurrency) raise(region string, by int) string {
	return fmt.Sprintf("aws service-quotas request-service-quota-increase --region %s --service-code lambda --quota-code %s --desired-value %d",
		region, concurrencyQuota, n.raised(by))
}

// limitProcessors is the edit of the settings that reserves no more than fits.
func limitProcessors(api settings.API, fits int) string {
	least := api.LeastProcessorConcurrency()
	switch {
	case fits <= 0:
		return "set api.processorConcurrency in cdk.json to 0, which limits nothing"
	case fits > least:
		return fmt.Sprintf("set api.processorConcurrency in cdk.json to %d (up to %d fit)", least, fits)
	case fits == least:
		return fmt.Sprintf("set api.processorConcurrency in cdk.json to %d", least)
	}
	edit := fmt.Sprintf("set api.processorConcurrency and api.throttlingBurstLimit in cdk.json to %d", fits)
	if most := 2 * fits; api.ThrottlingRateLimit > most {
		edit += fmt.Sprintf(", and api.throttlingRateLimit to %d", most)
	}
	return edit
}

// concurrency reads a Region's quota and the functions' reservations. Without an error, nil says that the answer was empty.
func (c *check) concurrency(ctx context.Context, region string) (*concurrency, error) {
	answer, err := c.clients(region).lambda.GetAccountSettings(ctx, &lambda.GetAccountSettingsInput{})
	if err != nil || answer.AccountLimit == nil {
		return nil, err
	}
	n := &concurrency{limit: int(answer.AccountLimit.ConcurrentExecutions), rest: int(aws.ToInt32(answer.AccountLimit.UnreservedConcurrentExecutions))}
	processor := "payment-" + c.settings.Environment + "-processor"
	for _, function := range c.resources(region, "AWS::Lambda::Function") {
		name := assembly.Text(function.resource.Properties["FunctionName"])
		share, _ := function.resource.Properties["ReservedConcurrentExecutions"].(float64)
		want, has := int(share), 0
		if name == processor {
			n.processors = want
		}
		// What somebody has reserved by hand for another function stays.
		if (want > 0 || name == processor) && c.owned(function) {
			now, err := c.clients(region).lambda.GetFunctionConcurrency(ctx, &lambda.GetFunctionConcurrencyInput{FunctionName: &name})
			if err != nil && !absent(err) {
				return nil, err
			}
			if err == nil {
				has = int(aws.ToInt32(now.ReservedConcurrentExecutions))
			}
		}
		n.reserved += want
		n.more += want - has
	}
	n.rest -= n.more
	return n, nil
}
