package settings

import (
	"fmt"
	"net/mail"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"payments-dr/internal/payment/ledger/rdscertificates"
)

var (
	accountNumber   = regexp.MustCompile(`^\d{12}$`)
	environmentName = regexp.MustCompile(`^[a-z][a-z0-9]{0,9}$`)
	regionCode      = regexp.MustCompile(`^(af|ap|ca|eu|il|me|mx|sa|us)(-[a-z]+)+-\d$`)
	zoneName        = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])?$`)
	hostedZoneID    = regexp.MustCompile(`^Z[A-Z0-9]{1,31}$`)
	engineVersion   = regexp.MustCompile(`^8\.0\.mysql_aurora\.3\.\d+\.\d+$`)
	alarmPagesURL   = regexp.MustCompile(`^https://[^\s#"<>]+$`)
	principal       = regexp.MustCompile(`^(\d{12}|arn:aws:iam::\d{12}:(root|(role|user)/[A-Za-z0-9+=,.@_/-]{1,512}))$`)
	instanceClass   = regexp.MustCompile(`^db\.([a-z0-9]+)\.(large|\d*xlarge)$`)
)

// mostProcessorConcurrency is more than the requests that the API can have under way while each waits for the table: a burst of 5,000,
// and 10,000 a second for five seconds.
const mostProcessorConcurrency = 100_000

