package live

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	smithytime "github.com/aws/smithy-go/time"
	"golang.org/x/sync/errgroup"

	"payments-dr/internal/drill"
	"payments-dr/internal/drill/load"
	"payments-dr/internal/operate"
	"payments-dr/internal/payment"
	"payments-dr/internal/payment/ledger"
	"payments-dr/internal/payment/reconcile"
	"payments-dr/internal/payment/sessiontable"
)

const (
	// skew is what clocks may differ by.
	skew = 2 * time.Second
	// reconcileEvery is how long to wait for what is on its way, before it is asked again.
	reconcileEvery = 15 * time.Second
	// readTimeout bounds the reading of the table, and of the ledger. lateTimeout bounds it after an interrupt.
	readTimeout, lateTimeout = 5 * time.Minute, 20 * time.Second
	// pageSize is how many payments of a session are read at once, sessionsAtOnce how many sessions.
	pageSize, sessionsAtOnce = 1000, 8
)

// collect reads what there is in the end: by the drill's own sessions, which nobody else writes to.
func (l *liveDrill) collect(ctx context.Context) evidence {
	var found evidence
	asked := slices.Contains(l.Hypothesis.Asked, drill.NameReconciliation)
	writer := l.writer(context.WithoutCancel(ctx))
	limit := readTimeout
	switch {
	case ctx.Err() != nil:
		ctx, limit = context.WithoutCancel(ctx), lateTimeout
		if asked {
			found.unreconciled = "the drill was interrupted before it"
		}
	case asked && (len(l.load.Acknowledged()) == 0 || errors.Is(l.stopped, ErrNotSteady)):
		found.unreconciled = "nothing came of it that could be reconciled"
	case asked:
		found.reconciliations, found.unreconciled = l.reconcile(ctx, writer)
	}
	reading, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	found.table = handOver(l.items(reading, writer))
	switch {
	case l.Ledger == nil && len(found.reconciliations) > 0 && found.unreconciled == "":
		last := found.reconciliations[len(found.reconciliations)-1]
		l.remark("The ledger was not read. The platform's own reconciliation in %s compared all payments of that time: %d in the table, %d in the ledger, %d missing, %d conflicting, %d unaccounted.",
			writer, last.Counts.Table, last.Counts.Ledger, last.Counts.Missing, last.Counts.Conflicting, last.Counts.Unaccounted)
	case l.Ledger == nil:
		l.remark("The ledger was not read, and no reconciliation says what it has.")
	default:
		found.ledger = handOver(l.rows(reading, writer))
	}
	return found
}

// handOver hands over what was read, or the error at the end of it.
func handOver[T any](list []T, err error) func(func(T) error) error {
	return func(each func(T) error) error {
		for _, one := range list {
			if err := each(one); err != nil {
				return err
			}
		}
		return err
	}
}

// writer is the Region whose cluster takes writes: as it says itself, or else where the drill has moved it.
func (l *liveDrill) writer(ctx context.Context) string {
	if status := l.Deployment.Look(ctx); status.Writer != "" {
		return status.Writer
	}
	return l.Hypothesis.Action.To
}

// sessions are the drill's own, as many as were paid in.
func (l *liveDrill) sessions() []string {
	var list []string
	for number := range min(load.Sessions, l.load.Sent()) {
		list = append(list, load.Session(l.ID+"-", number))
	}
	return list
}

// items are the session table's payments of the drill, strongly consistent, with their times by the run's clock. Either Region's
// replica will do; the writer's is asked first.
func (l *liveDrill) items(ctx context.Context, writer string) ([]drill.Item, error) {
	var why []string
	regions := slices.Clone(l.Deployment.Regions)
	slices.SortStableFunc(regions, func(a, b operate.Region) int {
		if a.Name == writer {
			return -1
		}
		return 0
	})
	for _, region := range regions {
		items, err := l.itemsOf(ctx, region)
		if err == nil {
			return items, nil
		}
		why = append(why, region.Name+": "+operate.Explain(err).Text)
	}
	return nil, errors.New(strings.Join(why, "; "))
}

