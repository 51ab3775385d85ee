package rehearsal

import (
	"time"

	"payments-dr/internal/simulation"
)

// FastClock is a clock that runs speed times as fast as the machine's, from now on.
func FastClock(speed float64) simulation.Clock { return fastClock{started: time.Now(), speed: speed} }

type fastClock struct {
	started time.Time
	speed   float64
}

func (c fastClock) Now() time.Time {
	return c.started.Add(time.Duration(float64(time.Since(c.started)) * c.speed))
}

func (c fastClock) After(d time.Duration) <-chan time.Time {
	return time.After(time.Duration(float64(d) / c.speed))
}
