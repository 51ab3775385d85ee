package main

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"payments-dr/internal/operate"
	"payments-dr/internal/operate/preflight"
)

// zoneInterval is how long dr name-servers --wait waits between two looks. A zone appears within minutes of a deployment's start, and
// resolvers keep the answer that a name does not exist for up to 15 minutes (the SOA record of a Route 53 zone).
const zoneInterval = 15 * time.Second

// newNameServersCommand prints what the parent domain has to delegate to.
func newNameServersCommand() *cobra.Command {
	var env environment
	var wait bool
	command := &cobra.Command{
		Use:   "name-servers",
		Short: "Print the name servers of the hosted zone, and whether the parent domain delegates to them",
		Long: manual{
			does: "Find the hosted zone of dns.zoneName and print its four name servers: the NS record that the parent domain needs. A first\n" +
				"deployment waits for that record, because the certificates are validated in the zone. --wait waits until the deployment has made\n" +
				"the zone, and then until DNS has its name servers.",
			needs:  "cdk.json, and credentials that may route53:ListHostedZonesByName and route53:GetHostedZone.",
			leaves: leavesNothing,
			ends:   "0 if the zone is delegated, 1 if it is not or does not exist, 3 if nobody could be asked.",
		}.String(),
		Example: "  dr name-servers --wait",
		Args:    cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			ctx, out := command.Context(), command.OutOrStdout()
			s, err := env.settings()
			if err != nil {
				return err
			}
			ambient, err := awsConfig(ctx)
			if err != nil {
				return err
			}
			if err := operate.SignedIn(ctx, ambient.Credentials); err != nil {
				return failed(ctx, "the name servers are not known", err)
			}
			shown := ""
			for {
				zone, have, err := preflight.Delegation(ctx, ambient, net.DefaultResolver, s)
				switch {
				case errors.Is(err, preflight.ErrNoZone):
				case err != nil:
					return failed(ctx, "the name servers are not known", err)
				default:
					if zone.ID != shown {
						shown = zone.ID
						fmt.Fprintf(out, "hosted zone %s of %s\n\n  %s\n\n", zone.ID, s.DNS.ZoneName, strings.Join(zone.NameServers, "\n  "))
					}
					if slices.Equal(have, zone.NameServers) {
						fmt.Fprintln(out, "The zone is delegated: DNS has these name servers.")
						return nil
					}
					err = fmt.Errorf("%s is not delegated to them; put them as its NS record into the parent domain", s.DNS.ZoneName)
					if len(have) > 0 {
						err = fmt.Errorf("%s is delegated to %s; change its NS record in the parent domain", s.DNS.ZoneName, strings.Join(have, " "))
					}
				}
				if !wait {
					return err
				}
				fmt.Fprintf(out, "%s  %v\n", time.Now().UTC().Format(time.TimeOnly), err)
				select {
				case <-ctx.Done():
					return ctx.Err()
				case <-time.After(zoneInterval):
				}
			}
		},
	}
	env.of(command)
	command.Flags().BoolVar(&wait, "wait", false, "wait until the zone exists and is delegated")
	return command
}
