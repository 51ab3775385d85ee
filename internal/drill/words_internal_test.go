package drill

import (
	"testing"
	"time"
)

func TestSpell(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0 s", 900 * time.Nanosecond: "0 µs", 250 * time.Microsecond: "250 µs", 1500 * time.Microsecond: "1.5 ms", 87 * time.Millisecond: "87 ms",
		time.Second: "1 s", 59*time.Second + 940*time.Millisecond: "59.9 s", 59*time.Second + 960*time.Millisecond: "1 min",
		87*time.Second + 50*time.Millisecond: "1 min 27.1 s", 2 * time.Minute: "2 min", time.Hour: "1 h", 3*time.Hour + 59*time.Second: "3 h", 10*time.Minute + 1600*time.Millisecond: "10 min 2 s", 61 * time.Minute: "1 h 1 min", -90 * time.Second: "-1 min 30 s",
		999*time.Millisecond + 600*time.Microsecond: "1 s",
	} {
		if have := spell(d); have != want {
			t.Errorf("%v is %q, want %q", d, have, want)
		}
	}
}

func TestPercentNeverRoundsToAllOrNothing(t *testing.T) {
	for share, want := range map[float64]string{0: "0 %", 1: "100 %", 0.999999: "99.99 %", 0.000001: "<0.01 %", 0.5: "50 %", 0.1234: "12.34 %"} {
		if have := percent(share); have != want {
			t.Errorf("%v is %q, want %q", share, have, want)
		}
	}
}

func TestOffset(t *testing.T) {
	origin := time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)
	for d, want := range map[time.Duration]string{
		0: "+0:00", 65300 * time.Millisecond: "+1:05.3", -10 * time.Second: "-0:10", time.Hour: "+1:00:00", 59*time.Second + 980*time.Millisecond: "+1:00",
	} {
		if have := offset(origin.Add(d), origin); have != want {
			t.Errorf("%v is %q, want %q", d, have, want)
		}
	}
}

func TestThousands(t *testing.T) {
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", -1000: "-1,000", 1234567: "1,234,567", -999: "-999"} {
		if have := thousands(n); have != want {
			t.Errorf("%d is %q", n, have)
		}
	}
}
