package simulation_test

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"payments-dr/internal/simulation"
)

func TestHealthCheckChangesItsMindAfterTheThreshold(t *testing.T) {
	const (
		interval = 10 * time.Second
		checkers = 4
	)
	for _, tt := range []struct {
		name string
		sick func(ctx context.Context) (int, error)
		// least and most are how long after the endpoint fell sick Route 53 may say so.
		least, most time.Duration
	}{
		// The last checker to change its mind is what counts: three requests in a row, the first up to an interval away.
		{"server errors", func(context.Context) (int, error) { return http.StatusServiceUnavailable, nil }, 2 * interval, 3 * interval},
		{"refused", func(context.Context) (int, error) { return 0, errors.New("connection refused") }, 2 * interval, 3 * interval},
		// A request that is not answered takes six seconds besides.
		{"silence", func(ctx context.Context) (int, error) { <-ctx.Done(); return 0, ctx.Err() }, 2*interval + 3*6*time.Second, 3*interval + 3*6*time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var sick atomic.Bool
				changes := make(chan bool, 8)
				check := simulation.NewHealthCheck(simulation.HealthCheckConfig{
					Checkers: checkers, Interval: interval, FailureThreshold: 3,
					Get: func(ctx context.Context) (int, error) {
						if sick.Load() {
							return tt.sick(ctx)
						}
						return http.StatusOK, nil
					},
					Changed: func(healthy bool) { changes <- healthy },
				})
				ctx, cancel := context.WithCancel(t.Context())
				done := make(chan struct{})
				go func() { check.Run(ctx); close(done) }()
				time.Sleep(time.Minute)
				if len(changes) != 0 || !check.Healthy() {
					t.Fatal("a healthy endpoint was called sick")
				}
				sick.Store(true)
				since := time.Now()
				if healthy := <-changes; healthy || check.Healthy() {
					t.Fatal("it is not called sick")
				}
				if took := time.Since(since); took < tt.least || took > tt.most {
					t.Errorf("called sick after %v, want %v to %v", took, tt.least, tt.most)
				}
				sick.Store(false)
				since = time.Now()
				if healthy := <-changes; !healthy {
					t.Fatal("it is not called healthy again")
				}
				// One checker of four is over 18 %: the first to change its mind is what counts.
				if took := time.Since(since); took < 2*interval || took > 3*interval+6*time.Second {
					t.Errorf("called healthy after %v", took)
				}
				cancel()
				<-done
			})
		})
	}
}

func TestHealthCheckForgivesFewerFailuresThanTheThreshold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int64
		check := simulation.NewHealthCheck(simulation.HealthCheckConfig{
			Checkers: 1, Interval: 10 * time.Second, FailureThreshold: 3,
			Get: func(context.Context) (int, error) {
				if asked.Add(1)%3 == 0 { // every third is well: never three failures in a row
					return http.StatusOK, nil
				}
				return http.StatusInternalServerError, nil
			},
			Changed: func(bool) { t.Error("it changed its mind") },
		})
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
		defer cancel()
		check.Run(ctx)
		if asked.Load() < 50 {
			t.Errorf("asked %d times", asked.Load())
		}
	})
}

// An API whose table pauses answers its health check with 503, after the 1.5 s that function processor gives the table. The table of
// decision 7 has these rows.
func TestAPauseOfTheTableAndTheThreshold(t *testing.T) {
	const answersAfter = 1500 * time.Millisecond
	for _, tt := range []struct {
		pause     time.Duration
		threshold int
		healthy   bool
	}{
		{5 * time.Second, 2, true}, {15 * time.Second, 2, true}, {18 * time.Second, 2, true}, {22 * time.Second, 2, false}, {30 * time.Second, 2, false},
		{5 * time.Second, 3, true}, {15 * time.Second, 3, true}, {30 * time.Second, 3, true}, {34 * time.Second, 3, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			began := time.Now().Add(time.Minute)
			var fell atomic.Bool
			check := simulation.NewHealthCheck(simulation.HealthCheckConfig{
				Checkers: 100, Interval: 10 * time.Second, FailureThreshold: tt.threshold,
				Get: func(context.Context) (int, error) {
					if into := time.Since(began); into < 0 || into > tt.pause {
						return http.StatusOK, nil
					}
					time.Sleep(answersAfter)
					if time.Since(began) > tt.pause {
						return http.StatusOK, nil // the write is done when the pause is over
					}
					return http.StatusServiceUnavailable, nil
				},
				Changed: func(healthy bool) {
					if !healthy {
						fell.Store(true)
					}
				},
			})
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
			defer cancel()
			check.Run(ctx)
			if fell.Load() == tt.healthy {
				t.Errorf("a pause of %v, threshold %d: unhealthy %v, want healthy %v", tt.pause, tt.threshold, fell.Load(), tt.healthy)
			}
		})
	}
}
