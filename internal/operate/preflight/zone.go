package preflight

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/route53"
	route53types "github.com/aws/aws-sdk-go-v2/service/route53/types"

	"payments-dr/internal/operate"
	"payments-dr/internal/settings"
)

// Zone is a public hosted zone.
type Zone struct {
	ID string `json:"id"`
	// NameServers are in the order of their names, without the dot at the end.
	NameServers []string `json:"nameServers"`
}

// Zones are the public hosted zones of a name in the account of a configuration. Route 53 allows several.
func Zones(ctx context.Context, config aws.Config, name string) ([]Zone, error) {
	client := dns(config, settings.GlobalRegion)
	in := &route53.ListHostedZonesByNameInput{DNSName: aws.String(dotted(name))}
	var all []Zone
	for {
		page, err := client.ListHostedZonesByName(ctx, in)
		if err != nil {
			return nil, fmt.Errorf("list hosted zones: %w", err)
		}
		for _, zone := range page.HostedZones {
			if !strings.EqualFold(aws.ToString(zone.Name), dotted(name)) {
				return all, nil // they are in the order of their names, and the first is the one asked for
			}
			if zone.Config != nil && zone.Config.PrivateZone {
				continue
			}
			_, found, err := hostedZone(ctx, client, aws.ToString(zone.Id))
			if err != nil {
				return nil, err
			}
			all = append(all, found)
		}
		if !page.IsTruncated {
			return all, nil
		}
		in.DNSName, in.HostedZoneId = page.NextDNSName, page.NextHostedZoneId
	}
}

func hostedZone(ctx context.Context, client *route53.Client, id string) (*route53types.HostedZone, Zone, error) {
	answer, err := client.GetHostedZone(ctx, &route53.GetHostedZoneInput{Id: &id})
	if err != nil {
		return nil, Zone{}, fmt.Errorf("read hosted zone: %w", err)
	}
	zone := Zone{ID: strings.TrimPrefix(id, "/hostedzone/")}
	if answer.DelegationSet != nil {
		zone.NameServers = servers(answer.DelegationSet.NameServers)
	}
	return answer.HostedZone, zone, nil
}

// Delegated are the name servers that the public DNS has for a name: none if it is not delegated, or if the servers it is delegated
// to do not know it.
func Delegated(ctx context.Context, resolver Resolver, name string) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	found, err := resolver.LookupNS(ctx, dotted(name))
	if unknown, ok := errors.AsType[*net.DNSError](err); ok && !unknown.IsTimeout {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("ask DNS for the name servers of %s: %w", name, err)
	}
	var hosts []string
	for _, one := range found {
		hosts = append(hosts, one.Host)
	}
	return servers(hosts), nil
}

// ErrNoZone is that a hosted zone does not exist.
var ErrNoZone = errors.New("there is no hosted zone")

// Delegation is the hosted zone that the settings choose, and the name servers that DNS has for its name. The error is ErrNoZone if
// there is none yet; if there are several, and the settings choose none, it names them.
func Delegation(ctx context.Context, config aws.Config, resolver Resolver, s *settings.Settings) (zone Zone, have []string, err error) {
	zones, err := Zones(ctx, config, s.DNS.ZoneName)
	if err != nil {
		return zone, nil, err
	}
	if s.DNS.HostedZoneID != "" {
		zones = slices.DeleteFunc(zones, func(z Zone) bool { return z.ID != s.DNS.HostedZoneID })
	}
	if len(zones) == 0 {
		return zone, nil, fmt.Errorf("%w of %s", ErrNoZone, s.DNS.ZoneName)
	}
	if len(zones) > 1 {
		var each []string
		for _, one := range zones {
			each = append(each, one.ID+" ("+strings.Join(one.NameServers, " ")+")")
		}
		return zone, nil, &operate.Problem{Kind: operate.KindRefused, Text: fmt.Sprintf("there are %d hosted zones of %s: %s; set dns.hostedZoneId in cdk.json to the one that is delegated",
			len(zones), s.DNS.ZoneName, strings.Join(each, ", "))}
	}
	have, err = Delegated(ctx, resolver, s.DNS.ZoneName)
	return zones[0], have, err
}

func dotted(name string) string { return strings.TrimSuffix(name, ".") + "." }

