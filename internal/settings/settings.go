// Package settings holds everything that a deployment of the payments platform may choose, reads it from the context of the
// CDK app (cdk.json and -c), and checks all of it before anything is built.
package settings

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// PlaceholderAccount stands for the AWS account while none is known, so that synthesis needs no credentials. AWS gives no
// account this number; a template that carries it can be reviewed but not deployed.
const PlaceholderAccount = "000000000000"

// GlobalRegion is where the global stack lives: Route 53 publishes the metrics of its health checks in us-east-1 and
// nowhere else ("Monitoring health checks using CloudWatch", Amazon Route 53 Developer Guide).
const GlobalRegion = "us-east-1"

// RestoreWindowHours is how far back the platform promises to bring its data, on any day.
const RestoreWindowHours = 72

// Settings is one environment, whole. Every value has passed the checks of Load.
type Settings struct {
	// Environment is the environment's name, a key of "environments": a lower-case letter, then up to nine lower-case
	// letters or digits, because it becomes part of physical names.
	Environment string `json:"environment"`
	// Account is the AWS account's 12 digits. Empty in the context means: the account of the ambient credentials, which
	// the CDK CLI hands over, or PlaceholderAccount.
	Account string `json:"account" settings:"optional"`
	// Production switches on what protects live payments from a slip: termination protection of the stacks, retained data,
	// deletion protection of the database (required), and at least one alert address (required).
	Production bool `json:"production"`
	// Regions are the two Regions that take payments.
	Regions Regions `json:"regions"`
	// DNS is where the platform's public name lives.
	DNS DNS `json:"dns"`
	// Network is what both Regions' networks have in common.
	Network Network `json:"network"`
	// Database is the Aurora MySQL global database.
	Database Database `json:"database"`
	// Session is the DynamoDB global table that accepts payments.
	Session Session `json:"session"`
	// API is the payment API.
	API API `json:"api"`
	// Ledger is the record of payments in the database.
	Ledger Ledger `json:"ledger"`
	// Alerts is who is told.
	Alerts Alerts `json:"alerts"`
	// Alarms is when they are told.
	Alarms Alarms `json:"alarms"`
	// Objectives are the recovery objectives that the platform is measured against.
	Objectives Objectives `json:"objectives"`
	// Recovery is how a recovery of the ledger starts, and what its steps may take.
	Recovery Recovery `json:"recovery"`
	// Operators are who may move a Region.
	Operators Operators `json:"operators"`
	// Backup is the AWS Backup plan.
	Backup Backup `json:"backup"`
	// Logs is how long logs are kept.
	Logs Logs `json:"logs"`
	// Tags are put on every resource of the three stacks. Up to 40; keys of up to 128 characters that do not start with
	// "aws:", values of up to 256.
	Tags map[string]string `json:"tags" settings:"optional"`
}

// Regions names the two Regions. Primary and secondary say where the database starts and which of the failover records is
// preferred; after a recovery the roles are swapped, the names are not.
type Regions struct {
	Primary   Region `json:"primary"`
	Secondary Region `json:"secondary"`
}

// Region is one of the two Regions.
type Region struct {
	// Name is the Region's code, such as us-east-1.
	Name string `json:"name"`
	// CIDR is the network's IPv4 range, private, /16 to /20: nine subnets are cut from it. The two Regions' ranges do not
	// overlap, so that the networks can be peered.
	CIDR string `json:"cidr"`
	// AvailabilityZones are three zones of the Region, by name, so that synthesis asks AWS for nothing.
	AvailabilityZones []string `json:"availabilityZones"`
}

// DNS is the public name.
type DNS struct {
	// ZoneName is the hosted zone's name; payments go to api.<ZoneName>.
	ZoneName string `json:"zoneName"`
	// HostedZoneID is an existing public hosted zone's id. Empty: the app makes the zone.
	HostedZoneID string `json:"hostedZoneId" settings:"optional"`
	// TTLSeconds is how long resolvers and clients may keep the public name's answer, 1 to 60. Payments are back that much sooner when
	// a Region is lost. Each resolver asks again that often, and Route 53 charges for the queries.
	TTLSeconds int `json:"ttlSeconds"`
	// FailureThreshold is how many health checks in a row have to fail before a Region counts as lost, 2 to 10. They are 10 seconds
	// apart. One may be a lost packet. Each of Route 53's checkers counts for itself, and a Region is lost when 82 % of them or more
	// say so.
	FailureThreshold int `json:"failureThreshold"`
}

