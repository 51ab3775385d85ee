package live

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	lambdatypes "github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"payments-dr/internal/drill"
	"payments-dr/internal/operate"
	"payments-dr/internal/payment"
	"payments-dr/internal/payment/ledger"
	"payments-dr/internal/payment/sessiontable"
)

// checkTimeout bounds each question to AWS beforehand, ledgerTimeout the one to the database.
const checkTimeout, ledgerTimeout = 2 * time.Second, 8 * time.Second

// ofTable and ofLedger are what can be told only by whoever reads the table, or the ledger.
var (
	ofLedger = []drill.Name{drill.NameLedgerRTO, drill.NameBacklog, drill.NameMissing, drill.NameDoubled, drill.NameDifferent, drill.NameUnexplained, drill.NameDisagreeing}
	ofTable  = append([]drill.Name{drill.NameLost}, ofLedger...)
)

// Check tells whether a drill may begin, of what it takes beside the preconditions of a move: that payments are taken, no stop
// condition is met, it is the time for it, and what is asked can be read afterwards with these permissions. open opens the ledger;
// nil: it is not read.
func Check(ctx context.Context, d *operate.Deployment, h Hypothesis, status operate.Status, id string, open func(context.Context, string) (*sql.DB, error), now time.Time) []operate.Precondition {
	var found []operate.Precondition
	add := func(finding operate.Finding, name, format string, args ...any) {
		found = append(found, operate.Precondition{Name: name, Finding: finding, Says: fmt.Sprintf(format, args...)})
	}
	if p := status.Public.Problem; p != nil {
		add(operate.FindingAgainst, "payments", "are not taken by the public name: %s", p.Text)
	} else {
		add(operate.FindingGood, "payments", "are taken by %s", status.Public.Said.Region)
	}
	if running := status.Running(); len(running) > 0 && h.Action.Kind == KindNone {
		add(operate.FindingDoubt, "executions", "the plan is being executed, to %s: what is measured is that, too", running[0].Region)
	}
	if !h.NotBefore.IsZero() && (now.Before(h.NotBefore) || now.After(h.NotAfter)) {
		const minute = "2006-01-02 15:04"
		add(operate.FindingAgainst, "window", "it is %s UTC, and the window is %s to %s", now.UTC().Format(minute), h.NotBefore.Format(minute), h.NotAfter.Format(minute))
	}
	for _, r := range status.Regions {
		switch {
		case len(h.Stop.Alarms) == 0:
		case r.Alarms.Said == nil:
			add(operate.FindingDoubt, "alarms", "%s does not tell of its alarms, and one could end the drill: %s", r.Region, r.Alarms.Problem.Text)
		default:
			for _, alarm := range *r.Alarms.Said {
				if slices.Contains(h.Stop.Alarms, alarm.Name) {
					add(operate.FindingAgainst, "alarms", "a stop condition is met already: %s in %s", alarm.Name, r.Region)
				}
			}
		}
	}
	h.checkEvidence(ctx, d, status.Writer, id, open, add)
	return found
}

// checkEvidence asks now what is to be asked at the end: nothing is there yet, and a permission that is missing shows.
func (h Hypothesis) checkEvidence(ctx context.Context, d *operate.Deployment, writer, id string, open func(context.Context, string) (*sql.DB, error), add func(operate.Finding, string, string, ...any)) {
	asked := func(names []drill.Name) (asked []string) {
		for _, name := range h.Asked {
			if slices.Contains(names, name) {
				asked = append(asked, string(name))
			}
		}
		return asked
	}
	of := len(d.Regions)
	tables, functions, ledgerErr := make([]error, of), make([]error, of), error(nil)
	var all sync.WaitGroup
	for i, region := range d.Regions {
		all.Go(func() {
			tables[i] = limited(ctx, checkTimeout, func(ctx context.Context) error { return tryTable(ctx, d, region, id) })
		})
		all.Go(func() {
			functions[i] = limited(ctx, checkTimeout, func(ctx context.Context) error { return tryReconcile(ctx, d, region) })
		})
	}
	if open != nil {
		all.Go(func() {
			ledgerErr = limited(ctx, ledgerTimeout, func(ctx context.Context) error { return tryLedger(ctx, open, writer, id) })
		})
	}
	all.Wait()

	if len(asked(ofTable)) > 0 {
		var where, against []string
		for i, region := range d.Regions {
			if tables[i] == nil {
				where = append(where, region.Name)
			} else {
				against = append(against, region.Name+": "+operate.Explain(tables[i]).Text)
			}
		}
		switch {
		case len(where) == 0:
			add(operate.FindingAgainst, "table", "test payments cannot be read, so that it would not be known what was lost. %s", strings.Join(against, "; "))
		case len(against) > 0:
			add(operate.FindingDoubt, "table", "its test payments can be read in %s alone. %s", strings.Join(where, ", "), strings.Join(against, "; "))
		default:
			add(operate.FindingGood, "table", "its test payments can be read")
		}
	}
	for i, region := range d.Regions {
		end := region.Name == h.Action.To || h.Action.To == "" && (writer == "" || region.Name == writer) // where the writer is at the end
		switch {
		case !slices.Contains(h.Asked, drill.NameReconciliation) || !end:
		case functions[i] != nil:
			add(operate.FindingAgainst, "reconcile", "the reconciliation of %s may not be asked: %s", region.Name, operate.Explain(functions[i]).Text)
		default:
			add(operate.FindingGood, "reconcile", "the reconciliation of %s may be asked", region.Name)
		}
	}
	switch names := asked(ofLedger); {
	case len(names) == 0:
	case open == nil:
		add(operate.FindingAgainst, "ledger", "only the ledger tells %s, and it is not read. Read it (--read-ledger), or do not ask", strings.Join(names, ", "))
	case ledgerErr != nil:
		add(operate.FindingAgainst, "ledger", "cannot be read in %s: %v", writer, ledgerErr)
	default:
		add(operate.FindingGood, "ledger", "can be read in %s", writer)
	}
}

func limited(ctx context.Context, limit time.Duration, ask func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return ask(ctx)
}

func tryTable(ctx context.Context, d *operate.Deployment, region operate.Region, id string) error {
	_, _, err := sessiontable.New(dynamodb.NewFromConfig(region.Config), operate.SessionTable(d.Settings)).List(ctx, id+"-0", "", 1)
	if missing, ok := errors.AsType[*payment.Error](err); ok && missing.Code == payment.CodeNotFound {
		return nil
	}
	return err
}

func tryReconcile(ctx context.Context, d *operate.Deployment, region operate.Region) error {
	name := operate.ReconcileFunction(d.Settings)
	_, err := lambda.NewFromConfig(region.Config).Invoke(ctx, &lambda.InvokeInput{FunctionName: &name, InvocationType: lambdatypes.InvocationTypeDryRun})
	return err
}

func tryLedger(ctx context.Context, open func(context.Context, string) (*sql.DB, error), writer, id string) error {
	database, err := open(ctx, writer)
	if err != nil {
		return err
	}
	defer database.Close()
	return ledger.New(database).Session(ctx, id+"-0", func(payment.Payment, time.Time) error { return nil })
}
