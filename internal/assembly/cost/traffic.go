package cost

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"payments-dr/internal/assembly"
	"payments-dr/internal/settings"
)

// What requests, invocations and payments need is not in the templates. Nothing here has been measured on AWS: measure it, and put
// here what was seen.
const (
	assumePayment   = "a payment is an item of less than 1 KB, with its index 1.2 KB in the table, and 1 KB in the database"
	assumeProcessor = "the processor takes 100 ms for a payment, the time that package sessiontable gives a strongly consistent write, and 200 ms for a health check, which writes and reads"
	assumeRelay     = "the relay takes 50 ms a batch"
	assumeLedger    = "the ledger takes 500 ms a batch, as dr recovery-time assumes"
	assumeBatches   = "ten payments a batch while a million are paid, one while the canary alone pays"
	assumeCanary    = "the canary takes a second and a half"
	assumeRole      = "reconcile takes 100 ms to ask for the database's role, and five seconds for a comparison"
	assumeRequests  = "a request leaves 2 KB of logs (access log, function's line, platform's lines), another invocation 1 KB"
	assumeKept      = "CloudWatch Logs keeps 15 % of what came in, as it compresses"
	assumeWitness   = "a witness is paid as a replica that stores nothing: a replicated write each"
	assumeTraces    = "X-Ray's default rule: the first request of each second in a Region, and 5 % of the others"
	assumeIO        = "a payment is four write I/Os, and each is replicated"
	assumeCrossing  = "a payment sends 5 KB to the other Region and the witness (table, event, database)"
	assumeAnswers   = "a health check's connection and answer are 5 KB, paid as sent to the internet"
	assumeOwnReads  = "the hourly reconciliation reads each payment of its last 120 minutes twice from the index, at a twelfth of a unit each"
)

// kb is 1 KB as a part of a GB.
var kb = ratio(1, 1<<20)

// healthRequests are how many requests a Region's API gets from Route 53's checkers in a month, by the check that asks its endpoint.
func (e *estimator) healthRequests(region settings.Region) Decimal {
	var all Decimal
	found := false
	for _, stack := range e.assembly.Stacks {
		each(stack, "AWS::Route53::HealthCheck", func(id string, p map[string]any) {
			config := assembly.Object(p["HealthCheckConfig"])
			if !strings.HasPrefix(assembly.Text(config["Type"]), "HTTP") || !strings.Contains(fmt.Sprint(config["FullyQualifiedDomainName"]), ".execute-api."+region.Name+".") {
				return
			}
			found = true
			interval := e.integer(stack, id, p, 10, "HealthCheckConfig", "RequestInterval")
			regions := int64(len(assembly.List(config["Regions"])))
			if regions == 0 {
				e.fault("%s of %s: HealthCheckConfig.Regions is missing", id, stack.Name)
			}
			all = all.Plus(ratio(secondsPerMonth*regions*e.usage.CheckersPerRegion, interval))
		})
	}
	if !found {
		e.fault("there is no health check of the API in %s", region.Name)
	}
	return all
}

