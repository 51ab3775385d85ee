package localapi_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/smithy-go/aws-http-auth/credentials"
	"github.com/aws/smithy-go/aws-http-auth/sigv4a"

	"payments-dr/internal/localapi"
)

var (
	now  = time.Date(2026, 11, 22, 3, 4, 5, 0, time.UTC)
	keys = aws.Credentials{AccessKeyID: "AKISORANDOMAASORANDOM", SecretAccessKey: "q+jcrXGc+0zWN6uzclKVhvMmUsIfRPa4rlRandom", SessionToken: "token"}
)

// TestPublicKey holds the derivation against the key pair that AWS's own libraries are tested with.
func TestPublicKey(t *testing.T) {
	key, err := localapi.PublicKey(keys)
	if err != nil {
		t.Fatal(err)
	}
	point, err := key.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	const want = "04" + "15d242ceebf8d8169fd6a8b5a746c41140414c3b07579038da06af89190fffcb" + "0515242cedd82e94799482e4c0514b505afccf2c0c98d6a553bf539f424c5ec0"
	if got := hex.EncodeToString(point); got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
}

const body = `{"amount":"1.00"}`

// signed is a request as a server gets it, signed by AWS's signer.
func signed(t *testing.T, change func(*sigv4a.SignRequestInput)) *http.Request {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, "https://api.example.com/payments/a%2Fb%20c/%E6%94%AF?limit=5&after=x%20y", strings.NewReader(body))
	digest := sha256.Sum256([]byte(body))
	input := &sigv4a.SignRequestInput{
		Request: r, PayloadHash: digest[:], Service: "execute-api", RegionSet: []string{"*"}, Time: now,
		Credentials: credentials.Credentials{AccessKeyID: keys.AccessKeyID, SecretAccessKey: keys.SecretAccessKey, SessionToken: keys.SessionToken},
	}
	if change != nil {
		change(input)
	}
	if err := sigv4a.New().SignRequest(input); err != nil {
		t.Fatal(err)
	}
	return r
}

func verify(r *http.Request, payload string) error {
	return localapi.Verifier{Credentials: keys, Region: "us-west-2", Now: func() time.Time { return now }}.Verify(r, []byte(payload))
}

func TestASignatureIsVerified(t *testing.T) {
	for _, set := range [][]string{{"*"}, {"us-east-1", "us-west-2"}} {
		if err := verify(signed(t, func(in *sigv4a.SignRequestInput) { in.RegionSet = set }), body); err != nil {
			t.Errorf("signed for %v: %v", set, err)
		}
	}
	if err := verify(signed(t, func(in *sigv4a.SignRequestInput) { in.Time = now.Add(-4 * time.Minute) }), body); err != nil {
		t.Errorf("signed four minutes ago: %v", err)
	}
}

func TestWhatIsNotSignedSoIsRefused(t *testing.T) {
	for name, sign := range map[string]func(*sigv4a.SignRequestInput){
		"another secret":     func(in *sigv4a.SignRequestInput) { in.Credentials.SecretAccessKey += "x" },
		"another key":        func(in *sigv4a.SignRequestInput) { in.Credentials.AccessKeyID += "x" },
		"another token":      func(in *sigv4a.SignRequestInput) { in.Credentials.SessionToken = "other" },
		"another service":    func(in *sigv4a.SignRequestInput) { in.Service = "s3" },
		"another Region":     func(in *sigv4a.SignRequestInput) { in.RegionSet = []string{"us-east-1"} },
		"another body":       func(in *sigv4a.SignRequestInput) { in.PayloadHash = make([]byte, 32) },
		"an unsigned body":   func(in *sigv4a.SignRequestInput) { in.PayloadHash = []byte("UNSIGNED-PAYLOAD") },
		"six minutes ago":    func(in *sigv4a.SignRequestInput) { in.Time = now.Add(-6 * time.Minute) },
		"in six minutes":     func(in *sigv4a.SignRequestInput) { in.Time = now.Add(6 * time.Minute) },
		"under another name": func(in *sigv4a.SignRequestInput) { in.Request.Host = "us-west-2.api.example.com" },
	} {
		r := signed(t, sign)
		r.Host = "api.example.com"
		if err := verify(r, body); err == nil {
			t.Errorf("%s: verified", name)
		}
	}
	for name, tamper := range map[string]func(*http.Request){
		"no signature":      func(r *http.Request) { r.Header.Del("Authorization") },
		"half a signature":  func(r *http.Request) { h := r.Header.Get("Authorization"); r.Header.Set("Authorization", h[:len(h)-8]) },
		"no hexadecimal":    func(r *http.Request) { r.Header.Set("Authorization", r.Header.Get("Authorization")+"zz") },
		"another path":      func(r *http.Request) { r.URL.Path, r.URL.RawPath = "/payments/other", "" },
		"another query":     func(r *http.Request) { r.URL.RawQuery = "limit=6&after=x%20y" },
		"another method":    func(r *http.Request) { r.Method = http.MethodPut },
		"a later date":      func(r *http.Request) { r.Header.Set("X-Amz-Date", "20261122T030406Z") },
		"no date":           func(r *http.Request) { r.Header.Del("X-Amz-Date") },
		"a header of AWS's": func(r *http.Request) { r.Header.Set("X-Amz-Target", "x") },
		"the host not in it": func(r *http.Request) {
			r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), "host;", "", 1))
		},
	} {
		r := signed(t, nil)
		tamper(r)
		if err := verify(r, body); err == nil {
			t.Errorf("%s: verified", name)
		}
	}
	if err := verify(signed(t, nil), body+" "); err == nil {
		t.Error("another body: verified")
	}
}

