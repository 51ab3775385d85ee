package simulation_test

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/smithy-go/aws-http-auth/credentials"
	"github.com/aws/smithy-go/aws-http-auth/sigv4a"

	"payments-dr/internal/simulation"
)

var (
	signedAt = time.Date(2026, 11, 22, 3, 4, 5, 0, time.UTC)
	signer   = aws.Credentials{AccessKeyID: "AKISORANDOMAASORANDOM", SecretAccessKey: "q+jcrXGc+0zWN6uzclKVhvMmUsIfRPa4rlRandom", SessionToken: "token"}
)

// TestSigningKey holds the derivation against the key pair that AWS's own libraries are tested with.
func TestSigningKey(t *testing.T) {
	key, err := simulation.SigningKey(signer)
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

const signedBody = `{"amount":"1.00"}`

// signed is a request as a server gets it, signed by AWS's signer.
func signed(t *testing.T, change func(*sigv4a.SignRequestInput)) *http.Request {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, "https://api.example.com/payments/a%2Fb%20c/%E6%94%AF?limit=5&after=x%20y", strings.NewReader(signedBody))
	digest := sha256.Sum256([]byte(signedBody))
	input := &sigv4a.SignRequestInput{
		Request: r, PayloadHash: digest[:], Service: "execute-api", RegionSet: []string{"*"}, Time: signedAt,
		Credentials: credentials.Credentials{AccessKeyID: signer.AccessKeyID, SecretAccessKey: signer.SecretAccessKey, SessionToken: signer.SessionToken},
	}
	if change != nil {
		change(input)
	}
	if err := sigv4a.New().SignRequest(input); err != nil {
		t.Fatal(err)
	}
	return r
}

// stopped is a clock that stands still.
type stopped time.Time

func (s stopped) Now() time.Time                       { return time.Time(s) }
func (s stopped) After(time.Duration) <-chan time.Time { return nil }

func verify(r *http.Request, payload string) error {
	const user = "arn:aws:iam::111122223333:user/somebody"
	got, err := simulation.Signatures{Credentials: signer, UserARN: user, Region: "us-west-2", Clock: stopped(signedAt)}.Verify(r, []byte(payload))
	if (err == nil) != (got == user) {
		return fmt.Errorf("the caller is %q: %w", got, err)
	}
	return err
}

func TestASignatureIsVerified(t *testing.T) {
	for _, set := range [][]string{{"*"}, {"us-east-1", "us-west-2"}} {
		if err := verify(signed(t, func(in *sigv4a.SignRequestInput) { in.RegionSet = set }), signedBody); err != nil {
			t.Errorf("signed for %v: %v", set, err)
		}
	}
	if err := verify(signed(t, func(in *sigv4a.SignRequestInput) { in.Time = signedAt.Add(-4 * time.Minute) }), signedBody); err != nil {
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
		"six minutes ago":    func(in *sigv4a.SignRequestInput) { in.Time = signedAt.Add(-6 * time.Minute) },
		"in six minutes":     func(in *sigv4a.SignRequestInput) { in.Time = signedAt.Add(6 * time.Minute) },
		"under another name": func(in *sigv4a.SignRequestInput) { in.Request.Host = "us-west-2.api.example.com" },
	} {
		r := signed(t, sign)
		r.Host = "api.example.com"
		if err := verify(r, signedBody); err == nil {
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
		if err := verify(r, signedBody); err == nil {
			t.Errorf("%s: verified", name)
		}
	}
	if err := verify(signed(t, nil), signedBody+" "); err == nil {
		t.Error("another body: verified")
	}
}

func TestTLSServerIsTrustedUnderItsNameAlone(t *testing.T) {
	server, err := simulation.StartTLS("api.example.com", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) }))
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	for name, tt := range map[string]struct {
		config *tls.Config
		good   bool
	}{
		"trusted":                   {&tls.Config{RootCAs: simulation.Trust(server), ServerName: "api.example.com"}, true},
		"the machine's authorities": {&tls.Config{ServerName: "api.example.com"}, false},
		"an address for a name":     {&tls.Config{RootCAs: simulation.Trust(server)}, false},
		"another name":              {&tls.Config{RootCAs: simulation.Trust(server), ServerName: "us-west-2.api.example.com"}, false},
	} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+server.Address(), nil)
		if err != nil {
			t.Fatal(err)
		}
		transport := &http.Transport{TLSClientConfig: tt.config, ForceAttemptHTTP2: true, DisableKeepAlives: true}
		response, err := transport.RoundTrip(request)
		if (err == nil) != tt.good {
			t.Errorf("%s: %v", name, err)
		}
		if err == nil {
			response.Body.Close()
			if response.StatusCode != http.StatusTeapot || response.ProtoMajor != 2 {
				t.Errorf("%s: %s %s", name, response.Proto, response.Status)
			}
		}
	}
	if server.Connections() != 4 {
		t.Errorf("%d connections, want 4", server.Connections())
	}
}