func (l *liveDrill) itemsOf(ctx context.Context, region operate.Region) ([]drill.Item, error) {
	table := sessiontable.New(dynamodb.NewFromConfig(region.Config), operate.SessionTable(l.Deployment.Settings))
	sessions := l.sessions()
	found := make([][]payment.Payment, len(sessions))
	all, ctx := errgroup.WithContext(ctx)
	all.SetLimit(sessionsAtOnce)
	for i, session := range sessions {
		all.Go(func() error {
			after := ""
			for {
				page, more, err := table.List(ctx, session, after, pageSize)
				if missing, ok := errors.AsType[*payment.Error](err); ok && missing.Code == payment.CodeNotFound {
					return nil
				}
				if err != nil {
					return err
				}
				found[i] = append(found[i], page...)
				if !more {
					return nil
				}
				after = page[len(page)-1].TransactionID
			}
		})
	}
	if err := all.Wait(); err != nil {
		return nil, err
	}
	items := slices.Concat(found...)
	for i := range items {
		items[i].Timestamp = l.Clock.At(items[i].Timestamp)
	}
	return items, nil
}

// rows are the ledger's payments of the drill, with their times by the run's clock.
func (l *liveDrill) rows(ctx context.Context, writer string) ([]drill.Row, error) {
	database, err := l.Ledger(ctx, writer)
	if err != nil {
		return nil, fmt.Errorf("open ledger of %s: %w", writer, err)
	}
	defer database.Close()
	var rows []drill.Row
	for _, session := range l.sessions() {
		err := ledger.New(database).Session(ctx, session, func(p payment.Payment, recordedAt time.Time) error {
			p.Timestamp = l.Clock.At(p.Timestamp)
			rows = append(rows, drill.Row{Payment: p, RecordedAt: l.Clock.At(recordedAt)})
			return nil
		})
		if err != nil {
			return rows, fmt.Errorf("read ledger of %s: %w", writer, err)
		}
	}
	return rows, nil
}

// reconcile has the platform compare table and ledger over the time of the drill, without repairing anything, until nothing is on
// its way any more or the patience is over. why is why there is no word about all of the drill's payments.
func (l *liveDrill) reconcile(ctx context.Context, writer string) (reports []reconcile.Report, why string) {
	region, err := l.Deployment.Region(writer)
	if err != nil {
		return nil, "it is not known which Region is the writer"
	}
	reconciler := l.Deployment.Reconciler(region)
	window := reconcile.Window{From: l.machineBegan.Add(-skew).UTC(), To: l.machineEnded.Add(skew).UTC()}
	settle := l.Settle + 2*skew
	fmt.Fprintf(l.Out, "The reconciliation looks at nothing younger than %s: waiting %s.\n", l.Settle, settle)
	if smithytime.SleepWithContext(ctx, time.Until(window.To.Add(settle-skew))) != nil {
		return nil, "the drill was interrupted before it"
	}
	for until := time.Now().Add(l.ReconciledWithin); ; {
		report, err := reconciler.Report(ctx, window, true)
		if err == nil {
			reports = append(reports, l.own(report))
			if report.Counts.Missing == 0 {
				return reports, ""
			}
		}
		if left := time.Until(until); left > 0 && smithytime.SleepWithContext(ctx, min(left, reconcileEvery)) == nil {
			continue
		}
		if err != nil {
			return reports, fmt.Sprintf("the reconciliation in %s gave no answer: %s", writer, operate.Explain(err).Text)
		}
		return reports, ""
	}
}

// own is a report by the run's clock. Its examples are the drill's own payments: other payments only count.
func (l *liveDrill) own(report reconcile.Report) reconcile.Report {
	report.From, report.To, report.DoneUpTo = l.Clock.At(report.From), l.Clock.At(report.To), l.Clock.At(report.DoneUpTo)
	for _, list := range []*[]reconcile.Example{&report.Examples.Missing, &report.Examples.Conflicting, &report.Examples.Differing, &report.Examples.Unaccounted, &report.Examples.Unreadable} {
		*list = slices.DeleteFunc(*list, func(x reconcile.Example) bool { return !strings.HasPrefix(x.SessionID, l.ID+"-") })
	}
	return report
}
