package rehearsal_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	smithytime "github.com/aws/smithy-go/time"
	"github.com/bojanz/currency"

	"payments-dr/internal/assembly"
	"payments-dr/internal/drill/rehearsal"
	"payments-dr/internal/payment"
	"payments-dr/internal/payment/ledger"
	"payments-dr/internal/payment/ledger/schema"
	"payments-dr/internal/payment/paymenttest"
	"payments-dr/internal/payment/reconcile"
	"payments-dr/internal/payment/sessiontable"
	"payments-dr/internal/simulation"
	"payments-dr/internal/simulation/localdynamodb"
	"payments-dr/internal/simulation/localmysql"
	"payments-dr/internal/simulation/loopback"
)

const (
	moduleDir = "../../.."
	seed      = 20261122
	database  = "payments"
	password  = "simulated"
	// speed makes the queues' and streams' own waits short: a message that a killed function had is visible again after six
	// minutes. The two hours after which it is a dead letter are then two minutes, which a busy machine needs.
	speed = 60
)

// migrated makes the ledger's database and its user.
func migrated(t *testing.T, server *localmysql.Server) {
	t.Helper()
	if err := server.Exec(t.Context(), "", "CREATE DATABASE "+database); err != nil {
		t.Fatal(err)
	}
	master, err := server.Open(database)
	if err != nil {
		t.Fatal(err)
	}
	defer master.Close()
	// Aurora's IAM authentication exists nowhere else.
	if _, err := schema.Migrate(t.Context(), master, schema.User{Name: ledger.UserName, Authentication: "IDENTIFIED BY '" + password + "'"}); err != nil {
		t.Fatal(err)
	}
	if !server.InnoDB {
		// The embedded server's secondary indexes lead to wrong rows once a connection has died in the middle of a
		// transaction: a count without the index and one with it differ. Without the index it reads the rows themselves.
		if err := server.Exec(t.Context(), database, "ALTER TABLE payments DROP INDEX payments_accepted_at"); err != nil {
			t.Fatal(err)
		}
	}
}

// TestEveryAcceptedPaymentReachesTheLedgerOnce takes 10,000 payments (against MariaDB; 1,500 against the embedded server, whose
// look-ups go through all rows) through the real binaries of processor, relay and ledger
// and both Regions' synthesized rules and mappings, while a tenth of all invocations is killed, answers are lost, messages
// come twice and in no order, and the database is away for a while. Then the table and the ledger agree to the cent, each
// payment once. Then rows are deleted and changed by hand, and the reconciliation finds exactly those.
func TestEveryAcceptedPaymentReachesTheLedgerOnce(t *testing.T) {
	t.Parallel()
	servers, closeServers, err := localmysql.StartAll()
	if err != nil {
		t.Fatal(err)
	}
	defer closeServers()
	a := synthesize(t)
	binaries := build(t, "processor", "relay", "ledger", "reconcile")
	for kind, server := range servers {
		t.Run(kind, func(t *testing.T) { flow(t, a, binaries, server) })
	}
}

