package operate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	"github.com/go-sql-driver/mysql"

	"payments-dr/internal/assembly/cost"
	"payments-dr/internal/operate/restore"
	"payments-dr/internal/payment/compare"
	"payments-dr/internal/payment/ledger"
	"payments-dr/internal/payment/sessiontable"
	"payments-dr/internal/settings"
)

// Restorer brings back a Region's cluster and its replica of the session table, at once and beside the live ones; see package restore.
type Restorer struct {
	Region   Region
	Database restore.Database
	Table    restore.Table
	// Out is told what happens, a line each.
	Out io.Writer

	settings *settings.Settings
	now      func() time.Time
	mu       sync.Mutex // guards Out and what follows
	began    time.Time
	told     map[string]telling
}

// telling is what was told of one copy, and when.
type telling struct {
	status string
	at     time.Time
}

// tellAgain is how long a copy may stay as it is before that is told once more.
const tellAgain = time.Minute

// Restorer makes one for a Region. every is how long to wait between two looks, patience how long AWS may give no answer.
func (d *Deployment) Restorer(region Region, every, patience time.Duration, out io.Writer) *Restorer {
	w := &Restorer{Region: region, Out: out, settings: d.Settings, now: d.Now, told: map[string]telling{}}
	tolerance := newTolerance(patience, d.Now, func(name, text string) { w.line("%s: %s", name, text) })
	how := restore.Patience{
		Interval: every, Tolerate: tolerance.failed,
		Progress: func(p restore.Progress) {
			tolerance.answered(p.Name)
			w.progress(p)
		},
	}
	config := region.within(workTimeout)
	w.Database = restore.NewDatabase(rds.NewFromConfig(config), Cluster(d.Settings, region.Name), how)
	w.Table = restore.NewTable(dynamodb.NewFromConfig(config), SessionTable(d.Settings), how)
	return w
}

func (w *Restorer) line(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.began.IsZero() {
		w.began = w.now()
	}
	fmt.Fprintf(w.Out, "%8s  %s\n", "+"+short(w.now().Sub(w.began)), printable(fmt.Sprintf(format, args...)))
}

// progress tells a status that is new, or that has not changed for a while.
func (w *Restorer) progress(p restore.Progress) {
	now := w.now()
	w.mu.Lock()
	last := w.told[p.Name]
	same := last.status == p.Status && now.Sub(last.at) < tellAgain
	if !same {
		w.told[p.Name] = telling{p.Status, now}
	}
	w.mu.Unlock()
	if !same {
		w.line("%-52s %s", p.Name, p.Status)
	}
}

// RestorePlan is both copies.
type RestorePlan struct {
	Moment          time.Time
	Database, Table restore.Plan
}

// Plan checks a moment against both windows. A copy that is there has passed. The error tells of both; its typed parts are those of
// package restore.
func (w *Restorer) Plan(ctx context.Context, moment time.Time) (RestorePlan, error) {
	p := RestorePlan{Moment: moment.UTC().Truncate(time.Second)}
	var errs [2]error
	w.both(func() {
		p.Database, errs[0] = limited(ctx, func(ctx context.Context) (restore.Plan, error) { return w.Database.Plan(ctx, moment) })
	}, func() {
		p.Table, errs[1] = limited(ctx, func(ctx context.Context) (restore.Plan, error) { return w.Table.Plan(ctx, moment) })
	})
	return p, joined(errs[0], errs[1])
}

// joined is the errors of the database's half and the table's as one Problem, the worse kind first: what is not known is more than a no.
func joined(database, table error) error {
	var texts []string
	var kind Kind
	for _, half := range []struct {
		name string
		err  error
	}{{"the database", database}, {"the table", table}} {
		if half.err == nil {
			continue
		}
		problem := Explain(half.err)
		if kind == "" || kind == KindRefused {
			kind = problem.Kind
		}
		texts = append(texts, half.name+": "+problem.Text)
	}
	if texts == nil {
		return nil
	}
	return &Problem{kind, strings.Join(texts, "; ")}
}

func (w *Restorer) both(database, table func()) {
	var all sync.WaitGroup
	all.Go(database)
	all.Go(table)
	all.Wait()
}

