package ledger_test

import (
	"fmt"
	"testing"
)

// BenchmarkRecord writes new payments to MariaDB on this machine, in batches and one by one. What it compares is round trips
// and commits; Aurora commits to six copies of its storage over a network, so that the difference is larger there and the
// numbers are others.
func BenchmarkRecord(b *testing.B) {
	server, ok := servers["mariadb"]
	if !ok {
		b.Skip("set TEST_MARIADB=1")
	}
	for _, size := range []int{100, 1} {
		b.Run(fmt.Sprintf("batch=%d", size), func(b *testing.B) {
			l := open(b, newDatabase(b, server))
			payments := numbered(b, size*b.N)
			b.ResetTimer()
			for i := range b.N {
				result, err := l.Record(b.Context(), payments[i*size:(i+1)*size])
				if err != nil || result.Recorded != size {
					b.Fatalf("%+v, %v", result, err)
				}
			}
			b.ReportMetric(float64(size*b.N)/b.Elapsed().Seconds(), "rows/s")
		})
	}
	b.Run("batch=100/duplicates", func(b *testing.B) {
		l := open(b, newDatabase(b, server))
		payments := numbered(b, 100)
		if _, err := l.Record(b.Context(), payments); err != nil {
			b.Fatal(err)
		}
		b.ResetTimer()
		for range b.N {
			if result, err := l.Record(b.Context(), payments); err != nil || result.Duplicates != 100 {
				b.Fatalf("%+v, %v", result, err)
			}
		}
		b.ReportMetric(float64(100*b.N)/b.Elapsed().Seconds(), "rows/s")
	})
}