// Network is what both Regions' networks have in common.
type Network struct {
	// NATGatewaysPerRegion is 0 to 3. One gateway is a single Availability Zone's risk, three are none. With 0 the functions
	// have no way to the internet; the platform's own need none.
	NATGatewaysPerRegion int `json:"natGatewaysPerRegion"`
}

// Database is the Aurora MySQL global database.
type Database struct {
	// EngineVersion is exact, such as 8.0.mysql_aurora.3.10.4: managed switchover and failover refuse members whose patch
	// levels differ ("Managed cross-Region database switchover", Amazon Aurora User Guide).
	// Both members have it. To raise it, see "Raise the engine version" in docs/use/deploy.md.
	EngineVersion string `json:"engineVersion"`
	// GlobalClusterEngineVersion is the version that the global cluster was created with. It is set before the first change of
	// EngineVersion and then stays: RDS does not take a minor upgrade of the global cluster itself, only of its members
	// ("ModifyGlobalCluster", Amazon RDS API Reference). Empty: EngineVersion.
	GlobalClusterEngineVersion string `json:"globalClusterEngineVersion" settings:"optional"`
	// InstanceClass is a class that a global database takes; see InstanceClassFamilies.
	InstanceClass string `json:"instanceClass"`
	// InstancesPerRegion is 1 to 15, the writer among them. A secondary Region always has a real instance: a cluster
	// without one would have to make it in the middle of a recovery.
	InstancesPerRegion int `json:"instancesPerRegion"`
	// BackupRetentionDays is the window of point-in-time recovery, 3 (the 72-hour restore window) to 35 (Aurora's limit).
	BackupRetentionDays int `json:"backupRetentionDays"`
	// DeletionProtection refuses the deletion of clusters and table. Required in production.
	DeletionProtection bool `json:"deletionProtection"`
}

// CreationEngineVersion is the version that the global cluster was, or will be, created with.
func (d Database) CreationEngineVersion() string {
	return cmp.Or(d.GlobalClusterEngineVersion, d.EngineVersion)
}

// Consistency is how the session table's replicas agree.
type Consistency string

const (
	// ConsistencyStrong acknowledges a write when it is in two Regions: an acknowledged payment is never lost, and the
	// same payment sent to both Regions is accepted once.
	ConsistencyStrong Consistency = "strong"
	// ConsistencyEventual acknowledges a write in one Region and copies it to the other, usually within a second or two.
	// The loss of a Region can take its last acknowledged payments along.
	ConsistencyEventual Consistency = "eventual"
)

// Session is the session table.
type Session struct {
	// Consistency is ConsistencyStrong or ConsistencyEventual. A table keeps the mode it was made with.
	Consistency Consistency `json:"consistency"`
	// WitnessRegion is the third Region of a strong table. It holds no readable data. Empty when eventual.
	WitnessRegion string `json:"witnessRegion" settings:"optional"`
}

// API is the payment API of each Region.
type API struct {
	// ThrottlingRateLimit is requests a second, over all clients, 1 to 10,000 (the account's default quota in a Region).
	ThrottlingRateLimit int `json:"throttlingRateLimit"`
	// ThrottlingBurstLimit is how many requests may come at once, 1 to 5,000 (the account's default quota in a Region).
	ThrottlingBurstLimit int `json:"throttlingBurstLimit"`
	// RequestsPerAddress is how many requests one IP address may send in five minutes before the Web ACL blocks it, 100
	// to 2,000,000,000.
	RequestsPerAddress int `json:"requestsPerAddress"`
	// ProcessorConcurrency is the most processors that a Region runs at once. Lambda reserves as many executions for them,
	// and keeps 100 of the account's quota for functions without a reservation. While the session table does not answer, each request
	// holds a processor for five seconds. Without the limit they can take the whole quota, and relay, ledger, reconciliation and canary
	// stand still. It is at least ThrottlingBurstLimit, and half of ThrottlingRateLimit, so that ordinary load does not meet it. 900 is
	// the most that Lambda's default quota of 1,000 allows. 0 is no limit: of a quota of 100 or less, and a new account may have 10,
	// nothing can be reserved; and a quota far above the throttling needs none. dr preflight compares it with the quotas of both Regions.
	ProcessorConcurrency int `json:"processorConcurrency"`
}

