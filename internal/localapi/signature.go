package localapi

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
	algorithm = "AWS4-ECDSA-P256-SHA256"
	service   = "execute-api"
	// dateLayout and dayLayout are how a signature writes its time.
	dateLayout, dayLayout = "20060102T150405Z", "20060102"
	// maxAge is how old a signature may be, or how far ahead ("AWS Signature Version 4 for API requests", AWS IAM User Guide).
	maxAge = 5 * time.Minute
)

// Verifier verifies signatures of one caller for one Region ("Create a signed AWS API request", AWS IAM User Guide). It works
// from what came over the wire, and shares no code with the signer.
type Verifier struct {
	// Credentials are the caller's; a session token, if they have one, must come along.
	Credentials aws.Credentials
	// Region must be among the Regions that a request is signed for.
	Region string
	// Now is the clock.
	Now func() time.Time
}

// Verify returns an error that says why a request is not the caller's, or nil. body is the request's whole body.
func (v Verifier) Verify(r *http.Request, body []byte) error {
	scheme, parameters, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if scheme != algorithm {
		return fmt.Errorf("the request is not signed with %s", algorithm)
	}
	given := map[string]string{}
	for parameter := range strings.SplitSeq(parameters, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(parameter), "=")
		given[name] = value
	}
	date := r.Header.Get("X-Amz-Date")
	at, err := time.Parse(dateLayout, date)
	if err != nil || v.Now().Sub(at).Abs() > maxAge {
		return fmt.Errorf("the request is signed at %q, too far from now", date)
	}
	scope := at.Format(dayLayout) + "/" + service + "/aws4_request"
	if given["Credential"] != v.Credentials.AccessKeyID+"/"+scope {
		return fmt.Errorf("the credential is %q", given["Credential"])
	}
	if !v.coversRegion(r.Header.Get("X-Amz-Region-Set")) {
		return fmt.Errorf("the request is signed for the Regions %q", r.Header.Get("X-Amz-Region-Set"))
	}
	if r.Header.Get("X-Amz-Security-Token") != v.Credentials.SessionToken {
		return errors.New("the session token is another")
	}
	canonical, err := canonicalRequest(r, body, strings.Split(given["SignedHeaders"], ";"))
	if err != nil {
		return err
	}
	toSign := strings.Join([]string{algorithm, date, scope, hexDigest([]byte(canonical))}, "\n")
	signature, err := hex.DecodeString(given["Signature"])
	if err != nil {
		return errors.New("the signature is not hexadecimal")
	}
	key, err := PublicKey(v.Credentials)
	if err != nil {
		return err
	}
	if digest := sha256.Sum256([]byte(toSign)); !ecdsa.VerifyASN1(key, digest[:], signature) {
		return errors.New("the signature is of something else, or somebody else's")
	}
	return nil
}

func (v Verifier) coversRegion(set string) bool {
	for region := range strings.SplitSeq(set, ",") {
		if region == "*" || region == v.Region {
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
		segments[i] = encode(encode(decoded))
	}
	var query []string
	for name, values := range r.URL.Query() {
		for _, value := range values {
			query = append(query, encode(name)+"="+encode(value))
		}
	}
	slices.Sort(query)
	return strings.Join([]string{
		r.Method, strings.Join(segments, "/"), strings.Join(query, "&"), headers.String(), strings.Join(signed, ";"), hexDigest(body),
	}, "\n"), nil
}

// encode percent-encodes all but the unreserved characters of RFC 3986.
func encode(text string) string {
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

// PublicKey is the public half of the key pair that credentials stand for. The private half is a number between 1 and the
// order of the curve P-256, derived from the secret by the counter-mode function of NIST SP 800-108: HMAC-SHA256 over a
// counter, the algorithm's name, a zero byte, the access key's id with a second counter, and the length in bits. The second
// counter goes up until the number is in range.
func PublicKey(credentials aws.Credentials) (*ecdsa.PublicKey, error) {
	limit := new(big.Int).Sub(elliptic.P256().Params().N, big.NewInt(2))
	for counter := 1; counter <= 0xff; counter++ {
		input := binary.BigEndian.AppendUint32(nil, 1)
		input = append(input, algorithm...)
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
