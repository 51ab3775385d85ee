package ledger

import (
	"crypto/x509"
	"testing"
)

// Trust has connections trust a test's own authority instead of RDS's.
func Trust(t *testing.T, authority *x509.Certificate) {
	before := certificateAuthorities
	t.Cleanup(func() { certificateAuthorities = before })
	pool := x509.NewCertPool()
	pool.AddCert(authority)
	certificateAuthorities = func() (*x509.CertPool, error) { return pool, nil }
}
