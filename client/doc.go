// Package client pays through the payment API and fails over between its two Regions by itself.
//
//	payments, err := client.New(client.Config{
//		URL: "https://api.payments.example.com",
//		Regions: []client.Region{
//			{Name: "us-east-1", Host: "us-east-1.region.api.payments.example.com"},
//			{Name: "us-west-2", Host: "us-west-2.region.api.payments.example.com"},
//		},
//		Credentials: awsConfig.Credentials,
//	})
//
// # Identity
//
// A payment's identity is its session and its transaction id. The API accepts one payment for each identity, in whichever
// Region a request arrives. The client therefore sends a request as often as it has to. So may its caller.
//
// # Failover
//
// The client sends a request to the public name, which DNS leads to a healthy Region. When a Region lets an attempt time out,
// breaks the connection or answers with 5xx, the client sends the same request to the other Region at once, through that Region's
// own host. It then avoids the failed Region for 10 to 30 seconds. After that, one ordinary request at a time tries the public
// name again. One signature is valid in both Regions (Signature Version 4a, for the Region set "*").
//
// An attempt ends after 2 s while the other Region may answer, and after 6 s otherwise. With one Region lost, a request
// takes 2 s and one answer of the other Region. A client that has not yet had an answer does not know which Region the public
// name leads to. It may try the lost Region twice, and takes 2 s more.
//
// A status of 429 is no failure of a Region. The client waits for Retry-After, or half a second, before it sends the request
// to the other Region, and does not avoid the Region that answered.
//
// Without Regions the client knows only the public name. It then waits until DNS leads to the other Region.
//
// # Retries
//
// One budget limits the retries to both Regions (Config.RetryTokens). The first attempt in a Region that has not failed
// lately is free: it is no more than that Region's share of the traffic. Every other retry, and every hedge, takes a token. An
// accepted payment returns a tenth of one. When both Regions fail, 200 payments become about 210 requests, not 1,000.
//
// # Unknown outcomes
//
// A request that ends with an *UnavailableError may have been accepted. So may one that the caller's context ended. Send it
// again with the same identity, or read it with Get, to find out. A *RefusedError says that the API did not accept the payment.
//
// # Hedging
//
// With Config.HedgeAfter, a request without an answer after that time is also sent to the other Region, with the same
// identity, and the first answer counts. Only one of the two requests is accepted; the other is answered from the stored payment.
// Hedging shortens the slowest answers. It is off by default, because each hedge costs as much as a payment's request: a
// request to API Gateway, an invocation of Lambda, and a conditional write to DynamoDB, which is charged although it writes
// nothing ("Working with items and attributes in DynamoDB", Amazon DynamoDB Developer Guide). docs/use/cost.md has the prices. In a strongly
// consistent table, the two writes may meet: DynamoDB then rejects one with ReplicatedWriteConflictException, and the API tries
// it again.
//
// # Clock
//
// A signature is valid for five minutes. If the API answers 403 and its Date header differs from the machine's clock by
// more than four minutes, the client signs with the API's time from then on, and sends the request again.
package client
