package rehearsal

import (
	"fmt"
	"runtime"
	"syscall"
	"time"

	"payments-dr/internal/simulation"
	"payments-dr/internal/simulation/localdynamodb"
)

// usage is processor time: this process's, and that of the processes it has started and that have ended.
type usage struct{ own, children time.Duration }

func readUsage() usage {
	of := func(who int) time.Duration {
		var used syscall.Rusage
		if syscall.Getrusage(who, &used) != nil {
			return 0 // only an unknown who is refused
		}
		return time.Duration(used.Utime.Nano() + used.Stime.Nano())
	}
	return usage{of(syscall.RUSAGE_SELF), of(syscall.RUSAGE_CHILDREN)}
}

// effort says what the machine has done for a run that is closed, by part: what bounds how many payments it can take.
func (r *rehearsal) effort(before, after usage, payments int, took time.Duration) string {
	if payments == 0 {
		return "No payment was sent, so the processor time of a payment is not known."
	}
	var processor, other, table time.Duration
	for _, region := range r.platform.Regions {
		processor += region.Processor.Stats().Processor
		for _, f := range []*simulation.Function{region.Relay, region.Ledger, region.Reconcile} {
			other += f.Stats().Processor
		}
	}
	for _, server := range []*localdynamodb.Server{r.table, r.replica} {
		if server != nil {
			table += server.Usage()
		}
	}
	own, children := after.own-before.own, after.children-before.children
	each := func(part time.Duration) string {
		return fmt.Sprintf("%.2f", float64(part.Microseconds())/1000/float64(payments))
	}
	database := "the embedded database is part of the simulation"
	if r.config.MariaDB != nil {
		database = each(children-processor-other-table) + " MariaDB"
	}
	return fmt.Sprintf("Processor time of this machine for each payment, in milliseconds: %s in total; %s the simulation of AWS and the clients; %s the processor functions; %s the other functions; %s the DynamoDB API; %s. "+
		"Payments were sent for %[8]s of real time. The run kept the machine's %[7]d cores busy for %.0[9]f %% of that.",
		each(own+children), each(own), each(processor), each(other), each(table), database,
		runtime.NumCPU(), took.Round(time.Second), 100*float64(own+children)/float64(took)/float64(runtime.NumCPU()))
}
