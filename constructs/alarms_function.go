package constructs

import (
	"time"

	"github.com/aws/constructs-go/constructs/v10"

	"payments-dr/internal/settings"
)

// slowFunctionShare of a function's timeout is when it is called slow: at all of it, its work is cut off.
const slowFunctionShare = 0.8

// newFunctionAlarms makes the alarms that every function has. NewFunction calls it, so that there is no function without.
//
// An error is an invocation that ended in one. Payments that a handler refuses, or messages that it leaves on their queue, are no
// errors; they show in the functions' own metrics and in the dead-letter queues.
func newFunctionAlarms(scope constructs.Construct, s *settings.Settings, name string, timeout time.Duration) {
	function := FunctionName(s, name)
	newAlarm(scope, s, alarm{
		name: name + "-errors", section: "Function errors",
		says: "Invocations of " + function + " fail.",
		of:   functionMetric(function, "Errors", sum).every(5 * time.Minute), is: atLeast, threshold: 1, periods: 1, missing: missingIsGood,
	})
	newAlarm(scope, s, alarm{
		name: name + "-throttled", section: "Function throttled",
		says: "Lambda refuses invocations of " + function + ", because too many run at once.",
		of:   functionMetric(function, "Throttles", sum).every(5 * time.Minute), is: atLeast, threshold: 1, periods: 1, missing: missingIsGood,
	})
	newAlarm(scope, s, alarm{
		name: name + "-slow", section: "Function slow",
		says: "An invocation of " + function + " took most of the time that it may take.",
		of:   functionMetric(function, "Duration", maximum).every(5 * time.Minute), is: above,
		threshold: slowFunctionShare * float64(timeout.Milliseconds()), periods: 1, missing: missingIsGood,
	})
}
