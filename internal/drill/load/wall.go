package load

import (
	"context"
	"time"

	smithytime "github.com/aws/smithy-go/time"
)

// Wall is the machine's own clock.
type Wall struct{}

// Now is the machine's time.
func (Wall) Now() time.Time { return time.Now() }

// At is the same moment.
func (Wall) At(machine time.Time) time.Time { return machine }

// Real is the same duration.
func (Wall) Real(d time.Duration) time.Duration { return d }

// Sleep waits, or returns the context's error if that is done first.
func (Wall) Sleep(ctx context.Context, d time.Duration) error {
	return smithytime.SleepWithContext(ctx, d)
}
