package drill

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/bojanz/currency"

	"payments-dr/internal/payment"
)

// # What became of each payment
//
// A payment is an identity. What the client knows of it is the best of its requests: acknowledged, else failed, else refused.
// It is held against the table's items and the ledger's rows, one by one and exactly; how each list is defined stands with its
// Name. That a list could not be read to its end leaves unmeasured what depends on it, but what was found missing nowhere else.

// account is what is known of one identity. Times are nanoseconds of Unix time, 0 not known.
type account struct {
	// request is the one that stands for it: the first acknowledged, else the first. Without one it is -1 less an index of
	// accounts.unsent.
	request int32
	// order is one more than the first request that names an order; 0: none does.
	order                         int32
	flags                         flags
	tableCurrency, ledgerCurrency uint8
	tableMinor, ledgerMinor       int64
	accepted, ledgerAccepted      int64
	recorded                      int64
	tableRegion, ledgerRegion     uint8
}

type flags uint16

const (
	wasAcknowledged flags = 1 << iota
	hasFailed
	inTable
	inLedger
	inLedgerBefore
	isDifferent
	isDoubled
	isSecond // of an order that another identity was recorded for first
	isShared
	isLate
)

func (f flags) has(all flags) bool { return f&all == all }

// accounts are those of all identities.
type accounts struct {
	list   []account
	index  map[payment.Identity]int32
	unsent []payment.Identity
	of     []int32 // the account of each request; -1: it has no identity

	tableError, beforeError, ledgerError error
	doubled                              int // records too many
	untimed                              int // rows without a time of recording
	shared                               int // identities of more than one order
	disagreeing                          int
	promoted                             []promotedRows
}

// promotedRows are the accounts that a promoted ledger had.
type promotedRows struct {
	has []bool
	err error
}

var errNotRead = errors.New("not handed over")

// requestAt is a request by its number. All blocks but the last are full.
func (m *measure) requestAt(i int32) *request { return &m.requests[i/blockSize][i%blockSize] }

// readAccounts reads what clients know, and then what table and ledger have.
func (m *measure) readAccounts() {
	a := &m.accounts
	n := 0
	for _, block := range m.requests {
		n += len(block)
	}
	a.index, a.list, a.of = make(map[payment.Identity]int32, n), make([]account, 0, n), make([]int32, n)
	for i := range int32(n) {
		m.open(i)
	}
	a.tableError = m.read("table", m.run.Table != nil, func() error {
		return m.run.Table(func(p Item) error { m.readItem(p); return nil })
	})
	m.report.Totals.Table = m.having(a.tableError, inTable)
	a.beforeError = m.read("ledger before the reconciliation", m.run.LedgerBefore != nil, func() error {
		return m.run.LedgerBefore(func(r Row) error {
			if number, mine := m.accountOf(r.Identity); mine {
				a.list[number].flags |= inLedgerBefore
			}
			return nil
		})
	})
	m.report.Totals.LedgerBefore = m.having(a.beforeError, inLedgerBefore)
	a.ledgerError = m.read("ledger", m.run.Ledger != nil, func() error {
		return m.run.Ledger(func(r Row) error { m.readRow(r); return nil })
	})
	m.report.Totals.Ledger = m.having(a.ledgerError, inLedger)
	if m.others > 0 || a.tableError == nil && a.ledgerError == nil {
		m.report.Totals.Others = &m.others
	}
	for _, rows := range m.run.Promoted {
		var snapshot promotedRows
		seen := map[int32]bool{}
		snapshot.err = m.read("promoted ledger", rows != nil, func() error {
			return rows(func(r Row) error {
				if number, mine := m.accountOf(r.Identity); mine {
					seen[number] = true
				}
				return nil
			})
		})
		snapshot.has = make([]bool, len(a.list))
		for number := range seen {
			snapshot.has[number] = true
		}
		a.promoted = append(a.promoted, snapshot)
	}
	m.readOrders()
}

// read runs a reader, if there is one, and remarks that it has failed.
func (m *measure) read(what string, given bool, fn func() error) error {
	if !given {
		return errNotRead
	}
	if err := fn(); err != nil {
		m.remark("The %s could not be read to the end: %v", what, err)
		return err
	}
	return nil
}

func (m *measure) having(err error, flag flags) *int {
	if err != nil {
		return nil
	}
	n := 0
	for i := range m.accounts.list {
		if m.accounts.list[i].flags.has(flag) {
			n++
		}
	}
	return &n
}

