package rdscertificates_test

import (
	"crypto/x509"
	"encoding/pem"
	"os"
	"strings"
	"testing"
	"time"

	"payments-dr/internal/payment/ledger/rdscertificates"
)

func TestCertificates(t *testing.T) {
	bundle, err := os.ReadFile("rds-certificates.pem")
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	names := map[string]bool{}
	for {
		var block *pem.Block
		if block, bundle = pem.Decode(bundle); block == nil {
			break
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		name := certificate.Subject.CommonName
		names[name] = true
		if !certificate.IsCA || now.Before(certificate.NotBefore) || now.After(certificate.NotAfter) {
			t.Errorf("%s is no authority, or not valid now (%s to %s)", name, certificate.NotBefore, certificate.NotAfter)
		}
		if err := certificate.CheckSignatureFrom(certificate); err != nil {
			t.Errorf("%s is not signed by itself: %v", name, err)
		}
		if !strings.HasPrefix(name, "Amazon RDS ") || strings.Contains(name, "Beta") || strings.Contains(name, "Preview") {
			t.Errorf("%s should not be trusted", name)
		}
	}
	for _, region := range []string{"us-east-1", "us-west-2"} {
		for _, key := range []string{"RSA2048", "RSA4096", "ECC384"} {
			if name := "Amazon RDS " + region + " Root CA " + key + " G1"; !names[name] {
				t.Errorf("%s is missing", name)
			}
		}
	}
}

func TestHasRegion(t *testing.T) {
	for region, want := range map[string]bool{"us-east-1": true, "us-west-2": true, "eu-central-1": true, "mx-central-1": false, "": false} {
		if got := rdscertificates.HasRegion(region); got != want {
			t.Errorf("HasRegion(%q) = %v, want %v", region, got, want)
		}
	}
}