// WritePlan says what would be made, and what it costs.
func (w *Restorer) WritePlan(p RestorePlan) {
	fmt.Fprintf(w.Out, "Back to %s in %s, beside what is live\n\n", p.Moment.Format(time.RFC3339), w.Region.Name)
	for _, half := range []struct {
		what string
		plan restore.Plan
	}{{"cluster", p.Database}, {"table", p.Table}} {
		note := "there already, or on its way; taken up where it stands"
		if !half.plan.Begun {
			note = fmt.Sprintf("within the window, %s to %s", half.plan.Earliest.Format(time.RFC3339), half.plan.Latest.Format(time.RFC3339))
		}
		fmt.Fprintf(w.Out, "  %-8s %s\n           of %s: %s\n", half.what, half.plan.Name, half.plan.Source, note)
	}
	fmt.Fprintf(w.Out, "\nNothing that is live is touched. The cluster gets an instance of the live one's class, which runs until dr restore --cleanup%s; the\n"+
		"volume and the table cost as much as the live ones. It takes from some ten minutes to hours, with the size of both.\n\n", w.hourly())
}

// hourly is what the instance costs, as far as a price is known.
func (w *Restorer) hourly() string {
	prices, err := cost.Published()
	if err != nil {
		return ""
	}
	class := w.settings.Database.InstanceClass
	for _, price := range prices.Prices {
		if source, ok := price.Sources[w.Region.Name]; ok && price.Key == "aurora.instance."+class {
			return fmt.Sprintf(" (%s: $%s an hour, as of %s)", class, price.USD, prices.Sources[source].Date)
		}
	}
	return ""
}

// Restored is both copies, to be used.
type Restored struct {
	Database restore.Endpoint
	TableARN string
}

// ErrGoesOn says that AWS goes on with something that nobody waits for any more.
var ErrGoesOn = errors.New("what was started goes on")

// Bring starts what is not there yet and waits for both. A half that fails does not stop the other. Interrupted, or left without
// answers, the error is ErrGoesOn, and the same call takes it up again.
func (w *Restorer) Bring(ctx context.Context, p RestorePlan) (Restored, error) {
	var made Restored
	var errs [2]error
	w.line("started")
	// A restore is asked for to the end, whatever interrupts: then it is known whether it was.
	settled := context.WithoutCancel(ctx)
	half := func(what string, start func(context.Context) error, wait func(context.Context) error) error {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		err := start(settled)
		if err == nil {
			err = wait(ctx)
		}
		if err != nil && ctx.Err() == nil {
			w.line("%s: %s", what, Explain(err).Text)
		}
		return err
	}
	w.both(func() {
		errs[0] = half("the database", func(ctx context.Context) error { return w.Database.Start(ctx, p.Database) }, func(ctx context.Context) (err error) {
			made.Database, err = w.Database.Wait(ctx, p.Database)
			return err
		})
	}, func() {
		errs[1] = half("the table", func(ctx context.Context) error { return w.Table.Start(ctx, p.Table) }, func(ctx context.Context) (err error) {
			made.TableARN, err = w.Table.Wait(ctx, p.Table)
			return err
		})
	})
	switch err := joined(errs[0], errs[1]); {
	case ctx.Err() != nil:
		return made, ErrGoesOn
	case errs[0] != nil && Explain(errs[0]).Transient() || errs[1] != nil && Explain(errs[1]).Transient():
		return made, fmt.Errorf("%w; %w", err, ErrGoesOn)
	default:
		return made, err
	}
}

// SignIn is how a comparison signs in to both databases. Without a password it does with the credentials of the tool, as IAM allows.
type SignIn struct {
	User, Password string
	// PlainText leaves TLS out; see ledger.Config.
	PlainText bool
}

// Compared is what the comparison of the copies with what is live has found.
type Compared struct {
	// Before is the moment that both were compared up to, and From the one from which on the session tables were. The databases were
	// compared from their beginning.
	Before, From time.Time
	// Databases are the reports of the databases' tables, and Sessions that of the session tables.
	Databases []compare.Report
	Sessions  *compare.Report
	// DatabaseProblem and TableProblem are why one was not compared to its end.
	DatabaseProblem, TableProblem *Problem
}

// Same reports whether all was compared, payments were among it, and everything was found to be the same.
func (c Compared) Same() bool {
	return c.DatabaseProblem == nil && c.TableProblem == nil && c.Sessions != nil && len(c.Databases) > 0 && !c.Different() && len(c.Nothing()) == 0
}

// Different reports whether a difference was found. A comparison that did not come to its end is not different for that.
func (c Compared) Different() bool {
	reports := c.Databases
	if c.Sessions != nil {
		reports = append(slices.Clone(reports), *c.Sessions)
	}
	return slices.ContainsFunc(reports, func(r compare.Report) bool {
		return r.OnlyLeft+r.OnlyRight+r.Differing > 0 || r.Complete && !r.Same()
	})
}

