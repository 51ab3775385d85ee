package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"payments-dr/internal/drill/rehearsal"
	"payments-dr/internal/simulation"
	"payments-dr/internal/simulation/lambdaruntime"
	"payments-dr/internal/simulation/localdynamodb"
)

const (
	paymentCount = 2_000
	// The limits leave about a half over what was measured. Relay and ledger take payments by batches, which are small here.
	processorLimit, relayLimit, ledgerLimit = 9.0, 6.5, 6.5
)

// payments measures what one payment costs each function in processor time, from the request to the ledger's row, in the platform
// as a rehearsal runs it. The processes' starts are in it.
func payments(ctx context.Context, config Config) ([]Measurement, error) {
	binaries := map[string]string{}
	for _, f := range config.functions {
		binaries[f.name] = f.binary
	}
	table, err := localdynamodb.Start(config.ModuleDir)
	if err != nil {
		return nil, err
	}
	defer table.Close()
	regions := config.Assembly.Settings.Regions
	database, databases, err := rehearsal.StartDatabases(ctx, [2]string{regions.Primary.Name, regions.Secondary.Name}, config.MariaDB, io.Discard)
	if err != nil {
		return nil, err
	}
	defer database.Close()
	platform, err := rehearsal.Start(ctx, config.Assembly, rehearsal.Options{
		Binaries: binaries, Table: table, Databases: databases, Clock: rehearsal.FastClock(1), Seed: 1, Log: io.Discard,
	})
	if err != nil {
		return nil, err
	}
	closed := sync.OnceFunc(platform.Close)
	defer closed()
	here := platform.Regions[0]
	requests := make([][]byte, paymentCount)
	for i := range requests {
		if requests[i], err = request(i); err != nil {
			return nil, err
		}
	}
	if err := invokeAll(ctx, here.Processor, requests, func(answer []byte) error {
		var response events.APIGatewayProxyResponse
		if err := json.Unmarshal(answer, &response); err != nil {
			return fmt.Errorf("read answer: %w", err)
		}
		if response.StatusCode != 200 {
			return fmt.Errorf("the processor answers %d: %s", response.StatusCode, response.Body)
		}
		return nil
	}); err != nil {
		return nil, err
	}
	waiting, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	if err := platform.WaitDelivered(waiting); err != nil {
		return nil, err
	}
	if err := platform.WaitRecorded(waiting); err != nil {
		return nil, err
	}
	closed() // what processes have used is known when they have ended

	floor := simulation.NewFunction(simulation.FunctionConfig{
		Runtime: lambdaruntime.Config{Binary: config.floor, Name: "floor", Region: here.Name, MemoryMB: 1024, Log: io.Discard}, Concurrency: clients, Timeout: time.Minute,
	})
	err = invokeAll(ctx, floor, requests, func([]byte) error { return nil })
	floor.Close()
	if err != nil {
		return nil, err
	}
	each := func(f *simulation.Function) float64 {
		return float64(f.Stats().Processor.Microseconds()) / 1000 / paymentCount
	}
	const floorIs = "an invocation of a function that returns its event"
	return []Measurement{
		{"processor: processor time a payment", UnitMilliseconds, each(here.Processor), each(floor), floorIs, processorLimit},
		{"relay: processor time a payment", UnitMilliseconds, each(here.Relay), each(floor), floorIs, relayLimit},
		{"ledger: processor time a payment", UnitMilliseconds, each(here.Ledger), each(floor), floorIs, ledgerLimit},
	}, nil
}

// clients is how many requests there are at a time.
const clients = 4

// request is API Gateway's event for a payment.
func request(number int) ([]byte, error) {
	event, err := json.Marshal(events.APIGatewayProxyRequest{
		Resource: "/payments", Path: "/payments", HTTPMethod: "POST", Headers: map[string]string{"Content-Type": "application/json"},
		Body: fmt.Sprintf(`{"session_id":"bench-%d","transaction_id":"t-%d","amount":"12.34","currency":"USD"}`, number%97, number),
	})
	if err != nil {
		return nil, fmt.Errorf("write event: %w", err)
	}
	return event, nil
}

// invokeAll invokes a function with each event once, a few at a time.
func invokeAll(ctx context.Context, f *simulation.Function, payloads [][]byte, check func(answer []byte) error) error {
	work := make(chan []byte)
	faults := make([]error, clients)
	var all sync.WaitGroup
	for i := range clients {
		all.Go(func() {
			for payload := range work {
				answer, err := f.Invoke(ctx, payload)
				if err == nil {
					err = check(answer)
				}
				if faults[i] == nil {
					faults[i] = err
				}
			}
		})
	}
	for _, payload := range payloads {
		work <- payload
	}
	close(work)
	all.Wait()
	return errors.Join(faults...)
}
