package constructs

import (
	"github.com/aws/constructs-go/constructs/v10"

	"payments-dr/internal/settings"
)

// NewAlarms makes one Region's alarms on what is there once: API, relay, ledger, database, table, reconciliation, canary and the
// other Region. What there are many of brings its alarms along: every function (NewFunction), every dead-letter queue
// (NewDeadLetterQueue) and every rule (newRuleAlarms).
//
// All of them tell the Region's topic, and each has a section in docs/operate/alarms.md. They go by names that are known at synthesis, so
// they depend on nothing but each other, and nothing has to be handed to them.
func NewAlarms(scope constructs.Construct, id string, s *settings.Settings, region settings.Region) {
	scope = constructs.NewConstruct(scope, text(id))
	other := s.Other(region)
	newAPIAlarms(scope, s)
	newSessionTableAlarms(scope, s, other)
	newRelayAlarms(scope, s)
	reader, replication := newDatabaseAlarms(scope, s, region)
	newLedgerAlarms(scope, s, reader)
	newReconciliationAlarms(scope, s)
	newCanaryAlarms(scope, s)
	newOtherRegionAlarms(scope, s, other, replication)
}
