package operate

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"payments-dr/internal/settings"
)

const east, west = "us-east-1", "us-west-2"

// noon is when these tests look.
var noon = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

func ago(d time.Duration) time.Time { return noon.Add(-d) }

func yes[T any](said T) Answer[T] { return Answer[T]{Said: &said} }

func no[T any](kind Kind, text string) Answer[T] { return Answer[T]{Problem: &Problem{kind, text}} }

func testSettings() *settings.Settings {
	s := &settings.Settings{Environment: "dev", Account: settings.PlaceholderAccount}
	s.Regions.Primary.Name, s.Regions.Secondary.Name = east, west
	s.Objectives.RPOMinutes, s.Objectives.RTOMinutes = 5, 15
	s.Recovery.StepMinutes.Approval, s.Recovery.StepMinutes.Promotion, s.Recovery.StepMinutes.Ledger = 2, 5, 1
	s.Recovery.StepMinutes.Reconciliation, s.Recovery.StepMinutes.Traffic = 2, 1
	return s
}

// well is a deployment in which everything is as it should be, with the writer in us-east-1.
func well() Status {
	s := Status{Environment: "dev", At: noon, Seconds: 0.4, RPOMinutes: 5, Public: yes(Health{Region: east, Milliseconds: 20})}
	for _, region := range []string{east, west} {
		other := map[string]string{east: west, west: east}[region]
		m := Metrics{Waiting: &Value{noon, 12}, OldestSeconds: &Value{noon, 3}, DeadLetters: &Value{noon, 0}}
		if region == east {
			m.Reconciliation = &Reconciliation{
				At: ago(20 * time.Minute), Payments: 1204, Missing: new(0), Repaired: new(0), Conflicting: new(0), Differing: new(0), Unaccounted: new(0), Unreadable: new(0), Clean: new(true),
			}
			m.UnreconciledSeconds = &Value{noon, 1200}
		} else {
			m.LagMilliseconds = &Value{noon, 640}
		}
		kept, whole := &RecoveryPoint{At: ago(6 * time.Hour)}, &RestoreTest{At: ago(50 * time.Hour), Job: "COMPLETED", Verdict: "SUCCESSFUL"}
		s.Regions = append(s.Regions, RegionStatus{
			Region: region, API: yes(Health{Region: region, Milliseconds: 15}),
			Database: yes(Database{Status: "available", Members: []Member{{Region: east, Cluster: "payment-dev-us-east-1", Writer: true}, {Region: west, Cluster: "payment-dev-us-west-2", Replication: "connected"}}}),
			Metrics:  yes(m), Alarms: yes([]Alarm{}),
			Plan:     yes(Plan{ARN: "arn:aws:arc-region-switch::111122223333:plan/payment-dev:a1b2c3", Evaluation: "passed", Evaluated: ago(11 * time.Minute), Traffic: map[string]string{east: "healthy", west: "unhealthy"}}),
			Backups:  yes(Backups{Cluster: kept, Table: kept, From: other, ClusterCopy: kept, TableCopy: kept}),
			Restores: yes(RestoreTests{Cluster: whole, Table: whole}),
		})
	}
	return s
}

// gone is the status when a Region gives no answer.
func gone(s Status, i int) Status {
	const text = "no answer within 2s"
	s.Regions[i] = RegionStatus{
		Region: s.Regions[i].Region, API: no[Health](KindUnreachable, text), Database: no[Database](KindUnreachable, text), Metrics: no[Metrics](KindUnreachable, text),
		Alarms: no[[]Alarm](KindUnreachable, text), Plan: no[Plan](KindUnreachable, text), Backups: no[Backups](KindUnreachable, text), Restores: no[RestoreTests](KindUnreachable, text),
	}
	return s
}

