package drill_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"payments-dr/internal/drill"
	"payments-dr/internal/payment"
)

// FuzzMeasure makes up a run, does to it a known number of each harm, to payments that are no other's victims, and wants the
// measure to find exactly these: none more, none fewer, and of each the identity. Then it takes one more acknowledged payment out
// of the table, whichever, and one more is lost.
func FuzzMeasure(f *testing.F) {
	f.Add(uint64(1), uint16(300), uint8(0), uint8(0), uint8(0), uint8(0), uint8(0), uint8(0))
	f.Add(uint64(2), uint16(500), uint8(3), uint8(4), uint8(5), uint8(6), uint8(7), uint8(8))
	f.Add(uint64(3), uint16(40), uint8(1), uint8(0), uint8(1), uint8(0), uint8(1), uint8(0))
	f.Add(uint64(4), uint16(2000), uint8(120), uint8(60), uint8(130), uint8(50), uint8(40), uint8(30))
	f.Fuzz(func(t *testing.T, seed uint64, payments uint16, lost, missing, doubled, different, unexplained, twice uint8) {
		if payments > 3000 {
			payments = 3000
		}
		random := rand.New(rand.NewPCG(seed, 1))
		w := newWorld(t)
		acknowledged := w.randomPayments(random, int(payments))
		victims := random.Perm(len(acknowledged))
		// some takes victims that nothing else has harmed.
		some := func(n uint8) []payment.Identity {
			var ids []payment.Identity
			for range min(int(n), len(victims)) {
				ids = append(ids, acknowledged[victims[0]])
				victims = victims[1:]
			}
			return ids
		}
		harmed := map[drill.Name][]payment.Identity{
			drill.NameLost: some(lost), drill.NameMissing: some(missing), drill.NameDoubled: some(doubled), drill.NameDifferent: some(different),
		}
		orders := some(twice)
		w.items = slices.DeleteFunc(w.items, func(i drill.Item) bool { return slices.Contains(harmed[drill.NameLost], i.Identity) })
		w.rows = slices.DeleteFunc(w.rows, func(r drill.Row) bool { return slices.Contains(harmed[drill.NameMissing], r.Identity) })
		for _, id := range harmed[drill.NameDoubled] {
			if random.IntN(2) == 0 {
				w.items = append(w.items, w.items[slices.IndexFunc(w.items, func(i drill.Item) bool { return i.Identity == id })])
			} else {
				w.rows = append(w.rows, w.rows[slices.IndexFunc(w.rows, func(r drill.Row) bool { return r.Identity == id })])
			}
		}
		disagreeing := len(harmed[drill.NameLost]) + len(harmed[drill.NameMissing])
		for _, id := range harmed[drill.NameDifferent] {
			other := amount(t, fmt.Sprintf("%d.00", 1_000_000+random.IntN(1000)), "GBP")
			row := slices.IndexFunc(w.rows, func(r drill.Row) bool { return r.Identity == id })
			item := slices.IndexFunc(w.items, func(i drill.Item) bool { return i.Identity == id })
			switch random.IntN(3) {
			case 0:
				w.rows[row].Amount = other
				disagreeing++
			case 1:
				w.items[item].Amount = other
				disagreeing++
			default:
				w.rows[row].Amount, w.items[item].Amount = other, other
			}
		}
		for i := range unexplained {
			p := w.anyPayment(random, payment.Identity{SessionID: "nobody", TransactionID: fmt.Sprint(i)})
			harmed[drill.NameUnexplained] = append(harmed[drill.NameUnexplained], p.Identity)
			switch random.IntN(3) {
			case 0:
				w.rows = append(w.rows, drill.Row{Payment: p, RecordedAt: p.Timestamp})
				disagreeing++
			case 1:
				w.items = append(w.items, p)
				disagreeing++
			default:
				w.items, w.rows = append(w.items, p), append(w.rows, drill.Row{Payment: p, RecordedAt: p.Timestamp})
			}
		}
		// An order that failed for the client under another identity and was recorded all the same is recorded twice.
		for i, id := range orders {
			w.again(id, payment.Identity{SessionID: "again", TransactionID: fmt.Sprint(i)})
		}
		for range 2 { // in whatever order the lists come
			random.Shuffle(len(w.items), func(i, j int) { w.items[i], w.items[j] = w.items[j], w.items[i] })
			random.Shuffle(len(w.rows), func(i, j int) { w.rows[i], w.rows[j] = w.rows[j], w.rows[i] })
		}
		counts := map[drill.Name]int{drill.NameDisagreeing: disagreeing}
		for name, ids := range harmed {
			counts[name] = len(ids)
		}
		counts[drill.NameDoubled] += len(orders)
		r := w.measure()
		if len(acknowledged) == 0 {
			want(t, r, drill.NameLost, drill.StatusNotMeasured, -1)
			return
		}
		wantIntegrity(t, r, counts)
		for name, ids := range harmed {
			for _, list := range r.Findings {
				if list.Name != name || name == drill.NameDoubled {
					continue
				}
				for _, example := range list.Examples {
					if id := (payment.Identity{SessionID: example.SessionID, TransactionID: example.TransactionID}); !slices.Contains(ids, id) {
						t.Errorf("%v is listed as %s", id, name)
					}
				}
			}
		}

		if len(w.items) == 0 {
			return
		}
		for range 3 {
			victim := acknowledged[random.IntN(len(acknowledged))]
			before := len(w.items)
			w.items = slices.DeleteFunc(w.items, func(i drill.Item) bool { return i.Identity == victim })
			if len(w.items) < before {
				counts[drill.NameLost]++
			}
			if o := objective(t, w.measure(), drill.NameLost); int(*o.Measured) != counts[drill.NameLost] {
				t.Fatalf("without %v, %v payments are lost, want %d", victim, *o.Measured, counts[drill.NameLost])
			}
		}

		// Read back from JSON, a report is the same.
		var first, second bytes.Buffer
		if err := r.WriteJSON(&first); err != nil {
			t.Fatal(err)
		}
		again, err := drill.Read(bytes.NewReader(first.Bytes()))
		if err != nil {
			t.Fatal(err)
		}
		if err := again.WriteJSON(&second); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(first.Bytes(), second.Bytes()) {
			t.Error("read back, the report is another")
		}
	})
}