// LeastProcessorConcurrency is the smallest ProcessorConcurrency other than 0. Too many requests at once are then refused by the API
// and not by Lambda: the API answers 429, which says that the payment was not accepted, and Lambda's refusal is a 5xx, which does not,
// and which DNS counts against the Region. Half a second a request is many times what one takes: a Region of which DNS has to think
// that it is lost, because half of its answers are 5xx, would need a second for each.
func (a API) LeastProcessorConcurrency() int {
	return max(a.ThrottlingBurstLimit, (a.ThrottlingRateLimit+1)/2)
}

// Role is one of the two places that a Region has in the settings.
type Role string

const (
	RolePrimary   Role = "primary"
	RoleSecondary Role = "secondary"
)

// Ledger is the record of payments in the database.
type Ledger struct {
	// ActiveRegion is the Region whose ledger function is switched on, RolePrimary or RoleSecondary: the one whose cluster is
	// the writer. The recovery plan moves both; after a recovery that is to last, this setting follows, or the next
	// deployment that changes the mapping would switch the function back.
	ActiveRegion Role `json:"activeRegion"`
	// QueueRetentionHours is how long a payment waits for the ledger, 1 to 336 (SQS's limit). In the active Region the queue
	// outlasts an outage of the database of half as long; what it has then tried in vain goes to the dead-letter queue. In the
	// standby it is how much there is to work off after a promotion, almost all of it recorded already: a few hours and no more.
	// The table is the record. What no queue holds any more, the reconciliation takes from there, and alarms page long before,
	// on a queue whose oldest payment is Alarms.LedgerDelayMinutes old.
	QueueRetentionHours int `json:"queueRetentionHours"`
}

// Alerts is who is told.
type Alerts struct {
	// EmailAddresses get every alarm, each after its owner has confirmed the subscription.
	EmailAddresses []string `json:"emailAddresses"`
	// AlarmPagesURL is where docs/operate/alarms.md can be read, for the links in the alarms: an address that starts with https://, or empty
	// for the path of the file in the repository. The alarm's section comes after it as #section.
	AlarmPagesURL string `json:"alarmPagesURL" settings:"optional"`
	// MonthlyBudgetUSD is how many US dollars the whole account may cost a month. The addresses get a message at 80 % spent and at
	// 100 % forecast, 0 to 10,000,000. 0 is no budget.
	MonthlyBudgetUSD int `json:"monthlyBudgetUSD" settings:"optional"`
}

// Alarms is when somebody is told: the thresholds that depend on the load and on what its owners promise. The others are constants
// beside the alarms that use them.
type Alarms struct {
	// APIErrorPercent is the share of requests that the API may answer with 5xx, 1 to 100.
	APIErrorPercent int `json:"apiErrorPercent"`
	// APILatencyMilliseconds is how long the slowest of a hundred answers, or one to the canary, may take, 100 to 29,000.
	APILatencyMilliseconds int `json:"apiLatencyMilliseconds"`
	// APIThrottledRequests is how many requests throttled in five minutes are too many, 1 to 1,000,000.
	APIThrottledRequests int `json:"apiThrottledRequests"`
	// RelayDelaySeconds is how long an accepted payment may wait in the table's stream, 1 to 3,600.
	RelayDelaySeconds int `json:"relayDelaySeconds"`
	// LedgerDelayMinutes is how long an accepted payment may wait in the ledger's queue, 1 to 720.
	LedgerDelayMinutes int `json:"ledgerDelayMinutes"`
	// LedgerBacklogMessages is how many payments may wait there, 1 to 10,000,000.
	LedgerBacklogMessages int `json:"ledgerBacklogMessages"`
	// ReplicationLagSeconds is how far the secondary's database, or an eventually consistent table, may be behind the other Region,
	// 1 up to the recovery point objective.
	ReplicationLagSeconds int `json:"replicationLagSeconds"`
	// DatabaseCPUPercent is how busy an instance's processors may be, 1 to 100.
	DatabaseCPUPercent int `json:"databaseCPUPercent"`
	// DatabaseConnectionPercent is how many of the connections that an instance of the class takes may be in use, 1 to 100.
	DatabaseConnectionPercent int `json:"databaseConnectionPercent"`
	// DatabaseFreeMemoryPercent is how much of an instance's memory has to be free, 1 to 50.
	DatabaseFreeMemoryPercent int `json:"databaseFreeMemoryPercent"`
}