func TestJudge(t *testing.T) {
	t.Parallel()
	for name, one := range map[string]struct {
		change  func(*Status)
		wrong   []string
		unknown []string
		writer  string
	}{
		"well": {func(*Status) {}, nil, nil, east},
		"the public name says no": {func(s *Status) { s.Public = no[Health](KindRefused, "answered with status 503") },
			[]string{"payments are not taken: the public name answered with status 503"}, nil, east},
		"the public name says nothing": {func(s *Status) { s.Public = no[Health](KindUnreachable, "connection refused") }, nil, []string{"who takes payments: connection refused"}, east},
		"a Region's API says no": {func(s *Status) { s.Regions[1].API = no[Health](KindRefused, "answered with status 500") },
			[]string{"us-west-2 cannot take payments: its API answered with status 500"}, nil, east},
		"a Region is gone": {func(s *Status) { *s = gone(*s, 0) }, nil,
			[]string{"us-east-1 API: ", "us-east-1 database: ", "us-east-1 metrics: ", "us-east-1 alarms: ", "us-east-1 plan: ", "us-east-1 backups: ", "us-east-1 restore tests: "}, east},
		"both are gone": {func(s *Status) { *s = gone(gone(*s, 0), 1); s.Public = no[Health](KindUnreachable, "x") }, nil, make([]string, 15), ""},
		"the Regions disagree": {func(s *Status) {
			s.Regions[1].Database.Said.Members = []Member{{Region: east}, {Region: west, Writer: true}}
		}, []string{"the ledger: the Regions disagree about the writer: us-east-1 says us-east-1, us-west-2 says us-west-2"}, nil, ""},
		"nobody writes": {func(s *Status) {
			for i := range s.Regions {
				s.Regions[i].Database.Said.Members = nil
			}
		}, []string{"the ledger: no cluster takes writes"}, nil, ""},
		"an alarm": {func(s *Status) {
			s.Regions[1].Alarms = yes([]Alarm{{"payment-dev-api-failing", ago(time.Hour), false}, {"payment-dev-lag", ago(time.Hour), true}})
		},
			[]string{"alarm payment-dev-api-failing in us-west-2 since 2026-11-20 11:00"}, nil, east},
		"not reconciled": {func(s *Status) { s.Regions[0].Metrics.Said.Reconciliation = nil }, []string{"no reconciliation has come to its end in us-east-1 for 2h50m0s"}, nil, east},
		"a gap": {func(s *Status) { s.Regions[0].Metrics.Said.UnreconciledSeconds = &Value{s.At, 52_200} },
			[]string{"payments of the last 14h30m are not reconciled. Each run, every hour, works off a part of it"}, nil, east},
		"no gap": {func(s *Status) { s.Regions[0].Metrics.Said.UnreconciledSeconds = &Value{s.At, 7_200} }, nil, nil, east},
		"not clean": {func(s *Status) {
			s.Regions[0].Metrics.Said.Reconciliation.Differing, s.Regions[0].Metrics.Said.Reconciliation.Clean = new(1), new(false)
		},
			[]string{"the last reconciliation is not clean: 1204 payments, 0 missing, 0 recorded again, 0 conflicting, 0 unaccounted, 1 differing"}, nil, east},
		// A metric without a value is no zero, and a verdict that is not known is none.
		"a count is unknown": {func(s *Status) {
			r := s.Regions[0].Metrics.Said.Reconciliation
			r.Missing, r.Unreadable, r.Clean = nil, nil, nil
		}, []string{"the last reconciliation is not clean: 1204 payments, unknown missing, 0 recorded again, 0 conflicting, 0 unaccounted, unknown unreadable; whether it is clean is unknown"}, nil, east},
		"the gap is unknown": {func(s *Status) { s.Regions[0].Metrics.Said.UnreconciledSeconds = nil }, []string{"up to when payments are reconciled is not known: the metric of us-east-1 has no data"}, nil, east},
		"repaired is clean":  {func(s *Status) { r := s.Regions[0].Metrics.Said.Reconciliation; r.Missing, r.Repaired = new(3), new(3) }, nil, nil, east},
		"the lag is unknown": {func(s *Status) { s.Regions[1].Metrics.Said.LagMilliseconds = nil }, []string{"the replication lag of us-west-2 is not known: its metric has no data"}, nil, east},
		"at the objective":   {func(s *Status) { s.Regions[1].Metrics.Said.LagMilliseconds.Value = 300_000 }, nil, nil, east},
		"over the objective": {func(s *Status) { s.Regions[1].Metrics.Said.LagMilliseconds.Value = 300_001 }, []string{"us-west-2 is 5m0.001s behind, over the objective of 5m0s"}, nil, east},
		// The lag of a Region that does not tell its metrics is not known, which is said once and is no fault.
		"no metrics of the reader": {func(s *Status) { s.Regions[1].Metrics = no[Metrics](KindDenied, "access denied") }, nil, []string{"us-west-2 metrics: access denied"}, east},
		"an evaluation, told once": {func(s *Status) {
			for i := range s.Regions {
				s.Regions[i].Plan.Said.Evaluation, s.Regions[i].Plan.Said.Warnings = "actionRequired", []string{"promote the database: the role may not"}
			}
		}, []string{"the plan's evaluation: action required", "the plan's evaluation: promote the database: the role may not"}, nil, east},
		"an old backup": {func(s *Status) { s.Regions[0].Backups.Said.Table = &RecoveryPoint{At: ago(BackupAge + time.Minute)} },
			[]string{"the newest backup of the table in us-east-1 is 37h01m old, over 37h00m"}, nil, east},
		"a late backup": {func(s *Status) { s.Regions[0].Backups.Said.Table = &RecoveryPoint{At: ago(BackupAge)} }, nil, nil, east},
		"no copy":       {func(s *Status) { s.Regions[1].Backups.Said.ClusterCopy = nil }, []string{"there is no copy of us-east-1's cluster in us-west-2 from the last 8d"}, nil, east},
		"a bad restore": {func(s *Status) {
			s.Regions[1].Restores.Said.Table = &RestoreTest{At: ago(time.Hour), Job: "COMPLETED", Verdict: "FAILED", Message: "2 are missing"}
		},
			[]string{"the last restore test of the table in us-west-2, 1h00m ago: found wanting (2 are missing)"}, nil, east},
		"an old restore test": {func(s *Status) {
			s.Regions[0].Restores.Said.Cluster = &RestoreTest{At: ago(RestoreAge + time.Hour), Verdict: "SUCCESSFUL"}
		},
			[]string{"the last restore test of the cluster in us-east-1 is 8d01h old, over 8d"}, nil, east},
		"no restore test": {func(s *Status) { s.Regions[0].Restores.Said.Cluster = nil }, []string{"no restore of the cluster in us-east-1 was tested for 16d"}, nil, east},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := well()
			one.change(&s)
			s.judge()
			same := func(what string, got, want []string) {
				if len(got) != len(want) {
					t.Fatalf("%s: %q, want %q", what, got, want)
				}
				for i := range want {
					if !strings.HasPrefix(got[i], want[i]) {
						t.Errorf("%s: %q, want %q", what, got[i], want[i])
					}
				}
			}
			same("wrong", s.Wrong, one.wrong)
			same("unknown", s.Unknown, one.unknown)
			if s.Writer != one.writer {
				t.Errorf("writer %q, %s; want %q", s.Writer, s.WriterDoubt, one.writer)
			}
		})
	}
}

