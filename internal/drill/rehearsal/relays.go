package rehearsal

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/aws/aws-lambda-go/events"

	"payments-dr/internal/payment"
	"payments-dr/internal/simulation"
	"payments-dr/internal/simulation/eventbus"
)

// relays watches that each payment is put on a bus by the Region that has accepted it, and by no other. What arrives twice is
// recorded once, so that nothing else would show it. How often a Region puts an event is its own affair: the relay tries again
// until it knows. The zero value has seen nothing; it may be used concurrently.
type relays struct {
	mu sync.Mutex
	// by has the Regions whose relays have put a payment on their bus, by the payment and the Region that has accepted it. An
	// eventually consistent table may accept one payment in both Regions, and each of the two is then relayed.
	by map[accepted]map[string]bool
	// handed counts the payments that a Region's relay was handed and that another Region had accepted.
	handed map[string]map[payment.Identity]bool
}

type accepted struct {
	payment.Identity
	region string
}

// delivered is told each attempt to deliver an event. An event keeps the Region of the bus that it was put on.
func (r *relays) delivered(d eventbus.Delivery) {
	p, err := payment.ParseEventDetail(d.Event.Detail)
	if err != nil {
		return // no payment
	}
	one := accepted{p.Identity, p.Region}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.by == nil {
		r.by = map[accepted]map[string]bool{}
	}
	if r.by[one] == nil {
		r.by[one] = map[string]bool{}
	}
	r.by[one][d.Event.Region] = true
}

// watched is a Region's relay as its mapping invokes it.
type watched struct {
	simulation.Invoker
	region string
	relays *relays
}

func (w watched) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	w.relays.invoked(w.region, payload)
	return w.Invoker.Invoke(ctx, payload)
}

// invoked is told what a Region's relay is handed.
func (r *relays) invoked(region string, payload []byte) {
	var batch events.DynamoDBEvent
	if json.Unmarshal(payload, &batch) != nil {
		return // the relay will say so
	}
	for _, record := range batch.Records {
		image := record.Change.NewImage
		text := func(name string) string {
			if value, ok := image[name]; ok && value.DataType() == events.DataTypeString {
				return value.String()
			}
			return ""
		}
		if origin := text(payment.AttributeRegion); origin == "" || origin == region {
			continue
		}
		r.mu.Lock()
		if r.handed == nil {
			r.handed = map[string]map[payment.Identity]bool{}
		}
		if r.handed[region] == nil {
			r.handed[region] = map[payment.Identity]bool{}
		}
		r.handed[region][payment.Identity{SessionID: text(payment.AttributeSessionID), TransactionID: text(payment.AttributeTransactionID)}] = true
		r.mu.Unlock()
	}
}

// faults are what is wrong with the relays, a sentence each.
func (r *relays) faults() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var faults []string
	for _, region := range slices.Sorted(maps.Keys(r.handed)) {
		faults = append(faults, fmt.Sprintf(
			"the relay of %s was handed %d payments that another Region had accepted: the filter of its mapping does not ask for the origin", region, len(r.handed[region])))
	}
	var both, other []accepted
	for one, regions := range r.by {
		switch {
		case len(regions) > 1:
			both = append(both, one)
		case !regions[one.region]:
			other = append(other, one)
		}
	}
	if len(both) > 0 {
		faults = append(faults, fmt.Sprintf(
			"%d payments were put on the buses by both Regions, such as %s: the relay's filter and the relay itself let payments of the other Region through", len(both), first(both)))
	}
	if len(other) > 0 {
		faults = append(faults, fmt.Sprintf("%d payments were put on a bus only by a Region that had not accepted them, such as %s", len(other), first(other)))
	}
	return faults
}

// first is the first of some payments, in words.
func first(some []accepted) string {
	one := slices.MinFunc(some, func(a, b accepted) int {
		return strings.Compare(a.SessionID+"\x00"+a.TransactionID, b.SessionID+"\x00"+b.TransactionID)
	})
	return fmt.Sprintf("%s / %s, accepted in %s", one.SessionID, one.TransactionID, one.region)
}
