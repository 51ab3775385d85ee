package client_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"

	"payments-dr/client"
)

// exampleCredentials stand for a program's own: awsConfig.Credentials of config.LoadDefaultConfig.
var exampleCredentials = credentials.NewStaticCredentialsProvider("AKIDEXAMPLE", "secret", "")

// region is a Region's API that answers every request in one way.
func region(name string, status int, body string) *httptest.Server {
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Region", name)
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	}))
}

const acceptance = `{"session_id":"order-7","transaction_id":"payment-1","amount":12.30,"currency":"EUR","region":"us-west-2"}`

// The public name leads to a Region that is ill. The client pays in the other one.
func Example() {
	east, west := region("us-east-1", 503, `{"error":"payments cannot be taken at the moment","region":"us-east-1"}`), region("us-west-2", 200, acceptance)
	defer east.Close()
	defer west.Close()

	payments, err := client.New(client.Config{
		URL: east.URL, // https://api.payments.example.com
		Regions: []client.Region{
			{Name: "us-east-1", Host: east.Listener.Addr().String()}, // us-east-1.region.api.payments.example.com
			{Name: "us-west-2", Host: west.Listener.Addr().String()},
		},
		Credentials: exampleCredentials,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer payments.CloseIdleConnections()
	accepted, err := payments.Pay(context.Background(), client.Request{
		Identity: client.Identity{SessionID: "order-7", TransactionID: "payment-1"}, Amount: "12.30", Currency: "EUR",
	})
	fmt.Println(accepted.AcceptedIn, accepted.Attempts, err)
	// Output: us-west-2 2 <nil>
}

// What to do with the errors of Pay.
func ExampleClient_Pay_errors() {
	api := region("us-east-1", 422, `{"error":"a payment with this session_id and transaction_id has another amount or currency","region":"us-east-1"}`)
	defer api.Close()
	payments, err := client.New(client.Config{URL: api.URL, Credentials: exampleCredentials})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer payments.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
	defer cancel()
	_, err = payments.Pay(ctx, client.Request{Identity: client.Identity{SessionID: "order-7", TransactionID: "payment-1"}, Amount: "1"})
	switch refused, unknown := (*client.RefusedError)(nil), (*client.UnavailableError)(nil); {
	case errors.As(err, &refused):
		fmt.Println("not accepted:", refused.Status)
	case errors.As(err, &unknown):
		fmt.Println("outcome unknown: store the request, and send it again with the same identity")
	case err != nil:
		fmt.Println("not sent:", err)
	}
	// Output: not accepted: 422
}

// A read of a payment whose outcome is unknown.
func ExampleClient_Get() {
	api := region("us-east-1", 200, `{"session_id":"order-7","transaction_id":"payment-1","amount":12.30,"currency":"EUR","region":"us-east-1","timestamp":"2026-11-22T03:04:05.678901Z","status":"processed"}`)
	defer api.Close()
	payments, err := client.New(client.Config{URL: api.URL, Credentials: exampleCredentials})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer payments.CloseIdleConnections()
	reading, err := payments.Get(context.Background(), client.Identity{SessionID: "order-7", TransactionID: "payment-1"})
	fmt.Println(reading.Payment.Amount, reading.Payment.Currency, reading.Payment.AcceptedAt.Format(time.DateOnly), err)
	// Output: 12.30 EUR 2026-11-22 <nil>
}