// randomPayments sends payments as clients do: some of them again, some fail and were accepted all the same, some fail and were
// not. It returns the identities that were acknowledged.
func (w *world) randomPayments(random *rand.Rand, n int) (acknowledged []payment.Identity) {
	for i := range n {
		id := payment.Identity{SessionID: fmt.Sprintf("session-%d", random.IntN(n)), TransactionID: fmt.Sprintf("transaction-%d", i)}
		p := w.anyPayment(random, id)
		order := ""
		if random.IntN(2) == 0 {
			order = "order of " + id.TransactionID
		}
		outcome := drill.OutcomeFailed
		for request := 0; ; request++ {
			stored := random.IntN(10) > 0
			switch {
			case random.IntN(10) > 1:
				outcome = drill.OutcomeAcknowledged
			case request == 0 && random.IntN(4) == 0:
				outcome, stored = drill.OutcomeRefused, false
			}
			attempts := 1 + random.IntN(3)
			w.must(w.recorder.Request(drill.Request{
				Identity: id, Order: order, Amount: p.Amount, SentAt: p.Timestamp, EndedAt: p.Timestamp.Add(time.Second), Outcome: outcome,
				Replayed: request > 0 && outcome == drill.OutcomeAcknowledged, Attempts: attempts,
			}))
			if outcome == drill.OutcomeAcknowledged || (outcome == drill.OutcomeFailed && stored && request == 0 && random.IntN(4) == 0) {
				w.items = append(w.items, p)
				w.rows = append(w.rows, drill.Row{Payment: p, RecordedAt: p.Timestamp.Add(time.Second)})
				if outcome == drill.OutcomeAcknowledged {
					acknowledged = append(acknowledged, id)
				}
				break
			}
			if outcome == drill.OutcomeRefused || random.IntN(3) == 0 {
				break
			}
		}
		if outcome == drill.OutcomeAcknowledged && random.IntN(10) == 0 { // once more, to be told again
			w.must(w.recorder.Request(drill.Request{
				Identity: id, Order: order, Amount: p.Amount, SentAt: p.Timestamp.Add(time.Minute), EndedAt: p.Timestamp.Add(time.Minute),
				Outcome: outcome, Replayed: true, Attempts: 1,
			}))
		}
	}
	return acknowledged
}

func (w *world) anyPayment(random *rand.Rand, id payment.Identity) payment.Payment {
	code := []string{"USD", "EUR", "JPY"}[random.IntN(3)]
	number := fmt.Sprint(1 + random.IntN(100_000))
	if code != "JPY" {
		number += fmt.Sprintf(".%02d", random.IntN(100))
	}
	return payment.Payment{
		Identity: id, Amount: amount(w.t, number, code), Region: []string{east, west}[random.IntN(2)],
		Timestamp: at(float64(random.IntN(3_000_000)) / 1000), Status: payment.StatusProcessed,
	}
}

// again is an order that was first sent under another identity, failed for the client, and was recorded.
func (w *world) again(id, earlier payment.Identity) {
	row := w.rows[slices.IndexFunc(w.rows, func(r drill.Row) bool { return r.Identity == id })]
	order := "order of " + id.TransactionID
	for identity, outcome := range map[payment.Identity]drill.Outcome{id: drill.OutcomeAcknowledged, earlier: drill.OutcomeFailed} {
		w.must(w.recorder.Request(drill.Request{
			Identity: identity, Order: order, Amount: row.Amount, SentAt: row.Timestamp.Add(-time.Second), EndedAt: row.Timestamp, Outcome: outcome, Attempts: 1,
		}))
	}
	p := row.Payment
	p.Identity = earlier
	w.items, w.rows = append(w.items, p), append(w.rows, drill.Row{Payment: p, RecordedAt: row.RecordedAt})
}

// TestSameObservationsSameReport: observers run beside one another, so that the order of taking is nobody's.
func TestSameObservationsSameReport(t *testing.T) {
	const payments = 3000
	random := rand.New(rand.NewPCG(1, 2))
	sendings := make([]sending, payments)
	for i := range sendings {
		if random.IntN(50) == 0 {
			sendings[i] = lost([]string{"503", "timeout"}[random.IntN(2)], 1)
		}
	}
	var first []byte
	for range 3 {
		w := newWorld(t)
		for _, i := range random.Perm(payments) {
			w.sent = i // the number that send gives it
			w.send(float64(i/10), sendings[i])
			if i%10 == 0 { // and paid once more, by an order that two identities were recorded for
				w.acknowledge(i, fmt.Sprintf("order-%d", i/20), identity(i))
			}
		}
		var out bytes.Buffer
		r := w.measure()
		if err := r.WriteJSON(&out); err != nil {
			t.Fatal(err)
		}
		if found(r, drill.NameDoubled) != 147 {
			t.Errorf("%d are doubled", found(r, drill.NameDoubled))
		}
		if first == nil {
			first = out.Bytes()
		} else if !bytes.Equal(first, out.Bytes()) {
			t.Error("in another order, the report is another")
		}
	}
}