// ownTraffic adds what a Region's platform asks of itself: health checks, the canary's payments, schedules.
func (e *estimator) ownTraffic(region settings.Region) {
	stack := e.regional(region)
	checkers := fmt.Sprintf("%d health checkers in each Region of a check, each on its own; AWS does not say how many (about 15 in eight Regions, by public accounts)", e.usage.CheckersPerRegion)
	health := e.healthRequests(region)
	e.requests("health checks", stack, health, 200, checkers)
	e.writes("health checks", region.Name, health, 0, checkers)
	e.add(dynamoDB, "reads of health checks", region.Name, "dynamodb.read", health.Times(perMillion), checkers)
	e.add(transfer, "answers to health checks", region.Name, "transfer.internet", health.Times(Whole(5)).Times(kb), assumeAnswers, checkers)
	traced := health

	each(stack, "AWS::Events::Rule", func(id string, p map[string]any) {
		expression := assembly.Text(p["ScheduleExpression"])
		if expression == "" {
			return
		}
		n := e.due(stack, id, expression)
		for _, target := range assembly.List(p["Targets"]) {
			origin, err := e.assembly.Origin(stack, assembly.At(target, "Arn"))
			if err != nil {
				e.fault("%s of %s: %v", id, stack.Name, err)
				continue
			}
			traced = traced.Plus(n)
			switch function := assembly.Text(origin.Resource().Properties["FunctionName"]); {
			case strings.HasSuffix(function, "-canary"):
				e.invocations("canary", stack, "canary", n, 1500, assumeCanary)
				e.payments("the canary's payments", region, n, 1)
				e.requests("the canary's reads", stack, n, 100, assumeProcessor)
				e.add(dynamoDB, "the canary's reads", region.Name, "dynamodb.read", n.Times(perMillion))
				other := e.regional(e.settings.Other(region))
				e.requests("the canary's look at the other Region", other, n.Times(Whole(3)), 200, assumeProcessor)
				e.writes("the canary's look at the other Region", other.Region, n.Times(Whole(3)), 0)
				traced = traced.Plus(n.Times(Whole(5)))
			case strings.HasSuffix(function, "-reconcile"):
				milliseconds := int64(100)
				if assembly.At(target, "Input") == `{"scheduled":true}` {
					milliseconds = 5000
				}
				e.invocations("reconcile", stack, "reconcile", n, milliseconds, assumeRole)
			default:
				e.fault("%s of %s: nothing is known of what %s takes", id, stack.Name, function)
			}
		}
	})
	if traces(stack) {
		reservoir := Whole(secondsPerMonth)
		if traced.Cmp(reservoir) > 0 {
			traced = reservoir.Plus(traced.Minus(reservoir).Over(20))
		}
		e.add(xRay, "traces of health checks, canary and schedules", region.Name, "x-ray.trace", traced.Times(perMillion), assumeTraces, checkers)
	}
}

// traces is whether a Region's API asks for traces.
func traces(stack assembly.Stack) bool {
	on := false
	each(stack, "AWS::ApiGateway::Stage", func(_ string, p map[string]any) { on = on || p["TracingEnabled"] == true })
	return on
}

// function are the properties of one of the platform's functions, by its name within the platform.
func (e *estimator) function(stack assembly.Stack, name string) map[string]any {
	var found map[string]any
	each(stack, "AWS::Lambda::Function", func(_ string, p map[string]any) {
		if assembly.Text(p["FunctionName"]) == "payment-"+e.settings.Environment+"-"+name {
			found = p
		}
	})
	if found == nil {
		e.fault("%s has no function %s", stack.Name, name)
	}
	return found
}

// invocations adds what a function's invocations cost, with their logs.
func (e *estimator) invocations(what string, stack assembly.Stack, name string, n Decimal, milliseconds int64, assumptions ...string) {
	function := e.function(stack, name)
	if function == nil {
		return
	}
	if assembly.List(function["Architectures"]) == nil || assembly.List(function["Architectures"])[0] != "arm64" {
		e.fault("function %s of %s is not of the architecture arm64: no other is priced", name, stack.Name)
		return
	}
	memory := e.integer(stack, name, function, 128, "MemorySize")
	e.add(lambda, "requests: "+what, stack.Region, "lambda.request", n.Times(perMillion), assumptions...)
	e.add(lambda, "time: "+what, stack.Region, "lambda.arm", n.Times(ratio(memory*milliseconds, 1024*1000)), assumptions...)
	if name != "processor" {
		e.logs(what, stack, n.Times(kb), assumeRequests)
	}
}

// requests adds what signed and unsigned requests to a Region's API cost, up to and with the processor.
func (e *estimator) requests(what string, stack assembly.Stack, n Decimal, milliseconds int64, assumptions ...string) {
	e.add(apiGateway, what, stack.Region, "api-gateway.request", n.Times(perMillion), assumptions...)
	e.add(waf, "requests: "+what, stack.Region, "waf.request", n.Times(perMillion).Times(Whole(count(stack, "AWS::WAFv2::WebACL"))), assumptions...)
	e.invocations(what, stack, "processor", n, milliseconds, append(slices.Clone(assumptions), assumeProcessor)...)
	e.logs(what, stack, n.Times(kb).Times(Whole(2)), assumeRequests)
}

// writes adds what writing items of up to 1 KB costs, in every replica and index and at the witness.
func (e *estimator) writes(what, region string, n Decimal, indexed int64, assumptions ...string) {
	table := e.sessionTable()
	for _, replica := range table.regions {
		e.add(dynamoDB, "replicated writes: "+what, replica, "dynamodb.replicated-write", n.Times(perMillion), assumptions...)
		e.add(dynamoDB, "index writes: "+what, replica, "dynamodb.write", n.Times(Whole(indexed*table.indexes)).Times(perMillion), assumptions...)
	}
	for _, witness := range table.witness {
		e.add(dynamoDB, "writes at the witness: "+what, witness, "dynamodb.replicated-write", n.Times(perMillion), append(slices.Clone(assumptions), assumeWitness)...)
	}
}

