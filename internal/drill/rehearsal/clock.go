package rehearsal

import (
	"context"
	"time"

	smithytime "github.com/aws/smithy-go/time"

	"payments-dr/internal/drill"
)

// Clock runs speed times as fast as the machine's, from the moment it was made. Its time is called simulated: that of AWS's own
// waits, which it shortens. What really runs here (functions, databases, the network) takes the machine's time, and so appears
// speed times as long.
type Clock struct {
	started time.Time
	speed   float64
}

// FastClock is a clock of a speed, from now on.
func FastClock(speed float64) Clock { return Clock{started: time.Now(), speed: speed} }

// Now is the simulated time.
func (c Clock) Now() time.Time { return c.At(time.Now()) }

// At is the simulated time of a moment of the machine's.
func (c Clock) At(real time.Time) time.Time {
	return c.started.Add(time.Duration(float64(real.Sub(c.started)) * c.speed))
}

// Run is the clock as a report tells it, now.
func (c Clock) Run() drill.Clock {
	return drill.Clock{Simulated: true, Speed: c.speed, Started: c.started.UTC(), Took: drill.Seconds(time.Since(c.started))}
}

// After is time.After for a simulated duration.
func (c Clock) After(d time.Duration) <-chan time.Time { return time.After(c.Real(d)) }

// Real is how long a simulated duration takes on the machine.
func (c Clock) Real(d time.Duration) time.Duration { return time.Duration(float64(d) / c.speed) }

// Sleep waits for a simulated duration, or returns the context's error if that is done first.
func (c Clock) Sleep(ctx context.Context, d time.Duration) error {
	return smithytime.SleepWithContext(ctx, c.Real(d))
}