func TestAPILetsSignedRequestsAndHealthThrough(t *testing.T) {
	api, err := localapi.Start(localapi.Config{
		Name: "api.example.com", Region: "us-west-2", Credentials: keys,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) }),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer api.Close()
	send := func(method, path string, config *tls.Config) (*http.Response, error) {
		r, err := http.NewRequestWithContext(t.Context(), method, "https://"+api.Address()+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		transport := &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: true, DisableKeepAlives: true}
		return transport.RoundTrip(r)
	}
	for name, config := range map[string]*tls.Config{
		"the machine's authorities": {ServerName: "api.example.com"},
		"an address for a name":     {RootCAs: localapi.Trust(api)},
		"another name":              {RootCAs: localapi.Trust(api), ServerName: "us-west-2.api.example.com"},
	} {
		if _, err := send(http.MethodGet, "/health", config); err == nil {
			t.Errorf("%s: the certificate is good", name)
		}
	}
	for request, status := range map[string]int{"GET /health": 418, "POST /health": 403, "GET /payments/s": 403, "POST /payments": 403} {
		method, path, _ := strings.Cut(request, " ")
		response, err := send(method, path, &tls.Config{RootCAs: localapi.Trust(api), ServerName: "api.example.com"})
		if err != nil {
			t.Fatal(err)
		}
		said, err := io.ReadAll(response.Body)
		response.Body.Close()
		if err != nil || response.StatusCode != status || status == http.StatusForbidden && (!json.Valid(said) || response.Header.Get("X-Region") != "us-west-2") {
			t.Errorf("%s: %d %s, %v; want %d", request, response.StatusCode, said, err, status)
		}
	}
}

func TestProxyMakesEvents(t *testing.T) {
	for path, want := range map[string]string{
		"POST /payments":            `/payments`,
		"GET /health":               `/health`,
		"GET /payments/a%2Fb":       `/payments/{session_id} session_id=a%2Fb`,
		"GET /payments/a%2Fb/c%20d": `/payments/{session_id}/{transaction_id} session_id=a%2Fb transaction_id=c%20d`,
		"GET /payments/a/b/c":       `/{proxy+}`,
		"GET /":                     `/{proxy+}`,
	} {
		method, path, _ := strings.Cut(path, " ")
		var got string
		handler := localapi.Proxy(func(_ context.Context, payload []byte) ([]byte, error) {
			var request events.APIGatewayProxyRequest
			if err := json.Unmarshal(payload, &request); err != nil {
				return nil, err
			}
			if request.HTTPMethod != method || request.Body != body || request.Headers["X-Some"] != "header" || request.QueryStringParameters["after"] != "x y" {
				t.Errorf("%s: %s", path, payload)
			}
			got = request.Resource
			for _, name := range []string{"session_id", "transaction_id"} {
				if value, ok := request.PathParameters[name]; ok {
					got += " " + name + "=" + value
				}
			}
			return json.Marshal(events.APIGatewayProxyResponse{StatusCode: 418, Headers: map[string]string{"X-Region": "r"}, Body: "tea"})
		})
		r := httptest.NewRequest(method, path+"?after=x%20y", bytes.NewReader([]byte(body)))
		r.Header.Set("X-Some", "header")
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		if got != want || w.Code != 418 || w.Header().Get("X-Region") != "r" || w.Body.String() != "tea" {
			t.Errorf("%s: resource %q, want %q; answer %d %s", path, got, want, w.Code, w.Body)
		}
	}
	w := httptest.NewRecorder()
	localapi.Proxy(func(context.Context, []byte) ([]byte, error) { return nil, errors.New("killed") }).ServeHTTP(w, httptest.NewRequest("GET", "/health", nil))
	if w.Code != http.StatusBadGateway {
		t.Errorf("a function that fails is answered with %d", w.Code)
	}
}