// check records every value that decoded but cannot stand.
func (s *Settings) check(prefix string, faults *Faults) {
	fault := func(key string, value any, allowed string, more ...any) {
		faults.add(prefix+key, value, fmt.Sprintf(allowed, more...))
	}
	within := func(key string, value, least, most int, why string) {
		if value < least || value > most {
			fault(key, value, "%d to %d%s", least, most, why)
		}
	}

	if !environmentName.MatchString(s.Environment) {
		faults.add("env", s.Environment, "a lower-case letter, then up to nine lower-case letters or digits")
	}
	s.checkRegions(fault)
	s.checkSession(fault)

	if !zoneName.MatchString(s.DNS.ZoneName) || len(s.RegionalAPIName(Region{Name: "ap-southeast-1"})) > 253 || strings.HasPrefix(s.DNS.ZoneName, "api.") {
		fault("dns.zoneName", s.DNS.ZoneName, "a domain name in lower case, without a dot at its end and without the \"api.\" that is put before it")
	}
	if id := s.DNS.HostedZoneID; id != "" && !hostedZoneID.MatchString(id) {
		fault("dns.hostedZoneId", id, "a public hosted zone's id, Z and up to 31 capital letters or digits, or nothing to have the zone made")
	}
	within("dns.ttlSeconds", s.DNS.TTLSeconds, 1, 60, " seconds")
	within("dns.failureThreshold", s.DNS.FailureThreshold, 2, 10, " failed checks in a row")
	within("network.natGatewaysPerRegion", s.Network.NATGatewaysPerRegion, 0, 3, ", one an Availability Zone at the most")

	if !engineVersion.MatchString(s.Database.EngineVersion) {
		fault("database.engineVersion", s.Database.EngineVersion, "an exact version of Aurora MySQL 3, such as 8.0.mysql_aurora.3.10.4: a recovery refuses members whose patch levels differ")
	}
	if v := s.Database.GlobalClusterEngineVersion; v != "" && !engineVersion.MatchString(v) {
		fault("database.globalClusterEngineVersion", v, "the exact version of Aurora MySQL 3 that the global cluster was created with, such as 8.0.mysql_aurora.3.10.4, or nothing for database.engineVersion")
	}
	if class := instanceClass.FindStringSubmatch(s.Database.InstanceClass); class == nil || !slices.Contains(InstanceClassFamilies, class[1]) {
		fault("database.instanceClass", s.Database.InstanceClass, "a class that a global database takes, such as db.r5.large, of the families %s", strings.Join(InstanceClassFamilies, ", "))
	}
	within("database.instancesPerRegion", s.Database.InstancesPerRegion, 1, 15, ": a secondary Region without an instance could not take over")
	within("database.backupRetentionDays", s.Database.BackupRetentionDays, RestoreWindowHours/24, 35,
		fmt.Sprintf(", the %d-hour restore window to Aurora's limit", RestoreWindowHours))

	within("api.throttlingRateLimit", s.API.ThrottlingRateLimit, 1, 10_000, " requests a second")
	within("api.throttlingBurstLimit", s.API.ThrottlingBurstLimit, 1, 5_000, " requests at once")
	within("api.requestsPerAddress", s.API.RequestsPerAddress, 100, 2_000_000_000, " requests in five minutes")
	if n, least := s.API.ProcessorConcurrency, s.API.LeastProcessorConcurrency(); n != 0 && (n < least || n > mostProcessorConcurrency) {
		fault("api.processorConcurrency", n, "0 for no limit, or %d to %d: at least api.throttlingBurstLimit, and half of api.throttlingRateLimit", least, mostProcessorConcurrency)
	}

	if role := s.Ledger.ActiveRegion; role != RolePrimary && role != RoleSecondary {
		fault("ledger.activeRegion", role, "%s or %s", RolePrimary, RoleSecondary)
	}
	within("ledger.queueRetentionHours", s.Ledger.QueueRetentionHours, 1, 14*24, " hours, SQS's limit")

	for i, address := range s.Alerts.EmailAddresses {
		parsed, err := mail.ParseAddress(address)
		if err != nil || parsed.Address != address || !zoneName.MatchString(strings.ToLower(address[strings.LastIndex(address, "@")+1:])) {
			fault(fmt.Sprintf("alerts.emailAddresses[%d]", i), address, "an e-mail address, such as oncall@payments.example.com")
		}
	}
	if u := s.Alerts.AlarmPagesURL; u != "" && !alarmPagesURL.MatchString(u) {
		fault("alerts.alarmPagesURL", u, "an address that starts with https:// and has no #, or nothing for %s", AlarmPagesFile)
	}
	within("alerts.monthlyBudgetUSD", s.Alerts.MonthlyBudgetUSD, 0, 10_000_000, " US dollars, 0 for no budget")
	if n := len(s.Alerts.EmailAddresses); s.Alerts.MonthlyBudgetUSD > 0 && (n == 0 || n > 10) {
		fault("alerts.emailAddresses", s.Alerts.EmailAddresses, "1 to 10 addresses with a budget, AWS Budgets' limit")
	}
	within("alarms.apiErrorPercent", s.Alarms.APIErrorPercent, 1, 100, " percent")
	within("alarms.apiLatencyMilliseconds", s.Alarms.APILatencyMilliseconds, 100, 29_000, " milliseconds, API Gateway's own limit")
	within("alarms.apiThrottledRequests", s.Alarms.APIThrottledRequests, 1, 1_000_000, " requests in five minutes")
	within("alarms.relayDelaySeconds", s.Alarms.RelayDelaySeconds, 1, 3600, " seconds")
	within("alarms.ledgerDelayMinutes", s.Alarms.LedgerDelayMinutes, 1, 720, " minutes")
	within("alarms.ledgerBacklogMessages", s.Alarms.LedgerBacklogMessages, 1, 10_000_000, " payments")
	within("alarms.replicationLagSeconds", s.Alarms.ReplicationLagSeconds, 1, max(1, s.Objectives.RPOMinutes*60), " seconds, the recovery point objective")
	within("alarms.databaseCPUPercent", s.Alarms.DatabaseCPUPercent, 1, 100, " percent")
	within("alarms.databaseConnectionPercent", s.Alarms.DatabaseConnectionPercent, 1, 100, " percent")
	within("alarms.databaseFreeMemoryPercent", s.Alarms.DatabaseFreeMemoryPercent, 1, 50, " percent")
	within("objectives.rpoMinutes", s.Objectives.RPOMinutes, 1, 5, " minutes, the platform's promise")
	within("objectives.rtoMinutes", s.Objectives.RTOMinutes, 1, 15, " minutes, the platform's promise")
	s.checkRecovery(within, fault)
	s.checkBackup(within, fault)
	if !slices.Contains(LogRetentionDays, s.Logs.RetentionDays) {
		fault("logs.retentionDays", s.Logs.RetentionDays, "one of %v, as CloudWatch Logs takes", LogRetentionDays)
	}
	if len(s.Tags) > 40 {
		fault("tags", len(s.Tags), "40 tags at the most: AWS takes 50, and some are its own")
	}
	for key, value := range s.Tags {
		if key == "" || len(key) > 128 || len(value) > 256 || strings.HasPrefix(strings.ToLower(key), "aws:") {
			fault("tags."+key, value, "a key of 1 to 128 characters that does not start with \"aws:\", and a value of up to 256")
		}
	}
	if s.Production {
		if !s.Database.DeletionProtection {
			fault("database.deletionProtection", false, "true in production")
		}
		if len(s.Alerts.EmailAddresses) == 0 {
			fault("alerts.emailAddresses", []string{}, "at least one address in production: an alarm that nobody gets is none")
		}
	}
}

func (s *Settings) checkRecovery(within func(key string, value, least, most int, why string), fault func(key string, value any, allowed string, more ...any)) {
	steps := s.Recovery.StepMinutes
	each := []struct {
		key   string
		value int
	}{
		{"approval", steps.Approval}, {"promotion", steps.Promotion}, {"ledger", steps.Ledger},
		{"reconciliation", steps.Reconciliation}, {"traffic", steps.Traffic},
	}
	most := max(1, s.Objectives.RTOMinutes)
	known := true
	for _, step := range each {
		if step.value < 1 || step.value > most {
			known = false
		}
		within("recovery.stepMinutes."+step.key, step.value, 1, most, " minutes, the recovery time objective")
	}
	if way := s.Recovery.LongestWay(); known && way > most {
		parts := "promotion, ledger and the longest of reconciliation, traffic and ledger"
		if !s.Recovery.Automatic {
			parts = "approval, " + parts
		}
		fault("recovery.stepMinutes", way, "steps that add up to objectives.rtoMinutes (%d) at the most: %s", s.Objectives.RTOMinutes, parts)
	}
	if !s.Recovery.Automatic {
		for i, p := range s.Operators.Approvers {
			if slices.Contains(s.Operators.Principals, p) && !accountNumber.MatchString(p) {
				fault(fmt.Sprintf("operators.approvers[%d]", i), p, "somebody who is not among operators.principals: who starts a recovery does not approve it")
			}
		}
	}
	for key, list := range map[string][]string{"principals": s.Operators.Principals, "approvers": s.Operators.Approvers} {
		for i, p := range list {
			if !principal.MatchString(p) {
				fault(fmt.Sprintf("operators.%s[%d]", key, i), p, "the ARN of an IAM role or user, or an account's 12 digits")
			} else if s.Production && strings.Contains(p, ":role/") {
				fault(fmt.Sprintf("operators.%s[%d]", key, i), p, "the ARN of an IAM user, or an account: in production a second factor is asked for, and a role's session carries none")
			}
		}
	}
}

