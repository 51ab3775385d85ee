package constructs

import (
	"time"

	"github.com/aws/constructs-go/constructs/v10"

	"payments-dr/internal/settings"
)

// newDeadLetterAlarm makes the alarm that every dead-letter queue has. NewDeadLetterQueue calls it, so that there is none without.
// name is the queue's, without "payment-<env>-".
func newDeadLetterAlarm(scope constructs.Construct, s *settings.Settings, name string) {
	queue := QueueName(s, name)
	newAlarm(scope, s, alarm{
		name: name + "-not-empty", section: "Dead letters",
		says: "Something could not be delivered or processed and waits in " + queue + " for somebody to look at it.",
		of:   queueMetric(queue, "ApproximateNumberOfMessagesVisible", maximum), is: atLeast, threshold: 1, periods: 1, missing: missingIsGood,
	})
}

// The parts of the alarm on the ledger; they have no actions of their own.
const (
	alarmLedgerDelay   = "ledger-delay"
	alarmLedgerBacklog = "ledger-backlog"
)

// newLedgerAlarms makes the alarm that payments wait for the ledger.
//
// The ledger's queue fills in both Regions and is emptied in one: in the standby, messages as old as the retention are what it is
// for. Which Region is which is not asked of the settings, which a recovery leaves behind, nor of the ledger function's own
// activity, because a mapping that was switched off by mistake is a standby's to look at. It is asked of the database (see
// newDatabaseAlarms): where the cluster takes writes, the queue has to be short, whatever else is the case. So the alarm moves with
// the writer, and sees a writer whose function is not switched on.
//
// While it is not known who the writer is, the alarm counts the Region as one: better told twice than not at all.
func newLedgerAlarms(scope constructs.Construct, s *settings.Settings, reader constructs.IDependable) {
	queue := QueueName(s, ledgerQueue)
	delay := newAlarm(scope, s, alarm{
		name: alarmLedgerDelay, section: "Ledger behind", silent: true,
		says: "Part of ledger-behind, and normal in the standby: the oldest payment in the ledger's queue is old.",
		of:   queueMetric(queue, "ApproximateAgeOfOldestMessage", maximum), is: above,
		threshold: (time.Duration(s.Alarms.LedgerDelayMinutes) * time.Minute).Seconds(), periods: 3, missing: missingIsGood,
	})
	backlog := newAlarm(scope, s, alarm{
		name: alarmLedgerBacklog, section: "Ledger behind", silent: true,
		says: "Part of ledger-behind, and normal in the standby: many payments are in the ledger's queue.",
		of:   queueMetric(queue, "ApproximateNumberOfMessagesVisible", maximum), is: above,
		threshold: float64(s.Alarms.LedgerBacklogMessages), periods: 3, missing: missingIsGood,
	})
	newCompositeAlarm(scope, s, compositeAlarm{
		name: "ledger-behind", section: "Ledger behind",
		says:     "Accepted payments wait for the ledger, in the Region whose database takes writes.",
		rule:     "(" + alarmIs(s, alarmLedgerDelay) + " OR " + alarmIs(s, alarmLedgerBacklog) + ") AND NOT " + alarmIs(s, alarmDatabaseReader),
		operands: []constructs.IDependable{delay, backlog, reader},
	})
}

// newRestoreValidationAlarm makes the alarm that nobody looks into what was restored: no function takes the messages, or it takes
// them and never ends. Each is gone, or a dead letter, long before.
func newRestoreValidationAlarm(scope constructs.Construct, s *settings.Settings) {
	newAlarm(scope, s, alarm{
		name: restoreValidation + "-behind", section: "Restores not validated",
		says: "What a restore test has restored waits to be looked into, and will be deleted unseen.",
		of:   queueMetric(QueueName(s, restoreValidation), "ApproximateAgeOfOldestMessage", maximum), is: above,
		threshold: restoreValidationMost.Seconds(), periods: 3, missing: missingIsGood,
	})
}
