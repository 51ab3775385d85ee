package drill_test

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"payments-dr/internal/drill"
	"payments-dr/internal/payment"
)

// BenchmarkMillion records a million observations of a run of an hour, measures it, and says how much memory that held at its
// height: 500,000 requests and as many attempts, with table and ledger that are made up row by row and kept by nobody.
func BenchmarkMillion(b *testing.B) {
	const requests = 500_000
	money := amount(b, "12.34", "USD")
	id := func(i int) payment.Identity {
		return payment.Identity{SessionID: fmt.Sprintf("drill-session-%08d", i/4), TransactionID: fmt.Sprintf("drill-transaction-%08d", i)}
	}
	when := func(i int) time.Time { return epoch.Add(time.Duration(i) * time.Hour / requests) }
	accepted := func(i int) payment.Payment {
		return payment.Payment{Identity: id(i), Amount: money, Region: east, Timestamp: when(i).Add(20 * time.Millisecond), Status: payment.StatusProcessed}
	}
	run := drill.Run{
		Banner: "SIMULATED: made up by a test", Objectives: drill.Objectives{PaymentsRTO: 2 * time.Minute, LedgerRTO: 15 * time.Minute, RPO: 5 * time.Minute},
		Table: func(each func(drill.Item) error) error {
			for i := range requests {
				if err := each(accepted(i)); err != nil {
					return err
				}
			}
			return nil
		},
		Ledger: func(each func(drill.Row) error) error {
			for i := range requests {
				if err := each(drill.Row{Payment: accepted(i), RecordedAt: when(i).Add(time.Second)}); err != nil {
					return err
				}
			}
			return nil
		},
	}
	for b.Loop() {
		var r drill.Recorder
		empty := heap()
		started := time.Now()
		for i := range requests {
			sent, outcome := when(i), drill.OutcomeAcknowledged
			if i > requests/2 && i < requests/2+10_000 {
				outcome = drill.OutcomeFailed
			}
			_ = r.Attempt(drill.Attempt{SentAt: sent, EndedAt: sent.Add(50 * time.Millisecond), Outcome: outcome, Region: east})
			_ = r.Request(drill.Request{Identity: id(i), Amount: money, SentAt: sent, EndedAt: sent.Add(50 * time.Millisecond), Outcome: outcome, Region: east, Attempts: 1})
		}
		_ = r.Event(drill.Event{At: when(requests / 2), Kind: drill.KindFaultBegins, Name: "loss", Hits: []drill.Subject{drill.SubjectPayments, drill.SubjectLedger}})
		recorded, taking := heap(), time.Since(started)
		highest := watch(func() {
			if _, err := drill.Measure(&r, run); err != nil {
				b.Fatal(err)
			}
		})
		measuring := time.Since(started) - taking
		b.ReportMetric(float64(recorded-empty)/(2*requests), "B/observation")
		b.ReportMetric(float64(highest-empty)/1e6, "MB-at-most")
		b.ReportMetric(float64(taking.Nanoseconds())/(2*requests), "ns/recorded")
		b.ReportMetric(measuring.Seconds(), "s/measure")
		runtime.KeepAlive(&r)
	}
}

func heap() uint64 {
	runtime.GC()
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	return memory.HeapAlloc
}

// watch is the highest heap while a function runs, as far as looks every few milliseconds see it.
func watch(fn func()) uint64 {
	done, highest := make(chan struct{}), make(chan uint64)
	go func() {
		top := uint64(0)
		for {
			var memory runtime.MemStats
			runtime.ReadMemStats(&memory)
			top = max(top, memory.HeapAlloc)
			select {
			case <-done:
				highest <- top
				return
			case <-time.After(5 * time.Millisecond):
			}
		}
	}()
	fn()
	close(done)
	return <-highest
}