// Nothing says of what nothing was compared, because there was no payment live and none in the copy. That is no proof of anything.
func (c Compared) Nothing() []string {
	var of []string
	for _, report := range c.Databases {
		if report.Table == ledgerTable && report.Complete && report.Empty() {
			of = append(of, "the database")
		}
	}
	if c.Sessions != nil && c.Sessions.Empty() {
		of = append(of, "the table")
	}
	return of
}

// ledgerTable is the table of the database that holds the payments.
const ledgerTable = "payments"

// Compare compares both copies with what is live, the table's payments from back before the moment on. It reads, and changes nothing.
func (w *Restorer) Compare(ctx context.Context, p RestorePlan, copied restore.Endpoint, how SignIn, back time.Duration) Compared {
	const settle = time.Minute
	found := Compared{Before: p.Moment.Add(-settle), From: p.Moment.Add(-settle - back)}
	options := func(what string) compare.Options {
		var last time.Time
		return compare.Options{Progress: func(r compare.Report) {
			if now := w.now(); now.Sub(last) >= tellAgain/4 && !last.IsZero() {
				last = now
				w.line("comparing %s %s: %d rows", what, r.Table, r.LeftRows)
			} else if last.IsZero() {
				last = now
			}
		}}
	}
	w.both(func() {
		var err error
		found.Databases, err = w.compareDatabases(ctx, p, copied, how, options("database"))
		found.DatabaseProblem = databaseProblem(err, how.User)
	}, func() {
		client := sessiontable.NewBatchClient(w.Region.Config)
		report, err := restore.CompareSessions(ctx, sessiontable.New(client, p.Table.Source), sessiontable.New(client, p.Table.Name), p.Table,
			found.From, options("table"))
		if found.TableProblem = Explain(err); err == nil {
			found.Sessions = &report
		}
	})
	return found
}

func (w *Restorer) compareDatabases(ctx context.Context, p RestorePlan, copied restore.Endpoint, how SignIn, options compare.Options) ([]compare.Report, error) {
	live, err := limited(ctx, w.Database.Live)
	if err != nil {
		return nil, err
	}
	config := ledger.Config{User: how.User, Password: how.Password, Database: ledger.DatabaseName, Region: w.Region.Name, PlainText: how.PlainText}
	if how.Password == "" {
		config.Credentials = w.Region.Config.Credentials
	}
	open := config
	open.Host, open.Port = live.Writer, live.Port
	left, err := ledger.OpenDatabase(open)
	if err != nil {
		return nil, err
	}
	defer left.Close()
	open = config
	open.Host, open.Port = copied.Writer, copied.Port
	right, err := ledger.OpenDatabase(open)
	if err != nil {
		return nil, err
	}
	defer right.Close()
	// Whether both can be reached at all is found out at once, and told for the one that cannot.
	for name, database := range map[string]interface{ PingContext(context.Context) error }{live.Cluster: left, copied.Cluster: right} {
		if err := database.PingContext(ctx); err != nil {
			return nil, fmt.Errorf("sign in to %s: %w", name, err)
		}
	}
	return restore.CompareLedgers(ctx, left, right, p.Database, options)
}

// notAllowed is the number of MySQL's error for a user who may not sign in ("Server Error Message Reference", MySQL 8.0 Error
// Message Reference: ER_ACCESS_DENIED_ERROR).
const notAllowed = 1045

// databaseProblem says why databases were not compared.
func databaseProblem(err error, user string) *Problem {
	if err == nil {
		return nil
	}
	if said, ok := errors.AsType[*mysql.MySQLError](err); ok && said.Number == notAllowed {
		return &Problem{KindDenied, fmt.Sprintf("these credentials may not sign in as %s", user)}
	}
	if kind := connectionProblem(err); kind != "" && !errors.Is(err, context.Canceled) {
		return &Problem{KindUnreachable, "this machine does not reach the databases: " + kind}
	}
	if errors.Is(err, mysql.ErrInvalidConn) {
		return &Problem{KindUnreachable, "this machine does not reach the databases: the connection was broken off"}
	}
	return Explain(err)
}

