package simulation

import (
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

const (
	signatureAlgorithm = "AWS4-ECDSA-P256-SHA256"
	signatureService   = "execute-api"
	// signatureTime and signatureDay are how a signature writes its time.
	signatureTime, signatureDay = "20060102T150405Z", "20060102"
	// maxSignatureAge is how old a signature may be, or how far ahead ("AWS Signature Version 4 for API requests", AWS IAM User
	// Guide).
	maxSignatureAge = 5 * time.Minute
)

// Signatures simulates how a REST API with IAM authorization knows its caller: it verifies signatures of Signature Version 4a,
// of one caller, for one Region ("AWS Signature Version 4 for API requests", AWS IAM User Guide). It works from what came over
// the wire, and shares no code with any signer. Its Verify is an APIConfig's.
type Signatures struct {
	// Credentials are the caller's. If they have a session token, it must come along.
	Credentials aws.Credentials
	// UserARN is what the caller is called.
	UserARN string
	// Region must be among the Regions that a request is signed for.
	Region string
	// Clock is what a signature's age is told by.
	Clock Clock
}

// Verify returns the caller, or an error that says why a request is not the caller's. body is the request's whole body.
func (s Signatures) Verify(request *http.Request, body []byte) (userARN string, err error) {
	if err := s.verify(request, body); err != nil {
		return "", fmt.Errorf("verify signature: %w", err)
	}
	return s.UserARN, nil
}

func (s Signatures) verify(r *http.Request, body []byte) error {
	scheme, parameters, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if scheme != signatureAlgorithm {
		return fmt.Errorf("the request is not signed with %s", signatureAlgorithm)
	}
	given := map[string]string{}
	for parameter := range strings.SplitSeq(parameters, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(parameter), "=")
		given[name] = value
	}
	date := r.Header.Get("X-Amz-Date")
	at, err := time.Parse(signatureTime, date)
	if err != nil || orReal(s.Clock).Now().Sub(at).Abs() > maxSignatureAge {
		return fmt.Errorf("the request is signed at %q, too far from now", date)
	}
	scope := at.Format(signatureDay) + "/" + signatureService + "/aws4_request"
	if given["Credential"] != s.Credentials.AccessKeyID+"/"+scope {
		return fmt.Errorf("the credential is %q", given["Credential"])
	}
	if !s.coversRegion(r.Header.Get("X-Amz-Region-Set")) {
		return fmt.Errorf("the request is signed for the Regions %q", r.Header.Get("X-Amz-Region-Set"))
	}
	if r.Header.Get("X-Amz-Security-Token") != s.Credentials.SessionToken {
		return errors.New("the session token is another")
	}
	canonical, err := canonicalRequest(r, body, strings.Split(given["SignedHeaders"], ";"))
	if err != nil {
		return err
	}
	toSign := strings.Join([]string{signatureAlgorithm, date, scope, hexDigest([]byte(canonical))}, "\n")
	signature, err := hex.DecodeString(given["Signature"])
	if err != nil {
		return errors.New("the signature is not hexadecimal")
	}
	key, err := SigningKey(s.Credentials)
	if err != nil {
		return err
	}
	if digest := sha256.Sum256([]byte(toSign)); !ecdsa.VerifyASN1(key, digest[:], signature) {
		return errors.New("the signature is of something else, or somebody else's")
	}
	return nil
}

func (s Signatures) coversRegion(set string) bool {
	for region := range strings.SplitSeq(set, ",") {
		if region == "*" || region == s.Region {
			return true
		}
	}
	return false
}

// canonicalRequest is what a signature is over. The headers that have to be signed are the host and all of AWS's own.
func canonicalRequest(r *http.Request, body []byte, signed []string) (string, error) {
	for name := range r.Header {
		if name = strings.ToLower(name); strings.HasPrefix(name, "x-amz-") && !slices.Contains(signed, name) {
			return "", fmt.Errorf("the header %s is not signed", name)
		}
	}
	if !slices.Contains(signed, "host") || !slices.IsSorted(signed) {
		return "", fmt.Errorf("the signed headers are %q", signed)
	}
	var headers strings.Builder
	for _, name := range signed {
		value := strings.Join(r.Header.Values(name), ",")
		if name == "host" {
			value = r.Host
		}
		headers.WriteString(name + ":" + strings.TrimSpace(value) + "\n")
	}
	// Every segment of the path is encoded twice, whatever the client encoded on the wire.
	segments := strings.Split(r.URL.EscapedPath(), "/")
	for i, segment := range segments {
		decoded, err := url.PathUnescape(segment)
		if err != nil {
			return "", fmt.Errorf("the path's segment %q is not percent-encoded", segment)
		}
		segments[i] = percentEncode(percentEncode(decoded))
	}
	var query []string
	for name, values := range r.URL.Query() {
		for _, value := range values {
			query = append(query, percentEncode(name)+"="+percentEncode(value))
		}
	}
	slices.Sort(query)
	return strings.Join([]string{
		r.Method, strings.Join(segments, "/"), strings.Join(query, "&"), headers.String(), strings.Join(signed, ";"), hexDigest(body),
	}, "\n"), nil
}

// percentEncode encodes all but the unreserved characters of RFC 3986.
func percentEncode(text string) string {
	var encoded strings.Builder
	for _, c := range []byte(text) {
		switch {
		case 'A' <= c && c <= 'Z', 'a' <= c && c <= 'z', '0' <= c && c <= '9', strings.IndexByte("-._~", c) >= 0:
			encoded.WriteByte(c)
		default:
			fmt.Fprintf(&encoded, "%%%02X", c)
		}
	}
	return encoded.String()
}

func hexDigest(data []byte) string {
	digest := sha256.Sum256(data)
	return hex.EncodeToString(digest[:])
}

// SigningKey is the public half of the key pair that credentials stand for. The private half is a number between 1 and the
// order of the curve P-256, derived from the secret by the counter-mode function of NIST SP 800-108: HMAC-SHA256 over a
// counter, the algorithm's name, a zero byte, the access key's id with a second counter, and the length in bits. The second
// counter goes up until the number is in range.
func SigningKey(credentials aws.Credentials) (*ecdsa.PublicKey, error) {
	limit := new(big.Int).Sub(elliptic.P256().Params().N, big.NewInt(2))
	for counter := 1; counter <= 0xff; counter++ {
		input := binary.BigEndian.AppendUint32(nil, 1)
		input = append(input, signatureAlgorithm...)
		input = append(input, 0)
		input = append(input, credentials.AccessKeyID...)
		input = append(input, byte(counter))
		input = binary.BigEndian.AppendUint32(input, 256)
		mac := hmac.New(sha256.New, []byte("AWS4A"+credentials.SecretAccessKey))
		mac.Write(input)
		number := new(big.Int).SetBytes(mac.Sum(nil))
		if number.Cmp(limit) > 0 {
			continue
		}
		private, err := ecdh.P256().NewPrivateKey(number.Add(number, big.NewInt(1)).FillBytes(make([]byte, 32)))
		if err != nil {
			return nil, fmt.Errorf("derive key pair: %w", err)
		}
		return ecdsa.ParseUncompressedPublicKey(elliptic.P256(), private.PublicKey().Bytes())
	}
	return nil, errors.New("derive key pair: no number is in range")
}
