// Package localapi stands in for API Gateway on this machine: TLS under an API's public name, IAM authorization, for which it
// verifies SigV4a signatures as the service does, and the proxy integration with a function. It simulates these three and
// nothing else: no throttling, no Web ACL, no DNS.
package localapi

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"payments-dr/internal/loopback"
)

// Config says what stands where.
type Config struct {
	// Name is the public name that the certificate is for, and no other.
	Name string
	// Region is told in X-Region, and asked of signatures.
	Region string
	// Credentials are the one caller's who may.
	Credentials aws.Credentials
	// Handler serves what is authorized.
	Handler http.Handler
}

// API is one Region's API.
type API struct {
	server      *httptest.Server
	connections atomic.Int64
}

// Start starts an API.
func Start(config Config) (*API, error) {
	certificate, err := newCertificate(config.Name)
	if err != nil {
		return nil, err
	}
	a := &API{server: httptest.NewUnstartedServer(authorize(config))}
	a.server.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}}
	a.server.EnableHTTP2 = true
	a.server.Config.ErrorLog = log.New(io.Discard, "", 0) // clients that do not trust the certificate are part of the play
	a.server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			a.connections.Add(1)
		}
	}
	a.server.StartTLS()
	return a, nil
}

// Address is where the API is: host and port.
func (a *API) Address() string { return a.server.Listener.Addr().String() }

// Connections is how many connections were made to it.
func (a *API) Connections() int { return int(a.connections.Load()) }

// Certificate is the API's certificate as PEM. A client that trusts it trusts the API under its name alone.
func (a *API) Certificate() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.server.TLS.Certificates[0].Certificate[0]})
}

// Trust is a pool of the certificates of some APIs.
func Trust(apis ...*API) *x509.CertPool {
	pool := x509.NewCertPool()
	for _, a := range apis {
		pool.AppendCertsFromPEM(a.Certificate())
	}
	return pool
}

// Close ends the API, open connections included.
func (a *API) Close() {
	a.server.CloseClientConnections()
	a.server.Close()
}

// authorize lets signed requests through, and GET /health, as the API's methods are set.
func authorize(config Config) http.Handler {
	verifier := Verifier{Credentials: config.Credentials, Region: config.Region, Now: time.Now}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // the client has gone
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		if open := r.Method == http.MethodGet && r.URL.Path == "/health"; !open {
			if err := verifier.Verify(r, body); err != nil {
				w.Header().Set("Content-Type", "application/json")
				w.Header().Set("X-Region", config.Region)
				w.WriteHeader(http.StatusForbidden)
				_ = json.NewEncoder(w).Encode(map[string]string{"error": "simulated: " + err.Error(), "region": config.Region})
				return
			}
		}
		config.Handler.ServeHTTP(w, r)
	})
}

// newCertificate makes a certificate that is its own authority, good for a day.
func newCertificate(name string) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("make key: %w", err)
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: "simulated " + loopback.Host}, DNSNames: []string{name},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour), BasicConstraintsValid: true, IsCA: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("make certificate: %w", err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}
