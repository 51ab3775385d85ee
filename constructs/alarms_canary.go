package constructs

import (
	"time"

	"github.com/aws/constructs-go/constructs/v10"

	"payments-dr/internal/payment/telemetry"
	"payments-dr/internal/settings"
)

// canaryFunction is the short name of the function that pays each minute, through the public name, as a client would.
const canaryFunction = "canary"

// alarmOtherRegionUnreachable is the alarm that the other Region's API does not answer this Region's canary.
const alarmOtherRegionUnreachable = "other-region-unreachable"

// newCanaryAlarms makes the alarms on the payments that this Region's canary makes through the public name. Both Regions' canaries pay
// at the same name: if payments cannot be taken at all, both tell.
func newCanaryAlarms(scope constructs.Construct, s *settings.Settings) {
	newAlarm(scope, s, alarm{
		name: "canary-payment-failing", section: "Canary failing",
		says: "Test payments through the public name fail.",
		of:   ownMetric(s, canaryFunction, telemetry.MetricCanaryPaymentFailed, sum), is: atLeast, threshold: 1, periods: 5, points: 3, missing: missingIsGood,
	})
	newAlarm(scope, s, alarm{
		name: "canary-payment-slow", section: "Canary slow",
		says: "Test payments through the public name take too long.",
		of:   ownMetric(s, canaryFunction, telemetry.MetricCanaryPaymentLatency, average), is: above,
		threshold: float64(s.Alarms.APILatencyMilliseconds), periods: 5, missing: missingIsGood,
	})
	newAlarm(scope, s, alarm{
		name: "canary-stopped", section: "Canary stopped",
		says: "The canary of this Region reports nothing: neither payments nor the other Region are looked at.",
		of:   ownMetric(s, canaryFunction, telemetry.MetricOtherRegionUnreachable, samples), is: below, threshold: 1, periods: 10, missing: missingIsBad,
	})
}

// alarmImpaired is the alarm that a Region is impaired, in the other one.
func alarmImpaired(region settings.Region) string { return region.Name + "-impaired" }

// newOtherRegionAlarms makes the alarms that tell, in this Region, of the other: what is lost cannot call for help itself.
//
// other-region-unreachable pages a person. The composite alarm is what may start a recovery of the ledger by itself, and
// moving a database for nothing costs more than a page does: payments have moved by DNS already, without it. So it wants two
// signals that are independent of each other: the canary, which goes to the other Region's API over the internet, and the
// replication, which Aurora's storage does by a way of its own. A fault of this Region's way out, or of the other's API alone, is
// one of them.
//
// The replication is a signal in the Region whose database is the reader. Where it is the writer the composite alarm stays quiet, and
// there it has nothing to start: the ledger is here already.
func newOtherRegionAlarms(scope constructs.Construct, s *settings.Settings, other settings.Region, replication constructs.IDependable) {
	unreachable := newAlarm(scope, s, alarm{
		name: alarmOtherRegionUnreachable, section: "Other Region unreachable",
		says: "The payment API of " + other.Name + " does not answer, as seen from this Region.",
		of:   ownMetric(s, canaryFunction, telemetry.MetricOtherRegionUnreachable, minimum), is: atLeast, threshold: 1,
		periods: int(otherRegionPatience / time.Minute), missing: missingIsGood,
	})
	newCompositeAlarm(scope, s, compositeAlarm{
		name: alarmImpaired(other), section: "Other Region impaired",
		says:     other.Name + ", which has the ledger, is impaired, as seen from this Region in two ways: recover the ledger here.",
		rule:     alarmIs(s, alarmOtherRegionUnreachable) + " AND " + alarmIs(s, AlarmReplicationBehind),
		operands: []constructs.IDependable{unreachable, replication},
	})
}

// otherRegionPatience is how long the other Region has to be unreachable, without a minute between: two runs of the canary, a minute
// apart, each of which has found most of its probes to fail. One run alone may meet a deployment's hiccup. A third
// would take the time that a recovery by hand has for people: package recoverytime adds it up.
const otherRegionPatience = 2 * time.Minute
