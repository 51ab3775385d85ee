package simulation

import (
	"net/http"
	"time"

	"github.com/aws/smithy-go/encoding/cbor"
)

// WriteCBOR answers as a service of the protocol Smithy RPC v2 CBOR does, such as CloudWatch and Region switch.
func WriteCBOR(w http.ResponseWriter, status int, value cbor.Value) {
	w.Header().Set("Content-Type", "application/cbor")
	w.Header().Set("Smithy-Protocol", "rpc-v2-cbor")
	w.WriteHeader(status)
	_, _ = w.Write(cbor.Encode(value))
}

// CBORTime is a moment as that protocol writes it: seconds since 1970, to the millisecond.
func CBORTime(t time.Time) cbor.Value {
	return &cbor.Tag{ID: 1, Value: cbor.Float64(float64(t.UnixMilli()) / 1000)}
}