// Write writes what was found, for people. Examples hold customers' payments: they are for a screen, and belong in no log.
func (c Compared) Write(out io.Writer) {
	fmt.Fprintf(out, "\nWhat was there before %s, a minute before the moment, live and in the copy:\n", c.Before.Format(time.RFC3339))
	for _, report := range c.Databases {
		writeReport(out, "database", report)
	}
	if p := c.DatabaseProblem; p != nil {
		fmt.Fprintf(out, "  database  NOT COMPARED: %s\n", printable(p.Text))
	}
	if c.Sessions != nil {
		writeReport(out, "table", *c.Sessions)
		fmt.Fprintf(out, "            of what was accepted from %s on; older payments of the table were not compared (--back)\n", c.From.Format(time.RFC3339))
	}
	if p := c.TableProblem; p != nil {
		fmt.Fprintf(out, "  table     NOT COMPARED: %s\n", printable(p.Text))
	}
}

func writeReport(out io.Writer, what string, r compare.Report) {
	word := "the same"
	switch {
	case !r.Complete:
		word = "NOT COMPARED to the end"
	case !r.Same():
		word = fmt.Sprintf("DIFFERENT: %d in the copy alone, %d live alone, %d changed", r.OnlyRight, r.OnlyLeft, r.Differing)
	case r.Empty() && (what == "table" || r.Table == ledgerTable):
		word = "NOTHING COMPARED"
	}
	fmt.Fprintf(out, "  %-8s  %-20s %s; %d live, %d in the copy\n", what, r.Table, word, r.LeftRows, r.RightRows)
	for _, d := range r.Examples {
		says := map[compare.Kind]string{compare.OnlyLeft: "live alone", compare.OnlyRight: "in the copy alone", compare.Differing: "changed"}[d.Kind]
		for _, column := range d.Columns {
			says += fmt.Sprintf("; %s: live %s, copy %s", column.Name, value(column.Left), value(column.Right))
		}
		fmt.Fprintf(out, "            %s  %s\n", printable(strings.Join(d.Key, " / ")), printable(says))
	}
	if more := r.OnlyLeft + r.OnlyRight + r.Differing - int64(len(r.Examples)); more > 0 {
		fmt.Fprintf(out, "            and %d more\n", more)
	}
}

func value(text *string) string {
	if text == nil {
		return "NULL"
	}
	return *text
}

// Copies are those that there are, of the cluster and of the table.
func (w *Restorer) Copies(ctx context.Context) (databases, tables []restore.Copy, err error) {
	var errs [2]error
	w.both(func() { databases, errs[0] = limitedCopies(ctx, w.Database.Copies) }, func() { tables, errs[1] = limitedCopies(ctx, w.Table.Copies) })
	return databases, tables, joined(errs[0], errs[1])
}

// limitedCopies has more time than one question: it may take pages, and a question for each copy.
func limitedCopies(ctx context.Context, list func(context.Context) ([]restore.Copy, error)) ([]restore.Copy, error) {
	ctx, cancel := context.WithTimeout(ctx, 4*callTimeout)
	defer cancel()
	copies, err := list(ctx)
	if err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		err = &Problem{KindUnreachable, "no answer within " + (4 * callTimeout).String()}
	}
	return copies, err
}

// WriteCopies lists them.
func WriteCopies(out io.Writer, region string, databases, tables []restore.Copy) {
	fmt.Fprintf(out, "What was brought back in %s, and is there:\n", region)
	for _, list := range []struct {
		what   string
		copies []restore.Copy
	}{{"cluster", databases}, {"table", tables}} {
		for _, c := range list.copies {
			fmt.Fprintf(out, "  %-8s  %s  as of %s, %s\n", list.what, c.Name, c.Moment.Format(time.RFC3339), printable(c.Status))
		}
	}
}

// CleanUp removes copies, all at once, and waits until they are gone. Interrupted, the error is ErrGoesOn if AWS was asked to remove
// any.
func (w *Restorer) CleanUp(ctx context.Context, databases, tables []restore.Copy) error {
	w.line("started")
	var all sync.WaitGroup
	copies := slices.Concat(databases, tables)
	errs := make([]error, len(copies))
	for i, c := range copies {
		remove := w.Database.CleanUp
		if i >= len(databases) {
			remove = w.Table.CleanUp
		}
		all.Go(func() {
			if errs[i] = remove(ctx, c.Name); errs[i] != nil && ctx.Err() == nil {
				w.line("%s: %s", c.Name, Explain(errs[i]).Text)
			}
		})
	}
	all.Wait()
	if ctx.Err() != nil {
		return ErrGoesOn
	}
	for i, err := range errs {
		if err != nil {
			problem := Explain(err)
			return &Problem{problem.Kind, copies[i].Name + ": " + problem.Text}
		}
	}
	return nil
}