func (s *Settings) checkBackup(within func(key string, value, least, most int, why string), fault func(key string, value any, allowed string, more ...any)) {
	within("backup.retentionDays", s.Backup.RetentionDays, RestoreWindowHours/24, MaxBackupRetentionDays, " days")
	switch s.Backup.Lock {
	case LockGovernance:
		if s.Backup.LockGraceDays != 0 {
			fault("backup.lockGraceDays", s.Backup.LockGraceDays, "nothing with %s: such a lock can be taken off on any day", LockGovernance)
		}
	case LockCompliance:
		within("backup.lockGraceDays", s.Backup.LockGraceDays, 3, 365,
			" days with "+string(LockCompliance)+", after which nobody, not AWS either, can undo the lock")
	default:
		fault("backup.lock", s.Backup.Lock, "%s or %s; after its grace days the latter cannot be undone by anybody, not by AWS either", LockGovernance, LockCompliance)
	}
}

func (s *Settings) checkRegions(fault func(key string, value any, allowed string, more ...any)) {
	regions := []struct {
		key string
		Region
	}{{"regions.primary.", s.Regions.Primary}, {"regions.secondary.", s.Regions.Secondary}}
	var ranges []netip.Prefix
	for _, region := range regions {
		if !regionCode.MatchString(region.Name) {
			fault(region.key+"name", region.Name, "the code of a commercial AWS Region, such as us-east-1")
		} else if !rdscertificates.HasRegion(region.Name) {
			fault(region.key+"name", region.Name, "a Region whose database certificates are in internal/payment/ledger/rdscertificates, which says how to add others")
		}
		network, err := netip.ParsePrefix(region.CIDR)
		switch {
		case err != nil, network != network.Masked(), !network.Addr().Is4(), !network.Addr().IsPrivate(), network.Bits() < 16, network.Bits() > 20:
			fault(region.key+"cidr", region.CIDR, "a private IPv4 range of /16 to /20 by its first address, such as 10.10.0.0/16")
		default:
			ranges = append(ranges, network)
		}
		if zones := region.AvailabilityZones; len(zones) != 3 {
			fault(region.key+"availabilityZones", zones, "three names of Availability Zones")
		}
		seen := map[string]bool{}
		for i, zone := range region.AvailabilityZones {
			letter, ok := strings.CutPrefix(zone, region.Name)
			if !ok || len(letter) != 1 || letter[0] < 'a' || letter[0] > 'z' || seen[zone] {
				fault(fmt.Sprintf("%savailabilityZones[%d]", region.key, i), zone, "a zone of the Region, each once: %s and a letter", region.Name)
			}
			seen[zone] = true
		}
	}
	if s.Regions.Primary.Name != "" && s.Regions.Primary.Name == s.Regions.Secondary.Name {
		fault("regions.secondary.name", s.Regions.Secondary.Name, "another Region than the primary")
	}
	if len(ranges) == 2 && ranges[0].Overlaps(ranges[1]) {
		fault("regions.secondary.cidr", s.Regions.Secondary.CIDR, "a range that does not overlap the primary's %s", s.Regions.Primary.CIDR)
	}
}

func (s *Settings) checkSession(fault func(key string, value any, allowed string, more ...any)) {
	switch s.Session.Consistency {
	case ConsistencyEventual:
		if s.Session.WitnessRegion != "" {
			fault("session.witnessRegion", s.Session.WitnessRegion, "nothing: an eventually consistent table has no witness")
		}
	case ConsistencyStrong:
		primary, secondary := s.Regions.Primary.Name, s.Regions.Secondary.Name
		set := strongRegionSet(primary)
		if set == nil || !slices.Contains(set, secondary) {
			fault("session.consistency", s.Session.Consistency, "eventual for the Regions %s and %s: strong is for two Regions of one set of %v", primary, secondary, strongRegionSets)
			return
		}
		if w := s.Session.WitnessRegion; !slices.Contains(set, w) || w == primary || w == secondary {
			fault("session.witnessRegion", w, "another Region of %v than the two that take payments", set)
		}
	default:
		fault("session.consistency", s.Session.Consistency, "%s or %s", ConsistencyStrong, ConsistencyEventual)
	}
}