// Objectives are the recovery objectives, in minutes.
type Objectives struct {
	// RPOMinutes is how many minutes of payments a lost Region may take along, 1 to 5.
	RPOMinutes int `json:"rpoMinutes"`
	// RTOMinutes is how long payments or the ledger may be away, 1 to 15.
	RTOMinutes int `json:"rtoMinutes"`
}

// Recovery is how the ledger's recovery starts, and what its steps may take. Payments move by DNS, always without anybody.
type Recovery struct {
	// Automatic lets an alarm start the recovery plan, without approval and accepting the loss of what the other Region had
	// not replicated; the database then fails over, and does not switch over, in planned moves too. Otherwise one person starts it
	// and another approves.
	Automatic bool `json:"automatic"`
	// StepMinutes are the limits of the plan's steps. Those on the way from start to end add up to no more than
	// objectives.rtoMinutes.
	StepMinutes StepMinutes `json:"stepMinutes"`
}

// StepMinutes is how long each step of the recovery plan may take before it counts as failed, in whole minutes, 1 or more.
type StepMinutes struct {
	// Approval is how long the second person has. It does not count when the recovery is automatic.
	Approval int `json:"approval"`
	// Promotion is Aurora's switchover or failover. Either usually takes a few minutes ("Using switchover or failover in Amazon
	// Aurora Global Database", Amazon Aurora User Guide).
	Promotion int `json:"promotion"`
	// Ledger is switching a ledger mapping on or off. A mapping changes its state in the background, in a minute as far as is known;
	// if the step runs out of time, the plan stops until a person goes on.
	Ledger int `json:"ledger"`
	// Reconciliation compares table and ledger.
	Reconciliation int `json:"reconciliation"`
	// Traffic turns the plan's health checks.
	Traffic int `json:"traffic"`
}

// LongestWay is how long a whole execution of the plan may take: the last three steps run beside one another.
func (r Recovery) LongestWay() int {
	steps := r.StepMinutes
	way := steps.Promotion + steps.Ledger + max(steps.Reconciliation, steps.Traffic, steps.Ledger)
	if !r.Automatic {
		way += steps.Approval
	}
	return way
}

// Operators are who may move a Region: IAM principals, as ARNs of roles or users or as 12-digit accounts. None means the
// platform's own account, whose policies then say who. In production each needs to have signed in with multi-factor
// authentication, which the session of a role does not carry ("AssumeRole", AWS STS API Reference), so that roles are refused
// there. Nobody is in both lists by name.
type Operators struct {
	// Principals may assume the operator's role of each Region: run and watch the recovery plan, and start a restore.
	Principals []string `json:"principals"`
	// Approvers may approve an execution of the recovery plan, and skip a step of it.
	Approvers []string `json:"approvers"`
}

// Backup is the AWS Backup plan.
type Backup struct {
	// RetentionDays is how long each recovery point, its copy in the other Region and the bus's archive are kept, 3 to MaxBackupRetentionDays.
	// Under a lock no recovery point is kept for less.
	RetentionDays int `json:"retentionDays"`
	// Lock is LockGovernance or LockCompliance.
	Lock LockMode `json:"lock"`
	// LockGraceDays is how many days after its deployment a compliance lock can still be taken off, 3 (AWS Backup's own minimum)
	// to 365. Missing, or 0, with LockGovernance.
	LockGraceDays int `json:"lockGraceDays" settings:"optional"`
}

// MaxBackupRetentionDays is the longest that recovery points may be asked to be kept. A lock admits as much, so that the
// retention can be raised under one that cannot be changed any more.
const MaxBackupRetentionDays = 365

// LockMode is who can take the lock off a backup vault ("AWS Backup Vault Lock", AWS Backup Developer Guide).
type LockMode string

const (
	// LockGovernance can be changed and taken off by whoever has the permission.
	LockGovernance LockMode = "governance"
	// LockCompliance cannot be undone. When the grace days are over, nobody can take the lock off, shorten the retention or delete a
	// recovery point before its time: not the account's root user, and not AWS. What it keeps is paid for until then.
	LockCompliance LockMode = "compliance"
)

// Logs is how long logs are kept.
type Logs struct {
	// RetentionDays is one of the retentions that CloudWatch Logs takes; see LogRetentionDays.
	RetentionDays int `json:"retentionDays"`
}

// APIName is the public name that clients pay at.
func (s *Settings) APIName() string { return "api." + s.DNS.ZoneName }

