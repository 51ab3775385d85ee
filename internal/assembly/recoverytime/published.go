package recoverytime

import "time"

// What no template says. Each number is AWS's, with the page that has it, or an assumption, with the reason for it. None is
// measured: measure them in rehearsals, and put here what was seen.

const (
	// A health checker has to connect within four seconds, and to be answered with a status within two more.
	checkConnect = 4 * time.Second
	checkAnswer  = 2 * time.Second
	sourceCheck  = `AWS: "How Amazon Route 53 determines whether a health check is healthy", Amazon Route 53 Developer Guide: connect in 4 s, answer in 2; the interval counts from answer to request`
)

// dnsSpread is how long Route 53 takes from the check that decides until its DNS servers answer differently.
var dnsSpread = Item{
	What: "Route 53: checkers and calculated check agree, DNS servers know", Takes: Time{5 * time.Second, 10 * time.Second},
	Sources: []string{`assumption: no time is published; checkers send their results to every DNS location all the time ("How Amazon Route 53 averts failover problems", Amazon Route 53 Developer Guide)`},
}

// sourceResolvers is why the TTL of the Region's record is that of the public name.
const sourceResolvers = `AWS: an alias to a record of its own zone has that record's TTL ("Choosing between alias and non-alias records", Amazon Route 53 Developer Guide); assumption: resolvers and clients obey it. Some keep an answer for longer: a JVM with a security manager keeps it for ever`

// clientRetry is what is left of a client's attempt when the answer of DNS changes, and the pause before the next attempt. It is
// the client's own and no time of the platform: whoever makes a first attempt then has no part of it.
var clientRetry = Item{
	What: "beside: the client's own retry", Takes: Time{3 * time.Second, 10 * time.Second},
	Sources: []string{"assumption: like the package client without its Regions, a client ends an attempt after 6 s, tries again within 4 and then asks DNS anew"},
}

// metricDelay is the time from the end of a period until the alarm has looked at it.
var metricDelay = Item{
	What: "CloudWatch: the metric arrives and is looked at", Takes: Time{60 * time.Second, 120 * time.Second},
	Sources: []string{
		`assumption: a metric arrives within a minute; API Gateway sends its own every minute ("Amazon API Gateway dimensions and metrics", Amazon API Gateway Developer Guide), the canary with each run`,
		`AWS: alarms are evaluated every minute ("Limits", Amazon CloudWatch User Guide)`,
	},
}

const (
	// silentPeriods is how many periods more than it evaluates an alarm looks back when data is missing. While one of them has a
	// good value, the alarm that takes missing data for bad stays as it is.
	silentPeriods = 2
	sourceSilent  = `assumption: an alarm looks back 2 periods more when data is missing, as in the examples of "Configuring how CloudWatch alarms treat missing data", Amazon CloudWatch User Guide`
)

// lagMetric is how old, in milliseconds, the oldest is that is not replicated. When nothing is replicated any more it either goes
// silent or grows by a second each second.
const lagMetric = "AuroraGlobalDBRPOLag"

// people is how long it takes from an alarm until somebody has started the plan. It is in no template and not the platform's, so
// it stands beside the way, and the way's verdict says what is left for it.
var people = Item{
	What: "beside: a person who has been told looks, decides and starts the plan", Takes: Time{3 * time.Minute, 5 * time.Minute},
	Sources: []string{"assumption: somebody is on call at all hours and answers an alarm within five minutes; e-mail alone does not wake anybody"},
	Decides: true,
}

// planStart is what the recovery plan takes by itself, from the trigger or the operator's call to its first step.
var planStart = Item{
	What: "the plan starts, and goes from step to step", Takes: Time{10 * time.Second, 30 * time.Second},
	Sources: []string{"assumption: no time is published for Region switch"},
}

// What a step of each kind usually takes. In the worst case it takes its limit, which the template has, or less if that is known.
const (
	promotionExpected = 3 * time.Minute
	sourcePromotion   = `AWS: a failover takes a few minutes as a rule ("Using switchover or failover in Amazon Aurora Global Database", Amazon Aurora User Guide), read as 3`
	mappingExpected   = 20 * time.Second
	mappingWorst      = time.Minute
	sourceMapping     = "assumption: a mapping is enabled in 20 s, in the worst case in a minute. No time is published; Terraform's acceptance tests, which wait for its states, create and delete one of a queue in 55 s, and create, disable, enable and delete one in 107 s (hashicorp/terraform-provider-aws#14746). The step's limit is longer, so that a slow change does not stop the plan"
	functionExpected  = 30 * time.Second
	sourceFunction    = "assumption: two hours of payments are compared in half a minute"
	trafficExpected   = 10 * time.Second
	sourceTraffic     = "assumption: as for other health checks; no time is published"
	sourceApproval    = "assumption: the second person is at hand and takes half of the limit"
)

const (
	// batchExpected is what one batch of the ledger takes with its way through SQS and Lambda. Against MariaDB on one machine the
	// database's part of 500 payments is 5 to 16 ms; there is no network and no commit over three zones in that.
	batchExpected = 500 * time.Millisecond
	sourceBatch   = "assumption: a full batch takes half a second from queue to commit"
	// ordinaryShare is the part of the API's limit that payments have on average over the day.
	ordinaryShare = 0.1
	sourceBacklog = "assumption: a tenth of api.throttlingRateLimit over the whole retention, at the most the limit itself"
)