func servers(hosts []string) []string {
	var all []string
	for _, host := range hosts {
		all = append(all, strings.ToLower(strings.TrimSuffix(host, ".")))
	}
	slices.Sort(all)
	return all
}

// checkZone finds the zone that the deployment will use, and whether the certificates can be validated in it.
func (c *check) checkZone(ctx context.Context) {
	name := c.settings.DNS.ZoneName
	if name == "" {
		return
	}
	if id := c.settings.DNS.HostedZoneID; id != "" {
		c.checkChosenZone(ctx, name, id)
		return
	}
	zones, err := Zones(ctx, c.config, name)
	if err != nil {
		c.unknown("", "the hosted zones of "+name+" cannot be read", err)
		return
	}
	var own, policy string
	for _, zone := range c.resources("", "AWS::Route53::HostedZone") {
		policy = kept(zone.resource)
		own = c.deployed[zone.stack.Name].resources[zone.id].physicalID
	}
	var others []string
	for _, zone := range zones {
		if zone.ID == own {
			c.checkDelegation(ctx, name, zone)
		} else {
			others = append(others, zone.ID)
		}
	}
	switch {
	case own == "" && len(others) > 0:
		c.add(Finding{Level: Blocks, Found: fmt.Sprintf("hosted zone %s of %s exists and does not belong to the stack", strings.Join(others, " and "), name),
			Why: "The deployment would make a second zone with other name servers, and its certificates would wait for a delegation of that one.",
			Fix: fmt.Sprintf("set dns.hostedZoneId to %q in cdk.json, and run make synth", others[0]), Kept: policy})
	case own == "":
		c.add(Finding{Level: Warns, Found: "the deployment makes the hosted zone " + name + ", and waits until it is delegated",
			Why: "The certificates are validated in the zone.", Fix: "while the deployment runs: dr name-servers --wait\nthen put the four name servers as an NS record into the parent domain"})
	}
}

func (c *check) checkChosenZone(ctx context.Context, name, id string) {
	found, zone, err := hostedZone(ctx, dns(c.config, settings.GlobalRegion), id)
	wrong := func(what, fix string) {
		c.add(Finding{Level: Blocks, Found: what, Why: "The certificates' and the public name's records go into this zone.", Fix: fix})
	}
	list := "aws route53 list-hosted-zones-by-name --dns-name " + name
	switch {
	case absent(err) || err != nil && strings.Contains(err.Error(), "InvalidInput"):
		wrong(fmt.Sprintf("dns.hostedZoneId %q is not a hosted zone of this account", id), "set dns.hostedZoneId in cdk.json to an id from: "+list+"\nor to \"\", and the deployment makes the zone")
	case err != nil:
		c.unknown("", "hosted zone "+id+" cannot be read", err)
	case !strings.EqualFold(aws.ToString(found.Name), dotted(name)):
		wrong(fmt.Sprintf("dns.hostedZoneId %q is the zone of %s, and dns.zoneName is %s", id, strings.TrimSuffix(aws.ToString(found.Name), "."), name), "set both in cdk.json to the same zone; find its id: "+list)
	case found.Config != nil && found.Config.PrivateZone:
		wrong(fmt.Sprintf("dns.hostedZoneId %q is a private zone", id), "set dns.hostedZoneId in cdk.json to a public zone from: "+list)
	default:
		c.checkDelegation(ctx, name, zone)
	}
}

func (c *check) checkDelegation(ctx context.Context, name string, zone Zone) {
	have, err := Delegated(ctx, c.resolver, name)
	if err != nil {
		c.unknown("", "whether "+name+" is delegated cannot be found out", err)
		return
	}
	if slices.Equal(have, zone.NameServers) {
		return
	}
	f := Finding{Level: Warns, Found: "DNS has no name servers for " + name, Why: "Certificates wait until the parent domain delegates " + name + " to hosted zone " + zone.ID + ".",
		Fix: "put these name servers as the NS record of " + name + " into the parent domain: " + strings.Join(zone.NameServers, " ")}
	if len(have) > 0 {
		f.Found = fmt.Sprintf("DNS has other name servers for %s than hosted zone %s: %s", name, zone.ID, strings.Join(have, " "))
	}
	c.add(f)
}