// open enters a request.
func (m *measure) open(i int32) {
	a, q := &m.accounts, m.requestAt(i)
	totals := &m.report.Totals
	totals.Requests++
	switch outcomes[q.outcome] {
	case OutcomeAcknowledged:
		totals.Acknowledged++
	case OutcomeRefused:
		totals.Refused++
	default:
		totals.Failed++
	}
	if q.replayed {
		totals.Replayed++
	}
	if q.transaction == "" {
		a.of[i] = -1
		return
	}
	id := payment.Identity{SessionID: q.session, TransactionID: q.transaction}
	number, known := a.index[id]
	if !known {
		number = int32(len(a.list))
		a.index[id] = number
		a.list = append(a.list, account{request: i})
	}
	a.of[i] = number
	one := &a.list[number]
	switch outcomes[q.outcome] {
	case OutcomeAcknowledged:
		stands := m.requestAt(one.request)
		if one.flags.has(wasAcknowledged) && (stands.minor != q.minor || stands.currency != q.currency) {
			one.flags |= isDifferent // both were acknowledged, and one payment cannot be over both
		}
		if !one.flags.has(wasAcknowledged) || q.sent < stands.sent {
			one.request = i
		}
		if !one.flags.has(wasAcknowledged) {
			totals.Payments++
		}
		one.flags |= wasAcknowledged
	case OutcomeFailed:
		one.flags |= hasFailed
	}
}

// accountOf is an identity's account, made if it has none. mine is false for payments of others.
func (m *measure) accountOf(id payment.Identity) (number int32, mine bool) {
	a := &m.accounts
	number, known := a.index[id]
	if known {
		return number, true
	}
	if !strings.HasPrefix(id.SessionID, m.run.SessionPrefix) {
		return 0, false
	}
	number = int32(len(a.list))
	a.index[id] = number
	a.list = append(a.list, account{request: -1 - int32(len(a.unsent))})
	a.unsent = append(a.unsent, id)
	return number, true
}

// money is an amount by numbers. What is no amount of a payment is different from all that are.
func (m *measure) money(a currency.Amount) (minor int64, code uint8) {
	minor, ok := minorUnits(a)
	if !ok {
		minor = -1
	}
	return minor, m.currencies.index(a.CurrencyCode())
}

func (m *measure) readItem(p Item) {
	a := &m.accounts
	number, mine := m.accountOf(p.Identity)
	if !mine {
		m.others++
		return
	}
	one := &a.list[number]
	minor, code := m.money(p.Amount)
	if one.flags.has(inTable) {
		a.doubled++
		one.flags |= isDoubled
	} else {
		one.tableMinor, one.tableCurrency, one.accepted, one.tableRegion = minor, code, nanoseconds(p.Timestamp), m.regions.index(p.Region)
	}
	one.flags |= inTable
	m.compare(one, minor, code)
}

func (m *measure) readRow(r Row) {
	a := &m.accounts
	number, mine := m.accountOf(r.Identity)
	if !mine {
		m.others++
		return
	}
	if r.RecordedAt.IsZero() {
		a.untimed++
	}
	one := &a.list[number]
	minor, code := m.money(r.Amount)
	if one.flags.has(inLedger) {
		a.doubled++
		one.flags |= isDoubled
	} else {
		one.ledgerMinor, one.ledgerCurrency, one.ledgerAccepted, one.ledgerRegion = minor, code, nanoseconds(r.Timestamp), m.regions.index(r.Region)
	}
	one.recorded = max(one.recorded, nanoseconds(r.RecordedAt))
	one.flags |= inLedger
	m.compare(one, minor, code)
}

