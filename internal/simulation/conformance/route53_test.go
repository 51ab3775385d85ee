package conformance_test

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"payments-dr/internal/assembly"
	"payments-dr/internal/assembly/publicname"
	"payments-dr/internal/simulation"
	"payments-dr/internal/simulation/route53"
)

// Moto keeps health checks and records, and neither checks nor answers: these cases are by the documentation alone.
const (
	pageHealthy    = `"How Amazon Route 53 determines whether a health check is healthy" (Amazon Route 53 Developer Guide)`
	pageConfig     = `"HealthCheckConfig" (Amazon Route 53 API Reference)`
	pageRecords    = `"How Amazon Route 53 chooses records when health checking is configured" (Amazon Route 53 Developer Guide)`
	pageCalculated = `"HealthCheckConfig", HealthThreshold (Amazon Route 53 API Reference)`
)

func TestHealthCheckers(t *testing.T) {
	const interval = 10 * time.Second
	status := func(status int) func(context.Context) (int, error) {
		return func(context.Context) (int, error) { return status, nil }
	}
	answersAfter := func(d time.Duration) func(context.Context) (int, error) {
		return func(ctx context.Context) (int, error) {
			select {
			case <-time.After(d):
				return http.StatusOK, nil
			case <-ctx.Done():
				return 0, ctx.Err()
			}
		}
	}
	for _, tt := range []struct {
		name      string
		threshold int
		// sick is how many of the checkers get the answer, in each of the first so many rounds; all else is 200.
		checkers, sick, rounds int
		answer                 func(context.Context) (int, error)
		want                   bool
		page                   string
		connection             bool
	}{
		{"200", 3, 4, 4, 20, status(http.StatusOK), true, pageHealthy, false},
		{"204", 3, 4, 4, 20, status(http.StatusNoContent), true, pageHealthy, false},
		{"302", 3, 4, 4, 20, status(http.StatusFound), true, pageHealthy, false},
		{"399", 3, 4, 4, 20, status(399), true, pageHealthy, false},
		{"400", 3, 4, 4, 20, status(http.StatusBadRequest), false, pageHealthy, false},
		{"403", 3, 4, 4, 20, status(http.StatusForbidden), false, pageHealthy, false},
		{"503", 3, 4, 4, 20, status(http.StatusServiceUnavailable), false, pageHealthy, false},
		{"199", 3, 4, 4, 20, status(199), false, pageHealthy, false},
		{"no connection", 3, 4, 4, 20, func(context.Context) (int, error) { return 0, errors.New("refused") }, false, pageHealthy, false},
		{"late, within four seconds and two", 3, 4, 4, 20, answersAfter(5900 * time.Millisecond), true, pageHealthy, false},
		{"too late", 3, 4, 4, 20, answersAfter(6100 * time.Millisecond), false, pageHealthy, false},
		{"more than 18 % say healthy", 3, 50, 40, 20, status(http.StatusServiceUnavailable), true, pageHealthy, false},
		{"18 % say healthy", 3, 50, 41, 20, status(http.StatusServiceUnavailable), false, pageHealthy, false},
		{"fewer in a row than the threshold", 3, 4, 4, 2, status(http.StatusServiceUnavailable), true, pageConfig, false},
		{"a threshold of one", 1, 4, 4, 20, status(http.StatusServiceUnavailable), false, pageConfig, false},
		{"connected within ten seconds", 3, 4, 4, 20, answersAfter(9900 * time.Millisecond), true, pageHealthy, true},
		{"connected too late", 3, 4, 4, 20, answersAfter(10100 * time.Millisecond), false, pageHealthy, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var asked atomic.Int64
				var fell atomic.Bool
				check := simulation.NewHealthCheck(simulation.HealthCheckConfig{
					Checkers: tt.checkers, Interval: interval, FailureThreshold: tt.threshold, ConnectionOnly: tt.connection,
					Get: func(ctx context.Context) (int, error) {
						// The checkers ask in turn, as long as each is answered at once.
						number := int(asked.Add(1) - 1)
						if number%tt.checkers < tt.sick && number/tt.checkers < tt.rounds {
							return tt.answer(ctx)
						}
						return http.StatusOK, nil
					},
					Changed: func(healthy bool) {
						if !healthy {
							fell.Store(true)
						}
					},
				})
				if !check.Healthy() {
					t.Error("it does not begin healthy")
				}
				ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
				defer cancel()
				check.Run(ctx)
				if fell.Load() == tt.want {
					t.Errorf("it fell sick: %v; want healthy: %v by %s", fell.Load(), tt.want, tt.page)
				}
			})
		})
	}
}

func TestCalculatedHealthChecks(t *testing.T) {
	for _, tt := range []struct {
		name      string
		healthy   []bool
		threshold int
		want      bool
	}{
		{"all of two", []bool{true, true}, 2, true},
		{"one of two, two wanted", []bool{true, false}, 2, false},
		{"one of two, one wanted", []bool{false, true}, 1, true},
		{"none of two, one wanted", []bool{false, false}, 1, false},
		{"none wanted: always healthy", []bool{false, false}, 0, true},
		{"more wanted than there are: never healthy", []bool{true, true}, 3, false},
	} {
		check := route53.Check{Kind: route53.KindCalculated, Threshold: tt.threshold}
		healthy := map[string]bool{}
		for i, well := range tt.healthy {
			id := string(rune('a' + i))
			healthy[id] = well
			check.Children = append(check.Children, route53.Check{ID: id, Kind: route53.KindEndpoint})
		}
		if got := check.Healthy(func(c route53.Check) bool { return healthy[c.ID] }); got != tt.want {
			t.Errorf("%s: healthy %v, want %v by %s", tt.name, got, tt.want, pageCalculated)
		}
	}
}

// The zone is that of a small assembly: api.example.org prefers plan.api.example.org, and falls back to us-west-2.
func TestRecordsByHealth(t *testing.T) {
	a, err := assembly.Load("../../assembly/recoverytime/testdata/small")
	if err != nil {
		t.Fatal(err)
	}
	zone, err := publicname.Read(a)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		rule, name string
		sick       map[string]bool // Regions, and "plan:" with a Region
		want       string
	}{
		{"the first record, if it is healthy", "api.example.org", map[string]bool{"plan:" + west: true}, east},
		{"a record with a sick check of its own is passed over", "plan.api.example.org", map[string]bool{"plan:" + east: true}, west},
		{"an alias that evaluates its target is as healthy as that", "plan.api.example.org", map[string]bool{east: true}, west},
		{"the second record, if nothing behind the first is healthy", "api.example.org", map[string]bool{east: true, "plan:" + west: true}, west},
		{"if none is healthy, all count as healthy, and the first is answered", "plan.api.example.org", map[string]bool{east: true, west: true}, east},
		{"and so down the tree", "api.example.org", map[string]bool{east: true, west: true}, east},
		{"a record that is alone is answered, sick or not", "us-west-2.api.example.org", map[string]bool{east: true, west: true}, west},
	} {
		got, err := zone.Answer(tt.name, func(c route53.Check) bool {
			if c.Kind == route53.KindPlan {
				return !tt.sick[c.ID]
			}
			return !tt.sick[c.Region]
		})
		if err != nil || got.Region != tt.want {
			t.Errorf("%s: %s answers %q, %v; want %q by %s", tt.rule, tt.name, got.Region, err, tt.want, pageRecords)
		}
	}
}
