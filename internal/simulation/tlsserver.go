package simulation

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
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
)

// TLSServer is a handler behind TLS under a name, with HTTP/2, as an API behind its custom domain. Nobody but who is told to
// trusts its certificate.
type TLSServer struct {
	server      *httptest.Server
	connections atomic.Int64
}

// StartTLS starts a server. Its certificate is for the name alone, and not for the address that it is at.
func StartTLS(name string, handler http.Handler) (*TLSServer, error) {
	certificate, err := newCertificate(name)
	if err != nil {
		return nil, err
	}
	s := &TLSServer{server: httptest.NewUnstartedServer(handler)}
	s.server.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}}
	s.server.EnableHTTP2 = true
	s.server.Config.ErrorLog = log.New(io.Discard, "", 0) // clients that do not trust the certificate are part of the play
	s.server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			s.connections.Add(1)
		}
	}
	s.server.StartTLS()
	return s, nil
}

// Address is where the server is: host and port.
func (s *TLSServer) Address() string { return s.server.Listener.Addr().String() }

// Connections is how many connections were made to it.
func (s *TLSServer) Connections() int { return int(s.connections.Load()) }

// Certificate is the server's certificate as PEM. It is its own authority.
func (s *TLSServer) Certificate() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.server.TLS.Certificates[0].Certificate[0]})
}

// Trust is a pool of the certificates of some servers.
func Trust(servers ...*TLSServer) *x509.CertPool {
	pool := x509.NewCertPool()
	for _, s := range servers {
		pool.AppendCertsFromPEM(s.Certificate())
	}
	return pool
}

// Close ends the server, open connections included.
func (s *TLSServer) Close() {
	s.server.CloseClientConnections()
	s.server.Close()
}

// newCertificate makes a certificate that is its own authority, good for a day.
func newCertificate(name string) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("make key: %w", err)
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: "simulated"}, DNSNames: []string{name},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour), BasicConstraintsValid: true, IsCA: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("make certificate: %w", err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}
