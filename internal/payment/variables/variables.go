// Package variables is the one list of the environment variables that functions have. The constructs set exactly these, and a
// function can read no other.
package variables

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
)

const (
	// MetricsNamespace is the namespace of a function's metrics.
	MetricsNamespace = "METRICS_NAMESPACE"
	// TableName is the Region's session table.
	TableName = "TABLE_NAME"
	// EventBusName is the Region's event bus.
	EventBusName = "EVENT_BUS_NAME"

	// DatabaseHost is the writer endpoint of the Region's cluster, DatabaseReaderHost its reader endpoint, which leads to an
	// instance in the standby Region too.
	DatabaseHost, DatabaseReaderHost = "DATABASE_HOST", "DATABASE_READER_HOST"
	// DatabasePort is from 1 to 65535.
	DatabasePort = "DATABASE_PORT"
	// DatabaseName is the ledger's schema, DatabaseUser the user that reads it and adds to it.
	DatabaseName, DatabaseUser = "DATABASE_NAME", "DATABASE_USER"
	// SecretName is the secret of the cluster's master user.
	SecretName = "SECRET_NAME"

	// TableConsistency is the session table's consistency between the Regions, "strong" or "eventual".
	TableConsistency = "TABLE_CONSISTENCY"

	// InterruptionSeconds is how long a Region's health checks may go without success before DNS prefers the other Region, and
	// SteadySeconds how long they have to succeed after that until DNS prefers it no longer.
	InterruptionSeconds, SteadySeconds = "INTERRUPTION_SECONDS", "STEADY_SECONDS"

	// APIName is the public name of the payment API.
	APIName = "API_NAME"
	// OtherRegion is the Region that the canary probes, OtherRegionAPIName the name that leads there whatever the public name does.
	OtherRegion, OtherRegionAPIName = "OTHER_REGION", "OTHER_REGION_API_NAME"

	// ReconcileSettleSeconds is how long before now the window of a reconciliation ends.
	ReconcileSettleSeconds = "RECONCILE_SETTLE_SECONDS"
	// ReconcileStepSeconds is how long the recovery plan waits for a reconciliation.
	ReconcileStepSeconds = "RECONCILE_STEP_SECONDS"
	// InstanceClass is the class of the instance that a restored cluster gets.
	InstanceClass = "INSTANCE_CLASS"
	// MaxReceives is how often a message is received before it becomes a dead letter.
	MaxReceives = "MAX_RECEIVES"
)

var byFunction = map[string][]string{
	"canary":       {APIName, OtherRegion, OtherRegionAPIName, MetricsNamespace},
	"ledger":       {DatabaseHost, DatabaseReaderHost, DatabasePort, DatabaseName, DatabaseUser, MetricsNamespace},
	"migrate":      {DatabaseHost, DatabaseReaderHost, DatabasePort, DatabaseName, SecretName},
	"processor":    {TableName, MetricsNamespace, InterruptionSeconds, SteadySeconds},
	"reconcile":    {TableName, TableConsistency, DatabaseHost, DatabaseReaderHost, DatabasePort, DatabaseName, DatabaseUser, ReconcileSettleSeconds, ReconcileStepSeconds, MetricsNamespace},
	"relay":        {EventBusName, MetricsNamespace},
	"table-stream": {},
	"validate":     {TableName, TableConsistency, DatabasePort, DatabaseName, DatabaseUser, InstanceClass, MaxReceives, MetricsNamespace},
}

// Of lists the variables of a function, a folder below functions/. It panics if there is no such function.
func Of(function string) []string {
	names, ok := byFunction[function]
	if !ok {
		panic(fmt.Sprintf("package variables lists no variables of the function %s", function))
	}
	return slices.Clone(names)
}

// Environment is the environment of a function's process. It is read before the first invocation, in one goroutine.
type Environment struct {
	function string
	unread   []string
	faults   []error
}

// Read looks for a function's variables. Err then names those that are missing.
func Read(function string) *Environment {
	e := &Environment{function: function, unread: Of(function)}
	for _, name := range e.unread {
		if os.Getenv(name) == "" {
			e.faults = append(e.faults, fmt.Errorf("%s is not set", name))
		}
	}
	return e
}

// Text is the value of a variable, empty if it is not set. It panics if the variable is not on the function's list.
func (e *Environment) Text(name string) string {
	if !slices.Contains(byFunction[e.function], name) {
		panic(fmt.Sprintf("the function %s reads %s: add it to package variables and to its construct", e.function, name))
	}
	e.unread = slices.DeleteFunc(e.unread, func(unread string) bool { return unread == name })
	return os.Getenv(name)
}

// Number is the value of a variable that is a whole number from least to most. Of another value Err names what is allowed.
func (e *Environment) Number(name string, least, most int) int {
	text := e.Text(name)
	if text == "" {
		return 0
	}
	number, err := strconv.Atoi(text)
	if err != nil || number < least || number > most {
		e.faults = append(e.faults, fmt.Errorf("%s is %q; allowed are whole numbers from %d to %d", name, text, least, most))
	}
	return number
}

// Choice is the value of a variable that has one of a few. Of another value Err names what is allowed.
func (e *Environment) Choice(name string, allowed ...string) string {
	text := e.Text(name)
	if text != "" && !slices.Contains(allowed, text) {
		e.faults = append(e.faults, fmt.Errorf("%s is %q; allowed are %s", name, text, strings.Join(allowed, ", ")))
	}
	return text
}

// Err names every variable that is missing or malformed.
func (e *Environment) Err() error {
	if len(e.faults) == 0 {
		return nil
	}
	return fmt.Errorf("read environment: %w", errors.Join(e.faults...))
}

// Unused names the variables on the function's list that its code has not read.
func (e *Environment) Unused() error {
	if len(e.unread) == 0 {
		return nil
	}
	return fmt.Errorf("the function %s does not use %v: remove them from package variables", e.function, e.unread)
}