// screenOf is what people see.
func screenOf(t *testing.T, s Status, columns int) string {
	t.Helper()
	s.judge()
	var out bytes.Buffer
	if err := s.WriteText(&out, false, columns); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestScreenFits(t *testing.T) {
	t.Parallel()
	worst := well()
	for i := range worst.Regions {
		worst.Regions[i].Database = no[Database](KindDenied, "access denied: User: arn:aws:sts::111122223333:assumed-role/payment-dev-operator-us-east-1/erin is not authorized to perform rds:DescribeGlobalClusters")
		worst.Regions[i].Alarms = yes([]Alarm{{"payment-dev-other-region-unreachable", noon, false}, {"payment-dev-restore-validation-failures", noon, false}, {"payment-dev-ledger-dead-letters", noon, false}})
		worst.Regions[i].Restores.Said.Cluster = &RestoreTest{At: ago(time.Hour), Verdict: "FAILED", Message: strings.Repeat("of what was accepted, some is missing ", 6)}
		worst.Regions[i].Plan.Said.Executions = []Execution{{ID: "4b1e6d2c", Region: west, State: "inProgress", Mode: "graceful", Started: ago(time.Minute), Comment: "planned move to us-west-2, started by erin, who has a lot to say about it and says it here"}}
	}
	for what, s := range map[string]Status{"well": well(), "worst": worst, "east gone": gone(well(), 0), "both gone": gone(gone(well(), 0), 1)} {
		for _, columns := range []int{80, 120} {
			page := screenOf(t, s, columns)
			for _, line := range strings.Split(page, "\n") {
				if width(line) > columns && strings.Contains(strings.TrimSpace(line), " ") { // a word alone is the terminal's to break
					t.Errorf("%s: on %d columns a line takes %d: %q", what, columns, width(line), line)
				}
			}
			// Nothing is lost by it but where the lines end.
			if whole := screenOf(t, s, 0); strings.Join(strings.Fields(page), " ") != strings.Join(strings.Fields(whole), " ") {
				t.Errorf("%s: on %d columns it says\n%s\nand not\n%s", what, columns, page, whole)
			}
		}
		if lines := strings.Count(screenOf(t, s, 120), "\n"); what != "worst" && lines > 40 {
			t.Errorf("%s: %d lines are no screen", what, lines)
		}
	}
	narrow := screenOf(t, well(), 80)
	if !strings.Contains(narrow, "\nBACKUPS     us-east-1      age: cluster 6h00m, table 6h00m; copies from\n"+strings.Repeat(" ", 27)+"us-west-2: cluster 6h00m, table 6h00m\n") {
		t.Errorf("a line does not go on below its column:\n%s", narrow)
	}
	if screenOf(t, well(), 20) == "" || strings.Contains(wrap("abcdefghijklmnopqrstuvwxyz", 10), " ") {
		t.Error("a terminal that is too narrow")
	}
}

func TestScreenSaysEachThing(t *testing.T) {
	t.Parallel()
	expect := func(what string, s Status, lines ...string) {
		t.Helper()
		page := screenOf(t, s, 0)
		for _, line := range lines {
			if !strings.Contains(page, line) {
				t.Errorf("%s: there is no %q in\n%s", what, line, page)
			}
		}
	}
	expect("well", well(), "PAYMENTS    go to us-east-1, 20 ms\n", "us-east-1      takes payments, 15 ms; the plan's choice\n", "LEDGER      is written in us-east-1\n",
		"us-west-2      reader, replication connected, 640ms behind (objective 5m)\n", "queue          12 payments wait, the oldest for 3s; 0 given up\n",
		"reconciled     20m00s ago: 1204 payments", "RESTORED    us-east-1      cluster whole 2d02h ago, table whole 2d02h ago\n", "Everything was asked, and nothing is wrong.\n")

	// Each unknown by itself: it is named, and what is known beside it is told.
	for what, change := range map[string]func(*Status){
		"who takes payments":      func(s *Status) { s.Public = no[Health](KindUnreachable, "no name") },
		"us-west-2 API":           func(s *Status) { s.Regions[1].API = no[Health](KindUnreachable, "no name") },
		"us-west-2 database":      func(s *Status) { s.Regions[1].Database = no[Database](KindUnreachable, "no name") },
		"us-west-2 metrics":       func(s *Status) { s.Regions[1].Metrics = no[Metrics](KindUnreachable, "no name") },
		"us-west-2 alarms":        func(s *Status) { s.Regions[1].Alarms = no[[]Alarm](KindUnreachable, "no name") },
		"us-west-2 plan":          func(s *Status) { s.Regions[1].Plan = no[Plan](KindUnreachable, "no name") },
		"us-west-2 backups":       func(s *Status) { s.Regions[1].Backups = no[Backups](KindUnreachable, "no name") },
		"us-west-2 restore tests": func(s *Status) { s.Regions[1].Restores = no[RestoreTests](KindUnreachable, "no name") },
	} {
		s := well()
		change(&s)
		expect(what, s, "\nNOT KNOWN\n  "+what+": no name\n", "LEDGER      is written in us-east-1\n", "BACKUPS     us-east-1      age: cluster 6h00m")
		if page := screenOf(t, s, 0); strings.Contains(page, "WRONG") || strings.Contains(page, "Everything was asked") {
			t.Errorf("%s: it is taken for a fault, or for nothing:\n%s", what, page)
		}
	}
	expect("a Region gone", gone(well(), 0), "  us-east-1 API, database, metrics, alarms, plan, backups, restore tests: no answer within 2s\n", "queue          not known\n", "ALARMS      us-east-1      not known\n")

	s := well()
	s.Regions[1].Metrics.Said.LagMilliseconds, s.Regions[0].Metrics.Said.Waiting, s.Regions[0].Metrics.Said.OldestSeconds = nil, nil, nil
	expect("no data is not zero", s, "lag not known", "an unknown number of payments wait, the oldest for an unknown time; 0 given up")
	s = well()
	s.Regions[0].Database.Said.Moving, s.Regions[1].Database.Said.Members = "switching-over", s.Regions[1].Database.Said.Members[:1]
	expect("on the way", s, "us-east-1      writer, moving: switching-over\n", "us-west-2      its cluster is not in the global database\n")
	s = well()
	s.Regions[1].Alarms = no[[]Alarm](KindDenied, "access denied")
	expect("denied", s, "The role that may ask us-west-2 is payment-dev-operator-us-west-2, and it may ask no other Region.\n")
}

func TestScreenDoesNothingToATerminal(t *testing.T) {
	t.Parallel()
	s := well()
	evil := "x\x1b]0;owned\a\x1b[2J\r\n\tx"
	s.Public = no[Health](KindRefused, evil)
	s.Regions[0].Alarms = yes([]Alarm{{evil, noon, false}})
	s.Regions[0].Database.Said.Status = evil
	s.Regions[0].Plan.Said.Executions = []Execution{{ID: evil, State: "inProgress", Comment: evil}}
	s.Regions[1].Restores.Said.Cluster = &RestoreTest{At: noon, Message: evil}
	s.Regions[1].Plan.Said.Evaluation, s.Regions[1].Plan.Said.Warnings = "actionRequired", []string{evil}
	s.judge()
	for _, colour := range []bool{false, true} {
		var out bytes.Buffer
		if err := s.WriteText(&out, colour, 100); err != nil {
			t.Fatal(err)
		}
		rest := out.String()
		if colour {
			all, ends := len(ansi.FindAllString(rest, -1)), strings.Count(rest, "\x1b[0m")
			if !strings.Contains(rest, "\x1b[31m") || all != 2*ends {
				t.Errorf("%d colours, %d of them taken back", all-ends, ends)
			}
			rest = ansi.ReplaceAllString(rest, "")
		}
		if strings.ContainsAny(rest, "\x1b\a\r\t") {
			t.Errorf("colour %t: %q", colour, rest)
		}
	}
}

func TestShort(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		-time.Second: "0s", 0: "0s", 1400 * time.Millisecond: "1s", 59 * time.Second: "59s", time.Minute: "1m00s", 61 * time.Second: "1m01s",
		time.Hour: "1h00m", 47*time.Hour + 59*time.Minute: "47h59m", 48 * time.Hour: "2d", 49 * time.Hour: "2d01h", 16 * 24 * time.Hour: "16d",
	} {
		if got := short(d); got != want {
			t.Errorf("%v is %q, want %q", d, got, want)
		}
	}
}