func flow(t *testing.T, a *assembly.Assembly, binaries map[string]string, server *localmysql.Server) {
	const past, early = 500, 20
	payments := 1_500
	if server.InnoDB {
		payments = 10_000
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	migrated(t, server)
	table, err := localdynamodb.Start(moduleDir)
	if err != nil {
		t.Fatal(err)
	}
	defer table.Close()
	line, err := loopback.NewLine(net.JoinHostPort(server.Host, strconv.Itoa(server.Port)))
	if err != nil {
		t.Fatal(err)
	}
	defer line.Close()
	signIn := rehearsal.Database{Host: "127.0.0.1", Port: line.Port(), User: ledger.UserName, Password: password, Name: database}
	p, err := rehearsal.Start(ctx, a, rehearsal.Options{
		Binaries: binaries, Table: table, Databases: map[string]rehearsal.Database{a.Settings.Regions.Primary.Name: signIn, a.Settings.Regions.Secondary.Name: signIn}, Clock: rehearsal.FastClock(speed), Log: io.Discard, Seed: seed,
		KillProbability: 0.1, KillWithin: 4 * time.Millisecond, DuplicateProbability: 0.05, LostAnswerProbability: 0.02,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()

	started := time.Now()
	tableName := constant(t, a, "TABLE_NAME")
	acceptInThePast(t, table, p, tableName, "past", past, time.Hour, time.Second)
	acceptInThePast(t, table, p, tableName, "early", early, 20*time.Hour, 30*time.Minute)
	var sent atomic.Int32
	away := make(chan struct{})
	// The database goes away when a third has been sent, and comes back when two thirds have, or after an hour of the queues'
	// time: after two, a message is a dead letter.
	go func() {
		defer close(away)
		const longest = time.Hour / speed
		for _, step := range []struct {
			after int32
			down  bool
		}{{int32(payments / 3), true}, {int32(2 * payments / 3), false}} {
			for waiting := time.Now(); sent.Load() < step.after && (step.down || time.Since(waiting) < longest); {
				if smithytime.SleepWithContext(ctx, 5*time.Millisecond) != nil {
					return
				}
			}
			line.SetDown(step.down)
		}
	}()
	send(ctx, t, p, payments, &sent)
	<-away
	accepting := time.Since(started)
	if err := p.WaitDelivered(ctx); err != nil {
		t.Fatal(err)
	}
	if err := p.WaitRecorded(ctx); err != nil {
		t.Fatal(err)
	}
	took := time.Since(started)

	// The table and the ledger agree, payment by payment and to the cent.
	accepted := acceptedPayments(t, p.Items(), tableName)
	if len(accepted) != payments+past+early {
		t.Errorf("%d payments in the table, want %d", len(accepted), payments+past+early)
	}
	l := openLedger(t, signIn)
	agree(t, l, accepted)
	for _, r := range p.Regions {
		for name, queue := range r.Queues {
			visible, hidden := queue.Depth()
			ledgerQueue := strings.HasSuffix(name, "-ledger")
			switch standby := !r.LedgerMapping.Enabled(); {
			case ledgerQueue && standby && visible+hidden < payments+past:
				t.Errorf("%s: the standby's queue holds %d messages, want every payment", r.Name, visible+hidden)
			case !(ledgerQueue && standby) && visible+hidden != 0:
				t.Errorf("%s: %d messages in %s", r.Name, visible+hidden, name)
			}
		}
		t.Logf("%s: processor %+v, relay %+v, ledger %+v", r.Name, r.Processor.Stats(), r.Relay.Stats(), r.Ledger.Stats())
	}
	primary := p.Regions[0]
	for name, stats := range map[string]simulation.FunctionStats{
		"processor": primary.Processor.Stats(), "relay": primary.Relay.Stats(), "ledger": primary.Ledger.Stats(),
	} {
		if stats.Killed == 0 {
			t.Errorf("no %s was killed: the accidents have done nothing", name)
		}
	}
	t.Logf("%d payments accepted in %v and recorded in %v, %.0f a second", payments, accepting.Round(time.Millisecond), took.Round(time.Millisecond), float64(payments)/took.Seconds())

	reconciled(t, p, server, l, accepted, past)
}

// constant is a variable of the processor in the template.
func constant(t *testing.T, a *assembly.Assembly, name string) string {
	t.Helper()
	for _, resource := range a.Stacks[1].Template.Resources {
		environment, _ := resource.Properties["Environment"].(map[string]any)
		variables, _ := environment["Variables"].(map[string]any)
		if value, ok := variables[name].(string); ok {
			return value
		}
	}
	t.Fatalf("no function has the variable %s", name)
	return ""
}

// someID is an id of a number, the same at every run. Behind prefix and number it has up to as many characters as an id may have, of
// all that a new payment's may have.
func someID(prefix string, number int) string {
	id := fmt.Sprintf("%s-%d-", prefix, number)
	random := rand.New(rand.NewPCG(seed, uint64(number)))
	all := allCharacters()
	for range random.IntN(payment.MaxIDBytes - len(id) + 1) {
		id += string(all[random.IntN(len(all))])
	}
	return id
}

// allCharacters are those of ids; see paymenttest.IDs.
var allCharacters = sync.OnceValue(func() string { return strings.Join(paymenttest.IDs(), "") })

// somePayment is a payment of a number, the same at every run.
func somePayment(t *testing.T, number int, prefix, region string, at time.Time) payment.Payment {
	t.Helper()
	random := rand.New(rand.NewPCG(seed, uint64(number)))
	code := []string{"USD", "EUR", "JPY", "BHD", payment.TestCurrency}[random.IntN(5)]
	digits, _ := currency.GetDigits(code)
	amount := strconv.Itoa(1 + random.IntN(1_000_000))
	if digits > 0 {
		amount += "." + fmt.Sprintf("%0*d", digits, random.IntN(100))
	}
	p, err := payment.Parse(payment.Values{
		"session_id": someID(prefix, number/3), "transaction_id": someID(prefix, number),
		"amount": amount, "currency": code,
		"region": region, "timestamp": at.UTC().Format(payment.TimestampLayout),
		"status": payment.StatusProcessed,
	})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// acceptInThePast writes payments to the table as the processor would have some time ago, so that a reconciliation may look at
// them at once: it leaves the last minute alone.
func acceptInThePast(t *testing.T, server *localdynamodb.Server, p *rehearsal.Platform, tableName, prefix string, count int, ago, every time.Duration) {
	t.Helper()
	for i := range count {
		r := p.Regions[i%2]
		config := server.Config(r.Name)
		config.BaseEndpoint = aws.String(r.TableEndpoint())
		at := time.Now().Add(-ago + time.Duration(i)*every)
		if _, _, err := sessiontable.New(sessiontable.NewClient(config), tableName).Accept(t.Context(), somePayment(t, i, prefix, r.Name, at)); err != nil {
			if known, ok := errors.AsType[*payment.Error](err); !ok || known.Code != payment.CodeUnavailable {
				t.Fatal(err)
			}
		}
	}
}

// send sends payments as good clients do: again with the same identity until one is acknowledged. Every tenth is sent to the
// other Region as well, every seventh once more after it was acknowledged.
func send(ctx context.Context, t *testing.T, p *rehearsal.Platform, count int, sent *atomic.Int32) {
	t.Helper()
	work := make(chan int)
	var clients sync.WaitGroup
	for range 8 {
		clients.Go(func() {
			for i := range work {
				home, other := p.Regions[i%2], p.Regions[1-i%2]
				pay(ctx, t, home, i)
				if i%10 == 0 {
					pay(ctx, t, other, i)
				}
				if i%7 == 0 {
					pay(ctx, t, home, i)
				}
				sent.Add(1)
			}
		})
	}
	for i := range count {
		select {
		case work <- i:
		case <-ctx.Done():
		}
	}
	close(work)
	clients.Wait()
}

func pay(ctx context.Context, t *testing.T, r *rehearsal.Region, number int) {
	p := somePayment(t, number, "pay", r.Name, time.Now())
	body := fmt.Sprintf(`{"session_id":%q,"transaction_id":%q,"amount":%q,"currency":%q}`,
		p.SessionID, p.TransactionID, p.Amount.Number(), p.Amount.CurrencyCode())
	request, err := json.Marshal(events.APIGatewayProxyRequest{
		Resource: "/payments", Path: "/payments", HTTPMethod: "POST", Body: body, Headers: map[string]string{"Content-Type": "application/json"},
	})
	if err != nil {
		t.Error(err)
		return
	}
	for ctx.Err() == nil {
		out, err := r.Processor.Invoke(ctx, request)
		if err != nil { // killed, or no environment is free
			if errors.Is(err, simulation.ErrThrottled) {
				_ = smithytime.SleepWithContext(ctx, time.Millisecond)
			}
			continue
		}
		var response events.APIGatewayProxyResponse
		if err := json.Unmarshal(out, &response); err != nil {
			t.Errorf("payment %d: %s: %v", number, out, err)
			return
		}
		if response.StatusCode == 503 {
			continue
		}
		if response.StatusCode != 200 {
			t.Errorf("payment %d: %d %s", number, response.StatusCode, response.Body)
		}
		return
	}
	t.Errorf("payment %d was not acknowledged in time", number)
}

func acceptedPayments(t *testing.T, client *dynamodb.Client, tableName string) map[payment.Identity]payment.Payment {
	t.Helper()
	accepted := map[payment.Identity]payment.Payment{}
	pages := dynamodb.NewScanPaginator(client, &dynamodb.ScanInput{TableName: &tableName})
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, item := range page.Items {
			p, err := sessiontable.Unmarshal(item)
			if err != nil {
				t.Fatal(err)
			}
			accepted[p.Identity] = p
		}
	}
	return accepted
}

func openLedger(t *testing.T, d rehearsal.Database) *ledger.Ledger {
	t.Helper()
	l, err := ledger.Open(ledger.Config{Host: d.Host, Port: d.Port, User: d.User, Password: d.Password, Database: d.Name, PlainText: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// agree compares each payment of the table with the ledger's row.
func agree(t *testing.T, l *ledger.Ledger, accepted map[payment.Identity]payment.Payment) {
	t.Helper()
	tests := 0
	for _, p := range accepted {
		if payment.IsTest(p.Amount) {
			tests++
		}
	}
	from, to := time.Now().Add(-21*time.Hour), time.Now().Add(time.Hour)
	rows, wrong := 0, 0
	err := l.Window(t.Context(), from, to, func(recorded payment.Payment) error {
		rows++
		if p, ok := accepted[recorded.Identity]; !ok || !p.Equal(recorded) {
			wrong++
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if rows != len(accepted) || wrong != 0 {
		t.Errorf("the ledger has %d rows, %d of them wrong; the table has %d payments", rows, wrong, len(accepted))
	}
	if tests == 0 {
		t.Error("none of the payments is a test payment")
	}
}

// reconciled deletes 50 rows and changes 5 by hand, and has the real reconcile function find them.
func reconciled(t *testing.T, p *rehearsal.Platform, server *localmysql.Server, l *ledger.Ledger, accepted map[payment.Identity]payment.Payment, past int) {
	t.Helper()
	master, err := server.Open(database)
	if err != nil {
		t.Fatal(err)
	}
	defer master.Close()
	victims := rand.New(rand.NewPCG(seed, 1)).Perm(past)
	id := func(i int) (session, transaction []byte) {
		return []byte(someID("past", victims[i]/3)), []byte(someID("past", victims[i]))
	}
	for i := range 55 {
		session, transaction := id(i)
		statement := "DELETE FROM payments WHERE session_id = ? AND transaction_id = ?"
		if i >= 50 {
			statement = "UPDATE payments SET amount = amount + 1 WHERE session_id = ? AND transaction_id = ?"
		}
		touchOne(t, master, statement, session, transaction)
	}

	runtime, timeout, err := p.Runtime(p.Regions[0], "reconcile")
	if err != nil {
		t.Fatal(err)
	}
	function := simulation.NewFunction(simulation.FunctionConfig{Runtime: runtime, Timeout: timeout})
	defer function.Close()
	invoke := func(event string) reconcile.Counts {
		t.Helper()
		out, err := function.Invoke(t.Context(), []byte(event))
		if err != nil {
			t.Fatal(err)
		}
		var report struct {
			Counts   reconcile.Counts
			Complete bool
		}
		if err := json.Unmarshal(out, &report); err != nil || !report.Complete {
			t.Fatalf("report %s, %v", out, err)
		}
		return report.Counts
	}
	run := func() reconcile.Counts {
		return invoke(fmt.Sprintf(`{"from":%q,"to":%q}`, time.Now().Add(-2*time.Hour).UTC().Format(time.RFC3339), time.Now().Add(-2*time.Minute).UTC().Format(time.RFC3339)))
	}
	first := run()
	if first.Missing != 50 || first.Repaired != 50 || first.Conflicting != 5 || first.Unaccounted != 0 || first.Table < past-120 {
		t.Errorf("first run: %+v, want 50 repaired and 5 conflicting", first)
	}
	second := run()
	if second.Missing != 0 || second.Repaired != 0 || second.Conflicting != 5 || second.Unaccounted != 0 {
		t.Errorf("second run: %+v, want nothing to repair", second)
	}
	for i := 50; i < 55; i++ { // what was reported is left to a person: here, to us
		session, transaction := id(i)
		touchOne(t, master, "UPDATE payments SET amount = amount - 1 WHERE session_id = ? AND transaction_id = ?", session, transaction)
	}
	agree(t, l, accepted)

	// A ledger that was away for a day: the payments of its first hours are nowhere but in the table.
	if _, err := master.ExecContext(t.Context(), "DELETE FROM payments WHERE session_id LIKE 'early-%'"); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		watermark time.Duration
		missing   int
	}{{90 * time.Minute, 0}, {21 * time.Hour, 20}} { // the first is what a fixed look-back of two hours finds
		if _, err := master.ExecContext(t.Context(), "DELETE FROM reconciliations"); err != nil {
			t.Fatal(err)
		}
		if err := l.NoteReconciled(t.Context(), time.Now().Add(-tt.watermark)); err != nil {
			t.Fatal(err)
		}
		if counts := invoke(`{"scheduled":true}`); counts.Missing != tt.missing || counts.Repaired != tt.missing {
			t.Errorf("watermark %v ago: %+v, want %d missing and repaired", tt.watermark, counts, tt.missing)
		}
		if mark, err := l.ReconciledTo(t.Context()); err != nil || time.Since(mark) > 3*time.Minute {
			t.Errorf("the watermark is %v, %v; want a minute ago", mark, err)
		}
	}
	agree(t, l, accepted)
}

func touchOne(t *testing.T, database *sql.DB, statement string, arguments ...any) {
	t.Helper()
	result, err := database.ExecContext(t.Context(), statement, arguments...)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := result.RowsAffected(); err != nil || n != 1 {
		t.Fatalf("%s touched %d rows, %v; want 1", strings.Fields(statement)[0], n, err)
	}
}