// logs adds what logs cost that come in during a month, and what is kept of all months within the retention.
func (e *estimator) logs(what string, stack assembly.Stack, gb Decimal, assumptions ...string) {
	var days int64
	each(stack, "AWS::Logs::LogGroup", func(id string, p map[string]any) {
		if p["LogGroupName"] != nil {
			days = max(days, e.integer(stack, id, p, 1, "RetentionInDays"))
		}
	})
	e.add(cloudWatch, "logs: "+what, stack.Region, "cloudwatch.logs", gb, assumptions...)
	e.add(cloudWatch, "logs kept: "+what, stack.Region, "cloudwatch.logs-storage", gb.Times(ratio(15, 100)).Times(Whole(days)).Times(ratio(24, hoursPerMonth)),
		append(slices.Clone(assumptions), assumeKept)...)
}

// payments adds what n payments cost that are accepted in a Region, from the request to both ledgers' queues and the database.
func (e *estimator) payments(what string, home settings.Region, n Decimal, batch int64) {
	stack, other := e.regional(home), e.settings.Other(home)
	active := e.settings.ActiveRegion()
	batches := n.Over(batch)
	e.requests(what, stack, n, 100)
	e.writes(what, home.Name, n, 1, assumePayment)
	e.invocations("relay, "+what, stack, "relay", batches, 50, assumeRelay, assumeBatches)
	e.invocations("ledger, "+what, e.regional(active), "ledger", batches, 500, assumeLedger, assumeBatches)

	e.add(eventBridge, "events: "+what, home.Name, "eventbridge.event", n.Times(perMillion))
	e.add(eventBridge, "events to the other Region: "+what, home.Name, "eventbridge.cross-region", n.Times(perMillion))
	for _, region := range []settings.Region{home, other} {
		regional := e.regional(region)
		each(regional, "AWS::Events::Archive", func(id string, p map[string]any) {
			days := e.integer(regional, id, p, 1, "RetentionDays")
			e.add(eventBridge, "archive: "+what, region.Name, "eventbridge.archive", n.Times(kb), assumePayment)
			e.add(eventBridge, "archived: "+what, region.Name, "eventbridge.archive-storage", n.Times(kb).Times(Whole(days)).Times(ratio(24, hoursPerMonth)), assumePayment)
		})
		e.add(sqs, "into the ledgers' queues: "+what, region.Name, "sqs.request", n.Times(perMillion))
		if region.Name == active.Name {
			// A batch is received ten at a time, and deleted likewise.
			e.add(sqs, "out of the ledger's queue: "+what, region.Name, "sqs.request", batches.Times(Whole(2)).Times(perMillion), assumeBatches)
		}
	}
	e.add(aurora, "I/O: "+what, active.Name, "aurora.io", n.Times(Whole(4)).Times(perMillion), assumeIO)
	e.add(aurora, "replicated write I/O: "+what, e.settings.Other(active).Name, "aurora.replicated-write-io", n.Times(Whole(4)).Times(perMillion), assumeIO)
	e.add(dynamoDB, "reads by the reconciliation: "+what, active.Name, "dynamodb.read", n.Times(ratio(2, 12)).Times(perMillion), assumeOwnReads)
	e.add(transfer, "between Regions: "+what, home.Name, "transfer.regions", n.Times(Whole(5)).Times(kb), assumeCrossing)
}

// million adds what a million payments cost, all accepted in the primary Region of the settings, with a month of what they store.
func (e *estimator) million() {
	e.to = &e.estimate.Million
	n, home := Whole(1_000_000), e.settings.Regions.Primary
	e.payments("payments", home, n, 10)
	if traces(e.regional(home)) {
		// The health checks take most of the one request a second that is always traced.
		e.add(xRay, "traces of payments", home.Name, "x-ray.trace", n.Over(20).Times(perMillion), assumeTraces)
	}
	e.stored(", a month of a million payments", n.Times(ratio(12, 10)).Times(kb), n.Times(kb), assumePayment)
}

func sortedKeys(m map[string]int) []string { return slices.Sorted(maps.Keys(m)) }