// AlarmPagesFile is where the alarms are explained, in the repository.
const AlarmPagesFile = "docs/operate/alarms.md"

// AlarmPagesURL is where the alarms are explained.
func (s *Settings) AlarmPagesURL() string { return cmp.Or(s.Alerts.AlarmPagesURL, AlarmPagesFile) }

// RegionalAPIName is the name that leads to one Region's API, healthy or not. It is a place in the tree of DNS records, and how
// to reach a given Region: connect to it, and ask it for APIName, which is the name in its certificate.
func (s *Settings) RegionalAPIName(region Region) string {
	return region.Name + ".region." + s.APIName()
}

// SteadyRegionalAPIName is the name that is healthy while a Region is, and has been for a while.
func (s *Settings) SteadyRegionalAPIName(region Region) string {
	return region.Name + "." + s.SteadyAPIName()
}

// PlanAPIName is the name that leads to the Region that the recovery plan has chosen, as long as that is steady.
func (s *Settings) PlanAPIName() string { return "planned." + s.APIName() }

// SteadyAPIName is the name that leads to a steady Region, the plan's if it can.
func (s *Settings) SteadyAPIName() string { return "steady." + s.APIName() }

// FallbackAPIName is the name that leads to a Region when none is steady.
func (s *Settings) FallbackAPIName() string { return "fallback." + s.APIName() }

// APIGatewayName is the name of each Region's REST API, in its metrics too.
func (s *Settings) APIGatewayName() string { return "payment-" + s.Environment }

// StackName is the name of one of the environment's stacks; role is "primary", "secondary" or "global".
func (s *Settings) StackName(role string) string {
	return fmt.Sprintf("payment-%s-%s", s.Environment, role)
}

// Both are the two Regions, primary first.
func (s *Settings) Both() []Region { return []Region{s.Regions.Primary, s.Regions.Secondary} }

// ActiveRegion is the Region whose ledger function is switched on.
func (s *Settings) ActiveRegion() Region {
	if s.Ledger.ActiveRegion == RoleSecondary {
		return s.Regions.Secondary
	}
	return s.Regions.Primary
}

// Other is the Region that the given one is not.
func (s *Settings) Other(region Region) Region {
	if region.Name == s.Regions.Primary.Name {
		return s.Regions.Secondary
	}
	return s.Regions.Primary
}

// InstanceClassFamilies are the families of database instances that an Aurora MySQL global database takes on version 3 of
// the engine: memory-optimised from db.r5 up. It takes no burstable class (db.t3, db.t4g) and no older one (db.r3, db.r4)
// ("Configuration requirements of an Amazon Aurora global database", Amazon Aurora User Guide).
var InstanceClassFamilies = []string{"r5", "r6g", "r6i", "r7g", "r7i", "r8g", "x2g"}

// LogRetentionDays are the retentions that CloudWatch Logs takes ("PutRetentionPolicy", CloudWatch Logs API Reference),
// from three days, the restore window, up.
var LogRetentionDays = []int{3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653}

// strongRegionSets are the sets within which a table can be strongly consistent over Regions ("Multi-Region strong
// consistency", Amazon DynamoDB Developer Guide): replicas and witness all come from one set.
var strongRegionSets = [][]string{
	{"us-east-1", "us-east-2", "us-west-2"},
	{"eu-west-1", "eu-west-2", "eu-west-3", "eu-central-1"},
	{"ap-northeast-1", "ap-northeast-2", "ap-northeast-3"},
}

func strongRegionSet(region string) []string {
	for _, set := range strongRegionSets {
		if slices.Contains(set, region) {
			return set
		}
	}
	return nil
}

// ReservedName reports whether no such name can ever be delegated on the internet (RFC 2606, RFC 6761, RFC 6762, RFC 8375,
// RFC 9476 and ICANN's "internal"), so that a certificate for it would wait for its validation for ever.
func ReservedName(name string) bool {
	labels := strings.Split(strings.TrimSuffix(strings.ToLower(name), "."), ".")
	switch labels[len(labels)-1] {
	case "test", "example", "invalid", "localhost", "local", "internal", "arpa", "onion", "alt":
		return true
	}
	if len(labels) < 2 {
		return true
	}
	switch strings.Join(labels[len(labels)-2:], ".") {
	case "example.com", "example.net", "example.org":
		return true
	}
	return false
}
