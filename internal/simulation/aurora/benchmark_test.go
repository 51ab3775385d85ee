package aurora_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"payments-dr/internal/simulation/aurora"
	"payments-dr/internal/simulation/localmysql"
)

// BenchmarkGlobalDatabase measures what each operation takes, in milliseconds, with some thousand payments; and how many payments
// a second are recorded, by one client in batches of a hundred, and replicated.
func BenchmarkGlobalDatabase(b *testing.B) {
	for engine, installation := range installations {
		b.Run(engine, func(b *testing.B) {
			for b.Loop() {
				ctx, cancel := context.WithTimeout(b.Context(), 5*time.Minute)
				measure(b, ctx, installation)
				cancel()
			}
		})
	}
}

func measure(b *testing.B, ctx context.Context, installation *localmysql.Installation) {
	count := 2_000
	if installation != nil {
		count = 20_000
	}
	step := func(name string, do func() error) time.Duration {
		began := time.Now()
		if err := do(); err != nil {
			b.Fatalf("%s: %v", name, err)
		}
		b.ReportMetric(float64(time.Since(began).Microseconds())/1000, name+"-ms")
		return time.Since(began)
	}
	var g *aurora.GlobalDatabase
	step("start", func() (err error) {
		g, err = aurora.Start(ctx, options(installation))
		return err
	})
	defer g.Close()
	f := fixture{g, b, ctx}
	writer, all := f.ledger(east), f.payments("p", count)
	g.SetLag(held)
	recording := step("record", func() error {
		for batch := range slices.Chunk(all, 100) {
			if _, err := writer.Record(ctx, batch); err != nil {
				return err
			}
		}
		return nil
	})
	b.ReportMetric(float64(count)/recording.Seconds(), "recorded/s")
	g.SetLag(0)
	replicating := step("replicate", func() error { f.caughtUp(); return nil })
	b.ReportMetric(float64(count)/replicating.Seconds(), "replicated/s")
	step("switchover", func() error { return g.Switchover(ctx, west) })
	step("failover", func() error { return g.Failover(ctx, east) })
	step("rejoin", func() error { _, err := g.Rejoin(ctx, west); return err })
}
