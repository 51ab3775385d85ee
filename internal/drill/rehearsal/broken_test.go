package rehearsal_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"payments-dr/internal/assembly"
	"payments-dr/internal/drill"
	"payments-dr/internal/drill/rehearsal"
	"payments-dr/internal/payment"
	"payments-dr/internal/payment/ledger"
	"payments-dr/internal/settings"
	"payments-dr/internal/simulation/eventbus"
	"payments-dr/internal/simulation/localdynamodb"
	"payments-dr/internal/simulation/localmysql"
	"payments-dr/internal/simulation/loopback"
)

// A rehearsal of a platform that is broken has to fail, and to say what is broken. Each test here breaks one thing.

// start starts a platform; what its options leave out is there, and its ledgers are off where no database is given.
func start(t *testing.T, a *assembly.Assembly, options rehearsal.Options) *rehearsal.Platform {
	t.Helper()
	options.Table = startTable(t)
	options.Log = io.Discard
	options.Seed = seed
	if options.Clock == nil {
		options.Clock = rehearsal.FastClock(speed)
	}
	for _, name := range []string{"processor", "relay", "ledger", "reconcile"} {
		if _, given := options.Binaries[name]; !given {
			options.Binaries[name] = "not built" // and not invoked
		}
	}
	p, err := rehearsal.Start(t.Context(), a, options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	if options.Databases == nil {
		p.Regions[0].LedgerMapping.SetEnabled(false)
	}
	return p
}

func startTable(t *testing.T) *localdynamodb.Server {
	t.Helper()
	table, err := localdynamodb.Start(moduleDir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(table.Close)
	return table
}

// verdict is what a run comes to in which clients had all these payments acknowledged.
func verdict(t *testing.T, acknowledged []payment.Payment, run drill.Run) drill.Report {
	t.Helper()
	run.Banner, run.Title = "SIMULATED", t.Name()
	recorder := &drill.Recorder{}
	for _, p := range acknowledged {
		err := recorder.Request(drill.Request{
			Identity: p.Identity, Amount: p.Amount, SentAt: p.Timestamp, EndedAt: p.Timestamp.Add(time.Second), Outcome: drill.OutcomeAcknowledged, Attempts: 1,
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	report, err := drill.Measure(recorder, run)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// tableOf is a Region's replica as it is now.
func tableOf(t *testing.T, a *assembly.Assembly, p *rehearsal.Platform, region string) func(func(drill.Item) error) error {
	t.Helper()
	items := acceptedPayments(t, p.ItemsOf(region), constant(t, a, "TABLE_NAME"))
	return func(each func(drill.Item) error) error {
		for _, item := range items {
			if err := each(item); err != nil {
				return err
			}
		}
		return nil
	}
}

// says fails the test unless an objective has a status and was measured to be a number.
func says(t *testing.T, report drill.Report, name drill.Name, status drill.Status, measured float64) {
	t.Helper()
	o := objective(t, report, name)
	if o.Status != status || o.Measured == nil || *o.Measured != measured {
		t.Errorf("%s: %s, measured %v; want %s, %v", name, o.Status, o.Value(o.Measured), status, measured)
	}
}

// the resources of a type in all templates, to be changed.
func resources(a *assembly.Assembly, kind string) []assembly.Resource {
	var all []assembly.Resource
	for _, stack := range a.Stacks {
		for _, id := range slices.Sorted(maps.Keys(stack.Template.Resources)) {
			if resource := stack.Template.Resources[id]; resource.Type == kind {
				all = append(all, resource)
			}
		}
	}
	return all
}

// withoutOrigin takes the origin out of the filters of the relays' mappings.
func withoutOrigin(t *testing.T, a *assembly.Assembly) {
	t.Helper()
	taken := 0
	for _, mapping := range resources(a, "AWS::Lambda::EventSourceMapping") {
		criteria, _ := mapping.Properties["FilterCriteria"].(map[string]any)
		filters, _ := criteria["Filters"].([]any)
		for _, one := range filters {
			filter := one.(map[string]any)
			var pattern struct {
				EventName []string `json:"eventName"`
				DynamoDB  struct{ NewImage map[string]any }
			}
			if err := json.Unmarshal([]byte(filter["Pattern"].(string)), &pattern); err != nil {
				t.Fatal(err)
			}
			if _, asked := pattern.DynamoDB.NewImage[payment.AttributeRegion]; asked {
				taken++
			}
			delete(pattern.DynamoDB.NewImage, payment.AttributeRegion)
			changed, err := json.Marshal(map[string]any{"eventName": pattern.EventName, "dynamodb": pattern.DynamoDB})
			if err != nil {
				t.Fatal(err)
			}
			filter["Pattern"] = string(changed)
		}
	}
	if taken != 2 {
		t.Fatalf("the origin was taken out of %d filters, want both Regions'", taken)
	}
}

// The relay itself looks at the origin, too, so that a filter without it puts nothing on the buses. The ledger would hide it in
// any case.
func TestPaymentsRelayedByBothRegionsAreNamed(t *testing.T) {
	t.Parallel()
	const payments = 6
	sound := build(t, "processor", "relay")
	open := maps.Clone(sound)
	open["relay"] = buildChanged(t, "relay", "functions/relay/handler.go", `region == "" || region == h.region`, `region == region`)
	handed := []string{
		"the relay of us-east-1 was handed 3 payments that another Region had accepted: the filter of its mapping does not ask for the origin",
		"the relay of us-west-2 was handed 3 payments that another Region had accepted: the filter of its mapping does not ask for the origin",
	}
	both := "6 payments were put on the buses by both Regions, such as " + someID("pay", 0) + " / " + someID("pay", 0) + ", accepted in us-east-1: " +
		"the relay's filter and the relay itself let payments of the other Region through"
	for _, test := range []struct {
		name     string
		filter   bool
		binaries map[string]string
		want     []string
	}{
		{"as it is", true, sound, nil},
		{"without the filter's condition", false, sound, handed},
		{"without the relay's own", true, open, nil},
		{"without both", false, open, append(slices.Clone(handed), both)},
	} {
		t.Run(test.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			a := synthesize(t)
			if !test.filter {
				withoutOrigin(t, a)
			}
			p := start(t, a, rehearsal.Options{Binaries: maps.Clone(test.binaries)})
			for i := range payments {
				pay(ctx, t, p.Regions[i%2], i)
			}
			if err := p.WaitDelivered(ctx); err != nil {
				t.Fatal(err)
			}
			putAgain(t, p, p.Regions[0], payments) // a Region may put its own events twice
			if got := p.Broken(); !slices.Equal(got, test.want) {
				t.Errorf("broken:\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(test.want, "\n"))
			}
			for _, r := range p.Regions {
				visible, hidden := r.Queues["payment-"+a.Settings.Environment+"-ledger"].Depth()
				want := payments + payments/2
				if len(test.want) == 3 { // and the other Region's three once more, from its relay here; only the origin forwards
					want += payments / 2
				}
				if visible+hidden != want {
					t.Errorf("%s: %d messages for %d payments, want %d", r.Name, visible+hidden, payments, want)
				}
			}
		})
	}
}

// putAgain puts the events of those payments on a Region's bus that the Region has accepted, as its relay does when it does not
// know whether it has.
func putAgain(t *testing.T, p *rehearsal.Platform, r *rehearsal.Region, payments int) {
	t.Helper()
	for number := range payments {
		if p.Regions[number%2] != r {
			continue
		}
		detail, err := payment.MarshalEventDetail(somePayment(t, number, "pay", r.Name, time.Now()))
		if err != nil {
			t.Fatal(err)
		}
		results, err := p.Network.Put(t.Context(), r.Name, []eventbus.Entry{{
			EventBusName: r.Bus(), Source: payment.EventSource, DetailType: payment.EventDetailType, Detail: string(detail),
		}})
		if err != nil || results[0].ErrorCode != "" {
			t.Fatalf("put event: %+v, %v", results, err)
		}
	}
}

func TestPlanThatLacksAStepIsRefused(t *testing.T) {
	want := map[string]string{
		"ManualApproval": "asks a second person", "AuroraGlobalDatabase": "promotes the database", "LambdaEventSourceMapping enable": "starts a ledger",
		"LambdaEventSourceMapping disable": "stops a ledger", "CustomActionLambda": "reconciles", "Route53HealthCheck": "moves payments",
	}
	for lacking, what := range want {
		a := synthesize(t)
		taken := 0
		for _, plan := range resources(a, "AWS::ARCRegionSwitch::Plan") {
			for _, workflow := range plan.Properties["Workflows"].([]any) {
				takeSteps(workflow.(map[string]any), lacking, &taken)
			}
		}
		if taken != 1 {
			t.Errorf("%s: %d steps taken out, want one", lacking, taken)
		}
		_, err := rehearsal.Rehearse(t.Context(), rehearsal.Config{Assembly: a, Fault: "region-loss"})
		if want := "start the rehearsal: the recovery plan has no step that " + what; err == nil || err.Error() != want {
			t.Errorf("without %s: error %v, want %s", lacking, err, want)
		}
	}
}

// takeSteps takes a kind of step out of a workflow or a parallel block.
func takeSteps(block map[string]any, lacking string, taken *int) {
	steps, _ := block["Steps"].([]any)
	block["Steps"] = slices.DeleteFunc(steps, func(one any) bool {
		step := one.(map[string]any)
		kind := step["ExecutionBlockType"].(string)
		configuration, _ := step["ExecutionBlockConfiguration"].(map[string]any)
		for _, one := range configuration {
			inner := one.(map[string]any)
			if action, ok := inner["Action"].(string); ok {
				kind += " " + action
			}
			takeSteps(inner, lacking, taken)
		}
		if kind == lacking {
			*taken++
		}
		return kind == lacking
	})
}

// A ledger that does not look for what it has, in a table without a primary key, records every message, and a message may
// come again at any time.
func TestLedgerThatIsNotIdempotentIsFoundOut(t *testing.T) {
	t.Parallel()
	const payments = 9
	binaries := build(t, "processor", "relay", "ledger")
	careless := maps.Clone(binaries)
	careless["ledger"] = buildChanged(t, "ledger", "internal/payment/ledger/ledger.go", "_, there := existing[p.Identity]\n\t\treturn there", "return false")
	for _, test := range []struct {
		name     string
		binaries map[string]string
		key      bool
		status   drill.Status
		doubled  float64
	}{
		{"as it is", binaries, true, drill.StatusPass, 0},
		{"without the key", binaries, false, drill.StatusPass, 0},
		{"without the key and the look", careless, false, drill.StatusFail, payments},
	} {
		t.Run(test.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			server, err := localmysql.StartEmbedded()
			if err != nil {
				t.Fatal(err)
			}
			defer server.Close()
			migrated(t, server)
			if !test.key {
				if err := server.Exec(ctx, database, "ALTER TABLE payments DROP PRIMARY KEY"); err != nil {
					t.Fatal(err)
				}
			}
			signIn := rehearsal.Database{Host: server.Host, Port: server.Port, User: ledger.UserName, Password: password, Name: database}
			a := synthesize(t)
			clock := rehearsal.FastClock(speed)
			p := start(t, a, rehearsal.Options{
				Binaries: maps.Clone(test.binaries), Clock: clock,
				Databases: map[string]rehearsal.Database{a.Settings.Regions.Primary.Name: signIn, a.Settings.Regions.Secondary.Name: signIn},
			})
			var acknowledged []payment.Payment
			for i := range payments {
				pay(ctx, t, p.Regions[i%2], i)
				acknowledged = append(acknowledged, somePayment(t, i, "pay", p.Regions[i%2].Name, time.Now()))
			}
			if err := errors.Join(p.WaitDelivered(ctx), p.WaitRecorded(ctx)); err != nil {
				t.Fatal(err)
			}
			for _, r := range p.Regions {
				putAgain(t, p, r, payments)
			}
			if err := p.WaitRecorded(ctx); err != nil {
				t.Fatal(err)
			}
			master, err := server.Open(database)
			if err != nil {
				t.Fatal(err)
			}
			defer master.Close()
			rows, err := rehearsal.ReadRows(ctx, master, clock)
			if err != nil {
				t.Fatal(err)
			}
			report := verdict(t, acknowledged, drill.Run{Table: tableOf(t, a, p, p.Regions[0].Name), Ledger: rows})
			says(t, report, drill.NameDoubled, test.status, test.doubled)
			says(t, report, drill.NameMissing, drill.StatusPass, 0)
		})
	}
}

// What a platform has not recorded in the end is a finding, and no reason to give no report.
func TestPaymentsThatAreNeverRecordedAreNamed(t *testing.T) {
	t.Parallel()
	a := synthesize(t)
	line, err := loopback.NewLine("127.0.0.1:1")
	if err != nil {
		t.Fatal(err)
	}
	defer line.Close()
	line.SetDown(true)
	nowhere := rehearsal.Database{Host: loopback.Host, Port: line.Port(), User: ledger.UserName, Password: password, Name: database}
	p := start(t, a, rehearsal.Options{
		Binaries:  build(t, "processor", "relay", "ledger"),
		Databases: map[string]rehearsal.Database{a.Settings.Regions.Primary.Name: nowhere, a.Settings.Regions.Secondary.Name: nowhere},
	})
	pay(t.Context(), t, p.Regions[0], 0)
	want := "the ledger queue of " + p.Regions[0].Name + " still holds messages: 1"
	if what, err := p.Settle(t.Context(), 5*time.Second); what != want || err != nil {
		t.Errorf("%q, %v; want %q", what, err, want)
	}
	interrupted, cancel := context.WithCancel(t.Context())
	cancel()
	if what, err := p.Settle(interrupted, time.Minute); what != "" || !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %q, %v", what, err)
	}
	p.Regions[0].LedgerMapping.SetEnabled(false)
	if what, err := p.Settle(t.Context(), time.Minute); what != "" || err != nil {
		t.Errorf("a queue that waits for its turn: %q, %v", what, err)
	}
}

// healthPath is what the endpoints' health checks ask for: the API's route, behind its stage.
const healthPath = "/live/health"

// askForHealthz has the endpoints' health checks ask for a path that the API does not have.
func askForHealthz(t *testing.T, a *assembly.Assembly) {
	t.Helper()
	changed := 0
	for _, check := range resources(a, "AWS::Route53::HealthCheck") {
		config := check.Properties["HealthCheckConfig"].(map[string]any)
		if path, _ := config["ResourcePath"].(string); path == healthPath {
			config["ResourcePath"] = path + "z"
			changed++
		}
	}
	if changed != 4 {
		t.Fatalf("%d health checks ask for %s, want two of each Region", changed, healthPath)
	}
}

// With both endpoints unhealthy all the time, the connection decides. Without that the public name leads to the first Region, lost or
// not.
func TestHealthCheckOfAWrongPathBringsNoPaymentsBack(t *testing.T) {
	const limit = 2 * time.Minute
	for name, test := range map[string]struct {
		change    func(*testing.T, *assembly.Assembly)
		connect   error
		status    drill.Status
		unhealthy []string
	}{
		"as it is": {func(*testing.T, *assembly.Assembly) {}, nil, drill.StatusPass, nil},
		"/healthz": {askForHealthz, nil, drill.StatusNotMeasured, []string{ // payments go to the other Region from the start
			"/live/healthz of us-east-1: 403", "/live/healthz of us-west-2: 403", "/live/healthz of us-east-1: 403", "/live/healthz of us-west-2: 403",
		}},
		"/healthz, and no connection": {askForHealthz, errors.New("refused"), drill.StatusFail, []string{
			"a connection to us-west-2: refused",
			"/live/healthz of us-east-1: 403", "/live/healthz of us-west-2: 403", "/live/healthz of us-east-1: 403", "/live/healthz of us-west-2: 403",
		}},
		"without the text": {func(_ *testing.T, a *assembly.Assembly) {
			for _, check := range resources(a, "AWS::Route53::HealthCheck") {
				if config := check.Properties["HealthCheckConfig"].(map[string]any); config["SearchString"] != nil {
					config["SearchString"] = `"steady": true`
				}
			}
		}, nil, drill.StatusPass, []string{`/live/health of us-east-1: 200 without "steady": true`, `/live/health of us-west-2: 200 without "steady": true`}},
	} {
		t.Run(name, func(t *testing.T) {
			a := synthesize(t)
			test.change(t, a)
			synctest.Test(t, func(t *testing.T) {
				here := a.Settings.Regions.Primary.Name
				var lost, told atomic.Bool
				shares, err := rehearsal.SharesOf(a)
				if err != nil {
					t.Fatal(err)
				}
				public, err := rehearsal.NewPublicName(rehearsal.PublicNameConfig{
					Assembly: a, Clock: realTime{}, Shares: shares,
					Get: func(_ context.Context, region, path string) (int, string, error) {
						switch {
						case region == here && lost.Load():
							return 0, "", errors.New("no answer")
						case path != healthPath:
							return http.StatusForbidden, "", nil // an API's answer where it has no route
						}
						return http.StatusOK, `{"steady":true}`, nil
					},
					Connect:       func(context.Context, string) error { return test.connect },
					HealthChanged: func(string, string, bool) {},
					AnswerChanged: func(region string, detection, ttl time.Duration) {
						// Two requests in a row, ten seconds apart, each with six seconds of patience.
						if lost.Load() && region != here && (detection != 32*time.Second || ttl != 10*time.Second) {
							t.Errorf("the change to %s takes up to %s, and the answer before is kept for %s", region, detection, ttl)
						}
						if lost.Load() {
							told.Store(true)
						}
					},
				})
				if err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithCancel(t.Context())
				go public.Run(ctx)
				recorder := &drill.Recorder{}
				for second := range 600 { // a client that looks the name up for each payment
					if second == 90 {
						want := ""
						for _, answer := range test.unhealthy {
							want += "\nan endpoint is unhealthy with nothing wrong: its health check asks for " + answer
						}
						if err := public.Unhealthy(); (err == nil) != (want == "") || err != nil && "\n"+err.Error() != want {
							t.Errorf("error %v, want %s", err, want)
						}
						lost.Store(true)
						_ = recorder.Event(drill.Event{
							At: time.Now(), Kind: drill.KindFaultBegins, Name: "region-loss", Region: here, Hits: []drill.Subject{drill.SubjectPayments},
						})
					}
					region, _, err := public.Answer()
					if err != nil {
						t.Fatal(err)
					}
					attempt := drill.Attempt{SentAt: time.Now(), EndedAt: time.Now(), Outcome: drill.OutcomeAcknowledged, Region: region}
					if region == here && lost.Load() {
						attempt.Outcome, attempt.Region, attempt.Reason = drill.OutcomeFailed, "", "no answer in time"
					}
					_ = recorder.Attempt(attempt)
					time.Sleep(time.Second)
				}
				cancel()
				synctest.Wait()
				report, err := drill.Measure(recorder, drill.Run{Banner: "SIMULATED", Objectives: drill.Objectives{PaymentsRTO: limit}})
				if err != nil {
					t.Fatal(err)
				}
				o := objective(t, report, drill.NamePaymentsRTO)
				t.Logf("RTO of payments: %s, measured %q, %s", o.Status, o.Value(o.Measured), o.Reason)
				if o.Status != test.status || told.Load() != (test.status == drill.StatusPass) {
					t.Errorf("RTO of payments: %s, want %s; the answer changed: %v", o.Status, test.status, told.Load())
				}
			})
		})
	}
}

// The whole rehearsal, which ends before its fault.
func TestRehearsalEndsAtAnEndpointThatIsUnhealthyWithNothingWrong(t *testing.T) {
	t.Parallel()
	a := synthesize(t)
	askForHealthz(t, a)
	_, err := rehearse(t, a, build(t, "processor", "relay", "ledger", "reconcile"), "region-loss")
	want := "rehearse region-loss: an endpoint is unhealthy with nothing wrong: its health check asks for /live/healthz of us-east-1: 403"
	if err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("error %v, want %s", err, want)
	}
}

func TestConsistencyIsTheTemplates(t *testing.T) {
	for name, test := range map[string]struct {
		change func(a *assembly.Assembly, table map[string]any)
		want   string
	}{
		"eventual by its template": {
			func(_ *assembly.Assembly, table map[string]any) { delete(table, "MultiRegionConsistency") },
			`session.consistency is "strong", and in its template the session table is of eventual consistency`,
		},
		"eventual by the settings": {
			func(a *assembly.Assembly, _ map[string]any) {
				a.Settings.Session.Consistency = settings.ConsistencyEventual
			},
			`session.consistency is "eventual", and in its template the session table is of strong consistency`,
		},
		"neither": {
			func(_ *assembly.Assembly, table map[string]any) { table["MultiRegionConsistency"] = "MOSTLY" },
			`the session table has the consistency "MOSTLY" in its template; allowed is EVENTUAL or STRONG`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			a := synthesize(t)
			test.change(a, resources(a, "AWS::DynamoDB::GlobalTable")[0].Properties)
			_, err := rehearsal.Rehearse(t.Context(), rehearsal.Config{Assembly: a, Fault: "region-loss"})
			if want := "start the rehearsal: " + test.want; err == nil || err.Error() != want {
				t.Errorf("error %v, want %s", err, want)
			}
		})
	}
	a := synthesize(t)
	if mode, err := rehearsal.TableConsistency(a); err != nil || mode != settings.ConsistencyStrong {
		t.Errorf("as it is: %s, %v", mode, err)
	}
}

// A table that only claims to be strongly consistent acknowledges what the other Region does not have.
func TestTableThatIsNotAsConsistentAsItsTemplateClaimsIsFoundOut(t *testing.T) {
	const payments = 6
	for name, test := range map[string]struct {
		eventual bool
		lost     float64
		status   drill.Status
	}{"strong": {false, 0, drill.StatusPass}, "eventual": {true, payments, drill.StatusFail}} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			options := rehearsal.Options{Binaries: build(t, "processor", "relay")}
			if test.eventual {
				options.Eventual = &rehearsal.Eventual{Table: startTable(t), Lag: time.Second}
			}
			a := synthesize(t)
			p := start(t, a, options)
			here, there := p.Regions[0], p.Regions[1]
			p.SetPartitioned(true) // nothing is copied while payments are acknowledged, however long that takes here
			var acknowledged []payment.Payment
			var identities []payment.Identity
			for i := range payments {
				pay(ctx, t, here, i)
				one := somePayment(t, i, "pay", here.Name, time.Now())
				acknowledged, identities = append(acknowledged, one), append(identities, one.Identity)
			}
			p.SetLost(here.Name, true)
			p.SetPartitioned(false)
			absent, err := p.Absent(ctx, there.Name, identities)
			if err != nil || float64(len(absent)) != test.lost {
				t.Errorf("%d payments are absent, %v; want %v", len(absent), err, test.lost)
			}
			t.Log(rehearsal.Absence(here.Name, there.Name, len(absent), len(identities)))
			run := drill.Run{Table: tableOf(t, a, p, there.Name)}
			says(t, verdict(t, acknowledged, run), drill.NameLost, test.status, test.lost)

			p.SetLost(here.Name, false) // and what was away is there again
			if err := p.WaitDelivered(ctx); err != nil {
				t.Fatal(err)
			}
			run.Table = tableOf(t, a, p, there.Name)
			says(t, verdict(t, acknowledged, run), drill.NameLost, drill.StatusPass, 0)
			if broken := p.Broken(); len(broken) != 0 {
				t.Errorf("broken: %q", broken)
			}
		})
	}
}