func nanoseconds(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

// compare holds what was stored against what was sent.
func (m *measure) compare(one *account, minor int64, code uint8) {
	if one.request < 0 {
		return
	}
	if q := m.requestAt(one.request); minor < 0 || q.minor != minor || q.currency != code {
		one.flags |= isDifferent
	}
}

// readOrders finds the orders that were recorded under more than one identity, and identities of more than one order.
func (m *measure) readOrders() {
	a := &m.accounts
	first := map[string]int32{} // the first that was sent of an order's recorded identities
	for i := range int32(len(a.of)) {
		q, number := m.requestAt(i), a.of[i]
		if q.order == "" || number < 0 {
			continue
		}
		one := &a.list[number]
		if one.order == 0 {
			one.order = i + 1
		} else if m.requestAt(one.order-1).order != q.order && !one.flags.has(isShared) {
			one.flags |= isShared
			a.shared++
		}
		if one.flags&(inTable|inLedger) == 0 {
			continue
		}
		known, seen := first[q.order]
		if !seen || known == number {
			first[q.order] = number
			continue
		}
		if m.before(number, known) {
			first[q.order], number = number, known
		}
		if second := &a.list[number]; !second.flags.has(isSecond) {
			second.flags |= isSecond | isDoubled
			a.doubled++
		}
	}
}

// before orders payments by when they were sent or accepted.
func (m *measure) before(x, y int32) bool {
	return cmp.Or(cmp.Compare(m.since(x), m.since(y)), compareIdentities(m.identityOf(x), m.identityOf(y))) < 0
}

// judgeAccounts judges the payments, and lists those at fault.
func (m *measure) judgeAccounts() {
	a := &m.accounts
	lists := map[Name][]int32{}
	missingBefore, wrong := 0, 0
	for i := range a.list {
		number, one := int32(i), &a.list[i]
		atFault := false
		is := func(name Name) {
			lists[name] = append(lists[name], number)
			atFault = atFault || (name != NameExplained && name != NameLate && name != NameDisagreeing)
		}
		stored := one.flags&(inTable|inLedger) != 0
		if one.flags.has(wasAcknowledged) {
			if !one.flags.has(inTable) && a.tableError == nil {
				is(NameLost)
			}
			if !one.flags.has(inLedger) && a.ledgerError == nil {
				is(NameMissing)
			}
			if !one.flags.has(inLedgerBefore) {
				missingBefore++
			}
		} else if stored {
			if one.flags.has(hasFailed) {
				is(NameExplained)
			} else {
				is(NameUnexplained)
			}
		}
		if one.flags.has(isDifferent) {
			is(NameDifferent)
		}
		if one.flags.has(isDoubled) {
			is(NameDoubled)
		}
		if one.flags.has(isLate) {
			is(NameLate)
		}
		if stored && a.tableError == nil && a.ledgerError == nil && (!one.flags.has(inTable|inLedger) ||
			one.tableMinor != one.ledgerMinor || one.tableCurrency != one.ledgerCurrency) {
			is(NameDisagreeing)
		}
		if atFault {
			wrong++
		}
	}
	a.disagreeing = len(lists[NameDisagreeing])
	if a.beforeError == nil {
		m.report.Totals.MissingBefore = &missingBefore
	}
	table, ledger := unread("table", a.tableError), unread("ledger", a.ledgerError)
	both := cmp.Or(table, ledger)
	shared := ""
	if a.shared > 0 {
		shared = fmt.Sprintf("%d identities were sent for more than one order each, so that one record stands for several payments", a.shared)
	}
	if m.report.Totals.Payments == 0 {
		table = cmp.Or(table, "no payment was acknowledged")
		ledger = cmp.Or(ledger, "no payment was acknowledged")
	}
	m.report.Objectives = append(m.report.Objectives,
		m.counted(NameLost, len(lists[NameLost]), cmp.Or(table, shared)),
		m.counted(NameMissing, len(lists[NameMissing]), cmp.Or(ledger, shared)),
		m.counted(NameDoubled, a.doubled, cmp.Or(both, shared)),
		m.counted(NameDifferent, len(lists[NameDifferent]), both),
		m.counted(NameUnexplained, len(lists[NameUnexplained]), both),
		m.counted(NameDisagreeing, len(lists[NameDisagreeing]), both),
	)
	if _, unmeasured := m.report.unmeasuredLists(); wrong > 0 || unmeasured == 0 {
		m.report.Totals.AtFault = &wrong
	}
	for _, name := range []Name{NameLost, NameMissing, NameDoubled, NameDifferent, NameUnexplained, NameDisagreeing, NameLate, NameExplained} {
		if numbers := lists[name]; len(numbers) > 0 {
			m.report.Findings = append(m.report.Findings, m.findings(name, numbers))
		}
	}
	m.remarkOnRequests()
}

func unread(what string, err error) string {
	switch {
	case err == nil:
		return ""
	case errors.Is(err, errNotRead):
		return fmt.Sprintf("the %s was not read", what)
	}
	return fmt.Sprintf("the %s was not read to its end: %v", what, err)
}

// findings are the first of a list, by when they were sent or accepted.
func (m *measure) findings(name Name, numbers []int32) Findings {
	slices.SortFunc(numbers, func(x, y int32) int {
		if m.before(x, y) {
			return -1
		}
		return 1 // no two are the same
	})
	list := Findings{Name: name, Count: len(numbers)}
	if name == NameDoubled {
		list.Count = m.accounts.doubled
	}
	for _, number := range numbers[:min(len(numbers), MaxExamples)] {
		list.Examples = append(list.Examples, m.finding(number))
	}
	return list
}

func compareIdentities(a, b payment.Identity) int {
	return cmp.Or(strings.Compare(a.SessionID, b.SessionID), strings.Compare(a.TransactionID, b.TransactionID))
}

func (m *measure) identityOf(number int32) payment.Identity {
	request := m.accounts.list[number].request
	if request < 0 {
		return m.accounts.unsent[-1-request]
	}
	q := m.requestAt(request)
	return payment.Identity{SessionID: q.session, TransactionID: q.transaction}
}

// since is when a payment first was anywhere.
func (m *measure) since(number int32) int64 {
	one := &m.accounts.list[number]
	if one.request >= 0 {
		return m.requestAt(one.request).sent
	}
	return cmp.Or(one.accepted, one.ledgerAccepted)
}

func (m *measure) finding(number int32) Finding {
	one, id := &m.accounts.list[number], m.identityOf(number)
	f := Finding{SessionID: id.SessionID, TransactionID: id.TransactionID, Outcome: "never sent"}
	if one.request >= 0 {
		q := m.requestAt(one.request)
		f.Order, f.Sent, f.SentAt = q.order, m.amount(q.minor, q.currency), pointer(moment(q.sent))
		f.Outcome = string(outcomes[q.outcome])
		if region := m.regions.text(q.region); region != "" {
			f.Outcome += " by " + region
		}
		if reason := m.reasons.text(q.reason); reason != "" {
			f.Outcome += ": " + reason
		}
	}
	if one.flags.has(inTable) {
		f.Table = m.holding(one.tableMinor, one.tableCurrency, one.tableRegion, one.accepted)
	}
	if one.flags.has(inLedger) {
		f.Ledger = m.holding(one.ledgerMinor, one.ledgerCurrency, one.ledgerRegion, one.ledgerAccepted)
		if one.recorded != 0 {
			f.Ledger += ", recorded " + m.timestamp(one.recorded)
		}
	}
	return f
}

// timestamp writes a moment in full. A simulated one has no zone.
func (m *measure) timestamp(nanoseconds int64) string {
	text := moment(nanoseconds).Format(payment.TimestampLayout)
	if m.run.Clock.Simulated {
		return strings.TrimSuffix(text, "Z")
	}
	return text
}

func (m *measure) holding(minor int64, code, region uint8, accepted int64) string {
	return fmt.Sprintf("%s %s %s", m.amount(minor, code), m.regions.text(region), m.timestamp(accepted))
}

func (m *measure) amount(minor int64, code uint8) string {
	amount, err := currency.NewAmountFromInt64(minor, m.currencies.text(code))
	if err != nil || minor < 0 {
		return "no amount of a payment"
	}
	return amount.String()
}

// remarkOnRequests says what the requests do not tell.
func (m *measure) remarkOnRequests() {
	nameless := 0
	for i, number := range m.accounts.of {
		if number < 0 && outcomes[m.requestAt(int32(i)).outcome] == OutcomeFailed {
			nameless++
		}
	}
	if nameless > 0 {
		m.remark("%d failed requests had no identity: it is unknown whether they made a payment.", nameless)
	}
	totals := &m.report.Totals
	totals.Attempts = len(m.byTime)
	totals.FailedAttempts = len(m.byTime) - int(m.succeeded[len(m.byTime)])
	if m.reported != len(m.byTime) {
		m.remark("The requests have %d attempts, but %d were observed: the observer has a fault.", m.reported, len(m.byTime))
	}
	if m.others > 0 {
		m.remark("%d items and rows are of sessions that do not begin with %q. They are not part of the run.", m.others, m.run.SessionPrefix)
	}
	if totals.MissingBefore != nil && *totals.MissingBefore > 0 && m.accounts.ledgerError == nil {
		m.remark("%d acknowledged payments were not in the ledger before the last reconciliation.", *totals.MissingBefore)
	}
}