func TestPreconditions(t *testing.T) {
	t.Parallel()
	d := &Deployment{Settings: testSettings(), Regions: []Region{{Name: east}, {Name: west}}, Now: func() time.Time { return noon }}
	planned, unplanned, back := Move{To: west, Planned: true}, Move{To: west}, Move{To: west, Planned: true, Back: true}
	for name, one := range map[string]struct {
		move   Move
		change func(*Status, *settings.Settings)
		// finding and what it says, of the precondition of this name.
		name, finding, says string
		against             bool
	}{
		"planned, well":    {planned, nil, "other Region", "ok", "us-east-1 takes payments", false},
		"unplanned, well":  {unplanned, nil, "other Region", "mind", "us-east-1 answers. A planned move (--planned) would lose nothing; is it really the writer that does not serve?", false},
		"is the writer":    {Move{To: east, Planned: true}, nil, "writer", "NO", "us-east-1 is the writer already", true},
		"split, planned":   {planned, func(s *Status, _ *settings.Settings) { s.Regions[1].Database.Said.Members = nil }, "writer", "NO", "the Regions disagree", true},
		"split, unplanned": {unplanned, func(s *Status, _ *settings.Settings) { s.Regions[1].Database.Said.Members = nil }, "writer", "mind", "the Regions disagree", false},
		"target is sick": {unplanned, func(s *Status, _ *settings.Settings) {
			s.Regions[1].API = no[Health](KindRefused, "answered with status 503")
		}, "target", "NO", "us-west-2 cannot take payments: its API answered with status 503", true},
		"target is silent": {unplanned, func(s *Status, _ *settings.Settings) { s.Regions[1].API = no[Health](KindUnreachable, "no answer") }, "target", "NO", "us-west-2 is not known to be well: no answer", true},
		"left is sick": {planned, func(s *Status, _ *settings.Settings) {
			s.Regions[0].API = no[Health](KindRefused, "answered with status 503")
		}, "other Region", "NO", "us-east-1 is not well: answered with status 503. A planned move waits for it", true},
		"left is gone": {unplanned, func(s *Status, _ *settings.Settings) { *s = gone(*s, 0) }, "other Region", "ok", "us-east-1 does not serve (no answer within 2s), and is not needed", false},
		"left is half known": {unplanned, func(s *Status, _ *settings.Settings) {
			s.Regions[0].Database = no[Database](KindDenied, "access denied")
		}, "other Region", "mind", "us-east-1 takes payments, and whether its database serves is not known: access denied", false},
		"left is not known":   {unplanned, func(s *Status, _ *settings.Settings) { s.Regions[0].API = no[Health](KindMalformed, "a page") }, "other Region", "mind", "whether us-east-1 serves is not known: a page", false},
		"lag":                 {planned, nil, "lag", "ok", "640ms, objective 5m0s", false},
		"lag over, planned":   {planned, func(s *Status, _ *settings.Settings) { s.Regions[1].Metrics.Said.LagMilliseconds.Value = 301_000 }, "lag", "NO", "5m1s, over the objective of 5m0s", true},
		"lag over, unplanned": {unplanned, func(s *Status, _ *settings.Settings) { s.Regions[1].Metrics.Said.LagMilliseconds.Value = 301_000 }, "lag", "mind", "5m1s", false},
		"no lag, planned":     {planned, func(s *Status, _ *settings.Settings) { s.Regions[1].Metrics = no[Metrics](KindThrottled, "x") }, "lag", "NO", "not known", true},
		"no lag, unplanned":   {unplanned, func(s *Status, _ *settings.Settings) { s.Regions[1].Metrics = no[Metrics](KindThrottled, "x") }, "lag", "mind", "not known", false},
		"moving, planned":     {planned, func(s *Status, _ *settings.Settings) { s.Regions[1].Database.Said.Moving = "failing-over" }, "replication", "NO", "the global database is moving already: failing-over", true},
		"not replicating": {planned, func(s *Status, _ *settings.Settings) {
			s.Regions[1].Database.Said.Members[1].Replication = "pending-resync"
		}, "replication", "NO", "payment-dev-us-west-2 is pending-resync", true},
		"no plan at target":  {unplanned, func(s *Status, _ *settings.Settings) { s.Regions[1].Plan = no[Plan](KindDenied, "access denied") }, "plan", "NO", "us-west-2 does not tell of the plan: access denied", true},
		"half of executions": {unplanned, func(s *Status, _ *settings.Settings) { s.Regions[0].Plan = no[Plan](KindDenied, "access denied") }, "executions", "ok", "none is running, as far as us-west-2 knows", false},
		"ended ones": {unplanned, func(s *Status, _ *settings.Settings) {
			s.Regions[0].Plan.Said.Executions = []Execution{{ID: "a", State: "failed"}, {ID: "b", State: "canceled"}}
		}, "executions", "ok", "none is running", false},
		"somebody is at it": {unplanned, func(s *Status, _ *settings.Settings) {
			s.Regions[0].Plan.Said.Executions = []Execution{{ID: "exec-7", State: "pendingManualApproval", Mode: "graceful", Region: east, Started: ago(95 * time.Second), Comment: "planned move, started by erin"}}
		}, "executions", "NO", `somebody is at it: pendingManualApproval, graceful to us-east-1 since 1m35s ago, "planned move, started by erin". Watch it: dr watch-plan --env dev exec-7`, true},
		"evaluation": {planned, func(s *Status, _ *settings.Settings) {
			s.Regions[1].Plan.Said.Evaluation, s.Regions[1].Plan.Said.Warnings = "actionRequired", []string{"the role may not"}
		}, "evaluation", "mind", "actionRequired; the role may not", false},
		"automatic, planned": {planned, func(_ *Status, s *settings.Settings) { s.Recovery.Automatic = true }, "settings", "NO", "recovery.automatic is true: this plan fails the database over in either mode", true},
		"back, clean":        {back, nil, "reconciled", "ok", "clean 20m00s ago: 1204 payments", false},
		"back, not clean": {back, func(s *Status, _ *settings.Settings) {
			r := s.Regions[0].Metrics.Said.Reconciliation
			r.Missing, r.Clean = new(1), new(false)
		}, "reconciled", "NO", "not clean 20m00s ago: 1204 payments, 1 missing", true},
		"back, a gap": {back, func(s *Status, _ *settings.Settings) {
			s.Regions[0].Metrics.Said.UnreconciledSeconds = &Value{s.At, 52_200}
		}, "reconciled", "NO", "payments of the last 14h30m are not reconciled", true},
		"back, the gap is unknown": {back, func(s *Status, _ *settings.Settings) {
			s.Regions[0].Metrics.Said.UnreconciledSeconds = nil
		}, "reconciled", "mind", "clean 20m00s ago: 1204 payments, 0 missing, 0 recorded again, 0 conflicting, 0 unaccounted. Up to when payments are reconciled is unknown", false},
		"back, not reconciled": {back, func(s *Status, _ *settings.Settings) { s.Regions[0].Metrics.Said.Reconciliation = nil }, "reconciled", "NO", "no reconciliation has come to its end in us-east-1", true},
		"back, not told":       {back, func(s *Status, _ *settings.Settings) { s.Regions[0].Metrics = no[Metrics](KindDenied, "access denied") }, "reconciled", "mind", "not known. us-east-1 says: access denied", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			status, own := well(), *d
			own.Settings = testSettings()
			if one.change != nil {
				one.change(&status, own.Settings)
			}
			status.judge()
			found := own.Preconditions(status, one.move)
			var told string
			for _, p := range found {
				told += fmt.Sprintf("\n%s %s: %s", p.Finding, p.Name, p.Says)
			}
			if want := "\n" + one.finding + " " + one.name + ": " + one.says; !strings.Contains(told, want) {
				t.Errorf("want %q in %s", want, told)
			}
			if Against(found) != one.against {
				t.Errorf("stands in the way: %t, want %t:%s", !one.against, one.against, told)
			}
		})
	}
}
