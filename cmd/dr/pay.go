package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/spf13/cobra"

	"payments-dr/client"
	"payments-dr/internal/operate"
	"payments-dr/internal/payment"
	"payments-dr/internal/payment/public"
	"payments-dr/internal/settings"
)

func newPayCommand() *cobra.Command {
	var (
		env                          environment
		amount, code, region, id, to string
		yes                          bool
	)
	command := &cobra.Command{
		Use:   "pay",
		Short: "Send one signed payment, to see that payments are taken",
		Long: manual{
			does: "Send a payment through the public name, or to one Region, signed with the credentials that are there, and again until it is\n" +
				"accepted or refused: five times at the most, six seconds each. XTS is the currency that ISO 4217 keeps for tests: it is\n" +
				"recorded like any other and is no money. Any other is money, and wants --yes.",
			needs:  "cdk.json, and credentials that may call the payment API (execute-api:Invoke).",
			leaves: "a payment, for good, in session table and ledger.",
			ends: "0 if it was accepted, now or before; 1 if it was refused; 2 if it is none, or money without --yes; 3 if it is not\n" +
				"known whether it was accepted: sent again with its --transaction-id, it finds out.",
		}.String(),
		Example: "  dr pay\n  dr pay --region us-west-2 --transaction-id smoke-1",
		Args:    cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			s, err := env.settings()
			if err != nil {
				return err
			}
			fields := map[string]string{payment.AttributeAmount: amount, payment.AttributeCurrency: code}
			if id != "" {
				fields[payment.AttributeTransactionID] = id
			}
			body, err := json.Marshal(fields)
			if err != nil {
				return err
			}
			// What the API would refuse is refused here, with the same words.
			request, err := payment.ParseRequest(body)
			if err != nil {
				return exit(exitUsage, "%w", err)
			}
			if !payment.IsTest(request.Amount) && !yes {
				return exit(exitUsage, "%s is money and no test: %s is; if you mean it, --yes", request.Amount.CurrencyCode(), payment.TestCurrency)
			}
			if region != "" {
				i := slices.IndexFunc(s.Both(), func(r settings.Region) bool { return r.Name == region })
				if i < 0 {
					return exit(exitUsage, "--region is %q; allowed is %s or %s", region, s.Regions.Primary.Name, s.Regions.Secondary.Name)
				}
				to = s.RegionalAPIName(s.Both()[i])
			}
			ambient, err := awsConfig(command.Context())
			if err != nil {
				return err
			}
			// The client limits its attempts of one payment. Its limit over all payments is never reached by the only one.
			payments, err := client.New(client.Config{
				URL: "https://" + s.APIName(), DialHost: to, Credentials: aws.NewCredentialsCache(ambient.Credentials),
			})
			if err != nil {
				return err
			}
			accepted, err := payments.Pay(command.Context(), public.Request(request))
			if unavailable, unknown := errors.AsType[*client.UnavailableError](err); unknown {
				why := operate.ExplainWithin(err, client.DefaultAttemptTimeout).Text
				if unavailable.Message != "" {
					why += ": " + unavailable.Message
				}
				return exit(exitUnknown, "%s, after %d attempts in %v. It may have been accepted; find out with --transaction-id %s",
					why, unavailable.Attempts, unavailable.Latency.Round(100*time.Millisecond), request.TransactionID)
			}
			if errors.Is(err, client.ErrUnsigned) {
				return exit(exitUnknown, "not sent, no credentials: sign in, or set AWS_PROFILE")
			}
			if err != nil {
				return err
			}
			word := "accepted"
			if accepted.Replayed {
				word = "accepted before"
			}
			fmt.Fprintf(command.OutOrStdout(), "%s %s, %s: %s by %s; answered by %s in %d ms, attempts: %d\n", request.Amount.Number(), request.Amount.CurrencyCode(),
				request.TransactionID, word, accepted.AcceptedIn, accepted.Region, accepted.Latency.Milliseconds(), accepted.Attempts)
			return nil
		},
	}
	env.of(command)
	flags := command.Flags()
	flags.StringVar(&amount, "amount", "1.00", "how much")
	flags.StringVar(&code, "currency", payment.TestCurrency, "its currency")
	flags.StringVar(&region, "region", "", "the Region to send it to; empty: wherever the public name leads")
	complete(command, "region", env.regionNames)
	flags.StringVar(&id, "transaction-id", "", "the payment's identity, 1 to 255 letters, digits, _ and -; empty: a new one")
	flags.BoolVar(&yes, "yes", false, "send a payment that is money")
	return command
}
